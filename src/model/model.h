/* model.h - a language model: load, run forwards and backwards, adapt, generate, save.
 *
 * A transformer block is a table of coarse ops over named slots (family/<id>.c). Forward reads the table down, backward
 * reads it up; the planner has decided before the run which rows are live backwards, whether a gradient is stored or
 * added, and the exact number of bytes. The layer loop (pass.c) owns checkpointing, early exit, a start in the middle,
 * gradient seeds at a hidden layer, and hooks. */
#ifndef UL_MODEL_H
#define UL_MODEL_H
#include "backend/backend.h"
#include "io/io.h"

typedef struct ul_model ul_model;

/* ---- weights ---------------------------------------------------------------------------------------------------- */
/* What a weight is in its block, whatever the family calls it. A bias has its matrix's role; norms have none. */
typedef enum { UL_ROLE_NONE, UL_ROLE_ATTN, UL_ROLE_GATE, UL_ROLE_UP, UL_ROLE_DOWN } ul_weight_role;
static inline bool ul_role_is_mlp(ul_weight_role r) { return r >= UL_ROLE_GATE; }
/* A weight as the program sees it: [rows, cols] = [out, in] (vectors: [1, n]), in `real` (f32 masters, or double). The
 * file may hold it transposed, stacked with others or in another type; layout.c goes both ways. */
typedef struct {
    const char *name;   /* of the tensor in the file, e.g. "model.layers.0.mlp.up_proj.weight"; parts of a stacked
                           tensor share the tensor's name (gpt2's c_attn holds q, k and v)                          */
    const char *module; /* "model.layers.0.mlp.up_proj": what LoRA's targets match                                  */
    int layer;          /* block, from 0; -1 before the blocks, n_layer after them                                  */
    ul_weight_role role;
    int64_t rows, cols;
    void *p;            /* [rows, cols]                                                                             */
    void *g;            /* [rows, cols] gradient, NULL when frozen                                                  */
    void *g2;           /* a second chain: the gather side of a tied embedding; ul_model_grad_ready adds it to g    */
    void *lens;         /* a third one: of the logit lens, once it was asked for a gradient; or NULL                */
    void *base;         /* p before an adapter's modules_to_save took its place (UL_PASS_BASE reads it); or NULL    */
    void *panel;        /* packed for reading at full speed, or NULL                                                */
    bool is_norm, is_bias, is_embedding, is_head;
    /* low-rank adapter: y += s (x A^T) B^T; A [r, cols], B [rows, r]; r = 0: none */
    int r;
    double s;
    void *a, *b, *ga, *gb;
    void *a0, *b0; /* where the adapter started, when s B_0 A_0 was taken off p (ul_lora_start); or NULL */
} ul_weight;

/* One thing the optimizer moves: a whole tensor (or an adapter's half). In file order; also the order of the clip
 * norm. */
typedef struct {
    const char *name; /* tensor name; adapters: PEFT's name with ".lora_A.weight" / ".lora_B.weight" */
    int64_t n, cols; /* rows of `cols` entries, one an output; a vector is one row */
    void *p, *g;
    int layer;   /* as ul_weight's */
    bool decays; /* false for norms and biases */
    bool still;  /* its gradient counts in the clip norm, the optimizer leaves it */
} ul_trainable;

typedef struct {
    int32_t n_layer, C, H, K, D, F, V, rot, n_ctx; /* n_ctx: positions the model was made for */
    int32_t pad; /* what is read from the embedding of this token trains nothing (as in transformers); -1: no such */
    double eps, rope_theta;
    bool tied;
    const char *family, *model_type;
    ul_dtype dtype; /* of the largest tensor in the input */
} ul_shape;

enum {
    UL_OPEN_PANELS = 1,  /* read-only: evaluation and generation; weights are kept as panels where that is faster */
    UL_OPEN_NO_WEIGHTS = 2 /* shape and names only: for plan and inspect */
};
/* Opens a Hugging Face directory (config.json + safetensors). Everything is validated: shapes against config.json, NaN
 * and Inf in weights (tensor and index), missing and unknown tensors, unknown model_type (lists the known ones). */
ul_status ul_model_open(ul_ctx *ctx, ul_backend *be, const char *dir, unsigned flags, ul_model **out) UL_MUST;
/* The same cut off after its first `blocks` blocks: embedding, those, final norm and head. 0: all of it. */
ul_status ul_model_open_first(ul_ctx *ctx, ul_backend *be, const char *dir, int blocks, unsigned flags,
                              ul_model **out) UL_MUST;
/* A new model from a config.json file (path) with weights N(0, std) (norms 1, biases 0), a function of seed. */
ul_status ul_model_fresh(ul_ctx *ctx, ul_backend *be, const char *config_path, uint64_t seed, double std,
                         ul_model **out) UL_MUST;
void ul_model_free(ul_model *m);
const ul_shape *ul_model_shape(const ul_model *m);
ul_backend *ul_model_backend(const ul_model *m);
const char *ul_model_dir(const ul_model *m);
int ul_model_weights(ul_model *m, ul_weight **out);         /* returns the count */
int64_t ul_model_parameters(ul_model *m);                    /* entries of all of them */
/* The first matrix of this role in block `layer` (bias: its bias); NULL where there is none. */
ul_weight *ul_model_role(ul_model *m, int layer, ul_weight_role role, bool bias);
/* Its module's name below the block's: "mlp.down_proj"; what "layers 3 NAME" selects. NULL outside of the blocks. */
const char *ul_weight_path(const ul_weight *w);
int ul_model_trainables(ul_model *m, ul_trainable **out);   /* after ul_model_select / ul_lora_* */
/* Writes OUT as a complete model directory: config and side files of the input carried over unchanged, weights in the
 * input's dtype (round to nearest even), same shards. Adapters are not written here (ul_lora_save), unless merged. */
ul_status ul_model_save(ul_ctx *ctx, ul_model *m, const char *out_dir) UL_MUST;
/* SHA-256 over (name, dtype, dims, bytes) of the masters in name order, adapters included. */
ul_status ul_model_digest(ul_ctx *ctx, ul_model *m, char hex[65]) UL_MUST;
/* The masters and gradients into/out of one flat array, in trainables' order: checkpoints, attacks, restores. */
ul_status ul_model_copy_weights(ul_ctx *ctx, const ul_model *from, ul_model *to) UL_MUST;

/* A tensor of the file, or an adapter's by PEFT's name, as n doubles in the file's own layout (Conv1D transposed): the
 * weight, or its gradient (UL_E_USAGE where it has none). The alias of a tied matrix is a name of it too. */
ul_status ul_model_tensor(ul_ctx *ctx, ul_model *m, const char *name, bool gradient, int64_t n, double *out) UL_MUST;

/* ---- which weights move ------------------------------------------------------------------------------------------ */
/* "all", "none", "lora", "layers 5-7 mlp", "layers 0,3 attn", "layers 2 mlp.down_proj", "embedding", "head", "norms",
 * or a name or name prefix; several joined with ",". Allocates gradients. Unknown words: UL_E_USAGE with the
 * nearest. */
ul_status ul_model_select(ul_ctx *ctx, ul_model *m, const char *spec) UL_MUST;
void ul_model_grad_zero(ul_model *m);
/* The end of a step's backward passes: the two uses of a tied weight are added. */
void ul_model_grad_ready(ul_model *m);

/* ---- adapters ---------------------------------------------------------------------------------------------------- */
typedef struct {
    int r;
    double alpha;
    bool rslora;
    const char *targets; /* names joined with ",", or a regular expression for the whole module name, or "all-linear" */
    uint64_t seed;
} ul_lora;
ul_status ul_lora_add(ul_ctx *ctx, ul_model *m, const ul_lora *l) UL_MUST;        /* A ~ kaiming uniform, B = 0   */
/* The adapters as they are become a start: s B A is taken off every weight, so that the function is that of the weights
 * alone. ul_lora_save then writes what training changed, s (B A - B_0 A_0), as an adapter of twice the rank on the
 * weights of the file. UL_PASS_BASE is the reference before this call only. */
ul_status ul_lora_start(ul_ctx *ctx, ul_model *m) UL_MUST;
ul_status ul_lora_open(ul_ctx *ctx, ul_model *m, const char *dir) UL_MUST;        /* PEFT directory               */
ul_status ul_lora_save(ul_ctx *ctx, ul_model *m, const char *dir) UL_MUST;
ul_status ul_lora_merge(ul_ctx *ctx, ul_model *m) UL_MUST;                        /* W += s B A, adapters gone    */

/* ---- one pass over a batch --------------------------------------------------------------------------------------- */
/* Slots of a block (block.h), what a hook or a reader may name: x, attention output, mlp output, block output. */
typedef enum { UL_SLOT_IN, UL_SLOT_ATTN, UL_SLOT_MLP, UL_SLOT_OUT } ul_slot;
typedef enum { UL_HOOK_READ, UL_HOOK_ADD, UL_HOOK_REPLACE } ul_hook_mode; /* REPLACE also cuts the gradient */
/* x [n_tok, C] in real: read it, or write it (a private copy). Called again when checkpointing runs the block again: it
 * must give the same result for the same input. */
typedef ul_status ul_hook_fn(void *user, int layer, const ul_batch *batch, void *x);
/* On the way back, of hooks that ADD: dx [n_tok, C] comes as d loss / d what the hook has written, and leaves as d
 * loss / d what it was given. Once a pass; a block with such a hook has a backward even where no gradient comes from
 * above. */
typedef void ul_hook_back_fn(void *user, int layer, const ul_batch *batch, void *dx);
typedef struct {
    int layer;
    ul_slot slot;
    ul_hook_mode mode;
    ul_hook_fn *fn;
    void *user;
    ul_hook_back_fn *back; /* NULL: the two gradients are the same */
} ul_hook;
typedef struct {
    int layer;          /* after `layer` blocks (0 = embedding) */
    const void *dx;     /* [n_tok, C] d loss / d hidden state; may be filled between forward and backward */
    const int32_t *row; /* [n_row] tokens, rising: dx is [n_row, C], the gradient of these alone; NULL: of all */
    int32_t n_row;
} ul_seed;

/* Sees what the linear layers of the blocks multiply: forwards x [n_tok, w->cols] (dy NULL); backwards x again with
 * dy [n_tok, w->rows], the gradient of x W^T + b, of the layers that a gradient passes through. INSTEAD: the gradient
 * of w itself (of those that have one) is the observer's to add, into w->g; without fn it is not asked for. Layers that
 * share an input (q, k, v; gate and up) see the same x. Tokens stand in the order of the batch; a sum that goes on in
 * rising order does not depend on micro-batches. */
typedef void ul_observe_fn(void *user, const ul_weight *w, const ul_batch *batch, const void *x, const void *dy);
enum { UL_OBSERVE_FORWARD = 1, UL_OBSERVE_BACKWARD = 2, UL_OBSERVE_INSTEAD = 4 };
typedef struct {
    ul_observe_fn *fn;
    void *user;
    unsigned when; /* UL_OBSERVE_* */
} ul_observer;
/* Logits that other models of the same vocabulary have a part in: each of them is run over the same batch (no hooks,
 * its adapters on), and chunk by chunk of the head's rows `fn` turns this model's logits into the combined ones.
 * Nothing of the size rows times vocabulary is kept. A function of each row alone, so that the chunks never change a
 * bit. */
enum { UL_MIX_MODELS = 2 };
typedef struct {
    const ul_batch *batch;
    int64_t first, n; /* rows of the batch */
    int32_t V;
    void *z;                          /* [n, V] real: in and out */
    void *other[UL_MIX_MODELS];       /* [n, V] real: may be spent */
} ul_mix_rows;
typedef struct {
    ul_model *other[UL_MIX_MODELS];
    int n; /* of them; may be 0 */
    void (*fn)(void *user, const ul_backend *be, const ul_mix_rows *rows);
    double slope; /* d combined / d z, one number: for a backward pass */
    void *user;
} ul_mix;

enum {
    UL_PASS_GRAD = 1,        /* a backward will follow                                   */
    UL_PASS_CHECKPOINT = 2,  /* keep block inputs only; blocks run again in backward      */
    UL_PASS_BASE = 4,        /* adapters off: the reference, for the same weights         */
    UL_PASS_PLAIN_HEAD = 8,  /* logits of all rows at once, where the plan says they fit  */
    UL_PASS_NO_HEAD = 16,    /* hidden states only                                        */
    UL_PASS_STATES = 32      /* the states after every block stay, of all tokens, without a backward too */
};
typedef struct {
    const ul_batch *batch;
    unsigned flags;
    int first;           /* start after so many blocks, from `start`; no weight below moves. 0: with the embedding */
    const void *start;   /* [n_tok, C] real: the hidden state there                      */
    int last;            /* blocks to run, counted from the embedding; -1 = all; fewer = early exit: no head */
    const ul_hook *hook;
    int n_hook;
    const ul_seed *seed;
    int n_seed;
    const ul_observer *observer; /* or NULL; the same forwards and backwards */
    const ul_mix *mix;   /* NULL: the logits are this model's */
    /* head, forward: outputs [n_row] or NULL */
    ul_score score;
    void *row_hidden;        /* [n_row, C] real, out: what the head reads (reference cache), or NULL */
    const void *ref_hidden;  /* [n_row, C] real: the same under the reference            */
    const void *ref_head;    /* [V, C] real: the reference's head; NULL = this model's   */
    const uint8_t *soft;     /* [n_row] UL_SOFT_*: the row's soft target; NULL = none    */
    double shift;            /* of the CE targets (ul_soft)                              */
    double cool;             /* of the KL rows (ul_soft)                                 */
    int32_t top;             /* most likely entries that stay in a KL target; 0: all     */
    const uint8_t *top_row;  /* [n_row] whose target is so cut; NULL: all                */
    const int32_t *shift_at; /* [n_row] or NULL: the label                               */
    /* head, backward */
    const double *coef;      /* [n_row] d loss / d logp                                  */
    const double *kl_coef;   /* [n_row] d loss / d kl or ce, or NULL                     */
    const double *gap_coef;  /* [n_row] d loss / d gap, or NULL                          */
    const double *rival_coef; /* [n_row] d loss / d rival, or NULL                       */
    const double *mu_coef;   /* [n_row] d loss / d mu, or NULL                           */
} ul_pass;

/* Exact bytes that a pass over a batch of this size will hold in the step arena; asked before the run. */
typedef struct {
    size_t weights, grads, slots, head, work, total;
} ul_bytes_plan;
ul_status ul_model_plan(ul_ctx *ctx, ul_model *m, const ul_pass *pass, ul_bytes_plan *out) UL_MUST;
/* Forward; with UL_PASS_GRAD its slots stay until ul_model_backward or the next forward. */
ul_status ul_model_forward(ul_ctx *ctx, ul_model *m, ul_pass *pass) UL_MUST;
ul_status ul_model_backward(ul_ctx *ctx, ul_model *m, ul_pass *pass) UL_MUST; /* adds into the gradients */
/* A view of the hidden state after `layer` blocks (0 = embedding as the first block reads it; n_layer = before the
 * final norm, n_layer + 1 = after it) of the last forward that kept it (UL_PASS_STATES keeps all, from where it
 * started; UL_PASS_GRAD all but the last two, which may be of the scored rows alone). */
const void *ul_model_hidden(const ul_model *m, int layer);
/* The logit lens (lens.c): log p of the labels of rows first .. first + n - 1 as the final norm and the head read them
 * from the state after `layer` blocks of the last forward; coef, or NULL: d loss / d logp, whose gradient is added to a
 * chain of its own for the norm and the head (ul_model_grad_ready adds it to theirs) and written to dx for the tokens
 * (a seed over batch->row). */
typedef struct {
    const ul_batch *batch;
    int layer;
    int32_t first, n;
    double *logp;       /* [n] or NULL */
    const double *coef; /* [n] or NULL */
    void *dx;           /* [n, C] real, with coef */
} ul_lens;
ul_status ul_model_lens(ul_ctx *ctx, ul_arena *arena, ul_model *m, const ul_lens *l) UL_MUST;
/* The lowest block in which a weight moves: -1 when the embedding does, n_layer when none does. */
int ul_model_lowest(const ul_model *m);
/* [V, C] of the output matrix as it is now, real. */
const void *ul_model_head(const ul_model *m);
/* Logits of all rows of the batch, for tests and small models: out [n_row, V] real. */
ul_status ul_model_logits(ul_ctx *ctx, ul_model *m, const ul_batch *batch, void *out) UL_MUST;

/* ---- generation -------------------------------------------------------------------------------------------------- */
typedef struct {
    int32_t n;                       /* prompts                                             */
    const ul_doc *prompt;            /* tokens, hidden flags and positions; labels ignored  */
    int32_t max_new;
    const int32_t *eos;              /* ends a row; kept in the output                      */
    int32_t n_eos;
    int32_t batch;                   /* rows decoded together; the bits do not depend on it */
    double temperature, top_p;       /* 0 = greedy                                          */
    int32_t top_k;
    uint64_t seed;
    const char *what;                /* name in the progress line; NULL = silent            */
    const ul_hook *hook;             /* in every pass: of prompts and of single new tokens  */
    int n_hook;
    const ul_mix *mix;               /* or NULL; the other models get caches of their own   */
} ul_generation;
/* out[i] gets row i's new tokens in `arena`; n_out[i] their number. A row stops at the context's end too. */
ul_status ul_model_generate(ul_ctx *ctx, ul_model *m, const ul_generation *g, ul_arena *arena, int32_t **out,
                            int32_t *n_out) UL_MUST;

/* ---- families ---------------------------------------------------------------------------------------------------- */
const char *const *ul_families(void); /* ids, NULL at the end */
const char *const *ul_family_types(const char *id); /* model_type values it reads, NULL at the end */
#endif
