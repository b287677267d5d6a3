/* distance.c - how far is a model from a retrained control? Token by token on given answers (columns kl,
 * kl_reverse, js, agree), state by state (linear CKA of the mean states of answers, by layer), weight by weight
 * (|W - W_control| / |W_control|, over all tensors that both have). stat/distance.c has the formulas.
 *
 * Both distributions over the whole vocabulary are held for a few documents at a time: two rows of logits a scored
 * token. Two controls that differ in their seed alone are not 0 apart: compare with them. */
#include "audit/audit.h"
#include <math.h>
#include <string.h>

enum { MOST_LOGITS = 1 << 22, BLOCK = 1 << 14 };

/* log p of one row of logits, and the place of the largest (the lowest among equals). */
static int32_t log_softmax(const ul_backend *be, const void *z, int64_t row, int64_t n, double *out)
{
    const double *d = (const double *)z + row * n;
    const float *f = (const float *)z + row * n;
    int32_t best = 0;
    double sum = 0;
    for (int64_t i = 0; i < n; i++) {
        out[i] = be->k->esize == 8 ? d[i] : (double)f[i];
        if (out[i] > out[best]) best = (int32_t)i;
    }
    const double most = out[best];
    for (int64_t i = 0; i < n; i++) sum += ul_exp(out[i] - most);
    const double log_sum = most + ul_log(sum);
    for (int64_t i = 0; i < n; i++) out[i] -= log_sum;
    return best;
}

typedef struct {
    double *kl, *kl_reverse, *js;
    uint8_t *agree;
} columns;

static void diverge(const double *lp, const double *lq, int64_t n, const columns *c, int64_t at)
{
    double kl = 0, back = 0, js = 0;
    for (int64_t i = 0; i < n; i++) {
        const double p = ul_exp(lp[i]), q = ul_exp(lq[i]), m = (p + q) / 2;
        kl += p * (lp[i] - lq[i]);
        back += q * (lq[i] - lp[i]);
        if (m > 0) js += (p * (lp[i] - ul_log(m)) + q * (lq[i] - ul_log(m))) / 2;
    }
    c->kl[at] = kl < 0 ? 0 : kl; /* rounding */
    c->kl_reverse[at] = back < 0 ? 0 : back;
    c->js[at] = js < 0 ? 0 : js;
}

static ul_status batch_of(ul_ctx *ctx, ul_arena *step, const ul_docs *docs, int64_t i, int64_t j, ul_batch **out)
{
    const ul_doc **list = UL_NEW(step, const ul_doc *, j - i);
    UL_NEED(list);
    for (int64_t k = i; k < j; k++) list[k - i] = &docs->at[k];
    return ul_pack_docs(ctx, step, list, (int32_t)(j - i), false, out);
}

static ul_status one_batch(ul_ctx *ctx, ul_arena *step, ul_model *m, ul_model *control, const ul_batch *b,
                           const columns *c, int64_t at)
{
    const int64_t v = ul_model_shape(m)->V;
    const ul_backend *be = ul_model_backend(m);
    void *z[2];
    double *lp = UL_NEW(step, double, v), *lq = UL_NEW(step, double, v);
    UL_NEED(lp);
    UL_NEED(lq);
    for (int k = 0; k < 2; k++) {
        UL_NEED(z[k] = ul_alloc_raw(step, (size_t)(b->n_row * v), be->k->esize));
        UL_TRY(ul_model_logits(ctx, k ? control : m, b, z[k]));
    }
    for (int32_t r = 0; r < b->n_row; r++) {
        const int32_t own = log_softmax(be, z[0], r, v, lp), other = log_softmax(be, z[1], r, v, lq);
        c->agree[at + r] = own == other;
        diverge(lp, lq, v, c, at + r);
    }
    return UL_OK;
}

static ul_status same_shape(ul_ctx *ctx, const ul_model *m, const ul_model *control)
{
    const int32_t v = ul_model_shape(m)->V, w = ul_model_shape(control)->V;
    if (v == w) return UL_OK;
    return ul_fail(ctx, UL_E_INPUT,
                   "%s has a vocabulary of %d tokens, the control %s of %d: they are not compared token by token",
                   ul_model_dir(m), v, ul_model_dir(control), w);
}

/* How many documents from i on make a batch. */
static int64_t batch_end(const ul_docs *docs, int64_t i, int64_t tokens, int64_t vocabulary)
{
    int64_t held = 0, rows = 0, j = i;
    for (; j < docs->n; j++) {
        held += docs->at[j].n, rows += ul_doc_labelled(&docs->at[j]);
        if (j > i && (held > tokens || rows * vocabulary > MOST_LOGITS)) break;
    }
    return j;
}

ul_status ul_columns_divergence(ul_ctx *ctx, ul_arena *arena, const ul_eval_options *o, ul_model *control,
                                const ul_records *records, ul_columns *io)
{
    ul_docs *docs;
    ul_arena *step;
    columns c;
    UL_TRY(same_shape(ctx, o->model, control));
    UL_TRY(ul_docs_build(ctx, arena, o->tok, &o->tpl, records, UL_WHICH_ANSWER, &docs));
    int64_t at = 0, *token = UL_NEW(arena, int64_t, docs->n + 1);
    UL_NEED(token);
    for (int64_t i = 0; i < docs->n; i++) token[i + 1] = token[i] + ul_doc_labelled(&docs->at[i]);
    const int64_t n = token[docs->n];
    if (!io->token) io->token = token;
    if (io->token[io->n_row] != n)
        return ul_fail(ctx, UL_E_INTERNAL, "%s: %lld scored tokens, the columns have %lld", records->path, (long long)n,
                       (long long)io->token[io->n_row]);
    UL_NEED(c.kl = UL_NEW(arena, double, n));
    UL_NEED(c.kl_reverse = UL_NEW(arena, double, n));
    UL_NEED(c.js = UL_NEW(arena, double, n));
    UL_NEED(c.agree = UL_NEW(arena, uint8_t, n));
    UL_TRY(ul_arena_new(ctx, "distance batch", &step));
    ul_meter meter;
    ul_progress_begin(ctx, &meter, "distance to the control", "answers", docs->n);
    ul_status s = UL_OK;
    for (int64_t i = 0, j; s == UL_OK && i < docs->n; i = j) {
        ul_batch *b = NULL;
        j = batch_end(docs, i, o->batch_tokens, ul_model_shape(o->model)->V);
        s = batch_of(ctx, step, docs, i, j, &b);
        if (s == UL_OK) s = one_batch(ctx, step, o->model, control, b, &c, at);
        if (s == UL_OK) at += b->n_row;
        ul_arena_reset(step);
        ul_progress_step(&meter, j, 0, NULL);
        if (s == UL_OK && j < docs->n && ul_interrupted(ctx))
            s = ul_fail(ctx, UL_E_CRITERION, "interrupted after %lld of %lld answers", (long long)j,
                        (long long)docs->n);
    }
    ul_arena_free(step);
    UL_TRY(s);
    io->kl = c.kl, io->kl_reverse = c.kl_reverse, io->js = c.js, io->agree = c.agree;
    return UL_OK;
}

/* ---- states ------------------------------------------------------------------------------------------------------ */
typedef struct {
    double *mean;  /* [n, C] */
    int64_t first; /* document of the batch at hand */
    int32_t width;
    bool wide; /* double */
} layer_states;

/* Mean state of each document at the places that predict its scored tokens. */
static ul_status gather(void *user, int layer, const ul_batch *b, void *x)
{
    layer_states *l = user;
    (void)layer;
    for (int32_t d = 0; d < b->n_doc; d++) {
        double *out = l->mean + (l->first + d) * l->width;
        const int32_t lo = b->doc_row[d], hi = b->doc_row[d + 1];
        for (int32_t r = lo; r < hi; r++)
            for (int32_t k = 0; k < l->width; k++) {
                const int64_t at = (int64_t)b->row[r] * l->width + k;
                out[k] += (l->wide ? ((const double *)x)[at] : (double)((const float *)x)[at]) / (hi - lo);
            }
    }
    return UL_OK;
}

static ul_status states(ul_ctx *ctx, ul_arena *arena, ul_arena *step, const ul_eval_options *o, ul_model *m,
                        const ul_docs *docs, layer_states **out)
{
    const ul_shape *shape = ul_model_shape(m);
    layer_states *l = UL_NEW(arena, layer_states, shape->n_layer);
    ul_hook *hook = UL_NEW(arena, ul_hook, shape->n_layer);
    UL_NEED(l);
    UL_NEED(hook);
    for (int k = 0; k < shape->n_layer; k++) {
        l[k] = (layer_states){.width = shape->C,
                              .wide = ul_model_backend(m)->k->esize == 8,
                              .mean = UL_NEW(arena, double, docs->n * shape->C)};
        UL_NEED(l[k].mean);
        hook[k] = (ul_hook){k, UL_SLOT_OUT, UL_HOOK_READ, gather, &l[k], NULL};
    }
    for (int64_t i = 0, j; i < docs->n; i = j) {
        ul_batch *b;
        j = batch_end(docs, i, o->batch_tokens, 1);
        UL_TRY(batch_of(ctx, step, docs, i, j, &b));
        double *logp = UL_NEW(step, double, b->n_row);
        UL_NEED(logp);
        for (int k = 0; k < shape->n_layer; k++) l[k].first = i;
        ul_pass pass = {.batch = b, .last = -1, .score = {.logp = logp}, .hook = hook, .n_hook = shape->n_layer};
        UL_TRY(ul_model_forward(ctx, m, &pass));
        ul_arena_reset(step);
    }
    *out = l;
    return UL_OK;
}

static ul_status cka(ul_ctx *ctx, ul_arena *arena, ul_arena *step, const ul_eval_options *o, ul_model *control,
                     const ul_records *records, double *out)
{
    ul_docs *docs;
    layer_states *own, *other;
    UL_TRY(ul_docs_build(ctx, arena, o->tok, &o->tpl, records, UL_WHICH_ANSWER, &docs));
    UL_TRY(states(ctx, arena, step, o, o->model, docs, &own));
    UL_TRY(states(ctx, arena, step, o, control, docs, &other));
    for (int l = 0; l < ul_model_shape(o->model)->n_layer; l++)
        UL_TRY(ul_linear_cka(arena, own[l].mean, own[l].width, other[l].mean, other[l].width, docs->n, &out[l]));
    return UL_OK;
}

ul_status ul_control_cka(ul_ctx *ctx, const ul_eval_options *o, ul_model *control, const ul_records *records,
                         double *out)
{
    ul_arena *arena, *step;
    const int own = ul_model_shape(o->model)->n_layer, other = ul_model_shape(control)->n_layer;
    UL_TRY(same_shape(ctx, o->model, control));
    if (own != other)
        return ul_fail(ctx, UL_E_INPUT, "%s has %d blocks, the control %s has %d: their layers are not compared",
                       ul_model_dir(o->model), own, ul_model_dir(control), other);
    UL_TRY(ul_arena_new(ctx, "states", &arena));
    ul_status s = ul_arena_new(ctx, "states of a batch", &step);
    if (s == UL_OK) s = cka(ctx, arena, step, o, control, records, out);
    ul_arena_free(step);
    ul_arena_free(arena);
    return s;
}

/* ---- weights ----------------------------------------------------------------------------------------------------- */
static ul_status tensor_distance(ul_ctx *ctx, ul_arena *scratch, const ul_tensor *a, const ul_tensor *b, double *apart,
                                 double *size)
{
    const int64_t n = ul_tensor_count(a);
    double *x = UL_NEW(scratch, double, BLOCK), *y = UL_NEW(scratch, double, BLOCK);
    UL_NEED(x);
    UL_NEED(y);
    if (n != ul_tensor_count(b))
        return ul_fail(ctx, UL_E_INPUT,
                       "tensor \"%s\" has %lld numbers, the control's has %lld (a control of another shape?)", a->name,
                       (long long)n, (long long)ul_tensor_count(b));
    for (int64_t i = 0; i < n; i += BLOCK) {
        const int64_t k = n - i < BLOCK ? n - i : BLOCK;
        UL_TRY(ul_tensor_f64(ctx, a, i, k, x));
        UL_TRY(ul_tensor_f64(ctx, b, i, k, y));
        for (int64_t j = 0; j < k; j++) *apart += (x[j] - y[j]) * (x[j] - y[j]), *size += y[j] * y[j];
    }
    return UL_OK;
}

static ul_status weights(ul_ctx *ctx, ul_arena *arena, const char *dir, const char *control, double *relative,
                         json_t *by_tensor)
{
    ul_tensors *a, *b;
    double apart = 0, size = 0;
    UL_TRY(ul_tensors_open(ctx, arena, dir, &a));
    UL_TRY(ul_tensors_open(ctx, arena, control, &b));
    for (int64_t i = 0; i < a->n; i++) {
        const ul_tensor *other = ul_tensors_find(b, a->at[i].name);
        double d = 0, n = 0;
        if (!other || !ul_dtype_is_float(a->at[i].dtype)) continue;
        const ul_mark mark = ul_arena_mark(arena);
        UL_TRY(tensor_distance(ctx, arena, &a->at[i], other, &d, &n));
        ul_arena_rewind(arena, mark);
        apart += d, size += n;
        if (n > 0 && json_object_set_new(by_tensor, a->at[i].name, json_real(sqrt(d / n))))
            return ul_fail(ctx, UL_E_RESOURCE, "no memory for the distances");
    }
    if (!(size > 0)) return ul_fail(ctx, UL_E_INPUT, "%s and the control %s have no tensor in common", dir, control);
    *relative = sqrt(apart / size);
    return UL_OK;
}

ul_status ul_control_weights(ul_ctx *ctx, const char *dir, const char *control, double *relative, json_t *by_tensor)
{
    ul_arena *arena;
    UL_TRY(ul_arena_new(ctx, "weights", &arena));
    const ul_status s = weights(ctx, arena, dir, control, relative, by_tensor);
    ul_arena_free(arena);
    return s;
}
