/* block.h - inside the model room: a block as a table of coarse ops, its plan, and what a model holds.
 *
 *   table (family/<id>.c)  ->  program (block.c: adapters and hooks become rows)
 *     ->  plan (who is live backwards, store or add, which slots stay, where everything lies)
 *     ->  run (exec.c: forward reads down, backward reads up).
 *
 * Slots are written once. A hook is a row that copies a slot to a new one, later readers are renamed. An adapter is
 * a row too: XA = s x A^T, read by every LINEAR whose weight has that A (the parts of a stacked weight share it).
 * Behind the last attention only the rows matter that the head reads: there every slot from before is picked first. */
#ifndef UL_MODEL_BLOCK_H
#define UL_MODEL_BLOCK_H
#include "model/model.h"

/* ---- a family's tables ------------------------------------------------------------------------------------------ */
typedef enum {
    UL_OP_END,
    UL_OP_NORM,   /* y = norm(x) w + b                     */
    UL_OP_LINEAR, /* y = b + x W^T (+ XA B^T)              */
    UL_OP_DOWN,   /* XA = s x A^T, inserted for an adapter */
    UL_OP_ROPE,
    UL_OP_ATTN,
    UL_OP_ACT,
    UL_OP_GLU, /* y = act(g) u */
    UL_OP_ADD,
    UL_OP_PICK, /* y = x at the scored rows alone, inserted in the last block */
    UL_OP_HOOK
} ul_op;

enum { S_X, S_N1, S_Q, S_K, S_V, S_QR, S_KR, S_A, S_O, S_X2, S_N2, S_G, S_U, S_H, S_D, S_Y, UL_TABLE_SLOTS };
enum { /* a block's weights, then the model's */
    W_N1, B_N1, W_Q, B_Q, W_K, B_K, W_V, B_V, W_O, B_O, W_N2, B_N2, W_G, B_G, W_U, B_U, W_D, B_D, UL_BLOCK_WEIGHTS,
    W_EMBED = UL_BLOCK_WEIGHTS, W_POS, W_NF, B_NF, W_HEAD, UL_WEIGHT_IDS
};
#define UL_NO (-1)

typedef struct {
    ul_op op;
    int8_t out, in[3], w, bias;
} ul_step;
#define NORM(y, x, w, b) {UL_OP_NORM, y, {x, UL_NO, UL_NO}, w, b}
#define LINEAR(y, x, w, b) {UL_OP_LINEAR, y, {x, UL_NO, UL_NO}, w, b}
#define ROPE(y, x) {UL_OP_ROPE, y, {x, UL_NO, UL_NO}, UL_NO, UL_NO}
#define ATTN(y, q, k, v) {UL_OP_ATTN, y, {q, k, v}, UL_NO, UL_NO}
#define ACT(y, x) {UL_OP_ACT, y, {x, UL_NO, UL_NO}, UL_NO, UL_NO}
#define GLU(y, g, u) {UL_OP_GLU, y, {g, u, UL_NO}, UL_NO, UL_NO}
#define ADD(y, a, b) {UL_OP_ADD, y, {a, b, UL_NO}, UL_NO, UL_NO}
#define END {UL_OP_END, 0, {0, 0, 0}, 0, 0}

typedef enum { UL_DIM_1, UL_DIM_C, UL_DIM_HD, UL_DIM_KD, UL_DIM_F, UL_DIM_V, UL_DIM_CTX } ul_dim;
enum { UL_IS_NORM = 1, UL_IS_BIAS = 2, UL_IS_EMBED = 4, UL_IS_HEAD = 8, UL_TRANSPOSED = 16 };
typedef enum { UL_ALWAYS, UL_IF_QKV_BIAS, UL_IF_O_BIAS, UL_IF_MLP_BIAS } ul_when;

/* One weight. Lines with the same name are stacked in the file, in this order. "%d" is the layer.
 * The file may leave out the family's prefix. */
typedef struct {
    int id;
    const char *name; /* of the module, e.g. "model.layers.%d.mlp.up_proj"; the tensor adds ".weight" or ".bias" */
    ul_dim rows, cols;
    unsigned flags;
    ul_when when;
} ul_name;

typedef enum { UL_ROPE_NONE, UL_ROPE_PLAIN, UL_ROPE_LINEAR, UL_ROPE_LLAMA3 } ul_rope_kind;
/* What config.json says. */
typedef struct {
    ul_shape s;
    ul_norm_kind norm;
    ul_act_kind act;
    bool qkv_bias, o_bias, mlp_bias;
    double attn_scale;
    bool scale_by_layer; /* block l divides it by l + 1 */
    ul_rope_kind rope;
    double rope_factor, rope_low, rope_high, rope_original;
    ul_dtype dtype; /* of a fresh model's file */
} ul_arch;

typedef struct {
    const char *const *types; /* model_type values, NULL at the end */
    const char *prefix;       /* may be missing in the file         */
    const ul_step *block;
    const ul_name *names; /* in any order; ends with name NULL  */
    bool learned_positions;
    ul_status (*config)(ul_ctx *ctx, const json_t *config, const char *where, ul_arch *out);
} ul_family;

ul_status ul_family_find(ul_ctx *ctx, const char *model_type, const char *where, const ul_family **out,
                         const char **id) UL_MUST;
/* Shared by config readers. */
ul_status ul_config_act(ul_ctx *ctx, const json_t *config, const char *where, const char *key, const char *dflt,
                        ul_act_kind *out) UL_MUST;
ul_status ul_config_rope(ul_ctx *ctx, const json_t *config, const char *where, ul_arch *out) UL_MUST;
ul_status ul_config_dims(ul_ctx *ctx, const json_t *config, const char *where, const ul_shape *dflt,
                         ul_arch *out) UL_MUST;
ul_status ul_config_read(ul_ctx *ctx, ul_arena *arena, const char *path, const ul_family **family,
                         ul_arch *out) UL_MUST;

/* ---- a plan ----------------------------------------------------------------------------------------------------- */
enum { UL_MAX_ROWS = 64, UL_MAX_SLOTS = 96 };
typedef struct {
    ul_op op;
    int16_t out, in[3], aux; /* aux: a norm's or attention's statistics */
    ul_weight *w, *bias;
    const ul_hook *hook;
    bool live, want[3], add[3], alias[3]; /* backwards: run it; per input: wanted, += instead of =, already in place */
    bool again;                           /* run again when the block is recomputed                                 */
} ul_row;
typedef struct {
    int64_t width; /* reals a token */
    int writer, last;
    bool kept, picked; /* picked: of the scored rows alone */
    size_t at;  /* of the value, in the kept or the shared area */
    int cls;    /* slots whose gradient is the same memory have one class: the smallest slot number */
    size_t gat; /* of the class's gradient */
} ul_slot_plan;
typedef struct {
    ul_row row[UL_MAX_ROWS];
    ul_slot_plan slot[UL_MAX_SLOTS];
    int n_row, n_slot, x, y;
    bool any_live, gives_dx, in_place; /* in_place: dX is the memory of dY */
    bool observed; /* linear rows keep their inputs for an observer of the backward */
    size_t kept_bytes, temp_bytes, grad_bytes, kept_at;
} ul_block_plan;

typedef struct ul_run ul_run;
/* Program of one layer; pick: of the scored rows alone behind attention. dep_in: a gradient of its input is wanted.
 * grad: a backward follows. */
ul_status ul_block_build(ul_ctx *ctx, ul_model *m, const ul_pass *pass, int layer, bool pick, ul_block_plan *b) UL_MUST;
void ul_block_plan_live(ul_block_plan *b, bool dep_in, bool base);
void ul_block_place(ul_block_plan *b, const ul_run *r, size_t esize, bool grad);

/* ---- a model ---------------------------------------------------------------------------------------------------- */
/* A tensor of the file as master: [rows, cols], the parts of a stack one below the other. */
typedef struct {
    const char *name;       /* in the file */
    const char *module;
    const ul_tensor *file;  /* NULL for a fresh model */
    const ul_tensor *file2; /* the alias of a tied matrix, where the file holds both */
    int64_t rows, cols; /* vectors: [1, n] */
    bool transposed, vector, trains, adapter_trains;
    void *p, *base, *g, *g2; /* base: what p was before an adapter's modules_to_save replaced it */
    ul_weight **part;
    int n_part;
    bool saved;   /* one of modules_to_save, or a bias that goes with the adapter */
    bool wrapped; /* a saved bias of an adapted layer: PEFT has it in <module>.base_layer */
    const char *peft;    /* "base_model.model.<module>" */
} ul_matrix;

/* Keys and values of the rows being generated. */
typedef struct {
    int32_t n;        /* sequences of this pass */
    void ***k, ***v;  /* [layer][sequence] */
    const void **kp, **vp;
    int32_t *len;     /* [n] tokens held; one: the new one included */
    const uint8_t **hidden;
    bool one;         /* one new token a sequence; otherwise: fill from the packed batch */
} ul_cache;

/* A pass as planned: offsets into one slab. */
struct ul_run {
    ul_block_plan *block; /* [n_layer] */
    bool grad, checkpoint, base, head, ready;
    bool has_logits; /* those of the head's first chunk stand in at_z */
    bool pick;       /* the hidden state after the last block is [n_row, C], of the scored rows */
    /* blocks to run: first .. last - 1; lowest block with a backward (n_layer: none); -1: the embedding trains */
    int first, last, low;
    int64_t n, n_row, chunk;
    size_t hidden_at, temp_at, dx_at, head_at, total; /* the slab: hidden, kept, temp, dx, head */
    int n_hidden, n_dx; /* hidden states held: those after first .. last blocks, or the last two in turn */
    size_t hidden_bytes, head_bytes;
    size_t at_seg, at_xr, at_nr, at_dnr, at_stat, at_z, at_zref;
    const ul_cache *cache;
};

struct ul_model {
    ul_ctx *ctx;
    ul_backend *be;
    ul_arena *arena, *grad_arena, *lora_arena, *step_arena, *rope_arena, *panel_arena, *side_arena;
    const ul_family *family;
    ul_arch arch;
    const char *dir, *config_path;
    ul_tensors *files;
    unsigned flags;
    int n_weight;
    ul_weight *weight;
    int n_matrix;
    ul_matrix *matrix; /* in file order */
    ul_weight **at;    /* [n_layer][UL_BLOCK_WEIGHTS], NULL where there is none */
    ul_weight *top[UL_WEIGHT_IDS];
    ul_weight *own_head; /* an untied copy from modules_to_save */
    ul_matrix *head_matrix;
    ul_trainable *trainable;
    int n_trainable;
    bool panels;
    /* adapters */
    json_t *peft;        /* adapter_config.json */
    ul_dtype lora_dtype; /* of adapter_model.safetensors */
    /* rope */
    int32_t n_pos;
    void *cos, *sin;
    /* the step */
    ul_run run, ask;
    char *slab;
    size_t slab_bytes;
    int64_t head_rows; /* rows of a chunk of the head; 0: from V. Tests set it */
    void *normed; /* hidden state after the final norm, made on request */
};

/* Tokens, or scored rows, that a slot holds. */
static inline int64_t ul_slot_n(const ul_run *r, const ul_slot_plan *s) { return s->picked ? r->n_row : r->n; }
static inline void *ul_at(const ul_model *m, size_t offset) { return m->slab + offset; }
static inline void *ul_part_of(const ul_backend *be, void *p, int64_t i)
{
    return p ? (char *)p + (size_t)i * be->k->esize : NULL;
}
static inline const void *ul_cpart_of(const ul_backend *be, const void *p, int64_t i)
{
    return p ? (const char *)p + (size_t)i * be->k->esize : NULL;
}
static inline size_t ul_round64(size_t n) { return (n + 63) / 64 * 64; }
static inline double ul_real_get(const ul_backend *be, const void *p, int64_t i)
{
    return be->k->esize == 8 ? ((const double *)p)[i] : (double)((const float *)p)[i];
}
static inline void ul_real_set(const ul_backend *be, void *p, int64_t i, double x)
{
    if (be->k->esize == 8) ((double *)p)[i] = x;
    else ((float *)p)[i] = (float)x;
}
/* What a pass reads of a weight: with the adapters off, the base. */
static inline const void *ul_weight_p(const ul_weight *w, bool base) { return base && w->base ? w->base : w->p; }

/* exec.c */
void ul_block_forward(ul_model *m, const ul_pass *pass, ul_run *r, int layer, bool again, ul_status *status);
void ul_block_backward(ul_model *m, const ul_pass *pass, ul_run *r, int layer, char *dy, char *dx);
void ul_linear(const ul_backend *be, int64_t n, const void *x, const ul_weight *w, const void *wp, const void *bias,
               void *y);
/* pass.c */
ul_status ul_run_plan(ul_ctx *ctx, ul_model *m, const ul_pass *pass, ul_run *r) UL_MUST;
ul_status ul_run_forward(ul_ctx *ctx, ul_model *m, ul_pass *pass, const ul_cache *cache) UL_MUST;
void *ul_run_hidden(const ul_model *m, const ul_run *r, int layer);
/* head.c */
/* dw += dz^T h, one chain over the rows or one a segment; dh = dz w; either may be NULL. */
void ul_head_products(const ul_backend *be, const ul_weight *w, const void *wp, int64_t n, const void *dz,
                      const void *h, const int32_t *seg, int32_t n_seg, void *dw, void *dh);
void ul_head_plan(const ul_model *m, const ul_pass *pass, ul_run *r, size_t *at);
void ul_head_forward(ul_model *m, ul_pass *pass, ul_run *r);
void ul_head_backward(ul_model *m, ul_pass *pass, ul_run *r, void *dx);
ul_weight *ul_head_weight(const ul_model *m, bool base);
const void *ul_head_normed(ul_model *m);
void ul_head_mix(const ul_model *m, const ul_mix *mix, const ul_batch *b, int64_t first, int64_t n, void *z);
void *ul_head_logits(ul_model *m, const ul_batch *b, int64_t first, int64_t *n);
/* rope.c */
ul_status ul_rope_reserve(ul_ctx *ctx, ul_model *m, int32_t positions) UL_MUST;
/* layout.c */
ul_status ul_layout_load(ul_ctx *ctx, const ul_model *m, const ul_matrix *x, const ul_tensor *t, void *p) UL_MUST;
ul_status ul_layout_store(ul_ctx *ctx, ul_arena *arena, const ul_model *m, const ul_matrix *x, const void *p,
                          ul_dtype dtype, void **bytes) UL_MUST;
/* load.c */
ul_status ul_model_pack(ul_ctx *ctx, ul_model *m, ul_arena *arena) UL_MUST;
void ul_model_unpack(ul_model *m);
/* select.c */
ul_status ul_model_list_trainables(ul_ctx *ctx, ul_model *m) UL_MUST;
#endif
