/* ssd.c - selective synaptic dampening: weights that matter much more to the forget set
 * than to the retain set are shrunk.
 *
 *   F_f > alpha F_r:   theta <- theta min(lambda F_r / F_f, 1)         F: diagonal of the empirical Fisher information
 *
 * Foster, Schoepf and Brintrup 2023, arXiv:2308.07707 (alpha 10, lambda 1 for vision models; language models need an
 * alpha searched above that). Their F squares the gradient of a mini-batch (--match ssd, batches of 32); here, as
 * the formula says, that of a document. Small models: tofu-656k, forget / retain 0.47 / 0.52: alpha 10 0.31 / 0.44,
 * 20 0.35 / 0.46; 14 lies between. */
#include "procedure/procedure.h"

static const ul_param params[] = {
    {"alpha", UL_REAL, 10, 0, 1e300, NULL,
     "a weight is dampened when its forget information is so many times its retain information", NULL},
    {"lambda", UL_REAL, 1, 0, 1e6, NULL, "how strongly: a factor on retain over forget information, at most 1", NULL},
    UL_PARAM_FISHER_DOCS,
    {"fisher_batch", UL_INT, 1, 1, 1e6, "documents", "whose mean gradient is squared", NULL},
    {0}};

static const char *const small[] = {".alpha", "14", NULL};
static const ul_match matches[] = {
    {"ssd", "squares of the gradients of batches", UL_VALUES(".fisher_batch", "32"), false}, {0}};

static ul_status run(ul_work *w)
{
    double **forget, **retain;
    ul_trainable *train;
    int64_t n_dampened = 0, n_all = 0;
    const double alpha = ul_num(w->args, "alpha"), lambda = ul_num(w->args, "lambda");
    const size_t esize = ul_model_backend(w->model)->k->esize;
    UL_TRY(ul_work_whole(w));
    UL_TRY(ul_fisher_pair(w, &forget, &retain));
    const int n = ul_model_trainables(w->model, &train);
    for (int i = 0; i < n; i++)
        for (int64_t j = 0; j < train[i].n; j++) {
            const double f = forget[i][j], r = retain[i][j];
            n_all++;
            if (!(f > alpha * r) || lambda * r >= f) continue;
            ul_real_put(train[i].p, j, esize, ul_real_at(train[i].p, j, esize) * (lambda * r / f));
            n_dampened++;
        }
    ul_buf_printf(w->report, "%s: %lld of %lld weights dampened\n", w->id, (long long)n_dampened, (long long)n_all);
    return UL_OK;
}

static const ul_runs runs[] = {
    UL_RUNS_FISHER(UL_FORGET, "forget"), UL_RUNS_FISHER(UL_RETAIN, "retain"), {0}};

const ul_procedure ul_procedure_ssd = {
    .method =
        {.title = "Selective synaptic dampening",
         .paper = "arXiv:2308.07707",
         .note =
             "No training: two passes for the Fisher information, then weights that the forget set alone uses shrink.",
         .intent = UL_REMOVAL,
         .level = UL_LEVEL_PARAMETERS,
         .params = params,
         .needs = UL_NEED_FORGET | UL_NEED_RETAIN,
         .small = small,
         .matches = matches},
    .run = run,
    .runs = runs,
};
