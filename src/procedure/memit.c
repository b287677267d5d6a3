/* memit.c - mass-editing memory: the answers to all forget questions are rewritten at once,
 * by least squares over a few blocks.
 *
 *   delta W_l = R_l^T K_l (lambda C_l + K_l^T K_l)^-1,   R_l = (z - h_L) / (L - l + 1)
 *
 * K_l [n, F] keys, z values at the last block L (edit.h), C_l = E[k k^T] over retain text: what must stay.
 * Rows are facts.
 *
 * Meng et al. 2022, "Mass-Editing Memory in a Transformer", arXiv:2210.07229 (lambda 15000; Llama-3-8B blocks 4-8).
 * Traps: blocks in rising order, keys and states read anew after each; solved in double. Here lambda multiplies
 * the mean over tokens, as there; with few facts it decides how much of z arrives: small models and small F want less.
 * Keys are of the plain prompt; the paper averages over prefixes too. Edits are easily undone by fine-tuning.
 * Of a small model 20 facts can be edited so (repro/edit-tofu.md); with 400 the keys of names overlap and nothing is
 * left (tofu-656k, forget / retain 0.47 / 0.52 -> 0.01 / 0.01; lambda 3000 0.46 / 0.51), hence its budget. */
#include "procedure/edit.h"
#include <string.h>

static const ul_param params[] = {
    {"lambda", UL_REAL, 0, 0, 1e9, NULL,
     "weight of the covariance, how much old keys are held; 0: 15000, of a small model 30", NULL},
    UL_PARAM_EDIT_FACTS,
    UL_PARAM_EDIT_BUDGET,
    UL_PARAM_EDIT_SPREAD(1000),
    {0}};
static const char *const small[] = UL_EDIT_SMALL;

static ul_status solve(ul_work *w, void *user, const ul_edit_equation *e, double *delta)
{
    const int64_t C = ul_model_shape(w->model)->C, F = ul_model_shape(w->model)->F;
    const double lambda = ul_edit_by_size(w, "lambda", 15000, 30);
    double *a = *(double **)user;
    for (int64_t i = 0; i < F * F; i++) a[i] = lambda * e->covariance[i];
    memset(delta, 0, (size_t)(C * F) * sizeof *delta);
    for (int32_t f = 0; f < e->n; f++) {
        const double *k = e->keys + f * F, *r = e->residual + f * C;
        for (int64_t i = 0; i < F; i++)
            for (int64_t j = 0; j < F; j++) a[i * F + j] += k[i] * k[j];
        for (int64_t c = 0; c < C; c++)
            for (int64_t j = 0; j < F; j++) delta[c * F + j] += r[c] * k[j];
    }
    return ul_solve_sides(w->ctx, "memit's normal matrix", C, F, NULL, a, delta);
}

static ul_status run(ul_work *w)
{
    const int64_t F = ul_model_shape(w->model)->F;
    double *a = UL_NEW(w->arena, double, F * F);
    UL_NEED(a);
    return ul_edit_spread(w, solve, &a);
}

static const ul_runs runs[] = {UL_RUNS_SPREAD, {0}};

const ul_procedure ul_procedure_memit = {
    .method = {.title = "Mass-editing memory in a transformer",
               .paper = "arXiv:2210.07229",
               .note = "Rewrites the answers to the forget questions to a neutral target, all at once, in closed form.",
               .intent = UL_REMOVAL,
               .level = UL_LEVEL_PARAMETERS,
               .params = params,
               .small = small,
               .needs = UL_NEED_FORGET | UL_NEED_RETAIN},
    .run = run,
    .runs = runs,
};
