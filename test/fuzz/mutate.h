/* mutate.h - damage to files: a function of (seed, round) alone. Bytes are flipped, cut, doubled, moved and put in;
 * where the file is JSON its values are exchanged, so that what reads the values is reached, not the reader of JSON
 * alone. */
#ifndef UL_MUTATE_H
#define UL_MUTATE_H
#include "base/base.h"
#include "ul_test.h"
#include <jansson.h>

typedef enum {
    FUZZ_BYTES,  /* anything, numbers of 8 bytes among them        */
    FUZZ_TEXT,   /* text: CSV, plain                               */
    FUZZ_JSON,   /* one value                                      */
    FUZZ_LINES,  /* a value a line                                 */
    FUZZ_TENSORS /* safetensors: length of a header, JSON, numbers */
} fuzz_kind;

typedef struct {
    unsigned char *p; /* malloc, a NUL behind it */
    size_t n;
} fuzz_bytes;

typedef struct {
    uint64_t seed, round, at;
} fuzz_dice;

static inline size_t fuzz_draw(fuzz_dice *d, size_t n)
{
    return (size_t)ul_rng_below(d->seed, UL_STREAM_TEST, d->round, d->at++, n ? n : 1);
}

/* ---- bytes ------------------------------------------------------------------------------------------------------- */
/* `cut` bytes from `at` on are replaced. */
static inline void fuzz_splice(fuzz_bytes *b, size_t at, size_t cut, const void *put, size_t n)
{
    unsigned char *p = malloc(b->n - cut + n + 1);
    assert_non_null(p);
    memcpy(p, b->p, at);
    if (n) memcpy(p + at, put, n);
    memcpy(p + at + n, b->p + at + cut, b->n - at - cut);
    b->n += n, b->n -= cut;
    p[b->n] = 0;
    free(b->p);
    b->p = p;
}

static inline fuzz_bytes fuzz_copy(const void *p, size_t n)
{
    fuzz_bytes b = {calloc(1, 1), 0};
    assert_non_null(b.p);
    fuzz_splice(&b, 0, 0, p, n);
    return b;
}

static inline bool fuzz_digit(unsigned char c)
{
    return (c >= '0' && c <= '9') || c == '-' || c == '.';
}

/* A run of digits from a random place on, or none. */
static inline size_t fuzz_number_at(fuzz_dice *d, const fuzz_bytes *b, size_t *at)
{
    size_t n = 0;
    for (*at = fuzz_draw(d, b->n); *at < b->n && !fuzz_digit(b->p[*at]);) ++*at;
    while (*at + n < b->n && fuzz_digit(b->p[*at + n])) n++;
    return n;
}

static inline void fuzz_bytes_edit(fuzz_dice *d, fuzz_bytes *b, const fuzz_bytes *other, fuzz_kind kind)
{
    static const char *const piece[] = {
        "null", "[]", "{}", "\"\"", "1e999", "-1e999", "NaN", "Infinity", "[[[[[[[[", "\"", ",", "\n", "\r\n",
        "\\u0000", "\\ud800", "\xff", "\xef\xbb\xbf", "true", "{\"a\":", "\t", "''", "\"\"\"", "%s%n", "../..",
        "\xc3\xa9"};
    static const char *const number[] = {"-1", "0", "1", "0.5", "-0.0", "1e999", "1e308", "2147483647", "2147483648",
                                         "4294967296", "9007199254740993", "9223372036854775807",
                                         "-9223372036854775808", "18446744073709551616", "1e-320", "00", "1e5"};
    static const uint64_t word[] = {0, 1, UINT64_MAX, INT64_MAX, (uint64_t)INT64_MIN, 1u << 31, UINT32_MAX, 1ull << 40,
                                    0x7ff8000000000000ull, 0x7ff0000000000000ull, 0x7fc00000u, 0x7f800000u};
    const size_t at = fuzz_draw(d, b->n), n = 1 + fuzz_draw(d, fuzz_draw(d, 2) ? 8 : b->n);
    const size_t have = b->n - at < n ? b->n - at : n;
    size_t place, digits;
    switch (b->n ? fuzz_draw(d, 11) : 6) {
    case 0: b->p[at] ^= (unsigned char)(1u << fuzz_draw(d, 8)); break;
    case 1: b->p[at] = (unsigned char)fuzz_draw(d, 256); break;
    case 2: fuzz_splice(b, at, have, NULL, 0); break;
    case 3: fuzz_splice(b, fuzz_draw(d, b->n + 1), 0, b->p + at, have); break;
    case 4: { /* a piece goes elsewhere */
        fuzz_bytes moved = fuzz_copy(b->p + at, have);
        fuzz_splice(b, at, have, NULL, 0);
        fuzz_splice(b, fuzz_draw(d, b->n + 1), 0, moved.p, moved.n);
        free(moved.p);
        break;
    }
    case 5: fuzz_splice(b, at, b->n - at, NULL, 0); break;
    case 6:
        place = fuzz_draw(d, sizeof piece / sizeof *piece);
        fuzz_splice(b, at < b->n ? at : b->n, 0, piece[place], strlen(piece[place]));
        break;
    case 7: case 8:
        if (kind == FUZZ_BYTES || kind == FUZZ_TENSORS) {
            if (b->n < 8) break;
            place = fuzz_draw(d, b->n / 8) * 8;
            memcpy(b->p + place, &word[fuzz_draw(d, sizeof word / sizeof *word)], fuzz_draw(d, 2) ? 4 : 8);
        } else if ((digits = fuzz_number_at(d, b, &place)) > 0) {
            const char *x = number[fuzz_draw(d, sizeof number / sizeof *number)];
            fuzz_splice(b, place, digits, x, strlen(x));
        }
        break;
    default:
        if (!other->n) break;
        place = fuzz_draw(d, other->n), digits = other->n - place;
        fuzz_splice(b, at, fuzz_draw(d, 2) ? have : 0, other->p + place, digits < n ? digits : n);
    }
}

/* ---- JSON -------------------------------------------------------------------------------------------------------- */
typedef struct {
    json_t *parent; /* NULL: the root */
    size_t index;
    char key[256];
    json_t *value;
} fuzz_slot;

static inline fuzz_slot fuzz_child(json_t *parent, size_t k)
{
    fuzz_slot s = {.parent = parent, .index = k};
    const char *key;
    json_t *v;
    if (json_is_array(parent)) {
        s.value = json_array_get(parent, k);
        return s;
    }
    json_object_foreach(parent, key, v)
        if (k-- == 0) {
            snprintf(s.key, sizeof s.key, "%s", key);
            s.value = json_object_get(parent, s.key) == v ? v : NULL; /* a key too long for us: left alone */
            break;
        }
    return s;
}

/* Down from the root by the dice, so that a file's few members are met as often as its thousand tokens. */
static inline fuzz_slot fuzz_walk(fuzz_dice *d, json_t *root)
{
    fuzz_slot s = {.value = root};
    while (s.value) {
        const size_t n = json_is_array(s.value) ? json_array_size(s.value) : json_object_size(s.value);
        if (n == 0 || (s.parent && fuzz_draw(d, 4) == 0)) break;
        s = fuzz_child(s.value, fuzz_draw(d, n));
    }
    return s;
}

static inline void fuzz_set(const fuzz_slot *s, json_t *value)
{
    if (json_is_array(s->parent)) json_array_set_new(s->parent, s->index, value);
    else json_object_set_new(s->parent, s->key, value);
}

static inline json_t *fuzz_value(fuzz_dice *d)
{
    static const json_int_t whole[] = {0,       1,          -1,         2,        3,         7,         64,       65536,
                                       1000000, 2147483647, 2147483648, -2147483648LL, 4294967296, 1LL << 53, INT64_MAX,
                                       INT64_MIN};
    static const double real[] = {0.5, -0.5, 1e308, -1e308, 1e-320, 1e9, 1e19, 2.0, -0.0, 1e39, 3.4e38};
    static const char *const text[] = {"", "a", "\xc3\xa9", "../x", "/", "none", "auto", "0", "-1", "nan", "inf", "%s",
                                       "bfloat16", "float64", "int8", "F32", "I64", "relu", "linear", "yarn", "a b c d",
                                       "(?=", "\n", "\"", "model.safetensors", "llama", "gpt2", "BPE", "Unigram"};
    switch (fuzz_draw(d, 10)) {
    case 0: return json_null();
    case 1: return json_boolean(fuzz_draw(d, 2));
    case 2: return json_array();
    case 3: return json_object();
    case 4: return json_stringn("a\0b", 3);
    case 5: case 6: return json_real(real[fuzz_draw(d, sizeof real / sizeof *real)]);
    case 7: case 8: return json_integer(whole[fuzz_draw(d, sizeof whole / sizeof *whole)]);
    default: return json_string(text[fuzz_draw(d, sizeof text / sizeof *text)]);
    }
}

/* The value a little different, or NULL. */
static inline json_t *fuzz_near(fuzz_dice *d, const json_t *v)
{
    const size_t how = fuzz_draw(d, 6);
    if (json_is_integer(v)) {
        const json_int_t x = json_integer_value(v);
        if (x > 1LL << 60 || x < -(1LL << 60)) return json_integer(0);
        return how == 5 ? json_real((double)x + 0.5)
                        : json_integer(how == 0 ? x + 1 : how == 1 ? x - 1 : how == 2 ? 2 * x : how == 3 ? -x : x / 2);
    }
    if (json_is_real(v)) return json_real(json_real_value(v) * (how == 0 ? -1 : how == 1 ? 1e30 : how == 2 ? 0 : 1.5));
    if (json_is_boolean(v)) return json_boolean(!json_is_true(v));
    if (!json_is_string(v)) return NULL;
    const size_t n = json_string_length(v), at = fuzz_draw(d, n + 1);
    fuzz_bytes b = fuzz_copy(json_string_value(v), n);
    switch (how) {
    case 0: fuzz_splice(&b, at, n - at, NULL, 0); break;
    case 1: fuzz_splice(&b, at, 0, b.p, n); break;
    case 2: fuzz_splice(&b, at, 0, " ", 1); break;
    case 3: fuzz_splice(&b, at, 0, "\0", 1); break;
    case 4: fuzz_splice(&b, at, 0, "9", 1); break;
    default: if (at < n) b.p[at] = (unsigned char)('a' + fuzz_draw(d, 26));
    }
    json_t *out = json_stringn((const char *)b.p, b.n); /* NULL: no UTF-8 */
    free(b.p);
    return out;
}

static inline void fuzz_json_edit(fuzz_dice *d, json_t *root, json_t *other)
{
    fuzz_slot s = fuzz_walk(d, root);
    char key[300];
    json_t *v = NULL;
    if (!s.parent || !s.value) return;
    switch (fuzz_draw(d, 12)) {
    case 0: case 1: case 2: v = fuzz_value(d); break;
    case 3: case 4: case 5: v = fuzz_near(d, s.value); break;
    case 6: v = json_deep_copy(fuzz_walk(d, other).value); break;
    case 7: v = json_pack("[O]", s.value); break;
    case 8: /* gone */
        if (json_is_array(s.parent)) json_array_remove(s.parent, s.index);
        else json_object_del(s.parent, s.key);
        return;
    case 9: /* twice */
        if (json_is_array(s.parent)) {
            json_array_insert_new(s.parent, s.index, json_deep_copy(s.value));
            return;
        }
        snprintf(key, sizeof key, "%s%c", s.key, (char)('0' + fuzz_draw(d, 40)));
        json_object_set_new(s.parent, key, json_deep_copy(s.value));
        return;
    case 10: { /* under another's name, or in another's place */
        const fuzz_slot t = fuzz_child(s.parent, fuzz_draw(d, json_is_array(s.parent) ? json_array_size(s.parent)
                                                                                     : json_object_size(s.parent)));
        if (!t.value) return;
        json_t *a = json_deep_copy(s.value);
        fuzz_set(&s, json_deep_copy(t.value));
        fuzz_set(&t, a);
        return;
    }
    default:
        for (int i = 0; i < 3 && json_is_array(s.value); i++)
            json_array_append_new(s.value, json_array_size(s.value) ? json_deep_copy(json_array_get(s.value, 0))
                                                                    : fuzz_value(d));
        if (json_is_object(s.value)) json_object_set_new(s.value, "new", fuzz_value(d));
        return;
    }
    if (v) fuzz_set(&s, v);
}

/* The text with one to three values exchanged; false: it is no JSON. */
static inline bool fuzz_json_text(fuzz_dice *d, fuzz_bytes *b, const fuzz_bytes *other)
{
    json_t *root = json_loadb((const char *)b->p, b->n, JSON_ALLOW_NUL, NULL);
    json_t *from = json_loadb((const char *)other->p, other->n, JSON_ALLOW_NUL, NULL);
    for (size_t k = 1 + fuzz_draw(d, 3) * fuzz_draw(d, 2); root && k > 0; k--)
        fuzz_json_edit(d, root, from ? from : root);
    char *text = root ? json_dumps(root, JSON_REAL_PRECISION(17)) : NULL;
    if (text) fuzz_splice(b, 0, b->n, text, strlen(text));
    free(text);
    json_decref(root);
    json_decref(from);
    return root != NULL;
}

/* Line k, from 0, without its end. */
static inline size_t fuzz_line(const fuzz_bytes *b, size_t k, size_t *n)
{
    size_t at = 0;
    for (; k > 0; k--) {
        const unsigned char *end = memchr(b->p + at, '\n', b->n - at);
        at = end ? (size_t)(end - b->p) + 1 : b->n;
    }
    const unsigned char *end = memchr(b->p + at, '\n', b->n - at);
    *n = (end ? (size_t)(end - b->p) : b->n) - at;
    return at;
}

static inline void fuzz_lines_edit(fuzz_dice *d, fuzz_bytes *b)
{
    size_t lines = 1, n, m;
    for (size_t i = 0; i < b->n; i++) lines += b->p[i] == '\n';
    const size_t at = fuzz_line(b, fuzz_draw(d, lines), &n), from = fuzz_line(b, fuzz_draw(d, lines), &m);
    fuzz_bytes line = fuzz_copy(b->p + at, n), other = fuzz_copy(b->p + from, m);
    switch (fuzz_draw(d, 8)) {
    case 0: fuzz_splice(b, at, n, NULL, 0); break;
    case 1: fuzz_splice(b, at, n, other.p, other.n); break;
    default:
        fuzz_json_text(d, &line, &other);
        fuzz_splice(b, at, n, line.p, line.n);
    }
    free(line.p);
    free(other.p);
}

/* The header of safetensors, in step with the number in front of it. */
static inline void fuzz_tensors_put(fuzz_bytes *b, const void *header, size_t n)
{
    uint64_t had = 0;
    const uint64_t has = n;
    if (b->n >= 8) memcpy(&had, b->p, 8);
    fuzz_splice(b, 0, had > b->n - 8 ? b->n : (size_t)had + 8, header, n);
    fuzz_splice(b, 0, 0, &has, 8);
}

static inline void fuzz_tensors_edit(fuzz_dice *d, fuzz_bytes *b, const fuzz_bytes *other)
{
    uint64_t n = 0;
    if (b->n >= 8) memcpy(&n, b->p, 8);
    if (b->n < 8 || n > b->n - 8) return;
    fuzz_bytes header = fuzz_copy(b->p + 8, (size_t)n);
    if (fuzz_draw(d, 4)) fuzz_json_text(d, &header, &header);
    else fuzz_bytes_edit(d, &header, other, FUZZ_TEXT);
    fuzz_tensors_put(b, header.p, header.n);
    free(header.p);
}

/* What the round makes of `seed`; pieces may come from `other`. The caller frees it. */
static inline fuzz_bytes fuzz_mutate(fuzz_dice *d, fuzz_kind kind, const fuzz_bytes *seed, const fuzz_bytes *other)
{
    fuzz_bytes b = fuzz_copy(seed->p, seed->n);
    const bool by_structure = fuzz_draw(d, 4) > 0;
    if (by_structure && kind == FUZZ_JSON && fuzz_json_text(d, &b, other)) return b;
    if (by_structure && kind == FUZZ_LINES) fuzz_lines_edit(d, &b);
    else if (by_structure && kind == FUZZ_TENSORS) fuzz_tensors_edit(d, &b, other);
    else
        for (size_t k = 1 + fuzz_draw(d, 3) * fuzz_draw(d, 2); k > 0; k--) fuzz_bytes_edit(d, &b, other, kind);
    return b;
}
#endif
