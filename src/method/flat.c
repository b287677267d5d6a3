/* flat.c - forget data only loss adjustment: an f-divergence between alternate and forget answers is made large.
 *
 *   P = (1/|y|) sum_t p(y_t) of a sequence;   a: alternate, f: forget
 *   L = gamma * mean over sequences of -g(P_a) + f*(g(P_f))
 *   tv       g = tanh(v)/2              f*(g) = tanh(v)/2
 *   kl       g = v                      f*(g) = exp(v - 1)
 *   pearson  g = v                      f*(g) = v^2/4 + v
 *   js       g = log 2 - log(1 + e^-v)  f*(g) = v + log(1 + e^-v) - log 2
 *   dL/dlogp_t = gamma * dL/dP * p(y_t) / (|y| n_seq)
 *
 * Wang et al. 2024, "LLM Unlearning via Loss Adjustment with Only Forget Data", arXiv:2410.11143; UCSC-REAL/FLAT,
 * dataloader.py. No retain term, no reference. Traps: their code averages P over all positions, prompt and padding
 * counting 0, so that P shrinks with the prompt (--match flat, without the padding); and takes P over the micro-batch
 * before g. Here P is of the answer. Probabilities, not logarithms: a token of p near 0 is neither learnt nor lost.
 * Nothing holds the rest but a small step: the authors' rate is 2e-7 for 7e9 parameters, 50 times below the others'.
 * Small models take 0.1 of the usual one: tofu-656k (forget / retain 0.492 / 0.520) has 0.330 / 0.410 at 2e-4. */
#include "method/method.h"
#include <string.h>

static const ul_param params[] = {
    {"divergence", UL_TEXT, 0, 0, 0, "tv|kl|pearson|js", "the f-divergence", "tv"},
    {"over", UL_TEXT, 0, 0, 0, "answer|document",
     "what P is a mean over: the answer's tokens, or all, those of the prompt counting 0", "answer"},
    UL_PARAM_GAMMA(1), {0}};

static double mean_p(const ul_side *s, double n)
{
    double sum = 0;
    for (int32_t t = 0; t < s->n; t++) sum += ul_exp(s->logp[t]);
    return sum / n;
}

static void push(ul_side *s, double n, double d)
{
    for (int32_t t = 0; t < s->n; t++) s->dlogp[t] += d * ul_exp(s->logp[t]) / n;
}

static double loss(const ul_args *args, ul_side *forget, ul_side *alt, ul_side *retain)
{
    (void)retain;
    if (!forget->n || !alt->n) return 0;
    const bool all = !strcmp(ul_txt(args, "over"), "document");
    const double n_a = all ? alt->n_place : alt->n, n_f = all ? forget->n_place : forget->n;
    const double w = ul_num(args, "gamma") / forget->n_seq, a = mean_p(alt, n_a), f = mean_p(forget, n_f),
                 log2 = ul_log(2);
    const char *name = ul_txt(args, "divergence");
    double g, star, dg, dstar; /* g(P_a), f*(g(P_f)) and their derivatives */
    if (!strcmp(name, "kl")) {
        g = a, star = ul_exp(f - 1), dg = 1, dstar = star;
    } else if (!strcmp(name, "pearson")) {
        g = a, star = f * f / 4 + f, dg = 1, dstar = f / 2 + 1;
    } else if (!strcmp(name, "js")) {
        g = log2 + ul_log_sigmoid(a), dg = ul_sigmoid(-a);
        star = f - ul_log_sigmoid(f) - log2, dstar = ul_sigmoid(f);
    } else {
        const double x = ul_tanh(a), y = ul_tanh(f);
        g = x / 2, star = y / 2, dg = (1 - x * x) / 2, dstar = (1 - y * y) / 2;
    }
    push(alt, n_a, -w * dg);
    push(forget, n_f, w * dstar);
    return w * (star - g);
}

static const ul_match matches[] = {
    {"flat", "P is a mean over prompt and answer", UL_VALUES(".over", "document"), false}, {0}};

const ul_method ul_method_flat = {
    .title = "Loss adjustment with forget data only",
    .paper = "arXiv:2410.11143",
    .note = "Moves probability from the forget answers to alternates; no retain data: take a small --lr.",
    .intent = UL_SUPPRESSION,
    .level = UL_LEVEL_DATA,
    .params = params,
    .needs = UL_NEED_FORGET | UL_NEED_ALT,
    .loss = loss,
    .recipe = UL_VALUES("lr", "2e-7"),
    .small = UL_RUN_DEFAULTS,
    .lr_scale = 0.1,
    .matches = matches,
};
