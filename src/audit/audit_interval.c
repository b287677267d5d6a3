/* audit_interval.c - the interval of every mean that a report prints of one model: entities resampled, one-sided
 * bounds at --alpha on either side, with the draws of the evidence (one set of people, one group of draws), so that
 * what is printed of a column and what is decided from it belong together. */
#include "audit/audit_data.h"
#include <math.h>

enum { FOLLOWED = 4, MOST = 3 * UL_MAX_PROBE + UL_MAX_DEPTH + FOLLOWED * UL_MAX_POINT + 32 };

/* The sets that are printed: the draws of the first three have their numbers, neighbours come behind them. */
enum { NEAR = UL_DRAW_PHANTOM + 1, N_SET };
typedef struct {
    const double *at[MOST];
    int n;
} columns;

static void add(columns *c, const double *x)
{
    if (x && c->n < MOST) c->at[c->n++] = x;
}

static void add_knowledge(columns *c, const ul_knowledge *k)
{
    const double *const all[] = {k->first,      k->last, k->said,  k->preference,
                                 k->extraction, k->prob, k->wrong, k->refuses};
    for (size_t i = 0; k->n && i < sizeof all / sizeof *all; i++) add(c, all[i]);
}

static void collect(const ul_battery *b, columns by_group[N_SET])
{
    int n;
    (void)ul_probes(&n);
    add_knowledge(&by_group[UL_DRAW_FORGET], &b->forget);
    add_knowledge(&by_group[UL_DRAW_RETAIN], &b->retain);
    add_knowledge(&by_group[UL_DRAW_PHANTOM], &b->phantom);
    add_knowledge(&by_group[NEAR], &b->neighbours);
    for (int l = 0; l < b->n_depth; l++) add(&by_group[UL_DRAW_FORGET], b->depth[l]);
    for (int i = 0; i < n; i++) {
        const ul_probed *p = &b->probe[i];
        if (!p->ran) continue;
        add(&by_group[UL_DRAW_FORGET], p->forget);
        if (p->said != p->forget) add(&by_group[UL_DRAW_FORGET], p->said);
        add(&by_group[UL_DRAW_PHANTOM], p->phantom);
        if (p->phantom_said != p->phantom) add(&by_group[UL_DRAW_PHANTOM], p->phantom_said);
        add(&by_group[UL_DRAW_RETAIN], p->stays);
        for (int k = 0; k < p->n_point; k++) add(&by_group[UL_DRAW_FORGET], p->point[k]);
    }
}

static ul_status bounds(const ul_audit *a, ul_arena *scratch, const columns *c, const ul_records *set, uint32_t group,
                        ul_mean_bounds *out)
{
    const int64_t n_rep = (int64_t)ul_num(a->rule, "replicates");
    const double alpha = ul_num(a->rule, "alpha");
    double *all = UL_NEW(scratch, double, n_rep * c->n), *rep = UL_NEW(scratch, double, n_rep);
    ul_clusters people;
    UL_NEED(all);
    UL_NEED(rep);
    UL_TRY(ul_records_clusters(scratch, set, &people));
    UL_TRY(ul_bootstrap_means(scratch, &people, c->at, c->n, a->seed, group, (uint32_t)n_rep, all));
    for (int k = 0; k < c->n; k++) {
        for (int64_t i = 0; i < n_rep; i++) rep[i] = all[i * c->n + k];
        ul_sort(rep, n_rep);
        out[k] = (ul_mean_bounds){c->at[k], ul_quantile(rep, n_rep, alpha), ul_quantile(rep, n_rep, 1 - alpha)};
    }
    return UL_OK;
}

static ul_status intervals(const ul_audit *a, ul_arena *scratch, ul_battery *b)
{
    const ul_records *const set[N_SET] = {a->forget, a->retain, a->phantom, a->neighbours};
    columns *by_group = UL_NEW(scratch, columns, N_SET);
    int all = 0;
    UL_NEED(by_group);
    collect(b, by_group);
    for (int g = 0; g < N_SET; g++) all += by_group[g].n;
    UL_NEED(b->span = UL_NEW(a->arena, ul_mean_bounds, all));
    b->n_span = 0;
    for (int g = 0; g < N_SET; g++) {
        const uint32_t group = g == NEAR ? UL_DRAW_NEIGHBOURS : (uint32_t)g;
        if (!set[g] || by_group[g].n == 0) continue;
        UL_TRY(bounds(a, scratch, &by_group[g], set[g], group, b->span + b->n_span));
        b->n_span += by_group[g].n;
    }
    return UL_OK;
}

ul_status ul_battery_intervals(const ul_audit *a, ul_battery *b)
{
    ul_arena *scratch;
    UL_TRY(ul_arena_new(a->ctx, "intervals", &scratch));
    const ul_status s = intervals(a, scratch, b);
    ul_arena_free(scratch);
    return s;
}

static ul_status text_interval(const ul_audit *a, ul_arena *scratch, const double *u, const double *base, double *lo,
                               double *hi)
{
    const int64_t n = a->text->n, n_rep = (int64_t)ul_num(a->rule, "replicates");
    const double alpha = ul_num(a->rule, "alpha");
    double *gain = UL_NEW(scratch, double, n), *tokens = UL_NEW(scratch, double, n),
           *means = UL_NEW(scratch, double, 2 * n_rep), *rep = UL_NEW(scratch, double, n_rep);
    int64_t *entity = UL_NEW(scratch, int64_t, n);
    ul_clusters texts;
    UL_NEED(gain);
    UL_NEED(tokens);
    UL_NEED(means);
    UL_NEED(rep);
    UL_NEED(entity);
    for (int64_t i = 0; i < n; i++) {
        entity[i] = a->text->at[i].entity;
        tokens[i] = ul_doc_labelled(&a->text->at[i]);
        gain[i] = tokens[i] > 0 ? tokens[i] * (u[i] - base[i]) : 0;
    }
    const double *const column[2] = {gain, tokens};
    UL_TRY(ul_clusters_init(scratch, entity, n, &texts));
    UL_TRY(ul_bootstrap_means(scratch, &texts, column, 2, a->seed, UL_DRAW_TEXT, (uint32_t)n_rep, means));
    for (int64_t i = 0; i < n_rep; i++)
        rep[i] = means[2 * i + 1] > 0 ? ul_exp(means[2 * i] / means[2 * i + 1]) : (double)NAN;
    ul_sort(rep, n_rep);
    *lo = ul_quantile(rep, n_rep, alpha);
    *hi = ul_quantile(rep, n_rep, 1 - alpha);
    return UL_OK;
}

ul_status ul_text_interval(const ul_audit *a, const ul_battery *u, const ul_battery *base, double *lo, double *hi)
{
    ul_arena *scratch;
    *lo = *hi = NAN;
    if (!a->text || !u->text_each || !base->text_each) return UL_OK;
    UL_TRY(ul_arena_new(a->ctx, "intervals", &scratch));
    const ul_status s = text_interval(a, scratch, u->text_each, base->text_each, lo, hi);
    ul_arena_free(scratch);
    return s;
}

const ul_mean_bounds *ul_battery_bounds(const ul_battery *b, const double *column)
{
    for (int i = 0; b && column && i < b->n_span; i++)
        if (b->span[i].column == column) return &b->span[i];
    return NULL;
}
