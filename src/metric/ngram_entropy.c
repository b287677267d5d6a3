/* ngram_entropy.c - does the generated text repeat itself? (2/3 H2 + 4/3 H3) / 2 with H_n the entropy in bits of the
 * frequencies of its n-grams of words; mean over rows. A text too short for an n-gram has H_n = 0. Low means loops;
 * random words maximise it, so it is no measure of sense. RWKU's fluency (Jin et al. 2024, arXiv 2406.10890), with
 * words as ul_words splits them instead of nltk's tokenizer. */
#include "metric/metric_impl.h"
#include <math.h>

static ul_status score(ul_arena *a, const ul_args *args, const ul_columns *c, int64_t row, double *out)
{
    (void)args;
    const ul_mark mark = ul_arena_mark(a);
    int64_t *id, n;
    double h2, h3, distinct;
    UL_TRY(ul_words(a, c->generation[row], &id, &n));
    UL_TRY(ul_ngrams(a, id, n, 2, &h2, &distinct));
    UL_TRY(ul_ngrams(a, id, n, 3, &h3, &distinct));
    *out = (2.0 / 3 * h2 + 4.0 / 3 * h3) / 2;
    ul_arena_rewind(a, mark);
    return UL_OK;
}

static ul_status rows(ul_arena *a, const ul_args *args, const ul_input *in, int n_in, ul_result *out)
{
    return ul_score_rows(a, args, in, n_in, score, out);
}

const ul_metric ul_metric_ngram_entropy = {
    .title = "n-gram entropy of the generated text",
    .paper = "arXiv 2406.10890",
    .unit = "bit",
    .lo = 0,
    .hi = (double)INFINITY,
    .better = UL_BETTER_HIGHER,
    .needs = {{"data", UL_COL_GENERATION, false}},
    .fields = {"score"},
    .rows = rows,
    .aggregate = ul_mean_of_score,
};
