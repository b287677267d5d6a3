/* llmu.c - large language model unlearning: ascent, random answers to the forget prompts, KL on normal data.
 *
 *   L = e1 mean_f (1/|y|) sum_t log p(y_t) + e2 mean_a (1/|y|) sum_t -log p(y_t)
 *     + e3 mean_r (1/|y|) sum_t KL(p_ref || p)_t
 *
 * means over the sequences of the step; a: `answers` answers of other rows to the same prompt, drawn anew each time the
 * prompt comes. The answers are those of the retain rows unless --alt gives others.
 *
 * Yao, Xu and Liu 2023, "Large Language Model Unlearning", arXiv:2310.10683, eq. 4 to 7 (e = 0.5, 1, 1; five answers;
 * 1000 steps of 2 at lr 2e-6, theirs with LoRA of rank 32: --lora q_proj,v_proj --lora-r 32). Traps: their program
 * draws the five once a batch, for all its prompts, and without putting any back; its "KL" is a cross-entropy, with the
 * gradient of one, over prompts and padding too (--match llmu), its stop test compares a negative number and never
 * stops. Unbounded: e1 is small for a reason. Small models take one answer a step, the same in the mean, and 0.3 of
 * the usual rate: on tofu-656k (forget / retain probability 0.492 / 0.520 before) ten epochs at 3e-4 leave 0.403 /
 * 0.484, at 6e-4 0.256 / 0.462. */
#include "method/method.h"

static const ul_param params[] = {
    {"gamma", UL_REAL, 0.5, 0, 1000, NULL, "weight e1 of the ascent on forget answers", NULL},
    {"random", UL_REAL, 1, 0, 1000, NULL, "weight e2 of the likelihood of random answers", NULL},
    {"alpha", UL_REAL, 1, 0, 1000, NULL, "weight e3 of the divergence on retain", NULL},
    {"answers", UL_INT, 5, 1, 100, NULL, "random answers to a prompt in a step; in small models 1", NULL},
    {0}};

static const char *const small[] = {".answers", "1", NULL};

static int32_t alternates(const ul_args *args)
{
    return (int32_t)ul_num(args, "answers");
}

static double loss(const ul_args *args, ul_side *forget, ul_side *alt, ul_side *retain)
{
    return ul_side_mean(forget, forget->logp, forget->dlogp, ul_num(args, "gamma")) +
           ul_side_mean(alt, alt->logp, alt->dlogp, -ul_num(args, "random")) +
           ul_side_mean(retain, retain->kl, retain->dkl, ul_num(args, "alpha"));
}

static const ul_match matches[] = {
    {.name = "llmu", .what = "the divergence counts every position, prompts and padding too", .micro_means = true},
    {0}};

const ul_method ul_method_llmu = {
    .title = "Large language model unlearning",
    .paper = "arXiv:2310.10683",
    .note = "Ascent on the forget answers, random answers of other rows to their prompts, KL on retain. Unbounded.",
    .intent = UL_REMOVAL,
    .level = UL_LEVEL_PARAMETERS,
    .params = params,
    .needs = UL_NEED_FORGET | UL_NEED_RETAIN | UL_NEED_ALT | UL_NEED_ALT_RETAIN | UL_NEED_RETAIN_KL,
    .alternates = alternates,
    .loss = loss,
    .recipe = UL_VALUES("lr", "2e-6", "steps", "1000", "batch", "2"),
    .small = small,
    .lr_scale = 0.3,
    .adapter_rate = true,
    .matches = matches,
};
