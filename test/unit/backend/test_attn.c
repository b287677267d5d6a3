/* test_attn.c - attention has the bits of its definition (src/backend/kernel/attn.h), written again here element
 * by element: forward, backward, generation; f32 and bf16; grouped heads, hidden keys, packed documents, any number
 * of threads; and its backward is the derivative of its forward (finite differences in double). */
#define UL_TARGET portable
#define UL_TARGET_portable 1
#include "backend/kernel/kernel.h" /* for v_exp and lane_sum, which have their own tests */
#include "unit/backend/product.h"

typedef struct {
    int H, K, D, n_doc, len[6];
    bool hidden, add, bf16;
} attn_case;

enum { MAX_T = 200, MAX_LEN = 400, MAX_C = 288 };
typedef struct {
    float q[MAX_LEN * MAX_C], k[MAX_LEN * MAX_C], v[MAX_LEN * MAX_C], dy[MAX_LEN * MAX_C], y[MAX_LEN * MAX_C];
    float dq[MAX_LEN * MAX_C], dk[MAX_LEN * MAX_C], dv[MAX_LEN * MAX_C], stat[MAX_LEN * 16];
    uint8_t hidden[MAX_LEN];
    int32_t start[8];
} arrays;
static arrays given, want, got;
static float p[MAX_T * MAX_T], ds[MAX_T * MAX_T];

static float dot(const attn_case *s, int64_t n, const float *a, int64_t as, const float *b, int64_t bs,
                 const uint8_t *skip, float c)
{
    return s->bf16 ? chain_bf16(n, a, as, b, bs, c) : chain_f32(n, a, as, b, bs, skip, c);
}

/* p and ds of one query, 0 where masked */
static void row(const attn_case *s, const uint8_t *hid, float scale, int T, int i, const float *q, const float *k,
                const float *v, const float *dy, float *stat)
{
    const int KD = s->K * s->D;
    float z[MAX_T], lane[16] = {0}, lane2[16] = {0}, m = 0;
    int keys = 0;
    for (int j = 0; j <= i; j++) {
        z[j] = dot(s, s->D, q, 1, k + j * KD, 1, NULL, 0) * scale;
        if (!(s->hidden && hid[j]) && (!keys++ || z[j] > m)) m = z[j];
    }
    m += 0;
    for (int j = 0; j < T; j++) p[i * T + j] = ds[i * T + j] = 0;
    for (int j = 0; j <= i; j++)
        if (!(s->hidden && hid[j])) lane[j % 16] += p[i * T + j] = v_exp(z[j] - m);
    stat[0] = m, stat[1] = lane_sum(lane);
    for (int j = 0; j <= i; j++)
        if (!(s->hidden && hid[j])) {
            p[i * T + j] /= stat[1];
            ds[i * T + j] = dot(s, s->D, dy, 1, v + j * KD, 1, NULL, 0);
            lane2[j % 16] = fmaf(p[i * T + j], ds[i * T + j], lane2[j % 16]);
        }
    const float t = lane_sum(lane2);
    for (int j = 0; j <= i; j++)
        if (!(s->hidden && hid[j])) ds[i * T + j] = (p[i * T + j] * (ds[i * T + j] - t)) * scale;
}

static void definition(const attn_case *s, float scale, arrays *x)
{
    const int D = s->D, HD = s->H * D, KD = s->K * D;
    uint8_t skip[MAX_T];
    for (int d = 0; d < s->n_doc; d++)
        for (int h = 0; h < s->H; h++) {
            const int t0 = x->start[d], T = x->start[d + 1] - t0, g = h / (s->H / s->K);
            const float *k = x->k + t0 * KD + g * D, *v = x->v + t0 * KD + g * D;
            const float *q = x->q + t0 * HD + h * D, *dy = x->dy + t0 * HD + h * D;
            const uint8_t *hid = x->hidden + t0;
            for (int i = 0; i < T; i++) {
                row(s, hid, scale, T, i, q + i * HD, k, v, dy + i * HD, x->stat + ((t0 + i) * s->H + h) * 2);
                for (int c = 0; c < D; c++) {
                    float *y = x->y + (t0 + i) * HD + h * D + c, *dq = x->dq + (t0 + i) * HD + h * D + c;
                    const uint8_t *no = s->hidden ? hid : NULL;
                    *y = dot(s, i + 1, p + i * T, 1, v + c, KD, no, 0);
                    *dq = dot(s, i + 1, ds + i * T, 1, k + c, KD, no, s->add ? *dq : 0);
                }
            }
            for (int j = 0; j < T; j++) {
                for (int i = 0; i < T; i++) skip[i] = i < j || (s->hidden && hid[j]);
                const int i0 = s->bf16 ? j / 32 * 32 : 0;
                for (int c = 0; c < D; c++) {
                    float *dk = x->dk + (t0 + j) * KD + g * D + c, *dv = x->dv + (t0 + j) * KD + g * D + c;
                    const bool zero = !s->add && h % (s->H / s->K) == 0;
                    *dk = dot(s, T - i0, ds + i0 * T + j, T, q + i0 * HD + c, HD, skip + i0, zero ? 0 : *dk);
                    *dv = dot(s, T - i0, p + i0 * T + j, T, dy + i0 * HD + c, HD, skip + i0, zero ? 0 : *dv);
                }
            }
        }
}

static void generation(fixture *f, const ul_backend *be, const attn_case *s, double scale)
{
    const int HD = s->H * s->D, KD = s->K * s->D;
    for (int back = 0; back < 3; back++) { /* the last query of each document, and earlier ones */
        float q[6 * MAX_C], y[6 * MAX_C];
        const void *kc[6], *vc[6];
        const uint8_t *hid[6];
        int32_t len[6], n = 0, at[6];
        for (int d = 0; d < s->n_doc; d++) {
            const int T = s->len[d] - 7 * back;
            if (T < 1) continue;
            at[n] = given.start[d] + T - 1;
            memcpy(q + n * HD, given.q + at[n] * HD, (size_t)HD * sizeof *q);
            kc[n] = given.k + given.start[d] * KD, vc[n] = given.v + given.start[d] * KD;
            hid[n] = given.hidden + given.start[d], len[n++] = T;
        }
        ul_attn_one a = {n, s->H, s->K, s->D, scale, q, kc, vc, len, s->hidden ? hid : NULL, y};
        be->k->attn_one(be, &a);
        for (int i = 0; i < n; i++)
            same_bits(want.y + at[i] * HD, y + i * HD, HD, "one query", be->k->name, be->threads);
    }
    (void)f;
}

static void one_case(fixture *f, const attn_case *s)
{
    const int HD = s->H * s->D, KD = s->K * s->D;
    const double scale = 1 / sqrt(s->D);
    memset(&given, 0, sizeof given);
    int longest = 0;
    for (int d = 0; d < s->n_doc; d++) {
        given.start[d + 1] = given.start[d] + s->len[d];
        if (s->len[d] > longest) longest = s->len[d];
    }
    const int N = given.start[s->n_doc];
    fill(given.q, N * HD, 1), fill(given.k, N * KD, 2), fill(given.v, N * KD, 3), fill(given.dy, N * HD, 4);
    fill(given.dq, N * HD, 5), fill(given.dk, N * KD, 6), fill(given.dv, N * KD, 7);
    for (int i = 0; i < N; i++) given.hidden[i] = ul_rng_below(3, UL_STREAM_TEST, 0, (uint64_t)i, 4) == 0 || i == 0;
    want = given;
    definition(s, (float)scale, &want);
    for (const char *const *isa = ul_backend_isas(); *isa; isa++)
        for (int threads = 1; threads <= 3; threads++) {
            ul_backend *be = open_backend(f, *isa, s->bf16 ? UL_PRECISION_BF16 : UL_PRECISION_F32, threads);
            assert_int_equal(ul_backend_reserve(be, longest, s->D), UL_OK);
            got = given;
            ul_attn a = {.N = N,
                         .H = s->H,
                         .K = s->K,
                         .D = s->D,
                         .n_doc = s->n_doc,
                         .longest = longest,
                         .doc_start = got.start,
                         .hidden = s->hidden ? got.hidden : NULL,
                         .scale = scale,
                         .q = got.q,
                         .k = got.k,
                         .v = got.v,
                         .y = got.y,
                         .stat = got.stat,
                         .dy = got.dy,
                         .dq = got.dq,
                         .dk = got.dk,
                         .dv = got.dv,
                         .add_q = s->add,
                         .add_k = s->add,
                         .add_v = s->add};
            be->k->attn_fwd(be, &a);
            same_bits(want.y, got.y, N * HD, "y", *isa, threads);
            same_bits(want.stat, got.stat, N * s->H * 2, "stat", *isa, threads);
            be->k->attn_bwd(be, &a);
            same_bits(want.dq, got.dq, N * HD, "dq", *isa, threads);
            same_bits(want.dk, got.dk, N * KD, "dk", *isa, threads);
            same_bits(want.dv, got.dv, N * KD, "dv", *isa, threads);
            got = given;
            a.dq = NULL, a.dk = threads == 1 ? NULL : got.dk, a.dv = threads == 2 ? NULL : got.dv;
            be->k->attn_fwd(be, &a);
            be->k->attn_bwd(be, &a); /* not wanted is not written, and changes nothing else */
            same_bits(a.dk ? want.dk : given.dk, got.dk, N * KD, "dk alone", *isa, threads);
            same_bits(a.dv ? want.dv : given.dv, got.dv, N * KD, "dv alone", *isa, threads);
            same_bits(given.dq, got.dq, N * HD, "dq not wanted", *isa, threads);
            generation(f, be, s, scale);
        }
}

static const attn_case cases[] = {
    {1, 1, 4, 1, {1}, false, false, false},       {2, 2, 16, 2, {5, 40}, false, false, false},
    {4, 2, 24, 3, {33, 1, 70}, false, true, false}, {3, 1, 48, 2, {64, 129}, false, false, false},
    {6, 2, 10, 2, {17, 23}, true, true, false},    {4, 4, 64, 1, {150}, false, true, false},
    {2, 1, 80, 2, {31, 90}, true, false, false}};

static void bits_of_the_definition(void **state)
{
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) one_case(*state, &cases[i]);
}
static void bits_of_the_definition_bf16(void **state)
{
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        attn_case s = cases[i];
        s.bf16 = true;
        one_case(*state, &s);
    }
}

/* Directional derivatives of sum(y dy) along random q, k, v. */
static void derivative_in_double(void **state)
{
    fixture *f = *state;
    enum { H = 4, K = 2, D = 6, N = 13, HD = H * D, KD = K * D };
    const int32_t start[] = {0, 5, N};
    const uint8_t hidden[N] = {0, 0, 1, 0, 0, 1, 0, 0, 0, 1};
    ul_backend *be = open_backend(f, NULL, UL_PRECISION_DOUBLE, 2);
    assert_int_equal(ul_backend_reserve(be, 8, D), UL_OK);
    double x[3][N * HD], dir[3][N * HD], dx[3][N * HD], y[N * HD], dy[N * HD], stat[N * H * 2];
    for (int i = 0; i < N * HD; i++) {
        dy[i] = ul_rng_normal(1, UL_STREAM_TEST, 9, (uint64_t)i);
        for (int w = 0; w < 3; w++) {
            x[w][i] = ul_rng_normal(1, UL_STREAM_TEST, (uint64_t)w, (uint64_t)i);
            dir[w][i] = ul_rng_normal(1, UL_STREAM_TEST, (uint64_t)w + 3, (uint64_t)i);
        }
    }
    for (int w = 0; w < 3; w++) {
        double side[2], slope = 0;
        const int n = w ? N * KD : N * HD;
        ul_attn a = {.N = N,
                     .H = H,
                     .K = K,
                     .D = D,
                     .n_doc = 2,
                     .longest = 8,
                     .doc_start = start,
                     .hidden = hidden,
                     .scale = 0.4,
                     .q = x[0],
                     .k = x[1],
                     .v = x[2],
                     .y = y,
                     .stat = stat,
                     .dy = dy,
                     .dq = dx[0],
                     .dk = dx[1],
                     .dv = dx[2]};
        be->k->attn_fwd(be, &a);
        be->k->attn_bwd(be, &a);
        for (int i = 0; i < n; i++) slope += dx[w][i] * dir[w][i];
        for (int s = 0; s < 2; s++) {
            double moved[N * HD];
            for (int i = 0; i < n; i++) moved[i] = x[w][i] + (s ? 1e-5 : -1e-5) * dir[w][i];
            ul_attn b = a;
            if (w == 0) b.q = moved;
            if (w == 1) b.k = moved;
            if (w == 2) b.v = moved;
            be->k->attn_fwd(be, &b);
            side[s] = 0;
            for (int i = 0; i < N * HD; i++) side[s] += y[i] * dy[i];
        }
        assert_true(fabs(slope) > 1e-3);
        assert_true(fabs((side[1] - side[0]) / 2e-5 - slope) < 1e-7 * fabs(slope) + 1e-8);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(bits_of_the_definition, begin, end),
        cmocka_unit_test_setup_teardown(bits_of_the_definition_bf16, begin, end),
        cmocka_unit_test_setup_teardown(derivative_in_double, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
