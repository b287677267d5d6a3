/* npo.c - negative preference optimisation: gradient ascent that fades as an answer gets unlikely.
 *
 *   r = sum_t log p(y_t) - sum_t log p_ref(y_t)
 *   L = gamma * mean over sequences of -(2/beta) log sigmoid(-beta r) + alpha L_r
 *   dL/dlogp_t = gamma * 2 sigmoid(beta r) / n_seq: 1 at the start (there it is the gradient of ascent), 0 when
 * forgotten
 *
 * Zhang, Lin, Bai and Mei 2024, "Negative Preference Optimization", arXiv:2404.05868, eq. 3. Traps: sums over a
 * sequence, not means; the reference is the model before the run, not a running copy; MUSE's "npo" takes log sigmoid
 * of single logits and is another method (not offered); the programs of SOUL, WAGLE and WMDP's NPO take r as a mean
 * over the tokens of a batch, one number for all its sequences (--match soul: the mean of each sequence, which is
 * theirs at a batch of one). Texts of thousands of tokens saturate the sigmoid at once. */
#include "method/method.h"
#include <string.h>

static const ul_param params[] = {
    {"beta", UL_REAL, 0.1, 1e-6, 100, NULL,
     "inverse temperature: how soon the ascent on a sequence fades; 0 would be ga", NULL},
    {"ratio", UL_TEXT, 0, 0, 0, "sum|mean", "r: over the tokens of a sequence, their sum or mean", "sum"},
    UL_PARAM_GAMMA(1),
    UL_PARAM_ALPHA(1),
    UL_PARAM_RETAIN,
    {0}};

static double loss(const ul_args *args, ul_side *forget, ul_side *alt, ul_side *retain)
{
    const double beta = ul_num(args, "beta"), gamma = ul_num(args, "gamma");
    double sum = 0;
    (void)alt;
    if (forget->n) {
        const double n = !strcmp(ul_txt(args, "ratio"), "mean") ? forget->n : 1;
        const double r = (ul_side_sum(forget->logp, forget->n) - ul_side_sum(forget->ref, forget->n)) / n;
        const double d = gamma * 2 * ul_sigmoid(beta * r) / (n * forget->n_seq);
        for (int32_t t = 0; t < forget->n; t++) forget->dlogp[t] += d;
        sum = -gamma * 2 / beta * ul_log_sigmoid(-beta * r) / forget->n_seq;
    }
    return sum + ul_retain_term(args, retain);
}

static const ul_match matches[] = {
    {"soul", "the log-ratio is a mean over tokens", UL_VALUES(".ratio", "mean"), false}, {0}};

const ul_method ul_method_npo = {
    .title = "Negative preference optimisation",
    .paper = "arXiv:2404.05868",
    .note =
        "Ascent weighted by how likely the answer still is beside the reference: bounded below, the common baseline.",
    .intent = UL_REMOVAL,
    .level = UL_LEVEL_PARAMETERS,
    .params = params,
    .needs = UL_NEED_FORGET | UL_NEED_RETAIN | UL_NEED_FORGET_REF,
    .needs_of = ul_retain_needs,
    .loss = loss,
    .matches = matches,
};
