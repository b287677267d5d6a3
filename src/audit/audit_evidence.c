/* audit_evidence.c - from three models under the same attacks to recoveries with bounds (metrics.md 16.2 - 16.5).
 *
 *   rho_a = (K(a(U)) - K(a(R))) / (K(a(O)) - K(a(R)))    0: as if never trained, 1: as the original, under this attack
 *   s     = (E(O) - E(U)) / (E(O) - E(R))                E: what is expressed (ul_expressed); that of K1 is printed too
 *   depth = mean over layers below the last of (K_l(U) - K_l(R)) / (K(O) - K(R)), layers where O and R differ; over the
 *           gap of the whole model, because how much a layer shows varies from one training to the next (half of the
 *           people read 0.75 over a layer's own)
 *   inv   = (last(U) - last(R)) / (K(O) - K(R))          the true answer ranked last: knowledge used to avoid it
 *   avoided = 1 - K(U) / K(R): a model that knows a share k of the answers and never ranks those first, and guesses the
 *           rest as the control does, has K(U) = (1 - k) K(R)
 *
 *   patch = 1 - UDS (probe_patch.c), a mean over the rows that have one; no rule reads it
 *
 * Without a retrained control the anchor is what U itself knows of phantoms under the same attack (16.7), without these
 * the level of chance. Resampling: audit_sample.c; the ratios: audit_ratio.c; the control: audit_control.c; what was
 * to stay: audit_keep.c; the negative control: audit_negative.c; how fast it is relearned: audit_savings.c; another
 * measure in the place of s: audit_measures.c. */
#include "audit/evidence.h"
#include <math.h>

enum { U = UL_OF_MODEL, O = UL_OF_ORIGINAL, R = UL_OF_CONTROL };

bool ul_bound_finite(const ul_bound *b)
{
    return isfinite(b->value) && isfinite(b->lo) && isfinite(b->hi);
}

/* ---- the table of columns ---------------------------------------------------------------------------------------- */
static void collect_columns(ul_sampling *s, ul_table *t, const ul_evidence *e)
{
    int n_probe;
    (void)ul_probes_of(s->a, &n_probe);
    const ul_battery *anchor = s->b[R];
    for (int m = U; m <= (anchor ? R : O); m++) {
        t->first[m] = ul_sampling_add(s, UL_DRAW_FORGET, s->b[m]->forget.first);
        t->last[m] = ul_sampling_add(s, UL_DRAW_FORGET, s->b[m]->forget.last);
        t->said[m] = ul_sampling_add(s, UL_DRAW_FORGET, s->b[m]->forget.said);
        t->prob[m] = ul_sampling_add(s, UL_DRAW_FORGET, s->b[m]->forget.prob);
        t->wrong[m] = ul_sampling_add(s, UL_DRAW_FORGET, s->b[m]->forget.wrong);
        t->silent[m] = ul_sampling_add(s, UL_DRAW_FORGET, s->b[m]->forget.silent);
        for (int i = 0; i < n_probe; i++) {
            t->probe[m][i] = ul_sampling_add(s, UL_DRAW_FORGET, s->b[m]->probe[i].forget);
            t->told[m][i] = ul_sampling_add(s, UL_DRAW_FORGET, s->b[m]->probe[i].said);
        }
        for (int l = 0; l < s->b[m]->n_depth; l++)
            t->depth[m][l] = ul_sampling_add(s, UL_DRAW_FORGET, s->b[m]->depth[l]);
    }
    t->phantom_before = e->phantom ? ul_sampling_add(s, UL_DRAW_PHANTOM, s->b[U]->phantom.first) : ul_no_quantity;
    const ul_spike *k = &s->b[U]->spike;
    t->taught = ul_sampling_add(s, UL_DRAW_SPIKE, k->taught);
    t->attacked = ul_sampling_add(s, UL_DRAW_SPIKE, k->attacked);
    t->blank = ul_sampling_add(s, UL_DRAW_PHANTOM, k->blank);
    t->blank_attacked = ul_sampling_add(s, UL_DRAW_PHANTOM, k->blank_attacked);
    if (anchor) return;
    t->first[R] = e->phantom ? t->phantom_before : ul_sampling_constant(e->chance);
    t->last[R] = ul_sampling_constant(e->chance), t->said[R] = t->prob[R] = ul_sampling_constant(0);
    if (e->phantom) t->last[R] = ul_sampling_add(s, UL_DRAW_PHANTOM, s->b[U]->phantom.last);
    if (e->phantom) t->said[R] = ul_sampling_add(s, UL_DRAW_PHANTOM, s->b[U]->phantom.said);
    if (e->phantom) t->prob[R] = ul_sampling_add(s, UL_DRAW_PHANTOM, s->b[U]->phantom.prob);
    for (int i = 0; i < n_probe; i++) {
        const bool own = e->phantom && s->b[U]->probe[i].phantom;
        t->probe[R][i] = own ? ul_sampling_add(s, UL_DRAW_PHANTOM, s->b[U]->probe[i].phantom) : t->first[R];
        const bool spoke = e->phantom && s->b[U]->probe[i].phantom_said;
        t->told[R][i] = spoke ? ul_sampling_add(s, UL_DRAW_PHANTOM, s->b[U]->probe[i].phantom_said) : t->said[R];
    }
}

/* ---- numbers ----------------------------------------------------------------------------------------------------- */
/* What a declared suppression is judged by: silence about the forgotten, and no refusals elsewhere. */
static ul_status silence(const ul_sampling *s, ul_arena *scratch, const ul_table *t, ul_evidence *e)
{
    if (!s->b[U]->forget.silent || !s->b[O]->retain.refuses) return UL_OK;
    e->has_silent = true;
    UL_TRY(ul_sampling_bound(s, scratch, ul_difference(s, t->silent[U], ul_sampling_constant(0)), 1, &e->silent, NULL));
    const ul_ratio more = ul_difference(s, t->refuses_kept[U], t->refuses_kept[O]);
    UL_TRY(ul_sampling_bound(s, scratch, more, 1, &e->over_refusal, NULL));
    e->has_silent_beyond = s->b[R] != NULL;
    if (!s->b[R]) return UL_OK;
    return ul_sampling_bound(s, scratch, ul_difference(s, t->silent[U], t->silent[R]), 1, &e->silent_beyond, NULL);
}

static ul_status surface(const ul_sampling *s, ul_arena *scratch, const ul_table *t, ul_evidence *e)
{
    UL_TRY(ul_sampling_bound(s, scratch, ul_difference(s, t->first[O], ul_sampling_constant(0)), 1, &e->known, NULL));
    UL_TRY(ul_sampling_gate(s, scratch, ul_difference(s, t->first[O], t->first[R]), &e->gap, &e->surface_informative));
    bool told = false;
    for (int by = UL_EXPRESSED_SAID; by <= UL_EXPRESSED_RANKED && !told; by++) {
        const ul_quantity *x = ul_expression(t, by);
        e->expressed = by;
        UL_TRY(ul_sampling_gate(s, scratch, ul_difference(s, x[O], x[R]), &e->told, &told));
    }
    UL_TRY(ul_sampling_bound(s, scratch, ul_forgotten(s, ul_expression(t, e->expressed)), 1, &e->s, NULL));
    UL_TRY(ul_sampling_bound(s, scratch, ul_forgotten(s, t->first), 1, &e->s_first, NULL));
    int n;
    const ul_probe *probe = ul_probes_of(s->a, &n);
    for (int i = 0; i < n; i++) {
        const bool rtt = probe[i].run == ul_probe_rtt, unlock = probe[i].run == ul_probe_unlock;
        if (e->control && rtt && s->b[R]->probe[i].ran) {
            const ul_ratio rise = ul_difference(s, t->probe[R][i], t->control_first);
            return ul_sampling_bound(s, scratch, rise, 1, &e->sham, &e->has_sham);
        }
        if (!e->control && e->phantom && unlock && s->b[U]->probe[i].ran) {
            const ul_ratio rise = ul_difference(s, t->probe[R][i], t->phantom_before);
            UL_TRY(ul_sampling_bound(s, scratch, rise, 1, &e->sham, &e->has_sham));
        }
    }
    return UL_OK;
}

/* Whether a probe can say anything; counts those that can. */
static ul_status gates(const ul_sampling *s, ul_arena *scratch, const ul_table *t, ul_evidence *e)
{
    int n;
    const ul_probe *probe = ul_probes_of(s->a, &n);
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
        UL_TRY(ul_sampling_gate(s, scratch, ul_difference(s, t->probe[O][i], t->probe[R][i]), &gap, &x->informative));
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
    for (int l = 0; s->b[R] && l + 1 < s->b[U]->n_depth && e->depth_layers < UL_MAX_TERM / 2; l++) {
        ul_bound b;
        UL_TRY(ul_sampling_gate(s, scratch, ul_difference(s, t->depth[O][l], t->depth[R][l]), &b, &open));
        if (!open) continue;
        e->depth_layer[e->depth_layers++] = l;
    }
    e->depth_informative = e->depth_layers > 0;
    e->m += e->depth_informative;
    return UL_OK;
}

/* What is said under an attack that only asks: each by itself, because the worst of them decides (17.2). */
static ul_status told(const ul_sampling *s, ul_arena *scratch, const ul_table *t, int i, ul_recovery *x)
{
    ul_bound gap;
    bool open = false, fine = false;
    if (!s->b[U]->probe[i].said || !s->b[O]->probe[i].said) return UL_OK;
    for (int m = U; m <= R; m++) {
        const ul_ratio k = ul_difference(s, t->told[m][i], ul_sampling_constant(0));
        x->said[m] = ul_ratio_value(&k, s->mean, 0);
    }
    UL_TRY(ul_sampling_gate(s, scratch, ul_difference(s, t->told[O][i], t->told[R][i]), &gap, &open));
    if (!open) return UL_OK;
    const ul_ratio still = ul_quotient(s, t->told[O][i], t->told[U][i], t->told[O][i], t->told[R][i]);
    UL_TRY(ul_sampling_bound(s, scratch, still, 1, &x->s, &fine));
    x->has_said = fine;
    return UL_OK;
}

static ul_status recoveries(const ul_sampling *s, ul_arena *scratch, const ul_table *t, ul_evidence *e)
{
    const ul_ratio silent = ul_forgotten(s, ul_expression(t, e->expressed));
    double point_s, *rep_s = UL_NEW(scratch, double, s->n_rep), *rep = UL_NEW(scratch, double, s->n_rep);
    UL_NEED(rep_s);
    UL_NEED(rep);
    ul_ratio_replicates(s, &silent, &point_s, rep_s);
    for (int i = 0; i < e->n_recovery; i++) {
        ul_recovery *x = &e->recovery[i];
        if (!x->ran) continue;
        for (int m = U; m <= R; m++) {
            const ul_ratio k = ul_difference(s, t->probe[m][i], ul_sampling_constant(0));
            x->k[m] = ul_ratio_value(&k, s->mean, 0);
        }
        UL_TRY(told(s, scratch, t, i, x));
        if (!x->informative) continue;
        const ul_ratio r = ul_quotient(s, t->probe[U][i], t->probe[R][i], t->probe[O][i], t->probe[R][i]);
        bool fine;
        UL_TRY(ul_sampling_bound(s, scratch, r, e->m, &x->rho, &fine));
        if (!fine || !ul_beyond(s, &r, point_s, rep_s, rep, e->m, &x->excess)) {
            x->informative = false;
            x->why_not = "too many resamples leave no gap between the original and the anchor";
        }
    }
    const ul_ratio inverse = ul_quotient(s, t->last[U], t->last[R], t->first[O], t->first[R]),
                   avoided = ul_quotient(s, t->first[R], t->first[U], t->first[R], ul_sampling_constant(0));
    UL_TRY(ul_sampling_bound(s, scratch, inverse, e->m, &e->inverse, &e->inverse_informative));
    UL_TRY(ul_sampling_bound(s, scratch, avoided, e->m, &e->avoided, &e->avoided_informative));
    if (!e->depth_informative) return UL_OK;
    const ul_ratio d = ul_depth_recovery(s, t, e);
    bool fine;
    UL_TRY(ul_sampling_bound(s, scratch, d, e->m, &e->depth, &fine));
    e->depth_informative = fine && ul_beyond(s, &d, point_s, rep_s, rep, e->m, &e->depth_excess);
    return UL_OK;
}

/* Columns of I1: per row, from what U's and R's states cost the original. */
static ul_status inside_columns(ul_sampling *s, ul_arena *scratch, ul_table *t)
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
    t->kept_inside = ul_sampling_add(s, UL_DRAW_FORGET, kept);
    t->has_inside = ul_sampling_add(s, UL_DRAW_FORGET, has);
    return UL_OK;
}

static ul_status inside(const ul_sampling *s, ul_arena *scratch, const ul_table *t, ul_evidence *e)
{
    if (!ul_quantity_is(t->has_inside)) return UL_OK;
    const ul_quantity none = ul_sampling_constant(0);
    const ul_ratio r = ul_quotient(s, t->kept_inside, none, t->has_inside, none);
    return ul_sampling_bound(s, scratch, r, 1, &e->patch, &e->has_patch);
}

static ul_status sensitivity(const ul_sampling *s, ul_arena *scratch, const ul_table *t, ul_evidence *e)
{
    ul_bound gap;
    if (!s->b[U]->spike.ran) return UL_OK;
    UL_TRY(ul_sampling_gate(s, scratch, ul_difference(s, t->taught, t->blank), &gap, &e->has_sensitivity));
    if (!e->has_sensitivity) return UL_OK;
    const ul_ratio share = ul_quotient(s, t->attacked, t->blank_attacked, t->taught, t->blank);
    return ul_sampling_bound(s, scratch, share, 1, &e->sensitivity, &e->has_sensitivity);
}

static ul_status collect(ul_sampling *s, ul_arena *scratch, ul_evidence *e)
{
    ul_table *t = UL_NEW(scratch, ul_table, 1);
    UL_NEED(t);
    collect_columns(s, t, e);
    ul_keep_columns(s, t);
    ul_control_columns(s, t, e);
    ul_distance_columns(s, t);
    UL_TRY(ul_negative_columns(s, scratch, t, e));
    UL_TRY(inside_columns(s, scratch, t));
    UL_TRY(ul_savings_columns(s, scratch, t));
    UL_TRY(ul_sampling_resample(s, scratch, &e->n_entity));
    UL_TRY(surface(s, scratch, t, e));
    UL_TRY(ul_control_measure(s, scratch, t, e));
    if (!ul_bound_finite(&e->s))
        UL_NEED(e->not_measured = ul_format(s->a->arena,
                                            "in what it says, in the answers' probability and in what it ranks first "
                                            "the original is too close to the anchor: it ranks %.2f more first",
                                            e->gap.value));
    UL_TRY(ul_keep_measure(s, scratch, t, e));
    UL_TRY(gates(s, scratch, t, e));
    UL_TRY(sensitivity(s, scratch, t, e));
    UL_TRY(inside(s, scratch, t, e));
    UL_TRY(silence(s, scratch, t, e));
    UL_TRY(ul_mia_compare(s->a, &s->b[U]->mia, &s->b[O]->mia, s->b[R] ? &s->b[R]->mia : NULL, &e->membership));
    UL_TRY(recoveries(s, scratch, t, e));
    UL_TRY(ul_savings_measure(s, scratch, t, e));
    UL_TRY(ul_measures_other(s, scratch, t, e));
    UL_TRY(ul_distance_compare(s, scratch, t, e));
    return ul_negative_measure(s, scratch, t, e);
}

ul_status ul_evidence_collect(const ul_audit *a, const ul_battery *u, const ul_battery *o, const ul_battery *r,
                              ul_evidence *out)
{
    ul_arena *scratch;
    UL_TRY(ul_arena_new(a->ctx, "evidence", &scratch));
    ul_sampling *s = UL_NEW(scratch, ul_sampling, 1);
    *out = (ul_evidence){.control = r != NULL,
                         .phantom = a->phantom != NULL,
                         .deep_enough = a->profile >= UL_STANDARD,
                         .n_row = a->forget->n,
                         .chance = ul_rows_chance(a->forget)};
    ul_status st = s ? UL_OK : UL_E_RESOURCE;
    if (s) {
        uint8_t *keep;
        *s = (ul_sampling){.a = a,
                         .scratch = scratch,
                         .b = {u, o, r},
                         .n_rep = (int64_t)ul_num(a->rule, "replicates"),
                         .alpha = ul_num(a->rule, "alpha")};
        st = ul_hygiene_keep(a, scratch, o, r, &keep);
        s->keep = keep;
        for (int64_t i = 0; keep && i < a->forget->n; i++) out->n_row -= !keep[i];
        if (st == UL_OK) st = collect(s, scratch, out);
    }
    ul_arena_free(scratch);
    return st;
}
