/* report_audit.c - the audit told to a person: report.html (one static file, no script, no network) and report.md (for pull requests)
 * from report.json's tree. The verdict comes first and in words; every picture's numbers stand in a table beside it. */
#include "audit/battery.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

static const char style[] =
    ":root{--bg:#fff;--fg:#1b1f24;--dim:#59636e;--line:#d5dae0;--card:#f6f8fa;--a:#0b62c4;--b:#b35300;--c:#6f42c1;--d:#"
    "1a7f37;--heat:11,98,196}\n"
    "@media "
    "(prefers-color-scheme:dark){:root{--bg:#0f1318;--fg:#e6eaef;--dim:#9aa5b1;--line:#343b44;--card:#181d24;--a:#"
    "6cb1ff;--b:#ffa657;--c:#c9a5ff;"
    "--d:#56d364;--heat:108,177,255}}\n"
    "@media "
    "print{:root{--bg:#fff;--fg:#000;--dim:#444;--line:#bbb;--card:#fff;--a:#0b62c4;--b:#b35300;--c:#6f42c1;--d:#"
    "1a7f37;--heat:11,98,196}"
    "section{break-inside:avoid}}\n"
    "*{box-sizing:border-box}body{margin:0 "
    "auto;max-width:62rem;padding:1.2rem;background:var(--bg);color:var(--fg);font:16px/1.5 system-ui,sans-serif}\n"
    "h1{font-size:1.6rem;margin:.2rem 0}h2{font-size:1.25rem;margin:2rem 0 .4rem}h3{font-size:1rem;margin:1.2rem 0 "
    ".3rem}p{margin:.4rem 0;max-width:50rem;"
    "overflow-wrap:anywhere}.dim{color:var(--dim)}\n"
    ".wide{overflow-x:auto}table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums;font-size:."
    "92rem}\n"
    "th,td{padding:.35rem .55rem;text-align:right;border-bottom:1px solid "
    "var(--line);white-space:nowrap}th:first-child,td:first-child,.text{text-align:left}\n"
    ".text{white-space:normal}.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(17rem,100%),1fr));"
    "gap:.8rem}\n"
    ".card{background:var(--card);border:1px solid var(--line);border-radius:.5rem;padding:.7rem;min-width:0}.card "
    "h3{margin:0 0 .3rem}\n"
    ".verdict{font-size:1.5rem;font-weight:650;margin:.2rem 0}svg{display:block;width:100%;height:auto}svg "
    "text{fill:var(--fg);font:11px system-ui,sans-serif}\n"
    "svg .dim{fill:var(--dim)}code{background:var(--card);border:1px solid var(--line);border-radius:.3rem;padding:0 "
    ".25rem;overflow-wrap:anywhere}\n"
    ".key{display:inline-block;width:1.4em;height:.7em;margin-right:.35em;border-radius:2px}\n";

/* ---- reading the tree ------------------------------------------------------------------------------------------- */
#define EACH(array, i, item) json_array_foreach((json_t *)(uintptr_t)(array), i, item)

static const json_t *in(const json_t *o, const char *a, const char *b)
{
    const json_t *x = json_object_get(o, a);
    return b ? json_object_get(x, b) : x;
}

static double num(const json_t *o, const char *a, const char *b)
{
    const json_t *x = in(o, a, b);
    return json_is_number(x) ? json_number_value(x) : NAN;
}

static const char *text(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));
    return s ? s : "";
}

/* A number with two places, or a dash. */
static void put(ul_out *o, const char *before, double x, const char *after)
{
    if (isfinite(x))
        ul_out_printf(o, "%s%.2f%s", before, x == 0 ? 0 : x, after);
    else
        ul_out_printf(o, "%s–%s", before, after);
}

static void interval(ul_out *o, const char *before, const json_t *bound, const char *after)
{
    const double v = num(bound, "value", NULL);
    if (isfinite(v))
        ul_out_printf(o, "%s%.2f [%.2f, %.2f]%s", before, v, num(bound, "lower", NULL), num(bound, "upper", NULL),
                      after);
    else
        ul_out_printf(o, "%s–%s", before, after);
}

static void esc(ul_out *o, const char *s)
{
    for (; s && *s; s++) {
        if (*s == '<')
            ul_out_printf(o, "&lt;");
        else if (*s == '>')
            ul_out_printf(o, "&gt;");
        else if (*s == '&')
            ul_out_printf(o, "&amp;");
        else if (*s == '"')
            ul_out_printf(o, "&quot;");
        else
            ul_out_write(o, s, 1);
    }
}

static void cell(ul_out *o, const char *s, bool bold)
{
    ul_out_printf(o, bold ? "<td class=\"text\"><b>" : "<td class=\"text\">");
    esc(o, s);
    ul_out_printf(o, bold ? "</b></td>" : "</td>");
}

static const char *meaning(const char *verdict)
{
    static const char *const words[][2] = {
        {"removed", "No residual knowledge above a fifth of the original was found by this battery of attacks. That is "
                    "what the word means here; it does not mean erased."},
        {"no residual knowledge detected (no retrained control)",
         "The attacks found nothing, but nothing shows what a model that never knew would look like."},
        {"partly removed", "Some of the knowledge is gone and some is left."},
        {"suppressed", "The knowledge is still in the weights; the model only does not express it."},
        {"not forgotten", "The model answers as before."},
        {"damaged", "What it should have kept is gone too; forgetting cannot be judged in a model that is broken."},
        {"inconclusive", "No verdict can be given."}};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (!strcmp(words[i][0], verdict)) return words[i][1];
    return "";
}

/* ---- pictures ----------------------------------------------------------------------------------------------------- */
static double across(double rho)
{
    return 170 + 380 * ((rho < -0.25 ? -0.25 : rho > 1.25 ? 1.25 : rho) + 0.25) / 1.5;
}

static void whisker(ul_out *o, double y, const char *name, const json_t *bound, const char *colour)
{
    const double lo = across(num(bound, "lower", NULL)), hi = across(num(bound, "upper", NULL)),
                 x = across(num(bound, "value", NULL));
    ul_out_printf(o, "<text x=\"0\" y=\"%g\">", y + 4);
    esc(o, name);
    ul_out_printf(o, "</text>");
    if (isnan(x)) {
        ul_out_printf(o, "<text x=\"170\" y=\"%g\" class=\"dim\">says nothing here</text>", y + 4);
        return;
    }
    ul_out_printf(o,
                  "<line x1=\"%.1f\" x2=\"%.1f\" y1=\"%g\" y2=\"%g\" stroke=\"var(--%s)\" stroke-width=\"3\"/><circle "
                  "cx=\"%.1f\" cy=\"%g\" r=\"5\" "
                  "fill=\"var(--%s)\"/><text x=\"560\" y=\"%g\">%.2f</text>\n",
                  lo, hi, y, y, colour, x, y, colour, y + 4, num(bound, "value", NULL));
}

/* Recovery of each probe between the control (0) and the original (1). */
static void recovery_chart(ul_out *o, const json_t *m)
{
    const json_t *probes = in(m, "probes", NULL), *p;
    size_t i;
    int rows = 3;
    EACH(probes, i, p) rows += json_is_true(in(p, "ran", NULL));
    const int height = 30 + 22 * rows;
    ul_out_printf(o,
                  "<svg viewBox=\"0 0 610 %d\" role=\"img\" aria-label=\"recovery under each probe; the numbers stand "
                  "in the table\">\n",
                  height);
    static const double line[] = {0, 0.2, 0.5, 1};
    for (int k = 0; k < 4; k++)
        ul_out_printf(o,
                      "<line x1=\"%.1f\" x2=\"%.1f\" y1=\"18\" y2=\"%d\" stroke=\"var(--line)\"/><text x=\"%.1f\" "
                      "y=\"12\" class=\"dim\" "
                      "text-anchor=\"middle\">%s</text>\n",
                      across(line[k]), across(line[k]), height - 4, across(line[k]),
                      k == 0   ? "control"
                      : k == 3 ? "original"
                      : k == 1 ? "0.2"
                               : "0.5");
    double y = 32;
    EACH(probes, i, p)
    {
        if (!json_is_true(in(p, "ran", NULL))) continue;
        whisker(o, y, text(p, "id"), in(p, "rho", NULL), strcmp(text(p, "role"), "core") ? "b" : "a");
        y += 22;
    }
    whisker(o, y, "depth (own head)", in(m, "evidence", "depth"), "a");
    whisker(o, y + 44, "avoided", in(m, "evidence", "avoided"), "c");
    whisker(o, y + 22, "inverse", in(m, "evidence", "inverse"), "c");
    ul_out_printf(o, "</svg>\n");
}

static void polyline(ul_out *o, const json_t *curve, const char *colour, const char *dash)
{
    const size_t n = json_array_size(curve);
    const double last = n ? json_number_value(json_array_get(json_array_get(curve, n - 1), 0)) : 1;
    ul_out_printf(o,
                  "<polyline fill=\"none\" stroke=\"var(--%s)\" stroke-width=\"2\" stroke-dasharray=\"%s\" points=\"",
                  colour, dash);
    for (size_t i = 0; i < n; i++) {
        const json_t *p = json_array_get(curve, i);
        ul_out_printf(o, "%.1f,%.1f ", 30 + 250 * json_number_value(json_array_get(p, 0)) / (last > 0 ? last : 1),
                      108 - 96 * json_number_value(json_array_get(p, 1)));
    }
    ul_out_printf(o, "\"/>");
}

static void curves(ul_out *o, const json_t *m)
{
    const json_t *p;
    size_t i;
    ul_out_printf(o, "<p class=\"dim\">Share of forget answers ranked first over the steps of each attack: <span "
                     "class=\"key\" style=\"background:var(--a)\"></span>this "
                     "model (solid) <span class=\"key\" style=\"background:var(--b)\"></span>original (dashed) <span "
                     "class=\"key\" style=\"background:var(--d)\">"
                     "</span>control (dotted)</p>\n<div class=\"cards\">\n");
    EACH(in(m, "probes", NULL), i, p)
    {
        const json_t *c = in(p, "curves", "model");
        const size_t n = json_array_size(c);
        if (n < 2) continue;
        ul_out_printf(o, "<div class=\"card\"><h3>");
        esc(o, text(p, "title"));
        ul_out_printf(o,
                      "</h3><svg viewBox=\"0 0 300 126\" role=\"img\" aria-label=\"relearning curves\"><line x1=\"30\" "
                      "y1=\"108\" x2=\"286\" y2=\"108\" "
                      "stroke=\"var(--line)\"/><line x1=\"30\" y1=\"12\" x2=\"30\" y2=\"108\" "
                      "stroke=\"var(--line)\"/><text x=\"4\" y=\"16\" class=\"dim\">1</text>"
                      "<text x=\"4\" y=\"112\" class=\"dim\">0</text><text x=\"30\" y=\"122\" class=\"dim\">0 "
                      "steps</text><text x=\"262\" y=\"122\" "
                      "class=\"dim\">%.0f</text>",
                      json_number_value(json_array_get(json_array_get(c, n - 1), 0)));
        polyline(o, in(p, "curves", "original"), "b", "6 3");
        polyline(o, in(p, "curves", "control"), "d", "2 3");
        polyline(o, c, "a", "none");
        ul_out_printf(o, "</svg></div>\n");
    }
    ul_out_printf(o, "</div>\n");
}

static void heat(ul_out *o, double x)
{
    if (isfinite(x))
        ul_out_printf(o, "<td style=\"background:rgba(var(--heat),%.2f)\">%.2f</td>", 0.45 * x, x);
    else
        ul_out_printf(o, "<td>–</td>");
}

static void depth_map(ul_out *o, const json_t *m)
{
    const json_t *l;
    size_t i;
    ul_out_printf(o, "<h3>How deep it sits</h3><p class=\"dim\">Share of forget answers ranked first when each layer's "
                     "state is read by the model's own head.</p>"
                     "<div class=\"wide\"><table><thead><tr><th>after layer</th><th>this "
                     "model</th><th>original</th><th>control</th></tr></thead><tbody>\n");
    EACH(in(m, "depth", NULL), i, l)
    {
        ul_out_printf(o, "<tr><td>%.0f</td>", num(l, "layer", NULL));
        heat(o, num(l, "model", NULL));
        heat(o, num(l, "original", NULL));
        heat(o, num(l, "control", NULL));
        ul_out_printf(o, "</tr>\n");
    }
    ul_out_printf(o, "</tbody></table></div>\n");
}

/* ---- tables --------------------------------------------------------------------------------------------------------- */
static void probe_table(ul_out *o, const json_t *m)
{
    const json_t *p;
    size_t i;
    ul_out_printf(o, "<div class=\"wide\"><table><thead><tr><th>attack</th><th class=\"text\">counts "
                     "as</th><th>recovery [bounds]</th><th>this<br>model</th>"
                     "<th>original</th><th>anchor</th><th>stays</th></tr></thead><tbody>\n");
    EACH(in(m, "probes", NULL), i, p)
    {
        if (!json_is_true(in(p, "ran", NULL))) continue;
        ul_out_printf(o, "<tr>");
        cell(o, text(p, "title"), false);
        cell(o,
             json_is_true(in(p, "informative", NULL))
                 ? strcmp(text(p, "role"), "core") ? "can only accuse" : "evidence both ways"
                 : text(p, "why_not"),
             false);
        interval(o, "<td>", in(p, "rho", NULL), "</td>");
        put(o, "<td>", num(p, "K1", "model"), "</td>");
        put(o, "<td>", num(p, "K1", "original"), "</td>");
        put(o, "<td>", num(p, "K1", "anchor"), "</td>");
        put(o, "<td>", num(p, "K1_retain", "model"), "</td></tr>\n");
    }
    ul_out_printf(o, "</tbody></table></div>\n");
}

static void answer_table(ul_out *o, const json_t *m)
{
    const json_t *a;
    size_t i;
    ul_out_printf(o, "<h3>What it says</h3><div class=\"wide\"><table><thead><tr><th>asked</th><th "
                     "class=\"text\">truth</th><th class=\"text\">before</th>"
                     "<th class=\"text\">now</th><th class=\"text\">control</th></tr></thead><tbody>\n");
    EACH(in(m, "answers", NULL), i, a)
    {
        ul_out_printf(o, "<tr>");
        cell(o, text(a, "question"), false);
        cell(o, text(a, "truth"), true);
        cell(o, text(a, "original"), false);
        cell(o, text(a, "model"), false);
        cell(o, text(a, "control"), false);
        ul_out_printf(o, "</tr>\n");
    }
    ul_out_printf(o, "</tbody></table></div>\n");
}

static const char *const measure[][2] = {{"K1_first", "ranked first (K1)"},    {"last", "ranked last"},
                                         {"K5_said", "said (novel words)"},    {"K2_preference", "preference (K2)"},
                                         {"K3_extraction", "extraction (K3)"}, {"K4_prob", "probability (K4)"}};

static void knowledge_table(ul_out *o, const json_t *m)
{
    static const char *const set[][2] = {{"forget", "forgotten"},
                                         {"rephrased", "forgotten, other words"},
                                         {"retain", "to stay"},
                                         {"phantom", "never taught"}};
    ul_out_printf(o, "<h3>What it knows</h3><div class=\"wide\"><table><thead><tr><th>rows</th><th "
                     "class=\"text\">measure</th><th>this model</th><th>original</th>"
                     "<th>control</th></tr></thead><tbody>\n");
    for (size_t s = 0; s < 4; s++) {
        if (!json_is_object(in(m, "model", set[s][0]))) continue;
        for (size_t k = 0; k < sizeof measure / sizeof *measure; k++) {
            ul_out_printf(o, "<tr><td>%s</td><td class=\"text\">%s</td>", k ? "" : set[s][1], measure[k][1]);
            put(o, "<td>", num(in(m, "model", set[s][0]), measure[k][0], NULL), "</td>");
            put(o, "<td>", num(in(m, "original", set[s][0]), measure[k][0], NULL), "</td>");
            put(o, "<td>", num(in(m, "control", set[s][0]), measure[k][0], NULL), "</td></tr>\n");
        }
    }
    ul_out_printf(o, "</tbody></table></div>\n");
}

static void verdict_card(ul_out *o, const json_t *m)
{
    const json_t *q;
    size_t i;
    ul_out_printf(o, "<div class=\"card\"><h3>");
    esc(o, text(m, "name"));
    ul_out_printf(o, "</h3><p class=\"verdict\">");
    esc(o, text(m, "verdict"));
    ul_out_printf(o, "</p>");
    if (*text(m, "wanted")) {
        ul_out_printf(o, "<p class=\"dim\">%s (wanted: ",
                      strcmp(text(m, "wanted"), text(m, "verdict")) ? "<b>wrong</b>" : "right");
        esc(o, text(m, "wanted"));
        ul_out_printf(o, ")</p>");
    } else
        ul_out_printf(o, "<p>%s</p>", meaning(text(m, "verdict")));
    ul_out_printf(o, "<p>Because ");
    esc(o, text(m, "clause"));
    ul_out_printf(o, ".</p>");
    if (!strcmp(text(m, "verdict"), "damaged"))
        ul_out_printf(o, "<p class=\"dim\">Were it not for the damage: %s.</p>", text(m, "secondary"));
    EACH(in(m, "qualifiers", NULL), i, q) ul_out_printf(o, "<p class=\"dim\">%s</p>", json_string_value(q));
    if (*text(m, "outcome")) {
        ul_out_printf(o, "<p>Declared intention: <b>%s</b>. ", text(m, "outcome"));
        esc(o, text(m, "outcome_why"));
        ul_out_printf(o, "</p>");
    }
    ul_out_printf(o, "</div>\n");
}

static void overview(ul_out *o, const json_t *report)
{
    const json_t *m, *p;
    size_t i, k;
    ul_out_printf(o, "<h2>All models</h2><div class=\"wide\"><table><thead><tr><th>model</th><th "
                     "class=\"text\">verdict</th><th>s [bounds]</th>");
    EACH(in(json_array_get(in(report, "models", NULL), 0), "probes", NULL), k, p)
    if (!strcmp(text(p, "role"), "core")) ul_out_printf(o, "<th>%s</th>", text(p, "id"));
    ul_out_printf(o, "<th>depth</th><th>inv</th><th>utility:<br>ranks</th><th>says</th></tr></thead><tbody>\n");
    EACH(in(report, "models", NULL), i, m)
    {
        ul_out_printf(o, "<tr>");
        cell(o, text(m, "name"), false);
        cell(o, text(m, "verdict"), true);
        interval(o, "<td>", in(m, "evidence", "s"), "</td>");
        EACH(in(m, "probes", NULL), k, p)
        if (!strcmp(text(p, "role"), "core")) put(o, "<td>", num(in(p, "rho", NULL), "value", NULL), "</td>");
        put(o, "<td>", num(in(m, "evidence", "depth"), "value", NULL), "</td>");
        put(o, "<td>", num(in(m, "evidence", "inverse"), "value", NULL), "</td>");
        put(o, "<td>", num(in(m, "evidence", "utility_K1"), "value", NULL), "</td>");
        put(o, "<td>", num(in(m, "evidence", "utility_said"), "value", NULL), "</td></tr>\n");
    }
    ul_out_printf(o, "</tbody></table></div>\n");
}

static void settings(ul_out *o, const json_t *report)
{
    static const char *const group[] = {"attack", "rules"};
    const char *key;
    const json_t *v;
    ul_out_printf(o, "<section><h2>Make it again</h2><p><code>");
    esc(o, text(report, "command"));
    ul_out_printf(o, "</code></p><p class=\"dim\">Build ");
    esc(o, text(report, "build"));
    ul_out_printf(o, ", %.0f s. Every strength and threshold:</p><p class=\"dim\">", num(report, "seconds", NULL));
    for (int g = 0; g < 2; g++) json_object_foreach((json_t *)(uintptr_t)in(report, group[g], NULL), key, v)
        {
            if (json_is_string(v))
                ul_out_printf(o, "%s %s; ", key, json_string_value(v));
            else
                ul_out_printf(o, "%s %g; ", key, json_number_value(v));
        }
    ul_out_printf(o, "</p></section>\n");
}

static ul_status html(ul_ctx *ctx, const json_t *report, const char *path)
{
    ul_out *o;
    const json_t *models = in(report, "models", NULL), *m;
    size_t i;
    UL_TRY(ul_out_open(ctx, path, 0, &o));
    ul_out_printf(o,
                  "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" "
                  "content=\"width=device-width, "
                  "initial-scale=1\">\n<title>unlearn: "
                  "audit</title>\n<style>\n%s</style>\n</head>\n<body>\n<h1>Removed, or only suppressed?</h1>\n",
                  style);
    ul_out_printf(o, "<section><div class=\"cards\">\n");
    EACH(models, i, m) verdict_card(o, m);
    ul_out_printf(o, "</div>\n");
    if (json_array_size(models) > 1) overview(o, report);
    ul_out_printf(o, "<p class=\"dim\">Recovery: 0 is a model that never learned it, 1 the original, both after the "
                     "same attack. s: how much of what was said is no longer "
                     "said. inverse: how often the true answer is put last; avoided: how much more rarely than by the control it is put first; both take knowing it. Bounds: one-sided 95 "
                     "%%, over people.</p></section>\n");
    EACH(models, i, m)
    {
        ul_out_printf(o, "<section><h2>");
        esc(o, text(m, "name"));
        ul_out_printf(o, ": recovery under attack</h2>\n");
        recovery_chart(o, m);
        probe_table(o, m);
        interval(o, "<p>Forgotten, of what is said: s ", in(m, "evidence", "s"), "; ");
        interval(o, "of what is ranked first: ", in(m, "evidence", "s_K1"), ". ");
        interval(o, "Utility beside the original: ranks ", in(m, "evidence", "utility_K1"), ", ");
        interval(o, "says ", in(m, "evidence", "utility_said"), ", ");
        put(o, "text ", num(in(m, "evidence", "utility_text"), "value", NULL), ". ");
        interval(o, "Sham of RTT: ", in(m, "evidence", "sham"), ". ");
        interval(o, "Sensitivity (spike-in): ", in(m, "evidence", "sensitivity"), ".</p>\n");
        curves(o, m);
        depth_map(o, m);
        answer_table(o, m);
        knowledge_table(o, m);
        ul_out_printf(o, "</section>\n");
    }
    settings(o, report);
    ul_out_printf(o, "</body>\n</html>\n");
    return ul_out_commit(o);
}

/* ---- markdown -------------------------------------------------------------------------------------------------------- */
static void md_model(ul_out *o, const json_t *m)
{
    const json_t *p;
    size_t i;
    ul_out_printf(o, "\n## %s: %s\n\n%s\n\nBecause %s.\n", text(m, "name"), text(m, "verdict"),
                  meaning(text(m, "verdict")), text(m, "clause"));
    if (*text(m, "outcome"))
        ul_out_printf(o, "\nDeclared intention: **%s** (%s).\n", text(m, "outcome"), text(m, "outcome_why"));
    ul_out_printf(o, "\n| attack | recovery [bounds] | model | original | anchor |\n|---|---|---|---|---|\n");
    EACH(in(m, "probes", NULL), i, p)
    {
        if (!json_is_true(in(p, "ran", NULL))) continue;
        ul_out_printf(o, "| %s |", text(p, "title"));
        if (json_is_true(in(p, "informative", NULL)))
            interval(o, " ", in(p, "rho", NULL), " |");
        else
            ul_out_printf(o, " %s |", text(p, "why_not"));
        put(o, " ", num(p, "K1", "model"), " |");
        put(o, " ", num(p, "K1", "original"), " |");
        put(o, " ", num(p, "K1", "anchor"), " |\n");
    }
    interval(o, "| own head below the last layer | ", in(m, "evidence", "depth"), " | | | |\n");
    interval(o, "| true answer ranked last (inv) | ", in(m, "evidence", "inverse"), " | | | |\n");
    interval(o, "| true answer avoided | ", in(m, "evidence", "avoided"), " | | | |\n");
    interval(o, "\ns ", in(m, "evidence", "s"), ", ");
    interval(o, "utility: ranks ", in(m, "evidence", "utility_K1"), ", ");
    interval(o, "says ", in(m, "evidence", "utility_said"), "\n");
}

static ul_status markdown(ul_ctx *ctx, const json_t *report, const char *path)
{
    ul_out *o;
    const json_t *m;
    size_t i;
    UL_TRY(ul_out_open(ctx, path, 0, &o));
    ul_out_printf(o, "# Audit\n\n`%s`\n\n| model | verdict |%s\n|---|---|%s\n", text(report, "command"),
                  json_is_true(in(report, "self_test", NULL)) ? " wanted |" : "",
                  json_is_true(in(report, "self_test", NULL)) ? "---|" : "");
    EACH(in(report, "models", NULL), i, m)
    {
        ul_out_printf(o, "| %s | **%s** |", text(m, "name"), text(m, "verdict"));
        if (*text(m, "wanted"))
            ul_out_printf(o, " %s%s |", text(m, "wanted"),
                          strcmp(text(m, "wanted"), text(m, "verdict")) ? " (wrong)" : "");
        ul_out_printf(o, "\n");
    }
    EACH(in(report, "models", NULL), i, m) md_model(o, m);
    return ul_out_commit(o);
}

ul_status ul_audit_report_write(ul_ctx *ctx, ul_arena *arena, const char *dir, const json_t *report)
{
    const char *json = ul_path_join(arena, dir, "report.json"), *page = ul_path_join(arena, dir, "report.html"),
               *md = ul_path_join(arena, dir, "report.md");
    UL_NEED(json);
    UL_NEED(page);
    UL_NEED(md);
    UL_TRY(ul_json_save(ctx, json, report));
    UL_TRY(markdown(ctx, report, md));
    return html(ctx, report, page);
}
