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


static inline int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

/* Rounding to nearest even; denormals kept (f32, double) or zero in and out (bf16 products). Set in every thread of a
 * team, and what the caller had is put back. */
#if defined(__x86_64__)
static inline uint64_t float_mode(bool flush)
{
    const unsigned old = _mm_getcsr();
    _mm_setcsr((old & ~0xe040u) | (flush ? 0x8040u : 0));
    return old;
}
static inline void float_mode_back(uint64_t old) { _mm_setcsr((unsigned)old); }
#elif defined(__aarch64__)
static inline uint64_t float_mode(bool flush)
{
    uint64_t old, mode;
    __asm__ volatile("mrs %0, fpcr" : "=r"(old));
    mode = (old & ~(UINT64_C(7) << 22)) | (flush ? UINT64_C(1) << 24 : 0);
    __asm__ volatile("msr fpcr, %0" ::"r"(mode));
    return old;
}
static inline void float_mode_back(uint64_t old) { __asm__ volatile("msr fpcr, %0" ::"r"(old)); }
#else
static inline uint64_t float_mode(bool flush) { return (uint64_t)flush * 0; }
static inline void float_mode_back(uint64_t old) { (void)old; }
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
