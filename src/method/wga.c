/* wga.c - weighted gradient ascent: every token of the ascent counts by its own probability, so that it fades.
 *
 *   L = gamma (1/N_f) sum_f w_t log p(y_t) + alpha L_r,   w_t = p(y_t)^beta, held constant
 *   dL/dlogp_t = gamma w_t / N_f:   beta = 0 is graddiff
 *
 * Wang et al. 2025, "Rethinking LLM Unlearning Objectives: A Gradient Perspective and Go Beyond", arXiv:2502.19301
 * (G-effect). Traps: the weights come from the model as it is, and no gradient flows through them; the sum is not
 * divided by that of the weights. beta 1 and five epochs as in open-unlearning; the authors' own program, G-effect, has
 * beta 5 (--match g-effect). Small models have ten epochs. */
#include "method/method.h"

static const ul_param params[] = {
    {"beta", UL_REAL, 1, 0, 100, NULL, "power of the token's probability; 0 is graddiff", NULL},
    UL_PARAM_GAMMA(1),
    UL_PARAM_ALPHA(1),
    UL_PARAM_RETAIN,
    {0}};

static double loss(const ul_args *args, ul_side *forget, ul_side *alt, ul_side *retain)
{
    const double beta = ul_num(args, "beta"), gamma = ul_num(args, "gamma");
    double sum = 0;
    (void)alt;
    for (int32_t t = 0; t < forget->n; t++)
        sum += ul_ascend(forget, t, gamma * ul_exp(beta * forget->logp[t]) / forget->n_tok);
    return sum + ul_retain_term(args, retain);
}

static const ul_match matches[] = {{"g-effect", "beta 5", UL_VALUES(".beta", "5"), false}, {0}};

const ul_method ul_method_wga = {
    .title = "Weighted gradient ascent",
    .paper = "arXiv:2502.19301",
    .note = "Ascent on tokens weighted by their probability: what is forgotten is left alone. Bounded in effect.",
    .intent = UL_REMOVAL,
    .level = UL_LEVEL_PARAMETERS,
    .params = params,
    .needs = UL_NEED_FORGET | UL_NEED_RETAIN,
    .needs_of = ul_retain_needs,
    .holds = UL_HOLDS_WEIGHTS,
    .loss = loss,
    .recipe = UL_VALUES("epochs", "5"),
    .small = UL_RUN_DEFAULTS,
    .matches = matches,
};
