/* catalogue.c - what `--method` takes: losses (room method), procedures and guards
 * (rooms of these names) under one roof. */
#include "audit/audit.h"
#include <string.h>

bool ul_catalogue_at(int i, ul_catalogue_entry *out)
{
    int n_method, n_procedure, n_guard;
    const ul_method_entry *m = ul_methods(&n_method);
    const ul_procedure_entry *p = ul_procedures(&n_procedure);
    const ul_guard_entry *g = ul_guards(&n_guard);
    if (i < n_method) {
        *out = (ul_catalogue_entry){m[i].id, m[i].method, NULL, NULL};
        return true;
    }
    i -= n_method;
    if (i < n_procedure) {
        *out = (ul_catalogue_entry){p[i].id, &p[i].procedure->method, p[i].procedure, NULL};
        return true;
    }
    i -= n_procedure;
    if (i >= n_guard) return false;
    *out = (ul_catalogue_entry){g[i].id, &g[i].guard->method, NULL, g[i].guard};
    return true;
}

bool ul_catalogue_find(const char *id, ul_catalogue_entry *out)
{
    for (int i = 0; ul_catalogue_at(i, out); i++)
        if (!strcmp(out->id, id)) return true;
    return false;
}

unsigned ul_catalogue_needs(const ul_method *m)
{
    unsigned needs = 0;
    ul_args a;
    for (int small = 0; small < 2; small++) {
        ul_method_args(m, small, &a);
        needs |= ul_method_needs(m, &a);
    }
    return needs;
}

static const char *nearest(const char *id)
{
    enum { MAX = 160 };
    const char *names[MAX + 1] = {0};
    ul_catalogue_entry e;
    for (int i = 0; i < MAX && ul_catalogue_at(i, &e); i++) names[i] = e.id;
    return ul_nearest(id, names);
}

ul_status ul_catalogue_unknown(ul_ctx *ctx, const char *where, const char *id, bool wrappers)
{
    if (!strcmp(id, "soul") || !strcmp(id, "sophia"))
        return ul_fail(ctx, UL_E_USAGE, "%s%s%s is an optimizer, not a method: --optimizer sophia with any method that "
                       "trains (`unlearn methods soul`)", where ? where : "", where ? ": " : "", id);
    const char *near = nearest(id);
    if (!near && wrappers) near = ul_wrapper_nearest(id);
    return ul_fail(ctx, UL_E_USAGE, "%s%sthere is no method %s\"%s\"%s%s%s (`unlearn methods` lists them)",
                   where ? where : "", where ? ": " : "", wrappers ? "or wrapper " : "", id,
                   near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
}
