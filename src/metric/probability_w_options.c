/* probability_w_options.c - the right answer's share among the offered ones:
 * p(correct) / (p(correct) + sum of p(wrong) + 1e-10), p length-normalised; mean over rows.
 * Maini et al. (2024), "TOFU", section 2.2.2 (real authors, world facts); open-unlearning `probability_w_options`. */
#include "metric/metric_impl.h"

static ul_status rows(ul_arena *a, const ul_args *args, const ul_input *in, int n_in, ul_result *out)
{
    (void)args, (void)n_in;
    const ul_columns *right = in[0].columns, *wrong = in[1].columns;
    UL_TRY(ul_same_rows(a, right, wrong));
    double *share = UL_NEW(a, double, right->n_row);
    UL_NEED(share);
    for (int64_t i = 0; i < right->n_row; i++) {
        const double p = ul_row_mean(right, right->prob, i);
        const int64_t lo = wrong->first ? wrong->first[i] : i, hi = wrong->first ? wrong->first[i + 1] : i + 1;
        share[i] = p / (p + ul_sum(wrong->prob + lo, hi - lo) + 1e-10);
    }
    ul_part_start(out, 0, "", right)->prob = share;
    return UL_OK;
}

const ul_metric ul_metric_probability_w_options = {
    .title = "probability of the right answer among the offered ones",
    .paper = "arXiv 2401.06121",
    .unit = "probability",
    .lo = 0,
    .hi = 1,
    .better = UL_BETTER_HIGHER,
    .needs = {{"correct", UL_COL_PROB, false}, {"wrong", UL_COL_PROB, false}},
    .fields = {"prob"},
    .rows = rows,
    .aggregate = ul_mean_of_prob,
};
