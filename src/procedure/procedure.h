/* procedure.h - methods that are more than a loss: task vectors, dampening, edits of facts, distillation of a noised
 * copy.
 *
 * A procedure is a record like a method's (paper, intention, level, parameters, needs; no loss) and a function over a
 * model and its data. It may train, take gradients over whole data sets, collect statistics of layers and solve with
 * them; it leaves the model it was given changed. Files src/procedure/<id>.c are the registry; "_<name>.c" are what
 * they share. */
#ifndef UL_PROCEDURE_H
#define UL_PROCEDURE_H
#include "train/train.h"

/* ---- what runs, told before it does: `forget --print-plan` (_plan.c) --------------------------------------------- */
/* One pass of a procedure or a guard; a table in its record, in the order of the run, {0} at its end. A key is a
 * parameter of the procedure's, or a number as it stands, or "layers" (blocks of the model), or "edited" (blocks that
 * are edited). ul_work_stage runs no stage and no loss that the table does not name: so it cannot fall behind, and
 * tests find every loss there. */
typedef enum { UL_RUNS_TRAIN = 1, UL_RUNS_GRADIENT, UL_RUNS_FORWARD, UL_RUNS_NO_PASS } ul_runs_kind;
enum { UL_KEEPS_HIDDEN = 1, UL_KEEPS_COVARIANCE = 2 };
typedef struct {
    const char *what;    /* of a training: the name of the stage */
    ul_runs_kind kind;
    ul_side_id docs;     /* whose documents; of a training: those that an epoch counts */
    const char *when;    /* only where this parameter is above 0 or not empty; "KEY=TEXT", "KEY!TEXT"; NULL: always */
    const char *most;    /* key: of so many documents at most; 0: all */
    const char *times;   /* keys with a space between, their product: how often; of a training: gradients a step */
    const char *steps, *epochs; /* of a training: keys in the place of the recipe's, where above 0 */
    const char *blocks;  /* key: of only so many first blocks, 0: a quarter of them (_assistant.c) */
    const ul_method *loss; /* of a training; NULL: mean NLL of the forget rows, */
    const char *loss_of; /* or a method of the registry: the parameter that names it, or its name */
    bool uniform;        /* the loss's reference is there already: nothing is swept for it */
    bool sgd, mlp;       /* of a training: plain SGD, no moments; only weights of the mlps move (auto) */
    bool assistant;      /* an adapter of a copy of those blocks moves (guards), */
    double beside;       /* and so many passes forwards of the whole model stand beside each gradient */
    unsigned keeps;      /* UL_KEEPS_*: what is kept on the disk of a sweep */
    int copies, doubles; /* arrays as large as all that moves, held from here on: in real, in double */
} ul_runs;
/* Distributions of the retain rows, then the search for the scale that they allow: about ten measurements. */
#define UL_RUNS_BUDGET                                                                                                \
    {.what = "distributions of retain rows, for the budget", .kind = UL_RUNS_FORWARD, .docs = UL_RETAIN, .when = "kl", \
     .most = "kl_docs", .keeps = UL_KEEPS_HIDDEN}
#define UL_RUNS_SEARCH                                                                                                \
    {.what = "search for the scale that the budget allows", .kind = UL_RUNS_FORWARD, .docs = UL_RETAIN, .when = "kl", \
     .most = "kl_docs", .times = "10"}
#define UL_RUNS_FISHER(side, name)                                                                                    \
    {.what = "Fisher information of " name " rows, one by one", .kind = UL_RUNS_GRADIENT, .docs = side,               \
     .most = "fisher_docs", .doubles = 1}

/* What a procedure works on. Weights that may move have been selected (--train): ul_model_trainables lists them. */
typedef struct {
    ul_ctx *ctx;
    ul_arena *arena;
    const char *id;        /* of the procedure */
    const ul_args *args;   /* its parameters   */
    ul_model *model;       /* changed in place */
    /* of what it trains; steps are those of a pass over the forget set unless said otherwise */
    const ul_recipe *recipe;
    const ul_tokenizer *tok;
    const ul_template *tpl;
    const ul_records *forget_rows, *retain_rows; /* retain: NULL when the procedure needs none */
    const ul_docs *forget, *retain;
    /* stages keep their log and checkpoint in its folder UL_STAGES_NAME; NULL: nothing is written */
    const char *out_dir;
    const char *recipe_digest; /* of the whole run */
    const char *cache;         /* folder of statistics that another run may use again; NULL: none */
    const ul_runs *runs;       /* the record's */
    void (*on_stage)(void *user, const ul_run *run); /* NULL, or told of each stage before it runs */
    void *on_stage_user;
    int32_t micro_batch;
    bool checkpoint, resume;
    int64_t save_every;
    ul_step_result last; /* out: of the last step trained, for the summary; zero when nothing was trained */
    int64_t steps;       /* out: optimizer steps of all stages */
    ul_buf *report;      /* lines for a person: what was found and changed */
} ul_work;

#define UL_STAGES_NAME "stages"

typedef struct {
    ul_method method; /* without a loss */
    ul_status (*run)(ul_work *w);
    const ul_runs *runs;
    /* runs on a model with adapters; else it moves whole weights, and ul_work_adapter fits one to the change */
    bool adapters;
} ul_procedure;
typedef struct {
    const char *id;
    const ul_procedure *procedure;
} ul_procedure_entry;
const ul_procedure_entry *ul_procedures(int *n);

/* A row of the table with this work's numbers. */
typedef struct {
    const ul_runs *row;
    const ul_method *loss; /* of a training, with its arguments */
    ul_args args;
    int64_t docs, tokens, steps; /* of one pass; of a training: of all its steps */
    double times, work;          /* work: tokens that the whole model runs forwards; a gradient counts three times */
    ul_cache_plan caches;        /* what it reads or leaves on the disk; the sweeps that make it are in `work` */
} ul_planned;
enum { UL_MOST_PLANNED = 16 };
/* Nothing is run and nothing written. */
ul_status ul_work_plan(ul_work *w, const ul_runs *runs, ul_planned out[UL_MOST_PLANNED], int *n) UL_MUST;

/* ---- shared: passes (_passes.c) ---------------------------------------------------------------------------------- */
/* One training run as a stage. Its log and checkpoint lie in out_dir/stages/<name>; a stage that ended before an
 * interruption is not run again. What the model says before the stage is the reference, where none is given. */
typedef struct {
    const char *name;
    ul_model *model;         /* NULL: the work's */
    const ul_method *method; /* NULL: mean NLL of the forget side */
    const ul_args *args;
    const ul_recipe *recipe;
    const ul_docs *forget, *retain; /* retain NULL: none */
    ul_sample_fn *sample;           /* instead of the pairing of the two */
    void *user;
    const ul_reference *ref[UL_N_SIDE];
    const ul_wrapping *wrap;
    int n_wrap;
    const ul_observer *observer;
    const ul_mix *mix; /* others that have a part in the logits */
} ul_stage;
ul_status ul_work_stage(ul_work *w, const ul_stage *stage) UL_MUST;
/* The stage of a loss on forget and retain rows, with a wrapper of the procedure's own around its gradient. */
ul_status ul_work_wrapped(ul_work *w, const char *name, const ul_method *loss, const ul_args *args, const ul_recipe *r,
                          const ul_wrapper *wrapper, void *user) UL_MUST;
/* Where a stage keeps its files; NULL where nothing is written. */
ul_status ul_work_stage_dir(const ul_work *w, const char *name, const char **dir) UL_MUST;
/* A method of the registry, or one of the losses of _losses.c, named by the parameter `key`, with its defaults: a loss
 * that a procedure builds on. It may need forget and retain rows, and no alternates. */
#define UL_PARAM_LOSS(key, dflt, help) {key, UL_TEXT, 0, 0, 0, NULL, help, dflt}
ul_status ul_work_loss(ul_work *w, const char *key, const ul_method **method, ul_args *args) UL_MUST;
const ul_method *ul_own_loss(const char *id); /* NULL: none of _losses.c */
/* The gradient of `scale` times the mean NLL per scored token over all of `docs`, into the trainables' g (replaced).
 * *loss: that mean, or NULL. */
ul_status ul_work_gradient(ul_work *w, ul_model *model, const ul_docs *docs, double scale, double *loss) UL_MUST;
/* `n` of the documents, drawn by the seed of the recipe, with their places as ids; 0 or more than there are: all. */
ul_status ul_work_draw(ul_work *w, const ul_docs *docs, int64_t n, ul_docs **out) UL_MUST;
/* Empirical Fisher diagonal: for each trainable the mean over documents of the squared gradient of the document's mean
 * NLL (of batches of them, where the method has a parameter fisher_batch); fisher[i] holds train[i].n doubles. */
ul_status ul_work_fisher(ul_work *w, ul_model *model, const ul_docs *docs, double *const *fisher) UL_MUST;
/* The same, allocated, over `n_docs` of them (ul_work_draw). */
ul_status ul_fisher_new(ul_work *w, const ul_docs *docs, int64_t n_docs, double ***out) UL_MUST;
/* The same over fisher_docs of the forget and of the retain rows; of one set, with damping times its mean. */
#define UL_PARAM_FISHER_DOCS                                                                                           \
    {                                                                                                                  \
        "fisher_docs", UL_INT, 400, 0, 1e9, "documents",                                                               \
            "rows of each set that the information is taken from; 0: all", NULL                                        \
    }
ul_status ul_fisher_pair(ul_work *w, double ***forget, double ***retain) UL_MUST;
ul_status ul_fisher_damped(ul_work *w, const ul_docs *docs, double ***fisher, double *lambda) UL_MUST;

/* The adapters of the model start from the Fisher information of the forget and of the retain rows (_fila.c); the
 * function stays. They move afterwards, and nothing else. After this UL_PASS_BASE is not the reference any more. */
ul_status ul_fila(ul_work *w) UL_MUST;
/* ---- shared: weights (_weights.c) -------------------------------------------------------------------------------- */
/* A copy of all that moves, in real, and the way back; the model's own arrays stay where they are. */
typedef struct {
    int n;
    ul_trainable *train;
    void **p; /* [n] copies */
    size_t esize;
} ul_snapshot;
ul_status ul_snapshot_take(ul_ctx *ctx, ul_arena *arena, ul_model *model, ul_snapshot *out) UL_MUST;
void ul_snapshot_restore(const ul_snapshot *s);
/* sqrt of the sum of squares of all x[i], arrays as large as the trainables; of what moves now. */
double ul_arrays_norm(const ul_snapshot *s, void *const *x);
double ul_work_norm(ul_work *w);
/* Refuses adapters: for what changes entries of whole weights. */
ul_status ul_work_whole(ul_work *w) UL_MUST;
/* What has become of w->model since it was `adapted`'s weights, into the adapters of `adapted`, as well as their rank
 * allows (_adapter.c). Reports how much that is. */
ul_status ul_work_adapter(ul_work *w, ul_model *adapted) UL_MUST;
/* The weights of the mlps move, unless the user chose others (--train). */
ul_status ul_work_select_mlp(ul_work *w) UL_MUST;
/* The block that a trainable belongs to, from 0; -1 before the blocks, n_layer after them. */
int ul_layer_of(ul_model *model, const ul_trainable *t);

/* A direction to go from the weights as they were: w = from + a d, in double, rounded once. */
typedef struct {
    ul_snapshot from;
    void **d; /* [n] real, zero at first */
} ul_move;
ul_status ul_move_new(ul_ctx *ctx, ul_arena *arena, ul_model *model, ul_move *out) UL_MUST;
/* d = what training has changed since `from`. Of an adapter that changed from B = 0, d is B's and A stays as trained:
 * so the merged change is what is scaled, and negated. */
void ul_move_learned(ul_move *m);
void ul_move_negate(ul_move *m);
void ul_move_to(const ul_move *m, double a);

/* ---- shared: how far to go (_budget.c) --------------------------------------------------------------------------- */
/* The largest scale that keeps the mean KL(original || model) over the scored tokens of a text within a budget. */
typedef struct {
    ul_work *w;
    ul_docs *docs;
    ul_reference *ref;
    double *kl; /* [scored tokens] of the last measurement */
    int64_t n;
} ul_budget;
#define UL_PARAM_SCALE(dflt, help) {"scale", UL_REAL, dflt, -1000, 1e12, NULL, help, NULL}
#define UL_PARAM_KL(dflt)                                                                                              \
    {                                                                                                                  \
        "kl", UL_REAL, dflt, 0, 100, "nats",                                                                           \
            "budget: the scale is searched at which the mean KL of the original to the new model on retain rows is "   \
            "this; 0: scale",                                                                                          \
            NULL                                                                                                       \
    }
#define UL_PARAM_KL_DOCS                                                                                               \
    {"kl_docs", UL_INT, 128, 1, 1e9, "documents", "retain rows that the budget is measured on", NULL}
/* Retain rows where kl is above 0, else none. */
unsigned ul_budget_needs(const ul_args *args, unsigned needs);
/* On `docs` (some of them), of the model as it is now: before anything moves. */
ul_status ul_budget_open(ul_work *w, const ul_docs *docs, int64_t n_docs, ul_budget *out) UL_MUST;
ul_status ul_budget_measure(ul_budget *b, double *kl) UL_MUST;
/* Goes to the scale with 0.95 to 1 times the budget: brackets by factors of 8, then halves the ratio; at most 30
 * measurements. Always from the stored weights. *scale: in, where the search begins (0: where the change is a
 * thousandth of the weights); out, where the model is now. */
ul_status ul_budget_search(ul_budget *b, const ul_move *move, double kl, double *scale) UL_MUST;
/* What a method with the parameters scale, kl and kl_docs does at its end: goes to its scale, or to what `b` (opened
 * where kl is above 0) allows, and says so in the report. */
ul_status ul_budget_begin(ul_work *w, ul_budget *b) UL_MUST;
ul_status ul_budget_go(ul_work *w, ul_budget *b, const ul_move *move) UL_MUST;
/* ---- shared: statistics of linear layers (_factors.c) ------------------------------------------------------------ */
/* Second moments of what the linear layers that move read (x) and of the gradient that comes back to them (dy): sums
 * over tokens, from an observer. */
typedef struct {
    const ul_weight *w;
    void *xx, *dd;         /* real [cols, cols], [rows, rows]: sums of x x^T, dy dy^T; NULL: not asked for */
    double *x_sum, *d_sum; /* [cols], [rows] */
    int64_t n;             /* tokens */
} ul_factor;
typedef struct {
    ul_factor *at;
    int n;
    const ul_backend *be;
    char *x, *dy; /* room for a batch without its first tokens */
    int64_t room;
} ul_factors;
enum {
    UL_FACTOR_X = 1, UL_FACTOR_D = 2,
    UL_FACTOR_SAMPLED = 4, /* dy of labels drawn from the model's own distribution (the true Fisher), not the answers */
    UL_FACTOR_NO_FIRST = 8 /* without the first token of each document: its activation is an outlier of all models */
};
/* Of the summed NLL of the scored tokens of `docs`, for the linear layers of blocks whose weight moves. */
ul_status ul_factors_collect(ul_work *w, ul_arena *arena, const ul_docs *docs, unsigned what, ul_factors *out) UL_MUST;
/* The same from an observer's calls: sums of nothing, then what a layer read and got back in a batch; for
 * UL_FACTOR_NO_FIRST x and dy of *f have room for the batch's rows. */
ul_status ul_factors_begin(ul_work *w, ul_arena *arena, unsigned what, ul_factors *out) UL_MUST;
void ul_factors_add(ul_factors *f, unsigned what, const ul_weight *w, const ul_batch *b, const void *x, const void *dy);
const ul_factor *ul_factor_of(const ul_factors *f, const ul_weight *w); /* NULL: none */
/* Rows of x [n_tok, width] without the first token of each document, packed into `to`; returns their number. */
int64_t ul_skip_first(const ul_backend *be, const ul_batch *b, int64_t width, const void *x, void *to);
/* The whole matrices among the trainables: the weight whose array this is, or NULL for vectors, embeddings and
 * adapters. */
const ul_weight *ul_matrix_of(ul_model *model, const ul_trainable *t);

/* Entry i of an array of real, read and written as double. */
static inline double ul_real_at(const void *x, int64_t i, size_t esize)
{
    return esize == sizeof(double) ? ((const double *)x)[i] : (double)((const float *)x)[i];
}
static inline void ul_real_put(void *x, int64_t i, size_t esize, double v)
{
    if (esize == sizeof(double)) ((double *)x)[i] = v;
    else ((float *)x)[i] = (float)v;
}
#endif
