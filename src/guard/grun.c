/* grun.c - a gated low-rank module behind a block or several: a gate tells the forget set, and only there the hidden
 * state is moved.
 *
 *   h' = h + strength s a R,   s = sigmoid(g h + g0),   a = W h + b - R h      R, W [r, C]
 *   loss of `loss` (npo, graddiff, ...) through h'
 *     + gate sum over modules BCE(s; 1 on forget tokens, 0 on retain tokens)
 *
 * Ren et al. 2025, "A General Framework to Enhance Fine-tuning-based LLM Unlearning" (GRUN), arXiv:2502.17823: rank 4,
 * lr 4e-3, behind blocks 16 and 30 of 32, counted from 0; ten epochs are ours. Models of few blocks have one, the last
 * but one. W starts as R and b as 0, so that training begins at the model itself; R is not held orthonormal (LoReFT
 * does).
 * The gradient:  u = R dL/dh';  dR = s (a dL/dh' - u h), dW = s u h, db = s u, d logit = s (1 - s) a u + BCE's;
 *   dL/dh = dL/dh' + s (W - R)^T u + g d logit, for the modules below.
 * Traps: the gate judges every token by its state alone, the first ones of a prompt among them, which all prompts
 * share. In a small model no gate of this kind can tell: tofu-656k, states after block 1, a logistic regression on all
 * tokens has an AUC of 0.57. What is left is a trade, forget / retain 0.47 / 0.52: strength 1 0.18 / 0.26, 0.4 0.43 /
 * 0.48; block 2, rank 16, gate 10 likewise. */
#include "guard/guard.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const ul_param params[] = {
    {"strength", UL_REAL, 1, 0, 100, NULL, "how far the hidden state is moved; 0: the guard does nothing", NULL},
    UL_PARAM_LOSS("loss", "npo", "the method whose loss trains the module, with that method's defaults"),
    {"layer", UL_TEXT, 0, 0, 0, NULL,
     "the blocks it stands behind, from 1, joined with commas; 0: the last but one; empty: the paper's two, in a model "
     "of less than 8 blocks the last but one", ""},
    {"r", UL_INT, 4, 1, 256, NULL, "rank", NULL},
    {"gate", UL_REAL, 1, 0, 1e6, NULL, "weight of the gate's own loss", NULL},
    {0}};

static const char *const recipe[] = {"lr", "4e-3", "epochs", "10", NULL};

static const char *const small[] = {"lr", "4e-3", "epochs", "5", ".strength", "0.4", ".layer", "0", NULL};

/* One array: R [r, C], W [r, C], b [r], g [C], g0. */
typedef struct {
    int layer, r;
    int64_t C, n;
    double strength, *p;
    size_t esize;
} module;

/* While it is trained: states before the module, of the micro-batch at hand; gradients, Adam's moments. */
typedef struct {
    module m;
    ul_arena *arena; /* of the states */
    double *h, *grad, *first, *second, gate, bce; /* bce: of the step, weighed */
    int32_t batch;
} training;

/* Blocks, from 0, rising. */
typedef struct {
    int n, at[UL_GUARD_HOOKS];
} places;

static int rising(const void *a, const void *b)
{
    return *(const int *)a - *(const int *)b;
}

static ul_status read_places(ul_ctx *ctx, const ul_args *args, const ul_model *m, places *out)
{
    const int n_layer = ul_model_shape(m)->n_layer, last = n_layer > 1 ? n_layer - 2 : 0;
    const char *list = ul_txt(args, "layer");
    *out = (places){.n = 1, .at = {last}};
    if (!list[0] && n_layer >= UL_FEW_BLOCKS) *out = (places){.n = 2, .at = {n_layer / 2, last}};
    if (!list[0] || !strcmp(list, "0")) return UL_OK;
    out->n = 0;
    for (const char *s = list; *s;) {
        char *end;
        const long l = strtol(s, &end, 10);
        if (end == s || (*end && (*end != ',' || !end[1])) || out->n == UL_GUARD_HOOKS)
            return ul_fail(ctx, UL_E_USAGE, "--grun.layer \"%s\": up to %d numbers of blocks from 1, joined with "
                           "commas", list, (int)UL_GUARD_HOOKS);
        if (l < 1 || l > n_layer)
            return ul_fail(ctx, UL_E_USAGE, "--grun.layer = %ld: the model has %d blocks, 1 to %d", l, n_layer,
                           n_layer);
        out->at[out->n++] = (int)l - 1;
        s = end + (*end == ',');
    }
    qsort(out->at, (size_t)out->n, sizeof *out->at, rising);
    for (int i = 1; i < out->n; i++)
        if (out->at[i] == out->at[i - 1])
            return ul_fail(ctx, UL_E_USAGE, "--grun.layer \"%s\": block %d is named twice", list,
                           out->at[i] + 1);
    return UL_OK;
}

static int64_t size_of(int r, int64_t c)
{
    return 2 * r * c + r + c + 1;
}

/* ---- one state --------------------------------------------------------------------------------------------------- */
/* a [r] and the logit of the gate's s of a state h. */
static double look(const module *m, const double *h, double *a)
{
    const double *R = m->p, *W = R + m->r * m->C, *b = W + m->r * m->C, *g = b + m->r;
    double logit = g[m->C];
    for (int64_t j = 0; j < m->C; j++) logit += g[j] * h[j];
    for (int k = 0; k < m->r; k++) {
        a[k] = b[k];
        for (int64_t j = 0; j < m->C; j++) a[k] += (W[k * m->C + j] - R[k * m->C + j]) * h[j];
    }
    return logit;
}

/* x [n_tok, C]: every state moved. */
static void move_states(const module *m, int32_t n_tok, void *x, double *keep)
{
    double a[256];
    for (int32_t t = 0; t < n_tok; t++) {
        double *h = keep + (int64_t)t * m->C;
        for (int64_t j = 0; j < m->C; j++) h[j] = ul_real_at(x, (int64_t)t * m->C + j, m->esize);
        const double s = m->strength * ul_sigmoid(look(m, h, a));
        for (int64_t j = 0; j < m->C; j++) {
            double d = 0;
            for (int k = 0; k < m->r; k++) d += a[k] * m->p[k * m->C + j];
            ul_real_put(x, (int64_t)t * m->C + j, m->esize, h[j] + s * d);
        }
    }
}

/* ---- training ---------------------------------------------------------------------------------------------------- */
static ul_status in_training(void *user, int layer, const ul_batch *b, void *x)
{
    training *t = user;
    (void)layer;
    ul_arena_reset(t->arena);
    UL_NEED(t->h = ul_alloc_raw(t->arena, (size_t)((b->n_tok + 1) * t->m.C), sizeof *t->h));
    move_states(&t->m, b->n_tok, x, t->h);
    return UL_OK;
}

/* Adds the gradient of one token; G comes as dL/dh' and leaves as dL/dh. y: 1 in a forget document; share: of its BCE
 * in the step's. */
static void add_gradient(training *t, const double *h, double *G, double y, double share)
{
    const module *m = &t->m;
    const double *R = m->p, *W = R + m->r * m->C, *g = W + m->r * m->C + m->r;
    double a[256], u[256], au = 0, *dR = t->grad, *dW = dR + m->r * m->C, *db = dW + m->r * m->C, *dg = db + m->r;
    const double logit = look(m, h, a), gate = ul_sigmoid(logit), s = m->strength * gate;
    for (int k = 0; k < m->r; k++) {
        u[k] = 0;
        for (int64_t j = 0; j < m->C; j++) u[k] += R[k * m->C + j] * G[j];
        au += a[k] * u[k];
        db[k] += s * u[k];
        for (int64_t j = 0; j < m->C; j++) {
            dR[k * m->C + j] += s * (a[k] * G[j] - u[k] * h[j]);
            dW[k * m->C + j] += s * u[k] * h[j];
        }
    }
    t->bce -= t->gate * share * ul_log_sigmoid(y > 0 ? logit : -logit);
    const double d = m->strength * gate * (1 - gate) * au + t->gate * share * (gate - y);
    for (int64_t j = 0; j < m->C; j++) dg[j] += d * h[j];
    dg[m->C] += d;
    for (int64_t j = 0; j < m->C; j++) {
        G[j] += d * g[j];
        for (int k = 0; k < m->r; k++) G[j] += s * u[k] * (W[k * m->C + j] - R[k * m->C + j]);
    }
}

/* Tokens in rising order, micro-batch after micro-batch: one chain a number. */
static void back(void *user, int layer, const ul_batch *b, void *dx)
{
    training *t = user;
    const int64_t c = t->m.C;
    double *G = t->h + (int64_t)b->n_tok * c; /* behind the states there is one row more */
    (void)layer;
    for (int32_t d = 0; d < b->n_doc; d++)
        for (int32_t k = b->doc_start[d]; k < b->doc_start[d + 1]; k++) {
            for (int64_t j = 0; j < c; j++) G[j] = ul_real_at(dx, k * c + j, t->m.esize);
            add_gradient(t, t->h + k * c, G, b->doc_side[d] == UL_FORGET,
                         1 / ((double)t->batch * (b->doc_start[d + 1] - b->doc_start[d])));
            for (int64_t j = 0; j < c; j++) ul_real_put(dx, k * c + j, t->m.esize, G[j]);
        }
}

static void adam(training *t, const ul_recipe *r, double lr, int64_t step)
{
    const double c1 = 1 - ul_pow(r->beta1, (double)step), c2 = 1 - ul_pow(r->beta2, (double)step);
    for (int64_t i = 0; i < t->m.n; i++) {
        t->first[i] = r->beta1 * t->first[i] + (1 - r->beta1) * t->grad[i];
        t->second[i] = r->beta2 * t->second[i] + (1 - r->beta2) * t->grad[i] * t->grad[i];
        t->m.p[i] -= lr * (t->first[i] / c1) / (sqrt(t->second[i] / c2) + r->eps);
    }
}

static ul_status steps(ul_guard_fit *f, training *t, int n_module, ul_trainer *trainer)
{
    ul_work *w = f->work;
    ul_meter meter;
    ul_guard_kept kept;
    int64_t done;
    const int64_t all = n_module * t->m.n; /* of all modules, one array behind the other */
    const ul_guard_array state[] = {{"module", t->m.p, all}, {"m", t->first, all}, {"v", t->second, all}};
    const int64_t n = ul_recipe_steps(w->recipe, w->forget->n);
    UL_TRY(ul_guard_kept_open(w, "module", state, 3, &kept, &done));
    ul_progress_begin(w->ctx, &meter, "grun", "steps", n);
    meter.skip = done > 0 ? done : 0;
    for (int64_t step = done > 0 ? done : 0; step < n; step++) {
        for (int k = 0; k < n_module; k++) memset(t[k].grad, 0, (size_t)t[k].m.n * sizeof *t[k].grad), t[k].bce = 0;
        UL_TRY(ul_trainer_gradients(trainer, step, &w->last));
        for (int k = 0; k < n_module; k++) {
            w->last.loss += t[k].bce;
            adam(&t[k], w->recipe, ul_recipe_lr(w->recipe, step, n), step + 1);
        }
        ul_progress_step(&meter, step + 1, 0, NULL);
        UL_TRY(ul_guard_kept_step(&kept, step + 1, n));
    }
    w->steps = n;
    return UL_OK;
}

/* The model's passes and the loss are the trainer's; the modules' gradients are ours. */
static ul_status train(ul_guard_fit *f, training *t, int n_module, const ul_method *method, const ul_args *args)
{
    ul_work *w = f->work;
    const unsigned needs = ul_method_needs(method, args);
    const ul_docs *const docs[UL_N_SIDE] = {w->forget, NULL, w->retain};
    /* A weight is "trained" only so that passes run backward down to the lowest module; it gets no gradient. */
    const ul_weight *below = ul_model_role(w->model, t[0].m.layer, UL_ROLE_DOWN, false);
    const ul_observer observer = {.when = UL_OBSERVE_INSTEAD};
    ul_hook hook[UL_GUARD_HOOKS];
    ul_recipe sgd = *w->recipe; /* nothing of the model moves: no moments */
    ul_reference *ref[UL_N_SIDE] = {NULL};
    ul_pairing pairing;
    ul_trainer *trainer;
    const char *dir;
    sgd.optim = UL_SGD, sgd.momentum = 0;
    for (int k = 0; k < n_module; k++) {
        t[k].batch = sgd.batch;
        hook[k] = (ul_hook){t[k].m.layer, UL_SLOT_OUT, UL_HOOK_ADD, in_training, &t[k], back};
    }
    UL_TRY(ul_work_stage_dir(w, "module", &dir));
    for (int s = 0; s < UL_N_SIDE; s++)
        if (ul_reference_kind(needs, s))
            UL_TRY(ul_reference_open(w->ctx, w->arena, w->model, dir, f->model_digest, docs[s],
                                     ul_reference_kind(needs, s) == UL_REF_HIDDEN, &ref[s]));
    UL_TRY(ul_pairing_init(w->ctx, w->arena, w->forget, w->retain, sgd.seed, true, &pairing));
    UL_TRY(ul_model_select(w->ctx, w->model, below->name));
    const ul_trainer_options o = {.model = w->model, .method = method, .args = args, .recipe = &sgd,
                                  .micro_batch = w->micro_batch, .checkpoint = w->checkpoint, .pairing = &pairing,
                                  .ref = {ref[UL_FORGET], ref[UL_ALT], ref[UL_RETAIN]}, .hook = hook,
                                  .n_hook = n_module, .observer = &observer};
    UL_TRY(ul_trainer_new(w->ctx, &o, ul_recipe_steps(w->recipe, w->forget->n), &trainer));
    const ul_status s = steps(f, t, n_module, trainer);
    ul_trainer_free(trainer);
    UL_TRY(s);
    return ul_model_select(w->ctx, w->model, "none");
}

/* Module k of arrays of all modules: parameters with W the same as R and all else 0, and Adam's moments. */
static ul_status begin(ul_work *w, int k, double *const array[3], training *t)
{
    module *m = &t->m;
    m->p = array[0] + k * m->n, t->first = array[1] + k * m->n, t->second = array[2] + k * m->n;
    UL_NEED(t->grad = UL_NEW(w->arena, double, m->n));
    for (int64_t i = 0; i < m->r * m->C; i++)
        m->p[i] = m->p[m->r * m->C + i] =
            ul_rng_normal(w->recipe->seed, UL_STREAM_LORA, 1 + (uint64_t)k, (uint64_t)i) / sqrt((double)m->C);
    return ul_arena_new(w->ctx, "states before the module", &t->arena);
}

static ul_status report(ul_guard_fit *f, const places *at)
{
    ul_work *w = f->work;
    UL_TRY(ul_buf_printf(w->report, at->n > 1 ? "the modules behind blocks" : "the module behind block"));
    for (int k = 0; k < at->n; k++) UL_TRY(ul_buf_printf(w->report, "%s %d", k ? "," : "", at->at[k] + 1));
    return ul_buf_printf(w->report, " %s trained %lld steps: NLL of forget answers %.4g, of retain answers %.4g\n",
                         at->n > 1 ? "were" : "was", (long long)w->steps, w->last.forget_loss, w->last.retain_loss);
}

static ul_status fit(ul_guard_fit *f)
{
    ul_work *w = f->work;
    const int r = (int)ul_num(w->args, "r");
    const int64_t c = ul_model_shape(w->model)->C, n = size_of(r, c);
    const ul_method *method;
    training t[UL_GUARD_HOOKS] = {0};
    ul_status s = UL_OK;
    places at;
    double *array[3];
    ul_args args;
    UL_TRY(ul_work_loss(w, "loss", &method, &args));
    if (ul_method_needs(method, &args) & UL_NEED_STATE)
        return ul_fail(w->ctx, UL_E_USAGE,
                       "grun.loss is \"%s\", which reads hidden states: take one that does not (npo, graddiff)",
                       ul_txt(w->args, "loss"));
    UL_TRY(read_places(w->ctx, w->args, w->model, &at));
    for (int i = 0; i < 3; i++) UL_NEED(array[i] = UL_NEW(w->arena, double, at.n * n));
    for (int k = 0; k < at.n && s == UL_OK; k++) {
        t[k] = (training){.m = {.layer = at.at[k], .r = r, .C = c, .n = n, .strength = 1,
                                .esize = ul_model_backend(w->model)->k->esize}, .gate = ul_num(w->args, "gate")};
        s = begin(w, k, array, &t[k]);
    }
    if (s == UL_OK) s = train(f, t, at.n, method, &args);
    for (int k = 0; k < at.n; k++) ul_arena_free(t[k].arena);
    UL_TRY(s);
    f->tensor[f->n_tensor++] = (ul_tensor){.name = "module", .dtype = UL_DT_F64, .n_dim = 1, .dim = {at.n * n},
                                           .data = array[0], .bytes = (size_t)(at.n * n) * sizeof(double)};
    return report(f, &at);
}

/* ---- use --------------------------------------------------------------------------------------------------------- */
static ul_status in_use(void *user, int layer, const ul_batch *b, void *x)
{
    const module *m = user;
    (void)layer;
    for (int32_t t = 0; t < b->n_tok; t++) { /* a token at a time: m->n numbers of parameters, then a state */
        void *one = (char *)x + (size_t)((int64_t)t * m->C) * m->esize;
        move_states(m, 1, one, m->p + m->n);
    }
    return UL_OK;
}

typedef struct {
    int n;
    module *m;
} opened;

static ul_status open(ul_guard_file *g)
{
    const int r = (int)ul_num(&g->args, "r");
    const int64_t c = ul_model_shape(g->model)->C, n = size_of(r, c);
    opened *o = UL_NEW(g->arena, opened, 1);
    const ul_tensor *t;
    places at;
    UL_NEED(o);
    UL_TRY(read_places(g->ctx, &g->args, g->model, &at));
    if (!g->weights) return ul_fail(g->ctx, UL_E_INPUT, "%s: names no weights, and grun has a module", g->path);
    UL_TRY(ul_tensors_need(g->ctx, g->weights, "module", &t));
    if (ul_tensor_count(t) != at.n * n)
        return ul_fail(g->ctx, UL_E_INPUT,
                       "%s: tensor \"module\" has %lld numbers; rank %d, states of %lld and %d blocks make %lld",
                       t->file, (long long)ul_tensor_count(t), r, (long long)c, at.n, (long long)(at.n * n));
    *o = (opened){.n = at.n, .m = UL_NEW(g->arena, module, at.n)};
    UL_NEED(o->m);
    for (int k = 0; k < at.n; k++) {
        o->m[k] = (module){.layer = at.at[k], .r = r, .C = c, .n = n, .strength = ul_num(&g->args, "strength"),
                           .p = UL_NEW(g->arena, double, n + c), .esize = ul_model_backend(g->model)->k->esize};
        UL_NEED(o->m[k].p);
        UL_TRY(ul_tensor_f64(g->ctx, t, k * n, n, o->m[k].p));
    }
    g->state = o;
    return UL_OK;
}

static ul_status prepare(ul_guard_file *g, ul_arena *arena, ul_guarded *io)
{
    const opened *o = g->state;
    (void)arena;
    for (int k = 0; k < o->n && o->m[k].strength > 0; k++)
        io->hook[io->n_hook++] = (ul_hook){.layer = o->m[k].layer, .slot = UL_SLOT_OUT, .mode = UL_HOOK_ADD,
                                           .fn = in_use, .user = &o->m[k]};
    return UL_OK;
}

static const ul_runs runs[] = {{.what = "module", .kind = UL_RUNS_TRAIN, .loss_of = "loss"}, {0}};

const ul_guard ul_guard_grun = {
    .method = {.title = "Gated representation unlearning",
               .paper = "arXiv:2502.17823",
               .note = "Low-rank modules behind one block or several, each with a gate that opens for the forget set. "
                       "The model's weights stay.",
               .intent = UL_SUPPRESSION,
               .level = UL_LEVEL_HIDDEN,
               .params = params,
               .needs = UL_NEED_FORGET | UL_NEED_RETAIN,
               .recipe = recipe,
               .small = small},
    .fit = fit,
    .runs = runs,
    .open = open,
    .prepare = prepare,
};
