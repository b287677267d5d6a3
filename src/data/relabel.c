/* relabel.c - documents that are not quite what their text says: scored against other tokens (random ones,
 * or given ones: Yao et al. 2024, arXiv:2402.15159, section 4), or read behind another text. */
#include "data/data.h"
#include <stdlib.h>
#include <string.h>

static int rising(const void *a, const void *b)
{
    const int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return (x > y) - (x < y);
}

static bool takes_part(const int32_t *pool, int64_t n, int32_t token)
{
    return pool ? bsearch(&token, pool, (size_t)n, sizeof token, rising) != NULL : token < n;
}

static ul_status copy(ul_arena *arena, const ul_doc *d, ul_doc *out, int32_t **target)
{
    UL_NEED(*target = UL_NEW(arena, int32_t, d->n));
    memcpy(*target, d->target ? d->target : d->token, (size_t)d->n * sizeof **target);
    *out = *d;
    out->target = *target;
    return UL_OK;
}

ul_status ul_doc_random(ul_arena *arena, const ul_doc *d, const int32_t *pool, int64_t n_pool, uint64_t seed,
                        uint64_t draw, ul_doc *out)
{
    int32_t *target;
    UL_TRY(copy(arena, d, out, &target));
    for (int32_t t = 0; t < d->n; t++) {
        if (!d->labelled[t] || !takes_part(pool, n_pool, d->token[t])) continue;
        const int64_t k = (int64_t)ul_rng_below(seed, UL_STREAM_RELABEL, draw, (uint64_t)t, (uint64_t)n_pool);
        target[t] = pool ? pool[k] : (int32_t)k;
    }
    return UL_OK;
}

ul_status ul_doc_as(ul_arena *arena, const ul_doc *d, const int32_t *pool, int64_t n_pool, const double *label,
                    ul_doc *out)
{
    int32_t *target;
    UL_TRY(copy(arena, d, out, &target));
    for (int32_t t = 1, row = 0; t < d->n; t++) {
        if (!d->labelled[t]) continue;
        if (takes_part(pool, n_pool, d->token[t])) target[t] = (int32_t)label[row];
        row++;
    }
    return UL_OK;
}

/* n zeros or other bytes in the middle of a row of the document's. */
static void spread(void *to, const void *from, size_t each, int32_t head, int32_t n, int32_t n_doc)
{
    memcpy(to, from, (size_t)head * each);
    memcpy((char *)to + (size_t)(head + n) * each, (const char *)from + (size_t)head * each,
           (size_t)(n_doc - head) * each);
}

static ul_status behind(ul_arena *arena, const ul_doc *d, const int32_t *text, int32_t n, int32_t bos, ul_doc *out)
{
    const int32_t head = d->n > 0 && bos >= 0 && d->token[0] == bos, m = d->n + n;
    int32_t *token = UL_NEW(arena, int32_t, m);
    uint8_t *labelled = UL_NEW(arena, uint8_t, m), *hidden = d->hidden ? UL_NEW(arena, uint8_t, m) : NULL;
    if (!token || !labelled || (d->hidden && !hidden)) return UL_E_RESOURCE;
    spread(token, d->token, sizeof *token, head, n, d->n);
    if (n) memcpy(token + head, text, (size_t)n * sizeof *token);
    spread(labelled, d->labelled, 1, head, n, d->n);
    if (hidden) spread(hidden, d->hidden, 1, head, n, d->n);
    *out = (ul_doc){d->id, m, d->entity, token, labelled, hidden, NULL, NULL};
    return UL_OK;
}

ul_status ul_docs_behind(ul_arena *arena, const ul_docs *docs, const int32_t *text, int32_t n, int32_t bos,
                         ul_docs **out)
{
    ul_docs *d = UL_NEW(arena, ul_docs, 1);
    UL_NEED(d);
    *d = *docs;
    UL_NEED(d->at = UL_NEW(arena, ul_doc, docs->n));
    d->n_tok += n * docs->n, d->longest += n;
    for (int64_t i = 0; i < docs->n; i++) UL_TRY(behind(arena, &docs->at[i], text, n, bos, &d->at[i]));
    *out = d;
    return UL_OK;
}

static ul_status late(ul_arena *arena, const ul_doc *d, ul_doc *out)
{
    const int32_t n = d->n;
    int32_t *token = UL_NEW(arena, int32_t, n + 1), *target = UL_NEW(arena, int32_t, n + 1);
    int32_t *pos = d->pos ? UL_NEW(arena, int32_t, n + 1) : NULL;
    uint8_t *labelled = UL_NEW(arena, uint8_t, n + 1), *hidden = d->hidden ? UL_NEW(arena, uint8_t, n + 1) : NULL;
    if (!token || !target || !labelled || (d->hidden && !hidden) || (d->pos && !pos)) return UL_E_RESOURCE;
    for (int32_t t = 0; t <= n; t++) {
        const int32_t before = t > 0 ? t - 1 : 0, here = t < n ? t : n - 1;
        token[t] = d->token[here], target[t] = d->token[before];
        labelled[t] = t > 0 && d->labelled[before];
        if (hidden) hidden[t] = d->hidden[here];
        if (pos) pos[t] = d->pos[here] + (t == n);
    }
    *out = (ul_doc){d->id, n + 1, d->entity, token, labelled, hidden, pos, target};
    return UL_OK;
}

ul_status ul_docs_late(ul_arena *arena, const ul_docs *docs, ul_docs **out)
{
    ul_docs *d = UL_NEW(arena, ul_docs, 1);
    UL_NEED(d);
    *d = *docs;
    UL_NEED(d->at = UL_NEW(arena, ul_doc, docs->n));
    d->n_tok += docs->n, d->longest += 1;
    for (int64_t i = 0; i < docs->n; i++) UL_TRY(late(arena, &docs->at[i], &d->at[i]));
    *out = d;
    return UL_OK;
}
