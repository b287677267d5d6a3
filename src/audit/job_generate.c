/* job_generate.c - let a model answer. */
#include "audit/audit.h"
#include <string.h>

static const ul_param params[] = {
    {"model", UL_TEXT, 0, 0, 0, NULL, "a Hugging Face directory", ""},
    {"adapter", UL_TEXT, 0, 0, 0, NULL, "a PEFT directory to put on it", ""},
    {"guard", UL_TEXT, 0, 0, 0, NULL,
     "a guard to put around the model: what `forget` writes with --method filter, prompt, eco and their kin", ""},
    {"prompt", UL_TEXT, 0, 0, 0, NULL, "the prompt; or --data", ""},
    {"data", UL_TEXT, 0, 0, 0, NULL, "a data set: every row's prompt is answered", ""},
    {"raw", UL_BOOL, 0, 0, 1, NULL, "the prompt as it is: no tags around it", NULL},
    {"max-new", UL_INT, 100, 1, 1 << 20, "tokens", "longest answer", NULL},
    {"batch", UL_INT, 64, 1, 4096, "rows", "rows decoded together. Never changes a token", NULL},
    {"temperature", UL_REAL, 0, 0, 100, NULL, "0: greedy", NULL},
    {"top-p", UL_REAL, 1, 0, 1, NULL, "sample from the smallest set of tokens with this probability", NULL},
    {"top-k", UL_INT, 0, 0, 1 << 20, "tokens", "sample from this many; 0: all", NULL},
    {"seed", UL_INT, 0, 0, 9e15, NULL, "of sampling; a function of (seed, row, place), so the batch does not matter",
     NULL},
    {0}};

static ul_status prompts(ul_job *job, ul_guard_file *guard, const ul_tokenizer *tok, ul_guarded *io, ul_docs **out)
{
    const char *text = ul_job_text(job, "prompt"), *data = ul_job_text(job, "data");
    if (!text == !data)
        return ul_fail(job->ctx, UL_E_USAGE, "`generate` needs --prompt TEXT or --data FILE%s",
                       text ? ", not both" : "");
    ul_records *records;
    if (data) UL_TRY(ul_records_open(job->ctx, job->arena, data, ul_job_text(job, "fields"), 0, &records));
    else {
        ul_record *r = UL_NEW(job->arena, ul_record, 1);
        UL_NEED(r);
        *r = (ul_record){.line = 1, .prompt = text, .answer = ""};
        UL_TRY(ul_records_seal(job->ctx, "--prompt", r, 1, job->arena, &records));
    }
    io->records = records;
    if (guard) UL_TRY(ul_guard_prepare(guard, job->arena, io));
    return ul_docs_prompts(job->ctx, job->arena, tok, &io->tpl, io->records, out);
}

static ul_status add_answer(ul_job *job, const ul_tokenizer *tok, const int32_t *ids, int32_t n, json_t *list)
{
    ul_buf b;
    ul_buf_init(&b, job->ctx, 1 << 24);
    ul_status s = ul_decode(job->ctx, tok, ids, (size_t)n, true, &b);
    const char *text = b.p ? b.p : "";
    if (s == UL_OK && json_array_append_new(list, json_pack("{s:s#, s:i}", "text", text, (int)b.n, "tokens", n)))
        s = ul_fail(job->ctx, UL_E_RESOURCE, "no memory for the answers");
    if (s == UL_OK) s = ul_buf_printf(&job->text, "%s\n", text);
    ul_buf_release(&b);
    return s;
}

static ul_status run(ul_job *job)
{
    ul_backend *be;
    ul_model *m;
    ul_tokenizer *tok;
    ul_guarded how = {.max_new = (int32_t)ul_job_int(job, "max-new"), .batch = (int32_t)ul_job_int(job, "batch")};
    ul_guard_file *guard;
    ul_docs *docs;
    char digest[65];
    UL_TRY(ul_job_backend(job, &be));
    UL_TRY(ul_job_model(job, be, ul_job_text(job, "model"), UL_OPEN_PANELS, &m, &tok,
                        ul_job_text(job, "guard") ? digest : NULL));
    UL_TRY(ul_job_guard(job, NULL, m, tok, digest, &guard));
    if (ul_job_text(job, "adapter")) UL_TRY(ul_lora_open(job->ctx, m, ul_job_text(job, "adapter")));
    UL_TRY(ul_job_template(job, tok, ul_model_shape(m), &how.tpl));
    if (ul_job_flag(job, "raw")) how.tpl.user_start = how.tpl.user_end = how.tpl.asst_start = "";
    UL_TRY(prompts(job, guard, tok, &how, &docs));
    const int32_t eos = ul_tokenizer_special(tok).eos, n = (int32_t)docs->n;
    int32_t **ids = UL_NEW(job->arena, int32_t *, n), *n_ids = UL_NEW(job->arena, int32_t, n);
    UL_NEED(ids);
    UL_NEED(n_ids);
    const ul_generation g = {.n = n, .prompt = docs->at, .max_new = how.max_new, .eos = &eos, .n_eos = eos >= 0,
                             .batch = how.batch, .temperature = ul_job_num(job, "temperature"),
                             .top_p = ul_job_num(job, "top-p"), .top_k = (int32_t)ul_job_int(job, "top-k"),
                             .seed = (uint64_t)ul_job_int(job, "seed"), .what = "generate",
                             .hook = how.hook, .n_hook = how.n_hook, .mix = how.mix};
    UL_TRY(ul_model_generate(job->ctx, m, &g, job->arena, ids, n_ids));
    job->result = json_object();
    json_t *list = json_array();
    if (!job->result || json_object_set_new(job->result, "answers", list))
        return ul_fail(job->ctx, UL_E_RESOURCE, "no memory for the answers");
    for (int32_t i = 0; i < n; i++) UL_TRY(add_answer(job, tok, ids[i], n_ids[i], list));
    return UL_OK;
}

const ul_job_kind ul_job_generate = {
    .id = "generate", .summary = "let a model answer prompts",
    .about = "Greedy unless a temperature is given. Rows are decoded together; the tokens do not depend on how many. "
             "With --guard the answers are those of the model behind a guard. `unlearn forget --model demo-out/target "
             "--forget demo-out/data/forget.jsonl --retain demo-out/data/retain.jsonl --method filter --out guard` "
             "makes one; then `unlearn generate --model demo-out/target --guard guard "
             "--data demo-out/data/forget.jsonl`.",
    .example = "unlearn generate --model demo-out/target --data demo-out/data/forget.jsonl --max-new 8",
    .tables = {params, ul_data_params, ul_compute_params}, .run = run};
