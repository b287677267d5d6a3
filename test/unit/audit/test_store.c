/* Columns through SQLite and back: every number bit for bit, lists, texts, columns that are not there;
 * the same bytes again; a write that fails leaves what was there. */
#include "ul_test.h"
#include "audit/audit.h"
#include <float.h>
#include <math.h>

static ul_ctx *ctx;
static ul_arena *arena;

enum { ROWS = 37, ANSWERS = 2 * ROWS, TOKENS = 4 * ANSWERS };
static double number[4][TOKENS];
static uint8_t flag[TOKENS];
static int64_t first[ROWS + 1], entity[ROWS], index_of[ROWS], token[ANSWERS + 1];
static const char *text[ANSWERS];

static ul_columns made(bool lists)
{
    static const double odd[] = {-DBL_MAX, -DBL_MIN, -5e-324, -1.0 / 3, -2, -1e300};
    const int64_t n = lists ? ANSWERS : ROWS;
    for (int k = 0; k < 4; k++)
        for (int i = 0; i < TOKENS; i++)
            number[k][i] = i < 6 ? odd[(i + k) % 6] : -ul_rng_uniform(1, UL_STREAM_TEST, (uint64_t)k, (uint64_t)i);
    for (int i = 0; i < TOKENS; i++) flag[i] = i % 3 == 0;
    for (int i = 0; i <= ROWS; i++) first[i] = 2 * i;
    for (int i = 0; i < ROWS; i++) entity[i] = i / 4, index_of[i] = 3 * i + 1;
    for (int i = 0; i < ANSWERS; i++) text[i] = i % 5 ? "says \"no\" 'n\xc3\xa9' -- ; DROP TABLE token\n" : "";
    token[0] = 0;
    for (int64_t i = 0; i < n; i++) token[i + 1] = token[i] + 1 + i % 4;
    return (ul_columns){.name = "x",
                        .n_row = ROWS,
                        .first = lists ? first : NULL,
                        .index = index_of,
                        .entity = entity,
                        .token = token,
                        .logp = number[0],
                        .hit = flag,
                        .mu = number[1],
                        .sigma2 = number[2],
                        .eos_last = flag,
                        .ref_loss = lists ? NULL : number[3],
                        .text = text,
                        .generation = lists ? NULL : text};
}

static void same(const ul_columns *a, const ul_columns *b)
{
    const int64_t n = ul_columns_answers(a);
    assert_int_equal(ul_columns_answers(b), n);
    assert_memory_equal(a->token, b->token, (size_t)(n + 1) * 8);
    const size_t t = (size_t)a->token[n];
    if (a->first) assert_memory_equal(a->first, b->first, (ROWS + 1) * 8);
    assert_true((a->first != NULL) == (b->first != NULL) && (a->ref_loss != NULL) == (b->ref_loss != NULL));
    assert_true(!b->avg_loss && !b->grad_norm && !b->ground_truth &&
                (a->generation != NULL) == (b->generation != NULL));
    assert_memory_equal(a->index, b->index, ROWS * 8);
    assert_memory_equal(a->entity, b->entity, ROWS * 8);
    assert_memory_equal(a->logp, b->logp, t * 8);
    assert_memory_equal(a->mu, b->mu, t * 8);
    assert_memory_equal(a->sigma2, b->sigma2, t * 8);
    assert_memory_equal(a->hit, b->hit, t);
    assert_memory_equal(a->eos_last, b->eos_last, (size_t)n);
    if (a->ref_loss) assert_memory_equal(a->ref_loss, b->ref_loss, (size_t)n * 8);
    for (int64_t i = 0; i < n; i++) assert_string_equal(a->text[i], b->text[i]);
}

static char *bytes(const char *path, size_t *n)
{
    char *p;
    UL_OK_IN(ctx, ul_file_read_text(ctx, arena, path, 1 << 26, &p, n));
    return p;
}

static void there_and_back(void **state)
{
    (void)state;
    const char *path = ul_format(arena, "%s/columns.sqlite", ul_test_folder("store")),
               *second = ul_format(arena, "%s.2", path);
    json_t *about = json_pack("{s:s, s:s}", "recipe", "abc", "digest of model", "def"), *again;
    for (int lists = 0; lists < 2; lists++) {
        const ul_columns c = made(lists);
        const ul_data_columns d[2] = {{"forget", "answer", &c}, {"retain", "perturbed_answer", &c}};
        ul_data_columns *out;
        int n;
        size_t n1, n2;
        UL_OK_IN(ctx, ul_columns_save(ctx, path, d, 2, about));
        UL_OK_IN(ctx, ul_columns_load(ctx, arena, path, &out, &n, &again));
        assert_int_equal(n, 2);
        assert_string_equal(out[1].data, "retain");
        assert_string_equal(out[1].key, "perturbed_answer");
        assert_true(json_equal(about, again));
        same(&c, out[0].columns);
        same(&c, out[1].columns);
        UL_OK_IN(ctx, ul_columns_save(ctx, second, out, 2, again));
        const char *a = bytes(path, &n1), *b = bytes(second, &n2);
        assert_int_equal(n1, n2);
        assert_memory_equal(a, b, n1);
    }
    json_decref(about);
}

static void a_failed_write(void **state)
{
    (void)state;
    const char *path = ul_format(arena, "%s/columns.sqlite", ul_test_folder("store"));
    const ul_columns c = made(false);
    const ul_data_columns d = {"forget", "answer", &c};
    json_t *about = json_object();
    size_t n1, n2;
    UL_OK_IN(ctx, ul_columns_save(ctx, path, &d, 1, about));
    const char *a = bytes(path, &n1);
    ul_fault_set(ctx, UL_FAULT_WRITE, 1);
    UL_FAILS_IN(ctx, UL_E_RESOURCE, "columns.sqlite", ul_columns_save(ctx, path, &d, 1, about));
    ul_fault_set(ctx, UL_FAULT_WRITE, 0);
    const char *b = bytes(path, &n2);
    assert_int_equal(n1, n2);
    assert_memory_equal(a, b, n1);
    /* a number that is not finite is not written */
    number[0][5] = NAN;
    /* token 5, of row 2, index 7 */
    UL_FAILS_IN(ctx, UL_E_CRITERION, "row 7: logp is nan", ul_columns_save(ctx, path, &d, 1, about));
    number[0][5] = -1, number[3][5] = INFINITY;
    UL_FAILS_IN(ctx, UL_E_CRITERION, "row 16: ref_loss is inf", ul_columns_save(ctx, path, &d, 1, about));
    b = bytes(path, &n2);
    assert_int_equal(n1, n2);
    assert_memory_equal(a, b, n1);
    json_decref(about);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(there_and_back), cmocka_unit_test(a_failed_write)};
    ctx = ul_test_ctx();
    UL_OK_IN(ctx, ul_arena_new(ctx, "test", &arena));
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    ul_arena_free(arena);
    ul_ctx_free(ctx);
    return failed;
}
