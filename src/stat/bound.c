/* bound.c - what a number of samples proves.
 *
 * Clopper and Pearson (1934): c of n samples show an event; the largest p under which so few had probability >= alpha,
 *   P(X <= c; n, p) = alpha.
 * Dvoretzky, Kiefer and Wolfowitz (1956), with Massart's constant: with probability 1 - alpha the distribution of a
 * score lies nowhere more than eps = sqrt(log(1 / alpha) / (2 n)) below the empirical one, hence for scores in [0, 1]
 *   mean <= mean of the samples with their lowest share eps moved to 1.
 * Scholten, Guennemann and Schwinn (2024), arXiv 2410.03523, use both on sampled answers. */
#include "stat/stat.h"
#include <math.h>

/* P(X <= c) of n trials: terms by their ratios from the largest down, each side of it in turn. */
static double binomial_cdf(int64_t c, int64_t n, double p)
{
    if (p <= 0 || c >= n) return 1;
    if (p >= 1) return 0;
    /* log of the term at c, then downwards: t(i - 1) = t(i) i (1 - p) / ((n - i + 1) p) */
    double log_term = 0;
    for (int64_t i = 1; i <= c; i++) log_term += ul_log((double)(n - c + i) / (double)i);
    log_term += (double)c * ul_log(p) + (double)(n - c) * ul_log1p(-p);
    double ratio = 1, sum = 0;
    for (int64_t i = c; i >= 0; i--) {
        sum += ratio;
        ratio *= (double)i * (1 - p) / ((double)(n - i + 1) * p);
        if (ratio > 1e280) { /* the term at c was tiny: scale both */
            sum *= 1e-280, ratio *= 1e-280;
            log_term += 280 * ul_log(10);
        }
    }
    return ul_exp(log_term + ul_log(sum));
}

double ul_binomial_upper(int64_t c, int64_t n, double alpha)
{
    if (n < 1 || c < 0 || c > n || !(alpha > 0 && alpha < 1)) return NAN;
    if (c == n) return 1;
    double lo = (double)c / (double)n, hi = 1;
    for (int i = 0; i < 60; i++) {
        const double mid = lo + (hi - lo) / 2;
        if (binomial_cdf(c, n, mid) > alpha)
            lo = mid;
        else
            hi = mid;
    }
    return hi;
}

double ul_mean_upper(double *score, int64_t n, double alpha)
{
    if (n < 1 || !(alpha > 0 && alpha < 1)) return NAN;
    ul_sort(score, n);
    if (isnan(score[n - 1]) || score[0] < 0 || score[n - 1] > 1) return NAN;
    const double eps = sqrt(-ul_log(alpha) / (2 * (double)n));
    double moved = eps * (double)n, sum = 0; /* so many samples count 1, a part of one included */
    for (int64_t i = 0; i < n; i++) {
        const double part = moved >= 1 ? 1 : moved;
        sum += part + (1 - part) * score[i];
        moved -= part;
    }
    return sum / (double)n;
}
