/* pass.c - one pass over a packed batch: the embedding, the blocks, the head; and back.
 *
 * A pass is planned first (ul_run_plan): what every block keeps, who is live backwards, and where all of it lies in one
 * slab, so that the bytes are known before the run and nothing is allocated during it. The loop owns checkpointing
 * (keep the block inputs, run the block again), early exit, gradient seeds, and the lowest block that a gradient must
 * reach. */
#include "model/block.h"

/* ---- plan ------------------------------------------------------------------------------------------------------- */
static bool trains(const ul_weight *w, bool base)
{
    if (!w) return false;
    return (w->g && !(base && w->base)) || (!base && (w->ga || w->gb));
}

/* The lowest block with a backward: -1 when the embedding moves, n_layer when no block does. */
static int lowest(const ul_model *m, bool base)
{
    const int n_layer = m->arch.s.n_layer;
    if (trains(m->top[W_EMBED], base) || trains(m->top[W_POS], base)) return -1;
    for (int l = 0; l < n_layer; l++)
        for (int i = 0; i < UL_BLOCK_WEIGHTS; i++)
            if (trains(m->at[(size_t)l * UL_BLOCK_WEIGHTS + i], base)) return l;
    return n_layer;
}

int ul_model_lowest(const ul_model *m) { return lowest(m, false); }

static ul_status check_sizes(ul_ctx *ctx, const ul_model *m, const ul_pass *pass)
{
    const ul_shape *s = &m->arch.s;
    if (pass->last > s->n_layer)
        return ul_fail(ctx, UL_E_USAGE, "a pass of %d blocks over a model of %d", pass->last, s->n_layer);
    if (pass->first < 0 || pass->first > (pass->last < 0 ? s->n_layer : pass->last))
        return ul_fail(ctx, UL_E_USAGE, "a pass that starts after %d blocks and runs %d", pass->first,
                       pass->last < 0 ? s->n_layer : pass->last);
    for (int i = 0; i < pass->n_hook; i++)
        if (pass->hook[i].layer < 0 || pass->hook[i].layer >= s->n_layer)
            return ul_fail(ctx, UL_E_USAGE, "a hook at layer %d: the model has layers 0 to %d", pass->hook[i].layer,
                           s->n_layer - 1);
    for (int i = 0; i < pass->n_seed; i++)
        if (pass->seed[i].layer < pass->first || pass->seed[i].layer > (pass->last < 0 ? s->n_layer : pass->last))
            return ul_fail(ctx, UL_E_USAGE, "a gradient enters after %d blocks, the pass runs %d", pass->seed[i].layer,
                           pass->last < 0 ? s->n_layer : pass->last);
    return UL_OK;
}

static ul_status plan_blocks(ul_ctx *ctx, ul_model *m, const ul_pass *pass, ul_run *r, size_t *kept, size_t *temp)
{
    bool in_place = true;
    *kept = *temp = 0;
    for (int l = r->first; l < r->last; l++) {
        ul_block_plan *b = &r->block[l];
        const bool live = r->grad && l >= r->low;
        UL_TRY(ul_block_build(ctx, m, pass, l, r->pick && l == r->last - 1, b));
        ul_block_plan_live(b, live && l > r->low, r->base);
        ul_block_place(b, r, m->be->k->esize, live);
        if (!live)
            for (int s = 0; s < b->n_slot; s++) b->slot[s].kept = false;
        b->kept_at = r->checkpoint ? 0 : *kept;
        *kept = r->checkpoint ? (b->kept_bytes > *kept ? b->kept_bytes : *kept) : *kept + b->kept_bytes;
        const size_t most = b->temp_bytes > b->grad_bytes ? b->temp_bytes : b->grad_bytes;
        if (most > *temp) *temp = most;
        in_place = in_place && (b->in_place || !b->gives_dx);
    }
    r->n_dx = !r->grad || r->low >= r->last ? 0 : in_place ? 1 : 2;
    return UL_OK;
}

/* May the last block be run at the scored rows alone behind its attention? Where nobody looks at the other tokens
 * there, it is worth it, and it cannot be seen: a gradient in f32 or double is a chain that a token without one adds
 * +0 to. The bf16 product's blocks of tokens would move. */
static bool may_pick(const ul_model *m, const ul_pass *pass, const ul_run *r)
{
    const ul_batch *b = pass->batch;
    bool seen = pass->observer || pass->flags & UL_PASS_STATES || r->last == r->first || !r->head;
    for (int i = 0; i < pass->n_hook; i++)
        seen |= pass->hook[i].layer == r->last - 1 && pass->hook[i].slot != UL_SLOT_IN;
    for (int i = 0; i < pass->n_seed; i++) seen |= pass->seed[i].layer == r->last;
    for (int32_t i = 1; r->grad && i < b->n_row && !seen; i++) seen = b->row[i] <= b->row[i - 1];
    return !seen && !(r->grad && m->be->precision == UL_PRECISION_BF16) && 8 * r->n_row <= 7 * r->n;
}

ul_status ul_run_plan(ul_ctx *ctx, ul_model *m, const ul_pass *pass, ul_run *r)
{
    const int n_layer = m->arch.s.n_layer;
    size_t kept, temp;
    UL_TRY(check_sizes(ctx, m, pass));
    r->ready = r->has_logits = false;
    r->grad = pass->flags & UL_PASS_GRAD;
    r->checkpoint = r->grad && (pass->flags & UL_PASS_CHECKPOINT);
    r->base = pass->flags & UL_PASS_BASE;
    r->first = pass->first;
    r->last = pass->last < 0 ? n_layer : pass->last;
    r->head = r->last == n_layer && pass->batch->n_row > 0 && !(pass->flags & UL_PASS_NO_HEAD);
    r->n = pass->batch->n_tok;
    r->n_row = pass->batch->n_row;
    r->low = lowest(m, r->base);
    r->pick = may_pick(m, pass, r);
    if (r->grad && r->first && r->low < r->first)
        return ul_fail(ctx, UL_E_INTERNAL, "a pass that starts after %d blocks, and a weight of block %d moves",
                       r->first, r->low);
    r->cache = NULL;
    r->hidden_bytes = ul_round64((size_t)(r->n * m->arch.s.C) * m->be->k->esize);
    r->n_hidden = r->last - r->first + 1;
    if (!r->grad && !(pass->flags & UL_PASS_STATES) && r->n_hidden > 2) r->n_hidden = 2;
    UL_TRY(plan_blocks(ctx, m, pass, r, &kept, &temp));
    size_t at = 0;
    r->hidden_at = at, at += (size_t)r->n_hidden * r->hidden_bytes;
    for (int l = r->first; l < r->last; l++) r->block[l].kept_at += at;
    at += kept;
    r->temp_at = at, at += temp;
    r->dx_at = at, at += (size_t)r->n_dx * r->hidden_bytes;
    r->head_at = at;
    if (r->head) ul_head_plan(m, pass, r, &at);
    r->head_bytes = at - r->head_at;
    r->total = at;
    return UL_OK;
}

ul_status ul_model_plan(ul_ctx *ctx, ul_model *m, const ul_pass *pass, ul_bytes_plan *out)
{
    ul_run *r = &m->ask;
    const size_t esize = m->be->k->esize;
    UL_TRY(ul_run_plan(ctx, m, pass, r));
    *out = (ul_bytes_plan){.slots = r->head_at, .head = r->head_bytes};
    for (int i = 0; i < m->n_matrix; i++) {
        const ul_matrix *x = &m->matrix[i];
        const size_t bytes = (size_t)(x->rows * x->cols) * esize;
        out->weights += bytes * (x->base && x->saved ? 2 : 1);
        out->grads += (x->g ? bytes : 0) + (x->g2 ? bytes : 0);
        const ul_weight *w = x->part[0];
        if (w->r) {
            const size_t ab = (size_t)((x->rows + x->cols) * w->r) * esize;
            out->weights += ab, out->grads += w->ga ? ab : 0;
        }
    }
    for (int i = 0; i < m->n_weight; i++)
        if (m->weight[i].panel) out->weights += ul_panel_bytes(m->be, m->weight[i].rows, m->weight[i].cols);
    out->work = ul_backend_reserve_bytes(m->be, pass->batch->longest, m->arch.s.D);
    if (m->be->work_bytes > out->work) out->work = m->be->work_bytes;
    out->total = out->weights + out->grads + out->slots + out->head + out->work;
    return UL_OK;
}

/* ---- run -------------------------------------------------------------------------------------------------------- */
void *ul_run_hidden(const ul_model *m, const ul_run *r, int layer)
{
    return ul_at(m, r->hidden_at + (size_t)((layer - r->first) % r->n_hidden) * r->hidden_bytes);
}

static ul_status slab(ul_ctx *ctx, ul_model *m, size_t bytes)
{
    if (bytes <= m->slab_bytes) return UL_OK;
    ul_arena_reset(m->step_arena);
    m->slab = NULL, m->slab_bytes = 0;
    m->slab = ul_alloc_raw(m->step_arena, bytes, 1);
    if (!m->slab)
        return ul_fail_in(ctx, UL_E_RESOURCE,
                          "a pass needs %.2f GiB (smaller micro-batches or checkpointing need less)",
                          (double)bytes / (1 << 30));
    m->slab_bytes = bytes;
    return UL_OK;
}

static ul_status check_tokens(ul_ctx *ctx, ul_model *m, const ul_batch *b)
{
    const ul_shape *s = &m->arch.s;
    int32_t longest = 0;
    for (int32_t i = 0; i < b->n_tok; i++) {
        if (b->token[i] < 0 || b->token[i] >= s->V)
            return ul_fail(ctx, UL_E_INPUT,
                           "token %d of the batch is %d, the model's vocabulary has %d: is this its tokenizer?", i,
                           b->token[i], s->V);
        if (b->pos[i] < 0 || (m->top[W_POS] && b->pos[i] >= s->n_ctx))
            return ul_fail(ctx, UL_E_INPUT,
                           "token %d of the batch stands at position %d, the model was made for %d: cut the row", i,
                           b->pos[i], s->n_ctx);
        if (b->pos[i] > longest) longest = b->pos[i];
    }
    return m->arch.rope == UL_ROPE_NONE ? UL_OK : ul_rope_reserve(ctx, m, longest + 1);
}

static void stem_forward(ul_model *m, const ul_pass *pass, const ul_run *r)
{
    const ul_batch *b = pass->batch;
    void *x = ul_run_hidden(m, r, r->first);
    const int32_t c = m->arch.s.C;
    if (r->first) {
        m->be->k->copy(m->be, r->n * c, pass->start, x, false);
        return;
    }
    m->be->k->gather(m->be, r->n, c, b->token, ul_weight_p(m->top[W_EMBED], r->base), x, false);
    if (m->top[W_POS]) m->be->k->gather(m->be, r->n, c, b->pos, ul_weight_p(m->top[W_POS], r->base), x, true);
}

static void stem_backward(ul_model *m, const ul_pass *pass, const ul_run *r, const void *dx)
{
    const ul_batch *b = pass->batch;
    const ul_weight *e = m->top[W_EMBED], *p = m->top[W_POS];
    const int32_t c = m->arch.s.C;
    if (trains(e, r->base)) m->be->k->scatter(m->be, r->n, c, b->token, m->arch.s.pad, dx, e->g2 ? e->g2 : e->g);
    if (p && trains(p, r->base)) m->be->k->scatter(m->be, r->n, c, b->pos, -1, dx, p->g);
}

/* What a backward pass over shared prefixes asks for (backend.h, ul_attn). */
static ul_status check_shared(ul_ctx *ctx, const ul_pass *pass, const ul_cache *cache)
{
    const ul_batch *b = pass->batch;
    const bool grad = pass->flags & UL_PASS_GRAD;
    if (!b->doc_prefix) return UL_OK;
    if (cache || (grad && b->hidden))
        return ul_fail(ctx, UL_E_INTERNAL,
                       "documents that share a prefix are run without a cache, and backward without hidden tokens");
    for (int32_t d = 0, root = 0; grad && d < b->n_doc; d++) {
        if (!b->doc_prefix[d])
            root = d;
        else if (b->doc_parent[d] < root || b->doc_parent[d] >= d)
            return ul_fail(ctx, UL_E_INTERNAL,
                           "document %d shares a prefix with document %d; a backward pass goes back to %d", d,
                           b->doc_parent[d], root);
    }
    return UL_OK;
}

ul_status ul_run_forward(ul_ctx *ctx, ul_model *m, ul_pass *pass, const ul_cache *cache)
{
    ul_run *r = &m->run;
    ul_status status = UL_OK;
    const int64_t before = ul_alloc_failures(ctx);
    if (!m->weight[0].p) return ul_fail(ctx, UL_E_INTERNAL, "%s was opened without weights", m->dir);
    UL_TRY(check_shared(ctx, pass, cache));
    UL_TRY(ul_run_plan(ctx, m, pass, r));
    UL_TRY(check_tokens(ctx, m, pass->batch));
    UL_TRY(ul_backend_reserve(m->be, pass->batch->longest, m->arch.s.D));
    UL_TRY(slab(ctx, m, r->total));
    r->cache = cache;
    m->normed = NULL;
    stem_forward(m, pass, r);
    for (int l = r->first; l < r->last && status == UL_OK; l++) ul_block_forward(m, pass, r, l, false, &status);
    UL_TRY(status);
    if (r->head && !cache) ul_head_forward(m, pass, r);
    r->ready = true;
    return ul_alloc_held(ctx, before); /* a hook or mixer that found no memory has left its part out */
}

static ul_status run_others(ul_ctx *ctx, const ul_mix *mix, const ul_batch *batch)
{
    for (int i = 0; i < mix->n; i++) {
        ul_pass pass = {.batch = batch, .last = -1};
        UL_TRY(ul_run_forward(ctx, mix->other[i], &pass, NULL));
    }
    return UL_OK;
}

ul_status ul_model_forward(ul_ctx *ctx, ul_model *m, ul_pass *pass)
{
    if (pass->mix) UL_TRY(run_others(ctx, pass->mix, pass->batch));
    return ul_run_forward(ctx, m, pass, NULL);
}

static bool hooked(const ul_pass *pass, int block)
{
    for (int i = 0; i < pass->n_hook; i++)
        if (pass->hook[i].back && pass->hook[i].layer == block) return true;
    return false;
}

/* The gradients that enter after `layer` blocks; true when there is one now. */
static bool enter(ul_model *m, const ul_pass *pass, const ul_run *r, int layer, void *dx, bool have)
{
    if (!have && hooked(pass, layer - 1)) { /* its own comes in inside the block */
        m->be->k->fill_rows(m->be, r->n, m->arch.s.C, NULL, dx);
        have = true;
    }
    for (int i = 0; i < pass->n_seed; i++) {
        const ul_seed *s = &pass->seed[i];
        if (s->layer != layer || !s->dx) continue;
        if (s->row) {
            if (!have) m->be->k->fill_rows(m->be, r->n, m->arch.s.C, NULL, dx);
            m->be->k->scatter(m->be, s->n_row, m->arch.s.C, s->row, -1, s->dx, dx);
        } else {
            m->be->k->copy(m->be, r->n * m->arch.s.C, s->dx, dx, have);
        }
        have = true;
    }
    return have;
}

ul_status ul_model_backward(ul_ctx *ctx, ul_model *m, ul_pass *pass)
{
    ul_run *r = &m->run;
    ul_status status = UL_OK;
    const int64_t before = ul_alloc_failures(ctx);
    for (int i = 0; i < pass->n_seed; i++)
        if (r->pick && pass->seed[i].layer == r->last)
            return ul_fail(ctx, UL_E_INTERNAL, "a gradient enters after the last block, whose other tokens were left "
                           "out: UL_PASS_STATES keeps them");
    if (!r->ready || !r->grad || r->n != pass->batch->n_tok || r->n_row != pass->batch->n_row)
        return ul_fail(ctx, UL_E_INTERNAL, "a backward pass over %d tokens needs a forward pass over the same batch "
                       "with UL_PASS_GRAD just before it", pass->batch->n_tok);
    UL_TRY(check_sizes(ctx, m, pass));
    char *dy = ul_at(m, r->dx_at), *dx = dy + (r->n_dx > 1 ? r->hidden_bytes : 0);
    bool have = false;
    if (r->head && (pass->coef || pass->kl_coef || pass->gap_coef || pass->rival_coef || pass->mu_coef)) {
        have = r->n_dx > 0;
        ul_head_backward(m, pass, r, have ? dy : NULL);
    }
    for (int l = r->last; r->n_dx && l > 0 && l > r->low; l--) {
        ul_block_plan *b = &r->block[l - 1];
        have = enter(m, pass, r, l, dy, have);
        if (!have) continue;
        if (r->checkpoint && l != r->last) ul_block_forward(m, pass, r, l - 1, true, &status);
        UL_TRY(status);
        ul_block_backward(m, pass, r, l - 1, dy, dx);
        have = b->gives_dx;
        if (!b->in_place) {
            char *t = dy;
            dy = dx, dx = t;
        }
    }
    if (r->low < 0 && (have = enter(m, pass, r, 0, dy, have))) stem_backward(m, pass, r, dy);
    r->ready = false;
    return ul_alloc_held(ctx, before); /* the same of hooks and observers */
}

const void *ul_model_hidden(const ul_model *m, int layer)
{
    const ul_run *r = &m->run;
    if (layer < r->first || !m->slab || (r->pick && layer >= r->last)) return NULL;
    if (layer <= r->last) return layer >= r->last - (r->n_hidden - 1) ? ul_run_hidden(m, r, layer) : NULL;
    if (r->last != m->arch.s.n_layer || layer != r->last + 1) return NULL;
    return ul_head_normed((ul_model *)(uintptr_t)m);
}
