/* world_lab.c - models of an invented world, trained on the spot: the shape and the recipe
 * of the world's notes (sections 1 and 2). The initialisation decides: with the usual standard deviation
 * the facts are not learned in so few steps. */
#include "audit/world.h"

static const double INIT_STD = 0.08;

enum { MOST_TOKENS = 64, N_MERGE = 160 };

static ul_status write_tokenizer(ul_ctx *ctx, ul_arena *arena, const ul_world *w, bool pieces, const char *dir)
{
    int64_t n = 0;
    if (!pieces) return ul_wordlevel_write(ctx, dir, w->word, w->n_word);
    const ul_records *sets[] = {w->forget, w->retain, w->phantom};
    const char **text = UL_NEW(arena, const char *, w->n_sentence + 2 * (w->forget->n + w->retain->n + w->phantom->n));
    UL_NEED(text);
    for (; n < w->n_sentence; n++) text[n] = w->sentence[n];
    for (int k = 0; k < 3; k++)
        for (int64_t i = 0; i < sets[k]->n; i++) text[n++] = sets[k]->at[i].prompt, text[n++] = sets[k]->at[i].answer;
    return ul_bpe_learn(ctx, dir, text, (size_t)n, N_MERGE);
}

ul_status ul_world_shape(ul_ctx *ctx, ul_arena *arena, const ul_world *w, bool pieces, const char *dir)
{
    ul_tokenizer *tok;
    UL_TRY(ul_dir_make(ctx, dir));
    UL_TRY(write_tokenizer(ctx, arena, w, pieces, dir));
    UL_TRY(ul_tokenizer_open(ctx, dir, &tok));
    const int rows = (int)ul_tokenizer_max_id(tok) + 1;
    ul_tokenizer_free(tok);
    json_t *c = json_pack("{s:[s], s:s, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:f, s:f, s:s, s:b, s:i, s:i, s:i, s:s}",
                          "architectures", "LlamaForCausalLM", "model_type", "llama", "hidden_size", 96,
                          "intermediate_size", 256, "num_hidden_layers", 2, "num_attention_heads", 4,
                          "num_key_value_heads", 4, "vocab_size", rows, "max_position_embeddings", MOST_TOKENS,
                          "rms_norm_eps", 1e-5, "rope_theta", 10000.0, "hidden_act", "silu", "tie_word_embeddings", 1,
                          "pad_token_id", 0, "bos_token_id", 1, "eos_token_id", 2, "torch_dtype", "float32");
    UL_TRY(ul_json_own(arena, c));
    const char *path = ul_path_join(arena, dir, "config.json");
    UL_NEED(path);
    return ul_json_save(ctx, path, c);
}

/* The sentences that no model of the lab is trained on. */
static ul_status write_text(const ul_world_lab *l)
{
    ul_out *o;
    const char *path = ul_path_join(l->job->arena, l->data, "text.jsonl");
    UL_NEED(path);
    UL_TRY(ul_out_open(l->job->ctx, path, 0, &o));
    for (int32_t i = UL_WORLD_SENTENCES; i < l->world->n_sentence; i++)
        ul_out_printf(o, "{\"text\": \"%s\"}\n", l->world->sentence[i]);
    return ul_out_commit(o);
}

ul_status ul_lab_open(ul_world_lab *l)
{
    ul_arena *arena = l->job->arena;
    ul_ctx *ctx = l->job->ctx;
    UL_TRY(ul_dir_make(ctx, l->out));
    UL_TRY(ul_world_new(ctx, arena, l->seed, UL_WORLD_FORGET, UL_WORLD_RETAIN, UL_WORLD_SENTENCES + UL_WORLD_HELD_OUT,
                        &l->world));
    UL_NEED(l->data = ul_path_join(arena, l->out, "data"));
    UL_NEED(l->shape_dir = ul_path_join(arena, l->out, "shape"));
    UL_TRY(ul_world_write(ctx, l->world, l->data));
    UL_TRY(write_text(l));
    UL_TRY(ul_world_shape(ctx, arena, l->world, l->pieces, l->shape_dir));
    UL_TRY(ul_tokenizer_open(ctx, l->shape_dir, &l->tok));
    UL_TRY(ul_arena_defer(arena, ul_release_tokenizer, l->tok));
    l->tpl = ul_template_tofu;
    l->tpl.max_length = MOST_TOKENS;
    l->tpl.apart = l->pieces; /* "Answer: " ends with a space that would be the answer's */
    return UL_OK;
}

void ul_lab_recipe(const ul_world_lab *l, double lr, int64_t steps, int32_t batch, ul_recipe *out)
{
    ul_args args;
    ul_args_default(ul_recipe_params, &args);
    ul_recipe_from_args(&args, 1, out);
    out->seed = l->seed;
    out->lr = lr;
    out->steps = steps;
    out->batch = batch;
    out->beta2 = 0.98;
    out->weight_decay = 0;
    out->clip = 1;
    out->warmup = 10;
    out->schedule = UL_CONSTANT;
}

ul_status ul_lab_fresh(const ul_world_lab *l, uint64_t seed, ul_model **out)
{
    const char *config = ul_path_join(l->job->arena, l->shape_dir, "config.json");
    UL_NEED(config);
    UL_TRY(ul_model_fresh(l->job->ctx, l->be, config, seed + 10 * l->seed, INIT_STD, out));
    return ul_arena_defer(l->job->arena, ul_release_model, *out);
}

ul_status ul_lab_learn(const ul_world_lab *l, const char *what, int32_t from, uint64_t seed, int64_t steps, ul_model *m)
{
    ul_job *job = l->job;
    ul_recipe r;
    ul_docs *docs;
    ul_pairing pairing;
    ul_step_result last;
    int64_t done;
    ul_lab_recipe(l, UL_WORLD_LR, steps, 64, &r);
    r.seed = seed + 10 * l->seed;
    r.schedule = UL_COSINE;
    r.warmup = 0.05;
    r.lr_floor = 0.05;
    UL_TRY(ul_world_some_docs(job->ctx, job->arena, l->world, l->tok, &l->tpl, from, UL_WORLD_FORGET + UL_WORLD_RETAIN,
                              0, UL_WORLD_SENTENCES, &docs));
    UL_TRY(ul_model_select(job->ctx, m, "all"));
    UL_TRY(ul_pairing_init(job->ctx, job->arena, docs, NULL, r.seed, true, &pairing));
    const ul_run run = {.options = {.model = m, .recipe = &r, .pairing = &pairing},
                        .n_samples = docs->n,
                        .save_every = -1,
                        .what = what};
    return ul_run_train(job->ctx, &run, &last, &done);
}

ul_status ul_lab_model(const ul_world_lab *l, const char *id, int32_t from, uint64_t seed, int64_t steps,
                       const char **dir)
{
    ul_model *m;
    UL_NEED(*dir = ul_path_join(l->job->arena, l->out, id));
    const char *made = ul_path_join(l->job->arena, *dir, "config.json");
    UL_NEED(made);
    if (ul_file_exists(made)) return UL_OK;
    UL_TRY(ul_lab_fresh(l, seed, &m));
    UL_TRY(ul_lab_learn(l, id, from, seed, steps, m));
    return ul_model_save(l->job->ctx, m, *dir);
}
