/* test_procedure_stages.c - sku, undo and kfade: Q9 of sku; the noise and the recovery of undo; kfade's step against
 * a naive solve with factors collected here; a run killed between and within stages goes on to the same bits. */
#include "procedure_test.h"

static void set(tiny_work *w, const char *key, double x)
{
    for (int i = 0; w->args.params[i].key; i++)
        if (!strcmp(w->args.params[i].key, key)) {
            w->args.num[i] = x;
            return;
        }
    fail_msg("no parameter %s", key);
}

static void first_weights(tiny_work *w, double *out, int64_t n)
{
    ul_trainable *train;
    assert_true(ul_model_trainables(w->t.model, &train) > 0 && train[0].n >= n);
    memcpy(out, train[0].p, (size_t)n * sizeof(double));
}

static double mean_nll(tiny_work *w, int side)
{
    const ul_doc *docs[TINY_RETAIN];
    double logp[2000], sum = 0;
    ul_batch *b;
    const ul_docs *from = w->t.docs[side];
    for (int i = 0; i < from->n; i++) docs[i] = &from->at[i];
    UL_OK_IN(w->t.ctx, ul_pack_docs(w->t.ctx, ul_ctx_arena(w->t.ctx), docs, (int32_t)from->n, false, &b));
    ul_pass pass = {.batch = b, .last = -1, .score = {.logp = logp}};
    UL_OK_IN(w->t.ctx, ul_model_forward(w->t.ctx, w->t.model, &pass));
    for (int i = 0; i < b->n_row; i++) sum -= logp[i] / b->n_row;
    return sum;
}

/* Scale -1 is the bad model itself: it has learnt the answers and left normal behaviour.
 * Scale 1 reflects it, so negating twice gives it back; scale 0 is the model before. */
static void q9_sku(void **state)
{
    enum { N = 64 };
    static const double scale[] = {0, 1, -1};
    double x[3][N], w0[N], forget[3];
    const ul_procedure *p = procedure_named("sku");
    (void)state;
    for (int k = 0; k < 3; k++) {
        tiny_work w;
        char digest[65];
        tiny_work_open(&w, p, &(tiny_how){.precision = UL_PRECISION_DOUBLE, .threads = 1});
        first_weights(&w, w0, N);
        set(&w, "kl", 0), set(&w, "scale", scale[k]);
        tiny_work_run(&w, p, digest);
        if (k == 0) assert_string_equal(digest, w.t.digest);
        first_weights(&w, x[k], N);
        forget[k] = mean_nll(&w, UL_FORGET);
        tiny_work_close(&w);
    }
    double moved = 0;
    for (int i = 0; i < N; i++) {
        moved += fabs(x[1][i] - w0[i]);
        assert_true(fabs(x[1][i] + x[2][i] - 2 * w0[i]) <= 1e-15 * (1 + fabs(w0[i])));
    }
    assert_true(moved > 1e-3);
    assert_true(forget[2] < forget[0] && forget[0] < forget[1]); /* learnt, and negated */
}

/* Mean KL of the teacher, whose logits the first call stores, to this model over the retain rows. */
static double distance(tiny_work *w, bool teacher)
{
    static double z0[300 * TINY_V], z[300 * TINY_V];
    const ul_doc *docs[TINY_RETAIN];
    ul_batch *b;
    double sum = 0;
    for (int i = 0; i < TINY_RETAIN; i++) docs[i] = &w->t.docs[UL_RETAIN]->at[i];
    UL_OK_IN(w->t.ctx, ul_pack_docs(w->t.ctx, ul_ctx_arena(w->t.ctx), docs, TINY_RETAIN, false, &b));
    assert_true(b->n_row <= 300);
    UL_OK_IN(w->t.ctx, ul_model_logits(w->t.ctx, w->t.model, b, z));
    if (teacher) memcpy(z0, z, sizeof z);
    for (int i = 0; i < b->n_row; i++) {
        const double *p = z0 + i * TINY_V, *q = z + i * TINY_V;
        double sp = 0, sq = 0;
        for (int v = 0; v < TINY_V; v++) sp += exp(p[v]), sq += exp(q[v]);
        for (int v = 0; v < TINY_V; v++) sum += exp(p[v]) / sp * (p[v] - log(sp) - q[v] + log(sq)) / b->n_row;
    }
    return sum;
}

/* Without recovery the student is the teacher, shrunk, with noise within its bound;
 * with it the retain rows come back. */
static void undo_noises_and_recovers(void **state)
{
    enum { N = 40 * 32 };
    static double t[N], s[N];
    const ul_procedure *p = procedure_named("undo");
    double kl[3];
    (void)state;
    for (int k = 0; k < 4; k++) { /* teacher; noised with a rate of 0 in stage 3; recovered; the wrong method */
        tiny_work w;
        char digest[65];
        tiny_work_open(&w, p, &(tiny_how){.precision = UL_PRECISION_DOUBLE, .threads = 1});
        set(&w, "alpha", k == 0 ? 0 : 0.5), set(&w, "beta", 0.1), set(&w, "distil_epochs", k == 2 ? 40 : 0.001);
        w.t.recipe.lr = 0.005;
        w.t.recipe.warmup = 1; /* the first step has the rate 0 */
        w.t.recipe.steps = 2;
        if (k == 3) {
            w.args.text[0] = "dpo";
            UL_FAILS_IN(w.t.ctx, UL_E_USAGE, "needs alternate answers", p->run(&w.work));
        } else {
            tiny_work_run(&w, p, digest);
            kl[k] = distance(&w, k == 0);
            if (k < 2) first_weights(&w, k ? s : t, N);
        }
        tiny_work_close(&w);
    }
    const double bound = 0.5 * 0.1 * sqrt(6.0 / (40 + 32));
    double most = 0;
    for (int i = 0; i < N; i++) most = fmax(most, fabs(s[i] - 0.5 * t[i]));
    assert_true(most <= bound && most > 0.99 * bound);
    if (!(fabs(kl[0]) < 1e-12 && kl[1] > 0.01 && kl[2] < 0.3 * kl[1]))
        fail_msg("KL %g, noised %g, recovered %g", kl[0], kl[1], kl[2]);
}

/* The model as it is teaches, and only what is named is noised: the embedding stays,
 * the last block is half of what it was and noise. */
static void undo_in_places(void **state)
{
    enum { N = 40 * 32 };
    static double before[N], after[N];
    const ul_procedure *p = procedure_named("undo");
    (void)state;
    for (int k = 0; k < 2; k++) {
        tiny_work w;
        char digest[65];
        ul_trainable *t;
        double change[2] = {0, 0}; /* of the last block, of all else */
        tiny_work_open(&w, p, &(tiny_how){.precision = UL_PRECISION_DOUBLE, .threads = 1});
        UL_OK_IN(w.t.ctx, ul_args_set(w.work.arena, &w.args, "undo", "suppress", "none"));
        UL_OK_IN(w.t.ctx,
                 ul_args_set(w.work.arena, &w.args, "undo", "noise_in", k ? "layers.7,nowhere" : "layers.1.,nowhere"));
        set(&w, "alpha", 0.5), set(&w, "distil_steps", 1);
        w.t.recipe.warmup = 1; /* the only step has the rate 0 */
        if (k) {
            UL_FAILS_IN(w.t.ctx, UL_E_USAGE, "stands in the name of none", p->run(&w.work));
        } else {
            ul_snapshot was;
            UL_OK_IN(w.t.ctx, ul_snapshot_take(w.t.ctx, w.work.arena, w.work.model, &was));
            first_weights(&w, before, N);
            tiny_work_run(&w, p, digest);
            first_weights(&w, after, N);
            assert_memory_equal(before, after, sizeof before);
            const int n = ul_model_trainables(w.work.model, &t);
            for (int i = 0; i < n; i++)
                for (int64_t j = 0; j < t[i].n; j++)
                    change[!strstr(t[i].name, "layers.1.")] +=
                        fabs(ul_real_at(t[i].p, j, was.esize) - ul_real_at(was.p[i], j, was.esize));
            assert_true(change[0] > 1 && change[1] == 0);
            assert_int_equal(w.work.steps, 1);
        }
        tiny_work_close(&w);
    }
}

/* x <- s^-1 x by Gauss and Jordan without pivots (s is positive definite). */
static void solve(double *s, int n, double *x, int m)
{
    for (int i = 0; i < n; i++) {
        const double d = s[i * n + i];
        for (int j = 0; j < n; j++) s[i * n + j] /= d;
        for (int j = 0; j < m; j++) x[i * m + j] /= d;
        for (int k = 0; k < n; k++) {
            const double f = s[k * n + i];
            if (k == i) continue;
            for (int j = 0; j < n; j++) s[k * n + j] -= f * s[i * n + j];
            for (int j = 0; j < m; j++) x[k * m + j] -= f * x[i * m + j];
        }
    }
}

typedef struct {
    const ul_weight *w;
    double a[48 * 48], s[32 * 32], tokens;
} naive;

static void look(void *user, const ul_weight *w, const ul_batch *b, const void *xx, const void *dd)
{
    naive *f = user;
    const double *x = xx, *d = dd;
    if (w != f->w) return;
    for (int32_t t = 0; t < b->n_tok; t++) {
        for (int i = 0; i < 48; i++)
            for (int j = 0; j < 48; j++) f->a[i * 48 + j] += x[t * 48 + i] * x[t * 48 + j];
        for (int i = 0; i < 32; i++)
            for (int j = 0; j < 32; j++) f->s[i * 32 + j] += d[t * 32 + i] * d[t * 32 + j];
    }
    f->tokens += b->n_tok;
}

/* Gradient of the forget rows, and factors of layer 0's down projection from
 * single documents with labels drawn here. */
static void statistics(tiny_work *w, naive *f, double *g)
{
    double coef[200], z[64 * TINY_V];
    int32_t label[64];
    ul_batch *b;
    const ul_observer o = {look, f, UL_OBSERVE_BACKWARD};
    const ul_doc *docs[TINY_FORGET];
    for (int64_t k = 0; k < w->t.docs[UL_RETAIN]->n; k++) {
        const ul_doc *d = &w->t.docs[UL_RETAIN]->at[k];
        UL_OK_IN(w->t.ctx, ul_pack_docs(w->t.ctx, ul_ctx_arena(w->t.ctx), &d, 1, false, &b));
        UL_OK_IN(w->t.ctx, ul_model_logits(w->t.ctx, w->t.model, b, z));
        for (int i = 0; i < b->n_row; i++) {
            double sum = 0, part = 0;
            for (int v = 0; v < TINY_V; v++) sum += exp(z[i * TINY_V + v]);
            const double u = sum * ul_rng_uniform(w->t.recipe.seed, UL_STREAM_LABEL, (uint64_t)k, (uint64_t)i);
            for (label[i] = 0; label[i] < TINY_V - 1 && (part += exp(z[i * TINY_V + label[i]])) <= u; label[i]++) {}
            coef[i] = -1;
        }
        b->label = label;
        ul_pass pass = {.batch = b, .flags = UL_PASS_GRAD, .last = -1, .coef = coef, .observer = &o};
        UL_OK_IN(w->t.ctx, ul_model_forward(w->t.ctx, w->t.model, &pass));
        UL_OK_IN(w->t.ctx, ul_model_backward(w->t.ctx, w->t.model, &pass));
    }
    for (int i = 0; i < TINY_FORGET; i++) docs[i] = &w->t.docs[UL_FORGET]->at[i];
    UL_OK_IN(w->t.ctx, ul_pack_docs(w->t.ctx, ul_ctx_arena(w->t.ctx), docs, TINY_FORGET, false, &b));
    assert_true(b->n_row <= 200);
    for (int i = 0; i < b->n_row; i++) coef[i] = -1.0 / b->n_row;
    ul_model_grad_zero(w->t.model);
    ul_pass pass = {.batch = b, .flags = UL_PASS_GRAD, .last = -1, .coef = coef};
    UL_OK_IN(w->t.ctx, ul_model_forward(w->t.ctx, w->t.model, &pass));
    UL_OK_IN(w->t.ctx, ul_model_backward(w->t.ctx, w->t.model, &pass));
    memcpy(g, f->w->g, 32 * 48 * sizeof *g);
}

static void kfade_step(void **state)
{
    static naive f;
    static double g[32 * 48], w0[32 * 48], gt[48 * 32];
    tiny_work w;
    char digest[65];
    ul_weight *weight;
    const ul_procedure *p = procedure_named("kfade");
    (void)state;
    tiny_work_open(&w, p, &(tiny_how){.precision = UL_PRECISION_DOUBLE, .threads = 1});
    set(&w, "kl", 0), set(&w, "scale", 0.01), set(&w, "steps", 1), set(&w, "damping", 0.04);
    const int n = ul_model_weights(w.t.model, &weight);
    for (int i = 0; i < n; i++)
        if (strstr(weight[i].name, "layers.0.mlp.down_proj")) f.w = &weight[i];
    assert_true(f.w && f.w->rows == 32 && f.w->cols == 48);
    memcpy(w0, f.w->p, sizeof w0);
    statistics(&w, &f, g);
    double ta = 0, ts = 0;
    for (int i = 0; i < 48 * 48; i++) f.a[i] /= f.tokens;
    for (int i = 0; i < 32 * 32; i++) f.s[i] /= f.tokens;
    for (int i = 0; i < 48; i++) ta += f.a[i * 49];
    for (int i = 0; i < 32; i++) ts += f.s[i * 33];
    for (int i = 0; i < 48; i++) f.a[i * 49] += 0.2 * ta / 48;
    for (int i = 0; i < 32; i++) f.s[i * 33] += 0.2 * ts / 32;
    solve(f.s, 32, g, 48);
    for (int i = 0; i < 32; i++)
        for (int j = 0; j < 48; j++) gt[j * 32 + i] = g[i * 48 + j];
    solve(f.a, 48, gt, 32);
    tiny_work_run(&w, p, digest);
    double moved = 0;
    for (int i = 0; i < 32; i++)
        for (int j = 0; j < 48; j++) {
            const double step = ((double *)f.w->p)[i * 48 + j] - w0[i * 48 + j], want = 0.01 * gt[j * 32 + i];
            moved = fmax(moved, fabs(step));
            if (!(fabs(step - want) < 1e-9 * (1 + fabs(want)))) fail_msg("%d,%d: %.12g is not %.12g", i, j, step, want);
        }
    assert_true(moved > 1e-6);
    tiny_work_close(&w);
}

/* Stopped in the second stage (the caller's `interrupted`), then resumed in a fresh process's state: the same bits. */
typedef struct {
    int left;
} stop;
static bool stop_now(void *user)
{
    stop *s = user;
    return s->left > 0 && --s->left == 0;
}

static ul_status run_in(const ul_procedure *p, const char *dir, int left, bool resume, char digest[65])
{
    tiny_work w;
    stop s = {left};
    const ul_config config = {.user = &s, .interrupted = stop_now};
    tiny_work_open_as(&w, &config, p, &(tiny_how){.threads = 1});
    w.work.out_dir = dir, w.work.resume = resume, w.work.save_every = 2;
    const ul_status status = p->run(&w.work);
    if (status == UL_OK) UL_OK_IN(w.t.ctx, ul_model_digest(w.t.ctx, w.t.model, digest));
    tiny_work_close(&w);
    return status;
}

static void resumes_to_the_same_bits(void **state)
{
    static const char *const id[] = {"tv", "sku", "undo", "repselect", "kfade", "cir", "mcu", "ilu", "mudman", "tar"};
    (void)state;
    for (size_t k = 0; k < sizeof id / sizeof *id; k++) {
        const ul_procedure *p = procedure_named(id[k]);
        char whole[65], resumed[65];
        char dir[512];
        assert_int_equal(run_in(p, NULL, 0, false, whole), UL_OK);
        for (int left = 1; left <= 9; left += 4) {
            strcpy(dir, ul_test_folder("stages"));
            const ul_status status = run_in(p, dir, left, false, resumed);
            if (status != UL_OK) {
                assert_int_equal(status, UL_E_CRITERION);
                assert_int_equal(run_in(p, dir, 0, true, resumed), UL_OK);
            }
            if (strcmp(whole, resumed)) fail_msg("%s, stopped at the %dth question: other bits", id[k], left);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(q9_sku), cmocka_unit_test(undo_noises_and_recovers),
                                       cmocka_unit_test(undo_in_places), cmocka_unit_test(kfade_step),
                                       cmocka_unit_test(resumes_to_the_same_bits)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
