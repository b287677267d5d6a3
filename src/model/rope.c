/* rope.c - tables of rotary angles: cos and sin of pos * f_j, computed in double and rounded once.
 *
 *   f_j = theta^(-2j / rot), j < rot / 2                                    (Su et al. 2021, RoFormer)
 *   linear:  f_j / factor
 *   llama3:  by wavelength w = 2 pi / f_j: w > original / low: f_j / factor; w < original / high: f_j; between, with
 *            t = (original / w - low) / (high - low): (1 - t) f_j / factor + t f_j
 *            (transformers, modeling_rope_utils.py)
 *
 * The tables grow with the longest position seen; a position's row never changes. */
#include "model/block.h"

static const double two_pi = 6.283185307179586476925286766559;

static double frequency(const ul_arch *a, int j)
{
    const double f = ul_pow(a->s.rope_theta, -2.0 * j / a->s.rot);
    if (a->rope == UL_ROPE_LINEAR) return f / a->rope_factor;
    if (a->rope != UL_ROPE_LLAMA3) return f;
    const double wavelength = two_pi / f;
    if (wavelength > a->rope_original / a->rope_low) return f / a->rope_factor;
    if (wavelength < a->rope_original / a->rope_high) return f;
    const double t = (a->rope_original / wavelength - a->rope_low) / (a->rope_high - a->rope_low);
    return (1 - t) * f / a->rope_factor + t * f;
}

ul_status ul_rope_reserve(ul_ctx *ctx, ul_model *m, int32_t positions)
{
    const int half = m->arch.s.rot / 2;
    if (positions <= m->n_pos) return UL_OK;
    if (positions < m->arch.s.n_ctx && m->arch.s.n_ctx <= 1 << 12) positions = m->arch.s.n_ctx;
    else if (positions < 2 * m->n_pos) positions = 2 * m->n_pos;
    if (positions >= 1 << 28)
        return ul_fail(ctx, UL_E_INPUT, "a position of %d: rotary tables end at %d", positions, 1 << 28);
    ul_arena_reset(m->rope_arena);
    m->n_pos = 0;
    UL_NEED(m->cos = ul_alloc_raw(m->rope_arena, (size_t)positions * (size_t)half, m->be->k->esize));
    UL_NEED(m->sin = ul_alloc_raw(m->rope_arena, (size_t)positions * (size_t)half, m->be->k->esize));
    for (int j = 0; j < half; j++) {
        const double f = frequency(&m->arch, j);
        for (int64_t p = 0; p < positions; p++) {
            ul_real_set(m->be, m->cos, p * half + j, ul_cos((double)p * f));
            ul_real_set(m->be, m->sin, p * half + j, ul_sin((double)p * f));
        }
    }
    m->n_pos = positions;
    return UL_OK;
}
