/* replay_model.h - what the replays of models share: a recorded batch as documents, comparison at a tolerance. */
#ifndef UL_REPLAY_MODEL_H
#define UL_REPLAY_MODEL_H
#include "model/model.h"
#include "replay.h"
#include <math.h>

/* The worst comparison so far: over 1 is a failure. */
typedef struct {
    double worst;
    char name[160];
    int64_t compared;
} ul_worst;

static inline void ul_worst_add(ul_worst *w, const char *name, double have, double want, double allowed)
{
    const double d = fabs(have - want) / allowed;
    w->compared++;
    if (d <= w->worst) return;
    w->worst = isnan(d) ? INFINITY : d;
    snprintf(w->name, sizeof w->name, "%s (%.9g, golden %.9g)", name, have, want);
}

/* The tolerance whose name is the longest beginning of `name`. */
static inline void ul_tolerance(json_t *golden, const char *name, double *rel, double *abs)
{
    const char *key;
    json_t *value;
    size_t best = 0;
    *rel = *abs = 0;
    json_object_foreach(json_object_get(golden, "tolerance"), key, value) {
        const size_t n = strlen(key);
        if (n < best || strncmp(name, key, n) != 0 || (name[n] && name[n] != '.')) continue;
        best = n;
        *rel = json_number_value(json_object_get(value, "rel"));
        *abs = json_number_value(json_object_get(value, "abs"));
    }
}

/* A recorded batch [B, T], packed; every token is a row. Documents end at their last unmasked token, masked ones within
 * are hidden as keys and not compared. */
typedef struct {
    ul_batch batch;
    int64_t B, T;
    int64_t *place; /* [n_tok] in [B, T] */
    uint8_t *seen;  /* [n_tok] unmasked */
    int32_t *label;
    int64_t n_label;
} ul_recorded;

static inline ul_status ul_recorded_read(ul_ctx *ctx, ul_arena *a, const ul_tensors *ts, ul_recorded *r)
{
    const ul_tensor *ids, *mask, *labels;
    UL_TRY(ul_tensors_need(ctx, ts, "input_ids", &ids));
    UL_TRY(ul_tensors_need(ctx, ts, "input_ids.attention_mask", &mask));
    UL_TRY(ul_tensors_need(ctx, ts, "input_ids.labels", &labels));
    const int64_t B = ids->dim[0], T = ids->dim[1], n = B * T;
    int64_t *id = UL_NEW(a, int64_t, n), *ma = UL_NEW(a, int64_t, n), *la = UL_NEW(a, int64_t, n);
    int32_t *token = UL_NEW(a, int32_t, n), *pos = UL_NEW(a, int32_t, n), *row = UL_NEW(a, int32_t, n);
    int32_t *start = UL_NEW(a, int32_t, B + 1), *sample = UL_NEW(a, int32_t, B);
    uint8_t *hidden = UL_NEW(a, uint8_t, n), *side = UL_NEW(a, uint8_t, B);
    *r = (ul_recorded){
        .B = B, .T = T, .place = UL_NEW(a, int64_t, n), .seen = UL_NEW(a, uint8_t, n), .label = UL_NEW(a, int32_t, n)};
    UL_NEED(id && ma && la && token && pos && row && start && sample && hidden && side && r->place && r->seen &&
            r->label);
    UL_TRY(ul_tensor_i64(ctx, ids, 0, n, id));
    UL_TRY(ul_tensor_i64(ctx, mask, 0, n, ma));
    UL_TRY(ul_tensor_i64(ctx, labels, 0, n, la));
    int32_t k = 0, longest = 0, any_hidden = 0;
    for (int64_t b = 0; b < B; b++) {
        int64_t len = T;
        while (len && !ma[b * T + len - 1]) len--;
        start[b] = k, sample[b] = (int32_t)b;
        for (int64_t t = 0; t < len; t++, k++) {
            const int64_t p = b * T + t;
            token[k] = (int32_t)id[p], pos[k] = (int32_t)t, row[k] = k, r->place[k] = p;
            r->seen[k] = ma[p] != 0, hidden[k] = !ma[p], any_hidden |= !ma[p];
            r->label[k] = t + 1 < len && la[p + 1] >= 0 ? (int32_t)la[p + 1] : -1;
            r->n_label += r->label[k] >= 0;
        }
        if (len > longest) longest = (int32_t)len;
    }
    start[B] = k;
    r->batch = (ul_batch){.n_tok = k,
                          .n_doc = (int32_t)B,
                          .n_sample = (int32_t)B,
                          .n_row = k,
                          .longest = longest,
                          .token = token,
                          .pos = pos,
                          .doc_start = start,
                          .sample_start = start,
                          .hidden = any_hidden ? hidden : NULL,
                          .row = row,
                          .label = r->label,
                          .doc_side = side,
                          .doc_sample = sample,
                          .doc_row = start};
    return UL_OK;
}

/* Our [n_tok, width] reals against a recorded [B, T, width]. abs, rel: allowed = abs + rel |golden|. */
static inline ul_status ul_compare_tokens(ul_ctx *ctx, ul_arena *a, const ul_recorded *r, const ul_tensors *ts,
                                          const char *name, const void *have, size_t esize, double rel, double abs,
                                          ul_worst *w)
{
    const ul_tensor *t;
    UL_TRY(ul_tensors_need(ctx, ts, name, &t));
    const int64_t width = t->dim[t->n_dim - 1], n = ul_tensor_count(t);
    double *want = UL_NEW(a, double, n);
    UL_NEED(want);
    UL_TRY(ul_tensor_f64(ctx, t, 0, n, want));
    for (int64_t k = 0; k < r->batch.n_tok; k++)
        for (int64_t j = 0; j < width && r->seen[k]; j++) {
            const double x = want[r->place[k] * width + j];
            const double y =
                esize == 8 ? ((const double *)have)[k * width + j] : (double)((const float *)have)[k * width + j];
            ul_worst_add(w, name, y, x, abs + rel * fabs(x));
        }
    return UL_OK;
}

/* A recorded tensor against the model's weight or gradient of that name. of_largest > 0: allowed is that share of the
 * tensor's largest entry, but at least `abs`. */
static inline ul_status ul_compare_weight(ul_ctx *ctx, ul_arena *a, ul_model *m, const ul_tensor *t, const char *name,
                                          bool gradient, double rel, double abs, double of_largest, ul_worst *w)
{
    const int64_t n = ul_tensor_count(t);
    double *want = UL_NEW(a, double, n), *have = UL_NEW(a, double, n), most = 0;
    UL_NEED(want && have);
    UL_TRY(ul_tensor_f64(ctx, t, 0, n, want));
    UL_TRY(ul_model_tensor(ctx, m, name, gradient, n, have));
    for (int64_t i = 0; i < n; i++) most = fmax(most, fabs(want[i]));
    for (int64_t i = 0; i < n; i++)
        ul_worst_add(w, t->name, have[i], want[i],
                     of_largest > 0 ? fmax(of_largest * most, abs) : abs + rel * fabs(want[i]));
    return UL_OK;
}

/* Loss (mean over the labelled tokens) and all gradients of the model as it is. */
static inline ul_status ul_loss_and_gradients(ul_ctx *ctx, ul_arena *a, ul_model *m, const ul_recorded *r, double *loss)
{
    const int32_t n = r->batch.n_row;
    double *logp = UL_NEW(a, double, n), *coef = UL_NEW(a, double, n);
    UL_NEED(logp && coef);
    ul_pass pass = {.batch = &r->batch, .flags = UL_PASS_GRAD, .last = -1, .score = {.logp = logp}, .coef = coef};
    ul_model_grad_zero(m);
    UL_TRY(ul_model_forward(ctx, m, &pass));
    *loss = 0;
    for (int32_t i = 0; i < n; i++) {
        if (r->label[i] < 0) continue;
        *loss -= logp[i] / (double)r->n_label;
        coef[i] = -1.0 / (double)r->n_label;
    }
    UL_TRY(ul_model_backward(ctx, m, &pass));
    ul_model_grad_ready(m);
    return UL_OK;
}

/* "unsupported" in the message of a failed open: the record is skipped. */
static inline int ul_replay_failed(ul_ctx *ctx, char *message, size_t size)
{
    snprintf(message, size, "%s", ul_error_text(ctx));
    return strstr(message, "unsupported") ? 2 : 1;
}
#endif
