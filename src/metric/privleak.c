/* privleak.c - membership inference relative to the retrained control, in percent:
 * ((1 - A) - (1 - R)) / (1 - R + 1e-10) * 100, A and R the AUC of an attack (Min-K%) on this model and on the control.
 * 0 is ideal, -100 under-unlearned, positive over-unlearned. Without a control R = ref_value.
 * Shi et al. (2024), "MUSE", arXiv 2407.06460, section 3.2; open-unlearning `privleak`. */
#include "metric/metric_impl.h"
#include <math.h>

static const ul_param params[] = {
    {"ref_value", UL_REAL, 0.5, 0, 1, "AUC", "the control's AUC where there is no control", NULL},
    {0},
};

static ul_status aggregate(ul_arena *a, const ul_args *args, const ul_input *in, int n_in, ul_result *out)
{
    (void)a, (void)n_in;
    const double control = isnan(in[1].agg_value) ? ul_num(args, "ref_value") : in[1].agg_value;
    const double score = 1 - in[0].agg_value, ref = 1 - control;
    out->agg_value = (score - ref) / (ref + 1e-10) * 100;
    return UL_OK;
}

const ul_metric ul_metric_privleak = {
    .title = "privacy leakage against the retrained control",
    .paper = "arXiv 2407.06460",
    .unit = "percent",
    .lo = -100,
    .hi = (double)INFINITY,
    .better = UL_BETTER_CLOSER,
    .ideal = 0,
    .params = params,
    .needs = {{"forget", UL_COL_AGGREGATE, false}, {"retain", UL_COL_AGGREGATE, true}},
    .aggregate = aggregate,
};
