/* _adversary.h - a relearner inside an unlearning step: descent on forget rows. */
#ifndef UL_PROCEDURE_ADVERSARY_H
#define UL_PROCEDURE_ADVERSARY_H
#include "procedure/procedure.h"

typedef struct {
    ul_wrap *w;
    ul_trainer *trainer;
    ul_recipe recipe;
    void **m, **v; /* [n_train] moments of AdamW; NULL: plain SGD */
} ul_adversary;
/* Lives as long as the wrapper's trainer. */
ul_status ul_adversary_new(ul_wrap *w, bool adamw, ul_adversary **out) UL_MUST;
/* One step on the forget rows of the run's step `step`, from the weights as they are; leaves gradients zero. `since`:
 * its number, from 1, since the adversary began anew; 1 forgets AdamW's moments. */
ul_status ul_adversary_step(ul_adversary *a, int64_t step, int64_t since, double lr) UL_MUST;
#endif
