/* optim.c - one step of AdamW (Loshchilov and Hutter 2019, as PyTorch computes it), of SGD and of Sophia;
 * and what is done to weights and gradients around a step: masks, noise, the choice of a gradient by its sign.
 *
 * The scalars of a step are computed in double and rounded once to real; each element then is
 *   m = fma(beta1, m, (1 - beta1) g)
 *   v = fma((1 - beta2) g, g, beta2 v)
 *   p = fma(-lr / (1 - beta1^t), m / fma(sqrt v, 1 / sqrt(1 - beta2^t), eps), (1 - lr wd) p)
 * and SGD:  d = fma(wd, p, g);  m = fma(momentum, m, d);  p = fma(-lr, m, p)
 * and Sophia (Liu et al. 2023, arXiv:2305.14342, with SOUL's estimate of the curvature, arXiv:2404.18239):
 *   m as AdamW's;  h as AdamW's v in the steps that refresh it
 *   p = fma(-lr, min(|m| / fma(rho, h, 1e-15), 1) with m's sign, (1 - lr wd) p) */
#include "backend/kernel/kernel.h"

static double power(double beta, int64_t t) { return beta > 0 ? ul_pow(beta, (double)t) : 0; }

void KFN(adamw)(const ul_backend *be, const ul_adamw *o, int64_t n, void *p_, const void *g_, void *m_, void *v_)
{
    const real b1 = (real)o->beta1, b2 = (real)o->beta2, c1 = (real)(1 - o->beta1), c2 = (real)(1 - o->beta2);
    const real keep = (real)(1 - o->lr * o->weight_decay), step = (real)(-o->lr / (1 - power(o->beta1, o->t)));
    const real unbias = (real)(1 / __builtin_sqrt(1 - power(o->beta2, o->t))), eps = (real)o->eps;
    const real *g = g_;
    real *p = p_, *m = m_, *v = v_;
    PARALLEL_WORK(n)
    for (int64_t i = 0; i < n; i++) {
        const real mi = FMA(b1, m[i], c1 * g[i]), vi = FMA(c2 * g[i], g[i], b2 * v[i]);
        m[i] = mi, v[i] = vi;
        p[i] = FMA(step, mi / FMA(SQRT(vi), unbias, eps), keep * p[i]);
    }
}

void KFN(sgd)(const ul_backend *be, double lr_, double weight_decay, double momentum, int64_t n, void *p_,
              const void *g_, void *m_)
{
    const real lr = (real)-lr_, wd = (real)weight_decay, mu = (real)momentum, *g = g_;
    real *p = p_, *m = m_;
    if (m) {
        PARALLEL_WORK(n)
        for (int64_t i = 0; i < n; i++) {
            m[i] = FMA(mu, m[i], FMA(wd, p[i], g[i]));
            p[i] = FMA(lr, m[i], p[i]);
        }
    } else {
        PARALLEL_WORK(n)
        for (int64_t i = 0; i < n; i++) p[i] = FMA(lr, FMA(wd, p[i], g[i]), p[i]);
    }
}

void KFN(sophia)(const ul_backend *be, const ul_sophia *o, int64_t n, void *p_, const void *g_, void *m_, void *h_)
{
    const real b1 = (real)o->beta1, b2 = (real)o->beta2, c1 = (real)(1 - o->beta1), c2 = (real)(1 - o->beta2);
    const real keep = (real)(1 - o->lr * o->weight_decay), lr = (real)-o->lr, rho = (real)o->rho, tiny = (real)1e-15;
    const bool refresh = o->refresh;
    const real *g = g_;
    real *p = p_, *m = m_, *h = h_;
    PARALLEL_WORK(n)
    for (int64_t i = 0; i < n; i++) {
        const real mi = FMA(b1, m[i], c1 * g[i]), hi = refresh ? FMA(c2 * g[i], g[i], b2 * h[i]) : h[i];
        const real size = FABS(mi) / FMA(rho, hi, tiny), step = size > 1 ? 1 : size; /* NaN stays */
        m[i] = mi, h[i] = hi;
        p[i] = FMA(lr, mi < 0 ? -step : step, keep * p[i]);
    }
}

void KFN(mask)(const ul_backend *be, int64_t n, const uint8_t *bits, double in_, double out_, void *x_)
{
    const real in = (real)in_, out = (real)out_;
    real *x = x_;
    PARALLEL_WORK(n)
    for (int64_t i = 0; i < n; i++) x[i] *= bits[i >> 3] >> (i & 7) & 1 ? in : out;
}

void KFN(agree)(const ul_backend *be, int64_t n, bool sum, const void *f_, void *r_)
{
    const real *f = f_;
    real *r = r_;
    PARALLEL_WORK(n)
    for (int64_t i = 0; i < n; i++) {
        const bool conflict = (f[i] < 0 && r[i] > 0) || (f[i] > 0 && r[i] < 0);
        r[i] = conflict ? r[i] : sum ? f[i] + r[i] : f[i];
    }
}

void KFN(noise)(const ul_backend *be, int64_t n, double sigma_, uint64_t seed, ul_stream stream, uint64_t step,
                uint64_t first, void *x_)
{
    const real sigma = (real)sigma_;
    real *x = x_;
    PARALLEL_WORK(n * 16)
    for (int64_t i = 0; i < n; i++)
        x[i] = FMA(sigma, (real)ul_rng_normal(seed, stream, step, first + (uint64_t)i), x[i]);
}
