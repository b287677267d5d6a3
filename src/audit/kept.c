/* kept.c - parts of an audit on the disk: a JSON file a part, so that what was measured is not measured again.
 *
 * A file's name is the SHA-256 of what decides its numbers and of the part's name. It holds that key, and the SHA-256
 * of its own value: one that is torn, edited or of another key is made again, with a note. Numbers have 17 digits and
 * come back bit for bit; one that is not finite is null. */
#include "audit/kept.h"
#include <math.h>
#include <string.h>

enum { EXACT = JSON_COMPACT | JSON_SORT_KEYS | JSON_REAL_PRECISION(17) };

/* ---- one function writes and reads ----------------------------------------------------------------------------- */
static void put(ul_fold *f, const char *key, json_t *value)
{
    if (!value || json_object_set_new(f->j, key, value)) f->ok = false;
}

void ul_fold_number(ul_fold *f, const char *key, double *x)
{
    const json_t *v = json_object_get(f->j, key);
    if (!f->reading)
        put(f, key, isfinite(*x) ? json_real(*x) : json_null());
    else if (json_is_real(v) || json_is_null(v))
        *x = json_is_real(v) ? json_real_value(v) : NAN;
    else
        f->ok = false;
}

void ul_fold_count(ul_fold *f, const char *key, int64_t most, int *x)
{
    const json_t *v = json_object_get(f->j, key);
    const int64_t n = json_integer_value(v);
    if (!f->reading)
        put(f, key, json_integer(*x));
    else if (json_is_integer(v) && n >= 0 && n <= most)
        *x = (int)n;
    else
        f->ok = false;
}

void ul_fold_flag(ul_fold *f, const char *key, bool *x)
{
    const json_t *v = json_object_get(f->j, key);
    if (!f->reading)
        put(f, key, json_boolean(*x));
    else if (json_is_boolean(v))
        *x = json_is_true(v);
    else
        f->ok = false;
}

void ul_fold_column(ul_fold *f, const char *key, int64_t n, double **x)
{
    if (!f->reading) {
        json_t *list = *x ? json_array() : json_null();
        for (int64_t i = 0; *x && i < n; i++)
            if (json_array_append_new(list, json_real((*x)[i]))) f->ok = false; /* not finite, too */
        put(f, key, list);
        return;
    }
    const json_t *list = json_object_get(f->j, key);
    *x = NULL;
    if (json_is_null(list)) return;
    if (!json_is_array(list) || json_array_size(list) != (size_t)n || !(*x = UL_NEW(f->arena, double, n))) {
        f->ok = false;
        return;
    }
    for (int64_t i = 0; i < n; i++) {
        const json_t *v = json_array_get(list, (size_t)i);
        if (!json_is_real(v)) f->ok = false;
        (*x)[i] = json_real_value(v);
    }
}

void ul_fold_texts(ul_fold *f, const char *key, int64_t n, const char *const **x)
{
    if (!f->reading) {
        json_t *list = *x ? json_array() : json_null();
        for (int64_t i = 0; *x && i < n; i++)
            if (json_array_append_new(list, json_string((*x)[i]))) f->ok = false; /* no UTF-8, too */
        put(f, key, list);
        return;
    }
    const json_t *list = json_object_get(f->j, key);
    const char **text = NULL;
    *x = NULL;
    if (json_is_null(list)) return;
    if (!json_is_array(list) || json_array_size(list) != (size_t)n || !(text = UL_NEW(f->arena, const char *, n))) {
        f->ok = false;
        return;
    }
    for (int64_t i = 0; i < n; i++)
        if (!(text[i] = json_string_value(json_array_get(list, (size_t)i)))) f->ok = false;
    *x = text;
}

void ul_fold_json(ul_fold *f, const char *key, json_t **x)
{
    json_t *v = json_object_get(f->j, key);
    if (!f->reading)
        put(f, key, *x ? json_incref(*x) : json_null());
    else if (v)
        *x = json_is_null(v) ? NULL : v;
    else
        f->ok = false;
}

/* ---- files ----------------------------------------------------------------------------------------------------- */
static int add(const char *bytes, size_t n, void *digest)
{
    ul_digest_add(digest, bytes, n);
    return 0;
}

static bool digest_of(const json_t *value, char hex[65])
{
    ul_digest d;
    ul_digest_init(&d);
    const bool ok = value && json_dump_callback(value, add, &d, EXACT) == 0;
    ul_digest_hex(&d, hex);
    return ok;
}

static ul_status place(const ul_kept_parts *k, ul_arena *arena, const char *part, char key[65], const char **path)
{
    ul_digest d;
    ul_digest_init(&d);
    ul_digest_add(&d, k->key, sizeof k->key);
    ul_digest_add(&d, part, strlen(part) + 1);
    ul_digest_hex(&d, key);
    const char *name = ul_format(arena, "%.32s.json", key);
    UL_NEED(name);
    UL_NEED(*path = ul_path_join(arena, k->dir, name));
    return UL_OK;
}

/* The value of a sound file of this key; NULL: it is not that. */
static json_t *sound(json_t *file, const char *key)
{
    char hex[65];
    json_t *value = json_object_get(file, "value");
    const char *of = json_string_value(json_object_get(file, "key")),
               *digest = json_string_value(json_object_get(file, "digest"));
    if (!of || !digest || strcmp(of, key) || !json_is_object(value) || !digest_of(value, hex)) return NULL;
    return strcmp(hex, digest) ? NULL : value;
}

ul_status ul_kept_get(ul_kept_parts *k, ul_arena *arena, const char *part, ul_fold_fn *fold, void *what, bool *found)
{
    char key[65];
    const char *path;
    json_t *file = NULL;
    *found = false;
    if (!k || !k->dir) return UL_OK;
    UL_TRY(place(k, arena, part, key, &path));
    if (!ul_file_exists(path)) return UL_OK;
    ul_ctx *ctx = ul_arena_ctx(arena);
    const ul_status s = ul_json_load(ctx, arena, path, &file);
    if (s != UL_OK && s != UL_E_INPUT) return s;
    ul_fold f = {.j = s == UL_OK ? sound(file, key) : NULL, .arena = arena, .reading = true, .ok = true};
    if (f.j) fold(&f, what);
    *found = f.j && f.ok;
    k->found += *found;
    if (!*found)
        ul_note(ctx, UL_LOG_WARN, "%s: \"%s\" was kept there and the file is damaged: it is measured again", path,
                part);
    return UL_OK;
}

ul_status ul_kept_put(ul_kept_parts *k, ul_arena *arena, const char *part, ul_fold_fn *fold, void *what)
{
    char key[65], digest[65];
    const char *path;
    if (!k || !k->dir) return UL_OK;
    ul_ctx *ctx = ul_arena_ctx(arena);
    ul_fold f = {.j = json_object(), .arena = arena, .ok = true};
    UL_TRY(ul_json_own(arena, f.j));
    fold(&f, what);
    if (!f.ok || !digest_of(f.j, digest)) return UL_OK; /* a number or text that JSON cannot hold: not kept */
    UL_TRY(place(k, arena, part, key, &path));
    json_t *file = json_pack("{s:s, s:s, s:s, s:O}", "part", part, "key", key, "digest", digest, "value", f.j);
    UL_TRY(ul_json_own(arena, file));
    UL_TRY(ul_dir_make(ctx, k->dir));
    return ul_json_save(ctx, path, file);
}
