/* test_head_products.c - no logit is computed twice where the head's rows fit in one chunk;
 * of k chunks, k - 1 are computed again in backward. Counted at the kernel table. */
#include "model_test.h"

enum { SAMPLES = 12, V = 23 };
static const ul_kernels *real_kernels;
static int n_logits;

static void counting(const ul_backend *be, const ul_gemm *g)
{
    if (g->n == V && g->b_row == 1) n_logits++; /* x W^T with the output matrix */
    real_kernels->gemm(be, g);
}

static int products(int64_t head_rows, int *n_chunk)
{
    ul_ctx *ctx = ul_test_ctx();
    ul_arena *a = ul_ctx_arena(ctx);
    ul_model *m = tiny_model(ctx, UL_PRECISION_F32, "llama", true);
    ul_kernels k = *(real_kernels = m->be->k);
    k.gemm = counting;
    m->be->k = &k;
    m->head_rows = head_rows;
    UL_OK_IN(ctx, ul_model_select(ctx, m, "all"));
    const ul_batch *b = random_batch(a, 0, SAMPLES, V, false);
    double *logp = UL_NEW(a, double, b->n_row), *coef = UL_NEW(a, double, b->n_row);
    assert_true(logp && coef);
    ul_pass pass = {.batch = b, .flags = UL_PASS_GRAD, .last = -1, .score = {.logp = logp}, .coef = coef};
    n_logits = 0;
    UL_OK_IN(ctx, ul_model_forward(ctx, m, &pass));
    *n_chunk = n_logits;
    UL_OK_IN(ctx, ul_model_backward(ctx, m, &pass));
    ul_model_free(m);
    ul_ctx_free(ctx);
    return n_logits;
}

static void logits_are_kept(void **state)
{
    int n;
    (void)state;
    assert_int_equal(products(0, &n), 1);
    assert_int_equal(n, 1);
    const int all = products(64, &n);
    assert_in_range(n, 3, 100);
    assert_int_equal(all, 2 * n - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(logits_are_kept)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
