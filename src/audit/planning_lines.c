/* planning_lines.c - bytes and caches of a plan: lines of its text, members of its result. */
#include "audit/planning.h"

ul_status ul_planning_bytes(ul_training *t, const char *what, size_t n)
{
    json_object_set_new(t->job->result, what, json_integer((json_int_t)n));
    return ul_buf_printf(&t->job->text, "%-12s %12.2f MiB\n", what, (double)n / 1048576);
}

ul_status ul_planning_memory(ul_training *t, const ul_train_plan *plan)
{
    UL_TRY(ul_planning_bytes(t, "weights", plan->pass.weights));
    UL_TRY(ul_planning_bytes(t, "gradients", plan->pass.grads));
    UL_TRY(ul_planning_bytes(t, "optimizer", plan->optimizer));
    if (t->n_wrap || plan->wrap) UL_TRY(ul_planning_bytes(t, "wrappers", plan->wrap));
    UL_TRY(ul_planning_bytes(t, "activations", plan->pass.slots));
    UL_TRY(ul_planning_bytes(t, "head", plan->pass.head));
    UL_TRY(ul_planning_bytes(t, "work", plan->pass.work));
    return ul_planning_bytes(t, "batch", plan->step);
}

ul_status ul_planning_caches(ul_training *t, const ul_cache_plan *plan, const char *without, int64_t *tokens)
{
    json_t *list = json_object_get(t->job->result, "caches");
    if (!list) json_object_set_new(t->job->result, "caches", list = json_array());
    UL_NEED(list);
    for (int i = 0; i < plan->n; i++) {
        const ul_cache_item *x = &plan->at[i];
        const char *state = x->there ? "on the disk" : x->path ? "to be made" : without;
        json_array_append_new(list, json_pack("{s:s, s:s, s:I, s:I, s:I, s:b, s:s?}", "what", x->what, "of",
                                              ul_side_name(x->side), "documents", (json_int_t)x->docs, "bytes",
                                              (json_int_t)x->bytes, "blocks", (json_int_t)x->blocks, "there", x->there,
                                              "path", x->path));
        UL_TRY(ul_buf_printf(&t->job->text, "cached: %s, of %lld %s documents: %.2f MiB, %d blocks; %s\n", x->what,
                             (long long)x->docs, ul_side_name(x->side), (double)x->bytes / 1048576, x->blocks, state));
        if (!x->there) *tokens += x->tokens * x->blocks / ul_model_shape(t->model)->n_layer;
    }
    return UL_OK;
}
