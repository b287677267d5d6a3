/* gemm_turn.h - blocks turned by 90 degrees in registers: what lies along k goes across. */
#ifndef UL_GEMM_TURN_H
#define UL_GEMM_TURN_H
#include "backend/kernel/gemm_tile.h"

#ifdef UL_SIMD
/* An 8 x 8 block: out[k * step + i] = in[i * row + k]. */
static inline __attribute__((always_inline)) void turn8(const float *in, int64_t row, float *out, int64_t step)
{
    __m256 r[8], t[8];
    for (int i = 0; i < 8; i++) r[i] = _mm256_loadu_ps(in + i * row);
    for (int i = 0; i < 8; i += 2) {
        t[i] = _mm256_unpacklo_ps(r[i], r[i + 1]);
        t[i + 1] = _mm256_unpackhi_ps(r[i], r[i + 1]);
    }
    for (int i = 0; i < 8; i += 4) {
        r[i] = _mm256_shuffle_ps(t[i], t[i + 2], 0x44);
        r[i + 1] = _mm256_shuffle_ps(t[i], t[i + 2], 0xee);
        r[i + 2] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0x44);
        r[i + 3] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0xee);
    }
    for (int i = 0; i < 4; i++) {
        _mm256_storeu_ps(out + i * step, _mm256_permute2f128_ps(r[i], r[i + 4], 0x20));
        _mm256_storeu_ps(out + (i + 4) * step, _mm256_permute2f128_ps(r[i], r[i + 4], 0x31));
    }
}
/* The same for 4 rows of 4. */
static inline __attribute__((always_inline)) void turn4(const float *in, int64_t row, float *out, int64_t step)
{
    __m128 r0 = _mm_loadu_ps(in), r1 = _mm_loadu_ps(in + row), r2 = _mm_loadu_ps(in + 2 * row),
           r3 = _mm_loadu_ps(in + 3 * row);
    _MM_TRANSPOSE4_PS(r0, r1, r2, r3);
    _mm_storeu_ps(out, r0), _mm_storeu_ps(out + step, r1);
    _mm_storeu_ps(out + 2 * step, r2), _mm_storeu_ps(out + 3 * step, r3);
}
static inline __attribute__((always_inline)) void turn2(const float *in, int64_t row, float *out, int64_t step)
{
    const __m128 r0 = _mm_loadu_ps(in), r1 = _mm_loadu_ps(in + row);
    const __m128 lo = _mm_unpacklo_ps(r0, r1), hi = _mm_unpackhi_ps(r0, r1);
    _mm_storel_pi((__m64 *)(void *)out, lo), _mm_storeh_pi((__m64 *)(void *)(out + step), lo);
    _mm_storel_pi((__m64 *)(void *)(out + 2 * step), hi), _mm_storeh_pi((__m64 *)(void *)(out + 3 * step), hi);
}
/* w columns (even) of 8 k. */
static inline __attribute__((always_inline)) void turn_w(const int64_t w, const float *in, int64_t row, float *out,
                                                         int64_t step)
{
    int64_t i = 0;
    for (; i + 8 <= w; i += 8) turn8(in + i * row, row, out + i, step);
    if (w & 4)
        for (int64_t q = 0; q < 8; q += 4) turn4(in + i * row + q, row, out + q * step + i, step);
    i += w & 4;
    if (w & 2)
        for (int64_t q = 0; q < 8; q += 4) turn2(in + i * row + q, row, out + q * step + i, step);
}
#endif

/* out[k * step + i] = in[i * row + k] for w columns, w even. */
static inline __attribute__((always_inline)) void turn(const int64_t w, int64_t kc, const real *in, int64_t row,
                                                       real *out, int64_t step)
{
    int64_t k = 0;
#ifdef UL_SIMD
    for (; k + 8 <= kc; k += 8) turn_w(w, in + k, row, out + k * step, step);
#endif
    for (; k < kc; k++)
        for (int64_t i = 0; i < w; i++) out[k * step + i] = in[i * row + k];
}
#endif
