/* scrub.c - SCRUB: a student leaves its teacher on the forget set and stays with it on the retain set, in turns.
 *
 *   D_t = T^2 KL(softmax(z_ref / T) || softmax(z / T)),  z: the row's logits
 *   min epochs   L = alpha (likelihood (1/N_r) sum_r -log p(y_t) + kappa (1/N_r) sum_r D_t)
 *   max epochs   L = -gamma (1/N_f) sum_f min(D_t, cap)
 *
 * Epochs of the run count from 0: odd ones are max epochs until `rounds` of them are over, all others are min epochs.
 *
 * Kurmanji et al. 2023, "Towards Unbounded Machine Unlearning", arXiv:2302.10917, eq. 3; code: meghdadk/SCRUB
 * (helper/KD.py, helper/loops.py; their small models: 1 for the likelihood, 0.5 for the divergence, 3 rounds in 10
 * epochs, T 4). Names: the paper's gamma is `likelihood`, its alpha `kappa`; here gamma weighs the forget term and
 * alpha the retain term, as in all other methods, so that a coefficient schedule (--wrap ramp) meets the one that it
 * means. Traps: the negated divergence is unbounded, hence the cap, per token; it and its gradient are exactly 0 at
 * the reference, so that a run which begins with a max epoch, as the paper's does, stands still in it (an image
 * model's normalisation layers shake it loose; here nothing does): a min epoch comes first. T^2 keeps the size of
 * gradients, not that of D: at T 4 the tail of a distribution counts as much as its head; small models take T 1.
 * Their rates are those of image models: the usual one here. */
#include "method/method.h"

static const ul_param params[] = {
    {"rounds", UL_REAL, 3, 0, 1e6, NULL, "max epochs, each after a min epoch", NULL},
    {"cap", UL_REAL, 10, 0, 1e6, "nats", "a forget token this far from the reference is left alone", NULL},
    {"temperature", UL_REAL, 4, 0.01, 100, NULL, "of both distributions of a divergence; in small models 1", NULL},
    {"likelihood", UL_REAL, 1, 0, 1000, NULL, "weight of the likelihood in the retain term (the paper's gamma)", NULL},
    {"kappa", UL_REAL, 0.5, 0, 1000, NULL, "weight of the divergence in the retain term (the paper's alpha)", NULL},
    UL_PARAM_GAMMA(1),
    UL_PARAM_ALPHA(1),
    {0}};

static const char *const small[] = {".temperature", "1", NULL};

static bool is_max(const ul_args *args, double epoch)
{
    const int64_t e = (int64_t)epoch;
    return e % 2 == 1 && (double)(e / 2) < ul_num(args, "rounds");
}

static double temperature(const ul_args *args)
{
    return ul_num(args, "temperature");
}

static double loss(const ul_args *args, ul_side *forget, ul_side *alt, ul_side *retain)
{
    const double square = temperature(args) * temperature(args), cap = ul_num(args, "cap");
    const double alpha = ul_num(args, "alpha");
    const double task = alpha * ul_num(args, "likelihood"), kappa = alpha * ul_num(args, "kappa") * square;
    double sum = 0;
    (void)alt;
    if (is_max(args, forget->epoch)) {
        const double gamma = ul_num(args, "gamma");
        for (int32_t t = 0; t < forget->n; t++) {
            const double d = square * forget->kl[t];
            if (d < cap) forget->dkl[t] -= gamma * square / forget->n_tok;
            sum -= gamma * (d < cap ? d : cap) / forget->n_tok;
        }
        return sum;
    }
    for (int32_t t = 0; t < retain->n; t++) {
        retain->dlogp[t] -= task / retain->n_tok;
        retain->dkl[t] += kappa / retain->n_tok;
        sum += (kappa * retain->kl[t] - task * retain->logp[t]) / retain->n_tok;
    }
    return sum;
}

const ul_method ul_method_scrub = {
    .title = "SCRUB: teacher left on forget, kept on retain",
    .paper = "arXiv:2302.10917",
    .note =
        "Epochs in turns: near the reference on retain, then away from it on forget. Needs a run of several epochs.",
    .intent = UL_REMOVAL,
    .level = UL_LEVEL_LOGITS,
    .params = params,
    .needs = UL_NEED_FORGET | UL_NEED_RETAIN | UL_NEED_FORGET_KL | UL_NEED_RETAIN_KL,
    .temperature = temperature,
    .small = small,
    .loss = loss,
};
