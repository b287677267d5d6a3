/* classification_prob.c - what a classifier thinks of every generated answer: the mean probability of one class.
 * open-unlearning's fluency (`forget_Q_A_gibberish`: the class "clean" of a gibberish detector, arXiv 2506.12618). The
 * classifier is not run here: the scores are read from a log that has them. */
#include "metric/metric_impl.h"

static ul_status score(ul_arena *a, const ul_args *args, const ul_columns *c, int64_t row, double *out)
{
    (void)a, (void)args;
    *out = ul_row_mean(c, c->score, row);
    return UL_OK;
}

static ul_status rows(ul_arena *a, const ul_args *args, const ul_input *in, int n_in, ul_result *out)
{
    return ul_score_rows(a, args, in, n_in, score, out);
}

const ul_metric ul_metric_classification_prob = {
    .title = "probability that a classifier gives the generated answers",
    .paper = "arXiv 2506.12618",
    .unit = "probability",
    .lo = 0,
    .hi = 1,
    .better = UL_BETTER_HIGHER,
    .needs = {{"data", UL_COL_SCORE, false}},
    .fields = {"score"},
    .rows = rows,
    .aggregate = ul_mean_of_score,
};
