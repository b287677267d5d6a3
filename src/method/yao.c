/* yao.c - gradient ascent for pre-training texts, alone or held: three of the seven variants of one study.
 *
 *   L = gamma mean_f (1/|y|) sum_t log p(y_t) + alpha H,   means over the sequences of the step
 *   ga   H = 0
 *   gd   H = mean_r -(1/|y|) sum_t log p(y_t)
 *   kl   H = mean_r (1/|y|) sum_t KL(p_ref || p)_t
 *
 * Yao et al. 2024, "Machine Unlearning of Pre-trained Large Language Models", arXiv:2402.15159, and its program. gd
 * and kl are two variants each: --retain is text like the forgotten one (in-distribution; the paper finds gd on it
 * the most robust) or a general corpus. Random labels and adversarial samples change labels, not the arithmetic. One
 * epoch at lr 2e-5, cosine, warm-up 0.03; their batch, 60 or 85 accumulated steps on 8 GPUs, belongs to their
 * corpora: the usual one here. Traps: every sequence counts the same whatever its length, unlike graddiff's; the
 * authors' program feeds forget and retain texts in turns, a pair is here one sample. Unbounded: small models take
 * 0.15 of the usual rate: on tofu-656k (forget / retain probability 0.492 / 0.520 before) gd leaves 0.252 / 0.444
 * after ten epochs at 3e-4. */
#include "method/method.h"
#include <string.h>

static const ul_param params[] = {
    {"variant", UL_TEXT, 0, 0, 0, "gd|kl|ga", "what holds the model: descent on retain, KL, nothing", "gd"},
    UL_PARAM_GAMMA(1),
    UL_PARAM_ALPHA(1),
    {0}};
enum { NEEDS = UL_NEED_FORGET | UL_NEED_RETAIN };

static unsigned needs_of(const ul_args *args)
{
    const char *variant = ul_txt(args, "variant");
    return !strcmp(variant, "kl") ? NEEDS | UL_NEED_RETAIN_KL : !strcmp(variant, "ga") ? UL_NEED_FORGET : NEEDS;
}

static double loss(const ul_args *args, ul_side *forget, ul_side *alt, ul_side *retain)
{
    const char *variant = ul_txt(args, "variant");
    const double alpha = ul_num(args, "alpha"), sum = ul_side_mean(forget, forget->logp, forget->dlogp, ul_num(args, "gamma"));
    (void)alt;
    if (!strcmp(variant, "ga")) return sum;
    if (!strcmp(variant, "kl")) return sum + ul_side_mean(retain, retain->kl, retain->dkl, alpha);
    return sum + ul_side_mean(retain, retain->logp, retain->dlogp, -alpha);
}

const ul_method ul_method_yao = {
    .title = "Gradient ascent for pre-training texts",
    .paper = "arXiv:2402.15159",
    .note = "Ascent by sequence means, held by descent on retain text, best like the forgotten. Unbounded.",
    .intent = UL_REMOVAL,
    .level = UL_LEVEL_PARAMETERS,
    .params = params,
    .needs = NEEDS,
    .needs_of = needs_of,
    .loss = loss,
    .recipe = UL_VALUES("lr", "2e-5", "schedule", "cosine", "warmup", "0.03", "epochs", "1"),
    .small = UL_RUN_DEFAULTS,
    .lr_scale = 0.15,
};
