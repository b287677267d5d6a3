/* fault.c - faults on demand: the k-th allocation, write or read fails once, so that a test can walk every way out. */
#include "base_impl.h"

void ul_fault_set(ul_ctx *ctx, ul_fault kind, int64_t k)
{
    ctx->fault[kind].at = k;
    ctx->fault[kind].seen = 0;
}

bool ul_fault_now(ul_ctx *ctx, ul_fault kind)
{
    return ++ctx->fault[kind].seen == ctx->fault[kind].at;
}

int64_t ul_fault_count(const ul_ctx *ctx, ul_fault kind)
{
    return ctx->fault[kind].seen;
}
