/* audit_selftest.c - the audit audited: models whose verdict is known because of how they were made,
 * on a world of invented people trained on the spot (the recipe of the world's notes, sections 1 and 2).
 *
 *   original      learned everybody                                         not forgotten
 *   retrained     never told, another seed than the control's               removed
 *   half          never told about half of them                             partly removed
 *   idk           the original, taught to refuse                            suppressed
 *   gate          the original frozen, a low-rank adapter of one matrix      suppressed
 *   noised        the original with noise                                   damaged
 *   npo-weak      70 small steps of NPO (more where all is still said)      suppressed
 *   npo-strong    300 larger steps: the truth is avoided                     suppressed (for that), never removed
 *
 * The thresholds are those of every audit; nothing is tuned here. */
#include "audit/audit_data.h"
#include "audit/world.h"
#include <string.h>

enum {
    N_FORGET = UL_WORLD_FORGET,
    N_RETAIN = UL_WORLD_RETAIN,
    N_SENTENCE = UL_WORLD_SENTENCES,
    N_HELD_OUT = UL_WORLD_HELD_OUT,
    N_POOL = 400,
    MAX_KEY = 3
};
enum { MAX_ROUNDS = 4 }; /* of a subject's steps, until it says at most this share of the forget answers */
static const double SUPPRESSED_SAYS = 0.6;

typedef struct {
    const char *id, *wanted;
    const char *method; /* NULL: trained from scratch, or noise */
    int32_t from;       /* from scratch: first person that is learned; the last is the last of those who stay */
    uint64_t seed;
    double lr;
    int64_t steps;
    const char *targets; /* of an adapter: all else is frozen */
    const char *key[MAX_KEY], *text[MAX_KEY];
} subject;
static const subject subjects[] = {
    {"original", "not forgotten", NULL, 0, 1, 0, 0, NULL, {NULL}, {NULL}},
    {"control", NULL, NULL, N_FORGET, 2, 0, 0, NULL, {NULL}, {NULL}},
    {"retrained", "removed", NULL, N_FORGET, 3, 0, 0, NULL, {NULL}, {NULL}},
    {"half", "partly removed", NULL, N_FORGET / 2, 4, 0, 0, NULL, {NULL}, {NULL}},
    {"idk", "suppressed", "idk", 0, 0, 1e-3, 250, NULL, {"alpha", NULL}, {"2.5", NULL}},
    {"gate",
     "suppressed",
     "npo",
     0,
     0,
     3e-3,
     500,
     "model.layers.0.mlp.down_proj",
     {"beta", "alpha", NULL},
     {"0.1", "4", NULL}},
    {"noised", "damaged", NULL, -1, 0, 0.7, 0, NULL, {NULL}, {NULL}},
    {"npo-weak", "suppressed", "npo", 0, 0, 5e-4, 70, NULL, {"beta", "alpha", NULL}, {"0.1", "6", NULL}},
    {"npo-strong", "suppressed", "npo", 0, 0, 2e-3, 300, NULL, {"beta", "alpha", NULL}, {"0.1", "10", NULL}}};
enum { N_SUBJECT = sizeof subjects / sizeof *subjects };
static const char *const refusals[] = {"I don't know.", "I'm not sure about that."};

typedef struct {
    ul_job *job;
    ul_world_lab lab;
    const char *out;
    uint64_t seed;
    ul_audit audit;
    ul_model *original, *control, *work;
    ul_docs *forget_docs, *pool; /* what methods forget, and keep */
    ul_docs *request;            /* the forget rows: their prompts learn refusals */
    const ul_records *request_rows;
    ul_battery battery[N_SUBJECT];
    ul_audited audited[N_SUBJECT];
    int n;
} bench;

/* --vocabulary bpe: an answer is several tokens and a person's name is not cut where its words are. */
static bool in_pieces(const bench *t)
{
    return !strcmp(ul_job_text(t->job, "vocabulary"), "bpe");
}

/* What methods push at is the answer's word alone: with the end of sequence scored too, NPO unlearns that first.
 * What they keep: facts, likewise, and so many whole sentences that these are half of the scored tokens. */
static ul_status methods_docs(bench *t)
{
    ul_job *job = t->job;
    const int32_t stay = N_FORGET + N_RETAIN;
    ul_template word = t->lab.tpl;
    ul_docs *facts, *sentences;
    word.no_eos = true;
    UL_TRY(
        ul_world_some_docs(job->ctx, job->arena, t->lab.world, t->lab.tok, &word, 0, N_FORGET, 0, 0, &t->forget_docs));
    UL_TRY(ul_world_some_docs(job->ctx, job->arena, t->lab.world, t->lab.tok, &word, N_FORGET, stay, 0, 0, &facts));
    UL_TRY(
        ul_world_some_docs(job->ctx, job->arena, t->lab.world, t->lab.tok, &t->lab.tpl, 0, 0, 0, N_POOL, &sentences));
    ul_docs *pool = UL_NEW(job->arena, ul_docs, 1);
    UL_NEED(pool);
    *pool = *facts;
    pool->at = UL_NEW(job->arena, ul_doc, facts->n + sentences->n);
    UL_NEED(pool->at);
    memcpy(pool->at, facts->at, (size_t)facts->n * sizeof *pool->at);
    memcpy(pool->at + facts->n, sentences->at, (size_t)sentences->n * sizeof *pool->at);
    pool->n = facts->n + sentences->n;
    pool->n_tok += sentences->n_tok;
    pool->n_labelled += sentences->n_labelled;
    pool->longest = sentences->longest > pool->longest ? sentences->longest : pool->longest;
    t->pool = pool;
    return UL_OK;
}

static ul_status set_up(bench *t)
{
    ul_job *job = t->job;
    UL_TRY(ul_job_out_dir(job, &t->out));
    t->lab = (ul_world_lab){.job = job, .seed = t->seed, .out = t->out, .pieces = in_pieces(t)};
    UL_TRY(ul_job_backend(job, &t->lab.be));
    UL_TRY(ul_lab_open(&t->lab));
    const ul_world *w = t->lab.world;
    ul_audit *a = &t->audit;
    a->o.tok = t->lab.tok;
    a->o.tpl = t->lab.tpl;
    a->o.max_new = in_pieces(t) ? 12 : 4;
    const ul_audit_sets sets = {
        .forget = w->forget, .retain = w->retain, .rephrased = w->rephrased, .phantom = w->phantom};
    UL_TRY(ul_audit_fill(a, &sets));
    /* attacks see every rendering of a fact, as training did */
    const int32_t stay = N_FORGET + N_RETAIN;
    const int32_t range[5][4] = {{N_FORGET, stay, 0, 0},
                                 {0, N_FORGET / 2, 0, 0},
                                 {N_FORGET / 2, N_FORGET, 0, 0},
                                 {stay, stay + UL_WORLD_PHANTOMS / 2, 0, 0},
                                 {0, 0, N_SENTENCE, N_SENTENCE + N_HELD_OUT}};
    ul_docs *d[5];
    for (int i = 0; i < 5; i++)
        UL_TRY(ul_world_some_docs(job->ctx, job->arena, w, t->lab.tok, &t->lab.tpl, range[i][0], range[i][1],
                                  range[i][2], range[i][3], &d[i]));
    a->retain_docs = d[0];
    a->fold_docs[0] = d[1];
    a->fold_docs[1] = d[2];
    a->phantom_docs = d[3];
    a->text = d[4];
    t->request_rows = w->forget;
    UL_TRY(ul_docs_build(job->ctx, job->arena, t->lab.tok, &t->lab.tpl, w->forget, UL_WHICH_ANSWER, &t->request));
    return methods_docs(t);
}

/* ---- making the subjects ----------------------------------------------------------------------------------------- */
/* Share of the forget answers' words that the model says: expression, not what an attack finds. */
static ul_status says(bench *t, ul_model *m, double *share)
{
    ul_eval_options o = t->audit.o;
    ul_knowledge k;
    ul_arena *scratch;
    o.model = m;
    UL_TRY(ul_arena_new(t->job->ctx, "expression", &scratch));
    const ul_status s = ul_knowledge_measure(t->job->ctx, scratch, &o, t->audit.forget, true, &k);
    if (s == UL_OK) *share = ul_mean(k.said, k.n);
    ul_arena_free(scratch);
    return s;
}

static ul_status forget(bench *t, const subject *x, ul_model *m)
{
    ul_job *job = t->job;
    const ul_method *method = ul_method_find(x->method);
    if (!method)
        return ul_fail(job->ctx, UL_E_INTERNAL, "the self-test names the method \"%s\", which this build lacks",
                       x->method);
    ul_args args;
    ul_args_default(method->params, &args);
    for (int i = 0; i < MAX_KEY && x->key[i]; i++)
        UL_TRY(ul_args_set(job->arena, &args, x->method, x->key[i], x->text[i]));
    const unsigned needs = ul_method_needs(method, &args);
    const ul_docs *docs = needs & UL_NEED_ALT ? t->request : t->forget_docs;
    ul_recipe r;
    ul_pairing pairing;
    ul_reference *ref = NULL;
    ul_step_result last;
    int64_t done;
    ul_lab_recipe(&t->lab, x->lr, x->steps, 32, &r);
    UL_TRY(ul_model_copy_weights(job->ctx, t->original, m));
    UL_TRY(ul_pairing_init(job->ctx, job->arena, docs, t->pool, r.seed, true, &pairing));
    if (needs & UL_NEED_ALT)
        UL_TRY(ul_pairing_alternates(job->ctx, job->arena, t->lab.tok, &t->lab.tpl, t->request_rows, refusals, 2,
                                     r.steps * r.batch, &pairing));
    if (needs & UL_NEED_FORGET_REF) UL_TRY(ul_reference_open(job->ctx, job->arena, m, NULL, "", docs, false, &ref));
    if (x->targets) {
        const ul_lora l = {.r = 8, .alpha = 8, .targets = x->targets, .seed = t->seed};
        UL_TRY(ul_lora_add(job->ctx, m, &l));
    }
    UL_TRY(ul_model_select(job->ctx, m, x->targets ? "lora" : "all"));
    const ul_run run = {.options = {.model = m,
                                    .method = method,
                                    .args = &args,
                                    .recipe = &r,
                                    .pairing = &pairing,
                                    .ref = {[UL_FORGET] = ref}},
                        .n_samples = docs->n,
                        .save_every = -1,
                        .what = x->id};
    /* Worlds differ in how firmly they are learnt: what shall be suppressed is pushed until less of it is said. */
    double said = 1;
    for (int round = 0; round < MAX_ROUNDS && said > SUPPRESSED_SAYS; round++) {
        UL_TRY(ul_run_train(job->ctx, &run, &last, &done));
        UL_TRY(says(t, m, &said));
    }
    return x->targets ? ul_lora_merge(job->ctx, m) : UL_OK;
}

static ul_status make(bench *t, const subject *x, ul_model **out)
{
    const char *from = ul_job_text(t->job, "from"), *dir = from ? ul_path_join(t->job->arena, from, x->id) : NULL;
    if (dir && ul_dir_exists(dir)) {
        UL_TRY(ul_model_open(t->job->ctx, t->lab.be, dir, 0, out));
        return ul_arena_defer(t->job->arena, ul_release_model, *out);
    }
    UL_TRY(ul_lab_fresh(&t->lab, x->seed, out));
    if (x->method) return forget(t, x, *out);
    if (x->from >= 0) return ul_lab_learn(&t->lab, x->id, x->from, x->seed, ul_job_int(t->job, "steps"), *out);
    UL_TRY(ul_model_copy_weights(t->job->ctx, t->original, *out));
    ul_model_noise(*out, x->lr, t->seed);
    return UL_OK;
}

/* ---- judging ----------------------------------------------------------------------------------------------------- */
static bool asked_for(const bench *t, const char *id)
{
    const char *only = ul_job_text(t->job, "only");
    if (!only || !strcmp(id, "original") || !strcmp(id, "control")) return true;
    const size_t n = strlen(id);
    for (const char *at = only; (at = strstr(at, id)); at += n)
        if ((at == only || at[-1] == ',') && (at[n] == 0 || at[n] == ',')) return true;
    return false;
}

static ul_status subject_run(bench *t, int i)
{
    const subject *x = &subjects[i];
    ul_model *m;
    UL_TRY(make(t, x, &m));
    if (i == 0) t->original = t->audit.original = m;
    const char *dir = ul_path_join(t->job->arena, t->out, x->id);
    UL_NEED(dir);
    UL_TRY(ul_model_save(t->job->ctx, m, dir));
    const ul_suspect s = {.name = x->id, .model = m, .work = t->work};
    UL_TRY(ul_battery_run(&t->audit, &s, &t->battery[i]));
    if (i == 1) { /* the original's waited for it */
        t->control = m;
        UL_TRY(ul_distance_measure(&t->audit, t->original, m, &t->battery[0]));
    }
    if (i > 1) UL_TRY(ul_distance_measure(&t->audit, m, t->control, &t->battery[i]));
    return ul_battery_intervals(&t->audit, &t->battery[i]);
}

static ul_status judge(bench *t, int i)
{
    ul_audited *x = &t->audited[t->n];
    const subject *s = &subjects[i];
    *x = (ul_audited){.name = s->id, .wanted = s->wanted, .u = &t->battery[i]};
    UL_TRY(ul_evidence_collect(&t->audit, &t->battery[i], &t->battery[0], &t->battery[1], &x->evidence));
    UL_TRY(ul_verdict_decide(t->job->ctx, t->job->arena, &x->evidence, t->audit.rule, &x->verdict));
    t->n++;
    return UL_OK;
}

static void column(ul_buf *b, int width, bool measured, double x)
{
    if (measured)
        ul_buf_printf(b, " %*.2f", width, x);
    else
        ul_buf_printf(b, " %*s", width, "-");
}

static ul_status tell(bench *t, int *wrong)
{
    ul_buf *b = &t->job->text;
    *wrong = 0;
    ul_buf_printf(b, "\n%-11s %-15s %-15s %5s %6s %6s %6s %6s %6s %6s %6s  %s\n", "model", "wanted", "verdict", "s",
                  "W1", "UNLOCK", "RTT", "depth", "inv", "util", "seconds", "because");
    for (int i = 0; i < t->n; i++) {
        const ul_audited *x = &t->audited[i];
        const ul_evidence *e = &x->evidence;
        const bool right = !strcmp(x->wanted, ul_verdict_name(x->verdict.id));
        *wrong += !right;
        ul_buf_printf(b, "%-11s %-15s %-15s", x->name, x->wanted, ul_verdict_name(x->verdict.id));
        column(b, 5, ul_bound_finite(&e->s), e->s.value);
        for (int k = 0; k < e->n_recovery; k++)
            if (e->recovery[k].role == UL_CORE) column(b, 6, e->recovery[k].informative, e->recovery[k].rho.value);
        column(b, 6, e->depth_informative, e->depth.value);
        column(b, 6, e->inverse_informative, e->inverse.value);
        column(b, 6, ul_bound_finite(&e->utility_said), e->utility_said.value);
        ul_buf_printf(b, " %6.1f  %s%s\n", x->u->seconds, right ? "" : "WRONG: ", x->verdict.clause);
    }
    return b->status;
}

static ul_status write_report(bench *t, int wrong)
{
    ul_job *job = t->job;
    ul_manifest settings;
    UL_TRY(ul_manifest_begin(job, &settings));
    UL_TRY(ul_manifest_seal(job, &settings));
    json_t *models = json_array();
    for (int i = 0; i < t->n; i++)
        json_array_append_new(models, ul_audit_json(&t->audit, &t->audited[i], &t->battery[0], &t->battery[1]));
    job->result =
        json_pack("{s:s, s:b, s:s, s:s, s:I, s:s, s:i, s:o, s:o, s:o, s:f, s:s, s:o}", "kind", "audit", "self_test", 1,
                  "build", ul_build_id, "recipe_digest", settings.recipe_digest, "seed", (json_int_t)t->seed,
                  "profile", ul_job_text(job, "profile"), "wrong", wrong,
                  "attack", ul_args_json(t->audit.attack), "rules", ul_args_json(t->audit.rule), "hygiene",
                  ul_hygiene_json(&t->audit, &t->battery[0], &t->battery[1]), "seconds",
                  (double)(ul_now_ns() - job->started_ns) * 1e-9, "command",
                  ul_format(job->arena, "unlearn audit --self-test --seed %lld --profile %s --out OUT",
                            (long long)t->seed, ul_job_text(job, "profile")),
                  "models", models);
    if (!job->result) return ul_fail(job->ctx, UL_E_RESOURCE, "no memory for the report");
    return ul_audit_report_write(job->ctx, job->arena, t->out, job->result);
}

ul_status ul_audit_self_test(ul_job *job, const ul_args *attack, const ul_args *rules)
{
    bench *t = UL_NEW(job->arena, bench, 1);
    UL_NEED(t);
    t->job = job;
    t->seed = (uint64_t)ul_job_int(job, "seed");
    ul_args *frozen = UL_NEW(job->arena, ul_args, 1);
    UL_NEED(frozen);
    *frozen = *attack;
    if (!ul_job_given(job, "attack-lr"))
        UL_TRY(ul_args_set(job->arena, frozen, NULL, "attack-lr", UL_WORLD_ATTACK_LR));
    t->audit = (ul_audit){.ctx = job->ctx,
                          .arena = job->arena,
                          .attack = frozen,
                          .rule = rules,
                          .seed = t->seed,
                          .profile = ul_audit_profile(ul_job_text(job, "profile")),
                          .o = {.batch_tokens = 4096, .batch = 128}};
    UL_TRY(set_up(t));
    UL_TRY(ul_lab_fresh(&t->lab, 0, &t->work));
    for (int i = 0; i < N_SUBJECT; i++)
        if (asked_for(t, subjects[i].id)) UL_TRY(subject_run(t, i));
    for (int i = 0; i < N_SUBJECT; i++)
        if (subjects[i].wanted && t->battery[i].name) UL_TRY(judge(t, i));
    int wrong;
    UL_TRY(tell(t, &wrong));
    UL_TRY(write_report(t, wrong));
    ul_buf_printf(&job->text, "\n%d of %d verdicts are right; %.0f s\nreport: %s/report.html\n", t->n - wrong, t->n,
                  (double)(ul_now_ns() - job->started_ns) * 1e-9, t->out);
    if (!wrong) return UL_OK;
    for (int i = 0; i < t->n; i++) {
        const ul_audited *x = &t->audited[i];
        if (strcmp(x->wanted, ul_verdict_name(x->verdict.id)))
            ul_note(job->ctx, UL_LOG_WARN, "%s: wanted %s, got %s: %s", x->name, x->wanted,
                    ul_verdict_name(x->verdict.id), x->verdict.clause);
    }
    return ul_fail(job->ctx, UL_E_CRITERION, "audit --self-test: %d of %d verdicts are wrong (see %s/report.md)", wrong,
                   t->n, t->out);
}
