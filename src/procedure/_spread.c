/* _spread.c - many facts edited over several blocks (Meng et al. 2022, MEMIT,
 * arXiv:2210.07229, section 4.3): see edit.h. */
#include "procedure/edit.h"
#include <math.h>
#include <string.h>

void ul_edit_blocks(const ul_work *w, int *first, int *last)
{
    const int n = ul_model_shape(w->model)->n_layer;
    const double layer = ul_num(w->args, "layer");
    if (isfinite(layer)) {
        *first = *last = layer < 0 ? n / 3 : (int)layer;
        return;
    }
    *first = (int)ul_num(w->args, "first"), *last = (int)ul_num(w->args, "last");
    if (*last < 0) *last = n / 4;
    if (*first < 0) *first = n / 8;
    if (*first > *last) *first = *last;
}

double ul_edit_by_size(const ul_work *w, const char *key, double paper, double small)
{
    const double given = ul_num(w->args, key);
    return given > 0 ? given : ul_recipe_small(ul_model_parameters(w->model)) ? small : paper;
}

ul_status ul_edit_begin(ul_work *w, int first, int last, ul_edit_bound *out)
{
    enum { DOCS = 128 };
    const char *spec = ul_format(w->arena, "layers %d-%d mlp", first, last);
    *out = (ul_edit_bound){.most = ul_num(w->args, "budget")};
    UL_NEED(spec);
    if (out->most == 0) return UL_OK;
    UL_TRY(ul_budget_open(w, w->retain, DOCS, &out->budget));
    UL_TRY(ul_model_select(w->ctx, w->model, spec));
    return ul_move_new(w->ctx, w->arena, w->model, &out->move);
}

ul_status ul_edit_end(ul_work *w, ul_edit_bound *b)
{
    double kl, scale = 1;
    if (b->most == 0) return UL_OK;
    UL_TRY(ul_budget_measure(&b->budget, &kl));
    if (kl <= b->most) return UL_OK;
    ul_move_learned(&b->move);
    UL_TRY(ul_buf_printf(w->report, "%s: the whole edit costs %.3g nats of KL on the retain rows\n", w->id, kl));
    return ul_budget_search(&b->budget, &b->move, b->most, &scale);
}

/* Arrays of a batch of n facts. */
typedef struct {
    double *z, *hidden, *residual, *keys, *delta;
} arrays;

static ul_status edit_batch(ul_work *w, ul_arena *arena, const ul_facts *f, int first, int last,
                            double *const *covariance, ul_edit_solve_fn *solve, void *user)
{
    const int64_t C = ul_model_shape(w->model)->C, F = ul_model_shape(w->model)->F, n = f->n * C;
    const ul_value_search how = {.slot = UL_SLOT_OUT,
                                 .steps = (int)ul_num(w->args, "v_steps"),
                                 .lr = ul_edit_by_size(w, "v_lr", 0.1, 0.5),
                                 .kl = ul_num(w->args, "kl"),
                                 .decay = ul_num(w->args, "v_decay"),
                                 .clamp = ul_edit_by_size(w, "clamp", 0.75, 4),
                                 .stop = 0.05};
    const arrays a = {UL_NEW(arena, double, n), UL_NEW(arena, double, n), UL_NEW(arena, double, n),
                      UL_NEW(arena, double, f->n *F), UL_NEW(arena, double, C *F)};
    if (!a.z || !a.hidden || !a.residual || !a.keys || !a.delta) return UL_E_RESOURCE;
    UL_TRY(ul_facts_values(w, f, last, &how, a.z));
    UL_TRY(ul_facts_read(w, f, last, NULL, a.hidden));
    for (int64_t i = 0; i < n; i++) a.z[i] += a.hidden[i];
    for (int l = first; l <= last; l++) {
        ul_weight *weight;
        UL_TRY(ul_edit_weight(w, l, &weight));
        UL_TRY(ul_facts_read(w, f, l, a.keys, NULL));
        UL_TRY(ul_facts_read(w, f, last, NULL, a.hidden));
        for (int64_t i = 0; i < n; i++) a.residual[i] = (a.z[i] - a.hidden[i]) / (last - l + 1);
        const ul_edit_equation e = {l, f->n, covariance[l - first], a.keys, a.residual};
        UL_TRY(solve(w, user, &e, a.delta));
        ul_edit_add(w, weight, a.delta);
    }
    return UL_OK;
}

ul_status ul_edit_spread(ul_work *w, ul_edit_solve_fn *solve, void *user)
{
    int first, last;
    ul_edit_bound bound;
    const int64_t all = w->forget_rows->n, at_once = (int64_t)ul_num(w->args, "facts");
    ul_edit_blocks(w, &first, &last);
    const int64_t F = ul_model_shape(w->model)->F;
    double **covariance = UL_NEW(w->arena, double *, last - first + 1);
    UL_NEED(covariance);
    for (int l = first; l <= last; l++) {
        ul_weight *weight;
        UL_TRY(ul_edit_weight(w, l, &weight));
        UL_NEED(covariance[l - first] = UL_NEW(w->arena, double, F * F));
        UL_TRY(ul_edit_covariance(w, l, (int64_t)ul_num(w->args, "rows"), covariance[l - first]));
    }
    UL_TRY(ul_edit_begin(w, first, last, &bound));
    for (int64_t i = 0; i < all; i += at_once) {
        ul_arena *arena;
        ul_facts f;
        UL_TRY(ul_facts_new(w, i, (int32_t)(all - i < at_once ? all - i : at_once), &f));
        UL_TRY(ul_arena_new(w->ctx, "edits", &arena));
        const ul_status s = edit_batch(w, arena, &f, first, last, covariance, solve, user);
        ul_arena_free(arena);
        UL_TRY(s);
    }
    UL_TRY(ul_edit_end(w, &bound));
    return ul_buf_printf(w->report, "%s: %lld facts written into blocks %d to %d\n", w->id, (long long)all, first,
                         last);
}
