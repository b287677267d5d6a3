/* gemm.h - products and attention: what their files share, and what table.c takes. */
#ifndef UL_GEMM_H
#define UL_GEMM_H
#include "backend/kernel/kernel.h"
#include "backend/kernel/work.h"
#include <omp.h>
#include <string.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

/* With bf16 precision k is cut into blocks of at most 32 that start anew at each segment; a ragged block is filled with
 * +0. A cursor walks the blocks. */
typedef struct {
    int64_t k;   /* where the next block starts */
    int32_t seg; /* the segment it lies in */
} block_cursor;
static inline int64_t block_next(const ul_gemm *g, block_cursor *c, int64_t *k)
{
    if (g->seg)
        while (c->seg < g->n_seg && c->k >= g->seg[c->seg + 1]) c->seg++;
    const int64_t end = g->seg && c->seg < g->n_seg ? g->seg[c->seg + 1] : g->k, len = least(32, end - c->k);
    *k = c->k;
    c->k += len;
    return len; /* 0: there is none */
}
static inline int64_t block_count(const ul_gemm *g)
{
    if (!g->seg) return (g->k + 31) / 32;
    int64_t n = 0;
    for (int32_t s = 0; s < g->n_seg; s++) n += (g->seg[s + 1] - g->seg[s] + 31) / 32;
    return n;
}
#endif
