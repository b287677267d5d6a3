/* mmd.c - the maximum mean discrepancy of n rows x and n rows y, as parts that belong to the rows of x.
 *
 *   part_i = (1/n) sum_j k(x_i, x_j) + k(y_i, y_j) - 2 k(x_i, y_j)      the mean of the parts is the biased MMD^2
 *   k(a, b) = sum over s = C/2, C, 2C, 4C, 8C of exp(-|a - b|^2 / s)
 *
 * Gretton et al. 2012, "A Kernel Two-Sample Test"; five Gaussian kernels as in the code of RepNoise (arXiv:2405.14577).
 * There the bandwidths follow the mean distance of the batch and are held constant in the gradient; here they are those
 * of y's own law: two rows of N(0, 1) are 2C apart in the mean, so the gradient is that of the value. */
#include "train/train_impl.h"

enum { KERNELS = 5 };

/* k and its derivative by |a - b|^2. */
static double kernel(int32_t C, const double *a, const double *b, double *slope)
{
    double square = 0, k = 0, s = C / 2.0;
    *slope = 0;
    for (int32_t c = 0; c < C; c++) square += (a[c] - b[c]) * (a[c] - b[c]);
    for (int i = 0; i < KERNELS; i++, s *= 2) {
        const double e = ul_exp(-square / s);
        k += e;
        *slope -= e / s;
    }
    return k;
}

/* g += f (a - b) */
static void pull(int32_t C, double f, const double *a, const double *b, double *g)
{
    for (int32_t c = 0; c < C; c++) g[c] += f * (a[c] - b[c]);
}

void ul_mmd(int32_t n, int32_t C, const double *x, const double *y, const double *w, double *part, double *g)
{
    for (int32_t i = 0; i < n; i++) {
        const double *xi = x + (int64_t)i * C, *yi = y + (int64_t)i * C;
        double *gi = g + (int64_t)i * C, sum = 0, slope;
        for (int32_t c = 0; w && c < C; c++) gi[c] = 0;
        for (int32_t j = 0; j < n; j++) {
            const double *xj = x + (int64_t)j * C, *yj = y + (int64_t)j * C;
            const double xx = kernel(C, xi, xj, &slope);
            if (w) pull(C, 2 * slope * (w[i] + w[j]) / n, xi, xj, gi);
            const double xy = kernel(C, xi, yj, &slope);
            if (w) pull(C, -4 * slope * w[i] / n, xi, yj, gi);
            sum += xx + (w ? 0 : kernel(C, yi, yj, &slope)) - 2 * xy;
        }
        part[i] = sum / n;
    }
}
