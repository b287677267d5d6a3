/* job_audit.c - removed, or only suppressed? A model, the original, perhaps a control, and what was to be forgotten. */
#include "audit/audit_data.h"
#include <string.h>

static const ul_param params[] = {
    {"model", UL_TEXT, 0, 0, 0, NULL, "the model under audit: a Hugging Face directory; several, joined with commas, are told in one report",
     ""},
    {"original", UL_TEXT, 0, 0, 0, NULL, "the model before it forgot", ""},
    {"control", UL_TEXT, 0, 0, 0, NULL,
     "a model trained the same way without the forget set; without one \"removed\" is not said", ""},
    {"base", UL_TEXT, 0, 0, 0, NULL,
     "a model from before the forget set was learned, of the same shape: donor of merging and transplants (deep). Without one "
     "the original is, and what it brings back is printed, not counted",
     ""},
    {"forget", UL_TEXT, 0, 0, 0, NULL,
     "what was to be forgotten: questions, answers, wrong answers (perturbed_answer), entity", ""},
    {"retain", UL_TEXT, 0, 0, 0, NULL, "what was to stay; attacks train on it", ""},
    {"phantom", UL_TEXT, 0, 0, 0, NULL,
     "rows of the same kind that no model was ever taught: half are taught in an attack, half asked", ""},
    {"rephrased", UL_TEXT, 0, 0, 0, NULL,
     "the forget rows in other words, in order: 1 to 8 for every row, or one for every k rows", ""},
    {"holdout", UL_TEXT, 0, 0, 0, NULL,
     "rows like the forget set's that no model was taught: can the forgotten be told from them? Without these the phantoms serve", ""},
    {"intention", UL_TEXT, 0, 0, 0, "removal|copyright|suppression",
     "what the forgetting was for: decides whether the verdict passes", "removal"},
    {"max-new", UL_INT, 32, 1, 4096, "tokens", "longest greedy answer", NULL},
    {"batch-tokens", UL_INT, 4096, 64, 1 << 20, "tokens", "tokens in a packed batch. Never changes a number", NULL},
    {"seed", UL_INT, 0, 0, 1e9, NULL, "of attacks and resamples (self-test: of the world too)", NULL},
    {"self-test", UL_BOOL, 0, 0, 1, NULL, "audit models whose verdict is known; fails when one is wrong", NULL},
    {"seeds", UL_INT, 1, 1, 1000, "worlds", "self-test: so many worlds, --seed and those after it, each in OUT/world-SEED, and how often the audit is right",
     NULL},
    {"resume", UL_BOOL, 0, 0, 1, NULL, "self-test of several worlds: keep those that --out holds already", NULL},
    {"steps", UL_INT, 1400, 1, 1e6, "steps", "self-test: training of a model (1000 leaves world 3 half learned)", NULL},
    {"only", UL_TEXT, 0, 0, 0, NULL, "self-test: these models only, joined with commas", ""},
    {"from", UL_TEXT, 0, 0, 0, NULL, "self-test: models are read from this earlier --out where it has them", ""},
    {"out", UL_TEXT, 0, 0, 0, NULL, "the directory to write: report.html, report.md, report.json", ""},
    {"force", UL_BOOL, 0, 0, 1, NULL, "write into a directory that is not empty", NULL},
    {0}};

ul_profile ul_audit_profile(const ul_args *attack)
{
    const char *p = ul_txt(attack, "profile");
    return !strcmp(p, "quick") ? UL_QUICK : !strcmp(p, "deep") ? UL_DEEP : UL_STANDARD;
}

json_t *ul_args_json(const ul_args *a)
{
    json_t *j = json_object();
    for (int i = 0; a->params[i].key; i++)
        json_object_set_new(j, a->params[i].key,
                            a->params[i].type == UL_TEXT ? json_string(a->text[i] ? a->text[i] : "")
                                                         : json_real(a->num[i]));
    return j;
}

enum { MOST_MODELS = 16 };
typedef struct {
    ul_job *job;
    ul_backend *be;
    ul_audit audit;
    const char *out, *original, *control, *dir[MOST_MODELS];
    int n; /* models under audit */
    ul_battery *o, *r, *u[MOST_MODELS];
    ul_manifest manifest;
} course;

static ul_status rows(course *c, const char *key, bool must, const ul_records **out)
{
    ul_job *job = c->job;
    const char *path = ul_job_text(job, key);
    *out = NULL;
    if (!path && must) return ul_fail(job->ctx, UL_E_USAGE, "`audit` needs --%s FILE (JSON lines, JSON or CSV)", key);
    if (!path) return UL_OK;
    ul_records *r;
    UL_TRY(ul_records_open(job->ctx, job->arena, path, ul_job_text(job, "fields"),
                           (int32_t)ul_job_int(job, "entity-rows"), &r));
    UL_TRY(ul_manifest_input(job, &c->manifest, key, path, r->digest, r->n));
    *out = r;
    return UL_OK;
}

static ul_status named(course *c, const char *role, const char *dir, ul_model *m)
{
    char digest[65];
    UL_TRY(ul_model_digest(c->job->ctx, m, digest));
    return ul_manifest_input(c->job, &c->manifest, role, dir, digest, -1);
}

/* Asked and attacked; `work` is a second copy, spent by attacks. */
static ul_status attack_model(course *c, const char *role, const char *dir, ul_model *m, ul_battery **out)
{
    ul_model *work;
    *out = UL_NEW(c->job->arena, ul_battery, 1);
    UL_NEED(*out);
    UL_TRY(named(c, role, dir, m));
    UL_TRY(ul_model_open(c->job->ctx, c->be, dir, 0, &work));
    const ul_status s = ul_battery_run(&c->audit, role, m, work, *out);
    ul_model_free(work);
    return s;
}

static ul_status open_attack(course *c, const char *role, const char *dir, ul_battery **out)
{
    ul_model *m;
    UL_TRY(ul_model_open(c->job->ctx, c->be, dir, 0, &m));
    const ul_status s = attack_model(c, role, dir, m, out);
    ul_model_free(m);
    return s;
}

/* The original stays open: some attacks compare with it. What it and the control give is used for every model. */
static ul_status attack_all(course *c)
{
    ul_job *job = c->job;
    ul_audit *a = &c->audit;
    const char *base = ul_job_text(job, "base");
    UL_TRY(ul_model_open(job->ctx, c->be, c->original, 0, &a->original));
    UL_TRY(ul_arena_defer(job->arena, ul_release_model, a->original));
    if (base) {
        UL_TRY(ul_model_open(job->ctx, c->be, base, 0, &a->base));
        UL_TRY(ul_arena_defer(job->arena, ul_release_model, a->base));
        UL_TRY(named(c, "base", base, a->base));
    }
    UL_TRY(attack_model(c, "original", c->original, a->original, &c->o));
    if (c->control) UL_TRY(open_attack(c, "control", c->control, &c->r));
    for (int i = 0; i < c->n; i++) {
        const char *role = i ? ul_format(job->arena, "model %d", i + 1) : "model";
        UL_NEED(role);
        UL_TRY(open_attack(c, role, c->dir[i], &c->u[i]));
    }
    return UL_OK;
}

static ul_status model_names(course *c)
{
    ul_job *job = c->job;
    const char *text = ul_job_text(job, "model");
    while (text && *text) {
        const size_t n = strcspn(text, ",");
        if (c->n == MOST_MODELS)
            return ul_fail(job->ctx, UL_E_USAGE, "--model names more than %d models; audit the rest in a second run", MOST_MODELS);
        if (n) UL_NEED(c->dir[c->n++] = ul_strndup(job->arena, text, n));
        text += n + (text[n] == ',');
    }
    if (c->n == 0) return ul_fail(job->ctx, UL_E_USAGE, "`audit` needs --model DIR: the model that was made to forget");
    c->original = ul_job_text(job, "original");
    c->control = ul_job_text(job, "control");
    if (!c->original)
        return ul_fail(job->ctx, UL_E_USAGE,
                       "`audit` needs --original DIR: what was forgotten is measured against what was known before");
    return UL_OK;
}

static ul_status set_up(course *c, const ul_args *attack, const ul_args *rules)
{
    ul_job *job = c->job;
    ul_tokenizer *tok;
    ul_model *m;
    ul_audit *a = &c->audit;
    UL_TRY(model_names(c));
    UL_TRY(ul_job_out_name(job, &c->out)); /* made when there is something to write */
    UL_TRY(ul_manifest_begin(job, &c->manifest));
    UL_TRY(ul_job_backend(job, &c->be));
    UL_TRY(ul_job_model(job, c->be, c->dir[0], UL_OPEN_NO_WEIGHTS, &m, &tok, NULL));
    *a = (ul_audit){.ctx = job->ctx,
                    .arena = job->arena,
                    .attack = attack,
                    .rule = rules,
                    .seed = (uint64_t)ul_job_int(job, "seed"),
                    .profile = ul_audit_profile(attack)};
    a->o = (ul_eval_options){.tok = tok,
                             .batch_tokens = (int32_t)ul_job_int(job, "batch-tokens"),
                             .batch = 64,
                             .max_new = (int32_t)ul_job_int(job, "max-new")};
    UL_TRY(ul_job_template(job, tok, ul_model_shape(m), &a->o.tpl));
    ul_audit_sets sets;
    UL_TRY(rows(c, "forget", true, &sets.forget));
    UL_TRY(rows(c, "retain", true, &sets.retain));
    UL_TRY(rows(c, "phantom", false, &sets.phantom));
    UL_TRY(rows(c, "rephrased", false, &sets.rephrased));
    UL_TRY(rows(c, "holdout", false, &sets.holdout));
    return ul_audit_fill(a, &sets);
}

/* The last part of the path, where no other model has the same. */
static const char *last_part(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash && slash[1] ? slash + 1 : path;
}

static const char *short_name(const course *c, int i)
{
    for (int k = 0; k < c->n; k++)
        if (k != i && !strcmp(last_part(c->dir[k]), last_part(c->dir[i]))) return c->dir[i];
    return last_part(c->dir[i]);
}

static ul_status tell(course *c, ul_audited *x)
{
    ul_job *job = c->job;
    ul_buf *b = &job->text;
    const ul_evidence *e = &x->evidence;
    if (c->n > 1) ul_buf_printf(b, "%s\n", x->name);
    ul_buf_printf(b, "verdict: %s\n%s\n", ul_verdict_name(x->verdict.id), x->verdict.clause);
    if (x->verdict.id == UL_REMOVED || x->verdict.id == UL_NO_RESIDUE)
        ul_buf_printf(b,
                      "That means: no residual knowledge above %.0f %% of the original was found by this battery; it "
                      "does not mean erased.\n",
                      100 * ul_num(c->audit.rule, "residue"));
    if (x->verdict.id == UL_DAMAGED)
        ul_buf_printf(b, "(were it not for the damage: %s)\n", ul_verdict_name(x->verdict.secondary));
    ul_buf_printf(b, "\ns %.2f [%.2f, %.2f]   inv %.2f   utility %.2f (ranking) %.2f (saying)   anchor: %s\n",
                  e->s.value, e->s.lo, e->s.hi, e->inverse.value, e->utility_first.value, e->utility_said.value,
                  e->control   ? "control"
                  : e->phantom ? "phantoms"
                               : "chance");
    for (int i = 0; i < e->n_recovery; i++) {
        const ul_recovery *p = &e->recovery[i];
        if (p->informative)
            ul_buf_printf(b, "  %-11s recovery %5.2f [%5.2f, %5.2f]  %s\n", p->id, p->rho.value, p->rho.lo, p->rho.hi,
                          p->title);
        else if (p->ran)
            ul_buf_printf(b, "  %-11s says nothing: %s\n", p->id, p->why_not);
    }
    if (e->depth_informative)
        ul_buf_printf(b, "  %-11s recovery %5.2f [%5.2f, %5.2f]  own head below the last layer\n", "depth",
                      e->depth.value, e->depth.lo, e->depth.hi);
    ul_buf_printf(b, "\nintention %s: %s%s%s\n", ul_job_text(job, "intention"),
                  x->outcome == UL_PASS   ? "met"
                  : x->outcome == UL_FAIL ? "not met"
                                          : "undecided",
                  *x->outcome_why ? "; " : "", x->outcome_why);
    ul_buf_printf(b, c->n > 1 ? "\n" : "");
    return b->status;
}

/* The command that gives this report: the keys that were given, as they were. */
static char *command(const ul_job *job)
{
    char *text = ul_strdup(job->arena, "unlearn audit");
    for (int t = 0; t < UL_JOB_TABLES && job->kind->tables[t]; t++)
        for (int i = 0; text && job->kind->tables[t][i].key; i++) {
            const ul_param *p = &job->kind->tables[t][i];
            if (!job->set[t][i] || !strcmp(p->key, "out") || !strcmp(p->key, "force") || !strcmp(p->key, "threads")) continue;
            if (p->type == UL_TEXT)
                text = ul_format(job->arena, "%s --%s %s", text, p->key, job->args[t].text[i] ? job->args[t].text[i] : "\"\"");
            else if (p->type == UL_BOOL)
                text = ul_format(job->arena, "%s --%s", text, p->key);
            else
                text = ul_format(job->arena, "%s --%s %.17g", text, p->key, job->args[t].num[i]);
        }
    return text ? ul_format(job->arena, "%s --out OUT", text) : NULL;
}

static ul_status write_report(course *c, const ul_audited *x)
{
    ul_job *job = c->job;
    json_t *models = json_array();
    for (int i = 0; i < c->n; i++) json_array_append_new(models, ul_audit_json(&c->audit, &x[i], c->o, c->r));
    const char *again = command(job);
    UL_NEED(again);
    job->result =
        json_pack("{s:s, s:b, s:s, s:I, s:s, s:s, s:o, s:o, s:f, s:s, s:O, s:o}", "kind", "audit", "self_test", 0,
                  "build", ul_build_id, "seed", (json_int_t)c->audit.seed, "profile", ul_job_text(job, "profile"),
                  "intention", ul_job_text(job, "intention"), "attack", ul_args_json(c->audit.attack), "rules",
                  ul_args_json(c->audit.rule), "seconds", (double)(ul_now_ns() - job->started_ns) * 1e-9, "command",
                  again, "inputs", c->manifest.inputs, "models", models);
    if (!job->result) return ul_fail(job->ctx, UL_E_RESOURCE, "no memory for the report");
    return ul_audit_report_write(job->ctx, job->arena, c->out, job->result);
}

static ul_status run(ul_job *job)
{
    const ul_args *attack = NULL, *rules = NULL;
    for (int t = 0; t < UL_JOB_TABLES && job->kind->tables[t]; t++) {
        if (job->kind->tables[t] == ul_attack_params) attack = &job->args[t];
        if (job->kind->tables[t] == ul_rule_params) rules = &job->args[t];
    }
    if (ul_job_flag(job, "self-test") && ul_job_int(job, "seeds") > 1) return ul_audit_seeds(job);
    if (ul_job_flag(job, "self-test")) return ul_audit_self_test(job, attack, rules);
    course *c = UL_NEW(job->arena, course, 1);
    ul_audited *x = UL_NEW(job->arena, ul_audited, MOST_MODELS);
    UL_NEED(c);
    UL_NEED(x);
    c->job = job;
    UL_TRY(set_up(c, attack, rules));
    UL_TRY(attack_all(c));
    for (int i = 0; i < c->n; i++) {
        x[i] = (ul_audited){.name = short_name(c, i), .u = c->u[i]};
        UL_TRY(ul_evidence_collect(&c->audit, c->u[i], c->o, c->r, &x[i].evidence));
        UL_TRY(ul_verdict_decide(job->ctx, job->arena, &x[i].evidence, rules, &x[i].verdict));
        x[i].outcome = ul_verdict_outcome(job->arena, ul_job_text(job, "intention"), &x[i].evidence, &x[i].verdict, rules,
                                          &x[i].outcome_why);
    }
    UL_TRY(ul_dir_make(job->ctx, c->out));
    for (int i = 0; i < c->n; i++) UL_TRY(tell(c, &x[i]));
    ul_buf_printf(&job->text, "report: %s/report.html\n", c->out);
    UL_TRY(ul_manifest_seal(job, &c->manifest));
    UL_TRY(write_report(c, x));
    return ul_manifest_write(job, &c->manifest, c->be, c->out);
}

const ul_job_kind ul_job_audit = {
    .id = "audit",
    .summary = "removed, or only suppressed? attacks a model beside the original and a retrained control",
    .about = "Asks what the model still knows and attacks it: fine-tuning on data that hold nothing of what was "
             "forgotten, coarser number formats, "
             "noise, its own head below the last layer. The original and a control that never saw the forget set go "
             "through the same, and how far "
             "each attack brings the model from the control towards the original is its recovery. The verdict "
             "(removed, partly removed, suppressed, not "
             "forgotten, damaged, inconclusive) follows from bounds over people, by rules whose every threshold is a "
             "flag. --self-test audits models "
             "whose verdict is known.",
    .example =
        "unlearn audit --model demo-out/npo --original demo-out/target --control demo-out/control --forget "
        "demo-out/data/forget.jsonl "
        "--retain demo-out/data/retain.jsonl --phantom demo-out/data/phantom.jsonl --attack-lr 0.002 --out audited",
    .tables = {params, ul_attack_params, ul_rule_params, ul_data_params, ul_compute_params},
    .run = run};
