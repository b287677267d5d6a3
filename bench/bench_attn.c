/* bench_attn.c - attention, and products of few rows: bench_attn [THREADS [ISA [ROUNDS]]]
 * Attention: GFLOP/s of the visible half only (2 T^2 D forward, 5 T^2 D backward, with the scores computed again), beside
 * a product of 1024 x 768 x 768. Few rows against panels: GB/s of weights read, beside a plain loop that adds up the same
 * memory. */
#include "backend/backend.h"
#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static double now(bool one_thread)
{
    struct timespec t;
    clock_gettime(one_thread ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}
static float *numbers(ul_arena *arena, int64_t n)
{
    float *x = ul_alloc_raw(arena, (size_t)n, sizeof *x);
    if (!x) exit(4);
    for (int64_t i = 0; i < n; i++) x[i] = (float)((i * 2654435761u) >> 8 & 0xffff) / 65536 - 0.5f;
    return x;
}

static void attention(ul_arena *arena, ul_backend *be, int rounds, int n_doc, int T, int H, int D)
{
    const ul_mark mark = ul_arena_mark(arena);
    const int64_t N = (int64_t)n_doc * T, n = N * H * D;
    int32_t start[65];
    for (int i = 0; i <= n_doc; i++) start[i] = i * T;
    if (ul_backend_reserve(be, T, D)) exit(4);
    ul_attn a = {(int32_t)N, H, H, D, n_doc, T, start, NULL, 1 / sqrt(D), numbers(arena, n), numbers(arena, n),
                 numbers(arena, n), numbers(arena, n), numbers(arena, N * H * 2), numbers(arena, n), numbers(arena, n),
                 numbers(arena, n), numbers(arena, n), false, false, false};
    double best[2] = {1e9, 1e9};
    for (int r = 0; r < rounds; r++) {
        const double t0 = now(be->threads == 1);
        be->k->attn_fwd(be, &a);
        const double t1 = now(be->threads == 1);
        be->k->attn_bwd(be, &a);
        best[0] = fmin(best[0], t1 - t0), best[1] = fmin(best[1], now(be->threads == 1) - t1);
    }
    const double unit = 1e-9 * (double)N * (T + 1) * H * D; /* 2 x half of T^2 */
    printf("attention %2d x T %4d H %2d D %3d: forward %6.1f  backward %6.1f GFLOP/s\n", n_doc, T, H, D,
           2 * unit / best[0], 5 * unit / best[1]);
    ul_arena_rewind(arena, mark);
}

static double read_loop(int threads, const float *x, int64_t n)
{
    double total = 0;
    const double t = now(threads == 1);
#pragma omp parallel num_threads(threads) reduction(+ : total)
    {
        const int64_t from = n * omp_get_thread_num() / threads / 64 * 64,
                      to = n * (omp_get_thread_num() + 1) / threads;
        float s[64] = {0};
        for (int64_t i = from; i + 64 <= to; i += 64)
            for (int l = 0; l < 64; l++) s[l] += x[i + l];
        for (int l = 0; l < 64; l++) total += (double)s[l];
    }
    const double seconds = now(threads == 1) - t;
    return total == 12345.678 ? 0 : seconds;
}

static void few_rows(ul_arena *arena, ul_backend *be, int rounds, int64_t n, int64_t k)
{
    const ul_mark mark = ul_arena_mark(arena);
    float *w = numbers(arena, n * k), *x = numbers(arena, 64 * k), *y = numbers(arena, 64 * n);
    const size_t bytes = ul_panel_bytes(be, n, k);
    float *p = ul_alloc_raw(arena, bytes, 1);
    if (!p) exit(4);
    be->k->panel(be, n, k, w, 1, k, p);
    for (int m = 1; m <= 64; m *= m == 1 ? 4 : 2) {
        ul_gemm g = {m, n, k, x, k, 1, p, 0, 0, y, n, false, NULL, 0};
        double best[2] = {1e9, 1e9};
        for (int r = 0; r < rounds; r++) {
            best[1] = fmin(best[1], read_loop(be->threads, p, (int64_t)(bytes / 4)));
            const double t = now(be->threads == 1);
            be->k->gemm(be, &g);
            best[0] = fmin(best[0], now(be->threads == 1) - t);
        }
        printf("m %2d n %5lld k %4lld (%5.1f MB): panels %5.1f GB/s, plain read %5.1f, ratio %.2f, %6.1f GFLOP/s\n", m,
               (long long)n, (long long)k, (double)bytes * 1e-6, 1e-9 * (double)bytes / best[0],
               1e-9 * (double)bytes / best[1], best[1] / best[0], 2e-9 * m * (double)n * (double)k / best[0]);
    }
    ul_arena_rewind(arena, mark);
}

int main(int argc, char **argv)
{
    const int threads = argc > 1 ? atoi(argv[1]) : 2, rounds = argc > 3 ? atoi(argv[3]) : 9;
    for (int bf16 = 0; bf16 < 2; bf16++) {
        ul_ctx *ctx;
        ul_arena *arena;
        ul_backend *be;
        if (ul_ctx_new(NULL, &ctx) || ul_arena_new(ctx, "bench", &arena)) return 4;
        if (ul_backend_open(ctx, arena, argc > 2 ? argv[2] : NULL, bf16 ? UL_PRECISION_BF16 : UL_PRECISION_F32, threads,
                            &be))
            return fprintf(stderr, "%s\n", ul_error_text(ctx)), 4;
        printf("%s, %s, %d threads\n", be->k->name, bf16 ? "bf16" : "f32", threads);
        float *x = numbers(arena, 768 * 1024), *w = numbers(arena, 768 * 768), *y = numbers(arena, 768 * 1024);
        const ul_gemm g = {1024, 768, 768, x, 768, 1, w, 1, 768, y, 768, false, NULL, 0};
        double best = 1e9;
        for (int r = 0; r < rounds; r++) {
            const double t = now(threads == 1);
            be->k->gemm(be, &g);
            best = fmin(best, now(threads == 1) - t);
        }
        printf("product 1024 x 768 x 768: %.1f GFLOP/s\n", 2e-9 * 1024 * 768 * 768 / best);
        attention(arena, be, rounds, 8, 256, 6, 48);
        attention(arena, be, rounds, 4, 256, 12, 64);
        attention(arena, be, rounds, 24, 100, 6, 48);
        attention(arena, be, rounds, 1, 1024, 12, 64);
        few_rows(arena, be, rounds, 50257, 768);
        few_rows(arena, be, rounds, 288, 288);
        ul_arena_free(arena);
        ul_ctx_free(ctx);
    }
    return 0;
}
