/* passes.c - from a model and a data set to columns: log-probabilities of answers, and greedy generations.
 *
 * One forward pass over packed documents gives every per-token column at once (log-prob, argmax hit, mean and variance of
 * log p); however many metrics read them later. How documents are packed together changes no bit. */
#include "audit/audit.h"
#include <ctype.h>
#include <math.h>
#include <string.h>

/* Which answers a row has for `which`. */
static int32_t n_answers(const ul_record *r, int32_t which)
{
    return which == UL_WHICH_WRONG ? r->n_wrong : 1;
}

static const char *answer_text(const ul_record *r, int32_t which, int32_t k)
{
    if (which == UL_WHICH_WRONG) return r->wrong[k];
    if (which == UL_WHICH_PARAPHRASE) return r->paraphrase;
    return r->answer;
}

static ul_status missing(ul_ctx *ctx, const ul_records *records, const ul_record *r, int32_t which)
{
    return ul_fail(ctx, UL_E_INPUT, "%s:%lld: the row has no %s", records->path, (long long)r->line,
                   which == UL_WHICH_WRONG        ? "perturbed answers (field \"perturbed_answer\")"
                   : which == UL_WHICH_PARAPHRASE ? "paraphrased answer (field \"paraphrased_answer\")"
                                                  : "answer");
}

ul_status ul_eval_guarded(const ul_eval_options *o, ul_arena *arena, const ul_records *records, ul_guarded *out)
{
    *out = (ul_guarded){.records = records, .tpl = o->tpl, .max_new = o->max_new, .batch = o->batch};
    return o->guard ? ul_guard_prepare(o->guard, arena, out) : UL_OK;
}

/* All documents of the set: row by row, answer by answer; first[row] counts answers. */
static ul_status build(ul_ctx *ctx, ul_arena *arena, const ul_tokenizer *tok, const ul_template *tpl, const ul_records *records,
                       int32_t which, ul_doc **docs, int64_t **first)
{
    int64_t n = 0;
    int64_t *f = UL_NEW(arena, int64_t, records->n + 1);
    UL_NEED(f);
    for (int64_t i = 0; i < records->n; i++) {
        const int32_t k = n_answers(&records->at[i], which);
        if (k == 0 || (k == 1 && !answer_text(&records->at[i], which, 0)))
            return missing(ctx, records, &records->at[i], which);
        f[i] = n;
        n += k;
    }
    f[records->n] = n;
    ul_doc *d = UL_NEW(arena, ul_doc, n);
    UL_NEED(d);
    int64_t cut = 0;
    for (int64_t i = 0; i < records->n; i++)
        for (int64_t k = f[i]; k < f[i + 1]; k++) {
            bool truncated = false;
            const ul_record *r = &records->at[i];
            UL_TRY(ul_doc_build(ctx, arena, tok, tpl, r->prompt, answer_text(r, which, (int32_t)(k - f[i])), i, r->entity, &d[k], &truncated));
            cut += truncated;
        }
    if (cut)
        ul_note(ctx, UL_LOG_WARN, "%s: %lld of %lld answers are longer than %d tokens and were cut (--strict makes this an error)",
               records->path, (long long)cut, (long long)n, tpl->max_length);
    *docs = d;
    *first = f;
    return UL_OK;
}

typedef struct {
    int64_t *token;
    double *logp, *mu, *sigma2;
    uint8_t *hit, *eos_last;
} token_columns;

static ul_status new_columns(ul_arena *arena, const ul_doc *docs, int64_t n, int32_t eos, token_columns *c)
{
    c->token = UL_NEW(arena, int64_t, n + 1);
    c->eos_last = UL_NEW(arena, uint8_t, n + 1);
    UL_NEED(c->token);
    UL_NEED(c->eos_last);
    int64_t total = 0;
    for (int64_t i = 0; i < n; i++) {
        c->token[i] = total;
        for (int32_t t = 0; t < docs[i].n; t++) total += docs[i].labelled[t];
        c->eos_last[i] = docs[i].n > 0 && docs[i].token[docs[i].n - 1] == eos;
    }
    c->token[n] = total;
    c->logp = UL_NEW(arena, double, total);
    c->mu = UL_NEW(arena, double, total);
    c->sigma2 = UL_NEW(arena, double, total);
    c->hit = UL_NEW(arena, uint8_t, total);
    UL_NEED(c->logp);
    UL_NEED(c->mu);
    UL_NEED(c->sigma2);
    UL_NEED(c->hit);
    return UL_OK;
}

/* Documents i .. j-1 as one packed batch: their rows are the columns token[i] .. token[j]-1, in order. */
static ul_status score_batch(ul_ctx *ctx, ul_arena *step, const ul_eval_options *o, const ul_guarded *how, const ul_doc *docs, int64_t i,
                             int64_t j, const token_columns *c)
{
    const ul_doc **list = UL_NEW(step, const ul_doc *, j - i);
    UL_NEED(list);
    for (int64_t k = i; k < j; k++) list[k - i] = &docs[k];
    ul_batch *batch;
    UL_TRY(ul_pack_docs(ctx, step, list, (int32_t)(j - i), 0, &batch));
    if (batch->n_row != c->token[j] - c->token[i])
        return ul_fail(ctx, UL_E_INTERNAL, "a batch has %d scored rows, its documents have %lld scored tokens", batch->n_row,
                       (long long)(c->token[j] - c->token[i]));
    const int64_t at = c->token[i];
    int32_t *argmax = UL_NEW(step, int32_t, batch->n_row);
    UL_NEED(argmax);
    ul_pass pass = {.batch = batch, .last = -1, .hook = o->hook ? o->hook : how->hook, .n_hook = o->hook ? o->n_hook : how->n_hook,
                    .mix = how->mix,
                    .score = {.logp = c->logp + at, .argmax = argmax, .mu = c->mu + at, .sigma2 = c->sigma2 + at}};
    UL_TRY(ul_model_forward(ctx, o->model, &pass));
    for (int32_t r = 0; r < batch->n_row; r++) c->hit[at + r] = argmax[r] == batch->label[r];
    return UL_OK;
}

static ul_status check_finite(ul_ctx *ctx, const ul_records *records, const ul_doc *docs, int64_t n, const token_columns *c)
{
    for (int64_t i = 0; i < n; i++)
        for (int64_t t = c->token[i]; t < c->token[i + 1]; t++)
            if (!(c->logp[t] <= 0) || !(c->logp[t] > -1e30))
                return ul_fail(ctx, UL_E_CRITERION, "%s:%lld: the log-probability of scored token %lld is %g: the model gives no "
                               "finite numbers (weights diverged?)", records->path, (long long)records->at[docs[i].id].line,
                               (long long)(t - c->token[i]), c->logp[t]);
    return UL_OK;
}

ul_status ul_columns_score(ul_ctx *ctx, ul_arena *arena, const ul_eval_options *o, const ul_records *records, int32_t which,
                           const char *name, ul_columns *out)
{
    ul_doc *docs;
    int64_t *first;
    ul_guarded how;
    UL_TRY(ul_eval_guarded(o, arena, records, &how));
    UL_TRY(build(ctx, arena, o->tok, &how.tpl, how.records, which, &docs, &first));
    const int64_t n = first[records->n];
    token_columns c;
    UL_TRY(new_columns(arena, docs, n, ul_tokenizer_special(o->tok).eos, &c));
    ul_arena *step;
    UL_TRY(ul_arena_new(ctx, "evaluation batch", &step));
    ul_meter meter;
    ul_progress_begin(ctx, &meter, name, "answers", n);
    ul_status s = UL_OK;
    int64_t tokens = 0;
    for (int64_t i = 0, j; s == UL_OK && i < n; i = j) {
        int64_t held = 0;
        for (j = i; j < n && (j == i || held + docs[j].n <= o->batch_tokens); j++) held += docs[j].n;
        s = score_batch(ctx, step, o, &how, docs, i, j, &c);
        ul_arena_reset(step);
        tokens += held;
        ul_progress_step(&meter, j, tokens, NULL);
        if (s == UL_OK && j < n && ul_interrupted(ctx))
            s = ul_fail(ctx, UL_E_CRITERION, "interrupted after %lld of %lld answers", (long long)j, (long long)n);
    }
    ul_arena_free(step);
    UL_TRY(s);
    UL_TRY(check_finite(ctx, records, docs, n, &c));
    int64_t *entity = UL_NEW(arena, int64_t, records->n);
    UL_NEED(entity);
    for (int64_t i = 0; i < records->n; i++) entity[i] = records->at[i].entity;
    *out = (ul_columns){.name = name, .n_row = records->n, .first = which == UL_WHICH_WRONG ? first : NULL,
                        .entity = entity, .token = c.token, .logp = c.logp, .hit = c.hit, .mu = c.mu, .sigma2 = c.sigma2,
                        .eos_last = c.eos_last};
    if (!o->texts) return UL_OK;
    const char **text = UL_NEW(arena, const char *, n);
    UL_NEED(text);
    for (int64_t i = 0; i < n; i++) {
        int32_t *ids = UL_NEW(arena, int32_t, docs[i].n), k = 0;
        UL_NEED(ids);
        for (int32_t t = 0; t < docs[i].n; t++)
            if (docs[i].labelled[t]) ids[k++] = docs[i].token[t];
        ul_buf b;
        ul_buf_init(&b, ctx, 1 << 24);
        s = ul_decode(ctx, o->tok, ids, (size_t)k, true, &b);
        if (s == UL_OK && !(text[i] = ul_strndup(arena, b.p ? b.p : "", b.n))) s = UL_E_RESOURCE;
        ul_buf_release(&b);
        UL_TRY(s);
    }
    out->text = text;
    return UL_OK;
}

/* Decoded without special tokens, cleaned up as the peers' tokenizers do, stripped. */
ul_status ul_decode_answer(ul_ctx *ctx, ul_arena *arena, const ul_tokenizer *tok, const int32_t *ids, size_t n, bool strip,
                              const char **out)
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

ul_status ul_columns_generate(ul_ctx *ctx, ul_arena *arena, const ul_eval_options *o, const ul_records *records, ul_columns *io)
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
    for (int32_t i = 0; i < n; i++) UL_TRY(ul_decode_answer(ctx, arena, o->tok, ids[i], (size_t)n_ids[i], true, &text[i]));
    io->n_row = n;
    io->generation = text;
    return UL_OK;
}

/* The answer as the published numbers take it: decode(all ids) without decode(prompt ids), so that a tokenizer's losses
 * (unknown characters, spaces) are the same on both sides of the comparison. */
ul_status ul_columns_ground_truth(ul_ctx *ctx, ul_arena *arena, const ul_eval_options *o, const ul_records *records, int32_t which,
                                  ul_columns *io)
{
    ul_docs *prompts;
    UL_TRY(ul_docs_prompts(ctx, arena, o->tok, &o->tpl, records, &prompts));
    ul_doc *docs;
    int64_t *first;
    UL_TRY(build(ctx, arena, o->tok, &o->tpl, records, which, &docs, &first));
    const char **truth = UL_NEW(arena, const char *, records->n);
    UL_NEED(truth);
    for (int64_t i = 0; i < records->n; i++) {
        const char *all, *prompt;
        UL_TRY(ul_decode_answer(ctx, arena, o->tok, docs[i].token, (size_t)docs[i].n, false, &all));
        UL_TRY(ul_decode_answer(ctx, arena, o->tok, prompts->at[i].token, (size_t)prompts->at[i].n, false, &prompt));
        char *rest = ul_strdup(arena, all);
        UL_NEED(rest);
        char *at = *prompt ? strstr(rest, prompt) : NULL; /* every occurrence goes, as str.replace does */
        for (const size_t len = strlen(prompt); at; at = strstr(at, prompt)) memmove(at, at + len, strlen(at + len) + 1);
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
static ul_status document_norm(ul_ctx *ctx, ul_arena *step, const ul_eval_options *o, const ul_doc *d, double p, double *out)
{
    ul_batch *batch;
    UL_TRY(ul_pack_docs(ctx, step, &d, 1, false, &batch));
    const int32_t n = batch->n_row - 1;
    if (n < 1) return ul_fail(ctx, UL_E_INPUT, "row %lld has %d scored tokens; a gradient norm needs 2", (long long)d->id, batch->n_row);
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

ul_status ul_columns_grad_norm(ul_ctx *ctx, ul_arena *arena, const ul_eval_options *o, const ul_records *records, double p, ul_columns *io)
{
    ul_doc *docs;
    int64_t *first;
    UL_TRY(build(ctx, arena, o->tok, &o->tpl, records, UL_WHICH_ANSWER, &docs, &first));
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
