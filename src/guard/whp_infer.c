/* whp_infer.c - "Who's Harry Potter" at inference: what a model that read the forget set
 * once more likes better is taken away.
 *
 *   z = z_b - strength max(0, z_r - z_b)
 *
 * Eldan and Russinovich 2023, arXiv:2310.02238, as MUSE (arXiv:2407.06460) evaluates it: strength 1, every token,
 * the reinforced model r fine-tuned on the forget set. Here r is the model with a low-rank adapter trained on it for
 * ten epochs at 1e-3 (MUSE trains all weights, as many at 1e-5). Small models learn the set faster (tofu-656k,
 * forget / retain 0.47 / 0.52: 1e-3 0.43 / 0.51, 5e-3 0.27 / 0.47; strength 3 at 1e-3 0.34 / 0.47). Traps: two
 * passes of the whole model a token, and the memory of two; logits are compared as they stand, so a shift of all of
 * r's logits (which no softmax sees) would count. */
#include "guard/guard.h"

static const ul_param params[] = {
    {"strength", UL_REAL, 1, 0, 100, NULL, "how much of the difference is subtracted; 0: the guard does nothing", NULL},
    {"r", UL_INT, 16, 1, 1024, NULL, "rank of the reinforced model's adapter (scale 2)", NULL},
    {0}};

static const char *const recipe[] = {"lr", "1e-3", "epochs", "10", NULL};
static const char *const small[] = {"lr", "5e-3", "epochs", "10", NULL};

static ul_status fit(ul_guard_fit *f)
{
    ul_work *w = f->work;
    ul_model *reinforced;
    UL_TRY(ul_guard_assistant_new(f, NULL, true, &reinforced));
    UL_TRY(ul_work_stage(
        w, &(ul_stage){.name = "reinforced", .model = reinforced, .recipe = w->recipe, .forget = w->forget}));
    return ul_buf_printf(w->report, "the reinforced model was trained %lld steps: NLL of forget answers %.4g\n",
                         (long long)w->steps, w->last.loss);
}

static void take_away(void *user, const ul_backend *be, const ul_mix_rows *rows)
{
    const double strength = ul_num(user, "strength");
    const size_t esize = be->k->esize;
    for (int64_t i = 0; i < rows->n * rows->V; i++) {
        const double z = ul_real_at(rows->z, i, esize), more = ul_real_at(rows->other[0], i, esize) - z;
        if (more > 0) ul_real_put(rows->z, i, esize, z - strength * more);
    }
}

static ul_status open(ul_guard_file *g)
{
    ul_mix *mix = UL_NEW(g->arena, ul_mix, 1);
    UL_NEED(mix);
    *mix = (ul_mix){.n = 1, .fn = take_away, .slope = 1, .user = &g->args};
    g->state = mix;
    return ul_guard_assistant_open(g, NULL, true, true, &mix->other[0]);
}

static const ul_runs runs[] = {{.what = "reinforced", .kind = UL_RUNS_TRAIN, .assistant = true}, {0}};

const ul_guard ul_guard_whp_infer = {
    .method = {.title = "Who's Harry Potter, at inference",
               .paper = "arXiv:2310.02238",
               .note = "Takes away what a model that read the forget set once more likes better. Two passes of the "
                       "whole model a token.",
               .intent = UL_SUPPRESSION,
               .level = UL_LEVEL_LOGITS,
               .params = params,
               .needs = UL_NEED_FORGET,
               .recipe = recipe,
               .small = small},
    .fit = fit,
    .runs = runs,
    .open = open,
    .prepare = ul_guard_prepare_mix,
};
