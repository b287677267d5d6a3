/* Arenas: alignment, zeroing, marks, clean-ups, overflow, steady use, faults; under AddressSanitizer red zones too. */
#include "ul_test.h"
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

typedef struct {
    int64_t calls, live, grown, fail_from; /* fail_from: allocations above this many bytes fail; 0 = none */
} host;

static void *host_alloc(void *user, void *old, size_t bytes)
{
    host *h = user;
    h->calls++;
    if (!bytes) {
        h->live -= old != NULL;
        free(old);
        return NULL;
    }
    if (h->fail_from && (int64_t)bytes > h->fail_from) return NULL;
    h->live += old == NULL;
    h->grown += old != NULL;
    return realloc(old, bytes);
}

static ul_ctx *host_ctx(host *h)
{
    const ul_config config = {.user = h, .alloc = host_alloc};
    ul_ctx *ctx = NULL;
    assert_int_equal(ul_ctx_new(&config, &ctx), UL_OK);
    return ctx;
}

static void objects(void **state)
{
    (void)state;
    host h = {0};
    ul_ctx *ctx = host_ctx(&h);
    ul_arena *a;
    UL_OK_IN(ctx, ul_arena_new(ctx, "test", &a));
    unsigned char *p[200];
    for (size_t i = 0; i < 200; i++) {
        p[i] = ul_alloc(a, i, 37);
        assert_non_null(p[i]);
        assert_int_equal((uintptr_t)p[i] % 64, 0);
        for (size_t k = 0; k < i * 37; k++) assert_int_equal(p[i][k], 0);
        memset(p[i], (int)i, i * 37);
    }
    for (size_t i = 0; i < 200; i++)
        for (size_t k = 0; k < i * 37; k++) assert_int_equal(p[i][k], i); /* nobody wrote over a neighbour */
    assert_true(ul_arena_bytes(a) >= 200 * 199 / 2 * 37);
    assert_string_equal(ul_format(a, "%s-%d", "x", 7), "x-7");
    assert_string_equal(ul_strdup(a, "hello"), "hello");
    assert_string_equal(ul_strndup(a, "hello", 3), "hel");
    assert_string_equal(ul_strndup(a, "he", 9), "he");
    assert_ptr_equal(ul_arena_ctx(a), ctx);
    ul_arena_free(a);
    ul_arena_free(NULL);
    ul_ctx_free(ctx);
    assert_int_equal(h.live, 0);
}

static void zero_after_reuse(void **state)
{
    (void)state;
    ul_ctx *ctx = ul_test_ctx();
    ul_arena *a = ul_ctx_arena(ctx);
    const ul_mark m = ul_arena_mark(a);
    memset(UL_NEW(a, char, 1000), 7, 1000);
    ul_arena_rewind(a, m);
    const char *p = UL_NEW(a, char, 1000);
    for (int i = 0; i < 1000; i++) assert_int_equal(p[i], 0);
    ul_ctx_free(ctx);
}

/* A loop of unequal steps ends with one block and no calls of the allocator. */
static void steady(void **state)
{
    (void)state;
    host h = {0};
    ul_ctx *ctx = host_ctx(&h);
    ul_arena *a;
    UL_OK_IN(ctx, ul_arena_new(ctx, "step", &a));
    int64_t calls = 0;
    for (int step = 0; step < 20; step++) {
        for (int k = 0; k < 50; k++) assert_non_null(ul_alloc_raw(a, (size_t)(1000 * (k + step % 3)), 8));
        const ul_mark m = ul_arena_mark(a);
        assert_non_null(ul_alloc_raw(a, 3000000, 1));
        ul_arena_rewind(a, m);
        ul_arena_reset(a);
        if (step == 6) calls = h.calls;
    }
    assert_int_equal(h.calls, calls);
    ul_arena_free(a);
    ul_ctx_free(ctx);
    assert_int_equal(h.live, 0);
}

/* The memory of a step serves a longer one: it grows, and nobody asks for new pages beside it. */
static void longer(void **state)
{
    (void)state;
    host h = {0};
    ul_ctx *ctx = host_ctx(&h);
    ul_arena *a;
    UL_OK_IN(ctx, ul_arena_new(ctx, "step", &a));
    const int64_t live = h.live;
    for (size_t step = 1; step <= 5; step++) {
        char *p = ul_alloc(a, step, 3000000);
        assert_non_null(p);
        assert_int_equal((uintptr_t)p % 64, 0);
        for (size_t i = 0; i < step * 3000000; i += 999) assert_int_equal(p[i], 0);
        memset(p, 1, step * 3000000);
        ul_arena_reset(a);
        assert_int_equal(h.live, live + 1);
        assert_int_equal(h.grown, step - 1);
        assert_in_range(ul_arena_bytes(a), step * 3000000, step * 3000000 + 1000);
    }
    h.fail_from = 17000000;
    assert_null(ul_alloc(a, 18000000, 1));
    assert_int_equal(h.live, live); /* what could not grow made room */
    h.fail_from = 0;
    assert_non_null(ul_alloc(a, 18000000, 1));
    ul_arena_free(a);
    ul_ctx_free(ctx);
    assert_int_equal(h.live, 0);
}

static char order[8];

static void note(void *object)
{
    const size_t n = strlen(order);
    order[n] = *(const char *)object;
    order[n + 1] = 0;
}

static void cleanups(void **state)
{
    (void)state;
    ul_ctx *ctx = ul_test_ctx();
    ul_arena *a;
    UL_OK_IN(ctx, ul_arena_new(ctx, "test", &a));
    char first[] = "a", second[] = "b", third[] = "c", fourth[] = "d";
    order[0] = 0;
    UL_OK_IN(ctx, ul_arena_defer(a, note, first));
    const ul_mark m = ul_arena_mark(a);
    UL_OK_IN(ctx, ul_arena_defer(a, note, second));
    UL_OK_IN(ctx, ul_arena_defer(a, note, third));
    ul_arena_rewind(a, m);
    assert_string_equal(order, "cb");
    ul_fault_set(ctx, UL_FAULT_ALLOC, 1);
    assert_int_equal(ul_arena_defer(a, note, fourth), UL_E_RESOURCE); /* not recorded: released at once */
    assert_string_equal(order, "cbd");
    ul_arena_free(a);
    assert_string_equal(order, "cbda");
    ul_ctx_free(ctx);
}

static void failing(void **state)
{
    (void)state;
    host h = {0};
    ul_ctx *ctx = host_ctx(&h);
    ul_arena *a;
    UL_OK_IN(ctx, ul_arena_new(ctx, "weights", &a));
    assert_null(ul_alloc(a, SIZE_MAX / 4, 8));
    assert_non_null(strstr(ul_error_text(ctx), "\"weights\""));
    assert_null(ul_alloc_raw(a, SIZE_MAX - 10, 1));
    h.fail_from = 100000;
    assert_null(ul_alloc(a, 123456, 1));
    assert_non_null(strstr(ul_error_text(ctx), "123456"));
    h.fail_from = 0;
    assert_non_null(ul_alloc(a, 123456, 1));
    ul_fault_set(ctx, UL_FAULT_ALLOC, 3);
    assert_non_null(ul_alloc(a, 1, 1));
    assert_non_null(ul_alloc_raw(a, 1, 1));
    assert_null(ul_alloc(a, 1, 1));
    assert_non_null(ul_alloc(a, 1, 1)); /* once */
    assert_int_equal(ul_fault_count(ctx, UL_FAULT_ALLOC), 4);
    ul_fault_set(ctx, UL_FAULT_ALLOC, 1);
    ul_arena *b = a;
    assert_int_equal(ul_arena_new(ctx, "none", &b), UL_E_RESOURCE);
    assert_null(b);
    ul_arena_free(a);
    ul_ctx_free(ctx);
    assert_int_equal(h.live, 0);
    h.fail_from = 1;
    ul_ctx *none = ctx;
    const ul_config config = {.user = &h, .alloc = host_alloc};
    assert_int_equal(ul_ctx_new(&config, &none), UL_E_RESOURCE);
    assert_null(none);
}

static void poison(void **state)
{
    (void)state;
#if defined(__SANITIZE_ADDRESS__)
    ul_ctx *ctx = ul_test_ctx();
    ul_arena *a = ul_ctx_arena(ctx);
    const ul_mark m = ul_arena_mark(a);
    char *p = ul_alloc(a, 10, 1), *q = ul_alloc(a, 64, 1);
    assert_false(__asan_address_is_poisoned(p + 9));
    assert_true(__asan_address_is_poisoned(p + 10));
    assert_true(__asan_address_is_poisoned(q - 1));
    assert_true(__asan_address_is_poisoned(q + 64));
    ul_arena_rewind(a, m);
    assert_true(__asan_address_is_poisoned(p));
    ul_ctx_free(ctx);
#endif
#ifdef UL_DEBUG
    ul_ctx *debug = ul_test_ctx();
    double *d = ul_alloc_raw(ul_ctx_arena(debug), 3, sizeof *d);
    float *f = ul_alloc_raw(ul_ctx_arena(debug), 3, sizeof *f);
    for (int i = 0; i < 3; i++) assert_true(d[i] != d[i] && f[i] != f[i]);
    ul_ctx_free(debug);
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(objects),  cmocka_unit_test(zero_after_reuse), cmocka_unit_test(steady),
        cmocka_unit_test(longer),   cmocka_unit_test(cleanups),         cmocka_unit_test(failing),
        cmocka_unit_test(poison),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
