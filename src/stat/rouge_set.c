/* rouge_set.c - ROUGE-L as the package "rouge" (pltrdy) computes it, which RWKU and ConceptVectors use:
 * case-sensitive, sentences end at ".", words at white space, and everything counts once: with U = the union over
 * pairs of sentences of the words of their longest common subsequence, recall = |U| / |words of the reference|,
 * precision = |U| / |words of the text|, f1 = 2 p r / (p + r + 1e-8). Of several longest subsequences the one that
 * its backtracking finds. */
#include "stat/stat.h"
#include <string.h>

/* Sentences of words; a sentence of white space is one empty word. word[first[s]] .. word[first[s + 1] - 1]. */
typedef struct {
    const char **word;
    int *first, n;
} sentences;

static bool is_space(char c)
{
    return strchr(" \t\n\v\f\r", c) && c;
}

static ul_status split(ul_arena *a, const char *text, sentences *out)
{
    const size_t len = strlen(text);
    int k = 0;
    *out = (sentences){UL_NEW(a, const char *, len + 1), UL_NEW(a, int, len + 2), 0};
    UL_NEED(out->word);
    UL_NEED(out->first);
    for (const char *p = text; *p;) {
        const size_t n = strcspn(p, ".");
        if (n) {
            const int begin = k;
            for (const char *q = p; q < p + n;) {
                while (q < p + n && is_space(*q)) q++;
                const char *word = q;
                while (q < p + n && !is_space(*q)) q++;
                if (q > word) UL_NEED(out->word[k++] = ul_strndup(a, word, (size_t)(q - word)));
            }
            if (k == begin) out->word[k++] = "";
            out->first[++out->n] = k;
        }
        p += n + (p[n] == '.');
    }
    return UL_OK;
}

static bool holds(const char *const *set, int n, const char *word)
{
    for (int i = 0; i < n; i++)
        if (!strcmp(set[i], word)) return true;
    return false;
}

static int distinct(const char *const *word, int n)
{
    int k = 0;
    for (int i = 0; i < n; i++) k += !holds(word, i, word[i]);
    return k;
}

/* Adds the words of the longest common subsequence of x and y to the set. */
static ul_status add_common(ul_arena *a, const char *const *x, int n, const char *const *y, int m, const char **set,
                            int *n_set)
{
    int *t = UL_NEW(a, int, (size_t)(n + 1) * (size_t)(m + 1)); /* zeros */
    UL_NEED(t);
    const int w = m + 1;
    for (int i = 1; i <= n; i++)
        for (int j = 1; j <= m; j++)
            t[i * w + j] = !strcmp(x[i - 1], y[j - 1])             ? t[(i - 1) * w + j - 1] + 1
                           : t[(i - 1) * w + j] > t[i * w + j - 1] ? t[(i - 1) * w + j]
                                                                   : t[i * w + j - 1];
    for (int i = n, j = m; i > 0 && j > 0;) {
        if (!strcmp(x[i - 1], y[j - 1])) {
            if (!holds(set, *n_set, x[i - 1])) set[(*n_set)++] = x[i - 1];
            i--, j--;
        } else if (t[(i - 1) * w + j] > t[i * w + j - 1]) {
            i--;
        } else {
            j--;
        }
    }
    return UL_OK;
}

ul_status ul_rouge_set(ul_arena *scratch, const char *reference, const char *text, ul_prf *out)
{
    sentences r, h;
    int n_set = 0;
    *out = (ul_prf){0, 0, 0};
    UL_TRY(split(scratch, reference, &r));
    UL_TRY(split(scratch, text, &h));
    const int n = r.first[r.n], m = h.first[h.n];
    if (!n || !m) return UL_OK;
    const char **set = UL_NEW(scratch, const char *, n);
    UL_NEED(set);
    for (int i = 0; i < r.n; i++)
        for (int j = 0; j < h.n; j++)
            UL_TRY(add_common(scratch, r.word + r.first[i], r.first[i + 1] - r.first[i], h.word + h.first[j],
                              h.first[j + 1] - h.first[j], set, &n_set));
    out->recall = (double)n_set / distinct(r.word, n);
    out->precision = (double)n_set / distinct(h.word, m);
    out->f1 = 2 * (out->recall * out->precision / (out->recall + out->precision + 1e-8));
    return UL_OK;
}
