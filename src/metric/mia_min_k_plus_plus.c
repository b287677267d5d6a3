/* mia_min_k_plus_plus.c - Min-K% of log-probabilities standardised at each position: z = (logp - mu) / sqrt(sigma2)
 * with mu, sigma2 the mean and variance of log p(v) under p; sigma2 is at least 1e-6 (as in open-unlearning), so that
 * a uniform distribution does not divide by 0.
 * Zhang et al. (2024), "Min-K%++", arXiv 2404.02936; open-unlearning `mia_min_k_plus_plus`. */
#include "metric/metric_impl.h"
#include <math.h>

static const ul_param params[] = {
    {"k", UL_REAL, 0.4, 0, 1, "share of tokens", "the tokens with the lowest z that count; at least one", NULL},
    UL_MATCH_PARAM,
    {0},
};

static ul_status score(ul_arena *a, const ul_args *args, const ul_columns *c, int64_t row, double *out)
{
    const ul_mark mark = ul_arena_mark(a);
    int64_t first, n;
    UL_TRY(ul_scored_tokens(a, c, row, args, &first, &n));
    double *z = ul_alloc_raw(a, (size_t)n, sizeof *z);
    UL_NEED(z);
    for (int64_t t = 0; t < n; t++) {
        const int64_t i = first + t;
        z[t] = (c->logp[i] - c->mu[i]) / sqrt(c->sigma2[i] > 1e-6 ? c->sigma2[i] : 1e-6);
    }
    *out = ul_min_k(z, n, ul_num(args, "k"));
    ul_arena_rewind(a, mark);
    return UL_OK;
}

static ul_status rows(ul_arena *a, const ul_args *args, const ul_input *in, int n_in, ul_result *out)
{
    return ul_score_rows(a, args, in, n_in, score, out);
}

const ul_metric ul_metric_mia_min_k_plus_plus = {
    .title = "membership inference by standardised least likely tokens (Min-K%++)",
    .paper = "arXiv 2404.02936",
    .unit = "AUC",
    .lo = 0,
    .hi = 1,
    .better = UL_BETTER_CLOSER,
    .ideal = 0.5,
    .params = params,
    .needs = {{"forget", UL_COL_LOGP | UL_COL_MOMENTS, false}, {"holdout", UL_COL_LOGP | UL_COL_MOMENTS, false}},
    .fields = {"score"},
    .rows = rows,
    .aggregate = ul_mia_aggregate,
};
