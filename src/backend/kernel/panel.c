/* panel.c - a frozen matrix as panels of 16 outputs [n/16][k][16], so that a batch of one reads memory in order; with bf16
 * precision pairs of k, [n/16][k/32][16 pairs][16][2], as AMX's tiles take them. What lies beyond n or k is +0. */
#include "backend/kernel/gemm.h"

static void pairs(int64_t n, int64_t k, const real *b, int64_t b_row, int64_t b_col, uint16_t *out)
{
    const int64_t whole = (k + 31) / 32 * 32;
    for (int64_t q = 0; q < whole; q++)
        for (int64_t l = 0; l < LANES; l++)
            out[(q / 2 * LANES + l) * 2 + q % 2] = l < n && q < k ? to_bf16((float)b[q * b_row + l * b_col]) : 0;
}

void KFN(panel)(const ul_backend *be, int64_t n, int64_t k, const void *b, int64_t b_row, int64_t b_col, void *out)
{
    PARALLEL_FOR
    for (int64_t j = 0; j < n; j += LANES) {
        const real *from = (const real *)b + j * b_col;
        const int64_t nr = least(LANES, n - j);
        if (be->precision == UL_PRECISION_BF16) {
            pairs(nr, k, from, b_row, b_col, (uint16_t *)out + j * ((k + 31) / 32 * 32));
            continue;
        }
        real *to = (real *)out + j * k;
        for (int64_t q = 0; q < k; q++)
            for (int64_t l = 0; l < LANES; l++) to[q * LANES + l] = l < nr ? from[q * b_row + l * b_col] : 0;
    }
}
