/* wrap.c - wrappers around a step: the two parts of its gradient, obtained and combined as they say; masks; state
 * that a checkpoint keeps. The trainer calls them by record and never names one.
 *
 * A part is the same step run with only the documents of some sides. The denominators stay those of the whole step, and
 * losses are sums over sides, so the parts add up to the step (in exact arithmetic: each part is a chain of its own).
 * */
#include "train/train_impl.h"
#include <string.h>

enum { FORGET_PART = UL_SIDE_BIT_FORGET | UL_SIDE_BIT_ALT };

unsigned ul_wrap_sides(const ul_wrap *w, bool retain)
{
    return w->trainer->sides & (retain ? (unsigned)UL_SIDE_BIT_RETAIN : (unsigned)FORGET_PART);
}

ul_status ul_wrap_gradient(ul_wrap *w, int64_t step, unsigned sides, ul_step_result *r)
{
    return ul_trainer_part(w->trainer, step, sides, r);
}

ul_status ul_wrap_arrays(ul_wrap *w, const char *kind, void ***out)
{
    ul_trainer *t = w->trainer;
    UL_NEED(*out = UL_NEW(w->arena, void *, w->n_train));
    for (int i = 0; i < w->n_train; i++) {
        UL_NEED((*out)[i] = ul_alloc(w->arena, (size_t)w->train[i].n, w->be->k->esize));
        if (!kind) continue;
        ul_kept *k = UL_NEW(w->arena, ul_kept, 1);
        UL_NEED(k);
        *k = (ul_kept){ul_format(w->arena, "%s.%s.%s", w->id, kind, w->train[i].name), (*out)[i], w->train[i].n, NULL};
        UL_NEED(k->name);
        if (t->last_kept)
            t->last_kept->next = k;
        else
            t->kept = k;
        t->last_kept = k;
    }
    return UL_OK;
}

void ul_wrap_copy(const ul_wrap *w, void *const *from, void *const *to)
{
    for (int i = 0; i < w->n_train; i++) w->be->k->copy(w->be, w->train[i].n, from[i], to[i], false);
}

void ul_wrap_passes(ul_wrap *w, const ul_hook *hook, int n_hook, const ul_observer *observer)
{
    ul_trainer_options *o = &w->trainer->o;
    o->hook = hook, o->n_hook = n_hook, o->observer = observer;
}

int32_t ul_wrap_first_sample(const ul_wrap *w)
{
    return w->trainer->first_sample;
}

int32_t ul_wrap_samples(const ul_wrap *w)
{
    return w->trainer->recipe.batch * w->trainer->n_alt;
}

double *ul_wrap_method_value(ul_wrap *w, const char *key)
{
    ul_args *a = &w->trainer->args;
    for (int i = 0; a->params && a->params[i].key; i++)
        if (!strcmp(a->params[i].key, key)) return &a->num[i];
    return NULL;
}

void ul_wrap_keep_only(ul_wrap *w, int i, const uint8_t *bits)
{
    uint8_t *mask = w->trainer->mask[i];
    for (int64_t b = 0; b < (w->train[i].n + 7) / 8; b++) mask[b] &= bits[b];
}

static ul_status check_pair(ul_ctx *ctx, const ul_wrapping *x, const ul_wrapping *y)
{
    const ul_wrapper *a = x->wrapper, *b = y->wrapper;
    if (a == b) return ul_fail(ctx, UL_E_USAGE, "the wrapper %s is named twice", x->id);
    if (!(a->combine && b->combine) && !(a->part && b->part)) return UL_OK;
    return ul_fail(ctx, UL_E_USAGE, "%s and %s both say how the %s: take one of them", x->id, y->id,
                   a->combine && b->combine ? "forget and the retain gradient become one"
                                            : "forget gradient is obtained");
}

ul_status ul_wrappings_check(ul_ctx *ctx, const ul_method *m, const ul_args *args, const ul_wrapping *wrap, int n)
{
    const bool retain = ul_method_needs(m, args) & UL_NEED_RETAIN;
    for (int i = 0; i < n; i++) {
        const ul_wrapper *w = wrap[i].wrapper;
        if (!m) return ul_fail(ctx, UL_E_USAGE, "%s works around a method, and there is none", wrap[i].id);
        for (int k = 0; k < i; k++) UL_TRY(check_pair(ctx, &wrap[k], &wrap[i]));
        if (!retain && (w->combine || w->flags & UL_WRAP_RETAIN))
            return ul_fail(
                ctx, UL_E_USAGE,
                "%s sets the forget gradient against the retain gradient, and the method reads no retain documents: "
                "take one that does (graddiff, npo, ...) and --retain",
                wrap[i].id);
    }
    return UL_OK;
}

/* Bit maps, all ones, and the forget part's own gradients, where somebody asks for them. */
static ul_status allocate(ul_trainer *t)
{
    bool mask = false;
    for (int i = 0; i < t->n_wrap; i++) {
        const ul_wrapper *w = t->wrap[i].wrapper;
        if (t->wrap[i].off) continue;
        mask |= (w->flags & UL_WRAP_MASK) != 0;
        t->combine |= w->combine != NULL;
        t->split |= w->combine || w->part;
        if ((w->combine || w->flags & UL_WRAP_APART) && !t->forget)
            UL_NEED(t->forget = UL_NEW(t->wrap_arena, void *, t->n_train));
    }
    for (int i = 0; t->forget && i < t->n_train; i++)
        UL_NEED(t->forget[i] = ul_alloc(t->apart, (size_t)t->train[i].n, t->be->k->esize));
    for (int i = 0; i < t->n_wrap; i++) t->wrap[i].forget = t->forget;
    if (!mask) return UL_OK;
    UL_NEED(t->mask = UL_NEW(t->wrap_arena, uint8_t *, t->n_train));
    for (int i = 0; i < t->n_train; i++) {
        const size_t bytes = (size_t)(t->train[i].n + 7) / 8;
        UL_NEED(t->mask[i] = UL_NEW(t->wrap_arena, uint8_t, bytes));
        memset(t->mask[i], 0xff, bytes);
    }
    return UL_OK;
}

ul_status ul_wraps_begin(ul_trainer *t)
{
    if (!t->o.n_wrap) return UL_OK;
    UL_TRY(ul_wrappings_check(t->ctx, t->o.method, t->o.args, t->o.wrap, t->o.n_wrap));
    UL_TRY(ul_arena_new(t->ctx, "wrappers", &t->wrap_arena));
    UL_TRY(ul_arena_new(t->ctx, "forget gradients", &t->apart));
    UL_NEED(t->wrap = UL_NEW(t->wrap_arena, ul_wrap, t->o.n_wrap));
    void **p = UL_NEW(t->wrap_arena, void *, t->n_train), **g = UL_NEW(t->wrap_arena, void *, t->n_train);
    UL_NEED(p);
    UL_NEED(g);
    for (int i = 0; i < t->n_train; i++) p[i] = t->train[i].p, g[i] = t->train[i].g;
    for (int i = 0; i < t->o.n_wrap; i++) {
        const ul_wrapping *o = &t->o.wrap[i];
        t->wrap[i] = (ul_wrap){.wrapper = o->wrapper,
                               .id = o->id,
                               .args = o->args,
                               .user = o->user,
                               .ctx = t->ctx,
                               .arena = t->wrap_arena,
                               .trainer = t,
                               .o = &t->o,
                               .be = t->be,
                               .n_train = t->n_train,
                               .train = t->train,
                               .p = p,
                               .g = g,
                               .steps = t->steps};
        t->n_wrap = i + 1;
        if (o->wrapper->sample && t->n_alt > 1)
            return ul_fail(t->ctx, UL_E_USAGE,
                           "%s deals out samples of one alternate answer each, and the method wants %d", o->id,
                           (int)t->n_alt);
        if (o->wrapper->begin) UL_TRY(o->wrapper->begin(&t->wrap[i]));
    }
    return allocate(t);
}

ul_status ul_trainer_calibrate(ul_trainer *t)
{
    if (t->calibrated) return UL_OK;
    t->calibrated = true;
    for (int i = 0; i < t->n_wrap; i++)
        if (!t->wrap[i].off && t->wrap[i].wrapper->calibrate) UL_TRY(t->wrap[i].wrapper->calibrate(&t->wrap[i]));
    if (t->forget && !t->combine) { /* they served the calibration only */
        ul_arena_reset(t->apart);
        t->forget = NULL;
        for (int i = 0; i < t->n_wrap; i++) t->wrap[i].forget = NULL;
    }
    return UL_OK;
}

ul_status ul_wraps_sample(ul_trainer *t, int64_t step, int32_t i, ul_sample *io)
{
    for (int k = 0; k < t->n_wrap; k++)
        if (!t->wrap[k].off && t->wrap[k].wrapper->sample) UL_TRY(t->wrap[k].wrapper->sample(&t->wrap[k], step, i, io));
    return UL_OK;
}

ul_status ul_wraps_before(ul_trainer *t, int64_t step)
{
    for (int i = 0; i < t->n_wrap; i++) {
        t->wrap[i].step = step;
        if (!t->wrap[i].off && t->wrap[i].wrapper->before) UL_TRY(t->wrap[i].wrapper->before(&t->wrap[i]));
    }
    return UL_OK;
}

static ul_status forget_part(ul_trainer *t, int64_t step, ul_step_result *out)
{
    for (int i = 0; i < t->n_wrap; i++)
        if (!t->wrap[i].off && t->wrap[i].wrapper->part) return t->wrap[i].wrapper->part(&t->wrap[i], out);
    return ul_trainer_part(t, step, t->sides & FORGET_PART, out);
}

ul_status ul_wraps_gradients(ul_trainer *t, int64_t step, ul_step_result *out)
{
    if (!t->split) return ul_trainer_part(t, step, t->sides, out);
    UL_TRY(forget_part(t, step, out));
    if (t->combine) {
        for (int i = 0; i < t->n_train; i++) t->be->k->copy(t->be, t->train[i].n, t->train[i].g, t->forget[i], false);
        ul_model_grad_zero(t->o.model);
    }
    if (t->sides & UL_SIDE_BIT_RETAIN) UL_TRY(ul_trainer_part(t, step, UL_SIDE_BIT_RETAIN, out));
    for (int i = 0; i < t->n_wrap; i++)
        if (!t->wrap[i].off && t->wrap[i].wrapper->combine) UL_TRY(t->wrap[i].wrapper->combine(&t->wrap[i]));
    return UL_OK;
}

ul_status ul_wraps_after(ul_trainer *t, ul_step_result *out)
{
    for (int i = 0; i < t->n_wrap; i++)
        if (!t->wrap[i].off && t->wrap[i].wrapper->after) UL_TRY(t->wrap[i].wrapper->after(&t->wrap[i], out));
    t->stopped |= out->stopped;
    return UL_OK;
}

ul_status ul_trainer_end(ul_trainer *t, int64_t done)
{
    for (int i = 0; i < t->n_wrap; i++) {
        t->wrap[i].step = done - 1;
        if (!t->wrap[i].off && t->wrap[i].wrapper->end) UL_TRY(t->wrap[i].wrapper->end(&t->wrap[i]));
    }
    return UL_OK;
}
