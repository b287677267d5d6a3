/* audit_kept.h - the parts of a battery that are kept. */
#ifndef UL_AUDIT_KEPT_H
#define UL_AUDIT_KEPT_H
#include "audit/battery.h"

/* SHA-256 of everything that the numbers of a model under this audit follow from, but its weights: `more` (ends with
 * NULL) says what the audit cannot see: precision, digests of tokenizer, original and donor. */
void ul_audit_key(const ul_audit *a, const char *const *more, char key[65]);

/* A part of a battery that is written or read. */
typedef struct {
    const ul_audit *audit;
    const ul_suspect *suspect;
    ul_battery *battery;
    ul_probing *probing;
    int probe;      /* which one, of a probe's part */
    double seconds; /* that it took when it was made */
} ul_battery_part;
/* `what`: a ul_battery_part. */
ul_fold_fn ul_fold_asked, ul_fold_unguarded, ul_fold_depth, ul_fold_spike, ul_fold_probed;
#endif
