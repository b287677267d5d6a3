/* offset.c - delta-unlearning: the difference that unlearning makes to a small model is added to the large one's
 * logits.
 *
 *   z = z_0 + strength (z_new - z_old)
 *
 * Huang et al. 2024, "Offset Unlearning for Large Language Models", arXiv:2404.11045: strength 1; the small model is
 * trained through the combined logits with an unlearning loss, and the gradient flows into `new` alone. `old` is a
 * small model of the same vocabulary (--offset.small DIR) or the model's own first blocks; `new` is it with a low-rank
 * adapter. Any loss without alternate answers and divergences can train it; its reference is the large model, which the
 * combination equals at the start. Traps: the small model must know enough of the forget set to push at the right
 * tokens; losses without a bound (ga) run away. The paper's rate and epochs were not to be had:
 * ours, of an adapter. tofu-656k, forget / retain 0.47 / 0.52, one block: 1e-3 0.45 / 0.51,
 * 1.5e-3 0.40 / 0.46, 3e-3 0.21 / 0.29. */
#include "guard/guard.h"
#include <string.h>

static const ul_param params[] = {
    {"strength", UL_REAL, 1, 0, 100, NULL, "how much of the difference is added; 0: the guard does nothing", NULL},
    UL_PARAM_LOSS("loss", "npo", "the method whose loss trains the small model, with that method's defaults"),
    {"small", UL_TEXT, 0, 0, 0, NULL,
     "directory of a small model of the same vocabulary; default: the model's first blocks", ""},
    {"blocks", UL_INT, 0, 0, 1000, "blocks", "without --offset.small: how many blocks; 0: a quarter of them", NULL},
    {"r", UL_INT, 16, 1, 1024, NULL, "rank of the small model's adapter (scale 2)", NULL},
    {0}};

static const char *const recipe[] = {"lr", "1e-3", "epochs", "5", NULL};
static const char *const small_models[] = {"lr", "1.5e-3", "epochs", "5", NULL};

static const char *small_of(const ul_args *args)
{
    const char *dir = ul_txt(args, "small");
    return dir && *dir ? dir : NULL;
}

/* The difference comes first: where new is old, z is z_0 to the last bit. z: new; others: the large model, old. */
static void in_training(void *user, const ul_backend *be, const ul_mix_rows *rows)
{
    const int64_t n = rows->n * rows->V;
    be->k->axpy(be, n, -1, rows->other[1], rows->z);
    be->k->scale(be, n, ul_num(user, "strength"), rows->z);
    be->k->copy(be, n, rows->other[0], rows->z, true);
}

static void in_use(void *user, const ul_backend *be, const ul_mix_rows *rows) /* z: the large model; others: new, old */
{
    const int64_t n = rows->n * rows->V;
    be->k->axpy(be, n, -1, rows->other[1], rows->other[0]);
    be->k->axpy(be, n, ul_num(user, "strength"), rows->other[0], rows->z);
}

static ul_status fit(ul_guard_fit *f)
{
    ul_work *w = f->work;
    const char *small = small_of(w->args), *dir;
    const ul_method *method;
    ul_mix mix = {.n = 2,
                  .other = {w->model},
                  .fn = in_training,
                  .slope = ul_num(w->args, "strength"),
                  .user = (void *)(uintptr_t)w->args};
    ul_reference *ref = NULL;
    ul_model *new;
    ul_args args;
    UL_TRY(ul_work_loss(w, "loss", &method, &args));
    if (small) {
        const char *digest;
        UL_TRY(ul_guard_digest_of(w->ctx, w->arena, small, &digest));
        json_object_set_new(f->data, "small_digest", json_string(digest));
    }
    const unsigned needs = ul_method_needs(method, &args);
    if ((needs & UL_NEED_STATE) || ul_reference_kind(needs, UL_FORGET) > UL_REF_LOGP ||
        ul_reference_kind(needs, UL_RETAIN))
        return ul_fail(w->ctx, UL_E_USAGE, "offset.loss is \"%s\", which reads hidden states or whole distributions: "
                       "take one that does not (npo, simnpo, graddiff)", ul_txt(w->args, "loss"));
    UL_TRY(ul_guard_assistant_new(f, small, small != NULL, &new));
    UL_TRY(ul_guard_assistant_base(f, small, small != NULL, &mix.other[1]));
    UL_TRY(ul_work_stage_dir(w, "small", &dir));
    if (ul_reference_kind(needs, UL_FORGET))
        UL_TRY(ul_reference_open(w->ctx, w->arena, w->model, dir, f->model_digest, w->forget, false, &ref));
    UL_TRY(ul_work_stage(w, &(ul_stage){.name = "small",
                                        .model = new,
                                        .method = method,
                                        .args = &args,
                                        .recipe = w->recipe,
                                        .forget = w->forget,
                                        .retain = needs &UL_NEED_RETAIN ? w->retain : NULL,
                                        .ref = {[UL_FORGET] = ref},
                                        .mix = &mix}));
    return ul_buf_printf(w->report,
                         "the small model was trained %lld steps with %s; mean NLL of forget answers, combined, %.4g\n",
                         (long long)w->steps, ul_txt(w->args, "loss"), w->last.forget_loss);
}

static ul_status open(ul_guard_file *g)
{
    const char *small = small_of(&g->args);
    ul_mix *mix = UL_NEW(g->arena, ul_mix, 1);
    UL_NEED(mix);
    *mix = (ul_mix){.n = 2, .fn = in_use, .slope = 1, .user = &g->args};
    g->state = mix;
    if (small) {
        const char *want, *got;
        UL_TRY(ul_json_text(g->ctx, g->data, g->path, "small_digest", UL_REQUIRED, &want));
        UL_TRY(ul_guard_digest_of(g->ctx, g->arena, small, &got));
        if (strcmp(want, got))
            return ul_fail(
                g->ctx, UL_E_INPUT,
                "%s: the small model %s had the digest %.16s... when the guard was made, now it has %.16s...", g->path,
                small, want, got);
    }
    UL_TRY(ul_guard_assistant_open(g, small, small != NULL, true, &mix->other[0]));
    return ul_guard_assistant_open(g, small, small != NULL, false, &mix->other[1]);
}

/* A step runs the large model, and the small one as it was, forwards beside the small one's gradient. */
static const ul_runs runs[] = {
    {.what = "small", .kind = UL_RUNS_TRAIN, .loss_of = "loss", .blocks = "blocks", .times = "1.33", .beside = 1,
     .assistant = true},
    {0}};

const ul_guard ul_guard_offset = {
    .method = {.title = "Offset unlearning",
               .paper = "arXiv:2404.11045",
               .note = "A small model is unlearned through the combined logits; the change of its logits is added to "
                       "the large one's.",
               .intent = UL_SUPPRESSION,
               .level = UL_LEVEL_LOGITS,
               .params = params,
               .needs = UL_NEED_FORGET | UL_NEED_RETAIN,
               .recipe = recipe,
               .small = small_models},
    .fit = fit,
    .runs = runs,
    .open = open,
    .prepare = ul_guard_prepare_mix,
};
