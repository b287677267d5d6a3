/* gemm_tile.h - the innermost product, an MR x NR tile of c in registers, and the packed operands that it reads.
 *
 * Packed b: panels of 16 outputs, [panel][k][16]; bf16: pairs of k, [panel][k/2][16][2] in bf16. Packed a: [k][MR];
 * bf16: blocks of 32 k, [k/32][even, odd][16][MR_BF16], rounded but held as floats (AMX: [k/32][32][32] in bf16).
 * The sizes of the tiles are the target's own affair: they change nothing but the speed. */
#ifndef UL_GEMM_TILE_H
#define UL_GEMM_TILE_H
#include "backend/kernel/gemm.h"

#if defined(UL_TARGET_double) || !(defined(__AVX2__) || defined(__AVX512F__))
enum { MR = 4, NR = 16, MR_BF16 = 4, NR_BF16 = 16, UL_GEMM_MC = 64 };
#elif defined(__AVX512F__)
#define UL_SIMD 512
enum { MR = 14, NR = 32, UL_GEMM_MC = 336 };
#ifdef UL_TARGET_amx
enum { MR_BF16 = 32, NR_BF16 = 32 };
#else
enum { MR_BF16 = MR, NR_BF16 = NR };
#endif
#else
#define UL_SIMD 256
enum { MR = 6, NR = 16, MR_BF16 = 6, NR_BF16 = 16, UL_GEMM_MC = 168 };
#endif
/* bytes of one packed bf16 number of a */
#ifdef UL_TARGET_amx
enum { UL_GEMM_A_BF16 = 2 };
#else
enum { UL_GEMM_A_BF16 = sizeof(real) };
#endif

/* FULL: every row of the tile has every k. In attention a row has the k up to its own, or from its own:
 * IN: row r starts at k = r.
 * OUT: row r ends with the last but (MR - 1 - r) of kc k; kc >= MR, ragged k are zeros in a. */
typedef enum { TILE_FULL, TILE_IN, TILE_OUT } tile_shape;

typedef struct {
    int64_t kc;
    const real *a;
    int64_t a_row, a_step; /* a[r * a_row + k * a_step]; packed: 1, MR */
    const real *b;
    int64_t b_next; /* from one panel of 16 to the next */
    real *c;
    int64_t c_row;
    int64_t mr, nr; /* rows and columns that exist */
    bool first;     /* from 0, not from c */
    tile_shape shape;
} tile;
void KFN(tile)(const tile *t);

/* kc is a multiple of 32; a, b as packed for bf16, b_next in bf16 numbers. In flush mode. */
typedef struct {
    int64_t kc;
    const void *a;
    const uint16_t *b;
    int64_t b_next;
    real *c;
    int64_t c_row;
    int64_t mr, nr;
    bool first;
} tile_bf16;
void KFN(tile_bf16)(const tile_bf16 *t);
/* What a thread needs around its tiles: with AMX their configuration. */
void KFN(tiles_begin)(bool bf16);
void KFN(tiles_end)(bool bf16);

/* mc rows as tiles of [kc][MR]; [kc][16] of nr columns; zero beyond. */
void KFN(pack_a)(int64_t mc, int64_t kc, const real *a, int64_t a_row, int64_t a_col, real *out);
void KFN(pack_b)(int64_t nr, int64_t kc, const real *b, int64_t b_row, int64_t b_col, real *out);
/* One block of up to 32 k, filled with +0. */
void KFN(pack_a_bf16)(int64_t mr, int64_t len, const real *a, int64_t a_row, int64_t a_col, void *out);
void KFN(pack_b_bf16)(int64_t nr, int64_t len, const real *b, int64_t b_row, int64_t b_col, uint16_t *out);
#endif
