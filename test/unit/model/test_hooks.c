/* test_hooks.c - hooks and readers see and do what they say: the hidden states of a pass, early exit, seeds, calls. */
#include "model_test.h"

enum { C = 16 };
typedef struct {
    ul_hook_mode mode;
    const ul_batch *batch;
    double seen[400 * C];
    int calls, layer;
} probe;

static double pattern(int64_t i) { return ul_rng_normal(2, UL_STREAM_TEST, 1, (uint64_t)i); }

static ul_status look(void *user, int layer, const ul_batch *batch, void *x)
{
    probe *p = user;
    p->calls++, p->layer = layer;
    if (batch != p->batch) return UL_E_INTERNAL;
    for (int64_t i = 0; i < (int64_t)batch->n_tok * C; i++) {
        p->seen[i] = ((double *)x)[i];
        if (p->mode == UL_HOOK_ADD) ((double *)x)[i] += pattern(i);
        if (p->mode == UL_HOOK_REPLACE) ((double *)x)[i] = pattern(i);
    }
    return UL_OK;
}

static void copy_hidden(const ul_model *m, int layer, int64_t n, double *out)
{
    const double *x = ul_model_hidden(m, layer);
    assert_non_null(x);
    memcpy(out, x, (size_t)n * sizeof *out);
}

static void hooks_act(void **state)
{
    static double before[400 * C], after[400 * C], x[400 * C];
    static probe p;
    (void)state;
    for (const char *const *f = ul_families(); *f; f++)
        for (int flags = 0; flags < 2; flags++)
            for (int mode = 0; mode < 3; mode++) {
                ul_ctx *ctx = ul_test_ctx();
                ul_model *m = tiny_model(ctx, UL_PRECISION_DOUBLE, ul_family_types(*f)[0], true);
                const ul_batch *b = random_batch(ul_ctx_arena(ctx), 0, 3, 23, true);
                const int64_t n = (int64_t)b->n_tok * C;
                assert_true(b->n_tok <= 400);
                p = (probe){.mode = (ul_hook_mode)mode, .batch = b};
                const ul_hook h = {1, UL_SLOT_OUT, (ul_hook_mode)mode, look, &p, NULL};
                ul_pass pass = {.batch = b, .flags = UL_PASS_GRAD | UL_PASS_STATES, .last = -1};
                UL_OK_IN(ctx, ul_model_forward(ctx, m, &pass));
                copy_hidden(m, 1, n, x), copy_hidden(m, 2, n, before), copy_hidden(m, 3, n, after);
                pass.hook = &h, pass.n_hook = 1, pass.flags = flags ? UL_PASS_GRAD : 0, pass.last = 2;
                UL_OK_IN(ctx, ul_model_forward(ctx, m, &pass));
                assert_int_equal(p.calls, 1);
                assert_int_equal(p.layer, 1);
                const double *now = ul_model_hidden(m, 2);
                for (int64_t i = 0; i < n; i++) {
                    assert_true(p.seen[i] == before[i]);
                    assert_true(now[i] == (mode == UL_HOOK_READ  ? before[i]
                                           : mode == UL_HOOK_ADD ? before[i] + pattern(i)
                                                                 : pattern(i)));
                }
                pass.last = -1, pass.flags |= UL_PASS_STATES; /* and what comes after sees it */
                UL_OK_IN(ctx, ul_model_forward(ctx, m, &pass));
                const bool same = !memcmp(ul_model_hidden(m, 3), after, (size_t)n * sizeof *after);
                assert_int_equal(same, mode == UL_HOOK_READ);
                /* the block's input, seen from a hook and from outside */
                const ul_hook in = {1, UL_SLOT_IN, UL_HOOK_READ, look, &p, NULL};
                p = (probe){.mode = UL_HOOK_READ, .batch = b};
                pass.hook = &in;
                UL_OK_IN(ctx, ul_model_forward(ctx, m, &pass));
                assert_memory_equal(p.seen, x, (size_t)n * sizeof *x);
                ul_model_free(m);
                ul_ctx_free(ctx);
            }
}

/* x + attention + mlp, as hooks see them, is the block's output. */
static void parts_add_up(void **state)
{
    static probe p[4];
    (void)state;
    for (const char *const *f = ul_families(); *f; f++) {
        ul_ctx *ctx = ul_test_ctx();
        ul_model *m = tiny_model(ctx, UL_PRECISION_DOUBLE, ul_family_types(*f)[0], false);
        const ul_batch *b = random_batch(ul_ctx_arena(ctx), 0, 3, 23, false);
        ul_hook h[4];
        for (int k = 0; k < 4; k++) {
            p[k] = (probe){.mode = UL_HOOK_READ, .batch = b};
            h[k] = (ul_hook){2, (ul_slot)k, UL_HOOK_READ, look, &p[k], NULL};
        }
        ul_pass pass = {.batch = b, .last = -1, .hook = h, .n_hook = 4};
        UL_OK_IN(ctx, ul_model_forward(ctx, m, &pass));
        for (int64_t i = 0; i < (int64_t)b->n_tok * C; i++) {
            const double sum = p[UL_SLOT_IN].seen[i] + p[UL_SLOT_ATTN].seen[i] + p[UL_SLOT_MLP].seen[i];
            assert_true(fabs(sum - p[UL_SLOT_OUT].seen[i]) < 1e-12 * (1 + fabs(sum)));
        }
        ul_model_free(m);
        ul_ctx_free(ctx);
    }
}

static void misuse(void **state)
{
    (void)state;
    ul_ctx *ctx = ul_test_ctx();
    ul_model *m = tiny_model(ctx, UL_PRECISION_DOUBLE, "llama", false);
    const ul_batch *b = random_batch(ul_ctx_arena(ctx), 0, 1, 23, false);
    static probe p;
    ul_hook h = {3, UL_SLOT_OUT, UL_HOOK_READ, look, &p, NULL};
    ul_seed s = {.layer = 3};
    ul_pass pass = {.batch = b, .last = 4};
    UL_FAILS_IN(ctx, UL_E_USAGE, "a pass of 4 blocks over a model of 3", ul_model_forward(ctx, m, &pass));
    pass.last = 2, pass.hook = &h, pass.n_hook = 1;
    UL_FAILS_IN(ctx, UL_E_USAGE, "a hook at layer 3", ul_model_forward(ctx, m, &pass));
    pass.n_hook = 0, pass.seed = &s, pass.n_seed = 1;
    UL_FAILS_IN(ctx, UL_E_USAGE, "enters after 3 blocks, the pass runs 2", ul_model_forward(ctx, m, &pass));
    pass.n_seed = 0;
    UL_OK_IN(ctx, ul_model_forward(ctx, m, &pass));
    UL_FAILS_IN(ctx, UL_E_INTERNAL, "needs a forward pass", ul_model_backward(ctx, m, &pass));
    /* a hook's failure ends the pass: it is given another batch than it knows */
    pass.hook = &h, pass.n_hook = 1, h.layer = 0;
    assert_int_equal(ul_model_forward(ctx, m, &pass), UL_E_INTERNAL);
    ul_model_free(m);
    ul_ctx_free(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(hooks_act), cmocka_unit_test(parts_add_up),
                                       cmocka_unit_test(misuse)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
