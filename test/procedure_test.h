/* procedure_test.h - a procedure on a tiny model (train_test.h): what the tests of the room share. */
#ifndef UL_PROCEDURE_TEST_H
#define UL_PROCEDURE_TEST_H
#include "procedure/procedure.h"
#include "train_test.h"
#include <string.h>

typedef struct {
    tiny t;
    ul_args args;
    ul_buf report;
    ul_tokenizer *tok;
    ul_template tpl;
    ul_docs *text; /* the documents of work.forget_rows, for procedures that take both */
    ul_work work;
} tiny_work;

/* Questions about six people, for procedures that read text: a tokenizer of TINY_V words and the rows. */
static inline void tiny_text(tiny_work *w)
{
    static const char *const words[TINY_V - 4] = {
        "Question", "Answer", ":",    "where", "was",   "born",   "?",     "what",  "does",  "lives", "as",  "is",
        "a",        "I",      "dont", "know",  ".",     "ana",    "bob",   "cid",   "dora",  "eve",   "fay", "rome",
        "oslo",     "lima",   "kyiv", "paris", "quito", "farmer", "baker", "smith", "pilot", "clerk", "in",  "the"};
    ul_arena *arena = ul_ctx_arena(w->t.ctx);
    ul_tokenizer *tok;
    ul_record *row = UL_NEW(arena, ul_record, 6);
    ul_records *rows;
    assert_non_null(row);
    const char *dir = ul_test_folder("words");
    UL_OK_IN(w->t.ctx, ul_wordlevel_write(w->t.ctx, dir, words, TINY_V - 4));
    UL_OK_IN(w->t.ctx, ul_tokenizer_open(w->t.ctx, dir, &tok));
    for (int i = 0; i < 6; i++)
        row[i] = (ul_record){.line = i + 1,
                             .entity = i,
                             .prompt = ul_format(arena, "where was %s born ?", words[17 + i]),
                             .answer = ul_format(arena, "%s lives in %s .", words[17 + i], words[23 + i])};
    UL_OK_IN(w->t.ctx, ul_records_seal(w->t.ctx, "six people", row, 6, arena, &rows));
    w->tpl = ul_template_tofu;
    w->tpl.max_length = 48;
    w->work.tok = w->tok = tok;
    w->work.tpl = &w->tpl;
    w->work.forget_rows = rows;
    UL_OK_IN(w->t.ctx, ul_docs_build(w->t.ctx, arena, tok, &w->tpl, rows, UL_WHICH_ANSWER, &w->text));
}

/* Ready to run; the test may change args, recipe and work before.
 * p: NULL for a method with a loss (its args are the test's). */
static inline void tiny_work_open_as(tiny_work *w, const ul_config *config, const ul_procedure *p, const tiny_how *how)
{
    tiny_open(&w->t, config, how, NULL, NULL);
    if (p) ul_method_args(&p->method, true, &w->args);
    ul_buf_init(&w->report, w->t.ctx, 1 << 16);
    w->work = (ul_work){.ctx = w->t.ctx,
                        .arena = ul_ctx_arena(w->t.ctx),
                        .id = "test",
                        .args = &w->args,
                        .model = w->t.model,
                        .recipe = &w->t.recipe,
                        .forget = w->t.docs[UL_FORGET],
                        .retain = w->t.docs[UL_RETAIN],
                        .recipe_digest = "0123456789abcdef0123456789abcdef",
                        .micro_batch = how->micro,
                        .save_every = -1,
                        .report = &w->report,
                        .runs = p ? p->runs : NULL};
    tiny_text(w);
}

static inline void tiny_work_open(tiny_work *w, const ul_procedure *p, const tiny_how *how)
{
    tiny_work_open_as(w, NULL, p, how);
}

static inline void tiny_work_run(tiny_work *w, const ul_procedure *p, char digest[65])
{
    UL_OK_IN(w->t.ctx, p->run(&w->work));
    UL_OK_IN(w->t.ctx, ul_model_digest(w->t.ctx, w->t.model, digest));
}

static inline void tiny_work_close(tiny_work *w)
{
    ul_buf_release(&w->report);
    ul_tokenizer_free(w->tok);
    tiny_close(&w->t);
}

static inline const ul_procedure *procedure_named(const char *id)
{
    int n;
    const ul_procedure_entry *e = ul_procedures(&n);
    for (int i = 0; i < n; i++)
        if (!strcmp(e[i].id, id)) return e[i].procedure;
    return NULL;
}
#endif
