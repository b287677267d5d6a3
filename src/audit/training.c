/* training.c - the parts of a training job in the order in which they happen. */
#include "audit/training.h"
#include <string.h>

ul_status ul_training_model(ul_training *t)
{
    ul_job *job = t->job;
    t->dir = ul_job_text(job, "model");
    if (!t->dir) return ul_fail(job->ctx, UL_E_USAGE, "`%s` needs --model DIR (a Hugging Face directory)", job->kind->id);
    if (!t->dry) UL_TRY(ul_job_out_dir(job, &t->out));
    UL_TRY(ul_manifest_begin(job, &t->manifest));
    UL_TRY(ul_job_backend(job, &t->be));
    UL_TRY(ul_job_model(job, t->be, t->dir, 0, &t->model, &t->tok, t->digest));
    UL_TRY(ul_manifest_input(job, &t->manifest, "model", t->dir, t->digest, -1));
    UL_TRY(ul_job_template(job, t->tok, ul_model_shape(t->model), &t->tpl));
    const char *targets = ul_job_text(job, "lora");
    if (!targets) return UL_OK;
    t->lora = true;
    const ul_lora l = {.r = (int)ul_job_int(job, "lora-r"), .alpha = ul_job_num(job, "lora-alpha"),
                       .rslora = ul_job_flag(job, "lora-rslora"), .targets = targets,
                       .seed = (uint64_t)ul_job_int(job, "seed")};
    return ul_lora_add(job->ctx, t->model, &l);
}

ul_status ul_training_records(ul_training *t, const char *key, const char *role, ul_records **records, ul_docs **docs)
{
    ul_job *job = t->job;
    const char *path = ul_job_text(job, key);
    if (!path)
        return ul_fail(job->ctx, UL_E_USAGE, "`%s` needs --%s FILE (JSON lines, JSON, CSV or text)", job->kind->id, key);
    UL_TRY(ul_records_open(job->ctx, job->arena, path, ul_job_text(job, "fields"), (int32_t)ul_job_int(job, "entity-rows"), records));
    UL_TRY(ul_manifest_input(job, &t->manifest, role, path, (*records)->digest, (*records)->n));
    return ul_docs_build(job->ctx, job->arena, t->tok, &t->tpl, *records, UL_WHICH_ANSWER, docs);
}

ul_status ul_training_recipe(ul_training *t)
{
    ul_job *job = t->job;
    ul_weight *w;
    const int n = ul_model_weights(t->model, &w);
    int64_t parameters = 0;
    for (int i = 0; i < n; i++) parameters += w[i].rows * w[i].cols;
    const ul_args *args = NULL;
    for (int k = 0; k < UL_JOB_TABLES && job->kind->tables[k]; k++)
        if (job->kind->tables[k] == ul_recipe_params) args = &job->args[k];
    ul_recipe_from_args(args, parameters, &t->recipe);
    t->recipe.steps = ul_recipe_steps(&t->recipe, t->forget_docs->n);
    const char *match = ul_job_text(job, "match");
    t->recipe.match_peer = match && !strcmp(match, "open-unlearning");
    UL_TRY(ul_model_select(job->ctx, t->model, t->lora ? "lora" : t->recipe.train));
    UL_TRY(ul_pairing_init(job->ctx, job->arena, t->forget_docs, t->retain_docs, t->recipe.seed, true, &t->pairing));
    return ul_manifest_seal(job, &t->manifest);
}

ul_status ul_training_reference(ul_training *t)
{
    ul_job *job = t->job;
    const char *dir = ul_job_text(job, "cache");
    if (!dir) dir = ul_path_join(job->arena, t->out, "reference");
    UL_NEED(dir);
    if (t->needs & UL_NEED_FORGET_REF)
        UL_TRY(ul_reference_open(job->ctx, job->arena, t->model, dir, t->digest, t->forget_docs, false, &t->ref[UL_FORGET]));
    if (t->needs & UL_NEED_ALT_REF)
        UL_TRY(ul_reference_open(job->ctx, job->arena, t->model, dir, t->digest, t->pairing.alt, false, &t->ref[UL_ALT]));
    if (t->needs & UL_NEED_RETAIN_KL)
        UL_TRY(ul_reference_open(job->ctx, job->arena, t->model, dir, t->digest, t->retain_docs, true, &t->ref[UL_RETAIN]));
    return UL_OK;
}

ul_status ul_training_run(ul_training *t, ul_step_result *last, int64_t *steps)
{
    ul_job *job = t->job;
    const ul_run run = {.options = {.model = t->model, .method = job->method, .args = &job->method_args, .recipe = &t->recipe,
                                    .micro_batch = (int32_t)ul_job_int(job, "micro-batch"),
                                    .checkpoint = ul_job_flag(job, "checkpoint"), .pairing = &t->pairing,
                                    .ref = {t->ref[UL_FORGET], t->ref[UL_ALT], t->ref[UL_RETAIN]},
                                    .pad_id = ul_tokenizer_special(t->tok).pad},
                        .n_samples = t->forget_docs->n, .out_dir = t->out, .recipe_digest = t->manifest.recipe_digest,
                        .save_every = ul_job_int(job, "save-every"), .resume = ul_job_flag(job, "resume"),
                        .what = job->kind->id};
    return ul_run_train(job->ctx, &run, last, steps);
}

ul_status ul_training_save(ul_training *t)
{
    ul_job *job = t->job;
    char digest[65];
    if (t->lora && ul_job_flag(job, "lora-merge")) {
        UL_TRY(ul_lora_merge(job->ctx, t->model));
        t->lora = false;
    }
    if (t->lora) UL_TRY(ul_lora_save(job->ctx, t->model, t->out));
    else UL_TRY(ul_model_save(job->ctx, t->model, t->out));
    UL_TRY(ul_model_digest(job->ctx, t->model, digest));
    json_object_set_new(t->manifest.outputs, "model", json_pack("{s:s, s:s}", "path", t->out, "digest", digest));
    return ul_manifest_write(job, &t->manifest, t->be, t->out);
}
