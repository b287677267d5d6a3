/* batch.h - documents and packed batches: what data makes and a model reads.
 *
 * A batch is packed: the documents of whole samples stand one behind the other, positions restart at each document,
 * attention never crosses documents, nothing is padded. A sample is its forget, alternate and retain document, in this
 * order; this is the order of every sum over tokens, so a cut between samples (a micro-batch) never changes a bit. */
#ifndef UNLEARN_BATCH_H
#define UNLEARN_BATCH_H
#include "unlearn/base.h"

typedef struct {
    int64_t id;              /* row in its data set, from 0                                                     */
    int32_t n;               /* tokens                                                                          */
    int32_t entity;          /* the person or thing it is about, for clustered intervals; row number if unknown */
    const int32_t *token;    /* [n]                                                                             */
    const uint8_t *labelled; /* [n] 1 = this token is scored, predicted from the one before; [0] is always 0    */
    const uint8_t *hidden;   /* [n] 1 = no query may see this token as a key; NULL = none hidden                */
    const int32_t *pos;      /* [n] positions where they are not 0, 1, 2, ...; NULL = they are                  */
    const int32_t *target;   /* [n] what a scored token is scored as, where not itself (relabelling); NULL      */
} ul_doc;

typedef enum { UL_FORGET, UL_ALT, UL_RETAIN, UL_N_SIDE } ul_side_id;

typedef struct {
    const ul_doc *doc[UL_N_SIDE]; /* NULL where a sample has no such document */
} ul_sample;

typedef struct {
    int32_t n_tok, n_doc, n_sample, n_row, longest; /* longest: tokens of the longest document */
    const int32_t *token;                           /* [n_tok]                                                   */
    const int32_t *pos;                             /* [n_tok]                                                   */
    const int32_t *doc_start;                       /* [n_doc + 1] in tokens                                     */
    const int32_t *sample_start;                    /* [n_sample + 1] in tokens                                  */
    const uint8_t *hidden;                          /* [n_tok] or NULL                                           */
    const int32_t *row;                             /* [n_row] index of the token whose output is scored, rising */
    const int32_t *label;                           /* [n_row] the token that follows it; -1 = none (soft row)   */
    const uint8_t *doc_side;                        /* [n_doc] ul_side_id                                        */
    const int32_t *doc_sample;                      /* [n_doc]                                                   */
    const int32_t *doc_row;                         /* [n_doc + 1] in rows                                       */
    const int64_t *doc_id;                          /* [n_doc] row in its data set, or NULL: nobody asks         */
    /* Shared prefixes, or NULL: the first doc_prefix[d] tokens of document d are those of the earlier document
     * doc_parent[d] and stand only there. Its own tokens attend to them. `longest` counts them, and a row that predicts
     * the first own token is the parent's. Scores have the bits of unshared documents; gradients are sums in another
     * order. */
    const int32_t *doc_parent, *doc_prefix;         /* [n_doc]; parent -1, prefix 0: none                        */
} ul_batch;

#endif
