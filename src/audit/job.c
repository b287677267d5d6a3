/* job.c - the life of a job: tables, keys, values; nothing here knows what a job does. */
#include "audit/audit.h"
#include <string.h>

#define UL_ITEM(id) extern const ul_job_kind ul_job_##id;
#include "job.inc"
#undef UL_ITEM

const ul_job_kind *const *ul_job_kinds(void)
{
    static const ul_job_kind *const kinds[] = {
#define UL_ITEM(id) &ul_job_##id,
#include "job.inc"
#undef UL_ITEM
        NULL};
    return kinds;
}

const ul_job_kind *ul_job_kind_find(const char *id)
{
    for (const ul_job_kind *const *k = ul_job_kinds(); *k; k++)
        if (!strcmp((*k)->id, id)) return *k;
    return NULL;
}

ul_status ul_job_new(ul_ctx *ctx, const char *kind, ul_job **out)
{
    *out = NULL;
    const ul_job_kind *k = ul_job_kind_find(kind);
    if (!k) {
        const char *names[16] = {0};
        for (int i = 0; ul_job_kinds()[i] && i < 15; i++) names[i] = ul_job_kinds()[i]->id;
        const char *near = ul_nearest(kind, names);
        return ul_fail(ctx, UL_E_USAGE, "there is no job \"%s\"%s%s%s", kind, near ? "; did you mean \"" : "",
                       near ? near : "", near ? "\"?" : "");
    }
    for (int t = 0; t < UL_JOB_TABLES && k->tables[t]; t++) {
        int n = 0;
        while (k->tables[t][n].key) n++;
        if (n > UL_MAX_PARAM)
            return ul_fail(ctx, UL_E_INTERNAL, "`%s` has a table of %d parameters, there is room for %d (UL_MAX_PARAM)",
                           kind, n, UL_MAX_PARAM);
    }
    ul_arena *arena;
    UL_TRY(ul_arena_new(ctx, "job", &arena));
    ul_job *job = UL_NEW(arena, ul_job, 1);
    if (!job) {
        ul_arena_free(arena);
        return UL_E_RESOURCE;
    }
    job->ctx = ctx;
    job->arena = arena;
    job->kind = k;
    ul_buf_init(&job->text, ctx, 1 << 24);
    for (int t = 0; t < UL_JOB_TABLES && k->tables[t]; t++) ul_args_default(k->tables[t], &job->args[t]);
    *out = job;
    return UL_OK;
}

void ul_job_free(ul_job *job)
{
    if (!job) return;
    json_decref(job->result);
    ul_buf_release(&job->text);
    ul_arena_free(job->arena);
}

bool ul_job_find(const ul_job *job, const char *key, int *table, int *place)
{
    for (int t = 0; t < UL_JOB_TABLES && job->kind->tables[t]; t++)
        for (int i = 0; job->kind->tables[t][i].key; i++)
            if (!strcmp(job->kind->tables[t][i].key, key)) {
                *table = t;
                *place = i;
                return true;
            }
    return false;
}

static ul_status set_method(ul_job *job, const char *id)
{
    ul_catalogue_entry e;
    if (!ul_catalogue_find(id, &e)) return ul_catalogue_unknown(job->ctx, NULL, id, false);
    if (job->pending_owner && strcmp(job->pending_owner, id))
        return ul_fail(job->ctx, UL_E_USAGE, "--%s.* was given, but the method is %s", job->pending_owner, id);
    if (!job->pending_owner) ul_args_default(e.method->params, &job->method_args);
    job->method = e.method;
    job->procedure = e.procedure;
    job->guard = e.guard;
    job->method_id = ul_strdup(job->arena, id);
    UL_NEED(job->method_id);
    return UL_OK;
}

/* METHOD.PARAMETER: may come before `method`, but must belong to it; or WRAPPER.PARAMETER. */
static ul_status set_method_param(ul_job *job, const char *key, const char *dot, const char *value)
{
    const char *owner = ul_strndup(job->arena, key, (size_t)(dot - key));
    UL_NEED(owner);
    ul_catalogue_entry e;
    if (ul_wrapper_find(owner)) return ul_job_wrap_param(job, owner, dot + 1, value);
    if (!ul_catalogue_find(owner, &e)) {
        const char *flag = ul_format(job->arena, "--%s", key);
        UL_NEED(flag);
        return ul_catalogue_unknown(job->ctx, flag, owner, true);
    }
    const char *now = job->method_id ? job->method_id : job->pending_owner;
    if (now && strcmp(now, owner))
        return ul_fail(job->ctx, UL_E_USAGE, "--%s does not belong to the method %s", key, now);
    if (!now) ul_args_default(e.method->params, &job->method_args);
    job->pending_owner = owner;
    UL_TRY(ul_args_set(job->arena, &job->method_args, owner, dot + 1, value));
    for (int i = 0; e.method->params[i].key; i++) job->method_set[i] |= !strcmp(e.method->params[i].key, dot + 1);
    return UL_OK;
}

static ul_status unknown_key(ul_job *job, const char *key)
{
    enum { MAX = UL_JOB_TABLES * UL_MAX_PARAM };
    const char *names[MAX + 5] = {0};
    int n = 0;
    for (int t = 0; t < UL_JOB_TABLES && job->kind->tables[t]; t++)
        for (int i = 0; job->kind->tables[t][i].key && n < MAX; i++) names[n++] = job->kind->tables[t][i].key;
    if (job->kind->takes_method) names[n++] = "method";
    names[n++] = "json", names[n++] = "quiet", names[n++] = "help"; /* the program's own */
    const char *near = ul_nearest(key, names);
    return ul_fail(job->ctx, UL_E_USAGE, "`%s` has no flag --%s%s%s%s (see `unlearn %s --help`)", job->kind->id, key,
                   near ? "; did you mean --" : "", near ? near : "", near ? "?" : "", job->kind->id);
}

ul_status ul_job_set(ul_job *job, const char *key, const char *value)
{
    int t, i;
    if (ul_job_find(job, key, &t, &i)) {
        UL_TRY(ul_args_set(job->arena, &job->args[t], NULL, key, value));
        job->set[t][i] = true;
        return UL_OK;
    }
    if (job->kind->takes_method) {
        if (!strcmp(key, "method")) return set_method(job, value);
        const char *dot = strchr(key, '.');
        if (dot) return set_method_param(job, key, dot, value);
    }
    return unknown_key(job, key);
}

ul_status ul_job_run(ul_job *job)
{
    job->started_ns = ul_now_ns();
    ul_utc_text(job->started);
    const ul_status s = job->kind->run(job);
    if (s != UL_OK && s != UL_E_CRITERION) return s;
    if (job->result) {
        const size_t flags = JSON_INDENT(1) | JSON_REAL_PRECISION(17), n = json_dumpb(job->result, NULL, 0, flags);
        char *text = ul_alloc(job->arena, n + 1, 1);
        UL_NEED(text);
        if (json_dumpb(job->result, text, n, flags) != n)
            return ul_fail(job->ctx, UL_E_INTERNAL, "the result of `%s` does not print as JSON", job->kind->id);
        job->result_text = text;
    }
    return s; /* a criterion that is not met has a result */
}

const char *ul_job_result(ul_job *job)
{
    return job->result_text;
}

const char *ul_job_report(ul_job *job)
{
    return job->text.n ? job->text.p : "";
}

double ul_job_num(const ul_job *job, const char *key)
{
    int t, i;
    return ul_job_find(job, key, &t, &i) ? job->args[t].num[i] : 0;
}

int64_t ul_job_int(const ul_job *job, const char *key)
{
    return (int64_t)ul_job_num(job, key);
}

bool ul_job_flag(const ul_job *job, const char *key)
{
    return ul_job_num(job, key) != 0;
}

const char *ul_job_text(const ul_job *job, const char *key)
{
    int t, i;
    const char *s = ul_job_find(job, key, &t, &i) ? job->args[t].text[i] : NULL;
    return s && *s ? s : NULL;
}

bool ul_job_given(const ul_job *job, const char *key)
{
    int t, i;
    return ul_job_find(job, key, &t, &i) && job->set[t][i];
}
