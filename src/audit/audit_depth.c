/* audit_depth.c - is the answer there before the last layer? The hidden state after block l goes through
 * the model's own final norm and head (not the original's: its basis is not the control's, see the world's notes),
 * and K1 is read there. Two hooks do it for every family: one keeps what block l gave, one puts it in the
 * place of what the last block gave. */
#include "audit/battery.h"
#include <string.h>

typedef struct {
    void *kept;
    size_t bytes; /* of a token's state */
    ul_arena *arena;
} carrier;

static ul_status keep(void *user, int layer, const ul_batch *batch, void *x)
{
    carrier *c = user;
    (void)layer;
    c->kept = ul_alloc_raw(c->arena, (size_t)batch->n_tok, c->bytes);
    UL_NEED(c->kept);
    memcpy(c->kept, x, (size_t)batch->n_tok * c->bytes);
    return UL_OK;
}

static ul_status put(void *user, int layer, const ul_batch *batch, void *x)
{
    const carrier *c = user;
    (void)layer;
    memcpy(x, c->kept, (size_t)batch->n_tok * c->bytes);
    return UL_OK;
}

/* Mean log-probability of each document's scored tokens, in one batch;
 * of answers without the end-of-sequence token behind them. */
static ul_status score_batch(const ul_audit *a, ul_model *m, int layer, bool answers, ul_arena *step,
                             const ul_doc *const *docs, int32_t n, double *mean)
{
    const ul_shape *shape = ul_model_shape(m);
    carrier c = {.arena = step, .bytes = (size_t)shape->C * ul_model_backend(m)->k->esize};
    const ul_hook hook[2] = {{layer - 1, UL_SLOT_OUT, UL_HOOK_READ, keep, &c, NULL},
                             {shape->n_layer - 1, UL_SLOT_OUT, UL_HOOK_REPLACE, put, &c, NULL}};
    ul_batch *batch;
    UL_TRY(ul_pack_docs(a->ctx, step, docs, n, false, &batch));
    double *logp = UL_NEW(step, double, batch->n_row);
    UL_NEED(logp);
    ul_pass pass = {
        .batch = batch, .last = -1, .score = {.logp = logp}, .hook = hook, .n_hook = layer < shape->n_layer ? 2 : 0};
    UL_TRY(ul_model_forward(a->ctx, m, &pass));
    for (int32_t d = 0; d < n; d++) {
        const int32_t all = batch->doc_row[d + 1] - batch->doc_row[d];
        const bool ends =
            answers && all > 1 && batch->label[batch->doc_row[d + 1] - 1] == ul_tokenizer_special(a->o.tok).eos;
        const int32_t rows = all - ends;
        mean[d] = ul_mean(logp + batch->doc_row[d], rows);
        if (!(mean[d] <= 0) || !(mean[d] > -1e30))
            return ul_fail(a->ctx, UL_E_CRITERION,
                           "row %lld: the mean log-probability of its %d scored tokens after block %d is %g: the "
                           "model gives no finite numbers (weights diverged?)",
                           (long long)docs[d]->id, rows, layer, mean[d]);
    }
    return UL_OK;
}

static ul_status score(const ul_audit *a, ul_model *m, int layer, bool answers, const ul_doc *docs, int64_t n,
                       ul_arena *step, double *mean)
{
    for (int64_t i = 0, j; i < n; i = j) {
        int64_t held = 0;
        for (j = i; j < n && (j == i || held + docs[j].n <= a->o.batch_tokens); j++) held += docs[j].n;
        const ul_doc **list = UL_NEW(step, const ul_doc *, j - i);
        UL_NEED(list);
        for (int64_t k = i; k < j; k++) list[k - i] = &docs[k];
        UL_TRY(score_batch(a, m, layer, answers, step, list, (int32_t)(j - i), mean + i));
        ul_arena_reset(step);
    }
    return UL_OK;
}

ul_status ul_text_loss(const ul_audit *a, ul_model *m, const ul_docs *text, double **each, double *out)
{
    ul_arena *step;
    double *mean = UL_NEW(a->arena, double, text->n), sum = 0, n = 0;
    UL_NEED(mean);
    UL_TRY(ul_arena_new(a->ctx, "text batch", &step));
    const ul_status s = score(a, m, ul_model_shape(m)->n_layer, false, text->at, text->n, step, mean);
    ul_arena_free(step);
    UL_TRY(s);
    for (int64_t i = 0; i < text->n; i++) {
        const double k = ul_doc_labelled(&text->at[i]);
        sum -= k * mean[i];
        n += k;
    }
    *each = mean;
    *out = n > 0 ? sum / n : 0;
    return UL_OK;
}

/* Truth and wrong answers of a row stand side by side. */
static ul_status documents(const ul_audit *a, ul_arena *arena, ul_doc **docs, int64_t *n)
{
    int64_t most = 0;
    for (int64_t i = 0; i < a->forget->n; i++) most += 1 + a->forget->at[i].n_wrong;
    ul_doc *d = UL_NEW(arena, ul_doc, most);
    UL_NEED(d);
    *docs = d;
    *n = most;
    for (int64_t i = 0; i < a->forget->n; i++) {
        const ul_record *r = &a->forget->at[i];
        for (int32_t k = -1; k < r->n_wrong; k++) {
            bool cut = false;
            UL_TRY(ul_doc_build(a->ctx, arena, a->o.tok, &a->o.tpl, r->prompt, k < 0 ? r->answer : r->wrong[k], i,
                                r->entity, d++, &cut));
        }
    }
    return UL_OK;
}

static ul_status measure(const ul_audit *a, ul_model *m, int layer, ul_arena *scratch, ul_arena *step, double *first)
{
    ul_doc *docs;
    int64_t n, at = 0;
    UL_TRY(documents(a, scratch, &docs, &n));
    double *mean = UL_NEW(scratch, double, n);
    UL_NEED(mean);
    UL_TRY(score(a, m, layer, true, docs, n, step, mean));
    for (int64_t i = 0; i < a->forget->n; i++) {
        const int32_t wrong = a->forget->at[i].n_wrong;
        first[i] = 1;
        for (int32_t k = 1; k <= wrong; k++)
            if (!(mean[at] > mean[at + k])) first[i] = 0;
        at += 1 + wrong;
    }
    return UL_OK;
}

ul_status ul_depth_measure(const ul_audit *a, ul_model *m, int layer, double *first)
{
    ul_arena *scratch, *step;
    UL_TRY(ul_arena_new(a->ctx, "depth", &scratch));
    ul_status s = ul_arena_new(a->ctx, "depth batch", &step);
    if (s == UL_OK) s = measure(a, m, layer, scratch, step, first);
    ul_arena_free(step);
    ul_arena_free(scratch);
    return s;
}
