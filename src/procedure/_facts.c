/* _facts.c - facts as documents: the prompt with another answer, where the subject ends, and "SUBJECT is a". */
#include "procedure/edit.h"
#include <string.h>

static bool begins_word(const char *s, size_t i)
{
    return ul_is_word_byte(s[i]) && (i == 0 || !ul_is_word_byte(s[i - 1]));
}

static bool ends_word(const char *s, size_t n)
{
    return n > 0 && ul_is_word_byte(s[n - 1]) && !ul_is_word_byte(s[n]);
}

/* The longest run of whole words of `q` that stands in `a` too, the first of equals: [*from, *to) in bytes. */
static bool shared_run(const char *q, const char *a, size_t *from, size_t *to)
{
    size_t best = 0;
    for (size_t i = 0; q[i]; i++) {
        if (!begins_word(q, i)) continue;
        for (size_t j = 0; a[j]; j++) {
            if (!begins_word(a, j)) continue;
            size_t n = 0, whole = 0;
            while (q[i + n] && q[i + n] == a[j + n]) {
                n++;
                if (ends_word(q, i + n) && ends_word(a, j + n)) whole = n;
            }
            if (whole > best) best = whole, *from = i, *to = i + whole;
        }
    }
    return best > 0;
}

/* Where the subject lies in the question. */
static void subject_of(const char *question, const char *answer, const char *how, size_t *from, size_t *to)
{
    *from = 0;
    *to = strlen(question);
    while (*to > 0 && !ul_is_word_byte(question[*to - 1])) --*to;
    if (*to == 0) *to = strlen(question);
    if (!strcmp(how, "shared") && answer) (void)shared_run(question, answer, from, to);
}

/* The last token of `doc` that is one of the tokens of `text`, its beginning. */
static ul_status last_token(ul_work *w, const ul_doc *doc, const char *text, int32_t *at)
{
    ul_ids ids;
    ul_ids_init(&ids, w->ctx);
    const ul_status s = ul_encode(w->ctx, w->tok, text, strlen(text), true, &ids);
    int32_t n = 0;
    while (s == UL_OK && n < doc->n && (size_t)n < ids.n && doc->token[n] == ids.id[n]) n++;
    ul_ids_release(&ids);
    *at = n > 0 ? n - 1 : 0;
    return s;
}

/* The first `at` + 1 tokens of doc, then " is a", then one token whose prediction is compared. */
static ul_status drift(ul_work *w, const ul_doc *doc, int32_t at, ul_doc *out)
{
    static const char tail[] = " is a";
    ul_ids ids;
    ul_ids_init(&ids, w->ctx);
    const ul_status s = ul_encode(w->ctx, w->tok, tail, sizeof tail - 1, false, &ids);
    const int32_t n = at + 1 + (int32_t)ids.n + 1;
    int32_t *token = s == UL_OK ? UL_NEW(w->arena, int32_t, n) : NULL;
    uint8_t *labelled = s == UL_OK ? UL_NEW(w->arena, uint8_t, n) : NULL;
    if (token && labelled) {
        memcpy(token, doc->token, (size_t)(at + 1) * sizeof *token);
        memcpy(token + at + 1, ids.id, ids.n * sizeof *token);
        token[n - 1] = doc->token[0]; /* any: only the distribution before it is read */
        labelled[n - 1] = 1;
    }
    ul_ids_release(&ids);
    UL_TRY(s);
    UL_NEED(token);
    UL_NEED(labelled);
    *out = (ul_doc){.id = doc->id, .n = n, .entity = doc->entity, .token = token, .labelled = labelled};
    return UL_OK;
}

ul_status ul_facts_new(ul_work *w, int64_t first, int32_t n, ul_facts *out)
{
    const char *target = ul_txt(w->args, "target"), *how = ul_txt(w->args, "subject");
    *out = (ul_facts){.n = n,
                      .doc = UL_NEW(w->arena, ul_doc, n),
                      .drift = UL_NEW(w->arena, ul_doc, n),
                      .from = UL_NEW(w->arena, int32_t, n),
                      .at = UL_NEW(w->arena, int32_t, n)};
    UL_NEED(out->doc);
    UL_NEED(out->drift);
    UL_NEED(out->from);
    UL_NEED(out->at);
    for (int32_t i = 0; i < n; i++) {
        const ul_record *r = &w->forget_rows->at[first + i];
        bool cut = false;
        size_t from, to;
        if (!r->prompt)
            return ul_fail(w->ctx, UL_E_INPUT, "%s:%lld: the row has no question; an edit changes the answer to one",
                           w->forget_rows->path, (long long)r->line);
        UL_TRY(ul_doc_build(w->ctx, w->arena, w->tok, w->tpl, r->prompt, target, first + i, r->entity, &out->doc[i],
                            &cut));
        if (ul_doc_labelled(&out->doc[i]) == 0)
            return ul_fail(w->ctx, UL_E_INPUT, "%s:%lld: the question leaves no room for the target within %d tokens",
                           w->forget_rows->path, (long long)r->line, (int)w->tpl->max_length);
        subject_of(r->prompt, r->answer, how, &from, &to);
        const char *text =
            !strcmp(how, "prompt")
                ? ul_format(w->arena, "%s%s%s%s", w->tpl->user_start, r->prompt, w->tpl->user_end, w->tpl->asst_start)
                : ul_format(w->arena, "%s%.*s", w->tpl->user_start, (int)to, r->prompt);
        UL_NEED(text);
        UL_TRY(last_token(w, &out->doc[i], text, &out->at[i]));
        const char *before = ul_format(w->arena, "%s%.*s", w->tpl->user_start, (int)from, r->prompt);
        UL_NEED(before);
        UL_TRY(last_token(w, &out->doc[i], before, &out->from[i]));
        out->from[i] = out->from[i] < out->at[i] ? out->from[i] + 1 : out->at[i];
        UL_TRY(drift(w, &out->doc[i], out->at[i], &out->drift[i]));
    }
    return UL_OK;
}
