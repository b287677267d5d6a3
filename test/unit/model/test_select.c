/* test_select.c - which weights move: the words, the order, who decays, what gets no gradient. */
#include "model_test.h"

static int chosen(ul_ctx *ctx, ul_model *m, const char *spec, const char *const *names)
{
    ul_trainable *t;
    UL_OK_IN(ctx, ul_model_select(ctx, m, spec));
    const int n = ul_model_trainables(m, &t);
    for (int i = 0; names && names[i]; i++) {
        if (i >= n) fail_msg("\"%s\": %d tensors, \"%s\" is missing", spec, n, names[i]);
        if (strcmp(t[i].name, names[i]))
            fail_msg("\"%s\": tensor %d is \"%s\", not \"%s\"", spec, i, t[i].name, names[i]);
    }
    return n;
}

static void words(void **state)
{
    static const char *const mlp[] = {
        "model.layers.1.mlp.down_proj.bias", "model.layers.1.mlp.down_proj.weight", "model.layers.1.mlp.gate_proj.bias",
        "model.layers.1.mlp.gate_proj.weight", "model.layers.1.mlp.up_proj.bias", "model.layers.1.mlp.up_proj.weight",
        "model.layers.2.mlp.down_proj.bias", NULL};
    static const char *const down[] = {"model.layers.0.mlp.down_proj.bias", "model.layers.0.mlp.down_proj.weight",
                                       NULL};
    static const char *const norms[] = {"model.layers.0.input_layernorm.weight",
                                        "model.layers.0.post_attention_layernorm.weight", NULL};
    static const char *const some[] = {"lm_head.weight", "model.embed_tokens.weight",
                                       "model.layers.2.self_attn.q_proj.weight", NULL};
    (void)state;
    ul_ctx *ctx = ul_test_ctx();
    ul_model *m = tiny_model(ctx, UL_PRECISION_F32, "llama", false);
    assert_int_equal(chosen(ctx, m, "all", NULL), m->n_matrix);
    assert_int_equal(chosen(ctx, m, "none", NULL), 0);
    assert_int_equal(chosen(ctx, m, "layers 1-2 mlp", mlp), 12);
    assert_int_equal(chosen(ctx, m, "layers 1/3-2/3 mlp", mlp), 12); /* of the way up */
    assert_int_equal(chosen(ctx, m, "layers 1/4 down_proj", down), 2);
    assert_int_equal(chosen(ctx, m, "layers 0 mlp.down_proj", down), 2);
    assert_int_equal(chosen(ctx, m, "layers 0 down_proj", down), 2);
    assert_int_equal(chosen(ctx, m, "layers 0,2 attn", NULL), 16);
    assert_int_equal(chosen(ctx, m, "layers 0,2 attn,head,norms", NULL), 16 + 1 + 7);
    assert_int_equal(chosen(ctx, m, "layers 0", NULL), 16);
    assert_int_equal(chosen(ctx, m, "layers 0 norms", norms), 2);
    assert_int_equal(chosen(ctx, m, "model.layers.2.self_attn.q_proj.weight, embedding, head", some), 3);
    UL_FAILS_IN(ctx, UL_E_USAGE, "did you mean \"embedding\"", ul_model_select(ctx, m, "embeding"));
    UL_FAILS_IN(ctx, UL_E_USAGE, "did you mean \"mlp\"", ul_model_select(ctx, m, "layers 1 mpl"));
    UL_FAILS_IN(ctx, UL_E_USAGE, "layers 0 to 2", ul_model_select(ctx, m, "layers 1-3"));
    UL_FAILS_IN(ctx, UL_E_USAGE, "layers 0 to 2", ul_model_select(ctx, m, "layers 1/3-3/3"));
    UL_FAILS_IN(ctx, UL_E_USAGE, "layers 0 to 2", ul_model_select(ctx, m, "layers 1/0"));
    UL_FAILS_IN(ctx, UL_E_USAGE, "has no adapter", ul_model_select(ctx, m, "lora"));
    ul_model_free(m);
    ul_ctx_free(ctx);
}

/* Every family's blocks have the parts that methods ask for, whatever they are called. */
static void roles(void **state)
{
    (void)state;
    for (const char *const *f = ul_families(); *f; f++) {
        ul_ctx *ctx = ul_test_ctx();
        ul_model *m = tiny_model(ctx, UL_PRECISION_F32, ul_family_types(*f)[0], true);
        const ul_shape *s = ul_model_shape(m);
        ul_weight *w = NULL;
        for (int l = 0; l < s->n_layer; l++) {
            const ul_weight *down = ul_model_role(m, l, UL_ROLE_DOWN, false);
            const ul_weight *up = ul_model_role(m, l, UL_ROLE_UP, false);
            const ul_weight *bias = ul_model_role(m, l, UL_ROLE_DOWN, true);
            assert_true(down && down->layer == l && down->rows == s->C && down->cols == s->F);
            assert_true(up && up->layer == l && up->rows == s->F && up->cols == s->C);
            assert_true(!bias || !strcmp(bias->module, down->module));
            const char *spec = ul_format(ul_ctx_arena(ctx), "layers %d %s", l, ul_weight_path(down));
            assert_int_equal(chosen(ctx, m, spec, NULL), 1 + (bias != NULL));
        }
        assert_null(ul_model_role(m, s->n_layer, UL_ROLE_DOWN, false));
        const int mlp = chosen(ctx, m, "layers 0-2 mlp", NULL), attn = chosen(ctx, m, "layers 0-2 attn", NULL);
        for (int i = 0, n = ul_model_weights(m, &w); i < n; i++)
            if (w[i].layer >= 0 && w[i].layer < s->n_layer)
                w[i].module = ul_format(ul_ctx_arena(ctx), "part.%d.fc", w[i].layer);
        for (int i = 0; i < m->n_matrix; i++) m->matrix[i].module = m->matrix[i].part[0]->module;
        assert_int_equal(chosen(ctx, m, "layers 0-2 mlp", NULL), mlp);
        assert_int_equal(chosen(ctx, m, "layers 0-2 attn", NULL), attn);
        ul_model_free(m);
        ul_ctx_free(ctx);
    }
}

/* As transformers' Trainer groups them: no decay for norms and biases. */
static void decay(void **state)
{
    (void)state;
    for (const char *const *f = ul_families(); *f; f++) {
        ul_ctx *ctx = ul_test_ctx();
        ul_model *m = tiny_model(ctx, UL_PRECISION_F32, ul_family_types(*f)[0], true);
        ul_trainable *t;
        int plain = 0, decaying = 0;
        chosen(ctx, m, "all", NULL);
        for (int i = 0, n = ul_model_trainables(m, &t); i < n; i++) {
            const bool exempt = strstr(t[i].name, "norm") || strstr(t[i].name, "ln_") || strstr(t[i].name, ".bias");
            assert_int_equal(t[i].decays, !exempt);
            plain += exempt, decaying += !exempt;
        }
        assert_true(plain > 6 && decaying > 6);
        ul_model_free(m);
        ul_ctx_free(ctx);
    }
}

/* Both uses of a tied matrix: a chain each until the step ends. */
static void tied_chains(void **state)
{
    (void)state;
    ul_ctx *ctx = ul_test_ctx();
    ul_model *m = tiny_model(ctx, UL_PRECISION_F32, "llama", true);
    const ul_batch *b = random_batch(ul_ctx_arena(ctx), 0, 2, 23, false);
    double *coef = UL_NEW(ul_ctx_arena(ctx), double, b->n_row), gather[23 * 16], head[23 * 16], both[23 * 16];
    for (int i = 0; i < b->n_row; i++) coef[i] = 1;
    ul_pass pass = {.batch = b, .flags = UL_PASS_GRAD, .last = -1, .coef = coef};
    chosen(ctx, m, "embedding", NULL);
    UL_OK_IN(ctx, ul_model_forward(ctx, m, &pass));
    UL_OK_IN(ctx, ul_model_backward(ctx, m, &pass));
    const ul_weight *w = m->top[W_EMBED];
    for (int i = 0; i < 23 * 16; i++) head[i] = ul_real_get(m->be, w->g, i), gather[i] = ul_real_get(m->be, w->g2, i);
    ul_model_grad_ready(m);
    UL_OK_IN(ctx, ul_model_tensor(ctx, m, "lm_head.weight", true, 23 * 16, both));
    double a = 0, c = 0;
    for (int i = 0; i < 23 * 16; i++) {
        assert_true((float)both[i] == (float)head[i] + (float)gather[i]);
        a += fabs(head[i]), c += fabs(gather[i]);
    }
    assert_true(a > 0 && c > 0);
    ul_model_grad_ready(m); /* nothing is added twice */
    UL_OK_IN(ctx, ul_model_tensor(ctx, m, "model.embed_tokens.weight", true, 23 * 16, head));
    assert_memory_equal(both, head, sizeof both);
    UL_FAILS_IN(ctx, UL_E_USAGE, "it is frozen", ul_model_tensor(ctx, m, "model.norm.weight", true, 16, head));
    UL_FAILS_IN(ctx, UL_E_USAGE, "has 368 numbers, 5 were asked for",
                ul_model_tensor(ctx, m, "lm_head.weight", false, 5, head));
    ul_model_free(m);
    ul_ctx_free(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(words), cmocka_unit_test(roles), cmocka_unit_test(decay),
                                       cmocka_unit_test(tied_chains)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
