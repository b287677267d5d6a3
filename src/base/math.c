/* math.c - transcendental functions whose bits are ours.
 *
 * Reduce the argument with fused multiply-adds, sum a Taylor polynomial long enough that its remainder is below 2^-57
 * of the result, put the parts together with the largest last. fma, sqrt, rint, frexp and ldexp are exact or correctly
 * rounded by IEEE 754, so every machine and C library gives the same bits; test/unit/base/test_math.c holds the bounds.
 * Sources: Cody and Waite, "Software manual for the elementary functions" (1980), for the reductions; Dekker (1971) for
 * the double-double steps; Abramowitz and Stegun 7.1.6 and 7.1.14 for erf. */
#include "base_impl.h"
#include <math.h>

/* ln 2, its first part short enough that k * LN2_HI is exact for |k| < 2^11; pi/2 in three parts of 53 bits. */
#define LN2_HI 0x1.62e42feep-1
#define LN2_LO 0x1.a39ef35793c76p-33
#define LOG2_E 0x1.71547652b82fep+0
#define PI_2_A 0x1.921fb54442d18p+0
#define PI_2_B 0x1.1a62633145c07p-54
#define PI_2_C (-0x1.f1976b7ed8fbcp-110)
#define TWO_PI_INV 0x1.45f306dc9c883p-1

/* e^r - 1 for |r| <= ln(2)/2 (+ a little): r + r^2 (1/2! + r/3! + ... + r^11/13!). */
static double expm1_small(double r)
{
    static const double c[] = {1.0 / 6227020800, 1.0 / 479001600, 1.0 / 39916800, 1.0 / 3628800, 1.0 / 362880,
                               1.0 / 40320,      1.0 / 5040,      1.0 / 720,      1.0 / 120,     1.0 / 24,
                               1.0 / 6,          0.5};
    double q = c[0];
    for (int i = 1; i < 12; i++) q = fma(q, r, c[i]);
    return fma(r * r, q, r);
}

/* x = k ln 2 + r */
static double exp_reduce(double x, double *k)
{
    *k = rint(x * LOG2_E);
    return fma(-*k, LN2_LO, fma(-*k, LN2_HI, x));
}

double ul_exp(double x)
{
    if (!(x < 709.782712893384)) return x > 0 ? (double)INFINITY : x; /* NaN stays */
    if (x < -745.1332191019412) return 0.0;
    double k;
    const double r = exp_reduce(x, &k);
    return ldexp(1.0 + expm1_small(r), (int)k);
}

double ul_expm1(double x)
{
    if (!(x < 40.0)) return ul_exp(x);
    if (x < -40.0) return -1.0;
    if (fabs(x) < 0x1p-54) return x;
    double k;
    const double r = exp_reduce(x, &k), p = expm1_small(r);
    if (k == 0.0) return p;
    const double two_k = ldexp(1.0, (int)k);
    return fma(two_k, p, two_k - 1.0);
}

/* z = s^2 -> 2/3 z + 2/5 z^2 + ... + 2/25 z^12, the tail of 2 atanh(s)/s, for z <= (3 - 2 sqrt 2)^2 = 0.0295. */
static double atanh_tail(double z)
{
    double q = 2.0 / 25;
    for (int k = 11; k >= 1; k--) q = fma(q, z, 2.0 / (2 * k + 1));
    return q * z;
}

/* ln(2^e (1 + f)) + c for f in [sqrt(1/2) - 1, sqrt(2) - 1]. With s = f/(2 + f), ln(1 + f) = 2 atanh(s)
 * = f - s (f - tail), as f - s f = 2 s; f^2/2 is kept apart since f is exact. */
static double log_parts(double f, double e, double c)
{
    const double s = f / (2.0 + f), half = 0.5 * f * f;
    const double low = fma(s, half + atanh_tail(s * s), fma(e, LN2_LO, c));
    return fma(e, LN2_HI, f - (half - low));
}

/* x = 2^e m with m in [sqrt(1/2), sqrt(2)) */
static double log_reduce(double x, double *e)
{
    int k;
    double m = frexp(x, &k);
    if (m < 0x1.6a09e667f3bcdp-1) {
        m *= 2.0;
        k--;
    }
    *e = k;
    return m;
}

double ul_log(double x)
{
    if (!(x > 0.0)) return x == 0.0 ? -(double)INFINITY : (double)NAN;
    if (isinf(x)) return x;
    double e;
    const double m = log_reduce(x, &e);
    return log_parts(m - 1.0, e, 0.0);
}

double ul_log1p(double x)
{
    if (!(x > -1.0)) return x == -1.0 ? -(double)INFINITY : (double)NAN;
    if (isinf(x) || fabs(x) < 0x1p-54) return x;
    if (x > -0.29 && x < 0.41) return log_parts(x, 0.0, 0.0);
    const double u = 1.0 + x, lost = x > 1.0 ? 1.0 - (u - x) : x - (u - 1.0);
    double e;
    const double m = log_reduce(u, &e);
    return log_parts(m - 1.0, e, lost / u);
}

/* ---- pow: the logarithm in double-double, since its error is multiplied by up to 745 ---------------------------- */
typedef struct {
    double hi, lo;
} dd;

static dd dd_sum(double a, double b) /* any order (Knuth) */
{
    const double s = a + b, t = s - a;
    return (dd){s, (a - (s - t)) + (b - t)};
}

static dd dd_mul(dd a, dd b)
{
    const double p = a.hi * b.hi;
    return (dd){p, fma(a.hi, b.hi, -p) + fma(a.hi, b.lo, a.lo * b.hi)};
}

/* ln x to about 2^-66 of itself: 2 s and 2/3 s^3 in double-double, the rest in double. */
static dd log_dd(double x)
{
    double e;
    const double f = log_reduce(x, &e) - 1.0, d = 2.0 + f, d_lo = f - (d - 2.0);
    dd s = {f / d, 0.0};
    s.lo = fma(-s.hi, d_lo, fma(-s.hi, d, f)) / d;
    const dd z = dd_mul(s, s), cube = dd_mul(dd_mul(s, z), (dd){2.0 / 3, 0x1.5555555555555p-55});
    double q = 2.0 / 27;
    for (int k = 12; k >= 2; k--) q = fma(q, z.hi, 2.0 / (2 * k + 1));
    const double rest = s.hi * z.hi * z.hi * q;
    const dd a = dd_sum(e * LN2_HI, 2.0 * s.hi), b = dd_sum(a.hi, cube.hi);
    const double lo = a.lo + b.lo + (2.0 * s.lo + cube.lo + fma(e, LN2_LO, rest));
    return dd_sum(b.hi, lo);
}

double ul_pow(double x, double y)
{
    if (y == 0.0 || x == 1.0) return 1.0;
    if (!(x > 0.0)) return x == 0.0 && y == y ? (y > 0.0 ? 0.0 : (double)INFINITY) : (double)NAN;
    if (isinf(x) || !(fabs(y) < 0x1p+1000)) return ul_exp(y * ul_log(x));
    const dd l = log_dd(x);
    const double p = y * l.hi;
    if (!(fabs(p) < 746.0)) return ul_exp(p);
    const double lo = fma(y, l.hi, -p) + y * l.lo;
    double k;
    const double r = exp_reduce(p, &k);
    /* e^(r + lo) = e^r + lo e^r */
    const double t = expm1_small(r);
    return ldexp(1.0 + (t + fma(lo, t, lo)), (int)k);
}

/* ---- sin, cos ---------------------------------------------------------------------------------------------------- */
/* x = n pi/2 + r + r_lo, |r| <= pi/4. x - n PI_2_A is exact for |x| < 2^30: its bits lie between 2^-53 and 1. */
static double angle_reduce(double x, double *r_lo, int *quadrant)
{
    const double n = rint(x * TWO_PI_INV);
    const double w = fma(-n, PI_2_A, x), p = n * PI_2_B, p_lo = fma(n, PI_2_B, -p);
    const dd r = dd_sum(w, -p);
    *r_lo = r.lo - fma(n, PI_2_C, p_lo);
    *quadrant = (int)((int64_t)n & 3);
    return r.hi;
}

static double sin_small(double r, double lo)
{
    static const double c[] = {1.0 / 355687428096000, -1.0 / 1307674368000, 1.0 / 6227020800, -1.0 / 39916800,
                               1.0 / 362880,          -1.0 / 5040,          1.0 / 120,        -1.0 / 6};
    const double z = r * r;
    double q = c[0];
    for (int i = 1; i < 8; i++) q = fma(q, z, c[i]);
    return r + fma(r * z, q, lo * fma(-0.5, z, 1.0));
}

static double cos_small(double r, double lo)
{
    static const double c[] = {-1.0 / 6402373705728000, 1.0 / 20922789888000, -1.0 / 87178291200, 1.0 / 479001600,
                               -1.0 / 3628800,          1.0 / 40320,          -1.0 / 720,         1.0 / 24};
    const double z = r * r, half = 0.5 * z, w = 1.0 - half;
    double q = c[0];
    for (int i = 1; i < 8; i++) q = fma(q, z, c[i]);
    return w + (((1.0 - w) - half) + fma(z * z, q, -r * lo));
}

static double turn(double x, int by)
{
    if (!(fabs(x) < 0x1p30)) return (double)NAN;
    double lo;
    int q;
    const double r = angle_reduce(x, &lo, &q);
    q = (q + by) & 3;
    const double v = q & 1 ? cos_small(r, lo) : sin_small(r, lo);
    return q & 2 ? -v : v;
}

double ul_sin(double x)
{
    return fabs(x) < 0x1p-27 ? x : turn(x, 0);
}

double ul_cos(double x)
{
    return turn(x, 1);
}

/* ---- what losses and activations use ----------------------------------------------------------------------------- */
double ul_tanh(double x)
{
    if (x != x) return x;
    const double t = ul_expm1(2.0 * fabs(x)), v = t > 2.0 ? 1.0 - 2.0 / (t + 2.0) : t / (t + 2.0);
    return copysign(v, x);
}

double ul_sigmoid(double x)
{
    const double e = ul_exp(-fabs(x));
    return (x < 0.0 ? e : 1.0) / (1.0 + e);
}

double ul_log_sigmoid(double x)
{
    return (x < 0.0 ? x : 0.0) - ul_log1p(ul_exp(-fabs(x)));
}

/* 2/sqrt(pi) e^(-a^2) sum_n 2^n a^(2n+1) / (2n+1)!! for a < 2: all terms positive, summed from the last. The factors of
 * the first terms exceed 1 and would let rounding errors grow, hence double-double there. */
static double erf_series(double a, double z, double z_lo)
{
    dd sum = {1.0, 0.0};
    int n = a < 0.5 ? 14 : 40;
    for (; n > 8; n--) sum.hi = fma(2.0 * z / (2 * n + 1), sum.hi, 1.0);
    for (; n >= 1; n--) {
        const double d = 2 * n + 1, q = 2.0 * z / d;
        const dd t = dd_mul((dd){q, fma(-q, d, 2.0 * z) / d}, sum);
        sum = dd_sum(1.0, t.hi);
        sum.lo += t.lo;
    }
    const dd v = dd_mul(dd_mul((dd){0x1.20dd750429b6dp+0, 0x1.1ae3a914fed80p-56}, (dd){a, 0.0}), sum);
    double k;
    const double t = expm1_small(exp_reduce(-z, &k));
    return ldexp(v.hi + fma(v.hi, t, fma(-z_lo, v.hi, v.lo) * (1.0 + t)), (int)k);
}

/* 1 - e^(-a^2) / sqrt(pi) / (a + (1/2)/(a + (2/2)/(a + (3/2)/(a + ...)))) for a >= 2. */
static double erf_fraction(double a, double z, double z_lo)
{
    const double e = ul_exp(-z);
    double f = a;
    for (int n = 40; n >= 1; n--) f = a + 0.5 * n / f;
    return 1.0 - fma(-z_lo, e, e) * 0x1.20dd750429b6dp-1 / f;
}

double ul_erf(double x)
{
    const double a = fabs(x), z = a * a, z_lo = fma(a, a, -z);
    if (!(a < 6.0)) return x != x ? x : copysign(1.0, x);
    if (a < 0x1p-30) return x * 0x1.20dd750429b6dp+0;
    return copysign(a < 2.0 ? erf_series(a, z, z_lo) : erf_fraction(a, z, z_lo), x);
}
