/* job_eval.c - evaluate a model as TOFU does, or on own data.
 *
 * With --reference-logs (a log of the retrained control, ours or open-unlearning's) forget quality,
 * privleak and privacy are there too, with --original-logs utility beside the original's, with both
 * open-unlearning's final aggregate. */
#include "audit/battery.h"
#include "audit/benchmark.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

static const ul_param params[] = {
    {"model", UL_TEXT, 0, 0, 0, NULL, "a Hugging Face directory", ""},
    {"adapter", UL_TEXT, 0, 0, 0, NULL, "a PEFT directory to put on it", ""},
    {"guard", UL_TEXT, 0, 0, 0, NULL,
     "a guard to put around the model: what `forget` writes with --method filter, prompt, eco and their kin", ""},
    {"tofu", UL_TEXT, 0, 0, 0, NULL, "the directory of TOFU's files", ""},
    {"split", UL_TEXT, 0, 0, 0, NULL, "TOFU's forget split: forget01, forget05, forget10", "forget10"},
    {"forget", UL_TEXT, 0, 0, 0, NULL, "own data instead of TOFU: what was to be forgotten", ""},
    {"retain", UL_TEXT, 0, 0, 0, NULL, "own data: what was to stay", ""},
    {"holdout", UL_TEXT, 0, 0, 0, NULL,
     "rows of the same kind as the forget set's that no model has seen, for the membership scores and privleak; "
     "default: --tofu's holdout10.json (01, 05), where it is there",
     ""},
    {"logs", UL_TEXT, 0, 0, 0, NULL,
     "no model: a TOFU_EVAL.json (ours or open-unlearning's) or the log of another benchmark, every aggregate computed "
     "again from its rows",
     ""},
    {"columns", UL_TEXT, 0, 0, 0, NULL,
     "no model: the columns.sqlite of an evaluation, every metric computed again from its columns", ""},
    {"metrics", UL_TEXT, 0, 0, 0, NULL,
     "results (forget_Q_A_Prob) or metrics (rouge) to compute, joined with commas, of a benchmark too "
     "(forget_knowmem_ROUGE, acc_calibrated); all: also mia_gradnorm, which takes a gradient a row; default: "
     "everything but that",
     ""},
    {"reference-logs", UL_TEXT, 0, 0, 0, NULL,
     "TOFU_EVAL.json of the retrained control, for forget quality and privleak", ""},
    {"original-logs", UL_TEXT, 0, 0, 0, NULL,
     "TOFU_EVAL.json of the model before it forgot, for utility beside its, and the final aggregate", ""},
    {"reference-model", UL_TEXT, 0, 0, 0, NULL, "model directory for mia_reference", ""},
    {"control", UL_TEXT, 0, 0, 0, NULL, "the retrained control itself: distances to it, by token, layer and weight",
     ""},
    {"original", UL_TEXT, 0, 0, 0, NULL,
     "with --control: the model before it forgot; the unlearning depth score (UDS) says how much of the forget answers "
     "it still reads in this model's states, beside the control's",
     ""},
    UL_PARAM_PATCH_TAU,
    {"rows", UL_INT, 0, 0, 1e9, "rows", "only the first rows of every set; 0: all", NULL},
    {"max-new", UL_INT, 200, 1, 1 << 20, "tokens", "longest generation", NULL},
    {"batch", UL_INT, 64, 1, 4096, "rows", "rows generated together. Never changes a number", NULL},
    {"batch-tokens", UL_INT, 2048, 16, 1 << 24, "tokens", "tokens scored together. Never changes a number", NULL},
    {"out", UL_TEXT, 0, 0, 0, NULL,
     "the directory to write: TOFU_EVAL.json, TOFU_SUMMARY.json, columns.sqlite, manifest.json", ""},
    {"force", UL_BOOL, 0, 0, 1, NULL, "write into a directory that is not empty; files of the same names are replaced",
     NULL},
    {"match", UL_TEXT, 0, 0, 0, "none|open-unlearning",
     "open-unlearning: a genuine token with the pad id is hidden as a key, and "
     "positions in generation count visible tokens, as the peer's padded batches do",
     "none"},
    {0}};

static const ul_param sampling_params[] = {
    {"samples", UL_INT, 0, 0, 1 << 16, NULL, "sampled answers a forget row, for leak@k and its bound; 0: none", NULL},
    {"leak-k", UL_TEXT, 0, 0, 0, NULL,
     "leak@k of sampled answers for these k too, joined with commas (2,16,128), each at most --samples", ""},
    {"temperature", UL_REAL, 1, 1e-6, 100, NULL, "of sampled answers", NULL},
    {"top-p", UL_REAL, 1, 0, 1, NULL, "sample from the smallest set of tokens with this probability", NULL},
    {"top-k", UL_INT, 0, 0, 1 << 20, "tokens", "sample from this many; 0: all", NULL},
    {"seed", UL_INT, 0, 0, 9e15, NULL, "of sampling; a function of (seed, row, place), so the batch does not matter",
     NULL},
    {0}};

/* TOFU's invented authors have 20 rows each; every row about real authors and the world is about another one. */
static ul_status open_set(ul_job *job, ul_evaluation *e, ul_manifest *m, const char *name, const char *path)
{
    const bool real = !strcmp(name, "real_authors") || !strcmp(name, "world_facts");
    const int32_t per = ul_job_given(job, "entity-rows")    ? (int32_t)ul_job_int(job, "entity-rows")
                        : ul_job_text(job, "tofu") && !real ? 20
                                                            : 0;
    ul_records *r;
    UL_TRY(ul_records_open(job->ctx, job->arena, path, ul_job_text(job, "fields"), per, &r));
    UL_TRY(ul_manifest_input(job, m, name, path, r->digest, r->n));
    const int64_t rows = ul_job_int(job, "rows");
    if (rows && rows < r->n) r->n = rows;
    return ul_evaluation_add(e, name, r);
}

/* TOFU's files by their published names. A missing holdout only takes the membership scores away; --holdout stands in
 * its place. */
static ul_status open_tofu(ul_job *job, ul_evaluation *e, ul_manifest *m, const char *dir)
{
    const char *split;
    UL_TRY(ul_job_tofu_split(job, &split));
    const struct {
        const char *name, *file;
        bool must;
    } files[] = {{"forget", ul_format(job->arena, "%s_perturbed.json", split), true},
                 {"retain", "retain_perturbed.json", true},
                 {"real_authors", "real_authors_perturbed.json", true},
                 {"world_facts", "world_facts_perturbed.json", true},
                 {"holdout", ul_format(job->arena, "holdout%s.json", split + 6), false}};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        const char *path = files[i].file ? ul_path_join(job->arena, dir, files[i].file) : NULL;
        UL_NEED(path);
        if (!files[i].must && (ul_job_text(job, files[i].name) || !ul_file_exists(path))) continue;
        UL_TRY(open_set(job, e, m, files[i].name, path));
    }
    return UL_OK;
}

static ul_status write_outputs(ul_job *job, const char *dir, const json_t *all, const json_t *summary)
{
    const char *a = ul_path_join(job->arena, dir, "TOFU_EVAL.json"),
               *b = ul_path_join(job->arena, dir, "TOFU_SUMMARY.json");
    UL_NEED(a);
    UL_NEED(b);
    UL_TRY(ul_json_save(job->ctx, a, all));
    return ul_json_save(job->ctx, b, summary);
}

/* ---- the table ------------------------------------------------------------------------------------------------- */
/* Results over the rows of one data set are resampled together:
 * the group is the place of the first result that reads it. */
static uint32_t group_of(const ul_result_spec *spec)
{
    int n;
    const ul_result_spec *all = ul_tofu_results(&n);
    const ul_source *f = &spec->from[0];
    if (!f->role) return 2 * (uint32_t)n + 2; /* in a log only: alone */
    if (f->result) return group_of(ul_tofu_result(f->result));
    uint32_t i = 0;
    for (bool found = false; !found; i++)
        for (const ul_source *g = all[i].from; g->role && !found; g++) found = g->data && !strcmp(g->data, f->data);
    return 2 * (i - 1); /* an AUC takes two */
}

static const ul_result *result_of(const ul_evaluation *e, const char *name)
{
    for (int i = 0; i < e->n_result; i++)
        if (!strcmp(e->result[i].name, name)) return e->result[i].result;
    return NULL;
}

/* Rows about one person alone do not say how another one's would differ. */
static bool about_several(const ul_result *r)
{
    for (int k = 0; k < r->n_part; k++) {
        const ul_columns *c = &r->part[k].rows;
        bool several = c->n_row > 1 && !c->entity;
        for (int64_t i = 1; c->entity && i < c->n_row && !several; i++) several = c->entity[i] != c->entity[0];
        if (!several) return false;
    }
    return r->n_part > 0;
}

/* Of means over rows, AUCs, and harmonic means of the former; *has is false for the others, and where all rows of a set
 * are about one person. */
static ul_status interval_of(ul_evaluation *e, const ul_result_spec *spec, const ul_result *r, ul_interval *out,
                             bool *has)
{
    const ul_resampling how = {.seed = 0, .n_rep = 2000, .level = 0.95};
    const ul_result *part[10];
    uint32_t group[10];
    int n = 0;
    *has = !r->absent && about_several(r);
    if (*has) return ul_result_interval(e->arena, r, group_of(spec), &how, out);
    if (r->absent || r->n_part || strcmp(spec->metric, "hm_aggregate") || spec->args) return UL_OK;
    for (; n < 10 && spec->from[n].role; n++) {
        part[n] = result_of(e, spec->from[n].result);
        if (!part[n] || part[n]->absent || part[n]->n_part != 1 || !about_several(part[n])) return UL_OK;
        group[n] = group_of(ul_tofu_result(spec->from[n].result));
    }
    *has = n > 0;
    return *has ? ul_harmonic_interval(e->arena, part, group, n, &how, out) : UL_OK;
}

static const char *number_text(double x, char out[24])
{
    snprintf(out, 24, (fabs(x) < 1e-3 && x != 0) || fabs(x) >= 1e7 ? "%.1e" : "%.4f", x);
    return out;
}

static ul_status table(ul_job *job, ul_evaluation *e, json_t *intervals)
{
    static const char *const better[] = {
        [UL_BETTER_HIGHER] = "higher", [UL_BETTER_LOWER] = "lower", [UL_BETTER_CLOSER] = "closer to "};
    ul_buf *b = &job->text;
    for (int i = 0; i < e->n_set; i++)
        ul_buf_printf(b, "%s: %lld rows%s", e->set_name[i], (long long)e->set[i]->n, i + 1 < e->n_set ? ", " : "\n\n");
    ul_buf_printf(b, "%-30s %10s   %-20s %s\n", "result", "value", "95 % interval", "better");
    for (int i = 0; i < e->n_result; i++) {
        const ul_result_spec *spec = ul_evaluation_spec(e, e->result[i].name);
        const ul_result *r = e->result[i].result;
        const ul_metric *m;
        ul_interval iv = {0};
        bool has = false;
        char text[64] = "", value[24], lo[24], hi[24];
        UL_TRY(ul_metric_find(job->ctx, spec->metric, &m));
        UL_TRY(interval_of(e, spec, r, &iv, &has));
        if (r->absent) {
            ul_buf_printf(b, "%-30s %10s   %s\n", spec->name, "-", r->why ? r->why : "");
            continue;
        }
        if (has) snprintf(text, sizeof text, "%s .. %s", number_text(iv.lo, lo), number_text(iv.hi, hi));
        ul_buf_printf(b, "%-30s %10s   %-20s %s", spec->name, number_text(r->agg_value, value), text,
                      better[spec->better]);
        if (spec->better == UL_BETTER_CLOSER) ul_buf_printf(b, "%g", m->ideal);
        ul_buf_puts(b, "\n");
        if (has) json_object_set_new(intervals, spec->name, json_pack("[f, f]", iv.lo, iv.hi));
    }
    return ul_buf_puts(b, "\n\"better\" is meant of a model that shall have forgotten; intervals resample entities "
                          "(--entity-rows), 2000 times\n");
}

/* ---- from a log ------------------------------------------------------------------------------------------------ */
/* {"forget_Q_A_Prob": {"agg_value": x, "recorded": y, "interval": [lo, hi]}, ...} */
static ul_status log_json(ul_job *job, const ul_evaluation *e, const json_t *log, const json_t *intervals)
{
    job->result = json_object();
    for (int i = 0; job->result && i < e->n_result; i++) {
        const char *name = e->result[i].name;
        const ul_result *r = e->result[i].result;
        json_t *recorded = json_object_get(json_object_get(log, name), "agg_value"),
               *interval = json_object_get(intervals, name);
        json_t *j = json_pack("{s:o}", "agg_value", r->absent ? json_null() : json_real(r->agg_value));
        if (j && recorded) json_object_set(j, "recorded", recorded);
        if (j && interval) json_object_set(j, "interval", interval);
        if (j && r->absent && r->why) json_object_set_new(j, "why", json_string(r->why));
        if (!j || json_object_set_new(job->result, name, j))
            return ul_fail(job->ctx, UL_E_RESOURCE, "no memory for the result");
        if (json_is_number(recorded) && !r->absent &&
            fabs(json_number_value(recorded) - r->agg_value) > 1e-6 * fabs(r->agg_value))
            ul_note(job->ctx, UL_LOG_WARN, "%s: the log says %.9g, its rows give %.9g", name,
                    json_number_value(recorded), r->agg_value);
    }
    return job->result ? UL_OK : ul_fail(job->ctx, UL_E_RESOURCE, "no memory for the result");
}

/* A log does not say who its rows are about: every row its own, or so many rows a person. */
static ul_status set_entities(ul_job *job, ul_evaluation *e)
{
    const int64_t per = ul_job_int(job, "entity-rows");
    for (int i = 0; i < e->n_result; i++)
        for (int k = 0; k < e->result[i].result->n_part; k++) {
            ul_columns *c = &((ul_result *)(uintptr_t)e->result[i].result)->part[k].rows;
            int64_t *entity = UL_NEW(job->arena, int64_t, c->n_row);
            UL_NEED(entity);
            for (int64_t r = 0; r < c->n_row; r++) entity[r] = ul_columns_index(c, r) / per;
            c->entity = entity;
        }
    return UL_OK;
}

/* No model, no data: flags that would be passed over are refused. */
static ul_status refuse(ul_job *job, const char *given, const char *const *names)
{
    for (; *names; names++)
        if (ul_job_given(job, *names))
            return ul_fail(job->ctx, UL_E_USAGE, "--%s is all that is read; it does not go with --%s", given, *names);
    return UL_OK;
}

static ul_status run_log(ul_job *job, ul_evaluation *e)
{
    static const char *const not_with[] = {"model", "adapter", "guard", "tofu", "forget", "retain", "holdout",
                                           "reference-model", "control", "original", "samples", "rows", "columns",
                                           "out", "metrics", "leak-k", "muse", "rwku", "choices", NULL};
    static const char *const of_tofu[] = {"original-logs", "entity-rows", NULL}; /* of logs of TOFU alone */
    const char *path = ul_job_text(job, "logs"), *control = ul_job_text(job, "reference-logs");
    const char *original = ul_job_text(job, "original-logs");
    json_t *log, *intervals = json_object();
    UL_TRY(ul_json_own(job->arena, intervals));
    UL_TRY(refuse(job, "logs", not_with));
    UL_TRY(ul_json_load_unique(job->ctx, job->arena, path, &log));
    if (ul_benchmark_log_is(log)) {
        UL_TRY(refuse(job, "logs", of_tofu));
        return ul_benchmark_log(job, log);
    }
    if (control) UL_TRY(ul_log_results(job->ctx, job->arena, control, NULL, e->control, &e->n_control, NULL));
    if (original) UL_TRY(ul_log_results(job->ctx, job->arena, original, NULL, e->original, &e->n_original, NULL));
    const ul_baselines beside = {e->control, e->n_control, e->original, e->n_original};
    UL_TRY(ul_log_results(job->ctx, job->arena, path, &beside, e->result, &e->n_result, &log));
    if (control)
        UL_TRY(ul_log_same_data(job->ctx, job->arena, control, e->result, e->n_result, e->control, e->n_control));
    if (original)
        UL_TRY(ul_log_same_data(job->ctx, job->arena, original, e->result, e->n_result, e->original, e->n_original));
    for (int i = 0; i < e->n_result && e->n_leak < UL_MAX_LEAK; i++) /* leak@k, and results of other names */
        if (!ul_tofu_result(e->result[i].name))
            UL_TRY(ul_log_other(job->arena, e->result[i].name, json_object_get(log, e->result[i].name),
                                &e->leak[e->n_leak++]));
    if (ul_job_int(job, "entity-rows")) UL_TRY(set_entities(job, e));
    UL_TRY(table(job, e, intervals));
    return log_json(job, e, log, intervals);
}

/* ---- from a model ---------------------------------------------------------------------------------------------- */
/* For the depth score, which is of forget answers, beside the control. */
static ul_status open_original(ul_job *job, ul_evaluation *e, ul_backend *be, ul_manifest *m)
{
    const char *dir = ul_job_text(job, "original");
    char digest[65];
    if (!dir) return UL_OK;
    if (!e->retrained || (!ul_job_text(job, "tofu") && !ul_job_text(job, "forget")))
        return ul_fail(job->ctx, UL_E_USAGE, "--original is for the depth score: it needs --control DIR, the retrained "
                       "model beside which states are read, and forget rows (--forget or --tofu)");
    UL_TRY(ul_job_model(job, be, dir, UL_OPEN_PANELS, &e->before, NULL, digest));
    return ul_manifest_input(job, m, "original", dir, digest, -1);
}

static ul_status open_model(ul_job *job, ul_evaluation *e, ul_backend *be, ul_manifest *m)
{
    const char *dir = ul_job_text(job, "model"), *adapter = ul_job_text(job, "adapter"),
               *reference = ul_job_text(job, "reference-model"), *control = ul_job_text(job, "control");
    char digest[65];
    UL_TRY(ul_job_model(job, be, dir, UL_OPEN_PANELS, &e->o.model, &e->o.tok, digest));
    UL_TRY(ul_manifest_input(job, m, "model", dir, digest, -1));
    UL_TRY(ul_manifest_side_files(job, m, dir));
    UL_TRY(ul_job_guard(job, m, e->o.model, e->o.tok, digest, &e->o.guard));
    if (adapter) {
        const char *file = ul_path_join(job->arena, adapter, "adapter_model.safetensors");
        UL_NEED(file);
        UL_TRY(ul_lora_open(job->ctx, e->o.model, adapter));
        UL_TRY(ul_job_digest(job, file, digest));
        UL_TRY(ul_manifest_input(job, m, "adapter", adapter, digest, -1));
    }
    if (reference) {
        UL_TRY(ul_job_model(job, be, reference, UL_OPEN_PANELS, &e->reference, NULL, digest));
        UL_TRY(ul_manifest_input(job, m, "reference-model", reference, digest, -1));
    }
    if (control && e->o.guard)
        return ul_fail(job->ctx, UL_E_USAGE,
                       "--control compares the weights, states and logits of two models; leave --guard away with it");
    if (control) {
        UL_TRY(ul_job_model(job, be, control, UL_OPEN_PANELS, &e->retrained, NULL, digest));
        UL_TRY(ul_manifest_input(job, m, "control", control, digest, -1));
    }
    UL_TRY(open_original(job, e, be, m));
    if (!(ul_evaluation_needs(e) & UL_COL_GRAD_NORM)) return UL_OK;
    if (adapter)
        return ul_fail(job->ctx, UL_E_USAGE, "mia_gradnorm is of the model's own weights: merge the adapter first");
    if (e->o.guard)
        return ul_fail(job->ctx, UL_E_USAGE, "mia_gradnorm is of the model's own weights: a guard (--guard) has none");
    return ul_job_model(job, be, dir, 0, &e->trainable, NULL, NULL);
}

static ul_status options(ul_job *job, ul_evaluation *e)
{
    UL_TRY(ul_job_template(job, e->o.tok, ul_model_shape(e->o.model), &e->o.tpl));
    e->o.batch = (int32_t)ul_job_int(job, "batch");
    e->o.batch_tokens = (int32_t)ul_job_int(job, "batch-tokens");
    e->o.max_new = (int32_t)ul_job_int(job, "max-new");
    e->o.texts = true;
    e->o.samples = (int32_t)ul_job_int(job, "samples");
    e->o.temperature = ul_job_num(job, "temperature");
    e->o.top_p = ul_job_num(job, "top-p");
    e->o.top_k = (int32_t)ul_job_int(job, "top-k");
    e->o.seed = (uint64_t)ul_job_int(job, "seed");
    e->o.peer_positions = e->o.tpl.hide_pad;
    return UL_OK;
}

/* Logs of other models that results compare with. */
static ul_status baselines(ul_job *job, ul_evaluation *e, ul_manifest *m)
{
    const char *control = ul_job_text(job, "reference-logs"), *original = ul_job_text(job, "original-logs");
    if (control) {
        UL_TRY(ul_manifest_file(job, m, "reference-logs", control));
        UL_TRY(ul_evaluation_control(e, control));
    }
    if (!original) return UL_OK;
    UL_TRY(ul_manifest_file(job, m, "original-logs", original));
    return ul_evaluation_original(e, original);
}

static ul_status open_data(ul_job *job, ul_evaluation *e, ul_manifest *m)
{
    const char *tofu = ul_job_text(job, "tofu");
    static const char *const own[] = {"forget", "retain", "holdout"};
    if (tofu) UL_TRY(open_tofu(job, e, m, tofu));
    for (int i = tofu ? 2 : 0; i < 3; i++)
        if (ul_job_text(job, own[i])) UL_TRY(open_set(job, e, m, own[i], ul_job_text(job, own[i])));
    return baselines(job, e, m);
}

ul_status ul_eval_origin(ul_job *job, const ul_manifest *m, json_t **out)
{
    const char *role, *precision = ul_job_text(job, "precision"), *match = ul_job_text(job, "match");
    json_t *v, *j = json_pack("{s:s, s:s, s:s}", "program", "unlearn " UL_VERSION, "recipe", m->recipe_digest,
                              "precision", precision ? precision : "f32");
    UL_TRY(ul_json_own(job->arena, j));
    if (match && strcmp(match, "none")) json_object_set_new(j, "match", json_string(match));
    json_object_foreach(m->inputs, role, v)
    {
        const char *key = ul_format(job->arena, "digest of %s", role);
        UL_NEED(key);
        json_object_set(j, key, json_object_get(v, "digest"));
    }
    *out = j;
    return UL_OK;
}

/* {"weights": x, "by_tensor": {..}, "cka": {"forget": [one a layer], ...}} and the same in words. */
static ul_status distances(ul_job *job, const ul_evaluation *e, json_t *out)
{
    const char *dir = ul_job_text(job, "model"), *control = ul_job_text(job, "control");
    json_t *tensors = json_object(), *cka = json_object();
    double relative;
    if (json_object_set_new(out, "by_tensor", tensors) || json_object_set_new(out, "cka", cka))
        return ul_fail(job->ctx, UL_E_RESOURCE, "no memory for the distances");
    UL_TRY(ul_control_weights(job->ctx, dir, control, &relative, tensors));
    json_object_set_new(out, "weights", json_real(relative));
    ul_buf_printf(&job->text,
                  "\nto the control %s: |W - W_control| / |W_control| = %.3g%s; linear CKA of the answers' states, "
                  "first and last block:\n",
                  control, relative, ul_job_text(job, "adapter") ? " (without the adapter)" : "");
    for (int i = 0; i < e->n_set; i++) {
        const int n = ul_model_shape(e->o.model)->n_layer;
        double *x = UL_NEW(job->arena, double, n);
        UL_NEED(x);
        json_t *list = json_array();
        if (json_object_set_new(cka, e->set_name[i], list))
            return ul_fail(job->ctx, UL_E_RESOURCE, "no memory for the distances");
        UL_TRY(ul_control_cka(job->ctx, &e->o, e->retrained, e->set[i], x));
        for (int l = 0; l < n; l++) json_array_append_new(list, isfinite(x[l]) ? json_real(x[l]) : json_null());
        ul_buf_printf(&job->text, "  %-14s %.4f %.4f\n", e->set_name[i], x[0], x[n - 1]);
    }
    return UL_OK;
}

/* {"uds": x, "interval": [lo, hi], "rows": n, "by_layer": [{"model", "control"}, ...]} under "depth". */
static ul_status depth(ul_job *job, const ul_evaluation *e, json_t *out)
{
    ul_depth_found d;
    const ul_records *forget = NULL;
    json_t *layers = json_array();
    UL_TRY(ul_json_own(job->arena, layers));
    for (int i = 0; i < e->n_set; i++)
        if (!strcmp(e->set_name[i], "forget")) forget = e->set[i];
    if (!e->before || !forget) return UL_OK;
    UL_TRY(ul_control_depth(job->ctx, &e->o, e->before, e->retrained, forget, ul_job_num(job, "patch-tau"), &d));
    for (int l = 0; l < d.n_layer; l++)
        json_array_append_new(layers, json_pack("{s:f, s:f}", "model", d.model[l], "control", d.control[l]));
    json_t *j = json_pack("{s:I, s:O}", "rows", (json_int_t)d.rows, "by_layer", layers);
    if (!j || json_object_set_new(out, "depth", j))
        return ul_fail(job->ctx, UL_E_RESOURCE, "no memory for the distances");
    if (!d.rows)
        return ul_buf_puts(&job->text, "UDS: none; no layer of the control costs the original more than --patch-tau\n");
    json_object_set_new(j, "uds", json_real(d.value));
    json_object_set_new(j, "interval", json_pack("[f, f]", d.interval.lo, d.interval.hi));
    return ul_buf_printf(&job->text,
                         "UDS of the forget answers: %.4f [%.4f, %.4f], %lld of %lld rows; 0: the original reads them "
                         "in the model's states, 1: no more than in the control's\n",
                         d.value, d.interval.lo, d.interval.hi, (long long)d.rows, (long long)forget->n);
}

static ul_status finish(ul_job *job, ul_evaluation *e, ul_manifest *m, const ul_backend *be, const char *out,
                        json_t *origin)
{
    const char *from = be ? "model" : "columns";
    json_t *all = json_object(), *summary = json_object(), *intervals = json_object();
    UL_TRY(ul_json_own(job->arena, all));
    UL_TRY(ul_json_own(job->arena, summary));
    UL_TRY(ul_json_own(job->arena, intervals));
    UL_TRY(ul_evaluation_run(e, all, summary));
    UL_TRY(table(job, e, intervals));
    job->result = json_pack("{s:s, s:s, s:O, s:O}", from, ul_job_text(job, from), "recipe_digest", m->recipe_digest,
                            "results", summary, "intervals", intervals);
    if (!job->result) return ul_fail(job->ctx, UL_E_RESOURCE, "no memory for the result");
    if (e->retrained) {
        json_t *apart = json_object();
        if (json_object_set_new(job->result, "distance", apart))
            return ul_fail(job->ctx, UL_E_RESOURCE, "no memory for the result");
        UL_TRY(distances(job, e, apart));
        UL_TRY(depth(job, e, apart));
    }
    if (!out) return UL_OK;
    const char *columns = ul_path_join(job->arena, out, "columns.sqlite");
    UL_NEED(columns);
    UL_TRY(ul_columns_save(job->ctx, columns, e->columns, e->n_columns, origin));
    UL_TRY(write_outputs(job, out, all, summary));
    UL_TRY(ul_manifest_write(job, m, be, out));
    return ul_buf_printf(&job->text, "written: %s\n", out);
}

static ul_status run_model(ul_job *job, ul_evaluation *e)
{
    ul_manifest m;
    ul_backend *be;
    json_t *origin;
    static const char *const not_with[] = {"tofu", "forget", "retain", "holdout", "reference-model", "control",
                                           "original", "original-logs", "samples", "leak-k", NULL};
    const char *out = ul_job_text(job, "out"), *benchmark = ul_benchmark_asked(job);
    if (!ul_job_text(job, "tofu") && !ul_job_text(job, "forget") && !ul_job_text(job, "retain") && !benchmark)
        return ul_fail(job->ctx, UL_E_USAGE, "`eval` needs --tofu DIR, or --forget FILE and --retain FILE (or "
                       "--muse DIR, --rwku DIR, --choices FILES)");
    if (benchmark) UL_TRY(refuse(job, benchmark, not_with));
    if (out) UL_TRY(ul_job_out_name(job, &out));
    if (!benchmark) UL_TRY(ul_evaluation_ask(e, ul_job_text(job, "metrics")));
    UL_TRY(ul_evaluation_leak(e, ul_job_text(job, "leak-k"), ul_job_int(job, "samples")));
    UL_TRY(ul_manifest_begin(job, &m));
    UL_TRY(ul_job_backend(job, &be));
    UL_TRY(open_model(job, e, be, &m));
    UL_TRY(options(job, e));
    if (benchmark) return ul_benchmark_run(job, &e->o, &m, be, out);
    UL_TRY(open_data(job, e, &m));
    UL_TRY(ul_manifest_seal(job, &m));
    if (out) UL_TRY(ul_dir_make(job->ctx, out));
    UL_TRY(ul_eval_origin(job, &m, &origin));
    return finish(job, e, &m, be, out, origin);
}

/* ---- from columns ---------------------------------------------------------------------------------------------- */
static ul_status run_columns(ul_job *job, ul_evaluation *e)
{
    static const char *const not_with[] = {"model", "adapter", "guard", "tofu", "forget", "retain", "holdout",
                                           "reference-model", "control", "original", "samples", "rows", "entity-rows",
                                           "muse", "rwku", "choices", NULL};
    static const char *const not_of_benchmarks[] = {"original-logs", "leak-k", NULL};
    const char *path = ul_job_text(job, "columns"), *out = ul_job_text(job, "out");
    ul_manifest m;
    json_t *origin;
    ul_data_columns *columns;
    int n;
    UL_TRY(refuse(job, "columns", not_with));
    if (out) UL_TRY(ul_job_out_name(job, &out));
    UL_TRY(ul_columns_load(job->ctx, job->arena, path, &columns, &n, &origin));
    UL_TRY(ul_manifest_begin(job, &m));
    UL_TRY(ul_manifest_file(job, &m, "columns", path));
    if (ul_benchmark_made(columns, n)) {
        UL_TRY(refuse(job, "columns", not_of_benchmarks));
        return ul_benchmark_again(job, columns, n, origin, &m, out);
    }
    UL_TRY(ul_evaluation_ask(e, ul_job_text(job, "metrics")));
    UL_TRY(ul_evaluation_leak(e, ul_job_text(job, "leak-k"), -1));
    if (n > UL_MAX_COLUMNS)
        return ul_fail(job->ctx, UL_E_INPUT, "%s: %d passes, an evaluation has at most %d", path, n, UL_MAX_COLUMNS);
    e->n_columns = n;
    if (n) memcpy(e->columns, columns, (size_t)n * sizeof *columns);
    UL_TRY(baselines(job, e, &m));
    UL_TRY(ul_manifest_seal(job, &m));
    if (out) UL_TRY(ul_dir_make(job->ctx, out));
    const ul_status s = finish(job, e, &m, NULL, out, origin);
    return s == UL_E_INPUT ? ul_fail_in(job->ctx, s, "%s", path) : s;
}

static ul_status run(ul_job *job)
{
    ul_evaluation *e = UL_NEW(job->arena, ul_evaluation, 1);
    UL_NEED(e);
    e->ctx = job->ctx;
    e->arena = job->arena;
    const char *out = ul_job_text(job, "out");
    const bool there = out && ul_dir_exists(out);
    const ul_status s = ul_job_text(job, "logs")      ? run_log(job, e)
                        : ul_job_text(job, "columns") ? run_columns(job, e)
                                                      : run_model(job, e);
    if (s != UL_OK && out && !there) ul_dir_remove_empty(out);
    return s;
}

const ul_job_kind ul_job_eval = {
    .id = "eval",
    .summary = "evaluate a model as TOFU does, or on own data",
    .about = "Runs every data set once and computes what open-unlearning computes from it, with its names and JSON "
             "shape: probabilities, "
             "ROUGE, truth ratios, model utility, memorisation and membership scores; forget quality and privleak when "
             "the log of a "
             "retrained control is given. The numbers do not depend on batch size, threads or instruction set. "
             "With --guard they are of the model behind a guard: `unlearn forget --model demo-out/target --forget "
             "demo-out/data/forget.jsonl "
             "--retain demo-out/data/retain.jsonl --method filter --out guard` makes one; then `unlearn eval --model "
             "demo-out/target --guard guard "
             "--forget demo-out/data/forget.jsonl --retain demo-out/data/retain.jsonl`.",
    .example =
        "unlearn eval --model demo-out/npo --forget demo-out/data/forget.jsonl --retain demo-out/data/retain.jsonl",
    .tables = {params, ul_benchmark_params, sampling_params, ul_data_params, ul_compute_params},
    .run = run};
