/* attn.h - causal attention within each document: the one definition that forward, backward and generation share.
 *
 *   z_ij = (chain over D of q_i k_j) * scale          for the keys j <= i of i's document that are not hidden
 *   m_i = max z_ij;  e_ij = exp(z_ij - m_i);  l_i = sum of e_ij;  p_ij = e_ij / l_i
 *   y_i = chain over rising j of p_ij v_j
 *   dp_ij = chain over D of dy_i v_j;  t_i = sum of p_ij dp_ij;  ds_ij = (p_ij * (dp_ij - t_i)) * scale
 *   dq_i = chain over rising j of ds_ij k_j
 *   dk_j, dv_j = chain over the group's query heads, and within one over rising i, of ds_ij q_i and p_ij dy_i
 *
 * Both sums over keys are 16 lanes, key j counted from the document's start to lane j mod 16: l += e, and
 * t = fma(p, dp, t); then the fixed tree. A masked key is in no chain and no lane. A query without keys: y = 0, p = 0.
 * With bf16 precision q, k, v, dy, p and ds are rounded where they are operands of a product; blocks of 32 keys or
 * queries are counted from the document's start, and p, ds of a masked key are +0 there. A row's chain over keys has the
 * blocks up to its query's, a key's chain over queries the blocks from its own to the document's last. */
#ifndef UL_ATTN_H
#define UL_ATTN_H
#include "backend/kernel/gemm.h"

/* The softmax of one row of n scores: z becomes p. */
static inline void attn_softmax(int64_t n, const uint8_t *hidden, real scale, real *restrict z, real *max, real *sum)
{
    real m = 0, lane[LANES] = {0};
    int64_t keys = 0;
    for (int64_t j = 0; j < n; j++) {
        z[j] *= scale;
        if (hidden && hidden[j]) continue;
        if (!keys++ || z[j] > m) m = z[j];
    }
    m += 0; /* -0 becomes 0: which of two zeros was found is not to be seen */
    for (int64_t j = 0; j < n; j++) {
        z[j] = hidden && hidden[j] ? 0 : v_exp(z[j] - m);
        lane[j % LANES] += z[j];
    }
    const real l = lane_sum(lane);
    for (int64_t j = 0; j < n; j++) z[j] = keys ? z[j] / l : 0;
    *max = m;
    *sum = l;
}

/* One element of a product, the slow way: hidden k are in no chain (bf16: +0). */
static inline real attn_chain(bool bf16, int64_t n, const real *a, int64_t as, const real *b, int64_t bs,
                              const uint8_t *hidden, real c)
{
    if (!bf16) {
        for (int64_t k = 0; k < n; k++)
            if (!hidden || !hidden[k]) c = FMA(a[k * as], b[k * bs], c);
        return c;
    }
    const uint64_t mode = float_mode(true);
    for (int64_t k0 = 0; k0 < n; k0 += 32) {
        real eo[2] = {0, 0};
        for (int64_t k = k0; k < k0 + 32; k++) {
            const real x = k < n ? (real)from_bf16(to_bf16((float)a[k * as])) : 0;
            const real y = k < n ? (real)from_bf16(to_bf16((float)b[k * bs])) : 0;
            eo[k & 1] = FMA(x, y, eo[k & 1]);
        }
        c = c + (eo[0] + eo[1]);
    }
    float_mode_back(mode);
    return c;
}
#endif
