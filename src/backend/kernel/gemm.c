/* gemm.c - c (+)= a b:  c[i,j] = fma(a[i,k], b[k,j], c[i,j]) in rising k. Lanes are 16 outputs j, never parts of a sum. */
#include "backend/kernel/gemm.h"

enum { KC = 512 };

static real at(const void *p, int64_t i) { return ((const real *)p)[i]; }

/* Rows k0 .. k0 + kc of 16 columns from j, as [kc][16]. */
static void pack(const ul_gemm *g, int64_t j, int64_t k0, int64_t kc, real *out)
{
    const int64_t nr = least(LANES, g->n - j);
    if (g->b_row == 0 && g->b_col == 0) {
        memcpy(out, (const real *)g->b + (j * g->k + k0 * LANES), (size_t)(kc * LANES) * sizeof(real));
        return;
    }
    for (int64_t k = 0; k < kc; k++)
        for (int64_t l = 0; l < LANES; l++)
            out[k * LANES + l] = l < nr ? at(g->b, (k0 + k) * g->b_row + (j + l) * g->b_col) : 0;
}

#define CHAIN_BODY                                                                                                     \
    for (int64_t k = 0; k < kc; k++) {                                                                                 \
        const real x = a[k * step];                                                                                    \
        for (int l = 0; l < LANES; l++) c[l] = FMA(x, b[k * LANES + l], c[l]);                                         \
    }
static void chain_plain(int64_t kc, const real *a, int64_t step, const real *restrict b, real *restrict c)
{
    CHAIN_BODY
}
#if defined(__x86_64__)
__attribute__((target("avx,fma"))) static void chain_fma(int64_t kc, const real *a, int64_t step,
                                                         const real *restrict b, real *restrict c)
{
    CHAIN_BODY
}
#endif
static void chain(bool fma, int64_t kc, const real *a, int64_t step, const real *b, real *c)
{
#if defined(__x86_64__)
    if (fma) {
        chain_fma(kc, a, step, b, c);
        return;
    }
#else
    (void)fma;
#endif
    chain_plain(kc, a, step, b, c);
}

static void panel_f32(const ul_gemm *g, bool fma, int64_t j, real *b)
{
    const int64_t nr = least(LANES, g->n - j);
    for (int64_t k0 = 0; k0 == 0 || k0 < g->k; k0 += KC) {
        const int64_t kc = least(KC, g->k - k0);
        pack(g, j, k0, kc, b);
        for (int64_t i = 0; i < g->m; i++) {
            real c[LANES] = {0}, *to = (real *)g->c + i * g->c_row + j;
            if (g->add || k0)
                for (int64_t l = 0; l < nr; l++) c[l] = to[l];
            chain(fma, kc, (const real *)g->a + i * g->a_row + k0 * g->a_col, g->a_col, b, c);
            for (int64_t l = 0; l < nr; l++) to[l] = c[l];
        }
    }
}

/* One block of 32: e and o over even and odd k, from 0. */
static void panel_bf16(const ul_gemm *g, bool fma, int64_t j, real *b)
{
    const int64_t nr = least(LANES, g->n - j);
    const bool ready = g->b_row == 0 && g->b_col == 0;
    const uint16_t *p = ready ? (const uint16_t *)g->b + j * ((g->k + 31) / 32 * 32) : NULL;
    block_cursor at_block = {0, 0};
    int64_t k0, len;
    if (!g->add)
        for (int64_t i = 0; i < g->m; i++)
            for (int64_t l = 0; l < nr; l++) ((real *)g->c)[i * g->c_row + j + l] = 0;
    while ((len = block_next(g, &at_block, &k0)) > 0) {
        for (int64_t q = 0; q < 32; q++) /* even k first, then odd k */
            for (int64_t l = 0; l < LANES; l++) {
                real x = 0;
                if (p)
                    x = (real)from_bf16(p[(q / 2 * LANES + l) * 2 + q % 2]);
                else if (q < len && l < nr)
                    x = (real)from_bf16(to_bf16((float)at(g->b, (k0 + q) * g->b_row + (j + l) * g->b_col)));
                b[((q % 2) * 16 + q / 2) * LANES + l] = x;
            }
        if (p) p += 32 * LANES;
        for (int64_t i = 0; i < g->m; i++) {
            real a[32] = {0}, e[LANES] = {0}, o[LANES] = {0}, *to = (real *)g->c + i * g->c_row + j;
            for (int64_t q = 0; q < len; q++)
                a[(q % 2) * 16 + q / 2] =
                    (real)from_bf16(to_bf16((float)at(g->a, i * g->a_row + (k0 + q) * g->a_col)));
            chain(fma, 16, a, 1, b, e);
            chain(fma, 16, a + 16, 1, b + 16 * LANES, o);
            for (int64_t l = 0; l < nr; l++) to[l] = to[l] + (e[l] + o[l]);
        }
    }
}

void KFN(gemm)(const ul_backend *be, const ul_gemm *g)
{
    const bool bf16 = be->precision == UL_PRECISION_BF16;
    bool fma = false;
#if defined(__x86_64__)
    fma = __builtin_cpu_supports("avx") && __builtin_cpu_supports("fma");
#endif
    PARALLEL
    {
        const uint64_t mode = float_mode(bf16);
        real *b = ul_work_thread(be, omp_get_thread_num());
        _Pragma("omp for schedule(static)")
        for (int64_t j = 0; j < g->n; j += LANES) {
            if (bf16)
                panel_bf16(g, fma, j, b);
            else
                panel_f32(g, fma, j, b);
        }
        float_mode_back(mode);
    }
}
