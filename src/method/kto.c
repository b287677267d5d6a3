/* kto.c - Kahneman-Tversky optimisation of "undesirable" answers only: NPO whose ascent fades beside a reference point.
 *
 *   r = s_f - s_f^ref,   z = max(0, s_a - s_a^ref) held constant,   s = sum of log p(y_t) over a sequence
 *   L = gamma * mean over sequences of -(2/beta) log sigmoid(beta (z - r)) + alpha L_r
 *   dL/dlogp_t = gamma * 2 sigmoid(beta (r - z)) / n_seq on the forget answer, nothing on the alternate
 *
 * Ethayarajh et al. 2024, "KTO: Model Alignment as Prospect Theoretic Optimization", arXiv:2402.01306, made a forget
 * loss in the programs of Zhang et al. 2024, arXiv:2404.05868 (their kto_logsigmoid_grad_diff). z is what the alternate
 * answers have gained: while they do not gain, this is npo. Traps: those programs take z as the mean over a
 * micro-batch, do not multiply it by beta, let it fall below 0 (--match npo, for each sample's own z) and start at 1 -
 * instead of 0; here each sample has its own z, so that no cut of a step changes a number. */
#include "method/method.h"
#include <string.h>

static const ul_param params[] = {
    {"beta", UL_REAL, 0.1, 1e-6, 100, NULL, "inverse temperature of the preference", NULL},
    {"point", UL_TEXT, 0, 0, 0, "gain|plain",
     "z: what the alternate has gained, times beta, never below 0; plain: without "
     "beta and bound",
     "gain"},
    UL_PARAM_GAMMA(1),
    UL_PARAM_ALPHA(1),
    UL_PARAM_RETAIN,
    {0}};
enum { NEEDS = UL_NEED_FORGET | UL_NEED_RETAIN | UL_NEED_ALT | UL_NEED_FORGET_REF | UL_NEED_ALT_REF };

static double loss(const ul_args *args, ul_side *forget, ul_side *alt, ul_side *retain)
{
    const double beta = ul_num(args, "beta"), gamma = ul_num(args, "gamma");
    double sum = 0;
    if (forget->n) {
        const bool plain = !strcmp(ul_txt(args, "point"), "plain");
        const double gain = ul_side_sum(alt->logp, alt->n) - ul_side_sum(alt->ref, alt->n);
        const double z = plain ? gain / beta : gain > 0 ? gain : 0;
        const double r = ul_side_sum(forget->logp, forget->n) - ul_side_sum(forget->ref, forget->n);
        const double d = gamma * 2 * ul_sigmoid(beta * (r - z)) / forget->n_seq;
        for (int32_t t = 0; t < forget->n; t++) forget->dlogp[t] += d;
        sum = -gamma * 2 / beta * ul_log_sigmoid(beta * (z - r)) / forget->n_seq;
    }
    return sum + ul_retain_term(args, retain);
}

static const ul_match matches[] = {
    {"npo", "the reference point without beta and bound", UL_VALUES(".point", "plain"), false}, {0}};

const ul_method ul_method_kto = {
    .title = "Kahneman-Tversky optimisation",
    .paper = "arXiv:2402.01306",
    .note = "NPO beside a reference point: it rests where the alternate answers have gained. Teaches no alternate.",
    .intent = UL_REMOVAL,
    .level = UL_LEVEL_PARAMETERS,
    .params = params,
    .needs = NEEDS,
    .needs_of = ul_retain_needs,
    .holds = UL_HOLDS_ALT,
    .loss = loss,
    .matches = matches,
};
