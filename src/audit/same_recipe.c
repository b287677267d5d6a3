/* same_recipe.c - what --resume says of an output that another recipe began: which parameters differ, and from what. */
#include "audit/audit.h"
#include <string.h>

enum { NAMED = 4 }; /* differences that are named; the rest is counted */

typedef struct {
    ul_buf said;
    int n;
} differences;

static ul_status text_of(ul_job *job, const json_t *v, const char **out)
{
    const size_t flags = JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(9),
                 n = v ? json_dumpb(v, NULL, 0, flags) : 0;
    char *text = ul_alloc(job->arena, n + 1, 1);
    UL_NEED(text);
    if (v) json_dumpb(v, text, n, flags);
    *out = v ? text : "not set";
    return UL_OK;
}

/* name: what the user would type, or an input's role. */
static ul_status add(ul_job *job, differences *d, const char *name, const json_t *there, const json_t *here)
{
    const char *a, *b;
    if (d->n++ >= NAMED) return UL_OK;
    UL_TRY(text_of(job, there, &a));
    UL_TRY(text_of(job, here, &b));
    return ul_buf_printf(&d->said, "%s%s: %.60s there, %.60s here", d->n > 1 ? "; " : "", name, a, b);
}

/* Members of two objects; inputs are told by their digests, which say nothing to a reader. */
static ul_status members(ul_job *job, differences *d, const char *before, json_t *there, json_t *here, bool inputs)
{
    json_t *const side[2] = {there, here}, *v;
    const char *key;
    for (int i = 0; i < 2; i++) {
        json_object_foreach (side[i], key, v) {
            json_t *other = json_object_get(side[!i], key);
            if ((i == 1 && other) || json_equal(v, other)) continue;
            const char *name = ul_format(job->arena, "%s%s", before, key);
            UL_NEED(name);
            if (!inputs)
                UL_TRY(add(job, d, name, i ? NULL : v, i ? v : other));
            else if (d->n++ < NAMED)
                UL_TRY(ul_buf_printf(&d->said, "%sother %s", d->n > 1 ? "; " : "", key));
        }
    }
    return UL_OK;
}

static ul_status compare(ul_job *job, differences *d, const json_t *there, const json_t *here)
{
    static const char *const whole[] = {"job", "method"};
    for (int i = 0; i < 2; i++) {
        const json_t *a = json_object_get(there, whole[i]), *b = json_object_get(here, whole[i]);
        if (!json_equal((json_t *)(uintptr_t)a, (json_t *)(uintptr_t)b)) return add(job, d, whole[i], a, b);
    }
    const char *own = job->method_id ? ul_format(job->arena, "--%s.", job->method_id) : "";
    UL_NEED(own);
    UL_TRY(members(job, d, "", json_object_get(there, "inputs"), json_object_get(here, "inputs"), true));
    UL_TRY(members(job, d, own, json_object_get(there, "method_parameters"), json_object_get(here, "method_parameters"),
                   false));
    UL_TRY(members(job, d, "--", json_object_get(there, "parameters"), json_object_get(here, "parameters"), false));
    json_t *a = json_object_get(there, "wrappers"), *b = json_object_get(here, "wrappers");
    return json_equal(a, b) || (!a && !b) ? UL_OK : add(job, d, "--wrap", a, b);
}

ul_status ul_manifest_write_recipe(ul_job *job, const ul_manifest *m, const char *dir)
{
    json_t *j = json_pack("{s:s, s:O}", "recipe_digest", m->recipe_digest, "recipe", m->recipe);
    UL_TRY(ul_json_own(job->arena, j));
    const char *path = ul_path_join(job->arena, dir, UL_RECIPE_NAME);
    UL_NEED(path);
    return ul_json_save(job->ctx, path, j);
}

ul_status ul_manifest_same_recipe(ul_job *job, const ul_manifest *m, const char *path)
{
    json_t *j;
    const char *digest = "";
    differences d = {.n = 0};
    UL_TRY(ul_json_load(job->ctx, job->arena, path, &j));
    UL_TRY(ul_json_text(job->ctx, j, path, "recipe_digest", UL_REQUIRED, &digest));
    if (!strcmp(digest, m->recipe_digest)) return UL_OK;
    ul_buf_init(&d.said, job->ctx, 1 << 16);
    ul_status s = compare(job, &d, json_object_get(j, "recipe"), m->recipe);
    if (s == UL_OK && d.n > NAMED) s = ul_buf_printf(&d.said, "; and %d more", d.n - NAMED);
    if (s == UL_OK)
        s = ul_fail(job->ctx, UL_E_USAGE,
                    "%s: of another recipe (%.16s..., this run's is %.16s...): %s. Take a new --out", path, digest,
                    m->recipe_digest, d.said.n ? d.said.p : "another version of the program");
    ul_buf_release(&d.said);
    return s;
}
