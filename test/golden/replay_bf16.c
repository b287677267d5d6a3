/* replay_bf16.c - records of kind "bf16_product": expected = c + a b^T as AMX computes it,
 * bit for bit on every instruction set of this machine, with 1 and 2 threads, b as it stands and as panels. */
#include "backend/backend.h"
#include "io/io.h"
#include "replay.h"

typedef struct {
    int64_t m, n, k;
    float *a, *b, *c, *expected;
} product;

static ul_status floats(ul_ctx *ctx, ul_arena *arena, const ul_tensors *ts, const char *name, int64_t *rows,
                        int64_t *cols, float **out)
{
    const ul_tensor *t;
    UL_TRY(ul_tensors_need(ctx, ts, name, &t));
    if (t->n_dim != 2 || (*rows && *rows != t->dim[0]) || (*cols && *cols != t->dim[1]))
        return ul_fail(ctx, UL_E_INPUT, "\"%s\" is not a matrix of %lld x %lld", name, (long long)*rows,
                       (long long)*cols);
    *rows = t->dim[0], *cols = t->dim[1];
    *out = UL_NEW(arena, float, *rows * *cols);
    UL_NEED(*out);
    return ul_tensor_f32(ctx, t, 0, *rows * *cols, *out);
}

static ul_status load(ul_ctx *ctx, ul_arena *arena, const char *dir, product *p)
{
    ul_tensors *ts;
    char *path = ul_format(arena, "%s/golden.safetensors", dir);
    UL_NEED(path);
    UL_TRY(ul_tensors_open(ctx, arena, path, &ts));
    UL_TRY(floats(ctx, arena, ts, "a", &p->m, &p->k, &p->a));
    UL_TRY(floats(ctx, arena, ts, "b", &p->n, &p->k, &p->b));
    UL_TRY(floats(ctx, arena, ts, "c", &p->m, &p->n, &p->c));
    return floats(ctx, arena, ts, "expected", &p->m, &p->n, &p->expected);
}

/* *wrong: elements that differ, over all ways; *ways: how many there were. */
static ul_status compare(ul_ctx *ctx, ul_arena *arena, const product *p, const char *isa, int threads, int64_t *wrong,
                         int *ways)
{
    ul_backend *be;
    float *c = UL_NEW(arena, float, p->m * p->n);
    UL_NEED(c);
    UL_TRY(ul_backend_open(ctx, arena, isa, UL_PRECISION_BF16, threads, &be));
    void *panels = ul_alloc(arena, ul_panel_bytes(be, p->n, p->k), 1);
    UL_NEED(panels);
    be->k->panel(be, p->n, p->k, p->b, 1, p->k, panels);
    for (int ready = 0; ready < 2; ready++, ++*ways) {
        memcpy(c, p->c, (size_t)(p->m * p->n) * sizeof *c);
        const ul_gemm g = {.m = p->m, .n = p->n, .k = p->k, .a = p->a, .a_row = p->k, .a_col = 1,
                           .b = ready ? panels : p->b, .b_row = ready ? 0 : 1, .b_col = ready ? 0 : p->k, .c = c,
                           .c_row = p->n, .add = true};
        be->k->gemm(be, &g);
        for (int64_t i = 0; i < p->m * p->n; i++) *wrong += memcmp(c + i, p->expected + i, sizeof *c) != 0;
    }
    return UL_OK;
}

static ul_status every_way(ul_ctx *ctx, ul_arena *arena, const char *dir, char *message, size_t size, int64_t *wrong)
{
    product p = {0};
    int ways = 0;
    UL_TRY(load(ctx, arena, dir, &p));
    for (const char *const *isa = ul_backend_isas(); *isa; isa++) {
        for (int threads = 1; threads <= 2 && *wrong == 0; threads++)
            UL_TRY(compare(ctx, arena, &p, *isa, threads, wrong, &ways));
        if (*wrong) {
            snprintf(message, size, "%s: %lld elements differ from AMX's", *isa, (long long)*wrong);
            return UL_OK;
        }
    }
    snprintf(message, size, "%lld x %lld x %lld exact in %d ways", (long long)p.m, (long long)p.n, (long long)p.k,
             ways);
    return UL_OK;
}

int ul_replay_bf16(ul_ctx *ctx, const char *record_dir, json_t *golden, char *message, size_t size)
{
    ul_arena *arena;
    int64_t wrong = 0;
    (void)golden;
    ul_status st = ul_arena_new(ctx, "golden record", &arena);
    if (st == UL_OK) {
        st = every_way(ctx, arena, record_dir, message, size, &wrong);
        ul_arena_free(arena);
    }
    if (st != UL_OK) snprintf(message, size, "%s", ul_error_text(ctx));
    return st != UL_OK || wrong != 0;
}
