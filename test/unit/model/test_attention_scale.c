/* test_attention_scale.c - gpt2's scale_attn_by_inverse_layer_idx: block l divides its scores by l + 1, which is what
 * queries that are divided say. */
#include "model_test.h"

static double sum_of(ul_ctx *ctx, ul_model *m)
{
    const ul_batch *b = random_batch(ul_ctx_arena(ctx), 0, 2, 23, false);
    double *logp = UL_NEW(ul_ctx_arena(ctx), double, b->n_row), sum = 0;
    ul_pass pass = {.batch = b, .last = -1, .score = {.logp = logp}};
    UL_OK_IN(ctx, ul_model_forward(ctx, m, &pass));
    for (int i = 0; i < b->n_row; i++) sum += logp[i];
    return sum;
}

static void inverse_layer(void **state)
{
    (void)state;
    ul_ctx *ctx = ul_test_ctx();
    ul_arena *a = ul_ctx_arena(ctx);
    ul_model *plain = tiny_model(ctx, UL_PRECISION_DOUBLE, "gpt2", true), *m;
    const char *path = tiny_config("gpt2", true, "float32");
    json_t *config;
    UL_OK_IN(ctx, ul_json_load(ctx, a, path, &config));
    json_object_set_new(config, "scale_attn_by_inverse_layer_idx", json_true());
    UL_OK_IN(ctx, ul_json_save(ctx, path, config));
    UL_OK_IN(ctx, ul_model_fresh(ctx, ul_model_backend(plain), path, 7, 0.3, &m));
    shake(m, 0.1);
    const double have = sum_of(ctx, m);
    assert_true(fabs(have - sum_of(ctx, plain)) > 1e-3);
    for (int i = 0; i < plain->n_matrix; i++) {
        ul_weight *w = plain->matrix[i].part[0]; /* the queries' rows of c_attn */
        for (int64_t k = 0; strstr(w->module, "c_attn") && k < w->rows * w->cols; k++)
            ul_real_set(plain->be, w->p, k, ul_real_get(plain->be, w->p, k) / (w->layer + 1));
    }
    assert_true(fabs(have - sum_of(ctx, plain)) < 1e-12 * fabs(have));
    ul_model_free(m);
    ul_model_free(plain);
    ul_ctx_free(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(inverse_layer)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
