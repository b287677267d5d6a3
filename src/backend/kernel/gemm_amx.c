/* gemm_amx.c - one 32 x 32 tile of a product of bf16 numbers on AMX: two by two tiles of 16 x 16 in registers.
 * What it computes is written out in gemm_bf16.c; every other target computes the same bits. Linux lends the tiles
 * to a process that has asked (backend.c). Rounding and denormal mode of the thread do not enter: TDPBF16PS rounds
 * to nearest even and takes denormals as zero. */
#include "backend/kernel/gemm_tile.h"

#ifdef UL_TARGET_amx
typedef struct {
    uint8_t palette, start_row, reserved[14];
    uint16_t bytes[16]; /* of a row */
    uint8_t rows[16];
} tile_config;
_Static_assert(sizeof(tile_config) == 64, "the layout that LDTILECFG reads");

void KFN(tiles_begin)(bool bf16)
{
    if (!bf16) return;
    tile_config c = {.palette = 1};
    for (int i = 0; i < 8; i++) c.bytes[i] = 64, c.rows[i] = 16;
    __asm__ volatile("" ::"r"(&c) : "memory");
    _tile_loadconfig(&c);
}
void KFN(tiles_end)(bool bf16)
{
    if (bf16) _tile_release();
}

/* Tiles 0..3: c by halves of rows and columns; 4, 5: rows of a; 6, 7: panels of b. All of c is there. */
static void whole(int64_t kc, const uint16_t *a, const uint16_t *b, int64_t b_next, float *c, int64_t c_row, bool first)
{
    const size_t stride = (size_t)c_row * sizeof *c;
    __asm__ volatile("" ::"r"(a), "r"(b), "r"(c) : "memory"); /* the compiler does not see what the tiles read */
    if (first) {
        _tile_zero(0);
        _tile_zero(1);
        _tile_zero(2);
        _tile_zero(3);
    } else {
        _tile_loadd(0, c, stride);
        _tile_loadd(1, c + 16, stride);
        _tile_loadd(2, c + 16 * c_row, stride);
        _tile_loadd(3, c + 16 * c_row + 16, stride);
    }
    for (int64_t k = 0; k < kc; k += 32, a += 32 * MR_BF16, b += 32 * LANES) {
        _tile_loadd(4, a, 64);
        _tile_loadd(6, b, 64);
        _tile_loadd(7, b + b_next, 64);
        _tile_loadd(5, a + 16 * 32, 64);
        _tile_dpbf16ps(0, 4, 6);
        _tile_dpbf16ps(1, 4, 7);
        _tile_dpbf16ps(2, 5, 6);
        _tile_dpbf16ps(3, 5, 7);
    }
    _tile_stored(0, c, stride);
    _tile_stored(1, c + 16, stride);
    _tile_stored(2, c + 16 * c_row, stride);
    _tile_stored(3, c + 16 * c_row + 16, stride);
    __asm__ volatile("" ::"r"(c) : "memory");
}

void KFN(tile_bf16)(const tile_bf16 *t)
{
    if (t->mr == MR_BF16 && t->nr == NR_BF16) {
        whole(t->kc, t->a, t->b, t->b_next, t->c, t->c_row, t->first);
        return;
    }
    float edge[MR_BF16 * NR_BF16] = {0};
    if (!t->first)
        for (int64_t r = 0; r < t->mr; r++)
            memcpy(edge + r * NR_BF16, t->c + r * t->c_row, (size_t)t->nr * sizeof *edge);
    whole(t->kc, t->a, t->b, t->nr <= LANES ? 0 : t->b_next, edge, NR_BF16, t->first);
    for (int64_t r = 0; r < t->mr; r++)
        memcpy(t->c + r * t->c_row, edge + r * NR_BF16, (size_t)t->nr * sizeof *edge);
}
#endif
