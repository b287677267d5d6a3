/* The transcendental functions against the C library's long double ones (64-bit significands on x86, more elsewhere):
 * sampled over the whole range of each, the worst error in units in the last place stays below the promised bound. */
#include "ul_test.h"
#include <float.h>
#include <math.h>

static double ulps(double got, long double want)
{
    int e;
    if (isinf(got) && fabsl(want) > (long double)DBL_MAX) return 0;
    frexpl(want, &e);
    if (e < -1021) e = -1021;
    return (double)(fabsl((long double)got - want) / ldexpl(1.0L, e - 53));
}

static double u(uint64_t i)
{
    return ul_rng_uniform(11, UL_STREAM_TEST, 0, i);
}

static long double sigmoidl(long double x)
{
    return x < 0 ? expl(x) / (1 + expl(x)) : 1 / (1 + expl(-x));
}

static long double log_sigmoidl(long double x)
{
    return (x < 0 ? x : 0) - log1pl(expl(-fabsl(x)));
}

typedef struct {
    const char *name;
    double (*f)(double);
    long double (*truth)(long double);
    double lo, hi, bound;
    bool by_magnitude; /* x = +- 2^t with t uniform in lo .. hi */
    bool positive;
} job;

static const job jobs[] = {
    {"exp", ul_exp, expl, -708, 709.7, 2, false, false},
    {"exp", ul_exp, expl, -60, 9, 2, true, false},
    {"exp subnormal", ul_exp, expl, -745, -708, 2, false, false},
    {"expm1", ul_expm1, expm1l, -50, 60, 4, false, false},
    {"expm1", ul_expm1, expm1l, -1, 1, 4, false, false},
    {"expm1", ul_expm1, expm1l, -60, 9, 4, true, false},
    {"log", ul_log, logl, 0.5, 2, 2, false, true},
    {"log", ul_log, logl, 0.99, 1.01, 2, false, true},
    {"log", ul_log, logl, -1070, 1023, 2, true, true},
    {"log1p", ul_log1p, log1pl, -0.999, 2, 4, false, false},
    {"log1p", ul_log1p, log1pl, -60, 1000, 4, true, true},
    {"sin", ul_sin, sinl, -10, 10, 2, false, false},
    {"sin", ul_sin, sinl, -60, 29.99, 2, true, false},
    {"cos", ul_cos, cosl, -10, 10, 2, false, false},
    {"cos", ul_cos, cosl, -60, 29.99, 2, true, false},
    {"tanh", ul_tanh, tanhl, -3, 3, 4, false, false},
    {"tanh", ul_tanh, tanhl, -60, 6, 4, true, false},
    {"erf", ul_erf, erfl, -6.5, 6.5, 4, false, false},
    {"erf", ul_erf, erfl, -60, 2, 4, true, false},
    {"sigmoid", ul_sigmoid, sigmoidl, -700, 700, 4, false, false},
    {"sigmoid", ul_sigmoid, sigmoidl, -20, 20, 4, false, false},
    {"log_sigmoid", ul_log_sigmoid, log_sigmoidl, -700, 700, 4, false, false},
    {"log_sigmoid", ul_log_sigmoid, log_sigmoidl, -20, 20, 4, false, false},
};

static void within_bounds(void **state)
{
    (void)state;
    enum { N = 40000 };
    for (size_t k = 0; k < sizeof jobs / sizeof jobs[0]; k++) {
        const job *j = &jobs[k];
        double worst = 0, at = 0;
        for (uint64_t i = 0; i < N; i++) {
            double x = j->lo + (j->hi - j->lo) * u(k * N + i);
            if (j->by_magnitude) x = (i & 1 && !j->positive ? -1.0 : 1.0) * exp2(x);
            const double e = ulps(j->f(x), j->truth((long double)x));
            if (!(e <= worst)) worst = e, at = x;
        }
        if (getenv("UL_VERBOSE"))
            printf("%-14s %10.4g .. %-10.4g worst %.3f ulp at %.17g\n", j->name, j->lo, j->hi, worst, at);
        if (!(worst <= j->bound)) fail_msg("%s: %.3f ulp at %.17g, the bound is %g", j->name, worst, at, j->bound);
    }
}

/* Near multiples of pi/2 all leading bits cancel. */
static void near_zeros_of_sin(void **state)
{
    (void)state;
    for (int i = 1; i < 20000; i++) {
        const double x = (double)(1.57079632679489661923132169163975144L * (long double)i * (1 + (i % 7) * 811));
        if (x >= 0x1p30) break;
        assert_true(ulps(ul_sin(x), sinl((long double)x)) <= 2 + fabs(x) * 0x1p-60 / fabs(ul_sin(x)));
        assert_true(ulps(ul_cos(x), cosl((long double)x)) <= 2 + fabs(x) * 0x1p-60 / fabs(ul_cos(x)));
    }
}

static void power(void **state)
{
    (void)state;
    double worst = 0;
    for (uint64_t i = 0; i < 200000; i++) {
        const double x = i & 1 ? exp2(2000 * u(2 * i) - 1000) : 0.5 + u(2 * i);
        const double y = (2 * u(2 * i + 1) - 1) * (i & 1 ? 690 / fabs(log(x)) : i & 2 ? 900 : 3);
        const long double want = powl((long double)x, (long double)y);
        if (want < (long double)DBL_MIN || want > (long double)DBL_MAX) continue;
        const double e = ulps(ul_pow(x, y), want);
        if (e > worst) worst = e;
        if (e > 4) fail_msg("pow(%.17g, %.17g): %.3f ulp", x, y, e);
    }
    if (getenv("UL_VERBOSE")) printf("pow            worst %.3f ulp\n", worst);
    assert_true(ul_pow(10000.0, 0.0) == 1.0 && ul_pow(1.0, 1e300) == 1.0 && ul_pow(2.0, 10.0) == 1024.0);
    assert_true(ul_pow(0.0, 2.0) == 0.0 && isinf(ul_pow(0.0, -1.0)));
    assert_true(isinf(ul_pow(2.0, 1e9)) && ul_pow(2.0, -1e9) == 0.0);
    assert_true(isnan(ul_pow(-1.0, 0.5)) && isnan(ul_pow(NAN, 2.0)) && isnan(ul_pow(2.0, NAN)));
}

static void edges(void **state)
{
    (void)state;
    assert_true(ul_exp(0.0) == 1.0 && isinf(ul_exp(1000.0)) && ul_exp(-1000.0) == 0.0 && isnan(ul_exp(NAN)));
    assert_true(isinf(ul_exp(INFINITY)) && ul_exp(-INFINITY) == 0.0);
    assert_true(ul_expm1(0.0) == 0.0 && ul_expm1(-1000.0) == -1.0 && isinf(ul_expm1(1000.0)) && isnan(ul_expm1(NAN)));
    assert_true(ul_log(1.0) == 0.0 && isinf(ul_log(0.0)) && isinf(ul_log(INFINITY)));
    assert_true(isnan(ul_log(-1.0)) && isnan(ul_log(NAN)));
    assert_true(ul_log1p(0.0) == 0.0 && isinf(ul_log1p(-1.0)) && isnan(ul_log1p(-2.0)) && isnan(ul_log1p(NAN)));
    assert_true(ul_sin(0.0) == 0.0 && ul_cos(0.0) == 1.0 && isnan(ul_sin(NAN)) && isnan(ul_cos(INFINITY)));
    assert_true(ul_tanh(0.0) == 0.0 && ul_tanh(100.0) == 1.0 && ul_tanh(-INFINITY) == -1.0 && isnan(ul_tanh(NAN)));
    assert_true(ul_erf(0.0) == 0.0 && ul_erf(10.0) == 1.0 && ul_erf(-INFINITY) == -1.0 && isnan(ul_erf(NAN)));
    assert_true(ul_sigmoid(0.0) == 0.5 && ul_sigmoid(1000.0) == 1.0);
    assert_true(ul_sigmoid(-1000.0) == 0.0 && isnan(ul_sigmoid(NAN)));
    assert_true(ul_log_sigmoid(1000.0) == 0.0 && ul_log_sigmoid(-1000.0) == -1000.0 && isnan(ul_log_sigmoid(NAN)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(within_bounds),
        cmocka_unit_test(near_zeros_of_sin),
        cmocka_unit_test(power),
        cmocka_unit_test(edges),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
