/* rows.c - moving and adding rows: biases, embeddings, residual sums, norms of whole tensors. */
#include "backend/kernel/kernel.h"
#include <string.h>

void KFN(fill_rows)(const ul_backend *be, int64_t n, int64_t c, const void *row, void *y_)
{
    real *y = y_;
    PARALLEL_WORK(n * c)
    for (int64_t i = 0; i < n; i++)
        if (row)
            memcpy(y + i * c, row, (size_t)c * sizeof(real));
        else
            memset(y + i * c, 0, (size_t)c * sizeof(real));
}

void KFN(col_sum)(const ul_backend *be, int64_t n, int64_t c, const void *dy_, void *db_)
{
    const real *dy = dy_;
    real *db = db_;
    const int64_t w = columns_each(be, c);
    PARALLEL_WORK(n * c)
    for (int64_t lo = 0; lo < c; lo += w) {
        const int64_t hi = least(lo + w, c);
        for (int64_t i = 0; i < n; i++)
            for (int64_t j = lo; j < hi; j++) db[j] += dy[i * c + j];
    }
}

void KFN(add)(const ul_backend *be, int64_t n, const void *a_, const void *b_, void *y_)
{
    const real *a = a_, *b = b_;
    real *y = y_;
    PARALLEL_WORK(n)
    for (int64_t i = 0; i < n; i++) y[i] = a[i] + b[i];
}

void KFN(copy)(const ul_backend *be, int64_t n, const void *x_, void *y_, bool add)
{
    const real *x = x_;
    real *y = y_;
    PARALLEL_WORK(n)
    for (int64_t i = 0; i < n; i++) y[i] = add ? y[i] + x[i] : x[i];
}

void KFN(scale)(const ul_backend *be, int64_t n, double s_, void *x_)
{
    const real s = (real)s_;
    real *x = x_;
    PARALLEL_WORK(n)
    for (int64_t i = 0; i < n; i++) x[i] *= s;
}

void KFN(axpy)(const ul_backend *be, int64_t n, double s_, const void *x_, void *y_)
{
    const real s = (real)s_, *x = x_;
    real *y = y_;
    PARALLEL_WORK(n)
    for (int64_t i = 0; i < n; i++) y[i] = FMA(s, x[i], y[i]);
}

void KFN(gather)(const ul_backend *be, int64_t n, int64_t c, const int32_t *index, const void *table_, void *y_,
                 bool add)
{
    const real *table = table_;
    real *y = y_;
    PARALLEL_WORK(n * c)
    for (int64_t i = 0; i < n; i++) {
        const real *row = table + index[i] * c;
        for (int64_t j = 0; j < c; j++) y[i * c + j] = add ? y[i * c + j] + row[j] : row[j];
    }
}
/* Two tokens may be the same word: the rows of one column are a chain. */
void KFN(scatter)(const ul_backend *be, int64_t n, int64_t c, const int32_t *index, int32_t but, const void *dy_,
                  void *dtable_)
{
    const real *dy = dy_;
    real *dtable = dtable_;
    const int64_t w = columns_each(be, c);
    PARALLEL_WORK(n * c)
    for (int64_t lo = 0; lo < c; lo += w) {
        const int64_t hi = least(lo + w, c);
        for (int64_t i = 0; i < n; i++) {
            real *row = dtable + index[i] * c;
            if (index[i] == but) continue;
            for (int64_t j = lo; j < hi; j++) row[j] += dy[i * c + j];
        }
    }
}

enum { BLOCK = 4096 };

/* 16 double lanes of products, element i to lane i mod 16, and lane_sum's tree. */
static double block_dot(int64_t n, const real *x, const real *y)
{
    double l[LANES] = {0};
    FOR_LANES(i, j, n, l[j] += (double)x[i] * (double)y[i]);
    for (int h = LANES / 2; h; h /= 2)
        for (int j = 0; j < h; j++) l[j] += l[j + h];
    return l[0];
}

double KFN(dot)(const ul_backend *be, int64_t n, const void *x_, const void *y_)
{
    enum { AT_ONCE = 512 };
    const real *x = x_, *y = y_;
    double sum = 0, part[AT_ONCE];
    for (int64_t first = 0; first < n; first += (int64_t)AT_ONCE * BLOCK) {
        const int64_t left = n - first, blocks = least((left + BLOCK - 1) / BLOCK, AT_ONCE);
        PARALLEL_WORK(left)
        for (int64_t b = 0; b < blocks; b++)
            part[b] = block_dot(least(left - b * BLOCK, BLOCK), x + first + b * BLOCK, y + first + b * BLOCK);
        for (int64_t b = 0; b < blocks; b++) sum += part[b];
    }
    return sum;
}

double KFN(sum_squares)(const ul_backend *be, int64_t n, const void *x) { return KFN(dot)(be, n, x, x); }

static bool is_bad(real x) { return !(FABS(x) < (real)__builtin_inf()); }

int64_t KFN(first_bad)(const ul_backend *be, int64_t n, const void *x_)
{
    const real *x = x_;
    int64_t first = n;
    UL_PRAGMA(omp parallel for schedule(static) num_threads(be->threads) reduction(min : first) if (n >= 16384))
    for (int64_t lo = 0; lo < n; lo += BLOCK) {
        const int64_t hi = least(lo + BLOCK, n);
        int any = 0;
        for (int64_t i = lo; i < hi; i++) any |= is_bad(x[i]);
        for (int64_t i = lo; any && i < hi && i < first; i++)
            if (is_bad(x[i])) first = i;
    }
    return first < n ? first : -1;
}
