/* sago.c - sign-aligned gradient optimisation: element by element, the retain gradient wins every conflict.
 *
 *   g = g_r             where g_f and g_r have opposite signs
 *     = g_f             elsewhere, zeros included       (prefer_retain: g_f + g_r)
 *
 * Xiao et al. 2026, arXiv:2604.14808; code: sustech-nlp/SAGO, grad_surgery.py. Trap: outside conflicts the retain
 * gradient is dropped, not added; `prefer_retain` is the code's sago_prefer_retain. */
#include "wrapper/wrapper.h"

static const ul_param params[] = {
    {"prefer_retain", UL_BOOL, 0, 0, 1, NULL, "outside conflicts use the sum, not the forget gradient alone", NULL},
    {0}};

static ul_status combine(ul_wrap *w)
{
    const bool sum = ul_num(w->args, "prefer_retain") != 0;
    for (int i = 0; i < w->n_train; i++) w->be->k->agree(w->be, w->train[i].n, sum, w->forget[i], w->g[i]);
    return UL_OK;
}

const ul_wrapper ul_wrapper_sago = {
    .title = "Sign-aligned gradient optimisation",
    .paper = "arXiv:2604.14808",
    .note = "Takes the retain gradient where the signs conflict and the forget gradient elsewhere: best utility in its "
            "paper.",
    .params = params,
    .combine = combine,
};
