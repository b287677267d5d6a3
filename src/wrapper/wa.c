/* wa.c - weight averaging: the result is the mean of the weights after several steps, the last one among them.
 *
 *   theta = (1/K) sum over steps s past `from` with (last - s) a multiple of `every` of theta_s
 *
 * Fan et al. 2025, arXiv:2502.05374 (from step 100 of 500, every 5), after Izmailov et al. 2018, arXiv:1803.05407. A
 * run that is ended early averages the steps that it had. */
#include "wrapper/wrapper.h"

static const ul_param params[] = {
    {"from", UL_REAL, 0.2, 0, 1, NULL, "share of the steps before the first that counts", NULL},
    {"every", UL_INT, 5, 1, 1e9, "steps", "between weights that count, back from the last step", NULL},
    {0}};

static ul_status begin(ul_wrap *w)
{
    return ul_wrap_arrays(w, "sum", (void ***)&w->state);
}

static bool counts(const ul_wrap *w, int64_t step)
{
    const int64_t last = w->steps - 1;
    return (double)step >= ul_num(w->args, "from") * (double)last &&
           (last - step) % (int64_t)ul_num(w->args, "every") == 0;
}

static ul_status after(ul_wrap *w, ul_step_result *r)
{
    (void)r;
    if (counts(w, w->step)) ul_arrays_axpy(w, 1, w->p, w->state);
    return UL_OK;
}

static ul_status end(ul_wrap *w)
{
    int64_t n = 0;
    for (int64_t s = 0; s <= w->step; s++) n += counts(w, s);
    if (n == 0) return UL_OK;
    ul_wrap_copy(w, w->state, w->p);
    ul_arrays_scale(w, 1.0 / (double)n, w->p);
    return UL_OK;
}

const ul_wrapper ul_wrapper_wa = {
    .title = "Weight averaging",
    .paper = "arXiv:2502.05374",
    .note = "The model written is the mean of the weights after several steps: a flatter place. Keeps one more copy of "
            "them.",
    .params = params,
    .begin = begin,
    .after = after,
    .end = end,
};
