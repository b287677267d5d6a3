/* test_one_shot.c - ssd, perta, fisher_noise and newton_diag against their formulas, from Fisher diagonals computed
 * here, document by document; what must change nothing changes nothing; the budget on the retain rows is kept. */
#include "procedure_test.h"

enum { MOST = 20000 };
typedef struct {
    int n;
    double before[MOST], after[MOST], forget[MOST], retain[MOST], g[MOST];
} numbers;

static int flat(tiny_work *w, bool gradient, double *out)
{
    ul_trainable *train;
    int at = 0;
    const int n = ul_model_trainables(w->t.model, &train);
    for (int i = 0; i < n; i++, at += (int)train[i - 1].n) {
        assert_true(at + train[i].n <= MOST);
        memcpy(out + at, gradient ? train[i].g : train[i].p, (size_t)train[i].n * sizeof(double));
    }
    return at;
}

/* Gradient of the mean NLL over the scored tokens of documents first .. first+n-1, by bare passes over the model. */
static void bare_gradient(tiny_work *w, const ul_docs *docs, int64_t first, int32_t n, double *g)
{
    const ul_doc *d[64];
    ul_batch *b;
    double coef[2000];
    for (int32_t i = 0; i < n; i++) d[i] = &docs->at[first + i];
    UL_OK_IN(w->t.ctx, ul_pack_docs(w->t.ctx, ul_ctx_arena(w->t.ctx), d, n, false, &b));
    for (int32_t i = 0; i < b->n_row; i++) coef[i] = -1.0 / b->n_row;
    ul_pass pass = {.batch = b, .flags = UL_PASS_GRAD, .last = -1, .coef = coef};
    ul_model_grad_zero(w->t.model);
    UL_OK_IN(w->t.ctx, ul_model_forward(w->t.ctx, w->t.model, &pass));
    UL_OK_IN(w->t.ctx, ul_model_backward(w->t.ctx, w->t.model, &pass));
    ul_model_grad_ready(w->t.model);
    flat(w, true, g);
}

/* Squares of the gradients of whole batches, of one document each but for ssd's published form. */
static void bare_fisher(tiny_work *w, const ul_docs *docs, double *f)
{
    static double g[MOST];
    const int batch = ul_num(&w->args, "fisher_batch") > 1 ? (int)ul_num(&w->args, "fisher_batch") : 1;
    const int64_t squares = docs->n / batch;
    memset(f, 0, MOST * sizeof *f);
    for (int64_t i = 0; i < squares; i++) {
        bare_gradient(w, docs, i * batch, batch, g);
        for (int j = 0; j < MOST; j++) f[j] += g[j] * g[j] / (double)squares;
    }
}

static void set(tiny_work *w, const char *key, double x)
{
    for (int i = 0; w->args.params[i].key; i++)
        if (!strcmp(w->args.params[i].key, key)) {
            w->args.num[i] = x;
            return;
        }
    fail_msg("no parameter %s", key);
}

/* Opens, takes the naive statistics, runs with one parameter set; key NULL: none. */
static void measure(const char *id, const char *key, double value, const char *key2, double value2, numbers *x)
{
    tiny_work w;
    char digest[65];
    const ul_procedure *p = procedure_named(id);
    tiny_work_open(&w, p, &(tiny_how){.precision = UL_PRECISION_DOUBLE, .threads = 1, .micro = 3});
    ul_args_default(p->method.params, &w.args); /* the papers' */
    if (key) set(&w, key, value);
    if (key2) set(&w, key2, value2);
    memset(x, 0, sizeof *x);
    x->n = flat(&w, false, x->before);
    bare_fisher(&w, w.t.docs[UL_FORGET], x->forget);
    bare_fisher(&w, w.t.docs[UL_RETAIN], x->retain);
    bare_gradient(&w, w.t.docs[UL_FORGET], 0, TINY_FORGET, x->g);
    tiny_work_run(&w, p, digest);
    flat(&w, false, x->after);
    tiny_work_close(&w);
}

static void near(double a, double b)
{
    if (!(fabs(a - b) <= 1e-10 * (1 + fabs(b)))) fail_msg("%.17g is not %.17g", a, b);
}

static double mean_of(const double *f, int n)
{
    double sum = 0;
    for (int i = 0; i < n; i++) sum += f[i];
    return sum / n;
}

static void ssd_formula(void **state)
{
    static numbers x;
    (void)state;
    for (int batches = 0; batches < 2; batches++) {
        int dampened = 0;
        measure("ssd", "alpha", 2, batches ? "fisher_batch" : "lambda", batches ? 3 : 1.5, &x);
        for (int i = 0; i < x.n; i++) {
            const double f = x.forget[i], r = x.retain[i];
            const bool hit = f > 2 * r;
            dampened += hit;
            near(x.after[i], hit ? x.before[i] * fmin((batches ? 1 : 1.5) * r / f, 1) : x.before[i]);
        }
        assert_in_range(dampened, 100, x.n / 2);
    }
}

/* alpha without bound, and a forget set that is the retain set: nothing changes. */
static void q15_ssd(void **state)
{
    static numbers x;
    tiny_work w;
    char digest[65];
    (void)state;
    measure("ssd", "alpha", 1e300, NULL, 0, &x);
    assert_memory_equal(x.before, x.after, sizeof x.before);
    const ul_procedure *p = procedure_named("ssd");
    tiny_work_open(&w, p, &(tiny_how){.threads = 1});
    w.work.forget = w.work.retain;
    set(&w, "alpha", 1);
    tiny_work_run(&w, p, digest);
    assert_string_equal(digest, w.t.digest);
    tiny_work_close(&w);
}

/* perta is tv with a weight for every parameter: both run, the ratio of what they change is that weight. */
static void perta_formula(void **state)
{
    static numbers tv, x;
    (void)state;
    measure("tv", "scale", 1, NULL, 0, &tv);
    measure("perta", "scale", 1, "eps", 0.01, &x);
    double eps = 0;
    for (int i = 0; i < x.n; i++) eps += x.forget[i] + x.retain[i];
    eps *= 0.01 / x.n;
    for (int i = 0; i < x.n; i++) {
        const double weight = x.forget[i] / (x.forget[i] + x.retain[i] + eps);
        near(x.after[i], x.before[i] + weight * (tv.after[i] - tv.before[i]));
    }
}

/* The gradient form: the same of the sizes of gradients. */
static void perta_by_gradients(void **state)
{
    static numbers tv, x;
    const ul_procedure *p = procedure_named("perta");
    tiny_work w;
    char digest[65];
    double eps = 0;
    (void)state;
    measure("tv", "scale", 1, NULL, 0, &tv);
    memset(&x, 0, sizeof x);
    tiny_work_open(&w, p, &(tiny_how){.precision = UL_PRECISION_DOUBLE, .threads = 1, .micro = 3});
    ul_args_default(p->method.params, &w.args);
    UL_OK_IN(w.t.ctx, ul_args_set(ul_ctx_arena(w.t.ctx), &w.args, "perta", "by", "grad"));
    set(&w, "scale", 1), set(&w, "eps", 0.01);
    x.n = flat(&w, false, x.before);
    bare_gradient(&w, w.t.docs[UL_FORGET], 0, TINY_FORGET, x.forget);
    bare_gradient(&w, w.t.docs[UL_RETAIN], 0, TINY_RETAIN, x.retain);
    tiny_work_run(&w, p, digest);
    flat(&w, false, x.after);
    tiny_work_close(&w);
    for (int i = 0; i < x.n; i++) eps += fabs(x.forget[i]) + fabs(x.retain[i]);
    eps *= 0.01 / x.n;
    for (int i = 0; i < x.n; i++) {
        const double weight = fabs(x.forget[i]) / (fabs(x.forget[i]) + fabs(x.retain[i]) + eps);
        near(x.after[i], x.before[i] + weight * (tv.after[i] - tv.before[i]));
    }
}

static void newton_formula(void **state)
{
    static numbers x;
    (void)state;
    measure("newton_diag", "kl", 0, "damping", 0.3, &x);
    const double lambda = 0.3 * mean_of(x.retain, x.n);
    for (int i = 0; i < x.n; i++) near(x.after[i], x.before[i] + 1e-3 * x.g[i] / (x.retain[i] + lambda));
}

/* The noise, divided by its standard deviation, is standard normal. */
static void noise_formula(void **state)
{
    static numbers x;
    double mean = 0, square = 0;
    (void)state;
    measure("fisher_noise", "kl", 0, "damping", 0.1, &x);
    const double lambda = 0.1 * mean_of(x.retain, x.n);
    for (int i = 0; i < x.n; i++) {
        const double e = (x.after[i] - x.before[i]) / 1e-3 * sqrt(sqrt(x.retain[i] + lambda));
        mean += e / x.n, square += e * e / x.n;
    }
    assert_true(fabs(mean) < 5 / sqrt(x.n));
    assert_true(fabs(square - 1) < 5 * sqrt(2.0 / x.n));
}

/* The mean KL(before || after) over the retain rows, from logits. */
static double kl_of(tiny_work *w, double *z0, bool store)
{
    const ul_docs *docs = w->t.docs[UL_RETAIN];
    ul_batch *b;
    const ul_doc *d[64];
    double sum = 0;
    for (int64_t i = 0; i < docs->n; i++) d[i] = &docs->at[i];
    UL_OK_IN(w->t.ctx, ul_pack_docs(w->t.ctx, ul_ctx_arena(w->t.ctx), d, (int32_t)docs->n, false, &b));
    double *z = malloc((size_t)b->n_row * TINY_V * sizeof *z);
    UL_OK_IN(w->t.ctx, ul_model_logits(w->t.ctx, w->t.model, b, z));
    if (store) memcpy(z0, z, (size_t)b->n_row * TINY_V * sizeof *z);
    for (int32_t i = 0; i < b->n_row; i++) {
        const double *p = z0 + (size_t)i * TINY_V, *q = z + (size_t)i * TINY_V;
        double sp = 0, sq = 0, kl = 0;
        for (int v = 0; v < TINY_V; v++) sp += exp(p[v]), sq += exp(q[v]);
        for (int v = 0; v < TINY_V; v++) kl += exp(p[v]) / sp * (p[v] - log(sp) - q[v] + log(sq));
        sum += kl / b->n_row;
    }
    free(z);
    return sum;
}

/* Q11: the search ends within [0.95, 1] of the budget. */
static void budget_is_kept(void **state)
{
    static const char *const id[] = {"tv", "perta", "newton_diag", "fisher_noise", "repselect", "sku", "kfade"};
    static double z0[2000 * TINY_V];
    (void)state;
    for (size_t k = 0; k < sizeof id / sizeof *id; k++)
        for (int j = 0; j < 2; j++) {
            const double budget = j ? 0.2 : 0.003;
            tiny_work w;
            char digest[65];
            const ul_procedure *p = procedure_named(id[k]);
            tiny_work_open(&w, p, &(tiny_how){.precision = UL_PRECISION_DOUBLE, .threads = 1});
            set(&w, "kl", budget);
            kl_of(&w, z0, true);
            tiny_work_run(&w, p, digest);
            const double kl = kl_of(&w, z0, false);
            if (!(kl >= 0.95 * budget - 1e-9 && kl <= budget + 1e-9))
                fail_msg("%s: KL %g, budget %g", id[k], kl, budget);
            assert_non_null(strstr(w.report.p, "measurements"));
            tiny_work_close(&w);
        }
}

/* A norm stands behind what moves, so the KL has an end; the search stops there, not at its last measurement. */
static void budget_out_of_reach(void **state)
{
    tiny_work w;
    char digest[65];
    const char *at;
    const ul_procedure *p = procedure_named("repselect");
    (void)state;
    tiny_work_open(&w, p, &(tiny_how){.precision = UL_PRECISION_DOUBLE, .threads = 1});
    set(&w, "kl", 90);
    tiny_work_run(&w, p, digest);
    assert_non_null(at = strstr(w.report.p, "(budget 90, "));
    if (!(atoi(at + 12) < 20)) fail_msg("%s", w.report.p);
    tiny_work_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ssd_formula),    cmocka_unit_test(q15_ssd),       cmocka_unit_test(perta_formula),
        cmocka_unit_test(newton_formula), cmocka_unit_test(noise_formula), cmocka_unit_test(budget_is_kept),
        cmocka_unit_test(budget_out_of_reach), cmocka_unit_test(perta_by_gradients)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
