/* wrapper.h - the registry of wrappers, and what their files share. A wrapper (train/train.h) is something done
 * around the gradient of any method: gradient surgery, masks, smoothing, averages, schedules. One file
 * src/wrapper/<id>.c each. */
#ifndef UL_WRAPPER_H
#define UL_WRAPPER_H
#include "train/train.h"

typedef struct {
    const char *id;
    const ul_wrapper *wrapper;
} ul_wrapper_entry;
const ul_wrapper_entry *ul_wrappers(int *n);
const ul_wrapper *ul_wrapper_find(const char *id);
const char *ul_wrapper_nearest(const char *id); /* for did-you-mean; NULL when nothing is near */

/* ---- arrays as large as the trainables: [n_train] (_arrays.c)
 * ------------------------------------------------------- */
double ul_arrays_dot(const ul_wrap *w, void *const *x, void *const *y);          /* over all tensors, in their order */
void ul_arrays_axpy(const ul_wrap *w, double a, void *const *x, void *const *y); /* y += a x */
void ul_arrays_scale(const ul_wrap *w, double a, void *const *x);

/* ---- masks (_mask.c)
 * ------------------------------------------------------------------------------------------------- */
/* Gradients of one part summed over the first `batches` steps' samples (not more than the run has), into g. */
ul_status ul_mask_gradient(ul_wrap *w, int64_t batches, bool retain) UL_MUST;
/* The value that the largest `keep` of all |x[i][0 .. n[i] - 1]| reach. */
ul_status ul_mask_threshold(ul_wrap *w, const int64_t *n, void *const *x, double keep, double *out) UL_MUST;
/* Only the entries whose |x| is among the largest `keep` of all move. */
ul_status ul_mask_largest(ul_wrap *w, void *const *x, double keep) UL_MUST;
static inline double ul_array_at(const ul_wrap *w, const void *x, int64_t i)
{
    return w->be->k->esize == sizeof(double) ? ((const double *)x)[i] : (double)((const float *)x)[i];
}
static inline void ul_array_put(const ul_wrap *w, void *x, int64_t i, double v)
{
    if (w->be->k->esize == sizeof(double))
        ((double *)x)[i] = v;
    else
        ((float *)x)[i] = (float)v;
}

#define UL_PARAM_BATCHES                                                                                               \
    {                                                                                                                  \
        "batches", UL_INT, 8, 1, 1e6, "steps",                                                                         \
            "whose samples' gradients are summed before the run to choose the weights", NULL                           \
    }
#endif
