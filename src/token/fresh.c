/* fresh.c - tokenizer.json and tokenizer_config.json of a tokenizer made here, as the tokenizers library reads them:
 * <pad> <bos> <eos> <unk> = 0 1 2 3; encoding adds <bos>. */
#include "parts.h"

const char *const ul_fresh_specials[UL_FRESH_SPECIALS] = {"<pad>", "<bos>", "<eos>", "<unk>"};
enum { BOS = 1 };

ul_status ul_fresh_write(ul_ctx *ctx, const char *dir, json_t *model, json_t *pre_tokenizer, json_t *decoder)
{
    const char *const *special = ul_fresh_specials;
    ul_arena *scratch;
    json_t *added = json_array();
    for (int i = 0; i < UL_FRESH_SPECIALS; i++)
        json_array_append_new(added,
                              json_pack("{s:i, s:s, s:b, s:b, s:b, s:b, s:b}", "id", i, "content", special[i],
                                        "single_word", 0, "lstrip", 0, "rstrip", 0, "normalized", 0, "special", 1));
    json_t *root = json_pack(
        "{s:s, s:n, s:n, s:o, s:n, s:o, s:{s:s, s:[{s:{s:s, s:i}}, {s:{s:s, s:i}}], "
        "s:[{s:{s:s, s:i}}, {s:{s:s, s:i}}, {s:{s:s, s:i}}], s:{s:{s:s, s:[i], s:[s]}}}, s:o, s:o}",
        "version", "1.0", "truncation", "padding", "added_tokens", added, "normalizer", "pre_tokenizer", pre_tokenizer,
        "post_processor", "type", "TemplateProcessing", "single", "SpecialToken", "id", special[BOS],
        "type_id", 0, "Sequence", "id", "A", "type_id", 0, "pair", "SpecialToken", "id", special[BOS], "type_id", 0,
        "Sequence", "id", "A", "type_id", 0, "Sequence", "id", "B", "type_id", 1, "special_tokens", special[BOS], "id",
        special[BOS], "ids", BOS, "tokens", special[BOS], "decoder", decoder, "model", model);
    json_t *config = json_pack("{s:s, s:s, s:s, s:s, s:s, s:b}", "tokenizer_class", "PreTrainedTokenizerFast",
                               "pad_token", special[0], "bos_token", special[1], "eos_token", special[2],
                               "unk_token", special[3], "clean_up_tokenization_spaces", 0);
    ul_status s = ul_arena_new(ctx, "vocabulary", &scratch);
    if (s != UL_OK) {
        json_decref(root);
        json_decref(config);
        return s;
    }
    const ul_status owned = ul_json_own(scratch, root), owned_too = ul_json_own(scratch, config);
    s = owned != UL_OK ? owned : owned_too;
    const char *file = ul_path_join(scratch, dir, "tokenizer.json");
    const char *file_too = ul_path_join(scratch, dir, "tokenizer_config.json");
    if (!file || !file_too) s = UL_E_RESOURCE;
    if (s == UL_OK) s = ul_json_save(ctx, file, root);
    if (s == UL_OK) s = ul_json_save(ctx, file_too, config);
    ul_arena_free(scratch);
    return s;
}
