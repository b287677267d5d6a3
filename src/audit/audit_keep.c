/* audit_keep.c - what was to stay: retain rows, neighbours of the forgotten, plain text (metrics.md 16.6, 17.2, 17.3).
 *
 *   utility    = K(U) / min(K(O), K(R))        of what is ranked first, and of what is said; rows: retain, neighbours
 *   text       = exp(mean of log p_U - max loss of O and R)    a token; paragraphs are resampled
 *   refusals   = refuses(U) - refuses(O)       over-refusal, on retain rows and on neighbours
 * Where the model beside which it is measured ranks (or says) next to nothing, too many resamples have no denominator:
 * then that utility was not measured, which is no number and no failure; a rule says what follows.
 * Nor was text of which that model gives a token less than a guess among the text's different tokens would:
 * it has no plain text to lose (a model that was fine-tuned on answers alone may give it any number). */
#include "audit/evidence.h"
#include <math.h>

enum { U = UL_OF_MODEL, O = UL_OF_ORIGINAL, R = UL_OF_CONTROL };

void ul_keep_columns(ul_sampling *s, ul_table *t)
{
    for (int m = U; m <= (s->b[R] ? R : O); m++) {
        const ul_knowledge *near = &s->b[m]->neighbours;
        t->keep_first[m] = ul_sampling_add(s, UL_DRAW_RETAIN, s->b[m]->retain.first);
        t->keep_said[m] = ul_sampling_add(s, UL_DRAW_RETAIN, s->b[m]->retain.said);
        t->keep_prob[m] = ul_sampling_add(s, UL_DRAW_RETAIN, s->b[m]->retain.prob);
        t->keep_wrong[m] = ul_sampling_add(s, UL_DRAW_RETAIN, s->b[m]->retain.wrong);
        t->refuses_kept[m] = ul_sampling_add(s, UL_DRAW_RETAIN, s->b[m]->retain.refuses);
        t->near_first[m] = ul_sampling_add(s, UL_DRAW_NEIGHBOURS, near->first);
        t->near_said[m] = ul_sampling_add(s, UL_DRAW_NEIGHBOURS, near->said);
        t->near_refuses[m] = ul_sampling_add(s, UL_DRAW_NEIGHBOURS, near->refuses);
    }
}

/* Whether the control knows what stays, where the original does. */
static ul_status health(const ul_sampling *s, ul_arena *scratch, const ul_table *t, ul_evidence *e)
{
    ul_bound gap;
    const ul_quantity *first = t->keep_first, *said = t->keep_said, none = ul_sampling_constant(0),
                      guessed = ul_sampling_constant(ul_rows_chance(s->a->retain));
    UL_TRY(ul_sampling_gate(s, scratch, ul_difference(s, first[O], guessed), &gap, &e->has_control_first));
    UL_TRY(ul_sampling_gate(s, scratch, ul_difference(s, said[O], none), &gap, &e->has_control_said));
    if (e->has_control_first)
        UL_TRY(ul_sampling_bound(s, scratch, ul_quotient(s, first[R], none, first[O], none), 1, &e->control_first,
                                 NULL));
    if (!e->has_control_said) return UL_OK;
    return ul_sampling_bound(s, scratch, ul_quotient(s, said[R], none, said[O], none), 1, &e->control_said, NULL);
}

/* Of the model, beside the lower of original and control. */
static ul_status beside(const ul_sampling *s, ul_arena *scratch, const ul_quantity q[UL_N_OF], ul_bound *out,
                        bool *fine)
{
    const ul_quantity none = ul_sampling_constant(0);
    const int base = s->b[R] && ul_sampling_mean(s, q[R]) < ul_sampling_mean(s, q[O]) ? R : O;
    return ul_sampling_bound(s, scratch, ul_quotient(s, q[U], none, q[base], none), 1, out, fine);
}

/* A token of the text, guessed among those that occur in it: nats. */
static ul_status guess(const ul_docs *text, ul_arena *scratch, double *nats, int64_t *different)
{
    int32_t most = 0;
    for (int64_t i = 0; i < text->n; i++)
        for (int32_t t = 0; t < text->at[i].n; t++)
            if (text->at[i].token[t] > most) most = text->at[i].token[t];
    bool *seen = UL_NEW(scratch, bool, most + 1);
    UL_NEED(seen);
    *different = 0;
    for (int64_t i = 0; i < text->n; i++)
        for (int32_t t = 0; t < text->at[i].n; t++) {
            bool *x = &seen[text->at[i].token[t]];
            if (!text->at[i].labelled[t] || *x) continue;
            *x = true;
            ++*different;
        }
    *nats = ul_log((double)*different);
    return UL_OK;
}

static ul_status text(const ul_sampling *s, ul_arena *scratch, ul_evidence *e)
{
    const ul_battery *base = s->b[O];
    if (s->b[R] && s->b[R]->text_loss > base->text_loss) base = s->b[R];
    const double x = ul_exp(base->text_loss - s->b[U]->text_loss);
    double lo, hi, nats;
    int64_t different;
    UL_TRY(guess(s->a->text, scratch, &nats, &different));
    if (!(base->text_loss < nats)) {
        UL_NEED(e->text_not_measured = ul_format(s->a->arena,
                                                 "a token of it costs the %s %.2f nats, a guess among its %lld "
                                                 "different tokens %.2f",
                                                 base == s->b[O] ? "original" : "control", base->text_loss,
                                                 (long long)different, nats));
        return UL_OK;
    }
    e->has_text = true;
    e->n_text = s->a->text->n;
    UL_TRY(ul_text_interval(s->a, s->b[U], base, &lo, &hi));
    e->utility_text = isfinite(lo) && isfinite(hi) ? (ul_bound){x, lo, hi, lo, hi} : (ul_bound){x, x, x, x, x};
    return UL_OK;
}

static ul_status neighbours(const ul_sampling *s, ul_arena *scratch, const ul_table *t, ul_evidence *e)
{
    ul_keeping *k = &e->near;
    if (!s->b[U]->neighbours.n || !s->b[O]->neighbours.n || (s->b[R] && !s->b[R]->neighbours.n)) return UL_OK;
    *k = (ul_keeping){.ran = true, .rows = s->a->neighbours->n};
    UL_TRY(beside(s, scratch, t->near_first, &k->first, &k->has_first));
    UL_TRY(beside(s, scratch, t->near_said, &k->said, &k->has_said));
    const ul_ratio more = ul_difference(s, t->near_refuses[U], t->near_refuses[O]);
    return ul_sampling_bound(s, scratch, more, 1, &k->refusal, NULL);
}

ul_status ul_keep_measure(const ul_sampling *s, ul_arena *scratch, const ul_table *t, ul_evidence *e)
{
    bool ranks = false;
    if (s->b[R]) UL_TRY(health(s, scratch, t, e));
    UL_TRY(beside(s, scratch, t->keep_first, &e->utility_first, &ranks));
    UL_TRY(beside(s, scratch, t->keep_said, &e->utility_said, &e->said_informative));
    e->first_unmeasured = !ranks;
    e->kept_known[0] = ul_sampling_mean(s, t->keep_first[O]);
    e->kept_known[1] = ul_sampling_mean(s, t->keep_said[O]);
    e->n_retain = s->a->retain->n;
    if (s->a->text) UL_TRY(text(s, scratch, e));
    return neighbours(s, scratch, t, e);
}
