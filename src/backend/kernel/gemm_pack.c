/* gemm_pack.c - operands copied into the order in which the tiles read them (gemm_tile.h). */
#include "backend/kernel/gemm_turn.h"

static void any(int64_t w, int64_t width, int64_t kc, const real *in, int64_t row, int64_t col, real *out)
{
    for (int64_t k = 0; k < kc; k++)
        for (int64_t i = 0; i < width; i++) out[k * width + i] = i < w ? in[i * row + k * col] : 0;
}

/* Rows that lie side by side: several tiles in one walk down k, so that whole cache lines are used. */
static void side_by_side(int64_t tiles, int64_t kc, const real *a, int64_t a_col, real *out)
{
    for (int64_t k = 0; k < kc; k++, a += a_col, out += MR)
        for (int64_t t = 0; t < tiles; t++) memcpy(out + t * MR * kc, a + t * MR, MR * sizeof(real));
}

void KFN(pack_a)(int64_t mc, int64_t kc, const real *a, int64_t a_row, int64_t a_col, real *out)
{
    const int64_t whole = mc / MR, group = 8;
    for (int64_t t = 0; a_row == 1 && t < whole; t += group)
        side_by_side(least(group, whole - t), kc, a + t * MR, a_col, out + t * MR * kc);
    for (int64_t t = 0; a_row != 1 && t < whole; t++) {
        if (a_col == 1)
            turn(MR, kc, a + t * MR * a_row, a_row, out + t * MR * kc, MR);
        else
            any(MR, MR, kc, a + t * MR * a_row, a_row, a_col, out + t * MR * kc);
    }
    if (whole * MR < mc) any(mc - whole * MR, MR, kc, a + whole * MR * a_row, a_row, a_col, out + whole * MR * kc);
}

void KFN(pack_b)(int64_t nr, int64_t kc, const real *b, int64_t b_row, int64_t b_col, real *out)
{
    if (nr == LANES && b_row == 1)
        turn(LANES, kc, b, b_col, out, LANES);
    else if (nr == LANES && b_col == 1)
        for (int64_t k = 0; k < kc; k++) memcpy(out + k * LANES, b + k * b_row, LANES * sizeof(real));
    else
        any(nr, LANES, kc, b, b_col, b_row, out);
}
