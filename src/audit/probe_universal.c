/* probe_universal.c - E8: one prefix for all questions, searched for on a few of them and tried on people it was not
 * searched on. The search is random (Andriushchenko et al., arXiv 2404.02151) where the published attack follows
 * gradients (GCG, FLRT: arXiv 2409.18025): a word at a time is replaced by the best of some drawn from the retain
 * questions when that raises the mean log-probability of the true answers. It runs anew for every model, the control
 * included, and for phantoms on phantoms; what the search itself gives away shows there. */
#include "audit/battery.h"
#include <math.h>
#include <string.h>

enum { MOST = 16 }; /* words, rows, draws */

typedef struct {
    const ul_probing *p;
    ul_arena *arena, *step;
    const char **pool;
    int64_t n_pool;
    int n_word, n_shown, n_draw;
    uint64_t stream; /* tells searches apart */
} search;

static ul_status fill_pool(search *s)
{
    const ul_records *r = s->p->audit->retain;
    s->pool = UL_NEW(s->arena, const char *, r->n * 16);
    UL_NEED(s->pool);
    for (int64_t i = 0; i < r->n; i++) {
        const char *at = r->at[i].prompt;
        for (int k = 0; k < 16; k++) {
            at += strspn(at, " \n");
            const size_t n = strcspn(at, " \n");
            if (n == 0) break;
            UL_NEED(s->pool[s->n_pool++] = ul_strndup(s->arena, at, n));
            at += n;
        }
    }
    return UL_OK;
}

static char *prompt_with(const search *s, ul_arena *arena, const char *const *word, const char *question)
{
    const char *q = word[0];
    for (int k = 1; q && k < s->n_word; k++) q = ul_format(arena, "%s %s", q, word[k]);
    if (q) q = ul_format(arena, "%s %s", q, question);
    return q ? ul_ask_plain(s->p->audit, arena, q) : NULL;
}

/* Mean log-probability of the true answers behind each of n prefixes. */
static ul_status worth(search *s, const ul_records *rows, const char *const (*prefix)[MOST], int n, double *out)
{
    const ul_audit *a = s->p->audit;
    const ul_eval_options o = ul_ask_options(s->p);
    const char *prompt[MOST * MOST];
    ul_records *asked;
    ul_columns c;
    for (int64_t i = 0; i < rows->n; i++)
        for (int k = 0; k < n; k++) UL_NEED(prompt[i * n + k] = prompt_with(s, s->step, prefix[k], rows->at[i].prompt));
    UL_TRY(ul_ask_rows(s->step, rows, prompt, n, &asked));
    UL_TRY(ul_columns_score(a->ctx, s->step, &o, asked, UL_WHICH_ANSWER, "universal prefix", &c));
    for (int k = 0; k < n; k++) {
        out[k] = 0;
        for (int64_t i = 0; i < rows->n; i++) {
            const int64_t at = c.token[i * n + k], len = c.token[i * n + k + 1] - at;
            out[k] += ul_mean(c.logp + at, len) / (double)rows->n;
        }
    }
    ul_arena_reset(s->step);
    return UL_OK;
}

static const char *draw(const search *s, uint64_t index)
{
    return s->pool[ul_rng_below(s->p->audit->seed, UL_STREAM_SAMPLE, s->stream, index, (uint64_t)s->n_pool)];
}

static ul_status find(search *s, const ul_records *rows, const char **best)
{
    const int64_t steps = (int64_t)ul_num(s->p->audit->attack, "search-steps");
    const char *trial[MOST][MOST];
    double value[MOST], top;
    uint64_t at = 0;
    for (int k = 0; k < s->n_word; k++) best[k] = draw(s, at++);
    memcpy(trial[0], best, (size_t)s->n_word * sizeof *best);
    UL_TRY(worth(s, rows, (const char *const(*)[MOST])trial, 1, &top));
    for (int64_t step = 0; step < steps; step++) {
        for (int k = 0; k < s->n_draw; k++) {
            memcpy(trial[k], best, (size_t)s->n_word * sizeof *best);
            trial[k][step % s->n_word] = draw(s, at++);
        }
        UL_TRY(worth(s, rows, (const char *const(*)[MOST])trial, s->n_draw, value));
        for (int k = 0; k < s->n_draw; k++)
            if (value[k] > top) {
                top = value[k];
                memcpy(best, trial[k], (size_t)s->n_word * sizeof *best);
            }
    }
    return UL_OK;
}

/* A few rows of a set, spread over those that `side` (NULL: all) gives to `half`. */
static ul_status shown(search *s, const ul_records *in, const uint8_t *side, int half, ul_records *out)
{
    ul_record *row = UL_NEW(s->arena, ul_record, s->n_shown);
    UL_NEED(row);
    int64_t of = 0, seen = 0;
    for (int64_t i = 0; i < in->n; i++) of += !side || side[i] == half;
    *out = *in;
    out->n = 0;
    out->at = row;
    for (int64_t i = 0; i < in->n && out->n < s->n_shown; i++) {
        if (side && side[i] != half) continue;
        if (seen++ >= out->n * of / s->n_shown) row[out->n++] = in->at[i];
    }
    return UL_OK;
}

/* Rows of the other half (NULL: all) behind the prefix that was found on this one. */
static ul_status attack(search *s, const ul_records *in, const uint8_t *side, int half, double *first, double *said)
{
    const ul_audit *a = s->p->audit;
    const ul_eval_options o = ul_ask_options(s->p);
    const char *prefix[MOST], **prompt = UL_NEW(s->arena, const char *, in->n);
    ul_records six, *asked;
    ul_knowledge k;
    UL_NEED(prompt);
    UL_TRY(shown(s, in, side, half, &six));
    if (six.n == 0) return UL_OK;
    UL_TRY(find(s, &six, prefix));
    for (int64_t i = 0; i < in->n; i++) {
        bool fits;
        UL_NEED(prompt[i] = prompt_with(s, s->arena, prefix, in->at[i].prompt));
        UL_TRY(ul_ask_fits(s->p, prompt[i], &in->at[i], &fits));
        if (!fits) UL_NEED(prompt[i] = ul_ask_plain(a, s->arena, in->at[i].prompt));
    }
    UL_TRY(ul_ask_rows(s->arena, in, prompt, 1, &asked));
    UL_TRY(ul_knowledge_measure(a->ctx, s->arena, &o, asked, true, &k));
    for (int64_t i = 0; i < in->n; i++)
        if (!side || side[i] != half) first[i] = k.first[i], said[i] = k.said[i];
    return UL_OK;
}

static ul_status run(search *s, ul_probed *out)
{
    const ul_audit *a = s->p->audit;
    UL_TRY(fill_pool(s));
    for (int half = 0; half < 2; half++) {
        s->stream = (uint64_t)half + 1000;
        UL_TRY(attack(s, a->forget, a->fold, half, out->forget, out->said));
    }
    s->stream = 1002;
    if (a->phantom) UL_TRY(attack(s, a->phantom, NULL, 0, out->phantom, out->phantom_said));
    return UL_OK;
}

ul_status ul_probe_universal(const ul_probing *p, const ul_probe *probe, ul_probed *out)
{
    const ul_audit *a = p->audit;
    search s = {.p = p,
                .n_word = (int)ul_num(a->attack, "search-words"),
                .n_shown = (int)ul_num(a->attack, "search-rows"),
                .n_draw = (int)ul_num(a->attack, "search-draws")};
    (void)probe;
    out->retain = NAN;
    UL_NEED(out->forget = UL_NEW(a->arena, double, a->forget->n));
    UL_NEED(out->said = UL_NEW(a->arena, double, a->forget->n));
    if (a->phantom) {
        UL_NEED(out->phantom = UL_NEW(a->arena, double, a->phantom->n));
        UL_NEED(out->phantom_said = UL_NEW(a->arena, double, a->phantom->n));
    }
    UL_TRY(ul_arena_new(a->ctx, "universal prefix", &s.arena));
    ul_status st = ul_arena_new(a->ctx, "universal prefix, a step", &s.step);
    if (st == UL_OK) st = run(&s, out);
    ul_arena_free(s.step);
    ul_arena_free(s.arena);
    out->ran = st == UL_OK;
    return st;
}
