/* fisher_noise.c - Fisher forgetting: noise on every weight, the stronger the less the retain set depends on it.
 *
 *   theta = theta_0 + scale e,     e ~ N(0, (F_r + lambda)^(-2 power))       power 1/4: covariance F^(-1/2)
 *
 * Golatkar, Achille and Soatto 2020, arXiv:1911.04933, eq. 8; for language models Gu et al. 2024, arXiv:2403.10557,
 * whose exponent and step could not be read: the step is RepSelect's budget for every method (arXiv:2606.17168),
 * 0.01; small models have 0.15. lambda is `damping` times the mean of F_r. The noise knows nothing of the forget
 * set: within a budget on the retain rows it forgets what the retain rows do not hold up. It is the baseline of its
 * kind (tofu-656k, forget / retain 0.47 / 0.52: kl 0.1 0.43 / 0.47: it forgets no more than it harms). */
#include "procedure/procedure.h"

static const ul_param params[] = {
    UL_PARAM_SCALE(1e-3, "size of the noise, where kl is 0"),
    {"power", UL_REAL, 0.25, 0, 1, NULL, "standard deviation: information to the power of minus this", NULL},
    {"damping", UL_REAL, 1e-3, 1e-9, 1e9, NULL, "added to the information, as a multiple of its mean", NULL},
    UL_PARAM_KL(0.01), UL_PARAM_KL_DOCS, UL_PARAM_FISHER_DOCS, {0}};

static ul_status run(ul_work *w)
{
    ul_move move;
    ul_budget budget;
    double **fisher, lambda;
    const double power = ul_num(w->args, "power");
    UL_TRY(ul_work_whole(w));
    UL_TRY(ul_budget_begin(w, &budget));
    UL_TRY(ul_fisher_damped(w, w->retain, &fisher, &lambda));
    UL_TRY(ul_move_new(w->ctx, w->arena, w->model, &move));
    for (int i = 0; i < move.from.n; i++)
        for (int64_t j = 0; j < move.from.train[i].n; j++)
            ul_real_put(move.d[i], j, move.from.esize,
                        ul_rng_normal(w->recipe->seed, UL_STREAM_WEIGHTS, (uint64_t)i, (uint64_t)j) *
                            ul_pow(fisher[i][j] + lambda, -power));
    return ul_budget_go(w, &budget, &move);
}

static const ul_runs runs[] = {
    UL_RUNS_BUDGET, UL_RUNS_FISHER(UL_RETAIN, "retain"),
    {.what = "noise where it is small", .kind = UL_RUNS_NO_PASS, .copies = 2}, UL_RUNS_SEARCH, {0}};

const ul_procedure ul_procedure_fisher_noise = {
    .method = {.title = "Fisher forgetting: noise where the retain set is insensitive",
               .paper = "arXiv:1911.04933",
               .note = "No gradient of the forget set: a baseline that forgets what nothing else holds in place.",
               .intent = UL_REMOVAL,
               .level = UL_LEVEL_PARAMETERS,
               .params = params,
               .small = UL_VALUES(".kl", "0.15"),
               .needs = UL_NEED_FORGET | UL_NEED_RETAIN},
    .run = run,
    .runs = runs,
};
