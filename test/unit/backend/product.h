/* product.h - a product by its definition, one element after the other, for the tests of products and attention. */
#ifndef TEST_PRODUCT_H
#define TEST_PRODUCT_H
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <math.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif
#include "backend/backend.h"

#if defined(__x86_64__)
static inline unsigned flush_on(void)
{
    const unsigned old = _mm_getcsr();
    _mm_setcsr(old | 0x8040);
    return old;
}
static inline void flush_back(unsigned old) { _mm_setcsr(old); }
static inline unsigned mode_now(void) { return _mm_getcsr() & ~0x3fu; } /* without the flags of what happened */
#else
static inline unsigned flush_on(void) { return 0; }
static inline void flush_back(unsigned old) { (void)old; }
static inline unsigned mode_now(void) { return 0; }
#endif

static inline float bf16_round(float x)
{
    uint32_t u;
    memcpy(&u, &x, 4);
    if ((u & 0x7fffffffu) > 0x7f800000u)
        u |= 0x400000u;
    else
        u += 0x7fff + ((u >> 16) & 1);
    u &= 0xffff0000u;
    memcpy(&x, &u, 4);
    return x;
}

/* sum over n of a b, by the law of the precision; `skip` (may be NULL): in no chain (f32), +0 (bf16). */
static inline float chain_f32(int64_t n, const float *a, int64_t as, const float *b, int64_t bs, const uint8_t *skip,
                              float c)
{
    for (int64_t k = 0; k < n; k++)
        if (!skip || !skip[k]) c = fmaf(a[k * as], b[k * bs], c);
    return c;
}
static inline float chain_bf16(int64_t n, const float *a, int64_t as, const float *b, int64_t bs, float c0)
{
    volatile float c = c0;
    const unsigned mode = flush_on();
    for (int64_t k0 = 0; k0 < n; k0 += 32) {
        volatile float e = 0, o = 0; /* volatile: nothing moves across the change of mode */
        for (int64_t k = k0; k < k0 + 32; k += 2) {
            e = fmaf(k < n ? bf16_round(a[k * as]) : 0, k < n ? bf16_round(b[k * bs]) : 0, e);
            o = fmaf(k + 1 < n ? bf16_round(a[(k + 1) * as]) : 0, k + 1 < n ? bf16_round(b[(k + 1) * bs]) : 0, o);
        }
        c = c + (e + o);
    }
    flush_back(mode);
    return c;
}
static inline double chain_double(int64_t n, const double *a, int64_t as, const double *b, int64_t bs, double c)
{
    for (int64_t k = 0; k < n; k++) c = fma(a[k * as], b[k * bs], c);
    return c;
}

/* Of many magnitudes: sums of products of bf16 numbers of one magnitude are exact, and no order would show. */
static inline float draw(uint64_t stream, uint64_t i)
{
    return ldexpf((float)(2 * ul_rng_uniform(7, UL_STREAM_TEST, stream, i) - 1), -(int)(i * 5 % 11));
}
static inline void fill(float *x, int64_t n, uint64_t stream)
{
    for (int64_t i = 0; i < n; i++) x[i] = draw(stream, (uint64_t)i);
}

typedef struct {
    ul_ctx *ctx;
    ul_arena *arena;
} fixture;
static inline int begin(void **state)
{
    static fixture f;
    if (ul_ctx_new(NULL, &f.ctx) != UL_OK || ul_arena_new(f.ctx, "test", &f.arena) != UL_OK) return -1;
    *state = &f;
    return 0;
}
static inline int end(void **state)
{
    fixture *f = *state;
    ul_arena_free(f->arena);
    ul_ctx_free(f->ctx);
    return 0;
}
static inline ul_backend *open_backend(fixture *f, const char *isa, ul_precision precision, int threads)
{
    ul_backend *be = NULL;
    if (ul_backend_open(f->ctx, f->arena, isa, precision, threads, &be) != UL_OK) fail_msg("%s", ul_error_text(f->ctx));
    return be;
}
static inline void *copy_of(fixture *f, const void *x, size_t bytes)
{
    void *p = ul_alloc_raw(f->arena, bytes ? bytes : 1, 1);
    assert_non_null(p);
    memcpy(p, x, bytes);
    return p;
}
/* Bit for bit, and where the first difference is. */
static inline void same_bits(const float *want, const float *got, int64_t n, const char *what, const char *isa,
                             int threads)
{
    for (int64_t i = 0; i < n; i++)
        if (memcmp(want + i, got + i, sizeof *want))
            fail_msg("%s, %s, %d threads: element %lld is %a, should be %a", what, isa, threads, (long long)i,
                     (double)got[i], (double)want[i]);
}
#endif
