/* run.c - the whole run: resume, steps, log, progress, checkpoints, interruption. */
#include "train/train_impl.h"
#include <math.h>
#include <stdio.h>

typedef struct {
    ul_ctx *ctx;
    const ul_run *run;
    ul_trainer *t;
    ul_arena *arena;
    ul_jsonl *log;
    const char *log_path, *checkpoint;
    int64_t steps, done, saved; /* saved: steps in the checkpoint on disk, -1 = none */
    int64_t saved_ns;
} loop;

static bool set(json_t *o, const char *key, json_t *value)
{
    return json_object_set_new(o, key, value) == 0;
}

/* A step's numbers, in order; a side that was not run has no field. Times come last: all before them is
 * reproducible. */
static ul_status log_step(loop *l, const ul_step_result *r, int64_t ns)
{
    char now[21];
    ul_utc_text(now);
    json_t *o = json_object();
    bool ok = o && set(o, "step", json_integer(l->done)) && set(o, "loss", json_real(r->loss));
    if (ok && isfinite(r->forget_loss)) ok = set(o, "forget_loss", json_real(r->forget_loss));
    if (ok && isfinite(r->alt_loss)) ok = set(o, "alt_loss", json_real(r->alt_loss));
    if (ok && isfinite(r->retain_loss)) ok = set(o, "retain_loss", json_real(r->retain_loss));
    ok = ok && set(o, "grad_norm", json_real(r->grad_norm)) && set(o, "lr", json_real(r->lr)) &&
         set(o, "tokens", json_integer(r->tokens)) && set(o, "scored", json_integer(r->scored));
    if (ok && isfinite(r->kl)) ok = set(o, "kl", json_real(r->kl));
    ok = ok && set(o, "ms", json_integer(ns / 1000000)) && set(o, "time", json_string(now));
    const ul_status s =
        ok ? ul_jsonl_add(l->log, o) : ul_fail(l->ctx, UL_E_RESOURCE, "no memory for a line of the log");
    json_decref(o);
    return s;
}

static ul_status save(loop *l)
{
    if (!l->checkpoint || l->saved == l->done) return UL_OK;
    UL_TRY(ul_trainer_save(l->t, l->checkpoint, l->done, l->run->recipe_digest));
    l->saved = l->done;
    l->saved_ns = ul_now_ns();
    return UL_OK;
}

static bool save_is_due(const loop *l)
{
    const int64_t every = l->run->save_every;
    if (every < 0) return false;
    return ul_checkpoint_is_due(every, l->done, l->saved_ns);
}

static ul_status begin(loop *l)
{
    const ul_run *run = l->run;
    l->saved = -1;
    l->saved_ns = ul_now_ns();
    UL_TRY(ul_trainer_calibrate(l->t));
    if (!run->out_dir) return UL_OK;
    UL_TRY(ul_dir_make(l->ctx, run->out_dir));
    UL_NEED(l->log_path = ul_path_join(l->arena, run->out_dir, UL_LOG_NAME));
    const char *checkpoint = ul_path_join(l->arena, run->out_dir, UL_CHECKPOINT_NAME);
    UL_NEED(checkpoint);
    if (run->save_every >= 0) l->checkpoint = checkpoint;
    if (run->resume && ul_file_exists(checkpoint)) {
        UL_TRY(ul_trainer_load(l->t, checkpoint, &l->done, run->recipe_digest));
        l->saved = l->done;
    }
    if (l->done > 0)
        UL_TRY(ul_jsonl_cut_step(l->ctx, l->log_path, l->done));
    else
        UL_TRY(ul_jsonl_cut_lines(l->ctx, l->log_path, 0));
    return ul_jsonl_open(l->ctx, l->arena, l->log_path, &l->log);
}

static void show(ul_meter *meter, const loop *l, const ul_step_result *r, int64_t tokens)
{
    char text[96] = "";
    int n = 0;
    if (isfinite(r->forget_loss))
        n += snprintf(text, sizeof text, "%s %.2f", isfinite(r->retain_loss) ? "forget" : "loss", r->forget_loss);
    if (isfinite(r->alt_loss))
        n += snprintf(text + n, sizeof text - (size_t)n, "%salternate %.2f", n ? "  " : "", r->alt_loss);
    if (isfinite(r->retain_loss))
        snprintf(text + n, sizeof text - (size_t)n, "%sretain %.2f", n ? "  " : "", r->retain_loss);
    ul_progress_step(meter, l->done, tokens, text);
}

static ul_status steps(loop *l, ul_step_result *last)
{
    const ul_run *run = l->run;
    ul_meter meter;
    int64_t tokens = 0;
    ul_progress_begin(l->ctx, &meter, run->what ? run->what : "", "steps", l->steps);
    meter.skip = l->done;
    while (l->done < l->steps && !l->t->stopped) {
        const int64_t start = ul_now_ns(), step = l->done;
        UL_TRY(ul_trainer_gradients(l->t, step, last));
        UL_TRY(ul_trainer_update(l->t, step, last));
        l->done++;
        tokens += last->tokens;
        if (l->log) UL_TRY(log_step(l, last, ul_now_ns() - start));
        if (run->on_step) run->on_step(run->on_step_user, step, last);
        if (run->what) show(&meter, l, last, tokens);
        if (save_is_due(l)) UL_TRY(save(l));
        if (ul_interrupted(l->ctx)) break;
    }
    UL_TRY(save(l));
    last->stopped = l->t->stopped;
    return l->done < l->steps && !l->t->stopped ? UL_OK : ul_trainer_end(l->t, l->done);
}

ul_status ul_run_train(ul_ctx *ctx, const ul_run *run, ul_step_result *last, int64_t *steps_done)
{
    loop l = {.ctx = ctx, .run = run, .steps = ul_recipe_steps(run->options.recipe, run->n_samples)};
    ul_step_result unused;
    *steps_done = 0;
    UL_TRY(ul_arena_new(ctx, "run", &l.arena));
    ul_status s = ul_trainer_new(ctx, &run->options, l.steps, &l.t);
    if (s == UL_OK) s = begin(&l);
    if (s == UL_OK) s = steps(&l, last ? last : &unused);
    if (s == UL_E_CRITERION && l.saved > 0)
        s = ul_fail_in(ctx, s, "stopped (the checkpoint of step %lld is kept: %s)", (long long)l.saved, l.checkpoint);
    *steps_done = l.done;
    ul_trainer_free(l.t);
    ul_arena_free(l.arena);
    return s;
}
