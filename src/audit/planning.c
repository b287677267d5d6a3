/* planning.c - what a run will do, hold and take, before it does: passes, caches, bytes, seconds. Nothing is written
 * and no weight moves; the time is that of one step's gradients, taken for real, times the steps. Of procedures and
 * guards: planning_passes.c; the lines of both: planning_lines.c. */
#include "audit/planning.h"
#include <string.h>

/* What runs, in words. */
static ul_status passes(ul_training *t)
{
    ul_job *job = t->job;
    const int n_layer = ul_model_shape(t->model)->n_layer;
    const int blocks = ul_method_blocks(job->method, &job->method_args, t->model), last = blocks < 0 ? n_layer : blocks;
    int first = 0;
    for (int i = 0; i < t->cache_plan.n; i++)
        if (t->caches.prefix[t->cache_plan.at[i].side] && t->cache_plan.at[i].blocks < last &&
            !strncmp(t->cache_plan.at[i].what, "states", 6))
            first = t->cache_plan.at[i].blocks;
    const int low = ul_model_lowest(t->model) < 0 ? 0 : ul_model_lowest(t->model);
    UL_TRY(ul_buf_printf(&job->text, "each step: forward through blocks %d to %d of %d%s, back to block %d; documents:",
                         first, last - 1, n_layer, blocks < 0 ? " and the head" : "", low));
    if (!(t->needs & UL_NEED_NO_FORGET_LOSS)) UL_TRY(ul_buf_puts(&job->text, " forget"));
    if (t->needs & UL_NEED_ALT) UL_TRY(ul_buf_puts(&job->text, " alternate"));
    if (t->needs & UL_NEED_RETAIN) UL_TRY(ul_buf_puts(&job->text, " retain"));
    for (int i = 0; i < t->n_wrap; i++)
        UL_TRY(ul_buf_printf(&job->text, "%s %s", i ? "," : "; wrapped in", t->wrap[i].id));
    if (t->lora && t->needs & UL_NEED_INFORMED_START)
        UL_TRY(ul_buf_puts(&job->text,
                           "\nbefore: gradients of the forget rows and as many retain rows, one by one (FILA)"));
    return ul_buf_puts(&job->text, "\n");
}

/* Seconds and tokens of step 0's gradients. Numbers of the reference are made on the way where the caches are not
 * there; what reads such caches only is timed as plain training. */
static ul_status time_step(ul_training *t, ul_trainer_options o, double *seconds, int64_t *tokens)
{
    ul_job *job = t->job;
    ul_trainer *trainer = NULL;
    ul_step_result r;
    const bool plain = !job->method || t->needs & UL_NEED_RIVAL_LABELS || job->method->readings ||
                       ul_method_state(job->method, &job->method_args, UL_FORGET, t->model).target == UL_TARGET_MOVED;
    memset(o.prefix, 0, sizeof o.prefix);
    memset(o.ref, 0, sizeof o.ref);
    if (plain) o.method = NULL, o.n_wrap = 0;
    UL_TRY(ul_trainer_new(job->ctx, &o, t->recipe.steps, &trainer));
    ul_status s = ul_trainer_calibrate(trainer);
    const int64_t start = ul_now_ns();
    if (s == UL_OK) s = ul_trainer_gradients(trainer, 0, &r);
    *seconds = (double)(ul_now_ns() - start) * 1e-9;
    *tokens = s == UL_OK ? r.tokens : 0;
    ul_trainer_free(trainer);
    return s;
}

static ul_status timing(ul_training *t, const ul_trainer_options *o, int64_t sweep_tokens)
{
    ul_job *job = t->job;
    double step;
    int64_t tokens;
    UL_TRY(time_step(t, *o, &step, &tokens));
    const double sweep = tokens > 0 ? step / 3 * (double)sweep_tokens / (double)tokens : 0,
                 all = step * (double)t->recipe.steps + sweep;
    json_object_set_new(job->result, "seconds_step", json_real(step));
    json_object_set_new(job->result, "seconds", json_real(all));
    return ul_buf_printf(&job->text,
                         "time: about %.3g s: %lld steps of %.3g s each (one was tried; no weight has moved), sweeps "
                         "for caches %.3g s\n",
                         all, (long long)t->recipe.steps, step, sweep);
}

ul_status ul_training_plan(ul_training *t, int64_t look, bool time)
{
    ul_job *job = t->job;
    ul_trainer *trainer;
    ul_train_plan plan;
    int64_t tokens = 0;
    job->result = json_object();
    if (!job->result) return ul_fail(job->ctx, UL_E_RESOURCE, "no memory for the plan");
    if (job->guard || job->procedure) return ul_planning_passes(t, look, time);
    if (job->method) UL_TRY(ul_training_reference(t));
    ul_trainer_options o = ul_training_options(t);
    o.reference = t->model;
    memcpy(o.prefix, t->caches.prefix, sizeof o.prefix);
    UL_TRY(ul_trainer_new(job->ctx, &o, t->recipe.steps, &trainer));
    const ul_status s = ul_trainer_plan(trainer, look, &plan);
    ul_trainer_free(trainer);
    UL_TRY(s);
    if (time) UL_TRY(passes(t));
    UL_TRY(ul_planning_memory(t, &plan));
    UL_TRY(ul_planning_bytes(t, "total", plan.total));
    UL_TRY(ul_buf_printf(&job->text,
                         "%lld steps of %d samples; the largest micro-batch has %d tokens, %d of them scored\n",
                         (long long)t->recipe.steps, t->recipe.batch, plan.n_tok, plan.n_row));
    UL_TRY(ul_planning_caches(t, &t->cache_plan, "to be made, no --cache or --out named", &tokens));
    return time ? timing(t, &o, tokens) : UL_OK;
}
