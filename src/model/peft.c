/* peft.c - adapters in PEFT's files: adapter_config.json and adapter_model.safetensors.
 *
 * Matching follows PEFT (tuners/tuners_utils.py, utils/other.py): target_modules as a text is a regular expression
 * for the whole module name, as a list each entry is a name or a dotted ending of it; rank_pattern and alpha_pattern
 * keys are regular expressions that match at the end of a name, after a dot or from its start, the first that fits;
 * layers_to_transform counts with lists only; modules_to_save entries match at the end. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "model/lora.h"
#include <math.h>
#include <pcre2.h>
#include <stdlib.h>
#include <string.h>

/* ---- regular expressions ---------------------------------------------------------------------------------------- */
/* Anchored at the start; `whole`: at the end too. group (may be NULL): the number that group 1 holds, or -1. */
static ul_status matches(ul_ctx *ctx, const char *where, const char *pattern, const char *text, bool whole,
                         int64_t *group, bool *out)
{
    int code;
    PCRE2_SIZE at;
    pcre2_code *re = pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED,
                                   PCRE2_ANCHORED | (whole ? PCRE2_ENDANCHORED : 0), &code, &at, NULL);
    if (!re) {
        unsigned char text_of[128];
        pcre2_get_error_message(code, text_of, sizeof text_of);
        return ul_fail(ctx, UL_E_USAGE, "%s: regular expression \"%s\", at %zu: %s", where, pattern, (size_t)at,
                       (char *)text_of);
    }
    pcre2_match_data *data = pcre2_match_data_create_from_pattern(re, NULL);
    const int n =
        data ? pcre2_match(re, (PCRE2_SPTR)text, PCRE2_ZERO_TERMINATED, 0, 0, data, NULL) : PCRE2_ERROR_NOMEMORY;
    *out = n > 0;
    if (group) *group = n > 1 ? strtoll(text + pcre2_get_ovector_pointer(data)[2], NULL, 10) : -1;
    pcre2_match_data_free(data);
    pcre2_code_free(re);
    if (n < 0 && n != PCRE2_ERROR_NOMATCH)
        return ul_fail(ctx, UL_E_USAGE, "%s: regular expression \"%s\" gave up on \"%s\" (PCRE2 error %d)", where,
                       pattern, text, n);
    return UL_OK;
}

static bool ends_with(const char *text, const char *end, bool at_dot)
{
    const size_t n = strlen(text), k = strlen(end);
    return n >= k && !strcmp(text + n - k, end) && (!at_dot || n == k || text[n - k - 1] == '.');
}

static ul_status in_list(ul_ctx *ctx, const json_t *v, const char *where, const char *module, bool *out)
{
    *out = false;
    if (json_is_string(v)) return matches(ctx, where, json_string_value(v), module, true, NULL, out);
    for (size_t i = 0; i < json_array_size(v); i++) {
        const char *name = json_string_value(json_array_get(v, i));
        if (!name)
            return ul_fail(ctx, UL_E_INPUT, "%s: a list of module names has an entry %zu that is no text", where, i);
        *out |= ends_with(module, name, true);
    }
    return UL_OK;
}

/* layers_to_transform: an integer or a list; the layer is the number after "layers_pattern", or after any one name. */
static ul_status in_layers(ul_ctx *ctx, const json_t *config, const char *where, const char *module, bool *out)
{
    const json_t *layers = json_object_get(config, "layers_to_transform"),
                 *names = json_object_get(config, "layers_pattern");
    char pattern[256] = ".*\\.[^.]*\\.(\\d+)\\.";
    int64_t layer = -1;
    *out = true;
    if (!layers || json_is_null(layers)) return UL_OK;
    const char *name = json_is_array(names) ? json_string_value(json_array_get(names, 0)) : json_string_value(names);
    if (json_array_size(names) > 1)
        return ul_fail(ctx, UL_E_INPUT, "%s: unsupported: layers_pattern with several names", where);
    if (name && *name) {
        if (strlen(name) > 200)
            return ul_fail(ctx, UL_E_INPUT, "%s: layers_pattern has %zu letters", where, strlen(name));
        pattern[0] = 0;
        strncat(pattern, ".*\\.", 8), strncat(pattern, name, 200), strncat(pattern, "\\.(\\d+)\\.", 16);
    }
    UL_TRY(matches(ctx, where, pattern, module, false, &layer, out));
    if (!*out) return UL_OK;
    *out = json_is_integer(layers) && json_integer_value(layers) == layer;
    for (size_t i = 0; i < json_array_size(layers); i++) *out |= json_integer_value(json_array_get(layers, i)) == layer;
    return UL_OK;
}

ul_status ul_peft_targets(ul_ctx *ctx, const json_t *config, const char *where, const char *module, bool *out)
{
    const json_t *targets = json_object_get(config, "target_modules"),
                 *not = json_object_get(config, "exclude_modules");
    bool excluded = false;
    UL_TRY(in_list(ctx, not, where, module, &excluded));
    UL_TRY(in_list(ctx, targets, where, module, out));
    *out = *out && !excluded;
    return *out && json_is_array(targets) ? in_layers(ctx, config, where, module, out) : UL_OK;
}

/* The value of the first pattern that matches at the end of the module's name, or dflt. */
static ul_status by_pattern(ul_ctx *ctx, ul_arena *arena, const json_t *patterns, const char *where, const char *module,
                            double *value)
{
    const char *key;
    json_t *v;
    json_object_foreach((json_t *)(uintptr_t)patterns, key, v) {
        bool hit;
        const char *p = ul_format(arena, "(?:.*\\.)?(?:%s)$", key);
        UL_NEED(p);
        UL_TRY(matches(ctx, where, p, module, false, NULL, &hit));
        if (!hit) continue;
        *value = json_number_value(v);
        return UL_OK;
    }
    return UL_OK;
}

ul_status ul_peft_no_target(ul_ctx *ctx, ul_model *m, const char *targets)
{
    const ul_matrix *example = NULL;
    for (int i = 0; i < m->n_matrix && !example; i++)
        if (ul_lora_fits(&m->matrix[i])) example = &m->matrix[i];
    return ul_fail(ctx, UL_E_USAGE, "adapter: no linear layer of the model is called \"%s\" (one is \"%s\")", targets,
                   example ? example->module : "");
}

/* ---- a new adapter's config ------------------------------------------------------------------------------------- */
static json_t *target_list(ul_model *m, const char *targets)
{
    json_t *list = json_array();
    if (!strcmp(targets, "all-linear")) {
        for (int i = 0; i < m->n_matrix; i++)
            if (ul_lora_fits(&m->matrix[i])) json_array_append_new(list, json_string(m->matrix[i].module));
        return list;
    }
    for (const char *s = targets; *s;) {
        const size_t n = strcspn(s, ", ");
        if (n) json_array_append_new(list, json_stringn(s, n));
        s += n + strspn(s + n, ", ");
    }
    return list;
}

ul_status ul_peft_config(ul_model *m, const ul_lora *l, json_t **out)
{
    const char *letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-., ";
    const bool regex = l->targets[strspn(l->targets, letters)] != 0;
    bool transposed = false;
    for (int i = 0; i < m->n_matrix; i++) transposed |= m->matrix[i].transposed;
    *out = json_pack("{s:s, s:s, s:b, s:b, s:n, s:i, s:f, s:f, s:{}, s:{}, s:n, s:n, s:s, s:s, s:b, s:b, s:o}",
                     "base_model_name_or_path", m->dir, "bias", "none", "fan_in_fan_out", transposed, "inference_mode",
                     1, "layers_to_transform", "r", l->r, "lora_alpha", l->alpha, "lora_dropout", 0.0, "rank_pattern",
                     "alpha_pattern", "modules_to_save", "revision", "peft_type", "LORA", "task_type", "CAUSAL_LM",
                     "use_rslora", l->rslora, "use_dora", 0, "target_modules",
                     regex ? json_string(l->targets) : target_list(m, l->targets));
    return ul_json_own(m->lora_arena, *out);
}

/* ---- open ------------------------------------------------------------------------------------------------------- */
static ul_status no_unknown_kind(ul_ctx *ctx, const json_t *c, const char *where)
{
    static const char *const off[] = {"use_dora", "use_qalora", "lora_bias", "use_bdlora", NULL};
    static const char *const null[] = {"layer_replication",
                                       "target_parameters",
                                       "trainable_token_indices",
                                       "alora_invocation_tokens",
                                       "megatron_config",
                                       "arrow_config",
                                       NULL};
    const char *type = "", *bias = "none";
    UL_TRY(ul_json_text(ctx, c, where, "peft_type", UL_REQUIRED, &type));
    UL_TRY(ul_json_text(ctx, c, where, "bias", UL_OPTIONAL, &bias));
    if (strcmp(type, "LORA"))
        return ul_fail(ctx, UL_E_INPUT, "%s: peft_type \"%s\" is unsupported (supported: LORA)", where, type);
    if (strcmp(bias, "none") && strcmp(bias, "all") && strcmp(bias, "lora_only"))
        return ul_fail(ctx, UL_E_INPUT, "%s: bias \"%s\" is unsupported (supported: none, all, lora_only)", where,
                       bias);
    for (int i = 0; off[i]; i++)
        if (json_is_true(json_object_get(c, off[i])))
            return ul_fail(ctx, UL_E_INPUT, "%s: unsupported: %s", where, off[i]);
    for (int i = 0; null[i]; i++) {
        const json_t *v = json_object_get(c, null[i]);
        if (v && !json_is_null(v)) return ul_fail(ctx, UL_E_INPUT, "%s: unsupported: %s", where, null[i]);
    }
    return UL_OK;
}

typedef struct {
    ul_ctx *ctx;
    ul_model *m;
    ul_arena *arena; /* of the files */
    json_t *config;
    const char *where;
    ul_tensors *ts;
    int64_t used;
    int64_t r;
    double alpha;
    bool rslora;
} peft;

static ul_status read_half(peft *p, const ul_matrix *x, const char *which, int64_t rows, int64_t cols, void *out)
{
    const ul_tensor *t;
    const char *name = ul_format(p->arena, "%s.%s.weight", x->peft, which);
    UL_NEED(name);
    UL_TRY(ul_tensors_need(p->ctx, p->ts, name, &t));
    if (t->n_dim != 2 || t->dim[0] != rows || t->dim[1] != cols)
        return ul_fail(p->ctx, UL_E_INPUT, "%s: tensor \"%s\" is [%lld, %lld], %s and the model make it [%lld, %lld]",
                       t->file, name, (long long)t->dim[0], (long long)(t->n_dim > 1 ? t->dim[1] : 0), p->where,
                       (long long)rows, (long long)cols);
    UL_TRY(ul_tensor_check_finite(p->ctx, t));
    p->used++;
    p->m->lora_dtype = t->dtype;
    return p->m->be->k->esize == 8 ? ul_tensor_f64(p->ctx, t, 0, rows * cols, out)
                                   : ul_tensor_f32(p->ctx, t, 0, rows * cols, out);
}

static ul_status open_matrix(peft *p, ul_matrix *x)
{
    double r = (double)p->r, alpha = p->alpha;
    UL_TRY(by_pattern(p->ctx, p->arena, json_object_get(p->config, "rank_pattern"), p->where, x->module, &r));
    UL_TRY(by_pattern(p->ctx, p->arena, json_object_get(p->config, "alpha_pattern"), p->where, x->module, &alpha));
    if (!(r >= 1 && r <= 1 << 20) || !(alpha > 0))
        return ul_fail(p->ctx, UL_E_INPUT, "%s: rank %g and alpha %g for \"%s\", both must be above 0", p->where, r,
                       alpha, x->module);
    UL_TRY(ul_lora_attach(p->m, x, (int)r, alpha, p->rslora));
    UL_TRY(read_half(p, x, "lora_A", (int64_t)r, x->cols, x->part[0]->a));
    return read_half(p, x, "lora_B", x->rows, (int64_t)r, x->part[0]->b);
}

/* An output matrix of its own for a model that ties it to the embedding. */
static ul_status untie(peft *p, ul_matrix **out)
{
    ul_model *m = p->m;
    const ul_weight *e = m->top[W_HEAD];
    ul_matrix *x = UL_NEW(m->arena, ul_matrix, 1);
    ul_weight *w = UL_NEW(m->arena, ul_weight, 1);
    UL_NEED(x);
    UL_NEED(w);
    *w = (ul_weight){.name = "lm_head.weight",
                     .module = "lm_head",
                     .layer = m->arch.s.n_layer,
                     .rows = e->rows,
                     .cols = e->cols,
                     .is_head = true};
    *x = (ul_matrix){.name = w->name, .module = w->module, .rows = w->rows, .cols = w->cols, .n_part = 1,
                     .peft = "base_model.model.lm_head"};
    UL_NEED(x->part = UL_NEW(m->arena, ul_weight *, 1));
    x->part[0] = w;
    m->own_head = w, m->head_matrix = x;
    *out = x;
    return UL_OK;
}

static ul_status open_saved(peft *p, ul_matrix *x)
{
    ul_model *m = p->m;
    const ul_tensor *t;
    const char *name = ul_peft_name(p->arena, x);
    UL_NEED(name);
    UL_TRY(ul_tensors_need(p->ctx, p->ts, name, &t));
    if (ul_tensor_count(t) != x->rows * x->cols)
        return ul_fail(p->ctx, UL_E_INPUT, "%s: tensor \"%s\" has %lld numbers, the model's has %lld", t->file, name,
                       (long long)ul_tensor_count(t), (long long)(x->rows * x->cols));
    UL_TRY(ul_tensor_check_finite(p->ctx, t));
    void *new = ul_alloc_raw(m->lora_arena, (size_t)(x->rows * x->cols), m->be->k->esize);
    UL_NEED(new);
    UL_TRY(ul_layout_load(p->ctx, m, x, t, new));
    p->used++;
    x->saved = true, x->base = x->p, x->p = new;
    int64_t at = 0;
    for (int k = 0; k < x->n_part; k++) {
        x->part[k]->base = x->part[k]->p, x->part[k]->p = ul_part_of(m->be, new, at);
        at += x->part[k]->rows * x->part[k]->cols;
    }
    return UL_OK;
}

/* "all" biases, or with "lora_only" those of adapted layers, move with the adapter and lie in its file. */
static ul_status open_biases(peft *p)
{
    const char *bias = "none";
    UL_TRY(ul_json_text(p->ctx, p->config, p->where, "bias", UL_OPTIONAL, &bias));
    for (int i = 0; strcmp(bias, "none") && i < p->m->n_matrix; i++) {
        ul_matrix *x = &p->m->matrix[i];
        bool adapted = false;
        if (!x->part[0]->is_bias) continue;
        UL_TRY(ul_peft_targets(p->ctx, p->config, p->where, x->module, &adapted));
        if (!adapted && strcmp(bias, "all")) continue;
        x->wrapped = adapted;
        UL_TRY(open_saved(p, x));
    }
    return UL_OK;
}

static ul_status open_modules_to_save(peft *p)
{
    const json_t *list = json_object_get(p->config, "modules_to_save");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *end = json_string_value(json_array_get(list, i));
        int n = 0;
        if (!end) return ul_fail(p->ctx, UL_E_INPUT, "%s: modules_to_save[%zu] is no text", p->where, i);
        for (int k = 0; k < p->m->n_matrix; k++) {
            ul_matrix *x = &p->m->matrix[k];
            if (!ends_with(x->module, end, false) || x->saved) continue;
            if (x->part[0]->is_embedding && x->part[0]->is_head)
                return ul_fail(p->ctx, UL_E_INPUT,
                               "%s: unsupported: modules_to_save has \"%s\", which is tied to the output", p->where,
                               end);
            UL_TRY(open_saved(p, x));
            n++;
        }
        if (!n && p->m->arch.s.tied && ends_with("lm_head", end, false)) {
            ul_matrix *head;
            UL_TRY(untie(p, &head));
            UL_TRY(open_saved(p, head));
            n++;
        }
        if (!n)
            return ul_fail(p->ctx, UL_E_INPUT, "%s: modules_to_save has \"%s\", the model has no such module", p->where,
                           end);
    }
    return UL_OK;
}

/* Members that are read by hand. Missing and null are alike. */
static ul_status check_types(ul_ctx *ctx, const json_t *config, const char *where)
{
    static const struct {
        const char *key, *what;
        bool text, array, object;
    } members[] = {{"target_modules", "a string or an array", true, true, false},
                   {"exclude_modules", "a string or an array", true, true, false},
                   {"modules_to_save", "an array", false, true, false},
                   {"rank_pattern", "an object", false, false, true},
                   {"alpha_pattern", "an object", false, false, true}};
    for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
        const json_t *v = json_object_get(config, members[i].key);
        if (!v || json_is_null(v) || (members[i].text && json_is_string(v)) || (members[i].array && json_is_array(v)) ||
            (members[i].object && json_is_object(v)))
            continue;
        return ul_fail(ctx, UL_E_INPUT, "%s: \"%s\" is of another type, %s is expected", where, members[i].key,
                       members[i].what);
    }
    return UL_OK;
}

static ul_status open_adapter(peft *p, const char *dir)
{
    ul_ctx *ctx = p->ctx;
    const char *config = ul_path_join(p->arena, dir, "adapter_config.json");
    const char *file = ul_path_join(p->arena, dir, "adapter_model.safetensors");
    int n = 0;
    UL_NEED(config);
    UL_NEED(file);
    UL_TRY(ul_json_load(ctx, p->m->lora_arena, config, &p->config));
    p->where = config;
    UL_TRY(no_unknown_kind(ctx, p->config, config));
    UL_TRY(check_types(ctx, p->config, config));
    UL_TRY(ul_json_int(ctx, p->config, config, "r", UL_REQUIRED, 1, 1 << 20, &p->r));
    UL_TRY(ul_json_real(ctx, p->config, config, "lora_alpha", UL_REQUIRED, &p->alpha));
    UL_TRY(ul_json_bool(ctx, p->config, config, "use_rslora", UL_OPTIONAL, &p->rslora));
    UL_TRY(ul_tensors_open(ctx, p->arena, file, &p->ts));
    for (int i = 0; i < p->m->n_matrix; i++) {
        ul_matrix *x = &p->m->matrix[i];
        bool take = false;
        if (x->vector) continue;
        UL_TRY(ul_peft_targets(ctx, p->config, config, x->module, &take));
        if (take && !ul_lora_fits(x))
            return ul_fail(ctx, UL_E_INPUT,
                           "%s: unsupported: an adapter on \"%s\"; adapters go on linear layers inside the blocks",
                           config, x->module);
        if (!take) continue;
        UL_TRY(open_matrix(p, x));
        n++;
    }
    UL_TRY(open_biases(p));
    UL_TRY(open_modules_to_save(p));
    if (!n) return ul_fail(ctx, UL_E_INPUT, "%s: target_modules names no linear layer of %s", config, p->m->dir);
    if (p->used != p->ts->n)
        return ul_fail(ctx, UL_E_INPUT, "%s has %lld tensors, the layers that %s names have %lld", file,
                       (long long)p->ts->n, config, (long long)p->used);
    return UL_OK;
}

ul_status ul_lora_open(ul_ctx *ctx, ul_model *m, const char *dir)
{
    peft p = {.ctx = ctx, .m = m};
    UL_TRY(ul_lora_none_yet(ctx, m));
    if (m->flags & UL_OPEN_NO_WEIGHTS) return ul_fail(ctx, UL_E_INTERNAL, "%s was opened without weights", m->dir);
    UL_TRY(ul_arena_new(ctx, "adapter files", &p.arena));
    ul_status status = open_adapter(&p, dir);
    if (status == UL_E_USAGE) status = UL_E_INPUT; /* an expression of the file's, not of the caller's */
    if (status != UL_OK) ul_lora_drop(m);
    else m->peft = p.config;
    ul_arena_free(p.arena);
    return status == UL_OK ? ul_model_select(ctx, m, m->flags & UL_OPEN_PANELS ? "none" : "lora") : status;
}

/* ---- save ------------------------------------------------------------------------------------------------------- */
const char *ul_peft_name(ul_arena *arena, const ul_matrix *x)
{
    const char *inside = x->wrapped ? ".base_layer" : "";
    return ul_format(arena, "%s%s.%s", x->peft, inside, x->part[0]->is_bias ? "bias" : "weight");
}

static ul_status add_tensor(ul_ctx *ctx, ul_model *m, ul_arena *arena, ul_tensor *t, const char *name,
                            const ul_matrix *shape, const void *p)
{
    void *bytes;
    UL_NEED(name);
    *t = (ul_tensor){.name = name,
                     .dtype = m->lora_dtype,
                     .n_dim = shape->vector ? 1 : 2,
                     .dim = {shape->vector || shape->transposed ? shape->cols : shape->rows,
                             shape->transposed ? shape->rows : shape->cols},
                     .bytes = (size_t)(shape->rows * shape->cols) * ul_dtype_size(m->lora_dtype)};
    UL_TRY(ul_layout_store(ctx, arena, m, shape, p, m->lora_dtype, &bytes));
    t->data = bytes;
    return UL_OK;
}

/* [A; A_0] and [B, -B_0]. */
static ul_status since_start(ul_model *m, ul_arena *arena, const ul_matrix *x, void **a, void **b)
{
    const ul_weight *w = x->part[0];
    const size_t esize = m->be->k->esize, half = (size_t)(w->r * x->cols) * esize;
    UL_NEED(*a = ul_alloc_raw(arena, 2 * half, 1));
    UL_NEED(*b = ul_alloc_raw(arena, (size_t)(2 * w->r * x->rows), esize));
    memcpy(*a, w->a, half);
    memcpy((char *)*a + half, w->a0, half);
    for (int64_t i = 0; i < x->rows; i++)
        for (int64_t c = 0; c < w->r; c++) {
            ul_real_set(m->be, *b, 2 * i * w->r + c, ul_real_get(m->be, w->b, i * w->r + c));
            ul_real_set(m->be, *b, (2 * i + 1) * w->r + c, -ul_real_get(m->be, w->b0, i * w->r + c));
        }
    return UL_OK;
}

static ul_status save_matrix(ul_ctx *ctx, ul_model *m, ul_arena *arena, const ul_matrix *x, ul_tensor *t, int64_t *n)
{
    const ul_weight *w = x->part[0];
    if (x->saved) UL_TRY(add_tensor(ctx, m, arena, &t[(*n)++], ul_peft_name(arena, x), x, x->p));
    if (!w->r) return UL_OK;
    const int r = w->a0 ? 2 * w->r : w->r;
    const ul_matrix a = {.name = x->name, .rows = r, .cols = x->cols},
                    b = {.name = x->name, .rows = x->rows, .cols = r};
    void *pa = w->a, *pb = w->b;
    if (w->a0) UL_TRY(since_start(m, arena, x, &pa, &pb));
    UL_TRY(add_tensor(ctx, m, arena, &t[(*n)++], ul_format(arena, "%s.lora_A.weight", x->peft), &a, pa));
    return add_tensor(ctx, m, arena, &t[(*n)++], ul_format(arena, "%s.lora_B.weight", x->peft), &b, pb);
}

/* The config of what is written: where the adapters had a start of their own, twice the rank at the same scale. */
static ul_status config_written(const ul_model *m, ul_arena *arena, json_t **out)
{
    bool started = false;
    for (int i = 0; i < m->n_matrix; i++) started |= m->matrix[i].part[0]->a0 != NULL;
    *out = m->peft;
    if (!started) return UL_OK;
    *out = json_copy(m->peft);
    UL_TRY(ul_json_own(arena, *out));
    const double times = json_is_true(json_object_get(m->peft, "use_rslora")) ? sqrt(2) : 2;
    json_object_set_new(*out, "r", json_integer(2 * json_integer_value(json_object_get(m->peft, "r"))));
    json_object_set_new(*out, "lora_alpha",
                        json_real(times * json_number_value(json_object_get(m->peft, "lora_alpha"))));
    return UL_OK;
}

static ul_status save_adapter(ul_ctx *ctx, ul_model *m, ul_arena *arena, const char *dir)
{
    const char *config = ul_path_join(arena, dir, "adapter_config.json"),
               *file = ul_path_join(arena, dir, "adapter_model.safetensors");
    ul_tensor *t = UL_NEW(arena, ul_tensor, 3 * (size_t)m->n_matrix + 1);
    json_t *metadata = json_pack("{s:s}", "format", "pt");
    int64_t n = 0;
    UL_TRY(ul_json_own(arena, metadata));
    UL_NEED(config);
    UL_NEED(file);
    UL_NEED(t);
    for (int i = 0; i < m->n_matrix; i++) UL_TRY(save_matrix(ctx, m, arena, &m->matrix[i], t, &n));
    if (m->head_matrix) UL_TRY(save_matrix(ctx, m, arena, m->head_matrix, t, &n));
    json_t *written;
    UL_TRY(config_written(m, arena, &written));
    UL_TRY(ul_dir_make(ctx, dir));
    UL_TRY(ul_tensors_write(ctx, file, t, n, metadata, NULL, NULL));
    return ul_json_save(ctx, config, written);
}

ul_status ul_lora_save(ul_ctx *ctx, ul_model *m, const char *dir)
{
    ul_arena *arena;
    if (!m->peft) return ul_fail(ctx, UL_E_USAGE, "%s: the model has no adapter to save", m->dir);
    UL_TRY(ul_arena_new(ctx, "adapter files", &arena));
    const ul_status status = save_adapter(ctx, m, arena, dir);
    ul_arena_free(arena);
    return status;
}
