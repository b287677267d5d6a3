/* emmet.c - equality-constrained mass editing: the old keys are disturbed least under the constraint
 * that every new key gets its value.
 *
 *   delta W = R^T (K C^-1 K^T + lambda I)^-1 K C^-1         rows of K [n, F] and R [n, C] are facts
 *
 * lambda 0: (W + delta W) k = v exactly; one fact: ROME's update. Gupta, Sajnani and Anumanchipalli 2024,
 * "A Unified Framework for Model Editing", arXiv:2403.14236 (lambda 0.1). Traps: C must be definite:
 * `ridge` times its mean diagonal is added; with as many facts as F the constraint leaves no room for what must stay.
 * Spread over blocks as memit does, in a small model within a budget. */
#include "procedure/edit.h"
#include <string.h>

static const ul_param params[] = {
    {"lambda", UL_REAL, 0.1, 0, 1e9, NULL, "softens the constraint; 0: every value is met exactly", NULL},
    {"ridge", UL_REAL, 1e-4, 0, 10, NULL, "share of the mean diagonal that is added to the covariance", NULL},
    UL_PARAM_EDIT_FACTS,
    UL_PARAM_EDIT_BUDGET,
    UL_PARAM_EDIT_SPREAD(100),
    {0}};
static const char *const small[] = UL_EDIT_SMALL;

static ul_status solve(ul_work *w, void *user, const ul_edit_equation *e, double *delta)
{
    const int64_t C = ul_model_shape(w->model)->C, F = ul_model_shape(w->model)->F;
    const int32_t n = e->n;
    double *c = *(double **)user;
    double *g = UL_NEW(w->arena, double, n *F), *m = UL_NEW(w->arena, double, (int64_t)n *n),
           *y = UL_NEW(w->arena, double, C *n);
    if (!g || !m || !y) return UL_E_RESOURCE;
    memcpy(c, e->covariance, (size_t)(F * F) * sizeof *c);
    ul_edit_ridge(w, c);
    memcpy(g, e->keys, (size_t)(n * F) * sizeof *g);
    UL_TRY(ul_solve_sides(w->ctx, "emmet's covariance of keys", n, F, NULL, c, g));
    ul_product(false, true, n, n, F, g, e->keys, m);
    for (int32_t i = 0; i < n; i++) m[(int64_t)i * n + i] += ul_num(w->args, "lambda");
    for (int64_t i = 0; i < C; i++)
        for (int32_t f = 0; f < n; f++) y[i * n + f] = e->residual[f * C + i];
    UL_TRY(ul_solve_sides(w->ctx, "emmet's matrix of facts", C, n, NULL, m, y));
    ul_product(false, false, C, F, n, y, g, delta);
    return UL_OK;
}

static ul_status run(ul_work *w)
{
    const int64_t F = ul_model_shape(w->model)->F;
    double *c = UL_NEW(w->arena, double, F * F);
    UL_NEED(c);
    return ul_edit_spread(w, solve, &c);
}

static const ul_runs runs[] = {UL_RUNS_SPREAD, {0}};

const ul_procedure ul_procedure_emmet = {
    .method = {.title = "Equality-constrained mass model editing",
               .paper = "arXiv:2403.14236",
               .note = "As memit, but every edited answer is met (nearly) exactly, whatever it costs the rest.",
               .intent = UL_REMOVAL,
               .level = UL_LEVEL_PARAMETERS,
               .params = params,
               .small = small,
               .needs = UL_NEED_FORGET | UL_NEED_RETAIN},
    .run = run,
    .runs = runs,
};
