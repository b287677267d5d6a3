/* test_edit.c - editing against a direct solution of the papers' equations, by elimination in double;
 * Q10: one key and lambda to 0 make memit rome's update, emmet with lambda 0 meets every value,
 * alphaedit leaves the preserved span alone. */
#include "procedure_test.h"
#include "procedure/edit.h"

enum { C = 32, F = 48, N = 6 }; /* the tiny model's; forget rows */

static void set(tiny_work *w, const char *key, double value)
{
    for (int i = 0; w->args.params[i].key; i++)
        if (!strcmp(w->args.params[i].key, key)) {
            w->args.num[i] = value;
            return;
        }
    fail_msg("there is no parameter %s", key);
}

/* In double, on block 0 alone: what is left of an edit is then one equation. */
static void open_edit(tiny_work *w, const char *id, int n)
{
    tiny_work_open(w, procedure_named(id), &(tiny_how){.precision = UL_PRECISION_DOUBLE, .threads = 1});
    ul_records *rows = UL_NEW(w->work.arena, ul_records, 1);
    assert_non_null(rows);
    *rows = *w->work.forget_rows;
    rows->n = n;
    w->work.forget_rows = rows;
    set(w, "budget", 0); /* the papers' */
    if (!strcmp(id, "rome")) {
        set(w, "prefixes", 0);
        set(w, "layer", 0);
        return;
    }
    set(w, "first", 0);
    set(w, "last", 0);
}

/* Keys [n, F], what is missing [n, C] and W [C, F] before the edit. */
typedef struct {
    double key[N * F], residual[N * C], before[C * F], after[C * F], covariance[F * F];
} edit;

static void matrix(tiny_work *w, double *out)
{
    ul_weight *weight;
    UL_OK_IN(w->t.ctx, ul_edit_weight(&w->work, 0, &weight));
    assert_int_equal(weight->rows * weight->cols, C * F);
    memcpy(out, weight->p, C * F * sizeof(double));
}

static void run_edit(tiny_work *w, const char *id, double lr, double clamp, edit *e)
{
    ul_facts f;
    char digest[65];
    const ul_value_search how = {
        .slot = UL_SLOT_OUT, .steps = 25, .lr = lr, .kl = 0.0625, .decay = 0.5, .clamp = clamp, .stop = 0.05};
    UL_OK_IN(w->t.ctx, ul_facts_new(&w->work, 0, (int32_t)w->work.forget_rows->n, &f));
    UL_OK_IN(w->t.ctx, ul_facts_values(&w->work, &f, 0, &how, e->residual));
    UL_OK_IN(w->t.ctx, ul_facts_read(&w->work, &f, 0, e->key, NULL));
    UL_OK_IN(w->t.ctx, ul_edit_covariance(&w->work, 0, 0, e->covariance));
    matrix(w, e->before);
    tiny_work_run(w, procedure_named(id), digest);
    matrix(w, e->after);
}

/* x a = b for a [n, n], b [m, n], by elimination with pivots. */
static void eliminate(int n, int m, const double *a, const double *b, double *x)
{
    static double t[F][F + C];
    for (int i = 0; i < n; i++) { /* a^T x^T = b^T */
        for (int j = 0; j < n; j++) t[i][j] = a[j * n + i];
        for (int j = 0; j < m; j++) t[i][n + j] = b[j * n + i];
    }
    for (int k = 0; k < n; k++) {
        int p = k;
        for (int i = k + 1; i < n; i++)
            if (fabs(t[i][k]) > fabs(t[p][k])) p = i;
        for (int j = 0; j < n + m; j++) {
            const double swap = t[k][j];
            t[k][j] = t[p][j], t[p][j] = swap;
        }
        for (int i = 0; i < n; i++)
            for (int j = n + m; i != k && j-- > k;) t[i][j] -= t[i][k] / t[k][k] * t[k][j];
    }
    for (int i = 0; i < n; i++)
        for (int j = 0; j < m; j++) x[j * n + i] = t[i][n + j] / t[i][i];
}

static double worst(const edit *e, const double *delta, double *largest)
{
    double bad = 0;
    *largest = 0;
    for (int i = 0; i < C * F; i++) {
        const double moved = e->after[i] - e->before[i];
        if (fabs(moved - delta[i]) > bad) bad = fabs(moved - delta[i]);
        if (fabs(delta[i]) > *largest) *largest = fabs(delta[i]);
    }
    return bad;
}

static void memit_is_the_papers_equation(void **state)
{
    static edit e;
    static double a[F * F], b[C * F], delta[C * F];
    tiny_work w;
    double largest;
    (void)state;
    open_edit(&w, "memit", N);
    set(&w, "rows", 0);
    set(&w, "lambda", 3);
    run_edit(&w, "memit", 0.5, 4, &e);
    for (int i = 0; i < F * F; i++) a[i] = 3 * e.covariance[i];
    for (int f = 0; f < N; f++)
        for (int i = 0; i < F; i++) {
            for (int j = 0; j < F; j++) a[i * F + j] += e.key[f * F + i] * e.key[f * F + j];
            for (int c = 0; c < C; c++)
                b[c * F + i] = (f ? b[c * F + i] : 0) + e.residual[f * C + c] * e.key[f * F + i];
        }
    eliminate(F, C, a, b, delta);
    const double bad = worst(&e, delta, &largest);
    assert_true(largest > 1e-3);
    if (bad > 1e-6 * largest) fail_msg("memit is off by %g of %g", bad, largest);
    tiny_work_close(&w);
}

/* Of both blocks before anything is edited; equations seen. */
typedef struct {
    double covariance[2][F * F];
    int seen;
} original;

static ul_status check_equation(ul_work *w, void *user, const ul_edit_equation *e, double *delta)
{
    original *o = user;
    (void)w;
    o->seen++;
    assert_memory_equal(e->covariance, o->covariance[e->layer], sizeof o->covariance[0]);
    for (int i = 0; i < C * F; i++) delta[i] = 0.01 * (i % 7);
    return UL_OK;
}

static void covariance_is_the_originals(void **state)
{
    static original o;
    static double later[F * F];
    tiny_work w;
    (void)state;
    open_edit(&w, "memit", 2);
    set(&w, "rows", 0), set(&w, "facts", 1), set(&w, "last", 1);
    for (int l = 0; l < 2; l++) UL_OK_IN(w.t.ctx, ul_edit_covariance(&w.work, l, 0, o.covariance[l]));
    UL_OK_IN(w.t.ctx, ul_edit_spread(&w.work, check_equation, &o));
    assert_int_equal(o.seen, 4);
    UL_OK_IN(w.t.ctx, ul_edit_covariance(&w.work, 1, 0, later));
    assert_memory_not_equal(later, o.covariance[1], sizeof later); /* the edited model has another one */
    tiny_work_close(&w);
}

static void q10_one_key_is_rome(void **state)
{
    static edit rome, memit;
    static double delta[C * F];
    tiny_work w;
    double largest;
    (void)state;
    const char *const id[2] = {"rome", "memit"};
    for (int k = 0; k < 2; k++) {
        open_edit(&w, id[k], 1);
        set(&w, "rows", 0), set(&w, "v_decay", 0), set(&w, "clamp", 1e2), set(&w, "v_lr", 0.1), set(&w, "v_steps", 10);
        if (k) set(&w, "lambda", 1e-6);
        else set(&w, "ridge", 0);
        run_edit(&w, id[k], 0.1, 1e2, k ? &memit : &rome);
        tiny_work_close(&w);
    }
    for (int i = 0; i < C * F; i++) delta[i] = memit.after[i] - memit.before[i];
    const double bad = worst(&rome, delta, &largest);
    assert_true(largest > 1e-4);
    if (bad > 1e-5 * largest) fail_msg("rome and memit differ by %g of %g", bad, largest);
}

/* Keys behind other texts turn the edit's direction; the plain prompt's value is met
 * all the same, and the seed decides. */
static void rome_reads_behind_prefixes(void **state)
{
    static edit e[3];
    (void)state;
    for (int k = 0; k < 3; k++) {
        tiny_work w;
        open_edit(&w, "rome", 1);
        w.work.forget = w.text;
        set(&w, "rows", 0), set(&w, "v_decay", 0), set(&w, "clamp", 1e2), set(&w, "v_lr", 0.1), set(&w, "v_steps", 10);
        set(&w, "prefixes", k ? 4 : 0);
        if (k == 2) w.t.recipe.seed++;
        run_edit(&w, "rome", 0.1, 1e2, &e[k]);
        tiny_work_close(&w);
    }
    for (int k = 1; k < 3; k++)
        for (int c = 0; c < C; c++) {
            double moved = 0, plain = 0;
            for (int i = 0; i < F; i++) {
                moved += (e[k].after[c * F + i] - e[k].before[c * F + i]) * e[k].key[i];
                plain += (e[0].after[c * F + i] - e[0].before[c * F + i]) * e[0].key[i];
            }
            if (fabs(moved - plain) > 1e-9 * (1 + fabs(plain)))
                fail_msg("channel %d moved by %g, not %g", c, moved, plain);
        }
    assert_memory_not_equal(e[0].after, e[1].after, sizeof e[0].after);
    assert_memory_not_equal(e[1].after, e[2].after, sizeof e[0].after);
}

static void q10_emmet_meets_every_value(void **state)
{
    static edit e;
    tiny_work w;
    (void)state;
    open_edit(&w, "emmet", N);
    set(&w, "rows", 0);
    set(&w, "lambda", 0);
    run_edit(&w, "emmet", 0.5, 4, &e);
    double size = 0;
    for (int f = 0; f < N; f++)
        for (int c = 0; c < C; c++) {
            double moved = 0;
            for (int i = 0; i < F; i++) moved += (e.after[c * F + i] - e.before[c * F + i]) * e.key[f * F + i];
            size += fabs(e.residual[f * C + c]);
            if (fabs(moved - e.residual[f * C + c]) > 1e-7 * (1 + fabs(moved)))
                fail_msg("fact %d, channel %d: the value moved by %g, not %g", f, c, moved, e.residual[f * C + c]);
        }
    assert_true(size > 1);
    tiny_work_close(&w);
}

static void q10_alphaedit_keeps_old_keys(void **state)
{
    static edit e;
    tiny_work w;
    double value[F];
    (void)state;
    open_edit(&w, "alphaedit", N);
    set(&w, "rows", 0);
    run_edit(&w, "alphaedit", 0.5, 4, &e);
    UL_OK_IN(w.t.ctx, ul_eigen_all(w.t.ctx, e.covariance, F, value));
    double kept = 0, moved = 0;
    for (int v = 0; v < F; v++)
        for (int c = 0; c < C; c++) {
            double sum = 0;
            for (int i = 0; i < F; i++) sum += (e.after[c * F + i] - e.before[c * F + i]) * e.covariance[i * F + v];
            if (value[v] < 2e-2 * value[F - 1]) moved += fabs(sum);
            else if (fabs(sum) > kept) kept = fabs(sum);
        }
    assert_true(moved > 1e-2);
    if (kept > 1e-9) fail_msg("a preserved key's value moves by %g", kept);
    tiny_work_close(&w);
}

/* The value does what it is for: added where it belongs, the target becomes likelier. */
/* Within a budget the same change is made, only shorter: one ratio for all entries;
 * a budget it does not reach changes nothing. */
static void a_budget_shortens_the_edit(void **state)
{
    static const char *const id[] = {"memit", "rome"};
    static const double budget[] = {0, 1e-4, 100};
    static edit e;
    static double delta[3][C * F];
    (void)state;
    for (int k = 0; k < 2; k++) {
        double ratio = 0;
        for (int b = 0; b < 3; b++) {
            tiny_work w;
            open_edit(&w, id[k], N);
            set(&w, "budget", budget[b]);
            run_edit(&w, id[k], 0.5, 4, &e);
            for (int i = 0; i < C * F; i++) delta[b][i] = e.after[i] - e.before[i];
            tiny_work_close(&w);
        }
        for (int i = 0; i < C * F; i++)
            if (fabs(delta[0][i]) > 1e-3 && ratio == 0) ratio = delta[1][i] / delta[0][i];
        if (!(ratio > 0 && ratio < 1)) fail_msg("%s: the edit is scaled by %g", id[k], ratio);
        for (int i = 0; i < C * F; i++) {
            assert_true(fabs(delta[1][i] - ratio * delta[0][i]) < 1e-9);
            assert_true(delta[2][i] == delta[0][i]);
        }
    }
}

static void the_subject_is_found(void **state)
{
    tiny_work w;
    ul_facts f;
    (void)state;
    open_edit(&w, "memit", 2);
    UL_OK_IN(w.t.ctx, ul_facts_new(&w.work, 0, 2, &f));
    for (int i = 0; i < 2; i++) /* "where was ana born ?", "ana lives in rome ." have the name in common */
        assert_int_equal(f.doc[i].token[f.at[i]], ul_token_id(w.tok, i ? "bob" : "ana", 3));
    tiny_work_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_subject_is_found),         cmocka_unit_test(memit_is_the_papers_equation),
        cmocka_unit_test(covariance_is_the_originals),  cmocka_unit_test(q10_one_key_is_rome),
        cmocka_unit_test(rome_reads_behind_prefixes),   cmocka_unit_test(q10_emmet_meets_every_value),
        cmocka_unit_test(q10_alphaedit_keeps_old_keys), cmocka_unit_test(a_budget_shortens_the_edit)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
