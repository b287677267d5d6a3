/* Methods whose forget side is scored against something made of the reference: its runner-ups, or a sum of its logits
 * behind texts. A step's loss against the formula, computed here from whole rows of logits. */
#include "method/method.h"
#include "train_test.h"

enum { ROWS = 24 };
typedef struct {
    int32_t n, label[ROWS];
    double z[ROWS][TINY_V];
} logits;

static logits logits_of(tiny *t, const ul_doc *d)
{
    logits x;
    ul_batch *b;
    UL_OK_IN(t->ctx, ul_pack_docs(t->ctx, ul_ctx_arena(t->ctx), &d, 1, false, &b));
    assert_true(b->n_row <= ROWS);
    UL_OK_IN(t->ctx, ul_model_logits(t->ctx, t->model, b, x.z));
    x.n = b->n_row;
    memcpy(x.label, b->label, (size_t)x.n * sizeof *x.label);
    return x;
}

static double log_sum(const double *z)
{
    double s = 0;
    for (int v = 0; v < TINY_V; v++) s += exp(z[v]);
    return log(s);
}

static void put(tiny *t, const char *key, double x)
{
    for (int i = 0; t->args.params[i].key; i++)
        if (!strcmp(t->args.params[i].key, key)) t->args.num[i] = x;
}

static void open(tiny *t, const char *id)
{
    const tiny_how how = {.precision = UL_PRECISION_DOUBLE, .threads = 1, .micro = 3};
    tiny_open(t, NULL, &how, ul_method_find(id), NULL);
}

static ul_step_result first_step(tiny *t)
{
    ul_trainer *tr;
    ul_step_result r;
    tiny_references(t, NULL);
    UL_OK_IN(t->ctx, ul_trainer_new(t->ctx, &t->run.options, 6, &tr));
    UL_OK_IN(t->ctx, ul_trainer_gradients(tr, 0, &r));
    ul_trainer_free(tr);
    return r;
}

static const ul_doc *forget_of(tiny *t, int32_t i)
{
    ul_sample s;
    UL_OK_IN(t->ctx, tiny_sample(t, 0, i, NULL, &s));
    return s.doc[UL_FORGET];
}

static void close_to(double have, double want)
{
    if (!(fabs(have - want) <= 1e-11 * fmax(1, fabs(want)))) fail_msg("%.17g is not %.17g", have, want);
}

/* advsample: the mean NLL of the most likely wrong tokens; a token outside the pool is still scored as itself. */
static void test_runner_ups(void **state)
{
    (void)state;
    for (int pool = 0; pool < 2; pool++) {
        tiny t;
        double sum = 0, n = 0;
        int32_t even[TINY_V / 2];
        open(&t, "advsample");
        for (int i = 0; i < TINY_V / 2; i++) even[i] = 2 * i;
        if (pool) t.run.options.label = even, t.run.options.n_label = TINY_V / 2;
        const ul_step_result r = first_step(&t);
        for (int32_t i = 0; i < t.recipe.batch; i++) {
            const logits x = logits_of(&t, forget_of(&t, i));
            for (int32_t k = 0; k < x.n; k++, n++) {
                int best = x.label[k];
                for (int v = 0; v < TINY_V && !(pool && x.label[k] % 2); v++)
                    if (v != x.label[k] && (best == x.label[k] || x.z[k][v] > x.z[k][best])) best = v;
                sum += log_sum(x.z[k]) - x.z[k][best];
            }
        }
        close_to(r.loss, sum / n);
        tiny_close(&t);
    }
}

/* As its authors' program makes them: the likeliest token behind the scored one, but that one itself. */
static void test_late_runner_ups(void **state)
{
    tiny t;
    double sum = 0, n = 0;
    (void)state;
    open(&t, "advsample");
    UL_OK_IN(t.ctx, ul_args_set(ul_ctx_arena(t.ctx), &t.args, "advsample", "labels", "late"));
    const ul_step_result r = first_step(&t);
    for (int32_t i = 0; i < t.recipe.batch; i++) {
        const ul_doc *d = forget_of(&t, i);
        int32_t token[64];
        uint8_t labelled[64];
        for (int32_t k = 0; k <= d->n; k++)
            token[k] = k < d->n ? d->token[k] : 5, labelled[k] = k > 0 && d->labelled[k - 1];
        const ul_doc behind = {.id = d->id, .n = d->n + 1, .token = token, .labelled = labelled};
        const logits x = logits_of(&t, d), y = logits_of(&t, &behind);
        assert_int_equal(x.n, y.n);
        for (int32_t k = 0; k < x.n; k++, n++) {
            int best = x.label[k] ? 0 : 1;
            for (int v = 0; v < TINY_V; v++)
                if (v != x.label[k] && y.z[k][v] > y.z[k][best]) best = v;
            sum += log_sum(x.z[k]) - x.z[k][best];
        }
    }
    close_to(r.loss, sum / n);
    tiny_close(&t);
}

/* randlabel: near log V in the mean over draws, another number each step, the same one when asked again. */
static void test_random_labels(void **state)
{
    tiny t;
    ul_trainer *tr;
    double loss[6];
    (void)state;
    open(&t, "randlabel");
    UL_OK_IN(t.ctx, ul_trainer_new(t.ctx, &t.run.options, 6, &tr));
    for (int i = 0; i < 6; i++) {
        ul_step_result r;
        UL_OK_IN(t.ctx, ul_trainer_gradients(tr, i % 5, &r));
        loss[i] = r.loss;
        for (int k = 0; k < i && i < 5; k++) assert_true(loss[i] != loss[k]);
        assert_true(fabs(loss[i] - log(TINY_V)) < 1.5);
    }
    assert_true(loss[5] == loss[0]);
    ul_trainer_free(tr);
    tiny_close(&t);
}

static ul_doc behind(tiny *t, const ul_doc *d, const char *text)
{
    const int32_t *token;
    int32_t n;
    ul_docs *out;
    UL_OK_IN(t->ctx, tiny_encode(NULL, ul_ctx_arena(t->ctx), text, &token, &n));
    UL_OK_IN(t->ctx, ul_docs_behind(ul_ctx_arena(t->ctx), &(ul_docs){.n = 1, .at = (ul_doc *)d}, token, n, -1, &out));
    return out->at[0];
}

static double divergence(const double *q, const double *z)
{
    const double lq = log_sum(q), lz = log_sum(z);
    double kl = 0;
    for (int v = 0; v < TINY_V; v++) kl += exp(q[v] - lq) * ((q[v] - lq) - (z[v] - lz));
    return kl;
}

/* What is left of logits when only the `top` largest stay; 0: all. */
static void cut(double *q, int top)
{
    double kept[TINY_V];
    for (int v = 0; v < TINY_V; v++) {
        int above = 0;
        for (int u = 0; u < TINY_V; u++) above += q[u] > q[v];
        kept[v] = top && above >= top ? -1e9 : q[v];
    }
    memcpy(q, kept, sizeof kept);
}

/* elm and duet: KL to a softmax of logits read bare and behind texts, with the ramp, of all tokens or the likeliest. */
static void test_readings(void **state)
{
    (void)state;
    for (int kind = 0; kind < 4; kind++) {
        tiny t;
        double sum = 0, n = 0;
        const bool elm = kind & 1;
        const int top = kind & 2 ? 4 : 0;
        open(&t, elm ? "elm" : "duet");
        put(&t, "eta", 3), put(&t, "eta_start", 0.5), put(&t, "top", top), put(&t, "alpha", 0), put(&t, "fluency", 0);
        const ul_step_result r = first_step(&t);
        for (int32_t i = 0; i < t.recipe.batch; i++) {
            const ul_doc *d = forget_of(&t, i);
            const ul_doc with = behind(&t, d, elm ? ul_txt(&t.args, "novice") : ul_txt(&t.args, "prompt"));
            const ul_doc expert = elm ? behind(&t, d, ul_txt(&t.args, "expert")) : with;
            const logits x = logits_of(&t, d), y = logits_of(&t, &with), e = logits_of(&t, &expert);
            for (int32_t k = 0; k < x.n; k++, n++) {
                const double eta = x.n > 1 ? 0.5 + 2.5 * k / (x.n - 1) : 3;
                double q[TINY_V];
                for (int v = 0; v < TINY_V; v++)
                    q[v] = elm ? (x.z[k][v] + eta * (y.z[k][v] - e.z[k][v])) / 1.2 : y.z[k][v];
                cut(q, top);
                sum += divergence(q, x.z[k]);
            }
        }
        assert_true(sum / n > 1e-3 && r.grad_norm > 1e-3);
        close_to(r.loss, sum / n);
        tiny_close(&t);
    }
}

/* elm's other terms: the reference's likeliest tokens as labels of the retain documents, and the alternates'
 * likelihood. */
static void test_elm_terms(void **state)
{
    tiny t;
    double hard = 0, n_hard = 0, fluent = 0, n_fluent = 0;
    (void)state;
    open(&t, "elm");
    put(&t, "gamma", 0), put(&t, "alpha", 0.3), put(&t, "fluency", 2);
    const ul_step_result r = first_step(&t);
    for (int32_t i = 0; i < t.recipe.batch; i++) {
        ul_sample s;
        UL_OK_IN(t.ctx, tiny_sample(&t, 0, i, NULL, &s));
        const logits x = logits_of(&t, s.doc[UL_RETAIN]), a = logits_of(&t, s.doc[UL_ALT]);
        for (int32_t k = 0; k < x.n; k++, n_hard++) {
            double most = x.z[k][0];
            for (int v = 1; v < TINY_V; v++) most = fmax(most, x.z[k][v]);
            hard += log_sum(x.z[k]) - most;
        }
        for (int32_t k = 0; k < a.n; k++, n_fluent++) fluent += log_sum(a.z[k]) - a.z[k][a.label[k]];
    }
    close_to(r.loss, 0.3 * hard / n_hard + 2 * fluent / n_fluent);
    close_to(r.retain_loss, hard / n_hard);
    tiny_close(&t);
}

/* scrub: its divergences are of distributions at a temperature, times its square. */
static void test_scrub_temperature(void **state)
{
    (void)state;
    for (int hot = 0; hot < 2; hot++) {
        tiny t;
        ul_trainer *tr;
        ul_step_result r;
        double sum = 0, n = 0;
        const double T = hot ? 3 : 1;
        open(&t, "scrub");
        put(&t, "temperature", T), put(&t, "likelihood", 0), put(&t, "kappa", 1);
        tiny_references(&t, NULL);
        ul_model *moved = t.model;
        ul_trainable *train;
        logits before[16];
        for (int32_t i = 0; i < t.recipe.batch; i++) {
            ul_sample s;
            UL_OK_IN(t.ctx, tiny_sample(&t, 0, i, NULL, &s));
            before[i] = logits_of(&t, s.doc[UL_RETAIN]);
        }
        for (int i = 0, m = ul_model_trainables(moved, &train); i < m; i++)
            for (int64_t j = 0; j < train[i].n; j++)
                ((double *)train[i].p)[j] += 0.05 * ul_rng_normal(4, UL_STREAM_TEST, (uint64_t)i, (uint64_t)j);
        UL_OK_IN(t.ctx, ul_trainer_new(t.ctx, &t.run.options, 6, &tr));
        UL_OK_IN(t.ctx, ul_trainer_gradients(tr, 0, &r));
        ul_trainer_free(tr);
        for (int32_t i = 0; i < t.recipe.batch; i++) {
            ul_sample s;
            UL_OK_IN(t.ctx, tiny_sample(&t, 0, i, NULL, &s));
            logits x = logits_of(&t, s.doc[UL_RETAIN]);
            for (int32_t k = 0; k < x.n; k++, n++) {
                for (int v = 0; v < TINY_V; v++) x.z[k][v] /= T, before[i].z[k][v] /= T;
                sum += T * T * divergence(before[i].z[k], x.z[k]);
            }
        }
        assert_true(sum / n > 1e-3);
        close_to(r.loss, sum / n);
        tiny_close(&t);
    }
}

/* Behind no text the teacher is the model itself: nothing to learn. */
static void test_q5_reading_of_nothing(void **state)
{
    tiny t;
    (void)state;
    open(&t, "duet");
    t.args.text[0] = "";
    const ul_step_result r = first_step(&t);
    assert_true(r.loss == 0 && r.grad_norm == 0);
    tiny_close(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_runner_ups), cmocka_unit_test(test_late_runner_ups),
                                       cmocka_unit_test(test_random_labels),
                                       cmocka_unit_test(test_readings), cmocka_unit_test(test_elm_terms),
                                       cmocka_unit_test(test_scrub_temperature),
                                       cmocka_unit_test(test_q5_reading_of_nothing)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
