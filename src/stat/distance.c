/* distance.c - how far are two distributions, two sets of states, two vectors apart?
 *
 *   KL(p || q) = sum p log(p / q)   nat; 0 log 0 = 0, infinite where q = 0 < p
 *   JS(p, q)   = (KL(p || m) + KL(q || m)) / 2, m = (p + q) / 2   in [0, log 2]     Lin (1991)
 *   TV(p, q)   = sum |p - q| / 2
 *   KL of two normal distributions with the samples' means and variances (n - 1): KLoM,
 *     Georgiev et al. (2024), arXiv 2410.23232
 *   linear CKA = |Xc Yc'|^2 / (|Xc Xc'| |Yc Yc'|), c = centred columns, Frobenius norms
 *     Kornblith et al. (2019), arXiv 1905.00414, eq. 2
 *
 * CKA of states that do not vary (token 0 behind a beginning-of-text token) is 0 / 0 and comes out as NaN,
 * never as a number. */
#include "stat/stat.h"
#include <math.h>

double ul_kl(const double *p, const double *q, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++) {
        if (p[i] > 0 && q[i] > 0)
            sum += p[i] * ul_log(p[i] / q[i]);
        else if (!(p[i] == 0))
            sum = q[i] == 0 ? (double)INFINITY : (double)NAN;
    }
    return sum < 0 && sum > -1e-12 ? 0 : sum; /* rounding */
}

double ul_js(const double *p, const double *q, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++) {
        const double m = (p[i] + q[i]) / 2;
        if (!(p[i] >= 0) || !(q[i] >= 0)) return NAN;
        if (p[i] > 0) sum += p[i] * ul_log(p[i] / m) / 2;
        if (q[i] > 0) sum += q[i] * ul_log(q[i] / m) / 2;
    }
    return sum < 0 && sum > -1e-12 ? 0 : sum;
}

double ul_total_variation(const double *p, const double *q, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += fabs(p[i] - q[i]);
    return sum / 2;
}

static double variance(const double *x, int64_t n, double mean)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += (x[i] - mean) * (x[i] - mean);
    return n > 1 ? sum / (double)(n - 1) : NAN;
}

double ul_gaussian_kl(const double *x, int64_t n, const double *y, int64_t m)
{
    const double a = ul_mean(x, n), b = ul_mean(y, m), va = variance(x, n, a), vb = variance(y, m, b);
    if (!(va > 0) || !(vb > 0)) return NAN;
    return (ul_log(vb / va) + (va + (a - b) * (a - b)) / vb - 1) / 2;
}

double ul_sampled_kl(const double *own, const double *other, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += own[i] - other[i];
    return n > 0 ? sum / (double)n : NAN;
}

static void centre(const double *x, int64_t n, int64_t width, double *out)
{
    for (int64_t k = 0; k < width; k++) {
        double sum = 0;
        for (int64_t i = 0; i < n; i++) sum += x[i * width + k];
        for (int64_t i = 0; i < n; i++) out[i * width + k] = x[i * width + k] - sum / (double)n;
    }
}

static double dot(const double *x, const double *y, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += x[i] * y[i];
    return sum;
}

ul_status ul_linear_cka(ul_arena *scratch, const double *x, int64_t width_x, const double *y, int64_t width_y,
                        int64_t n, double *out)
{
    const ul_mark mark = ul_arena_mark(scratch);
    double *cx = UL_NEW(scratch, double, n *width_x), *cy = UL_NEW(scratch, double, n *width_y);
    UL_NEED(cx);
    UL_NEED(cy);
    centre(x, n, width_x, cx);
    centre(y, n, width_y, cy);
    double xx = 0, yy = 0,
           xy = 0; /* <K, K>, <L, L>, <K, L> of the Gram matrices K = Xc Xc', L = Yc Yc': |Xc' Yc|^2 = <K, L> */
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j <= i; j++) {
            const double k = dot(cx + i * width_x, cx + j * width_x, width_x),
                         l = dot(cy + i * width_y, cy + j * width_y, width_y);
            const double times = i == j ? 1 : 2;
            xx += times * k * k;
            yy += times * l * l;
            xy += times * k * l;
        }
    *out = xx > 0 && yy > 0 ? xy / (sqrt(xx) * sqrt(yy)) : NAN;
    ul_arena_rewind(scratch, mark);
    return UL_OK;
}

void ul_remove_direction(double *x, const double *direction, int64_t n)
{
    const double length = dot(direction, direction, n), along = dot(x, direction, n);
    if (!(length > 0)) return;
    for (int64_t i = 0; i < n; i++) x[i] -= along / length * direction[i];
}
