/* sam.c - sharpness-aware unlearning: the forget gradient is taken where a small attack on the weights has gone.
 *
 *   e = rho g_f / |g_f|,   g_f <- gradient of the forget part at theta + e;   the retain part stays at theta
 *
 * Fan et al. 2025, "Towards LLM Unlearning Resilient to Relearning Attacks", arXiv:2502.05374 (rho 0.1 on WMDP, 0.01
 * on MUSE), after Foret et al. 2021. Traps: their code divides by |g| = 0 unguarded; its GNR and CR penalties go
 * through .item() and have no gradient. The losses reported are those at theta. */
#include "wrapper/wrapper.h"
#include <math.h>

static const ul_param params[] = {
    {"rho", UL_REAL, 0.01, 0, 100, NULL, "length of the step over all weights; 0: none", NULL}, {0}};

static ul_status begin(ul_wrap *w)
{
    w->off = ul_num(w->args, "rho") == 0;
    return w->off ? UL_OK : ul_wrap_arrays(w, NULL, (void ***)&w->state);
}

static ul_status part(ul_wrap *w, ul_step_result *r)
{
    void **theta = w->state;
    const unsigned sides = ul_wrap_sides(w, false);
    ul_step_result unused = {0};
    UL_TRY(ul_wrap_gradient(w, w->step, sides, r));
    const double norm = sqrt(ul_arrays_dot(w, w->g, w->g));
    if (norm == 0) return UL_OK;
    ul_wrap_copy(w, w->p, theta);
    ul_arrays_axpy(w, ul_num(w->args, "rho") / norm, w->g, w->p);
    ul_model_grad_zero(w->o->model);
    const ul_status s = ul_wrap_gradient(w, w->step, sides, &unused);
    ul_wrap_copy(w, theta, w->p);
    return s == UL_OK ? s : ul_fail_in(w->ctx, s, "at the weights that sam perturbed (--sam.rho)");
}

const ul_wrapper ul_wrapper_sam = {
    .title = "Sharpness-aware forgetting",
    .paper = "arXiv:2502.05374",
    .note = "Takes the forget gradient at perturbed weights, so that small changes (relearning) do not undo it. One "
            "more pass.",
    .params = params,
    .begin = begin,
    .part = part,
};
