/* _weights.c - copies of the weights that move, and arithmetic relative to them. */
#include "procedure/procedure.h"
#include <math.h>
#include <string.h>

ul_status ul_snapshot_take(ul_ctx *ctx, ul_arena *arena, ul_model *model, ul_snapshot *out)
{
    ul_trainable *train;
    (void)ctx;
    *out = (ul_snapshot){.esize = ul_model_backend(model)->k->esize};
    out->n = ul_model_trainables(model, &train);
    UL_NEED(out->train = UL_NEW(arena, ul_trainable, out->n)); /* a copy: another selection makes another list */
    UL_NEED(out->p = UL_NEW(arena, void *, out->n));
    for (int i = 0; i < out->n; i++) {
        out->train[i] = train[i];
        UL_NEED(out->train[i].name = ul_strdup(arena, train[i].name));
        UL_NEED(out->p[i] = ul_alloc(arena, (size_t)train[i].n, out->esize));
        memcpy(out->p[i], train[i].p, (size_t)train[i].n * out->esize);
    }
    return UL_OK;
}

void ul_snapshot_restore(const ul_snapshot *s)
{
    for (int i = 0; i < s->n; i++) memcpy(s->train[i].p, s->p[i], (size_t)s->train[i].n * s->esize);
}

double ul_arrays_norm(const ul_snapshot *s, void *const *x)
{
    double sum = 0;
    for (int i = 0; i < s->n; i++)
        for (int64_t j = 0; j < s->train[i].n; j++) {
            const double v = ul_real_at(x[i], j, s->esize);
            sum += v * v;
        }
    return sqrt(sum);
}

double ul_work_norm(ul_work *w)
{
    const ul_backend *be = ul_model_backend(w->model);
    ul_trainable *t;
    double sum = 0;
    const int n = ul_model_trainables(w->model, &t);
    for (int i = 0; i < n; i++) sum += be->k->sum_squares(be, t[i].n, t[i].p);
    return sqrt(sum);
}

ul_status ul_work_whole(ul_work *w)
{
    ul_weight *weight;
    const int n = ul_model_weights(w->model, &weight);
    for (int i = 0; i < n; i++)
        if (weight[i].r > 0)
            return ul_fail(w->ctx, UL_E_USAGE,
                           "%s changes entries of whole weights, which an adapter cannot hold: leave out --lora",
                           w->id);
    return UL_OK;
}

ul_status ul_work_select_mlp(ul_work *w)
{
    const char *spec = w->recipe->train;
    if (!strcmp(spec, "auto"))
        UL_NEED(spec = ul_format(w->arena, "layers 0-%d mlp", ul_model_shape(w->model)->n_layer - 1));
    return ul_model_select(w->ctx, w->model, spec);
}

int ul_layer_of(ul_model *model, const ul_trainable *t)
{
    ul_weight *weight;
    const int n = ul_model_weights(model, &weight);
    for (int i = 0; i < n; i++)
        if (t->p == weight[i].p || (weight[i].r > 0 && (t->p == weight[i].a || t->p == weight[i].b)))
            return weight[i].layer;
    return -1;
}

const ul_weight *ul_matrix_of(ul_model *model, const ul_trainable *t)
{
    ul_weight *weight;
    const int n = ul_model_weights(model, &weight);
    for (int i = 0; i < n; i++)
        if (weight[i].p == t->p && !weight[i].is_bias && !weight[i].is_norm && !weight[i].is_embedding)
            return &weight[i];
    return NULL;
}

/* ---- directions -------------------------------------------------------------------------------------------------- */
ul_status ul_move_new(ul_ctx *ctx, ul_arena *arena, ul_model *model, ul_move *out)
{
    UL_TRY(ul_snapshot_take(ctx, arena, model, &out->from));
    UL_NEED(out->d = UL_NEW(arena, void *, out->from.n));
    for (int i = 0; i < out->from.n; i++)
        UL_NEED(out->d[i] = ul_alloc(arena, (size_t)out->from.train[i].n, out->from.esize));
    return UL_OK;
}

static bool is_lora_a(const char *name)
{
    static const char end[] = ".lora_A.weight";
    const size_t n = strlen(name), e = sizeof end - 1;
    return n > e && !strcmp(name + n - e, end);
}

void ul_move_learned(ul_move *m)
{
    const ul_snapshot *s = &m->from;
    for (int i = 0; i < s->n; i++)
        if (is_lora_a(s->train[i].name))
            memcpy(s->p[i], s->train[i].p, (size_t)s->train[i].n * s->esize);
        else
            for (int64_t j = 0; j < s->train[i].n; j++)
                ul_real_put(m->d[i], j, s->esize,
                            ul_real_at(s->train[i].p, j, s->esize) - ul_real_at(s->p[i], j, s->esize));
}

void ul_move_negate(ul_move *m)
{
    for (int i = 0; i < m->from.n; i++)
        for (int64_t j = 0; j < m->from.train[i].n; j++)
            ul_real_put(m->d[i], j, m->from.esize, -ul_real_at(m->d[i], j, m->from.esize));
}

void ul_move_to(const ul_move *m, double a)
{
    const ul_snapshot *s = &m->from;
    for (int i = 0; i < s->n; i++)
        for (int64_t j = 0; j < s->train[i].n; j++)
            ul_real_put(s->train[i].p, j, s->esize,
                        ul_real_at(s->p[i], j, s->esize) + a * ul_real_at(m->d[i], j, s->esize));
}
