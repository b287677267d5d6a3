/* score.h - documents of the answers of a data set, and scoring any documents: for the files that make columns. */
#ifndef UL_SCORE_H
#define UL_SCORE_H
#include "audit/audit.h"

/* All documents of the set: row by row, answer by answer; first[row] (n + 1 of them) counts answers. */
ul_status ul_answer_docs(ul_ctx *ctx, ul_arena *arena, const ul_tokenizer *tok, const ul_template *tpl,
                         const ul_records *records, int32_t which, ul_doc **docs, int64_t **first) UL_MUST;

/* Per labelled token of documents: those of document i are token[i] .. token[i + 1] - 1. */
typedef struct {
    int64_t *token;
    double *logp, *mu, *sigma2; /* the moments NULL where they were not asked for */
    uint8_t *hit, *eos_last;
} ul_token_columns;
ul_status ul_token_columns_new(ul_arena *arena, const ul_doc *docs, int64_t n, int32_t eos, bool moments,
                               ul_token_columns *c) UL_MUST;
/* A document to be scored, and where its first labelled token's numbers go. */
typedef struct {
    const ul_doc *doc;
    const ul_token_columns *to;
    int64_t at;
} ul_scored;
/* Runs them in this order under the guard's hooks and mix. Without these, beginnings that neighbours share are run
 * once. `what`: name in the progress line. */
ul_status ul_score_docs(ul_ctx *ctx, const ul_eval_options *o, const ul_guarded *how, const char *what,
                        const ul_scored *list, int64_t n) UL_MUST;
#endif
