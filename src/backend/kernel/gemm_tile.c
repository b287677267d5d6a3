/* gemm_tile.c - one tile of a product in f32 or double: c[r,j] = fma(a[r,k], b[k,j], c[r,j]) in rising k, all of it in
 * registers. One source for every vector width; lanes are outputs j. */
#include "backend/kernel/gemm_tile.h"

#ifdef UL_SIMD
#if UL_SIMD == 512
typedef __m512 vec;
#define LOAD _mm512_loadu_ps
#define STORE _mm512_storeu_ps
#define FMADD _mm512_fmadd_ps
#define SET1 _mm512_set1_ps
#define ZERO _mm512_setzero_ps
enum { VL = 16, NARROW = VL };
#else
typedef __m256 vec;
#define LOAD _mm256_loadu_ps
#define STORE _mm256_storeu_ps
#define FMADD _mm256_fmadd_ps
#define SET1 _mm256_set1_ps
#define ZERO _mm256_setzero_ps
enum { VL = 8, NARROW = VL };
#endif

/* R rows of V vectors. The second vector is the second half of the panel, or the next panel. Always inlined with
 * constant R, V, shape and, where a is packed, strides. */
static inline __attribute__((always_inline)) void body(const tile *t, const int R, const int V, const tile_shape shape,
                                                       const int64_t a_row, const int64_t a_step)
{
    const int64_t next = VL == 16 ? t->b_next : VL, kc = t->kc;
    const real *a = t->a, *b = t->b;
    vec c[MR][2];
#pragma GCC unroll 16
    for (int r = 0; r < R; r++)
#pragma GCC unroll 2
        for (int v = 0; v < V; v++)
            c[r][v] = t->first ? ZERO() : LOAD(t->c + r * t->c_row + v * VL);
    int64_t k = 0;
    if (shape == TILE_IN)
#pragma GCC unroll 16
        for (int s = 0; s < R; s++) {
            if (k == kc) break;
#pragma GCC unroll 2
            for (int v = 0; v < V; v++) {
                const vec x = LOAD(b + v * next);
#pragma GCC unroll 16
                for (int r = 0; r <= s; r++) c[r][v] = FMADD(SET1(a[r * a_row]), x, c[r][v]);
            }
            a += a_step, b += LANES, k++;
        }
    const int64_t whole = shape == TILE_OUT ? kc - R : kc;
#pragma GCC unroll 2
    for (; k < whole; k++) {
        vec x[2];
#pragma GCC unroll 2
        for (int v = 0; v < V; v++) x[v] = LOAD(b + v * next);
#pragma GCC unroll 16
        for (int r = 0; r < R; r++) {
            const vec y = SET1(a[r * a_row]);
#pragma GCC unroll 2
            for (int v = 0; v < V; v++) c[r][v] = FMADD(y, x[v], c[r][v]);
        }
        a += a_step, b += LANES;
    }
    if (shape == TILE_OUT)
#pragma GCC unroll 16
        for (int s = 0; s < R; s++) {
#pragma GCC unroll 2
            for (int v = 0; v < V; v++) {
                const vec x = LOAD(b + v * next);
#pragma GCC unroll 16
                for (int r = s; r < R; r++) c[r][v] = FMADD(SET1(a[r * a_row]), x, c[r][v]);
            }
            a += a_step, b += LANES;
        }
#pragma GCC unroll 16
    for (int r = 0; r < R; r++)
#pragma GCC unroll 2
        for (int v = 0; v < V; v++) STORE(t->c + r * t->c_row + v * VL, c[r][v]);
}

/* A whole tile, its operand a packed or not; narrow: of one vector. */
#define WHOLE(name, V, shape, a_row, a_step)                                                                           \
    static void name(const tile *t) { body(t, MR, V, shape, a_row, a_step); }
WHOLE(packed, 2, TILE_FULL, 1, MR)
WHOLE(packed_narrow, 1, TILE_FULL, 1, MR)
WHOLE(direct, 2, TILE_FULL, t->a_row, t->a_step)
WHOLE(direct_narrow, 1, TILE_FULL, t->a_row, t->a_step)
WHOLE(in, 2, TILE_IN, t->a_row, t->a_step)
WHOLE(in_narrow, 1, TILE_IN, t->a_row, t->a_step)
WHOLE(out, 2, TILE_OUT, t->a_row, t->a_step)
WHOLE(out_narrow, 1, TILE_OUT, t->a_row, t->a_step)

#define ROWS(R)                                                                                                        \
    case R:                                                                                                            \
        if (narrow)                                                                                                    \
            body(t, R, 1, TILE_FULL, t->a_row, t->a_step);                                                             \
        else                                                                                                           \
            body(t, R, 2, TILE_FULL, t->a_row, t->a_step);                                                             \
        break;
static void fewer_rows(const tile *t, bool narrow)
{
    switch (t->mr) {
        ROWS(1) ROWS(2) ROWS(3) ROWS(4) ROWS(5)
#if UL_SIMD == 512
        ROWS(6) ROWS(7) ROWS(8) ROWS(9) ROWS(10) ROWS(11) ROWS(12) ROWS(13)
#endif
    }
}

static void whole(const tile *t)
{
    const bool narrow = t->nr <= VL;
    if (t->shape == TILE_IN)
        (narrow ? in_narrow : in)(t);
    else if (t->shape == TILE_OUT)
        (narrow ? out_narrow : out)(t);
    else if (t->mr < MR)
        fewer_rows(t, narrow);
    else if (t->a_row == 1 && t->a_step == MR)
        (narrow ? packed_narrow : packed)(t);
    else
        (narrow ? direct_narrow : direct)(t);
}
#else
/* Fused multiply-adds of the machine where it has them, else the C library's: the same bits. */
#define BODY                                                                                                           \
    for (int64_t r = 0; r < t->mr; r++) {                                                                              \
        real c[LANES], *to = t->c + r * t->c_row;                                                                      \
        for (int l = 0; l < LANES; l++) c[l] = t->first ? 0 : to[l];                                                   \
        const int64_t from = t->shape == TILE_IN ? r : 0, end = t->shape == TILE_OUT ? t->kc - (MR - 1 - r) : t->kc;   \
        for (int64_t k = from; k < end; k++) {                                                                         \
            const real x = t->a[r * t->a_row + k * t->a_step], *b = t->b + k * LANES;                                  \
            for (int l = 0; l < LANES; l++) c[l] = FMA(x, b[l], c[l]);                                                 \
        }                                                                                                              \
        for (int l = 0; l < LANES; l++) to[l] = c[l];                                                                  \
    }
static void whole_plain(const tile *t) { BODY }
#if defined(__x86_64__)
__attribute__((target("avx,fma"))) static void whole_fma(const tile *t) { BODY }
static void whole(const tile *t)
{
    if (__builtin_cpu_supports("avx") && __builtin_cpu_supports("fma"))
        whole_fma(t);
    else
        whole_plain(t);
}
#else
static void whole(const tile *t) { whole_plain(t); }
#endif
enum { NARROW = NR };
#endif

void KFN(tile)(const tile *t)
{
    if ((t->nr == NR || t->nr == NARROW) && (t->shape == TILE_FULL || t->mr == MR)) {
        whole(t);
        return;
    }
    real edge[MR * NR] = {0}; /* a ragged tile is computed whole, beside c */
    tile e = *t;
    e.c = edge, e.c_row = NR;
    if (!t->first)
        for (int64_t r = 0; r < t->mr; r++)
            memcpy(edge + r * NR, t->c + r * t->c_row, (size_t)t->nr * sizeof(real));
    whole(&e);
    for (int64_t r = 0; r < t->mr; r++)
        memcpy(t->c + r * t->c_row, edge + r * NR, (size_t)t->nr * sizeof(real));
}
