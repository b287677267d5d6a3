/* act.c - activations and gated linear units, forward and backward.
 *
 *   gelu x Phi(x) (Hendrycks and Gimpel 2016), its tanh form, silu x sigmoid(x), relu max(x, 0)
 *   glu: y = act(g) u (Shazeer 2020);  dg = (dy u) act'(g),  du = dy act(g) */
#include "backend/kernel/kernel.h"

#define SQRT_HALF ((real)0.70710678118654752440)      /* sqrt(1/2) */
#define DENSITY_0 ((real)0.39894228040143267794)      /* 1 / sqrt(2 pi) */
#define SQRT_2_OVER_PI ((real)0.79788456080286535588)
#define CUBIC ((real)0.044715)

static inline real act(ul_act_kind kind, real x)
{
    switch (kind) {
    case UL_GELU: return (real)0.5 * x * (1 + v_erf(x * SQRT_HALF));
    case UL_GELU_TANH: return (real)0.5 * x * (1 + v_tanh(SQRT_2_OVER_PI * FMA(CUBIC * x * x, x, x)));
    case UL_SILU: return x * v_sigmoid(x);
    case UL_RELU: break;
    }
    return x < 0 ? 0 : x; /* NaN stays */
}
static inline real slope(ul_act_kind kind, real x)
{
    switch (kind) {
    case UL_GELU: {
        const real phi = DENSITY_0 * v_exp_down((real)-0.5 * x * x);
        return FMA(x, phi, (real)0.5 * (1 + v_erf(x * SQRT_HALF)));
    }
    case UL_GELU_TANH: {
        const real t = v_tanh(SQRT_2_OVER_PI * FMA(CUBIC * x * x, x, x));
        const real dt = (1 - t * t) * (SQRT_2_OVER_PI * FMA(3 * CUBIC * x, x, 1));
        return FMA((real)0.5 * x, dt, (real)0.5 * (1 + t));
    }
    case UL_SILU: {
        const real g = v_sigmoid(x);
        return FMA(x * g, 1 - g, g);
    }
    case UL_RELU: break;
    }
    return x <= 0 ? 0 : 1;
}

/* A loop of its own for each kind, so that nothing is decided inside it. */
#define KIND_CASE(kind, ...)                                                                                           \
    case kind: {                                                                                                       \
        const ul_act_kind KIND = kind;                                                                                 \
        __VA_ARGS__;                                                                                                   \
    } break;
#define EACH_KIND(kind, ...)                                                                                           \
    switch (kind) {                                                                                                    \
        KIND_CASE(UL_GELU, __VA_ARGS__)                                                                                \
        KIND_CASE(UL_GELU_TANH, __VA_ARGS__)                                                                           \
        KIND_CASE(UL_SILU, __VA_ARGS__)                                                                                \
        KIND_CASE(UL_RELU, __VA_ARGS__)                                                                                \
    }
enum { BLOCK = 1024 };

static void act_block(ul_act_kind kind, int64_t n, const real *x, real *y)
{
    EACH_KIND(kind, for (int64_t i = 0; i < n; i++) y[i] = act(KIND, x[i]))
}
static void act_block_bwd(ul_act_kind kind, int64_t n, const real *x, const real *dy, real *dx)
{
    EACH_KIND(kind, for (int64_t i = 0; i < n; i++) dx[i] = dy[i] * slope(KIND, x[i]))
}
static void put(int64_t n, const real *v, real *dx, bool add)
{
    for (int64_t i = 0; i < n; i++) dx[i] = add ? dx[i] + v[i] : v[i];
}

void KFN(act_fwd)(const ul_backend *be, ul_act_kind kind, int64_t n, const void *x_, void *y_)
{
    const real *x = x_;
    real *y = y_;
    PARALLEL_WORK(n)
    for (int64_t lo = 0; lo < n; lo += BLOCK) act_block(kind, least(BLOCK, n - lo), x + lo, y + lo);
}

void KFN(act_bwd)(const ul_backend *be, ul_act_kind kind, int64_t n, const void *x_, const void *dy_, void *dx_,
                  bool add)
{
    const real *x = x_, *dy = dy_;
    real *dx = dx_;
    PARALLEL_WORK(n)
    for (int64_t lo = 0; lo < n; lo += BLOCK) {
        const int64_t w = least(BLOCK, n - lo);
        real v[BLOCK];
        act_block_bwd(kind, w, x + lo, dy + lo, v);
        put(w, v, dx + lo, add);
    }
}

void KFN(glu_fwd)(const ul_backend *be, ul_act_kind kind, int64_t n, const void *g_, const void *u_, void *y_)
{
    const real *g = g_, *u = u_;
    real *y = y_;
    PARALLEL_WORK(n)
    for (int64_t lo = 0; lo < n; lo += BLOCK) {
        const int64_t w = least(BLOCK, n - lo);
        real a[BLOCK];
        act_block(kind, w, g + lo, a);
        for (int64_t i = 0; i < w; i++) y[lo + i] = a[i] * u[lo + i];
    }
}

void KFN(glu_bwd)(const ul_backend *be, ul_act_kind kind, int64_t n, const void *g_, const void *u_, const void *dy_,
                  void *dg_, bool add_g, void *du_, bool add_u)
{
    const real *g = g_, *u = u_, *dy = dy_;
    real *dg = dg_, *du = du_;
    PARALLEL_WORK(n)
    for (int64_t lo = 0; lo < n; lo += BLOCK) {
        const int64_t w = least(BLOCK, n - lo);
        real v[BLOCK], a[BLOCK];
        if (dg) {
            for (int64_t i = 0; i < w; i++) a[i] = dy[lo + i] * u[lo + i];
            act_block_bwd(kind, w, g + lo, a, v);
        }
        if (du) {
            act_block(kind, w, g + lo, a);
            for (int64_t i = 0; i < w; i++) a[i] *= dy[lo + i];
            put(w, a, du + lo, add_u);
        }
        if (dg) put(w, v, dg + lo, add_g);
    }
}
