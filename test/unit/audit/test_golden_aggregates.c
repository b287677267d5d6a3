/* Every number of other people's evaluations that can be computed from their per-example numbers, computed again:
 * the golden eval records (float64) and the published open-unlearning logs of Llama-3.2-1B (float32),
 * ROUGE from the recorded texts. The table of TOFU's results is held against the record's `config`.
 * Prints the worst error by result. */
#include "ul_test.h"
#include "audit/audit.h"
#include <dirent.h>
#include <jansson.h>
#include <math.h>

enum { MAX_RESULT = UL_MAX_RESULT };

typedef struct {
    ul_ctx *ctx;
    ul_arena *a;
} world;

/* What one evaluation says: {result: {field: [value of row 0, ...]}} and {result: aggregate}. */
typedef struct {
    const char *where;
    json_t *rows, *aggregates;
    double row_tolerance; /* of numbers derived from others: 1e-12 in float64, float32's rounding in the logs */
} evaluation;

static double worst[MAX_RESULT], worst_row[MAX_RESULT];
static int64_t n_compared[MAX_RESULT];

static double away(double got, double want)
{
    return got == want ? 0 : fabs(got - want) / fmax(fabs(want), 1e-300);
}

/* ---- reading ---------------------------------------------------------------------------------------------------- */
static json_t *load(const char *path)
{
    json_error_t e;
    json_t *j = json_load_file(path, 0, &e);
    if (!j) fail_msg("%s: %s", path, e.text);
    return j;
}

/* value_by_index -> {field: [..]} */
static json_t *by_field(const json_t *value_by_index)
{
    json_t *out = json_object();
    const char *index, *field;
    json_t *row, *value;
    json_object_foreach((json_t *)value_by_index, index, row) {
        json_object_foreach(row, field, value) {
            if (!json_object_get(out, field)) json_object_set_new(out, field, json_array());
            json_array_append(json_object_get(out, field), value);
        }
    }
    return out;
}

static evaluation from_log(const char *path)
{
    json_t *log = load(path);
    evaluation e = {path, json_object(), json_object(), 1e-6};
    const char *name;
    json_t *entry;
    json_object_foreach(log, name, entry) {
        json_object_set(e.aggregates, name, json_object_get(entry, "agg_value"));
        if (json_object_get(entry, "value_by_index")) {
            json_object_set_new(e.rows, name, by_field(json_object_get(entry, "value_by_index")));
        } else if (json_object_get(entry, "forget")) {
            json_t *parts = json_object();
            static const char *const role[2] = {"forget", "holdout"};
            for (int k = 0; k < 2; k++) {
                json_t *f = by_field(json_object_get(json_object_get(entry, role[k]), "value_by_index"));
                json_object_set(parts, role[k], json_object_get(f, "score"));
                json_decref(f);
            }
            json_object_set_new(e.rows, name, parts);
        }
    }
    json_decref(log);
    return e;
}

static void release(evaluation *e)
{
    json_decref(e->rows);
    json_decref(e->aggregates);
}

/* ---- columns ---------------------------------------------------------------------------------------------------- */
static double number(const json_t *v, const char *where)
{
    if (!json_is_number(v)) fail_msg("%s: not a number", where);
    return json_number_value(v);
}

static void add_column(world *w, ul_columns *c, const char *field, const json_t *list)
{
    const int64_t n = (int64_t)json_array_size(list);
    const bool ragged = json_is_array(json_array_get(list, 0));
    c->n_row = n;
    if (ragged && !c->first) {
        int64_t *first = UL_NEW(w->a, int64_t, n + 1);
        for (int64_t i = 0; i < n; i++)
            first[i + 1] = first[i] + (int64_t)json_array_size(json_array_get(list, (size_t)i));
        c->first = first;
    }
    if (ul_columns_text(c, field)) {
        const char **text = UL_NEW(w->a, const char *, n);
        for (int64_t i = 0; i < n; i++) text[i] = json_string_value(json_array_get(list, (size_t)i));
        *ul_columns_text(c, field) = text;
    } else if (ul_columns_number(c, field)) {
        double *x = UL_NEW(w->a, double, ul_columns_answers(c));
        for (int64_t i = 0, j = 0; i < n; i++) {
            const json_t *v = json_array_get(list, (size_t)i);
            for (size_t k = 0; ragged && k < json_array_size(v); k++) x[j++] = number(json_array_get(v, k), field);
            if (!ragged) x[j++] = number(v, field);
        }
        *ul_columns_number(c, field) = x;
    }
}

static ul_columns columns_of(world *w, const evaluation *e, const char *result)
{
    ul_columns c = {.name = result};
    const char *field;
    json_t *list;
    json_object_foreach(json_object_get(e->rows, result), field, list) add_column(w, &c, field, list);
    return c;
}

/* ---- comparing -------------------------------------------------------------------------------------------------- */
static void compare(const evaluation *e, int i, const char *name, double got, double want, double tolerance,
                    double *most)
{
    const double d = away(got, want);
    if (!(d <= tolerance)) fail_msg("%s: %s is %.17g instead of %.17g", e->where, name, got, want);
    if (d > *most) *most = d;
    n_compared[i]++;
}

static void compare_rows(const evaluation *e, int i, const char *name, const ul_columns *got, const ul_columns *want,
                         double tolerance, const char *const *fields)
{
    ul_columns g = *got, r = *want;
    for (; *fields; fields++) {
        const double **x = ul_columns_number(&g, *fields), **y = ul_columns_number(&r, *fields);
        if (!x || !*y) continue;
        const int64_t n = ul_columns_answers(&r);
        assert_int_equal(ul_columns_answers(&g), n);
        for (int64_t j = 0; j < n; j++) compare(e, i, name, (*x)[j], (*y)[j], tolerance, &worst_row[i]);
    }
}

/* Columns of a pass, from what an evaluation says: prob follows from avg_loss, scores of ROUGE from the texts. The
 * token columns are in no record: those results keep their rows, and only the aggregate is computed again. */
static void recompute_pass(world *w, const evaluation *e, int i, const ul_result_spec *spec, const ul_metric *m,
                           ul_result *r)
{
    const bool mia = strcmp(spec->from[0].role, "forget") == 0;
    ul_args args;
    UL_OK_IN(w->ctx, ul_result_args(w->a, spec, &args));
    const ul_columns recorded = columns_of(w, e, spec->name);
    if (mia) {
        for (int k = 0; k < 2; k++) {
            r->part[k].role = spec->from[k].role;
            add_column(w, &r->part[k].rows, "score",
                       json_object_get(json_object_get(e->rows, spec->name), r->part[k].role));
        }
        r->n_part = 2;
    } else if (strcmp(spec->metric, "rouge") == 0 || strcmp(spec->metric, "probability") == 0) {
        ul_columns in = {.name = spec->name, .n_row = recorded.n_row, .first = recorded.first,
                         .avg_loss = recorded.avg_loss, .ground_truth = recorded.ground_truth,
                         .generation = recorded.generation};
        const ul_input input = {"data", &in, 0};
        UL_OK_IN(w->ctx, ul_metric_compute(w->a, m, &args, &input, 1, r));
        const bool rouge = strcmp(spec->metric, "rouge") == 0;
        compare_rows(e, i, spec->name, &r->part[0].rows, &recorded, rouge ? 1e-12 : e->row_tolerance, m->fields);
        r->part[0].rows = recorded;
    } else {
        r->part[0] = (ul_part){.role = "", .rows = recorded};
        r->n_part = 1;
    }
    UL_OK_IN(w->ctx, ul_metric_aggregate(w->a, m, &args, r));
}

static bool has_sources(const ul_result_spec *s, const ul_named_result *named, int n)
{
    for (const ul_source *f = s->from; f->role; f++) {
        bool found = !f->result;
        for (int i = 0; i < n && !found; i++) found = strcmp(named[i].name, f->result) == 0;
        if (!found) return false;
    }
    return true;
}

/* A result of other results; from here on its rows are the recorded ones. */
static void recompute_derived(world *w, const evaluation *e, int i, const ul_result_spec *spec, const ul_metric *m,
                              const ul_known *known, ul_result *r)
{
    ul_args args;
    UL_OK_IN(w->ctx, ul_result_args(w->a, spec, &args));
    const ul_columns recorded = columns_of(w, e, spec->name);
    if (has_sources(spec, known->result, known->n_result)) {
        UL_OK_IN(w->ctx, ul_result_compute(w->a, spec, known, r));
        if (!m->rows) return;
        compare_rows(e, i, spec->name, &r->part[0].rows, &recorded, e->row_tolerance, m->fields);
    }
    r->n_part = 1; /* a control's log may have the scores only */
    r->part[0] = (ul_part){.role = "", .rows = recorded};
    UL_OK_IN(w->ctx, ul_metric_aggregate(w->a, m, &args, r));
}

/* Everything that the evaluation has. */
static int recompute(world *w, const evaluation *e, const ul_named_result *control, int n_control,
                     ul_named_result *named)
{
    int n_spec, n = 0;
    const ul_result_spec *spec = ul_tofu_results(&n_spec);
    assert_true(n_spec <= MAX_RESULT);
    for (int i = 0; i < n_spec; i++) {
        const json_t *want = json_object_get(e->aggregates, spec[i].name);
        const ul_metric *m;
        UL_OK_IN(w->ctx, ul_metric_find(w->ctx, spec[i].metric, &m));
        if (!want) continue;
        ul_result *r = UL_NEW(w->a, ul_result, 1);
        const ul_known known = {.result = named, .n_result = n, .reference = control, .n_reference = n_control};
        if (spec[i].from[0].data) recompute_pass(w, e, i, &spec[i], m, r);
        else recompute_derived(w, e, i, &spec[i], m, &known, r);
        if (r->absent != json_is_null(want)) fail_msg("%s: %s is absent on one side only", e->where, spec[i].name);
        if (!r->absent) compare(e, i, spec[i].name, r->agg_value, json_number_value(want), 1e-9, &worst[i]);
        named[n++] = (ul_named_result){spec[i].name, r};
    }
    if (n < (int)json_object_size(e->aggregates)) {
        fail_msg("%s: %d of %d results are in the table", e->where, n, (int)json_object_size(e->aggregates));
    }
    return n;
}

/* ---- the table against a record's config ------------------------------------------------------------------------ */
static const char *text_at(const json_t *j, const char *key)
{
    return json_string_value(json_object_get(j, key));
}

static void same_sources(world *w, const char *where, const ul_result_spec *s, const json_t *config)
{
    const json_t *pre = json_object_get(config, "pre_compute");
    const json_t *sets = json_object_get(config, "datasets"), *logs = json_object_get(config, "reference_logs");
    size_t n_result = 0, n_set = 0;
    for (const ul_source *f = s->from; f->role; f++) {
        if (f->result) {
            const json_t *p = json_object_get(pre, f->result);
            const char *role = p ? text_at(p, "access_key") : NULL;
            if (!p || (role && strcmp(role, f->role) != 0)) fail_msg("%s: %s: %s", where, s->name, f->result);
            n_result++;
        } else if (f->reference) {
            if (!json_is_object(logs)) continue; /* the control itself was evaluated without one */
            const json_t *include = json_object_get(json_object_get(logs, "retain_model_logs"), "include");
            assert_string_equal(text_at(json_object_get(include, f->reference), "access_key"), f->role);
        } else {
            const char *name;
            json_t *set;
            json_object_foreach((json_t *)sets, name, set) {
                const json_t *args = json_object_get(set, "args");
                const char *role = text_at(set, "access_key"),
                           *file = text_at(json_object_get(args, "hf_args"), "data_files");
                if (!role) role = text_at(args, "access_key");
                if (role && strcmp(role, f->role) != 0) continue;
                n_set++;
                assert_string_equal(text_at(args, "answer_key"), f->key);
                if (!strstr(file, f->data)) fail_msg("%s: %s reads %s, not %s", where, s->name, file, f->data);
            }
        }
    }
    assert_int_equal(n_result, json_object_size(pre));
    assert_int_equal(n_set, json_object_size(sets));
    ul_args args;
    UL_OK_IN(w->ctx, ul_result_args(w->a, s, &args));
    static const char *const keys[2] = {"aggregator", "rouge_type"};
    for (int i = 0; i < 2; i++) {
        const char *v = text_at(config, keys[i]);
        if (v) assert_string_equal(ul_txt(&args, keys[i]), v);
    }
    if (json_object_get(config, "k")) assert_true(ul_num(&args, "k") == number(json_object_get(config, "k"), "k"));
}

static void same_table(world *w, const char *where, const json_t *config)
{
    const char *name;
    json_t *entry;
    json_object_foreach((json_t *)config, name, entry) {
        const ul_result_spec *s = ul_tofu_result(name);
        if (!s) fail_msg("%s: the table lacks %s", where, name);
        assert_string_equal(s->metric, text_at(entry, "handler"));
        same_sources(w, where, s, entry);
    }
}

/* ---- tests ------------------------------------------------------------------------------------------------------ */
static void one_record(world *w, const char *folder)
{
    const char *path = ul_format(w->a, "%s/golden.json", folder);
    json_t *g = load(path);
    evaluation e = {path, json_incref(json_object_get(g, "per_example")), json_incref(json_object_get(g, "expected")),
                    1e-12};
    const char *reference = text_at(g, "reference_logs");
    ul_named_result control[MAX_RESULT], own[MAX_RESULT];
    evaluation c = {0};
    int n_control = 0;
    same_table(w, path, json_object_get(g, "config"));
    if (reference) {
        c = from_log(ul_format(w->a, "%s/%s", folder, reference));
        n_control = recompute(w, &c, NULL, 0, control);
    }
    recompute(w, &e, control, n_control, own);
    release(&e);
    if (reference) release(&c);
    json_decref(g);
}

static void golden_records(void **state)
{
    world *w = *state;
    const char *root = ul_test_shared("golden/eval");
    DIR *d = opendir(root);
    int n = 0;
    for (struct dirent *p; (p = readdir(d));) {
        const char *folder = ul_format(w->a, "%s/%s/tofu", root, p->d_name);
        if (p->d_name[0] == '.' || access(folder, R_OK) != 0) continue;
        one_record(w, folder);
        n++;
    }
    closedir(d);
    assert_true(n > 0);
}

static void published_logs(void **state)
{
    world *w = *state;
    static const char *const split[3][2] = {{"01", "99"}, {"05", "95"}, {"10", "90"}};
    for (int k = 0; k < 3; k++) {
        char retain[256], full[256];
        snprintf(retain, sizeof retain, "data/datasets/open-unlearning-eval-logs/tofu_Llama-3.2-1B-Instruct_retain%s/"
                 "TOFU_EVAL.json", split[k][1]);
        snprintf(full, sizeof full, "data/datasets/open-unlearning-eval-logs/tofu_Llama-3.2-1B-Instruct_full/"
                 "evals_forget%s/TOFU_EVAL.json", split[k][0]);
        evaluation r = from_log(ul_test_shared(retain)), f = from_log(ul_test_shared(full));
        ul_named_result control[MAX_RESULT], own[MAX_RESULT];
        const int n = recompute(w, &r, NULL, 0, control);
        recompute(w, &f, control, n, own);
        release(&r);
        release(&f);
    }
}

/* The same through `eval --logs`: every aggregate that the log has, and nothing lost. */
static int aggregates_of(world *w, const char *path, const ul_named_result *control, int n_control,
                         ul_named_result *own)
{
    json_t *log;
    int n, n_same = 0;
    const ul_baselines beside = {.control = control, .n_control = n_control};
    UL_OK_IN(w->ctx, ul_log_results(w->ctx, w->a, path, &beside, own, &n, &log));
    for (int i = 0; i < n; i++) {
        const json_t *want = json_object_get(json_object_get(log, own[i].name), "agg_value");
        if (!want) continue;
        n_same++;
        if (own[i].result->absent != json_is_null(want))
            fail_msg("%s: %s is absent on one side only", path, own[i].name);
        if (!own[i].result->absent && away(own[i].result->agg_value, json_number_value(want)) > 1e-9)
            fail_msg("%s: %s is %.17g instead of %.17g", path, own[i].name, own[i].result->agg_value,
                     json_number_value(want));
    }
    assert_int_equal(n_same, json_object_size(log));
    assert_true(n_same >= 30);
    return n;
}

static void logs_of_the_program(void **state)
{
    world *w = *state;
    static const char *const logs = "data/datasets/open-unlearning-eval-logs/tofu_Llama-3.2-1B-Instruct",
                             *const last = "TOFU_EVAL.json";
    static const char *const split[3][2] = {{"01", "99"}, {"05", "95"}, {"10", "90"}};
    ul_named_result control[MAX_RESULT], own[MAX_RESULT];
    for (int k = 0; k < 3; k++) {
        const char *retain = ul_test_shared(ul_format(w->a, "%s_retain%s/%s", logs, split[k][1], last));
        const char *full = ul_test_shared(ul_format(w->a, "%s_full/evals_forget%s/%s", logs, split[k][0], last));
        const int n_control = aggregates_of(w, retain, NULL, 0, control),
                  n = aggregates_of(w, full, control, n_control, own);
        UL_OK_IN(w->ctx, ul_log_same_data(w->ctx, w->a, retain, own, n, control, n_control));
        if (k == 0) continue;
        /* the control of the split before is of other data */
        const char *other = ul_test_shared(ul_format(w->a, "%s_retain%s/%s", logs, split[k - 1][1], last));
        int n_other;
        UL_OK_IN(w->ctx, ul_log_results(w->ctx, w->a, other, NULL, control, &n_other, NULL));
        UL_FAILS_IN(w->ctx, UL_E_INPUT, "another split",
                    ul_log_same_data(w->ctx, w->a, other, own, n, control, n_other));
    }
    json_t *log;
    int n;
    const char *ten = ul_test_shared(ul_format(w->a, "%s_retain90/%s", logs, last));
    UL_OK_IN(w->ctx, ul_log_results(w->ctx, w->a, ten, NULL, own, &n, &log));
    ul_result shifted = {.n_part = 1}; /* as many rows, other answers */
    for (int i = 0; i < n; i++)
        if (!strcmp(own[i].name, "forget_Q_A_ROUGE")) shifted.part[0].rows = own[i].result->part[0].rows;
    const char **turned = UL_NEW(w->a, const char *, 400);
    for (int i = 0; i < 400; i++) turned[i] = shifted.part[0].rows.ground_truth[(i + 1) % 400];
    shifted.part[0].rows.ground_truth = turned;
    const ul_named_result other = {"forget_Q_A_ROUGE", &shifted};
    UL_FAILS_IN(w->ctx, UL_E_INPUT, "different data sets", ul_log_same_data(w->ctx, w->a, ten, own, n, &other, 1));
}

static double recorded(const json_t *log, const char *name)
{
    const json_t *x = json_object_get(json_object_get(log, name), "agg_value");
    assert_true(json_is_number(x));
    return json_number_value(x);
}

static const ul_result *named_result(const ul_named_result *list, int n, const char *name)
{
    for (int i = 0; i < n; i++)
        if (!strcmp(list[i].name, name)) return list[i].result;
    return NULL;
}

static double value_of(const ul_named_result *list, int n, const char *name)
{
    const ul_result *r = named_result(list, n, name);
    if (!r || r->absent) fail_msg("no %s", name);
    return r->agg_value;
}

/* A log with the score that a classifier gives each of its two answers. */
static const char *with_fluency(world *w, const char *folder, const char *path, const char *name, double a, double b)
{
    json_t *log = json_load_file(path, 0, NULL);
    assert_non_null(log);
    json_object_set_new(log, "forget_Q_A_gibberish",
                        json_pack("{s:f, s:{s:{s:f}, s:{s:f}}}", "agg_value", (a + b) / 2, "value_by_index", "0",
                                  "score", a, "1", "score", b));
    /* every other result over the forget set has 400 rows */
    json_t *rows = json_object_get(json_object_get(log, "forget_Q_A_gibberish"), "value_by_index");
    for (int i = 2; i < 400; i++)
        json_object_set_new(rows, ul_format(w->a, "%d", i), json_pack("{s:f}", "score", i % 2 ? b : a));
    const char *out = ul_format(w->a, "%s/%s.json", folder, name);
    assert_int_equal(json_dump_file(log, out, 0), 0);
    json_decref(log);
    return out;
}

/* The final ranking of arXiv 2506.12618 from the published logs: memorization from recorded aggregates,
 * privacy of a model that is its own control is 1, utility is a quotient of recorded ones; with a classifier's scores
 * in both logs fluency is part of it. */
static void final_aggregate(void **state)
{
    world *w = *state;
    static const char *const logs = "data/datasets/open-unlearning-eval-logs/tofu_Llama-3.2-1B-Instruct";
    const char *retain = ul_test_shared(ul_format(w->a, "%s_retain90/TOFU_EVAL.json", logs));
    const char *full = ul_test_shared(ul_format(w->a, "%s_full/evals_forget10/TOFU_EVAL.json", logs));
    ul_named_result control[MAX_RESULT], original[MAX_RESULT], own[MAX_RESULT];
    json_t *log, *before;
    ul_baselines beside = {control, 0, original, 0};
    int n;
    UL_OK_IN(w->ctx, ul_log_results(w->ctx, w->a, retain, NULL, control, &beside.n_control, &log));
    UL_OK_IN(w->ctx, ul_log_results(w->ctx, w->a, full, NULL, original, &beside.n_original, &before));
    UL_OK_IN(w->ctx, ul_log_results(w->ctx, w->a, retain, &beside, own, &n, NULL));
    const double ratio = recorded(log, "model_utility") / recorded(before, "model_utility");
    const double leak[4] = {recorded(log, "extraction_strength"), recorded(log, "exact_memorization"),
                            recorded(log, "forget_Q_A_PARA_Prob"),
                            value_of(own, n, "forget_truth_ratio_prob_mean")};
    double inverse = 0;
    for (int i = 0; i < 4; i++) inverse += 1 / (1 - leak[i]);
    const double memorization = 4 / inverse;
    assert_true(away(value_of(own, n, "privacy"), 1) < 1e-12);
    assert_true(away(value_of(own, n, "memorization"), memorization) < 1e-9);
    assert_true(away(value_of(own, n, "utility_relative"), ratio) < 1e-9);
    assert_true(away(value_of(own, n, "aggregate"), 3 / (1 / memorization + 1 + 1 / ratio)) < 1e-9);
    /* the original itself: it loses nothing, and its membership shows as plainly as can be */
    UL_OK_IN(w->ctx, ul_log_results(w->ctx, w->a, full, &beside, own, &n, NULL));
    assert_true(value_of(own, n, "utility_relative") == 1);
    assert_true(value_of(own, n, "privacy") == 0 && value_of(own, n, "aggregate") == 0);
    /* without one of the logs what needs it is left out */
    beside.n_original = 0;
    UL_OK_IN(w->ctx, ul_log_results(w->ctx, w->a, retain, &beside, own, &n, NULL));
    assert_true(!named_result(own, n, "aggregate") && !named_result(own, n, "utility_relative"));
    beside.n_control = 0;
    UL_OK_IN(w->ctx, ul_log_results(w->ctx, w->a, full, NULL, original, &beside.n_original, NULL));
    UL_OK_IN(w->ctx, ul_log_results(w->ctx, w->a, retain, &beside, own, &n, NULL));
    assert_true(!named_result(own, n, "aggregate") && away(value_of(own, n, "utility_relative"), ratio) < 1e-9);
    /* fluency: u = 2 / (1 / model utility + 1 / P(clean)); in one log only it is left out */
    const char *folder = ul_test_folder("fluency");
    const char *own_log = with_fluency(w, folder, retain, "own", 0.5, 0.7);
    UL_OK_IN(w->ctx, ul_log_results(w->ctx, w->a, own_log, &beside, own, &n, NULL));
    assert_true(away(value_of(own, n, "forget_Q_A_gibberish"), 0.6) < 1e-12);
    assert_true(away(value_of(own, n, "utility_relative"), ratio) < 1e-9);
    const char *its_log = with_fluency(w, folder, full, "original", 0.8, 0.9);
    UL_OK_IN(w->ctx, ul_log_results(w->ctx, w->a, its_log, NULL, original, &beside.n_original, NULL));
    UL_OK_IN(w->ctx, ul_log_results(w->ctx, w->a, own_log, &beside, own, &n, NULL));
    const double now = 2 / (1 / recorded(log, "model_utility") + 1 / 0.6);
    const double then = 2 / (1 / recorded(before, "model_utility") + 1 / 0.85);
    assert_true(away(value_of(own, n, "utility_relative"), now / then) < 1e-9);
}

/* An interval of each result of a published log holds the result, and is no wider than the metric's range. */
static void intervals_hold_the_result(void **state)
{
    world *w = *state;
    evaluation e = from_log(ul_test_shared("data/datasets/open-unlearning-eval-logs/tofu_Llama-3.2-1B-Instruct_full/"
                                           "evals_forget05/TOFU_EVAL.json"));
    ul_named_result named[MAX_RESULT];
    json_object_del(e.aggregates, "forget_quality"); /* here without a control */
    json_object_del(e.aggregates, "privleak");
    const int n = recompute(w, &e, NULL, 0, named);
    const ul_resampling how = {1, 500, 0.95};
    const ul_result *part[9] = {0};
    static const char *const nine[9] = {"retain_Q_A_Prob", "retain_Q_A_ROUGE", "retain_Truth_Ratio",
                                        "ra_Q_A_Prob_normalised", "ra_Q_A_ROUGE", "ra_Truth_Ratio",
                                        "wf_Q_A_Prob_normalised", "wf_Q_A_ROUGE", "wf_Truth_Ratio"};
    double utility = 0;
    for (int i = 0; i < n; i++) {
        ul_interval ci;
        for (int k = 0; k < 9; k++) {
            if (strcmp(named[i].name, nine[k]) == 0) part[k] = named[i].result;
        }
        if (strcmp(named[i].name, "model_utility") == 0) utility = named[i].result->agg_value;
        if (named[i].result->n_part == 0) continue;
        UL_OK_IN(w->ctx, ul_result_interval(w->a, named[i].result, 0, &how, &ci));
        const double x = named[i].result->agg_value;
        if (!(ci.lo <= x && x <= ci.hi && ci.hi - ci.lo < 0.2 && ci.hi > ci.lo)) {
            fail_msg("%s = %g in %g .. %g", named[i].name, x, ci.lo, ci.hi);
        }
    }
    const uint32_t group[9] = {1, 1, 1, 2, 2, 2, 3, 3, 3};
    ul_interval ci;
    UL_OK_IN(w->ctx, ul_harmonic_interval(w->a, part, group, 9, &how, &ci));
    if (!(ci.lo < utility && utility < ci.hi && ci.hi - ci.lo < 0.1))
        fail_msg("utility %g in %g .. %g", utility, ci.lo, ci.hi);
    release(&e);
}

static int set_up(void **state)
{
    static world w;
    w.ctx = ul_test_ctx();
    UL_OK_IN(w.ctx, ul_arena_new(w.ctx, "test", &w.a));
    *state = &w;
    return 0;
}

static int tear_down(void **state)
{
    world *w = *state;
    int n;
    const ul_result_spec *spec = ul_tofu_results(&n);
    printf("%-32s %9s  %-12s %s\n", "result", "compared", "aggregate", "rows (worst relative error)");
    for (int i = 0; i < n; i++) {
        if (n_compared[i])
            printf("%-32s %9lld  %-12.2g %.2g\n", spec[i].name, (long long)n_compared[i], worst[i], worst_row[i]);
    }
    ul_arena_free(w->a);
    ul_ctx_free(w->ctx);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(golden_records),
        cmocka_unit_test(published_logs),
        cmocka_unit_test(logs_of_the_program),
        cmocka_unit_test(final_aggregate),
        cmocka_unit_test(intervals_hold_the_result),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
