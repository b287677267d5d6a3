/* recipe.c - the parameters of a run, their defaults, and the learning-rate schedules of transformers
 * (src/transformers/optimization.py): get_constant / linear / cosine_schedule_with_warmup.
 *
 *   s < w      lr s / w                                     w = warm-up steps, so the first step has lr 0
 *   constant   lr
 *   linear     lr (n - s) / (n - w)
 *   cosine     lr (1 + cos(pi (s - w) / (n - w))) / 2
 * With a floor f the last two become f lr + (1 - f) of that. */
#include "train/train.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Two ends and a line between them: open-unlearning's 1e-5 is for models of 1e9 parameters and more; models of less
 * than a million need about two hundred times as much: npo on tofu-656k, ten epochs, takes the forget probability from
 * 0.49 to 0.15 at 1e-3, 0.13 at 2e-3, 0.12 at 3e-3, each with at least 0.96 of the retain probability left. Between
 * them 26 million were measured (repro/tofu-26m.md): 1e-5 does nothing, the line's rate what it should. */
enum { SMALL_MODEL = 20000000 };
#define OURS 1e6
#define PAPERS 1e9

bool ul_recipe_small(int64_t n_parameters)
{
    return n_parameters <= SMALL_MODEL;
}

/* Two digits: they can be typed again. */
static double typed(double x)
{
    char text[32];
    snprintf(text, sizeof text, "%.1e", x);
    return strtod(text, NULL);
}

double ul_recipe_lr_between(int64_t n_parameters, double small, double paper)
{
    const double n = (double)n_parameters;
    if (n <= OURS || small == paper) return small;
    if (n >= PAPERS) return paper;
    return typed(small * ul_pow(paper / small, ul_log(n / OURS) / ul_log(PAPERS / OURS)));
}

double ul_recipe_lr_times(double lr, double times)
{
    return typed(lr * times);
}

double ul_recipe_lr_for(int64_t n_parameters)
{
    return ul_recipe_lr_between(n_parameters, 2e-3, 1e-5);
}

const ul_param ul_recipe_params[] = {
    {"seed", UL_INT, 0, 0, 9007199254740991.0, NULL, "decides the order of samples, pairs and fresh weights", NULL},
    {"epochs", UL_REAL, 10, 0.001, 100000, NULL, "passes over the forget (or training) rows; see steps", NULL},
    {"steps", UL_INT, 0, 0, 1e9, NULL, "optimizer steps; 0: as epochs say", NULL},
    {"batch", UL_INT, 32, 1, 1 << 20, "samples", "samples of a step (a forget row with its retain row and alternate)",
     NULL},
    {"optimizer", UL_TEXT, 0, 0, 0, "adamw|sgd|sophia",
     "adamw as in PyTorch; sgd with momentum; sophia: second order, steps up to lr (`unlearn methods soul`)", "adamw"},
    {"lr", UL_REAL, 0, 0, 100, NULL,
     "peak learning rate; 0: by the size of the model, from 2e-3 at a million parameters down to 1e-5 at 1e9 (a power "
     "of the size between), and of adapters three times (above 20 million: ten times) as much",
     NULL},
    {"beta1", UL_REAL, 0.9, 0, 0.999999, NULL, "adamw, sophia: decay of the first moment", NULL},
    {"beta2", UL_REAL, 0.999, 0, 0.99999999, NULL, "adamw: decay of the second moment", NULL},
    {"eps", UL_REAL, 1e-8, 0, 1, NULL, "adamw: added to the root of the second moment", NULL},
    {"weight-decay", UL_REAL, 0.01, 0, 10, NULL, "decoupled decay of matrices (never of norms and biases)", NULL},
    {"momentum", UL_REAL, 0, 0, 0.999999, NULL, "sgd: momentum", NULL},
    {"schedule", UL_TEXT, 0, 0, 0, "constant|linear|cosine", "of the learning rate after warm-up", "linear"},
    {"warmup", UL_REAL, 0.1, 0, 1e9, NULL, "linear warm-up from 0: steps if 1 or more, else a share of all steps",
     NULL},
    {"lr-floor", UL_REAL, 0, 0, 1, NULL, "linear and cosine end at this share of lr", NULL},
    {"clip", UL_REAL, 1, 0, 1e9, NULL, "largest norm of the whole gradient; 0: no clipping", NULL},
    {"train", UL_TEXT, 0, 0, 0, NULL,
     "which weights move: auto (all, but for losses of hidden states: a few), all, lora, embedding, head, norms, "
     "\"layers 5-7 mlp\", \"layers 1/8-1/4\" (of the way up), a name; joined with commas",
     "auto"},
    {"sophia-beta2", UL_REAL, 0.95, 0, 0.99999999, NULL, "sophia: decay of the curvature", NULL},
    {"sophia-rho", UL_REAL, 0.04, 1e-9, 1e6, NULL, "sophia: steps are |m| / (rho * batch * curvature), at most 1",
     NULL},
    {"sophia-batch", UL_REAL, 5120, 1, 1e9, NULL, "sophia: the batch of that quotient", NULL},
    {"sophia-every", UL_INT, 10, 1, 1e9, "steps", "sophia: between estimates of the curvature", NULL},
    {0}};

/* The authors' program of SOUL (Jia et al. 2024, arXiv:2404.18239, OPTML-Group/SOUL) moves the first moment twice a
 * step, which is once with the square of its decay. */
const ul_match ul_sophia_matches[] = {
    {"soul", "the first moment moves twice a step", UL_VALUES("beta1", "0.81"), false}, {0}};

void ul_recipe_from_args(const ul_args *a, int64_t n_parameters, ul_recipe *out)
{
    const char *schedule = ul_txt(a, "schedule"), *optimizer = ul_txt(a, "optimizer");
    *out = (ul_recipe){
        .seed = (uint64_t)ul_num(a, "seed"),
        .epochs = ul_num(a, "epochs"),
        .steps = (int64_t)ul_num(a, "steps"),
        .batch = (int32_t)ul_num(a, "batch"),
        .optim = !strcmp(optimizer, "sgd") ? UL_SGD : !strcmp(optimizer, "sophia") ? UL_SOPHIA : UL_ADAMW,
        .lr = ul_num(a, "lr") > 0 ? ul_num(a, "lr") : ul_recipe_lr_for(n_parameters),
        .beta1 = ul_num(a, "beta1"),
        .beta2 = ul_num(a, "beta2"),
        .eps = ul_num(a, "eps"),
        .weight_decay = ul_num(a, "weight-decay"),
        .momentum = ul_num(a, "momentum"),
        .schedule = !strcmp(schedule, "cosine")   ? UL_COSINE
                    : !strcmp(schedule, "linear") ? UL_LINEAR
                                                  : UL_CONSTANT,
        .warmup = ul_num(a, "warmup"),
        .lr_floor = ul_num(a, "lr-floor"),
        .clip = ul_num(a, "clip"),
        .train = ul_txt(a, "train"),
        .sophia_beta2 = ul_num(a, "sophia-beta2"),
        .sophia_rho = ul_num(a, "sophia-rho"),
        .sophia_batch = ul_num(a, "sophia-batch"),
        .sophia_every = (int64_t)ul_num(a, "sophia-every"),
    };
}

int64_t ul_recipe_steps(const ul_recipe *r, int64_t n_samples)
{
    if (r->steps > 0) return r->steps;
    const double steps = ceil(r->epochs * (double)n_samples / r->batch);
    return steps < 1 ? 1 : (int64_t)steps;
}

double ul_recipe_lr(const ul_recipe *r, int64_t step, int64_t steps)
{
    const double pi = 3.14159265358979323846;
    const double w = r->warmup >= 1 ? floor(r->warmup) : ceil(r->warmup * (double)steps), s = (double)step,
                 n = (double)steps;
    if (s < w) return r->lr * s / w;
    if (r->schedule == UL_CONSTANT) return r->lr;
    const double left = n > w ? (n - s) / (n - w) : 1; /* 1 at the end of the warm-up, falling to 1 / (n - w) */
    double x = left < 0 ? 0 : left;
    if (r->schedule == UL_COSINE) x = (1 + ul_cos(pi * (n > w ? (s - w) / (n - w) : 0))) / 2;
    return r->lr * (r->lr_floor + (1 - r->lr_floor) * x);
}
