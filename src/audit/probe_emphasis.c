/* probe_emphasis.c - E6: the words of the question that the original leans on are said again (unPact, arXiv 2509.24675).
 *
 *   c_w = log p_O(answer | question) - log p_O(answer | question without w)      key words: the two largest
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

ul_status ul_ask_emphasis(const ul_probing *p, const ul_probe *probe, ul_arena *arena, const ul_records *rows, int64_t i,
                          const char **way, int *n)
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
    int top[2] = {0, 0};
    for (int k = 1; k < words; k++)
        if (c[k] > c[top[0]]) top[0] = k;
    top[1] = top[0] == 0 && words > 1 ? 1 : 0;
    for (int k = 0; k < words; k++)
        if (k != top[0] && c[k] > c[top[1]]) top[1] = k;
    const char *key = words ? ul_format(arena, "%.*s %.*s", (int)w[top[0]].n, w[top[0]].at, (int)w[top[1]].n, w[top[1]].at) : "";
    UL_NEED(key);
    const char *named = ul_format(arena, "%s Focus on: %s", q, key), *again = ul_format(arena, "%s, %s: %s", key, key, q);
    UL_NEED(named);
    UL_NEED(again);
    UL_NEED(way[0] = ul_ask_plain(a, arena, named));
    UL_NEED(way[1] = ul_ask_plain(a, arena, again));
    *n = 2;
    return UL_OK;
}
