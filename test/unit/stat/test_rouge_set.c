/* test_rouge_set.c - the numbers of the Python package rouge 1.0.1,
 * Rouge().get_scores(text, reference)[0]["rouge-l"]. */
#include "stat/stat.h"
#include "ul_test.h"
#include <math.h>

static const struct {
    const char *reference, *text;
    double recall, precision, f1;
} cases[] = {
    {"The cat sat on the mat. It was happy.", "The cat lay on the mat. It was very happy.", 0.88888888888888884,
     0.80000000000000004, 0.8421052581717452},
    {"Stephen King", "Stephen Edwin King", 1, 0.66666666666666663, 0.79999999520000009},
    {"1947", "He was born in 1947. In Maine.", 1, 0.14285714285714285, 0.24999999781250004},
    {"the the cat", "the cat the", 1, 1, 0.99999999500000003},
    {"A. B. C", "C. B. A", 1, 1, 0.99999999500000003},
    {"a b c d e", "e d c b a c", 0.40000000000000002, 0.40000000000000002, 0.39999999500000011},
    {"Portland, Maine", "Portland", 0, 0, 0},
    {"x .  . y", "y . . x", 1, 1, 0.99999999500000003},
    {"carrie", "NOANSWER", 0, 0, 0},
    {"", "text", 0, 0, 0}, /* ours: the package refuses empty texts */
};

static void package(void **state)
{
    ul_ctx *ctx = ul_test_ctx();
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ul_prf s;
        UL_OK_IN(ctx, ul_rouge_set(ul_ctx_arena(ctx), cases[i].reference, cases[i].text, &s));
        if (fabs(s.recall - cases[i].recall) > 1e-15 || fabs(s.precision - cases[i].precision) > 1e-15 ||
            fabs(s.f1 - cases[i].f1) > 1e-8)
            fail_msg("case %zu: %.17g %.17g %.17g", i, s.recall, s.precision, s.f1);
    }
    ul_ctx_free(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(package)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
