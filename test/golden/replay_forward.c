/* replay_forward.c - records of kind "forward": logits, hidden states, loss, every gradient and greedy tokens
 * of a model, by the double backend at the record's tolerance and by the float backend (logits within 1e-4,
 * gradients within 1e-3 of their tensor's largest entry). */
#include "replay_model.h"

typedef struct {
    ul_ctx *ctx;
    ul_arena *arena;
    json_t *golden;
    const ul_tensors *ts;
    ul_recorded batch;
    bool oracle;
    ul_worst worst;
} replay;

static void tolerance(const replay *r, const char *name, double *rel, double *abs)
{
    if (r->oracle) ul_tolerance(r->golden, name, rel, abs);
    else *rel = 0, *abs = 1e-4;
}

static ul_status states(replay *r, ul_model *m)
{
    const ul_shape *s = ul_model_shape(m);
    const size_t esize = ul_model_backend(m)->k->esize;
    double rel, abs;
    void *logits = ul_alloc(r->arena, (size_t)r->batch.batch.n_row * (size_t)s->V, esize);
    UL_NEED(logits);
    UL_TRY(ul_model_logits(r->ctx, m, &r->batch.batch, logits));
    tolerance(r, "logits", &rel, &abs);
    UL_TRY(ul_compare_tokens(r->ctx, r->arena, &r->batch, r->ts, "logits", logits, esize, rel, abs, &r->worst));
    ul_pass pass = {.batch = &r->batch.batch, .flags = UL_PASS_STATES, .last = -1};
    UL_TRY(ul_model_forward(r->ctx, m, &pass));
    for (int l = 0; l <= s->n_layer; l++) {
        char name[32];
        snprintf(name, sizeof name, "hidden.%d", l);
        tolerance(r, name, &rel, &abs);
        UL_TRY(ul_compare_tokens(r->ctx, r->arena, &r->batch, r->ts, name,
                                 ul_model_hidden(m, l == s->n_layer ? l + 1 : l), esize, rel, abs, &r->worst));
    }
    return UL_OK;
}

static ul_status gradients(replay *r, ul_model *m)
{
    double loss, rel, abs;
    const double want = json_number_value(json_object_get(r->golden, "loss"));
    UL_TRY(ul_model_select(r->ctx, m, "all"));
    UL_TRY(ul_loss_and_gradients(r->ctx, r->arena, m, &r->batch, &loss));
    tolerance(r, "loss", &rel, &abs);
    ul_worst_add(&r->worst, "loss", loss, want, abs + rel * fabs(want));
    for (int64_t i = 0; i < r->ts->n; i++) {
        const ul_tensor *t = &r->ts->at[i];
        if (strncmp(t->name, "grad.", 5)) continue;
        ul_tolerance(r->golden, t->name, &rel, &abs);
        UL_TRY(ul_compare_weight(r->ctx, r->arena, m, t, t->name + 5, true, rel, abs, r->oracle ? 0 : 1e-3, &r->worst));
    }
    return UL_OK;
}

static int32_t *ints(replay *r, const json_t *list, int32_t *n)
{
    int32_t *out = UL_NEW(r->arena, int32_t, json_array_size(list));
    *n = (int32_t)json_array_size(list);
    for (int32_t i = 0; out && i < *n; i++) out[i] = (int32_t)json_integer_value(json_array_get(list, (size_t)i));
    return out;
}

static ul_status greedy(replay *r, ul_model *m)
{
    const json_t *g = json_object_get(r->golden, "greedy");
    int32_t n_prompt, n_want, n_eos, n_out, *out;
    if (!g) return UL_OK;
    const int32_t *prompt = ints(r, json_object_get(g, "prompt_ids"), &n_prompt),
                  *want = ints(r, json_object_get(g, "ids"), &n_want);
    const int32_t *eos = ints(r, json_object_get(g, "eos_ids"), &n_eos);
    UL_NEED(prompt && want && eos);
    const ul_doc doc = {.n = n_prompt, .token = prompt};
    const ul_generation gen = {.n = 1,
                               .prompt = &doc,
                               .max_new = (int32_t)json_integer_value(json_object_get(g, "max_new_tokens")),
                               .eos = eos,
                               .n_eos = n_eos,
                               .batch = 1};
    UL_TRY(ul_model_generate(r->ctx, m, &gen, r->arena, &out, &n_out));
    ul_worst_add(&r->worst, "greedy: new tokens", n_out, n_want - n_prompt, 0.5);
    for (int32_t i = 0; i < n_out && i < n_want - n_prompt; i++)
        ul_worst_add(&r->worst, "greedy: token", out[i], want[n_prompt + i], 0.5);
    return UL_OK;
}

static ul_status run(replay *r, const char *dir, ul_precision precision)
{
    ul_backend *be;
    ul_model *m;
    r->oracle = precision == UL_PRECISION_DOUBLE;
    UL_TRY(ul_backend_open(r->ctx, r->arena, ul_env("UL_ISA"), precision, 0, &be));
    UL_TRY(ul_model_open(r->ctx, be, dir, 0, &m));
    ul_status status = states(r, m);
    if (status == UL_OK) status = greedy(r, m);
    if (status == UL_OK) status = gradients(r, m);
    ul_model_free(m);
    return status;
}

int ul_replay_forward(ul_ctx *ctx, const char *record_dir, json_t *golden, char *message, size_t size)
{
    char model[4096], path[4096];
    ul_arena *arena;
    ul_tensors *ts;
    const char *where = json_string_value(json_object_get(golden, "model"));
    ul_replay_path(record_dir, where ? where : ".", model, sizeof model);
    snprintf(path, sizeof path, "%s/golden.safetensors", record_dir);
    if (ul_arena_new(ctx, "replay", &arena) != UL_OK) return ul_replay_failed(ctx, message, size);
    replay r = {.ctx = ctx, .arena = arena, .golden = golden};
    ul_status status = ul_tensors_open(ctx, arena, path, &ts);
    r.ts = ts;
    if (status == UL_OK) status = ul_recorded_read(ctx, arena, ts, &r.batch);
    ul_worst worst[2] = {{0}};
    for (int k = 0; k < 2 && status == UL_OK; k++) {
        r.worst = (ul_worst){0};
        status = run(&r, model, k ? UL_PRECISION_F32 : UL_PRECISION_DOUBLE);
        worst[k] = r.worst;
    }
    int result = status != UL_OK ? ul_replay_failed(ctx, message, size) : worst[0].worst > 1 || worst[1].worst > 1;
    if (status == UL_OK)
        snprintf(message, size, "double %.2g of the tolerance at %s; f32 %.2g at %s; %lld numbers", worst[0].worst,
                 worst[0].name, worst[1].worst, worst[1].name, (long long)worst[0].compared);
    ul_arena_free(arena);
    return result;
}
