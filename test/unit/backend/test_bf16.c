/* test_bf16.c - products with bf16 precision: per block of 32 k two chains from 0 over even and odd k, then c += e + o;
 * blocks start anew at each segment, ragged ends are +0, denormals are zero. Every instruction set and thread count. */
#include "unit/backend/product.h"

typedef struct {
    int64_t m, n, k;
    int n_seg;
    float scale; /* of a: small ones reach the denormals */
} bf16_case;

static void one_case(fixture *f, ul_backend *be, bf16_case s, int v, uint64_t stream)
{
    const int64_t m = s.m, n = s.n, k = s.k;
    const bool panel = (v & 4) && !s.n_seg, add = v & 8;
    const ul_mark mark = ul_arena_mark(f->arena);
    float *a = UL_NEW(f->arena, float, m * k), *b = UL_NEW(f->arena, float, n * k);
    float *c = UL_NEW(f->arena, float, m * n), *want = UL_NEW(f->arena, float, m * n);
    int32_t seg[16] = {0};
    for (int i = 1; i <= s.n_seg; i++) seg[i] = (int32_t)(i == s.n_seg ? k : k * i / s.n_seg + i % 3);
    fill(a, m * k, stream), fill(b, n * k, stream + 1), fill(c, m * n, stream + 2);
    for (int64_t i = 0; i < m * k; i++) a[i] *= s.scale;
    for (int64_t i = 0; i < m * n; i++) c[i] *= s.scale;
    ul_gemm g = {.m = m, .n = n, .k = k, .a = a, .b = b, .c_row = n, .add = add, .n_seg = s.n_seg};
    g.seg = s.n_seg ? seg : NULL;
    g.a_row = v & 1 ? 1 : k, g.a_col = v & 1 ? m : 1;
    g.b_row = v & 2 ? 1 : n, g.b_col = v & 2 ? k : 1;
    if (!s.n_seg) seg[1] = (int32_t)k;
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n; j++) {
            float x = add ? c[i * n + j] : 0;
            for (int t = 0; t < (s.n_seg ? s.n_seg : 1); t++)
                x = chain_bf16(seg[t + 1] - seg[t], a + i * g.a_row + seg[t] * g.a_col, g.a_col,
                               b + j * g.b_col + seg[t] * g.b_row, g.b_row, x);
            want[i * n + j] = x;
        }
    if (panel) {
        void *p = ul_alloc_raw(f->arena, ul_panel_bytes(be, n, k), 1);
        assert_non_null(p);
        be->k->panel(be, n, k, b, g.b_row, g.b_col, p);
        g.b = p, g.b_row = g.b_col = 0;
    }
    g.c = c;
    be->k->gemm(be, &g);
    char what[160];
    snprintf(what, sizeof what, "m %lld n %lld k %lld, %d segments, scale %g, variant %d", (long long)m, (long long)n,
             (long long)k, s.n_seg, (double)s.scale, v);
    same_bits(want, c, m * n, what, be->k->name, be->threads);
    ul_arena_rewind(f->arena, mark);
}

static void bits_of_the_definition(void **state)
{
    fixture *f = *state;
    const bf16_case cases[] = {
        {1, 1, 1, 0, 1},         {1, 48, 100, 0, 1},  {16, 16, 32, 0, 1},  {7, 33, 65, 0, 1},   {31, 17, 96, 3, 1},
        {13, 40, 200, 7, 1},     {50, 70, 33, 0, 1},  {33, 96, 600, 0, 1}, {20, 35, 170, 4, 1}, {9, 20, 64, 0, 1e-37f},
        {17, 33, 90, 2, 1e-38f}, {70, 130, 40, 0, 1}, {3, 16, 1100, 11, 1}};
    for (const char *const *isa = ul_backend_isas(); *isa; isa++)
        for (int threads = 1; threads <= 3; threads++) {
            ul_backend *be = open_backend(f, *isa, UL_PRECISION_BF16, threads);
            for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
                for (int v = 0; v < 16; v++) one_case(f, be, cases[i], v, 50 * i + (uint64_t)v);
        }
}

/* bf16 is not f32, and a border moves the blocks: the switches do something. */
static void switches_matter(void **state)
{
    fixture *f = *state;
    enum { K = 64, N = 16 };
    float a[K], b[K * N], c[3][N];
    fill(a, K, 1), fill(b, K * N, 2);
    const int32_t seg[] = {0, 5, K};
    ul_backend *be = open_backend(f, NULL, UL_PRECISION_BF16, 1), *f32 = open_backend(f, NULL, UL_PRECISION_F32, 1);
    ul_gemm g = {1, N, K, a, K, 1, b, N, 1, c[0], N, false, NULL, 0};
    be->k->gemm(be, &g);
    g.c = c[1];
    f32->k->gemm(f32, &g);
    g.c = c[2], g.seg = seg, g.n_seg = 2;
    be->k->gemm(be, &g);
    assert_memory_not_equal(c[0], c[1], sizeof c[0]);
    assert_memory_not_equal(c[0], c[2], sizeof c[0]);
    for (int j = 0; j < N; j++) assert_true(fabsf(c[0][j] - c[1][j]) < 0.1f && fabsf(c[0][j] - c[2][j]) < 1e-5f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(bits_of_the_definition, begin, end),
        cmocka_unit_test_setup_teardown(switches_matter, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
