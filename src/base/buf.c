/* buf.c - a growing byte buffer with a maximum. Always NUL-terminated; the first failure sticks, so that a caller may
 * add many pieces and look at the status once. */
#include "base_impl.h"
#include <stdio.h>
#include <string.h>

void ul_buf_init(ul_buf *b, ul_ctx *ctx, size_t max)
{
    *b = (ul_buf){.ctx = ctx, .max = max};
}

void ul_buf_release(ul_buf *b)
{
    if (b->p) ul_ctx_raw(b->ctx, b->p, 0);
    ul_buf_init(b, b->ctx, b->max);
}

void ul_buf_reset(ul_buf *b)
{
    b->n = 0;
    b->status = UL_OK;
    if (b->p) b->p[0] = 0;
}

/* Room for n more bytes and the NUL. */
static ul_status reserve(ul_buf *b, size_t n)
{
    if (b->status != UL_OK) return b->status;
    if (b->n > b->max || n > b->max - b->n)
        return b->status = ul_fail(b->ctx, UL_E_INPUT, "a text of %zu bytes cannot take %zu more: its maximum is %zu",
                                   b->n, n, b->max);
    if (b->p && n < b->cap - b->n) return UL_OK;
    size_t cap = b->n + n + 1;
    if (cap < 2 * b->cap) cap = 2 * b->cap;
    if (cap < 64) cap = 64;
    char *p = ul_ctx_alloc(b->ctx, b->p, cap);
    if (!p) return b->status = UL_E_RESOURCE;
    b->p = p;
    b->cap = cap;
    return UL_OK;
}

ul_status ul_buf_add(ul_buf *b, const void *bytes, size_t n)
{
    UL_TRY(reserve(b, n));
    if (n) memcpy(b->p + b->n, bytes, n);
    b->n += n;
    b->p[b->n] = 0;
    return UL_OK;
}

ul_status ul_buf_puts(ul_buf *b, const char *s)
{
    return ul_buf_add(b, s, strlen(s));
}

ul_status ul_buf_printf(ul_buf *b, const char *fmt, ...)
{
    va_list args, copy;
    va_start(args, fmt);
    va_copy(copy, args);
    const int n = vsnprintf(NULL, 0, fmt, copy);
    va_end(copy);
    const ul_status s = n < 0 ? UL_E_INTERNAL : reserve(b, (size_t)n);
    if (s == UL_OK) {
        vsnprintf(b->p + b->n, (size_t)n + 1, fmt, args);
        b->n += (size_t)n;
    }
    va_end(args);
    return s;
}
