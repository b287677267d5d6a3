/* eco.c - embedding-corrupted prompts: a classifier reads the prompt; where it sees the forget set,
 * the prompt's embeddings are spoilt before the first block.
 *
 *   corrupted = p(forget | prompt) > threshold (one half, or more if the retain prompts' `fpr` asks it),
 *   p = sigmoid(w x + b), x = mean hidden state of the prompt after `layer` blocks
 *   noise:  e <- e + strength rms n,  n ~ N(0, 1) at (seed, position, channel), rms of the embedding matrix
 *   zero:   e <- (1 - strength) e          flip:  e <- (1 - 2 strength) e       of the first `first` channels (0: all)
 *
 * Liu et al. 2024, "Large Language Model Unlearning via Embedding-Corrupted Prompts", arXiv:2406.07933.
 * There a fine-tuned encoder classifies prompts and a second one picks the tokens (without it: all but the last,
 * as here), and strength is searched so that a retrained model's outputs are matched; here the classifier is a logistic
 * regression and strength is given. Tokens of the answer are never touched: the guard acts when the prompt is read.
 * By words instead, a prompt is corrupted when it holds a word of two forget rows or more that
 * no retain row has (as filter does).
 * Traps: the regression is linear in a mean over all tokens: in a small model one name among twenty tokens
 * hardly moves it (tofu-656k: 15 % of the forget prompts at 1 % of the retain prompts), so words are the default.
 * With learned positions (gpt2) the embedding that is spoilt has them in it; the classifier only knows
 * prompts that look like those it has seen. */
#include "guard/guard.h"
#include "stat/stat.h"
#include <math.h>
#include <string.h>

static const ul_param params[] = {
    {"strength", UL_REAL, 1, 0, 1e6, NULL, "of the corruption; 0: the guard does nothing", NULL},
    {"kind", UL_TEXT, 0, 0, 0, "noise|zero|flip", "what is done to the embeddings", "noise"},
    {"first", UL_INT, 0, 0, 1 << 20, "channels", "only the first channels; 0: all", NULL},
    {"by", UL_TEXT, 0, 0, 0, "states|words",
     "the classifier: a regression on hidden states, or words of the forget set that no retain row has", "words"},
    {"layer", UL_INT, 1, 0, 1000, "blocks", "the classifier reads hidden states after so many blocks", NULL},
    {"fpr", UL_REAL, 0.01, 0, 1, NULL, "share of the retain prompts that is corrupted at most: it sets the threshold",
     NULL},
    {"seed", UL_INT, 0, 0, 9e15, NULL, "of the noise", NULL},
    {0}};

/* What the hook reads: whose prompts are spoilt, how long they are. */
typedef struct {
    const ul_args *args;
    const uint8_t *spoilt;
    const int32_t *n_prompt;
    double rms;
    int32_t C;
    size_t esize;
} spoiling;

/* ---- the classifier ---------------------------------------------------------------------------------------------- */
/* Weights of a logistic regression over the rows of x [n + m, c], the first n of class 1; classes weigh the same, a
 * ridge keeps the weights finite where the classes come apart. x is standardised in place; w [c + 1] is for the raw
 * numbers, the bias last. Nesterov's accelerated gradient descent from 0, its step the inverse of a bound of the
 * curvature (a quarter of the weighted mean of |x|^2 + 1, and the ridge): nothing to tune, nothing random. */
static ul_status regress(ul_work *work, double *x, int64_t n, int64_t m, int64_t c, double *w)
{
    enum { STEPS = 500 };
    const double ridge = 1e-3;
    ul_arena *arena = work->arena;
    double *mean = UL_NEW(arena, double, c), *scale = UL_NEW(arena, double, c), *grad = UL_NEW(arena, double, c + 1);
    double *ahead = UL_NEW(arena, double, c + 1), bound = 0.25 + ridge;
    const ul_guard_array state[] = {{"weight", w, c + 1}, {"ahead", ahead, c + 1}};
    ul_guard_kept kept;
    int64_t done;
    UL_NEED(mean && scale && grad && ahead ? grad : NULL);
    for (int64_t j = 0; j < c; j++) {
        for (int64_t i = 0; i < n + m; i++) mean[j] += x[i * c + j] / (double)(n + m);
        for (int64_t i = 0; i < n + m; i++)
            x[i * c + j] -= mean[j], scale[j] += x[i * c + j] * x[i * c + j] / (double)(n + m);
        scale[j] = scale[j] > 0 ? 1 / sqrt(scale[j]) : 0;
        for (int64_t i = 0; i < n + m; i++)
            x[i * c + j] *= scale[j], bound += x[i * c + j] * x[i * c + j] / (8 * (double)(i < n ? n : m));
    }
    memset(w, 0, (size_t)(c + 1) * sizeof *w);
    UL_TRY(ul_guard_kept_open(work, "regression", state, 2, &kept, &done));
    for (int64_t step = done > 0 ? done : 0; step < STEPS; step++) {
        memset(grad, 0, (size_t)(c + 1) * sizeof *grad);
        for (int64_t i = 0; i < n + m; i++) {
            double s = ahead[c];
            for (int64_t j = 0; j < c; j++) s += ahead[j] * x[i * c + j];
            const double g = i < n ? (ul_sigmoid(s) - 1) / (2 * (double)n) : ul_sigmoid(s) / (2 * (double)m);
            for (int64_t j = 0; j < c; j++) grad[j] += g * x[i * c + j];
            grad[c] += g;
        }
        for (int64_t j = 0; j <= c; j++) {
            const double before = w[j];
            w[j] = ahead[j] - (grad[j] + ridge * ahead[j]) / bound;
            ahead[j] = w[j] + (double)step / ((double)step + 3.0) * (w[j] - before);
        }
        UL_TRY(ul_guard_kept_step(&kept, step + 1, STEPS));
    }
    for (int64_t j = 0; j < c; j++) w[j] *= scale[j], w[c] -= w[j] * mean[j];
    return UL_OK;
}

static double probability(const double *w, const double *x, int64_t c)
{
    double s = w[c];
    for (int64_t j = 0; j < c; j++) s += w[j] * x[j];
    return ul_sigmoid(s);
}

static bool by_words(const ul_args *a)
{
    return !strcmp(ul_txt(a, "by"), "words");
}

static ul_status fit_words(ul_guard_fit *f)
{
    enum { LEAST = 2, MOST = 2000 };
    ul_work *w = f->work;
    const char **words;
    int64_t n;
    UL_TRY(ul_guard_subjects(w->arena, w->forget_rows, w->retain_rows, false, LEAST, MOST, &words, &n));
    UL_TRY(ul_guard_texts_put(w->ctx, f->data, "words", words, n));
    return ul_buf_printf(w->report, "prompts that hold one of %lld words are corrupted\n", (long long)n);
}

/* x [n + m, c]: of all forget prompts, then of all retain prompts; read once, and kept for a resume. */
static ul_status states(ul_work *w, double *x)
{
    const int layer = (int)ul_num(w->args, "layer");
    const int64_t c = ul_model_shape(w->model)->C, n = w->forget_rows->n, m = w->retain_rows->n;
    const ul_guard_array state[] = {{"states", x, (n + m) * c}};
    double *a, *b;
    ul_guard_kept kept;
    int64_t done;
    UL_TRY(ul_guard_kept_open(w, "states", state, 1, &kept, &done));
    if (done >= 0) return UL_OK;
    UL_TRY(ul_guard_states(w->ctx, w->arena, w->model, w->tok, w->tpl, w->forget_rows, layer, &a));
    UL_TRY(ul_guard_states(w->ctx, w->arena, w->model, w->tok, w->tpl, w->retain_rows, layer, &b));
    memcpy(x, a, (size_t)(n * c) * sizeof *x);
    memcpy(x + n * c, b, (size_t)(m * c) * sizeof *x);
    return ul_guard_kept_save(&kept, 0);
}

static ul_status fit(ul_guard_fit *f)
{
    ul_work *w = f->work;
    if (by_words(w->args)) return fit_words(f);
    const int64_t c = ul_model_shape(w->model)->C, n = w->forget_rows->n, m = w->retain_rows->n;
    double *a = UL_NEW(w->arena, double, (n + m) * c), *x = UL_NEW(w->arena, double, (n + m) * c);
    double *weight = UL_NEW(w->arena, double, c + 1);
    int64_t hit = 0, wrong = 0;
    UL_NEED(a);
    UL_NEED(x);
    UL_NEED(weight);
    UL_TRY(states(w, a));
    const double *b = a + n * c;
    memcpy(x, a, (size_t)((n + m) * c) * sizeof *x);
    UL_TRY(regress(w, x, n, m, c, weight));
    double *score = UL_NEW(w->arena, double, m);
    UL_NEED(score);
    for (int64_t i = 0; i < m; i++) score[i] = probability(weight, b + i * c, c);
    ul_sort(score, m);
    const double threshold = fmax(ul_quantile(score, m, 1 - ul_num(w->args, "fpr")), 0.5);
    for (int64_t i = 0; i < n; i++) hit += probability(weight, a + i * c, c) > threshold;
    for (int64_t i = 0; i < m; i++) wrong += score[i] > threshold;
    json_object_set_new(f->data, "threshold", json_real(threshold));
    f->tensor[f->n_tensor++] = (ul_tensor){.name = "classifier",
                                           .dtype = UL_DT_F64,
                                           .n_dim = 1,
                                           .dim = {c + 1},
                                           .data = weight,
                                           .bytes = (size_t)(c + 1) * sizeof *weight};
    return ul_buf_printf(
        w->report,
        "the classifier corrupts %lld of %lld forget prompts and %lld of %lld retain prompts (those it was made of)\n",
        (long long)hit, (long long)n, (long long)wrong, (long long)m);
}

/* ---- use --------------------------------------------------------------------------------------------------------- */
typedef struct {
    const char **word;
    int64_t n;
} known_words;

static ul_status open_words(ul_guard_file *g)
{
    known_words *k = UL_NEW(g->arena, known_words, 1);
    UL_NEED(k);
    g->state = k;
    return ul_guard_texts_get(g, "words", &k->word, &k->n);
}

static ul_status open(ul_guard_file *g)
{
    if (by_words(&g->args)) return open_words(g);
    const int64_t c = ul_model_shape(g->model)->C;
    const ul_tensor *t;
    double *w = UL_NEW(g->arena, double, c + 2); /* the threshold behind them */
    UL_NEED(w);
    UL_TRY(ul_json_real(g->ctx, g->data, g->path, "threshold", UL_REQUIRED, &w[c + 1]));
    if (!g->weights) return ul_fail(g->ctx, UL_E_INPUT, "%s: names no weights, and eco has a classifier", g->path);
    UL_TRY(ul_tensors_need(g->ctx, g->weights, "classifier", &t));
    if (ul_tensor_count(t) != c + 1)
        return ul_fail(g->ctx, UL_E_INPUT,
                       "%s: tensor \"classifier\" has %lld numbers, the model's states and a bias make %lld", t->file,
                       (long long)ul_tensor_count(t), (long long)c + 1);
    g->state = w;
    return ul_tensor_f64(g->ctx, t, 0, c + 1, w);
}

static ul_status spoil(void *user, int layer, const ul_batch *b, void *x)
{
    const spoiling *s = user;
    const double strength = ul_num(s->args, "strength");
    const char kind = ul_txt(s->args, "kind")[0];
    const uint64_t seed = (uint64_t)ul_num(s->args, "seed");
    const int32_t first = (int32_t)ul_num(s->args, "first"), n = first && first < s->C ? first : s->C;
    (void)layer;
    for (int32_t d = 0; d < b->n_doc; d++)
        for (int32_t t = b->doc_start[d]; s->spoilt[b->doc_id[d]] && t < b->doc_start[d + 1]; t++) {
            if (b->pos[t] >= s->n_prompt[b->doc_id[d]] - 1) continue; /* the last token of the prompt, and the answer */
            for (int32_t j = 0; j < n; j++) {
                const int64_t at = (int64_t)t * s->C + j;
                const double e = ul_real_at(x, at, s->esize);
                ul_real_put(x, at, s->esize,
                            kind == 'n' ? e + strength * s->rms *
                                                  ul_rng_normal(seed, UL_STREAM_NOISE, (uint64_t)b->pos[t], (uint64_t)j)
                            : kind == 'z' ? (1 - strength) * e
                                          : (1 - 2 * strength) * e);
            }
        }
    return UL_OK;
}

static double embedding_rms(ul_model *m)
{
    ul_weight *w;
    const ul_backend *be = ul_model_backend(m);
    const int n = ul_model_weights(m, &w);
    for (int i = 0; i < n; i++)
        if (w[i].is_embedding)
            return sqrt(be->k->sum_squares(be, w[i].rows * w[i].cols, w[i].p) / (double)(w[i].rows * w[i].cols));
    return 1;
}

static ul_status prepare(ul_guard_file *g, ul_arena *arena, ul_guarded *io)
{
    const int64_t n = io->records->n, c = ul_model_shape(g->model)->C;
    spoiling *s = UL_NEW(arena, spoiling, 1);
    uint8_t *spoilt = UL_NEW(arena, uint8_t, n);
    int32_t *n_prompt;
    UL_NEED(s);
    UL_NEED(spoilt);
    if (ul_num(&g->args, "strength") == 0) return UL_OK;
    if (by_words(&g->args)) {
        const known_words *k = g->state;
        for (int64_t i = 0; i < n; i++) spoilt[i] = ul_guard_mentions(io->records->at[i].prompt, k->word, k->n);
    } else {
        const double *w = g->state;
        double *x;
        UL_TRY(ul_guard_states(g->ctx, arena, g->model, g->tok, &io->tpl, io->records, (int)ul_num(&g->args, "layer"),
                               &x));
        for (int64_t i = 0; i < n; i++) spoilt[i] = probability(w, x + i * c, c) > w[c + 1];
    }
    UL_TRY(ul_guard_prompt_lengths(g, arena, io, &n_prompt));
    *s = (spoiling){
        &g->args, spoilt, n_prompt, embedding_rms(g->model), (int32_t)c, ul_model_backend(g->model)->k->esize};
    io->hook[io->n_hook++] = (ul_hook){.layer = 0, .slot = UL_SLOT_IN, .mode = UL_HOOK_REPLACE, .fn = spoil, .user = s};
    return UL_OK;
}

static const ul_runs runs[] = {
    {.what = "words that forget rows have and no retain row has", .kind = UL_RUNS_NO_PASS, .when = "by=words"},
    {.what = "states of forget prompts", .kind = UL_RUNS_FORWARD, .when = "by=states", .blocks = "layer"},
    {.what = "states of retain prompts", .kind = UL_RUNS_FORWARD, .docs = UL_RETAIN, .when = "by=states",
     .blocks = "layer"},
    {.what = "regression on them", .kind = UL_RUNS_NO_PASS, .when = "by=states"},
    {0}};

const ul_guard ul_guard_eco = {
    .method = {.title = "Embedding-corrupted prompts",
               .paper = "arXiv:2406.07933",
               .note = "A classifier of prompts; those it takes for the forget set are read with spoilt embeddings.",
               .intent = UL_SUPPRESSION,
               .level = UL_LEVEL_IO,
               .params = params,
               .needs = UL_NEED_FORGET | UL_NEED_RETAIN},
    .fit = fit,
    .runs = runs,
    .open = open,
    .prepare = prepare,
};
