/* Number formats: every f16 and bf16 pattern; rounding against the definition (the nearest of the two neighbours). */
#include "io/io.h"
#include "ul_test.h"
#include <math.h>

/* Value of a pattern with `frac` fraction bits and `bias`, from the definition of IEEE 754. */
static double value(uint32_t h, int frac, int bias)
{
    const int e_bits = 15 - frac, e = (int)(h >> frac) & ((1 << e_bits) - 1), m = (int)h & ((1 << frac) - 1);
    const double sign = h & 0x8000 ? -1 : 1;
    if (e == (1 << e_bits) - 1) return m ? NAN : sign * INFINITY;
    return sign * (e ? ldexp((1 << frac) + m, e - bias - frac) : ldexp(m, 1 - bias - frac));
}

typedef struct {
    ul_dtype dtype;
    int frac, bias;
    uint32_t inf;
} kind;
static const kind f16 = {UL_DT_F16, 10, 15, 0x7c00}, bf16 = {UL_DT_BF16, 7, 127, 0x7f80};

static uint16_t narrow64(const kind *k, double x)
{
    uint16_t h;
    assert_true(ul_dtype_from_f64(k->dtype, &x, 1, &h));
    return h;
}

static uint16_t narrow32(const kind *k, float x)
{
    uint16_t h;
    assert_true(ul_dtype_from_f32(k->dtype, &x, 1, &h));
    return h;
}

static void both(const kind *k, double x, uint32_t want)
{
    if (narrow64(k, x) != want || narrow64(k, -x) != (want | 0x8000))
        fail_msg("%s of %a: %04x and %04x, %04x expected", ul_dtype_name(k->dtype), x, narrow64(k, x), narrow64(k, -x),
                 want);
    if ((double)(float)x == x && narrow32(k, (float)x) != want)
        fail_msg("%s of float %a: %04x, %04x expected", ul_dtype_name(k->dtype), x, narrow32(k, (float)x), want);
}

static void every_pattern(const kind *k)
{
    for (uint32_t h = 0; h < 65536; h++) {
        const uint16_t in = (uint16_t)h;
        float x;
        double y;
        assert_true(ul_dtype_to_f32(k->dtype, &in, 1, &x));
        assert_true(ul_dtype_to_f64(k->dtype, &in, 1, &y));
        const double want = value(h, k->frac, k->bias);
        if (isnan(want)) {
            assert_true(isnan(x) && isnan(y));
        } else {
            assert_true((double)x == want && y == want && !signbit(x) == !signbit(want));
            assert_int_equal(narrow64(k, y), h);
        }
        assert_int_equal(narrow32(k, x), h); /* NaN keeps its payload: load then save is the identity */
    }
    /* between every pattern and the next: the middle goes to the even one, a hair beside it to the nearer one */
    for (uint32_t h = 0; h < k->inf; h++) {
        const double a = value(h, k->frac, k->bias);
        const double b = h + 1 < k->inf ? value(h + 1, k->frac, k->bias) : 2 * a - value(h - 1, k->frac, k->bias);
        const double mid = a + (b - a) / 2;
        both(k, mid, h & 1 ? h + 1 : h);
        both(k, nextafter(mid, a), h);
        both(k, nextafter(mid, b), h + 1);
        both(k, a + (b - a) / 4, h);
        both(k, a + (b - a) * 3 / 4, h + 1);
        both(k, (double)nextafterf((float)mid, 0), h);
        both(k, (double)nextafterf((float)mid, INFINITY), h + 1);
    }
    both(k, INFINITY, k->inf);
    both(k, 1e300, k->inf);
    both(k, 1e-300, 0);
    const uint32_t nan = narrow64(k, NAN);
    assert_true((nan & 0x7fff) > k->inf);
    /* a NaN whose payload lies below the kept bits must not become an infinity */
    const uint32_t low = 0x7f800001;
    float x;
    memcpy(&x, &low, sizeof x);
    assert_true((narrow32(k, x) & 0x7fffu) > k->inf);
}

static void halves(void **state)
{
    (void)state;
    every_pattern(&f16);
}

static void brains(void **state)
{
    (void)state;
    every_pattern(&bf16);
}

/* Unaligned arrays of every format, extremes included. */
static void arrays(void **state)
{
    (void)state;
    enum { N = 5 };
    const int64_t integers[N] = {0, 1, -1, 127, -128};
    for (int d = 0; d < UL_DTYPES; d++) {
        const size_t size = ul_dtype_size((ul_dtype)d);
        const bool eight = d == UL_DT_F8_E4M3 || d == UL_DT_F8_E5M2, real = ul_dtype_is_float((ul_dtype)d);
        const bool plain = d == UL_DT_U8 || d == UL_DT_U16 || d == UL_DT_U32 || d == UL_DT_BOOL;
        unsigned char raw[1 + 8 * N];
        double y[N], in[N];
        float x[N];
        int64_t i[N];
        for (int k = 0; k < N; k++) {
            memcpy(raw + 1 + (size_t)k * size, &integers[k], size); /* little-endian */
            in[k] = (double)integers[k];
        }
        if (real) assert_true(ul_dtype_from_f64((ul_dtype)d, in, N, raw + 1));
        assert_int_equal(ul_dtype_to_f64((ul_dtype)d, raw + 1, N, y), !eight);
        assert_int_equal(ul_dtype_to_f32((ul_dtype)d, raw + 1, N, x), !eight);
        assert_int_equal(ul_dtype_to_i64((ul_dtype)d, raw + 1, N, i), !eight && !real);
        for (int k = 0; k < N && !eight && d != UL_DT_U64; k++) {
            const int64_t mask = d == UL_DT_BOOL ? 1 : size < 8 ? (INT64_C(1) << 8 * size) - 1 : -1;
            const int64_t want = d == UL_DT_BOOL ? integers[k] != 0 : plain ? integers[k] & mask : integers[k];
            assert_true(y[k] == (double)want && x[k] == (float)want);
            if (!real) assert_int_equal(i[k], want);
        }
    }
    const float f[2] = {1.5f, -2};
    double g[2];
    assert_true(ul_dtype_from_f32(UL_DT_F64, f, 2, g));
    assert_true(g[0] == 1.5 && g[1] == -2);
    assert_false(ul_dtype_from_f32(UL_DT_I32, f, 2, g));
    assert_string_equal(ul_dtype_name(UL_DT_BF16), "BF16");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(halves), cmocka_unit_test(brains), cmocka_unit_test(arrays)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
