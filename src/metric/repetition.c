/* repetition.c - rep-n: share of the generated text's n-grams of words that were there before, 1 - distinct-n;
 * mean over rows. A text too short for an n-gram counts 1, as in the published code: an empty answer is no fluent one.
 * Welleck et al. (2020), "Neural text generation with unlikelihood training",
 * arXiv 1908.04319, section 5 (seq-rep-n). */
#include "metric/metric_impl.h"

static const ul_param params[] = {
    {"n", UL_INT, 4, 1, 16, "words", "length of an n-gram", NULL},
    {0},
};

static ul_status score(ul_arena *a, const ul_args *args, const ul_columns *c, int64_t row, double *out)
{
    const ul_mark mark = ul_arena_mark(a);
    int64_t *id, n;
    double entropy, distinct;
    UL_TRY(ul_words(a, c->generation[row], &id, &n));
    UL_TRY(ul_ngrams(a, id, n, (int)ul_num(args, "n"), &entropy, &distinct));
    *out = 1 - distinct;
    ul_arena_rewind(a, mark);
    return UL_OK;
}

static ul_status rows(ul_arena *a, const ul_args *args, const ul_input *in, int n_in, ul_result *out)
{
    return ul_score_rows(a, args, in, n_in, score, out);
}

const ul_metric ul_metric_repetition = {
    .title = "repeated n-grams of the generated text",
    .paper = "arXiv 1908.04319",
    .unit = "share",
    .lo = 0,
    .hi = 1,
    .better = UL_BETTER_LOWER,
    .params = params,
    .needs = {{"data", UL_COL_GENERATION, false}},
    .fields = {"score"},
    .rows = rows,
    .aggregate = ul_mean_of_score,
};
