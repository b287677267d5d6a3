/* guard_test.h - a guard around a tiny model: people and where they live,
 * a word-level tokenizer, a folder for the file. */
#ifndef UL_GUARD_TEST_H
#define UL_GUARD_TEST_H
#include "guard/guard.h"
#include "ul_test.h"
#include <math.h>

enum { FORGET_ROWS = 6, RETAIN_ROWS = 10, MOST_NEW = 7 };

typedef struct {
    ul_ctx *ctx;
    ul_arena *arena;
    ul_backend *be;
    ul_model *model;
    ul_tokenizer *tok;
    ul_template tpl;
    ul_records *forget, *retain;
    ul_docs *forget_docs, *retain_docs;
    ul_args args, recipe_args;
    ul_recipe recipe;
    ul_buf report;
    bool resume;
    int64_t save_every;
    void (*on_stage)(void *user, const ul_run *run);
    void *on_stage_user;
    ul_step_result last; /* of what house_guard trained */
    char dir[512], out[600], digest[65];
} house;

static inline const ul_guard *guard_named(const char *id)
{
    int n;
    const ul_guard_entry *e = ul_guards(&n);
    for (int i = 0; i < n; i++)
        if (!strcmp(e[i].id, id)) return e[i].guard;
    return NULL;
}

static inline void house_files(house *h, const char *family)
{
    static const char *const words[] = {
        "where", "does", "live",     "?",      "lives", "in",   "anna", "bert", "cleo", "dora", "emil", "fritz", "gina",
        "hugo",  "ines", "jan",      "kira",   "lars",  "mona", "nils", "olga", "paul", "rome", "oslo", "bonn",  "bern",
        "graz",  "lima", "Question", "Answer", ":",     "I",    "don",  "'",    "t",    "know", "."};
    char path[600];
    snprintf(h->dir, sizeof h->dir, "%s", ul_test_folder("guard"));
    snprintf(h->out, sizeof h->out, "%s/out", h->dir);
    UL_OK_IN(h->ctx, ul_dir_make(h->ctx, h->out));
    UL_OK_IN(h->ctx, ul_wordlevel_write(h->ctx, h->dir, words, sizeof words / sizeof *words));
    snprintf(path, sizeof path, "%s/config.json", h->dir);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fprintf(
        f,
        "{\"model_type\": \"%s\", \"torch_dtype\": \"float32\", \"tie_word_embeddings\": false, \"vocab_size\": 41,\n"
        " \"num_hidden_layers\": 3, \"hidden_size\": 24, \"num_attention_heads\": 4, \"num_key_value_heads\": 2,\n"
        " \"intermediate_size\": 32, \"max_position_embeddings\": 160, \"rms_norm_eps\": 1e-5,\n"
        " \"n_layer\": 3, \"n_embd\": 24, \"n_head\": 4, \"n_inner\": 32, \"n_positions\": 160, \"rope_theta\": "
        "10000.0}\n",
        family);
    assert_int_equal(fclose(f), 0);
    UL_OK_IN(h->ctx, ul_model_fresh(h->ctx, h->be, path, 5, 0.25, &h->model));
    UL_OK_IN(h->ctx, ul_tokenizer_open(h->ctx, h->dir, &h->tok));
}

/* The model learns all rows, and is opened again from its directory, as guards will do. */
static inline void house_learn(house *h)
{
    ul_records *all;
    ul_docs *docs;
    ul_pairing pairing;
    ul_step_result last;
    int64_t done;
    ul_record *r = UL_NEW(h->arena, ul_record, FORGET_ROWS + RETAIN_ROWS);
    ul_recipe recipe = h->recipe;
    recipe.steps = 60, recipe.batch = 8, recipe.lr = 0.01;
    memcpy(r, h->forget->at, FORGET_ROWS * sizeof *r);
    memcpy(r + FORGET_ROWS, h->retain->at, RETAIN_ROWS * sizeof *r);
    UL_OK_IN(h->ctx, ul_records_seal(h->ctx, "all", r, FORGET_ROWS + RETAIN_ROWS, h->arena, &all));
    UL_OK_IN(h->ctx, ul_docs_build(h->ctx, h->arena, h->tok, &h->tpl, all, UL_WHICH_ANSWER, &docs));
    UL_OK_IN(h->ctx, ul_pairing_init(h->ctx, h->arena, docs, NULL, 1, true, &pairing));
    UL_OK_IN(h->ctx, ul_model_select(h->ctx, h->model, "all"));
    const ul_run run = {.options = {.model = h->model, .recipe = &recipe, .micro_batch = 4, .pairing = &pairing},
                        .n_samples = docs->n, .save_every = -1};
    UL_OK_IN(h->ctx, ul_run_train(h->ctx, &run, &last, &done));
    UL_OK_IN(h->ctx, ul_model_save(h->ctx, h->model, h->dir));
    ul_model_free(h->model);
    UL_OK_IN(h->ctx, ul_model_open(h->ctx, h->be, h->dir, 0, &h->model));
}

static inline void house_rows(house *h, int n, int first, ul_records **records, ul_docs **docs)
{
    static const char *const person[] = {"anna", "bert", "cleo", "dora", "emil", "fritz", "gina", "hugo",
                                         "ines", "jan",  "kira", "lars", "mona", "nils",  "olga", "paul"};
    static const char *const town[] = {"rome", "oslo", "bonn", "bern", "graz", "lima"};
    ul_record *r = UL_NEW(h->arena, ul_record, n);
    for (int i = 0; i < n; i++) {
        const char *who = person[first + i / 2], *where = town[(first + i / 2) % 6];
        r[i] = (ul_record){.line = i + 1,
                           .entity = i / 2,
                           .prompt = i % 2 ? ul_format(h->arena, "%s lives where ?", who)
                                           : ul_format(h->arena, "where does %s live ?", who),
                           .answer = ul_format(h->arena, "%s lives in %s .", who, where)};
    }
    UL_OK_IN(h->ctx, ul_records_seal(h->ctx, "rows", r, n, h->arena, records));
    UL_OK_IN(h->ctx, ul_docs_build(h->ctx, h->arena, h->tok, &h->tpl, *records, UL_WHICH_ANSWER, docs));
}

static inline void house_open_with(house *h, const ul_config *config, const char *family, const ul_guard *guard,
                                   ul_precision precision, int threads)
{
    *h = (house){.save_every = -1};
    assert_int_equal(ul_ctx_new(config, &h->ctx), UL_OK);
    h->arena = ul_ctx_arena(h->ctx);
    UL_OK_IN(h->ctx, ul_backend_open(h->ctx, h->arena, NULL, precision, threads, &h->be));
    house_files(h, family);
    h->tpl = ul_template_tofu;
    h->tpl.max_length = 160;
    house_rows(h, FORGET_ROWS, 0, &h->forget, &h->forget_docs);
    house_rows(h, RETAIN_ROWS, FORGET_ROWS / 2, &h->retain, &h->retain_docs);
    ul_args_default(guard->method.params, &h->args);
    ul_args_default(ul_recipe_params, &h->recipe_args);
    ul_recipe_from_args(&h->recipe_args, 1000, &h->recipe);
    h->recipe.steps = 12, h->recipe.batch = 4, h->recipe.lr = 0.01, h->recipe.train = "all";
    ul_buf_init(&h->report, h->ctx, 1 << 16);
    house_learn(h);
    UL_OK_IN(h->ctx, ul_model_digest(h->ctx, h->model, h->digest));
}

static inline void house_open_as(house *h, const char *family, const ul_guard *guard, ul_precision precision,
                                 int threads)
{
    house_open_with(h, NULL, family, guard, precision, threads);
}

static inline void house_open(house *h, const ul_guard *guard, ul_precision precision, int threads)
{
    house_open_as(h, "llama", guard, precision, threads);
}

static inline void house_set(house *h, const char *key, const char *value)
{
    UL_OK_IN(h->ctx, ul_args_set(h->arena, &h->args, "guard", key, value));
}

static inline ul_status house_make(house *h, const ul_guard *guard, const char *id)
{
    ul_work w = {.ctx = h->ctx, .arena = h->arena, .id = id, .args = &h->args, .model = h->model, .recipe = &h->recipe,
                 .tok = h->tok, .tpl = &h->tpl, .forget_rows = h->forget, .retain_rows = h->retain,
                 .forget = h->forget_docs, .retain = h->retain_docs, .out_dir = h->out,
                 .recipe_digest = "0123456789abcdef0123456789abcdef", .micro_batch = 2, .save_every = h->save_every,
                 .resume = h->resume, .report = &h->report, .runs = guard->runs, .on_stage = h->on_stage,
                 .on_stage_user = h->on_stage_user};
    ul_guard_fit f = {.work = &w, .model_digest = h->digest};
    const ul_status s = ul_guard_make(&f, guard);
    h->last = w.last;
    return s;
}

/* Makes the guard, and puts it around the model. */
static inline ul_guard_file *house_guard(house *h, const ul_guard *guard, const char *id)
{
    ul_guard_file *g;
    UL_OK_IN(h->ctx, house_make(h, guard, id));
    UL_OK_IN(h->ctx, ul_guard_read(h->ctx, h->arena, h->out, &g));
    UL_OK_IN(h->ctx, ul_guard_around(g, h->model, h->tok, h->digest));
    return g;
}

static inline void house_close(house *h)
{
    ul_buf_release(&h->report);
    ul_model_free(h->model);
    ul_tokenizer_free(h->tok);
    ul_ctx_free(h->ctx);
}

static inline ul_guarded house_prepare(house *h, ul_guard_file *g, const ul_records *records)
{
    ul_guarded how = {.records = records, .tpl = h->tpl, .max_new = MOST_NEW, .batch = 4};
    if (g) UL_OK_IN(h->ctx, ul_guard_prepare(g, h->arena, &how));
    return how;
}

/* Log-probabilities and best tokens at the scored tokens of documents, `together` of them in a batch;
 * returns how many. */
static inline int64_t house_score(house *h, const ul_guarded *how, const ul_docs *docs, int64_t together, double **logp,
                                  int32_t **best)
{
    int64_t n = 0;
    for (int64_t i = 0; i < docs->n; i++) n += ul_doc_labelled(&docs->at[i]);
    assert_non_null(*logp = UL_NEW(h->arena, double, n));
    assert_non_null(*best = UL_NEW(h->arena, int32_t, n));
    int64_t at = 0;
    for (int64_t i = 0; i < docs->n; i += together) {
        const ul_doc *list[64];
        int32_t k = 0;
        ul_batch *b;
        while (k < together && i + k < docs->n) list[k] = &docs->at[i + k], k++;
        UL_OK_IN(h->ctx, ul_pack_docs(h->ctx, h->arena, list, k, false, &b));
        ul_pass pass = {.batch = b, .last = -1, .hook = how->hook, .n_hook = how->n_hook, .mix = how->mix,
                        .score = {.logp = *logp + at, .argmax = *best + at}};
        UL_OK_IN(h->ctx, ul_model_forward(h->ctx, h->model, &pass));
        at += b->n_row;
    }
    assert_int_equal(at, n);
    return n;
}

/* The same of the data set's own answers; how: NULL for the bare model. */
static inline int64_t house_answers(house *h, ul_guard_file *g, const ul_records *records, int64_t together,
                                    double **logp)
{
    const ul_guarded how = house_prepare(h, g, records);
    ul_docs *docs;
    int32_t *best;
    UL_OK_IN(h->ctx, ul_docs_build(h->ctx, h->arena, h->tok, &how.tpl, how.records, UL_WHICH_ANSWER, &docs));
    return house_score(h, &how, docs, together, logp, &best);
}

static inline double mean_of(const double *x, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += x[i] / (double)n;
    return sum;
}
#endif
