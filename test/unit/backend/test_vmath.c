/* test_vmath.c - the f32 functions against double libm: every exponent, both signs, denormals, the ends and NaN. */
#define UL_TARGET portable
#define UL_TARGET_portable 1
#include "backend/kernel/kernel.h"
#include "unit/backend/product.h"
#include <float.h>

static const double MAX_ULP = 2;

static double ulp_at(double y)
{
    int e;
    frexp(y, &e);
    return ldexp(1, e - 24 < -149 ? -149 : e - 24);
}
/* Distance in units of the last place; what rounds to infinity must be infinite. */
static double error_ulp(float got, double want)
{
    if (isnan(want)) return isnan(got) ? 0 : INFINITY;
    if (isinf((float)want) || isinf(got))
        return (double)got == (double)(float)want || fabs(want) > FLT_MAX * (1 - 2 * FLT_EPSILON) ? 0 : INFINITY;
    return fabs((double)got - want) / ulp_at(want);
}
static double sigmoid(double x) { return 1 / (1 + exp(-x)); }

typedef struct {
    const char *name;
    float (*got)(float);
    double (*want)(double);
} function;
static const function functions[] = {
    {"exp", v_exp, exp}, {"log", v_log, log}, {"tanh", v_tanh, tanh}, {"erf", v_erf, erf},
    {"sigmoid", v_sigmoid, sigmoid}};

static void check(const function *f, float x, double *worst, float *where)
{
    const double e = error_ulp(f->got(x), f->want(x));
    if (e > *worst) *worst = e, *where = x;
}

static void within_two_ulp(void **state)
{
    (void)state;
    enum { EACH = 512 };
    for (size_t k = 0; k < sizeof functions / sizeof *functions; k++) {
        const function *f = &functions[k];
        double worst = 0;
        float where = 0;
        for (uint32_t top = 0; top < 512; top++) /* sign and exponent, infinities and NaN included */
            for (uint32_t i = 0; i < EACH; i++) {
                const uint32_t random = (uint32_t)(ul_rng(1, UL_STREAM_TEST, top, i) >> 41);
                check(f, bits_float(top << 23 | (i == 0 ? 0 : i == 1 ? 0x7fffff : random)), &worst, &where);
            }
        for (int i = -160000; i <= 160000; i++) check(f, (float)i / 1200, &worst, &where); /* where exp is finite */
        print_message("%-8s %.3f ulp at %a\n", f->name, worst, (double)where);
        if (!(worst <= MAX_ULP)) fail_msg("%s: %g ulp at %a", f->name, worst, (double)where);
    }
}

static void exact_points(void **state)
{
    (void)state;
    assert_true(v_exp(0) == 1 && v_exp(-INFINITY) == 0 && isinf(v_exp(89)) && v_exp(-104) == 0);
    assert_true(v_exp(-103) > 0 && v_exp(-103) < FLT_MIN); /* denormals are kept */
    assert_true(v_log(1) == 0 && v_log(0) == -INFINITY && isnan(v_log(-1)) && isinf(v_log(INFINITY)));
    assert_true(v_tanh(INFINITY) == 1 && v_tanh(-INFINITY) == -1 && v_tanh(1e-45f) == 1e-45f);
    assert_true(v_erf(INFINITY) == 1 && v_erf(-10) == -1 && signbit(v_erf(-0.0f)));
    assert_true(v_sigmoid(0) == 0.5f && v_sigmoid(200) == 1 && v_sigmoid(-100) > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(within_two_ulp), cmocka_unit_test(exact_points)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
