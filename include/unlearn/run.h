/* run.h - jobs: what the program's verbs do, for programs that embed the library.
 *
 *     ul_job *job;
 *     if (ul_job_new(ctx, "forget", &job) || ul_job_set(job, "model", "DIR") ||
 *         ul_job_set(job, "forget", "f.jsonl") || ul_job_set(job, "retain", "r.jsonl") ||
 *         ul_job_set(job, "method", "npo") || ul_job_set(job, "npo.beta", "0.2") ||
 *         ul_job_set(job, "out", "OUT") || ul_job_run(job))
 *         puts(ul_error_text(ctx));
 *
 * Keys are the program's long flags without the dashes; `unlearn forget --help` lists them
 * with types, bounds, defaults. */
#ifndef UNLEARN_RUN_H
#define UNLEARN_RUN_H
#include "unlearn/base.h"

typedef struct ul_job ul_job;
UL_API UL_MUST ul_status ul_job_new(ul_ctx *ctx, const char *kind, ul_job **out); /* UL_E_USAGE: no such kind */
UL_API void ul_job_free(ul_job *job);
/* UL_E_USAGE: unknown key (with the nearest), not a number, out of bounds (with the bounds). */
UL_API UL_MUST ul_status ul_job_set(ul_job *job, const char *key, const char *value);
UL_API UL_MUST ul_status ul_job_run(ul_job *job);
/* What the job found, as JSON text; lives as long as the job. NULL before ul_job_run succeeded. */
UL_API const char *ul_job_result(ul_job *job);
/* The same for a person to read; "" when there is nothing to say. */
UL_API const char *ul_job_report(ul_job *job);

#endif
