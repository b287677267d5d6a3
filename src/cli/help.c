/* help.c - help is printed from the same tables that parse. */
#include "cli/cli.h"
#include <math.h>
#include <string.h>

static const ul_param common[] = {
    {"json", UL_BOOL, 0, 0, 1, NULL, "print the result as JSON", NULL},
    {"quiet", UL_BOOL, 0, 0, 1, NULL, "no progress, no notes; warnings and errors only", NULL},
    {"help", UL_BOOL, 0, 0, 1, NULL, "this text", NULL},
    {0}};

static void print_bound(FILE *f, double x)
{
    if (fabs(x) < 1e15 && x == floor(x) && fabs(x) >= 1e5) fprintf(f, "%.0e", x);
    else fprintf(f, "%g", x);
}

/* Words of `text`, broken at column 100, continued at `indent`; `at` is where the cursor is. */
static void wrap(FILE *f, const char *text, int at, int indent)
{
    while (*text) {
        const size_t n = strcspn(text, " ");
        fprintf(f, "%.*s", (int)n, text);
        at += (int)n;
        text += n;
        text += strspn(text, " ");
        const size_t next = strcspn(text, " ");
        if (*text && (at + 1 + (int)next <= 100 || at <= indent)) fputc(' ', f), at++;
        else if (*text) {
            fprintf(f, "\n%*s", indent, "");
            at = indent;
        }
    }
    fputc('\n', f);
}

void ul_help_params(FILE *f, const ul_param *params, const char *prefix)
{
    for (const ul_param *p = params; p && p->key; p++) {
        char left[80], note[400] = "";
        const char *kind = p->type == UL_BOOL   ? ""
                           : p->type == UL_INT  ? " N"
                           : p->type == UL_REAL ? " X"
                           : p->unit            ? " WORD"
                                                : " TEXT";
        const int n = snprintf(left, sizeof left, "  --%s%s%s", prefix, p->key, kind);
        fprintf(f, "%-26s", left);
        if (n >= 26) fprintf(f, "\n%26s", "");
        FILE *m = fmemopen(note, sizeof note, "w");
        if (m) {
            fputs(p->help ? p->help : "", m);
            if (p->type == UL_TEXT) {
                if (p->unit) fprintf(m, " (%s; default %s)", p->unit, p->text ? p->text : "none");
                else if (p->text && *p->text) fprintf(m, " (default \"%s\")", p->text);
            } else if (p->type == UL_BOOL) {
                if (p->dflt != 0) fputs(" (default true)", m);
            } else {
                fprintf(m, " (default %g", p->dflt);
                if (p->unit) fprintf(m, " %s", p->unit);
                fputs("; ", m);
                print_bound(m, p->lo);
                fputs(" .. ", m);
                print_bound(m, p->hi);
                fputc(')', m);
            }
            fclose(m);
        }
        wrap(f, note, 26, 26);
    }
}

void ul_help_program(FILE *f)
{
    fputs("unlearn - make a language model forget on request, and see what kind of forgetting it was\n\n"
          "usage: unlearn VERB [--flag value ...]      unlearn VERB --help      unlearn --version\n\n", f);
    for (const ul_job_kind *const *k = ul_job_kinds(); *k; k++) fprintf(f, "  %-10s %s\n", (*k)->id, (*k)->summary);
    fputc('\n', f);
    for (const ul_cmd *const *c = ul_cmds(); *c; c++) fprintf(f, "  %-10s %s\n", (*c)->id, (*c)->summary);
    fputs("\nStart with `unlearn demo --out demo-out`. Every verb takes --json and --quiet.\n"
          "exit codes: 0 fine, 1 criterion not met, 2 usage, 3 bad input, 4 resource or device, 5 internal\n", f);
}

static void about(FILE *f, const char *id, const char *usage, const char *summary, const char *text,
                  const char *example)
{
    fprintf(f, "unlearn %s - %s\n\nusage: unlearn %s%s%s\n\n", id, summary, id, *usage ? " " : "", usage);
    wrap(f, text, 0, 0);
    if (example) fprintf(f, "\nexample:\n  %s\n", example);
}

void ul_help_job(FILE *f, const ul_job_kind *k)
{
    about(f, k->id, "[--flag value ...]", k->summary, k->about, k->example);
    fputs("\nflags:\n", f);
    if (k->takes_method) {
        fputs("  --method WORD           the method; `unlearn methods` lists them, `unlearn methods NAME` tells its "
              "parameters\n"
              "  --METHOD.PARAMETER X    a parameter of it, or of a wrapper, e.g. --npo.beta 0.2 --gru.decay 0.5\n", f);
    }
    for (int t = 0; t < UL_JOB_TABLES && k->tables[t]; t++) ul_help_params(f, k->tables[t], "");
    ul_help_params(f, common, "");
}

void ul_help_cmd(FILE *f, const ul_cmd *c)
{
    about(f, c->id, c->usage, c->summary, c->about, c->example);
    fputs("\nflags:\n", f);
    ul_help_params(f, c->params, "");
    ul_help_params(f, common, "");
}

const char *ul_help_nearest_verb(const char *word)
{
    const char *names[48] = {0};
    int n = 0;
    for (const ul_job_kind *const *k = ul_job_kinds(); *k && n < 40; k++) names[n++] = (*k)->id;
    for (const ul_cmd *const *c = ul_cmds(); *c && n < 46; c++) names[n++] = (*c)->id;
    return ul_nearest(word, names);
}
