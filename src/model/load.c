/* load.c - opens a model: the family's names are laid beside the file's tensors,
 * everything is checked, masters are read.
 *
 * The order of the file (shards by name, offsets within) is the order of weights, trainables and sums over them.
 * A fresh model has the order that its file will have: by name. */
#include "model/block.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    const ul_name *n;
    int layer;
    const char *module, *name;
    const ul_tensor *file, *file2;
    int64_t rank; /* place in the file */
    int line;
} entry;

static bool exists(const ul_arch *a, const ul_name *n)
{
    switch (n->when) {
    case UL_IF_QKV_BIAS: return a->qkv_bias;
    case UL_IF_O_BIAS: return a->o_bias;
    case UL_IF_MLP_BIAS: return a->mlp_bias;
    default: return !(n->id == W_HEAD && a->s.tied);
    }
}

static int64_t dim(const ul_shape *s, ul_dim d)
{
    switch (d) {
    case UL_DIM_C: return s->C;
    case UL_DIM_HD: return (int64_t)s->H * s->D;
    case UL_DIM_KD: return (int64_t)s->K * s->D;
    case UL_DIM_F: return s->F;
    case UL_DIM_V: return s->V;
    case UL_DIM_CTX: return s->n_ctx;
    default: return 1;
    }
}

/* ---- names ------------------------------------------------------------------------------------------------------ */
static ul_status add_entry(ul_model *m, const ul_name *n, int layer, entry *e)
{
    char module[256];
    const char *at = strstr(n->name, "%d");
    if (at) snprintf(module, sizeof module, "%.*s%d%s", (int)(at - n->name), n->name, layer, at + 2);
    else snprintf(module, sizeof module, "%s", n->name);
    UL_NEED(e->module = ul_strdup(m->arena, module));
    UL_NEED(e->name = ul_format(m->arena, "%s.%s", module, n->flags & UL_IS_BIAS ? "bias" : "weight"));
    e->n = n, e->layer = layer;
    return UL_OK;
}

static ul_status list_entries(ul_model *m, entry **out, int *n_out)
{
    int lines = 0, n = 0;
    while (m->family->names[lines].name) lines++;
    entry *e = UL_NEW(m->arena, entry, (size_t)lines * (size_t)m->arch.s.n_layer);
    UL_NEED(e);
    for (int i = 0; i < lines; i++) {
        const ul_name *x = &m->family->names[i];
        const bool block = x->id < UL_BLOCK_WEIGHTS;
        if (!exists(&m->arch, x)) continue;
        for (int l = 0; l < (block ? m->arch.s.n_layer : 1); l++) {
            const int after = x->id == W_NF || x->id == B_NF || x->id == W_HEAD ? m->arch.s.n_layer : -1;
            UL_TRY(add_entry(m, x, block ? l : after, &e[n]));
            e[n].line = i;
            n++;
        }
    }
    *out = e, *n_out = n;
    return UL_OK;
}

/* The tensor of this name, or the same without the family's prefix. */
static const ul_tensor *find(const ul_model *m, const char *name)
{
    const ul_tensor *t = ul_tensors_find(m->files, name);
    const size_t n = strlen(m->family->prefix);
    return !t && !strncmp(name, m->family->prefix, n) ? ul_tensors_find(m->files, name + n) : t;
}

static ul_status match_file(ul_ctx *ctx, ul_model *m, entry *e, int n)
{
    for (int i = 0; i < n; i++) {
        e[i].file = find(m, e[i].name);
        /* some files store a tied matrix under the head's name, or twice */
        if (e[i].n->id == W_EMBED && m->arch.s.tied) {
            const ul_tensor *head = ul_tensors_find(m->files, "lm_head.weight");
            if (!e[i].file) e[i].file = head;
            else e[i].file2 = head;
        }
        if (!e[i].file) UL_TRY(ul_tensors_need(ctx, m->files, e[i].name, &e[i].file));
        e[i].name = e[i].file->name;
        e[i].rank = e[i].file - m->files->at;
    }
    return UL_OK;
}

/* Buffers that old files carry beside the weights; carried over unchanged. */
static bool is_buffer(const char *name)
{
    static const char *const ends[] = {".attn.bias", ".attn.masked_bias", ".rotary_emb.inv_freq"};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        const size_t n = strlen(name), k = strlen(ends[i]);
        if (n >= k && !strcmp(name + n - k, ends[i])) return true;
    }
    return false;
}

static ul_status no_strangers(ul_ctx *ctx, ul_model *m, const entry *e, int n)
{
    bool *used = UL_NEW(m->side_arena, bool, m->files->n);
    UL_NEED(used);
    for (int i = 0; i < n; i++) {
        used[e[i].file - m->files->at] = true;
        if (e[i].file2) used[e[i].file2 - m->files->at] = true;
    }
    for (int64_t i = 0; i < m->files->n; i++)
        if (!used[i] && !is_buffer(m->files->at[i].name))
            return ul_fail(ctx, UL_E_INPUT,
                           "%s: tensor \"%s\" has no place in a %s model of %d layers as config.json describes it",
                           m->files->at[i].file, m->files->at[i].name, m->arch.s.model_type, m->arch.s.n_layer);
    return UL_OK;
}

static int by_rank(const void *a, const void *b)
{
    const entry *x = a, *y = b;
    if (x->rank != y->rank) return x->rank < y->rank ? -1 : 1;
    const int c = strcmp(x->name, y->name);
    return c ? c : x->line - y->line;
}

/* ---- matrices and weights --------------------------------------------------------------------------------------- */
static void place_weight(ul_model *m, const entry *e, ul_weight *w)
{
    if (e->n->id < UL_BLOCK_WEIGHTS) m->at[(size_t)e->layer * UL_BLOCK_WEIGHTS + (size_t)e->n->id] = w;
    else m->top[e->n->id] = w;
    if (e->n->id == W_EMBED && m->arch.s.tied) m->top[W_HEAD] = w;
}

static ul_weight_role role_of(int id)
{
    switch (id) {
    case W_Q: case W_K: case W_V: case W_O: case B_Q: case B_K: case B_V: case B_O: return UL_ROLE_ATTN;
    case W_G: case B_G: return UL_ROLE_GATE;
    case W_U: case B_U: return UL_ROLE_UP;
    case W_D: case B_D: return UL_ROLE_DOWN;
    default: return UL_ROLE_NONE;
    }
}

static ul_status make(ul_model *m, const entry *e, int n)
{
    UL_NEED(m->weight = UL_NEW(m->arena, ul_weight, n));
    UL_NEED(m->matrix = UL_NEW(m->arena, ul_matrix, n));
    UL_NEED(m->at = UL_NEW(m->arena, ul_weight *, (size_t)m->arch.s.n_layer * UL_BLOCK_WEIGHTS));
    m->n_weight = n;
    for (int i = 0; i < n; i++) {
        const ul_name *x = e[i].n;
        ul_weight *w = &m->weight[i];
        *w = (ul_weight){.name = e[i].name, .module = e[i].module, .layer = e[i].layer, .role = role_of(x->id),
                         .rows = dim(&m->arch.s, x->rows), .cols = dim(&m->arch.s, x->cols),
                         .is_norm = x->flags & UL_IS_NORM, .is_bias = x->flags & UL_IS_BIAS,
                         .is_embedding = x->flags & UL_IS_EMBED, .is_head = x->flags & UL_IS_HEAD};
        if (x->id == W_EMBED && m->arch.s.tied) w->is_head = true;
        place_weight(m, &e[i], w);
        ul_matrix *t = m->n_matrix ? &m->matrix[m->n_matrix - 1] : NULL;
        if (!t || strcmp(t->name, w->name)) {
            t = &m->matrix[m->n_matrix++];
            *t = (ul_matrix){.name = w->name,
                             .module = w->module,
                             .file = e[i].file,
                             .file2 = e[i].file2,
                             .cols = w->cols,
                             .transposed = x->flags & UL_TRANSPOSED,
                             .vector = x->rows == UL_DIM_1};
            UL_NEED(t->part = UL_NEW(m->arena, ul_weight *, n - i < 4 ? n - i : 4));
            UL_NEED(t->peft = ul_format(m->arena, "base_model.model.%s", t->module));
        }
        t->part[t->n_part++] = w;
        if (t->vector) t->rows = 1, t->cols = t->n_part == 1 ? w->cols : t->cols + w->cols;
        else t->rows += w->rows;
    }
    return UL_OK;
}

/* Masters of the whole matrix are contiguous; its parts are views. */
static void view_parts(const ul_model *m, ul_matrix *t)
{
    int64_t at = 0;
    for (int k = 0; k < t->n_part; k++) {
        t->part[k]->p = ul_part_of(m->be, t->p, at);
        at += t->part[k]->rows * t->part[k]->cols;
    }
}

static ul_status check_shape(ul_ctx *ctx, const ul_model *m, const ul_matrix *x, const ul_tensor *t)
{
    const int64_t a = x->transposed ? x->cols : x->rows, b = x->transposed ? x->rows : x->cols;
    if (x->vector && (t->n_dim != 1 || t->dim[0] != x->cols))
        return ul_fail(ctx, UL_E_INPUT,
                       "%s: tensor \"%s\" has %d dimensions and %lld numbers, config.json makes it [%lld]", t->file,
                       t->name, t->n_dim, (long long)ul_tensor_count(t), (long long)x->cols);
    if (!x->vector && (t->n_dim != 2 || t->dim[0] != a || t->dim[1] != b))
        return ul_fail(ctx, UL_E_INPUT, "%s: tensor \"%s\" is [%lld, %lld], config.json makes it [%lld, %lld]", t->file,
                       t->name, (long long)(t->n_dim > 0 ? t->dim[0] : 0), (long long)(t->n_dim > 1 ? t->dim[1] : 0),
                       (long long)a, (long long)b);
    if (!ul_dtype_is_float(t->dtype))
        return ul_fail(ctx, UL_E_INPUT, "%s: tensor \"%s\" is of type %s, weights are F32, F16, BF16 or F64", t->file,
                       t->name, ul_dtype_name(t->dtype));
    (void)m;
    return UL_OK;
}

static ul_status read_masters(ul_ctx *ctx, ul_model *m)
{
    int64_t most = 0;
    for (int i = 0; i < m->n_matrix; i++) {
        ul_matrix *x = &m->matrix[i];
        UL_TRY(check_shape(ctx, m, x, x->file));
        if (x->file2) UL_TRY(check_shape(ctx, m, x, x->file2));
        if (x->rows * x->cols > most) most = x->rows * x->cols, m->arch.s.dtype = x->file->dtype;
        if (m->flags & UL_OPEN_NO_WEIGHTS) continue;
        UL_TRY(ul_tensor_check_finite(ctx, x->file));
        if (x->file2 && (x->file2->bytes != x->file->bytes || memcmp(x->file->data, x->file2->data, x->file->bytes)))
            ul_note(ctx, UL_LOG_WARN,
                    "%s: config.json ties \"%s\" to \"%s\", the file holds two that differ; \"%s\" is used for both",
                    m->dir, x->file2->name, x->name, x->name);
        UL_NEED(x->p = ul_alloc_raw(m->arena, (size_t)(x->rows * x->cols), m->be->k->esize));
        UL_TRY(ul_layout_load(ctx, m, x, x->file, x->p));
        view_parts(m, x);
    }
    return UL_OK;
}

/* ---- open ------------------------------------------------------------------------------------------------------- */
static ul_status new_model(ul_ctx *ctx, ul_backend *be, ul_model **out)
{
    ul_arena *arena;
    UL_TRY(ul_arena_new(ctx, "model", &arena));
    ul_model *m = UL_NEW(arena, ul_model, 1);
    if (!m) {
        ul_arena_free(arena);
        return UL_E_RESOURCE;
    }
    m->ctx = ctx, m->be = be, m->arena = arena, m->lora_dtype = UL_DT_F32;
    *out = m;
    UL_TRY(ul_arena_new(ctx, "gradients", &m->grad_arena));
    UL_TRY(ul_arena_new(ctx, "adapters", &m->lora_arena));
    UL_TRY(ul_arena_new(ctx, "step", &m->step_arena));
    UL_TRY(ul_arena_new(ctx, "rotary tables", &m->rope_arena));
    UL_TRY(ul_arena_new(ctx, "panels", &m->panel_arena));
    return ul_arena_new(ctx, "scratch", &m->side_arena);
}

void ul_model_free(ul_model *m)
{
    if (!m) return;
    ul_arena_free(m->grad_arena);
    ul_arena_free(m->lora_arena);
    ul_arena_free(m->step_arena);
    ul_arena_free(m->rope_arena);
    ul_arena_free(m->panel_arena);
    ul_arena_free(m->side_arena);
    ul_arena_free(m->arena); /* holds m itself */
}

static ul_status new_plans(ul_model *m)
{
    UL_NEED(m->run.block = UL_NEW(m->arena, ul_block_plan, m->arch.s.n_layer));
    UL_NEED(m->ask.block = UL_NEW(m->arena, ul_block_plan, m->arch.s.n_layer));
    return UL_OK;
}

static ul_status open_dir(ul_ctx *ctx, ul_model *m, const char *dir, int blocks)
{
    entry *e;
    int n;
    UL_NEED(m->dir = ul_strdup(m->arena, dir));
    UL_NEED(m->config_path = ul_path_join(m->arena, dir, "config.json"));
    if (!ul_dir_exists(dir))
        return ul_fail(ctx, UL_E_INPUT, "%s: no such folder (a model is a folder with config.json)", dir);
    UL_TRY(ul_config_read(ctx, m->arena, m->config_path, &m->family, &m->arch));
    if (blocks > m->arch.s.n_layer)
        return ul_fail(ctx, UL_E_USAGE, "%s: the first %d blocks are asked for, the model has %d", dir, blocks,
                       m->arch.s.n_layer);
    const bool all = blocks < 1 || blocks == m->arch.s.n_layer;
    if (!all) m->arch.s.n_layer = blocks;
    UL_TRY(ul_tensors_open(ctx, m->arena, dir, &m->files));
    if (m->arch.s.n_layer > m->files->n) /* told before as many are made room for */
        return ul_fail(ctx, UL_E_INPUT, "%s: %d layers, the weights beside it are %lld tensors in all", m->config_path,
                       m->arch.s.n_layer, (long long)m->files->n);
    UL_TRY(list_entries(m, &e, &n));
    UL_TRY(match_file(ctx, m, e, n));
    if (all) UL_TRY(no_strangers(ctx, m, e, n));
    qsort(e, (size_t)n, sizeof *e, by_rank);
    UL_TRY(make(m, e, n));
    UL_TRY(new_plans(m));
    UL_TRY(read_masters(ctx, m));
    return m->flags & UL_OPEN_PANELS && !(m->flags & UL_OPEN_NO_WEIGHTS) ? ul_model_pack(ctx, m, m->panel_arena)
                                                                         : UL_OK;
}

ul_status ul_model_open(ul_ctx *ctx, ul_backend *be, const char *dir, unsigned flags, ul_model **out)
{
    return ul_model_open_first(ctx, be, dir, 0, flags, out);
}

ul_status ul_model_open_first(ul_ctx *ctx, ul_backend *be, const char *dir, int blocks, unsigned flags, ul_model **out)
{
    ul_model *m = NULL;
    *out = NULL;
    ul_status status = new_model(ctx, be, &m);
    if (m) m->flags = flags;
    if (status == UL_OK) status = open_dir(ctx, m, dir, blocks);
    if (status != UL_OK) ul_model_free(m);
    else *out = m;
    return status;
}

/* Weights of matrix i are N(0, std) at (seed, i, element); norms are 1, biases 0. */
static ul_status fill_fresh(ul_model *m, uint64_t seed, double std)
{
    for (int i = 0; i < m->n_matrix; i++) {
        ul_matrix *x = &m->matrix[i];
        const ul_weight *w = x->part[0];
        UL_NEED(x->p = ul_alloc_raw(m->arena, (size_t)(x->rows * x->cols), m->be->k->esize));
        for (int64_t k = 0; k < x->rows * x->cols; k++)
            ul_real_set(m->be, x->p, k,
                        w->is_bias   ? 0
                        : w->is_norm ? 1
                                     : std * ul_rng_normal(seed, UL_STREAM_INIT, (uint64_t)i, (uint64_t)k));
        view_parts(m, x);
    }
    return UL_OK;
}

static ul_status make_fresh(ul_ctx *ctx, ul_model *m, const char *config_path, uint64_t seed, double std)
{
    entry *e;
    int n;
    const char *name = ul_path_name(config_path);
    UL_NEED(m->config_path = ul_strdup(m->arena, config_path));
    UL_NEED(m->dir = name == config_path ? ul_strdup(m->arena, ".")
                                         : ul_strndup(m->arena, config_path, (size_t)(name - config_path) - 1));
    UL_TRY(ul_config_read(ctx, m->arena, config_path, &m->family, &m->arch));
    m->arch.s.dtype = m->arch.dtype;
    UL_TRY(list_entries(m, &e, &n));
    qsort(e, (size_t)n, sizeof *e, by_rank);
    UL_TRY(make(m, e, n));
    UL_TRY(new_plans(m));
    return fill_fresh(m, seed, std);
}

ul_status ul_model_fresh(ul_ctx *ctx, ul_backend *be, const char *config_path, uint64_t seed, double std,
                         ul_model **out)
{
    ul_model *m = NULL;
    *out = NULL;
    ul_status status = new_model(ctx, be, &m);
    if (status == UL_OK) status = make_fresh(ctx, m, config_path, seed, std);
    if (status != UL_OK) ul_model_free(m);
    else *out = m;
    return status;
}

const ul_shape *ul_model_shape(const ul_model *m) { return &m->arch.s; }
ul_backend *ul_model_backend(const ul_model *m) { return m->be; }
const char *ul_model_dir(const ul_model *m) { return m->dir; }

int ul_model_weights(ul_model *m, ul_weight **out)
{
    *out = m->weight;
    return m->n_weight;
}

int64_t ul_model_parameters(ul_model *m)
{
    ul_weight *w;
    int64_t n = 0;
    for (int i = ul_model_weights(m, &w); i-- > 0;) n += w[i].rows * w[i].cols;
    return n;
}

ul_weight *ul_model_role(ul_model *m, int layer, ul_weight_role role, bool bias)
{
    for (int i = 0; i < m->n_weight; i++) {
        ul_weight *w = &m->weight[i];
        if (w->layer == layer && w->role == role && w->is_bias == bias) return w;
    }
    return NULL;
}

/* ---- panels ----------------------------------------------------------------------------------------------------- */
/* Every matrix that a product reads, as panels: a batch of one then reads memory at full speed. */
ul_status ul_model_pack(ul_ctx *ctx, ul_model *m, ul_arena *arena)
{
    (void)ctx;
    for (int i = 0; i < m->n_weight; i++) {
        ul_weight *w = &m->weight[i];
        if (w->is_norm || w->is_bias || (w->is_embedding && !w->is_head)) continue;
        void *panel = ul_alloc_raw(arena, 1, ul_panel_bytes(m->be, w->rows, w->cols));
        UL_NEED(panel);
        m->be->k->panel(m->be, w->rows, w->cols, w->p, 1, w->cols, panel);
        w->panel = panel;
    }
    return UL_OK;
}

void ul_model_unpack(ul_model *m)
{
    for (int i = 0; i < m->n_weight; i++) m->weight[i].panel = NULL;
    ul_arena_reset(m->panel_arena);
}
