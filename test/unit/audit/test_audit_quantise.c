/* Number formats of the quantisation probe: NF4 and FP4 against bitsandbytes' own numbers,
 * the rest against TV-14 of the vectors. */
#include "ul_test.h"
#include "audit/battery.h"
#include <math.h>

static ul_ctx *ctx;

static const ul_tensor *find(const ul_tensors *t, const char *name)
{
    const ul_tensor *x;
    UL_OK_IN(ctx, ul_tensors_need(ctx, t, name, &x));
    return x;
}

static void bitsandbytes(void **state)
{
    ul_tensors *t;
    json_t *golden;
    size_t i;
    json_t *c;
    int64_t compared = 0;
    ul_arena *a = ul_ctx_arena(ctx);
    (void)state;
    UL_OK_IN(ctx, ul_json_load(ctx, a, ul_test_shared("golden/gguf/bitsandbytes-4bit/golden.json"), &golden));
    UL_OK_IN(ctx, ul_tensors_open(ctx, a, ul_test_shared("golden/gguf/bitsandbytes-4bit/golden.safetensors"), &t));
    json_array_foreach(json_object_get(golden, "cases"), i, c)
    {
        const char *name = json_string_value(json_object_get(c, "name")),
                   *type = json_string_value(json_object_get(c, "quant_type"));
        if (json_is_true(json_object_get(c, "double_quant"))) continue; /* absmax is rounded too: another format */
        const ul_tensor *in = find(t, ul_format(a, "%s.input", name)),
                        *want = find(t, ul_format(a, "%s.dequantised", name));
        const int64_t n = (int64_t)(in->bytes / sizeof(float));
        float *x = UL_NEW(a, float, n);
        memcpy(x, in->data, in->bytes);
        ul_quantise(!strcmp(type, "nf4") ? UL_NF4 : UL_FP4, json_integer_value(json_object_get(c, "blocksize")), x, 1,
                    n);
        for (int64_t k = 0; k < n; k++) {
            float w;
            memcpy(&w, (const char *)want->data + k * (int64_t)sizeof w, sizeof w);
            if (!(fabsf(x[k] - w) <= 1e-9f + 1e-6f * fabsf(w)))
                fail_msg("%s, element %lld: %.9g, bitsandbytes has %.9g", name, (long long)k, x[k], w);
        }
        compared += n;
    }
    assert_true(compared > 1000);
}

static void vectors(void **state)
{
    static const float row[8] = {0.9f, -0.33f, 0.05f, 0.0f, -1.2f, 0.6f, 0.31f, -0.02f};
    static const struct {
        int scheme;
        double want[8];
    } tv[] = {
        {UL_INT8_ROWS,
         {0.8976377952755905, -0.33070866141732286, 0.047244094488188976, 0, -1.2, 0.6047244094488189,
          0.31181102362204727, -0.01889763779527559}},
        {UL_RTN4, {0.8571428571428572, -0.34285714285714286, 0, 0, -1.2, 0.6857142857142857, 0.34285714285714286, 0}},
        {UL_NF4,
         {0.8675482034683227, -0.3413296580314636, 0.09549635946750641, 0, -1.2, 0.5288517951965331, 0.2953347623348236,
          0}},
        {UL_FP4, {0.7999999999999999, -0.3, 0.0062499999999999995, 0, -1.2, 0.6, 0.3, -0.0062499999999999995}}};
    (void)state;
    for (size_t i = 0; i < sizeof tv / sizeof *tv; i++) {
        float x[8], zero[8] = {0};
        memcpy(x, row, sizeof x);
        ul_quantise(tv[i].scheme, 8, x, 1, 8);
        for (int k = 0; k < 8; k++)
            if (fabs(x[k] - tv[i].want[k]) > 1e-6)
                fail_msg("scheme %d, element %d: %.9g, wanted %.9g", tv[i].scheme, k, x[k], tv[i].want[k]);
        ul_quantise(tv[i].scheme, 8, zero, 1, 8); /* a block of zeros stays one */
        for (int k = 0; k < 8; k++) assert_true(zero[k] == 0);
    }
    /* groups have their own scale, int8 has one a row */
    float x[4] = {1, 0.5f, 100, 50}, y[4] = {1, 0.5f, 100, 50};
    ul_quantise(UL_RTN4, 2, x, 1, 4);
    assert_true(x[0] == 1 && x[2] == 100 && fabsf(x[1] - 0.5714286f) < 1e-6f);
    ul_quantise(UL_INT8_ROWS, 2, y, 2, 2);
    assert_true(y[0] == 1 && y[2] == 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(bitsandbytes), cmocka_unit_test(vectors)};
    ctx = ul_test_ctx();
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    ul_ctx_free(ctx);
    return failed;
}
