/* template.c - the post-processor: in which order sequences and special ids come. TemplateProcessing, BertProcessing
 * and RobertaProcessing are such templates; ByteLevel moves offsets only, which nobody asks for here.
 * Source: tokenizers 0.22, src/processors/. */
#include "parts.h"
#include <string.h>

static ul_status add_id(ul_reader *r, const json_t *pair, int32_t *out)
{
    int64_t id;
    if (json_array_size(pair) != 2 || !json_is_string(json_array_get(pair, 0)) ||
        !ul_json_whole(json_array_get(pair, 1), 0, INT32_MAX, &id))
        return ul_bad(r, "\"sep\" and \"cls\" must be [token, id]");
    *out = (int32_t)id;
    return UL_OK;
}

/* cls A sep, and behind it (Bert) B sep or (Roberta) sep B sep. */
static ul_status read_bert(ul_reader *r, const json_t *o, ul_tokenizer *t, bool roberta)
{
    int32_t *id = UL_NEW(r->arena, int32_t, 3);
    ul_step *step = UL_NEW(r->arena, ul_step, 5);
    UL_NEED(id && step);
    UL_TRY(add_id(r, json_object_get(o, "cls"), &id[0]));
    UL_TRY(add_id(r, json_object_get(o, "sep"), &id[1]));
    id[2] = id[1];
    const uint8_t second = !roberta;
    step[0] = (ul_step){-1, 0, id, 1};
    step[1] = (ul_step){.sequence = 0, .type = 0};
    step[2] = (ul_step){-1, 0, id + 1, roberta ? 2 : 1};
    step[3] = (ul_step){.sequence = 1, .type = second};
    step[4] = (ul_step){-1, second, id + 1, 1};
    t->pair = (ul_template){step, 5};
    ul_step *alone = UL_NEW(r->arena, ul_step, 3);
    UL_NEED(alone);
    memcpy(alone, step, 3 * sizeof *step);
    alone[2].n = 1;
    t->single = (ul_template){alone, 3};
    return UL_OK;
}

static ul_status read_special(ul_reader *r, const json_t *tokens, const char *name, ul_step *step)
{
    const json_t *ids = json_object_get(json_object_get(tokens, name), "ids");
    if (!json_is_array(ids)) return ul_bad(r, "\"special_tokens\" lacks \"%.60s\" with its \"ids\"", name);
    step->n = json_array_size(ids);
    int32_t *out = UL_NEW(r->arena, int32_t, step->n);
    UL_NEED(out);
    for (size_t k = 0; k < step->n; k++) {
        int64_t id;
        if (!ul_json_whole(json_array_get(ids, k), 0, INT32_MAX, &id))
            return ul_bad(r, "special token \"%.60s\": its ids must be from 0 to %d", name, INT32_MAX);
        out[k] = (int32_t)id;
    }
    step->id = out;
    return UL_OK;
}

static ul_status read_template(ul_reader *r, const json_t *o, const char *key, int sequences, ul_template *out)
{
    const json_t *list = json_object_get(o, key);
    if (!json_is_array(list)) return ul_bad(r, "\"%s\" must be an array", key);
    const size_t n = json_array_size(list);
    ul_step *step = UL_NEW(r->arena, ul_step, n);
    UL_NEED(step);
    for (size_t i = 0; i < n; i++) {
        const json_t *v = json_array_get(list, i);
        const json_t *sequence = json_object_get(v, "Sequence"), *token = json_object_get(v, "SpecialToken");
        const json_t *piece = sequence ? sequence : token;
        const char *id = json_string_value(json_object_get(piece, "id"));
        int64_t type;
        if (!id || !ul_json_whole(json_object_get(piece, "type_id"), 0, 255, &type))
            return ul_bad(r, "\"%s\" %zu must be a Sequence or a SpecialToken with \"id\" and \"type_id\" (0 to 255)",
                          key, i);
        step[i].type = (uint8_t)type;
        step[i].sequence = -1;
        if (!sequence) {
            UL_TRY(read_special(r, json_object_get(o, "special_tokens"), id, &step[i]));
            continue;
        }
        step[i].sequence = strcmp(id, "A") == 0 ? 0 : strcmp(id, "B") == 0 ? 1 : 2;
        if (step[i].sequence >= sequences) return ul_bad(r, "\"%s\" %zu: there is no sequence \"%.60s\"", key, i, id);
    }
    *out = (ul_template){step, n};
    return UL_OK;
}

static ul_status read_one(ul_reader *r, const json_t *o, ul_tokenizer *t, int depth, int *found)
{
    const char *type;
    r->type = NULL;
    UL_TRY(ul_read_type(r, o, &type));
    r->type = type;
    if (strcmp(type, "ByteLevel") == 0) return UL_OK;
    if (strcmp(type, "Sequence") == 0) {
        const json_t *all = json_object_get(o, "processors");
        if (!json_is_array(all) || depth == 8) return ul_bad(r, "\"processors\" must be an array, at most 8 deep");
        for (size_t i = 0; i < json_array_size(all); i++)
            UL_TRY(read_one(r, json_array_get(all, i), t, depth + 1, found));
        return UL_OK;
    }
    if (++*found > 1) return ul_unsupported(r, "a second template in a Sequence");
    if (strcmp(type, "BertProcessing") == 0) return read_bert(r, o, t, false);
    if (strcmp(type, "RobertaProcessing") == 0) return read_bert(r, o, t, true);
    if (strcmp(type, "TemplateProcessing") != 0) return ul_unsupported(r, "this type");
    UL_TRY(read_template(r, o, "single", 1, &t->single));
    return read_template(r, o, "pair", 2, &t->pair);
}

ul_status ul_template_read(ul_reader *r, const json_t *o, ul_tokenizer *t)
{
    static const ul_step plain[] = {{.sequence = 0, .type = 0}, {.sequence = 1, .type = 1}};
    int found = 0;
    r->stage = "post_processor";
    t->single = (ul_template){plain, 1};
    t->pair = (ul_template){plain, 2};
    if (o && !json_is_null(o)) UL_TRY(read_one(r, o, t, 0, &found));
    r->type = NULL;
    return UL_OK;
}
