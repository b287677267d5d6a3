/* kernel.h - what every kernel source shares: the element type, the target's name in the symbols, lanes.
 *
 * Each file here is compiled once a target (see backend.cmake). A function that leaves its file is named KFN(x):
 * ul_avx2_x, ul_portable_x, ul_double_x. table.c puts them into the target's ul_kernels. Loops over 16 lanes, or over
 * independent outputs, are written so that the compiler can use vectors of any width; the order of every sum is in
 * the source, so the bits are the same in all targets. */
#ifndef UL_KERNEL_H
#define UL_KERNEL_H
#include "backend/backend.h"

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

/* The fixed tree over 16 lanes. */
static inline real lane_sum(real *l)
{
    for (int i = 0; i < 8; i++) l[i] += l[i + 8];
    for (int i = 0; i < 4; i++) l[i] += l[i + 4];
    return (l[0] + l[2]) + (l[1] + l[3]);
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

/* Static split of [0, n) rows over the team; results never depend on it. PARALLEL_WORK starts the team only where
 * `work` (elements touched) pays for waking it. */
#define UL_PRAGMA(text) _Pragma(#text)
#define PARALLEL_WORK(work) \
    UL_PRAGMA(omp parallel for schedule(static) num_threads(be->threads) if ((int64_t)(work) >= 16384))
#define PARALLEL _Pragma("omp parallel num_threads(be->threads)")
#define PARALLEL_FOR _Pragma("omp parallel for schedule(static) num_threads(be->threads)")

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
    X(sum_squares) X(first_bad) X(adamw) X(sgd) X(panel)
#define UL_DECLARE(op) __typeof__(*((ul_kernels *)0)->op) KFN(op);
UL_KERNELS(UL_DECLARE)
#endif
