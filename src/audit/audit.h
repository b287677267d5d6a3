/* audit.h - jobs: recipe -> passes -> columns -> metrics -> report. The room that a person reads from.
 *
 * A job kind is a record: parameter tables and a function. The command line, the public interface (unlearn/run.h), the
 * manifest and the help all read the same tables. */
#ifndef UL_AUDIT_H
#define UL_AUDIT_H
#include "data/data.h"
#include "guard/guard.h"
#include "io/io.h"
#include "metric/metric.h"
#include "model/model.h"
#include "procedure/procedure.h"
#include "token/token.h"
#include "train/train.h"
#include "unlearn/method.h"
#include "unlearn/run.h"
#include "wrapper/wrapper.h"

/* ---- job kinds --------------------------------------------------------------------------------------------------- */
enum { UL_JOB_TABLES = 6 };
typedef struct {
    const char *id;
    const char *summary; /* one line, for the list of verbs */
    const char *about;   /* a paragraph, for --help */
    const char *example; /* a command line that works as it stands after `unlearn demo --out demo-out` */
    const ul_param *tables[UL_JOB_TABLES]; /* own table first; NULL ends */
    bool takes_method;   /* `method` and METHOD.PARAMETER keys */
    ul_status (*run)(ul_job *job);
} ul_job_kind;
const ul_job_kind *const *ul_job_kinds(void); /* NULL at the end */
const ul_job_kind *ul_job_kind_find(const char *id);

/* A wrapper that --wrap names, or whose parameters were given. */
enum { UL_MAX_WRAP = 8 };
typedef struct {
    const char *id;
    const ul_wrapper *wrapper;
    ul_args args;
    bool named, set[UL_MAX_PARAM]; /* set: given by the caller */
} ul_job_wrapper;

struct ul_job {
    ul_ctx *ctx;
    ul_arena *arena;
    const ul_job_kind *kind;
    ul_args args[UL_JOB_TABLES];
    bool set[UL_JOB_TABLES][UL_MAX_PARAM]; /* given by the caller, not a default */
    const ul_method *method;               /* NULL until "method" is set */
    const ul_procedure *procedure;         /* NULL: the method is no procedure */
    const ul_guard *guard;                 /* NULL: the method is no guard     */
    const char *method_id;
    ul_args method_args;
    bool method_set[UL_MAX_PARAM]; /* of them, given by the caller */
    ul_job_wrapper wrap[UL_MAX_WRAP]; /* in the order of --wrap, once ul_training_wrappers has read it */
    int n_wrap;
    bool micro_means;          /* what --match names has its means within micro-batches */
    const char *pending_owner; /* METHOD of METHOD.PARAMETER keys seen before "method" */
    json_t *result;            /* owned by the job */
    ul_buf text;               /* the same for a person: printed by the program */
    char *result_text;
    int64_t started_ns;
    char started[21];
};
double ul_job_num(const ul_job *job, const char *key);
int64_t ul_job_int(const ul_job *job, const char *key);
bool ul_job_flag(const ul_job *job, const char *key);
const char *ul_job_text(const ul_job *job, const char *key); /* NULL when empty */
bool ul_job_given(const ul_job *job, const char *key);
/* The table and place of a key; false when no table has it. */
bool ul_job_find(const ul_job *job, const char *key, int *table, int *place);
/* Where the caller has given nothing: what method and wrappers bring along for a model of this size, then what the
 * program does that --match names (defaults.c). Once method, wrappers and all keys are there. */
ul_status ul_job_defaults(ul_job *job, int64_t n_parameters) UL_MUST;
/* The learning rate of a model of this size where the caller gave none: of the run's method, or of any run. */
double ul_job_rate(const ul_job *job, int64_t n_parameters);
ul_status ul_job_match_known(ul_job *job) UL_MUST; /* UL_E_USAGE: --match names nothing that this run has */

/* ---- a job that calls another one (call.c) ---- */
typedef struct {
    const char *key, *value;
} ul_setting;
/* The keys of this table that the caller of `from` gave, but for those in `but` (NULL-ended, or NULL). */
ul_status ul_job_pass(const ul_job *from, const ul_param *table, const char *const *but, ul_job *to) UL_MUST;
/* The method, with what was given of its and of the wrappers' parameters. */
ul_status ul_job_pass_method(const ul_job *from, ul_job *to) UL_MUST;
ul_status ul_job_set_all(ul_job *job, const ul_setting *s) UL_MUST;   /* until a NULL key; NULL values are left out */
/* A job of that kind, with what was given of data and computing, and with s.
 * *out is the caller's to free, after an error too. */
ul_status ul_job_child(const ul_job *from, const char *kind, const ul_setting *s, ul_job **out) UL_MUST;
/* Alternate answers of their own for the rows of `forget` (UL_NEED_ALT_OWN): the wrong answers of `rows`, the same
 * ones, where all have some: *out is `rows`; else answers of other rows, which `relabel` puts into `file`: *out is
 * that. */
ul_status ul_job_alternates(const ul_job *job, const char *rows, const char *forget, const char *seed, const char *file,
                            const char **out) UL_MUST;
/* What a part of a run left at `path`, kept under --resume when its `key` is this digest; else NULL. */
ul_status ul_job_kept(ul_job *job, const char *path, const char *key, ul_presence presence, const char *digest,
                      json_t **out) UL_MUST;
ul_status ul_job_text_save(ul_job *job, const char *path) UL_MUST; /* job->text as it stands, to a file */

/* WRAPPER.PARAMETER: kept until --wrap names it. */
ul_status ul_job_wrap_param(ul_job *job, const char *owner, const char *key, const char *value) UL_MUST;

/* Every method that `--method` takes, losses first, then procedures, then guards: entry i; false past the end. */
typedef struct {
    const char *id;
    const ul_method *method;
    const ul_procedure *procedure; /* both NULL: a loss */
    const ul_guard *guard;
} ul_catalogue_entry;
bool ul_catalogue_at(int i, ul_catalogue_entry *out);
bool ul_catalogue_find(const char *id, ul_catalogue_entry *out);
unsigned ul_catalogue_needs(const ul_method *m); /* at its defaults, of a small or of a large model */
/* UL_E_USAGE: there is no such method (or wrapper); names the nearest. `where`: what said it, or NULL. */
ul_status ul_catalogue_unknown(ul_ctx *ctx, const char *where, const char *id, bool wrappers);

/* Tables shared by several kinds. Recipe: ul_recipe_params (train.h). */
extern const ul_param ul_compute_params[]; /* threads precision isa                                          */
extern const ul_param ul_data_params[];    /* fields, template tags, max-length, strict, entity rows         */
extern const ul_param ul_lora_params[];    /* lora-r lora-alpha lora-rslora lora-targets                     */
extern const ul_param ul_output_params[];  /* out force resume micro-batch checkpoint save-every match cache */

/* ---- opening what jobs work on ----------------------------------------------------------------------------------- */
/* For ul_arena_defer. */
void ul_release_model(void *model);
void ul_release_tokenizer(void *tokenizer);
ul_status ul_job_backend(ul_job *job, ul_backend **out) UL_MUST;
/* Model and tokenizer of a directory, checked against each other; `digest` (65 bytes, of ul_job_digest) or NULL. */
ul_status ul_job_model(ul_job *job, ul_backend *be, const char *dir, unsigned flags, ul_model **m, ul_tokenizer **tok,
                       char *digest) UL_MUST;
/* The guard that --guard names, around the model of this digest; NULL without the flag.
 * Enters the manifest (m may be NULL). */
typedef struct ul_manifest ul_manifest;
ul_status ul_job_guard(ul_job *job, ul_manifest *m, ul_model *model, const ul_tokenizer *tok, const char *model_digest,
                       ul_guard_file **out) UL_MUST;
ul_status ul_job_template(ul_job *job, const ul_tokenizer *tok, const ul_shape *shape, ul_template *out) UL_MUST;
/* Of the tensors as they stand in the files of a directory or file: what manifests name and `inspect` shows. */
ul_status ul_job_digest(ul_job *job, const char *path, char digest[65]) UL_MUST;
/* --split, one of TOFU's three; forget10 where none is given. */
ul_status ul_job_tofu_split(ul_job *job, const char **out) UL_MUST;
/* OUT, checked only: not empty is UL_E_USAGE unless `force` (files of the same names are replaced)
 * or `resume`; never the model read. */
ul_status ul_job_out_name(ul_job *job, const char **out) UL_MUST;
/* The same, and made when absent. */
ul_status ul_job_out_dir(ul_job *job, const char **out) UL_MUST;

/* ---- manifest ---------------------------------------------------------------------------------------------------- */
/* Everything that decides the numbers, as JSON: kind, parameters, method, inputs with digests, precision;
 * its SHA-256 is the recipe digest. The manifest adds what does not (ISA, threads, micro-batch,
 * build, times) and the outputs' digests. */
struct ul_manifest {
    json_t *inputs;  /* {"model": {"path", "digest"}, "forget": {"path", "digest", "rows"}, ...} */
    json_t *outputs;
    json_t *recipe; /* sealed */
    char recipe_digest[65];
};
ul_status ul_manifest_begin(ul_job *job, ul_manifest *m) UL_MUST;
ul_status ul_manifest_input(ul_job *job, ul_manifest *m, const char *role, const char *path, const char *digest,
                            int64_t rows) UL_MUST;
/* The same for a file, digested here; one that is not there is left out. */
ul_status ul_manifest_file(ul_job *job, ul_manifest *m, const char *role, const char *path) UL_MUST;
ul_status ul_job_file_digest(ul_job *job, const char *path, char digest[65]) UL_MUST; /* of the file's bytes */
/* config.json and tokenizer.json of a model directory. */
ul_status ul_manifest_side_files(ul_job *job, ul_manifest *m, const char *dir) UL_MUST;
ul_status ul_manifest_seal(ul_job *job, ul_manifest *m) UL_MUST; /* after the inputs: fills recipe_digest */
/* `be` NULL: no model ran. */
ul_status ul_manifest_write(ul_job *job, ul_manifest *m, const ul_backend *be, const char *dir) UL_MUST;
/* The recipe of a run that has not ended, in DIR; and whether what such a file, or a manifest, holds is this run's: if
 * not, UL_E_USAGE names what differs (same_recipe.c). */
#define UL_RECIPE_NAME ".recipe.json"
ul_status ul_manifest_write_recipe(ul_job *job, const ul_manifest *m, const char *dir) UL_MUST;
ul_status ul_manifest_same_recipe(ul_job *job, const ul_manifest *m, const char *path) UL_MUST;
extern const char ul_build_id[]; /* generated */

/* ---- columns ----------------------------------------------------------------------------------------------------- */
/* One pass over a data set's documents: log-probs and argmax hits of every labelled token. One answer a row. */
typedef struct {
    ul_model *model;
    ul_tokenizer *tok;
    ul_template tpl;
    int32_t batch_tokens; /* tokens a packed batch holds; never changes the bits */
    int32_t batch;        /* rows generated together */
    int32_t max_new;
    bool unstripped;      /* generations keep their outer white space */
    bool texts;           /* decode the labelled tokens (mia_zlib) */
    bool moments;         /* mean and variance of log p at every labelled token (mia_min_k_plus_plus) */
    int32_t samples;      /* sampled answers a row, with: */
    double temperature, top_p;
    int32_t top_k;
    uint64_t seed;
    ul_guard_file *guard; /* what stands around the model, or NULL */
    bool peer_positions;  /* generation positions count visible tokens only, as the peer's left-padded batches do */
    const ul_hook *hook;  /* of scoring passes */
    int n_hook;
} ul_eval_options;
/* The data set as the guard makes it: prompts, template, hooks and mix of a pass over it. Without a guard: as it is. */
ul_status ul_eval_guarded(const ul_eval_options *o, ul_arena *arena, const ul_records *records,
                          ul_guarded *out) UL_MUST;
/* Answers of `which` for every record (data.h); which = UL_WHICH_WRONG: all wrong answers, a list a row. */
enum { UL_WHICH_WRONG = -3 };
ul_status ul_columns_score(ul_ctx *ctx, ul_arena *arena, const ul_eval_options *o, const ul_records *records,
                           int32_t which, const char *name, ul_columns *out) UL_MUST;
/* Several kinds of answers at once: they share their prompts. out[k] are those of which[k]; the same bits as alone. */
enum { UL_MAX_WHICH = 4 };
ul_status ul_columns_score_kinds(ul_ctx *ctx, ul_arena *arena, const ul_eval_options *o, const ul_records *records,
                                 const int32_t *which, int n_which, const char *const *names, ul_columns *out) UL_MUST;
/* Adds generation and ground_truth (of `which`) to columns. */
ul_status ul_columns_generate(ul_ctx *ctx, ul_arena *arena, const ul_eval_options *o, const ul_records *records,
                              ul_columns *io) UL_MUST;
ul_status ul_columns_ground_truth(ul_ctx *ctx, ul_arena *arena, const ul_eval_options *o, const ul_records *records,
                                  int32_t which, ul_columns *io) UL_MUST;

/* Adds grad_norm: per row the mean over parameters of the p-norm of each one's own gradient (p may be infinite).
 * Needs a model opened for training; selects all weights. */
ul_status ul_columns_grad_norm(ul_ctx *ctx, ul_arena *arena, const ul_eval_options *o, const ul_records *records,
                               double p, ul_columns *io) UL_MUST;

/* The mean over n tensors of each gradient's own p-norm. */
double ul_mean_norm(const ul_backend *be, const ul_trainable *t, int n, double p);
/* o->samples answers a row drawn at o->temperature (a list a row) and, with each, what it is compared with:
 * a function of (seed, row, place), whatever the batch. */
ul_status ul_columns_samples(ul_ctx *ctx, ul_arena *arena, const ul_eval_options *o, const ul_records *records,
                             ul_columns *io) UL_MUST;
/* Decoded without special tokens, cleaned up as the peers' tokenizers do, stripped where asked. */
ul_status ul_decode_answer(ul_ctx *ctx, ul_arena *arena, const ul_tokenizer *tok, const int32_t *ids, size_t n,
                           bool strip, const char **out) UL_MUST;

/* ---- distance to a retrained control (distance.c) ---------------------------------------------------------------- */
/* Adds kl, kl_reverse, js, agree to columns of the true answers, and where their tokens begin if nothing did yet. */
ul_status ul_columns_divergence(ul_ctx *ctx, ul_arena *arena, const ul_eval_options *o, ul_model *control,
                                const ul_records *records, ul_columns *io) UL_MUST;
/* out [n_layer]: linear CKA of the mean states of the true answers after each block; NaN where they do not vary. */
ul_status ul_control_cka(ul_ctx *ctx, const ul_eval_options *o, ul_model *control, const ul_records *records,
                         double *out) UL_MUST;
/* |W - W_control| / |W_control| over the tensors of two directories that both have, and of each by name. */
ul_status ul_control_weights(ul_ctx *ctx, const char *dir, const char *control, double *relative,
                             json_t *by_tensor) UL_MUST;

/* ---- results as JSON --------------------------------------------------------------------------------------------- */
ul_status ul_result_json(ul_ctx *ctx, const ul_metric *metric, const ul_result *r, json_t **out) UL_MUST;
/* Back from a log file of open-unlearning's shape. */
ul_status ul_result_from_json(ul_ctx *ctx, ul_arena *arena, const ul_metric *metric, const char *where, const json_t *j,
                              ul_result *out) UL_MUST;

/* ---- evaluation -------------------------------------------------------------------------------------------------- */
/* Zero-filled, then ctx, arena, o; sets by name ("forget", "retain", "real_authors", "world_facts", "holdout"),
 * or columns that were kept; then run. Results whose data or inputs are absent are left out. */
enum { UL_MAX_SET = 8, UL_MAX_COLUMNS = 24, UL_MAX_RESULT = 128, UL_MAX_LEAK = 16 };
typedef struct {
    ul_ctx *ctx;
    ul_arena *arena;
    ul_eval_options o;
    ul_model *reference; /* for mia_reference, or NULL */
    ul_model *retrained; /* the retrained control itself, for distances to it; or NULL */
    ul_model *before;    /* the model before it forgot, for the depth score; or NULL */
    ul_model *trainable; /* for mia_gradnorm: the model again, opened without panels; or NULL */
    const char *set_name[UL_MAX_SET];
    ul_records *set[UL_MAX_SET];
    int n_set;
    ul_data_columns columns[UL_MAX_COLUMNS];
    int n_columns;
    ul_named_result result[UL_MAX_RESULT], control[UL_MAX_RESULT], original[UL_MAX_RESULT];
    int n_result, n_control, n_original;
    ul_result_spec leak[UL_MAX_LEAK]; /* leak@k for the k of ul_evaluation_leak */
    int n_leak;
    bool asked, named[UL_MAX_RESULT], wanted[UL_MAX_RESULT]; /* by place in the table; see ul_evaluation_ask */
    char lack[200]; /* what data was found missing last, in words */
} ul_evaluation;
ul_status ul_evaluation_add(ul_evaluation *e, const char *name, ul_records *records) UL_MUST;
ul_status ul_evaluation_control(ul_evaluation *e, const char *path) UL_MUST;  /* a log of the retrained control     */
ul_status ul_evaluation_original(ul_evaluation *e, const char *path) UL_MUST; /* a log of the model before it forgot */
/* Only these: names of results or ids of metrics, joined with commas, and what they are computed from;
 * "all": also what needs gradients. NULL: all that needs forward passes only. A named result that cannot
 * be had is UL_E_USAGE when it runs. */
ul_status ul_evaluation_ask(ul_evaluation *e, const char *list) UL_MUST;
/* "2,16": forget_leak_at_2 and forget_leak_at_16 too; after ul_evaluation_ask. samples: that a row will have; -1: to be
 * seen. */
ul_status ul_evaluation_leak(ul_evaluation *e, const char *list, int64_t samples) UL_MUST;
/* The record of a result; NULL: none of that name. */
const ul_result_spec *ul_evaluation_spec(const ul_evaluation *e, const char *name);
unsigned ul_evaluation_needs(const ul_evaluation *e); /* every column that a wanted result reads */
/* Fills result[]; JSON (either may be NULL): all = open-unlearning's log, summary = name -> aggregate. */
ul_status ul_evaluation_run(ul_evaluation *e, json_t *all, json_t *summary) UL_MUST;
const ul_result *ul_evaluation_result(const ul_evaluation *e, const char *name); /* NULL: was left out */
const ul_columns *ul_evaluation_columns(const ul_evaluation *e, const char *set, const char *key);

/* Every column in one SQLite file (store.c says how it looks), atomic, the same bytes for the same columns;
 * `about`: an object of texts. */
ul_status ul_columns_save(ul_ctx *ctx, const char *path, const ul_data_columns *columns, int n,
                          const json_t *about) UL_MUST;
ul_status ul_columns_load(ul_ctx *ctx, ul_arena *arena, const char *path, ul_data_columns **out, int *n,
                          json_t **about) UL_MUST;

/* Results of other models that some compare with: the retrained control's, the original's. n = 0: there are none. */
typedef struct {
    const ul_named_result *control;
    int n_control;
    const ul_named_result *original;
    int n_original;
} ul_baselines;
/* Results of a log, every aggregate computed again from its rows (and from `beside`, for those that compare;
 * may be NULL); `log` (may be NULL) gets the tree, which the arena owns. UL_E_INPUT: rows that do not fit
 * together, a number that is not finite. */
ul_status ul_log_results(ul_ctx *ctx, ul_arena *arena, const char *path, const ul_baselines *beside,
                         ul_named_result out[UL_MAX_RESULT], int *n_out, json_t **log) UL_MUST;
/* Of a result in a log that is not in the table: leak@k by its name, others by their rows (a mean of prob,
 * rougeL_recall or score; an AUC of forget and holdout). out->name NULL: neither says how its rows become a number. */
ul_status ul_log_other(ul_arena *a, const char *name, const json_t *entry, ul_result_spec *out) UL_MUST;
/* Do results of the forget set lie over the same rows, with the same true answers?
 * `path` is the other's, for the message. */
ul_status ul_log_same_data(ul_ctx *ctx, ul_arena *arena, const char *path, const ul_named_result *own, int n_own,
                           const ul_named_result *other, int n_other) UL_MUST;

/* ---- report ------------------------------------------------------------------------------------------------------ */
/* report.html from report.json's tree: one static file, no script, inline SVG. */
ul_status ul_report_html(ul_ctx *ctx, const json_t *report, const char *path) UL_MUST;
#endif
