/* words.c - words as numbers, and how often their n-grams repeat: entropy as in Zhang et al. (2018), "Generating
 * informative and diverse conversational responses", distinct-n as in Li et al. (2016), arXiv 1510.03055. */
#include "stat/stat.h"
#include <stdlib.h>
#include <string.h>

typedef struct {
    const char *p;
    size_t n;
    int64_t place;
} word;

static int by_text(const void *pa, const void *pb)
{
    const word *a = pa, *b = pb;
    const int c = memcmp(a->p, b->p, a->n < b->n ? a->n : b->n);
    if (c) return c;
    return (a->n > b->n) - (a->n < b->n);
}

ul_status ul_words(ul_arena *a, const char *text, int64_t **out, int64_t *n_out)
{
    const size_t bytes = strlen(text);
    *out = UL_NEW(a, int64_t, bytes);
    UL_NEED(*out);
    const ul_mark mark = ul_arena_mark(a);
    word *w = ul_alloc_raw(a, bytes, sizeof *w);
    UL_NEED(w);
    int64_t n = 0;
    for (const char *s = text; *s;) {
        size_t len = 0;
        while (ul_is_word_byte(s[len])) len++;
        if (len == 0 && (unsigned char)*s > ' ') len = 1;
        if (len > 0) {
            w[n] = (word){s, len, n};
            n++;
        }
        s += len ? len : 1;
    }
    if (n > 1) qsort(w, (size_t)n, sizeof *w, by_text);
    int64_t next = 0;
    for (int64_t i = 0; i < n; i++) {
        if (i > 0 && by_text(&w[i - 1], &w[i]) != 0) next++;
        (*out)[w[i].place] = next;
    }
    *n_out = n;
    ul_arena_rewind(a, mark);
    return UL_OK;
}

typedef struct {
    const int64_t *id;
    int order;
} gram;

static int by_ids(const void *pa, const void *pb)
{
    const gram *a = pa, *b = pb;
    for (int k = 0; k < a->order; k++) {
        if (a->id[k] != b->id[k]) return a->id[k] < b->id[k] ? -1 : 1;
    }
    return 0;
}

ul_status ul_ngrams(ul_arena *scratch, const int64_t *id, int64_t n, int order, double *entropy, double *distinct)
{
    const int64_t n_gram = n - order + 1;
    *entropy = *distinct = 0;
    if (order < 1 || n_gram < 1) return UL_OK;
    const ul_mark mark = ul_arena_mark(scratch);
    gram *g = ul_alloc_raw(scratch, (size_t)n_gram, sizeof *g);
    UL_NEED(g);
    for (int64_t i = 0; i < n_gram; i++) g[i] = (gram){id + i, order};
    qsort(g, (size_t)n_gram, sizeof *g, by_ids);
    const double ln2 = ul_log(2);
    int64_t kinds = 0;
    for (int64_t i = 0, same; i < n_gram; i += same, kinds++) {
        for (same = 1; i + same < n_gram && by_ids(&g[i], &g[i + same]) == 0;) same++;
        const double f = (double)same / (double)n_gram;
        *entropy -= f * ul_log(f) / ln2;
    }
    *distinct = (double)kinds / (double)n_gram;
    ul_arena_rewind(scratch, mark);
    return UL_OK;
}
