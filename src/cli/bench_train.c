/* bench_train.c - whole steps of the trainer: forward, backward, clipping, AdamW, on documents of random tokens.
 *
 * What a step needs (the numerator of GFLOP/s): the linear layers three times (forward, dx, dW),
 * the head at scored rows, and causal attention, 2 products of T (T + 1) / 2 pairs forward and four backward.
 * Work done twice does not count. */
#include "cli/bench.h"
#include <math.h>
#include <string.h>

enum { STEPS = UL_BENCH_ROUNDS + 1 };

typedef struct {
    ul_bench *b;
    const char *name;
    ul_model *model;
    ul_trainer *trainer;
    ul_docs *forget, *retain; /* retain NULL: plain training */
    int32_t batch;
    double tokens[STEPS], rows[STEPS], flop[STEPS]; /* by step */
    double speed[UL_BENCH_ROUNDS], gflops[UL_BENCH_ROUNDS], blas[UL_BENCH_ROUNDS], share[UL_BENCH_ROUNDS];
    double sum_tokens, sum_seconds;
    int rounds;
} bench_run;

/* A document of `prompt` unlabelled and `answer` labelled tokens; the first token is never scored. */
static ul_status document(ul_bench *b, int64_t id, int32_t prompt, int32_t answer, int32_t V, ul_doc *out)
{
    const int32_t n = prompt + answer;
    int32_t *token = UL_NEW(b->arena, int32_t, n);
    uint8_t *labelled = UL_NEW(b->arena, uint8_t, n);
    UL_NEED(token);
    UL_NEED(labelled);
    for (int32_t i = 0; i < n; i++) {
        token[i] = (int32_t)ul_rng_below(0, UL_STREAM_TEST, (uint64_t)id, (uint64_t)i, (uint64_t)V);
        labelled[i] = i >= prompt && i > 0;
    }
    *out = (ul_doc){.id = id, .n = n, .entity = (int32_t)id, .token = token, .labelled = labelled};
    return UL_OK;
}

ul_status ul_bench_documents(ul_bench *b, int64_t n, const int32_t (*length)[2], int32_t V, ul_docs **out)
{
    ul_docs *d = UL_NEW(b->arena, ul_docs, 1);
    UL_NEED(d);
    UL_NEED(d->at = UL_NEW(b->arena, ul_doc, n));
    d->n = n;
    for (int64_t i = 0; i < n; i++) {
        UL_TRY(document(b, i, length[i][0], length[i][1], V, &d->at[i]));
        d->n_tok += d->at[i].n;
        d->n_labelled += ul_doc_labelled(&d->at[i]);
        if (d->at[i].n > d->longest) d->longest = d->at[i].n;
    }
    *out = d;
    return UL_OK;
}

/* Rows in turn, round and round. */
static ul_status give(void *user, int64_t step, int32_t i, ul_arena *arena, ul_sample *out)
{
    const bench_run *r = user;
    const int64_t k = step * r->batch + i;
    (void)arena;
    out->doc[UL_FORGET] = &r->forget->at[k % r->forget->n];
    if (r->retain) out->doc[UL_RETAIN] = &r->retain->at[k % r->retain->n];
    return UL_OK;
}

static void count(bench_run *r)
{
    const ul_shape *s = ul_model_shape(r->model);
    ul_bench_layer l[UL_BENCH_LAYERS];
    for (int step = 0; step < STEPS; step++) {
        double attention = 0;
        for (int32_t i = 0; i < r->batch; i++) {
            ul_sample x = {0};
            if (give(r, step, i, NULL, &x) != UL_OK) continue;
            for (int side = 0; side < UL_N_SIDE; side++) {
                const ul_doc *d = x.doc[side];
                if (!d) continue;
                r->tokens[step] += d->n, r->rows[step] += ul_doc_labelled(d);
                attention += 3.0 * 2 * 2 * s->n_layer * s->H * s->D * d->n * (d->n + 1.0) / 2;
            }
        }
        r->flop[step] =
            ul_bench_layers_flop(l, ul_bench_layers(r->model, (int64_t)r->tokens[step], (int64_t)r->rows[step], l)) +
            attention;
    }
}

static ul_status step(bench_run *r, int64_t k, double *seconds)
{
    ul_step_result out;
    const int64_t start = ul_bench_clock(r->b);
    UL_TRY(ul_trainer_gradients(r->trainer, k, &out));
    UL_TRY(ul_trainer_update(r->trainer, k, &out));
    *seconds = ul_bench_since(r->b, start);
    return UL_OK;
}

static ul_status rounds(bench_run *r)
{
    ul_bench *b = r->b;
    ul_bench_layer l[UL_BENCH_LAYERS];
    ul_bench_arrays a;
    double tokens = 0, rows = 0, seconds;
    for (int i = 1; i < STEPS; i++) tokens += r->tokens[i] / (STEPS - 1), rows += r->rows[i] / (STEPS - 1);
    const int n = ul_bench_layers(r->model, (int64_t)tokens, (int64_t)rows, l);
    if (b->blas) UL_TRY(ul_bench_arrays_new(b, l, n, &a));
    const int64_t start = ul_now_ns();
    for (; ul_bench_more(b, r->rounds, start); r->rounds++) {
        const int i = r->rounds;
        UL_TRY(step(r, i + 1, &seconds));
        r->sum_seconds += seconds, r->sum_tokens += r->tokens[i + 1];
        r->speed[i] = r->tokens[i + 1] / seconds;
        r->gflops[i] = r->flop[i + 1] / seconds * 1e-9;
        if (!b->blas) continue;
        r->blas[i] = ul_bench_sgemm(b, l, n, &a);
        r->share[i] = r->gflops[i] / r->blas[i];
    }
    return UL_OK;
}

static ul_status result(bench_run *r, size_t planned, int64_t peak)
{
    json_t *line =
        json_pack("{s:o, s:f, s:o, s:I, s:I, s:i, s:f, s:f, s:f}", "tokens_per_s", ul_bench_spread(r->speed, r->rounds),
                  "tokens_per_s_mean", r->sum_tokens / r->sum_seconds, "gflops", ul_bench_spread(r->gflops, r->rounds),
                  "planned_bytes", (json_int_t)planned, "peak_bytes", (json_int_t)peak, "rounds", r->rounds,
                  "step_tokens", r->tokens[1], "step_rows", r->rows[1], "step_gflop", r->flop[1] * 1e-9);
    if (line && r->b->blas) {
        json_object_set_new(line, "sgemm_gflops", ul_bench_spread(r->blas, r->rounds));
        json_object_set_new(line, "fraction", ul_bench_spread(r->share, r->rounds));
    }
    return ul_bench_emit(r->b, r->name, line);
}

/* The model stands in r; the trainer is made and freed here. */
static ul_status run_steps(bench_run *r, const ul_method *method, const ul_args *args, const ul_reference *ref)
{
    ul_args recipe_args;
    ul_recipe recipe;
    ul_train_plan plan;
    double seconds;
    ul_args_default(ul_recipe_params, &recipe_args);
    ul_recipe_from_args(&recipe_args, ul_model_shape(r->model)->V, &recipe);
    recipe.batch = r->batch, recipe.lr = 1e-5, recipe.schedule = UL_CONSTANT, recipe.warmup = 0;
    const ul_trainer_options o = {.model = r->model,
                                  .method = method,
                                  .args = args,
                                  .recipe = &recipe,
                                  .sample = give,
                                  .user = r,
                                  .ref = {[UL_FORGET] = ref}};
    count(r);
    UL_TRY(ul_model_select(r->b->ctx, r->model, "all"));
    UL_TRY(ul_trainer_new(r->b->ctx, &o, STEPS, &r->trainer));
    ul_status s = ul_trainer_plan(r->trainer, 0, &plan);
    if (s == UL_OK) s = step(r, 0, &seconds);
    const int64_t peak = ul_peak_bytes(); /* before the yardstick's arrays */
    if (s == UL_OK) s = rounds(r);
    if (s == UL_OK) s = result(r, plan.total, peak);
    ul_trainer_free(r->trainer);
    return s;
}

static ul_status train(ul_bench *b, const char *name, ul_bench_shape shape, int32_t B, int32_t T)
{
    bench_run *r = UL_NEW(b->arena, bench_run, 1);
    UL_NEED(r);
    *r = (bench_run){.b = b, .name = name, .batch = B};
    UL_TRY(ul_bench_model(b, shape, &r->model));
    int32_t(*length)[2] = ul_alloc(b->arena, (size_t)B * 2, sizeof **length);
    UL_NEED(length);
    for (int32_t i = 0; i < B; i++) length[i][0] = 0, length[i][1] = T;
    UL_TRY(ul_bench_documents(b, B, (const int32_t(*)[2])length, ul_model_shape(r->model)->V, &r->forget));
    return run_steps(r, NULL, NULL, NULL);
}

ul_status ul_bench_run_train_15m(ul_bench *b, const char *name)
{
    return train(b, name, UL_SHAPE_15M, 8, 256);
}
ul_status ul_bench_run_train_124m(ul_bench *b, const char *name)
{
    return train(b, name, UL_SHAPE_124M, 4, 256);
}
ul_status ul_bench_run_train_656k(ul_bench *b, const char *name)
{
    return train(b, name, UL_SHAPE_656K, 16, 256);
}

/* ---- NPO on TOFU's lengths -------------------------------------------------------------------------------- */
/* Lines "prompt answer", shuffled; `most` of them at most. */
static ul_status read_lengths(ul_bench *b, const char *path, int64_t most, int32_t V, ul_docs **out)
{
    char *text;
    UL_TRY(ul_file_read_text(b->ctx, b->arena, path, 1 << 20, &text, NULL));
    int64_t n = 0, line = 0;
    for (const char *p = text; *p; p++) n += *p == '\n';
    int32_t(*length)[2] = ul_alloc(b->arena, (size_t)(n + 1) * 2, sizeof **length), (*mixed)[2];
    int64_t *order = UL_NEW(b->arena, int64_t, n + 1);
    UL_NEED(length);
    UL_NEED(order);
    n = 0;
    for (char *p = text, *end; *p; p = end) {
        int64_t x[2] = {0, 0};
        end = p + strcspn(p, "\n");
        if (*end) *end++ = 0;
        line++;
        char *gap = strchr(p, ' ');
        if (gap) *gap++ = 0;
        if (!gap || !ul_parse_int(p, &x[0]) || !ul_parse_int(gap, &x[1]) || x[0] < 1 || x[1] < 1 || x[0] + x[1] > 512)
            return ul_fail(b->ctx, UL_E_INPUT,
                           "%s:%lld: a line is \"PROMPT ANSWER\", two numbers of tokens, 512 in all at most", path,
                           (long long)line);
        length[n][0] = (int32_t)x[0], length[n++][1] = (int32_t)x[1];
    }
    if (!n) return ul_fail(b->ctx, UL_E_INPUT, "%s: there is no line in it", path);
    UL_NEED(mixed = ul_alloc(b->arena, (size_t)n * 2, sizeof **mixed));
    ul_rng_permutation(0, UL_STREAM_TEST, 0, n, order);
    for (int64_t i = 0; i < n; i++) memcpy(mixed[i], length[order[i]], sizeof *mixed);
    return ul_bench_documents(b, n < most ? n : most, (const int32_t(*)[2])mixed, V, out);
}

ul_status ul_bench_run_npo(ul_bench *b, const char *name)
{
    enum { BATCH = 8, FORGET_ROWS = 96 }; /* a sweep of the reference over all 400 would take longer than the steps */
    const char *files = ul_cli_text(b->cli, "lengths"), *comma = files ? strchr(files, ',') : NULL;
    const ul_method *npo = ul_method_find("npo");
    ul_reference *ref;
    ul_args args;
    if (!files) return ul_bench_skip(b, name, "it needs --lengths FORGET,RETAIN");
    if (!comma) return ul_fail(b->ctx, UL_E_USAGE, "--lengths takes two files joined with a comma, forget then retain");
    const char *forget = ul_strndup(b->arena, files, (size_t)(comma - files));
    bench_run *r = UL_NEW(b->arena, bench_run, 1);
    UL_NEED(forget);
    UL_NEED(r);
    *r = (bench_run){.b = b, .name = name, .batch = BATCH};
    UL_TRY(ul_bench_model(b, UL_SHAPE_15M, &r->model));
    const int32_t V = ul_model_shape(r->model)->V;
    UL_TRY(read_lengths(b, forget, FORGET_ROWS, V, &r->forget));
    UL_TRY(read_lengths(b, comma + 1, STEPS * BATCH, V, &r->retain));
    UL_TRY(ul_reference_open(b->ctx, b->arena, r->model, NULL, "bench", r->forget, false, &ref));
    ul_args_default(npo->params, &args);
    return run_steps(r, npo, &args, ref);
}
