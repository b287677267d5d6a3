/* state.c - losses of hidden states: which blocks and weights they need, the distance of every scored token's states to
 * their targets, and its gradient. Distances are taken in double, token by token in their order.
 *
 *   square   |h - t|^2 / C       d/dh = 2 (h - t) / C
 *   norm     |h - t|             (h - t) / |h - t|, 0 where h = t
 *   cosine   1 - cos(h, t)       -(t / |t| - cos h / |h|) / |h|
 *   aligned  max(0, cos(h, t))   the opposite where it is positive, else 0
 *   along    max(0, h . t) / |t|^2   t / |t|^2 where it is positive, else 0
 *   mmd      see mmd.c
 *
 * Targets: steer * u / |u|, u uniform in [0, 1)^C (Li et al. 2024, WMDP, arXiv:2403.03218); the reference's state,
 * perhaps a little off it along u, for losses that are flat there; or that
 * moved along the difference of two means (Shen et al. 2025, LUNAR, arXiv:2502.07218). */
#include "train/train_impl.h"
#include <math.h>
#include <string.h>

/* ---- what a method looks at -------------------------------------------------------------------------------------- */
ul_state ul_method_state(const ul_method *m, const ul_args *args, int side, const ul_model *model)
{
    const int n = ul_model_shape(model)->n_layer;
    ul_state s = {0};
    if (!m || !m->state) return s;
    s = m->state(args, (ul_side_id)side, n);
    if (side == UL_ALT && s.distance == UL_DISTANCE_NONE) {
        s = m->state(args, UL_FORGET, n);
        s.distance = UL_DISTANCE_NONE;
    }
    if (s.last >= n) s.last = n - 1;
    if (s.first > s.last) s.first = s.last;
    if (s.first < 0) s.first = 0;
    if (s.step < 1) s.step = 1;
    s.last = s.first + (s.last - s.first) / s.step * s.step;
    return s;
}

int ul_state_blocks(const ul_state *s)
{
    return (s->last - s->first) / s->step + 1;
}

static int last_block(const ul_method *m, const ul_args *args, const ul_model *model)
{
    int last = -1;
    for (int side = 0; m && m->state && side < UL_N_SIDE; side++) {
        const ul_state s = ul_method_state(m, args, side, model);
        if (s.distance != UL_DISTANCE_NONE && s.last > last) last = s.last;
    }
    return last;
}

int ul_method_blocks(const ul_method *m, const ul_args *args, const ul_model *model)
{
    const int last = last_block(m, args, model);
    return last < 0 || ul_method_needs(m, args) & UL_NEED_STATE_AND_HEAD ? -1 : last + 1;
}

unsigned ul_method_sides(const ul_method *m, const ul_args *args, const ul_model *model)
{
    const unsigned needs = ul_method_needs(m, args);
    unsigned sides = needs & UL_NEED_NO_FORGET_LOSS ? 0 : UL_SIDE_BIT_FORGET;
    const bool looked = ul_method_state(m, args, UL_ALT, model).distance != UL_DISTANCE_NONE;
    if (needs & UL_NEED_ALT && (looked || ul_method_blocks(m, args, model) < 0)) sides |= UL_SIDE_BIT_ALT;
    if (needs & UL_NEED_RETAIN) sides |= UL_SIDE_BIT_RETAIN;
    return sides;
}

const char *ul_method_train(ul_arena *arena, const ul_method *m, const ul_args *args, ul_model *model)
{
    const bool few = ul_model_shape(model)->n_layer < UL_FEW_BLOCKS && ul_recipe_small(ul_model_parameters(model));
    const int last = last_block(m, args, model), n = !m || (few && m->trains_down > 1) ? 0 : m->trains_down;
    if (last < 0 || (!n && ul_method_blocks(m, args, model) < 0)) return "all";
    if (!n) return ul_format(arena, few ? "embedding,layers 0-%d" : "layers 0-%d", last);
    return ul_format(arena, "layers %d-%d %s", last < n ? 0 : last - n + 1, last,
                     ul_weight_path(ul_model_role(model, last, UL_ROLE_DOWN, false)));
}

/* ---- rows -------------------------------------------------------------------------------------------------------- */
void ul_state_read(const ul_backend *be, const void *rows, int64_t i, int32_t C, double *out)
{
    for (int32_t c = 0; c < C; c++)
        out[c] = be->k->esize == sizeof(double) ? ((const double *)rows)[i * C + c]
                                                : (double)((const float *)rows)[i * C + c];
}

static void write_row(const ul_backend *be, const double *x, void *rows, int64_t i, int32_t C)
{
    for (int32_t c = 0; c < C; c++)
        if (be->k->esize == sizeof(double)) ((double *)rows)[i * C + c] = x[c];
        else ((float *)rows)[i * C + c] = (float)x[c];
}

/* [n_tok, C] what is looked at of block l, in the last pass. */
static const void *states_at(const ul_model *m, const ul_state *s, const ul_tap *tap, int l)
{
    return s->mlp && tap ? (const void *)tap[l].x : ul_model_hidden(m, l + 1);
}

void ul_state_copy(const ul_model *m, const ul_state *s, const ul_tap *tap, const ul_batch *b, int32_t d, void *out)
{
    const size_t row = (size_t)ul_model_shape(m)->C * ul_model_backend(m)->k->esize;
    const int n = ul_state_blocks(s);
    for (int k = 0; k < n; k++) {
        const char *h = states_at(m, s, tap, s->first + k * s->step);
        for (int32_t i = b->doc_row[d]; i < b->doc_row[d + 1]; i++)
            memcpy((char *)out + (size_t)((i - b->doc_row[d]) * n + k) * row, h + (size_t)(b->row[i] + 1) * row, row);
    }
}

/* ---- targets ----------------------------------------------------------------------------------------------------- */
static void control(ul_trainer *t, double steer)
{
    const int32_t C = ul_model_shape(t->o.model)->C;
    double norm = 0;
    for (int32_t i = 0; i < C; i++) {
        t->control[i] = ul_rng_uniform(t->recipe.seed, UL_STREAM_CONTROL, 0, (uint64_t)i);
        norm += t->control[i] * t->control[i];
    }
    for (int32_t i = 0; i < C; i++) t->control[i] *= steer / sqrt(norm);
}

/* Mean length of the states of step 0's forget documents; the model has not moved yet. */
static ul_status mean_length(ul_trainer *t, const ul_state *s, double *out)
{
    ul_model *m = t->o.reference ? t->o.reference : t->o.model;
    const int32_t C = ul_model_shape(m)->C;
    ul_sample *samples;
    double sum = 0, n = 0, *x = UL_NEW(t->arena, double, C);
    UL_NEED(x);
    UL_TRY(ul_trainer_draw(t, 0, &samples));
    for (int32_t i = 0; i < t->recipe.batch; i++) {
        ul_batch *b;
        UL_TRY(ul_pack(t->ctx, t->step, &samples[i * t->n_alt], 1, UL_SIDE_BIT_FORGET, 0, &b));
        ul_pass pass = {.batch = b, .flags = UL_PASS_NO_HEAD | UL_PASS_STATES | UL_PASS_BASE, .last = s->last + 1};
        UL_TRY(ul_model_forward(t->ctx, m, &pass));
        for (int l = s->first; l <= s->last; l += s->step)
            for (int32_t r = 0; r < b->n_row; r++) {
                double norm = 0;
                ul_state_read(t->be, ul_model_hidden(m, l + 1), b->row[r] + 1, C, x);
                for (int32_t c = 0; c < C; c++) norm += x[c] * x[c];
                sum += sqrt(norm), n += 1;
            }
    }
    ul_arena_reset(t->step);
    *out = n > 0 ? sum / n : 0;
    return UL_OK;
}

/* out[k][c] += weight * mean over all rows of the cache. */
static void add_mean(const ul_trainer *t, const ul_reference *ref, int64_t n_doc, int32_t width, double weight,
                     double *x, double *sum, double *out)
{
    double n = 0;
    memset(sum, 0, (size_t)width * sizeof *sum);
    for (int64_t d = 0; d < n_doc; d++)
        for (int32_t i = 0; i < ul_reference_rows(ref, d); i++, n += 1) {
            ul_state_read(t->be, ul_reference_hidden(ref, d), i, width, x);
            for (int32_t c = 0; c < width; c++) sum[c] += x[c];
        }
    for (int32_t c = 0; c < width && n > 0; c++) out[c] += weight * sum[c] / n;
}

static ul_status moved(ul_trainer *t, const ul_state *s)
{
    const int32_t width = ul_state_blocks(s) * ul_model_shape(t->o.model)->C;
    const ul_reference *forget = t->o.ref[UL_FORGET], *alt = t->o.ref[UL_ALT];
    double *x = UL_NEW(t->arena, double, width), *sum = UL_NEW(t->arena, double, width);
    if (!x || !sum) return UL_E_RESOURCE;
    if (!forget || !alt) return UL_OK; /* a plan of memory has none; ul_state_look would complain */
    UL_NEED(t->moved = UL_NEW(t->arena, double, width));
    add_mean(t, alt, ul_reference_docs(alt), width, s->steer, x, sum, t->moved);
    add_mean(t, forget, ul_reference_docs(forget), width, -s->steer, x, sum, t->moved);
    return UL_OK;
}

ul_status ul_state_begin(ul_trainer *t)
{
    const int32_t C = ul_model_shape(t->o.model)->C;
    for (int side = 0; side < UL_N_SIDE; side++) {
        const ul_state *s = &t->look[side];
        double length = 1;
        if (s->distance == UL_DISTANCE_NONE || s->distance == UL_DISTANCE_MMD) continue;
        if (s->target == UL_TARGET_MOVED) UL_TRY(moved(t, s));
        if (s->target == UL_TARGET_MOVED || (s->target == UL_TARGET_REFERENCE && s->steer == 0)) continue;
        UL_NEED(t->control = UL_NEW(t->arena, double, C));
        if (s->target == UL_TARGET_REFERENCE) {
            control(t, 1);
            continue;
        }
        if (s->by_norm) UL_TRY(mean_length(t, s, &length));
        control(t, s->steer * length);
        if (t->o.control) memcpy(t->control, t->o.control, (size_t)C * sizeof *t->control);
    }
    return UL_OK;
}

/* ---- distances --------------------------------------------------------------------------------------------------- */
/* Of one state to its target; g, or NULL: w times its gradient. */
static double distance(ul_distance kind, int32_t C, const double *h, const double *y, double w, double *g)
{
    double square = 0, hh = 0, yy = 0, hy = 0;
    for (int32_t c = 0; c < C; c++) {
        square += (h[c] - y[c]) * (h[c] - y[c]);
        hh += h[c] * h[c], yy += y[c] * y[c], hy += h[c] * y[c];
    }
    if (kind == UL_DISTANCE_ALONG) {
        const bool on = yy > 0 && hy > 0;
        for (int32_t c = 0; g && c < C; c++) g[c] = on ? w * y[c] / yy : 0;
        return on ? hy / yy : 0;
    }
    if (kind == UL_DISTANCE_SQUARE || kind == UL_DISTANCE_NORM || kind == UL_DISTANCE_SHARE) {
        const double length = sqrt(square), of = kind != UL_DISTANCE_SHARE ? 1 : yy > 0 ? sqrt(yy) : INFINITY;
        const double f = kind == UL_DISTANCE_SQUARE ? 2 * w / C : length > 0 ? w / length / of : 0;
        for (int32_t c = 0; g && c < C; c++) g[c] = f * (h[c] - y[c]);
        return kind == UL_DISTANCE_SQUARE ? square / C : length / of;
    }
    const double norm = sqrt(hh) * sqrt(yy), cos = norm > 0 ? hy / norm : 0; /* a state of length 0 points nowhere */
    const bool on = norm > 0 && (kind == UL_DISTANCE_COSINE || cos > 0);
    const double f = !on ? 0 : kind == UL_DISTANCE_COSINE ? -w : w;
    for (int32_t c = 0; g && c < C; c++) g[c] = on ? f * (y[c] / norm - cos * h[c] / hh) : 0;
    return kind == UL_DISTANCE_COSINE ? 1 - cos : cos > 0 ? cos : 0;
}

static void target(const ul_trainer *t, const ul_state *s, const void *ref, int64_t i, int k, int32_t C, double *y)
{
    if (s->target == UL_TARGET_CONTROL) {
        memcpy(y, t->control, (size_t)C * sizeof *y);
        return;
    }
    ul_state_read(t->be, ref, i * ul_state_blocks(s) + k, C, y);
    for (int32_t c = 0; s->target == UL_TARGET_MOVED && c < C; c++) y[c] += t->moved[k * C + c];
    if (s->target == UL_TARGET_MOVED || s->steer == 0) return;
    double length = 0;
    for (int32_t c = 0; c < C; c++) length += y[c] * y[c];
    for (int32_t c = 0; c < C; c++) y[c] += s->steer * sqrt(length) * t->control[c];
}

/* Rows of one document at one of its blocks. x, y, g: [C], for mmd [UL_MMD_TOKENS, C]. */
typedef struct {
    int64_t step, id;
    double *x, *y, *g;
} scratch;

static void discrepancy(const ul_trainer *t, const ul_batch *b, int32_t d, int l, scratch *z, double share,
                        const double *ddist, double *dist, void *dx)
{
    const int32_t C = ul_model_shape(t->o.model)->C, first = b->doc_row[d], n = b->doc_row[d + 1] - first;
    const int32_t m = n < UL_MMD_TOKENS ? n : UL_MMD_TOKENS;
    double w[UL_MMD_TOKENS], part[UL_MMD_TOKENS];
    int32_t at[UL_MMD_TOKENS]; /* tokens spread over the document stand for all */
    for (int32_t k = 0; k < m; k++) {
        at[k] = first + (int32_t)((2 * (int64_t)k + 1) * n / (2 * (int64_t)m));
        ul_state_read(t->be, ul_model_hidden(t->o.model, l + 1), b->row[at[k]] + 1, C, z->x + (int64_t)k * C);
        const uint64_t from = (((uint64_t)z->id << 10) + (uint64_t)l) << 24;
        for (int64_t c = (int64_t)k * C; c < ((int64_t)k + 1) * C; c++)
            z->y[c] = ul_rng_normal(t->recipe.seed, UL_STREAM_STATE, (uint64_t)z->step, from + (uint64_t)c);
        if (ddist) w[k] = ddist[at[k]] * share * n / m;
    }
    ul_mmd(m, C, z->x, z->y, ddist ? w : NULL, part, z->g);
    for (int32_t k = 0; k < m; k++)
        if (ddist) write_row(t->be, z->g + (int64_t)k * C, dx, at[k], C);
        else dist[at[k]] += share * n / m * part[k];
}

ul_status ul_state_look(ul_trainer *t, const ul_batch *b, const ul_sample *samples, int64_t step,
                        const void *const *doc_ref, const double *ddist, double *dist, void **const dx[2])
{
    const int32_t C = ul_model_shape(t->o.model)->C;
    const int64_t most = (int64_t)UL_MMD_TOKENS * C;
    scratch z = {step, 0, UL_NEW(t->step, double, most), UL_NEW(t->step, double, most), UL_NEW(t->step, double, most)};
    if (!z.x || !z.y || !z.g) return UL_E_RESOURCE;
    for (int32_t d = 0; d < b->n_doc; d++) {
        const ul_state *s = &t->look[b->doc_side[d]];
        const int n = ul_state_blocks(s);
        if (s->distance != UL_DISTANCE_NONE && s->target == UL_TARGET_MOVED && !t->moved)
            return ul_fail(t->ctx, UL_E_INTERNAL, "means of hidden states are taken from caches, and there are none");
        z.id = samples[b->doc_sample[d]].doc[b->doc_side[d]]->id;
        for (int k = 0; k < n && s->distance != UL_DISTANCE_NONE; k++) {
            const int l = s->first + k * s->step;
            const void *h = states_at(t->o.model, s, t->tap, l);
            if (s->distance == UL_DISTANCE_MMD) {
                discrepancy(t, b, d, l, &z, 1.0 / n, ddist, dist, dx ? dx[0][l] : NULL);
                continue;
            }
            for (int32_t i = b->doc_row[d]; i < b->doc_row[d + 1]; i++) {
                ul_state_read(t->be, h, b->row[i] + 1, C, z.x);
                target(t, s, doc_ref[d], i - b->doc_row[d], k, C, z.y);
                const double x = distance(s->distance, C, z.x, z.y, ddist ? ddist[i] / n : 0, ddist ? z.g : NULL);
                if (ddist) write_row(t->be, z.g, dx[s->mlp][l], i, C);
                else dist[i] += x / n;
            }
        }
    }
    return UL_OK;
}

/* Does any side look at block l: at its mlp's part, or at the states behind it? */
static bool looks(const ul_trainer *t, bool mlp, int l)
{
    for (int side = 0; side < UL_N_SIDE; side++) {
        const ul_state *s = &t->look[side];
        if (s->distance != UL_DISTANCE_NONE && s->mlp == mlp && l >= s->first && l <= s->last &&
            (l - s->first) % s->step == 0)
            return true;
    }
    return false;
}

/* The gradients that enter at the blocks looked at. */
ul_status ul_state_seeds(ul_trainer *t, const ul_batch *b, const ul_sample *samples, int64_t step,
                         const void *const *doc_ref, const double *ddist, ul_seed **seed, int *n_seed)
{
    const ul_shape *shape = ul_model_shape(t->o.model);
    const size_t n = (size_t)b->n_row * (size_t)shape->C;
    void **const dx[2] = {UL_NEW(t->step, void *, shape->n_layer), UL_NEW(t->step, void *, shape->n_layer)};
    int32_t *row = UL_NEW(t->step, int32_t, b->n_row);
    UL_NEED(*seed = UL_NEW(t->step, ul_seed, 2 * shape->n_layer)); /* with room for those of the lens */
    if (!dx[0] || !dx[1] || !row) return UL_E_RESOURCE;
    *n_seed = 0;
    for (int32_t i = 0; i < b->n_row; i++) row[i] = b->row[i] + 1;
    for (int l = 0; l < shape->n_layer; l++) {
        if (looks(t, false, l)) {
            UL_NEED(dx[0][l] = ul_alloc(t->step, n, t->be->k->esize));
            (*seed)[(*n_seed)++] = (ul_seed){l + 1, dx[0][l], row, b->n_row};
        }
        if (looks(t, true, l)) {
            UL_NEED(dx[1][l] = ul_alloc(t->step, n, t->be->k->esize));
            t->tap[l].dx = dx[1][l], t->tap[l].row = row, t->tap[l].n_row = b->n_row;
        }
    }
    return ul_state_look(t, b, samples, step, doc_ref, ddist, NULL, dx);
}
