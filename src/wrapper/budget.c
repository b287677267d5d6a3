/* budget.c - early stop on a budget of utility: the run ends where the model has moved too far on retain text.
 *
 *   KL = mean over the scored tokens of some retain documents of KL(model before the run || model)
 *   every `every` steps: KL <= limit: remember the weights; else look between the remembered weights and these for the
 *   farthest place within the limit (halving, eight times), stop there
 *
 * The controller of RepSelect (Sondej, Yang and Mahdi 2026, arXiv:2606.17168: limit 0.01 on WikiText), along the path
 * of the run instead of a ray. The documents are spread evenly over the retain set. `--kl-budget X` is `--wrap budget
 * --budget.limit X`. */
#include "wrapper/wrapper.h"
#include <math.h>
#include <string.h>

static const ul_param params[] = {
    {"limit", UL_REAL, 0.01, 1e-9, 1000, "nats", "largest mean divergence of a token from the model before the run",
     NULL},
    {"every", UL_INT, 5, 1, 1e9, "steps", "between measurements; the last step is always measured", NULL},
    {"documents", UL_INT, 64, 1, 1e6, NULL, "retain documents that are measured", NULL},
    {0}};

enum { BATCH_TOKENS = 2048, HALVINGS = 8 };
typedef struct {
    void **within, **here;
    ul_docs docs;
    ul_reference *ref;
    ul_arena *scratch; /* of one measurement */
} budget;

static void release(void *arena)
{
    ul_arena_free(arena);
}

static ul_status begin(ul_wrap *w)
{
    budget *b = UL_NEW(w->arena, budget, 1);
    const ul_docs *from = w->o->pairing ? w->o->pairing->retain : NULL;
    UL_NEED(w->state = b);
    if (!from) return ul_fail(w->ctx, UL_E_USAGE, "budget measures the model on retain text: give --retain FILE");
    const int64_t most = (int64_t)ul_num(w->args, "documents");
    b->docs.n = from->n < most ? from->n : most;
    UL_NEED(b->docs.at = UL_NEW(w->arena, ul_doc, b->docs.n));
    for (int64_t i = 0; i < b->docs.n; i++) {
        b->docs.at[i] = from->at[i * from->n / b->docs.n];
        b->docs.at[i].id = i;
    }
    UL_TRY(ul_wrap_arrays(w, "within", &b->within));
    UL_TRY(ul_wrap_arrays(w, NULL, &b->here));
    UL_TRY(ul_arena_new(w->ctx, "measurement", &b->scratch));
    return ul_arena_defer(w->arena, release, b->scratch);
}

static ul_status calibrate(ul_wrap *w)
{
    budget *b = w->state;
    ul_wrap_copy(w, w->p, b->within);
    return ul_reference_open(w->ctx, w->arena, w->o->model, NULL, "", &b->docs, true, &b->ref);
}

/* Documents first .. first + n - 1: adds their divergence and their tokens. */
static ul_status measure_some(ul_wrap *w, int64_t first, int32_t n, double *kl, int64_t *tokens)
{
    const budget *b = w->state;
    const size_t row = (size_t)ul_model_shape(w->o->model)->C * w->be->k->esize;
    ul_batch *batch;
    const ul_doc **doc = UL_NEW(b->scratch, const ul_doc *, n);
    UL_NEED(doc);
    for (int32_t i = 0; i < n; i++) doc[i] = &b->docs.at[first + i];
    UL_TRY(ul_pack_docs(w->ctx, b->scratch, doc, n, false, &batch));
    double *out = UL_NEW(b->scratch, double, batch->n_row);
    uint8_t *soft = UL_NEW(b->scratch, uint8_t, batch->n_row);
    char *hidden = ul_alloc(b->scratch, (size_t)batch->n_row, row);
    UL_NEED(out);
    UL_NEED(soft);
    UL_NEED(hidden);
    memset(soft, UL_SOFT_KL, (size_t)batch->n_row);
    for (int32_t i = 0; i < n; i++)
        memcpy(hidden + (size_t)batch->doc_row[i] * row, ul_reference_hidden(b->ref, first + i),
               (size_t)(batch->doc_row[i + 1] - batch->doc_row[i]) * row);
    ul_pass pass = {.batch = batch,
                    .last = -1,
                    .score = {.kl = out},
                    .ref_hidden = hidden,
                    .ref_head = ul_reference_head(b->ref),
                    .soft = soft};
    UL_TRY(ul_model_forward(w->ctx, w->o->model, &pass));
    for (int32_t i = 0; i < batch->n_row; i++) *kl += out[i];
    *tokens += batch->n_row;
    return UL_OK;
}

static ul_status measure(ul_wrap *w, double *out)
{
    const budget *b = w->state;
    double kl = 0;
    int64_t tokens = 0;
    for (int64_t first = 0; first < b->docs.n;) {
        int32_t n = 0, t = 0;
        do t += b->docs.at[first + n++].n;
        while (first + n < b->docs.n && t + b->docs.at[first + n].n <= BATCH_TOKENS);
        ul_arena_reset(b->scratch);
        UL_TRY(measure_some(w, first, n, &kl, &tokens));
        first += n;
    }
    *out = tokens ? kl / (double)tokens : 0;
    return UL_OK;
}

/* within + a (here - within) */
static void place(ul_wrap *w, double a)
{
    const budget *b = w->state;
    ul_wrap_copy(w, b->within, w->p);
    ul_arrays_axpy(w, a, b->here, w->p);
    ul_arrays_axpy(w, -a, b->within, w->p);
}

static ul_status after(ul_wrap *w, ul_step_result *r)
{
    budget *b = w->state;
    const double limit = ul_num(w->args, "limit");
    double kl, best = 0, low = 0, high = 1;
    if ((w->step + 1) % (int64_t)ul_num(w->args, "every") && w->step + 1 < w->steps) return UL_OK;
    UL_TRY(measure(w, &r->kl));
    if (r->kl <= limit) {
        ul_wrap_copy(w, w->p, b->within);
        return UL_OK;
    }
    ul_wrap_copy(w, w->p, b->here);
    for (int i = 0; i < HALVINGS; i++) {
        const double a = (low + high) / 2;
        place(w, a);
        UL_TRY(measure(w, &kl));
        if (kl <= limit)
            low = a, best = kl;
        else
            high = a;
    }
    place(w, low);
    if (low == 0) UL_TRY(measure(w, &best));
    ul_note(w->ctx, UL_LOG_INFO,
            "budget: after step %lld the divergence on retain text was %.4g, above %.4g: stopped at %.4g",
            (long long)w->step + 1, r->kl, limit, best);
    r->kl = best;
    r->stopped = true;
    return UL_OK;
}

const ul_wrapper ul_wrapper_budget = {
    .title = "Early stop on a utility budget",
    .paper = "arXiv:2606.17168",
    .note = "Ends the run where the divergence from the model before it, on retain text, reaches a limit.",
    .params = params,
    .flags = UL_WRAP_RETAIN_TEXT,
    .begin = begin,
    .calibrate = calibrate,
    .after = after,
};
