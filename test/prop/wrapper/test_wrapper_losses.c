/* Every wrapper of the registry around every loss of the registry, two steps of a tiny model: the run is the same to
 * the bit with one thread and two, and in other micro-batches; it is not the run without the wrapper; and around most
 * losses a wrapper changes more than the order of sums. A pair is refused only where it has no sense, in one line that
 * names the wrapper: surgery and attribution without a retain part, a schedule of a coefficient that the method has
 * not. */
#include "wrapper_test.h"

enum { STEPS = 2, LATE = 4, MOST = 40000 }; /* late: scrub's forget term waits for the second epoch */

typedef struct {
    const char *method, *wrapper; /* wrapper: NULL, none */
    bool kl; /* the retain term that looks at the reference */
} pair;

static const char *name_of(const pair *p)
{
    static char text[120];
    snprintf(text, sizeof text, "%s around %s%s", p->wrapper ? p->wrapper : "nothing", p->method,
             p->kl ? ", retain kl" : "");
    return text;
}

/* The method's arguments: with a retain part where it can have one. */
static void arguments(const pair *p, ul_args *a)
{
    ul_args_default(ul_method_find(p->method)->params, a);
    if (ul_num(a, "alpha") == 0) set_number(a, "alpha", 1);
    for (int i = 0; p->kl && a->params[i].key; i++)
        if (!strcmp(a->params[i].key, "retain")) a->text[i] = "kl";
}

/* Strengths at which two steps are enough. */
static void strengthen(const char *id, ul_args *a)
{
    static const struct {
        const char *id, *key;
        double value;
    } set[] = {{"wa", "every", 1},       {"wa", "from", 0},          {"budget", "every", 1},
               {"budget", "limit", 1e-9}, {"gu", "rank", 2},         {"lu", "folds", 2},
               {"saliency", "batches", 2}, {"sure", "batches", 2},   {"wagle", "batches", 2},
               {"lat", "steps", 3},      {"lat", "eps", 0.2},        {"sam", "rho", 0.5},
               {"rs", "sigma", 0.2},     {"ramp", "gamma_to", 0.5}};
    for (size_t i = 0; i < sizeof set / sizeof *set; i++)
        if (!strcmp(set[i].id, id)) set_number(a, set[i].key, set[i].value);
}

static int64_t weights(const wrapped *w, double *out)
{
    int64_t n;
    double *x = flat(w, false, &n);
    assert_true(n <= MOST);
    memcpy(out, x, (size_t)n * sizeof *x);
    free(x);
    return n;
}

/* The weights that a run begins with (start NULL: not wanted) and leaves; returns how many move, -1 where the pair is
 * refused: the line is in `why`. */
static int64_t run(const pair *p, const tiny_how *how, double *start, double *out, char why[300])
{
    wrapped w;
    ul_step_result last;
    int64_t steps, n = -1, key[TINY_FORGET];
    wrapped_open(&w, how, p->method, NULL);
    ul_arena *arena = ul_ctx_arena(w.t.ctx);
    arguments(p, &w.t.args);
    w.t.recipe.steps = strcmp(p->method, "scrub") ? STEPS : LATE, w.t.recipe.batch = 4, w.t.recipe.warmup = 0;
    UL_OK_IN(w.t.ctx, ul_model_select(w.t.ctx, w.t.model,
                                      ul_method_train(arena, w.t.run.options.method, &w.t.args, w.t.model)));
    for (int64_t i = 0; i < TINY_FORGET; i++) key[i] = i;
    w.pairing.alt = w.t.docs[UL_ALT], w.pairing.alt_own = true, w.pairing.n_line = 1, w.pairing.alt_key = key;
    if (p->wrapper) strengthen(p->wrapper, wrap(&w, p->wrapper));
    ul_status s = ul_wrappings_check(w.t.ctx, w.t.run.options.method, &w.t.args, w.wrap, w.t.run.options.n_wrap);
    if (start) (void)weights(&w, start);
    if (s == UL_OK) {
        tiny_references(&w.t, NULL);
        s = ul_run_train(w.t.ctx, &w.t.run, &last, &steps);
    }
    if (s == UL_OK) {
        n = weights(&w, out);
    } else {
        snprintf(why, 300, "%s", ul_error_text(w.t.ctx));
        if (s != UL_E_USAGE) fail_msg("%s: status %d: %s", name_of(p), (int)s, why);
    }
    tiny_close(&w.t);
    return n;
}

static double apart(const double *x, const double *y, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += (x[i] - y[i]) * (x[i] - y[i]);
    return sqrt(sum);
}

/* Why a pair has no sense; NULL: it has. */
static const char *senseless(const pair *p, const ul_wrapper *w, const ul_method *m, const ul_args *a)
{
    if (!(ul_method_needs(m, a) & UL_NEED_RETAIN) && (w->combine || w->flags & UL_WRAP_RETAIN))
        return "reads no retain documents";
    if (!strcmp(p->wrapper, "ramp") && !isfinite(ul_num(a, "gamma"))) return "has no gamma";
    return NULL;
}

typedef struct {
    int run, moved; /* pairs that ran; of these, those that went elsewhere by more than rounding */
} tally;

static void check(const pair *p, const ul_wrapper *wrapper, const double *bare, const double *start, int64_t n_bare,
                  tally *t)
{
    static double one[MOST], two[MOST];
    char why[300] = "";
    ul_args a;
    const ul_method *m = ul_method_find(p->method);
    arguments(p, &a);
    const char *reason = senseless(p, wrapper, m, &a);
    const int64_t n = run(p, &(tiny_how){.threads = 1, .micro = 4}, NULL, one, why);
    if (n < 0) {
        if (!reason) fail_msg("%s is refused: %s", name_of(p), why);
        if (!strstr(why, reason) || !strstr(why, p->wrapper) || strchr(why, '\n')) fail_msg("%s: %s", name_of(p), why);
        return;
    }
    if (reason) fail_msg("%s is not refused, and the method %s", name_of(p), reason);
    assert_int_equal(n, n_bare);
    assert_int_equal(run(p, &(tiny_how){.threads = 2, .micro = 1}, NULL, two, why), n);
    if (memcmp(one, two, (size_t)n * sizeof *one))
        fail_msg("%s: 2 threads and micro-batches of 1 give other weights", name_of(p));
    if (!memcmp(one, bare, (size_t)n * sizeof *one)) fail_msg("%s does nothing", name_of(p));
    t->run++;
    t->moved += apart(one, bare, n) > 1e-3 * apart(bare, start, n);
}

static bool has(const ul_method *m, const char *key)
{
    const ul_param *p = m->params;
    while (p->key && strcmp(p->key, key)) p++;
    return p->key;
}

static void test_pairs(void **state)
{
    static double bare[MOST], start[MOST];
    int n_method, n_wrapper;
    tally t[64] = {{0, 0}};
    char why[300] = "";
    const ul_method_entry *m = ul_methods(&n_method);
    const ul_wrapper_entry *w = ul_wrappers(&n_wrapper);
    (void)state;
    assert_true(n_wrapper <= 64);
    for (int i = 0; i < n_method; i++)
        for (int variant = 0; m[i].method->loss && variant < 1 + has(m[i].method, "retain"); variant++) {
            pair p = {.method = m[i].id, .kl = variant == 1};
            const int64_t n = run(&p, &(tiny_how){.threads = 1, .micro = 4}, start, bare, why);
            if (n < 0) fail_msg("%s: %s", name_of(&p), why);
            for (int k = 0; k < n_wrapper; k++) {
                p.wrapper = w[k].id;
                check(&p, w[k].wrapper, bare, start, n, &t[k]);
            }
        }
    for (int k = 0; k < n_wrapper; k++) {
        print_message("%s: around %d losses, %d go elsewhere\n", w[k].id, t[k].run, t[k].moved);
        assert_true(t[k].run > 10 && 2 * t[k].moved > t[k].run);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_pairs)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
