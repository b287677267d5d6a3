/* call.c - a job that runs another one: `compare`, `sequence` and the self-test of many worlds
 * call what a person would call. */
#include "audit/audit.h"
#include <string.h>

static ul_status set(ul_job *to, const char *key, const ul_args *a, int i)
{
    const char *value =
        a->params[i].type == UL_TEXT ? (a->text[i] ? a->text[i] : "") : ul_format(to->arena, "%.17g", a->num[i]);
    UL_NEED(value);
    return ul_job_set(to, key, value);
}

ul_status ul_job_pass(const ul_job *from, const ul_param *table, const char *const *but, ul_job *to)
{
    for (int t = 0; t < UL_JOB_TABLES && from->kind->tables[t]; t++)
        for (int i = 0; from->kind->tables[t] == table && table[i].key; i++) {
            bool pass = from->set[t][i];
            for (int k = 0; but && but[k]; k++) pass &= strcmp(but[k], table[i].key) != 0;
            if (pass) UL_TRY(set(to, table[i].key, &from->args[t], i));
        }
    return UL_OK;
}

ul_status ul_job_pass_method(const ul_job *from, ul_job *to)
{
    UL_TRY(ul_job_set(to, "method", from->method_id));
    for (int i = 0; from->method_args.params && from->method_args.params[i].key; i++) {
        if (!from->method_set[i]) continue;
        const char *key = ul_format(to->arena, "%s.%s", from->method_id, from->method_args.params[i].key);
        UL_NEED(key);
        UL_TRY(set(to, key, &from->method_args, i));
    }
    for (int w = 0; w < from->n_wrap; w++) {
        const ul_args *a = &from->wrap[w].args;
        for (int i = 0; a->params && a->params[i].key; i++) {
            if (!from->wrap[w].set[i]) continue;
            const char *key = ul_format(to->arena, "%s.%s", from->wrap[w].id, a->params[i].key);
            UL_NEED(key);
            UL_TRY(set(to, key, a, i));
        }
    }
    return UL_OK;
}

ul_status ul_job_set_all(ul_job *job, const ul_setting *s)
{
    for (; s->key; s++)
        if (s->value) UL_TRY(ul_job_set(job, s->key, s->value));
    return UL_OK;
}

ul_status ul_job_child(const ul_job *from, const char *kind, const ul_setting *s, ul_job **out)
{
    UL_TRY(ul_job_new(from->ctx, kind, out));
    UL_TRY(ul_job_pass(from, ul_data_params, NULL, *out));
    UL_TRY(ul_job_pass(from, ul_compute_params, NULL, *out));
    return ul_job_set_all(*out, s);
}

ul_status ul_job_alternates(const ul_job *job, const char *rows, const char *forget, const char *seed, const char *file,
                            const char **out)
{
    ul_job *child = NULL;
    ul_records *r;
    int64_t have = 0;
    UL_TRY(ul_records_open(job->ctx, job->arena, rows, ul_job_text(job, "fields"), 0, &r));
    for (int64_t i = 0; i < r->n; i++) have += r->at[i].n_wrong > 0;
    *out = rows;
    if (have == r->n) return UL_OK;
    *out = file;
    const ul_setting s[] = {{"data", forget}, {"as", "wrong"}, {"seed", seed}, {"out", file}, {"force", "true"},
                            {NULL, NULL}};
    ul_status status = ul_job_child(job, "relabel", s, &child);
    if (status == UL_OK) status = ul_job_run(child);
    ul_job_free(child);
    return status;
}

ul_status ul_job_kept(ul_job *job, const char *path, const char *key, ul_presence presence, const char *digest,
                      json_t **out)
{
    const char *of = "";
    *out = NULL;
    if (!ul_job_flag(job, "resume") || !ul_file_exists(path)) return UL_OK;
    UL_TRY(ul_json_load(job->ctx, job->arena, path, out));
    UL_TRY(ul_json_text(job->ctx, *out, path, key, presence, &of));
    if (strcmp(of, digest)) *out = NULL;
    return UL_OK;
}

ul_status ul_job_text_save(ul_job *job, const char *path)
{
    ul_out *o;
    UL_TRY(job->text.status);
    UL_TRY(ul_out_open(job->ctx, path, job->text.n, &o));
    (void)ul_out_write(o, job->text.p, job->text.n); /* commit reports a failure */
    return ul_out_commit(o);
}
