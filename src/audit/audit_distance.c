/* audit_distance.c - is the model farther from the control than the original was? (metrics.md 13, D3; 16.6, overshoot)
 *
 *   apart(M) = mean over the answer's tokens of JSD(p_M, p_R), nats, teacher forced, by forget row      (distance.c)
 *   more     = apart(U) - apart(O), people resampled; its lower bound above --overshoot-distance is overshoot
 *   floors   = apart(U) / apart(R'), R' the second control (--twin): how often the distance of two that never knew
 *
 * Who was made to forget and is farther from one that never knew than it was before stands out by it. Two that never
 * knew are not 0 apart, they guess differently (self-test, world 7: 0.25, the original 0.33). Only beside a control.
 * A guard stands between asking and the weights, and some have no distribution a token: there it is left out. Never
 * kept: two passes over the forget answers for each model. */
#include "audit/evidence.h"

enum { U = UL_OF_MODEL, O = UL_OF_ORIGINAL, R = UL_OF_CONTROL, AGAIN = R }; /* the control is 0 from itself: R' */

static ul_status by_row(const ul_audit *a, ul_arena *scratch, ul_model *m, ul_model *control, double *out)
{
    ul_eval_options o = a->o;
    ul_columns c = {.n_row = a->forget->n};
    o.model = m;
    UL_TRY(ul_columns_divergence(a->ctx, scratch, &o, control, a->forget, &c));
    for (int64_t i = 0; i < c.n_row; i++) {
        const int64_t first = c.token[i], n = c.token[i + 1] - first;
        out[i] = n ? ul_mean(c.js + first, n) : 0;
    }
    return UL_OK;
}

ul_status ul_distance_measure(const ul_audit *a, ul_model *m, ul_model *control, ul_battery *b)
{
    ul_arena *scratch;
    double *out = UL_NEW(a->arena, double, a->forget->n);
    UL_NEED(out);
    UL_TRY(ul_arena_new(a->ctx, "distance to the control", &scratch));
    const ul_status s = by_row(a, scratch, m, control, out);
    ul_arena_free(scratch);
    if (s == UL_OK) b->apart = out;
    return s;
}

void ul_distance_columns(ul_sampling *s, ul_table *t)
{
    if (!s->b[R]) return;
    for (int m = U; m <= O; m++) t->apart[m] = ul_sampling_add(s, UL_DRAW_FORGET, s->b[m]->apart);
    if (s->a->twin) t->apart[AGAIN] = ul_sampling_add(s, UL_DRAW_FORGET, s->a->twin->apart);
}

ul_status ul_distance_compare(const ul_sampling *s, ul_arena *scratch, const ul_table *t, ul_evidence *e)
{
    const ul_quantity none = ul_sampling_constant(0), *x = t->apart;
    if (!s->b[R] || !ul_quantity_is(x[U]) || !ul_quantity_is(x[O])) return UL_OK;
    for (int m = U; m <= AGAIN; m++)
        if (ul_quantity_is(x[m]))
            UL_TRY(ul_sampling_bound(s, scratch, ul_difference(s, x[m], none), 1, &e->apart[m], NULL));
    UL_TRY(ul_sampling_bound(s, scratch, ul_difference(s, x[U], x[O]), 1, &e->farther, &e->has_apart));
    if (!ul_quantity_is(x[AGAIN])) return UL_OK;
    return ul_sampling_bound(s, scratch, ul_quotient(s, x[U], none, x[AGAIN], none), 1, &e->floors, &e->has_floors);
}
