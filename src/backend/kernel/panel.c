/* panel.c - a frozen matrix as panels of 16 outputs [n/16][k][16], so that a batch of one reads memory in order; with
 * bf16 precision pairs of k, [n/16][k/32][16 pairs][16][2], as AMX's tiles take them. What lies beyond n or k is +0. */
#include "backend/kernel/gemm_tile.h"

void KFN(panel)(const ul_backend *be, int64_t n, int64_t k, const void *b, int64_t b_row, int64_t b_col, void *out)
{
    PARALLEL_FOR
    for (int64_t j = 0; j < n; j += LANES) {
        const real *from = (const real *)b + j * b_col;
        const int64_t nr = least(LANES, n - j);
        if (be->precision != UL_PRECISION_BF16) {
            KFN(pack_b)(nr, k, from, b_row, b_col, (real *)out + j * k);
            continue;
        }
        uint16_t *to = (uint16_t *)out + j * ((k + 31) / 32 * 32);
        for (int64_t q = 0; q < k; q += 32, to += 32 * LANES)
            KFN(pack_b_bf16)(nr, least(32, k - q), from + q * b_row, b_row, b_col, to);
    }
}
