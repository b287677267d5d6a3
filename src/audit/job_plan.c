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
    {"alt", UL_TEXT, 0, 0, 0, NULL, "as in `forget`", ""},
    {"alt-own", UL_BOOL, 0, 0, 1, NULL, "as in `forget`", NULL},
    {"cache", UL_TEXT, 0, 0, 0, NULL, "where caches of other runs lie", ""},
    {"out", UL_TEXT, 0, 0, 0, NULL, "where the run would write: its own caches lie there", ""},
    UL_PARAM_WRAP,
    {"match", UL_TEXT, 0, 0, 0, NULL, "as in `forget`", "none"},
    {0}};

static ul_status run(ul_job *job)
{
    ul_training t = {.job = job, .dry = true};
    UL_TRY(ul_training_wrappers(&t));
    UL_TRY(ul_training_model(&t));
    t.needs = ul_method_needs(job->method, &job->method_args);
    UL_TRY(ul_training_records(&t, "forget", "forget", &t.forget, &t.forget_docs));
    if (t.needs & (UL_NEED_RETAIN | UL_NEED_RETAIN_KL) || t.retain_text)
        UL_TRY(ul_training_records(&t, "retain", "retain", &t.retain, &t.retain_docs));
    UL_TRY(ul_training_recipe(&t));
    if (t.needs & UL_NEED_ALT) UL_TRY(ul_training_alternates(&t));
    return ul_training_plan(&t, ul_job_int(job, "look"), false);
}

const ul_job_kind ul_job_plan = {
    .id = "plan", .summary = "memory of a run, to the byte, before it runs",
    .about = "Packs the data as the run would and adds up what the planner will ask for: weights, gradients, optimizer "
             "state, activations of the largest micro-batch, head, work space; then the caches that the run reads, on "
             "the disk. Of a procedure or a guard also the passes that it runs, in their order.",
    .example = "unlearn plan --model demo-out/target --forget demo-out/data/forget.jsonl "
               "--retain demo-out/data/retain.jsonl --method npo",
    .tables = {params, ul_recipe_params, ul_data_params, ul_lora_params, ul_compute_params},
    .takes_method = true,
    .run = run};
