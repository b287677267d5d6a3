/* test_lora.c - adapters: which modules, which scale, PEFT folders out and in again,
 * merging, hooks' and readers' view. */
#include "model_test.h"

static double forward_sum(ul_ctx *ctx, ul_model *m, unsigned flags)
{
    const ul_batch *b = random_batch(ul_ctx_arena(ctx), 0, 2, 23, false);
    double *logp = UL_NEW(ul_ctx_arena(ctx), double, b->n_row), sum = 0;
    ul_pass pass = {.batch = b, .flags = flags, .last = -1, .score = {.logp = logp}};
    UL_OK_IN(ctx, ul_model_forward(ctx, m, &pass));
    for (int i = 0; i < b->n_row; i++) sum += logp[i];
    return sum;
}

static int adapted(ul_model *m, const char *in_name)
{
    int n = 0;
    for (int i = 0; i < m->n_matrix; i++) n += m->matrix[i].part[0]->r && strstr(m->matrix[i].module, in_name);
    return n;
}

static ul_model *with(ul_ctx *ctx, const char *type, const ul_lora *l)
{
    ul_model *m = tiny_model(ctx, UL_PRECISION_DOUBLE, type, true);
    UL_OK_IN(ctx, ul_lora_add(ctx, m, l));
    for (int i = 0; i < m->n_trainable; i++)
        for (int64_t k = 0; k < m->trainable[i].n; k++)
            ((double *)m->trainable[i].p)[k] += 0.1 * ul_rng_normal(1, UL_STREAM_TEST, (uint64_t)i, (uint64_t)k);
    return m;
}

static void targets(void **state)
{
    static const struct { const char *type, *targets, *in; int n;
    } cases[] = {{"llama", "q_proj,v_proj", "self_attn", 6},
                 {"llama", "all-linear", "", 21},
                 {"llama", ".*\\.layers\\.1\\..*(up|down)_proj", "mlp", 2},
                 {"llama", "model.layers.0.mlp.gate_proj", "gate_proj", 1},
                 {"gpt2", "c_attn", "c_attn", 3},
                 {"gpt2", "c_proj", "c_proj", 6},
                 {"gpt2", "all-linear", "", 12},
                 {"qwen2", "layers.2.self_attn.o_proj, k_proj", "self_attn", 4}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ul_ctx *ctx = ul_test_ctx();
        const ul_lora l = {.r = 2, .alpha = 4, .targets = cases[i].targets};
        ul_model *m = with(ctx, cases[i].type, &l);
        assert_int_equal(adapted(m, ""), cases[i].n);
        assert_int_equal(adapted(m, cases[i].in), cases[i].n);
        assert_int_equal(m->n_trainable, 2 * cases[i].n);
        ul_model_free(m);
        ul_ctx_free(ctx);
    }
    ul_ctx *ctx = ul_test_ctx();
    ul_model *m = tiny_model(ctx, UL_PRECISION_F32, "llama", true);
    const ul_lora none = {.r = 2, .alpha = 4, .targets = "c_attn"}, flat = {.r = 0, .alpha = 4, .targets = "q_proj"};
    const ul_lora bad = {.r = 2, .alpha = 4, .targets = "(q_proj"}, good = {.r = 2, .alpha = 4, .targets = "q_proj"};
    UL_FAILS_IN(ctx, UL_E_USAGE, "no linear layer of the model is called \"c_attn\"", ul_lora_add(ctx, m, &none));
    UL_FAILS_IN(ctx, UL_E_USAGE, "rank is 0", ul_lora_add(ctx, m, &flat));
    UL_FAILS_IN(ctx, UL_E_USAGE, "regular expression \"(q_proj\"", ul_lora_add(ctx, m, &bad));
    UL_OK_IN(ctx, ul_lora_add(ctx, m, &good));
    UL_FAILS_IN(ctx, UL_E_USAGE, "has an adapter already", ul_lora_add(ctx, m, &good));
    ul_model_free(m);
    ul_ctx_free(ctx);
}

static void save_open_merge(void **state)
{
    (void)state;
    for (const char *const *f = ul_families(); *f; f++)
        for (int rs = 0; rs < 2; rs++) {
            ul_ctx *ctx = ul_test_ctx();
            const char *type = ul_family_types(*f)[0];
            const ul_lora l = {.r = 4, .alpha = 6, .rslora = rs, .targets = "all-linear", .seed = 3};
            ul_model *m = with(ctx, type, &l), *again = tiny_model(ctx, UL_PRECISION_DOUBLE, type, true);
            for (int i = 0; i < m->n_trainable; i++) /* the file holds floats */
                for (int64_t k = 0; k < m->trainable[i].n; k++)
                    ((double *)m->trainable[i].p)[k] = (float)((double *)m->trainable[i].p)[k];
            assert_true(m->matrix[m->n_matrix - 2].part[0]->r == 0 ||
                        m->matrix[m->n_matrix - 2].part[0]->s == (rs ? 6 / 2.0 : 6 / 4.0));
            const char *dir = ul_test_folder("adapter");
            const double want = forward_sum(ctx, m, 0), base = forward_sum(ctx, m, UL_PASS_BASE);
            assert_true(fabs(want - base) > 1e-3);
            assert_true(forward_sum(ctx, again, 0) == base);
            UL_OK_IN(ctx, ul_lora_save(ctx, m, dir));
            UL_OK_IN(ctx, ul_lora_open(ctx, again, dir));
            assert_true(forward_sum(ctx, again, 0) == want);
            assert_true(forward_sum(ctx, again, UL_PASS_BASE) == base);
            assert_int_equal(again->n_trainable, m->n_trainable);
            char a[65], b[65];
            UL_OK_IN(ctx, ul_model_digest(ctx, m, a));
            UL_OK_IN(ctx, ul_model_digest(ctx, again, b));
            assert_string_equal(a, b);
            UL_OK_IN(ctx, ul_lora_merge(ctx, again));
            assert_true(fabs(forward_sum(ctx, again, 0) - want) < 1e-9 * fabs(want));
            assert_true(forward_sum(ctx, again, 0) == forward_sum(ctx, again, UL_PASS_BASE));
            UL_FAILS_IN(ctx, UL_E_USAGE, "no adapter to merge", ul_lora_merge(ctx, again));
            ul_model_free(m);
            ul_model_free(again);
            ul_ctx_free(ctx);
        }
}

/* An adapter of PEFT's with biases in its file: they take the place of the model's, move, and come out as they came. */
static void check_bias(const char *type, const char *target, const char *kind)
{
    ul_ctx *ctx = ul_test_ctx();
    ul_arena *a = ul_ctx_arena(ctx);
    const ul_lora l = {.r = 2, .alpha = 4, .targets = target, .seed = 3};
    const bool all = !strcmp(kind, "all");
    ul_model *m = with(ctx, type, &l), *again = tiny_model(ctx, UL_PRECISION_F32, type, true);
    const char *dir = ul_test_folder("biased"), *out = ul_test_folder("biased-again");
    const char *file = ul_path_join(a, dir, "adapter_model.safetensors");
    const char *config = ul_path_join(a, dir, "adapter_config.json");
    UL_OK_IN(ctx, ul_lora_save(ctx, m, dir));
    ul_tensors *ts;
    UL_OK_IN(ctx, ul_tensors_open(ctx, a, file, &ts));
    ul_tensor *t = UL_NEW(a, ul_tensor, ts->n + m->n_matrix);
    int64_t n = 0, n_bias = 0;
    for (; n < ts->n; n++) t[n] = ts->at[n], t[n].dtype = UL_DT_F32;
    for (int64_t i = 0; i < n; i++) {
        float *x = ul_alloc(a, (size_t)ul_tensor_count(&t[i]), sizeof *x);
        UL_OK_IN(ctx, ul_tensor_f32(ctx, &ts->at[i], 0, ul_tensor_count(&t[i]), x));
        t[i].data = x, t[i].bytes = (size_t)ul_tensor_count(&t[i]) * sizeof *x;
    }
    for (int i = 0; i < m->n_matrix; i++) {
        ul_matrix *x = &m->matrix[i];
        const bool adapted = strstr(x->module, target) != NULL;
        if (!x->part[0]->is_bias || (!adapted && !all)) continue;
        float *b = ul_alloc(a, (size_t)x->cols, sizeof *b);
        for (int64_t k = 0; k < x->cols; k++) {
            b[k] = (float)ul_rng_normal(8, UL_STREAM_TEST, (uint64_t)i, (uint64_t)k);
            ul_real_set(m->be, x->p, k, b[k]);
        }
        const char *name = ul_format(a, "%s%s.bias", x->peft, adapted ? ".base_layer" : "");
        t[n++] = (ul_tensor){.name = name, .dtype = UL_DT_F32, .n_dim = 1, .dim = {x->cols}, .data = b,
                             .bytes = (size_t)x->cols * sizeof *b};
        n_bias++;
    }
    json_t *c;
    UL_OK_IN(ctx, ul_json_load(ctx, a, config, &c));
    json_object_set_new(c, "bias", json_string(kind));
    UL_OK_IN(ctx, ul_json_save(ctx, config, c));
    json_t *metadata = json_pack("{s:s}", "format", "pt");
    UL_OK_IN(ctx, ul_json_own(a, metadata));
    UL_OK_IN(ctx, ul_tensors_write(ctx, file, t, n, metadata, NULL, NULL));
    const double base = forward_sum(ctx, again, 0);
    UL_OK_IN(ctx, ul_lora_open(ctx, again, dir));
    assert_true(n_bias >= 3 && again->n_trainable == m->n_trainable + n_bias);
    const double have = forward_sum(ctx, again, 0), want = forward_sum(ctx, m, 0);
    assert_true(fabs(have - want) < 1e-4 * fabs(want) && fabs(have - base) > 1e-3);
    assert_true(forward_sum(ctx, again, UL_PASS_BASE) == base);
    UL_OK_IN(ctx, ul_lora_save(ctx, again, out));
    ul_file x, y;
    UL_OK_IN(ctx, ul_file_map(ctx, a, file, &x));
    UL_OK_IN(ctx, ul_file_map(ctx, a, ul_path_join(a, out, "adapter_model.safetensors"), &y));
    assert_int_equal(x.n, y.n);
    assert_memory_equal(x.p, y.p, x.n);
    UL_OK_IN(ctx, ul_lora_merge(ctx, again));
    assert_true(fabs(forward_sum(ctx, again, 0) - have) < 1e-4 * fabs(have));
    ul_model_free(m);
    ul_model_free(again);
    ul_ctx_free(ctx);
}

static void biases(void **state)
{
    (void)state;
    check_bias("llama", "q_proj", "lora_only");
    check_bias("llama", "up_proj", "all");
    check_bias("gpt2", "c_attn", "lora_only");
    check_bias("gpt2", "c_attn", "all");
}

/* Other people's adapters come out as they came in. */
static void peft_round_trip(void **state)
{
    static const char *const dirs[][2] = {{"golden/lora/llama-modules-to-save", "golden/families/llama"},
                                          {"golden/lora/gpt2-conv1d", "golden/families/gpt2"},
                                          {"golden/lora/llama-patterns", "golden/families/llama"}};
    (void)state;
    for (int i = 0; i < 3; i++) {
        ul_ctx *ctx = ul_test_ctx();
        ul_arena *a = ul_ctx_arena(ctx);
        ul_backend *be;
        ul_model *m;
        ul_file x, y;
        const char *in = ul_test_shared(dirs[i][0]), *out = ul_test_folder("peft");
        UL_OK_IN(ctx, ul_backend_open(ctx, a, NULL, UL_PRECISION_F32, 1, &be));
        UL_OK_IN(ctx, ul_model_open(ctx, be, ul_test_shared(dirs[i][1]), 0, &m));
        UL_OK_IN(ctx, ul_lora_open(ctx, m, in));
        UL_OK_IN(ctx, ul_lora_save(ctx, m, out));
        UL_OK_IN(ctx, ul_file_map(ctx, a, ul_path_join(a, in, "adapter_model.safetensors"), &x));
        UL_OK_IN(ctx, ul_file_map(ctx, a, ul_path_join(a, out, "adapter_model.safetensors"), &y));
        assert_int_equal(x.n, y.n);
        assert_memory_equal(x.p, y.p, x.n);
        json_t *jx, *jy;
        UL_OK_IN(ctx, ul_json_load(ctx, a, ul_path_join(a, in, "adapter_config.json"), &jx));
        UL_OK_IN(ctx, ul_json_load(ctx, a, ul_path_join(a, out, "adapter_config.json"), &jy));
        assert_true(json_equal(jx, jy));
        /* wrong ones */
        ul_model *other;
        UL_OK_IN(ctx, ul_model_open(ctx, be, ul_test_shared("golden/families/qwen2"), 0, &other));
        if (i == 1) UL_FAILS_IN(ctx, UL_E_INPUT, "names no linear layer", ul_lora_open(ctx, other, in));
        ul_model_free(other);
        ul_model_free(m);
        ul_ctx_free(ctx);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(targets), cmocka_unit_test(save_open_merge),
                                       cmocka_unit_test(biases), cmocka_unit_test(peft_round_trip)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
