/* distinct_n.c - share of the generated text's n-grams of words that are different ones; 1 - it is rep-n.
 * Mean over rows; a text too short for an n-gram counts 0. Li et al. (2016), arXiv 1510.03055. */
#include "metric/metric_impl.h"

static const ul_param params[] = {
    {"n", UL_INT, 2, 1, 16, "words", "length of an n-gram", NULL},
    {0},
};

static ul_status score(ul_arena *a, const ul_args *args, const ul_columns *c, int64_t row, double *out)
{
    const ul_mark mark = ul_arena_mark(a);
    int64_t *id, n;
    double entropy;
    UL_TRY(ul_words(a, c->generation[row], &id, &n));
    UL_TRY(ul_ngrams(a, id, n, (int)ul_num(args, "n"), &entropy, out));
    ul_arena_rewind(a, mark);
    return UL_OK;
}

static ul_status rows(ul_arena *a, const ul_args *args, const ul_input *in, int n_in, ul_result *out)
{
    return ul_score_rows(a, args, in, n_in, score, out);
}

const ul_metric ul_metric_distinct_n = {
    .title = "distinct n-grams of the generated text",
    .paper = "arXiv 1510.03055",
    .unit = "share",
    .lo = 0,
    .hi = 1,
    .better = UL_BETTER_HIGHER,
    .params = params,
    .needs = {{"data", UL_COL_GENERATION, false}},
    .fields = {"score"},
    .rows = rows,
    .aggregate = ul_mean_of_score,
};
