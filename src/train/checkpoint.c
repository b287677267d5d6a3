/* checkpoint.c - the state of a run in one safetensors file: "weight.NAME", "m.NAME", "v.NAME" in the arithmetic's
 * type, what wrappers keep as "ID.KIND.NAME", and in the metadata the steps done and the recipe's digest.
 * Written whole or not at all. */
#include "train/train_impl.h"
#include <string.h>

/* One array of the state and its name in the file. */
typedef struct {
    const char *name;
    void *p;
    int64_t n;
} part;

static ul_status parts(ul_trainer *t, ul_arena *arena, part **out, int *n)
{
    int n_kept = 0;
    for (const ul_kept *k = t->kept; k; k = k->next) n_kept++;
    part *p = UL_NEW(arena, part, 3 * t->n_train + n_kept);
    UL_NEED(p);
    *n = 0;
    for (int i = 0; i < t->n_train; i++) {
        void *const array[3] = {t->train[i].p, t->m[i], t->v[i]};
        static const char *const kind[3] = {"weight", "m", "v"};
        for (int k = 0; k < 3; k++) {
            if (!array[k]) continue;
            p[*n] = (part){ul_format(arena, "%s.%s", kind[k], t->train[i].name), array[k], t->train[i].n};
            UL_NEED(p[*n].name);
            ++*n;
        }
    }
    for (const ul_kept *k = t->kept; k; k = k->next) p[(*n)++] = (part){k->name, k->p, k->n};
    *out = p;
    return UL_OK;
}

static ul_dtype type_of(const ul_trainer *t)
{
    return t->be->k->esize == 8 ? UL_DT_F64 : UL_DT_F32;
}

static ul_status save(ul_trainer *t, ul_arena *arena, const char *path, int64_t next_step, const char *recipe_digest)
{
    part *p;
    int n;
    UL_TRY(parts(t, arena, &p, &n));
    ul_tensor *tensor = UL_NEW(arena, ul_tensor, n);
    UL_NEED(tensor);
    for (int i = 0; i < n; i++) {
        const int64_t bad = t->be->k->first_bad(t->be, p[i].n, p[i].p);
        if (bad >= 0)
            return ul_fail(t->ctx, UL_E_CRITERION,
                           "after step %lld %s[%lld] is not finite: nothing was saved; take a "
                           "smaller --lr",
                           (long long)next_step, p[i].name, (long long)bad);
        tensor[i] = (ul_tensor){.name = p[i].name,
                                .dtype = type_of(t),
                                .n_dim = 1,
                                .dim = {p[i].n},
                                .data = p[i].p,
                                .bytes = (size_t)p[i].n * t->be->k->esize};
    }
    const char *step = ul_format(arena, "%lld", (long long)next_step), *dual = ul_format(arena, "%.17g", t->dual);
    UL_NEED(step);
    UL_NEED(dual);
    json_t *meta =
        json_pack("{s:s, s:s, s:s, s:s}", "format", "unlearn checkpoint 1", "steps_done", step, "recipe", recipe_digest,
                  "dual", dual);
    UL_TRY(ul_json_own(arena, meta));
    if (t->stopped && json_object_set_new(meta, "stopped", json_string("true")))
        return ul_fail(t->ctx, UL_E_RESOURCE, "no memory for the checkpoint's metadata");
    return ul_tensors_write(t->ctx, path, tensor, n, meta, NULL, NULL);
}

ul_status ul_trainer_save(ul_trainer *t, const char *path, int64_t next_step, const char *recipe_digest)
{
    ul_arena *arena;
    UL_TRY(ul_arena_new(t->ctx, "checkpoint", &arena));
    const ul_status s = save(t, arena, path, next_step, recipe_digest);
    ul_arena_free(arena);
    return s;
}

bool ul_checkpoint_is_due(int64_t every, int64_t done, int64_t saved_ns)
{
    static const int64_t after = 300 * (int64_t)1000000000; /* about every five minutes */
    return every > 0 ? done % every == 0 : ul_now_ns() - saved_ns >= after;
}

ul_status ul_checkpoint_same_recipe(ul_ctx *ctx, const char *path, const char *found, const char *wanted)
{
    if (!strcmp(found, wanted)) return UL_OK;
    return ul_fail(ctx, UL_E_USAGE,
                   "%s: the checkpoint is of another recipe (%.16s..., this run's is %.16s...): "
                   "resume with the flags, model and data it was started with, or take a new --out",
                   path, found, wanted);
}

static ul_status load(ul_trainer *t, ul_arena *arena, const char *path, int64_t *next_step, const char *recipe_digest)
{
    ul_tensors *in;
    double dual;
    part *p;
    int n;
    UL_TRY(ul_tensors_open(t->ctx, arena, path, &in));
    const char *format = ul_tensors_note(in, "format"), *done = ul_tensors_note(in, "steps_done");
    const char *multiplier = ul_tensors_note(in, "dual");
    if (strcmp(format, "unlearn checkpoint 1") || !ul_parse_int(done, next_step) || *next_step < 0 ||
        *next_step > t->steps)
        return ul_fail(t->ctx, UL_E_INPUT,
                       "%s: this is no checkpoint of a run of %lld steps (format \"%s\", steps done \"%s\")", path,
                       (long long)t->steps, format, done);
    if (!ul_parse_real(multiplier, &dual))
        return ul_fail(t->ctx, UL_E_INPUT, "%s: the multiplier \"%s\" is no number", path, multiplier);
    UL_TRY(ul_checkpoint_same_recipe(t->ctx, path, ul_tensors_note(in, "recipe"), recipe_digest));
    UL_TRY(parts(t, arena, &p, &n));
    const ul_tensor **from = UL_NEW(arena, const ul_tensor *, n);
    UL_NEED(from);
    if (in->n != n) return ul_fail(t->ctx, UL_E_INPUT, "%s: %lld tensors, the run has %d", path, (long long)in->n, n);
    for (int i = 0; i < n; i++) {
        UL_TRY(ul_tensors_need(t->ctx, in, p[i].name, &from[i]));
        if (from[i]->dtype != type_of(t) || ul_tensor_count(from[i]) != p[i].n)
            return ul_fail(t->ctx, UL_E_INPUT, "%s: tensor \"%s\" is %s[%lld], the run needs %s[%lld]", path, p[i].name,
                           ul_dtype_name(from[i]->dtype), (long long)ul_tensor_count(from[i]),
                           ul_dtype_name(type_of(t)), (long long)p[i].n);
        UL_TRY(ul_tensor_check_finite(t->ctx, from[i])); /* no such state was ever saved */
    }
    t->dual = dual;
    t->stopped = !strcmp(ul_tensors_note(in, "stopped"), "true");
    for (int i = 0; i < n; i++) memcpy(p[i].p, from[i]->data, from[i]->bytes);
    return UL_OK;
}

ul_status ul_trainer_load(ul_trainer *t, const char *path, int64_t *next_step, const char *recipe_digest)
{
    ul_arena *arena;
    UL_TRY(ul_arena_new(t->ctx, "checkpoint", &arena));
    const ul_status s = load(t, arena, path, next_step, recipe_digest);
    ul_arena_free(arena);
    return s;
}
