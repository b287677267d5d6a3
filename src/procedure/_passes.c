/* _passes.c - what procedures run: a training stage, the gradient over a data set, its squares document by document. */
#include "procedure/procedure.h"
#include <string.h>

/* Sample i of a step is document first + i. */
typedef struct {
    const ul_docs *docs;
    int64_t first;
} range;

static ul_status in_range(void *user, int64_t step, int32_t i, ul_arena *arena, ul_sample *out)
{
    const range *r = user;
    (void)step, (void)arena;
    *out = (ul_sample){{&r->docs->at[r->first + i], NULL, NULL}};
    return UL_OK;
}

/* Caches of the model as it is, where nobody gave any: an earlier stage may have moved it.
 * With samples of its own, or an observer of all blocks, a stage has no cached prefix. */
static ul_status caches(ul_work *w, const ul_stage *s, const char *dir, ul_trainer_options *o)
{
    char digest[65];
    const ul_docs *const docs[UL_N_SIDE] = {s->forget, NULL, s->retain};
    for (int k = 0; k < UL_N_SIDE; k++)
        if ((o->ref[k] = s->ref[k])) return UL_OK;
    const int64_t draws = s->sample || s->observer ? 0 : ul_recipe_steps(s->recipe, s->forget->n) * s->recipe->batch;
    UL_TRY(ul_model_digest(w->ctx, o->model, digest));
    return ul_trainer_caches(w->ctx, w->arena, dir, digest, docs, draws, o);
}

ul_status ul_work_stage_dir(const ul_work *w, const char *name, const char **dir)
{
    *dir = w->out_dir ? ul_format(w->arena, "%s/%s/%s", w->out_dir, UL_STAGES_NAME, name) : NULL;
    if (w->out_dir) UL_NEED(*dir);
    return UL_OK;
}

/* A stage that the plan does not tell of, or with another loss, is a fault of the procedure. */
static ul_status is_planned(const ul_work *w, const ul_stage *s)
{
    for (const ul_runs *r = w->runs; r && r->what; r++)
        if (r->kind == UL_RUNS_TRAIN && !strcmp(r->what, s->name) && (r->loss_of || r->loss == s->method)) return UL_OK;
    return ul_fail(w->ctx, UL_E_INTERNAL, "%s: the table of its passes has no training \"%s\" with this loss", w->id,
                   s->name);
}

ul_status ul_work_stage(ul_work *w, const ul_stage *s)
{
    ul_pairing pairing;
    int64_t done = 0;
    const char *dir;
    UL_TRY(is_planned(w, s));
    UL_TRY(ul_work_stage_dir(w, s->name, &dir));
    ul_run run = {.options = {.model = s->model ? s->model : w->model,
                              .method = s->method,
                              .args = s->args,
                              .recipe = s->recipe,
                              .micro_batch = w->micro_batch,
                              .checkpoint = w->checkpoint,
                              .sample = s->sample,
                              .user = s->user,
                              .observer = s->observer,
                              .mix = s->mix,
                              .wrap = s->wrap,
                              .n_wrap = s->n_wrap},
                  .n_samples = s->forget->n,
                  .out_dir = dir,
                  .recipe_digest = w->recipe_digest,
                  .save_every = w->save_every,
                  .resume = w->resume,
                  .what = s->name};
    UL_TRY(caches(w, s, dir, &run.options));
    if (!s->sample) {
        UL_TRY(ul_pairing_init(w->ctx, w->arena, s->forget, s->retain, s->recipe->seed, true, &pairing));
        run.options.pairing = &pairing;
    }
    if (w->on_stage) w->on_stage(w->on_stage_user, &run);
    UL_TRY(ul_run_train(w->ctx, &run, &w->last, &done));
    w->steps += done;
    const int64_t steps = ul_recipe_steps(s->recipe, s->forget->n);
    if (done >= steps || w->last.stopped) return UL_OK;
    return ul_fail(w->ctx, UL_E_CRITERION, "interrupted after step %lld of %lld of the stage \"%s\"; %s",
                   (long long)done, (long long)steps, s->name,
                   w->save_every < 0 ? "nothing was saved (--save-every -1)"
                                     : "the state is saved: the same command with --resume goes on to the same bits");
}

ul_status ul_work_wrapped(ul_work *w, const char *name, const ul_method *loss, const ul_args *args, const ul_recipe *r,
                          const ul_wrapper *wrapper, void *user)
{
    const ul_wrapping wrap = {w->id, wrapper, w->args, user};
    return ul_work_stage(w, &(ul_stage){.name = name, .method = loss, .args = args, .recipe = r, .forget = w->forget,
                                        .retain = w->retain, .wrap = &wrap, .n_wrap = 1});
}

ul_status ul_work_loss(ul_work *w, const char *key, const ul_method **method, ul_args *args)
{
    const char *id = ul_txt(w->args, key);
    if (!(*method = ul_own_loss(id))) *method = ul_method_find(id);
    if (!*method || !(*method)->loss) {
        const char *near = ul_method_nearest(id);
        return ul_fail(w->ctx, UL_E_USAGE, "%s.%s is \"%s\", which is no method with a loss; %s%s", w->id, key, id,
                       near ? "did you mean " : "`unlearn methods` lists them", near ? near : "");
    }
    ul_method_args(*method, ul_recipe_small(ul_model_parameters(w->model)), args);
    const unsigned needs = ul_method_needs(*method, args);
    if (needs & UL_NEED_ALT || (*method)->readings)
        return ul_fail(w->ctx, UL_E_USAGE, "%s.%s is \"%s\", which needs alternate answers or readings behind a text: "
                       "take one that does not (npo, graddiff, simnpo)",
                       w->id, key, id);
    if (needs & (UL_NEED_RETAIN | UL_NEED_RETAIN_KL) && !w->retain)
        return ul_fail(w->ctx, UL_E_USAGE, "%s.%s is \"%s\", which needs retain rows: give --retain", w->id, key, id);
    return UL_OK;
}

/* The trainer's gradient of the mean NLL over documents first .. first+n-1:
 * one step of n samples that is never taken. */
static ul_status gradient(ul_work *w, ul_model *model, const ul_docs *docs, int64_t first, int32_t n, ul_trainer **t,
                          range *r, ul_recipe *recipe, ul_step_result *out)
{
    *r = (range){docs, first};
    *recipe = *w->recipe;
    recipe->batch = n;
    recipe->match_peer = false;
    recipe->optim = UL_SGD, recipe->momentum = 0; /* no moments are kept */
    const ul_trainer_options o = {.model = model, .recipe = recipe, .micro_batch = w->micro_batch,
                                  .checkpoint = w->checkpoint, .sample = in_range, .user = r};
    UL_TRY(ul_trainer_new(w->ctx, &o, 1, t));
    return ul_trainer_gradients(*t, 0, out);
}

ul_status ul_work_gradient(ul_work *w, ul_model *model, const ul_docs *docs, double scale, double *loss)
{
    ul_trainer *t = NULL;
    ul_step_result r;
    ul_recipe recipe;
    range all;
    ul_trainable *train;
    const ul_backend *be = ul_model_backend(model);
    const ul_status s = gradient(w, model, docs, 0, (int32_t)docs->n, &t, &all, &recipe, &r);
    ul_trainer_free(t);
    UL_TRY(s);
    const int n = ul_model_trainables(model, &train);
    for (int i = 0; scale != 1 && i < n; i++) be->k->scale(be, train[i].n, scale, train[i].g);
    if (loss) *loss = r.loss;
    return UL_OK;
}

ul_status ul_work_fisher(ul_work *w, ul_model *model, const ul_docs *docs, double *const *fisher)
{
    ul_trainable *train;
    ul_trainer *t = NULL;
    ul_step_result r;
    ul_recipe recipe;
    range one;
    ul_meter meter;
    int64_t tokens = 0, batch = 1;
    const size_t esize = ul_model_backend(model)->k->esize;
    const int n = ul_model_trainables(model, &train);
    if (ul_num(w->args, "fisher_batch") > 1)
        batch = (int64_t)ul_num(w->args, "fisher_batch"); /* most methods have none */
    if (batch > docs->n) batch = docs->n;
    const int64_t squares = docs->n / batch; /* of whole batches */
    ul_status s = gradient(w, model, docs, 0, (int32_t)batch, &t, &one, &recipe, &r);
    ul_progress_begin(w->ctx, &meter, "Fisher information", "documents", docs->n);
    for (int64_t d = 0; d < squares && s == UL_OK; d++) {
        one.first = d * batch;
        if (d > 0) s = ul_trainer_gradients(t, 0, &r);
        for (int i = 0; s == UL_OK && i < n; i++)
            for (int64_t j = 0; j < train[i].n; j++) {
                const double g = ul_real_at(train[i].g, j, esize);
                fisher[i][j] = (d ? fisher[i][j] : 0) + g * g / (double)squares;
            }
        for (int64_t k = 0; k < batch; k++) tokens += docs->at[d * batch + k].n;
        ul_progress_step(&meter, (d + 1) * batch, tokens, NULL);
        if (s == UL_OK && ul_interrupted(w->ctx))
            s = ul_fail(w->ctx, UL_E_CRITERION, "interrupted after %lld of %lld documents",
                        (long long)((d + 1) * batch), (long long)docs->n);
    }
    ul_trainer_free(t);
    return s;
}

ul_status ul_work_draw(ul_work *w, const ul_docs *docs, int64_t n, ul_docs **out)
{
    ul_docs *d = UL_NEW(w->arena, ul_docs, 1);
    int64_t *order = UL_NEW(w->arena, int64_t, docs->n);
    UL_NEED(d);
    UL_NEED(order);
    const bool all = n <= 0 || n >= docs->n;
    if (all) n = docs->n;
    for (int64_t i = 0; i < docs->n; i++) order[i] = i;
    if (!all) ul_rng_permutation(w->recipe->seed, UL_STREAM_DRAW, 0, docs->n, order);
    *d = (ul_docs){.n = n, .at = UL_NEW(w->arena, ul_doc, n)};
    UL_NEED(d->at);
    for (int64_t i = 0; i < n; i++) {
        d->at[i] = docs->at[order[i]];
        d->at[i].id = i;
        d->n_tok += d->at[i].n, d->n_labelled += ul_doc_labelled(&d->at[i]);
        if (d->at[i].n > d->longest) d->longest = d->at[i].n;
    }
    *out = d;
    return UL_OK;
}

ul_status ul_fisher_new(ul_work *w, const ul_docs *docs, int64_t n_docs, double ***out)
{
    ul_trainable *train;
    ul_docs *some;
    const int n = ul_model_trainables(w->model, &train);
    UL_NEED(*out = UL_NEW(w->arena, double *, n));
    for (int i = 0; i < n; i++) UL_NEED((*out)[i] = UL_NEW(w->arena, double, train[i].n));
    UL_TRY(ul_work_draw(w, docs, n_docs, &some));
    return ul_work_fisher(w, w->model, some, *out);
}

ul_status ul_fisher_pair(ul_work *w, double ***forget, double ***retain)
{
    const int64_t n = (int64_t)ul_num(w->args, "fisher_docs");
    UL_TRY(ul_fisher_new(w, w->forget, n, forget));
    return ul_fisher_new(w, w->retain, n, retain);
}

ul_status ul_fisher_damped(ul_work *w, const ul_docs *docs, double ***fisher, double *lambda)
{
    ul_trainable *train;
    double sum = 0;
    int64_t n_all = 0;
    UL_TRY(ul_fisher_new(w, docs, (int64_t)ul_num(w->args, "fisher_docs"), fisher));
    const int n = ul_model_trainables(w->model, &train);
    for (int i = 0; i < n; i++)
        for (int64_t j = 0; j < train[i].n; j++, n_all++) sum += (*fisher)[i][j];
    *lambda = ul_num(w->args, "damping") * sum / (double)n_all;
    if (*lambda > 0) return UL_OK;
    return ul_fail(w->ctx, UL_E_CRITERION, "%s: the Fisher information is %g everywhere", w->id, sum);
}
