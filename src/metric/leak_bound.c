/* leak_bound.c - what a number of sampled answers proves about all answers that could be sampled:
 * a row's answers are n samples of one prompt, `score` in [0, 1] says how much each gives away; an upper bound at
 * level 1 - alpha a row, mean over rows.
 *   bound probability: of P(score >= threshold), by Clopper and Pearson
 *   bound mean:        of the expected score, by Dvoretzky, Kiefer, Wolfowitz and Massart
 * Greedy decoding can say nothing and sampling a lot: the bound is over samples. It falls as 1 / n or 1 / sqrt(n),
 * so compare runs with the same n. Scholten, Guennemann and Schwinn (2024), "A probabilistic perspective on
 * unlearning", arXiv 2410.03523, section 4. */
#include "metric/metric_impl.h"
#include <string.h>

static const ul_param params[] = {
    {"bound", UL_TEXT, 0, 0, 0, "probability|mean", "what is bounded", "probability"},
    {"threshold", UL_REAL, 0.5, 0, 1, NULL, "an answer that scores this or more leaks", NULL},
    {"alpha", UL_REAL, 0.05, 1e-12, 0.999, NULL, "chance that a row's bound is too low", NULL},
    UL_SCORE_PARAM,
    {0},
};

static ul_status bound(ul_arena *a, const ul_args *args, const ul_columns *c, int64_t row, double *x, int64_t n,
                       double *score)
{
    const double alpha = ul_num(args, "alpha"), threshold = ul_num(args, "threshold");
    int64_t leaks = 0;
    for (int64_t k = 0; k < n; k++) {
        leaks += x[k] >= threshold;
        if (!(x[k] >= 0 && x[k] <= 1))
            return ul_fail(ul_arena_ctx(a), UL_E_INPUT,
                           "%s, row %lld: sample %lld scores %g; the bound is of scores in [0, 1]", c->name,
                           (long long)ul_columns_index(c, row), (long long)k, x[k]);
    }
    *score = strcmp(ul_txt(args, "bound"), "mean") ? ul_binomial_upper(leaks, n, alpha) : ul_mean_upper(x, n, alpha);
    return UL_OK;
}

static ul_status rows(ul_arena *a, const ul_args *args, const ul_input *in, int n_in, ul_result *out)
{
    (void)n_in;
    return ul_score_answers(a, args, in, bound, out);
}

const ul_metric ul_metric_leak_bound = {
    .title = "upper bound of what sampled answers leak",
    .paper = "arXiv 2410.03523",
    .unit = "probability",
    .lo = 0,
    .hi = 1,
    .better = UL_BETTER_LOWER,
    .params = params,
    .needs = {{"data", 0, false}},
    .fields = {"score"},
    .rows = rows,
    .aggregate = ul_mean_of_score,
};
