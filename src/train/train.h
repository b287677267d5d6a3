/* train.h - the step loop: passes planned from a method's needs, optimizer, schedule, accumulation, reference cache,
 * checkpoints, resume. It drives a method through its record (unlearn/method.h) and never names one.
 *
 * A step:  samples (data) -> micro-batches of whole samples -> forward -> method->loss, sample by sample, in double
 *          -> backward adds into the gradients -> after the last micro-batch: tied weights joined, clip, optimizer,
 * log. Losses are divided by the counts of the whole step, so micro-batch, checkpointing and resume change no bit. */
#ifndef UL_TRAIN_H
#define UL_TRAIN_H
#include "data/data.h"
#include "model/model.h"
#include "unlearn/method.h"

/* ---- the recipe -------------------------------------------------------------------------------------------------- */
typedef enum { UL_ADAMW, UL_SGD, UL_SOPHIA } ul_optim_kind;
typedef enum { UL_CONSTANT, UL_LINEAR, UL_COSINE } ul_schedule;

/* Everything that decides the numbers of a run beside the model, the data and the method. */
typedef struct {
    uint64_t seed;
    double epochs; /* used when steps is 0 */
    int64_t steps;
    int32_t batch; /* samples a step */
    ul_optim_kind optim;
    double lr, beta1, beta2, eps, weight_decay, momentum;
    ul_schedule schedule;
    double warmup;     /* >= 1: steps; < 1: share of the steps, rounded up */
    double lr_floor;   /* cosine, linear: end at this share of lr */
    double clip;       /* 0 = none; else max norm over all trainables: g *= min(1, clip / (norm + 1e-6)) */
    bool match_peer;   /* --match: means within each micro-batch, then their mean; all-position KL */
    const char *train; /* spec of ul_model_select; "auto": ul_method_train */
    double sophia_beta2, sophia_rho, sophia_batch;
    int64_t sophia_every; /* steps between estimates of the curvature */
} ul_recipe;
/* seed epochs steps batch optimizer lr beta1 beta2 eps weight-decay momentum schedule
 * warmup lr-floor clip train sophia-* */
extern const ul_param ul_recipe_params[];
extern const ul_match ul_sophia_matches[]; /* of --optimizer sophia */
/* Values of that table; lr 0 becomes ul_recipe_lr_for(parameters of the model). */
void ul_recipe_from_args(const ul_args *a, int64_t n_parameters, ul_recipe *out);
double ul_recipe_lr_for(int64_t n_parameters);
/* `small` up to a million parameters, `paper` from 1e9, between them a power of the size, rounded to two digits. */
double ul_recipe_lr_between(int64_t n_parameters, double small, double paper);
double ul_recipe_lr_times(double lr, double times); /* the same rounding */
bool ul_recipe_small(int64_t n_parameters); /* of the models whose defaults are ours, not the papers' */
int64_t ul_recipe_steps(const ul_recipe *r, int64_t n_samples);       /* steps, or ceil(epochs * n / batch) */
double ul_recipe_lr(const ul_recipe *r, int64_t step, int64_t steps); /* of step 0 .. steps-1, as transformers has it */

/* ---- the reference cache ----------------------------------------------------------------------------------------- */
const char *ul_side_name(int side); /* "forget", "alternate", "retain" */

/* What the model before the run says of a set of documents: log p of every scored token and, for KL, the hidden rows
 * that the head reads and the head itself. One file under `dir` for a (weights digest, precision, kind, documents),
 * made by one forward sweep (adapters off) when it is missing, then mapped; dir NULL: kept in `arena`. Packing never
 * changes a bit, so a policy that has not moved yet gives exactly these numbers. */
typedef struct ul_reference ul_reference;
ul_status ul_reference_open(ul_ctx *ctx, ul_arena *arena, ul_model *m, const char *dir, const char *weights_digest,
                            const ul_docs *docs, bool hidden, ul_reference **out) UL_MUST;
/* Hidden states of every token after `blocks` blocks, instead: what a pass that starts there begins with. */
ul_status ul_reference_open_prefix(ul_ctx *ctx, ul_arena *arena, ul_model *m, const char *dir,
                                   const char *weights_digest, const ul_docs *docs, int blocks,
                                   ul_reference **out) UL_MUST;
/* The hidden states at the scored tokens themselves after the blocks that `s` looks at, [rows, blocks, C].
 * prefix: of the same documents, where the sweep starts; or NULL. */
ul_status ul_reference_open_state(ul_ctx *ctx, ul_arena *arena, ul_model *m, const char *dir,
                                  const char *weights_digest, const ul_docs *docs, const ul_state *s,
                                  const ul_reference *prefix, ul_reference **out) UL_MUST;
/* The uniform distribution in the place of a model: KL(uniform || .) is what a method then reads. */
ul_status ul_reference_uniform(ul_ctx *ctx, ul_arena *arena, const ul_model *m, const ul_docs *docs,
                               ul_reference **out) UL_MUST;
/* The most likely token but the true one, for each scored token, instead of its log-prob. */
ul_status ul_reference_open_rivals(ul_ctx *ctx, ul_arena *arena, ul_model *m, const char *dir,
                                   const char *weights_digest, const ul_docs *docs, ul_reference **out) UL_MUST;
/* Hidden rows that are a weighted sum of those of n readings (all with the rows of docs):
 * a head without bias makes of it the sum of their logits. No log-probs. */
ul_status ul_reference_open_readings(ul_ctx *ctx, ul_arena *arena, ul_model *m, const char *dir,
                                     const char *weights_digest, const ul_docs *docs, int n, const ul_reading *reading,
                                     const ul_docs *const *read, ul_reference **out) UL_MUST;
/* Scored tokens (prefix: tokens) of the document. */
int32_t ul_reference_rows(const ul_reference *r, int64_t doc);
const double *ul_reference_logp(const ul_reference *r, int64_t doc); /* [rows]; rivals: their ids */
const void *ul_reference_hidden(const ul_reference *r, int64_t doc); /* [rows, width] real; NULL unless asked for */
const void *ul_reference_head(const ul_reference *r);                /* [V, C] real; likewise */

/* ---- one step: for the loop, for replays of recorded training, for the audit's attacks --------------------------- */
typedef struct ul_trainer ul_trainer;
typedef struct {
    double loss;                               /* the method's, of the whole step                              */
    double forget_loss, alt_loss, retain_loss; /* mean nll of each side's scored tokens; NaN: side not run    */
    double grad_norm, lr;                      /* the norm before clipping                                     */
    double dual;                               /* the multiplier after this step; 0 for methods without        */
    int64_t tokens, scored;
    double kl;    /* to the model before the run, where a wrapper measured it after this step; else NaN */
    bool stopped; /* a wrapper ended the run with this step */
} ul_step_result;
/* The tokens of a text, in `arena`. */
typedef ul_status ul_encode_fn(void *user, ul_arena *arena, const char *text, const int32_t **token, int32_t *n);
/* Gives sample i of step s (0 .. batch-1), documents alive until the step's arena is reset. */
typedef ul_status ul_sample_fn(void *user, int64_t step, int32_t i, ul_arena *arena, ul_sample *out);
typedef struct ul_wrapper ul_wrapper;
typedef struct { /* a wrapper in use; order is that of the list where two have the same hook */
    const char *id;
    const ul_wrapper *wrapper;
    const ul_args *args;
    void *user; /* of who put it there; wrappers of the registry have none */
} ul_wrapping;
typedef struct {
    ul_model *model;
    const ul_method *method; /* NULL: plain training, mean nll of the forget side's scored tokens */
    const ul_args *args;
    const ul_recipe *recipe;
    /* samples; 0: what makes 512 to 2048 tokens. Never changes a bit (but defines match_peer's means) */
    int32_t micro_batch;
    bool checkpoint; /* keep block inputs only */
    ul_pairing *pairing; /* samples index = step * batch + i; or NULL and */
    ul_sample_fn *sample;
    void *user;
    const ul_reference *ref[UL_N_SIDE]; /* by document id; or NULL and the reference is run each time: */
    /* of all sides that are run, or NULL: states below the lowest block that moves */
    const ul_reference *prefix[UL_N_SIDE];
    ul_model *reference;                /* a second model, or the same one with adapters (UL_PASS_BASE); or NULL */
    const ul_mix *mix;           /* what others have a part in the logits that the loss sees, or NULL */
    const ul_hook *hook;         /* of the passes that are trained on */
    int n_hook;
    const ul_observer *observer; /* of the passes that are trained on, or NULL */
    /* [C] control vector of hidden states; NULL: steer * u / |u|, u uniform in [0, 1)^C of the seed */
    const double *control;
    const ul_wrapping *wrap; /* around the gradient of each step; at most one `part` and one `combine` */
    int n_wrap;
    const int32_t *label; /* [n_label] tokens that relabelling concerns, rising; NULL: all */
    int64_t n_label;
    ul_encode_fn *encode; /* for methods that have readings of the forget documents behind a text; NULL: none has */
    void *encode_user;
    int32_t bos; /* stays in front of such a text (ul_docs_behind) */
    int32_t pad_id; /* match_peer with KL or CE: such documents are padded with it to the longest of a micro-batch */
} ul_trainer_options;
ul_status ul_trainer_new(ul_ctx *ctx, const ul_trainer_options *o, int64_t steps, ul_trainer **out) UL_MUST;
void ul_trainer_free(ul_trainer *t); /* NULL is fine */
/* How many alternates of a sample the method wants of a pairing (ul_pairing.n_alt). */
int32_t ul_method_alternates(const ul_method *m, const ul_args *args);
/* The method's needs with these arguments; 0 for NULL. Callers open data and references by it. */
unsigned ul_method_needs(const ul_method *m, const ul_args *args);
/* What the method looks at of a side's hidden states, within the model; of the alternates' at least the layers of the
 * forget documents'. */
ul_state ul_method_state(const ul_method *m, const ul_args *args, int side, const ul_model *model);
int ul_state_blocks(const ul_state *s); /* how many it looks at */
/* Blocks that are run: all (-1), or up to the last hidden state that the method looks at. */
int ul_method_blocks(const ul_method *m, const ul_args *args, const ul_model *model);
/* Which weights move unless something else is said: all, but for losses of hidden states those of the blocks that are
 * run, or the last matrices of some mlps. */
const char *ul_method_train(ul_arena *arena, const ul_method *m, const ul_args *args, ul_model *model);
/* What these needs ask of the reference's documents of a side. */
typedef enum { UL_REF_NONE, UL_REF_LOGP, UL_REF_HIDDEN, UL_REF_STATE, UL_REF_RIVALS, UL_REF_TOP } ul_ref_kind;
ul_ref_kind ul_reference_kind(unsigned needs, int side);
/* The caches that the run reads, of the documents of each side (NULL where it has none): o->ref, and o->prefix where
 * weights of the lowest blocks stay and the `draws` samples of the run read a document at least once on average. */
ul_status ul_trainer_caches(ul_ctx *ctx, ul_arena *arena, const char *dir, const char *weights_digest,
                            const ul_docs *const docs[UL_N_SIDE], int64_t draws, ul_trainer_options *o) UL_MUST;
/* The same asked, not made: what would be read. o->prefix and o->ref are then hollow: good for ul_trainer_plan only. */
typedef struct {
    const char *what, *path; /* "states", ...; its file, NULL: kept in memory */
    int side, blocks;        /* blocks: that the sweep which makes it runs */
    int64_t docs, tokens, bytes;
    bool there; /* on the disk already */
} ul_cache_item;
typedef struct {
    ul_cache_item at[2 * UL_N_SIDE];
    int n;
} ul_cache_plan;
ul_status ul_trainer_caches_plan(ul_ctx *ctx, ul_arena *arena, const char *dir, const char *weights_digest,
                                 const ul_docs *const docs[UL_N_SIDE], int64_t draws, ul_trainer_options *o,
                                 ul_cache_plan *out) UL_MUST;
/* Gradients of step s into the model's g (before clipping), and the step's numbers. UL_E_CRITERION when the loss or a
 * gradient is not finite: names step and tensor; no weight has moved. */
ul_status ul_trainer_gradients(ul_trainer *t, int64_t step, ul_step_result *out) UL_MUST;
/* Clip by out->grad_norm and move the weights with the gradients that are there. */
ul_status ul_trainer_update(ul_trainer *t, int64_t step, ul_step_result *out) UL_MUST;
/* What wrappers need of the data before the first step, at the weights as they are; ul_trainer_gradients does it where
 * nobody has. Before ul_trainer_load: it is a function of the weights before the run. */
ul_status ul_trainer_calibrate(ul_trainer *t) UL_MUST;
/* After the last step, done = steps + 1 of it, and once: what wrappers make of the run (averages). */
ul_status ul_trainer_end(ul_trainer *t, int64_t done) UL_MUST;
/* The loss of each micro-batch of the last ul_trainer_gradients (with wrappers: of its last part): parts of the loss;
 * with match_peer each its own mean. */
const double *ul_trainer_micro_losses(const ul_trainer *t, int32_t *n);
/* Weights that move, optimizer state, step and recipe digest to / from one file (atomic). Another recipe's file is
 * refused, both digests named. Save refuses weights that are not finite. */
ul_status ul_trainer_save(ul_trainer *t, const char *path, int64_t next_step, const char *recipe_digest) UL_MUST;
ul_status ul_trainer_load(ul_trainer *t, const char *path, int64_t *next_step, const char *recipe_digest) UL_MUST;
/* Exact bytes of the largest micro-batch among the first `steps` steps (0: all), before any is run. */
typedef struct {
    ul_bytes_plan pass;     /* of the model                             */
    size_t optimizer, step; /* moments; samples, batch, scores of a step */
    size_t wrap;            /* of wrappers: a second gradient, averages, masks */
    size_t total;
    int32_t n_tok, n_row, longest; /* of that micro-batch */
} ul_train_plan;
ul_status ul_trainer_plan(ul_trainer *t, int64_t steps, ul_train_plan *out) UL_MUST;

/* ---- wrappers: what is done around the gradient of any method (room wrapper) ------------------------------------- */
/* A method's loss is a sum over sides, so its gradient has a forget part (forget and alternate documents)
 * and a retain part. A wrapper says how the forget part is obtained, how the two become one, which weights move,
 * what happens after a step. Without wrappers the parts are never computed apart, and no bit changes. */
typedef struct ul_wrap ul_wrap;
enum {
    UL_WRAP_RETAIN = 1, /* of no use without a retain part (combine: always) */
    UL_WRAP_MASK = 2,   /* calibrate says which weights stay as they are */
    UL_WRAP_APART = 4,  /* calibrate wants the buffers `forget` (combine: always) */
    UL_WRAP_RETAIN_TEXT = 8, /* reads the pairing's retain documents, whether the method does or not */
    UL_WRAP_FOLDS = 16       /* forget document i may stand on the retain side, as n + i of its n */
};
struct ul_wrapper { /* every function may be NULL */
    const char *title, *paper, *note;
    const ul_param *params;
    const char *const *small; /* key and value in turn, NULL at the end: of the parameters, in small models */
    const ul_match *matches;  /* as a method's */
    unsigned flags;
    /* checks, and memory from w->arena (it makes the byte plan); no pass over data */
    ul_status (*begin)(ul_wrap *w);
    ul_status (*calibrate)(ul_wrap *w); /* passes over data at the weights before the run; a resume does them again */
    /* another sample i of a step: a pure function */
    ul_status (*sample)(ul_wrap *w, int64_t step, int32_t i, ul_sample *io);
    ul_status (*before)(ul_wrap *w);                                         /* a step */
    ul_status (*part)(ul_wrap *w, ul_step_result *r); /* the forget part into g, which is zero; its numbers into r */
    ul_status (*combine)(ul_wrap *w);                 /* `forget` and g, the retain part, become g */
    ul_status (*after)(ul_wrap *w, ul_step_result *r); /* the weights have moved */
    ul_status (*end)(ul_wrap *w);                      /* after the last step */
};
struct ul_wrap {
    const ul_wrapper *wrapper;
    const char *id;
    const ul_args *args;
    ul_ctx *ctx;
    ul_arena *arena; /* lives as long as the trainer */
    ul_trainer *trainer;
    const ul_trainer_options *o;
    const ul_backend *be;
    int n_train;
    ul_trainable *train;
    void **p, **g;  /* [n_train] weights and gradients, those of `train` */
    void **forget;  /* [n_train] the forget part */
    int64_t step, steps;
    void *state, *user; /* its own; of the wrapping */
    bool off; /* set by begin: at this strength there is nothing to do, nothing more is called */
};
/* UL_E_USAGE: two that do the same thing; one without what it needs. The trainer asks too;
 * callers, before they write. */
ul_status ul_wrappings_check(ul_ctx *ctx, const ul_method *m, const ul_args *args, const ul_wrapping *wrap,
                             int n) UL_MUST;
/* Arrays as large as the trainables, zero. kind: kept in checkpoints as "ID.KIND.TENSOR"; NULL: not kept. */
ul_status ul_wrap_arrays(ul_wrap *w, const char *kind, void ***out) UL_MUST;
void ul_wrap_copy(const ul_wrap *w, void *const *from, void *const *to); /* of such arrays */
/* The sides of the method's that make up the forget part, or the retain part. */
unsigned ul_wrap_sides(const ul_wrap *w, bool retain);
/* Adds the gradient of these sides of a step to g. Its numbers are added to *r. */
ul_status ul_wrap_gradient(ul_wrap *w, int64_t step, unsigned sides, ul_step_result *r) UL_MUST;
/* Hooks and an observer of the parts that are run from here on; NULL, 0: none.
 * Which sample of the step is the first of the micro-batch that they see. */
void ul_wrap_passes(ul_wrap *w, const ul_hook *hook, int n_hook, const ul_observer *observer);
int32_t ul_wrap_first_sample(const ul_wrap *w);
int32_t ul_wrap_samples(const ul_wrap *w); /* of a step, those that are a further alternate of another one among them */
/* The value of a parameter of the method's, to be changed before a step; NULL: it has no such number. */
double *ul_wrap_method_value(ul_wrap *w, const char *key);
/* In calibrate: of tensor i only entries whose bit is set move, lowest bit first.
 * Several wrappers: those all agree on. */
void ul_wrap_keep_only(ul_wrap *w, int i, const uint8_t *bits);

/* ---- the whole run ----------------------------------------------------------------------------------------------- */
typedef struct {
    ul_trainer_options options;
    int64_t n_samples;   /* of an epoch */
    const char *out_dir; /* log.jsonl, checkpoint.safetensors; NULL: nothing is written (demo, attacks) */
    const char *recipe_digest;
    int64_t save_every; /* steps; 0 = about every five minutes; -1 = never; always at the end but for -1 */
    bool resume;        /* from the checkpoint in out_dir where there is one; the log is cut back to it */
    void (*on_step)(void *user, int64_t step, const ul_step_result *r); /* NULL, or curves; step from 0 */
    void *on_step_user;
    const char *what; /* in the progress line; NULL = silent */
} ul_run;
#define UL_LOG_NAME        "log.jsonl"
#define UL_CHECKPOINT_NAME "checkpoint.safetensors"
/* After `done` steps, the last state saved at saved_ns: is it time? every: steps, 0: about every five minutes. */
bool ul_checkpoint_is_due(int64_t every, int64_t done, int64_t saved_ns);
/* UL_E_USAGE where a checkpoint's recipe digest is not this run's. */
ul_status ul_checkpoint_same_recipe(ul_ctx *ctx, const char *path, const char *found, const char *wanted) UL_MUST;
/* Runs what is left of the steps. *steps_done counts from the start of the run; fewer than planned when the caller's
 * `interrupted` said so (the state is saved). A log line: step (from 1), loss, forget_loss, alt_loss, retain_loss,
 * grad_norm, lr, tokens, scored, kl (where measured), ms, time. last->stopped: a wrapper ended it, and it is complete.
 * UL_E_CRITERION: as ul_trainer_gradients; the last good checkpoint stays. */
ul_status ul_run_train(ul_ctx *ctx, const ul_run *run, ul_step_result *last, int64_t *steps_done) UL_MUST;
#endif
