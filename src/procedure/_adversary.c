/* _adversary.c - a relearner inside an unlearning step.
 *
 *   theta <- theta - lr d/dtheta mean NLL of forget rows, or a step of AdamW without decay
 *
 * Its rows are those of the run's own pairing, in the run's order: adversary step s has the rows of the run's step s
 * (modulo its length), so that it is a function of the step alone and a resumed run meets the same adversary. */
#include "procedure/_adversary.h"

static void forget_trainer(void *t) { ul_trainer_free(t); }

ul_status ul_adversary_new(ul_wrap *w, bool adamw, ul_adversary **out)
{
    ul_adversary *a = UL_NEW(w->arena, ul_adversary, 1);
    UL_NEED(a);
    a->w = w;
    if (adamw) UL_TRY(ul_wrap_arrays(w, NULL, &a->m));
    if (adamw) UL_TRY(ul_wrap_arrays(w, NULL, &a->v));
    a->recipe = *w->o->recipe;
    a->recipe.optim = UL_SGD, a->recipe.momentum = 0; /* the trainer keeps no moments */
    a->recipe.match_peer = false;
    const ul_trainer_options o = {.model = w->o->model, .recipe = &a->recipe, .micro_batch = w->o->micro_batch,
                                  .checkpoint = w->o->checkpoint, .pairing = w->o->pairing};
    UL_TRY(ul_trainer_new(w->ctx, &o, w->steps, &a->trainer));
    *out = a;
    return ul_arena_defer(w->arena, forget_trainer, a->trainer);
}

ul_status ul_adversary_step(ul_adversary *a, int64_t step, int64_t since, double lr)
{
    ul_step_result r;
    const ul_wrap *w = a->w;
    const ul_kernels *k = w->be->k;
    const ul_adamw usual = {lr, 0.9, 0.999, 1e-8, 0, since};
    UL_TRY(ul_trainer_gradients(a->trainer, step % w->steps, &r));
    for (int i = 0; i < w->n_train; i++) {
        const int64_t n = w->train[i].n;
        if (!a->m) {
            k->sgd(w->be, lr, 0, 0, n, w->p[i], w->g[i], NULL);
            continue;
        }
        if (since == 1) k->fill_rows(w->be, 1, n, NULL, a->m[i]), k->fill_rows(w->be, 1, n, NULL, a->v[i]);
        k->adamw(w->be, &usual, n, w->p[i], w->g[i], a->m[i], a->v[i]);
    }
    ul_model_grad_zero(w->o->model);
    return UL_OK;
}
