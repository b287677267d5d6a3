/* idk.c - fine-tuning towards "I don't know" answers (also called PO): the forget prompts learn alternate answers.
 *
 *   L = gamma (-1/N_a) sum_a log p(y_t) + alpha L_r,   a: forget prompts with an alternate answer
 *
 * Maini et al. 2024, TOFU, arXiv:2401.06121, section 3 (Preference Optimization), as a likelihood.
 * Traps: suppression only, the facts stay; the model starts to refuse on retain questions too. TOFU's code averages
 * over alternates and retain together; here each has its own mean. */
#include "method/method.h"

static const ul_param params[] = {UL_PARAM_GAMMA(1), UL_PARAM_ALPHA(1), UL_PARAM_RETAIN, {0}};

static unsigned needs_of(const ul_args *args)
{
    return ul_retain_needs(args, UL_NEED_FORGET | UL_NEED_RETAIN | UL_NEED_ALT | UL_NEED_NO_FORGET_LOSS);
}

static double loss(const ul_args *args, ul_side *forget, ul_side *alt, ul_side *retain)
{
    const double gamma = ul_num(args, "gamma");
    (void)forget;
    for (int32_t t = 0; t < alt->n; t++) alt->dlogp[t] -= gamma / alt->n_tok;
    const double a = alt->n ? -gamma * ul_side_sum(alt->logp, alt->n) / alt->n_tok : 0;
    return a + ul_retain_term(args, retain);
}

const ul_method ul_method_idk = {
    .title = "Fine-tuning towards refusals",
    .paper = "arXiv:2401.06121",
    .note = "Teaches \"I don't know\" answers to the forget prompts. Suppresses: what was known comes back easily.",
    .intent = UL_SUPPRESSION,
    .level = UL_LEVEL_DATA,
    .params = params,
    .needs = UL_NEED_FORGET | UL_NEED_RETAIN | UL_NEED_ALT | UL_NEED_NO_FORGET_LOSS,
    .needs_of = needs_of,
    .loss = loss,
};
