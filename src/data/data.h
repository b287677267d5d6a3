/* data.h - records from files, documents from records, samples from documents, packed batches from samples. */
#ifndef UL_DATA_H
#define UL_DATA_H
#include "io/io.h"
#include "token/token.h"
#include "unlearn/batch.h"

/* ---- records ----------------------------------------------------------------------------------------------------- */
/* One row of a data set. Absent fields are NULL / 0. Strings are UTF-8 and hold no NUL. */
typedef struct {
    int64_t line; /* in the file, from 1 (JSON array: element, from 1) */
    int32_t entity;
    const char *prompt, *answer; /* text: prompt NULL, answer = the whole text */
    const char *paraphrase;      /* paraphrased answer */
    const char *const *wrong;    /* perturbed answers or wrong options */
    int32_t n_wrong;
} ul_record;
typedef struct {
    const char *path;
    char digest[65]; /* SHA-256 of the file's bytes */
    int64_t n;
    const ul_record *at;
} ul_records;
/* JSON lines, a JSON array, CSV (RFC 4180) with a header line, or plain text (paragraphs split at empty lines): by
 * content; a name that ends in .csv is CSV. `fields`: NULL, or
 * "prompt=KEY,answer=KEY,paraphrase=KEY,wrong=KEY,text=KEY,entity=KEY"; a field it does not name is looked for under
 * the names of the public benchmarks: question|prompt|instruction|input, answer|completion|output|response, text,
 * paraphrased_answer, perturbed_answer|options|choices (a list, also as the text of one, or the keys option1, option2,
 * ...: those that are not the answer; an answer that is a number is an index into the list). Entity: the key "entity"
 * where a row has one; else
 * row / per_entity when per_entity > 0; else the row. UL_E_INPUT: empty set, a row without its fields (file, line, its
 * keys), broken UTF-8 (file, line, byte). */
ul_status ul_records_open(ul_ctx *ctx, ul_arena *arena, const char *path, const char *fields, int32_t per_entity,
                          ul_records **out) UL_MUST;
/* The rows of JSON lines, a JSON array or CSV as they are: objects or texts. MMLU's CSV, which has no header line, gets
 * the fields question, option1 .. option4, answer. */
typedef struct {
    const char *path;
    char digest[65];
    int64_t n;
    const json_t *all;   /* [n]; the arena's */
    const int64_t *line; /* [n] in the file, from 1 */
} ul_rows;
ul_status ul_rows_open(ul_ctx *ctx, ul_arena *arena, const char *path, ul_rows **out) UL_MUST;
/* Records made in memory (demo, tests): digest over their text. */
ul_status ul_records_seal(ul_ctx *ctx, const char *name, const ul_record *at, int64_t n, ul_arena *arena,
                          ul_records **out) UL_MUST;
/* As JSON lines with the field names of TOFU; bare texts as {"text": ...}. */
ul_status ul_records_save(ul_ctx *ctx, const ul_records *r, const char *path) UL_MUST;
/* How many rows of a have a prompt and answer that stand in b too. -1: no memory. */
int64_t ul_records_overlap(ul_ctx *ctx, const ul_records *a, const ul_records *b);
/* A list of texts as Python and JSON write it, ['a', "b's"], which is how data frames put lists into CSV: how many, or
 * -1: it is none, or of more than `most`, or there is no memory. */
int ul_text_list(ul_arena *arena, const char *s, const char **out, int most);
/* The lines of a text file, stripped, empty ones dropped (TOFU's idontknow.jsonl is one). */
ul_status ul_lines_open(ul_ctx *ctx, ul_arena *arena, const char *path, const char *const **lines, int64_t *n) UL_MUST;

/* ---- templates and documents ------------------------------------------------------------------------------------- */
/* Plain tags, as open-unlearning's `apply_chat_template: false`: prompt = user_start + question + user_end +
 * asst_start; text = prompt + answer. Joint (the default, the way of the published numbers): ids = encode(text,
 * special) cut to max_length, then EOS unless the last id is EOS already (so at most max_length + 1 tokens); the first
 * n ids are unlabelled, n = the length of encode(prompt, special). Rows whose text does not begin with the prompt's ids
 * are counted in a note. Apart: encode(prompt, special) and encode(answer, plain) joined. A text without prompt: every
 * token but the first is labelled. */
typedef struct {
    const char *user_start, *user_end, *asst_start;
    int32_t max_length;
    bool apart, no_eos;
    bool no_special; /* no special tokens around the prompt (those that a tokenizer adds, BOS) */
    /* where the text does not begin with the prompt's ids these stand there all the same (lm-evaluation-harness) */
    bool own_head;
    bool cut_left;  /* a row longer than max_length loses its beginning, not its end (lm-evaluation-harness) */
    bool strict;    /* a row longer than max_length is an error, not a counted warning */
    bool at_context; /* max_length is the model's context: no flag raises it (for messages) */
    bool hide_pad;  /* --match open-unlearning: a genuine token that has the pad id is hidden as a key;
                       where a prompt alone is too long, the EOS behind what is left of it is scored */
    int32_t pad_id; /* for hide_pad; -1 = none */
} ul_template;
extern const ul_template ul_template_tofu; /* "Question: ", "\n", "Answer: ", 512, joint, EOS */
typedef struct {
    int64_t n;
    ul_doc *at;
    int64_t n_tok, n_labelled, n_truncated;
    int32_t longest;
} ul_docs;
/* which >= 0: the answer is wrong[which]. Documents keep their record's row as id, and its entity; cut rows and rows
 * that keep no answer token are counted in a warning; where no row keeps one: UL_E_INPUT. */
enum { UL_WHICH_ANSWER = -1, UL_WHICH_PARAPHRASE = -2 };
ul_status ul_docs_build(ul_ctx *ctx, ul_arena *arena, const ul_tokenizer *tok, const ul_template *tpl,
                        const ul_records *records, int32_t which, ul_docs **out) UL_MUST;
/* One document: a prompt (NULL: a bare text) with an answer. */
ul_status ul_doc_build(ul_ctx *ctx, ul_arena *arena, const ul_tokenizer *tok, const ul_template *tpl,
                       const char *prompt, const char *answer, int64_t id, int32_t entity, ul_doc *out,
                       bool *truncated) UL_MUST;
/* The prompts alone, for generation (no EOS, nothing labelled). Records without prompts: UL_E_INPUT. */
ul_status ul_docs_prompts(ul_ctx *ctx, ul_arena *arena, const ul_tokenizer *tok, const ul_template *tpl,
                          const ul_records *records, ul_docs **out) UL_MUST;
/* SHA-256 over tokens, labels, hidden flags, positions and targets. */
void ul_docs_digest(const ul_docs *docs, char hex[65]);
int32_t ul_doc_labelled(const ul_doc *d); /* how many tokens are scored */

/* A copy that is scored against other tokens (its target). pool: the tokens that take part, rising; NULL: 0 .. n_pool -
 * 1; a scored token outside it (a special one) stays what it is. Random: each other one becomes a token of the pool,
 * uniform at (seed, draw, place). As: that of `label`, one for each scored token. */
ul_status ul_doc_random(ul_arena *arena, const ul_doc *d, const int32_t *pool, int64_t n_pool, uint64_t seed,
                        uint64_t draw, ul_doc *out) UL_MUST;
ul_status ul_doc_as(ul_arena *arena, const ul_doc *d, const int32_t *pool, int64_t n_pool, const double *label,
                    ul_doc *out) UL_MUST;
/* Every scored place one later, scored as the token that stands in front of it: so many rows, each the state that has
 * read the token. A document grows by one token, which nothing reads. */
ul_status ul_docs_late(ul_arena *arena, const ul_docs *docs, ul_docs **out) UL_MUST;
/* The documents behind a text of n tokens, which is read but not scored; a document that begins with `bos` keeps it in
 * front of the text (-1: none does). The scored tokens stay the same, hence so do the rows. */
ul_status ul_docs_behind(ul_arena *arena, const ul_docs *docs, const int32_t *text, int32_t n, int32_t bos,
                         ul_docs **out) UL_MUST;

/* Generic relabelling (generic.c). Terms that belong to a subject, and what stands for each in a text about no one in
 * particular. */
typedef struct {
    const char **term, **generic; /* [n] */
    int64_t n;
} ul_terms;
/* A JSON object of texts. */
ul_status ul_terms_open(ul_ctx *ctx, ul_arena *arena, const char *path, ul_terms *out) UL_MUST;
/* Every term that stands in the text as whole words, the longest at each place, is replaced. */
ul_status ul_text_generic(ul_arena *arena, const char *text, const ul_terms *terms, const char **out) UL_MUST;
ul_status ul_records_generic(ul_ctx *ctx, ul_arena *arena, const ul_records *records, const ul_terms *terms,
                             ul_records **out) UL_MUST;
/* at[t], for each token t of a: the token of its translation b that stands in its place, or -1. Common tokens by the
 * longest common subsequence; of what was replaced the first token, the first time it comes. Time and memory: the
 * product of the lengths. */
ul_status ul_doc_align(ul_arena *scratch, const ul_doc *a, const ul_doc *b, int32_t *at) UL_MUST;

/* ---- samples ----------------------------------------------------------------------------------------------------- */
/* Which documents make sample `index` of a run: a function of the seed and the index alone, hence independent of batch,
 * micro-batch and resume. Anchored on the forget set: index = epoch * n + place; forget rows are shuffled anew each
 * epoch, each is paired with one retain row drawn with replacement and, where asked, with one alternate answer. */
typedef struct {
    const ul_docs *forget, *retain, *alt; /* retain, alt NULL: none. Plain training gives its rows as forget */
    uint64_t seed;
    bool shuffle;
    bool alt_own;           /* set before ul_pairing_alternates: its lines belong to the forget rows, row by row */
    int32_t n_alt;          /* set before it too: alternates of a sample, drawn with replacement; 0: 1 */
    int64_t n_line;         /* alternate answers to draw from, of a row */
    const int64_t *alt_key; /* [alt->n] row * n_line + line, rising  */
    int64_t *order, epoch;  /* the permutation of the epoch at hand */
} ul_pairing;
ul_status ul_pairing_init(ul_ctx *ctx, ul_arena *arena, const ul_docs *forget, const ul_docs *retain, uint64_t seed,
                          bool shuffle, ul_pairing *out) UL_MUST;
/* Every alternate document (prompt of a forget record, one of `lines` as the answer) that samples 0 .. n_samples-1
 * need, once each, id = its place in out->alt: known before the run, so that its reference can be cached. */
ul_status ul_pairing_alternates(ul_ctx *ctx, ul_arena *arena, const ul_tokenizer *tok, const ul_template *tpl,
                                const ul_records *forget, const char *const *lines, int64_t n_lines, int64_t n_samples,
                                ul_pairing *io) UL_MUST;
ul_status ul_pairing_sample(ul_ctx *ctx, ul_pairing *p, int64_t index, ul_sample *out) UL_MUST;
/* Alternate k, from 0, of sample `index`; 0 is the sample's own. */
ul_status ul_pairing_alternate(ul_ctx *ctx, ul_pairing *p, int64_t index, int32_t k, const ul_doc **out) UL_MUST;

/* ---- packing ----------------------------------------------------------------------------------------------------- */
/* Packs samples in order. sides: bit (1 << ul_side_id) for the documents to include, and UL_SHARE_PROMPT: of the prompt
 * that an alternate has in common with its forget document, what no score is read from stands only there (batch.h,
 * doc_parent); all_rows: the bits of the sides whose every position is a row (label -1 where the next token is not
 * scored), as the peers' all-position losses want. */
enum { UL_SIDE_BIT_FORGET = 1 << UL_FORGET, UL_SIDE_BIT_ALT = 1 << UL_ALT, UL_SIDE_BIT_RETAIN = 1 << UL_RETAIN,
       UL_SHARE_PROMPT = 1 << UL_N_SIDE };
ul_status ul_pack(ul_ctx *ctx, ul_arena *arena, const ul_sample *samples, int32_t n, unsigned sides, unsigned all_rows,
                  ul_batch **out) UL_MUST;
/* Packs bare documents, each a sample of its own (side UL_FORGET). */
ul_status ul_pack_docs(ul_ctx *ctx, ul_arena *arena, const ul_doc *const *docs, int32_t n, bool all_rows,
                       ul_batch **out) UL_MUST;
/* Bare documents, each a sample of its own, whose common beginnings are run once (batch.h, doc_parent). share[k] comes
 * from ul_doc_share over the k documents before: the earlier one that has most of its tokens (with their labels,
 * positions and hidden flags) in common, and how many. A document's rows are those of its labelled tokens from
 * share->prefix on; what stands before has the scores of the parent's. */
typedef struct {
    int32_t parent, prefix; /* -1, 0: nothing */
} ul_share;
ul_share ul_doc_share(const ul_doc *const *docs, const ul_share *share, int32_t k);
ul_status ul_pack_shared(ul_ctx *ctx, ul_arena *arena, const ul_doc *const *docs, const ul_share *share, int32_t n,
                         ul_batch **out) UL_MUST;
/* A copy that is n tokens long: the new ones are pad_id, hidden, unlabelled (peers' padded batches; never the
 * default). */
ul_status ul_doc_pad(ul_ctx *ctx, ul_arena *arena, const ul_doc *d, int32_t n, int32_t pad_id, ul_doc *out) UL_MUST;
#endif
