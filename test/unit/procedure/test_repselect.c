/* test_repselect.c - Q11: what the collapse does to singular values, exactly and by a sketch;
 * the step from G computed here; the budget; no change at a = 0; G and -G give opposite steps. */
#include "procedure/_lapack.h"
#include "procedure_test.h"

enum { M = 40, N = 24 };

/* A matrix with the singular values s_i = 3 0.7^i: H_u diag(s) H_v, H Householder reflections. */
static void spectrum(double *g, double sign)
{
    double u[M], v[N], uu = 0, vv = 0;
    for (int i = 0; i < M; i++) u[i] = ul_rng_normal(1, UL_STREAM_TEST, 5, (uint64_t)i), uu += u[i] * u[i];
    for (int i = 0; i < N; i++) v[i] = ul_rng_normal(2, UL_STREAM_TEST, 5, (uint64_t)i), vv += v[i] * v[i];
    for (int i = 0; i < M; i++)
        for (int j = 0; j < N; j++) {
            double sum = 0;
            for (int k = 0; k < N; k++)
                sum += ((i == k) - 2 * u[i] * u[k] / uu) * 3 * pow(0.7, k) * ((j == k) - 2 * v[j] * v[k] / vv);
            g[i * N + j] = sign * sum;
        }
}

/* Singular values by one-sided Jacobi rotations on the columns. */
static void singular(const double *from, int m, int n, double *s)
{
    double *a = malloc((size_t)(m * n) * sizeof *a);
    memcpy(a, from, (size_t)(m * n) * sizeof *a);
    for (int sweep = 0; sweep < 60; sweep++)
        for (int p = 0; p < n; p++)
            for (int q = p + 1; q < n; q++) {
                double app = 0, aqq = 0, apq = 0;
                for (int i = 0; i < m; i++)
                    app += a[i * n + p] * a[i * n + p], aqq += a[i * n + q] * a[i * n + q],
                        apq += a[i * n + p] * a[i * n + q];
                if (fabs(apq) < 1e-300) continue;
                const double z = (aqq - app) / (2 * apq), t = (z >= 0 ? 1 : -1) / (fabs(z) + sqrt(1 + z * z)),
                             c = 1 / sqrt(1 + t * t), r = c * t;
                for (int i = 0; i < m; i++) {
                    const double x = a[i * n + p], y = a[i * n + q];
                    a[i * n + p] = c * x - r * y, a[i * n + q] = r * x + c * y;
                }
            }
    for (int j = 0; j < n; j++) {
        s[j] = 0;
        for (int i = 0; i < m; i++) s[j] += a[i * n + j] * a[i * n + j];
        s[j] = sqrt(s[j]);
    }
    for (int i = 1; i < n; i++) /* falling */
        for (int j = i; j > 0 && s[j] > s[j - 1]; j--) {
            const double t = s[j];
            s[j] = s[j - 1], s[j - 1] = t;
        }
    free(a);
}

static void q11_collapse(void **state)
{
    enum { Q = 6 };
    double g[M * N], u[M * Q], v[N * Q], s[Q], after[N], d[Q], want[N];
    (void)state;
    ul_ctx *ctx = ul_test_ctx();
    ul_arena *a = ul_ctx_arena(ctx);
    for (int exact = 0; exact < 2; exact++)
        for (int hard = 0; hard < 2; hard++) {
            spectrum(g, 1);
            UL_OK_IN(ctx, ul_svd_top(a, g, M, N, Q, exact ? 1024 : 0, 4, 7, u, s, v));
            for (int i = 0; i < Q; i++) {
                assert_true(fabs(s[i] - 3 * pow(0.7, i)) < (exact ? 1e-12 : 1e-6));
                d[i] = hard ? 1 : 1 - s[Q - 1] / s[i];
            }
            UL_OK_IN(ctx, ul_remove_right(a, M, N, Q, v, d, g));
            UL_OK_IN(ctx, ul_remove_left(a, M, N, Q, u, d, g));
            singular(g, M, N, after);
            for (int i = 0; i < N; i++) want[i] = i >= Q ? 3 * pow(0.7, i) : hard ? 0 : 3 * pow(0.7, 2 * (Q - 1) - i);
            for (int i = 1; i < N; i++)
                for (int j = i; j > 0 && want[j] > want[j - 1]; j--) {
                    const double t = want[j];
                    want[j] = want[j - 1], want[j - 1] = t;
                }
            for (int i = 0; i < N; i++) assert_true(fabs(after[i] - want[i]) < (exact ? 1e-12 : 1e-5));
        }
    ul_ctx_free(ctx);
}

static double *weights_of(tiny_work *w, const char *name, int64_t *n)
{
    ul_weight *weight;
    const int k = ul_model_weights(w->t.model, &weight);
    for (int i = 0; i < k; i++)
        if (strstr(weight[i].name, name)) {
            *n = weight[i].rows * weight[i].cols;
            return weight[i].p;
        }
    fail_msg("no weight %s", name);
    return NULL;
}

static void set(tiny_work *w, const char *key, double x)
{
    for (int i = 0; w->args.params[i].key; i++)
        if (!strcmp(w->args.params[i].key, key)) w->args.num[i] = x;
}

enum { MOST = 48 * 32 };
/* What repselect without adversary and budget adds to down_proj of layer 1; the bare gradient of the mean NLL there. */
static void step_with(double scale, const char *collapse, double *d, double *g, int64_t *n)
{
    tiny_work w;
    char digest[65];
    double w0[MOST], coef[2000];
    const ul_doc *docs[TINY_FORGET];
    ul_batch *b;
    ul_weight *weight;
    const ul_procedure *p = procedure_named("repselect");
    tiny_work_open(&w, p, &(tiny_how){.precision = UL_PRECISION_DOUBLE, .threads = 1});
    set(&w, "kl", 0), set(&w, "lora_lr", 0), set(&w, "scale", scale), set(&w, "n_pcs", 4);
    for (int i = 0; p->method.params[i].key; i++)
        if (!strcmp(p->method.params[i].key, "collapse")) w.args.text[i] = collapse;
    for (int i = 0; i < TINY_FORGET; i++) docs[i] = &w.t.docs[UL_FORGET]->at[i];
    UL_OK_IN(w.t.ctx, ul_pack_docs(w.t.ctx, ul_ctx_arena(w.t.ctx), docs, TINY_FORGET, false, &b));
    for (int i = 0; i < b->n_row; i++) coef[i] = -2.0 / b->n_row; /* nine rows are two batches of seven */
    ul_pass pass = {.batch = b, .flags = UL_PASS_GRAD, .last = -1, .coef = coef};
    ul_model_grad_zero(w.t.model);
    UL_OK_IN(w.t.ctx, ul_model_forward(w.t.ctx, w.t.model, &pass));
    UL_OK_IN(w.t.ctx, ul_model_backward(w.t.ctx, w.t.model, &pass));
    const int k = ul_model_weights(w.t.model, &weight);
    double *at = weights_of(&w, "layers.1.mlp.down_proj", n);
    for (int i = 0; i < k; i++)
        if (weight[i].p == at) memcpy(g, weight[i].g, (size_t)*n * sizeof *g);
    memcpy(w0, at, (size_t)*n * sizeof *w0);
    double embedding = 0, now = 0;
    int64_t ne = 0;
    const double *e = weights_of(&w, "embed", &ne);
    for (int64_t i = 0; i < ne; i++) embedding += e[i] * e[i];
    tiny_work_run(&w, p, digest);
    at = weights_of(&w, "layers.1.mlp.down_proj", n);
    for (int64_t i = 0; i < *n; i++) d[i] = at[i] - w0[i];
    e = weights_of(&w, "embed", &ne);
    for (int64_t i = 0; i < ne; i++) now += e[i] * e[i];
    assert_true(now == embedding); /* only the mlps move */
    tiny_work_close(&w);
}

static void q11_step(void **state)
{
    static double d[MOST], minus[MOST], zero[MOST], hard[MOST], g[MOST];
    double sg[32], sd[32], sh[32];
    int64_t n;
    (void)state;
    step_with(0.5, "soft", d, g, &n);
    step_with(-0.5, "soft", minus, g, &n);
    step_with(0, "soft", zero, g, &n);
    step_with(0.5, "hard", hard, g, &n);
    assert_int_equal(n, 32 * 48);
    for (int64_t i = 0; i < n; i++) {
        assert_true(zero[i] == 0);
        assert_true(fabs(d[i] + minus[i]) < 1e-14);
    }
    double *t = malloc((size_t)n * sizeof *t); /* [48, 32]: Jacobi wants the columns to be the shorter side */
    const double *const from[] = {g, d, hard};
    double *const to[] = {sg, sd, sh};
    for (int k = 0; k < 3; k++) {
        for (int i = 0; i < 32; i++)
            for (int j = 0; j < 48; j++) t[j * 32 + i] = from[k][i * 48 + j];
        singular(t, 48, 32, to[k]);
    }
    free(t);
    /* four of the 32 values collapse: s_3, and s_3^2 / s_i of the others; the rest stays; hard leaves only the rest */
    double want[32];
    for (int i = 0; i < 32; i++) want[i] = 0.5 * (i < 4 ? sg[3] * sg[3] / sg[i] : sg[i]);
    for (int i = 1; i < 32; i++)
        for (int j = i; j > 0 && want[j] > want[j - 1]; j--) {
            const double x = want[j];
            want[j] = want[j - 1], want[j - 1] = x;
        }
    for (int i = 0; i < 32; i++) {
        assert_true(fabs(sd[i] - want[i]) < 1e-10);
        assert_true(fabs(sh[i] - (i < 28 ? 0.5 * sg[i + 4] : 0)) < 1e-10);
    }
    assert_true(sg[0] > 1.2 * sg[3]);
}

/* The adversary leaves no trace but in the direction; adapters are refused. */
static void adversary_and_lora(void **state)
{
    const ul_procedure *p = procedure_named("repselect");
    tiny_work w[2];
    char digest[2][65];
    (void)state;
    for (int k = 0; k < 2; k++) {
        tiny_work_open(&w[k], p, &(tiny_how){.precision = UL_PRECISION_DOUBLE, .threads = 1});
        set(&w[k], "lora_lr", k ? 0.5 : 0);
        set(&w[k], "kl", 0), set(&w[k], "scale", k ? 0 : 0.5);
        tiny_work_run(&w[k], p, digest[k]);
    }
    assert_string_equal(digest[1], w[1].t.digest); /* scale 0: all of the adversary is gone again */
    for (int k = 0; k < 2; k++) tiny_work_close(&w[k]);
    tiny_work_open(&w[0], p, &(tiny_how){.threads = 1});
    UL_OK_IN(w[0].t.ctx,
             ul_lora_add(w[0].t.ctx, w[0].t.model, &(ul_lora){.r = 2, .alpha = 2, .targets = "up_proj", .seed = 1}));
    UL_FAILS_IN(w[0].t.ctx, UL_E_USAGE, "leave out --lora", p->run(&w[0].work));
    tiny_work_close(&w[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(q11_collapse), cmocka_unit_test(q11_step),
                                       cmocka_unit_test(adversary_and_lora)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
