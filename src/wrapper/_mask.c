/* _mask.c - which weights move: those with the largest scores. The threshold is exact: the k-th largest of all |x|,
 * found in four rounds of counting 16 bits of the double's pattern (patterns of numbers >= 0 are ordered as the
 * numbers). */
#include "wrapper/wrapper.h"
#include <math.h>
#include <string.h>

ul_status ul_mask_gradient(ul_wrap *w, int64_t batches, bool retain)
{
    ul_step_result unused = {0};
    ul_model_grad_zero(w->o->model);
    for (int64_t s = 0; s < batches && s < w->steps; s++)
        UL_TRY(ul_wrap_gradient(w, s, ul_wrap_sides(w, retain), &unused));
    return UL_OK;
}

static uint64_t pattern(double x)
{
    uint64_t u;
    memcpy(&u, &x, sizeof u);
    return u & ~(UINT64_C(1) << 63);
}

enum { BITS = 16, BUCKETS = 1 << BITS };

/* How many patterns that start with `head` (its low `done` bits) have each value in the next 16 bits. */
static void count(const ul_wrap *w, const int64_t *n, void *const *x, uint64_t head, int done, int64_t *bucket)
{
    memset(bucket, 0, BUCKETS * sizeof *bucket);
    for (int i = 0; i < w->n_train; i++)
        for (int64_t j = 0; j < n[i]; j++) {
            const uint64_t u = pattern(ul_array_at(w, x[i], j));
            if (done == 0 || u >> (64 - done) == head) bucket[u >> (64 - done - BITS) & (BUCKETS - 1)]++;
        }
}

ul_status ul_mask_threshold(ul_wrap *w, const int64_t *n, void *const *x, double keep, double *out)
{
    ul_arena *arena;
    int64_t all = 0, left;
    uint64_t head = 0;
    for (int i = 0; i < w->n_train; i++) all += n[i];
    left = (int64_t)ceil(keep * (double)all);
    if (left < 1) left = 1;
    UL_TRY(ul_arena_new(w->ctx, "mask", &arena));
    int64_t *bucket = UL_NEW(arena, int64_t, BUCKETS);
    for (int done = 0; bucket && done < 64; done += BITS) {
        int b = BUCKETS - 1;
        count(w, n, x, head, done, bucket);
        for (; b > 0 && bucket[b] < left; b--) left -= bucket[b];
        head = head << BITS | (uint64_t)b;
    }
    memcpy(out, &head, sizeof *out);
    const ul_status s = bucket ? UL_OK : UL_E_RESOURCE;
    ul_arena_free(arena);
    return s;
}

ul_status ul_mask_largest(ul_wrap *w, void *const *x, double keep)
{
    ul_arena *arena;
    double least;
    UL_TRY(ul_arena_new(w->ctx, "mask", &arena));
    int64_t *n = UL_NEW(arena, int64_t, w->n_train), most = 0;
    for (int i = 0; n && i < w->n_train; i++) {
        n[i] = w->train[i].n;
        if (n[i] > most) most = n[i];
    }
    uint8_t *bits = n ? UL_NEW(arena, uint8_t, (size_t)(most + 7) / 8) : NULL;
    const ul_status s = bits ? ul_mask_threshold(w, n, x, keep, &least) : UL_E_RESOURCE;
    for (int i = 0; s == UL_OK && i < w->n_train; i++) {
        memset(bits, 0, (size_t)(n[i] + 7) / 8);
        for (int64_t j = 0; j < n[i]; j++) /* 0 is never among the largest: where most are 0, all would move */
            if (ul_array_at(w, x[i], j) != 0 && fabs(ul_array_at(w, x[i], j)) >= least)
                bits[j >> 3] |= (uint8_t)(1u << (j & 7));
        ul_wrap_keep_only(w, i, bits);
    }
    ul_arena_free(arena);
    return s;
}
