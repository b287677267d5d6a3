/* satimp.c - saturation and importance: the weights of wga times one that is small where a token is certain.
 *
 *   L = gamma (1/N_f) sum_f w_t log p(y_t) + alpha L_r,   w_t = p^beta1 (1 - p)^beta2, held constant
 *   dL/dlogp_t = gamma w_t / N_f:   beta1 = beta2 = 0 is graddiff
 *
 * Yang et al. 2025, "Exploring Criteria of Loss Reweighting to Enhance LLM Unlearning", arXiv:2505.11953. Traps: the
 * weights come from the model as it is and get no gradient; their sum divides nothing. gamma : alpha is 1 : 0.1 in
 * the paper, with five epochs, and the other way round in open-unlearning's configuration (--match open-unlearning).
 * In small models gamma is 10, alpha 1, ten epochs, since w_t is at most 0.067: tofu-656k, forget10, forget / retain
 * 0.49 / 0.52 before, 0.45 / 0.53 with gamma 0.1 or 1, 0.34 / 0.52 with 10. */
#include "method/method.h"

static const ul_param params[] = {
    {"beta1", UL_REAL, 5, 0, 100, NULL, "power of p: saturation, what is forgotten counts little", NULL},
    {"beta2", UL_REAL, 1, 0, 100, NULL, "power of 1 - p: importance, what is certain counts little", NULL},
    UL_PARAM_GAMMA(1),
    UL_PARAM_ALPHA(0.1),
    UL_PARAM_RETAIN,
    {0}};

static const char *const small[] = {".gamma", "10", ".alpha", "1", NULL};
static const ul_match matches[] = {
    {"open-unlearning", "gamma 0.1, alpha 1", UL_VALUES(".gamma", "0.1", ".alpha", "1"), true}, {0}};

static double loss(const ul_args *args, ul_side *forget, ul_side *alt, ul_side *retain)
{
    const double beta1 = ul_num(args, "beta1"), beta2 = ul_num(args, "beta2"), gamma = ul_num(args, "gamma");
    double sum = 0;
    (void)alt;
    for (int32_t t = 0; t < forget->n; t++) {
        const double logp = forget->logp[t], rest = -ul_expm1(logp); /* 1 - p, exact where p is near 1 */
        const double importance = beta2 > 0 ? (rest > 0 ? ul_exp(beta2 * ul_log(rest)) : 0) : 1;
        sum += ul_ascend(forget, t, gamma * ul_exp(beta1 * logp) * importance / forget->n_tok);
    }
    return sum + ul_retain_term(args, retain);
}

const ul_method ul_method_satimp = {
    .title = "Saturation and importance weighted ascent",
    .paper = "arXiv:2505.11953",
    .note = "Ascent on tokens that are neither forgotten nor certain. Gentle: no weight is above 0.067.",
    .intent = UL_REMOVAL,
    .level = UL_LEVEL_PARAMETERS,
    .params = params,
    .needs = UL_NEED_FORGET | UL_NEED_RETAIN,
    .needs_of = ul_retain_needs,
    .holds = UL_HOLDS_WEIGHTS,
    .recipe = UL_VALUES("epochs", "5"),
    .small = small,
    .matches = matches,
    .loss = loss,
};
