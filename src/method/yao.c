/* yao.c - forgetting pre-training texts: the seven variants of one study.
 *
 *   L = gamma F + alpha H,   means over the sequences of the step
 *   ga           F = mean_f (1/|y|) sum_t log p(y_t),    H = 0
 *   gd           the same F,                             H = mean_r -(1/|y|) sum_t log p(y_t)
 *   kl           the same F,                             H = mean_r (1/|y|) sum_t KL(p_ref || p)_t
 *   random       F = mean_f -(1/|y|) sum_t log p(u_t),   H = 0;  u_t drawn anew each time, as randlabel's
 *   adversarial  F = mean_f -(1/|y|) sum_t log p(v_t),   H = 0;  v_t the reference's runner-up, as advsample's
 *
 * Yao et al. 2024, "Machine Unlearning of Pre-trained Large Language Models", arXiv:2402.15159, section 4, and its
 * program (yaojin17/Unlearning_LLM, llm_unlearn/methods). The seven: these five, gd and kl twice, since --retain is
 * text like the forgotten one (in-distribution; the paper finds gd on it the most robust) or a general corpus. One
 * epoch at lr 2e-5, cosine, warm-up 0.03; their batch, 60 or 85 accumulated steps on 8 GPUs, belongs to their corpora:
 * the usual one here.
 * Traps: every sequence counts the same whatever its length, unlike graddiff's; the authors' program feeds forget and
 * retain texts in turns, a pair is here one sample; its kl leaves out the reference's entropy, which has no gradient.
 * Unbounded but for random and adversarial: small models take 0.15 of the usual rate: on tofu-656k (forget / retain
 * probability 0.492 / 0.520 before) gd leaves 0.252 / 0.444 after ten epochs at 3e-4. */
#include "method/method.h"
#include <string.h>

static const ul_param params[] = {
    {"variant", UL_TEXT, 0, 0, 0, "gd|kl|ga|random|adversarial",
     "ascent held by descent on retain, by KL, by nothing; or forget texts learn random tokens, or likely wrong ones",
     "gd"},
    UL_PARAM_GAMMA(1),
    UL_PARAM_ALPHA(1),
    {0}};

static bool is(const ul_args *args, const char *variant)
{
    return !strcmp(ul_txt(args, "variant"), variant);
}

static unsigned needs_of(const ul_args *args, unsigned needs)
{
    return is(args, "gd")       ? needs
           : is(args, "kl")     ? needs | UL_NEED_RETAIN_KL
           : is(args, "random") ? UL_NEED_FORGET | UL_NEED_RANDOM_LABELS
           : is(args, "ga")     ? UL_NEED_FORGET
                                : UL_NEED_FORGET | UL_NEED_RIVAL_LABELS;
}

static double loss(const ul_args *args, ul_side *forget, ul_side *alt, ul_side *retain)
{
    const bool learns = is(args, "random") || is(args, "adversarial");
    const double gamma = ul_num(args, "gamma"), alpha = ul_num(args, "alpha");
    const double sum = ul_side_mean(forget, forget->logp, forget->dlogp, learns ? -gamma : gamma);
    (void)alt;
    if (learns || is(args, "ga")) return sum;
    if (is(args, "kl")) return sum + ul_side_mean(retain, retain->kl, retain->dkl, alpha);
    return sum + ul_side_mean(retain, retain->logp, retain->dlogp, -alpha);
}

const ul_method ul_method_yao = {
    .title = "Unlearning of pre-training texts",
    .paper = "arXiv:2402.15159",
    .note = "Ascent by sequence means, held by descent on retain text like the forgotten; or wrong labels. Unbounded.",
    .intent = UL_REMOVAL,
    .level = UL_LEVEL_PARAMETERS,
    .params = params,
    .needs = UL_NEED_FORGET | UL_NEED_RETAIN,
    .needs_of = needs_of,
    .loss = loss,
    .recipe = UL_VALUES("lr", "2e-5", "schedule", "cosine", "warmup", "0.03", "epochs", "1"),
    .small = UL_RUN_DEFAULTS,
    .lr_scale = 0.15,
};
