/* guard.h - methods that change no weights: what stands around a model when it is asked.
 *
 * A guard is a record like a method's (paper, intention, level, parameters, needs; no loss) and two functions:
 * `fit` makes it from a model and its data, once; `prepare` says, of a data set about to be run, what is done to it:
 * other prompts, hooks inside the model, other models that take part in the logits. Scoring and generation are given
 * the same three things, so that both speak of the same guarded model. Files src/guard/<id>.c are the registry;
 * "_<name>.c" are what they share.
 *
 * On disk: OUT/guard.json (kind, parameters, the digest of the model it was made for, what `fit` found), beside it
 * guard.safetensors and the adapter OUT/assistant/ where there are weights; both digests stand in guard.json. */
#ifndef UL_GUARD_H
#define UL_GUARD_H
#include "procedure/procedure.h"

typedef struct ul_guard ul_guard;

/* ---- making one -------------------------------------------------------------------------------------------------- */
enum { UL_GUARD_TENSORS = 16 };
typedef struct {
    ul_work *work; /* the model (left as it was), the data, the recipe of what is trained, OUT */
    const char *model_digest;
    json_t *data;  /* an object: what was found; goes into the file */
    ul_tensor tensor[UL_GUARD_TENSORS]; /* arrays that go into guard.safetensors, alive until the file is written */
    int64_t n_tensor;
    ul_model *assistant; /* whose adapter goes into OUT/assistant, or NULL */
} ul_guard_fit;

/* ---- one that has been made -------------------------------------------------------------------------------------- */
typedef struct {
    ul_ctx *ctx;
    ul_arena *arena;
    const char *path, *dir; /* of guard.json, of its folder */
    const char *id, *model_digest;
    char digest[65];        /* of the file guard.json */
    const ul_guard *guard;
    ul_args args;
    const json_t *data;
    ul_tensors *weights; /* NULL: none */
    const char *adapter; /* directory of the assistant's adapter, or NULL */
    ul_model *model;     /* what it stands around */
    const ul_tokenizer *tok;
    void *state; /* the kind's own, made by `open` */
} ul_guard_file;

/* What a guard does to one data set. In: records, template, how answers are generated. `prepare` changes what it
 * wants changed. Lives in the arena that prepare was given. Documents built from these records carry the row as id;
 * hooks and mixes know them by it. */
enum { UL_GUARD_HOOKS = 8 };
typedef struct {
    const ul_records *records;
    ul_template tpl;
    int32_t max_new, batch;
    ul_hook hook[UL_GUARD_HOOKS];
    int n_hook;
    const ul_mix *mix; /* NULL: the logits are the model's */
} ul_guarded;

struct ul_guard {
    ul_method method; /* without a loss */
    ul_status (*fit)(ul_guard_fit *f);
    const ul_runs *runs; /* of `fit` */
    ul_status (*open)(ul_guard_file *g); /* NULL: nothing to make ready once */
    ul_status (*prepare)(ul_guard_file *g, ul_arena *arena, ul_guarded *io);
};
typedef struct {
    const char *id;
    const ul_guard *guard;
} ul_guard_entry;
const ul_guard_entry *ul_guards(int *n);

/* fit, then OUT/guard.json and its weights. */
ul_status ul_guard_make(ul_guard_fit *f, const ul_guard *guard) UL_MUST;
/* `path`: guard.json, or the folder that holds it. UL_E_INPUT: no such kind (with the nearest),
 * damaged, weights of another digest. */
ul_status ul_guard_read(ul_ctx *ctx, ul_arena *arena, const char *path, ul_guard_file **out) UL_MUST;
/* UL_E_INPUT when it was made for another model than that of `dir`: both digests are named. */
ul_status ul_guard_check(const ul_guard_file *g, const char *dir, const char *model_digest) UL_MUST;
/* Puts it around a model, checked. */
ul_status ul_guard_around(ul_guard_file *g, ul_model *model, const ul_tokenizer *tok, const char *model_digest) UL_MUST;
ul_status ul_guard_prepare(ul_guard_file *g, ul_arena *arena, ul_guarded *io) UL_MUST;
/* The digest of the tensors of a file or model directory, in the arena. */
ul_status ul_guard_digest_of(ul_ctx *ctx, ul_arena *arena, const char *path, const char **out) UL_MUST;

/* ---- shared: prompts (_prompt.c) --------------------------------------------------------------------------------- */
/* Every prompt gets prefix[row] in front of the template's first tag; NULL or "" leaves a row as it is.
 * Rows may be longer by as much, up to the model's context; a prefix that leaves no room for
 * a prompt and one token is UL_E_USAGE. */
ul_status ul_guard_prefix(ul_guard_file *g, ul_arena *arena, const char *const *prefix, ul_guarded *io) UL_MUST;
ul_status ul_guard_count_tokens(const ul_guard_file *g, const char *text, bool special, int32_t *n) UL_MUST;
/* Tokens of each row's prompt with the template, 0 for a row that is a bare text. */
ul_status ul_guard_prompt_lengths(ul_guard_file *g, ul_arena *arena, const ul_guarded *io, int32_t **out) UL_MUST;

/* ---- shared: words (_subject.c) ---------------------------------------------------------------------------------- */
/* Lower-case words (three characters at least) that stand in `least` or more forget rows and in no retain row
 * (retain may be NULL), most rows first, then by bytes; at most `most` of them. */
ul_status ul_guard_subjects(ul_arena *arena, const ul_records *forget, const ul_records *retain, bool answers,
                            int64_t least, int64_t most, const char ***words, int64_t *n) UL_MUST;
/* Does the text hold one of the words as a whole word? ASCII case does not count. */
bool ul_guard_mentions(const char *text, const char *const *words, int64_t n);
/* ---- shared: prompts as vectors (_states.c) ---------------------------------------------------------------------- */
/* out [n, C]: of every record's prompt, the mean hidden state of its tokens after `layer` blocks (0: the embedding).
 * Records without prompts are UL_E_INPUT. */
ul_status ul_guard_states(ul_ctx *ctx, ul_arena *arena, ul_model *m, const ul_tokenizer *tok, const ul_template *tpl,
                          const ul_records *records, int layer, double **out) UL_MUST;

/* ---- shared: auxiliary models (_assistant.c) --------------------------------------------------------------------- */
/* The model's own first blocks (parameter "blocks"; `whole`: all of them), or those of `dir`, with a fresh adapter that
 * may be trained (parameter "r") and that ul_guard_make writes; the same without one; and both again for use. */
ul_status ul_guard_assistant_new(ul_guard_fit *f, const char *dir, bool whole, ul_model **out) UL_MUST;
/* The one that a training of the table (procedure.h) moves, for its plan. */
ul_status ul_guard_assistant_planned(ul_guard_fit *f, const ul_runs *row, ul_model **out) UL_MUST;
ul_status ul_guard_assistant_base(ul_guard_fit *f, const char *dir, bool whole, ul_model **out) UL_MUST;
ul_status ul_guard_assistant_open(ul_guard_file *g, const char *dir, bool whole, bool adapted, ul_model **out) UL_MUST;
/* `prepare` of guards whose state is a ul_mix: it is used unless the parameter "strength" is 0. */
ul_status ul_guard_prepare_mix(ul_guard_file *g, ul_arena *arena, ul_guarded *io) UL_MUST;

/* ---- shared: state of a fit that trains by itself (_kept.c) ------------------------------------------------------ */
/* Arrays of double in OUT/stages/NAME/checkpoint.safetensors with the steps done and the recipe's digest, written whole
 * or not at all, as often as --save-every says. */
typedef struct {
    const char *name;
    double *p;
    int64_t n;
} ul_guard_array;
typedef struct {
    ul_work *work;
    const char *stage, *path; /* path: NULL where nothing is written */
    const ul_guard_array *array;
    int n;
    int64_t saved_ns;
} ul_guard_kept;
/* With --resume, fills the arrays from the file where there is one; *done: its steps, else -1. UL_E_USAGE: it is of
 * another recipe. The arrays must outlive *out. */
ul_status ul_guard_kept_open(ul_work *w, const char *stage, const ul_guard_array *array, int n, ul_guard_kept *out,
                             int64_t *done) UL_MUST;
ul_status ul_guard_kept_save(ul_guard_kept *k, int64_t done) UL_MUST; /* refuses numbers that are not finite */
/* After step `done` of `steps`: saves where it is time. UL_E_CRITERION: interrupted, and saved. */
ul_status ul_guard_kept_step(ul_guard_kept *k, int64_t done, int64_t steps) UL_MUST;

/* ---- shared: texts of guard.json (_subject.c) -------------------------------------------------------------------- */
/* A list of texts as JSON, and back: UL_E_INPUT when the member `key` is not one. */
ul_status ul_guard_texts_put(ul_ctx *ctx, json_t *data, const char *key, const char *const *text, int64_t n) UL_MUST;
ul_status ul_guard_texts_get(const ul_guard_file *g, const char *key, const char ***text, int64_t *n) UL_MUST;
#endif
