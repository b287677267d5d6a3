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
    ul_work work;
} tiny_work;

/* Ready to run; the test may change args, recipe and work before. */
static inline void tiny_work_open(tiny_work *w, const ul_procedure *p, const tiny_how *how)
{
    tiny_open(&w->t, NULL, how, NULL, NULL);
    ul_args_default(p->method.params, &w->args);
    ul_buf_init(&w->report, w->t.ctx, 1 << 16);
    w->work = (ul_work){.ctx = w->t.ctx, .arena = ul_ctx_arena(w->t.ctx), .id = "test", .args = &w->args, .model = w->t.model,
                        .recipe = &w->t.recipe, .forget = w->t.docs[UL_FORGET], .retain = w->t.docs[UL_RETAIN],
                        .recipe_digest = "0123456789abcdef0123456789abcdef", .micro_batch = how->micro, .save_every = -1,
                        .report = &w->report};
}

static inline void tiny_work_run(tiny_work *w, const ul_procedure *p, char digest[65])
{
    UL_OK_IN(w->t.ctx, p->run(&w->work));
    UL_OK_IN(w->t.ctx, ul_model_digest(w->t.ctx, w->t.model, digest));
}

static inline void tiny_work_close(tiny_work *w)
{
    ul_buf_release(&w->report);
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
