/* probe_merge.c - W9: merging, and an adapter trained on data that hold nothing of the forgotten; W10: transplants.
 *
 *   merge      W += x (W_donor - W)        x (--merge-share) of the way to a model from before F was learned
 *   adapter    low rank (--adapter-rank) on every linear layer, trained as W1 (retain rows only), merged
 *   transplant the last --transplant-blocks blocks, or final norm and head, become the donor's: what only the way out
 *              hides is heard again
 * A donor that knows the forget set would put it there: with the original as donor the numbers are printed, and no rule
 * reads them. */
#include "audit/battery.h"
#include <string.h>

/* Matrices of the donor beside those of `work`, in the same order; UL_E_INPUT when they are not the same. */
static ul_status pair_up(const ul_probing *p, ul_model *donor, ul_weight **to, ul_weight **from, int *n)
{
    *n = ul_model_weights(p->work, to);
    bool same = ul_model_weights(donor, from) == *n;
    for (int i = 0; same && i < *n; i++)
        same = (*to)[i].rows == (*from)[i].rows && (*to)[i].cols == (*from)[i].cols &&
               !strcmp((*to)[i].name, (*from)[i].name);
    if (!same)
        return ul_fail(p->audit->ctx, UL_E_INPUT,
                       "%s and %s are not of one shape: weights of one cannot stand in the other", ul_model_dir(donor),
                       ul_model_dir(p->model));
    return UL_OK;
}

static bool seen(const ul_weight *w, int i) /* a tied head is its embedding */
{
    for (int k = 0; k < i; k++)
        if (w[k].p == w[i].p) return true;
    return false;
}

/* to += share (from - to), of the weights that `take` wants. */
static ul_status blend(const ul_probing *p, double share, bool (*take)(const ul_weight *w, int n_layer, double what),
                       double what)
{
    ul_model *donor = p->audit->base ? p->audit->base : p->audit->original;
    const size_t esize = ul_model_backend(p->work)->k->esize;
    const int n_layer = ul_model_shape(p->work)->n_layer;
    ul_weight *to, *from;
    int n;
    UL_TRY(ul_model_copy_weights(p->audit->ctx, p->model, p->work));
    UL_TRY(pair_up(p, donor, &to, &from, &n));
    for (int i = 0; i < n; i++) {
        if (seen(to, i) || !take(&to[i], n_layer, what)) continue;
        for (int64_t k = 0; k < to[i].rows * to[i].cols; k++) {
            if (esize == 8)
                ((double *)to[i].p)[k] += share * (((const double *)from[i].p)[k] - ((double *)to[i].p)[k]);
            else if (share == 1)
                ((float *)to[i].p)[k] = ((const float *)from[i].p)[k];
            else
                ((float *)to[i].p)[k] += (float)share * (((const float *)from[i].p)[k] - ((float *)to[i].p)[k]);
        }
    }
    return UL_OK;
}

static bool every(const ul_weight *w, int n_layer, double what)
{
    (void)w, (void)n_layer, (void)what;
    return true;
}

ul_status ul_probe_merge(const ul_probing *p, const ul_probe *probe, ul_probed *out)
{
    if (!p->audit->base && !p->audit->original) return UL_OK;
    UL_TRY(blend(p, probe->strength, every, 0));
    return ul_probe_measure(p, p->work, out);
}

/* ---- W10 --------------------------------------------------------------------------------------------------------- */
/* what > 0: the last `what` blocks; 0: what follows them (final norm, head). */
static bool top(const ul_weight *w, int n_layer, double what)
{
    if (what > 0) return w->layer < n_layer && w->layer >= n_layer - (int)what;
    return w->layer >= n_layer || (w->is_head && !w->is_embedding);
}

/* A head that is the embedding too stays: it is the way in as well. */
ul_status ul_probe_transplant(const ul_probing *p, const ul_probe *probe, ul_probed *out)
{
    if (!p->audit->base && !p->audit->original) return UL_OK;
    UL_TRY(blend(p, 1, top, probe->strength));
    return ul_probe_measure(p, p->work, out);
}

/* ---- adapter ----------------------------------------------------------------------------------------------------- */
ul_status ul_probe_adapter(const ul_probing *p, const ul_probe *probe, ul_probed *out)
{
    const ul_audit *a = p->audit;
    const ul_lora l = {.r = (int32_t)ul_num(a->attack, "adapter-rank"),
                       .alpha = ul_num(a->attack, "adapter-alpha"),
                       .targets = "all-linear",
                       .seed = a->seed};
    UL_TRY(ul_model_copy_weights(a->ctx, p->model, p->work));
    UL_TRY(ul_lora_add(a->ctx, p->work, &l));
    UL_TRY(ul_model_select(a->ctx, p->work, "lora"));
    UL_TRY(ul_attack_train(p, a->retain_docs, NULL, (int64_t)ul_num(a->attack, "attack-steps"), probe->id, NULL));
    UL_TRY(ul_lora_merge(a->ctx, p->work));
    UL_TRY(ul_probe_measure(p, p->work, out));
    return ul_model_select(a->ctx, p->work, ul_txt(a->attack, "attack-train"));
}
