/* benchmark.h - benchmarks beside TOFU: multiple choice (WMDP, MMLU), MUSE, RWKU. `eval` hands over an opened model;
 * each reads its files, runs its passes, and leaves results by name and rows for the log. */
#ifndef UL_BENCHMARK_H
#define UL_BENCHMARK_H
#include "audit/audit.h"

extern const ul_param ul_benchmark_params[];
bool ul_benchmark_asked(const ul_job *job);
/* Runs what was asked; writes STEM_EVAL.json, STEM_SUMMARY.json and the manifest where `out` is not NULL; sets the
 * job's result. */
ul_status ul_benchmark_run(ul_job *job, const ul_eval_options *o, ul_manifest *m, const ul_backend *be,
                           const char *out) UL_MUST;

typedef struct {
    ul_job *job;
    ul_ctx *ctx;
    ul_arena *arena;
    ul_eval_options o; /* a benchmark's prompts are whole: the template's tags are empty, no end of sequence */
    ul_manifest *manifest;
    int64_t rows;          /* at most so many of a file; 0: all */
    json_t *all, *summary; /* log of rows; name -> number */
} ul_benchmark;
ul_status ul_benchmark_choices(ul_benchmark *b) UL_MUST; /* multiple_choice.c */
ul_status ul_benchmark_muse(ul_benchmark *b) UL_MUST;    /* muse.c */
ul_status ul_benchmark_rwku(ul_benchmark *b) UL_MUST;    /* rwku.c */

/* ---- for them ---------------------------------------------------------------------------------------------------- */
/* Records of a file, at most b->rows of them, named in the manifest. */
ul_status ul_benchmark_records(ul_benchmark *b, const char *role, const char *path, ul_records **out) UL_MUST;
/* Greedy continuations of whole prompts, cut at the first of `stops` (each in turn; NULL at the end), stripped. */
ul_status ul_benchmark_generate(ul_benchmark *b, const char *name, const char *const *prompt, int64_t n,
                                int32_t max_new, const char *const *stops, const char *const **out) UL_MUST;
/* A line of the table, an entry of the summary, and the log {"agg_value", "value_by_index": rows}; takes `rows` (may
 * be NULL). */
ul_status ul_benchmark_result(ul_benchmark *b, const char *name, double value, double error, int64_t n,
                              const char *better, json_t *rows) UL_MUST;
void ul_benchmark_mean(const double *x, int64_t n, double *mean, double *error); /* error: sample deviation / sqrt(n) */

/* ---- multiple choice, apart for tests ---------------------------------------------------------------------------- */
typedef struct {
    const char *text;
    const char *const *option;
    int32_t n_option, gold;
} ul_question;
ul_status ul_questions_open(ul_ctx *ctx, ul_arena *arena, const char *path, ul_question **out, int64_t *n,
                            char digest[65]) UL_MUST;
#endif
