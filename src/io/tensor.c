/* tensor.c - one tensor as numbers, and the digest of many. */
#include "io/io.h"
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK = 4096 };

int64_t ul_tensor_count(const ul_tensor *t)
{
    int64_t n = 1;
    for (int i = 0; i < t->n_dim; i++) n *= t->dim[i];
    return n;
}

static const char *file_of(const ul_tensor *t)
{
    return t->file ? t->file : "(memory)";
}

static ul_status check_range(ul_ctx *ctx, const ul_tensor *t, int64_t first, int64_t n)
{
    const int64_t count = ul_tensor_count(t);
    if (first >= 0 && n >= 0 && first <= count && n <= count - first) return UL_OK;
    return ul_fail(ctx, UL_E_INTERNAL,
                   "%s: tensor \"%s\" has %" PRId64 " elements, %" PRId64 " from %" PRId64 " on were asked for",
                   file_of(t), t->name, count, n, first);
}

static const void *element(const ul_tensor *t, int64_t i)
{
    return (const char *)t->data + (size_t)i * ul_dtype_size(t->dtype);
}

static ul_status no_conversion(ul_ctx *ctx, const ul_tensor *t, const char *to)
{
    return ul_fail(ctx, UL_E_INPUT,
                   "%s: tensor \"%s\" has dtype %s, which cannot be read as %s; convert the model to "
                   "F32, F16 or BF16",
                   file_of(t), t->name, ul_dtype_name(t->dtype), to);
}

ul_status ul_tensor_f32(ul_ctx *ctx, const ul_tensor *t, int64_t first, int64_t n, float *out)
{
    UL_TRY(check_range(ctx, t, first, n));
    if (ul_dtype_to_f32(t->dtype, element(t, first), (size_t)n, out)) return UL_OK;
    return no_conversion(ctx, t, "real numbers");
}

ul_status ul_tensor_f64(ul_ctx *ctx, const ul_tensor *t, int64_t first, int64_t n, double *out)
{
    UL_TRY(check_range(ctx, t, first, n));
    if (ul_dtype_to_f64(t->dtype, element(t, first), (size_t)n, out)) return UL_OK;
    return no_conversion(ctx, t, "real numbers");
}

ul_status ul_tensor_i64(ul_ctx *ctx, const ul_tensor *t, int64_t first, int64_t n, int64_t *out)
{
    UL_TRY(check_range(ctx, t, first, n));
    if (ul_dtype_to_i64(t->dtype, element(t, first), (size_t)n, out)) return UL_OK;
    return no_conversion(ctx, t, "integers");
}

/* ---- finite ----------------------------------------------------------------------------------------------------- */
/* Any NaN or infinity among n numbers? Exponents by integer arithmetic: a loop without a branch. F64 by its upper half,
 * which holds the exponent. */
static bool any_special(ul_dtype d, const void *src, size_t n)
{
    uint32_t found = 0;
    if (d == UL_DT_F64) {
        for (size_t i = 0; i < n; i++) {
            uint64_t u;
            memcpy(&u, (const char *)src + 8 * i, 8);
            found |= ((uint32_t)(u >> 32) & 0x7ff00000) == 0x7ff00000;
        }
    } else if (d == UL_DT_F32) {
        for (size_t i = 0; i < n; i++) {
            uint32_t u;
            memcpy(&u, (const char *)src + 4 * i, 4);
            found |= (u & 0x7f800000) == 0x7f800000;
        }
    } else {
        const uint32_t exponent = d == UL_DT_F16 ? 0x7c00 : 0x7f80;
        for (size_t i = 0; i < n; i++) {
            uint16_t u;
            memcpy(&u, (const char *)src + 2 * i, 2);
            found |= (u & exponent) == exponent;
        }
    }
    return found;
}

static ul_status not_finite(ul_ctx *ctx, const ul_tensor *t, int64_t i, double x)
{
    char index[8 * 22] = "";
    int64_t rest = i, size = ul_tensor_count(t);
    for (int d = 0, at = 0; d < t->n_dim; d++) {
        size /= t->dim[d];
        at += snprintf(index + at, sizeof index - (size_t)at, "%s%" PRId64, d ? ", " : "", rest / size);
        rest %= size;
    }
    return ul_fail(ctx, UL_E_INPUT,
                   "%s: tensor \"%s\" has %s at [%s] (element %" PRId64 " of %" PRId64
                   "); the file is damaged or the model diverged",
                   file_of(t), t->name,
                   isnan(x) ? "NaN"
                   : x > 0  ? "+Inf"
                            : "-Inf",
                   index, i, ul_tensor_count(t));
}

ul_status ul_tensor_check_finite(ul_ctx *ctx, const ul_tensor *t)
{
    if (!ul_dtype_is_float(t->dtype)) return UL_OK;
    const int64_t count = ul_tensor_count(t);
    for (int64_t at = 0; at < count; at += CHUNK) {
        const int64_t n = count - at < CHUNK ? count - at : CHUNK;
        if (!any_special(t->dtype, element(t, at), (size_t)n)) continue;
        for (int64_t i = at; i < at + n; i++) {
            double x;
            UL_TRY(ul_tensor_f64(ctx, t, i, 1, &x));
            if (!isfinite(x)) return not_finite(ctx, t, i, x);
        }
    }
    return UL_OK;
}

/* ---- digest ----------------------------------------------------------------------------------------------------- */
static int by_name(const void *a, const void *b)
{
    return strcmp((*(const ul_tensor *const *)a)->name, (*(const ul_tensor *const *)b)->name);
}

static void add_number(ul_digest *d, int64_t x)
{
    unsigned char b[8];
    for (int i = 0; i < 8; i++) b[i] = (unsigned char)((uint64_t)x >> 8 * i);
    ul_digest_add(d, b, sizeof b);
}

ul_status ul_tensors_digest(ul_ctx *ctx, const ul_tensor *tensors, int64_t n, ul_tensor_source source, void *user,
                            char out[65])
{
    ul_arena *tmp;
    ul_digest d;
    UL_TRY(ul_arena_new(ctx, "digest", &tmp));
    const ul_tensor **order = UL_NEW(tmp, const ul_tensor *, n);
    ul_status st = order ? UL_OK : UL_E_RESOURCE;
    for (int64_t i = 0; st == UL_OK && i < n; i++) order[i] = &tensors[i];
    if (st == UL_OK) qsort(order, (size_t)n, sizeof *order, by_name);
    ul_digest_init(&d);
    for (int64_t i = 0; st == UL_OK && i < n; i++) {
        const ul_tensor *t = order[i];
        const void *bytes = t->data;
        const char *dtype = ul_dtype_name(t->dtype);
        ul_digest_add(&d, t->name, strlen(t->name) + 1);
        ul_digest_add(&d, dtype, strlen(dtype) + 1);
        add_number(&d, t->n_dim);
        for (int k = 0; k < t->n_dim; k++) add_number(&d, t->dim[k]);
        if (source) st = source(user, t, &bytes);
        if (st == UL_OK) ul_digest_add(&d, bytes, t->bytes);
    }
    ul_arena_free(tmp);
    if (st == UL_OK) ul_digest_hex(&d, out);
    return st;
}
