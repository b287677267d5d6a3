/* report.c - report.html: one static file, no script, no network. Charts are inline SVG; every picture's numbers stand in a table
 * beside it. Colours keep their contrast in light, dark and print, and never carry a meaning alone. */
#include "audit/audit.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

static const char head[] =
    "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>unlearn: report</title>\n<style>\n"
    ":root{--bg:#fff;--fg:#1b1f24;--dim:#59636e;--line:#d5dae0;--card:#f6f8fa;--a:#0b62c4;--b:#b35300;--c:#6f42c1;--d:#1a7f37}\n"
    "@media (prefers-color-scheme:dark){:root{--bg:#0f1318;--fg:#e6eaef;--dim:#9aa5b1;--line:#343b44;--card:#181d24;--a:#6cb1ff;--b:#ffa657;--c:#c9a5ff;--d:#56d364}}\n"
    "@media print{:root{--bg:#fff;--fg:#000;--dim:#444;--line:#bbb;--card:#fff}section{break-inside:avoid}}\n"
    "*{box-sizing:border-box}body{margin:0 auto;max-width:62rem;padding:1.2rem;background:var(--bg);color:var(--fg);font:16px/1.5 system-ui,sans-serif}\n"
    "h1{font-size:1.6rem;margin:.2rem 0}h2{font-size:1.15rem;margin:2rem 0 .4rem}p{margin:.4rem 0;max-width:48rem}.dim{color:var(--dim)}\n"
    ".wide{overflow-x:auto}table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums;font-size:.92rem}\n"
    "th,td{padding:.35rem .55rem;text-align:right;border-bottom:1px solid var(--line);white-space:nowrap}th:first-child,td:first-child{text-align:left}\n"
    "td.text,th.text{text-align:left;white-space:normal}.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(15rem,1fr));gap:.8rem}\n"
    ".card{background:var(--card);border:1px solid var(--line);border-radius:.5rem;padding:.7rem}.card h3{margin:0 0 .3rem;font-size:1rem}\n"
    "svg{display:block;width:100%;height:auto}svg text{fill:var(--fg);font:11px system-ui,sans-serif}svg .dim{fill:var(--dim)}\n"
    "code{background:var(--card);border:1px solid var(--line);border-radius:.3rem;padding:0 .25rem;overflow-wrap:anywhere}\n"
    ".key{display:inline-block;width:1.4em;height:.7em;margin-right:.35em;border-radius:2px}\n</style>\n</head>\n<body>\n";

/* Text between tags. */
static void esc(ul_out *o, const char *s)
{
    for (; s && *s; s++) {
        if (*s == '<') ul_out_printf(o, "&lt;");
        else if (*s == '>') ul_out_printf(o, "&gt;");
        else if (*s == '&') ul_out_printf(o, "&amp;");
        else if (*s == '"') ul_out_printf(o, "&quot;");
        else ul_out_write(o, s, 1);
    }
}

static double num(const json_t *o, const char *group, const char *key)
{
    return json_number_value(json_object_get(group ? json_object_get(o, group) : o, key));
}

static const char *text(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));
    return s ? s : "";
}

/* ---- pictures ----------------------------------------------------------------------------------------------------------- */
static void bar(ul_out *o, double x, double y, double width, double share, const char *colour, const char *label)
{
    const double w = width * (share < 0 ? 0 : share > 1 ? 1 : share);
    ul_out_printf(o, "<rect x=\"%g\" y=\"%g\" width=\"%g\" height=\"11\" fill=\"none\" stroke=\"var(--line)\"/>", x, y, width);
    ul_out_printf(o, "<rect x=\"%g\" y=\"%g\" width=\"%.2f\" height=\"11\" fill=\"var(--%s)\"/>", x, y, w, colour);
    ul_out_printf(o, "<text x=\"%g\" y=\"%g\">%s</text>", x + width + 6, y + 10, label);
}

/* Knowledge of the forgotten before and after relearning, and of those who stay: three bars a model. */
static void knowledge_bars(ul_out *o, const json_t *models)
{
    const size_t n = json_array_size(models);
    const int row = 56, width = 620;
    ul_out_printf(o, "<div class=\"wide\"><svg style=\"min-width:34rem\" viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"knowledge of each model; the "
                     "numbers stand in the table\">\n", width,
                  (int)n * row + 4);
    for (size_t i = 0; i < n; i++) {
        const json_t *m = json_array_get(models, i);
        const double y = (double)i * row + 4;
        char label[64];
        ul_out_printf(o, "<text x=\"0\" y=\"%g\" font-weight=\"600\">", y + 10);
        esc(o, text(m, "id"));
        ul_out_printf(o, "</text>");
        snprintf(label, sizeof label, "%.2f forgotten people, now", num(m, "before", "knows_forget"));
        bar(o, 80, y, 330, num(m, "before", "knows_forget"), "a", label);
        snprintf(label, sizeof label, "%.2f after relearning", num(m, "after", "knows_forget"));
        bar(o, 80, y + 15, 330, num(m, "after", "knows_forget"), "b", label);
        snprintf(label, sizeof label, "%.2f people who stay", num(m, "before", "knows_retain"));
        bar(o, 80, y + 30, 330, num(m, "before", "knows_retain"), "d", label);
    }
    ul_out_printf(o, "</svg></div>\n");
}

static void polyline(ul_out *o, const json_t *curve, size_t column, double top, const char *colour, const char *dash)
{
    const size_t n = json_array_size(curve);
    ul_out_printf(o, "<polyline fill=\"none\" stroke=\"var(--%s)\" stroke-width=\"1.6\" stroke-dasharray=\"%s\" points=\"", colour, dash);
    for (size_t i = 0; i < n; i++) {
        const json_t *at = json_array_get(json_array_get(curve, i), column);
        if (!json_is_number(at)) continue; /* this side was not run */
        const double v = json_number_value(at);
        const double x = 34 + 256.0 * (double)i / (n > 1 ? (double)(n - 1) : 1), y = 108 - 96 * (v < top ? v : top) / top;
        if (isfinite(v)) ul_out_printf(o, "%.1f,%.1f ", x, y);
    }
    ul_out_printf(o, "\"/>");
}

/* Mean NLL of forget and retain answers over the steps of one run. */
static void loss_curves(ul_out *o, const json_t *curve)
{
    double top = 0.1;
    size_t i;
    const json_t *p;
    json_array_foreach((json_t *)(uintptr_t)curve, i, p) for (size_t c = 1; c < 3; c++)
    {
        const double v = json_number_value(json_array_get(p, c));
        if (isfinite(v) && v > top) top = v;
    }
    if (top > 20) top = 20;
    ul_out_printf(o, "<svg viewBox=\"0 0 300 126\" role=\"img\" aria-label=\"loss over steps\"><line x1=\"34\" y1=\"108\" x2=\"290\" y2=\"108\" "
                     "stroke=\"var(--line)\"/><line x1=\"34\" y1=\"12\" x2=\"34\" y2=\"108\" stroke=\"var(--line)\"/>"
                     "<text x=\"2\" y=\"16\" class=\"dim\">%.3g</text><text x=\"2\" y=\"112\" class=\"dim\">0</text>"
                     "<text x=\"34\" y=\"122\" class=\"dim\">step 1</text><text x=\"262\" y=\"122\" class=\"dim\">%zu</text>", top, json_array_size(curve));
    polyline(o, curve, 1, top, "a", "none");
    polyline(o, curve, 2, top, "d", "5 3");
    ul_out_printf(o, "</svg>");
}

/* ---- sections ----------------------------------------------------------------------------------------------------------- */
static void numbers(ul_out *o, const json_t *models)
{
    ul_out_printf(o, "<div class=\"wide\"><table><thead><tr><th>model</th><th>forget<br>prob</th><th>forget<br>ROUGE</th><th>truth<br>ratio</th>"
                     "<th>forget<br>quality</th><th>retain<br>prob</th><th>utility</th><th>knows<br>forgotten</th><th>… after<br>relearning</th>"
                     "<th>recovered</th></tr></thead><tbody>\n");
    size_t i;
    const json_t *m;
    json_array_foreach((json_t *)(uintptr_t)models, i, m)
    {
        ul_out_printf(o, "<tr><td>");
        esc(o, text(m, "id"));
        ul_out_printf(o, "</td><td>%.3f</td><td>%.2f</td><td>%.2f</td>", num(m, "before", "forget_prob"), num(m, "before", "forget_rouge"),
                      num(m, "before", "forget_truth_ratio"));
        if (i < 2) ul_out_printf(o, "<td>–</td>");
        else ul_out_printf(o, "<td>%.2g</td>", num(m, "before", "forget_quality"));
        ul_out_printf(o, "<td>%.3f</td><td>%.2f</td><td>%.2f</td><td>%.2f</td><td>%.0f %%%s</td></tr>\n", num(m, "before", "retain_prob"),
                      num(m, "before", "utility"), num(m, "before", "knows_forget"), num(m, "after", "knows_forget"), 100 * num(m, NULL, "recovered"),
                      json_is_true(json_object_get(m, "avoids")) ? " *" : "");
    }
    ul_out_printf(o, "</tbody></table></div>\n");
}

static void answers(ul_out *o, const json_t *report)
{
    const json_t *models = json_object_get(report, "models"), *questions = json_object_get(report, "questions");
    size_t i, k;
    const json_t *m, *q;
    ul_out_printf(o, "<div class=\"wide\"><table><thead><tr><th class=\"text\">question about a forgotten person</th><th class=\"text\">truth</th>");
    json_array_foreach((json_t *)(uintptr_t)models, i, m)
    {
        ul_out_printf(o, "<th class=\"text\">");
        esc(o, text(m, "id"));
        ul_out_printf(o, "</th>");
    }
    ul_out_printf(o, "</tr></thead><tbody>\n");
    json_array_foreach((json_t *)(uintptr_t)questions, k, q)
    {
        ul_out_printf(o, "<tr><td class=\"text\">");
        esc(o, text(q, "question"));
        ul_out_printf(o, "</td><td class=\"text\"><b>");
        esc(o, text(q, "answer"));
        ul_out_printf(o, "</b></td>");
        json_array_foreach((json_t *)(uintptr_t)models, i, m)
        {
            ul_out_printf(o, "<td class=\"text\">");
            esc(o, json_string_value(json_array_get(json_object_get(m, "answers"), k)));
            ul_out_printf(o, "</td>");
        }
        ul_out_printf(o, "</tr>\n");
    }
    ul_out_printf(o, "</tbody></table></div>\n");
}

static void runs(ul_out *o, const json_t *models)
{
    size_t i;
    const json_t *m;
    ul_out_printf(o, "<p class=\"dim\"><span class=\"key\" style=\"background:var(--a)\"></span>forget (solid) "
                     "<span class=\"key\" style=\"background:var(--d)\"></span>retain (dashed), mean NLL a token, nats; cut off at 20</p>\n<div class=\"cards\">\n");
    json_array_foreach((json_t *)(uintptr_t)models, i, m)
    {
        if (!json_array_size(json_object_get(m, "curve"))) continue;
        ul_out_printf(o, "<div class=\"card\"><h3>");
        esc(o, text(m, "id"));
        ul_out_printf(o, "</h3><p class=\"dim\">");
        esc(o, text(m, "title"));
        ul_out_printf(o, ", %.1f s</p>", num(m, NULL, "seconds"));
        loss_curves(o, json_object_get(m, "curve"));
        ul_out_printf(o, "</div>\n");
    }
    ul_out_printf(o, "</div>\n");
}

ul_status ul_report_html(ul_ctx *ctx, const json_t *report, const char *path)
{
    ul_out *o;
    UL_TRY(ul_out_open(ctx, path, 0, &o));
    const json_t *models = json_object_get(report, "models");
    ul_out_printf(o, "%s<h1>Forgotten, or only silent?</h1>\n", head);
    ul_out_printf(o, "<p>A small model learned about invented people. %.0f of them were then to be forgotten, %.0f to stay. Each row below is one way of "
                     "forgetting; <b>control</b> was trained without the forgotten people and shows what true removal looks like.</p>\n",
                  num(report, NULL, "n_forget"), num(report, NULL, "n_retain"));
    ul_out_printf(o, "<section><h2>What each model knows</h2><p>Share of questions whose true answer the model ranks before four wrong ones (chance 0.20). "
                     "<b>After relearning</b>: %.0f steps of fine-tuning on the people who stay, and on nothing else. A removed fact cannot come back that way.</p>\n",
                  num(report, NULL, "relearn_steps"));
    knowledge_bars(o, models);
    ul_out_printf(o, "</section>\n<section><h2>The numbers</h2>\n");
    numbers(o, models);
    ul_out_printf(o, "<p class=\"dim\">Recovered: 0 %% is the control, 100 %% the target, both after the same fine-tuning. * ranks the truth first more "
                     "rarely than the control does: it avoids it, which takes knowledge, so little recovery proves no removal. Forget quality: p-value that the truth ratios come from the control's distribution (two-sample KS). Utility: "
                     "harmonic mean of retain probability, ROUGE and truth ratio.</p></section>\n");
    ul_out_printf(o, "<section><h2>What they say now</h2>\n");
    answers(o, report);
    ul_out_printf(o, "</section>\n<section><h2>The runs</h2>\n");
    runs(o, models);
    ul_out_printf(o, "</section>\n<section><h2>Make it again</h2><p><code>unlearn demo --seed %.0f --out OUT</code> gives the same numbers on every machine. Build ",
                  num(report, NULL, "seed"));
    esc(o, text(report, "build"));
    ul_out_printf(o, ", %s kernels, %.0f s.</p></section>\n</body>\n</html>\n", text(report, "isa"), num(report, NULL, "seconds"));
    return ul_out_commit(o);
}
