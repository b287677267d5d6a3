/* gemm.c - c (+)= a b:  c[i,j] = fma(a[i,k], b[k,j], c[i,j]) in rising k; bf16: blocks of 32 (backend.h).
 *
 * c is cut into pieces, one a thread at a time, and nobody waits for anybody. Within a piece the loops are those of
 * Goto and van de Geijn (2008): kc rows of b are packed into panels of 16, mc x kc of a into tiles' rows, and the tile
 * runs over both; a panel is packed right before its first use. None of the sizes can be seen in the result. */
#include "backend/kernel/gemm_tile.h"

enum { KC = 384, KC_STREAM = 4096, DIRECT_N = 160 }; /* stream: one tile of rows reads ready panels from end to end */

typedef struct {
    const ul_gemm *g;
    bool bf16, ready, direct; /* ready: b is in panels; direct: rows of a are read where they are */
    int64_t rows, cols;       /* of a tile */
    int64_t depth, kc;        /* k (bf16: filled to whole blocks), and how many at a time */
    int64_t mb, jb, n_i, n_j; /* a piece of c, and their number */
    int64_t mc;               /* rows of a packed at a time */
    int64_t n_block, block_k[KC_STREAM / 32], block_len[KC_STREAM / 32]; /* bf16: the blocks of these kc */
} plan;

static int64_t up(int64_t x, int64_t to) { return (x + to - 1) / to * to; }
static int64_t pieces(int64_t x, int64_t of) { return (x + of - 1) / of; }
static size_t b_size(const plan *p) { return p->bf16 ? sizeof(uint16_t) : sizeof(real); }
static size_t a_size(const plan *p) /* of a tile's rows, one k */
{
    return p->bf16 ? (size_t)MR_BF16 * UL_GEMM_A_BF16 : MR * sizeof(real);
}

/* Cut c so that all threads have the same to do and little is packed twice. Costs in multiply-adds of one lane pair:
 * 1 for a k of 16 outputs, about 10 for packing 16 numbers. */
static void cut(plan *p, int64_t threads)
{
    const ul_gemm *g = p->g;
    const int64_t j_max = least(up(g->n, p->cols),
                                (int64_t)(UL_GEMM_B_BYTES / ((size_t)p->kc * b_size(p))) / p->cols * p->cols);
    int64_t best = INT64_MAX;
    for (int64_t i = 1; i <= threads && i <= pieces(g->m, p->rows); i++) {
        const int64_t mb = up(pieces(g->m, i), p->rows), n_i = pieces(g->m, mb);
        int64_t n_j = pieces(g->n, j_max);
        while (n_j * n_i % threads && n_j * n_i < 4 * threads) n_j++;
        const int64_t jb = up(pieces(g->n, n_j), p->cols);
        n_j = pieces(g->n, jb);
        const int64_t pack = (p->ready ? 0 : 10 * jb) + (p->direct ? 0 : 10 * mb);
        const int64_t cost = pieces(n_i * n_j, threads) * (mb * jb + pack);
        if (cost < best) best = cost, p->mb = mb, p->jb = jb, p->n_i = n_i, p->n_j = n_j;
    }
}

static plan make_plan(const ul_backend *be, const ul_gemm *g)
{
    plan p = {.g = g, .bf16 = be->precision == UL_PRECISION_BF16, .ready = g->b_row == 0 && g->b_col == 0};
    p.rows = p.bf16 ? MR_BF16 : MR, p.cols = p.bf16 ? NR_BF16 : NR;
    p.depth = p.bf16 ? 32 * block_count(g) : g->k;
    if (g->m <= 4 * p.rows) p.rows = pieces(g->m, pieces(g->m, p.rows)); /* 8 = 4 + 4, not 6 + 2 */
    p.direct = !p.bf16 && p.rows == MR && ((g->a_col == 1 && g->n <= DIRECT_N) || (g->a_row == 1 && g->n <= LANES));
    const int64_t kc = p.ready && g->m <= p.rows ? KC_STREAM : KC;
    p.kc = up(pieces(p.depth, pieces(p.depth, kc)), p.bf16 ? 32 : 8);
    p.mc = (int64_t)(UL_GEMM_A_BYTES / (a_size(&p) * (size_t)p.kc)) * p.rows;
    p.mc = least(p.mc, UL_GEMM_MC / p.rows * p.rows);
    cut(&p, be->threads);
    p.mc = up(pieces(p.mb, pieces(p.mb, p.mc)), p.rows);
    return p;
}

static const real *a_at(const plan *p, int64_t i, int64_t k)
{
    return (const real *)p->g->a + i * p->g->a_row + k * p->g->a_col;
}

/* mc rows of a from i0, kc k from k0: tile after tile. Where rows are read in place, only a ragged tile is packed. */
static void pack_rows(const plan *p, int64_t i0, int64_t mc, int64_t k0, int64_t kc, char *out)
{
    const ul_gemm *g = p->g;
    if (!p->bf16 && p->rows < MR) {
        for (int64_t i = 0; i < mc; i += p->rows, out += a_size(p) * (size_t)kc)
            KFN(pack_a)(least(p->rows, mc - i), kc, a_at(p, i0 + i, k0), g->a_row, g->a_col, (real *)(void *)out);
        return;
    }
    if (!p->bf16) {
        const int64_t skip = p->direct ? mc / MR * MR : 0;
        KFN(pack_a)(mc - skip, kc, a_at(p, i0 + skip, k0), g->a_row, g->a_col, (real *)(void *)out + skip * kc);
        return;
    }
    for (int64_t i = 0; i < mc; i += p->rows, out += a_size(p) * (size_t)kc)
        for (int64_t b = 0; b < p->n_block; b++)
            KFN(pack_a_bf16)(least(p->rows, mc - i), p->block_len[b], a_at(p, i0 + i, p->block_k[b]), g->a_row,
                             g->a_col, out + a_size(p) * 32 * (size_t)b);
}

/* One panel of 16 columns from j. */
static void pack_panel(const plan *p, int64_t j, int64_t k0, int64_t kc, void *out)
{
    const ul_gemm *g = p->g;
    const int64_t nr = least(LANES, g->n - j);
    const real *b = (const real *)g->b + j * g->b_col;
    if (p->bf16)
        for (int64_t i = 0; i < p->n_block; i++)
            KFN(pack_b_bf16)(nr, p->block_len[i], b + p->block_k[i] * g->b_row, g->b_row, g->b_col,
                             (uint16_t *)out + i * 32 * LANES);
    else
        KFN(pack_b)(nr, kc, b + k0 * g->b_row, g->b_row, g->b_col, out);
}

/* The tiles of mc rows against the columns j .. j + nr; b: their panels, b_next apart. */
static void column(const plan *p, int64_t i0, int64_t mc, int64_t k0, int64_t kc, const char *a, const void *b,
                   int64_t b_next, int64_t j, int64_t nr)
{
    const ul_gemm *g = p->g;
    const bool first = !g->add && k0 == 0;
    for (int64_t i = 0; i < mc; i += p->rows, a += a_size(p) * (size_t)kc) {
        const int64_t mr = least(p->rows, mc - i);
        real *c = (real *)g->c + (i0 + i) * g->c_row + j;
        if (p->bf16) {
            KFN(tile_bf16)(&(tile_bf16){kc, a, b, b_next, c, g->c_row, mr, nr, first});
        } else {
            const bool direct = p->direct && mr == p->rows;
            KFN(tile)(&(tile){kc, direct ? a_at(p, i0 + i, k0) : (const real *)(const void *)a, direct ? g->a_row : 1,
                              direct ? g->a_col : MR, b, b_next, c, g->c_row, mr, nr, first, TILE_FULL});
        }
    }
}

/* One piece of c: mb rows from i0, jb columns from j0. */
static void piece(plan *p, int64_t i0, int64_t j0, char *a, char *b)
{
    const ul_gemm *g = p->g;
    const int64_t i1 = least(i0 + p->mb, g->m), j1 = least(j0 + p->jb, g->n);
    block_cursor cursor = {0, 0};
    for (int64_t k0 = 0; k0 < p->depth; k0 += p->kc) {
        const int64_t kc = least(p->kc, p->depth - k0), b_next = p->ready ? p->depth * LANES : kc * LANES;
        if (p->bf16)
            for (p->n_block = 0; p->n_block < kc / 32; p->n_block++)
                p->block_len[p->n_block] = block_next(g, &cursor, &p->block_k[p->n_block]);
        for (int64_t i = i0; i < i1; i += p->mc) {
            const int64_t mc = least(p->mc, i1 - i);
            pack_rows(p, i, mc, k0, kc, a);
            for (int64_t j = j0; j < j1; j += p->cols) {
                const int64_t nr = least(p->cols, g->n - j);
                char *panel = b + b_size(p) * (size_t)((j - j0) * kc);
                const char *from = panel;
                if (p->ready)
                    from = (const char *)g->b + b_size(p) * (size_t)(j * p->depth + k0 * LANES);
                else if (i == i0)
                    for (int64_t q = 0; q < nr; q += LANES)
                        pack_panel(p, j + q, k0, kc, panel + b_size(p) * (size_t)(q * kc));
                column(p, i, mc, k0, kc, a, from, b_next, j, nr);
            }
        }
    }
}

void KFN(gemm)(const ul_backend *be, const ul_gemm *g)
{
    if (g->m <= 0 || g->n <= 0) return;
    if (g->k <= 0) {
        for (int64_t i = 0; !g->add && i < g->m; i++)
            memset((real *)g->c + i * g->c_row, 0, (size_t)g->n * sizeof(real));
        return;
    }
    const plan p = make_plan(be, g);
    PARALLEL_FLOP(2 * g->m * g->n * g->k)
    {
        const uint64_t mode = float_mode(p.bf16);
        const int thread = omp_get_thread_num();
        plan mine = p;
        KFN(tiles_begin)(p.bf16);
        _Pragma("omp for schedule(dynamic, 1)")
        for (int64_t n = 0; n < p.n_i * p.n_j; n++)
            piece(&mine, n % p.n_i * p.mb, n / p.n_i * p.jb, ul_work_a(be, thread), ul_work_b(be, thread));
        KFN(tiles_end)(p.bf16);
        float_mode_back(mode);
    }
}
