/* sure.c - saliency against quantisation: only the rows of matrices (output neurons) with the largest forget
 * gradients move, so that a large learning rate can carry them across the bins of a quantiser.
 *
 *   mask: rows whose |g_f| (2-norm of the row's gradient) is among the largest `keep`; a vector is one row
 *
 * Zhang et al. 2024, "Catastrophic Failure of LLM Unlearning via Quantization", arXiv:2410.16454 (the 90th to 99th
 * percentile). Traps: in the authors' code the mask is never applied (optimizer_step is no hook of their trainer)
 * and the forget gradient is counted twice (--match sure), and the mask is made anew each batch. Take a larger --lr
 * with it: that is its point. */
#include "wrapper/wrapper.h"
#include <math.h>
#include <string.h>

static const ul_param params[] = {
    {"keep", UL_REAL, 0.1, 1e-6, 1, NULL, "share of the rows that move", NULL},
    {"times", UL_REAL, 1, 0, 1000, NULL, "factor of the method's gamma", NULL},
    UL_PARAM_BATCHES,
    {0}};

static ul_status begin(ul_wrap *w)
{
    const double times = ul_num(w->args, "times");
    w->off = ul_num(w->args, "keep") == 1;
    if (times == 1) return UL_OK;
    double *gamma = ul_wrap_method_value(w, "gamma");
    if (!gamma) return ul_fail(w->ctx, UL_E_USAGE, "sure: the method has no gamma that --sure.times could multiply");
    *gamma *= times;
    return UL_OK;
}

static ul_status keep_rows(ul_wrap *w, ul_arena *arena, const int64_t *rows, void *const *norm)
{
    double least;
    UL_TRY(ul_mask_threshold(w, rows, norm, ul_num(w->args, "keep"), &least));
    for (int i = 0; i < w->n_train; i++) {
        const int64_t n = w->train[i].n, cols = w->train[i].cols;
        uint8_t *bits = UL_NEW(arena, uint8_t, (size_t)(n + 7) / 8);
        UL_NEED(bits);
        for (int64_t j = 0; j < n; j++) {
            const double size = ul_array_at(w, norm[i], j / cols);
            if (size > 0 && size >= least) bits[j >> 3] |= (uint8_t)(1u << (j & 7));
        }
        ul_wrap_keep_only(w, i, bits);
    }
    return UL_OK;
}

static ul_status by_rows(ul_wrap *w, ul_arena *arena)
{
    const ul_kernels *k = w->be->k;
    int64_t *rows = UL_NEW(arena, int64_t, w->n_train);
    void **norm = UL_NEW(arena, void *, w->n_train);
    UL_NEED(rows);
    UL_NEED(norm);
    for (int i = 0; i < w->n_train; i++) {
        const int64_t cols = w->train[i].cols;
        rows[i] = w->train[i].n / cols;
        UL_NEED(norm[i] = ul_alloc(arena, (size_t)rows[i], k->esize));
        for (int64_t r = 0; r < rows[i]; r++)
            ul_array_put(w, norm[i], r,
                         sqrt(k->sum_squares(w->be, cols, (const char *)w->g[i] + (size_t)(r * cols) * k->esize)));
    }
    return keep_rows(w, arena, rows, norm);
}

static ul_status calibrate(ul_wrap *w)
{
    ul_arena *arena;
    UL_TRY(ul_mask_gradient(w, (int64_t)ul_num(w->args, "batches"), false));
    UL_TRY(ul_arena_new(w->ctx, "rows", &arena));
    const ul_status s = by_rows(w, arena);
    ul_arena_free(arena);
    return s;
}

static const ul_match matches[] = {
    {"sure", "no mask, the forget gradient twice", UL_VALUES(".keep", "1", ".times", "2"), false}, {0}};

const ul_wrapper ul_wrapper_sure = {
    .title = "Saliency against quantisation",
    .paper = "arXiv:2410.16454",
    .note = "Moves only the rows of matrices with the largest forget gradients; take a larger learning rate with it.",
    .params = params,
    .matches = matches,
    .flags = UL_WRAP_MASK,
    .begin = begin,
    .calibrate = calibrate,
};
