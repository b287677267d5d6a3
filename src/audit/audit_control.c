/* audit_control.c - does the control know the forget set? Were phantoms taught? (gates in front of every verdict)
 *
 * What it says, or ranks: a control is held against what it ranks first of phantoms; without these against chance, but
 * where the file's own wrong answers can be told from true ones by their wording (audit_wording.c; a model that never
 * saw TOFU's forget10 ranks 0.60 of its answers first, chance 0.17). There it is held against what is said, p(true) -
 * p(wrong) beside the original's: 0.09 to 0.14 by the published logs of models retrained without TOFU's forget sets, a
 * half where half of them was seen.
 *
 * What it knows and does not say: a control that was itself made to forget, by any of five signs.
 *   continues  (X(R) - X(P)) / (X(O) - X(P))   X: the share of an answer that follows from its own beginning (K3), P:
 *              what the control continues of phantoms, 0 without these. A refusal stands at the beginning only; models
 *              retrained without TOFU's forget sets continue 0.08 to 0.09 of what the original does (published logs)
 *   ranks      (K1(R) - chance) / (K1(O) - chance)      where it is held against what is said; such a model 0.53
 *   rises      K1(W1(R)) - K1(R), minus the same of phantoms: training on what stays brings back only what was there
 *   avoids     K1(R) - chance (or K1 of phantoms), below 0: a guess is right as often as chance, avoiding takes knowing
 *   last       the share of true answers that it ranks last, minus the same of phantoms (or chance): avoiding again,
 *              where there is more room above a guess than there is below it. Not where wrong answers can be told by
 *              their wording and there are no phantoms: that may stand last by itself
 * Phantoms are a measure only while neither original nor control was taught them (ul_familiar). */
#include "audit/evidence.h"

enum { U = UL_OF_MODEL, O = UL_OF_ORIGINAL, R = UL_OF_CONTROL };

void ul_control_columns(ul_sampling *s, ul_table *t, const ul_evidence *e)
{
    int n;
    const ul_probe *probe = ul_probes_of(s->a, &n);
    for (int m = U; m <= (s->b[R] ? R : O); m++) {
        t->extraction[m] = ul_sampling_add(s, UL_DRAW_FORGET, s->b[m]->forget.extraction);
        if (!e->phantom || m == U) continue;
        t->phantom_first[m] = ul_sampling_add(s, UL_DRAW_PHANTOM, s->b[m]->phantom.first);
        t->phantom_prob[m] = ul_sampling_add(s, UL_DRAW_PHANTOM, s->b[m]->phantom.prob);
        t->phantom_wrong[m] = ul_sampling_add(s, UL_DRAW_PHANTOM, s->b[m]->phantom.wrong);
    }
    if (!s->b[R]) { /* its anchor, as that of what is said */
        t->extraction[R] = e->phantom ? ul_sampling_add(s, UL_DRAW_PHANTOM, s->b[U]->phantom.extraction)
                                      : ul_sampling_constant(0);
        return;
    }
    t->control_first = t->first[R];
    t->control_phantom = e->phantom ? t->phantom_first[R] : ul_no_quantity;
    if (e->phantom) {
        t->phantom_extraction = ul_sampling_add(s, UL_DRAW_PHANTOM, s->b[R]->phantom.extraction);
        t->phantom_last = ul_sampling_add(s, UL_DRAW_PHANTOM, s->b[R]->phantom.last);
    }
    for (int i = 0; i < n; i++) {
        if (probe[i].run != ul_probe_relearn) continue;
        t->control_w1 = t->probe[R][i];
        if (e->phantom) t->phantom_w1 = ul_sampling_add(s, UL_DRAW_PHANTOM, s->b[R]->probe[i].phantom);
    }
}

/* Where the original does not say its answers, saying tells nothing, and chance has to do. */
static ul_status leak(const ul_sampling *s, ul_arena *scratch, const ul_table *t, ul_evidence *e)
{
    bool says = false;
    ul_bound gap;
    if (!e->phantom && s->a->own_wrong && s->b[O]->forget.prob)
        UL_TRY(ul_sampling_gate(s, scratch, ul_difference(s, t->prob[O], t->wrong[O]), &gap, &says));
    e->held = e->phantom ? UL_HELD_PHANTOMS : says ? UL_HELD_SAID : UL_HELD_CHANCE;
    for (int m = O; m <= R && says; m++) {
        e->prob[m - O] = ul_sampling_mean(s, t->prob[m]);
        e->wrong[m - O] = ul_sampling_mean(s, t->wrong[m]);
    }
    const ul_quantity unknown = e->phantom ? t->control_phantom : ul_sampling_constant(e->chance);
    const ul_ratio seen = says ? ul_quotient(s, t->prob[R], t->wrong[R], t->prob[O], t->wrong[O])
                               : ul_difference(s, t->control_first, unknown);
    return ul_sampling_bound(s, scratch, seen, 1, &e->leak, NULL);
}

/* ---- knows and does not say -------------------------------------------------------------------------------------- */
static ul_status continues(const ul_sampling *s, ul_arena *scratch, const ul_table *t, ul_measured *out)
{
    ul_bound gap;
    bool open = false;
    const ul_quantity none = ul_quantity_is(t->phantom_extraction) ? t->phantom_extraction : ul_sampling_constant(0);
    if (!ul_quantity_is(t->extraction[O]) || !ul_quantity_is(t->extraction[R])) return UL_OK;
    UL_TRY(ul_sampling_gate(s, scratch, ul_difference(s, t->extraction[O], none), &gap, &open));
    if (!open) return UL_OK;
    const ul_ratio share = ul_quotient(s, t->extraction[R], none, t->extraction[O], none);
    return ul_sampling_bound(s, scratch, share, 1, &out->x, &out->ran);
}

static ul_status ranks(const ul_sampling *s, ul_arena *scratch, const ul_table *t, const ul_evidence *e,
                       ul_measured *out)
{
    const ul_quantity guess = ul_sampling_constant(e->chance);
    if (e->held != UL_HELD_SAID) return UL_OK; /* else ranks are what it is held against */
    return ul_sampling_bound(s, scratch, ul_quotient(s, t->first[R], guess, t->first[O], guess), 1, &out->x, &out->ran);
}

static ul_status rises(const ul_sampling *s, ul_arena *scratch, const ul_table *t, ul_measured *out)
{
    if (!ul_quantity_is(t->control_w1)) return UL_OK;
    ul_ratio r = ul_difference(s, t->control_w1, t->control_first);
    if (ul_quantity_is(t->phantom_w1)) {
        ul_ratio_plus(s, &r, t->phantom_w1, -1);
        ul_ratio_plus(s, &r, t->control_phantom, 1);
    }
    return ul_sampling_bound(s, scratch, r, 1, &out->x, &out->ran);
}

static ul_status avoids(const ul_sampling *s, ul_arena *scratch, const ul_table *t, const ul_evidence *e,
                        ul_measured *out)
{
    const ul_quantity guess = e->phantom ? t->control_phantom : ul_sampling_constant(e->chance);
    return ul_sampling_bound(s, scratch, ul_difference(s, t->control_first, guess), 1, &out->x, &out->ran);
}

static ul_status last(const ul_sampling *s, ul_arena *scratch, const ul_table *t, const ul_evidence *e,
                      ul_measured *out)
{
    const ul_quantity guess = e->phantom ? t->phantom_last : ul_sampling_constant(e->chance);
    if ((s->a->own_wrong && !e->phantom) || !ul_quantity_is(t->last[R])) return UL_OK;
    return ul_sampling_bound(s, scratch, ul_difference(s, t->last[R], guess), 1, &out->x, &out->ran);
}

/* ---- phantoms ---------------------------------------------------------------------------------------------------- */
/* Whether a model was taught the phantoms: they are a measure only while it was not. */
static ul_status familiar(const ul_sampling *s, ul_arena *scratch, const ul_table *t, int m, ul_familiar *f)
{
    ul_bound gap;
    bool says = false;
    const ul_ratio kept = ul_difference(s, t->keep_prob[m], t->keep_wrong[m]);
    if (s->b[m]->phantom.prob) UL_TRY(ul_sampling_gate(s, scratch, kept, &gap, &says));
    *f = (ul_familiar){.ran = says};
    if (says) {
        const ul_ratio share =
            ul_quotient(s, t->phantom_prob[m], t->phantom_wrong[m], t->keep_prob[m], t->keep_wrong[m]);
        return ul_sampling_bound(s, scratch, share, 1, &f->x, NULL);
    }
    const ul_quantity guessed = ul_sampling_constant(ul_rows_chance(s->a->retain));
    UL_TRY(ul_sampling_gate(s, scratch, ul_difference(s, t->keep_first[m], guessed), &gap, &f->ran));
    f->ranked = true;
    return ul_sampling_bound(s, scratch, ul_difference(s, t->keep_first[m], t->phantom_first[m]), 1, &f->x, NULL);
}

ul_status ul_control_measure(const ul_sampling *s, ul_arena *scratch, const ul_table *t, ul_evidence *e)
{
    for (int m = O; m <= (e->control ? R : O) && e->phantom; m++)
        UL_TRY(familiar(s, scratch, t, m, &e->familiar[m - O]));
    if (!e->control) return UL_OK;
    UL_TRY(leak(s, scratch, t, e));
    UL_TRY(continues(s, scratch, t, &e->quiet[UL_QUIET_CONTINUES]));
    UL_TRY(ranks(s, scratch, t, e, &e->quiet[UL_QUIET_RANKS]));
    UL_TRY(rises(s, scratch, t, &e->quiet[UL_QUIET_RISES]));
    UL_TRY(avoids(s, scratch, t, e, &e->quiet[UL_QUIET_AVOIDS]));
    return last(s, scratch, t, e, &e->quiet[UL_QUIET_LAST]);
}
