/* report_gates.c - the parts of the audit's report that say whether the measuring was sound (negative control, what the
 * control may know, rows that cannot show forgetting) and what became of what was to stay (retain rows, neighbours,
 * plain text). */
#include "audit/report_audit.h"
#include <math.h>

static bool has(const json_t *bound)
{
    return isfinite(ul_page_num(bound, "value", NULL));
}

static void line(ul_out *o, const char *what, const json_t *bound, const char *words, bool first)
{
    if (!first) ul_page_row(o);
    ul_page_words(o, what, false);
    ul_page_interval(o, "<td>", bound, "</td>");
    ul_page_words(o, words, false);
}

/* ---- was the measuring sound? ------------------------------------------------------------------------------------ */
static void negative(ul_out *o, const json_t *m)
{
    const json_t *n = ul_page_in(m, "evidence", "negative_control");
    const double failed = ul_page_num(n, "failed", NULL);
    ul_out_printf(o, "<p>Negative control: ");
    ul_page_esc(o, ul_page_text(n, "of"));
    if (!*ul_page_text(n, "widest")) {
        ul_out_printf(o, *ul_page_text(n, "of") ? ". No attack was tried on it.</p>\n" : "none.</p>\n");
        return;
    }
    ul_out_printf(o, ". Every attack must find nothing in it; ");
    if (failed > 0)
        ul_out_printf(o, "%.0f of them do not come back empty, and what counts as residue there is raised. ", failed);
    else
        ul_out_printf(o, "every attack comes back empty. ");
    ul_out_printf(o, "Farthest from 0: ");
    ul_page_esc(o, ul_page_text(n, "widest"));
    ul_page_interval(o, ", ", ul_page_in(n, "reads", NULL), ".</p>\n");
}

static void control(ul_out *o, const json_t *m)
{
    static const char *const sign[][2] = {
        {"control_continues", "goes on with answers that were begun, of the original's 1"},
        {"control_ranks", "ranks first above chance, of the original's 1"},
        {"control_rises", "ranks more first after training on retain rows alone"},
        {"control_avoids", "ranks first beyond a guess (below 0: avoids)"},
        {"control_last", "ranks last beyond a guess"}};
    const json_t *e = ul_page_in(m, "evidence", NULL);
    bool any = false;
    for (size_t i = 0; i < sizeof sign / sizeof *sign; i++) any |= has(ul_page_in(e, sign[i][0], NULL));
    if (!any) return;
    ul_out_printf(o, "<p>Does the control know, and not say? It ");
    any = false;
    for (size_t i = 0; i < sizeof sign / sizeof *sign; i++) {
        if (!has(ul_page_in(e, sign[i][0], NULL))) continue;
        ul_out_printf(o, "%s%s: ", any ? "; " : "", sign[i][1]);
        ul_page_interval(o, "", ul_page_in(e, sign[i][0], NULL), "");
        any = true;
    }
    ul_out_printf(o, ".</p>\n");
}

static void hygiene(ul_out *o, const json_t *report)
{
    const json_t *h = ul_page_in(report, "hygiene", NULL), *k;
    size_t i, shown = 0;
    if (!json_is_object(h)) return;
    ul_out_printf(o, "<p>Of %.0f forget rows %.0f were not asked because they cannot show forgetting. Rows that are",
                  ul_page_num(h, "rows", NULL), ul_page_num(h, "left_out", NULL));
    UL_EACH(ul_page_in(h, "kinds", NULL), i, k)
    {
        if (ul_page_num(k, "rows", NULL) == 0) continue;
        ul_out_printf(o, "%s ", shown++ ? "," : "");
        ul_page_esc(o, ul_page_text(k, "id"));
        ul_out_printf(o, " (");
        ul_page_esc(o, ul_page_text(k, "title"));
        ul_out_printf(o, "): %.0f%s", ul_page_num(k, "rows", NULL), ul_page_is(k, "left_out") ? ", not asked" : "");
    }
    ul_out_printf(o, "%s.</p>\n", shown ? "" : " suspect: none");
}

void ul_report_gates(ul_out *o, const json_t *report, const json_t *m)
{
    if (!json_is_object(ul_page_in(m, "evidence", "negative_control"))) return;
    ul_out_printf(o, "<h3>Was the measuring sound?</h3>\n");
    negative(o, m);
    control(o, m);
    hygiene(o, report);
}

/* ---- what was to stay -------------------------------------------------------------------------------------------- */
void ul_report_keeping(ul_out *o, const json_t *m)
{
    const json_t *e = ul_page_in(m, "evidence", NULL), *near = ul_page_in(e, "neighbours", NULL);
    const bool neighbours = json_is_object(near);
    ul_out_printf(o, "<h3>Utility and neighbours</h3><p class=\"dim\">Beside the original, or the control where that "
                     "has less: 1 is nothing lost.</p>\n");
    ul_page_table(o, "what was to stay|of it|<measured on");
    line(o, "retain rows, ranked first", ul_page_in(e, "utility_K1", NULL), "rows of the retain set", true);
    line(o, "retain rows, said", ul_page_in(e, "utility_said", NULL), "rows of the retain set", false);
    line(o, "retain rows, refused beyond the original", ul_page_in(e, "over_refusal", NULL), "0 is none more", false);
    if (neighbours) {
        line(o, "neighbours, ranked first", ul_page_in(near, "K1", NULL), "rows close to the forgotten", false);
        line(o, "neighbours, said", ul_page_in(near, "said", NULL), "rows close to the forgotten", false);
        line(o, "neighbours, refused beyond the original", ul_page_in(near, "refusals_beyond", NULL), "0 is none more",
             false);
    }
    line(o, "plain text, probability of a token", ul_page_in(e, "utility_text", NULL),
         json_is_object(ul_page_in(e, "utility_text", NULL)) ? "texts resampled" : "not measured (--text)", false);
    ul_page_table_end(o);
    if (!neighbours)
        ul_out_printf(o, "<p class=\"dim\">No neighbours were given (--neighbours): what lies close to the forgotten "
                         "is hit first.</p>\n");
}

void ul_report_gates_md(ul_out *o, const json_t *m)
{
    const json_t *e = ul_page_in(m, "evidence", NULL), *n = ul_page_in(e, "negative_control", NULL),
                 *near = ul_page_in(e, "neighbours", NULL);
    if (!json_is_object(n)) return;
    ul_out_printf(o, "Negative control: %s", ul_page_text(n, "of"));
    if (*ul_page_text(n, "widest")) {
        ul_out_printf(o, ", %s; farthest from 0: %s", ul_page_is(n, "passed") ? "empty" : "not empty",
                      ul_page_text(n, "widest"));
        ul_page_interval(o, " ", ul_page_in(n, "reads", NULL), "");
    }
    ul_out_printf(o, ".\n");
    if (!json_is_object(near)) return;
    ul_page_interval(o, "Neighbours: ranks ", ul_page_in(near, "K1", NULL), ", ");
    ul_page_interval(o, "says ", ul_page_in(near, "said", NULL), ", ");
    ul_page_interval(o, "refuses beyond the original ", ul_page_in(near, "refusals_beyond", NULL), ".\n");
}
