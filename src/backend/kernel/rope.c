/* rope.c - rotary positions (Su et al. 2021), the pairing of GPT-NeoX and Hugging Face: channel j with j + rot/2.
 *
 *   y[j] = fma(x[j], cos, -(x[j + rot/2] sin)),  y[j + rot/2] = fma(x[j], sin, x[j + rot/2] cos)
 * A rotation's transpose is the rotation back: backward is the same kernel with sign -1. */
#include "backend/kernel/kernel.h"

/* y is x, or apart from it. */
static inline __attribute__((always_inline)) void head(int64_t d, int64_t half, const real *cs, const real *sn,
                                                       real sign, const real *x, real *y, const bool add)
{
    _Pragma("GCC ivdep")
    for (int64_t j = 0; j < half; j++) {
        const real s = sign * sn[j], u = x[j], v = x[j + half];
        const real a = FMA(u, cs[j], -(v * s)), b = FMA(u, s, v * cs[j]);
        y[j] = add ? y[j] + a : a;
        y[j + half] = add ? y[j + half] + b : b;
    }
    for (int64_t j = 2 * half; j < d; j++) y[j] = add ? y[j] + x[j] : x[j];
}

void KFN(rope)(const ul_backend *be, int64_t n, int64_t n_head, int64_t d, int64_t rot, const int32_t *pos,
               const void *cos, const void *sin, int sign, const void *x_, void *y_, bool add)
{
    const int64_t half = rot / 2, c = n_head * d;
    PARALLEL_WORK(n * c)
    for (int64_t i = 0; i < n; i++) {
        const real *cs = (const real *)cos + pos[i] * half, *sn = (const real *)sin + pos[i] * half;
        const real *x = (const real *)x_ + i * c;
        real *y = (real *)y_ + i * c;
        for (int64_t h = 0; add && h < n_head; h++) head(d, half, cs, sn, (real)sign, x + h * d, y + h * d, true);
        for (int64_t h = 0; !add && h < n_head; h++) head(d, half, cs, sn, (real)sign, x + h * d, y + h * d, false);
    }
}
