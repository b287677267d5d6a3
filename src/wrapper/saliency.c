/* saliency.c - only the weights that the forget loss depends on most move.
 *
 *   mask = |g_f| among the largest `keep` of all entries, g_f the method's forget gradient before the run
 *
 * Fan et al. 2024, "SalUn", arXiv:2310.12508 (the median: keep 0.5). Weights that do not move keep every bit: neither
 * weight decay nor momentum touches them. Whole layers or matrices are chosen by --train, which also saves their
 * gradients. What has no gradient does not move: of a fresh adapter, whose B is 0, only B does. */
#include "wrapper/wrapper.h"

static const ul_param params[] = {
    {"keep", UL_REAL, 0.5, 1e-6, 1, NULL, "share of the weights that move", NULL}, UL_PARAM_BATCHES, {0}};

static ul_status begin(ul_wrap *w)
{
    w->off = ul_num(w->args, "keep") == 1;
    return UL_OK;
}

static ul_status calibrate(ul_wrap *w)
{
    UL_TRY(ul_mask_gradient(w, (int64_t)ul_num(w->args, "batches"), false));
    return ul_mask_largest(w, w->g, ul_num(w->args, "keep"));
}

const ul_wrapper ul_wrapper_saliency = {
    .title = "Saliency mask",
    .paper = "arXiv:2310.12508",
    .note = "Moves only the weights with the largest forget gradients. Localises the change; says nothing of where "
            "facts lie.",
    .params = params,
    .flags = UL_WRAP_MASK,
    .begin = begin,
    .calibrate = calibrate,
};
