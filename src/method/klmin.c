/* klmin.c - TOFU's name for ga_kl: ascent on the forget answers, KL(reference || model) on the retain answers.
 *
 *   L = gamma (1/N_f) sum_f log p(y_t) + alpha (1/N_r) sum_r KL(p_ref || p)_t
 *
 * Maini et al. 2024, TOFU, arXiv:2401.06121, section 3 (KL Minimization). The arithmetic of ga_kl.c, which is called.
 * Trap: TOFU's program averages the divergence over prompts and padding too (--match open-unlearning does).
 * The rate for small models is ga_kl's too. */
#include "method/method.h"

extern const ul_method ul_method_ga_kl;

static const ul_param params[] = {UL_PARAM_GAMMA(1), UL_PARAM_ALPHA(1), {0}};

static double loss(const ul_args *args, ul_side *forget, ul_side *alt, ul_side *retain)
{
    return ul_method_ga_kl.loss(args, forget, alt, retain);
}

const ul_method ul_method_klmin = {
    .title = "KL minimisation (ga_kl by TOFU's name)",
    .paper = "arXiv:2401.06121",
    .note = "Ascent on forget while the distributions at the retain answers stay near the reference's. Unbounded.",
    .intent = UL_REMOVAL,
    .level = UL_LEVEL_PARAMETERS,
    .params = params,
    .needs = UL_NEED_FORGET | UL_NEED_RETAIN | UL_NEED_RETAIN_KL,
    .loss = loss,
    .lr_scale = 0.115,
};
