/* Laws of a run: micro-batch, threads, instruction set, checkpointing, where the reference is kept, a kill and a resume
 * change neither the weights nor the step log, in f32 and in bf16; at step 0 the cached reference is the policy. */
#include "method/method.h"
#include "train_test.h"
#include <signal.h>
#include <sys/wait.h>

typedef struct {
    char weights[65];
    char *log;
} outcome;

static const struct {
    const char *id, *retain, *train;
} kinds[] = {{"npo", "nll", "all"},
             {"graddiff", "kl", "layers 1"},
             {"dpo", "kl", "all"},
             {"idk", "nll", "all"},
             {"undial", "kl", "all"},
             {"ceu", "", "all"},
             {"pdu", "nll", "all"},
             {"rmu", "", "layers 1 mlp.down_proj"},
             {"scrub", "", "all"},
             {"llmu", "", "all"},
             {"loku", "nll", "all"},
             {"randlabel", "nll", "all"},
             {"advsample", "kl", "layers 1"},
             {"elm", "kl", "all"},
             {"armu", "", "all"},
             {"cosrmu", "", "layers 1"},
             {"rr", "", "all"},
             {"lunar", "", "layers 1 mlp.down_proj"},
             {"repnoise", "kl", "layers 1"},
             {"", "", "all"}}; /* "": plain training */

static void begin(tiny *t, const ul_config *config, const tiny_how *how, int kind, const char *out)
{
    const ul_method *m = kinds[kind].id[0] ? ul_method_find(kinds[kind].id) : NULL;
    tiny_open(t, config, how, m, out);
    for (int i = 0; m && m->params[i].key; i++)
        if (!strcmp(m->params[i].key, "retain")) t->args.text[i] = kinds[kind].retain;
        else if (!strcmp(m->params[i].key, "alpha")) t->args.num[i] = 1;
        else if (!strcmp(m->params[i].key, "dual_warmup")) t->args.num[i] = 0;
        else if (!strcmp(m->params[i].key, "layer")) t->args.num[i] = 1;
    UL_OK_IN(t->ctx, ul_model_select(t->ctx, t->model, kinds[kind].train));
    char dir[700];
    snprintf(dir, sizeof dir, "%s/reference", out);
    tiny_references(t, how->memory ? NULL : dir);
    assert_true(!strcmp(kinds[kind].train, "all") == !t->run.options.prefix[UL_FORGET]);
    for (int s = 0; how->whole && s < UL_N_SIDE; s++) t->run.options.prefix[s] = NULL;
}

static outcome finish(tiny *t, const char *out)
{
    ul_step_result last;
    int64_t steps;
    outcome o;
    UL_OK_IN(t->ctx, ul_run_train(t->ctx, &t->run, &last, &steps));
    assert_int_equal(steps, t->recipe.steps);
    UL_OK_IN(t->ctx, ul_model_digest(t->ctx, t->model, o.weights));
    assert_string_not_equal(o.weights, t->digest); /* something was learnt */
    o.log = tiny_log(out);
    tiny_close(t);
    return o;
}

static outcome whole(const tiny_how *how, int kind)
{
    tiny t;
    const char *folder = ul_test_folder("law");
    char out[600];
    snprintf(out, sizeof out, "%s", folder);
    begin(&t, NULL, how, kind, out);
    return finish(&t, out);
}

static void same(const outcome *want, outcome have, const char *what, int kind, ul_precision precision)
{
    if (strcmp(want->weights, have.weights) || strcmp(want->log, have.log))
        fail_msg("%s, precision %d: %s changes the run\n%s\n%s", kinds[kind].id, (int)precision, what, want->log,
                 have.log);
    free(have.log);
}

static void die(void *user, int64_t step, const ul_step_result *r)
{
    (void)user, (void)r;
    if (step == 4) raise(SIGKILL);
}

/* The run, killed in its fifth step (the checkpoint is that of the fourth), then resumed with other flags. */
static outcome killed(ul_precision precision, int kind)
{
    tiny t;
    const char *folder = ul_test_folder("kill");
    char out[600];
    int status;
    snprintf(out, sizeof out, "%s", folder);
    const pid_t child = fork();
    if (child == 0) {
        const tiny_how how = {.precision = precision, .threads = 1, .micro = 3};
        begin(&t, NULL, &how, kind, out);
        t.run.on_step = die;
        (void)finish(&t, out);
        _exit(1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    char *log = tiny_log(out);
    assert_non_null(strstr(log, "\"step\":5,")); /* written, but after the last checkpoint */
    free(log);
    const tiny_how how = {.precision = precision, .threads = 2, .micro = 1, .checkpoint = true};
    begin(&t, NULL, &how, kind, out);
    t.run.resume = true;
    return finish(&t, out);
}

static void laws(ul_precision precision)
{
    for (int k = 0; k < (int)(sizeof kinds / sizeof kinds[0]); k++) {
        const tiny_how plain = {.isa = "portable", .precision = precision, .threads = 1, .micro = 7};
        const outcome resumed = killed(precision, k);
        const outcome want = whole(&plain, k);
        same(&want, resumed, "a kill and a resume", k, precision);
        tiny_how h = plain;
        h.micro = 1;
        same(&want, whole(&h, k), "micro-batch 1", k, precision);
        h.micro = 4, h.threads = 2;
        same(&want, whole(&h, k), "micro-batch 4 on 2 threads", k, precision);
        h.micro = 0, h.checkpoint = true;
        same(&want, whole(&h, k), "checkpointing", k, precision);
        h.checkpoint = false, h.memory = true;
        same(&want, whole(&h, k), "the reference in memory", k, precision);
        h.whole = true;
        if (strcmp(kinds[k].train, "all")) same(&want, whole(&h, k), "the pass from the embedding", k, precision);
        for (const char *const *isa = ul_backend_isas(); *isa; isa++) {
            h = plain, h.isa = *isa, h.micro = 16;
            same(&want, whole(&h, k), *isa, k, precision);
        }
        free(want.log);
    }
}

static void test_f32(void **state)
{
    (void)state;
    laws(UL_PRECISION_F32);
}

static void test_bf16(void **state)
{
    (void)state;
    laws(UL_PRECISION_BF16);
}

/* NPO at step 0: every log-ratio is exactly 0, whatever the cut and the packing of the sweep. */
static void test_reference_is_policy(void **state)
{
    (void)state;
    for (int precision = UL_PRECISION_F32; precision <= UL_PRECISION_BF16; precision++) {
        const tiny_how how = {.precision = (ul_precision)precision, .threads = 2, .micro = 3};
        tiny t;
        ul_trainer *tr;
        ul_step_result r;
        tiny_open(&t, NULL, &how, ul_method_find("npo"), NULL);
        for (int i = 0; t.args.params[i].key; i++)
            if (!strcmp(t.args.params[i].key, "alpha")) t.args.num[i] = 0;
        tiny_references(&t, NULL);
        UL_OK_IN(t.ctx, ul_trainer_new(t.ctx, &t.run.options, 1, &tr));
        UL_OK_IN(t.ctx, ul_trainer_gradients(tr, 0, &r));
        double want = 0;
        for (int i = 0; i < t.recipe.batch; i++) want += -2 / 0.1 * ul_log_sigmoid(-0.0) / t.recipe.batch;
        assert_memory_equal(&r.loss, &want, sizeof want);
        ul_trainer_free(tr);
        tiny_close(&t);
    }
}

/* Q5: at the reference the divergence on either side is 0 with a gradient of exactly 0; a step away it is not. */
static void test_q5_divergence_at_reference(void **state)
{
    (void)state;
    for (int side = 0; side < 2; side++) {
        const tiny_how how = {.threads = 2, .micro = 3};
        tiny t;
        ul_trainer *tr;
        ul_trainable *w;
        ul_step_result r[2];
        tiny_open(&t, NULL, &how, ul_method_find(side ? "ga_kl" : "ga_fkl"), NULL);
        for (int i = 0; t.args.params[i].key; i++)
            if (!strcmp(t.args.params[i].key, "gamma")) t.args.num[i] = 0;
        tiny_references(&t, NULL);
        UL_OK_IN(t.ctx, ul_trainer_new(t.ctx, &t.run.options, 1, &tr));
        UL_OK_IN(t.ctx, ul_trainer_gradients(tr, 0, &r[0]));
        (void)ul_model_trainables(t.model, &w);
        ((float *)w[0].p)[7] += 0.5F;
        UL_OK_IN(t.ctx, ul_trainer_gradients(tr, 0, &r[1]));
        if (!(r[0].loss == 0 && r[0].grad_norm == 0 && r[1].loss > 1e-6 && r[1].grad_norm > 1e-6))
            fail_msg("side %d: %g, %g; moved: %g, %g", side, r[0].loss, r[0].grad_norm, r[1].loss, r[1].grad_norm);
        ul_trainer_free(tr);
        tiny_close(&t);
    }
}

/* Q4: UNDIAL that lowers nothing teaches the reference to be itself: a gradient of exactly 0. */
static void test_q4_undial_of_nothing(void **state)
{
    double norm[2];
    (void)state;
    for (int k = 0; k < 2; k++) {
        const tiny_how how = {.threads = 1, .micro = 3};
        tiny t;
        ul_trainer *tr;
        ul_step_result r;
        tiny_open(&t, NULL, &how, ul_method_find("undial"), NULL);
        t.args.num[0] = k * 0.5;
        assert_string_equal(t.args.params[0].key, "beta");
        tiny_references(&t, NULL);
        UL_OK_IN(t.ctx, ul_trainer_new(t.ctx, &t.run.options, 1, &tr));
        UL_OK_IN(t.ctx, ul_trainer_gradients(tr, 0, &r));
        norm[k] = r.grad_norm;
        ul_trainer_free(tr);
        tiny_close(&t);
    }
    assert_true(norm[0] == 0 && norm[1] > 1e-3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_f32), cmocka_unit_test(test_bf16),
                                       cmocka_unit_test(test_reference_is_policy),
                                       cmocka_unit_test(test_q5_divergence_at_reference),
                                       cmocka_unit_test(test_q4_undial_of_nothing)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
