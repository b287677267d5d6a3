/* relative_utility.c - utility beside the model before it forgot, the third part of open-unlearning's final ranking
 * (arXiv 2506.12618, section 5): Util = u(U) / u(O), u = HM(model utility, fluency). Fluency (forget_Q_A_gibberish)
 * needs a classifier and takes part only where both models have it; else u is the model utility alone. May exceed 1.
 * Absent without the original, and beside one of no utility. */
#include "metric/metric_impl.h"
#include <math.h>
#include <string.h>

static double of(const ul_input *in, int n, const char *role)
{
    for (int i = 0; i < n; i++)
        if (!strcmp(in[i].role, role)) return in[i].agg_value;
    return NAN;
}

static ul_status aggregate(ul_arena *a, const ul_args *args, const ul_input *in, int n_in, ul_result *out)
{
    (void)a, (void)args;
    double own[2] = {of(in, n_in, "utility"), of(in, n_in, "fluency")};
    double before[2] = {of(in, n_in, "original"), of(in, n_in, "original fluency")};
    const int n = isfinite(own[1]) && isfinite(before[1]) ? 2 : 1;
    if (!isfinite(before[0])) {
        out->absent = true;
        out->why = "it compares with the model before it forgot, and there is no log of one (--original-logs)";
        return UL_OK;
    }
    const double u = ul_harmonic_mean(own, n), o = ul_harmonic_mean(before, n);
    if (o <= 0) {
        out->absent = true;
        out->why = "the original's utility is 0, and this model's would be divided by it";
        return UL_OK;
    }
    out->agg_value = u / o;
    return UL_OK;
}

const ul_metric ul_metric_relative_utility = {
    .title = "utility beside the model before it forgot",
    .paper = "arXiv 2506.12618",
    .unit = "ratio",
    .lo = 0,
    .hi = (double)INFINITY,
    .better = UL_BETTER_HIGHER,
    .needs = {{"*", UL_COL_AGGREGATE, false}},
    .aggregate = aggregate,
};
