/* mrp.c - directions are projected out of what two mlps write, for good: the weights can no longer produce them.
 *
 *   W_l <- (I - Q_l' Q_l) W_l   Q_l: `dims` orthonormal rows, W_l: the last matrix of the mlp of block l (and its bias)
 *   Q_l minimises  -CE_f + alpha CE_r  by steps along its normalised gradient, -(Q W G' + Q G W') less its part in
 *   span Q, where G is the loss's gradient by the projected matrix; each step ends with Gram-Schmidt
 *
 * Wu et al. 2025, "Reliable Unlearning Harmful Information in LLMs with Metamorphosis Representation Projection",
 * arXiv:2508.15449, and its code (two blocks drawn at random, 2 dimensions, alpha 1.2, 2 epochs of plain gradient steps
 * on Q). Our readings: the paper says projections stand after mlps, its code puts them on a block's output; behind
 * an mlp they fold into its weights and cost nothing, on the residual stream they would need an operator of their own.
 * Q begins as the leading eigenvectors of M_f / tr M_f - M_r / tr M_r, second moments of the mlp's outputs;
 * the code takes principal components of retain states with the span of forget states taken out, which looks
 * like the two swapped. Blocks are chosen by depth, not by chance. Traps: other blocks may still write what
 * these no longer can; dims directions are lost to all texts; in a model of 128 channels that is much. Small
 * models search for longer, with a heavier retain term: tofu-656k, forget / retain 0.49 / 0.52, leaves 0.29 / 0.45,
 * where two epochs at the paper's values leave 0.42 / 0.46. */
#include "procedure/procedure.h"
#include <math.h>
#include <string.h>

static const ul_param params[] = {
    {"first", UL_INT, -1, -1, 1000, "block", "lower of the two blocks, from 0; -1: 5/16 of the way up", NULL},
    {"last", UL_INT, -1, -1, 1000, "block", "upper of the two blocks; -1: 5/8 of the way up", NULL},
    {"dims", UL_INT, 2, 1, 64, NULL, "directions taken out of each", NULL},
    {"alpha", UL_REAL, 1.2, 0, 1000, NULL, "weight of the retain term", NULL},
    {"rate", UL_REAL, 0.1, 0, 10, NULL, "length of the first step of Q, falling to 0; 0: Q stays as it begins", NULL},
    {"docs", UL_INT, 64, 1, 1e9, "documents", "rows of each set that the second moments are taken from", NULL},
    {0}};

enum { MOST = 2, POWER = 100 };
typedef struct {
    int layer;
    int32_t C, F, dims;
    ul_weight *w, *bias;
    double *w0, *b0, *q, *dq, *qw, *qg, *moment[2]; /* [C, F], [C], [dims, C] twice, [dims, F] twice, [C, C] */
    int side; /* whose moment is being taken */
} projected;

static double dot(int64_t n, const double *a, int64_t a_step, const double *b, int64_t b_step)
{
    double s = 0;
    for (int64_t i = 0; i < n; i++) s += a[i * a_step] * b[i * b_step];
    return s;
}

static void orthonormal(double *q, int32_t k, int32_t C)
{
    for (int32_t i = 0; i < k; i++) {
        double *x = q + (int64_t)i * C;
        for (int twice = 0; twice < 2; twice++)
            for (int32_t j = 0; j < i; j++) {
                const double *y = q + (int64_t)j * C, s = dot(C, x, 1, y, 1);
                for (int32_t c = 0; c < C; c++) x[c] -= s * y[c];
            }
        const double n = sqrt(dot(C, x, 1, x, 1));
        for (int32_t c = 0; c < C; c++) x[c] /= n;
    }
}

/* ---- where Q begins ---------------------------------------------------------------------------------------------- */
static ul_status gather(void *user, int layer, const ul_batch *batch, void *x)
{
    projected *p = user;
    (void)layer;
    for (int64_t t = 0; t < batch->n_tok; t++)
        for (int64_t i = 0; i < p->C; i++)
            for (int64_t j = 0; j < p->C; j++)
                p->moment[p->side][i * p->C + j] +=
                    ((const double *)x)[t * p->C + i] * ((const double *)x)[t * p->C + j];
    return UL_OK;
}

static ul_status gather_float(void *user, int layer, const ul_batch *batch, void *x)
{
    projected *p = user;
    const float *h = x;
    (void)layer;
    for (int64_t t = 0; t < batch->n_tok; t++, h += p->C)
        for (int64_t i = 0; i < p->C; i++)
            for (int64_t j = 0; j < p->C; j++) p->moment[p->side][i * p->C + j] += (double)h[i] * (double)h[j];
    return UL_OK;
}

static ul_status moments(ul_work *w, projected *p, int n)
{
    const ul_docs *const docs[2] = {w->forget, w->retain};
    const bool wide = ul_model_backend(w->model)->k->esize == sizeof(double);
    ul_hook hook[MOST];
    for (int k = 0; k < n; k++)
        hook[k] = (ul_hook){p[k].layer, UL_SLOT_MLP, UL_HOOK_READ, wide ? gather : gather_float, &p[k], NULL};
    for (int side = 0; side < 2; side++) {
        ul_docs *some;
        UL_TRY(ul_work_draw(w, docs[side], (int64_t)ul_num(w->args, "docs"), &some));
        for (int k = 0; k < n; k++) p[k].side = side;
        for (int64_t d = 0; d < some->n; d++) {
            const ul_mark mark = ul_arena_mark(w->arena);
            const ul_doc *doc = &some->at[d];
            ul_batch *b;
            UL_TRY(ul_pack_docs(w->ctx, w->arena, &doc, 1, false, &b));
            ul_pass pass = {
                .batch = b, .flags = UL_PASS_NO_HEAD, .last = p[n - 1].layer + 1, .hook = hook, .n_hook = n};
            UL_TRY(ul_model_forward(w->ctx, w->model, &pass));
            ul_arena_rewind(w->arena, mark);
        }
    }
    return UL_OK;
}

/* Leading eigenvectors of M_f / tr M_f - M_r / tr M_r by powers of it + I, whose eigenvalues lie in [0, 2]. */
static ul_status begin_q(ul_work *w, projected *p)
{
    double trace[2] = {0}, *next = UL_NEW(w->arena, double, (int64_t)p->dims * p->C);
    UL_NEED(next);
    for (int s = 0; s < 2; s++)
        for (int64_t c = 0; c < p->C; c++) trace[s] += p->moment[s][c * p->C + c];
    if (!(trace[0] > 0) || !(trace[1] > 0))
        return ul_fail(w->ctx, UL_E_CRITERION, "mrp: the mlp of block %d writes nothing (traces %g and %g)", p->layer,
                       trace[0], trace[1]);
    for (int64_t i = 0; i < (int64_t)p->dims * p->C; i++)
        p->q[i] = ul_rng_normal(w->recipe->seed, UL_STREAM_WEIGHTS, (uint64_t)p->layer, (uint64_t)i);
    for (int it = 0; it < POWER; it++) {
        orthonormal(p->q, p->dims, p->C);
        for (int64_t k = 0; k < p->dims; k++)
            for (int64_t c = 0; c < p->C; c++) {
                const double *q = p->q + k * p->C;
                next[k * p->C + c] = q[c] + dot(p->C, q, 1, p->moment[0] + c * p->C, 1) / trace[0] -
                                     dot(p->C, q, 1, p->moment[1] + c * p->C, 1) / trace[1];
            }
        memcpy(p->q, next, (size_t)p->dims * (size_t)p->C * sizeof *next);
    }
    orthonormal(p->q, p->dims, p->C);
    return UL_OK;
}

/* ---- Q and the weights ------------------------------------------------------------------------------------------- */
static void project(const ul_work *w, projected *p)
{
    const size_t esize = ul_model_backend(w->model)->k->esize;
    for (int64_t k = 0; k < p->dims; k++)
        for (int64_t f = 0; f < p->F; f++) p->qw[k * p->F + f] = dot(p->C, p->q + k * p->C, 1, p->w0 + f, p->F);
    for (int64_t c = 0; c < p->C; c++)
        for (int64_t f = 0; f < p->F; f++)
            ul_real_put(p->w->p, c * p->F + f, esize,
                        p->w0[c * p->F + f] - dot(p->dims, p->q + c, p->C, p->qw + f, p->F));
    for (int64_t k = 0; p->bias && k < p->dims; k++) p->dq[k] = dot(p->C, p->q + k * p->C, 1, p->b0, 1);
    for (int64_t c = 0; p->bias && c < p->C; c++)
        ul_real_put(p->bias->p, c, esize, p->b0[c] - dot(p->dims, p->q + c, p->C, p->dq, 1));
}

/* One step of Q along the gradient that stands in the weight; qw is that of this Q. */
static void turn(const ul_work *w, projected *p, double rate)
{
    const size_t esize = ul_model_backend(w->model)->k->esize;
    double norm = 0;
    memset(p->qg, 0, (size_t)p->dims * (size_t)p->F * sizeof *p->qg);
    for (int64_t k = 0; k < p->dims; k++)
        for (int64_t c = 0; c < p->C; c++)
            for (int64_t f = 0; f < p->F; f++)
                p->qg[k * p->F + f] += p->q[k * p->C + c] * ul_real_at(p->w->g, c * p->F + f, esize);
    for (int64_t k = 0; k < p->dims; k++)
        for (int64_t c = 0; c < p->C; c++) {
            double s = 0;
            for (int64_t f = 0; f < p->F; f++)
                s -= p->qw[k * p->F + f] * ul_real_at(p->w->g, c * p->F + f, esize) +
                     p->qg[k * p->F + f] * p->w0[c * p->F + f];
            p->dq[k * p->C + c] = s;
        }
    for (int64_t k = 0; k < p->dims; k++)
        for (int64_t j = 0; j < p->dims; j++) {
            const double s = dot(p->C, p->dq + k * p->C, 1, p->q + j * p->C, 1);
            for (int64_t c = 0; c < p->C; c++) p->dq[k * p->C + c] -= s * p->q[j * p->C + c];
        }
    for (int64_t i = 0; i < (int64_t)p->dims * p->C; i++) norm += p->dq[i] * p->dq[i];
    for (int64_t i = 0; norm > 0 && i < (int64_t)p->dims * p->C; i++) p->q[i] -= rate / sqrt(norm) * p->dq[i];
    orthonormal(p->q, p->dims, p->C);
}

static ul_status open_block(ul_work *w, int layer, projected *p)
{
    *p = (projected){.layer = layer, .C = ul_model_shape(w->model)->C, .dims = (int32_t)ul_num(w->args, "dims"),
                     .w = ul_model_role(w->model, layer, UL_ROLE_DOWN, false),
                     .bias = ul_model_role(w->model, layer, UL_ROLE_DOWN, true)};
    p->F = (int32_t)p->w->cols;
    if (p->dims >= p->C)
        return ul_fail(w->ctx, UL_E_USAGE, "mrp.dims is %d, the states have %d dimensions", p->dims, p->C);
    const size_t esize = ul_model_backend(w->model)->k->esize;
    double **const array[] = {&p->w0, &p->b0, &p->q, &p->dq, &p->qw, &p->qg, &p->moment[0], &p->moment[1]};
    const int64_t C = p->C, F = p->F, k = p->dims, size[] = {C * F, C, k * C, k * C, k * F, k * F, C * C, C * C};
    for (size_t i = 0; i < sizeof array / sizeof *array; i++) UL_NEED(*array[i] = UL_NEW(w->arena, double, size[i]));
    for (int64_t i = 0; i < C * F; i++) p->w0[i] = ul_real_at(p->w->p, i, esize);
    for (int64_t i = 0; p->bias && i < C; i++) p->b0[i] = ul_real_at(p->bias->p, i, esize);
    return UL_OK;
}

static ul_status search(ul_work *w, projected *p, int n)
{
    const ul_method *graddiff = ul_method_find("graddiff");
    ul_args args;
    ul_pairing pairing;
    ul_trainer *t;
    ul_recipe recipe = *w->recipe;
    const int64_t steps = ul_recipe_steps(&recipe, w->forget->n);
    const double rate = ul_num(w->args, "rate");
    ul_args_default(graddiff->params, &args);
    UL_TRY(ul_args_set(w->arena, &args, "graddiff", "alpha", ul_format(w->arena, "%.17g", ul_num(w->args, "alpha"))));
    recipe.optim = UL_SGD, recipe.momentum = 0;
    UL_TRY(ul_pairing_init(w->ctx, w->arena, w->forget, w->retain, recipe.seed, true, &pairing));
    const ul_trainer_options o = {.model = w->model, .method = graddiff, .args = &args, .recipe = &recipe,
                                  .micro_batch = w->micro_batch, .checkpoint = w->checkpoint, .pairing = &pairing};
    UL_TRY(ul_trainer_new(w->ctx, &o, steps, &t));
    ul_status s = UL_OK;
    ul_meter meter;
    ul_progress_begin(w->ctx, &meter, w->id, "steps", steps);
    for (int64_t k = 0; k < steps && s == UL_OK; k++) {
        for (int i = 0; i < n; i++) project(w, &p[i]);
        s = ul_trainer_gradients(t, k, &w->last);
        for (int i = 0; i < n && s == UL_OK; i++) turn(w, &p[i], rate * (1 - (double)k / (double)steps));
        w->steps++;
        ul_progress_step(&meter, k + 1, 0, NULL);
        if (s == UL_OK && ul_interrupted(w->ctx))
            s = ul_fail(w->ctx, UL_E_CRITERION,
                        "interrupted after step %lld of %lld; the same command begins again, to the same bits",
                        (long long)k + 1, (long long)steps);
    }
    ul_trainer_free(t);
    return s;
}

static ul_status run(ul_work *w)
{
    const int n_layer = ul_model_shape(w->model)->n_layer;
    int a = (int)ul_num(w->args, "first"), b = (int)ul_num(w->args, "last");
    projected p[MOST];
    UL_TRY(ul_work_whole(w));
    a = a < 0 ? n_layer * 5 / 16 : a < n_layer ? a : n_layer - 1;
    b = b < 0 ? n_layer * 10 / 16 : b < n_layer ? b : n_layer - 1;
    const int n = a == b ? 1 : 2;
    UL_TRY(open_block(w, a < b ? a : b, &p[0]));
    if (n == 2) UL_TRY(open_block(w, a < b ? b : a, &p[1]));
    const char *names = n == 1 ? p[0].w->name : ul_format(w->arena, "%s,%s", p[0].w->name, p[1].w->name);
    UL_NEED(names);
    UL_TRY(ul_model_select(w->ctx, w->model, names));
    UL_TRY(moments(w, p, n));
    for (int i = 0; i < n; i++) UL_TRY(begin_q(w, &p[i]));
    if (ul_num(w->args, "rate") > 0) UL_TRY(search(w, p, n));
    for (int i = 0; i < n; i++) project(w, &p[i]);
    return ul_buf_printf(w->report, "%s: %d directions out of the mlps of block %d and block %d\n", w->id, p[0].dims,
                         p[0].layer, p[n - 1].layer);
}

static const ul_runs runs[] = {
    {.what = "second moments, forget rows", .kind = UL_RUNS_FORWARD, .most = "docs"},
    {.what = "second moments, retain rows", .kind = UL_RUNS_FORWARD, .docs = UL_RETAIN, .most = "docs"},
    {.what = "search for directions", .kind = UL_RUNS_TRAIN, .when = "rate", .loss_of = "graddiff", .sgd = true,
     .mlp = true},
    {0}};

const ul_procedure ul_procedure_mrp = {
    .method = {.title = "Metamorphosis representation projection",
               .paper = "arXiv:2508.15449",
               .note = "Projects learnt directions out of what two mlps write; folded into the weights, it cannot be "
                       "tuned back there without new rank.",
               .intent = UL_REMOVAL,
               .level = UL_LEVEL_HIDDEN,
               .params = params,
               .recipe = (const char *const[]){"epochs", "2", NULL},
               .small = (const char *const[]){"epochs", "20", ".dims", "4", ".alpha", "1.9", ".rate", "0.3", NULL},
               .needs = UL_NEED_FORGET | UL_NEED_RETAIN},
    .run = run,
    .runs = runs,
};
