/* porter.c - the suffix stripping algorithm of M. F. Porter (1980), "An algorithm for suffix stripping", Program 14(3),
 * with the departures of nltk.stem.PorterStemmer's default mode (NLTK_EXTENSIONS), which rouge_score uses: a table of
 * irregular forms, words of two letters left alone, "ies" and "ied" of four letters keep "ie", y -> i only after a
 * consonant and a stem longer than 1, "alli" first and again, bli -> ble, fulli -> ful, logi -> log, and a word of
 * vowel + consonant counts as ending consonant-vowel-consonant. */
#include "stat/stat.h"
#include <string.h>

static bool consonant_after(char c, bool first, bool after_consonant)
{
    if (strchr("aeiou", c)) return false;
    return c != 'y' || first || !after_consonant;
}

/* y is a consonant when the letter before it is not one (or there is none): a run of y alternates. */
static bool consonant(const char *w, size_t i)
{
    size_t run = 0;
    while (i > 0 && w[i] == 'y') {
        run++;
        i--;
    }
    return consonant_after(w[i], i == 0, false) != (run % 2 == 1);
}

/* [C](VC)^m[V]: how often a consonant follows a vowel */
static int measure(const char *w, size_t n)
{
    int m = 0;
    bool before = true;
    for (size_t i = 0; i < n; i++) {
        const bool now = consonant_after(w[i], i == 0, before);
        m += now && !before;
        before = now;
    }
    return m;
}

static bool has_vowel(const char *w, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (strchr("aeiou", w[i]) || (w[i] == 'y' && !consonant(w, i))) return true;
    }
    return false;
}

static bool double_consonant(const char *w, size_t n)
{
    return n >= 2 && w[n - 1] == w[n - 2] && consonant(w, n - 1);
}

static bool ends_cvc(const char *w, size_t n)
{
    if (n == 2) return !consonant(w, 0) && consonant(w, 1);
    return n >= 3 && consonant(w, n - 3) && !consonant(w, n - 2) && consonant(w, n - 1) && !strchr("wxy", w[n - 1]);
}

static bool ends(const char *w, size_t n, const char *suffix)
{
    const size_t k = strlen(suffix);
    return n >= k && memcmp(w + n - k, suffix, k) == 0;
}

static size_t put(char *w, size_t stem, const char *replacement)
{
    const size_t k = strlen(replacement);
    memcpy(w + stem, replacement, k);
    return stem + k;
}

typedef struct {
    const char *suffix, *replacement;
} rule;

/* The first rule whose suffix is there decides: applied when the stem's measure exceeds `above`, else nothing. */
static size_t apply(char *w, size_t n, const rule *r, int above)
{
    for (; r->suffix; r++) {
        if (!ends(w, n, r->suffix)) continue;
        const size_t stem = n - strlen(r->suffix);
        return measure(w, stem) > above ? put(w, stem, r->replacement) : n;
    }
    return n;
}

static size_t plurals(char *w, size_t n) /* step 1a */
{
    if (ends(w, n, "ies")) return n == 4 ? n - 1 : n - 2;
    if (ends(w, n, "sses")) return n - 2;
    return ends(w, n, "s") && !ends(w, n, "ss") ? n - 1 : n;
}

static size_t past_and_gerund(char *w, size_t n) /* step 1b */
{
    if (ends(w, n, "ied")) return n == 4 ? n - 1 : n - 2;
    if (ends(w, n, "eed")) return measure(w, n - 3) > 0 ? n - 1 : n;
    size_t stem = ends(w, n, "ed") ? n - 2 : ends(w, n, "ing") ? n - 3 : n;
    if (stem == n || !has_vowel(w, stem)) return n;
    if (ends(w, stem, "at") || ends(w, stem, "bl") || ends(w, stem, "iz")) return put(w, stem, "e");
    if (double_consonant(w, stem)) return strchr("lsz", w[stem - 1]) ? stem : stem - 1;
    return measure(w, stem) == 1 && ends_cvc(w, stem) ? put(w, stem, "e") : stem;
}

static size_t double_suffixes(char *w, size_t n) /* step 2 */
{
    static const rule rules[] = {{"ational", "ate"}, {"tional", "tion"}, {"enci", "ence"},   {"anci", "ance"},
                                 {"izer", "ize"},    {"bli", "ble"},     {"alli", "al"},     {"entli", "ent"},
                                 {"eli", "e"},       {"ousli", "ous"},   {"ization", "ize"}, {"ation", "ate"},
                                 {"ator", "ate"},    {"alism", "al"},    {"iveness", "ive"}, {"fulness", "ful"},
                                 {"ousness", "ous"}, {"aliti", "al"},    {"iviti", "ive"},   {"biliti", "ble"},
                                 {"fulli", "ful"},   {NULL, NULL}};
    while (ends(w, n, "alli") && measure(w, n - 4) > 0) n -= 2;
    if (ends(w, n, "logi")) return measure(w, n - 3) > 0 ? n - 1 : n; /* the l counts as part of the stem */
    return apply(w, n, rules, 0);
}

static size_t single_suffixes(char *w, size_t n) /* step 4 */
{
    static const rule rules[] = {{"al", ""},   {"ance", ""}, {"ence", ""},  {"er", ""},   {"ic", ""},  {"able", ""},
                                 {"ible", ""}, {"ant", ""},  {"ement", ""}, {"ment", ""}, {"ent", ""}, {"ou", ""},
                                 {"ism", ""},  {"ate", ""},  {"iti", ""},   {"ous", ""},  {"ive", ""}, {"ize", ""},
                                 {NULL, NULL}};
    if (ends(w, n, "ion")) return n > 3 && strchr("st", w[n - 4]) && measure(w, n - 3) > 1 ? n - 3 : n;
    return apply(w, n, rules, 1);
}

static size_t irregular(char *w, size_t n, bool *found)
{
    static const rule forms[] = {
        {"sky", "sky"},        {"skies", "sky"},       {"dying", "die"},        {"lying", "lie"},
        {"tying", "tie"},      {"news", "news"},       {"innings", "inning"},   {"inning", "inning"},
        {"outings", "outing"}, {"outing", "outing"},   {"cannings", "canning"}, {"canning", "canning"},
        {"howe", "howe"},      {"proceed", "proceed"}, {"exceed", "exceed"},    {"succeed", "succeed"}};
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        *found = strlen(forms[i].suffix) == n && memcmp(w, forms[i].suffix, n) == 0;
        if (*found) return put(w, 0, forms[i].replacement);
    }
    return n;
}

size_t ul_porter_stem(char *w, size_t n)
{
    static const rule step3[] = {{"icate", "ic"}, {"ative", ""}, {"alize", "al"}, {"iciti", "ic"},
                                 {"ical", "ic"},  {"ful", ""},   {"ness", ""},    {NULL, NULL}};
    bool found;
    n = irregular(w, n, &found);
    if (found || n <= 2) return n;
    n = plurals(w, n);
    n = past_and_gerund(w, n);
    if (n > 2 && w[n - 1] == 'y' && consonant(w, n - 2)) w[n - 1] = 'i'; /* step 1c */
    n = double_suffixes(w, n);
    n = apply(w, n, step3, 0);
    n = single_suffixes(w, n);
    if (ends(w, n, "e")) { /* step 5a */
        const int m = measure(w, n - 1);
        if (m > 1 || (m == 1 && !ends_cvc(w, n - 1))) n--;
    }
    return ends(w, n, "ll") && measure(w, n - 1) > 1 ? n - 1 : n; /* step 5b */
}
