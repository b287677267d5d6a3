/* comparison_row.c - one row of a comparison: the method runs, what it leaves is evaluated, fine-tuned on retain rows
 * and asked again, and, with --audit, asked and attacked beside the model before and the control. */
#include "audit/comparison.h"
#include <math.h>
#include <string.h>

/* ---- the jobs that are called ------------------------------------------------------------------------------------ */
static ul_status call(ul_comparison *c, const char *kind, const ul_setting *s, ul_job **out)
{
    UL_TRY(ul_job_child(c->job, kind, s, out));
    return ul_job_run(*out);
}

/* *out: a number of the comparison, to be passed on; NULL where it is 0, the default. */
static ul_status number(ul_comparison *c, const char *key, const char **out)
{
    const double x = ul_job_num(c->job, key);
    *out = NULL;
    if (x != 0) UL_NEED(*out = ul_format(c->job->arena, "%.17g", x));
    return UL_OK;
}

const char *ul_comparison_path(ul_comparison *c, const char *id, const char *name)
{
    return ul_format(c->job->arena, "%s/%s%s%s", c->out, id, name ? "/" : "", name ? name : "");
}

/* ---- one row ----------------------------------------------------------------------------------------------------- */
static bool put(json_t *row, const char *key, double x)
{
    return json_object_set_new(row, key, isfinite(x) ? json_real(x) : json_null()) == 0;
}

static bool put_bound(json_t *row, const char *key, const ul_bound *b)
{
    return put(row, key, ul_bound_finite(b) ? b->value : NAN);
}

double ul_comparison_value(const json_t *results, const char *name)
{
    const json_t *x = json_object_get(results, name);
    return json_is_number(x) ? json_number_value(x) : (double)NAN;
}

/* `unlearn eval`, its log in OUT/<id>/eval. */
static ul_status evaluate(ul_comparison *c, const char *id, const char *model, const char *guard, json_t *row)
{
    static const char *const names[][2] = {{"forget_prob", "forget_Q_A_Prob"},    {"forget_rouge", "forget_Q_A_ROUGE"},
                                           {"truth_ratio", "forget_truth_ratio"}, {"forget_quality", "forget_quality"},
                                           {"utility", "model_utility"},          {"retain_prob", "retain_Q_A_Prob"},
                                           {"retain_rouge", "retain_Q_A_ROUGE"}};
    ul_job *job = NULL;
    const char *tofu = ul_job_text(c->job, "tofu"), *out = ul_comparison_path(c, id, "eval"), *rows, *max_new;
    UL_NEED(out);
    UL_TRY(number(c, "rows", &rows));
    UL_TRY(number(c, "max-new", &max_new));
    const ul_setting s[] = {{"model", model},
                            {"guard", guard},
                            {"tofu", tofu},
                            {"split", tofu ? ul_job_text(c->job, "split") : NULL},
                            {"forget", tofu ? NULL : c->forget},
                            {"retain", tofu ? NULL : c->retain},
                            {"reference-logs", c->control_log},
                            {"rows", rows},
                            {"max-new", max_new},
                            {"out", out},
                            {"force", "true"},
                            {NULL, NULL}};
    const ul_status status = call(c, "eval", s, &job);
    const json_t *results = status == UL_OK ? json_object_get(job->result, "results") : NULL;
    for (size_t i = 0; results && i < sizeof names / sizeof *names; i++)
        put(row, names[i][0], ul_comparison_value(results, names[i][1]));
    ul_job_free(job);
    return status;
}

/* The forget rows, ranked: how likely the true answers are, and how many stand first. */
static ul_status ask(ul_comparison *c, ul_arena *arena, ul_model *m, ul_guard_file *guard, ul_tokenizer *tok,
                     const ul_template *tpl, double *prob, double *knows)
{
    const ul_job *job = c->job;
    ul_records *r;
    ul_knowledge k;
    const ul_eval_options o = {
        .model = m, .guard = guard, .tok = tok, .tpl = *tpl, .batch_tokens = 4096, .batch = 64, .max_new = 1};
    UL_TRY(ul_records_open(job->ctx, arena, c->asked, ul_job_text(job, "fields"),
                           (int32_t)ul_job_int(job, "entity-rows"), &r));
    const int64_t rows = ul_job_int(job, "rows");
    if (rows && rows < r->n) r->n = rows;
    UL_TRY(ul_knowledge_options(job->ctx, arena, r, 0, 4, &r));
    UL_TRY(ul_knowledge_measure(job->ctx, arena, &o, r, true, &k));
    *prob = ul_mean(k.prob, k.n);
    *knows = ul_mean(k.first, k.n);
    return UL_OK;
}

static ul_status fine_tune(ul_comparison *c, ul_arena *arena, ul_model *m, ul_tokenizer *tok, const ul_template *tpl,
                           const char *what)
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
    const ul_run run = {.options = {.model = m, .recipe = &recipe, .pairing = &pairing},
                        .n_samples = docs->n,
                        .save_every = -1,
                        .what = what};
    return ul_run_train(job->ctx, &run, NULL, &done);
}

/* Asked, fine-tuned on retain rows, asked again. Who fine-tunes has the weights, and leaves a guard away. */
static ul_status relearn(ul_comparison *c, ul_arena *arena, const char *id, const char *dir, const char *guard,
                         json_t *row)
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

/* ---- the audit of one row ---------------------------------------------------------------------------------------- */
typedef struct {
    const char *probe;
    double rho;
} finding;

static finding strongest(const ul_evidence *e)
{
    finding top = {"", (double)NAN};
    for (int i = 0; i < e->n_recovery; i++) {
        const ul_recovery *x = &e->recovery[i];
        if (x->informative && x->role != UL_SHOWN && !(x->rho.value <= top.rho)) top = (finding){x->id, x->rho.value};
    }
    if (e->depth_informative && !(e->depth.value <= top.rho)) top = (finding){"depth", e->depth.value};
    return top;
}

/* The verdict into the row, everything into OUT/<id>/audit.json. */
static ul_status audit(ul_comparison *c, const char *id, const char *dir, const char *guard, json_t *row)
{
    ul_course *course = c->course;
    ul_battery *b;
    ul_audited x;
    const char *intention = json_string_value(json_object_get(row, "intention")),
               *path = ul_comparison_path(c, id, "audit.json");
    UL_NEED(path);
    if (!course) return UL_OK;
    if (!c->begun) UL_TRY(ul_course_begin(course));
    c->begun = true;
    UL_TRY(ul_course_attack(course, id, dir, guard, &b));
    UL_TRY(ul_course_judge(course, id, *intention ? intention : "removal", b, &x));
    const finding top = strongest(&x.evidence);
    json_t *all = ul_audit_json(&course->audit, &x, course->o, course->r);
    UL_TRY(ul_json_own(c->job->arena, all));
    json_object_set_new(row, "verdict", json_string(ul_verdict_name(x.verdict.id)));
    if (x.verdict.id == UL_DAMAGED)
        json_object_set_new(row, "without_damage", json_string(ul_verdict_name(x.verdict.secondary)));
    json_object_set_new(row, "because", json_string(x.verdict.clause));
    json_object_set_new(row, "outcome", json_string(ul_outcome_name(x.outcome)));
    int asked = 0, ways = 0; /* of asking: a suppression is judged by those that ran */
    for (int i = 0; i < x.evidence.n_recovery; i++) {
        ways += x.evidence.recovery[i].expression;
        asked += x.evidence.recovery[i].expression && x.evidence.recovery[i].has_said;
    }
    put(row, "ways_judged", asked);
    put(row, "ways", ways);
    json_object_set_new(row, "strongest_probe", json_string(top.probe));
    put(row, "strongest", top.rho);
    put_bound(row, "s", &x.evidence.s);
    put_bound(row, "inverse", &x.evidence.inverse);
    put_bound(row, "ranks_kept", &x.evidence.utility_first);
    put_bound(row, "says_kept", &x.evidence.utility_said);
    put(row, "audit_seconds", b->seconds);
    return ul_json_save(c->job->ctx, path, all);
}

static ul_status measure(ul_comparison *c, const char *id, const char *dir, const char *guard, json_t *row)
{
    ul_arena *arena;
    UL_TRY(audit(c, id, dir, guard, row));
    UL_TRY(evaluate(c, id, dir, guard, row));
    UL_TRY(ul_arena_new(c->job->ctx, "comparison", &arena));
    const ul_status s = relearn(c, arena, id, dir, guard, row);
    ul_arena_free(arena);
    return s;
}

static ul_status alternates(ul_comparison *c)
{
    const char *file = ul_path_join(c->job->arena, c->out, "alternates.jsonl"), *seed;
    UL_NEED(file);
    UL_TRY(number(c, "seed", &seed));
    return c->alt ? UL_OK : ul_job_alternates(c->job, c->asked, c->forget, seed, file, &c->alt);
}

/* The method's own run, its seconds and its peak of memory. */
static ul_status forget(ul_comparison *c, const ul_catalogue_entry *e, json_t *row)
{
    ul_job *job = NULL;
    const char *out = ul_comparison_path(c, e->id, NULL), *steps, *seed;
    UL_NEED(out);
    UL_TRY(number(c, "steps", &steps));
    UL_TRY(number(c, "seed", &seed));
    const unsigned needs = ul_catalogue_needs(e->method);
    const bool retain = needs & (UL_NEED_RETAIN | UL_NEED_RETAIN_KL), own = needs & UL_NEED_ALT_OWN;
    if (own) UL_TRY(alternates(c));
    const ul_setting s[] = {{"model", c->model},
                            {"forget", c->forget},
                            {"retain", retain ? c->retain : NULL},
                            {"method", e->id},
                            {"alt", own ? c->alt : NULL},
                            {"alt-own", own ? "true" : NULL},
                            {"steps", steps},
                            {"seed", seed},
                            {"out", out},
                            {"force", "true"},
                            {NULL, NULL}};
    const int64_t start = ul_now_ns();
    ul_peak_reset();
    const ul_status status = call(c, "forget", s, &job);
    put(row, "seconds", (double)(ul_now_ns() - start) * 1e-9);
    put(row, "peak_mib", (double)ul_peak_bytes() / 1048576);
    ul_job_free(job);
    return status;
}

/* A method that cannot run here, or diverges, is a row that says so; anything else ends the comparison. */
static bool is_a_finding(ul_status s)
{
    return s == UL_E_CRITERION || s == UL_E_USAGE;
}

ul_status ul_comparison_row(ul_comparison *c, const char *id, const char *dir, const ul_catalogue_entry *e)
{
    ul_job *job = c->job;
    const char *path = ul_comparison_path(c, id, "row.json");
    json_t *row;
    UL_NEED(path);
    UL_TRY(ul_job_kept(job, path, "comparison", UL_REQUIRED, c->manifest.recipe_digest, &row));
    if (row) {
        const char *of = "", *intention = "";
        UL_TRY(ul_json_text(job->ctx, row, path, "id", UL_REQUIRED, &of));
        UL_TRY(ul_json_text(job->ctx, row, path, "intention", UL_REQUIRED, &intention));
        if (strcmp(of, id))
            return ul_fail(job->ctx, UL_E_INPUT, "%s: is the row of \"%s\", not of \"%s\"", path, of, id);
        return json_array_append(c->rows, row) ? ul_fail(job->ctx, UL_E_RESOURCE, "no memory for the table") : UL_OK;
    }
    row = json_pack("{s:s, s:s, s:s}", "id", id, "comparison", c->manifest.recipe_digest, "intention",
                    !e ? "" : e->method->intent == UL_REMOVAL ? "removal" : "suppression");
    UL_TRY(ul_json_own(job->arena, row));
    UL_TRY(ul_dir_make(job->ctx, ul_comparison_path(c, id, NULL)));
    ul_status s = e ? forget(c, e, row) : UL_OK;
    const char *made = ul_comparison_path(c, id, NULL);
    UL_NEED(made);
    if (s == UL_OK)
        s = e && e->guard ? measure(c, id, c->model, made, row) : measure(c, id, dir ? dir : made, NULL, row);
    if (ul_interrupted(job->ctx))
        return ul_fail(job->ctx, UL_E_CRITERION,
                       "interrupted at %s; the same command with --resume keeps the rows that are there", id);
    if (s != UL_OK && !(e && is_a_finding(s))) return s;
    if (s != UL_OK) {
        ul_note(job->ctx, UL_LOG_WARN, "%s: %s", id, ul_error_text(job->ctx));
        json_object_set_new(row, "failed", json_string(ul_error_text(job->ctx)));
    }
    if (json_array_append(c->rows, row)) return ul_fail(job->ctx, UL_E_RESOURCE, "no memory for the table");
    return ul_json_save(job->ctx, path, row);
}
