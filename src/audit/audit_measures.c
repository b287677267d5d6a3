/* audit_measures.c - would another measure in the place of s decide otherwise? (metrics.md 16.1: K1 and K3 beside what
 * the verdict is from.)
 *
 *   s_x        (X(O) - X(U)) / (X(O) - X(R))    X: what is ranked first (K1), how far answers are continued (K3)
 *   rho - (1 - s_x)                             what an attack brings back beyond it, of every recovery and of depth
 *
 * on the resamples of s, where X tells the original from the anchor (gate 1). What the rules would say with these is
 * told beside the verdict and changes nothing. A model taught to refuse is flagged always, because it is silent and
 * ranks as before: that is no noise, it is the finding in other words. On the self-test it is the one kind of eight
 * that is. */
#include "audit/evidence.h"

enum { U = UL_OF_MODEL, O = UL_OF_ORIGINAL, R = UL_OF_CONTROL };

/* *fine: all of it could be measured. */
static ul_status measure(const ul_sampling *s, ul_arena *scratch, const ul_table *t, const ul_evidence *e,
                         ul_measure *out, bool *fine)
{
    const ul_quantity *x = ul_expression(t, out->of);
    double point, *rep = UL_NEW(scratch, double, s->n_rep), *work = UL_NEW(scratch, double, s->n_rep);
    ul_bound gap;
    UL_NEED(rep);
    UL_NEED(work);
    *fine = ul_quantity_is(x[U]) && ul_quantity_is(x[O]);
    if (*fine) UL_TRY(ul_sampling_gate(s, scratch, ul_difference(s, x[O], x[R]), &gap, fine));
    if (!*fine) return UL_OK;
    const ul_ratio gone = ul_forgotten(s, x), deep = ul_depth_recovery(s, t, e);
    UL_TRY(ul_sampling_bound(s, scratch, gone, 1, &out->s, fine));
    ul_ratio_replicates(s, &gone, &point, rep);
    for (int i = 0; i < e->n_recovery && *fine; i++) {
        if (!e->recovery[i].informative) continue;
        const ul_ratio r = ul_quotient(s, t->probe[U][i], t->probe[R][i], t->probe[O][i], t->probe[R][i]);
        *fine = ul_beyond(s, &r, point, rep, work, e->m, &out->excess[i]);
    }
    if (*fine && e->depth_informative) *fine = ul_beyond(s, &deep, point, rep, work, e->m, &out->depth_excess);
    return UL_OK;
}

ul_status ul_measures_other(const ul_sampling *s, ul_arena *scratch, const ul_table *t, ul_evidence *e)
{
    static const ul_expressed other[UL_MAX_MEASURE] = {UL_EXPRESSED_RANKED, UL_EXPRESSED_CONTINUED};
    for (int k = 0; k < UL_MAX_MEASURE; k++) {
        bool fine;
        if (other[k] == e->expressed) continue;
        e->other[e->n_other].of = other[k];
        UL_TRY(measure(s, scratch, t, e, &e->other[e->n_other], &fine));
        e->n_other += fine;
    }
    return UL_OK;
}
