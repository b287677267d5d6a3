/* report.c - report.html of `unlearn demo`, from report.json's tree.
 * Every picture's numbers stand in a table beside it. */
#include "audit/page.h"
#include <math.h>
#include <stdio.h>

/* ---- pictures ---------------------------------------------------------------------------------------------------- */
/* A number of `object` in [0, 1] and, where it has one, its interval as a line. */
static void bar(ul_out *o, double x, double y, double width, const json_t *object, const char *key, const char *colour,
                const char *words)
{
    const double share = ul_page_num(object, key, NULL), w = width * (share < 0 ? 0 : share > 1 ? 1 : share);
    double lo, hi;
    ul_out_printf(o, "<rect x=\"%g\" y=\"%g\" width=\"%g\" height=\"11\" fill=\"none\" stroke=\"var(--line)\"/>", x, y,
                  width);
    ul_out_printf(o, "<rect x=\"%g\" y=\"%g\" width=\"%.2f\" height=\"11\" fill=\"var(--%s)\"/>", x, y, w, colour);
    if (ul_page_within(object, key, &lo, &hi))
        ul_out_printf(o, "<path d=\"M%.2f %gH%.2f\" stroke=\"var(--fg)\" stroke-width=\"2\"/>", x + width * lo, y + 5.5,
                      x + width * hi);
    ul_out_printf(o, "<text x=\"%g\" y=\"%g\">%.2f %s</text>", x + width + 6, y + 10, share, words);
}

/* Knowledge of the forgotten before and after relearning, and of those who stay: three bars a model. */
static void knowledge_bars(ul_out *o, const json_t *models)
{
    const size_t n = json_array_size(models);
    const int row = 56, width = 620;
    ul_out_printf(o,
                  "<div class=\"wide\"><svg style=\"min-width:34rem\" viewBox=\"0 0 %d %d\" role=\"img\" "
                  "aria-label=\"knowledge of each model; the numbers stand in the table\">\n",
                  width, (int)n * row + 4);
    for (size_t i = 0; i < n; i++) {
        const json_t *m = json_array_get(models, i);
        const double y = (double)i * row + 4;
        const json_t *before = json_object_get(m, "before"), *after = json_object_get(m, "after");
        ul_out_printf(o, "<text x=\"0\" y=\"%g\" font-weight=\"600\">", y + 10);
        ul_page_esc(o, ul_page_text(m, "id"));
        ul_out_printf(o, "</text>");
        bar(o, 80, y, 330, before, "knows_forget", "a", "forgotten people, now");
        bar(o, 80, y + 15, 330, after, "knows_forget", "b", "after relearning");
        bar(o, 80, y + 30, 330, before, "knows_retain", "d", "people who stay");
    }
    ul_out_printf(o, "</svg></div>\n");
}

enum { MOST_POINTS = 512 };

static void loss_line(ul_out *o, const json_t *curve, size_t column, double top, ul_line line)
{
    double x[MOST_POINTS], y[MOST_POINTS];
    const size_t n = json_array_size(curve), step = n / MOST_POINTS + 1;
    size_t k = 0;
    for (size_t i = 0; i < n; i += step) { /* a side that was not run has no numbers */
        x[k] = (double)i / (n > 1 ? (double)(n - 1) : 1);
        y[k++] = ul_page_at(json_array_get(curve, i), column) / top;
    }
    ul_page_line(o, x, y, k, line);
}

/* Mean NLL of forget and retain answers over the steps of one run. */
static void loss_curves(ul_out *o, const json_t *curve)
{
    double top = 0.1;
    char high[32], last[32];
    size_t i;
    const json_t *p;
    UL_EACH(curve, i, p)
    {
        for (size_t c = 1; c < 3; c++)
            if (ul_page_at(p, c) > top) top = ul_page_at(p, c);
    }
    if (top > 20) top = 20;
    snprintf(high, sizeof high, "%.3g", top);
    snprintf(last, sizeof last, "%zu", json_array_size(curve));
    ul_page_plot(o, "loss over steps", "step", "nats a token", "1", last, "0", high);
    loss_line(o, curve, 1, top, UL_LINE_MODEL);
    loss_line(o, curve, 2, top, UL_LINE_CONTROL);
    ul_page_plot_end(o);
}

/* ---- sections ---------------------------------------------------------------------------------------------------- */
static void numbers(ul_out *o, const json_t *models)
{
    static const char *const before[] = {"forget_prob", "forget_rouge", "forget_truth_ratio", NULL,
                                         "retain_prob", "utility",      "knows_forget"};
    size_t i;
    const json_t *m;
    ul_page_table(o, "model|forget/prob|forget/ROUGE|truth/ratio|forget/quality|retain/prob|utility|knows/forgotten|"
                     "… after/relearning|recovered");
    UL_EACH(models, i, m)
    {
        if (i) ul_page_row(o);
        ul_page_words(o, ul_page_text(m, "id"), false);
        for (size_t k = 0; k < sizeof before / sizeof *before; k++) {
            const double p = ul_page_num(m, "before", "forget_quality");
            if (before[k])
                ul_page_cell_value(o, json_object_get(m, "before"), before[k]);
            else if (i < 2 || !isfinite(p))
                ul_out_printf(o, "<td>–</td>");
            else
                ul_out_printf(o, "<td>%.2g</td>", p);
        }
        ul_page_cell_value(o, json_object_get(m, "after"), "knows_forget");
        double lo, hi;
        ul_out_printf(o, "<td>%.0f %%%s", 100 * ul_page_num(m, "recovered", NULL), ul_page_is(m, "avoids") ? " *" : "");
        if (ul_page_within(m, "recovered", &lo, &hi))
            ul_out_printf(o, "<small>[%.0f, %.0f]</small>", 100 * lo, 100 * hi);
        ul_out_printf(o, "</td>");
    }
    ul_page_table_end(o);
}

static void answers(ul_out *o, const json_t *report)
{
    const json_t *models = json_object_get(report, "models"), *questions = json_object_get(report, "questions");
    size_t i, k;
    const json_t *m, *q;
    ul_out_printf(o, "<div class=\"wide\"><table><thead><tr><th class=\"text\">question about a forgotten "
                     "person</th><th class=\"text\">truth</th>");
    UL_EACH(models, i, m)
    {
        ul_out_printf(o, "<th class=\"text\">");
        ul_page_esc(o, ul_page_text(m, "id"));
        ul_out_printf(o, "</th>");
    }
    ul_out_printf(o, "</tr></thead><tbody>\n<tr>");
    UL_EACH(questions, k, q)
    {
        if (k) ul_page_row(o);
        ul_page_words(o, ul_page_text(q, "question"), false);
        ul_page_words(o, ul_page_text(q, "answer"), true);
        UL_EACH (models, i, m)
            ul_page_words(o, json_string_value(json_array_get(json_object_get(m, "answers"), k)), false);
    }
    ul_page_table_end(o);
}

static void runs(ul_out *o, const json_t *models)
{
    size_t i;
    const json_t *m;
    ul_out_printf(o, "<p class=\"dim\">Mean NLL a token, cut off at 20: ");
    ul_page_key(o, UL_LINE_MODEL, "forget");
    ul_page_key(o, UL_LINE_CONTROL, "retain");
    ul_out_printf(o, "</p>\n<div class=\"cards\">\n");
    UL_EACH(models, i, m)
    {
        if (!json_array_size(json_object_get(m, "curve"))) continue;
        ul_out_printf(o, "<div class=\"card\"><h3>");
        ul_page_esc(o, ul_page_text(m, "id"));
        ul_out_printf(o, "</h3><p class=\"dim\">");
        ul_page_esc(o, ul_page_text(m, "title"));
        ul_out_printf(o, ", %.1f s</p>", ul_page_num(m, "seconds", NULL));
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
    ul_page_open(o, "unlearn: demo");
    ul_out_printf(o,
                  "<h1>unlearn demo</h1><h2 style=\"border:0;margin:0;padding:0\">Forgotten, or only silent?</h2>\n");
    ul_out_printf(o,
                  "<p>A small model learned about invented people. %.0f of them were then to be forgotten, %.0f to "
                  "stay. Each row below is one way of "
                  "forgetting; <b>control</b> was trained without the forgotten people and shows what true removal "
                  "looks like.</p>\n",
                  ul_page_num(report, "n_forget", NULL), ul_page_num(report, "n_retain", NULL));
    ul_out_printf(o,
                  "<section><h2>What each model knows</h2><p>Share of questions whose true answer the model ranks "
                  "before four wrong ones (chance 0.20). "
                  "<b>After relearning</b>: %.0f steps of fine-tuning on the people who stay, and on nothing else. A "
                  "removed fact cannot come back that way.</p>\n",
                  ul_page_num(report, "relearn_steps", NULL));
    knowledge_bars(o, models);
    ul_out_printf(o, "</section>\n<section><h2>The numbers</h2>\n");
    numbers(o, models);
    ul_out_printf(o,
                  "<p class=\"dim\">Recovered: 0 %% is the control, 100 %% the target, both after the same "
                  "fine-tuning. * ranks the truth first more "
                  "rarely than the control does: it avoids it, which takes knowledge, so little recovery proves no "
                  "removal. Forget quality: p-value that the truth ratios come from the control's distribution "
                  "(two-sample KS). Utility: harmonic mean of retain probability, ROUGE and truth ratio. In "
                  "brackets, and as lines in the bars: 95 %% intervals, people resampled 2000 times.</p></section>\n");
    ul_out_printf(o, "<section><h2>What they say now</h2>\n");
    answers(o, report);
    ul_out_printf(o, "</section>\n<section><h2>The runs</h2>\n");
    runs(o, models);
    ul_out_printf(o,
                  "</section>\n<section><h2>Make it again</h2><p><code>unlearn demo --seed %.0f --out OUT</code> gives "
                  "the same numbers on every machine. Build ",
                  ul_page_num(report, "seed", NULL));
    ul_page_esc(o, ul_page_text(report, "build"));
    ul_out_printf(o, ", %s kernels, %.0f s.</p></section>\n", ul_page_text(report, "isa"),
                  ul_page_num(report, "seconds", NULL));
    ul_page_close(o);
    return ul_out_commit(o);
}
