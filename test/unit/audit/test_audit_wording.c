/* Whether wrong answers give the true one away: by words that are true of nobody, by how common they are. */
#include "audit/audit_data.h"
#include "ul_test.h"

enum { ROWS = 40, KINDS = 4 };
static const char *const town[KINDS] = {"rome", "oslo", "lima", "kyiv"};
static const char *wrong[ROWS][KINDS - 1];
static ul_record row[ROWS];
static ul_records set = {.path = "made up", .n = ROWS, .at = row};

/* The first `most` rows are about the first town, the others about the next ones in turn. */
static void about(int most, int n_wrong)
{
    for (int i = 0; i < ROWS; i++) {
        const int t = i < most ? 0 : 1 + i % (KINDS - 1);
        for (int k = 0; k < KINDS - 1; k++) wrong[i][k] = town[(t + 1 + k) % KINDS];
        row[i] = (ul_record){.answer = town[t], .wrong = wrong[i], .n_wrong = n_wrong, .entity = i};
    }
}

static void told_apart(void **state)
{
    ul_ctx *ctx = ul_test_ctx();
    ul_args rule;
    bool tells;
    (void)state;
    ul_args_default(ul_rule_params, &rule);
    const ul_audit a = {.ctx = ctx, .arena = ul_ctx_arena(ctx), .rule = &rule};
    about(ROWS / KINDS, KINDS - 1); /* a closed list, drawn evenly */
    UL_OK_IN(ctx, ul_wrong_tells(&a, &set, &tells));
    assert_false(tells);
    wrong[7][1] = "a town that nobody is from";
    UL_OK_IN(ctx, ul_wrong_tells(&a, &set, &tells));
    assert_true(tells);
    about(ROWS / 2, KINDS - 1); /* half of them from one town: who says it always is right in 0.50, chance 0.25 */
    UL_OK_IN(ctx, ul_wrong_tells(&a, &set, &tells));
    assert_true(tells);
    UL_OK_IN(ctx, ul_args_set(ul_ctx_arena(ctx), &rule, NULL, "control-leak", "0.3"));
    UL_OK_IN(ctx, ul_wrong_tells(&a, &set, &tells));
    assert_false(tells);
    UL_OK_IN(ctx, ul_args_set(ul_ctx_arena(ctx), &rule, NULL, "control-leak", "0.1"));
    about(ROWS / 2, 0); /* none of its own: they are drawn from other rows */
    UL_OK_IN(ctx, ul_wrong_tells(&a, &set, &tells));
    assert_false(tells);
    ul_ctx_free(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(told_apart)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
