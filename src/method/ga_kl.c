/* ga_kl.c - gradient ascent held by a KL divergence to the reference on the retain answers ("KL minimisation").
 *
 *   L = gamma (1/N_f) sum_f log p(y_t) + alpha (1/N_r) sum_r KL(p_ref || p)_t
 *
 * Maini et al. 2024, TOFU, arXiv:2401.06121, section 3 (KL Minimization); Yao et al. 2023, arXiv:2310.10683.
 * Trap: the reference comes first in the divergence (dL/dz = p - p_ref); at the start its gradient is exactly 0.
 * Unbounded: small models take 0.115 of the usual rate: on tofu-656k (forget / retain probability 0.492 / 0.520 before)
 * ten epochs at 2e-4 leave 0.336 / 0.464, at 2.4e-4 0.278 / 0.432, at 3e-4 0.190 / 0.372. */
#include "method/method.h"

static const ul_param params[] = {UL_PARAM_GAMMA(1), UL_PARAM_ALPHA(1), {0}};

static double loss(const ul_args *args, ul_side *forget, ul_side *alt, ul_side *retain)
{
    const double gamma = ul_num(args, "gamma"), alpha = ul_num(args, "alpha");
    double sum = 0;
    (void)alt;
    for (int32_t t = 0; t < forget->n; t++) forget->dlogp[t] += gamma / forget->n_tok;
    for (int32_t t = 0; t < retain->n; t++) retain->dkl[t] += alpha / retain->n_tok;
    if (forget->n) sum += gamma * ul_side_sum(forget->logp, forget->n) / forget->n_tok;
    if (retain->n) sum += alpha * ul_side_sum(retain->kl, retain->n) / retain->n_tok;
    return sum;
}

const ul_method ul_method_ga_kl = {
    .title = "Gradient ascent with KL to the reference",
    .paper = "arXiv:2401.06121",
    .note =
        "Gradient ascent on forget while the distributions at the retain answers stay near the reference's. Unbounded.",
    .intent = UL_REMOVAL,
    .level = UL_LEVEL_PARAMETERS,
    .params = params,
    .needs = UL_NEED_FORGET | UL_NEED_RETAIN | UL_NEED_RETAIN_KL,
    .loss = loss,
    .lr_scale = 0.115,
};
