/* lu: which rows are forgotten and kept at each stage; budget: the run ends within its limit; and what is refused. */
#include "wrapper_test.h"

static const tiny_how plain = {.precision = UL_PRECISION_F32, .threads = 1, .micro = 7};

/* ---- lu: a wrapper behind it looks at the samples it made ---- */
typedef struct {
    const ul_docs *forget, *retain;
    int64_t steps;
    int batch, forgotten[16][TINY_FORGET], kept[16][TINY_FORGET], from_retain[16];
} seen;
static ul_status look(ul_wrap *w, int64_t step, int32_t i, ul_sample *io)
{
    seen *s = (seen *)(uintptr_t)w->o->user;
    const ul_doc *f = io->doc[UL_FORGET], *r = io->doc[UL_RETAIN];
    (void)i;
    assert_true(f >= s->forget->at && f < s->forget->at + TINY_FORGET);
    s->forgotten[step][f - s->forget->at]++;
    if (r->id >= TINY_RETAIN) { /* forget rows lie behind the retain rows */
        assert_true(r->id < TINY_RETAIN + TINY_FORGET && r->token == s->forget->at[r->id - TINY_RETAIN].token);
        s->kept[step][r->id - TINY_RETAIN]++;
    } else {
        assert_true(r >= s->retain->at && r < s->retain->at + TINY_RETAIN);
        s->from_retain[step]++;
    }
    return UL_OK;
}
static const ul_wrapper looker = {.title = "look", .sample = look};

static void test_folds(void **state)
{
    enum { STEPS = 14, FOLDS = 3 };
    wrapped w;
    ul_trainer *t;
    ul_step_result r;
    seen s = {0};
    int rows[FOLDS][TINY_FORGET] = {{0}};
    (void)state;
    wrapped_open(&w, &plain, "graddiff", NULL);
    s.forget = w.t.docs[UL_FORGET], s.retain = w.t.docs[UL_RETAIN];
    w.t.run.options.user = &s;
    set_number(wrap(&w, "lu"), "folds", FOLDS);
    wrap_with(&w, "look", &looker);
    UL_OK_IN(w.t.ctx, ul_trainer_new(w.t.ctx, &w.t.run.options, STEPS, &t));
    for (int step = STEPS - 1; step >= 0; step--)
        UL_OK_IN(w.t.ctx, ul_trainer_gradients(t, step, &r)); /* any order: a pure function */
    int kept_late = 0;
    for (int step = 0; step < STEPS; step++) {
        const int stage = step * FOLDS / STEPS, bound = TINY_FORGET * (stage + 1) / FOLDS;
        int kept = 0, forgotten = 0;
        for (int i = 0; i < TINY_FORGET; i++) {
            if (i >= bound) assert_int_equal(s.forgotten[step][i], 0); /* not before its stage ... */
            if (i < bound) assert_int_equal(s.kept[step][i], 0);       /* ... and until then it is kept */
            kept += s.kept[step][i], forgotten += s.forgotten[step][i];
            rows[stage][i] += s.forgotten[step][i] + s.kept[step][i];
        }
        assert_int_equal(forgotten, w.t.recipe.batch);
        assert_int_equal(kept + s.from_retain[step], w.t.recipe.batch);
        if (stage < FOLDS - 1) kept_late += kept;
    }
    assert_true(kept_late > 0 && kept_late < STEPS * w.t.recipe.batch * 2 / 3);
    for (int i = 0; i < TINY_FORGET; i++)
        assert_true(rows[0][i] > 0 && rows[1][i] > 0 && rows[2][i] > 0); /* all take part */
    ul_trainer_free(t);
    tiny_close(&w.t);
}

/* A later fold's row is kept near what the reference says of that row: at the reference its divergence is 0, whatever
 * fold it is of, so that the loss is the forget part alone. */
static void test_folds_and_divergence(void **state)
{
    enum { STEPS = 6 };
    wrapped w;
    ul_trainer *t;
    ul_step_result r;
    (void)state;
    wrapped_open(&w, &plain, "graddiff", NULL);
    UL_OK_IN(w.t.ctx, ul_args_set(ul_ctx_arena(w.t.ctx), &w.t.args, "graddiff", "retain", "kl"));
    set_number(wrap(&w, "lu"), "folds", 3), set_number(&w.args[0], "share", 1);
    tiny_references(&w.t, NULL);
    UL_OK_IN(w.t.ctx, ul_trainer_new(w.t.ctx, &w.t.run.options, STEPS, &t));
    for (int step = 0; step < STEPS; step++) {
        UL_OK_IN(w.t.ctx, ul_trainer_gradients(t, step, &r));
        assert_true(fabs(r.loss + r.forget_loss) < 1e-5);
    }
    ul_trainer_free(t);
    tiny_close(&w.t);
}

/* ---- budget ---- */
static void run_with_limit(double limit, int every, int64_t *steps, ul_step_result *last, double *measured)
{
    wrapped w;
    wrapped_open(&w, &plain, "ga", NULL);
    w.t.recipe.steps = 30, w.t.recipe.warmup = 0, w.t.recipe.schedule = UL_CONSTANT, w.t.recipe.lr = 0.003;
    ul_args *a = wrap(&w, "budget");
    set_number(a, "limit", limit), set_number(a, "every", every);
    UL_OK_IN(w.t.ctx, ul_run_train(w.t.ctx, &w.t.run, last, steps));
    /* Measured again, naively: the log-probs of the retain documents under this model and the first one. */
    ul_model *first;
    ul_batch *b;
    ul_arena *arena = ul_ctx_arena(w.t.ctx);
    const int32_t V = ul_model_shape(w.t.model)->V;
    const ul_doc *doc[TINY_RETAIN];
    for (int i = 0; i < TINY_RETAIN; i++) doc[i] = &w.t.docs[UL_RETAIN]->at[i];
    UL_OK_IN(w.t.ctx, ul_model_fresh(w.t.ctx, w.t.be, tiny_config(NULL, false), 5, 0.2, &first));
    UL_OK_IN(w.t.ctx, ul_pack_docs(w.t.ctx, arena, doc, TINY_RETAIN, false, &b));
    float *z = UL_NEW(arena, float, (size_t)b->n_row *(size_t)V),
          *z0 = UL_NEW(arena, float, (size_t)b->n_row *(size_t)V);
    UL_OK_IN(w.t.ctx, ul_model_logits(w.t.ctx, w.t.model, b, z));
    UL_OK_IN(w.t.ctx, ul_model_logits(w.t.ctx, first, b, z0));
    double kl = 0;
    for (int32_t i = 0; i < b->n_row; i++) {
        double s = 0, s0 = 0;
        for (int32_t v = 0; v < V; v++) s += exp(z[i * V + v]), s0 += exp(z0[i * V + v]);
        for (int32_t v = 0; v < V; v++)
            kl += exp(z0[i * V + v]) / s0 * ((z0[i * V + v] - log(s0)) - (z[i * V + v] - log(s))) / b->n_row;
    }
    *measured = kl;
    ul_model_free(first);
    tiny_close(&w.t);
}

static void test_budget(void **state)
{
    ul_step_result last;
    int64_t steps;
    double kl;
    (void)state;
    run_with_limit(1000, 4, &steps, &last, &kl);
    assert_int_equal(steps, 30);
    assert_true(!last.stopped && fabs(last.kl - kl) < 1e-5 * kl);
    const double whole = kl;
    for (int every = 1; every <= 7; every += 3)
        for (double limit = whole / 50; limit < whole / 2; limit *= 3) {
            run_with_limit(limit, every, &steps, &last, &kl);
            assert_true(last.stopped && steps < 30 && steps > 0);
            assert_true(steps % every == 0);
            assert_true(kl <= limit * (1 + 1e-5) && kl > limit * 0.5); /* it goes as far as it may */
            assert_true(fabs(last.kl - kl) < 1e-4 * limit);
        }
}

/* ---- refusals ---- */
static void test_refusals(void **state)
{
    static const struct {
        const char *method, *a, *b, *says;
    } bad[] = {{"npo", "gru", "pcgrad", "both say"},
               {"npo", "sam", "rs", "both say"},
               {"npo", "sago", "sago", "twice"},
               {"ga", "gru", NULL, "reads no retain"},
               {"ga", "wagle", NULL, "reads no retain"},
               {"ga", "lu", NULL, "reads no retain"},
               {"pdu", "ramp", NULL, "gamma"},
               {"rmu", "ramp", NULL, "alpha"}};
    (void)state;
    for (int i = 0; i < (int)(sizeof bad / sizeof *bad); i++) {
        wrapped w;
        ul_trainer *t = NULL;
        wrapped_open(&w, &plain, bad[i].method, NULL);
        tiny_references(&w.t, NULL);
        ul_args *a = wrap(&w, bad[i].a);
        if (bad[i].b) wrap(&w, bad[i].b);
        if (!strcmp(bad[i].a, "ramp")) { /* pdu's alpha is where its multiplier starts, small models' rmu has -1 */
            if (!strcmp(bad[i].method, "rmu")) set_number(&w.t.args, "alpha", -1);
            set_number(a, "gamma_from", 1), set_number(a, "alpha_from", 0.5);
            UL_FAILS_IN(w.t.ctx, UL_E_USAGE, "alpha", ul_trainer_new(w.t.ctx, &w.t.run.options, 6, &t));
        } else {
            UL_FAILS_IN(w.t.ctx, UL_E_USAGE, bad[i].says, ul_trainer_new(w.t.ctx, &w.t.run.options, 6, &t));
        }
        assert_null(t);
        tiny_close(&w.t);
    }
    wrapped w;
    ul_trainer *t;
    wrapped_open(&w, &plain, "npo", NULL);
    tiny_references(&w.t, NULL);
    set_number(wrap(&w, "lu"), "folds", TINY_FORGET + 1);
    UL_FAILS_IN(w.t.ctx, UL_E_USAGE, "rows", ul_trainer_new(w.t.ctx, &w.t.run.options, 60, &t));
    set_number(&w.args[0], "folds", 4);
    UL_FAILS_IN(w.t.ctx, UL_E_USAGE, "steps", ul_trainer_new(w.t.ctx, &w.t.run.options, 3, &t));
    w.pairing.retain = NULL;
    w.t.run.options.n_wrap = 0;
    wrap(&w, "budget");
    UL_FAILS_IN(w.t.ctx, UL_E_USAGE, "--retain", ul_trainer_new(w.t.ctx, &w.t.run.options, 6, &t));
    tiny_close(&w.t);
    /* No name stands for two things. */
    int n;
    const ul_wrapper_entry *e = ul_wrappers(&n);
    for (int i = 0; i < n; i++) {
        assert_null(ul_method_find(e[i].id));
        assert_true(e[i].wrapper->title && e[i].wrapper->paper && e[i].wrapper->note);
    }
    assert_string_equal(ul_wrapper_nearest("sagoo"), "sago");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_folds), cmocka_unit_test(test_folds_and_divergence),
                                       cmocka_unit_test(test_budget), cmocka_unit_test(test_refusals)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
