/* learn.c - a byte-level BPE vocabulary learnt from text (Sennrich et al., arXiv 1508.07909, Algorithm 1; on bytes
 * as in GPT-2): the pair of neighbouring tokens that the words hold most often becomes a token, again and again.
 * A tie goes to the pair of the older tokens.
 *
 *   words: a run of letters, of digits, or of other signs, with the one space before it, if there is one */
#include "parts.h"
#include <string.h>

enum { BYTES = 256, MOST_MERGES = 2000 };
typedef struct {
    int32_t *token;
    size_t n;
    int64_t times;
} word;
typedef struct {
    ul_ctx *ctx;
    ul_arena *arena;
    json_t *index; /* word -> its place in at */
    word *at;
    size_t n, cap;
    const char **text; /* [n_token] as the file spells it: a character a byte */
    json_t *merges;
} learner;

static int class_of(char c)
{
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (unsigned char)c >= 0x80) return 1;
    return c >= '0' && c <= '9' ? 2 : c == ' ' ? 3 : 4;
}

static ul_status add_word(learner *l, const char *s, size_t n)
{
    const char *key = ul_strndup(l->arena, s, n);
    UL_NEED(key);
    const json_t *known = json_object_get(l->index, key);
    if (known) {
        l->at[json_integer_value(known)].times++;
        return UL_OK;
    }
    if (l->n == l->cap) {
        word *more = UL_NEW(l->arena, word, l->cap = l->cap ? 2 * l->cap : 512);
        UL_NEED(more);
        if (l->n) memcpy(more, l->at, l->n * sizeof *more);
        l->at = more;
    }
    word *w = &l->at[l->n];
    *w = (word){UL_NEW(l->arena, int32_t, n), n, 1};
    UL_NEED(w->token);
    for (size_t i = 0; i < n; i++) w->token[i] = (unsigned char)s[i];
    if (json_object_set_new(l->index, key, json_integer((json_int_t)l->n++)))
        return ul_fail(l->ctx, UL_E_RESOURCE, "no memory for words");
    return UL_OK;
}

static ul_status add_text(learner *l, const char *s)
{
    while (*s) {
        size_t n = *s == ' ' && s[1] && s[1] != ' ';
        const int kind = class_of(s[n]);
        for (n++; s[n] && class_of(s[n]) == kind; n++) {}
        UL_TRY(add_word(l, s, n));
        s += n;
    }
    return UL_OK;
}

/* times [n x n]: how often the words hold a pair. */
static void count(const learner *l, int64_t n, int64_t *times)
{
    memset(times, 0, (size_t)(n * n) * sizeof *times);
    for (size_t i = 0; i < l->n; i++)
        for (size_t k = 1; k < l->at[i].n; k++) times[l->at[i].token[k - 1] * n + l->at[i].token[k]] += l->at[i].times;
}

static void join(word *w, int32_t a, int32_t b, int32_t made)
{
    size_t to = 0;
    for (size_t k = 0; k < w->n; k++, to++) {
        const bool pair = k + 1 < w->n && w->token[k] == a && w->token[k + 1] == b;
        w->token[to] = pair ? made : w->token[k];
        k += pair;
    }
    w->n = to;
}

static ul_status learn(learner *l, int32_t n_merge, int32_t *n_token)
{
    const int64_t n = BYTES + n_merge;
    int64_t *times = UL_NEW(l->arena, int64_t, n * n);
    UL_NEED(times);
    for (*n_token = BYTES; *n_token < n; ++*n_token) {
        int64_t best = 0;
        count(l, n, times);
        for (int64_t i = 1; i < n * n; i++)
            if (times[i] > times[best]) best = i;
        if (times[best] < 2) break; /* what stands once teaches nothing */
        const int32_t a = (int32_t)(best / n), b = (int32_t)(best % n);
        for (size_t i = 0; i < l->n; i++) join(&l->at[i], a, b, *n_token);
        UL_NEED(l->text[*n_token] = ul_format(l->arena, "%s%s", l->text[a], l->text[b]));
        const char *merge = ul_format(l->arena, "%s %s", l->text[a], l->text[b]);
        UL_NEED(merge);
        if (json_array_append_new(l->merges, json_string(merge)))
            return ul_fail(l->ctx, UL_E_RESOURCE, "no memory for merges");
    }
    return UL_OK;
}

static ul_status run(learner *l, const char *const *texts, size_t n, int32_t n_merge, json_t *vocab)
{
    int32_t n_token;
    UL_NEED(l->text = UL_NEW(l->arena, const char *, BYTES + n_merge));
    for (int i = 0; i < BYTES; i++) {
        char c[4];
        const size_t bytes = ul_utf8_set(ul_byte_char((uint8_t)i), c);
        UL_NEED(l->text[i] = ul_strndup(l->arena, c, bytes));
    }
    for (size_t i = 0; i < n; i++) UL_TRY(add_text(l, texts[i]));
    UL_TRY(learn(l, n_merge, &n_token));
    for (int i = 0; i < UL_FRESH_SPECIALS; i++) json_object_set_new(vocab, ul_fresh_specials[i], json_integer(i));
    for (int i = 0; i < n_token; i++)
        if (json_object_set_new(vocab, l->text[i], json_integer(UL_FRESH_SPECIALS + i)))
            return ul_fail(l->ctx, UL_E_RESOURCE, "no memory for a vocabulary of %d tokens", (int)n_token);
    return UL_OK;
}

ul_status ul_bpe_learn(ul_ctx *ctx, const char *dir, const char *const *texts, size_t n, int32_t n_merge)
{
    if (n_merge < 0 || n_merge > MOST_MERGES)
        return ul_fail(ctx, UL_E_USAGE, "a BPE vocabulary of %d merges: 0 to %d are learnt here", (int)n_merge,
                       MOST_MERGES);
    learner l = {.ctx = ctx, .merges = json_array()};
    json_t *vocab = json_object();
    ul_status s = ul_arena_new(ctx, "learning a vocabulary", &l.arena);
    if (s == UL_OK) s = ul_json_own(l.arena, l.index = json_object());
    if (s == UL_OK) s = run(&l, texts, n, n_merge, vocab);
    json_t *model =
        json_pack("{s:s, s:n, s:n, s:n, s:n, s:b, s:o, s:o}", "type", "BPE", "dropout", "unk_token",
                  "continuing_subword_prefix", "end_of_word_suffix", "fuse_unk", 0, "vocab", vocab, "merges", l.merges);
    ul_arena_free(l.arena);
    if (s == UL_OK)
        return ul_fresh_write(ctx, dir, model,
                              json_pack("{s:s, s:b, s:b, s:b}", "type", "ByteLevel", "add_prefix_space", 0,
                                        "trim_offsets", 1, "use_regex", 1),
                              json_pack("{s:s, s:b, s:b, s:b}", "type", "ByteLevel", "add_prefix_space", 1,
                                        "trim_offsets", 1, "use_regex", 1));
    json_decref(model);
    return s;
}
