/* test_grun.c - guards inside the model: eco corrupts forget prompts only and never a token of an answer; the module of
 * grun moves the forget answers and keeps the retain answers; of two modules each has the right gradient. */
#include "guard_test.h"

static void lost(const char *id, int steps, const char *const *set, double out[2])
{
    house h;
    double *with, *bare;
    const ul_guard *guard = guard_named(id);
    house_open(&h, guard, UL_PRECISION_DOUBLE, 1);
    for (; set && *set; set += 2) house_set(&h, set[0], set[1]);
    h.recipe.steps = steps;
    if (!steps) h.recipe.steps = 1, h.recipe.lr = 1e-30; /* nothing moves */
    ul_guard_file *g = house_guard(&h, guard, id);
    for (int s = 0; s < 2; s++) {
        const ul_records *r = s ? h.retain : h.forget;
        const int64_t n = house_answers(&h, g, r, 3, &with);
        assert_int_equal(house_answers(&h, NULL, r, 3, &bare), n);
        out[s] = 0;
        for (int64_t i = 0; i < n; i++) out[s] += fabs(bare[i] - with[i]) / (double)n;
        print_message("%s, %s: log-probs move by %.4f nats a token (mean %.4f -> %.4f)\n", id, s ? "retain" : "forget",
                      out[s], mean_of(bare, n), mean_of(with, n));
    }
    house_close(&h);
}

static void eco_spoils_forget_prompts_only(void **state)
{
    static const char *const kinds[] = {"noise", "zero", "flip"};
    (void)state;
    for (int k = 0; k < 3; k++) {
        double moved[2];
        lost("eco", 1, (const char *const[]){"kind", kinds[k], "layer", "0", "by", k ? "states" : "words", NULL},
             moved);
        assert_true(moved[0] > 0.02);
        assert_true(moved[1] == 0); /* to the bit */
    }
}

static void grun_moves_what_shall_be_forgotten(void **state)
{
    double moved[2], none[2];
    (void)state;
    lost("grun", 60, NULL, moved);
    assert_true(moved[0] > 0.2);
    assert_true(moved[0] > 2 * moved[1]);
    lost("grun", 0, (const char *const[]){"r", "2", NULL}, none); /* before training it is the model */
    assert_true(none[0] < 1e-12 && none[1] < 1e-12);
}

/* A guard whose module is another array. */
typedef struct {
    house h;
    ul_guard_file *g;
    ul_tensors weights;
    ul_tensor t;
    const ul_tensor *by_name[1];
    double *p;
    int64_t n;
} changed;

static void two_modules(changed *c, int steps)
{
    const ul_guard *guard = guard_named("grun");
    house_open(&c->h, guard, UL_PRECISION_DOUBLE, 1);
    house_set(&c->h, "layer", "2,1");
    house_set(&c->h, "loss", "ga");
    house_set(&c->h, "gate", "0");
    house_set(&c->h, "r", "2");
    ul_recipe *r = &c->h.recipe;
    r->batch = FORGET_ROWS, r->steps = steps, r->schedule = UL_CONSTANT, r->warmup = 0;
    r->beta1 = 0, r->eps = 1e9, r->lr = 2e9; /* Adam is plain descent at a rate of 2 */
    c->g = house_guard(&c->h, guard, "grun");
    c->weights = *c->g->weights;
    c->t = c->weights.at[0];
    c->n = (int64_t)(c->t.bytes / sizeof(double));
    assert_non_null(c->p = malloc(c->t.bytes));
    memcpy(c->p, c->t.data, c->t.bytes);
    c->t.data = c->p, c->by_name[0] = &c->t;
    c->weights.at = &c->t, c->weights.by_name = c->by_name, c->weights.n = 1;
    c->g->weights = &c->weights;
}

/* ga's loss: the mean log-probability of the forget answers. */
static double ascent(changed *c)
{
    double *logp;
    UL_OK_IN(c->h.ctx, guard_named("grun")->open(c->g));
    const int64_t n = house_answers(&c->h, c->g, c->h.forget, 3, &logp);
    return mean_of(logp, n);
}

static double direction(int64_t i)
{
    return ul_rng_normal(3, UL_STREAM_TEST, 0, (uint64_t)i);
}

static void each_of_two_modules_has_its_gradient(void **state)
{
    static changed now, next; /* after a step the modules are the model no longer: the upper one's way down counts */
    (void)state;
    two_modules(&now, 1), two_modules(&next, 2);
    const int64_t half = now.n / 2;
    assert_int_equal(now.n, 2 * (4 * 24 + 2 + 24 + 1));
    for (int part = 0; part < 2; part++) {
        const double e = 1e-4;
        double want = 0, gg = 0, at[2];
        for (int s = 0; s < 2; s++) {
            for (int64_t i = 0; i < half; i++) now.p[part * half + i] += (s ? -2 : 1) * e * direction(i);
            at[s] = ascent(&now);
        }
        for (int64_t i = 0; i < half; i++) {
            double *p = &now.p[part * half + i];
            const double u = direction(i);
            *p += e * u;
            const double g = (*p - next.p[part * half + i]) / 2;
            want += g * u, gg += g * g;
        }
        const double have = (at[0] - at[1]) / (2 * e);
        print_message("module %d: %.9g is to be %.9g, the gradient is %.4g long\n", part, have, want, sqrt(gg));
        assert_true(gg > 0 && fabs(have - want) <= 1e-5 * sqrt(gg * (double)now.n));
    }
    free(now.p), free(next.p);
    house_close(&now.h), house_close(&next.h);
}

static void blocks_are_named_once_and_exist(void **state)
{
    static const char *const bad[][2] = {{"4", "the model has 3 blocks, 1 to 3"}, {"2,0", "--grun.layer = 0"},
                                         {"1,2,1", "block 1 is named twice"}, {"1,", "joined with commas"},
                                         {"one", "joined with commas"}};
    (void)state;
    house h;
    house_open(&h, guard_named("grun"), UL_PRECISION_DOUBLE, 1);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        house_set(&h, "layer", bad[i][0]);
        UL_FAILS_IN(h.ctx, UL_E_USAGE, bad[i][1], house_make(&h, guard_named("grun"), "grun"));
    }
    house_close(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(eco_spoils_forget_prompts_only),
                                       cmocka_unit_test(grun_moves_what_shall_be_forgotten),
                                       cmocka_unit_test(each_of_two_modules_has_its_gradient),
                                       cmocka_unit_test(blocks_are_named_once_and_exist)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
