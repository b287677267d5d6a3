/* pack.c - packed batches: the documents of whole samples one behind the other, nothing padded. A row is a position
 * whose output is scored: the one before a labelled token. Answers to one prompt may share it: a tree of documents,
 * each token of a common beginning once. */
#include "data/data.h"
#include <string.h>

typedef struct {
    int64_t n_tok, n_doc, n_row;
    int32_t longest;
    bool hidden;
} totals;

int32_t ul_doc_labelled(const ul_doc *d)
{
    int32_t n = 0;
    for (int32_t t = 1; t < d->n; t++) n += d->labelled[t];
    return n;
}

static void count(const ul_doc *d, bool all, totals *sum)
{
    sum->n_tok += d->n;
    sum->n_doc += 1;
    sum->n_row += all ? d->n : ul_doc_labelled(d);
    if (d->n > sum->longest) sum->longest = d->n;
    sum->hidden |= d->hidden != NULL;
}

/* The arrays of a batch while they are being filled. */
typedef struct {
    int32_t *token, *pos, *doc_start, *sample_start, *row, *label, *doc_sample, *doc_row;
    int32_t *doc_parent, *doc_prefix; /* or NULL */
    uint8_t *hidden, *doc_side;
    int64_t *doc_id;
    int32_t n_tok, n_doc, n_row;
} filling;

/* The tokens of d from `from` on, and the rows that are read from them. */
static void put(filling *f, const ul_doc *d, int32_t from, ul_side_id side, int32_t sample, bool all)
{
    memcpy(f->token + f->n_tok, d->token + from, (size_t)(d->n - from) * sizeof *d->token);
    for (int32_t t = from; t < d->n; t++) {
        const int32_t at = f->n_tok + t - from;
        f->pos[at] = d->pos ? d->pos[t] : t;
        if (f->hidden) f->hidden[at] = d->hidden ? d->hidden[t] : 0;
        const bool scored = t + 1 < d->n && d->labelled[t + 1];
        if (!scored && !all) continue;
        f->row[f->n_row] = at;
        f->label[f->n_row++] = !scored ? -1 : d->target ? d->target[t + 1] : d->token[t + 1];
    }
    f->doc_side[f->n_doc] = (uint8_t)side;
    f->doc_id[f->n_doc] = d->id;
    f->doc_sample[f->n_doc++] = sample;
    f->n_tok += d->n - from;
    f->doc_start[f->n_doc] = f->n_tok;
    f->doc_row[f->n_doc] = f->n_row;
}

enum { LOOK_BACK = 32, WORTH_SHARING = 8 };

/* Beginnings are common while everything about a token is. */
static int32_t common(const ul_doc *a, const ul_doc *b)
{
    const int32_t most = a->n < b->n ? a->n : b->n;
    int32_t t = 0;
    while (t < most && a->token[t] == b->token[t] && a->labelled[t] == b->labelled[t] &&
           (a->pos ? a->pos[t] : t) == (b->pos ? b->pos[t] : t) &&
           (a->hidden ? a->hidden[t] : 0) == (b->hidden ? b->hidden[t] : 0) &&
           (a->target ? a->target[t] : a->token[t]) == (b->target ? b->target[t] : b->token[t]))
        t++;
    return t;
}

/* How much of the alternate's prompt the forget document can lend: not the token that its first score is read from. */
static int32_t lent(const ul_sample *s, unsigned sides, unsigned all_rows)
{
    const unsigned all = UL_SHARE_PROMPT | UL_SIDE_BIT_ALT | UL_SIDE_BIT_FORGET;
    const ul_doc *f = s->doc[UL_FORGET], *a = s->doc[UL_ALT];
    if ((sides & all) != all || all_rows || !f || !a || f->hidden || a->hidden) return 0;
    int32_t n = common(f, a), t = 1;
    while (t < a->n && !a->labelled[t]) t++;
    if (n > t - 1) n = t - 1;
    return n >= WORTH_SHARING ? n : 0;
}

/* Arrays for so many documents of n samples. */
static ul_status room(ul_ctx *ctx, ul_arena *arena, const totals *sum, int32_t n, filling *f)
{
    if (sum->n_tok > INT32_MAX)
        return ul_fail(ctx, UL_E_USAGE,
                       "a batch of %d samples has %lld tokens, at most %d can be packed: take a smaller "
                       "micro-batch",
                       (int)n, (long long)sum->n_tok, INT32_MAX);
    *f = (filling){.token = UL_NEW(arena, int32_t, sum->n_tok), .pos = UL_NEW(arena, int32_t, sum->n_tok),
                   .doc_start = UL_NEW(arena, int32_t, sum->n_doc + 1), .sample_start = UL_NEW(arena, int32_t, n + 1),
                   .row = UL_NEW(arena, int32_t, sum->n_row), .label = UL_NEW(arena, int32_t, sum->n_row),
                   .doc_sample = UL_NEW(arena, int32_t, sum->n_doc), .doc_row = UL_NEW(arena, int32_t, sum->n_doc + 1),
                   .doc_side = UL_NEW(arena, uint8_t, sum->n_doc), .doc_id = UL_NEW(arena, int64_t, sum->n_doc)};
    if (!f->token || !f->pos || !f->doc_start || !f->sample_start || !f->row || !f->label || !f->doc_sample ||
        !f->doc_row || !f->doc_side || !f->doc_id)
        return UL_E_RESOURCE;
    if (sum->hidden) {
        f->hidden = UL_NEW(arena, uint8_t, sum->n_tok);
        UL_NEED(f->hidden);
    }
    return UL_OK;
}

static ul_status tree(ul_arena *arena, int64_t n_doc, filling *f)
{
    UL_NEED(f->doc_parent = UL_NEW(arena, int32_t, n_doc));
    UL_NEED(f->doc_prefix = UL_NEW(arena, int32_t, n_doc));
    return UL_OK;
}

static ul_batch filled(const filling *f, int32_t n_sample, int32_t longest)
{
    return (ul_batch){.n_tok = f->n_tok,
                      .n_doc = f->n_doc,
                      .n_sample = n_sample,
                      .n_row = f->n_row,
                      .longest = longest,
                      .token = f->token,
                      .pos = f->pos,
                      .doc_start = f->doc_start,
                      .sample_start = f->sample_start,
                      .hidden = f->hidden,
                      .row = f->row,
                      .label = f->label,
                      .doc_side = f->doc_side,
                      .doc_sample = f->doc_sample,
                      .doc_row = f->doc_row,
                      .doc_id = f->doc_id,
                      .doc_parent = f->doc_parent,
                      .doc_prefix = f->doc_prefix};
}

ul_status ul_pack(ul_ctx *ctx, ul_arena *arena, const ul_sample *samples, int32_t n, unsigned sides, unsigned all_rows,
                  ul_batch **out)
{
    totals sum = {0};
    bool shared = false;
    for (int32_t i = 0; i < n; i++) {
        for (unsigned s = 0; s < UL_N_SIDE; s++)
            if (sides >> s & 1u && samples[i].doc[s]) count(samples[i].doc[s], all_rows >> s & 1u, &sum);
        shared |= lent(&samples[i], sides, all_rows) > 0;
    }
    ul_batch *b = UL_NEW(arena, ul_batch, 1);
    filling f;
    UL_NEED(b);
    UL_TRY(room(ctx, arena, &sum, n, &f));
    if (shared) UL_TRY(tree(arena, sum.n_doc, &f));
    for (int32_t i = 0; i < n; i++) {
        const int32_t prefix = lent(&samples[i], sides, all_rows), forget = f.n_doc;
        for (unsigned s = 0; s < UL_N_SIDE; s++) {
            if (!(sides >> s & 1u) || !samples[i].doc[s]) continue;
            const int32_t from = s == UL_ALT ? prefix : 0;
            if (shared) f.doc_parent[f.n_doc] = from ? forget : -1, f.doc_prefix[f.n_doc] = from;
            put(&f, samples[i].doc[s], from, (ul_side_id)s, i, all_rows >> s & 1u);
        }
        f.sample_start[i + 1] = f.n_tok;
    }
    *b = filled(&f, n, sum.longest);
    *out = b;
    return UL_OK;
}

ul_status ul_pack_docs(ul_ctx *ctx, ul_arena *arena, const ul_doc *const *docs, int32_t n, bool all_rows,
                       ul_batch **out)
{
    ul_sample *samples = UL_NEW(arena, ul_sample, n);
    UL_NEED(samples);
    for (int32_t i = 0; i < n; i++) samples[i].doc[UL_FORGET] = docs[i];
    return ul_pack(ctx, arena, samples, n, UL_SIDE_BIT_FORGET, all_rows ? UL_SIDE_BIT_FORGET : 0, out);
}

ul_share ul_doc_share(const ul_doc *const *docs, const ul_share *share, int32_t k)
{
    ul_share best = {-1, 0};
    for (int32_t i = k - 1; i >= 0 && i >= k - LOOK_BACK; i--) {
        const int32_t n = common(docs[i], docs[k]);
        if (n > best.prefix && n >= WORTH_SHARING) best = (ul_share){i, n};
    }
    /* who holds the tokens himself, so that chains of parents stay short */
    while (best.parent >= 0 && best.prefix <= share[best.parent].prefix) best.parent = share[best.parent].parent;
    return best;
}

/* Where token t of document d stands in the batch. */
static int32_t place(const ul_share *share, const int32_t *doc_start, int32_t d, int32_t t)
{
    while (t < share[d].prefix) d = share[d].parent;
    return doc_start[d] + t - share[d].prefix;
}

/* The row that predicts the first own token is read from the parent's last lent one. */
static void put_shared(filling *f, const ul_doc *const *docs, const ul_share *share, int32_t k)
{
    const ul_doc *d = docs[k];
    const int32_t from = share[k].prefix;
    if (from > 0 && from < d->n && d->labelled[from]) {
        f->row[f->n_row] = place(share, f->doc_start, k, from - 1);
        f->label[f->n_row++] = d->target ? d->target[from] : d->token[from];
    }
    put(f, d, from, UL_FORGET, k, false);
    f->sample_start[f->n_doc] = f->n_tok;
}

ul_status ul_pack_shared(ul_ctx *ctx, ul_arena *arena, const ul_doc *const *docs, const ul_share *share, int32_t n,
                         ul_batch **out)
{
    totals sum = {0};
    for (int32_t k = 0; k < n; k++) count(docs[k], false, &sum);
    ul_batch *b = UL_NEW(arena, ul_batch, 1);
    filling f;
    UL_NEED(b);
    UL_TRY(room(ctx, arena, &sum, n, &f));
    UL_TRY(tree(arena, n, &f));
    for (int32_t k = 0; k < n; k++) {
        f.doc_parent[k] = share[k].parent, f.doc_prefix[k] = share[k].prefix;
        put_shared(&f, docs, share, k);
    }
    *b = filled(&f, n, sum.longest);
    *out = b;
    return UL_OK;
}

ul_status ul_doc_pad(ul_ctx *ctx, ul_arena *arena, const ul_doc *d, int32_t n, int32_t pad_id, ul_doc *out)
{
    if (n < d->n)
        return ul_fail(ctx, UL_E_INTERNAL, "row %lld has %d tokens and cannot be padded to %d", (long long)d->id,
                       (int)d->n, (int)n);
    int32_t *token = UL_NEW(arena, int32_t, n), *pos = UL_NEW(arena, int32_t, n);
    uint8_t *labelled = UL_NEW(arena, uint8_t, n), *hidden = UL_NEW(arena, uint8_t, n);
    int32_t *target = d->target ? UL_NEW(arena, int32_t, n) : NULL;
    if (!token || !pos || !labelled || !hidden || (d->target && !target)) return UL_E_RESOURCE;
    for (int32_t t = 0; t < n; t++) {
        const bool real = t < d->n;
        token[t] = real ? d->token[t] : pad_id;
        pos[t] = real && d->pos ? d->pos[t] : t;
        labelled[t] = real ? d->labelled[t] : 0;
        if (target) target[t] = real ? d->target[t] : pad_id;
        hidden[t] = !real || (d->hidden && d->hidden[t]);
    }
    *out = (ul_doc){d->id, n, d->entity, token, labelled, hidden, pos, target};
    return UL_OK;
}
