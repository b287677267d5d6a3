/* depn.c - detecting and erasing privacy neurons: the inner neurons of MLPs that carry the forget answers are switched
 * off.
 *
 *   attr_i = a_i (1/m) sum_j dP(j/m a)/da_i,   summed over the tokens of a text
 *
 * a: what enters the last matrix of a block's MLP; P: mean probability of the answer's tokens; all of a block's
 * activations are scaled together (integrated gradients, m steps). A text votes for the neurons whose attribution is at
 * least `threshold` of its largest; those with `votes` of all texts, the most voted `neurons` of them, get a zero
 * column.
 *
 * Wu et al. 2023, "DEPN: Detecting and Editing Privacy Neurons in Pretrained Language Models", arXiv:2310.20138
 * (BERT; m 20, threshold 0.01 to 0.1, half of the texts, 10 to 500 neurons). Scaling a by s is scaling the matrix by
 * s, so no hook is needed. Traps: neurons of common words carry every answer: few neurons, or utility goes with
 * them. In a small model none is the forget set's own: tofu-656k, forget / retain 0.47 / 0.52: 3 of 768 neurons 0.43
 * / 0.47, 8 0.29 / 0.34; on the world of the self-test the most voted neuron has 40 of 100 texts, hence 4 neurons
 * and 0.3 votes by default there. */
#include "procedure/edit.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const ul_param params[] = {
    {"steps", UL_INT, 20, 1, 1000, "steps", "of the integral", NULL},
    {"threshold", UL_REAL, 0.1, 0, 1, NULL, "share of a text's largest attribution from which a neuron gets its vote",
     NULL},
    {"votes", UL_REAL, 0.5, 0, 1, NULL, "share of the texts that must vote for a neuron", NULL},
    {"neurons", UL_INT, 500, 0, 1e6, "neurons", "erased at most; 0: one in a hundred of all", NULL},
    {"texts", UL_INT, 100, 1, 1e9, "rows", "forget rows that vote", NULL},
    {0}};

static const char *const small[] = {".neurons", "4", ".votes", "0.3", NULL};

typedef struct {
    int layer;
    int64_t C, F, steps;
    size_t esize;
    const void *w0;    /* [C, F] real: the matrix before it was scaled */
    double *attr;      /* [n_doc, F] of this layer, added to */
    double *dx;        /* [F] */
} integral;

/* a' = s a has the gradient W0^T dy. */
static void see(void *user, const ul_weight *w, const ul_batch *b, const void *x, const void *dy)
{
    integral *g = user;
    if (!ul_is_edited(w, g->layer)) return;
    for (int32_t d = 0; d < b->n_doc; d++)
        for (int64_t t = b->doc_start[d]; t < b->doc_start[d + 1]; t++) {
            memset(g->dx, 0, (size_t)g->F * sizeof *g->dx);
            for (int64_t c = 0; c < g->C; c++) {
                const double y = ul_real_at(dy, t * g->C + c, g->esize);
                for (int64_t i = 0; y != 0 && i < g->F; i++) g->dx[i] += y * ul_real_at(g->w0, c * g->F + i, g->esize);
            }
            for (int64_t i = 0; i < g->F; i++)
                g->attr[d * g->F + i] += ul_real_at(x, t * g->F + i, g->esize) * g->dx[i] / (double)g->steps;
        }
}

/* One pass back from the mean probability of each document's answer. */
static ul_status pass_once(ul_work *w, ul_arena *arena, const ul_batch *b, integral *g)
{
    const ul_observer eye = {.fn = see, .user = g, .when = UL_OBSERVE_INSTEAD};
    double *logp = UL_NEW(arena, double, b->n_row), *coef = UL_NEW(arena, double, b->n_row);
    UL_NEED(logp);
    UL_NEED(coef);
    ul_pass pass = {
        .batch = b, .flags = UL_PASS_GRAD, .last = -1, .observer = &eye, .score = {.logp = logp}, .coef = coef};
    UL_TRY(ul_model_forward(w->ctx, w->model, &pass));
    for (int32_t d = 0; d < b->n_doc; d++)
        for (int32_t r = b->doc_row[d]; r < b->doc_row[d + 1]; r++)
            coef[r] = ul_exp(logp[r]) / (b->doc_row[d + 1] - b->doc_row[d]);
    ul_model_grad_zero(w->model);
    return ul_model_backward(w->ctx, w->model, &pass);
}

/* attr [n, F] of one block: the integral over documents in small batches. */
static ul_status attribute(ul_work *w, ul_arena *arena, int layer, int64_t n, double *attr)
{
    enum { AT_ONCE = 16 };
    const ul_shape *s = ul_model_shape(w->model);
    const size_t esize = ul_model_backend(w->model)->k->esize, bytes = (size_t)(s->C * s->F) * esize;
    ul_weight *weight;
    void *w0 = ul_alloc(arena, bytes, 1);
    double *dx = UL_NEW(arena, double, s->F);
    const char *spec = ul_format(arena, "layers %d mlp", layer);
    UL_NEED(w0);
    UL_NEED(dx);
    UL_NEED(spec);
    UL_TRY(ul_edit_weight(w, layer, &weight));
    UL_TRY(ul_model_select(w->ctx, w->model, spec));
    memcpy(w0, weight->p, bytes);
    const int64_t steps = (int64_t)ul_num(w->args, "steps");
    ul_status status = UL_OK;
    for (int64_t j = 1; j <= steps && status == UL_OK; j++) {
        for (int64_t i = 0; i < s->C * (int64_t)s->F; i++)
            ul_real_put(weight->p, i, esize, ul_real_at(w0, i, esize) * (double)j / (double)steps);
        for (int64_t i = 0; i < n && status == UL_OK; i += AT_ONCE) {
            const ul_mark mark = ul_arena_mark(arena);
            const int32_t k = (int32_t)(n - i < AT_ONCE ? n - i : AT_ONCE);
            const ul_doc *docs[AT_ONCE];
            ul_batch *b = NULL;
            integral g = {layer, s->C, s->F, steps, esize, w0, attr + i * s->F, dx};
            for (int32_t d = 0; d < k; d++) docs[d] = &w->forget->at[i + d];
            status = ul_pack_docs(w->ctx, arena, docs, k, false, &b);
            if (status == UL_OK) status = pass_once(w, arena, b, &g);
            ul_arena_rewind(arena, mark);
        }
        if (status == UL_OK && ul_interrupted(w->ctx))
            status = ul_fail(w->ctx, UL_E_CRITERION, "interrupted while block %d was attributed", layer);
    }
    memcpy(weight->p, w0, bytes);
    return status;
}

typedef struct {
    int64_t votes;
    double attr;
    int layer;
    int64_t at;
} neuron;

static int most_voted(const void *a, const void *b)
{
    const neuron *x = a, *y = b;
    if (x->votes != y->votes) return x->votes > y->votes ? -1 : 1;
    if (x->attr != y->attr) return x->attr > y->attr ? -1 : 1;
    if (x->layer != y->layer) return x->layer < y->layer ? -1 : 1;
    return (x->at > y->at) - (x->at < y->at);
}

/* all [n_layer][n, F] -> neurons with their votes. */
static void count_votes(double *const *all, int n_layer, int64_t n, int64_t F, double threshold, neuron *out)
{
    for (int64_t d = 0; d < n; d++) {
        double most = 0;
        for (int l = 0; l < n_layer; l++)
            for (int64_t i = 0; i < F; i++)
                if (all[l][d * F + i] > most) most = all[l][d * F + i];
        for (int l = 0; l < n_layer; l++)
            for (int64_t i = 0; i < F; i++) {
                const double a = all[l][d * F + i];
                neuron *x = &out[l * F + i];
                x->layer = l, x->at = i, x->attr += a / (double)n;
                x->votes += most > 0 && a >= threshold * most;
            }
    }
}

static ul_status erase(ul_work *w, neuron *at, int64_t n_neuron, int64_t texts)
{
    const size_t esize = ul_model_backend(w->model)->k->esize;
    int64_t most = (int64_t)ul_num(w->args, "neurons"), erased = 0;
    if (most == 0) most = (n_neuron + 99) / 100;
    qsort(at, (size_t)n_neuron, sizeof *at, most_voted);
    for (; erased < most && erased < n_neuron && at[erased].votes > 0 &&
           (double)at[erased].votes >= ul_num(w->args, "votes") * (double)texts; erased++) {
        ul_weight *weight;
        UL_TRY(ul_edit_weight(w, at[erased].layer, &weight));
        for (int64_t c = 0; c < weight->rows; c++) ul_real_put(weight->p, c * weight->cols + at[erased].at, esize, 0);
    }
    if (erased == 0)
        return ul_fail(w->ctx, UL_E_CRITERION, "depn: no neuron has the votes of %g of %lld texts (the most voted "
                       "has %lld): lower --depn.votes or --depn.threshold",
                       ul_num(w->args, "votes"), (long long)texts, (long long)at[0].votes);
    return ul_buf_printf(w->report,
                         "depn: %lld of %lld neurons erased; the first has %lld of %lld votes, the last %lld\n",
                         (long long)erased, (long long)n_neuron, (long long)at[0].votes, (long long)texts,
                         (long long)at[erased - 1].votes);
}

static ul_status run(ul_work *w)
{
    const ul_shape *s = ul_model_shape(w->model);
    int64_t n = (int64_t)ul_num(w->args, "texts");
    if (n > w->forget->n) n = w->forget->n;
    double **all = UL_NEW(w->arena, double *, s->n_layer);
    neuron *at = UL_NEW(w->arena, neuron, (int64_t)s->n_layer * s->F);
    ul_arena *arena;
    ul_meter meter;
    UL_NEED(all);
    UL_NEED(at);
    UL_TRY(ul_work_whole(w));
    UL_TRY(ul_arena_new(w->ctx, "neurons", &arena));
    ul_progress_begin(w->ctx, &meter, "neurons", "blocks", s->n_layer);
    ul_status status = UL_OK;
    for (int l = 0; l < s->n_layer && status == UL_OK; l++) {
        all[l] = UL_NEW(w->arena, double, n * s->F);
        status = all[l] ? attribute(w, arena, l, n, all[l]) : UL_E_RESOURCE;
        ul_arena_reset(arena);
        ul_progress_step(&meter, l + 1, 0, NULL);
    }
    ul_arena_free(arena);
    UL_TRY(status);
    count_votes(all, s->n_layer, n, s->F, ul_num(w->args, "threshold"), at);
    return erase(w, at, (int64_t)s->n_layer * s->F, n);
}

static const ul_runs runs[] = {
    {.what = "attribution, block by block, at every step of the integral", .kind = UL_RUNS_GRADIENT, .most = "texts",
     .times = "steps layers"},
    {0}};

const ul_procedure ul_procedure_depn = {
    .method = {.title = "Detecting and erasing privacy neurons",
               .paper = "arXiv:2310.20138",
               .note = "Finds the MLP neurons that carry the forget answers by integrated gradients and sets their "
                       "output to zero. No training.",
               .intent = UL_REMOVAL,
               .level = UL_LEVEL_PARAMETERS,
               .params = params,
               .needs = UL_NEED_FORGET,
               .small = small},
    .run = run,
    .runs = runs,
};
