/* Parts kept on the disk: every number and text comes back as it was; a damaged file, another key or a part of another
 * shape is measured again; a write that fails leaves what was there; no folder, nothing kept. */
#include "audit/kept.h"
#include "ul_test.h"
#include <float.h>
#include <math.h>

static ul_ctx *ctx;
static ul_arena *arena;
static const char *folder;

enum { N = 9 };
typedef struct {
    double x, none;
    int layers;
    bool ran;
    double *column, *absent;
    const char *const *said;
    json_t *curve;
    int64_t n; /* of the column that is asked for */
} part;

static void fold(ul_fold *f, void *what)
{
    part *p = what;
    ul_fold_number(f, "x", &p->x);
    ul_fold_number(f, "none", &p->none);
    ul_fold_count(f, "layers", 64, &p->layers);
    ul_fold_flag(f, "ran", &p->ran);
    ul_fold_column(f, "column", p->n, &p->column);
    ul_fold_column(f, "absent", N, &p->absent);
    ul_fold_texts(f, "said", N, &p->said);
    ul_fold_json(f, "curve", &p->curve);
}

static double odd[N] = {0, 1, -1.0 / 3, 5e-324, DBL_MAX, 0.1, 1e-300, -2, 123456789.123456789};
static const char *const said[N] = {"a", "", "\"quoted\"\n", "n\xc3\xa9", "\\", "b", "c", "d", "e"};

static part made(void)
{
    json_t *curve = json_pack("[[i, f], [i, f]]", 0, 0.25, 80, 1.0 / 3);
    UL_OK_IN(ctx, ul_json_own(arena, curve));
    return (part){.x = 0.1, .none = NAN, .layers = 7, .ran = true, .column = odd, .said = said, .curve = curve, .n = N};
}

static bool get(ul_kept_parts *k, const char *name, part *out)
{
    bool found;
    UL_OK_IN(ctx, ul_kept_get(k, arena, name, fold, out, &found));
    return found;
}

/* The one file of the folder. */
static char *file_of(const char *dir)
{
    char **name;
    int64_t n;
    UL_OK_IN(ctx, ul_dir_list(ctx, arena, dir, &name, &n));
    assert_int_equal(n, 1);
    return ul_path_join(arena, dir, name[0]);
}

static void there_and_back(void **state)
{
    ul_kept_parts k = {.dir = ul_format(arena, "%s/there", folder), .key = "one"};
    part p = made(), q = {.n = N};
    (void)state;
    assert_false(get(&k, "w1", &q));
    UL_OK_IN(ctx, ul_kept_put(&k, arena, "w1", fold, &p));
    assert_true(get(&k, "w1", &q) && k.found == 1);
    assert_true(q.x == p.x && isnan(q.none) && q.layers == 7 && q.ran && !q.absent);
    assert_memory_equal(q.column, odd, sizeof odd);
    for (int i = 0; i < N; i++) assert_string_equal(q.said[i], said[i]);
    assert_true(json_equal(p.curve, q.curve));
    /* another key, another part, another number of rows */
    ul_kept_parts other = {.dir = k.dir, .key = "two"};
    assert_false(get(&other, "w1", &q));
    assert_false(get(&k, "w2", &q));
    q.n = N - 1;
    assert_false(get(&k, "w1", &q));
    assert_int_equal(k.found, 1);
    /* nothing is kept without a folder */
    ul_kept_parts none = {.dir = NULL};
    UL_OK_IN(ctx, ul_kept_put(&none, arena, "w1", fold, &p));
    assert_false(get(&none, "w1", &q));
    UL_OK_IN(ctx, ul_kept_put(NULL, arena, "w1", fold, &p));
    assert_false(get(NULL, "w1", &q));
}

static void damaged(void **state)
{
    ul_kept_parts k = {.dir = ul_format(arena, "%s/damaged", folder), .key = "one"};
    part p = made(), q = {.n = N};
    size_t n;
    char *text;
    (void)state;
    UL_OK_IN(ctx, ul_kept_put(&k, arena, "w1", fold, &p));
    const char *path = file_of(k.dir);
    UL_OK_IN(ctx, ul_file_read_text(ctx, arena, path, 1 << 20, &text, &n));
    /* a digit of a number, a letter of a text, the end: sound JSON or not, it is not what was written */
    char *digit = strstr(text, "0.33333"), *letter = strstr(text, "quoted");
    assert_true(digit && letter);
    digit[4] = '4';
    UL_OK_IN(ctx, ul_file_save(ctx, path, text, n));
    assert_false(get(&k, "w1", &q));
    digit[4] = '3', letter[0] = 'Q';
    UL_OK_IN(ctx, ul_file_save(ctx, path, text, n));
    assert_false(get(&k, "w1", &q));
    letter[0] = 'q';
    UL_OK_IN(ctx, ul_file_save(ctx, path, text, n / 2));
    assert_false(get(&k, "w1", &q));
    UL_OK_IN(ctx, ul_file_save(ctx, path, "[]", 2));
    assert_false(get(&k, "w1", &q));
    UL_OK_IN(ctx, ul_file_save(ctx, path, "", 0));
    assert_false(get(&k, "w1", &q));
    UL_OK_IN(ctx, ul_file_save(ctx, path, text, n));
    assert_true(get(&k, "w1", &q));
}

static void not_kept(void **state)
{
    static double lost[N] = {0, NAN};
    ul_kept_parts k = {.dir = ul_format(arena, "%s/not", folder), .key = "one"};
    part p = made(), q = {.n = N};
    (void)state;
    p.column = lost; /* a number that JSON cannot hold */
    UL_OK_IN(ctx, ul_kept_put(&k, arena, "w1", fold, &p));
    assert_false(get(&k, "w1", &q));
    p = made();
    UL_OK_IN(ctx, ul_kept_put(&k, arena, "w1", fold, &p));
    ul_fault_set(ctx, UL_FAULT_WRITE, 1);
    p.x = 5;
    UL_FAILS_IN(ctx, UL_E_RESOURCE, ".json", ul_kept_put(&k, arena, "w1", fold, &p));
    ul_fault_set(ctx, UL_FAULT_WRITE, 0);
    assert_true(get(&k, "w1", &q) && q.x == 0.1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(there_and_back), cmocka_unit_test(damaged),
                                       cmocka_unit_test(not_kept)};
    ctx = ul_test_ctx();
    arena = ul_ctx_arena(ctx);
    folder = ul_test_folder("kept");
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    ul_ctx_free(ctx);
    return failed;
}
