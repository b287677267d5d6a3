/* scrub.c - SCRUB: a student leaves its teacher on the forget set and stays with it on the retain set, in turns.
 *
 *   min epochs   L = gamma (1/N_r) sum_r -log p(y_t) + kappa (1/N_r) sum_r KL(p_ref || p)_t
 *   max epochs   L = -(1/N_f) sum_f min(KL(p_ref || p)_t, cap)
 *
 * Epochs of the run count from 0: odd ones are max epochs until `rounds` of them are over, all others are min epochs.
 *
 * Kurmanji et al. 2023, "Towards Unbounded Machine Unlearning", arXiv:2302.10917, eq. 3 (their small models: gamma
 * 1, kappa 0.5, 3 rounds in 10 epochs). Traps: the negated divergence is unbounded, hence the cap, per token; it and
 * its gradient are exactly 0 at the reference, so that a run which begins with a max epoch, as the paper's does,
 * stands still in it (an image model's normalisation layers shake it loose; here nothing does): a min epoch comes
 * first. No temperature. Their rates are those of image models: the usual one here. */
#include "method/method.h"

static const ul_param params[] = {
    {"rounds", UL_REAL, 3, 0, 1e6, NULL, "max epochs, each after a min epoch", NULL},
    {"cap", UL_REAL, 10, 0, 1e6, "nats", "a forget token this far from the reference is left alone", NULL},
    {"kappa", UL_REAL, 0.5, 0, 1000, NULL, "weight of the divergence on retain", NULL},
    {"gamma", UL_REAL, 1, 0, 1000, NULL, "weight of the likelihood on retain", NULL},
    {0}};

static bool is_max(const ul_args *args, double epoch)
{
    const int64_t e = (int64_t)epoch;
    return e % 2 == 1 && (double)(e / 2) < ul_num(args, "rounds");
}

static double loss(const ul_args *args, ul_side *forget, ul_side *alt, ul_side *retain)
{
    const double gamma = ul_num(args, "gamma"), kappa = ul_num(args, "kappa"), cap = ul_num(args, "cap");
    double sum = 0;
    (void)alt;
    if (is_max(args, forget->epoch)) {
        for (int32_t t = 0; t < forget->n; t++) {
            if (forget->kl[t] < cap) forget->dkl[t] -= 1 / forget->n_tok;
            sum -= (forget->kl[t] < cap ? forget->kl[t] : cap) / forget->n_tok;
        }
        return sum;
    }
    for (int32_t t = 0; t < retain->n; t++) {
        retain->dlogp[t] -= gamma / retain->n_tok;
        retain->dkl[t] += kappa / retain->n_tok;
        sum += (kappa * retain->kl[t] - gamma * retain->logp[t]) / retain->n_tok;
    }
    return sum;
}

const ul_method ul_method_scrub = {
    .title = "SCRUB: teacher left on forget, kept on retain",
    .paper = "arXiv:2302.10917",
    .note = "Epochs in turns: near the reference on retain, then away from it on forget. Needs a run of several epochs.",
    .intent = UL_REMOVAL,
    .level = UL_LEVEL_LOGITS,
    .params = params,
    .needs = UL_NEED_FORGET | UL_NEED_RETAIN | UL_NEED_FORGET_KL | UL_NEED_RETAIN_KL,
    .loss = loss,
};
