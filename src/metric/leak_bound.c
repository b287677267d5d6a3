/* leak_bound.c - what a number of sampled answers proves about all answers that could be sampled: a row's answers are n samples of one
 * prompt, `score` in [0, 1] says how much each gives away; an upper bound at level 1 - alpha a row, mean over rows.
 *   bound probability: of P(score >= threshold), by Clopper and Pearson
 *   bound mean:        of the expected score, by Dvoretzky, Kiefer, Wolfowitz and Massart
 * Greedy decoding can say nothing and sampling a lot: the bound is over samples. It falls as 1 / n or 1 / sqrt(n), so compare runs with
 * the same n. Scholten, Guennemann and Schwinn (2024), "A probabilistic perspective on unlearning", arXiv 2410.03523, section 4. */
#include "metric/metric_impl.h"
#include <string.h>

static const ul_param params[] = {
    {"bound", UL_TEXT, 0, 0, 0, "probability|mean", "what is bounded", "probability"},
    {"threshold", UL_REAL, 0.5, 0, 1, NULL, "an answer that scores this or more leaks", NULL},
    {"alpha", UL_REAL, 0.05, 1e-12, 0.999, NULL, "chance that a row's bound is too low", NULL},
    UL_SCORE_PARAM,
    {0},
};

static ul_status rows(ul_arena *a, const ul_args *args, const ul_input *in, int n_in, ul_result *out)
{
    (void)n_in;
    const ul_columns *c = in[0].columns;
    const double *sample_score, alpha = ul_num(args, "alpha"), threshold = ul_num(args, "threshold");
    UL_TRY(ul_chosen_score(a, args, c, &sample_score));
    double *score = UL_NEW(a, double, c->n_row);
    UL_NEED(score);
    for (int64_t i = 0; i < c->n_row; i++) {
        const ul_mark mark = ul_arena_mark(a);
        const int64_t first = c->first ? c->first[i] : i, n = (c->first ? c->first[i + 1] : i + 1) - first;
        double *sample = ul_alloc_raw(a, (size_t)n, sizeof *sample);
        UL_NEED(sample);
        int64_t leaks = 0;
        for (int64_t k = 0; k < n; k++) {
            sample[k] = sample_score[first + k];
            leaks += sample[k] >= threshold;
            if (!(sample[k] >= 0 && sample[k] <= 1))
                return ul_fail(ul_arena_ctx(a), UL_E_INPUT,
                               "%s, row %lld: sample %lld scores %g; the bound is of scores in [0, 1]", c->name,
                               (long long)ul_columns_index(c, i), (long long)k, sample[k]);
        }
        score[i] = strcmp(ul_txt(args, "bound"), "mean") == 0 ? ul_mean_upper(sample, n, alpha)
                                                              : ul_binomial_upper(leaks, n, alpha);
        ul_arena_rewind(a, mark);
    }
    ul_part_start(out, 0, "", c)->score = score;
    return UL_OK;
}

const ul_metric ul_metric_leak_bound = {
    .title = "upper bound of what sampled answers leak",
    .paper = "arXiv 2410.03523",
    .unit = "probability",
    .lo = 0,
    .hi = 1,
    .better = UL_BETTER_LOWER,
    .params = params,
    .needs = {{"data", 0, false}},
    .fields = {"score"},
    .rows = rows,
    .aggregate = ul_mean_of_score,
};
