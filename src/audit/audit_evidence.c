/* audit_evidence.c - from three models under the same attacks to recoveries with bounds (metrics.md 16.2 - 16.5).
 *
 *   rho_a = (K(a(U)) - K(a(R))) / (K(a(O)) - K(a(R)))    0: as if never trained, 1: as the original, under this attack
 *   s     = (E(O) - E(U)) / (E(O) - E(R))                E: what is expressed (said); the same of K1 is printed beside it
 *   depth = mean over layers below the last of (K_l(U) - K_l(R)) / (K(O) - K(R)), layers where O and R differ; over the gap of the whole
 *           model, because how much a layer shows varies from one training to the next (half of the people read 0.75 over a layer's own)
 *   inv   = (last(U) - last(R)) / (K(O) - K(R))          the true answer ranked last: knowledge used to avoid it
 *   avoided = 1 - K(U) / K(R): a model that knows a share k of the answers and never ranks those first, and guesses the rest as
 *           the control does, has K(U) = (1 - k) K(R)
 *
 *   patch = 1 - UDS (probe_patch.c), a mean over the rows that have one; no rule reads it
 *
 * A control is held against what it ranks first of phantoms; without these against chance, but where the file itself
 * wrote the wrong answers: these can be told from true ones by their wording (a model that never saw TOFU's forget10
 * ranks 0.60 of its answers first, chance 0.17). There it is held against what is said, p(true) - p(wrong) beside the
 * original's: 0.09 to 0.14 by the published logs of models retrained without TOFU's forget sets, a half where half of
 * them was seen. A control that knows but does not say passes this; phantoms catch it, and are no measure where
 * original or control were taught them (ul_familiar).
 *
 * Means over rows first, ratios last. The unit that is resampled is the entity; every number of one set uses the same draws, so
 * that U, O, R and all attacks are paired; forget, retain and phantom entities are drawn independently. Without a retrained
 * control the anchor is what U itself knows of phantoms under the same attack (16.7), without these the level of chance. */
#include "audit/audit_data.h"
#include <math.h>
#include <string.h>

enum {
    GROUP_FORGET = UL_DRAW_FORGET,
    GROUP_RETAIN = UL_DRAW_RETAIN,
    GROUP_PHANTOM = UL_DRAW_PHANTOM,
    GROUP_SPIKE = UL_DRAW_SPIKE,
    N_GROUP,
    MAX_COLUMN = 3 * (2 * UL_MAX_PROBE + UL_MAX_DEPTH + 18),
    MAX_TERM = 2 * UL_MAX_DEPTH
};
enum { U, O, R, N_MODEL };

/* Columns of all groups in one row of means: place of each, the constant 1 at the end. */
typedef struct {
    const ul_audit *a;
    const ul_battery *b[N_MODEL]; /* R NULL: no control */
    const double *column[N_GROUP][MAX_COLUMN];
    int n[N_GROUP], base[N_GROUP], width;
    int64_t n_rep;
    double *mean, *rep; /* [width], [n_rep][width] */
    double alpha;
} sample;

/* sum w_i mean_i / sum v_i mean_i; without denominators the sum. */
typedef struct {
    int place;
    double weight;
} term;
typedef struct {
    term num[MAX_TERM], den[MAX_TERM];
    int n_num, n_den;
} ratio;
/* Where K stands in a row of means; group -1: the constant. */
typedef struct {
    int group, index;
    double weight;
} quantity;
static const quantity nothing = {-1, 0, 0};

static quantity add_column(sample *s, int group, const double *column)
{
    if (!column) return nothing;
    s->column[group][s->n[group]] = column;
    return (quantity){group, s->n[group]++, 1};
}

static quantity constant(double c)
{
    return (quantity){-1, 0, c};
}

static term place(const sample *s, quantity q, double sign)
{
    return (term){q.group < 0 ? s->width - 1 : s->base[q.group] + q.index, sign * q.weight};
}

static void plus(const sample *s, ratio *r, quantity q, double sign)
{
    r->num[r->n_num++] = place(s, q, sign);
}

static void over(const sample *s, ratio *r, quantity q, double sign)
{
    r->den[r->n_den++] = place(s, q, sign);
}

static ratio quotient(const sample *s, quantity a, quantity b, quantity c, quantity d) /* (a - b) / (c - d) */
{
    ratio r = {.n_num = 0};
    plus(s, &r, a, 1);
    plus(s, &r, b, -1);
    over(s, &r, c, 1);
    over(s, &r, d, -1);
    return r;
}

static ratio difference(const sample *s, quantity a, quantity b)
{
    ratio r = {.n_num = 0};
    plus(s, &r, a, 1);
    plus(s, &r, b, -1);
    return r;
}

static double value(const ratio *r, const double *mean, double least)
{
    double num = 0, den = r->n_den ? 0 : 1;
    for (int i = 0; i < r->n_num; i++) num += r->num[i].weight * mean[r->num[i].place];
    for (int i = 0; i < r->n_den; i++) den += r->den[i].weight * mean[r->den[i].place];
    return den > least ? num / den : NAN;
}

static void replicates(const sample *s, const ratio *r, double *point, double *rep)
{
    const double least = r->n_den ? ul_num(s->a->rule, "least-gap") : 0;
    *point = value(r, s->mean, 0);
    for (int64_t i = 0; i < s->n_rep; i++) rep[i] = value(r, s->rep + i * s->width, least);
}

/* Sorts rep. False: more than the allowed share of the replicates had no denominator. */
static bool bounds(const sample *s, double point, double *rep, int m, ul_bound *out)
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

bool ul_bound_finite(const ul_bound *b)
{
    return isfinite(b->value) && isfinite(b->lo) && isfinite(b->hi);
}

static ul_status bound_of(const sample *s, ul_arena *scratch, ratio r, int m, ul_bound *out, bool *fine)
{
    double point, *rep = UL_NEW(scratch, double, s->n_rep);
    UL_NEED(rep);
    replicates(s, &r, &point, rep);
    const bool ok = bounds(s, point, rep, m, out);
    if (fine) *fine = ok;
    return UL_OK;
}

/* Gate 1: the attack leaves a gap between O and the anchor that a recovery can be measured on. */
static ul_status gate(const sample *s, ul_arena *scratch, ratio gap, ul_bound *out, bool *open)
{
    double point, *rep = UL_NEW(scratch, double, s->n_rep), sum = 0, squares = 0;
    UL_NEED(rep);
    replicates(s, &gap, &point, rep);
    for (int64_t i = 0; i < s->n_rep; i++) sum += rep[i];
    for (int64_t i = 0; i < s->n_rep; i++)
        squares += (rep[i] - sum / (double)s->n_rep) * (rep[i] - sum / (double)s->n_rep);
    const double se = ul_num(s->a->rule, "standard-errors") * sqrt(squares / (double)s->n_rep),
                 least = ul_num(s->a->rule, "informative");
    *open = bounds(s, point, rep, 1, out) && out->lo > (se > least ? se : least);
    return UL_OK;
}

/* ---- the table of columns ----------------------------------------------------------------------------------------- */
typedef struct {
    quantity first[N_MODEL], last[N_MODEL], said[N_MODEL];   /* of the forget set; [R] = the anchor */
    quantity prob[N_MODEL], wrong[N_MODEL];                  /* the same; [R] = the control */
    quantity control_first, control_phantom, phantom_before; /* nothing where there is none */
    quantity keep_first[N_MODEL], keep_said[N_MODEL], keep_prob[N_MODEL], keep_wrong[N_MODEL];
    quantity phantom_first[N_MODEL], phantom_prob[N_MODEL], phantom_wrong[N_MODEL]; /* [U]: none */
    quantity silent[N_MODEL], refuses_kept[N_MODEL];
    quantity taught, attacked, blank, blank_attacked; /* of the spike-in */
    quantity probe[N_MODEL][UL_MAX_PROBE], told[N_MODEL][UL_MAX_PROBE], depth[N_MODEL][UL_MAX_DEPTH];
    quantity kept_inside, has_inside; /* 1 - UDS of rows that have one; 1 for these */
} table;

static void collect_columns(sample *s, table *t, const ul_evidence *e)
{
    int n_probe;
    (void)ul_probes(&n_probe);
    const ul_battery *anchor = s->b[R];
    for (int m = U; m <= (anchor ? R : O); m++) {
        t->first[m] = add_column(s, GROUP_FORGET, s->b[m]->forget.first);
        t->last[m] = add_column(s, GROUP_FORGET, s->b[m]->forget.last);
        t->said[m] = add_column(s, GROUP_FORGET, s->b[m]->forget.said);
        t->prob[m] = add_column(s, GROUP_FORGET, s->b[m]->forget.prob);
        t->wrong[m] = add_column(s, GROUP_FORGET, s->b[m]->forget.wrong);
        t->silent[m] = add_column(s, GROUP_FORGET, s->b[m]->forget.silent);
        t->refuses_kept[m] = add_column(s, GROUP_RETAIN, s->b[m]->retain.refuses);
        t->keep_first[m] = add_column(s, GROUP_RETAIN, s->b[m]->retain.first);
        t->keep_said[m] = add_column(s, GROUP_RETAIN, s->b[m]->retain.said);
        t->keep_prob[m] = add_column(s, GROUP_RETAIN, s->b[m]->retain.prob);
        t->keep_wrong[m] = add_column(s, GROUP_RETAIN, s->b[m]->retain.wrong);
        if (m > U && e->phantom) {
            t->phantom_first[m] = add_column(s, GROUP_PHANTOM, s->b[m]->phantom.first);
            t->phantom_prob[m] = add_column(s, GROUP_PHANTOM, s->b[m]->phantom.prob);
            t->phantom_wrong[m] = add_column(s, GROUP_PHANTOM, s->b[m]->phantom.wrong);
        }
        for (int i = 0; i < n_probe; i++) {
            t->probe[m][i] = add_column(s, GROUP_FORGET, s->b[m]->probe[i].forget);
            t->told[m][i] = add_column(s, GROUP_FORGET, s->b[m]->probe[i].said);
        }
        for (int l = 0; l < s->b[m]->n_depth; l++) t->depth[m][l] = add_column(s, GROUP_FORGET, s->b[m]->depth[l]);
    }
    t->control_first = anchor ? t->first[R] : nothing;
    t->control_phantom = anchor && e->phantom ? t->phantom_first[R] : nothing;
    t->phantom_before = e->phantom ? add_column(s, GROUP_PHANTOM, s->b[U]->phantom.first) : nothing;
    const ul_spike *k = &s->b[U]->spike;
    t->taught = add_column(s, GROUP_SPIKE, k->taught);
    t->attacked = add_column(s, GROUP_SPIKE, k->attacked);
    t->blank = add_column(s, GROUP_PHANTOM, k->blank);
    t->blank_attacked = add_column(s, GROUP_PHANTOM, k->blank_attacked);
    if (anchor) return;
    t->first[R] = e->phantom ? t->phantom_before : constant(e->chance);
    t->last[R] = e->phantom ? add_column(s, GROUP_PHANTOM, s->b[U]->phantom.last) : constant(e->chance);
    t->said[R] = e->phantom ? add_column(s, GROUP_PHANTOM, s->b[U]->phantom.said) : constant(0);
    for (int i = 0; i < n_probe; i++) {
        const bool own = e->phantom && s->b[U]->probe[i].phantom;
        t->probe[R][i] = own ? add_column(s, GROUP_PHANTOM, s->b[U]->probe[i].phantom) : t->first[R];
        const bool spoke = e->phantom && s->b[U]->probe[i].phantom_said;
        t->told[R][i] = spoke ? add_column(s, GROUP_PHANTOM, s->b[U]->probe[i].phantom_said) : t->said[R];
    }
}

/* Means of every column, and of every replicate. */
static ul_status resample(sample *s, ul_arena *scratch, ul_evidence *e)
{
    const ul_records *set[N_GROUP] = {s->a->forget, s->a->retain, s->a->phantom, s->a->spike};
    s->width = 1;
    for (int g = 0; g < N_GROUP; g++) {
        s->base[g] = s->width - 1;
        s->width += s->n[g];
    }
    s->mean = UL_NEW(scratch, double, s->width);
    s->rep = UL_NEW(scratch, double, s->n_rep * s->width);
    UL_NEED(s->mean);
    UL_NEED(s->rep);
    for (int g = 0; g < N_GROUP; g++) {
        ul_clusters c;
        if (s->n[g] == 0) continue;
        UL_TRY(ul_records_clusters(scratch, set[g], &c));
        if (g == GROUP_FORGET) e->n_entity = c.n_cluster;
        double *part = UL_NEW(scratch, double, s->n_rep * s->n[g]);
        UL_NEED(part);
        UL_TRY(
            ul_bootstrap_means(scratch, &c, s->column[g], s->n[g], s->a->seed, (uint32_t)g, (uint32_t)s->n_rep, part));
        for (int k = 0; k < s->n[g]; k++) {
            s->mean[s->base[g] + k] = ul_mean(s->column[g][k], set[g]->n);
            for (int64_t i = 0; i < s->n_rep; i++) s->rep[i * s->width + s->base[g] + k] = part[i * s->n[g] + k];
        }
    }
    s->mean[s->width - 1] = 1;
    for (int64_t i = 0; i < s->n_rep; i++) s->rep[(i + 1) * s->width - 1] = 1;
    return UL_OK;
}

static double chance(const ul_records *r)
{
    double sum = 0;
    for (int64_t i = 0; i < r->n; i++) sum += 1.0 / (1 + r->at[i].n_wrong);
    return r->n ? sum / (double)r->n : 0;
}

/* ---- numbers ------------------------------------------------------------------------------------------------------ */
/* Whether the control knows what stays, where the original does. */
static ul_status health(const sample *s, ul_arena *scratch, const table *t, ul_evidence *e)
{
    ul_bound gap;
    const quantity *first = t->keep_first, *said = t->keep_said, none = constant(0);
    UL_TRY(gate(s, scratch, difference(s, first[O], constant(chance(s->a->retain))), &gap, &e->has_control_first));
    UL_TRY(gate(s, scratch, difference(s, said[O], none), &gap, &e->has_control_said));
    if (e->has_control_first)
        UL_TRY(bound_of(s, scratch, quotient(s, first[R], none, first[O], none), 1, &e->control_first, NULL));
    if (!e->has_control_said) return UL_OK;
    return bound_of(s, scratch, quotient(s, said[R], none, said[O], none), 1, &e->control_said, NULL);
}

static ul_status utility(const sample *s, ul_arena *scratch, const table *t, ul_evidence *e)
{
    if (s->b[R]) UL_TRY(health(s, scratch, t, e));
    const bool lower[2] = {s->b[R] && ul_mean(s->b[R]->retain.first, s->b[R]->retain.n) <
                                          ul_mean(s->b[O]->retain.first, s->b[O]->retain.n),
                           s->b[R] && ul_mean(s->b[R]->retain.said, s->b[R]->retain.n) <
                                          ul_mean(s->b[O]->retain.said, s->b[O]->retain.n)};
    UL_TRY(bound_of(s, scratch,
                    quotient(s, t->keep_first[U], constant(0), t->keep_first[lower[0] ? R : O], constant(0)), 1,
                    &e->utility_first, NULL));
    UL_TRY(bound_of(s, scratch, quotient(s, t->keep_said[U], constant(0), t->keep_said[lower[1] ? R : O], constant(0)),
                    1, &e->utility_said, &e->said_informative));
    e->has_text = s->a->text != NULL;
    if (!e->has_text) return UL_OK;
    const ul_battery *base = s->b[O];
    if (s->b[R] && s->b[R]->text_loss > base->text_loss) base = s->b[R];
    const double x = ul_exp(base->text_loss - s->b[U]->text_loss);
    e->utility_text = (ul_bound){x, x, x, x, x};
    return ul_text_interval(s->a, s->b[U], base, &e->text_lo, &e->text_hi);
}

/* What a declared suppression is judged by: silence about the forgotten, and no refusals elsewhere. */
static ul_status silence(const sample *s, ul_arena *scratch, const table *t, ul_evidence *e)
{
    if (!s->b[U]->forget.silent || !s->b[O]->retain.refuses) return UL_OK;
    e->has_silent = true;
    UL_TRY(bound_of(s, scratch, difference(s, t->silent[U], constant(0)), 1, &e->silent, NULL));
    UL_TRY(bound_of(s, scratch, difference(s, t->refuses_kept[U], t->refuses_kept[O]), 1, &e->over_refusal, NULL));
    e->has_silent_beyond = s->b[R] != NULL;
    if (!s->b[R]) return UL_OK;
    return bound_of(s, scratch, difference(s, t->silent[U], t->silent[R]), 1, &e->silent_beyond, NULL);
}

/* What the control knows that it should not. Where the original does not say its answers, saying tells nothing, and
 * chance has to do. */
static ul_status leak(const sample *s, ul_arena *scratch, const table *t, ul_evidence *e)
{
    bool says = false;
    ul_bound gap;
    if (!e->phantom && s->a->own_wrong && s->b[O]->forget.prob)
        UL_TRY(gate(s, scratch, difference(s, t->prob[O], t->wrong[O]), &gap, &says));
    e->held = e->phantom ? UL_HELD_PHANTOMS : says ? UL_HELD_SAID : UL_HELD_CHANCE;
    for (int m = O; m <= R && says; m++) {
        const ratio p = difference(s, t->prob[m], constant(0)), w = difference(s, t->wrong[m], constant(0));
        e->prob[m - O] = value(&p, s->mean, 0);
        e->wrong[m - O] = value(&w, s->mean, 0);
    }
    const quantity unknown = e->phantom ? t->control_phantom : constant(e->chance);
    const ratio seen = says ? quotient(s, t->prob[R], t->wrong[R], t->prob[O], t->wrong[O])
                            : difference(s, t->control_first, unknown);
    return bound_of(s, scratch, seen, 1, &e->leak, NULL);
}

/* Whether a model was taught the phantoms: they are a measure only while it was not. */
static ul_status familiar(const sample *s, ul_arena *scratch, const table *t, int m, ul_familiar *f)
{
    ul_bound gap;
    bool says = false;
    const ratio kept = difference(s, t->keep_prob[m], t->keep_wrong[m]);
    if (s->b[m]->phantom.prob) UL_TRY(gate(s, scratch, kept, &gap, &says));
    *f = (ul_familiar){.ran = says};
    if (says) {
        const ratio share = quotient(s, t->phantom_prob[m], t->phantom_wrong[m], t->keep_prob[m], t->keep_wrong[m]);
        return bound_of(s, scratch, share, 1, &f->x, NULL);
    }
    const quantity guessed = constant(chance(s->a->retain));
    UL_TRY(gate(s, scratch, difference(s, t->keep_first[m], guessed), &gap, &f->ran));
    f->ranked = true;
    return bound_of(s, scratch, difference(s, t->keep_first[m], t->phantom_first[m]), 1, &f->x, NULL);
}

static ul_status surface(const sample *s, ul_arena *scratch, const table *t, ul_evidence *e)
{
    UL_TRY(bound_of(s, scratch, difference(s, t->first[O], constant(0)), 1, &e->known, NULL));
    UL_TRY(gate(s, scratch, difference(s, t->first[O], t->first[R]), &e->gap, &e->surface_informative));
    UL_TRY(gate(s, scratch, difference(s, t->said[O], t->said[R]), &e->told, &e->told_informative));
    UL_TRY(bound_of(s, scratch, quotient(s, t->said[O], t->said[U], t->said[O], t->said[R]), 1, &e->s, NULL));
    UL_TRY(bound_of(s, scratch, quotient(s, t->first[O], t->first[U], t->first[O], t->first[R]), 1, &e->s_first, NULL));
    if (e->control) UL_TRY(leak(s, scratch, t, e));
    for (int m = O; m <= (e->control ? R : O) && e->phantom; m++)
        UL_TRY(familiar(s, scratch, t, m, &e->familiar[m - O]));
    int n;
    const ul_probe *probe = ul_probes(&n);
    for (int i = 0; i < n; i++) {
        const bool rtt = probe[i].run == ul_probe_rtt, unlock = probe[i].run == ul_probe_unlock;
        if (e->control && rtt && s->b[R]->probe[i].ran) {
            UL_TRY(bound_of(s, scratch, difference(s, t->probe[R][i], t->control_first), 1, &e->sham, &e->has_sham));
            return UL_OK;
        }
        if (!e->control && e->phantom && unlock && s->b[U]->probe[i].ran)
            UL_TRY(bound_of(s, scratch, difference(s, t->probe[R][i], t->phantom_before), 1, &e->sham, &e->has_sham));
    }
    return UL_OK;
}

/* Whether a probe can say anything; counts those that can. */
static ul_status gates(const sample *s, ul_arena *scratch, const table *t, ul_evidence *e)
{
    int n;
    const ul_probe *probe = ul_probes(&n);
    const double limit = ul_num(s->a->rule, "sham");
    e->n_recovery = n;
    e->m = 2; /* inverse, avoided */
    for (int i = 0; i < n; i++) {
        ul_recovery *x = &e->recovery[i];
        *x = (ul_recovery){.id = probe[i].id,
                           .title = probe[i].title,
                           .shows = probe[i].shows,
                           .role = probe[i].donor && !s->a->base ? UL_SHOWN : probe[i].role,
                           .expression = probe[i].expression};
        x->ran = s->b[U]->probe[i].ran && s->b[O]->probe[i].ran && (!s->b[R] || s->b[R]->probe[i].ran);
        if (!x->ran) continue;
        ul_bound gap;
        UL_TRY(gate(s, scratch, difference(s, t->probe[O][i], t->probe[R][i]), &gap, &x->informative));
        if (!x->informative) x->why_not = "the original and the anchor are too close under this attack";
        const bool needs_sham = probe[i].run == ul_probe_rtt || probe[i].run == ul_probe_unlock;
        if (needs_sham && e->has_sham && e->sham.lo > limit) {
            x->informative = false;
            x->why_not = "its sham rises: what is taught tells what is asked";
        }
        e->m += x->informative && x->role != UL_SHOWN;
    }
    bool open = false;
    e->depth_layers = 0;
    for (int l = 0; s->b[R] && l + 1 < s->b[U]->n_depth && e->depth_layers < MAX_TERM / 2; l++) {
        ul_bound b;
        UL_TRY(gate(s, scratch, difference(s, t->depth[O][l], t->depth[R][l]), &b, &open));
        if (!open) continue;
        e->depth_layer[e->depth_layers++] = l;
    }
    e->depth_informative = e->depth_layers > 0;
    e->m += e->depth_informative;
    return UL_OK;
}

/* What is said under an attack that only asks: each by itself, because the worst of them decides (17.2). */
static ul_status told(const sample *s, ul_arena *scratch, const table *t, int i, ul_recovery *x)
{
    ul_bound gap;
    bool open = false, fine = false;
    if (!s->b[U]->probe[i].said || !s->b[O]->probe[i].said) return UL_OK;
    for (int m = U; m <= R; m++) {
        const ratio k = difference(s, t->told[m][i], constant(0));
        x->said[m] = value(&k, s->mean, 0);
    }
    UL_TRY(gate(s, scratch, difference(s, t->told[O][i], t->told[R][i]), &gap, &open));
    if (!open) return UL_OK;
    UL_TRY(bound_of(s, scratch, quotient(s, t->told[O][i], t->told[U][i], t->told[O][i], t->told[R][i]), 1, &x->s, &fine));
    x->has_said = fine;
    return UL_OK;
}

static ul_status recoveries(const sample *s, ul_arena *scratch, const table *t, ul_evidence *e)
{
    const quantity *e_of = e->told_informative ? t->said : t->first;
    const ratio forgotten = quotient(s, e_of[O], e_of[U], e_of[O], e_of[R]);
    double point_s, *rep_s = UL_NEW(scratch, double, s->n_rep), point, *rep = UL_NEW(scratch, double, s->n_rep);
    UL_NEED(rep_s);
    UL_NEED(rep);
    replicates(s, &forgotten, &point_s, rep_s);
    for (int i = 0; i < e->n_recovery; i++) {
        ul_recovery *x = &e->recovery[i];
        if (!x->ran) continue;
        for (int m = U; m <= R; m++) {
            const ratio k = difference(s, t->probe[m][i], constant(0));
            x->k[m] = value(&k, s->mean, 0);
        }
        UL_TRY(told(s, scratch, t, i, x));
        if (!x->informative) continue;
        const ratio r = quotient(s, t->probe[U][i], t->probe[R][i], t->probe[O][i], t->probe[R][i]);
        double *difference_rep = UL_NEW(scratch, double, s->n_rep);
        UL_NEED(difference_rep);
        replicates(s, &r, &point, rep);
        for (int64_t k = 0; k < s->n_rep; k++) difference_rep[k] = rep[k] - (1 - rep_s[k]);
        const bool fine =
            bounds(s, point, rep, e->m, &x->rho) && bounds(s, point - (1 - point_s), difference_rep, e->m, &x->excess);
        if (!fine) {
            x->informative = false;
            x->why_not = "too many resamples leave no gap between the original and the anchor";
        }
    }
    UL_TRY(bound_of(s, scratch, quotient(s, t->last[U], t->last[R], t->first[O], t->first[R]), e->m, &e->inverse,
                    &e->inverse_informative));
    UL_TRY(bound_of(s, scratch, quotient(s, t->first[R], t->first[U], t->first[R], constant(0)), e->m, &e->avoided,
                    &e->avoided_informative));
    if (!e->depth_informative) return UL_OK;
    ratio d = {.n_num = 0};
    for (int k = 0; k < e->depth_layers; k++) {
        const int l = e->depth_layer[k];
        plus(s, &d, t->depth[U][l], 1);
        plus(s, &d, t->depth[R][l], -1);
        over(s, &d, t->first[O], 1);
        over(s, &d, t->first[R], -1);
    }
    replicates(s, &d, &point, rep);
    double *excess = UL_NEW(scratch, double, s->n_rep);
    UL_NEED(excess);
    for (int64_t k = 0; k < s->n_rep; k++) excess[k] = rep[k] - (1 - rep_s[k]);
    e->depth_informative =
        bounds(s, point, rep, e->m, &e->depth) && bounds(s, point - (1 - point_s), excess, e->m, &e->depth_excess);
    return UL_OK;
}

/* Columns of I1: per row, from what U's and R's states cost the original. */
static ul_status inside_columns(sample *s, ul_arena *scratch, table *t)
{
    const int n = s->b[U]->n_patched;
    const int64_t rows = s->a->forget->n;
    double *kept = UL_NEW(scratch, double, rows), *has = UL_NEW(scratch, double, rows);
    UL_NEED(kept);
    UL_NEED(has);
    if (!s->b[R] || n == 0 || s->b[O]->n_patched != n || s->b[R]->n_patched != n) return UL_OK;
    for (int64_t i = 0; i < rows; i++) {
        double model[UL_MAX_DEPTH], control[UL_MAX_DEPTH];
        for (int l = 0; l < n; l++) {
            control[l] = s->b[O]->patched[l][i] - s->b[R]->patched[l][i];
            model[l] = s->b[O]->patched[l][i] - s->b[U]->patched[l][i];
        }
        const double x = ul_depth_score(control, model, n, ul_num(s->a->rule, "patch-tau"));
        has[i] = !isnan(x);
        kept[i] = isnan(x) ? 0 : 1 - x;
    }
    t->kept_inside = add_column(s, GROUP_FORGET, kept);
    t->has_inside = add_column(s, GROUP_FORGET, has);
    return UL_OK;
}

static ul_status inside(const sample *s, ul_arena *scratch, const table *t, ul_evidence *e)
{
    if (t->has_inside.group != GROUP_FORGET || t->has_inside.weight == 0) return UL_OK;
    return bound_of(s, scratch, quotient(s, t->kept_inside, constant(0), t->has_inside, constant(0)), 1, &e->patch, &e->has_patch);
}

static ul_status sensitivity(const sample *s, ul_arena *scratch, const table *t, ul_evidence *e)
{
    ul_bound gap;
    if (!s->b[U]->spike.ran) return UL_OK;
    UL_TRY(gate(s, scratch, difference(s, t->taught, t->blank), &gap, &e->has_sensitivity));
    if (!e->has_sensitivity) return UL_OK;
    return bound_of(s, scratch, quotient(s, t->attacked, t->blank_attacked, t->taught, t->blank), 1, &e->sensitivity,
                    &e->has_sensitivity);
}

static ul_status collect(sample *s, ul_arena *scratch, ul_evidence *e)
{
    table *t = UL_NEW(scratch, table, 1);
    UL_NEED(t);
    collect_columns(s, t, e);
    UL_TRY(inside_columns(s, scratch, t));
    UL_TRY(resample(s, scratch, e));
    UL_TRY(surface(s, scratch, t, e));
    if (!e->told_informative) e->s = e->s_first; /* the original knows but does not say */
    if (!ul_bound_finite(&e->s))
        UL_NEED(e->not_measured = ul_format(s->a->arena, "what the original says and ranks first is too close to the "
                                                         "anchor's: %.2f and %.2f more", e->told.value, e->gap.value));
    UL_TRY(utility(s, scratch, t, e));
    UL_TRY(gates(s, scratch, t, e));
    UL_TRY(sensitivity(s, scratch, t, e));
    UL_TRY(inside(s, scratch, t, e));
    UL_TRY(silence(s, scratch, t, e));
    UL_TRY(ul_mia_compare(s->a, &s->b[U]->mia, &s->b[O]->mia, s->b[R] ? &s->b[R]->mia : NULL, &e->membership));
    return recoveries(s, scratch, t, e);
}

ul_status ul_evidence_collect(const ul_audit *a, const ul_battery *u, const ul_battery *o, const ul_battery *r,
                              ul_evidence *out)
{
    ul_arena *scratch;
    UL_TRY(ul_arena_new(a->ctx, "evidence", &scratch));
    sample *s = UL_NEW(scratch, sample, 1);
    *out = (ul_evidence){.control = r != NULL,
                         .phantom = a->phantom != NULL,
                         .deep_enough = a->profile >= UL_STANDARD,
                         .n_row = a->forget->n,
                         .chance = chance(a->forget)};
    ul_status st = s ? UL_OK : UL_E_RESOURCE;
    if (s) {
        *s = (sample){
            .a = a, .b = {u, o, r}, .n_rep = (int64_t)ul_num(a->rule, "replicates"), .alpha = ul_num(a->rule, "alpha")};
        st = collect(s, scratch, out);
    }
    ul_arena_free(scratch);
    return st;
}
