/* job_plan.c - what a run will hold in memory, to the byte, before it runs. */
#include "audit/training.h"
#include <string.h>

static const ul_param params[] = {
    {"model", UL_TEXT, 0, 0, 0, NULL, "a Hugging Face directory", ""},
    {"forget", UL_TEXT, 0, 0, 0, NULL, "the forget set (or, without --method, the training data)", ""},
    {"retain", UL_TEXT, 0, 0, 0, NULL, "the retain set, for methods that read one", ""},
    {"micro-batch", UL_INT, 0, 0, 1 << 20, "samples",
     "samples in memory at a time; 0: as many as make 512 to 2048 tokens, by the size of the model", NULL},
    {"checkpoint", UL_BOOL, 0, 0, 1, NULL, "keep only the inputs of blocks", NULL},
    {"look", UL_INT, 0, 0, 1e9, "steps", "steps to look at for the largest micro-batch; 0: all", NULL},
    UL_PARAM_WRAP,
    {"match", UL_TEXT, 0, 0, 0, "none|open-unlearning", "as in `forget`", "none"},
    {0}};

static ul_status line(ul_job *job, const char *what, size_t bytes)
{
    json_object_set_new(job->result, what, json_integer((json_int_t)bytes));
    return ul_buf_printf(&job->text, "%-12s %12.2f MiB\n", what, (double)bytes / 1048576);
}

static ul_status run(ul_job *job)
{
    ul_training t = {.job = job, .dry = true};
    if (job->guard) return ul_fail(job->ctx, UL_E_USAGE, "`plan` is of a model that is trained; %s changes no weights of it", job->method_id);
    UL_TRY(ul_training_wrappers(&t));
    UL_TRY(ul_training_model(&t));
    t.needs = ul_method_needs(job->method, &job->method_args);
    UL_TRY(ul_training_records(&t, "forget", "forget", &t.forget, &t.forget_docs));
    if (t.needs & (UL_NEED_RETAIN | UL_NEED_RETAIN_KL) || t.retain_text) UL_TRY(ul_training_records(&t, "retain", "retain", &t.retain, &t.retain_docs));
    UL_TRY(ul_training_recipe(&t));
    const ul_trainer_options o = {.model = t.model, .method = job->procedure ? NULL : job->method, .args = &job->method_args, .recipe = &t.recipe,
                                  .micro_batch = (int32_t)ul_job_int(job, "micro-batch"), .checkpoint = ul_job_flag(job, "checkpoint"),
                                  .pairing = &t.pairing, .reference = t.model, .wrap = t.wrap, .n_wrap = t.n_wrap};
    ul_trainer *trainer;
    UL_TRY(ul_trainer_new(job->ctx, &o, t.recipe.steps, &trainer));
    ul_train_plan plan;
    const ul_status s = ul_trainer_plan(trainer, ul_job_int(job, "look"), &plan);
    ul_trainer_free(trainer);
    UL_TRY(s);
    job->result = json_object();
    if (!job->result) return ul_fail(job->ctx, UL_E_RESOURCE, "no memory for the plan");
    UL_TRY(line(job, "weights", plan.pass.weights));
    UL_TRY(line(job, "gradients", plan.pass.grads));
    UL_TRY(line(job, "optimizer", plan.optimizer));
    if (t.n_wrap) UL_TRY(line(job, "wrappers", plan.wrap));
    UL_TRY(line(job, "activations", plan.pass.slots));
    UL_TRY(line(job, "head", plan.pass.head));
    UL_TRY(line(job, "work", plan.pass.work));
    UL_TRY(line(job, "batch", plan.step));
    UL_TRY(line(job, "total", plan.total));
    return ul_buf_printf(&job->text, "%lld steps of %d samples; the largest micro-batch has %d tokens, %d of them scored\n",
                         (long long)t.recipe.steps, t.recipe.batch, plan.n_tok, plan.n_row);
}

const ul_job_kind ul_job_plan = {
    .id = "plan", .summary = "memory of a run, to the byte, before it runs",
    .about = "Packs the data as the run would and adds up what the planner will ask for: weights, gradients, optimizer state, activations of "
             "the largest micro-batch, head, work space.",
    .example = "unlearn plan --model demo-out/target --forget demo-out/data/forget.jsonl --retain demo-out/data/retain.jsonl --method npo",
    .tables = {params, ul_recipe_params, ul_data_params, ul_lora_params, ul_compute_params}, .takes_method = true, .run = run};
