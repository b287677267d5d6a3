/* test_lat.c - latent adversarial training, in every family and whatever the tensors are called: one step of the ascent
 * against central differences of the loss by every coordinate of the hidden states, and the gradient under it against a
 * run with that very disturbance; more steps do no less; no radius, no wrapper. */
#include "wrapper_test.h"

enum { C = 32, BATCH = 2, MOST_TOKENS = 64 };
static const tiny_how in_double = {.precision = UL_PRECISION_DOUBLE, .threads = 1, .micro = BATCH};

/* Adds to the states behind block 0 of a step of one micro-batch. */
typedef struct {
    double d[MOST_TOKENS * C], length[MOST_TOKENS];
    int32_t n_tok;
} bump;

static ul_status add(void *user, int layer, const ul_batch *b, void *x)
{
    bump *u = user;
    double *h = x;
    assert_int_equal(layer, 0);
    u->n_tok = b->n_tok;
    assert_true(b->n_tok <= MOST_TOKENS);
    for (int32_t t = 0; t < b->n_tok; t++) {
        double square = 0;
        for (int c = 0; c < C; c++) square += h[t * C + c] * h[t * C + c];
        u->length[t] = sqrt(square);
        for (int c = 0; c < C; c++) h[t * C + c] += u->d[t * C + c];
    }
    return UL_OK;
}

static ul_trainer *open_with(wrapped *w, ul_args **lat, const ul_hook *hook)
{
    ul_trainer *t;
    if (lat) {
        *lat = wrap(w, "lat");
        set_number(*lat, "steps", 1), set_number(*lat, "eps", 0.2);
    }
    w->t.recipe.batch = BATCH;
    w->t.run.options.hook = hook, w->t.run.options.n_hook = hook != NULL;
    tiny_references(&w->t, NULL);
    UL_OK_IN(w->t.ctx, ul_trainer_new(w->t.ctx, &w->t.run.options, 6, &t));
    return t;
}

static double loss_of(wrapped *w, ul_trainer *t)
{
    ul_step_result r;
    UL_OK_IN(w->t.ctx, ul_trainer_gradients(t, 1, &r));
    return r.loss;
}

/* Calls every module of the blocks something that no family does. */
static void rename_all(ul_model *m)
{
    ul_weight *w;
    for (int i = ul_model_weights(m, &w); i-- > 0;)
        if (w[i].layer >= 0 && w[i].layer < ul_model_shape(m)->n_layer) w[i].module = "some.part";
}

static void differences(const char *family)
{
    static bump u, found;
    tiny_how how = in_double;
    how.family = family;
    const ul_hook hook = {.layer = 0, .slot = UL_SLOT_OUT, .mode = UL_HOOK_ADD, .fn = add, .user = &u};
    wrapped w, l;
    ul_args *lat;
    int64_t n;
    wrapped_open(&w, &how, "ga", NULL);
    ul_trainer *t = open_with(&w, NULL, &hook);
    memset(&u, 0, sizeof u);
    const double plain = loss_of(&w, t);
    found = u;
    for (int32_t at = 0; at < found.n_tok; at++) {
        double size = 0;
        for (int c = 0; c < C; c++) {
            const double step = 1e-5;
            u.d[at * C + c] = step;
            const double up = loss_of(&w, t);
            u.d[at * C + c] = -step;
            found.d[at * C + c] = (up - loss_of(&w, t)) / (2 * step);
            u.d[at * C + c] = 0;
            size += found.d[at * C + c] * found.d[at * C + c];
        }
        for (int c = 0; c < C; c++) found.d[at * C + c] *= size > 1e-16 ? 0.2 * found.length[at] / sqrt(size) : 0;
    }
    memcpy(u.d, found.d, sizeof u.d);
    const double there = loss_of(&w, t);
    double *want = flat(&w, true, &n);
    ul_trainer_free(t);
    for (int renamed = 0; renamed < 2; renamed++) {
        wrapped_open(&l, &how, "ga", NULL);
        if (renamed) rename_all(l.t.model);
        t = open_with(&l, &lat, NULL);
        const double got = loss_of(&l, t);
        double *g = flat(&l, true, &n), most = 0;
        if (there < plain + 0.01) fail_msg("%s: the worst disturbance found by differences does nothing", family);
        if (fabs(got - there) > 1e-6 * fabs(there))
            fail_msg("%s: the loss under lat is %.12g, should be %.12g (undisturbed %.12g)", family, got, there, plain);
        for (int64_t i = 0; i < n; i++) most = fmax(most, fabs(want[i]));
        for (int64_t i = 0; i < n; i++)
            if (fabs(g[i] - want[i]) > 1e-6 * most)
                fail_msg("%s: [%lld] is %.12g, should be %.12g", family, (long long)i, g[i], want[i]);
        ul_trainer_free(t);
        free(g);
        tiny_close(&l.t);
    }
    free(want);
    tiny_close(&w.t);
}

static void test_differences(void **state)
{
    (void)state;
    for (const char *const *f = ul_families(); *f; f++) differences(ul_family_types(*f)[0]);
}

static double loss_at(const char *key, double value, const char *layers)
{
    wrapped w;
    ul_args *lat;
    wrapped_open(&w, &in_double, "npo", NULL);
    lat = wrap(&w, "lat");
    set_number(lat, key, value);
    for (int i = 0; lat->params[i].key; i++)
        if (!strcmp(lat->params[i].key, "layers")) lat->text[i] = layers;
    ul_trainer *t = open_with(&w, NULL, NULL);
    const double loss = loss_of(&w, t);
    ul_trainer_free(t);
    tiny_close(&w.t);
    return loss;
}

static void test_strength(void **state)
{
    (void)state;
    const double none = loss_at("eps", 0, ""), one = loss_at("steps", 1, ""), many = loss_at("steps", 16, "");
    assert_true(one > none && many > one);
    assert_true(loss_at("eps", 0.3, "") > many);
    assert_true(loss_at("steps", 16, "0,1") > many);
    assert_true(loss_at("absolute", 1, "") != many);
    wrapped w;
    ul_trainer *t = NULL;
    wrapped_open(&w, &in_double, "npo", NULL);
    static const char *const bad[][2] = {{"0,2", "no block 2, the model has 2 blocks, 0 to 1"},
                                         {"-1", "no block -1, the model has 2 blocks"},
                                         {"1,1", "block 1 is named twice"},
                                         {"one", "\"one\": up to 8 numbers"},
                                         {"0,", "\"0,\": up to 8 numbers"},
                                         {"0", NULL}};
    ul_args *lat = wrap(&w, "lat");
    int layers = 0;
    while (strcmp(lat->params[layers].key, "layers")) layers++;
    tiny_references(&w.t, NULL);
    for (int i = 0; bad[i][1]; i++) {
        lat->text[layers] = bad[i][0];
        UL_FAILS_IN(w.t.ctx, UL_E_USAGE, bad[i][1], ul_trainer_new(w.t.ctx, &w.t.run.options, 6, &t));
    }
    lat->text[layers] = "0";
    UL_OK_IN(w.t.ctx, ul_model_select(w.t.ctx, w.t.model, "layers 1"));
    UL_FAILS_IN(w.t.ctx, UL_E_USAGE, "block 0 is outside", ul_trainer_new(w.t.ctx, &w.t.run.options, 6, &t));
    tiny_close(&w.t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_differences), cmocka_unit_test(test_strength)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
