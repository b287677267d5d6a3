/* undial.c - UNDIAL: self-distillation from the reference with the true token's logit lowered.
 *
 *   q_t = softmax(z_ref,t - beta e_{y_t});  L = gamma (1/N_f) sum_t CE(q_t, p_t) + alpha L_r
 *
 * Dong et al. 2024, "UNDIAL: Self-Distillation with Adjusted Logits", arXiv:2402.10052 (beta 3, 10, 30; no retain term;
 * lr 1e-4, theirs with LoRA of rank 8; small models take the usual rate, which is 20 times that).
 * Trap: open-unlearning averages over prompts and padding too, where its label -100 lowers entry V - 100
 * (--match open-unlearning). */
#include "method/method.h"

static const ul_param params[] = {
    {"beta", UL_REAL, 10, 0, 1e6, NULL, "how much the true token's logit is lowered in the target", NULL},
    UL_PARAM_GAMMA(1),
    UL_PARAM_ALPHA(0),
    UL_PARAM_RETAIN,
    {0}};
enum { NEEDS = UL_NEED_FORGET | UL_NEED_FORGET_CE };

static double shift(const ul_args *args)
{
    return -ul_num(args, "beta");
}

static double loss(const ul_args *args, ul_side *forget, ul_side *alt, ul_side *retain)
{
    const double w = ul_num(args, "gamma") / (forget->n ? forget->n_tok : 1);
    (void)alt;
    for (int32_t t = 0; t < forget->n; t++) forget->dce[t] += w;
    return w * ul_side_sum(forget->ce, forget->n) + ul_retain_term(args, retain);
}

const ul_method ul_method_undial = {
    .title = "Self-distillation with adjusted logits",
    .paper = "arXiv:2402.10052",
    .note = "Distils the reference with each true token's logit lowered by beta. Bounded and stable.",
    .intent = UL_REMOVAL,
    .level = UL_LEVEL_LOGITS,
    .params = params,
    .needs = NEEDS,
    .needs_of = ul_some_retain_needs,
    .shift = shift,
    .loss = loss,
    .recipe = UL_VALUES("lr", "1e-4"),
    .small = UL_RUN_DEFAULTS,
    .adapter_rate = true,
};
