/* vmath.h - exp, log, tanh, erf and sigmoid of `real`, one value at a time and without branches, so that a loop over
 * them becomes vector code of any width with the same bits.
 *
 * float: argument reduction in fused multiply-adds and polynomials fitted here (minimax by Lawson's iteration on the
 * relative error, coefficients rounded one after the other, the rest fitted again); at most 2 ulp over all floats,
 * denormals included, NaN stays NaN (test/unit/backend/test_vmath.c measures it). The forms are those of Cody and
 * Waite (1980) and of Cephes (Moshier). double: the oracle takes base's functions. */
#ifndef UL_VMATH_H
#define UL_VMATH_H
#include "base/base.h"

#ifdef UL_TARGET_double
/* base's ul_exp without its branches and its call, so that a loop over it becomes vector code:
 * e^x = 2^n (1 + r + r^2 P(r)), 2^n applied in two halves. */
static inline double v_exp(double x)
{
    x = x > 710.0 ? 710.0 : x; /* NaN passes both */
    x = x < -750.0 ? -750.0 : x;
    const double t = FMA(x, 0x1.71547652b82fep+0, 0x1.8p+52), n = t - 0x1.8p+52;
    const double r = FMA(n, -0x1.a39ef35793c76p-33, FMA(n, -0x1.62e42feep-1, x));
    double q = 1.0 / 6227020800;
    q = FMA(q, r, 1.0 / 479001600), q = FMA(q, r, 1.0 / 39916800), q = FMA(q, r, 1.0 / 3628800),
    q = FMA(q, r, 1.0 / 362880);
    q = FMA(q, r, 1.0 / 40320), q = FMA(q, r, 1.0 / 5040), q = FMA(q, r, 1.0 / 720), q = FMA(q, r, 1.0 / 120);
    q = FMA(q, r, 1.0 / 24), q = FMA(q, r, 1.0 / 6), q = FMA(q, r, 0.5);
    int64_t bits;
    __builtin_memcpy(&bits, &t, 8);
    const int64_t e = bits - 0x4338000000000000, h = e / 2, lo[2] = {(h + 1023) << 52, (e - h + 1023) << 52};
    double a, b;
    __builtin_memcpy(&a, &lo[0], 8);
    __builtin_memcpy(&b, &lo[1], 8);
    return (1.0 + FMA(r * r, q, r)) * a * b;
}
static inline double v_exp_down(double x) { return v_exp(x); }
static inline real v_log(real x) { return ul_log(x); }
static inline real v_tanh(real x) { return ul_tanh(x); }
static inline real v_erf(real x) { return ul_erf(x); }
static inline real v_sigmoid(real x) { return ul_sigmoid(x); }
#else
static inline uint32_t float_bits(float x)
{
    uint32_t u;
    __builtin_memcpy(&u, &x, 4);
    return u;
}
static inline float bits_float(uint32_t u)
{
    float x;
    __builtin_memcpy(&x, &u, 4);
    return x;
}

/* x = n ln 2 + r, |r| <= ln(2)/2: e^x = 2^n (1 + r + r^2 P(r)). Adding 1.5 * 2^23 rounds to an integer and leaves it in
 * the low bits; 2^n is applied in two halves, so that only the last product rounds where the result is denormal. */
static inline float v_exp_down(float x) /* of x <= 0: the distance to a largest one; the same bits as v_exp */
{
    x = x < -105.0f ? -105.0f : x; /* e^-105 is zero: n stays small; NaN passes */
    const float t = FMA(x, 0x1.715476p+0f, 0x1.8p+23f), n = t - 0x1.8p+23f;
    const float r = FMA(n, 0x1.05c610p-29f, FMA(n, -0x1.62e430p-1f, x));
    float p = 0x1.6a4f70p-10f;
    p = FMA(p, r, 0x1.123986p-7f);
    p = FMA(p, r, 0x1.5558aep-5f);
    p = FMA(p, r, 0x1.555492p-3f);
    p = FMA(p, r, 0x1.fffffcp-2f);
    p = FMA(r * r, p, r) + 1.0f;
    const int32_t k = (int32_t)(float_bits(t) - 0x4b400000u), half = k >> 1;
    return p * bits_float((uint32_t)(half + 127) << 23) * bits_float((uint32_t)(k - half + 127) << 23);
}
static inline float v_exp(float x) { return v_exp_down(x > 89.0f ? 89.0f : x); } /* e^89 overflows */

/* x = 2^k (1 + f), sqrt(1/2) <= 1 + f < sqrt(2): log x = k ln 2 + f - f^2/2 + f^3 P(f). */
static inline float v_log(float x)
{
    const float up = x < 0x1p-126f ? 24.0f : 0.0f, y = x < 0x1p-126f ? x * 0x1p+24f : x;
    const uint32_t u = float_bits(y) - 0x3f3504f3u;
    const float k = (float)((int32_t)u >> 23) - up;
    const float f = bits_float((u & 0x007fffffu) + 0x3f3504f3u) - 1.0f, z = f * f;
    float p = 0x1.147262p-4f;
    p = FMA(p, f, -0x1.de0114p-4f);
    p = FMA(p, f, 0x1.e6bfecp-4f);
    p = FMA(p, f, -0x1.fc28dap-4f);
    p = FMA(p, f, 0x1.233ba4p-3f);
    p = FMA(p, f, -0x1.555c44p-3f);
    p = FMA(p, f, 0x1.99a476p-3f);
    p = FMA(p, f, -0x1.000006p-2f);
    p = FMA(p, f, 0x1.555548p-2f);
    const float low = FMA(k, -0x1.05c610p-29f, FMA(z, -0.5f, f * z * p));
    const float v = FMA(k, 0x1.62e430p-1f, f + low);
    const float special = x == 0.0f ? -__builtin_inff() : x < 0.0f ? __builtin_nanf("") : x; /* else NaN or +Inf */
    return x > 0.0f && x < __builtin_inff() ? v : special;
}

/* |x| < 0.625: x + x^3 P(x^2); beyond: 1 - 2 / (e^2|x| + 1). */
static inline float v_tanh(float x)
{
    const float a = FABS(x), s = x * x;
    float p = -0x1.769096p-8f;
    p = FMA(p, s, 0x1.525064p-6f);
    p = FMA(p, s, -0x1.b8433cp-5f);
    p = FMA(p, s, 0x1.110760p-3f);
    p = FMA(p, s, -0x1.555534p-2f);
    const float small = FMA(x * s, p, x), large = 1.0f - 2.0f / (v_exp(a + a) + 1.0f);
    return a > 0.625f ? __builtin_copysignf(large, x) : small;
}

/* |x| < 0.93: x + x P(x^2); beyond: 1 - e^(-t - t Q(t)), t = min(|x|, 4), where erf rounds to 1. */
static inline float v_erf(float x)
{
    const float a = FABS(x), s = x * x, t = a > 4.0f ? 4.0f : a;
    float p = -0x1.398870p-11f;
    p = FMA(p, s, 0x1.4723c4p-8f);
    p = FMA(p, s, -0x1.b689b4p-6f);
    p = FMA(p, s, 0x1.ce1a88p-4f);
    p = FMA(p, s, -0x1.8126e8p-2f);
    p = FMA(p, s, 0x1.06eba6p-3f);
    float q = 0x1.88c640p-17f;
    q = FMA(q, t, -0x1.576780p-12f);
    q = FMA(q, t, 0x1.dfe4a0p-9f);
    q = FMA(q, t, -0x1.85f618p-6f);
    q = FMA(q, t, 0x1.b35490p-4f);
    q = FMA(q, t, 0x1.452f0cp-1f);
    q = FMA(q, t, 0x1.077c42p-3f);
    const float small = FMA(x, p, x), large = 1.0f - v_exp_down(FMA(-t, q, -t));
    return a > 0.93f ? __builtin_copysignf(large, x) : small;
}

/* With e = e^-|x| nothing overflows: s = e / (1 + e) is the smaller side; for x < 0 as e - e s, where 1 + e would cost
 * digits, else 1 - s. */
static inline float v_sigmoid(float x)
{
    const float e = v_exp_down(-FABS(x)), s = e / (1.0f + e);
    return x < 0.0f ? FMA(-e, s, e) : 1.0f - s;
}
#endif
#endif
