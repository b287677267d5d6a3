/* test_tv.c - Q9: scale 0 leaves the model; scales a and -a lie on opposite sides of it; negating twice reflects. */
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

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(q9_task_vector)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
