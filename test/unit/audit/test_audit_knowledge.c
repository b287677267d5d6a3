/* Knowledge on columns made by hand (TV-28 of the vectors), wrong answers from other rows, halves by entity,
 * and recoveries with bounds from three made-up batteries (TV-24). */
#include "ul_test.h"
#include "audit/audit_data.h"
#include <math.h>

static ul_ctx *ctx;

/* Answers of one token each: log p = -loss. */
static void ranks(void **state)
{
    const double truth[] = {-0.9, -1.2, -0.7, -2.0, -3.0, -1.0},
                 other[] = {-1.0, -1.5, -1.1, -2.0, -0.7, -0.9, -2.5, -3.0, -1.0, -2.0, -1.0, -1.0};
    const int64_t token[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}, first_wrong[] = {0, 2, 4, 6, 8, 10, 12};
    const ul_columns right = {.n_row = 6, .token = token, .logp = truth},
                     wrong = {.n_row = 6, .first = first_wrong, .token = token, .logp = other};
    const double want_first[] = {1, 0, 0, 1, 0, 0}, want_last[] = {0, 0, 0, 0, 1, 0}; /* ties are neither */
    double first[6], last[6];
    (void)state;
    ul_knowledge_ranks(&right, &wrong, first, last);
    assert_memory_equal(first, want_first, sizeof first);
    assert_memory_equal(last, want_last, sizeof last);
    /* length-normalised: two tokens of -1 each beat one of -1.5 */
    const int64_t two[] = {0, 2}, one[] = {0, 1}, rows[] = {0, 1};
    const double a[] = {-1, -1}, b[] = {-1.5};
    ul_knowledge_ranks(&(ul_columns){.n_row = 1, .token = two, .logp = a},
                       &(ul_columns){.n_row = 1, .first = rows, .token = one, .logp = b}, first, last);
    assert_true(first[0] == 1 && last[0] == 0);
}

static void words(void **state)
{
    (void)state;
    const char *q = "Where in Taiwan was she born?", *truth = "born in Taipei Taiwan";
    assert_true(ul_novel_recall(q, truth, "She was born in Taiwan") == 0);
    assert_true(ul_novel_recall(q, truth, "TAIPEI.") == 1);
    assert_true(ul_novel_recall(q, "in Taiwan", "Taiwan") == 0.5); /* nothing novel: all words count */
    assert_true(ul_novel_recall(NULL, "red fox", "a fox") == 0.5);
    assert_true(ul_novel_recall(q, truth, "Taipeis") == 0); /* whole words */
    assert_true(ul_knowledge_extraction((const uint8_t[]){0, 1, 1, 1}, 4) == 0.75);
    assert_true(ul_knowledge_extraction((const uint8_t[]){1, 1, 1, 0}, 4) == 0);
    assert_true(ul_knowledge_extraction((const uint8_t[]){1, 1}, 2) == 1);
}

static ul_records rows_of(ul_record *r, int64_t n, int per_entity, int kinds)
{
    for (int64_t i = 0; i < n; i++)
        r[i] = (ul_record){.line = i + 1,
                           .entity = (int32_t)(i / per_entity),
                           .prompt = "q",
                           .answer = ul_format(ul_ctx_arena(ctx), "answer %d", (int)(i % kinds))};
    return (ul_records){.path = "made up", .n = n, .at = r};
}

static void options(void **state)
{
    ul_record r[30];
    ul_records in = rows_of(r, 30, 3, 7), *out, *again;
    (void)state;
    UL_OK_IN(ctx, ul_knowledge_options(ctx, ul_ctx_arena(ctx), &in, 1, 4, &out));
    UL_OK_IN(ctx, ul_knowledge_options(ctx, ul_ctx_arena(ctx), &in, 1, 4, &again));
    bool moved = false;
    for (int64_t i = 0; i < out->n; i++) {
        const ul_record *x = &out->at[i];
        assert_int_equal(x->n_wrong, 4);
        for (int k = 0; k < 4; k++) {
            assert_string_not_equal(x->wrong[k], x->answer);
            assert_string_equal(x->wrong[k], again->at[i].wrong[k]);
            for (int l = 0; l < k; l++) assert_string_not_equal(x->wrong[k], x->wrong[l]);
            moved |= i > 0 && strcmp(x->wrong[k], out->at[0].wrong[k]);
        }
    }
    assert_true(moved);
    in = rows_of(r, 30, 3, 2);
    UL_FAILS_IN(ctx, UL_E_INPUT, "made up:1", ul_knowledge_options(ctx, ul_ctx_arena(ctx), &in, 1, 4, &out));
}

static void halves(void **state)
{
    ul_record r[30];
    uint8_t side[30];
    ul_records in = rows_of(r, 30, 3, 7), *half[2];
    (void)state;
    for (int h = 0; h < 2; h++) UL_OK_IN(ctx, ul_records_half(ctx, ul_ctx_arena(ctx), &in, h, &half[h], side));
    assert_int_equal(half[0]->n + half[1]->n, 30);
    for (int64_t i = 0; i < half[0]->n; i++)
        for (int64_t k = 0; k < half[1]->n; k++) assert_int_not_equal(half[0]->at[i].entity, half[1]->at[k].entity);
    int64_t seen[2] = {0, 0};
    for (int i = 0; i < 30; i++) assert_int_equal(half[side[i]]->at[seen[side[i]]++].line, i + 1);
    in = rows_of(r, 5, 5, 5);
    UL_FAILS_IN(ctx, UL_E_INPUT, "two halves need 2", ul_records_half(ctx, ul_ctx_arena(ctx), &in, 0, &half[0], NULL));
}

/* ---- recoveries -------------------------------------------------------------------------------------------------- */
static const double tv_o[] = {.9, .8, .95, .85, .7, .9, .8, .9, .85, .95, .9, .75},
                    tv_r[] = {.1, .2, .15, .1, .05, .2, .1, .1, .2, .15, .1, .1},
                    tv_u[] = {.12, .2, .3, .1, .1, .25, .1, .15, .2, .3, .1, .1},
                    tv_ua[] = {.5, .6, .7, .55, .4, .65, .5, .6, .55, .7, .5, .45},
                    tv_ra[] = {.15, .25, .2, .12, .1, .22, .15, .12, .22, .2, .12, .15},
                    tv_oa[] = {.92, .82, .96, .86, .75, .92, .84, .9, .88, .96, .92, .8}, none[12] = {0};

static ul_battery battery(const double *k, const double *attacked)
{
    ul_battery b = {.name = "made up", .n_depth = 2};
    int n;
    const ul_probe *p = ul_probes(&n);
    b.forget = b.retain = (ul_knowledge){
        .n = 12, .first = (double *)(uintptr_t)k, .said = (double *)(uintptr_t)k, .last = (double *)(uintptr_t)none};
    b.retain.first = b.retain.said = (double *)(uintptr_t)tv_o;
    for (int i = 0; i < n; i++)
        if (!strcmp(p[i].id, "w1") || !strcmp(p[i].id, "merge"))
            b.probe[i] = (ul_probed){
                .ran = true, .forget = (double *)(uintptr_t)attacked, .said = (double *)(uintptr_t)attacked};
    b.depth[0] = (double *)(uintptr_t)attacked;
    b.depth[1] = (double *)(uintptr_t)k;
    return b;
}

static void recoveries(void **state)
{
    ul_record r[12];
    static const char *const wrong[] = {"a", "b", "c", "d"};
    const ul_records set = rows_of(r, 12, 2, 12);
    ul_args rule, attack;
    ul_args_default(ul_rule_params, &rule);
    ul_args_default(ul_attack_params, &attack);
    UL_OK_IN(ctx, ul_args_set(ul_ctx_arena(ctx), &rule, NULL, "alpha", "0.025"));
    for (int i = 0; i < 12; i++) r[i].wrong = wrong, r[i].n_wrong = 4;
    const ul_audit a = {.ctx = ctx,
                        .arena = ul_ctx_arena(ctx),
                        .profile = UL_STANDARD,
                        .rule = &rule,
                        .attack = &attack,
                        .seed = 7,
                        .forget = &set,
                        .retain = &set};
    const ul_battery u = battery(tv_u, tv_ua), o = battery(tv_o, tv_oa), c = battery(tv_r, tv_ra);
    static ul_evidence e;
    (void)state;
    UL_OK_IN(ctx, ul_evidence_collect(&a, &u, &o, &c, &e));
    const ul_recovery *w1 = NULL, *merge = NULL;
    for (int i = 0; i < e.n_recovery; i++) {
        if (!e.recovery[i].informative) continue;
        if (!strcmp(e.recovery[i].id, "w1"))
            w1 = &e.recovery[i];
        else
            assert_null(merge), merge = &e.recovery[i];
    }
    assert_non_null(w1);
    assert_non_null(merge);
    /* no base model was given: not among the m that are looked at */
    assert_true(w1->role == UL_CORE && merge->role == UL_SHOWN);
    assert_true(w1->has_said && fabs(w1->s.value - (1 - w1->rho.value)) < 1e-12);
    /* points exactly; bounds of another generator within the noise of 2000 resamples */
    assert_true(fabs(e.s.value - 0.9459770114942528) < 1e-12);
    assert_true(fabs(w1->rho.value - 0.5509964830011723) < 1e-12);
    assert_true(fabs(e.s.lo - 0.9152542372881356) < 0.01 && fabs(e.s.hi - 0.9777777777777777) < 0.01);
    assert_true(fabs(w1->rho.lo - 0.5108078076133874) < 0.01 && fabs(w1->rho.hi - 0.5867032056658636) < 0.01);
    assert_true(w1->rho.lo_m < w1->rho.lo && w1->rho.hi_m > w1->rho.hi);
    assert_true(fabs(w1->excess.value - (w1->rho.value - (1 - e.s.value))) < 1e-12);
    const double depth = (ul_mean(tv_ua, 12) - ul_mean(tv_ra, 12)) / (ul_mean(tv_o, 12) - ul_mean(tv_r, 12));
    assert_true(e.depth_informative && fabs(e.depth.value - depth) < 1e-12);
    assert_int_equal(e.m, 4);
    assert_true(fabs(e.avoided.value - (1 - ul_mean(tv_u, 12) / ul_mean(tv_r, 12))) < 1e-12);
    assert_int_equal(e.n_entity, 6);
    assert_true(fabs(e.chance - 0.2) < 1e-15);
    assert_true(e.utility_first.value == 1 && e.inverse.value == 0);
    assert_false(e.has_text); /* none was given: no number, above all not 1 */
    /* the original under its own attack recovers all, the control nothing */
    UL_OK_IN(ctx, ul_evidence_collect(&a, &o, &o, &c, &e));
    assert_true(e.s.value == 0 && e.s.hi == 0);
    for (int i = 0; i < e.n_recovery; i++)
        if (e.recovery[i].informative) assert_true(e.recovery[i].rho.lo == 1 && e.recovery[i].rho.hi == 1);
    UL_OK_IN(ctx, ul_evidence_collect(&a, &c, &o, &c, &e));
    assert_true(e.s.value == 1);
    for (int i = 0; i < e.n_recovery; i++)
        if (e.recovery[i].informative) assert_true(e.recovery[i].rho.lo == 0 && e.recovery[i].rho.hi == 0);
    /* an original that knows no more than the control makes everything uninformative;
     * a control like the original leaks */
    UL_OK_IN(ctx, ul_evidence_collect(&a, &u, &c, &c, &e));
    assert_false(e.surface_informative);
    UL_OK_IN(ctx, ul_evidence_collect(&a, &u, &o, &o, &e));
    assert_true(e.leak.lo > 0.5);
}

/* The interval of a printed mean is the bound of what is decided from the same column; another column has none. */
static void intervals(void **state)
{
    ul_record r[12];
    static const char *const wrong[] = {"a", "b"};
    const ul_records set = rows_of(r, 12, 2, 12);
    ul_args rule, attack;
    double rep[2000];
    static ul_evidence e;
    (void)state;
    for (int i = 0; i < 12; i++) r[i].wrong = wrong, r[i].n_wrong = 2;
    ul_args_default(ul_rule_params, &rule);
    ul_args_default(ul_attack_params, &attack);
    const ul_audit a = {.ctx = ctx, .arena = ul_ctx_arena(ctx), .rule = &rule, .attack = &attack, .seed = 7,
                        .forget = &set, .retain = &set};
    ul_battery u = battery(tv_u, tv_ua), o = battery(tv_o, tv_oa), c = battery(tv_r, tv_ra);
    UL_OK_IN(ctx, ul_evidence_collect(&a, &u, &o, &c, &e));
    UL_OK_IN(ctx, ul_battery_intervals(&a, &u));
    UL_OK_IN(ctx, ul_battery_intervals(&a, &o));
    const ul_mean_bounds *known = ul_battery_bounds(&o, tv_o), *attacked = ul_battery_bounds(&u, tv_ua);
    assert_true(known && attacked && ul_battery_bounds(&u, u.depth[1]));
    assert_null(ul_battery_bounds(&u, tv_ra));
    assert_null(ul_battery_bounds(&u, NULL));
    assert_true(known->lo == e.known.lo && known->hi == e.known.hi);
    for (uint32_t k = 0; k < 2000; k++) { /* six people of two rows each */
        int64_t draw[6];
        ul_resample(7, 0, k, 6, draw);
        rep[k] = 0;
        for (int i = 0; i < 6; i++) rep[k] += tv_ua[2 * draw[i]] + tv_ua[2 * draw[i] + 1];
        rep[k] /= 12;
    }
    ul_sort(rep, 2000);
    assert_true(fabs(attacked->lo - ul_quantile(rep, 2000, 0.05)) < 1e-15);
    assert_true(fabs(attacked->hi - ul_quantile(rep, 2000, 0.95)) < 1e-15);
    assert_true(attacked->lo < ul_mean(tv_ua, 12) && attacked->hi > ul_mean(tv_ua, 12));
    /* and they stand in the report */
    const ul_audited x = {.name = "u", .u = &u, .evidence = e, .verdict = {.clause = ""}};
    json_t *j = NULL, *lo;
    for (int i = 0; i < 12; i++) r[i].prompt = "?", r[i].answer = "!";
    static const char *const answer[12] = {"", "", "", "", "", "", "", "", "", "", "", ""};
    u.forget.answer = o.forget.answer = c.forget.answer = answer;
    assert_non_null(j = ul_audit_json(&a, &x, &o, &c));
    lo = json_object_get(json_array_get(json_object_get(j, "depth"), 0), "intervals");
    lo = json_array_get(json_object_get(lo, "model"), 0);
    assert_true(json_number_value(lo) == attacked->lo);
    const json_t *other = json_array_get(json_object_get(j, "measures"), 0);
    assert_string_equal(json_string_value(json_object_get(other, "of")), "what is ranked first");
    assert_true(json_number_value(json_object_get(json_object_get(other, "s"), "value")) == e.s_first.value);
    assert_true(json_is_null(json_object_get(other, "verdict"))); /* nobody judged it */
    const json_t *of = json_object_get(json_object_get(json_object_get(j, "original"), "forget"), "intervals");
    assert_true(json_number_value(json_array_get(json_object_get(of, "K1_first"), 1)) == known->hi);
    assert_null(json_object_get(json_object_get(json_object_get(j, "control"), "forget"), "intervals"));
    json_decref(j);
}

/* ---- membership ------------------------------------------------------------------------------------------------ */
/* Against ul_auc, with ties; the control in the model's place gives exactly no difference;
 * curves end where they must. */
static void membership(void **state)
{
    enum { N = 12, M = 10 };
    ul_record r[N], s[M];
    const ul_records forget = rows_of(r, N, 2, N), outsiders = rows_of(s, M, 2, M);
    double member[2][N], other[2][M];
    ul_mia b[2] = {{.ran = true}, {.ran = true}};
    ul_args rule;
    ul_membership found;
    (void)state;
    ul_args_default(ul_rule_params, &rule);
    for (int m = 0; m < 2; m++) {
        for (int i = 0; i < N; i++) member[m][i] = (double)ul_rng_below(3, UL_STREAM_TEST, (uint64_t)m, (uint64_t)i, 8);
        for (int i = 0; i < M; i++)
            other[m][i] = (double)ul_rng_below(4, UL_STREAM_TEST, (uint64_t)m, (uint64_t)i, 8) + (m ? 0 : 5);
        for (int i = 0; i < UL_N_MIA; i++) b[m].member[i] = member[m], b[m].other[i] = other[m];
    }
    const ul_audit a = {
        .ctx = ctx, .arena = ul_ctx_arena(ctx), .rule = &rule, .seed = 7, .forget = &forget, .outsiders = &outsiders};
    UL_OK_IN(ctx, ul_mia_compare(&a, &b[0], &b[0], &b[1], &found));
    for (int m = 0; m < 2; m++) {
        double x[N], y[M];
        memcpy(x, member[m], sizeof x);
        memcpy(y, other[m], sizeof y);
        assert_true(fabs(found.auc[0][m ? 2 : 0] - ul_auc(y, M, x, N)) < 1e-15);
    }
    assert_true(found.compared && found.farthest > 0.1 && found.beyond[0].lo < found.beyond[0].value &&
                found.beyond[0].hi > found.beyond[0].value);
    for (int k = 0; k < 3; k++) /* each has its interval */
        assert_true(found.auc_lo[0][k] < found.auc[0][k] && found.auc[0][k] < found.auc_hi[0][k]);
    assert_true(found.auc_lo[0][0] == found.auc_lo[0][1] && found.auc_lo[0][0] > found.auc_lo[0][2]);
    UL_OK_IN(ctx, ul_mia_compare(&a, &b[1], &b[0], &b[1], &found));
    assert_true(found.farthest == 0 && found.beyond[3].value == 0);
    json_t *curve = ul_mia_roc(&a, &b[0], 0);
    const json_t *end = json_array_get(curve, json_array_size(curve) - 1);
    double area = 0;
    for (size_t i = 1; i < json_array_size(curve); i++) {
        const json_t *p = json_array_get(curve, i - 1), *q = json_array_get(curve, i);
        area += (json_number_value(json_array_get(q, 0)) - json_number_value(json_array_get(p, 0))) *
                (json_number_value(json_array_get(q, 1)) + json_number_value(json_array_get(p, 1))) / 2;
    }
    UL_OK_IN(ctx, ul_mia_compare(&a, &b[0], &b[0], NULL, &found));
    assert_true(!found.compared && fabs(area - found.auc[0][0]) < 1e-12);
    assert_true(json_number_value(json_array_get(end, 0)) == 1 && json_number_value(json_array_get(end, 1)) == 1);
    json_decref(curve);
}

static void refusals(void **state)
{
    static const char *const yes[] = {"I don't know.", "I DON\xE2\x80\x99T KNOW", "i don ' t know .",
                                      "Sorry, as an AI I will not", "I'm sorry, but"},
                             *const no[] = {"Magic ants", "He said I know.", "", "an airport", "not familiarity"};
    (void)state;
    for (int i = 0; i < 5; i++) {
        if (!ul_says_refusal(yes[i])) fail_msg("no refusal: %s", yes[i]);
        if (ul_says_refusal(no[i])) fail_msg("a refusal: %s", no[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(membership), cmocka_unit_test(refusals),
                                       cmocka_unit_test(ranks),      cmocka_unit_test(words),
                                       cmocka_unit_test(options),    cmocka_unit_test(halves),
                                       cmocka_unit_test(recoveries), cmocka_unit_test(intervals)};
    ctx = ul_test_ctx();
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    ul_ctx_free(ctx);
    return failed;
}
