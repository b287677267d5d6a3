/* choice_accuracy.c - multiple choice: a row counts 1 when the right choice has the highest score
 * (log-likelihood); ties go to the first, as numpy's argmax in lm-evaluation-harness; mean over rows
 * (hence over groups weighted by their sizes).
 * `calibrated` subtracts from every choice its mean over the rows first: a model that always says "C"
 * falls to chance instead of looking as if it knew the rows whose answer is C. Deeb and Roger (2024),
 * arXiv 2410.08827, appendix. Rows must have equally many choices then. WMDP: Li et al. (2024), arXiv 2403.03218;
 * MMLU: Hendrycks et al. (2021), arXiv 2009.03300. */
#include "metric/metric_impl.h"

static const ul_param params[] = {
    {"calibrated", UL_BOOL, 0, 0, 1, NULL, "subtract each choice's mean over the rows", NULL},
    {0},
};

static int64_t first_of(const ul_columns *c, int64_t row)
{
    return c->first ? c->first[row] : row;
}

/* Means by place of the choice. */
static ul_status means(ul_arena *a, const ul_columns *c, int64_t width, double *mean)
{
    for (int64_t k = 0; k < width; k++) mean[k] = 0;
    for (int64_t i = 0; i < c->n_row; i++) {
        const int64_t lo = first_of(c, i), n = first_of(c, i + 1) - lo;
        if (n != width)
            return ul_fail(
                ul_arena_ctx(a), UL_E_INPUT,
                "%s: row %lld has %lld choices, the first row has %lld: calibration needs as many in every row",
                c->name, (long long)ul_columns_index(c, i), (long long)n, (long long)width);
        for (int64_t k = 0; k < width; k++) mean[k] += c->score[lo + k] / (double)c->n_row;
    }
    return UL_OK;
}

static ul_status rows(ul_arena *a, const ul_args *args, const ul_input *in, int n_in, ul_result *out)
{
    (void)n_in;
    const ul_columns *c = in[0].columns, *gold = in[1].columns;
    UL_TRY(ul_same_rows(a, c, gold));
    const int64_t width = first_of(c, 1);
    const bool calibrated = ul_num(args, "calibrated") != 0;
    double *score = UL_NEW(a, double, c->n_row), *mean = UL_NEW(a, double, width);
    UL_NEED(score);
    UL_NEED(mean);
    if (calibrated) UL_TRY(means(a, c, width, mean));
    for (int64_t i = 0; i < c->n_row; i++) {
        const int64_t lo = first_of(c, i), n = first_of(c, i + 1) - lo, right = (int64_t)gold->score[i];
        if ((double)right != gold->score[i] || right < 0 || right >= n)
            return ul_fail(ul_arena_ctx(a), UL_E_INPUT, "%s: row %lld: the right choice is number %g, there are %lld",
                           c->name, (long long)ul_columns_index(c, i), gold->score[i], (long long)n);
        int64_t best = 0;
        double highest = c->score[lo] - (calibrated ? mean[0] : 0);
        for (int64_t k = 1; k < n; k++) {
            const double x = c->score[lo + k] - (calibrated ? mean[k] : 0);
            if (x > highest) best = k, highest = x;
        }
        score[i] = best == right;
    }
    ul_part_start(out, 0, "", c)->score = score;
    return UL_OK;
}

const ul_metric ul_metric_choice_accuracy = {
    .title = "multiple-choice accuracy",
    .paper = "arXiv 2009.03300",
    .unit = "share",
    .lo = 0,
    .hi = 1,
    .better = UL_BETTER_HIGHER,
    .params = params,
    .needs = {{"choices", UL_COL_SCORE, false}, {"gold", UL_COL_SCORE, false}},
    .fields = {"score"},
    .rows = rows,
    .aggregate = ul_mean_of_score,
};
