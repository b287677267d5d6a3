/* read.c - fields of tokenizer.json, checked, with messages that name the file, the stage and the component. */
#include "parts.h"
#include <string.h>

/* ul_tokenizer_unsupported() looks for it: the one thing that tells "not implemented" from "damaged". */
static const char not_supported[] = "is not supported by this program";

bool ul_tokenizer_unsupported(const ul_ctx *ctx)
{
    return strstr(ul_error_text(ctx), not_supported) != NULL;
}

ul_status ul_bad(const ul_reader *r, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    char *text = NULL;
    va_list again;
    va_copy(again, args);
    const int n = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    if (n >= 0 && n < 4096) text = ul_alloc(r->arena, (size_t)n + 1, 1);
    if (text) vsnprintf(text, (size_t)n + 1, fmt, again);
    va_end(again);
    if (!text) return UL_E_RESOURCE;
    return ul_fail(r->ctx, UL_E_INPUT, "%s: %s%s%s: %s", r->path, r->stage, r->type ? " " : "", r->type ? r->type : "",
                   text);
}

ul_status ul_unsupported(const ul_reader *r, const char *what)
{
    return ul_fail(r->ctx, UL_E_INPUT, "%s: %s%s%s: %s %s", r->path, r->stage, r->type ? " " : "",
                   r->type ? r->type : "", what, not_supported);
}

static const char *json_name(const json_t *v)
{
    static const char *const names[] = {"an object", "an array", "a string", "an integer",
                                        "a real",    "true",     "false",    "null"};
    return v ? names[json_typeof(v)] : "nothing";
}

/* All n bytes, NULs among them: ul_strndup would end at the first. */
ul_status ul_copy_str(const ul_reader *r, const char *p, size_t n, ul_str *out)
{
    char *copy = UL_NEW(r->arena, char, n + 1);
    UL_NEED(copy);
    memcpy(copy, p, n);
    copy[n] = 0;
    *out = (ul_str){copy, n};
    return UL_OK;
}

/* The text may hold NUL bytes; an absent one leaves *out as it is. */
ul_status ul_read_str(const ul_reader *r, const json_t *o, const char *key, ul_presence need, ul_str *out)
{
    const json_t *v = json_object_get(o, key);
    if ((!v || json_is_null(v)) && need == UL_OPTIONAL) return UL_OK;
    if (!json_is_string(v)) return ul_bad(r, "\"%s\" must be a string, it is %s", key, json_name(v));
    const size_t n = json_string_length(v);
    if (n > 1u << 24) return ul_bad(r, "\"%s\" has %zu bytes", key, n);
    char *copy = ul_alloc(r->arena, n + 1, 1);
    UL_NEED(copy);
    memcpy(copy, json_string_value(v), n);
    *out = (ul_str){copy, n};
    return UL_OK;
}

ul_status ul_read_bool(const ul_reader *r, const json_t *o, const char *key, ul_presence need, bool *out)
{
    const json_t *v = json_object_get(o, key);
    if ((!v || json_is_null(v)) && need == UL_OPTIONAL) return UL_OK;
    if (!json_is_boolean(v)) return ul_bad(r, "\"%s\" must be true or false, it is %s", key, json_name(v));
    *out = json_is_true(v);
    return UL_OK;
}

bool ul_json_whole(const json_t *v, int64_t lo, int64_t hi, int64_t *out)
{
    int64_t x;
    if (json_is_integer(v)) {
        x = json_integer_value(v);
    } else if (json_is_real(v)) {
        const double d = json_real_value(v);
        if (!(d >= -9e15 && d <= 9e15) || d != (double)(int64_t)d) return false;
        x = (int64_t)d;
    } else {
        return false;
    }
    if (x < lo || x > hi) return false;
    *out = x;
    return true;
}

ul_status ul_read_size(const ul_reader *r, const json_t *o, const char *key, ul_presence need, size_t hi, size_t *out)
{
    const json_t *v = json_object_get(o, key);
    int64_t x;
    if ((!v || json_is_null(v)) && need == UL_OPTIONAL) return UL_OK;
    if (!ul_json_whole(v, 0, (int64_t)hi, &x)) return ul_bad(r, "\"%s\" must be an integer from 0 to %zu", key, hi);
    *out = (size_t)x;
    return UL_OK;
}

ul_status ul_read_char(const ul_reader *r, const json_t *o, const char *key, uint32_t *out)
{
    ul_str s = {0};
    UL_TRY(ul_read_str(r, o, key, UL_REQUIRED, &s));
    if (s.n == 0 || ul_utf8_get(s.p, out) != s.n)
        return ul_bad(r, "\"%s\" must be one character, it has %zu bytes", key, s.n);
    return UL_OK;
}

ul_status ul_read_type(ul_reader *r, const json_t *o, const char **type)
{
    if (!json_is_object(o)) return ul_bad(r, "must be an object, it is %s", json_name(o));
    const json_t *v = json_object_get(o, "type");
    if (!json_is_string(v)) return ul_bad(r, "\"type\" must be a string, it is %s", json_name(v));
    *type = json_string_value(v);
    return UL_OK;
}

ul_status ul_add_part(ul_reader *r, ul_parts *out, ul_part **part)
{
    enum { MOST = 64 };
    if (!out->at) {
        out->at = UL_NEW(r->arena, ul_part, MOST);
        UL_NEED(out->at);
        out->cap = MOST;
    }
    if (out->n == out->cap) return ul_bad(r, "more than %zu steps", out->cap);
    *part = &out->at[out->n++];
    return UL_OK;
}

static ul_status read_part(ul_reader *r, const json_t *o, const char *list, const ul_part_type *types, int depth,
                           ul_parts *out)
{
    const char *type = "";
    r->type = NULL;
    UL_TRY(ul_read_type(r, o, &type));
    if (strcmp(type, "Sequence") == 0) {
        const json_t *all = json_object_get(o, list);
        r->type = "Sequence";
        if (!json_is_array(all)) return ul_bad(r, "\"%s\" must be an array, it is %s", list, json_name(all));
        if (depth == 8) return ul_bad(r, "a Sequence inside a Sequence, 8 deep");
        size_t i;
        const json_t *each;
        json_array_foreach(all, i, each) UL_TRY(read_part(r, each, list, types, depth + 1, out));
        return UL_OK;
    }
    for (const ul_part_type *k = types; k->type; k++) {
        if (strcmp(k->type, type) != 0) continue;
        r->type = k->type;
        return k->read(r, o, k->mode, out);
    }
    char what[96];
    snprintf(what, sizeof what, "type \"%.64s\"", type);
    return ul_unsupported(r, what);
}

ul_status ul_read_parts(ul_reader *r, const json_t *o, const char *list, const ul_part_type *types, ul_parts *out)
{
    if (!o || json_is_null(o)) return UL_OK;
    UL_TRY(read_part(r, o, list, types, 0, out));
    r->type = NULL;
    return UL_OK;
}
