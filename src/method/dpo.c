/* dpo.c - direct preference optimisation: an alternate answer is preferred to the forget answer.
 *
 *   m = (s_a - s_a^ref) - (s_f - s_f^ref),   s = sum of log p(y_t) over a sequence
 *   L = gamma * mean over sequences of -(2/beta) log sigmoid(beta m) + alpha L_r
 *   dL/dlogp_t = gamma * 2 sigmoid(-beta m) / n_seq on the forget answer, minus that on the alternate
 *
 * Rafailov et al. 2023, "Direct Preference Optimization", arXiv:2305.18290, eq. 7, with NPO's factor 2 (TOFU's
 * IdkDPO). Traps: TOFU's own branch does not run, and LoKU's copy of it overwrites the loss with idk's (--match
 * loku); plain DPO has a factor of 1. */
#include "method/method.h"
#include <string.h>

extern const ul_method ul_method_idk;

static const ul_param params[] = {
    {"beta", UL_REAL, 0.1, 1e-6, 100, NULL, "inverse temperature of the preference", NULL},
    {"form", UL_TEXT, 0, 0, 0, "preference|likelihood", "likelihood: of the alternates alone, as idk", "preference"},
    UL_PARAM_GAMMA(1),
    UL_PARAM_ALPHA(1),
    UL_PARAM_RETAIN,
    {0}};
enum { NEEDS = UL_NEED_FORGET | UL_NEED_RETAIN | UL_NEED_ALT | UL_NEED_FORGET_REF | UL_NEED_ALT_REF };

static double loss(const ul_args *args, ul_side *forget, ul_side *alt, ul_side *retain)
{
    const char *form = ul_txt(args, "form"); /* altpo has none */
    if (form && !strcmp(form, "likelihood")) return ul_method_idk.loss(args, forget, alt, retain);
    const double beta = ul_num(args, "beta"), gamma = ul_num(args, "gamma");
    double sum = 0;
    if (forget->n && alt->n) {
        const double win = ul_side_sum(alt->logp, alt->n) - ul_side_sum(alt->ref, alt->n);
        const double lose = ul_side_sum(forget->logp, forget->n) - ul_side_sum(forget->ref, forget->n);
        const double m = win - lose, d = gamma * 2 * ul_sigmoid(-beta * m) / forget->n_seq;
        for (int32_t t = 0; t < forget->n; t++) forget->dlogp[t] += d;
        for (int32_t t = 0; t < alt->n; t++) alt->dlogp[t] -= d;
        sum = -gamma * 2 / beta * ul_log_sigmoid(beta * m) / forget->n_seq;
    }
    return sum + ul_retain_term(args, retain);
}

static const ul_match matches[] = {
    {"loku", "the likelihood of the alternates, idk's loss", UL_VALUES(".form", "likelihood"), false}, {0}};

const ul_method ul_method_dpo = {
    .title = "Direct preference optimisation towards refusals",
    .paper = "arXiv:2305.18290",
    .note = "Prefers an alternate answer to the forget answer, both beside the reference. Suppresses.",
    .intent = UL_SUPPRESSION,
    .level = UL_LEVEL_DATA,
    .params = params,
    .needs = NEEDS,
    .needs_of = ul_retain_needs,
    .loss = loss,
    .matches = matches,
};
