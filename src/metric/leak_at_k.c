/* leak_at_k.c - what the best of k sampled answers gives away. A row's answers are n >= k samples of one prompt, `score`
 * says how much each leaks (ROUGE, entailment, a hit 0 or 1); unbiased mean of the largest of k, mean over rows.
 * arXiv 2511.04934 (leak@k); Chen et al. (2021), arXiv 2107.03374 (pass@k). A retrained model leaks too when k is
 * large: compare with it. */
#include "metric/metric_impl.h"
#include <string.h>

static const ul_param params[] = {
    {"k", UL_INT, 1, 0, 1e6, "samples", "how many sampled answers are looked at; 0: all of a row", NULL},
    UL_SCORE_PARAM,
    {0},
};

static ul_status rows(ul_arena *a, const ul_args *args, const ul_input *in, int n_in, ul_result *out)
{
    (void)n_in;
    const ul_columns *c = in[0].columns;
    const double *sample_score;
    const int64_t k = (int64_t)ul_num(args, "k");
    UL_TRY(ul_chosen_score(a, args, c, &sample_score));
    double *score = UL_NEW(a, double, c->n_row);
    UL_NEED(score);
    for (int64_t i = 0; i < c->n_row; i++) {
        const ul_mark mark = ul_arena_mark(a);
        const int64_t first = c->first ? c->first[i] : i, n = (c->first ? c->first[i + 1] : i + 1) - first;
        if (n < k || n < 1) {
            return ul_fail(ul_arena_ctx(a), UL_E_USAGE, "%s, row %lld: %lld samples are too few for k = %lld", c->name,
                           (long long)ul_columns_index(c, i), (long long)n, (long long)k);
        }
        double *sample = ul_alloc_raw(a, (size_t)n, sizeof *sample);
        UL_NEED(sample);
        memcpy(sample, sample_score + first, (size_t)n * sizeof *sample);
        score[i] = ul_expected_max(sample, n, k ? k : n);
        ul_arena_rewind(a, mark);
    }
    ul_part_start(out, 0, "", c)->score = score;
    return UL_OK;
}

const ul_metric ul_metric_leak_at_k = {
    .title = "leak@k: the most telling of k sampled answers",
    .paper = "arXiv 2511.04934",
    .unit = "score",
    .lo = 0,
    .hi = 1,
    .better = UL_BETTER_LOWER,
    .params = params,
    .needs = {{"data", 0, false}},
    .fields = {"score"},
    .rows = rows,
    .aggregate = ul_mean_of_score,
};
