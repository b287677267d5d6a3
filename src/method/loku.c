/* loku.c - the inverted hinge loss: the true token's probability goes down, the runner-up's goes up, and no further.
 *
 *   L = gamma (1/N_f) sum_t (1 + p(y_t) - max_{v != y_t} p(v)) + alpha L_r
 *   dL/dz_t = (gamma/N_f) (p_y (e_y - p) - p_v (e_v - p)),  v the runner-up: bounded, and small once p_y is
 *
 * Cha et al. 2025, "Towards Robust and Parameter-Efficient Knowledge Unlearning for LLMs", arXiv:2408.06621, eq. 4
 * (the inverted hinge loss, IHL) and section 3.3 (FILA: where low-rank adapters start, procedure/_fila.c;
 * --loku.fila false is ihl alone). The paper's clamp max(0, .) never binds: the sum lies in [0, 2]. FILA places
 * adapters, so without --lora there is nothing for it to do and all weights learn the loss. Five epochs; the paper's
 * rate belongs to its adapters and differs from set to set, the usual one here; small models have ten epochs. Trap:
 * where the model already prefers another token the loss is below 1 and goes on sharpening that token. */
#include "method/method.h"

static const ul_param params[] = {
    UL_PARAM_GAMMA(1),
    UL_PARAM_ALPHA(1),
    UL_PARAM_RETAIN,
    {"fila", UL_BOOL, 1, 0, 1, NULL,
     "with --lora, adapters start from the Fisher information of both sets; without it: no effect", NULL},
    {0}};

static unsigned needs_of(const ul_args *args, unsigned needs)
{
    const unsigned start = UL_NEED_INFORMED_START;
    return ul_retain_needs(args, ul_num(args, "fila") != 0 ? needs : needs & ~start);
}

static double loss(const ul_args *args, ul_side *forget, ul_side *alt, ul_side *retain)
{
    const double w = forget->n ? ul_num(args, "gamma") / forget->n_tok : 0;
    double sum = 0;
    (void)alt;
    for (int32_t t = 0; t < forget->n; t++) {
        const double p = ul_exp(forget->logp[t]), rival = ul_exp(forget->rival[t]);
        forget->dlogp[t] += w * p;
        forget->drival[t] -= w * rival;
        sum += w * (1 + p - rival);
    }
    return sum + ul_retain_term(args, retain);
}

const ul_method ul_method_loku = {
    .title = "Inverted hinge loss with FILA (LoKU)",
    .paper = "arXiv:2408.06621",
    .note = "Moves probability from each true token to its runner-up; bounded, so that it neither explodes nor empties "
            "the model.",
    .intent = UL_REMOVAL,
    .level = UL_LEVEL_LOGITS,
    .params = params,
    .needs = UL_NEED_FORGET | UL_NEED_RETAIN | UL_NEED_FORGET_RIVAL | UL_NEED_INFORMED_START,
    .needs_of = needs_of,
    .loss = loss,
    .recipe = UL_VALUES("epochs", "5"),
    .small = UL_RUN_DEFAULTS,
};
