/* grun.c - a gated low-rank module beside one block: a gate tells the forget set, and only there the hidden state is moved.
 *
 *   h' = h + strength s a R,   s = sigmoid(g h + g0),   a = W h + b - R h      R, W [r, C]
 *   loss of `loss` (npo, graddiff, ...) through h' + gate BCE(s; 1 on forget tokens, 0 on retain tokens)
 *
 * Ren et al. 2025, "A General Framework to Enhance Fine-tuning-based LLM Unlearning" (GRUN), arXiv:2502.17823: rank
 * 4, lr 4e-3, two layers near the middle and the end (16 and 30 of 32); ten epochs are ours. Here one block carries
 * the module: its gradient is then exact with what passes below that block never run backwards. W starts as R and b
 * as 0, so that training begins at the model itself; R is not held orthonormal (LoReFT does). The gradient:  u = R
 * dL/dh';  dR = s (a dL/dh' - u h), dW = s u h, db = s u, d logit = s (1 - s) a u + BCE's. Traps: the gate judges
 * every token by its state alone, the first ones of a prompt among them, which all prompts share. In a small model
 * no gate of this kind can tell: tofu-656k, states after block 1, a logistic regression on all tokens has an AUC of
 * 0.57. What is left is a trade, forget / retain 0.47 / 0.52: strength 1 0.18 / 0.26, 0.4 0.43 / 0.48; block 2, rank
 * 16, gate 10 likewise. */
#include "guard/guard.h"
#include <math.h>
#include <string.h>

static const ul_param params[] = {
    {"strength", UL_REAL, 1, 0, 100, NULL, "how far the hidden state is moved; 0: the guard does nothing", NULL},
    UL_PARAM_LOSS("loss", "npo", "the method whose loss trains the module, with that method's defaults"),
    {"layer", UL_INT, 0, 0, 1000, "blocks", "the block it stands behind, from 1; 0: the last but one", NULL},
    {"r", UL_INT, 4, 1, 256, NULL, "rank", NULL},
    {"gate", UL_REAL, 1, 0, 1e6, NULL, "weight of the gate's own loss", NULL},
    {0}};

static const char *const recipe[] = {"lr", "4e-3", "epochs", "10", NULL};

static const char *const small[] = {"lr", "4e-3", "epochs", "5", ".strength", "0.4", NULL};

/* One array: R [r, C], W [r, C], b [r], g [C], g0. */
typedef struct {
    int r;
    int64_t C, n;
    double strength, *p;
    size_t esize;
} module;

/* While it is trained: states before the module, of the micro-batch at hand; gradients, Adam's moments. */
typedef struct {
    module m;
    const ul_weight *below; /* what writes into the residual stream last: its dy is the gradient of the block's output */
    ul_arena *arena;        /* of the copy */
    double *h, *grad, *first, *second, gate, bce; /* bce: of the step, weighed */
    int32_t batch;
} training;

static int block_of(const ul_args *args, const ul_model *m)
{
    const int n_layer = ul_model_shape(m)->n_layer, asked = (int)ul_num(args, "layer");
    return asked ? asked - 1 : n_layer > 1 ? n_layer - 2 : 0;
}

static ul_status check_block(ul_ctx *ctx, const ul_args *args, const ul_model *m)
{
    const int n_layer = ul_model_shape(m)->n_layer, asked = (int)ul_num(args, "layer");
    return asked <= n_layer ? UL_OK : ul_fail(ctx, UL_E_USAGE, "grun.layer is %d, the model has %d blocks", asked, n_layer);
}

static int64_t size_of(int r, int64_t c)
{
    return 2 * r * c + r + c + 1;
}

/* ---- one state ------------------------------------------------------------------------------------------------------- */
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

/* ---- training -------------------------------------------------------------------------------------------------------- */
static ul_status in_training(void *user, int layer, const ul_batch *b, void *x)
{
    training *t = user;
    (void)layer;
    ul_arena_reset(t->arena);
    UL_NEED(t->h = ul_alloc_raw(t->arena, (size_t)((b->n_tok + 1) * t->m.C), sizeof *t->h));
    move_states(&t->m, b->n_tok, x, t->h);
    return UL_OK;
}

/* Adds the gradient of one token, G = dL/dh'. y: 1 in a forget document; share: of its BCE in the step's. */
static void add_gradient(training *t, const double *h, const double *G, double y, double share)
{
    const module *m = &t->m;
    const double *R = m->p;
    double a[256], u, au = 0, *dR = t->grad, *dW = dR + m->r * m->C, *db = dW + m->r * m->C, *dg = db + m->r;
    const double logit = look(m, h, a), gate = ul_sigmoid(logit), s = m->strength * gate;
    for (int k = 0; k < m->r; k++) {
        u = 0;
        for (int64_t j = 0; j < m->C; j++) u += R[k * m->C + j] * G[j];
        au += a[k] * u;
        db[k] += s * u;
        for (int64_t j = 0; j < m->C; j++) {
            dR[k * m->C + j] += s * (a[k] * G[j] - u * h[j]);
            dW[k * m->C + j] += s * u * h[j];
        }
    }
    t->bce -= t->gate * share * ul_log_sigmoid(y > 0 ? logit : -logit);
    const double d = m->strength * gate * (1 - gate) * au + t->gate * share * (gate - y);
    for (int64_t j = 0; j < m->C; j++) dg[j] += d * h[j];
    dg[m->C] += d;
}

/* Tokens in rising order, micro-batch after micro-batch: one chain a number. */
static void see(void *user, const ul_weight *w, const ul_batch *b, const void *x, const void *dy)
{
    training *t = user;
    double *G = t->h + (int64_t)b->n_tok * t->m.C; /* behind the copy there is one row more */
    (void)x;
    if (w != t->below) return;
    for (int32_t d = 0; d < b->n_doc; d++)
        for (int32_t k = b->doc_start[d]; k < b->doc_start[d + 1]; k++) {
            for (int64_t j = 0; j < t->m.C; j++) G[j] = ul_real_at(dy, (int64_t)k * t->m.C + j, t->m.esize);
            add_gradient(t, t->h + (int64_t)k * t->m.C, G, b->doc_side[d] == UL_FORGET,
                         1 / ((double)t->batch * (b->doc_start[d + 1] - b->doc_start[d])));
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

static ul_status steps(ul_guard_fit *f, training *t, ul_trainer *trainer)
{
    ul_work *w = f->work;
    ul_meter meter;
    ul_guard_kept kept;
    int64_t done;
    const ul_guard_array state[] = {{"module", t->m.p, t->m.n}, {"m", t->first, t->m.n}, {"v", t->second, t->m.n}};
    const int64_t n = ul_recipe_steps(w->recipe, w->forget->n);
    UL_TRY(ul_guard_kept_open(w, "module", state, 3, &kept, &done));
    ul_progress_begin(w->ctx, &meter, "grun", "steps", n);
    meter.skip = done > 0 ? done : 0;
    for (int64_t step = done > 0 ? done : 0; step < n; step++) {
        memset(t->grad, 0, (size_t)t->m.n * sizeof *t->grad);
        t->bce = 0;
        UL_TRY(ul_trainer_gradients(trainer, step, &w->last));
        w->last.loss += t->bce;
        adam(t, w->recipe, ul_recipe_lr(w->recipe, step, n), step + 1);
        ul_progress_step(&meter, step + 1, 0, NULL);
        UL_TRY(ul_guard_kept_step(&kept, step + 1, n));
    }
    w->steps = n;
    return UL_OK;
}

/* The model's passes and the loss are the trainer's; the module's gradient is ours. */
static ul_status train(ul_guard_fit *f, training *t, const ul_method *method, const ul_args *args)
{
    ul_work *w = f->work;
    const unsigned needs = ul_method_needs(method, args);
    const ul_docs *const docs[UL_N_SIDE] = {w->forget, NULL, w->retain};
    const ul_hook hook = {.layer = block_of(w->args, w->model), .slot = UL_SLOT_OUT, .mode = UL_HOOK_ADD, .fn = in_training, .user = t};
    const ul_observer observer = {.fn = see, .user = t, .when = UL_OBSERVE_BACKWARD | UL_OBSERVE_INSTEAD};
    ul_recipe sgd = *w->recipe; /* nothing of the model moves: no moments */
    ul_reference *ref[UL_N_SIDE] = {NULL};
    ul_pairing pairing;
    ul_trainer *trainer;
    const char *dir;
    sgd.optim = UL_SGD, sgd.momentum = 0;
    t->batch = sgd.batch;
    UL_TRY(ul_work_stage_dir(w, "module", &dir));
    for (int s = 0; s < UL_N_SIDE; s++)
        if (ul_reference_kind(needs, s))
            UL_TRY(ul_reference_open(w->ctx, w->arena, w->model, dir, f->model_digest, docs[s], ul_reference_kind(needs, s) == UL_REF_HIDDEN, &ref[s]));
    UL_TRY(ul_pairing_init(w->ctx, w->arena, w->forget, w->retain, sgd.seed, true, &pairing));
    UL_TRY(ul_model_select(w->ctx, w->model, t->below->name));
    const ul_trainer_options o = {.model = w->model, .method = method, .args = args, .recipe = &sgd, .micro_batch = w->micro_batch,
                                  .checkpoint = w->checkpoint, .pairing = &pairing, .ref = {ref[UL_FORGET], ref[UL_ALT], ref[UL_RETAIN]},
                                  .hook = &hook, .n_hook = 1, .observer = &observer};
    UL_TRY(ul_trainer_new(w->ctx, &o, ul_recipe_steps(w->recipe, w->forget->n), &trainer));
    const ul_status s = steps(f, t, trainer);
    ul_trainer_free(trainer);
    UL_TRY(s);
    return ul_model_select(w->ctx, w->model, "none");
}

/* The last matrix of the block's mlp. */
static const ul_weight *last_matrix(ul_model *m, int block)
{
    const ul_shape *s = ul_model_shape(m);
    ul_weight *w;
    const int n = ul_model_weights(m, &w);
    for (int i = 0; i < n; i++)
        if (w[i].layer == block && !w[i].is_bias && !w[i].is_norm && w[i].rows == s->C && w[i].cols == s->F && strstr(w[i].name, "mlp")) return &w[i];
    return NULL;
}

static ul_status fit(ul_guard_fit *f)
{
    ul_work *w = f->work;
    const int r = (int)ul_num(w->args, "r");
    const int64_t c = ul_model_shape(w->model)->C, n = size_of(r, c);
    const ul_method *method;
    training t = {.m = {.r = r, .C = c, .n = n, .strength = 1, .esize = ul_model_backend(w->model)->k->esize}, .gate = ul_num(w->args, "gate")};
    ul_args args;
    UL_TRY(ul_work_loss(w, "loss", &method, &args));
    if (ul_method_needs(method, &args) & UL_NEED_STATE)
        return ul_fail(w->ctx, UL_E_USAGE, "grun.loss is \"%s\", which reads hidden states: take one that does not (npo, graddiff)",
                       ul_txt(w->args, "loss"));
    UL_TRY(check_block(w->ctx, w->args, w->model));
    UL_NEED(t.m.p = UL_NEW(w->arena, double, n));
    UL_NEED(t.grad = UL_NEW(w->arena, double, n));
    UL_NEED(t.first = UL_NEW(w->arena, double, n));
    UL_NEED(t.second = UL_NEW(w->arena, double, n));
    for (int64_t i = 0; i < r * c; i++) /* R, and W the same */
        t.m.p[i] = t.m.p[r * c + i] = ul_rng_normal(w->recipe->seed, UL_STREAM_LORA, 1, (uint64_t)i) / sqrt((double)c);
    t.below = last_matrix(w->model, block_of(w->args, w->model));
    if (!t.below) return ul_fail(w->ctx, UL_E_USAGE, "grun: block %d of this family has no mlp that ends in one matrix", block_of(w->args, w->model) + 1);
    UL_TRY(ul_arena_new(w->ctx, "states before the module", &t.arena));
    const ul_status s = train(f, &t, method, &args);
    ul_arena_free(t.arena);
    UL_TRY(s);
    f->tensor[f->n_tensor++] = (ul_tensor){.name = "module", .dtype = UL_DT_F64, .n_dim = 1, .dim = {n}, .data = t.m.p, .bytes = (size_t)n * sizeof(double)};
    return ul_buf_printf(w->report, "the module behind block %d was trained %lld steps: NLL of forget answers %.4g, of retain answers %.4g\n",
                         block_of(w->args, w->model) + 1, (long long)w->steps, w->last.forget_loss, w->last.retain_loss);
}

/* ---- use ------------------------------------------------------------------------------------------------------------- */
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

static ul_status open(ul_guard_file *g)
{
    module *m = UL_NEW(g->arena, module, 1);
    const ul_tensor *t;
    UL_NEED(m);
    *m = (module){.r = (int)ul_num(&g->args, "r"), .C = ul_model_shape(g->model)->C, .strength = ul_num(&g->args, "strength"),
                  .esize = ul_model_backend(g->model)->k->esize};
    m->n = size_of(m->r, m->C);
    UL_TRY(check_block(g->ctx, &g->args, g->model));
    if (!g->weights) return ul_fail(g->ctx, UL_E_INPUT, "%s: names no weights, and grun has a module", g->path);
    UL_TRY(ul_tensors_need(g->ctx, g->weights, "module", &t));
    if (ul_tensor_count(t) != m->n)
        return ul_fail(g->ctx, UL_E_INPUT, "%s: tensor \"module\" has %lld numbers, rank %d and states of %lld make %lld", t->file,
                       (long long)ul_tensor_count(t), m->r, (long long)m->C, (long long)m->n);
    UL_NEED(m->p = UL_NEW(g->arena, double, m->n + m->C));
    g->state = m;
    return ul_tensor_f64(g->ctx, t, 0, m->n, m->p);
}

static ul_status prepare(ul_guard_file *g, ul_arena *arena, ul_guarded *io)
{
    const module *m = g->state;
    (void)arena;
    if (m->strength > 0)
        io->hook[io->n_hook++] = (ul_hook){.layer = block_of(&g->args, g->model), .slot = UL_SLOT_OUT, .mode = UL_HOOK_ADD, .fn = in_use, .user = g->state};
    return UL_OK;
}

static const ul_runs runs[] = {{.what = "module", .kind = UL_RUNS_TRAIN, .loss_of = "loss"}, {0}};

const ul_guard ul_guard_grun = {
    .method = {.title = "Gated representation unlearning",
               .paper = "arXiv:2502.17823",
               .note = "A low-rank module beside one block, behind a gate that opens for the forget set. The model's weights stay.",
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
