/* _plan.c - what a procedure or a guard will run, with this run's numbers: the rows of its table (procedure.h), before
 * anything happens. A token that the whole model runs forwards is the unit of work; backwards costs twice as much. */
#include "procedure/edit.h"
#include <string.h>

enum { GRADIENT = 3 };

/* What a key stands for; 0 where there is no such parameter. */
static double value_of(ul_work *w, const char *key)
{
    double x;
    int first, last;
    if (ul_parse_real(key, &x)) return x;
    if (!strcmp(key, "layers")) return ul_model_shape(w->model)->n_layer;
    if (!strcmp(key, "edited")) {
        ul_edit_blocks(w, &first, &last);
        return last - first + 1;
    }
    x = ul_num(w->args, key);
    return x > 0 ? x : 0;
}

static ul_status product_of(ul_work *w, const char *keys, double *out)
{
    *out = 1;
    for (const char *p = keys; p && *p; p += strcspn(p, " "), p += *p == ' ') {
        const char *key = ul_strndup(w->arena, p, strcspn(p, " "));
        UL_NEED(key);
        *out *= value_of(w, key);
    }
    return UL_OK;
}

static ul_status holds(ul_work *w, const char *when, bool *out)
{
    *out = true;
    if (!when) return UL_OK;
    const size_t n = strcspn(when, "=!");
    const char *key = ul_strndup(w->arena, when, n);
    UL_NEED(key);
    const char *text = ul_txt(w->args, key);
    if (when[n])
        *out = !strcmp(text ? text : "", when + n + 1) == (when[n] == '=');
    else
        *out = (text && *text) || value_of(w, key) > 0;
    return UL_OK;
}

static const ul_docs *docs_of(const ul_work *w, ul_side_id side)
{
    return side == UL_RETAIN ? w->retain : w->forget;
}

static int64_t tokens_of(const ul_docs *d)
{
    int64_t n = 0;
    for (int64_t i = 0; i < d->n; i++) n += d->at[i].n;
    return n;
}

/* The share of the model that a row's passes run. */
static double share_of(ul_work *w, const ul_runs *r)
{
    const int n_layer = ul_model_shape(w->model)->n_layer, quarter = n_layer / 4 > 1 ? n_layer / 4 : 1;
    if (!r->blocks) return 1;
    const double n = value_of(w, r->blocks);
    return n <= 0 ? (double)quarter / n_layer : n < n_layer ? n / n_layer : 1;
}

static double sweeps(const ul_work *w, const ul_cache_plan *c)
{
    double work = 0;
    for (int i = 0; i < c->n; i++)
        if (!c->at[i].there) work += (double)c->at[i].tokens * c->at[i].blocks / ul_model_shape(w->model)->n_layer;
    return work;
}

/* ---- a training -------------------------------------------------------------------------------------------------- */
static ul_status loss_of(ul_work *w, const ul_runs *r, ul_planned *out)
{
    out->loss = r->loss;
    out->args = *w->args;
    if (!r->loss_of) return UL_OK;
    if (ul_txt(w->args, r->loss_of)) return ul_work_loss(w, r->loss_of, &out->loss, &out->args);
    out->loss = ul_method_find(r->loss_of);
    if (!out->loss) return ul_fail(w->ctx, UL_E_INTERNAL, "%s trains with %s, which is no method", w->id, r->loss_of);
    ul_args_default(out->loss->params, &out->args);
    return UL_OK;
}

static int64_t steps_of(ul_work *w, const ul_runs *r, int64_t n)
{
    ul_recipe recipe = *w->recipe;
    const double steps = r->steps ? value_of(w, r->steps) : 0, epochs = r->epochs ? value_of(w, r->epochs) : 0;
    if (epochs > 0) recipe.steps = 0, recipe.epochs = epochs;
    if (steps > 0) recipe.steps = (int64_t)steps;
    return ul_recipe_steps(&recipe, n);
}

static ul_status training(ul_work *w, const ul_runs *r, const ul_docs *docs, ul_planned *out)
{
    UL_TRY(loss_of(w, r, out));
    const unsigned needs = ul_method_needs(out->loss, &out->args);
    const ul_docs *const side[UL_N_SIDE] = {w->forget, needs & UL_NEED_ALT ? w->forget : NULL, w->retain};
    double a_sample = needs & UL_NEED_NO_FORGET_LOSS ? 0 : (double)tokens_of(w->forget) / (double)w->forget->n;
    if (needs & UL_NEED_ALT) a_sample += (double)tokens_of(w->forget) / (double)w->forget->n;
    if (needs & UL_NEED_RETAIN && w->retain) a_sample += (double)tokens_of(w->retain) / (double)w->retain->n;
    out->steps = steps_of(w, r, docs->n);
    out->tokens = (int64_t)(a_sample * (double)out->steps * w->recipe->batch + 0.5);
    out->work = (GRADIENT * out->times * share_of(w, r) + r->beside) * (double)out->tokens;
    if (!out->loss || r->uniform) return UL_OK;
    ul_trainer_options o = {.model = w->model, .method = out->loss, .args = &out->args, .recipe = w->recipe};
    for (int s = 0; s < UL_N_SIDE; s++)
        if (ul_reference_kind(needs, s) != UL_REF_NONE && !side[s])
            return ul_fail(w->ctx, UL_E_USAGE, "the method %s needs rows that shall stay: --retain FILE", w->id);
    UL_TRY(ul_trainer_caches_plan(w->ctx, w->arena, NULL, "", side, 0, &o, &out->caches));
    out->work += sweeps(w, &out->caches);
    return UL_OK;
}

/* ---- a sweep ----------------------------------------------------------------------------------------------------- */
/* What the head reads of every scored token, kept. */
static ul_status hidden(ul_work *w, const ul_docs *docs, ul_planned *out)
{
    static const ul_method any = {.needs = UL_NEED_RETAIN | UL_NEED_RETAIN_KL};
    const ul_docs *const side[UL_N_SIDE] = {NULL, NULL, docs};
    char digest[65];
    ul_trainer_options o = {.model = w->model, .method = &any, .args = w->args, .recipe = w->recipe};
    UL_TRY(ul_model_digest(w->ctx, w->model, digest));
    UL_TRY(ul_trainer_caches_plan(w->ctx, w->arena, w->cache, digest, side, 0, &o, &out->caches));
    for (int i = 0; i < out->caches.n; i++) out->caches.at[i].side = out->row->docs;
    return UL_OK;
}

static ul_status covariance(ul_work *w, const ul_docs *docs, ul_planned *out)
{
    const int64_t F = ul_model_shape(w->model)->F;
    int first, last, there = 0;
    const char *path = NULL;
    ul_edit_blocks(w, &first, &last);
    const int n = last - first + 1;
    for (int l = first; l <= last; l++) {
        UL_TRY(ul_edit_covariance_path(w, l, docs->n, &path));
        there += path && ul_file_exists(path);
    }
    out->caches = (ul_cache_plan){.n = 1};
    out->caches.at[0] = (ul_cache_item){.what = "covariance of keys", .path = path, .side = UL_RETAIN,
                                        .blocks = last + 1, .docs = docs->n, .tokens = out->tokens * n,
                                        .bytes = F * F * 8 * n, .there = there == n};
    return UL_OK;
}

static ul_status sweep(ul_work *w, const ul_runs *r, const ul_docs *docs, ul_planned *out)
{
    ul_docs *some;
    UL_TRY(ul_work_draw(w, docs, r->most ? (int64_t)value_of(w, r->most) : 0, &some));
    out->docs = some->n;
    out->tokens = tokens_of(some);
    if (r->keeps & UL_KEEPS_HIDDEN) UL_TRY(hidden(w, some, out));
    if (r->keeps & UL_KEEPS_COVARIANCE) UL_TRY(covariance(w, some, out));
    out->work = (r->kind == UL_RUNS_GRADIENT ? GRADIENT : 1) * out->times * share_of(w, r) * (double)out->tokens;
    if (r->keeps) out->work = sweeps(w, &out->caches);
    return UL_OK;
}

ul_status ul_work_plan(ul_work *w, const ul_runs *runs, ul_planned out[UL_MOST_PLANNED], int *n)
{
    *n = 0;
    for (const ul_runs *r = runs; r && r->what; r++) {
        const ul_docs *docs = docs_of(w, r->docs);
        ul_planned *p = &out[*n];
        bool runs_at_all;
        UL_TRY(holds(w, r->when, &runs_at_all));
        if (!runs_at_all || !docs) continue;
        if (*n == UL_MOST_PLANNED) return ul_fail(w->ctx, UL_E_INTERNAL, "%s has more than %d passes", w->id, *n);
        *p = (ul_planned){.row = r, .docs = docs->n};
        UL_TRY(product_of(w, r->times, &p->times));
        ++*n;
        if (r->kind == UL_RUNS_TRAIN) UL_TRY(training(w, r, docs, p));
        else if (r->kind != UL_RUNS_NO_PASS) UL_TRY(sweep(w, r, docs, p));
    }
    return UL_OK;
}
