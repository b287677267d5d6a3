/* prediction_agreement.c - share of an answer's labelled tokens at which this model and the retrained control have the
 * same likeliest token, both given the true answer so far; mean over rows. The agreement that Golatkar et al. (2020),
 * arXiv 1911.04933, ask of a scrubbed network, token by token. */
#include "metric/metric_impl.h"

static ul_status score(ul_arena *a, const ul_args *args, const ul_columns *c, int64_t row, double *out)
{
    (void)a, (void)args;
    int64_t same = 0;
    for (int64_t t = c->token[row]; t < c->token[row + 1]; t++) same += c->agree[t];
    *out = (double)same / (double)(c->token[row + 1] - c->token[row]);
    return UL_OK;
}

static ul_status rows(ul_arena *a, const ul_args *args, const ul_input *in, int n_in, ul_result *out)
{
    return ul_score_rows(a, args, in, n_in, score, out);
}

const ul_metric ul_metric_prediction_agreement = {
    .title = "tokens that model and retrained control both find likeliest",
    .paper = "arXiv 1911.04933",
    .unit = "share",
    .lo = 0,
    .hi = 1,
    .better = UL_BETTER_HIGHER,
    .needs = {{"data", UL_COL_DIVERGENCE, false}},
    .fields = {"score"},
    .rows = rows,
    .aggregate = ul_mean_of_score,
};
