/* replay_tokenizer.c - records of kind "tokenizer": ids with and without special tokens, pairs and their types, decoded
 * text. Exact; cases marked unicode_sensitive (the library's Unicode tables are of another age) are counted apart. */
#include "replay.h"
#include "token/token.h"

typedef struct {
    ul_ctx *ctx;
    const ul_tokenizer *t;
    ul_ids ids;
    ul_buf text;
    char first[600]; /* the first difference */
    int wrong;
} replay;

static void differ(replay *r, const char *what, size_t i, const char *fmt, ...) UL_PRINTF(4, 5);
static void differ(replay *r, const char *what, size_t i, const char *fmt, ...)
{
    if (r->wrong++) return;
    int n = snprintf(r->first, sizeof r->first, "%s %zu: ", what, i);
    va_list args;
    va_start(args, fmt);
    vsnprintf(r->first + n, sizeof r->first - (size_t)n, fmt, args);
    va_end(args);
}

static void same_ids(replay *r, const char *what, size_t i, const json_t *want, bool types)
{
    const size_t n = json_array_size(want);
    for (size_t k = 0; k < n && k < r->ids.n; k++) {
        const int64_t have = types ? r->ids.type[k] : r->ids.id[k], must = json_integer_value(json_array_get(want, k));
        if (have == must) continue;
        differ(r, what, i, "%s %zu is %lld, golden %lld", types ? "type" : "id", k, (long long)have, (long long)must);
        return;
    }
    if (n != r->ids.n) differ(r, what, i, "%zu ids, golden %zu", r->ids.n, n);
}

static void encode(replay *r, const char *what, size_t i, const json_t *c, const char *key, bool special)
{
    const json_t *text = json_object_get(c, "text"), *pair = json_object_get(c, "pair");
    const ul_status st = ul_encode_pair(r->ctx, r->t, json_string_value(text), json_string_length(text),
                                        json_string_value(pair), json_string_length(pair), special, &r->ids);
    if (st != UL_OK)
        differ(r, what, i, "%s", ul_error_text(r->ctx));
    else
        same_ids(r, what, i, json_object_get(c, key), false);
}

static void decode(replay *r, const char *what, size_t i, const json_t *ids, const json_t *want, bool skip)
{
    ul_ids_reset(&r->ids);
    for (size_t k = 0; k < json_array_size(ids); k++)
        if (ul_ids_add(&r->ids, (int32_t)json_integer_value(json_array_get(ids, k)), 0) != UL_OK) return;
    ul_buf_reset(&r->text);
    if (ul_decode(r->ctx, r->t, r->ids.id, r->ids.n, skip, &r->text) != UL_OK) {
        differ(r, what, i, "%s", ul_error_text(r->ctx));
        return;
    }
    const char *s = r->text.p ? r->text.p : "";
    if (r->text.n != json_string_length(want) || memcmp(s, json_string_value(want), r->text.n) != 0)
        differ(r, what, i, "decoded \"%.100s\", golden \"%.100s\"", s, json_string_value(want));
}

static void one_case(replay *r, size_t i, const json_t *c)
{
    encode(r, "case", i, c, "ids", true);
    encode(r, "plain case", i, c, "ids_plain", false);
    decode(r, "decoded case", i, json_object_get(c, "ids_plain"), json_object_get(c, "decoded"), true);
    decode(r, "decoded_all case", i, json_object_get(c, "ids"), json_object_get(c, "decoded_all"), false);
}

static int all_cases(replay *r, json_t *golden, char *message, size_t size)
{
    const json_t *c, *cases = json_object_get(golden, "cases"), *pairs = json_object_get(golden, "pairs");
    const json_t *decodes = json_object_get(golden, "decode_cases");
    size_t i, sensitive = 0, sensitive_wrong = 0;
    const int64_t v = json_integer_value(json_object_get(golden, "vocab_size")), have = ul_tokenizer_vocab(r->t, true);
    const json_t *without = json_object_get(golden, "vocab_size_without_added");
    if (v != have) differ(r, "vocab_size", 0, "%lld tokens, golden %lld", (long long)have, (long long)v);
    if (without && json_integer_value(without) != ul_tokenizer_vocab(r->t, false))
        differ(r, "vocab_size_without_added", 0, "%lld tokens, golden %lld", (long long)ul_tokenizer_vocab(r->t, false),
               (long long)json_integer_value(without));
    json_array_foreach(cases, i, c)
    {
        if (!json_is_true(json_object_get(c, "unicode_sensitive"))) {
            one_case(r, i, c);
            continue;
        }
        replay apart = *r;
        apart.wrong = 0;
        one_case(&apart, i, c);
        r->ids = apart.ids;
        r->text = apart.text;
        sensitive++;
        sensitive_wrong += apart.wrong > 0;
    }
    json_array_foreach(pairs, i, c)
    {
        encode(r, "pair", i, c, "ids", true);
        same_ids(r, "pair", i, json_object_get(c, "type_ids"), true);
    }
    json_array_foreach(decodes, i, c)
    {
        decode(r, "decode case", i, json_object_get(c, "ids"), json_object_get(c, "decoded"), true);
        decode(r, "decode_all case", i, json_object_get(c, "ids"), json_object_get(c, "decoded_all"), false);
    }
    const size_t total = json_array_size(cases) + json_array_size(pairs) + json_array_size(decodes);
    if (total == 0) differ(r, "record", 0, "has no cases");
    if (r->wrong)
        snprintf(message, size, "%d differences; %s", r->wrong, r->first);
    else
        snprintf(message, size, "%zu cases exact; unicode-sensitive: %zu of %zu differ", total - sensitive,
                 sensitive_wrong, sensitive);
    return r->wrong ? 1 : 0;
}

int ul_replay_tokenizer(ul_ctx *ctx, const char *record_dir, json_t *golden, char *message, size_t size)
{
    char path[4096];
    const char *given = json_string_value(json_object_get(golden, "tokenizer"));
    ul_tokenizer *t = NULL;
    if (!given) {
        snprintf(message, size, "golden.json names no tokenizer");
        return 1;
    }
    ul_replay_path(record_dir, given, path, sizeof path);
    if (ul_tokenizer_open(ctx, path, &t) != UL_OK) {
        snprintf(message, size, "%s", ul_error_text(ctx));
        return ul_tokenizer_unsupported(ctx) ? 2 : 1;
    }
    replay r = {.ctx = ctx, .t = t};
    ul_ids_init(&r.ids, ctx);
    ul_buf_init(&r.text, ctx, 1u << 28);
    const int result = all_cases(&r, golden, message, size);
    ul_ids_release(&r.ids);
    ul_buf_release(&r.text);
    ul_tokenizer_free(t);
    return result;
}
