/* replay_train.c - records of kind "train": the program's own method file, optimizer and loop, fed with the recorded
 * batches. Double backend at the record's tolerance: losses, gradients of step 0, learning rates and norms where
 * recorded, weights after the last step; float backend: losses. The data files are tokenised again and must give the
 * batches.
 *
 * The peer pads: a row's padding is left out here (nothing reads it), except where a loss runs over all positions:
 * there documents keep it, hidden as keys, and every position is a row. */
#include "replay_model.h"
#include "train/train.h"

typedef struct {
    ul_doc *at; /* [B] */
    int32_t n, T;
} side_batch;

typedef struct {
    ul_ctx *ctx;
    ul_arena *arena;
    const char *dir;
    json_t *golden;
    const ul_tensors *ts;
    const ul_method *method;
    ul_args args;
    ul_recipe recipe;
    unsigned needs;
    int32_t batch, accum, n_batch;
    int64_t steps;
    side_batch *side[UL_N_SIDE]; /* [n_batch] each, or NULL */
    ul_worst worst;
    char why[300]; /* unsupported */
} replay;

static ul_status unsupported(replay *r, const char *fmt, ...) UL_PRINTF(2, 3);
static ul_status unsupported(replay *r, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vsnprintf(r->why, sizeof r->why, fmt, args);
    va_end(args);
    return ul_fail(r->ctx, UL_E_INPUT, "unsupported: %s", r->why);
}

/* ---- what the record says ---------------------------------------------------------------------------------------- */
static ul_status set_hyper(replay *r, const char *key, const json_t *value)
{
    const bool retain = !strcmp(key, "retain_loss_type");
    const char *mine = key, *text = json_string_value(value);
    static const char *const other[][2] = {{"retain_loss_type", "retain"}, {"ignore_first_n_answer_tokens", "skip"},
                                           {"steering_coeff", "steer"},    {"retain_loss_eps", "eps"},
                                           {"dual_step_size", "dual_step"}, {"dual_warmup_epochs", "dual_warmup"},
                                           {"module_regex", "layer"}};
    for (size_t i = 0; i < sizeof other / sizeof other[0]; i++)
        if (!strcmp(key, other[i][0])) mine = other[i][1];
    /* what the record's optimizer says again, what has one choice */
    if (!strcmp(key, "trainable_params_regex") || (retain && !strcmp(text, "EMBED_DIFF"))) return UL_OK;
    if (!strcmp(key, "primal_dual") || !strcmp(key, "dual_update_upon") || !strcmp(key, "loss_names")) return UL_OK;
    for (int i = 0; r->args.params && r->args.params[i].key; i++) {
        if (strcmp(r->args.params[i].key, mine)) continue;
        if (!strcmp(mine, "layer") && text)
            r->args.num[i] = strtod(text + strcspn(text, "0123456789"), NULL);
        else if (!retain)
            r->args.num[i] = json_number_value(value);
        else if (!strcmp(json_string_value(value), "NLL"))
            r->args.text[i] = "nll";
        else if (!strcmp(json_string_value(value), "KL"))
            r->args.text[i] = "kl";
        else
            return unsupported(r, "retain loss %s", json_string_value(value));
        return UL_OK;
    }
    return unsupported(r, "%s has a hyperparameter %s", json_string_value(json_object_get(r->golden, "trainer")), key);
}

/* PDU's multiplier stays unless it is told to move by steps, at once: epochs end nowhere in a record. */
static void still_dual(replay *r)
{
    const json_t *hyper = json_object_get(r->golden, "hyper"), *upon = json_object_get(hyper, "dual_update_upon");
    const json_t *warmup = json_object_get(hyper, "dual_warmup_epochs");
    const bool steps = !upon || !strcmp(json_string_value(upon), "step");
    const bool still = !json_is_true(json_object_get(hyper, "primal_dual")) || !steps || json_number_value(warmup) > 0;
    for (int i = 0; still && r->args.params && r->args.params[i].key; i++)
        if (!strcmp(r->args.params[i].key, "dual_step")) r->args.num[i] = 0;
}

static ul_status read_method(replay *r)
{
    static const struct {
        const char *trainer, *id;
    } map[] = {{"GradAscent", "ga"}, {"GradDiff", "graddiff"}, {"NPO", "npo"},
               {"SimNPO", "simnpo"}, {"DPO", "dpo"},           {"FinetuneTrainer", NULL},
               {"WGA", "wga"},       {"SatImp", "satimp"},   {"CEU", "ceu"},
               {"UNDIAL", "undial"}, {"RMU", "rmu"},           {"PDU", "pdu"}};
    const char *trainer = json_string_value(json_object_get(r->golden, "trainer")), *key;
    json_t *value;
    size_t i = 0;
    while (trainer && i < sizeof map / sizeof map[0] && strcmp(map[i].trainer, trainer)) i++;
    if (!trainer || i == sizeof map / sizeof map[0]) return unsupported(r, "trainer %s", trainer ? trainer : "(none)");
    if (!map[i].id) return UL_OK;
    r->method = ul_method_find(map[i].id);
    if (!r->method) return unsupported(r, "method %s", map[i].id);
    ul_args_default(r->method->params, &r->args);
    json_object_foreach(json_object_get(r->golden, "hyper"), key, value) UL_TRY(set_hyper(r, key, value));
    still_dual(r);
    r->needs = ul_method_needs(r->method, &r->args);
    return UL_OK;
}

static double number(const json_t *o, const char *key)
{
    return json_number_value(json_object_get(o, key));
}

static ul_status read_optimizer(replay *r)
{
    const json_t *o = json_object_get(r->golden, "optimizer"), *accum = json_object_get(o, "grad_accum"), *group;
    const char *name = json_string_value(json_object_get(o, "name")),
               *schedule = json_string_value(json_object_get(o, "lr_schedule"));
    size_t i;
    if (!name || strcmp(name, "AdamW")) return unsupported(r, "optimizer %s", name ? name : "(none)");
    ul_args defaults;
    ul_args_default(ul_recipe_params, &defaults);
    ul_recipe_from_args(&defaults, 1, &r->recipe);
    const bool constant = !schedule || !strcmp(schedule, "constant"); /* the peer's has no warm-up */
    r->recipe.schedule = constant || !strcmp(schedule, "constant_with_warmup") ? UL_CONSTANT
                         : !strcmp(schedule, "linear")                         ? UL_LINEAR
                                                                               : UL_COSINE;
    if (r->recipe.schedule == UL_COSINE && strcmp(schedule, "cosine")) return unsupported(r, "schedule %s", schedule);
    r->batch = (int32_t)json_integer_value(json_object_get(r->golden, "batch"));
    r->accum = accum ? (int32_t)json_integer_value(accum) : 1;
    r->steps = json_integer_value(json_object_get(r->golden, "steps"));
    r->n_batch = (int32_t)r->steps * r->accum;
    r->recipe.batch = r->batch * r->accum;
    r->recipe.match_peer = true;
    r->recipe.lr = number(o, "lr");
    r->recipe.beta1 = number(o, "beta1");
    r->recipe.beta2 = number(o, "beta2");
    r->recipe.eps = number(o, "eps");
    r->recipe.warmup = constant ? 0 : number(o, "warmup_steps");
    r->recipe.clip = number(o, "max_grad_norm");
    r->recipe.weight_decay = 0;
    json_array_foreach(json_object_get(o, "groups"), i, group)
    {
        const double d = number(group, "weight_decay");
        if (d != 0 && r->recipe.weight_decay != 0 && d != r->recipe.weight_decay)
            return unsupported(r, "two weight decays");
        if (d != 0) r->recipe.weight_decay = d;
    }
    return UL_OK;
}

/* ---- recorded batches -------------------------------------------------------------------------------------------- */
static ul_status read_i64(replay *r, const char *name, int64_t **out, const ul_tensor **t)
{
    UL_TRY(ul_tensors_need(r->ctx, r->ts, name, t));
    const int64_t n = ul_tensor_count(*t);
    UL_NEED(*out = UL_NEW(r->arena, int64_t, n));
    return ul_tensor_i64(r->ctx, *t, 0, n, *out);
}

/* Rows of "<prefix>.input_ids". `padded`: they keep their padding. */
static ul_status read_batch(replay *r, const char *prefix, bool padded, side_batch *out)
{
    const ul_tensor *t;
    int64_t *ids, *labels, *mask;
    UL_TRY(read_i64(r, ul_format(r->arena, "%s.labels", prefix), &labels, &t));
    UL_TRY(read_i64(r, ul_format(r->arena, "%s.attention_mask", prefix), &mask, &t));
    UL_TRY(read_i64(r, ul_format(r->arena, "%s.input_ids", prefix), &ids, &t));
    *out = (side_batch){UL_NEW(r->arena, ul_doc, t->dim[0]), (int32_t)t->dim[0], (int32_t)t->dim[1]};
    UL_NEED(out->at);
    if (out->n != r->batch)
        return ul_fail(r->ctx, UL_E_INPUT, "%s: %d rows, the batch is %d", prefix, (int)out->n, (int)r->batch);
    for (int32_t b = 0; b < out->n; b++) {
        const int64_t at = (int64_t)b * out->T;
        int32_t n = out->T;
        while (!padded && n > 0 && !mask[at + n - 1] && labels[at + n - 1] < 0) n--;
        int32_t *token = UL_NEW(r->arena, int32_t, n);
        uint8_t *labelled = UL_NEW(r->arena, uint8_t, n), *hidden = UL_NEW(r->arena, uint8_t, n);
        UL_NEED(token && labelled && hidden);
        for (int32_t i = 0; i < n; i++) {
            token[i] = (int32_t)ids[at + i];
            labelled[i] = i > 0 && labels[at + i] >= 0;
            hidden[i] = !mask[at + i];
        }
        out->at[b] = (ul_doc){b, n, b, token, labelled, hidden, NULL, NULL};
    }
    return UL_OK;
}

static const char *prefix_of(const replay *r, int side, int32_t k)
{
    const bool pair = r->needs & UL_NEED_ALT;
    return ul_format(r->arena, "step%d.%s", (int)k,
                     side == UL_RETAIN ? "retain"
                     : side == UL_ALT  ? "forget.alternate"
                     : pair            ? "forget.original"
                     : r->method       ? "forget"
                                       : "train");
}

static ul_status read_batches(replay *r)
{
    for (int s = 0; s < UL_N_SIDE; s++) {
        if ((s == UL_RETAIN && !(r->needs & UL_NEED_RETAIN)) || (s == UL_ALT && !(r->needs & UL_NEED_ALT))) continue;
        UL_NEED(r->side[s] = UL_NEW(r->arena, side_batch, r->n_batch));
        for (int32_t k = 0; k < r->n_batch; k++)
            UL_TRY(read_batch(r, prefix_of(r, s, k), ul_reference_kind(r->needs, s) == UL_REF_HIDDEN, &r->side[s][k]));
    }
    return UL_OK;
}

static ul_status sample(void *user, int64_t step, int32_t i, ul_arena *arena, ul_sample *out)
{
    const replay *r = user;
    const int64_t k = step * r->accum + i / r->batch;
    (void)arena;
    *out = (ul_sample){{NULL, NULL, NULL}};
    for (int s = 0; s < UL_N_SIDE; s++)
        if (r->side[s]) out->doc[s] = &r->side[s][k].at[i % r->batch];
    return UL_OK;
}

/* ---- tokenisation: the rows of the data files give the recorded batches ------------------------------------------ */
static bool same_doc(const ul_doc *have, const ul_doc *want)
{
    if (have->n > want->n) return false;
    for (int32_t t = 0; t < want->n; t++) {
        if (t >= have->n && (!want->hidden[t] || want->labelled[t])) return false;
        if (t < have->n && (have->token[t] != want->token[t] || have->labelled[t] != want->labelled[t])) return false;
    }
    return true;
}

static ul_status check_side(replay *r, const ul_tokenizer *tok, const ul_template *tpl, int side)
{
    const json_t *data = json_object_get(r->golden, "data");
    const char *role = side == UL_RETAIN ? "retain" : r->method ? "forget" : "train";
    char path[4096];
    ul_records *records;
    const char *const *lines = NULL;
    int64_t n_line = 0;
    if (!json_is_string(json_object_get(data, role))) return UL_OK;
    ul_replay_path(r->dir, json_string_value(json_object_get(data, role)), path, sizeof path);
    UL_TRY(ul_records_open(r->ctx, r->arena, path, NULL, 0, &records));
    if (side == UL_ALT) {
        ul_replay_path(r->dir, json_string_value(json_object_get(data, "alternate")), path, sizeof path);
        UL_TRY(ul_lines_open(r->ctx, r->arena, path, &lines, &n_line));
    }
    for (int32_t k = 0; k < r->n_batch; k++) {
        int64_t *index, *line = NULL;
        const ul_tensor *t;
        UL_TRY(read_i64(r, ul_format(r->arena, "step%d.%s.index", (int)k, role), &index, &t));
        if (side == UL_ALT)
            UL_TRY(read_i64(r, ul_format(r->arena, "step%d.forget.alternate.index", (int)k), &line, &t));
        for (int32_t i = 0; i < r->batch; i++) {
            ul_doc doc;
            bool cut;
            if (index[i] < 0 || index[i] >= records->n || (line && (line[i] < 0 || line[i] >= n_line)))
                return ul_fail(r->ctx, UL_E_INPUT, "batch %d names row %lld", (int)k, (long long)index[i]);
            const ul_record *rec = &records->at[index[i]];
            UL_TRY(ul_doc_build(r->ctx, r->arena, tok, tpl, rec->prompt, line ? lines[line[i]] : rec->answer, i, 0,
                                &doc, &cut));
            r->worst.compared++;
            if (!same_doc(&doc, &r->side[side][k].at[i]))
                return ul_fail(r->ctx, UL_E_INPUT, "row %lld of %s is not tokenised as in batch %d",
                               (long long)index[i], path, (int)k);
        }
    }
    return UL_OK;
}

static ul_status check_tokens(replay *r)
{
    const json_t *t = json_object_get(r->golden, "template"), *where = json_object_get(r->golden, "tokenizer");
    char path[4096];
    ul_tokenizer *tok;
    if (!t || !where) return UL_OK;
    if (json_is_true(json_object_get(t, "apply_chat_template"))) return unsupported(r, "chat template");
    const ul_template tpl = {.user_start = json_string_value(json_object_get(t, "user_start_tag")),
                             .user_end = json_string_value(json_object_get(t, "user_end_tag")),
                             .asst_start = json_string_value(json_object_get(t, "asst_start_tag")),
                             .max_length = (int32_t)json_integer_value(json_object_get(r->golden, "max_length")),
                             .hide_pad = true,
                             .pad_id = -1};
    ul_replay_path(r->dir, json_string_value(where), path, sizeof path);
    UL_TRY(ul_tokenizer_open(r->ctx, path, &tok));
    ul_status s = UL_OK;
    for (int k = 0; k < UL_N_SIDE && s == UL_OK; k++)
        if (r->side[k]) s = check_side(r, tok, &tpl, k);
    ul_tokenizer_free(tok);
    return s;
}

/* ---- the run ----------------------------------------------------------------------------------------------------- */
static ul_status open_model(replay *r, ul_backend *be, const char *key, ul_model **out)
{
    const char *path = json_string_value(json_object_get(r->golden, key));
    char dir[4096];
    if (!path) return ul_fail(r->ctx, UL_E_INPUT, "the record names no %s", key);
    ul_replay_path(r->dir, path, dir, sizeof dir);
    return ul_model_open(r->ctx, be, dir, 0, out);
}

/* The recorded parameter that this trainable is: its name, or the other name of a tied matrix. */
static bool is_in(const json_t *list, const char *name, bool tied)
{
    const json_t *p;
    size_t i;
    json_array_foreach(list, i, p)
    {
        const char *s = json_string_value(p);
        const bool head = strstr(name, "lm_head") || strstr(name, "embed") || strstr(name, "wte");
        if (!strcmp(s, name) ||
            (tied && head && (strstr(s, "embed_tokens") || strstr(s, "wte") || strstr(s, "lm_head"))))
            return true;
    }
    return false;
}

/* The weights of the optimizer's groups move, those of a group with a decay decay. The others have a gradient, which is
 * recorded and counts in the clip norm. */
static ul_status choose(replay *r, ul_model *m)
{
    const json_t *groups = json_object_get(json_object_get(r->golden, "optimizer"), "groups"), *group;
    ul_trainable *t;
    size_t i;
    int used = 0;
    UL_TRY(ul_model_select(r->ctx, m, "all"));
    for (int k = ul_model_trainables(m, &t); k-- > 0;) {
        t[k].still = true;
        json_array_foreach(groups, i, group)
        {
            if (!is_in(json_object_get(group, "parameters"), t[k].name, ul_model_shape(m)->tied)) continue;
            t[k].decays = number(group, "weight_decay") != 0;
            t[k].still = false;
            used++;
            break;
        }
    }
    return used ? UL_OK : unsupported(r, "an optimizer that moves no weight of the model");
}

static void compare(replay *r, const char *key, const char *name, double have, double want)
{
    double rel, abs;
    ul_tolerance(r->golden, key, &rel, &abs);
    if (have == want) { /* a learning rate of 0 has a tolerance of 0 */
        r->worst.compared++;
        return;
    }
    ul_worst_add(&r->worst, name, have, want, abs + rel * fabs(want));
}

/* `what` is "grad" or "weight": every recorded norm and its sampled entries. */
static ul_status compare_tensors(replay *r, ul_model *m, const char *what)
{
    const char *prefix = ul_format(r->arena, "%s_norm.", what);
    for (int64_t i = 0; i < r->ts->n; i++) {
        const char *name = r->ts->at[i].name + strlen(prefix);
        if (strncmp(r->ts->at[i].name, prefix, strlen(prefix))) continue;
        const ul_mark mark = ul_arena_mark(r->arena);
        const ul_shape *shape = ul_model_shape(m);
        ul_weight *w;
        int64_t n = 0, *index;
        const ul_tensor *t;
        for (int k = ul_model_weights(m, &w); k-- > 0;)
            if (!strcmp(w[k].name, name)) n += w[k].rows * w[k].cols;
        if (n == 0) n = (int64_t)shape->V * shape->C; /* the other name of a tied matrix */
        double *have = UL_NEW(r->arena, double, n), want[2], sum = 0;
        UL_NEED(have);
        UL_TRY(ul_model_tensor(r->ctx, m, name, what[0] == 'g', n, have));
        for (int64_t k = 0; k < n; k++) sum += have[k] * have[k];
        UL_TRY(ul_tensor_f64(r->ctx, &r->ts->at[i], 0, 1, want));
        compare(r, ul_format(r->arena, "%s_norm", what), r->ts->at[i].name, sqrt(sum), want[0]);
        UL_TRY(read_i64(r, ul_format(r->arena, "%s_index.%s", what, name), &index, &t));
        UL_TRY(ul_tensors_need(r->ctx, r->ts, ul_format(r->arena, "%s_value.%s", what, name), &t));
        for (int64_t k = 0; k < ul_tensor_count(t); k++) {
            if (index[k] < 0 || index[k] >= n)
                return ul_fail(r->ctx, UL_E_INPUT, "%s: index %lld", name, (long long)index[k]);
            UL_TRY(ul_tensor_f64(r->ctx, t, k, 1, want));
            compare(r, ul_format(r->arena, "%s_value", what), t->name, have[index[k]], want[0]);
        }
        ul_arena_rewind(r->arena, mark);
    }
    return UL_OK;
}

static ul_status compare_step(replay *r, ul_trainer *t, int64_t step, const char *losses, const ul_step_result *res)
{
    const json_t *loss = json_object_get(r->golden, losses), *lr = json_object_get(r->golden, "lr_per_step");
    const json_t *norm = json_object_get(r->golden, "total_norm"), *dual = json_object_get(r->golden, "preference");
    int32_t n;
    const double *mine = ul_trainer_micro_losses(t, &n);
    char name[64];
    if (n != r->accum) return ul_fail(r->ctx, UL_E_INTERNAL, "%d micro-batches, golden %d", (int)n, (int)r->accum);
    for (int32_t k = 0; k < n; k++) {
        const int64_t at = step * r->accum + k;
        snprintf(name, sizeof name, "%s[%lld]", losses, (long long)at);
        compare(r, losses, name, mine[k], json_number_value(json_array_get(loss, (size_t)at)));
    }
    if (strcmp(losses, "loss")) return UL_OK;
    if (lr) compare(r, "lr_per_step", "lr_per_step", res->lr, json_number_value(json_array_get(lr, (size_t)step)));
    if (dual) compare(r, "preference", "preference", res->dual, json_number_value(json_array_get(dual, (size_t)step)));
    if (norm)
        compare(r, "total_norm", "total_norm", res->grad_norm, json_number_value(json_array_get(norm, (size_t)step)));
    return UL_OK;
}

static ul_status run_steps(replay *r, ul_trainer *t, ul_model *m, const char *losses, bool all)
{
    for (int64_t step = 0; step < r->steps; step++) {
        ul_step_result res;
        UL_TRY(ul_trainer_gradients(t, step, &res));
        UL_TRY(compare_step(r, t, step, losses, &res));
        if (all && step == 0) UL_TRY(compare_tensors(r, m, "grad"));
        UL_TRY(ul_trainer_update(t, step, &res));
    }
    return all ? compare_tensors(r, m, "weight") : UL_OK;
}

static ul_status run(replay *r, ul_precision precision)
{
    bool refs = false;
    for (int k = 0; k < UL_N_SIDE; k++) refs |= ul_reference_kind(r->needs, k) != UL_REF_NONE;
    ul_backend *be;
    ul_model *m = NULL, *ref = NULL;
    ul_trainer *t = NULL;
    const bool all = precision == UL_PRECISION_DOUBLE;
    UL_TRY(ul_backend_open(r->ctx, r->arena, ul_env("UL_ISA"), precision, 0, &be));
    ul_status s = open_model(r, be, "model", &m);
    if (s == UL_OK && refs) s = open_model(r, be, "reference", &ref);
    double *control = NULL;
    const ul_tensor *vector;
    if (s == UL_OK && (r->needs & UL_NEED_STATE)) {
        s = ul_tensors_need(r->ctx, r->ts, "control_vec", &vector);
        control = UL_NEW(r->arena, double, ul_model_shape(m)->C);
        if (s == UL_OK) s = ul_tensor_f64(r->ctx, vector, 0, ul_model_shape(m)->C, control);
    }
    const ul_trainer_options o = {.model = m,
                                  .method = r->method,
                                  .args = &r->args,
                                  .recipe = &r->recipe,
                                  .micro_batch = r->batch,
                                  .sample = sample,
                                  .user = r,
                                  .reference = ref,
                                  .control = control,
                                  .pad_id = 0};
    if (s == UL_OK) s = choose(r, m);
    if (s == UL_OK) s = ul_trainer_new(r->ctx, &o, r->steps, &t);
    if (s == UL_OK) s = run_steps(r, t, m, all ? "loss" : "loss_f32", all);
    ul_trainer_free(t);
    ul_model_free(ref);
    ul_model_free(m);
    return s;
}

static ul_status replay_all(replay *r)
{
    ul_tensors *ts;
    UL_TRY(read_method(r));
    UL_TRY(read_optimizer(r));
    UL_TRY(ul_tensors_open(r->ctx, r->arena, ul_format(r->arena, "%s/golden.safetensors", r->dir), &ts));
    r->ts = ts;
    UL_TRY(read_batches(r));
    UL_TRY(check_tokens(r));
    UL_TRY(run(r, UL_PRECISION_DOUBLE));
    if (!json_object_get(r->golden, "loss_f32")) return UL_OK;
    return run(r, UL_PRECISION_F32);
}

int ul_replay_train(ul_ctx *ctx, const char *record_dir, json_t *golden, char *message, size_t size)
{
    replay r = {.ctx = ctx, .dir = record_dir, .golden = golden};
    if (ul_arena_new(ctx, "replay", &r.arena) != UL_OK) return 1;
    const ul_status s = replay_all(&r);
    ul_arena_free(r.arena);
    if (s != UL_OK) {
        snprintf(message, size, "%s", r.why[0] ? r.why : ul_error_text(ctx));
        return r.why[0] ? 2 : ul_replay_failed(ctx, message, size);
    }
    snprintf(message, size, "%lld numbers and rows, worst %.2g of the tolerance: %s", (long long)r.worst.compared,
             r.worst.worst, r.worst.name);
    return r.worst.worst > 1 ? 1 : 0;
}
