/* audit_ratio.c - the ratios that a verdict is of (audit_evidence.c has the formulas): how much of what is expressed is
 * forgotten, what lies below the last layer, what an attack brings back beyond what is expressed. */
#include "audit/evidence.h"

enum { U = UL_OF_MODEL, O = UL_OF_ORIGINAL, R = UL_OF_CONTROL };

const char *ul_expressed_name(ul_expressed by)
{
    static const char *const name[] = {[UL_EXPRESSED_SAID] = "what is said",
                                       [UL_EXPRESSED_PROB] = "the answers' probability",
                                       [UL_EXPRESSED_RANKED] = "what is ranked first",
                                       [UL_EXPRESSED_CONTINUED] = "how far answers are continued"};
    return name[by];
}

const ul_quantity *ul_expression(const ul_table *t, ul_expressed by)
{
    return by == UL_EXPRESSED_SAID     ? t->said
           : by == UL_EXPRESSED_PROB   ? t->prob
           : by == UL_EXPRESSED_RANKED ? t->first
                                       : t->extraction;
}

ul_ratio ul_forgotten(const ul_sampling *s, const ul_quantity e[UL_N_OF])
{
    return ul_quotient(s, e[O], e[U], e[O], e[R]);
}

ul_ratio ul_depth_recovery(const ul_sampling *s, const ul_table *t, const ul_evidence *e)
{
    ul_ratio d = {.n_num = 0};
    for (int k = 0; k < e->depth_layers; k++) {
        const int l = e->depth_layer[k];
        ul_ratio_plus(s, &d, t->depth[U][l], 1);
        ul_ratio_plus(s, &d, t->depth[R][l], -1);
        ul_ratio_over(s, &d, t->first[O], 1);
        ul_ratio_over(s, &d, t->first[R], -1);
    }
    return d;
}

bool ul_beyond(const ul_sampling *s, const ul_ratio *r, double point_s, const double *rep_s, double *work, int m,
               ul_bound *out)
{
    double point;
    ul_ratio_replicates(s, r, &point, work);
    for (int64_t k = 0; k < s->n_rep; k++) work[k] -= 1 - rep_s[k];
    return ul_sampling_bounds(s, point - (1 - point_s), work, m, out);
}
