/* replay_eval.c - records of kind "eval": a whole evaluation run through the program's passes and metrics,
 * in double against the float64 run (every row and aggregate) and in f32 against the float32 run. Data sets, answers,
 * arguments and dependencies are read from the record's `config`. */
#include "replay.h"
#include "audit/audit.h"
#include <math.h>

enum { MAX_NAMED = 64 };
typedef struct {
    const char *file, *question, *key;
    ul_records *records;
    int32_t which, max_length, max_new;
    ul_columns columns;
} data_set;
typedef struct {
    ul_ctx *ctx;
    ul_arena *arena;
    const char *dir;
    json_t *golden, *config;
    bool oracle;
    ul_eval_options o;
    ul_model *trainable, *reference; /* for gradient norms; of mia_reference */
    data_set set[MAX_NAMED];
    int n_set;
    ul_named_result done[MAX_NAMED];
    int n_done, n_metric, n_ok, n_lacking;
    double worst;
    char worst_name[128], lacking[512];
} replay;

/* ---- data -------------------------------------------------------------------------------------------------------- */
static bool is_list(const char *path, const char *key)
{
    FILE *f = fopen(path, "r");
    static char line[1 << 16];
    json_t *row = f && fgets(line, sizeof line, f) ? json_loads(line, 0, NULL) : NULL;
    const bool list = json_is_array(json_object_get(row, key));
    json_decref(row);
    if (f) fclose(f);
    return list;
}

static ul_status open_set(replay *r, const json_t *dataset, data_set **out)
{
    const json_t *args = json_object_get(dataset, "args");
    const char *file = json_string_value(json_object_get(json_object_get(args, "hf_args"), "data_files"));
    const char *question = json_string_value(json_object_get(args, "question_key")),
               *key = json_string_value(json_object_get(args, "answer_key"));
    if (!file || !question || !key)
        return ul_fail(r->ctx, UL_E_INPUT, "a dataset without data_files, question_key or answer_key");
    for (int i = 0; i < r->n_set; i++)
        if (!strcmp(r->set[i].file, file) && !strcmp(r->set[i].question, question) && !strcmp(r->set[i].key, key)) {
            *out = &r->set[i];
            return UL_OK;
        }
    if (r->n_set == MAX_NAMED) return ul_fail(r->ctx, UL_E_INPUT, "more than %d data sets", MAX_NAMED);
    data_set *s = &r->set[r->n_set++];
    const json_t *length = json_object_get(args, "max_length");
    char path[4096];
    ul_replay_path(r->dir, file, path, sizeof path);
    const bool list = is_list(path, key);
    const char *fields = ul_format(r->arena, list ? "prompt=%s,wrong=%s" : "prompt=%s,answer=%s", question, key);
    UL_NEED(fields);
    *s = (data_set){.file = file, .question = question, .key = key, .which = list ? UL_WHICH_WRONG : UL_WHICH_ANSWER};
    s->max_length = json_is_integer(length) ? (int32_t)json_integer_value(length) : r->o.tpl.max_length;
    UL_TRY(ul_records_open(r->ctx, r->arena, path, fields, 0, &s->records));
    s->columns = (ul_columns){.name = file, .n_row = s->records->n};
    *out = s;
    return UL_OK;
}

static ul_status reference_loss(replay *r, data_set *s)
{
    ul_eval_options o = r->o;
    o.model = r->reference;
    ul_columns c;
    UL_TRY(ul_columns_score(r->ctx, r->arena, &o, s->records, s->which, "reference", &c));
    double *loss = UL_NEW(r->arena, double, s->records->n);
    UL_NEED(loss);
    for (int64_t i = 0; i < s->records->n; i++) {
        for (int64_t t = c.token[i]; t < c.token[i + 1]; t++) loss[i] -= c.logp[t];
        loss[i] /= (double)(c.token[i + 1] - c.token[i]);
    }
    s->columns.ref_loss = loss;
    return UL_OK;
}

/* Greedy answers of at most max_new tokens; the same prompts are answered once. */
static ul_status answers(replay *r, data_set *s, int32_t max_new)
{
    ul_columns *c = &s->columns;
    if (c->generation && s->max_new == max_new) return UL_OK;
    c->generation = NULL;
    s->max_new = r->o.max_new = max_new;
    for (int i = 0; i < r->n_set && !c->generation; i++)
        if (!strcmp(r->set[i].file, s->file) && !strcmp(r->set[i].question, s->question) &&
            r->set[i].max_new == max_new)
            c->generation = r->set[i].columns.generation;
    return c->generation ? UL_OK : ul_columns_generate(r->ctx, r->arena, &r->o, s->records, c);
}

static ul_status fill(replay *r, data_set *s, unsigned needs, double p, int32_t max_new)
{
    ul_columns *c = &s->columns;
    r->o.tpl.max_length = s->max_length;
    if ((needs & ~(unsigned)(UL_COL_GENERATION | UL_COL_GROUND_TRUTH | UL_COL_GRAD_NORM)) && !c->logp) {
        const ul_columns had = *c;
        UL_TRY(ul_columns_score(r->ctx, r->arena, &r->o, s->records, s->which, s->file, c));
        c->generation = had.generation, c->ground_truth = had.ground_truth, c->grad_norm = had.grad_norm;
    }
    if ((needs & UL_COL_REF_LOSS) && !c->ref_loss) UL_TRY(reference_loss(r, s));
    if ((needs & UL_COL_GRAD_NORM) && !c->grad_norm) {
        ul_eval_options o = r->o;
        o.model = r->trainable;
        UL_TRY(ul_columns_grad_norm(r->ctx, r->arena, &o, s->records, p, c));
    }
    if (needs & UL_COL_GENERATION) UL_TRY(answers(r, s, max_new));
    if ((needs & UL_COL_GROUND_TRUTH) && !c->ground_truth)
        UL_TRY(ul_columns_ground_truth(r->ctx, r->arena, &r->o, s->records, s->which, c));
    return UL_OK;
}

/* ---- one metric -------------------------------------------------------------------------------------------------- */
static const ul_result *find_done(const replay *r, const char *name)
{
    for (int i = 0; i < r->n_done; i++)
        if (!strcmp(r->done[i].name, name)) return r->done[i].result;
    return NULL;
}

static unsigned needs_of(const ul_metric *m, const char *role)
{
    for (int k = 0; k < 3 && m->needs[k].role; k++)
        if (!strcmp(m->needs[k].role, role) || !strcmp(m->needs[k].role, "*")) return m->needs[k].columns;
    return 0;
}

static ul_input of_result(const char *role, const ul_result *x)
{
    return (ul_input){.role = role, .columns = x->n_part == 1 ? &x->part[0].rows : NULL, .agg_value = x->agg_value};
}

static ul_status control(replay *r, const json_t *logs, ul_input *in, int *n)
{
    const char *group, *name;
    json_t *g, *inc;
    json_object_foreach ((json_t *)(uintptr_t)logs, group, g)
        json_object_foreach (json_object_get(g, "include"), name, inc) {
            char path[4096];
            json_t *log;
            const json_t *file = json_object_get(g, "path");
            const char *role = json_string_value(json_object_get(inc, "access_key"));
            if (!json_is_string(file)) continue;
            ul_replay_path(r->dir, json_string_value(file), path, sizeof path);
            UL_TRY(ul_json_load(r->ctx, r->arena, path, &log));
            const char *handler = json_string_value(json_object_get(json_object_get(r->config, name), "handler"));
            const ul_metric *metric;
            UL_TRY(ul_metric_find(r->ctx, handler ? handler : name, &metric));
            ul_result *x = UL_NEW(r->arena, ul_result, 1);
            UL_NEED(x);
            UL_TRY(ul_result_from_json(r->ctx, r->arena, metric, name, json_object_get(log, name), x));
            in[(*n)++] = of_result(role ? role : "retain", x);
        }
    return UL_OK;
}

static ul_status inputs(replay *r, const ul_metric *m, const json_t *c, double p, ul_input *in, int *n)
{
    const char *name;
    json_t *v;
    const json_t *longest = json_object_get(json_object_get(c, "generation_args"), "max_new_tokens");
    if (!longest) longest = json_object_get(json_object_get(r->golden, "hyper"), "max_new_tokens");
    json_object_foreach(json_object_get(c, "datasets"), name, v)
    {
        data_set *s;
        const char *role = json_string_value(json_object_get(v, "access_key"));
        if (!role || json_object_size(json_object_get(c, "datasets")) == 1) role = m->needs[0].role;
        UL_TRY(open_set(r, v, &s));
        UL_TRY(fill(r, s, needs_of(m, role), p, (int32_t)json_integer_value(longest)));
        in[(*n)++] = (ul_input){.role = role, .columns = &s->columns};
    }
    json_object_foreach(json_object_get(c, "pre_compute"), name, v)
    {
        const ul_result *x = find_done(r, name);
        const char *role = json_string_value(json_object_get(v, "access_key"));
        if (!x) return ul_fail(r->ctx, UL_E_INPUT, "%s is computed from what is not there", name);
        in[(*n)++] = of_result(role ? role : name, x);
    }
    return control(r, json_object_get(c, "reference_logs"), in, n);
}

static ul_status arguments(replay *r, const ul_metric *m, const char *name, const json_t *c, ul_args *args)
{
    ul_args_default(m->params, args);
    for (const ul_param *p = m->params; p && p->key; p++) {
        const json_t *v = json_object_get(c, p->key);
        char text[64];
        if (!strcmp(p->key, "match")) snprintf(text, sizeof text, "open-unlearning");
        else if (json_is_string(v)) snprintf(text, sizeof text, "%s", json_string_value(v));
        else if (json_is_number(v)) snprintf(text, sizeof text, "%.17g", json_number_value(v));
        else continue;
        UL_TRY(ul_args_set(r->arena, args, name, p->key, text));
    }
    return UL_OK;
}

/* ---- comparing --------------------------------------------------------------------------------------------------- */
static void tolerance(const replay *r, const char *name, double *rel, double *abs)
{
    char key[160];
    snprintf(key, sizeof key, "%s%s", name, r->oracle ? "" : "_f32");
    const json_t *t = json_object_get(json_object_get(r->golden, "tolerance"), key);
    *rel = json_number_value(json_object_get(t, "rel"));
    *abs = json_number_value(json_object_get(t, "abs"));
}

static bool compare(replay *r, const char *name, double have, double want, double rel, double abs)
{
    const double allowed = abs + rel * fabs(want), d = fabs(have - want) / (allowed > 0 ? allowed : 1e-15);
    if (!(d <= r->worst)) {
        r->worst = isnan(d) ? INFINITY : d;
        snprintf(r->worst_name, sizeof r->worst_name, "%s %s: %.9g, golden %.9g", r->oracle ? "double" : "f32", name,
                 have, want);
    }
    return d <= 1;
}

static bool compare_list(replay *r, const char *name, ul_columns c, const char *field, const json_t *want)
{
    double rel, abs;
    tolerance(r, "per_example", &rel, &abs);
    const double **x = ul_columns_number(&c, field);
    const char *const **text = ul_columns_text(&c, field);
    bool same = (int64_t)json_array_size(want) == c.n_row;
    for (int64_t i = 0, j = 0; same && i < c.n_row; i++) {
        const json_t *v = json_array_get(want, (size_t)i);
        if (json_is_string(v)) same = text && *text && !strcmp((*text)[i], json_string_value(v));
        else if (json_is_array(v))
            for (size_t k = 0; same && k < json_array_size(v); k++)
                same = x && *x && compare(r, name, (*x)[j++], json_number_value(json_array_get(v, k)), rel, abs);
        else same = x && *x && compare(r, name, (*x)[i], json_number_value(v), rel, abs);
        if (!same) {
            r->worst = fmax(r->worst, 2);
            if (json_is_string(v))
                snprintf(r->worst_name, sizeof r->worst_name, "%s row %lld %s: \"%.40s\", golden \"%.40s\"", name,
                         (long long)i, field, text && *text ? (*text)[i] : "(none)", json_string_value(v));
        }
    }
    return same;
}

static bool compare_result(replay *r, const char *name, const ul_result *x)
{
    const json_t *aggregates = json_object_get(r->golden, r->oracle ? "expected" : "expected_f32");
    const json_t *rows =
        json_object_get(json_object_get(r->golden, r->oracle ? "per_example" : "per_example_f32"), name);
    const json_t *want = json_object_get(aggregates, name);
    double rel, abs;
    tolerance(r, name, &rel, &abs);
    bool same = json_is_null(want) ? x->absent
                                   : !x->absent && compare(r, name, x->agg_value, json_number_value(want), rel, abs);
    const char *field;
    json_t *list;
    json_object_foreach((json_t *)(uintptr_t)rows, field, list)
    {
        const ul_part *part = &x->part[0];
        for (int p = 0; p < x->n_part && x->n_part == 2; p++)
            if (!strcmp(x->part[p].role, field)) part = &x->part[p];
        same &= compare_list(r, name, part->rows, x->n_part == 2 ? "score" : field, list);
    }
    return same;
}

/* 0 done, 1 its inputs are not there yet, 2 unsupported, -1 failed */
static int one(replay *r, const char *name, const json_t *c)
{
    const char *handler = json_string_value(json_object_get(c, "handler")), *need;
    const json_t *v;
    json_object_foreach(json_object_get(c, "pre_compute"), need, v) if (!find_done(r, need)) return 1;
    const ul_metric *m;
    if (!handler || ul_metric_find(r->ctx, handler, &m) != UL_OK) return 2;
    ul_args args;
    ul_input in[16];
    int n = 0;
    ul_result *x = UL_NEW(r->arena, ul_result, 1);
    const json_t *p = json_object_get(c, "p");
    if (!x || arguments(r, m, name, c, &args) != UL_OK ||
        inputs(r, m, c, json_is_number(p) ? json_number_value(p) : 2, in, &n) != UL_OK ||
        ul_metric_compute(r->arena, m, &args, in, n, x) != UL_OK)
        return -1;
    r->done[r->n_done++] = (ul_named_result){name, x};
    return 0;
}

static ul_status run_metrics(replay *r)
{
    const char *name;
    json_t *c;
    bool tried[MAX_NAMED] = {0};
    for (int left = 1, pass = 0; left && pass < 8; pass++) {
        int i = -1;
        left = 0;
        json_object_foreach(r->config, name, c)
        {
            if (tried[++i]) continue;
            const int got = one(r, name, c);
            if (got == 1) {
                left++;
                continue;
            }
            tried[i] = true;
            r->n_metric++;
            if (got < 0) return UL_E_INPUT;
            r->n_lacking += got == 2;
            if (got == 2)
                snprintf(r->lacking + strlen(r->lacking), sizeof r->lacking - strlen(r->lacking), " %s", name);
            else r->n_ok += compare_result(r, name, r->done[r->n_done - 1].result);
        }
    }
    return UL_OK;
}

/* ---- one record -------------------------------------------------------------------------------------------------- */
static void tag(const json_t *t, const char *key, const char **out)
{
    const char *s = json_string_value(json_object_get(t, key));
    if (s) *out = s;
}

static ul_status open_models(replay *r, ul_backend *be, ul_model *opened[3], ul_tokenizer **tok)
{
    char path[4096];
    const char *model = json_string_value(json_object_get(r->golden, "model")),
               *ref = json_string_value(json_object_get(r->golden, "reference")),
               *tokenizer = json_string_value(json_object_get(r->golden, "tokenizer"));
    ul_replay_path(r->dir, model ? model : ".", path, sizeof path);
    UL_TRY(ul_model_open(r->ctx, be, path, UL_OPEN_PANELS, &opened[0]));
    UL_TRY(ul_model_open(r->ctx, be, path, 0, &opened[1]));
    r->o.model = opened[0];
    r->trainable = opened[1];
    if (ref) {
        ul_replay_path(r->dir, ref, path, sizeof path);
        UL_TRY(ul_model_open(r->ctx, be, path, UL_OPEN_PANELS, &opened[2]));
        r->reference = opened[2];
    }
    ul_replay_path(r->dir, tokenizer ? tokenizer : model, path, sizeof path);
    UL_TRY(ul_tokenizer_open(r->ctx, path, tok));
    r->o.tok = *tok;
    return UL_OK;
}

static ul_status run(replay *r, ul_model *opened[3], ul_tokenizer **tok)
{
    const json_t *t = json_object_get(r->golden, "template");
    ul_backend *be;
    if (json_is_true(json_object_get(t, "apply_chat_template")))
        return ul_fail(r->ctx, UL_E_INPUT, "made with a chat template; plain tags are what is known here");
    if (json_object_size(r->config) > MAX_NAMED)
        return ul_fail(r->ctx, UL_E_INPUT, "the record has more than %d metrics", MAX_NAMED);
    UL_TRY(ul_backend_open(r->ctx, r->arena, NULL, r->oracle ? UL_PRECISION_DOUBLE : UL_PRECISION_F32, 0, &be));
    UL_TRY(open_models(r, be, opened, tok));
    r->o.tpl = ul_template_tofu;
    tag(t, "user_start_tag", &r->o.tpl.user_start);
    tag(t, "user_end_tag", &r->o.tpl.user_end);
    tag(t, "asst_start_tag", &r->o.tpl.asst_start);
    r->o.tpl.max_length = (int32_t)json_integer_value(json_object_get(r->golden, "max_length"));
    r->o.tpl.hide_pad = true;
    r->o.tpl.pad_id = ul_tokenizer_special(*tok).pad;
    r->o.batch_tokens = 4096;
    r->o.batch = 64;
    r->o.texts = r->o.moments = r->o.peer_positions = true;
    return run_metrics(r);
}

int ul_replay_eval(ul_ctx *ctx, const char *record_dir, json_t *golden, char *message, size_t size)
{
    int at = 0, code = 0;
    for (int oracle = 1; oracle >= 0; oracle--) {
        ul_arena *arena;
        if (!oracle && !json_object_get(golden, "expected_f32")) continue; /* no such run */
        if (ul_arena_new(ctx, "replay eval", &arena) != UL_OK) return 1;
        replay *r = UL_NEW(arena, replay, 1);
        ul_model *opened[3] = {0};
        ul_tokenizer *tok = NULL;
        if (!r) return 1;
        *r = (replay){.ctx = ctx,
                      .arena = arena,
                      .dir = record_dir,
                      .golden = golden,
                      .config = json_object_get(golden, "config"),
                      .oracle = oracle};
        const ul_status s = run(r, opened, &tok);
        const int supported = r->n_metric - r->n_lacking;
        if (s != UL_OK || !r->n_metric) {
            at += snprintf(message + at, size - (size_t)at, "%s: %s; ", oracle ? "double" : "f32",
                           s != UL_OK ? ul_error_text(ctx) : "no metrics in the record");
            code = 1;
        } else {
            if (r->n_ok < supported || r->worst > 1) code = 1;
            at += snprintf(message + at, size - (size_t)at,
                           "%s: %d of %d metrics, worst %.2g of the tolerance%s%s%s%s%s; ", oracle ? "double" : "f32",
                           r->n_ok, r->n_metric, r->worst, r->worst > 0 ? " (" : "", r->worst_name,
                           r->worst > 0 ? ")" : "", r->lacking[0] ? ", unsupported:" : "", r->lacking);
        }
        for (int i = 0; i < 3; i++) ul_model_free(opened[i]);
        ul_tokenizer_free(tok);
        ul_arena_free(arena);
    }
    return code;
}
