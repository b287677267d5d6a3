/* test_gemm.c - products have the bits of their definition: every instruction set of this machine, 1, 2 and 3 threads,
 * odd shapes, both layouts of a and b, strided views, panels, from zero and going on. */
#include "unit/backend/product.h"

typedef struct {
    int64_t m, n, k;
} shape;
static const shape shapes[] = {{1, 1, 1},     {1, 16, 5},   {1, 33, 700},  {2, 48, 64},   {3, 7, 0},     {5, 17, 31},
                               {6, 16, 8},    {7, 15, 9},   {13, 40, 257}, {14, 32, 16},  {29, 65, 100}, {64, 8, 96},
                               {85, 130, 40}, {8, 300, 65}, {200, 8, 48},  {170, 97, 30}, {35, 50, 1100}};
enum { N_SHAPE = sizeof shapes / sizeof *shapes };
enum { PAD = 3 }; /* columns beside a strided view: they must not change */

typedef struct {
    bool a_turned, b_turned, panel, add;
} variant;

static void one_product(fixture *f, ul_backend *const *be, int n_be, shape s, variant v, uint64_t stream)
{
    const int64_t m = s.m, n = s.n, k = s.k, ld = n + PAD;
    const ul_mark mark = ul_arena_mark(f->arena);
    float *a = UL_NEW(f->arena, float, m * k + m + k + 64), *b = UL_NEW(f->arena, float, n * k + n + k + 64);
    float *c = UL_NEW(f->arena, float, m * ld), *want = UL_NEW(f->arena, float, m * ld);
    fill(a, m * k + m + k + 64, stream);
    fill(b, n * k + n + k + 64, stream + 1);
    fill(c, m * ld, stream + 2);
    if (v.add && m > 0) c[0] = -0.0f;
    ul_gemm g = {.m = m, .n = n, .k = k, .a = a, .b = b, .c_row = ld, .add = v.add};
    g.a_row = v.a_turned ? 1 : k + 1, g.a_col = v.a_turned ? m + 1 : 1;
    g.b_row = v.b_turned ? 1 : n + 1, g.b_col = v.b_turned ? k + 1 : 1;
    memcpy(want, c, (size_t)(m * ld) * sizeof *c);
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n; j++)
            want[i * ld + j] = chain_f32(k, a + i * g.a_row, g.a_col, b + j * g.b_col, g.b_row, NULL,
                                         v.add ? c[i * ld + j] : 0);
    for (int t = 0; t < n_be; t++) {
        ul_gemm h = g;
        h.c = copy_of(f, c, (size_t)(m * ld) * sizeof *c);
        if (v.panel) {
            void *p = ul_alloc_raw(f->arena, ul_panel_bytes(be[t], n, k), 1);
            assert_non_null(p);
            be[t]->k->panel(be[t], n, k, b, g.b_row, g.b_col, p);
            h.b = p, h.b_row = h.b_col = 0;
        }
        be[t]->k->gemm(be[t], &h);
        char what[160];
        snprintf(what, sizeof what, "m %lld n %lld k %lld%s%s%s%s", (long long)m, (long long)n, (long long)k,
                 v.a_turned ? " a turned" : "", v.b_turned ? " b turned" : "", v.panel ? " panel" : "",
                 v.add ? " add" : "");
        same_bits(want, h.c, m * ld, what, be[t]->k->name, be[t]->threads);
    }
    ul_arena_rewind(f->arena, mark);
}

static int all_backends(fixture *f, ul_precision precision, ul_backend **be)
{
    int n = 0;
    for (const char *const *isa = ul_backend_isas(); *isa; isa++)
        for (int threads = 1; threads <= 3; threads++) be[n++] = open_backend(f, *isa, precision, threads);
    return n;
}

static void bits_of_the_definition(void **state)
{
    fixture *f = *state;
    ul_backend *be[16];
    const int n_be = all_backends(f, UL_PRECISION_F32, be);
    for (int i = 0; i < N_SHAPE; i++)
        for (int v = 0; v < 16; v++)
            one_product(f, be, n_be, shapes[i], (variant){v & 1, v & 2, v & 4, v & 8}, (uint64_t)(100 * i + v));
}

/* Cache blocks are passed in every direction: larger shapes, layout by layout. */
static void across_cache_blocks(void **state)
{
    fixture *f = *state;
    ul_backend *be[16];
    const int n_be = all_backends(f, UL_PRECISION_F32, be);
    const shape large[] = {{430, 70, 530}, {20, 4200, 25}, {37, 90, 1300}};
    for (int i = 0; i < 3; i++)
        for (int v = 0; v < 4; v++)
            one_product(f, be, n_be, large[i], (variant){v & 1, v & 2, v == 3, v & 2}, (uint64_t)(5000 + 10 * i + v));
}

/* A product cut anywhere along k and gone on with is the product in one piece. */
static void cut_along_k(void **state)
{
    fixture *f = *state;
    enum { M = 21, N = 37, K = 300 };
    ul_backend *be[16];
    const int n_be = all_backends(f, UL_PRECISION_F32, be);
    float *a = UL_NEW(f->arena, float, M * K), *b = UL_NEW(f->arena, float, K * N);
    float *whole = UL_NEW(f->arena, float, M * N), *cut = UL_NEW(f->arena, float, M * N);
    fill(a, M * K, 1), fill(b, K * N, 2);
    for (int t = 0; t < n_be; t++) {
        ul_gemm g = {M, N, K, a, 1, M, b, N, 1, whole, N, false, NULL, 0};
        be[t]->k->gemm(be[t], &g);
        const int at[] = {0, 1, 78, 200, K};
        for (int i = 0; i < 4; i++) {
            ul_gemm h = {M, N, at[i + 1] - at[i], a + at[i] * M, 1, M, b + at[i] * N, N, 1, cut, N, i > 0, NULL, 0};
            be[t]->k->gemm(be[t], &h);
        }
        same_bits(whole, cut, M * N, "cut along k", be[t]->k->name, be[t]->threads);
    }
}

/* Denormals are numbers in f32, whatever mode the caller's thread is in, and the mode is put back. */
static void denormals_are_kept(void **state)
{
    fixture *f = *state;
    ul_backend *be[16];
    const int n_be = all_backends(f, UL_PRECISION_F32, be);
    enum { N = 40 };
    float a[2] = {0x1p-140f, 0x1p-100f}, b[2 * N], c[N];
    for (int j = 0; j < N; j++) b[j] = 1.0f, b[N + j] = 0x1p-40f;
    for (int t = 0; t < n_be; t++) {
        const unsigned mode = flush_on();
        ul_gemm g = {1, N, 2, a, 2, 1, b, N, 1, c, N, false, NULL, 0};
        be[t]->k->gemm(be[t], &g);
#if defined(__x86_64__)
        assert_int_equal(_mm_getcsr() & 0x8040, 0x8040);
#endif
        flush_back(mode);
        for (int j = 0; j < N; j++) assert_true(c[j] == 0x1p-139f);
    }
}

static void double_precision(void **state)
{
    fixture *f = *state;
    enum { M = 9, N = 35, K = 70 };
    ul_backend *be = open_backend(f, NULL, UL_PRECISION_DOUBLE, 2);
    static double a[M * K], b[N * K], c[M * N], want[M * N];
    for (int i = 0; i < M * K; i++) a[i] = ul_rng_normal(1, UL_STREAM_TEST, 0, (uint64_t)i);
    for (int i = 0; i < N * K; i++) b[i] = ul_rng_normal(1, UL_STREAM_TEST, 1, (uint64_t)i);
    for (int i = 0; i < M; i++)
        for (int j = 0; j < N; j++) want[i * N + j] = chain_double(K, a + i * K, 1, b + j * K, 1, 0);
    ul_gemm g = {M, N, K, a, K, 1, b, 1, K, c, N, false, NULL, 0};
    be->k->gemm(be, &g);
    assert_memory_equal(c, want, sizeof c);
    void *p = ul_alloc_raw(f->arena, ul_panel_bytes(be, N, K), 1);
    assert_non_null(p);
    be->k->panel(be, N, K, b, 1, K, p);
    memset(c, 0, sizeof c);
    g.b = p, g.b_row = g.b_col = 0;
    be->k->gemm(be, &g);
    assert_memory_equal(c, want, sizeof c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(bits_of_the_definition, begin, end),
        cmocka_unit_test_setup_teardown(across_cache_blocks, begin, end),
        cmocka_unit_test_setup_teardown(cut_along_k, begin, end),
        cmocka_unit_test_setup_teardown(denormals_are_kept, begin, end),
        cmocka_unit_test_setup_teardown(double_precision, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
