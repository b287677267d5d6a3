/* js_divergence.c - mean over an answer's labelled tokens of the Jensen-Shannon divergence between this
 * model's distribution over the vocabulary and the retrained control's, both given the true answer so far;
 * mean over rows. In [0, log 2].
 * Lin (1991), IEEE Trans. Information Theory 37(1), equation 3.1. */
#include "metric/metric_impl.h"

static ul_status score(ul_arena *a, const ul_args *args, const ul_columns *c, int64_t row, double *out)
{
    (void)a, (void)args;
    *out = ul_mean(c->js + c->token[row], c->token[row + 1] - c->token[row]);
    return UL_OK;
}

static ul_status rows(ul_arena *a, const ul_args *args, const ul_input *in, int n_in, ul_result *out)
{
    return ul_score_rows(a, args, in, n_in, score, out);
}

const ul_metric ul_metric_js_divergence = {
    .title = "symmetric divergence from the retrained control on given answers",
    .paper = "doi.org/10.1109/18.61115",
    .unit = "nat",
    .lo = 0,
    .hi = 0.6931471805599454,
    .better = UL_BETTER_LOWER,
    .needs = {{"data", UL_COL_DIVERGENCE, false}},
    .fields = {"score"},
    .rows = rows,
    .aggregate = ul_mean_of_score,
};
