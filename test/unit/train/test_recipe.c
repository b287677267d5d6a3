/* Schedules against transformers' formulas written out naively with libm, parameters and their defaults, step
 * counts. */
#include "train/train.h"
#include "ul_test.h"
#include <math.h>

static ul_recipe recipe(ul_schedule schedule, double warmup, double floor)
{
    ul_args a;
    ul_recipe r;
    ul_args_default(ul_recipe_params, &a);
    ul_recipe_from_args(&a, 1000, &r);
    r.lr = 0.003;
    r.schedule = schedule;
    r.warmup = warmup;
    r.lr_floor = floor;
    return r;
}

static double naive(const ul_recipe *r, double w, double s, double n)
{
    double x = 1;
    if (s < w) return r->lr * s / fmax(1, w);
    if (r->schedule == UL_LINEAR) x = fmax(0, (n - s) / fmax(1, n - w));
    if (r->schedule == UL_COSINE) x = 0.5 * (1 + cos(3.14159265358979323846 * (s - w) / fmax(1, n - w)));
    return r->lr * (r->schedule == UL_CONSTANT ? 1 : r->lr_floor + (1 - r->lr_floor) * x);
}

static void test_schedules(void **state)
{
    (void)state;
    static const double warm[] = {0, 3, 0.25, 40};
    for (int k = UL_CONSTANT; k <= UL_COSINE; k++)
        for (int w = 0; w < 4; w++)
            for (int64_t s = 0; s < 40; s++) {
                const ul_recipe r = recipe((ul_schedule)k, warm[w], w == 1 ? 0.1 : 0);
                const double want = naive(&r, warm[w] < 1 ? ceil(warm[w] * 40) : warm[w], (double)s, 40),
                             have = ul_recipe_lr(&r, s, 40);
                if (!(fabs(have - want) <= 1e-15 * r.lr + 1e-12 * want))
                    fail_msg("schedule %d step %d: %.17g, %.17g", k, (int)s, have, want);
            }
}

static void test_steps(void **state)
{
    (void)state;
    ul_recipe r = recipe(UL_LINEAR, 0, 0);
    r.epochs = 10;
    r.batch = 32;
    assert_int_equal(ul_recipe_steps(&r, 400), 125);
    assert_int_equal(ul_recipe_steps(&r, 401), 126);
    r.epochs = 0.01;
    assert_int_equal(ul_recipe_steps(&r, 10), 1);
    r.steps = 6;
    assert_int_equal(ul_recipe_steps(&r, 400), 6);
}

static void test_params(void **state)
{
    (void)state;
    ul_ctx *ctx = ul_test_ctx();
    ul_args a;
    ul_recipe r;
    ul_args_default(ul_recipe_params, &a);
    ul_recipe_from_args(&a, 656000, &r);
    assert_true(r.lr == ul_recipe_lr_for(656000));
    ul_recipe_from_args(&a, 7000000000, &r);
    assert_true(r.lr == ul_recipe_lr_for(7000000000) && r.lr < ul_recipe_lr_for(656000));
    UL_OK_IN(ctx, ul_args_set(ul_ctx_arena(ctx), &a, NULL, "lr", "0.5"));
    UL_OK_IN(ctx, ul_args_set(ul_ctx_arena(ctx), &a, NULL, "optimizer", "sgd"));
    UL_OK_IN(ctx, ul_args_set(ul_ctx_arena(ctx), &a, NULL, "schedule", "constant"));
    UL_OK_IN(ctx, ul_args_set(ul_ctx_arena(ctx), &a, NULL, "seed", "9007199254740991"));
    ul_recipe_from_args(&a, 656000, &r);
    assert_true(r.lr == 0.5 && r.optim == UL_SGD && r.schedule == UL_CONSTANT && r.seed == 9007199254740991u);
    UL_FAILS_IN(ctx, UL_E_USAGE, "out of its bounds", ul_args_set(ul_ctx_arena(ctx), &a, NULL, "batch", "0"));
    ul_ctx_free(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_schedules), cmocka_unit_test(test_steps),
                                       cmocka_unit_test(test_params)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
