/* extraction_strength.c - how little of the answer must be given for the model to complete the rest: with k the
 * smallest start of a suffix that it predicts (argmax) without fault, 1 - k / n; mean over rows.
 * Carlini et al. (2021); Wang et al. (2024), "Unlearning with control", arXiv 2406.09179; open-unlearning
 * `extraction_strength`, which never tries the empty suffix: 1/n where the last token is missed (match
 * open-unlearning), 0 here. */
#include "metric/metric_impl.h"
#include <string.h>

static const ul_param params[] = {
    {"match", UL_TEXT, 0, 0, 0, "none|open-unlearning",
     "open-unlearning: at least 1/n; the last labelled token is left out even when it is not end of sequence", "none"},
    {0},
};

static ul_status score(ul_arena *a, const ul_args *args, const ul_columns *c, int64_t row, double *out)
{
    int64_t first, n;
    UL_TRY(ul_scored_tokens(a, c, row, args, &first, &n));
    int64_t k = n;
    while (k > 0 && c->hit[first + k - 1]) k--;
    if (k == n && strcmp(ul_txt(args, "match"), "open-unlearning") == 0) k = n - 1;
    *out = 1 - (double)k / (double)n;
    return UL_OK;
}

static ul_status rows(ul_arena *a, const ul_args *args, const ul_input *in, int n_in, ul_result *out)
{
    return ul_score_rows(a, args, in, n_in, score, out);
}

const ul_metric ul_metric_extraction_strength = {
    .title = "extraction strength: how little prefix completes the answer",
    .paper = "arXiv 2406.09179",
    .unit = "share",
    .lo = 0,
    .hi = 1,
    .better = UL_BETTER_LOWER,
    .params = params,
    .needs = {{"data", UL_COL_HIT, false}},
    .fields = {"score"},
    .rows = rows,
    .aggregate = ul_mean_of_score,
};
