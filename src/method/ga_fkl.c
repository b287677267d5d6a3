/* ga_fkl.c - gradient ascent held by a KL divergence to the reference on the forget answers themselves.
 *
 *   L = gamma (1/N_f) sum_f log p(y_t) + alpha (1/N_f) sum_f KL(p_ref || p)_t
 *
 * Zhang et al. 2024, arXiv:2404.05868, a baseline there (their program's grad_ascent_forgetKL). Traps: the two
 * terms pull the same token both ways, dL/dz = gamma (e_y - p) + alpha (p - p_ref), which at alpha = gamma is
 * the constant e_y - p_ref and vanishes nowhere: as unbounded as ascent. The reference comes first in the divergence;
 * their program averages it over prompts and padding, here it is of the answers.
 * Small models take 0.11 of the usual rate: on tofu-656k (forget / retain probability 0.492 / 0.520 before)
 * ten epochs at 1.5e-4 leave 0.417 / 0.495, at 2.2e-4 0.367 / 0.468. */
#include "method/method.h"

static const ul_param params[] = {UL_PARAM_GAMMA(1), UL_PARAM_ALPHA(1), {0}};

static double loss(const ul_args *args, ul_side *forget, ul_side *alt, ul_side *retain)
{
    const double gamma = ul_num(args, "gamma"), alpha = ul_num(args, "alpha");
    double sum = 0;
    (void)alt, (void)retain;
    for (int32_t t = 0; t < forget->n; t++) {
        forget->dlogp[t] += gamma / forget->n_tok;
        forget->dkl[t] += alpha / forget->n_tok;
        sum += (gamma * forget->logp[t] + alpha * forget->kl[t]) / forget->n_tok;
    }
    return sum;
}

const ul_method ul_method_ga_fkl = {
    .title = "Gradient ascent with KL on the forget answers",
    .paper = "arXiv:2404.05868",
    .note = "Ascent on forget, its distributions held near the reference's. No retain data; rarely the best choice.",
    .intent = UL_REMOVAL,
    .level = UL_LEVEL_PARAMETERS,
    .params = params,
    .needs = UL_NEED_FORGET | UL_NEED_FORGET_KL,
    .loss = loss,
    .lr_scale = 0.11,
};
