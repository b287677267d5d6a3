/* probe_relearn.c - attacks that train: a little fine-tuning on data that hold nothing,
 * or half, of what was to be forgotten.
 *
 *   W1      on retain rows only: no information about F enters; what comes back was in the weights (arXiv 2505.22310)
 *   UNLOCK  on phantom people in the very format of F, with retain rows (--attack-mix); all of F is measured. The
 *           phantoms that are not taught are its sham: they must stay unknown
 *   W2      on half of the F people, measured on the other half, and the other way round
 *           (Deeb and Roger, arXiv 2410.08827)
 *   W3      on F itself: re-teaches, so only the difference to the control under the same schedule says anything
 *
 * All weights move: AdamW, a short warm-up, then a cosine to 0 (or constant); every number is a parameter
 * (audit_attack.c). The same strength, order and seed for every model. */
#include "audit/battery.h"
#include <string.h>

typedef struct {
    ul_ctx *ctx;
    ul_pairing main, extra;
    int32_t n_main, n_extra; /* samples of a step */
} mixture;

static ul_status draw(void *user, int64_t step, int32_t i, ul_arena *arena, ul_sample *out)
{
    mixture *m = user;
    (void)arena;
    if (i < m->n_main) return ul_pairing_sample(m->ctx, &m->main, step * m->n_main + i, out);
    return ul_pairing_sample(m->ctx, &m->extra, step * m->n_extra + i - m->n_main, out);
}

double ul_attack_lr(const ul_args *attack, int64_t parameters)
{
    const double lr = ul_num(attack, "attack-lr");
    return lr > 0 ? lr : ul_num(attack, "attack-lr-share") * ul_recipe_lr_for(parameters);
}

void ul_attack_recipe(const ul_probing *p, int32_t batch, int64_t n_steps, ul_recipe *out)
{
    ul_args args;
    const int64_t parameters = ul_model_parameters(p->work);
    ul_args_default(ul_recipe_params, &args);
    ul_recipe_from_args(&args, parameters, out);
    out->lr = ul_attack_lr(p->audit->attack, parameters);
    out->steps = n_steps;
    out->seed = p->audit->seed;
    out->batch = batch;
    out->beta2 = ul_num(p->audit->attack, "attack-beta2");
    out->weight_decay = 0;
    out->clip = ul_num(p->audit->attack, "attack-clip");
    out->warmup = (int64_t)ul_num(p->audit->attack, "attack-warmup");
    out->schedule = strcmp(ul_txt(p->audit->attack, "attack-schedule"), "cosine") ? UL_CONSTANT : UL_COSINE;
    out->lr_floor = 0;
}

static double mean_first(const ul_knowledge *k)
{
    return k->n ? ul_mean(k->first, k->n) : 0;
}

static ul_status point(const ul_probing *p, json_t *curve, int64_t step, double forget, double retain)
{
    if (json_array_append_new(curve, json_pack("[I, f, f]", (json_int_t)step, forget, retain)))
        return ul_fail(p->audit->ctx, UL_E_RESOURCE, "no memory for a curve");
    return UL_OK;
}

/* A point of the relearning curve. */
static ul_status add_point(const ul_probing *p, int64_t step, ul_probed *followed)
{
    const ul_audit *a = p->audit;
    ul_eval_options o = a->o;
    o.model = p->work;
    ul_arena *scratch;
    UL_TRY(ul_arena_new(a->ctx, "curve", &scratch));
    ul_knowledge f = {0}, n = {0};
    ul_status s = ul_knowledge_measure(a->ctx, a->arena, &o, a->forget, false, &f);
    if (s == UL_OK) s = ul_knowledge_measure(a->ctx, scratch, &o, a->retain, false, &n);
    if (s == UL_OK) s = point(p, followed->curve, step, mean_first(&f), mean_first(&n));
    if (s == UL_OK && followed->n_point < UL_MAX_POINT) followed->point[followed->n_point++] = f.first;
    ul_arena_free(scratch);
    return s;
}

static ul_status steps(const ul_probing *p, ul_trainer *t, int64_t n, ul_probed *followed, const char *what)
{
    const int64_t points = (int64_t)ul_num(p->audit->attack, "curve-points");
    ul_meter meter;
    ul_progress_begin(p->audit->ctx, &meter, what, "steps", n);
    for (int64_t s = 0; s < n; s++) {
        ul_step_result r;
        UL_TRY(ul_trainer_gradients(t, s, &r));
        UL_TRY(ul_trainer_update(t, s, &r));
        ul_progress_step(&meter, s + 1, 0, NULL);
        if (ul_interrupted(p->audit->ctx))
            return ul_fail(p->audit->ctx, UL_E_CRITERION, "interrupted in the attack \"%s\"", what);
        if (followed && points > 0 && s + 1 < n && (s + 1) * (points + 1) / n != s * (points + 1) / n)
            UL_TRY(add_point(p, s + 1, followed));
    }
    return UL_OK;
}

ul_status ul_attack_train(const ul_probing *p, const ul_docs *docs, const ul_docs *extra, int64_t n_steps,
                          const char *what, ul_probed *followed)
{
    const ul_audit *a = p->audit;
    const int32_t batch = (int32_t)ul_num(a->attack, "attack-batch");
    const double mixed = extra ? ul_num(a->attack, "attack-mix") * batch : 0;
    mixture m = {.ctx = a->ctx, .n_main = batch, .n_extra = (int32_t)mixed};
    UL_TRY(ul_pairing_init(a->ctx, a->arena, docs, NULL, a->seed, true, &m.main));
    if (m.n_extra) UL_TRY(ul_pairing_init(a->ctx, a->arena, extra, NULL, a->seed + 1, true, &m.extra));
    ul_recipe recipe;
    ul_attack_recipe(p, m.n_main + m.n_extra, n_steps, &recipe);
    const ul_trainer_options o = {.model = p->work, .recipe = &recipe, .sample = draw, .user = &m};
    ul_trainer *t;
    UL_TRY(ul_trainer_new(a->ctx, &o, recipe.steps, &t));
    const ul_status s = steps(p, t, recipe.steps, followed, what);
    ul_trainer_free(t);
    return s;
}

static ul_status attack(const ul_probing *p, const ul_docs *docs, const ul_docs *extra, const char *what,
                        ul_probed *followed)
{
    UL_TRY(ul_model_copy_weights(p->audit->ctx, p->model, p->work));
    return ul_attack_train(p, docs, extra, (int64_t)ul_num(p->audit->attack, "attack-steps"), what, followed);
}

/* An attack with its relearning curve, from before the first step to what is measured after the last. */
static ul_status followed(const ul_probing *p, const ul_docs *docs, const ul_docs *extra, const char *what,
                          ul_probed *out)
{
    out->curve = json_array();
    UL_TRY(ul_json_own(p->audit->arena, out->curve));
    UL_TRY(point(p, out->curve, 0, p->forget, p->retain));
    UL_TRY(attack(p, docs, extra, what, out));
    UL_TRY(ul_probe_measure(p, p->work, out));
    return point(p, out->curve, (int64_t)ul_num(p->audit->attack, "attack-steps"),
                 ul_mean(out->forget, p->audit->forget->n), out->retain);
}

ul_status ul_probe_relearn(const ul_probing *p, const ul_probe *probe, ul_probed *out)
{
    return followed(p, p->audit->retain_docs, NULL, probe->id, out);
}

ul_status ul_probe_unlock(const ul_probing *p, const ul_probe *probe, ul_probed *out)
{
    if (!p->audit->phantom_docs) return UL_OK;
    return followed(p, p->audit->phantom_docs, p->audit->retain_docs, probe->id, out);
}

ul_status ul_probe_direct(const ul_probing *p, const ul_probe *probe, ul_probed *out)
{
    if (!p->audit->fold_docs[0] || !p->audit->fold_docs[1]) return UL_OK;
    return followed(p, p->audit->fold_docs[0], p->audit->fold_docs[1], probe->id, out);
}

ul_status ul_probe_rtt(const ul_probing *p, const ul_probe *probe, ul_probed *out)
{
    const ul_audit *a = p->audit;
    if (!a->fold_docs[0] || !a->fold_docs[1]) return UL_OK;
    ul_probed half[2] = {{0}};
    for (int f = 0; f < 2; f++) {
        UL_TRY(attack(p, a->fold_docs[f], a->retain_docs, probe->id, NULL));
        UL_TRY(ul_probe_measure(p, p->work, &half[f]));
    }
    *out = half[0];
    for (int64_t i = 0; i < a->forget->n; i++)
        if (a->fold[i] == 0) out->forget[i] = half[1].forget[i];
    out->retain = (half[0].retain + half[1].retain) / 2;
    for (int64_t i = 0; i < a->retain->n; i++) out->stays[i] = (half[0].stays[i] + half[1].stays[i]) / 2;
    return UL_OK;
}
