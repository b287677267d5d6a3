/* test_model_files.c - a model in and out of its folder: the same bytes for every family, type and sharding;
 * what is wrong with a folder is said with its name, place and numbers. */
#include "model_test.h"
#include <sys/stat.h>

static ul_backend *backend(ul_ctx *ctx)
{
    ul_backend *be;
    UL_OK_IN(ctx, ul_backend_open(ctx, ul_ctx_arena(ctx), ul_env("UL_ISA"), UL_PRECISION_F32, 1, &be));
    return be;
}

static const char *in(ul_ctx *ctx, const char *dir, const char *name)
{
    char *p = ul_path_join(ul_ctx_arena(ctx), dir, name);
    assert_non_null(p);
    return p;
}

static const char *folder(ul_ctx *ctx, const char *name)
{
    char *p = ul_strdup(ul_ctx_arena(ctx), ul_test_folder(name));
    assert_non_null(p);
    return p;
}

static void same_file(ul_ctx *ctx, const char *a, const char *b, const char *name)
{
    ul_file x, y;
    UL_OK_IN(ctx, ul_file_map(ctx, ul_ctx_arena(ctx), in(ctx, a, name), &x));
    UL_OK_IN(ctx, ul_file_map(ctx, ul_ctx_arena(ctx), in(ctx, b, name), &y));
    if (x.n != y.n || memcmp(x.p, y.p, x.n)) fail_msg("%s differs between %s and %s", name, a, b);
}

/* A fresh model's folder, weights shaken. */
static const char *fresh_folder(ul_ctx *ctx, const char *type, bool tied, const char *dtype)
{
    ul_model *m;
    const char *dir = folder(ctx, "fresh");
    UL_OK_IN(ctx, ul_model_fresh(ctx, backend(ctx), tiny_config(type, tied, dtype), 7, 0.3, &m));
    shake(m, 0.1);
    UL_OK_IN(ctx, ul_model_save(ctx, m, dir));
    ul_model_free(m);
    return dir;
}

static void round_trip(ul_ctx *ctx, const char *dir, const char *const *names)
{
    ul_model *m;
    const char *out = folder(ctx, "out");
    UL_OK_IN(ctx, ul_model_open(ctx, backend(ctx), dir, 0, &m));
    UL_OK_IN(ctx, ul_model_save(ctx, m, out));
    ul_model_free(m);
    for (; *names; names++) same_file(ctx, dir, out, *names);
}

static const char *const whole_names[] = {"config.json", "model.safetensors", NULL};

static void load_save(void **state)
{
    static const char *const dtypes[] = {"float32", "float16", "bfloat16"};
    (void)state;
    for (const char *const *f = ul_families(); *f; f++)
        for (int k = 0; k < 6; k++) {
            ul_ctx *ctx = ul_test_ctx();
            round_trip(ctx, fresh_folder(ctx, ul_family_types(*f)[0], k % 2, dtypes[k / 2]), whole_names);
            ul_ctx_free(ctx);
        }
}

static void load_save_published(void **state)
{
    static const char *const dirs[] = {"golden/families/llama",        "golden/families/gpt2",
                                       "golden/families/qwen2",        "golden/families/llama-bias",
                                       "data/models/TinyStories-656K", "data/models/tiny-random-gpt2",
                                       "data/models/stories260K-hf",   NULL};
    (void)state;
    for (int i = 0; dirs[i]; i++) {
        ul_ctx *ctx = ul_test_ctx();
        round_trip(ctx, ul_test_shared(dirs[i]), whole_names);
        ul_ctx_free(ctx);
    }
}

/* The folder's tensors again, by halves in two shards, with names changed (`cut`: letters taken off the front). */
static const char *shard(ul_ctx *ctx, const char *dir, const char *cut)
{
    ul_tensors *ts;
    ul_arena *a = ul_ctx_arena(ctx);
    const char *out = folder(ctx, "shards");
    UL_OK_IN(ctx, ul_tensors_open(ctx, a, dir, &ts));
    ul_tensor *t = UL_NEW(a, ul_tensor, ts->n);
    json_t *map = json_object(),
           *index = json_pack("{s:{s:I}, s:o}", "metadata", "total_size", (json_int_t)ts->bytes, "weight_map", map);
    UL_OK_IN(ctx, ul_json_own(a, index));
    for (int64_t i = 0; i < ts->n; i++) {
        t[i] = ts->at[i];
        if (!strncmp(t[i].name, cut, strlen(cut))) t[i].name += strlen(cut);
        json_object_set_new(
            map, t[i].name,
            json_string(i < ts->n / 2 ? "model-00001-of-00002.safetensors" : "model-00002-of-00002.safetensors"));
    }
    UL_OK_IN(ctx,
             ul_tensors_write(ctx, in(ctx, out, "model-00001-of-00002.safetensors"), t, ts->n / 2, NULL, NULL, NULL));
    UL_OK_IN(ctx, ul_tensors_write(ctx, in(ctx, out, "model-00002-of-00002.safetensors"), t + ts->n / 2,
                                   ts->n - ts->n / 2, NULL, NULL, NULL));
    UL_OK_IN(ctx, ul_json_save(ctx, in(ctx, out, "model.safetensors.index.json"), index));
    UL_OK_IN(ctx, ul_dir_carry(ctx, dir, out, NULL));
    return out;
}

static void shards(void **state)
{
    static const char *const names[] = {"config.json", "model.safetensors.index.json",
                                        "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors", NULL};
    (void)state;
    for (const char *const *f = ul_families(); *f; f++) {
        ul_ctx *ctx = ul_test_ctx();
        const char *dir = fresh_folder(ctx, ul_family_types(*f)[0], true, "bfloat16");
        const char *cut = shard(ctx, dir, !strcmp(*f, "gpt2") ? "transformer." : "model.");
        ul_model *a, *b;
        char da[65], db[65];
        round_trip(ctx, cut, names);
        UL_OK_IN(ctx, ul_model_open(ctx, backend(ctx), dir, 0, &a));
        UL_OK_IN(ctx, ul_model_open(ctx, backend(ctx), shard(ctx, dir, ""), 0, &b));
        UL_OK_IN(ctx, ul_model_digest(ctx, a, da));
        UL_OK_IN(ctx, ul_model_digest(ctx, b, db));
        assert_string_equal(da, db);
        ul_real_set(a->be, b->matrix[0].p, 0, 9);
        UL_OK_IN(ctx, ul_model_digest(ctx, b, db));
        assert_string_not_equal(da, db);
        UL_OK_IN(ctx, ul_model_copy_weights(ctx, a, b));
        UL_OK_IN(ctx, ul_model_digest(ctx, b, db));
        assert_string_equal(da, db);
        ul_model_free(a);
        ul_model_free(b);
        ul_ctx_free(ctx);
    }
}

/* ---- what may be wrong ------------------------------------------------------------------------------------------ */
typedef struct {
    const char *name; /* tensor to spoil */
    int64_t bad;      /* element that becomes NaN, or -1 */
    bool drop, longer;
    const char *add;  /* a tensor that nobody knows */
    const char *config_from, *config_to;
    const char *message;
} fault;

static const char *spoil(ul_ctx *ctx, const char *dir, const fault *x)
{
    ul_tensors *ts;
    ul_arena *a = ul_ctx_arena(ctx);
    const char *out = folder(ctx, "spoilt");
    char *text;
    size_t size;
    UL_OK_IN(ctx, ul_tensors_open(ctx, a, dir, &ts));
    ul_tensor *t = UL_NEW(a, ul_tensor, ts->n + 1);
    int64_t n = 0;
    for (int64_t i = 0; i < ts->n; i++) {
        t[n] = ts->at[i];
        if (x->name && !strcmp(t[n].name, x->name)) {
            if (x->drop) continue;
            float *copy = ul_alloc(a, t[n].bytes + 1024, 1);
            memcpy(copy, t[n].data, t[n].bytes);
            if (x->bad >= 0) copy[x->bad] = NAN;
            if (x->longer) t[n].bytes += (t[n].n_dim > 1 ? (size_t)t[n].dim[1] : 1) * 4, t[n].dim[0]++;
            t[n].data = copy;
        }
        n++;
    }
    if (x->add) t[n] = t[0], t[n++].name = x->add;
    UL_OK_IN(ctx, ul_tensors_write(ctx, in(ctx, out, "model.safetensors"), t, n, NULL, NULL, NULL));
    UL_OK_IN(ctx, ul_file_read_text(ctx, a, in(ctx, dir, "config.json"), 1 << 20, &text, &size));
    char *at = x->config_from ? strstr(text, x->config_from) : NULL;
    assert_true(!x->config_from || at);
    const char *whole =
        at ? ul_format(a, "%.*s%s%s", (int)(at - text), text, x->config_to, at + strlen(x->config_from)) : text;
    UL_OK_IN(ctx, ul_file_save(ctx, in(ctx, out, "config.json"), whole, strlen(whole)));
    return out;
}

static void faults(void **state)
{
    static const fault all[] = {
        {"model.layers.1.mlp.up_proj.weight", 37, false, false, NULL, NULL, NULL,
         "\"model.layers.1.mlp.up_proj.weight\""},
        {"model.layers.2.self_attn.q_proj.weight", -1, true, false, NULL, NULL, NULL,
         "model.layers.2.self_attn.q_proj.weight"},
        {"model.layers.0.mlp.down_proj.weight", -1, false, true, NULL, NULL, NULL,
         "is [17, 20], config.json makes it [16, 20]"},
        {"model.norm.weight", -1, false, true, NULL, NULL, NULL, "config.json makes it [16]"},
        {NULL, -1, false, false, "model.layers.9.extra", NULL, NULL,
         "\"model.layers.9.extra\" has no place in a llama model of 3 layers"},
        {NULL, -1, false, false, NULL, "\"llama\"", "\"lama\"", "model_type \"lama\" is unsupported (supported: "},
        {NULL, -1, false, false, NULL, "\"num_attention_heads\": 4", "\"num_attention_heads\": 3",
         "3 attention heads do not divide among 2"},
        {NULL, -1, false, false, NULL, "\"head_dim\": 6", "\"head_dim\": 5", "a head has 5"},
        {NULL, -1, false, false, NULL, "\"intermediate_size\": 20", "\"intermediate_size\": 24",
         "is [16, 20], config.json makes it [16, 24]"},
        {NULL, -1, false, false, NULL, "\"llama3\"", "\"yarn\"", "rope_scaling \"yarn\" is unsupported"},
        {NULL, -1, false, false, NULL, "\"factor\": 4.0", "\"factor\": 0.0", "rope_scaling.factor is 0"},
        {NULL, -1, false, false, NULL, "\"rms_norm_eps\": 1e-5", "\"hidden_act\": \"mish\"",
         "hidden_act \"mish\" is unsupported"},
        {NULL, -1, false, false, NULL, "\"model_type\"", "\"model\"", "model_type"}};
    (void)state;
    ul_ctx *ctx = ul_test_ctx();
    const char *dir = fresh_folder(ctx, "llama", false, "float32");
    ul_model *m;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        UL_FAILS_IN(ctx, UL_E_INPUT, all[i].message, ul_model_open(ctx, backend(ctx), spoil(ctx, dir, &all[i]), 0, &m));
        assert_null(m);
    }
    const fault nan = all[0];
    UL_FAILS_IN(ctx, UL_E_INPUT, "37", ul_model_open(ctx, backend(ctx), spoil(ctx, dir, &nan), 0, &m));
    UL_FAILS_IN(ctx, UL_E_INPUT, "no such folder", ul_model_open(ctx, backend(ctx), "/nowhere", 0, &m));
    ul_ctx_free(ctx);
}

static void unsupported(void **state)
{
    static const char *const dirs[][2] = {{"golden/families/qwen2-sliding", "layer_types[1] is \"sliding_attention\""},
                                          {"golden/families/mistral", "mistral with a sliding window"},
                                          {"golden/families/gemma2", "model_type \"gemma2\""}};
    (void)state;
    ul_ctx *ctx = ul_test_ctx();
    ul_model *m;
    for (int i = 0; i < 3; i++)
        UL_FAILS_IN(ctx, UL_E_INPUT, dirs[i][1], ul_model_open(ctx, backend(ctx), ul_test_shared(dirs[i][0]), 0, &m));
    assert_non_null(strstr(ul_error_text(ctx), "unsupported"));
    ul_ctx_free(ctx);
}

/* Both names of a tied matrix in one file; buffers beside the weights; shape only. */
static void oddities(void **state)
{
    (void)state;
    ul_ctx *ctx = ul_test_ctx();
    ul_model *m;
    const char *dir = fresh_folder(ctx, "llama", true, "float32");
    const fault twice = {NULL, -1, false, false, "lm_head.weight", NULL, NULL, NULL};
    const char *both = spoil(ctx, dir, &twice);
    round_trip(ctx, both, whole_names);
    const fault buffer = {NULL, -1, false, false, "model.layers.0.self_attn.rotary_emb.inv_freq", NULL, NULL, NULL};
    round_trip(ctx, spoil(ctx, dir, &buffer), whole_names);
    UL_OK_IN(ctx, ul_model_open(ctx, backend(ctx), dir, UL_OPEN_NO_WEIGHTS, &m));
    ul_weight *w;
    assert_true(ul_model_weights(m, &w) > 30);
    assert_null(w->p);
    assert_int_equal(ul_model_shape(m)->V, 23);
    int32_t zero[2] = {0, 1};
    const ul_batch b = {.n_tok = 1,
                        .n_doc = 1,
                        .n_sample = 1,
                        .longest = 1,
                        .token = zero,
                        .pos = zero,
                        .doc_start = zero,
                        .sample_start = zero};
    ul_pass pass = {.batch = &b, .last = -1};
    ul_bytes_plan plan;
    UL_OK_IN(ctx, ul_model_plan(ctx, m, &pass, &plan));
    assert_true(plan.weights > 0 && plan.slots > 0);
    UL_FAILS_IN(ctx, UL_E_INTERNAL, "without weights", ul_model_forward(ctx, m, &pass));
    ul_model_free(m);
    ul_ctx_free(ctx);
}

static void out_of_range(void **state)
{
    (void)state;
    ul_ctx *ctx = ul_test_ctx();
    ul_model *m = tiny_model(ctx, UL_PRECISION_F32, "gpt2", true);
    int32_t token[1] = {23}, pos[1] = {0}, start[2] = {0, 1};
    const ul_batch b = {.n_tok = 1,
                        .n_doc = 1,
                        .n_sample = 1,
                        .longest = 1,
                        .token = token,
                        .pos = pos,
                        .doc_start = start,
                        .sample_start = start};
    ul_pass pass = {.batch = &b, .last = -1};
    UL_FAILS_IN(ctx, UL_E_INPUT, "is 23, the model's vocabulary has 23", ul_model_forward(ctx, m, &pass));
    token[0] = 0, pos[0] = 32;
    UL_FAILS_IN(ctx, UL_E_INPUT, "stands at position 32, the model was made for 32", ul_model_forward(ctx, m, &pass));
    ul_model_free(m);
    m = tiny_model(ctx, UL_PRECISION_F32, "llama", true); /* rotary positions have no end */
    pos[0] = 1000;
    UL_OK_IN(ctx, ul_model_forward(ctx, m, &pass));
    ul_model_free(m);
    /* a number that the file's type cannot hold is refused, not written as infinity */
    UL_OK_IN(ctx, ul_model_fresh(ctx, backend(ctx), tiny_config("llama", true, "float16"), 7, 0.3, &m));
    ((float *)m->matrix[3].p)[5] = 70000;
    UL_FAILS_IN(ctx, UL_E_INPUT, "element 5 is 70000, the model's type F16 ends at",
                ul_model_save(ctx, m, folder(ctx, "f16")));
    ul_model_free(m);
    ul_ctx_free(ctx);
}

static void fresh_weights(void **state)
{
    (void)state;
    ul_ctx *ctx = ul_test_ctx();
    ul_model *a, *b, *c;
    const char *config = tiny_config("gpt2", true, "float32");
    char da[65], db[65], dc[65];
    UL_OK_IN(ctx, ul_model_fresh(ctx, backend(ctx), config, 1, 0.02, &a));
    UL_OK_IN(ctx, ul_model_fresh(ctx, backend(ctx), config, 1, 0.02, &b));
    UL_OK_IN(ctx, ul_model_fresh(ctx, backend(ctx), config, 2, 0.02, &c));
    UL_OK_IN(ctx, ul_model_digest(ctx, a, da));
    UL_OK_IN(ctx, ul_model_digest(ctx, b, db));
    UL_OK_IN(ctx, ul_model_digest(ctx, c, dc));
    assert_string_equal(da, db);
    assert_string_not_equal(da, dc);
    ul_weight *w;
    const int n = ul_model_weights(a, &w);
    double sum = 0, squares = 0, count = 0;
    for (int i = 0; i < n; i++)
        for (int64_t k = 0; k < w[i].rows * w[i].cols; k++) {
            const double x = ((float *)w[i].p)[k];
            if (w[i].is_bias) assert_true(x == 0);
            else if (w[i].is_norm) assert_true(x == 1);
            else sum += x, squares += x * x, count++;
        }
    assert_true(fabs(sum / count) < 0.02 * 4 / sqrt(count));
    assert_true(fabs(squares / count / (0.02 * 0.02) - 1) < 4 * sqrt(2 / count));
    ul_model_free(a);
    ul_model_free(b);
    ul_model_free(c);
    ul_ctx_free(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(load_save),    cmocka_unit_test(shards),
                                       cmocka_unit_test(faults),       cmocka_unit_test(oddities),
                                       cmocka_unit_test(out_of_range), cmocka_unit_test(fresh_weights),
                                       cmocka_unit_test(unsupported),  cmocka_unit_test(load_save_published)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
