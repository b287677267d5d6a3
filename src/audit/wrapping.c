/* wrapping.c - `--wrap NAME,NAME` and `--NAME.PARAMETER X`:
 * which wrappers go around the method, in the order of the list. */
#include "audit/training.h"
#include <string.h>

static ul_status slot(ul_job *job, const char *id, ul_job_wrapper **out)
{
    for (int i = 0; i < job->n_wrap; i++)
        if (!strcmp(job->wrap[i].id, id)) {
            *out = &job->wrap[i];
            return UL_OK;
        }
    const ul_wrapper *w = ul_wrapper_find(id);
    if (!w) {
        const char *near = ul_wrapper_nearest(id);
        return ul_fail(job->ctx, UL_E_USAGE, "--wrap: there is no wrapper \"%s\"%s%s%s (`unlearn methods` lists them)",
                       id, near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
    }
    if (job->n_wrap == UL_MAX_WRAP) return ul_fail(job->ctx, UL_E_USAGE, "more than %d wrappers", (int)UL_MAX_WRAP);
    ul_job_wrapper *s = *out = &job->wrap[job->n_wrap++];
    *s = (ul_job_wrapper){.id = ul_strdup(job->arena, id), .wrapper = w};
    UL_NEED(s->id);
    if (w->params) ul_args_default(w->params, &s->args);
    return UL_OK;
}

ul_status ul_job_wrap_param(ul_job *job, const char *owner, const char *key, const char *value)
{
    ul_job_wrapper *s;
    UL_TRY(slot(job, owner, &s));
    UL_TRY(ul_args_set(job->arena, &s->args, owner, key, value));
    for (int i = 0; s->args.params[i].key; i++) s->set[i] |= !strcmp(s->args.params[i].key, key);
    return UL_OK;
}

/* The wrapper becomes number `at` of those in use. */
static ul_status name(ul_job *job, const char *id, int at)
{
    ul_job_wrapper *s;
    UL_TRY(slot(job, id, &s));
    if (s->named) return ul_fail(job->ctx, UL_E_USAGE, "--wrap names %s twice", id);
    s->named = true;
    const ul_job_wrapper was = job->wrap[at];
    job->wrap[at] = *s;
    *s = was;
    return UL_OK;
}

ul_status ul_training_wrappers(ul_training *t)
{
    ul_job *job = t->job;
    int n = 0;
    const char *list = ul_job_text(job, "wrap");
    for (const char *p = list; p && *p; p += *p == ',') {
        const size_t length = strcspn(p, ",");
        const char *id = ul_strndup(job->arena, p, length);
        UL_NEED(id);
        UL_TRY(name(job, id, n++));
        p += length;
    }
    if (ul_job_num(job, "kl-budget") > 0) {
        const char *limit = ul_format(job->arena, "%.17g", ul_job_num(job, "kl-budget"));
        UL_NEED(limit);
        UL_TRY(ul_job_wrap_param(job, "budget", "limit", limit));
        UL_TRY(name(job, "budget", n++));
    }
    if (n < job->n_wrap)
        return ul_fail(job->ctx, UL_E_USAGE, "--%s.* was given, but --wrap does not name %s", job->wrap[n].id,
                       job->wrap[n].id);
    if (n && (job->procedure || job->guard))
        return ul_fail(job->ctx, UL_E_USAGE,
                       "--wrap goes around the gradient of a loss, and %s is a %s", job->method_id,
                       job->guard ? "guard" : "procedure of its own");
    for (int i = 0; i < n; i++) {
        t->wrap[i] = (ul_wrapping){job->wrap[i].id, job->wrap[i].wrapper, &job->wrap[i].args, NULL};
        if (job->wrap[i].wrapper->flags & UL_WRAP_RETAIN_TEXT) t->retain_text = true;
    }
    t->n_wrap = n;
    return ul_wrappings_check(job->ctx, job->method, &job->method_args, t->wrap, n);
}
