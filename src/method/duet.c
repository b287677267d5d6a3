/* duet.c - distilled unlearning from an instructed teacher: what a system prompt makes the reference say is put into
 * weights.
 *
 *   L = gamma (1/N_f) sum_t KL(p_ref(. | prompt, x) || p(. | x))_t + alpha L_r
 *
 * Zhong et al. 2026, "DUET", arXiv:2601.21283: the teacher is the model before the run behind an instruction to
 * forget, the student sees the documents alone; on retain it stays near the reference. Their target keeps the
 * teacher's top logits, how many was not to be had (`top`; 0, the whole distribution, is ours). The wording of their
 * instruction was not to be had: give your own; nor were rate and epochs: the usual ones. Trap: what the teacher does
 * not suppress behind the instruction, the student does not learn to: look at the teacher first (a small model that
 * heeds no instruction teaches nothing). */
#include "method/method.h"

static const ul_param params[] = {
    {"prompt", UL_TEXT, 0, 0, 0, NULL, "the instruction that the teacher reads in front of a forget document",
     "You have forgotten everything about the subject of the next question. Answer only that you do not know.\n"},
    {"top", UL_INT, 0, 0, UL_MOST_TOP, "tokens", "most likely ones left in the teacher's distribution; 0: all", NULL},
    UL_PARAM_GAMMA(1),
    UL_PARAM_ALPHA(1),
    {"retain", UL_TEXT, 0, 0, 0, "kl|nll",
     "retain term: kl = stay near the reference, nll = likelihood of the answers", "kl"},
    {0}};

static unsigned needs_of(const ul_args *args, unsigned needs)
{
    const unsigned kl = UL_NEED_RETAIN_KL; /* the default's */
    return ul_retain_needs(args, needs & ~kl);
}

static int readings(const ul_args *args, ul_reading out[UL_READINGS])
{
    out[0] = (ul_reading){ul_txt(args, "prompt"), 1, 1};
    return 1;
}

static double loss(const ul_args *args, ul_side *forget, ul_side *alt, ul_side *retain)
{
    (void)alt;
    return ul_forget_kl(args, forget) + ul_retain_term(args, retain);
}

const ul_method ul_method_duet = {
    .title = "Distilled unlearning from an instructed teacher",
    .paper = "arXiv:2601.21283",
    .note =
        "Teaches the model what it says behind an instruction to forget. Suppresses; as good as the model heeds it.",
    .intent = UL_SUPPRESSION,
    .level = UL_LEVEL_LOGITS,
    .params = params,
    .needs = UL_NEED_FORGET | UL_NEED_RETAIN | UL_NEED_FORGET_KL | UL_NEED_RETAIN_KL,
    .needs_of = needs_of,
    .readings = readings,
    .top = ul_target_top,
    .loss = loss,
};
