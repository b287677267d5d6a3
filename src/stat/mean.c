/* mean.c - sums, means, order statistics.
 * Neumaier (1974), "Rundungsfehleranalyse einiger Verfahren zur Summation endlicher Summen"; Hyndman and Fan (1996),
 * "Sample quantiles in statistical packages", definition 7; Chen et al. (2021), arXiv 2107.03374, equation 1, for any
 * scores. */
#include "stat/stat.h"
#include <math.h>
#include <stdlib.h>

double ul_sum(const double *x, int64_t n)
{
    double sum = 0, lost = 0;
    for (int64_t i = 0; i < n; i++) {
        const double t = sum + x[i];
        lost += fabs(sum) >= fabs(x[i]) ? (sum - t) + x[i] : (x[i] - t) + sum;
        sum = t;
    }
    /* an infinite sum has lost Inf - Inf on the way: the plain sum is the answer then */
    return isfinite(sum) ? sum + lost : sum;
}

double ul_mean(const double *x, int64_t n)
{
    return n > 0 ? ul_sum(x, n) / (double)n : NAN;
}

double ul_harmonic_mean(const double *x, int64_t n)
{
    double sum = 0;
    bool zero = false;
    for (int64_t i = 0; i < n; i++) {
        if (isnan(x[i]) || x[i] < 0) return NAN;
        if (x[i] == 0) zero = true;
        else sum += 1 / x[i];
    }
    if (n <= 0) return NAN;
    return zero ? 0 : (double)n / sum;
}

static int by_value(const void *pa, const void *pb)
{
    const double a = *(const double *)pa, b = *(const double *)pb;
    if (isnan(a) || isnan(b)) return isnan(a) - isnan(b);
    return (a > b) - (a < b);
}

void ul_sort(double *x, int64_t n)
{
    if (n > 1) qsort(x, (size_t)n, sizeof *x, by_value);
}

double ul_quantile(const double *sorted, int64_t n, double q)
{
    if (n <= 0 || !(q >= 0 && q <= 1) || isnan(sorted[n - 1])) return NAN;
    const double h = (double)(n - 1) * q;
    const int64_t i = (int64_t)floor(h);
    if (i + 1 >= n) return sorted[n - 1];
    return sorted[i] + (h - (double)i) * (sorted[i + 1] - sorted[i]);
}

double ul_expected_max(double *score, int64_t n, int64_t k)
{
    ul_sort(score, n);
    if (k < 1 || k > n || isnan(score[n - 1])) return NAN;
    double weight = (double)k / (double)n, sum = 0; /* C(n-1, k-1) / C(n, k) */
    for (int64_t i = n - 1; i >= k - 1; i--) {
        sum += weight * score[i];
        if (i > 0) weight *= (double)(i - k + 1) / (double)i;
    }
    return sum;
}
