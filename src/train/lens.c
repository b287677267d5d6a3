/* lens.c - losses of what inner blocks already say: the mean over them of the logit lens's log p at the forget rows,
 * and the gradients that enter behind each of them. */
#include "train/train_impl.h"

static int inner(const ul_trainer *t)
{
    return ul_model_shape(t->o.model)->n_layer - 1;
}

ul_status ul_lens_look(ul_trainer *t, const ul_batch *b, double *out)
{
    double *logp = UL_NEW(t->step, double, b->n_row);
    UL_NEED(logp);
    for (int32_t d = 0; d < b->n_doc; d++)
        for (int l = 1; b->doc_side[d] == UL_FORGET && l <= inner(t); l++) {
            const int32_t first = b->doc_row[d], n = b->doc_row[d + 1] - first;
            UL_TRY(ul_model_lens(t->ctx, t->step, t->o.model,
                                 &(ul_lens){.batch = b, .layer = l, .first = first, .n = n, .logp = logp}));
            for (int32_t i = 0; i < n; i++) out[first + i] += logp[i] / inner(t);
        }
    return UL_OK;
}

ul_status ul_lens_seeds(ul_trainer *t, const ul_batch *b, const double *coef, ul_seed *seed, int *n_seed)
{
    const ul_backend *be = t->be;
    const int64_t C = ul_model_shape(t->o.model)->C;
    int32_t *row = UL_NEW(t->step, int32_t, b->n_row), n_row = 0;
    double *share = UL_NEW(t->step, double, b->n_row);
    if (!row || !share) return UL_E_RESOURCE;
    for (int32_t i = 0; i < b->n_row; i++) share[i] = coef[i] / inner(t);
    for (int32_t d = 0; d < b->n_doc; d++)
        for (int32_t i = b->doc_row[d]; b->doc_side[d] == UL_FORGET && i < b->doc_row[d + 1]; i++)
            row[n_row++] = b->row[i];
    ul_seed *mine = seed + *n_seed;
    for (int l = 1; l <= inner(t); l++) {
        void *dx = ul_alloc(t->step, (size_t)n_row * (size_t)C, be->k->esize);
        UL_NEED(dx);
        seed[(*n_seed)++] = (ul_seed){l, dx, row, n_row};
    }
    int64_t at = 0; /* document by document: sums over tokens do not depend on the micro-batch */
    for (int32_t d = 0; d < b->n_doc; d++) {
        const int32_t first = b->doc_row[d], n = b->doc_row[d + 1] - first;
        for (int l = 1; b->doc_side[d] == UL_FORGET && l <= inner(t); l++) {
            char *dx = (char *)(uintptr_t)mine[l - 1].dx + (size_t)at * be->k->esize;
            UL_TRY(ul_model_lens(
                t->ctx, t->step, t->o.model,
                &(ul_lens){.batch = b, .layer = l, .first = first, .n = n, .coef = share + first, .dx = dx}));
        }
        if (b->doc_side[d] == UL_FORGET) at += n * C;
    }
    return UL_OK;
}
