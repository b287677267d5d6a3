/* cosrmu.c - rmu by direction: the angle of forget states to a random direction shrinks, that of retain states to the
 * reference's stays.
 *
 *   L = gamma mean_f (1 - cos(h_l(x), u)) + alpha mean_r (1 - cos(h_l(x), h_l^ref(x)))
 *
 * Atil et al. 2026, arXiv:2605.26454. Only its abstract was read: a cosine-based, meta-learned variant of rmu. The
 * two cosines are what is taken from it; the formula, one layer, alpha = 1 and rmu's run are our reading, and there
 * is no meta-learning. Traps: lengths are free (the next norm removes them anyway); a state opposite to u gets no
 * gradient, but u lies in the positive orthant and no state is. Shallow, like rmu. In small models alpha is 10: on
 * tofu-656k (forget / retain probability 0.492 / 0.520 before) ten epochs leave 0.085 / 0.474, five 0.431 / 0.497;
 * with alpha 1 five leave 0.002 / 0.061, at a fifth of the rate 0.337 / 0.384. */
#include "method/method.h"

static const ul_param params[] = {
    UL_PARAM_STEERED_LAYER("turned"),
    UL_PARAM_GAMMA(1),
    {"alpha", UL_REAL, 1, 0, 1e6, NULL, "weight of the retain term; in small models 10", NULL},
    {0}};

static ul_state state(const ul_args *args, ul_side_id side, int n_layer)
{
    const int l = ul_steered_layer(args, n_layer);
    if (side == UL_ALT) return (ul_state){0};
    return (ul_state){.first = l,
                      .last = l,
                      .distance = UL_DISTANCE_COSINE,
                      .target = side == UL_FORGET ? UL_TARGET_CONTROL : UL_TARGET_REFERENCE,
                      .steer = side == UL_FORGET};
}

static double loss(const ul_args *args, ul_side *forget, ul_side *alt, ul_side *retain)
{
    (void)alt;
    return ul_state_term(forget, ul_num(args, "gamma")) + ul_state_term(retain, ul_num(args, "alpha"));
}

static const char *const small[] = {".layer", "-2", ".alpha", "10", NULL};

const ul_method ul_method_cosrmu = {
    .title = "Representation misdirection by direction",
    .paper = "arXiv:2605.26454",
    .note = "rmu with cosines in place of distances (our reading of the abstract): no scale to choose.",
    .intent = UL_SUPPRESSION,
    .level = UL_LEVEL_HIDDEN,
    .params = params,
    .needs = UL_NEED_FORGET | UL_NEED_RETAIN | UL_NEED_STATE | UL_NEED_RETAIN_STATE,
    .state = state,
    .trains_down = 3,
    .loss = loss,
    .recipe = UL_VALUES("lr", "5e-5", "steps", "80", "batch", "4", "schedule", "constant", "warmup", "0"),
    .small = small,
};
