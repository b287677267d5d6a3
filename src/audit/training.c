/* training.c - the parts of a training job in the order in which they happen. */
#include "audit/training.h"
#include <string.h>

static ul_status add_adapter(ul_job *job, ul_model *model)
{
    const ul_lora l = {.r = (int)ul_job_int(job, "lora-r"), .alpha = ul_job_num(job, "lora-alpha"),
                       .rslora = ul_job_flag(job, "lora-rslora"), .targets = ul_job_text(job, "lora"),
                       .seed = (uint64_t)ul_job_int(job, "seed")};
    return ul_lora_add(job->ctx, model, &l);
}

/* Numbers of blocks, which only the model bounds. */
static ul_status check_blocks(const ul_job *job, const ul_model *model)
{
    const int n = ul_model_shape(model)->n_layer;
    const ul_args *a = &job->method_args;
    for (const ul_param *p = job->method ? a->params : NULL; p && p->key; p++) {
        const bool one = p->unit && p->type == UL_INT && !strcmp(p->unit, "block");
        const bool many = p->unit && p->type == UL_INT && !strcmp(p->unit, "blocks");
        if ((one && ul_num(a, p->key) >= n) || (many && ul_num(a, p->key) > n))
            return ul_fail(job->ctx, UL_E_USAGE, "--%s.%s = %g: the model has %d blocks (%s)", job->method_id, p->key,
                           ul_num(a, p->key), n, p->help);
    }
    return UL_OK;
}

/* Flags of what this run does not do would be left unread without a word. */
static ul_status check_flags(const ul_job *job)
{
    static const struct {
        const char *key, *optimizers;
    } flags[] = {{"beta1", "adamw sophia"},  {"beta2", "adamw"},       {"eps", "adamw"},
                 {"momentum", "sgd"},        {"sophia-beta2", "sophia"}, {"sophia-rho", "sophia"},
                 {"sophia-batch", "sophia"}, {"sophia-every", "sophia"}};
    const char *optimizer = ul_job_text(job, "optimizer");
    for (const ul_param *p = ul_lora_params + 1; p->key && !ul_job_text(job, "lora"); p++)
        if (ul_job_given(job, p->key))
            return ul_fail(job->ctx, UL_E_USAGE, "--%s is of the adapters that --lora trains, and --lora was not given "
                           "(--lora all-linear)", p->key);
    for (size_t i = 0; optimizer && i < sizeof flags / sizeof *flags; i++)
        if (ul_job_given(job, flags[i].key) && !strstr(flags[i].optimizers, optimizer))
            return ul_fail(job->ctx, UL_E_USAGE, "--%s is of --optimizer %s, and the optimizer is %s", flags[i].key,
                           flags[i].optimizers, optimizer);
    return UL_OK;
}

ul_status ul_training_model(ul_training *t)
{
    ul_job *job = t->job;
    UL_TRY(check_flags(job));
    t->dir = ul_job_text(job, "model");
    if (!t->dir)
        return ul_fail(job->ctx, UL_E_USAGE, "`%s` needs --model DIR (a Hugging Face directory)", job->kind->id);
    UL_TRY(ul_job_match_known(job));
    if (!t->dry) UL_TRY(ul_job_out_name(job, &t->out));
    UL_TRY(ul_manifest_begin(job, &t->manifest));
    UL_TRY(ul_job_backend(job, &t->be));
    UL_TRY(ul_job_model(job, t->be, t->dir, 0, &t->model, &t->tok, t->digest));
    UL_TRY(ul_job_defaults(job, ul_model_parameters(t->model)));
    UL_TRY(check_blocks(job, t->model));
    UL_TRY(ul_manifest_input(job, &t->manifest, "model", t->dir, t->digest, -1));
    UL_TRY(ul_manifest_side_files(job, &t->manifest, t->dir));
    UL_TRY(ul_job_template(job, t->tok, ul_model_shape(t->model), &t->tpl));
    if (!ul_job_text(job, "lora")) return UL_OK;
    if (job->guard)
        return ul_fail(job->ctx, UL_E_USAGE, "--lora: the method %s changes no weights of the model", job->method_id);
    t->lora = true;
    t->fitted = job->procedure && !job->procedure->adapters;
    return t->fitted ? UL_OK : add_adapter(job, t->model);
}

ul_status ul_training_records(ul_training *t, const char *key, const char *role, ul_records **records, ul_docs **docs)
{
    ul_job *job = t->job;
    const char *path = ul_job_text(job, key);
    if (!path && !strcmp(key, "retain") && t->needs & (UL_NEED_RETAIN | UL_NEED_RETAIN_KL))
        return ul_fail(job->ctx, UL_E_USAGE, "the method %s needs rows that shall stay: --retain FILE (JSON lines, "
                       "JSON, CSV or text)", job->method_id);
    if (!path)
        return ul_fail(job->ctx, UL_E_USAGE, "`%s` needs --%s FILE (JSON lines, JSON, CSV or text)", job->kind->id,
                       key);
    UL_TRY(ul_records_open(job->ctx, job->arena, path, ul_job_text(job, "fields"),
                           (int32_t)ul_job_int(job, "entity-rows"), records));
    UL_TRY(ul_manifest_input(job, &t->manifest, role, path, (*records)->digest, (*records)->n));
    UL_TRY(ul_docs_build(job->ctx, job->arena, t->tok, &t->tpl, *records, UL_WHICH_ANSWER, docs));
    int64_t prompts = 0;
    for (int64_t i = 0; i < (*records)->n; i++) prompts += (*records)->at[i].prompt != NULL;
    ul_note(job->ctx, UL_LOG_INFO, "%s: %lld rows (%s), %lld tokens, %lld of them scored", path, (long long)(*docs)->n,
            !prompts ? "plain text" : prompts == (*docs)->n ? "prompt and answer" : "some with a prompt",
            (long long)(*docs)->n_tok, (long long)(*docs)->n_labelled);
    return UL_OK;
}

/* What a run that has not ended may have left in OUT. */
static bool is_of_a_run(const char *name)
{
    return name[0] == '.' || !strcmp(name, UL_LOG_NAME) || !strcmp(name, "reference") || !strcmp(name, UL_STAGES_NAME);
}

/* Whether OUT holds what --resume goes on from: the trainer's checkpoint, or a procedure's stages. */
static ul_status has_state(const ul_training *t, bool *out)
{
    const char *checkpoint = ul_path_join(t->job->arena, t->out, UL_CHECKPOINT_NAME);
    const char *stages = ul_path_join(t->job->arena, t->out, UL_STAGES_NAME);
    UL_NEED(checkpoint);
    UL_NEED(stages);
    *out = ul_file_exists(checkpoint) || ul_dir_exists(stages);
    return UL_OK;
}

/* --resume: a checkpoint or a procedure's stages, or a run that was stopped before its first one, or one that has
 * ended. Any other folder is not ours to write into. */
static ul_status check_resume(ul_training *t)
{
    ul_job *job = t->job;
    char **names;
    int64_t n;
    const char *checkpoint = ul_path_join(job->arena, t->out, UL_CHECKPOINT_NAME);
    const char *manifest = ul_path_join(job->arena, t->out, "manifest.json");
    const char *begun = ul_path_join(job->arena, t->out, UL_RECIPE_NAME);
    bool goes_on;
    UL_NEED(checkpoint);
    UL_NEED(manifest);
    UL_NEED(begun);
    if (!ul_dir_exists(t->out)) return UL_OK;
    UL_TRY(has_state(t, &goes_on));
    if (goes_on && ul_file_exists(begun)) UL_TRY(ul_manifest_same_recipe(job, &t->manifest, begun));
    if (ul_file_exists(checkpoint)) return UL_OK;
    if (ul_file_exists(manifest)) {
        UL_TRY(ul_manifest_same_recipe(job, &t->manifest, manifest));
        t->finished = true;
        return UL_OK;
    }
    UL_TRY(ul_dir_list(job->ctx, job->arena, t->out, &names, &n));
    for (int64_t i = 0; i < n; i++)
        if (!is_of_a_run(names[i]))
            return ul_fail(job->ctx, UL_E_USAGE, "%s: has no %s to resume from, but other files (%s): take a new --out",
                           t->out, UL_CHECKPOINT_NAME, names[i]);
    return UL_OK;
}

/* OUT is made only now that every input has been read; room for the model with its side files, the manifest and one
 * checkpoint is asked for before the run. */
static ul_status begin_out(ul_training *t, int64_t parameters)
{
    enum { NOTES = 16384 }; /* the manifest, and the log of a short run */
    ul_job *job = t->job;
    ul_trainable *w;
    const size_t real = t->be->k->esize;
    const bool whole = !job->guard && (!t->lora || ul_job_flag(job, "lora-merge"));
    uint64_t bytes = whole ? (uint64_t)parameters * ul_dtype_size(ul_model_shape(t->model)->dtype) : 0;
    const int n = ul_model_trainables(t->model, &w);
    const int arrays = ul_job_int(job, "save-every") < 0 ? 0 : t->recipe.optim == UL_SGD ? 2 : 3;
    for (int i = 0; i < n; i++) bytes += (uint64_t)w[i].n * real * (uint64_t)arrays;
    uint64_t side = 0;
    if (whole) UL_TRY(ul_dir_carry_bytes(job->ctx, t->dir, NULL, &side));
    t->made_out = !ul_dir_exists(t->out);
    UL_TRY(ul_dir_make(job->ctx, t->out));
    t->begun = true;
    UL_TRY(ul_dir_need_space(job->ctx, t->out, bytes + side + NOTES));
    return ul_manifest_write_recipe(job, &t->manifest, t->out);
}

ul_status ul_training_recipe(ul_training *t)
{
    ul_job *job = t->job;
    if (t->needs & UL_NEED_ALT_OWN && !(ul_job_text(job, "alt") && ul_job_flag(job, "alt-own")))
        return ul_fail(job->ctx, UL_E_USAGE, "the method %s needs alternate answers of each row's own: --alt FILE "
                       "--alt-own (`unlearn relabel --data %s --as wrong --out FILE` makes some)",
                       job->method_id, t->forget->path);
    int64_t parameters = ul_model_parameters(t->model);
    const ul_args *args = NULL;
    for (int k = 0; k < UL_JOB_TABLES && job->kind->tables[k]; k++)
        if (job->kind->tables[k] == ul_recipe_params) args = &job->args[k];
    ul_recipe_from_args(args, parameters, &t->recipe);
    if (ul_job_num(job, "lr") == 0) t->recipe.lr = ul_job_rate(job, parameters);
    t->recipe.steps = ul_recipe_steps(&t->recipe, t->forget_docs->n);
    t->recipe.match_peer = job->micro_means;
    const char *train = t->recipe.train;
    if (job->guard) train = "none", parameters = 0;
    if (!strcmp(train, "auto")) UL_NEED(train = ul_method_train(job->arena, job->method, &job->method_args, t->model));
    UL_TRY(ul_model_select(job->ctx, t->model, t->lora && !t->fitted ? "lora" : train));
    UL_TRY(ul_pairing_init(job->ctx, job->arena, t->forget_docs, t->retain_docs, t->recipe.seed, true, &t->pairing));
    UL_TRY(ul_manifest_seal(job, &t->manifest));
    if (t->dry) return UL_OK;
    if (ul_job_flag(job, "resume")) UL_TRY(check_resume(t));
    return t->finished ? UL_OK : begin_out(t, parameters);
}

ul_status ul_training_finished(ul_training *t)
{
    ul_job *job = t->job;
    job->result =
        json_pack("{s:s, s:b, s:s}", "out", t->out, "finished_before", 1, "recipe_digest", t->manifest.recipe_digest);
    if (!job->result) return ul_fail(job->ctx, UL_E_RESOURCE, "no memory for the result");
    return ul_buf_printf(&job->text, "%s is complete already, with this recipe: there is nothing to resume\n", t->out);
}

/* The answers of the retain rows. */
static ul_status retain_answers(ul_training *t, const char *const **lines, int64_t *n)
{
    const char **answer = UL_NEW(t->job->arena, const char *, t->retain->n);
    UL_NEED(answer);
    for (int64_t i = 0; i < t->retain->n; i++) answer[i] = t->retain->at[i].answer;
    *lines = answer;
    *n = t->retain->n;
    return UL_OK;
}

/* --alt FILE: a text a line, or a data set, of whose rows the wrong answers are taken where all have some (as many of
 * each), else the answers. */
static ul_status alternates_of(ul_training *t, const char *path, const char *const **lines, int64_t *n)
{
    ul_job *job = t->job;
    ul_records *r;
    if (!strstr(path, ".json")) return ul_lines_open(job->ctx, job->arena, path, lines, n);
    UL_TRY(ul_records_open(job->ctx, job->arena, path, ul_job_text(job, "fields"), 0, &r));
    int32_t each = INT32_MAX;
    for (int64_t i = 0; i < r->n; i++)
        if (r->at[i].n_wrong < each) each = r->at[i].n_wrong;
    const int32_t count = each > 0 ? each : 1;
    const char **line = UL_NEW(job->arena, const char *, r->n * count);
    UL_NEED(line);
    for (int64_t i = 0; i < r->n; i++)
        for (int32_t k = 0; k < count; k++) line[i * count + k] = each > 0 ? r->at[i].wrong[k] : r->at[i].answer;
    *lines = line;
    *n = r->n * count;
    return UL_OK;
}

ul_status ul_training_alternates(ul_training *t)
{
    ul_job *job = t->job;
    const char *const *lines = ul_refusals;
    int64_t n = UL_N_REFUSALS;
    const char *path = ul_job_text(job, "alt");
    t->pairing.alt_own = ul_job_flag(job, "alt-own");
    t->pairing.n_alt = ul_method_alternates(job->method, &job->method_args);
    if (t->pairing.alt_own && !path)
        return ul_fail(job->ctx, UL_E_USAGE, "--alt-own says whose the lines of --alt FILE are: give it too");
    if (path) UL_TRY(alternates_of(t, path, &lines, &n));
    else if (t->needs & UL_NEED_ALT_RETAIN) UL_TRY(retain_answers(t, &lines, &n));
    return ul_pairing_alternates(job->ctx, job->arena, t->tok, &t->tpl, t->forget, lines, n,
                                 t->recipe.steps * t->recipe.batch, &t->pairing);
}

/* The tokens of a text that a method wants the reference to read in front of the documents. */
static ul_status encode(void *user, ul_arena *arena, const char *text, const int32_t **token, int32_t *n)
{
    const ul_training *t = user;
    ul_ids ids;
    ul_ids_init(&ids, t->job->ctx);
    ul_status s = ul_encode(t->job->ctx, t->tok, text, strlen(text), false, &ids);
    int32_t *copy = s == UL_OK ? UL_NEW(arena, int32_t, ids.n) : NULL;
    if (copy && ids.n) memcpy(copy, ids.id, ids.n * sizeof *copy);
    *token = copy, *n = (int32_t)ids.n;
    ul_ids_release(&ids);
    return s != UL_OK ? s : copy ? UL_OK : UL_E_RESOURCE;
}

ul_trainer_options ul_training_options(ul_training *t)
{
    ul_job *job = t->job;
    return (ul_trainer_options){.model = t->model,
                                .method = job->method,
                                .args = &job->method_args,
                                .recipe = &t->recipe,
                                .micro_batch = (int32_t)ul_job_int(job, "micro-batch"),
                                .checkpoint = ul_job_flag(job, "checkpoint"),
                                .pairing = &t->pairing,
                                .reference = t->reference,
                                .wrap = t->wrap,
                                .n_wrap = t->n_wrap};
}

ul_status ul_training_reference(ul_training *t)
{
    ul_job *job = t->job;
    if (t->recipe.match_peer && job->method->readings)
        return ul_fail(job->ctx, UL_E_USAGE, "the peer has no %s: leave out --match %s", job->method_id,
                       ul_job_text(job, "match"));
    /* Padding differs from batch to batch: no cache can serve. */
    if (t->recipe.match_peer && (t->needs & (UL_NEED_RETAIN_KL | UL_NEED_FORGET_CE))) {
        t->reference = t->model;                                  /* with its adapters off */
        if (!t->lora || t->needs & UL_NEED_INFORMED_START) {
            UL_TRY(ul_model_open(job->ctx, t->be, t->dir, 0, &t->reference));
            UL_TRY(ul_arena_defer(job->arena, ul_release_model, t->reference));
        }
        if (!(t->needs & UL_NEED_RIVAL_LABELS)) return UL_OK;
    }
    const char *dir = ul_job_text(job, "cache"), *out = t->dry ? ul_job_text(job, "out") : t->out;
    if (!dir && out) UL_NEED(dir = ul_path_join(job->arena, out, "reference"));
    const ul_docs *const docs[UL_N_SIDE] = {t->forget_docs, t->pairing.alt, t->retain_docs};
    t->caches = ul_training_options(t);
    t->caches.encode = encode, t->caches.encode_user = t, t->caches.bos = ul_tokenizer_special(t->tok).bos;
    return ul_trainer_caches_plan(job->ctx, job->arena, dir, t->digest, docs, t->recipe.steps * t->recipe.batch,
                                  &t->caches, t->dry ? &t->cache_plan : NULL);
}

/* The tokens that relabelling concerns: all but the special ones. */
static ul_status ordinary_tokens(ul_training *t, int64_t *n)
{
    const int32_t V = ul_model_shape(t->model)->V;
    int32_t *id = UL_NEW(t->job->arena, int32_t, V);
    UL_NEED(id);
    *n = 0;
    for (int32_t i = 0; i < V; i++)
        if (ul_token_text(t->tok, i, &(size_t){0}) && !ul_token_special(t->tok, i)) id[(*n)++] = i;
    t->label = id;
    if (*n) return UL_OK;
    return ul_fail(t->job->ctx, UL_E_INPUT, "%s: every token is a special one", ul_tokenizer_path(t->tok));
}

ul_status ul_training_run(ul_training *t, ul_step_result *last, int64_t *steps)
{
    ul_job *job = t->job;
    int64_t n_label = 0;
    if (t->needs & (UL_NEED_RANDOM_LABELS | UL_NEED_RIVAL_LABELS)) UL_TRY(ordinary_tokens(t, &n_label));
    ul_run run = {
        .options = ul_training_options(t),
        .n_samples = t->forget_docs->n,
        .out_dir = t->out,
        .recipe_digest = t->manifest.recipe_digest,
        .save_every = ul_job_int(job, "save-every"),
        .resume = ul_job_flag(job, "resume"),
        .on_step = job->method ? ul_training_watch : NULL,
        .on_step_user = t,
        .what = job->kind->id};
    ul_trainer_options *o = &run.options;
    memcpy(o->ref, t->caches.ref, sizeof o->ref);
    memcpy(o->prefix, t->caches.prefix, sizeof o->prefix);
    o->label = t->label, o->n_label = n_label, o->pad_id = ul_tokenizer_special(t->tok).pad;
    UL_TRY(ul_run_train(job->ctx, &run, last, steps));
    if (*steps >= t->recipe.steps || last->stopped) return UL_OK;
    return ul_fail(job->ctx, UL_E_CRITERION, "interrupted after step %lld of %lld; %s", (long long)*steps,
                   (long long)t->recipe.steps,
                   run.save_every < 0 ? "nothing was saved (--save-every -1)"
                                      : "the state is saved: the same command with --resume goes on to the same bits");
}

ul_work ul_training_work(ul_training *t)
{
    ul_job *job = t->job;
    return (ul_work){.ctx = job->ctx,
                     .arena = job->arena,
                     .id = job->method_id,
                     .args = &job->method_args,
                     .model = t->model,
                     .recipe = &t->recipe,
                     .tok = t->tok,
                     .tpl = &t->tpl,
                     .forget_rows = t->forget,
                     .retain_rows = t->retain,
                     .forget = t->forget_docs,
                     .retain = t->retain_docs,
                     .out_dir = t->out,
                     .recipe_digest = t->manifest.recipe_digest,
                     .micro_batch = (int32_t)ul_job_int(job, "micro-batch"),
                     .checkpoint = ul_job_flag(job, "checkpoint"),
                     .resume = ul_job_flag(job, "resume"),
                     .save_every = ul_job_int(job, "save-every"),
                     .cache = ul_job_text(job, "cache"),
                     .runs = job->procedure ? job->procedure->runs
                             : job->guard   ? job->guard->runs
                                            : NULL,
                     .report = &job->text};
}

ul_status ul_training_start(ul_training *t)
{
    ul_work w = ul_training_work(t);
    if (!(t->needs & UL_NEED_INFORMED_START)) return UL_OK;
    if (t->lora) return ul_fila(&w);
    ul_note(t->job->ctx, UL_LOG_INFO,
            "%s: without --lora there is no adapter for FILA to start; all weights that move learn the loss alone",
            t->job->method_id);
    return UL_OK;
}

/* The model of the file, with the adapter that holds the change, takes the changed one's place. */
static ul_status fit_adapter(ul_training *t, ul_work *w)
{
    ul_job *job = t->job;
    ul_model *adapted;
    UL_TRY(ul_model_open(job->ctx, t->be, t->dir, 0, &adapted));
    UL_TRY(ul_arena_defer(job->arena, ul_release_model, adapted));
    UL_TRY(add_adapter(job, adapted));
    UL_TRY(ul_work_adapter(w, adapted));
    t->model = adapted;
    return UL_OK;
}

ul_status ul_training_procedure(ul_training *t, ul_step_result *last, int64_t *steps)
{
    ul_work w = ul_training_work(t);
    if (!w.cache && t->out) UL_NEED(w.cache = ul_path_join(t->job->arena, t->out, "reference"));
    UL_TRY(t->job->procedure->run(&w));
    if (t->fitted) UL_TRY(fit_adapter(t, &w));
    *last = w.last;
    *steps = w.steps;
    return UL_OK;
}

static ul_status remove_folder(ul_job *job, const char *dir)
{
    char **names;
    int64_t n;
    if (!ul_dir_exists(dir)) return UL_OK;
    UL_TRY(ul_dir_list(job->ctx, job->arena, dir, &names, &n));
    for (int64_t i = 0; i < n; i++) {
        const char *path = ul_path_join(job->arena, dir, names[i]);
        UL_NEED(path);
        UL_TRY(ul_dir_exists(path) ? remove_folder(job, path) : ul_path_remove(job->ctx, path));
    }
    return ul_path_remove(job->ctx, dir);
}

/* What only a resume would have needed. References that the user placed elsewhere stay, for the next run of a sweep. */
static ul_status remove_state(ul_training *t)
{
    ul_job *job = t->job;
    const char *checkpoint = ul_path_join(job->arena, t->out, UL_CHECKPOINT_NAME);
    const char *reference = ul_path_join(job->arena, t->out, "reference");
    const char *stages = ul_path_join(job->arena, t->out, UL_STAGES_NAME);
    const char *begun = ul_path_join(job->arena, t->out, UL_RECIPE_NAME);
    UL_NEED(checkpoint);
    UL_NEED(reference);
    UL_NEED(stages);
    UL_NEED(begun);
    UL_TRY(ul_path_remove(job->ctx, checkpoint));
    UL_TRY(ul_path_remove(job->ctx, begun));
    UL_TRY(remove_folder(job, stages));
    return ul_job_text(job, "cache") ? UL_OK : remove_folder(job, reference);
}

void ul_training_abandon(const ul_training *t)
{
    bool goes_on;
    if (!t->begun || has_state(t, &goes_on) != UL_OK || goes_on) return;
    const char *begun = ul_path_join(t->job->arena, t->out, UL_RECIPE_NAME);
    if (begun && ul_path_remove(t->job->ctx, begun) == UL_OK && t->made_out) ul_dir_remove_empty(t->out);
}

ul_status ul_training_guard(ul_training *t)
{
    ul_job *job = t->job;
    ul_work w = ul_training_work(t);
    ul_guard_fit f = {.work = &w, .model_digest = t->digest};
    ul_guard_file *made;
    UL_TRY(ul_guard_make(&f, job->guard));
    UL_TRY(ul_guard_read(job->ctx, job->arena, t->out, &made));
    json_object_set_new(t->manifest.outputs, "guard", json_pack("{s:s, s:s}", "path", t->out, "digest", made->digest));
    UL_TRY(ul_manifest_write(job, &t->manifest, t->be, t->out));
    UL_TRY(remove_state(t));
    job->result = json_pack("{s:s, s:s, s:s}", "method", job->method_id, "out", t->out, "recipe_digest",
                            t->manifest.recipe_digest);
    if (!job->result) return ul_fail(job->ctx, UL_E_RESOURCE, "no memory for the result");
    ul_buf_printf(&job->text,
                  "written: %s, a guard; the model is as it was\nnext: unlearn eval --model %s --guard %s --forget %s",
                  t->out, t->dir, t->out, ul_job_text(job, "forget"));
    if (t->retain) ul_buf_printf(&job->text, " --retain %s", ul_job_text(job, "retain"));
    return ul_buf_puts(&job->text,
                       "\n      (it only stands around the model: who has the weights has the knowledge)\n");
}

ul_status ul_training_save(ul_training *t)
{
    ul_job *job = t->job;
    char digest[65];
    if (t->lora && ul_job_flag(job, "lora-merge")) {
        UL_TRY(ul_lora_merge(job->ctx, t->model));
        t->lora = false;
    }
    if (t->lora) UL_TRY(ul_lora_save(job->ctx, t->model, t->out));
    else UL_TRY(ul_model_save(job->ctx, t->model, t->out));
    const char *file = t->lora ? ul_path_join(job->arena, t->out, "adapter_model.safetensors") : t->out;
    UL_NEED(file);
    UL_TRY(ul_job_digest(job, file, digest));
    json_object_set_new(t->manifest.outputs, t->lora ? "adapter" : "model",
                        json_pack("{s:s, s:s}", "path", t->out, "digest", digest));
    UL_TRY(ul_manifest_write(job, &t->manifest, t->be, t->out));
    return remove_state(t);
}
