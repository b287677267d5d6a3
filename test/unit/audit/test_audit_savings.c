/* Relearning beside the control: steps and savings of curves made by hand, their interval from the same draws by hand,
 * and nothing said where there is nothing to say it from. */
#include "ul_test.h"
#include "audit/evidence.h"
#include <math.h>
#include <string.h>

static ul_ctx *ctx;
static ul_args rule, attack;
enum { ROWS = 20, POINTS = 4 };
static ul_record row[ROWS];
static ul_records set = {.path = "made up", .n = ROWS, .at = row};
static const double step[POINTS] = {0, 20, 60, 100}, u_k[POINTS] = {0.1, 0.6, 0.9, 1}, o_k[POINTS] = {0.9, 0.9, 1, 1},
                    r_k[POINTS] = {0.1, 0.3, 0.7, 1};

static ul_audit audit(void)
{
    return (ul_audit){.ctx = ctx, .arena = ul_ctx_arena(ctx), .profile = UL_DEEP, .rule = &rule, .attack = &attack,
                      .seed = 7, .forget = &set, .retain = &set};
}

static int direct(void)
{
    int n, i = 0;
    const ul_probe *p = ul_probes(&n);
    while (strcmp(p[i].id, "direct")) assert_true(++i < n);
    return i;
}

/* Every row has the first curve in the first `people` rows, the second in the others. */
static double *column(int people, double first, double second)
{
    double *x = UL_NEW(ul_ctx_arena(ctx), double, ROWS);
    assert_non_null(x);
    for (int i = 0; i < ROWS; i++) x[i] = i < people ? first : second;
    return x;
}

static ul_battery battery(int people, const double first[POINTS], const double second[POINTS])
{
    static const char *const answer[ROWS] = {NULL};
    double *const stays = column(0, 1, 1), *const none = column(0, 0, 0);
    ul_battery b = {.name = "made up"};
    ul_probed *p = &b.probe[direct()];
    b.forget = b.retain = (ul_knowledge){.n = ROWS, .first = column(people, first[0], second[0]), .last = none,
                                         .answer = answer};
    b.forget.said = b.forget.first;
    b.retain.first = b.retain.said = stays;
    *p = (ul_probed){.ran = true, .n_point = 2, .forget = column(people, first[3], second[3]), .retain = 1};
    p->point[0] = column(people, first[1], second[1]);
    p->point[1] = column(people, first[2], second[2]);
    p->curve = json_array();
    UL_OK_IN(ctx, ul_json_own(ul_ctx_arena(ctx), p->curve));
    for (int k = 0; k < POINTS; k++)
        assert_int_equal(json_array_append_new(p->curve, json_pack("[i, f, f]", (int)step[k], first[k], 1.0)), 0);
    return b;
}

static const ul_recovery *evidence(const ul_battery *u, const ul_battery *o, const ul_battery *r)
{
    static ul_evidence e;
    const ul_audit a = audit();
    UL_OK_IN(ctx, ul_evidence_collect(&a, u, o, r, &e));
    return &e.recovery[direct()];
}

static bool near(double x, double y)
{
    return fabs(x - y) < 1e-12;
}

/* Areas: U 7 + 30 + 38 = 75, O 18 + 38 + 40 = 96, R 4 + 20 + 34 = 58, of 100. Half way is 0.5: U is there after 4/5 of
 * 20 steps, R after 20 + 2/4 of 40. After the last step all are at 1. */
static void by_hand(void **state)
{
    (void)state;
    const ul_battery u = battery(0, u_k, u_k), o = battery(0, o_k, o_k), r = battery(0, r_k, r_k);
    assert_true(near(ul_curve_area(step, u_k, POINTS), 75) && near(ul_curve_area(step, o_k, POINTS), 96));
    assert_true(near(ul_curve_area(step, r_k, POINTS), 58));
    const ul_recovery *x = evidence(&u, &o, &r);
    assert_false(x->informative); /* too close after the last step: that is why */
    assert_true(x->savings.ran && x->savings.measured);
    assert_true(near(x->savings.level, 0.5) && x->savings.last == 100);
    assert_true(near(x->savings.steps[0], 16) && x->savings.steps[1] == 0 && near(x->savings.steps[2], 40));
    assert_true(near(x->savings.share.value, 17.0 / 38));
    assert_true(near(x->savings.share.lo, 17.0 / 38) && near(x->savings.share.hi, 17.0 / 38)); /* all people alike */
    /* the control in the model's place saves nothing, the original all */
    assert_true(near(evidence(&r, &o, &r)->savings.share.value, 0));
    assert_true(near(evidence(&o, &o, &r)->savings.share.value, 1));
}

/* A control that is as the original after the first fifth: U lacks 0.4 * 20 / 2, R 0.8 * 20 / 2, which is 0.08 of all
 * steps, and of those that count 0.4. */
static void soon_alike(void **state)
{
    static const double model[POINTS] = {0.6, 1, 1, 1}, original[POINTS] = {1, 1, 1, 1},
                        control[POINTS] = {0.2, 1, 1, 1};
    (void)state;
    const ul_battery u = battery(0, model, model), o = battery(0, original, original), r = battery(0, control, control);
    const ul_relearned *x = &evidence(&u, &o, &r)->savings;
    assert_true(x->measured && near(x->share.value, 0.5));
    assert_true(near(x->level, 0.6) && near(x->steps[0], 0) && near(x->steps[2], 10));
}

/* Six of the people are as in the original, the others as in the control. */
static void over_people(void **state)
{
    static double rep[10000];
    const int64_t n_rep = (int64_t)ul_num(&rule, "replicates");
    const double alpha = ul_num(&rule, "alpha");
    (void)state;
    assert_true(n_rep <= 10000);
    for (uint32_t k = 0; k < n_rep; k++) {
        int64_t draw[ROWS];
        ul_resample(7, 0, k, ROWS, draw);
        rep[k] = 0;
        for (int i = 0; i < ROWS; i++) rep[k] += draw[i] < 6;
        rep[k] /= ROWS;
    }
    ul_sort(rep, n_rep);
    const ul_battery u = battery(6, o_k, r_k), o = battery(0, o_k, o_k), r = battery(0, r_k, r_k);
    const ul_relearned *x = &evidence(&u, &o, &r)->savings;
    assert_true(near(x->share.value, 0.3));
    assert_true(near(x->share.lo, ul_quantile(rep, n_rep, alpha)));
    assert_true(near(x->share.hi, ul_quantile(rep, n_rep, 1 - alpha)));
    assert_true(x->share.lo < 0.25 && x->share.hi > 0.35);
}

static json_t *told(const ul_audit *a, const ul_battery *u, const ul_battery *o, const ul_battery *r)
{
    static ul_evidence e;
    UL_OK_IN(ctx, ul_evidence_collect(a, u, o, r, &e));
    const ul_audited x = {.name = "u", .u = u, .evidence = e, .verdict = {.clause = ""}};
    json_t *j = ul_audit_json(a, &x, o, r), *probe;
    assert_non_null(j);
    probe = json_array_get(json_object_get(j, "probes"), (size_t)direct());
    probe = json_incref(json_object_get(probe, "savings"));
    json_decref(j);
    return probe;
}

/* A control that never gets there, with the area 3 + 10 + 14 = 27; no control; no points; a start that only
 * the weights know. */
static void said_or_not(void **state)
{
    static const double low[POINTS] = {0.1, 0.2, 0.3, 0.4};
    static const ul_guard_file guard = {.id = "guard"};
    (void)state;
    ul_battery u = battery(0, u_k, u_k), o = battery(0, o_k, o_k), r = battery(0, low, low);
    const ul_audit a = audit();
    json_t *j = told(&a, &u, &o, &r);
    const json_t *steps = json_object_get(j, "steps_to_level"), *share = json_object_get(j, "share");
    assert_true(near(json_number_value(json_object_get(steps, "model")), 16));
    assert_true(json_is_null(json_object_get(steps, "control")));
    assert_true(near(json_number_value(json_object_get(share, "value")), (75.0 - 27) / (96 - 27)));
    json_decref(j);
    r = battery(0, r_k, r_k);
    u.forget.first = u.forget.said = column(0, 0, 0);
    u.guard = &guard;
    assert_false(evidence(&u, &o, &r)->savings.ran);
    u.unguarded = column(0, u_k[0], u_k[0]);
    assert_true(near(evidence(&u, &o, &r)->savings.share.value, 17.0 / 38));
    u.guard = NULL;
    assert_false(evidence(&u, &o, NULL)->savings.ran);
    u.probe[direct()].n_point = 1; /* not what the others have */
    assert_false(evidence(&u, &o, &r)->savings.ran);
    ul_battery *const all[] = {&u, &o, &r};
    for (int i = 0; i < 3; i++) {
        ul_probed *p = &all[i]->probe[direct()];
        p->n_point = 0;
        UL_OK_IN(ctx, ul_json_own(ul_ctx_arena(ctx), p->curve = json_pack("[[i, f, f], [i, f, f]]", 0, 0.1, 1.0, 100,
                                                                           1.0, 1.0)));
    }
    assert_null(told(&a, &u, &o, &r));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(by_hand), cmocka_unit_test(soon_alike),
                                       cmocka_unit_test(over_people), cmocka_unit_test(said_or_not)};
    static const char *const wrong[] = {"a", "b", "c"};
    ctx = ul_test_ctx();
    for (int i = 0; i < ROWS; i++)
        row[i] = (ul_record){.prompt = "?", .answer = "!", .wrong = wrong, .n_wrong = 3, .entity = i};
    ul_args_default(ul_rule_params, &rule);
    ul_args_default(ul_attack_params, &attack);
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    ul_ctx_free(ctx);
    return failed;
}
