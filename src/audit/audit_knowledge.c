/* audit_knowledge.c - what a model knows of a set of rows, in columns of [0, 1] (metrics.md 16.1).
 *
 *   K1  first: mean log p(truth) > mean log p(wrong) for every wrong answer. Does not depend on how an answer is
 *       worded, refused or formatted (the end-of-sequence token does not count); chance is 1 / (1 + wrong answers);
 *       a collapsed model ties and a tie is wrong.
 *   K2  c / (c + w), c = exp(mean log p(truth)), w = geometric mean of the wrong ones' (open-unlearning's prob_mean)
 *   K3  1 - k / T, k = the least number of answer tokens after which every further one is the likeliest
 *       (Carlini et al. 2021)
 *   K4  exp(mean log p(truth))
 *   K5  said: recall of novel words in the greedy answer; a word that the question holds proves nothing */
#include "audit/battery.h"
#include <math.h>
#include <string.h>

/* ---- words ------------------------------------------------------------------------------------------------------ */
static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

/* Where `*at` then points there are so many bytes of letters and digits. */
size_t ul_word_next(const char **at)
{
    while (**at && !ul_is_word_byte(**at)) (*at)++;
    size_t n = 0;
    while (ul_is_word_byte((*at)[n])) n++;
    return n;
}

bool ul_word_same(const char *a, const char *b, size_t n)
{
    size_t i = 0;
    while (i < n && lower(a[i]) == lower(b[i])) i++;
    return i == n;
}

static bool holds(const char *text, const char *word, size_t n)
{
    for (size_t k; (k = ul_word_next(&text)) > 0; text += k)
        if (k == n && ul_word_same(text, word, n)) return true;
    return false;
}

int64_t ul_novel_words(const char *question, const char *truth)
{
    int64_t n = 0;
    for (size_t k; (k = ul_word_next(&truth)) > 0; truth += k) n += !question || !holds(question, truth, k);
    return n;
}

static double recall(const char *question, const char *truth, const char *text, int64_t *n)
{
    int64_t hit = 0;
    *n = 0;
    for (size_t k; (k = ul_word_next(&truth)) > 0; truth += k) {
        if (question && holds(question, truth, k)) continue;
        hit += holds(text, truth, k);
        ++*n;
    }
    return *n ? (double)hit / (double)*n : 0;
}

double ul_novel_recall(const char *question, const char *truth, const char *text)
{
    int64_t n;
    const double novel = recall(question, truth, text, &n);
    return n ? novel : recall(NULL, truth, text, &n);
}

/* ---- wrong answers ----------------------------------------------------------------------------------------------- */
static bool offered(const ul_record *r, const char *const *wrong, int32_t n, const char *answer)
{
    if (!strcmp(r->answer, answer)) return true;
    for (int32_t k = 0; k < n; k++)
        if (!strcmp(wrong[k], answer)) return true;
    return false;
}

static ul_status draw_options(ul_ctx *ctx, ul_arena *arena, const ul_records *in, int64_t row, uint64_t seed, int32_t n,
                              int64_t *order, ul_record *r)
{
    const char **wrong = UL_NEW(arena, const char *, n);
    UL_NEED(wrong);
    ul_rng_permutation(seed, UL_STREAM_ALT, (uint64_t)row, in->n, order);
    int32_t have = 0;
    for (int64_t i = 0; i < in->n && have < n; i++) {
        const char *answer = in->at[order[i]].answer;
        if (answer && !offered(r, wrong, have, answer)) wrong[have++] = answer;
    }
    if (have < 2)
        return ul_fail(
            ctx, UL_E_INPUT,
            "%s:%lld: the row has no wrong answers (field \"perturbed_answer\"), and the other rows of the set "
            "hold %d answers that differ from its own; ranking needs 2",
            in->path, (long long)r->line, have);
    r->wrong = wrong;
    r->n_wrong = have;
    return UL_OK;
}

ul_status ul_knowledge_options(ul_ctx *ctx, ul_arena *arena, const ul_records *in, uint64_t seed, int32_t n,
                               ul_records **out)
{
    ul_record *rows = UL_NEW(arena, ul_record, in->n);
    ul_records *r = UL_NEW(arena, ul_records, 1);
    UL_NEED(rows);
    UL_NEED(r);
    int64_t *order = UL_NEW(arena, int64_t, in->n);
    UL_NEED(order);
    for (int64_t i = 0; i < in->n; i++) {
        rows[i] = in->at[i];
        if (!rows[i].answer || !rows[i].prompt)
            return ul_fail(ctx, UL_E_INPUT, "%s:%lld: an audit asks questions; the row has no %s", in->path,
                           (long long)rows[i].line, rows[i].prompt ? "answer" : "prompt (question)");
        if (rows[i].n_wrong == 0) UL_TRY(draw_options(ctx, arena, in, i, seed, n, order, &rows[i]));
    }
    *r = *in;
    r->at = rows;
    *out = r;
    return UL_OK;
}

/* ---- columns ----------------------------------------------------------------------------------------------------- */
/* Over the answer's own tokens: the end-of-sequence token behind it is format, not knowledge. */
static double mean_logp(const ul_columns *c, int64_t answer)
{
    const int64_t all = c->token[answer + 1] - c->token[answer],
                  n = all - (all > 1 && c->eos_last && c->eos_last[answer]);
    double sum = 0;
    for (int64_t t = c->token[answer]; t < c->token[answer] + n; t++) sum += c->logp[t];
    return n > 0 ? sum / (double)n : NAN;
}

void ul_knowledge_ranks(const ul_columns *right, const ul_columns *wrong, double *first, double *last)
{
    for (int64_t i = 0; i < right->n_row; i++) {
        const double truth = mean_logp(right, i);
        bool best = true, worst = true;
        for (int64_t k = wrong->first[i]; k < wrong->first[i + 1]; k++) {
            const double w = mean_logp(wrong, k);
            best &= truth > w;
            worst &= truth < w;
        }
        first[i] = best;
        if (last) last[i] = worst;
    }
}

double ul_knowledge_extraction(const uint8_t *hit, int64_t n)
{
    int64_t k = n;
    while (k > 0 && hit[k - 1]) k--;
    return n > 0 ? 1 - (double)k / (double)n : 0;
}

static ul_status rest(ul_ctx *ctx, ul_arena *arena, ul_arena *scratch, const ul_eval_options *o,
                      const ul_records *records, const ul_columns *right, const ul_columns *wrong, ul_knowledge *k)
{
    ul_columns said = {.name = right->name};
    UL_TRY(ul_columns_generate(ctx, scratch, o, records, &said));
    const char **answer = UL_NEW(arena, const char *, k->n);
    UL_NEED(answer);
    for (int64_t i = 0; i < k->n; i++) {
        double w = 0;
        for (int64_t j = wrong->first[i]; j < wrong->first[i + 1]; j++)
            w += mean_logp(wrong, j) / (double)(wrong->first[i + 1] - wrong->first[i]);
        const int64_t n = right->token[i + 1] - right->token[i] - (right->eos_last && right->eos_last[i]);
        k->prob[i] = ul_exp(mean_logp(right, i));
        k->wrong[i] = ul_exp(w);
        k->preference[i] = ul_sigmoid(mean_logp(right, i) - w);
        k->extraction[i] = ul_knowledge_extraction(right->hit + right->token[i], n);
        answer[i] = ul_strdup(arena, said.generation[i]);
        UL_NEED(answer[i]);
        k->said[i] = ul_novel_recall(records->at[i].prompt, records->at[i].answer, answer[i]);
        k->refuses[i] = ul_says_refusal(answer[i]);
        k->silent[i] = k->refuses[i] || k->said[i] == 0;
    }
    k->answer = answer;
    return UL_OK;
}

static ul_status check_rows(ul_ctx *ctx, const ul_records *records, const ul_columns *c)
{
    for (int64_t i = 0; i < c->n_row; i++)
        for (int64_t k = c->first ? c->first[i] : i; k < (c->first ? c->first[i + 1] : i + 1); k++)
            if (c->token[k + 1] == c->token[k])
                return ul_fail(ctx, UL_E_INPUT,
                               "%s:%lld: an answer keeps no token (cut by --max-length?); it cannot be ranked",
                               records->path, (long long)records->at[i].line);
    return UL_OK;
}

static ul_status measure(ul_ctx *ctx, ul_arena *arena, ul_arena *scratch, const ul_eval_options *o,
                         const ul_records *records, bool all, ul_knowledge *out)
{
    static const int32_t which[] = {UL_WHICH_ANSWER, UL_WHICH_WRONG};
    static const char *const names[] = {"answers, true and wrong", "wrong answers"};
    ul_columns both[2];
    UL_TRY(ul_columns_score_kinds(ctx, scratch, o, records, which, 2, names, both));
    const ul_columns right = both[0], wrong = both[1];
    UL_TRY(check_rows(ctx, records, &right));
    UL_TRY(check_rows(ctx, records, &wrong));
    double **column[] = {&out->first, &out->last, &out->said, &out->preference, &out->extraction,
                          &out->prob,  &out->wrong, &out->refuses, &out->silent};
    *out = (ul_knowledge){.n = records->n};
    for (size_t i = 0; i < (all ? sizeof column / sizeof *column : 2); i++)
        UL_NEED(*column[i] = UL_NEW(arena, double, records->n));
    ul_knowledge_ranks(&right, &wrong, out->first, out->last);
    return all ? rest(ctx, arena, scratch, o, records, &right, &wrong, out) : UL_OK;
}

ul_status ul_knowledge_measure(ul_ctx *ctx, ul_arena *arena, const ul_eval_options *o, const ul_records *records,
                               bool all, ul_knowledge *out)
{
    ul_arena *scratch;
    UL_TRY(ul_arena_new(ctx, "knowledge", &scratch));
    const ul_status s = measure(ctx, arena, scratch, o, records, all, out);
    ul_arena_free(scratch);
    return s;
}
