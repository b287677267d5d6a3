/* hm_aggregate.c - harmonic mean of other results' aggregates: TOFU's model utility over nine of them (Maini et al.
 * 2024, section 2.2.2; open-unlearning `hm_aggregate`). One aggregate of 0 makes it 0.
 * `complement` takes 1 - x of every aggregate: the memorization score of open-unlearning's final ranking
 * (arXiv 2506.12618, section 5). */
#include "metric/metric_impl.h"

static const ul_param params[] = {
    {"complement", UL_BOOL, 0, 0, 1, NULL, "use 1 - x of every aggregate", NULL},
    {0},
};

static ul_status aggregate(ul_arena *a, const ul_args *args, const ul_input *in, int n_in, ul_result *out)
{
    double *x = UL_NEW(a, double, n_in);
    UL_NEED(x);
    for (int i = 0; i < n_in; i++) {
        x[i] = ul_num(args, "complement") != 0 ? 1 - in[i].agg_value : in[i].agg_value;
        if (x[i] < 0) {
            return ul_fail(ul_arena_ctx(a), UL_E_INPUT, "%s is %g: a harmonic mean needs numbers of 0 or more",
                           in[i].role, x[i]);
        }
    }
    out->agg_value = ul_harmonic_mean(x, n_in);
    return UL_OK;
}

const ul_metric ul_metric_hm_aggregate = {
    .title = "harmonic mean of results",
    .paper = "arXiv 2401.06121",
    .unit = "share",
    .lo = 0,
    .hi = 1,
    .better = UL_BETTER_HIGHER,
    .params = params,
    .needs = {{"*", UL_COL_AGGREGATE, false}},
    .aggregate = aggregate,
};
