/* report_charts.c - the pictures of the audit's report. The numbers of each stand in a table, or beside it. */
#include "audit/report_audit.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

static const char *const who[UL_N_LINE] = {"model", "original", "control"};

bool ul_report_control(const json_t *m)
{
    return json_is_object(ul_page_in(m, "control", NULL));
}

const char *ul_report_anchor(const json_t *m)
{
    return ul_report_control(m) ? "control" : ul_page_text(ul_page_in(m, "evidence", NULL), "anchor");
}

/* `third`: the line of the control, or of what stands in its place; NULL: none is drawn. */
static void keys(ul_out *o, const char *third)
{
    ul_page_key(o, UL_LINE_MODEL, "this model");
    ul_page_key(o, UL_LINE_ORIGINAL, "original");
    if (third) ul_page_key(o, UL_LINE_CONTROL, third);
}

/* ---- recovery ---------------------------------------------------------------------------------------------------- */
static void group(ul_out *o, const json_t *m, const char *name, const char *role, bool expression, const char *fill)
{
    const json_t *p;
    size_t i;
    bool begun = false;
    UL_EACH(ul_page_in(m, "probes", NULL), i, p)
    {
        if (!ul_page_is(p, "ran") || strcmp(ul_page_text(p, "role"), role) || ul_page_is(p, "expression") != expression)
            continue;
        if (!begun && name) ul_out_printf(o, "<div class=\"group\">%s</div>\n", name);
        begun = true;
        ul_page_bar(o, ul_page_text(p, "title"), ul_page_in(p, "rho", NULL), fill, ul_page_text(p, "why_not"));
    }
}

void ul_chart_recovery(ul_out *o, const json_t *m)
{
    ul_out_printf(o, "<div class=\"bars\">\n");
    ul_page_scale(o, ul_report_anchor(m), "original");
    ul_out_printf(o, "<div class=\"group\">Evidence both ways</div>\n");
    group(o, m, NULL, "core", false, "a");
    ul_page_bar(o, "read below the last layer by its own head (I2)", ul_page_in(m, "evidence", "depth"), "a",
                ul_report_control(m) ? "original and control do not differ there" : "needs a control (--control)");
    group(o, m, "Attacks on weights that can only accuse", "accuses", false, "b");
    group(o, m, "Asking in other ways: shows what is expressed", "accuses", true, "d");
    ul_out_printf(o, "<div class=\"group\">Knowledge used to avoid the answer</div>\n");
    ul_page_bar(o, "the true answer put last (inverse)", ul_page_in(m, "evidence", "inverse"), "c",
                "says nothing here");
    ul_page_bar(o, "put first more rarely than by ignorance (avoided)", ul_page_in(m, "evidence", "avoided"), "c",
                "says nothing here");
    group(o, m, "Printed only: no rule reads these", "shown", false, "c");
    if (isfinite(ul_page_num(ul_page_in(m, "evidence", "patch"), "value", NULL)))
        ul_page_bar(o, "the original reads it in this model's states (I1, 1 - UDS)", ul_page_in(m, "evidence", "patch"),
                    "c", "");
    ul_out_printf(o, "</div>\n");
}

/* ---- curves ------------------------------------------------------------------------------------------------------ */
enum { MOST = 256 };

static void relearning(ul_out *o, const json_t *curve, ul_line line)
{
    double x[MOST], y[MOST];
    const size_t n = json_array_size(curve) < MOST ? json_array_size(curve) : MOST;
    const double last = n ? ul_page_at(json_array_get(curve, n - 1), 0) : 1;
    for (size_t i = 0; i < n; i++) {
        x[i] = ul_page_at(json_array_get(curve, i), 0) / (last > 0 ? last : 1);
        y[i] = ul_page_at(json_array_get(curve, i), 1);
        const json_t *point = json_array_get(curve, i); /* whiskers side by side */
        ul_page_whisker(o, x[i] + 0.015 * ((int)line - 1), ul_page_at(point, 3), ul_page_at(point, 4), line);
    }
    ul_page_line(o, x, y, n, line);
}

static void steps(ul_out *o, const char *before, const json_t *x, const char *key)
{
    const double n = ul_page_num(x, "steps_to_level", key);
    if (isfinite(n)) ul_out_printf(o, "%s%.1f", before, n);
    else ul_out_printf(o, "%snot reached", before);
}

void ul_report_savings(ul_out *o, const json_t *probe)
{
    const json_t *x = ul_page_in(probe, "savings", NULL), *share = ul_page_in(x, "share", NULL);
    if (!json_is_object(x)) return;
    if (json_is_object(share))
        ul_page_interval(o, "Savings (area; 0: as the control, 1: as the original): ", share, ". ");
    else
        ul_out_printf(o, "Savings: the original's curve and the control's are too close. ");
    ul_page_put(o, "Steps until ", ul_page_num(x, "level", NULL), " is ranked first");
    ul_out_printf(o, ", of %.0f: ", ul_page_num(x, "attack_steps", NULL));
    steps(o, "this model ", x, "model");
    steps(o, ", original ", x, "original");
    steps(o, ", control ", x, "control");
    ul_out_printf(o, ".");
}

void ul_chart_curves(ul_out *o, const json_t *m)
{
    const json_t *p;
    size_t i;
    bool begun = false;
    UL_EACH(ul_page_in(m, "probes", NULL), i, p)
    {
        const json_t *c = ul_page_in(p, "curves", "model");
        const size_t n = json_array_size(c);
        char last[32];
        if (n < 2) continue;
        if (!begun) {
            ul_out_printf(o, "<h3>Relearning</h3><p class=\"dim\">Share of forget answers ranked first, over the steps "
                             "of each attack, with its interval. ");
            keys(o, ul_report_control(m) ? "control" : NULL);
            ul_out_printf(o, "</p>\n<div class=\"cards\">\n");
            begun = true;
        }
        snprintf(last, sizeof last, "%.0f", ul_page_at(json_array_get(c, n - 1), 0));
        ul_out_printf(o, "<div class=\"card\"><h3>");
        ul_page_esc(o, ul_page_text(p, "title"));
        ul_out_printf(o, "</h3>");
        ul_page_plot(o, "relearning curves", "step", "ranked first", "0", last, "0", "1");
        for (int k = UL_N_LINE; k-- > 0;) relearning(o, ul_page_in(p, "curves", who[k]), (ul_line)k);
        ul_page_plot_end(o);
        if (json_is_object(ul_page_in(p, "savings", NULL))) {
            ul_out_printf(o, "<p class=\"dim\">");
            ul_report_savings(o, p);
            ul_out_printf(o, "</p>\n");
        }
        ul_out_printf(o, "</div>\n");
    }
    if (begun) ul_out_printf(o, "</div>\n");
}

/* ---- depth ------------------------------------------------------------------------------------------------------- */
void ul_chart_depth(ul_out *o, const json_t *m)
{
    const json_t *l;
    size_t i;
    const int n = ul_report_control(m) ? UL_N_LINE : UL_LINE_CONTROL;
    ul_out_printf(o, "<h3>How deep it sits</h3><p class=\"dim\">Share of forget answers ranked first when each "
                     "layer's state is read by the model's own head; the stronger the colour, the more.</p>\n");
    ul_page_table(o, n == UL_N_LINE ? "after layer|this model|original|control" : "after layer|this model|original");
    UL_EACH(ul_page_in(m, "depth", NULL), i, l)
    {
        if (i) ul_page_row(o);
        ul_out_printf(o, "<td>%.0f</td>", ul_page_num(l, "layer", NULL));
        for (int k = 0; k < n; k++) {
            const double x = ul_page_num(l, who[k], NULL);
            double lo, hi;
            if (!isfinite(x)) {
                ul_out_printf(o, "<td class=\"heat\">–</td>");
                continue;
            }
            (void)ul_page_within(l, who[k], &lo, &hi);
            ul_out_printf(o, "<td class=\"heat\" style=\"background:rgba(var(--heat),%.2f)\">%.2f", 0.45 * x, x);
            ul_page_small(o, lo, hi);
            ul_out_printf(o, "</td>");
        }
    }
    ul_page_table_end(o);
}

/* ---- quantisation ------------------------------------------------------------------------------------------------ */
static const json_t *probe(const json_t *m, const char *id)
{
    const json_t *p;
    size_t i;
    UL_EACH(ul_page_in(m, "probes", NULL), i, p)
    {
        if (!strcmp(ul_page_text(p, "id"), id)) return ul_page_is(p, "ran") ? p : NULL;
    }
    return NULL;
}

enum { N_FORMAT = 5 };

/* One model's K1 in one format; `as`: its key there. Without a control the phantoms' in its place. */
static const json_t *rung(const json_t *m, const json_t *p, int line, const char **as)
{
    *as = p ? line == UL_LINE_CONTROL ? "anchor" : who[line] : "K1_first";
    if (!p && line == UL_LINE_CONTROL && !ul_report_control(m)) return ul_page_in(m, "model", "phantom");
    return p ? ul_page_in(p, "K1", NULL) : ul_page_in(m, who[line], "forget");
}

/* K1 in each format, from full precision down: a ladder needs two steps. */
void ul_chart_ladder(ul_out *o, const json_t *m)
{
    static const char *const format[N_FORMAT] = {"", "int8", "nf4", "fp4", "rtn4"},
                             *const as[N_FORMAT] = {"full", "int8", "NF4", "FP4", "int4"};
    const char *name[N_FORMAT];
    const json_t *step[N_FORMAT];
    size_t n = 0;
    for (size_t f = 0; f < N_FORMAT; f++) {
        step[n] = f ? probe(m, format[f]) : NULL;
        if (!f || step[n]) name[n++] = as[f];
    }
    if (n < 2) return;
    ul_out_printf(o, "<h3>Quantisation ladder</h3><p class=\"dim\">Share of forget answers ranked first in coarser and "
                     "coarser number formats, with its interval. A rise accuses; that nothing rises proves nothing. ");
    keys(o, ul_report_anchor(m));
    ul_out_printf(o, "</p>\n<div class=\"cards\"><div class=\"card\">");
    ul_page_plot(o, "knowledge in each number format; the numbers stand in the table beside it", "", "ranked first",
                 "", "", "0", "1");
    for (size_t i = 0; i < n; i++)
        ul_out_printf(o, "<text x=\"%.1f\" y=\"166\" text-anchor=\"middle\">%s</text>",
                      ul_page_x(0.06 + 0.88 * (double)i / (double)(n - 1)), name[i]);
    for (int k = UL_N_LINE; k-- > 0;) {
        double x[N_FORMAT], y[N_FORMAT], lo, hi;
        for (size_t i = 0; i < n; i++) { /* whiskers side by side */
            const char *key;
            const json_t *of = rung(m, step[i], k, &key);
            x[i] = 0.06 + 0.88 * (double)i / (double)(n - 1);
            y[i] = ul_page_num(of, key, NULL);
            if (ul_page_within(of, key, &lo, &hi)) ul_page_whisker(o, x[i] + 0.025 * (k - 1), lo, hi, (ul_line)k);
        }
        ul_page_line(o, x, y, n, (ul_line)k);
    }
    ul_page_plot_end(o);
    ul_out_printf(o, "</div><div class=\"card\">");
    ul_page_table(o, "format|model|original|anchor");
    for (size_t i = 0; i < n; i++) {
        if (i) ul_page_row(o);
        ul_page_words(o, name[i], false);
        for (int k = 0; k < UL_N_LINE; k++) {
            const char *key;
            const json_t *of = rung(m, step[i], k, &key);
            ul_page_cell_value(o, of, key);
        }
    }
    ul_page_table_end(o);
    ul_out_printf(o, "</div></div>\n");
}

/* ---- membership -------------------------------------------------------------------------------------------------- */
static void roc(ul_out *o, const json_t *points, ul_line line)
{
    double x[MOST], y[MOST];
    const size_t n = json_array_size(points) < MOST ? json_array_size(points) : MOST;
    for (size_t i = 0; i < n; i++) {
        x[i] = ul_page_at(json_array_get(points, i), 0);
        y[i] = ul_page_at(json_array_get(points, i), 1);
    }
    if (n) ul_page_line(o, x, y, n, line);
}

void ul_chart_membership(ul_out *o, const json_t *m)
{
    const json_t *mia = ul_page_in(m, "membership", NULL), *s;
    size_t i;
    if (!json_array_size(ul_page_in(mia, "scores", NULL))) return;
    ul_out_printf(
        o,
        "<h3>Membership</h3><p class=\"dim\">Can the forgotten rows be told from rows that nobody was taught (%s)? "
        "Towards the upper left: yes. %s ",
        ul_page_text(mia, "others"),
        ul_report_control(m)
            ? "A model that never saw them runs as the control does; on either side of it something shows."
            : "How a model that never saw them runs needs a control: the diagonal is no substitute.");
    keys(o, ul_report_control(m) ? "control" : NULL);
    ul_out_printf(o, "</p>\n<div class=\"cards\">\n");
    UL_EACH(ul_page_in(mia, "scores", NULL), i, s)
    {
        ul_out_printf(o, "<div class=\"card\"><h3>%s</h3>", ul_page_text(s, "title"));
        ul_page_plot(o, "ROC curves", "false alarms", "members found", "0", "1", "0", "1");
        for (int k = UL_N_LINE; k-- > 0;) roc(o, ul_page_in(s, "roc", who[k]), (ul_line)k);
        ul_page_plot_end(o);
        const json_t *auc = ul_page_in(s, "auc", NULL);
        ul_page_value(o, "<p>AUC: model ", auc, "model", ", ");
        ul_page_value(o, "original ", auc, "original", "");
        if (ul_report_control(m)) {
            ul_page_value(o, ", control ", auc, "control", ".");
            ul_page_interval(o, " Model - control: ", ul_page_in(s, "beyond_control", NULL), "");
        }
        ul_out_printf(o, "</p></div>\n");
    }
    ul_out_printf(o, "</div>\n");
}

/* ---- all models -------------------------------------------------------------------------------------------------- */
double ul_report_left(const json_t *m)
{
    const json_t *p;
    size_t i;
    double most = 1 - ul_page_num(ul_page_in(m, "evidence", "s"), "value", NULL);
    const double more[] = {ul_page_num(ul_page_in(m, "evidence", "depth"), "value", NULL),
                           ul_page_num(ul_page_in(m, "evidence", "inverse"), "value", NULL)};
    for (int k = 0; k < 2; k++)
        if (more[k] > most) most = more[k];
    UL_EACH(ul_page_in(m, "probes", NULL), i, p)
    {
        const double rho = ul_page_num(ul_page_in(p, "rho", NULL), "value", NULL);
        if (!strcmp(ul_page_text(p, "role"), "core") && rho > most) most = rho;
    }
    return most < 0 ? 0 : most > 1 ? 1 : most;
}

static double kept(const json_t *m)
{
    const double says = ul_page_num(ul_page_in(m, "evidence", "utility_said"), "value", NULL),
                 ranks = ul_page_num(ul_page_in(m, "evidence", "utility_K1"), "value", NULL);
    return says < ranks ? says : ranks;
}

/* Nobody forgets more and keeps more. */
static bool efficient(const json_t *models, const json_t *m)
{
    const json_t *x;
    size_t i;
    UL_EACH(models, i, x)
    {
        const double a = ul_report_left(x), b = kept(x);
        if (a <= ul_report_left(m) && b >= kept(m) && (a < ul_report_left(m) || b > kept(m))) return false;
    }
    return true;
}

void ul_chart_pareto(ul_out *o, const json_t *models)
{
    const json_t *m;
    size_t i;
    ul_out_printf(o, "<h3>Forgetting against usefulness</h3><div class=\"cards\"><div class=\"card\">");
    ul_page_plot(o, "forgetting against usefulness; the numbers stand in the table", "knowledge left, at most found",
                 "usefulness kept", "0", "1", "0", "1");
    UL_EACH(models, i, m)
    {
        const double x = ul_page_x(ul_report_left(m)), y = ul_page_y(kept(m));
        const bool best = efficient(models, m);
        if (!isfinite(x) || !isfinite(y)) continue;
        ul_out_printf(o,
                      "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"%s\" fill=\"var(--%s)\" stroke=\"var(--bg)\" "
                      "stroke-width=\"1.5\"/><text "
                      "x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\" "
                      "style=\"fill:var(--bg);font-size:9px;font-weight:700\">%zu</text>\n",
                      x, y, best ? "8.5" : "6.5", best ? "d" : "dim", x, y + 3.2, i + 1);
    }
    ul_page_plot_end(o);
    ul_out_printf(o,
                  "</div><div class=\"card\"><p class=\"dim\">Upper left is best. Large dots: nobody else forgets more "
                  "and keeps more (Pareto). A largest and a smallest of several numbers: the intervals stand with "
                  "each of these.</p><p>");
    UL_EACH(models, i, m)
    {
        ul_out_printf(o, "%s<b>%zu</b> ", i ? "<br>" : "", i + 1);
        ul_page_esc(o, ul_page_text(m, "name"));
        ul_page_put(o, ": left ", ul_report_left(m), "");
        ul_page_put(o, ", kept ", kept(m), efficient(models, m) ? " (Pareto)" : "");
    }
    ul_out_printf(o, "</p></div></div>\n");
}
