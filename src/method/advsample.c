/* advsample.c - fine-tuning on adversarial samples:
 * each scored token of a forget text learns the reference's runner-up.
 *
 *   L = gamma (1/N_f) sum_t -log p(v_t) + alpha L_r,   v_t = argmax_{v != y_t} p_ref(v | y_<t)
 *
 * Yao et al. 2024, "Machine Unlearning of Pre-trained Large Language Models", arXiv:2402.15159, section 4 (one epoch
 * at lr 2e-5, cosine, warm-up 0.03, no retain text; the batch as in yao.c). One sweep of the reference makes the
 * labels. The input keeps its tokens, special tokens keep their labels. Trap: the authors' program takes the current
 * input token out of the argmax, not the true next one, and its labels stand one place too early: v_t is the most
 * likely next token but y_t, behind y_t (--match yao). The NLL of forget answers in the log is of the runner-ups.
 * Small models take 0.1 of the usual rate: on tofu-656k (forget / retain probability 0.492 / 0.520 before) ten
 * epochs at 2e-4 without retain text leave 0.330 / 0.450. */
#include "method/method.h"
#include <string.h>

extern const ul_method ul_method_randlabel;

static const ul_param params[] = {
    {"labels", UL_TEXT, 0, 0, 0, "rival|late", "late: of the place after it, any but the scored token itself", "rival"},
    UL_PARAM_GAMMA(1),
    UL_PARAM_ALPHA(0),
    UL_PARAM_RETAIN,
    {0}};

static unsigned needs_of(const ul_args *args, unsigned needs)
{
    return ul_some_retain_needs(args, needs | (strcmp(ul_txt(args, "labels"), "late") ? 0 : UL_NEED_RIVALS_LATE));
}

static double loss(const ul_args *args, ul_side *forget, ul_side *alt, ul_side *retain)
{
    return ul_method_randlabel.loss(args, forget, alt, retain); /* only where the labels come from differs */
}

static const ul_match matches[] = {
    {"yao", "labels one place early, the scored token excluded", UL_VALUES(".labels", "late"), false}, {0}};

const ul_method ul_method_advsample = {
    .title = "Fine-tuning on adversarial samples",
    .paper = "arXiv:2402.15159",
    .note =
        "The forget answers learn the most likely wrong token at each place. Suppresses; gentler than random labels.",
    .intent = UL_SUPPRESSION,
    .level = UL_LEVEL_DATA,
    .params = params,
    .needs = UL_NEED_FORGET | UL_NEED_RIVAL_LABELS,
    .needs_of = needs_of,
    .loss = loss,
    .recipe = UL_VALUES("lr", "2e-5", "schedule", "cosine", "warmup", "0.03", "epochs", "1"),
    .small = UL_RUN_DEFAULTS,
    .lr_scale = 0.1,
    .matches = matches,
};
