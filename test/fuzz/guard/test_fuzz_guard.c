/* test_fuzz_guard.c - a damaged guard.json of every kind, damaged weights under a digest that fits, the state of a fit.
 * What is taken stands around the model: data sets are prepared, scored and answered. */
#include "fuzz/fuzz.h"
#include "guard_test.h"

static house home; /* a model that has learnt its rows; guards are fitted to it */

static void fit(fuzz *z, const char *id)
{
    const ul_guard *guard = guard_named(id);
    assert_non_null(guard);
    if (!home.ctx) house_open(&home, guard, UL_PRECISION_F32, 1);
    ul_args_default(guard->method.params, &home.args);
    snprintf(home.out, sizeof home.out, "%s", z->dir);
    home.recipe.steps = 3;
    UL_OK_IN(home.ctx, house_make(&home, guard, id));
}

static ul_status ask(fuzz *z, house *h, ul_guard_file *g)
{
    ul_guarded how = {.records = h->forget, .tpl = h->tpl, .max_new = 2, .batch = 4};
    ul_docs *docs, *prompts;
    ul_batch *b;
    int32_t *out[FORGET_ROWS], n_out[FORGET_ROWS];
    const ul_doc *list[FORGET_ROWS];
    double *logp = UL_NEW(z->arena, double, 4096);
    UL_TRY(ul_guard_prepare(g, z->arena, &how));
    UL_TRY(ul_docs_build(z->ctx, z->arena, h->tok, &how.tpl, how.records, UL_WHICH_ANSWER, &docs));
    for (int i = 0; i < FORGET_ROWS; i++) list[i] = &docs->at[i];
    UL_TRY(ul_pack_docs(z->ctx, z->arena, list, FORGET_ROWS, false, &b));
    assert_true(b->n_row < 4096);
    ul_pass pass = {.batch = b, .last = -1, .hook = how.hook, .n_hook = how.n_hook, .mix = how.mix,
                    .score = {.logp = logp}};
    UL_TRY(ul_model_forward(z->ctx, h->model, &pass));
    UL_TRY(ul_docs_prompts(z->ctx, z->arena, h->tok, &how.tpl, how.records, &prompts));
    const ul_generation ask = {.n = FORGET_ROWS, .prompt = prompts->at, .max_new = how.max_new, .batch = how.batch,
                               .hook = how.hook, .n_hook = how.n_hook, .mix = how.mix};
    return ul_model_generate(z->ctx, h->model, &ask, z->arena, out, n_out);
}

static ul_status read_guard(fuzz *z)
{
    house h = {.ctx = z->ctx, .arena = z->arena, .tpl = home.tpl};
    ul_guard_file *g;
    UL_TRY(ul_guard_read(z->ctx, z->arena, z->dir, &g));
    UL_OK_IN(z->ctx, ul_backend_open(z->ctx, z->arena, NULL, UL_PRECISION_F32, 1, &h.be));
    UL_OK_IN(z->ctx, ul_model_open(z->ctx, h.be, home.dir, 0, &h.model));
    UL_OK_IN(z->ctx, ul_tokenizer_open(z->ctx, home.dir, &h.tok));
    house_rows(&h, FORGET_ROWS, 0, &h.forget, &h.forget_docs);
    ul_status s = ul_guard_around(g, h.model, h.tok, home.digest);
    if (s == UL_OK) s = ask(z, &h, g);
    ul_model_free(h.model);
    ul_tokenizer_free(h.tok);
    return s;
}

#define MAKE(id)                                                                                                       \
    static void make_##id(fuzz *z)                                                                                     \
    {                                                                                                                  \
        fit(z, #id);                                                                                                   \
    }
MAKE(filter)
MAKE(prompt)
MAKE(icul)
MAKE(eco)
MAKE(uld)
MAKE(offset)
MAKE(whp_infer)
MAKE(grun)

/* Damaged weights whose digest guard.json names, so that more is seen of them than that. */
static void damage_weights(fuzz *z, fuzz_dice *d)
{
    ul_ctx *ctx = ul_test_ctx();
    ul_arena *a = ul_ctx_arena(ctx);
    json_t *j;
    const char *digest, *file = ul_path_join(a, z->dir, "guard.json");
    const char *key = strstr(z->path, "adapter_model") ? "adapter_digest" : "weights_digest";
    fuzz_bytes b = fuzz_mutate(d, FUZZ_TENSORS, &z->seed, &z->other);
    fuzz_put(z->path, b.p, b.n);
    free(b.p);
    if (ul_guard_digest_of(ctx, a, z->path, &digest) == UL_OK) {
        UL_OK_IN(ctx, ul_json_load(ctx, a, file, &j));
        json_object_set_new(j, key, json_string(digest));
        char *text = json_dumps(j, 0);
        fuzz_put(file, text, strlen(text));
        free(text);
    }
    ul_ctx_free(ctx);
}

/* ---- the state of a fit ------------------------------------------------------------------------------------------ */
static double array[2][5];
static const ul_guard_array kept_state[2] = {{"a", array[0], 5}, {"b", array[1], 5}};

static void begin_state(fuzz *z, ul_work *w)
{
    *w = (ul_work){.ctx = z->ctx, .arena = z->arena, .id = "grun", .out_dir = z->dir, .resume = true,
                   .recipe_digest = "0123456789abcdef"};
}

static void make_state(fuzz *z)
{
    ul_work w;
    ul_guard_kept kept;
    int64_t done;
    begin_state(z, &w);
    for (int i = 0; i < 5; i++) array[0][i] = 0.5 * i, array[1][i] = -i;
    UL_OK_IN(z->ctx, ul_guard_kept_open(&w, "fit", kept_state, 2, &kept, &done));
    UL_OK_IN(z->ctx, ul_guard_kept_save(&kept, 7));
    snprintf(z->path, sizeof z->path, "%s", kept.path);
}

static ul_status read_state(fuzz *z)
{
    ul_work w;
    ul_guard_kept kept;
    int64_t done;
    begin_state(z, &w);
    UL_TRY(ul_guard_kept_open(&w, "fit", kept_state, 2, &kept, &done));
    for (int i = 0; i < 10; i++) assert_true(isfinite(array[i / 5][i % 5]));
    assert_true(done >= 0);
    return UL_OK;
}

/* Found by mutation: told as a flag that nobody gave. */
static const fuzz_found grun_found[] = {
    {"+{\"parameters\": {\"layer\": \"auto\"}}", "guard.json: --grun.layer"},
    {"+{\"parameters\": {\"layer\": \"9\"}}", "the model has 3 blocks"},
    {0}};

#define GUARD(id, ...)                                                                                                 \
    {                                                                                                                  \
        .name = "guard.json, " #id, .file = "guard.json", .kind = FUZZ_JSON, .make = make_##id, .read = read_guard,    \
        .cost = 2, .refused = 10, .taken = 10, __VA_ARGS__                                                             \
    }
#define WEIGHTS(id, where)                                                                                             \
    {                                                                                                                  \
        .name = "guard's weights, " #id, .file = where, .kind = FUZZ_TENSORS, .make = make_##id, .read = read_guard,   \
        .cost = 2, .refused = 30, .taken = 2, .damage = damage_weights                                                 \
    }
static const fuzz_case parsers[] = {
    GUARD(filter, .also = 0),
    GUARD(prompt, .also = 0),
    GUARD(icul, .also = 0),
    GUARD(eco, .also = 0),
    GUARD(uld, .also = 0),
    GUARD(offset, .also = 0),
    GUARD(whp_infer, .also = 0),
    GUARD(grun, .found = grun_found),
    WEIGHTS(grun, "guard.safetensors"),
    WEIGHTS(uld, "assistant/adapter_model.safetensors"),
    {.name = "guard's fit", .file = "stages/fit/checkpoint.safetensors", .kind = FUZZ_TENSORS, .make = make_state,
     .read = read_state, .refused = 40, .taken = 2, .also = 1 << UL_E_USAGE},
};
FUZZ_MAIN(parsers)
