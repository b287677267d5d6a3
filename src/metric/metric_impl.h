/* metric_impl.h - what the metrics share. Inside a metric's functions the inputs stand in the order of its `needs`, the
 * needed columns are there, finite and not empty; an optional input that is missing has columns NULL, agg_value NaN. */
#ifndef UL_METRIC_IMPL_H
#define UL_METRIC_IMPL_H
#include "metric/metric.h"

#define UL_MATCH_PARAM                                                                                                 \
    {"match", UL_TEXT, 0, 0, 0, "none|open-unlearning",                                                                \
     "open-unlearning: leave out the last labelled token even when it is not the end-of-sequence token", "none"}

/* Which column of a result says how much a sampled answer gives away. */
#define UL_SCORE_PARAM                                                                                                 \
    {"score", UL_TEXT, 0, 0, 0, "score|rougeL_recall|rougeL_f1|rouge1_recall", "what an answer counts", "score"}
ul_status ul_chosen_score(ul_arena *a, const ul_args *args, const ul_columns *c, const double **out) UL_MUST;

/* The wanted columns are there (avg_loss and prob are filled where they follow from others), finite, not empty. */
ul_status ul_columns_check(ul_arena *a, ul_columns *c, unsigned want);
/* Mean of a column over the answers of a row. */
double ul_row_mean(const ul_columns *c, const double *column, int64_t row);
/* Part k of the result: the rows of `in`, no columns yet. */
ul_columns *ul_part_start(ul_result *out, int k, const char *role, const ul_columns *in);
/* A part's aggregate: value[i] = mean of the column in row i; agg_value = the mean of these. The column must be there
 * and finite: rows may come from a log. */
ul_status ul_part_mean(ul_arena *a, ul_part *part, const char *column);
/* The labelled tokens of answer j but for a last one that is end-of-sequence (or in any case): first and number.
 * None left is an error. */
ul_status ul_scored_tokens(ul_arena *a, const ul_columns *c, int64_t row, const ul_args *args, int64_t *first,
                           int64_t *n);

/* Aggregates: the mean over rows of one column of the only part. */
ul_status ul_mean_of_score(ul_arena *a, const ul_args *args, const ul_input *in, int n_in, ul_result *out);
ul_status ul_mean_of_prob(ul_arena *a, const ul_args *args, const ul_input *in, int n_in, ul_result *out);
/* A score for every row of every input, a part each. */
typedef ul_status ul_row_score(ul_arena *a, const ul_args *args, const ul_columns *c, int64_t row, double *score);
ul_status ul_score_rows(ul_arena *a, const ul_args *args, const ul_input *in, int n_in, ul_row_score *score,
                        ul_result *out);
/* The same of the only input, each row from the chosen scores of its n answers (a copy, which it may reorder). */
typedef ul_status ul_answers_score(ul_arena *a, const ul_args *args, const ul_columns *c, int64_t row, double *x,
                                   int64_t n, double *score);
ul_status ul_score_answers(ul_arena *a, const ul_args *args, const ul_input *in, ul_answers_score *score,
                           ul_result *out);
/* Membership inference: scores of "forget" and "holdout", higher = less like a member; the aggregate is the AUC that a
 * holdout row scores higher than a forget row. */
ul_status ul_mia_aggregate(ul_arena *a, const ul_args *args, const ul_input *in, int n_in, ul_result *out);
/* Minus the mean of the max(1, int(k n)) lowest of n numbers; sorts them. */
double ul_min_k(double *x, int64_t n, double k);
#endif
