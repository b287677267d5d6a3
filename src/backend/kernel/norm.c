/* norm.c - LayerNorm (Ba et al. 2016) and RMSNorm (Zhang and Sennrich 2019), forward and backward.
 *
 *   h = (x - m) r,  r = 1 / sqrt(mean((x - m)^2) + eps),  m = mean(x), 0 for RMS
 *   y = fma(h, w, b), h w without bias
 *   d = dy w;  dx = r (d - mean(d) - h mean(d h)), without mean(d) for RMS;  dw += dy h;  db += dy
 * Means are 16-lane row sums divided by c; sums over rows are chains in rising row. */
#include "backend/kernel/kernel.h"

static real mean(const real *x, int64_t c)
{
    real l[LANES] = {0};
    FOR_LANES(i, j, c, l[j] += x[i]);
    return lane_sum(l) / (real)c;
}
static real mean_square(const real *x, real m, int64_t c)
{
    real l[LANES] = {0};
    FOR_LANES(i, j, c, const real d = x[i] - m; l[j] = FMA(d, d, l[j]));
    return lane_sum(l) / (real)c;
}

void KFN(norm_fwd)(const ul_backend *be, ul_norm_kind kind, int64_t n, int64_t c, double eps, const void *x_,
                   const void *w_, const void *b_, void *y_, void *stat_)
{
    const real *w = w_, *b = b_;
    PARALLEL_WORK(n * c)
    for (int64_t i = 0; i < n; i++) {
        const real *x = (const real *)x_ + i * c;
        real *y = (real *)y_ + i * c, *stat = (real *)stat_ + 2 * i;
        const real m = kind == UL_LAYERNORM ? mean(x, c) : 0;
        const real r = 1 / SQRT(mean_square(x, m, c) + (real)eps);
        stat[0] = m, stat[1] = r;
        if (b)
            for (int64_t j = 0; j < c; j++) y[j] = FMA((x[j] - m) * r, w[j], b[j]);
        else
            for (int64_t j = 0; j < c; j++) y[j] = (x[j] - m) * r * w[j];
    }
}

static void row_bwd(ul_norm_kind kind, int64_t c, const real *x, const real *w, const real *stat, const real *dy,
                    real *dx, bool add)
{
    const real m = stat[0], r = stat[1];
    real l1[LANES] = {0}, l2[LANES] = {0};
    FOR_LANES(i, j, c, const real d = dy[i] * w[i]; l1[j] += d; l2[j] = FMA(d, (x[i] - m) * r, l2[j]));
    const real s1 = kind == UL_LAYERNORM ? lane_sum(l1) / (real)c : 0, s2 = lane_sum(l2) / (real)c;
    for (int64_t j = 0; j < c; j++) {
        const real v = FMA(-(x[j] - m) * r, s2, dy[j] * w[j] - s1) * r;
        dx[j] = add ? dx[j] + v : v;
    }
}
/* Columns [lo, hi) of the gradients of gain and bias. */
static void gain_bwd(int64_t n, int64_t c, int64_t lo, int64_t hi, const real *x, const real *stat, const real *dy,
                     real *dw, real *db)
{
    for (int64_t i = 0; i < n; i++) {
        const real m = stat[2 * i], r = stat[2 * i + 1];
        if (dw)
            for (int64_t j = lo; j < hi; j++) dw[j] = FMA(dy[i * c + j], (x[i * c + j] - m) * r, dw[j]);
        if (db)
            for (int64_t j = lo; j < hi; j++) db[j] += dy[i * c + j];
    }
}

void KFN(norm_bwd)(const ul_backend *be, ul_norm_kind kind, int64_t n, int64_t c, const void *x_, const void *w,
                   const void *stat_, const void *dy_, void *dx_, bool add, void *dw, void *db)
{
    const real *x = x_, *stat = stat_, *dy = dy_;
    real *dx = dx_;
    if (dw || db) {
        const int64_t part = columns_each(be, c);
        PARALLEL_WORK(n * c)
        for (int64_t lo = 0; lo < c; lo += part)
            gain_bwd(n, c, lo, least(lo + part, c), x, stat, dy, dw, db);
    }
    if (!dx) return;
    PARALLEL_WORK(n * c)
    for (int64_t i = 0; i < n; i++) row_bwd(kind, c, x + i * c, w, stat + 2 * i, dy + i * c, dx + i * c, add);
}
