/* divergence.c - has the model diverged? A run may end well, and the model be worse than one that guesses.
 *
 *   mean NLL of the answers that shall stay (of methods that read none: of the forget answers) > 2 log V
 *
 * Guessing costs log V nats a token: a model that knows nothing of its text comes near that, and one whose logits have
 * run away goes beyond. Told once as soon as a step shows it; at the end asked of the weights as they are written, so
 * that procedures and losses of hidden states are seen too. A warning: forgetting may be all that was wanted. */
#include "audit/training.h"
#include <math.h>
#include <string.h>

enum { DOCUMENTS = 64, BATCH_TOKENS = 2048 };

/* The parameter that weighs or scales what the method does; NULL: it has none. */
static const char *strength(const ul_method *m)
{
    static const char *const key[] = {"gamma", "weight", "scale", "strength", NULL};
    for (int k = 0; key[k]; k++)
        for (const ul_param *p = m->params; p && p->key; p++)
            if (!strcmp(p->key, key[k])) return p->key;
    return NULL;
}

static bool beyond_guessing(const ul_training *t, double nll)
{
    return !(nll <= 2 * ul_log((double)ul_model_shape(t->model)->V));
}

static void warn(ul_training *t, const char *side, double nll, int64_t step)
{
    const ul_job *job = t->job;
    const int32_t V = ul_model_shape(t->model)->V;
    const char *key = strength(job->method);
    if (t->diverged) return;
    t->diverged = true;
    ul_note(job->ctx, UL_LOG_WARN,
            "the model has diverged: after step %lld the mean NLL of %s answers is %.4g, guessing among %d tokens "
            "costs %.4g; take a smaller --lr%s%s%s%s%s",
            (long long)step, side, nll, V, ul_log((double)V), key ? " or --" : "", key ? job->method_id : "",
            key ? "." : "", key ? key : "",
            job->procedure        ? ""
            : t->retain_docs      ? ", or stop in time with --kl-budget X"
                                  : ", or stop in time with --kl-budget X --retain FILE");
}

void ul_training_watch(void *training, int64_t step, const ul_step_result *r)
{
    ul_training *t = training;
    const bool retain = isfinite(r->retain_loss);
    const double nll = retain ? r->retain_loss : r->forget_loss;
    if (isfinite(nll) && beyond_guessing(t, nll)) warn(t, retain ? "retain" : "forget", nll, step + 1);
}

/* Documents spread evenly over the set, some at a time. */
static ul_status mean_nll(ul_training *t, ul_arena *scratch, const ul_docs *docs, double *out)
{
    const int64_t n = docs->n < DOCUMENTS ? docs->n : DOCUMENTS;
    double sum = 0;
    int64_t tokens = 0;
    for (int64_t first = 0; first < n;) {
        const ul_doc *doc[DOCUMENTS];
        ul_batch *b;
        int32_t k = 0, width = 0;
        ul_arena_reset(scratch);
        do {
            doc[k] = &docs->at[(first + k) * docs->n / n];
            width += doc[k++]->n;
        } while (first + k < n && width < BATCH_TOKENS);
        first += k;
        UL_TRY(ul_pack_docs(t->job->ctx, scratch, doc, k, false, &b));
        ul_pass pass = {.batch = b, .last = -1};
        UL_NEED(pass.score.logp = UL_NEW(scratch, double, b->n_row));
        UL_TRY(ul_model_forward(t->job->ctx, t->model, &pass));
        for (int32_t i = 0; i < b->n_row; i++) sum -= pass.score.logp[i];
        tokens += b->n_row;
    }
    *out = tokens ? sum / (double)tokens : 0;
    return UL_OK;
}

ul_status ul_training_check(ul_training *t, int64_t steps)
{
    ul_arena *scratch;
    const char *side = t->retain_docs ? "retain" : "forget";
    double nll = 0;
    UL_TRY(ul_arena_new(t->job->ctx, "divergence", &scratch));
    const ul_status s = mean_nll(t, scratch, t->retain_docs ? t->retain_docs : t->forget_docs, &nll);
    ul_arena_free(scratch);
    UL_TRY(s);
    if (!beyond_guessing(t, nll)) return UL_OK;
    warn(t, side, nll, steps);
    ul_buf_printf(&t->job->text, "diverged: mean NLL of %s answers %.4g\n", side, nll);
    json_object_set_new(t->manifest.outputs, "diverged",
                        json_pack("{s:s, s:o, s:f}", "side", side, "nll", isfinite(nll) ? json_real(nll) : json_null(),
                                  "guessing", ul_log((double)ul_model_shape(t->model)->V)));
    return UL_OK;
}
