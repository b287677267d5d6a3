/* config.c - config.json: which family, and what all families say in the same words. A key that is absent means what it
 * means to transformers. */
#include "model/block.h"
#include <math.h>
#include <string.h>

/* ---- the registry ----------------------------------------------------------------------------------------------- */
#define UL_ITEM(id) extern const ul_family ul_family_##id;
#include "family.inc"
#undef UL_ITEM
static const struct {
    const char *id;
    const ul_family *family;
} all[] = {
#define UL_ITEM(id) {#id, &ul_family_##id},
#include "family.inc"
#undef UL_ITEM
};
enum { N_FAMILY = sizeof all / sizeof *all };
static const char *const ids[] = {
#define UL_ITEM(id) #id,
#include "family.inc"
#undef UL_ITEM
    NULL};

const char *const *ul_families(void) { return ids; }

const char *const *ul_family_types(const char *id)
{
    for (int i = 0; i < N_FAMILY; i++)
        if (!strcmp(all[i].id, id)) return all[i].family->types;
    return NULL;
}

ul_status ul_family_find(ul_ctx *ctx, const char *model_type, const char *where, const ul_family **out, const char **id)
{
    char known[512] = "";
    size_t n = 0;
    for (int i = 0; i < N_FAMILY; i++)
        for (const char *const *t = all[i].family->types; *t; t++) {
            if (!strcmp(*t, model_type)) {
                *out = all[i].family, *id = all[i].id;
                return UL_OK;
            }
            if (n + strlen(*t) + 3 < sizeof known) {
                memcpy(known + n, n ? ", " : "", n ? 2 : 0), n += n ? 2 : 0;
                memcpy(known + n, *t, strlen(*t) + 1), n += strlen(*t);
            }
        }
    return ul_fail(ctx, UL_E_INPUT, "%s: model_type \"%s\" is unsupported (supported: %s)", where, model_type, known);
}

/* ---- what families share ---------------------------------------------------------------------------------------- */
ul_status ul_config_act(ul_ctx *ctx, const json_t *config, const char *where, const char *key, const char *dflt,
                        ul_act_kind *out)
{
    static const struct { const char *name; ul_act_kind kind;
    } acts[] = {{"silu", UL_SILU},
                {"swish", UL_SILU},
                {"gelu", UL_GELU},
                {"gelu_new", UL_GELU_TANH},
                {"gelu_pytorch_tanh", UL_GELU_TANH},
                {"gelu_fast", UL_GELU_TANH},
                {"relu", UL_RELU}};
    const char *name = dflt;
    UL_TRY(ul_json_text(ctx, config, where, key, UL_OPTIONAL, &name));
    for (size_t i = 0; i < sizeof acts / sizeof *acts; i++)
        if (!strcmp(acts[i].name, name)) {
            *out = acts[i].kind;
            return UL_OK;
        }
    return ul_fail(ctx, UL_E_INPUT,
                   "%s: %s \"%s\" is unsupported (supported: silu, gelu, gelu_new, gelu_pytorch_tanh, relu)", where,
                   key, name);
}

static ul_status positive(ul_ctx *ctx, const char *where, const char *key, double x)
{
    if (x > 0 && isfinite(x)) return UL_OK;
    return ul_fail(ctx, UL_E_INPUT, "%s: %s is %g, it must be above 0", where, key, x);
}

ul_status ul_config_rope(ul_ctx *ctx, const json_t *config, const char *where, ul_arch *out)
{
    json_t *scaling = NULL;
    const char *type = "default";
    out->s.rope_theta = 10000;
    out->rope = UL_ROPE_PLAIN;
    UL_TRY(ul_json_real(ctx, config, where, "rope_theta", UL_OPTIONAL, &out->s.rope_theta));
    UL_TRY(ul_json_object(ctx, config, where, "rope_scaling", UL_OPTIONAL, &scaling));
    if (!scaling) UL_TRY(ul_json_object(ctx, config, where, "rope_parameters", UL_OPTIONAL, &scaling));
    if (scaling) {
        UL_TRY(ul_json_real(ctx, scaling, where, "rope_theta", UL_OPTIONAL, &out->s.rope_theta));
        UL_TRY(ul_json_text(ctx, scaling, where, "type", UL_OPTIONAL, &type));
        UL_TRY(ul_json_text(ctx, scaling, where, "rope_type", UL_OPTIONAL, &type));
    }
    UL_TRY(positive(ctx, where, "rope_theta", out->s.rope_theta));
    if (!strcmp(type, "default")) return UL_OK;
    if (strcmp(type, "linear") && strcmp(type, "llama3"))
        return ul_fail(ctx, UL_E_INPUT, "%s: rope_scaling \"%s\" is unsupported (supported: linear, llama3)", where,
                       type);
    UL_TRY(ul_json_real(ctx, scaling, where, "factor", UL_REQUIRED, &out->rope_factor));
    UL_TRY(positive(ctx, where, "rope_scaling.factor", out->rope_factor));
    out->rope = UL_ROPE_LINEAR;
    if (!strcmp(type, "linear")) return UL_OK;
    out->rope = UL_ROPE_LLAMA3;
    UL_TRY(ul_json_real(ctx, scaling, where, "low_freq_factor", UL_REQUIRED, &out->rope_low));
    UL_TRY(ul_json_real(ctx, scaling, where, "high_freq_factor", UL_REQUIRED, &out->rope_high));
    UL_TRY(ul_json_real(ctx, scaling, where, "original_max_position_embeddings", UL_REQUIRED, &out->rope_original));
    UL_TRY(positive(ctx, where, "rope_scaling.low_freq_factor", out->rope_low));
    UL_TRY(positive(ctx, where, "rope_scaling.original_max_position_embeddings", out->rope_original));
    if (out->rope_high > out->rope_low) return UL_OK;
    return ul_fail(ctx, UL_E_INPUT,
                   "%s: rope_scaling.high_freq_factor is %g, low_freq_factor %g: it must be the greater one", where,
                   out->rope_high, out->rope_low);
}

static ul_status whole(ul_ctx *ctx, const json_t *config, const char *where, const char *key, int32_t dflt,
                       int32_t *out)
{
    int64_t x = dflt;
    UL_TRY(ul_json_int(ctx, config, where, key, UL_OPTIONAL, 1, 1 << 28, &x));
    *out = (int32_t)x;
    return UL_OK;
}

/* pad_token_id is torch's padding_idx of the embedding: negative, it counts from the end; without one, none. */
static ul_status padding(ul_ctx *ctx, const json_t *config, const char *where, int32_t n_vocab, int32_t *out)
{
    const json_t *j = json_object_get(config, "pad_token_id");
    int64_t pad = -1;
    if (!j || json_is_null(j)) return UL_OK;
    UL_TRY(ul_json_int(ctx, config, where, "pad_token_id", UL_REQUIRED, INT32_MIN, INT32_MAX, &pad));
    if (pad < 0) pad += n_vocab;
    if (pad >= 0 && pad < n_vocab) *out = (int32_t)pad;
    return UL_OK;
}

/* Names of llama's config and of all that follow it. dflt.K 0: as many key heads as heads; dflt.D 0: C / H. */
ul_status ul_config_dims(ul_ctx *ctx, const json_t *config, const char *where, const ul_shape *dflt, ul_arch *out)
{
    ul_shape *s = &out->s;
    UL_TRY(whole(ctx, config, where, "num_hidden_layers", dflt->n_layer, &s->n_layer));
    UL_TRY(whole(ctx, config, where, "hidden_size", dflt->C, &s->C));
    UL_TRY(whole(ctx, config, where, "num_attention_heads", dflt->H, &s->H));
    UL_TRY(whole(ctx, config, where, "num_key_value_heads", dflt->K ? dflt->K : s->H, &s->K));
    UL_TRY(whole(ctx, config, where, "head_dim", s->C / s->H, &s->D));
    UL_TRY(whole(ctx, config, where, "intermediate_size", dflt->F, &s->F));
    UL_TRY(whole(ctx, config, where, "vocab_size", dflt->V, &s->V));
    UL_TRY(whole(ctx, config, where, "max_position_embeddings", dflt->n_ctx, &s->n_ctx));
    UL_TRY(padding(ctx, config, where, s->V, &s->pad));
    s->eps = dflt->eps, s->tied = dflt->tied;
    UL_TRY(ul_json_real(ctx, config, where, "rms_norm_eps", UL_OPTIONAL, &s->eps));
    UL_TRY(ul_json_bool(ctx, config, where, "tie_word_embeddings", UL_OPTIONAL, &s->tied));
    s->rot = s->D;
    out->norm = UL_RMSNORM;
    out->attn_scale = 1 / sqrt((double)s->D);
    UL_TRY(ul_config_act(ctx, config, where, "hidden_act", "silu", &out->act));
    return ul_config_rope(ctx, config, where, out);
}

/* Counts are products of these: none may leave 64 bits, whatever the file says. */
static ul_status check_size(ul_ctx *ctx, const char *where, const ul_shape *s)
{
    const double C = s->C, heads = (double)s->H * s->D, most = 1e15;
    const double n = 2.0 * s->V * C + s->n_layer * C * (4 * heads + 3.0 * s->F);
    if (s->D < 1)
        return ul_fail(ctx, UL_E_INPUT, "%s: %d channels for %d attention heads: a head would have none", where, s->C,
                       s->H);
    if (heads <= 1 << 28 && n <= most) return UL_OK;
    return ul_fail(ctx, UL_E_INPUT,
                   "%s: %d layers of %d channels, %d heads of %d and %d in the mlp, over %d tokens, are about %.3g "
                   "parameters: one of these is wrong (at most %g)",
                   where, s->n_layer, s->C, s->H, s->D, s->F, s->V, n, most);
}

static ul_status check(ul_ctx *ctx, const char *where, const ul_shape *s, ul_rope_kind rope)
{
    UL_TRY(check_size(ctx, where, s));
    if (s->H % s->K)
        return ul_fail(ctx, UL_E_INPUT, "%s: %d attention heads do not divide among %d key/value heads", where, s->H,
                       s->K);
    if (rope != UL_ROPE_NONE && s->rot % 2)
        return ul_fail(ctx, UL_E_INPUT, "%s: rotary positions turn pairs of channels, a head has %d", where, s->rot);
    if (!(s->eps >= 0) || !isfinite(s->eps))
        return ul_fail(ctx, UL_E_INPUT, "%s: the norms' epsilon is %g", where, s->eps);
    return UL_OK;
}

static ul_status read_dtype(ul_ctx *ctx, const json_t *config, const char *where, ul_dtype *out)
{
    const char *t = "float32";
    UL_TRY(ul_json_text(ctx, config, where, "torch_dtype", UL_OPTIONAL, &t));
    UL_TRY(ul_json_text(ctx, config, where, "dtype", UL_OPTIONAL, &t));
    static const struct { const char *name; ul_dtype d; } types[] = {
        {"float32", UL_DT_F32}, {"bfloat16", UL_DT_BF16}, {"float16", UL_DT_F16}, {"float64", UL_DT_F64}};
    *out = UL_DT_F32;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (!strcmp(types[i].name, t)) *out = types[i].d;
    return UL_OK;
}

ul_status ul_config_read(ul_ctx *ctx, ul_arena *arena, const char *path, const ul_family **family, ul_arch *out)
{
    json_t *config;
    const char *type = NULL, *id = NULL;
    UL_TRY(ul_json_load(ctx, arena, path, &config));
    if (!json_is_object(config)) return ul_fail(ctx, UL_E_INPUT, "%s: not a JSON object", path);
    UL_TRY(ul_json_text(ctx, config, path, "model_type", UL_REQUIRED, &type));
    UL_TRY(ul_family_find(ctx, type, path, family, &id));
    *out = (ul_arch){.s.pad = -1, .rope = UL_ROPE_NONE};
    UL_TRY((*family)->config(ctx, config, path, out));
    UL_TRY(read_dtype(ctx, config, path, &out->dtype));
    out->s.family = id;
    out->s.model_type = type;
    return check(ctx, path, &out->s, out->rope);
}
