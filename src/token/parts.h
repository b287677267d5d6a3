/* parts.h - what the files of this room share and nobody else sees.
 *
 * A text on its way to ids is a list of pieces over one buffer. Normalizers, pre-tokenizers and decoders of the file
 * are flattened into parts of three kinds: an `edit` writes every piece anew, a `find` cuts it where something matches,
 * a `whole` replaces the list. So one engine (work.c) runs all of them. */
#ifndef UL_TOKEN_PARTS_H
#define UL_TOKEN_PARTS_H
#include "io/io.h"
#include "token/token.h"
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

/* ---- growing arrays --------------------------------------------------------------------------------------------- */
/* Room for `need` elements of `size` bytes; *p moves. UL_E_RESOURCE with a message. */
ul_status ul_grow(ul_ctx *ctx, void *p, size_t *cap, size_t need, size_t size);
#define UL_GROW(ctx, array, cap, need)                                                                                 \
    do {                                                                                                               \
        if ((need) > (cap)) UL_TRY(ul_grow((ctx), (void *)&(array), &(cap), (need), sizeof *(array)));                 \
    } while (0)

typedef struct {
    const char *p;
    size_t n;
} ul_str;

/* ---- pieces ----------------------------------------------------------------------------------------------------- */
typedef struct {
    size_t at, n; /* bytes in ul_work.text */
    int32_t id;   /* >= 0: already a token */
    bool origin;  /* starts where the original text starts (Metaspace "first") */
} ul_piece;

typedef struct {
    size_t a, b; /* bytes of the piece */
    bool hit;
} ul_span;

typedef struct ul_part ul_part;

typedef struct { /* of one BPE word */
    int32_t id, prev, next;
    bool gone;
} ul_symbol;
typedef struct {
    uint32_t rank;
    int32_t at, id;
} ul_merge;

typedef struct {
    ul_ctx *ctx;
    const ul_tokenizer *t;
    char *text, *next_text; /* of the pieces; being written */
    size_t n_text, cap_text, n_next, cap_next;
    ul_piece *piece, *next;
    size_t n_piece, cap_piece, n_fresh, cap_fresh;
    ul_span *span;
    size_t n_span, cap_span;
    pcre2_match_data *match;
    ul_symbol *symbol;
    size_t n_symbol, cap_symbol;
    ul_merge *heap;
    size_t n_heap, cap_heap;
    int32_t *cp; /* code points */
    size_t cap_cp;
    void *best; /* Unigram's lattice */
    size_t cap_best;
} ul_work;

void ul_work_init(ul_work *w, ul_ctx *ctx, const ul_tokenizer *t);
void ul_work_release(ul_work *w);
ul_status ul_work_set(ul_work *w, const char *text, size_t n); /* one piece, no copy of what was there */
ul_status ul_work_run(ul_work *w, const ul_part *part, size_t n);
ul_status ul_put(ul_work *w, const void *bytes, size_t n); /* to the text being written */
ul_status ul_put_char(ul_work *w, uint32_t c);
ul_status ul_push(ul_work *w, ul_piece p); /* to the list being written */
ul_status ul_push_span(ul_work *w, size_t a, size_t b, bool hit);
void ul_work_turn(ul_work *w, bool text); /* what was written becomes what is read */

/* ---- parts ------------------------------------------------------------------------------------------------------ */
typedef enum { UL_ISOLATED, UL_REMOVED, UL_CONTIGUOUS, UL_WITH_PREVIOUS, UL_WITH_NEXT } ul_behavior;

struct ul_part {
    /* Writes the piece `i` (s, n) anew with ul_put; clears p->origin when the head is cut off. */
    ul_status (*edit)(ul_work *w, const ul_part *part, size_t i, const char *s, size_t n, ul_piece *p);
    /* Covers 0 .. n with spans, in order, those that match marked. */
    ul_status (*find)(ul_work *w, const ul_part *part, const char *s, size_t n);
    ul_status (*whole)(ul_work *w, const ul_part *part);
    int (*map)(uint32_t c, uint32_t out[3]); /* edit_map: how many characters c becomes */
    bool (*is)(uint32_t c);                  /* find_class */
    pcre2_code *re;
    ul_str text, content; /* what is searched, prepended, stripped; what replaces it */
    ul_behavior behavior;
    int mode;
    uint32_t c;
    bool invert, left, right;
    size_t start, stop;
};
typedef struct {
    ul_part *at;
    size_t n, cap;
} ul_parts;

/* Reading the file: where we are, for messages. */
typedef struct {
    ul_ctx *ctx;
    ul_arena *arena; /* the tokenizer's */
    const char *path;
    const char *stage, *type;
} ul_reader;
ul_status ul_bad(const ul_reader *r, const char *fmt, ...) UL_PRINTF(2, 3);
ul_status ul_unsupported(const ul_reader *r, const char *what);
ul_status ul_read_str(const ul_reader *r, const json_t *o, const char *key, ul_presence need, ul_str *out);
ul_status ul_read_bool(const ul_reader *r, const json_t *o, const char *key, ul_presence need, bool *out);
ul_status ul_read_size(const ul_reader *r, const json_t *o, const char *key, ul_presence need, size_t hi, size_t *out);
ul_status ul_read_char(const ul_reader *r, const json_t *o, const char *key, uint32_t *out);
ul_status ul_read_type(ul_reader *r, const json_t *o, const char **type);
bool ul_json_whole(const json_t *v, int64_t lo, int64_t hi, int64_t *out); /* takes 2.0 for 2 */
ul_status ul_copy_str(const ul_reader *r, const char *p, size_t n, ul_str *out);

typedef ul_status (*ul_part_reader)(ul_reader *r, const json_t *o, int mode, ul_parts *out);
typedef struct {
    const char *type;
    ul_part_reader read;
    int mode;
} ul_part_type;
/* A stage: an object, a Sequence of them (its list under `list`) or null; `types` ends with a NULL type. */
ul_status ul_read_parts(ul_reader *r, const json_t *o, const char *list, const ul_part_type *types, ul_parts *out);
ul_status ul_add_part(ul_reader *r, ul_parts *out, ul_part **part);
extern const ul_part_type ul_normalizers[], ul_pretokenizers[], ul_decoders[];

ul_status ul_read_charsmap(ul_reader *r, const json_t *o, int mode, ul_parts *out);

/* ---- regular expressions, characters ---------------------------------------------------------------------------- */
ul_status ul_regex_compile(ul_reader *r, const char *s, size_t n, pcre2_code **out); /* Oniguruma's Ruby syntax */
ul_status ul_regex_find(ul_work *w, const pcre2_code *re, const char *s, size_t n);
/* {"String": s} or {"Regex": s} */
ul_status ul_read_pattern(ul_reader *r, const json_t *o, ul_part *part);
ul_status ul_find_pattern(ul_work *w, const ul_part *part, const char *s, size_t n);
ul_status ul_edit_replace(ul_work *w, const ul_part *part, size_t i, const char *s, size_t n, ul_piece *p);

/* One character of valid UTF-8 at s; returns its bytes. */
size_t ul_utf8_get(const char *s, uint32_t *c);
size_t ul_utf8_set(uint32_t c, char out[4]);
/* Bytes of the valid character at s, or 0 and in *bad how many bytes one U+FFFD stands for (maximal subpart). */
size_t ul_utf8_step(const char *s, size_t n, size_t *bad);
bool ul_is_white(uint32_t c), ul_is_word(uint32_t c), ul_is_numeric(uint32_t c), ul_is_punctuation(uint32_t c);
bool ul_is_mark(uint32_t c), ul_is_mark_nonspacing(uint32_t c), ul_is_other(uint32_t c);

/* The byte <-> character table of GPT-2: bytes that print are themselves, the others are U+0100 and up. */
uint32_t ul_byte_char(uint8_t b);
int ul_char_byte(uint32_t c); /* -1: none */
ul_status ul_edit_bytes(ul_work *w, const ul_part *part, size_t i, const char *s, size_t n, ul_piece *p);

/* ---- vocabularies ----------------------------------------------------------------------------------------------- */
typedef struct {
    const char *p;
    uint32_t n, hash;
    int32_t id;
} ul_word;
typedef struct {
    ul_word *word;
    uint32_t *slot; /* index + 1 of a word; 0 = empty */
    size_t n, cap, mask;
} ul_vocab;
ul_status ul_vocab_init(ul_vocab *v, ul_arena *arena, size_t cap);
/* The later one wins where a text comes twice; *isnew says so. There must be room (cap). */
void ul_vocab_add(ul_vocab *v, const char *p, size_t n, int32_t id, bool *isnew);
int32_t ul_vocab_find(const ul_vocab *v, const char *p, size_t n); /* -1: none */

/* A trie of bytes: the longest of its texts at a place. */
typedef struct {
    struct ul_trie_node {
        uint32_t child, sibling; /* 0 = none */
        int32_t value;           /* -1: no text ends here */
        uint8_t byte;
    } * node;
    size_t n, cap;
    uint32_t first[256];
} ul_trie;
ul_status ul_trie_init(ul_trie *t, ul_arena *arena, size_t bytes);                 /* of all texts together */
void ul_trie_add(ul_trie *t, const char *p, size_t n, int32_t value);              /* the first of equal texts stays */
size_t ul_trie_longest(const ul_trie *t, const char *p, size_t n, int32_t *value); /* 0: none */
uint32_t ul_trie_next(const ul_trie *t, uint32_t node, uint8_t byte);              /* node 0 = root; 0: no such text */

typedef struct {
    const char *p;
    uint32_t n;
    bool known, special, lstrip, rstrip, single_word;
} ul_token;

/* A hash of pairs of ids. */
typedef struct {
    struct ul_pair {
        uint64_t key; /* left << 32 | right; all ones = empty */
        uint32_t rank;
        int32_t id;
    } * at;
    size_t mask;
} ul_pairs;

typedef struct {
    ul_pairs merges;
    ul_pairs touch;   /* pairs of first symbols that some merge has inside: others are never joined */
    bool cut;         /* touch is complete: words may be cut at other places */
    int32_t *char_id; /* of a code point below n_char; -1 none */
    size_t n_char;
    int32_t byte_id[256]; /* "<0x0A>"; -1 none */
    ul_str unk, prefix, suffix;
    int32_t unk_id; /* -1: not in the vocabulary */
    bool has_unk, affixes, fuse_unk, byte_fallback, ignore_merges;
} ul_bpe;

typedef struct {
    ul_str unk, prefix; /* WordLevel, WordPiece */
    int32_t unk_id;
    size_t max_chars;
} ul_words;

typedef struct {
    ul_trie trie;
    const ul_str *text; /* by id: a text may come twice */
    const double *score;
    double unk_score;
    int32_t unk_id; /* -1 none */
    int32_t byte_id[256];
    bool byte_fallback;
} ul_unigram;

/* Template of the post-processor: a step is a sequence (0, 1) or special ids. */
typedef struct {
    int sequence; /* -1: ids */
    uint8_t type;
    const int32_t *id;
    size_t n;
} ul_step;
typedef struct {
    const ul_step *step;
    size_t n;
} ul_template;

struct ul_tokenizer {
    ul_arena *arena;
    const char *path;
    ul_vocab vocab, added;                  /* the model's; the added tokens' */
    ul_token *token;                        /* by id */
    int64_t n_model, n_token, n_with_added; /* tokens of the model; ids; different texts */
    ul_trie raw, normal;                    /* added tokens searched before and after normalisation; values are ids */
    ul_parts normalizer, pretokenizer, decoder;
    bool has_decoder;
    ul_template single, pair;
    ul_special_ids special;
    ul_status (*tokenize)(ul_work *w, const char *s, size_t n, ul_ids *out);
    ul_bpe bpe;
    ul_words words;
    ul_unigram unigram;
};

ul_status ul_model_read(ul_reader *r, const json_t *o, ul_tokenizer *t);
ul_status ul_bpe_read(ul_reader *r, const json_t *o, ul_tokenizer *t);
ul_status ul_bpe_tokenize(ul_work *w, const char *s, size_t n, ul_ids *out);
ul_status ul_unigram_read(ul_reader *r, const json_t *o, ul_tokenizer *t);
ul_status ul_unigram_tokenize(ul_work *w, const char *s, size_t n, ul_ids *out);
ul_status ul_added_read(ul_reader *r, const json_t *o, ul_tokenizer *t);
/* Text to pieces: added tokens cut out, the rest normalised. */
ul_status ul_added_extract(ul_work *w, const char *text, size_t n);
ul_status ul_template_read(ul_reader *r, const json_t *o, ul_tokenizer *t);
ul_status ul_special_read(ul_reader *r, const char *dir, ul_tokenizer *t);

/* ---- tokenizers made here (fresh.c) ------------------------------------------------------------------------------ */
enum { UL_FRESH_SPECIALS = 4 };
extern const char *const ul_fresh_specials[UL_FRESH_SPECIALS];
/* Takes the three components. */
ul_status ul_fresh_write(ul_ctx *ctx, const char *dir, json_t *model, json_t *pre_tokenizer, json_t *decoder) UL_MUST;
#endif
