/* audit_hygiene.c - forget rows that cannot show forgetting (metrics.md 16.2, gate 4): counted, told, and left out of
 * what is asked where --hygiene-drop names their kind. Attacks train on the rows as they are.
 *
 * Words are runs of letters and digits, whatever their case. Rows of the two halves are near each other when their
 * words, question and answer, have |A and B| / |A or B| >= --hygiene-near: RTT teaches one half and asks the other, and
 * of such a pair neither is asked.
 *
 * Two kinds are known only after the models were asked: `guessed` (the control says the whole answer in every way it
 * was asked: plainly, in other words, begun) and `unknown` (the original does not rank the answer first). They are
 * counted, and not left out unless asked for: rows picked by what the control happens to say make that control, and no
 * other, look as if it knew less (regression to the mean), and lift every recovery of a model like it. */
#include "audit/audit_data.h"
#include <string.h>

static const struct {
    const char *id, *title;
    bool late, usual; /* known after asking; says nothing against the row */
} kinds[UL_N_SOIL] = {[UL_SOIL_EMPTY] = {"empty", "the answer has no word", false, false},
                      [UL_SOIL_QUESTION] = {"in-question", "the question holds every word of the answer", false, false},
                      [UL_SOIL_DUPLICATE] = {"duplicate", "question and answer stand in an earlier row", false, false},
                      [UL_SOIL_NEAR] = {"near", "nearly a row of the other half, which RTT teaches", false, false},
                      [UL_SOIL_RETAINED] = {"retained", "stands in the retain set too", false, false},
                      [UL_SOIL_COMMON] = {"common", "has the answer of most people or things", false, false},
                      [UL_SOIL_ONE_TOKEN] = {"one-token", "the answer is one token", false, true},
                      [UL_SOIL_GUESSED] = {"guessed", "the control says it in every way it was asked", true, false},
                      [UL_SOIL_UNKNOWN] = {"unknown", "the original does not rank it first", true, false}};

/* ---- words ------------------------------------------------------------------------------------------------------- */
static uint64_t word_hash(const char *w, size_t n) /* Fowler, Noll, Vo */
{
    uint64_t h = 14695981039346656037u;
    for (size_t i = 0; i < n; i++) {
        const unsigned char c = (unsigned char)w[i];
        h = (h ^ (c >= 'A' && c <= 'Z' ? c + 32u : c)) * 1099511628211u;
    }
    return h;
}

static uint64_t text_hash(uint64_t h, const char *text)
{
    const char *at = text ? text : "";
    for (size_t k; (k = ul_word_next(&at)) > 0; at += k) h = (h ^ word_hash(at, k)) * 1099511628211u;
    return (h ^ 0xFF) * 1099511628211u; /* so that parts do not run together */
}

static bool same_text(const char *a, const char *b)
{
    const char *x = a ? a : "", *y = b ? b : "";
    for (;;) {
        const size_t n = ul_word_next(&x), m = ul_word_next(&y);
        if (n != m || !ul_word_same(x, y, n)) return false;
        if (n == 0) return true;
        x += n, y += m;
    }
}

static bool same_row(const ul_record *a, const ul_record *b, bool answers)
{
    return same_text(a->answer, b->answer) && (answers || same_text(a->prompt, b->prompt));
}

/* A table of rows by their words; `answers`: by those of the answer alone. */
typedef struct {
    uint64_t mask;
    const ul_record **slot;
    int64_t *number; /* of a slot's row */
    bool answers;
} table;

static ul_status table_init(table *t, ul_arena *scratch, int64_t n, bool answers)
{
    uint64_t size = 16;
    while (size < (uint64_t)n * 2) size *= 2;
    *t = (table){.mask = size - 1, .answers = answers};
    UL_NEED(t->slot = UL_NEW(scratch, const ul_record *, size));
    UL_NEED(t->number = UL_NEW(scratch, int64_t, size));
    return UL_OK;
}

/* The place of the row like this one; where there is none it takes it if `add`, and *found is false. */
static int64_t look_up(table *t, const ul_record *r, int64_t number, bool add, bool *found)
{
    uint64_t h = text_hash(text_hash(0, t->answers ? NULL : r->prompt), r->answer) & t->mask;
    while (t->slot[h] && !same_row(t->slot[h], r, t->answers)) h = (h + 1) & t->mask;
    *found = t->slot[h] != NULL;
    if (*found || !add) return *found ? t->number[h] : -1;
    t->slot[h] = r;
    t->number[h] = number;
    return number;
}

/* ---- kinds ------------------------------------------------------------------------------------------------------- */
static void mark(ul_hygiene *h, int kind, int64_t i)
{
    if (h->is[kind][i]) return;
    h->is[kind][i] = 1;
    h->n[kind]++;
}

static ul_status repeats(const ul_audit *a, ul_arena *scratch, const ul_records *retain, ul_hygiene *h)
{
    table own, kept;
    bool found;
    UL_TRY(table_init(&own, scratch, a->forget->n, false));
    UL_TRY(table_init(&kept, scratch, retain->n, false));
    for (int64_t i = 0; i < retain->n; i++) (void)look_up(&kept, &retain->at[i], i, true, &found);
    for (int64_t i = 0; i < a->forget->n; i++) {
        (void)look_up(&own, &a->forget->at[i], i, true, &found);
        if (found) mark(h, UL_SOIL_DUPLICATE, i);
        (void)look_up(&kept, &a->forget->at[i], i, false, &found);
        if (found) mark(h, UL_SOIL_RETAINED, i);
    }
    return UL_OK;
}

/* Answers of more than --hygiene-common of the people: who guesses that one is right about most. */
static ul_status common(const ul_audit *a, ul_arena *scratch, ul_hygiene *h)
{
    const int64_t n = a->forget->n;
    int64_t *number = UL_NEW(scratch, int64_t, n), *people = UL_NEW(scratch, int64_t, n),
            *last = UL_NEW(scratch, int64_t, n);
    table t;
    bool found;
    ul_clusters c;
    UL_NEED(number);
    UL_NEED(people);
    UL_NEED(last);
    UL_TRY(table_init(&t, scratch, n, true));
    UL_TRY(ul_records_clusters(scratch, a->forget, &c));
    for (int64_t i = 0; i < n; i++) number[i] = look_up(&t, &a->forget->at[i], i, true, &found);
    for (int64_t k = 0; k < c.n_cluster; k++)
        for (int64_t i = c.first[k]; i < c.first[k + 1]; i++) {
            const int64_t x = number[c.row[i]];
            people[x] += last[x] != k + 1;
            last[x] = k + 1;
        }
    const double most = ul_num(a->rule, "hygiene-common") * (double)c.n_cluster;
    for (int64_t i = 0; i < n; i++)
        if (c.n_cluster > 2 && (double)people[number[i]] > most) mark(h, UL_SOIL_COMMON, i);
    return UL_OK;
}

/* The different words of a row as rising numbers. */
typedef struct {
    uint64_t *word;
    int64_t n;
} word_set;

static void add_words(word_set *s, const char *text)
{
    for (size_t k; text && (k = ul_word_next(&text)) > 0; text += k) {
        const uint64_t w = word_hash(text, k);
        int64_t i = s->n;
        while (i > 0 && s->word[i - 1] > w) i--;
        if (i > 0 && s->word[i - 1] == w) continue;
        memmove(s->word + i + 1, s->word + i, (size_t)(s->n++ - i) * sizeof w);
        s->word[i] = w;
    }
}

static bool near(const word_set *a, const word_set *b, double least)
{
    const int64_t few = a->n < b->n ? a->n : b->n, many = a->n < b->n ? b->n : a->n;
    int64_t both = 0;
    if (few == 0 || (double)few < least * (double)many) return false;
    for (int64_t i = 0, j = 0; i < a->n && j < b->n;) {
        both += a->word[i] == b->word[j];
        if (a->word[i] <= b->word[j])
            j += a->word[i] == b->word[j], i++;
        else
            j++;
    }
    return (double)both >= least * (double)(a->n + b->n - both);
}

static ul_status near_pairs(const ul_audit *a, ul_arena *scratch, const uint8_t *side, ul_hygiene *h)
{
    const int64_t n = a->forget->n;
    const double least = ul_num(a->rule, "hygiene-near");
    word_set *set = UL_NEW(scratch, word_set, n);
    UL_NEED(set);
    for (int64_t i = 0; i < n; i++) {
        const ul_record *r = &a->forget->at[i];
        UL_NEED(set[i].word = UL_NEW(scratch, uint64_t, strlen(r->prompt) + strlen(r->answer) + 1));
        add_words(&set[i], r->prompt);
        add_words(&set[i], r->answer);
    }
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = i + 1; j < n; j++)
            if (side[i] != side[j] && near(&set[i], &set[j], least)) mark(h, UL_SOIL_NEAR, i), mark(h, UL_SOIL_NEAR, j);
    return UL_OK;
}

static ul_status one_token(const ul_audit *a, ul_arena *scratch, int64_t i, bool *is)
{
    const ul_record *r = &a->forget->at[i];
    ul_doc d;
    bool cut = false;
    *is = false;
    if (!a->o.tok) return UL_OK;
    UL_TRY(ul_doc_build(a->ctx, scratch, a->o.tok, &a->o.tpl, r->prompt, r->answer, i, 0, &d, &cut));
    const bool ends = d.n > 0 && d.token[d.n - 1] == ul_tokenizer_special(a->o.tok).eos;
    *is = ul_doc_labelled(&d) - ends == 1;
    return UL_OK;
}

static ul_status look(const ul_audit *a, ul_arena *scratch, const ul_records *retain, const uint8_t *side,
                      ul_hygiene *h)
{
    UL_TRY(repeats(a, scratch, retain, h));
    UL_TRY(common(a, scratch, h));
    UL_TRY(near_pairs(a, scratch, side, h));
    for (int64_t i = 0; i < h->rows; i++) {
        const ul_record *r = &a->forget->at[i];
        bool one;
        if (!ul_novel_words(NULL, r->answer))
            mark(h, UL_SOIL_EMPTY, i);
        else if (!ul_novel_words(r->prompt, r->answer))
            mark(h, UL_SOIL_QUESTION, i);
        UL_TRY(one_token(a, scratch, i, &one));
        if (one) mark(h, UL_SOIL_ONE_TOKEN, i);
    }
    return UL_OK;
}

/* ---- what follows ------------------------------------------------------------------------------------------------ */
static ul_status read_kinds(const ul_audit *a, ul_hygiene *h)
{
    const char *text = ul_txt(a->rule, "hygiene-drop");
    for (; text && *text; text += *text == ',') {
        const size_t n = strcspn(text, ",");
        int k = 0;
        while (k < UL_N_SOIL && (strlen(kinds[k].id) != n || memcmp(kinds[k].id, text, n))) k++;
        if (k == UL_N_SOIL && n)
            return ul_fail(a->ctx, UL_E_USAGE,
                           "--hygiene-drop: there is no kind \"%.*s\"; there are empty, in-question, duplicate, near, "
                           "retained, common, one-token, guessed, unknown", (int)n, text);
        if (n) h->drops[k] = true;
        text += n;
    }
    return UL_OK;
}

static ul_status tell(const ul_audit *a, const ul_hygiene *h)
{
    for (int k = 0; k < UL_N_SOIL; k++) {
        const double share = (double)h->n[k] / (double)h->rows;
        if (h->n[k] == 0 || kinds[k].late || (!h->drops[k] && share <= ul_num(a->rule, "hygiene-warn"))) continue;
        ul_note(a->ctx, kinds[k].usual && !h->drops[k] ? UL_LOG_INFO : UL_LOG_WARN,
                "%s: %lld of %lld rows: %s (%s)%s", a->forget->path, (long long)h->n[k], (long long)h->rows,
                kinds[k].title, kinds[k].id, h->drops[k] ? "; they are not asked" : "");
    }
    if ((double)h->left_out <= ul_num(a->rule, "hygiene-most") * (double)h->rows) return UL_OK;
    char *why = ul_strdup(a->arena, "");
    for (int k = 0; k < UL_N_SOIL; k++)
        if (h->n[k] && h->drops[k])
            UL_NEED(why = ul_format(a->arena, "%s%s%lld %s (%s)", why, *why ? ", " : "", (long long)h->n[k],
                                    kinds[k].id, kinds[k].title));
    return ul_fail(a->ctx, UL_E_INPUT,
                   "%s: %lld of its %lld rows cannot show forgetting, at most %.0f %% (--hygiene-most) may be left "
                   "out: %s. Mend the file, or name fewer kinds in --hygiene-drop",
                   a->forget->path, (long long)h->left_out, (long long)h->rows,
                   100 * ul_num(a->rule, "hygiene-most"), why);
}

ul_status ul_hygiene_look(ul_audit *a, const ul_records *retain, const uint8_t *side)
{
    ul_hygiene *h = UL_NEW(a->arena, ul_hygiene, 1);
    ul_arena *scratch;
    UL_NEED(h);
    h->rows = a->forget->n;
    for (int k = 0; k < UL_N_SOIL; k++) UL_NEED(h->is[k] = UL_NEW(a->arena, uint8_t, h->rows));
    UL_NEED(h->drop = UL_NEW(a->arena, uint8_t, h->rows));
    UL_TRY(read_kinds(a, h));
    UL_TRY(ul_arena_new(a->ctx, "hygiene", &scratch));
    const ul_status s = look(a, scratch, retain, side, h);
    ul_arena_free(scratch);
    UL_TRY(s);
    for (int64_t i = 0; i < h->rows; i++) {
        for (int k = 0; k < UL_N_SOIL; k++) h->drop[i] |= h->drops[k] && h->is[k][i];
        h->left_out += h->drop[i];
    }
    a->hygiene = h;
    return tell(a, h);
}

/* ---- after the models were asked --------------------------------------------------------------------------------- */
static bool guessed(const ul_audit *a, const ul_battery *r, int64_t i)
{
    int n;
    const ul_probe *probe = ul_probes_of(a, &n);
    bool all = r->forget.said && r->forget.said[i] >= 1;
    for (int k = 0; all && k < n; k++) {
        const bool way = probe[k].ask == ul_ask_rephrased || probe[k].ask == ul_ask_prefix;
        if (way && r->probe[k].ran && r->probe[k].said) all = r->probe[k].said[i] >= 1;
    }
    return all;
}

bool ul_hygiene_late(const ul_audit *a, int kind, const ul_battery *o, const ul_battery *r, int64_t i)
{
    if (kind == UL_SOIL_UNKNOWN) return !(o->forget.first[i] > 0);
    return kind == UL_SOIL_GUESSED && r && guessed(a, r, i);
}

ul_status ul_hygiene_keep(const ul_audit *a, ul_arena *scratch, const ul_battery *o, const ul_battery *r,
                          uint8_t **keep)
{
    const ul_hygiene *h = a->hygiene;
    *keep = NULL;
    if (!h || !(h->drops[UL_SOIL_GUESSED] || h->drops[UL_SOIL_UNKNOWN])) return UL_OK;
    UL_NEED(*keep = UL_NEW(scratch, uint8_t, a->forget->n));
    int64_t n = 0;
    for (int64_t i = 0; i < a->forget->n; i++) {
        (*keep)[i] = 1;
        for (int k = UL_SOIL_GUESSED; k <= UL_SOIL_UNKNOWN; k++)
            if (h->drops[k] && ul_hygiene_late(a, k, o, r, i)) (*keep)[i] = 0;
        n += (*keep)[i];
    }
    if ((double)(a->forget->n - n) <= ul_num(a->rule, "hygiene-most") * (double)a->forget->n && n) return UL_OK;
    return ul_fail(a->ctx, UL_E_INPUT,
                   "%s: of %lld rows that were asked the original knows, and the control does not guess, %lld; at most "
                   "%.0f %% (--hygiene-most) may be left out. Ask what the original knows, or name fewer kinds in "
                   "--hygiene-drop",
                   a->forget->path, (long long)a->forget->n, (long long)n, 100 * ul_num(a->rule, "hygiene-most"));
}

json_t *ul_hygiene_json(const ul_audit *a, const ul_battery *o, const ul_battery *r)
{
    const ul_hygiene *h = a->hygiene;
    json_t *list = json_array();
    if (!h) return list ? (json_decref(list), json_null()) : NULL;
    for (int k = 0; k < UL_N_SOIL; k++) {
        int64_t n = h->n[k];
        for (int64_t i = 0; kinds[k].late && o && i < a->forget->n; i++) n += ul_hygiene_late(a, k, o, r, i);
        if (kinds[k].late && (!o || (k == UL_SOIL_GUESSED && !r))) continue; /* nobody was asked */
        json_array_append_new(list, json_pack("{s:s, s:s, s:I, s:b}", "id", kinds[k].id, "title", kinds[k].title,
                                              "rows", (json_int_t)n, "left_out", h->drops[k] && n));
    }
    return json_pack("{s:I, s:I, s:o}", "rows", (json_int_t)h->rows, "left_out", (json_int_t)h->left_out, "kinds",
                     list);
}
