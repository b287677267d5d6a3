/* test_resistant.c - cir, mcu, ilu, mudman and tar: one step of each equals its formula, written again over
 * flat arrays from bare gradients, tokens' factors and components by Jacobi rotations. graddiff is the loss:
 * L_f = -NLL_f, retain part NLL_r. */
#include "procedure_test.h"

enum { MOST = 20000, W = 48 };

static void set(tiny_work *w, const char *key, double x)
{
    for (int i = 0; w->args.params[i].key; i++)
        if (!strcmp(w->args.params[i].key, key)) {
            w->args.num[i] = x;
            return;
        }
    fail_msg("no parameter %s", key);
}

static void set_text(tiny_work *w, const ul_procedure *p, const char *key, const char *value)
{
    for (int i = 0; p->method.params[i].key; i++)
        if (!strcmp(p->method.params[i].key, key)) w->args.text[i] = value;
}

/* Steps of all nine forget rows, plain SGD where the procedure does not say otherwise. */
static void open(tiny_work *w, const ul_procedure *p, int64_t steps)
{
    tiny_work_open(w, p, &(tiny_how){.precision = UL_PRECISION_DOUBLE, .threads = 1, .micro = 4});
    w->t.recipe.batch = TINY_FORGET, w->t.recipe.steps = steps, w->t.recipe.lr = 0.01;
    w->t.recipe.optim = UL_SGD, w->t.recipe.schedule = UL_CONSTANT, w->t.recipe.warmup = steps > 1;
    w->t.recipe.clip = w->t.recipe.weight_decay = 0;
    set_text(w, p, "loss", "graddiff"), set_text(w, p, "safeguard", "graddiff");
}

static int flat(tiny_work *w, bool gradient, double *out)
{
    ul_trainable *train;
    int at = 0;
    const int n = ul_model_trainables(w->t.model, &train);
    for (int i = 0; i < n; i++, at += (int)train[i - 1].n) {
        assert_true(at + train[i].n <= MOST);
        memcpy(out + at, gradient ? train[i].g : train[i].p, (size_t)train[i].n * sizeof(double));
    }
    return at;
}

static void put(tiny_work *w, const double *from)
{
    ul_trainable *train;
    const int n = ul_model_trainables(w->t.model, &train);
    for (int i = 0, at = 0; i < n; i++, at += (int)train[i - 1].n)
        memcpy(train[i].p, from + at, (size_t)train[i].n * sizeof(double));
}

/* The documents of a side of step `step`, packed; the gradient of their mean NLL, flat. */
static void bare(tiny_work *w, int side, int64_t step, const ul_observer *o, double *g)
{
    ul_pairing pairing;
    ul_sample s;
    const ul_doc *docs[TINY_FORGET];
    double coef[400];
    ul_batch *b;
    UL_OK_IN(w->t.ctx, ul_pairing_init(w->t.ctx, ul_ctx_arena(w->t.ctx), w->t.docs[UL_FORGET], w->t.docs[UL_RETAIN],
                                       w->t.recipe.seed, true, &pairing));
    for (int i = 0; i < TINY_FORGET; i++) {
        UL_OK_IN(w->t.ctx, ul_pairing_sample(w->t.ctx, &pairing, step * TINY_FORGET + i, &s));
        docs[i] = s.doc[side];
    }
    UL_OK_IN(w->t.ctx, ul_pack_docs(w->t.ctx, ul_ctx_arena(w->t.ctx), docs, TINY_FORGET, false, &b));
    for (int i = 0; i < b->n_row; i++) coef[i] = -1.0 / b->n_row;
    ul_pass pass = {.batch = b, .flags = UL_PASS_GRAD, .last = -1, .coef = coef, .observer = o};
    ul_model_grad_zero(w->t.model);
    UL_OK_IN(w->t.ctx, ul_model_forward(w->t.ctx, w->t.model, &pass));
    UL_OK_IN(w->t.ctx, ul_model_backward(w->t.ctx, w->t.model, &pass));
    ul_model_grad_ready(w->t.model);
    flat(w, true, g);
}

static void near(double a, double b, double size)
{
    if (!(fabs(a - b) <= 1e-9 * size)) fail_msg("%.12g is not %.12g", a, b);
}

static double norm(const double *x, int n)
{
    double sum = 0;
    for (int i = 0; i < n; i++) sum += x[i] * x[i];
    return sqrt(sum);
}

/* ---- components -------------------------------------------------------------------------------------------------- */
/* a [n, n] symmetric -> p [n, k], eigenvectors of the largest eigenvalues. */
static void components(double *a, int n, int k, double *p)
{
    static double v[W * W];
    for (int i = 0; i < n * n; i++) v[i] = i % (n + 1) == 0;
    for (int sweep = 0; sweep < 40; sweep++)
        for (int i = 0; i < n; i++)
            for (int j = i + 1; j < n; j++) {
                if (fabs(a[i * n + j]) < 1e-300) continue;
                const double z = (a[j * n + j] - a[i * n + i]) / (2 * a[i * n + j]);
                const double t = (z >= 0 ? 1 : -1) / (fabs(z) + sqrt(1 + z * z));
                const double c = 1 / sqrt(1 + t * t), s = c * t;
                for (int l = 0; l < n; l++) {
                    const double x = a[l * n + i], y = a[l * n + j];
                    a[l * n + i] = c * x - s * y, a[l * n + j] = s * x + c * y;
                }
                for (int l = 0; l < n; l++) {
                    const double x = a[i * n + l], y = a[j * n + l], q = v[l * n + i], r = v[l * n + j];
                    a[i * n + l] = c * x - s * y, a[j * n + l] = s * x + c * y;
                    v[l * n + i] = c * q - s * r, v[l * n + j] = s * q + c * r;
                }
            }
    for (int j = 0; j < k; j++) {
        int best = 0;
        for (int i = 1; i < n; i++)
            if (a[i * n + i] > a[best * n + best]) best = i;
        for (int i = 0; i < n; i++) p[i * k + j] = v[i * n + best];
        a[best * n + best] = -1;
    }
}

/* Tokens that a layer saw, without each document's first. */
typedef struct {
    const ul_weight *w;
    double x[400 * W], d[400 * W];
    int n;
} tokens;

static void look(void *user, const ul_weight *w, const ul_batch *b, const void *x, const void *dy)
{
    tokens *t = user;
    if (w != t->w) return;
    for (int32_t d = 0; d < b->n_doc; d++)
        for (int32_t i = b->doc_start[d] + 1; i < b->doc_start[d + 1]; i++, t->n++) {
            assert_true(t->n < 400);
            memcpy(t->x + t->n * w->cols, (const double *)x + i * w->cols, (size_t)w->cols * sizeof(double));
            memcpy(t->d + t->n * w->rows, (const double *)dy + i * w->rows, (size_t)w->rows * sizeof(double));
        }
}

/* Mean and components of n rows of x; then x loses them. */
static void common(double *x, int n, int width, int k, double *mean, double *p)
{
    static double a[W * W];
    memset(a, 0, sizeof a);
    for (int j = 0; j < width; j++) {
        mean[j] = 0;
        for (int t = 0; t < n; t++) mean[j] += x[t * width + j] / n;
    }
    for (int t = 0; t < n; t++)
        for (int i = 0; i < width; i++)
            for (int j = 0; j < width; j++)
                a[i * width + j] += (x[t * width + i] - mean[i]) * (x[t * width + j] - mean[j]) / n;
    components(a, width, k, p);
}

/* projected: not the mean but what is along it. */
static void lose(double *x, int n, int width, int k, const double *mean, bool projected, const double *p)
{
    const double length = norm(mean, width);
    for (int t = 0; t < n; t++) {
        double *row = x + t * width, along = 0;
        for (int j = 0; j < width; j++) along += row[j] * mean[j] / length / length;
        for (int j = 0; j < width; j++) row[j] -= projected ? along * mean[j] : mean[j];
        for (int c = 0; c < k; c++) {
            double dot = 0;
            for (int j = 0; j < width; j++) dot += row[j] * p[j * k + c];
            for (int j = 0; j < width; j++) row[j] -= dot * p[j * k + c];
        }
    }
}

static const ul_weight *weight_named(tiny_work *w, const char *name)
{
    ul_weight *weight;
    const int n = ul_model_weights(w->t.model, &weight);
    for (int i = 0; i < n; i++)
        if (strstr(weight[i].name, name)) return &weight[i];
    fail_msg("no weight %s", name);
    return NULL;
}

/* The step of one matrix, by the formula; the length of a step over all of them. The components are gathered over all
 * forget rows with the gradients of the summed NLL, or the loss's own. With a retain rate of its own the forget step is
 * what a step without it is; small: the sum of both gradients is as long as lr of the weights. */
static void cir_steps_from(const char *from, const char *mean, double rate)
{
    static tokens t, all;
    static double g[MOST], before[MOST], w0[32 * W], want[32 * W], step[32 * W], mx[W], md[W], px[W * 3], pd[W * 2];
    const ul_procedure *p = procedure_named("cir");
    tiny_work w;
    char digest[65];
    const bool own = !strcmp(from, "own"), projected = !strcmp(mean, "projected");
    t.n = 0;
    open(&w, p, 1);
    set(&w, "components", 3), set(&w, "grad_components", 2);
    set(&w, "retain_rate", rate), set(&w, "absolute", rate > 0);
    set_text(&w, p, "from", from), set_text(&w, p, "mean", mean);
    const ul_weight *x = weight_named(&w, "layers.1.mlp.down_proj");
    t.w = all.w = x;
    const ul_observer o = {look, &t, UL_OBSERVE_BACKWARD};
    bare(&w, UL_FORGET, 0, &o, g); /* mean NLL: graddiff's forget part is minus that */
    all = t;
    common(all.x, all.n, 48, 3, mx, px);
    ul_batch *b;
    const ul_doc *docs[TINY_FORGET];
    for (int i = 0; i < TINY_FORGET; i++) docs[i] = &w.t.docs[UL_FORGET]->at[i];
    UL_OK_IN(w.t.ctx, ul_pack_docs(w.t.ctx, ul_ctx_arena(w.t.ctx), docs, TINY_FORGET, false, &b));
    for (int i = 0; i < all.n * 32; i++) all.d[i] *= own ? -1 : b->n_row; /* of the sum, not of the mean */
    common(all.d, all.n, 32, 2, md, pd);
    lose(t.x, t.n, 48, 3, mx, projected, px);
    for (int i = 0; i < t.n * 32; i++) t.d[i] *= -1; /* the forget part's */
    lose(t.d, t.n, 32, 2, md, projected, pd);
    memset(want, 0, sizeof want);
    for (int k = 0; k < t.n; k++)
        for (int i = 0; i < 32; i++)
            for (int j = 0; j < 48; j++) want[i * 48 + j] += t.d[k * 32 + i] * t.x[k * 48 + j];
    bare(&w, UL_RETAIN, 0, NULL, g);
    memcpy(w0, x->p, sizeof w0);
    for (int i = 0; rate == 0 && i < 32 * 48; i++) want[i] += ((double *)x->g)[i];
    for (int i = 0; i < 32 * 48; i++) step[i] = rate > 0 ? -rate * ((double *)x->g)[i] : 0;
    UL_OK_IN(w.t.ctx, ul_model_select(w.t.ctx, w.t.model, "layers 0-1 mlp"));
    bare(&w, UL_RETAIN, 0, NULL, g);
    const int n = flat(&w, false, before);
    double retain[MOST], dot = 0;
    memcpy(retain, g, (size_t)n * sizeof *g);
    tiny_work_run(&w, p, digest);
    for (int i = 0; i < 32 * 48; i++) step[i] += w0[i] - ((double *)x->p)[i], dot += step[i] * want[i];
    flat(&w, false, g);
    for (int i = 0; i < n; i++) g[i] = g[i] - before[i] + rate * retain[i];
    near(norm(g, n), rate > 0 ? 0.01 : 0.01 * norm(before, n), 1);
    assert_true(norm(step, 32 * 48) > 0.1 * norm(g, n));
    near(dot / norm(step, 32 * 48) / norm(want, 32 * 48), 1, 1);
    tiny_work_close(&w);
}

static void cir_step(void **state)
{
    (void)state;
    cir_steps_from("nll", "subtracted", 0);
    cir_steps_from("own", "subtracted", 0);
    cir_steps_from("own", "projected", 0);
    cir_steps_from("own", "projected", 2e-4);
}

/* After several steps of Adam the change of a matrix is orthogonal to the components, and there is a change. */
static void mcu_stays_minor(void **state)
{
    static tokens t;
    static double w0[32 * W], mx[W], px[W * 6];
    const ul_procedure *p = procedure_named("mcu");
    tiny_work w;
    char digest[65];
    (void)state;
    open(&w, p, 5);
    w.t.recipe.optim = UL_ADAMW;
    set(&w, "components", 100); /* an eighth of 48 is taken */
    const ul_weight *x = weight_named(&w, "layers.0.mlp.down_proj"), *q = weight_named(&w, "layers.0.self_attn.q_proj");
    double *q0 = malloc((size_t)(q->rows * q->cols) * sizeof *q0);
    memcpy(q0, q->p, (size_t)(q->rows * q->cols) * sizeof *q0);
    t.w = x;
    const ul_observer o = {look, &t, UL_OBSERVE_BACKWARD};
    double coef[400];
    ul_batch *b;
    const ul_doc *docs[TINY_RETAIN];
    for (int i = 0; i < TINY_RETAIN; i++) docs[i] = &w.t.docs[UL_RETAIN]->at[i];
    UL_OK_IN(w.t.ctx, ul_pack_docs(w.t.ctx, ul_ctx_arena(w.t.ctx), docs, TINY_RETAIN, false, &b));
    for (int i = 0; i < b->n_row; i++) coef[i] = -1;
    ul_pass pass = {.batch = b, .flags = UL_PASS_GRAD, .last = -1, .coef = coef, .observer = &o};
    UL_OK_IN(w.t.ctx, ul_model_forward(w.t.ctx, w.t.model, &pass));
    UL_OK_IN(w.t.ctx, ul_model_backward(w.t.ctx, w.t.model, &pass));
    common(t.x, t.n, 48, 6, mx, px);
    memcpy(w0, x->p, sizeof w0);
    tiny_work_run(&w, p, digest);
    double change = 0, along = 0;
    for (int i = 0; i < 32; i++)
        for (int k = 0; k < 6; k++) {
            double dot = 0;
            for (int j = 0; j < 48; j++) dot += (((double *)x->p)[i * 48 + j] - w0[i * 48 + j]) * px[j * 6 + k];
            along = fmax(along, fabs(dot));
        }
    for (int i = 0; i < 32 * 48; i++) change += fabs(((double *)x->p)[i] - w0[i]);
    assert_true(change > 1 && along < 1e-10);
    assert_memory_equal(q0, q->p, (size_t)(q->rows * q->cols) * sizeof *q0);
    free(q0);
    tiny_work_close(&w);
}

/* ---- invariance -------------------------------------------------------------------------------------------------- */
static double penalty(tiny_work *w, const double *theta, int n)
{
    static double g[MOST];
    double sum = 0;
    put(w, theta);
    bare(w, UL_RETAIN, 0, NULL, g);
    for (int i = 0; i < n; i++) sum += theta[i] * theta[i] * g[i] * g[i];
    return sum;
}

/* What the penalty adds to a step is minus lr times its gradient:
 * along a random direction, against central differences. */
static void ilu_step(void **state)
{
    static double before[MOST], after[2][MOST], d[MOST], x[MOST];
    const ul_procedure *p = procedure_named("ilu");
    double along = 0, value[2];
    int n = 0;
    (void)state;
    for (int k = 0; k < 2; k++) {
        tiny_work w;
        char digest[65];
        open(&w, p, 1);
        set(&w, "lambda", k ? 0.05 : 0), set(&w, "eta", 1e-8);
        n = flat(&w, false, before);
        tiny_work_run(&w, p, digest);
        flat(&w, false, after[k]);
        for (int i = 0; i < n; i++) d[i] = before[i] * ul_rng_normal(6, UL_STREAM_TEST, 1, (uint64_t)i);
        for (int s = 0; k && s < 2; s++) {
            for (int i = 0; i < n; i++) x[i] = before[i] + (s ? 1e-5 : -1e-5) * d[i];
            value[s] = penalty(&w, x, n);
        }
        tiny_work_close(&w);
    }
    for (int i = 0; i < n; i++) along += (after[1][i] - after[0][i]) / (-0.01 * 0.05) * d[i];
    const double want = (value[1] - value[0]) / 2e-5;
    assert_true(fabs(want) > 1e-3);
    if (!(fabs(along - want) < 1e-4 * fabs(want))) fail_msg("%.9g is not %.9g", along, want);
}

/* ---- losses that only procedures have -------------------------------------------------------------------------- */
/* The loss of step 0 at these weights; the gradient, or NULL. */
static double own_loss(tiny_work *w, ul_trainer *t, const double *theta, double *g)
{
    ul_step_result r;
    put(w, theta);
    UL_OK_IN(w->t.ctx, ul_trainer_gradients(t, 0, &r));
    if (g) flat(w, true, g);
    return r.loss;
}

/* Along a random direction, away from the weights before the run, against central differences. */
static void own_loss_gradient(const char *id, bool far)
{
    static double theta[MOST], d[MOST], x[MOST], g[MOST];
    const ul_procedure *p = procedure_named("cir");
    const ul_method *m;
    ul_args args;
    ul_trainer *t;
    tiny_work w;
    open(&w, p, 1);
    set_text(&w, p, "loss", id);
    UL_OK_IN(w.t.ctx, ul_work_loss(&w.work, "loss", &m, &args));
    w.t.run.options.method = m, w.t.run.options.args = &args;
    w.t.run.options.micro_batch = 2; /* several, of the same sum */
    tiny_references(&w.t, NULL);
    const int n = flat(&w, false, theta);
    for (int i = 0; i < n; i++) {
        if (far) theta[i] += 0.03 * ul_rng_normal(6, UL_STREAM_TEST, 3, (uint64_t)i);
        d[i] = theta[i] * ul_rng_normal(6, UL_STREAM_TEST, 2, (uint64_t)i);
    }
    UL_OK_IN(w.t.ctx, ul_trainer_new(w.t.ctx, &w.t.run.options, 1, &t));
    own_loss(&w, t, theta, g);
    double along = 0, value[2];
    for (int i = 0; i < n; i++) along += g[i] * d[i];
    for (int s = 0; s < 2; s++) {
        for (int i = 0; i < n; i++) x[i] = theta[i] + (s ? 1e-5 : -1e-5) * d[i];
        value[s] = own_loss(&w, t, x, NULL);
    }
    const double want = (value[1] - value[0]) / 2e-5;
    assert_true(fabs(want) > 1e-3);
    if (!(fabs(along - want) < 1e-6 * fabs(want))) fail_msg("%s: %.9g is not %.9g", id, along, want);
    ul_trainer_free(t);
    tiny_work_close(&w);
}

/* The logits of a side's documents of step 0, one after the other; returns how many rows. */
static int rows_of(tiny_work *w, int side, double z[400][TINY_V], int32_t *label)
{
    int n = 0;
    for (int32_t i = 0; i < w->t.recipe.batch; i++) {
        ul_sample s;
        ul_batch *b;
        UL_OK_IN(w->t.ctx, tiny_sample(&w->t, 0, i, NULL, &s));
        UL_OK_IN(w->t.ctx, ul_pack_docs(w->t.ctx, ul_ctx_arena(w->t.ctx), &s.doc[side], 1, false, &b));
        assert_true(n + b->n_row <= 400);
        UL_OK_IN(w->t.ctx, ul_model_logits(w->t.ctx, w->t.model, b, z[n]));
        memcpy(label + n, b->label, (size_t)b->n_row * sizeof *label);
        n += b->n_row;
    }
    return n;
}

static void negentropy_loss(void **state)
{
    static double z[400][TINY_V], theta[MOST];
    int32_t label[400];
    const ul_procedure *p = procedure_named("mudman");
    const ul_method *m;
    ul_args args;
    ul_trainer *t;
    tiny_work w;
    double want = 0;
    (void)state;
    open(&w, p, 1);
    set_text(&w, p, "loss", "negentropy");
    UL_OK_IN(w.t.ctx, ul_work_loss(&w.work, "loss", &m, &args));
    w.t.run.options.method = m, w.t.run.options.args = &args;
    UL_OK_IN(w.t.ctx, ul_trainer_new(w.t.ctx, &w.t.run.options, 1, &t));
    flat(&w, false, theta);
    const double got = own_loss(&w, t, theta, NULL);
    for (int side = 0; side <= UL_RETAIN; side += UL_RETAIN) {
        const int n = rows_of(&w, side, z, label);
        for (int i = 0; i < n; i++) {
            double sum = 0;
            for (int v = 0; v < TINY_V; v++) sum += exp(z[i][v]);
            if (side == UL_RETAIN) want += (log(sum) - z[i][label[i]]) / n;
            for (int v = 0; side == UL_FORGET && v < TINY_V; v++) want += exp(z[i][v]) / sum * (z[i][v] - log(sum)) / n;
        }
    }
    near(got, want, 1);
    ul_trainer_free(t);
    tiny_work_close(&w);
    own_loss_gradient("negentropy", false);
    own_loss_gradient("negentropy", true);
}

/* States behind block 0 at the scored tokens of the retain documents of step 0; returns how many. */
static int states_of(tiny_work *w, double h[400][32])
{
    int n = 0;
    for (int32_t i = 0; i < w->t.recipe.batch; i++) {
        ul_sample s;
        ul_batch *b;
        UL_OK_IN(w->t.ctx, tiny_sample(&w->t, 0, i, NULL, &s));
        UL_OK_IN(w->t.ctx, ul_pack_docs(w->t.ctx, ul_ctx_arena(w->t.ctx), &s.doc[UL_RETAIN], 1, false, &b));
        ul_pass pass = {.batch = b, .flags = UL_PASS_NO_HEAD | UL_PASS_STATES, .last = 1};
        UL_OK_IN(w->t.ctx, ul_model_forward(w->t.ctx, w->t.model, &pass));
        for (int32_t k = 0; k < b->n_row; k++, n++) {
            assert_true(n < 400);
            memcpy(h[n], (const double *)ul_model_hidden(w->t.model, 1) + (b->row[k] + 1) * 32, sizeof h[n]);
        }
    }
    return n;
}

/* The mlp of the block looked at puts out `scale` times what it did: as much of the loss is left, nothing below 0;
 * beside it how far the states behind that block have gone, as a share of their lengths. */
static void mlp_confuse_loss(void **state)
{
    static const double scale[] = {1, 0.25, -1};
    static double before[400][32], after[400][32], theta[MOST];
    const ul_procedure *p = procedure_named("cir");
    const ul_method *m;
    ul_args args;
    tiny_work w;
    (void)state;
    for (int k = 0; k < 3; k++) {
        ul_trainer *t;
        double want = scale[k] > 0 ? scale[k] : 0;
        open(&w, p, 1);
        set_text(&w, p, "loss", "mlp_confuse");
        UL_OK_IN(w.t.ctx, ul_work_loss(&w.work, "loss", &m, &args));
        assert_int_equal(ul_method_blocks(m, &args, w.t.model), 1);
        w.t.run.options.method = m, w.t.run.options.args = &args;
        tiny_references(&w.t, NULL);
        states_of(&w, before);
        const ul_weight *x = weight_named(&w, "layers.0.mlp.down_proj");
        for (int64_t i = 0; i < x->rows * x->cols; i++) ((double *)x->p)[i] *= scale[k];
        flat(&w, false, theta);
        UL_OK_IN(w.t.ctx, ul_trainer_new(w.t.ctx, &w.t.run.options, 1, &t));
        const double got = own_loss(&w, t, theta, NULL);
        const int n = states_of(&w, after);
        for (int i = 0; i < n; i++) {
            double d[32];
            for (int c = 0; c < 32; c++) d[c] = after[i][c] - before[i][c];
            want += norm(d, 32) / norm(before[i], 32) / n;
        }
        near(got, want, 1);
        ul_trainer_free(t);
        tiny_work_close(&w);
    }
    own_loss_gradient("mlp_confuse", true); /* at the reference itself the distance has an edge */
}

/* By the paper's defaults only the mlps of the blocks that the loss runs move, by lr. */
static void cir_as_published(void **state)
{
    static double before[MOST], after[MOST];
    const ul_procedure *p = procedure_named("cir");
    tiny_work w;
    char digest[65];
    double moved = 0;
    (void)state;
    open(&w, p, 1);
    ul_method_args(&p->method, false, &w.args);
    const int n = flat(&w, false, before);
    UL_OK_IN(w.t.ctx, ul_model_select(w.t.ctx, w.t.model, "layers 0 mlp"));
    const int mlp = flat(&w, false, before);
    tiny_work_run(&w, p, digest);
    assert_true(mlp < n && flat(&w, false, after) == mlp);
    for (int i = 0; i < mlp; i++) moved += (after[i] - before[i]) * (after[i] - before[i]);
    near(sqrt(moved), 0.01, 1); /* the retain part has no gradient yet */
    tiny_work_close(&w);
}

/* ---- adversaries ------------------------------------------------------------------------------------------------- */
static void mudman_as(bool absolute)
{
    static double before[MOST], x[MOST], f[MOST], u[MOST], r[MOST], after[MOST];
    const ul_procedure *p = procedure_named("mudman");
    tiny_work w;
    char digest[65];
    int moved = 0, masked = 0;
    open(&w, p, 1);
    set(&w, "adversary_lr", 0.3), set(&w, "retain", 0.25), set(&w, "absolute", absolute);
    UL_OK_IN(w.t.ctx, ul_model_select(w.t.ctx, w.t.model, "layers 0-1 mlp.gate_proj"));
    const int n = flat(&w, false, before);
    assert_int_equal(n, 2 * 48 * 32);
    bare(&w, UL_RETAIN, 0, NULL, r);
    bare(&w, UL_FORGET, 0, NULL, f);
    for (int i = 0; i < n; i++) x[i] = before[i] - 0.3 * f[i];
    put(&w, x);
    bare(&w, UL_FORGET, 0, NULL, u);
    put(&w, before);
    tiny_work_run(&w, p, digest);
    flat(&w, false, after);
    const double size = norm(u, n), back = absolute ? 1 : norm(r, n), all = absolute ? 1 : norm(before, n);
    for (int i = 0; i < n; i++) {
        const bool agree = -u[i] * r[i] > 0;
        masked += !agree, moved += agree;
        near(after[i], before[i] - 0.01 * all * ((agree ? -u[i] / size : 0) + 0.25 * r[i] / back), 1e-2);
    }
    assert_true(moved > n / 10 && masked > n / 10);
    tiny_work_close(&w);
}

static void mudman_step(void **state)
{
    (void)state;
    mudman_as(false);
    mudman_as(true);
}

/* One step of the adversary, number `since`. */
static void adversary(double *x, const double *f, int n, bool adamw, int since)
{
    static double m[MOST], v[MOST];
    for (int i = 0; i < n; i++) {
        m[i] = (since > 1 ? 0.9 * m[i] : 0) + 0.1 * f[i], v[i] = (since > 1 ? 0.999 * v[i] : 0) + 0.001 * f[i] * f[i];
        const double step = m[i] / (1 - pow(0.9, since)) / (sqrt(v[i] / (1 - pow(0.999, since))) + 1e-8);
        x[i] -= adamw ? 0.02 * step : 0.2 * f[i];
    }
}

/* Two outer steps, the first of which has the rate 0: the second is the formula. */
static void tar_as(bool adamw)
{
    static double before[MOST], x[MOST], f[MOST], one[MOST], two[MOST], r[MOST], after[MOST];
    const ul_procedure *p = procedure_named("tar");
    tiny_work w;
    char digest[65];
    open(&w, p, 1);
    w.t.recipe.warmup = 1; /* a safeguard of one step at the rate 0 */
    set(&w, "inner", 2), set(&w, "every", 1), set(&w, "lambda", 0.7), set(&w, "adversary_lr", adamw ? 0.02 : 0.2);
    set(&w, "outer", 2), set(&w, "weight", 1.5);
    UL_OK_IN(w.t.ctx, ul_args_set(w.work.arena, &w.args, "tar", "adversary", adamw ? "adamw" : "sgd"));
    const int n = flat(&w, false, before);
    bare(&w, UL_RETAIN, 1, NULL, r);
    bare(&w, UL_FORGET, 0, NULL, f); /* inner steps 2 and 3 of a run of 2 */
    memcpy(x, before, sizeof x);
    adversary(x, f, n, adamw, 1);
    put(&w, x);
    bare(&w, UL_FORGET, 1, NULL, one); /* the loss's gradient is minus that */
    bare(&w, UL_FORGET, 1, NULL, f);
    adversary(x, f, n, adamw, 2);
    put(&w, x);
    bare(&w, UL_FORGET, 1, NULL, two);
    put(&w, before);
    tiny_work_run(&w, p, digest);
    flat(&w, false, after);
    const double a = exp(-0.7);
    for (int i = 0; i < n; i++) near(after[i], before[i] - 0.01 * (r[i] - 1.5 * (a * one[i] + two[i]) / (1 + a)), 1e-2);
    tiny_work_close(&w);
}

static void tar_step(void **state)
{
    (void)state;
    tar_as(false);
    tar_as(true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(cir_step),         cmocka_unit_test(cir_as_published),
                                       cmocka_unit_test(mcu_stays_minor),  cmocka_unit_test(ilu_step),
                                       cmocka_unit_test(negentropy_loss),  cmocka_unit_test(mlp_confuse_loss),
                                       cmocka_unit_test(mudman_step),      cmocka_unit_test(tar_step)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
