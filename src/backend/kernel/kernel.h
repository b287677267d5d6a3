/* kernel.h - what every kernel source shares: the element type, the target's name in the symbols, lanes.
 *
 * Each file here is compiled once a target (see backend.cmake). A function that leaves its file is named KFN(x):
 * ul_avx2_x, ul_portable_x, ul_double_x. table.c puts them into the target's ul_kernels. Loops over 16 lanes, or over
 * independent outputs, are written so that the compiler can use vectors of any width; the order of every sum is in
 * the source, so the bits are the same in all targets. */
#ifndef UL_KERNEL_H
#define UL_KERNEL_H
#include "backend/backend.h"
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#define UL_CAT_(a, b, c) a##b##c
#define UL_CAT(a, b, c) UL_CAT_(a, b, c)
#define KFN(name) UL_CAT(ul_, UL_TARGET, _##name)

#ifdef UL_TARGET_double
typedef double real;
#define FMA __builtin_fma
#define SQRT __builtin_sqrt
#define FABS __builtin_fabs
#define FMAX(a, b) ((a) > (b) ? (a) : (b))
#else
typedef float real;
#define FMA __builtin_fmaf
#define SQRT __builtin_sqrtf
#define FABS __builtin_fabsf
#define FMAX(a, b) ((a) > (b) ? (a) : (b))
#endif
enum { LANES = 16 };

static inline int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

/* The fixed tree over 16 lanes. */
static inline real lane_sum(real *l)
{
    for (int i = 0; i < 8; i++) l[i] += l[i + 8];
    for (int i = 0; i < 4; i++) l[i] += l[i + 4];
    return (l[0] + l[2]) + (l[1] + l[3]);
}
/* The same tree for the largest. */
static inline real lane_max(real *l)
{
    for (int i = 0; i < 8; i++) l[i] = FMAX(l[i + 8], l[i]);
    for (int i = 0; i < 4; i++) l[i] = FMAX(l[i + 4], l[i]);
    const real a = FMAX(l[2], l[0]), b = FMAX(l[3], l[1]);
    return FMAX(b, a);
}

/* m[j] = the larger of z[j] and m[j], over whole lanes. Unrolled early, the lanes would become sixteen scalars. */
static inline void lanes_max(int64_t n, const real *z, real *m)
{
    for (int64_t i = 0; i + LANES <= n; i += LANES)
        _Pragma("GCC unroll 1")
        for (int j = 0; j < LANES; j++) m[j] = FMAX(z[i + j], m[j]);
}

/* For i in [0, n) with lane j = i mod 16: the compiler sees an inner loop of 16. */
#define FOR_LANES(i, j, n, ...)                                                                                        \
    do {                                                                                                               \
        int64_t base_ = 0;                                                                                             \
        for (; base_ + LANES <= (n); base_ += LANES)                                                                   \
            for (int j = 0; j < LANES; j++) {                                                                          \
                const int64_t i = base_ + j;                                                                           \
                __VA_ARGS__;                                                                                           \
            }                                                                                                          \
        for (int j = 0; base_ + j < (n); j++) {                                                                        \
            const int64_t i = base_ + j;                                                                               \
            __VA_ARGS__;                                                                                               \
        }                                                                                                              \
    } while (0)

/* f32: own polynomials in fused multiply-adds (<= 2 ulp against double); double: base's functions. Written in
 * vmath.h so that loops over them vectorise. */
#include "backend/kernel/vmath.h"

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

/* Static split of [0, n) rows over the team; results never depend on it. PARALLEL_WORK starts the team only where
 * `work` (elements touched) pays for waking it, and stands before the loop that is split; every thread runs it in the
 * kernels' own mode (the outer loop turns once). */
#define UL_PRAGMA(text) _Pragma(#text)
/* The same for a region of its own; `flop` decides: below 2 million one thread is done before a second is awake. */
#define PARALLEL_FLOP(flop) UL_PRAGMA(omp parallel num_threads(be->threads) if ((int64_t)(flop) >= 2000000))
#define PARALLEL_FOR _Pragma("omp parallel for schedule(static) num_threads(be->threads)")
#define PARALLEL_WORK(work)                                                                                            \
    UL_PRAGMA(omp parallel num_threads(be->threads) if ((int64_t)(work) >= 16384))                                     \
    for (uint64_t mode_ = float_mode(false), once_ = 1; once_; once_ = 0, float_mode_back(mode_))                      \
        UL_PRAGMA(omp for schedule(static) nowait)

/* Width of one thread's part of c columns: whole cache lines. Chains over rows are split by columns, never by rows. */
static inline int64_t columns_each(const ul_backend *be, int64_t c)
{
    const int64_t part = (c + be->threads - 1) / be->threads;
    return (part + LANES - 1) / LANES * LANES;
}

/* bf16 rounding of one operand, nearest even; NaN stays NaN; denormals become (signed) zero as AMX reads them. */
static inline uint16_t to_bf16(float x)
{
    uint32_t u;
    __builtin_memcpy(&u, &x, 4);
    if ((u & 0x7fffffffu) > 0x7f800000u) return (uint16_t)((u >> 16) | 0x40);
    return (uint16_t)((u + 0x7fff + ((u >> 16) & 1)) >> 16);
}
static inline float from_bf16(uint16_t h)
{
    const uint32_t u = (uint32_t)h << 16;
    float f;
    __builtin_memcpy(&f, &u, 4);
    return f;
}

/* The ops of the table: one list for the declarations here and the entries in table.c. */
#define UL_KERNELS(X)                                                                                                  \
    X(gemm) X(fill_rows) X(col_sum) X(norm_fwd) X(norm_bwd) X(rope) X(attn_fwd) X(attn_bwd) X(attn_one) X(act_fwd)     \
    X(act_bwd) X(glu_fwd) X(glu_bwd) X(add) X(copy) X(scale) X(axpy) X(gather) X(scatter) X(score) X(score_bwd)        \
    X(keep_top)                                                                                                        \
    X(dot) X(sum_squares) X(first_bad) X(adamw) X(sgd) X(sophia) X(mask) X(agree) X(noise) X(panel)
#define UL_DECLARE(op) __typeof__(*((ul_kernels *)0)->op) KFN(op);
UL_KERNELS(UL_DECLARE)
#endif
