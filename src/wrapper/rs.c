/* rs.c - randomised smoothing: the forget gradient is a mean over weights with noise.
 *
 *   g_f <- (1/K) sum_k gradient of the forget part at theta + sigma rms n_k,   n_k ~ N(0, 1) an entry
 *   rms: root mean square of the entry's tensor (`absolute`: 1);   the retain part stays at theta
 *
 * Fan et al. 2025, arXiv:2502.05374: K = 3, an absolute sigma of 0.1, the defaults. Trap: their code moves the
 * optimizer inside the training step. An absolute sigma means another thing in each model (the weights of 7B models
 * have a root mean square of about 0.02, those of tofu-656k of 0.5), so in small models it is a share of a tensor's
 * own size, 0.02. Noise is a function of (seed, step, sample, entry). The losses reported are the means over the
 * noisy weights. */
#include "wrapper/wrapper.h"
#include <math.h>

static const ul_param params[] = {
    {"sigma", UL_REAL, 0.1, 0, 10, NULL, "standard deviation of the noise on a weight; 0: none; in small models 0.02",
     NULL},
    {"absolute", UL_BOOL, 1, 0, 1, NULL,
     "sigma is in units of a weight; else, as in small models, a share of its tensor's root mean square", NULL},
    {"samples", UL_INT, 3, 1, 1000, NULL, "noisy copies a step", NULL},
    {0}};

static ul_status begin(ul_wrap *w)
{
    w->off = ul_num(w->args, "sigma") == 0;
    return w->off ? UL_OK : ul_wrap_arrays(w, NULL, (void ***)&w->state);
}

/* At theta when it is called. */
static void perturb(ul_wrap *w, uint64_t draw)
{
    const ul_kernels *k = w->be->k;
    const double sigma = ul_num(w->args, "sigma");
    const bool absolute = ul_num(w->args, "absolute") != 0;
    uint64_t first = 0;
    for (int i = 0; i < w->n_train; i++) {
        const int64_t n = w->train[i].n;
        const double size = absolute ? 1 : sqrt(k->sum_squares(w->be, n, w->p[i]) / (double)n);
        k->noise(w->be, n, sigma * size, w->o->recipe->seed, UL_STREAM_SMOOTHING, draw, first, w->p[i]);
        first += (uint64_t)n;
    }
}

static ul_status part(ul_wrap *w, ul_step_result *r)
{
    void **theta = w->state;
    const int samples = (int)ul_num(w->args, "samples");
    double sum = 0, forget = 0, alt = 0;
    ul_status s = UL_OK;
    ul_wrap_copy(w, w->p, theta);
    for (int k = 0; k < samples && s == UL_OK; k++) {
        ul_step_result one = {0};
        perturb(w, (uint64_t)w->step * (uint64_t)samples + (uint64_t)k);
        s = ul_wrap_gradient(w, w->step, ul_wrap_sides(w, false), &one);
        ul_wrap_copy(w, theta, w->p);
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
    .small = UL_VALUES(".sigma", "0.02", ".absolute", "false"),
    .begin = begin,
    .part = part,
};
