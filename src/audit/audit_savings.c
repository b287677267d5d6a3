/* audit_savings.c - how much faster than the control a model relearns what it forgot (metrics.md, W3 and 16.4).
 *
 * Any model learns the forgotten when it is taught them, so that after the last step all may stand at 1: there only the
 * way to it tells them apart.
 *
 *   A       = area under the curve of K1 over the steps of the attack, by trapezoids between its points
 *   savings = (A(U) - A(R)) / (A(O) - A(R))         0: as if never trained, 1: as the original
 *   level   = (K_R(0) + K_O(0)) / 2                 before the first step
 *   steps   = until a curve is first at the level, linear between its points; NaN: it never is
 *
 * The area, of all steps, is taken of each row, so that people are resampled as for every other number. It is divided
 * by the steps that the control needs to catch up with the original: then it is a mean height, for which the gates'
 * thresholds are made, and steps after that, where all are alike, close no gate. Steps have no interval: the points are
 * too few.
 * Only beside a control, and only with points between the ends (--curve-points); no rule reads any of it. */
#include "audit/evidence.h"
#include <math.h>

enum { U = UL_OF_MODEL, O = UL_OF_ORIGINAL, R = UL_OF_CONTROL, ENDS = 2 };

double ul_curve_area(const double *step, const double *k, int n)
{
    double area = 0;
    for (int i = 1; i < n; i++) area += (step[i] - step[i - 1]) * (k[i] + k[i - 1]) / 2;
    return area;
}

double ul_curve_steps(const double *step, const double *k, int n, double level)
{
    if (k[0] >= level) return step[0];
    for (int i = 1; i < n; i++)
        if (k[i] >= level)
            return step[i - 1] + (step[i] - step[i - 1]) * (level - k[i - 1]) / (k[i] - k[i - 1]);
    return NAN;
}

/* First by forget row at point k of n; from what the weights know to what is measured after the last step. */
static const double *column_at(const ul_battery *b, int probe, int k, int n)
{
    if (k == 0) return b->guard ? b->unguarded : b->forget.first;
    return k + 1 == n ? b->probe[probe].forget : b->probe[probe].point[k - 1];
}

/* How many points the three curves have, at the same steps; 0: nothing can be said. */
static int shared(const ul_sampling *s, int probe, double step[])
{
    const int n = s->b[U]->probe[probe].n_point + ENDS;
    if (!s->b[R] || n == ENDS) return 0;
    for (int m = U; m <= R; m++) {
        const ul_probed *p = &s->b[m]->probe[probe];
        if (!p->ran || p->n_point + ENDS != n || json_array_size(p->curve) != (size_t)n) return 0;
        for (int k = 0; k < n; k++) {
            const double at = json_number_value(json_array_get(json_array_get(p->curve, (size_t)k), 0));
            if (m == U) step[k] = at;
            if (at != step[k] || (k && at <= step[k - 1]) || !column_at(s->b[m], probe, k, n)) return 0;
        }
    }
    return n;
}

/* Of the rows that are counted. */
static double mean(const ul_sampling *s, const double *column)
{
    double sum = 0;
    int64_t n = 0;
    for (int64_t i = 0; i < s->a->forget->n; i++)
        if (!s->keep || s->keep[i]) sum += column[i], n++;
    return n ? sum / (double)n : 0;
}

/* The steps until the control ranks as many first as the original, but for what counts as no gap; else all. */
static double catches_up(const ul_sampling *s, int probe, const double *step, int n)
{
    const double least = ul_num(s->a->rule, "informative");
    for (int k = 1; k < n; k++) {
        const double gap = mean(s, column_at(s->b[O], probe, k, n)) - mean(s, column_at(s->b[R], probe, k, n));
        if (gap < least) return step[k] - step[0];
    }
    return step[n - 1] - step[0];
}

ul_status ul_savings_columns(ul_sampling *s, ul_arena *scratch, ul_table *t)
{
    int n_probe;
    (void)ul_probes_of(s->a, &n_probe);
    for (int i = 0; i < n_probe; i++) {
        double step[UL_MAX_POINT + ENDS], k[UL_MAX_POINT + ENDS];
        const int n = shared(s, i, step);
        const double span = n ? catches_up(s, i, step, n) : 1;
        for (int m = U; n && m <= R; m++) {
            double *area = UL_NEW(scratch, double, s->a->forget->n);
            UL_NEED(area);
            for (int64_t row = 0; row < s->a->forget->n; row++) {
                for (int at = 0; at < n; at++) k[at] = column_at(s->b[m], i, at, n)[row];
                area[row] = ul_curve_area(step, k, n) / span;
            }
            t->area[m][i] = ul_sampling_add(s, UL_DRAW_FORGET, area);
        }
    }
    return UL_OK;
}

ul_status ul_savings_measure(const ul_sampling *s, ul_arena *scratch, const ul_table *t, ul_evidence *e)
{
    for (int i = 0; i < e->n_recovery && e->surface_informative; i++) {
        double step[UL_MAX_POINT + ENDS], k[UL_N_OF][UL_MAX_POINT + ENDS];
        const ul_quantity area[UL_N_OF] = {t->area[U][i], t->area[O][i], t->area[R][i]};
        const int n = shared(s, i, step);
        ul_relearned *x = &e->recovery[i].savings;
        ul_bound gap;
        if (n == 0) continue;
        for (int m = U; m <= R; m++)
            for (int at = 0; at < n; at++) k[m][at] = mean(s, column_at(s->b[m], i, at, n));
        *x = (ul_relearned){.ran = true, .level = (k[R][0] + k[O][0]) / 2, .last = step[n - 1]};
        for (int m = U; m <= R; m++) x->steps[m] = ul_curve_steps(step, k[m], n, x->level);
        UL_TRY(ul_sampling_gate(s, scratch, ul_difference(s, area[O], area[R]), &gap, &x->measured));
        if (!x->measured) continue;
        const ul_ratio share = ul_quotient(s, area[U], area[R], area[O], area[R]);
        UL_TRY(ul_sampling_bound(s, scratch, share, 1, &x->share, &x->measured));
    }
    return UL_OK;
}
