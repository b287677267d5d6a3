/* lunar.c - redirection: hidden states of forget answers are moved to where refusals live, by one matrix.
 *
 *   r = mean of h_l^ref over the scored tokens of the alternate answers - the same mean over the forget answers
 *   L = gamma mean_f |h_l(x) - (h_l^ref(x) + c r)|^2 / C + alpha mean_r |h_l(x) - h_l^ref(x)|^2 / C
 *
 * means over documents of the means over their scored tokens, at the output of block l; only the last matrix of its mlp
 * moves (in small models all weights), so this is the regression of that matrix's output on its own old output, plus c
 * r on forget text.
 *
 * Shen et al. 2025, "LUNAR: LLM Unlearning via Neural Activation Redirection", arXiv:2502.07218, and its code (l =
 * 22 of 32, c = 2, AdamW at 0.01 in steps of 64, 20 epochs, the rate less by a tenth after each, to 0.12 of it: here
 * it falls there in a straight line). Traps: there r comes from prompts that the model refuses by itself, at the
 * last token of the prompt; a model that refuses nothing has no such region, so here the alternate answers (--alt,
 * or the built-in refusals) name it: our reading. The code adds r at every position although its comment says the
 * last. One matrix cannot tell two sets of the same kind apart: on tofu-656k (forget / retain probability 0.492 /
 * 0.520 before) twenty epochs at the paper's 0.01 leave 0.428 / 0.462. In small models all weights move: 0.398 /
 * 0.461 after 5 epochs at 2e-3, 0.304 / 0.451 after 15, 0.264 / 0.454 after the paper's 20. */
#include "method/method.h"

static const ul_param params[] = {
    UL_PARAM_LAYER("block whose mlp is refitted, from 0; -1: eleven sixteenths of the way up"),
    {"steer", UL_REAL, 2, 0, 1e6, NULL, "c: how far along the direction to the refusals", NULL},
    UL_PARAM_GAMMA(1),
    {"alpha", UL_REAL, 1, 0, 1e6, NULL, "weight of the retain term", NULL},
    {0}};

static ul_state state(const ul_args *args, ul_side_id side, int n_layer)
{
    const int l = ul_state_layer(args, "layer", n_layer, 11);
    if (side == UL_ALT) return (ul_state){0};
    return (ul_state){.first = l,
                      .last = l,
                      .distance = UL_DISTANCE_SQUARE,
                      .target = side == UL_FORGET ? UL_TARGET_MOVED : UL_TARGET_REFERENCE,
                      .steer = side == UL_FORGET ? ul_num(args, "steer") : 0};
}

static double loss(const ul_args *args, ul_side *forget, ul_side *alt, ul_side *retain)
{
    (void)alt;
    return ul_state_term(forget, ul_num(args, "gamma")) + ul_state_term(retain, ul_num(args, "alpha"));
}

static const char *const recipe[] = {"lr",     "0.01", "epochs",   "20",   "batch", "64",
                                     "warmup", "0",    "lr-floor", "0.12", NULL};
static const char *const small[] = {"train", "all", "epochs", "20", NULL};

const ul_method ul_method_lunar = {
    .title = "Neural activation redirection",
    .paper = "arXiv:2502.07218",
    .note = "Moves hidden states of forget text towards those of refusals with one matrix; the knowledge stays below "
            "it.",
    .intent = UL_SUPPRESSION,
    .level = UL_LEVEL_HIDDEN,
    .params = params,
    .needs = UL_NEED_FORGET | UL_NEED_ALT | UL_NEED_RETAIN | UL_NEED_STATE | UL_NEED_FORGET_STATE | UL_NEED_ALT_STATE |
             UL_NEED_RETAIN_STATE,
    .state = state,
    .trains_down = 1,
    .loss = loss,
    .recipe = recipe,
    .small = small,
    .adapter_rate = true, /* 0.01 is large for any weights */
};
