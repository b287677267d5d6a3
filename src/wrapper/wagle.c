/* wagle.c - weight attribution: only weights that matter for forgetting and not for retaining move.
 *
 *   score = |(theta - g_r / mu) g_f|, entry by entry, gradients summed over samples before the run
 *   mask  = score among the largest `keep` of all
 *
 * Jia et al. 2024, "WAGLE", arXiv:2410.17509 (mu 1e-6; keep 0.8 to 0.95 on TOFU, 0.4 to 0.6 on WMDP). mu stands for the
 * curvature of the retain loss. g_f and g_r are the parts of the method at hand. Trap: the authors' code keeps a
 * reference to a gradient that goes on changing, so that both g are the sum of the two (--match wagle). */
#include "wrapper/wrapper.h"

static const ul_param params[] = {{"keep", UL_REAL, 0.8, 1e-6, 1, NULL, "share of the weights that move", NULL},
                                  {"mu", UL_REAL, 1e-6, 1e-12, 1e6, NULL, "curvature of the retain loss", NULL},
                                  {"alias", UL_BOOL, 0, 0, 1, NULL, "both gradients are the sum of the two", NULL},
                                  UL_PARAM_BATCHES,
                                  {0}};

static ul_status begin(ul_wrap *w)
{
    w->off = ul_num(w->args, "keep") == 1;
    return UL_OK;
}

static ul_status calibrate(ul_wrap *w)
{
    const int64_t batches = (int64_t)ul_num(w->args, "batches");
    const double mu = ul_num(w->args, "mu");
    UL_TRY(ul_mask_gradient(w, batches, false));
    ul_wrap_copy(w, w->g, w->forget);
    UL_TRY(ul_mask_gradient(w, batches, true));
    if (ul_num(w->args, "alias") != 0) {
        ul_arrays_axpy(w, 1, w->forget, w->g);
        ul_wrap_copy(w, w->g, w->forget);
    }
    for (int i = 0; i < w->n_train; i++)
        for (int64_t j = 0; j < w->train[i].n; j++)
            ul_array_put(w, w->forget[i], j,
                         (ul_array_at(w, w->p[i], j) - ul_array_at(w, w->g[i], j) / mu) *
                             ul_array_at(w, w->forget[i], j));
    return ul_mask_largest(w, w->forget, ul_num(w->args, "keep"));
}

static const ul_match matches[] = {
    {"wagle", "both gradients are the sum of the two", UL_VALUES(".alias", "true"), false}, {0}};

const ul_wrapper ul_wrapper_wagle = {
    .title = "Weight attribution",
    .paper = "arXiv:2410.17509",
    .note = "Moves only the weights whose attribution to forgetting, beside retaining, is large.",
    .params = params,
    .matches = matches,
    .flags = UL_WRAP_MASK | UL_WRAP_RETAIN | UL_WRAP_APART,
    .begin = begin,
    .calibrate = calibrate,
};
