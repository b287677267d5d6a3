/* probe_disturb.c - attacks that damage the weights a little and ask again. What is absent only gets worse;
 * what a thin layer of suppression covers can rise (arXiv 2412.01784). One-sided.
 *
 *   W7  W += sigma * std(W) * N(0, 1), every matrix;   W8  the smallest |w| of every linear layer become 0 */
#include "audit/battery.h"
#include <math.h>

static double get(const ul_weight *w, size_t esize, int64_t i)
{
    return esize == 8 ? ((const double *)w->p)[i] : (double)((const float *)w->p)[i];
}

static void set(const ul_weight *w, size_t esize, int64_t i, double x)
{
    if (esize == 8)
        ((double *)w->p)[i] = x;
    else
        ((float *)w->p)[i] = (float)x;
}

static double spread(const ul_weight *w, size_t esize)
{
    const int64_t n = w->rows * w->cols;
    double sum = 0, squares = 0;
    for (int64_t i = 0; i < n; i++) sum += get(w, esize, i);
    for (int64_t i = 0; i < n; i++)
        squares += (get(w, esize, i) - sum / (double)n) * (get(w, esize, i) - sum / (double)n);
    return sqrt(squares / (double)(n > 1 ? n - 1 : 1));
}

void ul_model_noise(ul_model *m, double sigma, uint64_t seed)
{
    const size_t esize = ul_model_backend(m)->k->esize;
    ul_weight *w;
    const int n = ul_model_weights(m, &w);
    for (int k = 0; k < n; k++) {
        if (w[k].is_norm || w[k].is_bias || (w[k].is_head && w[k].is_embedding && k > 0 && w[k].p == w[0].p)) continue;
        const double s = sigma * spread(&w[k], esize);
        for (int64_t i = 0; i < w[k].rows * w[k].cols; i++)
            set(&w[k], esize, i,
                get(&w[k], esize, i) + s * ul_rng_normal(seed, UL_STREAM_NOISE, (uint64_t)k, (uint64_t)i));
    }
}

ul_status ul_probe_noise(const ul_probing *p, const ul_probe *probe, ul_probed *out)
{
    UL_TRY(ul_model_copy_weights(p->audit->ctx, p->model, p->work));
    ul_model_noise(p->work, probe->strength, p->audit->seed);
    return ul_probe_measure(p, p->work, out);
}

static ul_status prune(ul_arena *scratch, const ul_weight *w, size_t esize, double share)
{
    const int64_t n = w->rows * w->cols;
    double *size = UL_NEW(scratch, double, n);
    UL_NEED(size);
    for (int64_t i = 0; i < n; i++) size[i] = fabs(get(w, esize, i));
    ul_sort(size, n);
    const double least = ul_quantile(size, n, share);
    for (int64_t i = 0; i < n; i++)
        if (fabs(get(w, esize, i)) < least) set(w, esize, i, 0);
    return UL_OK;
}

ul_status ul_probe_prune(const ul_probing *p, const ul_probe *probe, ul_probed *out)
{
    const size_t esize = ul_model_backend(p->work)->k->esize;
    ul_arena *scratch;
    ul_weight *w;
    UL_TRY(ul_model_copy_weights(p->audit->ctx, p->model, p->work));
    UL_TRY(ul_arena_new(p->audit->ctx, "prune", &scratch));
    const int n = ul_model_weights(p->work, &w);
    ul_status s = UL_OK;
    for (int i = 0; i < n && s == UL_OK; i++)
        if (!w[i].is_norm && !w[i].is_bias && !w[i].is_embedding && !w[i].is_head)
            s = prune(scratch, &w[i], esize, probe->strength);
    ul_arena_free(scratch);
    UL_TRY(s);
    return ul_probe_measure(p, p->work, out);
}
