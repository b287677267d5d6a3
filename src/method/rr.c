/* rr.c - circuit breakers by representation rerouting: hidden states of forget text are made orthogonal to what they
 * were, those of retain text stay.
 *
 *   L = alpha a mean_f max(0, cos(h(x), h^ref(x) + e |h^ref(x)| u)) + alpha (1 - a) mean_r |h(x) - h^ref(x)|
 *   a = tau (rising) or 1 - tau (falling),   tau = ramp * s / S
 *
 * in step s of S; means over documents of the means over their scored tokens and over blocks: of forget documents two,
 * first and last, of retain documents all from 0 to last. The norm is not squared. No block above is run.
 *
 * Zou et al. 2024, "Improving Alignment and Robustness with Circuit Breakers", arXiv:2406.04313, and its code
 * (states behind 10 and 20 blocks of 32, alpha 10, tau = step / 300 in 150 steps at lr 1e-4, LoRA of rank 16 on all
 * linear layers: --lora all-linear --lora-r 16). The paper prints a = tau, its program has 1 - tau (--match
 * circuit-breakers), the default of small models. Traps: its code averages over padding too (here is none); the
 * gradient of the norm jumps at h = h^ref, where every run begins: taken as 0 there. There the cosine is at its maximum
 * and has no gradient either: the code gets off it by LoRA's dropout alone, here e does, along one random unit vector u
 * (63 steps without it left tofu-656k as it was). The retain term's gradient has length 1, the cosine's 1 / |h|: where
 * states are 200 to 500 long, as in tofu-656k, a ramp to 0.5 holds everything where it was (forget / retain probability
 * 0.492 / 0.520 after ten epochs, as before); small models take 0.005: 0.163 / 0.493. Their adapters stay where they
 * began even so (repro/tofu-26m.md). */
#include "method/method.h"
#include <string.h>

static const ul_param params[] = {
    {"first", UL_INT, -1, -2, 1000, "block",
     "lower block whose forget states are rerouted, from 0; -1: the last of 5/16 of the blocks (9 of 32); -2 (small "
     "models): if they have fewer than 8, the next one, else as -1",
     NULL},
    {"last", UL_INT, -1, -2, 1000, "block",
     "upper block whose forget states are rerouted; -1 (19 of 32) and -2: the same of 5/8", NULL},
    {"alpha", UL_REAL, 10, 0, 1e6, NULL, "weight of both terms", NULL},
    {"off", UL_REAL, 0.05, 0, 1, NULL, "e: how far beside the reference's state the run begins; 0: nothing ever moves",
     NULL},
    {"ramp", UL_REAL, 0.5, 0, 1, NULL, "tau at the end of the run; it grows from 0; in small models 0.005", NULL},
    {"share", UL_TEXT, 0, 0, 0, "rising|falling",
     "of the forget term: tau, as the paper prints it, or 1 - tau, as its program and "
     "small models have it; the retain term has the rest",
     "rising"},
    {0}};

/* Their numbers count the embedding: state 10 is block 9's. Fewer than 4 blocks have none before the first's. */
static int block(const ul_args *args, const char *key, int n_layer, int sixteenths)
{
    const int l = ul_state_layer(args, key, n_layer, sixteenths), few = ul_num(args, key) == -1 ? 4 : UL_FEW_BLOCKS;
    return ul_num(args, key) < 0 && n_layer >= few ? l - 1 : l;
}

static ul_state state(const ul_args *args, ul_side_id side, int n_layer)
{
    const int a = block(args, "first", n_layer, 5), b = block(args, "last", n_layer, 10);
    if (side == UL_ALT) return (ul_state){0};
    const int low = a < b ? a : b, high = a < b ? b : a;
    if (side == UL_RETAIN)
        return (ul_state){.last = high, .step = 1, .distance = UL_DISTANCE_NORM, .target = UL_TARGET_REFERENCE};
    return (ul_state){.first = low, .last = high, .step = high - low, .distance = UL_DISTANCE_ALIGNED,
                      .target = UL_TARGET_REFERENCE, .steer = ul_num(args, "off")};
}

static double loss(const ul_args *args, ul_side *forget, ul_side *alt, ul_side *retain)
{
    const double alpha = ul_num(args, "alpha"), ramp = ul_num(args, "ramp");
    (void)alt;
    if (!strcmp(ul_txt(args, "share"), "rising"))
        return ul_state_term(forget, alpha * ramp * forget->progress) +
               ul_state_term(retain, alpha * (1 - ramp * retain->progress));
    return ul_state_term(forget, alpha * (1 - ramp * forget->progress)) +
           ul_state_term(retain, alpha * ramp * retain->progress);
}

static const char *const small[] = {".first", "-2", ".last", "-2", ".ramp", "0.005", ".share", "falling", NULL};
static const ul_match matches[] = {
    {"circuit-breakers", "the forget term's share falls", UL_VALUES(".share", "falling"), false}, {0}};

const ul_method ul_method_rr = {
    .title = "Circuit breakers (representation rerouting)",
    .paper = "arXiv:2406.04313",
    .note = "Turns hidden states of forget text away from what they were; made against harmful output, often with "
            "--lora.",
    .intent = UL_SUPPRESSION,
    .level = UL_LEVEL_HIDDEN,
    .params = params,
    .needs = UL_NEED_FORGET | UL_NEED_RETAIN | UL_NEED_STATE | UL_NEED_FORGET_STATE | UL_NEED_RETAIN_STATE,
    .state = state,
    .loss = loss,
    .recipe = UL_VALUES("lr", "1e-4", "steps", "150"),
    .small = small,
    .adapter_rate = true,
    .matches = matches,
};
