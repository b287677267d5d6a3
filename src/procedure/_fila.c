/* _fila.c - FILA: where low-rank adapters start, so that what they move is what the forget set weighs most.
 *
 *   I = F_f / (F_r + 1e-5),  w_i = sqrt(sum_j I_ij),  U S V^T = the r largest triplets of diag(w) W
 *   A_0 = sqrt(S / s) V^T,  B_0 = diag(1 / w) U sqrt(S / s),  W <- W - s B_0 A_0       s: the adapter's scale
 *
 * F: diagonals of the empirical Fisher information over the forget rows, and over as many retain rows.
 * The function at the start is the one before. Cha et al. 2025, arXiv:2408.06621, section 3.3;
 * code: csm9493/efficient-llm-unlearning, TOFU/forget.py.
 * Traps: their F squares the gradient of a batch's mean, which is no Fisher information (Kim et al. 2025,
 * VILA, arXiv:2508.21300); here it is taken document by document. Their 1e-5 in 1 / w guards rows without
 * any information; such a row of B_0 is 0 here. The weights below the adapter are no longer the file's:
 * see ul_lora_start for what is written. */
#include "procedure/_lapack.h"
#include "procedure/procedure.h"
#include <math.h>
#include <string.h>

enum { EXACT = 1024, POWER = 4 };

/* The linear layers of the file that have an adapter, each by its first part: p, a and b are those of the whole. */
typedef struct {
    ul_weight *w;
    int64_t rows;
} layer;

static ul_status adapted(ul_work *w, layer **out, int *n, const char **spec)
{
    ul_weight *weight;
    const int n_weight = ul_model_weights(w->model, &weight);
    UL_NEED(*out = UL_NEW(w->arena, layer, n_weight));
    *n = 0, *spec = "";
    for (int i = 0; i < n_weight; i++) {
        if (weight[i].r <= 0) continue;
        layer *last = *n ? *out + *n - 1 : NULL;
        if (last && last->w->a == weight[i].a) {
            last->rows += weight[i].rows;
            continue;
        }
        (*out)[(*n)++] = (layer){.w = &weight[i], .rows = weight[i].rows};
        UL_NEED(*spec = ul_format(w->arena, "%s%s%s", *spec, **spec ? "," : "", weight[i].name));
    }
    return *n ? UL_OK
              : ul_fail(w->ctx, UL_E_USAGE, "%s: FILA starts adapters, and the model has none: give --lora", w->id);
}

/* [i][j] of F for the trainable whose array is p; NULL: it does not move. */
static const double *fisher_at(double *const *fisher, const ul_trainable *train, int n, const void *p)
{
    for (int i = 0; i < n; i++)
        if (train[i].p == p) return fisher[i];
    return NULL;
}

static ul_status start(ul_work *w, ul_arena *scratch, const layer *l, const double *forget, const double *retain)
{
    const ul_weight *x = l->w;
    const int64_t m = l->rows, n = x->cols, least = m < n ? m : n, q = x->r < least ? x->r : least;
    const size_t esize = ul_model_backend(w->model)->k->esize;
    double *g = UL_NEW(scratch, double, m * n), *row = UL_NEW(scratch, double, m), *u = UL_NEW(scratch, double, m * q),
           *s = UL_NEW(scratch, double, q), *v = UL_NEW(scratch, double, n * q);
    if (!g || !row || !u || !s || !v) return UL_E_RESOURCE;
    for (int64_t i = 0; i < m; i++) {
        for (int64_t j = 0; j < n; j++) row[i] += forget[i * n + j] / (retain[i * n + j] + 1e-5);
        row[i] = sqrt(row[i]);
        for (int64_t j = 0; j < n; j++) g[i * n + j] = row[i] * ul_real_at(x->p, i * n + j, esize);
    }
    UL_TRY(ul_svd_top(scratch, g, m, n, q, EXACT, POWER, w->recipe->seed, u, s, v));
    for (int64_t c = 0; c < q; c++) {
        const double size = sqrt(s[c] / x->s);
        for (int64_t j = 0; j < n; j++) ul_real_put(x->a, c * n + j, esize, size * v[j * q + c]);
        for (int64_t i = 0; i < m; i++)
            ul_real_put(x->b, i * x->r + c, esize, row[i] > 0 ? size * u[i * q + c] / row[i] : 0);
    }
    return UL_OK;
}

ul_status ul_fila(ul_work *w)
{
    layer *at;
    const char *spec;
    ul_trainable *train;
    ul_arena *scratch;
    double **forget, **retain;
    int n;
    UL_TRY(adapted(w, &at, &n, &spec));
    UL_TRY(ul_model_select(w->ctx, w->model, spec));
    UL_TRY(ul_fisher_new(w, w->forget, 0, &forget));
    UL_TRY(ul_fisher_new(w, w->retain, w->forget->n, &retain));
    const int n_train = ul_model_trainables(w->model, &train);
    UL_TRY(ul_arena_new(w->ctx, "fila", &scratch));
    ul_status status = UL_OK;
    for (int i = 0; i < n && status == UL_OK; i++) {
        const double *f = fisher_at(forget, train, n_train, at[i].w->p),
                     *r = fisher_at(retain, train, n_train, at[i].w->p);
        status = f && r
                     ? start(w, scratch, &at[i], f, r)
                     : ul_fail(w->ctx, UL_E_INTERNAL, "%s: has an adapter, but no gradient of its own", at[i].w->name);
        ul_arena_reset(scratch);
    }
    ul_arena_free(scratch);
    UL_TRY(status);
    UL_TRY(ul_lora_start(w->ctx, w->model));
    return ul_model_select(w->ctx, w->model, "lora");
}
