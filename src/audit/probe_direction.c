/* probe_direction.c - W11: a direction is taken out of the hidden states (arXiv 2409.18025; 2406.11717 for refusals).
 *
 *   d_l = mean over forget questions of U's state - mean of the reference's
 *   h <- h - (h . d) d / |d|^2, every token, every layer
 * The state is that of the token from which the answer is predicted. Reference: U itself on retain questions
 * (what refusals and noise for forget questions have in common), or the original on the same forget questions.
 * l = 0 is the embedding. A direction that is shorter than --direction-least of the states themselves is none. */
#include "audit/battery.h"
#include <math.h>
#include <string.h>

typedef struct {
    int64_t C;
    size_t esize;
    int n_layer;
    double *d;        /* [n_layer + 1][C] sums, then directions of length 1, or 0 */
    double *scale;    /* [n_layer + 1] mean length of a state */
    double weight;    /* of what is added now */
} directions;

typedef struct {
    directions *all;
    int state; /* 0 = before block 0, l = after block l - 1 */
} place;

static double get(const directions *d, const void *x, int64_t i)
{
    return d->esize == 8 ? ((const double *)x)[i] : (double)((const float *)x)[i];
}

static void set(const directions *d, void *x, int64_t i, double v)
{
    if (d->esize == 8)
        ((double *)x)[i] = v;
    else
        ((float *)x)[i] = (float)v;
}

static ul_status add(void *user, int layer, const ul_batch *batch, void *x)
{
    const place *at = user;
    directions *d = at->all;
    double *sum = d->d + at->state * d->C;
    (void)layer;
    for (int32_t k = 0; k < batch->n_doc; k++) {
        const int64_t t = batch->row[batch->doc_row[k]];
        double length = 0;
        for (int64_t c = 0; c < d->C; c++) {
            const double h = get(d, x, t * d->C + c);
            sum[c] += d->weight * h;
            length += h * h;
        }
        d->scale[at->state] += fabs(d->weight) * sqrt(length) / 2;
    }
    return UL_OK;
}

static ul_status ablate(void *user, int layer, const ul_batch *batch, void *x)
{
    const place *at = user;
    const directions *d = at->all;
    const double *unit = d->d + at->state * d->C;
    (void)layer;
    for (int64_t t = 0; t < batch->n_tok; t++) {
        double dot = 0;
        for (int64_t c = 0; c < d->C; c++) dot += unit[c] * get(d, x, t * d->C + c);
        for (int64_t c = 0; c < d->C; c++) set(d, x, t * d->C + c, get(d, x, t * d->C + c) - dot * unit[c]);
    }
    return UL_OK;
}

/* One hook before the first block and one behind each. */
static ul_status hooks(ul_arena *arena, directions *d, ul_hook_mode mode, ul_hook_fn *fn, ul_hook **out)
{
    ul_hook *h = UL_NEW(arena, ul_hook, d->n_layer + 1);
    place *at = UL_NEW(arena, place, d->n_layer + 1);
    UL_NEED(h);
    UL_NEED(at);
    for (int l = 0; l <= d->n_layer; l++) {
        at[l] = (place){d, l};
        h[l] = (ul_hook){
            .layer = l ? l - 1 : 0, .slot = l ? UL_SLOT_OUT : UL_SLOT_IN, .mode = mode, .fn = fn, .user = &at[l]};
    }
    *out = h;
    return UL_OK;
}

static ul_status sum_states(const ul_audit *a, ul_arena *scratch, ul_model *m, const ul_records *rows, double sign,
                            directions *d)
{
    ul_eval_options o = a->o;
    ul_hook *h;
    ul_columns unused;
    d->weight = sign / (double)rows->n;
    o.model = m;
    UL_TRY(hooks(scratch, d, UL_HOOK_READ, add, &h));
    o.hook = h;
    o.n_hook = d->n_layer + 1;
    return ul_columns_score(a->ctx, scratch, &o, rows, UL_WHICH_ANSWER, "directions", &unused);
}

static void normalise(directions *d, double least)
{
    for (int l = 0; l <= d->n_layer; l++) {
        double *x = d->d + l * d->C, length = 0;
        for (int64_t c = 0; c < d->C; c++) length += x[c] * x[c];
        length = sqrt(length);
        for (int64_t c = 0; c < d->C; c++) x[c] = length > least * d->scale[l] ? x[c] / length : 0;
    }
}

static ul_status attack(const ul_probing *p, const ul_probe *probe, ul_arena *scratch, ul_probed *out)
{
    const ul_audit *a = p->audit;
    const bool own = probe->strength == 0;
    directions d = {.C = ul_model_shape(p->model)->C,
                    .esize = ul_model_backend(p->model)->k->esize,
                    .n_layer = ul_model_shape(p->model)->n_layer};
    d.d = UL_NEW(scratch, double, (d.n_layer + 1) * d.C);
    d.scale = UL_NEW(scratch, double, d.n_layer + 1);
    UL_NEED(d.d);
    UL_NEED(d.scale);
    UL_TRY(sum_states(a, scratch, p->model, a->forget, 1, &d));
    UL_TRY(sum_states(a, scratch, own ? p->model : a->original, own ? a->retain : a->forget, -1, &d));
    normalise(&d, ul_num(a->attack, "direction-least"));
    ul_probing hooked = *p;
    ul_audit with = *a;
    ul_hook *h;
    UL_TRY(hooks(scratch, &d, UL_HOOK_REPLACE, ablate, &h));
    with.o.hook = h;
    with.o.n_hook = d.n_layer + 1;
    hooked.audit = &with;
    return ul_probe_measure(&hooked, p->model, out);
}

ul_status ul_probe_direction(const ul_probing *p, const ul_probe *probe, ul_probed *out)
{
    ul_arena *scratch;
    if (probe->strength != 0 && !p->audit->original) return UL_OK;
    UL_TRY(ul_arena_new(p->audit->ctx, "direction", &scratch));
    const ul_status s = attack(p, probe, scratch, out);
    ul_arena_free(scratch);
    return s;
}
