/* lat.c - latent adversarial training: the forget gradient is taken under the worst small disturbance of hidden states.
 *
 *   d* = argmax L_f(h + d),  |d_t| <= eps |h_t| at every token of the forget part, behind each of `layers`
 *   g_f <- gradient of the forget part at h + d*;   the retain part is undisturbed
 *
 * Projected gradient ascent from 0: d_t <- P(d_t + (2.5 / steps) eps |h_t| g_t / |g_t|), P onto the ball. Maximising
 * the loss of forgetting brings the knowledge back where a change of the states can, so what is learned must
 * withstand that. Sheshadri et al. 2024, "Latent Adversarial Training Improves Robustness to Persistent Harmful
 * Behaviors in LLMs", arXiv:2407.15549, section 3 (for unlearning: behind block 8 of 32, 16 steps, an l2 ball a
 * token); the step is Madry et al.'s (arXiv:1706.06083). Differences: they ascend with Adam at 0.05 from a random
 * place in a ball of radius 2 (`absolute`, the default); that belongs to the states of 7B models, and in small ones
 * the radius is a hundredth of the state's length. Traps: their code fixes a width of 4096 and swaps the arguments
 * of a divergence. Costs `steps` more passes of the forget part. The losses reported are those under the
 * disturbance. */
#include "wrapper/wrapper.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_LAYERS = 8 };
static const ul_param params[] = {
    {"layers", UL_TEXT, 0, 0, 0, NULL,
     "blocks behind which states are disturbed, from 0, joined with commas; empty: a quarter of the way up (8 of 32), "
     "or the nearest that a gradient reaches",
     ""},
    {"eps", UL_REAL, 2, 0, 1e6, NULL, "radius of the ball; 0: none; in small models 0.01", NULL},
    {"absolute", UL_BOOL, 1, 0, 1, NULL,
     "eps is the radius itself; else, as in small models, a share of the state's length", NULL},
    {"steps", UL_INT, 16, 1, 1000, "steps", "of the ascent", NULL},
    {0}};

/* Tokens of the forget and alternate documents of a step, in the order in which they come. */
typedef struct {
    ul_wrap *w;
    int n_layer, layer[MOST_LAYERS];
    int64_t C, room, used;
    int64_t *first;                               /* [samples, 2] where the document's tokens begin, -1: not seen yet */
    double *d[MOST_LAYERS], *g[MOST_LAYERS];      /* [room, C] */
    double *length[MOST_LAYERS];                  /* [room] of the state, undisturbed */
    bool measures;                                /* no disturbance yet: lengths are taken */
    bool rises;                                   /* gradients are taken                   */
    ul_hook hook[MOST_LAYERS];
} attack;

static int index_of(const attack *a, int layer)
{
    int k = 0;
    while (k < a->n_layer && a->layer[k] != layer) k++;
    return k < a->n_layer ? k : -1;
}

static ul_status read_layers(ul_wrap *w, attack *a)
{
    const int n = ul_model_shape(w->o->model)->n_layer, low = ul_model_lowest(w->o->model);
    const int blocks = ul_method_blocks(w->o->method, w->o->args, w->o->model), run = blocks < 0 ? n : blocks;
    const char *s = ul_txt(w->args, "layers");
    if (!s[0]) a->layer[a->n_layer++] = n / 4 < low ? low : n / 4 < run ? n / 4 : run - 1;
    while (*s) {
        char *end;
        const long l = strtol(s, &end, 10);
        if (end == s || (*end && *end != ',') || (*end && !end[1]) || a->n_layer == MOST_LAYERS)
            return ul_fail(w->ctx, UL_E_USAGE, "--lat.layers \"%s\": up to %d numbers of blocks, joined with commas",
                           ul_txt(w->args, "layers"), (int)MOST_LAYERS);
        if (l < 0 || l >= n)
            return ul_fail(w->ctx, UL_E_USAGE, "--lat.layers: there is no block %ld, the model has %d blocks, 0 to %d",
                           l, n, n - 1);
        if (index_of(a, (int)l) >= 0) return ul_fail(w->ctx, UL_E_USAGE, "--lat.layers: block %ld is named twice", l);
        a->layer[a->n_layer++] = (int)l;
        s = end + (*end == ',');
    }
    for (int k = 0; k < a->n_layer; k++)
        if (a->layer[k] < low || a->layer[k] >= run)
            return ul_fail(w->ctx, UL_E_USAGE,
                           "--lat.layers: block %d is outside of those that a gradient reaches, %d to %d (the lowest "
                           "that moves, the highest that is run)",
                           a->layer[k], low < 0 ? 0 : low, run - 1);
    return UL_OK;
}

/* Where the tokens of document d of the batch lie. */
static int64_t place(attack *a, const ul_batch *b, int32_t d)
{
    int64_t *first = &a->first[2 * (ul_wrap_first_sample(a->w) + b->doc_sample[d]) + (b->doc_side[d] == UL_ALT)];
    const int32_t n = b->doc_start[d + 1] - b->doc_start[d];
    if (*first < 0 && a->used + n <= a->room) *first = a->used, a->used += n;
    return *first;
}

static ul_status disturb(void *user, int layer, const ul_batch *b, void *x)
{
    attack *a = user;
    const int k = index_of(a, layer);
    for (int32_t d = 0; d < b->n_doc; d++) {
        const int64_t first = place(a, b, d), n = b->doc_start[d + 1] - b->doc_start[d];
        if (first < 0)
            return ul_fail(a->w->ctx, UL_E_INTERNAL, "lat has room for %lld tokens, and a step has more",
                           (long long)a->room);
        for (int64_t t = 0; t < n; t++) {
            const int64_t from = (b->doc_start[d] + t) * a->C, to = (first + t) * a->C;
            double square = 0;
            for (int64_t c = 0; c < a->C; c++) {
                const double h = ul_array_at(a->w, x, from + c);
                square += h * h;
                if (!a->measures) ul_array_put(a->w, x, from + c, h + a->d[k][to + c]);
            }
            if (a->measures) a->length[k][first + t] = sqrt(square);
        }
    }
    return UL_OK;
}

/* What comes back to the place of the disturbance. */
static void see(void *user, int layer, const ul_batch *b, void *dx)
{
    attack *a = user;
    const int k = index_of(a, layer);
    for (int32_t d = 0; d < b->n_doc && a->rises; d++) {
        const int64_t first = place(a, b, d) * a->C, from = b->doc_start[d] * a->C;
        const int64_t n = (b->doc_start[d + 1] - b->doc_start[d]) * a->C;
        for (int64_t i = 0; i < n; i++) a->g[k][first + i] = ul_array_at(a->w, dx, from + i);
    }
}

/* Up along the gradient, and back into the ball. */
static void ascend(attack *a, int k)
{
    const double eps = ul_num(a->w->args, "eps"), share = 2.5 / ul_num(a->w->args, "steps");
    const bool absolute = ul_num(a->w->args, "absolute") != 0;
    for (int64_t t = 0; t < a->used; t++) {
        const double radius = absolute ? eps : eps * a->length[k][t];
        double *d = a->d[k] + t * a->C, *g = a->g[k] + t * a->C, gg = 0, dd = 0;
        for (int64_t c = 0; c < a->C; c++) gg += g[c] * g[c];
        if (!(gg > 0)) continue;
        for (int64_t c = 0; c < a->C; c++) {
            d[c] += share * radius / sqrt(gg) * g[c];
            dd += d[c] * d[c];
        }
        for (int64_t c = 0; sqrt(dd) > radius && c < a->C; c++) d[c] *= radius / sqrt(dd);
    }
}

static ul_status begin(ul_wrap *w)
{
    const ul_pairing *p = w->o->pairing;
    attack *a = w->state = UL_NEW(w->arena, attack, 1);
    UL_NEED(a);
    w->off = ul_num(w->args, "eps") == 0;
    *a = (attack){.w = w, .C = ul_model_shape(w->o->model)->C};
    UL_TRY(read_layers(w, a));
    if (w->off) return UL_OK;
    if (!p || w->o->hook || w->o->observer)
        return ul_fail(w->ctx, UL_E_INTERNAL,
                       "lat disturbs the passes of a run over pairs, without other hooks, and this run is another");
    int32_t longest = p->forget->longest, alt = p->alt ? p->alt->longest : 0;
    if (p->retain && p->retain->longest > longest) longest = p->retain->longest;
    for (int64_t i = 0; i < p->forget->n; i++)
        if (p->forget->at[i].n > longest) longest = p->forget->at[i].n;
    for (int64_t i = 0; p->alt && i < p->alt->n; i++)
        if (p->alt->at[i].n > alt) alt = p->alt->at[i].n;
    a->room = (int64_t)ul_wrap_samples(w) * (longest + alt + 1);
    UL_NEED(a->first = UL_NEW(w->arena, int64_t, 2 * ul_wrap_samples(w)));
    for (int k = 0; k < a->n_layer; k++) {
        UL_NEED(a->d[k] = UL_NEW(w->arena, double, a->room * a->C));
        UL_NEED(a->g[k] = UL_NEW(w->arena, double, a->room * a->C));
        UL_NEED(a->length[k] = UL_NEW(w->arena, double, a->room));
        a->hook[k] = (ul_hook){a->layer[k], UL_SLOT_OUT, UL_HOOK_ADD, disturb, a, see};
    }
    return UL_OK;
}

static ul_status find(ul_wrap *w, attack *a)
{
    static const ul_observer blind = {.when = UL_OBSERVE_INSTEAD}; /* no gradients of weights */
    const int steps = (int)ul_num(w->args, "steps");
    a->used = 0;
    for (int32_t i = 0; i < 2 * ul_wrap_samples(w); i++) a->first[i] = -1;
    ul_wrap_passes(w, a->hook, a->n_layer, &blind);
    a->rises = true;
    for (int s = 0; s < steps; s++) {
        ul_step_result unused = {0};
        a->measures = s == 0;
        for (int k = 0; k < a->n_layer; k++) {
            memset(a->g[k], 0, (size_t)(a->room * a->C) * sizeof(double));
            if (s == 0) memset(a->d[k], 0, (size_t)(a->room * a->C) * sizeof(double));
        }
        UL_TRY(ul_wrap_gradient(w, w->step, ul_wrap_sides(w, false), &unused));
        for (int k = 0; k < a->n_layer; k++) ascend(a, k);
    }
    a->measures = a->rises = false;
    ul_model_grad_zero(w->o->model);
    return UL_OK;
}

static ul_status part(ul_wrap *w, ul_step_result *r)
{
    attack *a = w->state;
    ul_status s = find(w, a);
    ul_wrap_passes(w, a->hook, a->n_layer, NULL);
    if (s == UL_OK) s = ul_wrap_gradient(w, w->step, ul_wrap_sides(w, false), r);
    ul_wrap_passes(w, NULL, 0, NULL);
    return s == UL_OK ? s : ul_fail_in(w->ctx, s, "with hidden states that lat disturbed (--lat.eps)");
}

const ul_wrapper ul_wrapper_lat = {
    .title = "Latent adversarial training",
    .paper = "arXiv:2407.15549",
    .note = "Takes the forget gradient under the worst small disturbance of hidden states. As many more passes as it "
            "has steps.",
    .params = params,
    .small = UL_VALUES(".eps", "0.01", ".absolute", "false"),
    .begin = begin,
    .part = part,
};
