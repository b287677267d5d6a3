/* mudman.c - MUDMAN: meta-unlearning with disruption masking and normalisation.
 *
 *   theta' is forked from theta every `every` steps and learns the forget rows:
 *   theta' <- theta' - adversary_lr grad NLL_f
 *   u = grad L_f(theta'),   m <- decay m + (1 - decay) g_r
 *   theta <- theta - lr |theta_0| (u / |u| where sign u = sign m, else 0)  - lr |theta_0| retain g_r / |g_r|
 *
 * Only entries move whose unlearning does not raise the retain loss; the norm is taken before the mask, as in the
 * code. Only gate projections move (where a model has none: the mlps). filyp, arXiv:2506.12484 (every 32, adversary
 * 1e-3, lr 0.1 times u / |u|, retain lr 1e-3, a hundredth of that, times the bare g_r: `absolute`; L the negative
 * entropy, `loss`). L may be the forget part of any method of the registry, g_r is the retain part of the same. In
 * small models L is npo's, both steps are directions, and lengths are shares of the weights' norm, so that lr and
 * retain mean the same on every model. Plain SGD: Adam would undo both the norm and the mask. tofu-656k, forget /
 * retain 0.49 / 0.52: four epochs 0.35 / 0.48, eight 0.22 / 0.49. */
#include "procedure/_adversary.h"
#include <math.h>
#include <string.h>

static const ul_param params[] = {
    UL_PARAM_LOSS("loss", "negentropy",
                  "negentropy, or the method that gives both parts, with its own defaults; in small models npo"),
    {"every", UL_INT, 32, 1, 1e6, "steps", "after which the adversary starts anew from the model", NULL},
    {"adversary_lr", UL_REAL, 1e-3, 0, 100, NULL, "of its SGD", NULL},
    {"decay", UL_REAL, 0.9, 0, 0.9999, NULL, "share of the past in the mean of retain gradients", NULL},
    {"retain", UL_REAL, 0.01, 0, 1e6, NULL,
     "the retain step as a multiple of the other's length; absolute: its rate as a multiple of lr", NULL},
    {"absolute", UL_BOOL, 1, 0, 1, NULL,
     "the unlearning step is lr long, the retain step lr retain times its gradient; else both in "
     "units of the weights' norm",
     NULL},
    {0}};

typedef struct {
    ul_adversary *adversary;
    void **p, **fork, **mean;
    double norm; /* of all that moves, before the run */
} state;

static const char *const recipe[] = {"lr", "0.1", "schedule", "constant", "warmup", "0", NULL};
static const char *const small[] = {"lr", "2.4e-2", "epochs", "8", ".absolute", "false", ".adversary_lr", "0.1",
                                    ".retain", "1", ".loss", "npo", NULL};

static ul_status begin(ul_wrap *w)
{
    state *s = UL_NEW(w->arena, state, 1);
    UL_NEED(w->state = s);
    for (int i = 0; i < w->n_train; i++) s->norm += w->be->k->sum_squares(w->be, w->train[i].n, w->p[i]);
    s->norm = sqrt(s->norm);
    UL_TRY(ul_wrap_arrays(w, NULL, &s->p));
    UL_TRY(ul_wrap_arrays(w, "fork", &s->fork));
    UL_TRY(ul_wrap_arrays(w, "mean", &s->mean));
    return ul_adversary_new(w, false, &s->adversary);
}

static ul_status part(ul_wrap *w, ul_step_result *r)
{
    state *s = w->state;
    if (w->step % (int64_t)ul_num(w->args, "every") == 0) ul_wrap_copy(w, w->p, s->fork);
    ul_wrap_copy(w, w->p, s->p);
    ul_wrap_copy(w, s->fork, w->p);
    UL_TRY(ul_adversary_step(s->adversary, w->step, 1, ul_num(w->args, "adversary_lr")));
    ul_wrap_copy(w, w->p, s->fork);
    UL_TRY(ul_wrap_gradient(w, w->step, ul_wrap_sides(w, false), r));
    ul_wrap_copy(w, s->p, w->p);
    return UL_OK;
}

static ul_status combine(ul_wrap *w)
{
    state *s = w->state;
    const size_t esize = w->be->k->esize;
    const double decay = ul_num(w->args, "decay"), retain = ul_num(w->args, "retain");
    double uu = 0, rr = 0;
    for (int i = 0; i < w->n_train; i++) {
        uu += w->be->k->sum_squares(w->be, w->train[i].n, w->forget[i]);
        rr += w->be->k->sum_squares(w->be, w->train[i].n, w->g[i]);
    }
    const bool absolute = ul_num(w->args, "absolute") != 0;
    const double unit = uu > 0 ? (absolute ? 1 : s->norm) / sqrt(uu) : 0;
    const double back = absolute ? retain : rr > 0 ? retain * s->norm / sqrt(rr) : 0;
    for (int i = 0; i < w->n_train; i++)
        for (int64_t j = 0; j < w->train[i].n; j++) {
            const double u = ul_real_at(w->forget[i], j, esize), g = ul_real_at(w->g[i], j, esize);
            const double m = decay * ul_real_at(s->mean[i], j, esize) + (1 - decay) * g;
            ul_real_put(s->mean[i], j, esize, m);
            ul_real_put(w->g[i], j, esize, ((u > 0 && m > 0) || (u < 0 && m < 0) ? unit * u : 0) + back * g);
        }
    return UL_OK;
}

static const ul_wrapper wrapper = {.title = "MUDMAN", .begin = begin, .part = part, .combine = combine};

static ul_status select_gates(ul_work *w)
{
    const ul_weight *gate = ul_model_role(w->model, 0, UL_ROLE_GATE, false);
    if (strcmp(w->recipe->train, "auto")) return ul_model_select(w->ctx, w->model, w->recipe->train);
    if (!gate) return ul_work_select_mlp(w);
    const char *spec =
        ul_format(w->arena, "layers 0-%d %s", ul_model_shape(w->model)->n_layer - 1, ul_weight_path(gate));
    UL_NEED(spec);
    return ul_model_select(w->ctx, w->model, spec);
}

static ul_status run(ul_work *w)
{
    ul_args args;
    const ul_method *loss;
    ul_recipe r = *w->recipe;
    UL_TRY(ul_work_whole(w));
    UL_TRY(ul_work_loss(w, "loss", &loss, &args));
    UL_TRY(select_gates(w));
    r.optim = UL_SGD, r.momentum = r.weight_decay = r.clip = 0;
    return ul_work_wrapped(w, "mudman", loss, &args, &r, &wrapper, NULL);
}

/* A step of the adversary, then a gradient. */
static const ul_runs runs[] = {
    {.what = "mudman", .kind = UL_RUNS_TRAIN, .loss_of = "loss", .times = "1.5", .sgd = true, .mlp = true, .copies = 4},
    {0}};

const ul_procedure ul_procedure_mudman = {
    .method =
        {.title = "MUDMAN: meta-unlearning with masked, normalised steps",
         .paper = "arXiv:2506.12484",
         .note =
             "Unlearns at the weights of an adversary, only where the retain loss agrees. Gate projections alone move.",
         .intent = UL_REMOVAL,
         .level = UL_LEVEL_PARAMETERS,
         .params = params,
         .needs = UL_NEED_FORGET | UL_NEED_RETAIN,
         .recipe = recipe,
         .own_rate = true,
         .small = small},
    .run = run,
    .runs = runs,
};
