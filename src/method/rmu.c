/* rmu.c - representation misdirection: hidden states of forget text are steered to a random direction, those of retain
 * text held where the reference has them.
 *
 *   L = gamma mean_f |h_l(x) - c u|^2 / C + alpha mean_r |h_l(x) - h_l^ref(x)|^2 / C
 *   u = r / |r|, r uniform in [0, 1)^C
 *
 * means over documents of the means over their scored tokens, at the output of block l; retain nll or kl
 * (retain_loss_type of open-unlearning) puts the head's loss of the retain text in place of the second term. Only the
 * last matrices of the mlps of blocks l-2, l-1, l move unless --train says otherwise; blocks above l are not run.
 *
 * Li et al. 2024, "The WMDP Benchmark", arXiv:2403.03218 (Zephyr-7B: l = 7 of 32, c = 6.5, alpha = 1200: the
 * defaults; l in proportion). With 0.65 million parameters an alpha of 100 on those matrices already changes nothing;
 * small models of fewer than 8 blocks have defaults tested there: l the last block, c twice the mean |h_l|, alpha 10,
 * all weights (repro/tofu-rmu.md). The run is their program's: 80 steps of 4 at a constant 5e-5; small models have
 * five epochs of the usual one. That program's own defaults are c 20 and alpha 100 (--match wmdp), open-unlearning's
 * c 2, alpha 1 and all weights, its means a product of means (--match open-unlearning). Traps: c beside |h_l| decides
 * everything. Shallow: a few steps of relearning or one ablated direction bring most of it back. */
#include "method/method.h"
#include <string.h>

static const ul_param params[] = {
    UL_PARAM_STEERED_LAYER("steered"),
    {"steer", UL_REAL, 6.5, -1, 1e6, NULL,
     "length c of the control vector; -1 (small models): twice the mean |h_l| of forget text if they have fewer than 8 "
     "blocks, else 6.5",
     NULL},
    UL_PARAM_GAMMA(1),
    UL_PARAM_STATE_ALPHA,
    {"retain", UL_TEXT, 0, 0, 0, "state|nll|kl",
     "retain term: state = the reference's hidden states; nll, kl = as in graddiff: --rmu.alpha 1 (which -1 is too)",
     "state"},
    {0}};

static const char *const recipe[] = {"lr",       "5e-5",     "steps",  "80", "batch", "4",
                                     "schedule", "constant", "warmup", "0",  NULL};
/* With ten epochs tofu-656k keeps 0.71 of its retain probability. */
static const char *const small[] = {"epochs", "5", ".layer", "-2", ".steer", "-1", ".alpha", "-1", NULL};
static const ul_match matches[] = {
    {"wmdp", "c 20, alpha 100", UL_VALUES(".steer", "20", ".alpha", "100"), false},
    {"open-unlearning", "c 2, alpha 1, all weights move",
     UL_VALUES(".steer", "2", ".alpha", "1", "train", "all"), true},
    {0}};

static bool by_state(const ul_args *args)
{
    const char *retain = ul_txt(args, "retain"); /* armu has none */
    return !retain || !strcmp(retain, "state");
}

static unsigned needs_of(const ul_args *args, unsigned needs)
{
    const unsigned states = UL_NEED_RETAIN_STATE;
    return by_state(args) ? needs : ul_retain_needs(args, (needs & ~states) | UL_NEED_STATE_AND_HEAD);
}

static ul_state state(const ul_args *args, ul_side_id side, int n_layer)
{
    const int l = ul_steered_layer(args, n_layer);
    const bool own = ul_num(args, "steer") < 0 && n_layer < UL_FEW_BLOCKS;
    if (side == UL_ALT || (side == UL_RETAIN && !by_state(args))) return (ul_state){0};
    return (ul_state){.first = l,
                      .last = l,
                      .distance = UL_DISTANCE_SQUARE,
                      .target = side == UL_FORGET ? UL_TARGET_CONTROL : UL_TARGET_REFERENCE,
                      .steer = side == UL_FORGET ? ul_by_depth(args, "steer", n_layer, 2, 6.5) : 0,
                      .by_norm = own};
}

static double loss(const ul_args *args, ul_side *forget, ul_side *alt, ul_side *retain)
{
    const double alpha = ul_num(args, "alpha");
    const double steered = ul_state_term(forget, ul_num(args, "gamma"));
    (void)alt;
    if (by_state(args)) return steered + ul_state_term(retain, ul_state_alpha(args, retain));
    return steered + (alpha < 0 ? 1 : alpha) * ul_retain_loss(args, retain, alpha < 0 ? 1 : alpha);
}

const ul_method ul_method_rmu = {
    .title = "Representation misdirection for unlearning",
    .paper = "arXiv:2403.03218",
    .note = "Scrambles hidden states of forget text at one layer; cheap, and known to be shallow: test it with "
            "relearning.",
    .intent = UL_SUPPRESSION,
    .level = UL_LEVEL_HIDDEN,
    .params = params,
    .needs = UL_NEED_FORGET | UL_NEED_RETAIN | UL_NEED_STATE | UL_NEED_RETAIN_STATE,
    .needs_of = needs_of,
    .state = state,
    .trains_down = 3,
    .loss = loss,
    .recipe = recipe,
    .small = small,
    .matches = matches,
};
