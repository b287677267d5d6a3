/* training.h - what `train` and `forget` share: from keys to a run, and from a run to a model directory. */
#ifndef UL_TRAINING_H
#define UL_TRAINING_H
#include "audit/audit.h"

typedef struct {
    ul_job *job;
    ul_backend *be;
    ul_model *model;
    ul_tokenizer *tok;
    ul_template tpl;
    const char *dir, *out; /* model read, directory written */
    char digest[65];       /* of the model before the run   */
    ul_records *forget, *retain;
    ul_docs *forget_docs, *retain_docs;
    ul_pairing pairing;
    ul_recipe recipe;
    ul_trainer_options caches; /* whose ref and prefix the run reads */
    ul_cache_plan cache_plan;  /* of a dry run: what they would be  */
    ul_model *reference; /* the peer's divergence over padded batches reads the model itself; else NULL */
    const int32_t *label; /* tokens that relabelling concerns, or NULL */
    unsigned needs;
    ul_wrapping wrap[UL_MAX_WRAP];
    int n_wrap;
    bool retain_text; /* a wrapper reads the retain documents, whether the method does or not */
    ul_manifest manifest;
    bool lora, dry; /* dry: nothing is written (plan) */
    bool diverged;  /* and it has been told */
    bool fitted;    /* the adapter is fitted to what the method changes of whole weights */
    bool finished;  /* --resume, and OUT is complete already */
    bool begun;     /* OUT is this run's; made_out: and was not there before */
    bool made_out;
} ul_training;

ul_status ul_training_wrappers(ul_training *t) UL_MUST; /* what --wrap names; before everything else */
/* Backend, model, tokenizer, template, adapters, output directory. */
ul_status ul_training_model(ul_training *t) UL_MUST;
ul_status ul_training_records(ul_training *t, const char *key, const char *role, ul_records **records,
                              ul_docs **docs) UL_MUST;
/* Recipe, weights that move, pairing; seals the manifest; then (but for a dry run) OUT is there, has room, and is what
 * --resume says. */
ul_status ul_training_recipe(ul_training *t) UL_MUST;
/* OUT holds this very run, ended: says so in the job's result; there is nothing to do. */
ul_status ul_training_finished(ul_training *t) UL_MUST;
ul_status ul_training_alternates(ul_training *t) UL_MUST;
/* What a run, its caches and its plan have in common. */
ul_trainer_options ul_training_options(ul_training *t);
ul_status ul_training_reference(ul_training *t) UL_MUST;
/* Of a dry run: passes, caches and bytes, and where `time` is wanted the seconds, from one step that moves nothing.
 * look: steps to look at for the largest micro-batch; 0: all. Ends the job (planning.c). */
ul_status ul_training_plan(ul_training *t, int64_t look, bool time) UL_MUST;
/* Where adapters start, for methods that say so: after the references have been taken. */
ul_status ul_training_start(ul_training *t) UL_MUST;
/* UL_E_CRITERION when interrupted: the state is saved, OUT is no model yet. */
ul_status ul_training_run(ul_training *t, ul_step_result *last, int64_t *steps) UL_MUST;
/* What a procedure or a guard works on. */
ul_work ul_training_work(ul_training *t);
/* The same for a method that is a procedure. */
ul_status ul_training_procedure(ul_training *t, ul_step_result *last, int64_t *steps) UL_MUST;
/* Warns where the model is worse than guessing: after a step (ul_run's on_step); at the end, for the manifest. */
void ul_training_watch(void *training, int64_t step, const ul_step_result *r);
ul_status ul_training_check(ul_training *t, int64_t steps) UL_MUST;
/* A method that is a guard: OUT/guard.json and the manifest are all it writes; ends the job. */
ul_status ul_training_guard(ul_training *t) UL_MUST;
/* After an error: where nothing lies in OUT that --resume could go on from, its recipe goes, and OUT if it was made
 * here and is empty. */
void ul_training_abandon(const ul_training *t);
/* Model or adapter, side files, manifest; the checkpoint is removed. */
ul_status ul_training_save(ul_training *t) UL_MUST;

/* Answers that decline, where the user gives no lines of their own (job_forget.c). */
enum { UL_N_REFUSALS = 12 };
extern const char *const ul_refusals[UL_N_REFUSALS];

#define UL_PARAM_WRAP                                                                                                  \
    {"wrap", UL_TEXT, 0, 0, 0, NULL, "wrappers around the method's gradient, joined with commas (`unlearn methods` "   \
     "lists them): gru, sam, wagle, ...", ""},                                                                         \
    {"kl-budget", UL_REAL, 0, 0, 1000, "nats", "stop where the mean divergence from the model before the run, on "     \
     "retain text, reaches this (--wrap budget); 0: never", NULL}
#endif
