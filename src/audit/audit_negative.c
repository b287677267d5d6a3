/* audit_negative.c - the negative control: a model of which every attack must find nothing (metrics.md 16.2, gate 3).
 *
 *   rho = (K(a(X)) - K(a(Y))) / (K(a(O)) - K(a(Y)))      Y the anchor; X never knew it either, so rho should be 0
 * The best X there is:  a second control, trained with another seed (--twin; refused where it is no control itself,
 * audit_gates.c); else the control, its people drawn a second time by themselves; without a control the phantoms of one
 * half beside those of the other, as if they had been forgotten; without phantoms there is none, and that is said.
 *
 * It is passed when the interval of every recovery that counts holds 0 and lies within --negative of it. A probe that
 * does not pass cannot tell less than its own noise: what counts as residue there is --residue or --negative-widen
 * times the bound that is farther from 0, whichever is more; where that reaches --suppressed it cannot show removal. */
#include "audit/evidence.h"
#include <math.h>

enum { U = UL_OF_MODEL, O = UL_OF_ORIGINAL, R = UL_OF_CONTROL };

const char *ul_negative_name(ul_negative_kind kind)
{
    static const char *const name[] = {[UL_NEGATIVE_NONE] = "none",
                                       [UL_NEGATIVE_TWIN] = "a second control",
                                       [UL_NEGATIVE_AGAIN] = "the control, drawn a second time",
                                       [UL_NEGATIVE_HALVES] = "one half of the phantoms beside the other"};
    return name[kind];
}

/* Columns of a battery under every probe, as rows of a group. */
static void stand_in(ul_sampling *s, int group, const ul_battery *b, ul_stand_in *out)
{
    int n;
    (void)ul_probes_of(s->a, &n);
    out->last = ul_sampling_add(s, group, b->forget.last);
    for (int i = 0; i < n; i++) out->probe[i] = ul_sampling_add(s, group, b->probe[i].forget);
    for (int l = 0; l < b->n_depth; l++) out->depth[l] = ul_sampling_add(s, group, b->depth[l]);
}

/* Of a column over all phantoms: the rows of the people of one half. */
static ul_status half_column(ul_sampling *s, ul_arena *scratch, const double *all, const uint8_t *side, int half,
                             ul_quantity *out)
{
    const int64_t n = s->a->phantom->n;
    int64_t k = 0;
    *out = ul_no_quantity;
    if (!all) return UL_OK;
    double *part = UL_NEW(scratch, double, n);
    UL_NEED(part);
    for (int64_t i = 0; i < n; i++)
        if (side[i] == half) part[k++] = all[i];
    *out = ul_sampling_add(s, half ? UL_DRAW_OTHER_HALF : UL_DRAW_HALF, part);
    return UL_OK;
}

static ul_status half_stand_in(ul_sampling *s, ul_arena *scratch, const uint8_t *side, int half, ul_stand_in *out)
{
    const ul_battery *b = s->b[U];
    int n;
    (void)ul_probes_of(s->a, &n);
    UL_TRY(half_column(s, scratch, b->phantom.last, side, half, &out->last));
    for (int i = 0; i < n; i++) {
        const double *own = b->probe[i].phantom ? b->probe[i].phantom : b->phantom.first;
        UL_TRY(half_column(s, scratch, b->probe[i].ran ? own : NULL, side, half, &out->probe[i]));
    }
    return UL_OK;
}

ul_status ul_negative_columns(ul_sampling *s, ul_arena *scratch, ul_table *t, ul_evidence *e)
{
    const ul_audit *a = s->a;
    ul_clusters c;
    if (s->b[R]) {
        e->negative = a->twin ? UL_NEGATIVE_TWIN : UL_NEGATIVE_AGAIN;
        stand_in(s, a->twin ? UL_DRAW_FORGET : UL_DRAW_AGAIN, a->twin ? a->twin : s->b[R], &t->negative);
        t->anchor.last = t->last[R];
        for (int i = 0; i < UL_MAX_PROBE; i++) t->anchor.probe[i] = t->probe[R][i];
        for (int l = 0; l < s->b[R]->n_depth; l++) t->anchor.depth[l] = t->depth[R][l];
        return UL_OK;
    }
    if (!e->phantom) return UL_OK;
    UL_TRY(ul_records_clusters(scratch, a->phantom, &c));
    if (c.n_cluster < 2) return UL_OK;
    uint8_t *side = UL_NEW(scratch, uint8_t, a->phantom->n);
    ul_records *unused;
    UL_NEED(side);
    UL_TRY(ul_records_half(a->ctx, scratch, a->phantom, 0, &unused, side));
    e->negative = UL_NEGATIVE_HALVES;
    UL_TRY(half_stand_in(s, scratch, side, 0, &t->negative));
    return half_stand_in(s, scratch, side, 1, &t->anchor);
}

/* ---- numbers ----------------------------------------------------------------------------------------------------- */
static double farther(const ul_bound *b)
{
    return fabs(b->lo) > fabs(b->hi) ? fabs(b->lo) : fabs(b->hi);
}

/* Of one recovery: whether it passes, and what counts as residue where it does not. */
static void take(const ul_sampling *s, ul_evidence *e, const char *id, bool fine, ul_null_recovery *x)
{
    const double within = ul_num(s->a->rule, "negative");
    x->ran = fine;
    x->limit = ul_num(s->a->rule, "residue");
    if (!fine) return;
    x->passed = x->x.lo <= 0 && x->x.hi >= 0 && farther(&x->x) <= within;
    if (!e->negative_widest || farther(&x->x) > farther(&e->negative_bound)) {
        e->negative_widest = id;
        e->negative_bound = x->x;
    }
    e->negative_failed += !x->passed;
    const double raised = ul_num(s->a->rule, "negative-widen") * farther(&x->x);
    if (!x->passed && raised > x->limit) x->limit = raised;
}

static ul_status over_gap(const ul_sampling *s, ul_arena *scratch, const ul_table *t, ul_quantity a, ul_quantity b,
                          ul_bound *out, bool *fine)
{
    return ul_sampling_bound(s, scratch, ul_quotient(s, a, b, t->first[O], t->first[R]), 1, out, fine);
}

static ul_status of_depth(const ul_sampling *s, ul_arena *scratch, const ul_table *t, ul_evidence *e, bool *fine)
{
    ul_ratio d = {.n_num = 0};
    *fine = false;
    for (int k = 0; k < e->depth_layers; k++) {
        const int l = e->depth_layer[k];
        if (!ul_quantity_is(t->negative.depth[l])) return UL_OK;
        ul_ratio_plus(s, &d, t->negative.depth[l], 1);
        ul_ratio_plus(s, &d, t->anchor.depth[l], -1);
        ul_ratio_over(s, &d, t->first[O], 1);
        ul_ratio_over(s, &d, t->first[R], -1);
    }
    return ul_sampling_bound(s, scratch, d, 1, &e->depth_negative.x, fine);
}

ul_status ul_negative_measure(const ul_sampling *s, ul_arena *scratch, const ul_table *t, ul_evidence *e)
{
    bool fine = false;
    if (e->negative == UL_NEGATIVE_NONE) return UL_OK;
    for (int i = 0; i < e->n_recovery; i++) {
        ul_recovery *r = &e->recovery[i];
        const ul_quantity x = t->negative.probe[i], y = t->anchor.probe[i];
        if (!r->informative || r->role == UL_SHOWN || !ul_quantity_is(x) || !ul_quantity_is(y)) continue;
        UL_TRY(ul_sampling_bound(s, scratch, ul_quotient(s, x, y, t->probe[O][i], y), 1, &r->negative.x, &fine));
        take(s, e, r->id, fine, &r->negative);
    }
    if (e->depth_informative) {
        UL_TRY(of_depth(s, scratch, t, e, &fine));
        take(s, e, "depth", fine, &e->depth_negative);
    }
    if (!e->inverse_informative || !ul_quantity_is(t->negative.last)) return UL_OK;
    UL_TRY(over_gap(s, scratch, t, t->negative.last, t->anchor.last, &e->inverse_negative.x, &fine));
    take(s, e, "inv", fine, &e->inverse_negative);
    return UL_OK;
}
