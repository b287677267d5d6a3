/* _components.c - principal components of layers' inputs and output gradients, from their second moments.
 *
 *   mean = sum / n,   covariance = second moments / n - mean mean^T,   its k first eigenvectors
 *
 * The matrices are as wide as the layers; for layers too wide for that a subspace iteration would take their place. */
#include "procedure/_components.h"
#include "procedure/_lapack.h"

ul_component *ul_component_of(const ul_components *c, const ul_weight *w)
{
    for (int i = 0; i < c->n; i++)
        if (c->at[i].w == w) return &c->at[i];
    return NULL;
}

static ul_status find(ul_arena *arena, ul_arena *scratch, const void *moments, const double *sum, int64_t n,
                      int64_t width, size_t esize, int64_t *k, double **mean, double **p)
{
    double *m = UL_NEW(scratch, double, width * width);
    const int64_t most = width / 8 > 0 ? width / 8 : 1;
    if (*k > most) *k = most;
    UL_NEED(m);
    UL_NEED(*mean = UL_NEW(arena, double, width));
    UL_NEED(*p = UL_NEW(arena, double, width * *k));
    for (int64_t i = 0; i < width; i++) (*mean)[i] = sum[i] / (double)n;
    for (int64_t i = 0; i < width; i++)
        for (int64_t j = 0; j < width; j++)
            m[i * width + j] = ul_real_at(moments, i * width + j, esize) / (double)n - (*mean)[i] * (*mean)[j];
    return ul_eigen_top(scratch, m, width, *k, *p);
}

ul_status ul_components_from(ul_work *w, const ul_factors *f, const int64_t k[2], ul_components *out)
{
    const size_t esize = ul_model_backend(w->model)->k->esize;
    ul_arena *scratch;
    ul_status s = UL_OK;
    *out = (ul_components){.at = UL_NEW(w->arena, ul_component, f->n)};
    UL_NEED(out->at);
    UL_TRY(ul_arena_new(w->ctx, "components", &scratch));
    for (int i = 0; s == UL_OK && i < f->n; i++) {
        const ul_factor *at = &f->at[i];
        ul_component *c = &out->at[out->n++];
        *c = (ul_component){.w = at->w, .kx = k[0], .kd = k[1]};
        if (at->n < 2)
            s = ul_fail(w->ctx, UL_E_INPUT, "%s: %lld tokens give no components", at->w->name, (long long)at->n);
        if (s == UL_OK && at->xx)
            s = find(w->arena, scratch, at->xx, at->x_sum, at->n, at->w->cols, esize, &c->kx, &c->x_mean, &c->x);
        if (s == UL_OK && at->dd)
            s = find(w->arena, scratch, at->dd, at->d_sum, at->n, at->w->rows, esize, &c->kd, &c->d_mean, &c->d);
        ul_arena_reset(scratch);
    }
    ul_arena_free(scratch);
    return s;
}

ul_status ul_components_find(ul_work *w, const ul_docs *docs, unsigned what, const int64_t k[2], ul_components *out)
{
    ul_factors f;
    ul_arena *moments;
    UL_TRY(ul_arena_new(w->ctx, "moments", &moments));
    ul_status s = ul_factors_collect(w, moments, docs, what, &f);
    if (s == UL_OK) s = ul_components_from(w, &f, k, out);
    ul_arena_free(moments);
    return s;
}
