/* _factors.c - second moments of linear layers' inputs and output gradients: the factors of K-FAC, and what principal
 * components are made from.
 *
 *   A = sum_t x_t x_t^T,   S = sum_t dy_t dy_t^T         t: all tokens of the batch
 *
 * Each sum is a chain over the tokens in rising order that goes on from document to document, so that no cut changes
 * a bit. With labels drawn from the model S is the Gauss-Newton factor (Martens and Grosse 2015, arXiv:1503.05671,
 * section 5); with the answers as labels it is the empirical one, which is small where the model has learnt them. */
#include "procedure/procedure.h"
#include <math.h>
#include <string.h>

enum { PASS_TOKENS = 1024 };

const ul_factor *ul_factor_of(const ul_factors *f, const ul_weight *w)
{
    for (int i = 0; i < f->n; i++)
        if (f->at[i].w == w) return &f->at[i];
    return NULL;
}

int64_t ul_skip_first(const ul_backend *be, const ul_batch *b, int64_t width, const void *x, void *to)
{
    const size_t row = (size_t)width * be->k->esize;
    int64_t n = 0;
    for (int32_t d = 0; d < b->n_doc; d++) {
        const int32_t first = b->doc_start[d] + 1, last = b->doc_start[d + 1];
        if (last <= first) continue;
        memcpy((char *)to + (size_t)n * row, (const char *)x + (size_t)first * row, (size_t)(last - first) * row);
        n += last - first;
    }
    return n;
}

/* xx [c, c] += x^T x over n tokens, sum [c] += x. */
static void moments(const ul_backend *be, int64_t n, int64_t c, const void *x, void *xx, double *sum)
{
    be->k->gemm(be, &(ul_gemm){.m = c,
                               .n = c,
                               .k = n,
                               .a = x,
                               .a_row = 1,
                               .a_col = c,
                               .b = x,
                               .b_row = c,
                               .b_col = 1,
                               .c = xx,
                               .c_row = c,
                               .add = true});
    for (int64_t t = 0; t < n; t++)
        for (int64_t j = 0; j < c; j++) sum[j] += ul_real_at(x, t * c + j, be->k->esize);
}

void ul_factors_add(ul_factors *f, unsigned what, const ul_weight *w, const ul_batch *b, const void *x, const void *dy)
{
    const ul_factor *found = ul_factor_of(f, w);
    int64_t n = b->n_tok;
    if (!found) return;
    ul_factor *at = &f->at[found - f->at];
    if (what & UL_FACTOR_NO_FIRST) {
        n = ul_skip_first(f->be, b, w->cols, x, f->x);
        ul_skip_first(f->be, b, w->rows, dy, f->dy);
        x = f->x, dy = f->dy;
    }
    if (at->xx) moments(f->be, n, w->cols, x, at->xx, at->x_sum);
    if (at->dd) moments(f->be, n, w->rows, dy, at->dd, at->d_sum);
    at->n += n;
}

typedef struct {
    ul_factors *f;
    unsigned what;
} collector;

static void look(void *user, const ul_weight *w, const ul_batch *b, const void *x, const void *dy)
{
    const collector *c = user;
    ul_factors_add(c->f, c->what, w, b, x, dy);
}

ul_status ul_factors_begin(ul_work *w, ul_arena *arena, unsigned what, ul_factors *f)
{
    ul_weight *weight;
    const int n = ul_model_weights(w->model, &weight), n_layer = ul_model_shape(w->model)->n_layer;
    *f = (ul_factors){.be = ul_model_backend(w->model), .at = UL_NEW(arena, ul_factor, n)};
    UL_NEED(f->at);
    for (int i = 0; i < n; i++) {
        const ul_weight *x = &weight[i];
        if (!x->g || x->is_bias || x->is_norm || x->layer < 0 || x->layer >= n_layer) continue;
        ul_factor *at = &f->at[f->n++];
        at->w = x;
        if (x->rows + x->cols > f->room) f->room = x->rows + x->cols;
        if (what & UL_FACTOR_X) {
            UL_NEED(at->xx = ul_alloc(arena, (size_t)(x->cols * x->cols), f->be->k->esize));
            UL_NEED(at->x_sum = UL_NEW(arena, double, x->cols));
        }
        if (what & UL_FACTOR_D) {
            UL_NEED(at->dd = ul_alloc(arena, (size_t)(x->rows * x->rows), f->be->k->esize));
            UL_NEED(at->d_sum = UL_NEW(arena, double, x->rows));
        }
    }
    if (f->n == 0) return ul_fail(w->ctx, UL_E_USAGE, "%s: no matrix of a block moves: --train selects none", w->id);
    return UL_OK;
}

/* Labels of a batch of documents `first`.. drawn from softmax(logits):
 * a function of the seed, the document and the row. */
static ul_status draw_labels(ul_work *w, ul_arena *arena, ul_batch *b, int64_t first)
{
    const int64_t V = ul_model_shape(w->model)->V;
    const size_t esize = ul_model_backend(w->model)->k->esize;
    char *z = ul_alloc(arena, (size_t)(b->n_row * V), esize);
    int32_t *label = UL_NEW(arena, int32_t, b->n_row);
    UL_NEED(z);
    UL_NEED(label);
    UL_TRY(ul_model_logits(w->ctx, w->model, b, z));
    for (int32_t d = 0; d < b->n_doc; d++)
        for (int32_t i = b->doc_row[d]; i < b->doc_row[d + 1]; i++) {
            const char *row = z + (size_t)(i * V) * esize;
            double most = -INFINITY, sum = 0, part = 0;
            for (int64_t v = 0; v < V; v++) most = fmax(most, ul_real_at(row, v, esize));
            for (int64_t v = 0; v < V; v++) sum += ul_exp(ul_real_at(row, v, esize) - most);
            const double u = sum * ul_rng_uniform(w->recipe->seed, UL_STREAM_LABEL, (uint64_t)(first + d),
                                                  (uint64_t)(i - b->doc_row[d]));
            int64_t v = 0;
            for (; v < V - 1; v++)
                if ((part += ul_exp(ul_real_at(row, v, esize) - most)) > u) break;
            label[i] = (int32_t)v;
        }
    b->label = label;
    return UL_OK;
}

static ul_status pass_over(ul_work *w, ul_arena *arena, const ul_docs *docs, int64_t first, int64_t last,
                           const collector *c)
{
    const ul_doc **d = UL_NEW(arena, const ul_doc *, last - first);
    const ul_observer o = {look, (void *)(uintptr_t)c, UL_OBSERVE_INSTEAD};
    ul_factors *f = c->f;
    ul_batch *b;
    UL_NEED(d);
    for (int64_t i = first; i < last; i++) d[i - first] = &docs->at[i];
    UL_TRY(ul_pack_docs(w->ctx, arena, d, (int32_t)(last - first), false, &b));
    if (b->n_row == 0) return UL_OK;
    if (c->what & UL_FACTOR_SAMPLED) UL_TRY(draw_labels(w, arena, b, first));
    if (c->what & UL_FACTOR_NO_FIRST) {
        UL_NEED(f->x = ul_alloc(arena, (size_t)(b->n_tok * f->room), f->be->k->esize));
        UL_NEED(f->dy = ul_alloc(arena, (size_t)(b->n_tok * f->room), f->be->k->esize));
    }
    double *coef = UL_NEW(arena, double, b->n_row);
    UL_NEED(coef);
    for (int32_t i = 0; i < b->n_row; i++) coef[i] = -1;
    ul_pass pass = {.batch = b,
                    .flags = UL_PASS_GRAD | (w->checkpoint ? UL_PASS_CHECKPOINT : 0),
                    .last = -1,
                    .coef = coef,
                    .observer = &o};
    UL_TRY(ul_model_forward(w->ctx, w->model, &pass));
    return ul_model_backward(w->ctx, w->model, &pass);
}

ul_status ul_factors_collect(ul_work *w, ul_arena *arena, const ul_docs *docs, unsigned what, ul_factors *out)
{
    ul_arena *scratch;
    ul_meter meter;
    ul_status s = UL_OK;
    int64_t done = 0;
    const collector c = {out, what};
    UL_TRY(ul_factors_begin(w, arena, what, out));
    UL_TRY(ul_arena_new(w->ctx, "factors", &scratch));
    ul_progress_begin(w->ctx, &meter, "statistics of layers", "documents", docs->n);
    for (int64_t i = 0, k; i < docs->n && s == UL_OK; i = k) {
        int64_t tokens = 0;
        for (k = i; k < docs->n && (k == i || tokens + docs->at[k].n <= PASS_TOKENS); k++) tokens += docs->at[k].n;
        s = pass_over(w, scratch, docs, i, k, &c);
        ul_arena_reset(scratch);
        ul_progress_step(&meter, k, done += tokens, NULL);
        if (s == UL_OK && ul_interrupted(w->ctx))
            s = ul_fail(w->ctx, UL_E_CRITERION, "interrupted after %lld of %lld documents", (long long)k,
                        (long long)docs->n);
    }
    ul_arena_free(scratch);
    out->x = out->dy = NULL;
    return s;
}
