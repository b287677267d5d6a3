/* _mia.c - what metrics with a score a row share, those of membership inference above all: scores, AUC, Min-K. */
#include "metric/metric_impl.h"
#include <math.h>
#include <string.h>

ul_status ul_score_rows(ul_arena *a, const ul_args *args, const ul_input *in, int n_in, ul_row_score *score,
                        ul_result *out)
{
    for (int k = 0; k < n_in; k++) {
        const ul_columns *c = in[k].columns;
        if (c->first) {
            return ul_fail(ul_arena_ctx(a), UL_E_INPUT, "%s has several answers a row; a score is for one", c->name);
        }
        double *x = UL_NEW(a, double, c->n_row);
        UL_NEED(x);
        for (int64_t i = 0; i < c->n_row; i++) UL_TRY(score(a, args, c, i, &x[i]));
        ul_part_start(out, k, in[k].role, c)->score = x;
    }
    return UL_OK;
}

ul_status ul_mia_aggregate(ul_arena *a, const ul_args *args, const ul_input *in, int n_in, ul_result *out)
{
    (void)args, (void)in, (void)n_in;
    double *sorted[2];
    if (out->n_part != 2 || strcmp(out->part[0].role, "forget") != 0 || strcmp(out->part[1].role, "holdout") != 0) {
        return ul_fail(ul_arena_ctx(a), UL_E_INPUT, "the parts must be \"forget\" and \"holdout\", in this order");
    }
    for (int k = 0; k < 2; k++) {
        UL_TRY(ul_part_mean(a, &out->part[k], "score"));
        const ul_columns *c = &out->part[k].rows;
        sorted[k] = UL_NEW(a, double, c->n_row);
        UL_NEED(sorted[k]);
        memcpy(sorted[k], out->part[k].value, (size_t)c->n_row * sizeof *sorted[k]);
    }
    out->agg_value = ul_auc(sorted[1], out->part[1].rows.n_row, sorted[0], out->part[0].rows.n_row);
    return UL_OK;
}

double ul_min_k(double *x, int64_t n, double k)
{
    int64_t lowest = (int64_t)(k * (double)n);
    if (lowest < 1) lowest = 1;
    ul_sort(x, n);
    return -ul_mean(x, lowest);
}
