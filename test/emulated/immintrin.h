/* immintrin.h - the few AVX-512 and AMX instructions that the products' micro-kernels name, in plain C, so that the
 * kernels of those targets run on every x86-64 machine: slowly, to the bits that the manual defines (Intel SDM vol.
 * 1 ch. 18, instruction reference of TDPBF16PS). It stands in front of the compiler's header, which it includes. */
#ifndef TEST_EMULATED_IMMINTRIN_H
#define TEST_EMULATED_IMMINTRIN_H
#pragma GCC system_header
#include_next <immintrin.h>
#include <stdint.h>
#include <string.h>
#define __AVX512F__ 1 /* what gemm_tile.h asks; said after the compiler's header, which must not believe it */

/* ---- vectors of 16 floats ------------------------------------------------------------------------------------ */
typedef float emulated_ps __attribute__((vector_size(64)));
typedef uint32_t emulated_si __attribute__((vector_size(64)));
#define __m512  emulated_ps
#define __m512i emulated_si
static inline emulated_ps emulated_load(const float *p)
{
    emulated_ps x;
    memcpy(&x, p, sizeof x);
    return x;
}
static inline emulated_si emulated_words(const void *p)
{
    emulated_si x;
    memcpy(&x, p, sizeof x);
    return x;
}
static inline void emulated_store(float *p, emulated_ps x)
{
    memcpy(p, &x, sizeof x);
}
static inline emulated_ps emulated_fma(emulated_ps a, emulated_ps b, emulated_ps c)
{
    for (int i = 0; i < 16; i++) c[i] = __builtin_fmaf(a[i], b[i], c[i]);
    return c;
}
static inline emulated_ps emulated_set1(float x)
{
    return x - (emulated_ps){0};
} /* -0 stays */
#define _mm512_loadu_ps         emulated_load
#define _mm512_storeu_ps        emulated_store
#define _mm512_fmadd_ps         emulated_fma
#define _mm512_set1_ps          emulated_set1
#define _mm512_setzero_ps()     ((emulated_ps){0})
#define _mm512_add_ps(a, b)     ((a) + (b))
#define _mm512_loadu_si512      emulated_words
#define _mm512_slli_epi32(x, n) ((x) << (n))
#define _mm512_and_si512(a, b)  ((a) & (b))
#define _mm512_set1_epi32(x)    ((emulated_si){0} + (uint32_t)(x))
#define _mm512_castsi512_ps(x)  ((emulated_ps)(x))

/* ---- tiles --------------------------------------------------------------------------------------------------- */
/* Eight of 16 rows of 64 bytes a thread, as a configuration of palette 1 with full tiles makes them. */
static _Thread_local unsigned char emulated_tile[8][16][64];
static _Thread_local int emulated_lent;
static inline void emulated_configure(const void *config)
{
    const unsigned char *c = config;
    emulated_lent = c[0] == 1;
    for (int t = 0; t < 8; t++) emulated_lent &= c[16 + 2 * t] == 64 && c[17 + 2 * t] == 0 && c[48 + t] == 16;
}
static inline void emulated_load_tile(int t, const void *p, size_t stride)
{
    for (int r = 0; r < 16; r++) memcpy(emulated_tile[t][r], (const char *)p + (size_t)r * stride, 64);
}
static inline void emulated_store_tile(int t, void *p, size_t stride)
{
    for (int r = 0; r < 16; r++) memcpy((char *)p + (size_t)r * stride, emulated_tile[t][r], 64);
}
static inline float emulated_bf16(const unsigned char *p)
{
    const uint32_t u = (uint32_t)p[0] << 16 | (uint32_t)p[1] << 24;
    float x;
    memcpy(&x, &u, 4);
    return x;
}
/* c[m][n] += sum over k of a[m][2k] b[k][2n] + a[m][2k+1] b[k][2n+1]: even and odd k in chains of their own,
 * denormals zero on the way in and out, to nearest even, whatever mode the thread is in. Without a configuration:
 * NaN, where the machine faults. */
static inline void emulated_dot(int c, int a, int b)
{
    const unsigned mode = _mm_getcsr();
    _mm_setcsr((mode & ~0x6000u) | 0x8040u);
    for (int m = 0; m < 16; m++)
        for (int n = 0; n < 16; n++) {
            float e = 0, o = 0, sum;
            for (int k = 0; k < 16; k++) {
                e = __builtin_fmaf(emulated_bf16(&emulated_tile[a][m][4 * k]),
                                   emulated_bf16(&emulated_tile[b][k][4 * n]), e);
                o = __builtin_fmaf(emulated_bf16(&emulated_tile[a][m][4 * k + 2]),
                                   emulated_bf16(&emulated_tile[b][k][4 * n + 2]), o);
            }
            memcpy(&sum, &emulated_tile[c][m][4 * n], 4);
            sum = emulated_lent ? sum + (e + o) : __builtin_nanf("");
            memcpy(&emulated_tile[c][m][4 * n], &sum, 4);
        }
    _mm_setcsr(mode);
}
#undef _tile_loadconfig
#undef _tile_release
#undef _tile_zero
#undef _tile_loadd
#undef _tile_stored
#undef _tile_dpbf16ps
#define _tile_loadconfig emulated_configure
#define _tile_release()  (emulated_lent = 0)
#define _tile_zero(t)    memset(emulated_tile[t], 0, sizeof emulated_tile[t])
#define _tile_loadd      emulated_load_tile
#define _tile_stored     emulated_store_tile
#define _tile_dpbf16ps   emulated_dot
#endif
