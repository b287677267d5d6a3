/* mia_reference.c - membership by loss against a reference model: avg_loss - ref_loss.
 * Carlini et al. (2021), arXiv 2012.07805; open-unlearning `mia_reference`. */
#include "metric/metric_impl.h"

static ul_status score(ul_arena *a, const ul_args *args, const ul_columns *c, int64_t row, double *out)
{
    (void)a, (void)args;
    *out = c->avg_loss[row] - c->ref_loss[row];
    return UL_OK;
}

static ul_status rows(ul_arena *a, const ul_args *args, const ul_input *in, int n_in, ul_result *out)
{
    return ul_score_rows(a, args, in, n_in, score, out);
}

const ul_metric ul_metric_mia_reference = {
    .title = "membership inference by loss against a reference model",
    .paper = "arXiv 2012.07805",
    .unit = "AUC",
    .lo = 0,
    .hi = 1,
    .better = UL_BETTER_CLOSER,
    .ideal = 0.5,
    .needs = {{"forget", UL_COL_AVG_LOSS | UL_COL_REF_LOSS, false},
              {"holdout", UL_COL_AVG_LOSS | UL_COL_REF_LOSS, false}},
    .fields = {"score"},
    .rows = rows,
    .aggregate = ul_mia_aggregate,
};
