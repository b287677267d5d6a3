/* Laws of a run with wrappers, every one of the registry around npo and graddiff, and several together, and on every
 * family: threads,
 * micro-batch, instruction set, a kill and a resume change neither the weights nor the step log; and each changes the
 * run. */
#include "wrapper_test.h"
#include <signal.h>
#include <sys/wait.h>

static const char *const methods[] = {"npo", "graddiff"};
static const struct {
    const char *name, *wrap[MOST_WRAP];
} together[] = {{"surgery", {"wagle", "sam", "gru", "wa"}}, {"stages", {"lu", "rs", "ramp", "budget"}}};
enum { N_TOGETHER = sizeof together / sizeof *together };

typedef struct {
    char weights[65];
    char *log;
    int64_t steps;
} outcome;

static const char *family; /* NULL: llama */
static bool lora;

static void begin(wrapped *w, const tiny_how *as, const char *method, const char *id, const char *out)
{
    char dir[700];
    tiny_how how = *as;
    how.family = family, how.lora = lora;
    wrapped_open(w, &how, method, out);
    int named = 0;
    for (int k = 0; k < N_TOGETHER; k++)
        for (int i = 0; !strcmp(id, together[k].name) && i < MOST_WRAP; i++)
            named += wrap(w, together[k].wrap[i]) != NULL;
    if (*id && !named) wrap(w, id);
    for (int i = 0; i < w->t.run.options.n_wrap; i++) {
        ul_args *a = &w->args[i];
        if (!strcmp(w->wrap[i].id, "wa")) set_number(a, "every", 2);
        if (!strcmp(w->wrap[i].id, "budget"))
            set_number(a, "every", 3), set_number(a, "limit", named ? 1000 : family ? 1e-9 : 0.05);
        if (!strcmp(w->wrap[i].id, "gu")) set_number(a, "rank", 2);
        if (!strcmp(w->wrap[i].id, "lu")) set_number(a, "folds", 2);
        if (!strcmp(w->wrap[i].id, "sam")) set_number(a, "rho", 0.2);
    }
    snprintf(dir, sizeof dir, "%s/reference", out);
    tiny_references(&w->t, dir);
}

static outcome finish(wrapped *w, const char *out)
{
    ul_step_result last;
    outcome o;
    UL_OK_IN(w->t.ctx, ul_run_train(w->t.ctx, &w->t.run, &last, &o.steps));
    UL_OK_IN(w->t.ctx, ul_model_digest(w->t.ctx, w->t.model, o.weights));
    o.log = tiny_log(out);
    tiny_close(&w->t);
    return o;
}

static outcome whole(const tiny_how *how, const char *method, const char *id)
{
    wrapped w;
    char out[600];
    snprintf(out, sizeof out, "%s", ul_test_folder("law"));
    begin(&w, how, method, id, out);
    return finish(&w, out);
}

static void same(const outcome *want, outcome have, const char *what, const char *method, const char *id)
{
    if (strcmp(want->weights, have.weights) || strcmp(want->log, have.log))
        fail_msg("%s around %s: %s changes the run\n%s\n%s", id, method, what, want->log, have.log);
    free(have.log);
}

static void die(void *user, int64_t step, const ul_step_result *r)
{
    (void)user, (void)r;
    if (step == 4) raise(SIGKILL);
}

/* Killed in its fifth step (the checkpoint is that of the fourth), resumed with other flags. */
static outcome killed(const char *method, const char *id, bool *was_killed)
{
    wrapped w;
    char out[600];
    int status;
    snprintf(out, sizeof out, "%s", ul_test_folder("kill"));
    const pid_t child = fork();
    if (child == 0) {
        const tiny_how how = {.threads = 1, .micro = 3};
        begin(&w, &how, method, id, out);
        w.t.run.on_step = die;
        (void)finish(&w, out);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    *was_killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
    const tiny_how how = {.threads = 2, .micro = 1, .checkpoint = true};
    begin(&w, &how, method, id, out);
    w.t.run.resume = true;
    return finish(&w, out);
}

static void laws(const char *method, const char *id)
{
    const tiny_how plain = {.isa = "portable", .threads = 1, .micro = 7};
    bool was_killed;
    const outcome resumed = killed(method, id, &was_killed); /* a fork before this process has threads */
    const outcome want = whole(&plain, method, id), without = whole(&plain, method, "");
    if (!strcmp(want.weights, without.weights)) fail_msg("%s around %s does nothing", id, method);
    if (strcmp(id, "budget"))
        assert_true(was_killed && want.steps == 6);
    else
        assert_true(want.steps == 3 && strstr(want.log, "\"kl\"")); /* it ended on its budget; resumed, it is over */
    same(&want, resumed, "a kill and a resume", method, id);
    tiny_how h = plain;
    h.micro = 1;
    same(&want, whole(&h, method, id), "micro-batch 1", method, id);
    h.micro = 4, h.threads = 2, h.isa = NULL;
    same(&want, whole(&h, method, id), "micro-batch 4 on 2 threads and the best instruction set", method, id);
    free(want.log), free(without.log);
}

static void test_laws(void **state)
{
    int n;
    const ul_wrapper_entry *e = ul_wrappers(&n);
    (void)state;
    for (int m = 0; m < 2; m++) {
        for (int i = 0; i < n; i++) laws(methods[m], e[i].id);
        for (int k = 0; k < N_TOGETHER; k++) laws(methods[m], together[k].name);
    }
}

/* The same around npo on the other families, and of adapters. */
static void test_families_and_adapters(void **state)
{
    int n;
    const ul_wrapper_entry *e = ul_wrappers(&n);
    (void)state;
    for (const char *const *f = ul_families(); *f; f++) {
        family = ul_family_types(*f)[0];
        lora = !strcmp(family, "llama");
        for (int i = 0; i < n; i++) laws("npo", e[i].id);
    }
    family = NULL, lora = false;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_laws), cmocka_unit_test(test_families_and_adapters)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
