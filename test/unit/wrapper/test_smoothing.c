/* sam, rs, wa, ramp, sophia: against their formulas, written again here; strength 0 is no wrapper at all, to the bit.
 * */
#include "wrapper_test.h"

static const tiny_how in_double = {.precision = UL_PRECISION_DOUBLE, .threads = 2, .micro = 3};

static double *copy_of(const double *x, int64_t n)
{
    double *y = malloc((size_t)n * sizeof *y);
    assert_non_null(y);
    return memcpy(y, x, (size_t)n * sizeof *y);
}
/* Writes flat numbers into the weights. */
static void put_weights(wrapped *w, const double *x)
{
    ul_trainable *train;
    const int count = ul_model_trainables(w->t.model, &train);
    for (int i = 0; i < count; x += train[i].n, i++) memcpy(train[i].p, x, (size_t)train[i].n * sizeof *x);
}
static void near(const double *got, const double *want, int64_t n, const char *what)
{
    double most = 0;
    for (int64_t i = 0; i < n; i++) most = fmax(most, fabs(want[i]));
    for (int64_t i = 0; i < n; i++)
        if (!(fabs(got[i] - want[i]) <= 1e-11 * most))
            fail_msg("%s: [%lld] is %.17g, should be %.17g", what, (long long)i, got[i], want[i]);
}

/* Gradient of step 2, of the method with one coefficient off (NULL: none), at weights x (NULL: as they are). */
static double *gradient(const char *method, const char *off, const char *id, const char *key, double value,
                        const double *x, double **weights, ul_step_result *r)
{
    wrapped w;
    ul_trainer *t;
    int64_t n;
    wrapped_open(&w, &in_double, method, NULL);
    if (off) set_number(&w.t.args, off, 0);
    if (id) set_number(wrap(&w, id), key, value);
    tiny_references(&w.t, NULL);
    if (x) put_weights(&w, x);
    UL_OK_IN(w.t.ctx, ul_trainer_new(w.t.ctx, &w.t.run.options, 6, &t));
    double *was = flat(&w, false, &n);
    UL_OK_IN(w.t.ctx, ul_trainer_gradients(t, 2, r));
    double *g = flat(&w, true, &n), *p = flat(&w, false, &n);
    assert_memory_equal(p, was, (size_t)n * sizeof *p); /* a gradient moves no weight */
    free(was);
    if (weights)
        *weights = p;
    else
        free(p);
    ul_trainer_free(t);
    tiny_close(&w.t);
    return g;
}

static int64_t size_of(void)
{
    wrapped w;
    int64_t n;
    wrapped_open(&w, &in_double, "npo", NULL);
    free(flat(&w, false, &n));
    tiny_close(&w.t);
    return n;
}

static void test_sam(void **state)
{
    const int64_t n = size_of();
    (void)state;
    for (int m = 0; m < 2; m++) {
        const char *method = m ? "graddiff" : "npo";
        const double rho = 0.3;
        double *theta, norm = 0;
        ul_step_result r, plain;
        double *f = gradient(method, "alpha", NULL, NULL, 0, NULL, &theta, &r),
               *retain = gradient(method, "gamma", NULL, NULL, 0, NULL, NULL, &r);
        for (int64_t i = 0; i < n; i++) norm += f[i] * f[i];
        double *x = copy_of(theta, n);
        for (int64_t i = 0; i < n; i++) x[i] += rho * f[i] / sqrt(norm);
        double *there = gradient(method, "alpha", NULL, NULL, 0, x, NULL, &r);
        double *whole = gradient(method, NULL, NULL, NULL, 0, NULL, NULL, &plain);
        double *got = gradient(method, NULL, "sam", "rho", rho, NULL, NULL, &r);
        for (int64_t i = 0; i < n; i++) x[i] = there[i] + retain[i];
        near(got, x, n, "sam");
        double moved = 0;
        for (int64_t i = 0; i < n; i++) moved = fmax(moved, fabs(got[i] - whole[i]));
        assert_true(moved > 1e-4); /* it does something */
        assert_true(fabs(r.loss - plain.loss) < 1e-12 && r.tokens == plain.tokens && r.scored == plain.scored);
        assert_true(fabs(r.forget_loss - plain.forget_loss) < 1e-12 && fabs(r.retain_loss - plain.retain_loss) < 1e-12);
        free(f), free(retain), free(theta), free(x), free(there), free(whole), free(got);
    }
}

/* The root mean square of the tensor that an entry belongs to. */
static double *sizes(const double *theta, int64_t n)
{
    wrapped w;
    ul_trainable *train;
    int64_t at = 0;
    double *size = malloc((size_t)n * sizeof *size);
    assert_non_null(size);
    wrapped_open(&w, &in_double, "npo", NULL);
    const int count = ul_model_trainables(w.t.model, &train);
    for (int t = 0; t < count; at += train[t++].n) {
        double s = 0;
        for (int64_t i = at; i < at + train[t].n; i++) s += theta[i] * theta[i] / (double)train[t].n;
        for (int64_t i = at; i < at + train[t].n; i++) size[i] = sqrt(s);
    }
    assert_int_equal(at, n);
    tiny_close(&w.t);
    return size;
}

static void test_rs(void **state)
{
    enum { SAMPLES = 3 };
    const int64_t n = size_of();
    const double sigma = 0.05;
    double *theta, loss = 0;
    ul_step_result r;
    (void)state;
    double *want = gradient("npo", "gamma", NULL, NULL, 0, NULL, &theta, &r), *x = copy_of(theta, n);
    const double retain = r.loss;
    double *size = sizes(theta, n);
    for (int k = 0; k < SAMPLES; k++) {
        for (int64_t i = 0; i < n; i++)
            x[i] = theta[i] +
                   sigma * size[i] * ul_rng_normal(0, UL_STREAM_SMOOTHING, 2 * SAMPLES + (uint64_t)k, (uint64_t)i);
        double *g = gradient("npo", "alpha", NULL, NULL, 0, x, NULL, &r);
        for (int64_t i = 0; i < n; i++) want[i] += g[i] / SAMPLES;
        loss += r.loss / SAMPLES;
        free(g);
    }
    double *got = gradient("npo", NULL, "rs", "sigma", sigma, NULL, NULL, &r);
    near(got, want, n, "rs");
    assert_true(fabs(r.loss - loss - retain) < 1e-11);
    free(got), free(want), free(theta), free(x), free(size);
}

/* ---- whole runs ---- */
typedef struct {
    wrapped *w;
    double *at[16];
    int64_t n;
    int steps;
} recorder;
static void record(void *user, int64_t step, const ul_step_result *r)
{
    recorder *k = user;
    (void)r;
    assert_int_equal(step, k->steps);
    k->at[k->steps++] = flat(k->w, false, &k->n);
}
static double *run(wrapped *w, int64_t *n)
{
    ul_step_result last;
    int64_t steps;
    tiny_references(&w->t, NULL);
    UL_OK_IN(w->t.ctx, ul_run_train(w->t.ctx, &w->t.run, &last, &steps));
    double *x = flat(w, false, n);
    tiny_close(&w->t);
    return x;
}

/* The result is the mean of the weights after steps 2, 4, 6 (from 0.2 of 6 steps, every 2, the last one among them). */
static void test_wa(void **state)
{
    wrapped w;
    int64_t n;
    (void)state;
    wrapped_open(&w, &in_double, "npo", NULL);
    ul_args *a = wrap(&w, "wa");
    set_number(a, "every", 2);
    recorder k = {.w = &w};
    w.t.run.on_step = record, w.t.run.on_step_user = &k;
    double *got = run(&w, &n);
    assert_int_equal(k.steps, 6);
    for (int64_t i = 0; i < n; i++) k.at[0][i] = (k.at[1][i] + k.at[3][i] + k.at[5][i]) / 3;
    near(got, k.at[0], n, "wa");
    for (int s = 0; s < 6; s++) free(k.at[s]);
    free(got);
}

/* A ramp of gamma is, step by step, the method with that gamma. */
static void test_ramp(void **state)
{
    (void)state;
    for (int step = 0; step < 6; step++) {
        double *g[2];
        int64_t n;
        for (int ramp = 0; ramp < 2; ramp++) {
            wrapped w;
            ul_trainer *t;
            ul_step_result r;
            wrapped_open(&w, &in_double, "npo", NULL);
            const double x = fmin(1, step / (0.8 * 5)), factor = 0.5 + (2 - 0.5) * x, keep = 1 - x;
            if (ramp) {
                ul_args *a = wrap(&w, "ramp");
                set_number(a, "gamma_from", 0.5), set_number(a, "gamma_to", 2);
                set_number(a, "alpha_to", 0), set_number(a, "over", 0.8);
            } else {
                set_number(&w.t.args, "gamma", factor);
                set_number(&w.t.args, "alpha", keep);
            }
            tiny_references(&w.t, NULL);
            UL_OK_IN(w.t.ctx, ul_trainer_new(w.t.ctx, &w.t.run.options, 6, &t));
            for (int s = 0; s <= step; s++) UL_OK_IN(w.t.ctx, ul_trainer_gradients(t, s, &r)); /* it does not pile up */
            g[ramp] = flat(&w, true, &n);
            ul_trainer_free(t);
            tiny_close(&w.t);
        }
        near(g[1], g[0], n, "ramp");
        free(g[0]), free(g[1]);
    }
    wrapped w;
    ul_trainer *t;
    wrapped_open(&w, &in_double, "ga", NULL);
    wrap(&w, "ramp");
    UL_FAILS_IN(w.t.ctx, UL_E_USAGE, "gamma", ul_trainer_new(w.t.ctx, &w.t.run.options, 6, &t));
    tiny_close(&w.t);
}

/* Six steps of scrub, over min and max epochs, with gamma and alpha as they are or through a ramp. */
static double *scrub_with(double gamma, double alpha, bool ramp, int64_t *n)
{
    wrapped w;
    ul_trainer *t;
    ul_step_result r;
    wrapped_open(&w, &in_double, "scrub", NULL);
    if (ramp) {
        ul_args *a = wrap(&w, "ramp");
        set_number(a, "gamma_from", gamma), set_number(a, "gamma_to", gamma);
        set_number(a, "alpha_from", alpha), set_number(a, "alpha_to", alpha);
    } else {
        set_number(&w.t.args, "gamma", gamma), set_number(&w.t.args, "alpha", alpha);
    }
    tiny_references(&w.t, NULL);
    UL_OK_IN(w.t.ctx, ul_trainer_new(w.t.ctx, &w.t.run.options, 6, &t));
    w.t.recipe.warmup = 0;
    for (int s = 0; s < 6; s++) {
        UL_OK_IN(w.t.ctx, ul_trainer_gradients(t, s, &r));
        UL_OK_IN(w.t.ctx, ul_trainer_update(t, s, &r));
    }
    double *x = flat(&w, false, n);
    ul_trainer_free(t);
    tiny_close(&w.t);
    return x;
}

static bool apart(const double *a, const double *b, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        if (fabs(a[i] - b[i]) > 1e-6) return true;
    return false;
}

/* A ramp of gamma meets scrub's forget term, one of alpha its retain term. */
static void test_ramp_meets_scrub(void **state)
{
    static const double at[][2] = {{0.25, 1}, {1, 0.25}, {0.25, 2}};
    int64_t n;
    (void)state;
    double *plain = scrub_with(1, 1, false, &n);
    for (int i = 0; i < 3; i++) {
        double *bare = scrub_with(at[i][0], at[i][1], false, &n), *ramp = scrub_with(at[i][0], at[i][1], true, &n);
        near(ramp, bare, n, "ramp around scrub");
        assert_true(apart(bare, plain, n));
        free(bare), free(ramp);
    }
    free(plain);
}

/* Nothing to do: the run without a wrapper, bit by bit. */
static void test_strength_zero(void **state)
{
    static const struct {
        const char *id, *key;
        double value;
        const char *key2;
        double value2;
    } nothing[] = {{"sam", "rho", 0, NULL, 0},
                   {"rs", "sigma", 0, NULL, 0},
                   {"saliency", "keep", 1, NULL, 0},
                   {"wagle", "keep", 1, NULL, 0},
                   {"sure", "keep", 1, NULL, 0},
                   {"ramp", "gamma_from", 1, NULL, 0},
                   {"lu", "folds", 1, NULL, 0},
                   {"wa", "from", 1, "every", 1},
                   {"budget", "limit", 1000, "every", 1},
                   {"saliency", "keep", 0.9999999, NULL, 0}}; /* a mask of ones is applied, and changes nothing */
    (void)state;
    for (int optim = UL_ADAMW; optim <= UL_SOPHIA; optim++) {
        double *want = NULL;
        for (int k = -1; k < (int)(sizeof nothing / sizeof *nothing); k++) {
            const tiny_how how = {.precision = UL_PRECISION_F32, .threads = 1, .micro = 4};
            wrapped w;
            int64_t n;
            wrapped_open(&w, &how, "npo", NULL);
            w.t.recipe.optim = (ul_optim_kind)optim;
            w.t.recipe.weight_decay = 0.3;
            if (k >= 0) {
                ul_args *a = wrap(&w, nothing[k].id);
                set_number(a, nothing[k].key, nothing[k].value);
                if (nothing[k].key2) set_number(a, nothing[k].key2, nothing[k].value2);
            }
            double *x = run(&w, &n);
            if (k < 0)
                want = x;
            else if (memcmp(x, want, (size_t)n * sizeof *x))
                fail_msg("%s at strength 0 changes the run", nothing[k].id);
            if (k >= 0) free(x);
        }
        free(want);
    }
}

/* Sophia as an optimizer of a run: with a bound that never binds, no step is longer than lr; and it is not AdamW. */
static void test_sophia(void **state)
{
    wrapped w;
    int64_t n;
    (void)state;
    wrapped_open(&w, &in_double, "npo", NULL);
    w.t.recipe.optim = UL_SOPHIA;
    w.t.recipe.weight_decay = 0, w.t.recipe.warmup = 0, w.t.recipe.schedule = UL_CONSTANT;
    w.t.recipe.steps = 1;
    double *before = flat(&w, false, &n), *after = run(&w, &n);
    int64_t at_bound = 0, inside = 0;
    for (int64_t i = 0; i < n; i++) {
        const double d = fabs(after[i] - before[i]);
        assert_true(d <= w.t.recipe.lr * (1 + 1e-9));
        at_bound += d > 0.999 * w.t.recipe.lr, inside += d > 0 && d < 0.9 * w.t.recipe.lr;
    }
    assert_true(at_bound > 0 && inside > 0);
    free(before), free(after);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_sam),
                                       cmocka_unit_test(test_rs),
                                       cmocka_unit_test(test_wa),
                                       cmocka_unit_test(test_ramp),
                                       cmocka_unit_test(test_ramp_meets_scrub),
                                       cmocka_unit_test(test_strength_zero),
                                       cmocka_unit_test(test_sophia)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
