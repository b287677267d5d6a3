/* planning_passes.c - what a procedure or a guard will run: the passes of its record's table (procedure.h) in their
 * order, what they leave on the disk, the bytes of the largest training, and the time, from a pass forwards over some
 * forget rows that is taken for real. */
#include "audit/planning.h"
#include <string.h>

typedef struct {
    ul_training *t;
    ul_work work;
    ul_planned at[UL_MOST_PLANNED];
    int n;
    double unit; /* seconds of a token forwards; 0: not asked for */
    ul_train_plan most;
    size_t beside; /* bytes of the model around an assistant */
} planning;

/* ---- one pass over some rows ----------------------------------------------------------------------------------- */
static ul_status pace(planning *p, bool time)
{
    enum { TOKENS = 1024, DOCS = 64 };
    ul_job *job = p->t->job;
    const ul_docs *from = p->t->forget_docs;
    const ul_doc *list[DOCS];
    int32_t n = 0, tokens = 0;
    ul_batch *b;
    while (n < from->n && n < DOCS && tokens < TOKENS) tokens += from->at[n].n, list[n] = &from->at[n], n++;
    UL_TRY(ul_pack_docs(job->ctx, job->arena, list, n, false, &b));
    double *logp = UL_NEW(job->arena, double, b->n_row + 1);
    UL_NEED(logp);
    ul_pass pass = {.batch = b, .last = -1, .score = {.logp = logp}};
    UL_TRY(ul_model_plan(job->ctx, p->t->model, &pass, &p->most.pass));
    p->most.total = p->most.pass.total;
    p->most.n_tok = b->n_tok, p->most.n_row = b->n_row;
    for (int twice = 0; time && twice < 2; twice++) { /* the first one warms up */
        const int64_t start = ul_now_ns();
        UL_TRY(ul_model_forward(job->ctx, p->t->model, &pass));
        p->unit = (double)(ul_now_ns() - start) * 1e-9 / b->n_tok;
    }
    return UL_OK;
}

/* ---- bytes ----------------------------------------------------------------------------------------------------- */
/* Alternates are about as long as the forget rows themselves. */
static ul_status stand_in(void *user, int64_t step, int32_t i, ul_arena *arena, ul_sample *out)
{
    ul_training *t = user;
    (void)arena;
    UL_TRY(ul_pairing_sample(t->job->ctx, &t->pairing, step * t->recipe.batch + i, out));
    out->doc[UL_ALT] = out->doc[UL_FORGET];
    return UL_OK;
}

/* What a guard trains: its assistant, or something beside a block whose gradient ends at that block's mlp. */
static ul_status trained(planning *p, const ul_planned *x, ul_model **out)
{
    ul_job *job = p->t->job;
    const int n_layer = ul_model_shape(p->t->model)->n_layer;
    ul_guard_fit fit = {.work = &p->work};
    *out = p->t->model;
    if (!job->guard) return UL_OK;
    if (x->row->assistant) return ul_guard_assistant_planned(&fit, x->row, out);
    const char *spec = ul_format(job->arena, "layers %d mlp", n_layer > 1 ? n_layer - 2 : 0);
    UL_NEED(spec);
    return ul_model_select(job->ctx, *out, spec);
}

static ul_status stage(planning *p, const ul_planned *x, int64_t look, ul_train_plan *out)
{
    ul_training *t = p->t;
    ul_model *model;
    ul_trainer *trainer;
    ul_recipe recipe = t->recipe;
    UL_TRY(trained(p, x, &model));
    if (x->row->sgd || (t->job->guard && !x->row->assistant)) recipe.optim = UL_SGD, recipe.momentum = 0;
    const ul_trainer_options o = {.model = model, .method = x->loss, .args = &x->args, .recipe = &recipe,
                                  .micro_batch = (int32_t)ul_job_int(t->job, "micro-batch"), .reference = model,
                                  .checkpoint = ul_job_flag(t->job, "checkpoint"), .sample = stand_in, .user = t};
    UL_TRY(ul_trainer_new(t->job->ctx, &o, x->steps, &trainer));
    const ul_status s = ul_trainer_plan(trainer, look, out);
    ul_trainer_free(trainer);
    return s;
}

/* The largest training, or a gradient where nothing is trained; beside it what the procedure holds. */
static ul_status memory(planning *p, int64_t look)
{
    ul_training *t = p->t;
    ul_trainable *train;
    size_t held = 0, real = t->be->k->esize;
    const size_t weights = p->most.pass.weights;
    const int plain = !t->job->guard;
    const ul_planned any = {.row = &(ul_runs){.what = "gradient", .kind = UL_RUNS_TRAIN, .sgd = true},
                            .args = t->job->method_args, .steps = t->recipe.steps};
    for (int i = 0; i < p->n; i++)
        if (p->at[i].row->mlp) UL_TRY(ul_work_select_mlp(&p->work));
    for (int i = 0; i < p->n + plain; i++) {
        const ul_planned *x = i < p->n ? &p->at[i] : &any;
        ul_train_plan one;
        if (x->row->kind != UL_RUNS_TRAIN) continue;
        UL_TRY(stage(p, x, look, &one));
        if (x->row->assistant) p->beside = weights;
        if (one.total > p->most.total || x->row->assistant) p->most = one;
    }
    const int n = ul_model_trainables(t->model, &train);
    for (int i = 0; i < p->n; i++)
        for (int k = 0; k < n; k++)
            held += (size_t)train[k].n * ((size_t)p->at[i].row->copies * real + (size_t)p->at[i].row->doubles * 8);
    UL_TRY(ul_planning_memory(t, &p->most));
    if (p->beside) UL_TRY(ul_planning_bytes(t, "around", p->beside));
    if (held) UL_TRY(ul_planning_bytes(t, "held", held));
    return ul_planning_bytes(t, "total", p->most.total + p->beside + held);
}

/* ---- words ----------------------------------------------------------------------------------------------------- */
static ul_status say(planning *p, json_t *list, const ul_planned *x, int number)
{
    static const char *const kind[] = {"", "training", "forward and backward", "forward", "no pass of the model"};
    ul_buf *text = &p->t->job->text;
    const double seconds = x->work * p->unit;
    json_t *o = json_pack("{s:s, s:s, s:I, s:I, s:f}", "what", x->row->what, "kind", kind[x->row->kind], "documents",
                          (json_int_t)x->docs, "tokens", (json_int_t)x->tokens, "times", x->times);
    UL_NEED(o);
    if (x->row->kind == UL_RUNS_TRAIN) json_object_set_new(o, "steps", json_integer((json_int_t)x->steps));
    if (p->unit > 0) json_object_set_new(o, "seconds", json_real(seconds));
    json_array_append_new(list, o);
    UL_TRY(ul_buf_printf(text, "%d. %s: %s", number, x->row->what, kind[x->row->kind]));
    if (x->row->kind == UL_RUNS_TRAIN)
        UL_TRY(ul_buf_printf(text, ", %lld steps of %d samples, %lld tokens", (long long)x->steps, p->t->recipe.batch,
                             (long long)x->tokens));
    else if (x->row->kind != UL_RUNS_NO_PASS)
        UL_TRY(ul_buf_printf(text, ", %lld documents, %lld tokens", (long long)x->docs, (long long)x->tokens));
    if (x->times != 1) UL_TRY(ul_buf_printf(text, ", %g times", x->times));
    if (p->unit > 0 && x->work > 0) UL_TRY(ul_buf_printf(text, "; about %.2g s", seconds));
    return ul_buf_puts(text, "\n");
}

static ul_status words(planning *p)
{
    ul_job *job = p->t->job;
    json_t *list = json_array();
    int64_t unused = 0;
    UL_NEED(list);
    json_object_set_new(job->result, "passes", list);
    for (int i = 0; i < p->n; i++) UL_TRY(say(p, list, &p->at[i], i + 1));
    for (int i = 0; i < p->n; i++)
        UL_TRY(ul_planning_caches(p->t, &p->at[i].caches, "to be made, kept in --out till the run has ended", &unused));
    const bool none = json_array_size(json_object_get(job->result, "caches")) == 0;
    return none ? ul_buf_puts(&job->text, "cached: nothing\n") : UL_OK;
}

ul_status ul_planning_passes(ul_training *t, int64_t look, bool time)
{
    ul_job *job = t->job;
    const char *out = ul_job_text(job, "out");
    planning *p = UL_NEW(job->arena, planning, 1);
    double work = 0;
    UL_NEED(p);
    *p = (planning){.t = t, .work = ul_training_work(t)};
    if (!p->work.cache && out && job->procedure) UL_NEED(p->work.cache = ul_path_join(job->arena, out, "reference"));
    json_object_set_new(job->result, "method", json_string(job->method_id));
    UL_TRY(ul_work_plan(&p->work, p->work.runs, p->at, &p->n));
    UL_TRY(pace(p, time));
    UL_TRY(ul_buf_printf(&job->text, "%s is a %s; it runs, in this order:\n", job->method_id,
                         job->guard ? "guard: no weight of the model moves" : "procedure"));
    UL_TRY(words(p));
    UL_TRY(memory(p, look));
    for (int i = 0; i < p->n; i++) work += p->at[i].work;
    if (!time) return UL_OK;
    json_object_set_new(job->result, "seconds", json_real(work * p->unit));
    return ul_buf_printf(&job->text, "time: about %.3g s, at %.3g tokens a second forwards (some were tried; nothing "
                         "has moved), backwards twice as long\n",
                         work * p->unit, p->unit > 0 ? 1 / p->unit : 0);
}
