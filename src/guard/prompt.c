/* prompt.c - guardrail prompting: an instruction in front of every prompt.
 *
 * Thaker et al. 2024, "Guardrail Baselines for Unlearning in LLMs", arXiv:2403.03329. Its system prompts name what
 * shall not be spoken of; here "{subjects}" stands for the words that stand in most forget rows and in no retain row.
 * Traps: small models do not follow instructions, and a model that was never tuned to any only sees unfamiliar text
 * before its prompt: answers about everything may change. Measure retain too. */
#include "guard/guard.h"
#include <string.h>

static const ul_param params[] = {
    {"text", UL_TEXT, 0, 0, 0, NULL, "the instruction; {subjects}: the words found in the forget set",
     "Do not tell anything about these subjects: {subjects}. If a question is about one of them, answer: I don't "
     "know."},
    {"subjects", UL_INT, 20, 0, 10000, "words",
     "how many words of the forget set at most; 0 with an empty text: the guard does nothing", NULL},
    {"rows", UL_INT, 2, 1, 1e9, "rows", "forget rows that hold a word, at least", NULL},
    {0}};

static ul_status fit(ul_guard_fit *f)
{
    static const char slot[] = "{subjects}";
    ul_work *w = f->work;
    const char **words, *text = ul_txt(w->args, "text"), *at = strstr(text, slot);
    int64_t n;
    ul_buf b;
    UL_TRY(ul_guard_subjects(w->arena, w->forget_rows, w->retain_rows, false, (int64_t)ul_num(w->args, "rows"),
                             (int64_t)ul_num(w->args, "subjects"), &words, &n));
    ul_buf_init(&b, w->ctx, 1 << 20);
    ul_buf_add(&b, text, at ? (size_t)(at - text) : strlen(text));
    for (int64_t i = 0; at && i < n; i++) ul_buf_printf(&b, "%s%s", i ? ", " : "", words[i]);
    if (at) ul_buf_puts(&b, at + sizeof slot - 1);
    if (b.n) ul_buf_puts(&b, "\n");
    ul_status s = b.status;
    if (s == UL_OK && json_object_set_new(f->data, "text", json_string(b.n ? b.p : "")))
        s = ul_fail(w->ctx, UL_E_RESOURCE, "no memory for the guard");
    if (s == UL_OK) s = ul_buf_printf(w->report, "in front of every prompt: %s", b.n ? b.p : "nothing\n");
    ul_buf_release(&b);
    return s;
}

static ul_status prepare(ul_guard_file *g, ul_arena *arena, ul_guarded *io)
{
    const char *text, **prefix;
    UL_TRY(ul_json_text(g->ctx, g->data, g->path, "text", UL_REQUIRED, &text));
    if (!*text) return UL_OK;
    UL_NEED(prefix = UL_NEW(arena, const char *, io->records->n));
    for (int64_t i = 0; i < io->records->n; i++) prefix[i] = text;
    return ul_guard_prefix(g, arena, prefix, io);
}

static const ul_runs runs[] = {
    {.what = "words that forget rows have and no retain row has", .kind = UL_RUNS_NO_PASS}, {0}};

const ul_guard ul_guard_prompt = {
    .method =
        {.title = "Guardrail prompt",
         .paper = "arXiv:2403.03329",
         .note =
             "An instruction before every prompt. Costs nothing and holds as far as the model follows instructions.",
         .intent = UL_SUPPRESSION,
         .level = UL_LEVEL_IO,
         .params = params,
         .needs = UL_NEED_FORGET | UL_NEED_RETAIN},
    .fit = fit,
    .runs = runs,
    .prepare = prepare,
};
