/* Random numbers: the published vectors of Philox 4x32-10 (Random123, kat_vectors), and the laws built on them. */
#include "ul_test.h"
#include "base/base_impl.h"
#include <math.h>

static void known_answers(void **state)
{
    (void)state;
    static const struct {
        uint32_t counter[4], key[2], out[4];
    } v[] = {
        {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{~0u, ~0u, ~0u, ~0u}, {~0u, ~0u}, {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
         {0xa4093822, 0x299f31d0},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (size_t i = 0; i < sizeof v / sizeof v[0]; i++) {
        uint32_t out[4];
        ul_philox(v[i].counter, v[i].key, out);
        assert_memory_equal(out, v[i].out, sizeof out);
    }
}

static void every_argument_counts(void **state)
{
    (void)state;
    const uint64_t r = ul_rng(1, UL_STREAM_TEST, 2, 3);
    assert_true(r == ul_rng(1, UL_STREAM_TEST, 2, 3));
    assert_true(r != ul_rng(2, UL_STREAM_TEST, 2, 3));
    assert_true(r != ul_rng(1, UL_STREAM_ORDER, 2, 3));
    assert_true(r != ul_rng(1, UL_STREAM_TEST, 3, 3));
    assert_true(r != ul_rng(1, UL_STREAM_TEST, 2, 4));
    assert_true(r != ul_rng(1 + (1ull << 32), UL_STREAM_TEST, 2, 3));
    assert_true(r != ul_rng(1, UL_STREAM_TEST, 2 + (1ull << 32), 3));
    assert_true(r != ul_rng(1, UL_STREAM_TEST, 2, 3 + (1ull << 32)));
}

/* Mean and variance of n draws lie within five standard errors of the truth. */
static void moments(void **state)
{
    (void)state;
    enum { N = 200000 };
    double s = 0, s2 = 0, u = 0, u2 = 0;
    for (uint64_t i = 0; i < N; i++) {
        const double x = ul_rng_normal(7, UL_STREAM_TEST, 0, i), y = ul_rng_uniform(7, UL_STREAM_TEST, 1, i);
        assert_true(y >= 0 && y < 1 && isfinite(x));
        s += x;
        s2 += x * x;
        u += y;
        u2 += y * y;
    }
    assert_true(fabs(s / N) < 5 / sqrt(N));
    assert_true(fabs(s2 / N - 1) < 5 * sqrt(2.0 / N));
    assert_true(fabs(u / N - 0.5) < 5 * sqrt(1.0 / 12 / N));
    assert_true(fabs(u2 / N - 1.0 / 3) < 5 * sqrt(4.0 / 45 / N));
}

/* Every value below n is met, about equally often. */
static void below(void **state)
{
    (void)state;
    enum { N = 70000, K = 7 };
    int64_t count[K] = {0};
    for (uint64_t i = 0; i < N; i++) count[ul_rng_below(3, UL_STREAM_TEST, 0, i, K)]++;
    for (int k = 0; k < K; k++) assert_true(fabs((double)count[k] - N / K) < 5 * sqrt((double)N / K));
}

static void permutation(void **state)
{
    (void)state;
    enum { N = 1000 };
    int64_t p[N], q[N];
    bool seen[N] = {0};
    ul_rng_permutation(1, UL_STREAM_TEST, 5, N, p);
    ul_rng_permutation(1, UL_STREAM_TEST, 6, N, q);
    int fixed = 0, same = 0;
    for (int i = 0; i < N; i++) {
        assert_true(p[i] >= 0 && p[i] < N && !seen[p[i]]);
        seen[p[i]] = true;
        fixed += p[i] == i;
        same += p[i] == q[i];
    }
    assert_true(fixed < 10 && same < 10); /* each is Poisson with mean 1 */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_answers), cmocka_unit_test(every_argument_counts), cmocka_unit_test(moments),
        cmocka_unit_test(below),         cmocka_unit_test(permutation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
