/* bench_methods.c - methods beside graddiff on the same documents and steps: seconds with a cached reference, and
 * memory; and repselect beside as many epochs of ga as it makes passes.
 * A round is one step of each method, one right after the other, so what else the machine does meets all alike; a
 * ratio is taken inside a round. Documents have TOFU's usual lengths: a prompt of 28 tokens, an answer of 52, an
 * alternate answer of 10. Memory is what the library has obtained at its highest, counted by its allocator: pages of
 * mapped files are not in it. */
#include "cli/bench.h"
#include "method/method.h"
#include "procedure/procedure.h"
#include <string.h>

enum { BATCH = 8, FORGET_ROWS = 64, PROMPT = 28, EDIT_ROWS = 400, PASSES = 2 };
enum { FULL = 13 }; /* samples of which a micro-batch is full, with alternates or without */
static const int32_t answer_of[UL_N_SIDE] = {[UL_FORGET] = 52, [UL_ALT] = 10, [UL_RETAIN] = 52};

typedef struct {
    ul_bench *b;
    ul_model *model;
    ul_docs *docs[UL_N_SIDE];
    ul_recipe recipe;
} bench_data;

/* Everything that a trainer of a method looks at as long as it lives. */
typedef struct {
    ul_args args;
    ul_trainer_options o;
    ul_trainer *trainer;
} bench_method;

static ul_status give(void *user, int64_t step, int32_t i, ul_arena *arena, ul_sample *out)
{
    const bench_data *d = user;
    const int64_t k = step * d->recipe.batch + i;
    (void)arena;
    for (int s = 0; s < UL_N_SIDE; s++) out->doc[s] = &d->docs[s]->at[k % d->docs[s]->n];
    return UL_OK;
}

/* Instructions of elm and their like, as tokens: their number is what counts. */
static ul_status encode(void *user, ul_arena *arena, const char *text, const int32_t **token, int32_t *n)
{
    const bench_data *d = user;
    int32_t *id = UL_NEW(arena, int32_t, strlen(text) / 4 + 1);
    UL_NEED(id);
    *n = (int32_t)(strlen(text) / 4);
    for (int32_t i = 0; i < *n; i++) id[i] = (int32_t)(unsigned char)text[4 * i] % ul_model_shape(d->model)->V;
    *token = id;
    return UL_OK;
}

static ul_status open_data(ul_bench *b, ul_bench_shape shape, int64_t rows, int32_t batch, bench_data *d)
{
    ul_args args;
    *d = (bench_data){.b = b};
    UL_TRY(ul_bench_model(b, shape, &d->model));
    for (int s = 0; s < UL_N_SIDE; s++) {
        int32_t(*length)[2] = ul_alloc(b->arena, (size_t)rows * 2, sizeof **length);
        UL_NEED(length);
        for (int64_t i = 0; i < rows; i++) length[i][0] = PROMPT, length[i][1] = answer_of[s];
        UL_TRY(ul_bench_documents(b, rows, (const int32_t(*)[2])length, ul_model_shape(d->model)->V, &d->docs[s]));
    }
    ul_args_default(ul_recipe_params, &args);
    ul_recipe_from_args(&args, ul_model_parameters(d->model), &d->recipe);
    d->recipe.batch = batch, d->recipe.lr = 1e-5, d->recipe.schedule = UL_CONSTANT, d->recipe.warmup = 0;
    return UL_OK;
}

/* With the caches that it reads in memory, or in files under `dir`. */
static ul_status open_method(bench_data *d, const ul_method *m, const char *dir, bench_method *x)
{
    const ul_bench *b = d->b;
    const ul_docs *const docs[UL_N_SIDE] = {d->docs[UL_FORGET], d->docs[UL_ALT], d->docs[UL_RETAIN]};
    ul_method_args(m, ul_recipe_small(ul_model_parameters(d->model)), &x->args);
    x->o = (ul_trainer_options){.model = d->model,
                                .method = m,
                                .args = &x->args,
                                .recipe = &d->recipe,
                                .sample = give,
                                .user = d,
                                .encode = encode,
                                .encode_user = d,
                                .bos = -1};
    UL_TRY(ul_trainer_caches(b->ctx, b->arena, dir, "bench", docs, 0, &x->o));
    return ul_trainer_new(b->ctx, &x->o, UL_BENCH_ROUNDS + 1, &x->trainer);
}

static ul_status step(const bench_data *d, bench_method *x, int64_t k, double *seconds, int64_t *tokens)
{
    ul_step_result out;
    const int64_t start = ul_bench_clock(d->b);
    UL_TRY(ul_trainer_gradients(x->trainer, k, &out));
    UL_TRY(ul_trainer_update(x->trainer, k, &out));
    *seconds = ul_bench_since(d->b, start);
    *tokens = out.tokens;
    return UL_OK;
}

static ul_status emit(ul_bench *b, const char *name, const char *id, const char *of, double bar, const double *ratio,
                      int rounds, json_t *line)
{
    const double middle = ul_bench_median(ratio, rounds);
    const char *title = ul_format(b->arena, "%s %s", name, id), *note = NULL;
    if (bar > 0)
        note = ul_format(b->arena, "%.3f of %s (%.3f .. %.3f); the bar is %g: %s", middle, of,
                         json_number_value(json_object_get(json_object_get(line, "ratio"), "min")),
                         json_number_value(json_object_get(json_object_get(line, "ratio"), "max")), bar,
                         middle <= bar ? "held" : "missed");
    if (!title || !line || (bar > 0 && !note)) {
        json_decref(line);
        return ul_fail(b->ctx, UL_E_RESOURCE, "no memory for the results of %s", name);
    }
    if (bar > 0) {
        json_object_set_new(line, "bar", json_real(bar));
        json_object_set_new(line, "held", json_boolean(middle <= bar));
        json_object_set_new(line, "note", json_string(note));
    }
    return ul_bench_emit(b, title, line);
}

/* ---- seconds of a step --------------------------------------------------------------------------------------- */
static const struct {
    const char *id;
    double bar; /* 0: the yardstick */
} timed[] = {{"graddiff", 0}, {"npo", 1.15}, {"dpo", 1.15}, {"undial", 1.5}, {"ga_kl", 1.5}};
enum { N_TIMED = sizeof timed / sizeof *timed };

typedef struct {
    bench_data d;
    bench_method m[N_TIMED];
    double speed[N_TIMED][UL_BENCH_ROUNDS], ratio[N_TIMED][UL_BENCH_ROUNDS];
    int64_t tokens[N_TIMED];
    int rounds;
} bench_run;

static ul_status rounds(bench_run *r)
{
    double seconds[N_TIMED];
    for (int i = 0; i < N_TIMED; i++) UL_TRY(step(&r->d, &r->m[i], 0, &seconds[i], &r->tokens[i])); /* warm-up */
    const int64_t start = ul_now_ns();
    for (; ul_bench_more(r->d.b, r->rounds, start); r->rounds++)
        for (int i = 0; i < N_TIMED; i++) {
            UL_TRY(step(&r->d, &r->m[i], r->rounds + 1, &seconds[i], &r->tokens[i]));
            r->speed[i][r->rounds] = (double)r->tokens[i] / seconds[i];
            r->ratio[i][r->rounds] = seconds[i] / seconds[0];
        }
    return UL_OK;
}

static ul_status speed(ul_bench *b, const char *name)
{
    bench_run *r = UL_NEW(b->arena, bench_run, 1);
    UL_NEED(r);
    UL_TRY(open_data(b, UL_SHAPE_15M, FORGET_ROWS, BATCH, &r->d));
    UL_TRY(ul_model_select(b->ctx, r->d.model, "all"));
    ul_status s = UL_OK;
    for (int i = 0; i < N_TIMED && s == UL_OK; i++) s = open_method(&r->d, ul_method_find(timed[i].id), NULL, &r->m[i]);
    if (s == UL_OK) s = rounds(r);
    for (int i = 0; i < N_TIMED; i++) ul_trainer_free(r->m[i].trainer);
    for (int i = 0; i < N_TIMED && s == UL_OK; i++)
        s = emit(b, name, timed[i].id, "graddiff", timed[i].bar, r->ratio[i], r->rounds,
                 json_pack("{s:o, s:o, s:i, s:I}", "tokens_per_s", ul_bench_spread(r->speed[i], r->rounds), "ratio",
                           ul_bench_spread(r->ratio[i], r->rounds), "rounds", r->rounds, "step_tokens",
                           (json_int_t)r->tokens[i]));
    return s;
}

/* ---- repselect ----------------------------------------------------------------------------------------------- */
/* Epochs of ga, as many as the procedure makes passes over the forget rows: its adversary's, and the gradient's. */
static ul_status ascend(bench_data *d, int64_t *tokens)
{
    bench_method x;
    double seconds;
    int64_t n = 0;
    UL_TRY(ul_model_select(d->b->ctx, d->model, "all"));
    UL_TRY(open_method(d, ul_method_find("ga"), NULL, &x));
    ul_status s = UL_OK;
    *tokens = 0;
    for (int64_t k = 0; k < PASSES * ((d->docs[UL_FORGET]->n + d->recipe.batch - 1) / d->recipe.batch) && s == UL_OK;
         k++) {
        s = step(d, &x, k, &seconds, &n);
        *tokens += n;
    }
    ul_trainer_free(x.trainer);
    return s;
}

static ul_status select_directions(bench_data *d)
{
    int n;
    ul_args args;
    ul_buf report;
    ul_status s = UL_OK;
    const ul_procedure_entry *e = ul_procedures(&n);
    ul_buf_init(&report, d->b->ctx, 1 << 16);
    for (int i = 0; i < n && s == UL_OK; i++) {
        if (strcmp(e[i].id, "repselect")) continue;
        ul_method_args(&e[i].procedure->method, ul_recipe_small(ul_model_parameters(d->model)), &args);
        ul_work w = {.ctx = d->b->ctx,
                     .arena = d->b->arena,
                     .id = e[i].id,
                     .args = &args,
                     .model = d->model,
                     .recipe = &d->recipe,
                     .forget = d->docs[UL_FORGET],
                     .retain = d->docs[UL_RETAIN],
                     .recipe_digest = "bench",
                     .save_every = -1,
                     .runs = e[i].procedure->runs,
                     .report = &report};
        s = e[i].procedure->run(&w);
    }
    ul_buf_release(&report);
    return s;
}

static ul_status repselect(ul_bench *b, const char *name)
{
    double ratio[UL_BENCH_ROUNDS], rate[UL_BENCH_ROUNDS];
    int64_t tokens;
    int n = 0;
    bench_data d;
    const int64_t start = ul_now_ns();
    for (; ul_bench_more(b, n, start); n++) {
        UL_TRY(open_data(b, UL_SHAPE_656K, EDIT_ROWS, 32, &d)); /* the same model in every round */
        int64_t at = ul_bench_clock(b);
        UL_TRY(ascend(&d, &tokens));
        const double ga = ul_bench_since(b, at);
        at = ul_bench_clock(b);
        UL_TRY(select_directions(&d));
        const double own = ul_bench_since(b, at);
        ratio[n] = own / ga, rate[n] = (double)tokens / own;
    }
    return emit(b, name, "repselect", "two epochs of ga", 1.5, ratio, n,
                json_pack("{s:o, s:o, s:i}", "tokens_per_s", ul_bench_spread(rate, n), "ratio",
                          ul_bench_spread(ratio, n), "rounds", n));
}

ul_status ul_bench_run_methods(ul_bench *b, const char *name)
{
    UL_TRY(speed(b, name));
    return repselect(b, name);
}

/* ---- memory -------------------------------------------------------------------------------------------------- */
typedef struct {
    ul_ctx *ctx; /* whose allocator is the one beneath */
    size_t now, peak;
} meter;

/* The size of a block stands in 64 bytes before it. */
static void *counted(void *user, void *old, size_t bytes)
{
    meter *m = user;
    char *p = old ? (char *)old - 64 : NULL;
    size_t was = 0;
    if (p) memcpy(&was, p, sizeof was);
    if (!bytes) {
        m->now -= was;
        return ul_ctx_alloc(m->ctx, p, 0);
    }
    p = ul_ctx_alloc(m->ctx, p, bytes + 64);
    if (!p) return NULL;
    memcpy(p, &bytes, sizeof bytes);
    m->now += bytes - was;
    if (m->now > m->peak) m->peak = m->now;
    return p + 64;
}

/* The sweep for the caches and one step, on a model, documents and context of its own: the most that was held at
 * once. */
static ul_status peak_of(ul_bench *b, const ul_method *m, const char *dir, size_t *peak)
{
    meter memory = {.ctx = b->ctx};
    ul_bench own = *b;
    bench_data d;
    bench_method x = {.trainer = NULL};
    double seconds;
    int64_t tokens;
    UL_TRY(ul_ctx_new(&(ul_config){.user = &memory, .alloc = counted}, &own.ctx));
    own.arena = ul_ctx_arena(own.ctx);
    ul_status s = ul_backend_open(own.ctx, own.arena, b->be->k->name, b->be->precision, b->be->threads, &own.be);
    if (s == UL_OK) s = open_data(&own, UL_SHAPE_15M, FULL, FULL, &d);
    if (s == UL_OK) {
        ul_method_args(m, ul_recipe_small(ul_model_parameters(d.model)), &x.args);
        const char *train = ul_method_train(own.arena, m, &x.args, d.model);
        s = train ? ul_model_select(own.ctx, d.model, train) : UL_E_RESOURCE;
    }
    if (s == UL_OK) s = open_method(&d, m, dir, &x);
    if (s == UL_OK) s = step(&d, &x, 0, &seconds, &tokens);
    ul_trainer_free(x.trainer);
    *peak = memory.peak;
    if (s != UL_OK) s = ul_fail(b->ctx, s, "%s", ul_error_text(own.ctx));
    ul_ctx_free(own.ctx);
    return s;
}

static void remove_folder(ul_bench *b, const char *dir)
{
    char **names;
    int64_t n = 0;
    if (ul_dir_list(b->ctx, b->arena, dir, &names, &n) != UL_OK) return;
    for (int64_t i = 0; i < n; i++) {
        const char *path = ul_path_join(b->arena, dir, names[i]);
        if (path && ul_path_remove(b->ctx, path) != UL_OK) return;
    }
    (void)!ul_path_remove(b->ctx, dir);
}

ul_status ul_bench_run_memory(ul_bench *b, const char *name)
{
    int n;
    size_t base = 0, peak;
    const ul_method_entry *e = ul_methods(&n);
    char *dir;
    UL_TRY(peak_of(b, ul_method_find("graddiff"), NULL, &base));
    UL_TRY(ul_bench_folder(b, &dir));
    ul_status s = UL_OK;
    for (int i = 0; i < n && s == UL_OK; i++) {
        if (!e[i].method->loss) continue;
        s = peak_of(b, e[i].method, dir, &peak);
        if (s != UL_OK) break;
        const double ratio = (double)peak / (double)base;
        s = emit(b, name, e[i].id, "graddiff", 1.1, &ratio, 1,
                 json_pack("{s:o, s:I, s:i}", "ratio", ul_bench_spread(&ratio, 1), "peak_bytes", (json_int_t)peak,
                           "rounds", 1));
    }
    remove_folder(b, dir);
    return s;
}
