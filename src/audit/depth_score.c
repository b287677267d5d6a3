/* depth_score.c - the unlearning depth score of an evaluation (UDS, arXiv 2605.24614; its formula stands in
 * probe_patch.c): the model before it forgot answers the forget questions with the states of the evaluated model, and
 * with the control's.
 *
 *   0: it reads the answers in the model's states as in its own     1: no more than in the control's
 *
 * The mean over rows of which some layer counts; entities are resampled. Destruction scores 1 too, and states of models
 * that were not grown from one trunk are noise to each other: read it beside utility. */
#include "audit/battery.h"
#include <math.h>

enum { REPLICATES = 2000 }; /* as of every interval of `eval` */

static ul_status interval(ul_arena *scratch, const ul_records *rows, const double *uds, const double *has,
                          ul_depth_found *out)
{
    const double *const column[2] = {uds, has};
    int64_t *entity = UL_NEW(scratch, int64_t, rows->n);
    double *rep = UL_NEW(scratch, double, 2 * REPLICATES), *ratio = UL_NEW(scratch, double, REPLICATES);
    ul_clusters people;
    UL_NEED(entity);
    UL_NEED(rep);
    UL_NEED(ratio);
    for (int64_t i = 0; i < rows->n; i++) entity[i] = rows->at[i].entity;
    UL_TRY(ul_clusters_init(scratch, entity, rows->n, &people));
    UL_TRY(ul_bootstrap_means(scratch, &people, column, 2, 0, 0, REPLICATES, rep));
    for (int i = 0; i < REPLICATES; i++) ratio[i] = rep[2 * i + 1] > 0 ? rep[2 * i] / rep[2 * i + 1] : (double)NAN;
    out->interval = ul_interval_percentile(ratio, REPLICATES, 0.95);
    return UL_OK;
}

static ul_status score(ul_arena *scratch, const ul_records *rows, double *patched[3][UL_MAX_DEPTH], double tau,
                       ul_depth_found *out)
{
    const int64_t n = rows->n;
    double *uds = UL_NEW(scratch, double, n), *has = UL_NEW(scratch, double, n);
    UL_NEED(uds);
    UL_NEED(has);
    for (int64_t i = 0; i < n; i++) {
        double lost[2][UL_MAX_DEPTH];
        for (int l = 0; l < out->n_layer; l++)
            for (int k = 0; k < 2; k++) {
                lost[k][l] = patched[2][l][i] - patched[k][l][i];
                (k ? out->control : out->model)[l] += lost[k][l] / (double)n;
            }
        const double x = ul_depth_score(lost[1], lost[0], out->n_layer, tau);
        has[i] = !isnan(x);
        uds[i] = isnan(x) ? 0 : x;
        out->rows += !isnan(x);
    }
    out->value = out->rows ? ul_sum(uds, n) / (double)out->rows : (double)NAN;
    return out->rows ? interval(scratch, rows, uds, has, out) : UL_OK;
}

ul_status ul_control_depth(ul_ctx *ctx, const ul_eval_options *o, ul_model *original, ul_model *control,
                           const ul_records *rows, double tau, ul_depth_found *out)
{
    ul_model *const m[3] = {o->model, control, original}; /* its own states cost the original nothing */
    double *patched[3][UL_MAX_DEPTH];
    ul_arena *scratch;
    *out = (ul_depth_found){.n_layer = ul_model_shape(original)->n_layer};
    if (out->n_layer > UL_MAX_DEPTH)
        return ul_fail(ctx, UL_E_INPUT, "%s has %d blocks; the depth score is computed for at most %d",
                       ul_model_dir(original), out->n_layer, UL_MAX_DEPTH);
    UL_TRY(ul_arena_new(ctx, "depth score", &scratch));
    ul_status s = UL_OK;
    for (int k = 0; k < 3 && s == UL_OK; k++) {
        for (int l = 0; l < out->n_layer && s == UL_OK; l++)
            if (!(patched[k][l] = UL_NEW(scratch, double, rows->n))) s = UL_E_RESOURCE;
        if (s == UL_OK) s = ul_patch_measure(ctx, o, original, rows, m[k], patched[k]);
    }
    if (s == UL_OK) s = score(scratch, rows, patched, tau, out);
    ul_arena_free(scratch);
    return s;
}
