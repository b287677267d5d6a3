/* pairing.c - which documents make sample `index` of a run (data.h). Every draw is a counter-based random number at
 * (seed, stream, epoch, place), so a sample is the same whoever asks for it and whenever. */
#include "data/data.h"
#include <stdlib.h>

ul_status ul_pairing_init(ul_ctx *ctx, ul_arena *arena, const ul_docs *forget, const ul_docs *retain, uint64_t seed,
                          bool shuffle, ul_pairing *out)
{
    if (forget->n < 1 || (retain && retain->n < 1))
        return ul_fail(ctx, UL_E_INPUT, "the %s set has no rows", forget->n < 1 ? "forget" : "retain");
    *out = (ul_pairing){.forget = forget, .retain = retain, .seed = seed, .shuffle = shuffle, .epoch = -1};
    out->order = UL_NEW(arena, int64_t, forget->n);
    UL_NEED(out->order);
    return UL_OK;
}

/* The forget row at this place of this epoch. */
static int64_t forget_row(ul_pairing *p, int64_t epoch, int64_t place)
{
    if (!p->shuffle) return place;
    if (p->epoch != epoch) {
        ul_rng_permutation(p->seed, UL_STREAM_ORDER, (uint64_t)epoch, p->forget->n, p->order);
        p->epoch = epoch;
    }
    return p->order[place];
}

/* The line that is alternate k of the sample at this place. */
static int64_t alternate_key(const ul_pairing *p, int64_t row, int64_t epoch, int64_t place, int32_t k)
{
    const uint64_t n = (uint64_t)p->n_line, at = (uint64_t)place + ((uint64_t)k << 40);
    return row * p->n_line + (int64_t)ul_rng_below(p->seed, UL_STREAM_ALT, (uint64_t)epoch, at, n);
}

static int rising(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

ul_status ul_pairing_alternates(ul_ctx *ctx, ul_arena *arena, const ul_tokenizer *tok, const ul_template *tpl,
                                const ul_records *forget, const char *const *lines, int64_t n_lines, int64_t n_samples,
                                ul_pairing *io)
{
    if (n_lines < 1) return ul_fail(ctx, UL_E_INPUT, "there is no alternate answer to draw from");
    if (forget->n != io->forget->n)
        return ul_fail(ctx, UL_E_INTERNAL, "%lld forget records, but %lld forget documents", (long long)forget->n,
                       (long long)io->forget->n);
    if (io->alt_own && n_lines % forget->n)
        return ul_fail(ctx, UL_E_INPUT,
                       "%lld alternate answers cannot be dealt to the %lld rows of %s: give as many lines to each row, "
                       "in the order of the rows",
                       (long long)n_lines, (long long)forget->n, forget->path);
    io->n_line = n_lines = io->alt_own ? n_lines / forget->n : n_lines;
    const int32_t each = io->n_alt > 1 ? io->n_alt : 1;
    int64_t *key = UL_NEW(arena, int64_t, n_samples * each), n = 0;
    UL_NEED(key);
    for (int64_t i = 0; i < n_samples; i++) {
        const int64_t epoch = i / io->forget->n, place = i % io->forget->n, row = forget_row(io, epoch, place);
        for (int32_t k = 0; k < each; k++) key[i * each + k] = alternate_key(io, row, epoch, place, k);
    }
    if (n_samples > 0) qsort(key, (size_t)(n_samples * each), sizeof *key, rising);
    for (int64_t i = 0; i < n_samples * each; i++)
        if (i == 0 || key[i] != key[i - 1]) key[n++] = key[i];
    ul_docs *docs = UL_NEW(arena, ul_docs, 1);
    UL_NEED(docs);
    *docs = (ul_docs){.n = n, .at = UL_NEW(arena, ul_doc, n)};
    UL_NEED(docs->at);
    for (int64_t i = 0; i < n; i++) {
        const ul_record *r = &forget->at[key[i] / n_lines];
        bool cut = false;
        if (!r->prompt)
            return ul_fail(ctx, UL_E_INPUT, "%s:%lld: the row has no prompt that an alternate answer could follow",
                           forget->path, (long long)r->line);
        const char *line = lines[io->alt_own ? key[i] : key[i] % n_lines];
        UL_TRY(ul_doc_build(ctx, arena, tok, tpl, r->prompt, line, i, r->entity, &docs->at[i], &cut));
        docs->n_truncated += cut;
        docs->n_tok += docs->at[i].n;
        docs->n_labelled += ul_doc_labelled(&docs->at[i]);
        if (docs->at[i].n > docs->longest) docs->longest = docs->at[i].n;
    }
    io->alt = docs;
    io->alt_key = key;
    return UL_OK;
}

ul_status ul_pairing_sample(ul_ctx *ctx, ul_pairing *p, int64_t index, ul_sample *out)
{
    const int64_t epoch = index / p->forget->n, place = index % p->forget->n, row = forget_row(p, epoch, place);
    *out = (ul_sample){{&p->forget->at[row], NULL, NULL}};
    if (p->retain) {
        const uint64_t n = (uint64_t)p->retain->n;
        out->doc[UL_RETAIN] =
            &p->retain->at[ul_rng_below(p->seed, UL_STREAM_RETAIN, (uint64_t)epoch, (uint64_t)place, n)];
    }
    return p->alt ? ul_pairing_alternate(ctx, p, index, 0, &out->doc[UL_ALT]) : UL_OK;
}

ul_status ul_pairing_alternate(ul_ctx *ctx, ul_pairing *p, int64_t index, int32_t k, const ul_doc **out)
{
    const int64_t epoch = index / p->forget->n, place = index % p->forget->n;
    const int64_t key = alternate_key(p, forget_row(p, epoch, place), epoch, place, k);
    const int64_t *at = p->alt->n ? bsearch(&key, p->alt_key, (size_t)p->alt->n, sizeof key, rising) : NULL;
    if (!at)
        return ul_fail(ctx, UL_E_INTERNAL, "sample %lld is beyond those whose alternates were prepared",
                       (long long)index);
    *out = &p->alt->at[at - p->alt_key];
    return UL_OK;
}
