/* audit_sample.c - columns, their resamples, and ratios of means with bounds (evidence.h; metrics.md 16.5).
 *
 * Means over rows first, ratios last. The unit that is resampled is the entity; every number of one set uses the same
 * draws, so that U, O, R and all attacks are paired; different sets are drawn independently. */
#include "audit/evidence.h"
#include <math.h>

const ul_quantity ul_no_quantity = {-1, 0, 0};

/* Without the rows that are left out. */
static const double *kept(ul_sampling *s, const double *column)
{
    double *part = UL_NEW(s->scratch, double, s->a->forget->n);
    int64_t k = 0;
    if (!part) s->status = UL_E_RESOURCE;
    for (int64_t i = 0; part && i < s->a->forget->n; i++)
        if (s->keep[i]) part[k++] = column[i];
    return part ? part : column;
}

ul_quantity ul_sampling_add(ul_sampling *s, int group, const double *column)
{
    if (!column) return ul_no_quantity;
    if (s->keep && (group == UL_DRAW_FORGET || group == UL_DRAW_AGAIN)) column = kept(s, column);
    s->column[group][s->n[group]] = column;
    return (ul_quantity){group, s->n[group]++, 1};
}

ul_quantity ul_sampling_constant(double c)
{
    return (ul_quantity){-1, 0, c};
}

bool ul_quantity_is(ul_quantity q)
{
    return q.group >= 0 && q.weight != 0;
}

static ul_term place(const ul_sampling *s, ul_quantity q, double sign)
{
    return (ul_term){q.group < 0 ? s->width - 1 : s->base[q.group] + q.index, sign * q.weight};
}

void ul_ratio_plus(const ul_sampling *s, ul_ratio *r, ul_quantity q, double sign)
{
    r->num[r->n_num++] = place(s, q, sign);
}

void ul_ratio_over(const ul_sampling *s, ul_ratio *r, ul_quantity q, double sign)
{
    r->den[r->n_den++] = place(s, q, sign);
}

ul_ratio ul_quotient(const ul_sampling *s, ul_quantity a, ul_quantity b, ul_quantity c, ul_quantity d)
{
    ul_ratio r = ul_difference(s, a, b);
    ul_ratio_over(s, &r, c, 1);
    ul_ratio_over(s, &r, d, -1);
    return r;
}

ul_ratio ul_difference(const ul_sampling *s, ul_quantity a, ul_quantity b)
{
    ul_ratio r = {.n_num = 0};
    ul_ratio_plus(s, &r, a, 1);
    ul_ratio_plus(s, &r, b, -1);
    return r;
}

double ul_ratio_value(const ul_ratio *r, const double *mean, double least)
{
    double num = 0, den = r->n_den ? 0 : 1;
    for (int i = 0; i < r->n_num; i++) num += r->num[i].weight * mean[r->num[i].place];
    for (int i = 0; i < r->n_den; i++) den += r->den[i].weight * mean[r->den[i].place];
    return den > least ? num / den : NAN;
}

double ul_sampling_mean(const ul_sampling *s, ul_quantity q)
{
    return q.weight * s->mean[place(s, q, 1).place];
}

void ul_ratio_replicates(const ul_sampling *s, const ul_ratio *r, double *point, double *rep)
{
    const double least = r->n_den ? ul_num(s->a->rule, "least-gap") : 0;
    *point = ul_ratio_value(r, s->mean, 0);
    for (int64_t i = 0; i < s->n_rep; i++) rep[i] = ul_ratio_value(r, s->rep + i * s->width, least);
}

bool ul_sampling_bounds(const ul_sampling *s, double point, double *rep, int m, ul_bound *out)
{
    const double a = s->alpha, am = a / (m > 0 ? m : 1);
    ul_sort(rep, s->n_rep);
    int64_t used = s->n_rep;
    while (used > 0 && isnan(rep[used - 1])) used--;
    *out = (ul_bound){point, NAN, NAN, NAN, NAN};
    if ((double)(s->n_rep - used) > ul_num(s->a->rule, "discard") * (double)s->n_rep || used == 0 || !isfinite(point))
        return false;
    *out = (ul_bound){point, ul_quantile(rep, used, a), ul_quantile(rep, used, 1 - a), ul_quantile(rep, used, am),
                      ul_quantile(rep, used, 1 - am)};
    return true;
}

ul_status ul_sampling_bound(const ul_sampling *s, ul_arena *scratch, ul_ratio r, int m, ul_bound *out, bool *fine)
{
    double point, *rep = UL_NEW(scratch, double, s->n_rep);
    UL_NEED(rep);
    ul_ratio_replicates(s, &r, &point, rep);
    const bool ok = ul_sampling_bounds(s, point, rep, m, out);
    if (fine) *fine = ok;
    return UL_OK;
}

ul_status ul_sampling_gate(const ul_sampling *s, ul_arena *scratch, ul_ratio gap, ul_bound *out, bool *open)
{
    double point, *rep = UL_NEW(scratch, double, s->n_rep), sum = 0, squares = 0;
    UL_NEED(rep);
    ul_ratio_replicates(s, &gap, &point, rep);
    for (int64_t i = 0; i < s->n_rep; i++) sum += rep[i];
    for (int64_t i = 0; i < s->n_rep; i++)
        squares += (rep[i] - sum / (double)s->n_rep) * (rep[i] - sum / (double)s->n_rep);
    const double se = ul_num(s->a->rule, "standard-errors") * sqrt(squares / (double)s->n_rep),
                 least = ul_num(s->a->rule, "informative");
    *open = ul_sampling_bounds(s, point, rep, 1, out) && out->lo > (se > least ? se : least);
    return UL_OK;
}

/* ---- the sets ---------------------------------------------------------------------------------------------------- */
/* Rows of half of the phantom people. */
static ul_status half_of(const ul_sampling *s, ul_arena *scratch, int half, ul_clusters *out)
{
    ul_records *rows;
    UL_TRY(ul_records_half(s->a->ctx, scratch, s->a->phantom, half, &rows, NULL));
    return ul_records_clusters(scratch, rows, out);
}

static ul_status forget_clusters(const ul_sampling *s, ul_arena *scratch, ul_clusters *out)
{
    const ul_records *r = s->a->forget;
    int64_t k = 0, *entity = UL_NEW(scratch, int64_t, r->n);
    UL_NEED(entity);
    for (int64_t i = 0; i < r->n; i++)
        if (!s->keep || s->keep[i]) entity[k++] = r->at[i].entity;
    return ul_clusters_init(scratch, entity, k, out);
}

static ul_status clusters_of(const ul_sampling *s, ul_arena *scratch, int group, ul_clusters *out)
{
    const ul_audit *a = s->a;
    switch (group) {
    case UL_DRAW_RETAIN: return ul_records_clusters(scratch, a->retain, out);
    case UL_DRAW_PHANTOM: return ul_records_clusters(scratch, a->phantom, out);
    case UL_DRAW_SPIKE: return ul_records_clusters(scratch, a->spike, out);
    case UL_DRAW_HALF: return half_of(s, scratch, 0, out);
    case UL_DRAW_OTHER_HALF: return half_of(s, scratch, 1, out);
    case UL_DRAW_NEIGHBOURS: return ul_records_clusters(scratch, a->neighbours, out);
    default: return forget_clusters(s, scratch, out);
    }
}

ul_status ul_sampling_resample(ul_sampling *s, ul_arena *scratch, int64_t *n_entity)
{
    UL_TRY(s->status);
    s->width = 1;
    for (int g = 0; g < UL_N_DRAW; g++) {
        s->base[g] = s->width - 1;
        s->width += s->n[g];
    }
    s->mean = UL_NEW(scratch, double, s->width);
    s->rep = UL_NEW(scratch, double, s->n_rep * s->width);
    UL_NEED(s->mean);
    UL_NEED(s->rep);
    for (int g = 0; g < UL_N_DRAW; g++) {
        ul_clusters c;
        if (s->n[g] == 0) continue;
        UL_TRY(clusters_of(s, scratch, g, &c));
        if (g == UL_DRAW_FORGET) *n_entity = c.n_cluster;
        double *part = UL_NEW(scratch, double, s->n_rep * s->n[g]);
        UL_NEED(part);
        UL_TRY(ul_bootstrap_means(scratch, &c, s->column[g], s->n[g], s->a->seed, (uint32_t)g, (uint32_t)s->n_rep,
                                  part));
        for (int k = 0; k < s->n[g]; k++) {
            s->mean[s->base[g] + k] = ul_mean(s->column[g][k], c.n_row);
            for (int64_t i = 0; i < s->n_rep; i++) s->rep[i * s->width + s->base[g] + k] = part[i * s->n[g] + k];
        }
    }
    s->mean[s->width - 1] = 1;
    for (int64_t i = 0; i < s->n_rep; i++) s->rep[(i + 1) * s->width - 1] = 1;
    return UL_OK;
}
