/* truth_ratio.c - does the model prefer wrong answers to a right one of other words? c = exp(-loss(right)),
 * w = the wrong answers' probability, score = w / (c + 1e-10).
 *
 * Three definitions are in use (Maini et al. 2024, "TOFU", section 2.2.1, and its code; open-unlearning `truth_ratio`):
 * w is the geometric mean exp(-mean loss) in TOFU's evaluation code and open-unlearning, the arithmetic mean in the
 * paper (`wrong`); the knowledge form (`prob_mean`) scores c / (c + w + 1e-10).
 * Aggregates: closer_to_1_better mean of min(s, 1 / (s + 1e-10)) (forget set: the value of a model that never saw it is
 * the best), true_better mean of max(0, 1 - s) (sets to be kept), prob_mean mean of s. */
#include "metric/metric_impl.h"
#include <string.h>

static const ul_param params[] = {
    {"aggregator", UL_TEXT, 0, 0, 0, "closer_to_1_better|true_better|prob_mean", "how scores become one number",
     "closer_to_1_better"},
    {"wrong", UL_TEXT, 0, 0, 0, "geometric|arithmetic", "mean over the wrong answers' probabilities", "geometric"},
    {0},
};

static double wrong_prob(const ul_columns *c, int64_t row, bool arithmetic)
{
    if (!arithmetic) return ul_exp(-ul_row_mean(c, c->avg_loss, row));
    const int64_t lo = c->first ? c->first[row] : row, hi = c->first ? c->first[row + 1] : row + 1;
    double sum = 0;
    for (int64_t j = lo; j < hi; j++) sum += ul_exp(-c->avg_loss[j]);
    return sum / (double)(hi - lo);
}

static ul_status rows(ul_arena *a, const ul_args *args, const ul_input *in, int n_in, ul_result *out)
{
    (void)n_in;
    const ul_columns *right = in[0].columns, *wrong = in[1].columns;
    const bool knowledge = strcmp(ul_txt(args, "aggregator"), "prob_mean") == 0;
    const bool arithmetic = strcmp(ul_txt(args, "wrong"), "arithmetic") == 0;
    UL_TRY(ul_same_rows(a, right, wrong));
    double *score = UL_NEW(a, double, right->n_row);
    UL_NEED(score);
    for (int64_t i = 0; i < right->n_row; i++) {
        const double c = ul_exp(-ul_row_mean(right, right->avg_loss, i)), w = wrong_prob(wrong, i, arithmetic);
        score[i] = knowledge ? c / (c + w + 1e-10) : w / (c + 1e-10);
    }
    ul_part_start(out, 0, "", right)->score = score;
    return UL_OK;
}

static ul_status aggregate(ul_arena *a, const ul_args *args, const ul_input *in, int n_in, ul_result *out)
{
    (void)in, (void)n_in;
    ul_part *part = &out->part[0];
    UL_TRY(ul_part_mean(a, part, "score"));
    const char *how = ul_txt(args, "aggregator");
    const int64_t n = part->rows.n_row;
    double *value = UL_NEW(a, double, n);
    UL_NEED(value);
    for (int64_t i = 0; i < n; i++) {
        const double s = part->rows.score[i], inverse = 1 / (s + 1e-10);
        if (strcmp(how, "closer_to_1_better") == 0) value[i] = s < inverse ? s : inverse;
        else if (strcmp(how, "true_better") == 0) value[i] = s < 1 ? 1 - s : 0;
        else value[i] = s;
    }
    part->value = value;
    part->agg_value = ul_mean(value, n);
    out->agg_value = part->agg_value;
    return UL_OK;
}

const ul_metric ul_metric_truth_ratio = {
    .title = "truth ratio: wrong answers against a right one",
    .paper = "arXiv 2401.06121",
    .unit = "ratio",
    .lo = 0,
    .hi = 1,
    .better = UL_BETTER_HIGHER,
    .params = params,
    .needs = {{"correct", UL_COL_AVG_LOSS, false}, {"wrong", UL_COL_AVG_LOSS, false}},
    .fields = {"score"},
    .rows = rows,
    .aggregate = aggregate,
};
