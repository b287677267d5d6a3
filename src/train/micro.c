/* micro.c - one micro-batch: a run of whole samples, packed; reference numbers; forward; the method's loss, sample by
 * sample, in double; backward. Nothing here depends on where the cut between micro-batches fell. */
#include "train/train_impl.h"
#include <math.h>
#include <string.h>

/* Row-sized arrays of one micro-batch. */
typedef struct {
    double *logp, *coef;  /* [n_row]                          */
    double *kl, *kl_coef; /* [n_row] or NULL                  */
    double *ref;          /* [n_row] or NULL                  */
    char *ref_hidden;     /* [n_row, C] real, or NULL         */
    uint8_t *soft;        /* [n_row] or NULL                  */
    const void *ref_head;
} rows;

static ul_status pad_retain(ul_trainer *t, const ul_sample *samples, int32_t n, ul_sample **out)
{
    ul_sample *s = UL_NEW(t->step, ul_sample, n);
    ul_doc *d = UL_NEW(t->step, ul_doc, n);
    int32_t longest = 0;
    if (!s || !d) return UL_E_RESOURCE;
    for (int32_t i = 0; i < n; i++)
        if (samples[i].doc[UL_RETAIN] && samples[i].doc[UL_RETAIN]->n > longest) longest = samples[i].doc[UL_RETAIN]->n;
    for (int32_t i = 0; i < n; i++) {
        s[i] = samples[i];
        if (!s[i].doc[UL_RETAIN]) continue;
        UL_TRY(ul_doc_pad(t->ctx, t->step, s[i].doc[UL_RETAIN], longest, t->o.pad_id, &d[i]));
        s[i].doc[UL_RETAIN] = &d[i];
    }
    *out = s;
    return UL_OK;
}

ul_status ul_trainer_pack(ul_trainer *t, const ul_sample *samples, int32_t n, ul_batch **out)
{
    ul_sample *padded = NULL;
    if (t->all_rows) UL_TRY(pad_retain(t, samples, n, &padded));
    return ul_pack(t->ctx, t->step, padded ? padded : samples, n, t->sides, t->all_rows, out);
}

static bool wants_ref(const ul_trainer *t, int side)
{
    if (side == UL_RETAIN) return t->kl;
    return t->needs & (side == UL_FORGET ? UL_NEED_FORGET_REF : UL_NEED_ALT_REF);
}

static ul_status rows_new(ul_trainer *t, const ul_batch *b, rows *r)
{
    const size_t n = (size_t)b->n_row, row = (size_t)ul_model_shape(t->o.model)->C * t->be->k->esize;
    *r = (rows){.logp = UL_NEW(t->step, double, n), .coef = UL_NEW(t->step, double, n)};
    if (!r->logp || !r->coef) return UL_E_RESOURCE;
    if (wants_ref(t, UL_FORGET) || wants_ref(t, UL_ALT)) UL_NEED(r->ref = UL_NEW(t->step, double, n));
    if (!t->kl) return UL_OK;
    r->kl = UL_NEW(t->step, double, n);
    r->kl_coef = UL_NEW(t->step, double, n);
    r->soft = UL_NEW(t->step, uint8_t, n);
    r->ref_hidden = ul_alloc(t->step, n, row);
    if (!r->kl || !r->kl_coef || !r->soft || !r->ref_hidden) return UL_E_RESOURCE;
    for (int32_t d = 0; d < b->n_doc; d++)
        if (b->doc_side[d] == UL_RETAIN)
            memset(r->soft + b->doc_row[d], 1, (size_t)(b->doc_row[d + 1] - b->doc_row[d]));
    return UL_OK;
}

/* Reference numbers from the caches of the sides. */
static ul_status ref_from_cache(ul_trainer *t, const ul_sample *samples, const ul_batch *b, rows *r)
{
    const size_t row = (size_t)ul_model_shape(t->o.model)->C * t->be->k->esize;
    for (int32_t d = 0; d < b->n_doc; d++) {
        const int side = b->doc_side[d];
        const ul_reference *ref = t->o.ref[side];
        if (!wants_ref(t, side)) continue;
        const int32_t first = b->doc_row[d], n = b->doc_row[d + 1] - first;
        const int64_t id = samples[b->doc_sample[d]].doc[side]->id;
        if (ul_reference_rows(ref, id) != n)
            return ul_fail(t->ctx, UL_E_INTERNAL, "document %lld has %d scored tokens, its cached reference %d",
                           (long long)id, (int)n, (int)ul_reference_rows(ref, id));
        if (side == UL_RETAIN)
            memcpy(r->ref_hidden + (size_t)first * row, ul_reference_hidden(ref, id), (size_t)n * row);
        else
            memcpy(r->ref + first, ul_reference_logp(ref, id), (size_t)n * sizeof *r->ref);
    }
    if (t->kl) r->ref_head = ul_reference_head(t->o.ref[UL_RETAIN]);
    return UL_OK;
}

/* The same by running the reference: a second model, or this one with its adapters off. */
static ul_status ref_from_model(ul_trainer *t, const ul_batch *b, rows *r)
{
    ul_model *m = t->o.reference;
    ul_pass pass = {.batch = b, .flags = m == t->o.model ? UL_PASS_BASE : 0, .last = -1};
    pass.score.logp = r->ref;
    pass.row_hidden = r->ref_hidden;
    if (t->kl) r->ref_head = ul_model_head(m);
    return ul_model_forward(t->ctx, m, &pass);
}

/* Mean nll of the forget side: plain training. */
static double plain_loss(ul_side *forget)
{
    double sum = 0;
    for (int32_t i = 0; i < forget->n; i++) {
        sum -= forget->logp[i];
        forget->dlogp[i] = -1 / forget->n_tok;
    }
    return forget->n ? sum / forget->n_tok : 0;
}

static void add_up(const ul_batch *b, const rows *r, int32_t doc, ul_sums *sums)
{
    const int side = b->doc_side[doc];
    for (int32_t i = b->doc_row[doc]; i < b->doc_row[doc + 1]; i++)
        if (b->label[i] >= 0) {
            sums->nll[side] -= r->logp[i];
            sums->scored[side]++;
        }
}

static void losses(ul_trainer *t, const ul_batch *b, int32_t n, const rows *r, const ul_counts *counts, ul_sums *sums)
{
    int32_t d = 0;
    for (int32_t i = 0; i < n; i++) {
        ul_side side[UL_N_SIDE] = {{0}};
        for (int s = 0; s < UL_N_SIDE; s++) side[s].n_tok = counts->n_tok[s], side[s].n_seq = counts->n_seq[s];
        for (; d < b->n_doc && b->doc_sample[d] == i; d++) {
            const int32_t first = b->doc_row[d];
            ul_side *x = &side[b->doc_side[d]];
            x->n = b->doc_row[d + 1] - first;
            x->logp = r->logp + first;
            x->dlogp = r->coef + first;
            if (r->ref) x->ref = r->ref + first;
            if (r->kl) x->kl = r->kl + first, x->dkl = r->kl_coef + first;
            add_up(b, r, d, sums);
        }
        const ul_method *m = t->o.method;
        sums->loss +=
            m ? m->loss(t->o.args, &side[UL_FORGET], &side[UL_ALT], &side[UL_RETAIN]) : plain_loss(&side[UL_FORGET]);
    }
    sums->tokens += b->n_tok;
}

/* Where the NaN comes from: a weight if one is bad, else the loss itself. */
static ul_status bad_loss(ul_trainer *t, int64_t step, double loss)
{
    for (int i = 0; i < t->n_train; i++) {
        const int64_t at = t->be->k->first_bad(t->be, t->train[i].n, t->train[i].p);
        if (at >= 0)
            return ul_fail(t->ctx, UL_E_CRITERION,
                           "step %lld: the loss is %g because the weight %s[%lld] is not finite: "
                           "take a smaller --lr",
                           (long long)step + 1, loss, t->train[i].name, (long long)at);
    }
    return ul_fail(t->ctx, UL_E_CRITERION,
                   "step %lld: the loss is %g though every weight is finite: the logits "
                   "overflow; take a smaller --lr or fewer steps",
                   (long long)step + 1, loss);
}

ul_status ul_trainer_micro(ul_trainer *t, int64_t step, const ul_sample *samples, int32_t n, const ul_counts *counts,
                           ul_sums *sums)
{
    ul_batch *b;
    rows r;
    UL_TRY(ul_trainer_pack(t, samples, n, &b));
    if (b->n_row == 0) return UL_OK;
    UL_TRY(rows_new(t, b, &r));
    if (r.ref || r.kl) UL_TRY(t->o.reference ? ref_from_model(t, b, &r) : ref_from_cache(t, samples, b, &r));
    ul_pass pass = {.batch = b,
                    .flags = UL_PASS_GRAD | (t->o.checkpoint ? UL_PASS_CHECKPOINT : 0),
                    .last = -1,
                    .ref_hidden = r.ref_hidden,
                    .ref_head = r.ref_head,
                    .soft = r.soft,
                    .coef = r.coef,
                    .kl_coef = r.kl_coef};
    pass.score.logp = r.logp;
    pass.score.kl = r.kl;
    UL_TRY(ul_model_forward(t->ctx, t->o.model, &pass));
    losses(t, b, n, &r, counts, sums);
    if (!isfinite(sums->loss)) return bad_loss(t, step, sums->loss);
    return ul_model_backward(t->ctx, t->o.model, &pass);
}
