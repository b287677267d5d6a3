/* rng.c - counter-based random numbers: Philox 4x32-10.
 * Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011, section 3.3.
 *
 *   key      seed (64 bits)
 *   counter  index (64), step (48), stream (16)
 *
 * A number is a pure function of the four, so threads, batches and resume cannot change it. */
#include "base_impl.h"
#include <math.h>

void ul_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4])
{
    uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3], k0 = key[0], k1 = key[1];
    for (int round = 0; round < 10; round++) {
        const uint64_t a = (uint64_t)0xD2511F53u * c0, b = (uint64_t)0xCD9E8D57u * c2;
        c0 = (uint32_t)(b >> 32) ^ c1 ^ k0;
        c1 = (uint32_t)b;
        c2 = (uint32_t)(a >> 32) ^ c3 ^ k1;
        c3 = (uint32_t)a;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

static void draw(uint64_t seed, ul_stream stream, uint64_t step, uint64_t index, uint64_t out[2])
{
    const uint64_t high = step ^ (uint64_t)stream << 48;
    const uint32_t c[4] = {(uint32_t)index, (uint32_t)(index >> 32), (uint32_t)high, (uint32_t)(high >> 32)};
    const uint32_t k[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
    uint32_t r[4];
    ul_philox(c, k, r);
    out[0] = (uint64_t)r[1] << 32 | r[0];
    out[1] = (uint64_t)r[3] << 32 | r[2];
}

uint64_t ul_rng(uint64_t seed, ul_stream stream, uint64_t step, uint64_t index)
{
    uint64_t r[2];
    draw(seed, stream, step, index, r);
    return r[0];
}

double ul_rng_uniform(uint64_t seed, ul_stream stream, uint64_t step, uint64_t index)
{
    return (double)(ul_rng(seed, stream, step, index) >> 11) * 0x1p-53;
}

/* Box and Muller (1958): sqrt(-2 ln u) cos(2 pi v) with u in (0, 1]. */
double ul_rng_normal(uint64_t seed, ul_stream stream, uint64_t step, uint64_t index)
{
    uint64_t r[2];
    draw(seed, stream, step, index, r);
    const double u = (double)((r[0] >> 11) + 1) * 0x1p-53, v = (double)(r[1] >> 11) * 0x1p-53;
    return sqrt(-2.0 * ul_log(u)) * ul_cos(6.283185307179586 * v);
}

/* Lemire (2019), without the rejection: the bias is below n / 2^64. */
uint64_t ul_rng_below(uint64_t seed, ul_stream stream, uint64_t step, uint64_t index, uint64_t n)
{
    __extension__ typedef unsigned __int128 wide;
    return (uint64_t)((wide)ul_rng(seed, stream, step, index) * n >> 64);
}

/* Fisher and Yates, inside out. */
void ul_rng_permutation(uint64_t seed, ul_stream stream, uint64_t step, int64_t n, int64_t *out)
{
    for (int64_t i = 0; i < n; i++) {
        const int64_t j = (int64_t)ul_rng_below(seed, stream, step, (uint64_t)i, (uint64_t)i + 1);
        out[i] = out[j];
        out[j] = i;
    }
}
