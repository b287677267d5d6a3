/* tensors_write.c - safetensors out: a fresh file as the safetensors library lays it out (tensors by falling dtype,
 * then by name; header in that order, padded with spaces to 8 bytes), or an opened model again with new bytes. */
#include "io/io_fail.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int by_library(const void *a, const void *b)
{
    const ul_tensor *s = *(const ul_tensor *const *)a, *t = *(const ul_tensor *const *)b;
    return s->dtype != t->dtype ? (s->dtype > t->dtype ? -1 : 1) : strcmp(s->name, t->name);
}

static int by_name(const void *a, const void *b)
{
    return strcmp((*(const ul_tensor *const *)a)->name, (*(const ul_tensor *const *)b)->name);
}

/* `t` is sorted by name. */
static ul_status check_list(ul_ctx *ctx, const char *path, const ul_tensor *const *t, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        const size_t need = (size_t)ul_tensor_count(t[i]) * ul_dtype_size(t[i]->dtype);
        if (t[i]->bytes != need)
            return ul_fail(ctx, UL_E_INTERNAL, "%s: tensor \"%s\" is given with %zu bytes, shape and dtype need %zu",
                           path, t[i]->name, t[i]->bytes, need);
        if (i > 0 && strcmp(t[i]->name, t[i - 1]->name) == 0)
            return ul_fail(ctx, UL_E_INTERNAL, "%s: tensor \"%s\" is given twice", path, t[i]->name);
        const int64_t bad = ul_utf8_invalid(t[i]->name, strlen(t[i]->name));
        if (bad >= 0)
            return ul_fail(ctx, UL_E_INTERNAL, "%s: the name of tensor %" PRId64 " is not UTF-8 at its byte %" PRId64,
                           path, i, bad);
    }
    return UL_OK;
}

static ul_status add_json(ul_ctx *ctx, ul_buf *b, const json_t *value)
{
    if (value && json_dump_callback(value, ul_io_dump, b, JSON_COMPACT | JSON_ENCODE_ANY) == 0) return UL_OK;
    return b->status != UL_OK ? b->status : ul_fail(ctx, UL_E_RESOURCE, "no memory for a safetensors header");
}

static ul_status add_entry(ul_ctx *ctx, ul_buf *b, const ul_tensor *t, uint64_t at)
{
    json_t *name = json_string(t->name);
    const ul_status st = add_json(ctx, b, name);
    json_decref(name);
    UL_TRY(st);
    ul_buf_printf(b, ":{\"dtype\":\"%s\",\"shape\":[", ul_dtype_name(t->dtype));
    for (int i = 0; i < t->n_dim; i++) ul_buf_printf(b, "%s%" PRId64, i ? "," : "", t->dim[i]);
    return ul_buf_printf(b, "],\"data_offsets\":[%" PRIu64 ",%" PRIu64 "]}", at, at + t->bytes);
}

/* Length and text; *bytes: what the data after it will take. */
static ul_status add_header(ul_ctx *ctx, ul_buf *b, const ul_tensor *const *t, int64_t n, const json_t *metadata,
                            uint64_t *bytes)
{
    unsigned char length[8] = {0};
    UL_TRY(ul_buf_add(b, length, 8));
    UL_TRY(ul_buf_puts(b, "{"));
    if (metadata) {
        UL_TRY(ul_buf_puts(b, "\"__metadata__\":"));
        UL_TRY(add_json(ctx, b, metadata));
    }
    for (int64_t i = 0; i < n; i++) {
        if (i > 0 || metadata) UL_TRY(ul_buf_puts(b, ","));
        UL_TRY(add_entry(ctx, b, t[i], *bytes));
        *bytes += t[i]->bytes;
    }
    UL_TRY(ul_buf_puts(b, "}"));
    while (b->n % 8) UL_TRY(ul_buf_puts(b, " "));
    for (int i = 0; i < 8; i++) b->p[i] = (char)((uint64_t)(b->n - 8) >> 8 * i);
    return UL_OK;
}

static ul_status write_tensor(ul_out *o, const ul_tensor *t, ul_tensor_source source, void *user)
{
    const void *bytes = t->data;
    if (source) UL_TRY(source(user, t, &bytes));
    return ul_out_write(o, bytes, t->bytes);
}

static ul_status write_list(ul_ctx *ctx, const char *path, const ul_buf *header, uint64_t bytes,
                            const ul_tensor *const *t, int64_t n, ul_tensor_source source, void *user)
{
    ul_out *o;
    UL_TRY(ul_out_open(ctx, path, header->n + bytes, &o));
    ul_status st = ul_out_write(o, header->p, header->n);
    for (int64_t i = 0; st == UL_OK && i < n; i++) st = write_tensor(o, t[i], source, user);
    if (st == UL_OK) return ul_out_commit(o);
    ul_out_discard(o);
    return st;
}

ul_status ul_tensors_write(ul_ctx *ctx, const char *path, const ul_tensor *tensors, int64_t n, const json_t *metadata,
                           ul_tensor_source source, void *user)
{
    ul_arena *tmp;
    ul_buf header;
    uint64_t bytes = 0;
    UL_TRY(ul_arena_new(ctx, "safetensors", &tmp));
    ul_buf_init(&header, ctx, SIZE_MAX / 2);
    const ul_tensor **order = UL_NEW(tmp, const ul_tensor *, n);
    ul_status st = order ? UL_OK : UL_E_RESOURCE;
    for (int64_t i = 0; st == UL_OK && i < n; i++) order[i] = &tensors[i];
    if (st == UL_OK) qsort(order, (size_t)n, sizeof *order, by_name);
    if (st == UL_OK) st = check_list(ctx, path, order, n);
    if (st == UL_OK) qsort(order, (size_t)n, sizeof *order, by_library);
    if (st == UL_OK) st = add_header(ctx, &header, order, n, metadata, &bytes);
    if (st == UL_OK) st = write_list(ctx, path, &header, bytes, order, n, source, user);
    ul_buf_release(&header);
    ul_arena_free(tmp);
    return st;
}

/* ---- again, with new bytes -------------------------------------------------------------------------------------- */
typedef struct {
    ul_out *out;
    char *path;
    bool done;
} output;

static ul_status write_shard(ul_ctx *ctx, const ul_tensors *in, int i, output *o, ul_tensor_source source, void *user)
{
    const ul_shard *s = &in->shard[i];
    UL_TRY(ul_out_open(ctx, o->path, s->file.n, &o->out));
    UL_TRY(ul_out_write(o->out, s->file.p, s->data_at));
    for (int64_t k = s->first; k < s->first + s->n; k++) UL_TRY(write_tensor(o->out, &in->at[k], source, user));
    return UL_OK;
}

static ul_status write_index(ul_ctx *ctx, ul_arena *tmp, const ul_tensors *in, output *o)
{
    ul_file f;
    UL_TRY(ul_file_map(ctx, tmp, in->index_path, &f));
    UL_TRY(ul_out_open(ctx, o->path, f.n, &o->out));
    return ul_out_write(o->out, f.p, f.n);
}

/* All files are complete before the first gets its name. */
static ul_status rewrite(ul_ctx *ctx, ul_arena *tmp, const ul_tensors *in, const char *dir, output *o, int n,
                         ul_tensor_source source, void *user)
{
    for (int i = 0; i < n; i++) {
        o[i].path = ul_path_join(tmp, dir, ul_path_name(i < in->n_shard ? in->shard[i].path : in->index_path));
        UL_NEED(o[i].path);
    }
    for (int i = 0; i < n; i++)
        UL_TRY(i < in->n_shard ? write_shard(ctx, in, i, &o[i], source, user) : write_index(ctx, tmp, in, &o[i]));
    for (int i = 0; i < n; i++) {
        ul_out *out = o[i].out;
        o[i].out = NULL;
        UL_TRY(ul_out_commit(out));
        o[i].done = true;
    }
    return UL_OK;
}

ul_status ul_tensors_rewrite(ul_ctx *ctx, const ul_tensors *in, const char *dir, ul_tensor_source source, void *user)
{
    ul_arena *tmp;
    const int n = in->n_shard + (in->index_path != NULL);
    UL_TRY(ul_arena_new(ctx, "safetensors", &tmp));
    output *o = UL_NEW(tmp, output, n);
    const ul_status st = o ? rewrite(ctx, tmp, in, dir, o, n, source, user) : UL_E_RESOURCE;
    for (int i = 0; o && st != UL_OK && i < n; i++) {
        ul_out_discard(o[i].out);
        if (o[i].done) remove(o[i].path); /* half a model is worse than none */
    }
    ul_arena_free(tmp);
    return st;
}
