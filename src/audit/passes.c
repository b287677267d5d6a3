/* passes.c - from a model and a data set to columns: greedy generations, what they are compared with, gradient norms.
 * Log-probabilities of answers: score.c. */
#include "audit/score.h"
#include <ctype.h>
#include <math.h>
#include <string.h>

/* Decoded without special tokens, cleaned up as the peers' tokenizers do, stripped. */
ul_status ul_decode_answer(ul_ctx *ctx, ul_arena *arena, const ul_tokenizer *tok, const int32_t *ids, size_t n,
                           bool strip, const char **out)
{
    ul_buf b;
    ul_buf_init(&b, ctx, 1 << 24);
    ul_status s = ul_decode(ctx, tok, ids, n, true, &b);
    char *text = s == UL_OK ? ul_strndup(arena, b.p ? b.p : "", b.n) : NULL;
    ul_buf_release(&b);
    UL_TRY(s);
    UL_NEED(text);
    size_t len = ul_decode_clean(text, strlen(text));
    text[len] = 0;
    if (strip) {
        while (isspace((unsigned char)*text)) text++;
        for (len = strlen(text); len && isspace((unsigned char)text[len - 1]);) text[--len] = 0;
    }
    *out = text;
    return UL_OK;
}

/* The peer's left-padded batches count positions over visible tokens; a hidden token's own position is 1. */
static ul_status peer_positions(ul_arena *arena, ul_doc *d)
{
    if (!d->hidden) return UL_OK;
    int32_t *pos = UL_NEW(arena, int32_t, d->n), seen = 0;
    UL_NEED(pos);
    for (int32_t t = 0; t < d->n; t++) {
        seen += !d->hidden[t];
        pos[t] = d->hidden[t] ? 1 : seen - 1;
    }
    d->pos = pos;
    return UL_OK;
}

ul_status ul_columns_generate(ul_ctx *ctx, ul_arena *arena, const ul_eval_options *o, const ul_records *records,
                              ul_columns *io)
{
    ul_guarded how;
    ul_docs *prompts;
    UL_TRY(ul_eval_guarded(o, arena, records, &how));
    UL_TRY(ul_docs_prompts(ctx, arena, o->tok, &how.tpl, how.records, &prompts));
    if (o->peer_positions)
        for (int64_t i = 0; i < prompts->n; i++) UL_TRY(peer_positions(arena, &prompts->at[i]));
    const int32_t n = (int32_t)prompts->n;
    int32_t **ids = UL_NEW(arena, int32_t *, n), *n_ids = UL_NEW(arena, int32_t, n);
    const char **text = UL_NEW(arena, const char *, n);
    UL_NEED(ids);
    UL_NEED(n_ids);
    UL_NEED(text);
    const int32_t eos = ul_tokenizer_special(o->tok).eos;
    const ul_generation g = {.n = n, .prompt = prompts->at, .max_new = o->max_new, .eos = &eos, .n_eos = eos >= 0,
                             .batch = o->batch, .what = io->name ? io->name : "generate",
                             .hook = how.hook, .n_hook = how.n_hook, .mix = how.mix};
    UL_TRY(ul_model_generate(ctx, o->model, &g, arena, ids, n_ids));
    for (int32_t i = 0; i < n; i++)
        UL_TRY(ul_decode_answer(ctx, arena, o->tok, ids[i], (size_t)n_ids[i], !o->unstripped, &text[i]));
    io->n_row = n;
    io->generation = text;
    return UL_OK;
}

/* The answer as the published numbers take it: decode(all ids) without decode(prompt ids), so that a tokenizer's losses
 * (unknown characters, spaces) are the same on both sides of the comparison. */
ul_status ul_columns_ground_truth(ul_ctx *ctx, ul_arena *arena, const ul_eval_options *o, const ul_records *records,
                                  int32_t which, ul_columns *io)
{
    ul_docs *prompts;
    UL_TRY(ul_docs_prompts(ctx, arena, o->tok, &o->tpl, records, &prompts));
    ul_doc *docs;
    int64_t *first;
    UL_TRY(ul_answer_docs(ctx, arena, o->tok, &o->tpl, records, which, &docs, &first));
    const char **truth = UL_NEW(arena, const char *, records->n);
    UL_NEED(truth);
    for (int64_t i = 0; i < records->n; i++) {
        const char *all, *prompt;
        UL_TRY(ul_decode_answer(ctx, arena, o->tok, docs[i].token, (size_t)docs[i].n, false, &all));
        UL_TRY(ul_decode_answer(ctx, arena, o->tok, prompts->at[i].token, (size_t)prompts->at[i].n, false, &prompt));
        char *rest = ul_strdup(arena, all);
        UL_NEED(rest);
        char *at = *prompt ? strstr(rest, prompt) : NULL; /* every occurrence goes, as str.replace does */
        for (const size_t len = strlen(prompt); at; at = strstr(at, prompt))
            memmove(at, at + len, strlen(at + len) + 1);
        while (isspace((unsigned char)*rest)) rest++;
        for (size_t len = strlen(rest); len && isspace((unsigned char)rest[len - 1]);) rest[--len] = 0;
        truth[i] = rest;
    }
    io->n_row = records->n;
    io->ground_truth = truth;
    return UL_OK;
}

/* The p-norm of one tensor's gradient; p = 2 by the lanes of the backend, others element by element. */
static double norm(const ul_backend *be, const ul_trainable *t, double p)
{
    if (p == 2) return sqrt(be->k->sum_squares(be, t->n, t->g));
    double sum = 0, most = 0;
    for (int64_t i = 0; i < t->n; i++) {
        const double g = fabs(be->k->esize == 8 ? ((const double *)t->g)[i] : (double)((const float *)t->g)[i]);
        most = g > most ? g : most;
        if (g > 0 && isfinite(p)) sum += ul_pow(g, p);
    }
    return isfinite(p) ? (sum > 0 ? ul_pow(sum, 1 / p) : 0) : most;
}

double ul_mean_norm(const ul_backend *be, const ul_trainable *t, int n, double p)
{
    double sum = 0;
    for (int i = 0; i < n; i++) sum += norm(be, &t[i], p);
    return sum / n;
}

/* Gradient of one document's mean nll (the last scored token left out), then the mean of the parameters' own norms. */
static ul_status document_norm(ul_ctx *ctx, ul_arena *step, const ul_eval_options *o, const ul_doc *d, double p,
                               double *out)
{
    ul_batch *batch;
    UL_TRY(ul_pack_docs(ctx, step, &d, 1, false, &batch));
    const int32_t n = batch->n_row - 1;
    if (n < 1)
        return ul_fail(ctx, UL_E_INPUT, "row %lld has %d scored tokens; a gradient norm needs 2", (long long)d->id,
                       batch->n_row);
    double *coef = UL_NEW(step, double, batch->n_row), *logp = UL_NEW(step, double, batch->n_row);
    UL_NEED(coef);
    UL_NEED(logp);
    for (int32_t r = 0; r < n; r++) coef[r] = -1.0 / n;
    ul_model_grad_zero(o->model);
    ul_pass pass = {.batch = batch, .flags = UL_PASS_GRAD, .last = -1, .score = {.logp = logp}, .coef = coef};
    UL_TRY(ul_model_forward(ctx, o->model, &pass));
    UL_TRY(ul_model_backward(ctx, o->model, &pass));
    ul_model_grad_ready(o->model);
    ul_trainable *t;
    const int n_t = ul_model_trainables(o->model, &t);
    *out = ul_mean_norm(ul_model_backend(o->model), t, n_t, p);
    return UL_OK;
}

ul_status ul_columns_grad_norm(ul_ctx *ctx, ul_arena *arena, const ul_eval_options *o, const ul_records *records,
                               double p, ul_columns *io)
{
    ul_doc *docs;
    int64_t *first;
    UL_TRY(ul_answer_docs(ctx, arena, o->tok, &o->tpl, records, UL_WHICH_ANSWER, &docs, &first));
    double *out = UL_NEW(arena, double, records->n);
    UL_NEED(out);
    UL_TRY(ul_model_select(ctx, o->model, "all"));
    ul_arena *step;
    UL_TRY(ul_arena_new(ctx, "gradient norms", &step));
    ul_meter meter;
    ul_progress_begin(ctx, &meter, "gradient norms", "rows", records->n);
    ul_status s = UL_OK;
    for (int64_t i = 0; s == UL_OK && i < records->n; i++) {
        s = document_norm(ctx, step, o, &docs[i], p, &out[i]);
        ul_arena_reset(step);
        ul_progress_step(&meter, i + 1, 0, NULL);
    }
    ul_arena_free(step);
    UL_TRY(s);
    io->grad_norm = out;
    return UL_OK;
}
