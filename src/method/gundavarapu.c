/* gundavarapu.c - the recipe of one study: gradient difference, meant for adapters.
 *
 *   L = gamma (1/N_f) sum_f log p(y_t) + alpha (-1/N_r) sum_r log p(y_t)
 *
 * Gundavarapu et al. 2024, "Machine Unlearning in Large Language Models", arXiv:2405.15152: (i) ascent on harmful
 * answers with descent on TruthfulQA; (ii) ascent on a book with descent on BookCorpus, by adapters. The arithmetic
 * of graddiff.c, which is called; what makes it theirs are --retain and --train lora. Numbers of the run were not to
 * be had (read as an abstract): the usual ones. Trap: graddiff's: unbounded; the rate for small models is graddiff's
 * too. */
#include "method/method.h"

extern const ul_method ul_method_graddiff;

static const ul_param params[] = {UL_PARAM_GAMMA(1), UL_PARAM_ALPHA(1), UL_PARAM_RETAIN, {0}};

static double loss(const ul_args *args, ul_side *forget, ul_side *alt, ul_side *retain)
{
    return ul_method_graddiff.loss(args, forget, alt, retain);
}

const ul_method ul_method_gundavarapu = {
    .title = "Gradient difference for adapters",
    .paper = "arXiv:2405.15152",
    .note = "graddiff as this paper runs it: with --train lora, TruthfulQA or a general corpus as --retain. Unbounded.",
    .intent = UL_REMOVAL,
    .level = UL_LEVEL_PARAMETERS,
    .params = params,
    .needs = UL_NEED_FORGET | UL_NEED_RETAIN,
    .needs_of = ul_retain_needs,
    .loss = loss,
    .lr_scale = 0.15,
};
