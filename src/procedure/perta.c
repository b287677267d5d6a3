/* perta.c - task-vector negation with a weight of its own for every parameter.
 *
 *   theta = theta_0 - scale w (theta_ft - theta_0)         w = I_f / (I_f + I_r + eps)
 *   fisher   I: the diagonal Fisher information at theta_0     grad   I = |gradient of the mean NLL at theta_0|
 *
 * Cai et al. 2026, arXiv:2601.22030 (PerTA-fisher and PerTA-grad). The paper's normalisation of w could not be read:
 * this ratio, between 0 (only the retain set uses the parameter) and 1, is ours; eps is a share of the mean of I_f +
 * I_r, so that parameters nobody uses stay. Nor could rate, epochs and scale: the run is tv's, the scale ours. Trap:
 * in the mean gradient of a set its rows cancel; squares do not. Small models have a budget: tofu-656k, forget /
 * retain 0.47 / 0.52: five epochs at 2e-4, kl 0.15 0.31 / 0.46. */
#include "procedure/procedure.h"
#include <math.h>
#include <string.h>

static const ul_param params[] = {
    {"by", UL_TEXT, 0, 0, 0, "fisher|grad",
     "what says how much a set uses a parameter: Fisher information, or the gradient", "fisher"},
    UL_PARAM_SCALE(1.5, "how far to go against the weighted task vector; 0 changes nothing"),
    {"eps", UL_REAL, 1e-6, 1e-12, 1, NULL, "added below, as a share of the mean of both informations", NULL},
    UL_PARAM_KL(0), UL_PARAM_KL_DOCS, UL_PARAM_FISHER_DOCS, {0}};

static const char *const small[] = {"lr", "2e-4", "epochs", "5", ".kl", "0.15", NULL};

/* |gradient| of the mean NLL over some of the documents. */
static ul_status gradient(ul_work *w, const ul_docs *docs, double ***out)
{
    ul_docs *some;
    ul_trainable *train;
    const size_t esize = ul_model_backend(w->model)->k->esize;
    const int n = ul_model_trainables(w->model, &train);
    UL_TRY(ul_work_draw(w, docs, (int64_t)ul_num(w->args, "fisher_docs"), &some));
    UL_TRY(ul_work_gradient(w, w->model, some, 1, NULL));
    UL_NEED(*out = UL_NEW(w->arena, double *, n));
    for (int i = 0; i < n; i++) {
        UL_NEED((*out)[i] = UL_NEW(w->arena, double, train[i].n));
        for (int64_t j = 0; j < train[i].n; j++) (*out)[i][j] = fabs(ul_real_at(train[i].g, j, esize));
    }
    ul_model_grad_zero(w->model);
    return UL_OK;
}

static ul_status importance(ul_work *w, double ***forget, double ***retain)
{
    if (!strcmp(ul_txt(w->args, "by"), "fisher")) return ul_fisher_pair(w, forget, retain);
    UL_TRY(gradient(w, w->forget, forget));
    return gradient(w, w->retain, retain);
}

static ul_status run(ul_work *w)
{
    ul_move move;
    ul_budget budget;
    double **forget, **retain, eps = 0;
    int64_t n_all = 0;
    UL_TRY(ul_work_whole(w));
    UL_TRY(ul_budget_begin(w, &budget));
    UL_TRY(importance(w, &forget, &retain));
    UL_TRY(ul_move_new(w->ctx, w->arena, w->model, &move));
    UL_TRY(ul_work_stage(w, &(ul_stage){.name = "learn", .recipe = w->recipe, .forget = w->forget}));
    ul_move_learned(&move);
    for (int i = 0; i < move.from.n; i++)
        for (int64_t j = 0; j < move.from.train[i].n; j++, n_all++) eps += forget[i][j] + retain[i][j];
    eps *= ul_num(w->args, "eps") / (double)n_all;
    for (int i = 0; i < move.from.n; i++)
        for (int64_t j = 0; j < move.from.train[i].n; j++) {
            const double sum = forget[i][j] + retain[i][j] + eps, weight = sum > 0 ? forget[i][j] / sum : 0;
            ul_real_put(move.d[i], j, move.from.esize, -weight * ul_real_at(move.d[i], j, move.from.esize));
        }
    return ul_budget_go(w, &budget, &move);
}

static const ul_runs runs[] = {
    UL_RUNS_BUDGET,
    {.what = "information of forget rows", .kind = UL_RUNS_GRADIENT, .most = "fisher_docs", .doubles = 1},
    {.what = "information of retain rows", .kind = UL_RUNS_GRADIENT, .docs = UL_RETAIN, .most = "fisher_docs",
     .doubles = 1},
    {.what = "learn", .kind = UL_RUNS_TRAIN, .copies = 2}, UL_RUNS_SEARCH, {0}};

const ul_procedure ul_procedure_perta = {
    .method = {.title = "Per-parameter task arithmetic",
               .paper = "arXiv:2601.22030",
               .note = "Task-vector negation, each parameter by its share of forget against retain information.",
               .intent = UL_REMOVAL,
               .level = UL_LEVEL_PARAMETERS,
               .params = params,
               .needs = UL_NEED_FORGET | UL_NEED_RETAIN,
               .small = small},
    .run = run,
    .runs = runs,
};
