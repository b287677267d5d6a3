/* test_mrp.c - what is left of a projected matrix is orthogonal to what was taken, which has the rank asked for;
 * the rest of the model stays; the search does better than where it begins. */
#include "procedure_test.h"

enum { C = 32, F = 48 };

static double *down(tiny_work *w, int layer)
{
    ul_weight *x;
    for (int i = ul_model_weights(w->t.model, &x); i-- > 0;)
        if (x[i].layer == layer && strstr(x[i].name, "mlp.down_proj")) return x[i].p;
    fail();
    return NULL;
}

static void set(tiny_work *w, const char *key, double x)
{
    for (int i = 0; w->args.params[i].key; i++)
        if (!strcmp(w->args.params[i].key, key)) w->args.num[i] = x;
}

/* -CE_f + 1.2 CE_r over all documents. */
static double objective(tiny_work *w)
{
    double f, r;
    UL_OK_IN(w->t.ctx, ul_work_gradient(&w->work, w->t.model, w->t.docs[UL_FORGET], 1, &f));
    UL_OK_IN(w->t.ctx, ul_work_gradient(&w->work, w->t.model, w->t.docs[UL_RETAIN], 1, &r));
    return 1.2 * r - f;
}

static double run_with(double rate, double (*left)[C * F], double (*taken)[C * F], char other[65])
{
    tiny_work w;
    char digest[65];
    const ul_procedure *mrp = procedure_named("mrp");
    assert_non_null(mrp);
    tiny_work_open(&w, mrp, &(tiny_how){.precision = UL_PRECISION_DOUBLE, .threads = 1, .micro = 3});
    w.t.recipe.steps = 20;
    set(&w, "dims", 2), set(&w, "alpha", 1.2), set(&w, "rate", rate);
    for (int l = 0; l < 2; l++) memcpy(taken[l], down(&w, l), sizeof *taken);
    tiny_work_run(&w, mrp, digest);
    const double value = objective(&w);
    for (int l = 0; l < 2; l++) {
        memcpy(left[l], down(&w, l), sizeof *left);
        for (int i = 0; i < C * F; i++) taken[l][i] -= left[l][i];
        memset(down(&w, l), 0, sizeof *left);
    }
    UL_OK_IN(w.t.ctx, ul_model_digest(w.t.ctx, w.t.model, other));
    tiny_work_close(&w);
    return value;
}

/* Rank by elimination with full pivots. */
static int rank(double *a)
{
    for (int r = 0; r < C; r++) {
        int pi = r, pj = 0;
        double most = 0;
        for (int i = r; i < C; i++)
            for (int j = 0; j < F; j++)
                if (fabs(a[i * F + j]) > most) most = fabs(a[i * F + j]), pi = i, pj = j;
        if (most < 1e-12) return r;
        for (int j = 0; j < F; j++) {
            const double x = a[r * F + j];
            a[r * F + j] = a[pi * F + j], a[pi * F + j] = x;
        }
        for (int i = r + 1; i < C; i++) {
            const double m = a[i * F + pj] / a[r * F + pj];
            for (int j = 0; j < F; j++) a[i * F + j] -= m * a[r * F + j];
        }
    }
    return C;
}

static void projection(void **state)
{
    static double left[2][C * F], taken[2][C * F];
    char still[65], turned[65];
    (void)state;
    const double begin = run_with(0, left, taken, still), end = run_with(0.1, left, taken, turned);
    assert_string_equal(still, turned); /* nothing but the two matrices differs */
    if (!(end < begin - 1e-3)) fail_msg("the objective is %g where Q begins, %g after its steps", begin, end);
    for (int l = 0; l < 2; l++) {
        for (int i = 0; i < F; i++)
            for (int j = 0; j < F; j++) {
                double s = 0;
                for (int c = 0; c < C; c++) s += left[l][c * F + i] * taken[l][c * F + j];
                assert_true(fabs(s) < 1e-12);
            }
        assert_int_equal(rank(taken[l]), 2);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(projection)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
