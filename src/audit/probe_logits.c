/* probe_logits.c - what the logits give away while the words do not (E12, K6):
 * a refusal or another format moves the first place only.
 *
 *   candidates  share of the answer's tokens that are among the B likeliest at their place
 *               (Patil et al., arXiv 2309.17410)
 *   letters     the options are listed and the letter with the highest log p(letter) - mean over rows of log p(letter)
 *               is taken: the mean calibrates away a taste for one letter (arXiv 2410.08827) */
#include "audit/battery.h"
#include <math.h>

enum { MOST_LETTER = 8, MOST_LOGITS = 1 << 24 };

/* ---- candidates -------------------------------------------------------------------------------------------------- */
static int64_t above(const void *logits, size_t esize, int64_t n, int64_t label)
{
    int64_t k = 0;
    for (int64_t v = 0; v < n; v++)
        k += esize == 8 ? ((const double *)logits)[v] > ((const double *)logits)[label]
                        : ((const float *)logits)[v] > ((const float *)logits)[label];
    return k;
}

static ul_status among_likeliest(const ul_probing *p, ul_arena *scratch, const ul_records *in, double **out)
{
    const ul_audit *a = p->audit;
    const int64_t V = ul_model_shape(p->model)->V, most = (int64_t)ul_num(a->attack, "candidates");
    const size_t esize = ul_model_backend(p->model)->k->esize;
    const int32_t eos = ul_tokenizer_special(a->o.tok).eos;
    UL_NEED(*out = UL_NEW(a->arena, double, in->n));
    for (int64_t i = 0; i < in->n; i++) {
        ul_doc d;
        const ul_doc *list = &d;
        bool cut = false;
        ul_batch *batch;
        UL_TRY(ul_doc_build(a->ctx, scratch, a->o.tok, &a->o.tpl, in->at[i].prompt, in->at[i].answer, i, 0, &d, &cut));
        UL_TRY(ul_pack_docs(a->ctx, scratch, &list, 1, false, &batch));
        const int32_t n = batch->n_row - (batch->n_row > 1 && batch->label[batch->n_row - 1] == eos);
        if (n < 1 || batch->n_row * V > MOST_LOGITS)
            return ul_fail(a->ctx, UL_E_INPUT,
                           "%s:%lld: an answer of %d scored tokens cannot be ranked among %lld candidates", in->path,
                           (long long)in->at[i].line, batch->n_row, (long long)V);
        char *z = ul_alloc_raw(scratch, (size_t)(batch->n_row * V), esize);
        UL_NEED(z);
        UL_TRY(ul_model_logits(a->ctx, p->model, batch, z));
        int64_t hit = 0;
        for (int32_t r = 0; r < n; r++) hit += above(z + (size_t)(r * V) * esize, esize, V, batch->label[r]) < most;
        (*out)[i] = (double)hit / n;
        ul_arena_reset(scratch);
    }
    return UL_OK;
}

ul_status ul_probe_candidates(const ul_probing *p, const ul_probe *probe, ul_probed *out)
{
    const ul_audit *a = p->audit;
    ul_arena *scratch;
    (void)probe;
    out->retain = NAN;
    if (p->guard) return UL_OK; /* it reads the model's own logits, which are not what is served */
    UL_TRY(ul_arena_new(a->ctx, "candidates", &scratch));
    ul_status s = among_likeliest(p, scratch, a->forget, &out->forget);
    if (s == UL_OK && a->phantom) s = among_likeliest(p, scratch, a->phantom, &out->phantom);
    ul_arena_free(scratch);
    out->ran = s == UL_OK;
    return s;
}

/* ---- letters ----------------------------------------------------------------------------------------------------- */
char *ul_ask_listed(const ul_audit *a, ul_arena *arena, const ul_record *r, int64_t i, int n, int *truth)
{
    int64_t order[MOST_LETTER];
    char *text = ul_strdup(arena, r->prompt);
    ul_rng_permutation(a->seed, UL_STREAM_SAMPLE, 2000 + (uint64_t)i, n, order);
    for (int k = 0; text && k < n; k++) {
        if (order[k] == 0) *truth = k;
        text = ul_format(arena, "%s\n%c. %s", text, 'A' + k, order[k] ? r->wrong[order[k] - 1] : r->answer);
    }
    return text ? ul_ask_plain(a, arena, text) : NULL;
}

static ul_status choose(const ul_probing *p, ul_arena *scratch, const ul_records *in, double **out)
{
    static const char *const letters[MOST_LETTER] = {"A", "B", "C", "D", "E", "F", "G", "H"};
    const ul_audit *a = p->audit;
    const ul_eval_options o = ul_ask_options(p);
    int *truth = UL_NEW(scratch, int, in->n), n = (int)ul_num(a->attack, "letters");
    double mean[MOST_LETTER] = {0};
    ul_record *row = UL_NEW(scratch, ul_record, in->n);
    ul_records asked = *in;
    ul_columns c;
    UL_NEED(truth);
    UL_NEED(row);
    UL_NEED(*out = UL_NEW(a->arena, double, in->n));
    for (int64_t i = 0; i < in->n; i++) n = in->at[i].n_wrong + 1 < n ? in->at[i].n_wrong + 1 : n;
    for (int64_t i = 0; i < in->n; i++) {
        row[i] = in->at[i];
        UL_NEED(row[i].prompt = ul_ask_listed(a, scratch, &in->at[i], i, n, &truth[i]));
        row[i].wrong = letters;
        row[i].n_wrong = n;
    }
    asked.at = row;
    UL_TRY(ul_columns_score(a->ctx, scratch, &o, &asked, UL_WHICH_WRONG, "letters", &c));
    for (int64_t i = 0; i < in->n; i++)
        for (int k = 0; k < n; k++) {
            if (c.token[i * n + k + 1] == c.token[i * n + k])
                return ul_fail(a->ctx, UL_E_INPUT,
                               "%s:%lld: the listed options leave no room for a letter (--max-length)", in->path,
                               (long long)in->at[i].line);
            mean[k] += c.logp[c.token[i * n + k]] / (double)in->n;
        }
    for (int64_t i = 0; i < in->n; i++) {
        const double own = c.logp[c.token[i * n + truth[i]]] - mean[truth[i]];
        (*out)[i] = 1;
        for (int k = 0; k < n; k++) /* a tie is wrong */
            if (k != truth[i] && !(own > c.logp[c.token[i * n + k]] - mean[k])) (*out)[i] = 0;
    }
    return UL_OK;
}

ul_status ul_probe_letters(const ul_probing *p, const ul_probe *probe, ul_probed *out)
{
    const ul_audit *a = p->audit;
    ul_arena *scratch;
    bool fits = true;
    (void)probe;
    out->retain = NAN;
    UL_TRY(ul_arena_new(a->ctx, "letters", &scratch));
    ul_status s = UL_OK;
    /* All or none: the letters are calibrated over the rows. */
    for (int64_t i = 0; s == UL_OK && fits && i < a->forget->n; i++) {
        int truth;
        const int n = a->forget->at[i].n_wrong + 1, most = (int)ul_num(a->attack, "letters");
        const char *text = ul_ask_listed(a, scratch, &a->forget->at[i], i, n < most ? n : most, &truth);
        s = text ? ul_ask_fits(p, text, &a->forget->at[i], &fits) : UL_E_RESOURCE;
    }
    if (s == UL_OK && fits) s = choose(p, scratch, a->forget, &out->forget);
    if (s == UL_OK && fits && a->phantom) s = choose(p, scratch, a->phantom, &out->phantom);
    ul_arena_free(scratch);
    out->ran = s == UL_OK && fits;
    return s;
}
