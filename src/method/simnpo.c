/* simnpo.c - simple NPO: the log-ratio to the reference is replaced by the mean log-likelihood of the sequence.
 *
 *   m = -(1/|y|) sum_t log p(y_t)
 *   L = gamma * mean over sequences of -(2/beta) log sigmoid(beta (m - delta)) + alpha L_r
 *   dL/dlogp_t = gamma * 2 sigmoid(-beta (m - delta)) / (|y| n_seq)
 *
 * Fan et al. 2024, "Simplicity Prevails: Rethinking Negative Preference Optimization", arXiv:2410.07163, eq. 4.
 * Traps: the paper writes the margin outside beta (gamma_paper = beta * delta; --match paper), its code inside, as
 * here: the same at the default, 0; |y| counts the labelled tokens. The file for MUSE takes log sigmoid of single
 * logits (not offered). Defaults: open-unlearning's for TOFU. */
#include "method/method.h"
#include <string.h>

static const ul_param params[] = {{"beta", UL_REAL, 4.5, 1e-6, 100, NULL, "inverse temperature, a token", NULL},
                                  {"delta", UL_REAL, 0, -100, 100, "nats a token",
                                   "margin: how unlikely an answer must be before the ascent fades", NULL},
                                  {"margin", UL_TEXT, 0, 0, 0, "inside|outside",
                                   "beta multiplies delta too; outside: beta m - delta, as the paper prints it",
                                   "inside"},
                                  UL_PARAM_GAMMA(0.125),
                                  UL_PARAM_ALPHA(1),
                                  UL_PARAM_RETAIN,
                                  {0}};

static double loss(const ul_args *args, ul_side *forget, ul_side *alt, ul_side *retain)
{
    const double beta = ul_num(args, "beta"), gamma = ul_num(args, "gamma");
    double sum = 0;
    (void)alt;
    if (forget->n) {
        const bool outside = !strcmp(ul_txt(args, "margin"), "outside");
        const double m = -ul_side_sum(forget->logp, forget->n) / forget->n, delta = ul_num(args, "delta");
        const double z = outside ? beta * m - delta : beta * (m - delta);
        const double d = gamma * 2 * ul_sigmoid(-z) / (forget->n * forget->n_seq);
        for (int32_t t = 0; t < forget->n; t++) forget->dlogp[t] += d;
        sum = -gamma * 2 / beta * ul_log_sigmoid(z) / forget->n_seq;
    }
    return sum + ul_retain_term(args, retain);
}

static const ul_match matches[] = {
    {"paper", "delta outside beta (no difference while it is 0)", UL_VALUES(".margin", "outside"), false}, {0}};

const ul_method ul_method_simnpo = {
    .title = "Simple negative preference optimisation",
    .paper = "arXiv:2410.07163",
    .note = "NPO without a reference, normalised by length. Sensitive to beta and gamma; the defaults are TOFU's.",
    .intent = UL_REMOVAL,
    .level = UL_LEVEL_PARAMETERS,
    .params = params,
    .needs = UL_NEED_FORGET | UL_NEED_RETAIN,
    .needs_of = ul_retain_needs,
    .loss = loss,
    .matches = matches,
};
