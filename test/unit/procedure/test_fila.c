/* test_fila.c - where FILA puts adapters: the function stays, the start is the best approximation of each matrix under
 * the row weights of the formula, and what is written is what training changed, on the weights of the file. */
#include "procedure_test.h"

enum { R = 3, ROWS = 48, COLS = 32 };
static const char *const matrix = "model.layers.1.mlp.up_proj.weight";

static void open_lora(tiny_work *w, bool rslora)
{
    const ul_lora l = {.r = R, .alpha = 4, .rslora = rslora, .targets = "all-linear", .seed = 3};
    tiny_work_open(w, procedure_named("tv"), &(tiny_how){.precision = UL_PRECISION_DOUBLE, .threads = 1});
    UL_OK_IN(w->t.ctx, ul_lora_add(w->t.ctx, w->t.model, &l));
}

static void logits(tiny_work *w, ul_model *m, double *out)
{
    const ul_doc *d[4];
    ul_batch *b;
    for (int i = 0; i < 4; i++) d[i] = &w->t.docs[UL_RETAIN]->at[i];
    UL_OK_IN(w->t.ctx, ul_pack_docs(w->t.ctx, ul_ctx_arena(w->t.ctx), d, 4, false, &b));
    assert_true(b->n_row > 8);
    UL_OK_IN(w->t.ctx, ul_model_logits(w->t.ctx, m, b, out));
}

static double apart(const double *a, const double *b)
{
    double most = 0;
    for (int i = 0; i < 8 * TINY_V; i++) most = fmax(most, fabs(a[i] - b[i]));
    return most;
}

static ul_weight *weight_of(ul_model *m)
{
    ul_weight *w;
    for (int i = ul_model_weights(m, &w); i-- > 0;)
        if (!strcmp(w[i].name, matrix)) return &w[i];
    fail_msg("no %s", matrix);
    return NULL;
}

/* Row weights of the formula, from diagonals taken here. */
static void row_weights(tiny_work *w, double *row)
{
    static double f[ROWS * COLS], r[ROWS * COLS];
    double *pf = f, *pr = r;
    ul_docs *some;
    UL_OK_IN(w->t.ctx, ul_model_select(w->t.ctx, w->t.model, matrix));
    UL_OK_IN(w->t.ctx, ul_work_draw(&w->work, w->t.docs[UL_RETAIN], TINY_FORGET, &some));
    UL_OK_IN(w->t.ctx, ul_work_fisher(&w->work, w->t.model, w->t.docs[UL_FORGET], &pf));
    UL_OK_IN(w->t.ctx, ul_work_fisher(&w->work, w->t.model, some, &pr));
    for (int i = 0; i < ROWS; i++) {
        row[i] = 0;
        for (int j = 0; j < COLS; j++) row[i] += f[i * COLS + j] / (r[i * COLS + j] + 1e-5);
        row[i] = sqrt(row[i]);
    }
}

/* The largest singular value, by power iteration. */
static double largest(const double *g)
{
    double v[COLS], u[ROWS], size = 0;
    for (int j = 0; j < COLS; j++) v[j] = 1 + 0.1 * j;
    for (int k = 0; k < 300; k++) {
        size = 0;
        for (int i = 0; i < ROWS; i++) {
            u[i] = 0;
            for (int j = 0; j < COLS; j++) u[i] += g[i * COLS + j] * v[j];
        }
        for (int j = 0; j < COLS; j++) {
            v[j] = 0;
            for (int i = 0; i < ROWS; i++) v[j] += g[i * COLS + j] * u[i];
            size += v[j] * v[j];
        }
        for (int j = 0; j < COLS; j++) v[j] /= sqrt(size);
    }
    return sqrt(sqrt(size));
}

static void the_start_is_the_best(void **state)
{
    static double before[ROWS * COLS], rest[ROWS * COLS], z0[5000], z1[5000];
    double row[ROWS], least = INFINITY;
    tiny_work w;
    (void)state;
    open_lora(&w, false);
    row_weights(&w, row);
    logits(&w, w.t.model, z0);
    memcpy(before, weight_of(w.t.model)->p, sizeof before);
    UL_OK_IN(w.t.ctx, ul_fila(&w.work));
    logits(&w, w.t.model, z1);
    assert_true(apart(z0, z1) < 1e-10);
    const ul_weight *x = weight_of(w.t.model);
    const double *a = x->a, *b = x->b, *p = x->p;
    for (int i = 0; i < ROWS; i++)
        for (int j = 0; j < COLS; j++) {
            double s = p[i * COLS + j];
            rest[i * COLS + j] = row[i] * s;
            for (int c = 0; c < R; c++) s += x->s * b[i * R + c] * a[c * COLS + j];
            assert_true(fabs(s - before[i * COLS + j]) < 1e-12);
        }
    for (int c = 0; c < R; c++) {
        double size = 0;
        for (int j = 0; j < COLS; j++) size += a[c * COLS + j] * a[c * COLS + j];
        least = fmin(least, size * x->s);
        for (int i = 0; i < ROWS; i++) { /* what is left lies across the start */
            double dot = 0;
            for (int j = 0; j < COLS; j++) dot += rest[i * COLS + j] * a[c * COLS + j];
            assert_true(fabs(dot) < 1e-9 * (1 + size) * row[i]);
        }
    }
    assert_true(largest(rest) <= least * (1 + 1e-9));
    assert_true(row[0] != row[1] && least > 0);
    ul_trainable *t;
    assert_int_equal(ul_model_trainables(w.t.model, &t), 2 * 14);
    tiny_work_close(&w);
}

static void written_is_the_change(void **state)
{
    static double z0[5000], z1[5000], z2[5000];
    (void)state;
    for (int rs = 0; rs < 2; rs++) {
        tiny_work w;
        ul_trainable *t;
        ul_model *again;
        open_lora(&w, rs);
        logits(&w, w.t.model, z0);
        UL_OK_IN(w.t.ctx, ul_fila(&w.work));
        const int n = ul_model_trainables(w.t.model, &t);
        for (int i = 0; i < n; i++)
            for (int64_t k = 0; k < t[i].n; k++)
                ((double *)t[i].p)[k] += 0.02 * ul_rng_normal(1, UL_STREAM_TEST, (uint64_t)i, (uint64_t)k);
        logits(&w, w.t.model, z1);
        assert_true(apart(z0, z1) > 1e-3);
        UL_OK_IN(w.t.ctx, ul_model_fresh(w.t.ctx, w.t.be, tiny_config(NULL, false), 5, 0.2, &again));
        const char *dir = ul_test_folder("adapter");
        UL_OK_IN(w.t.ctx, ul_lora_save(w.t.ctx, w.t.model, dir));
        UL_OK_IN(w.t.ctx, ul_lora_open(w.t.ctx, again, dir));
        assert_int_equal(weight_of(again)->r, 2 * R);
        logits(&w, again, z2);
        assert_true(apart(z1, z2) < 1e-4);
        UL_OK_IN(w.t.ctx, ul_lora_merge(w.t.ctx, w.t.model));
        logits(&w, w.t.model, z2);
        assert_true(apart(z1, z2) < 1e-10);
        ul_model_free(again);
        tiny_work_close(&w);
    }
}

static void without_adapters_is_refused(void **state)
{
    tiny_work w;
    (void)state;
    tiny_work_open(&w, procedure_named("tv"), &(tiny_how){.precision = UL_PRECISION_DOUBLE, .threads = 1});
    UL_FAILS_IN(w.t.ctx, UL_E_USAGE, "--lora", ul_fila(&w.work));
    tiny_work_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_start_is_the_best), cmocka_unit_test(written_is_the_change),
                                       cmocka_unit_test(without_adapters_is_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
