/* contrastive_accuracy.c - does the model still tell the fact from other facts? A row counts 1 when the true
 * answer's avg_loss is below that of every distractor; mean over rows. With m distractors of the same type chance is
 * 1 / (1 + m). Ties count as wrong (a collapsed model ties everywhere), or 1 / (1 + ties) with `ties` share.
 * The primary knowledge score (K1) of the audit: it has a chance level, and does not care how an answer is worded. */
#include "metric/metric_impl.h"
#include <string.h>

static const ul_param params[] = {
    {"ties", UL_TEXT, 0, 0, 0, "wrong|share", "what a tie with a distractor counts", "wrong"},
    {0},
};

static ul_status rows(ul_arena *a, const ul_args *args, const ul_input *in, int n_in, ul_result *out)
{
    (void)n_in;
    const ul_columns *right = in[0].columns, *wrong = in[1].columns;
    const bool share = strcmp(ul_txt(args, "ties"), "share") == 0;
    UL_TRY(ul_same_rows(a, right, wrong));
    double *score = UL_NEW(a, double, right->n_row);
    UL_NEED(score);
    for (int64_t i = 0; i < right->n_row; i++) {
        const double loss = ul_row_mean(right, right->avg_loss, i);
        const int64_t lo = wrong->first ? wrong->first[i] : i, hi = wrong->first ? wrong->first[i + 1] : i + 1;
        int64_t ties = 0, better = 0;
        for (int64_t j = lo; j < hi; j++) {
            ties += wrong->avg_loss[j] == loss;
            better += wrong->avg_loss[j] < loss;
        }
        if (better > 0 || (ties > 0 && !share)) score[i] = 0;
        else score[i] = 1 / (1 + (double)ties);
    }
    ul_part_start(out, 0, "", right)->score = score;
    return UL_OK;
}

const ul_metric ul_metric_contrastive_accuracy = {
    .title = "contrastive accuracy: the true answer before every distractor",
    .paper = "own",
    .unit = "share",
    .lo = 0,
    .hi = 1,
    .better = UL_BETTER_HIGHER,
    .params = params,
    .needs = {{"correct", UL_COL_AVG_LOSS, false}, {"wrong", UL_COL_AVG_LOSS, false}},
    .fields = {"score"},
    .rows = rows,
    .aggregate = ul_mean_of_score,
};
