/* test_fuzz_io.c - damaged safetensors, indexes of shards, logs and JSON. */
#include "fuzz/fuzz.h"

#define HEADER                                                                                                         \
    "{\"__metadata__\":{\"format\":\"pt\",\"note\":\"n\"},"                                                            \
    "\"a.weight\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,24]},"                                        \
    "\"b\":{\"dtype\":\"BF16\",\"shape\":[4],\"data_offsets\":[24,32]},"                                               \
    "\"c\":{\"dtype\":\"I64\",\"shape\":[],\"data_offsets\":[32,40]},"                                                 \
    "\"d\":{\"dtype\":\"F16\",\"shape\":[0,7],\"data_offsets\":[40,40]},"                                              \
    "\"e\":{\"dtype\":\"F64\",\"shape\":[1,1,3],\"data_offsets\":[40,64]},"                                            \
    "\"f\":{\"dtype\":\"U8\",\"shape\":[8],\"data_offsets\":[64,72]}}   "

static void put_tensors(const char *path, const char *header, size_t n)
{
    fuzz_bytes b = fuzz_copy("\0\0\0\0\0\0\0", 8);
    for (size_t i = 0; i < n; i++) fuzz_splice(&b, b.n, 0, &(char){(char)(i % 64)}, 1);
    fuzz_tensors_put(&b, header, strlen(header));
    fuzz_put(path, b.p, b.n);
    free(b.p);
}

static void make_tensors(fuzz *z)
{
    put_tensors(z->path, HEADER, 72);
}

/* Every number of every tensor, then the same again written and digested. */
static ul_status read_tensors(fuzz *z)
{
    ul_tensors *ts;
    char a[65], b[65];
    UL_TRY(ul_tensors_open(z->ctx, z->arena, strchr(z->c->file, '.') ? z->path : z->dir, &ts));
    for (int64_t i = 0; i < ts->n; i++) {
        const ul_tensor *t = &ts->at[i];
        const int64_t n = ul_tensor_count(t);
        assert_int_equal((size_t)n * ul_dtype_size(t->dtype), t->bytes);
        double *x = UL_NEW(z->arena, double, n + 1);
        assert_non_null(x);
        if (ul_tensor_f64(z->ctx, t, 0, n, x) != UL_OK) assert_false(ul_dtype_is_float(t->dtype));
        if (ul_dtype_is_float(t->dtype) && ul_tensor_check_finite(z->ctx, t) != UL_OK)
            assert_non_null(strstr(ul_error_text(z->ctx), t->name));
    }
    UL_OK_IN(z->ctx, ul_tensors_digest(z->ctx, ts->at, ts->n, NULL, NULL, a));
    if (z->round % FUZZ_WRITES) return UL_OK;
    UL_OK_IN(z->ctx, ul_tensors_write(z->ctx, fuzz_join(z, "again"), ts->at, ts->n, NULL, NULL, NULL));
    UL_OK_IN(z->ctx, ul_tensors_open(z->ctx, z->arena, fuzz_join(z, "again"), &ts));
    UL_OK_IN(z->ctx, ul_tensors_digest(z->ctx, ts->at, ts->n, NULL, NULL, b));
    assert_string_equal(a, b);
    return UL_OK;
}

static void make_shards(fuzz *z)
{
    put_tensors(fuzz_join(z, "m-1.safetensors"), "{\"b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 8);
    put_tensors(fuzz_join(z, "m-2.safetensors"),
                "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},"
                "\"c\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[8,16]}}", 16);
}

static ul_status read_shards(fuzz *z)
{
    ul_tensors *ts;
    char hex[65];
    UL_TRY(ul_tensors_open(z->ctx, z->arena, z->dir, &ts));
    assert_true(ts->n > 0 && ts->n <= 3);
    UL_OK_IN(z->ctx, ul_tensors_digest(z->ctx, ts->at, ts->n, NULL, NULL, hex));
    if (z->round % FUZZ_WRITES) return UL_OK;
    UL_OK_IN(z->ctx, ul_dir_make(z->ctx, fuzz_join(z, "again")));
    UL_OK_IN(z->ctx, ul_tensors_rewrite(z->ctx, ts, fuzz_join(z, "again"), NULL, NULL));
    return UL_OK;
}

static ul_status read_log(fuzz *z)
{
    ul_jsonl *log;
    ul_arena *a;
    json_t *line = json_pack("{s:i}", "step", 3);
    UL_TRY(ul_json_own(z->arena, line));
    UL_TRY(ul_jsonl_cut_step(z->ctx, z->path, 2));
    UL_TRY(ul_arena_new(z->ctx, "log", &a));
    UL_OK_IN(z->ctx, ul_jsonl_open(z->ctx, a, z->path, &log));
    UL_OK_IN(z->ctx, ul_jsonl_add(log, line));
    ul_arena_free(a);
    UL_OK_IN(z->ctx, ul_jsonl_cut_step(z->ctx, z->path, 3)); /* a resume after the next kill */
    return ul_jsonl_cut_lines(z->ctx, z->path, 1);
}

static ul_status read_json(fuzz *z)
{
    json_t *a, *b;
    UL_TRY(ul_json_load(z->ctx, z->arena, z->path, &a));
    if (z->round % FUZZ_WRITES) return UL_OK;
    UL_OK_IN(z->ctx, ul_json_save(z->ctx, fuzz_join(z, "again"), a));
    UL_OK_IN(z->ctx, ul_json_load(z->ctx, z->arena, fuzz_join(z, "again"), &b));
    assert_true(json_equal(a, b));
    return UL_OK;
}

static const fuzz_case parsers[] = {
    {.name = "safetensors", .file = "x.safetensors", .kind = FUZZ_TENSORS, .make = make_tensors, .read = read_tensors,
     .refused = 30, .taken = 5},
    {.name = "index of shards", .file = "model.safetensors.index.json", .kind = FUZZ_JSON, .make = make_shards,
     .text = "{\"metadata\": {\"total_size\": 24}, \"weight_map\": {\"a\": \"m-2.safetensors\", "
             "\"b\": \"m-1.safetensors\", \"c\": \"m-2.safetensors\"}}",
     .read = read_shards, .refused = 30, .taken = 5},
    {.name = "step log", .file = "log.jsonl", .kind = FUZZ_LINES, .read = read_log,
     .text = "{\"run\": \"npo\", \"seed\": 1}\n{\"step\": 0, \"loss\": 1.5, \"ms\": 3}\n{\"step\": 1, \"loss\": 1.25}\n"
             "{\"step\": 2, \"loss\": -0.5, \"grad_norm\": 1e-3}\n{\"step\": 3, \"loss\": null}\n{\"step\": 4}\n",
     .refused = 10, .taken = 10},
    {.name = "any JSON", .file = "x.json", .kind = FUZZ_JSON, .read = read_json,
     .text = "{\"a\": [1, 2.5, -1e-300, true, null, \"\\u00e9\\u0000\"], \"b\": {\"c\": [], \"d\": {}}}",
     .refused = 5, .taken = 30},
};
FUZZ_MAIN(parsers)
