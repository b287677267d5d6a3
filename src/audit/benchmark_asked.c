/* benchmark_asked.c - which results of a benchmark --metrics asks for.
 *
 * A pass offers results by name. A name of the list is a result (forget_knowmem_ROUGE), the metric that several are
 * values of (rouge, choice_accuracy), or what stands behind a file's name (acc_calibrated). Names are held against what
 * the files offer before anything is asked of the model; a pass that offers nothing named is not run. */
#include "audit/benchmark.h"
#include <string.h>

enum { N_WORD = 3, LISTED = 16 };
struct ul_offer {
    const char *data, *field, *word[N_WORD]; /* word[0]: the result; then the names that take others along, or NULL */
    bool wanted;
};

ul_status ul_benchmark_plan(ul_benchmark *b, const char *data, const char *field)
{
    ul_data_columns *all = UL_NEW(b->arena, ul_data_columns, b->n_planned + 1); /* a few dozen at most */
    UL_NEED(all);
    if (b->n_planned) memcpy(all, b->planned, (size_t)b->n_planned * sizeof *all);
    all[b->n_planned++] = (ul_data_columns){data, field, NULL};
    b->planned = all;
    return UL_OK;
}

ul_status ul_benchmark_offer(ul_benchmark *b, const ul_data_columns *pass, const char *name, const char *metric,
                             const char *group)
{
    struct ul_offer *all = UL_NEW(b->arena, struct ul_offer, b->n_offer + 1);
    UL_NEED(all);
    UL_NEED(name);
    if (b->n_offer) memcpy(all, b->offer, (size_t)b->n_offer * sizeof *all);
    all[b->n_offer++] = (struct ul_offer){pass->data, pass->key, {name, metric, group}, false};
    b->offer = all;
    return UL_OK;
}

static bool answers_to(const struct ul_offer *o, const char *word)
{
    for (int k = 0; k < N_WORD; k++)
        if (o->word[k] && !strcmp(o->word[k], word)) return true;
    return false;
}

static ul_status unknown(ul_benchmark *b, const char *name)
{
    const char **names = UL_NEW(b->arena, const char *, N_WORD * b->n_offer + 2), *near, *list = "";
    int n = 0;
    UL_NEED(names);
    for (int i = 0; i < b->n_offer; i++)
        for (int k = 0; k < N_WORD; k++) {
            const char *word = b->offer[i].word[k];
            bool seen = !word;
            for (int j = 0; j < n && !seen; j++) seen = !strcmp(names[j], word);
            if (!seen) names[n++] = word;
        }
    names[n++] = "all";
    near = ul_nearest(name, names);
    for (int i = 0; i < n && i <= LISTED; i++)
        UL_NEED(list = ul_format(b->arena, "%s%s%s", list, i ? ", " : "", i < LISTED ? names[i] : "..."));
    return ul_fail(b->ctx, UL_E_USAGE, "--metrics: this benchmark gives no \"%s\"%s%s%s", name,
                   near ? "; did you mean \"" : "; it gives ", near ? near : list, near ? "\"?" : "");
}

ul_status ul_benchmark_choose(ul_benchmark *b)
{
    b->list = ul_job_text(b->job, "metrics");
    for (const char *s = b->list; s && *s; s += *s == ',') {
        const char *name = ul_strndup(b->arena, s, strcspn(s, ","));
        UL_NEED(name);
        const bool all = !strcmp(name, "all");
        bool found = all;
        for (int i = 0; i < b->n_offer; i++)
            if (all || answers_to(&b->offer[i], name)) b->offer[i].wanted = found = true;
        if (!found) return unknown(b, name);
        s += strlen(name);
    }
    return UL_OK;
}

bool ul_benchmark_runs(const ul_benchmark *b, const char *data, const char *field)
{
    for (int i = 0; b->list && i < b->n_offer; i++)
        if (b->offer[i].wanted && !strcmp(b->offer[i].data, data) && (!field || !strcmp(b->offer[i].field, field)))
            return true;
    return !b->list;
}

bool ul_benchmark_wants(const ul_benchmark *b, const char *name)
{
    for (int i = 0; b->list && i < b->n_offer; i++)
        if (b->offer[i].wanted && !strcmp(b->offer[i].word[0], name)) return true;
    return !b->list;
}
