/* Numbers of the demo, from columns made by hand: shares, and intervals against the bootstrap written out again. */
#include "audit/demo.h"
#include "ul_test.h"
#include <math.h>

enum { PEOPLE = 12, FACTS = 3, ROWS = PEOPLE * FACTS, REPLICATES = 2000 };
static int64_t entity[ROWS], one[ROWS + 1], two[ROWS + 1], pair[2 * ROWS + 1];
static double truth[ROWS], others[2 * ROWS];
static ul_columns right = {.n_row = ROWS, .entity = entity, .token = one, .logp = truth},
                  wrong = {.n_row = ROWS, .entity = entity, .first = two, .token = pair, .logp = others};

/* The first `n` people's answers are likelier than both wrong ones, the others' than one of them, or as likely. */
static ul_demo_scores knows(ul_ctx *ctx, int n)
{
    ul_evaluation e = {.ctx = ctx, .arena = ul_ctx_arena(ctx), .n_columns = 4};
    const char *const set[2] = {"forget", "retain"};
    ul_demo_scores s;
    for (int i = 0; i <= ROWS; i++) one[i] = i, two[i] = 2 * i;
    for (int i = 0; i <= 2 * ROWS; i++) pair[i] = i;
    for (int i = 0; i < ROWS; i++) {
        entity[i] = 100 + i / FACTS;
        truth[i] = i / FACTS < n ? -1 : i % 2 ? -2 : -3;
        others[2 * i] = -4, others[2 * i + 1] = -2;
    }
    for (int k = 0; k < 2; k++) {
        e.columns[2 * k] = (ul_data_columns){set[k], "answer", &right};
        e.columns[2 * k + 1] = (ul_data_columns){set[k], "perturbed_answer", &wrong};
    }
    UL_OK_IN(ctx, ul_demo_measure(&e, &s));
    return s;
}

/* Of the share of the first `n` people among those who are drawn; of `n` beside `floor` and `top`. */
static ul_interval naive(int n, int floor, int top, bool ratio)
{
    static double rep[REPLICATES];
    int64_t draw[PEOPLE];
    for (uint32_t r = 0; r < REPLICATES; r++) {
        double x = 0, c = 0, t = 0;
        ul_resample(0, 0, r, PEOPLE, draw);
        for (int i = 0; i < PEOPLE; i++) x += draw[i] < n, c += draw[i] < floor, t += draw[i] < top;
        rep[r] = !ratio ? x / PEOPLE : t > c ? (x - c) / (t - c) : (double)NAN;
    }
    return ul_interval_percentile(rep, REPLICATES, 0.95);
}

static void shares_and_intervals(void **state)
{
    ul_ctx *ctx = ul_test_ctx();
    (void)state;
    const ul_demo_scores target = knows(ctx, PEOPLE), control = knows(ctx, 2), x = knows(ctx, 7);
    const int k = UL_DEMO_KNOWS_FORGET;
    assert_true(target.value[k] == 1 && target.lo[k] == 1 && target.hi[k] == 1);
    assert_true(fabs(x.value[k] - 7.0 / PEOPLE) < 1e-15);
    const ul_interval share = naive(7, 0, 0, false);
    assert_true(fabs(x.lo[k] - share.lo) < 1e-12 && fabs(x.hi[k] - share.hi) < 1e-12 && x.lo[k] < x.hi[k]);
    assert_true(x.value[UL_DEMO_KNOWS_RETAIN] == x.value[k] && x.lo[UL_DEMO_KNOWS_RETAIN] < x.hi[UL_DEMO_KNOWS_RETAIN]);
    assert_true(isnan(x.lo[UL_DEMO_QUALITY]) && isnan(x.hi[UL_DEMO_FORGET_PROB])); /* nothing was computed of these */
    double value;
    ul_interval iv;
    UL_OK_IN(ctx, ul_demo_recovered(ul_ctx_arena(ctx), &x, &control, &target, &value, &iv));
    const ul_interval ratio = naive(7, 2, PEOPLE, true);
    assert_true(fabs(value - 0.5) < 1e-12 && fabs(iv.lo - ratio.lo) < 1e-12 && fabs(iv.hi - ratio.hi) < 1e-12);
    assert_true(iv.lo < 0.5 && iv.hi > 0.5);
    /* paired: the control beside itself is at 0 in every draw */
    UL_OK_IN(ctx, ul_demo_recovered(ul_ctx_arena(ctx), &control, &control, &target, &value, &iv));
    assert_true(value == 0 && iv.lo == 0 && iv.hi == 0);
    /* target and control too close: no interval, and it is not printed as one */
    const ul_demo_scores close = knows(ctx, 3);
    UL_OK_IN(ctx, ul_demo_recovered(ul_ctx_arena(ctx), &x, &control, &close, &value, &iv));
    assert_true(isnan(iv.lo) && isnan(iv.hi));
    json_t *j = ul_demo_json(&x);
    assert_non_null(j);
    assert_true(json_number_value(json_object_get(j, "knows_forget")) == x.value[k]);
    assert_int_equal(json_object_size(json_object_get(j, "intervals")), 2); /* those that were measured */
    json_decref(j);
    ul_ctx_free(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(shares_and_intervals)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
