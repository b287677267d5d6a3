/* tv.c - task-vector negation: the model is fine-tuned on the forget set, and goes as far in the opposite direction.
 *
 *   theta = theta_0 - scale s_l (theta_ft - theta_0)        s_l: of the block that the weight is in
 *
 * Ilharco et al. 2022, "Editing Models with Task Arithmetic", arXiv:2212.04089; MUSE (arXiv:2407.06460) takes scale
 * 5 after ten epochs at 1e-5, the defaults; the first paper searches it. Traps: theta_ft must have learnt the set
 * hard; in bf16 the difference of two close weights loses its bits, so it is taken of f32 masters in double. Scale
 * grows the damage to everything else with the square: kl searches it. Small models: tofu-656k, five epochs at 2e-4,
 * where kl 0.15 finds scale 4: forget / retain 0.47 / 0.52 -> 0.31 / 0.46. */
#include "procedure/procedure.h"
#include <string.h>

static const ul_param params[] = {
    UL_PARAM_SCALE(5, "how far to go against the task vector; 0 changes nothing"),
    {"layers", UL_TEXT, 0, 0, 0, NULL,
     "one factor a block, joined with commas; what is outside the blocks goes with 1; empty: all 1", ""},
    UL_PARAM_KL(0),
    UL_PARAM_KL_DOCS,
    {0}};

/* One factor a block from the text; all 1 when it is empty. */
static ul_status factors(ul_work *w, double *f)
{
    const int n = ul_model_shape(w->model)->n_layer;
    const char *s = ul_txt(w->args, "layers");
    for (int l = 0; l < n; l++) f[l] = 1;
    for (int l = 0; s[0]; l++) {
        char word[32] = "";
        const size_t k = strcspn(s, ",");
        if (k < sizeof word) memcpy(word, s, k), word[k] = 0;
        if (l == n || !ul_parse_real(word, &f[l]) || (l + 1 < n && !s[k]))
            return ul_fail(w->ctx, UL_E_USAGE,
                           "%s.layers is \"%s\": the model has %d blocks and wants %d numbers joined with commas",
                           w->id, ul_txt(w->args, "layers"), n, n);
        s += k + (s[k] == ',');
    }
    return UL_OK;
}

static const char *const small[] = {"lr", "2e-4", "epochs", "5", ".scale", "4", NULL};

static ul_status run(ul_work *w)
{
    ul_move move;
    ul_budget budget;
    const int n_layer = ul_model_shape(w->model)->n_layer;
    double *f = UL_NEW(w->arena, double, n_layer);
    UL_NEED(f);
    UL_TRY(factors(w, f));
    UL_TRY(ul_budget_begin(w, &budget));
    UL_TRY(ul_move_new(w->ctx, w->arena, w->model, &move));
    UL_TRY(ul_work_stage(w, &(ul_stage){.name = "learn", .recipe = w->recipe, .forget = w->forget}));
    ul_move_learned(&move);
    for (int i = 0; i < move.from.n; i++) {
        const ul_trainable *t = &move.from.train[i];
        const int layer = ul_layer_of(w->model, t);
        const double s = layer >= 0 && layer < n_layer ? -f[layer] : -1;
        for (int64_t j = 0; j < t->n; j++)
            ul_real_put(move.d[i], j, move.from.esize, s * ul_real_at(move.d[i], j, move.from.esize));
    }
    return ul_budget_go(w, &budget, &move);
}

static const ul_runs runs[] = {
    UL_RUNS_BUDGET, {.what = "learn", .kind = UL_RUNS_TRAIN, .copies = 2}, UL_RUNS_SEARCH, {0}};

const ul_procedure ul_procedure_tv = {
    .method =
        {.title = "Task-vector negation",
         .paper = "arXiv:2212.04089",
         .note = "Learns the forget set, then subtracts what learning changed. One number, scale, decides everything.",
         .intent = UL_REMOVAL,
         .level = UL_LEVEL_PARAMETERS,
         .params = params,
         .needs = UL_NEED_FORGET,
         .needs_of = ul_budget_needs,
         .small = small},
    .run = run,
    .runs = runs,
    .adapters = true,
};
