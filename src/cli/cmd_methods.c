/* cmd_methods.c - `unlearn methods [NAME]`: the registry of methods, or one method with its parameters. */
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

static json_t *method_json(const ul_method_entry *e)
{
    const ul_method *m = e->method;
    json_t *params = json_array();
    for (const ul_param *p = m->params; p && p->key; p++) json_array_append_new(params, param_json(p));
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:b, s:b, s:b, s:o}", "id", e->id, "title", m->title, "paper", m->paper,
                     "intention", m->intent == UL_REMOVAL ? "removal" : "suppression", "level", levels[m->level],
                     "note", m->note ? m->note : "", "needs_retain", (m->needs & UL_NEED_RETAIN) != 0,
                     "needs_alternate", (m->needs & UL_NEED_ALT) != 0,
                     "needs_reference", (m->needs & (UL_NEED_FORGET_REF | UL_NEED_ALT_REF | UL_NEED_RETAIN_KL | UL_NEED_FORGET_CE)) != 0,
                     "parameters", params);
}

static void print_one(const ul_method_entry *e)
{
    const ul_method *m = e->method;
    printf("%s - %s\n\n  intention  %s\n  level      %s\n  paper      %s\n", e->id, m->title,
           m->intent == UL_REMOVAL ? "removal" : "suppression", levels[m->level], m->paper);
    printf("  reads      forget%s%s%s\n", m->needs & UL_NEED_RETAIN ? ", retain" : "",
           m->needs & UL_NEED_ALT ? ", alternate answers" : "",
           m->needs & (UL_NEED_FORGET_REF | UL_NEED_ALT_REF | UL_NEED_RETAIN_KL | UL_NEED_FORGET_CE) ? ", reference log-probs (cached)" : "");
    if (m->note) printf("\n%s\n", m->note);
    if (m->params && m->params->key) puts("\nparameters:");
    char prefix[64];
    snprintf(prefix, sizeof prefix, "%s.", e->id);
    ul_help_params(stdout, m->params, prefix);
}

static ul_status run(ul_cli *cli)
{
    int n;
    const ul_method_entry *e = ul_methods(&n);
    if (cli->n_word) {
        for (int i = 0; i < n; i++)
            if (!strcmp(e[i].id, cli->word[0])) {
                if (!cli->json) return print_one(&e[i]), UL_OK;
                json_t *j = method_json(&e[i]);
                const ul_status s = ul_cli_print_json(cli, j);
                json_decref(j);
                return s;
            }
        const char *near = ul_method_nearest(cli->word[0]);
        return ul_fail(cli->ctx, UL_E_USAGE, "there is no method \"%s\"%s%s%s", cli->word[0], near ? "; did you mean \"" : "",
                       near ? near : "", near ? "\"?" : "");
    }
    if (cli->json) {
        json_t *all = json_array();
        for (int i = 0; i < n; i++) json_array_append_new(all, method_json(&e[i]));
        const ul_status s = ul_cli_print_json(cli, all);
        json_decref(all);
        return s;
    }
    printf("%-12s %-12s %-14s %s\n", "method", "intention", "level", "title");
    for (int i = 0; i < n; i++)
        printf("%-12s %-12s %-14s %s (%s)\n", e[i].id, e[i].method->intent == UL_REMOVAL ? "removal" : "suppression",
               levels[e[i].method->level], e[i].method->title, e[i].method->paper);
    puts("\nThe intention is the authors' claim. Whether a model has really lost the knowledge must be measured.");
    return UL_OK;
}

const ul_cmd ul_cmd_methods = {
    .id = "methods", .summary = "the methods: intention, level, paper, parameters", .usage = "[NAME]",
    .about = "Lists every unlearning method of this build, or tells all about one.", .example = "unlearn methods npo",
    .max_words = 1, .run = run};
