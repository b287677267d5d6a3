/* Parameter tables: defaults, parsing, bounds, messages, and the nearest name. */
#include "ul_test.h"
#include <math.h>

static const ul_param table[] = {
    {"beta", UL_REAL, 0.1, 0, 10, NULL, "inverse temperature", NULL},
    {"layers", UL_INT, 3, 1, 99, "layers", "how many", NULL},
    {"exact", UL_BOOL, 1, 0, 1, NULL, "a switch", NULL},
    {"term", UL_TEXT, 0, 0, 0, "nll|kl", "the retain term", "nll"},
    {"name", UL_TEXT, 0, 0, 0, NULL, "free text", NULL},
    {0},
};

static void values(void **state)
{
    (void)state;
    ul_ctx *ctx = ul_test_ctx();
    ul_arena *arena = ul_ctx_arena(ctx);
    ul_args a;
    ul_args_default(table, &a);
    assert_true(ul_num(&a, "beta") == 0.1 && ul_num(&a, "layers") == 3 && ul_num(&a, "exact") == 1);
    assert_string_equal(ul_txt(&a, "term"), "nll");
    assert_null(ul_txt(&a, "name"));
    assert_true(isnan(ul_num(&a, "nothing")));
    char text[8] = "kl";
    UL_OK_IN(ctx, ul_args_set(arena, &a, "npo", "beta", "2.5e-1"));
    UL_OK_IN(ctx, ul_args_set(arena, &a, "npo", "layers", "42"));
    UL_OK_IN(ctx, ul_args_set(arena, &a, "npo", "exact", "off"));
    UL_OK_IN(ctx, ul_args_set(arena, &a, "npo", "term", text));
    text[0] = 'x'; /* the value was copied */
    assert_true(ul_num(&a, "beta") == 0.25 && ul_num(&a, "layers") == 42 && ul_num(&a, "exact") == 0);
    assert_string_equal(ul_txt(&a, "term"), "kl");
    ul_ctx_free(ctx);
}

static void refusals(void **state)
{
    (void)state;
    ul_ctx *ctx = ul_test_ctx();
    ul_arena *arena = ul_ctx_arena(ctx);
    ul_args a;
    ul_args_default(table, &a);
    UL_FAILS_IN(ctx, UL_E_USAGE, "did you mean \"beta\"", ul_args_set(arena, &a, "npo", "bata", "1"));
    UL_FAILS_IN(ctx, UL_E_USAGE, "it has beta, layers", ul_args_set(arena, &a, "npo", "zzzzzz", "1"));
    UL_FAILS_IN(ctx, UL_E_USAGE, "npo.beta = 11 is out of its bounds, 0 to 10; its default, the paper's where there is "
                "one, is 0.1 (inverse temperature)",
                ul_args_set(arena, &a, "npo", "beta", "11"));
    UL_FAILS_IN(ctx, UL_E_USAGE, "not \"1x\"", ul_args_set(arena, &a, "npo", "beta", "1x"));
    UL_FAILS_IN(ctx, UL_E_USAGE, "whole number", ul_args_set(arena, &a, "npo", "layers", "1.5"));
    UL_FAILS_IN(ctx, UL_E_USAGE, "1 to 99", ul_args_set(arena, &a, "npo", "layers", "0"));
    UL_FAILS_IN(ctx, UL_E_USAGE, "--layers = 0 is out of its bounds, 1 to 99; its default is 3",
                ul_args_set(arena, &a, NULL, "layers", "0"));
    UL_FAILS_IN(ctx, UL_E_USAGE, "true or false", ul_args_set(arena, &a, "npo", "exact", "2"));
    UL_FAILS_IN(ctx, UL_E_USAGE, "nll|kl", ul_args_set(arena, &a, "npo", "term", "k"));
    assert_true(ul_num(&a, "beta") == 0.1); /* a refused value changes nothing */
    ul_args none;
    ul_args_default(NULL, &none);
    UL_FAILS_IN(ctx, UL_E_USAGE, "ga takes no parameters", ul_args_set(arena, &none, "ga", "beta", "1"));
    ul_ctx_free(ctx);
}

static void numbers(void **state)
{
    (void)state;
    double x;
    int64_t n;
    const char *const junk[] = {"", " 1", "1 ", "nan", "inf", "1e999", "0x10", "1,5", "--1", "1e", ".", NULL};
    for (int i = 0; junk[i]; i++)
        if (ul_parse_real(junk[i], &x)) fail_msg("\"%s\" was taken for a number", junk[i]);
    assert_true(ul_parse_real("-1.5e-3", &x) && x == -1.5e-3);
    const char *const not_int[] = {"", "1.0", "9223372036854775808", " 7", "7 ", "+-7", "0x7", NULL};
    for (int i = 0; not_int[i]; i++)
        if (ul_parse_int(not_int[i], &n)) fail_msg("\"%s\" was taken for a whole number", not_int[i]);
    assert_true(ul_parse_int("-9223372036854775808", &n) && n == INT64_MIN);
}

static void nearest(void **state)
{
    (void)state;
    const char *const names[] = {"npo", "simnpo", "graddiff", "--micro-batch", NULL};
    assert_string_equal(ul_nearest("nop", names), "npo"); /* a swap */
    assert_string_equal(ul_nearest("simpo", names), "simnpo");
    assert_string_equal(ul_nearest("grad_dif", names), "graddiff");
    assert_string_equal(ul_nearest("--microbatch", names), "--micro-batch");
    assert_string_equal(ul_nearest("npo", names), "npo");
    assert_string_equal(ul_nearest("NPO", names), "npo");
    assert_null(ul_nearest("rmu", names));
    assert_null(ul_nearest("completely", names));
    char longer[300];
    memset(longer, 'x', 299);
    longer[299] = 0;
    assert_null(ul_nearest(longer, names));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values),
        cmocka_unit_test(refusals),
        cmocka_unit_test(numbers),
        cmocka_unit_test(nearest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
