/* _prompt.c - text in front of prompts, and how long prompts are. */
#include "guard/guard.h"
#include <string.h>

ul_status ul_guard_count_tokens(const ul_guard_file *g, const char *text, bool special, int32_t *n)
{
    ul_ids ids;
    ul_ids_init(&ids, g->ctx);
    const ul_status s = ul_encode(g->ctx, g->tok, text, strlen(text), special, &ids);
    *n = (int32_t)ids.n;
    ul_ids_release(&ids);
    return s;
}

/* The template's first tag moves into the prompts, so that the prefix can stand before it. */
ul_status ul_guard_prefix(ul_guard_file *g, ul_arena *arena, const char *const *prefix, ul_guarded *io)
{
    const int32_t n_ctx = ul_model_shape(g->model)->n_ctx;
    const ul_records *in = io->records;
    ul_record *r = UL_NEW(arena, ul_record, in->n);
    ul_records *out = UL_NEW(arena, ul_records, 1);
    int32_t longest = 0;
    UL_NEED(r);
    UL_NEED(out);
    for (int64_t i = 0; i < in->n; i++) {
        r[i] = in->at[i];
        if (!r[i].prompt) continue;
        const char *p = prefix[i] ? prefix[i] : "";
        int32_t n = 0, all;
        UL_NEED(r[i].prompt = ul_format(arena, "%s%s%s", p, io->tpl.user_start, in->at[i].prompt));
        if (!*p) continue;
        if (i == 0 || !prefix[i - 1] || strcmp(p, prefix[i - 1])) { /* not just counted */
            UL_TRY(ul_guard_count_tokens(g, p, false, &n));
            if (n > longest) longest = n;
        }
        UL_TRY(ul_guard_count_tokens(g, r[i].prompt, true, &all));
        if (all + 2 > n_ctx)
            return ul_fail(
                g->ctx, UL_E_USAGE,
                "%s:%lld: with the guard's text in front the prompt has %d tokens, the model was made for %d: "
                "make the guard with a shorter text or fewer examples",
                in->path, (long long)in->at[i].line, all, n_ctx);
    }
    *out = *in;
    out->at = r;
    io->records = out;
    io->tpl.user_start = "";
    io->tpl.max_length = io->tpl.max_length + longest < n_ctx ? io->tpl.max_length + longest : n_ctx;
    return UL_OK;
}

ul_status ul_guard_prompt_lengths(ul_guard_file *g, ul_arena *arena, const ul_guarded *io, int32_t **out)
{
    const ul_records *r = io->records;
    int32_t *n = UL_NEW(arena, int32_t, r->n);
    UL_NEED(n);
    for (int64_t i = 0; i < r->n; i++) {
        if (!r->at[i].prompt) continue;
        const char *text =
            ul_format(arena, "%s%s%s%s", io->tpl.user_start, r->at[i].prompt, io->tpl.user_end, io->tpl.asst_start);
        UL_NEED(text);
        UL_TRY(ul_guard_count_tokens(g, text, true, &n[i]));
    }
    *out = n;
    return UL_OK;
}
