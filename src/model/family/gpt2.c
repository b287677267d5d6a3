/* gpt2.c - GPT-2: LayerNorm, learned positions, weights stored transposed (Conv1D), q, k and v stacked, tied output.
 *
 *   x += o(attn(q(n), k(n), v(n))), n = ln(x);   x += proj(gelu(fc(n))), n = ln(x)
 *
 * Source: Radford et al. 2019; transformers, modeling_gpt2.py. */
#include "model/block.h"
#include <math.h>

/* clang-format off: tables are read as columns */
static const ul_step block[] = {
    NORM  (S_N1, S_X, W_N1, B_N1),
    LINEAR(S_Q, S_N1, W_Q, B_Q), LINEAR(S_K, S_N1, W_K, B_K), LINEAR(S_V, S_N1, W_V, B_V),
    ATTN  (S_A, S_Q, S_K, S_V), LINEAR(S_O, S_A, W_O, B_O), ADD(S_X2, S_X, S_O),
    NORM  (S_N2, S_X2, W_N2, B_N2),
    LINEAR(S_U, S_N2, W_U, B_U), ACT(S_H, S_U), LINEAR(S_D, S_H, W_D, B_D), ADD(S_Y, S_X2, S_D), END};

static const ul_name names[] = {
    {W_EMBED, "transformer.wte",                UL_DIM_V,   UL_DIM_C,  UL_IS_EMBED,             UL_ALWAYS},
    {W_POS,   "transformer.wpe",                UL_DIM_CTX, UL_DIM_C,  UL_IS_EMBED,             UL_ALWAYS},
    {W_N1,    "transformer.h.%d.ln_1",          UL_DIM_1,   UL_DIM_C,  UL_IS_NORM,              UL_ALWAYS},
    {B_N1,    "transformer.h.%d.ln_1",          UL_DIM_1,   UL_DIM_C,  UL_IS_NORM | UL_IS_BIAS, UL_ALWAYS},
    {W_Q,     "transformer.h.%d.attn.c_attn",   UL_DIM_HD,  UL_DIM_C,  UL_TRANSPOSED,           UL_ALWAYS},
    {W_K,     "transformer.h.%d.attn.c_attn",   UL_DIM_KD,  UL_DIM_C,  UL_TRANSPOSED,           UL_ALWAYS},
    {W_V,     "transformer.h.%d.attn.c_attn",   UL_DIM_KD,  UL_DIM_C,  UL_TRANSPOSED,           UL_ALWAYS},
    {B_Q,     "transformer.h.%d.attn.c_attn",   UL_DIM_1,   UL_DIM_HD, UL_IS_BIAS,              UL_ALWAYS},
    {B_K,     "transformer.h.%d.attn.c_attn",   UL_DIM_1,   UL_DIM_KD, UL_IS_BIAS,              UL_ALWAYS},
    {B_V,     "transformer.h.%d.attn.c_attn",   UL_DIM_1,   UL_DIM_KD, UL_IS_BIAS,              UL_ALWAYS},
    {W_O,     "transformer.h.%d.attn.c_proj",   UL_DIM_C,   UL_DIM_HD, UL_TRANSPOSED,           UL_ALWAYS},
    {B_O,     "transformer.h.%d.attn.c_proj",   UL_DIM_1,   UL_DIM_C,  UL_IS_BIAS,              UL_ALWAYS},
    {W_N2,    "transformer.h.%d.ln_2",          UL_DIM_1,   UL_DIM_C,  UL_IS_NORM,              UL_ALWAYS},
    {B_N2,    "transformer.h.%d.ln_2",          UL_DIM_1,   UL_DIM_C,  UL_IS_NORM | UL_IS_BIAS, UL_ALWAYS},
    {W_U,     "transformer.h.%d.mlp.c_fc",      UL_DIM_F,   UL_DIM_C,  UL_TRANSPOSED,           UL_ALWAYS},
    {B_U,     "transformer.h.%d.mlp.c_fc",      UL_DIM_1,   UL_DIM_F,  UL_IS_BIAS,              UL_ALWAYS},
    {W_D,     "transformer.h.%d.mlp.c_proj",    UL_DIM_C,   UL_DIM_F,  UL_TRANSPOSED,           UL_ALWAYS},
    {B_D,     "transformer.h.%d.mlp.c_proj",    UL_DIM_1,   UL_DIM_C,  UL_IS_BIAS,              UL_ALWAYS},
    {W_NF,    "transformer.ln_f",               UL_DIM_1,   UL_DIM_C,  UL_IS_NORM,              UL_ALWAYS},
    {B_NF,    "transformer.ln_f",               UL_DIM_1,   UL_DIM_C,  UL_IS_NORM | UL_IS_BIAS, UL_ALWAYS},
    {W_HEAD,  "lm_head",                        UL_DIM_V,   UL_DIM_C,  UL_IS_HEAD,              UL_ALWAYS},
    {0}};
/* clang-format on */

static ul_status size(ul_ctx *ctx, const json_t *c, const char *where, const char *key, int64_t dflt, int32_t *out)
{
    UL_TRY(ul_json_int(ctx, c, where, key, UL_OPTIONAL, 1, 1 << 28, &dflt));
    *out = (int32_t)dflt;
    return UL_OK;
}

static ul_status config(ul_ctx *ctx, const json_t *c, const char *where, ul_arch *out)
{
    ul_shape *s = &out->s;
    bool scale = true, cross = false;
    UL_TRY(size(ctx, c, where, "n_layer", 12, &s->n_layer));
    UL_TRY(size(ctx, c, where, "n_embd", 768, &s->C));
    UL_TRY(size(ctx, c, where, "n_head", 12, &s->H));
    UL_TRY(size(ctx, c, where, "n_positions", 1024, &s->n_ctx));
    UL_TRY(size(ctx, c, where, "vocab_size", 50257, &s->V));
    UL_TRY(size(ctx, c, where, "n_inner", 4 * (int64_t)s->C, &s->F));
    if (s->C % s->H)
        return ul_fail(ctx, UL_E_INPUT, "%s: n_embd is %d, it does not divide among %d heads", where, s->C, s->H);
    s->K = s->H, s->D = s->C / s->H, s->eps = 1e-5, s->tied = true;
    UL_TRY(ul_json_real(ctx, c, where, "layer_norm_epsilon", UL_OPTIONAL, &s->eps));
    UL_TRY(ul_json_bool(ctx, c, where, "tie_word_embeddings", UL_OPTIONAL, &s->tied));
    UL_TRY(ul_json_bool(ctx, c, where, "scale_attn_weights", UL_OPTIONAL, &scale));
    UL_TRY(ul_json_bool(ctx, c, where, "scale_attn_by_inverse_layer_idx", UL_OPTIONAL, &out->scale_by_layer));
    UL_TRY(ul_json_bool(ctx, c, where, "add_cross_attention", UL_OPTIONAL, &cross));
    if (cross) return ul_fail(ctx, UL_E_INPUT, "%s: unsupported: add_cross_attention", where);
    out->norm = UL_LAYERNORM;
    out->attn_scale = scale ? 1 / sqrt((double)s->D) : 1;
    return ul_config_act(ctx, c, where, "activation_function", "gelu_new", &out->act);
}

static const char *const types[] = {"gpt2", NULL};
const ul_family ul_family_gpt2 = {.types = types,
                                  .prefix = "transformer.",
                                  .block = block,
                                  .names = names,
                                  .learned_positions = true,
                                  .config = config};
