/* job_sequence.c - one request after the other, or ever larger ones: what every earlier request, and what shall stay,
 * looks like after each (MUSE, arXiv 2407.06460, section 3: sustainability and scalability).
 *
 *   sustain: step k starts from what step k - 1 left.      scale: every step starts from --model, on a larger request.
 * Every step is a `forget`, and an `eval` of each request so far and of the retain rows: what was forgotten first may
 * come back while something else is forgotten. A step that is there already is kept with --resume. */
#include "audit/training.h"
#include <math.h>
#include <string.h>

static const ul_param params[] = {
    {"model", UL_TEXT, 0, 0, 0, NULL, "the model that shall forget: a Hugging Face directory", ""},
    {"requests", UL_TEXT, 0, 0, 0, NULL, "the files that shall be forgotten, in order, joined with commas", ""},
    {"retain", UL_TEXT, 0, 0, 0, NULL, "what shall stay: the same at every step", ""},
    {"alt", UL_TEXT, 0, 0, 0, NULL,
     "alternate answers, for methods that teach some: a file for each request, in order, joined with commas, or one "
     "for all; default: what the method takes by itself, and where each row needs its own (altpo) the rows' wrong "
     "answers, or other rows'",
     ""},
    {"alt-own", UL_BOOL, 0, 0, 1, NULL,
     "the answers of --alt belong to the rows of its request, in order and as many to each", NULL},
    {"mode", UL_TEXT, 0, 0, 0, "sustain|scale",
     "sustain: each step starts from what the last one left; scale: every step starts from --model", "sustain"},
    {"muse", UL_TEXT, 0, 0, 0, NULL, "a directory of MUSE's files, evaluated after every step too", ""},
    {"reference-logs", UL_TEXT, 0, 0, 0, NULL, "MUSE_EVAL.json of the retrained model, for PrivLeak", ""},
    UL_PARAM_WRAP,
    {"rows", UL_INT, 0, 0, 1e9, "rows", "evaluate the first rows of every file only; 0: all", NULL},
    {"max-new", UL_INT, 32, 1, 1 << 20, "tokens", "longest generation", NULL},
    {"out", UL_TEXT, 0, 0, 0, NULL, "the directory to write: table.md, table.json and a folder a step", ""},
    {"force", UL_BOOL, 0, 0, 1, NULL, "write into a directory that is not empty; files of the same names are replaced",
     NULL},
    {"resume", UL_BOOL, 0, 0, 1, NULL, "keep the steps that --out holds already, of the same sequence", NULL},
    {0}};

enum { MOST_REQUESTS = 64 };
typedef struct {
    ul_job *job;
    const char *out, *model, *retain, *muse, *request[MOST_REQUESTS], *alt[MOST_REQUESTS];
    int n, n_alt;
    bool scale;
    ul_manifest manifest;
    json_t *rows;
} sequence;

/* ---- one step ---------------------------------------------------------------------------------------------------- */
static const char *path(sequence *q, int step, const char *name)
{
    return ul_format(q->job->arena, "%s/step-%d%s%s", q->out, step, name ? "/" : "", name ? name : "");
}

/* The file of alternates of request number `step`, NULL: none; whether they are the rows' own. */
static ul_status alternates(sequence *q, int step, const char **alt, bool *own)
{
    const ul_job *job = q->job;
    const char *request = q->request[step - 1], *file = path(q, step, "alternates.jsonl"),
               *seed = ul_format(job->arena, "%.17g", ul_job_num(job, "seed"));
    UL_NEED(file);
    UL_NEED(seed);
    *alt = q->n_alt ? q->alt[q->n_alt > 1 ? step - 1 : 0] : NULL, *own = ul_job_flag(job, "alt-own");
    if (*alt || !(ul_method_needs(job->method, &job->method_args) & UL_NEED_ALT_OWN)) return UL_OK;
    *own = true;
    return ul_job_alternates(job, request, request, seed, file, alt);
}

/* The method's own run on request number `step`; its seconds. */
static ul_status forget(sequence *q, int step, const char *from, const char *to, double *seconds)
{
    ul_job *job = NULL;
    const ul_job *own = q->job;
    const bool keeps = ul_method_needs(own->method, &own->method_args) & (UL_NEED_RETAIN | UL_NEED_RETAIN_KL);
    const char *alt;
    bool alt_own;
    UL_TRY(alternates(q, step, &alt, &alt_own));
    const ul_setting s[] = {{"model", from}, {"forget", q->request[step - 1]}, {"retain", keeps ? q->retain : NULL},
                            {"alt", alt}, {"alt-own", alt && alt_own ? "true" : NULL},
                            {"wrap", ul_job_text(own, "wrap")}, {"out", to}, {"force", "true"}, {NULL, NULL}};
    const int64_t start = ul_now_ns();
    ul_status st = ul_job_child(own, "forget", s, &job);
    if (st == UL_OK) st = ul_job_pass(own, ul_recipe_params, NULL, job);
    if (st == UL_OK) st = ul_job_pass_method(own, job);
    if (st == UL_OK) st = ul_job_run(job);
    ul_job_free(job);
    *seconds = (double)(ul_now_ns() - start) * 1e-9;
    return st;
}

/* `unlearn eval` with these keys; *results (of the caller) is what it found. */
static ul_status evaluate(sequence *q, const ul_setting *s, json_t **results)
{
    ul_job *job = NULL;
    const ul_job *own = q->job;
    const char *rows = ul_format(own->arena, "%lld", (long long)ul_job_int(own, "rows")),
               *max_new = ul_format(own->arena, "%lld", (long long)ul_job_int(own, "max-new"));
    UL_NEED(rows);
    UL_NEED(max_new);
    const ul_setting common[] = {{"rows", rows}, {"max-new", max_new}, {"force", "true"}, {NULL, NULL}};
    ul_status st = ul_job_child(own, "eval", common, &job);
    if (st == UL_OK) st = ul_job_set_all(job, s);
    if (st == UL_OK) st = ul_job_run(job);
    *results = st == UL_OK ? json_deep_copy(json_object_get(job->result, "results")) : NULL;
    ul_job_free(job);
    if (st == UL_OK && !*results) return ul_fail(own->ctx, UL_E_RESOURCE, "no memory for the evaluation");
    return st == UL_OK ? ul_json_own(own->arena, *results) : st;
}

/* Each request in itself, the retain rows once, MUSE's sets where they are. */
static ul_status measure(sequence *q, int step, const char *dir, json_t *row)
{
    json_t *asked = json_array(), *r;
    if (json_object_set_new(row, "requests", asked))
        return ul_fail(q->job->ctx, UL_E_RESOURCE, "no memory for the table");
    for (int k = 0; k < q->n; k++) {
        const char *to = path(q, step, ul_format(q->job->arena, "eval-%d", k + 1));
        const ul_setting s[] = {
            {"model", dir}, {"forget", q->request[k]}, {"retain", k ? NULL : q->retain}, {"out", to}, {NULL, NULL}};
        UL_NEED(to);
        UL_TRY(evaluate(q, s, &r));
        json_t *prob = json_object_get(r, "forget_Q_A_Prob"), *rouge = json_object_get(r, "forget_Q_A_ROUGE");
        if (json_array_append_new(asked, json_pack("{s:O*, s:O*}", "prob", prob, "rouge", rouge)))
            return ul_fail(q->job->ctx, UL_E_RESOURCE, "no memory for the table");
        if (k) continue;
        json_object_set(row, "retain_prob", json_object_get(r, "retain_Q_A_Prob"));
        json_object_set(row, "retain_rouge", json_object_get(r, "retain_Q_A_ROUGE"));
    }
    if (!q->muse) return UL_OK;
    const ul_setting s[] = {{"model", dir},
                            {"muse", q->muse},
                            {"reference-logs", ul_job_text(q->job, "reference-logs")},
                            {"out", path(q, step, "muse")},
                            {NULL, NULL}};
    UL_TRY(evaluate(q, s, &r));
    return json_object_set(row, "muse", r) ? ul_fail(q->job->ctx, UL_E_RESOURCE, "no memory for the table") : UL_OK;
}

/* Step 0 is the model before. */
static ul_status one(sequence *q, int step)
{
    ul_job *job = q->job;
    const char *file = path(q, step, "row.json"), *made = path(q, step, NULL),
               *from = step > 1 && !q->scale ? path(q, step - 1, NULL) : q->model;
    json_t *row;
    double seconds = 0;
    UL_NEED(file);
    UL_NEED(made);
    UL_NEED(from);
    UL_TRY(ul_job_kept(job, file, "sequence", UL_REQUIRED, q->manifest.recipe_digest, &row));
    if (row) return json_array_append(q->rows, row) ? UL_E_RESOURCE : UL_OK;
    row = json_pack("{s:i, s:s, s:s?}", "step", step, "sequence", q->manifest.recipe_digest, "request",
                    step ? q->request[step - 1] : NULL);
    UL_TRY(ul_json_own(job->arena, row));
    if (step) ul_note(job->ctx, UL_LOG_INFO, "request %d of %d: %s", step, q->n, q->request[step - 1]);
    UL_TRY(ul_dir_make(job->ctx, made));
    ul_status s = step ? forget(q, step, from, made, &seconds) : UL_OK;
    if (step) json_object_set_new(row, "seconds", json_real(seconds));
    if (s == UL_OK) s = measure(q, step, step ? made : q->model, row);
    if (ul_interrupted(job->ctx))
        return ul_fail(job->ctx, UL_E_CRITERION,
                       "interrupted at request %d; the same command with --resume keeps the steps that are there",
                       step);
    UL_TRY(s);
    if (json_array_append(q->rows, row)) return ul_fail(job->ctx, UL_E_RESOURCE, "no memory for the table");
    return ul_json_save(job->ctx, file, row);
}

/* ---- the table --------------------------------------------------------------------------------------------------- */
static void cell(ul_buf *b, const json_t *x)
{
    if (json_is_number(x)) ul_buf_printf(b, " %.3f |", json_number_value(x));
    else ul_buf_puts(b, " - |");
}

static ul_status tell(sequence *q)
{
    ul_job *job = q->job;
    ul_buf *b = &job->text;
    size_t i, k;
    json_t *row, *x;
    const char *key;
    const json_t *muse = json_object_get(json_array_get(q->rows, 0), "muse");
    ul_buf_puts(b, "| step |");
    for (int n = 1; n <= q->n; n++) ul_buf_printf(b, " request %d: prob | ROUGE |", n);
    ul_buf_puts(b, " retain: prob | ROUGE | s |");
    json_object_foreach((json_t *)(uintptr_t)muse, key, x) ul_buf_printf(b, " %s |", key);
    ul_buf_puts(b, "\n|--:|");
    for (size_t n = 0; n < 2 * (size_t)q->n + 3 + json_object_size(muse); n++) ul_buf_puts(b, "--:|");
    json_array_foreach(q->rows, i, row) {
        ul_buf_printf(b, "\n| %zu |", i);
        json_array_foreach(json_object_get(row, "requests"), k, x) {
            cell(b, json_object_get(x, "prob"));
            cell(b, json_object_get(x, "rouge"));
        }
        cell(b, json_object_get(row, "retain_prob"));
        cell(b, json_object_get(row, "retain_rouge"));
        cell(b, json_object_get(row, "seconds"));
        json_object_foreach ((json_t *)(uintptr_t)muse, key, x)
            cell(b, json_object_get(json_object_get(row, "muse"), key));
    }
    ul_buf_puts(b, "\n");
    const char *md = ul_path_join(job->arena, q->out, "table.md"),
               *file = ul_path_join(job->arena, q->out, "table.json");
    UL_NEED(md);
    UL_NEED(file);
    UL_TRY(ul_job_text_save(job, md));
    job->result = json_pack("{s:s, s:s, s:s, s:s, s:O}", "model", q->model, "method", job->method_id, "mode",
                            ul_job_text(job, "mode"), "recipe_digest", q->manifest.recipe_digest, "rows", q->rows);
    if (!job->result) return ul_fail(job->ctx, UL_E_RESOURCE, "no memory for the result");
    UL_TRY(ul_json_save(job->ctx, file, job->result));
    return ul_buf_printf(
        b, "\nStep 0 is the model before. Every request is asked at every step, those to come too.\nwritten: %s\n", md);
}

/* ---- the whole --------------------------------------------------------------------------------------------------- */
/* Files joined with commas, each of which is there; into the manifest as "ROLE 1", ... */
static ul_status open_list(sequence *q, const char *key, const char *role, const char **file, int *n)
{
    ul_job *job = q->job;
    const char *list = ul_job_text(job, key);
    for (*n = 0; list && *list; list += *list == ',') {
        const size_t bytes = strcspn(list, ",");
        if (*n == MOST_REQUESTS)
            return ul_fail(job->ctx, UL_E_USAGE, "--%s names more than %d files", key, MOST_REQUESTS);
        UL_NEED(file[*n] = ul_strndup(job->arena, list, bytes));
        list += bytes;
        if (!bytes || !ul_file_exists(file[*n]))
            return ul_fail(job->ctx, UL_E_INPUT, "--%s: file %d, \"%s\", is not there", key, *n + 1, file[*n]);
        const char *name = ul_format(job->arena, "%s %d", role, *n + 1);
        UL_NEED(name);
        UL_TRY(ul_manifest_file(job, &q->manifest, name, file[(*n)++]));
    }
    return UL_OK;
}

static ul_status open_inputs(sequence *q)
{
    ul_job *job = q->job;
    char digest[65];
    const char *list = ul_job_text(job, "requests");
    q->model = ul_job_text(job, "model"), q->retain = ul_job_text(job, "retain"), q->muse = ul_job_text(job, "muse");
    q->scale = !strcmp(ul_job_text(job, "mode"), "scale");
    if (!job->method)
        return ul_fail(job->ctx, UL_E_USAGE, "`sequence` needs --method NAME (`unlearn methods` lists them)");
    if (job->guard)
        return ul_fail(job->ctx, UL_E_USAGE,
                       "--method %s is a guard: it changes no weights that a next request could start from",
                       job->method_id);
    if (!q->model || !list || !q->retain)
        return ul_fail(job->ctx, UL_E_USAGE,
                       "`sequence` needs --model DIR, --requests FILE,FILE,... and --retain FILE");
    UL_TRY(ul_job_out_name(job, &q->out));
    UL_TRY(ul_manifest_begin(job, &q->manifest));
    UL_TRY(open_list(q, "requests", "request", q->request, &q->n));
    UL_TRY(open_list(q, "alt", "alternates", q->alt, &q->n_alt));
    if (q->n_alt > 1 && q->n_alt != q->n)
        return ul_fail(job->ctx, UL_E_USAGE, "--alt names %d files and --requests %d: one for each, or one for all",
                       q->n_alt, q->n);
    UL_TRY(ul_job_digest(job, q->model, digest));
    UL_TRY(ul_manifest_input(job, &q->manifest, "model", q->model, digest, -1));
    UL_TRY(ul_manifest_file(job, &q->manifest, "retain", q->retain));
    return ul_manifest_seal(job, &q->manifest);
}

static ul_status run(ul_job *job)
{
    sequence *q = UL_NEW(job->arena, sequence, 1);
    UL_NEED(q);
    q->job = job;
    UL_TRY(open_inputs(q));
    UL_TRY(ul_dir_make(job->ctx, q->out));
    q->rows = json_array();
    UL_TRY(ul_json_own(job->arena, q->rows));
    for (int step = 0; step <= q->n; step++) UL_TRY(one(q, step));
    UL_TRY(ul_manifest_write(job, &q->manifest, NULL, q->out));
    return tell(q);
}

const ul_job_kind ul_job_sequence = {
    .id = "sequence",
    .summary = "one request after the other: what each step forgets, what comes back, what stays",
    .about = "Forgets several requests with one method, each from what the last one left (--mode sustain) or each from "
             "the model itself (--mode "
             "scale), and after every step evaluates all requests and the retain rows; with --muse DIR MUSE's sets "
             "too. Takes the flags of `forget` "
             "for the method and its recipe. Writes table.md, table.json and a model directory a step; goes on after "
             "an interruption with --resume.",
    .example = "unlearn sequence --model demo-out/target --requests "
               "demo-out/data/forget.jsonl,demo-out/data/rephrased.jsonl --retain "
               "demo-out/data/retain.jsonl --method npo --steps 10 --max-new 4 --out sequence",
    .tables = {params, ul_recipe_params, ul_data_params, ul_compute_params},
    .takes_method = true,
    .run = run};
