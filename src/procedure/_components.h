/* _components.h - principal components of what linear layers read and of the gradients that come back to them. */
#ifndef UL_PROCEDURE_COMPONENTS_H
#define UL_PROCEDURE_COMPONENTS_H
#include "procedure/procedure.h"

/* Of one linear layer; x_mean and x [cols, kx], d_mean and d [rows, kd]; NULL where not asked for.
 * Components are those of the centred second moments, largest first; k is at most an eighth of the width. */
typedef struct {
    const ul_weight *w;
    double *x_mean, *x, *d_mean, *d;
    int64_t kx, kd;
} ul_component;
typedef struct {
    ul_component *at;
    int n;
} ul_components;
/* what: as for ul_factors_collect. k: how many, of inputs and of output gradients. */
ul_status ul_components_find(ul_work *w, const ul_docs *docs, unsigned what, const int64_t k[2],
                             ul_components *out) UL_MUST;
/* Of sums that are there. */
ul_status ul_components_from(ul_work *w, const ul_factors *f, const int64_t k[2], ul_components *out) UL_MUST;
ul_component *ul_component_of(const ul_components *c, const ul_weight *w);
#endif
