/* pdu.c - primal-dual unlearning: logits of the forget answers made flat, under a bound on the retain loss.
 *
 *   L = gamma (1/N_f) sum_t (max z_t - mean z_t)^2 + lambda (L_r - eps)
 *   lambda: alpha at first; after each step past the warm-up max(0, lambda + eta (L_r - eps))
 *
 * Entesari et al. 2025, "Constrained Entropic Unlearning: A Primal-Dual Framework", arXiv:2506.05314 (TOFU: lambda
 * 100, eta 5, eps 0.3, five epochs of warm-up, 10 to 30 epochs). Traps: eta and lambda have the scale of the forget
 * loss; open-unlearning takes the logits one token late (--match open-unlearning). Small models take twice the usual
 * rate: on tofu-656k (forget / retain probability 0.492 / 0.520 before) ten epochs at 3e-4 leave 0.243 / 0.345, at
 * 2e-3 0.123 / 0.392, at 4e-3 0.026 / 0.401. The retain loss there, 0.86 nats a token before the run, never meets
 * eps. */
#include "method/method.h"

static const ul_param params[] = {
    {"eps", UL_REAL, 0.3, 0, 1000, "nats", "bound on the retain loss", NULL},
    {"dual_step", UL_REAL, 5, 0, 1e6, NULL,
     "how fast the multiplier follows the excess of the retain loss; 0: it stays", NULL},
    {"dual_warmup", UL_REAL, 5, 0, 1e6, "epochs", "during which the multiplier stays", NULL},
    UL_PARAM_GAMMA(1),
    {"alpha", UL_REAL, 100, 0, 1e6, NULL, "the multiplier at the start", NULL},
    UL_PARAM_RETAIN,
    {0}};

static double dual(const ul_args *args, double lambda, double constraint, double epoch)
{
    if (epoch < 0) return ul_num(args, "alpha");
    if (epoch < ul_num(args, "dual_warmup")) return lambda;
    const double next = lambda + ul_num(args, "dual_step") * (constraint - ul_num(args, "eps"));
    return next > 0 ? next : 0;
}

static double loss(const ul_args *args, ul_side *forget, ul_side *alt, ul_side *retain)
{
    const double gamma = ul_num(args, "gamma");
    double sum = 0;
    (void)alt;
    for (int32_t t = 0; t < forget->n; t++) {
        forget->dgap[t] += gamma * 2 * forget->gap[t] / forget->n_tok;
        sum += gamma * forget->gap[t] * forget->gap[t] / forget->n_tok;
    }
    if (retain->n == 0) return sum;
    retain->constraint = ul_retain_loss(args, retain, retain->dual);
    return sum + retain->dual * (retain->constraint - ul_num(args, "eps") * retain->n / retain->n_tok);
}

const ul_method ul_method_pdu = {
    .title = "Primal-dual unlearning",
    .paper = "arXiv:2506.05314",
    .note = "Flattens the logits of forget answers while a multiplier keeps the retain loss under a bound. Watch the "
            "multiplier.",
    .intent = UL_REMOVAL,
    .level = UL_LEVEL_LOGITS,
    .params = params,
    .needs = UL_NEED_FORGET | UL_NEED_RETAIN | UL_NEED_FORGET_GAP,
    .needs_of = ul_retain_needs,
    .dual = dual,
    .loss = loss,
    .lr_scale = 2,
};
