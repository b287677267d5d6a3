/* state.c - losses of hidden states: dist = |h - target|^2 / C at the scored tokens, its gradient 2 (h - target) / C, the
 * control vector that forget documents are steered to, and which blocks and weights such a method needs.
 *
 * The target is steer * u / |u|, u uniform in [0, 1)^C (Li et al. 2024, WMDP, arXiv:2403.03218), or the reference's state. */
#include "train/train_impl.h"
#include <math.h>
#include <string.h>

int ul_method_blocks(const ul_method *m, const ul_args *args, const ul_model *model)
{
    return m && m->layer ? m->layer(args, ul_model_shape(model)->n_layer) + 1 : -1;
}

const char *ul_method_train(ul_arena *arena, const ul_method *m, const ul_args *args, ul_model *model)
{
    enum { BLOCKS = 3 };
    const int last = ul_method_blocks(m, args, model) - 1;
    const char *name = "mlp.c_proj";
    ul_weight *w;
    if (last < 0) return "all";
    for (int i = ul_model_weights(model, &w); i-- > 0;)
        if (strstr(w[i].name, "mlp.down_proj")) name = "mlp.down_proj";
    return ul_format(arena, "layers %d-%d %s", last < BLOCKS ? 0 : last - BLOCKS + 1, last, name);
}

ul_status ul_state_control(ul_trainer *t)
{
    const int32_t C = ul_model_shape(t->o.model)->C;
    double *u = UL_NEW(t->arena, double, C), norm = 0;
    UL_NEED(u);
    UL_NEED(t->control = ul_alloc(t->arena, (size_t)C, t->be->k->esize));
    for (int32_t i = 0; i < C; i++) {
        u[i] = ul_rng_uniform(t->recipe.seed, UL_STREAM_CONTROL, 0, (uint64_t)i);
        norm += u[i] * u[i];
    }
    for (int32_t i = 0; i < C; i++) {
        const double x = t->o.control ? t->o.control[i] : t->o.method->steer(t->o.args) * u[i] / sqrt(norm);
        if (t->be->k->esize == sizeof(double))
            ((double *)t->control)[i] = x;
        else
            ((float *)t->control)[i] = (float)x;
    }
    return UL_OK;
}

/* The scored tokens: a row is the position before one. */
ul_status ul_state_index(ul_ctx *ctx, ul_arena *arena, const ul_batch *b, int32_t **out)
{
    (void)ctx;
    UL_NEED(*out = UL_NEW(arena, int32_t, b->n_row));
    for (int32_t i = 0; i < b->n_row; i++) (*out)[i] = b->row[i] + 1;
    return UL_OK;
}

ul_status ul_state_micro(ul_trainer *t, const ul_batch *b, const void *ref_state, ul_pass *pass, double *dist, void **diff)
{
    const ul_kernels *k = t->be->k;
    const int32_t C = ul_model_shape(t->o.model)->C;
    const size_t row = (size_t)C * k->esize;
    int32_t *index;
    UL_TRY(ul_state_index(t->ctx, t->step, b, &index));
    UL_NEED(*diff = ul_alloc(t->step, (size_t)b->n_row, row));
    UL_TRY(ul_model_forward(t->ctx, t->o.model, pass));
    k->gather(t->be, b->n_row, C, index, ul_model_hidden(t->o.model, t->blocks), *diff, false);
    for (int32_t d = 0; d < b->n_doc; d++)
        for (int32_t i = b->doc_row[d]; i < b->doc_row[d + 1]; i++) {
            char *x = (char *)*diff + (size_t)i * row;
            const char *ref = b->doc_side[d] == UL_RETAIN ? (const char *)ref_state + (size_t)i * row : t->control;
            k->axpy(t->be, C, -1, ref, x);
            dist[i] = k->sum_squares(t->be, C, x) / C;
        }
    return UL_OK;
}

ul_status ul_state_seed(ul_trainer *t, const ul_batch *b, const double *ddist, void *diff, void **dx)
{
    const ul_kernels *k = t->be->k;
    const int32_t C = ul_model_shape(t->o.model)->C;
    int32_t *index;
    UL_TRY(ul_state_index(t->ctx, t->step, b, &index));
    UL_NEED(*dx = ul_alloc(t->step, (size_t)b->n_tok, (size_t)C * k->esize));
    for (int32_t i = 0; i < b->n_row; i++)
        k->scale(t->be, C, 2 * ddist[i] / C, (char *)diff + (size_t)i * (size_t)C * k->esize);
    k->scatter(t->be, b->n_row, C, index, diff, *dx);
    return UL_OK;
}
