/* metric.h - the door of room metric: computing a metric with its inputs checked, columns by name, and the table of
 * TOFU's results. A missing column, a row without tokens or a number that is not finite is an error that names the
 * metric, the data and the row; it never becomes a number. */
#ifndef UL_METRIC_H
#define UL_METRIC_H
#include "base/base.h"
#include "stat/stat.h"
#include "unlearn/metric.h"

/* Rows and aggregate. `args` NULL = the defaults. Memory of `out` comes from `a`. Inputs may come in any order. */
ul_status ul_metric_compute(ul_arena *a, const ul_metric *m, const ul_args *args, const ul_input *in, int n_in,
                            ul_result *out) UL_MUST;
/* The aggregate again from rows that are already in out->part (read from a log, or resampled). */
ul_status ul_metric_aggregate(ul_arena *a, const ul_metric *m, const ul_args *args, ul_result *out) UL_MUST;

/* ---- columns by name ("avg_loss", "prob", "score", "rougeL_recall", "logp", "generation", ...) ------------------ */
/* The place that holds a column of numbers or of texts, to read or to fill (a log reader); NULL = no such column. */
const double **ul_columns_number(ul_columns *c, const char *name);
const char *const **ul_columns_text(ul_columns *c, const char *name);
int64_t ul_columns_answers(const ul_columns *c); /* n_answer */
int64_t ul_columns_index(const ul_columns *c, int64_t row);
/* Both have the same rows (count and index); else UL_E_INPUT names both, the place and the two numbers. */
ul_status ul_same_rows(ul_arena *a, const ul_columns *x, const ul_columns *y) UL_MUST;
/* The first of the wanted columns that is not there and does not follow from another one; NULL: all are. */
const char *ul_columns_lack(const ul_columns *c, unsigned want);

/* ---- results by name -------------------------------------------------------------------------------------------- */
/* Where an input comes from; exactly one of data, result, reference, original is set. */
typedef struct {
    const char *role;      /* NULL ends the list */
    const char *data;      /* a data set: "forget", "retain", "real_authors", "world_facts", "holdout" */
    const char *key;       /* with data: the answer field, "answer", "paraphrased_answer", "perturbed_answer" */
    const char *result;    /* another result of this table (open-unlearning: pre_compute) */
    const char *reference; /* a result in the log of the retrained control (reference_logs) */
    const char *original;  /* a result in the log of the model before it forgot; left out where there is none */
    bool optional;         /* left out where the result is not there */
} ul_source;
typedef struct {
    const char *name;   /* "forget_Q_A_Prob" */
    const char *metric; /* id */
    const char *args;   /* "key=value key=value"; NULL = defaults */
    ul_better better;   /* for an unlearned model, where the metric's record cannot know it */
    ul_source from[10];
} ul_result_spec;
/* TOFU as open-unlearning configures it, and its final ranking (arXiv 2506.12618, section 5): memorization, privacy,
 * utility beside the original's, and the harmonic mean of the three; then what `eval` adds: fluency and refusals,
 * sampled answers, distances to a retrained model.
 * Results come after what they are computed from. A result is absent when it needs a control and there is none. */
const ul_result_spec *ul_tofu_results(int *n);
const ul_result_spec *ul_tofu_result(const char *name); /* NULL = none of that name */
/* "forget_leak_at_<k>" of the sampled answers, for a k that is not in the table. */
ul_status ul_leak_result(ul_arena *a, int64_t k, ul_result_spec *out) UL_MUST;
/* The same by its name; out->name NULL: it is another one's. */
ul_status ul_leak_named(ul_arena *a, const char *name, ul_result_spec *out) UL_MUST;

/* Everything that is known about one model: columns of passes, results so far, results of the control. */
typedef struct {
    const char *data, *key;
    const ul_columns *columns;
} ul_data_columns;
typedef struct {
    const char *name;
    const ul_result *result;
} ul_named_result;
typedef struct {
    const ul_data_columns *data;
    int n_data;
    const ul_named_result *result;
    int n_result;
    const ul_named_result *reference; /* n_reference 0 = no control */
    int n_reference;
    const ul_named_result *original; /* n_original 0 = the model before it forgot is not known */
    int n_original;
} ul_known;
/* The metric's parameters as the table sets them. */
ul_status ul_result_args(ul_arena *a, const ul_result_spec *spec, ul_args *out) UL_MUST;
ul_status ul_result_compute(ul_arena *a, const ul_result_spec *spec, const ul_known *known, ul_result *out) UL_MUST;

/* A phrase of refusal stands in the text (refusal_rate.c). */
bool ul_says_refusal(const char *text);

/* ---- numbers about numbers (_protocol.c) ------------------------------------------------------------------------- */
/* How robust is a metric m of knowledge (OpenUnlearning, arXiv 2506.12618, section 4)? Relearning:
 * (m_ret before - after) / (m_unl before - after), at most 1: the unlearned model gains no more than the retrained one.
 * Quantisation: before / after, at most 1. */
double ul_meta_relearning(double retrained_before, double retrained_after, double unlearned_before,
                          double unlearned_after);
double ul_meta_quantisation(double before, double after);
/* The symmetric forms (UDS, arXiv 2605.24614): 1 - |x - y| / (|x| + |y|), of the two gains or of before and after;
 * 1 where both are 0. */
double ul_meta_similarity(double x, double y);
/* What an attack gains on the forget set beyond what it gains on phantom facts (its sham):
 * difference in differences. */
double ul_savings(double before, double after, double sham_before, double sham_after);
double ul_recovered(double attacked, double floor, double ceiling); /* share of the way from floor to ceiling */
/* Unlearning depth of one example (UDS, arXiv 2605.24614): drops of log-probability of the original
 * when its states after each layer are replaced by the control's and by the model's. sum_l control_l
 * clip(model_l / control_l, 0, 1) / sum_l control_l over layers with control_l > tau; 0 intact, 1 as absent as
 * in the control, NaN where no layer holds the fact. Destruction scores 1 too. */
double ul_depth_score(const double *control, const double *model, int n_layer, double tau);
/* Requests in a row: residual[t][j] = knowledge of request j after request t (t >= j), 0 = as in a retrained model. */
typedef struct {
    double on_arrival;      /* mean of residual[j][j]                                       */
    double final;           /* mean of residual[n - 1][j]                                   */
    double resurgence;      /* largest residual[n - 1][j] - residual[j][j], j < n - 1; NaN for one request */
    double mean_resurgence; /* their mean                                                   */
} ul_sequence;
ul_sequence ul_sequence_of(const double *const *residual, int n);

/* ---- intervals -------------------------------------------------------------------------------------------------- */
typedef struct {
    uint64_t seed;
    uint32_t n_rep; /* 2000 is usual */
    double level;   /* 0.95 */
} ul_resampling;
/* Percentile interval of result->agg_value by the entity-clustered bootstrap: a mean over rows resamples its entities,
 * an AUC those of both sides (groups `group` and `group + 1`). Groups tell data sets apart: results over the same rows
 * with the same group are paired. UL_E_USAGE for a result without rows. */
ul_status ul_result_interval(ul_arena *scratch, const ul_result *result, uint32_t group, const ul_resampling *how,
                             ul_interval *out) UL_MUST;
/* The interval of the harmonic mean of n results that are means over rows; group[i] = the data set of result i. */
ul_status ul_harmonic_interval(ul_arena *scratch, const ul_result *const *result, const uint32_t *group, int n,
                               const ul_resampling *how, ul_interval *out) UL_MUST;
#endif
