/* _kept.c - what a fit that trains by itself keeps of its state, so that it goes on to the same bits after a kill.
 * A fit that trains by stages (procedure.h) has the trainer's checkpoint instead. */
#include "guard/guard.h"
#include <math.h>
#include <string.h>

#define FORMAT "unlearn guard state 1"

static ul_status load(ul_guard_kept *k, ul_arena *arena, int64_t *done)
{
    ul_work *w = k->work;
    ul_tensors *in;
    UL_TRY(ul_tensors_open(w->ctx, arena, k->path, &in));
    const char *format = ul_tensors_note(in, "format"), *steps = ul_tensors_note(in, "steps_done");
    if (strcmp(format, FORMAT) || !ul_parse_int(steps, done) || *done < 0)
        return ul_fail(w->ctx, UL_E_INPUT,
                       "%s: this is no state of a guard's fit (format \"%s\", steps done \"%s\")", k->path, format,
                       steps);
    UL_TRY(ul_checkpoint_same_recipe(w->ctx, k->path, ul_tensors_note(in, "recipe"), w->recipe_digest));
    for (int i = 0; i < k->n; i++) {
        const ul_tensor *t;
        UL_TRY(ul_tensors_need(w->ctx, in, k->array[i].name, &t));
        if (ul_tensor_count(t) != k->array[i].n)
            return ul_fail(w->ctx, UL_E_INPUT, "%s: tensor \"%s\" has %lld numbers, the run needs %lld", k->path,
                           k->array[i].name, (long long)ul_tensor_count(t), (long long)k->array[i].n);
        if (ul_dtype_is_float(t->dtype)) UL_TRY(ul_tensor_check_finite(w->ctx, t)); /* no such state was ever saved */
        UL_TRY(ul_tensor_f64(w->ctx, t, 0, k->array[i].n, k->array[i].p));
    }
    return UL_OK;
}

ul_status ul_guard_kept_open(ul_work *w, const char *stage, const ul_guard_array *array, int n, ul_guard_kept *out,
                             int64_t *done)
{
    const char *dir;
    *out = (ul_guard_kept){.work = w, .stage = stage, .array = array, .n = n, .saved_ns = ul_now_ns()};
    *done = -1;
    UL_TRY(ul_work_stage_dir(w, stage, &dir));
    if (!dir) return UL_OK;
    UL_NEED(out->path = ul_path_join(w->arena, dir, UL_CHECKPOINT_NAME));
    if (!w->resume || !ul_file_exists(out->path)) return UL_OK;
    ul_arena *arena;
    UL_TRY(ul_arena_new(w->ctx, "checkpoint", &arena));
    const ul_status s = load(out, arena, done);
    ul_arena_free(arena);
    return s;
}

static ul_status save(ul_guard_kept *k, ul_arena *arena, int64_t done)
{
    ul_work *w = k->work;
    const char *dir, *step = ul_format(arena, "%lld", (long long)done);
    ul_tensor *t = UL_NEW(arena, ul_tensor, k->n);
    UL_NEED(step);
    UL_NEED(t);
    for (int i = 0; i < k->n; i++) {
        const ul_guard_array *a = &k->array[i];
        for (int64_t j = 0; j < a->n; j++)
            if (!isfinite(a->p[j]))
                return ul_fail(w->ctx, UL_E_CRITERION,
                               "%s: after step %lld %s[%lld] is not finite: nothing was saved; take a smaller --lr",
                               w->id, (long long)done, a->name, (long long)j);
        t[i] = (ul_tensor){.name = a->name, .dtype = UL_DT_F64, .n_dim = 1, .dim = {a->n}, .data = a->p,
                           .bytes = (size_t)a->n * sizeof *a->p};
    }
    json_t *meta = json_pack("{s:s, s:s, s:s}", "format", FORMAT, "steps_done", step, "recipe", w->recipe_digest);
    UL_TRY(ul_json_own(arena, meta));
    UL_TRY(ul_work_stage_dir(w, k->stage, &dir));
    UL_TRY(ul_dir_make(w->ctx, dir));
    return ul_tensors_write(w->ctx, k->path, t, k->n, meta, NULL, NULL);
}

ul_status ul_guard_kept_save(ul_guard_kept *k, int64_t done)
{
    ul_arena *arena;
    if (!k->path || k->work->save_every < 0) return UL_OK;
    UL_TRY(ul_arena_new(k->work->ctx, "checkpoint", &arena));
    const ul_status s = save(k, arena, done);
    ul_arena_free(arena);
    k->saved_ns = ul_now_ns();
    return s;
}

ul_status ul_guard_kept_step(ul_guard_kept *k, int64_t done, int64_t steps)
{
    ul_work *w = k->work;
    const bool stop = ul_interrupted(w->ctx) && done < steps;
    if (stop || ul_checkpoint_is_due(w->save_every, done, k->saved_ns)) UL_TRY(ul_guard_kept_save(k, done));
    if (!stop) return UL_OK;
    return ul_fail(w->ctx, UL_E_CRITERION, "interrupted after step %lld of %lld of \"%s\"; %s", (long long)done,
                   (long long)steps, k->stage,
                   w->save_every < 0 ? "nothing was saved (--save-every -1)"
                                     : "the state is saved: the same command with --resume goes on to the same bits");
}
