/* cir.c - collapse of irrelevant representations: each token's part of a weight's gradient loses what is common to all tokens.
 *
 *   a~ = (I - P_a P_a^T)(a - mu_a),   g~ likewise         of the inputs and output gradients of the mlps' matrices
 *   dW = sum_t g~_t a~_t^T  (+ the retain part),   W <- W - lr |W_0| dW / |dW|
 *
 * mu and the first k components P are gathered over the forget rows before the run, g~ from the gradients of the loss
 * itself (`from`; nll: of the likelihood). Both maps are the same for all tokens, so the sum is collapsed once:
 *   sum g~ a~^T = (I - P_g P_g^T)(G - mu_g A^T - B mu_a^T + n mu_g mu_a^T)(I - P_a P_a^T)
 * with G = sum g a^T, A = sum a, B = sum g. Sondej and Yang 2025, arXiv:2509.11816; code: filyp/unlearning. Theirs is
 * the loss mlp_confuse (_losses.c), any method of the registry may take its place. Here components are not gathered
 * anew each epoch, and a step is lr of the weights' norm, where theirs is lr itself, which means nothing on another
 * model (nor was a number of theirs to be had: the usual rate, as a share). Traps: the first token of a document is in
 * neither, or its outlier is the first component; the loss must be bounded, since steps have one length; SGD, because
 * Adam would scale the collapsed directions up again.
 * tofu-656k, forget / retain 0.47 / 0.52: four epochs at 4e-3 0.27 / 0.45 (npo, from nll). */
#include "procedure/_components.h"
#include "procedure/_lapack.h"
#include <math.h>
#include <string.h>

static const ul_param params[] = {
    UL_PARAM_LOSS("loss", "mlp_confuse",
                  "mlp_confuse, or the method whose forget gradient is collapsed, by its defaults; small models: npo"),
    {"from", UL_TEXT, 0, 0, 0, "own|nll",
     "the output gradients that components are found in: the loss's own, or the NLL's; in small models nll", "own"},
    {"components", UL_INT, 16, 0, 1e6, NULL, "that are removed on either side; at most an eighth of the width", NULL},
    {0}};

static const char *const small[] = {"lr", "4e-3", "epochs", "4", ".loss", "npo", ".from", "nll", NULL};

enum { WHAT = UL_FACTOR_X | UL_FACTOR_D | UL_FACTOR_NO_FIRST };

/* Sums over the tokens of a step, of one layer. */
typedef struct {
    double *x, *d;
    int64_t n;
} sums;
typedef struct {
    ul_work *w;
    ul_components c;
    ul_factors f;
    sums *sum;
    bool gather;   /* what components are found in is being gathered */
    bool collapse; /* the forget part is under way */
    double norm;   /* of all that moves, before the run */
    ul_arena *scratch;
} state;

/* Into the sums of moments; first tokens stay out. */
static void gather(state *s, const ul_weight *w, const ul_batch *b, const void *x, const void *dy)
{
    const ul_mark mark = ul_arena_mark(s->scratch);
    const size_t esize = ul_model_backend(s->w->model)->k->esize;
    s->f.x = ul_alloc_raw(s->scratch, (size_t)(b->n_tok * w->cols), esize);
    s->f.dy = ul_alloc_raw(s->scratch, (size_t)(b->n_tok * w->rows), esize);
    if (s->f.x && s->f.dy) ul_factors_add(&s->f, WHAT, w, b, x, dy); /* else the message is in the context */
    ul_arena_rewind(s->scratch, mark);
}

static void look(void *user, const ul_weight *w, const ul_batch *b, const void *x, const void *dy)
{
    state *s = user;
    const ul_backend *be = ul_model_backend(s->w->model);
    const ul_component *c = ul_component_of(&s->c, w);
    int64_t n = b->n_tok;
    char *px = NULL, *pd = NULL;
    if (!w->g) return;
    if (s->gather) {
        gather(s, w, b, x, dy);
        return;
    }
    const ul_mark mark = ul_arena_mark(s->scratch);
    if (s->collapse && c) {
        px = ul_alloc_raw(s->scratch, (size_t)(n * w->cols), be->k->esize);
        pd = ul_alloc_raw(s->scratch, (size_t)(n * w->rows), be->k->esize);
        if (!px || !pd) return; /* the message is in the context; begin() has asked for as much before */
        n = ul_skip_first(be, b, w->cols, x, px);
        ul_skip_first(be, b, w->rows, dy, pd);
        sums *sum = &s->sum[c - s->c.at];
        for (int64_t t = 0; t < n; t++) {
            for (int64_t j = 0; j < w->cols; j++) sum->x[j] += ul_real_at(px, t * w->cols + j, be->k->esize);
            for (int64_t j = 0; j < w->rows; j++) sum->d[j] += ul_real_at(pd, t * w->rows + j, be->k->esize);
        }
        sum->n += n;
        x = px, dy = pd;
    }
    be->k->gemm(be, &(ul_gemm){.m = w->rows, .n = w->cols, .k = n, .a = dy, .a_row = 1, .a_col = w->rows, .b = x, .b_row = w->cols,
                               .b_col = 1, .c = w->g, .c_row = w->cols, .add = true});
    ul_arena_rewind(s->scratch, mark);
}

static ul_status begin(state *s)
{
    UL_NEED(s->sum = UL_NEW(s->w->arena, sums, s->c.n));
    for (int i = 0; i < s->c.n; i++) {
        UL_NEED(s->sum[i].x = UL_NEW(s->w->arena, double, s->c.at[i].w->cols));
        UL_NEED(s->sum[i].d = UL_NEW(s->w->arena, double, s->c.at[i].w->rows));
    }
    return UL_OK;
}

/* Components from the steps of an epoch that are not taken. */
static ul_status calibrate(ul_wrap *w)
{
    state *s = w->user;
    const int64_t n = s->w->forget->n, batch = w->o->recipe->batch, k = (int64_t)ul_num(s->w->args, "components");
    ul_arena *moments;
    if (s->c.at) return UL_OK; /* the likelihood's are there */
    UL_TRY(ul_arena_new(w->ctx, "moments", &moments));
    ul_status status = ul_factors_begin(s->w, moments, WHAT, &s->f);
    s->gather = true;
    for (int64_t i = 0; i * batch < n && status == UL_OK; i++) {
        ul_step_result unused = {0};
        status = ul_wrap_gradient(w, i, ul_wrap_sides(w, false), &unused);
        if (status == UL_OK && ul_interrupted(w->ctx))
            status = ul_fail(w->ctx, UL_E_CRITERION, "interrupted while components were gathered");
    }
    s->gather = false;
    ul_model_grad_zero(w->o->model);
    if (status == UL_OK) status = ul_components_from(s->w, &s->f, k, &s->c);
    ul_arena_free(moments);
    return status == UL_OK ? begin(s) : status;
}

/* The gradient that stands in w->g, of tokens that add up to `sum`. */
static ul_status collapse(state *s, const ul_component *c, const sums *sum)
{
    const ul_weight *w = c->w;
    const size_t esize = ul_model_backend(s->w->model)->k->esize;
    const ul_mark mark = ul_arena_mark(s->scratch);
    double *g = UL_NEW(s->scratch, double, w->rows * w->cols);
    UL_NEED(g);
    for (int64_t i = 0; i < w->rows; i++)
        for (int64_t j = 0; j < w->cols; j++)
            g[i * w->cols + j] = ul_real_at(w->g, i * w->cols + j, esize) - c->d_mean[i] * sum->x[j] - sum->d[i] * c->x_mean[j] +
                                 (double)sum->n * c->d_mean[i] * c->x_mean[j];
    UL_TRY(ul_remove_left(s->scratch, w->rows, w->cols, c->kd, c->d, NULL, g));
    UL_TRY(ul_remove_right(s->scratch, w->rows, w->cols, c->kx, c->x, NULL, g));
    for (int64_t i = 0; i < w->rows * w->cols; i++) ul_real_put(w->g, i, esize, g[i]);
    ul_arena_rewind(s->scratch, mark);
    return UL_OK;
}

static ul_status part(ul_wrap *w, ul_step_result *r)
{
    state *s = w->user;
    for (int i = 0; i < s->c.n; i++) {
        const ul_weight *x = s->c.at[i].w;
        memset(s->sum[i].x, 0, (size_t)x->cols * sizeof(double));
        memset(s->sum[i].d, 0, (size_t)x->rows * sizeof(double));
        s->sum[i].n = 0;
    }
    s->collapse = true;
    const ul_status status = ul_wrap_gradient(w, w->step, ul_wrap_sides(w, false), r);
    s->collapse = false;
    UL_TRY(status);
    for (int i = 0; i < s->c.n; i++) UL_TRY(collapse(s, &s->c.at[i], &s->sum[i]));
    return UL_OK;
}

/* Both parts together, as a direction as long as the weights were. */
static ul_status combine(ul_wrap *w)
{
    const state *s = w->user;
    double sum = 0;
    for (int i = 0; i < w->n_train; i++) {
        w->be->k->axpy(w->be, w->train[i].n, 1, w->forget[i], w->g[i]);
        sum += w->be->k->sum_squares(w->be, w->train[i].n, w->g[i]);
    }
    for (int i = 0; sum > 0 && i < w->n_train; i++) w->be->k->scale(w->be, w->train[i].n, s->norm / sqrt(sum), w->g[i]);
    return UL_OK;
}

static const ul_wrapper wrapper = {.title = "CIR", .calibrate = calibrate, .part = part, .combine = combine};

static ul_status run(ul_work *w)
{
    ul_args args;
    const ul_method *loss;
    state s = {.w = w};
    ul_recipe r = *w->recipe;
    UL_TRY(ul_work_whole(w));
    UL_TRY(ul_work_loss(w, "loss", &loss, &args));
    UL_TRY(ul_work_select_mlp(w));
    if (!strcmp(ul_txt(w->args, "from"), "nll")) {
        UL_TRY(ul_components_find(w, w->forget, WHAT, (int64_t)ul_num(w->args, "components"), &s.c));
        UL_TRY(begin(&s));
    }
    s.norm = ul_work_norm(w);
    UL_TRY(ul_arena_new(w->ctx, "cir", &s.scratch));
    const ul_wrapping wrap = {w->id, &wrapper, w->args, &s};
    const ul_observer observer = {look, &s, UL_OBSERVE_INSTEAD};
    r.optim = UL_SGD, r.momentum = r.weight_decay = r.clip = 0;
    const ul_status status = ul_work_stage(w, &(ul_stage){.name = "cir", .method = loss, .args = &args, .recipe = &r, .forget = w->forget,
                                                          .retain = w->retain, .wrap = &wrap, .n_wrap = 1, .observer = &observer});
    ul_arena_free(s.scratch);
    return status;
}

static const ul_runs runs[] = {
    {.what = "second moments of what the mlps read and get back, forget rows", .kind = UL_RUNS_GRADIENT},
    {.what = "cir", .kind = UL_RUNS_TRAIN, .loss_of = "loss", .sgd = true, .mlp = true, .copies = 1},
    {0}};

const ul_procedure ul_procedure_cir = {
    .method = {.title = "Collapse of irrelevant representations",
               .paper = "arXiv:2509.11816",
               .note = "Any loss, with what all forget tokens have in common taken out of each gradient, so that the rest is theirs alone.",
               .intent = UL_REMOVAL,
               .level = UL_LEVEL_PARAMETERS,
               .params = params,
               .needs = UL_NEED_FORGET | UL_NEED_RETAIN,
               .small = small},
    .run = run,
    .runs = runs,
};
