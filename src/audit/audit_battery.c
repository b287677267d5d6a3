/* audit_battery.c - one model under every probe of a profile, and the table of probes. */
#include "audit/audit_kept.h"
#include <math.h>
#include <string.h>

const ul_param ul_attack_params[] = {
    {"attack-lr", UL_REAL, 0, 0, 10, NULL,
     "learning rate of attacks that train; 0: half of what `train` takes for this size. Choose half of "
     "the rate the model was trained with; chosen on controls, then left alone",
     NULL},
    {"attack-steps", UL_INT, 80, 1, 1e6, "steps", "length of attacks that train", NULL},
    {"attack-schedule", UL_TEXT, 0, 0, 0, "cosine|constant",
     "after --attack-warmup: constant, or down to 0 along a cosine, which leaves the "
     "attacked model settled",
     "cosine"},
    {"attack-warmup", UL_INT, 5, 0, 1e6, "steps", "in which the rate of attacks that train rises to its height", NULL},
    {"attack-batch", UL_INT, 32, 2, 1 << 16, "samples",
     "batch of attacks that train; half as many retain rows join where an attack mixes", NULL},
    {"curve-points", UL_INT, 2, 0, 64, NULL, "points of a relearning curve between its ends", NULL},
    {"forget-rows", UL_INT, 0, 0, 1 << 20, "rows",
     "forget rows that are asked, whole people spread evenly over the file; attacks still see all. 0: all", NULL},
    {"retain-rows", UL_INT, 200, 1, 1 << 20, "rows",
     "retain and phantom rows that are asked, spread evenly over their files", NULL},
    {"options", UL_INT, 4, 2, 64, NULL, "wrong answers drawn from other rows where a row has none", NULL},
    {"spike", UL_TEXT, 0, 0, 0, NULL,
     "measure the audit's own sensitivity: the model is taught phantoms, forgets them by this method (npo, ga, ...) and is "
     "attacked; needs --phantom. Without a control nothing found counts only with it",
     ""},
    {"spike-steps", UL_INT, 320, 1, 1e6, "steps", "teaching of the spike-in", NULL},
    {"spike-forget", UL_INT, 70, 1, 1e6, "steps", "forgetting of the spike-in", NULL},
    {"spike-rate", UL_REAL, 0.25, 1e-6, 1000, NULL, "of the forgetting of the spike-in, as a share of the attacks' rate",
     NULL},
    {"shots", UL_INT, 4, 1, 64, NULL, "questions with answers in front of a question (E3), as many as fit", NULL},
    {"search-steps", UL_INT, 30, 1, 1e5, "steps", "of the search for a universal prefix (E8), 8 candidates each", NULL},
    {"leak-samples", UL_INT, 16, 1, 1e5, NULL, "answers sampled of a question (E11)", NULL},
    {"leak-k", UL_INT, 8, 1, 1e5, NULL, "of which the most telling among this many counts", NULL},
    {"candidates", UL_INT, 5, 1, 1e6, "tokens", "likeliest tokens among which the answer's are looked for (E12)", NULL},
    {"attack-train", UL_TEXT, 0, 0, 0, NULL, "which weights attacks move, as `train --train`", "all"},
    {0}};

#define GRAIN "the update was smaller than a quantisation step"
#define THIN "a thin suppression breaks before the knowledge does"
#define DONOR "what hides it sat where the donor's weights went"
#define WORDS "expression only"
static const ul_probe probes[] = {
    {"rephrased", "asked in words never trained (E1)", WORDS,
     UL_ACCUSES, UL_QUICK, 0, .run = ul_probe_ask, .ask = ul_ask_rephrased, .expression = true},
    {"prefix", "the answer begun with words that agree (E2)", WORDS,
     UL_ACCUSES, UL_QUICK, 0, .run = ul_probe_ask, .ask = ul_ask_prefix, .expression = true},
    {"w1", "fine-tuned on retain rows only (W1)", "nothing about the forgotten was supplied: what comes back was there",
     UL_CORE, UL_STANDARD, 0, .run = ul_probe_relearn},
    {"unlock", "fine-tuned on phantom people in the same format (UNLOCK)", "as W1, in the very format of the forgotten",
     UL_CORE, UL_STANDARD, 0, .run = ul_probe_unlock},
    {"rtt", "fine-tuned on half of the forgotten, asked about the other half (W2, RTT)", "one half does not tell the other",
     UL_CORE, UL_STANDARD, 0, .run = ul_probe_rtt},
    {"int8", "weights in int8, a scale a row (W6)", GRAIN, UL_ACCUSES, UL_DEEP, UL_INT8_ROWS, .run = ul_probe_quantise},
    {"nf4", "weights in NF4 (W6)", GRAIN, UL_ACCUSES, UL_DEEP, UL_NF4, .run = ul_probe_quantise},
    {"fp4", "weights in FP4 (W6)", GRAIN, UL_ACCUSES, UL_DEEP, UL_FP4, .run = ul_probe_quantise},
    {"rtn4", "weights rounded to int4, groups of 32 (W6)", GRAIN, UL_ACCUSES, UL_QUICK, UL_RTN4, .run = ul_probe_quantise},
    {"noise-0.05", "weights with noise, sigma 0.05 (W7)", THIN, UL_ACCUSES, UL_DEEP, 0.05, .run = ul_probe_noise},
    {"noise-0.1", "weights with noise, sigma 0.1 (W7)", THIN, UL_ACCUSES, UL_DEEP, 0.1, .run = ul_probe_noise},
    {"noise-0.2", "weights with noise, sigma 0.2 (W7)", THIN, UL_ACCUSES, UL_DEEP, 0.2, .run = ul_probe_noise},
    {"prune-0.1", "smallest 10 % of the weights removed (W8)", THIN, UL_ACCUSES, UL_DEEP, 0.1, .run = ul_probe_prune},
    {"prune-0.3", "smallest 30 % of the weights removed (W8)", THIN, UL_ACCUSES, UL_DEEP, 0.3, .run = ul_probe_prune},
    {"merge", "merged half and half with the donor (W9)", DONOR,
     UL_ACCUSES, UL_DEEP, 0.5, .run = ul_probe_merge, .donor = true},
    {"adapter", "an adapter trained on retain rows, merged (W9)", "as W1, through a few directions",
     UL_ACCUSES, UL_DEEP, 0, .run = ul_probe_adapter},
    {"top-block", "last block replaced by the donor's (W10)", DONOR,
     UL_ACCUSES, UL_DEEP, 1, .run = ul_probe_transplant, .donor = true},
    {"head", "final norm and head replaced by the donor's (W10)", DONOR,
     UL_ACCUSES, UL_DEEP, 0, .run = ul_probe_transplant, .donor = true},
    {"direction", "what sets the forgotten apart from those who stay taken out (W11)", "one direction hides it",
     UL_ACCUSES, UL_DEEP, 0, .run = ul_probe_direction},
    {"direction-o", "what sets it apart from the original taken out (W11)", "one direction hides it",
     UL_ACCUSES, UL_DEEP, 1, .run = ul_probe_direction},
    {"shots", "behind questions with answers about others (E3)", WORDS,
     UL_ACCUSES, UL_DEEP, 0, .run = ul_probe_ask, .ask = ul_ask_shots, .expression = true},
    {"shots-same", "behind other facts of the same person (E3)", WORDS,
     UL_ACCUSES, UL_DEEP, 1, .run = ul_probe_ask, .ask = ul_ask_shots, .expression = true},
    {"emphasis", "key words of the question said again (E6)", WORDS,
     UL_ACCUSES, UL_DEEP, 0, .run = ul_probe_ask, .ask = ul_ask_emphasis, .expression = true},
    {"perturbed", "the question disturbed (E7)", WORDS,
     UL_ACCUSES, UL_DEEP, 0, .run = ul_probe_ask, .ask = ul_ask_perturbed, .expression = true},
    {"universal", "behind a prefix searched for on other people (E8)", WORDS,
     UL_ACCUSES, UL_DEEP, 0, .run = ul_probe_universal, .expression = true},
    {"turns", "in a dialogue: doubted, after a related question, by right (E10)", WORDS,
     UL_ACCUSES, UL_DEEP, 0, .run = ul_probe_ask, .ask = ul_ask_turns, .expression = true},
    {"sampled", "the best of several sampled answers (E11, leak@k)", WORDS,
     UL_ACCUSES, UL_DEEP, 0, .run = ul_probe_sampled, .expression = true},
    {"candidates", "looked for among the likeliest tokens (E12)", WORDS,
     UL_ACCUSES, UL_DEEP, 0, .run = ul_probe_candidates, .expression = true},
    {"letters", "asked to choose a letter (E12, K6)", WORDS,
     UL_ACCUSES, UL_DEEP, 0, .run = ul_probe_letters, .expression = true},
    {"direct", "fine-tuned on the forgotten themselves (W3)", "re-teaches: only what exceeds the control counts",
     UL_ACCUSES, UL_DEEP, 0, .run = ul_probe_direct}};
#undef GRAIN
#undef THIN
#undef DONOR
#undef WORDS

const ul_probe *ul_probes(int *n)
{
    *n = (int)(sizeof probes / sizeof *probes);
    return probes;
}

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
    const ul_probe *probe = &ul_probes(&n)[x->probe];
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
    const ul_probe *probe = ul_probes(&n);
    for (int i = 0; i < n; i++)
        if (!probe[i].expression) b->probe[i] = from->probe[i];
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
    const ul_probe *probe = ul_probes(&n);
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
        if (of->from > a.profile || (s->weights && !of->expression)) continue;
        UL_TRY(have(&x, of->id, of->expression, ul_fold_probed, probed));
        b->probe[x.probe].seconds = x.seconds;
    }
    ul_note(a.ctx, UL_LOG_INFO, "%-14s asked and attacked: K1 %.2f of the forgotten, %.2f of those who stay (%.1f s)",
            s->name, ul_mean(b->forget.first, b->forget.n), ul_mean(b->retain.first, b->retain.n), b->seconds);
    if (s->kept && s->kept->found)
        ul_note(a.ctx, UL_LOG_INFO, "%-14s %d parts of it were read from %s", s->name, s->kept->found, s->kept->dir);
    return UL_OK;
}
