/* benchmark.c - what the benchmarks beside TOFU share: their flags, generation from whole prompts, tables and logs. */
#include "audit/benchmark.h"
#include <ctype.h>
#include <math.h>
#include <string.h>

const ul_param ul_benchmark_params[] = {
    {"choices", UL_TEXT, 0, 0, 0, NULL,
     "multiple-choice files (JSON lines, JSON, CSV; MMLU's, WMDP's), joined with commas, scored as "
     "lm-evaluation-harness does",
     ""},
    {"shots", UL_TEXT, 0, 0, 0, NULL, "files of solved examples for --choices, one a file, joined with commas", ""},
    {"n-shot", UL_INT, 5, 0, 64, "examples",
     "how many of --shots stand before each question (--muse: of the in-context examples; default there: all)", NULL},
    {"subject", UL_TEXT, 0, 0, 0, NULL, "what the questions of --choices are about; default: from each file's name",
     ""},
    {"no-bos", UL_BOOL, 0, 0, 1, NULL,
     "--choices without the special tokens that the tokenizer adds, as lm-evaluation-harness 0.4.5 unless "
     "add_bos_token is set", NULL},
    {"cloze", UL_BOOL, 0, 0, 1, NULL, "--choices also without letters: the options' own texts are scored", NULL},
    {"muse", UL_TEXT, 0, 0, 0, NULL,
     "a directory of MUSE's files: knowmem/, verbmem/, privleak/; those that are there are run", ""},
    {"rwku", UL_TEXT, 0, 0, 0, NULL,
     "a directory of RWKU's files: forget_level1.json .. forget_level3.json, neighbor_level1.json, "
     "neighbor_level2.json; those that are there are run",
     ""},
    {0}};

static const ul_benchmark_kind *const kinds[] = {&ul_benchmark_choices, &ul_benchmark_muse, &ul_benchmark_rwku};
enum { N_KIND = sizeof kinds / sizeof *kinds };

const char *ul_benchmark_asked(const ul_job *job)
{
    for (int i = 0; i < N_KIND; i++)
        if (ul_job_text(job, kinds[i]->flag)) return kinds[i]->flag;
    return NULL;
}

ul_status ul_benchmark_input(ul_benchmark *b, const char *role, const char *path, const char *digest, int64_t n)
{
    const char *name = role;
    for (int i = 2; json_object_get(b->manifest->inputs, name); i++)
        UL_NEED(name = ul_format(b->arena, "%s %d", role, i));
    return ul_manifest_input(b->job, b->manifest, name, path, digest, n);
}

ul_status ul_benchmark_records(ul_benchmark *b, const char *role, const char *path, ul_records **out)
{
    UL_TRY(ul_records_open(b->ctx, b->arena, path, ul_job_text(b->job, "fields"), 0, out));
    UL_TRY(ul_benchmark_input(b, role, path, (*out)->digest, (*out)->n));
    if (b->rows && b->rows < (*out)->n) (*out)->n = b->rows;
    return UL_OK;
}

ul_status ul_benchmark_generate(ul_benchmark *b, const char *name, const char *const *prompt, int64_t n,
                                int32_t max_new, const char *const *stops, const char *const **out)
{
    ul_record *at = UL_NEW(b->arena, ul_record, n);
    const char **text = UL_NEW(b->arena, const char *, n);
    ul_records *records;
    UL_NEED(at);
    UL_NEED(text);
    for (int64_t i = 0; i < n; i++)
        at[i] = (ul_record){.line = i + 1, .entity = (int32_t)i, .prompt = prompt[i], .answer = ""};
    UL_TRY(ul_records_seal(b->ctx, name, at, n, b->arena, &records));
    ul_eval_options o = b->o;
    ul_columns said = {.name = name};
    o.max_new = max_new;
    o.unstripped = true;
    UL_TRY(ul_columns_generate(b->ctx, b->arena, &o, records, &said));
    for (int64_t i = 0; i < n; i++) {
        char *s = ul_strdup(b->arena, said.generation[i]);
        UL_NEED(s);
        for (int k = 0; stops && stops[k]; k++) {
            char *end = strstr(s, stops[k]);
            if (end) *end = 0;
        }
        while (isspace((unsigned char)*s)) s++;
        for (size_t len = strlen(s); len && isspace((unsigned char)s[len - 1]);) s[--len] = 0;
        text[i] = s;
    }
    *out = text;
    return UL_OK;
}

/* ---- columns --------------------------------------------------------------------------------------------------- */
ul_status ul_benchmark_keep(ul_benchmark *b, const char *data, const char *field, const ul_columns *c)
{
    ul_data_columns *all = UL_NEW(b->arena, ul_data_columns, b->n_columns + 1); /* a few dozen at most */
    ul_columns *own = UL_NEW(b->arena, ul_columns, 1);
    UL_NEED(all);
    UL_NEED(own);
    if (b->n_columns) memcpy(all, b->columns, (size_t)b->n_columns * sizeof *all);
    *own = *c;
    all[b->n_columns++] = (ul_data_columns){data, field, own};
    b->columns = all;
    return UL_OK;
}

const ul_columns *ul_benchmark_columns(const ul_benchmark *b, const char *data, const char *field)
{
    for (int i = 0; i < b->n_columns; i++)
        if (!strcmp(b->columns[i].data, data) && !strcmp(b->columns[i].key, field)) return b->columns[i].columns;
    return NULL;
}

ul_status ul_benchmark_has(ul_benchmark *b, const char *data, const ul_columns *c, unsigned columns, bool lists)
{
    const char *lack = ul_columns_lack(c, columns);
    if (!lack && lists == (c->first != NULL)) return UL_OK;
    return ul_fail(b->ctx, UL_E_INPUT, "--columns %s: %s has no %s", ul_job_text(b->job, "columns"), data,
                   lack ? lack : lists ? "list of answers a row" : "single answer a row");
}

void ul_benchmark_mean(const double *x, int64_t n, double *mean, double *error)
{
    double sum = 0, square = 0;
    for (int64_t i = 0; i < n; i++) sum += x[i];
    *mean = sum / (double)n;
    for (int64_t i = 0; i < n; i++) square += (x[i] - *mean) * (x[i] - *mean);
    *error = n > 1 ? sqrt(square / (double)(n - 1)) / sqrt((double)n) : 0;
}

ul_status ul_benchmark_result(ul_benchmark *b, const char *name, double value, double error, int64_t n,
                              const char *better, json_t *rows)
{
    if (!ul_benchmark_wants(b, name)) {
        json_decref(rows);
        return UL_OK;
    }
    json_t *log = isnan(error) ? json_pack("{s:f, s:I}", "agg_value", value, "n", (json_int_t)n)
                               : json_pack("{s:f, s:f, s:I}", "agg_value", value, "stderr", error, "n", (json_int_t)n);
    const bool ok = log && (!rows || json_object_set(log, "value_by_index", rows) == 0) &&
                    json_object_set(b->all, name, log) == 0 &&
                    json_object_set_new(b->summary, name, json_real(value)) == 0;
    json_decref(log);
    json_decref(rows);
    if (!isfinite(value))
        return ul_fail(b->ctx, UL_E_CRITERION, "%s is %g: not a number that can be reported", name, value);
    if (!ok) return ul_fail(b->ctx, UL_E_RESOURCE, "no memory for the results of %s", name);
    if (isnan(error))
        return ul_buf_printf(&b->job->text, "%-44s %9.4f  %9s  %7lld  %s\n", name, value, "-", (long long)n, better);
    return ul_buf_printf(&b->job->text, "%-44s %9.4f  +- %.4f  %7lld  %s\n", name, value, error, (long long)n, better);
}

static ul_status write(ul_benchmark *b, const char *out, const char *stem)
{
    const char *all = ul_format(b->arena, "%s/%s_EVAL.json", out, stem),
               *summary = ul_format(b->arena, "%s/%s_SUMMARY.json", out, stem);
    UL_NEED(all);
    UL_NEED(summary);
    UL_TRY(ul_json_save(b->ctx, all, b->all));
    UL_TRY(ul_json_save(b->ctx, summary, b->summary));
    json_object_clear(b->all);
    return UL_OK;
}

static bool has_kind(const ul_data_columns *columns, int n, int kind)
{
    for (int i = 0; i < n; i++)
        if (!strncmp(columns[i].data, kinds[kind]->prefix, strlen(kinds[kind]->prefix))) return true;
    return false;
}

bool ul_benchmark_made(const ul_data_columns *columns, int n)
{
    for (int k = 0; k < N_KIND; k++)
        if (has_kind(columns, n, k)) return true;
    return false;
}

static ul_status begin(ul_benchmark *b, ul_job *job, ul_manifest *m, const char *match)
{
    *b = (ul_benchmark){.job = job,
                        .ctx = job->ctx,
                        .arena = job->arena,
                        .manifest = m,
                        .rows = ul_job_int(job, "rows"),
                        .stem = match && !strcmp(match, "open-unlearning")};
    UL_TRY(ul_json_own(job->arena, b->all = json_object()));
    UL_TRY(ul_json_own(job->arena, b->summary = json_object()));
    return ul_buf_printf(&job->text, "%-44s %9s  %10s  %6s  %s\n", "result", "value", "std. error", "n", "better");
}

/* Before anything is written or asked of the model. */
static ul_status choose(ul_benchmark *b, const ul_data_columns *pass, int n, const char *out)
{
    for (int i = 0; i < N_KIND; i++) UL_TRY(kinds[i]->offer(b, pass, n));
    UL_TRY(ul_benchmark_choose(b));
    return out ? ul_dir_make(b->ctx, out) : UL_OK;
}

/* Results of every benchmark that has columns, logs, and the job's own result; `origin`: what made the columns. */
static ul_status finish(ul_benchmark *b, const char *from, json_t *origin, const ul_backend *be, const char *out)
{
    ul_job *job = b->job;
    json_t *results = json_object();
    UL_TRY(ul_json_own(job->arena, results));
    for (int i = 0; i < N_KIND; i++) {
        if (!has_kind(b->columns, b->n_columns, i)) continue;
        UL_TRY(kinds[i]->results(b));
        if (out && json_object_size(b->all)) UL_TRY(write(b, out, kinds[i]->stem));
        json_object_clear(b->all);
        if (json_object_update(results, b->summary))
            return ul_fail(job->ctx, UL_E_RESOURCE, "no memory for the result");
        json_object_clear(b->summary);
    }
    UL_TRY(ul_manifest_seal(job, b->manifest));
    job->result = json_pack("{s:s, s:s, s:O}", from, ul_job_text(job, from), "recipe_digest",
                            b->manifest->recipe_digest, "results", results);
    if (!job->result) return ul_fail(job->ctx, UL_E_RESOURCE, "no memory for the result");
    if (!out) return UL_OK;
    const char *columns = ul_path_join(job->arena, out, "columns.sqlite");
    UL_NEED(columns);
    if (!origin) UL_TRY(ul_eval_origin(job, b->manifest, &origin));
    UL_TRY(ul_columns_save(job->ctx, columns, b->columns, b->n_columns, origin));
    UL_TRY(ul_manifest_write(job, b->manifest, be, out));
    return ul_buf_printf(&job->text, "written: %s\n", out);
}

ul_status ul_benchmark_run(ul_job *job, const ul_eval_options *o, ul_manifest *m, const ul_backend *be, const char *out)
{
    ul_benchmark b;
    UL_TRY(begin(&b, job, m, ul_job_text(job, "match")));
    b.o = *o;
    b.o.tpl = (ul_template){.user_start = "",
                            .user_end = "",
                            .asst_start = "",
                            .max_length = o->tpl.max_length,
                            .no_eos = true,
                            .hide_pad = o->tpl.hide_pad,
                            .pad_id = o->tpl.pad_id};
    for (int i = 0; i < N_KIND; i++)
        if (ul_job_text(job, kinds[i]->flag)) UL_TRY(kinds[i]->plan(&b));
    UL_TRY(choose(&b, b.planned, b.n_planned, out));
    for (int i = 0; i < N_KIND; i++)
        if (ul_job_text(job, kinds[i]->flag)) UL_TRY(kinds[i]->run(&b));
    return finish(&b, "model", NULL, be, out);
}

ul_status ul_benchmark_again(ul_job *job, const ul_data_columns *columns, int n, json_t *origin, ul_manifest *m,
                             const char *out)
{
    ul_benchmark b;
    const char *match = ul_job_given(job, "match") ? ul_job_text(job, "match")
                                                   : json_string_value(json_object_get(origin, "match"));
    UL_TRY(begin(&b, job, m, match));
    for (int i = 0; i < n; i++) UL_TRY(ul_benchmark_keep(&b, columns[i].data, columns[i].key, columns[i].columns));
    UL_TRY(choose(&b, b.columns, b.n_columns, out));
    const ul_status s = finish(&b, "columns", origin, NULL, out);
    return s == UL_E_INPUT ? ul_fail_in(job->ctx, s, "%s", ul_job_text(job, "columns")) : s;
}
