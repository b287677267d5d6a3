/* open.c - a tokenizer.json becomes a tokenizer: everything is checked here, so that encoding needs no checks. */
#include "parts.h"
#include <string.h>

static ul_status read_file(ul_reader *r, const json_t *root, ul_tokenizer *t)
{
    if (!json_is_object(root)) return ul_bad(r, "must be an object");
    r->stage = "normalizer";
    UL_TRY(ul_read_parts(r, json_object_get(root, "normalizer"), "normalizers", ul_normalizers, &t->normalizer));
    r->stage = "pre_tokenizer";
    UL_TRY(
        ul_read_parts(r, json_object_get(root, "pre_tokenizer"), "pretokenizers", ul_pretokenizers, &t->pretokenizer));
    r->stage = "decoder";
    const json_t *decoder = json_object_get(root, "decoder");
    t->has_decoder = decoder && !json_is_null(decoder);
    UL_TRY(ul_read_parts(r, decoder, "decoders", ul_decoders, &t->decoder));
    UL_TRY(ul_template_read(r, json_object_get(root, "post_processor"), t));
    UL_TRY(ul_model_read(r, json_object_get(root, "model"), t));
    return ul_added_read(r, json_object_get(root, "added_tokens"), t);
}

/* ---- special ids ------------------------------------------------------------------------------------------------ */
enum { BOS, EOS, PAD, UNK };
static const char *const names[] = {"bos_token", "eos_token", "pad_token", "unk_token"};

/* "<s>" or {"content": "<s>", ...} */
static int32_t named_id(const ul_tokenizer *t, const json_t *v)
{
    if (json_is_object(v)) v = json_object_get(v, "content");
    return json_is_string(v) ? ul_token_id(t, json_string_value(v), json_string_length(v)) : -1;
}

/* 2, or [2, 5]: the first */
static int32_t given_id(const ul_tokenizer *t, const json_t *v)
{
    int64_t id;
    if (json_is_array(v)) v = json_array_get(v, 0);
    return ul_json_whole(v, 0, t->n_token - 1, &id) ? (int32_t)id : -1;
}

ul_status ul_special_read(ul_reader *r, const char *dir, ul_tokenizer *t)
{
    static const char *const files[] = {"tokenizer_config.json", "special_tokens_map.json", "generation_config.json"};
    int32_t *const slot[] = {&t->special.bos, &t->special.eos, &t->special.pad, &t->special.unk};
    ul_arena *scratch;
    UL_TRY(ul_arena_new(r->ctx, "special tokens", &scratch));
    ul_status st = UL_OK;
    for (size_t f = 0; f < 3 && st == UL_OK; f++) {
        const char *path = ul_path_join(scratch, dir, files[f]);
        json_t *root;
        if (!path) st = UL_E_RESOURCE;
        if (!path || !ul_file_exists(path)) continue;
        st = ul_json_load(r->ctx, scratch, path, &root);
        for (int k = 0; k < 4 && st == UL_OK; k++) {
            char key[16];
            snprintf(key, sizeof key, "%s%s", names[k], f == 2 ? "_id" : "");
            if (*slot[k] < 0)
                *slot[k] = f == 2 ? given_id(t, json_object_get(root, key)) : named_id(t, json_object_get(root, key));
        }
    }
    ul_arena_free(scratch);
    const int32_t unk = t->tokenize == ul_bpe_tokenize       ? t->bpe.unk_id
                        : t->tokenize == ul_unigram_tokenize ? t->unigram.unk_id
                                                             : t->words.unk_id;
    if (*slot[UNK] < 0) *slot[UNK] = unk;
    return st;
}

/* ---- life ------------------------------------------------------------------------------------------------------- */
static ul_status open_in(ul_reader *r, const char *path, ul_tokenizer *t)
{
    const bool folder = ul_dir_exists(path);
    char *file = folder ? ul_path_join(r->arena, path, "tokenizer.json") : ul_strdup(r->arena, path);
    UL_NEED(file);
    char *dir = folder ? ul_strdup(r->arena, path) : ul_strndup(r->arena, path, (size_t)(ul_path_name(path) - path));
    UL_NEED(dir);
    r->path = t->path = file;
    r->stage = "the file";
    t->special = (ul_special_ids){-1, -1, -1, -1};
    ul_arena *scratch;
    json_t *root;
    UL_TRY(ul_arena_new(r->ctx, "tokenizer.json", &scratch));
    ul_status st = ul_json_load(r->ctx, scratch, file, &root);
    if (st != UL_OK && strstr(ul_error_text(r->ctx), "NUL byte in object key")) /* jansson's limit */
        st = ul_unsupported(r, "a NUL byte in a token of the vocabulary");
    if (st == UL_OK) st = read_file(r, root, t);
    ul_arena_free(scratch);
    if (st == UL_OK) st = ul_special_read(r, dir, t);
    return st;
}

ul_status ul_tokenizer_open(ul_ctx *ctx, const char *path, ul_tokenizer **out)
{
    ul_arena *arena;
    *out = NULL;
    UL_TRY(ul_arena_new(ctx, "tokenizer", &arena));
    ul_tokenizer *t = UL_NEW(arena, ul_tokenizer, 1);
    ul_reader r = {.ctx = ctx, .arena = arena};
    ul_status st = UL_E_RESOURCE;
    if (t) {
        t->arena = arena;
        st = open_in(&r, path, t);
    }
    if (st == UL_OK)
        *out = t;
    else
        ul_arena_free(arena);
    return st;
}

void ul_tokenizer_free(ul_tokenizer *t)
{
    if (t) ul_arena_free(t->arena);
}

/* ---- looking things up ------------------------------------------------------------------------------------------ */
int64_t ul_tokenizer_vocab(const ul_tokenizer *t, bool with_added)
{
    return with_added ? t->n_with_added : t->n_model;
}

int64_t ul_tokenizer_max_id(const ul_tokenizer *t)
{
    int64_t most = t->n_token - 1;
    const ul_template all[] = {t->single, t->pair};
    for (int k = 0; k < 2; k++)
        for (size_t i = 0; i < all[k].n; i++)
            for (size_t j = 0; j < all[k].step[i].n; j++)
                if (all[k].step[i].id[j] > most) most = all[k].step[i].id[j];
    return most;
}

int32_t ul_token_id(const ul_tokenizer *t, const char *token, size_t bytes)
{
    const int32_t id = ul_vocab_find(&t->added, token, bytes);
    return id >= 0 ? id : ul_vocab_find(&t->vocab, token, bytes);
}

const char *ul_token_text(const ul_tokenizer *t, int32_t id, size_t *bytes)
{
    if (id < 0 || id >= t->n_token || !t->token[id].known) return NULL;
    if (bytes) *bytes = t->token[id].n;
    return t->token[id].p;
}

bool ul_token_special(const ul_tokenizer *t, int32_t id)
{
    return id >= 0 && id < t->n_token && t->token[id].special;
}

ul_special_ids ul_tokenizer_special(const ul_tokenizer *t)
{
    return t->special;
}

const char *ul_tokenizer_path(const ul_tokenizer *t)
{
    return t->path;
}
