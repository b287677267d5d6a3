/* job_audit.c - removed, or only suppressed? A model, the original, perhaps a control, and what was to be forgotten. */
#include "audit/course.h"
#include <math.h>
#include <string.h>

static const ul_param params[] = {
    {"model", UL_TEXT, 0, 0, 0, NULL,
     "the model under audit: a Hugging Face directory; several, joined with commas, are told in one report", ""},
    {"guard", UL_TEXT, 0, 0, 0, NULL,
     "a guard that stands around the model when it is asked (`forget --method filter, prompt, eco ...` writes it): "
     "what is said is said "
     "through it, attacks on the weights leave it away. Several, joined with commas: one for each model, or all for "
     "one; none: without",
     ""},
    {"original", UL_TEXT, 0, 0, 0, NULL, "the model before it forgot", ""},
    {"control", UL_TEXT, 0, 0, 0, NULL,
     "a model trained the same way without the forget set; without one \"removed\" is not said", ""},
    {"twin", UL_TEXT, 0, 0, 0, NULL,
     "a second model trained as the control was, with another seed: the negative control, in which every attack must "
     "find nothing. Without one the control is held against itself, resampled; without a control phantoms against "
     "phantoms. Its distance to the control is what two that never knew have between them",
     ""},
    {"base", UL_TEXT, 0, 0, 0, NULL,
     "a model from before the forget set was learned, of the same shape: donor of merging and transplants (deep). "
     "Without one "
     "the original is, and what it brings back is printed, not counted",
     ""},
    {"forget", UL_TEXT, 0, 0, 0, NULL,
     "what was to be forgotten: questions, answers, wrong answers (perturbed_answer), entity", ""},
    {"retain", UL_TEXT, 0, 0, 0, NULL, "what was to stay; attacks train on it", ""},
    {"phantom", UL_TEXT, 0, 0, 0, NULL,
     "rows of the same kind that no model was ever taught: half are taught in an attack, half asked. generated: the "
     "retain rows "
     "under invented names, written to OUT/phantom.jsonl",
     ""},
    {"rephrased", UL_TEXT, 0, 0, 0, NULL,
     "the forget rows in other words, in order: 1 to 8 for every row, or one for every k rows", ""},
    {"holdout", UL_TEXT, 0, 0, 0, NULL,
     "rows like the forget set's that no model was taught: can the forgotten be told from them? Without these the "
     "phantoms serve",
     ""},
    {"neighbours", UL_TEXT, 0, 0, 0, NULL,
     "rows close to the forgotten ones that were to stay (the same questions about others, other facts of the same "
     "field): asked beside the retain rows, and utility too",
     ""},
    {"text", UL_TEXT, 0, 0, 0, NULL,
     "plain text that was not to be forgotten (paragraphs, or rows with \"text\"): its probability is part of utility. "
     "Without it that is not measured, and no intention can be met",
     ""},
    {"profile", UL_TEXT, 0, 0, 0, "quick|standard|deep", UL_PROFILE_HELP, "standard"},
    {"intention", UL_TEXT, 0, 0, 0, "removal|copyright|suppression",
     "what the forgetting was for: decides whether the verdict passes", "removal"},
    {"require", UL_BOOL, 0, 0, 1, NULL,
     "exit status 1 unless the intention is met, by every model (undecided is not met); the report is written all the "
     "same",
     NULL},
    {"max-new", UL_INT, 32, 1, 4096, "tokens", "longest greedy answer", NULL},
    {"batch-tokens", UL_INT, 4096, 64, 1 << 20, "tokens", "tokens in a packed batch. Never changes a number", NULL},
    {"seed", UL_INT, 0, 0, 1e9, NULL, "of attacks and resamples (self-test: of the world too)", NULL},
    {"self-test", UL_BOOL, 0, 0, 1, NULL, "audit models whose verdict is known; fails when one is wrong", NULL},
    {"seeds", UL_INT, 1, 1, 1000, "worlds",
     "self-test: so many worlds, --seed and those after it, each in OUT/world-SEED, and how often the audit is right",
     NULL},
    {"seeds-right", UL_REAL, 0.95, 0, 1, NULL, "self-test of several worlds: share of the verdicts that must be right",
     NULL},
    {"seeds-removed", UL_REAL, 0.05, 0, 1, NULL,
     "self-test of several worlds: share of models that did not forget for good of which \"removed\" may be said",
     NULL},
    {"resume", UL_BOOL, 0, 0, 1, NULL,
     "go on with an interrupted audit: what --out holds of it is not asked and attacked again; self-test of several "
     "worlds: keep those that are there",
     NULL},
    {"cache", UL_TEXT, 0, 0, 0, NULL,
     "where what was asked and found of each model is kept: a later audit that names this folder, with the same "
     "original, control, data and attacks, does not attack these again; none: nowhere; default: OUT/attacked",
     ""},
    {"steps", UL_INT, 1400, 1, 1e6, "steps", "self-test: training of a model (1000 leaves world 3 half learned)", NULL},
    {"vocabulary", UL_TEXT, 0, 0, 0, "word|bpe",
     "self-test: a token a word, or pieces of words (answers of several tokens)", "word"},
    {"only", UL_TEXT, 0, 0, 0, NULL, "self-test: these models only, joined with commas", ""},
    {"from", UL_TEXT, 0, 0, 0, NULL, "self-test: models are read from this earlier --out where it has them", ""},
    {"out", UL_TEXT, 0, 0, 0, NULL, "the directory to write: report.html, report.md, report.json", ""},
    {"force", UL_BOOL, 0, 0, 1, NULL, "write into a directory that is not empty", NULL},
    {0}};

enum { MOST_MODELS = 64 };
typedef struct {
    ul_course course;
    ul_job *job;
    const char *out, *dir[MOST_MODELS], *guard[MOST_MODELS]; /* guard NULL: none */
    int n; /* models under audit */
    ul_battery *u[MOST_MODELS];
    ul_manifest manifest;
} trial;

/* A list joined with commas. */
static ul_status list(ul_job *job, const char *key, const char *out[MOST_MODELS], int *n)
{
    const char *text = ul_job_text(job, key);
    for (*n = 0; text && *text; text += *text == ',') {
        const size_t len = strcspn(text, ",");
        if (*n == MOST_MODELS)
            return ul_fail(job->ctx, UL_E_USAGE, "--%s names more than %d; audit the rest in a second run", key,
                           MOST_MODELS);
        if (len) UL_NEED(out[(*n)++] = ul_strndup(job->arena, text, len));
        text += len;
    }
    return UL_OK;
}

/* One guard around every model, every guard around one model, or the first around the first and so on. */
static ul_status pair(trial *t)
{
    ul_job *job = t->job;
    int n_dir, n_guard;
    UL_TRY(list(job, "model", t->dir, &n_dir));
    UL_TRY(list(job, "guard", t->guard, &n_guard));
    if (n_dir == 0)
        return ul_fail(job->ctx, UL_E_USAGE, "`audit` needs --model DIR: the model that was made to forget");
    if (n_dir > 1 && n_guard > 1 && n_dir != n_guard)
        return ul_fail(job->ctx, UL_E_USAGE, "--model names %d models and --guard %d guards: one of either, or as many "
                       "(\"none\" stands for a model without a guard)", n_dir, n_guard);
    t->n = n_dir > n_guard ? n_dir : n_guard;
    for (int i = 1; i < t->n; i++) {
        if (n_dir == 1) t->dir[i] = t->dir[0];
        if (n_guard == 1) t->guard[i] = t->guard[0];
    }
    for (int i = 0; i < t->n; i++) {
        if (t->guard[i] && !strcmp(t->guard[i], "none")) t->guard[i] = NULL;
        if (!ul_dir_exists(t->dir[i])) return ul_fail(job->ctx, UL_E_INPUT, "--model %s: no such directory", t->dir[i]);
    }
    return UL_OK;
}

static ul_status need(ul_job *job, const char *key, const char *what, const char **out)
{
    *out = ul_job_text(job, key);
    return *out ? UL_OK : ul_fail(job->ctx, UL_E_USAGE, "`audit` needs --%s %s", key, what);
}

static ul_status set_up(trial *t)
{
    ul_job *job = t->job;
    ul_course *c = &t->course;
    UL_TRY(pair(t));
    *c = (ul_course){.job = job,
                     .manifest = &t->manifest,
                     .control = ul_job_text(job, "control"),
                     .twin = ul_job_text(job, "twin"),
                     .base = ul_job_text(job, "base"),
                     .phantom = ul_job_text(job, "phantom"),
                     .rephrased = ul_job_text(job, "rephrased"),
                     .holdout = ul_job_text(job, "holdout"),
                     .neighbours = ul_job_text(job, "neighbours"),
                     .text = ul_job_text(job, "text"),
                     .profile = ul_job_text(job, "profile"),
                     .intention = ul_job_text(job, "intention")};
    UL_TRY(need(job, "original", "DIR: what was forgotten is measured against what was known before", &c->original));
    UL_TRY(need(job, "forget", "FILE (JSON lines, JSON or CSV)", &c->forget));
    UL_TRY(need(job, "retain", "FILE (JSON lines, JSON or CSV)", &c->retain));
    UL_TRY(ul_job_out_name(job, &t->out)); /* made when there is something to write */
    UL_TRY(ul_course_keep(c, t->out));
    UL_TRY(ul_manifest_begin(job, &t->manifest));
    UL_TRY(ul_job_backend(job, &c->be));
    UL_TRY(ul_course_open(c));
    for (int i = 0; i < t->n; i++) UL_TRY(ul_course_same_words(c, "model", t->dir[i]));
    for (int i = 0; i < t->n; i++) { /* before the original is attacked */
        ul_guard_file *g;
        char digest[65];
        if (!t->guard[i]) continue;
        UL_TRY(ul_guard_read(job->ctx, job->arena, t->guard[i], &g));
        UL_TRY(ul_job_digest(job, t->dir[i], digest));
        UL_TRY(ul_guard_check(g, t->dir[i], digest));
    }
    c->audit.o.batch_tokens = (int32_t)ul_job_int(job, "batch-tokens");
    return UL_OK;
}

static ul_status attack_each(trial *t)
{
    UL_TRY(ul_course_begin(&t->course));
    for (int i = 0; i < t->n; i++) {
        const char *role = i ? ul_format(t->job->arena, "model %d", i + 1) : "model";
        UL_NEED(role);
        UL_TRY(ul_course_attack(&t->course, role, t->dir[i], t->guard[i], &t->u[i]));
    }
    return UL_OK;
}

static ul_status attack_all(trial *t)
{
    const ul_status s = attack_each(t);
    if (s == UL_E_CRITERION && ul_interrupted(t->job->ctx) && t->course.kept)
        ul_note(t->job->ctx, UL_LOG_WARN, "what was asked and found until now is kept in %s: the same command with "
                "--resume goes on", t->course.kept);
    return s;
}

/* The last part of the path, where no other model has the same. */
static const char *last_part(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash && slash[1] ? slash + 1 : path;
}

/* The model's, or with a guard that one's, because that is where they differ. */
static const char *short_name(const trial *t, int i)
{
    const char *const *path = t->guard[i] ? t->guard : t->dir;
    for (int k = 0; k < t->n; k++)
        if (k != i && path[k] && !strcmp(last_part(path[k]), last_part(path[i])))
            return t->guard[i] ? ul_format(t->job->arena, "%s + %s", t->dir[i], t->guard[i]) : t->dir[i];
    return last_part(path[i]);
}

static void value(ul_buf *b, const char *before, const ul_bound *x)
{
    ul_buf_puts(b, before);
    if (ul_bound_finite(x))
        ul_buf_printf(b, "%.2f", x->value);
    else
        ul_buf_puts(b, "-");
}

/* Negative control and neighbours. */
static void tell_sound(ul_buf *b, const ul_evidence *e)
{
    const ul_bound *x = &e->negative_bound;
    ul_buf_printf(b, "negative control: %s", ul_negative_name(e->negative));
    if (e->negative_widest)
        ul_buf_printf(b, "; %s; farthest from 0: %s %.2f [%.2f, %.2f]",
                      e->negative_failed ? "not every attack comes back empty, and more counts as residue there"
                                         : "every attack comes back empty",
                      e->negative_widest, x->value, x->lo, x->hi);
    else if (e->negative == UL_NEGATIVE_NONE)
        ul_buf_puts(b, " (give --control, --twin or --phantom)");
    ul_buf_puts(b, "\n");
    if (!e->near.ran) return;
    ul_buf_puts(b, "neighbours:");
    value(b, " ", e->near.has_first ? &e->near.first : &(ul_bound){NAN, NAN, NAN, NAN, NAN});
    value(b, " (ranking) ", e->near.has_said ? &e->near.said : &(ul_bound){NAN, NAN, NAN, NAN, NAN});
    value(b, " (saying), refused beyond the original ", &e->near.refusal);
    ul_buf_puts(b, "\n");
}

/* Beside a control that relearns too: under the attack's own line. */
static void tell_savings(ul_buf *b, const ul_relearned *x)
{
    static const char *const who[] = {"", "original ", "control "};
    ul_buf_printf(b, "  %-11s savings  ", "");
    if (x->measured)
        ul_buf_printf(b, "%5.2f [%5.2f, %5.2f]", x->share.value, x->share.lo, x->share.hi);
    else
        ul_buf_puts(b, "not measured");
    ul_buf_printf(b, "  steps to %.2f, of %.0f:", x->level, x->last);
    for (int m = 0; m < 3; m++) {
        ul_buf_printf(b, "%s %s", m ? "," : "", who[m]);
        if (isfinite(x->steps[m])) ul_buf_printf(b, "%.1f", x->steps[m]);
        else ul_buf_puts(b, "not reached");
    }
    ul_buf_puts(b, "\n");
}

static ul_status tell(trial *c, const ul_audited *x)
{
    ul_job *job = c->job;
    ul_buf *b = &job->text;
    const ul_evidence *e = &x->evidence;
    if (c->n > 1) ul_buf_printf(b, "%s\n", x->name);
    if (x->u->guard)
        ul_buf_printf(b, "asked through the guard %s (%s); attacks on the weights leave it away\n", x->u->guard->path,
                      x->u->guard->id);
    ul_buf_printf(b, "verdict: %s\n%s\n", ul_verdict_name(x->verdict.id), x->verdict.clause);
    if (x->verdict.id == UL_REMOVED || x->verdict.id == UL_NO_RESIDUE)
        ul_buf_printf(b,
                      "That means: no residual knowledge above %.0f %% of the original was found by this battery, "
                      "whose sensitivity %s; it does not mean erased.\n",
                      100 * x->verdict.residue,
                      e->has_sensitivity ? "stands below" : "was not measured (--spike)");
    for (int i = 0; ul_qualifier_name(i); i++)
        if (x->verdict.qualifiers >> i & 1u)
            ul_buf_printf(b, "%s: %s\n", ul_qualifier_name(i), ul_qualifier_means(ul_qualifier_name(i)));
    for (int k = 0; k < x->verdict.n_by; k++) {
        const ul_measure *m = &e->other[k];
        if (x->verdict.by[k] == x->verdict.id) continue;
        ul_buf_printf(b, "by %s: %s (s %.2f [%.2f, %.2f])\n", ul_expressed_name(m->of),
                      ul_verdict_name(x->verdict.by[k]), m->s.value, m->s.lo, m->s.hi);
    }
    if (x->verdict.between) ul_buf_printf(b, "%s\n", x->verdict.between);
    if (x->verdict.withheld) ul_buf_printf(b, "%s\n", x->verdict.withheld);
    if (x->verdict.id == UL_DAMAGED)
        ul_buf_printf(b, "(were it not for the damage: %s)\n", ul_verdict_name(x->verdict.secondary));
    const ul_bound *plain = &e->utility_text;
    const char *text =
        e->has_text ? ul_format(job->arena, "%.2f [%.2f, %.2f]", plain->value, plain->lo, plain->hi) : "not measured";
    UL_NEED(text);
    if (e->text_not_measured) ul_buf_printf(b, "\nplain text was not measured: %s\n", e->text_not_measured);
    ul_buf_puts(b, "\ns ");
    if (e->not_measured)
        ul_buf_printf(b, "- (not measured: %s)", e->not_measured);
    else
        ul_buf_printf(b, "%.2f [%.2f, %.2f] of %s", e->s.value, e->s.lo, e->s.hi, ul_expressed_name(e->expressed));
    value(b, "   inv ", &e->inverse);
    value(b, "   utility ", e->first_unmeasured ? &(ul_bound){NAN, NAN, NAN, NAN, NAN} : &e->utility_first);
    value(b, " (ranking) ", &e->utility_said);
    ul_buf_printf(b, " (saying) %s (text)   anchor: %s\n", text,
                  e->control   ? "control"
                  : e->phantom ? "phantoms"
                               : "chance");
    if (e->control)
        ul_buf_printf(b, "control held against %s: %.2f [%.2f, %.2f]\n", ul_held_name(e->held), e->leak.value,
                      e->leak.lo, e->leak.hi);
    if (e->has_apart)
        ul_buf_printf(b, "distance to the control: %.3f [%.3f, %.3f] nats a token, the original's %.3f, beyond it %.3f "
                         "[%.3f, %.3f]\n", e->apart[0].value, e->apart[0].lo, e->apart[0].hi, e->apart[1].value,
                      e->farther.value, e->farther.lo, e->farther.hi);
    else if (e->control && x->u->guard)
        ul_buf_puts(b, "distance to the control: not measured behind a guard\n");
    if (e->has_floors)
        ul_buf_printf(b, "the second control's distance: %.3f [%.3f, %.3f], the model's over it %.2f [%.2f, %.2f]\n",
                      e->apart[2].value, e->apart[2].lo, e->apart[2].hi, e->floors.value, e->floors.lo, e->floors.hi);
    if (e->has_sensitivity)
        ul_buf_printf(b, "sensitivity: of a spike-in the battery recovered %.2f [%.2f, %.2f]\n", e->sensitivity.value,
                      e->sensitivity.lo, e->sensitivity.hi);
    tell_sound(b, e);
    for (int i = 0; i < e->n_recovery; i++) {
        const ul_recovery *p = &e->recovery[i];
        if (p->informative)
            ul_buf_printf(b, "  %-11s recovery %5.2f [%5.2f, %5.2f]  %s\n", p->id, p->rho.value, p->rho.lo, p->rho.hi,
                          p->title);
        else if (p->ran)
            ul_buf_printf(b, "  %-11s says nothing: %s\n", p->id, p->why_not);
        if (p->savings.ran) tell_savings(b, &p->savings);
    }
    if (e->depth_informative)
        ul_buf_printf(b, "  %-11s recovery %5.2f [%5.2f, %5.2f]  own head below the last layer\n", "depth",
                      e->depth.value, e->depth.lo, e->depth.hi);
    ul_buf_printf(b, "\nintention %s: %s%s%s\n", ul_job_text(job, "intention"),
                  ul_outcome_name(x->outcome), *x->outcome_why ? "; " : "", x->outcome_why);
    ul_buf_printf(b, c->n > 1 ? "\n" : "");
    return b->status;
}

static ul_status write_report(trial *t, const ul_audited *x)
{
    ul_job *job = t->job;
    ul_course *c = &t->course;
    const char *again = ul_job_command(job);
    UL_NEED(again);
    json_t *models = json_array();
    for (int i = 0; i < t->n; i++) json_array_append_new(models, ul_audit_json(&c->audit, &x[i], c->o, c->r));
    job->result = ul_course_report(c, again, models);
    if (!job->result) return ul_fail(job->ctx, UL_E_RESOURCE, "no memory for the report");
    return ul_audit_report_write(job->ctx, job->arena, t->out, job->result);
}

/* Every model must meet the intention; the first that does not is named. */
static ul_status require(const trial *t, const ul_audited *x)
{
    const ul_audited *worst = NULL;
    int n = 0;
    for (int i = 0; i < t->n; i++) {
        if (x[i].outcome == UL_PASS) continue;
        if (!worst) worst = &x[i];
        n++;
    }
    if (!worst) return UL_OK;
    return ul_fail(t->job->ctx, UL_E_CRITERION, "--require: %d of %d models do not meet the intention %s: %s, %s: %s",
                   n, t->n, t->course.intention, worst->name, ul_outcome_name(worst->outcome),
                   worst->outcome_why);
}

static ul_status run(ul_job *job)
{
    if (ul_job_flag(job, "self-test") && ul_job_int(job, "seeds") > 1) return ul_audit_seeds(job);
    if (ul_job_flag(job, "self-test"))
        return ul_audit_self_test(job, ul_job_table(job, ul_attack_params), ul_job_table(job, ul_rule_params));
    trial *t = UL_NEW(job->arena, trial, 1);
    ul_audited *x = UL_NEW(job->arena, ul_audited, MOST_MODELS);
    UL_NEED(t);
    UL_NEED(x);
    t->job = job;
    UL_TRY(set_up(t));
    UL_TRY(attack_all(t));
    for (int i = 0; i < t->n; i++) {
        const char *name = short_name(t, i);
        UL_NEED(name);
        UL_TRY(ul_course_judge(&t->course, name, t->course.intention, t->u[i], &x[i]));
    }
    UL_TRY(ul_dir_make(job->ctx, t->out));
    if (t->course.generated) {
        const char *path = ul_path_join(job->arena, t->out, "phantom.jsonl");
        UL_NEED(path);
        UL_TRY(ul_records_save(job->ctx, t->course.generated, path));
    }
    for (int i = 0; i < t->n; i++) UL_TRY(tell(t, &x[i]));
    ul_buf_printf(&job->text, "report: %s/report.html\n", t->out);
    UL_TRY(ul_manifest_seal(job, &t->manifest));
    UL_TRY(write_report(t, x));
    UL_TRY(ul_manifest_write(job, &t->manifest, t->course.be, t->out));
    return ul_job_flag(job, "require") ? require(t, x) : UL_OK;
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
             "flag. Exit status 0: the audit was made, whatever it says; 1: --require was given and an intention is "
             "not met, or no verdict can be given because a number is not finite. --self-test audits models "
             "whose verdict is known.",
    .example =
        "unlearn audit --model demo-out/npo --original demo-out/target --control demo-out/control --forget "
        "demo-out/data/forget.jsonl "
        "--retain demo-out/data/retain.jsonl --phantom demo-out/data/phantom.jsonl --attack-lr 0.002 --out audited",
    .tables = {params, ul_attack_params, ul_rule_params, ul_data_params, ul_compute_params},
    .run = run};
