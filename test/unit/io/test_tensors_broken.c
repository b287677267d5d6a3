/* Broken safetensors: each is refused with the file, the tensor and the numbers, or is safe; and whatever fails while
 * one is written, no half of it stays. */
#include "io_fixture.h"

#define ENTRY(dtype, shape, from, to) "{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":[" from "," to "]}"

static void refused(void **state)
{
    (void)state;
    const struct {
        const char *header, *message;
    } bad[] = {
        /* all with 8 bytes of data */
        {"{\"w\":" ENTRY("F32", "[3]", "0", "12") "}", "tensor \"w\": ends at byte"},
        {"{\"w\":" ENTRY("F32", "[3]", "0", "8") "}",
         "tensor \"w\": its shape and dtype F32 need 12 bytes, its data_offsets span 8"},
        {"{\"w\":" ENTRY("F32", "[1]", "0", "4") "}", "the last tensor ends at byte"},
        {"{\"w\":" ENTRY("F32", "[1]", "4", "8") "}", "data bytes 0 to 4, before tensor \"w\", belong to no tensor"},
        {"{\"w\":" ENTRY("F32", "[2]", "8", "0") "}", "begin at 8 and end before, at 0"},
        {"{\"v\":" ENTRY("F32", "[2]", "0", "8") ",\"w\":" ENTRY("F32", "[1]", "4", "8") "}",
         "tensors \"v\" and \"w\" overlap: the first ends at data byte 8, the second begins at 4"},
        {"{\"w\":" ENTRY("F32", "[1]", "0", "4") ",\"v\":" ENTRY("F32", "[1]", "0", "4") "}", "overlap"},
        {"{\"w\":" ENTRY("F32", "[1]", "0", "4") ",\"w\":" ENTRY("F32", "[1]", "4", "8") "}", "duplicate"},
        {"{\"w\":" ENTRY("F31", "[2]", "0", "8") "}", "dtype \"F31\" is not known"},
        {"{\"w\":" ENTRY("F32", "[4294967296,4294967296]", "0", "8") "}", "with shape[1] = 4294967296 it has more"},
        {"{\"w\":" ENTRY("F32", "[9223372036854775807]", "0", "8") "}", "with shape[0] ="},
        {"{\"w\":" ENTRY("F32", "[-2]", "0", "8") "}", "shape[0] is not a count"},
        {"{\"w\":" ENTRY("F32", "[2.5]", "0", "8") "}", "shape[0] is not a count"},
        {"{\"w\":" ENTRY("F32", "[1,1,1,1,1,1,1,1,2]", "0", "8") "}", "has 9 dimensions, at most 8"},
        {"{\"w\":" ENTRY("F32", "2", "0", "8") "}", "\"shape\" is an integer, an array"},
        {"{\"w\":" ENTRY("F32", "[2]", "0", "18446744073709551624") "}", "tensor \"w\": data_offsets are not"},
        {"{\"w\":" ENTRY("F32", "[2]", "-8", "0") "}", "data_offsets are not two"},
        {"{\"w\":" ENTRY("F32", "[2]", "0", "8,9") "}", "data_offsets are not two"},
        {"{\"w\":{\"dtype\":\"F32\",\"shape\":[2]}}", "\"data_offsets\" is missing"},
        {"{\"w\":7}", "holds an integer, an object with \"dtype\""},
        {"{\"__metadata__\":{\"n\":1}}", "__metadata__ \"n\" is not a string"},
        {"[1]", "is not an object of tensors"},
        {"{\"w\":", "header:1:5"},
        {"{\"\xff\":1}", "byte 2"},
        {"", "is empty"},
        {"{}", "the last tensor ends at byte 10, the file has 18"}};
    ul_tensors *ts;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        put_tensors(in("x.safetensors"), bad[i].header, 8);
        UL_FAILS_IN(ctx, UL_E_INPUT, bad[i].message, ul_tensors_open(ctx, arena, in("x.safetensors"), &ts));
        UL_FAILS_IN(ctx, UL_E_INPUT, "x.safetensors: ", ul_tensors_open(ctx, arena, in("x.safetensors"), &ts));
        assert_null(ts);
    }
    const char *long_header = bad[0].header, *short_header = bad[2].header;
    put_tensors(in("x"), long_header, 8);
    UL_FAILS_IN(ctx, UL_E_INPUT,
                ul_format(arena, "byte %zu, the file has %zu (tr", strlen(long_header) + 20, strlen(long_header) + 16),
                ul_tensors_open(ctx, arena, in("x"), &ts));
    put_tensors(in("x"), short_header, 8);
    UL_FAILS_IN(ctx, UL_E_INPUT,
                ul_format(arena, "byte %zu, the file has %zu", strlen(short_header) + 12, strlen(short_header) + 16),
                ul_tensors_open(ctx, arena, in("x"), &ts));
    put(in("x"), "\0\0\0\0\0\0\0\x10{}", 10);
    UL_FAILS_IN(ctx, UL_E_INPUT, "the header should have 1152921504606846976 bytes, the file has 2",
                ul_tensors_open(ctx, arena, in("x"), &ts));
    put(in("x"), "version https://git-lfs.github.com/spec/v1\n", 43);
    UL_FAILS_IN(ctx, UL_E_INPUT, "git lfs pull", ul_tensors_open(ctx, arena, in("x"), &ts));
    put(in("x"), "", 0);
    UL_FAILS_IN(ctx, UL_E_INPUT, "has 0 bytes", ul_tensors_open(ctx, arena, in("x"), &ts));
    UL_FAILS_IN(ctx, UL_E_INPUT, "none: cannot open", ul_tensors_open(ctx, arena, in("none"), &ts));
    UL_FAILS_IN(ctx, UL_E_INPUT, "has neither model.safetensors nor", ul_tensors_open(ctx, arena, dir, &ts));
    put(in("pytorch_model.bin"), "", 0);
    UL_FAILS_IN(ctx, UL_E_INPUT, "save pytorch_model.bin as safetensors", ul_tensors_open(ctx, arena, dir, &ts));
}

static void index_refused(const char *d, const char *index, const char *message)
{
    ul_tensors *ts;
    put(ul_path_join(arena, d, "model.safetensors.index.json"), index, strlen(index));
    UL_FAILS_IN(ctx, UL_E_INPUT, message, ul_tensors_open(ctx, arena, d, &ts));
}

static void shards_refused(void **state)
{
    (void)state;
    const char *d = put_shards("model");
    index_refused(d, "{\"weight_map\": {\"a\": \"m-2.safetensors\", \"b\": \"m-1.safetensors\"}}",
                  "tensor \"a\" should be in m-2.safetensors, it is in m-1.safetensors");
    index_refused(d, "{\"weight_map\": {\"q\": \"m-2.safetensors\"}}",
                  "tensor \"q\" should be in m-2.safetensors, it is in no file");
    index_refused(d, "{\"weight_map\": {\"a\": \"m-1.safetensors\", \"c\": \"m-3.safetensors\"}}",
                  "m-3.safetensors: is missing (file 2 of the 2 that model.safetensors.index.json names)");
    index_refused(d, "{\"weight_map\": {\"a\": \"../m-1.safetensors\"}}",
                  "tensor \"a\" is not given the name of a file");
    index_refused(d, "{\"weight_map\": {\"a\": 1}}", "tensor \"a\" is not given the name of a file");
    index_refused(d, "{\"weight_map\": {}}", "the weight map is empty");
    index_refused(d, "{\"weight_map\": []}", "\"weight_map\" is an array, an object");
    index_refused(d, "{}", "\"weight_map\" is missing");
    index_refused(d, "{", "index.json:1:1:");
    put_tensors(ul_path_join(arena, d, "m-2.safetensors"), "{\"a\":" ENTRY("F32", "[2]", "0", "8") "}", 8);
    index_refused(d, "{\"weight_map\": {\"b\": \"m-1.safetensors\", \"a\": \"m-2.safetensors\"}}",
                  "tensor \"a\" is in");
}

/* Opened or refused as bad input; when opened every byte it shows can be read. */
static int64_t opened_safely(const char *path)
{
    ul_tensors *ts;
    ul_arena *a;
    char hex[65];
    UL_OK_IN(ctx, ul_arena_new(ctx, "fuzz", &a));
    const ul_status st = ul_tensors_open(ctx, a, path, &ts);
    if (st == UL_OK)
        UL_OK_IN(ctx, ul_tensors_digest(ctx, ts->at, ts->n, NULL, NULL, hex));
    else if (st != UL_E_INPUT || !ul_error_text(ctx)[0])
        fail_msg("status %d: %s", (int)st, ul_error_text(ctx));
    ul_arena_free(a);
    return st == UL_OK;
}

static void cut_and_flipped(void **state)
{
    (void)state;
    unsigned char whole[1024], bytes[1024];
    const char *path = in("x.safetensors");
    const size_t n = build(whole, SHARD_1, 11), header = strlen(SHARD_1);
    int64_t opened = 0;
    put(path, whole, n);
    assert_int_equal(opened_safely(path), 1);
    for (size_t k = 0; k < n; k++) {
        put(path, whole, k);
        assert_int_equal(opened_safely(path), 0);
    }
    for (size_t k = 0; k < n; k++)
        for (int bit = 0; bit < 9; bit++) {
            memcpy(bytes, whole, n);
            bytes[k] ^= bit < 8 ? (unsigned char)(1 << bit) : 0xff;
            put(path, bytes, n);
            const int64_t ok = opened_safely(path);
            opened += ok;
            if (k >= 8 + header) assert_int_equal(ok, 1); /* the numbers themselves may be anything */
        }
    assert_in_range(opened, 11 * 9, n * 9 / 2);
    for (uint64_t k = 0; k < 3000; k++) { /* pieces of the header exchanged, doubled, lost */
        memcpy(bytes, whole, n);
        const size_t from = 8 + ul_rng_below(1, UL_STREAM_TEST, k, 0, header),
                     to = 8 + ul_rng_below(1, UL_STREAM_TEST, k, 1, header);
        const size_t most = 8 + header - (from > to ? from : to),
                     m = ul_rng_below(1, UL_STREAM_TEST, k, 2, most < 24 ? most + 1 : 24);
        memmove(bytes + to, bytes + from, m);
        put(path, bytes, n);
        opened_safely(path);
    }
}

/* Run `job` with the 1st, 2nd, ... event failing until it succeeds; each failure is UL_E_RESOURCE and leaves `left`
 * entries in `folder`. Returns the number of failures. */
static int64_t torture(ul_fault kind, ul_status (*job)(void *), void *user, const char *folder, int64_t left)
{
    for (int64_t k = 1;; k++) {
        ul_fault_set(ctx, kind, k);
        const ul_status st = job(user);
        ul_fault_set(ctx, kind, 0);
        if (st == UL_OK) return k - 1;
        if (st != UL_E_RESOURCE || !ul_error_text(ctx)[0])
            fail_msg("event %d: status %d: %s", (int)k, (int)st, ul_error_text(ctx));
        if (folder) assert_int_equal(entries(folder), left);
    }
}

static ul_status open_job(void *path)
{
    ul_tensors *ts;
    ul_arena *a;
    UL_TRY(ul_arena_new(ctx, "torture", &a));
    const ul_status st = ul_tensors_open(ctx, a, path, &ts);
    ul_arena_free(a);
    return st;
}

typedef struct {
    const ul_tensors *ts;
    const char *dir, *path;
} job;

static ul_status rewrite_job(void *user)
{
    const job *j = user;
    return ul_tensors_rewrite(ctx, j->ts, j->dir, NULL, NULL);
}

static ul_status write_job(void *user)
{
    const job *j = user;
    return ul_tensors_write(ctx, j->path, j->ts->at, j->ts->n, j->ts->shard[0].metadata, NULL, NULL);
}

static void faults(void **state)
{
    (void)state;
    const char *from = put_shards("model");
    job j = {NULL, in("to"), in("to/one.safetensors")};
    ul_tensors *ts;
    UL_OK_IN(ctx, ul_dir_make(ctx, j.dir));
    UL_OK_IN(ctx, ul_tensors_open(ctx, arena, from, &ts));
    j.ts = ts;
    assert_true(torture(UL_FAULT_ALLOC, open_job, (void *)(uintptr_t)from, NULL, 0) > 20);
    assert_int_equal(torture(UL_FAULT_READ, open_job, (void *)(uintptr_t)from, NULL, 0), 3);
    const ul_fault kinds[] = {UL_FAULT_ALLOC, UL_FAULT_WRITE};
    for (int i = 0; i < 2; i++) {
        assert_true(torture(kinds[i], rewrite_job, &j, j.dir, 0) >= 6);
        assert_int_equal(entries(j.dir), 3);
        for (int f = 0; f < ts->n_shard; f++)
            assert_int_equal(unlink(ul_path_join(arena, j.dir, ul_path_name(ts->shard[f].path))), 0);
        assert_int_equal(unlink(ul_path_join(arena, j.dir, "model.safetensors.index.json")), 0);
        assert_true(torture(kinds[i], write_job, &j, j.dir, 0) >= 2);
        assert_int_equal(unlink(j.path), 0);
    }
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {T(refused), T(shards_refused), T(cut_and_flipped), T(faults)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
