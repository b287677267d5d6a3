/* score.c - log-probabilities of answers: from a model and a data set to one number a labelled token.
 *
 * One forward pass over packed documents gives every per-token column at once (log-prob, argmax hit and, where asked
 * for, mean and variance of log p), however many metrics read them later. The answers to one question follow each other
 * and their common beginning, the prompt and often more, is run once (data.h, ul_pack_shared). How documents are packed
 * together changes no bit. */
#include "audit/score.h"
#include <string.h>

enum { MOST_DOCS = 2048 }; /* of a batch: documents that are all beginning have no token of their own */

ul_status ul_eval_guarded(const ul_eval_options *o, ul_arena *arena, const ul_records *records, ul_guarded *out)
{
    *out = (ul_guarded){.records = records, .tpl = o->tpl, .max_new = o->max_new, .batch = o->batch};
    return o->guard ? ul_guard_prepare(o->guard, arena, out) : UL_OK;
}

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

ul_status ul_answer_docs(ul_ctx *ctx, ul_arena *arena, const ul_tokenizer *tok, const ul_template *tpl,
                         const ul_records *records, int32_t which, ul_doc **docs, int64_t **first)
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
            UL_TRY(ul_doc_build(ctx, arena, tok, tpl, r->prompt, answer_text(r, which, (int32_t)(k - f[i])), i,
                                r->entity, &d[k], &truncated));
            cut += truncated;
        }
    if (cut)
        ul_note(ctx, UL_LOG_WARN,
                "%s: %lld of %lld answers are longer than %d tokens and were cut (--strict makes this an error)",
                records->path, (long long)cut, (long long)n, tpl->max_length);
    *docs = d;
    *first = f;
    return UL_OK;
}

/* ---- scoring ----------------------------------------------------------------------------------------------------- */
ul_status ul_token_columns_new(ul_arena *arena, const ul_doc *docs, int64_t n, int32_t eos, bool moments,
                               ul_token_columns *c)
{
    c->token = UL_NEW(arena, int64_t, n + 1);
    c->eos_last = UL_NEW(arena, uint8_t, n + 1);
    UL_NEED(c->token);
    UL_NEED(c->eos_last);
    int64_t total = 0;
    for (int64_t i = 0; i < n; i++) {
        c->token[i] = total;
        total += ul_doc_labelled(&docs[i]);
        c->eos_last[i] = docs[i].n > 0 && docs[i].token[docs[i].n - 1] == eos;
    }
    c->token[n] = total;
    c->logp = UL_NEW(arena, double, total);
    c->hit = UL_NEW(arena, uint8_t, total);
    c->mu = c->sigma2 = NULL;
    UL_NEED(c->logp);
    UL_NEED(c->hit);
    if (!moments) return UL_OK;
    UL_NEED(c->mu = UL_NEW(arena, double, total));
    UL_NEED(c->sigma2 = UL_NEW(arena, double, total));
    return UL_OK;
}

/* The numbers of one document: those of its beginning are its parent's, the others its own rows'. */
static void give(const ul_scored *list, const ul_share *share, int32_t k, const ul_batch *b, const ul_score *s)
{
    const ul_scored *d = &list[k];
    const ul_token_columns *c = d->to;
    int64_t at = d->at;
    if (share[k].parent >= 0) {
        const ul_scored *p = &list[share[k].parent];
        for (int32_t t = 1; t < share[k].prefix; t++)
            if (d->doc->labelled[t]) {
                const int64_t from = p->at + at - d->at;
                c->logp[at] = p->to->logp[from], c->hit[at] = p->to->hit[from];
                if (c->mu) c->mu[at] = p->to->mu[from], c->sigma2[at] = p->to->sigma2[from];
                at++;
            }
    }
    for (int32_t r = b->doc_row[k]; r < b->doc_row[k + 1]; r++, at++) {
        c->logp[at] = s->logp[r], c->hit[at] = s->argmax[r] == b->label[r];
        if (c->mu) c->mu[at] = s->mu[r], c->sigma2[at] = s->sigma2[r];
    }
}

static ul_status score_batch(ul_ctx *ctx, ul_arena *step, const ul_eval_options *o, const ul_guarded *how,
                             const ul_scored *list, const ul_doc **docs, const ul_share *share, int32_t n)
{
    ul_batch *b;
    UL_TRY(ul_pack_shared(ctx, step, docs, share, n, &b));
    ul_pass pass = {.batch = b,
                    .last = -1,
                    .hook = o->hook ? o->hook : how->hook,
                    .n_hook = o->hook ? o->n_hook : how->n_hook,
                    .mix = how->mix,
                    .score = {.logp = UL_NEW(step, double, b->n_row), .argmax = UL_NEW(step, int32_t, b->n_row)}};
    UL_NEED(pass.score.logp);
    UL_NEED(pass.score.argmax);
    if (o->moments) {
        UL_NEED(pass.score.mu = UL_NEW(step, double, b->n_row));
        UL_NEED(pass.score.sigma2 = UL_NEW(step, double, b->n_row));
    }
    UL_TRY(ul_model_forward(ctx, o->model, &pass));
    for (int32_t k = 0; k < n; k++) give(list, share, k, b, &pass.score);
    return UL_OK;
}

ul_status ul_score_docs(ul_ctx *ctx, const ul_eval_options *o, const ul_guarded *how, const char *what,
                        const ul_scored *list, int64_t n)
{
    const bool shares = !o->n_hook && !how->n_hook && !how->mix; /* those look at documents, whole */
    ul_arena *step, *held;
    ul_meter meter;
    UL_TRY(ul_arena_new(ctx, "evaluation batch", &step));
    ul_status s = ul_arena_new(ctx, "evaluation documents", &held);
    const ul_doc **docs = s == UL_OK ? UL_NEW(held, const ul_doc *, MOST_DOCS) : NULL;
    ul_share *share = s == UL_OK ? UL_NEW(held, ul_share, MOST_DOCS) : NULL;
    if (!docs || !share) s = UL_E_RESOURCE;
    ul_progress_begin(ctx, &meter, what, "answers", n);
    int64_t tokens = 0;
    for (int64_t i = 0, j; s == UL_OK && i < n; i = j) {
        int64_t own = 0;
        for (j = i; j < n && j - i < MOST_DOCS; j++) {
            docs[j - i] = list[j].doc;
            share[j - i] = shares ? ul_doc_share(docs, share, (int32_t)(j - i)) : (ul_share){-1, 0};
            const int64_t more = list[j].doc->n - share[j - i].prefix;
            if (j > i && own + more > o->batch_tokens) break;
            own += more;
            tokens += list[j].doc->n;
        }
        s = score_batch(ctx, step, o, how, list + i, docs, share, (int32_t)(j - i));
        ul_arena_reset(step);
        ul_progress_step(&meter, j, tokens, NULL);
        if (s == UL_OK && j < n && ul_interrupted(ctx))
            s = ul_fail(ctx, UL_E_CRITERION, "interrupted after %lld of %lld answers", (long long)j, (long long)n);
    }
    ul_arena_free(held);
    ul_arena_free(step);
    return s;
}

static ul_status check_finite(ul_ctx *ctx, const ul_records *records, const ul_doc *docs, int64_t n,
                              const ul_token_columns *c)
{
    for (int64_t i = 0; i < n; i++)
        for (int64_t t = c->token[i]; t < c->token[i + 1]; t++)
            if (!(c->logp[t] <= 0) || !(c->logp[t] > -1e30))
                return ul_fail(ctx, UL_E_CRITERION,
                               "%s:%lld: the log-probability of scored token %lld is %g: the model gives no "
                               "finite numbers (weights diverged?)",
                               records->path, (long long)records->at[docs[i].id].line, (long long)(t - c->token[i]),
                               c->logp[t]);
    return UL_OK;
}

/* The labelled tokens of every document, decoded. */
static ul_status decode_labelled(ul_ctx *ctx, ul_arena *arena, const ul_tokenizer *tok, const ul_doc *docs, int64_t n,
                                 const char *const **out)
{
    const char **text = UL_NEW(arena, const char *, n);
    UL_NEED(text);
    for (int64_t i = 0; i < n; i++) {
        int32_t *ids = UL_NEW(arena, int32_t, docs[i].n), k = 0;
        UL_NEED(ids);
        for (int32_t t = 0; t < docs[i].n; t++)
            if (docs[i].labelled[t]) ids[k++] = docs[i].token[t];
        ul_buf b;
        ul_buf_init(&b, ctx, 1 << 24);
        ul_status s = ul_decode(ctx, tok, ids, (size_t)k, true, &b);
        if (s == UL_OK && !(text[i] = ul_strndup(arena, b.p ? b.p : "", b.n))) s = UL_E_RESOURCE;
        ul_buf_release(&b);
        UL_TRY(s);
    }
    *out = text;
    return UL_OK;
}

/* One kind of answer of the set. */
typedef struct {
    ul_doc *docs;
    int64_t *first;
    ul_token_columns c;
} kind;

/* Row by row, all kinds of answers: those to one question share their prompt. */
static ul_status in_rows(ul_arena *arena, const kind *k, int n_which, int64_t n_row, ul_scored **out, int64_t *n)
{
    *n = 0;
    for (int w = 0; w < n_which; w++) *n += k[w].first[n_row];
    ul_scored *list = UL_NEW(arena, ul_scored, *n);
    UL_NEED(list);
    int64_t at = 0;
    for (int64_t i = 0; i < n_row; i++)
        for (int w = 0; w < n_which; w++)
            for (int64_t d = k[w].first[i]; d < k[w].first[i + 1]; d++)
                list[at++] = (ul_scored){&k[w].docs[d], &k[w].c, k[w].c.token[d]};
    *out = list;
    return UL_OK;
}

ul_status ul_columns_score_kinds(ul_ctx *ctx, ul_arena *arena, const ul_eval_options *o, const ul_records *records,
                                 const int32_t *which, int n_which, const char *const *names, ul_columns *out)
{
    kind k[UL_MAX_WHICH];
    ul_scored *list;
    int64_t n;
    if (n_which > UL_MAX_WHICH)
        return ul_fail(ctx, UL_E_INTERNAL, "%d kinds of answers, at most %d", n_which, UL_MAX_WHICH);
    const int32_t eos = ul_tokenizer_special(o->tok).eos;
    ul_guarded how;
    UL_TRY(ul_eval_guarded(o, arena, records, &how));
    for (int w = 0; w < n_which; w++) {
        UL_TRY(ul_answer_docs(ctx, arena, o->tok, &how.tpl, how.records, which[w], &k[w].docs, &k[w].first));
        UL_TRY(ul_token_columns_new(arena, k[w].docs, k[w].first[records->n], eos, o->moments,
                                    &k[w].c));
    }
    UL_TRY(in_rows(arena, k, n_which, records->n, &list, &n));
    UL_TRY(ul_score_docs(ctx, o, &how, names[0], list, n));
    int64_t *entity = UL_NEW(arena, int64_t, records->n);
    UL_NEED(entity);
    for (int64_t i = 0; i < records->n; i++) entity[i] = records->at[i].entity;
    for (int w = 0; w < n_which; w++) {
        const ul_token_columns *c = &k[w].c;
        n = k[w].first[records->n];
        UL_TRY(check_finite(ctx, records, k[w].docs, n, c));
        out[w] = (ul_columns){.name = names[w],
                              .n_row = records->n,
                              .first = which[w] == UL_WHICH_WRONG ? k[w].first : NULL,
                              .entity = entity,
                              .token = c->token,
                              .logp = c->logp,
                              .hit = c->hit,
                              .mu = c->mu,
                              .sigma2 = c->sigma2,
                              .eos_last = c->eos_last};
        if (o->texts) UL_TRY(decode_labelled(ctx, arena, o->tok, k[w].docs, n, &out[w].text));
    }
    return UL_OK;
}

ul_status ul_columns_score(ul_ctx *ctx, ul_arena *arena, const ul_eval_options *o, const ul_records *records,
                           int32_t which, const char *name, ul_columns *out)
{
    return ul_columns_score_kinds(ctx, arena, o, records, &which, 1, &name, out);
}
