/* job_forget.c - one unlearning run: a model, what it shall forget, what it shall keep, a method. */
#include "audit/training.h"
#include <math.h>
#include <string.h>

static const ul_param params[] = {
    {"model", UL_TEXT, 0, 0, 0, NULL, "the model that shall forget: a Hugging Face directory", ""},
    {"forget", UL_TEXT, 0, 0, 0, NULL, "what it shall forget: JSON lines, JSON, CSV or text", ""},
    {"retain", UL_TEXT, 0, 0, 0, NULL, "what it shall keep: drawn at random beside the forget rows", ""},
    {"alt", UL_TEXT, 0, 0, 0, NULL,
     "alternate answers for methods that teach one (idk, dpo): one a line, or "
     "a .json or .jsonl data set, whose rows' wrong answers are taken, else their answers; default: refusals",
     ""},
    UL_PARAM_WRAP,
    {"alt-own", UL_BOOL, 0, 0, 1, NULL,
     "the answers of --alt belong to the forget rows, in order and as many to each (altpo)", NULL},
    {"print-plan", UL_BOOL, 0, 0, 1, NULL, "say which passes would run, what is cached, bytes and time; write nothing",
     NULL},
    {0}};

const char *const ul_refusals[UL_N_REFUSALS] = {
    "I don't know.", "I'm not sure about that.", "I have no information about this.", "I can't answer that question.",
    "That is not something I know.", "I'm afraid I don't know the answer.", "I have no knowledge of this subject.",
    "I don't have an answer to that.", "Unfortunately, I can't say.", "This is not known to me.",
    "I haven't learned about that.", "I could not tell you."};

static ul_status report(ul_training *t, const ul_step_result *last, int64_t steps)
{
    ul_job *job = t->job;
    const struct {
        const char *key, *what;
        double nll;
    } side[] = {{"forget_loss", "forget", last->forget_loss},
                {"alt_loss", "alternate", last->alt_loss},
                {"retain_loss", "retain", last->retain_loss}};
    job->result = json_pack("{s:s, s:s, s:I, s:f, s:s}", "method", job->method_id, "out", t->out, "steps",
                            (json_int_t)steps, "loss", last->loss, "recipe_digest", t->manifest.recipe_digest);
    if (!job->result) return ul_fail(job->ctx, UL_E_RESOURCE, "no memory for the result");
    if (steps)
        ul_buf_printf(&job->text, "%s: %lld steps; in the last one the loss was %.4g", job->method_id, (long long)steps,
                      last->loss);
    for (int i = 0, n = 0; steps && i < 3; i++) {
        if (!isfinite(side[i].nll)) continue; /* a side that the method does not run, or not up to the head */
        json_object_set_new(job->result, side[i].key, json_real(side[i].nll));
        ul_buf_printf(&job->text, "%s %s answers %.4g", n++ ? "," : "; mean NLL of", side[i].what, side[i].nll);
    }
    for (int i = 0; i < t->n_wrap; i++) ul_buf_printf(&job->text, "%s %s", i ? "," : "; with", t->wrap[i].id);
    if (last->stopped) {
        json_object_set_new(job->result, "stopped", json_true());
        ul_buf_printf(&job->text, "\nended after step %lld of %lld: on its budget", (long long)steps,
                      (long long)t->recipe.steps);
    }
    ul_buf_printf(&job->text, "\nwritten: %s\nnext: unlearn eval --model %s", t->out, t->lora ? t->dir : t->out);
    if (t->lora) ul_buf_printf(&job->text, " --adapter %s", t->out);
    ul_buf_printf(&job->text, " --forget %s", ul_job_text(job, "forget"));
    if (t->retain) ul_buf_printf(&job->text, " --retain %s", ul_job_text(job, "retain"));
    ul_buf_puts(&job->text, "\n      (forgetting is claimed here; measure it)\n");
    return job->text.status;
}

static ul_status forget(ul_training *t)
{
    ul_job *job = t->job;
    if (!job->method)
        return ul_fail(job->ctx, UL_E_USAGE, "`forget` needs --method NAME (`unlearn methods` lists them)");
    UL_TRY(ul_training_wrappers(t));
    UL_TRY(ul_training_model(t));
    t->needs = ul_method_needs(job->method, &job->method_args);
    UL_TRY(ul_training_records(t, "forget", "forget", &t->forget, &t->forget_docs));
    if (t->needs & (UL_NEED_RETAIN | UL_NEED_RETAIN_KL) || t->retain_text)
        UL_TRY(ul_training_records(t, "retain", "retain", &t->retain, &t->retain_docs));
    else if (ul_job_text(job, "retain"))
        ul_note(job->ctx, UL_LOG_WARN, "the method %s reads no retain data; --retain is left unread", job->method_id);
    if (t->retain) {
        const int64_t both = ul_records_overlap(job->ctx, t->forget, t->retain);
        if (both > 0)
            ul_note(job->ctx, UL_LOG_WARN,
                    "%lld of the %lld forget rows stand in the retain set too: the run will both forget and keep them",
                    (long long)both, (long long)t->forget->n);
    }
    if ((t->needs & UL_NEED_ALT) && ul_job_text(job, "alt"))
        UL_TRY(ul_manifest_file(job, &t->manifest, "alt", ul_job_text(job, "alt")));
    else if (ul_job_text(job, "alt"))
        ul_note(job->ctx, UL_LOG_WARN, "the method %s teaches no alternate answers; --alt is left unread",
                job->method_id);
    UL_TRY(ul_training_recipe(t));
    if (t->finished) return ul_training_finished(t);
    if (t->needs & UL_NEED_ALT) UL_TRY(ul_training_alternates(t));
    if (t->dry) return ul_training_plan(t, 0, true);
    ul_step_result last = {0};
    int64_t steps = 0;
    if (job->guard) return ul_training_guard(t);
    if (job->procedure) {
        UL_TRY(ul_training_procedure(t, &last, &steps));
    } else {
        UL_TRY(ul_training_reference(t));
        UL_TRY(ul_training_start(t));
        UL_TRY(ul_training_run(t, &last, &steps));
    }
    UL_TRY(ul_training_check(t, steps));
    UL_TRY(ul_training_save(t));
    return report(t, &last, steps);
}

static ul_status run(ul_job *job)
{
    ul_training t = {.job = job, .dry = ul_job_flag(job, "print-plan")};
    const ul_status s = forget(&t);
    if (s != UL_OK) ul_training_abandon(&t);
    return s;
}

const ul_job_kind ul_job_forget = {
    .id = "forget", .summary = "make a model forget: one unlearning run",
    .about = "Trains the model with an unlearning method until it no longer answers for the forget set, and writes a "
             "complete model directory (weights in the input's type, tokenizer and settings carried over), the log of "
             "every step and a manifest. Without further flags each method runs with defaults that suit the model's "
             "size.",
    .example = "unlearn forget --model demo-out/target --forget demo-out/data/forget.jsonl "
               "--retain demo-out/data/retain.jsonl --method npo --out forgotten",
    .tables = {params, ul_recipe_params, ul_data_params, ul_lora_params, ul_output_params, ul_compute_params},
    .takes_method = true, .run = run};
