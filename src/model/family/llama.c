/* llama.c - Llama 1-3 and all that share its layout (Yi, SmolLM, TinyLlama, Mistral without a sliding window).
 *
 *   x += o(attn(rope(q(n)), rope(k(n)), v(n))), n = rms(x);   x += down(act(gate(n)) * up(n)), n = rms(x)
 *
 * Source: Touvron et al. 2023, arXiv:2302.13971; transformers, modeling_llama.py. */
#include "model/block.h"
#include <string.h>

/* clang-format off: tables are read as columns */
static const ul_step block[] = {
    NORM  (S_N1, S_X, W_N1, UL_NO),
    LINEAR(S_Q, S_N1, W_Q, B_Q), LINEAR(S_K, S_N1, W_K, B_K), LINEAR(S_V, S_N1, W_V, B_V),
    ROPE  (S_QR, S_Q), ROPE(S_KR, S_K), ATTN(S_A, S_QR, S_KR, S_V),
    LINEAR(S_O, S_A, W_O, B_O), ADD(S_X2, S_X, S_O),
    NORM  (S_N2, S_X2, W_N2, UL_NO),
    LINEAR(S_G, S_N2, W_G, B_G), LINEAR(S_U, S_N2, W_U, B_U), GLU(S_H, S_G, S_U),
    LINEAR(S_D, S_H, W_D, B_D), ADD(S_Y, S_X2, S_D), END};

static const ul_name names[] = {
    {W_EMBED, "model.embed_tokens",                        UL_DIM_V,  UL_DIM_C,  UL_IS_EMBED,           UL_ALWAYS},
    {W_N1,    "model.layers.%d.input_layernorm",           UL_DIM_1,  UL_DIM_C,  UL_IS_NORM,            UL_ALWAYS},
    {W_Q,     "model.layers.%d.self_attn.q_proj",          UL_DIM_HD, UL_DIM_C,  0,                     UL_ALWAYS},
    {B_Q,     "model.layers.%d.self_attn.q_proj",          UL_DIM_1,  UL_DIM_HD, UL_IS_BIAS,            UL_IF_QKV_BIAS},
    {W_K,     "model.layers.%d.self_attn.k_proj",          UL_DIM_KD, UL_DIM_C,  0,                     UL_ALWAYS},
    {B_K,     "model.layers.%d.self_attn.k_proj",          UL_DIM_1,  UL_DIM_KD, UL_IS_BIAS,            UL_IF_QKV_BIAS},
    {W_V,     "model.layers.%d.self_attn.v_proj",          UL_DIM_KD, UL_DIM_C,  0,                     UL_ALWAYS},
    {B_V,     "model.layers.%d.self_attn.v_proj",          UL_DIM_1,  UL_DIM_KD, UL_IS_BIAS,            UL_IF_QKV_BIAS},
    {W_O,     "model.layers.%d.self_attn.o_proj",          UL_DIM_C,  UL_DIM_HD, 0,                     UL_ALWAYS},
    {B_O,     "model.layers.%d.self_attn.o_proj",          UL_DIM_1,  UL_DIM_C,  UL_IS_BIAS,            UL_IF_O_BIAS},
    {W_N2,    "model.layers.%d.post_attention_layernorm",  UL_DIM_1,  UL_DIM_C,  UL_IS_NORM,            UL_ALWAYS},
    {W_G,     "model.layers.%d.mlp.gate_proj",             UL_DIM_F,  UL_DIM_C,  0,                     UL_ALWAYS},
    {B_G,     "model.layers.%d.mlp.gate_proj",             UL_DIM_1,  UL_DIM_F,  UL_IS_BIAS,            UL_IF_MLP_BIAS},
    {W_U,     "model.layers.%d.mlp.up_proj",               UL_DIM_F,  UL_DIM_C,  0,                     UL_ALWAYS},
    {B_U,     "model.layers.%d.mlp.up_proj",               UL_DIM_1,  UL_DIM_F,  UL_IS_BIAS,            UL_IF_MLP_BIAS},
    {W_D,     "model.layers.%d.mlp.down_proj",             UL_DIM_C,  UL_DIM_F,  0,                     UL_ALWAYS},
    {B_D,     "model.layers.%d.mlp.down_proj",             UL_DIM_1,  UL_DIM_C,  UL_IS_BIAS,            UL_IF_MLP_BIAS},
    {W_NF,    "model.norm",                                UL_DIM_1,  UL_DIM_C,  UL_IS_NORM,            UL_ALWAYS},
    {W_HEAD,  "lm_head",                                   UL_DIM_V,  UL_DIM_C,  UL_IS_HEAD,            UL_ALWAYS},
    {0}};
/* clang-format on */

static ul_status config(ul_ctx *ctx, const json_t *c, const char *where, ul_arch *out)
{
    const char *type = "";
    UL_TRY(ul_json_text(ctx, c, where, "model_type", UL_REQUIRED, &type));
    if (!strcmp(type, "mistral")) {
        int64_t window = 0;
        const ul_shape dflt = {
            .n_layer = 32, .C = 4096, .H = 32, .K = 8, .F = 14336, .V = 32000, .n_ctx = 4096 * 32, .eps = 1e-6};
        if (!json_object_get(c, "sliding_window")) window = 4096; /* transformers' default; null means none */
        UL_TRY(ul_json_int(ctx, c, where, "sliding_window", UL_OPTIONAL, 0, INT64_MAX, &window));
        if (window)
            return ul_fail(ctx, UL_E_INPUT, "%s: unsupported: mistral with a sliding window (%lld; null is supported)",
                           where, (long long)window);
        return ul_config_dims(ctx, c, where, &dflt, out);
    }
    const ul_shape dflt = {.n_layer = 32, .C = 4096, .H = 32, .F = 11008, .V = 32000, .n_ctx = 2048, .eps = 1e-6};
    UL_TRY(ul_config_dims(ctx, c, where, &dflt, out));
    UL_TRY(ul_json_bool(ctx, c, where, "attention_bias", UL_OPTIONAL, &out->qkv_bias));
    UL_TRY(ul_json_bool(ctx, c, where, "mlp_bias", UL_OPTIONAL, &out->mlp_bias));
    out->o_bias = out->qkv_bias;
    return UL_OK;
}

static const char *const types[] = {"llama", "mistral", NULL};
const ul_family ul_family_llama = {
    .types = types, .prefix = "model.", .block = block, .names = names, .config = config};
