/* rouge.c - ROUGE-1, ROUGE-2 and ROUGE-L of one text against one reference, as google-research's rouge_score 0.1.2.
 * Lin (2004), "ROUGE: a package for automatic evaluation of summaries": clipped n-gram overlap, longest common
 * subsequence; precision over the text, recall over the reference, F1 their harmonic mean. */
#include "stat/stat.h"
#include <stdlib.h>
#include <string.h>

typedef struct {
    const char *p;
    size_t n;
    int64_t place; /* in the text; in both texts together after `number` */
} token;

static int by_text(const void *pa, const void *pb)
{
    const token *a = pa, *b = pb;
    const int c = memcmp(a->p, b->p, a->n < b->n ? a->n : b->n);
    if (c) return c;
    return (a->n > b->n) - (a->n < b->n);
}

static int by_number(const void *pa, const void *pb)
{
    const int64_t a = *(const int64_t *)pa, b = *(const int64_t *)pb;
    return (a > b) - (a < b);
}

/* The lower-case letter or digit that starts here (0 = a separator) and the bytes it takes. Two characters outside
 * ASCII have one inside it as lower case: U+212A (Kelvin) is k, U+0130 is i and a combining dot. */
static char letter(const char *s, size_t *bytes)
{
    *bytes = 1;
    if (*s >= 'A' && *s <= 'Z') return (char)(*s - 'A' + 'a');
    if ((*s >= 'a' && *s <= 'z') || (*s >= '0' && *s <= '9')) return *s;
    if (s[0] == '\xe2' && s[1] == '\x84' && s[2] == '\xaa') {
        *bytes = 3;
        return 'k';
    }
    return s[0] == '\xc4' && s[1] == '\xb0' ? 'i' : 0;
}

/* Tokens of `text` are written to `out` (room: one per two bytes, rounded up), their letters to `buffer` (same length
 * as the text). */
static int64_t tokenize(const char *text, bool stem, char *buffer, token *out)
{
    int64_t n = 0;
    for (const char *s = text; *s;) {
        size_t bytes, len = 0;
        char c;
        while (*s && (c = letter(s, &bytes))) {
            buffer[len++] = c;
            s += bytes;
            if (bytes == 1 && (unsigned char)s[-1] == 0xc4) break; /* the combining dot separates */
        }
        if (len > 0) {
            if (stem && len > 3) len = ul_porter_stem(buffer, len);
            out[n] = (token){buffer, len, n};
            n++;
            buffer += len;
        } else {
            s++;
        }
    }
    return n;
}

/* id[i] for the tokens of both texts: equal exactly when the tokens are. */
static void number(token *t, int64_t n, int64_t *id)
{
    for (int64_t i = 0; i < n; i++) t[i].place = i;
    if (n > 1) qsort(t, (size_t)n, sizeof *t, by_text);
    int64_t next = 0;
    for (int64_t i = 0; i < n; i++) {
        if (i > 0 && by_text(&t[i - 1], &t[i]) != 0) next++;
        id[t[i].place] = next;
    }
}

static ul_prf scores(int64_t common, int64_t n_reference, int64_t n_text)
{
    if (n_reference <= 0 || n_text <= 0) return (ul_prf){0, 0, 0};
    ul_prf r = {(double)common / (double)n_text, (double)common / (double)n_reference, 0};
    if (r.precision + r.recall > 0) r.f1 = 2 * r.precision * r.recall / (r.precision + r.recall);
    return r;
}

/* Clipped overlap of two bags of numbers; sorts both. */
static int64_t overlap(int64_t *a, int64_t n, int64_t *b, int64_t m)
{
    if (n > 1) qsort(a, (size_t)n, sizeof *a, by_number);
    if (m > 1) qsort(b, (size_t)m, sizeof *b, by_number);
    int64_t common = 0;
    for (int64_t i = 0, j = 0; i < n && j < m;) {
        if (a[i] == b[j]) {
            common++;
            i++;
            j++;
        } else if (a[i] < b[j]) {
            i++;
        } else {
            j++;
        }
    }
    return common;
}

/* row[j] = longest common subsequence of what has been read of a, and b[0 .. j-1] */
static int64_t lcs(const int64_t *a, int64_t n, const int64_t *b, int64_t m, int64_t *row)
{
    for (int64_t j = 0; j <= m; j++) row[j] = 0;
    for (int64_t i = 0; i < n; i++) {
        int64_t diagonal = 0;
        for (int64_t j = 1; j <= m; j++) {
            const int64_t above = row[j];
            row[j] = a[i] == b[j - 1] ? diagonal + 1 : above > row[j - 1] ? above : row[j - 1];
            diagonal = above;
        }
    }
    return row[m];
}

static void score_all(int64_t *a, int64_t n, int64_t *b, int64_t m, int64_t *scratch, ul_rouge_scores *out)
{
    out->rougeL = scores(lcs(a, n, b, m, scratch), n, m);
    int64_t *a2 = scratch, *b2 = scratch + n; /* bigrams as one number: n + m is above every id */
    for (int64_t i = 0; i + 1 < n; i++) a2[i] = a[i] * (n + m) + a[i + 1];
    for (int64_t i = 0; i + 1 < m; i++) b2[i] = b[i] * (n + m) + b[i + 1];
    out->rouge2 = n && m ? scores(overlap(a2, n - 1, b2, m - 1), n - 1, m - 1) : scores(0, 0, 0);
    out->rouge1 = scores(overlap(a, n, b, m), n, m);
}

ul_status ul_rouge(ul_arena *scratch, const char *reference, const char *text, bool stem, ul_rouge_scores *out)
{
    const ul_mark mark = ul_arena_mark(scratch);
    const size_t len_r = strlen(reference), len_t = strlen(text);
    char *buffer = ul_alloc_raw(scratch, len_r + len_t + 1, 1);
    token *t = ul_alloc_raw(scratch, len_r / 2 + len_t / 2 + 2, sizeof *t);
    UL_NEED(buffer);
    UL_NEED(t);
    const int64_t n = tokenize(reference, stem, buffer, t);
    const int64_t m = tokenize(text, stem, buffer + len_r, t + n);
    int64_t *id = ul_alloc_raw(scratch, (size_t)(n + m), sizeof *id);
    int64_t *work = ul_alloc_raw(scratch, (size_t)(n + m + 1), sizeof *work);
    UL_NEED(id);
    UL_NEED(work);
    number(t, n + m, id);
    score_all(id, n, id + n, m, work, out);
    ul_arena_rewind(scratch, mark);
    return UL_OK;
}
