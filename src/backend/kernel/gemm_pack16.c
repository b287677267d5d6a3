/* gemm_pack16.c - operands rounded to bf16 and packed by blocks of 32 k (gemm_tile.h). A pair of k is one word:
 * the even one in its low half, as AMX's tiles have it. */
#include "backend/kernel/gemm_turn.h"

/* The bits of x rounded to bf16, nearest even, as a float: to_bf16 without a branch. */
static inline uint32_t rounded(real x)
{
    const float f = (float)x;
    uint32_t u;
    __builtin_memcpy(&u, &f, 4);
    const uint32_t near = u + 0x7fff + ((u >> 16) & 1), nan = u | 0x400000u;
    return ((u & 0x7fffffffu) > 0x7f800000u ? nan : near) & 0xffff0000u;
}
static inline uint32_t pair(real even, real odd) { return rounded(even) >> 16 | rounded(odd); }

/* n rows that lie along k: words [n][16]. */
static inline __attribute__((always_inline)) void words_along(int64_t n, const real *x, int64_t row, uint32_t *out)
{
    for (int64_t r = 0; r < n; r++)
        for (int64_t q = 0; q < 16; q++) out[r * 16 + q] = pair(x[r * row + 2 * q], x[r * row + 2 * q + 1]);
}
/* n rows that lie side by side: words [16][n]. */
static inline __attribute__((always_inline)) void words_across(int64_t n, const real *x, int64_t k, uint32_t *out)
{
    for (int64_t q = 0; q < 16; q++, x += 2 * k)
        for (int64_t r = 0; r < n; r++) out[q * n + r] = pair(x[r], x[k + r]);
}
/* words [n][m] to [m][n], both multiples of 8 */
static inline __attribute__((always_inline)) void turn_words(int64_t n, int64_t m, const uint32_t *in, uint32_t *out)
{
#ifdef UL_SIMD
    for (int64_t i = 0; i < n; i += 8)
        for (int64_t j = 0; j < m; j += 8)
            turn8((const float *)(const void *)(in + i * m + j), m, (float *)(void *)(out + j * n + i), n);
#else
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < m; j++) out[j * n + i] = in[i * m + j];
#endif
}

/* A ragged block, or one with other strides: n rows along k, filled with +0. */
static void fill(int64_t n, int64_t rows, int64_t len, const real *x, int64_t row, int64_t col, real *out)
{
    for (int64_t r = 0; r < n; r++)
        for (int64_t k = 0; k < 32; k++) out[r * 32 + k] = r < rows && k < len ? x[r * row + k * col] : 0;
}

#ifdef UL_TARGET_amx
void KFN(pack_a_bf16)(int64_t mr, int64_t len, const real *a, int64_t a_row, int64_t a_col, void *out)
{
    real whole[MR_BF16 * 32];
    uint32_t words[16 * MR_BF16];
    const bool ragged = mr < MR_BF16 || len < 32;
    if (ragged || (a_col != 1 && a_row != 1)) {
        fill(MR_BF16, mr, len, a, a_row, a_col, whole);
        a = whole, a_row = 32, a_col = 1;
    }
    if (a_col == 1) {
        words_along(MR_BF16, a, a_row, out);
    } else {
        words_across(MR_BF16, a, a_col, words);
        turn_words(16, MR_BF16, words, out);
    }
}
#else
/* [even, odd][16][MR_BF16] in floats */
void KFN(pack_a_bf16)(int64_t mr, int64_t len, const real *a, int64_t a_row, int64_t a_col, void *out)
{
    real whole[MR_BF16 * 32], *to = out;
    const bool ragged = mr < MR_BF16 || len < 32;
    if (ragged || (a_col != 1 && a_row != 1)) {
        fill(MR_BF16, mr, len, a, a_row, a_col, whole);
        a = whole, a_row = 32, a_col = 1;
    }
    if (a_col == 1) {
        float apart[MR_BF16 * 32];
        for (int64_t r = 0; r < MR_BF16; r++)
            for (int64_t q = 0; q < 16; q++) {
                const uint32_t e = rounded(a[r * a_row + 2 * q]), o = rounded(a[r * a_row + 2 * q + 1]);
                __builtin_memcpy(apart + r * 32 + q, &e, 4), __builtin_memcpy(apart + r * 32 + 16 + q, &o, 4);
            }
#ifdef UL_SIMD
        for (int64_t k = 0; k < 32; k += 8) turn_w(MR_BF16, apart + k, 32, to + k * MR_BF16, MR_BF16);
#else
        for (int64_t q = 0; q < 32; q++)
            for (int64_t r = 0; r < MR_BF16; r++) to[q * MR_BF16 + r] = (real)apart[r * 32 + q];
#endif
    } else {
        for (int64_t k = 0; k < 32; k++, a += a_col)
            for (int64_t r = 0; r < MR_BF16; r++) {
                const uint32_t u = rounded(a[r]);
                float x;
                __builtin_memcpy(&x, &u, 4);
                to[((k & 1) * 16 + k / 2) * MR_BF16 + r] = (real)x;
            }
    }
}
#endif

void KFN(pack_b_bf16)(int64_t nr, int64_t len, const real *b, int64_t b_row, int64_t b_col, uint16_t *out)
{
    real whole[LANES * 32];
    uint32_t words[LANES * 16], *to = (uint32_t *)(void *)out;
    if (nr < LANES || len < 32 || (b_row != 1 && b_col != 1)) {
        fill(LANES, nr, len, b, b_col, b_row, whole);
        b = whole, b_col = 32, b_row = 1;
    }
    if (b_row == 1) {
        words_along(LANES, b, b_col, words);
        turn_words(LANES, 16, words, to);
    } else {
        words_across(LANES, b, b_row, to);
    }
}
