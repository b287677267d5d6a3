/* probe_patch.c - I1: the unlearning depth score (arXiv 2605.24614). The original answers while its states after one
 * layer, at the positions that predict the answer, are those of another model on the same text.
 *
 *   D_l(m) = mean log p_O(answer) - mean log p_O(answer | states of m after layer l)
 *   UDS    = sum_l D_l(R) clip(D_l(U) / D_l(R), 0, 1) / sum_l D_l(R)      over layers with D_l(R) > tau
 * 0: the original reads the answer in U's states; 1: no more than in the control's. Destruction scores 1 too,
 * and models that were not grown from one trunk have no basis in common (a retrained control's states are noise
 * to the original): it is printed, no rule reads it. */
#include "audit/battery.h"
#include <math.h>
#include <string.h>

typedef struct {
    void *room;
    size_t bytes; /* of a token's state */
} carrier;

static ul_status keep(void *user, int layer, const ul_batch *batch, void *x)
{
    carrier *c = user;
    memcpy((char *)c[layer].room, x, (size_t)batch->n_tok * c[layer].bytes);
    return UL_OK;
}

static ul_status patch(void *user, int layer, const ul_batch *batch, void *x)
{
    const carrier *c = user;
    for (int32_t r = 0; r < batch->n_row; r++) {
        const size_t at = (size_t)batch->row[r] * c[layer].bytes;
        memcpy((char *)x + at, (const char *)c[layer].room + at, c[layer].bytes);
    }
    return UL_OK;
}

/* What is read in whose states. */
typedef struct {
    ul_ctx *ctx;
    const ul_eval_options *o;
    ul_model *original, *other;
    const ul_records *rows;
    double *const *patched; /* [n_layer][rows] */
} reading;

static ul_status run_pass(const reading *x, ul_model *m, const ul_batch *batch, const ul_hook *hook, int n_hook,
                          double *logp)
{
    ul_pass pass = {.batch = batch, .last = -1, .score = {.logp = logp}, .hook = hook, .n_hook = n_hook};
    return ul_model_forward(x->ctx, m, &pass);
}

static ul_status batch_of(const reading *x, ul_arena *step, int64_t first, int32_t n, ul_batch **out)
{
    ul_doc *d = UL_NEW(step, ul_doc, n);
    const ul_doc **list = UL_NEW(step, const ul_doc *, n);
    UL_NEED(d);
    UL_NEED(list);
    for (int32_t k = 0; k < n; k++) {
        const ul_record *r = &x->rows->at[first + k];
        bool cut = false;
        UL_TRY(ul_doc_build(x->ctx, step, x->o->tok, &x->o->tpl, r->prompt, r->answer, first + k, r->entity, &d[k],
                            &cut));
        list[k] = &d[k];
    }
    return ul_pack_docs(x->ctx, step, list, n, false, out);
}

static ul_status measure_batch(const reading *x, ul_arena *step, int64_t first, int32_t n)
{
    const int n_layer = ul_model_shape(x->original)->n_layer;
    const size_t bytes = (size_t)ul_model_shape(x->other)->C * ul_model_backend(x->other)->k->esize;
    carrier *c = UL_NEW(step, carrier, n_layer);
    ul_hook *read = UL_NEW(step, ul_hook, n_layer);
    ul_batch *batch;
    UL_NEED(c);
    UL_NEED(read);
    UL_TRY(batch_of(x, step, first, n, &batch));
    double *logp = UL_NEW(step, double, batch->n_row);
    UL_NEED(logp);
    for (int l = 0; l < n_layer; l++) {
        c[l] = (carrier){.room = ul_alloc_raw(step, (size_t)batch->n_tok, bytes), .bytes = bytes};
        UL_NEED(c[l].room);
        read[l] = (ul_hook){l, UL_SLOT_OUT, UL_HOOK_READ, keep, c, NULL};
    }
    UL_TRY(run_pass(x, x->other, batch, read, n_layer, logp));
    for (int l = 0; l < n_layer; l++) {
        const ul_hook put = {l, UL_SLOT_OUT, UL_HOOK_REPLACE, patch, c, NULL};
        UL_TRY(run_pass(x, x->original, batch, &put, 1, logp));
        for (int32_t k = 0; k < n; k++) {
            const int32_t all = batch->doc_row[k + 1] - batch->doc_row[k];
            const bool ends = all > 1 && batch->label[batch->doc_row[k + 1] - 1] == ul_tokenizer_special(x->o->tok).eos;
            double *to = &x->patched[l][first + k];
            *to = ul_mean(logp + batch->doc_row[k], all - ends);
            if (!isfinite(*to))
                return ul_fail(x->ctx, UL_E_CRITERION,
                               "row %lld: the answer's log-probability with patched states after block %d is %g",
                               (long long)(first + k), l + 1, *to);
        }
    }
    return UL_OK;
}

ul_status ul_patch_measure(ul_ctx *ctx, const ul_eval_options *o, ul_model *original, const ul_records *rows,
                           ul_model *m, double *const *patched)
{
    enum { ROWS = 32 };
    const reading x = {ctx, o, original, m, rows, patched};
    const ul_shape *own = ul_model_shape(original), *other = ul_model_shape(m);
    ul_arena *step;
    if (own->n_layer != other->n_layer || own->C != other->C)
        return ul_fail(ctx, UL_E_INPUT,
                       "%s has %d blocks of width %d, the original %d of %d: states of one cannot stand in the other",
                       ul_model_dir(m), other->n_layer, other->C, own->n_layer, own->C);
    UL_TRY(ul_arena_new(ctx, "patching", &step));
    ul_status s = UL_OK;
    for (int64_t i = 0; s == UL_OK && i < rows->n; i += ROWS) {
        s = measure_batch(&x, step, i, (int32_t)(rows->n - i < ROWS ? rows->n - i : ROWS));
        ul_arena_reset(step);
    }
    ul_arena_free(step);
    return s;
}
