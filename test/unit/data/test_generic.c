/* Generic relabelling: which words are replaced, and which token of a translation stands where one of the text does. */
#include "data/data.h"
#include "ul_test.h"

static void test_text(void **state)
{
    static const char *term[] = {"Ana", "Ana Mo", "the school", "é"}, *generic[] = {"Bo", "Somebody", "a house", "e"};
    const ul_terms terms = {term, generic, 4};
    static const char *const pair[][2] = {{"Ana saw the school.", "Bo saw a house."},
                                          {"Ana Mo, Ana Moss", "Somebody, Bo Moss"},
                                          {"Anna and banAna", "Anna and banAna"},
                                          {"the schools", "the schools"},
                                          {"", ""},
                                          {"é cafés", "e cafés"}};
    ul_ctx *ctx = ul_test_ctx();
    (void)state;
    for (size_t i = 0; i < sizeof pair / sizeof *pair; i++) {
        const char *out;
        UL_OK_IN(ctx, ul_text_generic(ul_ctx_arena(ctx), pair[i][0], &terms, &out));
        assert_string_equal(out, pair[i][1]);
    }
    ul_ctx_free(ctx);
}

static void align(const int32_t *a, int32_t n, const int32_t *b, int32_t m, const int32_t *want)
{
    const ul_doc x = {.n = n, .token = a}, y = {.n = m, .token = b};
    ul_ctx *ctx = ul_test_ctx();
    int32_t at[32];
    UL_OK_IN(ctx, ul_doc_align(ul_ctx_arena(ctx), &x, &y, at));
    for (int32_t i = 0; i < n; i++)
        if (at[i] != want[i]) fail_msg("token %d stands at %d, not %d", (int)i, (int)at[i], (int)want[i]);
    ul_ctx_free(ctx);
}

/* 90.. are tokens of a term, 70.. of what stands for it. */
static void test_align(void **state)
{
    (void)state;
    align((int32_t[]){1, 5, 6}, 3, (int32_t[]){1, 5, 6}, 3, (int32_t[]){0, 1, 2});
    align((int32_t[]){1, 90, 91, 92, 5, 6}, 6, (int32_t[]){1, 70, 5, 6}, 4, (int32_t[]){0, 1, -1, -1, 2, 3});
    align((int32_t[]){1, 90, 5}, 3, (int32_t[]){1, 70, 71, 72, 5}, 5, (int32_t[]){0, 1, 4});
    /* the term again: no counterpart; another one: its own */
    align((int32_t[]){1, 90, 91, 5, 90, 91, 6, 93, 7}, 9, (int32_t[]){1, 70, 5, 70, 6, 71, 7}, 7,
          (int32_t[]){0, 1, -1, 2, -1, -1, 4, 5, 6});
    align((int32_t[]){1, 5, 90}, 3, (int32_t[]){1, 5, 70, 71}, 4, (int32_t[]){0, 1, 2}); /* at the end */
    align((int32_t[]){1, 5, 90, 91}, 4, (int32_t[]){1, 5}, 2, (int32_t[]){0, 1, -1, -1}); /* nothing stands for it */
}

static void test_terms_file(void **state)
{
    char path[700];
    ul_ctx *ctx = ul_test_ctx();
    ul_terms terms;
    (void)state;
    snprintf(path, sizeof path, "%s/terms.json", ul_test_folder("terms"));
    FILE *f = fopen(path, "w");
    fputs("{\"Ana\": \"Bo\", \"Rome\": \"a town\"}", f);
    fclose(f);
    UL_OK_IN(ctx, ul_terms_open(ctx, ul_ctx_arena(ctx), path, &terms));
    assert_int_equal(terms.n, 2);
    f = fopen(path, "w");
    fputs("{\"Ana\": 3}", f);
    fclose(f);
    UL_FAILS_IN(ctx, UL_E_INPUT, "\"Ana\" has no text", ul_terms_open(ctx, ul_ctx_arena(ctx), path, &terms));
    f = fopen(path, "w");
    fputs("[]", f);
    fclose(f);
    UL_FAILS_IN(ctx, UL_E_INPUT, "object of terms", ul_terms_open(ctx, ul_ctx_arena(ctx), path, &terms));
    ul_ctx_free(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_text), cmocka_unit_test(test_align),
                                       cmocka_unit_test(test_terms_file)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
