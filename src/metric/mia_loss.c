/* mia_loss.c - membership by loss: avg_loss, end of sequence included.
 * Yeom et al. (2018), arXiv 1709.01604; open-unlearning `mia_loss`. */
#include "metric/metric_impl.h"

static ul_status score(ul_arena *a, const ul_args *args, const ul_columns *c, int64_t row, double *out)
{
    (void)a, (void)args;
    *out = c->avg_loss[row];
    return UL_OK;
}

static ul_status rows(ul_arena *a, const ul_args *args, const ul_input *in, int n_in, ul_result *out)
{
    return ul_score_rows(a, args, in, n_in, score, out);
}

const ul_metric ul_metric_mia_loss = {
    .title = "membership inference by loss",
    .paper = "arXiv 1709.01604",
    .unit = "AUC",
    .lo = 0,
    .hi = 1,
    .better = UL_BETTER_CLOSER,
    .ideal = 0.5,
    .needs = {{"forget", UL_COL_AVG_LOSS, false}, {"holdout", UL_COL_AVG_LOSS, false}},
    .fields = {"score"},
    .rows = rows,
    .aggregate = ul_mia_aggregate,
};
