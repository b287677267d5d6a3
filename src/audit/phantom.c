/* phantom.c - people whom no model was ever taught, made from rows that are there: `--phantom generated`.
 *
 * The rows of a person who stays, with an invented name in the place of the person's own. A person's name is
 * the run of two to four capitalised words that most of the rows hold and that has a word which no other's rows hold
 * (the words by which the guard `filter` tells subjects, guard/_subject.c). An invented name has the first
 * part of one such name and the last word of another one's; no text of either file holds it. Question, answer,
 * paraphrase and wrong answers are rewritten alike; a row whose question does not name its person is left out,
 * because it would still ask about somebody real.
 *
 * A function of the two files and the seed. Traps: the facts are those of people who stay, so a model that answers
 * by the shape of a question alone is right about the phantoms too; names that are one word, or not capitalised,
 * are not found; phantoms of one's own (--phantom FILE) are better. */
#include "audit/audit_data.h"
#include <string.h>

enum { LEAST_ROWS = 2, MOST_WORDS = 4, MOST_SUBJECTS = 64, MOST_NAMES = 4096, DRAW_PHANTOM = 100 };

typedef struct {
    const char *first, *last, *full; /* all but the last word; the last word */
    const char *alone;               /* the first word, which may stand for the person */
} name;
typedef struct {
    char *text;
    int n_word;
    int64_t rows, last, subjects;
} candidate;

/* ---- words ------------------------------------------------------------------------------------------------------- */
/* Typographic signs (U+2000 .. U+206F) are no letters. */
static bool is_sign(const char *s)
{
    return (unsigned char)s[0] == 0xE2 && ((unsigned char)s[1] == 0x80 || (unsigned char)s[1] == 0x81);
}

static bool is_letter(const char *s)
{
    const unsigned char c = (unsigned char)*s;
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || (c >= 0x80 && !is_sign(s));
}

/* ASCII, or a letter of the Latin blocks, where small letters at the beginning of a word are rare. */
static bool is_capital(const char *s)
{
    const unsigned char c = (unsigned char)*s;
    return (c >= 'A' && c <= 'Z') || c == 0xC4 || c == 0xC5 || (c == 0xC3 && (unsigned char)s[1] < 0x9F);
}

/* Bytes of the word that begins at s; hyphens and apostrophes inside belong to it, but for a possessive. */
static size_t word_length(const char *s)
{
    size_t n = 0;
    for (;;) {
        while (s[n] && !is_sign(s + n) && is_letter(s + n)) n++;
        if (n && (s[n] == '-' || s[n] == '\'') && s[n + 1] && is_letter(s + n + 1) &&
            !(s[n] == '\'' && s[n + 1] == 's' && !(s[n + 2] && is_letter(s + n + 2))))
            n++;
        else
            return n;
    }
}

/* ---- the name of a person ---------------------------------------------------------------------------------------- */
typedef struct {
    ul_arena *arena;
    const char **subject;
    int64_t n_subject;
    candidate *at;
    int64_t n;
} search;

static ul_status note(search *s, const char *from, size_t n, int n_word, int64_t row)
{
    candidate *c = s->at;
    for (; c < s->at + s->n; c++)
        if (strlen(c->text) == n && !memcmp(c->text, from, n)) break;
    if (c == s->at + s->n) {
        if (s->n == MOST_NAMES) return UL_OK;
        *c = (candidate){.n_word = n_word, .last = -1};
        UL_NEED(c->text = ul_strndup(s->arena, from, n));
        for (int64_t i = 0; i < s->n_subject; i++) c->subjects += ul_guard_mentions(c->text, &s->subject[i], 1);
        s->n++;
    }
    c->rows += c->last != row;
    c->last = row;
    return UL_OK;
}

/* Every run of 2 to MOST_WORDS capitalised words, one space between them. */
static ul_status runs_of(search *s, const char *text, int64_t row)
{
    while (text && *text) {
        const size_t n = word_length(text);
        if (!n) {
            text++;
            continue;
        }
        const char *end = text + n;
        for (int k = 2; k <= MOST_WORDS && is_capital(text) && *end == ' ' && is_capital(end + 1); k++) {
            end += 1 + word_length(end + 1);
            UL_TRY(note(s, text, (size_t)(end - text), k, row));
        }
        text += n;
    }
    return UL_OK;
}

/* In more rows; of those in as many, of more words that are the person's alone; then the shorter one. */
static bool better(const candidate *a, const candidate *b)
{
    if (a->rows != b->rows) return a->rows > b->rows;
    if (a->subjects != b->subjects) return a->subjects > b->subjects;
    return a->n_word < b->n_word;
}

static ul_status split(ul_arena *arena, const char *full, name *out)
{
    const char *last = strrchr(full, ' ') + 1;
    UL_NEED(out->full = ul_strndup(arena, full, strlen(full)));
    UL_NEED(out->first = ul_strndup(arena, full, (size_t)(last - full) - 1));
    UL_NEED(out->last = ul_strndup(arena, last, strlen(last)));
    UL_NEED(out->alone = ul_strndup(arena, full, strcspn(full, " ")));
    return UL_OK;
}

/* out->full NULL: none was found. own: rows of the person; others: of everybody else. */
static ul_status find_name(ul_arena *arena, ul_arena *scratch, const ul_records *own, const ul_records *others,
                           name *out)
{
    search s = {.arena = scratch};
    const candidate *top = NULL;
    *out = (name){0};
    UL_TRY(ul_guard_subjects(scratch, own, others, true, LEAST_ROWS, MOST_SUBJECTS, &s.subject, &s.n_subject));
    if (!s.n_subject) return UL_OK;
    UL_NEED(s.at = UL_NEW(scratch, candidate, MOST_NAMES));
    for (int64_t i = 0; i < own->n; i++) {
        UL_TRY(runs_of(&s, own->at[i].prompt, i));
        UL_TRY(runs_of(&s, own->at[i].answer, i));
    }
    for (int64_t i = 0; i < s.n; i++)
        if (s.at[i].subjects && s.at[i].rows >= LEAST_ROWS && (!top || better(&s.at[i], top))) top = &s.at[i];
    return top ? split(arena, top->text, out) : UL_OK;
}

static ul_status names_of(ul_arena *arena, ul_arena *scratch, const ul_records *in, const ul_clusters *c, name *out)
{
    for (int64_t k = 0; k < c->n_cluster; k++) {
        ul_records own = *in, others = *in;
        ul_record *mine = UL_NEW(scratch, ul_record, in->n), *theirs = UL_NEW(scratch, ul_record, in->n);
        uint8_t *is_mine = UL_NEW(scratch, uint8_t, in->n);
        UL_NEED(mine);
        UL_NEED(theirs);
        UL_NEED(is_mine);
        own.n = others.n = 0, own.at = mine, others.at = theirs;
        for (int64_t i = c->first[k]; i < c->first[k + 1]; i++) is_mine[c->row[i]] = 1;
        for (int64_t i = 0; i < in->n; i++) *(is_mine[i] ? &mine[own.n++] : &theirs[others.n++]) = in->at[i];
        UL_TRY(find_name(arena, scratch, &own, &others, &out[k]));
        ul_arena_reset(scratch);
    }
    return UL_OK;
}

/* ---- invented names ---------------------------------------------------------------------------------------------- */
static bool stands_in(const ul_records *r, const char *text)
{
    for (int64_t i = 0; i < r->n; i++) {
        const ul_record *x = &r->at[i];
        if ((x->prompt && strstr(x->prompt, text)) || strstr(x->answer, text)) return true;
        if (x->paraphrase && strstr(x->paraphrase, text)) return true;
        for (int32_t k = 0; k < x->n_wrong; k++)
            if (strstr(x->wrong[k], text)) return true;
    }
    return false;
}

/* The next first part in a drawn order, and the next last word with it that makes a name
 * nobody has; NULL: there is none. */
static ul_status invent(ul_arena *arena, const ul_records *const file[2], const name *real, const int64_t *order,
                        int64_t n, int64_t k, name *made)
{
    const name *self = &real[order[k]], *one = &real[order[(k + 1) % n]];
    for (int64_t j = 2; j < n; j++) {
        const name *two = &real[order[(k + j) % n]];
        char *full = ul_format(arena, "%s %s", one->first, two->last);
        UL_NEED(full);
        bool taken = stands_in(file[0], full) || stands_in(file[1], full) || !strcmp(one->alone, two->last);
        for (int64_t i = 0; i < k && !taken; i++) taken = made[order[i]].full && !strcmp(made[order[i]].full, full);
        if (taken || !strcmp(one->alone, self->alone) || !strcmp(two->last, self->last)) continue;
        return split(arena, full, &made[order[k]]);
    }
    return UL_OK;
}

static ul_status rewrite(ul_arena *arena, const ul_record *in, const name *old, const name *now, ul_record *out)
{
    const char *term[] = {old->full, old->alone, old->last}, *with[] = {now->full, now->alone, now->last};
    const ul_terms terms = {term, with, 3};
    *out = *in;
    UL_TRY(ul_text_generic(arena, in->prompt, &terms, &out->prompt));
    UL_TRY(ul_text_generic(arena, in->answer, &terms, &out->answer));
    if (in->paraphrase) UL_TRY(ul_text_generic(arena, in->paraphrase, &terms, &out->paraphrase));
    if (!in->n_wrong) return UL_OK;
    const char **wrong = UL_NEW(arena, const char *, in->n_wrong);
    UL_NEED(wrong);
    for (int32_t k = 0; k < in->n_wrong; k++) UL_TRY(ul_text_generic(arena, in->wrong[k], &terms, &wrong[k]));
    out->wrong = wrong;
    return UL_OK;
}

/* Rows of everybody with an invented name, in the order of the file. */
static ul_status rows_of(ul_arena *arena, const ul_records *in, const ul_clusters *c, const name *real,
                         const name *made, ul_record *out, int64_t *n, int64_t *people)
{
    const name **old = UL_NEW(arena, const name *, in->n), **now = UL_NEW(arena, const name *, in->n);
    UL_NEED(old);
    UL_NEED(now);
    *n = *people = 0;
    for (int64_t k = 0; k < c->n_cluster; k++) {
        bool any = false;
        for (int64_t i = c->first[k]; made[k].full && i < c->first[k + 1]; i++) {
            const ul_record *x = &in->at[c->row[i]];
            if (!x->prompt || !(strstr(x->prompt, real[k].full) || strstr(x->prompt, real[k].last))) continue;
            old[c->row[i]] = &real[k], now[c->row[i]] = &made[k], any = true;
        }
        *people += any;
    }
    for (int64_t i = 0; i < in->n; i++) {
        if (!old[i]) continue;
        UL_TRY(rewrite(arena, &in->at[i], old[i], now[i], &out[*n]));
        /* a sign that is no word's end kept the old name: nobody is asked about somebody real */
        if (!strstr(out[*n].prompt, old[i]->full) && strcmp(out[*n].prompt, in->at[i].prompt)) (*n)++;
    }
    return UL_OK;
}

static ul_status generate(ul_ctx *ctx, ul_arena *arena, ul_arena *scratch, const ul_records *forget,
                          const ul_records *retain, uint64_t seed, int64_t least, ul_records **out)
{
    const ul_records *const file[2] = {forget, retain};
    int64_t *order, named = 0, n = 0, people = 0;
    ul_record *row = UL_NEW(arena, ul_record, retain->n);
    ul_clusters c;
    UL_NEED(row);
    UL_TRY(ul_records_clusters(arena, retain, &c));
    name *real = UL_NEW(arena, name, c.n_cluster), *made = UL_NEW(arena, name, c.n_cluster);
    UL_NEED(real);
    UL_NEED(made);
    UL_NEED(order = UL_NEW(arena, int64_t, c.n_cluster));
    UL_TRY(names_of(arena, scratch, retain, &c, real));
    ul_rng_permutation(seed, UL_STREAM_WORLD, DRAW_PHANTOM, c.n_cluster, order);
    for (int64_t k = 0; k < c.n_cluster; k++)
        if (real[order[k]].full) order[named++] = order[k];
    for (int64_t k = 0; k < named; k++) UL_TRY(invent(arena, file, real, order, named, k, made));
    UL_TRY(rows_of(arena, retain, &c, real, made, row, &n, &people));
    if (people < least)
        return ul_fail(
            ctx, UL_E_INPUT,
            "--phantom generated: of the %lld people or things in %s (field \"entity\", or --entity-rows) %lld got an "
            "invented name, --min-entities is %lld: a name is two to four capitalised words in %d rows or more, one of "
            "them in no other's rows. Give --phantom FILE",
            (long long)c.n_cluster, retain->path, (long long)people, (long long)least, LEAST_ROWS);
    return ul_records_seal(ctx, "generated", row, n, arena, out);
}

ul_status ul_phantoms_generate(ul_ctx *ctx, ul_arena *arena, const ul_records *forget, const ul_records *retain,
                               uint64_t seed, int64_t least, ul_records **out)
{
    ul_arena *scratch;
    UL_TRY(ul_arena_new(ctx, "phantoms", &scratch));
    const ul_status s = generate(ctx, arena, scratch, forget, retain, seed, least, out);
    ul_arena_free(scratch);
    return s;
}
