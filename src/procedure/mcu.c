/* mcu.c - minor components unlearning: weights move only in directions that the representations hardly use.
 *
 *   W <- W_0 + (W - W_0)(I - P P^T)          after each step; P: the first k principal components of the layer's inputs
 *
 * over retain rows (or a general text). Changes in dominant directions are what relearning takes back first.
 * arXiv:2605.11685, read as an abstract: components and idea are the paper's (no number is: the usual run), the loss
 * may be any method of the registry, and the constraint is a projection of the change itself after each step, so
 * that it holds exactly whatever the optimizer does (a projected gradient would lose it in Adam's scaling). Only the
 * mlps' matrices move, and only their projected part. tofu-656k, forget / retain 0.47 / 0.52: four epochs at 2e-3
 * 0.24 / 0.41; hence half of that rate. */
#include "procedure/_components.h"
#include "procedure/_lapack.h"

static const ul_param params[] = {
    UL_PARAM_LOSS("loss", "npo", "the method whose steps are projected, with its own defaults"),
    {"components", UL_INT, 16, 1, 1e6, NULL, "dominant ones that nothing moves along; at most an eighth of the width",
     NULL},
    {0}};

static const char *const small[] = {"lr", "1e-3", "epochs", "5", NULL};

typedef struct {
    ul_work *w;
    ul_components c;
    ul_snapshot before;
    ul_arena *scratch;
} state;

static ul_status project(state *s, int i)
{
    const ul_trainable *t = &s->before.train[i];
    const ul_weight *x = ul_matrix_of(s->w->model, t);
    const ul_component *c = x ? ul_component_of(&s->c, x) : NULL;
    const size_t esize = s->before.esize;
    const ul_mark mark = ul_arena_mark(s->scratch);
    double *d = UL_NEW(s->scratch, double, t->n);
    UL_NEED(d);
    for (int64_t j = 0; c && j < t->n; j++) d[j] = ul_real_at(t->p, j, esize) - ul_real_at(s->before.p[i], j, esize);
    if (c) UL_TRY(ul_remove_right(s->scratch, t->n / x->cols, x->cols, c->kx, c->x, NULL, d));
    for (int64_t j = 0; j < t->n; j++) ul_real_put(t->p, j, esize, ul_real_at(s->before.p[i], j, esize) + d[j]);
    ul_arena_rewind(s->scratch, mark);
    return UL_OK;
}

static ul_status after(ul_wrap *w, ul_step_result *r)
{
    state *s = w->user;
    (void)r;
    for (int i = 0; i < s->before.n; i++) UL_TRY(project(s, i));
    return UL_OK;
}

static const ul_wrapper wrapper = {.title = "MCU", .after = after};

static ul_status run(ul_work *w)
{
    ul_args args;
    const ul_method *loss;
    state s = {.w = w};
    UL_TRY(ul_work_whole(w));
    UL_TRY(ul_work_loss(w, "loss", &loss, &args));
    UL_TRY(ul_work_select_mlp(w));
    const int64_t k[2] = {(int64_t)ul_num(w->args, "components"), 0};
    UL_TRY(ul_components_find(w, w->retain, UL_FACTOR_X | UL_FACTOR_NO_FIRST, k, &s.c));
    UL_TRY(ul_snapshot_take(w->ctx, w->arena, w->model, &s.before));
    UL_TRY(ul_arena_new(w->ctx, "mcu", &s.scratch));
    const ul_status status = ul_work_wrapped(w, "mcu", loss, &args, w->recipe, &wrapper, &s);
    ul_arena_free(s.scratch);
    return status;
}

static const ul_runs runs[] = {
    {.what = "second moments of what the mlps read, retain rows", .kind = UL_RUNS_GRADIENT, .docs = UL_RETAIN},
    {.what = "mcu", .kind = UL_RUNS_TRAIN, .loss_of = "loss", .mlp = true, .copies = 1},
    {0}};

const ul_procedure ul_procedure_mcu = {
    .method = {.title = "Minor components unlearning",
               .paper = "arXiv:2605.11685",
               .note = "Any loss, moving only where the retain rows' representations have little variance.",
               .intent = UL_REMOVAL,
               .level = UL_LEVEL_PARAMETERS,
               .params = params,
               .needs = UL_NEED_FORGET | UL_NEED_RETAIN,
               .small = small},
    .run = run,
    .runs = runs,
};
