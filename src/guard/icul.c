/* icul.c - in-context unlearning: forget examples with wrong answers,
 * then examples with right ones, in front of the prompt.
 *
 * Pawelczyk, Neel, Lakkaraju 2023, "In-Context Unlearning", arXiv:2310.07579. A label there is flipped, or drawn at
 * random; a free answer has no opposite, so an example takes the answer of another forget row, drawn by the seed.
 * With more forget rows than fit a context, the examples are those whose prompts share most words with the prompt
 * asked: the row itself first when it is one. They fill half the model's context at most; there are fewer where more
 * would not fit. How many of each is ours. Traps: the forget data lies in guard.json in plain text; contexts are
 * long, which costs time with every prompt; a model that does not learn in context only sees noise. */
#include "guard/guard.h"
#include "stat/stat.h"
#include <string.h>

static const ul_param params[] = {
    {"k", UL_INT, 3, 0, 100, "examples", "forget examples with wrong answers; 0 with s 0: the guard does nothing",
     NULL},
    {"s", UL_INT, 3, 0, 100, "examples", "examples with right answers, of the retain set", NULL},
    {"seed", UL_INT, 0, 0, 9e15, NULL, "of the wrong answers and of the right examples", NULL},
    {0}};

typedef struct {
    const char **prompt, **wrong, **right_prompt, **right;
    int64_t n, n_right;
} examples;

static ul_status fit(ul_guard_fit *f)
{
    ul_work *w = f->work;
    const ul_records *r = w->forget_rows, *keep = w->retain_rows;
    const uint64_t seed = (uint64_t)ul_num(w->args, "seed");
    const int64_t s = (int64_t)ul_num(w->args, "s");
    const char **p = UL_NEW(w->arena, const char *, r->n), **a = UL_NEW(w->arena, const char *, r->n);
    const char **kp = UL_NEW(w->arena, const char *, s), **ka = UL_NEW(w->arena, const char *, s);
    UL_NEED(p && a && kp && ka ? p : NULL);
    if (r->n < 2)
        return ul_fail(w->ctx, UL_E_INPUT,
                       "%s: icul takes the wrong answer of a row from another one: it needs 2 rows, there is 1",
                       r->path);
    for (int64_t i = 0; i < r->n; i++) {
        const int64_t o =
            (i + 1 + (int64_t)ul_rng_below(seed, UL_STREAM_ALT, 0, (uint64_t)i, (uint64_t)r->n - 1)) % r->n;
        if (!r->at[i].prompt)
            return ul_fail(w->ctx, UL_E_INPUT, "%s:%lld: icul needs rows with a prompt and an answer", r->path,
                           (long long)r->at[i].line);
        p[i] = r->at[i].prompt, a[i] = r->at[o].answer;
    }
    for (int64_t i = 0; i < s; i++) {
        const ul_record *k = &keep->at[ul_rng_below(seed, UL_STREAM_RETAIN, 0, (uint64_t)i, (uint64_t)keep->n)];
        kp[i] = k->prompt ? k->prompt : "", ka[i] = k->answer;
    }
    UL_TRY(ul_guard_texts_put(w->ctx, f->data, "prompts", p, r->n));
    UL_TRY(ul_guard_texts_put(w->ctx, f->data, "wrong_answers", a, r->n));
    UL_TRY(ul_guard_texts_put(w->ctx, f->data, "right_prompts", kp, s));
    return ul_guard_texts_put(w->ctx, f->data, "right_answers", ka, s);
}

static ul_status open(ul_guard_file *g)
{
    int64_t n, n_right;
    examples *e = UL_NEW(g->arena, examples, 1);
    UL_NEED(e);
    UL_TRY(ul_guard_texts_get(g, "prompts", &e->prompt, &e->n));
    UL_TRY(ul_guard_texts_get(g, "wrong_answers", &e->wrong, &n));
    UL_TRY(ul_guard_texts_get(g, "right_prompts", &e->right_prompt, &e->n_right));
    UL_TRY(ul_guard_texts_get(g, "right_answers", &e->right, &n_right));
    if (n != e->n || n_right != e->n_right)
        return ul_fail(g->ctx, UL_E_INPUT, "%s: %lld prompts have %lld answers", g->path,
                       (long long)(e->n + e->n_right), (long long)(n + n_right));
    g->state = e;
    return UL_OK;
}

static ul_status add_example(const ul_template *t, const char *prompt, const char *answer, ul_buf *b)
{
    return ul_buf_printf(b, "%s%s%s%s%s\n", t->user_start, prompt, t->user_end, t->asst_start, answer);
}

/* The k examples whose prompts are most like this one (F1 of their words), the likest last: nearest to the question. */
static ul_status context(ul_guard_file *g, ul_arena *arena, const ul_template *tpl, const char *prompt, int64_t k,
                         char **out)
{
    const examples *e = g->state;
    int64_t *best = UL_NEW(arena, int64_t, k + 1), n = 0;
    double *like = UL_NEW(arena, double, k + 1);
    ul_buf b;
    UL_NEED(best);
    UL_NEED(like);
    for (int64_t i = 0; i < e->n; i++) {
        ul_rouge_scores r;
        const ul_mark m = ul_arena_mark(arena);
        UL_TRY(ul_rouge(arena, e->prompt[i], prompt, false, &r));
        ul_arena_rewind(arena, m);
        int64_t at = n;
        while (at > 0 && like[at - 1] < r.rouge1.f1) best[at] = best[at - 1], like[at] = like[at - 1], at--;
        best[at] = i, like[at] = r.rouge1.f1;
        if (n < k) n++;
    }
    ul_buf_init(&b, g->ctx, 1 << 24);
    ul_status s = UL_OK;
    int32_t tokens = INT32_MAX;
    for (int64_t right = e->n_right; s == UL_OK && tokens > ul_model_shape(g->model)->n_ctx / 2;) {
        ul_buf_reset(&b);
        for (int64_t i = n; i-- > 0;) add_example(tpl, e->prompt[best[i]], e->wrong[best[i]], &b);
        for (int64_t i = 0; i < right; i++) add_example(tpl, e->right_prompt[i], e->right[i], &b);
        s = b.status == UL_OK ? ul_guard_count_tokens(g, b.n ? b.p : "", false, &tokens) : b.status;
        if (right >= n && right > 0) right--; /* for the next try */
        else n--;
    }
    if (s == UL_OK && !(*out = ul_strndup(arena, b.n ? b.p : "", b.n))) s = UL_E_RESOURCE;
    ul_buf_release(&b);
    return s;
}

static ul_status prepare(ul_guard_file *g, ul_arena *arena, ul_guarded *io)
{
    const examples *e = g->state;
    const int64_t k = (int64_t)ul_num(&g->args, "k");
    char **prefix = UL_NEW(arena, char *, io->records->n);
    UL_NEED(prefix);
    if (k == 0 && e->n_right == 0) return UL_OK;
    for (int64_t i = 0; i < io->records->n; i++)
        if (io->records->at[i].prompt) UL_TRY(context(g, arena, &io->tpl, io->records->at[i].prompt, k, &prefix[i]));
    return ul_guard_prefix(g, arena, (const char *const *)prefix, io);
}

static const ul_runs runs[] = {{.what = "examples of both sets, drawn by the seed", .kind = UL_RUNS_NO_PASS}, {0}};

const ul_guard ul_guard_icul = {
    .method = {.title = "In-context unlearning",
               .paper = "arXiv:2310.07579",
               .note = "Shows the model forget examples with wrong answers before every prompt. The forget data stays "
                       "in the guard, in plain text.",
               .intent = UL_SUPPRESSION,
               .level = UL_LEVEL_IO,
               .params = params,
               .needs = UL_NEED_FORGET | UL_NEED_RETAIN},
    .fit = fit,
    .runs = runs,
    .open = open,
    .prepare = prepare,
};
