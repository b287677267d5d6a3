/* elm.c - erasure of language memory: the model learns what the reference would say, were it a novice and no expert.
 *
 *   q_t = softmax((z_ref + eta_t (z_novice - z_expert)) / temperature),  the reference bare and behind two texts
 *   L = gamma (1/N_f) sum_t KL(top of q_t || p_t) + alpha L_r + fluency (1/N_a) sum_a -log p(y_t)
 *   eta_t rises along a document from eta_start to eta;  a: coherent texts behind the forget prompts
 *
 * Gandikota et al. 2024, "Erasing Conceptual Knowledge from Language Models", arXiv:2410.02760, eq. 6 and section 4.3;
 * the ramp, eta 1000, the temperature, the cut to the 50 most likely tokens, and on retain the reference's most likely
 * tokens as labels (--elm.retain hard; kl learns its distribution) are those of their program
 * (rohitgandikota/erasing-llm, trainscripts/erase.py), all three terms with the weight 1. Its texts for the third were
 * generated beforehand, under the novice's steering and behind a sentence that changes the subject: give such texts by
 * --alt FILE (--alt-own), or refusals stand in. Their run: 3000 samples in steps of 4 at lr 5e-5, LoRA of rank 256 on
 * blocks 4-8 of 32; here these blocks' weights move, unless --lora or --train say otherwise. Name the concept in the
 * two texts. Traps: the NLL of retain answers in the log is, with hard, of the reference's tokens. A small model that
 * heeds no instruction gives two texts of which the difference is noise, and eta a thousand times of it: tofu-656k,
 * forget / retain 0.49 / 0.52 before, leaves 0.03 / 0.18 at eta 1000, alpha 1, kl, the whole of q and no third term;
 * its defaults, eta 10 and alpha 5, 0.25 / 0.43. */
#include "method/method.h"
#include <string.h>

static const ul_param params[] = {
    {"expert", UL_TEXT, 0, 0, 0, NULL, "text in front of which the reference knows the subject",
     "Here is a text written by an expert in the field, with detailed technical information and all the knowledge:\n"},
    {"novice", UL_TEXT, 0, 0, 0, NULL, "text in front of which it does not",
     "The text is written by a novice, with no knowledge about the field and steering the conversation to random fun "
     "topics:\n"},
    {"eta", UL_REAL, 1000, 0, 1e6, NULL, "strength of the shift at a document's last token", NULL},
    {"eta_start", UL_REAL, 1, 0, 1e6, NULL, "and at its first", NULL},
    {"temperature", UL_REAL, 1.2, 0.01, 100, NULL, "of the target", NULL},
    {"top", UL_INT, 50, 0, UL_MOST_TOP, "tokens", "most likely ones that stay in the target; 0: all", NULL},
    {"fluency", UL_REAL, 1, 0, 1000, NULL, "weight of the likelihood of fluent texts behind the forget prompts", NULL},
    UL_PARAM_GAMMA(1),
    UL_PARAM_ALPHA(1),
    {"retain", UL_TEXT, 0, 0, 0, "hard|kl|nll",
     "retain term: hard = the reference's most likely tokens as labels, kl = stay near the reference, nll = likelihood "
     "of the answers",
     "hard"},
    {0}};
static const char *const small[] = {".eta", "10", ".alpha", "5", ".top", "0", ".retain", "kl", ".fluency", "0", NULL};

static unsigned needs_of(const ul_args *args, unsigned needs)
{
    const unsigned top = UL_NEED_RETAIN_TOP, alt = UL_NEED_ALT; /* the paper's */
    if (strcmp(ul_txt(args, "retain"), "hard")) needs &= ~top;
    if (ul_num(args, "fluency") == 0) needs &= ~alt;
    return ul_retain_needs(args, needs);
}

static int readings(const ul_args *args, ul_reading out[UL_READINGS])
{
    const double T = ul_num(args, "temperature"), from = ul_num(args, "eta_start") / T, to = ul_num(args, "eta") / T;
    out[0] = (ul_reading){NULL, 1 / T, 1 / T};
    out[1] = (ul_reading){ul_txt(args, "novice"), from, to};
    out[2] = (ul_reading){ul_txt(args, "expert"), -from, -to};
    return 3;
}

static double loss(const ul_args *args, ul_side *forget, ul_side *alt, ul_side *retain)
{
    double fluent = 0;
    for (int32_t t = 0; t < alt->n; t++) fluent += ul_ascend(alt, t, -ul_num(args, "fluency") / alt->n_tok);
    return ul_forget_kl(args, forget) + ul_retain_term(args, retain) + fluent;
}

const ul_method ul_method_elm = {
    .title = "Erasure of language memory",
    .paper = "arXiv:2410.02760",
    .note = "Distils the reference steered from expert to novice. Needs a model that heeds the two texts; name the "
            "subject in them.",
    .intent = UL_REMOVAL,
    .level = UL_LEVEL_LOGITS,
    .params = params,
    .needs = UL_NEED_FORGET | UL_NEED_RETAIN | UL_NEED_FORGET_KL | UL_NEED_RETAIN_TOP | UL_NEED_ALT,
    .needs_of = needs_of,
    .readings = readings,
    .top = ul_target_top,
    .recipe = UL_VALUES("lr", "5e-5", "steps", "750", "batch", "4", "train", "layers 1/8-1/4"),
    .small = small,
    .adapter_rate = true,
    .loss = loss,
};
