/* bench_gemm.c - products beside cblas_sgemm: bench_gemm [THREADS [ISA [ROUNDS [FILTER]]]]
 * The shapes of three models' linear layers, and of adapters of rank 8 (beside the mean); each as forward (x W^T), dx (dy W) and dW (dy^T x). Calls of both are
 * interleaved and the fastest of ROUNDS counts, so that a busy machine disturbs both alike. FILTER: only models whose
 * name starts so. */
#include "backend/backend.h"
#include <cblas.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

void openblas_set_num_threads(int n);
char *openblas_get_corename(void);

typedef struct {
    const char *model;
    int64_t tokens, in, out;
} layer;
static const layer layers[] = {
    {"15M", 2048, 288, 288},   {"15M", 2048, 288, 768},   {"15M", 2048, 768, 288},   {"15M", 2048, 288, 32000},
    {"124M", 1024, 768, 768},  {"124M", 1024, 768, 2304}, {"124M", 1024, 768, 3072}, {"124M", 1024, 3072, 768},
    {"124M", 1024, 768, 50257}, {"656K", 2560, 128, 128}, {"656K", 2560, 128, 384},  {"656K", 2560, 384, 128},
    {"656K", 2560, 128, 2048},  {"LoRA", 2048, 768, 8},   {"LoRA", 2048, 8, 768}};

static void blas(const ul_gemm *g)
{
    const int ta = g->a_col != 1, tb = g->b_col != 1;
    cblas_sgemm(CblasRowMajor, ta ? CblasTrans : CblasNoTrans, tb ? CblasTrans : CblasNoTrans, (int)g->m, (int)g->n,
                (int)g->k, 1, g->a, (int)(ta ? g->a_col : g->a_row), g->b, (int)(tb ? g->b_col : g->b_row), 0, g->c,
                (int)g->c_row);
}

/* One thread: its processor time, which neighbours on the machine disturb less. */
static double now(bool one_thread)
{
    struct timespec t;
    clock_gettime(one_thread ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static double seconds(const ul_backend *be, const ul_gemm *g, bool one_thread)
{
    const double t = now(one_thread);
    if (be)
        be->k->gemm(be, g);
    else
        blas(g);
    return now(one_thread) - t;
}

static float *numbers(ul_arena *arena, int64_t n)
{
    float *x = ul_alloc_raw(arena, (size_t)n, sizeof *x);
    if (!x) exit(4);
    for (int64_t i = 0; i < n; i++) x[i] = (float)((i * 2654435761u) >> 8 & 0xffff) / 65536 - 0.5f;
    return x;
}

int main(int argc, char **argv)
{
    const int threads = argc > 1 ? atoi(argv[1]) : 2, rounds = argc > 3 ? atoi(argv[3]) : 7;
    ul_ctx *ctx;
    ul_arena *arena;
    ul_backend *be;
    if (ul_ctx_new(NULL, &ctx) || ul_arena_new(ctx, "bench", &arena)) return 4;
    if (ul_backend_open(ctx, arena, argc > 2 ? argv[2] : NULL, UL_PRECISION_F32, threads, &be))
        return fprintf(stderr, "%s\n", ul_error_text(ctx)), 4;
    openblas_set_num_threads(threads);
    printf("%s against OpenBLAS (%s), %d threads; GFLOP/s\n", be->k->name, openblas_get_corename(), threads);
    double sum[4] = {0}, speed[2] = {0};
    int count = 0;
    for (size_t l = 0; l < sizeof layers / sizeof *layers; l++) {
        if (argc > 4 && strncmp(layers[l].model, argv[4], strlen(argv[4]))) continue;
        const int64_t N = layers[l].tokens, in = layers[l].in, out = layers[l].out;
        const ul_mark mark = ul_arena_mark(arena);
        float *x = numbers(arena, N * in), *w = numbers(arena, out * in), *y = numbers(arena, N * out);
        float *c = numbers(arena, out > N ? (in > N ? out * in : out * N) : N * (in > out ? in : out));
        const ul_gemm all[3] = {{N, out, in, x, in, 1, w, 1, in, c, out, false, NULL, 0},
                                {N, in, out, y, out, 1, w, in, 1, c, in, false, NULL, 0},
                                {out, in, N, y, 1, out, x, in, 1, c, in, false, NULL, 0}};
        for (int s = 0; s < 3; s++) {
            double best[2] = {1e9, 1e9};
            for (int r = 0; r < rounds; r++)
                for (int b = 0; b < 2; b++) {
                    double t = 0;
                    int n = 0; /* short calls several times, so that the clock is no matter */
                    do {
                        t += seconds(b ? NULL : be, &all[s], threads == 1);
                        n++;
                    } while (t < 2e-3);
                    best[b] = fmin(best[b], t / n);
                }
            const double flop = 2e-9 * (double)N * (double)in * (double)out, ratio = best[1] / best[0];
            printf("%-5s %-7s m %5lld n %5lld k %5lld  ours %6.1f  cblas %6.1f  ratio %.3f\n", layers[l].model,
                   s == 0 ? "forward" : s == 1 ? "dx" : "dW", (long long)all[s].m, (long long)all[s].n,
                   (long long)all[s].k, flop / best[0], flop / best[1], ratio);
            fflush(stdout);
            if (!strcmp(layers[l].model, "LoRA")) continue; /* shown, not in the mean */
            sum[s] += log(ratio), sum[3] += log(ratio), count++;
            for (int b = 0; b < 2; b++) speed[b] += log(flop / best[b]);
        }
        ul_arena_rewind(arena, mark);
    }
    printf("geometric mean of the ratio: forward %.3f  dx %.3f  dW %.3f  all %.3f (ours %.1f, cblas %.1f)\n",
           exp(3 * sum[0] / count), exp(3 * sum[1] / count), exp(3 * sum[2] / count), exp(sum[3] / count),
           exp(speed[0] / count), exp(speed[1] / count));
    ul_arena_free(arena);
    ul_ctx_free(ctx);
    return 0;
}
