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
     "--choices without the special tokens that the tokenizer adds, as lm-evaluation-harness 0.4.5 unless add_bos_token is set", NULL},
    {"cloze", UL_BOOL, 0, 0, 1, NULL, "--choices also without letters: the options' own texts are scored", NULL},
    {"muse", UL_TEXT, 0, 0, 0, NULL,
     "a directory of MUSE's files: knowmem/, verbmem/, privleak/; those that are there are run", ""},
    {"rwku", UL_TEXT, 0, 0, 0, NULL,
     "a directory of RWKU's files: forget_level1.json .. forget_level3.json, neighbor_level1.json, "
     "neighbor_level2.json; those that are there are run",
     ""},
    {0}};

bool ul_benchmark_asked(const ul_job *job)
{
    return ul_job_text(job, "choices") || ul_job_text(job, "muse") || ul_job_text(job, "rwku");
}

ul_status ul_benchmark_records(ul_benchmark *b, const char *role, const char *path, ul_records **out)
{
    UL_TRY(ul_records_open(b->ctx, b->arena, path, ul_job_text(b->job, "fields"), 0, out));
    UL_TRY(ul_manifest_input(b->job, b->manifest, role, path, (*out)->digest, (*out)->n));
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
    json_t *log = json_pack("{s:f, s:f, s:I}", "agg_value", value, "stderr", error, "n", (json_int_t)n);
    const bool ok = log && (!rows || json_object_set(log, "value_by_index", rows) == 0) &&
                    json_object_set(b->all, name, log) == 0 &&
                    json_object_set_new(b->summary, name, json_real(value)) == 0;
    json_decref(log);
    json_decref(rows);
    if (!isfinite(value))
        return ul_fail(b->ctx, UL_E_CRITERION, "%s is %g: not a number that can be reported", name, value);
    if (!ok) return ul_fail(b->ctx, UL_E_RESOURCE, "no memory for the results of %s", name);
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

ul_status ul_benchmark_run(ul_job *job, const ul_eval_options *o, ul_manifest *m, const ul_backend *be, const char *out)
{
    static const struct {
        const char *flag, *stem;
        ul_status (*run)(ul_benchmark *b);
    } kinds[] = {{"choices", "CHOICES", ul_benchmark_choices},
                 {"muse", "MUSE", ul_benchmark_muse},
                 {"rwku", "RWKU", ul_benchmark_rwku}};
    ul_benchmark b = {.job = job,
                      .ctx = job->ctx,
                      .arena = job->arena,
                      .o = *o,
                      .manifest = m,
                      .rows = ul_job_int(job, "rows"),
                      .all = json_object(),
                      .summary = json_object()};
    json_t *results = json_object();
    UL_TRY(ul_json_own(job->arena, results));
    UL_TRY(ul_json_own(job->arena, b.all));
    UL_TRY(ul_json_own(job->arena, b.summary));
    b.o.tpl = (ul_template){.user_start = "",
                            .user_end = "",
                            .asst_start = "",
                            .max_length = o->tpl.max_length,
                            .no_eos = true,
                            .hide_pad = o->tpl.hide_pad,
                            .pad_id = o->tpl.pad_id};
    if (out) UL_TRY(ul_dir_make(job->ctx, out));
    UL_TRY(ul_buf_printf(&job->text, "%-44s %9s  %10s  %6s  %s\n", "result", "value", "std. error", "n", "better"));
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (!ul_job_text(job, kinds[i].flag)) continue;
        UL_TRY(kinds[i].run(&b));
        if (out) UL_TRY(write(&b, out, kinds[i].stem));
        if (json_object_update(results, b.summary)) return ul_fail(job->ctx, UL_E_RESOURCE, "no memory for the result");
        json_object_clear(b.summary);
    }
    UL_TRY(ul_manifest_seal(job, m));
    job->result = json_pack("{s:s, s:s, s:O}", "model", ul_job_text(job, "model"), "recipe_digest", m->recipe_digest,
                            "results", results);
    if (!job->result) return ul_fail(job->ctx, UL_E_RESOURCE, "no memory for the result");
    if (!out) return UL_OK;
    UL_TRY(ul_manifest_write(job, m, be, out));
    return ul_buf_printf(&job->text, "written: %s\n", out);
}
