/* job_demo.c - the whole story on a small invented world, offline, in a minute or two:
 *
 *   target   a fresh model learns about everybody
 *   control  the same recipe without the people who will be forgotten: what true removal would look like
 *   methods  the target forgets them
 *   relearn  every model is fine-tuned on the people who stay, on nothing else: what was only suppressed comes back
 *
 * Knowledge is measured by ranking: the share of questions whose true answer the model prefers to four wrong answers of
 * the same kind (chance: 0.2). It does not depend on how an answer is worded or refused. */
#include "audit/demo.h"
#include "audit/world.h"
#include <stdio.h>
#include <string.h>

static const ul_param params[] = {
    {"out", UL_TEXT, 0, 0, 0, NULL, "the directory to write: report.html, report.json, data and a model directory each",
     "demo-out"},
    {"force", UL_BOOL, 0, 0, 1, NULL, "write into a directory that is not empty; files of the same names are replaced",
     NULL},
    {"seed", UL_INT, 0, 0, 1e9, NULL, "of the world, the weights and the order", NULL},
    {"steps", UL_INT, 1000, 1, 1e6, "steps", "training of the target and of the control", NULL},
    {"relearn", UL_INT, 40, 1, 1e6, "steps", "fine-tuning on retain data after the forgetting", NULL},
    {0}};

enum {
    N_FORGET = UL_WORLD_FORGET,
    N_RETAIN = UL_WORLD_RETAIN,
    N_SENTENCE = UL_WORLD_SENTENCES,
    EVAL_ROWS = 400,
    N_SHOWN = 6,
    MAX_MODEL = 8,
    CURVE = 512
};

/* What each method does with the world: chosen on seed 0 by hand, written here and nowhere else. */
typedef struct {
    const char *id;
    double lr;
    int64_t steps;
    const char *key[3], *value[3];
} plan;
static const plan plans[] = {
    {"ga", 5e-4, 25, {NULL}, {NULL}},
    {"graddiff", 1e-3, 60, {"alpha", NULL}, {"2", NULL}},
    {"npo", 1e-3, 200, {NULL}, {NULL}},
    {"simnpo", 1e-3, 200, {"beta", "gamma", NULL}, {"2.5", "1", NULL}}};

typedef struct {
    const char *id, *title;
    ul_demo_scores before, after; /* after fine-tuning on retain data */
    double recovered;
    ul_interval recovered_within;
    double seconds;
    const char *const *answer; /* [N_SHOWN] what it says before it */
    json_t *curve, *relearn;
} entry;
typedef struct {
    ul_job *job;
    ul_backend *be;
    ul_tokenizer *tok;
    ul_template tpl;
    ul_world *world;
    const char *out, *shape_dir;
    ul_docs *all, *stay, *forget, *retain; /* training documents; the request's two sides */
    ul_records retain_rows;
    entry model[MAX_MODEL];
    int n;
    ul_named_result control;
    char target_digest[65];
} demo;

/* ---- setting up -------------------------------------------------------------------------------------------------- */
static ul_status set_up(demo *d)
{
    ul_job *job = d->job;
    UL_TRY(ul_job_out_dir(job, &d->out));
    UL_TRY(ul_world_new(job->ctx, job->arena, (uint64_t)ul_job_int(job, "seed"), N_FORGET, N_RETAIN, N_SENTENCE,
                        &d->world));
    const char *data = ul_path_join(job->arena, d->out, "data");
    UL_NEED(data);
    UL_TRY(ul_world_write(job->ctx, d->world, data));
    UL_NEED(d->shape_dir = ul_path_join(job->arena, d->out, "shape"));
    UL_TRY(ul_world_shape(job->ctx, job->arena, d->world, false, d->shape_dir));
    UL_TRY(ul_job_backend(job, &d->be));
    UL_TRY(ul_tokenizer_open(job->ctx, d->shape_dir, &d->tok));
    UL_TRY(ul_arena_defer(job->arena, ul_release_tokenizer, d->tok));
    d->tpl = ul_template_tofu;
    d->tpl.max_length = 64;
    UL_TRY(ul_world_docs(job->ctx, job->arena, d->world, d->tok, &d->tpl, true, true, true, &d->all));
    UL_TRY(ul_world_docs(job->ctx, job->arena, d->world, d->tok, &d->tpl, false, true, true, &d->stay));
    UL_TRY(ul_docs_build(job->ctx, job->arena, d->tok, &d->tpl, d->world->forget, UL_WHICH_ANSWER, &d->forget));
    UL_TRY(ul_docs_build(job->ctx, job->arena, d->tok, &d->tpl, d->world->retain, UL_WHICH_ANSWER, &d->retain));
    d->retain_rows = *d->world->retain;
    d->retain_rows.n = EVAL_ROWS;
    return UL_OK;
}

/* ---- training ---------------------------------------------------------------------------------------------------- */
typedef struct {
    demo *d;
    ul_model *model;
    ul_pairing pairing;
    ul_recipe recipe;
    json_t *curve; /* [step, forget loss, retain loss] */
} course;

static json_t *number(double x) /* a side that was not run has no loss */
{
    return x == x ? json_real(x) : json_null();
}

static void on_step(void *user, int64_t step, const ul_step_result *r)
{
    course *c = user;
    if (c->curve)
        json_array_append_new(c->curve,
                              json_pack("[I, o, o]", (json_int_t)step, number(r->forget_loss), number(r->retain_loss)));
}

/* Defaults of the recipe's table, then what this course needs. */
static void recipe(const demo *d, double lr, int64_t steps, int32_t batch, ul_recipe *out)
{
    ul_args args;
    ul_args_default(ul_recipe_params, &args);
    ul_recipe_from_args(&args, 1, out);
    out->seed = (uint64_t)ul_job_int(d->job, "seed");
    out->lr = lr;
    out->steps = steps;
    out->batch = batch;
    out->weight_decay = 0;
    out->clip = 1;
    out->warmup = 5;
    out->schedule = UL_CONSTANT;
}

static ul_status train(course *c, const ul_docs *forget, const ul_docs *retain, const ul_method *method,
                       const ul_args *args, ul_reference *ref, const char *what)
{
    ul_job *job = c->d->job;
    UL_TRY(ul_model_select(job->ctx, c->model, "all"));
    UL_TRY(ul_pairing_init(job->ctx, job->arena, forget, retain, c->recipe.seed, true, &c->pairing));
    const ul_run run = {.options = {.model = c->model, .method = method, .args = args, .recipe = &c->recipe,
                                    .pairing = &c->pairing, .ref = {[UL_FORGET] = ref}},
                        .n_samples = forget->n, .save_every = -1, .on_step = on_step, .on_step_user = c, .what = what};
    ul_step_result last;
    int64_t steps;
    return ul_run_train(job->ctx, &run, &last, &steps);
}

/* A fresh model learns `docs`: cosine to 5 %, the initialisation of the world's notes (0.08: it decides). */
static ul_status learn(demo *d, const char *id, const ul_docs *docs, ul_model **out)
{
    ul_job *job = d->job;
    const char *config = ul_path_join(job->arena, d->shape_dir, "config.json"),
               *dir = ul_path_join(job->arena, d->out, id);
    UL_NEED(config);
    UL_NEED(dir);
    course c = {.d = d};
    UL_TRY(ul_model_fresh(job->ctx, d->be, config, (uint64_t)ul_job_int(job, "seed"), 0.08, &c.model));
    UL_TRY(ul_arena_defer(job->arena, ul_release_model, c.model));
    recipe(d, 4e-3, ul_job_int(job, "steps"), 64, &c.recipe);
    c.recipe.schedule = UL_COSINE;
    c.recipe.warmup = 0.05;
    c.recipe.lr_floor = 0.05;
    c.recipe.beta2 = 0.98;
    UL_TRY(train(&c, docs, NULL, NULL, NULL, NULL, id));
    UL_TRY(ul_model_save(job->ctx, c.model, dir));
    *out = c.model;
    return UL_OK;
}

/* ---- measuring -------------------------------------------------------------------------------------------------- */
/* `answers` (may be NULL): what it says to the questions that the report shows. */
static ul_status measure(demo *d, ul_model *m, const char *what, bool is_control, ul_demo_scores *out,
                         const char *const **answers)
{
    ul_job *job = d->job;
    ul_evaluation *e = UL_NEW(job->arena, ul_evaluation, 1);
    UL_NEED(e);
    e->ctx = job->ctx;
    e->arena = job->arena;
    e->o = (ul_eval_options){
        .model = m, .tok = d->tok, .tpl = d->tpl, .batch_tokens = 4096, .batch = 128, .max_new = 4};
    UL_TRY(ul_evaluation_add(e, "forget", d->world->forget));
    UL_TRY(ul_evaluation_add(e, "retain", &d->retain_rows));
    if (d->control.result) e->control[e->n_control++] = d->control;
    UL_TRY(ul_evaluation_run(e, NULL, NULL));
    UL_TRY(ul_demo_measure(e, out));
    const char **said = UL_NEW(job->arena, const char *, N_SHOWN);
    UL_NEED(said);
    for (int i = 0; i < N_SHOWN; i++)
        said[i] = out->forget->generation ? out->forget->generation[i * 2 * UL_WORLD_FACTS + i % 5 * 2] : "";
    if (answers) *answers = said;
    if (is_control)
        d->control = (ul_named_result){"forget_truth_ratio", ul_evaluation_result(e, "forget_truth_ratio")};
    const double *x = out->value;
    ul_note(job->ctx, UL_LOG_INFO, "%-22s forget prob %.3f  knows %.2f   retain prob %.3f  knows %.2f", what,
            x[UL_DEMO_FORGET_PROB], x[UL_DEMO_KNOWS_FORGET], x[UL_DEMO_RETAIN_PROB], x[UL_DEMO_KNOWS_RETAIN]);
    return UL_OK;
}

/* Fine-tune on those who stay, nothing else; measure again. The model is spent afterwards. */
static ul_status relearn(demo *d, ul_model *m, entry *x)
{
    course c = {.d = d, .model = m, .curve = x->relearn};
    recipe(d, 2e-3, ul_job_int(d->job, "relearn"), 32, &c.recipe);
    const char *what = ul_format(d->job->arena, "%s, relearning", x->id);
    UL_NEED(what);
    UL_TRY(train(&c, d->retain, NULL, NULL, NULL, NULL, what));
    return measure(d, m, what, false, &x->after, NULL);
}

static ul_status begin_entry(demo *d, const char *id, const char *title, entry **out)
{
    entry *x = &d->model[d->n++];
    x->id = id;
    x->title = title;
    UL_TRY(ul_json_own(d->job->arena, x->curve = json_array()));
    UL_TRY(ul_json_own(d->job->arena, x->relearn = json_array()));
    *out = x;
    return UL_OK;
}

static ul_status forget_with(demo *d, const plan *p)
{
    ul_job *job = d->job;
    entry *x;
    const ul_method *method = ul_method_find(p->id);
    const char *from = ul_path_join(job->arena, d->out, "target"), *to = ul_path_join(job->arena, d->out, p->id),
               *cache = ul_path_join(job->arena, d->out, "reference");
    if (!method)
        return ul_fail(job->ctx, UL_E_INTERNAL, "the demo names the method \"%s\", which this build lacks", p->id);
    if (!from || !to || !cache) return UL_E_RESOURCE;
    UL_TRY(begin_entry(d, p->id, method->title, &x));
    ul_args args;
    ul_args_default(method->params, &args);
    for (int i = 0; p->key[i]; i++) UL_TRY(ul_args_set(job->arena, &args, p->id, p->key[i], p->value[i]));
    course c = {.d = d, .curve = x->curve};
    UL_TRY(ul_model_open(job->ctx, d->be, from, 0, &c.model));
    UL_TRY(ul_arena_defer(job->arena, ul_release_model, c.model));
    recipe(d, p->lr, p->steps, 32, &c.recipe);
    ul_reference *ref = NULL;
    if (method->needs & UL_NEED_FORGET_REF)
        UL_TRY(ul_reference_open(job->ctx, job->arena, c.model, cache, d->target_digest, d->forget, false, &ref));
    const int64_t start = ul_now_ns();
    UL_TRY(train(&c, d->forget, method->needs & UL_NEED_RETAIN ? d->retain : NULL, method, &args, ref, p->id));
    x->seconds = (double)(ul_now_ns() - start) * 1e-9;
    UL_TRY(ul_model_save(job->ctx, c.model, to));
    UL_TRY(measure(d, c.model, p->id, false, &x->before, &x->answer));
    return relearn(d, c.model, x);
}

/* ---- telling ----------------------------------------------------------------------------------------------------- */
static ul_status recoveries(demo *d)
{
    for (int i = 0; i < d->n; i++) {
        entry *x = &d->model[i];
        UL_TRY(ul_demo_recovered(d->job->arena, &x->after, &d->model[1].after, &d->model[0].after, &x->recovered,
                                 &x->recovered_within));
    }
    return UL_OK;
}

/* Knows less than one who never learned: the true answer is avoided, and that takes knowledge. */
static bool avoids(const demo *d, const entry *x)
{
    return x->before.value[UL_DEMO_KNOWS_FORGET] < d->model[1].before.value[UL_DEMO_KNOWS_FORGET] - 0.08;
}

static void within(ul_buf *t, double scale, int digits, double lo, double hi)
{
    char text[40] = "-";
    if (lo <= hi) snprintf(text, sizeof text, "%.*f .. %.*f", digits, scale * lo, digits, scale * hi);
    ul_buf_printf(t, " | %16s", text);
}

/* The intervals of what the table above says. */
static void print_intervals(demo *d)
{
    static const struct {
        int which, digits;
    } shown[] = {{UL_DEMO_FORGET_PROB, 3}, {UL_DEMO_KNOWS_FORGET, 2}, {UL_DEMO_RETAIN_PROB, 3}, {UL_DEMO_UTILITY, 2}};
    ul_buf *t = &d->job->text;
    ul_buf_printf(t, "\n%-9s | %16s | %16s | %16s | %16s | %16s | %16s\n", "95 %", "forget: prob", "knows",
                  "retain: prob", "utility", "after: knows", "recovered, %");
    for (int i = 0; i < d->n; i++) {
        const entry *x = &d->model[i];
        ul_buf_printf(t, "%-9s", x->id);
        for (size_t k = 0; k < sizeof shown / sizeof *shown; k++)
            within(t, 1, shown[k].digits, x->before.lo[shown[k].which], x->before.hi[shown[k].which]);
        within(t, 1, 2, x->after.lo[UL_DEMO_KNOWS_FORGET], x->after.hi[UL_DEMO_KNOWS_FORGET]);
        within(t, 100, 0, x->recovered_within.lo, x->recovered_within.hi);
        ul_buf_puts(t, "\n");
    }
}

static ul_status print_table(demo *d)
{
    ul_buf *t = &d->job->text;
    ul_buf_printf(t,
                  "\n%d invented people are forgotten, %d stay; answers are words from lists of 20, chance of ranking "
                  "first is 0.20\n\n",
                  N_FORGET, N_RETAIN);
    ul_buf_printf(t, "%-9s | %-31s | %-20s | %-7s | %s\n", "", "forget: prob  ROUGE  truth  knows",
                  "retain: prob  knows", "utility",
                  "after 40 steps on retain data only: forget prob, knows, recovered");
    for (int i = 0; i < d->n; i++) {
        const entry *x = &d->model[i];
        const double *b = x->before.value, *a = x->after.value;
        ul_buf_printf(
            t, "%-9s |      %6.3f  %6.2f  %6.2f  %5.2f |       %6.3f  %5.2f | %7.2f | %6.3f  %5.2f  %5.0f %%%s\n",
            x->id, b[UL_DEMO_FORGET_PROB], b[UL_DEMO_FORGET_ROUGE], b[UL_DEMO_TRUTH_RATIO], b[UL_DEMO_KNOWS_FORGET],
            b[UL_DEMO_RETAIN_PROB], b[UL_DEMO_KNOWS_RETAIN], b[UL_DEMO_UTILITY], a[UL_DEMO_FORGET_PROB],
            a[UL_DEMO_KNOWS_FORGET], 100 * x->recovered, avoids(d, x) ? "  (avoids the truth)" : "");
    }
    print_intervals(d);
    ul_buf_printf(t, "\nforget quality (p that truth ratios come from the control's distribution):");
    for (int i = 2; i < d->n; i++)
        ul_buf_printf(t, "  %s %.2g", d->model[i].id, d->model[i].before.value[UL_DEMO_QUALITY]);
    ul_buf_printf(t,
                  "\n\"recovered\" places a model between the control (0 %%: it never learned them) and the target "
                  "(100 %%), each after the same fine-tuning on the\npeople who stay. What comes back was suppressed, "
                  "not removed. A model that ranks the truth first more rarely than the control does\navoids it, and "
                  "that takes knowledge: little recovery then proves no removal. Intervals resample people, 2000 "
                  "times.\n\nreport: %s/report.html\n",
                  d->out);
    return t->status;
}

static json_t *entry_json(const demo *d, const entry *x)
{
    json_t *answers = json_array();
    const ul_interval *r = &x->recovered_within;
    for (int i = 0; i < N_SHOWN; i++) json_array_append_new(answers, json_string(x->answer[i]));
    json_t *j = json_pack("{s:s, s:s, s:o, s:o, s:f, s:b, s:f, s:O, s:O, s:o}", "id", x->id, "title", x->title,
                          "before", ul_demo_json(&x->before), "after", ul_demo_json(&x->after), "recovered",
                          x->recovered, "avoids", avoids(d, x), "seconds", x->seconds, "curve", x->curve, "relearn",
                          x->relearn, "answers", answers);
    if (j && r->lo <= r->hi)
        json_object_set_new(j, "intervals", json_pack("{s:[f, f]}", "recovered", r->lo, r->hi));
    return j;
}

static ul_status write_report(demo *d)
{
    ul_job *job = d->job;
    json_t *models = json_array(), *shown = json_array();
    for (int i = 0; i < d->n; i++) json_array_append_new(models, entry_json(d, &d->model[i]));
    for (int i = 0; i < N_SHOWN; i++) {
        const ul_record *r = &d->world->forget->at[i * 2 * UL_WORLD_FACTS + i % 5 * 2];
        json_array_append_new(shown, json_pack("{s:s, s:s}", "question", r->prompt, "answer", r->answer));
    }
    job->result = json_pack("{s:s, s:s, s:I, s:i, s:i, s:I, s:s, s:f, s:o, s:o}", "kind", "demo", "build", ul_build_id,
                            "seed", (json_int_t)ul_job_int(job, "seed"), "n_forget", N_FORGET, "n_retain", N_RETAIN,
                            "relearn_steps", (json_int_t)ul_job_int(job, "relearn"), "isa", d->be->k->name, "seconds",
                            (double)(ul_now_ns() - job->started_ns) * 1e-9, "questions", shown, "models", models);
    if (!job->result) return ul_fail(job->ctx, UL_E_RESOURCE, "no memory for the report");
    const char *json = ul_path_join(job->arena, d->out, "report.json"),
               *html = ul_path_join(job->arena, d->out, "report.html");
    UL_NEED(json);
    UL_NEED(html);
    UL_TRY(ul_json_save(job->ctx, json, job->result));
    return ul_report_html(job->ctx, job->result, html);
}

static ul_status run(ul_job *job)
{
    demo *d = UL_NEW(job->arena, demo, 1);
    UL_NEED(d);
    d->job = job;
    UL_TRY(set_up(d));
    ul_model *target, *control;
    entry *x, *y;
    UL_TRY(learn(d, "target", d->all, &target));
    UL_TRY(learn(d, "control", d->stay, &control));
    UL_TRY(ul_model_digest(job->ctx, target, d->target_digest));
    UL_TRY(begin_entry(d, "target", "before: has learned everybody", &x));
    UL_TRY(begin_entry(d, "control", "retrained without the forgotten", &y));
    UL_TRY(measure(d, control, "control", true, &y->before, &y->answer));
    UL_TRY(measure(d, target, "target", false, &x->before, &x->answer));
    UL_TRY(relearn(d, target, x));
    UL_TRY(relearn(d, control, y));
    for (size_t i = 0; i < sizeof plans / sizeof *plans; i++) UL_TRY(forget_with(d, &plans[i]));
    UL_TRY(recoveries(d));
    UL_TRY(write_report(d));
    return print_table(d);
}

const ul_job_kind ul_job_demo = {
    .id = "demo", .summary = "the whole story on a small invented world, offline, in a minute or two",
    .about = "Trains a small model on invented people and, as a control, another one without those who will be "
             "forgotten. Forgets with ga, graddiff, npo and simnpo. Then fine-tunes every model on the people who "
             "stay, on nothing else, and looks at what comes back. Writes model directories, data files, report.json "
             "and report.html (one static file).",
    .example = "unlearn demo --out demo-out",
    .tables = {params, ul_compute_params}, .run = run};
