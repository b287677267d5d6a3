/* rs.c - randomised smoothing: the forget gradient is a mean over weights with noise.
 *
 *   g_f <- (1/K) sum_k gradient of the forget part at theta + sigma n_k,   n_k ~ N(0, 1) an entry;  the retain part
 * at theta
 *
 * Fan et al. 2025, arXiv:2502.05374 (K = 3; sigma^2 = 0.1^2 for 7B models). Trap: their code moves the optimizer
 * inside the training step. sigma is in units of a weight: 0.1 drowns small models (weights of tofu-656k have a root
 * mean square of about 0.1), hence a smaller default. Noise is a function of (seed, step, sample, entry). The losses
 * reported are the means over the noisy weights. */
#include "wrapper/wrapper.h"

static const ul_param params[] = {
    {"sigma", UL_REAL, 0.01, 0, 10, NULL, "standard deviation of the noise on a weight; 0: none", NULL},
    {"samples", UL_INT, 3, 1, 1000, NULL, "noisy copies a step", NULL},
    {0}};

static ul_status begin(ul_wrap *w)
{
    w->off = ul_num(w->args, "sigma") == 0;
    return w->off ? UL_OK : ul_wrap_arrays(w, NULL, (void ***)&w->state);
}

static void perturb(ul_wrap *w, uint64_t draw)
{
    uint64_t first = 0;
    for (int i = 0; i < w->n_train; i++) {
        w->be->k->noise(w->be, w->train[i].n, ul_num(w->args, "sigma"), w->o->recipe->seed, UL_STREAM_SMOOTHING, draw,
                        first, w->p[i]);
        first += (uint64_t)w->train[i].n;
    }
}

static ul_status part(ul_wrap *w, ul_step_result *r)
{
    void **theta = w->state;
    const int samples = (int)ul_num(w->args, "samples");
    double sum = 0, forget = 0, alt = 0;
    ul_status s = UL_OK;
    ul_arrays_copy(w, w->p, theta);
    for (int k = 0; k < samples && s == UL_OK; k++) {
        ul_step_result one = {0};
        perturb(w, (uint64_t)w->step * (uint64_t)samples + (uint64_t)k);
        s = ul_wrap_gradient(w, w->step, ul_wrap_sides(w, false), &one);
        ul_arrays_copy(w, theta, w->p);
        sum += one.loss, forget += one.forget_loss, alt += one.alt_loss;
        if (k == 0) r->tokens += one.tokens, r->scored += one.scored;
    }
    if (s != UL_OK) return ul_fail_in(w->ctx, s, "at weights with rs's noise (--rs.sigma)");
    ul_arrays_scale(w, 1.0 / samples, w->g);
    r->loss += sum / samples;
    if (ul_wrap_sides(w, false) & UL_SIDE_BIT_FORGET) r->forget_loss = forget / samples;
    if (ul_wrap_sides(w, false) & UL_SIDE_BIT_ALT) r->alt_loss = alt / samples;
    return UL_OK;
}

const ul_wrapper ul_wrapper_rs = {
    .title = "Randomised smoothing",
    .paper = "arXiv:2502.05374",
    .note = "Averages the forget gradient over weights with noise: flatter forgetting. K passes over the forget part.",
    .params = params,
    .begin = begin,
    .part = part,
};
