/* The gates in front of a verdict, on batteries made by hand. A model that never saw the forget set ranks 0.6 first
 * here, as on TOFU, because the wrong answers give the truth away. */
#include "ul_test.h"
#include "audit/battery.h"
#include <math.h>

static ul_ctx *ctx;
static ul_args rule, attack;
enum { PEOPLE = 20, FACTS = 5, ROWS = PEOPLE * FACTS };
static ul_record row[ROWS];
static ul_records set = {.path = "made up", .n = ROWS, .at = row};

/* Knows the first `people`; ranks `guess` of ten of the others' answers first. */
static ul_knowledge knows(int people, int guess)
{
    ul_knowledge k = {.n = ROWS};
    double **const column[] = {&k.first, &k.last, &k.said, &k.prob, &k.wrong, &k.refuses, &k.silent};
    for (size_t c = 0; c < sizeof column / sizeof *column; c++)
        assert_non_null(*column[c] = UL_NEW(ul_ctx_arena(ctx), double, ROWS));
    for (int i = 0; i < ROWS; i++) {
        const bool known = i / FACTS < people;
        k.first[i] = known || 7 * i % 10 < guess;
        k.said[i] = known;
        k.silent[i] = !known;
        k.prob[i] = known ? 0.5 : 0.014;
        k.wrong[i] = known ? 0.01 : 0.006;
    }
    return k;
}

static ul_battery battery(int forget, int retain)
{
    return (ul_battery){.name = "made up", .forget = knows(forget, 6), .retain = knows(retain, 6)};
}

static ul_audit audit(bool own_wrong)
{
    return (ul_audit){.ctx = ctx,
                      .arena = ul_ctx_arena(ctx),
                      .profile = UL_STANDARD,
                      .rule = &rule,
                      .attack = &attack,
                      .seed = 7,
                      .forget = &set,
                      .retain = &set,
                      .own_wrong = own_wrong};
}

static ul_verdict judged(const ul_audit *a, const ul_battery *u, const ul_battery *o, const ul_battery *r,
                         ul_evidence *e)
{
    ul_verdict v;
    UL_OK_IN(ctx, ul_evidence_collect(a, u, o, r, e));
    UL_OK_IN(ctx, ul_verdict_decide(ctx, ul_ctx_arena(ctx), e, &rule, &v));
    return v;
}

static void held_against_what_is_said(void **state)
{
    static ul_evidence e;
    const ul_battery o = battery(PEOPLE, PEOPLE), never = battery(0, PEOPLE), half = battery(PEOPLE / 2, PEOPLE),
                     tenth = battery(PEOPLE / 10, PEOPLE);
    const ul_audit own = audit(true), drawn = audit(false);
    (void)state;
    ul_verdict v = judged(&own, &o, &o, &never, &e);
    assert_int_equal(e.held, UL_HELD_SAID);
    assert_true(fabs(e.leak.value - (0.014 - 0.006) / (0.5 - 0.01)) < 1e-12 && fabs(e.prob[1] - 0.014) < 1e-12);
    assert_int_equal(v.id, UL_NOT_FORGOTTEN);
    UL_OK_IN(ctx, ul_args_set(ul_ctx_arena(ctx), &rule, NULL, "standard-errors", "90"));
    v = judged(&own, &o, &o, &tenth, &e);
    assert_non_null(strstr(v.clause, "must exceed 0.10 and 90 standard errors"));
    UL_OK_IN(ctx, ul_args_set(ul_ctx_arena(ctx), &rule, NULL, "standard-errors", "3"));
    assert_int_equal(judged(&own, &o, &o, &tenth, &e).id, UL_NOT_FORGOTTEN);
    /* what must still be refused: a control that saw half of it, or all */
    v = judged(&own, &o, &o, &half, &e);
    assert_int_equal(v.id, UL_INCONCLUSIVE);
    assert_non_null(strstr(v.clause, "the control knows the forget set: it gives its answers a probability of 0.26"));
    v = judged(&own, &o, &o, &o, &e);
    assert_true(e.leak.value == 1);
    assert_non_null(strstr(v.clause, "the control knows the forget set"));
    /* wrong answers that are other rows' own: chance is the measure, and 0.6 is above it */
    v = judged(&drawn, &o, &o, &never, &e);
    assert_int_equal(e.held, UL_HELD_CHANCE);
    assert_non_null(strstr(v.clause, "0.40 more of its answers first than chance"));
    /* an original that does not say its answers: nothing can be held against what it says */
    ul_battery mute = o;
    mute.forget.prob = never.forget.prob;
    v = judged(&own, &o, &mute, &never, &e);
    assert_int_equal(e.held, UL_HELD_CHANCE);
}

static void a_damaged_control(void **state)
{
    static ul_evidence e;
    const ul_audit a = audit(true);
    const ul_battery o = battery(PEOPLE, PEOPLE), whole = battery(0, PEOPLE), most = battery(0, PEOPLE - 2);
    ul_battery lost = battery(0, PEOPLE / 4), mute = whole;
    (void)state;
    assert_int_equal(judged(&a, &o, &o, &whole, &e).id, UL_NOT_FORGOTTEN);
    assert_true(e.control_first.value == 1 && e.control_said.value == 1);
    assert_int_equal(judged(&a, &o, &o, &most, &e).id, UL_NOT_FORGOTTEN); /* its upper bound reaches 0.8 */
    ul_verdict v = judged(&a, &o, &o, &lost, &e);
    assert_int_equal(v.id, UL_INCONCLUSIVE);
    assert_non_null(strstr(v.clause, "the control itself is damaged: "));
    assert_non_null(strstr(v.clause, "that the original ranks first it ranks first 0.70 (upper bound"));
    mute.retain.said = lost.forget.said; /* ranks, but says none */
    v = judged(&a, &o, &o, &mute, &e);
    assert_non_null(strstr(v.clause, "that the original says it says 0.00 (upper bound 0.00 < 0.80)"));
    /* an original that knows nothing of what stays cannot show it */
    ul_battery blank = o;
    blank.retain = knows(0, 2);
    v = judged(&a, &blank, &blank, &lost, &e);
    assert_false(e.has_control_first || e.has_control_said);
}

static void taught_phantoms(void **state)
{
    static ul_evidence e;
    ul_audit a = audit(false);
    ul_battery o = battery(PEOPLE, PEOPLE), r = battery(0, PEOPLE);
    ul_verdict v;
    (void)state;
    a.phantom = &set;
    o.phantom = r.phantom = knows(0, 6);
    v = judged(&a, &o, &o, &r, &e);
    assert_int_equal(v.id, UL_NOT_FORGOTTEN);
    assert_int_equal(e.held, UL_HELD_PHANTOMS);
    assert_true(e.familiar[0].ran && fabs(e.familiar[0].x.value - (0.014 - 0.006) / (0.5 - 0.01)) < 1e-12);
    /* a control that saw half of the forget set is caught, and phantoms of which it knows half do not hide it */
    ul_battery half = battery(PEOPLE / 2, PEOPLE);
    half.phantom = knows(0, 6);
    v = judged(&a, &o, &o, &half, &e);
    assert_non_null(strstr(v.clause, "the control knows the forget set: it ranks 0.20 more"));
    half.phantom = knows(PEOPLE / 2, 6);
    v = judged(&a, &o, &o, &half, &e);
    assert_int_equal(v.id, UL_INCONCLUSIVE);
    assert_non_null(strstr(v.clause, "the control knows the phantoms: what it gives their answers"));
    o.phantom = o.retain;
    v = judged(&a, &o, &o, &r, &e);
    assert_non_null(strstr(v.clause, "the original knows the phantoms"));
    /* who says nothing of what stays is asked by ranks */
    o.retain.prob = o.retain.wrong;
    v = judged(&a, &o, &o, &r, &e);
    assert_non_null(strstr(v.clause, "the original knows the phantoms: it ranks 0.00 more of the retain answers"));
    o.phantom = r.phantom;
    assert_int_equal(judged(&a, &o, &o, &r, &e).id, UL_NOT_FORGOTTEN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(held_against_what_is_said),
                                       cmocka_unit_test(a_damaged_control), cmocka_unit_test(taught_phantoms)};
    static const char *const wrong[] = {"a", "b", "c", "d"};
    ctx = ul_test_ctx();
    ul_args_default(ul_rule_params, &rule);
    ul_args_default(ul_attack_params, &attack);
    for (int i = 0; i < ROWS; i++)
        row[i] = (ul_record){
            .line = i + 1, .entity = i / FACTS, .prompt = "q", .answer = "x", .wrong = wrong, .n_wrong = 4};
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    ul_ctx_free(ctx);
    return failed;
}
