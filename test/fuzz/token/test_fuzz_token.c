/* test_fuzz_token.c - damaged tokenizers of every kind, and the files beside them that name special tokens. What is
 * taken encodes and decodes. */
#include "fuzz/fuzz.h"
#include "token/token.h"

/* A word that needs an unknown token which the vocabulary lacks is told when it is met. */
static ul_status use(fuzz *z, const ul_tokenizer *t)
{
    static const char *const text[] = {"ab abc lower low  the <s> x</s>", "",
                                       "\xc3\xa9t\xc3\xa9 \xe2\x96\x81 \xf0\x9f\x98\x80",
                                       "it's 1234, \n\n and MORE. aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"};
    const int64_t n = ul_tokenizer_vocab(t, true), most = ul_tokenizer_max_id(t);
    const ul_special_ids s = ul_tokenizer_special(t);
    ul_ids ids;
    ul_buf out;
    size_t bytes;
    assert_true(n >= 0 && most <= INT32_MAX && s.bos <= most && s.eos <= most && s.pad <= most && s.unk <= most);
    ul_ids_init(&ids, z->ctx);
    ul_buf_init(&out, z->ctx, 1 << 20);
    ul_status st = UL_OK;
    for (size_t i = 0; i < 4 && st == UL_OK; i++) {
        st = ul_encode(z->ctx, t, text[i], strlen(text[i]), i % 2, &ids);
        UL_OK_IN(z->ctx, ul_decode(z->ctx, t, ids.id, ids.n, i % 2, &out));
        for (size_t k = 0; k < ids.n; k++) assert_true(ids.id[k] >= 0 && ids.id[k] <= most);
    }
    if (st == UL_OK) st = ul_encode_pair(z->ctx, t, text[0], strlen(text[0]), text[2], strlen(text[2]), true, &ids);
    for (int32_t id = -1; id <= (most < 400 ? most + 1 : 400); id++) {
        const char *piece = ul_token_text(t, id, &bytes);
        if (piece && bytes) (void)ul_token_id(t, piece, bytes);
        UL_OK_IN(z->ctx, ul_decode(z->ctx, t, &id, 1, id % 2, &out));
    }
    assert_int_equal(out.n ? ul_utf8_invalid(out.p, out.n) : -1, -1);
    ul_ids_release(&ids);
    ul_buf_release(&out);
    return st;
}

static ul_status read_tokenizer(fuzz *z)
{
    ul_tokenizer *t;
    UL_TRY(ul_tokenizer_open(z->ctx, z->dir, &t));
    const ul_status st = use(z, t);
    ul_tokenizer_free(t);
    return st;
}

#define ADDED                                                                                                          \
    "\"added_tokens\": [{\"id\": 0, \"content\": \"<s>\", \"single_word\": false, \"lstrip\": false, "                 \
    "\"rstrip\": true, \"normalized\": false, \"special\": true}, {\"id\": 40, \"content\": \"the\", "                 \
    "\"single_word\": true, \"lstrip\": true, \"rstrip\": false, \"normalized\": true, \"special\": false}]"
#define TEMPLATE                                                                                                       \
    "\"post_processor\": {\"type\": \"TemplateProcessing\", \"single\": [{\"SpecialToken\": {\"id\": \"<s>\", "        \
    "\"type_id\": 0}}, {\"Sequence\": {\"id\": \"A\", \"type_id\": 0}}], \"pair\": [{\"Sequence\": {\"id\": \"B\", "   \
    "\"type_id\": 1}}, {\"Sequence\": {\"id\": \"A\", \"type_id\": 0}}], \"special_tokens\": {\"<s>\": {\"id\": "      \
    "\"<s>\", \"ids\": [0], \"tokens\": [\"<s>\"]}}}"
#define LETTERS "\"a\": 2, \"b\": 3, \"c\": 4, \"l\": 5, \"o\": 6, \"w\": 7, \"e\": 8, \"r\": 9, \"t\": 10, \"h\": 11"

static const char wordlevel[] =
    "{\"version\": \"1.0\", " ADDED ", \"normalizer\": {\"type\": \"Lowercase\"}, \"pre_tokenizer\": {\"type\": "
    "\"Whitespace\"}, " TEMPLATE ", \"decoder\": null, \"model\": {\"type\": \"WordLevel\", \"unk_token\": \"<unk>\", "
    "\"vocab\": {\"<s>\": 0, \"<unk>\": 1, \"ab\": 2, \"abc\": 3, \"lower\": 4, \"x\": 5, \"'\": 6}}}";

/* An identity charsmap: a trie of nothing. */
static const char unigram[] =
    "{" ADDED ", \"normalizer\": {\"type\": \"Sequence\", \"normalizers\": [{\"type\": \"Precompiled\", "
    "\"precompiled_charsmap\": \"BAAAAAAAAAAAYQA=\"}, {\"type\": \"Replace\", \"pattern\": {\"Regex\": \" {2,}\"}, "
    "\"content\": \" \"}]}, \"pre_tokenizer\": {\"type\": \"Metaspace\", \"replacement\": \"\\u2581\", "
    "\"prepend_scheme\": \"always\", \"split\": true}, " TEMPLATE ", \"decoder\": {\"type\": \"Metaspace\", "
    "\"replacement\": \"\\u2581\", \"prepend_scheme\": \"always\", \"split\": true}, \"model\": {\"type\": "
    "\"Unigram\", \"unk_id\": 1, \"byte_fallback\": false, \"vocab\": [[\"<s>\", 0.0], [\"<unk>\", 0.0], "
    "[\"\\u2581\", -2.0], [\"a\", -3.5], [\"b\", -3.25], [\"ab\", -4.0], [\"\\u2581ab\", -4.5], [\"low\", -6.0], "
    "[\"er\", -5.0], [\"l\", -7.0], [\"o\", -7.5], [\"w\", -8]]}}";

static const char wordpiece[] =
    "{" ADDED ", \"normalizer\": {\"type\": \"BertNormalizer\", \"clean_text\": true, \"handle_chinese_chars\": true, "
    "\"strip_accents\": null, \"lowercase\": true}, \"pre_tokenizer\": {\"type\": \"BertPreTokenizer\"}, "
    "\"post_processor\": {\"type\": \"BertProcessing\", \"sep\": [\"<s>\", 0], \"cls\": [\"<unk>\", 1]}, \"decoder\": "
    "{\"type\": \"WordPiece\", \"prefix\": \"##\", \"cleanup\": true}, \"model\": {\"type\": \"WordPiece\", "
    "\"unk_token\": \"<unk>\", \"continuing_subword_prefix\": \"##\", \"max_input_chars_per_word\": 20, \"vocab\": "
    "{\"<s>\": 0, \"<unk>\": 1, \"a\": 2, \"##b\": 3, \"##bc\": 4, \"low\": 5, \"##er\": 6, \"it\": 7, \"'\": 8}}}";

static const char bytelevel[] =
    "{" ADDED ", \"normalizer\": {\"type\": \"NFC\"}, \"pre_tokenizer\": {\"type\": \"Sequence\", \"pretokenizers\": "
    "[{\"type\": \"Split\", \"pattern\": {\"Regex\": \"'s|\\\\p{L}+|\\\\p{N}{1,3}| ?[^\\\\s\\\\p{L}\\\\p{N}]+|\\\\s+\"}"
    ", "
    "\"behavior\": \"Isolated\", \"invert\": false}, {\"type\": \"ByteLevel\", \"add_prefix_space\": false, "
    "\"trim_offsets\": true, \"use_regex\": false}]}, \"post_processor\": {\"type\": \"ByteLevel\", "
    "\"add_prefix_space\": true, \"trim_offsets\": false}, \"decoder\": {\"type\": \"ByteLevel\"}, "
    "\"model\": {\"type\": "
    "\"BPE\", \"dropout\": null, \"unk_token\": \"<unk>\", \"fuse_unk\": false, \"byte_fallback\": false, "
    "\"ignore_merges\": false, \"vocab\": {\"<s>\": 0, \"<unk>\": 1, " LETTERS ", \"\\u0120\": 12, \"ab\": 13, "
    "\"abc\": 14, \"lo\": 15, \"low\": 16, \"er\": 17, \"lower\": 18}, \"merges\": [\"a b\", \"ab c\", \"l o\", "
    "\"lo w\", \"e r\", \"low er\"]}}";

static const char fallback[] =
    "{" ADDED ", \"normalizer\": {\"type\": \"Sequence\", \"normalizers\": [{\"type\": \"Prepend\", \"prepend\": "
    "\"\\u2581\"}, {\"type\": \"Replace\", \"pattern\": {\"String\": \" \"}, \"content\": \"\\u2581\"}]}, "
    "\"pre_tokenizer\": null, " TEMPLATE ", \"decoder\": {\"type\": \"Sequence\", \"decoders\": [{\"type\": "
    "\"Replace\", \"pattern\": {\"String\": \"\\u2581\"}, \"content\": \" \"}, {\"type\": \"ByteFallback\"}, "
    "{\"type\": \"Fuse\"}, {\"type\": \"Strip\", \"content\": \" \", \"start\": 1, \"stop\": 0}]}, \"model\": "
    "{\"type\": \"BPE\", \"unk_token\": \"<unk>\", \"fuse_unk\": true, \"byte_fallback\": true, "
    "\"continuing_subword_prefix\": null, \"end_of_word_suffix\": null, \"vocab\": {\"<s>\": 0, \"<unk>\": 1, " LETTERS
    ", \"\\u2581\": 12, \"ab\": 13, \"\\u2581ab\": 14, \"<0xC3>\": 15, \"<0xA9>\": 16, \"<0x0A>\": 17}, \"merges\": "
    "[[\"a\", \"b\"], [\"\\u2581\", \"ab\"]]}}";

/* Found by mutation. A NUL inside a prepended text: added tokens were read beyond their end. */
static const fuzz_found fallback_found[] = {
    {"{" ADDED ", \"normalizer\": {\"type\": \"Prepend\", \"prepend\": \"a\\u0000b\"}, \"model\": {\"type\": \"BPE\", "
     "\"unk_token\": \"<unk>\", \"vocab\": {\"<s>\": 0, \"<unk>\": 1, " LETTERS "}, \"merges\": []}}", NULL},
    {0}};

static void make_beside(fuzz *z)
{
    fuzz_write(z, "tokenizer.json", wordlevel);
}

#define KIND(what, content, ...)                                                                                       \
    {                                                                                                                  \
        .name = what, .file = "tokenizer.json", .kind = FUZZ_JSON, .text = content, .read = read_tokenizer,            \
        .refused = 20, .taken = 10, __VA_ARGS__                                                                        \
    }
#define BESIDE(what, content)                                                                                          \
    {                                                                                                                  \
        .name = what, .file = what, .kind = FUZZ_JSON, .text = content, .make = make_beside, .read = read_tokenizer,   \
        .refused = 5, .taken = 20                                                                                      \
    }
static const fuzz_case parsers[] = {
    KIND("tokenizer, words", wordlevel, .cost = 1),
    KIND("tokenizer, unigram", unigram, .cost = 1),
    KIND("tokenizer, word pieces", wordpiece, .cost = 1),
    KIND("tokenizer, bytes", bytelevel, .cost = 1),
    KIND("tokenizer, byte fallback", fallback, .found = fallback_found),
    BESIDE("tokenizer_config.json",
           "{\"bos_token\": \"<s>\", \"eos_token\": {\"content\": \"</s>\", \"lstrip\": false},"
                                    " \"unk_token\": null, \"model_max_length\": 1000000000000000019884624838656}"),
    BESIDE("special_tokens_map.json", "{\"bos_token\": \"<s>\", \"pad_token\": {\"content\": \"<unk>\"}}"),
    BESIDE("generation_config.json", "{\"bos_token_id\": 0, \"eos_token_id\": [2, 5], \"pad_token_id\": 1, "
                                     "\"temperature\": 0.6}"),
};
FUZZ_MAIN(parsers)
