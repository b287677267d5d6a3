/* Losses of hidden states: the gradient of every method of the registry that looks at them, down to the weights,
 * against central differences in double, after the weights have left the reference. */
#include "train_test.h"

enum { STEP = 3, PROBES = 40 };

static double *weight(tiny *t, uint64_t k, double **gradient, const char **name)
{
    ul_trainable *w;
    const int n = ul_model_trainables(t->model, &w);
    const int i = (int)ul_rng_below(1, UL_STREAM_TEST, 5, k, (uint64_t)n);
    const int64_t at = (int64_t)ul_rng_below(1, UL_STREAM_TEST, 6, k, (uint64_t)w[i].n);
    *gradient = (double *)w[i].g + at;
    *name = w[i].name;
    return (double *)w[i].p + at;
}

static void leave_the_reference(tiny *t)
{
    ul_trainable *w;
    uint64_t k = 0;
    for (int n = ul_model_trainables(t->model, &w), i = 0; i < n; i++)
        for (int64_t j = 0; j < w[i].n; j++) ((double *)w[i].p)[j] += 0.03 * ul_rng_normal(2, UL_STREAM_TEST, 7, k++);
}

static void check(const char *id, const ul_method *m, bool checkpoint)
{
    const tiny_how how = {.precision = UL_PRECISION_DOUBLE, .threads = 1, .micro = 3, .checkpoint = checkpoint};
    tiny t;
    ul_trainer *tr;
    ul_step_result r;
    tiny_open(&t, NULL, &how, m, NULL);
    t.recipe.batch = 4;
    tiny_references(&t, NULL);
    leave_the_reference(&t);
    UL_OK_IN(t.ctx, ul_trainer_new(t.ctx, &t.run.options, t.recipe.steps, &tr));
    double scale = 0, *g;
    const char *name;
    for (uint64_t k = 0; k < PROBES; k++) {
        const double h = 1e-5;
        double *p = weight(&t, k, &g, &name);
        const double keep = *p;
        UL_OK_IN(t.ctx, ul_trainer_gradients(tr, STEP, &r));
        const double got = *g;
        *p = keep + h;
        UL_OK_IN(t.ctx, ul_trainer_gradients(tr, STEP, &r));
        const double up = r.loss;
        *p = keep - h;
        UL_OK_IN(t.ctx, ul_trainer_gradients(tr, STEP, &r));
        const double want = (up - r.loss) / (2 * h), size = fmax(fabs(want), fabs(got));
        *p = keep;
        if (fabs(want - got) > 1e-6 * size + 1e-8 * fabs(r.loss))
            fail_msg("%s: %s: gradient %.12g, differences %.12g (loss %g)", id, name, got, want, r.loss);
        scale += size;
    }
    if (!(scale > 0)) fail_msg("%s: no probed weight moves", id);
    ul_trainer_free(tr);
    tiny_close(&t);
}

static void test_gradients(void **state)
{
    (void)state;
    int n, seen = 0;
    const ul_method_entry *e = ul_methods(&n);
    for (int i = 0; i < n; i++) {
        ul_args args;
        ul_args_default(e[i].method->params, &args);
        if (!(ul_method_needs(e[i].method, &args) & UL_NEED_STATE)) continue;
        check(e[i].id, e[i].method, seen % 2);
        seen++;
    }
    assert_true(seen >= 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_gradients)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
