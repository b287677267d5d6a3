/* caches.c - which caches a run reads: numbers of the reference, and the states below the lowest block that moves.
 *
 * The lowest blocks of a run that trains only higher ones give each document the same state at every visit. Kept, a step
 * runs only the blocks that move and those above them (rmu at layer l: three blocks). The bits are those of the whole
 * pass. */
#include "train/train_impl.h"

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
        if (sides >> side & 1u && (!docs[side] || draws < docs[side]->n || docs[side]->n_tok > prefix_bytes / row)) return 0;
    return low;
}

/* The forget documents as the method wants the reference to read them. */
static ul_status open_readings(ul_ctx *ctx, ul_arena *arena, const char *dir, const char *weights_digest,
                               const ul_trainer_options *o, const ul_docs *docs, ul_reference **out)
{
    ul_reading reading[UL_READINGS];
    const ul_docs *read[UL_READINGS] = {docs, docs, docs, docs};
    const int n = o->method->readings(o->args, reading);
    for (int k = 0; k < n; k++) {
        const int32_t *token;
        int32_t n_token;
        ul_docs *behind;
        if (!reading[k].behind || !reading[k].behind[0]) continue;
        if (!o->encode)
            return ul_fail(ctx, UL_E_INTERNAL, "the method reads documents behind a text, and there is nothing to encode it");
        UL_TRY(o->encode(o->encode_user, arena, reading[k].behind, &token, &n_token));
        UL_TRY(ul_docs_behind(arena, docs, token, n_token, o->bos, &behind));
        read[k] = behind;
    }
    return ul_reference_open_readings(ctx, arena, o->model, dir, weights_digest, docs, n, reading, read, out);
}

ul_status ul_trainer_caches(ul_ctx *ctx, ul_arena *arena, const char *dir, const char *weights_digest,
                            const ul_docs *const docs[UL_N_SIDE], int64_t draws, ul_trainer_options *o)
{
    const unsigned needs = ul_method_needs(o->method, o->args);
    const int blocks = prefix_blocks(o, docs, draws);
    for (int side = 0; side < UL_N_SIDE; side++) {
        const ul_ref_kind kind = ul_reference_kind(needs, side);
        ul_reference *prefix = NULL, *ref = NULL;
        if (ul_method_sides(o->method, o->args, o->model) >> side & 1u && blocks)
            UL_TRY(ul_reference_open_prefix(ctx, arena, o->model, dir, weights_digest, docs[side], blocks, &prefix));
        if (kind == UL_REF_STATE) {
            const ul_state s = ul_method_state(o->method, o->args, side, o->model);
            UL_TRY(ul_reference_open_state(ctx, arena, o->model, dir, weights_digest, docs[side], &s,
                                           s.first + 1 >= blocks ? prefix : NULL, &ref));
        } else if (kind == UL_REF_RIVALS) {
            UL_TRY(ul_reference_open_rivals(ctx, arena, o->model, dir, weights_digest, docs[side], &ref));
        } else if (side == UL_FORGET && kind == UL_REF_HIDDEN && o->method->readings) {
            UL_TRY(open_readings(ctx, arena, dir, weights_digest, o, docs[side], &ref));
        } else if (kind != UL_REF_NONE) {
            UL_TRY(ul_reference_open(ctx, arena, o->model, dir, weights_digest, docs[side], kind == UL_REF_HIDDEN, &ref));
        }
        o->prefix[side] = prefix, o->ref[side] = ref;
    }
    return UL_OK;
}
