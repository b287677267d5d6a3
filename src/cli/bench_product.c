/* bench_product.c - the exact product beside cblas_sgemm on the layers of three models: forward, dx and dW each. */
#include "cli/bench.h"
#include <math.h>

enum { PRODUCTS = 3 * UL_BENCH_LAYERS };
static const struct {
    const char *name;
    int n;
    ul_bench_layer layer[6]; /* sizes of the layers of a step; the count is how often it is weighed */
} sets[] = {{"656K", 4, {{2560, 128, 128, 1}, {2560, 128, 384, 1}, {2560, 384, 128, 1}, {2560, 128, 2048, 1}}},
            {"15M", 4, {{2048, 288, 288, 1}, {2048, 288, 768, 1}, {2048, 768, 288, 1}, {2048, 288, 32000, 1}}},
            {"124M", 4, {{1024, 768, 768, 1}, {1024, 768, 3072, 1}, {1024, 3072, 768, 1}, {1024, 768, 50257, 1}}}};
enum { SETS = sizeof sets / sizeof *sets };

/* GFLOP/s of every product of a set, one after the other. */
static void sweep(const ul_bench *b, int set, const ul_bench_arrays *a, bool blas, double *out)
{
    ul_bench_settle();
    ul_bench_product(b, &sets[set].layer[0], 0, a, blas);
    for (int i = 0; i < 3 * sets[set].n; i++)
        out[i] = ul_bench_layers_flop(&sets[set].layer[i / 3], 1) / 3 /
                 ul_bench_product(b, &sets[set].layer[i / 3], i % 3, a, blas) * 1e-9;
}

static double geometric_mean(const double *x, const double *over, int n)
{
    double product = 1;
    for (int i = 0; i < n; i++) product *= over ? x[i] / over[i] : x[i];
    return n ? ul_pow(product, 1.0 / n) : (double)NAN;
}

typedef struct {
    double ours[UL_BENCH_ROUNDS][PRODUCTS], blas[UL_BENCH_ROUNDS][PRODUCTS];
    int rounds;
} timings;

static json_t *details(const timings *t, int set)
{
    static const char *const which[] = {"forward", "dx", "dW"};
    json_t *list = json_array();
    for (int i = 0; i < 3 * sets[set].n; i++) {
        const ul_bench_layer *l = &sets[set].layer[i / 3];
        double ours[UL_BENCH_ROUNDS], blas[UL_BENCH_ROUNDS];
        for (int r = 0; r < t->rounds; r++) ours[r] = t->ours[r][i], blas[r] = t->blas[r][i];
        json_t *o =
            json_pack("{s:s, s:I, s:I, s:I, s:f}", "product", which[i % 3], "tokens", (json_int_t)l->tokens, "in",
                      (json_int_t)l->in, "out", (json_int_t)l->out, "gflops", ul_bench_median(ours, t->rounds));
        if (o && blas[0] > 0) json_object_set_new(o, "sgemm_gflops", json_real(ul_bench_median(blas, t->rounds)));
        json_array_append_new(list, o);
    }
    return list;
}

static ul_status one_set(ul_bench *b, const char *name, int set)
{
    const int n = 3 * sets[set].n;
    ul_bench_arrays a;
    timings *t = UL_NEW(b->arena, timings, 1);
    double ours[UL_BENCH_ROUNDS], blas[UL_BENCH_ROUNDS], share[UL_BENCH_ROUNDS];
    UL_NEED(t);
    UL_TRY(ul_bench_arrays_new(b, sets[set].layer, sets[set].n, &a));
    const int64_t start = ul_now_ns();
    for (; ul_bench_more(b, SETS * t->rounds, start); t->rounds++) {
        const int r = t->rounds;
        sweep(b, set, &a, false, t->ours[r]);
        ours[r] = geometric_mean(t->ours[r], NULL, n);
        if (!b->blas) continue;
        sweep(b, set, &a, true, t->blas[r]);
        blas[r] = geometric_mean(t->blas[r], NULL, n);
        share[r] = geometric_mean(t->ours[r], t->blas[r], n);
    }
    json_t *line = json_pack("{s:o, s:i, s:I, s:o}", "gflops", ul_bench_spread(ours, t->rounds), "rounds", t->rounds,
                             "peak_bytes", (json_int_t)ul_peak_bytes(), "products", details(t, set));
    if (line && b->blas) {
        json_object_set_new(line, "sgemm_gflops", ul_bench_spread(blas, t->rounds));
        json_object_set_new(line, "fraction", ul_bench_spread(share, t->rounds));
    }
    const char *title = ul_format(b->arena, "%s %s", name, sets[set].name);
    UL_NEED(title);
    return ul_bench_emit(b, title, line);
}

ul_status ul_bench_run_product(ul_bench *b, const char *name)
{
    for (int s = 0; s < SETS; s++) UL_TRY(one_set(b, name, s));
    return UL_OK;
}
