/* mia_gradnorm.c - membership by the gradient: the mean over parameter tensors of each one's own norm (not the norm
 * of all), of the mean loss over the tokens but the end of sequence; computed by the pass.
 * Wang et al. (2024), arXiv 2402.17012; open-unlearning `mia_gradnorm`. */
#include "metric/metric_impl.h"

static ul_status score(ul_arena *a, const ul_args *args, const ul_columns *c, int64_t row, double *out)
{
    (void)a, (void)args;
    *out = c->grad_norm[row];
    return UL_OK;
}

static ul_status rows(ul_arena *a, const ul_args *args, const ul_input *in, int n_in, ul_result *out)
{
    return ul_score_rows(a, args, in, n_in, score, out);
}

const ul_metric ul_metric_mia_gradnorm = {
    .title = "membership inference by gradient norm",
    .paper = "arXiv 2402.17012",
    .unit = "AUC",
    .lo = 0,
    .hi = 1,
    .better = UL_BETTER_CLOSER,
    .ideal = 0.5,
    .needs = {{"forget", UL_COL_GRAD_NORM, false}, {"holdout", UL_COL_GRAD_NORM, false}},
    .fields = {"score"},
    .rows = rows,
    .aggregate = ul_mia_aggregate,
};
