/* Every strength and every threshold of an audit is a parameter, and the record of a result holds all of them: each in
 * turn is set to something else, and exactly its own entry changes. A key that no code reads would be a promise: the
 * source is searched for each. */
#include "audit/battery.h"
#include "ul_test.h"

static ul_ctx *ctx;

/* Something else that the table allows. */
static const char *other(const ul_param *p)
{
    ul_arena *arena = ul_ctx_arena(ctx);
    if (p->type == UL_TEXT && p->unit) {
        const size_t n = strcspn(p->unit, "|");
        const bool first = strlen(p->text) == n && !memcmp(p->text, p->unit, n);
        return first ? strrchr(p->unit, '|') + 1 : ul_strndup(arena, p->unit, n);
    }
    if (p->type == UL_TEXT) return "something else";
    if (p->type == UL_BOOL) return p->dflt != 0 ? "false" : "true";
    return ul_format(arena, "%.17g", p->dflt == p->hi ? p->lo : p->hi);
}

static void each_is_recorded(const ul_param *table)
{
    ul_args usual, changed;
    int n = 0;
    ul_args_default(table, &usual);
    json_t *before = ul_args_json(&usual);
    for (; table[n].key; n++) {
        const char *key;
        json_t *value;
        int differ = 0;
        changed = usual;
        UL_OK_IN(ctx, ul_args_set(ul_ctx_arena(ctx), &changed, NULL, table[n].key, other(&table[n])));
        json_t *after = ul_args_json(&changed);
        json_object_foreach(after, key, value)
        {
            if (json_equal(value, json_object_get(before, key))) continue;
            differ++;
            if (strcmp(key, table[n].key)) fail_msg("--%s changes what is recorded of --%s", table[n].key, key);
        }
        if (differ != 1) fail_msg("--%s %s is not recorded", table[n].key, other(&table[n]));
        json_decref(after);
    }
    assert_int_equal(json_object_size(before), n);
    json_decref(before);
}

static void recorded(void **state)
{
    (void)state;
    each_is_recorded(ul_attack_params);
    each_is_recorded(ul_rule_params);
}

static const char *source(const char *name)
{
    static char text[1 << 17];
    FILE *f = fopen(ul_format(ul_ctx_arena(ctx), UL_SOURCE "/src/audit/%s", name), "r");
    assert_non_null(f);
    const size_t n = fread(text, 1, sizeof text - 1, f);
    assert_int_equal(fclose(f), 0);
    assert_true(n < sizeof text - 1);
    text[n] = 0;
    return text;
}

/* "key" in quotes, in a file other than the table's own. */
static bool read_somewhere(const char *key)
{
    static const char *const files[] = {
        "audit_battery.c",  "audit_control.c",  "audit_data.c",      "audit_evidence.c", "audit_gates.c",
        "audit_hygiene.c",  "audit_keep.c",     "audit_membership.c", "audit_negative.c", "audit_probes.c",
        "audit_sample.c",   "audit_spike.c",    "audit_verdict.c",   "course.c",         "probe_direction.c",
        "probe_emphasis.c", "probe_logits.c",   "probe_merge.c",     "probe_perturb.c",  "probe_prefix.c",
        "probe_quantise.c", "probe_relearn.c",  "probe_sampled.c",   "probe_shots.c",    "probe_turns.c",
        "probe_universal.c"};
    const char *quoted = ul_format(ul_ctx_arena(ctx), "\"%s\"", key);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        if (strstr(source(files[i]), quoted)) return true;
    return false;
}

static void used(void **state)
{
    (void)state;
    for (int i = 0; ul_attack_params[i].key; i++)
        if (!read_somewhere(ul_attack_params[i].key)) fail_msg("no code reads --%s", ul_attack_params[i].key);
    for (int i = 0; ul_rule_params[i].key; i++)
        if (!read_somewhere(ul_rule_params[i].key)) fail_msg("no code reads --%s", ul_rule_params[i].key);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(recorded), cmocka_unit_test(used)};
    ctx = ul_test_ctx();
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    ul_ctx_free(ctx);
    return failed;
}
