/* audit_data.h - rows and documents of an audit: subsets by entity, by stride; wrong answers where there are none. */
#ifndef UL_AUDIT_DATA_H
#define UL_AUDIT_DATA_H
#include "audit/battery.h"

/* Rows by the person or thing that they are about. */
ul_status ul_records_clusters(ul_arena *arena, const ul_records *r, ul_clusters *out) UL_MUST;
/* Every row whose entity's place (in order of first appearance) is in the wanted half. */
ul_status ul_records_half(ul_ctx *ctx, ul_arena *arena, const ul_records *in, int half, ul_records **out,
                          uint8_t *side) UL_MUST;
/* Those rows whose `take` is set. */
ul_status ul_records_subset(ul_arena *arena, const ul_records *in, const uint8_t *take, ul_records **out) UL_MUST;
double ul_rows_chance(const ul_records *r); /* mean of 1 / options */
/* At most n rows, spread evenly. */
ul_status ul_records_spread(ul_arena *arena, const ul_records *in, int64_t n, ul_records **out) UL_MUST;
/* Rows for asking and documents for attacks, from records: fills the sets of an audit
 * whose tokenizer and template are there. */
typedef struct {
    /* as read; the last four may be NULL */
    const ul_records *forget, *retain, *rephrased, *phantom, *holdout, *neighbours;
} ul_audit_sets;
/* Whether wrong answers that rows bring can be told from the true one without knowing (audit_wording.c). */
ul_status ul_wrong_tells(const ul_audit *a, const ul_records *r, bool *out) UL_MUST;
ul_status ul_audit_fill(ul_audit *a, const ul_audit_sets *in) UL_MUST;
/* People whom no model was taught: the rows of `retain` under invented names (phantom.c).
 * UL_E_INPUT: fewer than `least`. */
ul_status ul_phantoms_generate(ul_ctx *ctx, ul_arena *arena, const ul_records *forget, const ul_records *retain,
                               uint64_t seed, int64_t least, ul_records **out) UL_MUST;
#endif
