/* pcgu.c - partitioned contrastive gradient unlearning: only those rows of the matrices move whose gradients tell
 * the forgotten answer from another answer to the same question.
 *
 *   c_r = cos(g_f,r, g_t,r)   of row r; g_f, g_t: gradients of the mean NLL of the forget answers and of the target
 *   W_r += a g_f,r            for the `rows`, or the `share` of all rows, with the least c_r
 *
 * Yu, Jeong, Kasi, Yu and Ji 2023, "Unlearning Bias in Language Models by Partitioning Gradients", Findings of ACL:
 * the 10000 least similar rows of a BERT; made for pairs that differ in one word. Traps: with answers that differ
 * altogether most rows look alike; a row without any gradient has no cosine and stays. The step is the largest that
 * the budget allows, or `scale` (kl 0); the paper's belongs to its own descent: here RepSelect's budget for every
 * method (arXiv:2606.17168), 0.01; small models have 0.15 and a tenth of the rows. */
#include "procedure/edit.h"
#include <math.h>
#include <stdlib.h>

static const ul_param params[] = {
    {"rows", UL_INT, 10000, 0, 1e9, "rows", "of matrices that move; 0: as share says", NULL},
    {"share", UL_REAL, 0.1, 1e-6, 1, NULL, "of all rows of matrices, those that move", NULL},
    UL_PARAM_SCALE(1e-3, "length of the step, where kl is 0"),
    UL_PARAM_KL(0.01),
    UL_PARAM_KL_DOCS,
    UL_PARAM_EDIT_FACTS,
    {0}};

typedef struct {
    double cosine;
    int tensor;
    int64_t row;
} similarity;

static int rising(const void *a, const void *b)
{
    const similarity *x = a, *y = b;
    if (x->cosine != y->cosine) return x->cosine < y->cosine ? -1 : 1;
    if (x->tensor != y->tensor) return x->tensor < y->tensor ? -1 : 1;
    return (x->row > y->row) - (x->row < y->row);
}

/* Cosines of all rows that have gradients on both sides; move->d holds g_f, the trainables' g the target's. */
static int64_t compare(const ul_work *w, const ul_move *move, similarity *out)
{
    int64_t n = 0;
    for (int i = 0; i < move->from.n; i++) {
        const ul_trainable *t = &move->from.train[i];
        const ul_weight *x = ul_matrix_of(w->model, t);
        for (int64_t r = 0; x && r < t->n / x->cols; r++) {
            double ff = 0, tt = 0, ft = 0;
            for (int64_t j = r * x->cols; j < (r + 1) * x->cols; j++) {
                const double f = ul_real_at(move->d[i], j, move->from.esize), g = ul_real_at(t->g, j, move->from.esize);
                ff += f * f, tt += g * g, ft += f * g;
            }
            if (ff > 0 && tt > 0) out[n++] = (similarity){ft / sqrt(ff * tt), i, r};
        }
    }
    return n;
}

/* All rows of d but the chosen ones become 0. */
static ul_status keep(ul_work *w, const ul_move *move, const similarity *at, int64_t n)
{
    for (int i = 0; i < move->from.n; i++) {
        const ul_trainable *t = &move->from.train[i];
        const ul_weight *x = ul_matrix_of(w->model, t);
        const int64_t rows = x ? t->n / x->cols : 0;
        bool *chosen = UL_NEW(w->arena, bool, rows + 1);
        UL_NEED(chosen);
        for (int64_t k = 0; k < n; k++)
            if (at[k].tensor == i) chosen[at[k].row] = true;
        for (int64_t j = 0; j < t->n; j++)
            if (!x || !chosen[j / x->cols]) ul_real_put(move->d[i], j, move->from.esize, 0);
    }
    return UL_OK;
}

static ul_status run(ul_work *w)
{
    ul_move move;
    ul_budget budget;
    ul_facts f;
    int64_t rows = 0;
    UL_TRY(ul_work_whole(w));
    UL_TRY(ul_budget_begin(w, &budget));
    UL_TRY(ul_facts_new(w, 0, (int32_t)w->forget_rows->n, &f));
    UL_TRY(ul_move_new(w->ctx, w->arena, w->model, &move));
    UL_TRY(ul_work_gradient(w, w->model, w->forget, 1, NULL));
    for (int i = 0; i < move.from.n; i++) {
        const ul_weight *x = ul_matrix_of(w->model, &move.from.train[i]);
        rows += x ? move.from.train[i].n / x->cols : 0;
        for (int64_t j = 0; j < move.from.train[i].n; j++)
            ul_real_put(move.d[i], j, move.from.esize, ul_real_at(move.from.train[i].g, j, move.from.esize));
    }
    const ul_docs target = {.n = f.n, .at = f.doc};
    UL_TRY(ul_work_gradient(w, w->model, &target, 1, NULL));
    similarity *at = UL_NEW(w->arena, similarity, rows + 1);
    UL_NEED(at);
    const int64_t n = compare(w, &move, at);
    int64_t chosen = (int64_t)ul_num(w->args, "rows");
    if (chosen == 0) chosen = (int64_t)ceil(ul_num(w->args, "share") * (double)rows);
    if (chosen > n) chosen = n;
    if (chosen < 1)
        return ul_fail(w->ctx, UL_E_USAGE, "pcgu: no row of a matrix moves: --train selects no matrix with a gradient");
    qsort(at, (size_t)n, sizeof *at, rising);
    UL_TRY(keep(w, &move, at, chosen));
    UL_TRY(ul_buf_printf(w->report, "pcgu: %lld of %lld rows move, cosines %.3f to %.3f\n", (long long)chosen,
                         (long long)rows, at[0].cosine, at[chosen - 1].cosine));
    return ul_budget_go(w, &budget, &move);
}

static const ul_runs runs[] = {
    UL_RUNS_BUDGET,
    {.what = "gradient of the forget rows", .kind = UL_RUNS_GRADIENT, .copies = 2},
    {.what = "gradient of the same prompts with the neutral target", .kind = UL_RUNS_GRADIENT},
    UL_RUNS_SEARCH,
    {0}};

const ul_procedure ul_procedure_pcgu = {
    .method = {.title = "Partitioned contrastive gradient unlearning",
               .paper = "ACL Findings 2023 (Yu et al.)",
               .note = "Ascent on the forget answers in the weight rows whose gradients differ most from those of a "
                       "neutral answer.",
               .intent = UL_REMOVAL,
               .level = UL_LEVEL_PARAMETERS,
               .params = params,
               .small = UL_VALUES(".rows", "0", ".kl", "0.15"),
               .needs = UL_NEED_FORGET | UL_NEED_RETAIN},
    .run = run,
    .runs = runs,
};
