/* test_token_parts.c - the tokenizer without shared data: each component against what the library gave
 * (components.json), merging against a naive loop, damage, mutation, memory that runs out, threads. */
#include "ul_test.h"
#include "token/token.h"
#include "io/io.h"
#include <pthread.h>

static const char *beside_me(ul_arena *arena, const char *name)
{
    const char *here = __FILE__;
    return ul_path_join(arena, ul_strndup(arena, here, (size_t)(ul_path_name(here) - here)), name);
}

static const char *put(ul_ctx *ctx, const char *dir, const char *name, const char *text)
{
    const char *path = ul_path_join(ul_ctx_arena(ctx), dir, name);
    FILE *f = fopen(path, "w"); /* no fsync: there are thousands */
    if (!f || fputs(text, f) < 0 || fclose(f) != 0) fail_msg("cannot write %s", path);
    return path;
}

static const char *save(ul_ctx *ctx, const char *text)
{
    static char folder[600];
    if (!folder[0]) snprintf(folder, sizeof folder, "%s", ul_test_folder("token"));
    return put(ctx, folder, "tokenizer.json", text);
}

/* The model of make_components.py. */
static json_t *byte_model(void)
{
    json_t *vocab = json_object();
    for (int b = 0; b < 256; b++) {
        char name[8];
        snprintf(name, sizeof name, "<0x%02X>", b);
        json_object_set_new(vocab, name, json_integer(b));
    }
    json_object_set_new(vocab, "<unk>", json_integer(256));
    return json_pack("{s:s, s:s, s:b, s:s, s:o, s:[]}", "type", "BPE", "unk_token", "<unk>", "byte_fallback", 1,
                     "continuing_subword_prefix", "\1", "vocab", vocab, "merges");
}

static void check_ids(const char *what, size_t i, const char *text, const ul_ids *ids, const json_t *want, bool types)
{
    assert_true(json_is_array(want));
    if (ids->n != json_array_size(want))
        fail_msg("%s %zu \"%s\": %zu ids, not %zu", what, i, text, ids->n, json_array_size(want));
    for (size_t k = 0; k < ids->n; k++) {
        const int64_t w = json_integer_value(json_array_get(want, k)), have = types ? ids->type[k] : ids->id[k];
        if (w != have)
            fail_msg("%s %zu \"%s\" place %zu: %lld, not %lld", what, i, text, k, (long long)have, (long long)w);
    }
}

static void test_components(void **state)
{
    (void)state;
    ul_ctx *ctx = ul_test_ctx();
    ul_arena *arena = ul_ctx_arena(ctx);
    json_t *root, *each, *c, *model = byte_model();
    size_t i, k;
    ul_ids ids;
    ul_buf text;
    ul_ids_init(&ids, ctx);
    ul_buf_init(&text, ctx, 1 << 20);
    UL_OK_IN(ctx, ul_json_load(ctx, arena, beside_me(arena, "components.json"), &root));
    json_array_foreach(json_object_get(root, "tokenizers"), i, each)
    {
        ul_tokenizer *t;
        json_object_set(each, "model", model);
        char *file = json_dumps(each, 0);
        UL_OK_IN(ctx, ul_tokenizer_open(ctx, save(ctx, file), &t));
        json_array_foreach(json_object_get(each, "cases"), k, c)
        {
            const char *s = json_string_value(json_object_get(c, "text")),
                       *d = json_string_value(json_object_get(c, "decoded"));
            if (json_object_get(c, "pair_ids")) {
                UL_OK_IN(ctx, ul_encode_pair(ctx, t, s, strlen(s), "p Q", 3, true, &ids));
                check_ids("pair of tokenizer", i, s, &ids, json_object_get(c, "pair_ids"), false);
                check_ids("types of tokenizer", i, s, &ids, json_object_get(c, "pair_types"), true);
            }
            UL_OK_IN(ctx, ul_encode(ctx, t, s, strlen(s), true, &ids));
            check_ids("tokenizer", i, s, &ids, json_object_get(c, "ids"), false);
            ul_buf_reset(&text);
            UL_OK_IN(ctx, ul_decode(ctx, t, ids.id, ids.n, true, &text));
            if (d && strcmp(text.p ? text.p : "", d) != 0)
                fail_msg("tokenizer %zu decodes \"%s\", not \"%s\"", i, text.p, d);
        }
        free(file);
        ul_tokenizer_free(t);
    }
    assert_true(i > 50);
    json_decref(model);
    ul_ids_release(&ids);
    ul_buf_release(&text);
    ul_ctx_free(ctx);
}

/* ---- merging ---------------------------------------------------------------------------------------------------- */
enum { LETTERS = 4, TOKENS = 60, WORD = 700 };
typedef struct {
    char text[TOKENS][64];
    int left[TOKENS], right[TOKENS];
    int n;
} merges;

static int find(const merges *m, const char *s)
{
    for (int i = 0; i < m->n; i++)
        if (strcmp(m->text[i], s) == 0) return i;
    return -1;
}

/* Random merges of what is there; a pair may make a token that another pair makes too. */
static void invent(merges *m, uint64_t seed, char *json, size_t size)
{
    size_t at = 0;
    m->n = LETTERS;
    for (int i = 0; i < LETTERS; i++) snprintf(m->text[i], sizeof m->text[i], "%c", 'a' + i);
    for (uint64_t k = 0; m->n < TOKENS && k < 4000; k++) {
        const int a = (int)ul_rng_below(seed, UL_STREAM_TEST, k, 0, (uint64_t)m->n);
        const int b = (int)ul_rng_below(seed, UL_STREAM_TEST, k, 1, (uint64_t)m->n);
        char s[160];
        snprintf(s, sizeof s, "%s%s", m->text[a], m->text[b]);
        if (strlen(s) > 12 || find(m, s) >= 0) continue;
        snprintf(m->text[m->n], sizeof m->text[0], "%.12s", s);
        m->left[m->n] = a;
        m->right[m->n++] = b;
    }
    at += (size_t)snprintf(json, size, "{\"model\": {\"type\": \"BPE\", \"vocab\": {");
    for (int i = 0; i < m->n; i++)
        at += (size_t)snprintf(json + at, size - at, "%s\"%s\": %d", i ? ", " : "", m->text[i], i);
    at += (size_t)snprintf(json + at, size - at, "}, \"merges\": [");
    for (int i = LETTERS; i < m->n; i++)
        at += (size_t)snprintf(json + at, size - at, "%s\"%s %s\"", i > LETTERS ? ", " : "", m->text[m->left[i]],
                               m->text[m->right[i]]);
    snprintf(json + at, size - at, "]}}");
}

static size_t merge_naively(const merges *m, int32_t *id, size_t n)
{
    for (;;) {
        int best = m->n;
        size_t at = 0;
        for (size_t i = 0; i + 1 < n; i++)
            for (int k = LETTERS; k < best; k++)
                if (m->left[k] == id[i] && m->right[k] == id[i + 1]) best = k, at = i;
        if (best == m->n) return n;
        id[at] = best;
        memmove(id + at + 1, id + at + 2, (n - at - 2) * sizeof *id);
        n--;
    }
}

static void test_merging(void **state)
{
    (void)state;
    ul_ctx *ctx = ul_test_ctx();
    ul_ids ids;
    ul_ids_init(&ids, ctx);
    for (uint64_t seed = 0; seed < 60; seed++) {
        merges m;
        char json[16384], word[WORD + 1];
        int32_t want[WORD];
        ul_tokenizer *t;
        invent(&m, seed, json, sizeof json);
        UL_OK_IN(ctx, ul_tokenizer_open(ctx, save(ctx, json), &t));
        for (uint64_t k = 0; k < 40; k++) {
            const size_t n = 1 + (size_t)ul_rng_below(seed, UL_STREAM_TEST, 5000 + k, 0, k % 4 ? 40 : WORD);
            for (size_t i = 0; i < n; i++) {
                word[i] = (char)('a' + ul_rng_below(seed, UL_STREAM_TEST, 5000 + k, 1 + i, k % 3 ? LETTERS : 2));
                want[i] = word[i] - 'a';
            }
            UL_OK_IN(ctx, ul_encode(ctx, t, word, n, false, &ids));
            const size_t left = merge_naively(&m, want, n);
            if (left != ids.n || memcmp(want, ids.id, left * sizeof *want) != 0)
                fail_msg("seed %d word %.*s: %zu tokens, naively %zu", (int)seed, (int)n, word, ids.n, left);
        }
        ul_tokenizer_free(t);
    }
    ul_ids_release(&ids);
    ul_ctx_free(ctx);
}

/* 2^20 equal letters, one word, merges that double: quadratic work would take hours. */
static void test_long_word(void **state)
{
    (void)state;
    enum { N = 1 << 20 };
    ul_ctx *ctx = ul_test_ctx();
    ul_tokenizer *t;
    ul_ids ids;
    ul_ids_init(&ids, ctx);
    char *word = malloc(N);
    memset(word, 'a', N);
    UL_OK_IN(ctx, ul_tokenizer_open(
                      ctx,
                      save(ctx, "{\"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": 0, \"aa\": 1, \"aaaa\": 2},"
                                " \"merges\": [[\"a\", \"a\"], [\"aa\", \"aa\"]]}}"),
                      &t));
    UL_OK_IN(ctx, ul_encode(ctx, t, word, N, false, &ids));
    assert_int_equal(ids.n, N / 4);
    UL_OK_IN(ctx, ul_encode(ctx, t, word, N - 1, false, &ids));
    assert_int_equal(ids.n, N / 4 - 1 + 2);
    assert_int_equal(ids.id[ids.n - 1], 0);
    free(word);
    ul_tokenizer_free(t);
    ul_ids_release(&ids);
    ul_ctx_free(ctx);
}

/* The words of Sennrich et al.'s Algorithm 1 as often as there; no end-of-word sign: the space stands before. */
static void test_learn(void **state)
{
    (void)state;
    ul_ctx *ctx = ul_test_ctx();
    enum { TIMES = 16 };
    static const char *const w[TIMES] = {"low",    "low",    "low",    "low",    "low",    "lower",
                                         "lower",  "newest", "newest", "newest", "newest", "newest",
                                         "newest", "widest", "widest", "widest"};
    static const char *const merged[] = {"es", "est", "lo", "low", "ew", "new"};
    const char *dir = ul_test_folder("learnt");
    ul_tokenizer *t;
    ul_ids ids;
    ul_buf text;
    ul_ids_init(&ids, ctx);
    ul_buf_init(&text, ctx, 1 << 20);
    UL_OK_IN(ctx, ul_bpe_learn(ctx, dir, w, TIMES, 4));
    UL_OK_IN(ctx, ul_tokenizer_open(ctx, dir, &t));
    assert_int_equal(ul_tokenizer_vocab(t, true), 4 + 256 + 4);
    for (int i = 0; i < 4; i++) assert_string_equal(ul_token_text(t, 260 + i, NULL), merged[i]);
    static const char given[] = "lowest day: 1\xC3\xA9<eos>"; /* low est " " d a y : " " 1 and a letter of two bytes */
    UL_OK_IN(ctx, ul_encode(ctx, t, given, sizeof given - 1, true, &ids));
    assert_int_equal(ids.n, 1 + 2 + 4 + 1 + 2 + 2 + 1);
    assert_true(ids.id[0] == 1 && ids.id[1] == 263 && ids.id[2] == 261 && ids.id[12] == 2);
    UL_OK_IN(ctx, ul_decode(ctx, t, ids.id, ids.n, true, &text));
    assert_string_equal(text.p, "lowest day: 1\xC3\xA9");
    ul_tokenizer_free(t);
    UL_OK_IN(ctx, ul_bpe_learn(ctx, dir, w, TIMES, 2000)); /* ends when no pair stands twice */
    UL_OK_IN(ctx, ul_tokenizer_open(ctx, dir, &t));
    for (int i = 0; i < 6; i++) assert_string_equal(ul_token_text(t, 260 + i, NULL), merged[i]);
    assert_true(ul_tokenizer_vocab(t, true) < 300 && ul_token_id(t, "newest", 6) > 0 &&
                ul_token_id(t, "widest", 6) > 0);
    ul_tokenizer_free(t);
    UL_FAILS_IN(ctx, UL_E_USAGE, "2001 merges", ul_bpe_learn(ctx, dir, w, TIMES, 2001));
    ul_buf_release(&text);
    ul_ids_release(&ids);
    ul_ctx_free(ctx);
}

/* ---- small things ----------------------------------------------------------------------------------------------- */
static void test_wordlevel(void **state)
{
    (void)state;
    ul_ctx *ctx = ul_test_ctx();
    static const char *const words[] = {"anna", "lives", "in", "oslo", ".", "é1"};
    static const char *const twice[] = {"a", "b", "a"}, *const mixed[] = {"don't"}, *const empty[] = {""};
    const char *dir = ul_test_folder("wordlevel");
    ul_tokenizer *t;
    ul_ids ids;
    ul_buf text;
    ul_ids_init(&ids, ctx);
    ul_buf_init(&text, ctx, 1 << 20);
    UL_OK_IN(ctx, ul_wordlevel_write(ctx, dir, words, 6));
    UL_OK_IN(ctx, ul_tokenizer_open(ctx, dir, &t));
    assert_int_equal(ul_tokenizer_vocab(t, true), 10);
    assert_int_equal(ul_tokenizer_max_id(t), 9);
    const ul_special_ids s = ul_tokenizer_special(t);
    assert_true(s.pad == 0 && s.bos == 1 && s.eos == 2 && s.unk == 3);
    static const char given[] = "anna lives\nin\t bergen.é1<eos>";
    UL_OK_IN(ctx, ul_encode(ctx, t, given, sizeof given - 1, true, &ids));
    static const int32_t want[] = {1, 4, 5, 6, 3, 8, 9, 2};
    assert_int_equal(ids.n, 8);
    assert_memory_equal(ids.id, want, sizeof want);
    UL_OK_IN(ctx, ul_decode(ctx, t, ids.id, ids.n, true, &text));
    assert_string_equal(text.p, "anna lives in . é1");
    assert_int_equal(ul_token_id(t, "oslo", 4), 7);
    assert_int_equal(ul_token_id(t, "bergen", 6), -1);
    assert_string_equal(ul_token_text(t, 7, NULL), "oslo");
    assert_null(ul_token_text(t, 10, NULL));
    assert_true(ul_token_special(t, 3) && !ul_token_special(t, 4));
    UL_FAILS_IN(ctx, UL_E_INPUT, "in the list already", ul_wordlevel_write(ctx, dir, twice, 3));
    UL_FAILS_IN(ctx, UL_E_INPUT, "don't", ul_wordlevel_write(ctx, dir, mixed, 1));
    UL_FAILS_IN(ctx, UL_E_INPUT, "word 0", ul_wordlevel_write(ctx, dir, empty, 1));
    UL_FAILS_IN(ctx, UL_E_INPUT, "byte 3 of 5", ul_encode(ctx, t, "ab \xFF!", 5, true, &ids));
    UL_FAILS_IN(ctx, UL_E_INPUT, "byte 0 of 3", ul_encode(ctx, t, "\xED\xA0\x80", 3, true, &ids));
    ul_tokenizer_free(t);

    /* the three files that name special tokens, in their order */
    put(ctx, dir, "tokenizer_config.json", "{\"bos_token\": {\"content\": \"in\"}}");
    put(ctx, dir, "special_tokens_map.json", "{\"bos_token\": \".\", \"pad_token\": \".\"}");
    put(ctx, dir, "generation_config.json", "{\"eos_token_id\": [5, 2], \"pad_token_id\": 4}");
    UL_OK_IN(ctx, ul_tokenizer_open(ctx, dir, &t));
    const ul_special_ids m = ul_tokenizer_special(t);
    assert_true(m.bos == 6 && m.pad == 8 && m.eos == 5 && m.unk == 3);
    ul_tokenizer_free(t);
    ul_ids_release(&ids);
    ul_buf_release(&text);
    ul_ctx_free(ctx);
}

/* A pattern that backtracks exponentially ends with an error, not never. */
static void test_backtracking(void **state)
{
    (void)state;
    ul_ctx *ctx = ul_test_ctx();
    ul_tokenizer *t;
    ul_ids ids;
    ul_ids_init(&ids, ctx);
    const char *path =
        save(ctx, "{\"pre_tokenizer\": {\"type\": \"Split\", \"pattern\": {\"Regex\": \"(a|aa|aaa)+$\"}, "
                  "\"behavior\": \"Isolated\", \"invert\": false}, \"model\": {\"type\": \"WordLevel\", "
                  "\"vocab\": {\"u\": 0}, \"unk_token\": \"u\"}}");
    UL_OK_IN(ctx, ul_tokenizer_open(ctx, path, &t));
    UL_OK_IN(ctx, ul_encode(ctx, t, "aaa", 3, false, &ids));
    static const char text[] = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab";
    UL_FAILS_IN(ctx, UL_E_INPUT, "gave up at byte 0", ul_encode(ctx, t, text, sizeof text - 1, false, &ids));
    ul_tokenizer_free(t);
    ul_ids_release(&ids);
    ul_ctx_free(ctx);
}

static void test_clean(void **state)
{
    (void)state;
    /* rules run one after another over the whole text: the quotes go before "n't" is looked at */
    char text[] = " a . b , c ? d ! e ' f do n't I 'm it 's we 've you 're .";
    const size_t n = ul_decode_clean(text, strlen(text));
    text[n] = 0;
    assert_string_equal(text, " a. b, c? d! e'f don't I'm it's we've you're.");
}

/* ---- damage ----------------------------------------------------------------------------------------------------- */
#define MODEL(inside) "{\"model\": {\"type\": \"BPE\", " inside "}}"
#define WITH(stage)                                                                                                    \
    "{" stage ", \"model\": {\"type\": \"WordLevel\", \"vocab\": {\"a\": 0, \"<u>\": 1}, \"unk_token\": \"<u>\"}}"

static void test_damage(void **state)
{
    (void)state;
    static const struct {
        const char *json, *message;
        bool unsupported;
    } cases[] = {
        {"[]", "must be an object", false},
        {"{}", "\"model\"", false},
        {"{\"model\": {\"type\": \"Bag\", \"vocab\": {}}}", "model Bag: this type", true},
        {MODEL("\"vocab\": 3, \"merges\": []"), "\"vocab\" must be an object", false},
        {MODEL("\"vocab\": {\"a\": 4000000000}, \"merges\": []"), "token \"a\" needs an id", false},
        {MODEL("\"vocab\": {\"a\": -1}, \"merges\": []"), "token \"a\" needs an id", false},
        {MODEL("\"vocab\": {\"a\": \"x\"}, \"merges\": []"), "token \"a\" needs an id", false},
        {MODEL("\"vocab\": {\"a\": 0}"), "\"merges\" must be an array", false},
        {MODEL("\"vocab\": {\"a\": 0}, \"merges\": [\"a b\"]"), "merge 0 names \"b\"", false},
        {MODEL("\"vocab\": {\"a\": 0}, \"merges\": [\"a a\"]"), "merge 0 makes \"aa\"", false},
        {MODEL("\"vocab\": {\"a\": 0}, \"merges\": [\"a\"]"), "merge 0 \"a\" must be two tokens", false},
        {MODEL("\"vocab\": {\"a\": 0, \"aa\": 1}, \"merges\": [\"a a\", [\"a\", \"a\"]]"), "merge 1 is of another kind",
         false},
        {MODEL("\"vocab\": {\"\\u0000\": 0}, \"merges\": []"), "NUL byte in a token", true},
        {WITH("\"normalizer\": {\"type\": \"Shorten\"}"), "type \"Shorten\"", true},
        {WITH("\"normalizer\": {\"type\": \"Precompiled\", \"precompiled_charsmap\": \"CAAAAA==\"}"),
         "has 4 bytes, its trie needs 12", false},
        {WITH("\"normalizer\": {\"type\": \"Strip\"}"), "normalizer Strip: \"strip_left\"", false},
        {WITH("\"normalizer\": {\"type\": \"Sequence\"}"), "\"normalizers\" must be an array", false},
        {WITH("\"pre_tokenizer\": {\"type\": \"UnicodeScripts\"}"), "UnicodeScripts", true},
        {WITH("\"pre_tokenizer\": {\"type\": \"Split\", \"pattern\": {\"Regex\": \"(\"}, \"behavior\": \"Isolated\", "
              "\"invert\": false}"),
         "regular expression", true},
        {WITH("\"pre_tokenizer\": {\"type\": \"Split\", \"pattern\": {\"Regex\": \"[a&&b]\"}, \"behavior\": "
              "\"Isolated\", \"invert\": false}"),
         "&&", true},
        {WITH("\"pre_tokenizer\": {\"type\": \"Split\", \"pattern\": \"a\", \"behavior\": \"Isolated\", \"invert\": "
              "false}"),
         "\"pattern\"", false},
        {WITH("\"pre_tokenizer\": {\"type\": \"Punctuation\", \"behavior\": \"Odd\"}"), "\"behavior\" is \"Odd\"",
         false},
        {WITH("\"decoder\": {\"type\": \"CTC\"}"), "CTC", true},
        {WITH("\"post_processor\": {\"type\": \"TemplateProcessing\", \"single\": [{\"SpecialToken\": {\"id\": \"x\", "
              "\"type_id\": 0}}], \"pair\": [], \"special_tokens\": {}}"),
         "lacks \"x\"", false},
        {WITH("\"post_processor\": {\"type\": \"TemplateProcessing\", \"single\": [{\"Sequence\": {\"id\": \"B\", "
              "\"type_id\": 0}}], \"pair\": [], \"special_tokens\": {}}"),
         "no sequence \"B\"", false},
        {WITH("\"added_tokens\": [{\"id\": 0}]"), "added_tokens: \"content\"", false},
        {WITH("\"added_tokens\": 7"), "added_tokens: must be an array", false}};
    ul_ctx *ctx = ul_test_ctx();
    ul_tokenizer *t = (void *)1;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        UL_FAILS_IN(ctx, UL_E_INPUT, cases[i].message, ul_tokenizer_open(ctx, save(ctx, cases[i].json), &t));
        assert_null(t);
        assert_non_null(strstr(ul_error_text(ctx), "tokenizer.json"));
        if (ul_tokenizer_unsupported(ctx) != cases[i].unsupported)
            fail_msg("unsupported or not: %s", ul_error_text(ctx));
    }
    UL_FAILS_IN(ctx, UL_E_INPUT, "nowhere", ul_tokenizer_open(ctx, "/nowhere", &t));
    ul_ctx_free(ctx);
}

/* One of everything. */
static const char rich[] =
    "{\"version\": \"1.0\", \"added_tokens\": [{\"id\": 2, \"content\": \"<s>\", \"single_word\": false, \"lstrip\": "
    "true, \"rstrip\": true, "
    "\"normalized\": false, \"special\": true}, {\"id\": 9, \"content\": \"The\", \"single_word\": true, \"lstrip\": "
    "false, "
    "\"rstrip\": false, \"normalized\": true, \"special\": false}], \"normalizer\": {\"type\": \"Sequence\", "
    "\"normalizers\": "
    "[{\"type\": \"NFKC\"}, {\"type\": \"Replace\", \"pattern\": {\"Regex\": \" {2,}\"}, \"content\": \" \"}, "
    "{\"type\": \"Lowercase\"}]}, "
    "\"pre_tokenizer\": {\"type\": \"Sequence\", \"pretokenizers\": [{\"type\": \"Split\", \"pattern\": {\"Regex\": "
    "\"(?i:'s|'t)|[^\\\\r\\\\n\\\\p{L}]?\\\\p{L}+|\\\\s+(?!\\\\S)|\\\\s+\"}, \"behavior\": \"MergedWithNext\", "
    "\"invert\": false}, {\"type\": "
    "\"ByteLevel\", \"add_prefix_space\": true, \"use_regex\": true}, {\"type\": \"Metaspace\", \"replacement\": "
    "\"_\", "
    "\"prepend_scheme\": \"first\", \"split\": true}]}, \"post_processor\": {\"type\": \"TemplateProcessing\", "
    "\"single\": "
    "[{\"SpecialToken\": {\"id\": \"<s>\", \"type_id\": 0}}, {\"Sequence\": {\"id\": \"A\", \"type_id\": 0}}], "
    "\"pair\": [{\"Sequence\": "
    "{\"id\": \"A\", \"type_id\": 0}}, {\"Sequence\": {\"id\": \"B\", \"type_id\": 1}}], \"special_tokens\": {\"<s>\": "
    "{\"id\": \"<s>\", "
    "\"ids\": [2], \"tokens\": [\"<s>\"]}}}, \"decoder\": {\"type\": \"Sequence\", \"decoders\": [{\"type\": "
    "\"Replace\", \"pattern\": "
    "{\"String\": \"_\"}, \"content\": \" \"}, {\"type\": \"ByteFallback\"}, {\"type\": \"Strip\", \"content\": \" \", "
    "\"start\": 1, "
    "\"stop\": 1}]}, \"model\": {\"type\": \"BPE\", \"unk_token\": \"<unk>\", \"fuse_unk\": true, \"byte_fallback\": "
    "true, "
    "\"vocab\": {\"<unk>\": 0, \"t\": 1, \"<s>\": 2, \"h\": 3, \"th\": 4, \"e\": 5, \"the\": 6, \"_\": 7, \"<0x0A>\": "
    "8}, "
    "\"merges\": [\"t h\", \"th e\"]}}";
static const char sample[] = "  The cat's  <s> THE\tend\n\xC3\x84\xE2\x82\xAC the the_the ";

/* Opens; what opens must encode and decode without harm. Returns the status of the first call that failed. */
static ul_status try_all(ul_ctx *ctx, const char *path)
{
    ul_tokenizer *t;
    ul_ids ids;
    ul_buf text;
    ul_status st = ul_tokenizer_open(ctx, path, &t);
    if (st != UL_OK) return st;
    ul_ids_init(&ids, ctx);
    ul_buf_init(&text, ctx, 1 << 20);
    st = ul_encode_pair(ctx, t, sample, sizeof sample - 1, "the\nend", 7, true, &ids);
    if (st == UL_OK) st = ul_encode(ctx, t, sample, sizeof sample - 1, true, &ids);
    if (st == UL_OK) st = ul_decode(ctx, t, ids.id, ids.n, false, &text);
    ul_ids_release(&ids);
    ul_buf_release(&text);
    ul_tokenizer_free(t);
    return st;
}

static void test_mutation(void **state)
{
    (void)state;
    static const char *const pieces[] = {"\"",  "{",           "}",    "[",  "]", ",", ":",     "null",   "-1",
                                         "1e9", "99999999999", "true", "\\", "(", "+", "{2,}+", "\\u0000"};
    ul_ctx *ctx = ul_test_ctx();
    int opened = 0;
    UL_OK_IN(ctx, try_all(ctx, save(ctx, rich)));
    for (uint64_t k = 0; k < 700; k++) {
        char text[sizeof rich + 128];
        memcpy(text, rich, sizeof rich);
        size_t n = sizeof rich - 1;
        const uint64_t edits = 1 + ul_rng_below(1, UL_STREAM_TEST, k, 0, 3);
        for (uint64_t e = 0; e < edits; e++) {
            const size_t at = (size_t)ul_rng_below(1, UL_STREAM_TEST, k, 10 * e + 1, n);
            const char *p = pieces[ul_rng_below(1, UL_STREAM_TEST, k, 10 * e + 2, sizeof pieces / sizeof *pieces)];
            const size_t len = strlen(p), cut = (size_t)ul_rng_below(1, UL_STREAM_TEST, k, 10 * e + 3, 4);
            const uint64_t kind = ul_rng_below(1, UL_STREAM_TEST, k, 10 * e + 4, 3);
            if (kind == 0) {
                text[at] = (char)(32 + ul_rng_below(1, UL_STREAM_TEST, k, 10 * e + 5, 95));
            } else if (kind == 1 && at + cut < n) {
                memmove(text + at, text + at + cut, n - at - cut + 1);
                n -= cut;
            } else if (n + len < sizeof text) {
                memmove(text + at + len, text + at, n - at + 1);
                memcpy(text + at, p, len);
                n += len;
            }
        }
        const ul_status st = try_all(ctx, save(ctx, text));
        if (st != UL_OK && st != UL_E_INPUT)
            fail_msg("mutation %d: status %d: %s", (int)k, (int)st, ul_error_text(ctx));
        opened += st == UL_OK;
    }
    assert_true(opened > 25);
    ul_ctx_free(ctx);
}

static void test_no_memory(void **state)
{
    (void)state;
    ul_ctx *ctx = ul_test_ctx();
    const char *path = save(ctx, rich);
    ul_status st = UL_E_RESOURCE;
    int64_t k = 0;
    while (st != UL_OK && k < 2000) {
        ul_fault_set(ctx, UL_FAULT_ALLOC, ++k);
        st = try_all(ctx, path);
        if (st != UL_OK && st != UL_E_RESOURCE)
            fail_msg("allocation %d: status %d: %s", (int)k, (int)st, ul_error_text(ctx));
    }
    assert_true(k > 10 && k < 2000);
    ul_ctx_free(ctx);
}

/* ---- threads ---------------------------------------------------------------------------------------------------- */
typedef struct {
    const ul_tokenizer *t;
    int32_t sum;
} job;

static void *encode_often(void *arg)
{
    job *j = arg;
    ul_ctx *ctx = NULL;
    ul_ids ids;
    if (ul_ctx_new(NULL, &ctx) != UL_OK) return NULL;
    ul_ids_init(&ids, ctx);
    for (int k = 0; k < 200; k++) {
        if (ul_encode(ctx, j->t, sample, sizeof sample - 1, true, &ids) != UL_OK) break;
        for (size_t i = 0; i < ids.n; i++) j->sum += ids.id[i] * (int32_t)(i + 1);
    }
    ul_ids_release(&ids);
    ul_ctx_free(ctx);
    return NULL;
}

static void test_threads(void **state)
{
    (void)state;
    ul_ctx *ctx = ul_test_ctx();
    ul_tokenizer *t;
    UL_OK_IN(ctx, ul_tokenizer_open(ctx, save(ctx, rich), &t));
    pthread_t thread[3];
    job jobs[4] = {{t, 0}, {t, 0}, {t, 0}, {t, 0}};
    for (int i = 0; i < 3; i++) assert_int_equal(pthread_create(&thread[i], NULL, encode_often, &jobs[i]), 0);
    encode_often(&jobs[3]);
    for (int i = 0; i < 3; i++) pthread_join(thread[i], NULL);
    for (int i = 0; i < 3; i++) assert_int_equal(jobs[i].sum, jobs[3].sum);
    assert_true(jobs[3].sum > 0);
    ul_tokenizer_free(t);
    ul_ctx_free(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_components), cmocka_unit_test(test_merging), cmocka_unit_test(test_long_word),
        cmocka_unit_test(test_wordlevel),  cmocka_unit_test(test_clean),   cmocka_unit_test(test_backtracking),
        cmocka_unit_test(test_damage),     cmocka_unit_test(test_learn),   cmocka_unit_test(test_mutation),
        cmocka_unit_test(test_no_memory),  cmocka_unit_test(test_threads)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
