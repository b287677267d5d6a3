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

/* f32: own polynomials in fused multiply-adds (<= 2 ulp against double); double: base's functions. Written in
 * vmath.h so that loops over them vectorise. */
#include "backend/kernel/vmath.h"

/* Static split of [0, n) rows over the team; results never depend on it. */
#define PARALLEL _Pragma("omp parallel num_threads(be->threads)")
#define PARALLEL_FOR _Pragma("omp parallel for schedule(static) num_threads(be->threads)")

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
#endif
