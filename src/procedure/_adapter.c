/* _adapter.c - the change that a procedure made to whole weights, as a low-rank adapter of the model before.
 *
 *   W - W_0 ~ s B A,   B = U_r sqrt(S_r) / s,  A = sqrt(S_r) V_r^T        (U S V^T its singular value decomposition)
 *
 * the best approximation of rank r in the Frobenius norm (Eckart and Young 1936). Editing, Fisher information, noise
 * and their like have no gradient of an adapter to follow; what they found is fitted to one. Exact where the change has
 * a rank of r or less (rome: 1 a fact); what is lost is told. Changes of weights without an adapter (norms, embedding,
 * head) are lost whole. */
#include "procedure/_lapack.h"
#include "procedure/procedure.h"
#include <math.h>
#include <string.h>

enum { EXACT = 1024, POWER = 3 }; /* smaller sides up to EXACT: a full decomposition */

/* change [rows, cols] of parts w[0 .. n - 1] that share A (parts of a stacked tensor), which all have r and s. */
static void change_of(const ul_weight *w, const ul_weight *changed, int n, size_t esize, double *change)
{
    for (int k = 0; k < n; k++)
        for (int64_t i = 0; i < w[k].rows * w[k].cols; i++)
            *change++ = ul_real_at(changed[k].p, i, esize) - ul_real_at(w[k].p, i, esize);
}

static double squares(const double *x, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += x[i] * x[i];
    return sum;
}

/* The adapter of these parts; returns through *kept the square of what it holds of the change. */
static ul_status fit(ul_arena *scratch, ul_weight *w, int n, int64_t rows, const double *change, size_t esize,
                     uint64_t seed, double *kept)
{
    const int64_t cols = w->cols, least = rows < cols ? rows : cols, q = w->r < least ? w->r : least;
    double *u = UL_NEW(scratch, double, rows *q), *s = UL_NEW(scratch, double, q),
           *v = UL_NEW(scratch, double, cols *q);
    if (!u || !s || !v) return UL_E_RESOURCE;
    UL_TRY(ul_svd_top(scratch, change, rows, cols, q, EXACT, POWER, seed, u, s, v));
    for (int64_t c = 0; c < q; c++) {
        const double root = sqrt(s[c]);
        int64_t row = 0;
        for (int64_t j = 0; j < cols; j++) ul_real_put(w->a, c * cols + j, esize, root * v[j * q + c]);
        for (int k = 0; k < n; row += w[k++].rows)
            for (int64_t i = 0; i < w[k].rows; i++)
                ul_real_put(w[k].b, i * w->r + c, esize, root * u[(row + i) * q + c] / w->s);
        *kept += s[c] * s[c];
    }
    for (int64_t c = q; c < w->r; c++) /* B is zero there */
        for (int64_t j = 0; j < cols; j++) ul_real_put(w->a, c * cols + j, esize, 0);
    return UL_OK;
}

ul_status ul_work_adapter(ul_work *w, ul_model *adapted)
{
    const size_t esize = ul_model_backend(adapted)->k->esize;
    ul_weight *to, *from;
    ul_arena *scratch;
    double all = 0, reached = 0, kept = 0;
    const int n = ul_model_weights(adapted, &to);
    if (ul_model_weights(w->model, &from) != n)
        return ul_fail(w->ctx, UL_E_INTERNAL, "%s: the model before and the one after have not the same weights",
                       w->id);
    UL_TRY(ul_arena_new(w->ctx, "adapter of a change", &scratch));
    ul_status status = UL_OK;
    for (int i = 0, k; i < n && status == UL_OK; i += k) {
        int64_t rows = to[i].rows;
        for (k = 1; to[i].r && i + k < n && to[i + k].r && to[i + k].a == to[i].a; k++) rows += to[i + k].rows;
        ul_arena_reset(scratch);
        double *change = UL_NEW(scratch, double, rows * to[i].cols);
        if (!change) status = UL_E_RESOURCE;
        if (status != UL_OK) break;
        change_of(to + i, from + i, k, esize, change);
        const double square = squares(change, rows * to[i].cols);
        all += square;
        if (!to[i].r) continue;
        reached += square;
        status = fit(scratch, to + i, k, rows, change, esize, w->recipe->seed, &kept);
    }
    ul_arena_free(scratch);
    UL_TRY(status);
    if (!(all > 0))
        return ul_fail(w->ctx, UL_E_CRITERION, "%s changed no weight: there is nothing for an adapter to hold", w->id);
    return ul_buf_printf(
        w->report,
        "adapter: %.4g of the change (squared norm) lies in the weights that have one, and it holds %.4g of all\n",
        reached / all, kept / all);
}
