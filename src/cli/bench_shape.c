/* bench_shape.c - the models of the bench, made fresh in memory from a config.json in a temporary directory, and
 * the list of products that a step of a model is made of. */
#include "cli/bench.h"
#include <stdlib.h>
#include <unistd.h>

static json_t *llama(int C, int n_layer, int H, int K, int F, int V)
{
    return json_pack("{s:s, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:f, s:f, s:s, s:b}", "model_type", "llama",
                     "hidden_size", C, "num_hidden_layers", n_layer, "num_attention_heads", H, "num_key_value_heads", K,
                     "intermediate_size", F, "vocab_size", V, "max_position_embeddings", 512, "rms_norm_eps", 1e-5,
                     "rope_theta", 10000.0, "hidden_act", "silu", "tie_word_embeddings", 1);
}

static json_t *config(ul_bench_shape shape)
{
    switch (shape) {
    case UL_SHAPE_15M:
        return llama(288, 6, 6, 6, 768, 32000);
    case UL_SHAPE_656K:
        return llama(128, 2, 8, 4, 384, 2048);
    case UL_SHAPE_124M:
        break;
    }
    return json_pack("{s:s, s:i, s:i, s:i, s:i, s:i, s:f, s:s}", "model_type", "gpt2", "n_embd", 768, "n_layer", 12,
                     "n_head", 12, "n_positions", 1024, "vocab_size", 50257, "layer_norm_epsilon", 1e-5,
                     "activation_function", "gelu_new");
}

static void free_model(void *m)
{
    ul_model_free(m);
}

ul_status ul_bench_folder(ul_bench *b, char **out)
{
    const char *tmp = ul_env("TMPDIR");
    char *dir = *out = ul_format(b->arena, "%s/unlearn-bench-XXXXXX", tmp && *tmp ? tmp : "/tmp");
    UL_NEED(dir);
    if (mkdtemp(dir)) return UL_OK;
    return ul_fail(b->ctx, UL_E_RESOURCE, "%s: no temporary directory could be made there (set TMPDIR)", dir);
}

ul_status ul_bench_model(ul_bench *b, ul_bench_shape shape, ul_model **out)
{
    json_t *c = config(shape);
    UL_TRY(ul_json_own(b->arena, c));
    char *dir;
    UL_TRY(ul_bench_folder(b, &dir));
    const char *path = ul_path_join(b->arena, dir, "config.json");
    ul_status s = path ? ul_json_save(b->ctx, path, c) : UL_E_RESOURCE;
    if (s == UL_OK) s = ul_model_fresh(b->ctx, b->be, path, 0, 0.02, out);
    if (path) unlink(path);
    rmdir(dir);
    UL_TRY(s);
    return ul_arena_defer(b->arena, free_model, *out);
}

int ul_bench_layers(ul_model *m, int64_t tokens, int64_t rows, ul_bench_layer *out)
{
    ul_weight *w;
    const int n_weight = ul_model_weights(m, &w);
    int n = 0;
    for (int i = 0; i < n_weight; i++) {
        if (w[i].is_norm || w[i].is_bias || (w[i].is_embedding && !w[i].is_head)) continue;
        const ul_bench_layer l = {w[i].is_head ? rows : tokens, w[i].cols, w[i].rows, 1};
        int k = 0;
        while (k < n && (out[k].tokens != l.tokens || out[k].in != l.in || out[k].out != l.out)) k++;
        if (k < n)
            out[k].count++;
        else if (n < UL_BENCH_LAYERS)
            out[n++] = l;
    }
    return n;
}
