/* ramp.c - coefficients that change over a run: the method's gamma and alpha are multiplied by straight lines.
 *
 *   x = min(1, s / (over * (steps - 1)));   gamma_s = gamma (gamma_from + (gamma_to - gamma_from) x);   alpha likewise
 *
 * E.g. circuit breakers' schedule (Zou et al. 2024, arXiv:2406.04313): gamma_from 1 gamma_to 0 alpha_from 0 alpha_to
 * 1; or a forget term that sets in slowly: gamma_from 0. With factors of 1 throughout nothing changes. */
#include "wrapper/wrapper.h"

static const ul_param params[] = {
    {"gamma_from", UL_REAL, 0, 0, 1000, NULL, "factor of the forget term's weight at the first step", NULL},
    {"gamma_to", UL_REAL, 1, 0, 1000, NULL, "and at the end of the ramp", NULL},
    {"alpha_from", UL_REAL, 1, 0, 1000, NULL, "factor of the retain term's weight at the first step", NULL},
    {"alpha_to", UL_REAL, 1, 0, 1000, NULL, "and at the end of the ramp", NULL},
    {"over", UL_REAL, 1, 0.001, 1, NULL, "share of the steps that the ramp takes", NULL},
    {0}};

typedef struct {
    double *value[2], base[2];
} coefficients;
static const char *const names[2] = {"gamma", "alpha"}, *const from[2] = {"gamma_from", "alpha_from"},
                         *const to[2] = {"gamma_to", "alpha_to"};

static ul_status begin(ul_wrap *w)
{
    coefficients *c = UL_NEW(w->arena, coefficients, 1);
    UL_NEED(w->state = c);
    w->off = true;
    for (int i = 0; i < 2; i++) {
        if (ul_num(w->args, from[i]) == 1 && ul_num(w->args, to[i]) == 1) continue;
        c->value[i] = ul_wrap_method_value(w, names[i]);
        if (!c->value[i] || (i == 1 && w->o->method->dual))
            return ul_fail(w->ctx, UL_E_USAGE,
                           "ramp: the method has no %s that stays as it is set: give --ramp.%s 1 --ramp.%s 1", names[i],
                           from[i], to[i]);
        c->base[i] = *c->value[i];
        if (c->base[i] < 0)
            return ul_fail(w->ctx, UL_E_USAGE,
                           "ramp: the method's %s is %g, chosen by the model's size, which cannot be scaled: give it a "
                           "number",
                           names[i], c->base[i]);
        w->off = false;
    }
    return UL_OK;
}

static ul_status before(ul_wrap *w)
{
    const coefficients *c = w->state;
    const double end = ul_num(w->args, "over") * (double)(w->steps - 1),
                 x = (double)w->step < end ? (double)w->step / end : 1;
    for (int i = 0; i < 2; i++) {
        const double a = ul_num(w->args, from[i]), b = ul_num(w->args, to[i]);
        if (c->value[i]) *c->value[i] = c->base[i] * (a + (b - a) * x);
    }
    return UL_OK;
}

const ul_wrapper ul_wrapper_ramp = {
    .title = "Coefficient schedule",
    .paper = "arXiv:2406.04313",
    .note = "Lets the weights of the forget and retain terms rise or fall over the run.",
    .params = params,
    .begin = begin,
    .before = before,
};
