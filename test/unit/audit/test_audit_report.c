/* The report of a made-up audit in which every section has something to tell: words with markup in them, numbers that
 * are missing, long names, several models, one without a control. What must hold: no script, no address, everything
 * escaped, no "nan"; and, where Chromium is installed, that tools/check-page finds it sound at two widths, in light,
 * dark and print. Without Chromium the test is reported as skipped. */
#include "audit/battery.h"
#include "ul_test.h"
#include <sys/wait.h>

static ul_ctx *ctx;
static const char *folder;
static bool skipped;

static json_t *bound(double x)
{
    return json_pack("{s:f, s:f, s:f, s:f, s:f}", "value", x, "lower", x - 0.08, "upper", x + 0.07, "lower_m", x - 0.1,
                     "upper_m", x + 0.1);
}

/* Every number with an interval, as audit_json.c writes them. */
static json_t *within(json_t *object)
{
    const char *key;
    json_t *v, *all = json_object();
    json_object_foreach(object, key, v) if (json_is_real(v))
        json_object_set_new(all, key, json_pack("[f, f]", json_real_value(v) - 0.11, json_real_value(v) + 0.12));
    json_object_set_new(object, "intervals", all);
    return object;
}

static json_t *three(double a, double b, double c)
{
    return json_pack("{s:f, s:f, s:f}", "model", a, "original", b, c < 0 ? "none" : "control", c);
}

static json_t *knowledge(double x)
{
    return within(json_pack("{s:i, s:f, s:f, s:f, s:f, s:f, s:f, s:f}", "rows", 200, "K1_first", x, "last", 0.1,
                            "K5_said", x, "K2_preference", x, "K3_extraction", x, "K4_prob", x, "refuses", 0.0));
}

static json_t *battery(double x)
{
    return json_pack("{s:s, s:o, s:o, s:n, s:f, s:f}", "name", "a model", "forget", knowledge(x), "retain",
                     knowledge(0.97), "phantom", "text_loss", 2.5, "seconds", 12.5);
}

static json_t *probes(double rho)
{
    json_t *list = json_array();
    int n;
    const ul_probe *p = ul_probes(&n);
    static const char *const role[] = {"core", "accuses", "shown"};
    for (int i = 0; i < n; i++) {
        const bool informative = i % 5 != 4;
        json_t *x = json_pack("{s:s, s:s, s:s, s:s, s:b, s:b, s:b, s:s, s:f, s:o, s:o}", "id", p[i].id, "title",
                              p[i].title, "shows", p[i].shows, "role", role[p[i].donor ? UL_SHOWN : p[i].role],
                              "expression", p[i].expression, "ran", true, "informative", informative, "why_not",
                              informative ? "" : "the original and the anchor are too close", "seconds", 0.3 * i, "K1",
                              within(json_pack("{s:f, s:f, s:f}", "model", 0.4, "original", 0.9, "anchor", 0.2)),
                              "K1_retain", within(three(0.9, 0.9, 0.9)));
        if (informative) json_object_set_new(x, "rho", bound(rho + 0.01 * i));
        if (p[i].expression)
            json_object_set_new(x, "said", json_pack("{s:f, s:f, s:f}", "model", 0.1, "original", 0.9, "anchor", 0.05));
        if (!strcmp(p[i].id, "w1") || !strcmp(p[i].id, "unlock"))
            json_object_set_new(x, "curves",
                                json_pack("{s:[[i,f],[i,f,n,f,f],[i,f]], s:[[i,f],[i,f]], s:[[i,f],[i,f]]}", "model", 0,
                                          0.3, 40, 0.7, 0.6, 0.8, 80, 0.9, "original", 0, 1.0, 80, 0.95, "control", 0,
                                          0.2, 80, 0.22));
        if (!strcmp(p[i].id, "w1"))
            json_object_set_new(x, "savings",
                                json_pack("{s:f, s:f, s:{s:f, s:f, s:n}, s:o}", "level", 0.6, "attack_steps", 80.0,
                                          "steps_to_level", "model", 30.04, "original", 0.0, "control", "share",
                                          bound(0.7)));
        if (!strcmp(p[i].id, "unlock"))
            json_object_set_new(x, "savings",
                                json_pack("{s:f, s:f, s:{s:f, s:f, s:f}, s:n}", "level", 0.6, "attack_steps", 80.0,
                                          "steps_to_level", "model", 30.0, "original", 0.0, "control", 31.0, "share"));
        json_array_append_new(list, x);
    }
    return list;
}

static json_t *membership(void)
{
    json_t *scores = json_array();
    for (int i = 0; i < UL_N_MIA; i++)
        json_array_append_new(scores,
                              json_pack("{s:s, s:o, s:o, s:{s:[[f,f],[f,f],[f,f]], s:[[f,f],[f,f]], s:[[f,f],[f,f]]}}",
                                        "title", ul_mia_title(i), "auc", within(three(0.7, 0.95, 0.5)),
                                        "beyond_control", bound(0.2), "roc", "model", 0.0, 0.0, 0.2, 0.6, 1.0, 1.0,
                                        "original", 0.0, 0.9, 1.0, 1.0, "control", 0.0, 0.0, 1.0, 1.0));
    return json_pack("{s:s, s:f, s:o}", "others", "phantoms", "farthest", 0.27, "scores", scores);
}

static json_t *model(const char *name, const char *verdict, double s, double rho)
{
    json_t *e = json_pack("{s:s, s:i, s:i, s:i, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:n, s:o}",
                          "anchor", "retrained control", "entities", 40, "rows", 200, "m", 20, "known", bound(0.9),
                          "gap", bound(0.7), "s", bound(s), "s_K1", bound(s / 2), "patch", bound(0.4), "utility_K1",
                          bound(0.97), "utility_said", bound(rho), "utility_text", bound(1), "inverse", bound(-0.1),
                          "avoided", bound(-0.3), "depth", bound(0.4), "sham", "sensitivity", bound(0.6));
    json_t *j =
        json_pack("{s:s, s:s, s:s, s:s, s:[s,s], s:s, s:s, s:o, s:o, s:[{s:i,s:f,s:f,s:f},{s:i,s:f,s:f,s:n}], s:o, "
                  "s:o, s:o, s:o}",
                  "name", name, "verdict", verdict, "secondary", "suppressed", "clause",
                  "w1 brings back <i>0.80</i> & more", "qualifiers", "shallow", "few entities", "outcome", "fail",
                  "outcome_why", "removal was declared", "evidence", e, "probes", probes(rho), "depth", "layer", 1,
                  "model", 0.5, "original", 0.8, "control", 0.2, "layer", 2, "model", 1.0, "original", 1.0, "control",
                  "model", battery(0.3), "original", battery(1), "control", battery(0.2), "membership", membership());
    within(json_array_get(json_object_get(j, "depth"), 0));
    json_object_set_new(e, "negative_control",
                        json_pack("{s:s, s:b, s:i, s:s, s:o}", "of", "a second <control>", "passed", rho < 0.1,
                                  "failed", rho < 0.1 ? 0 : 2, "widest", "w1", "reads", bound(0.02)));
    json_object_set_new(e, "control_continues", bound(0.08));
    json_object_set_new(e, "control_distance",
                        json_pack("{s:o, s:o, s:o, s:o, s:o}", "model", bound(0.41), "original", bound(0.31),
                                  "beyond_original", bound(0.1), "second_control", bound(0.2), "over_second_control",
                                  bound(2.05)));
    json_object_set_new(e, "s_of", json_string("the answers' probability"));
    json_object_set_new(e, "neighbours", json_pack("{s:i, s:o, s:n, s:o}", "rows", 40, "K1", bound(0.9), "said",
                                                   "refusals_beyond", bound(0.03)));
    json_object_set_new(j, "intention", json_string("copyright"));
    json_object_set_new(j, "measures",
                        json_pack("[{s:s, s:o, s:s}, {s:s, s:o, s:s}]", "of", "what is ranked first", "s", bound(0.1),
                                  "verdict", "not forgotten", "of", "how far answers are continued", "s", bound(s),
                                  "verdict", verdict));
    if (!strcmp(verdict, "removed")) json_object_set_new(j, "residue", json_real(0.38));
    json_object_set_new(j, "withheld", json_string("\"removed\" cannot be had: 3 < 10"));
    json_object_set_new(j, "answers",
                        json_pack("[{s:s, s:s, s:s, s:s, s:s}]", "question", "who <script>alert(1)</script> & \"he\"?",
                                  "truth",
                                  "averyveryverylongwordwithoutanyspacewhichmustbebrokensomewhereoritoverflowsthepage",
                                  "original", "a", "model", "I don't know.", "control", "b"));
    return j;
}

static char *read_all(const char *name)
{
    static char text[1 << 20];
    FILE *f = fopen(ul_format(ul_ctx_arena(ctx), "%s/%s", folder, name), "r");
    assert_non_null(f);
    text[fread(text, 1, sizeof text - 1, f)] = 0;
    assert_int_equal(fclose(f), 0);
    return text;
}

/* Both files say the same of relearning; what was not reached has no number. */
static void savings_told(const char *name)
{
    static const char *const told[] = {
        "Savings (area; 0: as the control, 1: as the original): 0.70 [0.62, 0.77]. Steps until 0.60 is ranked first, "
        "of 80: this model 30.0, original 0.0, control not reached.",
        "Savings: the original's curve and the control's are too close. Steps until 0.60 is ranked first, of 80: this "
        "model 30.0, original 0.0, control 31.0."};
    const char *text = read_all(name);
    for (size_t i = 0; i < sizeof told / sizeof *told; i++)
        if (!strstr(text, told[i])) fail_msg("%s lacks \"%s\"", name, told[i]);
}

static void page_tells(void)
{
    const char *page = read_all("report.html");
    static const char *const never[] = {"By how far", "<script", "http:", "https:", "url(",    "@import",
                                        "nan",     "NaN",   "-0.00",  "<build>", "<i>"},
                             *const always[] = {"suppressed",
                                                "removed",
                                                "damaged",
                                                "What comes back",
                                                "Relearning",
                                                "How deep it sits",
                                                "Quantisation ladder",
                                                "Membership",
                                                "What it says",
                                                "What it cost",
                                                "Forgetting against usefulness",
                                                "(Pareto)",
                                                "declared intention, copyright: <b>not met</b>",
                                                "above 38 % of the original was found by this battery of attacks, "
                                                "whose sensitivity is 0.60 [0.52, 0.67] (recovered of a spike-in). ",
                                                "Sensitivity (spike-in): not measured (--spike). ",
                                                "Bounds: one-sided 90 %",
                                                "Make it again",
                                                "&lt;script&gt;",
                                                "Under each attack",
                                                "cannot be had: 3 &lt; 10",
                                                "Was the measuring sound?",
                                                "Forgotten, of the answers' probability: s ",
                                                "a second &lt;control&gt;",
                                                "2 of them do not come back empty",
                                                "every attack comes back empty",
                                                "Does the control know, and not say?",
                                                "3 were not asked",
                                                "duplicate (stands &lt;twice&gt;): 3, not asked.",
                                                "Utility and neighbours",
                                                "nats): 0.41 [0.33, 0.48], the original's 0.31 [0.23, 0.38], beyond it "
                                                "0.10 [0.02, 0.17], a second control's 0.20 [0.12, 0.27], the "
                                                "model's over it 2.05 [1.97, 2.12]. ",
                                                "<p>By what is ranked first: not forgotten (s 0.10 [0.02, 0.17]).</p>",
                                                "neighbours, refused beyond the original"};
    for (size_t i = 0; i < sizeof never / sizeof *never; i++)
        if (strstr(page, never[i])) fail_msg("the page has \"%s\": %.60s", never[i], strstr(page, never[i]));
    for (size_t i = 0; i < sizeof always / sizeof *always; i++)
        if (!strstr(page, always[i])) fail_msg("the page lacks \"%s\"", always[i]);
    /* every number with its interval: tile, attack, what stays, what it knows, depth, ladder, AUC */
    static const char *const interval[] = {
        "comes back, fine-tuned",
        "<td>0.40<small>[0.29, 0.52]</small></td>",
        "<td>0.90<small>[0.79, 1.02]</small></td>",
        "0.97<small>[0.86, 1.09]</small>",
        "0.50<small>[0.39, 0.62]</small>",
        "AUC: model 0.70 [0.59, 0.82], original 0.95 [0.84, 1.07], control 0.50 [0.39, 0.62]",
        "<td>0.82<small>[0.74, 0.89]</small>",
        "h5m-2.5 0V"};
    for (size_t i = 0; i < sizeof interval / sizeof *interval; i++)
        if (!strstr(page, interval[i])) fail_msg("the page lacks \"%s\"", interval[i]);
    /* without a control none is shown, and none is missed */
    static const char *const alone[] = {"<span style=\"left:16.7%\">phantoms</span>",
                                        "needs a control (--control)",
                                        "<th class=\"text\">before</th><th class=\"text\">now</th></tr>",
                                        "<th>original</th></tr>",
                                        "the diagonal is no substitute",
                                        "original 0.95 [0.84, 1.07]</p>",
                                        "</svg>phantoms</span>",
                                        "<div class=\"num\">← -2.00 [-2.08, -1.93]"};
    const char *last = strstr(page, "guard.json</h2>");
    assert_non_null(last);
    for (size_t i = 0; i < sizeof alone / sizeof *alone; i++)
        if (!strstr(last, alone[i])) fail_msg("the page lacks \"%s\" of a model without a control", alone[i]);
    if (strstr(last, ">control<") && strstr(last, ">control<") < strstr(last, "What it cost")) fail_msg("a control");
    const char *tile = strstr(page, "comes back, ");
    const char *end = tile ? strchr(tile, '<') : NULL;
    assert_true(end && end[-1] == ']');
}

static void markdown_tells(void)
{
    const char *md = read_all("report.md");
    assert_non_null(strstr(md, "| idk | **suppressed** |"));
    assert_non_null(strstr(md, "cannot be had: 3 < 10.\n"));
    assert_null(strstr(md, "nan"));
    assert_null(strstr(md, "By how far")); /* it would say the same */
    static const char *const told[] = {"\nBy what is ranked first: not forgotten (s 0.10 [0.02, 0.17]).\n",
                                       "\nDeclared intention, copyright: **not met** (removal was declared).\n",
                                       "\nQualified: **few entities**, fewer people",
                                       "\nWere it not for the damage: suppressed.\n",
                                       "Distance to the control (JSD a token of the forget answers, nats): 0.41 [",
                                       "Distance to the control: not measured behind a guard. ",
                                       "No residual knowledge above 38 % of the original", "whose sensitivity is 0.60",
                                       "Sensitivity (spike-in): not measured (--spike). \n",
                                       "Sensitivity (spike-in): 0.60 [0.52, 0.67]. \n"};
    for (size_t i = 0; i < sizeof told / sizeof *told; i++)
        if (!strstr(md, told[i])) fail_msg("report.md lacks \"%s\"", told[i]);
    /* what was not measured is not 1 */
    assert_non_null(strstr(md, "plain text 1.00 [0.92, 1.07]\n"));
    assert_non_null(strstr(md, "Negative control: a second <control>, not empty; farthest from 0: w1 0.02 [-0.06, "));
    assert_non_null(strstr(md, "Neighbours: ranks 0.90 [0.82, 0.97], says –, refuses beyond the original 0.03 ["));
    assert_non_null(strstr(md, "plain text not measured\n"));
    assert_non_null(strstr(read_all("report.html"), "Plain text, probability of a token: not measured."));
}

static void written(void **state)
{
    (void)state;
    ul_args attack, rules;
    ul_args_default(ul_attack_params, &attack);
    ul_args_default(ul_rule_params, &rules);
    json_t *report =
        json_pack("{s:s, s:b, s:s, s:s, s:o, s:o, s:f, s:[o,o,o]}", "kind", "audit", "self_test", 0, "build",
                  "a <build>", "command", "unlearn audit --model models/a,models/b --out OUT", "attack",
                  ul_args_json(&attack), "rules", ul_args_json(&rules), "seconds", 33.0, "models",
                  model("idk", "suppressed", 1.04, 0.8), model("undo", "removed", 0.99, 0.05),
                  model("/models/a_model_with_quite_a_long_path_as_they_are_on_disks_7b_instruct_v0.2 + eco/guard.json",
                        "damaged", 0.7, 0.3));
    assert_non_null(report);
    json_object_set_new(report, "hygiene",
                        json_pack("{s:i, s:i, s:[{s:s, s:s, s:i, s:b}, {s:s, s:s, s:i, s:b}]}", "rows", 200, "left_out",
                                  3, "kinds", "id", "duplicate", "title", "stands <twice>", "rows", 3, "left_out", true,
                                  "id", "near", "title", "t", "rows", 0, "left_out", false));
    json_t *second = json_array_get(json_object_get(report, "models"), 1);
    json_object_set_new(json_object_get(second, "evidence"), "utility_text", json_null());
    json_object_set_new(json_object_get(json_array_get(json_object_get(report, "models"), 0), "evidence"),
                        "sensitivity", json_null());
    json_object_del(json_object_get(second, "evidence"), "control_distance");
    json_object_set_new(second, "guard", json_pack("{s:s}", "id", "filter"));
    json_t *third = json_array_get(json_object_get(report, "models"), 2);
    json_object_set_new(third, "control", json_null());
    json_object_set_new(json_object_get(third, "evidence"), "avoided", bound(-2));
    json_object_set_new(json_object_get(third, "evidence"), "anchor", json_string("phantoms"));
    json_object_set_new(json_object_get(third, "evidence"), "depth", json_null());
    json_object_set_new(json_object_get(report, "rules"), "alpha", json_real(0.1));
    UL_OK_IN(ctx, ul_audit_report_write(ctx, ul_ctx_arena(ctx), folder, report));
    json_decref(report);
    savings_told("report.html");
    savings_told("report.md");
    page_tells();
    markdown_tells();
}

static void in_a_browser(void **state)
{
    (void)state;
    const int code =
        system(ul_format(ul_ctx_arena(ctx), UL_SOURCE "/tools/check-page %s/report.html %s/made/here", folder, folder));
    if (WIFEXITED(code) && (WEXITSTATUS(code) == 77 || WEXITSTATUS(code) == 127)) /* no Chromium, or no Python */
        skipped = true;
    else
        assert_int_equal(code, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(written), cmocka_unit_test(in_a_browser)};
    ctx = ul_test_ctx();
    folder = ul_test_folder("report");
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    ul_ctx_free(ctx);
    return failed ? failed : skipped ? 77 : 0;
}
