/* safetensors in and out: views, finding, reading, writing, rewriting, digest, finite check. */
#include "io_fixture.h"
#include <math.h>

static void views(void **state)
{
    (void)state;
    ul_tensors *ts;
    const ul_tensor *t;
    UL_OK_IN(ctx, ul_tensors_open(ctx, arena, put_shards("model"), &ts));
    const char *order[] = {"a", "b", "c", "none", "s"};
    const int64_t count[] = {3, 2, 2, 0, 1};
    assert_int_equal(ts->n, 5);
    assert_int_equal(ts->n_shard, 2);
    assert_int_equal(ts->bytes, 23);
    for (int i = 0; i < 5; i++) {
        t = &ts->at[i];
        assert_string_equal(t->name, order[i]);
        assert_int_equal(t->shard, i >= 2);
        assert_int_equal(ul_tensor_count(t), count[i]);
        assert_int_equal(t->bytes, (size_t)count[i] * ul_dtype_size(t->dtype));
        assert_ptr_equal(ul_tensors_find(ts, order[i]), t);
        assert_ptr_equal(ts->by_name[i], t);
    }
    assert_null(ul_tensors_find(ts, "bb"));
    assert_null(ul_tensors_find(ts, ""));
    assert_string_equal(json_string_value(json_object_get(ts->shard[0].metadata, "z")), "1");
    assert_null(ts->shard[1].metadata);
    t = ul_tensors_find(ts, "b");
    assert_int_equal(t->n_dim, 2);
    assert_int_equal(t->dim[0], 2);
    assert_int_equal(t->dim[1], 1);
    assert_int_equal(t->dtype, UL_DT_F32);
    assert_int_equal(*(const unsigned char *)t->data, 3);
    assert_int_equal(ul_tensors_find(ts, "s")->n_dim, 0);
    UL_FAILS_IN(ctx, UL_E_INPUT, "tensor \"nonf\" is missing (5 tensors are there, the nearest is \"none\")",
                ul_tensors_need(ctx, ts, "nonf", &t));
}

static void numbers(void **state)
{
    (void)state;
    ul_tensors *ts;
    UL_OK_IN(ctx, ul_tensors_open(ctx, arena, put_shards("model"), &ts));
    const ul_tensor *b = ul_tensors_find(ts, "b"), *s = ul_tensors_find(ts, "s"), *c = ul_tensors_find(ts, "c");
    float x[2], y;
    double z;
    int64_t i;
    UL_OK_IN(ctx, ul_tensor_f32(ctx, b, 0, 2, x));
    assert_memory_equal(x, b->data, 8);
    UL_OK_IN(ctx, ul_tensor_f32(ctx, b, 1, 1, &y));
    assert_memory_equal(&y, &x[1], 4);
    UL_OK_IN(ctx, ul_tensor_f64(ctx, b, 1, 1, &z));
    assert_true(z == (double)y);
    UL_OK_IN(ctx, ul_tensor_i64(ctx, s, 0, 1, &i));
    assert_int_equal(i, 0x0b0a090807060504);
    UL_OK_IN(ctx, ul_tensor_f32(ctx, c, 1, 1, &y));
    assert_true(y == ul_bf16_to_f32(0x0302));
    UL_OK_IN(ctx, ul_tensor_f32(ctx, ul_tensors_find(ts, "none"), 0, 0, x));
    UL_FAILS_IN(ctx, UL_E_INPUT, "\"c\" has dtype BF16, which cannot be read as integers",
                ul_tensor_i64(ctx, c, 0, 1, &i));
    UL_FAILS_IN(ctx, UL_E_INTERNAL, "has 2 elements, 2 from 1 on", ul_tensor_f32(ctx, b, 1, 2, x));
}

/* One of each format, in no order. */
static int64_t every_format(ul_tensor *t)
{
    static const unsigned char bytes[64] = {1, 2, 3, 4, 5, 6, 7, 8, 9};
    static const char *const name[] = {"w.9", "w.10", "\xc3\xa4\"\\\n/"};
    int64_t n = 0;
    for (int k = 0; k < 3; k++)
        for (int d = 0; d < UL_DTYPES; d++) {
            char *full = ul_format(arena, "%s.%d", name[k], d * 7 % UL_DTYPES);
            t[n++] = (ul_tensor){.name = full,
                                 .dtype = (ul_dtype)d,
                                 .n_dim = k,
                                 .dim = {2, 3},
                                 .data = bytes,
                                 .bytes = ul_dtype_size((ul_dtype)d) * (k == 0   ? 1
                                                                        : k == 1 ? 2
                                                                                 : 6)};
        }
    return n;
}

static void write_and_open(void **state)
{
    (void)state;
    ul_tensor t[3 * UL_DTYPES];
    const int64_t n = every_format(t);
    json_t *meta = json_pack("{s:s}", "format", "pt");
    UL_OK_IN(ctx, ul_json_own(arena, meta));
    UL_OK_IN(ctx, ul_tensors_write(ctx, in("x.safetensors"), t, n, meta, NULL, NULL));
    ul_tensors *ts;
    UL_OK_IN(ctx, ul_tensors_open(ctx, arena, in("x.safetensors"), &ts));
    assert_int_equal(ts->n, n);
    assert_int_equal(ts->shard[0].data_at % 8, 0);
    assert_true(json_equal(ts->shard[0].metadata, meta));
    for (int64_t i = 0; i < n; i++) {
        const ul_tensor *u = ul_tensors_find(ts, t[i].name);
        assert_non_null(u);
        assert_int_equal(u->dtype, t[i].dtype);
        assert_int_equal(u->n_dim, t[i].n_dim);
        assert_memory_equal(u->data, t[i].data, t[i].bytes);
        if (i > 0) { /* wide formats first: everything stays aligned */
            assert_true(ts->at[i - 1].dtype >= ts->at[i].dtype);
            assert_int_equal((uintptr_t)ts->at[i].data % ul_dtype_size(ts->at[i].dtype), 0);
        }
    }
    t[0].bytes++;
    UL_FAILS_IN(ctx, UL_E_INTERNAL, "is given with", ul_tensors_write(ctx, in("y"), t, n, NULL, NULL, NULL));
    t[0].bytes--;
    t[0].name = t[5].name;
    UL_FAILS_IN(ctx, UL_E_INTERNAL, "is given twice", ul_tensors_write(ctx, in("y"), t, n, NULL, NULL, NULL));
    UL_OK_IN(ctx, ul_tensors_write(ctx, in("z.safetensors"), NULL, 0, NULL, NULL, NULL));
    UL_OK_IN(ctx, ul_tensors_open(ctx, arena, in("z.safetensors"), &ts));
    assert_int_equal(ts->n, 0);
    assert_int_equal(entries(dir), 2);
}

static ul_status new_b(void *user, const ul_tensor *t, const void **bytes)
{
    assert_ptr_equal(*bytes, t->data);
    if (strcmp(t->name, "b") == 0) *bytes = user;
    return UL_OK;
}

static ul_status refuse_c(void *user, const ul_tensor *t, const void **bytes)
{
    (void)user, (void)bytes;
    return strcmp(t->name, "c") == 0 ? ul_fail(ctx, UL_E_CRITERION, "c is not ready") : UL_OK;
}

static void rewriting(void **state)
{
    (void)state;
    const char *files[] = {"m-1.safetensors", "m-2.safetensors", "model.safetensors.index.json"};
    const char *from = put_shards("model"), *to = in("copy"), *changed = in("changed"), *none = in("none");
    ul_tensors *ts, *again;
    UL_OK_IN(ctx, ul_dir_make(ctx, to));
    UL_OK_IN(ctx, ul_dir_make(ctx, changed));
    UL_OK_IN(ctx, ul_dir_make(ctx, none));
    UL_OK_IN(ctx, ul_tensors_open(ctx, arena, from, &ts));
    UL_OK_IN(ctx, ul_tensors_rewrite(ctx, ts, to, NULL, NULL));
    assert_int_equal(entries(to), 3);
    for (int i = 0; i < 3; i++) same_file(ul_path_join(arena, from, files[i]), ul_path_join(arena, to, files[i]));
    UL_OK_IN(ctx, ul_tensors_rewrite(ctx, ts, changed, new_b, (void *)(uintptr_t) "12345678"));
    UL_OK_IN(ctx, ul_tensors_open(ctx, arena, changed, &again));
    assert_memory_equal(again->shard[0].file.p, ts->shard[0].file.p, ts->shard[0].data_at);
    for (int64_t i = 0; i < ts->n; i++)
        assert_memory_equal(again->at[i].data, i == 1 ? "12345678" : ts->at[i].data, ts->at[i].bytes);
    UL_FAILS_IN(ctx, UL_E_CRITERION, "c is not ready", ul_tensors_rewrite(ctx, ts, none, refuse_c, NULL));
    assert_int_equal(entries(none), 0);
    /* over itself: the maps still show the old bytes */
    UL_OK_IN(ctx, ul_tensors_rewrite(ctx, ts, from, new_b, (void *)(uintptr_t) "12345678"));
    for (int i = 0; i < 3; i++) same_file(ul_path_join(arena, from, files[i]), ul_path_join(arena, changed, files[i]));
}

static void digest_of(const ul_tensor *t, int64_t n, char out[65])
{
    UL_OK_IN(ctx, ul_tensors_digest(ctx, t, n, NULL, NULL, out));
    assert_int_equal(strlen(out), 64);
}

static void digests(void **state)
{
    (void)state;
    ul_tensors *ts, *one;
    char sharded[65], single[65], other[65];
    UL_OK_IN(ctx, ul_tensors_open(ctx, arena, put_shards("model"), &ts));
    UL_OK_IN(ctx, ul_tensors_write(ctx, in("one.safetensors"), ts->at, ts->n, NULL, NULL, NULL));
    UL_OK_IN(ctx, ul_tensors_open(ctx, arena, in("one.safetensors"), &one));
    digest_of(ts->at, ts->n, sharded);
    digest_of(one->at, one->n, single);
    assert_string_not_equal(one->at[0].name, ts->at[0].name);
    assert_string_equal(sharded, single);
    for (int change = 0; change < 5; change++) {
        ul_tensor t[5];
        memcpy(t, ts->at, sizeof t);
        if (change == 0) t[1].name = "bb";
        if (change == 1) t[1].dtype = UL_DT_I32;
        if (change == 2) t[1].dim[0] = 1, t[1].dim[1] = 2;
        if (change == 3) t[1].n_dim = 1;
        if (change == 4) t[1].data = "12345678";
        digest_of(t, 5, other);
        assert_string_not_equal(sharded, other);
        if (change < 4) continue;
        UL_OK_IN(ctx, ul_tensors_digest(ctx, ts->at, 5, new_b, (void *)(uintptr_t) "12345678", single));
        assert_string_equal(single, other);
    }
    UL_FAILS_IN(ctx, UL_E_CRITERION, "c is", ul_tensors_digest(ctx, ts->at, 5, refuse_c, NULL, other));
}

static void finite_check(void **state)
{
    (void)state;
    enum { N = 3 * 5 * 700 };
    const ul_dtype kinds[] = {UL_DT_F16, UL_DT_BF16, UL_DT_F32, UL_DT_F64};
    const double special[] = {NAN, INFINITY, -INFINITY},
                 largest[] = {65504, 0x1.fep127, 0x1.fffffep127, 0x1.fffffffffffffp1023};
    const char *text[] = {"NaN at [2, 3, 699]", "+Inf at [2, 3, 699]", "-Inf at [2, 3, 699]"};
    double *x = UL_NEW(arena, double, N);
    char *raw = ul_alloc(arena, N, 8);
    for (int d = 0; d < 4; d++) {
        const ul_tensor t = {.name = "w",
                             .dtype = kinds[d],
                             .n_dim = 3,
                             .dim = {3, 5, 700},
                             .data = raw,
                             .bytes = N * ul_dtype_size(kinds[d]),
                             .file = "m.safetensors"};
        for (int i = 0; i < N; i++) x[i] = i % 2 ? largest[d] : -1e-40;
        assert_true(ul_dtype_from_f64(kinds[d], x, N, raw));
        UL_OK_IN(ctx, ul_tensor_check_finite(ctx, &t));
        for (int k = 0; k < 3; k++) {
            x[N - 701] = special[k];
            x[N - 1] = NAN;
            assert_true(ul_dtype_from_f64(kinds[d], x, N, raw));
            UL_FAILS_IN(ctx, UL_E_INPUT, text[k], ul_tensor_check_finite(ctx, &t));
            UL_FAILS_IN(ctx, UL_E_INPUT, "m.safetensors: tensor \"w\"", ul_tensor_check_finite(ctx, &t));
        }
    }
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {T(views),     T(numbers), T(write_and_open),
                                       T(rewriting), T(digests), T(finite_check)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
