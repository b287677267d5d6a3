/* tnpo.c - token-wise NPO: every token of the ascent counts by how likely it still is beside the reference.
 *
 *   L = gamma (1/N_f) sum_f w_t log p(y_t) + alpha L_r,   w_t = 2 p^beta / (p^beta + p_ref^beta + eps), held constant
 *   dL/dlogp_t = gamma w_t / N_f:   1 / N_f at the reference (there it is the gradient of ascent), 0 when forgotten
 *
 * Wang et al. 2025, "Rethinking LLM Unlearning Objectives: A Gradient Perspective and Go Beyond", arXiv:2502.19301
 * (G-effect; the weight as in the authors' dataloader.py). Traps: the weights are NPO's, for single tokens, and no
 * gradient flows through them, so the loss is not NPO's; beta is that of a token (4), not of a sequence (0.1). eps:
 * the authors' program has 1e-5 (--match g-effect), which halves the weight of tokens of p = 0.047 even at the
 * reference. It has no retain term, or KL (--tnpo.retain kl). Rate and epochs: none of the authors' were to be had,
 * the usual ones. */
#include "method/method.h"

static const ul_param params[] = {
    {"beta", UL_REAL, 4, 0, 100, NULL, "how soon the ascent on a token fades; 0 is graddiff", NULL},
    UL_PARAM_TOKEN_EPS,
    UL_PARAM_GAMMA(1),
    UL_PARAM_ALPHA(1),
    UL_PARAM_RETAIN,
    {0}};
enum { NEEDS = UL_NEED_FORGET | UL_NEED_RETAIN | UL_NEED_FORGET_REF };

static double loss(const ul_args *args, ul_side *forget, ul_side *alt, ul_side *retain)
{
    const double gamma = ul_num(args, "gamma");
    double sum = 0;
    (void)alt;
    for (int32_t t = 0; t < forget->n; t++)
        sum += ul_ascend(forget, t, gamma * ul_npo_token_weight(args, forget, t) / forget->n_tok);
    return sum + ul_retain_term(args, retain);
}

static const ul_match matches[] = {
    {"g-effect", "eps 1e-5 in the weight's denominator", UL_VALUES(".eps", "1e-5"), false}, {0}};

const ul_method ul_method_tnpo = {
    .title = "Token-wise negative preference optimisation",
    .paper = "arXiv:2502.19301",
    .note = "Ascent on tokens weighted by their odds against the reference. Keeps more of the rest than NPO.",
    .intent = UL_REMOVAL,
    .level = UL_LEVEL_PARAMETERS,
    .params = params,
    .needs = NEEDS,
    .needs_of = ul_retain_needs,
    .holds = UL_HOLDS_WEIGHTS,
    .loss = loss,
    .matches = matches,
};
