/* job_compare.c - many methods on one model and one request: what each forgets, keeps and costs, and what comes back.
 *
 * Every method runs at its own defaults through the same jobs that a person would call (`forget`, `eval`);
 * then the model it leaves is fine-tuned on retain rows only, and asked again. The model before and the retrained
 * control stand in the same table under the same treatment. A row is kept as soon as it is known, so an interrupted
 * comparison goes on where it stopped. */
#include "audit/comparison.h"
#include "audit/world.h"
#include <string.h>

static const ul_param params[] = {
    {"model", UL_TEXT, 0, 0, 0, NULL, "the model that shall forget: a Hugging Face directory", ""},
    {"world", UL_INT, -1, -1, 1e9, "seed",
     "instead of a model and data: the self-test's world of this seed, its original and its control, "
     "made in OUT/world-SEED or taken from there; -1: none",
     NULL},
    {"control", UL_TEXT, 0, 0, 0, NULL,
     "the same model retrained without the forget set, for forget quality and as the floor of recovery", ""},
    {"tofu", UL_TEXT, 0, 0, 0, NULL, "the directory of TOFU's files", ""},
    {"split", UL_TEXT, 0, 0, 0, NULL, "TOFU's forget split: forget01, forget05, forget10", "forget10"},
    {"forget", UL_TEXT, 0, 0, 0, NULL, "own data instead of TOFU: what shall be forgotten", ""},
    {"retain", UL_TEXT, 0, 0, 0, NULL, "own data: what shall stay", ""},
    {"methods", UL_TEXT, 0, 0, 0, NULL, "names joined with commas; all: every method of this build", "all"},
    {"audit", UL_TEXT, 0, 0, 0, "none|quick|standard|deep",
     "every row's model is asked and attacked beside the model before and the control, as "
     "`audit` does with this profile",
     "none"},
    {"phantom", UL_TEXT, 0, 0, 0, NULL, "of --audit: rows of the same kind that no model was ever taught", ""},
    {"rephrased", UL_TEXT, 0, 0, 0, NULL, "of --audit: the forget rows in other words (TOFU has its own)", ""},
    {"text", UL_TEXT, 0, 0, 0, NULL,
     "of --audit: plain text that was not to be forgotten; without it no intention can be met", ""},
    {"steps", UL_INT, 0, 0, 1e9, "steps", "of each method that trains; 0: its default", NULL},
    {"relearn", UL_INT, 40, 0, 1e6, "steps", "fine-tuning on retain rows after the forgetting; 0: none", NULL},
    {"relearn-lr", UL_REAL, 0, 0, 100, NULL, "its learning rate; 0: half of what the size of the model suggests", NULL},
    {"rows", UL_INT, 0, 0, 1e9, "rows", "evaluate on the first rows of every set only; 0: all", NULL},
    {"max-new", UL_INT, 200, 1, 1 << 20, "tokens", "longest generation", NULL},
    {"seed", UL_INT, 0, 0, 9007199254740991.0, NULL, "decides the order of samples, pairs and noise", NULL},
    {"out", UL_TEXT, 0, 0, 0, NULL, "the directory to write: table.md, table.json and a folder a method", ""},
    {"force", UL_BOOL, 0, 0, 1, NULL, "write into a directory that is not empty; files of the same names are replaced",
     NULL},
    {"resume", UL_BOOL, 0, 0, 1, NULL, "keep the rows that --out holds already, of the same comparison", NULL},
    {"cache", UL_TEXT, 0, 0, 0, NULL,
     "of --audit: where what was asked and found of each model is kept, as `audit --cache`; default: OUT/attacked", ""},
    {0}};

/* ---- what is compared on ----------------------------------------------------------------------------------------- */
static ul_status unless_given(ul_job *job, const char *key, const char *value)
{
    return ul_job_given(job, key) ? UL_OK : ul_job_set(job, key, value);
}

static ul_status tofu(ul_comparison *c, const char *dir)
{
    ul_job *job = c->job;
    const char *split;
    UL_TRY(ul_job_tofu_split(job, &split));
    const int share = 100 - 10 * (split[6] - '0') - (split[7] - '0');
    UL_NEED(c->forget = ul_format(job->arena, "%s/%s.json", dir, split));
    UL_NEED(c->asked = ul_format(job->arena, "%s/%s_perturbed.json", dir, split));
    UL_NEED(c->retain = ul_format(job->arena, "%s/retain%02d.json", dir, share));
    if (!c->rephrased) c->rephrased = c->asked, c->rephrased_fields = "prompt=paraphrased_question";
    return unless_given(job, "entity-rows", "20");
}

/* The original has learned everybody, the control those who stay. */
static ul_status world(ul_comparison *c)
{
    ul_job *job = c->job;
    ul_world_lab *l = UL_NEW(job->arena, ul_world_lab, 1);
    UL_NEED(l);
    *l = (ul_world_lab){.job = job, .be = c->be, .seed = (uint64_t)ul_job_int(job, "world")};
    UL_NEED(l->out = ul_format(job->arena, "%s/world-%lld", c->out, (long long)l->seed));
    UL_TRY(ul_lab_open(l));
    UL_TRY(ul_lab_model(l, "original", 0, 1, UL_WORLD_STEPS, &c->model));
    UL_TRY(ul_lab_model(l, "control", UL_WORLD_FORGET, 2, UL_WORLD_STEPS, &c->control));
    UL_NEED(c->forget = c->asked = ul_path_join(job->arena, l->data, "forget.jsonl"));
    UL_NEED(c->retain = ul_path_join(job->arena, l->data, "retain.jsonl"));
    UL_NEED(c->phantom = ul_path_join(job->arena, l->data, "phantom.jsonl"));
    UL_NEED(c->rephrased = ul_path_join(job->arena, l->data, "rephrased.jsonl"));
    UL_NEED(c->text = ul_path_join(job->arena, l->data, "text.jsonl"));
    UL_TRY(unless_given(job, "max-new", "4"));
    return unless_given(job, "attack-lr", UL_WORLD_ATTACK_LR);
}

static ul_status where(ul_comparison *c)
{
    static const char *const not_with[] = {"model",   "control",   "tofu", "forget", "retain",
                                           "phantom", "rephrased", "text", NULL};
    ul_job *job = c->job;
    const char *dir = ul_job_text(job, "tofu");
    c->model = ul_job_text(job, "model"), c->control = ul_job_text(job, "control");
    c->forget = c->asked = ul_job_text(job, "forget"), c->retain = ul_job_text(job, "retain");
    c->phantom = ul_job_text(job, "phantom"), c->rephrased = ul_job_text(job, "rephrased");
    c->text = ul_job_text(job, "text");
    if (ul_job_int(job, "world") >= 0) {
        for (const char *const *k = not_with; *k; k++)
            if (ul_job_given(job, *k))
                return ul_fail(job->ctx, UL_E_USAGE, "--world makes its own models and data: leave --%s away", *k);
        return world(c);
    }
    if (!c->model) return ul_fail(job->ctx, UL_E_USAGE, "`compare` needs --model DIR, or --world SEED");
    if (dir) return tofu(c, dir);
    if (!c->forget || !c->retain)
        return ul_fail(job->ctx, UL_E_USAGE, "`compare` needs --tofu DIR, or --forget FILE and --retain FILE");
    return UL_OK;
}

static ul_status open_audit(ul_comparison *c)
{
    ul_job *job = c->job;
    const char *profile = ul_job_text(job, "audit");
    if (!profile || !strcmp(profile, "none")) return UL_OK;
    UL_NEED(c->course = UL_NEW(job->arena, ul_course, 1));
    *c->course = (ul_course){.job = job,
                             .be = c->be,
                             .original = c->model,
                             .control = c->control,
                             .forget = c->asked,
                             .retain = c->retain,
                             .phantom = c->phantom,
                             .rephrased = c->rephrased,
                             .rephrased_fields = c->rephrased_fields,
                             .text = c->text,
                             .profile = profile};
    UL_TRY(ul_course_keep(c->course, c->out));
    return ul_course_open(c->course);
}

static ul_status open_inputs(ul_comparison *c)
{
    ul_job *job = c->job;
    char digest[65];
    UL_TRY(ul_job_out_name(job, &c->out));
    UL_TRY(ul_job_backend(job, &c->be));
    UL_TRY(where(c));
    UL_TRY(ul_manifest_begin(job, &c->manifest));
    UL_TRY(ul_job_digest(job, c->model, digest));
    UL_TRY(ul_manifest_input(job, &c->manifest, "model", c->model, digest, -1));
    if (c->control) {
        UL_TRY(ul_job_digest(job, c->control, digest));
        UL_TRY(ul_manifest_input(job, &c->manifest, "control", c->control, digest, -1));
    }
    UL_TRY(ul_manifest_file(job, &c->manifest, "forget", c->forget));
    UL_TRY(ul_manifest_file(job, &c->manifest, "asked", c->asked));
    UL_TRY(ul_manifest_file(job, &c->manifest, "retain", c->retain));
    if (c->phantom && !strcmp(c->phantom, "generated"))
        return ul_fail(job->ctx, UL_E_USAGE,
                       "`compare` takes a file: `audit --phantom generated --out DIR` writes DIR/phantom.jsonl");
    if (c->phantom) UL_TRY(ul_manifest_file(job, &c->manifest, "phantom", c->phantom));
    if (c->rephrased) UL_TRY(ul_manifest_file(job, &c->manifest, "rephrased", c->rephrased));
    if (c->text) UL_TRY(ul_manifest_file(job, &c->manifest, "text", c->text));
    UL_TRY(ul_manifest_seal(job, &c->manifest));
    return open_audit(c);
}

/* Entry number i of --methods; false past the end. */
static ul_status method_at(ul_comparison *c, int i, ul_catalogue_entry *out, bool *more)
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
    for (const char *before = ul_job_text(c->job, "methods"); before < list; before += strcspn(before, ",") + 1)
        if (strcspn(before, ",") == strlen(id) && !strncmp(before, id, strlen(id)))
            return ul_fail(c->job->ctx, UL_E_USAGE, "--methods names %s twice", id);
    return ul_catalogue_find(id, out) ? UL_OK : ul_catalogue_unknown(c->job->ctx, "--methods", id, false);
}

static ul_status run(ul_job *job)
{
    ul_comparison *c = UL_NEW(job->arena, ul_comparison, 1);
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
        UL_TRY(ul_comparison_row(c, "control", c->control, NULL));
        const char *log = ul_comparison_path(c, "control", "eval/TOFU_EVAL.json");
        UL_NEED(log);
        c->control_log = log;
    }
    UL_TRY(ul_comparison_row(c, "before", c->model, NULL));
    for (int i = 0; i < n - 1; i++) {
        UL_TRY(method_at(c, i, &e, &more));
        ul_note(job->ctx, UL_LOG_INFO, "method %d of %d: %s", i + 1, n - 1, e.id);
        UL_TRY(ul_comparison_row(c, e.id, NULL, &e));
    }
    UL_TRY(ul_manifest_write(job, &c->manifest, c->be, c->out));
    return ul_comparison_tell(c);
}

const ul_job_kind ul_job_compare = {
    .id = "compare", .summary = "many methods on one request: what each forgets, keeps and costs, and what comes back",
    .about = "Runs every method at its defaults on the same model and request, evaluates what it leaves, fine-tunes "
             "that on retain rows only and asks again. The model before and, with --control, the retrained control get "
             "the same treatment. Writes table.md, table.json and a model directory a method; goes on after an "
             "interruption with --resume. With --audit every row gets a verdict (removed, suppressed, ...) and the "
             "methods' declared intentions stand against it; OUT/audit/report.html tells all. `unlearn compare "
             "--world 0 --audit standard --out DIR` needs nothing else: it makes the self-test's world.",
    .example = "unlearn compare --model demo-out/target --control demo-out/control --forget demo-out/data/forget.jsonl "
               "--retain demo-out/data/retain.jsonl --methods npo,tv --steps 20 --max-new 8 --out compared",
    .tables = {params, ul_attack_params, ul_rule_params, ul_data_params, ul_compute_params}, .run = run};
