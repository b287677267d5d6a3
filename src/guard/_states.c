/* _states.c - prompts as vectors: the mean of the hidden states of a prompt's tokens after some blocks. */
#include "guard/guard.h"

enum { TOKENS = 4096 };

/* Documents first .. last - 1: sums in rising order of tokens, in double, so that packing changes no bit. */
static ul_status batch_states(ul_ctx *ctx, ul_arena *arena, ul_model *m, const ul_docs *docs, int64_t first,
                              int64_t last, int layer, double *out)
{
    const int32_t n = (int32_t)(last - first), c = ul_model_shape(m)->C;
    const size_t esize = ul_model_backend(m)->k->esize;
    const ul_doc **list = UL_NEW(arena, const ul_doc *, n);
    ul_batch *b;
    UL_NEED(list);
    for (int32_t i = 0; i < n; i++) list[i] = &docs->at[first + i];
    UL_TRY(ul_pack_docs(ctx, arena, list, n, false, &b));
    ul_pass pass = {.batch = b, .flags = UL_PASS_NO_HEAD, .last = layer};
    UL_TRY(ul_model_forward(ctx, m, &pass));
    const void *h = ul_model_hidden(m, layer);
    for (int32_t d = 0; d < n; d++) {
        double *x = out + (first + d) * c;
        for (int32_t j = 0; j < c; j++) {
            x[j] = 0;
            for (int32_t t = b->doc_start[d]; t < b->doc_start[d + 1]; t++)
                x[j] += ul_real_at(h, (int64_t)t * c + j, esize);
            x[j] /= b->doc_start[d + 1] - b->doc_start[d];
        }
    }
    return UL_OK;
}

ul_status ul_guard_states(ul_ctx *ctx, ul_arena *arena, ul_model *m, const ul_tokenizer *tok, const ul_template *tpl,
                          const ul_records *records, int layer, double **out)
{
    ul_docs *docs;
    ul_arena *step;
    const int32_t n_layer = ul_model_shape(m)->n_layer;
    if (layer > n_layer)
        return ul_fail(ctx, UL_E_USAGE, "the guard reads hidden states after %d blocks, the model has %d", layer,
                       n_layer);
    UL_TRY(ul_docs_prompts(ctx, arena, tok, tpl, records, &docs));
    UL_NEED(*out = UL_NEW(arena, double, docs->n * ul_model_shape(m)->C));
    UL_TRY(ul_arena_new(ctx, "states of prompts", &step));
    ul_status s = UL_OK;
    for (int64_t i = 0, k; s == UL_OK && i < docs->n; i = k) {
        int64_t held = 0;
        for (k = i; k < docs->n && (k == i || held + docs->at[k].n <= TOKENS); k++) held += docs->at[k].n;
        s = batch_states(ctx, step, m, docs, i, k, layer, *out);
        ul_arena_reset(step);
    }
    ul_arena_free(step);
    return s;
}
