/* caches.c - which caches a run reads: numbers of the reference, and the states below the lowest block that moves.
 *
 * The lowest blocks of a run that trains only higher ones give each document the same state at every visit. Kept, a
 * step runs only the blocks that move and those above them (rmu at layer l: three blocks). The bits are those of the
 * whole pass. */
#include "train/train_impl.h"
#include <string.h>

/* A side's states, at most: beyond that the disk costs more than the blocks. */
static const int64_t prefix_bytes = (int64_t)4 << 30;

static bool adapted_below(ul_model *m, int block)
{
    ul_weight *w;
    for (int i = ul_model_weights(m, &w); i-- > 0;)
        if (w[i].layer < block && (w[i].r || w[i].base)) return true;
    return false;
}

/* Blocks that every document's prefix would hold; 0: none is worth it. */
static int prefix_blocks(const ul_trainer_options *o, const ul_docs *const docs[UL_N_SIDE], int64_t draws)
{
    const ul_shape *s = ul_model_shape(o->model);
    const int64_t row = s->C * (int64_t)ul_model_backend(o->model)->k->esize;
    const int run = ul_method_blocks(o->method, o->args, o->model), last = run < 0 ? s->n_layer : run;
    int low = ul_model_lowest(o->model);
    if (low > last) low = last;
    for (int i = 0; i < o->n_wrap; i++)
        if (o->wrap[i].wrapper->sample) return 0; /* it deals documents of one side to another */
    if (low < 1 || o->recipe->match_peer || adapted_below(o->model, low)) return 0;
    const unsigned sides = ul_method_sides(o->method, o->args, o->model);
    for (int side = 0; side < UL_N_SIDE; side++)
        if (sides >> side & 1u && (!docs[side] || draws < docs[side]->n || docs[side]->n_tok > prefix_bytes / row))
            return 0;
    for (int side = 0; side < UL_N_SIDE; side++) {
        const ul_state look = ul_method_state(o->method, o->args, side, o->model);
        if (look.mlp && look.distance != UL_DISTANCE_NONE && look.first < low) low = look.first;
    }
    return low;
}

/* The forget documents as the method wants the reference to read them. */
static ul_status readings(ul_ctx *ctx, ul_arena *arena, const ul_trainer_options *o, const ul_docs *docs,
                          ul_reading *reading, const ul_docs **read, int *n)
{
    *n = o->method->readings(o->args, reading);
    for (int k = 0; k < *n; k++) {
        const int32_t *token;
        int32_t n_token;
        ul_docs *behind;
        read[k] = docs;
        if (!reading[k].behind || !reading[k].behind[0]) continue;
        if (!o->encode)
            return ul_fail(ctx, UL_E_INTERNAL,
                           "the method reads documents behind a text, and there is nothing to encode it");
        UL_TRY(o->encode(o->encode_user, arena, reading[k].behind, &token, &n_token));
        UL_TRY(ul_docs_behind(arena, docs, token, n_token, o->bos, &behind));
        read[k] = behind;
    }
    return UL_OK;
}

/* Made, or asked for where there is a plan. */
typedef struct {
    ul_ctx *ctx;
    ul_arena *arena;
    const char *dir, *digest;
    const ul_docs *const *docs;
    ul_trainer_options *o;
    ul_cache_plan *plan;
} store;

static ul_status get(store *s, int side, const char *name, const ul_reference_what *what, ul_reference **out)
{
    ul_cache_item *ask = NULL;
    if (s->plan) *(ask = &s->plan->at[s->plan->n++]) = (ul_cache_item){.what = name, .side = side};
    return ul_reference_get(s->ctx, s->arena, s->o->model, s->dir, s->digest, s->docs[side], what, ask, out);
}

static ul_status rivals(store *s, int side, ul_reference **ref)
{
    const char *what = "runner-up labels of the reference";
    const ul_docs *docs = s->docs[side], *of[UL_N_SIDE];
    const int32_t n_ctx = ul_model_shape(s->o->model)->n_ctx;
    store late = *s;
    ul_docs *longer;
    if (!(ul_method_needs(s->o->method, s->o->args) & UL_NEED_RIVALS_LATE))
        return get(s, side, what, &(ul_reference_what){.rivals = true}, ref);
    for (int64_t i = 0; i < docs->n; i++)
        if (docs->at[i].n >= n_ctx)
            return ul_fail(s->ctx, UL_E_USAGE,
                           "late labels read one place behind document %lld, whose %d tokens fill the model's context: "
                           "take --max-length %d", (long long)docs->at[i].id, (int)docs->at[i].n, (int)n_ctx - 1);
    UL_TRY(ul_docs_late(s->arena, docs, &longer));
    memcpy(of, s->docs, sizeof of);
    of[side] = longer, late.docs = of;
    return get(&late, side, what, &(ul_reference_what){.rivals = true}, ref);
}

static ul_status side_caches(store *s, int side, int blocks)
{
    const ul_method *m = s->o->method;
    const ul_ref_kind kind = ul_reference_kind(ul_method_needs(m, s->o->args), side);
    ul_reference *prefix = NULL, *ref = NULL;
    ul_reading reading[UL_READINGS];
    const ul_docs *read[UL_READINGS];
    if (ul_method_sides(m, s->o->args, s->o->model) >> side & 1u && blocks)
        UL_TRY(
            get(s, side, "states below the lowest block that moves", &(ul_reference_what){.prefix = blocks}, &prefix));
    if (kind == UL_REF_STATE) {
        const ul_state look = ul_method_state(m, s->o->args, side, s->o->model);
        const int begins = look.mlp ? look.first : look.first + 1; /* an mlp runs, a block's output may be the prefix */
        UL_TRY(get(s, side, "hidden states of the reference",
                   &(ul_reference_what){.state = &look, .from = begins >= blocks ? prefix : NULL}, &ref));
    } else if (kind == UL_REF_RIVALS) {
        UL_TRY(rivals(s, side, &ref));
    } else if (kind == UL_REF_TOP) {
        UL_TRY(get(s, side, "most likely tokens of the reference", &(ul_reference_what){.tops = true}, &ref));
    } else if (side == UL_FORGET && kind == UL_REF_HIDDEN && m->readings) {
        int n = 0;
        UL_TRY(readings(s->ctx, s->arena, s->o, s->docs[side], reading, read, &n));
        UL_TRY(get(s, side, "readings by the reference",
                   &(ul_reference_what){.n_reading = n, .reading = reading, .read = read}, &ref));
    } else if (kind != UL_REF_NONE) {
        const bool hidden = kind == UL_REF_HIDDEN;
        UL_TRY(get(s, side, hidden ? "distributions of the reference" : "log-probs of the reference",
                   &(ul_reference_what){.hidden = hidden}, &ref));
    }
    s->o->prefix[side] = prefix, s->o->ref[side] = ref;
    return UL_OK;
}

/* The retain documents, and behind them the forget documents where a wrapper deals them to that side. */
static ul_status folded(ul_arena *arena, const ul_trainer_options *o, const ul_docs *docs[UL_N_SIDE])
{
    bool folds = false;
    for (int i = 0; i < o->n_wrap; i++) folds |= (o->wrap[i].wrapper->flags & UL_WRAP_FOLDS) != 0;
    const ul_docs *forget = docs[UL_FORGET], *retain = docs[UL_RETAIN];
    if (!folds || !forget || !retain) return UL_OK;
    ul_docs *both = UL_NEW(arena, ul_docs, 1);
    UL_NEED(both);
    *both = *retain;
    both->n = retain->n + forget->n, both->n_tok += forget->n_tok, both->n_labelled += forget->n_labelled;
    if (forget->longest > both->longest) both->longest = forget->longest;
    UL_NEED(both->at = UL_NEW(arena, ul_doc, both->n));
    for (int64_t i = 0; i < both->n; i++) {
        both->at[i] = i < retain->n ? retain->at[i] : forget->at[i - retain->n];
        both->at[i].id = i;
    }
    docs[UL_RETAIN] = both;
    return UL_OK;
}

ul_status ul_trainer_caches_plan(ul_ctx *ctx, ul_arena *arena, const char *dir, const char *weights_digest,
                                 const ul_docs *const docs[UL_N_SIDE], int64_t draws, ul_trainer_options *o,
                                 ul_cache_plan *out)
{
    const ul_docs *all[UL_N_SIDE] = {docs[UL_FORGET], docs[UL_ALT], docs[UL_RETAIN]};
    store s = {ctx, arena, dir, weights_digest, all, o, out};
    const int blocks = prefix_blocks(o, docs, draws);
    UL_TRY(folded(arena, o, all));
    if (out) *out = (ul_cache_plan){.n = 0};
    for (int side = 0; side < UL_N_SIDE; side++) UL_TRY(side_caches(&s, side, blocks));
    return UL_OK;
}

ul_status ul_trainer_caches(ul_ctx *ctx, ul_arena *arena, const char *dir, const char *weights_digest,
                            const ul_docs *const docs[UL_N_SIDE], int64_t draws, ul_trainer_options *o)
{
    return ul_trainer_caches_plan(ctx, arena, dir, weights_digest, docs, draws, o, NULL);
}
