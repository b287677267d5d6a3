/* test_lens.c - the logit lens behind the last block is the model's own output: the same scores to the last bit, the
 * same gradients of head and norm; behind an inner block it is another. A state that was not kept is told. */
#include "model_test.h"

enum { MOST = 400 };

static void tensor(ul_model *m, const char *part, const double **out, int64_t *n)
{
    static double copy[2][4096];
    static int k;
    ul_trainable *w;
    for (int i = ul_model_trainables(m, &w); i-- > 0;)
        if (strstr(w[i].name, part)) {
            assert_true(w[i].n <= 4096);
            k = !k;
            for (int64_t j = 0; j < w[i].n; j++) copy[k][j] = ul_real_get(m->be, w[i].g, j);
            *out = copy[k], *n = w[i].n;
            return;
        }
    fail_msg("no trainable has %s in its name", part);
}

static void one(const char *type, ul_precision precision)
{
    ul_ctx *ctx = ul_test_ctx();
    ul_arena *a = ul_ctx_arena(ctx);
    static double own[MOST], lens[MOST], coef[MOST];
    ul_model *m = tiny_model(ctx, precision, type, false);
    ul_batch *b = random_batch(a, 0, 4, 23, false);
    assert_in_range(b->n_row, 65, MOST); /* more than one piece */
    const int n_layer = ul_model_shape(m)->n_layer;
    UL_OK_IN(ctx, ul_model_select(ctx, m, "head,norms"));
    for (int32_t i = 0; i < b->n_row; i++) coef[i] = ul_rng_normal(9, UL_STREAM_TEST, 0, (uint64_t)i);
    ul_pass pass = {
        .batch = b, .flags = UL_PASS_GRAD | UL_PASS_STATES, .last = -1, .score = {.logp = own}, .coef = coef};
    void *dx = ul_alloc(a, (size_t)b->n_row * 16, m->be->k->esize);
    ul_lens l = {.batch = b, .layer = n_layer, .n = b->n_row, .logp = lens, .coef = coef, .dx = dx};
    assert_non_null(dx);
    UL_OK_IN(ctx, ul_model_forward(ctx, m, &pass));
    ul_model_grad_zero(m);
    UL_OK_IN(ctx, ul_model_lens(ctx, a, m, &l));
    ul_model_grad_ready(m);
    assert_memory_equal(own, lens, (size_t)b->n_row * sizeof *own);
    const double *want, *got;
    int64_t n;
    const char *const parts[] = {"head", strcmp(type, "gpt2") ? "model.norm" : "ln_f.weight"};
    for (int k = 0; k < 2; k++) {
        tensor(m, parts[k], &got, &n);
        ul_model_grad_zero(m);
        UL_OK_IN(ctx, ul_model_forward(ctx, m, &pass));
        UL_OK_IN(ctx, ul_model_backward(ctx, m, &pass));
        ul_model_grad_ready(m);
        tensor(m, parts[k], &want, &n);
        for (int64_t j = 0; j < n; j++) assert_true(fabs(want[j] - got[j]) <= 1e-12 * (1 + fabs(want[j])));
        ul_model_grad_zero(m);
        UL_OK_IN(ctx, ul_model_forward(ctx, m, &pass));
        UL_OK_IN(ctx, ul_model_lens(ctx, a, m, &l));
        ul_model_grad_ready(m);
    }
    l.layer = 1, l.coef = NULL;
    UL_OK_IN(ctx, ul_model_lens(ctx, a, m, &l));
    assert_memory_not_equal(own, lens, (size_t)b->n_row * sizeof *own);
    l.first = 1;
    UL_FAILS_IN(ctx, UL_E_INTERNAL, "kept no such state", ul_model_lens(ctx, a, m, &l));
    ul_model_free(m);
    ul_ctx_free(ctx);
}

static void last_block(void **state)
{
    (void)state;
    for (const char *const *t = ul_families(); *t; t++) one(ul_family_types(*t)[0], UL_PRECISION_DOUBLE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(last_block)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
