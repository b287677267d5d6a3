/* test_stage_grad.c - losses that live inside procedures and guards. Whatever a procedure or a guard of the registries
 * trains, on every family and, where it takes them, on adapters:
 *   - its stages are those that its table of passes tells of (`forget --print-plan`), with as many steps;
 *   - the losses that are its own are held to differences on numbers alone, with every parameter at another value;
 *   - the gradient of each stage's loss, on the stage's own samples, reference and mixed logits, is that of differences
 *     of fourth order in double, but for 1e-6 of it, and no weight that moves is without one.
 * A module that is no weight of a model (grun) has a gradient of its own, read off a step of its optimizer, and held to
 * differences of the loss likewise. */
#include "guard_test.h"
#include "loss_test.h"
#include "method/method.h"
#include "procedure_test.h"

static const double tolerance = 1e-6;

static double noise(uint64_t k)
{
    return ul_rng_normal(6, UL_STREAM_TEST, 31, k);
}

/* (8 (f(h) - f(-h)) - (f(2h) - f(-2h))) / 12h, f: -2h, -h, h, 2h */
static double difference(const double f[4], double h)
{
    return (8 * (f[2] - f[1]) - (f[3] - f[0])) / (12 * h);
}
static const double places[4] = {-2, -1, 1, 2};

/* ---- the weights of a stage ----------------------------------------------------------------------------------- */
typedef struct {
    ul_ctx *ctx;
    ul_trainer *trainer;
    int64_t step;
    ul_trainable *x;
    int n;
    double **base, **g, **d; /* [n] where it is differentiated, the gradient there, a direction */
} point;

static double loss_here(point *p)
{
    ul_step_result r;
    UL_OK_IN(p->ctx, ul_trainer_gradients(p->trainer, p->step, &r));
    return r.loss;
}

static double **arrays_new(const point *p)
{
    double **a = calloc((size_t)p->n, sizeof *a);
    for (int i = 0; i < p->n; i++) a[i] = calloc((size_t)p->x[i].n, sizeof **a);
    return a;
}

static void arrays_free(const point *p, double **a)
{
    for (int i = 0; i < p->n; i++) free(a[i]);
    free(a);
}

static void copy(const point *p, double *const *from, double *const *to)
{
    for (int i = 0; i < p->n; i++) memcpy(to[i], from[i], (size_t)p->x[i].n * sizeof(double));
}

/* Of tensors first .. last - 1 together, along the gradient and as far along noise. */
static void compare_along(point *p, int first, int last, double whole, const char *what, const char *name)
{
    const double h = 1e-5; /* small: sku counts no divergence beyond a bound, which is an edge */
    double gg = 0, rr = 0, got = 0, f[4];
    for (int i = first; i < last; i++)
        for (int64_t k = 0; k < p->x[i].n; k++) {
            gg += p->g[i][k] * p->g[i][k];
            rr += noise((uint64_t)k) * noise((uint64_t)k);
        }
    if (!(gg > 0)) fail_msg("%s: no gradient reaches %s", what, name);
    for (int i = first; i < last; i++)
        for (int64_t k = 0; k < p->x[i].n; k++) {
            p->d[i][k] = p->g[i][k] / sqrt(gg) + noise((uint64_t)k) / sqrt(rr);
            got += p->d[i][k] * p->g[i][k];
        }
    for (int j = 0; j < 4; j++) {
        for (int i = first; i < last; i++)
            for (int64_t k = 0; k < p->x[i].n; k++)
                ((double *)p->x[i].p)[k] = p->base[i][k] + places[j] * h * p->d[i][k];
        f[j] = loss_here(p);
    }
    for (int i = first; i < last; i++) memcpy(p->x[i].p, p->base[i], (size_t)p->x[i].n * sizeof(double));
    const double want = difference(f, h);
    if (!(fabs(got - want) <= tolerance * sqrt(gg) + 1e-9 * whole))
        fail_msg("%s: %s: gradient %.12g, differences %.12g", what, name, got, want);
}

/* Away from where the stage begins, and back there. each: tensor by tensor too. */
static void differentiate(point *p, bool each, const char *what)
{
    double **keep = arrays_new(p), whole = 0;
    uint64_t at = 0;
    p->base = arrays_new(p), p->g = arrays_new(p), p->d = arrays_new(p);
    for (int i = 0; i < p->n; i++) {
        double *w = p->x[i].p;
        memcpy(keep[i], w, (size_t)p->x[i].n * sizeof *w);
        for (int64_t k = 0; k < p->x[i].n; k++) w[k] += 0.02 * noise(1000000 + at++);
        memcpy(p->base[i], w, (size_t)p->x[i].n * sizeof *w);
    }
    (void)loss_here(p);
    for (int i = 0; i < p->n; i++)
        for (int64_t k = 0; k < p->x[i].n; k++) {
            p->g[i][k] = ((double *)p->x[i].g)[k];
            whole += p->g[i][k] * p->g[i][k];
        }
    compare_along(p, 0, p->n, sqrt(whole), what, "all that moves");
    for (int i = 0; each && i < p->n; i++) compare_along(p, i, i + 1, sqrt(whole), what, p->x[i].name);
    double **w = calloc((size_t)p->n, sizeof *w);
    for (int i = 0; i < p->n; i++) w[i] = p->x[i].p;
    copy(p, keep, w);
    free(w);
    arrays_free(p, keep), arrays_free(p, p->base), arrays_free(p, p->g), arrays_free(p, p->d);
}

/* ---- stages as they come -------------------------------------------------------------------------------------- */
typedef struct {
    ul_ctx *ctx;
    const char *id, *family;
    bool lora, each;
    const char *name[UL_MOST_PLANNED];
    int64_t steps[UL_MOST_PLANNED];
    bool sgd[UL_MOST_PLANNED];
    int n;
} witness;

/* The bare loss: what a wrapper makes of the gradient, or an observer, is another test's. */
static void see_stage(void *user, const ul_run *run)
{
    witness *w = user;
    const ul_method *m = run->options.method;
    ul_trainer_options o = run->options;
    point p = {.ctx = w->ctx};
    char what[160];
    assert_true(w->n < UL_MOST_PLANNED);
    const int64_t steps = ul_recipe_steps(o.recipe, run->n_samples);
    w->name[w->n] = run->what, w->steps[w->n] = steps;
    w->sgd[w->n++] = o.recipe->optim == UL_SGD && o.recipe->momentum == 0;
    assert_true(!m || (m->holds == UL_HOLDS_NOTHING && !(ul_method_needs(m, o.args) & UL_NEED_FORGET_CE_OWN)));
    o.wrap = NULL, o.n_wrap = 0, o.observer = NULL;
    UL_OK_IN(w->ctx, ul_trainer_new(w->ctx, &o, steps, &p.trainer));
    p.step = steps > 2 ? 2 : steps - 1;
    p.n = ul_model_trainables(o.model, &p.x);
    snprintf(what, sizeof what, "%s, \"%s\" on %s%s", w->id, run->what, w->family, w->lora ? " with adapters" : "");
    differentiate(&p, w->each, what);
    ul_trainer_free(p.trainer);
}

/* What was seen is what was told. */
static void as_planned(const witness *w, const ul_planned *plan, int n)
{
    int k = 0;
    for (int i = 0; i < n; i++) {
        if (plan[i].row->kind != UL_RUNS_TRAIN) continue;
        if (k >= w->n || strcmp(w->name[k], plan[i].row->what))
            fail_msg("%s: the plan tells of a stage \"%s\", and %s came", w->id, plan[i].row->what,
                     k < w->n ? w->name[k] : "none");
        if (w->steps[k] != plan[i].steps)
            fail_msg("%s: \"%s\" has %lld steps, the plan says %lld", w->id, w->name[k], (long long)w->steps[k],
                     (long long)plan[i].steps);
        if (w->sgd[k] != plan[i].row->sgd)
            fail_msg("%s: \"%s\" is plain SGD or not, and the plan has it the other way", w->id, w->name[k]);
        k++;
    }
    if (k < w->n) fail_msg("%s: the plan does not tell of \"%s\"", w->id, w->name[k]);
}

static bool trains(const ul_runs *runs)
{
    while (runs->what && runs->kind != UL_RUNS_TRAIN) runs++;
    return runs->what;
}

/* set: a parameter and its value, NULL: all at their defaults. */
static void of_procedure(const char *id, const ul_procedure *p, const char *family, bool lora, const char *const set[2])
{
    static ul_planned plan[UL_MOST_PLANNED];
    tiny_work w;
    int n;
    witness eye = {.id = id, .family = family, .lora = lora, .each = !lora && !strcmp(family, "llama")};
    const tiny_how how = {.precision = UL_PRECISION_DOUBLE, .threads = 1, .micro = 3, .family = family, .lora = lora,
                          .untied = !strcmp(family, "qwen2")};
    tiny_work_open(&w, p, &how);
    eye.ctx = w.t.ctx;
    w.work.forget = w.text, w.work.id = id;
    w.work.on_stage = see_stage, w.work.on_stage_user = &eye;
    if (set) UL_OK_IN(w.t.ctx, ul_args_set(w.work.arena, &w.args, id, set[0], set[1]));
    if (!strcmp(id, "tar")) { /* its defaults are many steps */
        UL_OK_IN(w.t.ctx, ul_args_set(w.work.arena, &w.args, id, "outer", "3"));
        UL_OK_IN(w.t.ctx, ul_args_set(w.work.arena, &w.args, id, "inner", "2"));
    }
    UL_OK_IN(w.t.ctx, ul_work_plan(&w.work, p->runs, plan, &n));
    assert_true(n > 0);
    UL_OK_IN(w.t.ctx, p->run(&w.work));
    if (strcmp(id, "mrp")) as_planned(&eye, plan, n); /* which takes its steps itself */
    tiny_work_close(&w);
}

static void test_procedures(void **state)
{
    int n;
    const ul_procedure_entry *e = ul_procedures(&n);
    (void)state;
    for (const char *const *f = ul_families(); *f; f++)
        for (int i = 0; i < n; i++) {
            const ul_procedure *p = e[i].procedure;
            assert_non_null(p->runs);
            if (!trains(p->runs)) continue;
            of_procedure(e[i].id, p, ul_family_types(*f)[0], false, NULL);
            if (p->adapters) of_procedure(e[i].id, p, ul_family_types(*f)[0], true, NULL);
        }
}

/* Where a stage's own loss has a retain term, the other kind of it too. */
static void test_retain_kl(void **state)
{
    int n;
    const ul_procedure_entry *e = ul_procedures(&n);
    (void)state;
    for (int i = 0; i < n; i++)
        for (const ul_param *p = e[i].procedure->method.params; p->key; p++)
            if (!strcmp(p->key, "retain") && p->type == UL_TEXT && trains(e[i].procedure->runs))
                of_procedure(e[i].id, e[i].procedure, "llama", false, (const char *const[]){"retain", "kl"});
}

static void of_guard(const char *id, const ul_guard *guard, const char *family)
{
    static ul_planned plan[UL_MOST_PLANNED];
    house h;
    int n;
    witness eye = {.id = id, .family = family, .lora = true, .each = !strcmp(family, "llama")};
    house_open_as(&h, family, guard, UL_PRECISION_DOUBLE, 1);
    eye.ctx = h.ctx;
    h.on_stage = see_stage, h.on_stage_user = &eye;
    ul_work w = {.ctx = h.ctx, .arena = h.arena, .id = id, .args = &h.args, .model = h.model, .recipe = &h.recipe,
                 .forget = h.forget_docs, .retain = h.retain_docs};
    UL_OK_IN(h.ctx, ul_work_plan(&w, guard->runs, plan, &n));
    (void)house_guard(&h, guard, id);
    if (strcmp(id, "grun")) as_planned(&eye, plan, n); /* which takes its steps itself */
    house_close(&h);
}

static void test_guards(void **state)
{
    int n;
    const ul_guard_entry *e = ul_guards(&n);
    (void)state;
    for (const char *const *f = ul_families(); *f; f++)
        for (int i = 0; i < n; i++) {
            assert_non_null(e[i].guard->runs);
            if (trains(e[i].guard->runs)) of_guard(e[i].id, e[i].guard, ul_family_types(*f)[0]);
        }
}

/* ---- the losses on numbers alone ------------------------------------------------------------------------------- */
static int own_losses(const char *id, const ul_runs *runs, const ul_param *params)
{
    int n = 0;
    ul_args a;
    ul_args_default(params, &a);
    for (; runs->what; runs++)
        if (runs->loss) check_choices(id, runs->loss, &a), n++;
    return n;
}

static void test_numbers(void **state)
{
    int n, seen = 0;
    (void)state;
    const ul_procedure_entry *p = ul_procedures(&n);
    for (int i = 0; i < n; i++) seen += own_losses(p[i].id, p[i].procedure->runs, p[i].procedure->method.params);
    const ul_guard_entry *g = ul_guards(&n);
    for (int i = 0; i < n; i++) seen += own_losses(g[i].id, g[i].guard->runs, g[i].guard->method.params);
    assert_true(seen >= 5);
}

/* ---- grun's module -------------------------------------------------------------------------------------------- */
enum { BEFORE = 3, RANK = 4, WIDTH = 24, NUMBERS = 2 * RANK * WIDTH + RANK + WIDTH + 1 };

static void module_of(const ul_guard_file *g, double *p)
{
    const ul_tensor *t;
    UL_OK_IN(g->ctx, ul_tensors_need(g->ctx, g->weights, "module", &t));
    assert_int_equal(ul_tensor_count(t), NUMBERS);
    UL_OK_IN(g->ctx, ul_tensor_f64(g->ctx, t, 0, NUMBERS, p));
}

/* One step from p, put there as the state of a fit that was interrupted after BEFORE steps: the loss at p, and where a
 * step of Adam whose eps is beyond every gradient goes: p - gradient. */
static double step_from(house *h, const double *p, double *to)
{
    static double zero[NUMBERS];
    char dir[700], path[800];
    const ul_tensor t[3] = {
        {.name = "m", .dtype = UL_DT_F64, .n_dim = 1, .dim = {NUMBERS}, .data = zero, .bytes = sizeof zero},
        {.name = "module", .dtype = UL_DT_F64, .n_dim = 1, .dim = {NUMBERS}, .data = p, .bytes = sizeof zero},
        {.name = "v", .dtype = UL_DT_F64, .n_dim = 1, .dim = {NUMBERS}, .data = zero, .bytes = sizeof zero}};
    snprintf(dir, sizeof dir, "%s/%s/module", h->out, UL_STAGES_NAME);
    snprintf(path, sizeof path, "%s/%s", dir, UL_CHECKPOINT_NAME);
    UL_OK_IN(h->ctx, ul_dir_make(h->ctx, dir));
    json_t *meta = json_pack("{s:s, s:s, s:s}", "format", "unlearn guard state 1", "steps_done", "3", "recipe",
                             "0123456789abcdef0123456789abcdef");
    UL_OK_IN(h->ctx, ul_tensors_write(h->ctx, path, t, 3, meta, NULL, NULL));
    json_decref(meta);
    h->resume = true, h->recipe.steps = BEFORE + 1;
    h->recipe.lr = h->recipe.eps = 1e10, h->recipe.beta1 = h->recipe.beta2 = 0;
    h->recipe.schedule = UL_CONSTANT, h->recipe.warmup = 0;
    const ul_guard_file *g = house_guard(h, guard_named("grun"), "grun");
    if (to) module_of(g, to);
    return h->last.loss;
}

static void module_gradient(const char *family)
{
    static const struct {
        const char *name;
        int first, last;
    } part[] = {{"all", 0, NUMBERS},
                {"R", 0, RANK * WIDTH},
                {"W", RANK * WIDTH, 2 * RANK * WIDTH},
                {"b", 2 * RANK * WIDTH, 2 * RANK * WIDTH + RANK},
                {"gate", 2 * RANK * WIDTH + RANK, NUMBERS}};
    static double p[NUMBERS], g[NUMBERS], to[NUMBERS], x[NUMBERS];
    const double h = 1e-3;
    house at;
    house_open_as(&at, family, guard_named("grun"), UL_PRECISION_DOUBLE, 1);
    at.recipe.steps = BEFORE, at.recipe.lr = 0.05;
    module_of(house_guard(&at, guard_named("grun"), "grun"), p);
    (void)step_from(&at, p, to);
    double whole = 0;
    for (int i = 0; i < NUMBERS; i++) g[i] = p[i] - to[i], whole += g[i] * g[i];
    for (size_t k = 0; k < sizeof part / sizeof *part; k++) {
        double gg = 0, rr = 0, got = 0, f[4];
        for (int i = part[k].first; i < part[k].last; i++) {
            gg += g[i] * g[i];
            rr += noise((uint64_t)i) * noise((uint64_t)i);
        }
        assert_true(gg > 0);
        for (int j = 0; j < 4; j++) {
            got = 0;
            memcpy(x, p, sizeof x);
            for (int i = part[k].first; i < part[k].last; i++) {
                const double d = g[i] / sqrt(gg) + noise((uint64_t)i) / sqrt(rr);
                x[i] += places[j] * h * d, got += g[i] * d;
            }
            f[j] = step_from(&at, x, NULL);
        }
        const double want = difference(f, h);
        if (!(fabs(got - want) <= tolerance * sqrt(gg) + 1e-9 * sqrt(whole)))
            fail_msg("grun on %s: %s: gradient %.12g, differences %.12g", family, part[k].name, got, want);
    }
    house_close(&at);
}

static void test_module(void **state)
{
    (void)state;
    for (const char *const *f = ul_families(); *f; f++) module_gradient(ul_family_types(*f)[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_numbers), cmocka_unit_test(test_procedures),
                                       cmocka_unit_test(test_retain_kl), cmocka_unit_test(test_guards),
                                       cmocka_unit_test(test_module)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
