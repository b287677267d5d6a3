/* altpo.c - alternate preference optimisation: dpo whose preferred answers the model itself made up for each question.
 *
 *   m = (s_a - s_a^ref) - (s_f - s_f^ref),   s = sum of log p(y_t) over a sequence
 *   L = gamma * mean over sequences of -(2/beta) log sigmoid(beta m) + alpha L_r
 *
 * Mekala et al. 2024, "Alternate Preference Optimization for Unlearning Factual Knowledge in Large Language Models",
 * arXiv:2409.13474. The arithmetic of dpo.c, which is called; what makes it AltPO are the alternates: plausible wrong
 * answers (five a question in the paper, sampled at temperature 1), given by --alt FILE --alt-own. Trap: with
 * refusals this is dpo, so nothing stands in for a missing file. The paper searches beta in
 * 0.05 .. 0.5, alpha in 1 .. 5, lr in 1e-5 .. 5e-5, and runs two epochs over five alternates a row: ten over the
 * rows. */
#include "method/method.h"

extern const ul_method ul_method_dpo;

static const ul_param params[] = {
    {"beta", UL_REAL, 0.1, 1e-6, 100, NULL, "inverse temperature of the preference", NULL},
    UL_PARAM_GAMMA(1),
    UL_PARAM_ALPHA(1),
    UL_PARAM_RETAIN,
    {0}};
enum {
    NEEDS = UL_NEED_FORGET | UL_NEED_RETAIN | UL_NEED_ALT | UL_NEED_ALT_OWN | UL_NEED_FORGET_REF | UL_NEED_ALT_REF
};

static double loss(const ul_args *args, ul_side *forget, ul_side *alt, ul_side *retain)
{
    return ul_method_dpo.loss(args, forget, alt, retain);
}

const ul_method ul_method_altpo = {
    .title = "Alternate preference optimisation",
    .paper = "arXiv:2409.13474",
    .note = "dpo towards plausible alternates of each question, by --alt FILE --alt-own. Substitutes another fact.",
    .intent = UL_SUPPRESSION,
    .level = UL_LEVEL_DATA,
    .params = params,
    .needs = NEEDS,
    .needs_of = ul_retain_needs,
    .loss = loss,
};
