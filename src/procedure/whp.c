/* whp.c - Who's Harry Potter: the forget texts are learned again, each token as what a model that knows nothing special
 * would say.
 *
 *   v = v_0 - strength max(0, v_r - v_0) - again [came before],  label = argmax v
 *   L = gamma (1/N_f) sum_t -log p(label_t) + alpha L_r
 *   v_0: logits of the model behind the translated text, v_r: of the model that read the forget set once more
 *
 * Eldan and Russinovich 2023, "Who's Harry Potter? Approximate Unlearning in LLMs", arXiv:2310.02238 (strength 5; three
 * epochs to reinforce, two on the labels; no retain text; rates were not to be had: the usual one. Small models have
 * the usual ten epochs, and retain text). Translated: `terms` names a dictionary of the subject's own
 * terms and generic ones, which the authors had GPT-4 write; without one nothing is translated and the reinforced model
 * alone says what is special. The tokens of a text keep their places and special tokens their labels; see
 * data/generic.c for where a translation has none. The first token of a term's translation is pushed down by `again`
 * from then on, so that the text does not tie the term to it; the paper gives no number (5 is ours, as `strength`), and
 * no code of theirs is public. Trap: a label may be the true token still, where the reinforced model likes nothing
 * about it better: weak reinforcing, weak forgetting. */
#include "method/method.h"
#include "procedure/procedure.h"
#include <string.h>

static const ul_param params[] = {
    {"strength", UL_REAL, 5, 0, 1000, NULL, "how much of what reinforcing adds to a logit is subtracted", NULL},
    {"reinforce", UL_REAL, 3, 0.01, 1000, "epochs", "of the forget set for the reinforced model", NULL},
    {"again", UL_REAL, 5, 0, 1000, NULL, "taken from the logit of a translation once its term has come", NULL},
    {"terms", UL_TEXT, 0, 0, 0, NULL,
     "a JSON file: the subject's own terms and a generic one for each, {\"Hogwarts\": \"the academy\"}", ""},
    UL_PARAM_GAMMA(1),
    UL_PARAM_ALPHA(0),
    UL_PARAM_RETAIN,
    {0}};
enum { ROWS = 64 };

static double loss(const ul_args *args, ul_side *forget, ul_side *alt, ul_side *retain)
{
    double sum = 0;
    (void)alt;
    for (int32_t t = 0; t < forget->n; t++) sum += ul_ascend(forget, t, -ul_num(args, "gamma") / forget->n_tok);
    return sum + ul_retain_term(args, retain);
}

static const ul_method generic = {.title = "WHP, generic labels",
                                  .paper = "arXiv:2310.02238",
                                  .params = params,
                                  .loss = loss,
                                  .needs = UL_NEED_FORGET | UL_NEED_RETAIN,
                                  .needs_of = ul_some_retain_needs};

/* Hidden rows that two heads read, in step. */
typedef struct {
    ul_work *w;
    const ul_reference *base;
    char *h[2];  /* [ROWS, C] real: translated text under the model, original under the reinforced one */
    char *z[2];  /* [ROWS, V] real */
    int32_t *to[ROWS];
    int n;
    int32_t *came, n_came; /* of the document at hand: first tokens of translations, in the order of their terms */
    int32_t known[ROWS];   /* how many of them had come */
    double *down;          /* [V] 0 between rows */
} heads;

static void push_down(heads *x, int row, double by)
{
    for (int32_t k = 0; k < x->known[row]; k++) x->down[x->came[k]] = by;
}

static void flush(heads *x)
{
    const ul_shape *s = ul_model_shape(x->w->model);
    const ul_backend *be = ul_model_backend(x->w->model);
    const double strength = ul_num(x->w->args, "strength");
    const void *head[2] = {ul_reference_head(x->base), ul_model_head(x->w->model)};
    for (int k = 0; x->n && k < 2; k++)
        be->k->gemm(be, &(ul_gemm){.m = x->n,
                                   .n = s->V,
                                   .k = s->C,
                                   .a = x->h[k],
                                   .a_row = s->C,
                                   .a_col = 1,
                                   .b = head[k],
                                   .b_row = 1,
                                   .b_col = s->C,
                                   .c = x->z[k],
                                   .c_row = s->V});
    for (int i = 0; i < x->n; i++) {
        double most = 0;
        push_down(x, i, ul_num(x->w->args, "again"));
        for (int32_t v = 0; v < s->V; v++) {
            const int64_t at = (int64_t)i * s->V + v;
            const double z = ul_real_at(x->z[0], at, be->k->esize), more = ul_real_at(x->z[1], at, be->k->esize) - z;
            const double u = (more > 0 ? z - strength * more : z) - x->down[v];
            if (v == 0 || u > most) most = u, *x->to[i] = v;
        }
        push_down(x, i, 0);
    }
    x->n = 0;
}

/* Document d as it is to be learned; t: its translation. */
static ul_status relabel(heads *x, ul_arena *scratch, const ul_doc *d, const ul_doc *t, int64_t *differ, ul_doc *out)
{
    ul_work *w = x->w;
    const size_t row = (size_t)ul_model_shape(w->model)->C * ul_model_backend(w->model)->k->esize;
    int32_t *at = UL_NEW(scratch, int32_t, d->n), *target = UL_NEW(w->arena, int32_t, d->n);
    uint8_t *labelled = UL_NEW(w->arena, uint8_t, d->n);
    ul_batch *b;
    if (!at || !target || !labelled) return UL_E_RESOURCE;
    UL_NEED(x->came = UL_NEW(scratch, int32_t, d->n));
    x->n_came = 0;
    if (d->n == t->n && !memcmp(d->token, t->token, (size_t)d->n * sizeof *d->token))
        for (int32_t i = 0; i < d->n; i++) at[i] = i;
    else UL_TRY(ul_doc_align(scratch, d, t, at));
    UL_TRY(ul_pack_docs(w->ctx, scratch, &d, 1, false, &b));
    char *hidden = ul_alloc_raw(scratch, (size_t)b->n_row + 1, row);
    UL_NEED(hidden);
    ul_pass pass = {.batch = b, .last = -1, .row_hidden = hidden};
    if (b->n_row) UL_TRY(ul_model_forward(w->ctx, w->model, &pass));
    memcpy(target, d->token, (size_t)d->n * sizeof *target);
    for (int32_t i = 1, r = -1; i < d->n; i++) {
        if (at[i - 1] >= 0 && t->token[at[i - 1]] != d->token[i - 1]) x->came[x->n_came++] = t->token[at[i - 1]];
        if (!d->labelled[i]) continue;
        r++;
        if (at[i] < 1 || !t->labelled[at[i]]) continue;
        labelled[i] = 1;
        if (ul_token_special(w->tok, d->token[i])) continue;
        int32_t before = 0;
        for (int32_t j = 1; j < at[i]; j++) before += t->labelled[j];
        memcpy(x->h[0] + (size_t)x->n * row, (const char *)ul_reference_hidden(x->base, t->id) + (size_t)before * row,
               row);
        memcpy(x->h[1] + (size_t)x->n * row, hidden + (size_t)r * row, row);
        x->known[x->n] = x->n_came;
        x->to[x->n++] = &target[i];
        if (x->n == ROWS) flush(x);
    }
    flush(x);
    for (int32_t i = 0; i < d->n; i++) *differ += labelled[i] && target[i] != d->token[i];
    *out = *d;
    out->target = target, out->labelled = labelled;
    return UL_OK;
}

/* The labels, with the reinforced model at hand. */
static ul_status relabel_all(ul_work *w, const ul_docs *translated, const ul_reference *base, ul_docs **out)
{
    const ul_shape *s = ul_model_shape(w->model);
    const size_t esize = ul_model_backend(w->model)->k->esize;
    heads x = {.w = w, .base = base};
    ul_arena *scratch;
    ul_docs *d = UL_NEW(w->arena, ul_docs, 1);
    int64_t differ = 0;
    UL_NEED(*out = d);
    *d = (ul_docs){.n = w->forget->n,
                   .at = UL_NEW(w->arena, ul_doc, w->forget->n),
                   .n_tok = w->forget->n_tok,
                   .longest = w->forget->longest};
    UL_NEED(d->at);
    UL_NEED(x.down = UL_NEW(w->arena, double, s->V));
    for (int k = 0; k < 2; k++) {
        UL_NEED(x.h[k] = ul_alloc_raw(w->arena, (size_t)ROWS * (size_t)s->C, esize));
        UL_NEED(x.z[k] = ul_alloc_raw(w->arena, (size_t)ROWS * (size_t)s->V, esize));
    }
    UL_TRY(ul_arena_new(w->ctx, "generic labels", &scratch));
    ul_status status = UL_OK;
    for (int64_t i = 0; i < d->n && status == UL_OK; i++) {
        ul_arena_reset(scratch);
        status = relabel(&x, scratch, &w->forget->at[i], &translated->at[i], &differ, &d->at[i]);
        if (status == UL_OK) d->n_labelled += ul_doc_labelled(&d->at[i]);
    }
    ul_arena_free(scratch);
    UL_TRY(status);
    return ul_buf_printf(w->report, "whp: %lld of %lld labels are not the text's own\n", (long long)differ,
                         (long long)d->n_labelled);
}

static ul_status translate(ul_work *w, const ul_docs **out)
{
    ul_terms terms;
    ul_records *records;
    ul_docs *docs;
    const char *path = ul_txt(w->args, "terms");
    *out = w->forget;
    if (!path[0]) return UL_OK;
    UL_TRY(ul_terms_open(w->ctx, w->arena, path, &terms));
    UL_TRY(ul_records_generic(w->ctx, w->arena, w->forget_rows, &terms, &records));
    UL_TRY(ul_docs_build(w->ctx, w->arena, w->tok, w->tpl, records, UL_WHICH_ANSWER, &docs));
    *out = docs;
    if (docs->n == w->forget->n) return UL_OK;
    return ul_fail(w->ctx, UL_E_INPUT, "%s: %lld of %lld forget rows are left in translation", path, (long long)docs->n,
                   (long long)w->forget->n);
}

static ul_status run(ul_work *w)
{
    char digest[65];
    ul_snapshot before;
    ul_reference *base;
    const ul_docs *translated;
    ul_docs *relabelled;
    ul_recipe reinforce = *w->recipe;
    reinforce.steps = 0, reinforce.epochs = ul_num(w->args, "reinforce");
    UL_TRY(translate(w, &translated));
    UL_TRY(ul_model_digest(w->ctx, w->model, digest));
    UL_TRY(ul_reference_open(w->ctx, w->arena, w->model, w->cache, digest, translated, true, &base));
    UL_TRY(ul_snapshot_take(w->ctx, w->arena, w->model, &before));
    UL_TRY(ul_work_stage(w, &(ul_stage){.name = "reinforced", .recipe = &reinforce, .forget = w->forget}));
    UL_TRY(relabel_all(w, translated, base, &relabelled));
    ul_snapshot_restore(&before);
    return ul_work_stage(w, &(ul_stage){.name = "generic",
                                        .method = &generic,
                                        .args = w->args,
                                        .recipe = w->recipe,
                                        .forget = relabelled,
                                        .retain = w->retain});
}

static const ul_runs runs[] = {
    {.what = "distributions of forget rows, translated", .kind = UL_RUNS_FORWARD, .keeps = UL_KEEPS_HIDDEN},
    {.what = "reinforced", .kind = UL_RUNS_TRAIN, .epochs = "reinforce", .copies = 1},
    {.what = "labels from the reinforced model", .kind = UL_RUNS_FORWARD},
    {.what = "generic", .kind = UL_RUNS_TRAIN, .loss = &generic},
    {0}};

const ul_procedure ul_procedure_whp = {
    .method = {.title = "Who's Harry Potter",
               .paper = "arXiv:2310.02238",
               .note = "Learns the forget texts again with the labels of a model that knows nothing special, told by a "
                       "reinforced model.",
               .intent = UL_SUPPRESSION,
               .level = UL_LEVEL_DATA,
               .params = params,
               .needs = UL_NEED_FORGET | UL_NEED_RETAIN,
               .needs_of = ul_some_retain_needs,
               .recipe = UL_VALUES("epochs", "2"),
               .small = UL_VALUES(".alpha", "1")},
    .run = run,
    .runs = runs,
    .adapters = true,
};
