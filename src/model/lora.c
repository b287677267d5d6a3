/* lora.c - low-rank adapters: y += s (x A^T) B^T.
 *
 *   s = alpha / r, with rslora alpha / sqrt(r)
 *   A ~ U(-1/sqrt(cols), 1/sqrt(cols)) (kaiming uniform, a = sqrt 5), B = 0
 *
 * A start of its own, A_0 and B_0 (ul_lora_start): W_0 - s B_0 A_0 takes the place of W_0, and what is written is
 * s [B, -B_0] [A; A_0], an adapter of W_0 (as PEFT converts PiSSA's).
 *
 * An adapter belongs to a tensor of the file; the parts of a stacked tensor share A and have their rows of B.
 * Hu et al. 2021, arXiv:2106.09685; Kalajdzievski 2023, arXiv:2312.03732 (rsLoRA); PEFT, tuners/lora/layer.py. */
#include "model/lora.h"
#include <math.h>
#include <string.h>

bool ul_lora_fits(const ul_matrix *x)
{
    const ul_weight *w = x->part[0];
    return !x->vector && !w->is_embedding && !w->is_head;
}

ul_status ul_lora_attach(ul_model *m, ul_matrix *x, int r, double alpha, bool rslora)
{
    const size_t esize = m->be->k->esize;
    void *a = ul_alloc(m->lora_arena, (size_t)(r * x->cols), esize),
         *b = ul_alloc(m->lora_arena, (size_t)(x->rows * r), esize);
    UL_NEED(a);
    UL_NEED(b);
    int64_t row = 0;
    for (int k = 0; k < x->n_part; k++) {
        ul_weight *w = x->part[k];
        w->r = r, w->s = alpha / (rslora ? sqrt(r) : r);
        w->a = a, w->b = ul_part_of(m->be, b, row * r);
        row += w->rows;
    }
    return UL_OK;
}

ul_status ul_lora_none_yet(ul_ctx *ctx, const ul_model *m)
{
    if (!m->peft) return UL_OK;
    return ul_fail(ctx, UL_E_USAGE, "%s: the model has an adapter already; merge it before another is added", m->dir);
}

static ul_status attach_all(ul_ctx *ctx, ul_model *m, const ul_lora *l, const json_t *config)
{
    int n = 0;
    for (int i = 0; i < m->n_matrix; i++) {
        ul_matrix *x = &m->matrix[i];
        bool take = false;
        if (x->vector) continue;
        UL_TRY(ul_peft_targets(ctx, config, "adapter", x->module, &take));
        if (take && !ul_lora_fits(x))
            return ul_fail(ctx, UL_E_USAGE,
                           "adapter: unsupported target \"%s\": adapters go on linear layers inside the blocks",
                           x->module);
        if (!take) continue;
        UL_TRY(ul_lora_attach(m, x, l->r, l->alpha, l->rslora));
        const double bound = 1 / sqrt((double)x->cols);
        for (int64_t k = 0; k < l->r * x->cols; k++)
            ul_real_set(m->be, x->part[0]->a, k,
                        bound * (2 * ul_rng_uniform(l->seed, UL_STREAM_LORA, (uint64_t)i, (uint64_t)k) - 1));
        n++;
    }
    return n ? UL_OK : ul_peft_no_target(ctx, m, l->targets);
}

ul_status ul_lora_add(ul_ctx *ctx, ul_model *m, const ul_lora *l)
{
    json_t *config;
    UL_TRY(ul_lora_none_yet(ctx, m));
    if (l->r < 1 || !(l->alpha > 0) || !isfinite(l->alpha))
        return ul_fail(ctx, UL_E_USAGE, "adapter: rank is %d and alpha %g, both must be above 0", l->r, l->alpha);
    UL_TRY(ul_peft_config(m, l, &config));
    ul_status status = attach_all(ctx, m, l, config);
    if (status != UL_OK) {
        ul_lora_drop(m);
        return status;
    }
    m->peft = config;
    return ul_model_select(ctx, m, "lora");
}

/* The adapters are gone; what modules_to_save replaced is back. */
void ul_lora_drop(ul_model *m)
{
    for (int i = 0; i < m->n_matrix; i++) {
        ul_matrix *x = &m->matrix[i];
        if (x->base) x->p = x->base;
        x->base = NULL, x->saved = x->wrapped = false;
        for (int k = 0; k < x->n_part; k++) {
            ul_weight *w = x->part[k];
            if (w->base) w->p = w->base;
            w->base = NULL, w->r = 0, w->a = w->b = w->ga = w->gb = w->a0 = w->b0 = NULL;
        }
    }
    m->own_head = NULL, m->head_matrix = NULL, m->peft = NULL;
    m->run.ready = false;
    ul_arena_reset(m->lora_arena);
}

/* W += sign s B A, each element summed in double and rounded once. */
static void add_product(const ul_model *m, ul_matrix *x, double sign)
{
    for (int k = 0; k < x->n_part; k++) {
        ul_weight *w = x->part[k];
        for (int64_t i = 0; i < w->rows; i++)
            for (int64_t j = 0; j < w->cols; j++) {
                double sum = 0;
                for (int64_t c = 0; c < w->r; c++)
                    sum += ul_real_get(m->be, w->b, i * w->r + c) * ul_real_get(m->be, w->a, c * w->cols + j);
                ul_real_set(m->be, w->p, i * w->cols + j,
                            ul_real_get(m->be, w->p, i * w->cols + j) + sign * w->s * sum);
            }
    }
}

static void *copy_of(ul_model *m, const void *p, int64_t n)
{
    const size_t bytes = (size_t)n * m->be->k->esize;
    void *to = ul_alloc_raw(m->lora_arena, bytes, 1);
    if (to) memcpy(to, p, bytes);
    return to;
}

ul_status ul_lora_start(ul_ctx *ctx, ul_model *m)
{
    if (!m->peft) return ul_fail(ctx, UL_E_USAGE, "%s: the model has no adapter to start", m->dir);
    for (int i = 0; i < m->n_matrix; i++) {
        ul_matrix *x = &m->matrix[i];
        ul_weight *w = x->part[0];
        if (!w->r) continue;
        if (w->a0) return ul_fail(ctx, UL_E_INTERNAL, "%s: the adapter has a start already", x->name);
        UL_NEED(w->a0 = copy_of(m, w->a, w->r * x->cols));
        UL_NEED(w->b0 = copy_of(m, w->b, x->rows * w->r));
        add_product(m, x, -1);
    }
    return UL_OK;
}

ul_status ul_lora_merge(ul_ctx *ctx, ul_model *m)
{
    const size_t esize = m->be->k->esize;
    if (!m->peft) return ul_fail(ctx, UL_E_USAGE, "%s: the model has no adapter to merge", m->dir);
    for (int i = 0; i < m->n_matrix; i++) {
        ul_matrix *x = &m->matrix[i];
        if (x->part[0]->r) add_product(m, x, 1);
        if (x->base) memcpy(x->base, x->p, (size_t)(x->rows * x->cols) * esize);
    }
    ul_weight *head = m->own_head;
    ul_matrix *head_matrix = m->head_matrix;
    if (head) { /* stays: the model has two matrices now where it had one */
        void *p = ul_alloc_raw(m->arena, (size_t)(head->rows * head->cols), esize);
        UL_NEED(p);
        memcpy(p, head->p, (size_t)(head->rows * head->cols) * esize);
        head->p = head_matrix->p = p;
        head_matrix->saved = false;
    }
    ul_lora_drop(m);
    m->own_head = head, m->head_matrix = head_matrix;
    return ul_model_select(ctx, m, "none");
}
