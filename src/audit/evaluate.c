/* evaluate.c - from a model and named data sets to TOFU's results.
 *
 * Passes follow from the table of results (metric.h): each data set and kind of answer
 * is run once, whatever reads it. */
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
        return ul_fail(e->ctx, UL_E_INTERNAL, "an evaluation takes %d data sets; \"%s\" is one too many", UL_MAX_SET,
                       name);
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

static bool is_sampled(const char *key)
{
    return !strcmp(key, "sampled_answer");
}

static unsigned needs_of(const ul_metric *metric, const char *role)
{
    for (int k = 0; k < 3 && metric->needs[k].role; k++)
        if (!strcmp(metric->needs[k].role, role) || !strcmp(metric->needs[k].role, "*"))
            return metric->needs[k].columns;
    return 0;
}

/* What is not there of what a source of a result reads, in words (the last such call's); NULL: everything is, or can
 * be made. */
static const char *lacking_of(ul_evaluation *e, const ul_source *f, unsigned needs)
{
    const ul_records *set = find_set(e, f->data);
    const ul_columns *c = ul_evaluation_columns(e, f->data, f->key);
    if (!set && !c) {
        snprintf(e->lack, sizeof e->lack, "data set \"%s\" (%s)", f->data,
                 strcmp(f->data, "holdout") ? f->key : "--holdout");
        return e->lack;
    }
    if (!set) {
        const char *column = ul_columns_lack(c, needs);
        if (!column) return NULL;
        snprintf(e->lack, sizeof e->lack, "column %s of \"%s\" (%s)", column, f->data, f->key);
        return e->lack;
    }
    if (which_of(f->key) == UL_WHICH_PARAPHRASE && !set->at[0].paraphrase) return "paraphrased answer";
    if (which_of(f->key) == UL_WHICH_WRONG && !set->at[0].n_wrong) return "perturbed answer";
    if ((needs & UL_COL_REF_LOSS) && !e->reference) return "reference model (--reference-model)";
    if (needs & UL_COL_SCORE) return "classifier's score of the answers (only logs have some)";
    if (is_sampled(f->key) && !e->o.samples) return "sampled answer (--samples)";
    if ((needs & UL_COL_DIVERGENCE) && !e->retrained) return "retrained model (--control)";
    if ((needs & UL_COL_GRAD_NORM) && !e->trainable) return "model to take gradients of";
    return NULL;
}

enum {
    SCORES = UL_COL_DIVERGENCE | UL_COL_LOGP | UL_COL_HIT | UL_COL_MOMENTS | UL_COL_AVG_LOSS | UL_COL_PROB | UL_COL_TEXT
};

/* Of the data that a result reads; NULL: all of it is there. */
static const char *data_lacking(ul_evaluation *e, const ul_result_spec *spec, const ul_metric *metric)
{
    for (const ul_source *f = spec->from; f->role; f++) {
        const char *lack = f->data ? lacking_of(e, f, needs_of(metric, f->role)) : NULL;
        if (lack) return lack;
    }
    return NULL;
}

/* Whether a result that is wanted, and has its data, reads one of these columns of (data set, answer). */
static bool read_of(ul_evaluation *e, const char *data, const char *key, unsigned columns)
{
    int n;
    const ul_result_spec *spec = ul_tofu_results(&n);
    for (int i = 0; i < n; i++) {
        const ul_metric *metric;
        if (!e->wanted[i] || ul_metric_find(e->ctx, spec[i].metric, &metric) != UL_OK) continue;
        for (const ul_source *f = spec[i].from; f->role; f++)
            if (f->data && !strcmp(f->data, data) && !strcmp(f->key, key) && needs_of(metric, f->role) & columns &&
                !data_lacking(e, &spec[i], metric))
                return true;
    }
    return false;
}

static ul_status columns_of(ul_evaluation *e, const ul_records *set, const char *data, const char *key,
                            ul_columns **out)
{
    *out = (ul_columns *)(uintptr_t)ul_evaluation_columns(e, data, key);
    if (*out) return UL_OK;
    ul_columns *c = UL_NEW(e->arena, ul_columns, 1);
    const char *name = ul_format(e->arena, "%s %s", data, key);
    int64_t *entity = UL_NEW(e->arena, int64_t, set->n);
    UL_NEED(c);
    UL_NEED(name);
    UL_NEED(entity);
    for (int64_t i = 0; i < set->n; i++) entity[i] = set->at[i].entity;
    *c = (ul_columns){.name = name, .n_row = set->n, .entity = entity};
    e->columns[e->n_columns++] = (ul_data_columns){data, key, c};
    *out = c;
    return UL_OK;
}

/* Scores of (data set, answer), and of the set's other answers that some result will read: they share their prompts. */
static ul_status score(ul_evaluation *e, const ul_records *set, const char *data, const char *key)
{
    static const char *const keys[] = {"answer", "paraphrased_answer", "perturbed_answer"};
    ul_columns *to[UL_MAX_WHICH], got[UL_MAX_WHICH];
    const char *names[UL_MAX_WHICH];
    int32_t which[UL_MAX_WHICH];
    ul_eval_options o = e->o;
    int n = 0;
    for (int k = 0; k < 3; k++) {
        if (strcmp(keys[k], key) && !read_of(e, data, keys[k], SCORES)) continue;
        UL_TRY(columns_of(e, set, data, keys[k], &to[n]));
        if (!to[n]->logp) names[n] = to[n]->name, which[n] = which_of(keys[k]), n++;
        o.moments |= read_of(e, data, keys[k], UL_COL_MOMENTS);
    }
    UL_TRY(ul_columns_score_kinds(e->ctx, e->arena, &o, set, which, n, names, got));
    for (int k = 0; k < n; k++) {
        got[k].generation = to[k]->generation, got[k].ground_truth = to[k]->ground_truth;
        got[k].grad_norm = to[k]->grad_norm, got[k].ref_loss = to[k]->ref_loss;
        *to[k] = got[k];
    }
    return UL_OK;
}

/* Columns of (data set, answer) for what a metric needs, run when first asked for. */
static ul_status need_columns(ul_evaluation *e, const char *data, const char *key, unsigned needs)
{
    ul_records *set = find_set(e, data);
    if (!set) return UL_OK;
    ul_columns *c;
    const int32_t which = which_of(key);
    UL_TRY(columns_of(e, set, data, key, &c));
    if (is_sampled(key)) return c->generation ? UL_OK : ul_columns_samples(e->ctx, e->arena, &e->o, set, c);
    if ((needs & SCORES) && !c->logp) UL_TRY(score(e, set, data, key));
    if ((needs & UL_COL_DIVERGENCE) && e->retrained && !c->kl)
        UL_TRY(ul_columns_divergence(e->ctx, e->arena, &e->o, e->retrained, set, c));
    if ((needs & UL_COL_GRAD_NORM) && e->trainable && !c->grad_norm) {
        ul_eval_options o = e->o;
        o.model = e->trainable;
        UL_TRY(ul_columns_grad_norm(e->ctx, e->arena, &o, set, 2, c));
    }
    if ((needs & UL_COL_REF_LOSS) && e->reference && !c->ref_loss) {
        ul_eval_options o = e->o;
        o.model = e->reference;
        o.guard = NULL;
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

static const char *lacking(ul_evaluation *e, const ul_result_spec *spec, const ul_metric *metric)
{
    const char *lack = data_lacking(e, spec, metric);
    if (lack) return lack;
    for (const ul_source *f = spec->from; f->role; f++) {
        bool there = !f->result || f->optional;
        for (int k = 0; k < e->n_result && !there; k++) there = !strcmp(e->result[k].name, f->result);
        if (!there) return f->result;
    }
    return NULL;
}

/* ---- what is asked for ------------------------------------------------------------------------------------------- */
static bool needs_gradients(const ul_result_spec *spec)
{
    const ul_metric *m;
    for (int i = 0; (m = ul_metric_at(i)); i++)
        if (!strcmp(ul_metric_id(m), spec->metric))
            return spec->from[0].data && needs_of(m, spec->from[0].role) & UL_COL_GRAD_NORM;
    return false;
}

static ul_status unknown_result(ul_evaluation *e, const char *name)
{
    int n, k = 0;
    const ul_result_spec *spec = ul_tofu_results(&n);
    const char **names = UL_NEW(e->arena, const char *, 2 * n + 2);
    UL_NEED(names);
    for (int i = 0; i < n; i++) names[k++] = spec[i].name, names[k++] = spec[i].metric;
    names[k] = "all";
    const char *near = ul_nearest(name, names);
    return ul_fail(e->ctx, UL_E_USAGE, "--metrics: there is no result or metric \"%s\"%s%s%s", name,
                   near ? "; did you mean \"" : "", near ? near : " (`unlearn metrics` lists them)", near ? "\"?" : "");
}

ul_status ul_evaluation_ask(ul_evaluation *e, const char *list)
{
    int n;
    const ul_result_spec *spec = ul_tofu_results(&n);
    e->asked = true;
    for (int i = 0; !list && i < n; i++) e->wanted[i] = !needs_gradients(&spec[i]);
    for (const char *s = list; s && *s;) {
        const char *name = ul_strndup(e->arena, s, strcspn(s, ","));
        UL_NEED(name);
        const bool all = !strcmp(name, "all");
        bool found = all;
        for (int i = 0; i < n; i++) {
            const bool named = !strcmp(spec[i].name, name);
            e->named[i] |= named;
            e->wanted[i] |= all || named || !strcmp(spec[i].metric, name);
            found |= e->wanted[i] && !all && (named || !strcmp(spec[i].metric, name));
        }
        if (!found) return unknown_result(e, name);
        s += strlen(name);
        s += *s == ',';
    }
    for (int i = n - 1; i >= 0; i--) /* results come after what they are computed from */
        for (const ul_source *f = spec[i].from; e->wanted[i] && f->role; f++)
            for (int k = 0; f->result && k < i; k++) e->wanted[k] |= !strcmp(spec[k].name, f->result);
    return UL_OK;
}

ul_status ul_evaluation_leak(ul_evaluation *e, const char *list, int64_t samples)
{
    int n;
    const ul_result_spec *spec = ul_tofu_results(&n);
    for (const char *s = list; s && *s;) {
        int64_t k;
        const char *text = ul_strndup(e->arena, s, strcspn(s, ","));
        UL_NEED(text);
        if (!ul_parse_int(text, &k) || k < 1 || k > 1000000)
            return ul_fail(e->ctx, UL_E_USAGE,
                           "--leak-k takes numbers of samples, 1 or more, joined with commas: not \"%s\"", text);
        if (samples >= 0 && k > samples)
            return ul_fail(e->ctx, UL_E_USAGE, "--leak-k %s: --samples %lld are too few, it takes at least %s", text,
                           (long long)samples, text);
        if (e->n_leak == UL_MAX_LEAK)
            return ul_fail(e->ctx, UL_E_USAGE, "--leak-k takes at most %d numbers", UL_MAX_LEAK);
        UL_TRY(ul_leak_result(e->arena, k, &e->leak[e->n_leak]));
        bool twice = ul_tofu_result(e->leak[e->n_leak].name) != NULL; /* the table has it already */
        for (int i = 0; i < e->n_leak; i++) twice |= !strcmp(e->leak[i].name, e->leak[e->n_leak].name);
        e->n_leak += !twice;
        s += strlen(text);
        s += *s == ',';
    }
    for (int i = 0; list && i < n; i++)
        e->wanted[i] |= !strcmp(spec[i].name, "forget_sample_ROUGE") || !strcmp(spec[i].name, "forget_leak_at_1");
    return UL_OK;
}

const ul_result_spec *ul_evaluation_spec(const ul_evaluation *e, const char *name)
{
    for (int i = 0; i < e->n_leak; i++)
        if (!strcmp(e->leak[i].name, name)) return &e->leak[i];
    return ul_tofu_result(name);
}

unsigned ul_evaluation_needs(const ul_evaluation *e)
{
    int n;
    unsigned all = 0;
    const ul_result_spec *spec = ul_tofu_results(&n);
    for (int i = 0; i < n; i++)
        for (int k = 0; e->wanted[i] && k < ul_metric_count(); k++)
            for (const ul_source *f = spec[i].from; !strcmp(ul_metric_id(ul_metric_at(k)), spec[i].metric) && f->role;
                 f++)
                if (f->data) all |= needs_of(ul_metric_at(k), f->role);
    return all;
}

/* ---- running ----------------------------------------------------------------------------------------------------- */
static ul_status run_one(ul_evaluation *e, const ul_result_spec *spec, const ul_metric *metric, json_t *all,
                         json_t *summary)
{
    for (const ul_source *f = spec->from; f->role; f++)
        if (f->data) UL_TRY(need_columns(e, f->data, f->key, needs_of(metric, f->role)));
    const ul_known known = {e->columns, e->n_columns, e->result,   e->n_result,
                            e->control, e->n_control, e->original, e->n_original};
    ul_result *r = UL_NEW(e->arena, ul_result, 1);
    UL_NEED(r);
    UL_TRY(ul_result_compute(e->arena, spec, &known, r));
    e->result[e->n_result++] = (ul_named_result){spec->name, r};
    if (summary) json_object_set_new(summary, spec->name, r->absent ? json_null() : json_real(r->agg_value));
    if (!all) return UL_OK;
    json_t *j;
    UL_TRY(ul_result_json(e->ctx, metric, r, &j));
    json_object_set_new(all, spec->name, j);
    return UL_OK;
}

/* What was named and cannot be had for want of data is said before anything is computed. */
static ul_status check_named(ul_evaluation *e, const ul_result_spec *specs, int n)
{
    for (int i = 0; i < n; i++) {
        const ul_metric *metric;
        if (!e->wanted[i] || !e->named[i]) continue;
        UL_TRY(ul_metric_find(e->ctx, specs[i].metric, &metric));
        const char *lack = data_lacking(e, &specs[i], metric);
        if (lack)
            return ul_fail(e->ctx, UL_E_USAGE, "--metrics %s: there is no %s to compute it from", specs[i].name, lack);
    }
    return UL_OK;
}

ul_status ul_evaluation_run(ul_evaluation *e, json_t *all, json_t *summary)
{
    int n;
    const ul_result_spec *specs = ul_tofu_results(&n);
    if (!e->asked) UL_TRY(ul_evaluation_ask(e, NULL));
    UL_TRY(check_named(e, specs, n));
    for (int i = 0; i < n; i++) {
        const ul_metric *metric;
        if (!e->wanted[i]) continue;
        UL_TRY(ul_metric_find(e->ctx, specs[i].metric, &metric));
        const char *lack = lacking(e, &specs[i], metric);
        if (lack && e->named[i])
            return ul_fail(e->ctx, UL_E_USAGE, "--metrics %s: there is no %s to compute it from", specs[i].name, lack);
        if (lack) ul_note(e->ctx, UL_LOG_DEBUG, "%s: left out, there is no %s", specs[i].name, lack);
        else UL_TRY(run_one(e, &specs[i], metric, all, summary));
    }
    for (int i = 0; i < e->n_leak; i++) {
        const ul_metric *metric;
        UL_TRY(ul_metric_find(e->ctx, e->leak[i].metric, &metric));
        const char *lack = lacking(e, &e->leak[i], metric);
        if (lack) return ul_fail(e->ctx, UL_E_USAGE, "--leak-k: there is no %s to compute it from (--samples)", lack);
        UL_TRY(run_one(e, &e->leak[i], metric, all, summary));
    }
    return UL_OK;
}

/* The forget set is, for the comparison with another model's log, a result whose rows are its answers. */
static ul_status baseline(ul_evaluation *e, const char *path, ul_named_result *other, int *n_other)
{
    const ul_records *forget = find_set(e, "forget");
    const ul_columns *kept = ul_evaluation_columns(e, "forget", "answer");
    UL_TRY(ul_log_results(e->ctx, e->arena, path, NULL, other, n_other, NULL));
    if (!forget && !kept) return UL_OK;
    ul_result own = {.n_part = 1};
    if (forget) {
        const char **answer = UL_NEW(e->arena, const char *, forget->n);
        UL_NEED(answer);
        for (int64_t i = 0; i < forget->n; i++) answer[i] = forget->at[i].answer;
        own.part[0].rows = (ul_columns){.name = forget->path, .n_row = forget->n, .ground_truth = answer};
    } else own.part[0].rows = *kept;
    const ul_named_result named[2] = {{"forget_truth_ratio", &own}, {"forget_Q_A_ROUGE", &own}};
    return ul_log_same_data(e->ctx, e->arena, path, named, 2, other, *n_other);
}

ul_status ul_evaluation_control(ul_evaluation *e, const char *path)
{
    return baseline(e, path, e->control, &e->n_control);
}

ul_status ul_evaluation_original(ul_evaluation *e, const char *path)
{
    return baseline(e, path, e->original, &e->n_original);
}
