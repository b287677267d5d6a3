/* replay_lora.c - records of kind "lora": logits with the adapter, without it and merged, the loss, the gradient
 * of every tensor of the adapter, and the merged weights; by the double backend at the record's tolerance and by
 * the float backend (logits within 1e-4, gradients within 1e-3 of their tensor's largest entry). */
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

static ul_status logits(replay *r, ul_model *m, const char *name)
{
    const size_t esize = ul_model_backend(m)->k->esize;
    double rel, abs;
    void *z = ul_alloc(r->arena, (size_t)r->batch.batch.n_row * (size_t)ul_model_shape(m)->V, esize);
    UL_NEED(z);
    UL_TRY(ul_model_logits(r->ctx, m, &r->batch.batch, z));
    tolerance(r, name, &rel, &abs);
    return ul_compare_tokens(r->ctx, r->arena, &r->batch, r->ts, name, z, esize, rel, abs, &r->worst);
}

/* The adapter off: what the head reads must be what the bare model's head reads. */
static ul_status base_pass(replay *r, ul_model *bare, ul_model *m)
{
    const ul_shape *s = ul_model_shape(m);
    const size_t n = (size_t)r->batch.batch.n_row * (size_t)s->C, esize = ul_model_backend(m)->k->esize;
    void *a = ul_alloc(r->arena, n, esize), *b = ul_alloc(r->arena, n, esize);
    UL_NEED(a && b);
    ul_pass pa = {.batch = &r->batch.batch, .last = -1, .row_hidden = a},
            pb = {.batch = &r->batch.batch, .flags = UL_PASS_BASE, .last = -1, .row_hidden = b};
    UL_TRY(ul_model_forward(r->ctx, bare, &pa));
    UL_TRY(ul_model_forward(r->ctx, m, &pb));
    ul_worst_add(&r->worst, "adapter off: bytes that differ from the bare model", memcmp(a, b, n * esize) != 0, 0, 0.5);
    return UL_OK;
}

static ul_status gradients(replay *r, ul_model *m)
{
    double loss, rel, abs;
    const double want = json_number_value(json_object_get(r->golden, "loss"));
    int64_t n_grad = 0;
    ul_trainable *t;
    UL_TRY(ul_loss_and_gradients(r->ctx, r->arena, m, &r->batch, &loss));
    tolerance(r, "loss", &rel, &abs);
    ul_worst_add(&r->worst, "loss", loss, want, abs + rel * fabs(want));
    for (int64_t i = 0; i < r->ts->n; i++) {
        const ul_tensor *g = &r->ts->at[i];
        if (strncmp(g->name, "grad.", 5)) continue;
        ul_tolerance(r->golden, g->name, &rel, &abs);
        UL_TRY(ul_compare_weight(r->ctx, r->arena, m, g, g->name + 5, true, rel, abs, r->oracle ? 0 : 1e-3, &r->worst));
        n_grad++;
    }
    ul_worst_add(&r->worst, "trainable tensors", ul_model_trainables(m, &t), (double)n_grad, 0.5);
    return UL_OK;
}

static ul_status merged(replay *r, ul_model *m)
{
    double rel, abs;
    UL_TRY(ul_lora_merge(r->ctx, m));
    UL_TRY(logits(r, m, "merged.logits"));
    for (int64_t i = 0; i < r->ts->n; i++) {
        const ul_tensor *t = &r->ts->at[i];
        if (strncmp(t->name, "merged.", 7) || !strcmp(t->name, "merged.logits")) continue;
        ul_tolerance(r->golden, t->name, &rel, &abs);
        UL_TRY(
            ul_compare_weight(r->ctx, r->arena, m, t, t->name + 7, false, rel, abs, r->oracle ? 0 : 1e-6, &r->worst));
    }
    return UL_OK;
}

static ul_status steps(replay *r, ul_model *bare, ul_model *m, const char *adapter)
{
    UL_TRY(ul_lora_open(r->ctx, m, adapter));
    UL_TRY(logits(r, m, "logits"));
    UL_TRY(logits(r, bare, "base.logits"));
    UL_TRY(base_pass(r, bare, m));
    UL_TRY(gradients(r, m));
    return merged(r, m);
}

static ul_status run(replay *r, const char *dir, const char *adapter, ul_precision precision)
{
    ul_backend *be;
    ul_model *m, *bare;
    r->oracle = precision == UL_PRECISION_DOUBLE;
    UL_TRY(ul_backend_open(r->ctx, r->arena, ul_env("UL_ISA"), precision, 0, &be));
    UL_TRY(ul_model_open(r->ctx, be, dir, 0, &m));
    ul_status status = ul_model_open(r->ctx, be, dir, 0, &bare);
    if (status == UL_OK) status = steps(r, bare, m, adapter);
    ul_model_free(bare);
    ul_model_free(m);
    return status;
}

int ul_replay_lora(ul_ctx *ctx, const char *record_dir, json_t *golden, char *message, size_t size)
{
    char model[4096], adapter[4096], path[4096];
    ul_arena *arena;
    ul_tensors *ts;
    const char *at = json_string_value(json_object_get(golden, "adapter"));
    ul_replay_path(record_dir, json_string_value(json_object_get(golden, "model")), model, sizeof model);
    ul_replay_path(record_dir, at ? at : ".", adapter, sizeof adapter);
    snprintf(path, sizeof path, "%s/golden.safetensors", record_dir);
    if (ul_arena_new(ctx, "replay", &arena) != UL_OK) return ul_replay_failed(ctx, message, size);
    replay r = {.ctx = ctx, .arena = arena, .golden = golden};
    ul_status status = ul_tensors_open(ctx, arena, path, &ts);
    r.ts = ts;
    if (status == UL_OK) status = ul_recorded_read(ctx, arena, ts, &r.batch);
    ul_worst worst[2] = {{0}};
    for (int k = 0; k < 2 && status == UL_OK; k++) {
        r.worst = (ul_worst){0};
        status = run(&r, model, adapter, k ? UL_PRECISION_F32 : UL_PRECISION_DOUBLE);
        worst[k] = r.worst;
    }
    const int result =
        status != UL_OK ? ul_replay_failed(ctx, message, size) : worst[0].worst > 1 || worst[1].worst > 1;
    if (status == UL_OK)
        snprintf(message, size, "double %.2g of the tolerance at %s; f32 %.2g at %s; %lld numbers", worst[0].worst,
                 worst[0].name, worst[1].worst, worst[1].name, (long long)worst[0].compared);
    ul_arena_free(arena);
    return result;
}
