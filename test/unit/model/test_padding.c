/* test_padding.c - pad_token_id of llama and its kin: what is read from that row of the embedding trains nothing, as
 * with torch's padding_idx, whether the token is padding or, as an end of sequence, genuine. */
#include "model_test.h"

static ul_model *padded(ul_ctx *ctx, const char *type, bool tied, json_t *pad)
{
    ul_backend *be;
    ul_model *m;
    json_t *config;
    const char *path = tiny_config(type, tied, "float32");
    UL_OK_IN(ctx, ul_json_load(ctx, ul_ctx_arena(ctx), path, &config));
    json_object_set_new(config, "pad_token_id", pad);
    UL_OK_IN(ctx, ul_json_save(ctx, path, config));
    UL_OK_IN(ctx, ul_backend_open(ctx, ul_ctx_arena(ctx), ul_env("UL_ISA"), UL_PRECISION_DOUBLE, 1, &be));
    UL_OK_IN(ctx, ul_model_fresh(ctx, be, path, 7, 0.3, &m));
    shake(m, 0.1);
    return m;
}

/* Of the sum of - log p over the batch. */
static void gradients(ul_ctx *ctx, ul_model *m, const ul_batch *b)
{
    double *logp = UL_NEW(ul_ctx_arena(ctx), double, b->n_row), *coef = UL_NEW(ul_ctx_arena(ctx), double, b->n_row);
    ul_pass pass = {.batch = b, .flags = UL_PASS_GRAD, .last = -1, .score = {.logp = logp}, .coef = coef};
    for (int i = 0; i < b->n_row; i++) coef[i] = -1;
    UL_OK_IN(ctx, ul_model_select(ctx, m, "all"));
    UL_OK_IN(ctx, ul_model_forward(ctx, m, &pass));
    UL_OK_IN(ctx, ul_model_backward(ctx, m, &pass));
    ul_model_grad_ready(m);
}

/* Entries of row `row` (of all others: not `in`) in which the gradients differ;
 * *zero: of a, in that row, that are 0. */
static int differing(const ul_model *a, const ul_model *b, const ul_weight *x, const ul_weight *y, int row, bool in,
                     int *zero)
{
    int n = 0;
    for (int64_t k = 0; k < x->rows * x->cols; k++) {
        if ((x->is_embedding && k / x->cols == row) != in) continue;
        const double g = ul_real_get(a->be, x->g, k);
        n += g != ul_real_get(b->be, y->g, k);
        if (in) *zero += g == 0;
    }
    return n;
}

static void row_stays(void **state)
{
    static const char *const types[] = {"llama", "qwen2"};
    (void)state;
    for (int i = 0; i < 4; i++) {
        ul_ctx *ctx = ul_test_ctx();
        const bool tied = i & 1;
        const ul_batch *b = random_batch(ul_ctx_arena(ctx), 0, 3, 23, false);
        const int pad = b->token[1];
        int zero = 0, n_embed = 0;
        ul_model *m = padded(ctx, types[i / 2], tied, json_integer(i < 2 ? pad : pad - 23)); /* or from the end */
        ul_model *plain = padded(ctx, types[i / 2], tied, json_null());
        gradients(ctx, m, b);
        gradients(ctx, plain, b);
        for (int w = 0; w < m->n_weight; w++) {
            const ul_weight *x = &m->weight[w], *y = &plain->weight[w];
            assert_int_equal(differing(m, plain, x, y, pad, false, &zero), 0);
            if (!x->is_embedding) continue;
            n_embed++;
            assert_int_equal(differing(m, plain, x, y, pad, true, &zero), x->cols);
            assert_int_equal(zero, tied ? 0 : x->cols); /* what the tied head had of it stays */
        }
        assert_int_equal(n_embed, 1);
        ul_model_free(plain);
        ul_model_free(m);
        ul_ctx_free(ctx);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(row_stays)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
