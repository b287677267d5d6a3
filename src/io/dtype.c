/* dtype.c - number formats on disk. binary16 and bfloat16 by integer arithmetic (IEEE 754-2008, 3.6 and 4.3.1): the
 * same bits whatever the denormal mode of the thread. Numbers may lie at any address. */
#include "io/io.h"
#include <math.h>
#include <string.h>

static const struct {
    const char *name;
    size_t size;
} format[UL_DTYPES] = {[UL_DT_BOOL] = {"BOOL", 1},       [UL_DT_U8] = {"U8", 1},           [UL_DT_I8] = {"I8", 1},
                       [UL_DT_F8_E5M2] = {"F8_E5M2", 1}, [UL_DT_F8_E4M3] = {"F8_E4M3", 1}, [UL_DT_I16] = {"I16", 2},
                       [UL_DT_U16] = {"U16", 2},         [UL_DT_F16] = {"F16", 2},         [UL_DT_BF16] = {"BF16", 2},
                       [UL_DT_I32] = {"I32", 4},         [UL_DT_U32] = {"U32", 4},         [UL_DT_F32] = {"F32", 4},
                       [UL_DT_F64] = {"F64", 8},         [UL_DT_I64] = {"I64", 8},         [UL_DT_U64] = {"U64", 8}};

const char *ul_dtype_name(ul_dtype d)
{
    return (unsigned)d < UL_DTYPES ? format[d].name : "?";
}

size_t ul_dtype_size(ul_dtype d)
{
    return (unsigned)d < UL_DTYPES ? format[d].size : 0;
}

bool ul_dtype_is_float(ul_dtype d)
{
    return d == UL_DT_F64 || d == UL_DT_F32 || d == UL_DT_F16 || d == UL_DT_BF16;
}

static uint32_t bits_of(float x)
{
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    return u;
}

static float from_bits(uint32_t u)
{
    float x;
    memcpy(&x, &u, sizeof x);
    return x;
}

/* ---- one number ------------------------------------------------------------------------------------------------- */
float ul_bf16_to_f32(uint16_t h)
{
    return from_bits((uint32_t)h << 16);
}

uint16_t ul_bf16_from_f32(float x)
{
    const uint32_t u = bits_of(x), top = u >> 16;
    if ((u & 0x7fffffff) > 0x7f800000) return (uint16_t)(top & 0x7f ? top : top | 0x40); /* NaN keeps its payload */
    return (uint16_t)((u + 0x7fff + (top & 1)) >> 16);
}

float ul_f16_to_f32(uint16_t h)
{
    const uint32_t sign = (uint32_t)(h & 0x8000) << 16, e = h >> 10 & 31, m = h & 0x3ff;
    if (e == 0) return from_bits(sign | bits_of((float)m * 0x1p-24f)); /* exact, and never a denormal float */
    return from_bits(sign | (e == 31 ? 0x7f800000 : (e + 112) << 23) | m << 13);
}

uint16_t ul_f16_from_f32(float x)
{
    const uint32_t u = bits_of(x), sign = u >> 16 & 0x8000, a = u & 0x7fffffff;
    uint32_t r;
    if (a > 0x7f800000) { /* NaN keeps its payload */
        const uint32_t payload = a >> 13 & 0x3ff;
        r = 0x7c00 | (payload ? payload : 0x200);
    } else if (a >= 0x477ff000) { /* 65520, halfway from the largest number to the next power */
        r = 0x7c00;
    } else if (a >= 0x38800000) { /* 2^-14: normal; the exponent shrinks from bias 127 to 15 */
        r = a - 0x38000000;
        r = (r + 0xfff + (r >> 13 & 1)) >> 13;
    } else if (a >= 0x33000000) { /* 2^-25: in units of 2^-24 the significand is shifted by 14 to 24 places */
        const uint32_t shift = 126 - (a >> 23), m = (a & 0x7fffff) | 0x800000;
        r = m >> shift;
        r = (m + (UINT32_C(1) << (shift - 1)) - 1 + (r & 1)) >> shift;
    } else {
        r = 0;
    }
    return (uint16_t)(sign | r);
}

/* Rounded to odd (Boldo and Melquiond 2008): the discarded part stays visible in the last bit, so that rounding again
 * to 11 or 8 bits is rounding once. */
static float round_to_odd(double d)
{
    const float x = (float)d;
    if (isnan(d) || (double)x == d) return x;
    const uint32_t u = bits_of(x);
    return from_bits((fabs((double)x) > fabs(d) ? u - 1 : u) | 1);
}

/* ---- arrays ----------------------------------------------------------------------------------------------------- */
/* dst[i] = expr of `x`, the i-th number of `src` as `type`; memcpy because of alignment (compiles to a plain load). */
#define UL_EACH(type, expr)                                                                                            \
    do {                                                                                                               \
        for (size_t i = 0; i < n; i++) {                                                                               \
            type x;                                                                                                    \
            memcpy(&x, (const char *)src + i * sizeof x, sizeof x);                                                    \
            dst[i] = (expr);                                                                                           \
        }                                                                                                              \
        return true;                                                                                                   \
    } while (0)

bool ul_dtype_to_i64(ul_dtype d, const void *src, size_t n, int64_t *dst)
{
    switch (d) {
    case UL_DT_BOOL:
        UL_EACH(uint8_t, x != 0);
    case UL_DT_U8:
        UL_EACH(uint8_t, x);
    case UL_DT_I8:
        UL_EACH(int8_t, x);
    case UL_DT_I16:
        UL_EACH(int16_t, x);
    case UL_DT_U16:
        UL_EACH(uint16_t, x);
    case UL_DT_I32:
        UL_EACH(int32_t, x);
    case UL_DT_U32:
        UL_EACH(uint32_t, x);
    case UL_DT_I64:
        UL_EACH(int64_t, x);
    case UL_DT_U64:
        UL_EACH(uint64_t, (int64_t)x);
    default:
        return false;
    }
}

#define UL_EACH_REAL(real)                                                                                             \
    switch (d) {                                                                                                       \
    case UL_DT_F64:                                                                                                    \
        UL_EACH(double, (real)x);                                                                                      \
    case UL_DT_F32:                                                                                                    \
        UL_EACH(float, (real)x);                                                                                       \
    case UL_DT_F16:                                                                                                    \
        UL_EACH(uint16_t, (real)ul_f16_to_f32(x));                                                                     \
    case UL_DT_BF16:                                                                                                   \
        UL_EACH(uint16_t, (real)ul_bf16_to_f32(x));                                                                    \
    case UL_DT_BOOL:                                                                                                   \
        UL_EACH(uint8_t, (real)(x != 0));                                                                              \
    case UL_DT_U8:                                                                                                     \
        UL_EACH(uint8_t, (real)x);                                                                                     \
    case UL_DT_I8:                                                                                                     \
        UL_EACH(int8_t, (real)x);                                                                                      \
    case UL_DT_I16:                                                                                                    \
        UL_EACH(int16_t, (real)x);                                                                                     \
    case UL_DT_U16:                                                                                                    \
        UL_EACH(uint16_t, (real)x);                                                                                    \
    case UL_DT_I32:                                                                                                    \
        UL_EACH(int32_t, (real)x);                                                                                     \
    case UL_DT_U32:                                                                                                    \
        UL_EACH(uint32_t, (real)x);                                                                                    \
    case UL_DT_I64:                                                                                                    \
        UL_EACH(int64_t, (real)x);                                                                                     \
    case UL_DT_U64:                                                                                                    \
        UL_EACH(uint64_t, (real)x);                                                                                    \
    default:                                                                                                           \
        return false;                                                                                                  \
    }

bool ul_dtype_to_f32(ul_dtype d, const void *src, size_t n, float *dst)
{
    UL_EACH_REAL(float)
}

bool ul_dtype_to_f64(ul_dtype d, const void *src, size_t n, double *dst)
{
    UL_EACH_REAL(double)
}

/* The i-th number of `dst` as `type` = expr of x = src[i]. */
#define UL_PUT(type, expr)                                                                                             \
    do {                                                                                                               \
        for (size_t i = 0; i < n; i++) {                                                                               \
            const type y = (expr);                                                                                     \
            memcpy((char *)dst + i * sizeof y, &y, sizeof y);                                                          \
        }                                                                                                              \
        return true;                                                                                                   \
    } while (0)

bool ul_dtype_from_f32(ul_dtype d, const float *src, size_t n, void *dst)
{
    switch (d) {
    case UL_DT_F64:
        UL_PUT(double, src[i]);
    case UL_DT_F32:
        memcpy(dst, src, n * sizeof *src);
        return true;
    case UL_DT_F16:
        UL_PUT(uint16_t, ul_f16_from_f32(src[i]));
    case UL_DT_BF16:
        UL_PUT(uint16_t, ul_bf16_from_f32(src[i]));
    default:
        return false;
    }
}

bool ul_dtype_from_f64(ul_dtype d, const double *src, size_t n, void *dst)
{
    switch (d) {
    case UL_DT_F64:
        memcpy(dst, src, n * sizeof *src);
        return true;
    case UL_DT_F32:
        UL_PUT(float, (float)src[i]);
    case UL_DT_F16:
        UL_PUT(uint16_t, ul_f16_from_f32(round_to_odd(src[i])));
    case UL_DT_BF16:
        UL_PUT(uint16_t, ul_bf16_from_f32(round_to_odd(src[i])));
    default:
        return false;
    }
}
