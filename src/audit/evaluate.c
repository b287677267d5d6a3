/* evaluate.c - from a model and named data sets to TOFU's results.
 *
 * Passes follow from the table of results (metric.h): each data set and kind of answer is run once, whatever reads it. */
#include "audit/audit.h"
#include <string.h>

static ul_records *find_set(const ul_evaluation *e, const char *name)
{
    for (int i = 0; i < e->n_set; i++)
        if (!strcmp(e->set_name[i], name)) return e->set[i];
    return NULL;
}

ul_status ul_evaluation_add(ul_evaluation *e, const char *name, ul_records *records)
{
    if (e->n_set == UL_MAX_SET)
        return ul_fail(e->ctx, UL_E_INTERNAL, "an evaluation takes %d data sets; \"%s\" is one too many", UL_MAX_SET, name);
    e->set_name[e->n_set] = name;
    e->set[e->n_set++] = records;
    return UL_OK;
}

const ul_result *ul_evaluation_result(const ul_evaluation *e, const char *name)
{
    for (int i = 0; i < e->n_result; i++)
        if (!strcmp(e->result[i].name, name)) return e->result[i].result->absent ? NULL : e->result[i].result;
    return NULL;
}

const ul_columns *ul_evaluation_columns(const ul_evaluation *e, const char *set, const char *key)
{
    for (int i = 0; i < e->n_columns; i++)
        if (!strcmp(e->columns[i].data, set) && !strcmp(e->columns[i].key, key)) return e->columns[i].columns;
    return NULL;
}

static int32_t which_of(const char *key)
{
    if (!strcmp(key, "paraphrased_answer")) return UL_WHICH_PARAPHRASE;
    if (!strcmp(key, "perturbed_answer")) return UL_WHICH_WRONG;
    return UL_WHICH_ANSWER;
}

/* Columns of (data set, answer) for what a metric needs, run when first asked for. */
static ul_status need_columns(ul_evaluation *e, const char *data, const char *key, unsigned needs)
{
    ul_records *set = find_set(e, data);
    if (!set) return UL_OK;
    ul_columns *c = (ul_columns *)(uintptr_t)ul_evaluation_columns(e, data, key);
    const int32_t which = which_of(key);
    if (!c) {
        c = UL_NEW(e->arena, ul_columns, 1);
        UL_NEED(c);
        const char *name = ul_format(e->arena, "%s %s", data, key);
        UL_NEED(name);
        c->name = name;
        c->n_row = set->n;
        e->columns[e->n_columns++] = (ul_data_columns){data, key, c};
    }
    if ((needs & (UL_COL_LOGP | UL_COL_HIT | UL_COL_MOMENTS | UL_COL_AVG_LOSS | UL_COL_PROB | UL_COL_TEXT)) && !c->logp) {
        const ul_columns had = *c;
        UL_TRY(ul_columns_score(e->ctx, e->arena, &e->o, set, which, had.name, c));
        c->generation = had.generation;
        c->ground_truth = had.ground_truth;
    }
    if ((needs & UL_COL_REF_LOSS) && e->reference && !c->ref_loss) {
        ul_eval_options o = e->o;
        o.model = e->reference;
        ul_columns r;
        UL_TRY(ul_columns_score(e->ctx, e->arena, &o, set, which, c->name, &r));
        double *loss = UL_NEW(e->arena, double, set->n);
        UL_NEED(loss);
        for (int64_t i = 0; i < set->n; i++) {
            double sum = 0;
            for (int64_t t = r.token[i]; t < r.token[i + 1]; t++) sum -= r.logp[t];
            loss[i] = sum / (double)(r.token[i + 1] - r.token[i]);
        }
        c->ref_loss = loss;
    }
    if ((needs & UL_COL_GENERATION) && !c->generation) {
        const ul_columns *first = ul_evaluation_columns(e, data, "answer");
        if (which != UL_WHICH_ANSWER && first && first->generation) c->generation = first->generation;
        else UL_TRY(ul_columns_generate(e->ctx, e->arena, &e->o, set, c));
    }
    if ((needs & UL_COL_GROUND_TRUTH) && !c->ground_truth)
        UL_TRY(ul_columns_ground_truth(e->ctx, e->arena, &e->o, set, which, c));
    return UL_OK;
}

/* What a result reads must be there: its data sets, or the results it is computed from. */
static const char *lacking(const ul_evaluation *e, const ul_result_spec *spec, const ul_metric *metric)
{
    for (int i = 0; spec->from[i].role; i++) {
        const ul_source *f = &spec->from[i];
        const ul_records *set = f->data ? find_set(e, f->data) : NULL;
        if (f->data && !set) return f->data;
        if (f->data && which_of(f->key) == UL_WHICH_PARAPHRASE && !set->at[0].paraphrase) return "paraphrased answer";
        if (f->data && which_of(f->key) == UL_WHICH_WRONG && !set->at[0].n_wrong) return "perturbed answer";
        if (f->result) {
            bool there = false;
            for (int k = 0; k < e->n_result; k++) there |= !strcmp(e->result[k].name, f->result);
            if (!there) return f->result;
        }
        for (int k = 0; k < 3 && metric->needs[k].role; k++)
            if (f->data && (metric->needs[k].columns & UL_COL_REF_LOSS) && !e->reference) return "a reference model (--reference-model)";
        for (int k = 0; k < 3 && metric->needs[k].role; k++)
            if (f->data && (metric->needs[k].columns & UL_COL_GRAD_NORM)) return "gradient norms";
    }
    return NULL;
}

ul_status ul_evaluation_run(ul_evaluation *e, json_t *all, json_t *summary)
{
    int n;
    const ul_result_spec *specs = ul_tofu_results(&n);
    for (int i = 0; i < n; i++) {
        const ul_metric *metric;
        UL_TRY(ul_metric_find(e->ctx, specs[i].metric, &metric));
        const char *lack = lacking(e, &specs[i], metric);
        if (lack) {
            ul_note(e->ctx, UL_LOG_DEBUG, "%s: left out, there is no %s", specs[i].name, lack);
            continue;
        }
        for (int f = 0; specs[i].from[f].role; f++) {
            const ul_source *from = &specs[i].from[f];
            for (int k = 0; from->data && k < 3 && metric->needs[k].role; k++)
                if (!strcmp(metric->needs[k].role, from->role) || !strcmp(metric->needs[k].role, "*"))
                    UL_TRY(need_columns(e, from->data, from->key, metric->needs[k].columns));
        }
        const ul_known known = {e->columns, e->n_columns, e->result, e->n_result, e->control, e->n_control};
        ul_result *r = UL_NEW(e->arena, ul_result, 1);
        UL_NEED(r);
        UL_TRY(ul_result_compute(e->arena, &specs[i], &known, r));
        e->result[e->n_result++] = (ul_named_result){specs[i].name, r};
        if (summary) json_object_set_new(summary, specs[i].name, r->absent ? json_null() : json_real(r->agg_value));
        if (!all) continue;
        json_t *j;
        UL_TRY(ul_result_json(e->ctx, metric, r, &j));
        json_object_set_new(all, specs[i].name, j);
    }
    return UL_OK;
}

ul_status ul_evaluation_control(ul_evaluation *e, const char *path)
{
    json_t *log;
    UL_TRY(ul_json_load(e->ctx, e->arena, path, &log));
    int n;
    const ul_result_spec *specs = ul_tofu_results(&n);
    const ul_records *forget = find_set(e, "forget");
    for (int i = 0; i < n; i++) {
        const json_t *j = json_object_get(log, specs[i].name);
        if (!j) continue;
        const ul_metric *metric;
        UL_TRY(ul_metric_find(e->ctx, specs[i].metric, &metric));
        ul_result *r = UL_NEW(e->arena, ul_result, 1);
        const char *where = ul_format(e->arena, "%s: %s", path, specs[i].name);
        UL_NEED(r);
        UL_NEED(where);
        UL_TRY(ul_result_from_json(e->ctx, e->arena, metric, where, j, r));
        if (!strcmp(specs[i].name, "forget_truth_ratio") && forget && r->n_part == 1 && r->part[0].rows.n_row != forget->n)
            return ul_fail(e->ctx, UL_E_INPUT, "%s: the control's log has %lld rows, the forget set has %lld (logs of another "
                           "split?)", where, (long long)r->part[0].rows.n_row, (long long)forget->n);
        e->control[e->n_control++] = (ul_named_result){specs[i].name, r};
    }
    if (!e->n_control) return ul_fail(e->ctx, UL_E_INPUT, "%s: no TOFU result in it (a TOFU_EVAL.json is wanted)", path);
    return UL_OK;
}

