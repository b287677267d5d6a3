/* exec.c - runs a planned block: forward down the rows, backward up.
 *
 *   LINEAR  y = b, y += x W^T, y += XA B^T (one chain)   dx (+)= dy W   dW += dy^T x   db += sum dy
 *                                                        dXA (+)= dy B  dB += dy^T XA
 *   DOWN    XA = s x A^T                                 e = s dXA      dx (+)= e A     dA += e^T x
 *   PICK    y = x at the scored rows                     dx (+)= dy at the scored rows, 0 elsewhere
 *
 * Weight gradients are one chain over the tokens in rising order, going on from what the gradient holds,
 * so that a batch cut between samples gives the same bits; and so does one that leaves out the tokens whose dy is 0. */
#include "model/block.h"
#include <string.h>

typedef struct {
    ul_model *m;
    const ul_backend *be;
    const ul_pass *pass;
    ul_run *r;
    ul_block_plan *b;
    int layer;
    char *dy, *dx;
} env;

static void *value(const env *e, int slot)
{
    if (slot < 0) return NULL;
    if (slot == e->b->x) return ul_run_hidden(e->m, e->r, e->layer);
    if (slot == e->b->y) return ul_run_hidden(e->m, e->r, e->layer + 1);
    const ul_slot_plan *s = &e->b->slot[slot];
    return ul_at(e->m, (e->r->grad && s->kept ? e->b->kept_at : e->r->temp_at) + s->at);
}

static void *gradient(const env *e, int slot)
{
    const ul_slot_plan *s = &e->b->slot[slot];
    if (s->cls == e->b->slot[e->b->y].cls) return e->dy;
    if (s->cls == e->b->slot[e->b->x].cls) return e->dx;
    return ul_at(e->m, e->r->temp_at + s->gat);
}

/* Tokens, or scored rows, of a slot. */
static int64_t tokens(const env *e, int slot) { return ul_slot_n(e->r, &e->b->slot[slot]); }

/* The gradient of input k, or NULL where nobody wants it. */
static void *wanted(const env *e, const ul_row *t, int k) { return t->want[k] ? gradient(e, t->in[k]) : NULL; }

static bool trains(const env *e, const ul_weight *w) { return w && w->g && !(e->r->base && w->base); }

/* c (+)= a b: [m, k] x [k, n], whose strides are given */
static void product(const ul_backend *be, int64_t m, int64_t n, int64_t k, const void *a, const void *b, int64_t b_row,
                    int64_t b_col, void *c, bool add)
{
    be->k->gemm(be, &(ul_gemm){.m = m, .n = n, .k = k, .a = a, .a_row = k, .a_col = 1, .b = b, .b_row = b_row,
                               .b_col = b_col, .c = c, .c_row = n, .add = add});
}

/* c (+)= a b^T: [m, k] x [n, k] */
static void times_t(const ul_backend *be, int64_t m, int64_t n, int64_t k, const void *a, const void *b, void *c,
                    bool add)
{
    product(be, m, n, k, a, b, 1, k, c, add);
}

/* c (+)= a b: [m, k] x [k, n] */
static void times(const ul_backend *be, int64_t m, int64_t n, int64_t k, const void *a, const void *b, void *c,
                  bool add)
{
    product(be, m, n, k, a, b, n, 1, c, add);
}

/* dw += dy^T x over the tokens of the batch, or its scored rows: [m, n] from [N, m] and x [N, n] in a slot */
static void outer(const env *e, int64_t m, int64_t n, const void *dy, int slot, void *dw)
{
    const ul_batch *bt = e->pass->batch;
    const bool picked = e->b->slot[slot].picked;
    e->be->k->gemm(e->be, &(ul_gemm){.m = m, .n = n, .k = tokens(e, slot), .a = dy, .a_row = 1,
                                     .a_col = m, .b = value(e, slot), .b_row = n, .b_col = 1, .c = dw, .c_row = n,
                                     .add = true, .seg = picked ? NULL : bt->sample_start,
                                     .n_seg = bt->sample_start && !picked ? bt->n_sample : 0});
}

void ul_linear(const ul_backend *be, int64_t n, const void *x, const ul_weight *w, const void *wp, const void *bias,
               void *y)
{
    if (bias) be->k->fill_rows(be, n, w->rows, bias, y);
    ul_gemm g = {.m = n, .n = w->rows, .k = w->cols, .a = x, .a_row = w->cols, .a_col = 1, .b = wp, .b_row = 1,
                 .b_col = w->cols, .c = y, .c_row = w->rows, .add = bias != NULL};
    if (w->panel && wp == w->p) g.b = w->panel, g.b_row = g.b_col = 0;
    be->k->gemm(be, &g);
}

/* ---- attention -------------------------------------------------------------------------------------------------- */
static ul_attn attention(const env *e, const ul_row *t)
{
    const ul_batch *bt = e->pass->batch;
    const ul_shape *s = &e->m->arch.s;
    return (ul_attn){.N = bt->n_tok, .H = s->H, .K = s->K, .D = s->D, .n_doc = bt->n_doc, .longest = bt->longest,
                     .doc_start = bt->doc_start, .doc_parent = bt->doc_parent, .doc_prefix = bt->doc_prefix,
                     .hidden = bt->hidden,
                     .scale = e->m->arch.attn_scale / (e->m->arch.scale_by_layer ? e->layer + 1 : 1),
                     .q = value(e, t->in[0]), .k = value(e, t->in[1]), .v = value(e, t->in[2]), .y = value(e, t->out),
                     .stat = value(e, t->aux)};
}

/* New keys and values join the caches: a whole prompt each, or one token each. */
static void remember(const env *e, const ul_attn *a, const ul_cache *c)
{
    const size_t row = (size_t)a->K * a->D * e->be->k->esize;
    for (int i = 0; i < c->n; i++) {
        const size_t from = (size_t)(c->one ? i : a->doc_start[i]), n = (size_t)(c->one ? 1 : c->len[i]);
        const size_t to = c->one ? (size_t)c->len[i] - 1 : 0;
        memcpy((char *)c->k[e->layer][i] + to * row, (const char *)a->k + from * row, n * row);
        memcpy((char *)c->v[e->layer][i] + to * row, (const char *)a->v + from * row, n * row);
    }
}

static void attn_fwd(const env *e, const ul_row *t)
{
    const ul_cache *c = e->r->cache;
    const ul_attn a = attention(e, t);
    if (c) remember(e, &a, c);
    if (!c || !c->one) {
        e->be->k->attn_fwd(e->be, &a);
        return;
    }
    for (int i = 0; i < c->n; i++) c->kp[i] = c->k[e->layer][i], c->vp[i] = c->v[e->layer][i];
    e->be->k->attn_one(e->be, &(ul_attn_one){.n = c->n,
                                             .H = a.H,
                                             .K = a.K,
                                             .D = a.D,
                                             .scale = a.scale,
                                             .q = a.q,
                                             .k_cache = c->kp,
                                             .v_cache = c->vp,
                                             .len = c->len,
                                             .hidden = c->hidden,
                                             .y = a.y});
}

/* ---- rows ------------------------------------------------------------------------------------------------------- */
static ul_status hook_fwd(const env *e, const ul_row *t)
{
    const ul_hook *h = t->hook;
    void *x = value(e, t->in[0]);
    if (t->out >= 0) {
        void *y = value(e, t->out);
        e->be->k->copy(e->be, e->r->n * e->b->slot[t->in[0]].width, x, y, false);
        x = y;
    }
    return h->fn(h->user, h->layer, e->pass->batch, x);
}

static bool sees(const env *e, unsigned when) { return e->pass->observer && e->pass->observer->when & when; }

static ul_status forward(const env *e, const ul_row *t, bool again)
{
    const ul_backend *be = e->be;
    const ul_kernels *k = be->k;
    const ul_arch *ar = &e->m->arch;
    const bool base = e->r->base;
    const int64_t n = tokens(e, t->in[0]);
    const void *x = value(e, t->in[0]), *bias = t->bias ? ul_weight_p(t->bias, base) : NULL;
    void *y = value(e, t->out);
    const int64_t width = e->b->slot[t->in[0]].width;
    switch (t->op) {
    case UL_OP_NORM:
        k->norm_fwd(be, ar->norm, n, width, ar->s.eps, x, ul_weight_p(t->w, base), bias, y, value(e, t->aux));
        break;
    case UL_OP_LINEAR:
        if (!again && sees(e, UL_OBSERVE_FORWARD))
            e->pass->observer->fn(e->pass->observer->user, t->w, e->pass->batch, x, NULL);
        ul_linear(be, n, x, t->w, ul_weight_p(t->w, base), bias, y);
        if (t->in[1] >= 0) times_t(be, n, t->w->rows, t->w->r, value(e, t->in[1]), t->w->b, y, true);
        break;
    case UL_OP_DOWN:
        times_t(be, n, t->w->r, t->w->cols, x, t->w->a, y, false);
        k->scale(be, n * t->w->r, t->w->s, y);
        break;
    case UL_OP_ROPE:
        k->rope(be, n, width / ar->s.D, ar->s.D, ar->s.rot, e->pass->batch->pos, e->m->cos, e->m->sin, 1, x, y, false);
        break;
    case UL_OP_ATTN: attn_fwd(e, t); break;
    case UL_OP_ACT: k->act_fwd(be, ar->act, n * width, x, y); break;
    case UL_OP_GLU: k->glu_fwd(be, ar->act, n * width, x, value(e, t->in[1]), y); break;
    case UL_OP_ADD: k->add(be, n * width, x, value(e, t->in[1]), y); break;
    case UL_OP_PICK: k->gather(be, e->r->n_row, width, e->pass->batch->row, x, y, false); break;
    case UL_OP_HOOK: return hook_fwd(e, t);
    default: break;
    }
    return UL_OK;
}

static void linear_bwd(const env *e, const ul_row *t, const void *dy)
{
    const ul_weight *w = t->w;
    const int64_t n = tokens(e, t->in[0]);
    void *dx = wanted(e, t, 0);
    if (trains(e, t->bias)) e->be->k->col_sum(e->be, n, w->rows, dy, t->bias->g);
    if (sees(e, UL_OBSERVE_BACKWARD | UL_OBSERVE_INSTEAD) && e->pass->observer->fn)
        e->pass->observer->fn(e->pass->observer->user, w, e->pass->batch, value(e, t->in[0]), dy);
    if (trains(e, w) && !sees(e, UL_OBSERVE_INSTEAD)) outer(e, w->rows, w->cols, dy, t->in[0], w->g);
    if (dx) times(e->be, n, w->cols, w->rows, dy, ul_weight_p(w, e->r->base), dx, t->add[0]);
    if (t->in[1] < 0) return;
    if (w->gb) outer(e, w->rows, w->r, dy, t->in[1], w->gb);
    if (t->want[1]) times(e->be, n, w->r, w->rows, dy, w->b, gradient(e, t->in[1]), t->add[1]);
}

static void down_bwd(const env *e, const ul_row *t, void *dxa)
{
    const ul_weight *w = t->w;
    const int64_t n = tokens(e, t->in[0]);
    void *dx = wanted(e, t, 0);
    e->be->k->scale(e->be, n * w->r, w->s, dxa);
    if (w->ga) outer(e, w->r, w->cols, dxa, t->in[0], w->ga);
    if (dx) times(e->be, n, w->cols, w->r, dxa, w->a, dx, t->add[0]);
}

static void backward(const env *e, const ul_row *t)
{
    const ul_backend *be = e->be;
    const ul_kernels *k = be->k;
    const ul_arch *ar = &e->m->arch;
    const int64_t n = tokens(e, t->in[0]), width = e->b->slot[t->in[0]].width;
    void *dy = gradient(e, t->out), *dx = wanted(e, t, 0);
    switch (t->op) {
    case UL_OP_NORM:
        k->norm_bwd(be, ar->norm, n, width, value(e, t->in[0]), ul_weight_p(t->w, e->r->base), value(e, t->aux), dy, dx,
                    t->add[0], trains(e, t->w) ? t->w->g : NULL, trains(e, t->bias) ? t->bias->g : NULL);
        break;
    case UL_OP_LINEAR: linear_bwd(e, t, dy); break;
    case UL_OP_DOWN: down_bwd(e, t, dy); break;
    case UL_OP_ROPE:
        k->rope(be, n, width / ar->s.D, ar->s.D, ar->s.rot, e->pass->batch->pos, e->m->cos, e->m->sin, -1, dy, dx,
                t->add[0]);
        break;
    case UL_OP_ATTN: {
        ul_attn a = attention(e, t);
        a.dy = dy, a.dq = dx, a.dk = wanted(e, t, 1), a.dv = wanted(e, t, 2);
        a.add_q = t->add[0], a.add_k = t->add[1], a.add_v = t->add[2];
        k->attn_bwd(be, &a);
        break;
    }
    case UL_OP_ACT: k->act_bwd(be, ar->act, n * width, value(e, t->in[0]), dy, dx, t->add[0]); break;
    case UL_OP_GLU:
        k->glu_bwd(be, ar->act, n * width, value(e, t->in[0]), value(e, t->in[1]), dy, dx, t->add[0], wanted(e, t, 1),
                   t->add[1]);
        break;
    case UL_OP_PICK:
        if (!t->add[0]) k->fill_rows(be, n, width, NULL, dx);
        k->scatter(be, e->r->n_row, width, e->pass->batch->row, -1, dy, dx);
        break;
    case UL_OP_ADD:
    case UL_OP_HOOK:
        for (int i = 0; i < 2; i++)
            if (t->want[i] && !t->alias[i]) k->copy(be, n * width, dy, gradient(e, t->in[i]), t->add[i]);
        if (dx && t->hook && t->hook->back) t->hook->back(t->hook->user, t->hook->layer, e->pass->batch, dx);
        break;
    default: break;
    }
}

void ul_block_forward(ul_model *m, const ul_pass *pass, ul_run *r, int layer, bool again, ul_status *status)
{
    const env e = {.m = m, .be = m->be, .pass = pass, .r = r, .b = &r->block[layer], .layer = layer};
    for (int i = 0; i < e.b->n_row && *status == UL_OK; i++)
        if (!again || e.b->row[i].again) *status = forward(&e, &e.b->row[i], again);
}

void ul_block_backward(ul_model *m, const ul_pass *pass, ul_run *r, int layer, char *dy, char *dx)
{
    const env e = {.m = m, .be = m->be, .pass = pass, .r = r, .b = &r->block[layer], .layer = layer, .dy = dy,
                   .dx = r->block[layer].in_place ? dy : dx};
    for (int i = e.b->n_row - 1; i >= 0; i--)
        if (e.b->row[i].live) backward(&e, &e.b->row[i]);
}
