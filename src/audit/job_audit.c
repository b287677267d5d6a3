/* job_audit.c - removed, or only suppressed? A model, the original, perhaps a control, and what was to be forgotten. */
#include "audit/audit_data.h"
#include <string.h>

static const ul_param params[] = {
    {"model", UL_TEXT, 0, 0, 0, NULL, "the model under audit: a Hugging Face directory", ""},
    {"original", UL_TEXT, 0, 0, 0, NULL, "the model before it forgot", ""},
    {"control", UL_TEXT, 0, 0, 0, NULL,
     "a model trained the same way without the forget set; without one \"removed\" is not said", ""},
    {"forget", UL_TEXT, 0, 0, 0, NULL,
     "what was to be forgotten: questions, answers, wrong answers (perturbed_answer), entity", ""},
    {"retain", UL_TEXT, 0, 0, 0, NULL, "what was to stay; attacks train on it", ""},
    {"phantom", UL_TEXT, 0, 0, 0, NULL,
     "rows of the same kind that no model was ever taught: half are taught in an attack, half asked", ""},
    {"rephrased", UL_TEXT, 0, 0, 0, NULL,
     "the forget rows in other words, in order: one for every row, or one for every k rows", ""},
    {"intention", UL_TEXT, 0, 0, 0, "removal|copyright|suppression",
     "what the forgetting was for: decides whether the verdict passes", "removal"},
    {"max-new", UL_INT, 32, 1, 4096, "tokens", "longest greedy answer", NULL},
    {"batch-tokens", UL_INT, 4096, 64, 1 << 20, "tokens", "tokens in a packed batch. Never changes a number", NULL},
    {"seed", UL_INT, 0, 0, 1e9, NULL, "of attacks and resamples (self-test: of the world too)", NULL},
    {"self-test", UL_BOOL, 0, 0, 1, NULL, "audit models whose verdict is known; fails when one is wrong", NULL},
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

typedef struct {
    ul_job *job;
    ul_backend *be;
    ul_audit audit;
    const char *out, *dir[3]; /* U, O, R */
    ul_battery *battery[3];
    char digest[3][65];
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

/* One model: opened, asked, attacked, closed. */
static ul_status attack_model(course *c, int i)
{
    static const char *const key[3] = {"model", "original", "control"};
    ul_job *job = c->job;
    ul_model *m, *work;
    UL_TRY(ul_model_open(job->ctx, c->be, c->dir[i], 0, &m));
    ul_status s = ul_model_open(job->ctx, c->be, c->dir[i], 0, &work);
    if (s == UL_OK) {
        c->battery[i] = UL_NEW(job->arena, ul_battery, 1);
        s = c->battery[i] ? ul_model_digest(job->ctx, m, c->digest[i]) : UL_E_RESOURCE;
        if (s == UL_OK) s = ul_manifest_input(job, &c->manifest, key[i], c->dir[i], c->digest[i], -1);
        if (s == UL_OK) s = ul_battery_run(&c->audit, key[i], m, work, c->battery[i]);
        ul_model_free(work);
    }
    ul_model_free(m);
    return s;
}

static ul_status set_up(course *c, const ul_args *attack, const ul_args *rules)
{
    ul_job *job = c->job;
    ul_tokenizer *tok;
    ul_model *m;
    ul_audit *a = &c->audit;
    c->dir[0] = ul_job_text(job, "model");
    c->dir[1] = ul_job_text(job, "original");
    c->dir[2] = ul_job_text(job, "control");
    if (!c->dir[1])
        return ul_fail(job->ctx, UL_E_USAGE,
                       "`audit` needs --original DIR: what was forgotten is measured against what was known before");
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
    return ul_audit_fill(a, &sets);
}

static ul_status tell(course *c, ul_audited *x)
{
    ul_job *job = c->job;
    ul_buf *b = &job->text;
    const ul_evidence *e = &x->evidence;
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
    ul_buf_printf(b, "\nintention %s: %s%s%s\nreport: %s/report.html\n", ul_job_text(job, "intention"),
                  x->outcome == UL_PASS   ? "met"
                  : x->outcome == UL_FAIL ? "not met"
                                          : "undecided",
                  *x->outcome_why ? "; " : "", x->outcome_why, c->out);
    return b->status;
}

static ul_status write_report(course *c, ul_audited *x)
{
    ul_job *job = c->job;
    json_t *one = ul_audit_json(&c->audit, x, c->battery[1], c->battery[2]);
    const char *command = ul_format(
        job->arena,
        "unlearn audit --model %s --original %s%s%s --forget %s --retain %s%s%s --profile %s --seed %lld --out OUT",
        c->dir[0], c->dir[1], c->dir[2] ? " --control " : "", c->dir[2] ? c->dir[2] : "", ul_job_text(job, "forget"),
        ul_job_text(job, "retain"), ul_job_text(job, "phantom") ? " --phantom " : "",
        ul_job_text(job, "phantom") ? ul_job_text(job, "phantom") : "", ul_job_text(job, "profile"),
        (long long)ul_job_int(job, "seed"));
    UL_NEED(command);
    job->result =
        json_pack("{s:s, s:b, s:s, s:I, s:s, s:s, s:o, s:o, s:f, s:s, s:O, s:[o]}", "kind", "audit", "self_test", 0,
                  "build", ul_build_id, "seed", (json_int_t)c->audit.seed, "profile", ul_job_text(job, "profile"),
                  "intention", ul_job_text(job, "intention"), "attack", ul_args_json(c->audit.attack), "rules",
                  ul_args_json(c->audit.rule), "seconds", (double)(ul_now_ns() - job->started_ns) * 1e-9, "command",
                  command, "inputs", c->manifest.inputs, "models", one);
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
    if (ul_job_flag(job, "self-test")) return ul_audit_self_test(job, attack, rules);
    course *c = UL_NEW(job->arena, course, 1);
    ul_audited *x = UL_NEW(job->arena, ul_audited, 1);
    UL_NEED(c);
    UL_NEED(x);
    c->job = job;
    UL_TRY(set_up(c, attack, rules));
    for (int i = 0; i < 3; i++)
        if (c->dir[i]) UL_TRY(attack_model(c, i));
    *x = (ul_audited){.name = c->dir[0], .u = c->battery[0]};
    UL_TRY(ul_evidence_collect(&c->audit, c->battery[0], c->battery[1], c->battery[2], &x->evidence));
    UL_TRY(ul_verdict_decide(job->ctx, job->arena, &x->evidence, rules, &x->verdict));
    x->outcome = ul_verdict_outcome(job->arena, ul_job_text(job, "intention"), &x->evidence, &x->verdict, rules,
                                    &x->outcome_why);
    UL_TRY(ul_dir_make(job->ctx, c->out));
    UL_TRY(tell(c, x));
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
