/* probe_emphasis.c - E6: the words of the question that the original leans on are said again (unPact, arXiv
 * 2509.24675).
 *
 *   c_w = log p_O(answer | question) - log p_O(answer | question without w)      key words: the largest (two)
 * The same key words for every model; two ways: named behind the question, repeated before it. */
#include "audit/battery.h"
#include <math.h>
#include <string.h>

enum { MOST_WORDS = 48 };

typedef struct {
    const char *at;
    size_t n;
} word;

static int split(const char *text, word *w)
{
    int n = 0;
    for (size_t k; *text && n < MOST_WORDS; text += k) {
        text += strspn(text, " \t\r\n?.,:;!");
        k = strcspn(text, " \t\r\n?.,:;!");
        if (k) w[n++] = (word){text, k};
    }
    return n;
}

/* c[0 .. n-1]; the question itself is row n. */
static ul_status lean(const ul_audit *a, ul_arena *scratch, const ul_record *row, const word *w, int n, double *c)
{
    ul_record *asked = UL_NEW(scratch, ul_record, n + 1);
    UL_NEED(asked);
    for (int k = 0; k <= n; k++) {
        asked[k] = *row;
        if (k == n) break;
        asked[k].prompt = ul_format(scratch, "%.*s%s", (int)(w[k].at - row->prompt), row->prompt, w[k].at + w[k].n);
        UL_NEED(asked[k].prompt);
    }
    const ul_records rows = {.path = "a question with a word left out", .n = n + 1, .at = asked};
    ul_eval_options o = a->o;
    ul_columns col;
    o.model = a->original;
    UL_TRY(ul_columns_score(a->ctx, scratch, &o, &rows, UL_WHICH_ANSWER, "key words", &col));
    for (int k = n; k >= 0; k--) c[k] = ul_sum(col.logp + col.token[k], col.token[k + 1] - col.token[k]);
    for (int k = 0; k < n; k++) c[k] = c[n] - c[k];
    return UL_OK;
}

/* The `most` words with the largest c, in this order, joined with spaces; of equal ones the earlier. */
static char *key_words(ul_arena *arena, const word *w, int n, const double *c, int most)
{
    bool taken[MOST_WORDS] = {false};
    char *text = ul_strdup(arena, "");
    for (int k = 0; text && k < most && k < n; k++) {
        int top = -1;
        for (int i = 0; i < n; i++)
            if (!taken[i] && (top < 0 || c[i] > c[top])) top = i;
        taken[top] = true;
        text = ul_format(arena, "%s%s%.*s", text, k ? " " : "", (int)w[top].n, w[top].at);
    }
    return text;
}

ul_status ul_ask_emphasis(const ul_probing *p, const ul_probe *probe, ul_arena *arena, const ul_records *rows,
                          int64_t i, const char **way, int *n)
{
    const ul_audit *a = p->audit;
    const char *q = rows->at[i].prompt;
    word w[MOST_WORDS];
    double c[MOST_WORDS + 1];
    ul_arena *scratch;
    (void)probe;
    if (!a->original) return UL_OK;
    const int words = split(q, w);
    UL_TRY(ul_arena_new(a->ctx, "key words", &scratch));
    const ul_status s = lean(a, scratch, &rows->at[i], w, words, c);
    ul_arena_free(scratch);
    UL_TRY(s);
    const char *key = key_words(arena, w, words, c, (int)ul_num(a->attack, "emphasis-words"));
    UL_NEED(key);
    const char *named = ul_format(arena, "%s %s %s", q, ul_txt(a->attack, "emphasis-text"), key),
               *again = ul_format(arena, "%s, %s: %s", key, key, q);
    UL_NEED(named);
    UL_NEED(again);
    UL_NEED(way[0] = ul_ask_plain(a, arena, named));
    UL_NEED(way[1] = ul_ask_plain(a, arena, again));
    *n = 2;
    return UL_OK;
}
