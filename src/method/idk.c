/* idk.c - fine-tuning towards "I don't know" answers (also called PO): the forget prompts learn alternate answers.
 *
 *   L = gamma (-1/N_a) sum_a log p(y_t) + alpha L_r,   a: forget prompts with an alternate answer
 *
 * Maini et al. 2024, TOFU, arXiv:2401.06121, section 3 (Preference Optimization), as a likelihood.
 * Traps: suppression only, the facts stay; the model starts to refuse on retain questions too. TOFU's code averages
 * over alternates and retain together (--match tofu); here each has its own mean. SOUL's runs have gamma 5 at lr 1e-5
 * (--match soul). */
#include "method/method.h"
#include <string.h>

static const ul_param params[] = {UL_PARAM_GAMMA(1),
                                  UL_PARAM_ALPHA(1),
                                  UL_PARAM_RETAIN,
                                  {"means", UL_TEXT, 0, 0, 0, "apart|joint",
                                   "alternates and retain have a mean each, or one over the tokens of both", "apart"},
                                  {0}};

static double loss(const ul_args *args, ul_side *forget, ul_side *alt, ul_side *retain)
{
    const char *means = ul_txt(args, "means"); /* dpo has none */
    const bool joint = means && !strcmp(means, "joint");
    const double gamma = ul_num(args, "gamma"), n = joint ? alt->n_tok + retain->n_tok : alt->n_tok;
    (void)forget;
    for (int32_t t = 0; t < alt->n; t++) alt->dlogp[t] -= gamma / n;
    const double a = alt->n ? -gamma * ul_side_sum(alt->logp, alt->n) / n : 0;
    if (!joint) return a + ul_retain_term(args, retain);
    const double alpha = n > 0 ? ul_num(args, "alpha") * retain->n_tok / n : 0;
    return a + alpha * ul_retain_loss(args, retain, alpha);
}

static const ul_match matches[] = {
    {"tofu", "one mean over the tokens of alternates and retain", UL_VALUES(".means", "joint"), false},
    {"soul", "gamma 5, lr 1e-5", UL_VALUES(".gamma", "5", "lr", "1e-5"), false},
    {0}};

const ul_method ul_method_idk = {
    .title = "Fine-tuning towards refusals",
    .paper = "arXiv:2401.06121",
    .note = "Teaches \"I don't know\" answers to the forget prompts. Suppresses: what was known comes back easily.",
    .intent = UL_SUPPRESSION,
    .level = UL_LEVEL_DATA,
    .params = params,
    .needs = UL_NEED_FORGET | UL_NEED_RETAIN | UL_NEED_ALT | UL_NEED_NO_FORGET_LOSS,
    .needs_of = ul_retain_needs,
    .loss = loss,
    .matches = matches,
};
