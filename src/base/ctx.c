/* ctx.c - the context: the host's callbacks, the message of the last failure, and the one place that calls the C
 * library's allocator and getenv. */
#include "base_impl.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *default_alloc(void *user, void *old, size_t bytes)
{
    (void)user;
    if (bytes == 0) {
        free(old);
        return NULL;
    }
    return realloc(old, bytes);
}

ul_status ul_ctx_new(const ul_config *config, ul_ctx **out)
{
    ul_config c = {0};
    *out = NULL;
    if (config) c = *config;
    if (!c.alloc) c.alloc = default_alloc;
    ul_ctx *ctx = c.alloc(c.user, NULL, sizeof *ctx);
    if (!ctx) return UL_E_RESOURCE;
    memset(ctx, 0, sizeof *ctx);
    ctx->config = c;
    const ul_status s = ul_arena_new(ctx, "context", &ctx->arena);
    if (s != UL_OK) {
        ul_ctx_free(ctx);
        return s;
    }
    *out = ctx;
    return UL_OK;
}

void ul_ctx_free(ul_ctx *ctx)
{
    if (!ctx) return;
    ul_arena_free(ctx->arena);
    ctx->config.alloc(ctx->config.user, ctx, 0);
}

ul_arena *ul_ctx_arena(ul_ctx *ctx)
{
    return ctx->arena;
}

void *ul_ctx_raw(ul_ctx *ctx, void *old, size_t bytes)
{
    return ctx->config.alloc(ctx->config.user, old, bytes);
}

void *ul_ctx_alloc(ul_ctx *ctx, void *old, size_t bytes)
{
    void *p = bytes && ul_fault_now(ctx, UL_FAULT_ALLOC) ? NULL : ul_ctx_raw(ctx, old, bytes);
    if (bytes && !p) {
        ctx->alloc_failures++;
        ul_fail(ctx, UL_E_RESOURCE, "no memory for %zu bytes: close other programs or take a smaller batch or model",
                bytes);
    }
    return p;
}

int64_t ul_alloc_failures(const ul_ctx *ctx)
{
    return ctx->alloc_failures;
}

ul_status ul_alloc_held(const ul_ctx *ctx, int64_t before)
{
    return ctx->alloc_failures == before ? UL_OK : UL_E_RESOURCE;
}

const char *ul_env(const char *name)
{
    return getenv(name);
}

/* The message may be an argument of its own successor, so it is written aside first. A cut never splits a character. */
static void message_set(ul_ctx *ctx, const char *tail, const char *fmt, va_list args)
{
    char text[UL_MESSAGE_BYTES];
    int n = vsnprintf(text, sizeof text, fmt, args);
    if (n < 0) n = 0;
    if (tail && (size_t)n < sizeof text) n += snprintf(text + n, sizeof text - (size_t)n, ": %s", tail);
    size_t end = (size_t)n < sizeof text ? (size_t)n : sizeof text - 1;
    if ((size_t)n >= sizeof text)
        while (end > 0 && ((unsigned char)text[end] & 0xC0) == 0x80) end--;
    memcpy(ctx->message, text, end);
    ctx->message[end] = 0;
}

ul_status(ul_fail)(ul_ctx *ctx, ul_status status, const char *fmt, ...)
{
    if (!ctx) return status;
    va_list args;
    va_start(args, fmt);
    message_set(ctx, NULL, fmt, args);
    va_end(args);
    return status;
}

ul_status(ul_fail_in)(ul_ctx *ctx, ul_status status, const char *fmt, ...)
{
    if (!ctx) return status;
    va_list args;
    va_start(args, fmt);
    message_set(ctx, ctx->message, fmt, args);
    va_end(args);
    return status;
}

const char *ul_error_text(const ul_ctx *ctx)
{
    return ctx ? ctx->message : "no context";
}

void ul_note(ul_ctx *ctx, ul_log_level level, const char *fmt, ...)
{
    if (!ctx || !ctx->config.log) return;
    char text[UL_MESSAGE_BYTES];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    ctx->config.log(ctx->config.user, level, text);
}

bool ul_interrupted(ul_ctx *ctx)
{
    return ctx->config.interrupted && ctx->config.interrupted(ctx->config.user);
}
