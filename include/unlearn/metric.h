/* metric.h - a metric is arithmetic on columns.
 *
 * A pass (somewhere above) runs the model over a data set once and leaves columns: one number or text per answer, or
 * one number per labelled token. A metric is a record with a pure function from columns to {value of every row,
 * aggregate}: no model, no file, no thread. What it returns is a table of columns too, so that a metric can be
 * computed from another one's result, or from a log file read back, and recomputed at any time. */
#ifndef UNLEARN_METRIC_H
#define UNLEARN_METRIC_H
#include "unlearn/base.h"

typedef struct ul_arena ul_arena;

/* Which columns a metric reads. The name of a column (as JSON and CSV spell it) is in ul_columns below. */
enum {
    UL_COL_LOGP = 1u << 0,
    UL_COL_HIT = 1u << 1,
    UL_COL_MOMENTS = 1u << 2, /* mu and sigma2 */
    UL_COL_AVG_LOSS = 1u << 3,
    UL_COL_PROB = 1u << 4,
    UL_COL_REF_LOSS = 1u << 5,
    UL_COL_GRAD_NORM = 1u << 6,
    UL_COL_TEXT = 1u << 7,
    UL_COL_GROUND_TRUTH = 1u << 8,
    UL_COL_GENERATION = 1u << 9,
    UL_COL_SCORE = 1u << 10,
    UL_COL_ROUGE = 1u << 11,    /* rouge1_recall, rougeL_f1, rougeL_recall */
    UL_COL_AGGREGATE = 1u << 12, /* no column: the input's agg_value */
    UL_COL_DIVERGENCE = 1u << 13 /* kl, kl_reverse, js, agree */
};

/* One data set with one kind of answer, row by row; or the rows of a result. A pointer is NULL when nobody filled it.
 * Row i has the answers first[i] .. first[i + 1] - 1; answer j has the labelled tokens token[j] .. token[j + 1] - 1.
 * Two columns follow from others when they are NULL: avg_loss from logp, prob from avg_loss. */
typedef struct {
    const char *name; /* for messages: "forget answer" */
    int64_t n_row;
    int64_t n_missing; /* of a log: rows beside these that have no value (null) */
    const int64_t *first;  /* [n_row + 1]; NULL = one answer a row (JSON: a number; otherwise a list of numbers) */
    const int64_t *index;  /* [n_row] the row's key in value_by_index; NULL = 0, 1, 2, ... */
    const int64_t *entity; /* [n_row] rows about the same person or thing (intervals); NULL = every row its own */
    /* one per labelled token */
    const int64_t *token; /* [n_answer + 1] */
    const double *logp;   /* log-probability of the label                                       nat   */
    const uint8_t *hit;   /* 1 = the label has the highest logit                                      */
    const double *mu;     /* mean and variance of log p(v) under p at that position             nat   */
    const double *sigma2; /*                                                                    nat^2 */
    /* the same against the retrained control, q its distribution:
     * KL(p || q), KL(q || p), JS(p, q), both have one largest logit */
    const double *kl, *kl_reverse, *js; /* nat */
    const uint8_t *agree;
    /* one per answer */
    const uint8_t *eos_last;     /* 1 = the last labelled token is the end-of-sequence token; NULL = all 1 */
    const double *avg_loss;      /* -mean of logp over all labelled tokens                      nat   */
    const double *prob;          /* exp(-avg_loss)                                                    */
    const double *ref_loss;      /* avg_loss of the reference model                             nat   */
    /* mean over parameters of each one's own gradient norm (loss without the last token) */
    const double *grad_norm;
    const char *const *text;         /* the labelled tokens decoded, special tokens skipped, UTF-8    */
    const char *const *ground_truth; /* what the generation is compared with                          */
    const char *const *generation;
    /* one per answer, of results */
    const double *score, *rouge1_recall, *rougeL_f1, *rougeL_recall;
} ul_columns;

/* What a metric is given: columns, or another result, under the role that the metric gives it ("forget", "holdout",
 * "correct", "wrong", "retain", ...). */
typedef struct {
    const char *role;
    const ul_columns *columns; /* NULL when only the aggregate is there */
    double agg_value;          /* read only where the metric needs UL_COL_AGGREGATE */
} ul_input;

/* What a metric gives. As JSON, with the names that open-unlearning uses:
 *   absent       {"agg_value": null}                         an input that may be missing was missing; `why` says which
 *   n_part == 0  {"agg_value": x}
 *   n_part == 1  {"agg_value": x, "value_by_index": {"<index>": {<field>: v, ...}, ...}}
 *   n_part == 2  {"<role>": {"agg_value": x, "value_by_index": {...}}, ... , "auc": x, "agg_value": x}
 * The fields are those of the record, in its order; ul_columns_number and ul_columns_text give them by name. */
typedef struct {
    const char *role;
    double agg_value;
    ul_columns rows;
    const double *value; /* [n_row] the row's share: the mean of these is the part's aggregate (for intervals) */
} ul_part;
typedef struct {
    bool absent;
    const char *why;
    double agg_value;
    int n_part;
    ul_part part[2];
} ul_result;

typedef enum { UL_BETTER_HIGHER, UL_BETTER_LOWER, UL_BETTER_CLOSER } ul_better; /* CLOSER: to `ideal` */
typedef struct {
    const char *role; /* NULL ends the list; "*" = any number of inputs of any role */
    unsigned columns;
    bool optional; /* the metric says in its comment what happens without it */
} ul_need;

typedef struct {
    const char *title, *paper, *unit;
    double lo, hi; /* of the aggregate; may be infinite */
    ul_better better;
    double ideal;
    const ul_param *params; /* may be NULL */
    ul_need needs[3];
    const char *fields[6]; /* of value_by_index; ends with NULL; none = an aggregate only */
    /* From the inputs to the values of every row: fills out->part[].rows and n_part. NULL = an aggregate only. */
    ul_status (*rows)(ul_arena *a, const ul_args *args, const ul_input *in, int n_in, ul_result *out);
    /* From the rows in `out` (or, where `rows` is NULL, from the inputs) to the aggregates. */
    ul_status (*aggregate)(ul_arena *a, const ul_args *args, const ul_input *in, int n_in, ul_result *out);
} ul_metric;

UL_API int ul_metric_count(void);
UL_API const ul_metric *ul_metric_at(int i);              /* in alphabetical order of their ids */
UL_API const char *ul_metric_id(const ul_metric *m);      /* the file's name */
UL_API UL_MUST ul_status ul_metric_find(ul_ctx *ctx, const char *id, const ul_metric **out);
#endif
