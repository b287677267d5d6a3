/* work.h - the workspace: how be->work is divided. Every part is a multiple of 64 bytes.
 *
 *   [ products of thread 0: packed a, packed b | thread 1 | ... | attention of thread 0 | thread 1 | ... ]
 *
 * attention of one thread: 7 copies of a head's rows ([T, D] as panels), 3 blocks of query rows against all keys, and a
 * few rows; T and D are rounded up so that a ragged last tile still lies inside. */
#ifndef UL_WORK_H
#define UL_WORK_H
#include "backend/backend.h"

enum { UL_ATTN_BLOCK = 128 }; /* query rows of one block of attention's backward */

#define UL_GEMM_A_BYTES ((size_t)640 << 10)
#define UL_GEMM_B_BYTES ((size_t)1408 << 10)
#define UL_GEMM_WORK_BYTES(threads) ((size_t)(threads) * (UL_GEMM_A_BYTES + UL_GEMM_B_BYTES))

#define UL_ATTN_T(longest) (((size_t)(longest) + 63) / 64 * 64 + 64)
#define UL_ATTN_D(D) (((size_t)(D) + 31) / 32 * 32)
#define UL_ATTN_WORK_BYTES(longest, D, esize)                                                                          \
    ((size_t)(esize) * (7 * UL_ATTN_T(longest) * UL_ATTN_D(D) + (3 * (UL_ATTN_BLOCK + 16) + 64) * UL_ATTN_T(longest) + \
                        128 * UL_ATTN_D(D) + 1024))

/* Panels of 16 outputs [n/16][k][16]; with bf16 precision pairs of k [n/16][k/32][16 pairs][16][2], k filled with +0 to
 * whole blocks of 32. */
#define UL_PANEL_BYTES(n, k, esize) (((size_t)(n) + 15) / 16 * 16 * (size_t)(k) * (size_t)(esize))
#define UL_PANEL_BF16_BYTES(n, k) (((size_t)(n) + 15) / 16 * 16 * (((size_t)(k) + 31) / 32 * 32) * 2)

static inline void *ul_work_a(const ul_backend *be, int t) { return (char *)be->work + UL_GEMM_WORK_BYTES(t); }
static inline void *ul_work_b(const ul_backend *be, int t) { return (char *)ul_work_a(be, t) + UL_GEMM_A_BYTES; }
static inline void *ul_work_attn(const ul_backend *be, int t)
{
    return (char *)be->work + UL_GEMM_WORK_BYTES(be->threads) + (size_t)t * be->attn_bytes;
}
#endif
