/* page.c - style sheet, cells and pictures of the reports (page.h). */
#include "audit/page.h"
#include <math.h>
#include <string.h>

static const char style[] =
    ":root{--bg:#fff;--fg:#1b1f24;--dim:#59636e;--line:#d5dae0;--card:#f6f8fa;--a:#0b62c4;--b:#b35300;--c:#6f42c1;"
    "--d:#1a7f37;--bad:#b3261e;--heat:11,98,196}\n"
    "@media(prefers-color-scheme:dark){:root{--bg:#0f1318;--fg:#e6eaef;--dim:#9aa5b1;--line:#343b44;--card:#181d24;"
    "--a:#6cb1ff;--b:#ffa657;--c:#c9a5ff;--d:#56d364;--bad:#ff8a80;--heat:108,177,255}}\n"
    "@media print{:root{--bg:#fff;--fg:#000;--dim:#444;--line:#bbb;--card:#fff;--a:#0b62c4;--b:#b35300;--c:#6f42c1;"
    "--d:#1a7f37;--bad:#b3261e;--heat:11,98,196}body{max-width:none;padding:0;font-size:10.5pt}"
    "section,.card,tr,svg{break-inside:avoid}h2,h3{break-after:avoid}.wide{overflow:visible}}\n"
    "*{box-sizing:border-box}html{-webkit-text-size-adjust:100%;print-color-adjust:exact}body{margin:0 auto;"
    "max-width:64rem;padding:1.2rem;background:var(--bg);color:var(--fg);"
    "font:16px/1.5 system-ui,'DejaVu Sans',sans-serif}\n"
    "h1,h2,h3{overflow-wrap:anywhere}"
    "h1{font-size:1.1rem;font-weight:600;margin:.2rem 0 1rem;color:var(--dim)}h2{font-size:1.35rem;"
    "margin:2.4rem 0 .5rem;padding-top:.8rem;border-top:1px solid var(--line)}h3{font-size:1rem;margin:1.6rem 0 .3rem}"
    "p{margin:.4rem 0;max-width:50rem;overflow-wrap:anywhere}.dim{color:var(--dim)}\n"
    ".wide{overflow-x:auto}table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums;font-size:.9rem}"
    "th,td{padding:.35rem .5rem;text-align:right;border-bottom:1px solid var(--line);white-space:nowrap;"
    "vertical-align:top}th{color:var(--dim);font-weight:600}th:first-child,td:first-child,.text{text-align:left}"
    ".text,td:first-child{white-space:normal;overflow-wrap:anywhere;min-width:7rem}td.heat{text-align:right}"
    "td small{display:block;font-size:.75rem;line-height:1.2;white-space:normal}"
    "@media print{th,td{padding:.2rem .25rem;font-size:.7rem}td small{font-size:.6rem}"
    ".text,td:first-child{min-width:4.6rem}}\n"
    ".cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(17rem,100%),1fr));gap:.9rem;margin:.6rem 0}"
    ".card{background:var(--card);border:1px solid var(--line);border-radius:.6rem;padding:.8rem 1rem;min-width:0}"
    ".card h3{margin:0 0 .3rem}.card svg{max-width:30rem}\n"
    ".hero{border-left:.45rem solid var(--tone);padding:.2rem 0 .2rem 1rem;margin:0 0 1.2rem}.hero h2{border:0;"
    "margin:0;padding:0;font-size:1rem;font-weight:600;color:var(--dim)}"
    ".verdict{font-size:2.1rem;line-height:1.2;font-weight:700;margin:.1rem 0 .3rem;color:var(--tone)}"
    ".card .verdict{font-size:1.45rem}.mark{display:inline-block;min-width:1.2em}.tag{display:inline-block;"
    "border:1px solid var(--tone,var(--line));border-radius:1rem;padding:.05rem .6rem;margin:.15rem .3rem .15rem 0;"
    "font-size:.88rem}\n"
    ".tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(11rem,100%),1fr));gap:.6rem;margin:.8rem 0}"
    ".tile{background:var(--card);border:1px solid var(--line);border-radius:.6rem;padding:.6rem .8rem}"
    ".tile b{display:block;font-size:1.4rem;line-height:1.3}.tile span{color:var(--dim);font-size:.88rem}\n"
    "svg{display:block;width:100%;height:auto}svg text{fill:var(--fg);font:12px system-ui,'DejaVu Sans',sans-serif}"
    "svg .dim{fill:var(--dim)}\n"
    ".bars{display:grid;grid-template-columns:minmax(0,17rem) minmax(0,1fr) 10rem;align-items:center;column-gap:.8rem;"
    "font-size:.9rem}.bars>div{padding:.18rem 0;overflow-wrap:anywhere}.bars .num{font-variant-numeric:tabular-nums;"
    "text-align:right;white-space:nowrap}.bars .none{grid-column:2/-1}.bars svg{height:1.35rem}"
    ".bars .scale{position:relative;height:1.3rem;color:var(--dim)}.scale span{position:absolute;"
    "transform:translateX(-50%);white-space:nowrap}.bars .group{grid-column:1/-1;color:var(--dim);font-weight:600;"
    "padding-top:.6rem}\n"
    "@media(max-width:44rem){.bars{grid-template-columns:minmax(0,1fr) 10rem}.bars .name{grid-column:1/-1;"
    "padding-bottom:0}.bars .none{grid-column:1/-1}.bars .gap{display:none}.verdict{font-size:1.7rem}}\n"
    "code{background:var(--card);border:1px solid var(--line);border-radius:.3rem;padding:0 .25rem;"
    "overflow-wrap:anywhere}.key{white-space:nowrap;margin-right:.9rem}.key svg{display:inline-block;width:2.2em;"
    "height:.8em;vertical-align:middle;margin-right:.3em}\n";

/* ---- reading the tree -------------------------------------------------------------------------------------------- */
const json_t *ul_page_in(const json_t *o, const char *a, const char *b)
{
    const json_t *x = a ? json_object_get(o, a) : o;
    return b ? json_object_get(x, b) : x;
}

double ul_page_num(const json_t *o, const char *a, const char *b)
{
    const json_t *x = ul_page_in(o, a, b);
    return json_is_number(x) ? json_number_value(x) : NAN;
}

double ul_page_at(const json_t *array, size_t i)
{
    const json_t *x = json_array_get(array, i);
    return json_is_number(x) ? json_number_value(x) : NAN;
}

const char *ul_page_said(const json_t *v)
{
    const char *s = json_string_value(v);
    return s ? s : "";
}

const char *ul_page_text(const json_t *o, const char *key)
{
    return ul_page_said(json_object_get(o, key));
}

bool ul_page_is(const json_t *o, const char *key)
{
    return json_is_true(json_object_get(o, key));
}

/* ---- words and tables -------------------------------------------------------------------------------------------- */
void ul_page_open(ul_out *o, const char *title)
{
    ul_out_printf(o,
                  "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
                  "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
                  "<meta name=\"color-scheme\" content=\"light dark\">\n"
                  "<link rel=\"icon\" href=\"data:,\">\n<title>%s</title>\n<style>\n%s</style>\n</head>\n<body>\n",
                  title, style);
}

void ul_page_close(ul_out *o)
{
    ul_out_printf(o, "</body>\n</html>\n");
}

void ul_page_esc(ul_out *o, const char *s)
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

void ul_page_put(ul_out *o, const char *before, double x, const char *after)
{
    if (isfinite(x))
        ul_out_printf(o, "%s%.2f%s", before, fabs(x) < 0.005 ? 0 : x, after); /* never -0.00 */
    else
        ul_out_printf(o, "%s–%s", before, after);
}

void ul_page_interval(ul_out *o, const char *before, const json_t *bound, const char *after)
{
    ul_page_put(o, before, ul_page_num(bound, "value", NULL), "");
    if (isfinite(ul_page_num(bound, "value", NULL))) {
        ul_page_put(o, " [", ul_page_num(bound, "lower", NULL), ", ");
        ul_page_put(o, "", ul_page_num(bound, "upper", NULL), "]");
    }
    ul_out_printf(o, "%s", after);
}

bool ul_page_within(const json_t *object, const char *key, double *lo, double *hi)
{
    const json_t *x = json_object_get(json_object_get(object, "intervals"), key);
    *lo = ul_page_at(x, 0);
    *hi = ul_page_at(x, 1);
    return isfinite(*lo) && isfinite(*hi);
}

void ul_page_value(ul_out *o, const char *before, const json_t *object, const char *key, const char *after)
{
    double lo, hi;
    ul_page_put(o, before, ul_page_num(object, key, NULL), "");
    if (ul_page_within(object, key, &lo, &hi)) {
        ul_page_put(o, " [", lo, ", ");
        ul_page_put(o, "", hi, "]");
    }
    ul_out_printf(o, "%s", after);
}

void ul_page_table(ul_out *o, const char *columns)
{
    ul_out_printf(o, "<div class=\"wide\"><table><thead><tr><th>");
    for (const char *c = columns; *c; c++) {
        if (*c == '|')
            ul_out_printf(o, c[1] == '<' ? "</th><th class=\"text\">" : "</th><th>");
        else if (*c == '/')
            ul_out_printf(o, "<br>");
        else if (*c != '<')
            ul_out_write(o, c, 1);
    }
    ul_out_printf(o, "</th></tr></thead><tbody>\n<tr>");
}

void ul_page_row(ul_out *o)
{
    ul_out_printf(o, "</tr>\n<tr>");
}

void ul_page_table_end(ul_out *o)
{
    ul_out_printf(o, "</tr></tbody></table></div>\n");
}

void ul_page_words(ul_out *o, const char *s, bool bold)
{
    ul_out_printf(o, bold ? "<td class=\"text\"><b>" : "<td class=\"text\">");
    ul_page_esc(o, s);
    ul_out_printf(o, bold ? "</b></td>" : "</td>");
}

void ul_page_cell(ul_out *o, double x)
{
    ul_page_put(o, "<td>", x, "</td>");
}

void ul_page_small(ul_out *o, double lo, double hi)
{
    if (!isfinite(lo) || !isfinite(hi)) return;
    ul_page_put(o, "<small>[", lo, ", ");
    ul_page_put(o, "", hi, "]</small>");
}

void ul_page_cell_value(ul_out *o, const json_t *object, const char *key)
{
    double lo, hi;
    ul_page_put(o, "<td>", ul_page_num(object, key, NULL), "");
    (void)ul_page_within(object, key, &lo, &hi);
    ul_page_small(o, lo, hi);
    ul_out_printf(o, "</td>");
}

void ul_page_cell_bound(ul_out *o, const json_t *bound)
{
    ul_page_put(o, "<td>", ul_page_num(bound, "value", NULL), "");
    ul_page_small(o, ul_page_num(bound, "lower", NULL), ul_page_num(bound, "upper", NULL));
    ul_out_printf(o, "</td>");
}

/* ---- plots ------------------------------------------------------------------------------------------------------- */
enum { LEFT = 34, TOP = 10, WIDE = 256, HIGH = 140 };
static const char *const colour[UL_N_LINE] = {"a", "b", "d"}, *const dash[UL_N_LINE] = {"none", "7 3", "2 3"};

double ul_page_x(double x)
{
    return LEFT + WIDE * (x < 0 ? 0 : x > 1 ? 1 : x);
}

double ul_page_y(double y)
{
    return TOP + HIGH * (1 - (y < 0 ? 0 : y > 1 ? 1 : y));
}

void ul_page_key(ul_out *o, ul_line line, const char *name)
{
    ul_out_printf(o,
                  "<span class=\"key\"><svg viewBox=\"0 0 30 10\" aria-hidden=\"true\">"
                  "<line x1=\"0\" x2=\"30\" y1=\"5\" y2=\"5\" stroke=\"var(--%s)\" stroke-width=\"3\" "
                  "stroke-dasharray=\"%s\"/></svg>%s</span> ",
                  colour[line], dash[line], name);
}

void ul_page_plot(ul_out *o, const char *what, const char *x, const char *y, const char *x_low, const char *x_high,
                  const char *y_low, const char *y_high)
{
    ul_out_printf(o, "<svg viewBox=\"0 0 300 190\" role=\"img\" aria-label=\"%s\">", what);
    for (int k = 0; k <= 2; k++)
        ul_out_printf(
            o,
            "<line x1=\"%d\" x2=\"%d\" y1=\"%g\" y2=\"%g\" stroke=\"var(--line)\"/><line x1=\"%g\" x2=\"%g\" y1=\"%d\" "
            "y2=\"%d\" stroke=\"var(--line)\"/>",
            LEFT, LEFT + WIDE, ul_page_y(k / 2.0), ul_page_y(k / 2.0), ul_page_x(k / 2.0), ul_page_x(k / 2.0), TOP,
            TOP + HIGH);
    ul_out_printf(o,
                  "<text x=\"%d\" y=\"%d\" text-anchor=\"end\" class=\"dim\">%s</text><text x=\"%d\" y=\"%d\" "
                  "text-anchor=\"end\" "
                  "class=\"dim\">%s</text><text x=\"%d\" y=\"%d\" class=\"dim\">%s</text><text x=\"%d\" y=\"%d\" "
                  "text-anchor=\"end\" "
                  "class=\"dim\">%s</text><text x=\"%d\" y=\"%d\" text-anchor=\"middle\">%s</text><text "
                  "transform=\"translate(11 %d) "
                  "rotate(-90)\" text-anchor=\"middle\">%s</text>\n",
                  LEFT - 4, TOP + 10, y_high, LEFT - 4, TOP + HIGH, y_low, LEFT, TOP + HIGH + 15, x_low, LEFT + WIDE,
                  TOP + HIGH + 15, x_high, LEFT + WIDE / 2, TOP + HIGH + 31, x, TOP + HIGH / 2, y);
}

void ul_page_line(ul_out *o, const double *x, const double *y, size_t n, ul_line line)
{
    ul_out_printf(o,
                  "<polyline fill=\"none\" stroke=\"var(--%s)\" stroke-width=\"2.2\" stroke-dasharray=\"%s\" points=\"",
                  colour[line], dash[line]);
    for (size_t i = 0; i < n; i++)
        if (isfinite(x[i]) && isfinite(y[i])) ul_out_printf(o, "%.1f,%.1f ", ul_page_x(x[i]), ul_page_y(y[i]));
    ul_out_printf(o, "\"/>\n");
}

void ul_page_whisker(ul_out *o, double x, double lo, double hi, ul_line line)
{
    if (!isfinite(lo) || !isfinite(hi)) return;
    ul_out_printf(o, "<path fill=\"none\" stroke=\"var(--%s)\" stroke-width=\"1.2\" d=\"", colour[line]);
    ul_out_printf(o, "M%.1f %.1fh5m-2.5 0V%.1fm-2.5 0h5\"/>\n", ul_page_x(x) - 2.5, ul_page_y(lo), ul_page_y(hi));
}

void ul_page_plot_end(ul_out *o)
{
    ul_out_printf(o, "</svg>\n");
}

/* ---- bars -------------------------------------------------------------------------------------------------------- */
static double across(double x) /* of 150 */
{
    return 100 * ((x < -0.25 ? -0.25 : x > 1.25 ? 1.25 : x) + 0.25);
}

void ul_page_scale(ul_out *o, const char *zero, const char *one)
{
    ul_out_printf(o,
                  "<div class=\"gap\"></div><div class=\"scale\"><span style=\"left:%.1f%%\">%s</span>"
                  "<span style=\"left:%.1f%%\">0.5</span><span style=\"left:%.1f%%\">%s</span></div>"
                  "<div class=\"num dim\">value [bounds]</div>\n",
                  across(0) / 1.5, zero, across(0.5) / 1.5, across(1) / 1.5, one);
}

void ul_page_bar(ul_out *o, const char *name, const json_t *bound, const char *fill, const char *otherwise)
{
    static const double grid[] = {0, 0.2, 0.5, 1};
    const double v = ul_page_num(bound, "value", NULL), lo = across(ul_page_num(bound, "lower", NULL)),
                 hi = across(ul_page_num(bound, "upper", NULL));
    ul_out_printf(o, "<div class=\"name\">");
    ul_page_esc(o, name);
    ul_out_printf(o, "</div>");
    if (!isfinite(v)) {
        ul_out_printf(o, "<div class=\"none dim\">");
        ul_page_esc(o, otherwise);
        ul_out_printf(o, "</div>\n");
        return;
    }
    ul_out_printf(o, "<div><svg viewBox=\"0 0 150 20\" preserveAspectRatio=\"none\" aria-hidden=\"true\">");
    for (int k = 0; k < 4; k++)
        ul_out_printf(o,
                      "<line x1=\"%g\" x2=\"%g\" y1=\"0\" y2=\"20\" stroke=\"var(--line)\" "
                      "vector-effect=\"non-scaling-stroke\"/>",
                      across(grid[k]), across(grid[k]));
    const double from = across(v < 0 ? v : 0), to = across(v < 0 ? 0 : v);
    ul_out_printf(o,
                  "<rect x=\"%.2f\" width=\"%.2f\" y=\"5\" height=\"10\" fill=\"var(--%s)\" "
                  "fill-opacity=\".55\"/><line x1=\"%.2f\" "
                  "x2=\"%.2f\" y1=\"10\" y2=\"10\" stroke=\"var(--fg)\" stroke-width=\"1.5\" "
                  "vector-effect=\"non-scaling-stroke\"/>",
                  from, to - from, fill, lo, hi);
    for (int k = 0; k < 2; k++)
        ul_out_printf(o,
                      "<line x1=\"%.2f\" x2=\"%.2f\" y1=\"6\" y2=\"14\" stroke=\"var(--fg)\" stroke-width=\"1.5\" "
                      "vector-effect=\"non-scaling-stroke\"/>",
                      k ? hi : lo, k ? hi : lo);
    ul_out_printf(o, "</svg></div>");
    ul_out_printf(o, "<div class=\"num\">%s", v < -0.25 ? "← " : v > 1.25 ? "→ " : "");
    ul_page_interval(o, "", bound, "</div>\n");
}
