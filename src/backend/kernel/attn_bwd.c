/* attn_bwd.c - backward of attention (attn.h). One (document, key/value head) is one piece of work: its keys' gradients
 * are chains over its query heads. */
#include "backend/kernel/attn.h"

enum { ROWS = 32 }; /* a block of queries, so that bf16's blocks are whole */

/* p and ds of query i (from the document's start) against the keys 0 .. i, into rows. */
static void row_gradient(const ul_attn *a, bool bf16, int64_t t0, int64_t i, int64_t h, real *p, real *ds)
{
    const int64_t D = a->D, KD = (int64_t)a->K * D, g = h / (a->H / a->K), at = (t0 + i) * a->H + h;
    const real *q = (const real *)a->q + at * D, *dy = (const real *)a->dy + at * D;
    const real *k = (const real *)a->k + t0 * KD + g * D, *v = (const real *)a->v + t0 * KD + g * D;
    const real *stat = (const real *)a->stat + at * 2;
    const uint8_t *hidden = a->hidden ? a->hidden + t0 : NULL;
    real lane[LANES] = {0};
    for (int64_t j = 0; j <= i; j++) {
        p[j] = ds[j] = 0;
        if (hidden && hidden[j]) continue;
        const real z = attn_chain(bf16, D, q, 1, k + j * KD, 1, NULL, 0) * (real)a->scale;
        p[j] = v_exp(z - stat[0]) / stat[1];
        ds[j] = attn_chain(bf16, D, dy, 1, v + j * KD, 1, NULL, 0);
        lane[j % LANES] = FMA(p[j], ds[j], lane[j % LANES]);
    }
    const real t = lane_sum(lane);
    for (int64_t j = 0; j <= i; j++)
        if (!hidden || !hidden[j]) ds[j] = (p[j] * (ds[j] - t)) * (real)a->scale;
}

/* dx_j += chain over the queries i0 .. i1 of w_ij x_i, for the keys j < i1. w is [i1 - i0][T]. */
static void key_gradient(const ul_attn *a, bool bf16, int64_t t0, int64_t i0, int64_t i1, int64_t h, int64_t T,
                         const real *w, const real *x, real *dx)
{
    const int64_t D = a->D, KD = (int64_t)a->K * D, HD = (int64_t)a->H * D, g = h / (a->H / a->K);
    for (int64_t j = 0; j < i1; j++) {
        if (!bf16 && a->hidden && a->hidden[t0 + j]) continue;
        const int64_t i = bf16 || j < i0 ? i0 : j;
        const real *from = x + (t0 + i) * HD + h * D;
        real *to = dx + (t0 + j) * KD + g * D;
        for (int64_t c = 0; c < D; c++) to[c] = attn_chain(bf16, i1 - i, w + (i - i0) * T + j, T, from + c, HD, NULL, to[c]);
    }
}

static void document(const ul_attn *a, bool bf16, int64_t t0, int64_t T, int64_t g, real *p)
{
    const int64_t D = a->D, KD = (int64_t)a->K * D, group = a->H / a->K;
    const uint8_t *hidden = a->hidden ? a->hidden + t0 : NULL;
    real *ds = p + ROWS * T;
    for (int64_t t = t0; t < t0 + T; t++) {
        if (a->dk && !a->add_k) memset((real *)a->dk + t * KD + g * D, 0, (size_t)D * sizeof(real));
        if (a->dv && !a->add_v) memset((real *)a->dv + t * KD + g * D, 0, (size_t)D * sizeof(real));
    }
    for (int64_t h = g * group; h < (g + 1) * group; h++)
        for (int64_t i0 = 0; i0 < T; i0 += ROWS) {
            const int64_t i1 = least(i0 + ROWS, T);
            memset(p, 0, (size_t)(2 * ROWS * T) * sizeof(real));
            for (int64_t i = i0; i < i1; i++) {
                real *dsi = ds + (i - i0) * T;
                row_gradient(a, bf16, t0, i, h, p + (i - i0) * T, dsi);
                real *dq = a->dq ? (real *)a->dq + ((t0 + i) * a->H + h) * D : NULL;
                for (int64_t c = 0; dq && c < D; c++)
                    dq[c] = attn_chain(bf16, i + 1, dsi, 1, (const real *)a->k + t0 * KD + g * D + c, KD, hidden,
                                       a->add_q ? dq[c] : 0);
            }
            if (a->dk) key_gradient(a, bf16, t0, i0, i1, h, T, ds, a->q, a->dk);
            if (a->dv) key_gradient(a, bf16, t0, i0, i1, h, T, p, a->dy, a->dv);
        }
}

void KFN(attn_bwd)(const ul_backend *be, const ul_attn *a)
{
    const bool bf16 = be->precision == UL_PRECISION_BF16;
    PARALLEL
    {
        const uint64_t mode = float_mode(false);
        real *work = ul_work_attn(be, omp_get_thread_num());
        _Pragma("omp for schedule(dynamic, 1)")
        for (int64_t dg = 0; dg < (int64_t)a->n_doc * a->K; dg++) {
            const int64_t d = dg / a->K, t0 = a->doc_start[d];
            document(a, bf16, t0, a->doc_start[d + 1] - t0, dg % a->K, work);
        }
        float_mode_back(mode);
    }
}
