/* attn.h - causal attention within each document: the one definition that forward, backward and generation share.
 *
 *   z_ij = (chain over D of q_i k_j) * scale          for the keys j <= i of i's document that are not hidden
 *   m_i = max z_ij;  e_ij = exp(z_ij - m_i);  l_i = sum of e_ij;  p_ij = e_ij / l_i
 *   y_i = chain over rising j of p_ij v_j
 *   dp_ij = chain over D of dy_i v_j;  t_i = sum of p_ij dp_ij;  ds_ij = (p_ij * (dp_ij - t_i)) * scale
 *   dq_i = chain over rising j of ds_ij k_j
 *   dk_j, dv_j = chain over the group's query heads, and within one over rising i, of ds_ij q_i and p_ij dy_i
 *
 * Both sums over keys are 16 lanes, key j counted from the document's start to lane j mod 16: l += e, and
 * t = fma(p, dp, t); then the fixed tree. A masked key is in no chain and no lane. A query without keys: y = 0, p = 0.
 * With bf16 precision q, k, v, dy, p and ds are rounded where they are operands of a product; blocks of 32 keys or
 * queries are counted from the document's start, and p, ds of a masked key are +0 there. A row's chain over keys has
 * the blocks up to its query's, a key's chain over queries the blocks from its own to the document's last.
 * A document with a prefix has chains of its own over its own queries; a shared key's dk, dv are its owner's chain plus
 * those, one after the other. */
#ifndef UL_ATTN_H
#define UL_ATTN_H
#include "backend/kernel/gemm_tile.h"

/* One head of one document (or one cache) as the tiles see it, and a thread's scratch. */
typedef struct {
    bool bf16;
    int64_t T, D, row; /* keys; channels; stride of a row of scores */
    real scale;
    const uint8_t *hidden; /* [T] or NULL */
    real *panel[7];        /* a head's rows as panels */
    real *z, *z2;          /* rows of scores: p, ds */
    real *rows;            /* packed rows of the left operand */
} attn_head;

/* row: an odd number of cache lines, so that a column of it does not fall into one cache set */
static inline attn_head attn_scratch(const ul_backend *be, int32_t longest, int64_t D, double scale)
{
    attn_head w = {.bf16 = be->precision == UL_PRECISION_BF16, .D = D, .scale = (real)scale};
    const size_t Tp = UL_ATTN_T(longest), Dp = UL_ATTN_D(D);
    real *at = ul_work_attn(be, omp_get_thread_num());
    for (int i = 0; i < 7; i++, at += Tp * Dp) w.panel[i] = at;
    w.row = (int64_t)Tp + 16;
    w.z = at, w.z2 = w.z + UL_ATTN_BLOCK * w.row;
    w.rows = w.z2 + UL_ATTN_BLOCK * w.row;
    return w;
}

/* The keys, values and hidden flags (where there are some) of a document of T tokens with a prefix, one behind the
 * other: its own, then from ancestor to ancestor what stands before them. */
static inline void attn_written_out(const ul_attn *a, int64_t T, int64_t d, int64_t g, real *k, real *v,
                                    uint8_t *hidden)
{
    const int64_t D = a->D, KD = (int64_t)a->K * D;
    for (int64_t end = T; end > 0; d = a->doc_parent[d]) {
        const int64_t own = a->doc_prefix[d];
        const int64_t base = a->doc_start[d] - own; /* of token 0 of the document, were it written out here */
        for (int64_t t = own; t < end; t++) {
            memcpy(k + t * D, (const real *)a->k + (base + t) * KD + g * D, (size_t)D * sizeof *k);
            memcpy(v + t * D, (const real *)a->v + (base + t) * KD + g * D, (size_t)D * sizeof *v);
            if (a->hidden) hidden[t] = a->hidden[base + t];
        }
        end = least(end, own);
    }
}

static inline int64_t whole32(int64_t n) { return (n + 31) / 32 * 32; }

/* b [kc, n] as panels of 16 columns. */
static inline void attn_panels(const attn_head *w, int64_t n, int64_t kc, const real *b, int64_t b_row, int64_t b_col,
                               real *out)
{
    for (int64_t j = 0; j < n; j += LANES) {
        const int64_t nr = least(LANES, n - j);
        if (!w->bf16) {
            KFN(pack_b)(nr, kc, b + j * b_col, b_row, b_col, out + j * kc);
            continue;
        }
        uint16_t *to = (uint16_t *)(void *)out + j * whole32(kc);
        for (int64_t k = 0; k < kc; k += 32, to += 32 * LANES)
            KFN(pack_b_bf16)(nr, least(32, kc - k), b + k * b_row + j * b_col, b_row, b_col, to);
    }
}

/* mr rows of a product against the panels made for depth k; those from k0 on are used. c [mr, n]; all: c has room for
 * whole tiles, and they are wanted whole. Rows of a that do not exist are read and dropped where shape is not FULL. */
typedef struct {
    int64_t mr, n, k0, kc, depth;
    const real *a;
    int64_t a_row, a_step;
    const real *panels;
    real *c;
    int64_t c_row;
    bool first, all;
    tile_shape shape;
} attn_product;

static inline void attn_rows_bf16(const attn_head *w, const attn_product *x)
{
    const int64_t kc = whole32(x->kc), depth = whole32(x->depth);
    char *at = (char *)w->rows;
    for (int64_t k = 0; k < kc; k += 32, at += (size_t)(32 * MR_BF16) * UL_GEMM_A_BF16)
        KFN(pack_a_bf16)(x->mr, least(32, x->kc - k), x->a + k * x->a_step, x->a_row, x->a_step, at);
    const uint64_t mode = float_mode(true);
    for (int64_t j = 0; j < x->n; j += NR_BF16) {
        const uint16_t *b = (const uint16_t *)(const void *)x->panels + j * depth + x->k0 * LANES;
        const tile_bf16 t = {kc, w->rows, b, depth * LANES, x->c + j, x->c_row, x->mr,
                             x->all ? NR_BF16 : least(NR_BF16, x->n - j), x->first};
        KFN(tile_bf16)(&t);
    }
    float_mode_back(mode);
}

static inline void attn_rows(const attn_head *w, const attn_product *x)
{
    if (w->bf16) {
        attn_rows_bf16(w, x);
        return;
    }
    tile t = {x->kc, x->a, x->a_row, x->a_step, NULL, x->depth * LANES, NULL, x->c_row, x->mr, NR, x->first, x->shape};
    for (int64_t j = 0; j < x->n; j += NR) {
        t.b = x->panels + j * x->depth + x->k0 * LANES;
        t.c = x->c + j;
        if (!x->all) t.nr = least(NR, x->n - j);
        KFN(tile)(&t);
    }
}

/* Rows of a tile from row i: bf16's do not cross a border of 32, so that all of them have the same blocks. */
static inline int64_t attn_tile_rows(const attn_head *w, int64_t i)
{
    return w->bf16 ? least(least(MR_BF16, 32 - i % 32), w->T - i) : least(MR, w->T - i);
}

/* How far a row's scores must be defined: whole lanes, and with bf16 whole blocks. */
static inline int64_t attn_padded(const attn_head *w, int64_t n) { return w->bf16 ? whole32(n) : (n + 15) / 16 * 16; }

/* The softmax of one row of n scores: z becomes p, 0 where masked. z has room for whole blocks. Which of two zeros the
 * largest score was is not to be seen. */
static inline void attn_softmax(const attn_head *w, int64_t n, real *restrict z, real *max, real *sum)
{
    const int64_t end = attn_padded(w, n), lanes = (n + 15) / 16 * 16;
    const real scale = w->scale;
    real m[LANES], l[LANES] = {0};
    int64_t keys = n;
    real *last = z + (lanes - LANES); /* 16 scores, of which `own` are keys */
    const int own = (int)(n - (lanes - LANES));
    for (int i = 0; i < LANES; i++) last[i] = i < own ? last[i] : -(real)__builtin_inff();
    for (int64_t j = 0; w->hidden && j < n; j++)
        if (w->hidden[j]) z[j] = -(real)__builtin_inff(), keys--;
    if (keys == 0) {
        memset(z, 0, (size_t)end * sizeof *z);
        *max = *sum = 0;
        return;
    }
    for (int64_t j = 0; j < lanes; j += LANES)
        for (int i = 0; i < LANES; i++) z[j + i] *= scale; /* > 0: -inf stays */
    for (int i = 0; i < LANES; i++) m[i] = -(real)__builtin_inff();
    lanes_max(lanes, z, m);
    const real top = lane_max(m) + 0;
    for (int64_t j = 0; j < lanes; j += LANES)
        for (int i = 0; i < LANES; i++) {
            const real e = v_exp_down(z[j + i] - top);
            z[j + i] = e;
            l[i] += e;
        }
    const real s = lane_sum(l);
    for (int64_t j = 0; j < lanes; j += LANES)
        for (int i = 0; i < LANES; i++) z[j + i] = z[j + i] / s;
    for (int64_t j = n; j < end; j++) z[j] = 0;
    for (int64_t j = 0; w->hidden && j < n; j++)
        if (w->hidden[j]) z[j] = 0;
    *max = top;
    *sum = s;
}

/* c [D] (+)= chain over the keys that are not hidden (f32; hidden keys leave the tiles no shape). */
static inline void attn_row_hidden(const attn_head *w, int64_t n, const real *p, const real *b, int64_t b_row, real *c,
                                   bool first)
{
    for (int64_t i = 0; first && i < w->D; i++) c[i] = 0;
    for (int64_t j = 0; j < n; j++)
        if (!w->hidden[j])
            for (int64_t i = 0; i < w->D; i++) c[i] = FMA(p[j], b[j * b_row + i], c[i]);
}
#endif
