/* _interval.c - how sure is a result? Percentile intervals by the entity-clustered bootstrap. */
#include "metric/metric_impl.h"
#include <math.h>

/* The values of the rows of the drawn clusters; returns how many. */
static int64_t drawn(const ul_clusters *c, const int64_t *draw, const double *value, double *out)
{
    int64_t n = 0;
    for (int64_t i = 0; i < c->n_cluster; i++) {
        for (int64_t r = c->first[draw[i]]; r < c->first[draw[i] + 1]; r++) out[n++] = value[c->row[r]];
    }
    return n;
}

/* The rows of the drawn clusters can be more than there are rows: n_cluster times the largest one. */
static int64_t most_rows(const ul_clusters *c)
{
    int64_t most = 0;
    for (int64_t i = 0; i < c->n_cluster; i++) {
        if (c->first[i + 1] - c->first[i] > most) most = c->first[i + 1] - c->first[i];
    }
    return most * c->n_cluster;
}

/* AUC of part 1 over part 0, each side's entities drawn on their own. */
static ul_status auc_replicates(ul_arena *a, const ul_result *r, uint32_t group, const ul_resampling *how, double *out)
{
    ul_clusters c[2];
    int64_t *draw[2];
    double *x[2];
    for (int k = 0; k < 2; k++) {
        UL_TRY(ul_clusters_init(a, r->part[k].rows.entity, r->part[k].rows.n_row, &c[k]));
        draw[k] = UL_NEW(a, int64_t, c[k].n_cluster);
        x[k] = UL_NEW(a, double, most_rows(&c[k]));
        UL_NEED(draw[k]);
        UL_NEED(x[k]);
    }
    for (uint32_t rep = 0; rep < how->n_rep; rep++) {
        int64_t n[2];
        for (uint32_t k = 0; k < 2; k++) {
            ul_resample(how->seed, group + k, rep, c[k].n_cluster, draw[k]);
            n[k] = drawn(&c[k], draw[k], r->part[k].value, x[k]);
        }
        out[rep] = ul_auc(x[1], n[1], x[0], n[0]);
    }
    return UL_OK;
}

ul_status ul_result_interval(ul_arena *a, const ul_result *r, uint32_t group, const ul_resampling *how,
                             ul_interval *out)
{
    const ul_mark mark = ul_arena_mark(a);
    if (r->absent || r->n_part == 0) {
        return ul_fail(ul_arena_ctx(a), UL_E_USAGE, "this result has no rows: no interval can be computed from it");
    }
    double *replicate = UL_NEW(a, double, how->n_rep);
    UL_NEED(replicate);
    if (r->n_part == 2) {
        UL_TRY(auc_replicates(a, r, group, how, replicate));
    } else {
        ul_clusters c;
        const double *const column[1] = {r->part[0].value};
        UL_TRY(ul_clusters_init(a, r->part[0].rows.entity, r->part[0].rows.n_row, &c));
        UL_TRY(ul_bootstrap_means(a, &c, column, 1, how->seed, group, how->n_rep, replicate));
    }
    *out = ul_interval_percentile(replicate, how->n_rep, how->level);
    ul_arena_rewind(a, mark);
    return UL_OK;
}

ul_status ul_harmonic_interval(ul_arena *a, const ul_result *const *result, const uint32_t *group, int n,
                               const ul_resampling *how, ul_interval *out)
{
    const ul_mark mark = ul_arena_mark(a);
    double *mean = UL_NEW(a, double, how->n_rep), *means = UL_NEW(a, double, (int64_t)n * how->n_rep);
    UL_NEED(mean);
    UL_NEED(means);
    for (int i = 0; i < n; i++) {
        if (result[i]->absent || result[i]->n_part != 1) {
            return ul_fail(ul_arena_ctx(a), UL_E_USAGE, "result %d of %d is no mean over rows", i + 1, n);
        }
        ul_clusters c;
        const ul_part *part = &result[i]->part[0];
        const double *const column[1] = {part->value};
        UL_TRY(ul_clusters_init(a, part->rows.entity, part->rows.n_row, &c));
        UL_TRY(ul_bootstrap_means(a, &c, column, 1, how->seed, group[i], how->n_rep, mean));
        for (uint32_t rep = 0; rep < how->n_rep; rep++) means[(int64_t)rep * n + i] = mean[rep];
    }
    for (uint32_t rep = 0; rep < how->n_rep; rep++) mean[rep] = ul_harmonic_mean(means + (int64_t)rep * n, n);
    *out = ul_interval_percentile(mean, how->n_rep, how->level);
    ul_arena_rewind(a, mark);
    return UL_OK;
}
