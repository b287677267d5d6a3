/* report_audit.c - the audit told to a person: report.html (one static file, no script, no network) and report.md (for
 * pull requests) from report.json's tree. The verdict comes first and in words; pictures are in report_charts.c. */
#include "audit/battery.h"
#include "audit/report_audit.h"
#include <math.h>
#include <string.h>

/* ---- verdicts ---------------------------------------------------------------------------------------------------- */
/* "Nothing was found" says as much as what the battery would have found. */
static void found_nothing(ul_out *o, const json_t *m, const char *then)
{
    const json_t *x = ul_page_in(m, "evidence", "sensitivity");
    ul_out_printf(o, "No residual knowledge above %.0f %% of the original was found by this battery of attacks, whose "
                     "sensitivity ", 100 * ul_page_num(m, "residue", NULL));
    if (json_is_object(x)) ul_page_interval(o, "is ", x, " (recovered of a spike-in)");
    else ul_out_printf(o, "was not measured (--spike)");
    ul_out_printf(o, ". %s", then);
}

static void meaning(ul_out *o, const json_t *m)
{
    static const char *const words[][2] = {
        {"partly removed", "Some of the knowledge is gone and some is left."},
        {"suppressed", "The knowledge is still in the weights; the model only does not express it."},
        {"not forgotten", "The model answers as before."},
        {"damaged", "What it should have kept is gone too; forgetting cannot be judged in a model that is broken."},
        {"inconclusive", "No verdict can be given."}};
    const char *verdict = ul_page_text(m, "verdict");
    if (!strcmp(verdict, "removed"))
        found_nothing(o, m, "That is what the word means here; it does not mean erased.");
    if (!strncmp(verdict, "no residual", 11))
        found_nothing(o, m, "Nothing shows what a model that never knew would look like.");
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (!strcmp(words[i][0], verdict)) ul_out_printf(o, "%s", words[i][1]);
}

/* Colour and mark: never one without the other, and never without the word. */
static void tone(const char *verdict, const char **colour, const char **mark)
{
    *colour = "dim", *mark = "?";
    if (!strcmp(verdict, "removed")) *colour = "d", *mark = "✓";
    if (!strncmp(verdict, "no residual", 11)) *colour = "a", *mark = "✓";
    if (!strcmp(verdict, "partly removed")) *colour = "b", *mark = "◐";
    if (!strcmp(verdict, "suppressed")) *colour = "bad", *mark = "▒";
    if (!strcmp(verdict, "not forgotten")) *colour = "bad", *mark = "✗";
    if (!strcmp(verdict, "damaged")) *colour = "c", *mark = "⚠";
}

static const char *outcome_words(const json_t *m)
{
    const char *s = ul_page_text(m, "outcome");
    return !strcmp(s, "pass") ? "met" : !strcmp(s, "fail") ? "not met" : *s ? "undecided" : "–";
}

static void outcome(ul_out *o, const json_t *m)
{
    const char *s = ul_page_text(m, "outcome");
    if (!*s) return;
    ul_out_printf(o, "<p><span class=\"tag\" style=\"--tone:var(--%s)\">declared intention, %s: <b>%s</b></span> ",
                  !strcmp(s, "pass") ? "d" : !strcmp(s, "fail") ? "bad" : "dim", ul_page_text(m, "intention"),
                  outcome_words(m));
    ul_page_esc(o, ul_page_text(m, "outcome_why"));
    ul_out_printf(o, "</p>\n");
}

/* Measures that would decide otherwise. */
static void otherwise(ul_out *o, const json_t *m, const char *before, const char *after)
{
    const json_t *x;
    size_t i;
    UL_EACH(ul_page_in(m, "measures", NULL), i, x)
    {
        const char *verdict = ul_page_text(x, "verdict");
        if (!*verdict || !strcmp(verdict, ul_page_text(m, "verdict"))) continue;
        ul_out_printf(o, "%sBy %s: %s ", before, ul_page_text(x, "of"), verdict);
        ul_page_interval(o, "(s ", ul_page_in(x, "s", NULL), ").");
        ul_out_printf(o, "%s", after);
    }
}

static void verdict_words(ul_out *o, const json_t *m)
{
    const char *verdict = ul_page_text(m, "verdict"), *wanted = ul_page_text(m, "wanted"), *colour, *mark;
    const json_t *q;
    size_t i;
    tone(verdict, &colour, &mark);
    ul_out_printf(o, "<p class=\"verdict\"><span class=\"mark\" aria-hidden=\"true\">%s</span> ", mark);
    ul_page_esc(o, verdict);
    ul_out_printf(o, "</p>\n<p>");
    meaning(o, m);
    ul_out_printf(o, "</p>\n<p>Because ");
    ul_page_esc(o, ul_page_text(m, "clause"));
    ul_out_printf(o, ".</p>\n");
    if (*ul_page_text(m, "withheld")) {
        ul_out_printf(o, "<p class=\"dim\">");
        ul_page_esc(o, ul_page_text(m, "withheld"));
        ul_out_printf(o, ".</p>\n");
    }
    if (!strcmp(verdict, "damaged"))
        ul_out_printf(o, "<p class=\"dim\">Were it not for the damage: %s.</p>", ul_page_text(m, "secondary"));
    if (*wanted)
        ul_out_printf(o, "<p><span class=\"tag\">%s: wanted %s</span></p>", strcmp(wanted, verdict) ? "wrong" : "right",
                      wanted);
    UL_EACH(ul_page_in(m, "qualifiers", NULL), i, q)
    {
        ul_out_printf(o, "<p><span class=\"tag\"><b>%s</b></span> %s</p>\n", ul_page_said(q),
                      ul_qualifier_means(ul_page_said(q)));
    }
    otherwise(o, m, "<p>", "</p>\n");
    outcome(o, m);
}

static void tile_begin(ul_out *o, double x)
{
    ul_page_put(o, "<div class=\"tile\"><b>", x, "</b><span>");
}

static void tile_end(ul_out *o, double lo, double hi)
{
    if (isfinite(lo)) {
        ul_page_put(o, " [", lo, ", ");
        ul_page_put(o, "", hi, "]");
    }
    ul_out_printf(o, "</span></div>\n");
}

/* `rest`: 1 - value, what is left; less than nothing is nothing. */
static void tile(ul_out *o, const json_t *bound, bool rest, const char *what)
{
    static const char *const key[] = {"value", "lower", "upper"};
    double x[3];
    for (int k = 0; k < 3; k++) {
        x[k] = ul_page_num(bound, key[rest && k ? 3 - k : k], NULL);
        if (rest) x[k] = 1 - x[k] < 0 ? 0 : 1 - x[k];
    }
    tile_begin(o, x[0]);
    ul_out_printf(o, "%s", what);
    tile_end(o, x[1], x[2]);
}

static const json_t *strongest(const json_t *m)
{
    const json_t *p, *top = NULL;
    size_t i;
    UL_EACH(ul_page_in(m, "probes", NULL), i, p)
    {
        const double rho = ul_page_num(ul_page_in(p, "rho", NULL), "value", NULL);
        if (!strcmp(ul_page_text(p, "role"), "core") &&
            (!top || rho > ul_page_num(ul_page_in(top, "rho", NULL), "value", NULL)))
            top = isfinite(rho) ? p : top;
    }
    return top;
}

static void tiles(ul_out *o, const json_t *m)
{
    const json_t *top = strongest(m);
    ul_out_printf(o, "<div class=\"tiles\">\n");
    char left[64];
    snprintf(left, sizeof left, "is left of %s", ul_page_text(ul_page_in(m, "evidence", NULL), "s_of"));
    tile(o, ul_page_in(m, "evidence", "s"), true, left);
    if (top) {
        tile_begin(o, ul_page_num(ul_page_in(top, "rho", NULL), "value", NULL));
        ul_out_printf(o, "comes back, ");
        ul_page_esc(o, ul_page_text(top, "title"));
        tile_end(o, ul_page_num(top, "rho", "lower"), ul_page_num(top, "rho", "upper"));
    }
    tile(o, ul_page_in(m, "evidence", "utility_said"), false, "of what was to stay is still said");
    tile(o, ul_page_in(m, "evidence", "utility_K1"), false, "of what was to stay is still ranked first");
    ul_out_printf(o, "</div>\n");
}

static void hero(ul_out *o, const json_t *m, bool card)
{
    const char *colour, *mark;
    tone(ul_page_text(m, "verdict"), &colour, &mark);
    ul_out_printf(o, "<div class=\"%s\" style=\"--tone:var(--%s)\">%s", card ? "card" : "hero", colour,
                  card ? "<h3>" : "<h2>");
    ul_page_esc(o, ul_page_text(m, "name"));
    ul_out_printf(o, card ? "</h3>\n" : "</h2>\n");
    verdict_words(o, m);
    ul_out_printf(o, "</div>\n");
}

/* ---- tables ------------------------------------------------------------------------------------------------------ */
static void probe_table(ul_out *o, const json_t *m)
{
    const json_t *p;
    size_t i, rows = 0;
    ul_out_printf(o,
                  "<h3>Under each attack</h3><p class=\"dim\">Share of answers ranked first, and said, by this model, "
                  "the original and the anchor; what of those who stay is left after the attack; under each its "
                  "interval. Chance, where it is the anchor, and seconds have none.</p>\n");
    ul_page_table(o, "attack|<counts as|model|original|anchor|says:/model|original|anchor|stays|seconds");
    UL_EACH(ul_page_in(m, "probes", NULL), i, p)
    {
        static const char *const key[] = {"model", "original", "anchor"};
        if (!ul_page_is(p, "ran")) continue;
        if (rows++) ul_page_row(o);
        const char *role = ul_page_text(p, "role");
        ul_page_words(o, ul_page_text(p, "title"), false);
        ul_page_words(o,
                      !ul_page_is(p, "informative") ? ul_page_text(p, "why_not")
                      : !strcmp(role, "core")       ? "evidence both ways"
                      : !strcmp(role, "accuses")    ? "can only accuse"
                                                    : "printed only",
                      false);
        for (int k = 0; k < 3; k++) ul_page_cell_value(o, ul_page_in(p, "K1", NULL), key[k]);
        for (int k = 0; k < 3; k++) ul_page_cell_value(o, ul_page_in(p, "said", NULL), key[k]);
        ul_page_cell_value(o, ul_page_in(p, "K1_retain", NULL), "model");
        ul_out_printf(o, "<td>%.1f</td>", ul_page_num(p, "seconds", NULL));
    }
    ul_page_table_end(o);
}

static void answer_table(ul_out *o, const json_t *m)
{
    static const char *const column[] = {"original", "model", "control"};
    const json_t *a;
    size_t i;
    const int n = ul_report_control(m) ? 3 : 2;
    ul_out_printf(o, "<h3>What it says</h3>\n");
    ul_page_table(o, n == 3 ? "asked|<truth|<before|<now|<control" : "asked|<truth|<before|<now");
    UL_EACH(ul_page_in(m, "answers", NULL), i, a)
    {
        if (i) ul_page_row(o);
        ul_page_words(o, ul_page_text(a, "question"), false);
        ul_page_words(o, ul_page_text(a, "truth"), true);
        for (int k = 0; k < n; k++) ul_page_words(o, ul_page_text(a, column[k]), false);
    }
    ul_page_table_end(o);
}

static void knowledge_table(ul_out *o, const json_t *m)
{
    static const char *const measure[][2] = {{"K1_first", "ranked first (K1)"},    {"last", "ranked last"},
                                             {"K5_said", "said (novel words)"},    {"K2_preference", "preference (K2)"},
                                             {"K3_extraction", "extraction (K3)"}, {"K4_prob", "probability (K4)"},
                                             {"refuses", "refuses"}};
    static const char *const set[][2] = {
        {"forget", "forgotten"}, {"retain", "to stay"}, {"neighbours", "close to it"}, {"phantom", "never taught"}};
    static const char *const who[] = {"model", "original", "control"};
    size_t rows = 0;
    const int n = ul_report_control(m) ? 3 : 2;
    ul_out_printf(o, "<h3>What it knows</h3>\n");
    ul_page_table(o, n == 3 ? "rows|<measure|this model|original|control" : "rows|<measure|this model|original");
    for (size_t s = 0; s < 4; s++) {
        if (!json_is_object(ul_page_in(m, "model", set[s][0]))) continue;
        for (size_t k = 0; k < sizeof measure / sizeof *measure; k++) {
            if (rows++) ul_page_row(o);
            ul_page_words(o, k ? "" : set[s][1], false);
            ul_page_words(o, measure[k][1], false);
            for (int w = 0; w < n; w++) ul_page_cell_value(o, ul_page_in(m, who[w], set[s][0]), measure[k][0]);
        }
    }
    ul_page_table_end(o);
}

static void unmeasured(ul_out *o, const json_t *m)
{
    const char *why = ul_page_text(ul_page_in(m, "evidence", NULL), "s_not_measured");
    if (!*why) return;
    ul_out_printf(o, " (not measured: ");
    ul_page_esc(o, why);
    ul_out_printf(o, ")");
}

static void plain_text(ul_out *o, const json_t *m, const char *before, const char *after)
{
    const json_t *x = ul_page_in(m, "evidence", "utility_text");
    if (json_is_object(x)) {
        ul_page_interval(o, before, x, after);
        return;
    }
    const char *why = ul_page_text(ul_page_in(m, "evidence", NULL), "text_not_measured");
    ul_out_printf(o, "%snot measured", before);
    if (*why) ul_out_printf(o, " (");
    ul_page_esc(o, why);
    ul_out_printf(o, "%s%s", *why ? ")" : "", after);
}

/* What the control must not know, and by what it is known not to. */
static void held(ul_out *o, const json_t *m)
{
    const json_t *e = ul_page_in(m, "evidence", NULL), *p = ul_page_in(e, "answer_prob", NULL);
    if (json_is_object(ul_page_in(e, "phantoms_known_original", NULL))) {
        ul_page_interval(o, "Of the phantoms the original knows ", ul_page_in(e, "phantoms_known_original", NULL), "");
        if (ul_report_control(m))
            ul_page_interval(o, ", the control ", ul_page_in(e, "phantoms_known_control", NULL), "");
        ul_out_printf(o, ", of what stays 1. ");
    }
    if (!*ul_page_text(e, "held_against")) return;
    ul_out_printf(o, "The control, held against %s, knows ", ul_page_text(e, "held_against"));
    ul_page_interval(o, "", ul_page_in(e, "control_leak", NULL), "");
    if (json_is_object(p)) {
        ul_out_printf(o, " of what the original knows (probability of the forget answers, true and wrong: ");
        const json_t *r = ul_page_in(p, "control", NULL), *before = ul_page_in(p, "original", NULL);
        ul_page_value(o, "", r, "true", " and ");
        ul_page_value(o, "", r, "wrong", "; the original's ");
        ul_page_value(o, "", before, "true", " and ");
        ul_page_value(o, "", before, "wrong", "; phantoms also catch one that knows and does not say)");
    } else {
        ul_out_printf(o, " more than it should");
    }
    ul_out_printf(o, ". Of what stays, beside the original, it ranks first ");
    ul_page_interval(o, "", ul_page_in(e, "control_utility_K1", NULL), "");
    ul_page_interval(o, " and says ", ul_page_in(e, "control_utility_said", NULL), ". ");
}

/* By what is said of each token of the forget answers. */
static void distance(ul_out *o, const json_t *m)
{
    const json_t *x = ul_page_in(m, "evidence", "control_distance");
    if (!ul_report_control(m)) return;
    if (!json_is_object(x)) {
        ul_out_printf(o, "Distance to the control: not measured%s. ",
                      json_is_object(ul_page_in(m, "guard", NULL)) ? " behind a guard" : "");
        return;
    }
    ul_out_printf(o, "Distance to the control (JSD a token of the forget answers, nats): ");
    ul_page_interval(o, "", ul_page_in(x, "model", NULL), "");
    ul_page_interval(o, ", the original's ", ul_page_in(x, "original", NULL), "");
    ul_page_interval(o, ", beyond it ", ul_page_in(x, "beyond_original", NULL), "");
    if (json_is_object(ul_page_in(x, "over_second_control", NULL))) {
        ul_page_interval(o, ", a second control's ", ul_page_in(x, "second_control", NULL), "");
        ul_page_interval(o, ", the model's over it ", ul_page_in(x, "over_second_control", NULL), "");
    }
    ul_out_printf(o, ". ");
}

static void measured(ul_out *o, const char *before, const json_t *bound, const char *otherwise)
{
    if (json_is_object(bound)) ul_page_interval(o, before, bound, ". ");
    else ul_out_printf(o, "%s%s. ", before, otherwise);
}

static void gates(ul_out *o, const json_t *report, const json_t *m)
{
    ul_out_printf(o, "<p class=\"dim\">Forgotten, of %s: ", ul_page_text(ul_page_in(m, "evidence", NULL), "s_of"));
    ul_page_interval(o, "s ", ul_page_in(m, "evidence", "s"), "");
    unmeasured(o, m);
    ul_out_printf(o, "; ");
    ul_page_interval(o, "of what is ranked first: ", ul_page_in(m, "evidence", "s_K1"), ". ");
    ul_page_interval(o, "The original knows ", ul_page_in(m, "evidence", "known"), ", ");
    ul_page_interval(o, "by more than the anchor: ", ul_page_in(m, "evidence", "gap"), ". ");
    plain_text(o, m, "Plain text, probability of a token: ", ". ");
    held(o, m);
    distance(o, m);
    measured(o, "Sham of RTT: ", ul_page_in(m, "evidence", "sham"), "not measured");
    measured(o, "Sensitivity (spike-in): ", ul_page_in(m, "evidence", "sensitivity"), "not measured (--spike)");
    ul_out_printf(o, "%.0f rows about %.0f people or things; anchor: %s. Bounds: one-sided %g %%, entities "
                     "resampled.</p>\n",
                  ul_page_num(m, "evidence", "rows"), ul_page_num(m, "evidence", "entities"),
                  ul_page_text(ul_page_in(m, "evidence", NULL), "anchor"),
                  100 * (1 - ul_page_num(report, "rules", "alpha")));
}

static void overview(ul_out *o, const json_t *report)
{
    const json_t *models = ul_page_in(report, "models", NULL), *m;
    size_t i;
    ul_out_printf(o, "<section><h2>All models</h2>\n");
    ul_chart_pareto(o, models);
    ul_page_table(o, "model|<verdict|<intention|s|left,/at most|W1|UNLOCK|RTT|depth|inverse|ranks|says");
    UL_EACH(models, i, m)
    {
        static const char *const core[] = {"w1", "unlock", "rtt"};
        const json_t *p;
        size_t k;
        if (i) ul_page_row(o);
        ul_page_words(o, ul_page_text(m, "name"), false);
        ul_page_words(o, ul_page_text(m, "verdict"), true);
        ul_page_words(o, outcome_words(m), false);
        ul_page_cell_bound(o, ul_page_in(m, "evidence", "s"));
        ul_page_cell(o, ul_report_left(m));
        for (int c = 0; c < 3; c++) {
            const json_t *rho = NULL;
            UL_EACH(ul_page_in(m, "probes", NULL), k, p)
            {
                if (!strcmp(ul_page_text(p, "id"), core[c])) rho = ul_page_in(p, "rho", NULL);
            }
            ul_page_cell_bound(o, rho);
        }
        ul_page_cell_bound(o, ul_page_in(m, "evidence", "depth"));
        ul_page_cell_bound(o, ul_page_in(m, "evidence", "inverse"));
        ul_page_cell_bound(o, ul_page_in(m, "evidence", "utility_K1"));
        ul_page_cell_bound(o, ul_page_in(m, "evidence", "utility_said"));
    }
    ul_page_table_end(o);
    ul_out_printf(o, "</section>\n");
}

/* Seconds of asking and of each attack, of each model; O's and R's are spent once. */
static void cost(ul_out *o, const json_t *report)
{
    const json_t *models = ul_page_in(report, "models", NULL), *m, *p, *first = json_array_get(models, 0);
    size_t i, k;
    ul_out_printf(o, "<section><h2>What it cost</h2>\n");
    ul_page_table(o, "model|seconds|of these: the dearest attacks");
    for (int w = 0; w < 2; w++) {
        static const char *const who[] = {"original", "control"};
        if (!json_is_object(ul_page_in(first, who[w], NULL))) continue;
        ul_page_words(o, who[w], false);
        ul_out_printf(o, "<td>%.1f</td><td></td>", ul_page_num(first, who[w], "seconds"));
        ul_page_row(o);
    }
    UL_EACH(models, i, m)
    {
        if (i) ul_page_row(o);
        ul_page_words(o, ul_page_text(m, "name"), false);
        ul_out_printf(o, "<td>%.1f</td><td class=\"text\">", ul_page_num(m, "model", "seconds"));
        const double all = ul_page_num(m, "model", "seconds");
        UL_EACH(ul_page_in(m, "probes", NULL), k, p)
        {
            const double s = ul_page_num(p, "seconds", NULL);
            if (s > 0.08 * all) ul_out_printf(o, "%s %.1f; ", ul_page_text(p, "id"), s);
        }
        ul_out_printf(o, "</td>");
    }
    ul_page_table_end(o);
    ul_out_printf(o, "</section>\n");
}

static void settings(ul_out *o, const json_t *report)
{
    static const char *const group[] = {"attack", "rules"};
    const char *key;
    const json_t *v;
    ul_out_printf(o, "<section><h2>Make it again</h2><p><code>");
    ul_page_esc(o, ul_page_text(report, "command"));
    ul_out_printf(o, "</code></p><p class=\"dim\">Build ");
    ul_page_esc(o, ul_page_text(report, "build"));
    ul_out_printf(o, ", %.0f s. Every strength and threshold:</p><p class=\"dim\">",
                  ul_page_num(report, "seconds", NULL));
    for (int g = 0; g < 2; g++)
        json_object_foreach((json_t *)(uintptr_t)ul_page_in(report, group[g], NULL), key, v)
        {
            ul_out_printf(o, "%s ", key);
            if (json_is_string(v))
                ul_page_esc(o, json_string_value(v));
            else
                ul_out_printf(o, "%g", json_number_value(v));
            ul_out_printf(o, "; ");
        }
    ul_out_printf(o, "</p></section>\n");
}

static void behind_guard(ul_out *o, const json_t *m)
{
    if (!json_is_object(ul_page_in(m, "guard", NULL))) return;
    ul_out_printf(o, "<p>A guard stands in front of this model (");
    ul_page_esc(o, ul_page_text(ul_page_in(m, "guard", NULL), "id"));
    ul_out_printf(o, "): whatever was asked was asked through it. Who attacks the weights has them, and leaves the "
                     "guard away.</p>\n");
}

static void chapter(ul_out *o, const json_t *report, const json_t *m)
{
    ul_out_printf(o, "<section><h2>");
    ul_page_esc(o, ul_page_text(m, "name"));
    ul_out_printf(o, "</h2>\n");
    tiles(o, m);
    behind_guard(o, m);
    ul_out_printf(o, "<h3>What comes back</h3><p class=\"dim\">Recovery under each attack: 0 is a model that never "
                     "learned it, 1 the original, all after the same attack.</p>\n");
    ul_chart_recovery(o, m);
    gates(o, report, m);
    ul_report_gates(o, report, m);
    answer_table(o, m);
    ul_chart_curves(o, m);
    ul_chart_depth(o, m);
    ul_chart_ladder(o, m);
    ul_chart_membership(o, m);
    probe_table(o, m);
    knowledge_table(o, m);
    ul_report_keeping(o, m);
    ul_out_printf(o, "</section>\n");
}

static ul_status html(ul_ctx *ctx, const json_t *report, const char *path)
{
    ul_out *o;
    const json_t *models = ul_page_in(report, "models", NULL), *m;
    const bool many = json_array_size(models) > 1;
    size_t i;
    UL_TRY(ul_out_open(ctx, path, 0, &o));
    ul_page_open(o, "unlearn: audit");
    ul_out_printf(o, "<h1>Audit: removed, or only suppressed?</h1>\n");
    if (many) ul_out_printf(o, "<div class=\"cards\">\n");
    UL_EACH(models, i, m) hero(o, m, many);
    if (many) ul_out_printf(o, "</div>\n");
    if (many) overview(o, report);
    UL_EACH(models, i, m) chapter(o, report, m);
    cost(o, report);
    settings(o, report);
    ul_page_close(o);
    return ul_out_commit(o);
}

/* ---- markdown ---------------------------------------------------------------------------------------------------- */
static void md_savings(ul_out *o, const json_t *m)
{
    const json_t *p;
    size_t i;
    bool begun = false;
    UL_EACH(ul_page_in(m, "probes", NULL), i, p)
    {
        if (!json_is_object(ul_page_in(p, "savings", NULL))) continue;
        ul_out_printf(o, "%s- relearning, %s: ", begun ? "" : "\n", ul_page_text(p, "title"));
        ul_report_savings(o, p);
        ul_out_printf(o, "\n");
        begun = true;
    }
}

static void md_model(ul_out *o, const json_t *m)
{
    const json_t *p, *q;
    size_t i;
    ul_out_printf(o, "\n## %s: %s\n\n", ul_page_text(m, "name"), ul_page_text(m, "verdict"));
    meaning(o, m);
    ul_out_printf(o, "\n\nBecause %s.\n", ul_page_text(m, "clause"));
    if (!strcmp(ul_page_text(m, "verdict"), "damaged"))
        ul_out_printf(o, "\nWere it not for the damage: %s.\n", ul_page_text(m, "secondary"));
    UL_EACH(ul_page_in(m, "qualifiers", NULL), i, q)
    {
        const char *means = ul_qualifier_means(ul_page_said(q));
        ul_out_printf(o, "\nQualified: **%s**%s%s.\n", ul_page_said(q), *means ? ", " : "", means);
    }
    otherwise(o, m, "\n", "\n");
    if (*ul_page_text(m, "withheld")) ul_out_printf(o, "\n%s.\n", ul_page_text(m, "withheld"));
    if (*ul_page_text(m, "outcome"))
        ul_out_printf(o, "\nDeclared intention, %s: **%s** (%s).\n", ul_page_text(m, "intention"), outcome_words(m),
                      ul_page_text(m, "outcome_why"));
    if (json_is_object(ul_page_in(m, "guard", NULL)))
        ul_out_printf(o, "\nAsked through a guard (%s); attacks on the weights leave it away.\n",
                      ul_page_text(ul_page_in(m, "guard", NULL), "id"));
    ul_out_printf(o, "\n| attack | recovery [bounds] | model | original | anchor |\n|---|---|---|---|---|\n");
    UL_EACH(ul_page_in(m, "probes", NULL), i, p)
    {
        if (!json_is_true(ul_page_in(p, "ran", NULL))) continue;
        ul_out_printf(o, "| %s |", ul_page_text(p, "title"));
        if (json_is_true(ul_page_in(p, "informative", NULL)))
            ul_page_interval(o, " ", ul_page_in(p, "rho", NULL), " |");
        else
            ul_out_printf(o, " %s |", ul_page_text(p, "why_not"));
        const json_t *k = ul_page_in(p, "K1", NULL);
        ul_page_value(o, " ", k, "model", " |");
        ul_page_value(o, " ", k, "original", " |");
        ul_page_value(o, " ", k, "anchor", " |\n");
    }
    ul_page_interval(o, "| own head below the last layer | ", ul_page_in(m, "evidence", "depth"), " | | | |\n");
    ul_page_interval(o, "| true answer ranked last (inv) | ", ul_page_in(m, "evidence", "inverse"), " | | | |\n");
    ul_page_interval(o, "| true answer avoided | ", ul_page_in(m, "evidence", "avoided"), " | | | |\n");
    md_savings(o, m);
    ul_page_interval(o, "\ns ", ul_page_in(m, "evidence", "s"), "");
    unmeasured(o, m);
    ul_out_printf(o, " (of %s), ", ul_page_text(ul_page_in(m, "evidence", NULL), "s_of"));
    ul_page_interval(o, "utility: ranks ", ul_page_in(m, "evidence", "utility_K1"), ", ");
    ul_page_interval(o, "says ", ul_page_in(m, "evidence", "utility_said"), ", ");
    plain_text(o, m, "plain text ", "\n\n");
    held(o, m);
    distance(o, m);
    measured(o, "Sensitivity (spike-in): ", ul_page_in(m, "evidence", "sensitivity"), "not measured (--spike)");
    ul_out_printf(o, "\n\n");
    ul_report_gates_md(o, m);
}

static ul_status markdown(ul_ctx *ctx, const json_t *report, const char *path)
{
    ul_out *o;
    const json_t *m;
    size_t i;
    UL_TRY(ul_out_open(ctx, path, 0, &o));
    ul_out_printf(o, "# Audit\n\n`%s`\n\n| model | verdict |%s\n|---|---|%s\n", ul_page_text(report, "command"),
                  json_is_true(ul_page_in(report, "self_test", NULL)) ? " wanted |" : "",
                  json_is_true(ul_page_in(report, "self_test", NULL)) ? "---|" : "");
    UL_EACH(ul_page_in(report, "models", NULL), i, m)
    {
        ul_out_printf(o, "| %s | **%s** |", ul_page_text(m, "name"), ul_page_text(m, "verdict"));
        if (*ul_page_text(m, "wanted"))
            ul_out_printf(o, " %s%s |", ul_page_text(m, "wanted"),
                          strcmp(ul_page_text(m, "wanted"), ul_page_text(m, "verdict")) ? " (wrong)" : "");
        ul_out_printf(o, "\n");
    }
    UL_EACH(ul_page_in(report, "models", NULL), i, m) md_model(o, m);
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
