/* io.h - bytes on disk: files and folders, outputs that are whole or absent, the step log, JSON, safetensors.
 *
 * Everything read is validated inside the call that opens it: what it returns is safe to use. Numbers on disk are
 * little-endian, as is every machine this is built for. A status other than UL_OK leaves a message that names the file,
 * the place, the two numbers that disagree and what to do. UL_E_INPUT: the file is not what it should be;
 * UL_E_RESOURCE: the machine failed (space, memory, a broken disk). */
#ifndef UL_IO_H
#define UL_IO_H
#include "base/base.h"
#include <jansson.h>

/* ---- files and folders ------------------------------------------------------------------------------------------ */
/* Joined with one slash; `name` alone when dir is "". NULL: no memory. */
char *ul_path_join(ul_arena *arena, const char *dir, const char *name) UL_MUST;
const char *ul_path_name(const char *path); /* what follows the last slash */
bool ul_file_exists(const char *path);      /* a regular file (through links) */
bool ul_dir_exists(const char *path);

/* The whole file, read-only, unmapped with the arena; n == 0 for an empty file (p is then a valid pointer). */
typedef struct {
    const unsigned char *p;
    size_t n;
} ul_file;
ul_status ul_file_map(ul_ctx *ctx, ul_arena *arena, const char *path, ul_file *out) UL_MUST;
/* A copy that ends with a NUL beyond *n (n may be NULL); UL_E_INPUT when the file has more than `max` bytes. */
ul_status ul_file_read_text(ul_ctx *ctx, ul_arena *arena, const char *path, size_t max, char **text, size_t *n) UL_MUST;

ul_status ul_dir_make(ul_ctx *ctx, const char *path) UL_MUST;                /* mkdir -p */
ul_status ul_dir_is_empty(ul_ctx *ctx, const char *path, bool *out) UL_MUST; /* true when there is no such folder */
/* Do both name one existing file or folder? */
bool ul_path_same(const char *a, const char *b);
/* UL_E_RESOURCE when the disk that holds the folder has less than `bytes` free: told before a run, not after it. */
ul_status ul_dir_need_space(ul_ctx *ctx, const char *path, uint64_t bytes) UL_MUST;
/* What is not there is fine; a folder must be empty. */
ul_status ul_path_remove(ul_ctx *ctx, const char *path) UL_MUST;
/* A folder that holds nothing goes; any other stays. */
void ul_dir_remove_empty(const char *path);
/* Names (no "." and ".."), sorted by bytes. */
ul_status ul_dir_list(ul_ctx *ctx, ul_arena *arena, const char *path, char ***names, int64_t *n) UL_MUST;
/* Copy the side files of a model (tokenizer, configs, vocabularies, chat templates, licence) as they are; never weights
 * nor weight indexes. `skip`: names to leave out, ends with NULL; may be NULL. */
ul_status ul_dir_carry(ul_ctx *ctx, const char *from, const char *to, const char *const *skip) UL_MUST;
/* The room that it will take. */
ul_status ul_dir_carry_bytes(ul_ctx *ctx, const char *from, const char *const *skip, uint64_t *bytes) UL_MUST;

/* The place of the first byte that is not valid UTF-8, or -1. */
int64_t ul_utf8_invalid(const void *bytes, size_t n);

/* ---- outputs: whole or absent ----------------------------------------------------------------------------------- */
/* Written to a temporary name in the same folder; commit: fsync, rename, fsync of the folder. The first failure sticks
 * and commit reports it, so that the status of single writes may be passed over. Commit (also a failed one) and discard
 * end the object; discard(NULL) is fine. `bytes`: the size to come if known (0 = not), checked against free space. */
typedef struct ul_out ul_out;
ul_status ul_out_open(ul_ctx *ctx, const char *path, uint64_t bytes, ul_out **out) UL_MUST;
ul_status ul_out_write(ul_out *o, const void *bytes, size_t n);
ul_status ul_out_printf(ul_out *o, const char *fmt, ...) UL_PRINTF(2, 3);
ul_status ul_out_commit(ul_out *o) UL_MUST;
void ul_out_discard(ul_out *o);
/* The four in one. */
ul_status ul_file_save(ul_ctx *ctx, const char *path, const void *bytes, size_t n) UL_MUST;

/* A log of JSON objects, one a line, appended and flushed; closed with the arena. Opening drops a last line that a kill
 * has torn (one without its newline). */
typedef struct ul_jsonl ul_jsonl;
ul_status ul_jsonl_open(ul_ctx *ctx, ul_arena *arena, const char *path, ul_jsonl **out) UL_MUST;
ul_status ul_jsonl_add(ul_jsonl *log, const json_t *object) UL_MUST; /* reals with 17 digits */
/* For resume. Keep the first n lines; or all up to the last line whose "step" is <= k (no such line: up to the first
 * line that has a step). No file is fine. */
ul_status ul_jsonl_cut_lines(ul_ctx *ctx, const char *path, int64_t n) UL_MUST;
ul_status ul_jsonl_cut_step(ul_ctx *ctx, const char *path, int64_t k) UL_MUST;

/* ---- JSON (jansson) --------------------------------------------------------------------------------------------- */
/* Errors read "path:line:column: text". The value belongs to the arena. A string may hold NUL (json_string_length);
 * where a file has integers beyond 64 bits (model_max_length of tokenizers), all its numbers are reals. */
ul_status ul_json_load(ul_ctx *ctx, ul_arena *arena, const char *path, json_t **out) UL_MUST;
/* The same; a member that stands twice in an object is an error, instead of the last one counting. */
ul_status ul_json_load_unique(ul_ctx *ctx, ul_arena *arena, const char *path, json_t **out) UL_MUST;
/* The same of bytes at hand; `where` opens the messages, `flags` are jansson's (0, JSON_REJECT_DUPLICATES, ...). */
ul_status ul_json_parse(ul_ctx *ctx, ul_arena *arena, const char *where, const void *bytes, size_t n, size_t flags,
                        json_t **out) UL_MUST;
/* Hand a fresh value to the arena; NULL (jansson had no memory) is UL_E_RESOURCE. */
ul_status ul_json_own(ul_arena *arena, json_t *value) UL_MUST;
/* Atomic; indented, reals with 17 digits, a newline at the end. */
ul_status ul_json_save(ul_ctx *ctx, const char *path, const json_t *value) UL_MUST;

/* Members of an object, checked. `where` is the file, for the message. A member that is absent or null: UL_E_INPUT when
 * UL_REQUIRED, otherwise *out stays as it was: put the default there. The results live as long as `object`. */
typedef enum { UL_OPTIONAL, UL_REQUIRED } ul_presence;
ul_status ul_json_int(ul_ctx *ctx, const json_t *object, const char *where, const char *key, ul_presence presence,
                      int64_t lo, int64_t hi, int64_t *out) UL_MUST; /* takes 2.0 for 2 */
ul_status ul_json_real(ul_ctx *ctx, const json_t *object, const char *where, const char *key, ul_presence presence,
                       double *out) UL_MUST;
ul_status ul_json_bool(ul_ctx *ctx, const json_t *object, const char *where, const char *key, ul_presence presence,
                       bool *out) UL_MUST;
ul_status ul_json_text(ul_ctx *ctx, const json_t *object, const char *where, const char *key, ul_presence presence,
                       const char **out) UL_MUST; /* no NUL inside */
ul_status ul_json_object(ul_ctx *ctx, const json_t *object, const char *where, const char *key, ul_presence presence,
                         json_t **out) UL_MUST;
ul_status ul_json_array(ul_ctx *ctx, const json_t *object, const char *where, const char *key, ul_presence presence,
                        json_t **out) UL_MUST;

/* ---- number formats --------------------------------------------------------------------------------------------- */
typedef enum { /* in the order in which the safetensors library writes them, last first */
               UL_DT_BOOL,
               UL_DT_U8,
               UL_DT_I8,
               UL_DT_F8_E5M2,
               UL_DT_F8_E4M3,
               UL_DT_I16,
               UL_DT_U16,
               UL_DT_F16,
               UL_DT_BF16,
               UL_DT_I32,
               UL_DT_U32,
               UL_DT_F32,
               UL_DT_F64,
               UL_DT_I64,
               UL_DT_U64,
               UL_DTYPES
} ul_dtype;
const char *ul_dtype_name(ul_dtype d); /* as in the file: "BF16" */
size_t ul_dtype_size(ul_dtype d);
bool ul_dtype_is_float(ul_dtype d); /* F64 F32 F16 BF16: the weights that we compute with */
/* n numbers from `src` (any alignment). False, and nothing written, for the 8-bit floats. Widening is exact. */
bool ul_dtype_to_f32(ul_dtype d, const void *src, size_t n, float *dst);
bool ul_dtype_to_f64(ul_dtype d, const void *src, size_t n, double *dst);
bool ul_dtype_to_i64(ul_dtype d, const void *src, size_t n, int64_t *dst); /* integers and BOOL only */
/* Back, to nearest, ties to even; overflow is infinity, NaN stays NaN. False unless ul_dtype_is_float(d). */
bool ul_dtype_from_f32(ul_dtype d, const float *src, size_t n, void *dst);
bool ul_dtype_from_f64(ul_dtype d, const double *src, size_t n, void *dst);
float ul_f16_to_f32(uint16_t h);
float ul_bf16_to_f32(uint16_t h);
uint16_t ul_f16_from_f32(float x);
uint16_t ul_bf16_from_f32(float x);

/* ---- safetensors ------------------------------------------------------------------------------------------------ */
/* A view; never owns. `data` may be unaligned in a foreign file: read it through ul_tensor_f32 and the like. */
typedef struct {
    const char *name;
    ul_dtype dtype;
    int n_dim;
    int64_t dim[8];
    const void *data;
    size_t bytes;
    int shard;        /* index into ul_tensors.shard; 0 in a list made by hand */
    const char *file; /* for messages; may be NULL in a list made by hand */
} ul_tensor;
int64_t ul_tensor_count(const ul_tensor *t); /* elements; 1 for a scalar */
/* Elements first .. first + n - 1 as numbers; UL_E_INPUT (names the tensor) for a format that does not convert. */
ul_status ul_tensor_f32(ul_ctx *ctx, const ul_tensor *t, int64_t first, int64_t n, float *out) UL_MUST;
ul_status ul_tensor_f64(ul_ctx *ctx, const ul_tensor *t, int64_t first, int64_t n, double *out) UL_MUST;
ul_status ul_tensor_i64(ul_ctx *ctx, const ul_tensor *t, int64_t first, int64_t n, int64_t *out) UL_MUST;
/* UL_E_INPUT naming tensor, index and value of the first NaN or infinity. */
ul_status ul_tensor_check_finite(ul_ctx *ctx, const ul_tensor *t) UL_MUST;

typedef struct {
    const char *path;
    ul_file file;
    size_t data_at;         /* 8 + header bytes */
    const json_t *metadata; /* "__metadata__" or NULL */
    int64_t first, n;       /* its tensors in ul_tensors.at */
} ul_shard;
typedef struct {
    const char *path;       /* as given */
    const char *index_path; /* of the index, or NULL for a single file */
    int64_t n;
    const ul_tensor *at; /* shards in the order of their names, in each the order of offsets */
    int n_shard;
    const ul_shard *shard;
    uint64_t bytes;                  /* of all tensors */
    const ul_tensor *const *by_name; /* all of `at`, names rising */
} ul_tensors;
/* A .safetensors file, an .index.json, or a folder (model.safetensors, else model.safetensors.index.json), mapped. */
ul_status ul_tensors_open(ul_ctx *ctx, ul_arena *arena, const char *path, ul_tensors **out) UL_MUST;
const ul_tensor *ul_tensors_find(const ul_tensors *ts, const char *name); /* NULL: none */
/* The same, UL_E_INPUT when there is none, with the nearest name. */
ul_status ul_tensors_need(ul_ctx *ctx, const ul_tensors *ts, const char *name, const ul_tensor **out) UL_MUST;

/* What the metadata of the first shard says under this key; "" where it says nothing. */
const char *ul_tensors_note(const ul_tensors *ts, const char *key);

/* Gives the t->bytes bytes of a tensor, in its type; they are used before the next call. *bytes comes in as t->data:
 * leave it for "unchanged". */
typedef ul_status (*ul_tensor_source)(void *user, const ul_tensor *t, const void **bytes);
/* A file as the safetensors library writes it (that order, that header). `metadata`: an object of strings or NULL;
 * `source` NULL: the bytes are at t->data. */
ul_status ul_tensors_write(ul_ctx *ctx, const char *path, const ul_tensor *tensors, int64_t n, const json_t *metadata,
                           ul_tensor_source source, void *user) UL_MUST;
/* `in` again in another folder with new bytes: the same files, headers and index, byte for byte. */
ul_status ul_tensors_rewrite(ul_ctx *ctx, const ul_tensors *in, const char *dir, ul_tensor_source source,
                             void *user) UL_MUST;
/* SHA-256 over (name, type, shape, bytes) in the order of names: the same for one file or many. `source` as above. */
ul_status ul_tensors_digest(ul_ctx *ctx, const ul_tensor *tensors, int64_t n, ul_tensor_source source, void *user,
                            char out[65]) UL_MUST;
#endif
