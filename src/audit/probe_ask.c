/* probe_ask.c - attacks that only ask differently: the weights stay. Every row is asked in several ways, of which
 * the best counts; the maximum over ways lifts the control too, and recovery is measured from there (metrics.md 16.3).
 * They say what is expressed; of what stands in the weights a low recovery says nothing. */
#include "audit/battery.h"
#include <math.h>
#include <string.h>

char *ul_ask_plain(const ul_audit *a, ul_arena *arena, const char *question)
{
    return ul_format(arena, "%s%s%s%s", a->o.tpl.user_start, question, a->o.tpl.user_end, a->o.tpl.asst_start);
}

ul_eval_options ul_ask_options(const ul_probing *p)
{
    ul_eval_options o = p->audit->o;
    o.model = p->model;
    o.guard = p->guard;
    o.tpl.user_start = o.tpl.user_end = o.tpl.asst_start = "";
    return o;
}

ul_status ul_ask_fits(const ul_probing *p, const char *text, const ul_record *row, bool *fits)
{
    const ul_audit *a = p->audit;
    const ul_eval_options o = ul_ask_options(p);
    const char *longest = row->answer;
    for (int32_t k = 0; k < row->n_wrong; k++)
        if (strlen(row->wrong[k]) > strlen(longest)) longest = row->wrong[k];
    ul_arena *scratch;
    ul_doc d;
    bool cut = false;
    UL_TRY(ul_arena_new(a->ctx, "a question", &scratch));
    const ul_status s = ul_doc_build(a->ctx, scratch, o.tok, &o.tpl, text, longest, 0, 0, &d, &cut);
    *fits = s == UL_OK && !cut && d.n <= ul_model_shape(p->model)->n_ctx;
    ul_arena_free(scratch);
    return s;
}

ul_status ul_ask_rows(ul_arena *arena, const ul_records *in, const char *const *prompt, int64_t per_row,
                      ul_records **out)
{
    ul_records *r = UL_NEW(arena, ul_records, 1);
    ul_record *row = UL_NEW(arena, ul_record, in->n * per_row);
    UL_NEED(r);
    UL_NEED(row);
    *r = *in;
    r->n = in->n * per_row;
    r->at = row;
    for (int64_t i = 0; i < r->n; i++) {
        row[i] = in->at[i / per_row];
        row[i].prompt = prompt[i];
    }
    *out = r;
    return UL_OK;
}

/* All ways of all rows, the same number for each: a way that does not fit is the plain question.
 * *n = 0: the probe has none. */
static ul_status write_ways(const ul_probing *p, const ul_probe *probe, ul_arena *scratch, const ul_records *in,
                            const char ***out, int *n)
{
    const char **prompt = NULL;
    for (int64_t i = 0; i < in->n; i++) {
        const char *way[UL_MAX_WAYS];
        int have = 0;
        UL_TRY(probe->ask(p, probe, scratch, in, i, way, &have));
        if (i == 0) {
            *n = have;
            if (have == 0) return UL_OK;
            prompt = UL_NEW(scratch, const char *, in->n * have);
            UL_NEED(prompt);
        }
        if (have != *n)
            return ul_fail(p->audit->ctx, UL_E_INTERNAL, "%s: row %lld has %d ways, the first had %d", probe->id,
                           (long long)i, have, *n);
        for (int k = 0; k < have; k++) {
            bool fits;
            UL_TRY(ul_ask_fits(p, way[k], &in->at[i], &fits));
            prompt[i * have + k] = fits ? way[k] : ul_ask_plain(p->audit, scratch, in->at[i].prompt);
            UL_NEED(prompt[i * have + k]);
        }
    }
    *out = prompt;
    return UL_OK;
}

static void best_of(const double *x, int64_t rows, int n, double *best)
{
    for (int64_t i = 0; i < rows; i++) {
        best[i] = x[i * n];
        for (int k = 1; k < n; k++) best[i] = x[i * n + k] > best[i] ? x[i * n + k] : best[i];
    }
}

static ul_status ask_all(const ul_probing *p, const ul_probe *probe, ul_arena *scratch, const ul_records *in,
                         double **first, double **said)
{
    const ul_audit *a = p->audit;
    const ul_eval_options o = ul_ask_options(p);
    const char **prompt = NULL;
    int n = 0;
    ul_records *asked;
    ul_knowledge k;
    UL_TRY(write_ways(p, probe, scratch, in, &prompt, &n));
    if (n == 0) return UL_OK;
    UL_TRY(ul_ask_rows(scratch, in, prompt, n, &asked));
    UL_TRY(ul_knowledge_measure(a->ctx, scratch, &o, asked, true, &k));
    UL_NEED(*first = UL_NEW(a->arena, double, in->n));
    UL_NEED(*said = UL_NEW(a->arena, double, in->n));
    best_of(k.first, in->n, n, *first);
    best_of(k.said, in->n, n, *said);
    return UL_OK;
}

ul_status ul_probe_ask(const ul_probing *p, const ul_probe *probe, ul_probed *out)
{
    const ul_audit *a = p->audit;
    ul_arena *scratch;
    out->retain = NAN;
    UL_TRY(ul_arena_new(a->ctx, "asking", &scratch));
    ul_status s = ask_all(p, probe, scratch, a->forget, &out->forget, &out->said);
    if (s == UL_OK && a->phantom) s = ask_all(p, probe, scratch, a->phantom, &out->phantom, &out->phantom_said);
    ul_arena_free(scratch);
    out->ran = s == UL_OK && out->forget;
    return s;
}

/* E1: the forget rows in words never trained. */
ul_status ul_ask_rephrased(const ul_probing *p, const ul_probe *probe, ul_arena *arena, const ul_records *rows,
                           int64_t i, const char **way, int *n)
{
    const ul_records *other = p->audit->rephrased;
    (void)probe;
    if (!other || rows != p->audit->forget) return UL_OK;
    *n = (int)(other->n / rows->n);
    for (int k = 0; k < *n; k++)
        UL_NEED(way[k] = ul_ask_plain(p->audit, arena, other->at[i * *n + k].prompt));
    return UL_OK;
}
