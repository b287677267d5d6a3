/* gemm_bf16.c - one tile of a product of bf16 numbers, as AMX's TDPBF16PS defines it (measured: 0 of 1.5 million
 * elements differ), in plain fused multiply-adds: per 32 k  e = fma(a[2i], b[2i], e), o = fma(a[2i+1], b[2i+1], o)
 * from 0, then c = c + (e + o). A pair of b is one word of 32 bits: its halves become floats by a shift and a mask. */
#include "backend/kernel/gemm_tile.h"

#ifndef UL_TARGET_amx
void KFN(tiles_begin)(bool bf16) { (void)bf16; }
void KFN(tiles_end)(bool bf16) { (void)bf16; }

#ifdef UL_SIMD
#if UL_SIMD == 512
typedef __m512 vec;
typedef __m512i words;
#define WORDS(p) _mm512_loadu_si512((const void *)(p))
#define EVEN(w) _mm512_castsi512_ps(_mm512_slli_epi32((w), 16))
#define ODD(w) _mm512_castsi512_ps(_mm512_and_si512((w), _mm512_set1_epi32(-65536)))
#define LOAD _mm512_loadu_ps
#define STORE _mm512_storeu_ps
#define FMADD _mm512_fmadd_ps
#define ADD _mm512_add_ps
#define SET1 _mm512_set1_ps
#define ZERO _mm512_setzero_ps
enum { VL = 16 };
#else
typedef __m256 vec;
typedef __m256i words;
#define WORDS(p) _mm256_loadu_si256((const __m256i *)(const void *)(p))
#define EVEN(w) _mm256_castsi256_ps(_mm256_slli_epi32((w), 16))
#define ODD(w) _mm256_castsi256_ps(_mm256_and_si256((w), _mm256_set1_epi32(-65536)))
#define LOAD _mm256_loadu_ps
#define STORE _mm256_storeu_ps
#define FMADD _mm256_fmadd_ps
#define ADD _mm256_add_ps
#define SET1 _mm256_set1_ps
#define ZERO _mm256_setzero_ps
enum { VL = 8 };
#endif

/* Chains of 16 pairs from 0, over the even or the odd k of a block, for R rows. */
static inline __attribute__((always_inline)) void chain(const int R, const float *a, const uint16_t *b, int64_t next,
                                                        const bool odd, vec c[MR_BF16][2])
{
#pragma GCC unroll 16
    for (int r = 0; r < R; r++) c[r][0] = c[r][1] = ZERO();
#pragma GCC unroll 2
    for (int q = 0; q < 16; q++, a += MR_BF16, b += 2 * LANES) {
        const words w0 = WORDS(b), w1 = WORDS(b + next);
        const vec x0 = odd ? ODD(w0) : EVEN(w0), x1 = odd ? ODD(w1) : EVEN(w1);
#pragma GCC unroll 16
        for (int r = 0; r < R; r++) {
            const vec s = SET1(a[r]);
            c[r][0] = FMADD(s, x0, c[r][0]), c[r][1] = FMADD(s, x1, c[r][1]);
        }
    }
}
/* Both at once where the registers suffice: few rows, b is read once. */
static inline __attribute__((always_inline)) void chains(const int R, const float *a, const uint16_t *b, int64_t next,
                                                         vec e[MR_BF16][2], vec o[MR_BF16][2])
{
#pragma GCC unroll 16
    for (int r = 0; r < R; r++) e[r][0] = e[r][1] = o[r][0] = o[r][1] = ZERO();
#pragma GCC unroll 2
    for (int q = 0; q < 16; q++, a += MR_BF16, b += 2 * LANES)
#pragma GCC unroll 2
        for (int v = 0; v < 2; v++) {
            const words w = WORDS(b + v * next);
#pragma GCC unroll 16
            for (int r = 0; r < R; r++) {
                e[r][v] = FMADD(SET1(a[r]), EVEN(w), e[r][v]);
                o[r][v] = FMADD(SET1(a[16 * MR_BF16 + r]), ODD(w), o[r][v]);
            }
        }
}

/* c: [MR_BF16][NR_BF16]. In a full tile e waits in memory while o has the registers. */
static inline __attribute__((always_inline)) void rows(const int R, int64_t kc, const float *a, const uint16_t *b,
                                                       int64_t b_next, float *c)
{
    const int64_t next = VL == 16 ? b_next : VL * 2;
    for (int64_t k = 0; k < kc; k += 32, a += 32 * MR_BF16, b += 32 * LANES) {
        vec e[MR_BF16][2], o[MR_BF16][2];
        float wait[MR_BF16 * NR_BF16];
        if (R <= 2) {
            chains(R, a, b, next, e, o);
        } else {
            chain(R, a, b, next, false, e);
#pragma GCC unroll 16
            for (int r = 0; r < R; r++)
                STORE(wait + r * NR_BF16, e[r][0]), STORE(wait + r * NR_BF16 + VL, e[r][1]);
            chain(R, a + 16 * MR_BF16, b, next, true, o);
        }
#pragma GCC unroll 16
        for (int r = 0; r < R; r++)
#pragma GCC unroll 2
            for (int v = 0; v < 2; v++) {
                const int64_t at = r * NR_BF16 + v * VL;
                const vec x = R <= 2 ? e[r][v] : LOAD(wait + at);
                STORE(c + at, ADD(LOAD(c + at), ADD(x, o[r][v])));
            }
    }
}
static void whole(int64_t mr, int64_t kc, const float *a, const uint16_t *b, int64_t b_next, float *c)
{
    if (mr == 1)
        rows(1, kc, a, b, b_next, c);
    else if (mr == 2)
        rows(2, kc, a, b, b_next, c);
    else if (mr <= 4)
        rows(4, kc, a, b, b_next, c);
    else
        rows(MR_BF16, kc, a, b, b_next, c);
}
#else
#define BODY                                                                                                           \
    for (int64_t k = 0; k < kc; k += 32, a += 32 * MR_BF16, b += 32 * LANES)                                           \
        for (int r = 0; r < MR_BF16; r++) {                                                                            \
            real e[LANES] = {0}, o[LANES] = {0};                                                                       \
            for (int q = 0; q < 16; q++) {                                                                             \
                const real s = a[q * MR_BF16 + r], t = a[(16 + q) * MR_BF16 + r];                                      \
                const uint16_t *w = b + q * 2 * LANES;                                                                 \
                for (int l = 0; l < LANES; l++) e[l] = FMA(s, (real)from_bf16(w[2 * l]), e[l]);                        \
                for (int l = 0; l < LANES; l++) o[l] = FMA(t, (real)from_bf16(w[2 * l + 1]), o[l]);                    \
            }                                                                                                          \
            for (int l = 0; l < LANES; l++) c[r * NR_BF16 + l] = c[r * NR_BF16 + l] + (e[l] + o[l]);                   \
        }
static void whole_plain(int64_t kc, const real *a, const uint16_t *b, real *c) { BODY }
#if defined(__x86_64__)
__attribute__((target("avx2,fma"))) static void whole_fma(int64_t kc, const real *a, const uint16_t *b, real *c)
{
    BODY
}
#endif
static void whole(int64_t mr, int64_t kc, const real *a, const uint16_t *b, int64_t b_next, real *c)
{
    (void)mr, (void)b_next;
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
        whole_fma(kc, a, b, c);
        return;
    }
#endif
    whole_plain(kc, a, b, c);
}
#endif

void KFN(tile_bf16)(const tile_bf16 *t)
{
    real c[MR_BF16 * NR_BF16] = {0};
    if (!t->first)
        for (int64_t r = 0; r < t->mr; r++)
            memcpy(c + r * NR_BF16, t->c + r * t->c_row, (size_t)t->nr * sizeof(real));
    whole(t->mr, t->kc, t->a, t->b, t->nr <= LANES ? 0 : t->b_next, c);
    for (int64_t r = 0; r < t->mr; r++)
        memcpy(t->c + r * t->c_row, c + r * NR_BF16, (size_t)t->nr * sizeof(real));
}
#endif
