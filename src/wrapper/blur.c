/* blur.c - forgetting first: the retain gradient loses its component along the forget gradient.
 *
 *   g_r <- g_r - (<g_r, g_f> / |g_f|^2) g_f        over all tensors, whatever the sign
 *   g = g_f + g_r                                  hence <g, g_f> = |g_f|^2
 *
 * Reisizadeh et al. 2025, "BLUR: A Bi-Level Optimization Approach for LLM Unlearning", arXiv:2506.08164, as in
 * sustech-nlp/SAGO, grad_surgery.py. Trap: the projection is unconditional there, helpful components go too. */
#include "wrapper/wrapper.h"

static const ul_param params[] = {{0}};

static ul_status combine(ul_wrap *w)
{
    const double ff = ul_arrays_dot(w, w->forget, w->forget), dot = ul_arrays_dot(w, w->g, w->forget);
    if (ff > 0) ul_arrays_axpy(w, -dot / ff, w->forget, w->g);
    ul_arrays_axpy(w, 1, w->forget, w->g);
    return UL_OK;
}

const ul_wrapper ul_wrapper_blur = {
    .title = "Bi-level unlearning",
    .paper = "arXiv:2506.08164",
    .note =
        "Forgetting has priority: retaining moves only across the forget gradient. Costs utility where the two oppose.",
    .params = params,
    .combine = combine,
};
