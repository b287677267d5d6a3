/* ilu.c - invariant LLM unlearning: the unlearned weights shall be a point that
 * fine-tuning on other data does not pull away.
 *
 *   L = L_u + lambda P,   P = sum_j (theta_j g_j)^2 = |grad_w l(w o theta)|^2 at w = 1,  l: NLL of rows to fine-tune on
 *   dP / dtheta = 2 theta o g o g + 2 H v,   v = theta o theta o g,   H v = (g(theta + eta v) - g(theta)) / eta
 *
 * arXiv:2506.01339 (the released program, a copy of another, lacks the term: --match ilu; rate, epochs and lambda of
 * the paper were not to be had: the usual run, lambda ours). w is one multiplier a parameter; the paper's text
 * allows one for all, which would be <theta, g>^2. l is the retain part of the step's own loss, on the step's retain
 * rows; the Hessian-vector product is a finite difference, eta such that the weights change by `eta` of their norm.
 * tofu-656k, forget / retain 0.47 / 0.52: three epochs at 2e-3 0.25 / 0.42; hence half of that rate. */
#include "procedure/procedure.h"
#include <math.h>

static const ul_param params[] = {
    UL_PARAM_LOSS("loss", "npo", "the method that is made invariant, with its own defaults; one with a retain term"),
    {"lambda", UL_REAL, 100, 0, 1e12, NULL, "weight of the invariance penalty; 0: the method alone", NULL},
    {"eta", UL_REAL, 1e-3, 1e-8, 1, NULL, "length of the finite difference, as a share of the weights' norm", NULL},
    {0}};

static const char *const small[] = {"lr", "1e-3", "epochs", "5", NULL};
static const ul_match matches[] = {{"ilu", "no penalty", UL_VALUES(".lambda", "0"), false}, {0}};

typedef struct {
    void **p, **r; /* weights; retain gradient */
} buffers;

static double norm_of(const ul_wrap *w, void *const *x)
{
    double sum = 0;
    for (int i = 0; i < w->n_train; i++) sum += w->be->k->sum_squares(w->be, w->train[i].n, x[i]);
    return sqrt(sum);
}

static ul_status begin(ul_wrap *w)
{
    buffers *b = UL_NEW(w->arena, buffers, 1);
    UL_NEED(w->state = b);
    UL_TRY(ul_wrap_arrays(w, NULL, &b->p));
    return ul_wrap_arrays(w, NULL, &b->r);
}

/* g, the retain part, becomes the gradient of the whole. */
static ul_status combine(ul_wrap *w)
{
    buffers *b = w->state;
    const ul_kernels *k = w->be->k;
    const size_t esize = k->esize;
    ul_step_result unused = {0};
    double vv = 0;
    for (int i = 0; i < w->n_train; i++) {
        k->copy(w->be, w->train[i].n, w->p[i], b->p[i], false);
        k->copy(w->be, w->train[i].n, w->g[i], b->r[i], false);
        for (int64_t j = 0; j < w->train[i].n; j++) {
            const double t = ul_real_at(w->p[i], j, esize), v = t * t * ul_real_at(w->g[i], j, esize);
            vv += v * v;
        }
    }
    const double lambda = ul_num(w->args, "lambda");
    const double eta = vv > 0 ? ul_num(w->args, "eta") * norm_of(w, b->p) / sqrt(vv) : 0;
    if (lambda > 0 && eta > 0) {
        for (int i = 0; i < w->n_train; i++)
            for (int64_t j = 0; j < w->train[i].n; j++) {
                const double t = ul_real_at(b->p[i], j, esize);
                ul_real_put(w->p[i], j, esize, t + eta * t * t * ul_real_at(b->r[i], j, esize));
                ul_real_put(w->g[i], j, esize, 0);
            }
        UL_TRY(ul_wrap_gradient(w, w->step, ul_wrap_sides(w, true), &unused));
    }
    for (int i = 0; i < w->n_train; i++)
        for (int64_t j = 0; j < w->train[i].n; j++) {
            const double t = ul_real_at(b->p[i], j, esize), r = ul_real_at(b->r[i], j, esize);
            const double hv = eta > 0 && lambda > 0 ? (ul_real_at(w->g[i], j, esize) - r) / eta : 0;
            ul_real_put(w->g[i], j, esize, ul_real_at(w->forget[i], j, esize) + r + 2 * lambda * (t * r * r + hv));
            ul_real_put(w->p[i], j, esize, t);
        }
    return UL_OK;
}

static const ul_wrapper wrapper = {.title = "ILU", .begin = begin, .combine = combine};

static ul_status run(ul_work *w)
{
    ul_args args;
    const ul_method *loss;
    UL_TRY(ul_work_whole(w));
    UL_TRY(ul_work_loss(w, "loss", &loss, &args));
    return ul_work_wrapped(w, "ilu", loss, &args, w->recipe, &wrapper, NULL);
}

/* The retain part of each gradient is taken twice. */
static const ul_runs runs[] = {
    {.what = "ilu", .kind = UL_RUNS_TRAIN, .loss_of = "loss", .times = "1.5", .copies = 3}, {0}};

const ul_procedure ul_procedure_ilu = {
    .method = {.title = "Invariant unlearning",
               .paper = "arXiv:2506.01339",
               .note = "Any loss, with a penalty on how strongly further fine-tuning would pull at the weights. Three "
                       "gradients a step.",
               .intent = UL_REMOVAL,
               .level = UL_LEVEL_PARAMETERS,
               .params = params,
               .needs = UL_NEED_FORGET | UL_NEED_RETAIN,
               .small = small,
               .matches = matches},
    .run = run,
    .runs = runs,
};
