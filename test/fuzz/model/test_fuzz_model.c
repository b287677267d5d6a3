/* test_fuzz_model.c - damaged models: config.json of every family, weights, their index; adapters in PEFT's folders.
 * What is taken runs forwards and generates. */
#include "fuzz/fuzz.h"
#include "model_test.h"

static ul_backend *backend(fuzz *z)
{
    ul_backend *be;
    UL_OK_IN(z->ctx, ul_backend_open(z->ctx, z->arena, NULL, UL_PRECISION_F32, 1, &be));
    return be;
}

static void make_family(fuzz *z, const char *type, bool tied)
{
    ul_model *m;
    UL_OK_IN(z->ctx, ul_model_fresh(z->ctx, backend(z), tiny_config(type, tied, "float32"), 7, 0.3, &m));
    shake(m, 0.1);
    UL_OK_IN(z->ctx, ul_model_save(z->ctx, m, z->dir));
    ul_model_free(m);
}

static void make_llama(fuzz *z)
{
    make_family(z, "llama", true);
}

static void make_qwen2(fuzz *z)
{
    make_family(z, "qwen2", false);
}

static void make_gpt2(fuzz *z)
{
    make_family(z, "gpt2", true);
}

/* Log-probabilities of a few documents, and greedy continuations. */
static ul_status use(fuzz *z, ul_model *m)
{
    const ul_shape *s = ul_model_shape(m);
    const int32_t most = s->n_ctx < 30 ? 1 : 3;
    const ul_batch *b = random_batch(z->arena, 0, most, s->V < 23 ? s->V : 23, false);
    double *logp = UL_NEW(z->arena, double, b->n_row + 1);
    int32_t *out[2], n_out[2], token[2] = {0, s->V > 1};
    const ul_doc doc[2] = {{.n = 2, .token = token}, {.n = 1, .token = token}};
    const ul_generation g = {.n = 2, .prompt = doc, .max_new = 3, .batch = 2};
    ul_pass pass = {.batch = b, .last = -1, .score = {.logp = logp}};
    UL_TRY(ul_model_forward(z->ctx, m, &pass));
    UL_TRY(ul_model_generate(z->ctx, m, &g, z->arena, out, n_out));
    for (int i = 0; i < 2; i++)
        for (int k = 0; k < n_out[i]; k++) assert_true(out[i][k] >= 0 && out[i][k] < s->V);
    return UL_OK;
}

static ul_status read_model(fuzz *z)
{
    ul_backend *be = backend(z);
    ul_model *m;
    char hex[65];
    UL_TRY(ul_model_open(z->ctx, be, z->dir, UL_OPEN_NO_WEIGHTS, &m));
    assert_true(ul_model_parameters(m) > 0);
    ul_model_free(m);
    UL_TRY(ul_model_open(z->ctx, be, z->dir, z->round % 2 ? UL_OPEN_PANELS : 0, &m));
    UL_OK_IN(z->ctx, ul_model_digest(z->ctx, m, hex));
    const ul_status s = use(z, m);
    ul_model_free(m);
    return s;
}

/* Without weights beside it: what train --config begins with. */
static ul_status read_fresh(fuzz *z)
{
    ul_model *m;
    UL_TRY(ul_model_fresh(z->ctx, backend(z), z->path, 7, 0.3, &m));
    const ul_status s = use(z, m);
    ul_model_free(m);
    return s;
}

static void make_sharded(fuzz *z)
{
    fuzz_bytes b;
    ul_tensors *ts;
    ul_buf index;
    ul_tensor *half = NULL;
    make_llama(z);
    UL_OK_IN(z->ctx, ul_tensors_open(z->ctx, z->arena, fuzz_join(z, "model.safetensors"), &ts));
    assert_non_null(half = UL_NEW(z->arena, ul_tensor, ts->n));
    ul_buf_init(&index, z->ctx, 1 << 20);
    UL_OK_IN(z->ctx, ul_buf_printf(&index, "{\"metadata\": {\"total_size\": 1}, \"weight_map\": {"));
    for (int k = 0; k < 2; k++) {
        char name[64];
        int64_t n = 0;
        snprintf(name, sizeof name, "model-0000%d-of-00002.safetensors", k + 1);
        for (int64_t i = 0; i < ts->n; i++) {
            if (i % 2 != k) continue;
            UL_OK_IN(z->ctx, ul_buf_printf(&index, "%s\"%s\": \"%s\"", index.p[index.n - 1] == '{' ? "" : ", ",
                                           ts->at[i].name, name));
            half[n++] = ts->at[i];
        }
        UL_OK_IN(z->ctx, ul_tensors_write(z->ctx, fuzz_join(z, name), half, n, NULL, NULL, NULL));
    }
    UL_OK_IN(z->ctx, ul_buf_printf(&index, "}}"));
    b = fuzz_copy(index.p, index.n);
    ul_buf_release(&index);
    unlink(fuzz_join(z, "model.safetensors"));
    fuzz_put(z->path, b.p, b.n);
    free(b.p);
}

/* ---- adapters ---------------------------------------------------------------------------------------------------- */
static void make_adapter(fuzz *z)
{
    const ul_lora lora = {.r = 2, .alpha = 4, .targets = "q_proj,up_proj", .seed = 1};
    ul_model *m;
    make_llama(z);
    UL_OK_IN(z->ctx, ul_model_open(z->ctx, backend(z), z->dir, 0, &m));
    UL_OK_IN(z->ctx, ul_lora_add(z->ctx, m, &lora));
    UL_OK_IN(z->ctx, ul_lora_save(z->ctx, m, z->dir));
    ul_model_free(m);
}

static ul_status read_adapter(fuzz *z)
{
    ul_model *m;
    UL_OK_IN(z->ctx, ul_model_open(z->ctx, backend(z), z->dir, z->round % 2 ? UL_OPEN_PANELS : 0, &m));
    ul_status s = ul_lora_open(z->ctx, m, z->dir);
    if (s == UL_OK) s = use(z, m);
    if (s == UL_OK && z->round % 4 == 0) s = ul_lora_merge(z->ctx, m);
    if (s == UL_OK) s = use(z, m);
    ul_model_free(m);
    return s;
}

#define CONFIG(what, maker, ...)                                                                                       \
    {                                                                                                                  \
        .name = what, .file = "config.json", .kind = FUZZ_JSON, .make = maker, .read = read_model, .refused = 20,      \
        .taken = 10, __VA_ARGS__                                                                                       \
    }
#define WEIGHTS(what, maker)                                                                                           \
    {                                                                                                                  \
        .name = what, .file = "model.safetensors", .kind = FUZZ_TENSORS, .make = maker, .read = read_model,            \
        .refused = 40, .taken = 2                                                                                      \
    }
/* Found by mutation. More heads than channels: a division by 0 in the first pass. Sizes whose products leave 64
 * bits. */
static const fuzz_found fresh_found[] = {
    {"{\"model_type\": \"llama\", \"vocab_size\": 23, \"num_hidden_layers\": 2, \"hidden_size\": 4, "
     "\"num_attention_heads\": 16, \"num_key_value_heads\": 2, \"intermediate_size\": 20}",
     "4 channels for 16 attention heads"},
    {"{\"model_type\": \"llama\", \"vocab_size\": 23, \"num_hidden_layers\": 200000000, "
     "\"hidden_size\": 200000000, \"num_attention_heads\": 200000000, \"intermediate_size\": 200000000}",
     "parameters: one of these is wrong"},
    {0}};
static const fuzz_found llama_found[] = {
    {"{\"model_type\": \"llama\", \"vocab_size\": 23, \"num_hidden_layers\": 2000000, \"hidden_size\": 16, "
     "\"num_attention_heads\": 4, \"num_key_value_heads\": 2, \"head_dim\": 6, \"intermediate_size\": 20}",
     "config.json: 2000000 layers, the weights beside it are"},
    {0}};

static const fuzz_case parsers[] = {
    CONFIG("config, llama", make_llama, .found = llama_found),
    CONFIG("config, qwen2", make_qwen2, .cost = 1),
    CONFIG("config, gpt2", make_gpt2, .cost = 1),
    {.name = "config, fresh", .file = "config.json", .kind = FUZZ_JSON, .read = read_fresh, .refused = 10, .taken = 10,
     .also = 1 << UL_E_RESOURCE, .most = 1 << 23, .found = fresh_found,
     .text = "{\"model_type\": \"llama\", \"vocab_size\": 23, \"num_hidden_layers\": 2, \"hidden_size\": 16, "
             "\"num_attention_heads\": 4, \"num_key_value_heads\": 2, \"intermediate_size\": 20, "
             "\"max_position_embeddings\": 32, \"tie_word_embeddings\": true, \"hidden_act\": \"silu\"}"},
    WEIGHTS("weights, llama", make_llama),
    WEIGHTS("weights, gpt2", make_gpt2),
    {.name = "weights, index", .file = "model.safetensors.index.json", .kind = FUZZ_JSON, .make = make_sharded,
     .read = read_model, .refused = 30, .taken = 2},
    {.name = "adapter_config.json", .file = "adapter_config.json", .kind = FUZZ_JSON, .make = make_adapter,
     .read = read_adapter, .refused = 20, .taken = 5},
    {.name = "adapter weights", .file = "adapter_model.safetensors", .kind = FUZZ_TENSORS, .make = make_adapter,
     .read = read_adapter, .refused = 40, .taken = 2},
};
FUZZ_MAIN(parsers)
