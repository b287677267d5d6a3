/* _edit.c - reading and writing an MLP's last matrix as a memory: values found by gradient, keys, their covariance. */
#include "procedure/edit.h"
#include <math.h>
#include <string.h>

enum { FACTS_AT_ONCE = 32, SWEEP_TOKENS = 4096 };

/* ---- the matrix ------------------------------------------------------------------------------------------------- */
bool ul_is_edited(const ul_weight *w, int layer)
{
    return w->layer == layer && w->role == UL_ROLE_DOWN && !w->is_bias;
}

ul_status ul_edit_weight(ul_work *w, int layer, ul_weight **out)
{
    const int n_layer = ul_model_shape(w->model)->n_layer;
    UL_TRY(ul_work_whole(w));
    if (layer < 0 || layer >= n_layer)
        return ul_fail(w->ctx, UL_E_USAGE, "--%s: there is no block %d; the model has blocks 0 to %d", w->id, layer,
                       n_layer - 1);
    *out = ul_model_role(w->model, layer, UL_ROLE_DOWN, false);
    return UL_OK;
}

void ul_edit_add(const ul_work *w, ul_weight *weight, const double *delta)
{
    const size_t esize = ul_model_backend(w->model)->k->esize;
    for (int64_t i = 0; i < weight->rows * weight->cols; i++)
        ul_real_put(weight->p, i, esize, ul_real_at(weight->p, i, esize) + delta[i]);
}

/* ---- what a pass shows ------------------------------------------------------------------------------------------ */
typedef struct {
    const ul_facts *f;
    int32_t first, n; /* facts of the batch: documents 2 i (target) and 2 i + 1 (drift), or i when there is no drift */
    int per;          /* documents a fact: 2 or 1 */
    int layer;
    size_t esize;
    int64_t C, F;
    const double *delta; /* [n, C] to add; or NULL */
    double *base;        /* [n, C] what stands there without it; or NULL */
    double *grad;        /* [n, C] of the loss, summed over the fact's documents */
    double *keys;        /* [n, F] */
} glimpse;

static int64_t token_of(const glimpse *g, const ul_batch *b, int32_t i, int part)
{
    return b->doc_start[i * g->per + part] + g->f->at[g->first + i];
}

static ul_status add_delta(void *user, int layer, const ul_batch *b, void *x)
{
    glimpse *g = user;
    (void)layer;
    for (int32_t i = 0; i < g->n; i++)
        for (int part = 0; part < g->per; part++) {
            const int64_t at = token_of(g, b, i, part) * g->C;
            for (int64_t c = 0; c < g->C; c++) {
                const double v = ul_real_at(x, at + c, g->esize);
                if (g->base && part == 0) g->base[i * g->C + c] = v;
                if (g->delta) ul_real_put(x, at + c, g->esize, v + g->delta[i * g->C + c]);
            }
        }
    return UL_OK;
}

static void see(void *user, const ul_weight *w, const ul_batch *b, const void *x, const void *dy)
{
    glimpse *g = user;
    if (!ul_is_edited(w, g->layer)) return;
    for (int32_t i = 0; i < g->n; i++) {
        for (int64_t c = 0; dy && c < g->C; c++) g->grad[i * g->C + c] = 0;
        for (int part = 0; dy && part < g->per; part++)
            for (int64_t c = 0; c < g->C; c++)
                g->grad[i * g->C + c] += ul_real_at(dy, token_of(g, b, i, part) * g->C + c, g->esize);
        for (int64_t k = 0; !dy && k < g->F; k++)
            g->keys[i * g->F + k] = ul_real_at(x, token_of(g, b, i, 0) * g->F + k, g->esize);
    }
}

static ul_status pack(ul_work *w, ul_arena *arena, const glimpse *g, ul_batch **out)
{
    const ul_doc **docs = UL_NEW(arena, const ul_doc *, g->n * g->per);
    UL_NEED(docs);
    for (int32_t i = 0; i < g->n; i++) {
        docs[i * g->per] = &g->f->doc[g->first + i];
        if (g->per == 2) docs[i * 2 + 1] = &g->f->drift[g->first + i];
    }
    return ul_pack_docs(w->ctx, arena, docs, g->n * g->per, false, out);
}

/* ---- values ------------------------------------------------------------------------------------------------------ */
/* Arrays of one search over some facts. */
typedef struct {
    double *logp, *kl, *coef, *kl_coef; /* [n_row] */
    uint8_t *soft;                      /* [n_row] */
    void *before;                       /* [n_row, C] real */
    double *m, *v;                      /* [n, C] of Adam */
    bool *done;                         /* [n] */
} search;

static ul_status search_new(ul_arena *arena, const glimpse *g, const ul_batch *b, double kl, search *s)
{
    const size_t rows = (size_t)b->n_row, n = (size_t)(g->n * g->C);
    *s = (search){.logp = UL_NEW(arena, double, rows),
                  .kl = UL_NEW(arena, double, rows),
                  .coef = UL_NEW(arena, double, rows),
                  .kl_coef = UL_NEW(arena, double, rows),
                  .soft = UL_NEW(arena, uint8_t, rows),
                  .before = ul_alloc(arena, rows, (size_t)g->C * g->esize),
                  .m = UL_NEW(arena, double, n),
                  .v = UL_NEW(arena, double, n),
                  .done = UL_NEW(arena, bool, g->n)};
    if (!s->logp || !s->kl || !s->coef || !s->kl_coef || !s->soft || !s->before || !s->m || !s->v || !s->done)
        return UL_E_RESOURCE;
    for (int32_t d = 0; d < b->n_doc; d++)
        for (int32_t r = b->doc_row[d]; r < b->doc_row[d + 1]; r++) {
            const bool drifts = d % 2 == 1;
            s->soft[r] = drifts ? UL_SOFT_KL : UL_SOFT_NONE;
            s->coef[r] = drifts ? 0 : -1.0 / (b->doc_row[d + 1] - b->doc_row[d]);
            s->kl_coef[r] = drifts ? kl : 0;
        }
    return UL_OK;
}

static double norm(const double *x, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += x[i] * x[i];
    return sqrt(sum);
}

/* The fact's loss without decay, from the scores of its rows. */
static double fact_loss(const search *s, const ul_batch *b, int32_t i)
{
    double loss = 0;
    for (int d = 2 * i; d < 2 * i + 2; d++)
        for (int32_t r = b->doc_row[d]; r < b->doc_row[d + 1]; r++)
            loss += s->coef[r] * s->logp[r] + s->kl_coef[r] * s->kl[r];
    return loss;
}

/* One step of Adam (0.9, 0.999, 1e-8, as torch) on the fact's delta, then back into the ball. */
static void move(const ul_value_search *how, search *s, const glimpse *g, int32_t i, int step, double *delta)
{
    const double h = norm(g->base + i * g->C, g->C), size = norm(delta, g->C);
    const double c1 = 1 - ul_pow(0.9, step + 1), c2 = 1 - ul_pow(0.999, step + 1);
    for (int64_t c = 0; c < g->C; c++) {
        const int64_t at = i * g->C + c;
        double d = g->grad[at];
        if (size > 0 && h > 0) d += how->decay * delta[c] / (size * h * h);
        s->m[at] = 0.9 * s->m[at] + 0.1 * d;
        s->v[at] = 0.999 * s->v[at] + 0.001 * d * d;
        delta[c] -= how->lr * (s->m[at] / c1) / (sqrt(s->v[at] / c2) + 1e-8);
    }
    const double now = norm(delta, g->C), most = how->clamp * h;
    for (int64_t c = 0; now > most && c < g->C; c++) delta[c] *= most / now;
}

static ul_status find_values(ul_work *w, ul_arena *arena, glimpse *g, const ul_value_search *how, double *delta)
{
    ul_batch *b;
    search s;
    UL_TRY(pack(w, arena, g, &b));
    UL_TRY(search_new(arena, g, b, how->kl, &s));
    ul_pass before = {.batch = b, .last = -1, .row_hidden = s.before};
    UL_TRY(ul_model_forward(w->ctx, w->model, &before));
    const ul_hook hook = {.layer = g->layer, .slot = how->slot, .mode = UL_HOOK_ADD, .fn = add_delta, .user = g};
    const ul_observer eye = {.fn = see, .user = g, .when = UL_OBSERVE_INSTEAD};
    g->delta = delta;
    for (int step = 0; step < how->steps; step++) {
        bool open = false;
        ul_pass pass = {.batch = b, .flags = UL_PASS_GRAD, .last = -1, .hook = &hook, .n_hook = 1, .observer = &eye,
                        .score = {.logp = s.logp, .kl = s.kl}, .ref_hidden = s.before, .soft = s.soft, .coef = s.coef,
                        .kl_coef = s.kl_coef};
        UL_TRY(ul_model_forward(w->ctx, w->model, &pass));
        for (int32_t i = 0; i < g->n; i++) {
            const double loss = fact_loss(&s, b, i);
            if (!isfinite(loss))
                return ul_fail(w->ctx, UL_E_CRITERION,
                               "%s: the loss of forget row %lld is not finite in step %d of the search for its value",
                               w->id, (long long)g->f->doc[g->first + i].id + 1, step + 1);
            s.done[i] |= loss < how->stop;
            open |= !s.done[i];
        }
        if (!open) break;
        ul_model_grad_zero(w->model);
        UL_TRY(ul_model_backward(w->ctx, w->model, &pass));
        for (int32_t i = 0; i < g->n; i++)
            if (!s.done[i]) move(how, &s, g, i, step, delta + i * g->C);
    }
    return UL_OK;
}

/* Gradients must reach the block; nothing else is to be kept. */
static ul_status select_block(ul_work *w, int layer)
{
    const char *spec = ul_format(w->arena, "layers %d mlp", layer);
    UL_NEED(spec);
    return ul_model_select(w->ctx, w->model, spec);
}

static glimpse look_at(const ul_work *w, const ul_facts *f, int layer, int32_t first, int per)
{
    const ul_shape *s = ul_model_shape(w->model);
    const int32_t left = f->n - first;
    return (glimpse){.f = f,
                     .first = first,
                     .n = left < FACTS_AT_ONCE ? left : FACTS_AT_ONCE,
                     .per = per,
                     .layer = layer,
                     .esize = ul_model_backend(w->model)->k->esize,
                     .C = s->C,
                     .F = s->F};
}

ul_status ul_facts_values(ul_work *w, const ul_facts *f, int layer, const ul_value_search *how, double *delta)
{
    const int64_t C = ul_model_shape(w->model)->C;
    ul_meter meter;
    ul_arena *arena;
    UL_TRY(select_block(w, layer));
    UL_TRY(ul_arena_new(w->ctx, "values", &arena));
    ul_progress_begin(w->ctx, &meter, "values", "facts", f->n);
    ul_status status = UL_OK;
    memset(delta, 0, (size_t)(f->n * C) * sizeof *delta);
    for (int32_t i = 0; i < f->n && status == UL_OK; i += FACTS_AT_ONCE) {
        glimpse g = look_at(w, f, layer, i, 2);
        ul_arena_reset(arena);
        g.base = UL_NEW(arena, double, g.n * C), g.grad = UL_NEW(arena, double, g.n * C);
        status = g.base && g.grad ? find_values(w, arena, &g, how, delta + i * C) : UL_E_RESOURCE;
        if (f->n > 1) ul_progress_step(&meter, i + g.n, 0, NULL);
        if (status == UL_OK && ul_interrupted(w->ctx))
            status = ul_fail(w->ctx, UL_E_CRITERION, "interrupted after the values of %d of %d facts", (int)(i + g.n),
                             (int)f->n);
    }
    ul_arena_free(arena);
    return status;
}

/* ---- keys, states, covariance ------------------------------------------------------------------------------------ */
ul_status ul_facts_read(ul_work *w, const ul_facts *f, int layer, double *keys, double *hidden)
{
    const ul_shape *s = ul_model_shape(w->model);
    ul_arena *arena;
    UL_TRY(ul_arena_new(w->ctx, "keys", &arena));
    ul_status status = UL_OK;
    for (int32_t i = 0; i < f->n && status == UL_OK; i += FACTS_AT_ONCE) {
        glimpse g = look_at(w, f, layer, i, 1);
        ul_batch *b;
        ul_arena_reset(arena);
        status = pack(w, arena, &g, &b);
        g.keys = keys ? keys + i * s->F : NULL;
        const ul_observer eye = {.fn = see, .user = &g, .when = UL_OBSERVE_FORWARD};
        ul_pass pass = {.batch = b, .flags = UL_PASS_NO_HEAD, .last = layer + 1, .observer = keys ? &eye : NULL};
        if (status == UL_OK) status = ul_model_forward(w->ctx, w->model, &pass);
        const void *h = status == UL_OK && hidden ? ul_model_hidden(w->model, layer + 1) : NULL;
        for (int32_t k = 0; h && k < g.n; k++)
            for (int64_t c = 0; c < s->C; c++)
                hidden[(i + k) * s->C + c] = ul_real_at(h, token_of(&g, b, k, 0) * s->C + c, g.esize);
    }
    ul_arena_free(arena);
    return status;
}

typedef struct {
    int layer;
    int64_t F, n;
    size_t esize;
    double *sum, *row; /* [F, F] lower half, [F] */
} gram;

static void add_keys(void *user, const ul_weight *w, const ul_batch *b, const void *x, const void *dy)
{
    gram *g = user;
    (void)dy;
    if (!ul_is_edited(w, g->layer)) return;
    for (int64_t t = 0; t < b->n_tok; t++) {
        for (int64_t i = 0; i < g->F; i++) g->row[i] = ul_real_at(x, t * g->F + i, g->esize);
        for (int64_t i = 0; i < g->F; i++)
            for (int64_t j = 0; j <= i; j++) g->sum[i * g->F + j] += g->row[i] * g->row[j];
    }
    g->n += b->n_tok;
}

static ul_status sweep(ul_work *w, ul_arena *arena, int layer, int64_t rows, gram *g)
{
    const ul_observer eye = {.fn = add_keys, .user = g, .when = UL_OBSERVE_FORWARD};
    ul_meter meter;
    ul_progress_begin(w->ctx, &meter, "covariance of keys", "rows", rows);
    for (int64_t i = 0, k; i < rows; i = k) {
        int64_t tokens = 0;
        for (k = i; k < rows && (k == i || tokens + w->retain->at[k].n <= SWEEP_TOKENS); k++)
            tokens += w->retain->at[k].n;
        const ul_mark mark = ul_arena_mark(arena);
        const ul_doc **docs = UL_NEW(arena, const ul_doc *, k - i);
        ul_batch *b;
        UL_NEED(docs);
        for (int64_t d = i; d < k; d++) docs[d - i] = &w->retain->at[d];
        UL_TRY(ul_pack_docs(w->ctx, arena, docs, (int32_t)(k - i), false, &b));
        ul_pass pass = {.batch = b, .flags = UL_PASS_NO_HEAD, .last = layer + 1, .observer = &eye};
        UL_TRY(ul_model_forward(w->ctx, w->model, &pass));
        ul_arena_rewind(arena, mark);
        ul_progress_step(&meter, k, tokens, NULL);
        if (ul_interrupted(w->ctx))
            return ul_fail(w->ctx, UL_E_CRITERION, "interrupted after %lld rows of the covariance", (long long)k);
    }
    for (int64_t i = 0; i < g->F; i++)
        for (int64_t j = 0; j <= i; j++)
            g->sum[j * g->F + i] = g->sum[i * g->F + j] = g->sum[i * g->F + j] / (double)g->n;
    return UL_OK;
}

ul_status ul_edit_covariance_path(ul_work *w, int layer, int64_t rows, const char **out)
{
    char model[65], text[65], hex[65];
    ul_digest d;
    const ul_docs docs = {.n = rows, .at = w->retain->at};
    *out = NULL;
    if (!w->cache) return UL_OK;
    UL_TRY(ul_model_digest(w->ctx, w->model, model));
    ul_docs_digest(&docs, text);
    const char *key =
        ul_format(w->arena, "covariance 2 %s %d %s %d", model, layer, text, (int)ul_model_backend(w->model)->precision);
    UL_NEED(key);
    ul_digest_init(&d);
    ul_digest_add(&d, key, strlen(key));
    ul_digest_hex(&d, hex);
    UL_NEED(*out = ul_format(w->arena, "%s/covariance-%.32s.safetensors", w->cache, hex));
    return UL_OK;
}

/* The matrix of the file, if its numbers are those that were written. */
static bool kept(ul_work *w, const char *path, int64_t F, double *out)
{
    ul_tensors *ts;
    const ul_tensor *t;
    char digest[65];
    return ul_tensors_open(w->ctx, w->arena, path, &ts) == UL_OK &&
           ul_tensors_need(w->ctx, ts, "covariance", &t) == UL_OK && ul_tensor_count(t) == F * F &&
           ul_tensors_digest(w->ctx, t, 1, NULL, NULL, digest) == UL_OK &&
           !strcmp(digest, ul_tensors_note(ts, "digest")) && ul_tensor_f64(w->ctx, t, 0, F * F, out) == UL_OK;
}

ul_status ul_edit_covariance(ul_work *w, int layer, int64_t rows, double *out)
{
    const int64_t F = ul_model_shape(w->model)->F;
    const char *path;
    ul_arena *arena;
    if (!w->retain)
        return ul_fail(w->ctx, UL_E_USAGE, "%s needs --retain FILE: the covariance of keys is taken over it", w->id);
    if (rows < 1 || rows > w->retain->n) rows = w->retain->n;
    UL_TRY(ul_edit_covariance_path(w, layer, rows, &path));
    if (path && ul_file_exists(path)) {
        if (kept(w, path, F, out)) return UL_OK;
        ul_note(w->ctx, UL_LOG_WARN, "%s: what was kept there is damaged: it is made again", path);
    }
    memset(out, 0, (size_t)(F * F) * sizeof *out);
    UL_TRY(ul_arena_new(w->ctx, "covariance", &arena));
    gram g = {.layer = layer,
              .F = F,
              .esize = ul_model_backend(w->model)->k->esize,
              .sum = out,
              .row = UL_NEW(arena, double, F)};
    const ul_status s = g.row ? sweep(w, arena, layer, rows, &g) : UL_E_RESOURCE;
    ul_arena_free(arena);
    UL_TRY(s);
    if (!path) return UL_OK;
    UL_TRY(ul_dir_make(w->ctx, w->cache));
    const ul_tensor t = {.name = "covariance",
                         .dtype = UL_DT_F64,
                         .n_dim = 2,
                         .dim = {F, F},
                         .data = out,
                         .bytes = (size_t)(F * F) * sizeof *out};
    char digest[65];
    UL_TRY(ul_tensors_digest(w->ctx, &t, 1, NULL, NULL, digest));
    json_t *note = json_pack("{s:s}", "digest", digest);
    UL_TRY(ul_json_own(w->arena, note));
    return ul_tensors_write(w->ctx, path, &t, 1, note, NULL, NULL);
}

void ul_edit_ridge(const ul_work *w, double *covariance)
{
    const int64_t F = ul_model_shape(w->model)->F;
    double mean = 0;
    for (int64_t i = 0; i < F; i++) mean += covariance[i * F + i] / (double)F;
    for (int64_t i = 0; i < F; i++) covariance[i * F + i] += ul_num(w->args, "ridge") * mean;
}
