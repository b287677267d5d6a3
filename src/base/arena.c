/* arena.c - memory by lifetime: objects are cut from chained blocks and freed together.
 *
 *   block:  | header | pad to 64 | object | gap | object | gap | ...        free ...  |
 *
 * A reset arena that needed several blocks at once asks for one as large as all of them next time, so that a steady
 * loop ends with a single block. Debug builds leave a gap of 64 bytes between objects, fill raw objects with
 * signalling NaNs and dropped ones with 0xA5; AddressSanitizer is told that gaps and dropped objects are out of
 * bounds. */
#include "base_impl.h"
#include <stdio.h>
#include <string.h>

#if defined(__SANITIZE_ADDRESS__)
#define UL_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define UL_ASAN 1
#endif
#endif
#ifdef UL_ASAN
#include <sanitizer/asan_interface.h>
#define UL_HIDE(p, n) __asan_poison_memory_region((p), (n))
#define UL_SHOW(p, n) __asan_unpoison_memory_region((p), (n))
#else
#define UL_HIDE(p, n) ((void)(p), (void)(n))
#define UL_SHOW(p, n) ((void)(p), (void)(n))
#endif
#if defined(UL_DEBUG) || defined(UL_ASAN)
enum { UL_GAP = 64 };
#else
enum { UL_GAP = 0 };
#endif
enum { UL_ALIGN = 64, UL_BLOCK_MIN = 1 << 16, UL_BLOCK_MAX = 1 << 20 };

typedef struct block {
    struct block *prev;
    char *base; /* aligned to 64 */
    size_t cap, used, obtained;
} block;

typedef struct cleanup {
    struct cleanup *prev;
    void (*fn)(void *);
    void *object;
} cleanup;

struct ul_arena {
    ul_ctx *ctx;
    block *top;   /* objects are cut from this one           */
    block *spare; /* at most one emptied block, kept for use */
    cleanup *cleanups;
    size_t obtained;
    size_t held, peak; /* bytes of the blocks in use, and the most of them since the arena began */
    size_t next;       /* the least size of the next block */
    char name[24];
};

ul_status ul_arena_new(ul_ctx *ctx, const char *name, ul_arena **out)
{
    *out = NULL;
    ul_arena *a = ul_ctx_alloc(ctx, NULL, sizeof *a);
    UL_NEED(a);
    memset(a, 0, sizeof *a);
    a->ctx = ctx;
    snprintf(a->name, sizeof a->name, "%s", name);
    *out = a;
    return UL_OK;
}

static void block_free(ul_arena *a, block *b)
{
    if (!b) return;
    a->obtained -= b->obtained;
    UL_SHOW(b->base, b->cap);
    ul_ctx_raw(a->ctx, b, 0);
}

/* Give back what lies above `used` in this block: nobody may read it again. */
static void block_cut(block *b, size_t used)
{
#ifdef UL_DEBUG
    UL_SHOW(b->base + used, b->used - used);
    memset(b->base + used, 0xA5, b->used - used);
#endif
    UL_HIDE(b->base + used, b->cap - used);
    b->used = used;
}

static void spare_free(ul_arena *a)
{
    block_free(a, a->spare);
    a->spare = NULL;
}

/* A spare block that is too small grows: its pages are at hand, those of a new block would be cleared first. */
static block *block_new(ul_arena *a, size_t need)
{
    block *b = a->spare;
    if (b && b->cap >= need && b->cap >= a->next) {
        a->spare = NULL;
        return b;
    }
    size_t grow = a->obtained < UL_BLOCK_MIN ? UL_BLOCK_MIN : a->obtained;
    if (grow > UL_BLOCK_MAX) grow = UL_BLOCK_MAX;
    if (grow < a->next) grow = a->next;
    a->next = 0;
    for (int again = 0; again < 2; again++) {
        const size_t cap = again || grow < need ? need : grow, bytes = sizeof *b + UL_ALIGN + cap;
        if (cap > SIZE_MAX - sizeof *b - UL_ALIGN) return NULL;
        if (again) spare_free(a);
        const size_t before = a->spare ? a->spare->obtained : 0;
        if (a->spare) UL_SHOW(a->spare->base, a->spare->cap);
        b = ul_ctx_raw(a->ctx, a->spare, bytes);
        if (!b) continue; /* a block of comfortable size is a wish, one that fits is needed */
        const uintptr_t after = (uintptr_t)(b + 1);
        *b = (block){.base = (char *)(b + 1) + (UL_ALIGN - after % UL_ALIGN) % UL_ALIGN, .cap = cap, .obtained = bytes};
        UL_HIDE(b->base, b->cap);
        a->obtained += bytes - before;
        a->spare = NULL;
        return b;
    }
    return NULL;
}

/* An uninitialised object, or NULL with a message. */
static void *cut(ul_arena *a, size_t n, size_t size)
{
    if (size && n > (SIZE_MAX - UL_ALIGN - UL_GAP) / size) {
        ul_fail(a->ctx, UL_E_RESOURCE, "arena \"%s\": %zu objects of %zu bytes are more than this machine can address",
                a->name, n, size);
        return NULL;
    }
    const size_t bytes = n * size;
    const size_t need = ((bytes ? bytes : 1) + UL_ALIGN - 1) / UL_ALIGN * UL_ALIGN + UL_GAP;
    const bool fails = ul_fault_now(a->ctx, UL_FAULT_ALLOC);
    if (!fails && (!a->top || a->top->cap - a->top->used < need)) {
        block *b = block_new(a, need);
        if (b) {
            b->prev = a->top;
            a->top = b;
            a->held += b->cap;
            if (a->held > a->peak) a->peak = a->held;
        }
    }
    if (fails || !a->top || a->top->cap - a->top->used < need) {
        a->ctx->alloc_failures++;
        ul_fail(a->ctx, UL_E_RESOURCE, "arena \"%s\": no memory for %zu bytes beside the %zu it has (smaller batch or "
                "model, or a machine with more)", a->name, bytes, a->obtained);
        return NULL;
    }
    char *p = a->top->base + a->top->used;
    a->top->used += need;
    UL_SHOW(p, bytes);
    return p;
}

void *ul_alloc(ul_arena *a, size_t n, size_t size)
{
    void *p = cut(a, n, size);
    if (p) memset(p, 0, n * size);
    return p;
}

void *ul_alloc_raw(ul_arena *a, size_t n, size_t size)
{
    char *p = cut(a, n, size);
#ifdef UL_DEBUG
    /* As a double it is a signalling NaN, as two floats a quiet and a signalling one. */
    const uint64_t nan_bits = UINT64_C(0x7FF4A5A57FA5A5A5);
    if (p)
        for (size_t i = 0; i < n * size; i += sizeof nan_bits)
            memcpy(p + i, &nan_bits, n * size - i < sizeof nan_bits ? n * size - i : sizeof nan_bits);
#endif
    return p;
}

char *ul_strndup(ul_arena *a, const char *s, size_t n)
{
    const char *end = memchr(s, 0, n);
    if (end) n = (size_t)(end - s);
    char *p = cut(a, n + 1, 1);
    if (!p) return NULL;
    memcpy(p, s, n);
    p[n] = 0;
    return p;
}

char *ul_strdup(ul_arena *a, const char *s)
{
    return ul_strndup(a, s, strlen(s));
}

char *ul_format(ul_arena *a, const char *fmt, ...)
{
    va_list args, copy;
    va_start(args, fmt);
    va_copy(copy, args);
    const int n = vsnprintf(NULL, 0, fmt, copy);
    va_end(copy);
    char *p = n < 0 ? NULL : cut(a, (size_t)n + 1, 1);
    if (p) vsnprintf(p, (size_t)n + 1, fmt, args);
    va_end(args);
    return p;
}

ul_status ul_arena_defer(ul_arena *a, void (*fn)(void *), void *object)
{
    cleanup *c = cut(a, 1, sizeof *c);
    if (!c) {
        fn(object);
        return UL_E_RESOURCE;
    }
    *c = (cleanup){a->cleanups, fn, object};
    a->cleanups = c;
    return UL_OK;
}

ul_mark ul_arena_mark(const ul_arena *a)
{
    return (ul_mark){a->top, a->top ? a->top->used : 0, a->cleanups};
}

void ul_arena_rewind(ul_arena *a, ul_mark m)
{
    while (a->cleanups != m.cleanup) {
        const cleanup c = *a->cleanups;
        a->cleanups = c.prev; /* first, should fn look into the arena */
        c.fn(c.object);
    }
    while (a->top != m.block) {
        block *b = a->top;
        a->top = b->prev;
        a->held -= b->cap;
        block_cut(b, 0);
        if (!a->spare || a->spare->cap < b->cap) {
            block_free(a, a->spare);
            a->spare = b;
        } else {
            block_free(a, b);
        }
    }
    if (a->top) block_cut(a->top, m.used);
}

void ul_arena_reset(ul_arena *a)
{
    ul_arena_rewind(a, (ul_mark){0});
    if (a->spare && a->spare->cap < a->peak) a->next = a->peak;
}

void ul_arena_free(ul_arena *a)
{
    if (!a) return;
    ul_arena_rewind(a, (ul_mark){0});
    block_free(a, a->spare);
    ul_ctx_raw(a->ctx, a, 0);
}

size_t ul_arena_bytes(const ul_arena *a)
{
    return a->obtained;
}

ul_ctx *ul_arena_ctx(const ul_arena *a)
{
    return a->ctx;
}
