/* ga.c - gradient ascent, also called KUL: climb the likelihood loss of the forget answers.
 *
 *   L = (1/N) sum_t log p(y_t),   dL/dlogp_t = 1/N,   N = labelled forget tokens of the step
 *
 * Jang et al. 2022, "Knowledge Unlearning for Mitigating Privacy Risks in Language Models", arXiv:2210.01504, eq. 1.
 * Trap: unbounded below; nothing holds the rest of the model, which is gone after a few epochs.
 * Small models take 0.075 of the usual rate: on tofu-656k (forget / retain probability 0.492 / 0.520 before) ten epochs
 * at 1e-4 leave 0.411 / 0.479, at 1.5e-4 0.310 / 0.401, at 2e-4 0.185 / 0.274: the two are never far apart. */
#include "method/method.h"

static const ul_param params[] = {{0}};

static double loss(const ul_args *args, ul_side *forget, ul_side *alt, ul_side *retain)
{
    (void)args, (void)alt, (void)retain;
    for (int32_t t = 0; t < forget->n; t++) forget->dlogp[t] += 1 / forget->n_tok;
    return forget->n ? ul_side_sum(forget->logp, forget->n) / forget->n_tok : 0;
}

const ul_method ul_method_ga = {
    .title = "Gradient ascent",
    .paper = "arXiv:2210.01504",
    .note = "Raises the loss on the forget answers and nothing else. Unbounded: destroys the model in a few epochs.",
    .intent = UL_REMOVAL,
    .level = UL_LEVEL_PARAMETERS,
    .params = params,
    .needs = UL_NEED_FORGET,
    .loss = loss,
    .lr_scale = 0.075,
};
