/* kl_divergence.c - mean over an answer's labelled tokens of KL(p || q), p this model's distribution over
 * the vocabulary and q the retrained control's, both given the true answer so far; mean over rows. `direction`
 * reverse: KL(q || p), large where the model cannot say what the control would. Two controls that differ in their seed
 * are not 0 apart: that is the floor. Kullback and Leibler (1951). */
#include "metric/metric_impl.h"
#include <math.h>
#include <string.h>

static const ul_param params[] = {
    {"direction", UL_TEXT, 0, 0, 0, "forward|reverse", "forward: KL(model || control)", "forward"},
    {0},
};

static ul_status score(ul_arena *a, const ul_args *args, const ul_columns *c, int64_t row, double *out)
{
    (void)a;
    const double *x = strcmp(ul_txt(args, "direction"), "reverse") == 0 ? c->kl_reverse : c->kl;
    *out = ul_mean(x + c->token[row], c->token[row + 1] - c->token[row]);
    return UL_OK;
}

static ul_status rows(ul_arena *a, const ul_args *args, const ul_input *in, int n_in, ul_result *out)
{
    return ul_score_rows(a, args, in, n_in, score, out);
}

const ul_metric ul_metric_kl_divergence = {
    .title = "divergence from the retrained control on given answers",
    .paper = "doi.org/10.1214/aoms/1177729694",
    .unit = "nat",
    .lo = 0,
    .hi = (double)INFINITY,
    .better = UL_BETTER_LOWER,
    .params = params,
    .needs = {{"data", UL_COL_DIVERGENCE, false}},
    .fields = {"score"},
    .rows = rows,
    .aggregate = ul_mean_of_score,
};
