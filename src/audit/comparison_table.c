/* comparison_table.c - a comparison told: table.md, table.json and the report of its audits. */
#include "audit/comparison.h"
#include <math.h>
#include <string.h>

/* Between the control (0) and the model before (1), all three after the same fine-tuning. */
static void add_recovery(ul_comparison *c, const char *after, const char *name)
{
    size_t i;
    json_t *row;
    double top = (double)NAN, floor = (double)NAN;
    json_array_foreach(c->rows, i, row) {
        const char *id = json_string_value(json_object_get(row, "id"));
        if (!strcmp(id, "before")) top = ul_comparison_value(row, after);
        if (!strcmp(id, "control")) floor = ul_comparison_value(row, after);
    }
    json_array_foreach(c->rows, i, row) json_object_set_new(
        row, name, top > floor ? json_real((ul_comparison_value(row, after) - floor) / (top - floor)) : json_null());
}

static void cell(ul_buf *b, const json_t *row, const char *key, const char *format, double times)
{
    const double x = ul_comparison_value(row, key);
    ul_buf_puts(b, " | ");
    if (isfinite(x)) ul_buf_printf(b, format, x * times);
    else ul_buf_puts(b, "-");
}

static ul_status measured(ul_comparison *c)
{
    ul_job *job = c->job;
    ul_buf *b = &job->text;
    size_t i;
    json_t *row;
    ul_buf_printf(b,
                  "| method | intention | forget prob | ROUGE | truth ratio | forget quality | utility | retain prob | "
                  "knows | s | MiB "
                  "| after %lld: prob | knows | back: prob %% | knows %% "
                  "|\n|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n",
                  (long long)ul_job_int(job, "relearn"));
    json_array_foreach(c->rows, i, row) {
        const char *failed = json_string_value(json_object_get(row, "failed"));
        ul_buf_printf(b, "| %s | %s", json_string_value(json_object_get(row, "id")),
                      json_string_value(json_object_get(row, "intention")));
        if (failed) {
            ul_buf_printf(b, " | %s |  |  |  |  |  |  |  |  |  |  |  |  |\n", failed);
            continue;
        }
        cell(b, row, "forget_prob", "%.3f", 1), cell(b, row, "forget_rouge", "%.3f", 1),
            cell(b, row, "truth_ratio", "%.3f", 1);
        cell(b, row, "forget_quality", "%.1e", 1), cell(b, row, "utility", "%.3f", 1),
            cell(b, row, "retain_prob", "%.3f", 1);
        cell(b, row, "knows", "%.2f", 1), cell(b, row, "seconds", "%.1f", 1), cell(b, row, "peak_mib", "%.0f", 1);
        cell(b, row, "after_prob", "%.3f", 1), cell(b, row, "after_knows", "%.2f", 1);
        cell(b, row, "recovered_prob", "%.0f", 100), cell(b, row, "recovered", "%.0f", 100);
        ul_buf_puts(b, " |\n");
    }
    return b->status;
}

/* ---- verdicts ---------------------------------------------------------------------------------------------------- */
static const char *text(const json_t *row, const char *key)
{
    const char *s = json_string_value(json_object_get(row, key));
    return s ? s : "";
}

static void verdicts(const ul_comparison *c, ul_buf *b)
{
    size_t i;
    json_t *row;
    ul_buf_printf(b,
                  "\nAudited, profile %s:\n\n| method | intention | verdict | s | strongest recovery | by | true "
                  "answer last | ranks kept | says kept "
                  "| intention met | audit s |\n|---|---|---|--:|--:|---|--:|--:|--:|---|--:|\n",
                  c->course->profile);
    json_array_foreach(c->rows, i, row) {
        if (!*text(row, "verdict")) continue;
        ul_buf_printf(b, "| %s | %s | **%s**", text(row, "id"), text(row, "intention"), text(row, "verdict"));
        if (*text(row, "without_damage")) ul_buf_printf(b, " (else %s)", text(row, "without_damage"));
        cell(b, row, "s", "%.2f", 1), cell(b, row, "strongest", "%.2f", 1);
        ul_buf_printf(b, " | %s", text(row, "strongest_probe"));
        cell(b, row, "inverse", "%.2f", 1), cell(b, row, "ranks_kept", "%.2f", 1), cell(b, row, "says_kept", "%.2f", 1);
        ul_buf_printf(b, " | %s", *text(row, "intention") ? text(row, "outcome") : "");
        if (!strcmp(text(row, "intention"), "suppression") && !strcmp(text(row, "outcome"), "met"))
            ul_buf_printf(b, ", by %.0f of %.0f ways of asking", ul_comparison_value(row, "ways_judged"),
                          ul_comparison_value(row, "ways"));
        cell(b, row, "audit_seconds", "%.1f", 1);
        ul_buf_puts(b, " |\n");
    }
}

/* The methods of one declared intention with one verdict: how many, and their names. */
static void crossing(const ul_comparison *c, ul_buf *b, const char *intention, int verdict)
{
    size_t i;
    json_t *row;
    int n = 0;
    json_array_foreach (c->rows, i, row)
        n += !strcmp(text(row, "intention"), intention) && !strcmp(text(row, "verdict"), ul_verdict_name(verdict));
    ul_buf_printf(b, n ? " %d:" : " |", n);
    if (!n) return;
    json_array_foreach(c->rows, i, row)
        if (!strcmp(text(row, "intention"), intention) && !strcmp(text(row, "verdict"), ul_verdict_name(verdict)))
            ul_buf_printf(b, " %s", text(row, "id"));
    ul_buf_puts(b, " |");
}

static void cross_table(const ul_comparison *c, ul_buf *b)
{
    static const char *const intention[] = {"removal", "suppression"};
    ul_buf_puts(
        b, "\nIntention against verdict:\n\n| verdict | declared: removal | declared: suppression |\n|---|---|---|\n");
    for (int v = 0; v < UL_N_VERDICT; v++) {
        ul_buf_printf(b, "| %s |", ul_verdict_name(v));
        for (int k = 0; k < 2; k++) crossing(c, b, intention[k], v);
        ul_buf_puts(b, "\n");
    }
}

/* OUT/audit/report.html and its kin, of every row that was audited now or before an interruption. */
static ul_status report(ul_comparison *c)
{
    size_t i;
    json_t *row, *models = json_array();
    UL_TRY(ul_json_own(c->job->arena, models));
    json_array_foreach(c->rows, i, row) {
        json_t *all;
        const char *path = ul_comparison_path(c, text(row, "id"), "audit.json");
        UL_NEED(path);
        if (!*text(row, "verdict")) continue;
        UL_TRY(ul_json_load(c->job->ctx, c->job->arena, path, &all));
        if (!json_is_object(all)) return ul_fail(c->job->ctx, UL_E_INPUT, "%s: is not the audit of a model", path);
        json_array_append(models, all);
    }
    const char *dir = ul_comparison_path(c, "audit", NULL), *again = ul_job_command(c->job);
    UL_NEED(dir);
    UL_NEED(again);
    json_t *all = ul_course_report(c->course, again, json_incref(models));
    UL_TRY(ul_json_own(c->job->arena, all));
    UL_TRY(ul_dir_make(c->job->ctx, dir));
    return ul_audit_report_write(c->job->ctx, c->job->arena, dir, all);
}

ul_status ul_comparison_tell(ul_comparison *c)
{
    ul_job *job = c->job;
    ul_buf *b = &job->text;
    add_recovery(c, "after_knows", "recovered");
    add_recovery(c, "after_prob", "recovered_prob");
    UL_TRY(measured(c));
    if (c->course) {
        verdicts(c, b);
        cross_table(c, b);
        UL_TRY(report(c));
    }
    const char *md = ul_comparison_path(c, "table.md", NULL), *json = ul_comparison_path(c, "table.json", NULL);
    UL_NEED(md);
    UL_NEED(json);
    UL_TRY(ul_job_text_save(job, md));
    job->result =
        json_pack("{s:s, s:s, s:O}", "model", c->model, "recipe_digest", c->manifest.recipe_digest, "rows", c->rows);
    if (!job->result) return ul_fail(job->ctx, UL_E_RESOURCE, "no memory for the result");
    UL_TRY(ul_json_save(job->ctx, json, job->result));
    return ul_buf_printf(b,
                         "\n\"knows\": share of forget questions whose true answer ranks above every wrong one. "
                         "\"recovered\": after %lld steps on "
                         "retain rows only,\nbetween the control (0) and the model before (100) under the same "
                         "fine-tuning.\nwritten: %s\n",
                         (long long)ul_job_int(job, "relearn"), md);
}
