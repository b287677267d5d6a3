/* document.c - documents from records: template, tokens, answer mask (data.h). The same ids and labels as
 * open-unlearning's src/data/utils.py::preprocess_chat_instance with apply_chat_template: false. */
#include "data/data.h"
#include <string.h>

const ul_template ul_template_tofu = {"Question: ", "\n", "Answer: ", .max_length = 512, .pad_id = -1};

/* What happened to the rows of one data set, for one warning each. */
typedef struct {
    int64_t cut, moved, unanswered;
} counts;

/* One row's buffers, reused from row to row. */
typedef struct {
    ul_ctx *ctx;
    ul_arena *arena;
    const ul_tokenizer *tok;
    const ul_template *tpl;
    ul_buf text;
    ul_ids ids, head;
} builder;

static void begin(builder *b, ul_ctx *ctx, ul_arena *arena, const ul_tokenizer *tok, const ul_template *tpl)
{
    *b = (builder){.ctx = ctx, .arena = arena, .tok = tok, .tpl = tpl};
    ul_buf_init(&b->text, ctx, (size_t)1 << 30);
    ul_ids_init(&b->ids, ctx);
    ul_ids_init(&b->head, ctx);
}

static void end(builder *b)
{
    ul_buf_release(&b->text);
    ul_ids_release(&b->ids);
    ul_ids_release(&b->head);
}

static ul_status put_prompt(builder *b, const char *prompt)
{
    ul_buf_reset(&b->text);
    ul_buf_puts(&b->text, b->tpl->user_start);
    ul_buf_puts(&b->text, prompt);
    ul_buf_puts(&b->text, b->tpl->user_end);
    return ul_buf_puts(&b->text, b->tpl->asst_start);
}

/* Ids of prompt and answer in b->ids, those of the prompt in b->head; *moved: the text does not begin with the prompt's
 * ids, so the published mask is not where the answer begins. */
static ul_status encode(builder *b, const char *prompt, const char *answer, bool *moved)
{
    *moved = false;
    ul_ids_reset(&b->head);
    const bool special = !b->tpl->no_special;
    if (!prompt) return ul_encode(b->ctx, b->tok, answer, strlen(answer), special, &b->ids);
    UL_TRY(put_prompt(b, prompt));
    UL_TRY(ul_encode(b->ctx, b->tok, b->text.p, b->text.n, special, &b->head));
    if (b->tpl->apart) {
        ul_ids tail;
        ul_ids_init(&tail, b->ctx);
        ul_status s = ul_encode(b->ctx, b->tok, answer, strlen(answer), false, &tail);
        ul_ids_reset(&b->ids);
        for (size_t i = 0; s == UL_OK && i < b->head.n; i++) s = ul_ids_add(&b->ids, b->head.id[i], 0);
        for (size_t i = 0; s == UL_OK && i < tail.n; i++) s = ul_ids_add(&b->ids, tail.id[i], 0);
        ul_ids_release(&tail);
        return s;
    }
    UL_TRY(ul_buf_puts(&b->text, answer));
    UL_TRY(ul_encode(b->ctx, b->tok, b->text.p, b->text.n, special, &b->ids));
    if (b->tpl->own_head && b->ids.n > b->head.n) memcpy(b->ids.id, b->head.id, b->head.n * sizeof *b->ids.id);
    *moved = b->ids.n < b->head.n || memcmp(b->ids.id, b->head.id, b->head.n * sizeof *b->ids.id) != 0;
    return UL_OK;
}

/* The document of b->ids, of which the first `n_prompt` are not scored. */
static ul_status make(builder *b, size_t n_prompt, int64_t id, int32_t entity, ul_doc *out)
{
    const size_t n = b->ids.n;
    int32_t *token = UL_NEW(b->arena, int32_t, n);
    uint8_t *labelled = UL_NEW(b->arena, uint8_t, n), *hidden = NULL;
    if (!token || !labelled) return UL_E_RESOURCE;
    for (size_t t = 0; t < n; t++) {
        token[t] = b->ids.id[t];
        labelled[t] = t > 0 && t >= n_prompt;
        if (!b->tpl->hide_pad || token[t] != b->tpl->pad_id) continue;
        if (!hidden) hidden = UL_NEW(b->arena, uint8_t, n);
        UL_NEED(hidden);
        hidden[t] = 1;
    }
    *out = (ul_doc){id, (int32_t)n, entity, token, labelled, hidden, NULL, NULL};
    return UL_OK;
}

/* What to do about rows that are too long. */
static const char *longer(const ul_template *tpl)
{
    return tpl->at_context ? "the model reads no more" : "raise --max-length";
}

static ul_status build(builder *b, const char *prompt, const char *answer, int64_t id, int32_t entity, ul_doc *out,
                       counts *c)
{
    bool moved;
    UL_TRY(encode(b, prompt, answer, &moved));
    const size_t longest = (size_t)b->tpl->max_length;
    if (b->ids.n > longest && b->tpl->strict)
        return ul_fail(b->ctx, UL_E_INPUT,
                       "row %lld has %zu tokens, the limit is %zu: %s, shorten the row, or leave out --strict to have "
                       "it cut",
                       (long long)id, b->ids.n, longest, longer(b->tpl));
    if (b->ids.n > longest) {
        const size_t off = b->tpl->cut_left ? b->ids.n - longest : 0;
        memmove(b->ids.id, b->ids.id + off, longest * sizeof *b->ids.id);
        b->head.n -= off < b->head.n ? off : b->head.n;
        if (b->tpl->hide_pad && b->head.n > longest) b->head.n = longest; /* the peer cuts the prompt alone too */
        b->ids.n = longest;
        c->cut++;
    }
    const int32_t eos = ul_tokenizer_special(b->tok).eos;
    if (!b->tpl->no_eos && eos >= 0 && (b->ids.n == 0 || b->ids.id[b->ids.n - 1] != eos))
        UL_TRY(ul_ids_add(&b->ids, eos, 0));
    UL_TRY(make(b, b->head.n, id, entity, out));
    c->moved += moved;
    c->unanswered += ul_doc_labelled(out) == 0;
    return UL_OK;
}

ul_status ul_doc_build(ul_ctx *ctx, ul_arena *arena, const ul_tokenizer *tok, const ul_template *tpl,
                       const char *prompt, const char *answer, int64_t id, int32_t entity, ul_doc *out, bool *truncated)
{
    builder b;
    counts c = {0};
    begin(&b, ctx, arena, tok, tpl);
    const ul_status s = build(&b, prompt, answer, id, entity, out, &c);
    end(&b);
    *truncated = c.cut > 0;
    return s;
}

static const char *answer_of(const ul_record *r, int32_t which)
{
    if (which == UL_WHICH_ANSWER) return r->answer;
    if (which == UL_WHICH_PARAPHRASE) return r->paraphrase;
    return which >= 0 && which < r->n_wrong ? r->wrong[which] : NULL;
}

static ul_status build_all(builder *b, const ul_records *records, int32_t which, ul_docs *docs, counts *c)
{
    for (int64_t i = 0; i < records->n; i++) {
        const ul_record *r = &records->at[i];
        const char *answer = answer_of(r, which);
        if (!answer)
            return ul_fail(b->ctx, UL_E_INPUT, "%s:%lld: the row has no %s", records->path, (long long)r->line,
                           which == UL_WHICH_PARAPHRASE ? "paraphrased answer"
                           : which >= 0                 ? "wrong answer of that number"
                                                        : "answer");
        const ul_status s = build(b, r->prompt, answer, i, r->entity, &docs->at[i], c);
        if (s != UL_OK) return ul_fail_in(b->ctx, s, "%s:%lld", records->path, (long long)r->line);
    }
    return UL_OK;
}

static void sum_up(ul_docs *d)
{
    for (int64_t i = 0; i < d->n; i++) {
        d->n_tok += d->at[i].n;
        d->n_labelled += ul_doc_labelled(&d->at[i]);
        if (d->at[i].n > d->longest) d->longest = d->at[i].n;
    }
}

static ul_status docs_new(ul_arena *arena, int64_t n, ul_docs **out)
{
    ul_docs *d = UL_NEW(arena, ul_docs, 1);
    UL_NEED(d);
    d->n = n;
    d->at = UL_NEW(arena, ul_doc, n);
    UL_NEED(d->at);
    *out = d;
    return UL_OK;
}

ul_status ul_docs_build(ul_ctx *ctx, ul_arena *arena, const ul_tokenizer *tok, const ul_template *tpl,
                        const ul_records *records, int32_t which, ul_docs **out)
{
    ul_docs *docs;
    builder b;
    counts c = {0};
    UL_TRY(docs_new(arena, records->n, &docs));
    begin(&b, ctx, arena, tok, tpl);
    const ul_status s = build_all(&b, records, which, docs, &c);
    end(&b);
    if (s != UL_OK) return s;
    sum_up(docs);
    docs->n_truncated = c.cut;
    if (c.unanswered == docs->n)
        return ul_fail(ctx, UL_E_INPUT, "%s: none of its %lld rows has an answer token to score within %d tokens: %s",
                       records->path, (long long)docs->n, (int)tpl->max_length, longer(tpl));
    if (c.cut)
        ul_note(ctx, UL_LOG_WARN,
                "%s: %lld of %lld rows are longer than %d tokens and were cut (%s; --strict refuses them)",
                records->path, (long long)c.cut, (long long)records->n, (int)tpl->max_length, longer(tpl));
    if (c.unanswered)
        ul_note(ctx, UL_LOG_WARN,
                "%s: %lld of %lld rows have no answer token to score within %d tokens and count for "
                "nothing",
                records->path, (long long)c.unanswered, (long long)records->n, (int)tpl->max_length);
    if (c.moved)
        ul_note(ctx, UL_LOG_INFO,
                "%s: in %lld of %lld rows prompt and answer share a token where they meet; the mask is "
                "placed as published numbers have it (--apart tokenises them apart)",
                records->path, (long long)c.moved, (long long)records->n);
    *out = docs;
    return UL_OK;
}

ul_status ul_docs_prompts(ul_ctx *ctx, ul_arena *arena, const ul_tokenizer *tok, const ul_template *tpl,
                          const ul_records *records, ul_docs **out)
{
    ul_docs *docs;
    builder b;
    UL_TRY(docs_new(arena, records->n, &docs));
    begin(&b, ctx, arena, tok, tpl);
    ul_status s = UL_OK;
    for (int64_t i = 0; s == UL_OK && i < records->n; i++) {
        const ul_record *r = &records->at[i];
        if (!r->prompt) {
            s = ul_fail(ctx, UL_E_INPUT, "%s:%lld: the row has no prompt to generate from", records->path,
                        (long long)r->line);
            break;
        }
        s = put_prompt(&b, r->prompt);
        if (s == UL_OK) s = ul_encode(ctx, tok, b.text.p, b.text.n, true, &b.ids);
        if (s == UL_OK) s = make(&b, b.ids.n, i, r->entity, &docs->at[i]);
        if (s != UL_OK) ul_fail_in(ctx, s, "%s:%lld", records->path, (long long)r->line);
    }
    end(&b);
    if (s != UL_OK) return s;
    sum_up(docs);
    *out = docs;
    return UL_OK;
}

void ul_docs_digest(const ul_docs *docs, char hex[65])
{
    ul_digest d;
    ul_digest_init(&d);
    for (int64_t i = 0; i < docs->n; i++) {
        const ul_doc *x = &docs->at[i];
        const size_t n = (size_t)x->n;
        const uint8_t has[2] = {x->hidden != NULL, x->pos != NULL};
        ul_digest_add(&d, &x->n, sizeof x->n);
        ul_digest_add(&d, has, sizeof has);
        ul_digest_add(&d, x->token, n * sizeof *x->token);
        ul_digest_add(&d, x->labelled, n);
        if (x->hidden) ul_digest_add(&d, x->hidden, n);
        if (x->pos) ul_digest_add(&d, x->pos, n * sizeof *x->pos);
        if (x->target) ul_digest_add(&d, x->target, n * sizeof *x->target);
    }
    ul_digest_hex(&d, hex);
}
