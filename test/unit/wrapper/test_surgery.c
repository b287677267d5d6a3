/* Gradient surgery against its formulas, written again over flat arrays: the forget and retain gradients are those of
 * runs of the method with alpha or gamma 0, not of the trainer's parts. Q12 of the field's invariants. */
#include "wrapper_test.h"

enum { STEPS = 5 };
static const char *const methods[] = {"npo", "graddiff"};
static const tiny_how in_double = {.precision = UL_PRECISION_DOUBLE, .threads = 2, .micro = 3};
static int64_t n;

/* Gradients of the first steps at the weights before the run, all side by side. */
static double *gradients(wrapped *w)
{
    ul_trainer *t;
    ul_step_result r;
    double *all = NULL;
    tiny_references(&w->t, NULL);
    UL_OK_IN(w->t.ctx, ul_trainer_new(w->t.ctx, &w->t.run.options, STEPS, &t));
    for (int s = 0; s < STEPS; s++) {
        UL_OK_IN(w->t.ctx, ul_trainer_gradients(t, s, &r));
        double *g = flat(w, true, &n), sum = 0;
        if (!all) all = malloc((size_t)(STEPS * n) * sizeof *all);
        assert_non_null(all);
        memcpy(all + s * n, g, (size_t)n * sizeof *g);
        for (int64_t i = 0; i < n; i++) sum += g[i] * g[i];
        assert_true(fabs(r.grad_norm - sqrt(sum)) <= 1e-12 * sqrt(sum));
        free(g);
    }
    ul_trainer_free(t);
    tiny_close(&w->t);
    return all;
}

/* One side of the method: the other's weight is 0. */
static double *side(const char *method, const char *off)
{
    wrapped w;
    wrapped_open(&w, &in_double, method, NULL);
    set_number(&w.t.args, off, 0);
    return gradients(&w);
}

static double *around(const char *method, const char *id, const char *key, double value)
{
    wrapped w;
    wrapped_open(&w, &in_double, method, NULL);
    ul_args *a = wrap(&w, id);
    if (key) set_number(a, key, value);
    return gradients(&w);
}

/* The borders of the tensors in the flat arrays. */
static int64_t *borders(int *count)
{
    wrapped w;
    ul_trainable *train;
    wrapped_open(&w, &in_double, "npo", NULL);
    *count = ul_model_trainables(w.t.model, &train);
    int64_t *b = malloc(((size_t)*count + 1) * sizeof *b);
    assert_non_null(b);
    b[0] = 0;
    for (int i = 0; i < *count; i++) b[i + 1] = b[i] + train[i].n;
    tiny_close(&w.t);
    return b;
}

static double dot(const double *x, const double *y, int64_t from, int64_t to)
{
    double s = 0;
    for (int64_t i = from; i < to; i++) s += x[i] * y[i];
    return s;
}

static void near(const double *got, const double *want, const char *what, const char *method, int step)
{
    double most = 0;
    for (int64_t i = 0; i < n; i++) most = fmax(most, fabs(want[i]));
    for (int64_t i = 0; i < n; i++)
        if (!(fabs(got[i] - want[i]) <= 1e-12 * most))
            fail_msg("%s around %s, step %d: g[%lld] is %.17g, should be %.17g", what, method, step, (long long)i,
                     got[i], want[i]);
}

typedef struct {
    double *f, *r, *got, *want;
} sides;
static sides open_sides(int m)
{
    sides s = {side(methods[m], "alpha"), side(methods[m], "gamma"), NULL, NULL};
    s.want = malloc((size_t)n * sizeof *s.want);
    assert_non_null(s.want);
    return s;
}
static void close_sides(sides *s)
{
    free(s->f), free(s->r), free(s->got), free(s->want);
}

static void test_gru(void **state)
{
    (void)state;
    for (int m = 0; m < 2; m++)
        for (int variant = 0; variant < 3; variant++) { /* as it is; without the retain gradient; with a floor */
            int conflicts = 0;
            sides s = open_sides(m);
            const double decay = variant == 1 ? 0.7 : 0.1, floor = -0.05;
            double *mean = calloc((size_t)n, sizeof *mean);
            assert_non_null(mean);
            wrapped w;
            wrapped_open(&w, &in_double, methods[m], NULL);
            ul_args *a = wrap(&w, "gru");
            set_number(a, "decay", decay);
            set_number(a, "keep", variant != 1);
            if (variant == 2) set_number(a, "floor", floor);
            s.got = gradients(&w);
            for (int k = 0; k < STEPS; k++) {
                double *f = s.f + k * n, *r = s.r + k * n;
                for (int64_t i = 0; i < n; i++) mean[i] = decay * mean[i] + (1 - decay) * r[i];
                double d = dot(f, mean, 0, n);
                const double mm = dot(mean, mean, 0, n), least = floor * sqrt(mm * dot(f, f, 0, n));
                conflicts += d < 0;
                if (variant == 2 && d < least) d = least;
                for (int64_t i = 0; i < n; i++)
                    s.want[i] = f[i] - (d < 0 ? d / mm * mean[i] : 0) + (variant != 1 ? r[i] : 0);
                near(s.got + k * n, s.want, "gru", methods[m], k);
            }
            assert_true(conflicts > 0);
            free(mean);
            close_sides(&s);
        }
}

static void test_pcgrad(void **state)
{
    int tensors;
    int64_t *b = borders(&tensors);
    (void)state;
    for (int m = 0; m < 2; m++) {
        int conflicts = 0, peace = 0;
        sides s = open_sides(m);
        s.got = around(methods[m], "pcgrad", NULL, 0);
        for (int k = 0; k < STEPS; k++) {
            const double *f = s.f + k * n, *r = s.r + k * n;
            for (int t = 0; t < tensors; t++) {
                const double d = dot(f, r, b[t], b[t + 1]), rr = dot(r, r, b[t], b[t + 1]);
                for (int64_t i = b[t]; i < b[t + 1]; i++) s.want[i] = f[i] - (d < 0 ? d / rr * r[i] : 0) + r[i];
                conflicts += d < 0, peace += d >= 0;
            }
            near(s.got + k * n, s.want, "pcgrad", methods[m], k);
        }
        assert_true(conflicts > 0 && peace > 0);
        close_sides(&s);
    }
    free(b);
}

static void test_sago(void **state)
{
    (void)state;
    for (int m = 0; m < 2; m++)
        for (int prefer = 0; prefer < 2; prefer++) {
            sides s = open_sides(m);
            s.got = around(methods[m], "sago", "prefer_retain", prefer);
            for (int k = 0; k < STEPS; k++) {
                const double *f = s.f + k * n, *r = s.r + k * n;
                for (int64_t i = 0; i < n; i++) s.want[i] = f[i] * r[i] < 0 ? r[i] : prefer ? f[i] + r[i] : f[i];
                near(s.got + k * n, s.want, "sago", methods[m], k);
            }
            close_sides(&s);
        }
}

static void test_blur(void **state)
{
    (void)state;
    for (int m = 0; m < 2; m++) {
        sides s = open_sides(m);
        s.got = around(methods[m], "blur", NULL, 0);
        for (int k = 0; k < STEPS; k++) {
            const double *f = s.f + k * n, *r = s.r + k * n, a = dot(f, r, 0, n) / dot(f, f, 0, n);
            for (int64_t i = 0; i < n; i++) s.want[i] = f[i] + r[i] - a * f[i];
            near(s.got + k * n, s.want, "blur", methods[m], k);
        }
        close_sides(&s);
    }
}

/* Gram and Schmidt instead of normal equations. */
static void test_gu(void **state)
{
    enum { RANK = 3 };
    (void)state;
    for (int m = 0; m < 2; m++) {
        sides s = open_sides(m);
        double *q[RANK];
        for (int i = 0; i < RANK; i++) assert_non_null(q[i] = malloc((size_t)n * sizeof **q));
        s.got = around(methods[m], "gu", "rank", RANK);
        for (int k = 0; k < STEPS; k++) {
            const double *r = s.r + k * n;
            const int have = k + 1 < RANK ? k + 1 : RANK;
            memcpy(s.want, s.f + k * n, (size_t)n * sizeof *s.want);
            for (int j = 0; j < have; j++) {
                memcpy(q[j], s.r + (k - j) * n, (size_t)n * sizeof **q);
                for (int l = 0; l < 2 * j; l++) { /* twice is enough */
                    const double d = dot(q[j], q[l % j], 0, n);
                    for (int64_t i = 0; i < n; i++) q[j][i] -= d * q[l % j][i];
                }
                const double norm = sqrt(dot(q[j], q[j], 0, n));
                for (int64_t i = 0; i < n; i++) q[j][i] /= norm;
                const double d = dot(s.want, q[j], 0, n);
                for (int64_t i = 0; i < n; i++) s.want[i] -= d * q[j][i];
            }
            for (int j = 0; j < have; j++)
                assert_true(fabs(dot(s.want, s.r + (k - j) * n, 0, n)) < 1e-10 * dot(r, r, 0, n));
            for (int64_t i = 0; i < n; i++) s.want[i] += r[i];
            near(s.got + k * n, s.want, "gu", methods[m], k);
        }
        for (int i = 0; i < RANK; i++) free(q[i]);
        close_sides(&s);
    }
}

static void test_q12(void **state)
{
    (void)state;
    for (int m = 0; m < 2; m++) {
        int conflicts = 0;
        sides s = open_sides(m);
        wrapped w;
        wrapped_open(&w, &in_double, methods[m], NULL);
        ul_args *a = wrap(&w, "pcgrad");
        a->text[0] = "all";
        double *pcgrad = gradients(&w), *sago = around(methods[m], "sago", NULL, 0);
        wrapped_open(&w, &in_double, methods[m], NULL);
        a = wrap(&w, "gru");
        set_number(a, "decay", 0);
        set_number(a, "keep", 0);
        double *gru = gradients(&w);
        for (int k = 0; k < STEPS; k++) {
            const double *f = s.f + k * n, *r = s.r + k * n, rr = dot(r, r, 0, n);
            const bool conflict = dot(f, r, 0, n) < 0;
            conflicts += conflict;
            if (conflict) assert_true(dot(pcgrad + k * n, r, 0, n) >= rr * (1 - 1e-12));
            if (conflict) assert_true(fabs(dot(gru + k * n, r, 0, n)) <= 1e-12 * rr);
            for (int64_t i = 0; i < n; i++) {
                const double want = f[i] * r[i] < 0 ? r[i] : f[i];
                assert_true(fabs(sago[k * n + i] - want) <= 1e-12);
            }
        }
        assert_true(conflicts > 0);
        free(pcgrad), free(sago), free(gru);
        close_sides(&s);
    }
}

/* Every loss is a sum over the forget part and the retain part: computed apart and added, the parts are the step. */
static ul_status add(ul_wrap *w)
{
    ul_arrays_axpy(w, 1, w->forget, w->g);
    return UL_OK;
}
static const ul_wrapper sum = {.title = "sum", .combine = add};

static void test_parts_are_the_step(void **state)
{
    int count, tried = 0;
    const ul_method_entry *e = ul_methods(&count);
    (void)state;
    for (int m = 0; m < count; m++) {
        double *g[2];
        ul_step_result r[2];
        for (int apart = 0; apart < 2; apart++) {
            wrapped w;
            ul_trainer *t;
            wrapped_open(&w, &in_double, e[m].id, NULL);
            w.t.run.options.pairing = NULL; /* samples with alternates */
            if (!(ul_method_needs(e[m].method, &w.t.args) & UL_NEED_RETAIN)) {
                tiny_close(&w.t);
                g[0] = NULL;
                break;
            }
            if (apart) wrap_with(&w, "sum", &sum);
            tiny_references(&w.t, NULL);
            UL_OK_IN(w.t.ctx, ul_trainer_new(w.t.ctx, &w.t.run.options, STEPS, &t));
            UL_OK_IN(w.t.ctx, ul_trainer_gradients(t, 0, &r[apart]));
            g[apart] = flat(&w, true, &n);
            ul_trainer_free(t);
            tiny_close(&w.t);
        }
        if (!g[0]) continue;
        tried++;
        near(g[1], g[0], "the sum of the parts", e[m].id, 0);
        assert_true(fabs(r[1].loss - r[0].loss) <= 1e-12 * (1 + fabs(r[0].loss)));
        assert_true(fabs(r[1].dual - r[0].dual) <= 1e-12 * (1 + fabs(r[0].dual)));
        assert_int_equal(r[0].tokens, r[1].tokens);
        assert_int_equal(r[0].scored, r[1].scored);
        free(g[0]), free(g[1]);
    }
    assert_true(tried > 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_gru),
                                       cmocka_unit_test(test_pcgrad),
                                       cmocka_unit_test(test_sago),
                                       cmocka_unit_test(test_blur),
                                       cmocka_unit_test(test_gu),
                                       cmocka_unit_test(test_q12),
                                       cmocka_unit_test(test_parts_are_the_step)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
