/* resample.c - the cluster bootstrap (Efron 1979; Davison and Hinkley 1997, section 3.8): entities are drawn with
 * replacement, their rows move together. Draws are a pure function of (seed, group, replicate, position), so that two
 * statistics of one draw are paired wherever they are computed. */
#include "stat/stat.h"
#include <math.h>
#include <stdlib.h>

typedef struct {
    int64_t label, row;
} labelled;

static int by_label(const void *pa, const void *pb)
{
    const labelled *a = pa, *b = pb;
    if (a->label != b->label) return a->label < b->label ? -1 : 1;
    return (a->row > b->row) - (a->row < b->row);
}

static int by_row(const void *pa, const void *pb)
{
    const labelled *a = pa, *b = pb;
    return (a->row > b->row) - (a->row < b->row);
}

ul_status ul_clusters_init(ul_arena *a, const int64_t *entity, int64_t n_row, ul_clusters *out)
{
    int64_t *first = UL_NEW(a, int64_t, n_row + 1), *row = UL_NEW(a, int64_t, n_row);
    labelled *sorted = UL_NEW(a, labelled, n_row);
    labelled *start = UL_NEW(a, labelled, n_row); /* label: place in `sorted`; row: the cluster's first row */
    UL_NEED(first);
    UL_NEED(row);
    UL_NEED(sorted);
    UL_NEED(start);
    for (int64_t i = 0; i < n_row; i++) sorted[i] = (labelled){entity ? entity[i] : i, i};
    if (n_row > 1) qsort(sorted, (size_t)n_row, sizeof *sorted, by_label);
    int64_t n = 0;
    for (int64_t i = 0; i < n_row; i++) {
        if (i == 0 || sorted[i].label != sorted[i - 1].label) start[n++] = (labelled){i, sorted[i].row};
    }
    if (n > 1) qsort(start, (size_t)n, sizeof *start, by_row);
    int64_t filled = 0;
    for (int64_t c = 0; c < n; c++) {
        first[c] = filled;
        const int64_t label = sorted[start[c].label].label;
        for (int64_t i = start[c].label; i < n_row && sorted[i].label == label; i++) row[filled++] = sorted[i].row;
    }
    first[n] = filled;
    *out = (ul_clusters){n, n_row, first, row};
    return UL_OK;
}

void ul_resample(uint64_t seed, uint32_t group, uint32_t rep, int64_t n, int64_t *draw)
{
    const uint64_t step = (uint64_t)group << 32 | rep;
    for (int64_t i = 0; i < n; i++) {
        draw[i] = (int64_t)ul_rng_below(seed, UL_STREAM_BOOTSTRAP, step, (uint64_t)i, (uint64_t)n);
    }
}

void ul_means_of_draw(const ul_clusters *c, const double *const *column, int n_col, const int64_t *draw, double *mean)
{
    int64_t n_row = 0;
    for (int64_t i = 0; i < c->n_cluster; i++) n_row += c->first[draw[i] + 1] - c->first[draw[i]];
    for (int k = 0; k < n_col; k++) {
        double sum = 0;
        for (int64_t i = 0; i < c->n_cluster; i++) {
            for (int64_t r = c->first[draw[i]]; r < c->first[draw[i] + 1]; r++) sum += column[k][c->row[r]];
        }
        mean[k] = n_row ? sum / (double)n_row : NAN;
    }
}

ul_status ul_bootstrap_means(ul_arena *scratch, const ul_clusters *c, const double *const *column, int n_col,
                             uint64_t seed, uint32_t group, uint32_t n_rep, double *out)
{
    const ul_mark mark = ul_arena_mark(scratch);
    int64_t *draw = UL_NEW(scratch, int64_t, c->n_cluster);
    UL_NEED(draw);
    for (uint32_t rep = 0; rep < n_rep; rep++) {
        ul_resample(seed, group, rep, c->n_cluster, draw);
        ul_means_of_draw(c, column, n_col, draw, out + (int64_t)rep * n_col);
    }
    ul_arena_rewind(scratch, mark);
    return UL_OK;
}

ul_interval ul_interval_percentile(double *replicate, int64_t n, double level)
{
    ul_sort(replicate, n);
    int64_t used = n;
    while (used > 0 && isnan(replicate[used - 1])) used--;
    const double tail = (1 - level) / 2;
    return (ul_interval){ul_quantile(replicate, used, tail), ul_quantile(replicate, used, 1 - tail), used, n - used};
}
