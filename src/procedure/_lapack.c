/* _lapack.c - dense linear algebra of procedures, by LAPACKE and CBLAS (OpenBLAS), one thread:
 * its sums are split by threads, so only one thread's bits can be had again, on one kind of machine. */
#include "procedure/_lapack.h"
#include <cblas.h>
#include <lapacke.h>
#include <string.h>

static ul_status failed(ul_ctx *ctx, const char *what, const char *routine, lapack_int info)
{
    return ul_fail(ctx, UL_E_CRITERION, "%s: LAPACK's %s returned %d: the matrix is not what it must be (not finite, "
                   "or singular; more damping helps the latter)", what, routine, (int)info);
}

static void product(bool ta, bool tb, int64_t m, int64_t n, int64_t k, double alpha, const double *a, const double *b,
                    double beta, double *c)
{
    cblas_dgemm(CblasRowMajor, ta ? CblasTrans : CblasNoTrans, tb ? CblasTrans : CblasNoTrans, (int)m, (int)n, (int)k,
                alpha, a, (int)(ta ? m : k), b, (int)(tb ? k : n), beta, c, (int)n);
}

/* ---- singular values --------------------------------------------------------------------------------------------- */
/* All triplets of a [m, n] (overwritten): u [m, r], s [r], vt [r, n], r = min(m, n). */
static ul_status svd(ul_ctx *ctx, double *a, int64_t m, int64_t n, double *u, double *s, double *vt)
{
    const int64_t r = m < n ? m : n;
    const lapack_int info = LAPACKE_dgesdd(LAPACK_ROW_MAJOR, 'S', (int)m, (int)n, a, (int)n, s, u, (int)r, vt, (int)n);
    return info ? failed(ctx, "singular values", "dgesdd", info) : UL_OK;
}

/* Columns of y [m, k] become orthonormal. */
static ul_status orthonormal(ul_arena *scratch, double *y, int64_t m, int64_t k)
{
    double *tau = UL_NEW(scratch, double, k);
    UL_NEED(tau);
    lapack_int info = LAPACKE_dgeqrf(LAPACK_ROW_MAJOR, (int)m, (int)k, y, (int)k, tau);
    if (!info) info = LAPACKE_dorgqr(LAPACK_ROW_MAJOR, (int)m, (int)k, (int)k, y, (int)k, tau);
    return info ? failed(ul_arena_ctx(scratch), "singular values", "dgeqrf", info) : UL_OK;
}

/* An orthonormal basis y [m, k] of nearly the range of g. */
static ul_status sketch(ul_arena *scratch, const double *g, int64_t m, int64_t n, int64_t k, int power, uint64_t seed,
                        double *y)
{
    double *z = UL_NEW(scratch, double, n * k);
    UL_NEED(z);
    for (int64_t i = 0; i < n * k; i++) z[i] = ul_rng_normal(seed, UL_STREAM_WEIGHTS, (uint64_t)1 << 40, (uint64_t)i);
    product(false, false, m, k, n, 1, g, z, 0, y);
    UL_TRY(orthonormal(scratch, y, m, k));
    for (int i = 0; i < power; i++) {
        product(true, false, n, k, m, 1, g, y, 0, z);
        UL_TRY(orthonormal(scratch, z, n, k));
        product(false, false, m, k, n, 1, g, z, 0, y);
        UL_TRY(orthonormal(scratch, y, m, k));
    }
    return UL_OK;
}

static ul_status svd_top(ul_arena *scratch, const double *g, int64_t m, int64_t n, int64_t q, int64_t exact, int power,
                         uint64_t seed, double *u, double *s, double *v)
{
    const int64_t least = m < n ? m : n, k = least <= exact || q + 10 >= least ? least : q + 10;
    const bool whole = k == least;
    const int64_t rows = whole ? m : k;
    double *y = whole ? NULL : UL_NEW(scratch, double, m * k), *b = UL_NEW(scratch, double, rows * n);
    double *ub = UL_NEW(scratch, double, rows *k), *sb = UL_NEW(scratch, double, k),
           *vt = UL_NEW(scratch, double, k *n);
    if ((!whole && !y) || !b || !ub || !sb || !vt) return UL_E_RESOURCE;
    if (whole) {
        memcpy(b, g, (size_t)(m * n) * sizeof *b);
    } else {
        UL_TRY(sketch(scratch, g, m, n, k, power, seed, y));
        product(true, false, k, n, m, 1, y, g, 0, b);
    }
    UL_TRY(svd(ul_arena_ctx(scratch), b, rows, n, ub, sb, vt));
    const double *left = ub;
    if (!whole) {
        double *full = UL_NEW(scratch, double, m * k);
        UL_NEED(full);
        product(false, false, m, k, k, 1, y, ub, 0, full);
        left = full;
    }
    for (int64_t j = 0; j < q; j++) {
        s[j] = sb[j];
        for (int64_t i = 0; i < m; i++) u[i * q + j] = left[i * k + j];
        for (int64_t i = 0; i < n; i++) v[i * q + j] = vt[j * n + i];
    }
    return UL_OK;
}

ul_status ul_svd_top(ul_arena *scratch, const double *g, int64_t m, int64_t n, int64_t q, int64_t exact, int power,
                     uint64_t seed, double *u, double *s, double *v)
{
    const ul_mark mark = ul_arena_mark(scratch);
    openblas_set_num_threads(1);
    const ul_status status = svd_top(scratch, g, m, n, q, exact, power, seed, u, s, v);
    ul_arena_rewind(scratch, mark);
    return status;
}

/* ---- symmetric matrices ------------------------------------------------------------------------------------------ */
ul_status ul_eigen_all(ul_ctx *ctx, double *a, int64_t n, double *value)
{
    openblas_set_num_threads(1);
    const lapack_int info = LAPACKE_dsyevd(LAPACK_ROW_MAJOR, 'V', 'L', (int)n, a, (int)n, value);
    return info ? failed(ctx, "principal components", "dsyevd", info) : UL_OK;
}

ul_status ul_eigen_top(ul_arena *scratch, double *a, int64_t n, int64_t k, double *v)
{
    const ul_mark mark = ul_arena_mark(scratch);
    double *value = UL_NEW(scratch, double, n);
    UL_NEED(value);
    const ul_status status = ul_eigen_all(ul_arena_ctx(scratch), a, n, value);
    ul_arena_rewind(scratch, mark);
    UL_TRY(status);
    for (int64_t i = 0; i < n; i++) /* values rise */
        for (int64_t j = 0; j < k; j++) v[i * k + j] = a[i * n + n - 1 - j];
    return UL_OK;
}

ul_status ul_cholesky(ul_ctx *ctx, const char *what, int64_t n, double *a)
{
    openblas_set_num_threads(1);
    const lapack_int info = LAPACKE_dpotrf(LAPACK_COL_MAJOR, 'L', (int)n, a, (int)n);
    return info ? failed(ctx, what, "Cholesky factorisation", info) : UL_OK;
}

/* x a^-1, row-major, is a^-1 x^T, column-major, in the same memory. */
ul_status ul_cholesky_solve(ul_ctx *ctx, const char *what, int64_t m, int64_t n, const double *factor, double *x)
{
    openblas_set_num_threads(1);
    const lapack_int info = LAPACKE_dpotrs(LAPACK_COL_MAJOR, 'L', (int)n, (int)m, factor, (int)n, x, (int)n);
    return info ? failed(ctx, what, "Cholesky factorisation", info) : UL_OK;
}

ul_status ul_solve_sides(ul_ctx *ctx, const char *what, int64_t m, int64_t n, double *s, double *a, double *x)
{
    lapack_int info = 0;
    openblas_set_num_threads(1);
    if (s) {
        info = LAPACKE_dpotrf(LAPACK_ROW_MAJOR, 'L', (int)m, s, (int)m);
        if (!info) info = LAPACKE_dpotrs(LAPACK_ROW_MAJOR, 'L', (int)m, (int)n, s, (int)m, x, (int)n);
    }
    if (info) return failed(ctx, what, "Cholesky factorisation", info);
    if (!a) return UL_OK;
    UL_TRY(ul_cholesky(ctx, what, n, a));
    return ul_cholesky_solve(ctx, what, m, n, a, x);
}

ul_status ul_solve_lu(ul_ctx *ctx, const char *what, int64_t n, int64_t m, double *a, double *x)
{
    lapack_int *pivot = ul_ctx_alloc(ctx, NULL, (size_t)n * sizeof *pivot);
    if (!pivot) return ul_fail(ctx, UL_E_RESOURCE, "no memory for %lld pivots", (long long)n);
    openblas_set_num_threads(1);
    const lapack_int info = LAPACKE_dgesv(LAPACK_ROW_MAJOR, (int)n, (int)m, a, (int)n, pivot, x, (int)m);
    (void)ul_ctx_alloc(ctx, pivot, 0);
    return info ? failed(ctx, what, "dgesv", info) : UL_OK;
}

void ul_product(bool ta, bool tb, int64_t m, int64_t n, int64_t k, const double *a, const double *b, double *c)
{
    openblas_set_num_threads(1);
    product(ta, tb, m, n, k, 1, a, b, 0, c);
}

/* ---- removing directions ----------------------------------------------------------------------------------------- */
ul_status ul_remove_left(ul_arena *scratch, int64_t m, int64_t n, int64_t q, const double *p, const double *d,
                         double *x)
{
    const ul_mark mark = ul_arena_mark(scratch);
    double *t = UL_NEW(scratch, double, q * n);
    UL_NEED(t);
    openblas_set_num_threads(1);
    product(true, false, q, n, m, 1, p, x, 0, t);
    for (int64_t i = 0; d && i < q; i++)
        for (int64_t j = 0; j < n; j++) t[i * n + j] *= d[i];
    product(false, false, m, n, q, -1, p, t, 1, x);
    ul_arena_rewind(scratch, mark);
    return UL_OK;
}

ul_status ul_remove_right(ul_arena *scratch, int64_t m, int64_t n, int64_t q, const double *p, const double *d,
                          double *x)
{
    const ul_mark mark = ul_arena_mark(scratch);
    double *t = UL_NEW(scratch, double, m * q);
    UL_NEED(t);
    openblas_set_num_threads(1);
    product(false, false, m, q, n, 1, x, p, 0, t);
    for (int64_t i = 0; d && i < m; i++)
        for (int64_t j = 0; j < q; j++) t[i * q + j] *= d[j];
    product(false, true, m, n, q, -1, t, p, 1, x);
    ul_arena_rewind(scratch, mark);
    return UL_OK;
}
