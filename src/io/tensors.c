/* tensors.c - safetensors in (github.com/huggingface/safetensors, "Format"): 8 bytes N, N bytes of JSON
 * {"name": {"dtype", "shape", "data_offsets": [begin, end]}, "__metadata__": {...}}, then the bytes of all tensors,
 * without gaps. Mapped, checked entirely, and seen through views. */
#include "io/io_fail.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { HEADER_MAX = 100000000 }; /* the library's own limit */

typedef struct {
    ul_ctx *ctx;
    ul_arena *arena;
    const char *path;
    const unsigned char *data;
    size_t n_data, data_at, n_file; /* n_file = data_at + n_data */
    int shard;
} reader;

/* ---- one entry of the header ------------------------------------------------------------------------------------ */
static ul_status read_dtype(const reader *r, const json_t *entry, const char *where, ul_dtype *out)
{
    const char *text;
    UL_TRY(ul_json_text(r->ctx, entry, where, "dtype", UL_REQUIRED, &text));
    for (int d = 0; d < UL_DTYPES; d++) {
        if (strcmp(ul_dtype_name((ul_dtype)d), text) != 0) continue;
        *out = (ul_dtype)d;
        return UL_OK;
    }
    return ul_fail(r->ctx, UL_E_INPUT, "%s: dtype \"%.40s\" is not known; convert the model to F32, F16 or BF16", where,
                   text);
}

/* A count >= 0, or -1. All numbers of a header with one beyond 64 bits come as reals: let the right one be blamed. */
static int64_t count_of(const json_t *v)
{
    if (json_is_integer(v)) return json_integer_value(v) < 0 ? -1 : (int64_t)json_integer_value(v);
    const double x = json_is_real(v) ? json_real_value(v) : -1;
    return x >= 0 && x <= 9007199254740992.0 && x == (double)(int64_t)x ? (int64_t)x : -1;
}

static ul_status read_shape(const reader *r, const json_t *entry, const char *where, ul_tensor *t)
{
    json_t *shape;
    UL_TRY(ul_json_array(r->ctx, entry, where, "shape", UL_REQUIRED, &shape));
    const size_t n = json_array_size(shape), most = sizeof t->dim / sizeof *t->dim;
    if (n > most)
        return ul_fail(r->ctx, UL_E_INPUT, "%s: has %zu dimensions, at most %zu are supported", where, n, most);
    t->n_dim = (int)n;
    int64_t bytes = (int64_t)ul_dtype_size(t->dtype);
    for (size_t i = 0; i < n; i++) {
        const json_t *v = json_array_get(shape, i);
        t->dim[i] = count_of(v);
        if (t->dim[i] < 0) return ul_fail(r->ctx, UL_E_INPUT, "%s: shape[%zu] is not a count of elements", where, i);
        if (t->dim[i] > 0 && bytes > INT64_MAX / t->dim[i])
            return ul_fail(r->ctx, UL_E_INPUT, "%s: with shape[%zu] = %" PRId64 " it has more than 2^63 bytes", where,
                           i, t->dim[i]);
        bytes *= t->dim[i];
    }
    t->bytes = (size_t)bytes;
    return UL_OK;
}

static ul_status read_offsets(const reader *r, const json_t *entry, const char *where, ul_tensor *t)
{
    json_t *pair;
    int64_t at[2];
    UL_TRY(ul_json_array(r->ctx, entry, where, "data_offsets", UL_REQUIRED, &pair));
    for (size_t i = 0; i < 2; i++) {
        const json_t *v = json_array_get(pair, i);
        at[i] = count_of(v);
        if (at[i] < 0 || json_array_size(pair) != 2)
            return ul_fail(r->ctx, UL_E_INPUT, "%s: data_offsets are not two byte counts", where);
    }
    if (at[0] > at[1])
        return ul_fail(r->ctx, UL_E_INPUT, "%s: data_offsets begin at %" PRId64 " and end before, at %" PRId64, where,
                       at[0], at[1]);
    if ((uint64_t)at[1] > r->n_data)
        return ul_fail(r->ctx, UL_E_INPUT, "%s: ends at byte %" PRIu64 ", the file has %zu (truncated download?)",
                       where, (uint64_t)at[1] + r->data_at, r->n_file);
    if ((uint64_t)(at[1] - at[0]) != t->bytes)
        return ul_fail(r->ctx, UL_E_INPUT, "%s: its shape and dtype %s need %zu bytes, its data_offsets span %" PRId64,
                       where, ul_dtype_name(t->dtype), t->bytes, at[1] - at[0]);
    t->data = r->data + at[0];
    return UL_OK;
}

static ul_status read_entry(const reader *r, const char *name, const json_t *entry, ul_tensor *t)
{
    const ul_mark m = ul_arena_mark(r->arena);
    const char *where = ul_format(r->arena, "%s: tensor \"%s\"", r->path, name);
    UL_NEED(where);
    *t = (ul_tensor){.name = name, .shard = r->shard, .file = r->path};
    UL_TRY(read_dtype(r, entry, where, &t->dtype));
    UL_TRY(read_shape(r, entry, where, t));
    UL_TRY(read_offsets(r, entry, where, t));
    ul_arena_rewind(r->arena, m);
    return UL_OK;
}

/* ---- one file --------------------------------------------------------------------------------------------------- */
static int by_place(const void *a, const void *b)
{
    const ul_tensor *s = a, *t = b;
    const uintptr_t p = (uintptr_t)s->data, q = (uintptr_t)t->data;
    if (p != q) return p < q ? -1 : 1;
    if (s->bytes != t->bytes) return s->bytes < t->bytes ? -1 : 1;
    return strcmp(s->name, t->name);
}

/* Every byte belongs to exactly one tensor. */
static ul_status check_places(const reader *r, const ul_tensor *t, int64_t n)
{
    size_t end = 0;
    for (int64_t i = 0; i < n; i++) {
        const size_t begin = (size_t)((const unsigned char *)t[i].data - r->data);
        if (begin < end)
            return ul_fail(r->ctx, UL_E_INPUT,
                           "%s: tensors \"%s\" and \"%s\" overlap: the first ends at data byte "
                           "%zu, the second begins at %zu",
                           r->path, t[i - 1].name, t[i].name, end, begin);
        if (begin > end)
            return ul_fail(r->ctx, UL_E_INPUT, "%s: data bytes %zu to %zu, before tensor \"%s\", belong to no tensor",
                           r->path, end, begin, t[i].name);
        end = begin + t[i].bytes;
    }
    if (end != r->n_data)
        return ul_fail(r->ctx, UL_E_INPUT, "%s: the last tensor ends at byte %zu, the file has %zu", r->path,
                       end + r->data_at, r->n_file);
    return UL_OK;
}

static ul_status header_bytes(ul_ctx *ctx, const char *path, const ul_file *f, size_t *n_header)
{
    if (f->n >= 8 && memcmp(f->p, "version ", 8) == 0)
        return ul_fail(ctx, UL_E_INPUT,
                       "%s: has %zu bytes of text (a Git LFS pointer?), not tensors; fetch the file "
                       "itself (git lfs pull)",
                       path, f->n);
    if (f->n < 8)
        return ul_fail(ctx, UL_E_INPUT, "%s: has %zu bytes, a safetensors file has at least 10 (truncated download?)",
                       path, f->n);
    uint64_t n = 0;
    for (int i = 7; i >= 0; i--) n = n << 8 | f->p[i];
    if (n > f->n - 8)
        return ul_fail(ctx, UL_E_INPUT,
                       "%s: the header should have %" PRIu64 " bytes, the file has %zu after its "
                       "length (truncated download, or not a safetensors file?)",
                       path, n, f->n - 8);
    if (n > HEADER_MAX)
        return ul_fail(ctx, UL_E_INPUT, "%s: the header has %" PRIu64 " bytes, the format allows %d", path, n,
                       HEADER_MAX);
    *n_header = (size_t)n;
    return UL_OK;
}

static ul_status read_metadata(const reader *r, const json_t *header, const json_t **out)
{
    json_t *meta = NULL;
    const char *key;
    json_t *v;
    UL_TRY(ul_json_object(r->ctx, header, r->path, "__metadata__", UL_OPTIONAL, &meta));
    json_object_foreach(meta, key, v) if (!json_is_string(v)) return ul_fail(
        r->ctx, UL_E_INPUT, "%s: __metadata__ \"%s\" is not a string", r->path, key);
    *out = meta;
    return UL_OK;
}

static ul_status shard_open(ul_ctx *ctx, ul_arena *arena, ul_shard *s, int shard, ul_tensor **out)
{
    size_t n_header = 0;
    json_t *header, *entry;
    const char *name;
    UL_TRY(ul_file_map(ctx, arena, s->path, &s->file));
    UL_TRY(header_bytes(ctx, s->path, &s->file, &n_header));
    s->data_at = 8 + n_header;
    const char *where = ul_format(arena, "%s: header", s->path);
    UL_NEED(where);
    UL_TRY(ul_json_parse(ctx, arena, where, s->file.p + 8, n_header, JSON_REJECT_DUPLICATES, &header));
    const reader r = {ctx,        arena,     s->path, s->file.p + s->data_at, s->file.n - s->data_at,
                      s->data_at, s->file.n, shard};
    if (!json_is_object(header)) return ul_fail(ctx, UL_E_INPUT, "%s: is not an object of tensors", where);
    UL_TRY(read_metadata(&r, header, &s->metadata));
    ul_tensor *t = UL_NEW(arena, ul_tensor, json_object_size(header));
    UL_NEED(t);
    int64_t n = 0;
    bool sorted = true;
    json_object_foreach(header, name, entry)
    {
        if (strcmp(name, "__metadata__") == 0) continue;
        UL_TRY(read_entry(&r, name, entry, &t[n]));
        sorted = sorted && (n == 0 || by_place(&t[n - 1], &t[n]) < 0);
        n++;
    }
    if (!sorted) qsort(t, (size_t)n, sizeof *t, by_place);
    UL_TRY(check_places(&r, t, n));
    s->n = n;
    *out = t;
    return UL_OK;
}

/* ---- a model: one file, or the shards of an index --------------------------------------------------------------- */
static int by_name(const void *a, const void *b)
{
    return strcmp((*(const ul_tensor *const *)a)->name, (*(const ul_tensor *const *)b)->name);
}

static ul_status open_all(ul_ctx *ctx, ul_arena *arena, ul_tensors *ts, ul_shard *shard)
{
    ul_tensor **part = UL_NEW(arena, ul_tensor *, ts->n_shard);
    UL_NEED(part);
    for (int i = 0; i < ts->n_shard; i++) {
        UL_TRY(shard_open(ctx, arena, &shard[i], i, &part[i]));
        shard[i].first = ts->n;
        ts->n += shard[i].n;
    }
    ul_tensor *at = UL_NEW(arena, ul_tensor, ts->n);
    const ul_tensor **names = UL_NEW(arena, const ul_tensor *, ts->n);
    if (!at || !names) return UL_E_RESOURCE;
    for (int i = 0; i < ts->n_shard; i++)
        if (shard[i].n) memcpy(at + shard[i].first, part[i], (size_t)shard[i].n * sizeof *at);
    for (int64_t i = 0; i < ts->n; i++) {
        names[i] = &at[i];
        ts->bytes += at[i].bytes;
    }
    qsort(names, (size_t)ts->n, sizeof *names, by_name);
    for (int64_t i = 1; i < ts->n; i++)
        if (strcmp(names[i - 1]->name, names[i]->name) == 0)
            return ul_fail(ctx, UL_E_INPUT, "%s: tensor \"%s\" is in %s too", names[i - 1]->file, names[i]->name,
                           names[i]->file);
    ts->at = at;
    ts->by_name = names;
    ts->shard = shard;
    return UL_OK;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The distinct file names of the weight map, sorted; a name that leaves the folder is refused. */
static ul_status shard_names(ul_ctx *ctx, ul_arena *arena, const char *index, json_t *map, const char ***out, int *n)
{
    const char *name;
    json_t *v;
    size_t count = 0;
    const char **list = UL_NEW(arena, const char *, json_object_size(map));
    UL_NEED(list);
    json_object_foreach(map, name, v)
    {
        const char *file = json_string_value(v);
        if (!file || !file[0] || strchr(file, '/') || strlen(file) != json_string_length(v))
            return ul_fail(ctx, UL_E_INPUT, "%s: tensor \"%s\" is not given the name of a file in this folder", index,
                           name);
        list[count++] = file;
    }
    if (count == 0) return ul_fail(ctx, UL_E_INPUT, "%s: the weight map is empty", index);
    qsort(list, count, sizeof *list, by_text);
    size_t kept = 1;
    for (size_t i = 1; i < count; i++)
        if (strcmp(list[kept - 1], list[i]) != 0) list[kept++] = list[i];
    *out = list;
    *n = (int)kept;
    return UL_OK;
}

static ul_status open_index(ul_ctx *ctx, ul_arena *arena, const char *index, ul_tensors *ts)
{
    json_t *root, *map, *v;
    const char **files = NULL, *name;
    UL_TRY(ul_json_load(ctx, arena, index, &root));
    UL_TRY(ul_json_object(ctx, root, index, "weight_map", UL_REQUIRED, &map));
    UL_TRY(shard_names(ctx, arena, index, map, &files, &ts->n_shard));
    const char *folder = ul_io_folder(arena, index);
    ul_shard *shard = UL_NEW(arena, ul_shard, ts->n_shard);
    if (!folder || !shard) return UL_E_RESOURCE;
    for (int i = 0; i < ts->n_shard; i++) {
        shard[i].path = ul_path_join(arena, folder, files[i]);
        UL_NEED(shard[i].path);
        if (!ul_file_exists(shard[i].path))
            return ul_fail(ctx, UL_E_INPUT, "%s: is missing (file %d of the %d that %s names); fetch it", shard[i].path,
                           i + 1, ts->n_shard, ul_path_name(index));
    }
    ts->index_path = index;
    UL_TRY(open_all(ctx, arena, ts, shard));
    json_object_foreach(map, name, v)
    {
        const ul_tensor *t = ul_tensors_find(ts, name);
        const char *found = t ? ul_path_name(t->file) : "no file";
        if (strcmp(found, json_string_value(v)) != 0)
            return ul_fail(ctx, UL_E_INPUT, "%s: tensor \"%s\" should be in %s, it is in %s", index, name,
                           json_string_value(v), found);
    }
    return UL_OK;
}

static ul_status find_weights(ul_ctx *ctx, ul_arena *arena, const char *dir, const char **out)
{
    const char *single = ul_path_join(arena, dir, "model.safetensors");
    const char *index = ul_path_join(arena, dir, "model.safetensors.index.json");
    const char *pickled = ul_path_join(arena, dir, "pytorch_model.bin");
    if (!single || !index || !pickled) return UL_E_RESOURCE;
    *out = ul_file_exists(single) ? single : index;
    if (ul_file_exists(*out)) return UL_OK;
    return ul_fail(ctx, UL_E_INPUT, "%s: has neither model.safetensors nor model.safetensors.index.json%s", dir,
                   ul_file_exists(pickled) ? "; save pytorch_model.bin as safetensors (save_pretrained does)" : "");
}

ul_status ul_tensors_open(ul_ctx *ctx, ul_arena *arena, const char *path, ul_tensors **out)
{
    *out = NULL;
    ul_tensors *ts = UL_NEW(arena, ul_tensors, 1);
    UL_NEED(ts);
    ts->path = ul_strdup(arena, path);
    UL_NEED(ts->path);
    const char *file = ts->path;
    if (ul_dir_exists(path)) UL_TRY(find_weights(ctx, arena, path, &file));
    const char *suffix = ".index.json";
    const size_t n = strlen(file), m = strlen(suffix);
    if (n > m && strcmp(file + n - m, suffix) == 0) {
        UL_TRY(open_index(ctx, arena, file, ts));
    } else {
        ul_shard *shard = UL_NEW(arena, ul_shard, 1);
        UL_NEED(shard);
        shard->path = file;
        ts->n_shard = 1;
        UL_TRY(open_all(ctx, arena, ts, shard));
    }
    *out = ts;
    return UL_OK;
}

/* ---- looking ---------------------------------------------------------------------------------------------------- */
const ul_tensor *ul_tensors_find(const ul_tensors *ts, const char *name)
{
    int64_t lo = 0, hi = ts->n;
    while (lo < hi) {
        const int64_t mid = lo + (hi - lo) / 2;
        const int order = strcmp(name, ts->by_name[mid]->name);
        if (order == 0) return ts->by_name[mid];
        if (order < 0)
            hi = mid;
        else
            lo = mid + 1;
    }
    return NULL;
}

static const char *nearest(ul_arena *tmp, const ul_tensors *ts, const char *name)
{
    const char **names = UL_NEW(tmp, const char *, ts->n + 1);
    for (int64_t i = 0; names && i < ts->n; i++) names[i] = ts->by_name[i]->name;
    return names ? ul_nearest(name, names) : NULL;
}

const char *ul_tensors_note(const ul_tensors *ts, const char *key)
{
    const char *s = ts->n_shard ? json_string_value(json_object_get(ts->shard[0].metadata, key)) : NULL;
    return s ? s : "";
}

ul_status ul_tensors_need(ul_ctx *ctx, const ul_tensors *ts, const char *name, const ul_tensor **out)
{
    ul_arena *tmp;
    *out = ul_tensors_find(ts, name);
    if (*out) return UL_OK;
    UL_TRY(ul_arena_new(ctx, "names", &tmp));
    const char *near = nearest(tmp, ts, name);
    const ul_status st =
        ul_fail(ctx, UL_E_INPUT, "%s: tensor \"%s\" is missing (%" PRId64 " tensors are there%s%s%s)", ts->path, name,
                ts->n, near ? ", the nearest is \"" : "", near ? near : "", near ? "\"" : "");
    ul_arena_free(tmp);
    return st;
}
