/* bench_blas.c - the yardstick: cblas_sgemm of OpenBLAS, found at run time so that the program needs no BLAS and starts
 * fast, and our own product on the same arrays.
 *
 *   forward  y = x W^T      dx = dy W      dW += dy^T x */
#include "cli/bench.h"
#include <dlfcn.h>
#include <string.h>
#include <time.h>

enum { ROW_MAJOR = 101, NO_TRANS = 111, TRANS = 112 }; /* cblas.h */
#define SHORT 2e-3                                     /* seconds; shorter calls are made several times */
struct ul_blas {
    void (*sgemm)(int order, int ta, int tb, int m, int n, int k, float alpha, const float *a, int lda, const float *b,
                  int ldb, float beta, float *c, int ldc);
    void (*sgemv)(int order, int ta, int m, int n, float alpha, const float *a, int lda, const float *x, int incx,
                  float beta, float *y, int incy);
    void (*set_threads)(int n);
    char *(*core)(void);
};

static void close_library(void *handle)
{
    dlclose(handle);
}

ul_status ul_blas_open(ul_bench *b)
{
    void *h = dlopen("libopenblas.so.0", RTLD_NOW | RTLD_LOCAL);
    if (!h) return UL_OK;
    UL_TRY(ul_arena_defer(b->cli->arena, close_library, h));
    ul_blas *l = UL_NEW(b->cli->arena, ul_blas, 1);
    UL_NEED(l);
    /* POSIX: an object pointer from dlsym may be stored as a function's through its bytes */
    void *f[] = {dlsym(h, "cblas_sgemm"), dlsym(h, "openblas_set_num_threads"), dlsym(h, "openblas_get_corename"),
                 dlsym(h, "cblas_sgemv")};
    memcpy(&l->sgemm, &f[0], sizeof f[0]);
    memcpy(&l->set_threads, &f[1], sizeof f[1]);
    memcpy(&l->core, &f[2], sizeof f[2]);
    memcpy(&l->sgemv, &f[3], sizeof f[3]);
    if (!l->sgemv || !l->sgemm || !l->set_threads || !l->core) return UL_OK;
    l->set_threads(b->be->threads);
    b->blas = l;
    return UL_OK;
}

const char *ul_blas_core(const ul_blas *blas)
{
    return blas->core();
}

static int64_t most(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static float *numbers(ul_arena *arena, int64_t n)
{
    float *x = ul_alloc_raw(arena, (size_t)n, sizeof *x);
    for (int64_t i = 0; x && i < n; i++) x[i] = (float)((i * 2654435761u) >> 8 & 0xffff) / 65536 - 0.5f;
    return x;
}

ul_status ul_bench_arrays_new(ul_bench *b, const ul_bench_layer *l, int n, ul_bench_arrays *out)
{
    int64_t x = 0, w = 0, y = 0;
    for (int i = 0; i < n; i++) {
        x = most(x, l[i].tokens * l[i].in);
        w = most(w, l[i].in * l[i].out);
        y = most(y, l[i].tokens * l[i].out);
    }
    UL_NEED(out->x = numbers(b->arena, x));
    UL_NEED(out->w = numbers(b->arena, w));
    UL_NEED(out->y = numbers(b->arena, y));
    UL_NEED(out->c = ul_alloc(b->arena, (size_t)most(most(x, w), y), sizeof *out->c));
    return UL_OK;
}

static void sgemm(const ul_blas *blas, const ul_gemm *g)
{
    const bool ta = g->a_col != 1, tb = g->b_col != 1;
    blas->sgemm(ROW_MAJOR, ta ? TRANS : NO_TRANS, tb ? TRANS : NO_TRANS, (int)g->m, (int)g->n, (int)g->k, 1, g->a,
                (int)(ta ? g->a_col : g->a_row), g->b, (int)(tb ? g->b_col : g->b_row), g->add ? 1 : 0, g->c,
                (int)g->c_row);
}

static double once(const ul_bench *b, const ul_gemm *g, bool blas)
{
    const int64_t start = ul_bench_clock(b);
    if (blas)
        sgemm(b->blas, g);
    else
        b->be->k->gemm(b->be, g);
    return ul_bench_since(b, start);
}

double ul_bench_product(const ul_bench *b, const ul_bench_layer *l, int which, const ul_bench_arrays *a, bool blas)
{
    const int64_t t = l->tokens, in = l->in, out = l->out;
    const ul_gemm all[3] = {{t, out, in, a->x, in, 1, a->w, 1, in, a->c, out, false, NULL, 0},
                            {t, in, out, a->y, out, 1, a->w, in, 1, a->c, in, false, NULL, 0},
                            {out, in, t, a->y, 1, out, a->x, in, 1, a->c, in, true, NULL, 0}};
    if (which == 2) memset(a->c, 0, (size_t)(out * in) * sizeof *a->c); /* sums must not grow into infinity */
    double spent = once(b, &all[which], blas);
    if (spent >= SHORT) return spent;
    int n = 0; /* a short one: that was its warm-up */
    for (spent = 0; n < 64 && spent < SHORT; n++) spent += once(b, &all[which], blas);
    return spent / n;
}

void ul_bench_settle(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 40000000}, NULL);
}

double ul_bench_memory(const ul_bench *b, const float *x, int64_t n)
{
    enum { COLUMNS = 4096, ROWS = 16384 };
    float row[COLUMNS], column[ROWS];
    const int64_t rows = n / COLUMNS < ROWS ? n / COLUMNS : ROWS;
    double best = 0;
    for (int i = 0; i < COLUMNS; i++) row[i] = 1;
    for (int i = 0; i < 9; i++) {
        if (i % 3 == 2 && !b->blas) continue;
        const int64_t start = ul_bench_clock(b);
        if (i % 3 == 0) b->be->k->sum_squares(b->be, rows * COLUMNS, x);
        if (i % 3 == 1) b->be->k->first_bad(b->be, rows * COLUMNS, x);
        if (i % 3 == 2) b->blas->sgemv(ROW_MAJOR, NO_TRANS, (int)rows, COLUMNS, 1, x, COLUMNS, row, 1, 0, column, 1);
        const double speed = (double)(rows * COLUMNS) * sizeof *x / ul_bench_since(b, start);
        if (speed > best) best = speed;
    }
    return best;
}

double ul_bench_layers_flop(const ul_bench_layer *l, int n)
{
    double sum = 0;
    for (int i = 0; i < n; i++) sum += 3 * 2 * l[i].count * (double)l[i].tokens * (double)l[i].in * (double)l[i].out;
    return sum;
}

double ul_bench_sgemm(const ul_bench *b, const ul_bench_layer *l, int n, const ul_bench_arrays *a)
{
    double seconds = 0;
    ul_bench_settle();
    ul_bench_product(b, l, 0, a, true);
    for (int i = 0; i < n; i++)
        for (int which = 0; which < 3; which++) seconds += l[i].count * ul_bench_product(b, &l[i], which, a, true);
    ul_bench_settle();
    return ul_bench_layers_flop(l, n) / seconds * 1e-9;
}
