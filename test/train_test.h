/* train_test.h - a tiny model, random documents, and a run of them: what the tests of the loop share. */
#ifndef UL_TRAIN_TEST_H
#define UL_TRAIN_TEST_H
#include "train/train.h"
#include "ul_test.h"
#include <math.h>

enum { TINY_V = 40, TINY_FORGET = 9, TINY_RETAIN = 14 };

/* Two blocks of a family by its model_type, NULL: llama; its embedding tied to the head unless `untied`. */
static inline const char *tiny_config(const char *type, bool untied)
{
    static char path[600];
    snprintf(path, sizeof path, "%s/config.json", ul_test_folder("tiny"));
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fprintf(f,
            "{\"model_type\": \"%s\", \"torch_dtype\": \"float32\", \"tie_word_embeddings\": %s, \"vocab_size\": %d,\n"
            " \"num_hidden_layers\": 2, \"hidden_size\": 32, \"num_attention_heads\": 4, \"num_key_value_heads\": 2,\n"
            " \"intermediate_size\": 48, \"max_position_embeddings\": 64, \"rms_norm_eps\": 1e-5,\n"
            " \"rope_theta\": 10000.0,\n"
            " \"n_layer\": 2, \"n_embd\": 32, \"n_head\": 4, \"n_positions\": 64, \"n_inner\": 48}\n",
            type ? type : "llama", untied ? "false" : "true", TINY_V);
    assert_int_equal(fclose(f), 0);
    return path;
}

/* Random documents of 3 to 18 tokens, the last third labelled at least; ids are places in the set. */
static inline ul_docs *tiny_docs(ul_ctx *ctx, int64_t n, uint64_t salt)
{
    ul_arena *a = ul_ctx_arena(ctx);
    ul_docs *d = UL_NEW(a, ul_docs, 1);
    assert_non_null(d);
    *d = (ul_docs){.n = n, .at = UL_NEW(a, ul_doc, n)};
    for (int64_t i = 0; i < n; i++) {
        const int32_t len = 3 + (int32_t)ul_rng_below(salt, UL_STREAM_TEST, 1, (uint64_t)i, 16);
        int32_t *token = UL_NEW(a, int32_t, len);
        uint8_t *labelled = UL_NEW(a, uint8_t, len);
        for (int32_t t = 0; t < len; t++) {
            token[t] = (int32_t)ul_rng_below(salt, UL_STREAM_TEST, 2 + (uint64_t)i, (uint64_t)t, TINY_V);
            labelled[t] = t > 0 && t >= len / 3;
        }
        d->at[i] = (ul_doc){i, len, (int32_t)i, token, labelled, NULL, NULL, NULL};
    }
    return d;
}

/* How a run is made; what must not matter is here. */
typedef struct {
    const char *isa; /* NULL: the best */
    ul_precision precision;
    int threads, micro;
    bool checkpoint, memory; /* memory: reference kept in memory, not on disk */
    bool whole;              /* without cached prefixes                       */
    const char *family;      /* its model_type; NULL: llama                   */
    bool untied, lora;       /* lora: adapters on all linear layers move      */
} tiny_how;

typedef struct {
    ul_ctx *ctx;
    ul_backend *be;
    ul_model *model;
    ul_docs *docs[UL_N_SIDE];
    ul_args args, recipe_args;
    ul_recipe recipe;
    ul_run run;
    char digest[65];
} tiny;

static inline ul_status tiny_sample(void *user, int64_t step, int32_t i, ul_arena *arena, ul_sample *out)
{
    const tiny *t = user;
    const uint64_t at = (uint64_t)step * 64 + (uint64_t)i;
    (void)arena;
    for (int s = 0; s < UL_N_SIDE; s++)
        out->doc[s] = &t->docs[s]->at[ul_rng_below(3, UL_STREAM_TEST, 77 + (uint64_t)s, at, (uint64_t)t->docs[s]->n)];
    return UL_OK;
}

static inline void tiny_open(tiny *t, const ul_config *config, const tiny_how *how, const ul_method *method,
                             const char *out)
{
    *t = (tiny){0};
    assert_int_equal(ul_ctx_new(config, &t->ctx), UL_OK);
    UL_OK_IN(t->ctx, ul_backend_open(t->ctx, ul_ctx_arena(t->ctx), how->isa, how->precision, how->threads, &t->be));
    UL_OK_IN(t->ctx, ul_model_fresh(t->ctx, t->be, tiny_config(how->family, how->untied), 5, 0.2, &t->model));
    const ul_lora lora = {.r = 2, .alpha = 4, .targets = "all-linear", .seed = 1};
    if (how->lora)
        UL_OK_IN(t->ctx, ul_lora_add(t->ctx, t->model, &lora));
    else
        UL_OK_IN(t->ctx, ul_model_select(t->ctx, t->model, "all"));
    UL_OK_IN(t->ctx, ul_model_digest(t->ctx, t->model, t->digest));
    t->docs[UL_FORGET] = tiny_docs(t->ctx, TINY_FORGET, 1);
    t->docs[UL_ALT] = tiny_docs(t->ctx, TINY_FORGET, 2);
    t->docs[UL_RETAIN] = tiny_docs(t->ctx, TINY_RETAIN, 3);
    if (method) ul_args_default(method->params, &t->args);
    ul_args_default(ul_recipe_params, &t->recipe_args);
    ul_recipe_from_args(&t->recipe_args, 1000, &t->recipe);
    t->recipe.steps = 6;
    t->recipe.batch = 7;
    t->recipe.lr = 0.01;
    t->run = (ul_run){.options = {.model = t->model,
                                  .method = method,
                                  .args = &t->args,
                                  .recipe = &t->recipe,
                                  .micro_batch = how->micro,
                                  .checkpoint = how->checkpoint,
                                  .sample = tiny_sample,
                                  .user = t},
                      .n_samples = TINY_FORGET,
                      .out_dir = out,
                      .recipe_digest = "0123456789abcdef0123456789abcdef",
                      .save_every = 2};
}

/* A text as tokens: its bytes, within the vocabulary. */
static inline ul_status tiny_encode(void *user, ul_arena *arena, const char *text, const int32_t **token, int32_t *n)
{
    int32_t *id = UL_NEW(arena, int32_t, strlen(text));
    (void)user;
    assert_non_null(id);
    for (*n = 0; text[*n] && *n < 20; ++*n) id[*n] = (unsigned char)text[*n] % TINY_V;
    *token = id;
    return UL_OK;
}

/* The caches that the method with these arguments needs, under `dir` (NULL: in memory). */
static inline void tiny_references(tiny *t, const char *dir)
{
    t->run.options.encode = tiny_encode, t->run.options.bos = -1;
    const ul_docs *const docs[UL_N_SIDE] = {t->docs[UL_FORGET], t->docs[UL_ALT], t->docs[UL_RETAIN]};
    UL_OK_IN(t->ctx, ul_trainer_caches(t->ctx, ul_ctx_arena(t->ctx), dir, t->digest, docs,
                                       t->recipe.steps * t->recipe.batch, &t->run.options));
}

static inline void tiny_close(tiny *t)
{
    ul_model_free(t->model);
    ul_ctx_free(t->ctx);
}

/* The log without its times. */
static inline char *tiny_log(const char *out)
{
    char path[700], *text = calloc(1, 1 << 16), *p = text;
    snprintf(path, sizeof path, "%s/%s", out, UL_LOG_NAME);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    while (fgets(p, 4096, f)) {
        char *ms = strstr(p, ", \"ms\"");
        if (!ms) ms = strstr(p, ",\"ms\"");
        assert_non_null(ms);
        strcpy(ms, "\n");
        p += strlen(p);
    }
    fclose(f);
    return text;
}
#endif
