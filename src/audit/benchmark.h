/* benchmark.h - benchmarks beside TOFU: multiple choice (WMDP, MMLU), MUSE, RWKU. `eval` hands over an opened model;
 * each reads its files, runs its passes, and leaves results by name and rows for the log. */
#ifndef UL_BENCHMARK_H
#define UL_BENCHMARK_H
#include "audit/audit.h"

extern const ul_param ul_benchmark_params[];
const char *ul_benchmark_asked(const ul_job *job); /* the flag; NULL: none */
/* Runs what was asked; writes STEM_EVAL.json, STEM_SUMMARY.json, columns.sqlite and the manifest where `out` is not
 * NULL; sets the job's result. --metrics: only what it names. */
ul_status ul_benchmark_run(ul_job *job, const ul_eval_options *o, ul_manifest *m, const ul_backend *be,
                           const char *out) UL_MUST;
/* The same results from the columns of such a run, which `origin` tells of; no model. */
bool ul_benchmark_made(const ul_data_columns *columns, int n); /* are these a benchmark's? */
ul_status ul_benchmark_again(ul_job *job, const ul_data_columns *columns, int n, json_t *origin, ul_manifest *m,
                             const char *out) UL_MUST;
/* A log of theirs, every aggregate again from its rows (benchmark_log.c); sets the job's result. */
bool ul_benchmark_log_is(const json_t *log);
ul_status ul_benchmark_log(ul_job *job, const json_t *log) UL_MUST;
/* What made the columns of an evaluation, by digests (job_eval.c): the paths are in the manifest. */
ul_status ul_eval_origin(ul_job *job, const ul_manifest *m, json_t **out) UL_MUST;

/* A benchmark is passes over its files, which leave columns, and results from columns: with a model both, later the
 * second alone. A pass is named after its benchmark and what it asks: data "muse/forget_knowmem", field "answer". */
typedef struct {
    ul_job *job;
    ul_ctx *ctx;
    ul_arena *arena;
    ul_eval_options o; /* a benchmark's prompts are whole: the template's tags are empty, no end of sequence */
    ul_manifest *manifest;
    int64_t rows;          /* at most so many of a file; 0: all */
    bool stem;             /* ROUGE over stems (--match open-unlearning) */
    json_t *all, *summary; /* log of rows; name -> number */
    ul_data_columns *columns, *planned; /* planned: the passes that the files give, nothing in them */
    int n_columns, n_planned;
    const char *list; /* --metrics; NULL: every result */
    struct ul_offer *offer;
    int n_offer;
} ul_benchmark;
typedef struct {
    const char *flag, *prefix, *stem;     /* of the passes' names, of the logs' */
    ul_status (*plan)(ul_benchmark *b);    /* ul_benchmark_plan for every pass that the files give */
    ul_status (*offer)(ul_benchmark *b, const ul_data_columns *pass, int n); /* what they give, of all benchmarks */
    ul_status (*run)(ul_benchmark *b);     /* those that ul_benchmark_runs */
    ul_status (*results)(ul_benchmark *b); /* from b->columns */
} ul_benchmark_kind;
extern const ul_benchmark_kind ul_benchmark_choices; /* multiple_choice.c */
extern const ul_benchmark_kind ul_benchmark_muse;    /* muse.c */
extern const ul_benchmark_kind ul_benchmark_rwku;    /* rwku.c */

/* ---- what --metrics asks for (benchmark_asked.c) ----------------------------------------------------------------- */
ul_status ul_benchmark_plan(ul_benchmark *b, const char *data, const char *field) UL_MUST;
/* A result of a pass; `metric`, `group`: names that take it along with others, or NULL. */
ul_status ul_benchmark_offer(ul_benchmark *b, const ul_data_columns *pass, const char *name, const char *metric,
                             const char *group) UL_MUST;
ul_status ul_benchmark_choose(ul_benchmark *b) UL_MUST; /* UL_E_USAGE: a name that nothing answers to */
bool ul_benchmark_runs(const ul_benchmark *b, const char *data, const char *field); /* field NULL: any of the data */
bool ul_benchmark_wants(const ul_benchmark *b, const char *name);

/* ---- for them -------------------------------------------------------------------------------------------------- */
/* A file in the manifest under this role; a second one of the same role is "ROLE 2". */
ul_status ul_benchmark_input(ul_benchmark *b, const char *role, const char *path, const char *digest,
                             int64_t n) UL_MUST;
/* Records of a file, at most b->rows of them, named in the manifest. */
ul_status ul_benchmark_records(ul_benchmark *b, const char *role, const char *path, ul_records **out) UL_MUST;
/* Greedy continuations of whole prompts, cut at the first of `stops` (each in turn; NULL at the end), stripped. */
ul_status ul_benchmark_generate(ul_benchmark *b, const char *name, const char *const *prompt, int64_t n,
                                int32_t max_new, const char *const *stops, const char *const **out) UL_MUST;
/* Columns (copied; what they point to is not) of a pass, to be kept; the pass of these names, NULL: there is none. */
ul_status ul_benchmark_keep(ul_benchmark *b, const char *data, const char *field, const ul_columns *c) UL_MUST;
const ul_columns *ul_benchmark_columns(const ul_benchmark *b, const char *data, const char *field);
/* UL_E_INPUT unless a pass read from a file has these columns (UL_COL_...); `lists`: several answers a row. */
ul_status ul_benchmark_has(ul_benchmark *b, const char *data, const ul_columns *c, unsigned columns,
                           bool lists) UL_MUST;
/* A line of the table, an entry of the summary, and the log {"agg_value", "value_by_index": rows}; takes `rows` (may
 * be NULL). Error NaN: it has none. Nothing of a result that is not asked for. */
ul_status ul_benchmark_result(ul_benchmark *b, const char *name, double value, double error, int64_t n,
                              const char *better, json_t *rows) UL_MUST;
void ul_benchmark_mean(const double *x, int64_t n, double *mean, double *error); /* error: sample deviation / sqrt(n) */

/* hit [n]: 1 where the first largest of the scores first[i] .. first[i + 1] - 1 (calibrated: minus the option's mean
 * over the questions) is gold[i]: the metric choice_accuracy. */
ul_status ul_benchmark_hits(ul_benchmark *b, const char *name, const int64_t *first, int64_t n, const double *gold,
                            const double *score, bool calibrated, const double **hit) UL_MUST;

/* The retrained model's AUC of mia_min_k, from the log or summary that --reference-logs names; NaN: no such flag. */
ul_status ul_benchmark_control_auc(ul_benchmark *b, double *out) UL_MUST;
/* privleak of an AUC beside the control's; NaN: beside 0.5. */
ul_status ul_benchmark_privleak(ul_benchmark *b, double auc, double control, double *out) UL_MUST;

/* ---- multiple choice, apart for tests -------------------------------------------------------------------------- */
typedef struct {
    const char *text;
    const char *const *option;
    int32_t n_option, gold;
} ul_question;
ul_status ul_questions_open(ul_ctx *ctx, ul_arena *arena, const char *path, ul_question **out, int64_t *n,
                            char digest[65]) UL_MUST;
#endif
