/* token.h - text <-> ids by a `tokenizer.json` read as it is: what Hugging Face's tokenizers library does with the
 * file, id for id. BPE (byte level, and SentencePiece style with byte fallback), WordLevel, WordPiece, Unigram.
 * Truncation and padding in the file are not applied, as in transformers, which sets its own with every call.
 *
 * A tokenizer is read only once open: any number of threads may use one at the same time, each with its own context. */
#ifndef UL_TOKEN_H
#define UL_TOKEN_H
#include "base/base.h"

typedef struct ul_tokenizer ul_tokenizer;

/* A growing array of ids, with the sequence each came from (0, or 1 for the second of a pair, as the post-processor
 * says) beside it. */
typedef struct {
    ul_ctx *ctx;
    int32_t *id;
    uint8_t *type;
    size_t n, cap;
} ul_ids;
void ul_ids_init(ul_ids *ids, ul_ctx *ctx);
void ul_ids_release(ul_ids *ids);
void ul_ids_reset(ul_ids *ids); /* n = 0, the memory stays */
ul_status ul_ids_add(ul_ids *ids, int32_t id, int type) UL_MUST;

/* `path`: a tokenizer.json, or a model directory that holds one; special ids are then read from tokenizer_config.json,
 * special_tokens_map.json and generation_config.json beside it, in this order, those that exist.
 * UL_E_INPUT with the file and the place when it is damaged; ul_tokenizer_unsupported() is then true if the file is
 * sound but uses a component that is not implemented (the message names its type). */
ul_status ul_tokenizer_open(ul_ctx *ctx, const char *path, ul_tokenizer **out) UL_MUST;
void ul_tokenizer_free(ul_tokenizer *t); /* NULL is fine */
/* The last ul_tokenizer_open of this context failed for a component type that is not implemented. */
bool ul_tokenizer_unsupported(const ul_ctx *ctx);

/* Appends nothing: *out is reset first. `add_special`: what the post-processor's template adds (BOS, EOS). Text that
 * spells a special token becomes that token in either case, as in the library.
 * UL_E_INPUT with the byte offset when the text is not UTF-8. */
ul_status ul_encode(ul_ctx *ctx, const ul_tokenizer *t, const char *text, size_t bytes, bool add_special,
                    ul_ids *out) UL_MUST;
ul_status ul_encode_pair(ul_ctx *ctx, const ul_tokenizer *t, const char *text, size_t bytes, const char *pair,
                         size_t pair_bytes, bool add_special, ul_ids *out) UL_MUST;
/* Appends text to *out. Ids that the tokenizer does not know are skipped, as in the library; broken UTF-8 becomes
 * U+FFFD. */
ul_status ul_decode(ul_ctx *ctx, const ul_tokenizer *t, const int32_t *ids, size_t n, bool skip_special,
                    ul_buf *out) UL_MUST;
/* transformers' clean_up_tokenization_spaces: " ." -> ".", " n't" -> "n't", ...; in place, returns the new length. */
size_t ul_decode_clean(char *text, size_t n);

int64_t ul_tokenizer_vocab(const ul_tokenizer *t, bool with_added); /* number of tokens */
int64_t ul_tokenizer_max_id(const ul_tokenizer *t); /* the largest id: the embedding needs one row more */
int32_t ul_token_id(const ul_tokenizer *t, const char *token, size_t bytes); /* -1: no such token */
const char *ul_token_text(const ul_tokenizer *t, int32_t id,
                          size_t *bytes); /* as the file spells it; NULL: no such id */
bool ul_token_special(const ul_tokenizer *t, int32_t id);

typedef struct {
    int32_t bos, eos, pad, unk; /* -1: none */
} ul_special_ids;
ul_special_ids ul_tokenizer_special(const ul_tokenizer *t);
const char *ul_tokenizer_path(const ul_tokenizer *t); /* of the tokenizer.json */

/* Writes DIR/tokenizer.json and DIR/tokenizer_config.json of a word-level tokenizer: <pad> <bos> <eos> <unk> = 0 1 2 3,
 * then `words` in their order (each without white space; words and signs are split as the Whitespace pre-tokenizer
 * does, \w+|[^\w\s]+). Encoding adds <bos>; decoding joins words by one space. Doubled or empty words: UL_E_INPUT. */
ul_status ul_wordlevel_write(ul_ctx *ctx, const char *dir, const char *const *words, size_t n) UL_MUST;
/* The same files of a byte-level BPE (GPT-2's splitting) with at most n_merge merges, 0 to 2000, learnt from the texts:
 * the special tokens, 256 bytes, then what was merged, in order. Encoding adds <bos>. */
ul_status ul_bpe_learn(ul_ctx *ctx, const char *dir, const char *const *texts, size_t n, int32_t n_merge) UL_MUST;
#endif
