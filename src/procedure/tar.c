/* tar.c - tamper-resistant unlearning: the forget loss is to stay where it is while an adversary fine-tunes.
 *
 *   1  a safeguard: a method of the registry unlearns
 *   2  outer steps: theta' <- theta;  K times theta' <- a step of adversary_lr down NLL_f(theta'), of AdamW or SGD
 *      g = sum over every `every`-th inner step k of exp(lambda (k - K)) grad L_f(theta'_k), scaled by their sum
 *      theta moves by `weight` g and the retain part of the loss at theta
 *
 * First order: the gradient at theta' is applied at theta. Tamirisa et al. 2024, arXiv:2408.00761; code:
 * rishub-tamirisa/tamper-resistance (K 64 AdamW steps at 2e-6, 2e-5 or 4e-5, here always the second; 750 outer steps
 * at lr 2e-5, every 4th, lambda 0.0625, weight 4; L the negative entropy, `loss`, on retain the likelihood and the
 * states; the safeguard a random mapping of hidden states, or rmu). Here the retain part is L's own, the schedule the
 * run's. An outer step costs K + K / every + 1 gradients: small models have four of SGD and eight outer steps, and npo
 * for both. Traps: durability as measured depends on the attacks tried (arXiv:2412.07097). */
#include "procedure/_adversary.h"
#include <math.h>
#include <string.h>

static const ul_param params[] = {
    UL_PARAM_LOSS("loss", "negentropy",
                  "what shall stay low under the adversary: negentropy, or a method with its own defaults; in small "
                  "models npo"),
    UL_PARAM_LOSS("safeguard", "rmu", "the first stage's method, with its own defaults; in small models npo"),
    {"inner", UL_INT, 64, 1, 10000, "steps", "of the adversary in an outer step", NULL},
    {"every", UL_INT, 4, 1, 10000, "steps", "of the adversary between two gradients", NULL},
    {"lambda", UL_REAL, 0.0625, 0, 100, NULL, "how much more later gradients weigh", NULL},
    {"adversary", UL_TEXT, 0, 0, 0, "adamw|sgd", "its optimizer, begun anew in each outer step", "adamw"},
    {"adversary_lr", UL_REAL, 2e-5, 0, 100, NULL, "its rate", NULL},
    {"weight", UL_REAL, 4, 0, 1000, NULL, "of the adversary's gradients beside the retain part", NULL},
    {"outer", UL_INT, 750, 1, 1e6, "steps", "of the second stage", NULL},
    {0}};

typedef struct {
    ul_adversary *adversary;
    void **p, **sum;
} state;

static const char *const recipe[] = {"lr", "2e-5", NULL};
/* tofu-656k at 2e-3, 3 epochs: 0.08 / 0.30 of 0.47 / 0.52 */
static const char *const small[] = {"lr", "1e-3", "epochs", "5", ".outer", "8", ".inner", "4", ".every", "2",
                                    ".adversary", "sgd", ".adversary_lr", "0.1", ".weight", "1",
                                    ".loss", "npo", ".safeguard", "npo", NULL};

static ul_status begin(ul_wrap *w)
{
    state *s = UL_NEW(w->arena, state, 1);
    UL_NEED(w->state = s);
    UL_TRY(ul_wrap_arrays(w, NULL, &s->p));
    UL_TRY(ul_wrap_arrays(w, NULL, &s->sum));
    return ul_adversary_new(w, !strcmp(ul_txt(w->args, "adversary"), "adamw"), &s->adversary);
}

static ul_status part(ul_wrap *w, ul_step_result *r)
{
    state *s = w->state;
    const ul_kernels *k = w->be->k;
    const int64_t inner = (int64_t)ul_num(w->args, "inner"), every = (int64_t)ul_num(w->args, "every");
    double total = 0;
    ul_wrap_copy(w, w->p, s->p);
    for (int i = 0; i < w->n_train; i++) k->fill_rows(w->be, 1, w->train[i].n, NULL, s->sum[i]);
    for (int64_t j = 1; j <= inner; j++) {
        UL_TRY(ul_adversary_step(s->adversary, w->step * inner + j - 1, j, ul_num(w->args, "adversary_lr")));
        if (j % every && j != inner) continue;
        ul_step_result unused = {0};
        const double weight = ul_exp(ul_num(w->args, "lambda") * (double)(j - inner));
        UL_TRY(ul_wrap_gradient(w, w->step, ul_wrap_sides(w, false), j == inner ? r : &unused));
        total += weight;
        for (int i = 0; i < w->n_train; i++) k->axpy(w->be, w->train[i].n, weight, w->g[i], s->sum[i]);
        ul_model_grad_zero(w->o->model);
    }
    ul_wrap_copy(w, s->p, w->p);
    for (int i = 0; i < w->n_train; i++) {
        k->scale(w->be, w->train[i].n, ul_num(w->args, "weight") / total, s->sum[i]);
        k->copy(w->be, w->train[i].n, s->sum[i], w->g[i], false);
    }
    return UL_OK;
}

static const ul_wrapper wrapper = {.title = "TAR", .begin = begin, .part = part};

static ul_status run(ul_work *w)
{
    ul_args args, first_args;
    const ul_method *loss, *first;
    ul_recipe r = *w->recipe;
    UL_TRY(ul_work_loss(w, "loss", &loss, &args));
    UL_TRY(ul_work_loss(w, "safeguard", &first, &first_args));
    UL_TRY(ul_work_stage(w, &(ul_stage){.name = "safeguard", .method = first, .args = &first_args, .recipe = w->recipe,
                                        .forget = w->forget, .retain = w->retain}));
    r.steps = (int64_t)ul_num(w->args, "outer");
    return ul_work_wrapped(w, "tamper", loss, &args, &r, &wrapper, NULL);
}

/* An outer step: inner steps on forget rows, with a gradient of the loss after every few of them. */
static const ul_runs runs[] = {
    {.what = "safeguard", .kind = UL_RUNS_TRAIN, .loss_of = "safeguard"},
    {.what = "tamper", .kind = UL_RUNS_TRAIN, .loss_of = "loss", .steps = "outer", .times = "inner", .copies = 2},
    {0}};

const ul_procedure ul_procedure_tar = {
    .method = {.title = "Tamper-resistant unlearning",
               .paper = "arXiv:2408.00761",
               .note = "Unlearns against an adversary that fine-tunes at every step. Resists what it has met; costly.",
               .intent = UL_REMOVAL,
               .level = UL_LEVEL_PARAMETERS,
               .params = params,
               .needs = UL_NEED_FORGET | UL_NEED_RETAIN,
               .recipe = recipe,
               .small = small},
    .run = run,
    .runs = runs,
    .adapters = true,
};
