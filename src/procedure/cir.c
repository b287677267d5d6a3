/* cir.c - collapse of irrelevant representations: each token's part of a weight's gradient loses what is common to all
 * tokens.
 *
 *   a~ = (I - P_a P_a^T)(a - mu_a),   g~ likewise         of the inputs and output gradients of the mlps' matrices
 *   G_f = sum_t g~_t a~_t^T,   W <- W - lr G_f / |G_f| - retain_rate g_r
 *
 * |G_f| over all that moves; g_r: the gradient of the loss's retain part. mu_a and the first k components P are
 * gathered over the forget rows before the run, g~ from the gradients of the loss itself (`from`; nll: of the
 * likelihood). Both maps are the same for all tokens, so the sum is collapsed once:
 *   sum g~ a~^T = (I - P_g P_g^T)(G - mu_g A^T - B mu_a^T + n mu_g mu_a^T)(I - P_a P_a^T)
 * with G = sum g a^T, A = sum a, B = sum g.
 *
 * Sondej and Yang 2025, arXiv:2509.11816; program: filyp/unlearning (src/CIR.py, src/utils/common_cir.py), whose values
 * for Llama-3.1-8B on WMDP are the defaults: the loss mlp_confuse with its own retain part (_losses.c), 23 components
 * of inputs and 35 of gradients, steps of length 0.2 (of 0.02 to 0.5 their best), a retain rate of 3e-4, 16 epochs of
 * which the first only gathers. What differs in the program: it takes the direction of the mean out, a - (mu mu^T /
 * |mu|^2) a, where a - mu is written above (--match filyp). What differs here: it gathers components anew in each
 * epoch, from the tokens of the one before; its retain step follows the forget step, with batches of 12, where here
 * both gradients are of the same weights and the same step; the last column of a padded batch is in neither there; it
 * may end sooner, when WikiText's loss has risen by a thousandth. Any loss of the registry may take mlp_confuse's
 * place. Small models: steps are lr of the weights' norm, and the two gradients are added before the sum's length is
 * fixed. Traps: the first token of a document is in neither, or its outlier is the first component; the loss must be
 * bounded, since steps have one length; SGD, because Adam would scale the collapsed directions up again.
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
    {"components", UL_INT, 23, 0, 1e6, NULL,
     "of inputs that are removed, at most an eighth of the width; in small models 16", NULL},
    {"grad_components", UL_INT, 35, 0, 1e6, NULL, "of output gradients, likewise; in small models 16", NULL},
    {"mean", UL_TEXT, 0, 0, 0, "subtracted|projected", "how the mean leaves: taken off, or its direction taken out",
     "subtracted"},
    {"absolute", UL_BOOL, 1, 0, 1, NULL, "steps are lr long; else, as in small models, lr of the weights' norm", NULL},
    {"retain_rate", UL_REAL, 3e-4, 0, 100, NULL,
     "rate of the retain gradient; 0 (small models): it is added before the step's length is fixed", NULL},
    {0}};

static const char *const recipe[] = {"lr", "0.2", "schedule", "constant", "warmup", "0", "epochs", "15", NULL};
static const char *const small[] = {"lr",      "4e-3", "epochs",      "4",  ".loss",            "npo",
                                    ".from",   "nll",  ".components", "16", ".grad_components", "16",
                                    ".absolute", "false", ".retain_rate", "0", NULL};
static const ul_match matches[] = {
    {"filyp", "the mean's direction is taken out", UL_VALUES(".mean", "projected"), false}, {0}};

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
    bool project;  /* the mean's direction is taken out */
    double length; /* of a step, in lr */
    ul_arena *scratch;
} state;

/* Into the sums of moments; first tokens stay out. */
static void gather(state *s, const ul_weight *w, const ul_batch *b, const void *x, const void *dy)
{
    const ul_mark mark = ul_arena_mark(s->scratch);
    const size_t esize = ul_model_backend(s->w->model)->k->esize;
    s->f.x = ul_alloc_raw(s->scratch, (size_t)(b->n_tok * w->cols), esize);
    s->f.dy = ul_alloc_raw(s->scratch, (size_t)(b->n_tok * w->rows), esize);
    if (s->f.x && s->f.dy) ul_factors_add(&s->f, WHAT, w, b, x, dy); /* else the pass fails */
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
        if (!px || !pd) return; /* the pass fails */
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
    be->k->gemm(be, &(ul_gemm){.m = w->rows,
                               .n = w->cols,
                               .k = n,
                               .a = dy,
                               .a_row = 1,
                               .a_col = w->rows,
                               .b = x,
                               .b_row = w->cols,
                               .b_col = 1,
                               .c = w->g,
                               .c_row = w->cols,
                               .add = true});
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

static const int64_t *counts(const ul_work *w, int64_t k[2])
{
    k[0] = (int64_t)ul_num(w->args, "components"), k[1] = (int64_t)ul_num(w->args, "grad_components");
    return k;
}

/* Components from the steps of an epoch that are not taken. */
static ul_status calibrate(ul_wrap *w)
{
    state *s = w->user;
    const int64_t n = s->w->forget->n, batch = w->o->recipe->batch;
    int64_t k[2];
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
    if (status == UL_OK) status = ul_components_from(s->w, &s->f, counts(s->w, k), &s->c);
    ul_arena_free(moments);
    return status == UL_OK ? begin(s) : status;
}

/* mean / |mean|; NULL where it is 0. */
static const double *direction(ul_arena *arena, const double *mean, int64_t n)
{
    double square = 0, *u = UL_NEW(arena, double, n);
    for (int64_t i = 0; i < n; i++) square += mean[i] * mean[i];
    for (int64_t i = 0; u && square > 0 && i < n; i++) u[i] = mean[i] / sqrt(square);
    return u;
}

/* The gradient that stands in w->g, of tokens that add up to `sum`. */
static ul_status collapse(state *s, const ul_component *c, const sums *sum)
{
    const ul_weight *w = c->w;
    const size_t esize = ul_model_backend(s->w->model)->k->esize;
    const ul_mark mark = ul_arena_mark(s->scratch);
    const double off = s->project ? 0 : 1;
    double *g = UL_NEW(s->scratch, double, w->rows * w->cols);
    UL_NEED(g);
    for (int64_t i = 0; i < w->rows; i++)
        for (int64_t j = 0; j < w->cols; j++)
            g[i * w->cols + j] = ul_real_at(w->g, i * w->cols + j, esize) - off * c->d_mean[i] * sum->x[j] -
                                 off * sum->d[i] * c->x_mean[j] + off * (double)sum->n * c->d_mean[i] * c->x_mean[j];
    if (s->project) {
        const double *d = direction(s->scratch, c->d_mean, w->rows), *x = direction(s->scratch, c->x_mean, w->cols);
        UL_NEED(d);
        UL_NEED(x);
        UL_TRY(ul_remove_left(s->scratch, w->rows, w->cols, 1, d, NULL, g));
        UL_TRY(ul_remove_right(s->scratch, w->rows, w->cols, 1, x, NULL, g));
    }
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

/* A direction of this length: of the forget part beside the retain part at its own rate, or of the sum. */
static ul_status combine(ul_wrap *w)
{
    const state *s = w->user;
    const double rate = ul_num(s->w->args, "retain_rate");
    double sum = 0;
    for (int i = 0; i < w->n_train; i++) {
        const int64_t n = w->train[i].n;
        if (rate == 0) w->be->k->axpy(w->be, n, 1, w->forget[i], w->g[i]);
        sum += w->be->k->sum_squares(w->be, n, rate > 0 ? w->forget[i] : w->g[i]);
    }
    const double unit = sum > 0 ? s->length / sqrt(sum) : 0, share = rate / w->o->recipe->lr;
    for (int i = 0; i < w->n_train; i++) {
        const int64_t n = w->train[i].n;
        if (rate > 0) {
            w->be->k->scale(w->be, n, share, w->g[i]);
            w->be->k->axpy(w->be, n, unit, w->forget[i], w->g[i]);
        } else if (sum > 0) {
            w->be->k->scale(w->be, n, unit, w->g[i]);
        }
    }
    return UL_OK;
}

static const ul_wrapper wrapper = {.title = "CIR", .calibrate = calibrate, .part = part, .combine = combine};

/* The mlps of the blocks that the loss runs. */
static ul_status select_run(ul_work *w, const ul_method *loss, const ul_args *args)
{
    const int blocks = ul_method_blocks(loss, args, w->model);
    if (blocks < 0 || strcmp(w->recipe->train, "auto")) return ul_work_select_mlp(w);
    const char *spec = ul_format(w->arena, "layers 0-%d mlp", blocks - 1);
    UL_NEED(spec);
    return ul_model_select(w->ctx, w->model, spec);
}

static ul_status run(ul_work *w)
{
    ul_args args;
    const ul_method *loss;
    int64_t k[2];
    state s = {.w = w, .length = 1, .project = !strcmp(ul_txt(w->args, "mean"), "projected")};
    ul_recipe r = *w->recipe;
    UL_TRY(ul_work_whole(w));
    UL_TRY(ul_work_loss(w, "loss", &loss, &args));
    UL_TRY(select_run(w, loss, &args));
    if (!strcmp(ul_txt(w->args, "from"), "nll")) {
        UL_TRY(ul_components_find(w, w->forget, WHAT, counts(w, k), &s.c));
        UL_TRY(begin(&s));
    }
    if (ul_num(w->args, "absolute") == 0) s.length = ul_work_norm(w);
    UL_TRY(ul_arena_new(w->ctx, "cir", &s.scratch));
    const ul_wrapping wrap = {w->id, &wrapper, w->args, &s};
    const ul_observer observer = {look, &s, UL_OBSERVE_INSTEAD};
    r.optim = UL_SGD, r.momentum = r.weight_decay = r.clip = 0;
    const ul_stage stage = {.name = "cir", .method = loss, .args = &args, .recipe = &r, .forget = w->forget,
                            .retain = w->retain, .wrap = &wrap, .n_wrap = 1, .observer = &observer};
    const ul_status status = ul_work_stage(w, &stage);
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
               .note = "Any loss, with what all forget tokens have in common taken out of each gradient, so that the "
                       "rest is theirs alone.",
               .intent = UL_REMOVAL,
               .level = UL_LEVEL_PARAMETERS,
               .params = params,
               .needs = UL_NEED_FORGET | UL_NEED_RETAIN,
               .recipe = recipe,
               .own_rate = true,
               .small = small,
               .matches = matches},
    .run = run,
    .runs = runs,
};
