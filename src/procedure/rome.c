/* rome.c - rank-one model editing: fact after fact, one matrix gets the neutral target
 * for the key of the fact's subject.
 *
 *   delta W = (v* - W k) u^T / (k . u),   u = C^-1 k
 *
 * Meng et al. 2022, "Locating and Editing Factual Associations in GPT", arXiv:2202.05262: 20 steps of Adam at
 * 0.5 for v*, KL 0.0625, decay 0.5, |v* - v| <= 4 |v|, stop below 0.05. One fact with lambda 0 is emmet's update,
 * and memit's as its lambda goes to 0.
 * Traps: one edit after the other drifts; a few hundred break a model, hence a small one's budget.
 * u is of the mean key, behind texts that the model writes itself (its program: 20 of 5 and 10 tokens) and of the plain
 * prompt, k of the plain prompt, whose value is therefore met exactly; v* is searched at the plain prompt
 * (the paper: behind the texts too). */
#include "procedure/edit.h"
#include <string.h>

static const ul_param params[] = {
    {"layer", UL_INT, -1, -1, 1000, "block", "block that is edited, from 0; -1: a third of the way up", NULL},
    {"ridge", UL_REAL, 1e-4, 0, 10, NULL, "share of the mean diagonal that is added to the covariance", NULL},
    {"prefixes", UL_INT, 20, 0, 1000, "texts",
     "that the model writes itself, behind which keys are read too; 0: the plain prompt alone", NULL},
    {"rows", UL_INT, 1000, 0, 1e9, "rows", "retain rows that the covariance of keys is taken over; 0: all", NULL},
    {"v_steps", UL_INT, 20, 1, 1000, "steps", "of Adam in the search for a value", NULL},
    {"v_lr", UL_REAL, 0.5, 0, 100, NULL, "its learning rate", NULL},
    {"v_decay", UL_REAL, 0.5, 0, 100, NULL, "weight of |delta| / |v|^2", NULL},
    {"clamp", UL_REAL, 4, 0, 100, NULL, "largest |delta| / |v|", NULL},
    {"kl", UL_REAL, 0.0625, 0, 100, NULL, "weight of the subject's drift", NULL},
    UL_PARAM_EDIT_FACTS,
    UL_PARAM_EDIT_BUDGET,
    {0}};
static const char *const small[] = UL_EDIT_SMALL;

/* Texts that the model goes on with after a document's first token, half of them of 5 tokens, half of 10. */
typedef struct {
    int32_t n, *length, **token;
} prefixes;

static ul_status write_prefixes(ul_work *w, prefixes *p)
{
    const int32_t n = (int32_t)ul_num(w->args, "prefixes"), half = n / 2;
    ul_doc *start = UL_NEW(w->arena, ul_doc, n + 1);
    *p = (prefixes){n, UL_NEW(w->arena, int32_t, n + 1), UL_NEW(w->arena, int32_t *, n + 1)};
    if (!start || !p->length || !p->token) return UL_E_RESOURCE;
    for (int32_t i = 0; i < n; i++)
        start[i] = (ul_doc){.id = i, .n = 1, .token = w->forget->at[0].token, .labelled = w->forget->at[0].labelled};
    for (int part = 0; part < 2; part++) {
        const int32_t from = part ? half : 0, to = part ? n : half;
        const ul_generation g = {.n = to - from,
                                 .prompt = start + from,
                                 .max_new = part ? 10 : 5,
                                 .batch = 16,
                                 .temperature = 1,
                                 .top_p = 1,
                                 .seed = w->recipe->seed + (uint64_t)part};
        if (to > from) UL_TRY(ul_model_generate(w->ctx, w->model, &g, w->arena, p->token + from, p->length + from));
    }
    return UL_OK;
}

/* The mean of the fact's keys, plain and behind each text, into `mean`; the plain one into `k`. */
static ul_status read_keys(ul_work *w, ul_arena *arena, const prefixes *p, const ul_facts *f, int layer, double *k,
                           double *mean)
{
    const int64_t F = ul_model_shape(w->model)->F;
    const int32_t bos = f->doc->token[0] == w->forget->at[0].token[0] ? f->doc->token[0] : -1;
    ul_facts all = {.n = 1, .doc = UL_NEW(arena, ul_doc, p->n + 1), .at = UL_NEW(arena, int32_t, p->n + 1)};
    double *keys = UL_NEW(arena, double, (p->n + 1) * F);
    if (!all.doc || !all.at || !keys) return UL_E_RESOURCE;
    all.doc[0] = f->doc[0], all.at[0] = f->at[0];
    for (int32_t i = 0; i < p->n; i++) {
        const ul_docs plain = {.n = 1, .at = f->doc};
        ul_docs *behind;
        if (f->doc->n + p->length[i] > ul_model_shape(w->model)->n_ctx) continue;
        UL_TRY(ul_docs_behind(arena, &plain, p->token[i], p->length[i], bos, &behind));
        all.doc[all.n] = behind->at[0], all.at[all.n++] = f->at[0] + p->length[i];
    }
    UL_TRY(ul_facts_read(w, &all, layer, keys, NULL));
    memcpy(k, keys, (size_t)F * sizeof *k);
    memset(mean, 0, (size_t)F * sizeof *mean);
    for (int32_t i = 0; i < all.n; i++)
        for (int64_t j = 0; j < F; j++) mean[j] += keys[i * F + j] / all.n;
    return UL_OK;
}

/* u = C^-1 k for the fact's mean key, then W += delta u^T / (k . u). */
static ul_status edit(ul_work *w, ul_arena *arena, const prefixes *p, int64_t row, int layer, const double *factor,
                      ul_weight *weight)
{
    const int64_t C = ul_model_shape(w->model)->C, F = ul_model_shape(w->model)->F;
    const ul_value_search how = {.slot = UL_SLOT_MLP,
                                 .steps = (int)ul_num(w->args, "v_steps"),
                                 .lr = ul_num(w->args, "v_lr"),
                                 .kl = ul_num(w->args, "kl"),
                                 .decay = ul_num(w->args, "v_decay"),
                                 .clamp = ul_num(w->args, "clamp"),
                                 .stop = 0.05};
    double *k = UL_NEW(arena, double, F), *u = UL_NEW(arena, double, F), *v = UL_NEW(arena, double, C),
           *delta = UL_NEW(arena, double, C * F), ku = 0;
    ul_facts f;
    if (!k || !u || !v || !delta) return UL_E_RESOURCE;
    UL_TRY(ul_facts_new(w, row, 1, &f));
    UL_TRY(ul_facts_values(w, &f, layer, &how, v));
    UL_TRY(read_keys(w, arena, p, &f, layer, k, u));
    UL_TRY(ul_cholesky_solve(w->ctx, "rome's covariance of keys", 1, F, factor, u));
    for (int64_t i = 0; i < F; i++) ku += k[i] * u[i];
    for (int64_t i = 0; i < C; i++)
        for (int64_t j = 0; j < F; j++) delta[i * F + j] = v[i] * u[j] / ku;
    ul_edit_add(w, weight, delta);
    return UL_OK;
}

static ul_status run(ul_work *w)
{
    const int64_t F = ul_model_shape(w->model)->F, n = w->forget_rows->n;
    int layer, last;
    double *factor = UL_NEW(w->arena, double, F * F); /* of C, for all facts */
    ul_edit_bound bound;
    ul_weight *weight;
    ul_arena *arena;
    ul_meter meter;
    prefixes texts;
    UL_NEED(factor);
    ul_edit_blocks(w, &layer, &last);
    UL_TRY(ul_edit_weight(w, layer, &weight));
    UL_TRY(ul_edit_covariance(w, layer, (int64_t)ul_num(w->args, "rows"), factor));
    ul_edit_ridge(w, factor);
    UL_TRY(ul_cholesky(w->ctx, "rome's covariance of keys", F, factor));
    UL_TRY(write_prefixes(w, &texts));
    UL_TRY(ul_edit_begin(w, layer, layer, &bound));
    UL_TRY(ul_arena_new(w->ctx, "edit", &arena));
    ul_progress_begin(w->ctx, &meter, "rome", "facts", n);
    ul_status s = UL_OK;
    for (int64_t i = 0; i < n && s == UL_OK; i++) {
        ul_arena_reset(arena);
        s = edit(w, arena, &texts, i, layer, factor, weight);
        ul_progress_step(&meter, i + 1, 0, NULL);
    }
    ul_arena_free(arena);
    UL_TRY(s);
    UL_TRY(ul_edit_end(w, &bound));
    return ul_buf_printf(w->report, "rome: %lld facts written into block %d, one by one\n", (long long)n, layer);
}

static const ul_runs runs[] = {
    UL_RUNS_COVARIANCE,    UL_RUNS_KEYS("prefixes"), UL_RUNS_EDIT_BUDGET, UL_RUNS_VALUES,
    UL_RUNS_EDIT_SEARCH, {0}};

const ul_procedure ul_procedure_rome = {
    .method = {.title = "Rank-one model editing",
               .paper = "arXiv:2202.05262",
               .note = "Rewrites one answer after another to a neutral target by a change of rank one.",
               .intent = UL_REMOVAL,
               .level = UL_LEVEL_PARAMETERS,
               .params = params,
               .small = small,
               .needs = UL_NEED_FORGET | UL_NEED_RETAIN},
    .run = run,
    .runs = runs,
};
