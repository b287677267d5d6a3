/* repselect.c - RepSelect: the forget gradient without its dominant directions, which the retain knowledge shares.
 *
 *   1  a low-rank adversary on the mlps learns the forget set by plain SGD: it pre-plays the relearner
 *   2  G = d L_f / d W of the mlps' matrices with the adversary in place, L_f the NLL of the forget rows
 *   3  U, S, V: the n_pcs largest singular triplets of G (or of the retain gradient)
 *   4  G <- G - G V (1 - S_min / S) V^T, then G <- G - U (1 - S_min / S) U^T G: s_i becomes S_min^2 / s_i
 *   5  W = W_0 + a G, a from the KL budget
 *
 * Sondej, Yang and Mahdi 2026, arXiv:2606.17168; code: filyp/RepSelect, repselect_simple.py and
 * repselect_adaptive.py (512 components of models that are 4096 wide, budget 0.01 on Wikitext; give such a text as
 * --retain). With the adapter s B A in place a layer is x (W + s B A)^T, so 2 is the gradient at the merged weights,
 * and that is how it is taken. Traps: n_pcs must stay well below the width, or S_min is 0 and all of G collapses:
 * never more than an eighth of the smaller side is taken; a randomised S_min is noise without power iterations.
 * Small models have a budget of 0.15: tofu-656k, forget / retain 0.47 / 0.52: 0.30 / 0.47. Adam would hide the low
 * rank from 1: SGD. */
#include "procedure/_lapack.h"
#include "procedure/procedure.h"
#include <string.h>

static const ul_param params[] = {
    {"n_pcs", UL_INT, 512, 1, 1e6, NULL,
     "directions that are collapsed; at most an eighth of the smaller side of a matrix", NULL},
    {"collapse", UL_TEXT, 0, 0, 0, "soft|hard|quadratic",
     "soft: to S_min^2 / s; quadratic: by the squares of S; hard: to 0", "soft"},
    {"distribution", UL_TEXT, 0, 0, 0, "forget|retain", "whose gradient the directions come from", "forget"},
    {"lora_r", UL_INT, 8, 1, 4096, NULL, "rank of the adversary", NULL},
    {"lora_lr", UL_REAL, 0.05, 0, 100, NULL, "its SGD learning rate; 0: no adversary", NULL},
    UL_PARAM_SCALE(0.05, "step along the collapsed gradient, where kl is 0"),
    UL_PARAM_KL(0.01),
    UL_PARAM_KL_DOCS,
    {0}};

/* The mlps' matrices, joined: what the adversary is put on. By their whole path: GPT-2's attention has a c_proj too. */
static ul_status targets(ul_work *w, const char **out)
{
    ul_weight *weight;
    const int n = ul_model_weights(w->model, &weight);
    *out = "";
    for (int i = 0; i < n; i++) {
        const char *name = ul_weight_path(&weight[i]);
        if (weight[i].layer != 0 || weight[i].is_bias || !ul_role_is_mlp(weight[i].role) || strstr(*out, name))
            continue;
        UL_NEED(*out = ul_format(w->arena, "%s%s%s", *out, **out ? "," : "", name));
    }
    return UL_OK;
}

/* The model with the adversary merged into its weights. */
static ul_status adversary(ul_work *w)
{
    ul_recipe r = *w->recipe;
    ul_lora lora = {.r = (int)ul_num(w->args, "lora_r"), .alpha = ul_num(w->args, "lora_r"), .seed = r.seed};
    r.optim = UL_SGD, r.momentum = r.weight_decay = r.clip = r.warmup = 0, r.schedule = UL_CONSTANT;
    r.lr = ul_num(w->args, "lora_lr"), r.epochs = 1, r.steps = 0, r.match_peer = false;
    if (r.lr == 0) return UL_OK;
    UL_TRY(targets(w, &lora.targets));
    UL_TRY(ul_lora_add(w->ctx, w->model, &lora));
    UL_TRY(ul_work_stage(w, &(ul_stage){.name = "adversary", .recipe = &r, .forget = w->forget}));
    UL_TRY(ul_lora_merge(w->ctx, w->model));
    return ul_work_select_mlp(w);
}

/* g [m, n] loses the directions of `from` [m, n]. */
static ul_status collapse(ul_work *w, ul_arena *scratch, int64_t m, int64_t n, const double *from, double *g)
{
    const char *how = ul_txt(w->args, "collapse");
    const int64_t most = (m < n ? m : n) / 8;
    int64_t q = (int64_t)ul_num(w->args, "n_pcs");
    if (q > most) q = most > 0 ? most : 1;
    double *u = UL_NEW(scratch, double, m * q), *v = UL_NEW(scratch, double, n * q), *s = UL_NEW(scratch, double, q);
    if (!u || !v || !s) return UL_E_RESOURCE;
    UL_TRY(ul_svd_top(scratch, from, m, n, q, 1024, 2, w->recipe->seed, u, s, v));
    const double least = s[q - 1];
    for (int64_t i = 0; i < q; i++) {
        const double keep = s[i] > 0 ? least / s[i] : 1;
        s[i] = 1 - (!strcmp(how, "hard") ? 0 : !strcmp(how, "soft") ? keep : keep * keep);
    }
    UL_TRY(ul_remove_right(scratch, m, n, q, v, s, g));
    return ul_remove_left(scratch, m, n, q, u, s, g);
}

/* The gradients of all that moves, as doubles: those that the collapse is made from. */
static ul_status gradients(ul_work *w, const ul_docs *docs, double ***out)
{
    ul_trainable *t;
    const size_t esize = ul_model_backend(w->model)->k->esize;
    /* the authors' gradient is a sum over batches */
    const double batches = (double)((docs->n + w->recipe->batch - 1) / w->recipe->batch);
    UL_TRY(ul_work_gradient(w, w->model, docs, batches, NULL));
    const int n = ul_model_trainables(w->model, &t);
    UL_NEED(*out = UL_NEW(w->arena, double *, n));
    for (int i = 0; i < n; i++) {
        UL_NEED((*out)[i] = UL_NEW(w->arena, double, t[i].n));
        for (int64_t j = 0; j < t[i].n; j++) (*out)[i][j] = ul_real_at(t[i].g, j, esize);
    }
    return UL_OK;
}

static ul_status run(ul_work *w)
{
    ul_move move;
    ul_budget budget;
    double **g, **from;
    ul_arena *scratch;
    UL_TRY(ul_work_whole(w));
    UL_TRY(ul_work_select_mlp(w));
    UL_TRY(ul_budget_begin(w, &budget));
    UL_TRY(ul_move_new(w->ctx, w->arena, w->model, &move));
    UL_TRY(adversary(w));
    UL_TRY(gradients(w, w->forget, &g));
    from = g;
    if (!strcmp(ul_txt(w->args, "distribution"), "retain")) UL_TRY(gradients(w, w->retain, &from));
    ul_snapshot_restore(&move.from);
    UL_TRY(ul_arena_new(w->ctx, "collapse", &scratch));
    ul_status s = UL_OK;
    for (int i = 0; i < move.from.n && s == UL_OK; i++) {
        const ul_weight *x = ul_matrix_of(w->model, &move.from.train[i]);
        if (!x) continue; /* vectors stay */
        const int64_t m = move.from.train[i].n / x->cols;
        s = collapse(w, scratch, m, x->cols, from[i], g[i]);
        for (int64_t j = 0; j < m * x->cols; j++) ul_real_put(move.d[i], j, move.from.esize, g[i][j]);
        ul_arena_reset(scratch);
    }
    ul_arena_free(scratch);
    UL_TRY(s);
    return ul_budget_go(w, &budget, &move);
}

static unsigned needs_of(const ul_args *a, unsigned needs)
{
    return ul_budget_needs(a, needs) | (strcmp(ul_txt(a, "distribution"), "retain") ? 0 : UL_NEED_RETAIN);
}

static const ul_runs runs[] = {
    UL_RUNS_BUDGET,
    {.what = "adversary", .kind = UL_RUNS_TRAIN, .when = "lora_lr", .epochs = "1", .sgd = true, .mlp = true},
    {.what = "gradient of the forget rows", .kind = UL_RUNS_GRADIENT, .copies = 2, .doubles = 1},
    {.what = "gradient of the retain rows", .kind = UL_RUNS_GRADIENT, .docs = UL_RETAIN, .doubles = 1,
     .when = "distribution=retain"},
    UL_RUNS_SEARCH,
    {0}};

const ul_procedure ul_procedure_repselect = {
    .method = {.title = "RepSelect: ascent without the shared directions",
               .paper = "arXiv:2606.17168",
               .note = "One filtered gradient, taken as far as the KL budget allows. Built to resist relearning; the "
                       "budget is small.",
               .intent = UL_REMOVAL,
               .level = UL_LEVEL_PARAMETERS,
               .params = params,
               .small = UL_VALUES(".kl", "0.15"),
               .needs = UL_NEED_FORGET,
               .needs_of = needs_of},
    .run = run,
    .runs = runs,
};
