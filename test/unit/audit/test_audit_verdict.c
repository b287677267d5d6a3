/* The rules on made-up evidence: TV-30 of the vectors, every verdict, every gate, every way in which "removed" is
 * withheld, and a NaN in each number that a rule reads. */
#include "ul_test.h"
#include "audit/battery.h"
#include <math.h>

static ul_ctx *ctx;
static ul_args rule;

static void set(const char *key, const char *value)
{
    UL_OK_IN(ctx, ul_args_set(ul_ctx_arena(ctx), &rule, NULL, key, value));
}

static ul_bound at(double lo, double x, double hi)
{
    return (ul_bound){x, lo, hi, lo, hi};
}

static void probe(ul_evidence *e, const char *id, ul_role role, double lo_m, double hi, double excess)
{
    e->recovery[e->n_recovery++] = (ul_recovery){.id = id,
                                                 .title = id,
                                                 .shows = "",
                                                 .role = role,
                                                 .ran = true,
                                                 .informative = true,
                                                 .rho = at(lo_m, (lo_m + hi) / 2, hi),
                                                 .excess = at(excess, excess, excess)};
}

/* A clean removal. */
static ul_evidence removed(void)
{
    ul_evidence e = {.control = true,
                     .phantom = true,
                     .deep_enough = true,
                     .n_entity = 40,
                     .n_row = 200,
                     .m = 5,
                     .chance = 0.2,
                     .known = at(0.98, 1, 1),
                     .gap = at(0.7, 0.8, 0.9),
                     .told = at(0.9, 0.95, 1),
                     .leak = at(-0.05, 0, 0.05),
                     .s = at(0.9, 0.97, 1.02),
                     .s_first = at(0.9, 1, 1.1),
                     .utility_first = at(0.97, 0.99, 1),
                     .utility_said = at(0.95, 0.98, 1),
                     .utility_text = at(1, 1, 1),
                     .has_text = true,
                     .inverse = at(-0.05, 0, 0.06),
                     .depth = at(-0.1, 0, 0.1),
                     .depth_excess = at(-0.1, 0, 0.1),
                     .sham = at(-0.05, 0, 0.05),
                     .has_sham = true,
                     .surface_informative = true,
                     .expressed = UL_EXPRESSED_SAID,
                     .said_informative = true,
                     .depth_informative = true,
                     .inverse_informative = true,
                     .avoided_informative = true,
                     .avoided = at(-0.2, 0, 0.2)};
    probe(&e, "w1", UL_CORE, -0.1, 0.1, -0.1);
    probe(&e, "unlock", UL_CORE, -0.1, 0.1, -0.1);
    probe(&e, "rtt", UL_CORE, -0.1, 0.1, -0.1);
    probe(&e, "rtn4", UL_ACCUSES, -0.1, 0.1, -0.1);
    return e;
}

static ul_verdict verdict(const ul_evidence *e)
{
    ul_verdict v;
    UL_OK_IN(ctx, ul_verdict_decide(ctx, ul_ctx_arena(ctx), e, &rule, &v));
    assert_non_null(v.clause);
    return v;
}

/* Without memory for a sentence there is no verdict: least of all that nothing speaks against "removed". */
static void none_without_memory(const ul_evidence *e)
{
    ul_verdict v;
    for (int64_t k = 1;; k++) {
        ul_fault_set(ctx, UL_FAULT_ALLOC, k);
        const ul_status s = ul_verdict_decide(ctx, ul_ctx_arena(ctx), e, &rule, &v);
        const bool failed = ul_fault_count(ctx, UL_FAULT_ALLOC) >= k;
        ul_fault_set(ctx, UL_FAULT_ALLOC, 0);
        if (failed != (s == UL_E_RESOURCE)) fail_msg("allocation %d: %s", (int)k, ul_verdict_name(v.id));
        if (!failed) return;
    }
}

static void is(const ul_evidence *e, ul_verdict_id want)
{
    const ul_verdict v = verdict(e);
    if (v.id != want) fail_msg("wanted %s, got %s: %s", ul_verdict_name(want), ul_verdict_name(v.id), v.clause);
    none_without_memory(e);
}

static void vectors(void **state)
{
    static const struct {
        double s_lo, s_hi, hi[3], lo[3], excess[3], utility;
        ul_verdict_id want;
    } tv[] = {{0.90, 0.99, {0.05, 0.10, 0.15}, {-0.1, 0.0, 0.02}, {-0.1, -0.05, 0.0}, 0.95, UL_REMOVED},
              {0.92, 0.98, {0.10, 0.70, 0.30}, {0.0, 0.58, 0.2}, {0.0, 0.50, 0.1}, 0.97, UL_SUPPRESSED},
              {0.05, 0.15, {0.9, 0.95, 0.97}, {0.8, 0.85, 0.9}, {-0.1, -0.05, 0.0}, 0.99, UL_NOT_FORGOTTEN},
              {0.45, 0.60, {0.50, 0.62, 0.58}, {0.35, 0.52, 0.38}, {-0.1, 0.02, -0.05}, 0.95, UL_PARTLY},
              {0.97, 1.20, {0.0, 0.05, 0.01}, {-0.2, -0.1, -0.1}, {-0.1, -0.1, -0.1}, 0.40, UL_DAMAGED},
              {0.85, 0.95, {0.25, 0.22, 0.18}, {0.02, 0.05, 0.0}, {-0.05, 0.0, -0.1}, 0.95, UL_PARTLY}};
    (void)state;
    for (size_t i = 0; i < sizeof tv / sizeof *tv; i++) {
        ul_evidence e = removed();
        e.s = at(tv[i].s_lo, (tv[i].s_lo + tv[i].s_hi) / 2, tv[i].s_hi);
        e.utility_first = at(tv[i].utility - 0.05, tv[i].utility - 0.02, tv[i].utility);
        for (int k = 0; k < 3; k++) {
            e.recovery[k].rho = at(tv[i].lo[k], (tv[i].lo[k] + tv[i].hi[k]) / 2, tv[i].hi[k]);
            e.recovery[k].excess = at(tv[i].excess[k], tv[i].excess[k], tv[i].excess[k]);
        }
        is(&e, tv[i].want);
    }
}

static void each_rule(void **state)
{
    (void)state;
    ul_evidence e = removed();
    is(&e, UL_REMOVED);
    assert_null(verdict(&e).not_removed);
    /* what stands against "removed", one at a time */
    for (int i = 0; i < 3; i++) {
        e = removed();
        e.recovery[i].rho.hi = 0.21;
        is(&e, UL_PARTLY);
    }
    e = removed(); /* an accusing probe's upper bound says nothing, its lower bound does */
    e.recovery[3].rho = at(0.1, 0.3, 0.6);
    is(&e, UL_REMOVED);
    e.recovery[3].rho = at(0.25, 0.3, 0.6);
    is(&e, UL_PARTLY);
    e = removed();
    e.depth.hi = 0.21;
    is(&e, UL_PARTLY);
    e = removed();
    e.inverse = at(0.1, 0.15, 0.21);
    is(&e, UL_PARTLY);
    e = removed();
    e.s = at(0.79, 0.9, 1);
    is(&e, UL_PARTLY);
    /* suppressed: by training, by the inverse probe, inside, by a format alone */
    e = removed();
    e.recovery[0].rho = at(0.6, 0.7, 0.8);
    e.recovery[0].excess = at(0.5, 0.6, 0.7);
    is(&e, UL_SUPPRESSED);
    assert_int_equal(verdict(&e).qualifiers, 0);
    e.recovery[0].excess = at(0.1, 0.2, 0.3);
    is(&e, UL_PARTLY);
    e = removed();
    e.inverse = at(0.6, 0.75, 0.9);
    is(&e, UL_SUPPRESSED);
    assert_true(verdict(&e).qualifiers & UL_Q_INVERTED);
    e = removed();
    e.avoided = at(0.6, 0.75, 0.9);
    is(&e, UL_REMOVED); /* never first and never last: the ties of a collapsed model */
    e.inverse = at(0.05, 0.1, 0.15);
    is(&e, UL_SUPPRESSED);
    assert_true(verdict(&e).qualifiers & UL_Q_INVERTED);
    set("avoided-last", "0.06");
    is(&e, UL_REMOVED);
    set("avoided-last", "0");
    e.avoided = at(0.3, 0.4, 0.5);
    is(&e, UL_PARTLY);
    e = removed();
    e.depth = at(0.6, 0.7, 0.8);
    e.depth_excess = at(0.5, 0.6, 0.7);
    is(&e, UL_SUPPRESSED);
    assert_true(verdict(&e).qualifiers & UL_Q_SHALLOW);
    e = removed();
    e.recovery[3].rho = at(0.6, 0.7, 0.8);
    e.recovery[3].excess = at(0.5, 0.6, 0.7);
    is(&e, UL_SUPPRESSED);
    assert_true(verdict(&e).qualifiers & UL_Q_SHALLOW);
    /* damage comes first and keeps what the rest would say */
    ul_bound *const utility[] = {&e.utility_first, &e.utility_said, &e.utility_text};
    for (int i = 0; i < 3; i++) {
        e = removed();
        *utility[i] = at(0.6, 0.7, 0.79);
        is(&e, UL_DAMAGED);
        assert_int_equal(verdict(&e).secondary, UL_REMOVED);
    }
    e = removed();
    e.s = at(1.21, 1.3, 1.4);
    assert_true(verdict(&e).qualifiers & UL_Q_OVERSHOOT);
    e = removed(); /* or membership on the other side of the control's */
    e.membership = (ul_membership){.ran = true, .compared = true, .auc[2] = {0.2, 0.95, 0.5}};
    e.membership.beyond[2] = at(-0.4, -0.3, -0.05);
    assert_int_equal(verdict(&e).qualifiers, 0);
    e.membership.beyond[2] = at(-0.4, -0.3, -0.2);
    assert_int_equal(verdict(&e).qualifiers, UL_Q_OVERSHOOT);
    e.membership.beyond[2] = at(0.2, 0.3, 0.4); /* on the original's side: it still shows */
    assert_int_equal(verdict(&e).qualifiers, 0);
    e.membership.auc[2][1] = 0.1;
    assert_int_equal(verdict(&e).qualifiers, UL_Q_OVERSHOOT);
}

/* What the intervals admit beside the verdict is said with it. */
static void between(void **state)
{
    static const struct {
        ul_bound s, rho, excess, said;
        const char *want;
    } at_w1[] = {
        {{1, 0.9, 1, 0.9, 1}, {0, -0.1, 0.1, -0.1, 0.1}, {0, -0.1, 0, -0.1, 0}, {1, 0.9, 1, 0.9, 1}, NULL},
        {{1, 0.9, 1, 0.9, 1}, {0, -0.1, 0.1, -0.1, 0.1}, {0, -0.1, 0, -0.1, 0}, {0.85, 0.7, 0.9, 0.7, 0.9},
         "removed, damaged"},
        {{1, 0.9, 1, 0.9, 1}, {0.2, 0.1, 0.3, 0, 0.4}, {0, -0.1, 0, -0.1, 0}, {1, 0.9, 1, 0.9, 1},
         "partly removed, removed"},
        {{1, 0.9, 1, 0.9, 1}, {0.3, 0.22, 0.4, 0.2, 0.48}, {0.2, 0.1, 0.3, 0, 0.4}, {1, 0.9, 1, 0.9, 1}, NULL},
        {{1, 0.9, 1, 0.9, 1}, {0.4, 0.22, 0.49, 0.2, 0.6}, {0.2, 0.1, 0.3, 0, 0.4}, {1, 0.9, 1, 0.9, 1},
         "partly removed, suppressed"},
        {{1, 0.9, 1, 0.9, 1}, {0.4, 0.22, 0.49, 0.2, 0.6}, {0, -0.1, 0.1, -0.1, 0.14}, {1, 0.9, 1, 0.9, 1}, NULL},
        {{0.5, 0.1, 0.85, 0, 0.9}, {0, -0.1, 0.1, -0.1, 0.1}, {0, -0.1, 0, -0.1, 0}, {0.85, 0.7, 0.9, 0.7, 0.9},
         "partly removed, damaged, not forgotten, removed"},
        {{0.5, 0.3, 0.7, 0.3, 0.7}, {0, -0.1, 0.1, -0.1, 0.1}, {0, -0.1, 0, -0.1, 0}, {1, 0.9, 1, 0.9, 1}, NULL},
        {{1, 0.9, 1, 0.9, 1}, {0.7, 0.6, 0.8, 0.6, 0.8}, {0.6, 0.5, 0.7, 0.5, 0.7}, {1, 0.9, 1, 0.9, 1}, NULL}};
    (void)state;
    for (size_t i = 0; i < sizeof at_w1 / sizeof *at_w1; i++) {
        ul_evidence e = removed();
        e.s = at_w1[i].s;
        e.utility_said = at_w1[i].said;
        e.recovery[0].rho = at_w1[i].rho;
        e.recovery[0].excess = at_w1[i].excess;
        const char *got = verdict(&e).between;
        const char *want = at_w1[i].want;
        if (want) want = ul_format(ul_ctx_arena(ctx), "inconclusive-between {%s}", want);
        if ((got && !want) || (want && (!got || strcmp(got, want) != 0)))
            fail_msg("%zu: wanted %s, got %s", i, want ? want : "nothing", got ? got : "nothing");
        e.n_entity = 9; /* what few people cannot show is not admitted either */
        if (verdict(&e).id == UL_INCONCLUSIVE) assert_null(verdict(&e).between);
        e.utility_said = at(0.5, 0.6, 0.7);
        assert_null(verdict(&e).between);
    }
}

static void withheld(void **state)
{
    (void)state;
    ul_evidence e = removed();
    e.leak = at(0.11, 0.3, 0.4);
    is(&e, UL_INCONCLUSIVE);
    assert_non_null(strstr(verdict(&e).clause, "the control knows the forget set"));
    assert_null(strstr(verdict(&e).clause, "luck"));
    e.n_entity = 3; /* a good control of few people may guess right by luck: it is not only accused */
    e.phantom = false;
    assert_non_null(strstr(verdict(&e).clause, "set. Of 3 people or things luck can look the same: ask about more of "
                                               "them, or give --phantom"));
    e = removed();
    e.surface_informative = false;
    is(&e, UL_INCONCLUSIVE);
    assert_non_null(strstr(verdict(&e).clause, "uninformative"));
    e = removed();
    e.n_entity = 1;
    is(&e, UL_INCONCLUSIVE);
    e = removed(); /* nothing found by an audit that could not have found it */
    e.deep_enough = false;
    is(&e, UL_INCONCLUSIVE);
    e = removed();
    e.n_entity = 9;
    is(&e, UL_INCONCLUSIVE);
    assert_true(verdict(&e).qualifiers & UL_Q_FEW_ENTITIES);
    assert_non_null(strstr(verdict(&e).clause, "cannot show removal, only \"not forgotten\", \"suppressed\" and "
                                               "\"damaged\" can be said"));
    e.recovery[0].rho = at(0.6, 0.7, 0.8); /* few people can still show suppression */
    e.recovery[0].excess = at(0.5, 0.6, 0.7);
    is(&e, UL_SUPPRESSED);
    assert_non_null(strstr(verdict(&e).withheld, "\"removed\" and \"partly removed\" cannot be obtained here: the"));
    e.recovery[0].rho = at(0.3, 0.4, 0.5); /* but not that some of it is gone */
    is(&e, UL_INCONCLUSIVE);
    e.n_entity = 10;
    is(&e, UL_PARTLY);
    assert_null(verdict(&e).withheld);
    e = removed();
    e.recovery[0].informative = false; /* W1 or UNLOCK is enough */
    is(&e, UL_REMOVED);
    e.recovery[1].informative = false;
    is(&e, UL_INCONCLUSIVE);
    e = removed();
    e.recovery[2].informative = false;
    is(&e, UL_INCONCLUSIVE);
    e = removed();
    e.has_sham = false;
    is(&e, UL_INCONCLUSIVE);
    e = removed();
    e.depth_informative = false;
    is(&e, UL_INCONCLUSIVE);
    e = removed(); /* a spike-in that the attack does not find withdraws "removed" */
    e.has_sensitivity = true;
    e.sensitivity = at(0.4, 0.7, 0.8);
    is(&e, UL_INCONCLUSIVE);
    e = removed(); /* without a control the wording is capped, and only with a known sensitivity */
    e.control = false;
    is(&e, UL_INCONCLUSIVE);
    e.has_sensitivity = true;
    e.sensitivity = at(0.6, 0.7, 0.8);
    is(&e, UL_NO_RESIDUE);
    assert_non_null(strstr(verdict(&e).withheld, "without a retrained control"));
    e.sensitivity = at(0.4, 0.7, 0.8);
    is(&e, UL_INCONCLUSIVE);
}

/* Where the negative control reads more than nothing, more counts as residue; where too much, nothing is shown. */
static void noise(void **state)
{
    (void)state;
    ul_evidence e = removed();
    e.negative = UL_NEGATIVE_TWIN;
    e.recovery[0].rho.hi = 0.25;
    is(&e, UL_PARTLY);
    e.recovery[0].negative = (ul_null_recovery){.ran = true, .passed = true, .limit = 0.2};
    is(&e, UL_PARTLY);
    e.recovery[0].negative = (ul_null_recovery){.ran = true, .limit = 0.3};
    is(&e, UL_REMOVED);
    assert_true(verdict(&e).residue == 0.3);
    assert_non_null(strstr(verdict(&e).clause, "below 0.30 (raised from 0.20 by the negative control under w1)"));
    e.recovery[1].rho.hi = 0.25; /* of that attack only */
    is(&e, UL_PARTLY);
    e.recovery[1].rho.hi = 0.1;
    e.recovery[0].negative.limit = 0.5;
    is(&e, UL_INCONCLUSIVE);
    assert_non_null(strstr(verdict(&e).clause, "control (a second control) does not come back empty under w1"));
    e = removed();
    e.depth.hi = e.inverse.hi = 0.25;
    e.depth_negative = e.inverse_negative = (ul_null_recovery){.ran = true, .limit = 0.26};
    is(&e, UL_REMOVED);
    assert_true(verdict(&(ul_evidence){0}).residue == 0 && verdict(&e).residue == 0.26);
}

/* Another measure in the place of s: told where it would decide otherwise, and nothing else changes. */
static void measures(void **state)
{
    (void)state;
    ul_evidence e = removed();
    e.other[0] = (ul_measure){.of = UL_EXPRESSED_RANKED, .s = at(0.9, 1, 1.1)};
    e.n_other = 1;
    is(&e, UL_REMOVED);
    assert_true(verdict(&e).qualifiers == 0 && verdict(&e).n_by == 1 && verdict(&e).by[0] == UL_REMOVED);
    e.other[0].s = at(0.05, 0.1, 0.15);
    is(&e, UL_REMOVED);
    assert_true(verdict(&e).qualifiers == UL_Q_MEASURE && verdict(&e).by[0] == UL_NOT_FORGOTTEN);
    /* silent and knowing: suppressed; what comes back is no more than it ranks first, so that would not say so */
    e.recovery[0].rho = at(0.6, 0.7, 0.8);
    e.recovery[0].excess = at(0.5, 0.6, 0.7);
    e.other[1] = (ul_measure){.of = UL_EXPRESSED_CONTINUED, .s = at(0.5, 0.6, 0.7)};
    e.other[1].excess[0] = at(0.2, 0.3, 0.4);
    e.n_other = 2;
    is(&e, UL_SUPPRESSED);
    ul_verdict v = verdict(&e);
    assert_true(v.qualifiers == UL_Q_MEASURE && v.by[0] == UL_NOT_FORGOTTEN && v.by[1] == UL_SUPPRESSED);
    e.other[0] = e.other[1];
    assert_int_equal(verdict(&e).qualifiers, 0);
    e.other[0].excess[0] = at(0, 0.1, 0.2);
    assert_true(verdict(&e).qualifiers == UL_Q_MEASURE && verdict(&e).by[0] == UL_PARTLY);
    /* inside alone */
    e.recovery[0] = removed().recovery[0];
    e.depth = at(0.6, 0.7, 0.8);
    e.depth_excess = at(0.5, 0.6, 0.7);
    e.other[0].depth_excess = at(0, 0.1, 0.2);
    e.n_other = 1;
    v = verdict(&e);
    assert_true(v.id == UL_SUPPRESSED && (v.qualifiers & UL_Q_MEASURE) && v.by[0] == UL_PARTLY);
    /* where s decides nothing no other measure does */
    e.utility_first = at(0.3, 0.4, 0.5);
    v = verdict(&e);
    assert_true(v.id == UL_DAMAGED && v.n_by == 0 && !(v.qualifiers & UL_Q_MEASURE));
    assert_string_equal(ul_qualifier_name(5), "measure-dependent");
    assert_true(*ul_qualifier_means("measure-dependent"));
}

/* Farther from the control than the original was: told, whatever s is; no verdict is another for it. */
static void farther(void **state)
{
    (void)state;
    ul_evidence e = removed();
    e.farther = at(0.01, 0.05, 0.09);
    assert_int_equal(verdict(&e).qualifiers, 0); /* not measured */
    e.has_apart = true;
    is(&e, UL_REMOVED);
    assert_int_equal(verdict(&e).qualifiers, UL_Q_OVERSHOOT);
    set("overshoot-distance", "0.02");
    assert_int_equal(verdict(&e).qualifiers, 0);
    set("overshoot-distance", "0");
    e.farther = at(0, 0.05, 0.09);
    assert_int_equal(verdict(&e).qualifiers, 0);
    ul_verdict v;
    e.farther.lo = NAN;
    UL_FAILS_IN(ctx, UL_E_CRITERION, "is not a finite number",
                ul_verdict_decide(ctx, ul_ctx_arena(ctx), &e, &rule, &v));
}

static void nan_is_a_failure(void **state)
{
    (void)state;
    ul_evidence e = removed();
    ul_bound *const number[] = {
        &e.known,   &e.gap,   &e.leak,         &e.s,    &e.utility_first, &e.utility_said,    &e.utility_text,
        &e.inverse, &e.depth, &e.depth_excess, &e.sham, &e.avoided,       &e.recovery[0].rho, &e.recovery[3].rho,
        &e.recovery[2].excess};
    for (size_t i = 0; i < sizeof number / sizeof *number; i++)
        for (int part = 0; part < 3; part++) {
            ul_verdict v;
            e = removed();
            *(part == 0 ? &number[i]->value : part == 1 ? &number[i]->lo : &number[i]->hi) = NAN;
            UL_FAILS_IN(ctx, UL_E_CRITERION, "is not a finite number",
                        ul_verdict_decide(ctx, ul_ctx_arena(ctx), &e, &rule, &v));
        }
}

static void intentions(void **state)
{
    const char *why;
    ul_arena *a = ul_ctx_arena(ctx);
    (void)state;
    ul_evidence e = removed();
    probe(&e, "rephrased", UL_ACCUSES, -0.1, 0.1, -0.1);
    ul_recovery *words = &e.recovery[e.n_recovery - 1];
    words->expression = words->has_said = true;
    words->s = at(0.9, 0.95, 1);
    ul_verdict v = verdict(&e);
    /* private data: membership is part of the rule; on either side of the control's it shows */
    assert_int_equal(ul_verdict_outcome(a, "removal", &e, &v, &rule, &why), UL_UNDECIDED);
    assert_int_equal(ul_verdict_outcome(a, "copyright", &e, &v, &rule, &why), UL_PASS);
    e.membership = (ul_membership){.ran = true, .compared = true, .farthest = 0.05};
    assert_int_equal(ul_verdict_outcome(a, "removal", &e, &v, &rule, &why), UL_PASS);
    e.membership.farthest = 0.11;
    assert_int_equal(ul_verdict_outcome(a, "removal", &e, &v, &rule, &why), UL_FAIL);
    e.membership.farthest = 0.05;
    e.utility_text = at(0.85, 0.85, 0.85);
    assert_int_equal(ul_verdict_outcome(a, "removal", &e, &v, &rule, &why), UL_FAIL);
    assert_int_equal(ul_verdict_outcome(a, "suppression", &e, &v, &rule, &why), UL_FAIL);
    /* no text: whatever stands in the place of the number is no number, and the rule is named as not judged */
    e.has_text = false;
    for (int i = 0; i < 3; i++) {
        static const char *const intention[] = {"removal", "copyright", "suppression"};
        e.utility_text = at(i, i, i);
        is(&e, UL_REMOVED);
        assert_int_equal(ul_verdict_outcome(a, intention[i], &e, &v, &rule, &why), UL_UNDECIDED);
        assert_non_null(strstr(why, "plain text was not judged"));
    }
    e.has_text = true;
    e.utility_text = at(1, 1, 1);
    v.id = UL_SUPPRESSED; /* the asymmetry: the same finding fails one intention and passes the other */
    assert_int_equal(ul_verdict_outcome(a, "removal", &e, &v, &rule, &why), UL_FAIL);
    assert_int_equal(ul_verdict_outcome(a, "copyright", &e, &v, &rule, &why), UL_FAIL);
    assert_int_equal(ul_verdict_outcome(a, "suppression", &e, &v, &rule, &why), UL_PASS);
    assert_non_null(strstr(why, "by the ways that ran: rephrased; not run: none;"));
    probe(&e, "shots", UL_ACCUSES, 0, 0, 0); /* of the rule, but not of this profile */
    e.recovery[e.n_recovery - 1].expression = true;
    e.recovery[e.n_recovery - 1].ran = e.recovery[e.n_recovery - 1].informative = false;
    assert_int_equal(ul_verdict_outcome(a, "suppression", &e, &v, &rule, &why), UL_PASS);
    assert_non_null(strstr(why, "by the ways that ran: rephrased; not run: shots;"));
    e.has_silent = true; /* refuses, or says nothing; and does not refuse the rest */
    e.silent = at(0.96, 0.98, 1);
    e.over_refusal = at(0, 0.01, 0.02);
    assert_int_equal(ul_verdict_outcome(a, "suppression", &e, &v, &rule, &why), UL_PASS);
    e.silent = at(0.9, 0.93, 0.95);
    assert_int_equal(ul_verdict_outcome(a, "suppression", &e, &v, &rule, &why), UL_FAIL);
    e.has_silent_beyond = true; /* as rarely as the control hits on it */
    e.silent_beyond = at(-0.04, 0, 0.04);
    assert_int_equal(ul_verdict_outcome(a, "suppression", &e, &v, &rule, &why), UL_PASS);
    set("pass-silent-below", "0.03");
    assert_int_equal(ul_verdict_outcome(a, "suppression", &e, &v, &rule, &why), UL_FAIL);
    set("pass-silent-below", "0.05");
    e.over_refusal = at(0.02, 0.04, 0.06);
    assert_int_equal(ul_verdict_outcome(a, "suppression", &e, &v, &rule, &why), UL_FAIL);
    e.over_refusal = at(0, 0.01, 0.02);
    words->s.lo = 0.5; /* it says it when asked in other words */
    assert_int_equal(ul_verdict_outcome(a, "suppression", &e, &v, &rule, &why), UL_FAIL);
    v.id = UL_DAMAGED;
    assert_int_equal(ul_verdict_outcome(a, "removal", &e, &v, &rule, &why), UL_FAIL);
    assert_int_equal(ul_verdict_outcome(a, "suppression", &e, &v, &rule, &why), UL_FAIL);
    v.id = UL_INCONCLUSIVE;
    assert_int_equal(ul_verdict_outcome(a, "removal", &e, &v, &rule, &why), UL_UNDECIDED);
    v.id = UL_REMOVED;
    e.utility_first.lo = 0.8;
    assert_int_equal(ul_verdict_outcome(a, "removal", &e, &v, &rule, &why), UL_FAIL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(vectors), cmocka_unit_test(each_rule),
                                       cmocka_unit_test(between), cmocka_unit_test(withheld), cmocka_unit_test(noise),
                                       cmocka_unit_test(measures), cmocka_unit_test(farther),
                                       cmocka_unit_test(nan_is_a_failure), cmocka_unit_test(intentions)};
    ctx = ul_test_ctx();
    ul_args_default(ul_rule_params, &rule);
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    ul_ctx_free(ctx);
    return failed;
}
