/* test_rows.c - the row kernels: the order of their sums (floats, bit for bit, by the definition written again here),
 * their formulas (double), and what must not be lost: NaN, denormals, the first bad number. */
#include "unit/backend/op_case.h"

enum { N = 37, C = 531 };
static op_run r;

static void start(fixture *f, const char *isa, ul_precision precision, int mode)
{
    ul_backend *be = open_backend(f, isa, precision, 2);
    op_begin(&r, be, N, C, mode);
}
static const char *best(void)
{
    const char *const *isa = ul_backend_isas();
    while (isa[1]) isa++;
    return *isa;
}
static float *floats(char *buffer) { return (float *)(void *)buffer; }
static double *doubles(char *buffer) { return (double *)(void *)buffer; }
static void close_to(double got, double want, double tolerance)
{
    if (!(fabs(got - want) <= tolerance * (1 + fabs(want)))) fail_msg("%.17g, should be %.17g", got, want);
}

/* 16 lanes, then l[i] += l[i + 8], l[i + 4], l[i + 2], l[i + 1] */
static float lanes(const float *x, int64_t n)
{
    float l[16] = {0};
    for (int64_t i = 0; i < n; i++) l[i % 16] += x[i];
    for (int h = 8; h; h /= 2)
        for (int i = 0; i < h; i++) l[i] += l[i + h];
    return l[0];
}

static void sums_have_their_order(void **state)
{
    start(*state, best(), UL_PRECISION_F32, 0);
    static float chain[C], gain[C], exps[N * C];
    memcpy(chain, r.y[0], sizeof chain);
    const float *x = floats(r.x[0]), *dy = floats(r.x[3]);
    for (int i = 0; i < N; i++)
        for (int j = 0; j < C; j++) chain[j] += x[i * C + j];
    run_col_sum(&r);
    same_bits(chain, floats(r.y[0]), C, "col_sum", best(), 2);

    memcpy(gain, r.y[3], sizeof gain);
    run_norm_bwd(&r);
    for (int i = 0; i < N; i++) {
        float l[16] = {0};
        const float m = lanes(x + i * C, C) / C;
        for (int j = 0; j < C; j++) l[j % 16] = fmaf(x[i * C + j] - m, x[i * C + j] - m, l[j % 16]);
        const float s = 1 / sqrtf(lanes(l, 16) / C + 1e-5f), stat[2] = {m, s};
        same_bits(stat, floats(r.y[1]) + 2 * i, 2, "mean and scale", best(), 2);
        for (int j = 0; j < C; j++) gain[j] = fmaf(dy[i * C + j], (x[i * C + j] - m) * s, gain[j]);
    }
    same_bits(gain, floats(r.y[3]), C, "norm dw", best(), 2);

    double want = 0;
    for (int i = 0; i < N * C; i += 4096) {
        double l[16] = {0};
        for (int k = 0; k < 4096 && i + k < N * C; k++) l[k % 16] += (double)x[i + k] * x[i + k];
        for (int h = 8; h; h /= 2)
            for (int k = 0; k < h; k++) l[k] += l[k + h];
        want += l[0];
    }
    run_sum_squares(&r);
    assert_true(r.s[0][0] == want);

    r.mode = 2; /* no reference */
    run_score(&r);
    memcpy(r.y[0], r.x[0], sizeof r.y[0]);
    for (int i = 0; i < N; i++) {
        const float *z = x + i * C;
        const int y = r.label[i];
        if (y < 0) continue;
        float max = -INFINITY;
        for (int j = 0; j < C; j++) max = fmaxf(max, z[j]);
        for (int j = 0; j < C; j++) exps[i * C + j] = v_exp(z[j] - max);
        const float sum = lanes(exps + i * C, C);
        assert_true(r.s[0][i] == ((double)z[y] - max) - ul_log(sum));
        r.s[0][i] = (double)0.3f;
        for (int j = 0; j < C; j++) exps[i * C + j] = -0.3f * (exps[i * C + j] / sum) + (j == y ? 0.3f : 0);
    }
    run_score_bwd(&r);
    same_bits(exps, floats(r.y[0]), N * C, "softmax", best(), 2);
}

static void scores_by_their_formulas(void **state)
{
    start(*state, NULL, UL_PRECISION_DOUBLE, 0);
    run_score(&r);
    for (int i = 0; i < N; i++) {
        const double *z = doubles(r.x[0]) + i * C, *ref = doubles(r.x[1]) + i * C;
        const double *from = r.soft[i] == UL_SOFT_CE_OWN ? z : ref;
        double s = 0, sr = 0, st = 0, mu = 0, square = 0, kl = 0, ce = 0, mean = 0, target[C];
        int top = 0, rival = -1;
        for (int j = 0; j < C; j++) s += exp(z[j]), sr += exp(ref[j]), top = z[j] > z[top] ? j : top, mean += z[j] / C;
        for (int j = 0; j < C; j++) st += target[j] = exp(from[j] - (j == r.label[i] ? 1.5 : 0));
        for (int j = 0; j < C; j++) {
            const double p = exp(z[j]) / s, logp = log(p), q = exp(ref[j]) / sr;
            mu += p * logp, square += p * logp * logp, kl += q * (log(q) - logp);
            ce -= target[j] / st * logp;
        }
        for (int j = 0; j < C; j++) rival = j != r.label[i] && (rival < 0 || z[j] > z[rival]) ? j : rival;
        assert_int_equal(r.argmax[i], top);
        assert_int_equal(r.rival[i], rival);
        close_to(r.s[6][i], z[rival] - log(s), 1e-13);
        close_to(r.s[0][i], r.label[i] < 0 ? 0 : z[r.label[i]] - log(s), 1e-13);
        close_to(r.s[1][i], mu, 1e-12);
        close_to(r.s[2][i], square - mu * mu, 1e-11);
        close_to(r.s[3][i], r.soft[i] == UL_SOFT_KL ? kl : 0, 1e-12);
        close_to(r.s[4][i], r.soft[i] >= UL_SOFT_CE ? ce : 0, 1e-12);
        close_to(r.s[5][i], z[top] - mean, 1e-12);
    }
}

/* Q4: the gradient under the model's own distribution without the label is p_y at the label, -p_v p_y / (1 - p_y)
 * at any other entry: its sizes add up to 2 p_y. */
static void q4_own_target_without_label(void **state)
{
    start(*state, NULL, UL_PRECISION_DOUBLE, 0);
    static double z[N * C], one[N];
    static uint8_t kind[N];
    static int32_t label[N];
    memcpy(z, r.y[0], sizeof z);
    for (int i = 0; i < N; i++) one[i] = 1, kind[i] = UL_SOFT_CE_OWN, label[i] = i * 13 % C;
    const ul_soft soft = {NULL, kind, -INFINITY, NULL, 0};
    r.be->k->score_bwd(r.be, N, C, r.y[0], label, &(ul_dscore){.soft = one}, &soft);
    for (int i = 0; i < N; i++) {
        double sum = 0, size = 0;
        for (int v = 0; v < C; v++) sum += exp(z[i * C + v]);
        const double p = exp(z[i * C + label[i]]) / sum;
        for (int v = 0; v < C; v++) {
            const double got = doubles(r.y[0])[i * C + v], q = exp(z[i * C + v]) / sum;
            close_to(got / p, v == label[i] ? 1 : -q / (1 - p), 1e-12);
            size += fabs(got);
        }
        close_to(size / p, 2, 1e-12);
    }
}

/* The k largest of a row stay as they are, with the equals of the last; no softmax has any of the others. */
static void top_entries_stay(void **state)
{
    start(*state, NULL, UL_PRECISION_DOUBLE, 0);
    static double z[N * C];
    uint8_t row[N];
    for (int k = 1; k < C + 2; k += 3) {
        for (int i = 0; i < N * C; i++) z[i] = doubles(r.x[0])[i], row[i / C] = i / C % 4 != 1;
        z[5] = z[9] = z[11] = 3; /* three of row 0 are the same */
        memcpy(r.y[0], z, sizeof z);
        r.be->k->keep_top(r.be, N, C, k, row, r.y[0]);
        for (int i = 0; i < N; i++)
            for (int j = 0; j < C; j++) {
                int above = 0;
                for (int v = 0; v < C; v++) above += z[i * C + v] > z[i * C + j];
                const double got = doubles(r.y[0])[i * C + j];
                assert_true(above < k || !row[i] ? got == z[i * C + j] : exp(got) == 0 && isfinite(got));
            }
    }
}

/* KL of cooler rows is that of the rows divided by the temperature. */
static void cooler_rows(void **state)
{
    start(*state, NULL, UL_PRECISION_DOUBLE, 0);
    const ul_soft warm = {r.x[1], NULL, 0, NULL, 0}, cool = {r.x[1], NULL, 0, NULL, 0.25};
    r.be->k->score(r.be, N, C, r.x[0], r.label, &cool, &(ul_score){.kl = r.s[0]});
    for (int i = 0; i < N * C; i++) doubles(r.x[0])[i] /= 4, doubles(r.x[1])[i] /= 4;
    r.be->k->score(r.be, N, C, r.x[0], r.label, &warm, &(ul_score){.kl = r.s[1]});
    for (int i = 0; i < N; i++) close_to(r.s[0][i], r.s[1][i], 1e-13);
}

/* Q7: no score changes when a constant is added to a row of logits, so every row of the gradient sums to 0. */
static void q7_gradients_sum_to_zero(void **state)
{
    for (int mode = 0; mode < 4; mode++) {
        start(*state, NULL, UL_PRECISION_DOUBLE, mode);
        run_score_bwd(&r);
        for (int i = 0; i < N; i++) {
            double sum = 0, size = 0;
            for (int v = 0; v < C; v++) sum += doubles(r.y[0])[i * C + v], size += fabs(doubles(r.y[0])[i * C + v]);
            if (!(fabs(sum) <= 1e-13 * size)) fail_msg("mode %d, row %d: %g of %g", mode, i, sum, size);
            assert_true(size > 0 || r.label[i] < 0);
        }
    }
}

/* As written in PyTorch: torch/optim/adamw.py (_single_tensor_adamw) and sgd.py, one tensor, three steps. */
static void optimizers_as_pytorch(void **state)
{
    start(*state, NULL, UL_PRECISION_DOUBLE, 0);
    static double p[C], m[C], v[C];
    const double *g = doubles(r.x[0]), lr = 1e-2, b1 = 0.9, b2 = 0.95, eps = 1e-8, wd = 0.1;
    memset(r.y[1], 0, sizeof r.y[1]);
    memset(r.y[2], 0, sizeof r.y[2]);
    memcpy(p, r.y[0], sizeof p);
    for (int t = 1; t <= 3; t++) {
        const ul_adamw o = {lr, b1, b2, eps, wd, t};
        r.be->k->adamw(r.be, &o, C, r.y[0], g, r.y[1], r.y[2]);
        for (int j = 0; j < C; j++) {
            p[j] *= 1 - lr * wd;
            m[j] += (1 - b1) * (g[j] - m[j]);
            v[j] = b2 * v[j] + (1 - b2) * g[j] * g[j];
            p[j] -= lr / (1 - pow(b1, t)) * m[j] / (sqrt(v[j]) / sqrt(1 - pow(b2, t)) + eps);
            close_to(doubles(r.y[0])[j], p[j], 1e-12);
        }
    }
    memset(r.y[1], 0, sizeof r.y[1]);
    memset(m, 0, sizeof m);
    for (int t = 1; t <= 3; t++) {
        r.be->k->sgd(r.be, lr, wd, b1, C, r.y[0], g, r.y[1]);
        for (int j = 0; j < C; j++) {
            m[j] = b1 * m[j] + (g[j] + wd * p[j]);
            p[j] -= lr * m[j];
            close_to(doubles(r.y[0])[j], p[j], 1e-12);
        }
    }
}

/* Sophia as SOUL's optimizer writes it, three steps, the curvature refreshed in two of them. */
static void sophia_by_its_formula(void **state)
{
    start(*state, NULL, UL_PRECISION_DOUBLE, 0);
    static double p[C], m[C], h[C];
    const double *g = doubles(r.x[0]), lr = 1e-2, b1 = 0.9, b2 = 0.95, rho = 4, wd = 0.1;
    int clipped = 0;
    memset(r.y[1], 0, sizeof r.y[1]);
    memset(r.y[2], 0, sizeof r.y[2]);
    memcpy(p, r.y[0], sizeof p);
    for (int t = 0; t < 3; t++) {
        const ul_sophia o = {lr, b1, b2, rho, wd, t != 1};
        r.be->k->sophia(r.be, &o, C, r.y[0], g, r.y[1], r.y[2]);
        for (int j = 0; j < C; j++) {
            m[j] = b1 * m[j] + (1 - b1) * g[j];
            if (t != 1) h[j] = b2 * h[j] + (1 - b2) * g[j] * g[j];
            const double size = fabs(m[j]) / (rho * h[j] + 1e-15);
            clipped += size > 1;
            p[j] = p[j] * (1 - lr * wd) - lr * copysign(fmin(size, 1), m[j]);
            close_to(doubles(r.y[0])[j], p[j], 1e-12);
        }
    }
    assert_true(clipped > C / 10 && clipped < 3 * C - C / 10);
}

/* Around a step: products of gradients, masks, the choice by sign, noise. */
static void surgery_by_its_formulas(void **state)
{
    enum { SIZE = N * C };
    static double was[SIZE];
    start(*state, NULL, UL_PRECISION_DOUBLE, 0);
    const double *x = doubles(r.x[0]), *z = doubles(r.x[1]);
    double *y = doubles(r.y[0]), sum = 0;
    for (int i = 0; i < SIZE; i++) sum += x[i] * z[i];
    close_to(r.be->k->dot(r.be, SIZE, x, z), sum, 1e-12);
    memcpy(was, y, sizeof was);
    static uint8_t bits[SIZE / 8 + 1];
    for (int i = 0; i < SIZE; i += 3) bits[i / 8] |= (uint8_t)(1u << i % 8);
    r.be->k->mask(r.be, SIZE, bits, 0.5, 0, y);
    for (int i = 0; i < SIZE; i++) assert_true(y[i] == (i % 3 == 0 ? was[i] / 2 : 0));
    for (int both = 0; both < 2; both++) {
        memcpy(y, was, sizeof was);
        y[7] = 0; /* no sign, no conflict */
        r.be->k->agree(r.be, SIZE, both, x, y);
        for (int i = 0; i < SIZE; i++) {
            const double w = i == 7 ? 0 : was[i];
            assert_true(y[i] == (x[i] * w < 0 ? w : both ? x[i] + w : x[i]));
        }
    }
    memcpy(y, was, sizeof was);
    r.be->k->noise(r.be, SIZE, 0.25, 9, UL_STREAM_TEST, 4, 1000, y);
    for (int i = 0; i < SIZE; i++)
        assert_true(y[i] == fma(0.25, ul_rng_normal(9, UL_STREAM_TEST, 4, 1000 + (uint64_t)i), was[i]));
}

static void first_bad_is_the_first(void **state)
{
    const double bad[] = {NAN, INFINITY, -INFINITY};
    for (int precision = UL_PRECISION_F32; precision <= UL_PRECISION_DOUBLE; precision++)
        for (int k = 0; k < 3; k++) {
            start(*state, NULL, (ul_precision)precision, 0);
            assert_true(r.be->k->first_bad(r.be, WIDE, r.x[0]) == -1);
            for (int64_t i = WIDE - 1; i >= 0; i -= 4099) {
                put(&r, r.x[0], i, bad[k]);
                assert_true(r.be->k->first_bad(r.be, WIDE, r.x[0]) == i);
            }
        }
}

/* One NaN in every input row, and every output of the row is NaN: no maximum, no clamp may hide it. */
static void nan_stays(void **state)
{
    for (const char *const *isa = ul_backend_isas(); *isa; isa++) {
        start(*state, *isa, UL_PRECISION_F32, 0);
        for (int i = 0; i < N; i++) {
            put(&r, r.x[0], i * C + (i * 41) % C, NAN);
            put(&r, r.y[0], i * C + (i * 29) % C, NAN);
        }
        memset(r.label, 0, sizeof r.label);
        memset(r.soft, UL_SOFT_KL, sizeof r.soft);
        run_score(&r);
        run_score_bwd(&r);
        for (int i = 0; i < N; i++) {
            for (int k = 0; k < 4; k++) assert_true(isnan(r.s[k][i]));
            assert_true(isnan(r.s[6][i]));
            for (int j = 0; j < C; j++) assert_true(isnan(floats(r.y[0])[i * C + j]));
        }
        run_norm_fwd(&r);
        for (int i = 0; i < N * C; i++) assert_true(isnan(floats(r.y[0])[i]));
        run_act_fwd(&r);
        for (int k = UL_GELU; k <= UL_RELU; k++)
            for (int i = 0; i < N; i++) assert_true(isnan(floats(r.y[k])[i * C + (i * 41) % C]));
        run_sum_squares(&r);
        assert_true(isnan(r.s[0][0]));
        run_adamw(&r);
        assert_true(isnan(floats(r.y[0])[0]));
    }
}

/* A caller who flushes denormals gets the same bits, and his mode back. */
static void denormals_are_kept(void **state)
{
    static op_run kept;
    for (const char *const *isa = ul_backend_isas(); *isa; isa++)
        for (int o = 0; o < N_OP; o++) {
            start(*state, *isa, UL_PRECISION_F32, 0);
            for (int b = 0; b < N_IN; b++)
                for (int i = 0; i < WIDE; i += 3) floats(r.x[b])[i] *= 0x1p-130f;
            for (int i = 0; i < WIDE; i += 2) floats(r.y[0])[i] *= 0x1p-130f;
            memcpy(&kept, &r, sizeof kept);
            op_cases[o].run(&kept);
            const unsigned old = flush_on(), flushing = mode_now();
            op_cases[o].run(&r);
            const unsigned after = mode_now();
            flush_back(old);
            assert_int_equal(after, flushing);
            if (memcmp(&kept, &r, sizeof r)) fail_msg("%s, %s: denormals were flushed", op_cases[o].name, *isa);
        }
}

static void unknown_isa_is_refused(void **state)
{
    fixture *f = *state;
    ul_backend *be = NULL;
    assert_int_equal(ul_backend_open(f->ctx, f->arena, "avx", UL_PRECISION_F32, 1, &be), UL_E_USAGE);
    assert_non_null(strstr(ul_error_text(f->ctx), "\"avx2\""));
    assert_int_equal(ul_backend_open(f->ctx, f->arena, NULL, UL_PRECISION_F32, -1, &be), UL_E_USAGE);
    if (!strcmp(best(), "amx")) return;
    assert_int_equal(ul_backend_open(f->ctx, f->arena, "amx", UL_PRECISION_F32, 1, &be), UL_E_RESOURCE);
    assert_non_null(strstr(ul_error_text(f->ctx), best()));
}
static void workspace_grows_as_planned(void **state)
{
    ul_backend *be = open_backend(*state, NULL, UL_PRECISION_F32, 2);
    const size_t small = be->work_bytes, planned = ul_backend_reserve_bytes(be, 300, 64);
    assert_true(planned > small);
    assert_int_equal(ul_backend_reserve(be, 300, 64), UL_OK);
    assert_true(be->work_bytes == planned && ul_backend_reserve_bytes(be, 10, 64) == planned);
    assert_int_equal(ul_backend_reserve(be, 10, 64), UL_OK);
    assert_true(be->work_bytes == planned);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, begin, end)
    const struct CMUnitTest tests[] = {T(sums_have_their_order), T(scores_by_their_formulas),
                                       T(q4_own_target_without_label),
                                       T(top_entries_stay), T(cooler_rows),
                                       T(q7_gradients_sum_to_zero), T(optimizers_as_pytorch),
                                       T(sophia_by_its_formula), T(surgery_by_its_formulas),
                                       T(first_bad_is_the_first), T(nan_stays), T(denormals_are_kept),
                                       T(unknown_isa_is_refused), T(workspace_grows_as_planned)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
