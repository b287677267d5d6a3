/* _adversary.h - a relearner inside an unlearning step: plain descent on forget rows. */
#ifndef UL_PROCEDURE_ADVERSARY_H
#define UL_PROCEDURE_ADVERSARY_H
#include "procedure/procedure.h"

typedef struct {
    ul_wrap *w;
    ul_trainer *trainer;
    ul_recipe recipe;
} ul_adversary;
/* Lives as long as the wrapper's trainer. */
ul_status ul_adversary_new(ul_wrap *w, ul_adversary **out) UL_MUST;
/* One step of plain SGD on the forget rows of the run's step `step`, from the weights as they are; leaves gradients zero. */
ul_status ul_adversary_step(ul_adversary *a, int64_t step, double lr) UL_MUST;
#endif
