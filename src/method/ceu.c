/* ceu.c - CE-U: cross-entropy under the model's own distribution with the true token taken out.
 *
 *   q_t = softmax(z_t with z_t[y_t] = -inf), held constant;  L = (1/N_f) sum_t CE(q_t, p_t)
 *   dL/dz = (1/N_f) (p - q): p_y at the label, -p_v p_y / (1 - p_y) elsewhere: it fades as the token is forgotten
 *
 * Yang 2025, "CE-U: Cross Entropy Unlearning", arXiv:2503.01224. The first `skip` tokens of an answer are left out; N_f
 * counts the rest. Trap: the target is of the model as it is now, not of the model before the run.
 * The paper's rate was not to be had: the usual one.
 * Nothing holds the rest: small models take 0.06 of the usual rate: on tofu-656k (forget / retain probability 0.492 /
 * 0.520 before) ten epochs at 8e-5 leave 0.387 / 0.442, at 1.2e-4 0.271 / 0.356, at 3e-4 0.007 / 0.018. */
#include "method/method.h"
#include <math.h>

static const ul_param params[] = {
    {"skip", UL_INT, 1, 0, 1000, "tokens", "tokens at the head of a forget answer that the loss leaves out", NULL},
    {0}};

static double shift(const ul_args *args)
{
    (void)args;
    return -(double)INFINITY;
}

static int32_t skip(const ul_args *args)
{
    return (int32_t)ul_num(args, "skip");
}

static double loss(const ul_args *args, ul_side *forget, ul_side *alt, ul_side *retain)
{
    double sum = 0;
    (void)alt, (void)retain;
    for (int32_t t = skip(args); t < forget->n; t++) {
        forget->dce[t] += 1 / forget->n_tok;
        sum += forget->ce[t] / forget->n_tok;
    }
    return sum;
}

const ul_method ul_method_ceu = {
    .title = "Cross-entropy unlearning",
    .paper = "arXiv:2503.01224",
    .note = "Distils the model into itself without the true token. Bounded gradient; no retain term, so watch utility.",
    .intent = UL_SUPPRESSION,
    .level = UL_LEVEL_LOGITS,
    .params = params,
    .needs = UL_NEED_FORGET | UL_NEED_FORGET_CE_OWN,
    .shift = shift,
    .skip = skip,
    .loss = loss,
    .lr_scale = 0.06,
};
