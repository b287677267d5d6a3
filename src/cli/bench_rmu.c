/* bench_rmu.c - a step of rmu at block 7 of 12, whose prefixes and reference states are cached,
 * and beside it what it saves: forward of two models and backward of the whole one, over the same documents. */
#include "cli/bench.h"
#include <string.h>

enum { BATCH = 4, PROMPT = 28, ANSWER = 100, LAYER = 7, N_DOC = 8 };

typedef struct {
    ul_bench *b;
    ul_model *model;
    ul_docs docs[2]; /* forget, retain */
    ul_doc doc[2][N_DOC];
    int32_t token[2][N_DOC][PROMPT + ANSWER];
    uint8_t labelled[PROMPT + ANSWER];
    double seconds[UL_BENCH_ROUNDS], speed[UL_BENCH_ROUNDS];
    int rounds;
} bench_run;

static ul_status give(void *user, int64_t step, int32_t i, ul_arena *arena, ul_sample *out)
{
    const bench_run *r = user;
    const int64_t k = (step * BATCH + i) % N_DOC;
    (void)arena;
    *out = (ul_sample){{&r->doc[0][k], NULL, &r->doc[1][k]}};
    return UL_OK;
}

static void documents(bench_run *r, int32_t V)
{
    for (int32_t i = PROMPT; i < PROMPT + ANSWER; i++) r->labelled[i] = 1;
    for (int s = 0; s < 2; s++) {
        for (int k = 0; k < N_DOC; k++) {
            for (int32_t i = 0; i < PROMPT + ANSWER; i++)
                r->token[s][k][i] =
                    (int32_t)ul_rng_below(0, UL_STREAM_TEST, (uint64_t)(s * N_DOC + k), (uint64_t)i, (uint64_t)V);
            r->doc[s][k] =
                (ul_doc){.id = k, .n = PROMPT + ANSWER, .entity = k, .token = r->token[s][k], .labelled = r->labelled};
        }
        r->docs[s] =
            (ul_docs){.n = N_DOC, .at = r->doc[s], .n_tok = N_DOC * (PROMPT + ANSWER), .longest = PROMPT + ANSWER};
    }
}

/* Rounds of steps with these options; the first step is warm-up. */
static ul_status steps(bench_run *r, const ul_trainer_options *o)
{
    ul_bench *b = r->b;
    ul_trainer *t;
    ul_step_result out;
    UL_TRY(ul_trainer_new(b->ctx, o, UL_BENCH_ROUNDS + 1, &t));
    ul_status s = UL_OK;
    const int64_t begin = ul_now_ns();
    r->rounds = 0;
    for (int64_t k = 0; s == UL_OK && (k < 2 || ul_bench_more(b, r->rounds, begin)); k++) {
        const int64_t start = ul_bench_clock(b);
        s = ul_trainer_gradients(t, k, &out);
        if (s == UL_OK) s = ul_trainer_update(t, k, &out);
        if (k == 0) continue;
        r->seconds[r->rounds] = ul_bench_since(b, start);
        r->speed[r->rounds] = (double)out.tokens / r->seconds[r->rounds];
        r->rounds++;
    }
    ul_trainer_free(t);
    return s;
}

ul_status ul_bench_run_rmu(ul_bench *b, const char *name)
{
    const ul_method *rmu = ul_method_find("rmu"), *npo = ul_method_find("npo");
    ul_args recipe_args, rmu_args, npo_args;
    ul_recipe recipe;
    bench_run *r = UL_NEW(b->arena, bench_run, 1);
    UL_NEED(r);
    r->b = b;
    UL_TRY(ul_bench_model(b, UL_SHAPE_124M, &r->model));
    documents(r, ul_model_shape(r->model)->V);
    ul_args_default(ul_recipe_params, &recipe_args);
    ul_args_default(npo->params, &npo_args);
    ul_args_default(rmu->params, &rmu_args);
    UL_TRY(ul_args_set(b->arena, &rmu_args, "rmu", "layer", "7"));
    ul_recipe_from_args(&recipe_args, ul_model_shape(r->model)->V, &recipe);
    recipe.batch = BATCH, recipe.lr = 1e-5, recipe.schedule = UL_CONSTANT, recipe.warmup = 0;
    ul_trainer_options o = {
        .model = r->model, .method = npo, .args = &npo_args, .recipe = &recipe, .sample = give, .user = r};
    o.reference = r->model; /* a forward pass of the same size */
    UL_TRY(ul_model_select(b->ctx, r->model, "all"));
    UL_TRY(steps(r, &o));
    const double whole = ul_bench_median(r->seconds, r->rounds);
    o.method = rmu, o.args = &rmu_args, o.reference = NULL;
    UL_TRY(ul_model_select(b->ctx, r->model, ul_method_train(b->arena, rmu, &rmu_args, r->model)));
    const ul_docs *const docs[UL_N_SIDE] = {&r->docs[0], NULL, &r->docs[1]};
    UL_TRY(ul_trainer_caches(b->ctx, b->arena, NULL, "bench", docs, N_DOC, &o));
    UL_TRY(steps(r, &o));
    const double times = whole / ul_bench_median(r->seconds, r->rounds);
    const char *note = ul_format(b->arena, "%.1fx as fast as two whole models forward and one back", times);
    UL_NEED(note);
    return ul_bench_emit(b, name,
                         json_pack("{s:o, s:i, s:f, s:s}", "tokens_per_s", ul_bench_spread(r->speed, r->rounds),
                                   "rounds", r->rounds, "times_whole", times, "note", note));
}
