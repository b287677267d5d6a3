/* mia_min_k.c - membership by the least likely tokens: minus the mean of the max(1, int(k n)) lowest log-probabilities,
 * end of sequence left out.
 * Shi et al. (2023), "Min-K% Prob", arXiv 2310.16789; open-unlearning `mia_min_k`. */
#include "metric/metric_impl.h"

static const ul_param params[] = {
    {"k", UL_REAL, 0.4, 0, 1, "share of tokens", "the tokens with the lowest log-probability that count; at least one",
     NULL},
    UL_MATCH_PARAM,
    {0},
};

static ul_status score(ul_arena *a, const ul_args *args, const ul_columns *c, int64_t row, double *out)
{
    const ul_mark mark = ul_arena_mark(a);
    int64_t first, n;
    UL_TRY(ul_scored_tokens(a, c, row, args, &first, &n));
    double *x = ul_alloc_raw(a, (size_t)n, sizeof *x);
    UL_NEED(x);
    for (int64_t t = 0; t < n; t++) x[t] = c->logp[first + t];
    *out = ul_min_k(x, n, ul_num(args, "k"));
    ul_arena_rewind(a, mark);
    return UL_OK;
}

static ul_status rows(ul_arena *a, const ul_args *args, const ul_input *in, int n_in, ul_result *out)
{
    return ul_score_rows(a, args, in, n_in, score, out);
}

const ul_metric ul_metric_mia_min_k = {
    .title = "membership inference by the least likely tokens (Min-K%)",
    .paper = "arXiv 2310.16789",
    .unit = "AUC",
    .lo = 0,
    .hi = 1,
    .better = UL_BETTER_CLOSER,
    .ideal = 0.5,
    .params = params,
    .needs = {{"forget", UL_COL_LOGP, false}, {"holdout", UL_COL_LOGP, false}},
    .fields = {"score"},
    .rows = rows,
    .aggregate = ul_mia_aggregate,
};
