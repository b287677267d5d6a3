/* gru.c - gradient rectified unlearning: the forget gradient loses what would raise the retain loss.
 *
 *   m <- decay m + (1 - decay) g_r                        the past's share; g_r the retain part of this step
 *   if <g_f, m> < 0:   g_f <- g_f - (<g_f, m> / |m|^2) m   so that <g_f, m> = 0
 *   g = g_f + g_r      (keep 0: g = g_f, the paper's bare form)
 *
 * One inner product over all tensors. Wang et al. 2025, arXiv:2503.09117. decay: in the authors' program
 * (tmlr-group/GRU, dataloader_faster_refactor1.py) and in open-unlearning's (trainer/unlearn/gru.py) the mean is
 * moving_avg * new + (1 - moving_avg) * old, so that the published 0.8 (the default of both), 0.9, 0.95 and 0.99 are
 * the share of the *new* gradient, though they look like decays: decay is 1 - moving_avg, 0.2. Traps: the code's
 * cosine clip removes no more than a cosine of -0.5 says (floor -0.5). The direction of m alone matters, so m may
 * start at 0. */
#include "wrapper/wrapper.h"
#include <math.h>

static const ul_param params[] = {
    {"decay", UL_REAL, 0.2, 0, 0.9999, NULL,
     "share of the past in the mean of retain gradients: 1 less what the paper calls gamma (0.8)", NULL},
    {"floor", UL_REAL, -1, -1, 0, NULL, "most negative cosine that is removed in full; -1: all are", NULL},
    {"keep", UL_BOOL, 1, 0, 1, NULL, "add the retain gradient after the projection", NULL},
    {0}};

static ul_status begin(ul_wrap *w)
{
    return ul_wrap_arrays(w, "mean", (void ***)&w->state);
}

static ul_status combine(ul_wrap *w)
{
    void **m = w->state;
    const double decay = ul_num(w->args, "decay"), floor = ul_num(w->args, "floor");
    ul_arrays_scale(w, decay, m);
    ul_arrays_axpy(w, 1 - decay, w->g, m);
    double dot = ul_arrays_dot(w, w->forget, m);
    if (dot < 0) {
        const double mm = ul_arrays_dot(w, m, m), ff = ul_arrays_dot(w, w->forget, w->forget);
        const double least = floor * sqrt(ff) * sqrt(mm);
        if (floor > -1 && dot < least) dot = least;
        ul_arrays_axpy(w, -dot / mm, m, w->forget);
    }
    if (ul_num(w->args, "keep") != 0)
        ul_arrays_axpy(w, 1, w->forget, w->g);
    else
        ul_wrap_copy(w, w->forget, w->g);
    return UL_OK;
}

const ul_wrapper ul_wrapper_gru = {
    .title = "Gradient rectified unlearning",
    .paper = "arXiv:2503.09117",
    .note = "Projects the forget gradient off a running mean of retain gradients where the two conflict, over all "
            "weights at once.",
    .params = params,
    .begin = begin,
    .combine = combine,
};
