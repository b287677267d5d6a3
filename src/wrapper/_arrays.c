/* _arrays.c - arithmetic over all tensors that move, by the backend's kernels, tensor after tensor. */
#include "wrapper/wrapper.h"

double ul_arrays_dot(const ul_wrap *w, void *const *x, void *const *y)
{
    double sum = 0;
    for (int i = 0; i < w->n_train; i++) sum += w->be->k->dot(w->be, w->train[i].n, x[i], y[i]);
    return sum;
}

void ul_arrays_axpy(const ul_wrap *w, double a, void *const *x, void *const *y)
{
    for (int i = 0; i < w->n_train; i++) w->be->k->axpy(w->be, w->train[i].n, a, x[i], y[i]);
}

void ul_arrays_scale(const ul_wrap *w, double a, void *const *x)
{
    for (int i = 0; i < w->n_train; i++) w->be->k->scale(w->be, w->train[i].n, a, x[i]);
}
