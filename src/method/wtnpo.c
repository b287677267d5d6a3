/* wtnpo.c - weighted token-wise NPO: the weights of tnpo times those of wga.
 *
 *   L = gamma (1/N_f) sum_f w_t log p(y_t) + alpha L_r
 *   w_t = 2 p^(beta + power) / (p^beta + p_ref^beta + eps), held constant
 *   dL/dlogp_t = gamma w_t / N_f:   power = 0 is tnpo, beta = 0 is wga of that power
 *
 * Wang et al. 2025, "Rethinking LLM Unlearning Objectives: A Gradient Perspective and Go Beyond", arXiv:2502.19301
 * (G-effect; the weight as in the authors' dataloader.py). `power` is what they call alpha (1.5). Traps: those of
 * wga and tnpo, and the eps of their program (--match g-effect). Rate and epochs as in tnpo.c. */
#include "method/method.h"

static const ul_param params[] = {
    {"beta", UL_REAL, 4, 0, 100, NULL, "how soon the ascent on a token fades beside the reference; 0 is wga", NULL},
    {"power", UL_REAL, 1.5, 0, 100, NULL, "power of the token's probability; 0 is tnpo", NULL},
    UL_PARAM_TOKEN_EPS,
    UL_PARAM_GAMMA(1),
    UL_PARAM_ALPHA(1),
    UL_PARAM_RETAIN,
    {0}};
enum { NEEDS = UL_NEED_FORGET | UL_NEED_RETAIN | UL_NEED_FORGET_REF };

static double loss(const ul_args *args, ul_side *forget, ul_side *alt, ul_side *retain)
{
    const double power = ul_num(args, "power"), gamma = ul_num(args, "gamma");
    double sum = 0;
    (void)alt;
    for (int32_t t = 0; t < forget->n; t++) {
        const double w = ul_npo_token_weight(args, forget, t) * ul_exp(power * forget->logp[t]);
        sum += ul_ascend(forget, t, gamma * w / forget->n_tok);
    }
    return sum + ul_retain_term(args, retain);
}

static const ul_match matches[] = {
    {"g-effect", "eps 1e-5 in the weight's denominator", UL_VALUES(".eps", "1e-5"), false}, {0}};

const ul_method ul_method_wtnpo = {
    .title = "Weighted token-wise negative preference optimisation",
    .paper = "arXiv:2502.19301",
    .note = "Token-wise NPO that also counts a token by its probability: unlikely ones are left alone from the start.",
    .intent = UL_REMOVAL,
    .level = UL_LEVEL_PARAMETERS,
    .params = params,
    .needs = NEEDS,
    .needs_of = ul_retain_needs,
    .holds = UL_HOLDS_WEIGHTS,
    .loss = loss,
    .matches = matches,
};
