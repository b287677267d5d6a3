/* qwen2.c - Qwen2 and Qwen2.5: llama with biases on q, k and v.
 *
 * Source: Yang et al. 2024, arXiv:2407.10671; transformers, modeling_qwen2.py. */
#include "model/block.h"
#include <string.h>

/* clang-format off: tables are read as columns */
static const ul_step block[] = {
    NORM  (S_N1, S_X, W_N1, UL_NO),
    LINEAR(S_Q, S_N1, W_Q, B_Q), LINEAR(S_K, S_N1, W_K, B_K), LINEAR(S_V, S_N1, W_V, B_V),
    ROPE  (S_QR, S_Q), ROPE(S_KR, S_K), ATTN(S_A, S_QR, S_KR, S_V),
    LINEAR(S_O, S_A, W_O, UL_NO), ADD(S_X2, S_X, S_O),
    NORM  (S_N2, S_X2, W_N2, UL_NO),
    LINEAR(S_G, S_N2, W_G, UL_NO), LINEAR(S_U, S_N2, W_U, UL_NO), GLU(S_H, S_G, S_U),
    LINEAR(S_D, S_H, W_D, UL_NO), ADD(S_Y, S_X2, S_D), END};

static const ul_name names[] = {
    {W_EMBED, "model.embed_tokens",                        UL_DIM_V,  UL_DIM_C,  UL_IS_EMBED,           UL_ALWAYS},
    {W_N1,    "model.layers.%d.input_layernorm",           UL_DIM_1,  UL_DIM_C,  UL_IS_NORM,            UL_ALWAYS},
    {W_Q,     "model.layers.%d.self_attn.q_proj",          UL_DIM_HD, UL_DIM_C,  0,                     UL_ALWAYS},
    {B_Q,     "model.layers.%d.self_attn.q_proj",          UL_DIM_1,  UL_DIM_HD, UL_IS_BIAS,            UL_ALWAYS},
    {W_K,     "model.layers.%d.self_attn.k_proj",          UL_DIM_KD, UL_DIM_C,  0,                     UL_ALWAYS},
    {B_K,     "model.layers.%d.self_attn.k_proj",          UL_DIM_1,  UL_DIM_KD, UL_IS_BIAS,            UL_ALWAYS},
    {W_V,     "model.layers.%d.self_attn.v_proj",          UL_DIM_KD, UL_DIM_C,  0,                     UL_ALWAYS},
    {B_V,     "model.layers.%d.self_attn.v_proj",          UL_DIM_1,  UL_DIM_KD, UL_IS_BIAS,            UL_ALWAYS},
    {W_O,     "model.layers.%d.self_attn.o_proj",          UL_DIM_C,  UL_DIM_HD, 0,                     UL_ALWAYS},
    {W_N2,    "model.layers.%d.post_attention_layernorm",  UL_DIM_1,  UL_DIM_C,  UL_IS_NORM,            UL_ALWAYS},
    {W_G,     "model.layers.%d.mlp.gate_proj",             UL_DIM_F,  UL_DIM_C,  0,                     UL_ALWAYS},
    {W_U,     "model.layers.%d.mlp.up_proj",               UL_DIM_F,  UL_DIM_C,  0,                     UL_ALWAYS},
    {W_D,     "model.layers.%d.mlp.down_proj",             UL_DIM_C,  UL_DIM_F,  0,                     UL_ALWAYS},
    {W_NF,    "model.norm",                                UL_DIM_1,  UL_DIM_C,  UL_IS_NORM,            UL_ALWAYS},
    {W_HEAD,  "lm_head",                                   UL_DIM_V,  UL_DIM_C,  UL_IS_HEAD,            UL_ALWAYS},
    {0}};
/* clang-format on */

/* layer_types says which layers slide; older files have use_sliding_window and max_window_layers. */
static ul_status no_sliding(ul_ctx *ctx, const json_t *c, const char *where, int n_layer)
{
    json_t *types = NULL;
    bool use = false;
    int64_t full = 28, window = 4096;
    UL_TRY(ul_json_array(ctx, c, where, "layer_types", UL_OPTIONAL, &types));
    for (size_t i = 0; i < json_array_size(types); i++) {
        const char *t = json_string_value(json_array_get(types, i));
        if (!t || strcmp(t, "full_attention"))
            return ul_fail(ctx, UL_E_INPUT, "%s: unsupported: layer_types[%zu] is \"%s\" (supported: full_attention)",
                           where, i, t ? t : "not a text");
    }
    if (types) return UL_OK;
    UL_TRY(ul_json_bool(ctx, c, where, "use_sliding_window", UL_OPTIONAL, &use));
    UL_TRY(ul_json_int(ctx, c, where, "max_window_layers", UL_OPTIONAL, 0, INT64_MAX, &full));
    UL_TRY(ul_json_int(ctx, c, where, "sliding_window", UL_OPTIONAL, 0, INT64_MAX, &window));
    if (!use || full >= n_layer) return UL_OK;
    return ul_fail(ctx, UL_E_INPUT, "%s: unsupported: layers %lld to %d slide over %lld tokens", where, (long long)full,
                   n_layer - 1, (long long)window);
}

static ul_status config(ul_ctx *ctx, const json_t *c, const char *where, ul_arch *out)
{
    const ul_shape dflt = {
        .n_layer = 32, .C = 4096, .H = 32, .K = 32, .F = 22016, .V = 151936, .n_ctx = 32768, .eps = 1e-6};
    UL_TRY(ul_config_dims(ctx, c, where, &dflt, out));
    out->qkv_bias = true;
    return no_sliding(ctx, c, where, out->s.n_layer);
}

static const char *const types[] = {"qwen2", NULL};
const ul_family ul_family_qwen2 = {
    .types = types, .prefix = "model.", .block = block, .names = names, .config = config};
