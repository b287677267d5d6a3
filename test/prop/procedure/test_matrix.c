/* test_matrix.c - every method with a loss and every procedure of the registries, on every family, with whole
 * weights and with adapters:
 *   - what it leaves does not depend on threads, micro-batch or instruction set, nor on a SIGKILL half way and a
 *     resume;
 *   - it changes what it says: the loss of the same samples falls, learned answers become less likely, alternates
 *     more; what does not move keeps every bit;
 *   - the gradient of the loss, down to the weights, is that of central differences in double, along a random
 *     direction.
 * A procedure that wants whole weights refuses adapters in one line that says so. */
#include "method/method.h"
#include "kill_test.h"
#include "procedure_test.h"

typedef struct {
    const char *id, *family;
    const ul_method *method; /* NULL: */
    const ul_procedure *procedure;
    bool lora;
} cell;

static const char *name_of(const cell *c)
{
    static char text[200];
    snprintf(text, sizeof text, "%s on %s%s", c->id, c->family, c->lora ? " with adapters" : "");
    return text;
}

/* ---- models that have learned the six people and the retain rows, one a family ------------------------------- */
enum { MOST_FAMILY = 16, MOST_WEIGHTS = 40000 };
static float learned[MOST_FAMILY][MOST_WEIGHTS];

static bool untied(const char *family)
{
    return !strcmp(family, "qwen2");
} /* both forms are there */

static int family_index(const char *type)
{
    int i = 0;
    for (const char *const *f = ul_families(); *f && strcmp(ul_family_types(*f)[0], type); f++) i++;
    assert_true(i < MOST_FAMILY);
    return i;
}

/* The whole weights, one after the other, into or out of `flat`. */
static void copy_weights(tiny *t, float *flat, bool out)
{
    ul_weight *w;
    int64_t at = 0;
    const int n = ul_model_weights(t->model, &w);
    for (int i = 0; i < n; i++)
        for (int64_t k = 0; k < w[i].rows * w[i].cols; k++, at++) {
            assert_true(at < MOST_WEIGHTS);
            if (out)
                flat[at] = (float)ul_real_at(w[i].p, k, t->be->k->esize);
            else
                ul_real_put(w[i].p, k, t->be->k->esize, (double)flat[at]);
        }
}

static ul_status learn_sample(void *user, int64_t step, int32_t i, ul_arena *arena, ul_sample *out)
{
    const tiny_work *w = user;
    const int64_t at = (step * 10 + i) % (w->text->n + w->t.docs[UL_RETAIN]->n);
    (void)arena;
    *out = (ul_sample){{at < w->text->n ? &w->text->at[at] : &w->t.docs[UL_RETAIN]->at[at - w->text->n], NULL, NULL}};
    return UL_OK;
}

static void learn(const char *family)
{
    tiny_work w;
    ul_step_result last;
    int64_t done;
    tiny_work_open_as(&w, NULL, NULL, &(tiny_how){.threads = 1, .family = family, .untied = untied(family)});
    ul_recipe recipe = w.t.recipe;
    recipe.steps = 30, recipe.batch = 10, recipe.lr = 0.01, recipe.schedule = UL_CONSTANT;
    const ul_run run = {
        .options = {.model = w.t.model, .recipe = &recipe, .micro_batch = 10, .sample = learn_sample, .user = &w},
        .n_samples = 20,
        .save_every = -1};
    UL_OK_IN(w.t.ctx, ul_run_train(w.t.ctx, &run, &last, &done));
    assert_true(last.forget_loss < 0.5);
    copy_weights(&w.t, learned[family_index(family)], true);
    tiny_work_close(&w);
}

/* ---- one run of a cell --------------------------------------------------------------------------------------- */
static void begin(tiny_work *w, const cell *c, tiny_how how, watch *eye)
{
    how.family = c->family, how.untied = untied(c->family), how.lora = c->lora;
    tiny_work_open_as(w, &(ul_config){.user = eye, .interrupted = asked}, c->procedure, &how);
    copy_weights(&w->t, learned[family_index(c->family)], false);
    w->t.docs[UL_FORGET] = w->text;
    w->work.forget = w->text;
    UL_OK_IN(w->t.ctx, ul_model_digest(w->t.ctx, w->t.model, w->t.digest));
    if (c->lora) w->t.recipe.lr = 0.05; /* six steps from B = 0 */
    if (!strcmp(c->id, "alphaedit")) /* the paper's: a small model's default hardly moves a tiny one */
        UL_OK_IN(w->t.ctx, ul_args_set(ul_ctx_arena(w->t.ctx), &w->args, "alphaedit", "l2", "10"));
    if (!c->method) return;
    ul_args_default(c->method->params, &w->t.args);
    for (const char *const *s = c->method->small; s && *s; s += 2) /* what goes by the depth */
        if (**s == '.' && s[1][0] == '-')
            UL_OK_IN(w->t.ctx, ul_args_set(ul_ctx_arena(w->t.ctx), &w->t.args, c->id, *s + 1, s[1]));
    if (!strcmp(c->id, "rr")) /* rising, its first step has no forget term to look at */
        UL_OK_IN(w->t.ctx, ul_args_set(ul_ctx_arena(w->t.ctx), &w->t.args, "rr", "share", "falling"));
    w->t.run.options.method = c->method;
    const char *train = c->lora ? "lora" : ul_method_train(ul_ctx_arena(w->t.ctx), c->method, &w->t.args, w->t.model);
    UL_OK_IN(w->t.ctx, ul_model_select(w->t.ctx, w->t.model, train));
}

/* out: NULL, nothing is written. */
static ul_status go(tiny_work *w, const cell *c, const char *out, bool resume)
{
    ul_step_result last;
    int64_t done;
    char dir[700];
    snprintf(dir, sizeof dir, "%s/reference", out ? out : "");
    const char *cache = out ? dir : NULL;
    const int64_t every = out ? 2 : -1;
    if (c->procedure) {
        w->work.out_dir = out, w->work.cache = cache, w->work.save_every = every, w->work.resume = resume;
        return c->procedure->run(&w->work);
    }
    tiny_references(&w->t, cache);
    w->t.run.out_dir = out, w->t.run.save_every = every, w->t.run.resume = resume;
    return ul_run_train(w->t.ctx, &w->t.run, &last, &done);
}

static void same(const cell *c, const char *what, const char *a, const char *b)
{
    if (strcmp(a, b)) fail_msg("%s: %s gives other weights", name_of(c), what);
}

/* The digest of what a whole run leaves. */
static void whole(const cell *c, tiny_how how, char digest[65])
{
    tiny_work w;
    watch eye = {0, 0};
    begin(&w, c, how, &eye);
    const ul_status s = go(&w, c, NULL, false);
    if (s != UL_OK) fail_msg("%s: %s", name_of(c), ul_error_text(w.t.ctx));
    UL_OK_IN(w.t.ctx, ul_model_digest(w.t.ctx, w.t.model, digest));
    tiny_work_close(&w);
}

/* Killed when it asked for the `at`-th time whether to go on, then resumed on other threads, in other micro-batches. */
static void killed(const cell *c, int at, char digest[65])
{
    tiny_work w;
    watch eye = {0, at};
    char out[600];
    int status;
    snprintf(out, sizeof out, "%s", ul_test_folder("kill"));
    const pid_t child = fork();
    if (child == 0) {
        begin(&w, c, (tiny_how){.threads = 1, .micro = 3}, &eye);
        _exit(go(&w, c, out, false) == UL_OK ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL) fail_msg("%s: was not killed", name_of(c));
    eye = (watch){0, 0};
    begin(&w, c, (tiny_how){.threads = 2, .micro = 4}, &eye);
    const ul_status s = go(&w, c, out, true);
    if (s != UL_OK) fail_msg("%s, resumed: %s", name_of(c), ul_error_text(w.t.ctx));
    UL_OK_IN(w.t.ctx, ul_model_digest(w.t.ctx, w.t.model, digest));
    tiny_work_close(&w);
}

/* ---- what it changes ----------------------------------------------------------------------------------------- */
static double nll(tiny_work *w, const ul_docs *docs)
{
    const ul_doc *list[32];
    double logp[400], sum = 0;
    ul_batch *b;
    for (int64_t i = 0; i < docs->n; i++) list[i] = &docs->at[i];
    UL_OK_IN(w->t.ctx, ul_pack_docs(w->t.ctx, ul_ctx_arena(w->t.ctx), list, (int32_t)docs->n, false, &b));
    assert_true(b->n_row <= 400);
    ul_pass pass = {.batch = b, .last = -1, .score = {.logp = logp}};
    UL_OK_IN(w->t.ctx, ul_model_forward(w->t.ctx, w->t.model, &pass));
    for (int32_t i = 0; i < b->n_row; i++) sum -= logp[i] / b->n_row;
    return sum;
}

/* The method's own loss on the samples of the first step. */
static double own_loss(tiny_work *w)
{
    ul_trainer *t;
    ul_step_result r;
    UL_OK_IN(w->t.ctx, ul_trainer_new(w->t.ctx, &w->t.run.options, w->t.recipe.steps, &t));
    UL_OK_IN(w->t.ctx, ul_trainer_gradients(t, 0, &r));
    ul_trainer_free(t);
    return r.loss;
}

/* Procedures that change a part of the model only, whatever else the pass moves; "mlp" or the mlps' last matrix. */
static const struct {
    const char *id, *part;
} parts[] = {{"alphaedit", "last"}, {"cir", "mlp"},       {"depn", "last"},  {"emmet", "last"},
             {"mcu", "mlp"},        {"mechloc", "mlp"},   {"memit", "last"}, {"mrp", "last"},
             {"mudman", "mlp"},     {"repselect", "mlp"}, {"rome", "last"}};

static bool may_change(const cell *c, const ul_weight *x)
{
    if (c->lora) return false; /* whole weights stay where adapters move; tar, tv, sku included */
    if (c->method) return x->g;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (!strcmp(c->id, parts[i].id)) {
            const bool last = strstr(x->module, "mlp.down_proj") || strstr(x->module, "mlp.c_proj");
            return last || (parts[i].part[0] == 'm' && strstr(x->module, "mlp."));
        }
    return true;
}

/* Nothing else has changed by a bit. */
static void only_that(const cell *c, tiny_work *w, const float *before)
{
    ul_weight *x;
    int64_t at = 0;
    const int n = ul_model_weights(w->t.model, &x);
    for (int i = 0; i < n; at += x[i].rows * x[i].cols, i++)
        if (memcmp(x[i].p, before + at, (size_t)(x[i].rows * x[i].cols) * sizeof(float)) && !may_change(c, &x[i]))
            fail_msg("%s: %s is none of what moves, and has changed", name_of(c), x[i].name);
}

/* The loss that shall fall falls, what shall be forgotten is forgotten. */
static void has_effect(const cell *c, unsigned needs, const double forget[2], const double alt[2], const double loss[2])
{
    const bool state = needs & UL_NEED_STATE && !(needs & UL_NEED_STATE_AND_HEAD);
    const bool teaches = needs & UL_NEED_NO_FORGET_LOSS;
    if (state && !(loss[1] < 0.98 * loss[0])) fail_msg("%s: its loss was %g and is %g", name_of(c), loss[0], loss[1]);
    if (teaches && !(alt[1] < 0.95 * alt[0]))
        fail_msg("%s: NLL of alternates was %g and is %g", name_of(c), alt[0], alt[1]);
    if (!state && !(forget[1] > 1.05 * forget[0]))
        fail_msg("%s: NLL of forget rows was %g and is %g", name_of(c), forget[0], forget[1]);
}

/* The first run: its effect, its digest, how often it asked whether to go on; -1: it refuses adapters. */
static void effect(const cell *c, char digest[65], int *calls)
{
    tiny_work w;
    watch eye = {0, 0};
    double loss[2] = {0}, forget[2], alt[2];
    unsigned needs = 0;
    begin(&w, c, (tiny_how){.threads = 1, .micro = 1}, &eye);
    forget[0] = nll(&w, w.text), alt[0] = nll(&w, w.t.docs[UL_ALT]);
    if (c->method) {
        tiny_references(&w.t, NULL);
        loss[0] = own_loss(&w);
        needs = ul_method_needs(c->method, &w.t.args);
    }
    eye.calls = 0;
    const ul_status s = go(&w, c, NULL, false);
    *calls = eye.calls;
    if (s == UL_E_USAGE && c->lora && c->procedure && strstr(ul_error_text(w.t.ctx), "--lora")) {
        assert_null(strchr(ul_error_text(w.t.ctx), '\n'));
        *calls = -1;
        tiny_work_close(&w);
        return;
    }
    if (s != UL_OK) fail_msg("%s: %s", name_of(c), ul_error_text(w.t.ctx));
    UL_OK_IN(w.t.ctx, ul_model_digest(w.t.ctx, w.t.model, digest));
    if (!strcmp(digest, w.t.digest)) fail_msg("%s: nothing has moved", name_of(c));
    only_that(c, &w, learned[family_index(c->family)]);
    forget[1] = nll(&w, w.text), alt[1] = nll(&w, w.t.docs[UL_ALT]);
    if (c->method) loss[1] = own_loss(&w);
    has_effect(c, needs, forget, alt, loss);
    tiny_work_close(&w);
}

static void laws(const cell *c)
{
    char want[65], have[65];
    int calls;
    effect(c, want, &calls);
    if (calls < 0) return;
    if (calls > 1) {
        killed(c, (calls + 1) / 2, have);
        same(c, "a kill and a resume", want, have);
    }
    whole(c, (tiny_how){.threads = 2, .micro = 8}, have);
    same(c, "2 threads and micro-batches of 8", want, have);
    for (const char *const *isa = ul_backend_isas(); *isa; isa++) {
        if ((c->lora || strcmp(c->family, "llama")) && strcmp(*isa, "avx2")) continue; /* one other will do there */
        whole(c, (tiny_how){.isa = *isa, .threads = 2, .micro = 3}, have);
        same(c, *isa, want, have);
    }
}

static void every_cell(void (*check)(const cell *c))
{
    int n;
    for (const char *const *f = ul_families(); *f; f++)
        for (int lora = 0; lora < 2; lora++) {
            const ul_method_entry *m = ul_methods(&n);
            for (int i = 0; i < n; i++) {
                const cell c = {.id = m[i].id, .family = ul_family_types(*f)[0], .method = m[i].method, .lora = lora};
                if (m[i].method->loss) check(&c);
            }
            const ul_procedure_entry *p = ul_procedures(&n);
            for (int i = 0; i < n; i++) {
                const cell c = {
                    .id = p[i].id, .family = ul_family_types(*f)[0], .procedure = p[i].procedure, .lora = lora};
                check(&c);
            }
        }
}

static void test_laws(void **state)
{
    (void)state;
    every_cell(laws);
}

/* ---- gradients ----------------------------------------------------------------------------------------------- */
/* w += h d, d random. */
static void step_along(tiny_work *w, double h, int first, int last)
{
    ul_trainable *t;
    (void)ul_model_trainables(w->t.model, &t);
    for (int i = first; i < last; i++)
        for (int64_t k = 0; k < t[i].n; k++)
            ((double *)t[i].p)[k] += h * ul_rng_normal(4, UL_STREAM_TEST, (uint64_t)i, (uint64_t)k);
}

static double loss_of(tiny_work *w, ul_trainer *t)
{
    ul_step_result r;
    UL_OK_IN(w->t.ctx, ul_trainer_gradients(t, 3, &r));
    return r.loss;
}

/* Of trainables first .. last - 1 together: what the gradient says of the direction, and the differences. */
static bool agrees(tiny_work *w, ul_trainer *t, int first, int last, double *got, double *want)
{
    ul_trainable *x;
    const double h = 1e-6;
    double size = 0;
    const double at = loss_of(w, t);
    (void)ul_model_trainables(w->t.model, &x);
    *got = 0;
    for (int i = first; i < last; i++)
        for (int64_t k = 0; k < x[i].n; k++) {
            const double term = ((double *)x[i].g)[k] * ul_rng_normal(4, UL_STREAM_TEST, (uint64_t)i, (uint64_t)k);
            *got += term, size += term * term;
        }
    step_along(w, h, first, last);
    const double up = loss_of(w, t);
    step_along(w, -2 * h, first, last);
    const double down = loss_of(w, t);
    step_along(w, h, first, last);
    *want = (up - down) / (2 * h);
    return fabs(*got - *want) <= 1e-5 * sqrt(size) + 1e-8 * fabs(at);
}

static void gradient(const cell *c)
{
    tiny_work w;
    ul_trainer *t;
    ul_trainable *x;
    watch eye = {0, 0};
    double got, want;
    if (!c->method || c->method->holds != UL_HOLDS_NOTHING) return;
    begin(&w, c, (tiny_how){.precision = UL_PRECISION_DOUBLE, .threads = 1, .micro = 3}, &eye);
    w.t.recipe.batch = 4;
    if (ul_method_needs(c->method, &w.t.args) & UL_NEED_FORGET_CE_OWN) { /* a target held constant too */
        tiny_work_close(&w);
        return;
    }
    tiny_references(&w.t, NULL);
    const int n = ul_model_trainables(w.t.model, &x);
    step_along(&w, 0.03, 0, n); /* away from the reference */
    UL_OK_IN(w.t.ctx, ul_trainer_new(w.t.ctx, &w.t.run.options, w.t.recipe.steps, &t));
    if (!agrees(&w, t, 0, n, &got, &want)) {
        for (int i = 0; i < n; i++)
            if (!agrees(&w, t, i, i + 1, &got, &want))
                print_message("%s: gradient %.10g, differences %.10g\n", x[i].name, got, want);
        fail_msg("%s: gradient %.10g, differences %.10g", name_of(c), got, want);
    }
    for (int i = 0; i < n; i++) {
        bool any = false;
        for (int64_t k = 0; k < x[i].n; k++) any |= ((double *)x[i].g)[k] != 0;
        if (!any) fail_msg("%s: no gradient reaches %s", name_of(c), x[i].name);
    }
    ul_trainer_free(t);
    tiny_work_close(&w);
}

static void test_gradients(void **state)
{
    (void)state;
    every_cell(gradient);
}

static int learn_all(void **state)
{
    (void)state;
    for (const char *const *f = ul_families(); *f; f++) learn(ul_family_types(*f)[0]);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_laws), cmocka_unit_test(test_gradients)};
    return cmocka_run_group_tests(tests, learn_all, NULL);
}
