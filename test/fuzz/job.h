/* job.h - jobs as readers: a tiny model that has learnt its rows, and `unlearn VERB --key value ...` in a call. */
#ifndef UL_FUZZ_JOB_H
#define UL_FUZZ_JOB_H
#include "audit/audit.h"
#include "fuzz/fuzz.h"
#include "guard_test.h"

static house home; /* a model that has learnt its rows */

static void open_home(void)
{
    char path[700];
    if (home.ctx) return;
    house_open(&home, guard_named("prompt"), UL_PRECISION_F32, 1);
    snprintf(path, sizeof path, "%s/forget.jsonl", home.dir);
    UL_OK_IN(home.ctx, ul_records_save(home.ctx, home.forget, path));
    snprintf(path, sizeof path, "%s/retain.jsonl", home.dir);
    UL_OK_IN(home.ctx, ul_records_save(home.ctx, home.retain, path));
}

static const char *of_home(fuzz *z, const char *name)
{
    return ul_path_join(z->arena, home.dir, name);
}

/* A job of these keys and values, NULL at the end. */
static ul_status job(fuzz *z, const char *kind, const char *const *set)
{
    ul_job *j;
    UL_OK_IN(z->ctx, ul_job_new(z->ctx, kind, &j));
    for (int i = 0; set[i]; i += 2) UL_OK_IN(z->ctx, ul_job_set(j, set[i], set[i + 1]));
    const ul_status s = ul_job_run(j);
    if (s == UL_OK) {
        assert_non_null(ul_job_result(j));
        assert_true(strlen(ul_job_report(j)) > 0);
    }
    ul_job_free(j);
    return s;
}
#define JOB(z, kind, ...) job(z, kind, (const char *const[]){__VA_ARGS__, NULL})
#endif
