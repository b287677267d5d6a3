/* base_impl.h - what the files of this room share and nobody else sees. */
#ifndef UL_BASE_IMPL_H
#define UL_BASE_IMPL_H
#include "base/base.h"

enum { UL_MESSAGE_BYTES = 2048 };

struct ul_ctx {
    ul_config config;
    ul_arena *arena;
    struct {
        int64_t at, seen;
    } fault[UL_FAULT_KINDS];
    int64_t alloc_failures;
    char message[UL_MESSAGE_BYTES];
};

/* The allocator without fault injection and without a message: its callers count their own events. */
void *ul_ctx_raw(ul_ctx *ctx, void *old, size_t bytes);

/* Philox 4x32-10: ten rounds over a 128-bit counter under a 64-bit key. */
void ul_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]);
#endif
