/* test_tv.c - Q9: scale 0 leaves the model; scales a and -a lie on opposite sides of it; negating twice reflects.
 * Factors of blocks; an adapter is negated as its merged change. */
#include "procedure_test.h"

/* The first trainable after a run with this scale, and before it. */
static void weights_with(double scale, double *before, double *after, int64_t n)
{
    tiny_work w;
    char digest[65];
    const ul_procedure *tv = procedure_named("tv");
    tiny_work_open(&w, tv, &(tiny_how){.precision = UL_PRECISION_DOUBLE, .threads = 1});
    w.args.num[0] = scale;
    ul_trainable *train;
    assert_true(ul_model_trainables(w.t.model, &train) > 0 && train[0].n >= n);
    memcpy(before, train[0].p, (size_t)n * sizeof(double));
    tiny_work_run(&w, tv, digest);
    memcpy(after, train[0].p, (size_t)n * sizeof(double));
    if (scale == 0) assert_string_equal(digest, w.t.digest);
    tiny_work_close(&w);
}

static void q9_task_vector(void **state)
{
    enum { N = 64 };
    double w0[N], zero[N], plus[N], minus[N];
    (void)state;
    weights_with(0, w0, zero, N);
    weights_with(1, w0, plus, N);
    weights_with(-1, w0, minus, N); /* below the table's bound: the fine-tuned model itself */
    assert_memory_equal(w0, zero, sizeof w0);
    double moved = 0;
    for (int i = 0; i < N; i++) {
        moved += fabs(plus[i] - w0[i]);
        assert_true(fabs(plus[i] + minus[i] - 2 * w0[i]) <= 1e-15 * (1 + fabs(w0[i])));
    }
    assert_true(moved > 1e-3);
}

static int layer_of_name(const char *name)
{
    const char *at = strstr(name, "layers.");
    return at ? atoi(at + 7) : -1;
}

/* With factors 0 and 3 the first block stays, the second goes three times as far, the embedding as before. */
static void factors_of_blocks(void **state)
{
    const ul_procedure *tv = procedure_named("tv");
    tiny_work a, b;
    char digest[65];
    ul_trainable *x, *y;
    (void)state;
    tiny_work_open(&a, tv, &(tiny_how){.precision = UL_PRECISION_DOUBLE, .threads = 1});
    tiny_work_open(&b, tv, &(tiny_how){.precision = UL_PRECISION_DOUBLE, .threads = 1});
    a.args.num[0] = b.args.num[0] = 1;
    ul_snapshot before;
    UL_OK_IN(a.t.ctx, ul_snapshot_take(a.t.ctx, ul_ctx_arena(a.t.ctx), a.t.model, &before));
    tiny_work_run(&a, tv, digest);
    b.args.text[1] = "0,3";
    tiny_work_run(&b, tv, digest);
    const int n = ul_model_trainables(a.t.model, &x);
    assert_int_equal(ul_model_trainables(b.t.model, &y), n);
    for (int i = 0; i < n; i++) {
        const int layer = layer_of_name(x[i].name);
        const double f = layer < 0 ? 1 : layer == 0 ? 0 : 3;
        for (int64_t j = 0; j < x[i].n; j++) {
            const double w0 = ((double *)before.p[i])[j], one = ((double *)x[i].p)[j], now = ((double *)y[i].p)[j];
            assert_true(fabs(now - (w0 + f * (one - w0))) <= 1e-14);
        }
    }
    for (int k = 0; k < 3; k++) {
        b.args.text[1] = k == 0 ? "1" : k == 1 ? "1,2,3" : "1,x";
        UL_FAILS_IN(b.t.ctx, UL_E_USAGE, "the model has 2 blocks and wants 2 numbers", tv->run(&b.work));
    }
    tiny_work_close(&a);
    tiny_work_close(&b);
}

/* Trained with an adapter: the merged negated model is W0 - (W_ft - W0), W_ft the merged fine-tuned one. */
static void adapter_is_negated_merged(void **state)
{
    const ul_procedure *tv = procedure_named("tv");
    double *w[3];
    int64_t n = 0;
    (void)state;
    for (int k = 0; k < 3; k++) { /* scale 0, 1, -1 */
        tiny_work t;
        char digest[65];
        ul_weight *weight;
        tiny_work_open(&t, tv, &(tiny_how){.precision = UL_PRECISION_DOUBLE, .threads = 1});
        UL_OK_IN(t.t.ctx, ul_lora_add(t.t.ctx, t.t.model,
                                      &(ul_lora){.r = 3, .alpha = 6, .targets = "up_proj,q_proj", .seed = 1}));
        t.args.num[0] = k == 2 ? -1 : k;
        tiny_work_run(&t, tv, digest);
        UL_OK_IN(t.t.ctx, ul_lora_merge(t.t.ctx, t.t.model));
        const int m = ul_model_weights(t.t.model, &weight);
        for (int i = 0; i < m; i++)
            if (strstr(weight[i].name, "layers.1.mlp.up_proj")) {
                n = weight[i].rows * weight[i].cols;
                w[k] = malloc((size_t)n * sizeof(double));
                memcpy(w[k], weight[i].p, (size_t)n * sizeof(double));
            }
        tiny_work_close(&t);
    }
    double moved = 0;
    for (int64_t j = 0; j < n; j++) {
        moved += fabs(w[1][j] - w[0][j]);
        assert_true(fabs(w[1][j] + w[2][j] - 2 * w[0][j]) <= 1e-14);
    }
    assert_true(moved > 1e-3);
    for (int k = 0; k < 3; k++) free(w[k]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(q9_task_vector), cmocka_unit_test(factors_of_blocks),
                                       cmocka_unit_test(adapter_is_negated_merged)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
