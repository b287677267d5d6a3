/* op_case.h - one run of every op of the table on given buffers, for a float or a double backend alike. UL_KERNELS
 * makes the list, so an op without a run here does not compile. */
#ifndef TEST_OP_CASE_H
#define TEST_OP_CASE_H
#define UL_TARGET portable
#define UL_TARGET_portable 1
#include "backend/kernel/kernel.h"
#include "unit/backend/product.h"

enum { WIDE = 1 << 15, TALL = 256, N_IN = 6, N_OUT = 5, TABLE_ROWS = 7 };
typedef struct {
    ul_backend *be;
    int64_t n, c; /* rows and columns; ops with more dimensions derive them */
    int mode;     /* bit 0: add to what is there; bit 1: the op's other form */
    _Alignas(64) char x[N_IN][WIDE * 8], y[N_OUT][WIDE * 8];
    double s[8][TALL];
    int32_t index[TALL], label[TALL], argmax[TALL], rival[TALL];
    uint8_t flag[TALL], soft[TALL]; /* soft: every kind of target */
} op_run;

static inline double at(const op_run *r, const char *buffer, int64_t i)
{
    float f;
    double d;
    if (r->be->k->esize == 8) return memcpy(&d, buffer + 8 * i, 8), d;
    return memcpy(&f, buffer + 4 * i, 4), (double)f;
}
static inline void put(const op_run *r, char *buffer, int64_t i, double v)
{
    const float f = (float)v;
    if (r->be->k->esize == 8)
        memcpy(buffer + 8 * i, &v, 8);
    else
        memcpy(buffer + 4 * i, &f, 4);
}
/* Normal numbers, a table drawn once and read from another place for each stream; floats, so that both types start from
 * one value. */
static inline double noise(int stream, int64_t i)
{
    enum { DRAWN = 8191 };
    static double drawn[DRAWN];
    if (drawn[0] == 0)
        for (uint64_t k = 0; k < DRAWN; k++) drawn[k] = (double)(float)ul_rng_normal(3, UL_STREAM_TEST, 0, k);
    return drawn[(i + 677 * stream) % DRAWN];
}
/* The outputs hold numbers too: an op that stores must overwrite them, one that adds must keep them. y[2] is positive:
 * it is AdamW's second moment. */
static inline void op_begin(op_run *r, ul_backend *be, int64_t n, int64_t c, int mode)
{
    memset(r, 0, sizeof *r);
    r->be = be, r->n = n, r->c = c, r->mode = mode;
    for (int64_t i = 0; i < WIDE; i++) {
        for (int b = 0; b < N_IN; b++) put(r, r->x[b], i, noise(b, i));
        for (int b = 0; b < N_OUT; b++) put(r, r->y[b], i, b == 2 ? fabs(noise(9, i)) : noise(10 + b, i));
    }
    for (int64_t i = 0; i < TALL; i++) {
        r->index[i] = (int32_t)ul_rng_below(3, UL_STREAM_TEST, 20, (uint64_t)i, TABLE_ROWS);
        r->label[i] = i % 5 == 4 ? -1 : (int32_t)ul_rng_below(3, UL_STREAM_TEST, 21, (uint64_t)i, (uint64_t)c);
        r->flag[i] = i % 3 == 1;
        r->soft[i] = (uint8_t)(i * 3 % 4);
        for (int k = 0; k < 8; k++) r->s[k][i] = noise(30 + k, i);
    }
}

#define RUN(op, ...) r->be->k->op(r->be, __VA_ARGS__)
#define ADD_MODE (r->mode & 1)
#define OTHER (r->mode >> 1 & 1)

static inline void run_fill_rows(op_run *r) { RUN(fill_rows, r->n, r->c, OTHER ? NULL : r->x[0], r->y[0]); }
static inline void run_col_sum(op_run *r) { RUN(col_sum, r->n, r->c, r->x[0], r->y[0]); }
static inline void run_norm_fwd(op_run *r)
{
    const ul_norm_kind kind = OTHER ? UL_RMSNORM : UL_LAYERNORM;
    RUN(norm_fwd, kind, r->n, r->c, 1e-5, r->x[0], r->x[1], OTHER ? NULL : r->x[2], r->y[0], r->y[1]);
}
static inline void run_norm_bwd(op_run *r)
{
    const ul_norm_kind kind = OTHER ? UL_RMSNORM : UL_LAYERNORM;
    run_norm_fwd(r);
    RUN(norm_bwd, kind, r->n, r->c, r->x[0], r->x[1], r->y[1], r->x[3], r->y[2], ADD_MODE, r->y[3],
        OTHER ? NULL : r->y[4]);
}
static inline void run_rope(op_run *r)
{
    const int64_t heads = r->c >= 6 ? 3 : 1, d = r->c / heads;
    int32_t pos[TALL];
    for (int64_t i = 0; i < r->n; i++) pos[i] = (int32_t)((i + 3) % r->n);
    RUN(rope, r->n, heads, d, OTHER ? d / 4 * 2 : d / 2 * 2, pos, r->x[1], r->x[2], OTHER ? -1 : 1, r->x[0], r->y[0],
        ADD_MODE);
}
static inline void run_act_fwd(op_run *r)
{
    for (int k = UL_GELU; k <= UL_RELU; k++) RUN(act_fwd, (ul_act_kind)k, r->n * r->c, r->x[0], r->y[k]);
}
static inline void run_act_bwd(op_run *r)
{
    for (int k = UL_GELU; k <= UL_RELU; k++)
        RUN(act_bwd, (ul_act_kind)k, r->n * r->c, r->x[0], r->x[1], r->y[k], ADD_MODE);
}
static inline void run_glu_fwd(op_run *r)
{
    for (int k = UL_GELU; k <= UL_RELU; k++) RUN(glu_fwd, (ul_act_kind)k, r->n * r->c, r->x[0], r->x[1], r->y[k]);
}
static inline void run_glu_bwd(op_run *r)
{
    for (int k = UL_GELU; k <= UL_SILU; k += 2)
        RUN(glu_bwd, (ul_act_kind)(k + OTHER), r->n * r->c, r->x[0], r->x[1], r->x[2], r->y[k], ADD_MODE, r->y[k + 1],
            ADD_MODE ^ OTHER);
}
static inline void run_add(op_run *r) { RUN(add, r->n * r->c, r->x[0], r->x[1], r->y[0]); }
static inline void run_copy(op_run *r) { RUN(copy, r->n * r->c, r->x[0], r->y[0], ADD_MODE); }
static inline void run_scale(op_run *r) { RUN(scale, r->n * r->c, 1 / 3.0, r->y[0]); }
static inline void run_axpy(op_run *r) { RUN(axpy, r->n * r->c, -1 / 3.0, r->x[0], r->y[0]); }
static inline void run_gather(op_run *r) { RUN(gather, r->n, r->c, r->index, r->x[0], r->y[0], ADD_MODE); }
static inline void run_scatter(op_run *r) { RUN(scatter, r->n, r->c, r->index, -1, r->x[0], r->y[0]); }
/* With ADD_MODE the label leaves the target, and KL is of cooler rows; a vocabulary of one word keeps it. */
static inline ul_soft op_soft(const op_run *r)
{
    return (ul_soft){r->x[1], r->soft, ADD_MODE && r->c > 1 ? -INFINITY : -1.5, NULL, ADD_MODE ? 0.625 : 0};
}
static inline void run_score(op_run *r)
{
    const ul_score out = {r->s[0], r->argmax, r->s[1], r->s[2], r->s[3], r->s[4], r->s[5], r->s[6], r->rival};
    const ul_soft soft = op_soft(r);
    RUN(score, r->n, r->c, r->x[0], r->label, OTHER ? NULL : &soft, &out);
}
static inline void run_score_bwd(op_run *r)
{
    const ul_dscore d = {r->s[0], r->s[1], ADD_MODE ? r->s[2] : NULL, ADD_MODE ? r->s[7] : NULL,
                         ADD_MODE ? r->s[3] : NULL};
    const ul_soft soft = op_soft(r);
    RUN(score_bwd, r->n, r->c, r->y[0], r->label, &d, OTHER ? NULL : &soft);
}
/* Of the rows of the run, and of one long row, whatever their shape is. */
static inline void run_keep_top(op_run *r)
{
    RUN(keep_top, r->n, r->c, 1 + r->c / 3, OTHER ? r->flag : NULL, r->y[0]);
    RUN(keep_top, 1, 2000, ADD_MODE ? 50 : UL_TOP, NULL, r->y[1]);
}
static inline void run_sum_squares(op_run *r) { r->s[0][0] = RUN(sum_squares, r->n * r->c, r->x[0]); }
static inline void run_dot(op_run *r) { r->s[0][0] = RUN(dot, r->n * r->c, r->x[0], r->x[1]); }
static inline void run_first_bad(op_run *r)
{
    r->argmax[0] = (int32_t)RUN(first_bad, r->n * r->c, r->x[0]);
    put(r, r->x[0], r->n * r->c - 1, OTHER ? (double)NAN : -(double)INFINITY);
    r->argmax[1] = (int32_t)RUN(first_bad, r->n * r->c, r->x[0]);
    put(r, r->x[0], r->n * r->c - 1, 0);
}
static inline void run_adamw(op_run *r)
{
    const ul_adamw o = {1e-2, 0.9, 0.999, 1e-8, 0.1, 3 + r->mode};
    RUN(adamw, &o, r->n * r->c, r->y[0], r->x[0], r->y[1], r->y[2]);
}
static inline void run_sgd(op_run *r)
{
    RUN(sgd, 1e-2, 0.1, OTHER ? 0.9 : 0, r->n * r->c, r->y[0], r->x[0], OTHER ? r->y[1] : NULL);
}

static inline void run_sophia(op_run *r)
{
    const ul_sophia o = {1e-2, 0.9, 0.95, 0.7, 0.1, ADD_MODE};
    RUN(sophia, &o, r->n * r->c, r->y[0], r->x[0], r->y[1], r->y[2]);
}
static inline void run_mask(op_run *r)
{
    static uint8_t bits[(WIDE + 7) / 8];
    for (int i = 0; i < (int)sizeof bits; i++) bits[i] = (uint8_t)ul_rng(3, UL_STREAM_TEST, 22, (uint64_t)i);
    RUN(mask, r->n * r->c, bits, OTHER ? 1 : 0.9, ADD_MODE ? 0.5 : 0, r->y[0]);
}
static inline void run_agree(op_run *r)
{
    for (int k = 0; k < N_OUT; k++) RUN(agree, r->n * r->c, ADD_MODE, r->x[k], r->y[k]);
}
static inline void run_noise(op_run *r)
{
    RUN(noise, r->n * r->c, 0.1, 3, UL_STREAM_TEST, 23, (uint64_t)r->mode, r->y[0]);
}

/* c = a b or, OTHER, c = a' b' in three segments of k. */
static inline ul_gemm gemm_of(op_run *r, int32_t *seg)
{
    const int64_t m = r->n, n = least(r->c, 200), k = 1 + r->c % 97;
    ul_gemm g = {m, n, k, r->x[0], k, 1, r->x[1], n, 1, r->y[0], n, ADD_MODE, NULL, 0};
    if (OTHER) {
        g.a_row = 1, g.a_col = m, g.b_row = 1, g.b_col = k, g.seg = seg, g.n_seg = 3;
        seg[0] = 0, seg[1] = (int32_t)(k / 3), seg[2] = (int32_t)(k / 2), seg[3] = (int32_t)k;
    }
    return g;
}
static inline void run_gemm(op_run *r)
{
    int32_t seg[4];
    const ul_gemm g = gemm_of(r, seg);
    r->be->k->gemm(r->be, &g);
}
/* The layout of panels is the target's own: only the product is compared. */
static inline void run_panel(op_run *r)
{
    int32_t seg[4];
    ul_gemm g = gemm_of(r, seg);
    assert_true(ul_panel_bytes(r->be, g.n, g.k) <= sizeof r->y[4]);
    g.seg = NULL, g.n_seg = 0;
    r->be->k->panel(r->be, g.n, g.k, g.b, g.b_row, g.b_col, r->y[4]);
    g.b = r->y[4], g.b_row = g.b_col = 0;
    r->be->k->gemm(r->be, &g);
    memset(r->y[4], 0, sizeof r->y[4]);
}

/* Three documents, grouped heads; OTHER: every third key hidden. */
static inline ul_attn attn_of(op_run *r, int32_t start[4])
{
    const int32_t N = (int32_t)r->n, D = 1 + (int32_t)(r->c % 40), few = N >= 3;
    for (int d = 0; d < 4; d++) start[d] = d == 3 ? N : few ? N * d / 5 : 0;
    if (!few) start[1] = N;
    ul_attn a = {.N = N, .H = 4, .K = 2, .D = D, .n_doc = few ? 3 : 1, .longest = few ? N - N * 2 / 5 : N,
                 .doc_start = start, .hidden = OTHER ? r->flag : NULL, .scale = 0.3, .q = r->x[0], .k = r->x[1],
                 .v = r->x[2], .y = r->y[0], .stat = r->y[1]};
    assert_int_equal(ul_backend_reserve(r->be, a.longest, D), UL_OK);
    return a;
}
static inline void run_attn_fwd(op_run *r)
{
    int32_t start[4];
    const ul_attn a = attn_of(r, start);
    r->be->k->attn_fwd(r->be, &a);
}
static inline void run_attn_bwd(op_run *r)
{
    int32_t start[4];
    ul_attn a = attn_of(r, start);
    r->be->k->attn_fwd(r->be, &a);
    a.dy = r->x[3], a.dq = r->y[2], a.dk = r->y[3], a.dv = r->y[4];
    a.add_q = ADD_MODE, a.add_k = !ADD_MODE, a.add_v = ADD_MODE;
    r->be->k->attn_bwd(r->be, &a);
}
static inline void run_attn_one(op_run *r)
{
    const int32_t D = 1 + (int32_t)(r->c % 40);
    const void *k[TALL], *v[TALL];
    const uint8_t *hidden[TALL];
    int32_t len[TALL];
    for (int64_t i = 0; i < r->n; i++) {
        len[i] = (int32_t)(1 + i * 7 % 50);
        k[i] = r->x[1] + (size_t)(i * 3) * r->be->k->esize;
        v[i] = r->x[2] + (size_t)(i * 5) * r->be->k->esize;
        hidden[i] = r->flag + i % 5;
    }
    assert_int_equal(ul_backend_reserve(r->be, 64, D), UL_OK);
    const ul_attn_one a = {(int32_t)r->n, 4, 2, D, 0.3, r->x[0], k, v, len, OTHER ? hidden : NULL, r->y[0]};
    r->be->k->attn_one(r->be, &a);
}

typedef struct {
    const char *name;
    void (*run)(op_run *r);
} op_case;
#define OP_CASE(op) {#op, run_##op},
static const op_case op_cases[] = {UL_KERNELS(OP_CASE)};
enum { N_OP = sizeof op_cases / sizeof *op_cases };

typedef struct {
    int64_t n, c;
} op_shape;
static const op_shape op_shapes[] = {{1, 1}, {3, 17}, {37, 531}, {70, 119}, {130, 160}, {2, 4001}};
enum { N_SHAPE = sizeof op_shapes / sizeof *op_shapes, N_MODE = 4 };
#endif
