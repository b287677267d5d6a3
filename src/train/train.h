/* train.h - the step loop: passes planned from a method's needs, optimizer, schedule, accumulation, reference cache,
 * checkpoints, resume. It drives a method through its record (unlearn/method.h) and never names one.
 *
 * A step:  samples (data) -> micro-batches of whole samples -> forward -> method->loss, sample by sample, in double
 *          -> backward adds into the gradients -> after the last micro-batch: tied weights joined, clip, optimizer, log.
 * Losses are divided by the counts of the whole step, so micro-batch, checkpointing and resume change no bit. */
#ifndef UL_TRAIN_H
#define UL_TRAIN_H
#include "data/data.h"
#include "model/model.h"
#include "unlearn/method.h"

typedef enum { UL_ADAMW, UL_SGD } ul_optim_kind;
typedef enum { UL_CONSTANT, UL_LINEAR, UL_COSINE } ul_schedule;

/* Everything that decides the numbers of a run, and nothing else: its digest names the run. */
typedef struct {
    uint64_t seed;
    double epochs;       /* used when steps is 0 */
    int64_t steps;
    int32_t batch;       /* samples a step */
    ul_optim_kind optim;
    double lr, beta1, beta2, eps, weight_decay, momentum;
    ul_schedule schedule;
    double warmup;       /* >= 1: steps; < 1: share of the steps */
    double lr_floor;     /* cosine, linear: end at this share of lr */
    double clip;         /* 0 = none; else max norm over all trainables: g *= min(1, clip / (norm + 1e-6)) */
    bool match_peer;     /* --match open-unlearning: denominators within each micro-batch (mean of means), all-position KL */
    const char *train;   /* spec of ul_model_select */
} ul_recipe;
extern const ul_param ul_recipe_params[]; /* seed epochs steps batch lr ... with defaults, bounds, help: read by the command line */
double ul_recipe_lr(const ul_recipe *r, int64_t step, int64_t steps); /* of step 0 .. steps-1 */

/* ---- the reference cache -------------------------------------------------------------------------------------------- */
/* Per scored token log p under the model before the run, and (for KL) the hidden rows that the head reads. On disk under `dir`, one file
 * a (weights digest, precision, kind, documents digest); memory-mapped; made by one forward sweep when missing. */
typedef struct ul_reference ul_reference;
ul_status ul_reference_open(ul_ctx *ctx, ul_arena *arena, ul_model *m, const char *dir, const char *digest,
                            const ul_docs *docs, bool hidden, ul_reference **out) UL_MUST;
const double *ul_reference_logp(const ul_reference *r, int64_t doc_id); /* [scored tokens of the document] */
const void *ul_reference_hidden(const ul_reference *r, int64_t doc_id); /* [rows, C] real */

/* ---- one step, for the loop, the replay of recorded training, and the audit's attacks -------------------------------- */
typedef struct ul_trainer ul_trainer;
typedef struct {
    double loss, forget_loss, retain_loss; /* method's loss; mean nll of each side's scored tokens */
    double grad_norm, lr;
    int64_t tokens, scored;
} ul_step_result;
/* Gives sample i of step s (0 .. batch-1), documents alive until the step's arena is reset. */
typedef ul_status ul_sample_fn(void *user, int64_t step, int32_t i, ul_arena *arena, ul_sample *out);
/* Reference numbers of a document: fill what is asked for (logp [scored], hidden [rows, C]); user-made for replays. */
typedef struct {
    ul_model *model;
    const ul_method *method; /* NULL: plain training, mean nll of the forget side's scored tokens */
    const ul_args *args;
    const ul_recipe *recipe;
    int32_t micro_batch;     /* samples; never changes the bits (unless match_peer, whose definition it is) */
    bool checkpoint;
    ul_sample_fn *sample;
    void *user;
    const ul_reference *forget_ref, *retain_ref; /* from the cache, by document id; or NULL: `reference` is asked */
    ul_model *reference;     /* a second model (replay), or the same one with adapters (run with UL_PASS_BASE); or NULL */
    const void *ref_head;    /* [V, C] of the reference, for KL */
} ul_trainer_options;
ul_status ul_trainer_new(ul_ctx *ctx, const ul_trainer_options *o, int64_t steps, ul_trainer **out) UL_MUST;
void ul_trainer_free(ul_trainer *t);
/* Gradients of step s into the model's g (before clipping); for tests and replays. */
ul_status ul_trainer_gradients(ul_trainer *t, int64_t step, ul_step_result *out) UL_MUST;
/* Clip and move the weights with the gradients that are there. */
ul_status ul_trainer_update(ul_trainer *t, int64_t step, ul_step_result *out) UL_MUST;
/* Optimizer state and weights to / from one file (atomic). */
ul_status ul_trainer_save(ul_trainer *t, const char *path, int64_t next_step, const char *recipe_digest) UL_MUST;
ul_status ul_trainer_load(ul_trainer *t, const char *path, int64_t *next_step, const char *recipe_digest) UL_MUST;
/* Exact bytes of a step of this shape, before it runs. */
ul_status ul_trainer_plan(ul_trainer *t, ul_bytes_plan *out) UL_MUST;

/* ---- the whole run ---------------------------------------------------------------------------------------------------- */
typedef struct {
    ul_trainer_options options;
    int64_t n_samples;       /* of an epoch */
    const char *out_dir;     /* log.jsonl, checkpoint; NULL: nothing is written (demo, attacks) */
    const char *recipe_digest;
    int64_t save_every;      /* steps; 0 = about every five minutes; -1 = never */
    bool resume;
    void (*on_step)(void *user, int64_t step, const ul_step_result *r); /* NULL, or curves */
    void *on_step_user;
    const char *what;        /* in the progress line; NULL = silent */
} ul_run;
/* Stops with UL_E_CRITERION when the loss or a gradient is not finite: names step and tensor, keeps the last good checkpoint. */
ul_status ul_run_train(ul_ctx *ctx, const ul_run *run, ul_step_result *last, int64_t *steps_done) UL_MUST;
#endif
