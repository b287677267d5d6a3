/* method.c - the registry, and the retain term that most methods share.
 *
 * Retain terms: L_r = alpha * (-1/N) sum log p(y_t) over all labelled retain tokens of the step (Liu, Liu and Stone
 * 2022, arXiv:2203.12817), or alpha * (1/N) sum KL(p_ref || p) at the same positions (Maini et al. 2024, TOFU,
 * arXiv:2401.06121). Traps: the KL of MUSE's code is taken of raw logits and is none (not offered); open-unlearning
 * averages over prompts and padding (--match open-unlearning). */
#include "method/method.h"
#include <string.h>

#define UL_ITEM(id) extern const ul_method ul_method_##id;
#include "method.inc"
#undef UL_ITEM

static const ul_method_entry entries[] = {
#define UL_ITEM(id) {#id, &ul_method_##id},
#include "method.inc"
#undef UL_ITEM
};
enum { N_METHOD = sizeof entries / sizeof entries[0] };

const ul_method_entry *ul_methods(int *n)
{
    *n = N_METHOD;
    return entries;
}

const ul_method *ul_method_find(const char *id)
{
    for (int i = 0; i < N_METHOD; i++)
        if (!strcmp(entries[i].id, id)) return entries[i].method;
    return NULL;
}

const char *ul_method_nearest(const char *id)
{
    const char *names[N_METHOD + 1] = {0};
    for (int i = 0; i < N_METHOD; i++) names[i] = entries[i].id;
    return ul_nearest(id, names);
}

void ul_method_args(const ul_method *m, bool small, ul_args *out)
{
    ul_args_default(m->params, out);
    ul_args_values(out, small && m->small ? m->small : m->recipe);
}

double ul_side_sum(const double *x, int32_t n)
{
    double s = 0;
    for (int32_t t = 0; x && t < n; t++) s += x[t];
    return s;
}

double ul_side_mean(const ul_side *s, const double *x, double *d, double w)
{
    if (!s->n) return 0;
    for (int32_t t = 0; t < s->n; t++) d[t] += w / (s->n * s->n_seq);
    return w * ul_side_sum(x, s->n) / (s->n * s->n_seq);
}

double ul_ascend(ul_side *s, int32_t t, double w)
{
    s->dlogp[t] += w;
    return w * s->logp[t];
}

double ul_npo_token_weight(const ul_args *args, const ul_side *s, int32_t t)
{
    const double beta = ul_num(args, "beta"), eps = ul_num(args, "eps");
    const double floor = eps > 0 ? eps * ul_exp(-beta * s->logp[t]) : 0; /* numbers above 1e308 give a weight of 0 */
    return 2 / (1 + ul_exp(beta * (s->ref[t] - s->logp[t])) + floor);
}

static bool wants_kl(const ul_args *args)
{
    const char *retain = ul_txt(args, "retain");
    return retain && !strcmp(retain, "kl");
}

int32_t ul_target_top(const ul_args *args)
{
    return (int32_t)ul_num(args, "top");
}

unsigned ul_retain_needs(const ul_args *args, unsigned needs)
{
    return wants_kl(args) ? needs | UL_NEED_RETAIN_KL : needs;
}

unsigned ul_some_retain_needs(const ul_args *args, unsigned needs)
{
    const unsigned rows = UL_NEED_RETAIN;
    return ul_num(args, "alpha") > 0 ? ul_retain_needs(args, needs | rows) : needs & ~rows;
}

double ul_retain_loss(const ul_args *args, ul_side *retain, double weight)
{
    if (retain->n == 0) return 0;
    const bool kl = wants_kl(args);
    double *d = kl ? retain->dkl : retain->dlogp;
    for (int32_t t = 0; t < retain->n; t++) d[t] += (kl ? weight : -weight) / retain->n_tok;
    return (kl ? ul_side_sum(retain->kl, retain->n) : -ul_side_sum(retain->logp, retain->n)) / retain->n_tok;
}

double ul_retain_term(const ul_args *args, ul_side *retain)
{
    const double alpha = ul_num(args, "alpha");
    return alpha * ul_retain_loss(args, retain, alpha);
}

double ul_forget_kl(const ul_args *args, ul_side *forget)
{
    const double w = forget->n ? ul_num(args, "gamma") / forget->n_tok : 0;
    for (int32_t t = 0; t < forget->n; t++) forget->dkl[t] += w;
    return w * ul_side_sum(forget->kl, forget->n);
}
