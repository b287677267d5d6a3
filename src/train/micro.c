/* micro.c - one micro-batch: a run of whole samples, packed; reference numbers; forward; the method's loss, sample by
 * sample, in double; backward. Nothing here depends on where the cut between micro-batches fell. */
#include "train/train_impl.h"
#include <math.h>
#include <string.h>

/* Row-sized arrays of one micro-batch. */
typedef struct {
    double *logp, *coef;  /* [n_row]                          */
    double *kl, *ce;      /* [n_row] or NULL                  */
    double *gap, *gap_coef;   /* [n_row] or NULL              */
    double *dist, *ddist;     /* [n_row] or NULL              */
    double *lens, *dlens;     /* [n_row] or NULL              */
    double *rival, *rival_coef; /* [n_row] or NULL            */
    double *mu, *mu_coef;     /* [n_row] or NULL              */
    uint8_t *top;         /* [n_row] forget rows, or NULL     */
    double *soft_coef;    /* [n_row] or NULL: of kl or ce     */
    double *ref;          /* [n_row] or NULL                  */
    char *ref_hidden;     /* [n_row, C] real, or NULL         */
    const void **ref_state; /* [n_doc] the document's reference states, or NULL */
    uint8_t *soft;        /* [n_row] UL_SOFT_*, or NULL       */
    int32_t *shift_at;    /* [n_row] or NULL: the label       */
    const void *ref_head;
} rows;

static ul_status pad(ul_trainer *t, int side, ul_sample *samples, int32_t n)
{
    ul_doc *d = UL_NEW(t->step, ul_doc, n);
    int32_t longest = 0;
    UL_NEED(d);
    for (int32_t i = 0; i < n; i++)
        if (samples[i].doc[side] && samples[i].doc[side]->n > longest) longest = samples[i].doc[side]->n;
    for (int32_t i = 0; i < n; i++) {
        if (!samples[i].doc[side]) continue;
        UL_TRY(ul_doc_pad(t->ctx, t->step, samples[i].doc[side], longest, t->o.pad_id, &d[i]));
        samples[i].doc[side] = &d[i];
    }
    return UL_OK;
}

/* The peer's mask of the gap is not shifted: rows are the labelled tokens themselves, the last of a document too. */
static ul_status unshift(ul_trainer *t, ul_sample *s)
{
    ul_doc *d = UL_NEW(t->step, ul_doc, 1);
    const ul_doc *from = s->doc[UL_FORGET];
    UL_NEED(d);
    UL_TRY(ul_doc_pad(t->ctx, t->step, from, from->n + 1, t->o.pad_id, d));
    uint8_t *labelled = UL_NEW(t->step, uint8_t, d->n);
    UL_NEED(labelled);
    memcpy(labelled + 1, from->labelled, (size_t)from->n);
    d->labelled = labelled;
    s->doc[UL_FORGET] = d;
    return UL_OK;
}

/* The alternate's prompt stands only once where nobody looks at single tokens of a document: not at states, and not at
 * what a cache or the peers have of each document. */
static unsigned share(const ul_trainer *t)
{
    const bool looked_at = t->o.hook || t->o.observer || t->needs & UL_NEED_STATE;
    return looked_at || t->first || t->recipe.match_peer ? 0 : UL_SHARE_PROMPT;
}

ul_status ul_trainer_pack(ul_trainer *t, const ul_sample *samples, int32_t n, ul_batch **out)
{
    ul_sample *padded = NULL;
    const bool unshifted = t->recipe.match_peer && t->needs & UL_NEED_FORGET_GAP;
    if (t->all_rows || unshifted) {
        UL_NEED(padded = UL_NEW(t->step, ul_sample, n));
        memcpy(padded, samples, (size_t)n * sizeof *samples);
        for (int k = 0; k < UL_N_SIDE; k++)
            if (t->all_rows >> k & 1u) UL_TRY(pad(t, k, padded, n));
        for (int32_t i = 0; unshifted && i < n; i++) UL_TRY(unshift(t, &padded[i]));
    }
    return ul_pack(t->ctx, t->step, padded ? padded : samples, n, t->now | share(t), t->all_rows, out);
}

/* The soft targets of a document's rows. The peer's cross-entropy is of shifted logits, so the last row has none, and
 * where no label is, its label -100 counts from the end of the vocabulary. */
static void aim(const ul_trainer *t, const ul_batch *b, int32_t doc, rows *r)
{
    enum { PEER_NO_LABEL = 100 };
    const int side = b->doc_side[doc];
    const int kind = side == UL_RETAIN && t->needs & UL_NEED_RETAIN_KL       ? UL_SOFT_KL
                     : side == UL_FORGET && t->needs & UL_NEED_FORGET_KL     ? UL_SOFT_KL
                     : side == UL_FORGET && t->needs & UL_NEED_FORGET_CE     ? UL_SOFT_CE
                     : side == UL_FORGET && t->needs & UL_NEED_FORGET_CE_OWN ? UL_SOFT_CE_OWN
                                                                             : UL_SOFT_NONE;
    const int32_t first = b->doc_row[doc], last = b->doc_row[doc + 1];
    const int32_t V = ul_model_shape(t->o.model)->V;
    memset(r->soft + first, kind, (size_t)(last - first));
    if (!r->shift_at || kind != UL_SOFT_CE) return;
    r->soft[last - 1] = UL_SOFT_NONE;
    for (int32_t i = first; i < last; i++) r->shift_at[i] = b->label[i] >= 0 ? b->label[i] : V - PEER_NO_LABEL;
}

static ul_status rows_new(ul_trainer *t, const ul_batch *b, rows *r)
{
    const size_t n = (size_t)b->n_row, row = (size_t)ul_model_shape(t->o.model)->C * t->be->k->esize;
    *r = (rows){.logp = UL_NEW(t->step, double, n), .coef = UL_NEW(t->step, double, n)};
    if (!r->logp || !r->coef) return UL_E_RESOURCE;
    if (t->needs & (UL_NEED_FORGET_REF | UL_NEED_ALT_REF)) UL_NEED(r->ref = UL_NEW(t->step, double, n));
    if (t->needs & UL_NEED_FORGET_GAP) {
        UL_NEED(r->gap = UL_NEW(t->step, double, n));
        UL_NEED(r->gap_coef = UL_NEW(t->step, double, n));
    }
    if (t->needs & UL_NEED_FORGET_RIVAL) {
        UL_NEED(r->rival = UL_NEW(t->step, double, n));
        UL_NEED(r->rival_coef = UL_NEW(t->step, double, n));
    }
    if (t->needs & UL_NEED_FORGET_MU) {
        UL_NEED(r->mu = UL_NEW(t->step, double, n));
        UL_NEED(r->mu_coef = UL_NEW(t->step, double, n));
    }
    if (t->needs & UL_NEED_FORGET_LENS) {
        UL_NEED(r->lens = UL_NEW(t->step, double, n));
        UL_NEED(r->dlens = UL_NEW(t->step, double, n));
    }
    if (t->needs & UL_NEED_STATE) {
        UL_NEED(r->dist = UL_NEW(t->step, double, n));
        UL_NEED(r->ddist = UL_NEW(t->step, double, n));
        UL_NEED(r->ref_state = UL_NEW(t->step, const void *, b->n_doc));
    }
    if (!t->soft) return UL_OK;
    UL_NEED(r->soft_coef = UL_NEW(t->step, double, n));
    UL_NEED(r->soft = UL_NEW(t->step, uint8_t, n));
    if (t->needs & UL_NEED_KL) UL_NEED(r->kl = UL_NEW(t->step, double, n));
    if (t->needs & (UL_NEED_FORGET_CE | UL_NEED_FORGET_CE_OWN)) UL_NEED(r->ce = UL_NEW(t->step, double, n));
    if (t->needs & (UL_NEED_KL | UL_NEED_FORGET_CE)) UL_NEED(r->ref_hidden = ul_alloc(t->step, n, row));
    if (t->all_rows & UL_SIDE_BIT_FORGET) UL_NEED(r->shift_at = UL_NEW(t->step, int32_t, n));
    for (int32_t d = 0; d < b->n_doc; d++) aim(t, b, d, r);
    if (!t->o.method->top) return UL_OK;
    UL_NEED(r->top = UL_NEW(t->step, uint8_t, n));
    for (int32_t d = 0; d < b->n_doc; d++)
        memset(r->top + b->doc_row[d], b->doc_side[d] == UL_FORGET, (size_t)(b->doc_row[d + 1] - b->doc_row[d]));
    return UL_OK;
}

/* Reference numbers from the caches of the sides. */
static ul_status ref_from_cache(ul_trainer *t, const ul_sample *samples, const ul_batch *b, rows *r)
{
    const size_t row = (size_t)ul_model_shape(t->o.model)->C * t->be->k->esize;
    for (int32_t d = 0; d < b->n_doc; d++) {
        const int side = b->doc_side[d];
        const ul_reference *ref = t->o.ref[side];
        const ul_ref_kind kind = ul_reference_kind(t->needs, side);
        if (kind == UL_REF_NONE || kind == UL_REF_RIVALS || kind == UL_REF_TOP) continue;
        const int32_t first = b->doc_row[d], n = b->doc_row[d + 1] - first;
        const int64_t id = samples[b->doc_sample[d]].doc[side]->id;
        if (ul_reference_rows(ref, id) != n)
            return ul_fail(t->ctx, UL_E_INTERNAL, "document %lld has %d scored tokens, its cached reference %d",
                           (long long)id, (int)n, (int)ul_reference_rows(ref, id));
        if (kind == UL_REF_STATE) {
            r->ref_state[d] = ul_reference_hidden(ref, id);
            continue;
        }
        if (r->ref) memcpy(r->ref + first, ul_reference_logp(ref, id), (size_t)n * sizeof *r->ref);
        if (kind == UL_REF_LOGP) continue;
        memcpy(r->ref_hidden + (size_t)first * row, ul_reference_hidden(ref, id), (size_t)n * row);
        r->ref_head = ul_reference_head(ref);
    }
    return UL_OK;
}

/* The same by running the reference: a second model, or this one with its adapters off. */
static ul_status ref_from_model(ul_trainer *t, const ul_batch *b, rows *r)
{
    ul_model *m = t->o.reference;
    ul_tap *tap;
    const unsigned states = t->needs & UL_NEED_STATE ? UL_PASS_STATES : 0;
    ul_pass pass = {.batch = b, .flags = states | (m == t->o.model ? UL_PASS_BASE : 0), .last = t->blocks};
    if (t->blocks >= 0) pass.flags |= UL_PASS_NO_HEAD;
    pass.score.logp = r->ref;
    pass.row_hidden = r->ref_hidden;
    if (r->ref_hidden) r->ref_head = ul_model_head(m);
    UL_TRY(ul_taps(t->step, m, t->look, UL_N_SIDE, &pass, &tap));
    UL_TRY(ul_model_forward(t->ctx, m, &pass));
    for (int32_t d = 0; d < b->n_doc; d++) {
        if (ul_reference_kind(t->needs, b->doc_side[d]) != UL_REF_STATE) continue;
        const ul_state *s = &t->look[b->doc_side[d]];
        const size_t width = (size_t)ul_state_blocks(s) * (size_t)ul_model_shape(m)->C * t->be->k->esize;
        void *state = ul_alloc_raw(t->step, (size_t)(b->doc_row[d + 1] - b->doc_row[d]), width);
        UL_NEED(state);
        ul_state_copy(m, s, tap, b, d, state);
        r->ref_state[d] = state;
    }
    return UL_OK;
}

/* What the pass starts with, from the caches of the sides. */
static ul_status prefix(ul_trainer *t, const ul_sample *samples, const ul_batch *b, const void **out)
{
    const size_t row = (size_t)ul_model_shape(t->o.model)->C * t->be->k->esize;
    char *x = ul_alloc_raw(t->step, (size_t)b->n_tok, row);
    UL_NEED(x);
    *out = x;
    for (int32_t d = 0; d < b->n_doc; d++) {
        const ul_reference *p = t->o.prefix[b->doc_side[d]];
        const int32_t n = b->doc_start[d + 1] - b->doc_start[d];
        const int64_t id = samples[b->doc_sample[d]].doc[b->doc_side[d]]->id;
        if (!p || ul_reference_rows(p, id) != n)
            return ul_fail(t->ctx, UL_E_INTERNAL, "document %lld has %d tokens, its cached prefix %d", (long long)id,
                           (int)n, p ? (int)ul_reference_rows(p, id) : 0);
        memcpy(x + (size_t)b->doc_start[d] * row, ul_reference_hidden(p, id), (size_t)n * row);
    }
    return UL_OK;
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

static void losses(ul_trainer *t, const ul_batch *b, const ul_sample *samples, int32_t n, const rows *r,
                   const ul_counts *counts, ul_sums *sums)
{
    int32_t d = 0;
    for (int32_t i = 0; i < n; i++) {
        ul_side side[UL_N_SIDE] = {{0}};
        for (int s = 0; s < UL_N_SIDE; s++) side[s].n_tok = counts->n_tok[s], side[s].n_seq = counts->n_seq[s];
        for (; d < b->n_doc && b->doc_sample[d] == i; d++) {
            const int32_t first = b->doc_row[d];
            ul_side *x = &side[b->doc_side[d]];
            x->n = b->doc_row[d + 1] - first;
            x->n_place = samples[i].doc[b->doc_side[d]]->n - 1;
            x->logp = r->logp + first;
            x->dlogp = r->coef + first;
            if (r->ref) x->ref = r->ref + first;
            if (r->kl) x->kl = r->kl + first, x->dkl = r->soft_coef + first;
            if (r->gap) x->gap = r->gap + first, x->dgap = r->gap_coef + first;
            if (r->rival) x->rival = r->rival + first, x->drival = r->rival_coef + first;
            if (r->mu) x->mu = r->mu + first, x->dmu = r->mu_coef + first;
            if (r->dist) x->dist = r->dist + first, x->ddist = r->ddist + first;
            if (r->lens) x->lens = r->lens + first, x->dlens = r->dlens + first;
            x->token_share = counts->token_share[b->doc_side[d]];
            if (x->token_share == 0) x->token_share = 1 / (x->n_seq * x->n);
            x->dual = counts->dual, x->epoch = counts->epoch;
            x->progress = counts->progress, x->n_layer = ul_model_shape(t->o.model)->n_layer;
            if (r->ce) x->ce = r->ce + first, x->dce = r->soft_coef + first;
            add_up(b, r, d, sums);
        }
        const ul_method *m = t->o.method;
        sums->loss +=
            m ? m->loss(t->o.args, &side[UL_FORGET], &side[UL_ALT], &side[UL_RETAIN]) : plain_loss(&side[UL_FORGET]);
        sums->constraint += side[UL_RETAIN].constraint;
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

unsigned ul_trainer_flags(const ul_trainer *t)
{
    return UL_PASS_GRAD | (t->o.checkpoint ? UL_PASS_CHECKPOINT : 0) | (t->blocks >= 0 ? UL_PASS_NO_HEAD : 0) |
           (t->needs & UL_NEED_STATE ? UL_PASS_STATES : 0);
}

ul_status ul_trainer_micro(ul_trainer *t, int64_t step, const ul_sample *samples, int32_t n, const ul_counts *counts,
                           ul_sums *sums)
{
    const ul_method *m = t->o.method;
    const bool headless = t->blocks >= 0, states = t->needs & UL_NEED_STATE;
    ul_batch *b;
    rows r;
    UL_TRY(ul_trainer_pack(t, samples, n, &b));
    if (b->n_row == 0) return UL_OK;
    UL_TRY(rows_new(t, b, &r));
    if (r.ref || r.ref_hidden || r.ref_state)
        UL_TRY(t->o.reference ? ref_from_model(t, b, &r) : ref_from_cache(t, samples, b, &r));
    ul_pass pass = {.batch = b,
                    .flags = ul_trainer_flags(t),
                    .first = t->first,
                    .last = t->blocks,
                    .hook = t->o.hook,
                    .n_hook = t->o.n_hook,
                    .mix = t->o.mix,
                    .observer = t->o.observer,
                    .ref_hidden = r.ref_hidden,
                    .ref_head = r.ref_head,
                    .soft = r.soft,
                    .shift = m && m->shift ? m->shift(t->o.args) : 0,
                    .shift_at = r.shift_at,
                    .cool = m && m->temperature ? 1 / m->temperature(t->o.args) : 0,
                    .top = m && m->top ? m->top(t->o.args) : 0,
                    .top_row = r.top,
                    .coef = r.coef,
                    .kl_coef = r.soft_coef,
                    .gap_coef = r.gap_coef,
                    .rival_coef = r.rival_coef,
                    .mu_coef = r.mu_coef};
    if (t->first) UL_TRY(prefix(t, samples, b, &pass.start));
    pass.score.logp = r.logp;
    pass.score.kl = r.kl;
    pass.score.ce = r.ce;
    pass.score.gap = r.gap;
    pass.score.rival = r.rival;
    pass.score.mu = r.mu;
    UL_TRY(ul_taps(t->step, t->o.model, t->look, UL_N_SIDE, &pass, &t->tap));
    UL_TRY(ul_model_forward(t->ctx, t->o.model, &pass));
    for (int32_t i = 0; headless && i < b->n_row; i++) r.logp[i] = (double)NAN; /* no head, no likelihood */
    if (states) UL_TRY(ul_state_look(t, b, samples, step, r.ref_state, NULL, r.dist, NULL));
    if (r.lens) UL_TRY(ul_lens_look(t, b, r.lens));
    losses(t, b, samples, n, &r, counts, sums);
    if (!isfinite(sums->loss)) return bad_loss(t, step, sums->loss);
    ul_seed *seed;
    if (states) {
        UL_TRY(ul_state_seeds(t, b, samples, step, r.ref_state, r.ddist, &seed, &pass.n_seed));
        if (r.lens) UL_TRY(ul_lens_seeds(t, b, r.dlens, seed, &pass.n_seed));
        pass.seed = seed;
    }
    return ul_model_backward(t->ctx, t->o.model, &pass);
}
