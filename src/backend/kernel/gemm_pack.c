/* gemm_pack.c - operands copied into the order in which the tiles read them (gemm_tile.h). */
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
#endif

/* w whole columns of out, each `step` apart, from rows that lie along k. */
static inline __attribute__((always_inline)) void turn(int64_t w, int64_t kc, const real *in, int64_t row, real *out,
                                                       int64_t step)
{
    int64_t k = 0;
#ifdef UL_SIMD
    for (; k + 8 <= kc; k += 8) {
        int64_t i = 0;
        for (; i + 8 <= w; i += 8) turn8(in + i * row + k, row, out + k * step + i, step);
        if (w & 4)
            for (int64_t q = 0; q < 8; q += 4) turn4(in + i * row + k + q, row, out + (k + q) * step + i, step);
        i += w & 4;
        if (w & 2)
            for (int64_t q = 0; q < 8; q += 4) turn2(in + i * row + k + q, row, out + (k + q) * step + i, step);
    }
#endif
    for (; k < kc; k++)
        for (int64_t i = 0; i < w; i++) out[k * step + i] = in[i * row + k];
}

static void any(int64_t w, int64_t width, int64_t kc, const real *in, int64_t row, int64_t col, real *out)
{
    for (int64_t k = 0; k < kc; k++)
        for (int64_t i = 0; i < width; i++) out[k * width + i] = i < w ? in[i * row + k * col] : 0;
}

/* Rows that lie side by side: several tiles in one walk down k, so that whole cache lines are used. */
static void side_by_side(int64_t tiles, int64_t kc, const real *a, int64_t a_col, real *out)
{
    for (int64_t k = 0; k < kc; k++, a += a_col, out += MR)
        for (int64_t t = 0; t < tiles; t++) memcpy(out + t * MR * kc, a + t * MR, MR * sizeof(real));
}

void KFN(pack_a)(int64_t mc, int64_t kc, const real *a, int64_t a_row, int64_t a_col, real *out)
{
    const int64_t whole = mc / MR, group = 8;
    for (int64_t t = 0; a_row == 1 && t < whole; t += group)
        side_by_side(least(group, whole - t), kc, a + t * MR, a_col, out + t * MR * kc);
    for (int64_t t = 0; a_row != 1 && t < whole; t++) {
        if (a_col == 1)
            turn(MR, kc, a + t * MR * a_row, a_row, out + t * MR * kc, MR);
        else
            any(MR, MR, kc, a + t * MR * a_row, a_row, a_col, out + t * MR * kc);
    }
    if (whole * MR < mc) any(mc - whole * MR, MR, kc, a + whole * MR * a_row, a_row, a_col, out + whole * MR * kc);
}

void KFN(pack_b)(int64_t nr, int64_t kc, const real *b, int64_t b_row, int64_t b_col, real *out)
{
    if (nr == LANES && b_row == 1)
        turn(LANES, kc, b, b_col, out, LANES);
    else if (nr == LANES && b_col == 1)
        for (int64_t k = 0; k < kc; k++) memcpy(out + k * LANES, b + k * b_row, LANES * sizeof(real));
    else
        any(nr, LANES, kc, b, b_col, b_row, out);
}

#ifdef UL_TARGET_amx
void KFN(pack_a_bf16)(int64_t mr, int64_t len, const real *a, int64_t a_row, int64_t a_col, void *out)
{
    uint16_t *to = out; /* [32][32] */
    for (int64_t i = 0; i < MR_BF16; i++)
        for (int64_t k = 0; k < 32; k++) to[i * 32 + k] = i < mr && k < len ? to_bf16(a[i * a_row + k * a_col]) : 0;
}
#else
void KFN(pack_a_bf16)(int64_t mr, int64_t len, const real *a, int64_t a_row, int64_t a_col, void *out)
{
    real *to = out; /* [16][MR_BF16][2] */
    for (int64_t i = 0; i < MR_BF16; i++)
        for (int64_t k = 0; k < 32; k++) {
            const bool is = i < mr && k < len;
            to[(k / 2 * MR_BF16 + i) * 2 + k % 2] =
                is ? (real)from_bf16(to_bf16((float)a[i * a_row + k * a_col])) : 0;
        }
}
#endif

void KFN(pack_b_bf16)(int64_t nr, int64_t len, const real *b, int64_t b_row, int64_t b_col, uint16_t *out)
{
    for (int64_t k = 0; k < 32; k++)
        for (int64_t j = 0; j < LANES; j++)
            out[(k / 2 * LANES + j) * 2 + k % 2] = j < nr && k < len ? to_bf16((float)b[k * b_row + j * b_col]) : 0;
}
