/* encode.c - text to ids: added tokens, normalizers, pre-tokenizers, model, template. */
#include "parts.h"

void ul_ids_init(ul_ids *ids, ul_ctx *ctx)
{
    *ids = (ul_ids){.ctx = ctx};
}

void ul_ids_release(ul_ids *ids)
{
    if (ids->id) ul_ctx_alloc(ids->ctx, ids->id, 0);
    if (ids->type) ul_ctx_alloc(ids->ctx, ids->type, 0);
    ul_ids_init(ids, ids->ctx);
}

void ul_ids_reset(ul_ids *ids)
{
    ids->n = 0;
}

ul_status ul_ids_add(ul_ids *ids, int32_t id, int type)
{
    if (ids->n == ids->cap) {
        size_t cap = ids->cap;
        UL_TRY(ul_grow(ids->ctx, (void *)&ids->type, &cap, ids->n + 1, sizeof *ids->type));
        cap = ids->cap;
        UL_TRY(ul_grow(ids->ctx, (void *)&ids->id, &cap, ids->n + 1, sizeof *ids->id));
        ids->cap = cap;
    }
    ids->id[ids->n] = id;
    ids->type[ids->n++] = (uint8_t)type;
    return UL_OK;
}

static ul_status encode_sequence(ul_work *w, const char *text, size_t n, ul_ids *out)
{
    const ul_tokenizer *t = w->t;
    UL_TRY(ul_added_extract(w, text, n));
    UL_TRY(ul_work_run(w, t->pretokenizer.at, t->pretokenizer.n));
    for (size_t i = 0; i < w->n_piece; i++) {
        const ul_piece p = w->piece[i];
        if (p.id >= 0)
            UL_TRY(ul_ids_add(out, p.id, 0));
        else if (p.n)
            UL_TRY(t->tokenize(w, w->text + p.at, p.n, out));
    }
    return UL_OK;
}

static ul_status encode(ul_work *w, const ul_template *template, const char *const text[2], const size_t n[2],
                        bool add_special, ul_ids *out)
{
    for (size_t i = 0; i < template->n; i++) {
        const ul_step *s = &template->step[i];
        const size_t from = out->n;
        if (s->sequence >= 0) {
            UL_TRY(encode_sequence(w, text[s->sequence], n[s->sequence], out));
            for (size_t k = from; k < out->n; k++) out->type[k] = s->type;
        }
        for (size_t k = 0; add_special && s->sequence < 0 && k < s->n; k++) UL_TRY(ul_ids_add(out, s->id[k], s->type));
    }
    return UL_OK;
}

static ul_status check_utf8(ul_ctx *ctx, const char *text, size_t n)
{
    const int64_t at = ul_utf8_invalid(text, n);
    if (at < 0) return UL_OK;
    return ul_fail(ctx, UL_E_INPUT, "the text is not UTF-8 at byte %lld of %zu (value 0x%02X): convert it first",
                   (long long)at, n, (unsigned char)text[at]);
}

ul_status ul_encode_pair(ul_ctx *ctx, const ul_tokenizer *t, const char *text, size_t bytes, const char *pair,
                         size_t pair_bytes, bool add_special, ul_ids *out)
{
    const char *const texts[2] = {text, pair};
    const size_t n[2] = {bytes, pair_bytes};
    ul_work w;
    ul_ids_reset(out);
    UL_TRY(check_utf8(ctx, text, bytes));
    if (pair) UL_TRY(check_utf8(ctx, pair, pair_bytes));
    ul_work_init(&w, ctx, t);
    const ul_status st = encode(&w, pair ? &t->pair : &t->single, texts, n, add_special, out);
    ul_work_release(&w);
    return st;
}

ul_status ul_encode(ul_ctx *ctx, const ul_tokenizer *t, const char *text, size_t bytes, bool add_special, ul_ids *out)
{
    return ul_encode_pair(ctx, t, text, bytes, NULL, 0, add_special, out);
}
