/* backend.c - which kernels this machine can run, and the workspace they share. */
#include "backend/backend.h"
#include "backend/kernel/work.h"
#include <omp.h>
#include <string.h>

#define UL_ITEM(target) extern const ul_kernels ul_##target##_kernels;
#include "target.inc"
#undef UL_ITEM

/* Each instruction set contains the one before it. */
static const char *const all_isas[] = {"portable", "avx2", "avx512", "amx", NULL};

#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Tiles are ours only after the kernel has been asked (Linux: arch_prctl, documentation of "dynamic features"). */
static bool amx_granted(void)
{
    enum { REQUEST_PERMISSION = 0x1023, TILE_DATA = 18 };
    unsigned a = 0, b = 0, c = 0, d = 0, a1 = 0;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return false;
    const bool bf16_tiles = (d >> 22 & 1) && (d >> 24 & 1);
    if (!__get_cpuid_count(7, 1, &a1, &b, &c, &d)) return false;
    const bool avx512_bf16 = a1 >> 5 & 1;
    return bf16_tiles && avx512_bf16 && syscall(SYS_arch_prctl, REQUEST_PERMISSION, TILE_DATA) == 0;
}
/* How many of all_isas the machine has. */
static int isa_count(void)
{
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return 1;
    if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw") ||
        !__builtin_cpu_supports("avx512dq") || !__builtin_cpu_supports("avx512vl"))
        return 2;
    return amx_granted() ? 4 : 3;
}
#else
static int isa_count(void) { return 1; }
#endif

const char *const *ul_backend_isas(void)
{
    static const char *const lists[][5] = {
        {"portable"}, {"portable", "avx2"}, {"portable", "avx2", "avx512"}, {"portable", "avx2", "avx512", "amx"}};
    return lists[isa_count() - 1];
}

static const ul_kernels *kernels_of(const char *target)
{
    static const ul_kernels *const tables[] = {
#define UL_ITEM(target) &ul_##target##_kernels,
#include "target.inc"
#undef UL_ITEM
    };
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
        if (!strcmp(tables[i]->name, target)) return tables[i];
    return NULL;
}

static ul_status choose(ul_ctx *ctx, const char *isa, const ul_kernels **out)
{
    const char *const *have = ul_backend_isas();
    int best = 0;
    while (have[best + 1]) best++;
    if (!isa) isa = have[best];
    for (int i = 0; have[i]; i++)
        if (!strcmp(have[i], isa) && (*out = kernels_of(isa))) return UL_OK;
    for (int i = 0; all_isas[i]; i++)
        if (!strcmp(all_isas[i], isa))
            return ul_fail(ctx, UL_E_RESOURCE,
                           "instruction set \"%s\": this machine does not have it, its best is \"%s\" (the results are "
                           "the same bits with any of them)", isa, have[best]);
    const char *near = ul_nearest(isa, all_isas);
    return ul_fail(ctx, UL_E_USAGE, "instruction set \"%s\": unknown%s%s%s; known are portable, avx2, avx512 and amx",
                   isa, near ? ", did you mean \"" : "", near ? near : "", near ? "\"?" : "");
}

static void release_workspace(void *arena) { ul_arena_free(arena); }

ul_status ul_backend_open(ul_ctx *ctx, ul_arena *arena, const char *isa, ul_precision precision, int threads,
                          ul_backend **out)
{
    const ul_kernels *k = isa_count() > 1 ? kernels_of("double_fma") : kernels_of("double");
    if (precision != UL_PRECISION_DOUBLE) UL_TRY(choose(ctx, isa, &k));
    if (threads < 0) return ul_fail(ctx, UL_E_USAGE, "threads: %d is below 0 (0 = all cores)", threads);
    ul_backend *be = UL_NEW(arena, ul_backend, 1);
    UL_NEED(be);
    *be = (ul_backend){.k = k, .precision = precision, .threads = threads ? threads : omp_get_max_threads(),
                       .ctx = ctx};
    UL_TRY(ul_arena_new(ctx, "workspace", &be->arena)); /* its own: a larger workspace replaces the smaller one */
    UL_TRY(ul_arena_defer(arena, release_workspace, be->arena));
    UL_TRY(ul_backend_reserve(be, 0, 0));
    *out = be;
    return UL_OK;
}

static size_t attn_bytes(const ul_backend *be, int32_t longest, int32_t D)
{
    const size_t bytes = longest && D ? UL_ATTN_WORK_BYTES(longest, D, be->k->esize) : 0;
    return (bytes + 63) / 64 * 64;
}

size_t ul_backend_reserve_bytes(const ul_backend *be, int32_t longest, int32_t D)
{
    const size_t attn = attn_bytes(be, longest, D);
    return UL_GEMM_WORK_BYTES(be->threads) + (size_t)be->threads * (attn > be->attn_bytes ? attn : be->attn_bytes);
}

ul_status ul_backend_reserve(ul_backend *be, int32_t longest, int32_t D)
{
    const size_t bytes = ul_backend_reserve_bytes(be, longest, D), attn = attn_bytes(be, longest, D);
    if (bytes <= be->work_bytes) return UL_OK;
    ul_arena_reset(be->arena);
    be->work_bytes = 0;
    be->work = ul_alloc_raw(be->arena, bytes, 1);
    UL_NEED(be->work);
    be->work_bytes = bytes;
    if (attn > be->attn_bytes) be->attn_bytes = attn;
    return UL_OK;
}

size_t ul_panel_bytes(const ul_backend *be, int64_t n, int64_t k)
{
    return be->precision == UL_PRECISION_BF16 ? UL_PANEL_BF16_BYTES(n, k) : UL_PANEL_BYTES(n, k, be->k->esize);
}
