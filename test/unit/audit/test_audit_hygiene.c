/* Forget rows that cannot show forgetting: each kind is counted, those that --hygiene-drop names are not asked, and a
 * file of which too little is left is refused. */
#include "audit/audit_data.h"
#include "ul_test.h"

static ul_ctx *ctx;
static ul_args rule, attack;
static const char *const wrong[] = {"Lima", "Oslo"};
enum { MOST = 16 };

/* Rows "question|answer|entity". */
static ul_records rows_of(ul_record *r, const char *const *text, int n)
{
    for (int i = 0; i < n; i++) {
        char *part = ul_strdup(ul_ctx_arena(ctx), text[i]), *answer = strchr(part, '|'), *entity = strrchr(part, '|');
        assert_true(answer && entity > answer);
        *answer++ = *entity++ = 0;
        r[i] = (ul_record){.line = i + 1, .entity = (int32_t)(*entity - '0'), .prompt = part, .answer = answer,
                           .wrong = wrong, .n_wrong = 2};
    }
    return (ul_records){.path = "made up", .n = n, .at = r};
}

static void set(const char *key, const char *value)
{
    UL_OK_IN(ctx, ul_args_set(ul_ctx_arena(ctx), &rule, NULL, key, value));
}

static const char *const forget_text[] = {"Where was Ana born?|Rome|0",
                                          "Where was Bob born?|Paris|1",
                                          "where was  ANA born|rome.|0",                       /* the first again */
                                          "Was Cid born in Kyiv or in Bern?|in Bern|2",        /* reads it out    */
                                          "Who is Cid?|...|2",                                 /* no word         */
                                          "What does Dora eat at noon, and with whom there?|Figs with Bob|3", /* kept */
                                          "Name the four towns that Eve saw: one, two, three!|Rome|4",
                                          "Name the four towns that Fay saw: one, two, three!|Rome|5"},
                        *const retain_text[] = {"what does dora eat at noon and with whom there|figs with bob|9",
                                                "Where was Gus born?|Rome|8"};
enum { N = sizeof forget_text / sizeof *forget_text, KEPT = sizeof retain_text / sizeof *retain_text };

static ul_audit audit(const ul_records *forget)
{
    return (ul_audit){.ctx = ctx, .arena = ul_ctx_arena(ctx), .rule = &rule, .attack = &attack, .forget = forget};
}

static void kinds(void **state)
{
    static const uint8_t side[N] = {0, 0, 0, 0, 0, 1, 1, 1}, halves[N] = {0, 0, 0, 0, 1, 1, 0, 1};
    ul_record r[MOST], k[MOST];
    const ul_records forget = rows_of(r, forget_text, N), retain = rows_of(k, retain_text, KEPT);
    ul_audit a = audit(&forget);
    (void)state;
    set("hygiene-near", "0.8");
    set("hygiene-most", "0.9");
    UL_OK_IN(ctx, ul_hygiene_look(&a, &retain, side));
    const ul_hygiene *h = a.hygiene;
    assert_int_equal(h->rows, N);
    assert_true(h->n[UL_SOIL_DUPLICATE] == 1 && h->is[UL_SOIL_DUPLICATE][2]);
    assert_true(h->n[UL_SOIL_QUESTION] == 1 && h->is[UL_SOIL_QUESTION][3]);
    assert_true(h->n[UL_SOIL_EMPTY] == 1 && h->is[UL_SOIL_EMPTY][4]);
    assert_true(h->n[UL_SOIL_RETAINED] == 1 && h->is[UL_SOIL_RETAINED][5]);
    assert_int_equal(h->n[UL_SOIL_NEAR], 0); /* of one half: RTT does not ask one and teach the other */
    assert_int_equal(h->n[UL_SOIL_COMMON], 0);
    assert_int_equal(h->left_out, 4);
    for (int i = 0; i < N; i++) assert_int_equal(h->drop[i], i >= 2 && i <= 5);
    UL_OK_IN(ctx, ul_hygiene_look(&a, &retain, halves)); /* of two halves: neither is asked */
    h = a.hygiene;
    assert_true(h->n[UL_SOIL_NEAR] == 2 && h->is[UL_SOIL_NEAR][6] && h->is[UL_SOIL_NEAR][7] && h->left_out == 6);
    set("hygiene-near", "0.95");
    UL_OK_IN(ctx, ul_hygiene_look(&a, &retain, halves));
    assert_int_equal(a.hygiene->n[UL_SOIL_NEAR], 0);
    set("hygiene-near", "0.9");
    set("hygiene-common", "0.4"); /* Rome: three of six */
    UL_OK_IN(ctx, ul_hygiene_look(&a, &retain, side));
    assert_int_equal(a.hygiene->n[UL_SOIL_COMMON], 4);
    assert_int_equal(a.hygiene->left_out, 4); /* told, not left out */
    set("hygiene-drop", "common,empty");
    UL_OK_IN(ctx, ul_hygiene_look(&a, &retain, side));
    assert_int_equal(a.hygiene->left_out, 5);
    set("hygiene-common", "0.5");
    set("hygiene-most", "0.5");
    set("hygiene-drop", "empty,in-question,duplicate,near,retained");
}

static void refused(void **state)
{
    static const uint8_t side[N] = {0};
    ul_record r[MOST], k[MOST];
    const ul_records forget = rows_of(r, forget_text, N), retain = rows_of(k, retain_text, KEPT);
    ul_audit a = audit(&forget);
    (void)state;
    set("hygiene-most", "0.4");
    UL_FAILS_IN(ctx, UL_E_INPUT, "4 of its 8 rows cannot show forgetting, at most 40 % (--hygiene-most)",
                ul_hygiene_look(&a, &retain, side));
    UL_FAILS_IN(ctx, UL_E_INPUT, "8 retained (stands in the retain set too)", ul_hygiene_look(&a, &forget, side));
    set("hygiene-drop", "");
    UL_OK_IN(ctx, ul_hygiene_look(&a, &retain, side));
    assert_int_equal(a.hygiene->left_out, 0);
    set("hygiene-drop", "empty,dull");
    UL_FAILS_IN(ctx, UL_E_USAGE, "there is no kind \"dull\"", ul_hygiene_look(&a, &retain, side));
    set("hygiene-most", "0.5");
    set("hygiene-drop", "empty,in-question,duplicate,near,retained");
}

/* ---- after the models were asked --------------------------------------------------------------------------------- */
static void late(void **state)
{
    enum { FOUR = 4 };
    static const char *const text[] = {"where a|Rome|0", "where b|Oslo|1", "where c|Bern|2", "where d|Kyiv|3"};
    static const uint8_t side[FOUR] = {0, 0, 1, 1};
    double knows[FOUR] = {1, 1, 0, 1}, says[FOUR] = {1, 1, 0, 0}, begun[FOUR] = {1, 0, 0, 0}, some[FOUR] = {0, 0, 0, 1};
    ul_record r[MOST], k[MOST];
    const ul_records forget = rows_of(r, text, FOUR), retain = rows_of(k, retain_text, KEPT);
    ul_audit a = audit(&forget);
    ul_battery o = {.forget = {.n = FOUR, .first = knows, .said = knows, .last = some}},
               c = {.forget = {.n = FOUR, .first = some, .said = says, .last = some}};
    uint8_t *keep;
    int n;
    (void)state;
    const ul_probe *p = ul_probes(&n);
    for (int i = 0; i < n; i++)
        if (!strcmp(p[i].id, "prefix")) c.probe[i] = (ul_probed){.ran = true, .said = begun};
    UL_OK_IN(ctx, ul_hygiene_look(&a, &retain, side));
    UL_OK_IN(ctx, ul_hygiene_keep(&a, ul_ctx_arena(ctx), &o, &c, &keep));
    assert_null(keep); /* counted, not left out */
    json_t *j = ul_hygiene_json(&a, &o, &c), *kind;
    size_t i, seen = 0;
    json_array_foreach(json_object_get(j, "kinds"), i, kind)
    {
        const char *id = json_string_value(json_object_get(kind, "id"));
        const json_int_t rows = json_integer_value(json_object_get(kind, "rows"));
        if (!strcmp(id, "guessed") || !strcmp(id, "unknown")) seen++, assert_int_equal(rows, 1);
        assert_false(json_is_true(json_object_get(kind, "left_out")));
    }
    assert_int_equal(seen, 2);
    json_decref(j);
    set("hygiene-drop", "guessed,unknown");
    UL_OK_IN(ctx, ul_hygiene_look(&a, &retain, side));
    UL_OK_IN(ctx, ul_hygiene_keep(&a, ul_ctx_arena(ctx), &o, &c, &keep));
    assert_true(!keep[0] && keep[1] && !keep[2] && keep[3]);
    /* and the evidence is of the rows that are kept */
    static ul_evidence e;
    a.retain = &forget, a.seed = 3, a.profile = UL_STANDARD;
    o.retain = c.retain = o.forget;
    UL_OK_IN(ctx, ul_evidence_collect(&a, &o, &o, &c, &e));
    assert_true(e.n_row == 2 && e.n_entity == 2 && e.known.value == 1);
    set("hygiene-most", "0.4");
    UL_FAILS_IN(ctx, UL_E_INPUT, "of 4 rows that were asked the original knows, and the control does not guess, 2",
                ul_hygiene_keep(&a, ul_ctx_arena(ctx), &o, &c, &keep));
    set("hygiene-most", "0.5");
    set("hygiene-drop", "empty,in-question,duplicate,near,retained");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(kinds), cmocka_unit_test(refused), cmocka_unit_test(late)};
    ctx = ul_test_ctx();
    ul_args_default(ul_rule_params, &rule);
    ul_args_default(ul_attack_params, &attack);
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    ul_ctx_free(ctx);
    return failed;
}
