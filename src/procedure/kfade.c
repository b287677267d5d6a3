/* kfade.c - K-FADE: a few steps up the forget loss in the Kronecker-factored metric of the retain set.
 *
 *   A = mean x x^T, S = mean dy dy^T over retain tokens, labels drawn from the model (Gauss-Newton)
 *   Delta W = scale (S + sqrt(damping) tr S / m  I)^-1 G_f (A + sqrt(damping) tr A / n  I)^-1         W [m, n]
 *
 * G_f is the gradient of the mean NLL of the forget rows, taken anew at each step. McKinney et al. 2026,
 * arXiv:2602.10568 (read as an abstract; the rest is K-FAC as in its textbooks, with factored Tikhonov damping,
 * Martens and Grosse 2015, section 6.3). The factors are those of the model before the run. The length of the steps
 * comes from the KL budget, an equal share of it each. Only matrices of blocks move. Traps: with the answers as
 * labels S vanishes where the model has learnt them; damping is relative here, so that it means the same for every
 * layer. Number of steps, damping and budget of the paper were not to be had: the budget is what RepSelect's
 * comparison (arXiv:2606.17168) gives every method, 0.01; small models have 0.15. tofu-656k, forget / retain 0.47 /
 * 0.52: kl 0.1 0.32 / 0.48. */
#include "procedure/_lapack.h"
#include "procedure/procedure.h"
#include <math.h>

static const ul_param params[] = {
    UL_PARAM_SCALE(1e-3, "length of a step, where kl is 0"),
    {"damping", UL_REAL, 1e-2, 1e-12, 1e6, NULL, "of the product of both factors' mean eigenvalues", NULL},
    {"steps", UL_INT, 3, 1, 1000, "steps", "each with the forget gradient where it stands", NULL},
    {"factor_docs", UL_INT, 400, 0, 1e9, "documents", "retain rows that the factors are taken from; 0: all", NULL},
    UL_PARAM_KL(0.01), UL_PARAM_KL_DOCS, {0}};

/* [n, n] of doubles: the mean, and the damping on its diagonal. */
static double *damped(ul_arena *arena, const void *sum, int64_t n, int64_t tokens, double root, size_t esize)
{
    double *m = UL_NEW(arena, double, n * n), trace = 0;
    if (!m) return NULL;
    for (int64_t i = 0; i < n * n; i++) m[i] = ul_real_at(sum, i, esize) / (double)tokens;
    for (int64_t i = 0; i < n; i++) trace += m[i * n + i];
    for (int64_t i = 0; i < n; i++) m[i * n + i] += root * trace / (double)n;
    return m;
}

static ul_status direction(ul_work *w, ul_arena *scratch, const ul_factors *f, ul_move *move)
{
    const size_t esize = move->from.esize;
    const double root = sqrt(ul_num(w->args, "damping"));
    UL_TRY(ul_work_gradient(w, w->model, w->forget, 1, NULL));
    for (int k = 0; k < f->n; k++) {
        const ul_factor *at = &f->at[k];
        const ul_weight *x = at->w;
        const ul_mark mark = ul_arena_mark(scratch);
        double *g = UL_NEW(scratch, double, x->rows * x->cols);
        double *a = damped(scratch, at->xx, x->cols, at->n, root, esize),
               *s = damped(scratch, at->dd, x->rows, at->n, root, esize);
        if (!g || !a || !s) return UL_E_RESOURCE;
        for (int64_t j = 0; j < x->rows * x->cols; j++) g[j] = ul_real_at(x->g, j, esize);
        UL_TRY(ul_solve_sides(w->ctx, x->name, x->rows, x->cols, s, a, g));
        for (int i = 0; i < move->from.n; i++) { /* the part's place in its tensor */
            const ul_trainable *t = &move->from.train[i];
            const int64_t place = ((const char *)x->p - (const char *)t->p) / (int64_t)esize;
            if ((const char *)x->p < (const char *)t->p || place >= t->n) continue;
            for (int64_t j = 0; j < x->rows * x->cols; j++) ul_real_put(move->d[i], place + j, esize, g[j]);
        }
        ul_arena_rewind(scratch, mark);
    }
    return UL_OK;
}

static ul_status run(ul_work *w)
{
    ul_budget budget;
    ul_factors f;
    ul_docs *some;
    ul_arena *scratch;
    const int steps = (int)ul_num(w->args, "steps");
    const double kl = ul_num(w->args, "kl");
    ul_status s = UL_OK;
    UL_TRY(ul_work_whole(w));
    UL_TRY(ul_budget_begin(w, &budget));
    UL_TRY(ul_work_draw(w, w->retain, (int64_t)ul_num(w->args, "factor_docs"), &some));
    UL_TRY(ul_factors_collect(w, w->arena, some, UL_FACTOR_X | UL_FACTOR_D | UL_FACTOR_SAMPLED, &f));
    UL_TRY(ul_arena_new(w->ctx, "kfade", &scratch));
    for (int k = 0; k < steps && s == UL_OK; k++) {
        ul_move move;
        double scale = 0;
        s = ul_move_new(w->ctx, scratch, w->model, &move);
        if (s == UL_OK) s = direction(w, scratch, &f, &move);
        if (s == UL_OK && kl > 0) s = ul_budget_search(&budget, &move, kl * (k + 1) / steps, &scale);
        else if (s == UL_OK) ul_move_to(&move, ul_num(w->args, "scale"));
        ul_arena_reset(scratch);
    }
    ul_arena_free(scratch);
    return s;
}

static const ul_runs runs[] = {
    UL_RUNS_BUDGET,
    {.what = "labels drawn from the model", .kind = UL_RUNS_FORWARD, .docs = UL_RETAIN, .most = "factor_docs"},
    {.what = "factors of the retain rows", .kind = UL_RUNS_GRADIENT, .docs = UL_RETAIN, .most = "factor_docs"},
    {.what = "gradient of the forget rows, each step", .kind = UL_RUNS_GRADIENT, .times = "steps", .copies = 2},
    {.what = "search for the scale that the budget allows, each step", .kind = UL_RUNS_FORWARD, .docs = UL_RETAIN,
     .when = "kl", .most = "kl_docs", .times = "10 steps"},
    {0}};

const ul_procedure ul_procedure_kfade = {
    .method =
        {.title = "K-FADE: Gauss-Newton steps up the forget loss",
         .paper = "arXiv:2602.10568",
         .note = "Very specific within its KL budget; the authors say themselves that full-rank relearning undoes it.",
         .intent = UL_REMOVAL,
         .level = UL_LEVEL_PARAMETERS,
         .params = params,
         .small = UL_VALUES(".kl", "0.15"),
         .needs = UL_NEED_FORGET | UL_NEED_RETAIN},
    .run = run,
    .runs = runs,
};
