/* exact_memorization.c - share of the answer's tokens that the model predicts (argmax) after the true ones before
 * them, end of sequence left out; mean over rows.
 * Tirumala et al. (2022), "Memorization without overfitting", arXiv 2205.10770;
 * open-unlearning `exact_memorization`. */
#include "metric/metric_impl.h"

static const ul_param params[] = {UL_MATCH_PARAM, {0}};

static ul_status score(ul_arena *a, const ul_args *args, const ul_columns *c, int64_t row, double *out)
{
    int64_t first, n, hits = 0;
    UL_TRY(ul_scored_tokens(a, c, row, args, &first, &n));
    for (int64_t t = 0; t < n; t++) hits += c->hit[first + t] != 0;
    *out = (double)hits / (double)n;
    return UL_OK;
}

static ul_status rows(ul_arena *a, const ul_args *args, const ul_input *in, int n_in, ul_result *out)
{
    return ul_score_rows(a, args, in, n_in, score, out);
}

const ul_metric ul_metric_exact_memorization = {
    .title = "exact memorization: share of tokens predicted",
    .paper = "arXiv 2205.10770",
    .unit = "share",
    .lo = 0,
    .hi = 1,
    .better = UL_BETTER_LOWER,
    .params = params,
    .needs = {{"data", UL_COL_HIT, false}},
    .fields = {"score"},
    .rows = rows,
    .aggregate = ul_mean_of_score,
};
