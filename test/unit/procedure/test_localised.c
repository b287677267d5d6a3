/* test_localised.c - depn sets as many columns to zero as it says and touches nothing else;
 * pcgu moves the rows of least cosine, by the forget gradient, and no other. */
#include "procedure_test.h"
#include "procedure/edit.h"

static void open_as(tiny_work *w, const char *id)
{
    tiny_work_open(w, procedure_named(id), &(tiny_how){.precision = UL_PRECISION_DOUBLE, .threads = 1});
    w->work.forget = w->text;
}

static void set(tiny_work *w, const char *key, double value)
{
    for (int i = 0; w->args.params[i].key; i++)
        if (!strcmp(w->args.params[i].key, key)) {
            w->args.num[i] = value;
            return;
        }
    fail_msg("there is no parameter %s", key);
}

static void depn_erases_columns(void **state)
{
    enum { NEURONS = 5 };
    tiny_work w;
    char digest[65];
    ul_weight *weight;
    int erased = 0;
    (void)state;
    open_as(&w, "depn");
    set(&w, "neurons", NEURONS), set(&w, "votes", 0.5), set(&w, "threshold", 0.01);
    const int n = ul_model_weights(w.t.model, &weight);
    double **old = UL_NEW(w.work.arena, double *, n);
    for (int i = 0; i < n; i++) {
        const size_t bytes = (size_t)(weight[i].rows * weight[i].cols) * sizeof(double);
        assert_non_null(old[i] = ul_alloc(w.work.arena, bytes, 1));
        memcpy(old[i], weight[i].p, bytes);
    }
    tiny_work_run(&w, procedure_named("depn"), digest);
    for (int i = 0; i < n; i++) {
        const double *p = weight[i].p;
        for (int64_t c = 0; c < weight[i].cols; c++) {
            int64_t same = 0, zero = 0;
            for (int64_t r = 0; r < weight[i].rows; r++) {
                same += p[r * weight[i].cols + c] == old[i][r * weight[i].cols + c];
                zero += p[r * weight[i].cols + c] == 0;
            }
            if (same == weight[i].rows) continue;
            assert_non_null(strstr(weight[i].name, "down_proj"));
            assert_int_equal(zero, weight[i].rows);
            erased++;
        }
    }
    assert_int_equal(erased, NEURONS);
    tiny_work_close(&w);
}

/* Votes of more texts than there are: nothing may be erased, and that is said. */
static void depn_without_votes_is_an_error(void **state)
{
    tiny_work w;
    (void)state;
    open_as(&w, "depn");
    set(&w, "threshold", 1), set(&w, "votes", 1);
    UL_FAILS_IN(w.t.ctx, UL_E_CRITERION, "votes", procedure_named("depn")->run(&w.work));
    tiny_work_close(&w);
}

static void pcgu_moves_rows_of_least_cosine(void **state)
{
    tiny_work w;
    char digest[65];
    ul_trainable *t;
    ul_facts f;
    (void)state;
    open_as(&w, "pcgu");
    set(&w, "share", 0.2), set(&w, "kl", 0), set(&w, "scale", 0.5);
    UL_OK_IN(w.t.ctx, ul_facts_new(&w.work, 0, (int32_t)w.work.forget_rows->n, &f));
    const ul_docs target = {.n = f.n, .at = f.doc};
    const int n = ul_model_trainables(w.t.model, &t);
    double **g = UL_NEW(w.work.arena, double *, n), **h = UL_NEW(w.work.arena, double *, n),
           **old = UL_NEW(w.work.arena, double *, n);
    for (int side = 0; side < 2; side++) {
        UL_OK_IN(w.t.ctx, ul_work_gradient(&w.work, w.t.model, side ? &target : w.text, 1, NULL));
        for (int i = 0; i < n; i++) {
            double **to = side ? &h[i] : &g[i];
            assert_non_null(*to = UL_NEW(w.work.arena, double, t[i].n));
            memcpy(*to, t[i].g, (size_t)t[i].n * sizeof(double));
        }
    }
    for (int i = 0; i < n; i++) {
        assert_non_null(old[i] = UL_NEW(w.work.arena, double, t[i].n));
        memcpy(old[i], t[i].p, (size_t)t[i].n * sizeof(double));
    }
    tiny_work_run(&w, procedure_named("pcgu"), digest);
    double moved_most = -2, kept_least = 2;
    int64_t rows = 0, moved = 0;
    for (int i = 0; i < n; i++) {
        const ul_weight *x = ul_matrix_of(w.t.model, &t[i]);
        const int64_t cols = x ? x->cols : t[i].n;
        for (int64_t r = 0; r < t[i].n / cols; r++) {
            double gg = 0, hh = 0, gh = 0, change = 0;
            for (int64_t j = r * cols; j < (r + 1) * cols; j++) {
                const double d = ((double *)t[i].p)[j] - old[i][j];
                gg += g[i][j] * g[i][j], hh += h[i][j] * h[i][j], gh += g[i][j] * h[i][j];
                change += fabs(d);
                if (d != 0) assert_true(fabs(d - 0.5 * g[i][j]) <= 1e-12 * (1 + fabs(old[i][j])));
            }
            const double cosine = gh / sqrt(gg * hh);
            if (!x) assert_true(change == 0);
            if (!x || gg == 0 || hh == 0) continue;
            rows++;
            if (change > 0) moved++, moved_most = cosine > moved_most ? cosine : moved_most;
            else if (cosine < kept_least) kept_least = cosine;
        }
    }
    assert_true(moved > 0 && moved < rows);
    assert_true(moved_most <= kept_least);
    tiny_work_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(depn_erases_columns),
                                       cmocka_unit_test(depn_without_votes_is_an_error),
                                       cmocka_unit_test(pcgu_moves_rows_of_least_cosine)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
