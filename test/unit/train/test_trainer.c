/* A step taken apart: optimizer and clipping against a naive re-computation, who moves, the peer's means, padded
 * divergence, the byte plan, checkpoints of another recipe, a loss that is no number, interruption. */
#include "method/method.h"
#include "train_test.h"

static double *copy(const tiny *t, const void *p, int64_t n)
{
    double *x = calloc((size_t)n, sizeof *x);
    for (int64_t i = 0; i < n; i++)
        x[i] = t->be->k->esize == 8 ? ((const double *)p)[i] : (double)((const float *)p)[i];
    return x;
}

static void close_to(double have, double want, double eps)
{
    if (!(fabs(have - want) <= eps * fmax(1e-3, fabs(want)))) fail_msg("%.17g is not %.17g", have, want);
}

/* Two steps of AdamW, SGD, SGD with momentum, with and without clipping, in double. */
static void test_update(void **state)
{
    (void)state;
    for (int kind = 0; kind < 6; kind++) {
        const tiny_how how = {.precision = UL_PRECISION_DOUBLE, .threads = 1};
        tiny t;
        ul_trainer *tr;
        ul_trainable *w;
        tiny_open(&t, NULL, &how, NULL, NULL);
        t.recipe.optim = kind < 2 ? UL_ADAMW : UL_SGD;
        t.recipe.momentum = kind < 4 ? 0 : 0.9;
        t.recipe.clip = kind % 2 ? 0.25 : 0;
        t.recipe.weight_decay = 0.1;
        t.recipe.warmup = 0;
        t.recipe.schedule = UL_CONSTANT;
        UL_OK_IN(t.ctx, ul_trainer_new(t.ctx, &t.run.options, 2, &tr));
        const int n = ul_model_trainables(t.model, &w), which[2] = {0, n - 1};
        assert_true(w[0].decays && !w[n - 1].decays); /* the embedding decays, the last norm does not */
        double *m[2] = {NULL, NULL}, *v[2] = {NULL, NULL};
        for (int64_t step = 0; step < 2; step++) {
            ul_step_result r;
            double *before[2], *g[2];
            UL_OK_IN(t.ctx, ul_trainer_gradients(tr, step, &r));
            assert_true(r.grad_norm > 0.25);
            for (int k = 0; k < 2; k++)
                before[k] = copy(&t, w[which[k]].p, w[which[k]].n), g[k] = copy(&t, w[which[k]].g, w[which[k]].n);
            UL_OK_IN(t.ctx, ul_trainer_update(tr, step, &r));
            for (int k = 0; k < 2; k++) {
                const ul_trainable *x = &w[which[k]];
                const double wd = x->decays ? 0.1 : 0, lr = 0.01, scale = kind % 2 ? 0.25 / (r.grad_norm + 1e-6) : 1;
                double *after = copy(&t, x->p, x->n);
                if (!m[k]) m[k] = calloc((size_t)x->n, sizeof(double)), v[k] = calloc((size_t)x->n, sizeof(double));
                for (int64_t i = 0; i < x->n; i++) {
                    double d = g[k][i] * scale, p = before[k][i];
                    if (kind < 2) {
                        p -= lr * wd * p;
                        m[k][i] = 0.9 * m[k][i] + 0.1 * d;
                        v[k][i] = 0.999 * v[k][i] + 0.001 * d * d;
                        p -= lr * (m[k][i] / (1 - pow(0.9, (double)step + 1))) /
                             (sqrt(v[k][i] / (1 - pow(0.999, (double)step + 1))) + 1e-8);
                    } else {
                        d += wd * p;
                        m[k][i] = t.recipe.momentum * m[k][i] + d;
                        p -= lr * m[k][i];
                    }
                    close_to(after[i], p, 1e-9);
                }
                free(after), free(before[k]), free(g[k]);
            }
        }
        for (int k = 0; k < 2; k++) free(m[k]), free(v[k]);
        ul_trainer_free(tr);
        tiny_close(&t);
    }
}

/* Plain training: the loss is the mean nll over the step's scored tokens, computed here from the model's own
 * log-probs. */
static void test_plain_loss(void **state)
{
    (void)state;
    const tiny_how how = {.precision = UL_PRECISION_DOUBLE, .threads = 1, .micro = 2};
    tiny t;
    ul_reference *ref;
    ul_trainer *tr;
    ul_step_result r;
    double sum = 0, n = 0;
    tiny_open(&t, NULL, &how, NULL, NULL);
    UL_OK_IN(t.ctx, ul_reference_open(t.ctx, ul_ctx_arena(t.ctx), t.model, NULL, t.digest, t.docs[UL_FORGET], true,
                                      &ref));
    UL_OK_IN(t.ctx, ul_trainer_new(t.ctx, &t.run.options, 3, &tr));
    UL_OK_IN(t.ctx, ul_trainer_gradients(tr, 2, &r));
    for (int32_t i = 0; i < t.recipe.batch; i++) {
        ul_sample s;
        UL_OK_IN(t.ctx, tiny_sample(&t, 2, i, NULL, &s));
        const int64_t id = s.doc[UL_FORGET]->id;
        for (int32_t k = 0; k < ul_reference_rows(ref, id); k++) sum -= ul_reference_logp(ref, id)[k], n++;
    }
    close_to(r.loss, sum / n, 1e-13);
    close_to(r.forget_loss, sum / n, 1e-13);
    assert_true(isnan(r.retain_loss) && isnan(r.alt_loss) && r.scored == (int64_t)n);
    assert_memory_equal(ul_reference_head(ref), ul_model_head(t.model), TINY_V * 32 * sizeof(double));
    ul_trainer_free(tr);
    tiny_close(&t);
}

/* Q14: neither the order of a step's samples nor what its prompts would have been scored against counts. */
typedef struct {
    tiny *t;
    bool backwards, other;
} told;

static ul_status told_sample(void *user, int64_t step, int32_t i, ul_arena *arena, ul_sample *out)
{
    const told *x = user;
    UL_TRY(tiny_sample(x->t, step, x->backwards ? x->t->recipe.batch - 1 - i : i, arena, out));
    for (int s = 0; x->other && s < UL_N_SIDE; s++) {
        if (!out->doc[s]) continue;
        ul_doc *d = UL_NEW(arena, ul_doc, 1);
        int32_t *target = UL_NEW(arena, int32_t, out->doc[s]->n);
        UL_NEED(d);
        UL_NEED(target);
        *d = *out->doc[s];
        for (int32_t k = 0; k < d->n; k++) target[k] = d->labelled[k] ? d->token[k] : (d->token[k] + 7) % TINY_V;
        d->target = target;
        out->doc[s] = d;
    }
    return UL_OK;
}

static double told_loss(const char *id, bool backwards, bool other, double *norm)
{
    const tiny_how how = {.precision = UL_PRECISION_DOUBLE, .threads = 1, .micro = 2};
    tiny t;
    ul_trainer *tr;
    ul_step_result r;
    told x = {&t, backwards, other};
    tiny_open(&t, NULL, &how, ul_method_find(id), NULL);
    tiny_references(&t, NULL);
    t.run.options.sample = told_sample, t.run.options.user = &x;
    UL_OK_IN(t.ctx, ul_trainer_new(t.ctx, &t.run.options, 3, &tr));
    UL_OK_IN(t.ctx, ul_trainer_gradients(tr, 1, &r));
    *norm = r.grad_norm;
    ul_trainer_free(tr);
    tiny_close(&t);
    return r.loss;
}

static void test_q14_order_and_prompts(void **state)
{
    (void)state;
    static const char *const id[] = {"graddiff", "npo", "ga_kl", "undial", "pdu"};
    for (size_t k = 0; k < sizeof id / sizeof *id; k++) {
        double norm, other;
        const double loss = told_loss(id[k], false, false, &norm);
        close_to(told_loss(id[k], true, false, &other), loss, 1e-12);
        close_to(other, norm, 1e-11);
        assert_true(told_loss(id[k], false, true, &other) == loss && other == norm);
    }
}

static void test_only_selected_weights_move(void **state)
{
    (void)state;
    const tiny_how how = {.threads = 1};
    tiny t;
    ul_step_result last;
    int64_t steps;
    ul_weight *w;
    tiny_open(&t, NULL, &how, NULL, NULL);
    UL_OK_IN(t.ctx, ul_model_select(t.ctx, t.model, "layers 1 mlp"));
    const int n = ul_model_weights(t.model, &w);
    double **before = calloc((size_t)n, sizeof *before);
    for (int i = 0; i < n; i++) before[i] = copy(&t, w[i].p, w[i].rows * w[i].cols);
    UL_OK_IN(t.ctx, ul_run_train(t.ctx, &t.run, &last, &steps));
    for (int i = 0; i < n; i++) {
        double *after = copy(&t, w[i].p, w[i].rows * w[i].cols);
        const bool moved = memcmp(after, before[i], (size_t)(w[i].rows * w[i].cols) * sizeof *after) != 0;
        if (moved != (strstr(w[i].name, "layers.1.mlp") != NULL))
            fail_msg("%s %s", w[i].name, moved ? "moved" : "stayed");
        free(after), free(before[i]);
    }
    free(before);
    tiny_close(&t);
}

/* match_peer: each micro-batch has its own mean, the step is the mean of these; other numbers than the global mean. */
static void test_peer_means(void **state)
{
    (void)state;
    double whole = 0, first = 0;
    for (int match = 0; match < 2; match++) {
        const tiny_how how = {.precision = UL_PRECISION_DOUBLE, .threads = 1, .micro = 3};
        tiny t;
        ul_trainer *tr;
        ul_step_result r;
        int32_t n;
        tiny_open(&t, NULL, &how, NULL, NULL);
        t.recipe.match_peer = match;
        UL_OK_IN(t.ctx, ul_trainer_new(t.ctx, &t.run.options, 1, &tr));
        UL_OK_IN(t.ctx, ul_trainer_gradients(tr, 0, &r));
        const double *part = ul_trainer_micro_losses(tr, &n);
        assert_int_equal(n, 3);
        close_to(r.loss, match ? (part[0] + part[1] + part[2]) / 3 : part[0] + part[1] + part[2], 1e-13);
        if (!match)
            whole = r.loss, first = part[0];
        else
            assert_true(fabs(whole - r.loss) > 1e-6 && part[0] > 1.5 * first);
        ul_trainer_free(tr);
        tiny_close(&t);
    }
}

/* The peer's divergence over padded batches: nothing at the start, something once the model has moved away; caches
 * cannot serve it, and it is not the number of the labelled positions alone. */
static void test_peer_divergence(void **state)
{
    (void)state;
    double loss[2][2];
    for (int match = 0; match < 2; match++) {
        const tiny_how how = {.precision = UL_PRECISION_DOUBLE, .threads = 1, .micro = 4};
        tiny t;
        ul_trainer *tr;
        ul_model *ref;
        tiny_open(&t, NULL, &how, ul_method_find("ga_kl"), NULL);
        t.args.num[0] = 0; /* gamma: only the divergence is left */
        t.args.num[1] = 1;
        t.recipe.match_peer = match;
        t.recipe.warmup = 0;
        UL_OK_IN(t.ctx, ul_model_fresh(t.ctx, t.be, tiny_config(NULL, false), 5, 0.2, &ref));
        if (match) UL_FAILS_IN(t.ctx, UL_E_INTERNAL, "retain documents", ul_trainer_new(t.ctx, &t.run.options, 2, &tr));
        t.run.options.reference = ref;
        UL_OK_IN(t.ctx, ul_trainer_new(t.ctx, &t.run.options, 2, &tr));
        for (int step = 0; step < 2; step++) {
            ul_step_result r;
            UL_OK_IN(t.ctx, ul_trainer_gradients(tr, 0, &r));
            loss[match][step] = r.loss;
            if (step == 0) close_to(r.grad_norm, 0, 1e-10);
            ul_trainable *w;
            (void)ul_model_trainables(t.model, &w);
            ((double *)w[0].p)[7] += 0.5;
        }
        ul_trainer_free(tr);
        ul_model_free(ref);
        tiny_close(&t);
    }
    close_to(loss[0][0], 0, 1e-12);
    close_to(loss[1][0], 0, 1e-12);
    assert_true(loss[0][1] > 1e-6 && loss[1][1] > 1e-6 && fabs(loss[0][1] - loss[1][1]) > 1e-9);
}

/* A cache on disk is used again (its numbers, not a new sweep) and made again when it is damaged. */
static void test_cache_file(void **state)
{
    (void)state;
    const tiny_how how = {.threads = 1};
    const char *folder = ul_test_folder("cache");
    char dir[600], command[800];
    tiny t;
    ul_trainable *w;
    ul_reference *a, *b, *c;
    snprintf(dir, sizeof dir, "%s", folder);
    tiny_open(&t, NULL, &how, NULL, NULL);
    ul_arena *arena = ul_ctx_arena(t.ctx);
    UL_OK_IN(t.ctx, ul_reference_open(t.ctx, arena, t.model, dir, t.digest, t.docs[0], true, &a));
    const size_t n = (size_t)ul_reference_rows(a, 0);
    (void)ul_model_trainables(t.model, &w);
    ((float *)w[0].p)[3] += 1; /* the digest given says that the weights are the same: the file is believed */
    UL_OK_IN(t.ctx, ul_reference_open(t.ctx, arena, t.model, dir, t.digest, t.docs[0], true, &b));
    assert_memory_equal(ul_reference_logp(a, 0), ul_reference_logp(b, 0), n * sizeof(double));
    UL_OK_IN(t.ctx, ul_reference_open(t.ctx, arena, t.model, dir, "another", t.docs[0], true, &c));
    assert_memory_not_equal(ul_reference_logp(a, 0), ul_reference_logp(c, 0), n * sizeof(double));
    UL_OK_IN(t.ctx, ul_reference_open(t.ctx, arena, t.model, dir, t.digest, t.docs[UL_RETAIN], true, &c));
    assert_int_equal(ul_reference_rows(c, TINY_RETAIN), -1);
    UL_OK_IN(t.ctx, ul_reference_open(t.ctx, arena, t.model, NULL, t.digest, t.docs[0], true, &c));
    static const char *const damage[] = {"head -c 200 $f > $f.x; mv $f.x $f",
                                         "flip $f $(($(wc -c < $f) - 70))", /* in a log-prob */
                                         "flip $f 700"};                    /* in a state */
    for (size_t i = 0; i < sizeof damage / sizeof damage[0]; i++) {
        snprintf(command, sizeof command,
                 "flip() { printf x | dd of=$1 bs=1 seek=$2 conv=notrunc status=none; }; for f in %s/*; do %s; done",
                 dir, damage[i]);
        assert_int_equal(system(command), 0);
        UL_OK_IN(t.ctx, ul_reference_open(t.ctx, arena, t.model, dir, t.digest, t.docs[0], true, &b));
        for (int64_t d = 0; d < t.docs[0]->n; d++) {
            const size_t rows = (size_t)ul_reference_rows(c, d);
            assert_memory_equal(ul_reference_logp(b, d), ul_reference_logp(c, d), rows * sizeof(double));
            assert_memory_equal(ul_reference_hidden(b, d), ul_reference_hidden(c, d), rows * 32 * sizeof(float));
        }
    }
    tiny_close(&t);
}

static void test_plan(void **state)
{
    (void)state;
    size_t last = SIZE_MAX;
    for (int micro = 7; micro > 0; micro -= 3) {
        const tiny_how how = {.threads = 1, .micro = micro};
        tiny t;
        ul_trainer *tr;
        ul_train_plan p;
        tiny_open(&t, NULL, &how, ul_method_find("simnpo"), NULL);
        UL_OK_IN(t.ctx, ul_trainer_new(t.ctx, &t.run.options, 6, &tr));
        UL_OK_IN(t.ctx, ul_trainer_plan(tr, 0, &p));
        assert_true(p.total < last && p.total >= p.pass.total + p.optimizer && p.n_tok > 0 && p.longest > 0);
        last = p.total;
        ul_trainer_free(tr);
        tiny_close(&t);
    }
}

static bool stop(void *user)
{
    return ++*(int *)user >= 3;
}

static void test_interruption_and_foreign_checkpoint(void **state)
{
    (void)state;
    const tiny_how how = {.threads = 1};
    const char *folder = ul_test_folder("stop");
    char out[600];
    int asked = 0;
    tiny t;
    ul_step_result last;
    int64_t steps;
    snprintf(out, sizeof out, "%s", folder);
    const ul_config config = {.user = &asked, .interrupted = stop};
    tiny_open(&t, &config, &how, NULL, out);
    UL_OK_IN(t.ctx, ul_run_train(t.ctx, &t.run, &last, &steps));
    assert_int_equal(steps, 3);
    tiny_close(&t);
    tiny_open(&t, NULL, &how, NULL, out);
    t.run.resume = true;
    t.run.recipe_digest = "fedcba9876543210fedcba9876543210";
    UL_FAILS_IN(t.ctx, UL_E_USAGE, "0123456789abcdef", ul_run_train(t.ctx, &t.run, &last, &steps));
    UL_FAILS_IN(t.ctx, UL_E_USAGE, "fedcba9876543210", ul_run_train(t.ctx, &t.run, &last, &steps));
    t.run.recipe_digest = "0123456789abcdef0123456789abcdef";
    UL_OK_IN(t.ctx, ul_run_train(t.ctx, &t.run, &last, &steps));
    assert_int_equal(steps, 6);
    char *log = tiny_log(out), *p = log;
    for (int i = 1; i <= 6; i++) {
        char want[32];
        snprintf(want, sizeof want, "\"step\":%d,", i);
        p = strstr(p, want);
        assert_non_null(p);
    }
    free(log);
    tiny_close(&t);
}

/* A step that throws the weights away: the next loss is no number; the message names step and tensor, and the
 * checkpoint from before is still there and good. */
static void test_not_a_number(void **state)
{
    (void)state;
    const tiny_how how = {.threads = 1};
    const char *folder = ul_test_folder("nan");
    char out[600];
    tiny t;
    ul_step_result last;
    int64_t steps;
    snprintf(out, sizeof out, "%s", folder);
    tiny_open(&t, NULL, &how, NULL, out);
    t.recipe.warmup = 4; /* lr 0, then rising to what no weight survives */
    t.recipe.lr = 1e38;
    t.recipe.weight_decay = 10;
    t.run.save_every = 1;
    UL_FAILS_IN(t.ctx, UL_E_CRITERION, "not finite", ul_run_train(t.ctx, &t.run, &last, &steps));
    assert_non_null(strstr(ul_error_text(t.ctx), "step "));
    assert_non_null(strstr(ul_error_text(t.ctx), UL_CHECKPOINT_NAME));
    tiny_close(&t);
    tiny_open(&t, NULL, &how, NULL, out);
    ul_trainer *tr;
    UL_OK_IN(t.ctx, ul_trainer_new(t.ctx, &t.run.options, 6, &tr));
    char path[700];
    snprintf(path, sizeof path, "%s/%s", out, UL_CHECKPOINT_NAME);
    UL_OK_IN(t.ctx, ul_trainer_load(tr, path, &steps, t.run.recipe_digest));
    assert_true(steps >= 1);
    ul_trainer_free(tr);
    tiny_close(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_q14_order_and_prompts), cmocka_unit_test(test_update),
                                       cmocka_unit_test(test_plain_loss),
                                       cmocka_unit_test(test_only_selected_weights_move),
                                       cmocka_unit_test(test_peer_means),
                                       cmocka_unit_test(test_peer_divergence),
                                       cmocka_unit_test(test_cache_file),
                                       cmocka_unit_test(test_plan),
                                       cmocka_unit_test(test_interruption_and_foreign_checkpoint),
                                       cmocka_unit_test(test_not_a_number)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
