/* test_guard.c - every guard of the registry on every family: the model is left as it was; scores do not depend on
 * threads or batches; what is generated greedily is what the scored distribution has on top; another model is refused;
 * a fit that was killed half way goes on to the same bits. */
#include "guard_test.h"
#include "kill_test.h"

/* What greedy generation gives for every prompt of a data set. */
typedef struct {
    ul_docs *prompts;
    int32_t *ids[RETAIN_ROWS], n[RETAIN_ROWS];
} answers;

static void generate(house *h, const ul_guarded *how, int32_t batch, answers *a)
{
    const int32_t eos = ul_tokenizer_special(h->tok).eos;
    UL_OK_IN(h->ctx, ul_docs_prompts(h->ctx, h->arena, h->tok, &how->tpl, how->records, &a->prompts));
    const ul_generation g = {.n = (int32_t)a->prompts->n,
                             .prompt = a->prompts->at,
                             .max_new = MOST_NEW,
                             .eos = &eos,
                             .n_eos = 1,
                             .batch = batch,
                             .hook = how->hook,
                             .n_hook = how->n_hook,
                             .mix = how->mix};
    UL_OK_IN(h->ctx, ul_model_generate(h->ctx, h->model, &g, h->arena, a->ids, a->n));
}

/* Prompt and generated tokens as documents: at every generated token the scored distribution has that token on top. */
static void generation_agrees(house *h, ul_guard_file *g, const ul_records *records)
{
    const ul_guarded how = house_prepare(h, g, records);
    answers one, many;
    generate(h, &how, 1, &one);
    generate(h, &how, 4, &many);
    ul_docs docs = {.n = one.prompts->n, .at = UL_NEW(h->arena, ul_doc, one.prompts->n)};
    for (int64_t i = 0; i < docs.n; i++) {
        const ul_doc *p = &one.prompts->at[i];
        const int32_t n = p->n + one.n[i];
        int32_t *token = UL_NEW(h->arena, int32_t, n);
        uint8_t *labelled = UL_NEW(h->arena, uint8_t, n);
        assert_int_equal(one.n[i], many.n[i]);
        assert_memory_equal(one.ids[i], many.ids[i], (size_t)one.n[i] * sizeof(int32_t));
        memcpy(token, p->token, (size_t)p->n * sizeof *token);
        memcpy(token + p->n, one.ids[i], (size_t)one.n[i] * sizeof *token);
        memset(labelled + p->n, 1, (size_t)one.n[i]);
        docs.at[i] = (ul_doc){.id = i, .n = n, .token = token, .labelled = labelled};
    }
    double *logp;
    int32_t *best;
    house_score(h, &how, &docs, 3, &logp, &best);
    for (int64_t i = 0, at = 0; i < docs.n; i++)
        for (int32_t t = 0; t < one.n[i]; t++) assert_int_equal(best[at++], one.ids[i][t]);
}

static int64_t scores_with(const char *family, const ul_guard_entry *e, int threads, int64_t together, double *out,
                           double *bare)
{
    house h;
    char after[65];
    double *logp, *plain;
    house_open_as(&h, family, e->guard, UL_PRECISION_F32, threads);
    ul_guard_file *g = house_guard(&h, e->guard, e->id);
    UL_OK_IN(h.ctx, ul_model_digest(h.ctx, h.model, after));
    assert_string_equal(after, h.digest);
    const int64_t n = house_answers(&h, g, h.forget, together, &logp);
    assert_int_equal(house_answers(&h, NULL, h.forget, together, &plain), n);
    memcpy(out, logp, (size_t)n * sizeof *out);
    memcpy(bare, plain, (size_t)n * sizeof *bare);
    if (threads == 1) {
        generation_agrees(&h, g, h.forget);
        generation_agrees(&h, g, h.retain);
        h.digest[16] = 0; /* both are named */
        UL_FAILS_IN(h.ctx, UL_E_INPUT, h.digest,
                    ul_guard_around(g, h.model, h.tok, "00000000000000000000000000000000"));
        UL_FAILS_IN(h.ctx, UL_E_INPUT, "0000000000000000",
                    ul_guard_around(g, h.model, h.tok, "00000000000000000000000000000000"));
    }
    house_close(&h);
    return n;
}

static void on_family(const char *family)
{
    int n_guard;
    const ul_guard_entry *e = ul_guards(&n_guard);
    assert_true(n_guard > 0);
    for (int i = 0; i < n_guard; i++) {
        static double one[400], two[400], bare[400];
        print_message("%s on %s\n", e[i].id, family);
        assert_null(e[i].guard->method.loss);
        assert_int_equal(e[i].guard->method.intent, UL_SUPPRESSION);
        const int64_t n = scores_with(family, &e[i], 1, 1, one, bare);
        assert_int_equal(scores_with(family, &e[i], 2, 5, two, bare), n);
        assert_memory_equal(one, two, (size_t)n * sizeof *one);
        assert_memory_not_equal(one, bare, (size_t)n * sizeof *one); /* it does something */
    }
}

static void every_guard(void **state)
{
    (void)state;
    for (const char *const *f = ul_families(); *f; f++) on_family(ul_family_types(*f)[0]);
}

/* ---- killed and resumed ---------------------------------------------------------------------------------------- */
enum { SAVED = 4 }; /* every so many steps */

/* The scores of the forget answers through a guard made in `out`. */
static int64_t made(const ul_guard_entry *e, const char *const *set, const char *out, watch *eye, bool resume,
                    double *to)
{
    house h;
    double *logp;
    const watch wanted = *eye;
    *eye = (watch){0, 0};
    house_open_with(&h, &(ul_config){.user = eye, .interrupted = asked}, "llama", e->guard, UL_PRECISION_F32, 1);
    for (; *set; set += 2) house_set(&h, set[0], set[1]);
    snprintf(h.out, sizeof h.out, "%s", out);
    h.resume = resume, h.save_every = SAVED;
    *eye = wanted;
    ul_guard_file *g = house_guard(&h, e->guard, e->id);
    const int calls = eye->calls;
    const int64_t n = house_answers(&h, g, h.forget, 4, &logp);
    memcpy(to, logp, (size_t)n * sizeof *to);
    house_close(&h);
    eye->calls = calls;
    return n;
}

static void same_file(const char *id, const char *a, const char *b, const char *name)
{
    char cmd[1600];
    snprintf(cmd, sizeof cmd, "%s/%s", a, name);
    if (access(cmd, F_OK) != 0) return; /* it has none */
    snprintf(cmd, sizeof cmd, "cmp -s %s/%s %s/%s", a, name, b, name);
    if (system(cmd) != 0) fail_msg("%s: %s is another one after a kill and a resume", id, name);
}

static void kill_and_resume(const ul_guard_entry *e, const char *const *set)
{
    static double want[400], have[400];
    char whole[600], killed[600], path[700];
    int status;
    snprintf(whole, sizeof whole, "%s", ul_test_folder("whole"));
    snprintf(killed, sizeof killed, "%s", ul_test_folder("killed"));
    watch eye = {0, 0};
    const int64_t n = made(e, set, whole, &eye, false, want);
    print_message("%s%s%s: asked %d times whether to go on\n", e->id, *set ? " " : "", *set ? set[1] : "", eye.calls);
    if (eye.calls < 2) return; /* it reads texts, or a model once: there is nothing half done */
    const int half = (eye.calls + 1) / 2;
    const pid_t child = fork();
    if (child == 0) {
        eye = (watch){0, half};
        (void)made(e, set, killed, &eye, false, have);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL) fail_msg("%s: was not killed", e->id);
    snprintf(path, sizeof path, "%s/guard.json", killed);
    assert_int_not_equal(access(path, F_OK), 0);
    eye = (watch){0, 0};
    assert_int_equal(made(e, set, killed, &eye, true, have), n);
    if (eye.calls > half + SAVED) fail_msg("%s: resumed, it began again (asked %d times)", e->id, eye.calls);
    assert_memory_equal(want, have, (size_t)n * sizeof *want);
    same_file(e->id, whole, killed, "guard.safetensors");
    same_file(e->id, whole, killed, "assistant/adapter_model.safetensors");
}

static void every_guard_resumes(void **state)
{
    int n;
    const ul_guard_entry *e = ul_guards(&n);
    (void)state;
    for (int i = 0; i < n; i++) {
        kill_and_resume(&e[i], (const char *const[]){NULL});
        for (const ul_param *p = e[i].guard->method.params; p->key; p++)
            if (!strcmp(p->key, "by")) kill_and_resume(&e[i], (const char *const[]){"by", "states", NULL});
    }
}

/* Q16: without strength, every bit is the bare model's. */
static void identity(const char *id, const char *const *set)
{
    house h;
    double *with, *without;
    const ul_guard *guard = guard_named(id);
    assert_non_null(guard);
    house_open(&h, guard, UL_PRECISION_F32, 1);
    for (; *set; set += 2) house_set(&h, set[0], set[1]);
    ul_guard_file *g = house_guard(&h, guard, id);
    const ul_records *const sets[] = {h.forget, h.retain};
    for (int s = 0; s < 2; s++) {
        const int64_t n = house_answers(&h, g, sets[s], 4, &with);
        assert_int_equal(house_answers(&h, NULL, sets[s], 4, &without), n);
        assert_memory_equal(with, without, (size_t)n * sizeof *with);
    }
    house_close(&h);
}

static void q16_no_strength_no_change(void **state)
{
    (void)state;
    identity("prompt", (const char *const[]){"text", "", NULL});
    identity("icul", (const char *const[]){"k", "0", "s", "0", NULL});
    identity("filter", (const char *const[]){"most", "0", NULL});
    identity("filter", (const char *const[]){"most", "0", "side", "both", NULL});
    identity("eco", (const char *const[]){"strength", "0", NULL});
    identity("grun", (const char *const[]){"strength", "0", NULL});
    identity("uld", (const char *const[]){"strength", "0", NULL});
    identity("offset", (const char *const[]){"strength", "0", NULL});
    identity("whp_infer", (const char *const[]){"strength", "0", NULL});
}

/* Q16: grun with a gate that is shut (its constant far below 0) is the model itself, and open it is not. */
static void q16_shut_gate(void **state)
{
    (void)state;
    house h;
    double *with, *without;
    const ul_guard *guard = guard_named("grun");
    house_open(&h, guard, UL_PRECISION_F32, 1);
    h.recipe.steps = 5;
    ul_guard_file *g = house_guard(&h, guard, "grun");
    ul_tensors changed = *g->weights;
    ul_tensor t = changed.at[0];
    double *module = calloc(1, t.bytes);
    memcpy(module, t.data, t.bytes);
    t.data = module;
    const ul_tensor *only[] = {&t};
    changed.at = &t, changed.by_name = only, changed.n = 1;
    g->weights = &changed;
    for (int shut = 0; shut < 2; shut++) {
        module[t.bytes / sizeof(double) - 1] = shut ? -1e4 : 1e4;
        UL_OK_IN(h.ctx, guard->open(g));
        const int64_t n = house_answers(&h, g, h.forget, 4, &with);
        assert_int_equal(house_answers(&h, NULL, h.forget, 4, &without), n);
        assert_int_equal(memcmp(with, without, (size_t)n * sizeof *with) == 0, shut);
    }
    free(module);
    house_close(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_guard_resumes), cmocka_unit_test(every_guard),
                                       cmocka_unit_test(q16_no_strength_no_change), cmocka_unit_test(q16_shut_gate)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
