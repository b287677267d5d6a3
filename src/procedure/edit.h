/* edit.h - what the editing procedures share. An MLP's last matrix W [C, F] is read as a linear memory: key k [F], what
 * enters it at the last token of a fact's subject; value v = W k [C]. Editing makes the value of a key one under which
 * the model gives the target instead of the fact (Meng et al. 2022, ROME, arXiv:2202.05262; MEMIT, arXiv:2210.07229).
 * Solved in double (_lapack.h). */
#ifndef UL_EDIT_H
#define UL_EDIT_H
#include "procedure/_lapack.h"
#include "procedure/procedure.h"

/* n facts: the prompt with the target as its answer, and "SUBJECT is a" to see how far the subject itself drifts. */
typedef struct {
    int32_t n;
    ul_doc *doc, *drift; /* [n] */
    int32_t *from, *at;  /* [n] the subject's first and last token, in both */
} ul_facts;
#define UL_PARAM_EDIT_FACTS                                                                                            \
    {"target", UL_TEXT, 0, 0, 0, NULL, "the answer that takes the place of the forgotten one", "I don't know."},       \
    {"subject", UL_TEXT, 0, 0, 0, "shared|question|prompt",                                                            \
     "whose last token is the key: shared = the longest run of words that question and answer have in common (the "    \
     "question where there is none), question, prompt = everything before the answer", "shared"}
/* Facts of forget rows first .. first + n - 1; "target" and "subject" of w->args. */
ul_status ul_facts_new(ul_work *w, int64_t first, int32_t n, ul_facts *out) UL_MUST;
/* Values: delta [n, C] to be added at `slot` of block `layer`, found by Adam on each fact's own loss
 *   mean NLL of the target + kl KL(before || now at "SUBJECT is a") + decay |delta| / |h|^2,   |delta| <= clamp |h|
 * h: what stands there without delta. A fact stops when its loss is below `stop`. */
typedef struct {
    ul_slot slot;
    int steps;
    double lr, kl, decay, clamp, stop;
} ul_value_search;
ul_status ul_facts_values(ul_work *w, const ul_facts *f, int layer, const ul_value_search *how, double *delta) UL_MUST;
/* Keys [n, F] of block `layer`, and hidden states [n, C] after it, as the model is now; either may be NULL. */
ul_status ul_facts_read(ul_work *w, const ul_facts *f, int layer, double *keys, double *hidden) UL_MUST;

/* Causal tracing (_trace.c) of the first n facts with their true answers: effect [n_layer], what the clean output of
 * the block's MLP at the subject restores of the answers' mean probability; total: that probability clean,
 * and with the subject corrupted. */
ul_status ul_facts_trace(ul_work *w, const ul_facts *f, int32_t n, double noise, double *effect,
                         double total[2]) UL_MUST;

/* The matrix of a block that is edited; UL_E_USAGE when there is none, or adapters are to move. */
bool ul_is_edited(const ul_weight *w, int layer); /* the last matrix of that block's MLP */
ul_status ul_edit_weight(ul_work *w, int layer, ul_weight **out) UL_MUST;
void ul_edit_add(const ul_work *w, ul_weight *weight, const double *delta); /* W += delta [C, F], rounded once */
/* E[k k^T] [F, F] over every token of the first `rows` retain documents, under the model as it is:
 * before anything is edited. Kept in w->cache under the digest of model, layer and documents where there is a cache. */
ul_status ul_edit_covariance(ul_work *w, int layer, int64_t rows, double *out) UL_MUST;
/* Its file in the cache; NULL where there is no cache. */
ul_status ul_edit_covariance_path(ul_work *w, int layer, int64_t rows, const char **out) UL_MUST;
/* Made definite: the parameter "ridge" times its mean diagonal is added. */
void ul_edit_ridge(const ul_work *w, double *covariance);

/* ---- edits within a budget (_spread.c) --------------------------------------------------------------------------- */
/* Many edits add up: where "budget" is above 0, all that was changed in blocks first .. last between the two calls is
 * scaled down until the mean KL of the original to the new model on retain rows is the budget. */
typedef struct {
    double most;
    ul_budget budget;
    ul_move move;
} ul_edit_bound;
#define UL_PARAM_EDIT_BUDGET                                                                                           \
    {                                                                                                                  \
        "budget", UL_REAL, 0, 0, 100, "nats",                                                                          \
            "the whole edit is scaled down to where the mean KL of the original to the new model on retain rows is "   \
            "this; 0: it stays as it is",                                                                              \
            NULL                                                                                                       \
    }
#define UL_EDIT_SMALL {".budget", "0.15", NULL}
ul_status ul_edit_begin(ul_work *w, int first, int last, ul_edit_bound *out) UL_MUST;
ul_status ul_edit_end(ul_work *w, ul_edit_bound *b) UL_MUST;

/* ---- many facts over several blocks (_spread.c) ------------------------------------------------------------------ */
/* MEMIT's frame: values z at the last block; then, block by block upwards, keys and what is still missing there, spread
 * over the blocks that are left; `solve` turns them into a change of the block's matrix. `batch` facts at a time.
 * The covariance is that of the model before the first of them, taken once a block, as the authors' programs do. */
typedef struct {
    int layer;
    int32_t n;
    const double *covariance;      /* [F, F] */
    const double *keys, *residual; /* [n, F], [n, C] */
} ul_edit_equation;
typedef ul_status ul_edit_solve_fn(ul_work *w, void *user, const ul_edit_equation *e, double *delta /* [C, F] */);
#define UL_PARAM_EDIT_SPREAD(batch)                                                                                    \
    {"first", UL_INT, -1, -1, 1000, NULL, "lowest block that is edited, from 0; -1: an eighth of the way up", NULL},   \
    {"last", UL_INT, -1, -1, 1000, NULL, "highest; -1: a quarter of the way up", NULL},                                \
    {"rows", UL_INT, 1000, 0, 1e9, "rows", "retain rows that the covariance of keys is taken over; 0: all", NULL},     \
    {"facts", UL_INT, batch, 1, 1e6, "facts", "edited at once", NULL},                                                 \
    {"v_steps", UL_INT, 25, 1, 1000, "steps", "of Adam in the search for a value", NULL},                              \
    {"v_lr", UL_REAL, 0, 0, 100, NULL, "its learning rate; 0: 0.1, of a small model 0.5", NULL},                       \
    {"v_decay", UL_REAL, 0.5, 0, 100, NULL, "weight of |delta| / |h|^2", NULL},                                        \
    {"clamp", UL_REAL, 0, 0, 100, NULL, "largest |delta| / |h|; 0: 0.75, of a small model 4", NULL},                   \
    {"kl", UL_REAL, 0.0625, 0, 100, NULL, "weight of the subject's drift", NULL}
ul_status ul_edit_spread(ul_work *w, ul_edit_solve_fn *solve, void *user) UL_MUST;
/* Blocks "first" to "last", or the one block "layer". */
void ul_edit_blocks(const ul_work *w, int *first, int *last);
/* Rows of the tables of passes (procedure.h): of one fact's value and keys, of many facts over several blocks, and of
 * what keeps the whole within "budget". */
#define UL_RUNS_COVARIANCE                                                                                             \
    {.what = "covariance of keys over retain rows, a sweep a block", .kind = UL_RUNS_FORWARD, .docs = UL_RETAIN,       \
     .most = "rows", .times = "edited", .keeps = UL_KEEPS_COVARIANCE}
#define UL_RUNS_VALUES                                                                                                 \
    {.what = "values by gradient, until they say the target", .kind = UL_RUNS_GRADIENT, .times = "v_steps"}
#define UL_RUNS_KEYS(often) {.what = "keys and states of the facts", .kind = UL_RUNS_FORWARD, .times = often}
#define UL_RUNS_EDIT_BUDGET                                                                                            \
    {.what = "distributions of retain rows, for the budget", .kind = UL_RUNS_FORWARD, .docs = UL_RETAIN,               \
     .when = "budget", .most = "128", .keeps = UL_KEEPS_HIDDEN, .mlp = true, .copies = 2}
#define UL_RUNS_EDIT_SEARCH                                                                                            \
    {.what = "search for the scale that the budget allows", .kind = UL_RUNS_FORWARD, .docs = UL_RETAIN,                \
     .when = "budget", .most = "128", .times = "10"}
#define UL_RUNS_SPREAD                                                                                                 \
    UL_RUNS_COVARIANCE, UL_RUNS_EDIT_BUDGET, UL_RUNS_VALUES, UL_RUNS_KEYS("2 edited"), UL_RUNS_EDIT_SEARCH
/* The parameter `key`, or where it is 0 the paper's value for models of 1e9 weights,
 * or ours for models up to 20 million. */
double ul_edit_by_size(const ul_work *w, const char *key, double paper, double small);

#endif
