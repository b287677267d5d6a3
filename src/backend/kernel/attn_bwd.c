/* attn_bwd.c - backward of attention (attn.h). One key/value head of one document is one piece of work: its keys'
 * gradients are chains over its query heads. Queries go by in blocks; a block's rows of p and ds stand in the scratch,
 * row-wise the left operand of dq, column-wise that of dk and dv.
 *
 * Documents with a prefix belong to the piece of the document before them that has none. Their keys' gradients are
 * chains of their own queries, in the scratch; those of the prefix are then added to what their owner has, document by
 * document. */
#include "backend/kernel/attn.h"

/* panels: for scores, dp, dq, dk, dv; gradients of the keys and values of a document with a prefix */
enum { PK, PV, PK_ROWS, PQ_ROWS, PDY_ROWS, DK, DV };

typedef struct {
    const ul_attn *a;
    int64_t t0, g, HD, KD; /* t0: where token 0 of the document would stand, were its prefix written out here */
    int64_t from;          /* the first own query: the prefix's length */
    real *dk, *dv;         /* of token 0, or NULL where not wanted */
    int64_t d_row;
} head_place;

/* p and ds of one row with n keys; z holds its scores, d its dp. */
static void row_gradient(const attn_head *w, int64_t n, const real *stat, real *restrict z, real *restrict d)
{
    const int64_t end = attn_padded(w, n), lanes = (n + 15) / 16 * 16;
    const real top = stat[0], sum = stat[1], scale = w->scale;
    real l[LANES] = {0};
    for (int64_t j = 0; j < lanes; j++) z[j] = v_exp(z[j] * scale - top) / sum;
    for (int64_t j = n; j < end; j++) z[j] = d[j] = 0;
    for (int64_t j = 0; w->hidden && j < n; j++)
        if (w->hidden[j]) z[j] = d[j] = 0;
    for (int64_t j = 0; j < lanes; j += LANES)
        for (int i = 0; i < LANES; i++) l[i] = FMA(z[j + i], d[j + i], l[i]);
    const real t = lane_sum(l);
    for (int64_t j = 0; j < lanes; j++) d[j] = (z[j] * (d[j] - t)) * scale;
    for (int64_t j = 0; w->hidden && j < n; j++)
        if (w->hidden[j]) d[j] = 0;
    for (int64_t j = n; j < end; j++) d[j] = 0;
}

/* mr queries from i of head h, rows `at` of the block: p into w->z, ds into w->z2, and dq. */
static void query_rows(const head_place *x, const attn_head *w, int64_t h, int64_t i, int64_t at, int64_t mr)
{
    const ul_attn *a = x->a;
    const int64_t D = a->D, place = (x->t0 + i) * x->HD + h * D;
    real *z = w->z + at * w->row, *d = w->z2 + at * w->row;
    attn_product s = {.mr = mr, .n = i + mr, .kc = D, .depth = D, .a = (const real *)a->q + place, .a_row = x->HD,
                      .a_step = 1, .panels = w->panel[PK], .c = z, .c_row = w->row, .first = true, .all = true};
    attn_rows(w, &s);
    s.a = (const real *)a->dy + place, s.panels = w->panel[PV], s.c = d;
    attn_rows(w, &s);
    for (int64_t r = 0; r < mr; r++)
        row_gradient(w, i + r + 1, (const real *)a->stat + ((x->t0 + i + r) * a->H + h) * 2, z + r * w->row,
                     d + r * w->row);
    if (!a->dq) return;
    real *dq = (real *)a->dq + place;
    if (w->hidden && !w->bf16)
        for (int64_t r = 0; r < mr; r++)
            attn_row_hidden(w, i + r + 1, d + r * w->row, (const real *)a->k + x->t0 * x->KD + x->g * D, x->KD,
                            dq + r * x->HD, !a->add_q);
    else
        attn_rows(w, &(attn_product){.mr = mr, .n = D, .kc = w->bf16 ? i + mr : i + MR, .depth = w->T, .a = d,
                                     .a_row = w->row, .a_step = 1, .panels = w->panel[PK_ROWS], .c = dq,
                                     .c_row = x->HD, .first = !a->add_q, .shape = TILE_OUT});
}

/* dx_j (+)= chain over the block's queries i0 .. i1 of s_ij x_i, for the keys j < i1. from_zero: the first head, and
 * nothing is there. */
static void key_rows(const head_place *x, const attn_head *w, int64_t i0, int64_t i1, const real *s, const real *panels,
                     real *dx, bool from_zero)
{
    for (int64_t j = 0, mr; j < i1; j += mr) {
        const bool here = j >= i0; /* the block of these keys' own queries */
        mr = attn_tile_rows(w, j);
        if (!here) mr = least(mr, i0 - j);
        const int64_t from = !here ? i0 : w->bf16 ? j / 32 * 32 : j;
        attn_rows(w, &(attn_product){.mr = mr, .n = w->D, .k0 = from, .kc = i1 - from, .depth = w->T,
                                     .a = s + (from - i0) * w->row + j, .a_row = 1, .a_step = w->row, .panels = panels,
                                     .c = dx + j * x->d_row, .c_row = x->d_row,
                                     .first = here && from_zero, .shape = here ? TILE_IN : TILE_FULL});
    }
}

static void clear(const head_place *x, const attn_head *w, real *dx)
{
    for (int64_t j = 0; j < w->T; j++) memset(dx + j * x->d_row, 0, (size_t)w->D * sizeof(real));
}

/* The same with hidden keys, f32: such a key is in no chain and keeps what it has. */
static void key_rows_hidden(const head_place *x, const attn_head *w, int64_t i0, int64_t i1, int64_t h, const real *s,
                            const real *from, real *dx)
{
    for (int64_t j = 0; j < i1; j++) {
        real *to = dx + j * x->d_row;
        for (int64_t i = w->hidden[j] ? i1 : j > i0 ? j : i0; i < i1; i++) {
            const real p = s[(i - i0) * w->row + j], *row = from + (x->t0 + i) * x->HD + h * w->D;
            for (int64_t c = 0; c < w->D; c++) to[c] = FMA(p, row[c], to[c]);
        }
    }
}

static void query_head(const head_place *x, const attn_head *w, int64_t h, bool first)
{
    const ul_attn *a = x->a;
    const int64_t D = a->D, block = w->bf16 ? UL_ATTN_BLOCK : UL_ATTN_BLOCK / MR * MR, at = x->t0 * x->HD + h * D;
    const bool slow = w->hidden && !w->bf16;
    if (x->dk && !slow) attn_panels(w, D, w->T, (const real *)a->q + at, x->HD, 1, w->panel[PQ_ROWS]);
    if (x->dv && !slow) attn_panels(w, D, w->T, (const real *)a->dy + at, x->HD, 1, w->panel[PDY_ROWS]);
    for (int64_t i0 = w->bf16 ? x->from / 32 * 32 : x->from; i0 < w->T; i0 += block) {
        const int64_t i1 = least(i0 + block, w->T);
        for (int64_t i = i0; i < x->from; i++) { /* queries of the prefix: nothing comes from them here */
            memset(w->z + (i - i0) * w->row, 0, (size_t)w->row * sizeof(real));
            memset(w->z2 + (i - i0) * w->row, 0, (size_t)w->row * sizeof(real));
        }
        for (int64_t i = i0 > x->from ? i0 : x->from, mr; i < i1; i += mr) {
            mr = attn_tile_rows(w, i);
            query_rows(x, w, h, i, i - i0, mr);
        }
        if (slow) {
            if (x->dk) key_rows_hidden(x, w, i0, i1, h, w->z2, a->q, x->dk);
            if (x->dv) key_rows_hidden(x, w, i0, i1, h, w->z, a->dy, x->dv);
        } else {
            if (x->dk) key_rows(x, w, i0, i1, w->z2, w->panel[PQ_ROWS], x->dk, first && !a->add_k);
            if (x->dv) key_rows(x, w, i0, i1, w->z, w->panel[PDY_ROWS], x->dv, first && !a->add_v);
        }
    }
}

static void heads(const head_place *x, const attn_head *w, const real *k, const real *v, int64_t kv_row)
{
    const int64_t D = w->D, group = x->a->H / x->a->K;
    attn_panels(w, w->T, D, k, 1, kv_row, w->panel[PK]);
    attn_panels(w, w->T, D, v, 1, kv_row, w->panel[PV]);
    if (x->a->dq) attn_panels(w, D, w->T, k, kv_row, 1, w->panel[PK_ROWS]);
    for (int64_t h = x->g * group; h < (x->g + 1) * group; h++) query_head(x, w, h, h == x->g * group);
}

static void document(const ul_attn *a, attn_head *w, int64_t d, int64_t g)
{
    const int64_t t0 = a->doc_start[d], KD = (int64_t)a->K * a->D, at = t0 * KD + g * a->D;
    const head_place x = {a, t0, g, (int64_t)a->H * a->D, KD, 0, a->dk ? (real *)a->dk + at : NULL,
                          a->dv ? (real *)a->dv + at : NULL, KD};
    w->T = a->doc_start[d + 1] - t0;
    w->hidden = a->hidden ? a->hidden + t0 : NULL;
    if (w->hidden && !w->bf16) {
        if (x.dk && !a->add_k) clear(&x, w, x.dk);
        if (x.dv && !a->add_v) clear(&x, w, x.dv);
    }
    heads(&x, w, (const real *)a->k + at, (const real *)a->v + at, KD);
}

/* A document's gradient of keys or values, from the scratch to where the tokens stand: its own are `add`ed or put,
 * those of the prefix added. */
static void give(const ul_attn *a, int64_t d, int64_t g, int64_t T, const real *from, real *dx, bool add)
{
    const int64_t D = a->D, KD = (int64_t)a->K * D;
    for (int64_t end = T; end > 0; d = a->doc_parent[d], add = true) {
        const int64_t own = a->doc_prefix[d], base = a->doc_start[d] - own;
        for (int64_t t = own; t < end; t++) {
            real *to = dx + (base + t) * KD + g * D;
            for (int64_t c = 0; c < D; c++) to[c] = add ? to[c] + from[t * D + c] : from[t * D + c];
        }
        end = least(end, own);
    }
}

static void with_prefix(const ul_attn *a, attn_head *w, int64_t d, int64_t g)
{
    const int64_t prefix = a->doc_prefix[d], t0 = a->doc_start[d] - prefix;
    const head_place x = {a, t0, g, (int64_t)a->H * a->D, (int64_t)a->K * a->D, prefix, a->dk ? w->panel[DK] : NULL,
                          a->dv ? w->panel[DV] : NULL, a->D};
    real *k = w->panel[PQ_ROWS], *v = w->panel[PDY_ROWS]; /* not in use yet */
    w->T = a->doc_start[d + 1] - t0;
    w->hidden = NULL;
    attn_written_out(a, w->T, d, g, k, v, NULL);
    if (x.dk) clear(&x, w, x.dk);
    if (x.dv) clear(&x, w, x.dv);
    heads(&x, w, k, v, a->D);
    if (x.dk) give(a, d, g, w->T, x.dk, a->dk, a->add_k);
    if (x.dv) give(a, d, g, w->T, x.dv, a->dv, a->add_v);
}

void KFN(attn_bwd)(const ul_backend *be, const ul_attn *a)
{
    PARALLEL_FLOP(5 * (int64_t)a->N * a->longest * a->H * a->D)
    {
        const uint64_t mode = float_mode(false);
        attn_head w = attn_scratch(be, a->longest, a->D, a->scale);
        KFN(tiles_begin)(w.bf16);
        _Pragma("omp for schedule(dynamic, 1)")
        for (int64_t dg = 0; dg < (int64_t)a->n_doc * a->K; dg++) {
            int64_t d = dg / a->K;
            if (a->doc_prefix && a->doc_prefix[d]) continue;
            document(a, &w, d, dg % a->K);
            while (a->doc_prefix && ++d < a->n_doc && a->doc_prefix[d]) with_prefix(a, &w, d, dg % a->K);
        }
        KFN(tiles_end)(w.bf16);
        float_mode_back(mode);
    }
}
