/* test_grun.c - guards inside the model: eco corrupts forget prompts only and never an answer's token; grun's module moves the forget
 * answers and keeps the retain answers, and its gradient is the right one. */
#include "guard_test.h"

static void lost(const char *id, int steps, const char *const *set, double out[2])
{
    house h;
    double *with, *bare;
    const ul_guard *guard = guard_named(id);
    house_open(&h, guard, UL_PRECISION_DOUBLE, 1);
    for (; set && *set; set += 2) house_set(&h, set[0], set[1]);
    h.recipe.steps = steps;
    if (!steps) h.recipe.steps = 1, h.recipe.lr = 1e-30; /* nothing moves */
    ul_guard_file *g = house_guard(&h, guard, id);
    for (int s = 0; s < 2; s++) {
        const ul_records *r = s ? h.retain : h.forget;
        const int64_t n = house_answers(&h, g, r, 3, &with);
        assert_int_equal(house_answers(&h, NULL, r, 3, &bare), n);
        out[s] = 0;
        for (int64_t i = 0; i < n; i++) out[s] += fabs(bare[i] - with[i]) / (double)n;
        print_message("%s, %s: log-probs move by %.4f nats a token (mean %.4f -> %.4f)\n", id, s ? "retain" : "forget", out[s], mean_of(bare, n),
                      mean_of(with, n));
    }
    house_close(&h);
}

static void eco_spoils_forget_prompts_only(void **state)
{
    static const char *const kinds[] = {"noise", "zero", "flip"};
    (void)state;
    for (int k = 0; k < 3; k++) {
        double moved[2];
        lost("eco", 1, (const char *const[]){"kind", kinds[k], "layer", "0", "by", k ? "states" : "words", NULL}, moved);
        assert_true(moved[0] > 0.02);
        assert_true(moved[1] == 0); /* to the bit */
    }
}

static void grun_moves_what_shall_be_forgotten(void **state)
{
    double moved[2], none[2];
    (void)state;
    lost("grun", 60, NULL, moved);
    assert_true(moved[0] > 0.2);
    assert_true(moved[0] > 2 * moved[1]);
    lost("grun", 0, (const char *const[]){"r", "2", NULL}, none); /* before training it is the model */
    assert_true(none[0] < 1e-12 && none[1] < 1e-12);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(eco_spoils_forget_prompts_only), cmocka_unit_test(grun_moves_what_shall_be_forgotten)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
