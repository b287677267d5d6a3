/* _subject.c - the words that tell a forget set from what is to stay, and texts in and out of guard.json. */
#include "guard/guard.h"
#include <stdlib.h>
#include <string.h>

enum { SHORTEST = 3, LONGEST = 64 };

typedef struct {
    char word[LONGEST];
    int64_t rows, last; /* rows that hold it; the last one counted */
} entry;
typedef struct {
    entry *at; /* open addressing */
    int64_t n, cap;
} table;

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* The next word of the text from *at on, in lower case; false at the end. Longer ones are cut. */
static bool next_word(const char **at, char word[LONGEST])
{
    const char *s = *at;
    size_t n = 0;
    while (*s && !ul_is_word_byte(*s)) s++;
    if (!*s) return false;
    for (; *s && ul_is_word_byte(*s); s++)
        if (n + 1 < LONGEST) word[n++] = lower(*s);
    word[n] = 0;
    *at = s;
    return true;
}

static entry *find(const table *t, const char *word)
{
    uint64_t h = 1469598103934665603u; /* FNV-1a */
    for (const char *s = word; *s; s++) h = (h ^ (unsigned char)*s) * 1099511628211u;
    int64_t i = (int64_t)(h % (uint64_t)t->cap);
    while (t->at[i].word[0] && strcmp(t->at[i].word, word)) i = (i + 1) % t->cap;
    return &t->at[i];
}

static int64_t count_words(const ul_records *r, bool answers)
{
    int64_t n = 0;
    char word[LONGEST];
    for (int64_t i = 0; i < r->n; i++)
        for (int side = 0; side < 2; side++) {
            const char *s = side ? (answers || !r->at[i].prompt ? r->at[i].answer : NULL) : r->at[i].prompt;
            while (s && next_word(&s, word)) n++;
        }
    return n;
}

/* Counts the rows of each word; `add` 0: strikes those that are known. */
static void scan(table *t, const ul_records *r, bool answers, bool add)
{
    char word[LONGEST];
    for (int64_t i = 0; i < r->n; i++)
        for (int side = 0; side < 2; side++) {
            const char *s = side ? (answers || !r->at[i].prompt ? r->at[i].answer : NULL) : r->at[i].prompt;
            while (s && next_word(&s, word)) {
                entry *e = find(t, word);
                if (!add) {
                    e->rows = 0;
                    continue;
                }
                if (!e->word[0]) {
                    memcpy(e->word, word, sizeof word);
                    t->n++, e->last = -1;
                }
                if (e->last != i) e->rows++;
                e->last = i;
            }
        }
}

static int by_rows(const void *a, const void *b)
{
    const entry *x = a, *y = b;
    return x->rows != y->rows ? (x->rows > y->rows ? -1 : 1) : strcmp(x->word, y->word);
}

ul_status ul_guard_subjects(ul_arena *arena, const ul_records *forget, const ul_records *retain, bool answers,
                            int64_t least, int64_t most, const char ***words, int64_t *n)
{
    table t = {.cap = 2 * count_words(forget, answers) + 2};
    UL_NEED(t.at = UL_NEW(arena, entry, t.cap));
    scan(&t, forget, answers, true);
    if (retain) scan(&t, retain, true, false); /* a word of a retain answer is no sign of the forget set either */
    qsort(t.at, (size_t)t.cap, sizeof *t.at, by_rows);
    UL_NEED(*words = UL_NEW(arena, const char *, most < t.cap ? most : t.cap));
    *n = 0;
    for (int64_t i = 0; i < t.cap && *n < most && t.at[i].rows >= least; i++)
        if (strlen(t.at[i].word) >= SHORTEST) (*words)[(*n)++] = t.at[i].word;
    return UL_OK;
}

bool ul_guard_mentions(const char *text, const char *const *words, int64_t n)
{
    char word[LONGEST];
    while (text && next_word(&text, word))
        for (int64_t i = 0; i < n; i++)
            if (!strcmp(word, words[i])) return true;
    return false;
}

ul_status ul_guard_texts_put(ul_ctx *ctx, json_t *data, const char *key, const char *const *text, int64_t n)
{
    json_t *list = json_array();
    for (int64_t i = 0; list && i < n; i++) json_array_append_new(list, json_string(text[i]));
    return list && !json_object_set_new(data, key, list)
               ? UL_OK
               : ul_fail(ctx, UL_E_RESOURCE, "no memory for the guard's texts");
}

ul_status ul_guard_texts_get(const ul_guard_file *g, const char *key, const char ***text, int64_t *n)
{
    json_t *list;
    UL_TRY(ul_json_array(g->ctx, g->data, g->path, key, UL_REQUIRED, &list));
    *n = (int64_t)json_array_size(list);
    UL_NEED(*text = UL_NEW(g->arena, const char *, *n));
    for (int64_t i = 0; i < *n; i++)
        if (!((*text)[i] = json_string_value(json_array_get(list, (size_t)i))))
            return ul_fail(g->ctx, UL_E_INPUT, "%s: \"%s\"[%lld] is not a text", g->path, key, (long long)i);
    return UL_OK;
}
