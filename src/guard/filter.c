/* filter.c - a check of prompts (and answers) beside the model, and a canned refusal.
 *
 * The baseline of arXiv:2403.03329 (post-filters) and of every evaluation of suppression. A prompt is withheld
 * when it holds a word of the forget set that the retain set lacks (by words), or when its vector - the mean hidden
 * state after `layer` blocks, less the mean of all - has a cosine above a threshold with that of a forget prompt;
 * the threshold withholds `fpr` of the retain prompts wrongly (by states). side output: the model answers first,
 * and the answer is searched for the words.
 * What it says of a withheld prompt is known: the refusal, token by token. Its distribution there is
 * p = 1 / (1 + (V - 1) e^-nats) for the refusal's next token and the rest for all others alike, so that scores are
 * finite and greedy answers are the refusal.
 * Traps: a withheld answer's probability says nothing about the model behind; words that are spelt otherwise pass;
 * output checks cost a generation a prompt before anything is scored. */
#include "guard/guard.h"
#include "stat/stat.h"
#include <math.h>
#include <string.h>

static const ul_param params[] = {
    {"by", UL_TEXT, 0, 0, 0, "words|states", "what tells a forget prompt: words, or hidden states", "words"},
    {"side", UL_TEXT, 0, 0, 0, "input|output|both", "what is checked: prompts, the model's answers (by words), or both",
     "input"},
    {"words", UL_TEXT, 0, 0, 0, NULL,
     "the words, joined with commas; default: those of the forget set that no retain row has", ""},
    {"rows", UL_INT, 2, 1, 1e9, "rows", "forget rows that hold a word, at least", NULL},
    {"most", UL_INT, 2000, 0, 1e6, "words", "how many words at most; 0: the guard does nothing", NULL},
    {"layer", UL_INT, 1, 0, 1000, "blocks", "by states: after how many blocks; 0: the embedding", NULL},
    {"fpr", UL_REAL, 0.01, 0, 1, NULL, "by states: share of retain prompts withheld", NULL},
    {"refusal", UL_TEXT, 0, 0, 0, NULL, "what is answered instead", "I don't know."},
    {"nats", UL_REAL, 20, 1, 60, "nats", "how far below the refusal's token every other one is scored", NULL},
    {0}};

typedef struct {
    const char **word;
    int64_t n_word;
    double *forget, *mean; /* by states: [n, C] centred and of length 1, and what was taken away */
    int64_t n_forget;
    double threshold;
} known;

/* Whose answers are withheld, and with what. */
typedef struct {
    const uint8_t *withheld; /* [records] */
    const int32_t *n_prompt; /* [records] tokens */
    int32_t *refusal, n_refusal;
    double nats;
} withholding;

static bool by_states(const ul_args *a)
{
    return !strcmp(ul_txt(a, "by"), "states");
}

static bool checks_output(const ul_args *a)
{
    return strcmp(ul_txt(a, "side"), "input") != 0;
}

/* ---- fit --------------------------------------------------------------------------------------------------------- */
/* x [n, C]: less the mean, at length 1. */
static void centre(double *x, int64_t n, int64_t c, const double *mean)
{
    for (int64_t i = 0; i < n; i++) {
        double sum = 0;
        for (int64_t j = 0; j < c; j++) x[i * c + j] -= mean[j], sum += x[i * c + j] * x[i * c + j];
        for (int64_t j = 0; j < c && sum > 0; j++) x[i * c + j] /= sqrt(sum);
    }
}

static double nearest(const double *x, const double *to, int64_t n, int64_t c)
{
    double best = -1;
    for (int64_t i = 0; i < n; i++) {
        double dot = 0;
        for (int64_t j = 0; j < c; j++) dot += x[j] * to[i * c + j];
        if (dot > best) best = dot;
    }
    return best;
}

static ul_status fit_states(ul_guard_fit *f)
{
    ul_work *w = f->work;
    const int layer = (int)ul_num(w->args, "layer");
    const int64_t c = ul_model_shape(w->model)->C, n = w->forget_rows->n, m = w->retain_rows->n;
    double *a, *b, *mean = UL_NEW(w->arena, double, c), *cosine = UL_NEW(w->arena, double, m);
    UL_NEED(mean);
    UL_NEED(cosine);
    UL_TRY(ul_guard_states(w->ctx, w->arena, w->model, w->tok, w->tpl, w->forget_rows, layer, &a));
    UL_TRY(ul_guard_states(w->ctx, w->arena, w->model, w->tok, w->tpl, w->retain_rows, layer, &b));
    for (int64_t j = 0; j < c; j++) {
        for (int64_t i = 0; i < n; i++) mean[j] += a[i * c + j] / (double)(n + m);
        for (int64_t i = 0; i < m; i++) mean[j] += b[i * c + j] / (double)(n + m);
    }
    centre(a, n, c, mean);
    centre(b, m, c, mean);
    for (int64_t i = 0; i < m; i++) cosine[i] = nearest(b + i * c, a, n, c);
    ul_sort(cosine, m);
    const double t = ul_quantile(cosine, m, 1 - ul_num(w->args, "fpr"));
    f->tensor[f->n_tensor++] = (ul_tensor){
        .name = "forget", .dtype = UL_DT_F64, .n_dim = 2, .dim = {n, c}, .data = a, .bytes = (size_t)(n * c) * 8};
    f->tensor[f->n_tensor++] =
        (ul_tensor){.name = "mean", .dtype = UL_DT_F64, .n_dim = 1, .dim = {c}, .data = mean, .bytes = (size_t)c * 8};
    json_object_set_new(f->data, "threshold", json_real(t));
    return ul_buf_printf(w->report, "withheld: prompts whose cosine with one of %lld forget prompts is above %.4f\n",
                         (long long)n, t);
}

/* Words given by the user, or found. */
static ul_status fit(ul_guard_fit *f)
{
    ul_work *w = f->work;
    const char **words, *given = ul_txt(w->args, "words");
    int64_t n = 0;
    if (*given) {
        UL_NEED(words = UL_NEW(w->arena, const char *, strlen(given) + 1));
        for (const char *s = given; *s; s += strcspn(s, ","), s += *s == ',') {
            char *word = ul_strndup(w->arena, s, strcspn(s, ","));
            UL_NEED(word);
            for (char *c = word; *c; c++)
                if (*c >= 'A' && *c <= 'Z') *c = (char)(*c - 'A' + 'a');
            if (*word) words[n++] = word;
        }
    } else
        UL_TRY(ul_guard_subjects(w->arena, w->forget_rows, w->retain_rows, checks_output(w->args),
                                 (int64_t)ul_num(w->args, "rows"), (int64_t)ul_num(w->args, "most"), &words, &n));
    UL_TRY(ul_guard_texts_put(w->ctx, f->data, "words", words, n));
    if (by_states(w->args)) UL_TRY(fit_states(f));
    if (by_states(w->args) && !checks_output(w->args)) return UL_OK;
    return ul_buf_printf(w->report, "%lld words are looked for (%s%s%s%s)\n", (long long)n, n ? words[0] : "none",
                         n > 1 ? ", " : "", n > 1 ? words[1] : "", n > 2 ? ", ..." : "");
}

/* ---- use --------------------------------------------------------------------------------------------------------- */
static ul_status read_array(ul_guard_file *g, const char *name, double **out, int64_t *n)
{
    const ul_tensor *t;
    if (!g->weights) return ul_fail(g->ctx, UL_E_INPUT, "%s: names no weights, and by states needs them", g->path);
    UL_TRY(ul_tensors_need(g->ctx, g->weights, name, &t));
    *n = ul_tensor_count(t);
    UL_NEED(*out = UL_NEW(g->arena, double, *n));
    return ul_tensor_f64(g->ctx, t, 0, *n, *out);
}

static ul_status open(ul_guard_file *g)
{
    known *k = UL_NEW(g->arena, known, 1);
    int64_t n, c;
    UL_NEED(k);
    g->state = k;
    UL_TRY(ul_guard_texts_get(g, "words", &k->word, &k->n_word));
    if (!by_states(&g->args)) return UL_OK;
    UL_TRY(read_array(g, "forget", &k->forget, &n));
    UL_TRY(read_array(g, "mean", &k->mean, &c));
    UL_TRY(ul_json_real(g->ctx, g->data, g->path, "threshold", UL_REQUIRED, &k->threshold));
    if (c != ul_model_shape(g->model)->C || n % c)
        return ul_fail(g->ctx, UL_E_INPUT, "%s: vectors of %lld numbers, the model's states have %d", g->path,
                       (long long)c, ul_model_shape(g->model)->C);
    k->n_forget = n / c;
    return UL_OK;
}

static ul_status check_states(ul_guard_file *g, ul_arena *arena, const ul_guarded *io, uint8_t *withheld)
{
    const known *k = g->state;
    const int64_t c = ul_model_shape(g->model)->C;
    double *x;
    UL_TRY(ul_guard_states(g->ctx, arena, g->model, g->tok, &io->tpl, io->records, (int)ul_num(&g->args, "layer"), &x));
    centre(x, io->records->n, c, k->mean);
    for (int64_t i = 0; i < io->records->n; i++)
        withheld[i] = nearest(x + i * c, k->forget, k->n_forget, c) > k->threshold;
    return UL_OK;
}

/* The model's greedy answers to prompts that passed so far, searched for the words. */
static ul_status check_answers(ul_guard_file *g, ul_arena *arena, const ul_guarded *io, uint8_t *withheld)
{
    const known *k = g->state;
    ul_docs *prompts;
    UL_TRY(ul_docs_prompts(g->ctx, arena, g->tok, &io->tpl, io->records, &prompts));
    const int32_t n = (int32_t)prompts->n, eos = ul_tokenizer_special(g->tok).eos;
    int32_t **ids = UL_NEW(arena, int32_t *, n), *n_ids = UL_NEW(arena, int32_t, n);
    UL_NEED(ids);
    UL_NEED(n_ids);
    const ul_generation how = {.n = n,
                               .prompt = prompts->at,
                               .max_new = io->max_new,
                               .eos = &eos,
                               .n_eos = eos >= 0,
                               .batch = io->batch,
                               .what = "guard: answers"};
    UL_TRY(ul_model_generate(g->ctx, g->model, &how, arena, ids, n_ids));
    for (int32_t i = 0; i < n; i++) {
        ul_buf b;
        ul_buf_init(&b, g->ctx, 1 << 24);
        const ul_status s = ul_decode(g->ctx, g->tok, ids[i], (size_t)n_ids[i], true, &b);
        withheld[i] |= ul_guard_mentions(b.p, k->word, k->n_word);
        ul_buf_release(&b);
        UL_TRY(s);
    }
    return UL_OK;
}

static int32_t doc_of(const ul_batch *b, int32_t token, int32_t d)
{
    while (b->doc_start[d + 1] <= token) d++;
    return d;
}

/* Logits of withheld rows become those of the refusal; all others stay. */
static void withhold(void *user, const ul_backend *be, const ul_mix_rows *rows)
{
    const withholding *w = user;
    const ul_batch *b = rows->batch;
    int32_t d = 0;
    for (int64_t i = 0; i < rows->n; i++) {
        const int32_t t = b->row[rows->first + i];
        d = doc_of(b, t, d);
        const int64_t id = b->doc_id[d];
        const int32_t step = b->pos[t] + 1 - w->n_prompt[id];
        if (!w->withheld[id] || step < 0) continue;
        const int32_t token = w->refusal[step < w->n_refusal ? step : w->n_refusal - 1];
        for (int32_t v = 0; v < rows->V; v++)
            ul_real_put(rows->z, i * rows->V + v, be->k->esize, v == token ? 0 : -w->nats);
    }
}

static ul_status refusal(ul_guard_file *g, ul_arena *arena, withholding *w)
{
    const char *text = ul_txt(&g->args, "refusal");
    const int32_t eos = ul_tokenizer_special(g->tok).eos;
    ul_ids ids;
    if (eos < 0)
        return ul_fail(g->ctx, UL_E_INPUT, "%s: has no end-of-sequence token, a refusal could not end",
                       ul_tokenizer_path(g->tok));
    ul_ids_init(&ids, g->ctx);
    ul_status s = ul_encode(g->ctx, g->tok, text, strlen(text), false, &ids);
    if (s == UL_OK && !(w->refusal = UL_NEW(arena, int32_t, ids.n + 1))) s = UL_E_RESOURCE;
    for (size_t i = 0; s == UL_OK && i < ids.n; i++) w->refusal[w->n_refusal++] = ids.id[i];
    ul_ids_release(&ids);
    UL_TRY(s);
    w->refusal[w->n_refusal++] = eos;
    return UL_OK;
}

static ul_status prepare(ul_guard_file *g, ul_arena *arena, ul_guarded *io)
{
    const known *k = g->state;
    const int64_t n = io->records->n;
    uint8_t *withheld = UL_NEW(arena, uint8_t, n);
    withholding *w = UL_NEW(arena, withholding, 1);
    ul_mix *mix = UL_NEW(arena, ul_mix, 1);
    int32_t *n_prompt;
    UL_NEED(withheld && w && mix ? w : NULL);
    if (strcmp(ul_txt(&g->args, "side"), "output")) {
        if (by_states(&g->args)) UL_TRY(check_states(g, arena, io, withheld));
        for (int64_t i = 0; i < n && !by_states(&g->args); i++)
            withheld[i] = ul_guard_mentions(io->records->at[i].prompt, k->word, k->n_word);
    }
    if (checks_output(&g->args)) UL_TRY(check_answers(g, arena, io, withheld));
    if (!memchr(withheld, 1, (size_t)n)) return UL_OK;
    UL_TRY(ul_guard_prompt_lengths(g, arena, io, &n_prompt));
    *w = (withholding){.withheld = withheld, .n_prompt = n_prompt, .nats = ul_num(&g->args, "nats")};
    UL_TRY(refusal(g, arena, w));
    *mix = (ul_mix){.fn = withhold, .slope = 1, .user = w};
    io->mix = mix;
    return UL_OK;
}

static const ul_runs runs[] = {
    {.what = "words that forget rows have and no retain row has", .kind = UL_RUNS_NO_PASS},
    {.what = "states of forget prompts", .kind = UL_RUNS_FORWARD, .when = "by=states", .blocks = "layer"},
    {.what = "states of retain prompts", .kind = UL_RUNS_FORWARD, .docs = UL_RETAIN, .when = "by=states",
     .blocks = "layer"},
    {0}};

const ul_guard ul_guard_filter = {
    .method = {.title = "Input/output filter",
               .paper = "arXiv:2403.03329",
               .note = "Withholds answers to prompts that look like the forget set. The baseline that any other "
                       "suppression must beat.",
               .intent = UL_SUPPRESSION,
               .level = UL_LEVEL_IO,
               .params = params,
               .needs = UL_NEED_FORGET | UL_NEED_RETAIN},
    .fit = fit,
    .runs = runs,
    .open = open,
    .prepare = prepare,
};
