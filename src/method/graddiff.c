/* graddiff.c - gradient difference: ascent on the forget answers, descent on the retain answers.
 *
 *   L = gamma (1/N_f) sum_f log p(y_t) + alpha L_r
 *
 * Liu, Liu and Stone 2022, "Continual Learning and Private Unlearning", arXiv:2203.12817; TOFU, arXiv:2401.06121,
 * section 3. Trap: the forget term is unbounded and wins in the end whatever alpha is: tofu-656k at npo's 2e-3 keeps
 * nothing (retain probability 0.520 -> 0.002), at 3e-4 0.46 with the forget answers at 0.30. SOUL's runs have gamma
 * 2 at lr 5e-6 (--match soul). */
#include "method/method.h"

static const ul_param params[] = {UL_PARAM_GAMMA(1), UL_PARAM_ALPHA(1), UL_PARAM_RETAIN, {0}};

static double loss(const ul_args *args, ul_side *forget, ul_side *alt, ul_side *retain)
{
    const double gamma = ul_num(args, "gamma");
    (void)alt;
    for (int32_t t = 0; t < forget->n; t++) forget->dlogp[t] += gamma / forget->n_tok;
    const double f = forget->n ? gamma * ul_side_sum(forget->logp, forget->n) / forget->n_tok : 0;
    return f + ul_retain_term(args, retain);
}

static const ul_match matches[] = {
    {"soul", "gamma 2, lr 5e-6", UL_VALUES(".gamma", "2", "lr", "5e-6"), false}, {0}};

const ul_method ul_method_graddiff = {
    .title = "Gradient difference",
    .paper = "arXiv:2203.12817",
    .note = "Gradient ascent on forget, descent on retain. Still unbounded: stop early, or weigh gamma down.",
    .intent = UL_REMOVAL,
    .level = UL_LEVEL_PARAMETERS,
    .params = params,
    .needs = UL_NEED_FORGET | UL_NEED_RETAIN,
    .needs_of = ul_retain_needs,
    .loss = loss,
    .lr_scale = 0.15,
    .matches = matches,
};
