/* JSON: what is accepted, and that each refusal names the file, the place and what was expected. */
#include "io_fixture.h"
#include <float.h>
#include <math.h>

static ul_status parse(const char *text, size_t n, json_t **out)
{
    return ul_json_parse(ctx, arena, "f.json", text, n, 0, out);
}

static void syntax(void **state)
{
    (void)state;
    json_t *v;
    const struct {
        const char *text, *message;
    } bad[] = {{"", "f.json: is empty"},
               {"{\n \"a\": 1,\n}", "f.json:3:1: "},
               {"{\"a\": NaN}", "f.json:1:"},
               {"[1, Infinity]", "f.json:1:"},
               {"\xef\xbb\xbf{}", "byte 0: a byte-order mark"},
               {"\xff\xfe{", "byte 0: is UTF-16"},
               {"{\n\"a\": \"\xc3(\"}", "f.json: byte 8 (line 2): 0xC3 is not valid UTF-8"},
               {"[1e999]", "f.json:1:"},
               {"{} x", "f.json:1:"},
               {"[\"\\ud800\"]", "f.json:1:"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        UL_FAILS_IN(ctx, UL_E_INPUT, bad[i].message, parse(bad[i].text, strlen(bad[i].text), &v));
        assert_null(v);
    }
    UL_FAILS_IN(ctx, UL_E_INPUT, "duplicate",
                ul_json_parse(ctx, arena, "f", "{\"a\":1,\"a\":2}", 13, JSON_REJECT_DUPLICATES, &v));
    UL_OK_IN(ctx, parse("[\"a\\u0000b\"]", 12, &v));
    assert_int_equal(json_string_length(json_array_get(v, 0)), 3);
}

static void members(void **state)
{
    (void)state;
    json_t *v, *sub = NULL;
    int64_t i = 5;
    double x = 0.5;
    bool b = true;
    const char *s = "default";
    const char text[] =
        "{\"i\": 7, \"whole\": 8.0, \"x\": 1.5, \"b\": false, \"s\": \"t\", \"o\": {}, \"a\": [], \"n\": null,"
        " \"nul\": \"a\\u0000\"}";
    UL_OK_IN(ctx, parse(text, sizeof text - 1, &v));
    UL_OK_IN(ctx, ul_json_int(ctx, v, "f", "none", UL_OPTIONAL, 0, 9, &i));
    UL_OK_IN(ctx, ul_json_int(ctx, v, "f", "n", UL_OPTIONAL, 0, 9, &i));
    assert_int_equal(i, 5);
    UL_OK_IN(ctx, ul_json_int(ctx, v, "f", "i", UL_REQUIRED, 0, 9, &i));
    assert_int_equal(i, 7);
    UL_OK_IN(ctx, ul_json_int(ctx, v, "f", "whole", UL_REQUIRED, 0, 9, &i));
    assert_int_equal(i, 8);
    UL_FAILS_IN(ctx, UL_E_INPUT, "f: \"i\" is 7, from 8 to 9", ul_json_int(ctx, v, "f", "i", UL_REQUIRED, 8, 9, &i));
    UL_FAILS_IN(ctx, UL_E_INPUT, "f: \"i\" is 7, from 0 to 6", ul_json_int(ctx, v, "f", "i", UL_REQUIRED, 0, 6, &i));
    UL_FAILS_IN(ctx, UL_E_INPUT, "\"x\" is a real number, an integer",
                ul_json_int(ctx, v, "f", "x", UL_REQUIRED, 0, 9, &i));
    UL_FAILS_IN(ctx, UL_E_INPUT, "\"s\" is the string \"t\"", ul_json_int(ctx, v, "f", "s", UL_OPTIONAL, 0, 9, &i));
    UL_FAILS_IN(ctx, UL_E_INPUT, "\"none\" is missing", ul_json_int(ctx, v, "f", "none", UL_REQUIRED, 0, 9, &i));
    UL_FAILS_IN(ctx, UL_E_INPUT, "\"n\" is null", ul_json_int(ctx, v, "f", "n", UL_REQUIRED, 0, 9, &i));
    assert_int_equal(i, 8);
    UL_OK_IN(ctx, ul_json_real(ctx, v, "f", "x", UL_REQUIRED, &x));
    assert_true(x == 1.5);
    UL_OK_IN(ctx, ul_json_real(ctx, v, "f", "i", UL_REQUIRED, &x));
    assert_true(x == 7);
    UL_FAILS_IN(ctx, UL_E_INPUT, "\"b\" is false, a number", ul_json_real(ctx, v, "f", "b", UL_REQUIRED, &x));
    UL_OK_IN(ctx, ul_json_bool(ctx, v, "f", "b", UL_REQUIRED, &b));
    assert_false(b);
    UL_FAILS_IN(ctx, UL_E_INPUT, "\"i\" is an integer, true or", ul_json_bool(ctx, v, "f", "i", UL_REQUIRED, &b));
    UL_OK_IN(ctx, ul_json_text(ctx, v, "f", "none", UL_OPTIONAL, &s));
    assert_string_equal(s, "default");
    UL_OK_IN(ctx, ul_json_text(ctx, v, "f", "s", UL_REQUIRED, &s));
    assert_string_equal(s, "t");
    UL_FAILS_IN(ctx, UL_E_INPUT, "NUL at byte 1 of 2", ul_json_text(ctx, v, "f", "nul", UL_REQUIRED, &s));
    UL_OK_IN(ctx, ul_json_object(ctx, v, "f", "o", UL_REQUIRED, &sub));
    assert_true(json_is_object(sub));
    UL_FAILS_IN(ctx, UL_E_INPUT, "\"a\" is an array, an object", ul_json_object(ctx, v, "f", "a", UL_REQUIRED, &sub));
    UL_OK_IN(ctx, ul_json_array(ctx, v, "f", "a", UL_REQUIRED, &sub));
    assert_true(json_is_array(sub));
    UL_FAILS_IN(ctx, UL_E_INPUT, "holds an array", ul_json_array(ctx, sub, "f", "a", UL_REQUIRED, &sub));
}

/* tokenizer_config.json of many models: "model_max_length": 1000000000000000019884624838656 */
static void huge_integers(void **state)
{
    (void)state;
    json_t *v;
    int64_t i;
    double x;
    const char text[] = "{\"big\": 1000000000000000019884624838656, \"small\": 12}";
    UL_OK_IN(ctx, parse(text, sizeof text - 1, &v));
    UL_OK_IN(ctx, ul_json_int(ctx, v, "f", "small", UL_REQUIRED, 0, 99, &i));
    assert_int_equal(i, 12);
    UL_OK_IN(ctx, ul_json_real(ctx, v, "f", "big", UL_REQUIRED, &x));
    assert_true(x == 1e30);
    UL_FAILS_IN(ctx, UL_E_INPUT, "\"big\" is 1e+30, an integer from 0",
                ul_json_int(ctx, v, "f", "big", UL_REQUIRED, 0, INT64_MAX, &i));
}

static void save_and_load(void **state)
{
    (void)state;
    const char *path = in("a.json");
    const double real[] = {0.1, 1.0 / 3, DBL_MIN, DBL_MAX, -0.0, 5e-324, 1e22, 123456789.123456789};
    const size_t n = sizeof real / sizeof *real;
    json_t *list = json_array(), *v;
    for (size_t i = 0; i < n; i++) json_array_append_new(list, json_real(real[i]));
    json_array_append_new(list, json_integer(INT64_MIN));
    json_array_append_new(list, json_string("\xe2\x82\xac/\""));
    UL_OK_IN(ctx, ul_json_own(arena, list));
    UL_OK_IN(ctx, ul_json_save(ctx, path, list));
    UL_OK_IN(ctx, ul_json_load(ctx, arena, path, &v));
    assert_true(json_equal(list, v));
    for (size_t i = 0; i < n; i++) {
        const double got = json_real_value(json_array_get(v, i));
        assert_memory_equal(&got, &real[i], sizeof got);
    }
    ul_fault_set(ctx, UL_FAULT_WRITE, 1);
    json_array_clear(v);
    UL_FAILS_IN(ctx, UL_E_RESOURCE, "a.json: no space left", ul_json_save(ctx, path, v));
    UL_OK_IN(ctx, ul_json_load(ctx, arena, path, &v));
    assert_true(json_equal(list, v)); /* the old file is untouched */
    UL_FAILS_IN(ctx, UL_E_RESOURCE, "JSON", ul_json_own(arena, NULL));
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {T(syntax), T(members), T(huge_integers), T(save_and_load)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
