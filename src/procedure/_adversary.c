/* _adversary.c - a relearner inside an unlearning step.
 *
 *   theta <- theta - lr d/dtheta mean NLL of forget rows
 *
 * Its rows are those of the run's own pairing, in the run's order: adversary step s has the rows of the run's step s (modulo
 * its length), so that it is a function of the step alone and a resumed run meets the same adversary. */
#include "procedure/_adversary.h"

static void forget_trainer(void *t) { ul_trainer_free(t); }

ul_status ul_adversary_new(ul_wrap *w, ul_adversary **out)
{
    ul_adversary *a = UL_NEW(w->arena, ul_adversary, 1);
    UL_NEED(a);
    a->w = w;
    a->recipe = *w->o->recipe;
    a->recipe.optim = UL_SGD, a->recipe.momentum = 0; /* no moments are kept */
    a->recipe.match_peer = false;
    const ul_trainer_options o = {.model = w->o->model, .recipe = &a->recipe, .micro_batch = w->o->micro_batch,
                                  .checkpoint = w->o->checkpoint, .pairing = w->o->pairing};
    UL_TRY(ul_trainer_new(w->ctx, &o, w->steps, &a->trainer));
    *out = a;
    return ul_arena_defer(w->arena, forget_trainer, a->trainer);
}

ul_status ul_adversary_step(ul_adversary *a, int64_t step, double lr)
{
    ul_step_result r;
    const ul_wrap *w = a->w;
    UL_TRY(ul_trainer_gradients(a->trainer, step % w->steps, &r));
    for (int i = 0; i < w->n_train; i++) w->be->k->sgd(w->be, lr, 0, 0, w->train[i].n, w->p[i], w->g[i], NULL);
    ul_model_grad_zero(w->o->model);
    return UL_OK;
}
