/* wordlevel.c - a tokenizer for a closed list of words, written as a tokenizer.json that the tokenizers library
 * reads. */
#include "parts.h"
#include <string.h>

static const char *const specials[] = {"<pad>", "<bos>", "<eos>", "<unk>"};
enum { N_SPECIAL = 4, BOS = 1 };

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
    for (size_t i = 0; i < N_SPECIAL + n; i++) {
        const char *s = i < N_SPECIAL ? specials[i] : words[i - N_SPECIAL];
        if (i >= N_SPECIAL && (!s[0] || ul_utf8_invalid(s, strlen(s)) >= 0 || !is_one_piece(s)))
            return ul_fail(ctx, UL_E_INPUT,
                           "word %zu \"%.60s\": must be letters and digits only, or signs only, in UTF-8",
                           i - N_SPECIAL, s);
        if (json_object_get(vocab, s))
            return ul_fail(ctx, UL_E_INPUT, "word %zu \"%.60s\" is in the list already", i - N_SPECIAL, s);
        if (json_object_set_new(vocab, s, json_integer((json_int_t)i)) != 0)
            return ul_fail(ctx, UL_E_RESOURCE, "no memory for a vocabulary of %zu words", n);
    }
    return UL_OK;
}

ul_status ul_wordlevel_write(ul_ctx *ctx, const char *dir, const char *const *words, size_t n)
{
    ul_arena *scratch;
    UL_TRY(ul_arena_new(ctx, "vocabulary", &scratch));
    json_t *vocab = json_object(), *added = json_array();
    for (int i = 0; i < N_SPECIAL; i++)
        json_array_append_new(added,
                              json_pack("{s:i, s:s, s:b, s:b, s:b, s:b, s:b}", "id", i, "content", specials[i],
                                        "single_word", 0, "lstrip", 0, "rstrip", 0, "normalized", 0, "special", 1));
    ul_status st = build(ctx, words, n, vocab);
    json_t *root = json_pack(
        "{s:s, s:n, s:n, s:o, s:n, s:{s:s}, s:{s:s, s:[{s:{s:s, s:i}}, {s:{s:s, s:i}}], "
        "s:[{s:{s:s, s:i}}, {s:{s:s, s:i}}, {s:{s:s, s:i}}], s:{s:{s:s, s:[i], s:[s]}}}, s:n, s:{s:s, s:o, s:s}}",
        "version", "1.0", "truncation", "padding", "added_tokens", added, "normalizer", "pre_tokenizer", "type",
        "Whitespace", "post_processor", "type", "TemplateProcessing", "single", "SpecialToken", "id", specials[BOS],
        "type_id", 0, "Sequence", "id", "A", "type_id", 0, "pair", "SpecialToken", "id", specials[BOS], "type_id", 0,
        "Sequence", "id", "A", "type_id", 0, "Sequence", "id", "B", "type_id", 1, "special_tokens", specials[BOS], "id",
        specials[BOS], "ids", BOS, "tokens", specials[BOS], "decoder", "model", "type", "WordLevel", "vocab", vocab,
        "unk_token", specials[3]);
    json_t *config = json_pack("{s:s, s:s, s:s, s:s, s:s, s:b}", "tokenizer_class", "PreTrainedTokenizerFast",
                               "pad_token", specials[0], "bos_token", specials[1], "eos_token", specials[2],
                               "unk_token", specials[3], "clean_up_tokenization_spaces", 0);
    const ul_status owned = ul_json_own(scratch, root), owned_too = ul_json_own(scratch, config);
    if (st == UL_OK) st = owned != UL_OK ? owned : owned_too;
    const char *file = ul_path_join(scratch, dir, "tokenizer.json");
    const char *file_too = ul_path_join(scratch, dir, "tokenizer_config.json");
    if (!file || !file_too) st = UL_E_RESOURCE;
    if (st == UL_OK) st = ul_json_save(ctx, file, root);
    if (st == UL_OK) st = ul_json_save(ctx, file_too, config);
    ul_arena_free(scratch);
    return st;
}
