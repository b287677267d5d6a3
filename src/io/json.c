/* json.c - JSON by jansson with messages a person can act on: path, line, column, member, what was expected. */
#include "io/io_fail.h"
#include <inttypes.h>
#include <math.h>
#include <string.h>

static void release(void *value)
{
    json_decref(value);
}

ul_status ul_json_own(ul_arena *arena, json_t *value)
{
    if (!value) return ul_fail(ul_arena_ctx(arena), UL_E_RESOURCE, "no memory for a JSON value");
    return ul_arena_defer(arena, release, value);
}

static int64_t line_of(const char *p, size_t at)
{
    int64_t line = 1;
    for (size_t i = 0; i < at; i++) line += p[i] == '\n';
    return line;
}

/* jansson takes the bytes as UTF-8 and tells neither encoding nor place when they are not. */
static ul_status check_encoding(ul_ctx *ctx, const char *where, const char *p, size_t n)
{
    if (n >= 3 && memcmp(p, "\xef\xbb\xbf", 3) == 0)
        return ul_fail(ctx, UL_E_INPUT, "%s: byte 0: a byte-order mark (EF BB BF); save it as UTF-8 without it", where);
    if (n >= 2 && (memcmp(p, "\xff\xfe", 2) == 0 || memcmp(p, "\xfe\xff", 2) == 0))
        return ul_fail(ctx, UL_E_INPUT, "%s: byte 0: is UTF-16; save it as UTF-8", where);
    const int64_t bad = ul_utf8_invalid(p, n);
    if (bad < 0) return UL_OK;
    return ul_fail(ctx, UL_E_INPUT,
                   "%s: byte %" PRId64 " (line %" PRId64 "): 0x%02X is not valid UTF-8 there; save it "
                   "as UTF-8",
                   where, bad, line_of(p, (size_t)bad), (unsigned char)p[bad]);
}

ul_status ul_json_parse(ul_ctx *ctx, ul_arena *arena, const char *where, const void *bytes, size_t n, size_t flags,
                        json_t **out)
{
    json_error_t e;
    *out = NULL;
    if (n == 0) return ul_fail(ctx, UL_E_INPUT, "%s: is empty, JSON is expected", where);
    UL_TRY(check_encoding(ctx, where, bytes, n));
    json_t *value = json_loadb(bytes, n, flags | JSON_ALLOW_NUL, &e);
    if (!value && json_error_code(&e) == json_error_numeric_overflow)
        value = json_loadb(bytes, n, flags | JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, &e);
    if (!value && json_error_code(&e) == json_error_out_of_memory)
        return ul_fail(ctx, UL_E_RESOURCE, "%s: no memory for its JSON (%zu bytes of text)", where, n);
    if (!value) return ul_fail(ctx, UL_E_INPUT, "%s:%d:%d: %s", where, e.line, e.column, e.text);
    UL_TRY(ul_json_own(arena, value));
    *out = value;
    return UL_OK;
}

static ul_status load(ul_ctx *ctx, ul_arena *arena, const char *path, size_t flags, json_t **out)
{
    ul_arena *tmp;
    ul_file f;
    *out = NULL;
    UL_TRY(ul_arena_new(ctx, "JSON text", &tmp));
    ul_status st = ul_file_map(ctx, tmp, path, &f);
    if (st == UL_OK) st = ul_json_parse(ctx, arena, path, f.p, f.n, flags, out);
    ul_arena_free(tmp);
    return st;
}

ul_status ul_json_load(ul_ctx *ctx, ul_arena *arena, const char *path, json_t **out)
{
    return load(ctx, arena, path, 0, out);
}

ul_status ul_json_load_unique(ul_ctx *ctx, ul_arena *arena, const char *path, json_t **out)
{
    return load(ctx, arena, path, JSON_REJECT_DUPLICATES, out);
}

int ul_io_dump(const char *bytes, size_t n, void *buf)
{
    return ul_buf_add(buf, bytes, n) == UL_OK ? 0 : -1;
}

static int dump_out(const char *bytes, size_t n, void *out)
{
    return ul_out_write(out, bytes, n) == UL_OK ? 0 : -1;
}

ul_status ul_json_save(ul_ctx *ctx, const char *path, const json_t *value)
{
    ul_out *o;
    UL_TRY(ul_out_open(ctx, path, 0, &o));
    const int bad = json_dump_callback(value, dump_out, o, JSON_INDENT(2) | JSON_REAL_PRECISION(17));
    const ul_status st = ul_out_write(o, "\n", 1); /* tells a failed write from a value that cannot be written */
    if (bad && st == UL_OK) {
        ul_out_discard(o);
        return ul_fail(ctx, UL_E_INTERNAL, "%s: jansson could not write the value", path);
    }
    return ul_out_commit(o);
}

/* ---- members ---------------------------------------------------------------------------------------------------- */
static const char *type_name(const json_t *v)
{
    static const char *const names[] = {"an object",     "an array", "a string", "an integer",
                                        "a real number", "true",     "false",    "null"};
    return v ? names[json_typeof(v)] : "nothing";
}

static ul_status wrong(ul_ctx *ctx, const char *where, const char *key, const json_t *v, const char *expected)
{
    if (json_is_string(v))
        return ul_fail(ctx, UL_E_INPUT, "%s: \"%s\" is the string \"%.60s\", %s is expected", where, key,
                       json_string_value(v), expected);
    return ul_fail(ctx, UL_E_INPUT, "%s: \"%s\" is %s, %s is expected", where, key, type_name(v), expected);
}

/* *v NULL: absent or null, and allowed to be. */
static ul_status member(ul_ctx *ctx, const json_t *object, const char *where, const char *key, ul_presence presence,
                        const char *expected, json_t **v)
{
    *v = NULL;
    if (!json_is_object(object))
        return ul_fail(ctx, UL_E_INPUT, "%s: holds %s, an object with \"%s\" is expected", where, type_name(object),
                       key);
    json_t *found = json_object_get(object, key);
    if (found && !json_is_null(found))
        *v = found;
    else if (presence == UL_REQUIRED)
        return ul_fail(ctx, UL_E_INPUT, "%s: \"%s\" is %s, %s is expected", where, key, found ? "null" : "missing",
                       expected);
    return UL_OK;
}

ul_status ul_json_int(ul_ctx *ctx, const json_t *object, const char *where, const char *key, ul_presence presence,
                      int64_t lo, int64_t hi, int64_t *out)
{
    json_t *v;
    UL_TRY(member(ctx, object, where, key, presence, "an integer", &v));
    if (!v) return UL_OK;
    const double real = json_is_real(v) ? json_real_value(v) : 0;
    if (!json_is_number(v) || real != floor(real)) return wrong(ctx, where, key, v, "an integer");
    /* Reals beyond 2^53 are no longer single integers. */
    if (fabs(real) > 9007199254740992.0)
        return ul_fail(ctx, UL_E_INPUT, "%s: \"%s\" is %.17g, an integer from %" PRId64 " to %" PRId64 " is expected",
                       where, key, real, lo, hi);
    const int64_t x = json_is_real(v) ? (int64_t)real : (int64_t)json_integer_value(v);
    if (x < lo || x > hi)
        return ul_fail(ctx, UL_E_INPUT, "%s: \"%s\" is %" PRId64 ", from %" PRId64 " to %" PRId64 " is expected", where,
                       key, x, lo, hi);
    *out = x;
    return UL_OK;
}

ul_status ul_json_real(ul_ctx *ctx, const json_t *object, const char *where, const char *key, ul_presence presence,
                       double *out)
{
    json_t *v;
    UL_TRY(member(ctx, object, where, key, presence, "a number", &v));
    if (!v) return UL_OK;
    if (!json_is_number(v)) return wrong(ctx, where, key, v, "a number");
    *out = json_number_value(v);
    return UL_OK;
}

ul_status ul_json_bool(ul_ctx *ctx, const json_t *object, const char *where, const char *key, ul_presence presence,
                       bool *out)
{
    json_t *v;
    UL_TRY(member(ctx, object, where, key, presence, "true or false", &v));
    if (!v) return UL_OK;
    if (!json_is_boolean(v)) return wrong(ctx, where, key, v, "true or false");
    *out = json_is_true(v);
    return UL_OK;
}

ul_status ul_json_text(ul_ctx *ctx, const json_t *object, const char *where, const char *key, ul_presence presence,
                       const char **out)
{
    json_t *v;
    UL_TRY(member(ctx, object, where, key, presence, "a string", &v));
    if (!v) return UL_OK;
    if (!json_is_string(v)) return wrong(ctx, where, key, v, "a string");
    if (strlen(json_string_value(v)) != json_string_length(v))
        return ul_fail(ctx, UL_E_INPUT, "%s: \"%s\" has a NUL at byte %zu of %zu; remove it", where, key,
                       strlen(json_string_value(v)), json_string_length(v));
    *out = json_string_value(v);
    return UL_OK;
}

ul_status ul_json_object(ul_ctx *ctx, const json_t *object, const char *where, const char *key, ul_presence presence,
                         json_t **out)
{
    json_t *v;
    UL_TRY(member(ctx, object, where, key, presence, "an object", &v));
    if (!v) return UL_OK;
    if (!json_is_object(v)) return wrong(ctx, where, key, v, "an object");
    *out = v;
    return UL_OK;
}

ul_status ul_json_array(ul_ctx *ctx, const json_t *object, const char *where, const char *key, ul_presence presence,
                        json_t **out)
{
    json_t *v;
    UL_TRY(member(ctx, object, where, key, presence, "an array", &v));
    if (!v) return UL_OK;
    if (!json_is_array(v)) return wrong(ctx, where, key, v, "an array");
    *out = v;
    return UL_OK;
}
