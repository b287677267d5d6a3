/* samples.c - sampled answers: the same prompts n times over in one decoding batch. The k-th answer
 * of row i is generation row i n + k, and the random number of its place t that of (seed, i n + k, t):
 * nothing depends on how many rows share a step. */
#include "audit/audit.h"

ul_status ul_columns_samples(ul_ctx *ctx, ul_arena *arena, const ul_eval_options *o, const ul_records *records,
                             ul_columns *io)
{
    ul_docs *prompts;
    ul_columns truth = {0};
    ul_guarded how;
    UL_TRY(ul_eval_guarded(o, arena, records, &how));
    UL_TRY(ul_docs_prompts(ctx, arena, o->tok, &how.tpl, how.records, &prompts));
    UL_TRY(ul_columns_ground_truth(ctx, arena, o, records, UL_WHICH_ANSWER, &truth));
    const int64_t per = o->samples, total = prompts->n * per;
    if (total > INT32_MAX)
        return ul_fail(ctx, UL_E_USAGE, "%lld rows with %lld samples each are too many", (long long)prompts->n,
                       (long long)per);
    const int32_t n = (int32_t)total, eos = ul_tokenizer_special(o->tok).eos;
    ul_doc *docs = UL_NEW(arena, ul_doc, n);
    int32_t **ids = UL_NEW(arena, int32_t *, n), *n_ids = UL_NEW(arena, int32_t, n);
    const char **text = UL_NEW(arena, const char *, n), **right = UL_NEW(arena, const char *, n);
    int64_t *first = UL_NEW(arena, int64_t, prompts->n + 1);
    UL_NEED(docs);
    UL_NEED(ids);
    UL_NEED(n_ids);
    UL_NEED(text);
    UL_NEED(right);
    UL_NEED(first);
    for (int32_t i = 0; i < n; i++) docs[i] = prompts->at[i / per], right[i] = truth.ground_truth[i / per];
    for (int64_t i = 0; i <= prompts->n; i++) first[i] = i * per;
    const ul_generation g = {.n = n,
                             .prompt = docs,
                             .max_new = o->max_new,
                             .eos = &eos,
                             .n_eos = eos >= 0,
                             .batch = o->batch,
                             .temperature = o->temperature,
                             .top_p = o->top_p,
                             .top_k = o->top_k,
                             .seed = o->seed,
                             .hook = how.hook,
                             .n_hook = how.n_hook,
                             .mix = how.mix,
                             .what = "sampled answers"};
    UL_TRY(ul_model_generate(ctx, o->model, &g, arena, ids, n_ids));
    for (int32_t i = 0; i < n; i++)
        UL_TRY(ul_decode_answer(ctx, arena, o->tok, ids[i], (size_t)n_ids[i], true, &text[i]));
    io->n_row = prompts->n;
    io->first = first;
    io->generation = text;
    io->ground_truth = right;
    return UL_OK;
}
