/* ks_test.c - could these scores come from the retrained control? p-value of the two-sided two-sample
 * Kolmogorov-Smirnov test between the row scores of this model ("forget") and of the control ("retain"): TOFU's forget
 * quality when the scores are truth ratios (Maini et al. 2024, section 2.2.1; open-unlearning `ks_test`).
 * p falls with the number of rows at the same distance D, so it compares models, not data sets; `report` d gives D.
 * Without a control the result is absent. */
#include "metric/metric_impl.h"
#include <string.h>

static const ul_param params[] = {
    {"report", UL_TEXT, 0, 0, 0, "p|d", "the p-value, or the statistic D", "p"},
    {0},
};

static ul_status aggregate(ul_arena *a, const ul_args *args, const ul_input *in, int n_in, ul_result *out)
{
    (void)n_in;
    if (!in[1].columns) {
        out->absent = true;
        out->why = "it compares with a retrained control, and there is no log of one";
        return UL_OK;
    }
    double *x[2];
    for (int k = 0; k < 2; k++) {
        const ul_columns *c = in[k].columns;
        x[k] = UL_NEW(a, double, c->n_row);
        UL_NEED(x[k]);
        for (int64_t i = 0; i < c->n_row; i++) x[k][i] = ul_row_mean(c, c->score, i);
    }
    const int64_t n = in[0].columns->n_row, m = in[1].columns->n_row;
    double *scratch = UL_NEW(a, double, (n < m ? n : m) + 1);
    UL_NEED(scratch);
    const ul_ks ks = ul_ks_2samp(x[0], n, x[1], m, scratch);
    out->agg_value = strcmp(ul_txt(args, "report"), "d") == 0 ? ks.d : ks.p;
    return UL_OK;
}

const ul_metric ul_metric_ks_test = {
    .title = "Kolmogorov-Smirnov test against the retrained control",
    .paper = "arXiv 2401.06121",
    .unit = "p-value",
    .lo = 0,
    .hi = 1,
    .better = UL_BETTER_HIGHER,
    .params = params,
    .needs = {{"forget", UL_COL_SCORE, false}, {"retain", UL_COL_SCORE, true}},
    .aggregate = aggregate,
};
