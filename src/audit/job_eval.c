/* job_eval.c - evaluate a model as TOFU does, or on own data.
 *
 * With --reference-logs (a log of the retrained control, ours or open-unlearning's) forget quality and privleak are there too. */
#include "audit/audit.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

static const ul_param params[] = {
    {"model", UL_TEXT, 0, 0, 0, NULL, "a Hugging Face directory", ""},
    {"adapter", UL_TEXT, 0, 0, 0, NULL, "a PEFT directory to put on it", ""},
    {"tofu", UL_TEXT, 0, 0, 0, NULL, "the directory of TOFU's files", ""},
    {"split", UL_TEXT, 0, 0, 0, NULL, "TOFU's forget split: forget01, forget05, forget10", "forget10"},
    {"forget", UL_TEXT, 0, 0, 0, NULL, "own data instead of TOFU: what was to be forgotten", ""},
    {"retain", UL_TEXT, 0, 0, 0, NULL, "own data: what was to stay", ""},
    {"reference-logs", UL_TEXT, 0, 0, 0, NULL, "TOFU_EVAL.json of the retrained control, for forget quality and privleak", ""},
    {"reference-model", UL_TEXT, 0, 0, 0, NULL, "model directory for mia_reference", ""},
    {"rows", UL_INT, 0, 0, 1e9, "rows", "only the first rows of every set; 0: all", NULL},
    {"max-new", UL_INT, 200, 1, 1 << 20, "tokens", "longest generation", NULL},
    {"batch", UL_INT, 64, 1, 4096, "rows", "rows generated together. Never changes a number", NULL},
    {"batch-tokens", UL_INT, 4096, 16, 1 << 24, "tokens", "tokens scored together. Never changes a number", NULL},
    {"out", UL_TEXT, 0, 0, 0, NULL, "the directory to write: TOFU_EVAL.json, TOFU_SUMMARY.json, manifest.json", ""},
    {"force", UL_BOOL, 0, 0, 1, NULL, "write into a directory that is not empty; files of the same names are replaced", NULL},
    {"match", UL_TEXT, 0, 0, 0, "none|open-unlearning", "open-unlearning: a genuine token with the pad id is hidden as a key, and "
     "positions in generation count visible tokens, as the peer's padded batches do", "none"},
    {0}};

static ul_status open_set(ul_job *job, ul_evaluation *e, ul_manifest *m, const char *name, const char *path)
{
    const int32_t per = ul_job_given(job, "entity-rows") ? (int32_t)ul_job_int(job, "entity-rows")
                        : ul_job_text(job, "tofu")       ? 20
                                                         : 0;
    ul_records *r;
    UL_TRY(ul_records_open(job->ctx, job->arena, path, ul_job_text(job, "fields"), per, &r));
    UL_TRY(ul_manifest_input(job, m, name, path, r->digest, r->n));
    const int64_t rows = ul_job_int(job, "rows");
    if (rows && rows < r->n) r->n = rows;
    return ul_evaluation_add(e, name, r);
}

/* TOFU's files by their published names. A missing holdout only takes the membership scores away. */
static ul_status open_tofu(ul_job *job, ul_evaluation *e, ul_manifest *m, const char *dir)
{
    const char *split = ul_job_text(job, "split");
    if (!split) split = "forget10";
    if (strncmp(split, "forget", 6) || strlen(split) != 8)
        return ul_fail(job->ctx, UL_E_USAGE, "--split %s: TOFU's splits are forget01, forget05, forget10", split);
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
        if (!files[i].must && !ul_file_exists(path)) continue;
        UL_TRY(open_set(job, e, m, files[i].name, path));
    }
    return UL_OK;
}

static ul_status write_outputs(ul_job *job, const char *dir, const json_t *all, const json_t *summary)
{
    const char *a = ul_path_join(job->arena, dir, "TOFU_EVAL.json"), *b = ul_path_join(job->arena, dir, "TOFU_SUMMARY.json");
    UL_NEED(a);
    UL_NEED(b);
    UL_TRY(ul_json_save(job->ctx, a, all));
    return ul_json_save(job->ctx, b, summary);
}

/* ---- the table ---------------------------------------------------------------------------------------------------------- */
/* Results over the rows of one data set are resampled together: the group is the set's place. */
static uint32_t group_of(const ul_evaluation *e, const ul_result_spec *spec)
{
    const ul_source *f = &spec->from[0];
    if (f->result) return group_of(e, ul_tofu_result(f->result));
    for (int i = 0; f->data && i < e->n_set; i++)
        if (!strcmp(e->set_name[i], f->data)) return 2 * (uint32_t)i; /* an AUC takes two */
    return 2 * UL_MAX_SET;
}

static const ul_result *result_of(const ul_evaluation *e, const char *name)
{
    for (int i = 0; i < e->n_result; i++)
        if (!strcmp(e->result[i].name, name)) return e->result[i].result;
    return NULL;
}

/* Of means over rows, AUCs, and harmonic means of the former; *has is false for the others. */
static ul_status interval_of(ul_evaluation *e, const ul_result_spec *spec, const ul_result *r, ul_interval *out, bool *has)
{
    const ul_resampling how = {.seed = 0, .n_rep = 2000, .level = 0.95};
    const ul_result *part[10];
    uint32_t group[10];
    int n = 0;
    *has = !r->absent && r->n_part > 0;
    if (*has) return ul_result_interval(e->arena, r, group_of(e, spec), &how, out);
    if (r->absent || strcmp(spec->metric, "hm_aggregate") || spec->args) return UL_OK;
    for (; n < 10 && spec->from[n].role; n++) {
        part[n] = result_of(e, spec->from[n].result);
        if (!part[n] || part[n]->absent || part[n]->n_part != 1) return UL_OK;
        group[n] = group_of(e, ul_tofu_result(spec->from[n].result));
    }
    *has = n > 0;
    return *has ? ul_harmonic_interval(e->arena, part, group, n, &how, out) : UL_OK;
}

static const char *number_text(double x, char out[24])
{
    snprintf(out, 24, fabs(x) < 1e-3 && x != 0 ? "%.1e" : "%.4f", x);
    return out;
}

static ul_status table(ul_job *job, ul_evaluation *e, json_t *intervals)
{
    static const char *const better[] = {[UL_BETTER_HIGHER] = "higher", [UL_BETTER_LOWER] = "lower", [UL_BETTER_CLOSER] = "closer to "};
    ul_buf *b = &job->text;
    for (int i = 0; i < e->n_set; i++) ul_buf_printf(b, "%s%s: %lld rows", i ? ", " : "", e->set_name[i], (long long)e->set[i]->n);
    ul_buf_printf(b, "\n\n%-30s %10s   %-20s %s\n", "result", "value", "95 % interval", "better");
    for (int i = 0; i < e->n_result; i++) {
        const ul_result_spec *spec = ul_tofu_result(e->result[i].name);
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
        ul_buf_printf(b, "%-30s %10s   %-20s %s", spec->name, number_text(r->agg_value, value), text, better[spec->better]);
        if (spec->better == UL_BETTER_CLOSER) ul_buf_printf(b, "%g", m->ideal);
        ul_buf_puts(b, "\n");
        if (has) json_object_set_new(intervals, spec->name, json_pack("[f, f]", iv.lo, iv.hi));
    }
    return ul_buf_puts(b, "\n\"better\" is meant of a model that shall have forgotten; intervals resample people (entities), 2000 times\n");
}

static ul_status run(ul_job *job)
{
    ul_evaluation *e = UL_NEW(job->arena, ul_evaluation, 1);
    UL_NEED(e);
    e->ctx = job->ctx;
    e->arena = job->arena;
    ul_manifest m;
    ul_backend *be;
    const char *dir = ul_job_text(job, "model"), *out = ul_job_text(job, "out"), *tofu = ul_job_text(job, "tofu");
    char digest[65];
    if (!tofu && !ul_job_text(job, "forget") && !ul_job_text(job, "retain"))
        return ul_fail(job->ctx, UL_E_USAGE, "`eval` needs --tofu DIR, or --forget FILE and --retain FILE");
    if (out) UL_TRY(ul_job_out_name(job, &out));
    UL_TRY(ul_manifest_begin(job, &m));
    UL_TRY(ul_job_backend(job, &be));
    UL_TRY(ul_job_model(job, be, dir, UL_OPEN_PANELS, &e->o.model, &e->o.tok, digest));
    if (ul_job_text(job, "adapter")) {
        const char *adapter = ul_job_text(job, "adapter"), *file = ul_path_join(job->arena, adapter, "adapter_model.safetensors");
        char hex[65];
        UL_NEED(file);
        UL_TRY(ul_lora_open(job->ctx, e->o.model, adapter));
        UL_TRY(ul_job_digest(job, file, hex));
        UL_TRY(ul_manifest_input(job, &m, "adapter", adapter, hex, -1));
    }
    UL_TRY(ul_manifest_input(job, &m, "model", dir, digest, -1));
    UL_TRY(ul_manifest_side_files(job, &m, dir));
    UL_TRY(ul_job_template(job, e->o.tok, ul_model_shape(e->o.model), &e->o.tpl));
    e->o.batch = (int32_t)ul_job_int(job, "batch");
    e->o.batch_tokens = (int32_t)ul_job_int(job, "batch-tokens");
    e->o.max_new = (int32_t)ul_job_int(job, "max-new");
    e->o.texts = true;
    e->o.peer_positions = e->o.tpl.hide_pad;
    if (tofu) UL_TRY(open_tofu(job, e, &m, tofu));
    else {
        if (ul_job_text(job, "forget")) UL_TRY(open_set(job, e, &m, "forget", ul_job_text(job, "forget")));
        if (ul_job_text(job, "retain")) UL_TRY(open_set(job, e, &m, "retain", ul_job_text(job, "retain")));
    }
    if (ul_job_text(job, "reference-logs")) {
        UL_TRY(ul_manifest_file(job, &m, "reference-logs", ul_job_text(job, "reference-logs")));
        UL_TRY(ul_evaluation_control(e, ul_job_text(job, "reference-logs")));
    }
    if (ul_job_text(job, "reference-model")) {
        char ref[65];
        UL_TRY(ul_job_model(job, be, ul_job_text(job, "reference-model"), UL_OPEN_PANELS, &e->reference, NULL, ref));
        UL_TRY(ul_manifest_input(job, &m, "reference-model", ul_job_text(job, "reference-model"), ref, -1));
    }
    UL_TRY(ul_manifest_seal(job, &m));
    if (out) UL_TRY(ul_dir_make(job->ctx, out));
    json_t *all = json_object(), *summary = json_object(), *intervals = json_object();
    UL_TRY(ul_json_own(job->arena, all));
    UL_TRY(ul_json_own(job->arena, summary));
    UL_TRY(ul_json_own(job->arena, intervals));
    UL_TRY(ul_evaluation_run(e, all, summary));
    UL_TRY(table(job, e, intervals));
    job->result = json_pack("{s:s, s:s, s:O, s:O}", "model", dir, "recipe_digest", m.recipe_digest, "results", summary, "intervals", intervals);
    if (!job->result) return ul_fail(job->ctx, UL_E_RESOURCE, "no memory for the result");
    if (!out) return UL_OK;
    UL_TRY(write_outputs(job, out, all, summary));
    UL_TRY(ul_manifest_write(job, &m, be, out));
    return ul_buf_printf(&job->text, "written: %s\n", out);
}

const ul_job_kind ul_job_eval = {
    .id = "eval", .summary = "evaluate a model as TOFU does, or on own data",
    .about = "Runs every data set once and computes what open-unlearning computes from it, with its names and JSON shape: probabilities, "
             "ROUGE, truth ratios, model utility, memorisation and membership scores; forget quality and privleak when the log of a "
             "retrained control is given. The numbers do not depend on batch size, threads or instruction set.",
    .example = "unlearn eval --model demo-out/npo --forget demo-out/data/forget.jsonl --retain demo-out/data/retain.jsonl",
    .tables = {params, ul_data_params, ul_compute_params}, .run = run};
