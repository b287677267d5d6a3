/* benchmark_log.c - results from the log of a benchmark beside TOFU (MUSE_EVAL.json, open-unlearning's too,
 * RWKU_EVAL.json, CHOICES_EVAL.json): every aggregate again from its rows, as they stand there. No model.
 *
 *   rows with rougeL_f1, else rougeL_recall,
 *   score, prob                                their mean
 *   forget and holdout                         the AUC of holdout over forget; privleak from that of mia_min_k, where
 *                                              --reference-logs has the retrained model's
 *   rows with loglikelihood and gold           the share whose first largest is the gold one; NAME_acc_calibrated from
 *                                              the rows of NAME_acc
 *   NAME_TYPE without rows of its own          of those rows of NAME that have this type
 *   no rows                                    taken as it stands, and said so */
#include "audit/benchmark.h"
#include <math.h>
#include <string.h>

typedef struct {
    double value, error;
    int64_t n; /* 0: no rows */
} found;

static const json_t *rows_of(const json_t *log, const char *name)
{
    const json_t *rows = json_object_get(json_object_get(log, name), "value_by_index");
    return json_object_size(rows) ? rows : NULL;
}

static const char *const scores[] = {"rougeL_f1", "rougeL_recall", "score", "prob"};

static const json_t *score_of(const json_t *row)
{
    const json_t *x = NULL;
    for (size_t i = 0; !json_is_number(x) && i < sizeof scores / sizeof *scores; i++)
        x = json_object_get(row, scores[i]);
    return json_is_number(x) ? x : NULL;
}

/* Of the questions that only TOFU asks: memorisation and membership scores are in other logs too. */
static bool of_tofu(const char *name)
{
    static const char *const starts[] = {"forget_", "retain_", "ra_", "wf_", "model_utility"};
    bool own = false;
    for (size_t i = 0; i < sizeof starts / sizeof *starts; i++) own |= !strncmp(name, starts[i], strlen(starts[i]));
    return own && ul_tofu_result(name);
}

bool ul_benchmark_log_is(const json_t *log)
{
    const char *name;
    json_t *entry;
    bool other = false;
    if (!json_is_object(log)) return false;
    json_object_foreach((json_t *)(uintptr_t)log, name, entry)
    {
        const json_t *rows = rows_of(log, name);
        const json_t *row = rows ? json_object_iter_value(json_object_iter((json_t *)(uintptr_t)rows)) : NULL;
        if (of_tofu(name)) return false;
        other |= json_object_get(row, "rougeL_f1") || json_object_get(row, "rougeL_recall") ||
                 json_object_get(row, "loglikelihood");
    }
    return other;
}

static ul_status broken(ul_benchmark *b, const char *name, const char *key, const char *what)
{
    return ul_fail(b->ctx, UL_E_INPUT, "%s: %s, row \"%s\": %s", ul_job_text(b->job, "logs"), name, key, what);
}

/* Of rows with a score, or of those of one type. */
static ul_status mean_of(ul_benchmark *b, const char *name, const json_t *rows, const char *type, found *out)
{
    double *x = UL_NEW(b->arena, double, json_object_size(rows));
    const char *key;
    json_t *row;
    UL_NEED(x);
    out->n = 0;
    json_object_foreach((json_t *)(uintptr_t)rows, key, row)
    {
        const char *own = json_string_value(json_object_get(row, "type"));
        char *of = ul_strdup(b->arena, own ? own : "");
        UL_NEED(of);
        for (char *p = of; *p; p++)
            if (*p == ' ') *p = '_';
        if (type && strcmp(of, type)) continue;
        const json_t *s = score_of(row);
        if (json_is_null(row) || json_is_null(json_object_get(row, "score"))) continue; /* it has no value */
        if (!s || !isfinite(json_number_value(s))) return broken(b, name, key, "it has no number rougeL_f1 (or score)");
        x[out->n++] = json_number_value(s);
    }
    if (out->n) ul_benchmark_mean(x, out->n, &out->value, &out->error);
    return UL_OK;
}

static ul_status accuracy(ul_benchmark *b, const char *name, const json_t *rows, bool calibrated, found *out)
{
    const int64_t n = (int64_t)json_object_size(rows);
    int64_t *first = UL_NEW(b->arena, int64_t, n + 1), i = 0;
    double *gold = UL_NEW(b->arena, double, n), *ll;
    const double *hit;
    const char *key;
    json_t *row, *x;
    size_t k;
    UL_NEED(first);
    UL_NEED(gold);
    json_object_foreach((json_t *)(uintptr_t)rows, key, row)
    {
        const int64_t options = (int64_t)json_array_size(json_object_get(row, "loglikelihood"));
        const json_t *g = json_object_get(row, "gold");
        if (options < 2 || !json_is_integer(g) || json_integer_value(g) < 0 || json_integer_value(g) >= options)
            return broken(b, name, key, "a list loglikelihood of two or more and the place of the gold one are wanted");
        gold[i] = (double)json_integer_value(g);
        first[i + 1] = first[i] + options;
        i++;
    }
    UL_NEED(ll = UL_NEW(b->arena, double, first[n]));
    i = 0;
    json_object_foreach((json_t *)(uintptr_t)rows, key, row)
    {
        json_array_foreach(json_object_get(row, "loglikelihood"), k, x)
        {
            if (!json_is_number(x)) return broken(b, name, key, "a log-likelihood is no number");
            ll[i++] = json_number_value(x);
        }
    }
    UL_TRY(ul_benchmark_hits(b, name, first, n, gold, ll, calibrated, &hit));
    out->n = n;
    ul_benchmark_mean(hit, n, &out->value, &out->error);
    return UL_OK;
}

/* Sorted scores of one side. */
static ul_status side_of(ul_benchmark *b, const char *name, const json_t *log, const char *role, double **x, int64_t *n)
{
    const json_t *rows = rows_of(json_object_get(log, name), role), *s;
    const char *key;
    json_t *row;
    UL_NEED(*x = UL_NEW(b->arena, double, json_object_size(rows)));
    *n = 0;
    json_object_foreach((json_t *)(uintptr_t)rows, key, row)
    {
        if (!(s = score_of(row))) return broken(b, name, key, "it has no number score");
        (*x)[(*n)++] = json_number_value(s);
    }
    ul_sort(*x, *n);
    return UL_OK;
}

/* AUC of two sides, and privleak of it; out->n stays 0 where the log has no rows for it. */
static ul_status membership(ul_benchmark *b, const json_t *log, const char *name, found *out)
{
    const bool leak = !strcmp(name, "privleak");
    const json_t *entry = json_object_get(log, leak ? "mia_min_k" : name);
    double *forget, *holdout, control;
    int64_t n, m;
    if (!rows_of(entry, "forget") || !rows_of(entry, "holdout")) return UL_OK;
    if (leak) UL_TRY(ul_benchmark_control_auc(b, &control));
    if (leak && isnan(control)) return UL_OK;
    UL_TRY(side_of(b, leak ? "mia_min_k" : name, log, "forget", &forget, &n));
    UL_TRY(side_of(b, leak ? "mia_min_k" : name, log, "holdout", &holdout, &m));
    *out = (found){ul_auc(holdout, m, forget, n), NAN, n + m};
    return leak ? ul_benchmark_privleak(b, out->value, control, &out->value) : UL_OK;
}

/* Rows of its own, of the result that it is a part of, or none. */
static ul_status look(ul_benchmark *b, const json_t *log, const char *name, found *out)
{
    static const char calibrated[] = "_calibrated";
    const size_t n = strlen(name), m = sizeof calibrated - 1;
    const json_t *rows = rows_of(log, name), *row;
    *out = (found){NAN, NAN, 0};
    if (!rows) UL_TRY(membership(b, log, name, out));
    if (out->n) return UL_OK;
    if (!rows && n > m && !strcmp(name + n - m, calibrated)) {
        const char *base = ul_strndup(b->arena, name, n - m);
        UL_NEED(base);
        rows = rows_of(log, base);
        return rows ? accuracy(b, name, rows, true, out) : UL_OK;
    }
    for (size_t i = n; !rows && i-- > 1;) { /* NAME_TYPE */
        const char *base = name[i] == '_' ? ul_strndup(b->arena, name, i) : "";
        UL_NEED(base);
        const json_t *of = *base ? rows_of(log, base) : NULL;
        if (of && json_object_iter((json_t *)(uintptr_t)of)) {
            row = json_object_iter_value(json_object_iter((json_t *)(uintptr_t)of));
            if (json_is_string(json_object_get(row, "type"))) return mean_of(b, name, of, name + i + 1, out);
        }
    }
    if (!rows) return UL_OK;
    row = json_object_iter_value(json_object_iter((json_t *)(uintptr_t)rows));
    return json_object_get(row, "loglikelihood") ? accuracy(b, name, rows, false, out)
                                                 : mean_of(b, name, rows, NULL, out);
}

ul_status ul_benchmark_log(ul_job *job, const json_t *log)
{
    ul_benchmark b = {.job = job, .ctx = job->ctx, .arena = job->arena};
    const char *name;
    json_t *entry;
    job->result = json_object();
    ul_buf_printf(&job->text, "%-44s %9s  %10s  %6s\n", "result", "value", "std. error", "n");
    json_object_foreach((json_t *)(uintptr_t)log, name, entry)
    {
        found f;
        const json_t *recorded = json_is_object(entry) ? json_object_get(entry, "agg_value") : entry;
        UL_TRY(look(&b, log, name, &f));
        if (!f.n && !json_is_number(recorded)) continue;
        const double was = json_is_number(recorded) ? json_number_value(recorded) : (double)NAN;
        json_t *j = json_pack("{s:f}", "agg_value", f.n ? f.value : was);
        if (j && json_is_number(recorded)) json_object_set(j, "recorded", (json_t *)(uintptr_t)recorded);
        if (!j || json_object_set_new(job->result, name, j))
            return ul_fail(job->ctx, UL_E_RESOURCE, "no memory for the result");
        if (!f.n)
            ul_buf_printf(&job->text, "%-44s %9.4f  %10s  %6s  as it stands: the log has no rows of it\n", name, was,
                          "-", "-");
        else if (isnan(f.error)) /* an AUC */
            ul_buf_printf(&job->text, "%-44s %9.4f  %10s  %6lld\n", name, f.value, "-", (long long)f.n);
        else
            ul_buf_printf(&job->text, "%-44s %9.4f  +- %7.4f  %6lld\n", name, f.value, f.error, (long long)f.n);
        if (f.n && isfinite(was) && fabs(was - f.value) > 1e-6 * fabs(f.value))
            ul_note(job->ctx, UL_LOG_WARN, "%s: the log says %.9g, its rows give %.9g", name, was, f.value);
    }
    return job->text.status;
}
