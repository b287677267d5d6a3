/* wordlevel.c - a tokenizer for a closed list of words, written as a tokenizer.json that the tokenizers library
 * reads. */
#include "parts.h"
#include <string.h>

/* One piece of \w+|[^\w\s]+, or the encoder would never find it. */
static bool is_one_piece(const char *s)
{
    uint32_t c;
    ul_utf8_get(s, &c);
    const bool word = ul_is_word(c);
    for (; *s; s += ul_utf8_get(s, &c)) {
        ul_utf8_get(s, &c);
        if (ul_is_white(c) || ul_is_word(c) != word) return false;
    }
    return true;
}

static ul_status build(ul_ctx *ctx, const char *const *words, size_t n, json_t *vocab)
{
    for (size_t i = 0; i < UL_FRESH_SPECIALS + n; i++) {
        const char *s = i < UL_FRESH_SPECIALS ? ul_fresh_specials[i] : words[i - UL_FRESH_SPECIALS];
        if (i >= UL_FRESH_SPECIALS && (!s[0] || ul_utf8_invalid(s, strlen(s)) >= 0 || !is_one_piece(s)))
            return ul_fail(ctx, UL_E_INPUT,
                           "word %zu \"%.60s\": must be letters and digits only, or signs only, in UTF-8",
                           i - UL_FRESH_SPECIALS, s);
        if (json_object_get(vocab, s))
            return ul_fail(ctx, UL_E_INPUT, "word %zu \"%.60s\" is in the list already", i - UL_FRESH_SPECIALS, s);
        if (json_object_set_new(vocab, s, json_integer((json_int_t)i)) != 0)
            return ul_fail(ctx, UL_E_RESOURCE, "no memory for a vocabulary of %zu words", n);
    }
    return UL_OK;
}

ul_status ul_wordlevel_write(ul_ctx *ctx, const char *dir, const char *const *words, size_t n)
{
    json_t *vocab = json_object();
    const ul_status s = build(ctx, words, n, vocab);
    json_t *model =
        json_pack("{s:s, s:o, s:s}", "type", "WordLevel", "vocab", vocab, "unk_token", ul_fresh_specials[3]);
    if (s == UL_OK) return ul_fresh_write(ctx, dir, model, json_pack("{s:s}", "type", "Whitespace"), json_null());
    json_decref(model);
    return s;
}
