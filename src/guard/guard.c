/* guard.c - the registry, and the file in which a guard lies beside its model. */
#include "guard/guard.h"
#include <string.h>

#define UL_ITEM(id) extern const ul_guard ul_guard_##id;
#include "guard.inc"
#undef UL_ITEM

static const ul_guard_entry entries[] = {
#define UL_ITEM(id) {#id, &ul_guard_##id},
#include "guard.inc"
#undef UL_ITEM
};
enum { N_GUARD = sizeof entries / sizeof entries[0] };

#define FILE_NAME    "guard.json"
#define WEIGHTS_NAME "guard.safetensors"
#define ADAPTER_NAME "assistant"
#define FORMAT       1

const ul_guard_entry *ul_guards(int *n)
{
    *n = N_GUARD;
    return entries;
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */
static json_t *parameters(const ul_args *a)
{
    json_t *o = json_object();
    for (const ul_param *p = a->params; o && p && p->key; p++) {
        const int i = (int)(p - a->params);
        json_object_set_new(o, p->key,
                            p->type == UL_TEXT   ? json_string(a->text[i] ? a->text[i] : "")
                            : p->type == UL_BOOL ? json_boolean(a->num[i] != 0)
                            : p->type == UL_INT  ? json_integer((json_int_t)a->num[i])
                                                 : json_real(a->num[i]));
    }
    return o;
}

/* guard.safetensors, and its digest (NULL: there are no arrays). */
static ul_status write_weights(ul_guard_fit *f, const char **digest)
{
    ul_work *w = f->work;
    char *hex = ul_alloc(w->arena, 65, 1);
    const char *path = ul_path_join(w->arena, w->out_dir, WEIGHTS_NAME);
    UL_NEED(hex);
    UL_NEED(path);
    *digest = NULL;
    if (!f->n_tensor) return UL_OK;
    UL_TRY(ul_tensors_write(w->ctx, path, f->tensor, f->n_tensor, NULL, NULL, NULL));
    UL_TRY(ul_tensors_digest(w->ctx, f->tensor, f->n_tensor, NULL, NULL, hex));
    *digest = hex;
    return UL_OK;
}

ul_status ul_guard_digest_of(ul_ctx *ctx, ul_arena *arena, const char *path, const char **out)
{
    ul_tensors *ts;
    char *hex = ul_alloc(arena, 65, 1);
    UL_NEED(hex);
    UL_TRY(ul_tensors_open(ctx, arena, path, &ts));
    UL_TRY(ul_tensors_digest(ctx, ts->at, ts->n, NULL, NULL, hex));
    *out = hex;
    return UL_OK;
}

static ul_status write_adapter(ul_guard_fit *f, const char **digest)
{
    ul_work *w = f->work;
    *digest = NULL;
    if (!f->assistant) return UL_OK;
    const char *dir = ul_path_join(w->arena, w->out_dir, ADAPTER_NAME);
    UL_NEED(dir);
    UL_TRY(ul_lora_save(w->ctx, f->assistant, dir));
    const char *file = ul_path_join(w->arena, dir, "adapter_model.safetensors");
    UL_NEED(file);
    return ul_guard_digest_of(w->ctx, w->arena, file, digest);
}

ul_status ul_guard_make(ul_guard_fit *f, const ul_guard *guard)
{
    ul_work *w = f->work;
    const char *weights, *adapter, *path = ul_path_join(w->arena, w->out_dir, FILE_NAME);
    UL_NEED(path);
    f->data = json_object();
    UL_TRY(ul_json_own(w->arena, f->data));
    UL_TRY(guard->fit(f));
    UL_TRY(write_weights(f, &weights));
    UL_TRY(write_adapter(f, &adapter));
    json_t *j = json_pack("{s:i, s:s, s:s, s:s, s:{s:s, s:s}, s:o, s:O}", "format", FORMAT, "kind", w->id, "title",
                          guard->method.title, "paper", guard->method.paper, "model", "path", ul_model_dir(w->model),
                          "digest", f->model_digest, "parameters", parameters(w->args), "data", f->data);
    UL_TRY(ul_json_own(w->arena, j));
    if (weights) json_object_set_new(j, "weights_digest", json_string(weights));
    if (adapter) json_object_set_new(j, "adapter_digest", json_string(adapter));
    return ul_json_save(w->ctx, path, j);
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */
static ul_status find_kind(ul_guard_file *g)
{
    const char *names[N_GUARD + 1] = {0};
    for (int i = 0; i < N_GUARD; i++) {
        names[i] = entries[i].id;
        if (!strcmp(g->id, entries[i].id)) g->guard = entries[i].guard;
    }
    if (g->guard) return UL_OK;
    const char *near = ul_nearest(g->id, names);
    return ul_fail(g->ctx, UL_E_INPUT, "%s: there is no guard of the kind \"%s\"%s%s%s (`unlearn methods` lists them)",
                   g->path, g->id, near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
}

/* A value that would be the caller's fault as a flag is the file's. */
static ul_status of_file(const ul_guard_file *g, ul_status s)
{
    return s == UL_E_USAGE ? ul_fail_in(g->ctx, UL_E_INPUT, "%s", g->path) : s;
}

/* Through the parser of the command line, so that types and bounds are checked here as there. */
static ul_status read_parameters(ul_guard_file *g, const json_t *parameters_)
{
    const char *key;
    json_t *v;
    ul_args_default(g->guard->method.params, &g->args);
    json_object_foreach((json_t *)(uintptr_t)parameters_, key, v) {
        const char *text = json_is_string(v)    ? json_string_value(v)
                           : json_is_boolean(v) ? (json_is_true(v) ? "true" : "false")
                           : json_is_integer(v) ? ul_format(g->arena, "%lld", (long long)json_integer_value(v))
                           : json_is_real(v)    ? ul_format(g->arena, "%.17g", json_real_value(v))
                                                : "";
        UL_NEED(text);
        UL_TRY(of_file(g, ul_args_set(g->arena, &g->args, g->id, key, text)));
    }
    return UL_OK;
}

static ul_status check_digest(ul_guard_file *g, const char *file, const char *want)
{
    const char *got;
    UL_TRY(ul_guard_digest_of(g->ctx, g->arena, file, &got));
    if (!strcmp(got, want)) return UL_OK;
    return ul_fail(g->ctx, UL_E_INPUT,
                   "%s: its digest is %.16s..., %s names %.16s...: the two files are not of one guard", file, got,
                   g->path, want);
}

static ul_status read_weights(ul_guard_file *g, const json_t *j)
{
    const char *weights = NULL, *adapter = NULL, *path = ul_path_join(g->arena, g->dir, WEIGHTS_NAME);
    UL_NEED(path);
    UL_TRY(ul_json_text(g->ctx, j, g->path, "weights_digest", UL_OPTIONAL, &weights));
    UL_TRY(ul_json_text(g->ctx, j, g->path, "adapter_digest", UL_OPTIONAL, &adapter));
    if (weights) {
        UL_TRY(check_digest(g, path, weights));
        UL_TRY(ul_tensors_open(g->ctx, g->arena, path, &g->weights));
    }
    if (!adapter) return UL_OK;
    UL_NEED(g->adapter = ul_path_join(g->arena, g->dir, ADAPTER_NAME));
    const char *file = ul_path_join(g->arena, g->adapter, "adapter_model.safetensors");
    UL_NEED(file);
    return check_digest(g, file, adapter);
}

static ul_status read_digest(ul_guard_file *g)
{
    ul_file file;
    ul_digest d;
    UL_TRY(ul_file_map(g->ctx, g->arena, g->path, &file));
    ul_digest_init(&d);
    ul_digest_add(&d, file.p, file.n);
    ul_digest_hex(&d, g->digest);
    return UL_OK;
}

ul_status ul_guard_read(ul_ctx *ctx, ul_arena *arena, const char *path, ul_guard_file **out)
{
    json_t *j, *part;
    int64_t format;
    ul_guard_file *g = UL_NEW(arena, ul_guard_file, 1);
    UL_NEED(g);
    g->ctx = ctx, g->arena = arena;
    UL_NEED(g->path = ul_dir_exists(path) ? ul_path_join(arena, path, FILE_NAME) : ul_strdup(arena, path));
    const char *name = ul_path_name(g->path);
    UL_NEED(g->dir = name == g->path ? "." : ul_strndup(arena, g->path, (size_t)(name - g->path)));
    if (!ul_file_exists(g->path))
        return ul_fail(ctx, UL_E_INPUT, "%s: no such file (a guard is the guard.json that `unlearn forget "
                       "--method eco`, filter, prompt and the like write)", g->path);
    UL_TRY(ul_json_load(ctx, arena, g->path, &j));
    UL_TRY(ul_json_int(ctx, j, g->path, "format", UL_REQUIRED, 1, FORMAT, &format));
    UL_TRY(ul_json_text(ctx, j, g->path, "kind", UL_REQUIRED, &g->id));
    UL_TRY(find_kind(g));
    UL_TRY(ul_json_object(ctx, j, g->path, "model", UL_REQUIRED, &part));
    UL_TRY(ul_json_text(ctx, part, g->path, "digest", UL_REQUIRED, &g->model_digest));
    UL_TRY(ul_json_object(ctx, j, g->path, "parameters", UL_REQUIRED, &part));
    UL_TRY(read_parameters(g, part));
    UL_TRY(ul_json_object(ctx, j, g->path, "data", UL_REQUIRED, &part));
    g->data = part;
    UL_TRY(read_weights(g, j));
    UL_TRY(read_digest(g));
    *out = g;
    return UL_OK;
}

ul_status ul_guard_check(const ul_guard_file *g, const char *dir, const char *model_digest)
{
    if (!strcmp(g->model_digest, model_digest)) return UL_OK;
    return ul_fail(g->ctx, UL_E_INPUT, "%s: this guard was made for the model of digest %.16s..., %s has %.16s...: "
                   "make one for it with `unlearn forget --method %s`",
                   g->path, g->model_digest, dir, model_digest, g->id);
}

ul_status ul_guard_around(ul_guard_file *g, ul_model *model, const ul_tokenizer *tok, const char *model_digest)
{
    UL_TRY(ul_guard_check(g, ul_model_dir(model), model_digest));
    g->model = model, g->tok = tok;
    return g->guard->open ? of_file(g, g->guard->open(g)) : UL_OK;
}

ul_status ul_guard_prepare(ul_guard_file *g, ul_arena *arena, ul_guarded *io)
{
    return g->guard->prepare(g, arena, io);
}
