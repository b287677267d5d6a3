/* work.c - the engine that runs normalizers, pre-tokenizers and decoders over a list of pieces. */
#include "parts.h"
#include <string.h>

ul_status ul_grow(ul_ctx *ctx, void *p, size_t *cap, size_t need, size_t size)
{
    void **at = p;
    size_t want = *cap + *cap / 2;
    if (want < need) want = need;
    if (want < 64) want = 64;
    if (want > SIZE_MAX / size) return ul_fail(ctx, UL_E_RESOURCE, "tokenizer: %zu entries are too many", need);
    void *fresh = ul_ctx_alloc(ctx, *at, want * size);
    UL_NEED(fresh);
    *at = fresh;
    *cap = want;
    return UL_OK;
}

void ul_work_init(ul_work *w, ul_ctx *ctx, const ul_tokenizer *t)
{
    *w = (ul_work){.ctx = ctx, .t = t};
}

void ul_work_release(ul_work *w)
{
    void *own[] = {w->text, w->next_text, w->piece, w->next, w->span, w->symbol, w->heap, w->cp, w->best};
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        if (own[i]) ul_ctx_alloc(w->ctx, own[i], 0);
    if (w->match) pcre2_match_data_free(w->match);
    ul_work_init(w, w->ctx, w->t);
}

ul_status ul_put(ul_work *w, const void *bytes, size_t n)
{
    UL_GROW(w->ctx, w->next_text, w->cap_next, w->n_next + n);
    if (n) memcpy(w->next_text + w->n_next, bytes, n);
    w->n_next += n;
    return UL_OK;
}

ul_status ul_put_char(ul_work *w, uint32_t c)
{
    char s[4];
    return ul_put(w, s, ul_utf8_set(c, s));
}

ul_status ul_push(ul_work *w, ul_piece p)
{
    UL_GROW(w->ctx, w->next, w->cap_fresh, w->n_fresh + 1);
    w->next[w->n_fresh++] = p;
    return UL_OK;
}

ul_status ul_push_span(ul_work *w, size_t a, size_t b, bool hit)
{
    UL_GROW(w->ctx, w->span, w->cap_span, w->n_span + 1);
    w->span[w->n_span++] = (ul_span){a, b, hit};
    return UL_OK;
}

#define SWAP(type, a, b)                                                                                               \
    do {                                                                                                               \
        type swap_ = (a);                                                                                              \
        (a) = (b);                                                                                                     \
        (b) = swap_;                                                                                                   \
    } while (0)

void ul_work_turn(ul_work *w, bool text)
{
    SWAP(ul_piece *, w->piece, w->next);
    SWAP(size_t, w->cap_piece, w->cap_fresh);
    w->n_piece = w->n_fresh;
    w->n_fresh = 0;
    if (!text) return;
    SWAP(char *, w->text, w->next_text);
    SWAP(size_t, w->cap_text, w->cap_next);
    w->n_text = w->n_next;
    w->n_next = 0;
}

ul_status ul_work_set(ul_work *w, const char *text, size_t n)
{
    w->n_next = w->n_fresh = 0;
    UL_TRY(ul_put(w, text, n));
    UL_TRY(ul_push(w, (ul_piece){0, n, -1, true}));
    ul_work_turn(w, true);
    return UL_OK;
}

static ul_status run_edit(ul_work *w, const ul_part *part)
{
    for (size_t i = 0; i < w->n_piece; i++) {
        ul_piece p = w->piece[i];
        if (p.id < 0) {
            const size_t at = w->n_next;
            UL_TRY(part->edit(w, part, i, w->text + p.at, p.n, &p));
            p.at = at;
            p.n = w->n_next - at;
        } else {
            p.at = p.n = 0;
        }
        UL_TRY(ul_push(w, p));
    }
    ul_work_turn(w, true);
    return UL_OK;
}

static void turn_spans(ul_span *s, size_t n)
{
    for (size_t i = 0; i < n / 2; i++) SWAP(ul_span, s[i], s[n - 1 - i]);
}

/* Joins matches to their neighbours as the library's folds do; afterwards every span is a piece. */
static void join_spans(ul_work *w, ul_behavior behavior)
{
    ul_span *s = w->span;
    size_t n = 0;
    bool previous = false;
    if (behavior == UL_WITH_NEXT) turn_spans(s, w->n_span); /* the library's fold runs from the end */
    for (size_t i = 0; i < w->n_span; i++) {
        const ul_span x = s[i];
        const bool join = behavior == UL_CONTIGUOUS ? x.hit == previous : x.hit && !previous;
        previous = x.hit;
        if (!join || n == 0) {
            s[n++] = x;
        } else if (behavior == UL_WITH_NEXT) {
            s[n - 1].a = x.a;
        } else {
            s[n - 1].b = x.b;
        }
    }
    w->n_span = n;
    if (behavior == UL_WITH_NEXT) turn_spans(s, n);
}

static ul_status run_find(ul_work *w, const ul_part *part)
{
    for (size_t i = 0; i < w->n_piece; i++) {
        const ul_piece p = w->piece[i];
        if (p.id >= 0) {
            UL_TRY(ul_push(w, p));
            continue;
        }
        if (p.n == 0) continue;
        w->n_span = 0;
        UL_TRY(part->find(w, part, w->text + p.at, p.n));
        if (part->invert)
            for (size_t k = 0; k < w->n_span; k++) w->span[k].hit = !w->span[k].hit;
        if (part->behavior >= UL_CONTIGUOUS) join_spans(w, part->behavior);
        for (size_t k = 0; k < w->n_span; k++) {
            const ul_span x = w->span[k];
            if (x.a == x.b || (x.hit && part->behavior == UL_REMOVED)) continue;
            UL_TRY(ul_push(w, (ul_piece){p.at + x.a, x.b - x.a, -1, p.origin && x.a == 0}));
        }
    }
    ul_work_turn(w, false);
    return UL_OK;
}

ul_status ul_work_run(ul_work *w, const ul_part *part, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        w->n_next = w->n_fresh = 0;
        if (part[i].edit)
            UL_TRY(run_edit(w, &part[i]));
        else if (part[i].find)
            UL_TRY(run_find(w, &part[i]));
        else
            UL_TRY(part[i].whole(w, &part[i]));
    }
    return UL_OK;
}
