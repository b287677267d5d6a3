/* _trace.c - causal tracing: which blocks' MLPs bring a fact back (Meng et al. 2022, arXiv:2202.05262, section 2).
 *
 * Three runs over the prompt and its true answer: clean; corrupted, with noise of `noise` standard deviations on the
 * embeddings of the subject; and, for each block, corrupted with the clean output of its MLP put back at the subject.
 * What that restores of the answer's probability is the block's effect. */
#include "procedure/edit.h"
#include <math.h>

typedef struct {
    const ul_facts *f;
    int32_t first, n; /* facts, and documents, of the batch */
    size_t esize;
    int64_t C, tokens; /* subject tokens of the batch */
    double sigma, noise;
    uint64_t seed;
    double *clean; /* [n_layer, tokens, C] outputs of the MLPs */
    int n_layer;
} trace;

/* Visits every subject token of the batch: `at` its place there, k its place in `clean`. */
#define FOR_SUBJECT(x, b, at, k)                                                                                       \
    int64_t k = 0;                                                                                                     \
    for (int32_t i_ = 0; i_ < (x)->n; i_++)                                                                            \
        for (int64_t at = (b)->doc_start[i_] + (x)->f->from[(x)->first + i_];                                          \
             at <= (b)->doc_start[i_] + (x)->f->at[(x)->first + i_]; at++, k++)

static ul_status spread_of(void *user, int layer, const ul_batch *b, void *x)
{
    trace *t = user;
    double sum = 0, squares = 0;
    (void)layer;
    FOR_SUBJECT(t, b, at, k)
    {
        for (int64_t c = 0; c < t->C; c++) {
            const double v = ul_real_at(x, at * t->C + c, t->esize);
            sum += v, squares += v * v;
        }
    }
    const double n = (double)(k * t->C), mean = sum / n;
    t->sigma = sqrt(squares / n - mean * mean > 0 ? squares / n - mean * mean : 0);
    return UL_OK;
}

static ul_status keep_clean(void *user, int layer, const ul_batch *b, void *x)
{
    trace *t = user;
    double *to = t->clean + layer * t->tokens * t->C;
    FOR_SUBJECT(t, b, at, k)
    {
        for (int64_t c = 0; c < t->C; c++) to[k * t->C + c] = ul_real_at(x, at * t->C + c, t->esize);
    }
    return UL_OK;
}

static ul_status corrupt(void *user, int layer, const ul_batch *b, void *x)
{
    trace *t = user;
    (void)layer;
    FOR_SUBJECT(t, b, at, k)
    {
        for (int64_t c = 0; c < t->C; c++) {
            const double z =
                ul_rng_normal(t->seed, UL_STREAM_NOISE, (uint64_t)(t->first + 1), (uint64_t)(k * t->C + c));
            ul_real_put(x, at * t->C + c, t->esize, ul_real_at(x, at * t->C + c, t->esize) + t->noise * t->sigma * z);
        }
    }
    return UL_OK;
}

static ul_status restore(void *user, int layer, const ul_batch *b, void *x)
{
    trace *t = user;
    const double *from = t->clean + layer * t->tokens * t->C;
    FOR_SUBJECT(t, b, at, k)
    {
        for (int64_t c = 0; c < t->C; c++) ul_real_put(x, at * t->C + c, t->esize, from[k * t->C + c]);
    }
    return UL_OK;
}

/* Sum over the documents of exp(mean log p) of the answer, under these hooks. */
static ul_status probability(ul_work *w, ul_arena *arena, const ul_batch *b, const ul_hook *hook, int n_hook,
                             double *out)
{
    double *logp = UL_NEW(arena, double, b->n_row);
    UL_NEED(logp);
    ul_pass pass = {.batch = b, .last = -1, .hook = hook, .n_hook = n_hook, .score = {.logp = logp}};
    UL_TRY(ul_model_forward(w->ctx, w->model, &pass));
    *out = 0;
    for (int32_t d = 0; d < b->n_doc; d++) {
        double sum = 0;
        for (int32_t r = b->doc_row[d]; r < b->doc_row[d + 1]; r++) sum += logp[r];
        if (b->doc_row[d + 1] > b->doc_row[d]) *out += ul_exp(sum / (b->doc_row[d + 1] - b->doc_row[d]));
    }
    return UL_OK;
}

static ul_status trace_batch(ul_work *w, ul_arena *arena, trace *t, double *effect, double total[2])
{
    const ul_doc **docs = UL_NEW(arena, const ul_doc *, t->n);
    ul_hook *read = UL_NEW(arena, ul_hook, t->n_layer + 1);
    ul_batch *b;
    double clean, bad, back;
    UL_NEED(docs);
    UL_NEED(read);
    t->tokens = 0;
    for (int32_t i = 0; i < t->n; i++) {
        docs[i] = &w->forget->at[t->first + i];
        t->tokens += t->f->at[t->first + i] - t->f->from[t->first + i] + 1;
    }
    UL_NEED(t->clean = UL_NEW(arena, double, t->n_layer * t->tokens * t->C));
    UL_TRY(ul_pack_docs(w->ctx, arena, docs, t->n, false, &b));
    for (int l = 0; l < t->n_layer; l++) read[l] = (ul_hook){l, UL_SLOT_MLP, UL_HOOK_READ, keep_clean, t, NULL};
    read[t->n_layer] = (ul_hook){0, UL_SLOT_IN, UL_HOOK_READ, spread_of, t, NULL};
    UL_TRY(probability(w, arena, b, read, t->n_layer + 1, &clean));
    ul_hook both[2] = {{0, UL_SLOT_IN, UL_HOOK_ADD, corrupt, t, NULL},
                       {0, UL_SLOT_MLP, UL_HOOK_REPLACE, restore, t, NULL}};
    UL_TRY(probability(w, arena, b, both, 1, &bad));
    for (int l = 0; l < t->n_layer; l++) {
        both[1].layer = l;
        UL_TRY(probability(w, arena, b, both, 2, &back));
        effect[l] += back - bad;
    }
    total[0] += clean;
    total[1] += bad;
    return UL_OK;
}

ul_status ul_facts_trace(ul_work *w, const ul_facts *f, int32_t n, double noise, double *effect, double total[2])
{
    enum { AT_ONCE = 16 };
    const ul_shape *s = ul_model_shape(w->model);
    ul_arena *arena;
    ul_meter meter;
    UL_TRY(ul_arena_new(w->ctx, "trace", &arena));
    ul_progress_begin(w->ctx, &meter, "causal tracing", "facts", n);
    ul_status status = UL_OK;
    total[0] = total[1] = 0;
    for (int l = 0; l < s->n_layer; l++) effect[l] = 0;
    for (int32_t i = 0; i < n && status == UL_OK; i += AT_ONCE) {
        trace t = {.f = f,
                   .first = i,
                   .n = n - i < AT_ONCE ? n - i : AT_ONCE,
                   .esize = ul_model_backend(w->model)->k->esize,
                   .C = s->C,
                   .noise = noise,
                   .seed = w->recipe->seed,
                   .n_layer = s->n_layer};
        ul_arena_reset(arena);
        status = trace_batch(w, arena, &t, effect, total);
        ul_progress_step(&meter, i + t.n, 0, NULL);
        if (status == UL_OK && ul_interrupted(w->ctx))
            status = ul_fail(w->ctx, UL_E_CRITERION, "interrupted after %d facts", (int)(i + t.n));
    }
    ul_arena_free(arena);
    for (int l = 0; l < s->n_layer; l++) effect[l] /= n;
    total[0] /= n, total[1] /= n;
    return status;
}
