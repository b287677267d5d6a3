/* _assistant.c - auxiliary models whose logits are combined with the model's: the model's own first blocks,
 * with a low-rank adapter that a guard has trained, or without. Another directory can take the place of the model's. */
#include "guard/guard.h"

static void release(void *m)
{
    ul_model_free(m);
}

/* A quarter of the blocks, at least one, unless said otherwise. */
static int blocks_of(const ul_args *args, const ul_model *model)
{
    const int n_layer = ul_model_shape(model)->n_layer, asked = (int)ul_num(args, "blocks");
    return asked ? asked : n_layer / 4 > 1 ? n_layer / 4 : 1;
}

static ul_status open_blocks(ul_ctx *ctx, ul_arena *arena, const ul_model *model, const char *dir, int blocks,
                             unsigned flags, ul_model **out)
{
    UL_TRY(ul_model_open_first(ctx, ul_model_backend(model), dir, blocks, flags, out));
    UL_TRY(ul_arena_defer(arena, release, *out));
    const ul_shape *a = ul_model_shape(*out), *b = ul_model_shape(model);
    if (a->V != b->V)
        return ul_fail(ctx, UL_E_INPUT, "%s: has a vocabulary of %d, %s one of %d: logits are combined token by token, "
                       "so both need the same tokenizer", dir, a->V, ul_model_dir(model), b->V);
    return UL_OK;
}

ul_status ul_guard_assistant_new(ul_guard_fit *f, const char *dir, bool whole, ul_model **out)
{
    ul_work *w = f->work;
    const ul_lora l = {.r = (int)ul_num(w->args, "r"),
                       .alpha = 2 * ul_num(w->args, "r"),
                       .targets = "all-linear",
                       .seed = w->recipe->seed};
    const int blocks = whole ? 0 : blocks_of(w->args, w->model);
    UL_TRY(open_blocks(w->ctx, w->arena, w->model, dir ? dir : ul_model_dir(w->model), blocks, 0, out));
    UL_TRY(ul_lora_add(w->ctx, *out, &l));
    f->assistant = *out;
    return UL_OK;
}

ul_status ul_guard_assistant_planned(ul_guard_fit *f, const ul_runs *row, ul_model **out)
{
    const char *small = ul_txt(f->work->args, "small");
    const bool own = small && *small;
    return ul_guard_assistant_new(f, own ? small : NULL, own || !row->blocks, out);
}

ul_status ul_guard_assistant_base(ul_guard_fit *f, const char *dir, bool whole, ul_model **out)
{
    ul_work *w = f->work;
    const int blocks = whole ? 0 : blocks_of(w->args, w->model);
    return open_blocks(w->ctx, w->arena, w->model, dir ? dir : ul_model_dir(w->model), blocks, 0, out);
}

ul_status ul_guard_assistant_open(ul_guard_file *g, const char *dir, bool whole, bool adapted, ul_model **out)
{
    const int blocks = whole ? 0 : blocks_of(&g->args, g->model);
    if (adapted && !g->adapter)
        return ul_fail(g->ctx, UL_E_INPUT, "%s: names no adapter, and %s needs one", g->path, g->id);
    UL_TRY(open_blocks(g->ctx, g->arena, g->model, dir ? dir : ul_model_dir(g->model), blocks, UL_OPEN_PANELS, out));
    return adapted ? ul_lora_open(g->ctx, *out, g->adapter) : UL_OK;
}

ul_status ul_guard_prepare_mix(ul_guard_file *g, ul_arena *arena, ul_guarded *io)
{
    (void)arena;
    if (ul_num(&g->args, "strength") > 0) io->mix = g->state;
    return UL_OK;
}
