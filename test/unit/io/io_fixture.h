/* io_fixture.h - a context and a folder for each test, files made by hand, a model in two shards. */
#ifndef IO_FIXTURE_H
#define IO_FIXTURE_H
#include "io/io.h"
#include "ul_test.h"

static ul_ctx *ctx;
static ul_arena *arena;
static const char *dir;

static int set_up(void **state)
{
    (void)state;
    ctx = ul_test_ctx();
    UL_OK_IN(ctx, ul_arena_new(ctx, "test", &arena));
    dir = ul_test_folder("io");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    char *remove_all = ul_format(arena, "rm -r '%s'", dir);
    assert_non_null(remove_all);
    assert_int_equal(system(remove_all), 0);
    ul_arena_free(arena);
    ul_ctx_free(ctx);
    return 0;
}

static inline char *in(const char *name)
{
    char *p = ul_path_join(arena, dir, name);
    assert_non_null(p);
    return p;
}

static inline void put(const char *path, const void *bytes, size_t n)
{
    unlink(path); /* some file systems flush a file that is truncated and written again */
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

static inline ul_file get(const char *path)
{
    ul_file f;
    UL_OK_IN(ctx, ul_file_map(ctx, arena, path, &f));
    return f;
}

static inline void same_file(const char *a, const char *b)
{
    const ul_file x = get(a), y = get(b);
    assert_int_equal(x.n, y.n);
    assert_memory_equal(x.p, y.p, x.n);
}

static inline int64_t entries(const char *path)
{
    char **names;
    int64_t n;
    UL_OK_IN(ctx, ul_dir_list(ctx, arena, path, &names, &n));
    return n;
}

/* The header as given and n_data bytes 0, 1, 2, ...; returns the size. */
static inline size_t build(unsigned char *out, const char *header, size_t n_data)
{
    const size_t n = strlen(header);
    for (int i = 0; i < 8; i++) out[i] = (unsigned char)((uint64_t)n >> 8 * i);
    memcpy(out + 8, header, n);
    for (size_t i = 0; i < n_data; i++) out[8 + n + i] = (unsigned char)i;
    return 8 + n + n_data;
}

static inline void put_tensors(const char *path, const char *header, size_t n_data)
{
    unsigned char bytes[4096];
    assert_true(strlen(header) + 8 + n_data <= sizeof bytes);
    put(path, bytes, build(bytes, header, n_data));
}

/* Not as the library would write them: header not in the order of the bytes, 3 odd spaces, data at an odd place. */
#define SHARD_1                                                                                                        \
    "{\"b\":{\"dtype\":\"F32\",\"shape\":[2,1],\"data_offsets\":[3,11]}, \"a\":{\"dtype\":\"U8\",\"shape\":[3],"       \
    "\"data_offsets\":[0,3]},\"__metadata__\":{\"format\":\"pt\",\"z\":\"1\"}}  "
#define SHARD_2                                                                                                        \
    "{\"c\":{\"data_offsets\":[0,4],\"dtype\":\"BF16\",\"shape\":[2]},\"s\":{\"data_offsets\":[4,12],"                 \
    "\"dtype\":\"I64\",\"shape\":[]},\"none\":{\"data_offsets\":[4,4],\"dtype\":\"F16\",\"shape\":[7,0]}}"
#define INDEX                                                                                                          \
    "{\"metadata\": {\"total_size\": 23}, \"weight_map\": {\"a\": \"m-1.safetensors\", \"b\": \"m-1.safetensors\","    \
    " \"c\": \"m-2.safetensors\", \"s\": \"m-2.safetensors\", \"none\": \"m-2.safetensors\"}}\n"

/* A folder with the model in two shards. */
static inline const char *put_shards(const char *name)
{
    const char *d = in(name);
    UL_OK_IN(ctx, ul_dir_make(ctx, d));
    put_tensors(ul_path_join(arena, d, "m-1.safetensors"), SHARD_1, 11);
    put_tensors(ul_path_join(arena, d, "m-2.safetensors"), SHARD_2, 12);
    put(ul_path_join(arena, d, "model.safetensors.index.json"), INDEX, strlen(INDEX));
    return d;
}
#endif
