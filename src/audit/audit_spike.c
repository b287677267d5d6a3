/* audit_spike.c - the sensitivity of an audit, measured on the model itself (metrics.md 16.2, gate 2): it is
 * taught people that nobody knows, forgets them by a method of the user's choice, and W1 tries to bring them back.
 * The recovered share, in which people who were never taught are the zero, is what the same attack would have found
 * of the real forget set had it been forgotten this way. */
#include "audit/battery.h"
#include "method/method.h"

static ul_status ask(const ul_audit *a, ul_model *m, const ul_records *rows, double **first)
{
    ul_eval_options o = a->o;
    ul_knowledge k;
    o.model = m;
    UL_TRY(ul_knowledge_measure(a->ctx, a->arena, &o, rows, false, &k));
    *first = k.first;
    return UL_OK;
}

void ul_spike_recipe(const ul_probing *p, ul_recipe *out)
{
    const ul_args *a = p->audit->attack;
    ul_attack_recipe(p, (int32_t)ul_num(a, "attack-batch"), (int64_t)ul_num(a, "spike-forget"), out);
    out->lr *= ul_num(a, "spike-rate");
    out->schedule = UL_CONSTANT;
}

static ul_status forget(const ul_probing *p, const char *id)
{
    const ul_audit *a = p->audit;
    const ul_method *method = ul_method_find(id);
    ul_catalogue_entry e;
    if (!method && ul_catalogue_find(id, &e))
        return ul_fail(a->ctx, UL_E_USAGE, "--spike %s: the method is no loss over forget and retain rows; npo is one",
                       id);
    if (!method) return ul_catalogue_unknown(a->ctx, "--spike", id, false);
    ul_args args;
    ul_args_default(method->params, &args);
    const unsigned needs = ul_method_needs(method, &args);
    if (needs & (UL_NEED_ALT | UL_NEED_RETAIN_KL))
        return ul_fail(a->ctx, UL_E_USAGE,
                       "--spike %s: the method needs more than forget and retain rows; npo does not", id);
    ul_pairing pairing;
    ul_recipe recipe;
    ul_reference *ref = NULL;
    ul_step_result last;
    int64_t done;
    const ul_docs *retain = needs & UL_NEED_RETAIN ? a->retain_docs : NULL;
    ul_spike_recipe(p, &recipe);
    UL_TRY(ul_pairing_init(a->ctx, a->arena, a->phantom_docs, retain, a->seed, true, &pairing));
    if (needs & UL_NEED_FORGET_REF)
        UL_TRY(ul_reference_open(a->ctx, a->arena, p->work, NULL, "", a->phantom_docs, false, &ref));
    const ul_run run = {.options = {.model = p->work,
                                    .method = method,
                                    .args = &args,
                                    .recipe = &recipe,
                                    .pairing = &pairing,
                                    .ref = {[UL_FORGET] = ref}},
                        .n_samples = a->phantom_docs->n,
                        .save_every = -1,
                        .what = "spike-in, forgetting"};
    return ul_run_train(a->ctx, &run, &last, &done);
}

ul_status ul_spike_run(const ul_audit *a, ul_model *m, ul_model *work, ul_spike *out)
{
    const char *id = ul_txt(a->attack, "spike");
    const ul_probing p = {.audit = a, .model = m, .work = work};
    if (!id || !*id) return UL_OK;
    if (!a->phantom_docs || !a->spike || !a->phantom)
        return ul_fail(a->ctx, UL_E_USAGE, "--spike needs --phantom FILE: people that the model can be taught");
    UL_TRY(ul_model_copy_weights(a->ctx, m, work));
    UL_TRY(ul_attack_train(&p, a->phantom_docs, a->retain_docs, (int64_t)ul_num(a->attack, "spike-steps"),
                           "spike-in, teaching", NULL));
    UL_TRY(ask(a, work, a->spike, &out->taught));
    UL_TRY(ask(a, work, a->phantom, &out->blank));
    UL_TRY(forget(&p, id));
    UL_TRY(ask(a, work, a->spike, &out->forgotten));
    UL_TRY(ul_attack_train(&p, a->retain_docs, NULL, (int64_t)ul_num(a->attack, "attack-steps"), "spike-in, w1", NULL));
    UL_TRY(ask(a, work, a->spike, &out->attacked));
    UL_TRY(ask(a, work, a->phantom, &out->blank_attacked));
    out->ran = true;
    return UL_OK;
}
