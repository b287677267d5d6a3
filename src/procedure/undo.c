/* undo.c - UNDO: unlearn, noise, distil: what was suppressed only is not taught again to a damaged copy.
 *
 *   1  suppress: a method of the registry gives the teacher theta_t; "none": the model as it is teaches, because what
 *      shall be forgotten is not among what is distilled
 *   2  student = (1 - alpha) theta_t + alpha beta N        N: Xavier uniform for matrices, 0 for vectors;
 *      of all that moves, or in places
 *   3  distil: KL(teacher || student) on retain rows (or a general text) until the student has recovered
 *
 * Lee et al. 2025, arXiv:2506.06278; code: AddieFoote/distillation-robustify-unlearning (WMDP: alpha 0.25, beta 0,
 * 3000 steps at lr 2e-5, the defaults; languages: alpha 0.1 to 0.7, beta 0.1). Their teachers are made by rmu and
 * others, ours by npo. The teacher is not held in memory: the rows that its head reads are cached. The forget rows
 * are not among what is distilled. On tofu-656k fifty steps over 400 rows bring back half of the retain probability
 * only: give it all retain rows (alpha 0.1, 0.6 epochs of them, forget / retain 0.47 / 0.52 -> 0.17 / 0.42; the
 * default goes on for longer). Traps: the larger alpha, the more robust and the longer stage 3; a text that is too
 * small to carry the model's abilities loses them. */
#include "procedure/procedure.h"
#include <math.h>
#include <string.h>

static const ul_param params[] = {
    UL_PARAM_LOSS("suppress", "npo",
                  "the method that makes the teacher, with its own defaults; none: the model teaches as it is"),
    {"alpha", UL_REAL, 0.25, 0, 1, NULL, "share of the weights that noise replaces", NULL},
    {"beta", UL_REAL, 0, 0, 10, NULL, "size of the noise; 0: the weights only shrink", NULL},
    {"noise_in", UL_TEXT, 0, 0, 0, NULL,
     "names of the weights that are noised, or parts of names (layers.1.mlp), joined with commas; "
     "default: all that move",
     ""},
    {"distil_steps", UL_INT, 3000, 0, 1e9, "steps", "of stage 3; 0: as distil_epochs says", NULL},
    {"distil_epochs", UL_REAL, 4, 0.001, 10000, NULL, "passes over the retain rows in stage 3", NULL},
    {0}};

static const char *const recipe[] = {"lr", "2e-5", NULL};
static const char *const small[] = {"epochs",        "5", ".alpha",         "0.1", ".beta", "0.1",
                                    ".distil_steps", "0", ".distil_epochs", "1.5", NULL};

static double distance(const ul_args *args, ul_side *forget, ul_side *alt, ul_side *retain)
{
    double sum = 0;
    (void)args, (void)forget, (void)alt;
    for (int32_t i = 0; i < retain->n; i++) {
        retain->dkl[i] = 1 / retain->n_tok;
        sum += retain->kl[i];
    }
    return retain->n ? sum / retain->n_tok : 0;
}

static const ul_method distil = {.title = "UNDO, last stage",
                                 .paper = "arXiv:2506.06278",
                                 .loss = distance,
                                 .params = (const ul_param[]){{0}},
                                 .needs = UL_NEED_RETAIN | UL_NEED_RETAIN_KL | UL_NEED_NO_FORGET_LOSS};

/* Retain documents in the order of a pairing of their own. */
typedef struct {
    ul_ctx *ctx;
    ul_pairing pairing;
    int32_t batch;
} order;

static ul_status sample(void *user, int64_t step, int32_t i, ul_arena *arena, ul_sample *out)
{
    order *o = user;
    (void)arena;
    UL_TRY(ul_pairing_sample(o->ctx, &o->pairing, step * o->batch + i, out));
    out->doc[UL_RETAIN] = out->doc[UL_FORGET];
    out->doc[UL_FORGET] = NULL;
    return UL_OK;
}

/* Does one of the parts of names, joined with commas, stand in the name? An empty list stands in every one. */
static bool listed(const char *list, const char *name)
{
    if (!list || !*list) return true;
    for (const char *at = name; *at; at++)
        for (const char *part = list; *part; part += strcspn(part, ","), part += *part == ',') {
            const size_t n = strcspn(part, ",");
            if (n && !strncmp(at, part, n)) return true;
        }
    return false;
}

static ul_status noise(ul_work *w)
{
    ul_trainable *t;
    const double alpha = ul_num(w->args, "alpha"), beta = ul_num(w->args, "beta");
    const size_t esize = ul_model_backend(w->model)->k->esize;
    const int n = ul_model_trainables(w->model, &t);
    ul_weight *weight;
    const int n_weight = ul_model_weights(w->model, &weight);
    int noised = 0;
    for (int i = 0; i < n; i++) {
        double bound = 0;
        if (!listed(ul_txt(w->args, "noise_in"), t[i].name)) continue;
        noised++;
        for (int k = 0; k < n_weight; k++)
            if (weight[k].p == t[i].p && !weight[k].is_norm && !weight[k].is_bias)
                bound = sqrt(6 / (double)(t[i].n / weight[k].cols + weight[k].cols));
        for (int64_t j = 0; j < t[i].n; j++) {
            const double u = 2 * ul_rng_uniform(w->recipe->seed, UL_STREAM_WEIGHTS, (uint64_t)i, (uint64_t)j) - 1;
            ul_real_put(t[i].p, j, esize, (1 - alpha) * ul_real_at(t[i].p, j, esize) + alpha * beta * bound * u);
        }
    }
    if (noised) return UL_OK;
    return ul_fail(
        w->ctx, UL_E_USAGE,
        "undo.noise_in is \"%s\", which stands in the name of none of the %d weights that move (the first is %s)",
        ul_txt(w->args, "noise_in"), n, n ? t[0].name : "");
}

static ul_status run(ul_work *w)
{
    ul_args args;
    const ul_method *suppress;
    char digest[65];
    ul_reference *teacher;
    order o = {.ctx = w->ctx, .batch = w->recipe->batch};
    ul_recipe r = *w->recipe;
    UL_TRY(ul_work_whole(w));
    if (strcmp(ul_txt(w->args, "suppress"), "none")) {
        UL_TRY(ul_work_loss(w, "suppress", &suppress, &args));
        UL_TRY(ul_work_stage(w, &(ul_stage){.name = "suppress",
                                            .method = suppress,
                                            .args = &args,
                                            .recipe = w->recipe,
                                            .forget = w->forget,
                                            .retain = w->retain}));
    }
    UL_TRY(ul_model_digest(w->ctx, w->model, digest));
    const char *dir = w->out_dir ? ul_format(w->arena, "%s/%s/distil", w->out_dir, UL_STAGES_NAME) : NULL;
    if (w->out_dir) UL_NEED(dir);
    UL_TRY(ul_reference_open(w->ctx, w->arena, w->model, dir, digest, w->retain, true, &teacher));
    UL_TRY(noise(w));
    UL_TRY(ul_pairing_init(w->ctx, w->arena, w->retain, NULL, r.seed, true, &o.pairing));
    r.epochs = ul_num(w->args, "distil_epochs");
    r.steps = (int64_t)ul_num(w->args, "distil_steps");
    r.match_peer = false;
    ul_args_default(distil.params, &args);
    return ul_work_stage(w, &(ul_stage){.name = "distil",
                                        .method = &distil,
                                        .args = &args,
                                        .recipe = &r,
                                        .forget = w->retain,
                                        .sample = sample,
                                        .user = &o,
                                        .ref = {NULL, NULL, teacher}});
}

static const ul_runs runs[] = {
    {.what = "suppress", .kind = UL_RUNS_TRAIN, .when = "suppress!none", .loss_of = "suppress"},
    {.what = "the teacher's distributions of retain rows", .kind = UL_RUNS_FORWARD, .docs = UL_RETAIN,
     .keeps = UL_KEEPS_HIDDEN},
    {.what = "distil", .kind = UL_RUNS_TRAIN, .docs = UL_RETAIN, .loss = &distil, .steps = "distil_steps",
     .epochs = "distil_epochs", .uniform = true}, /* what the teacher said is its reference */
    {0}};

const ul_procedure ul_procedure_undo = {
    .method = {.title = "UNDO: unlearn, noise, distil",
               .paper = "arXiv:2506.06278",
               .note = "As robust as its noise is strong; costs a training run on text that carries what shall stay.",
               .intent = UL_REMOVAL,
               .level = UL_LEVEL_PARAMETERS,
               .params = params,
               .needs = UL_NEED_FORGET | UL_NEED_RETAIN,
               .recipe = recipe,
               .small = small},
    .run = run,
    .runs = runs,
};
