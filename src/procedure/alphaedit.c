/* alphaedit.c - null-space constrained editing: as memit, but the change of the matrix is
 * projected to where old keys are not.
 *
 *   P = U_0 U_0^T,  U_0: eigenvectors of C = E[k k^T] with eigenvalue < threshold
 *   delta W^T = (P (K^T K + S) + L2 I)^-1 P K^T R,   S: sum of k k^T over the batches before
 *
 * Fang et al. 2024, "AlphaEdit: Null-Space Constrained Knowledge Editing", arXiv:2410.02355 (threshold 2e-2, L2 10).
 * Every k with P k = 0 keeps its value exactly. Traps: the threshold is absolute and belongs to 7B models; in small
 * models it is a share of the largest eigenvalue (`absolute` false); no eigenvalue below it means nothing can be
 * edited, and that is an error. The matrix is not symmetric: LU. A small model has a budget: 400 facts of tofu-656k
 * left 0.01 / 0.01 of forget / retain 0.47 / 0.52. Trap of small models: their keys have no null space (tofu-656k:
 * the least of 384 eigenvalues is 0.6 % of the largest, half of them are below 2 %), so that what goes into the room
 * touches strangers as well, and the more the less L2 holds it. */
#include "procedure/edit.h"
#include <string.h>

static const ul_param params[] = {
    {"threshold", UL_REAL, 2e-2, 0, 1e9, NULL, "eigenvalues of C below it span the room for edits", NULL},
    {"absolute", UL_BOOL, 1, 0, 1, NULL,
     "the threshold is a value, as in the paper; else a share of the largest eigenvalue", NULL},
    {"l2", UL_REAL, 0, 0, 1e9, NULL, "L2, pulls the change to 0; 0: 10, of a small model 40", NULL},
    UL_PARAM_EDIT_FACTS,
    UL_PARAM_EDIT_BUDGET,
    UL_PARAM_EDIT_SPREAD(100),
    {0}};
static const char *const small[] = {".absolute", "false", ".budget", "0.15", NULL};

/* Of one block, kept from batch to batch. */
typedef struct {
    double *p, *before; /* [F, F] projector; sum of k k^T of earlier batches */
} block;
typedef struct {
    block *at; /* [n_layer] */
    double *a; /* [F, F] */
} state;

static ul_status projector(ul_work *w, const ul_edit_equation *e, state *s, double *p)
{
    const int64_t F = ul_model_shape(w->model)->F;
    double *value = UL_NEW(w->arena, double, F), limit = ul_num(w->args, "threshold");
    int64_t room = 0;
    UL_NEED(value);
    memcpy(s->a, e->covariance, (size_t)(F * F) * sizeof *s->a);
    UL_TRY(ul_eigen_all(w->ctx, s->a, F, value));
    if (ul_num(w->args, "absolute") == 0) limit *= value[F - 1];
    while (room < F && value[room] < limit) room++;
    if (room == 0)
        return ul_fail(w->ctx, UL_E_USAGE, "alphaedit: no eigenvalue of block %d's keys is below %g (the smallest "
                       "is %g): raise --alphaedit.threshold", e->layer, limit, value[0]);
    double *u = UL_NEW(w->arena, double, F * room);
    UL_NEED(u);
    for (int64_t i = 0; i < F; i++) memcpy(u + i * room, s->a + i * F, (size_t)room * sizeof *u);
    ul_product(false, true, F, F, room, u, u, p);
    return ul_buf_printf(w->report, "alphaedit: block %d has room of dimension %lld of %lld\n", e->layer,
                         (long long)room, (long long)F);
}

static ul_status solve(ul_work *w, void *user, const ul_edit_equation *e, double *delta)
{
    const int64_t C = ul_model_shape(w->model)->C, F = ul_model_shape(w->model)->F;
    state *s = user;
    block *b = &s->at[e->layer];
    const int32_t n = e->n;
    const double l2 = ul_edit_by_size(w, "l2", 10, 40);
    if (!b->p) {
        UL_NEED(b->p = UL_NEW(w->arena, double, F * F));
        UL_NEED(b->before = UL_NEW(w->arena, double, F * F));
        UL_TRY(projector(w, e, s, b->p));
    }
    const ul_mark mark = ul_arena_mark(w->arena);
    double *pk = UL_NEW(w->arena, double, n * F), *x = UL_NEW(w->arena, double, F * C);
    if (!pk || !x) return UL_E_RESOURCE;
    for (int32_t f = 0; f < n; f++)
        for (int64_t i = 0; i < F; i++)
            for (int64_t j = 0; j < F; j++) b->before[i * F + j] += e->keys[f * F + i] * e->keys[f * F + j];
    ul_product(false, false, F, F, F, b->p, b->before, s->a);
    for (int64_t i = 0; i < F; i++) s->a[i * F + i] += l2;
    ul_product(false, false, n, F, F, e->keys, b->p, pk);
    memset(x, 0, (size_t)(F * C) * sizeof *x);
    for (int32_t f = 0; f < n; f++)
        for (int64_t i = 0; i < F; i++)
            for (int64_t c = 0; c < C; c++) x[i * C + c] += pk[f * F + i] * e->residual[f * C + c];
    UL_TRY(ul_solve_lu(w->ctx, "alphaedit's projected matrix", F, C, s->a, x));
    for (int64_t c = 0; c < C; c++)
        for (int64_t i = 0; i < F; i++) delta[c * F + i] = x[i * C + c];
    ul_arena_rewind(w->arena, mark);
    return UL_OK;
}

static ul_status run(ul_work *w)
{
    const int64_t F = ul_model_shape(w->model)->F;
    state s = {UL_NEW(w->arena, block, ul_model_shape(w->model)->n_layer), UL_NEW(w->arena, double, F * F)};
    UL_NEED(s.at);
    UL_NEED(s.a);
    return ul_edit_spread(w, solve, &s);
}

static const ul_runs runs[] = {UL_RUNS_SPREAD, {0}};

const ul_procedure ul_procedure_alphaedit = {
    .method = {.title = "Null-space constrained knowledge editing",
               .paper = "arXiv:2410.02355",
               .note = "As memit, with the change kept out of the directions in which retain keys lie.",
               .intent = UL_REMOVAL,
               .level = UL_LEVEL_PARAMETERS,
               .params = params,
               .small = small,
               .needs = UL_NEED_FORGET | UL_NEED_RETAIN},
    .run = run,
    .runs = runs,
};
