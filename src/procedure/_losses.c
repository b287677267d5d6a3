/* _losses.c - losses that papers of procedures use and that are no methods of their own: what "loss" may name beside
 * them.
 *
 *   negentropy   L = gamma (1/N_f) sum_t sum_v p_t(v) log p_t(v) + alpha L_r
 *                dL/dz_t = (gamma/N_f) p_t (log p_t - sum_v p_t(v) log p_t(v))
 *
 *   mlp_confuse  L = gamma mean over blocks and scored tokens of max(<o, o0>, 0) / |o0|^2
 *                    + alpha mean over scored retain tokens of |h - h0| / |h0|
 *                o: what the block's mlp adds to the state, h: the state behind the last of the blocks; o0, h0: under
 *                the reference
 *
 * Negative entropy: Tamirisa et al. 2024 (TAR), arXiv:2408.00761, and its code (rishub-tamirisa/tamper-resistance,
 * modules/objectives.py, max_entropy), Sondej et al. 2025 (MUDMAN), arXiv:2506.12484 (filyp/MUDMAN, utils/loss_fns.py).
 * Bounded by -log V; it fades both where a row is flat and where it is sure. Trap: both programs take the mean over all
 * positions of a padded batch; here it is that of the scored tokens.
 *
 * mlp_confuse: Sondej and Yang 2025 (CIR), arXiv:2509.11816, as their program has it (filyp/unlearning, src/CIR.py and
 * utils/loss_fns.py: mlp_confuse, cb_retain): the mlps' outputs become orthogonal to what they were; bounded by 0.
 * Blocks 6 to 11 of 32 (Llama-3.1-8B), in other models the same shares; no block above is run. Their program divides by
 * the square of the batch's mean |o0| and by its mean |h0|, here each token's own stands, so that a step does not
 * depend on its company; their means are over all tokens of a text (of forget texts but the first). */
#include "method/method.h"
#include "procedure/procedure.h"
#include <string.h>

static const ul_param params[] = {UL_PARAM_GAMMA(1), UL_PARAM_ALPHA(1), UL_PARAM_RETAIN, {0}};
static const ul_param confuse_params[] = {UL_PARAM_GAMMA(1), UL_PARAM_ALPHA(1), {0}};
enum { NEEDS = UL_NEED_FORGET | UL_NEED_RETAIN };

static double negentropy(const ul_args *args, ul_side *forget, ul_side *alt, ul_side *retain)
{
    const double w = forget->n ? ul_num(args, "gamma") / forget->n_tok : 0;
    (void)alt;
    for (int32_t t = 0; t < forget->n; t++) forget->dmu[t] += w;
    return w * ul_side_sum(forget->mu, forget->n) + ul_retain_term(args, retain);
}

static ul_state confuse_state(const ul_args *args, ul_side_id side, int n_layer)
{
    const int first = n_layer * 6 / 32, end = n_layer * 12 / 32 - 1, last = end > first ? end : first;
    (void)args;
    if (side == UL_RETAIN)
        return (ul_state){.first = last, .last = last, .distance = UL_DISTANCE_SHARE, .target = UL_TARGET_REFERENCE};
    if (side != UL_FORGET) return (ul_state){0};
    return (ul_state){.first = first, .last = last, .step = 1, .distance = UL_DISTANCE_ALONG,
                      .target = UL_TARGET_REFERENCE, .mlp = true};
}

/* w times the mean of the side's distances over the scored tokens. */
static double mean_distance(ul_side *s, double weight)
{
    const double w = s->n ? weight / s->n_tok : 0;
    for (int32_t t = 0; t < s->n; t++) s->ddist[t] += w;
    return w * ul_side_sum(s->dist, s->n);
}

static double mlp_confuse(const ul_args *args, ul_side *forget, ul_side *alt, ul_side *retain)
{
    (void)alt;
    return mean_distance(forget, ul_num(args, "gamma")) + mean_distance(retain, ul_num(args, "alpha"));
}

static const struct {
    const char *id;
    ul_method method;
} own[] = {{"negentropy",
            {.title = "Negative entropy",
             .paper = "arXiv:2408.00761",
             .params = params,
             .needs = NEEDS | UL_NEED_FORGET_MU,
             .needs_of = ul_retain_needs,
             .loss = negentropy}},
           {"mlp_confuse",
            {.title = "Mlps turned away from what they put out",
             .paper = "arXiv:2509.11816",
             .params = confuse_params,
             .needs = NEEDS | UL_NEED_STATE | UL_NEED_FORGET_STATE | UL_NEED_RETAIN_STATE,
             .loss = mlp_confuse,
             .state = confuse_state}}};

const ul_method *ul_own_loss(const char *id)
{
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        if (!strcmp(own[i].id, id)) return &own[i].method;
    return NULL;
}
