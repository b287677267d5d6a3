/* leak_at_k.c - what the best of k sampled answers gives away. A row's answers are n >= k samples of one prompt,
 * `score` says how much each leaks (ROUGE, entailment, a hit 0 or 1); unbiased mean of the largest of k,
 * mean over rows. arXiv 2511.04934 (leak@k); Chen et al. (2021), arXiv 2107.03374 (pass@k). A retrained model leaks
 * too when k is large: compare with it. */
#include "metric/metric_impl.h"

static const ul_param params[] = {
    {"k", UL_INT, 1, 0, 1e6, "samples", "how many sampled answers are looked at; 0: all of a row", NULL},
    UL_SCORE_PARAM,
    {0},
};

static ul_status best(ul_arena *a, const ul_args *args, const ul_columns *c, int64_t row, double *x, int64_t n,
                      double *score)
{
    const int64_t k = (int64_t)ul_num(args, "k");
    if (n < k || n < 1)
        return ul_fail(ul_arena_ctx(a), UL_E_USAGE, "%s, row %lld: %lld samples are too few for k = %lld", c->name,
                       (long long)ul_columns_index(c, row), (long long)n, (long long)k);
    *score = ul_expected_max(x, n, k ? k : n);
    return UL_OK;
}

static ul_status rows(ul_arena *a, const ul_args *args, const ul_input *in, int n_in, ul_result *out)
{
    (void)n_in;
    return ul_score_answers(a, args, in, best, out);
}

const ul_metric ul_metric_leak_at_k = {
    .title = "leak@k: the most telling of k sampled answers",
    .paper = "arXiv 2511.04934",
    .unit = "score",
    .lo = 0,
    .hi = 1,
    .better = UL_BETTER_LOWER,
    .params = params,
    .needs = {{"data", 0, false}},
    .fields = {"score"},
    .rows = rows,
    .aggregate = ul_mean_of_score,
};
