/* two_sample.c - is one sample larger than another, do two come from one distribution?
 *
 * AUC: the share of pairs in which the positive is larger, ties half (Mann and Whitney 1947).
 * Kolmogorov-Smirnov, two-sided: D = max |F_n - G_m|; under the null hypothesis p is the share of lattice paths from
 * (0, 0) to (n, m) that leave the band |x/n - y/m| < D. Equal sizes: the reflection series (Hodges 1958, eq. 3.3),
 * otherwise the path recursion scaled by its own binomials (Hodges 1958, section 2; Viehmann 2021). Both are evaluated
 * as scipy.stats.ks_2samp does, so that p agrees to the last digits even at 1e-239. */
#include "stat/stat.h"
#include <math.h>

enum { MAX_EXACT = 10000 }; /* scipy's MAX_AUTO_N */

double ul_auc(double *positive, int64_t n, double *negative, int64_t m)
{
    ul_sort(positive, n);
    ul_sort(negative, m);
    if (n <= 0 || m <= 0 || isnan(positive[n - 1]) || isnan(negative[m - 1])) return NAN;
    int64_t below = 0, upto = 0; /* negatives < and <= the current positive */
    double halves = 0;           /* exact: a count */
    for (int64_t i = 0; i < n; i++) {
        while (below < m && negative[below] < positive[i]) below++;
        while (upto < m && negative[upto] <= positive[i]) upto++;
        halves += (double)(below + upto);
    }
    return halves / 2 / ((double)n * (double)m);
}

double ul_tpr_at_fpr(const double *positive, int64_t n, const double *negative, int64_t m, double fpr)
{
    if (n <= 0 || m <= 0 || isnan(positive[n - 1]) || isnan(negative[m - 1])) return NAN;
    /* flagged: > threshold. At most floor(fpr m) negatives may lie above it. */
    const int64_t allowed = (int64_t)floor(fpr * (double)m);
    if (allowed >= m) return 1;
    const double threshold = negative[m - 1 - allowed];
    int64_t above = 0;
    while (above < n && positive[n - 1 - above] > threshold) above++;
    return (double)above / (double)n;
}

int64_t ul_roc(const double *positive, int64_t n, const double *negative, int64_t m, double *fpr, double *tpr)
{
    int64_t k = 0, i = n, j = m;
    fpr[k] = tpr[k] = 0, k++;
    while (i > 0 || j > 0) {
        const double v = j == 0 || (i > 0 && positive[i - 1] > negative[j - 1]) ? positive[i - 1] : negative[j - 1];
        while (i > 0 && positive[i - 1] >= v) i--;
        while (j > 0 && negative[j - 1] >= v) j--;
        fpr[k] = (double)(m - j) / (double)m, tpr[k] = (double)(n - i) / (double)n, k++;
    }
    return k;
}

/* max |F - G| at the points of both samples, sorted; values compare equal across samples as they do within. */
static double largest_gap(const double *x, int64_t n, const double *y, int64_t m)
{
    double d = 0;
    for (int64_t i = 0, j = 0; i < n && j < m;) {
        const double v = x[i] <= y[j] ? x[i] : y[j];
        while (i < n && x[i] <= v) i++;
        while (j < m && y[j] <= v) j++;
        const double gap = fabs((double)i / (double)n - (double)j / (double)m);
        if (gap > d) d = gap;
    }
    return d;
}

/* n == m, D = h / n: P = 2 [C(2n, n-h) - C(2n, n-2h) + ...] / C(2n, n), nested from the last term. */
static double outside_square(int64_t n, int64_t h)
{
    double p = 0;
    for (int64_t k = n / h; k >= 0; k--) {
        double term = 1;
        for (int64_t j = 0; j < h; j++) {
            term = (double)(n - k * h - j) * term / (double)(n + k * h + j + 1);
        }
        p = term * (1 - p);
    }
    return 2 * p;
}

static int64_t floor_div(int64_t a, int64_t b)
{
    return a >= 0 ? a / b : -((-a + b - 1) / b);
}

/* Share of the paths to (m, n), m >= n, that leave |x n/g - y m/g| < h. Column x of the lattice is kept as the share
 * of paths to (x, y) that have left; a window of y that slides; outside of it every path has left (1). */
static double outside_band(int64_t m, int64_t n, int64_t g, int64_t h, double *a)
{
    const int64_t mg = m / g, ng = n / g;
    int64_t lo = 0, hi = (h + mg - 1) / mg < n + 1 ? (h + mg - 1) / mg : n + 1;
    int64_t n_kept = hi - lo;
    for (int64_t j = 0; j <= n; j++) a[j] = j < hi ? 0 : 1;
    for (int64_t i = 1; i <= m; i++) {
        const int64_t last_lo = lo, last_kept = n_kept;
        lo = floor_div(ng * i - h, mg) + 1;
        if (lo < 0) lo = 0;
        if (lo > n) lo = n;
        hi = (ng * i + h + mg - 1) / mg;
        if (hi > n + 1) hi = n + 1;
        if (hi <= lo) return 1;
        double value = lo == 0 ? 0 : 1;
        for (int64_t j = lo; j < hi; j++) {
            value = (a[j - last_lo] * (double)i + value * (double)j) / (double)(i + j);
            a[j - lo] = value;
        }
        n_kept = hi - lo;
        for (int64_t j = n_kept; j < last_kept; j++) a[j] = 1;
    }
    return a[n_kept - 1];
}

/* P(K > z) of Kolmogorov's limit law, z with Stephens' (1970) correction for a finite size. */
static double limit_law(double d, double size)
{
    const double root = sqrt(size), z = d * (root + 0.12 + 0.11 / root);
    if (z < 0.2) return 1; /* 1 - p < 1e-12 */
    double p = 0;
    for (int k = 100; k >= 1; k--) {
        const double term = ul_exp(-2.0 * k * k * z * z);
        p += k % 2 ? term : -term;
    }
    return p < 0 ? 0 : 2 * p > 1 ? 1 : 2 * p;
}

ul_ks ul_ks_2samp(double *x, int64_t n, double *y, int64_t m, double *scratch)
{
    ul_sort(x, n);
    ul_sort(y, m);
    if (n <= 0 || m <= 0 || isnan(x[n - 1]) || isnan(y[m - 1])) return (ul_ks){NAN, NAN, false};
    ul_ks r = {largest_gap(x, n, y, m), 1, true};
    int64_t g = n, rest = m;
    while (rest) {
        const int64_t t = g % rest;
        g = rest;
        rest = t;
    }
    const int64_t larger = n > m ? n : m, smaller = n > m ? m : n;
    if (larger > MAX_EXACT && n != m) {
        r.exact = false;
        r.p = limit_law(r.d, nearbyint((double)n * (double)m / ((double)n + (double)m)));
        return r;
    }
    const int64_t lcm = (n / g) * m, h = (int64_t)nearbyint(r.d * (double)lcm);
    r.d = (double)h / (double)lcm;
    if (h > 0) r.p = n == m ? outside_square(n, h) : outside_band(larger, smaller, g, h, scratch);
    if (r.p > 1) r.p = 1;
    return r;
}
