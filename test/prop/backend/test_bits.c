/* test_bits.c - every op, every instruction set of this machine, 1 to 3 threads: the bits of `portable` with one
 * thread; and portable's numbers are those of the double backend, as far as a float can hold them. The products of
 * AVX-512 and AMX are there on every machine with AVX2, their instructions emulated (test/emulated). */
#include "unit/backend/op_case.h"

static op_run before, before_double, want, got;

/* Everything but the backend's own address, inputs included: an op must not write where it should read. */
static void same(const char *op, const char *isa, int threads)
{
    got.be = want.be;
    if (memcmp(&want, &got, sizeof want) == 0) return;
    for (int b = 0; b < N_OUT; b++)
        for (int64_t i = 0; i < WIDE; i++)
            if (memcmp(want.y[b] + 4 * i, got.y[b] + 4 * i, 4))
                fail_msg("%s %lld x %lld mode %d, %s with %d threads: output %d [%lld] is %a, portable has %a", op,
                         (long long)want.n, (long long)want.c, want.mode, isa, threads, b, (long long)i,
                         at(&got, got.y[b], i), at(&want, want.y[b], i));
    fail_msg("%s %lld x %lld mode %d, %s with %d threads: a score or an input differs", op, (long long)want.n,
             (long long)want.c, want.mode, isa, threads);
}
static bool changed(const op_run *r)
{
    return memcmp(before.y, r->y, sizeof r->y) || memcmp(before.s, r->s, sizeof r->s) ||
           memcmp(before.argmax, r->argmax, sizeof r->argmax);
}

#ifdef UL_EMULATED
#define PRODUCTS(X, target) X(gemm, target) X(attn_fwd, target) X(attn_bwd, target) X(attn_one, target) X(panel, target)
#define DECLARE(op, target) extern __typeof__(*((ul_kernels *)0)->op) ul_emulated_##target##_##op;
#define TAKE(op, target) k.op = ul_emulated_##target##_##op;
PRODUCTS(DECLARE, avx512)
PRODUCTS(DECLARE, amx)
/* The table of `portable` with the emulated products in it. */
static const ul_kernels *emulated(const ul_backend *portable, bool amx)
{
    static ul_kernels tables[2];
    ul_kernels k = *portable->k;
    if (amx) {
        PRODUCTS(TAKE, amx)
    } else {
        PRODUCTS(TAKE, avx512)
    }
    k.name = amx ? "emulated amx" : "emulated avx512";
    tables[amx] = k;
    return &tables[amx];
}
#endif

static void bits(fixture *f, ul_precision precision)
{
    ul_backend *be[16], *base = open_backend(f, "portable", precision, 1);
    int n = 0;
#ifdef UL_EMULATED
    for (int k = 0; k < 4 && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); k++) {
        be[n] = open_backend(f, "portable", precision, 1 + k % 2);
        be[n]->k = emulated(base, k / 2), n++;
    }
#endif
    for (const char *const *isa = ul_backend_isas(); *isa; isa++)
        for (int threads = 1; threads <= 3; threads++)
            if (strcmp(*isa, "portable") || threads > 1) be[n++] = open_backend(f, *isa, precision, threads);
    for (int s = 0; s < N_SHAPE; s++)
        for (int mode = 0; mode < N_MODE; mode++) {
            op_begin(&before, base, op_shapes[s].n, op_shapes[s].c, mode);
            for (int o = 0; o < N_OP; o++) {
                memcpy(&want, &before, sizeof want);
                op_cases[o].run(&want);
                if (!changed(&want)) fail_msg("%s changed nothing", op_cases[o].name);
                for (int b = 0; b < n; b++) {
                    memcpy(&got, &before, sizeof got);
                    got.be = be[b];
                    op_cases[o].run(&got);
                    same(op_cases[o].name, be[b]->k->name, be[b]->threads);
                }
            }
        }
}
static void bits_f32(void **state) { bits(*state, UL_PRECISION_F32); }
static void bits_bf16(void **state) { bits(*state, UL_PRECISION_BF16); }

/* The oracle is built twice; it may not matter which build a machine takes. */
extern const ul_kernels ul_double_kernels;
static void oracle_is_one(void **state)
{
    ul_backend *be = open_backend(*state, NULL, UL_PRECISION_DOUBLE, 2), plain = *be;
    plain.k = &ul_double_kernels;
    for (int mode = 0; mode < N_MODE; mode++) {
        op_begin(&before_double, be, 37, 531, mode);
        for (int o = 0; o < N_OP; o++) {
            memcpy(&want, &before_double, sizeof want);
            memcpy(&got, &before_double, sizeof got);
            want.be = &plain;
            op_cases[o].run(&want);
            op_cases[o].run(&got);
            got.be = &plain;
            if (memcmp(&want, &got, sizeof want))
                fail_msg("%s mode %d: \"%s\" is not \"%s\"", op_cases[o].name, mode, be->k->name, plain.k->name);
        }
    }
}

static void near(const char *op, const char *what, const op_run *f, const op_run *d, const char *fb, const char *db,
                 int64_t n)
{
    double most = 0, worst = 0;
    int64_t where = 0;
    for (int64_t i = 0; i < n; i++) {
        const double e = fabs(at(f, fb, i) - at(d, db, i));
        most = fmax(most, fabs(at(d, db, i)));
        if (!(e <= worst)) worst = e, where = i;
    }
    if (!(worst <= 3e-5 * most))
        fail_msg("%s %lld x %lld mode %d: %s[%lld] is %.9g, in double %.9g", op, (long long)f->n, (long long)f->c,
                 f->mode, what, (long long)where, at(f, fb, where), at(d, db, where));
}
static void float_is_near_double(void **state)
{
    ul_backend *single = open_backend(*state, "portable", UL_PRECISION_F32, 2);
    ul_backend *twice = open_backend(*state, NULL, UL_PRECISION_DOUBLE, 2);
    static const char *const names[N_OUT] = {"y0", "y1", "y2", "y3", "y4"};
    for (int s = 0; s < N_SHAPE; s++)
        for (int mode = 0; mode < N_MODE; mode++) {
            op_begin(&before_double, twice, op_shapes[s].n, op_shapes[s].c, mode);
            op_begin(&before, single, op_shapes[s].n, op_shapes[s].c, mode);
            for (int o = 0; o < N_OP; o++) {
                memcpy(&want, &before_double, sizeof want);
                memcpy(&got, &before, sizeof got);
                op_cases[o].run(&want);
                op_cases[o].run(&got);
                for (int b = 0; b < N_OUT; b++)
                    near(op_cases[o].name, names[b], &got, &want, got.y[b], want.y[b], WIDE);
                for (int k = 0; k < 8; k++)
                    for (int i = 0; i < TALL; i++)
                        if (got.s[k][i] != want.s[k][i] &&
                            !(fabs(got.s[k][i] - want.s[k][i]) <= 1e-5 * (1 + fabs(want.s[k][i]))))
                            fail_msg("%s: score %d [%d] is %.9g, in double %.9g", op_cases[o].name, k, i, got.s[k][i],
                                     want.s[k][i]);
                assert_memory_equal(got.argmax, want.argmax, sizeof got.argmax);
                assert_memory_equal(got.rival, want.rival, sizeof got.rival);
            }
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(bits_f32, begin, end), cmocka_unit_test_setup_teardown(bits_bf16, begin, end),
        cmocka_unit_test_setup_teardown(oracle_is_one, begin, end),
        cmocka_unit_test_setup_teardown(float_is_near_double, begin, end)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
