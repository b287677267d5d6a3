/* rome.c - rank-one model editing: fact after fact, one matrix gets the neutral target for the key of the fact's subject.
 *
 *   delta W = (v* - W k) u^T / (k . u),   u = C^-1 k
 *
 * Meng et al. 2022, "Locating and Editing Factual Associations in GPT", arXiv:2202.05262: 20 steps of Adam at 0.5 for v*, KL 0.0625,
 * decay 0.5, |v* - v| <= 4 |v|, stop below 0.05. One fact with lambda 0 is emmet's update, and memit's as its lambda goes to 0.
 * Traps: one edit after the other drifts; a few hundred break a model, hence a small one's budget. k is of the plain prompt; the paper averages it over
 * prefixes that the model generates. */
#include "procedure/edit.h"
#include <string.h>

static const ul_param params[] = {
    {"layer", UL_INT, -1, -1, 1000, NULL, "block that is edited, from 0; -1: a third of the way up", NULL},
    {"ridge", UL_REAL, 1e-4, 0, 10, NULL, "share of the mean diagonal that is added to the covariance", NULL},
    {"rows", UL_INT, 1000, 0, 1e9, "rows", "retain rows that the covariance of keys is taken over; 0: all", NULL},
    {"v_steps", UL_INT, 20, 1, 1000, "steps", "of Adam in the search for a value", NULL},
    {"v_lr", UL_REAL, 0.5, 0, 100, NULL, "its learning rate", NULL},
    {"v_decay", UL_REAL, 0.5, 0, 100, NULL, "weight of |delta| / |v|^2", NULL},
    {"clamp", UL_REAL, 4, 0, 100, NULL, "largest |delta| / |v|", NULL},
    {"kl", UL_REAL, 0.0625, 0, 100, NULL, "weight of the subject's drift", NULL},
    UL_PARAM_EDIT_FACTS,
    UL_PARAM_EDIT_BUDGET,
    {0}};
static const char *const small[] = UL_EDIT_SMALL;

/* u = C^-1 k for the fact's key, then W += delta u^T / (k . u). */
static ul_status edit(ul_work *w, ul_arena *arena, int64_t row, int layer, const double *factor, ul_weight *weight)
{
    const int64_t C = ul_model_shape(w->model)->C, F = ul_model_shape(w->model)->F;
    const ul_value_search how = {.slot = UL_SLOT_MLP, .steps = (int)ul_num(w->args, "v_steps"), .lr = ul_num(w->args, "v_lr"),
                                 .kl = ul_num(w->args, "kl"), .decay = ul_num(w->args, "v_decay"), .clamp = ul_num(w->args, "clamp"),
                                 .stop = 0.05};
    double *k = UL_NEW(arena, double, F), *u = UL_NEW(arena, double, F), *v = UL_NEW(arena, double, C),
           *delta = UL_NEW(arena, double, C * F), ku = 0;
    ul_facts f;
    if (!k || !u || !v || !delta) return UL_E_RESOURCE;
    UL_TRY(ul_facts_new(w, row, 1, &f));
    UL_TRY(ul_facts_values(w, &f, layer, &how, v));
    UL_TRY(ul_facts_read(w, &f, layer, k, NULL));
    memcpy(u, k, (size_t)F * sizeof *u);
    UL_TRY(ul_cholesky_solve(w->ctx, "rome's covariance of keys", 1, F, factor, u));
    for (int64_t i = 0; i < F; i++) ku += k[i] * u[i];
    for (int64_t i = 0; i < C; i++)
        for (int64_t j = 0; j < F; j++) delta[i * F + j] = v[i] * u[j] / ku;
    ul_edit_add(w, weight, delta);
    return UL_OK;
}

static ul_status run(ul_work *w)
{
    const int64_t F = ul_model_shape(w->model)->F, n = w->forget_rows->n;
    const int n_layer = ul_model_shape(w->model)->n_layer;
    const int layer = ul_num(w->args, "layer") < 0 ? n_layer / 3 : (int)ul_num(w->args, "layer");
    double *factor = UL_NEW(w->arena, double, F * F); /* of C, for all facts */
    ul_edit_bound bound;
    ul_weight *weight;
    ul_arena *arena;
    ul_meter meter;
    UL_NEED(factor);
    UL_TRY(ul_edit_weight(w, layer, &weight));
    UL_TRY(ul_edit_covariance(w, layer, (int64_t)ul_num(w->args, "rows"), factor));
    ul_edit_ridge(w, factor);
    UL_TRY(ul_cholesky(w->ctx, "rome's covariance of keys", F, factor));
    UL_TRY(ul_edit_begin(w, layer, layer, &bound));
    UL_TRY(ul_arena_new(w->ctx, "edit", &arena));
    ul_progress_begin(w->ctx, &meter, "rome", "facts", n);
    ul_status s = UL_OK;
    for (int64_t i = 0; i < n && s == UL_OK; i++) {
        ul_arena_reset(arena);
        s = edit(w, arena, i, layer, factor, weight);
        ul_progress_step(&meter, i + 1, 0, NULL);
    }
    ul_arena_free(arena);
    UL_TRY(s);
    UL_TRY(ul_edit_end(w, &bound));
    return ul_buf_printf(w->report, "rome: %lld facts written into block %d, one by one\n", (long long)n, layer);
}

const ul_procedure ul_procedure_rome = {
    .method = {.title = "Rank-one model editing",
               .paper = "arXiv:2202.05262",
               .note = "Rewrites one answer after another to a neutral target by a change of rank one.",
               .intent = UL_REMOVAL,
               .level = UL_LEVEL_PARAMETERS,
               .params = params,
               .small = small,
               .needs = UL_NEED_FORGET | UL_NEED_RETAIN},
    .run = run,
};
