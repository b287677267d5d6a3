/* manifest.c - what made an output, so that it can be made again: digests of inputs and recipe, precision, build; and,
 * apart, what does not decide the numbers: instruction set, threads, micro-batch, times. */
#include "audit/audit.h"
#include <string.h>

/* Keys that never change a number; they stay out of the recipe digest. (With --match the micro-batch may.) */
static bool is_free(const ul_job *job, const char *key)
{
    static const char *const names[] = {
        "threads",         "isa",     "out",     "force",     "resume",  "checkpoint",   "save-every", "cache",
        "print-plan",      "model",   "forget",  "retain",    "data",    "alt",          "tofu",       "reference-logs",
        "reference-model", "control", "columns", "adapter",   "guard",   "batch-tokens", "requests",   "muse",
        "original",        "base",    "phantom", "rephrased", "holdout", "methods",      "text",       "original-logs",
        "require",         NULL};
    for (const char *const *n = names; *n; n++)
        if (!strcmp(key, *n)) return true;
    if (!strcmp(key, "batch") && !strcmp(job->kind->id, "eval")) return true;
    if (!strcmp(key, "micro-batch")) {
        const char *match = ul_job_text(job, "match");
        return !match || !strcmp(match, "none");
    }
    return false;
}

static json_t *value(const ul_args *a, int i)
{
    switch (a->params[i].type) {
    case UL_TEXT: return json_string(a->text[i] ? a->text[i] : "");
    case UL_BOOL: return json_boolean(a->num[i] != 0);
    case UL_INT: return json_integer((json_int_t)a->num[i]);
    case UL_REAL: break;
    }
    return json_real(a->num[i]);
}

static json_t *values(const ul_job *job, const ul_args *a, bool want_free)
{
    json_t *o = json_object();
    for (int i = 0; o && a->params && a->params[i].key; i++)
        if (is_free(job, a->params[i].key) == want_free && json_object_set_new(o, a->params[i].key, value(a, i))) {
            json_decref(o);
            return NULL;
        }
    return o;
}

static ul_status merge_values(ul_job *job, json_t *into, bool want_free)
{
    for (int t = 0; t < UL_JOB_TABLES && job->kind->tables[t]; t++) {
        json_t *o = values(job, &job->args[t], want_free);
        const int bad = !o || json_object_update(into, o);
        json_decref(o);
        if (bad) return ul_fail(job->ctx, UL_E_RESOURCE, "no memory for the manifest");
    }
    return UL_OK;
}

ul_status ul_manifest_begin(ul_job *job, ul_manifest *m)
{
    *m = (ul_manifest){.inputs = json_object()};
    UL_TRY(ul_json_own(job->arena, m->inputs));
    return ul_json_own(job->arena, m->outputs = json_object());
}

ul_status ul_manifest_input(ul_job *job, ul_manifest *m, const char *role, const char *path, const char *digest,
                            int64_t rows)
{
    json_t *o = json_pack("{s:s, s:s}", "path", path, "digest", digest);
    if (o && rows >= 0) json_object_set_new(o, "rows", json_integer(rows));
    if (!o || json_object_set_new(m->inputs, role, o))
        return ul_fail(job->ctx, UL_E_RESOURCE, "no memory for the manifest");
    return UL_OK;
}

ul_status ul_job_file_digest(ul_job *job, const char *path, char digest[65])
{
    ul_file f;
    ul_digest d;
    UL_TRY(ul_file_map(job->ctx, job->arena, path, &f));
    ul_digest_init(&d);
    ul_digest_add(&d, f.p, f.n);
    ul_digest_hex(&d, digest);
    return UL_OK;
}

ul_status ul_manifest_file(ul_job *job, ul_manifest *m, const char *role, const char *path)
{
    char hex[65];
    if (!ul_file_exists(path)) return UL_OK;
    UL_TRY(ul_job_file_digest(job, path, hex));
    return ul_manifest_input(job, m, role, path, hex, -1);
}

ul_status ul_manifest_side_files(ul_job *job, ul_manifest *m, const char *dir)
{
    static const char *const names[] = {"config.json", "tokenizer.json"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *path = ul_path_join(job->arena, dir, names[i]);
        UL_NEED(path);
        UL_TRY(ul_manifest_file(job, m, names[i], path));
    }
    return UL_OK;
}

static ul_status wrappers(ul_job *job, json_t *into)
{
    json_t *list = json_array();
    bool ok = list != NULL;
    for (int i = 0; ok && i < job->n_wrap; i++)
        ok = !json_array_append_new(
            list, json_pack("{s:s, s:o}", "id", job->wrap[i].id, "parameters", values(job, &job->wrap[i].args, false)));
    if (ok && !json_object_set_new(into, "wrappers", list)) return UL_OK;
    if (!ok) json_decref(list);
    return ul_fail(job->ctx, UL_E_RESOURCE, "no memory for the manifest");
}

/* The recipe as one tree with sorted keys; inputs enter by digest, not by path. */
static ul_status recipe(ul_job *job, const ul_manifest *m, json_t **out)
{
    json_t *r = json_object(), *in = json_object(), *p = json_object();
    ul_status s = UL_OK;
    if (!r || !in || !p) s = ul_fail(job->ctx, UL_E_RESOURCE, "no memory for the manifest");
    const char *role;
    json_t *v;
    if (s == UL_OK) json_object_foreach(m->inputs, role, v) json_object_set(in, role, json_object_get(v, "digest"));
    if (s == UL_OK) s = merge_values(job, p, false);
    if (s == UL_OK && job->method) {
        json_object_set_new(r, "method", json_string(job->method_id));
        json_object_set_new(r, "method_parameters", values(job, &job->method_args, false));
    }
    if (s == UL_OK && job->n_wrap) s = wrappers(job, r);
    if (s != UL_OK) {
        json_decref(r), json_decref(in), json_decref(p);
        return s;
    }
    json_object_set_new(r, "job", json_string(job->kind->id));
    json_object_set_new(r, "parameters", p);
    json_object_set_new(r, "inputs", in);
    UL_TRY(ul_json_own(job->arena, r));
    *out = r;
    return UL_OK;
}

ul_status ul_manifest_seal(ul_job *job, ul_manifest *m)
{
    json_t *r;
    UL_TRY(recipe(job, m, &r));
    const size_t flags = JSON_SORT_KEYS | JSON_COMPACT | JSON_REAL_PRECISION(17), n = json_dumpb(r, NULL, 0, flags);
    char *text = ul_alloc(job->arena, n + 1, 1);
    UL_NEED(text);
    json_dumpb(r, text, n, flags);
    ul_digest d;
    ul_digest_init(&d);
    ul_digest_add(&d, text, n);
    ul_digest_hex(&d, m->recipe_digest);
    m->recipe = r;
    return UL_OK;
}

ul_status ul_manifest_write(ul_job *job, ul_manifest *m, const ul_backend *be, const char *dir)
{
    json_t *free_values = json_object();
    UL_TRY(ul_json_own(job->arena, free_values));
    UL_TRY(merge_values(job, free_values, true));
    char now[21];
    ul_utc_text(now);
    json_t *j = json_pack("{s:s, s:s, s:s, s:O, s:O, s:O, s:{s:s, s:i, s:O}, s:{s:s, s:s, s:f}}", "program",
                          "unlearn " UL_VERSION, "build", ul_build_id, "recipe_digest", m->recipe_digest, "recipe",
                          m->recipe, "inputs", m->inputs, "outputs", m->outputs, "machine", "isa",
                          be ? be->k->name : "none", "threads", be ? be->threads : 1, "parameters", free_values,
                          "time", "started", job->started, "ended", now, "seconds",
                          (double)(ul_now_ns() - job->started_ns) * 1e-9);
    UL_TRY(ul_json_own(job->arena, j));
    const char *path = ul_path_join(job->arena, dir, "manifest.json");
    UL_NEED(path);
    return ul_json_save(job->ctx, path, j);
}
