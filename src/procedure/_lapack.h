/* _lapack.h - dense linear algebra of procedures: LAPACK in double, held to one thread. Matrices are row-major. */
#ifndef UL_PROCEDURE_LAPACK_H
#define UL_PROCEDURE_LAPACK_H
#include "base/base.h"

/* The q largest singular triplets of g [m, n]: u [m, q], s [q] falling, v [n, q]. Exact where the smaller side is at
 * most `exact`; else randomised (Halko, Martinsson and Tropp 2011, algorithm 4.4): a Gaussian sketch of q + 10 columns,
 * a function of the seed, and `power` subspace iterations. q is at most the smaller side. */
ul_status ul_svd_top(ul_arena *scratch, const double *g, int64_t m, int64_t n, int64_t q, int64_t exact, int power,
                     uint64_t seed, double *u, double *s, double *v) UL_MUST;
/* The k eigenvectors of the symmetric a [n, n] with the largest eigenvalues, as columns of v [n, k], largest first;
 * a is overwritten. */
ul_status ul_eigen_top(ul_arena *scratch, double *a, int64_t n, int64_t k, double *v) UL_MUST;
/* All eigenvectors of the symmetric a [n, n], as its columns then, and the eigenvalues, rising. */
ul_status ul_eigen_all(ul_ctx *ctx, double *a, int64_t n, double *value) UL_MUST;
/* Cholesky: a [n, n] symmetric positive definite becomes its factor; x [m, n] <- x a^-1 by it, as often as wanted. */
ul_status ul_cholesky(ul_ctx *ctx, const char *what, int64_t n, double *a) UL_MUST;
ul_status ul_cholesky_solve(ul_ctx *ctx, const char *what, int64_t m, int64_t n, const double *factor,
                            double *x) UL_MUST;
/* x [n, m] <- a^-1 x for any a [n, n], which is overwritten (LU). */
ul_status ul_solve_lu(ul_ctx *ctx, const char *what, int64_t n, int64_t m, double *a, double *x) UL_MUST;
/* c [m, n] = a [m, k] b [k, n]; ta, tb: the operand stands transposed, [k, m] or [n, k]. */
void ul_product(bool ta, bool tb, int64_t m, int64_t n, int64_t k, const double *a, const double *b, double *c);
/* x [m, n] <- s^-1 x a^-1, for symmetric positive definite s [m, m] and a [n, n], which are overwritten;
 * NULL: identity. */
ul_status ul_solve_sides(ul_ctx *ctx, const char *what, int64_t m, int64_t n, double *s, double *a, double *x) UL_MUST;
/* x [m, n] <- x - p d p^T x for columns p [m, q] and d [q]; right: x <- x - x p d p^T, p [n, q]. d NULL: all 1. */
ul_status ul_remove_left(ul_arena *scratch, int64_t m, int64_t n, int64_t q, const double *p, const double *d,
                         double *x) UL_MUST;
ul_status ul_remove_right(ul_arena *scratch, int64_t m, int64_t n, int64_t q, const double *p, const double *d,
                          double *x) UL_MUST;
#endif
