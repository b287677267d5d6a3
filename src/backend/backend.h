/* backend.h - kernels: forward and backward of coarse ops on plain arrays, with one definition of every number.
 *
 * Dimensions:  N tokens of a packed batch, C width, H query heads, K key/value heads, D channels a head, F inner width,
 *              V vocabulary, R rank. dx: the gradient of x. Arrays are row-major, contiguous unless strides are given.
 * Element:     `real` is float, or double in the oracle; pointers here are void* so that one model code serves both.
 *
 * The arithmetic is part of the interface (ARCHITECTURE.md, "Exact arithmetic"):
 *  - a product's element is one chain c = fma(a[k], b[k], c) in rising k, from 0 or from the value already there;
 *  - a row sum is 16 lanes (element i to lane i mod 16), then l[i] += l[i+8], l[i+4], l[i+2], l[i+1];
 *  - a softmax takes the maximum first; p = exp(z - max) / sum;
 *  - a sum over tokens (bias, gain, embedding gradients) is one chain in rising token order, added to what is there;
 *  - a sum over a tensor is blocks of 4096 elements in 16 double lanes, blocks added in order;
 *  - with bf16 precision the operands of every product are rounded to bf16 (nearest even) and the product is defined as
 *    AMX computes it: per 32 values of k, e and o from 0 over even and odd k, then c += e + o, denormals are zero;
 *    where k runs over tokens a block of 32 starts at each sample (`seg`), ragged ends are filled with +0.
 * Every target (portable, avx2, avx512, amx) gives the same bits at any number of threads. */
#ifndef UL_BACKEND_H
#define UL_BACKEND_H
#include "base/base.h"
#include "unlearn/batch.h"

typedef enum { UL_PRECISION_F32, UL_PRECISION_BF16, UL_PRECISION_DOUBLE } ul_precision;

typedef enum { UL_LAYERNORM, UL_RMSNORM } ul_norm_kind;
typedef enum { UL_GELU, UL_GELU_TANH, UL_SILU, UL_RELU } ul_act_kind; /* GELU_TANH = gelu_new, gelu_pytorch_tanh */

typedef struct ul_backend ul_backend;

/* c[i,j] (+)= sum_k a[i,k] b[k,j].  a[i*a_row + k*a_col], b[k*b_row + j*b_col], c[i*c_row + j]. */
typedef struct {
    int64_t m, n, k;
    const void *a;
    int64_t a_row, a_col;
    const void *b; /* or panels made by ul_backend_panel for the same n, k: then b_row = b_col = 0 */
    int64_t b_row, b_col;
    void *c;
    int64_t c_row;
    bool add;           /* chains go on from what c holds */
    const int32_t *seg; /* k runs over tokens: [n_seg + 1] borders, seg[0] = 0, seg[n_seg] = k; NULL: one segment */
    int32_t n_seg;
} ul_gemm;

/* Causal attention within each document, grouped key/value heads. */
typedef struct {
    int32_t N, H, K, D, n_doc, longest;
    const int32_t *doc_start; /* [n_doc + 1] */
    /* [n_doc] or NULL: before its own tokens a document has the first `prefix` tokens of an earlier one (which may have
     * a prefix itself). `longest` counts the prefix. Forward: the bits are those of the document written out. Backward:
     * no hidden tokens, and between a document and its parent only such as have a prefix too. */
    const int32_t *doc_parent, *doc_prefix;
    const uint8_t *hidden;    /* [N] or NULL: this token is a key for no query; a query without keys gives 0 */
    double scale;
    const void *q, *k, *v; /* [N, H*D], [N, K*D], [N, K*D] */
    void *y;               /* [N, H*D] */
    void *stat;            /* [N, H, 2] max and sum of the row, kept for backward */
    /* backward: gradients, NULL where not wanted; add: += instead of = */
    const void *dy;
    void *dq, *dk, *dv;
    bool add_q, add_k, add_v;
} ul_attn;

/* One new query for each of n sequences against its cache. Same bits as the full pass. */
typedef struct {
    int32_t n, H, K, D;
    double scale;
    const void *q;             /* [n, H*D]; the new key and value stand already in the caches */
    const void *const *k_cache; /* [n] -> [len, K*D] */
    const void *const *v_cache;
    const int32_t *len; /* [n] keys, the new one included */
    const uint8_t *const *hidden; /* [n] -> [len], or NULL: none */
    void *y;                      /* [n, H*D] */
} ul_attn_one;

/* Scores of rows of logits; every output [n] or NULL. */
typedef struct {
    double *logp;    /* log p(label); 0 where label < 0 */
    int32_t *argmax; /* lowest index among equals */
    double *mu, *sigma2; /* mean and variance of log p under p (min-k++) */
    double *kl;      /* KL(softmax(z_ref) || softmax(z)) of rows that are UL_SOFT_KL; 0 elsewhere */
    double *ce;      /* -sum_v q_v log p_v of rows with a CE target q; 0 elsewhere */
    double *gap;     /* max z - mean z */
    double *rival;   /* log p(v), v the most likely entry but the label; -INFINITY: there is no other */
    int32_t *rival_at; /* v: the lowest index among equals; -1 */
} ul_score;

/* A row's soft target q: none; softmax(z_ref) and its divergence; softmax(z_ref + shift e_at) or softmax(z + shift
 * e_at), held constant, and the cross-entropy under it. A shift of -INFINITY takes the entry out of the target. */
enum { UL_SOFT_NONE, UL_SOFT_KL, UL_SOFT_CE, UL_SOFT_CE_OWN };
typedef struct {
    const void *z_ref;   /* [n, V] or NULL: rows that would read it have no target */
    const uint8_t *kind; /* [n]; NULL: all UL_SOFT_KL */
    double shift;
    const int32_t *at; /* [n] the shifted entry, -1: none; NULL: the label */
    double cool; /* KL rows: z and z_ref are multiplied by it first, 1 / temperature; 0: as they are */
} ul_soft;
enum { UL_TOP = 1000 }; /* most entries that keep_top keeps (method.h: UL_MOST_TOP) */
/* d loss / d score, each [n] or NULL. `soft` is that of the row's kl or ce. */
typedef struct {
    const double *logp, *soft, *gap, *rival, *mu;
} ul_dscore;

typedef struct {
    double lr, beta1, beta2, eps, weight_decay;
    int64_t t; /* step, from 1 */
} ul_adamw; /* torch: p -= lr*wd*p; m, v; p -= lr * (m/(1-b1^t)) / (sqrt(v/(1-b2^t)) + eps) */

typedef struct {
    double lr, beta1, beta2, rho, weight_decay;
    bool refresh; /* the curvature, in this step */
} ul_sophia;

/* The table of one target. `be` is passed for its threads, precision and workspace. */
typedef struct {
    const char *name; /* "double", "portable", "avx2", "avx512", "amx" */
    size_t esize;     /* bytes of a real */
    void (*gemm)(const ul_backend *be, const ul_gemm *g);
    /* y[i,:] = row, or 0 when row is NULL */
    void (*fill_rows)(const ul_backend *be, int64_t n, int64_t c, const void *row, void *y);
    /* db[j] += chain over i of dy[i,j] */
    void (*col_sum)(const ul_backend *be, int64_t n, int64_t c, const void *dy, void *db);
    /* y = (x - m) * r * w + b over rows of c; RMS: m = 0, b unused (NULL). stat [n, 2] = m, r */
    void (*norm_fwd)(const ul_backend *be, ul_norm_kind kind, int64_t n, int64_t c, double eps, const void *x,
                     const void *w, const void *b, void *y, void *stat);
    /* dx may be NULL (not wanted); add: dx += ; dw, db NULL when frozen, else added to */
    void (*norm_bwd)(const ul_backend *be, ul_norm_kind kind, int64_t n, int64_t c, const void *x, const void *w,
                     const void *stat, const void *dy, void *dx, bool add, void *dw, void *db);
    /* rotate pairs (j, j + rot/2) of each of n_head heads by table row pos[i]: y (+)= R x; sign -1 turns back.
     * cos, sin [positions, rot/2]; channels >= rot are copied */
    void (*rope)(const ul_backend *be, int64_t n, int64_t n_head, int64_t d, int64_t rot, const int32_t *pos,
                 const void *cos, const void *sin, int sign, const void *x, void *y, bool add);
    void (*attn_fwd)(const ul_backend *be, const ul_attn *a);
    void (*attn_bwd)(const ul_backend *be, const ul_attn *a);
    void (*attn_one)(const ul_backend *be, const ul_attn_one *a);
    void (*act_fwd)(const ul_backend *be, ul_act_kind kind, int64_t n, const void *x, void *y);
    void (*act_bwd)(const ul_backend *be, ul_act_kind kind, int64_t n, const void *x, const void *dy, void *dx,
                    bool add);
    /* y = act(g) * u */
    void (*glu_fwd)(const ul_backend *be, ul_act_kind kind, int64_t n, const void *g, const void *u, void *y);
    void (*glu_bwd)(const ul_backend *be, ul_act_kind kind, int64_t n, const void *g, const void *u, const void *dy,
                    void *dg, bool add_g, void *du, bool add_u);
    void (*add)(const ul_backend *be, int64_t n, const void *a, const void *b, void *y); /* y = a + b */
    void (*copy)(const ul_backend *be, int64_t n, const void *x, void *y, bool add);     /* y (+)= x */
    void (*scale)(const ul_backend *be, int64_t n, double s, void *x);                   /* x *= s */
    void (*axpy)(const ul_backend *be, int64_t n, double s, const void *x, void *y);     /* y = fma(s, x, y) */
    /* y[i,:] (+)= table[index[i],:] */
    void (*gather)(const ul_backend *be, int64_t n, int64_t c, const int32_t *index, const void *table, void *y,
                   bool add);
    /* dtable[index[i],:] += dy[i,:], in rising i, where index[i] is not `but` */
    void (*scatter)(const ul_backend *be, int64_t n, int64_t c, const int32_t *index, int32_t but, const void *dy,
                    void *dtable);
    /* scores of n rows of logits z [n, V]; soft NULL: no row has a target */
    void (*score)(const ul_backend *be, int64_t n, int64_t V, const void *z, const int32_t *label, const ul_soft *soft,
                  const ul_score *out);
    /* z <- dz = d.logp[i] (e_label - softmax(z)) + d.soft[i] (softmax(z) - q_i) + d.gap[i] (e_argmax - 1/V)
     *         + d.rival[i] (e_v - softmax(z)), v the most likely entry but the label, + d.mu[i] p (log p - mu) */
    void (*score_bwd)(const ul_backend *be, int64_t n, int64_t V, void *z, const int32_t *label, const ul_dscore *d,
                      const ul_soft *soft);
    /* Of each row where row[i] (NULL: all), the k largest entries stay, with those as large as the last of them; the
     * others fall so far that no softmax has them. k <= UL_TOP; of k >= V all stay. */
    void (*keep_top)(const ul_backend *be, int64_t n, int64_t V, int64_t k, const uint8_t *row, void *z);
    double (*dot)(const ul_backend *be, int64_t n, const void *x, const void *y); /* double lanes, as sum_squares */
    double (*sum_squares)(const ul_backend *be, int64_t n, const void *x); /* double lanes; NaN in, NaN out */
    /* index of the first NaN or Inf, -1 = none */
    int64_t (*first_bad)(const ul_backend *be, int64_t n, const void *x);
    void (*adamw)(const ul_backend *be, const ul_adamw *o, int64_t n, void *p, const void *g, void *m, void *v);
    void (*sgd)(const ul_backend *be, double lr, double weight_decay, double momentum, int64_t n, void *p,
                const void *g, void *m); /* m NULL when momentum is 0 */
    void (*sophia)(const ul_backend *be, const ul_sophia *o, int64_t n, void *p, const void *g, void *m, void *h);
    /* x[i] *= in where bit i is set, out elsewhere; bits [(n + 7) / 8], the lowest first */
    void (*mask)(const ul_backend *be, int64_t n, const uint8_t *bits, double in, double out, void *x);
    /* r[i] stays where f and r have opposite signs; elsewhere it becomes f, or f + r when `sum` */
    void (*agree)(const ul_backend *be, int64_t n, bool sum, const void *f, void *r);
    /* x[i] += sigma * ul_rng_normal(seed, stream, step, first + i) */
    void (*noise)(const ul_backend *be, int64_t n, double sigma, uint64_t seed, ul_stream stream, uint64_t step,
                  uint64_t first, void *x);
    /* panels [n/16][k][16] of b (as in ul_gemm); out holds ul_panel_bytes */
    void (*panel)(const ul_backend *be, int64_t n, int64_t k, const void *b, int64_t b_row, int64_t b_col, void *out);
} ul_kernels;

struct ul_backend {
    const ul_kernels *k;
    ul_precision precision;
    int threads;
    void *work;        /* packing buffers and attention scratch, one part a thread; see ul_backend_reserve */
    size_t work_bytes; /* part of every byte plan */
    size_t attn_bytes; /* of one thread's attention scratch */
    ul_arena *arena;
    ul_ctx *ctx;
};

/* isa: "portable", "avx2", "avx512", "amx", or NULL for the best this machine has (the environment's UL_ISA is read by
 * the caller). An ISA that the machine lacks is UL_E_RESOURCE, an unknown one UL_E_USAGE. threads 0: OpenMP's default.
 * precision UL_PRECISION_DOUBLE ignores isa. Lives until the arena is freed. */
ul_status ul_backend_open(ul_ctx *ctx, ul_arena *arena, const char *isa, ul_precision precision, int threads,
                          ul_backend **out) UL_MUST;
/* Room for attention over documents of `longest` tokens with heads of D channels (grows only). */
ul_status ul_backend_reserve(ul_backend *be, int32_t longest, int32_t D) UL_MUST;
size_t ul_backend_reserve_bytes(const ul_backend *be, int32_t longest, int32_t D);
size_t ul_panel_bytes(const ul_backend *be, int64_t n, int64_t k);
/* Names of the ISAs this machine has, best last, NULL at the end: the list for tests. */
const char *const *ul_backend_isas(void);

#endif
