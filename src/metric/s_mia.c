/* s_mia.c - how close an attack's AUC is to that on the retrained control: 1 - min(|A - R| / R, 1). Absent without one.
 * open-unlearning's privacy scores (arXiv 2506.12618, section 5 and appendix). */
#include "metric/metric_impl.h"
#include <math.h>

static ul_status aggregate(ul_arena *a, const ul_args *args, const ul_input *in, int n_in, ul_result *out)
{
    (void)args, (void)n_in;
    const double control = in[1].agg_value;
    if (isnan(control)) {
        out->absent = true;
        out->why = "it compares with a retrained control, and there is no log of one";
        return UL_OK;
    }
    if (control <= 0) {
        return ul_fail(ul_arena_ctx(a), UL_E_INPUT, "the control's AUC is %g: the score divides by it", control);
    }
    const double away = fabs(in[0].agg_value - control) / control;
    out->agg_value = 1 - (away < 1 ? away : 1);
    return UL_OK;
}

const ul_metric ul_metric_s_mia = {
    .title = "closeness of a membership attack to the retrained control",
    .paper = "arXiv 2506.12618",
    .unit = "share",
    .lo = 0,
    .hi = 1,
    .better = UL_BETTER_HIGHER,
    .needs = {{"forget", UL_COL_AGGREGATE, false}, {"retain", UL_COL_AGGREGATE, true}},
    .aggregate = aggregate,
};
