/* catalogue.c - what `--method` takes: losses (room method) and procedures (room procedure) under one roof. */
#include "audit/audit.h"
#include <string.h>

bool ul_catalogue_at(int i, ul_catalogue_entry *out)
{
    int n_method, n_procedure;
    const ul_method_entry *m = ul_methods(&n_method);
    const ul_procedure_entry *p = ul_procedures(&n_procedure);
    if (i < n_method) {
        *out = (ul_catalogue_entry){m[i].id, m[i].method, NULL};
        return true;
    }
    i -= n_method;
    if (i >= n_procedure) return false;
    *out = (ul_catalogue_entry){p[i].id, &p[i].procedure->method, p[i].procedure};
    return true;
}

bool ul_catalogue_find(const char *id, ul_catalogue_entry *out)
{
    for (int i = 0; ul_catalogue_at(i, out); i++)
        if (!strcmp(out->id, id)) return true;
    return false;
}

const char *ul_catalogue_nearest(const char *id)
{
    enum { MAX = 160 };
    const char *names[MAX + 1] = {0};
    ul_catalogue_entry e;
    for (int i = 0; i < MAX && ul_catalogue_at(i, &e); i++) names[i] = e.id;
    return ul_nearest(id, names);
}
