/* metric.c - the registry of metrics, and computing one with its inputs checked. */
#include "metric/metric_impl.h"
#include <math.h>
#include <string.h>

#define UL_ITEM(id) extern const ul_metric ul_metric_##id;
#include "metric.inc"
#undef UL_ITEM

static const struct {
    const char *id;
    const ul_metric *metric;
} table[] = {
#define UL_ITEM(id) {#id, &ul_metric_##id},
#include "metric.inc"
#undef UL_ITEM
};
enum { N_METRIC = sizeof table / sizeof *table, MAX_INPUT = 16 };

int ul_metric_count(void)
{
    return N_METRIC;
}

const ul_metric *ul_metric_at(int i)
{
    return i >= 0 && i < N_METRIC ? table[i].metric : NULL;
}

const char *ul_metric_id(const ul_metric *m)
{
    for (int i = 0; i < N_METRIC; i++) {
        if (table[i].metric == m) return table[i].id;
    }
    return "unregistered metric";
}

ul_status ul_metric_find(ul_ctx *ctx, const char *id, const ul_metric **out)
{
    const char *names[N_METRIC + 1] = {0};
    for (int i = 0; i < N_METRIC; i++) {
        names[i] = table[i].id;
        if (strcmp(id, table[i].id) == 0) {
            *out = table[i].metric;
            return UL_OK;
        }
    }
    const char *near = ul_nearest(id, names);
    return ul_fail(ctx, UL_E_USAGE, "there is no metric \"%s\"%s%s%s", id, near ? "; did you mean \"" : "",
                   near ? near : " (`unlearn metrics` lists them)", near ? "\"?" : "");
}

static ul_status check_input(ul_arena *a, const ul_need *need, ul_input *in)
{
    if (need->columns & UL_COL_AGGREGATE && !isfinite(in->agg_value)) {
        return ul_fail(ul_arena_ctx(a), UL_E_INPUT, "the aggregate of \"%s\" is %g; a metric is not computed from it",
                       in->role, in->agg_value);
    }
    const unsigned columns = need->columns & ~(unsigned)UL_COL_AGGREGATE;
    if (!columns) return UL_OK;
    if (!in->columns) return ul_fail(ul_arena_ctx(a), UL_E_INPUT, "the input \"%s\" has no columns", in->role);
    ul_columns *c = UL_NEW(a, ul_columns, 1);
    UL_NEED(c);
    *c = *in->columns;
    if (!c->name) c->name = in->role;
    in->columns = c;
    return ul_columns_check(a, c, columns);
}

/* The inputs in the order of the needs. */
static ul_status arrange(ul_arena *a, const ul_metric *m, const ul_input *in, int n_in, ul_input *out, int *n_out)
{
    ul_ctx *ctx = ul_arena_ctx(a);
    *n_out = 0;
    if (n_in > MAX_INPUT) return ul_fail(ctx, UL_E_USAGE, "%d inputs, at most %d", n_in, MAX_INPUT);
    for (const ul_need *need = m->needs; need->role; need++) {
        int found = 0;
        for (int i = 0; i < n_in; i++) {
            if (strcmp(need->role, "*") != 0 && strcmp(need->role, in[i].role) != 0) continue;
            out[*n_out] = in[i];
            UL_TRY(check_input(a, need, &out[*n_out]));
            (*n_out)++;
            found++;
        }
        if (found == 0 && need->optional) out[(*n_out)++] = (ul_input){need->role, NULL, NAN};
        else if (found == 0) return ul_fail(ctx, UL_E_USAGE, "the input \"%s\" is missing", need->role);
        else if (found > 1 && strcmp(need->role, "*") != 0)
            return ul_fail(ctx, UL_E_USAGE, "%d inputs are called \"%s\"", found, need->role);
    }
    return UL_OK;
}

static ul_status aggregate(ul_arena *a, const ul_metric *m, const ul_args *args, const ul_input *in, int n_in,
                           ul_result *out)
{
    UL_TRY(m->aggregate(a, args, in, n_in, out));
    if (!out->absent && !isfinite(out->agg_value)) {
        return ul_fail(ul_arena_ctx(a), UL_E_INPUT, "the aggregate is %g", out->agg_value);
    }
    return UL_OK;
}

static ul_status compute(ul_arena *a, const ul_metric *m, const ul_args *args, const ul_input *in, int n_in,
                         ul_result *out)
{
    ul_input ordered[MAX_INPUT + 3];
    int n = 0;
    UL_TRY(arrange(a, m, in, n_in, ordered, &n));
    if (m->rows) UL_TRY(m->rows(a, args, ordered, n, out));
    return aggregate(a, m, args, ordered, n, out);
}

ul_status ul_metric_compute(ul_arena *a, const ul_metric *m, const ul_args *args, const ul_input *in, int n_in,
                            ul_result *out)
{
    ul_args defaults;
    ul_args_default(m->params, &defaults);
    *out = (ul_result){0};
    const ul_status s = compute(a, m, args ? args : &defaults, in, n_in, out);
    return s == UL_OK ? s : ul_fail_in(ul_arena_ctx(a), s, "%s", ul_metric_id(m));
}

ul_status ul_metric_aggregate(ul_arena *a, const ul_metric *m, const ul_args *args, ul_result *out)
{
    ul_args defaults;
    ul_args_default(m->params, &defaults);
    ul_ctx *ctx = ul_arena_ctx(a);
    if (!m->rows) return ul_fail(ctx, UL_E_USAGE, "%s has no rows of its own", ul_metric_id(m));
    for (int k = 0; k < out->n_part; k++) {
        if (out->part[k].rows.n_row <= 0) return ul_fail(ctx, UL_E_INPUT, "%s: no rows", ul_metric_id(m));
    }
    const ul_status s = aggregate(a, m, args ? args : &defaults, NULL, 0, out);
    return s == UL_OK ? s : ul_fail_in(ctx, s, "%s", ul_metric_id(m));
}
