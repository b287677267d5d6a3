/* job_compare.c - many methods on one model and one request: what each forgets, keeps and costs, and what comes back.
 *
 * Every method runs at its own defaults through the same jobs that a person would call (`forget`, `eval`); then the model it
 * leaves is fine-tuned on retain rows only, and asked again. The model before and the retrained control stand in the same table
 * under the same treatment. A row is kept as soon as it is known, so an interrupted comparison goes on where it stopped. */
#include "audit/battery.h"
#include <math.h>
#include <string.h>

static const ul_param params[] = {
    {"model", UL_TEXT, 0, 0, 0, NULL, "the model that shall forget: a Hugging Face directory", ""},
    {"control", UL_TEXT, 0, 0, 0, NULL, "the same model retrained without the forget set, for forget quality and as the floor of recovery", ""},
    {"tofu", UL_TEXT, 0, 0, 0, NULL, "the directory of TOFU's files", ""},
    {"split", UL_TEXT, 0, 0, 0, NULL, "TOFU's forget split: forget01, forget05, forget10", "forget10"},
    {"forget", UL_TEXT, 0, 0, 0, NULL, "own data instead of TOFU: what shall be forgotten", ""},
    {"retain", UL_TEXT, 0, 0, 0, NULL, "own data: what shall stay", ""},
    {"methods", UL_TEXT, 0, 0, 0, NULL, "names joined with commas; all: every method of this build", "all"},
    {"steps", UL_INT, 0, 0, 1e9, "steps", "of each method that trains; 0: its default", NULL},
    {"relearn", UL_INT, 40, 0, 1e6, "steps", "fine-tuning on retain rows after the forgetting; 0: none", NULL},
    {"relearn-lr", UL_REAL, 0, 0, 100, NULL, "its learning rate; 0: half of what the size of the model suggests", NULL},
    {"rows", UL_INT, 0, 0, 1e9, "rows", "evaluate on the first rows of every set only; 0: all", NULL},
    {"max-new", UL_INT, 200, 1, 1 << 20, "tokens", "longest generation", NULL},
    {"seed", UL_INT, 0, 0, 9007199254740992.0, NULL, "decides the order of samples, pairs and noise", NULL},
    {"out", UL_TEXT, 0, 0, 0, NULL, "the directory to write: table.md, table.json and a folder a method", ""},
    {"force", UL_BOOL, 0, 0, 1, NULL, "write into a directory that is not empty; files of the same names are replaced", NULL},
    {"resume", UL_BOOL, 0, 0, 1, NULL, "keep the rows that --out holds already, of the same comparison", NULL},
    {0}};

typedef struct {
    ul_job *job;
    ul_backend *be;
    const char *model, *control, *out, *forget, *retain, *asked; /* asked: the forget rows with wrong answers */
    const char *control_log;                                     /* NULL until the control is evaluated */
    ul_manifest manifest;
    json_t *rows;
} comparison;

/* ---- the jobs that are called ------------------------------------------------------------------------------------------- */
typedef struct {
    const char *key, *value;
} setting;

/* A job with these keys, then with those of `shared` that the caller gave; keys whose value is NULL are left out. */
static ul_status call(comparison *c, const char *kind, const setting *s, ul_job **out)
{
    static const char *const shared[] = {"threads", "precision", "isa", "fields", "user-start", "user-end", "asst-start",
                                         "max-length", "strict", "apart", "entity-rows", NULL};
    UL_TRY(ul_job_new(c->job->ctx, kind, out));
    ul_status status = UL_OK;
    for (; s->key && status == UL_OK; s++)
        if (s->value) status = ul_job_set(*out, s->key, s->value);
    for (int i = 0; shared[i] && status == UL_OK; i++) {
        if (!ul_job_given(c->job, shared[i])) continue;
        const char *text = ul_job_text(c->job, shared[i]);
        const char *number = ul_format(c->job->arena, "%.17g", ul_job_num(c->job, shared[i]));
        UL_NEED(number);
        status = ul_job_set(*out, shared[i], text ? text : number);
    }
    if (status == UL_OK) status = ul_job_run(*out);
    return status;
}

static const char *number(comparison *c, const char *key)
{
    return ul_job_num(c->job, key) ? ul_format(c->job->arena, "%.17g", ul_job_num(c->job, key)) : NULL;
}

static const char *folder(comparison *c, const char *id, const char *name)
{
    return ul_format(c->job->arena, "%s/%s%s%s", c->out, id, name ? "/" : "", name ? name : "");
}

/* ---- one row ------------------------------------------------------------------------------------------------------------ */
static bool put(json_t *row, const char *key, double x)
{
    return json_object_set_new(row, key, isfinite(x) ? json_real(x) : json_null()) == 0;
}

static double summary(const json_t *results, const char *name)
{
    const json_t *x = json_object_get(results, name);
    return json_is_number(x) ? json_number_value(x) : (double)NAN;
}

/* `unlearn eval`, its log in OUT/<id>/eval. */
static ul_status evaluate(comparison *c, const char *id, const char *model, const char *guard, json_t *row)
{
    static const char *const names[][2] = {
        {"forget_prob", "forget_Q_A_Prob"},       {"forget_rouge", "forget_Q_A_ROUGE"}, {"truth_ratio", "forget_truth_ratio"},
        {"forget_quality", "forget_quality"},     {"utility", "model_utility"},         {"retain_prob", "retain_Q_A_Prob"},
        {"retain_rouge", "retain_Q_A_ROUGE"}};
    ul_job *job = NULL;
    const char *tofu = ul_job_text(c->job, "tofu"), *out = folder(c, id, "eval");
    UL_NEED(out);
    const setting s[] = {{"model", model}, {"guard", guard}, {"tofu", tofu}, {"split", tofu ? ul_job_text(c->job, "split") : NULL},
                         {"forget", tofu ? NULL : c->forget}, {"retain", tofu ? NULL : c->retain},
                         {"reference-logs", c->control_log}, {"rows", number(c, "rows")}, {"max-new", number(c, "max-new")},
                         {"out", out}, {"force", "true"}, {NULL, NULL}};
    const ul_status status = call(c, "eval", s, &job);
    const json_t *results = status == UL_OK ? json_object_get(job->result, "results") : NULL;
    for (size_t i = 0; results && i < sizeof names / sizeof *names; i++) put(row, names[i][0], summary(results, names[i][1]));
    ul_job_free(job);
    return status;
}

/* The forget rows, ranked: how likely the true answers are, and how many stand first. */
static ul_status ask(comparison *c, ul_arena *arena, ul_model *m, ul_guard_file *guard, ul_tokenizer *tok, const ul_template *tpl,
                     double *prob, double *knows)
{
    const ul_job *job = c->job;
    ul_records *r;
    ul_knowledge k;
    const ul_eval_options o = {.model = m, .guard = guard, .tok = tok, .tpl = *tpl, .batch_tokens = 4096, .batch = 64, .max_new = 1};
    UL_TRY(ul_records_open(job->ctx, arena, c->asked, ul_job_text(job, "fields"), (int32_t)ul_job_int(job, "entity-rows"), &r));
    const int64_t rows = ul_job_int(job, "rows");
    if (rows && rows < r->n) r->n = rows;
    UL_TRY(ul_knowledge_options(job->ctx, arena, r, 0, 4, &r));
    UL_TRY(ul_knowledge_measure(job->ctx, arena, &o, r, true, &k));
    *prob = ul_mean(k.prob, k.n);
    *knows = ul_mean(k.first, k.n);
    return UL_OK;
}

static ul_status fine_tune(comparison *c, ul_arena *arena, ul_model *m, ul_tokenizer *tok, const ul_template *tpl, const char *what)
{
    ul_job *job = c->job;
    ul_records *r;
    ul_docs *docs;
    ul_pairing pairing;
    ul_args args;
    ul_recipe recipe;
    int64_t done;
    UL_TRY(ul_records_open(job->ctx, arena, c->retain, ul_job_text(job, "fields"), 0, &r));
    UL_TRY(ul_docs_build(job->ctx, arena, tok, tpl, r, UL_WHICH_ANSWER, &docs));
    UL_TRY(ul_model_select(job->ctx, m, "all"));
    ul_args_default(ul_recipe_params, &args);
    ul_recipe_from_args(&args, ul_model_parameters(m), &recipe);
    const double lr = ul_job_num(job, "relearn-lr");
    recipe.lr = lr > 0 ? lr : recipe.lr / 2;
    recipe.steps = ul_job_int(job, "relearn");
    recipe.schedule = UL_CONSTANT;
    recipe.warmup = recipe.steps > 5 ? 5 : 0;
    recipe.seed = (uint64_t)ul_job_int(job, "seed");
    UL_TRY(ul_pairing_init(job->ctx, arena, docs, NULL, recipe.seed, true, &pairing));
    const ul_run run = {.options = {.model = m, .recipe = &recipe, .pairing = &pairing}, .n_samples = docs->n, .save_every = -1, .what = what};
    return ul_run_train(job->ctx, &run, NULL, &done);
}

/* Asked, fine-tuned on retain rows, asked again. Who fine-tunes has the weights, and leaves a guard away. */
static ul_status relearn(comparison *c, ul_arena *arena, const char *id, const char *dir, const char *guard, json_t *row)
{
    ul_guard_file *g = NULL;
    char digest[65];
    ul_job *job = c->job;
    ul_model *m;
    ul_tokenizer *tok;
    ul_template tpl;
    double prob, knows;
    UL_TRY(ul_model_open(job->ctx, c->be, dir, 0, &m));
    UL_TRY(ul_arena_defer(arena, ul_release_model, m));
    UL_TRY(ul_tokenizer_open(job->ctx, dir, &tok));
    UL_TRY(ul_arena_defer(arena, ul_release_tokenizer, tok));
    UL_TRY(ul_job_template(job, tok, ul_model_shape(m), &tpl));
    if (guard) {
        UL_TRY(ul_job_digest(job, dir, digest));
        UL_TRY(ul_guard_read(job->ctx, arena, guard, &g));
        UL_TRY(ul_guard_around(g, m, tok, digest));
    }
    UL_TRY(ask(c, arena, m, g, tok, &tpl, &prob, &knows));
    put(row, "knows", knows);
    if (ul_job_int(job, "relearn") == 0) return UL_OK;
    const char *what = ul_format(arena, "%s, relearning", id);
    UL_NEED(what);
    UL_TRY(fine_tune(c, arena, m, tok, &tpl, what));
    UL_TRY(ask(c, arena, m, NULL, tok, &tpl, &prob, &knows));
    put(row, "after_prob", prob);
    put(row, "after_knows", knows);
    return UL_OK;
}

static ul_status measure(comparison *c, const char *id, const char *dir, const char *guard, json_t *row)
{
    ul_arena *arena;
    UL_TRY(evaluate(c, id, dir, guard, row));
    UL_TRY(ul_arena_new(c->job->ctx, "comparison", &arena));
    const ul_status s = relearn(c, arena, id, dir, guard, row);
    ul_arena_free(arena);
    return s;
}

/* The method's own run, its seconds and its peak of memory. */
static ul_status forget(comparison *c, const ul_catalogue_entry *e, json_t *row)
{
    ul_job *job = NULL;
    ul_args args;
    const char *out = folder(c, e->id, NULL);
    UL_NEED(out);
    ul_args_default(e->method->params, &args);
    const bool retain = ul_method_needs(e->method, &args) & (UL_NEED_RETAIN | UL_NEED_RETAIN_KL);
    const setting s[] = {{"model", c->model}, {"forget", c->forget}, {"retain", retain ? c->retain : NULL}, {"method", e->id},
                         {"steps", number(c, "steps")}, {"seed", number(c, "seed")}, {"out", out}, {"force", "true"}, {NULL, NULL}};
    const int64_t start = ul_now_ns();
    ul_peak_reset();
    const ul_status status = call(c, "forget", s, &job);
    put(row, "seconds", (double)(ul_now_ns() - start) * 1e-9);
    put(row, "peak_mib", (double)ul_peak_bytes() / 1048576);
    ul_job_free(job);
    return status;
}

/* OUT/<id>/row.json of this very comparison, or NULL. */
static ul_status known_row(comparison *c, const char *path, json_t **row)
{
    const char *digest = "";
    *row = NULL;
    if (!ul_job_flag(c->job, "resume") || !ul_file_exists(path)) return UL_OK;
    UL_TRY(ul_json_load(c->job->ctx, c->job->arena, path, row));
    UL_TRY(ul_json_text(c->job->ctx, *row, path, "comparison", UL_REQUIRED, &digest));
    if (strcmp(digest, c->manifest.recipe_digest)) *row = NULL;
    return UL_OK;
}

/* A method that cannot run here, or diverges, is a row that says so; anything else ends the comparison. */
static bool is_a_finding(ul_status s)
{
    return s == UL_E_CRITERION || s == UL_E_USAGE;
}

static ul_status one(comparison *c, const char *id, const char *dir, const ul_catalogue_entry *e)
{
    ul_job *job = c->job;
    const char *path = folder(c, id, "row.json");
    json_t *row;
    UL_NEED(path);
    UL_TRY(known_row(c, path, &row));
    if (row) return json_array_append(c->rows, row) ? UL_E_RESOURCE : UL_OK;
    row = json_pack("{s:s, s:s, s:s}", "id", id, "comparison", c->manifest.recipe_digest, "intention",
                    !e ? "" : e->method->intent == UL_REMOVAL ? "removal" : "suppression");
    UL_TRY(ul_json_own(job->arena, row));
    UL_TRY(ul_dir_make(job->ctx, folder(c, id, NULL)));
    ul_status s = e ? forget(c, e, row) : UL_OK;
    const char *made = folder(c, id, NULL);
    UL_NEED(made);
    if (s == UL_OK) s = e && e->guard ? measure(c, id, c->model, made, row) : measure(c, id, dir ? dir : made, NULL, row);
    if (ul_interrupted(job->ctx))
        return ul_fail(job->ctx, UL_E_CRITERION, "interrupted at %s; the same command with --resume keeps the rows that are there", id);
    if (s != UL_OK && !(e && is_a_finding(s))) return s;
    if (s != UL_OK) {
        ul_note(job->ctx, UL_LOG_WARN, "%s: %s", id, ul_error_text(job->ctx));
        json_object_set_new(row, "failed", json_string(ul_error_text(job->ctx)));
    }
    if (json_array_append(c->rows, row)) return ul_fail(job->ctx, UL_E_RESOURCE, "no memory for the table");
    return ul_json_save(job->ctx, path, row);
}

/* ---- the table ---------------------------------------------------------------------------------------------------------- */
static double of(const json_t *row, const char *key)
{
    return summary(row, key);
}

/* Between the control (0) and the model before (1), all three after the same fine-tuning. */
static void add_recovery(comparison *c)
{
    size_t i;
    json_t *row;
    double top = (double)NAN, floor = (double)NAN;
    json_array_foreach(c->rows, i, row) {
        const char *id = json_string_value(json_object_get(row, "id"));
        if (!strcmp(id, "before")) top = of(row, "after_knows");
        if (!strcmp(id, "control")) floor = of(row, "after_knows");
    }
    json_array_foreach(c->rows, i, row) put(row, "recovered", top > floor ? (of(row, "after_knows") - floor) / (top - floor) : (double)NAN);
}

static void cell(ul_buf *b, const json_t *row, const char *key, const char *format, double times)
{
    const double x = of(row, key);
    ul_buf_puts(b, " | ");
    if (isfinite(x)) ul_buf_printf(b, format, x * times);
    else ul_buf_puts(b, "-");
}

static ul_status write_table(comparison *c)
{
    ul_job *job = c->job;
    ul_buf *b = &job->text;
    size_t i;
    json_t *row;
    ul_buf_printf(b, "| method | intention | forget prob | ROUGE | truth ratio | forget quality | utility | retain prob | knows | s | MiB "
                     "| after %lld: prob | knows | recovered %% |\n|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n",
                  (long long)ul_job_int(job, "relearn"));
    json_array_foreach(c->rows, i, row) {
        const char *failed = json_string_value(json_object_get(row, "failed"));
        ul_buf_printf(b, "| %s | %s", json_string_value(json_object_get(row, "id")), json_string_value(json_object_get(row, "intention")));
        if (failed) {
            ul_buf_printf(b, " | %s |  |  |  |  |  |  |  |  |  |  |  |\n", failed);
            continue;
        }
        cell(b, row, "forget_prob", "%.3f", 1), cell(b, row, "forget_rouge", "%.3f", 1), cell(b, row, "truth_ratio", "%.3f", 1);
        cell(b, row, "forget_quality", "%.1e", 1), cell(b, row, "utility", "%.3f", 1), cell(b, row, "retain_prob", "%.3f", 1);
        cell(b, row, "knows", "%.2f", 1), cell(b, row, "seconds", "%.1f", 1), cell(b, row, "peak_mib", "%.0f", 1);
        cell(b, row, "after_prob", "%.3f", 1), cell(b, row, "after_knows", "%.2f", 1), cell(b, row, "recovered", "%.0f", 100);
        ul_buf_puts(b, " |\n");
    }
    UL_TRY(b->status);
    const char *md = folder(c, "table.md", NULL), *json = folder(c, "table.json", NULL);
    UL_NEED(md);
    UL_NEED(json);
    ul_out *o;
    UL_TRY(ul_out_open(job->ctx, md, b->n, &o));
    (void)ul_out_write(o, b->p, b->n); /* commit reports a failure */
    UL_TRY(ul_out_commit(o));
    job->result = json_pack("{s:s, s:s, s:O}", "model", c->model, "recipe_digest", c->manifest.recipe_digest, "rows", c->rows);
    if (!job->result) return ul_fail(job->ctx, UL_E_RESOURCE, "no memory for the result");
    UL_TRY(ul_json_save(job->ctx, json, job->result));
    return ul_buf_printf(b, "\n\"knows\": share of forget questions whose true answer ranks above every wrong one. \"recovered\": after %lld steps on "
                            "retain rows only,\nbetween the control (0) and the model before (100) under the same fine-tuning.\nwritten: %s\n",
                         (long long)ul_job_int(job, "relearn"), md);
}

/* ---- the whole ---------------------------------------------------------------------------------------------------------- */
static ul_status open_inputs(comparison *c)
{
    ul_job *job = c->job;
    char digest[65];
    const char *tofu = ul_job_text(job, "tofu"), *split = ul_job_text(job, "split");
    c->model = ul_job_text(job, "model"), c->control = ul_job_text(job, "control");
    c->forget = ul_job_text(job, "forget"), c->retain = ul_job_text(job, "retain");
    if (!c->model) return ul_fail(job->ctx, UL_E_USAGE, "`compare` needs --model DIR");
    if (tofu) {
        if (!split) split = "forget10";
        if (strncmp(split, "forget", 6) || strlen(split) != 8)
            return ul_fail(job->ctx, UL_E_USAGE, "--split %s: TOFU's splits are forget01, forget05, forget10", split);
        const int share = 100 - 10 * (split[6] - '0') - (split[7] - '0');
        UL_NEED(c->forget = ul_format(job->arena, "%s/%s.json", tofu, split));
        UL_NEED(c->asked = ul_format(job->arena, "%s/%s_perturbed.json", tofu, split));
        UL_NEED(c->retain = ul_format(job->arena, "%s/retain%02d.json", tofu, share));
    } else if (!c->forget || !c->retain) {
        return ul_fail(job->ctx, UL_E_USAGE, "`compare` needs --tofu DIR, or --forget FILE and --retain FILE");
    } else {
        c->asked = c->forget;
    }
    UL_TRY(ul_job_out_name(job, &c->out));
    UL_TRY(ul_manifest_begin(job, &c->manifest));
    UL_TRY(ul_job_backend(job, &c->be));
    UL_TRY(ul_job_digest(job, c->model, digest));
    UL_TRY(ul_manifest_input(job, &c->manifest, "model", c->model, digest, -1));
    if (c->control) {
        UL_TRY(ul_job_digest(job, c->control, digest));
        UL_TRY(ul_manifest_input(job, &c->manifest, "control", c->control, digest, -1));
    }
    UL_TRY(ul_manifest_file(job, &c->manifest, "forget", c->forget));
    UL_TRY(ul_manifest_file(job, &c->manifest, "retain", c->retain));
    return ul_manifest_seal(job, &c->manifest);
}

/* Entry number i of --methods; false past the end. */
static ul_status method_at(comparison *c, int i, ul_catalogue_entry *out, bool *more)
{
    const char *list = ul_job_text(c->job, "methods");
    if (!list || !strcmp(list, "all")) {
        *more = ul_catalogue_at(i, out);
        return UL_OK;
    }
    for (; i > 0 && list; i--) {
        list = strchr(list, ',');
        if (list) list++;
    }
    *more = list && *list;
    if (!*more) return UL_OK;
    const char *id = ul_strndup(c->job->arena, list, strcspn(list, ","));
    UL_NEED(id);
    return ul_catalogue_find(id, out) ? UL_OK : ul_catalogue_unknown(c->job->ctx, "--methods", id, false);
}

static ul_status run(ul_job *job)
{
    comparison *c = UL_NEW(job->arena, comparison, 1);
    ul_catalogue_entry e;
    bool more = true;
    int n = 0;
    UL_NEED(c);
    c->job = job;
    for (; more; n++) UL_TRY(method_at(c, n, &e, &more)); /* names are checked before anything is done */
    UL_TRY(open_inputs(c));
    UL_TRY(ul_dir_make(job->ctx, c->out));
    c->rows = json_array();
    UL_TRY(ul_json_own(job->arena, c->rows));
    if (c->control) {
        UL_TRY(one(c, "control", c->control, NULL));
        const char *log = folder(c, "control", "eval/TOFU_EVAL.json");
        UL_NEED(log);
        c->control_log = log;
    }
    UL_TRY(one(c, "before", c->model, NULL));
    for (int i = 0; i < n - 1; i++) {
        UL_TRY(method_at(c, i, &e, &more));
        ul_note(job->ctx, UL_LOG_INFO, "method %d of %d: %s", i + 1, n - 1, e.id);
        UL_TRY(one(c, e.id, NULL, &e));
    }
    add_recovery(c);
    UL_TRY(ul_manifest_write(job, &c->manifest, c->be, c->out));
    return write_table(c);
}

const ul_job_kind ul_job_compare = {
    .id = "compare", .summary = "many methods on one request: what each forgets, keeps and costs, and what comes back",
    .about = "Runs every method at its defaults on the same model and request, evaluates what it leaves, fine-tunes that on retain rows only and "
             "asks again. The model before and, with --control, the retrained control get the same treatment. Writes table.md, table.json and "
             "a model directory a method; goes on after an interruption with --resume.",
    .example = "unlearn compare --model demo-out/target --control demo-out/control --forget demo-out/data/forget.jsonl "
               "--retain demo-out/data/retain.jsonl --methods npo,tv --steps 20 --max-new 8 --out compared",
    .tables = {params, ul_data_params, ul_compute_params}, .run = run};
