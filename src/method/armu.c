/* armu.c - rmu whose control vector is as long as the hidden states are: c = beta * mean |h_l^ref(x_f)|.
 *
 *   L = gamma mean_f |h_l(x) - c u|^2 / C + alpha mean_r |h_l(x) - h_l^ref(x)|^2 / C
 *
 * c is measured once, over the scored tokens of the forget documents of the run's first step, before a weight moves.
 *
 * Huu-Tien et al. 2024, "On Effects of Steering Latent Representation for LLM Unlearning", arXiv:2408.06223 (beta =
 * 5, alpha = 1200, 500 steps of 4, the rate as rmu's; small models have five epochs of the usual run). Makes later
 * layers usable: |h_l| grows with l, and rmu's fixed c falls behind it. Traps: those of rmu; c is of the first batch
 * alone, so another seed is another c. */
#include "method/method.h"

extern const ul_method ul_method_rmu;

static const ul_param params[] = {
    UL_PARAM_STEERED_LAYER("steered"),
    {"beta", UL_REAL, 5, -1, 1e6, NULL,
     "length of the control vector, in mean lengths of the forget documents' states; -1 (small models): 2 if they have "
     "fewer than 8 blocks, else 5",
     NULL},
    UL_PARAM_GAMMA(1),
    UL_PARAM_STATE_ALPHA,
    {0}};

static const char *const recipe[] = {"lr",       "5e-5",     "steps",  "500", "batch", "4",
                                     "schedule", "constant", "warmup", "0",   NULL};
/* With ten epochs tofu-656k keeps 0.71 of its retain probability. */
static const char *const small[] = {"epochs", "5", ".layer", "-2", ".beta", "-1", ".alpha", "-1", NULL};

static ul_state state(const ul_args *args, ul_side_id side, int n_layer)
{
    const int l = ul_steered_layer(args, n_layer);
    if (side == UL_ALT) return (ul_state){0};
    return (ul_state){.first = l,
                      .last = l,
                      .distance = UL_DISTANCE_SQUARE,
                      .target = side == UL_FORGET ? UL_TARGET_CONTROL : UL_TARGET_REFERENCE,
                      .steer = side == UL_FORGET ? ul_by_depth(args, "beta", n_layer, 2, 5) : 0,
                      .by_norm = true};
}

static double loss(const ul_args *args, ul_side *forget, ul_side *alt, ul_side *retain)
{
    return ul_method_rmu.loss(args, forget, alt, retain); /* only the control vector's length differs */
}

const ul_method ul_method_armu = {
    .title = "Adaptive representation misdirection",
    .paper = "arXiv:2408.06223",
    .note = "rmu with a control vector in the scale of the model's own hidden states: no length to tune, any layer.",
    .intent = UL_SUPPRESSION,
    .level = UL_LEVEL_HIDDEN,
    .params = params,
    .needs = UL_NEED_FORGET | UL_NEED_RETAIN | UL_NEED_STATE | UL_NEED_RETAIN_STATE,
    .state = state,
    .trains_down = 3,
    .loss = loss,
    .recipe = recipe,
    .small = small,
};
