/* result_json.c - results of metrics as JSON in open-unlearning's shape and names, both ways.
 *
 *   {"agg_value": x, "value_by_index": {"0": {"prob": p, "avg_loss": l}, ...}}
 *   two sets:  {"forget": {...}, "holdout": {...}, "auc": x, "agg_value": x} */
#include "audit/audit.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

static ul_status no_memory(ul_ctx *ctx)
{
    return ul_fail(ctx, UL_E_RESOURCE, "no memory for the results");
}

/* One field of one row: a number, a text, or a list of numbers (several answers a row). */
static json_t *field(ul_columns *c, const char *name, int64_t row)
{
    const double **number = ul_columns_number(c, name);
    if (number && *number) {
        if (!c->first) return json_real((*number)[row]);
        json_t *list = json_array();
        for (int64_t k = c->first[row]; list && k < c->first[row + 1]; k++)
            json_array_append_new(list, json_real((*number)[k]));
        return list;
    }
    const char *const **text = ul_columns_text(c, name);
    if (text && *text && !c->first) return json_string((*text)[row]);
    if (text && *text) {
        json_t *list = json_array();
        for (int64_t k = c->first[row]; list && k < c->first[row + 1]; k++)
            json_array_append_new(list, json_string((*text)[k]));
        return list;
    }
    return json_null();
}

static ul_status rows_json(ul_ctx *ctx, const ul_metric *metric, const ul_columns *rows, json_t **out)
{
    ul_columns c = *rows;
    json_t *all = json_object();
    for (int64_t i = 0; all && i < c.n_row; i++) {
        char key[24];
        snprintf(key, sizeof key, "%lld", (long long)ul_columns_index(&c, i));
        json_t *row = json_object();
        for (int f = 0; row && f < 6 && metric->fields[f]; f++)
            if (json_object_set_new(row, metric->fields[f], field(&c, metric->fields[f], i))) {
                json_decref(row);
                row = NULL;
            }
        if (json_object_set_new(all, key, row)) {
            json_decref(all);
            all = NULL;
        }
    }
    *out = all;
    return all ? UL_OK : no_memory(ctx);
}

ul_status ul_result_json(ul_ctx *ctx, const ul_metric *metric, const ul_result *r, json_t **out)
{
    *out = NULL;
    json_t *j = json_object();
    if (!j) return no_memory(ctx);
    ul_status s = UL_OK;
    if (r->absent) {
        json_object_set_new(j, "agg_value", json_null());
        *out = j;
        return UL_OK;
    }
    for (int p = 0; s == UL_OK && p < r->n_part; p++) {
        json_t *rows = NULL;
        s = rows_json(ctx, metric, &r->part[p].rows, &rows);
        if (s != UL_OK) break;
        if (r->n_part == 1) json_object_set_new(j, "value_by_index", rows);
        else
            json_object_set_new(j, r->part[p].role,
                                json_pack("{s:f, s:o}", "agg_value", r->part[p].agg_value, "value_by_index", rows));
    }
    if (s == UL_OK && r->n_part == 2) json_object_set_new(j, "auc", json_real(r->agg_value));
    if (s == UL_OK && json_object_set_new(j, "agg_value", json_real(r->agg_value))) s = no_memory(ctx);
    if (s != UL_OK) {
        json_decref(j);
        return s;
    }
    *out = j;
    return UL_OK;
}

/* ---- back from a log --------------------------------------------------------------------------------------------- */
typedef struct {
    ul_ctx *ctx;
    ul_arena *arena;
    const char *where;
    int64_t n_row, n_missing, n_answer;
    int64_t *index, *first;
} reader;

static int by_index(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static json_t *row_at(const json_t *rows, int64_t index)
{
    char key[24];
    snprintf(key, sizeof key, "%lld", (long long)index);
    return json_object_get(rows, key);
}

/* A row whose answer has no token to score is null, or its fields are (open-unlearning's None): no number, and none of
 * the mean. */
static bool has_no_value(const ul_metric *metric, const json_t *row)
{
    bool null = json_is_null(row);
    for (int f = 0; f < 6 && metric->fields[f]; f++) {
        const json_t *v = json_object_get(row, metric->fields[f]);
        if (v && !json_is_null(v)) return false;
        null |= v != NULL;
    }
    return null;
}

/* Rows in the order of their indices; a list in the first field decides the answers a row. */
static ul_status read_shape(reader *r, const ul_metric *metric, const json_t *rows)
{
    const int64_t n = (int64_t)json_object_size(rows);
    r->index = UL_NEW(r->arena, int64_t, n);
    r->first = UL_NEW(r->arena, int64_t, n + 1);
    UL_NEED(r->index);
    UL_NEED(r->first);
    const char *key;
    json_t *row;
    json_object_foreach((json_t *)(uintptr_t)rows, key, row)
    {
        if (!ul_parse_int(key, &r->index[r->n_row]))
            return ul_fail(r->ctx, UL_E_INPUT, "%s: value_by_index has the key \"%s\", which is no row number",
                           r->where, key);
        r->n_row += !has_no_value(metric, row);
    }
    r->n_missing = n - r->n_row;
    if (!r->n_row) return ul_fail(r->ctx, UL_E_INPUT, "%s: all of its %lld rows are null", r->where, (long long)n);
    if (r->n_missing)
        ul_note(r->ctx, UL_LOG_WARN, "%s: %lld of %lld rows are null: they have no value and do not count", r->where,
                (long long)r->n_missing, (long long)n);
    int64_t i;
    qsort(r->index, (size_t)r->n_row, sizeof *r->index, by_index);
    bool lists = false;
    for (i = 0; i < r->n_row; i++) {
        if (i && r->index[i] == r->index[i - 1])
            return ul_fail(r->ctx, UL_E_INPUT, "%s: row %lld is there twice", r->where, (long long)r->index[i]);
        const json_t *v = metric->fields[0] ? json_object_get(row_at(rows, r->index[i]), metric->fields[0]) : NULL;
        r->first[i + 1] = r->first[i] + (json_is_array(v) ? (int64_t)json_array_size(v) : 1);
        lists |= json_is_array(v);
    }
    r->n_answer = r->first[r->n_row];
    if (!lists) r->first = NULL;
    return UL_OK;
}

static ul_status read_number(reader *r, const json_t *v, int64_t row, const char *name, double *out)
{
    if (!json_is_number(v) || !isfinite(json_number_value(v)))
        return ul_fail(r->ctx, UL_E_INPUT, "%s: row %lld: \"%s\" is not a finite number", r->where, (long long)row,
                       name);
    *out = json_number_value(v);
    return UL_OK;
}

static ul_status read_text(reader *r, const json_t *v, int64_t row, const char *name, const char **out)
{
    if (!json_is_string(v))
        return ul_fail(r->ctx, UL_E_INPUT, "%s: row %lld: \"%s\" is not a text", r->where, (long long)row, name);
    *out = ul_strdup(r->arena, json_string_value(v));
    return *out ? UL_OK : UL_E_RESOURCE;
}

/* The answers of a row in one field, numbers x or texts t: a list has one an answer, otherwise there is one answer. */
static ul_status read_row(reader *r, const json_t *v, int64_t i, const char *name, double *x, const char **t)
{
    const int64_t at = r->first ? r->first[i] : i, n = r->first ? r->first[i + 1] - at : 1;
    const int64_t has = json_is_array(v) ? (int64_t)json_array_size(v) : 1;
    if (has != n)
        return ul_fail(r->ctx, UL_E_INPUT, "%s: row %lld: \"%s\" has %lld entries, the row has %lld answers", r->where,
                       (long long)r->index[i], name, (long long)has, (long long)n);
    for (int64_t k = 0; k < n; k++) {
        const json_t *one = json_is_array(v) ? json_array_get(v, (size_t)k) : v;
        UL_TRY(x ? read_number(r, one, r->index[i], name, &x[at + k])
                 : read_text(r, one, r->index[i], name, &t[at + k]));
    }
    return UL_OK;
}

/* A field that no row has stays away (older logs); one that some rows lack is an error. */
static ul_status read_field(reader *r, const json_t *rows, const char *name, ul_columns *c)
{
    const double **number = ul_columns_number(c, name);
    const char *const **text = ul_columns_text(c, name);
    double *x = number ? UL_NEW(r->arena, double, r->n_answer) : NULL;
    const char **t = text ? UL_NEW(r->arena, const char *, r->n_answer) : NULL;
    if (!x && !t) return number || text ? UL_E_RESOURCE : UL_OK;
    const bool there = json_object_get(row_at(rows, r->index[0]), name) != NULL;
    for (int64_t i = 0; i < r->n_row; i++) {
        const json_t *v = json_object_get(row_at(rows, r->index[i]), name);
        if ((v != NULL) != there)
            return ul_fail(r->ctx, UL_E_INPUT, "%s: row %lld: \"%s\" is %s", r->where, (long long)r->index[i], name,
                           there ? "missing, other rows have it" : "there, other rows lack it");
        if (v) UL_TRY(read_row(r, v, i, name, x, t));
    }
    if (!there) return UL_OK;
    if (t) *text = t;
    else *number = x;
    return UL_OK;
}

static ul_status read_part(ul_ctx *ctx, ul_arena *arena, const ul_metric *metric, const char *where, const json_t *j,
                           ul_part *out)
{
    const json_t *rows = json_object_get(j, "value_by_index"), *agg = json_object_get(j, "agg_value");
    out->agg_value = json_is_number(agg) ? json_number_value(agg) : NAN;
    if (!json_is_object(rows) || !json_object_size(rows))
        return ul_fail(ctx, UL_E_INPUT, "%s: value_by_index has no rows", where);
    reader r = {.ctx = ctx, .arena = arena, .where = where};
    UL_TRY(read_shape(&r, metric, rows));
    out->rows = (ul_columns){
        .name = where, .n_row = r.n_row, .n_missing = r.n_missing, .first = r.first, .index = r.index};
    for (int f = 0; f < 6 && metric->fields[f]; f++) UL_TRY(read_field(&r, rows, metric->fields[f], &out->rows));
    return UL_OK;
}

static ul_status read_parts(ul_ctx *ctx, ul_arena *arena, const ul_metric *metric, const char *where, const json_t *j,
                            ul_result *out)
{
    for (int k = 0; k < 2 && metric->needs[k].role; k++) {
        const json_t *v = json_object_get(j, metric->needs[k].role);
        if (!json_is_object(v)) continue;
        ul_part *p = &out->part[out->n_part++];
        p->role = metric->needs[k].role;
        const char *at = ul_format(arena, "%s: %s", where, p->role);
        UL_NEED(at);
        UL_TRY(read_part(ctx, arena, metric, at, v, p));
    }
    return UL_OK;
}

ul_status ul_result_from_json(ul_ctx *ctx, ul_arena *arena, const ul_metric *metric, const char *where, const json_t *j,
                              ul_result *out)
{
    *out = (ul_result){0};
    const json_t *agg = json_object_get(j, "agg_value");
    if (!json_is_object(j))
        return ul_fail(ctx, UL_E_INPUT,
                       "%s: not an object with agg_value and value_by_index (of a TOFU_SUMMARY.json? The "
                       "TOFU_EVAL.json beside it has the rows)",
                       where);
    out->agg_value = json_is_number(agg) ? json_number_value(agg) : NAN;
    if (json_object_get(j, "value_by_index")) {
        out->n_part = 1;
        return read_part(ctx, arena, metric, where, j, &out->part[0]);
    }
    UL_TRY(read_parts(ctx, arena, metric, where, j, out));
    out->absent = out->n_part == 0 && !json_is_number(agg);
    return UL_OK;
}
