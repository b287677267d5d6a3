/* course.c - one original, one control and many models under the same attacks. What is served is asked,
 * what is attacked are weights: a model behind a guard answers through it, and its attacks are those of its weights,
 * which another model may share (the original's, when nothing but the guard was added); then they are not run again. */
#include "audit/audit_kept.h"
#include "audit/course.h"
#include <string.h>

ul_profile ul_audit_profile(const char *name)
{
    return !strcmp(name, "quick") ? UL_QUICK : !strcmp(name, "deep") ? UL_DEEP : UL_STANDARD;
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

const ul_args *ul_job_table(const ul_job *job, const ul_param *table)
{
    for (int t = 0; t < UL_JOB_TABLES && job->kind->tables[t]; t++)
        if (job->kind->tables[t] == table) return &job->args[t];
    return NULL;
}

static ul_status input(ul_course *c, const char *role, const char *path, const char *digest, int64_t n)
{
    return c->manifest ? ul_manifest_input(c->job, c->manifest, role, path, digest, n) : UL_OK;
}

static ul_status rows(ul_course *c, const char *role, const char *path, const char *fields, const ul_records **out)
{
    ul_job *job = c->job;
    ul_records *r;
    *out = NULL;
    if (!path) return UL_OK;
    UL_TRY(ul_records_open(job->ctx, job->arena, path, fields ? fields : ul_job_text(job, "fields"),
                           (int32_t)ul_job_int(job, "entity-rows"), &r));
    UL_TRY(input(c, role, path, r->digest, r->n));
    *out = r;
    return UL_OK;
}

/* A file, or "generated": the retain rows under invented names. */
static ul_status phantoms(ul_course *c, ul_audit_sets *sets)
{
    ul_audit *a = &c->audit;
    ul_records *r;
    if (!c->phantom || strcmp(c->phantom, "generated")) return rows(c, "phantom", c->phantom, NULL, &sets->phantom);
    UL_TRY(ul_phantoms_generate(a->ctx, a->arena, sets->forget, sets->retain, a->seed,
                                (int64_t)ul_num(a->rule, "min-entities"), &r));
    c->generated = sets->phantom = r;
    return input(c, "phantom", c->phantom, r->digest, r->n);
}

/* Plain text, of which every token but the first of a paragraph is scored. */
static ul_status plain_text(ul_course *c)
{
    ul_job *job = c->job;
    ul_audit *a = &c->audit;
    const ul_records *r;
    ul_docs *d;
    UL_TRY(rows(c, "text", c->text, NULL, &r));
    if (!r) return UL_OK;
    for (int64_t i = 0; i < r->n; i++)
        if (r->at[i].prompt)
            return ul_fail(job->ctx, UL_E_INPUT,
                           "--text %s, row at line %lld: it has a question; plain text is wanted (paragraphs, or rows "
                           "with \"text\")",
                           c->text, (long long)r->at[i].line);
    UL_TRY(ul_docs_build(job->ctx, job->arena, a->o.tok, &a->o.tpl, r, UL_WHICH_ANSWER, &d));
    if (!d->n_labelled)
        return ul_fail(job->ctx, UL_E_INPUT, "--text %s: its %lld texts have no second token to predict", c->text,
                       (long long)r->n);
    if (d->n < 2)
        return ul_fail(job->ctx, UL_E_INPUT,
                       "--text %s holds one text: an interval needs two or more (paragraphs are split at empty lines)",
                       c->text);
    a->text = d;
    return UL_OK;
}

/* Row of the forget set that two tokenizers cut differently; -1: none. */
static ul_status cut_alike(const ul_audit *a, const ul_tokenizer *other, int64_t *row)
{
    ul_ids x, y;
    ul_status s = UL_OK;
    ul_ids_init(&x, a->ctx);
    ul_ids_init(&y, a->ctx);
    *row = -1;
    for (int64_t i = 0; i < 2 * a->forget->n && s == UL_OK && *row < 0; i++) {
        const char *text = i % 2 ? a->forget->at[i / 2].answer : a->forget->at[i / 2].prompt;
        s = ul_encode(a->ctx, a->o.tok, text, strlen(text), true, &x);
        if (s == UL_OK) s = ul_encode(a->ctx, other, text, strlen(text), true, &y);
        if (s == UL_OK && (x.n != y.n || memcmp(x.id, y.id, x.n * sizeof *x.id) != 0)) *row = i / 2;
    }
    ul_ids_release(&x);
    ul_ids_release(&y);
    return s;
}

ul_status ul_course_same_words(ul_course *c, const char *key, const char *dir)
{
    ul_job *job = c->job;
    ul_model *m;
    ul_tokenizer *tok;
    char own[65], other[65];
    int64_t row;
    UL_TRY(ul_job_model(job, c->be, dir, UL_OPEN_NO_WEIGHTS, &m, NULL, NULL));
    if (ul_model_shape(m)->V != c->vocabulary)
        return ul_fail(job->ctx, UL_E_INPUT,
                       "--%s %s has a vocabulary of %d tokens, --original %s of %d: they do not read the same words "
                       "and cannot be audited beside each other",
                       key, dir, ul_model_shape(m)->V, c->original, c->vocabulary);
    const char *path = ul_path_join(job->arena, dir, "tokenizer.json");
    UL_NEED(path);
    if (!ul_file_exists(path)) return UL_OK; /* the original's is used */
    UL_TRY(ul_job_file_digest(job, path, other));
    UL_TRY(ul_job_file_digest(job, ul_tokenizer_path(c->audit.o.tok), own));
    if (!strcmp(own, other)) return UL_OK;
    UL_TRY(ul_tokenizer_open(job->ctx, dir, &tok));
    UL_TRY(ul_arena_defer(job->arena, ul_release_tokenizer, tok));
    UL_TRY(cut_alike(&c->audit, tok, &row));
    if (row < 0) return UL_OK; /* written anew, the same words */
    return ul_fail(job->ctx, UL_E_INPUT,
                   "--%s: the tokenizer %s (SHA-256 %.12s) gives %s:%lld other ids than the original's %s (%.12s): the "
                   "models do not read the same words",
                   key, path, other, c->audit.forget->path, (long long)c->audit.forget->at[row].line,
                   ul_tokenizer_path(c->audit.o.tok), own);
}

/* A second control must be another one: the same weights recover nothing because they are the same. */
static ul_status another(ul_course *c)
{
    ul_job *job = c->job;
    const char *const of[2] = {c->original, c->control};
    char own[65], other[65];
    if (!c->control)
        return ul_fail(job->ctx, UL_E_USAGE, "--twin is a second model trained as the control was: give --control too");
    UL_TRY(ul_course_same_words(c, "twin", c->twin));
    UL_TRY(ul_job_digest(job, c->twin, own));
    for (int i = 0; i < 2; i++) {
        UL_TRY(ul_job_digest(job, of[i], other));
        if (!strcmp(own, other))
            return ul_fail(job->ctx, UL_E_INPUT,
                           "--twin %s holds the weights of %s: a second model is wanted, trained as the control was "
                           "with another seed",
                           c->twin, of[i]);
    }
    return UL_OK;
}

ul_status ul_course_open(ul_course *c)
{
    ul_job *job = c->job;
    ul_tokenizer *tok;
    ul_model *m;
    ul_audit *a = &c->audit;
    UL_TRY(ul_job_model(job, c->be, c->original, UL_OPEN_NO_WEIGHTS, &m, &tok, NULL));
    *a = (ul_audit){.ctx = job->ctx,
                    .arena = job->arena,
                    .attack = ul_job_table(job, ul_attack_params),
                    .rule = ul_job_table(job, ul_rule_params),
                    .seed = (uint64_t)ul_job_int(job, "seed"),
                    .profile = ul_audit_profile(c->profile)};
    a->o = (ul_eval_options){
        .tok = tok, .batch_tokens = 4096, .batch = 64, .max_new = (int32_t)ul_job_int(job, "max-new")};
    UL_TRY(ul_job_template(job, tok, ul_model_shape(m), &a->o.tpl));
    ul_audit_sets sets;
    UL_TRY(rows(c, "forget", c->forget, NULL, &sets.forget));
    UL_TRY(rows(c, "retain", c->retain, NULL, &sets.retain));
    UL_TRY(phantoms(c, &sets));
    UL_TRY(rows(c, "rephrased", c->rephrased, c->rephrased_fields, &sets.rephrased));
    UL_TRY(rows(c, "holdout", c->holdout, NULL, &sets.holdout));
    UL_TRY(rows(c, "neighbours", c->neighbours, NULL, &sets.neighbours));
    UL_TRY(plain_text(c));
    UL_TRY(ul_audit_fill(a, &sets));
    c->vocabulary = ul_model_shape(m)->V;
    if (c->control) UL_TRY(ul_course_same_words(c, "control", c->control));
    if (c->twin) UL_TRY(another(c));
    return c->base ? ul_course_same_words(c, "base", c->base) : UL_OK;
}

static ul_status named(ul_course *c, const char *role, const char *dir, ul_model *m, char digest[65])
{
    UL_TRY(ul_model_digest(c->job->ctx, m, digest));
    return input(c, role, dir, digest, -1);
}

static ul_status guard_around(ul_course *c, const char *role, const char *dir, const char *path, ul_model *m,
                              ul_guard_file **out)
{
    char digest[65];
    *out = NULL;
    if (!path) return UL_OK;
    const char *what = ul_format(c->job->arena, "guard of %s", role);
    UL_NEED(what);
    UL_TRY(ul_guard_read(c->job->ctx, c->job->arena, path, out));
    UL_TRY(input(c, what, (*out)->path, (*out)->digest, -1));
    UL_TRY(ul_job_digest(c->job, dir, digest));
    return ul_guard_around(*out, m, c->audit.o.tok, digest);
}

/* ---- what is kept ---------------------------------------------------------------------------------------------- */
ul_status ul_course_keep(ul_course *c, const char *out)
{
    const char *dir = ul_job_text(c->job, "cache");
    c->kept = dir && strcmp(dir, "none") ? dir : NULL;
    if (!dir) UL_NEED(c->kept = ul_path_join(c->job->arena, out, "attacked"));
    return UL_OK;
}

/* Digests of those side files of a model that are there, one behind the other. */
static ul_status side_files(ul_course *c, const char *dir, const char *const *name, const char **out)
{
    ul_job *job = c->job;
    const char *all = "";
    for (; *name; name++) {
        char digest[65] = "-";
        const char *path = ul_path_join(job->arena, dir, *name);
        UL_NEED(path);
        if (ul_file_exists(path)) UL_TRY(ul_job_file_digest(job, path, digest));
        UL_NEED(all = ul_format(job->arena, "%s%s ", all, digest));
    }
    *out = all;
    return UL_OK;
}

/* The tokenizer is the original's, for every model. */
static ul_status key_of_course(ul_course *c, const char *original, const char *base)
{
    static const char *const words[] = {"config.json", "generation_config.json", "tokenizer.json",
                                        "tokenizer_config.json", "special_tokens_map.json", "vocab.json", "merges.txt",
                                        "tokenizer.model", NULL};
    const char *precision = ul_job_text(c->job, "precision"), *files;
    if (!c->kept) return UL_OK;
    UL_TRY(side_files(c, c->original, words, &files));
    const char *more[] = {precision ? precision : "f32", files, original, base, NULL};
    ul_audit_key(&c->audit, more, c->key);
    return UL_OK;
}

static ul_status kept_of(ul_course *c, const char *dir, const char *digest, ul_kept_parts *out)
{
    static const char *const shape[] = {"config.json", NULL};
    const char *files;
    ul_digest d;
    *out = (ul_kept_parts){.dir = c->kept};
    if (!c->kept) return UL_OK;
    UL_TRY(side_files(c, dir, shape, &files));
    ul_digest_init(&d);
    ul_digest_add(&d, c->key, sizeof c->key);
    ul_digest_add(&d, digest, strlen(digest) + 1);
    ul_digest_add(&d, files, strlen(files) + 1);
    ul_digest_hex(&d, out->key);
    return UL_OK;
}

/* ---- models ---------------------------------------------------------------------------------------------------- */
/* Asked and attacked; a second copy of the model is opened to be spent, where something is to be attacked. */
static ul_status attack_model(ul_course *c, const char *role, const char *dir, const char *guard, ul_model *m,
                              const char *digest, ul_battery **out)
{
    ul_job *job = c->job;
    ul_kept_parts kept;
    ul_suspect s = {.name = role, .model = m, .kept = &kept};
    UL_NEED(*out = UL_NEW(job->arena, ul_battery, 1));
    UL_TRY(kept_of(c, dir, digest, &kept));
    for (int i = 0; i < c->n_known; i++)
        if (!strcmp(c->known[i].digest, digest)) s.weights = c->known[i].battery;
    UL_TRY(guard_around(c, role, dir, guard, m, &s.guard));
    if (!s.weights) UL_TRY(ul_model_open(job->ctx, c->be, dir, 0, &s.work));
    const ul_status st = ul_battery_run(&c->audit, &s, *out);
    ul_model_free(s.work);
    UL_TRY(st);
    UL_TRY(ul_battery_intervals(&c->audit, *out));
    if (s.weights || c->n_known == UL_MOST_SUSPECTS) return UL_OK;
    memcpy(c->known[c->n_known].digest, digest, sizeof c->known[c->n_known].digest);
    c->known[c->n_known++].battery = *out;
    return UL_OK;
}

/* Of whom comes after the control; the original's is asked for when that is there. */
static ul_status distance(ul_course *c, ul_model *m, ul_battery *b)
{
    ul_model *control;
    if (!c->r || b == c->r) return UL_OK;
    UL_TRY(ul_model_open(c->job->ctx, c->be, c->control, 0, &control));
    const ul_status s = ul_distance_measure(&c->audit, m, control, b);
    ul_model_free(control);
    return s;
}

ul_status ul_course_attack(ul_course *c, const char *role, const char *dir, const char *guard, ul_battery **out)
{
    ul_model *m;
    char digest[65];
    UL_TRY(ul_model_open(c->job->ctx, c->be, dir, 0, &m));
    ul_status s = named(c, role, dir, m, digest);
    if (s == UL_OK) s = attack_model(c, role, dir, guard, m, digest, out);
    if (s == UL_OK && !guard) s = distance(c, m, *out);
    ul_model_free(m);
    return s;
}

/* A second control that knows the forget set would raise what counts as residue until nothing is found. */
static ul_status never_taught(const ul_course *c, const ul_battery *twin)
{
    ul_evidence *e = UL_NEW(c->job->arena, ul_evidence, 1);
    char *why;
    UL_NEED(e);
    UL_TRY(ul_evidence_collect(&c->audit, twin, c->o, twin, e));
    const int64_t before = ul_alloc_failures(c->job->ctx);
    const bool closed = ul_gate_control(c->job->arena, e, c->audit.rule, "the second control", &why);
    UL_TRY(ul_alloc_held(c->job->ctx, before)); /* of a sentence, and so of the gate */
    if (!closed) return UL_OK;
    return ul_fail(c->job->ctx, UL_E_INPUT, "--twin %s: %s", c->twin, why);
}

ul_status ul_course_begin(ul_course *c)
{
    ul_job *job = c->job;
    ul_audit *a = &c->audit;
    ul_battery *twin;
    char digest[65], base[65] = "";
    UL_TRY(ul_model_open(job->ctx, c->be, c->original, 0, &a->original));
    UL_TRY(ul_arena_defer(job->arena, ul_release_model, a->original));
    if (c->base) {
        UL_TRY(ul_model_open(job->ctx, c->be, c->base, 0, &a->base));
        UL_TRY(ul_arena_defer(job->arena, ul_release_model, a->base));
        UL_TRY(named(c, "base", c->base, a->base, base));
    }
    UL_TRY(named(c, "original", c->original, a->original, digest));
    UL_TRY(key_of_course(c, digest, base));
    UL_TRY(attack_model(c, "original", c->original, NULL, a->original, digest, &c->o));
    if (c->control) UL_TRY(ul_course_attack(c, "control", c->control, NULL, &c->r));
    UL_TRY(distance(c, a->original, c->o));
    if (!c->twin) return UL_OK;
    UL_TRY(ul_course_attack(c, "twin", c->twin, NULL, &twin));
    UL_TRY(never_taught(c, twin));
    a->twin = twin;
    return UL_OK;
}

ul_status ul_course_judge(ul_course *c, const char *name, const char *intention, const ul_battery *b, ul_audited *out)
{
    ul_audit *a = &c->audit;
    const int64_t before = ul_alloc_failures(a->ctx);
    *out = (ul_audited){.name = name, .intention = intention, .u = b};
    UL_TRY(ul_evidence_collect(a, b, c->o, c->r, &out->evidence));
    UL_TRY(ul_verdict_decide(a->ctx, a->arena, &out->evidence, a->rule, &out->verdict));
    out->outcome = ul_verdict_outcome(a->arena, intention, &out->evidence, &out->verdict, a->rule, &out->outcome_why);
    return ul_alloc_held(a->ctx, before);
}

char *ul_job_command(const ul_job *job)
{
    char *text = ul_format(job->arena, "unlearn %s", job->kind->id);
    for (int t = 0; t < UL_JOB_TABLES && job->kind->tables[t]; t++)
        for (int i = 0; text && job->kind->tables[t][i].key; i++) {
            const ul_param *p = &job->kind->tables[t][i];
            if (!job->set[t][i] || !strcmp(p->key, "out") || !strcmp(p->key, "force") || !strcmp(p->key, "resume") ||
                !strcmp(p->key, "threads") || !strcmp(p->key, "cache"))
                continue;
            if (p->type == UL_TEXT)
                text = ul_format(job->arena, "%s --%s %s", text, p->key,
                                 job->args[t].text[i] ? job->args[t].text[i] : "\"\"");
            else if (p->type == UL_BOOL)
                text = ul_format(job->arena, "%s --%s", text, p->key);
            else
                text = ul_format(job->arena, "%s --%s %.17g", text, p->key, job->args[t].num[i]);
        }
    return text ? ul_format(job->arena, "%s --out OUT", text) : NULL;
}

json_t *ul_course_report(ul_course *c, const char *command, json_t *models)
{
    const ul_job *job = c->job;
    ul_model *m = c->audit.original; /* NULL: every row was kept from an earlier run */
    json_t *rate = m ? json_real(ul_attack_lr(c->audit.attack, ul_model_parameters(m))) : json_null();
    return json_pack("{s:s, s:b, s:s, s:I, s:s, s:s, s:o, s:o, s:o, s:o, s:f, s:s, s:O?, s:o}", "kind", "audit",
                     "self_test", 0, "build", ul_build_id, "seed", (json_int_t)c->audit.seed, "profile", c->profile,
                     "intention", c->intention ? c->intention : "each method's own", "attack",
                     ul_args_json(c->audit.attack), "attack_rate", rate, "rules", ul_args_json(c->audit.rule),
                     "hygiene", ul_hygiene_json(&c->audit, c->o, c->r), "seconds",
                     (double)(ul_now_ns() - job->started_ns) * 1e-9, "command", command, "inputs",
                     c->manifest ? c->manifest->inputs : NULL, "models", models);
}
