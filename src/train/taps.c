/* taps.c - what the mlps of some blocks add to the states, taken as a pass goes by, and gradients that enter there.
 *
 * The residual stream does not show an mlp's part alone; a hook at its end does. On the way back it adds the gradient
 * of the scored tokens to the one that comes from above, for that mlp only. */
#include "train/train_impl.h"
#include <string.h>

static ul_status take(void *user, int layer, const ul_batch *b, void *x)
{
    const ul_tap *t = user;
    (void)layer;
    memcpy(t->x, x, (size_t)b->n_tok * (size_t)t->C * t->be->k->esize);
    return UL_OK;
}

static void give(void *user, int layer, const ul_batch *b, void *dx)
{
    const ul_tap *t = user;
    (void)layer, (void)b;
    if (t->dx) t->be->k->scatter(t->be, t->n_row, t->C, t->row, -1, t->dx, dx);
}

ul_status ul_taps(ul_arena *arena, const ul_model *m, const ul_state *look, int n_look, ul_pass *pass, ul_tap **out)
{
    const ul_shape *s = ul_model_shape(m);
    const ul_backend *be = ul_model_backend(m);
    ul_hook *hook = NULL;
    int n = pass->n_hook;
    *out = NULL;
    for (int i = 0; i < n_look; i++) {
        if (!look[i].mlp || look[i].distance == UL_DISTANCE_NONE) continue;
        if (!*out) {
            UL_NEED(*out = UL_NEW(arena, ul_tap, s->n_layer));
            UL_NEED(hook = UL_NEW(arena, ul_hook, n + s->n_layer));
            if (n) memcpy(hook, pass->hook, (size_t)n * sizeof *hook);
        }
        for (int l = look[i].first; l <= look[i].last; l += look[i].step) {
            ul_tap *t = &(*out)[l];
            if (t->x) continue; /* two sides look there */
            *t = (ul_tap){.be = be, .C = s->C};
            UL_NEED(t->x = ul_alloc_raw(arena, (size_t)pass->batch->n_tok * (size_t)s->C, be->k->esize));
            hook[n++] = (ul_hook){l, UL_SLOT_MLP, UL_HOOK_ADD, take, t, give};
        }
    }
    if (*out) pass->hook = hook, pass->n_hook = n;
    return UL_OK;
}
