/* pcgrad.c - projecting conflicting gradients: where forgetting would raise the retain loss, that component goes.
 *
 *   if <g_f, g_r> < 0:   g_f <- g_f - (<g_f, g_r> / |g_r|^2) g_r          tensor by tensor, or over all at once
 *   g = g_f + g_r        hence <g, g_r> >= |g_r|^2
 *
 * Yu et al. 2020, arXiv:2001.06782; for unlearning one-sided, as in Xiao et al. 2026, arXiv:2604.14808
 * (sustech-nlp/SAGO, pcgrad and pcgrad_global). g_f and g_r carry the method's gamma and alpha; the projection does
 * not depend on them. */
#include "wrapper/wrapper.h"
#include <string.h>

static const ul_param params[] = {{"scope", UL_TEXT, 0, 0, 0, "tensor|all",
                                   "what a conflict is judged and projected over: each tensor, or all at once",
                                   "tensor"},
                                  {0}};

static ul_status combine(ul_wrap *w)
{
    const ul_kernels *k = w->be->k;
    if (!strcmp(ul_txt(w->args, "scope"), "all")) {
        const double dot = ul_arrays_dot(w, w->forget, w->g);
        if (dot < 0) ul_arrays_axpy(w, -dot / ul_arrays_dot(w, w->g, w->g), w->g, w->forget);
    } else {
        for (int i = 0; i < w->n_train; i++) {
            const int64_t n = w->train[i].n;
            const double dot = k->dot(w->be, n, w->forget[i], w->g[i]);
            if (dot < 0) k->axpy(w->be, n, -dot / k->sum_squares(w->be, n, w->g[i]), w->g[i], w->forget[i]);
        }
    }
    ul_arrays_axpy(w, 1, w->forget, w->g);
    return UL_OK;
}

const ul_wrapper ul_wrapper_pcgrad = {
    .title = "Projecting conflicting gradients",
    .paper = "arXiv:2001.06782",
    .note = "Projects the forget gradient off the retain gradient of the step where the two conflict. Noisy with small "
            "batches.",
    .params = params,
    .combine = combine,
};
