/* wrapper_test.h - a tiny run with wrappers around its method. */
#ifndef UL_WRAPPER_TEST_H
#define UL_WRAPPER_TEST_H
#include "method/method.h"
#include "train_test.h"
#include "wrapper/wrapper.h"

enum { MOST_WRAP = 4 };
typedef struct {
    tiny t;
    ul_pairing pairing;
    ul_args args[MOST_WRAP];
    ul_wrapping wrap[MOST_WRAP];
} wrapped;

static inline void set_number(ul_args *a, const char *key, double v)
{
    for (int i = 0; a->params[i].key; i++)
        if (!strcmp(a->params[i].key, key)) {
            a->num[i] = v;
            return;
        }
    fail_msg("no parameter %s", key);
}

/* The run of tiny_open with a pairing of its documents. */
static inline void wrapped_open(wrapped *w, const tiny_how *how, const char *method, const char *out)
{
    memset(w, 0, sizeof *w);
    tiny_open(&w->t, NULL, how, ul_method_find(method), out);
    UL_OK_IN(w->t.ctx, ul_pairing_init(w->t.ctx, ul_ctx_arena(w->t.ctx), w->t.docs[UL_FORGET], w->t.docs[UL_RETAIN], 11,
                                       true, &w->pairing));
    w->t.run.options.pairing = &w->pairing;
    w->t.run.options.wrap = w->wrap;
}

static inline ul_args *wrap_with(wrapped *w, const char *id, const ul_wrapper *wrapper)
{
    const int n = w->t.run.options.n_wrap++;
    assert_true(n < MOST_WRAP);
    if (wrapper->params) ul_args_default(wrapper->params, &w->args[n]);
    ul_args_values(&w->args[n], wrapper->small);
    w->wrap[n] = (ul_wrapping){id, wrapper, &w->args[n], NULL};
    return &w->args[n];
}
static inline ul_args *wrap(wrapped *w, const char *id)
{
    const ul_wrapper *wrapper = ul_wrapper_find(id);
    if (!wrapper) fail_msg("no wrapper %s", id);
    return wrap_with(w, id, wrapper);
}

/* All entries of the trainables' gradients (or weights), in double. */
static inline double *flat(const wrapped *w, bool gradient, int64_t *n)
{
    ul_trainable *train;
    const int count = ul_model_trainables(w->t.model, &train);
    const bool twice = w->t.be->k->esize == 8;
    int64_t k = 0, all = 0;
    for (int i = 0; i < count; i++) all += train[i].n;
    double *x = malloc((size_t)all * sizeof *x);
    assert_non_null(x);
    for (int i = 0; i < count; i++)
        for (int64_t j = 0; j < train[i].n; j++) {
            const void *p = gradient ? train[i].g : train[i].p;
            x[k++] = twice ? ((const double *)p)[j] : (double)((const float *)p)[j];
        }
    *n = all;
    return x;
}
#endif
