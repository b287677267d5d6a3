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

/* s is of what is said; of the answers' probability where nobody says them (an original that loses its thread in long
 * answers); of ranking where that tells nothing either. One that gives a fifth of the probability
 * and ranks every answer first has forgotten something. */
static void what_s_is_of(void **state)
{
    static ul_evidence e;
    const ul_audit a = audit(true);
    ul_battery o = battery(PEOPLE, PEOPLE), never = battery(0, PEOPLE), hides = o;
    (void)state;
    judged(&a, &never, &o, &never, &e);
    assert_int_equal(e.expressed, UL_EXPRESSED_SAID);
    assert_true(e.s.value == 1 && e.told.value == 1);
    hides.forget.said = o.forget.said = never.forget.said;
    hides.forget.prob = knows(PEOPLE, 6).prob;
    for (int i = 0; i < ROWS; i++) hides.forget.prob[i] = 0.1;
    ul_verdict v = judged(&a, &hides, &o, &never, &e);
    assert_int_equal(e.expressed, UL_EXPRESSED_PROB);
    assert_true(fabs(e.s.value - (0.5 - 0.1) / (0.5 - 0.014)) < 1e-12 && e.s_first.value == 0);
    assert_int_not_equal(v.id, UL_NOT_FORGOTTEN);
    v = judged(&a, &o, &o, &never, &e);
    assert_int_equal(v.id, UL_NOT_FORGOTTEN);
    assert_non_null(
        strstr(v.clause, "it still gives the answers the probability that the original gave them: s is 0.00"));
    hides.forget.prob = o.forget.prob = never.forget.prob;
    judged(&a, &hides, &o, &never, &e);
    assert_true(e.expressed == UL_EXPRESSED_RANKED && e.s.value == 0 && e.told.value == e.gap.value);
}

/* One that says nothing, ranks all first and goes on with half of the answers that were begun. */
static void other_measures(void **state)
{
    static ul_evidence e;
    const ul_audit a = audit(true);
    ul_battery o = battery(PEOPLE, PEOPLE), never = battery(0, PEOPLE), hides = battery(0, PEOPLE);
    (void)state;
    judged(&a, &hides, &o, &never, &e);
    assert_true(e.n_other == 1 && e.other[0].of == UL_EXPRESSED_RANKED); /* no answer was begun */
    assert_true(e.other[0].s.value == e.s_first.value && e.other[0].s.lo == e.s_first.lo);
    hides.forget.first = o.forget.first;
    o.forget.extraction = o.forget.said;
    never.forget.extraction = never.forget.said;
    hides.forget.extraction = knows(PEOPLE / 2, 6).said;
    const ul_verdict v = judged(&a, &hides, &o, &never, &e);
    assert_true(e.expressed == UL_EXPRESSED_SAID && e.s.value == 1 && e.n_other == 2);
    assert_true(e.other[0].s.value == 0 && e.other[0].s.hi == 0);
    assert_true(e.other[1].of == UL_EXPRESSED_CONTINUED && fabs(e.other[1].s.value - 0.5) < 1e-12);
    assert_true(e.other[1].s.lo < 0.4 && e.other[1].s.lo > 0.1 && e.other[1].s.hi > 0.6);
    assert_true(v.n_by == 2 && v.by[0] == UL_NOT_FORGOTTEN && v.by[1] == UL_PARTLY && (v.qualifiers & UL_Q_MEASURE));
}

/* The distance to the control, people resampled, beside the original's; nothing where one of them was not measured. */
static void apart(void **state)
{
    static ul_evidence e;
    static double far[ROWS], near[ROWS];
    const ul_audit a = audit(true);
    ul_battery o = battery(PEOPLE, PEOPLE), u = battery(0, PEOPLE);
    const ul_battery never = battery(0, PEOPLE);
    (void)state;
    for (int i = 0; i < ROWS; i++) far[i] = 0.4 + 0.01 * (i / FACTS % 4), near[i] = 0.3;
    o.apart = near;
    judged(&a, &u, &o, &never, &e);
    assert_false(e.has_apart);
    u.apart = far;
    ul_verdict v = judged(&a, &u, &o, &never, &e);
    assert_true(e.has_apart && fabs(e.apart[0].value - 0.415) < 1e-12 && fabs(e.apart[1].value - 0.3) < 1e-12);
    assert_true(fabs(e.farther.value - 0.115) < 1e-12 && e.farther.lo > 0.105 && e.farther.lo < 0.114);
    assert_true(v.qualifiers & UL_Q_OVERSHOOT);
    u.apart = near, o.apart = far;
    v = judged(&a, &u, &o, &never, &e);
    assert_true(e.farther.hi < 0 && !(v.qualifiers & UL_Q_OVERSHOOT));
    judged(&a, &u, &o, NULL, &e);
    assert_false(e.has_apart); /* from whom? */
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

static double *all(double x)
{
    double *column = UL_NEW(ul_ctx_arena(ctx), double, ROWS);
    assert_non_null(column);
    for (int i = 0; i < ROWS; i++) column[i] = x;
    return column;
}

static void set_rule(const char *key, const char *value)
{
    UL_OK_IN(ctx, ul_args_set(ul_ctx_arena(ctx), &rule, NULL, key, value));
}

static int place_of(const char *id)
{
    int n, i = 0;
    const ul_probe *p = ul_probes(&n);
    while (i < n && strcmp(p[i].id, id)) i++;
    assert_true(i < n);
    return i;
}

/* It says nothing of the forget set, and passed for that; each sign that it knows closes the gate, by its number. */
static void a_control_that_does_not_say(void **state)
{
    static ul_evidence e;
    ul_audit own = audit(true);
    const int w1 = place_of("w1");
    ul_battery o = battery(PEOPLE, PEOPLE), r = battery(0, PEOPLE);
    const ul_battery never = battery(0, PEOPLE), half = battery(PEOPLE / 2, PEOPLE), most = battery(PEOPLE - 2, PEOPLE);
    ul_verdict v;
    (void)state;
    o.forget.extraction = all(0.7); /* as the published logs have it: 0.71 and 0.06 */
    r.forget.extraction = all(0.06);
    assert_int_equal(judged(&own, &o, &o, &r, &e).id, UL_NOT_FORGOTTEN);
    assert_true(fabs(e.quiet[UL_QUIET_CONTINUES].x.value - 0.06 / 0.7) < 1e-12);
    assert_true(fabs(e.quiet[UL_QUIET_RANKS].x.value - 0.5) < 1e-12 && !e.quiet[UL_QUIET_RISES].ran);
    r.forget.extraction = all(0.6);
    v = judged(&own, &o, &o, &r, &e);
    assert_int_equal(v.id, UL_INCONCLUSIVE);
    assert_non_null(strstr(v.clause, "does not say it: it goes on with answers that were begun, beside the original (1)"
                                     ", to 0.86 (lower bound 0.86, allowed 0.50, --control-extraction)"));
    set_rule("control-extraction", "0.9");
    assert_int_equal(judged(&own, &o, &o, &r, &e).id, UL_NOT_FORGOTTEN);
    set_rule("control-extraction", "0.5");
    r.forget.extraction = o.forget.extraction = NULL;
    r.forget.first = most.forget.first; /* ranks nearly all, gives none a probability */
    v = judged(&own, &o, &o, &r, &e);
    assert_non_null(strstr(v.clause, "it ranks true answers first above chance, beside the original (1), to 0.95"));
    r.forget.first = all(0);
    v = judged(&own, &o, &o, &r, &e);
    assert_non_null(strstr(v.clause, "more rarely than a guess would, by -0.20 (upper bound -0.20, allowed -0.10"));
    r.forget.first = never.forget.first;
    /* seldom first, which a guess may be too, and half the time last, which takes knowing */
    r.forget.last = half.forget.first;
    assert_int_equal(judged(&own, &o, &o, &r, &e).id, UL_NOT_FORGOTTEN);
    assert_false(e.quiet[UL_QUIET_LAST].ran); /* its own wrong answers may be told by their wording */
    own.phantom = &set;
    o.phantom = r.phantom = knows(0, 6);
    v = judged(&own, &o, &o, &r, &e);
    assert_non_null(strstr(v.clause, "ranks true answers last more often than a guess would, by 0.80 (lower bound"));
    r.phantom.last = half.forget.first; /* phantoms stand last as often: no knowledge */
    assert_int_equal(judged(&own, &o, &o, &r, &e).id, UL_NOT_FORGOTTEN);
    r.phantom.last = never.forget.last;
    set_rule("control-last", "0.9");
    assert_int_equal(judged(&own, &o, &o, &r, &e).id, UL_NOT_FORGOTTEN);
    set_rule("control-last", "0.1");
    r.forget.last = never.forget.last;
    own.phantom = NULL;
    r.probe[w1] = (ul_probed){.ran = true, .forget = half.forget.first, .phantom = half.forget.first};
    v = judged(&own, &o, &o, &r, &e);
    assert_non_null(strstr(v.clause, "training on retain rows alone (W1) raises what it ranks first by 0.20"));
    /* what phantoms gain as well is no knowledge */
    own.phantom = &set;
    o.phantom = r.phantom = knows(0, 6);
    assert_int_equal(judged(&own, &o, &o, &r, &e).id, UL_NOT_FORGOTTEN);
    assert_true(e.quiet[UL_QUIET_RISES].ran && fabs(e.quiet[UL_QUIET_RISES].x.value) < 1e-12);
}

/* A retain set that the original itself hardly knows is no measure of damage: said, with what to do, and no failure. */
static void utility_that_cannot_be_measured(void **state)
{
    static ul_evidence e;
    const ul_audit a = audit(true);
    ul_battery o = battery(PEOPLE, PEOPLE), r = battery(0, PEOPLE);
    (void)state;
    o.retain.first = r.retain.first = all(0);
    o.retain.said = r.retain.said = all(0);
    const ul_verdict v = judged(&a, &o, &o, &r, &e);
    assert_true(v.id == UL_INCONCLUSIVE && e.first_unmeasured);
    assert_non_null(strstr(v.clause, "utility cannot be measured: of the 100 retain rows that were asked the original "
                                     "itself ranks 0.00 first and says 0.00"));
    assert_non_null(strstr(v.clause, "--retain-rows"));
    o.retain.said = r.retain.said = all(0.9); /* one of the two is enough */
    assert_int_equal(judged(&a, &o, &o, &r, &e).id, UL_NOT_FORGOTTEN);
}

/* ---- the negative control ---------------------------------------------------------------------------------------- */
static void the_negative_control(void **state)
{
    static ul_evidence e;
    ul_audit a = audit(true);
    const int w1 = place_of("w1");
    ul_battery o = battery(PEOPLE, PEOPLE), r = battery(0, PEOPLE), twin = r;
    const ul_battery some = battery(PEOPLE / 4, PEOPLE);
    double *uneven = UL_NEW(ul_ctx_arena(ctx), double, ROWS), *risen = UL_NEW(ul_ctx_arena(ctx), double, ROWS);
    (void)state;
    set_rule("control-rise", "1");
    for (int i = 0; i < ROWS; i++) uneven[i] = i / FACTS % 2 ? 0.7 : 0.1, risen[i] = i < ROWS / 2 ? 0.8 : 0.6;
    o.probe[w1] = (ul_probed){.ran = true, .forget = o.forget.first};
    r.probe[w1] = (ul_probed){.ran = true, .forget = r.forget.first};
    const ul_null_recovery *x = &e.recovery[w1].negative;
    /* the control beside itself, its people drawn again: every person alike, so nothing can show */
    judged(&a, &o, &o, &r, &e);
    assert_true(e.negative == UL_NEGATIVE_AGAIN && x->ran && x->passed && x->x.hi == 0 && x->limit == 0.2);
    assert_true(e.negative_failed == 0 && e.negative_widest);
    /* people that differ much, and few of them: noise, of which twice as much counts as residue */
    r.probe[w1].forget = uneven;
    judged(&a, &o, &o, &r, &e);
    assert_true(x->ran && !x->passed && x->x.lo < -0.2 && x->x.hi > 0.2 && fabs(x->x.value) < 1e-12);
    const double far = -x->x.lo > x->x.hi ? -x->x.lo : x->x.hi;
    assert_true(fabs(x->limit - 2 * far) < 1e-12 && e.negative_failed == 1 && !strcmp(e.negative_widest, "w1"));
    set_rule("negative", "9");
    judged(&a, &o, &o, &r, &e);
    assert_true(x->passed && x->limit == 0.2);
    set_rule("negative", "0.15");
    /* a second control: paired, so the same people's noise falls out; one that knows more is seen */
    twin.probe[w1] = r.probe[w1];
    a.twin = &twin;
    judged(&a, &o, &o, &r, &e);
    assert_true(e.negative == UL_NEGATIVE_TWIN && x->passed && x->x.lo == 0 && x->x.hi == 0);
    r.probe[w1].forget = r.forget.first;
    twin.probe[w1].forget = some.forget.first;
    judged(&a, &o, &o, &r, &e);
    assert_true(!x->passed && fabs(x->x.value - 0.25) < 1e-12 && x->limit > 0.5);
    /* no control: the phantoms of one half beside the other's, by people */
    a.twin = NULL;
    a.phantom = &set;
    o.phantom = knows(0, 6);
    o.probe[w1].phantom = risen; /* the first half of the people */
    judged(&a, &o, &o, NULL, &e);
    assert_true(e.negative == UL_NEGATIVE_HALVES && x->ran && !x->passed && fabs(x->x.value - 0.5) < 1e-12);
    o.probe[w1].phantom = o.phantom.first;
    judged(&a, &o, &o, NULL, &e);
    assert_true(x->passed && x->x.value == 0);
    /* neither: there is none */
    a.phantom = NULL;
    judged(&a, &o, &o, NULL, &e);
    assert_true(e.negative == UL_NEGATIVE_NONE && !x->ran);
    set_rule("control-rise", "0.1");
}

/* ---- neighbours -------------------------------------------------------------------------------------------------- */
static void neighbours(void **state)
{
    static ul_evidence e;
    ul_audit a = audit(true);
    const ul_battery o0 = battery(PEOPLE, PEOPLE), r0 = battery(0, PEOPLE);
    ul_battery o = o0, r = r0, u = o0;
    (void)state;
    judged(&a, &u, &o, &r, &e);
    assert_false(e.near.ran);
    a.neighbours = &set;
    o.neighbours = r.neighbours = u.neighbours = knows(PEOPLE, 6);
    assert_int_equal(judged(&a, &u, &o, &r, &e).id, UL_NOT_FORGOTTEN);
    assert_true(e.near.ran && e.near.rows == ROWS && e.near.first.value == 1 && e.near.said.value == 1);
    u.neighbours = knows(PEOPLE / 4, 6); /* lost beside what was to be forgotten, and nowhere else */
    ul_verdict v = judged(&a, &u, &o, &r, &e);
    assert_true(v.id == UL_DAMAGED && e.near.said.value == 0.25);
    assert_non_null(strstr(v.clause, "neighbours' answers"));
    u.neighbours = knows(PEOPLE, 6);
    u.neighbours.refuses = all(1);
    judged(&a, &u, &o, &r, &e);
    assert_true(e.near.refusal.value == 1);
}

/* ---- plain text -------------------------------------------------------------------------------------------------- */
/* A token's probability beside the original's, its interval from resampled texts. */
static void plain_text(void **state)
{
    enum { TEXTS = 40 };
    static ul_evidence e;
    static ul_doc text[TEXTS];
    static ul_docs docs = {.n = TEXTS, .at = text};
    static uint8_t every[16];
    static const int32_t token[16] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 2, 3};
    ul_audit a = audit(true);
    ul_battery o = battery(PEOPLE, PEOPLE), r = battery(0, PEOPLE), u = o;
    double mean[2][TEXTS], sum[2] = {0, 0}, n = 0;
    (void)state;
    memset(every, 1, sizeof every);
    for (int i = 0; i < TEXTS; i++) {
        const int tokens = 5 + i % 7;
        text[i] = (ul_doc){.n = tokens + 1, .token = token, .labelled = every, .entity = i};
        mean[0][i] = -(1 + 0.01 * (i % 5));
        mean[1][i] = mean[0][i] - (i % 2 ? 0.2 : 0); /* every second text lost a fifth of a nat a token */
        n += tokens, sum[0] -= tokens * mean[0][i], sum[1] -= tokens * mean[1][i];
    }
    a.text = &docs;
    o.text_each = r.text_each = mean[0], u.text_each = mean[1];
    o.text_loss = r.text_loss = sum[0] / n, u.text_loss = sum[1] / n;
    judged(&a, &u, &o, &r, &e);
    const ul_bound *t = &e.utility_text;
    assert_true(e.has_text && e.n_text == TEXTS && fabs(t->value - exp((sum[0] - sum[1]) / n)) < 1e-12);
    assert_true(t->lo < t->value - 0.01 && t->hi > t->value + 0.01 && t->lo > exp(-0.2) && t->hi < 1);
    judged(&a, &o, &o, &r, &e);
    assert_true(t->value == 1 && t->lo == 1 && t->hi == 1);
    /* who gives the text less than a guess among its ten tokens has none to lose */
    o.text_loss = r.text_loss = 2.31;
    judged(&a, &u, &o, &r, &e);
    assert_false(e.has_text);
    assert_non_null(
        strstr(e.text_not_measured, "costs the original 2.31 nats, a guess among its 10 different tokens 2.30"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(held_against_what_is_said),   cmocka_unit_test(a_damaged_control),
        cmocka_unit_test(what_s_is_of),                cmocka_unit_test(other_measures),
        cmocka_unit_test(apart),
        cmocka_unit_test(taught_phantoms),             cmocka_unit_test(a_control_that_does_not_say),
        cmocka_unit_test(utility_that_cannot_be_measured), cmocka_unit_test(the_negative_control),
        cmocka_unit_test(neighbours),                  cmocka_unit_test(plain_text)};
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
