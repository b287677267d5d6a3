/* data.h - records from files, documents from records, samples from documents, packed batches from samples. */
#ifndef UL_DATA_H
#define UL_DATA_H
#include "io/io.h"
#include "token/token.h"
#include "unlearn/batch.h"

/* ---- records ------------------------------------------------------------------------------------------------------ */
/* One row of a data set. Lists are ours to read: perturbed answers, options. Absent fields are NULL / 0. */
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
/* JSON lines, a JSON array, CSV with a header line, or plain text (paragraphs split at empty lines), by content. `fields`: NULL, or "prompt=KEY,answer=KEY,
 * paraphrase=KEY,wrong=KEY,text=KEY,entity=KEY". Known names: question/answer, prompt/completion, instruction/output, input/output,
 * text, paraphrased_answer, perturbed_answer, options. Entity: the key "entity" when there is one, else TOFU's 20 rows an author
 * when `per_entity` is > 0 (rows i / per_entity), else the row. UL_E_INPUT: empty set, a row without fields (file, line, its keys), UTF-8. */
ul_status ul_records_open(ul_ctx *ctx, ul_arena *arena, const char *path, const char *fields, int32_t per_entity,
                          ul_records **out) UL_MUST;
/* Records made in memory (demo, tests): digest over their text. */
ul_status ul_records_seal(ul_ctx *ctx, const char *name, ul_record *at, int64_t n, ul_arena *arena, ul_records **out) UL_MUST;
/* How many prompts+answers of a stand in b too. */
int64_t ul_records_overlap(ul_ctx *ctx, const ul_records *a, const ul_records *b);

/* ---- templates and documents -------------------------------------------------------------------------------------- */
/* Plain tags, as open-unlearning's `apply_chat_template: false`: prompt = user_start + question + user_end + asst_start; text = prompt +
 * answer. ids = encode(text, special) cut to max_length, then EOS unless the last id is EOS; the first encode(prompt) ids are
 * unlabelled (joint = true: the peer's way, the published numbers' way, and the default, its boundary checked by byte offsets and a
 * count of rows where it moves is warned about); joint = false: prompt and answer encoded apart and concatenated. */
typedef struct {
    const char *user_start, *user_end, *asst_start, *asst_end;
    int32_t max_length;
    bool joint, add_eos;
    bool strict;     /* a row longer than max_length is an error, not a counted warning */
    bool hide_pad;   /* --match open-unlearning: a genuine token that has the pad id is hidden as a key */
    int32_t pad_id;  /* for hide_pad; -1 = none */
} ul_template;
extern const ul_template ul_template_tofu; /* "Question: ", "\n", "Answer: ", "\n", 512, joint, EOS */
typedef struct {
    int64_t n;
    ul_doc *at;
    int64_t n_tok, n_labelled, n_truncated;
    int32_t longest;
} ul_docs;
/* `answer` NULL: each record's own; else that text for all (idk lines: one call an answer); which < 0: the answer; >= 0: wrong[which];
 * UL_WHICH_PARAPHRASE. Documents keep their record's row as id and its entity. */
enum { UL_WHICH_ANSWER = -1, UL_WHICH_PARAPHRASE = -2 };
ul_status ul_docs_build(ul_ctx *ctx, ul_arena *arena, const ul_tokenizer *tok, const ul_template *tpl,
                        const ul_records *records, int32_t which, ul_docs **out) UL_MUST;
/* One document: a record's prompt with another answer. */
ul_status ul_doc_build(ul_ctx *ctx, ul_arena *arena, const ul_tokenizer *tok, const ul_template *tpl, const char *prompt,
                       const char *answer, int64_t id, int32_t entity, ul_doc *out, bool *truncated) UL_MUST;
/* The prompt alone, for generation (no EOS, nothing labelled). */
ul_status ul_docs_prompts(ul_ctx *ctx, ul_arena *arena, const ul_tokenizer *tok, const ul_template *tpl,
                          const ul_records *records, ul_docs **out) UL_MUST;

/* ---- samples -------------------------------------------------------------------------------------------------------- */
/* Which documents make sample `index` of the run (index = epoch * n + place; a function of the seed and the index alone, hence
 * independent of batch, micro-batch, resume). Forget rows are shuffled anew each epoch; each is paired with one retain row drawn with
 * replacement and, where asked, one alternate answer. */
typedef struct {
    const ul_docs *forget, *retain; /* retain NULL: no pairs; forget NULL: plain training on `retain` is not this: give it as forget */
    const char *const *alt_answer;  /* lines, e.g. TOFU's idontknow; NULL: none */
    int64_t n_alt;
    const ul_records *forget_records; /* for the prompts of alternates */
    const ul_tokenizer *tok;
    const ul_template *tpl;
    uint64_t seed;
    bool shuffle;
} ul_source;
/* Documents of alternates are built on demand in `arena` (the step's). */
ul_status ul_source_sample(ul_ctx *ctx, const ul_source *s, int64_t index, ul_arena *arena, ul_sample *out) UL_MUST;
/* The lines of a text file (idontknow.jsonl: one answer a line, stripped, empty lines dropped). */
ul_status ul_lines_open(ul_ctx *ctx, ul_arena *arena, const char *path, const char *const **lines, int64_t *n) UL_MUST;

/* ---- packing -------------------------------------------------------------------------------------------------------- */
enum {
    UL_PACK_ALL_ROWS = 1 /* every position is a row (label -1 where the next token is not scored): peers' ALLPOS losses */
};
/* Packs samples in order. sides: bit (1 << ul_side_id) set for the documents to include. */
ul_status ul_pack(ul_ctx *ctx, ul_arena *arena, const ul_sample *samples, int32_t n, unsigned sides, unsigned flags,
                  ul_batch **out) UL_MUST;
/* Packs bare documents, each a sample of its own. */
ul_status ul_pack_docs(ul_ctx *ctx, ul_arena *arena, const ul_doc *const *docs, int32_t n, unsigned flags, ul_batch **out) UL_MUST;
#endif
