/* audit_battery.c - one model under every probe of a profile. */
#include "audit/audit_kept.h"
#include <math.h>
#include <string.h>

ul_status ul_probe_measure(const ul_probing *p, ul_model *m, ul_probed *out)
{
    const ul_audit *a = p->audit;
    ul_eval_options o = a->o;
    ul_knowledge f, n, ph = {0};
    o.model = m;
    UL_TRY(ul_knowledge_measure(a->ctx, a->arena, &o, a->forget, false, &f));
    UL_TRY(ul_knowledge_measure(a->ctx, a->arena, &o, a->retain, false, &n));
    if (a->phantom) UL_TRY(ul_knowledge_measure(a->ctx, a->arena, &o, a->phantom, false, &ph));
    out->forget = f.first;
    out->phantom = ph.first;
    out->retain = ul_mean(n.first, n.n);
    out->stays = n.first;
    out->ran = true;
    return UL_OK;
}

/* ---- parts: each is read where it was kept, else made and kept ------------------------------------------------- */
static ul_status surface(ul_battery_part *x)
{
    const ul_audit *a = x->audit;
    const ul_suspect *s = x->suspect;
    ul_battery *b = x->battery;
    ul_eval_options o = a->o;
    o.model = s->model;
    b->mia = (ul_mia){.ran = false};
    o.guard = s->guard;
    UL_TRY(ul_knowledge_measure(a->ctx, a->arena, &o, a->forget, true, &b->forget));
    UL_TRY(ul_knowledge_measure(a->ctx, a->arena, &o, a->retain, true, &b->retain));
    if (a->phantom) UL_TRY(ul_knowledge_measure(a->ctx, a->arena, &o, a->phantom, true, &b->phantom));
    if (a->neighbours) UL_TRY(ul_knowledge_measure(a->ctx, a->arena, &o, a->neighbours, true, &b->neighbours));
    if (a->text) UL_TRY(ul_text_loss(a, s->model, a->text, &b->text_each, &b->text_loss));
    return ul_mia_measure(a, s->model, s->guard, &b->mia);
}

static ul_status depth(ul_battery_part *x)
{
    const ul_audit *a = x->audit;
    ul_model *m = x->suspect->model;
    ul_battery *b = x->battery;
    const int layers = ul_model_shape(m)->n_layer;
    b->n_patched = 0;
    b->n_depth = layers < UL_MAX_DEPTH ? layers : UL_MAX_DEPTH;
    for (int l = 1; l <= b->n_depth; l++) {
        UL_NEED(b->depth[l - 1] = UL_NEW(a->arena, double, a->forget->n));
        UL_TRY(ul_depth_measure(a, m, l, b->depth[l - 1]));
    }
    if (a->profile < UL_DEEP || !a->original) return UL_OK;
    for (int l = 0; l < b->n_depth; l++) UL_NEED(b->patched[l] = UL_NEW(a->arena, double, a->forget->n));
    if (layers > UL_MAX_DEPTH) return UL_OK; /* I1 sums over all layers or none */
    UL_TRY(ul_patch_measure(a->ctx, &a->o, a->original, a->forget, m, b->patched));
    b->n_patched = layers;
    return UL_OK;
}

/* Where relearning curves begin: at what the weights know. */
static ul_status unguarded(ul_battery_part *x)
{
    const ul_audit *a = x->audit;
    ul_eval_options o = a->o;
    ul_knowledge f, n;
    o.model = x->probing->model;
    UL_TRY(ul_knowledge_measure(a->ctx, a->arena, &o, a->forget, false, &f));
    UL_TRY(ul_knowledge_measure(a->ctx, a->arena, &o, a->retain, false, &n));
    x->battery->unguarded = f.first;
    x->probing->forget = ul_mean(f.first, f.n);
    x->probing->retain = ul_mean(n.first, n.n);
    return UL_OK;
}

static ul_status spike(ul_battery_part *x)
{
    x->battery->spike = (ul_spike){.ran = false};
    return ul_spike_run(x->audit, x->suspect->model, x->suspect->work, &x->battery->spike);
}

static ul_status probed(ul_battery_part *x)
{
    int n;
    const ul_probe *probe = &ul_probes_of(x->audit, &n)[x->probe];
    x->battery->probe[x->probe] = (ul_probed){.ran = false};
    return probe->run(x->probing, probe, &x->battery->probe[x->probe]);
}

/* `guarded`: it was asked through the guard, which is part of its name. */
static ul_status have(ul_battery_part *x, const char *name, bool guarded, ul_fold_fn *fold,
                      ul_status (*make)(ul_battery_part *x))
{
    ul_arena *arena = x->audit->arena;
    ul_kept_parts *kept = x->suspect->kept;
    const ul_guard_file *guard = guarded ? x->suspect->guard : NULL;
    const int64_t begun = ul_now_ns();
    bool found;
    if (guard) UL_NEED(name = ul_format(arena, "%s behind %s", name, guard->digest));
    UL_TRY(ul_kept_get(kept, arena, name, fold, x, &found));
    if (!found) {
        UL_TRY(make(x));
        x->seconds = (double)(ul_now_ns() - begun) * 1e-9;
        UL_TRY(ul_kept_put(kept, arena, name, fold, x));
    }
    x->battery->seconds += x->seconds; /* what the numbers cost, whenever that was */
    return UL_OK;
}

/* What stands in the weights, before any attack on them. */
static ul_status weights(ul_battery_part *x)
{
    const ul_audit *a = x->audit;
    const ul_battery *b = x->battery;
    const char *method = ul_txt(a->attack, "spike");
    if (x->suspect->guard) {
        UL_TRY(have(x, "without the guard", false, ul_fold_unguarded, unguarded));
    } else {
        x->probing->forget = ul_mean(b->forget.first, b->forget.n);
        x->probing->retain = ul_mean(b->retain.first, b->retain.n);
    }
    UL_TRY(have(x, a->profile < UL_DEEP ? "depth" : "depth, patched", false, ul_fold_depth, depth));
    UL_TRY(ul_model_select(a->ctx, x->suspect->work, ul_txt(a->attack, "attack-train")));
    return method && *method ? have(x, "spike-in", false, ul_fold_spike, spike) : UL_OK;
}

/* What attacks on the same weights have found already. */
static void take_over(const ul_battery *from, ul_battery *b)
{
    int n;
    const ul_probe *probe = ul_probes(&n); /* what each is, whatever its strength */
    for (int i = 0; i < n; i++)
        if (!probe[i].expression) b->probe[i] = from->probe[i];
    b->unguarded = from->guard ? from->unguarded : from->forget.first;
    b->n_depth = from->n_depth;
    b->n_patched = from->n_patched;
    memcpy(b->depth, from->depth, sizeof b->depth);
    memcpy(b->patched, from->patched, sizeof b->patched);
    b->spike = from->spike;
}

ul_status ul_battery_run(const ul_audit *audit, const ul_suspect *s, ul_battery *b)
{
    ul_audit a = *audit;
    ul_probing p = {.audit = &a, .model = s->model, .work = s->work, .guard = s->guard};
    ul_battery_part x = {.audit = &a, .suspect = s, .battery = b, .probing = &p};
    int n;
    const ul_probe *probe = ul_probes_of(audit, &n);
    a.rule = NULL; /* what is found depends on no threshold: it is kept for every one */
    b->name = s->name;
    b->guard = s->guard;
    UL_TRY(have(&x, "asked", true, ul_fold_asked, surface));
    p.answer = b->forget.answer;
    p.phantom_answer = b->phantom.answer;
    if (s->weights) take_over(s->weights, b);
    else UL_TRY(weights(&x));
    for (x.probe = 0; x.probe < n; x.probe++) {
        const ul_probe *of = &probe[x.probe];
        if (of->from > a.profile || (s->weights && !of->expression) || isnan(of->strength)) continue;
        UL_TRY(have(&x, of->id, of->expression, ul_fold_probed, probed));
        b->probe[x.probe].seconds = x.seconds;
    }
    ul_note(a.ctx, UL_LOG_INFO, "%-14s asked and attacked: K1 %.2f of the forgotten, %.2f of those who stay (%.1f s)",
            s->name, ul_mean(b->forget.first, b->forget.n), ul_mean(b->retain.first, b->retain.n), b->seconds);
    if (s->kept && s->kept->found)
        ul_note(a.ctx, UL_LOG_INFO, "%-14s %d parts of it were read from %s", s->name, s->kept->found, s->kept->dir);
    return UL_OK;
}
