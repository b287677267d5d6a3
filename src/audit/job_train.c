/* job_train.c - fine-tune or train from a fresh shape: target models, retained controls. */
#include "audit/training.h"
#include <string.h>

static const ul_param params[] = {
    {"model", UL_TEXT, 0, 0, 0, NULL,
     "a Hugging Face directory; with --fresh only its config.json and tokenizer are read", ""},
    {"data", UL_TEXT, 0, 0, 0, NULL, "what to learn: JSON lines, JSON, CSV or text", ""},
    {"fresh", UL_BOOL, 0, 0, 1, NULL, "start from random weights N(0, init-std) instead of the directory's", NULL},
    {"init-std", UL_REAL, 0.02, 1e-6, 10, NULL, "standard deviation of fresh weights", NULL},
    {0}};

static ul_status fresh(ul_training *t)
{
    ul_job *job = t->job;
    const char *config = ul_path_join(job->arena, t->dir, "config.json");
    UL_NEED(config);
    return ul_model_fresh(job->ctx, t->be, config, (uint64_t)ul_job_int(job, "seed"), ul_job_num(job, "init-std"),
                          &t->model);
}

/* As ul_training_model, but with weights that are drawn, not read. */
static ul_status fresh_model(ul_training *t)
{
    ul_job *job = t->job;
    t->dir = ul_job_text(job, "model");
    if (!t->dir)
        return ul_fail(job->ctx, UL_E_USAGE, "`train --fresh` needs --model DIR for config.json and the tokenizer");
    if (!ul_dir_exists(t->dir)) return ul_fail(job->ctx, UL_E_INPUT, "%s: no such directory", t->dir);
    UL_TRY(ul_job_out_name(job, &t->out));
    UL_TRY(ul_manifest_begin(job, &t->manifest));
    UL_TRY(ul_job_backend(job, &t->be));
    UL_TRY(fresh(t));
    UL_TRY(ul_arena_defer(job->arena, ul_release_model, t->model));
    UL_TRY(ul_tokenizer_open(job->ctx, t->dir, &t->tok));
    UL_TRY(ul_arena_defer(job->arena, ul_release_tokenizer, t->tok));
    UL_TRY(ul_model_digest(job->ctx, t->model, t->digest));
    UL_TRY(ul_manifest_input(job, &t->manifest, "model", t->dir, t->digest, -1));
    UL_TRY(ul_manifest_side_files(job, &t->manifest, t->dir));
    return ul_job_template(job, t->tok, ul_model_shape(t->model), &t->tpl);
}

static ul_status train(ul_training *t)
{
    ul_job *job = t->job;
    if (ul_job_flag(job, "fresh")) UL_TRY(fresh_model(t));
    else UL_TRY(ul_training_model(t));
    UL_TRY(ul_training_records(t, "data", "data", &t->forget, &t->forget_docs));
    UL_TRY(ul_training_recipe(t));
    if (t->finished) return ul_training_finished(t);
    ul_step_result last = {0};
    int64_t steps = 0;
    UL_TRY(ul_training_run(t, &last, &steps));
    UL_TRY(ul_training_save(t));
    job->result = json_pack("{s:s, s:I, s:f, s:s}", "out", t->out, "steps", (json_int_t)steps, "loss", last.loss,
                            "recipe_digest", t->manifest.recipe_digest);
    if (!job->result) return ul_fail(job->ctx, UL_E_RESOURCE, "no memory for the result");
    return ul_buf_printf(&job->text, "train: %lld steps, last loss %.4g\nwritten: %s\n", (long long)steps, last.loss,
                         t->out);
}

static ul_status run(ul_job *job)
{
    ul_training t = {.job = job};
    const ul_status s = train(&t);
    if (s != UL_OK) ul_training_abandon(&t);
    return s;
}

const ul_job_kind ul_job_train = {
    .id = "train",
    .summary = "fine-tune a model, or train a fresh one: targets and retained controls",
    .about = "Minimises the mean negative log-probability of the answers. A retained control is this, with the same "
             "recipe and seed, on "
             "everything but the forget set.",
    .example = "unlearn train --model demo-out/target --data demo-out/data/retain.jsonl --steps 20 --out tuned",
    .tables = {params, ul_recipe_params, ul_data_params, ul_lora_params, ul_output_params, ul_compute_params},
    .run = run};
