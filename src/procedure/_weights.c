/* _weights.c - copies of the weights that move, and arithmetic relative to them. */
#include "procedure/procedure.h"
#include <string.h>

ul_status ul_snapshot_take(ul_ctx *ctx, ul_arena *arena, ul_model *model, ul_snapshot *out)
{
    (void)ctx;
    *out = (ul_snapshot){.esize = ul_model_backend(model)->k->esize};
    out->n = ul_model_trainables(model, &out->train);
    UL_NEED(out->p = UL_NEW(arena, void *, out->n));
    for (int i = 0; i < out->n; i++) {
        UL_NEED(out->p[i] = ul_alloc(arena, (size_t)out->train[i].n, out->esize));
        memcpy(out->p[i], out->train[i].p, (size_t)out->train[i].n * out->esize);
    }
    return UL_OK;
}

void ul_snapshot_restore(const ul_snapshot *s)
{
    for (int i = 0; i < s->n; i++) memcpy(s->train[i].p, s->p[i], (size_t)s->train[i].n * s->esize);
}

void ul_snapshot_scale(const ul_snapshot *s, double a)
{
    for (int i = 0; i < s->n; i++)
        for (int64_t j = 0; j < s->train[i].n; j++) {
            const double w0 = ul_real_at(s->p[i], j, s->esize), w = ul_real_at(s->train[i].p, j, s->esize);
            ul_real_put(s->train[i].p, j, s->esize, w0 + a * (w - w0));
        }
}
