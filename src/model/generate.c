/* generate.c - continuations of many prompts, a cache of keys and values each.
 *
 * Prompts are read packed; then all live rows are decoded together, one token a row and step, and a row that ends
 * makes room for the next prompt. Every product, norm and attention row depends on its own row alone, so the tokens do
 * not depend on how many rows share a step, and equal those of a computation without a cache. Where other models have
 * a part in the logits (ul_mix), each has a cache of its own and runs before the one that is asked.
 *
 * Greedy takes the largest logit (the lowest index among equals). Sampling divides by the temperature, keeps the top_k
 * largest, then the smallest set with probability >= top_p, and draws with the uniform number (seed, row, step). */
#include "model/block.h"
#include <stdlib.h>
#include <string.h>

enum { PREFILL_TOKENS = 4096, WORTH_PACKING = 8, MODELS = 1 + UL_MIX_MODELS };

typedef struct {
    int32_t row; /* prompt, or -1: free */
    int32_t len; /* tokens in the cache */
    int32_t token, pos, n_new;
    void **k[MODELS], **v[MODELS]; /* [n_layer] */
    uint8_t *hidden;
} seat;

typedef struct {
    double p;
    int32_t i;
} candidate;

typedef struct {
    ul_ctx *ctx;
    ul_model *m;
    const ul_generation *g;
    ul_arena *arena;
    int32_t n_seat, cap, next, done;
    seat *seat;
    bool any_hidden;
    ul_batch batch; /* reused */
    int32_t *token, *pos, *start, *row, *label, *argmax, *seat_of;
    uint8_t *hidden;
    int64_t *id;
    int n_model;
    ul_model *model[MODELS]; /* the one that is asked, then those that are mixed in */
    ul_cache cache[MODELS];
    candidate *candidates;
    int32_t **out, *n_out;
    int64_t tokens;
    ul_meter meter;
} state;

static int32_t most_new(const state *s, const ul_doc *d)
{
    int32_t most = s->g->max_new;
    for (int i = 0; i < s->n_model; i++) {
        const int32_t room = s->model[i]->arch.s.n_ctx - d->n;
        if (room < most) most = room;
    }
    return most;
}

static ul_status check(ul_ctx *ctx, const ul_model *m, const ul_generation *g)
{
    for (int32_t i = 0; i < g->n; i++) {
        if (g->prompt[i].n < 1)
            return ul_fail(ctx, UL_E_INPUT, "prompt %d is empty: generation begins with at least one token", i);
        if (g->prompt[i].n > m->arch.s.n_ctx)
            return ul_fail(ctx, UL_E_INPUT, "prompt %d has %d tokens, the model was made for %d: cut it", i,
                           g->prompt[i].n, m->arch.s.n_ctx);
    }
    if (g->batch < 1 || g->max_new < 0 || !(g->temperature >= 0))
        return ul_fail(ctx, UL_E_USAGE, "generation: batch is %d, max_new %d, temperature %g", g->batch, g->max_new,
                       g->temperature);
    return UL_OK;
}

/* ---- memory ----------------------------------------------------------------------------------------------------- */
static ul_status seat_cache(state *s, const ul_model *m, void ***k, void ***v)
{
    const size_t width = (size_t)m->arch.s.K * (size_t)m->arch.s.D, n = (size_t)s->cap * width;
    UL_NEED(*k = UL_NEW(s->arena, void *, m->arch.s.n_layer));
    UL_NEED(*v = UL_NEW(s->arena, void *, m->arch.s.n_layer));
    for (int l = 0; l < m->arch.s.n_layer; l++) {
        UL_NEED((*k)[l] = ul_alloc_raw(s->arena, n, m->be->k->esize));
        UL_NEED((*v)[l] = ul_alloc_raw(s->arena, n, m->be->k->esize));
    }
    return UL_OK;
}

static ul_status seats(state *s)
{
    UL_NEED(s->seat = UL_NEW(s->arena, seat, s->n_seat));
    for (int32_t i = 0; i < s->n_seat; i++) {
        seat *t = &s->seat[i];
        t->row = -1;
        UL_NEED(t->hidden = UL_NEW(s->arena, uint8_t, s->cap));
        for (int k = 0; k < s->n_model; k++) UL_TRY(seat_cache(s, s->model[k], &t->k[k], &t->v[k]));
    }
    return UL_OK;
}

static ul_status arrays(state *s, int32_t longest)
{
    const int32_t n = (longest > PREFILL_TOKENS ? longest : PREFILL_TOKENS) + s->n_seat + 1;
    int32_t **lists[] = {&s->token, &s->pos, &s->start, &s->row, &s->label, &s->argmax, &s->seat_of, &s->cache[0].len};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) UL_NEED(*lists[i] = UL_NEW(s->arena, int32_t, n));
    UL_NEED(s->hidden = UL_NEW(s->arena, uint8_t, n));
    UL_NEED(s->id = UL_NEW(s->arena, int64_t, n));
    UL_NEED(s->cache[0].kp = UL_NEW(s->arena, const void *, s->n_seat));
    UL_NEED(s->cache[0].vp = UL_NEW(s->arena, const void *, s->n_seat));
    UL_NEED(s->cache[0].hidden = UL_NEW(s->arena, const uint8_t *, s->n_seat));
    for (int i = 0; i < s->n_model; i++) {
        const int n_layer = s->model[i]->arch.s.n_layer;
        ul_cache *c = &s->cache[i];
        *c = s->cache[0]; /* lengths and flags are the same */
        UL_NEED(c->k = UL_NEW(s->arena, void **, n_layer));
        UL_NEED(c->v = UL_NEW(s->arena, void **, n_layer));
        for (int l = 0; l < n_layer; l++) {
            UL_NEED(c->k[l] = UL_NEW(s->arena, void *, s->n_seat));
            UL_NEED(c->v[l] = UL_NEW(s->arena, void *, s->n_seat));
        }
    }
    for (int32_t i = 0; i < n; i++) s->label[i] = -1;
    if (s->g->temperature > 0) UL_NEED(s->candidates = UL_NEW(s->arena, candidate, s->m->arch.s.V));
    return UL_OK;
}

/* ---- choosing a token ------------------------------------------------------------------------------------------- */
static int by_p(const void *a, const void *b)
{
    const candidate *x = a, *y = b;
    return x->p != y->p ? (x->p > y->p ? -1 : 1) : x->i < y->i ? -1 : x->i > y->i;
}

static int32_t draw(const state *s, const void *z, int32_t row, int32_t step)
{
    const ul_generation *g = s->g;
    const int32_t v = s->m->arch.s.V;
    candidate *c = s->candidates;
    double max = -1e300, sum = 0, kept = 0;
    for (int32_t i = 0; i < v; i++) {
        c[i] = (candidate){ul_real_get(s->m->be, z, i) / g->temperature, i};
        if (c[i].p > max) max = c[i].p;
    }
    for (int32_t i = 0; i < v; i++) c[i].p = ul_exp(c[i].p - max);
    qsort(c, (size_t)v, sizeof *c, by_p);
    int32_t n = g->top_k > 0 && g->top_k < v ? g->top_k : v;
    for (int32_t i = 0; i < n; i++) sum += c[i].p;
    if (g->top_p > 0 && g->top_p < 1) {
        int32_t k = 0;
        while (k < n && kept < g->top_p * sum) kept += c[k++].p;
        n = k, sum = kept;
    }
    double u = ul_rng_uniform(g->seed, UL_STREAM_SAMPLE, (uint64_t)row, (uint64_t)step) * sum;
    for (int32_t i = 0; i < n - 1; i++)
        if ((u -= c[i].p) < 0) return c[i].i;
    return c[n - 1].i;
}

static bool ends(const ul_generation *g, int32_t token)
{
    for (int32_t i = 0; i < g->n_eos; i++)
        if (g->eos[i] == token) return true;
    return false;
}

/* The next token of each row of the batch; a row that is complete leaves its seat. */
static void choose(state *s, int32_t n)
{
    const int64_t v = s->m->arch.s.V;
    for (int64_t i = 0, k; i < n; i += k) {
        void *z = ul_head_logits(s->m, &s->batch, i, &k);
        if (s->g->mix) ul_head_mix(s->m, s->g->mix, &s->batch, i, k, z);
        const ul_score score = {.argmax = s->argmax + i};
        if (s->g->temperature == 0) s->m->be->k->score(s->m->be, k, v, z, s->label, NULL, &score);
        for (int64_t j = 0; j < k && s->g->temperature > 0; j++) {
            const seat *t = &s->seat[s->seat_of[i + j]];
            s->argmax[i + j] = draw(s, ul_part_of(s->m->be, z, j * v), t->row, t->n_new);
        }
    }
    for (int32_t i = 0; i < n; i++) {
        seat *t = &s->seat[s->seat_of[i]];
        t->token = s->out[t->row][t->n_new++] = s->argmax[i];
        s->n_out[t->row] = t->n_new;
        s->tokens++;
        if (!ends(s->g, t->token) && t->n_new < most_new(s, &s->g->prompt[t->row])) continue;
        t->row = -1;
        s->done++;
    }
}

/* ---- passes ----------------------------------------------------------------------------------------------------- */
static void join(state *s, int32_t i, int32_t at)
{
    seat *t = &s->seat[at];
    s->seat_of[i] = at;
    s->id[i] = s->g->prompt[t->row].id;
    for (int k = 0; k < s->n_model; k++)
        for (int l = 0; l < s->model[k]->arch.s.n_layer; l++)
            s->cache[k].k[l][i] = t->k[k][l], s->cache[k].v[l][i] = t->v[k][l];
}

static ul_status run(state *s, int32_t n_tok, int32_t n_doc, int32_t longest, bool one)
{
    s->start[n_doc] = n_tok;
    s->batch = (ul_batch){.n_tok = n_tok,
                          .n_doc = n_doc,
                          .n_sample = n_doc,
                          .n_row = n_doc,
                          .longest = longest,
                          .token = s->token,
                          .pos = s->pos,
                          .doc_start = s->start,
                          .sample_start = s->start,
                          .hidden = s->any_hidden ? s->hidden : NULL,
                          .row = s->row,
                          .label = s->label,
                          .doc_row = s->seat_of,
                          .doc_sample = s->seat_of,
                          .doc_id = s->id};
    for (int i = s->n_model - 1; i >= 0; i--) {
        ul_pass pass = {.batch = &s->batch, .last = -1, .hook = i ? NULL : s->g->hook, .n_hook = i ? 0 : s->g->n_hook};
        s->cache[i].n = n_doc, s->cache[i].one = one;
        UL_TRY(ul_run_forward(s->ctx, s->model[i], &pass, &s->cache[i]));
    }
    choose(s, n_doc);
    return UL_OK;
}

/* The position after the prompt: one more than the last visible token's. */
static int32_t position_after(const ul_doc *d)
{
    if (!d->pos) return d->n;
    for (int32_t i = d->n - 1; i >= 0; i--)
        if (!d->hidden || !d->hidden[i]) return d->pos[i] + 1;
    return 0;
}

/* Prompts take the free seats, as many tokens at once as are worth it. */
static ul_status seat_prompts(state *s)
{
    int32_t n_tok = 0, n_doc = 0, longest = 0;
    for (int32_t at = 0; at < s->n_seat && s->next < s->g->n; at++) {
        const ul_doc *d = &s->g->prompt[s->next];
        seat *t = &s->seat[at];
        if (t->row >= 0) continue;
        if (n_doc && n_tok + d->n > PREFILL_TOKENS) break;
        if (most_new(s, d) < 1) {
            s->next++, s->done++, at--;
            continue;
        }
        t->row = s->next++, t->len = d->n, t->pos = position_after(d), t->token = t->n_new = 0;
        memset(t->hidden, 0, (size_t)s->cap);
        if (d->hidden) memcpy(t->hidden, d->hidden, (size_t)d->n);
        join(s, n_doc, at);
        s->start[n_doc] = n_tok, s->cache[0].len[n_doc] = d->n;
        for (int32_t i = 0; i < d->n; i++, n_tok++) {
            s->token[n_tok] = d->token[i], s->pos[n_tok] = d->pos ? d->pos[i] : i;
            s->hidden[n_tok] = t->hidden[i];
        }
        s->row[n_doc++] = n_tok - 1;
        if (d->n > longest) longest = d->n;
    }
    return n_doc ? run(s, n_tok, n_doc, longest, false) : UL_OK;
}

static ul_status decode(state *s)
{
    int32_t n = 0;
    for (int32_t at = 0; at < s->n_seat; at++) {
        seat *t = &s->seat[at];
        if (t->row < 0) continue;
        join(s, n, at);
        s->token[n] = t->token, s->pos[n] = t->pos++;
        s->cache[0].len[n] = ++t->len;
        s->cache[0].hidden[n] = s->any_hidden ? t->hidden : NULL;
        s->start[n] = s->row[n] = n;
        s->hidden[n] = 0;
        n++;
    }
    return n ? run(s, n, n, 1, true) : UL_OK;
}

static ul_status generate(state *s, ul_arena *arena)
{
    const ul_generation *g = s->g;
    int32_t longest = 0;
    UL_TRY(check(s->ctx, s->m, g));
    for (int32_t i = 0; i < g->n; i++) {
        const ul_doc *d = &g->prompt[i];
        if (d->n > longest) longest = d->n;
        if (d->n + most_new(s, d) > s->cap) s->cap = d->n + most_new(s, d);
        s->any_hidden |= d->hidden != NULL;
        s->n_out[i] = 0;
        UL_NEED(s->out[i] = UL_NEW(arena, int32_t, most_new(s, d)));
    }
    for (int i = 0; i < s->n_model; i++) /* one query meets the whole cache */
        UL_TRY(ul_backend_reserve(s->model[i]->be, s->cap, s->model[i]->arch.s.D));
    s->n_seat = g->batch < g->n ? g->batch : g->n;
    UL_TRY(seats(s));
    UL_TRY(arrays(s, longest));
    for (int i = 0; i < s->n_model && g->max_new >= WORTH_PACKING; i++)
        if (!(s->model[i]->flags & UL_OPEN_PANELS))
            UL_TRY(ul_model_pack(s->ctx, s->model[i], s->model[i]->panel_arena));
    if (g->what) ul_progress_begin(s->ctx, &s->meter, g->what, "rows", g->n);
    while (s->done < g->n) {
        UL_TRY(seat_prompts(s));
        UL_TRY(decode(s));
        if (g->what) ul_progress_step(&s->meter, s->done, s->tokens, NULL);
        if (ul_interrupted(s->ctx))
            return ul_fail(s->ctx, UL_E_CRITERION, "interrupted after %d of %d generated rows", s->done, g->n);
    }
    return UL_OK;
}

ul_status ul_model_generate(ul_ctx *ctx, ul_model *m, const ul_generation *g, ul_arena *arena, int32_t **out,
                            int32_t *n_out)
{
    state s = {.ctx = ctx, .m = m, .g = g, .out = out, .n_out = n_out, .n_model = 1, .model = {m}};
    for (int i = 0; g->mix && i < g->mix->n; i++) s.model[s.n_model++] = g->mix->other[i];
    UL_TRY(ul_arena_new(ctx, "generation", &s.arena));
    const ul_status status = generate(&s, arena);
    for (int i = 0; i < s.n_model; i++)
        if (!(s.model[i]->flags & UL_OPEN_PANELS)) ul_model_unpack(s.model[i]);
    ul_arena_free(s.arena);
    return status;
}
