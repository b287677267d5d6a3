/* lens.c - the logit lens: what the final norm and the output matrix say of the state behind an inner block.
 *
 *   log p_l(y_t) = log softmax(W norm(h_l,t))[y_t]
 *
 * nostalgebraist 2020, "interpreting GPT: the logit lens". The gradient goes into the norm, the matrix and the state,
 * as of the model's own output; the weights' is a chain of its own, since the model's backward pass comes between. Rows
 * go by in pieces of whole blocks of 32 counted from the first one asked for: who asks document by document has the
 * same bits in any batch. */
#include "model/block.h"

enum { PIECE = 64 };

typedef struct {
    const ul_backend *be;
    ul_weight *w, *nw, *nb;
    int64_t C, V;
    void *x, *normed, *stat, *z, *dn; /* [PIECE, ...] */
} lens;

static ul_status room(ul_arena *arena, lens *s)
{
    const size_t e = s->be->k->esize, c = (size_t)(PIECE * s->C);
    UL_NEED(s->x = ul_alloc_raw(arena, c, e));
    UL_NEED(s->normed = ul_alloc_raw(arena, c, e));
    UL_NEED(s->dn = ul_alloc_raw(arena, c, e));
    UL_NEED(s->stat = ul_alloc_raw(arena, 2 * PIECE, e));
    UL_NEED(s->z = ul_alloc_raw(arena, (size_t)(PIECE * s->V), e));
    return UL_OK;
}

static ul_status chain(ul_model *m, ul_weight *w)
{
    if (w && w->g && !w->lens) UL_NEED(w->lens = ul_alloc(m->grad_arena, (size_t)(w->rows * w->cols), m->be->k->esize));
    return UL_OK;
}

static void forward(const ul_model *m, const lens *s, const ul_batch *b, const void *hidden, int32_t first, int64_t n)
{
    s->be->k->gather(s->be, n, s->C, b->row + first, hidden, s->x, false);
    s->be->k->norm_fwd(s->be, m->arch.norm, n, s->C, m->arch.s.eps, s->x, s->nw->p, s->nb ? s->nb->p : NULL, s->normed,
                       s->stat);
    ul_linear(s->be, n, s->normed, s->w, s->w->p, NULL, s->z);
}

static void backward(const ul_model *m, const lens *s, int64_t n, void *dx)
{
    ul_head_products(s->be, s->w, s->w->p, n, s->z, s->normed, NULL, 0, s->w->lens, s->dn);
    s->be->k->norm_bwd(s->be, m->arch.norm, n, s->C, s->x, s->nw->p, s->stat, s->dn, dx, false, s->nw->lens,
                       s->nb ? s->nb->lens : NULL);
}

ul_status ul_model_lens(ul_ctx *ctx, ul_arena *arena, ul_model *m, const ul_lens *l)
{
    lens s = {.be = m->be,
              .w = ul_head_weight(m, false),
              .nw = m->top[W_NF],
              .nb = m->top[B_NF],
              .C = m->arch.s.C,
              .V = m->arch.s.V};
    const ul_batch *b = l->batch;
    const void *hidden = ul_model_hidden(m, l->layer);
    if (!hidden || l->first < 0 || l->n < 0 || l->first + l->n > b->n_row)
        return ul_fail(ctx, UL_E_INTERNAL,
                       "the logit lens of rows %d to %d behind %d blocks: the last pass kept no such state",
                       (int)l->first, (int)(l->first + l->n), l->layer);
    const ul_mark mark = ul_arena_mark(arena);
    UL_TRY(room(arena, &s));
    if (l->coef) {
        UL_TRY(chain(m, s.w));
        UL_TRY(chain(m, s.nw));
        UL_TRY(chain(m, s.nb));
    }
    for (int32_t i = 0; i < l->n; i += PIECE) {
        const int64_t n = l->n - i < PIECE ? l->n - i : PIECE;
        const int32_t *label = b->label + l->first + i;
        forward(m, &s, b, hidden, l->first + i, n);
        if (l->logp) s.be->k->score(s.be, n, s.V, s.z, label, NULL, &(ul_score){.logp = l->logp + i});
        if (!l->coef) continue;
        s.be->k->score_bwd(s.be, n, s.V, s.z, label, &(ul_dscore){.logp = l->coef + i}, NULL);
        backward(m, &s, n, ul_part_of(s.be, l->dx, i * s.C));
    }
    ul_arena_rewind(arena, mark);
    return UL_OK;
}
