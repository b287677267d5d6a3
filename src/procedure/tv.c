/* tv.c - task-vector negation: the model is fine-tuned on the forget set, and goes as far in the opposite direction.
 *
 *   theta = theta_0 - scale (theta_ft - theta_0)
 *
 * Ilharco et al. 2022, "Editing Models with Task Arithmetic", arXiv:2212.04089; MUSE (arXiv:2407.06460) takes scale 5 after
 * ten epochs at 1e-5. Traps: theta_ft must have learnt the set hard; in bf16 the difference of two close weights loses its
 * bits, so it is taken of f32 masters in double. Scale grows the damage to everything else with the square: search it. */
#include "procedure/procedure.h"

static const ul_param params[] = {
    {"scale", UL_REAL, 1, 0, 1000, NULL, "how far to go against the task vector; 0 changes nothing", NULL}, {0}};

static ul_status run(ul_work *w)
{
    ul_snapshot before;
    UL_TRY(ul_snapshot_take(w->ctx, w->arena, w->model, &before));
    UL_TRY(ul_work_train(w, "learn", w->model, NULL, NULL, w->recipe, w->forget, NULL));
    ul_snapshot_scale(&before, -ul_num(w->args, "scale"));
    return UL_OK;
}

const ul_procedure ul_procedure_tv = {
    .method = {.title = "Task-vector negation",
               .paper = "arXiv:2212.04089",
               .note = "Learns the forget set, then subtracts what learning changed. One number, scale, decides everything.",
               .intent = UL_REMOVAL,
               .level = UL_LEVEL_PARAMETERS,
               .params = params,
               .needs = UL_NEED_FORGET},
    .run = run,
};
