/* cmd_methods.c - `unlearn methods [NAME]`: the registries of methods and wrappers,
 * or one of them with its parameters. */
#include "cli/cli.h"
#include <string.h>

static const char *const levels[] = {"data", "parameters", "hidden states", "logits", "input/output"};

static json_t *param_json(const ul_param *p)
{
    json_t *o = json_pack("{s:s, s:s}", "key", p->key, "help", p->help ? p->help : "");
    if (p->type == UL_TEXT) {
        json_object_set_new(o, "default", json_string(p->text ? p->text : ""));
        if (p->unit) json_object_set_new(o, "choices", json_string(p->unit));
    } else {
        json_object_set_new(o, "default", json_real(p->dflt));
        json_object_set_new(o, "low", json_real(p->lo));
        json_object_set_new(o, "high", json_real(p->hi));
        if (p->unit) json_object_set_new(o, "unit", json_string(p->unit));
    }
    return o;
}

static bool reads_retain(const ul_method *m)
{
    return (ul_catalogue_needs(m) & (UL_NEED_RETAIN | UL_NEED_RETAIN_KL)) != 0;
}

/* Log-probs, final hidden rows or states of the model before the run. */
static bool reads_reference(const ul_method *m)
{
    for (int s = 0; s < UL_N_SIDE; s++)
        if (ul_reference_kind(ul_catalogue_needs(m), s) != UL_REF_NONE) return true;
    return false;
}

static json_t *pairs_json(const char *const *r)
{
    json_t *o = json_object();
    for (; r && *r; r += 2) json_object_set_new(o, r[0], json_string(r[1]));
    return o;
}

/* Defaults of the run that the method brings along. */
static json_t *recipe_json(const ul_method *m)
{
    json_t *o = pairs_json(m->recipe);
    if (m->lr_scale > 0) json_object_set_new(o, "lr_scale", json_real(m->lr_scale));
    if (m->adapter_rate) json_object_set_new(o, "adapter_rate", json_true());
    if (m->small) json_object_set_new(o, "small_models", pairs_json(m->small));
    return o;
}

static json_t *matches_json(const ul_match *m)
{
    json_t *list = json_array();
    for (; m && m->name; m++)
        json_array_append_new(list, json_pack("{s:s, s:s, s:o, s:b}", "name", m->name, "what", m->what, "sets",
                                              pairs_json(m->set), "micro_means", (int)m->micro_means));
    return list;
}

/* A list's values as flags of `id`. */
static void print_values(const char *id, const char *const *r)
{
    for (; r && *r; r += 2) printf(" --%s%s %s", r[0][0] == '.' ? id : "", r[0], r[1]);
}

static void print_matches(const char *id, const ul_match *m)
{
    for (; m && m->name; m++) {
        printf("  --match %s: %s", m->name, m->what);
        if (m->set) fputs("; as", stdout), print_values(id, m->set);
        puts("");
    }
}

/* Where nothing is given: in small models, in place of what large ones have. */
static void print_small(const char *id, const char *const *values, double lr_scale)
{
    if (!values && lr_scale <= 0) return;
    printf("  small     ");
    print_values(id, values);
    if (lr_scale > 0) printf(" %g times the usual --lr", lr_scale);
    else if (!*values) printf(" the usual run");
    puts(" (models of up to 20 million weights)");
}

static json_t *method_json(const ul_catalogue_entry *e)
{
    const ul_method *m = e->method;
    json_t *params = json_array();
    for (const ul_param *p = m->params; p && p->key; p++) json_array_append_new(params, param_json(p));
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:b, s:b, s:b, s:o, s:o, s:o}", "id", e->id, "kind",
                     e->procedure ? "procedure" : e->guard ? "guard" : "loss", "title", m->title, "paper", m->paper,
                     "intention", m->intent == UL_REMOVAL ? "removal" : "suppression", "level", levels[m->level],
                     "note", m->note ? m->note : "", "needs_retain", reads_retain(m),
                     "needs_alternate", (ul_catalogue_needs(m) & UL_NEED_ALT) != 0,
                     "needs_reference", reads_reference(m), "run_defaults", recipe_json(m), "matches",
                     matches_json(m->matches), "parameters", params);
}

static void print_one(const ul_catalogue_entry *e)
{
    const ul_method *m = e->method;
    printf("%s - %s\n\n  intention  %s\n  level      %s\n  paper      %s\n", e->id, m->title,
           m->intent == UL_REMOVAL ? "removal" : "suppression", levels[m->level], m->paper);
    printf("  reads      forget%s%s%s\n", reads_retain(m) ? ", retain" : "",
           ul_catalogue_needs(m) & UL_NEED_ALT ? ", alternate answers" : "",
           reads_reference(m) ? ", the model before the run (cached)" : "");
    if (m->recipe) printf("  defaults  "), print_values(e->id, m->recipe), puts("");
    print_small(e->id, m->small, m->lr_scale);
    print_matches(e->id, m->matches);
    if (e->guard)
        printf("  writes     a guard, to be put around the model: `unlearn eval --model MODEL --guard OUT`\n");
    if (m->note) printf("\n%s\n", m->note);
    if (m->params && m->params->key) puts("\nparameters:");
    char prefix[64];
    snprintf(prefix, sizeof prefix, "%s.", e->id);
    ul_help_params(stdout, m->params, prefix);
}

static json_t *wrapper_json(const ul_wrapper_entry *e)
{
    const ul_wrapper *w = e->wrapper;
    json_t *params = json_array();
    for (const ul_param *p = w->params; p && p->key; p++) json_array_append_new(params, param_json(p));
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:b, s:o, s:o, s:o}", "id", e->id, "kind", "wrapper", "title", w->title,
                     "paper", w->paper, "note", w->note, "needs_retain",
                     w->combine || w->flags & (UL_WRAP_RETAIN | UL_WRAP_RETAIN_TEXT), "small_models",
                     pairs_json(w->small), "matches", matches_json(w->matches), "parameters", params);
}

static void print_wrapper(const ul_wrapper_entry *e)
{
    const ul_wrapper *w = e->wrapper;
    char prefix[64];
    printf("%s - %s\n\n  a wrapper: --wrap %s around any method\n  paper      %s\n", e->id, w->title, e->id, w->paper);
    print_small(e->id, w->small, 0);
    print_matches(e->id, w->matches);
    printf("\n%s\n", w->note);
    if (w->params && w->params->key) puts("\nparameters:");
    snprintf(prefix, sizeof prefix, "%s.", e->id);
    ul_help_params(stdout, w->params, prefix);
}

/* The wrapper of this name; NULL: there is none. */
static const ul_wrapper_entry *wrapper_of(const char *id)
{
    int n;
    const ul_wrapper_entry *w = ul_wrappers(&n);
    for (int i = 0; i < n; i++)
        if (!strcmp(w[i].id, id)) return &w[i];
    return NULL;
}

/* SOUL is no loss: it exchanges the optimizer of any method that trains. Its parameters are the run's. */
static const char soul_title[] = "Second-order unlearning (Sophia)", soul_paper[] = "arXiv:2404.18239",
                  soul_note[] = "Steps are |m| / (rho * batch * curvature), at most --lr a weight, the curvature from "
                                "squared gradients.";

static bool of_soul(const ul_param *p)
{
    return !strncmp(p->key, "sophia-", 7);
}

static json_t *soul_json(void)
{
    json_t *params = json_array();
    for (const ul_param *p = ul_recipe_params; p->key; p++)
        if (of_soul(p)) json_array_append_new(params, param_json(p));
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:o, s:o}", "id", "soul", "kind", "optimizer", "title", soul_title,
                     "paper", soul_paper, "flag", "--optimizer sophia", "note", soul_note, "matches",
                     matches_json(ul_sophia_matches), "parameters", params);
}

static void print_soul(void)
{
    printf("soul - %s\n\n  an optimizer: --optimizer sophia with any method that trains\n  paper      %s\n", soul_title,
           soul_paper);
    print_matches("", ul_sophia_matches);
    printf("\n%s\n\nparameters:\n", soul_note);
    for (const ul_param *p = ul_recipe_params; p->key; p++)
        if (of_soul(p)) ul_help_params(stdout, (const ul_param[]){*p, {0}}, "");
}

static void print_table(void)
{
    int n;
    ul_catalogue_entry e;
    const ul_wrapper_entry *w = ul_wrappers(&n);
    printf("%-12s %-12s %-14s %s\n", "method", "intention", "level", "title");
    for (int i = 0; ul_catalogue_at(i, &e); i++)
        printf("%-12s %-12s %-14s %s (%s)\n", e.id, e.method->intent == UL_REMOVAL ? "removal" : "suppression",
               levels[e.method->level], e.method->title, e.method->paper);
    puts("\nThe intention is the authors' claim. Whether a model has really lost the knowledge must be measured.");
    printf("\n%-12s %s\n", "wrapper", "around any method that is a loss: --wrap NAME,NAME");
    for (int i = 0; i < n; i++) printf("%-12s %s (%s)\n", w[i].id, w[i].wrapper->title, w[i].wrapper->paper);
    printf("\n%-12s %s\n", "optimizer", "of any method that trains: --optimizer sophia");
    printf("%-12s %s (%s)\n", "soul", soul_title, soul_paper);
}

static ul_status run(ul_cli *cli)
{
    ul_catalogue_entry e;
    if (cli->n_word && !strcmp(cli->word[0], "soul")) {
        if (!cli->json) return print_soul(), UL_OK;
        json_t *j = soul_json();
        const ul_status s = ul_cli_print_json(cli, j);
        json_decref(j);
        return s;
    }
    if (cli->n_word) {
        const ul_wrapper_entry *w = wrapper_of(cli->word[0]);
        if (w && !cli->json) return print_wrapper(w), UL_OK;
        if (!w && !ul_catalogue_find(cli->word[0], &e)) return ul_catalogue_unknown(cli->ctx, NULL, cli->word[0], true);
        if (!cli->json) return print_one(&e), UL_OK;
        json_t *j = w ? wrapper_json(w) : method_json(&e);
        const ul_status s = ul_cli_print_json(cli, j);
        json_decref(j);
        return s;
    }
    if (cli->json) {
        int n;
        const ul_wrapper_entry *w = ul_wrappers(&n);
        json_t *all = json_array();
        for (int i = 0; ul_catalogue_at(i, &e); i++) json_array_append_new(all, method_json(&e));
        for (int i = 0; i < n; i++) json_array_append_new(all, wrapper_json(&w[i]));
        json_array_append_new(all, soul_json());
        const ul_status s = ul_cli_print_json(cli, all);
        json_decref(all);
        return s;
    }
    print_table();
    return UL_OK;
}

const ul_cmd ul_cmd_methods = {
    .id = "methods",
    .summary = "the methods: intention, level, paper, parameters",
    .usage = "[NAME]",
    .about = "Lists every unlearning method of this build and the wrappers that go around one, or tells all about one.",
    .example = "unlearn methods npo",
    .max_words = 1,
    .run = run};
