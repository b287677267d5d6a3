/* attn.c - attention forward, over documents and for one new query (attn.h): small products of a tile's rows of queries
 * against the keys and values of one head, packed once for its group of query heads. */
#include "backend/kernel/attn.h"

/* The mr queries from row i of one head: p into w->z. q, stat (may be NULL): those of row i. */
static void queries(const attn_head *w, int64_t i, int64_t mr, const real *q, int64_t q_row, real *stat,
                    int64_t stat_row)
{
    real none[2];
    attn_rows(w, &(attn_product){.mr = mr, .n = i + mr, .kc = w->D, .depth = w->D, .a = q, .a_row = q_row, .a_step = 1,
                                 .panels = w->panel[0], .c = w->z, .c_row = w->row, .first = true, .all = true});
    for (int64_t r = 0; r < mr; r++) {
        real *s = stat ? stat + r * stat_row : none;
        attn_softmax(w, i + r + 1, w->z + r * w->row, s, s + 1);
    }
}

static void document(const ul_attn *a, attn_head *w, int64_t d, int64_t g)
{
    const int64_t D = a->D, HD = (int64_t)a->H * D, group = a->H / a->K;
    const int64_t prefix = a->doc_prefix ? a->doc_prefix[d] : 0, t0 = a->doc_start[d] - prefix;
    int64_t KD = (int64_t)a->K * D;
    const real *k = (const real *)a->k + t0 * KD + g * D, *v = (const real *)a->v + t0 * KD + g * D;
    w->T = a->doc_start[d + 1] - t0;
    w->hidden = a->hidden ? a->hidden + t0 : NULL;
    if (prefix) {
        uint8_t *hidden = (uint8_t *)(void *)w->panel[4];
        attn_written_out(a, w->T, d, g, w->panel[2], w->panel[3], hidden);
        k = w->panel[2], v = w->panel[3], KD = D;
        if (a->hidden) w->hidden = hidden;
    }
    attn_panels(w, w->T, D, k, 1, KD, w->panel[0]);
    attn_panels(w, D, w->T, v, KD, 1, w->panel[1]);
    for (int64_t h = g * group; h < (g + 1) * group; h++)
        for (int64_t i = prefix, mr; i < w->T; i += mr) {
            mr = attn_tile_rows(w, i);
            real *stat = a->stat ? (real *)a->stat + ((t0 + i) * a->H + h) * 2 : NULL;
            real *y = (real *)a->y + (t0 + i) * HD + h * D;
            queries(w, i, mr, (const real *)a->q + (t0 + i) * HD + h * D, HD, stat, (int64_t)a->H * 2);
            if (w->hidden && !w->bf16)
                for (int64_t r = 0; r < mr; r++)
                    attn_row_hidden(w, i + r + 1, w->z + r * w->row, v, KD, y + r * HD, true);
            else
                attn_rows(w, &(attn_product){.mr = mr, .n = D, .kc = w->bf16 ? i + mr : i + MR, .depth = w->T,
                                             .a = w->z, .a_row = w->row, .a_step = 1, .panels = w->panel[1], .c = y,
                                             .c_row = HD, .first = true, .shape = TILE_OUT});
        }
}

void KFN(attn_fwd)(const ul_backend *be, const ul_attn *a)
{
    PARALLEL_FLOP(2 * (int64_t)a->N * a->longest * a->H * a->D)
    {
        const uint64_t mode = float_mode(false);
        attn_head w = attn_scratch(be, a->longest, a->D, a->scale);
        KFN(tiles_begin)(w.bf16);
        _Pragma("omp for schedule(dynamic, 1)")
        for (int64_t dg = 0; dg < (int64_t)a->n_doc * a->K; dg++) document(a, &w, dg / a->K, dg % a->K);
        KFN(tiles_end)(w.bf16);
        float_mode_back(mode);
    }
}

/* The query heads of one key/value head against one cache: rows of a tile that all end at the same key. */
static void cache(const ul_attn_one *a, attn_head *w, int64_t i, int64_t g)
{
    const int64_t D = a->D, KD = (int64_t)a->K * D, group = a->H / a->K, n = a->len[i];
    const real *k = (const real *)a->k_cache[i] + g * D, *v = (const real *)a->v_cache[i] + g * D;
    attn_panels(w, n, D, k, 1, KD, w->panel[0]);
    attn_panels(w, D, n, v, KD, 1, w->panel[1]);
    for (int64_t h = g * group, mr; h < (g + 1) * group; h += mr) {
        mr = least(w->bf16 ? MR_BF16 : MR, (g + 1) * group - h);
        const real *q = (const real *)a->q + (i * a->H + h) * D;
        real *y = (real *)a->y + (i * a->H + h) * D, max, sum;
        attn_rows(w, &(attn_product){.mr = mr, .n = n, .kc = D, .depth = D, .a = q, .a_row = D, .a_step = 1,
                                     .panels = w->panel[0], .c = w->z, .c_row = w->row, .first = true, .all = true});
        for (int64_t r = 0; r < mr; r++) attn_softmax(w, n, w->z + r * w->row, &max, &sum);
        if (w->hidden && !w->bf16)
            for (int64_t r = 0; r < mr; r++) attn_row_hidden(w, n, w->z + r * w->row, v, KD, y + r * D, true);
        else
            attn_rows(w, &(attn_product){.mr = mr, .n = D, .kc = n, .depth = n, .a = w->z, .a_row = w->row, .a_step = 1,
                                         .panels = w->panel[1], .c = y, .c_row = D, .first = true});
    }
}

void KFN(attn_one)(const ul_backend *be, const ul_attn_one *a)
{
    int32_t longest = 0;
    for (int32_t i = 0; i < a->n; i++) longest = a->len[i] > longest ? a->len[i] : longest;
    PARALLEL_FLOP(4 * (int64_t)a->n * longest * a->H * a->D)
    {
        const uint64_t mode = float_mode(false);
        attn_head w = attn_scratch(be, longest, a->D, a->scale);
        KFN(tiles_begin)(w.bf16);
        _Pragma("omp for schedule(dynamic, 1)")
        for (int64_t ig = 0; ig < (int64_t)a->n * a->K; ig++) {
            w.T = a->len[ig / a->K];
            w.hidden = a->hidden ? a->hidden[ig / a->K] : NULL;
            cache(a, &w, ig / a->K, ig % a->K);
        }
        KFN(tiles_end)(w.bf16);
        float_mode_back(mode);
    }
}
