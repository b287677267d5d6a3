/* save.c - a model on its way out: tensors in the file's own names, layout, type and shards;
 * side files as they came. */
#include "model/block.h"
#include <stdlib.h>
#include <string.h>

typedef struct {
    ul_ctx *ctx;
    ul_model *m;
    ul_arena *arena;
} writer;

static ul_matrix *matrix_of(ul_model *m, const ul_tensor *t)
{
    for (int i = 0; i < m->n_matrix; i++) {
        ul_matrix *x = &m->matrix[i];
        if (x->file ? t == x->file || t == x->file2 : !strcmp(t->name, x->name)) return x;
    }
    return NULL;
}

/* Bytes of one tensor as the file wants them. What is no weight (a buffer) stays as it is. */
static ul_status source(void *user, const ul_tensor *t, const void **bytes)
{
    writer *w = user;
    const ul_matrix *x = matrix_of(w->m, t);
    void *out;
    if (!x) return UL_OK;
    ul_arena_reset(w->arena);
    UL_TRY(ul_layout_store(w->ctx, w->arena, w->m, x, x->p, t->dtype, &out));
    *bytes = out;
    return UL_OK;
}

static ul_status write_fresh(ul_ctx *ctx, writer *w, ul_arena *arena, const char *dir)
{
    ul_model *m = w->m;
    ul_tensor *t = UL_NEW(arena, ul_tensor, m->n_matrix);
    char *path = ul_path_join(arena, dir, "model.safetensors");
    json_t *metadata = json_pack("{s:s}", "format", "pt");
    UL_TRY(ul_json_own(arena, metadata));
    UL_NEED(t);
    UL_NEED(path);
    for (int i = 0; i < m->n_matrix; i++) {
        const ul_matrix *x = &m->matrix[i];
        t[i] = (ul_tensor){.name = x->name,
                           .dtype = m->arch.dtype,
                           .n_dim = x->vector ? 1 : 2,
                           .dim = {x->vector       ? x->cols
                                   : x->transposed ? x->cols
                                                   : x->rows,
                                   x->transposed ? x->rows : x->cols},
                           .bytes = (size_t)(x->rows * x->cols) * ul_dtype_size(m->arch.dtype)};
    }
    return ul_tensors_write(ctx, path, t, m->n_matrix, metadata, source, w);
}

/* A fresh model's configuration may have had any name. */
static ul_status write_config(ul_ctx *ctx, const ul_model *m, ul_arena *arena, const char *dir)
{
    char *text, *config = ul_path_join(arena, dir, "config.json");
    size_t n;
    UL_NEED(config);
    UL_TRY(ul_file_read_text(ctx, arena, m->config_path, 1 << 24, &text, &n));
    return ul_file_save(ctx, config, text, n);
}

static ul_status write_all(ul_ctx *ctx, writer *w, ul_arena *arena, const char *dir)
{
    static const char *const others[] = {"adapter_config.json", "manifest.json", NULL};
    UL_TRY(ul_dir_make(ctx, dir));
    /* Weights first: they are what a full disk stops, and side files alone would look like a model. */
    if (w->m->files) UL_TRY(ul_tensors_rewrite(ctx, w->m->files, dir, source, w));
    else UL_TRY(write_fresh(ctx, w, arena, dir));
    UL_TRY(ul_dir_carry(ctx, w->m->dir, dir, others));
    return w->m->files ? UL_OK : write_config(ctx, w->m, arena, dir);
}

ul_status ul_model_save(ul_ctx *ctx, ul_model *m, const char *out_dir)
{
    ul_arena *arena;
    writer w = {.ctx = ctx, .m = m};
    if (m->own_head)
        return ul_fail(ctx, UL_E_INPUT, "%s: unsupported: the adapter brings an output matrix of its own to a model "
                       "that ties it to the embedding; save the adapter instead", out_dir);
    UL_TRY(ul_arena_new(ctx, "save", &arena));
    ul_status status = ul_arena_new(ctx, "tensor to save", &w.arena);
    if (status == UL_OK) status = write_all(ctx, &w, arena, out_dir);
    ul_arena_free(w.arena);
    ul_arena_free(arena);
    return status;
}

/* ---- digest ----------------------------------------------------------------------------------------------------- */
static ul_tensor view(const ul_model *m, const char *name, int64_t rows, int64_t cols, const void *p)
{
    return (ul_tensor){.name = name,
                       .dtype = m->be->k->esize == 8 ? UL_DT_F64 : UL_DT_F32,
                       .n_dim = 2,
                       .dim = {rows, cols},
                       .data = p,
                       .bytes = (size_t)(rows * cols) * m->be->k->esize};
}

static ul_status list_masters(const ul_model *m, ul_arena *arena, ul_tensor **out, int64_t *n_out)
{
    ul_tensor *t = UL_NEW(arena, ul_tensor, 3 * (size_t)m->n_matrix + 1);
    int64_t n = 0;
    UL_NEED(t);
    for (int i = 0; i < m->n_matrix; i++) {
        const ul_matrix *x = &m->matrix[i];
        const ul_weight *w = x->part[0];
        t[n++] = view(m, x->name, x->rows, x->cols, x->p);
        if (!w->r) continue;
        const char *a = ul_format(arena, "%s.lora_A.weight", x->peft),
                   *b = ul_format(arena, "%s.lora_B.weight", x->peft);
        UL_NEED(a);
        UL_NEED(b);
        t[n++] = view(m, a, w->r, x->cols, w->a);
        t[n++] = view(m, b, x->rows, w->r, w->b);
    }
    if (m->head_matrix)
        t[n++] = view(m, m->head_matrix->name, m->head_matrix->rows, m->head_matrix->cols, m->head_matrix->p);
    *out = t, *n_out = n;
    return UL_OK;
}

ul_status ul_model_digest(ul_ctx *ctx, ul_model *m, char hex[65])
{
    ul_tensor *t;
    int64_t n;
    const ul_mark mark = ul_arena_mark(m->side_arena);
    ul_status status = list_masters(m, m->side_arena, &t, &n);
    if (status == UL_OK) status = ul_tensors_digest(ctx, t, n, NULL, NULL, hex);
    ul_arena_rewind(m->side_arena, mark);
    return status;
}

/* ---- copies and views ------------------------------------------------------------------------------------------- */
ul_status ul_model_copy_weights(ul_ctx *ctx, const ul_model *from, ul_model *to)
{
    const size_t esize = to->be->k->esize;
    bool same = from->n_matrix == to->n_matrix && from->be->k->esize == esize && !from->own_head == !to->own_head;
    for (int i = 0; same && i < to->n_matrix; i++) {
        const ul_matrix *a = &from->matrix[i], *b = &to->matrix[i];
        same = !strcmp(a->name, b->name) && a->rows == b->rows && a->cols == b->cols && a->part[0]->r == b->part[0]->r;
    }
    if (!same)
        return ul_fail(ctx, UL_E_INPUT, "%s and %s are not the same shape: their weights cannot be copied", from->dir,
                       to->dir);
    for (int i = 0; i < to->n_matrix; i++) {
        const ul_matrix *a = &from->matrix[i];
        ul_matrix *b = &to->matrix[i];
        const size_t r = (size_t)a->part[0]->r;
        memcpy(b->p, a->p, (size_t)(a->rows * a->cols) * esize);
        if (!r) continue;
        memcpy(b->part[0]->a, a->part[0]->a, r * (size_t)a->cols * esize);
        memcpy(b->part[0]->b, a->part[0]->b, (size_t)a->rows * r * esize);
    }
    if (to->own_head)
        memcpy(to->own_head->p, from->own_head->p, (size_t)(to->own_head->rows * to->own_head->cols) * esize);
    return UL_OK;
}

static bool ends_peft(const char *name, const ul_matrix *x, const char *end)
{
    const size_t n = strlen(x->peft);
    return !strncmp(name, x->peft, n) && !strcmp(name + n, end);
}

/* What a name means: numbers p of [rows, cols], transposed in the file or not. */
typedef struct {
    const void *p;
    int64_t rows, cols;
    bool found, transposed;
} named;

static named look_up(ul_model *m, const char *name, bool gradient)
{
    for (int i = 0; i <= m->n_matrix; i++) {
        const ul_matrix *x = i < m->n_matrix ? &m->matrix[i] : m->head_matrix;
        if (!x) break;
        const ul_weight *w = x->part[0];
        const bool tied = w->is_embedding && w->is_head && !m->head_matrix &&
                          (!strcmp(name, "lm_head.weight") || (!strncmp(name, x->module, strlen(x->module)) &&
                                                               !strcmp(name + strlen(x->module), ".weight")));
        const char *end = w->is_bias ? x->wrapped ? ".base_layer.bias" : ".bias" : ".weight";
        if (!strcmp(name, x->name) || tied || (x->saved && ends_peft(name, x, end)))
            return (named){gradient ? x->g : x->p, x->rows, x->cols, true, x->transposed};
        if (w->r && ends_peft(name, x, ".lora_A.weight"))
            return (named){gradient ? w->ga : w->a, w->r, x->cols, true, false};
        if (w->r && ends_peft(name, x, ".lora_B.weight"))
            return (named){gradient ? w->gb : w->b, x->rows, w->r, true, false};
    }
    return (named){0};
}

ul_status ul_model_tensor(ul_ctx *ctx, ul_model *m, const char *name, bool gradient, int64_t n, double *out)
{
    const named x = look_up(m, name, gradient);
    if (!x.found) return ul_fail(ctx, UL_E_USAGE, "%s: the model has no tensor \"%s\"", m->dir, name);
    if (!x.p)
        return ul_fail(ctx, UL_E_USAGE, "%s: tensor \"%s\" has no %s", m->dir, name,
                       gradient ? "gradient: it is frozen" : "weights");
    if (n != x.rows * x.cols)
        return ul_fail(ctx, UL_E_USAGE, "%s: tensor \"%s\" has %lld numbers, %lld were asked for", m->dir, name,
                       (long long)(x.rows * x.cols), (long long)n);
    for (int64_t i = 0; i < x.rows; i++)
        for (int64_t j = 0; j < x.cols; j++)
            out[x.transposed ? j * x.rows + i : i * x.cols + j] = ul_real_get(m->be, x.p, i * x.cols + j);
    return UL_OK;
}
