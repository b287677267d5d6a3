/* randlabel.c - fine-tuning on random labels: each scored token of a forget text learns a token drawn at random.
 *
 *   L = gamma (1/N_f) sum_t -log p(u_t) + alpha L_r,
 *   u_t uniform over the ordinary tokens, drawn anew each time a row comes
 *
 * Yao et al. 2024, "Machine Unlearning of Pre-trained Large Language Models", arXiv:2402.15159, section 4 (one epoch
 * at lr 2e-5, cosine, warm-up 0.03, no retain text; the batch as in yao.c). The input keeps its tokens, special
 * tokens keep their labels. Bounded: the optimum is the uniform distribution, which is also what it makes of
 * everything else where nothing is retained (alpha 0, as in the paper). The NLL of forget answers in the log is of
 * the random tokens. Small models take 0.05 of the usual rate: on tofu-656k (forget / retain probability 0.492 /
 * 0.520 before) ten epochs without retain text leave 0.453 / 0.488 at 5e-5, 0.323 / 0.374 at 1e-4, 0.044 / 0.071 at
 * 2e-4. */
#include "method/method.h"

static const ul_param params[] = {UL_PARAM_GAMMA(1), UL_PARAM_ALPHA(0), UL_PARAM_RETAIN, {0}};
enum { NEEDS = UL_NEED_FORGET | UL_NEED_RANDOM_LABELS };

static double loss(const ul_args *args, ul_side *forget, ul_side *alt, ul_side *retain)
{
    double sum = 0;
    (void)alt;
    for (int32_t t = 0; t < forget->n; t++) sum += ul_ascend(forget, t, -ul_num(args, "gamma") / forget->n_tok);
    return sum + ul_retain_term(args, retain);
}

const ul_method ul_method_randlabel = {
    .title = "Fine-tuning on random labels",
    .paper = "arXiv:2402.15159",
    .note =
        "The forget answers learn noise. Give retain data and --randlabel.alpha, or few steps: nothing else is kept.",
    .intent = UL_SUPPRESSION,
    .level = UL_LEVEL_DATA,
    .params = params,
    .needs = NEEDS,
    .needs_of = ul_some_retain_needs,
    .loss = loss,
    .recipe = UL_VALUES("lr", "2e-5", "schedule", "cosine", "warmup", "0.03", "epochs", "1"),
    .small = UL_RUN_DEFAULTS,
    .lr_scale = 0.05,
};
