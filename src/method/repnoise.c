/* repnoise.c - representation noising: hidden states of forget text are made to look like noise at every block, its
 * answers unlikely, and the retain text is kept.
 *
 *   L = alpha L_r + beta mean_f MMD^2(h(x), N(0, 1)) - gamma mean_f log(1 + CE(x))
 *   CE(x) = -(1/|x|) sum_t (1/L) sum_l log p_l(y_t),   d/dlog p_l(y_t) = gamma / (n_seq |x| L (1 + CE))
 *
 * means over documents; p_l: of block l through the final norm and the head (the logit lens), p_L the model's own. The
 * discrepancy is a mean over blocks, between a document's states and as many rows of noise.
 *
 * Rosati et al. 2024, "Representation Noising", arXiv:2405.14577 (beta 0.001, weight of the ascent 1; the usual rate
 * and epochs, theirs were not to be had), and its code. Our readings: the state is a block's output, where the code
 * takes the mlp's; a sample of the discrepancy is a token (at most 32 of a document), where the code takes a whole
 * padded sequence of the batch; the logarithm is of one document's CE, where the code takes it of the batch's.
 * Traps: the ascent is unbounded, though slow; beta so small leaves most of the work to it. tofu-656k, forget / retain
 * probability 0.492 / 0.520 before: ten epochs at the usual 2e-3 leave 0.198 / 0.486, at 1e-3 0.344 / 0.504, at 3e-4
 * 0.466 / 0.520 (repro/tofu-656k-rates.md). */
#include "method/method.h"

static const ul_param params[] = {
    {"beta", UL_REAL, 0.001, 0, 1e6, NULL, "weight of the discrepancy between hidden states and noise", NULL},
    UL_PARAM_GAMMA(1),
    UL_PARAM_ALPHA(1),
    UL_PARAM_RETAIN,
    {0}};

enum { NEEDS = UL_NEED_FORGET | UL_NEED_RETAIN | UL_NEED_STATE | UL_NEED_STATE_AND_HEAD | UL_NEED_FORGET_LENS };

static ul_state state(const ul_args *args, ul_side_id side, int n_layer)
{
    (void)args;
    const ul_distance kind = side == UL_FORGET ? UL_DISTANCE_MMD : UL_DISTANCE_NONE;
    return (ul_state){.last = n_layer - 1, .step = 1, .distance = kind};
}

static double loss(const ul_args *args, ul_side *forget, ul_side *alt, ul_side *retain)
{
    const double gamma = ul_num(args, "gamma");
    double sum = ul_state_term(forget, ul_num(args, "beta"));
    (void)alt;
    if (forget->n) {
        const double own = forget->n_layer > 1 ? 1.0 / forget->n_layer : 1; /* the last block's part */
        const double sum_own = ul_side_sum(forget->logp, forget->n), sum_lens = ul_side_sum(forget->lens, forget->n);
        const double ce = -(own * sum_own + (1 - own) * sum_lens) / forget->n;
        const double slope = gamma / (forget->n_seq * forget->n * (1 + ce));
        for (int32_t t = 0; t < forget->n; t++) forget->dlogp[t] += own * slope, forget->dlens[t] += (1 - own) * slope;
        sum -= gamma * ul_log1p(ce) / forget->n_seq;
    }
    return sum + ul_retain_term(args, retain);
}

const ul_method ul_method_repnoise = {
    .title = "Representation noising",
    .paper = "arXiv:2405.14577",
    .note = "Hidden states of forget text towards noise at all blocks, against relearning; its effect depends on "
            "depth.",
    .intent = UL_REMOVAL,
    .level = UL_LEVEL_HIDDEN,
    .params = params,
    .needs = NEEDS,
    .needs_of = ul_retain_needs,
    .state = state,
    .loss = loss,
};
