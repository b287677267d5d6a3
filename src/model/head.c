/* head.c - the final norm and the output matrix, at the scored rows only, a chunk of rows at a time.
 *
 * Forward gives scores; only the logits of its first chunk stay. Backward computes those of the other chunks again,
 * turns a chunk in place into its gradient dz, and goes on:  dh = dz W,  dW += dz^T h (one chain over the rows).  The
 * chunk never changes a bit: it ends where a block of 32 rows of a sample ends (the bf16 product's blocks
 * along tokens start at each sample). */
#include "model/block.h"
#include <string.h>

/* Logits of a chunk: about 16 million numbers, 64 MiB of floats (packing the matrix again costs 2 % at 256 rows of it).
 * Where a backward follows, four times as many: a micro-batch of 2048 rows over 32000 words then computes no logit
 * twice, which is a fifth of the products of a 15M model's step. */
enum { CHUNK_NUMBERS = 16 << 20, KEPT_NUMBERS = 64 << 20, CHUNK_ROWS = 64, BLOCK = 32 };
/* The reference's logits, where there are soft targets, live only from their product
 * to the scores: a part of the chunk. */
enum { REFERENCE_ROWS = 256 };

ul_weight *ul_head_weight(const ul_model *m, bool base)
{
    return m->own_head && !base ? m->own_head : m->top[W_HEAD];
}

const void *ul_model_head(const ul_model *m) { return ul_head_weight(m, false)->p; }

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

void ul_head_plan(const ul_model *m, const ul_pass *pass, ul_run *r, size_t *at)
{
    const size_t esize = m->be->k->esize;
    const int64_t c = m->arch.s.C, v = m->arch.s.V;
    r->chunk = (r->grad ? KEPT_NUMBERS : CHUNK_NUMBERS) / v / BLOCK * BLOCK;
    if (r->chunk < CHUNK_ROWS) r->chunk = CHUNK_ROWS;
    if (m->head_rows) r->chunk = m->head_rows;
    if (pass->flags & UL_PASS_PLAIN_HEAD || r->chunk > r->n_row) r->chunk = r->n_row;
    const int64_t held = r->grad ? r->n_row : r->chunk;
    const struct { size_t *to, n; } parts[] = {
        {&r->at_seg, r->grad ? (size_t)(pass->batch->n_doc + 2) * sizeof(int32_t) : 0},
        {&r->at_xr, r->pick ? 0 : (size_t)(held * c) * esize},
        {&r->at_nr, (size_t)(held * c) * esize},
        {&r->at_stat, (size_t)(held * 2) * esize},
        {&r->at_dnr, r->grad ? (size_t)(held * c) * esize : 0},
        {&r->at_z, (size_t)(r->chunk * v) * esize},
        {&r->at_zref, pass->ref_hidden ? (size_t)(least(r->chunk, REFERENCE_ROWS) * v) * esize : 0}};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) *parts[i].to = *at, *at += ul_round64(parts[i].n);
}

static void norm(const ul_model *m, const ul_run *r, int64_t n, const void *x, void *y, void *stat)
{
    const ul_weight *b = m->top[B_NF];
    m->be->k->norm_fwd(m->be, m->arch.norm, n, m->arch.s.C, m->arch.s.eps, x, ul_weight_p(m->top[W_NF], r->base),
                       b ? ul_weight_p(b, r->base) : NULL, y, stat);
}

/* Rows first .. first + n - 1: what the head reads. */
static void *normed_rows(ul_model *m, const ul_run *r, const ul_batch *b, int64_t first, int64_t n)
{
    const int64_t o = r->grad ? first : 0, c = m->arch.s.C;
    void *x = ul_part_of(m->be, ul_at(m, r->at_xr), o * c), *y = ul_part_of(m->be, ul_at(m, r->at_nr), o * c);
    void *hidden = ul_run_hidden(m, r, r->last);
    if (r->pick)
        x = ul_part_of(m->be, hidden, first * c);
    else
        m->be->k->gather(m->be, n, c, b->row + first, hidden, x, false);
    norm(m, r, n, x, y, ul_part_of(m->be, ul_at(m, r->at_stat), o * 2));
    return y;
}

/* The hidden state of all tokens after the final norm, for those who look at it. */
const void *ul_head_normed(ul_model *m)
{
    const ul_run *r = &m->run;
    const size_t esize = m->be->k->esize;
    if (m->normed) return m->normed;
    ul_arena_reset(m->side_arena);
    void *stat = ul_alloc_raw(m->side_arena, (size_t)r->n * 2, esize);
    m->normed = ul_alloc_raw(m->side_arena, (size_t)(r->n * m->arch.s.C), esize);
    if (!stat || !m->normed) return m->normed = NULL;
    norm(m, r, r->n, ul_run_hidden(m, r, r->last), m->normed, stat);
    return m->normed;
}

/* Where the sample of row i begins, in rows. */
static int64_t sample_row(const ul_batch *b, int64_t i)
{
    int64_t start = 0;
    for (int32_t d = 0; d < b->n_doc && b->doc_row[d] <= i; d++)
        if (d == 0 || b->doc_sample[d] != b->doc_sample[d - 1]) start = b->doc_row[d];
    return start;
}

/* Rows of the chunk that begins at `first`. */
static int64_t chunk_rows(const ul_run *r, const ul_batch *b, int64_t first)
{
    int64_t end = first + r->chunk;
    if (end >= r->n_row) return r->n_row - first;
    const int64_t start = sample_row(b, end);
    end = start + (end - start) / BLOCK * BLOCK;
    return end - first;
}

/* Borders of the samples among rows first .. first + n - 1. */
static int32_t segments(const ul_batch *b, int64_t first, int64_t n, int32_t *seg)
{
    int32_t k = 0;
    seg[k++] = 0;
    for (int32_t d = 1; d < b->n_doc; d++) {
        const int64_t at = b->doc_row[d] - first;
        if (b->doc_sample[d] != b->doc_sample[d - 1] && at > seg[k - 1] && at < n) seg[k++] = (int32_t)at;
    }
    seg[k] = (int32_t)n;
    return k;
}

static bool reads_reference(const uint8_t *soft, int64_t n)
{
    return memchr(soft, UL_SOFT_KL, (size_t)n) || memchr(soft, UL_SOFT_CE, (size_t)n);
}

/* Soft targets of some rows, with the reference's logits where a row wants them. */
static ul_soft targets(ul_model *m, const ul_pass *pass, const ul_run *r, int64_t first, int64_t n)
{
    const ul_soft t = {NULL, pass->soft + first, pass->shift, pass->shift_at ? pass->shift_at + first : NULL,
                       pass->cool};
    if (!pass->ref_hidden || !reads_reference(t.kind, n)) return t;
    const ul_weight *w = ul_head_weight(m, true);
    const void *h = ul_cpart_of(m->be, pass->ref_hidden, first * m->arch.s.C);
    void *z = ul_at(m, r->at_zref);
    ul_linear(m->be, n, h, w, pass->ref_head ? pass->ref_head : ul_weight_p(w, true), NULL, z);
    if (pass->top > 0)
        m->be->k->keep_top(m->be, n, m->arch.s.V, pass->top, pass->top_row ? pass->top_row + first : NULL, z);
    return (ul_soft){z, t.kind, t.shift, t.at, t.cool};
}

static ul_score score_from(const ul_score *s, int64_t i)
{
    return (ul_score){.logp = s->logp ? s->logp + i : NULL, .argmax = s->argmax ? s->argmax + i : NULL,
                      .mu = s->mu ? s->mu + i : NULL, .sigma2 = s->sigma2 ? s->sigma2 + i : NULL,
                      .kl = s->kl ? s->kl + i : NULL, .ce = s->ce ? s->ce + i : NULL, .gap = s->gap ? s->gap + i : NULL,
                      .rival = s->rival ? s->rival + i : NULL, .rival_at = s->rival_at ? s->rival_at + i : NULL};
}

/* The other models have run over the batch; all chunks of those without a backward are as long. */
void ul_head_mix(const ul_model *m, const ul_mix *mix, const ul_batch *b, int64_t first, int64_t n, void *z)
{
    for (int64_t i = 0, k = n; i < n; i += k) {
        ul_mix_rows rows = {
            .batch = b, .first = first + i, .V = m->arch.s.V, .z = ul_part_of(m->be, z, i * m->arch.s.V)};
        k = n - i;
        for (int o = 0; o < mix->n; o++) {
            int64_t there;
            rows.other[o] = ul_head_logits(mix->other[o], b, first + i, &there);
            if (there < k) k = there;
        }
        rows.n = k;
        mix->fn(mix->user, m->be, &rows);
    }
}

/* Scores of the chunk that begins at row i; returns its rows. */
static int64_t forward_chunk(ul_model *m, ul_pass *pass, ul_run *r, int64_t i, bool scored)
{
    const ul_batch *b = pass->batch;
    const ul_score *s = &pass->score;
    const ul_weight *w = ul_head_weight(m, r->base);
    const int64_t c = m->arch.s.C, v = m->arch.s.V, n = chunk_rows(r, b, i);
    void *h = normed_rows(m, r, b, i, n), *z = ul_at(m, r->at_z);
    if (pass->row_hidden) m->be->k->copy(m->be, n * c, h, ul_part_of(m->be, pass->row_hidden, i * c), false);
    if (!scored) return n;
    ul_linear(m->be, n, h, w, ul_weight_p(w, r->base), NULL, z);
    if (pass->mix) ul_head_mix(m, pass->mix, b, i, n, z);
    const bool softly = pass->soft && (s->kl || s->ce);
    for (int64_t j = 0, k; j < n; j += k) {
        k = softly ? least(n - j, REFERENCE_ROWS) : n;
        const ul_soft soft = softly ? targets(m, pass, r, i + j, k) : (ul_soft){0};
        const ul_score out = score_from(s, i + j);
        m->be->k->score(m->be, k, v, ul_part_of(m->be, z, j * v), b->label + i + j, soft.kind ? &soft : NULL, &out);
    }
    return n;
}

/* The first chunk comes last: backward begins with it and finds its logits there. */
void ul_head_forward(ul_model *m, ul_pass *pass, ul_run *r)
{
    const ul_score *s = &pass->score;
    const bool scored =
        s->logp || s->argmax || s->mu || s->sigma2 || s->kl || s->ce || s->gap || s->rival || s->rival_at;
    for (int64_t i = chunk_rows(r, pass->batch, 0); i < r->n_row;) i += forward_chunk(m, pass, r, i, scored);
    forward_chunk(m, pass, r, 0, scored);
    r->has_logits = scored;
}

/* Logits of rows i .. i + n - 1 become their gradient. */
static void backward_scores(ul_model *m, const ul_pass *pass, const ul_run *r, int64_t i, int64_t n, void *z)
{
    const bool softly = pass->soft && pass->kl_coef;
    const int64_t v = m->arch.s.V;
    for (int64_t end = i + n, k; i < end; i += k, z = ul_part_of(m->be, z, k * v)) {
        k = softly ? least(end - i, REFERENCE_ROWS) : n;
        const ul_soft soft = softly ? targets(m, pass, r, i, k) : (ul_soft){0};
        const ul_dscore d = {pass->coef ? pass->coef + i : NULL, soft.kind ? pass->kl_coef + i : NULL,
                             pass->gap_coef ? pass->gap_coef + i : NULL, pass->rival_coef ? pass->rival_coef + i : NULL,
                             pass->mu_coef ? pass->mu_coef + i : NULL};
        m->be->k->score_bwd(m->be, k, v, z, pass->batch->label + i, &d, soft.kind ? &soft : NULL);
    }
}

void ul_head_products(const ul_backend *be, const ul_weight *w, const void *wp, int64_t n, const void *dz,
                      const void *h, const int32_t *seg, int32_t n_seg, void *dw, void *dh)
{
    const int64_t c = w->cols, v = w->rows;
    if (dw)
        be->k->gemm(be, &(ul_gemm){.m = v, .n = c, .k = n, .a = dz, .a_row = 1, .a_col = v, .b = h, .b_row = c,
                                   .b_col = 1, .c = dw, .c_row = c, .add = true, .seg = seg, .n_seg = n_seg});
    if (dh)
        be->k->gemm(be, &(ul_gemm){.m = n, .n = c, .k = v, .a = dz, .a_row = v, .a_col = 1, .b = wp, .b_row = c,
                                   .b_col = 1, .c = dh, .c_row = c});
}

void ul_head_backward(ul_model *m, ul_pass *pass, ul_run *r, void *dx)
{
    const ul_backend *be = m->be;
    const ul_batch *b = pass->batch;
    const int64_t c = m->arch.s.C, v = m->arch.s.V;
    ul_weight *w = ul_head_weight(m, r->base), *nw = m->top[W_NF], *nb = m->top[B_NF];
    void *dw = w->g && !(r->base && w->base) ? w->g : NULL;
    void *dnw = nw->g && !(r->base && nw->base) ? nw->g : NULL,
         *dnb = nb && nb->g && !(r->base && nb->base) ? nb->g : NULL;
    const bool below = dx || dnw || dnb;
    int32_t *seg = ul_at(m, r->at_seg);
    const void *wp = ul_weight_p(w, r->base);
    for (int64_t i = 0, n; i < r->n_row && (below || dw); i += n) {
        n = chunk_rows(r, b, i);
        void *h = ul_part_of(be, ul_at(m, r->at_nr), i * c), *z = ul_at(m, r->at_z);
        const int32_t n_seg = segments(b, i, n, seg);
        if (i > 0 || !r->has_logits) {
            ul_linear(be, n, h, w, wp, NULL, z);
            if (pass->mix) ul_head_mix(m, pass->mix, b, i, n, z);
        }
        r->has_logits = false;
        backward_scores(m, pass, r, i, n, z);
        if (pass->mix && pass->mix->slope != 1) be->k->scale(be, n * v, pass->mix->slope, z);
        ul_head_products(be, w, wp, n, z, h, seg, n_seg, dw, below ? ul_part_of(be, ul_at(m, r->at_dnr), i * c) : NULL);
    }
    if (!below) return;
    /* nr has been read; the gradient of the gathered rows takes its place */
    void *dxr = !dx ? NULL : r->pick ? dx : ul_at(m, r->at_nr);
    const void *xr = r->pick ? ul_run_hidden(m, r, r->last) : ul_at(m, r->at_xr);
    be->k->norm_bwd(be, m->arch.norm, r->n_row, c, xr, ul_weight_p(nw, r->base), ul_at(m, r->at_stat),
                    ul_at(m, r->at_dnr), dxr, false, dnw, dnb);
    if (!dx || r->pick) return;
    be->k->fill_rows(be, r->n, c, NULL, dx);
    be->k->scatter(be, r->n_row, c, b->row, -1, dxr, dx);
}

/* Logits of rows first .. first + *n - 1 of the batch just run; the next call overwrites them. */
void *ul_head_logits(ul_model *m, const ul_batch *b, int64_t first, int64_t *n)
{
    const ul_weight *w = ul_head_weight(m, m->run.base);
    *n = m->run.n_row - first < m->run.chunk ? m->run.n_row - first : m->run.chunk;
    m->run.has_logits = false;
    ul_linear(m->be, *n, normed_rows(m, &m->run, b, first, *n), w, ul_weight_p(w, m->run.base), NULL,
              ul_at(m, m->run.at_z));
    return ul_at(m, m->run.at_z);
}

ul_status ul_model_logits(ul_ctx *ctx, ul_model *m, const ul_batch *batch, void *out)
{
    const int64_t v = m->arch.s.V;
    ul_pass pass = {.batch = batch, .last = -1};
    UL_TRY(ul_run_forward(ctx, m, &pass, NULL));
    for (int64_t i = 0, n; i < m->run.n_row; i += n) {
        const void *z = ul_head_logits(m, batch, i, &n);
        m->be->k->copy(m->be, n * v, z, ul_part_of(m->be, out, i * v), false);
    }
    return UL_OK;
}
