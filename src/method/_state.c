/* _state.c - what methods of hidden states share: a block by its share of the model, a mean over documents,
 * defaults by the depth of a small model. */
#include "method/method.h"

int ul_state_layer(const ul_args *args, const char *key, int n_layer, int sixteenths)
{
    const int l = (int)ul_num(args, key);
    return l < 0 ? n_layer * sixteenths / 16 : l < n_layer ? l : n_layer - 1;
}

int ul_steered_layer(const ul_args *args, int n_layer)
{
    const double l = ul_num(args, "layer");
    if (l == -1 || (l < 0 && n_layer >= UL_FEW_BLOCKS)) return (7 * n_layer + 16) / 32;
    return ul_state_layer(args, "layer", n_layer, 15);
}

double ul_by_depth(const ul_args *args, const char *key, int n_layer, double few, double many)
{
    const double x = ul_num(args, key);
    return x >= 0 ? x : n_layer < UL_FEW_BLOCKS ? few : many;
}

double ul_state_alpha(const ul_args *args, const ul_side *retain)
{
    return ul_by_depth(args, "alpha", retain->n_layer, UL_STATE_ALPHA_FEW, 1200);
}

double ul_state_term(ul_side *s, double weight)
{
    if (s->n == 0) return 0;
    for (int32_t t = 0; t < s->n; t++) s->ddist[t] += weight * s->token_share;
    return weight * s->token_share * ul_side_sum(s->dist, s->n);
}
