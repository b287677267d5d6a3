/* procedure.h - methods that are more than a loss: task vectors, dampening, edits of facts, distillation of a noised copy.
 *
 * A procedure is a record like a method's (paper, intention, level, parameters, needs; no loss) and a function over a model
 * and its data. It may train, take gradients over whole data sets, collect statistics of layers and solve with them; it
 * leaves the model it was given changed. Files src/procedure/<id>.c are the registry; "_<name>.c" are what they share. */
#ifndef UL_PROCEDURE_H
#define UL_PROCEDURE_H
#include "train/train.h"

/* What a procedure works on. Weights that may move have been selected (--train): ul_model_trainables lists them. */
typedef struct {
    ul_ctx *ctx;
    ul_arena *arena;
    const char *id;        /* of the procedure */
    const ul_args *args;   /* its parameters   */
    ul_model *model;       /* changed in place */
    const ul_recipe *recipe; /* of what it trains; steps are those of a pass over the forget set unless said otherwise */
    const ul_tokenizer *tok;
    const ul_template *tpl;
    const ul_records *forget_rows, *retain_rows; /* retain: NULL when the procedure needs none */
    const ul_docs *forget, *retain;
    const char *out_dir;       /* stages keep their log and checkpoint in its folder UL_STAGES_NAME; NULL: nothing is written */
    const char *recipe_digest; /* of the whole run */
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
} ul_procedure;
typedef struct {
    const char *id;
    const ul_procedure *procedure;
} ul_procedure_entry;
const ul_procedure_entry *ul_procedures(int *n);

/* ---- shared: passes (_passes.c) ------------------------------------------------------------------------------------- */
/* One training run as a stage: `method` with `args` (NULL: mean NLL of `forget`) over forget (and retain), by `recipe`.
 * Its log and checkpoint lie in out_dir/stages/<stage>; a stage that ended before an interruption is not run again. */
ul_status ul_work_train(ul_work *w, const char *stage, ul_model *model, const ul_method *method, const ul_args *args,
                        const ul_recipe *recipe, const ul_docs *forget, const ul_docs *retain) UL_MUST;
/* The gradient of `scale` times the mean NLL per scored token over all of `docs`, into the trainables' g (replaced).
 * *loss: that mean, or NULL. */
ul_status ul_work_gradient(ul_work *w, ul_model *model, const ul_docs *docs, double scale, double *loss) UL_MUST;
/* Empirical Fisher diagonal: for each trainable the mean over documents of the squared gradient of the document's mean
 * NLL; fisher[i] holds train[i].n doubles. */
ul_status ul_work_fisher(ul_work *w, ul_model *model, const ul_docs *docs, double *const *fisher) UL_MUST;

/* ---- shared: weights (_weights.c) ----------------------------------------------------------------------------------- */
/* A copy of all that moves, in real, and the way back; the model's own arrays stay where they are. */
typedef struct {
    int n;
    ul_trainable *train;
    void **p; /* [n] copies */
    size_t esize;
} ul_snapshot;
ul_status ul_snapshot_take(ul_ctx *ctx, ul_arena *arena, ul_model *model, ul_snapshot *out) UL_MUST;
void ul_snapshot_restore(const ul_snapshot *s);
/* w <- w0 + a (w - w0) of every entry, w0 the snapshot: a = 0 restores it, a = -1 reflects. In double, rounded once. */
void ul_snapshot_scale(const ul_snapshot *s, double a);
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
