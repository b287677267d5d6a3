/* bench_generate.c - greedy decoding: tokens a second, and the bytes of weights read a second over what the memory
 * gives in the same round. Prompts and packing are in both of two runs of unlike length, whose difference is timed. */
#include "cli/bench.h"
#include <string.h>

enum { PROMPT = 32, FEW = 8, READ_NUMBERS = 64 << 20 };

static ul_status decode(ul_bench *b, ul_model *m, const ul_doc *prompt, int32_t batch, int32_t max_new, double *seconds)
{
    ul_arena *arena;
    UL_TRY(ul_arena_new(b->ctx, "generated", &arena));
    int32_t **out = UL_NEW(arena, int32_t *, batch), *n_out = UL_NEW(arena, int32_t, batch);
    const ul_generation g = {.n = batch, .prompt = prompt, .max_new = max_new, .batch = batch};
    const int64_t start = ul_bench_clock(b);
    const ul_status s = out && n_out ? ul_model_generate(b->ctx, m, &g, arena, out, n_out) : UL_E_RESOURCE;
    *seconds = ul_bench_since(b, start);
    ul_arena_free(arena);
    return s;
}

static ul_status one_batch(ul_bench *b, const char *name, ul_model *m, int32_t batch, int32_t many, const float *array)
{
    double speed[UL_BENCH_ROUNDS], gflops[UL_BENCH_ROUNDS], bytes[UL_BENCH_ROUNDS], memory[UL_BENCH_ROUNDS],
        share[UL_BENCH_ROUNDS];
    int n = 0;
    ul_bench_layer l[UL_BENCH_LAYERS];
    const double flop = ul_bench_layers_flop(l, ul_bench_layers(m, batch, batch, l)) / 3; /* of a step, forward */
    ul_doc *prompt = UL_NEW(b->arena, ul_doc, batch);
    int32_t *token = UL_NEW(b->arena, int32_t, batch * PROMPT);
    UL_NEED(prompt);
    UL_NEED(token);
    for (int32_t i = 0; i < batch * PROMPT; i++)
        token[i] = (int32_t)ul_rng_below(0, UL_STREAM_TEST, 0, (uint64_t)i, (uint64_t)ul_model_shape(m)->V);
    for (int32_t i = 0; i < batch; i++) prompt[i] = (ul_doc){.id = i, .n = PROMPT, .token = token + i * PROMPT};
    const int64_t start = ul_now_ns();
    while (ul_bench_more(b, n, start)) {
        double brief, long_;
        UL_TRY(decode(b, m, prompt, batch, FEW, &brief));
        UL_TRY(decode(b, m, prompt, batch, many, &long_));
        if (long_ <= brief) continue; /* the machine was somewhere else */
        const double seconds = (long_ - brief) / (many - FEW);
        speed[n] = batch / seconds;
        gflops[n] = flop / seconds * 1e-9;
        bytes[n] = flop / 2 / batch * (b->be->precision == UL_PRECISION_BF16 ? 2 : 4) / seconds;
        memory[n] = ul_bench_memory(b, array, READ_NUMBERS);
        share[n] = bytes[n] / memory[n];
        n++;
    }
    const char *title = ul_format(b->arena, "%s batch %d", name, batch);
    const char *note = ul_format(b->arena, "%.1f GB/s of weights, memory %.1f GB/s", ul_bench_median(bytes, n) * 1e-9,
                                 ul_bench_median(memory, n) * 1e-9);
    UL_NEED(title);
    UL_NEED(note);
    return ul_bench_emit(b, title,
                         json_pack("{s:o, s:o, s:o, s:o, s:o, s:I, s:i, s:s}", "tokens_per_s",
                                   ul_bench_spread(speed, n), "gflops", ul_bench_spread(gflops, n), "fraction",
                                   ul_bench_spread(share, n), "weight_bytes_per_s", ul_bench_spread(bytes, n),
                                   "memory_bytes_per_s", ul_bench_spread(memory, n), "peak_bytes",
                                   (json_int_t)ul_peak_bytes(), "rounds", n, "note", note));
}

ul_status ul_bench_run_generate(ul_bench *b, const char *name)
{
    ul_model *m;
    UL_TRY(ul_bench_model(b, UL_SHAPE_124M, &m));
    float *array = ul_alloc(b->arena, READ_NUMBERS, sizeof *array);
    UL_NEED(array);
    UL_TRY(one_batch(b, name, m, 1, 40, array));
    UL_TRY(one_batch(b, name, m, 8, 24, array));
    return one_batch(b, name, m, 64, 16, array);
}
