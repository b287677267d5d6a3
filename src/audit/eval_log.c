/* eval_log.c - results from a log of open-unlearning's shape (TOFU_EVAL.json): rows as they stand there,
 * every aggregate computed again, what follows from other results from the recomputed ones. No model.
 *
 * Rows that a log says to follow from others (truth ratio from losses) are taken as they are:
 * the published ones are rounded to float32, and their aggregate is one of these. What the log does not name
 * but its results allow is added. A result of another name (forget_Q_A_PERT_ROUGE) is what its rows say:
 * open-unlearning's are means over rows, and AUCs. */
#include "audit/audit.h"
#include <math.h>
#include <string.h>

typedef struct {
    ul_ctx *ctx;
    ul_arena *arena;
    const char *path;
    ul_baselines beside;
    const char *data[UL_MAX_SET]; /* data sets met so far, and their rows */
    const ul_columns *rows[UL_MAX_SET];
    int n_data;
} reader;

/* Where some rows have no value, those that have one may be others: only their number is compared. */
static ul_status same_rows(ul_arena *a, const ul_columns *x, const ul_columns *y)
{
    const bool gaps = x->n_missing || y->n_missing;
    if (gaps && x->n_row + x->n_missing == y->n_row + y->n_missing) return UL_OK;
    return ul_same_rows(a, x, y);
}

/* All results over one data set have the same rows. */
static ul_status same_data(reader *r, const char *data, const ul_columns *rows)
{
    for (int i = 0; i < r->n_data; i++)
        if (!strcmp(r->data[i], data)) return same_rows(r->arena, r->rows[i], rows);
    if (r->n_data == UL_MAX_SET) return UL_OK;
    r->data[r->n_data] = data;
    r->rows[r->n_data++] = rows;
    return UL_OK;
}

static const char *missing_source(const ul_result_spec *spec, const ul_named_result *have, int n)
{
    for (const ul_source *f = spec->from; f->role; f++) {
        bool found = !f->result || f->optional;
        for (int i = 0; i < n && !found; i++) found = !strcmp(have[i].name, f->result);
        if (!found) return f->result;
    }
    return NULL;
}

static ul_status without(reader *r, ul_result *out, const char *fmt, const char *what)
{
    *out = (ul_result){.absent = true, .agg_value = NAN, .why = ul_format(r->arena, fmt, what)};
    UL_NEED(out->why);
    return UL_OK;
}

/* A result with rows of its own. */
static ul_status from_rows(reader *r, const ul_result_spec *spec, const ul_metric *metric, const json_t *j,
                           const ul_named_result *have, int n, ul_result *out)
{
    ul_args args;
    const char *where = ul_format(r->arena, "%s: %s", r->path, spec->name);
    UL_NEED(where);
    UL_TRY(ul_result_args(r->arena, spec, &args));
    UL_TRY(ul_result_from_json(r->ctx, r->arena, metric, where, j, out));
    if (out->absent) return without(r, out, "the log has no value of %s", spec->name);
    if (!out->n_part) { /* a summary: as good as it gets */
        ul_note(r->ctx, UL_LOG_WARN, "%s: no value_by_index: the aggregate is taken as it stands", where);
        return UL_OK;
    }
    for (int k = 0; k < out->n_part; k++)
        if (spec->from[k].data) UL_TRY(same_data(r, spec->from[k].data, &out->part[k].rows));
    for (const ul_source *f = spec->from; f->role; f++)
        for (int i = 0; f->result && i < n; i++)
            if (!strcmp(have[i].name, f->result) && have[i].result->n_part == 1)
                UL_TRY(same_rows(r->arena, &out->part[0].rows, &have[i].result->part[0].rows));
    const ul_status s = ul_metric_aggregate(r->arena, metric, &args, out);
    return s == UL_OK ? s : ul_fail_in(r->ctx, s, "%s", where);
}

static ul_status one(reader *r, const ul_result_spec *spec, const json_t *j, const ul_named_result *have, int n,
                     ul_result *out)
{
    const ul_metric *metric;
    const ul_known known = {.result = have,
                            .n_result = n,
                            .reference = r->beside.control,
                            .n_reference = r->beside.n_control,
                            .original = r->beside.original,
                            .n_original = r->beside.n_original};
    UL_TRY(ul_metric_find(r->ctx, spec->metric, &metric));
    if (j && metric->rows) return from_rows(r, spec, metric, j, have, n, out);
    if (spec->from[0].data)
        return without(r, out, "it is computed from tokens of %s, which columns.sqlite has and a log has not",
                       spec->from[0].data);
    const char *lack = missing_source(spec, have, n);
    if (lack) return without(r, out, "it is computed from %s, which the log does not have", lack);
    const ul_status s = ul_result_compute(r->arena, spec, &known, out);
    return s == UL_OK ? s : ul_fail_in(r->ctx, s, "%s", r->path);
}

/* The texts that answers were compared with tell data sets of the same length apart.
 * Tokenizers lose characters, so words are compared, and one row in two may differ. */
static ul_status same_texts(reader *r, const ul_result *own, const ul_result *other, const char *name)
{
    const ul_columns *a = &own->part[0].rows, *b = &other->part[0].rows;
    int64_t alike = 0;
    if (!a->ground_truth || !b->ground_truth || a->n_row != b->n_row) return UL_OK;
    for (int64_t i = 0; i < a->n_row; i++) {
        const ul_mark mark = ul_arena_mark(r->arena);
        ul_rouge_scores s;
        UL_TRY(ul_rouge(r->arena, a->ground_truth[i], b->ground_truth[i], false, &s));
        alike += s.rougeL.f1 > 0.9;
        ul_arena_rewind(r->arena, mark);
    }
    if (2 * alike >= a->n_row) return UL_OK;
    return ul_fail(r->ctx, UL_E_INPUT,
                   "%s: %s: %lld of %lld true answers are those of the other log: logs of different data "
                   "sets",
                   r->path, name, (long long)alike, (long long)a->n_row);
}

ul_status ul_log_same_data(ul_ctx *ctx, ul_arena *arena, const char *path, const ul_named_result *own, int n_own,
                           const ul_named_result *other, int n_other)
{
    reader r = {.ctx = ctx, .arena = arena, .path = path};
    for (int i = 0; i < n_own; i++)
        for (int k = 0; k < n_other; k++) {
            const ul_result *a = own[i].result, *b = other[k].result;
            const ul_result_spec *spec = ul_tofu_result(own[i].name);
            if (strcmp(own[i].name, other[k].name) || a->n_part != 1 || b->n_part != 1) continue;
            /* other sets than the forget set may be cut at other lengths: nothing is compared across them */
            const bool forget = !strcmp(own[i].name, "forget_truth_ratio") ||
                                (spec && spec->from[0].data && !strcmp(spec->from[0].data, "forget"));
            if (!forget) continue;
            if (same_rows(arena, &a->part[0].rows, &b->part[0].rows) != UL_OK)
                return ul_fail_in(ctx, UL_E_INPUT, "%s: this log is not of the same data (another split?)", path);
            UL_TRY(same_texts(&r, a, b, own[i].name));
        }
    return UL_OK;
}

/* "x_Truth_Ratio": three means of its rows are in use, and nothing in the log says which. */
static bool ambiguous(const char *name)
{
    static const char ratio[] = "truth_ratio";
    for (; *name; name++) {
        size_t n = 0;
        while (n + 1 < sizeof ratio && (name[n] | 0x20) == (ratio[n] | 0x20)) n++;
        if (n + 1 == sizeof ratio) return true;
    }
    return false;
}

ul_status ul_log_other(ul_arena *a, const char *name, const json_t *entry, ul_result_spec *out)
{
    static const char *const by_field[][2] = {
        {"prob", "probability"}, {"rougeL_recall", "rouge"}, {"score", "classification_prob"}};
    UL_TRY(ul_leak_named(a, name, out));
    if (out->name) return UL_OK;
    const json_t *rows = json_object_get(entry, "value_by_index"), *row = NULL;
    void *first = json_object_iter((json_t *)(uintptr_t)rows);
    if (first) row = json_object_iter_value(first);
    const bool pair = json_object_get(entry, "forget") && json_object_get(entry, "holdout");
    const char *metric = pair ? "mia_loss" : NULL;
    for (int i = 0; row && i < 3 && !metric && !ambiguous(name); i++)
        if (json_object_get(row, by_field[i][0])) metric = by_field[i][1];
    if (!metric) return UL_OK;
    *out = (ul_result_spec){.metric = metric, .better = pair ? UL_BETTER_CLOSER : UL_BETTER_HIGHER};
    if (!strncmp(name, "forget", 6) && !pair) out->better = UL_BETTER_LOWER;
    UL_NEED(out->name = ul_strdup(a, name));
    return UL_OK;
}

ul_status ul_log_results(ul_ctx *ctx, ul_arena *arena, const char *path, const ul_baselines *beside,
                         ul_named_result out[UL_MAX_RESULT], int *n_out, json_t **log)
{
    json_t *j;
    UL_TRY(ul_json_load_unique(ctx, arena, path, &j));
    if (!json_is_object(j))
        return ul_fail(ctx, UL_E_INPUT, "%s: not an object of results (a TOFU_EVAL.json is wanted)", path);
    int n_spec, n_named = 0;
    const ul_result_spec *spec = ul_tofu_results(&n_spec);
    reader *r = UL_NEW(arena, reader, 1);
    UL_NEED(r);
    *r = (reader){.ctx = ctx, .arena = arena, .path = path};
    if (beside) r->beside = *beside;
    int n_other = 0;
    *n_out = 0;
    for (int i = 0; i < n_spec; i++) {
        const json_t *entry = json_object_get(j, spec[i].name);
        ul_result *x = UL_NEW(arena, ul_result, 1);
        UL_NEED(x);
        UL_TRY(one(r, &spec[i], entry, out, *n_out, x));
        if (!entry && x->absent) continue;
        n_named += entry != NULL;
        out[(*n_out)++] = (ul_named_result){spec[i].name, x};
    }
    if (!n_named) return ul_fail(ctx, UL_E_INPUT, "%s: no result of TOFU in it (a TOFU_EVAL.json is wanted)", path);
    const char *name;
    json_t *entry;
    json_object_foreach(j, name, entry)
    {
        ul_result_spec other;
        ul_result *x;
        if (ul_tofu_result(name)) continue;
        UL_TRY(ul_log_other(arena, name, entry, &other));
        if (!other.name || n_other++ == UL_MAX_LEAK || *n_out == UL_MAX_RESULT) {
            ul_note(ctx, UL_LOG_WARN, "%s: \"%s\" is no result that is known here and was left out", path, name);
            continue;
        }
        UL_NEED(x = UL_NEW(arena, ul_result, 1));
        UL_TRY(one(r, &other, entry, out, *n_out, x));
        out[(*n_out)++] = (ul_named_result){other.name, x};
    }
    if (log) *log = j;
    return UL_OK;
}
