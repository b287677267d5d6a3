/* split.c - the pre-tokenizers of tokenizer.json. Source: tokenizers 0.22, src/pre_tokenizers/. */
#include "parts.h"
#include <string.h>

static ul_status find_class(ul_work *w, const ul_part *part, const char *s, size_t n)
{
    size_t done = 0;
    for (size_t i = 0; i < n;) {
        uint32_t c;
        const size_t len = ul_utf8_get(s + i, &c);
        if (part->is ? part->is(c) : c == part->c) {
            if (done < i) UL_TRY(ul_push_span(w, done, i, false));
            UL_TRY(ul_push_span(w, i, i + len, true));
            done = i + len;
        }
        i += len;
    }
    return done < n ? ul_push_span(w, done, n, false) : UL_OK;
}

/* \w+|[^\w\s]+ of Rust's regex crate. */
static ul_status find_words(ul_work *w, const ul_part *part, const char *s, size_t n)
{
    (void)part;
    size_t from = 0;
    int kind = -1; /* 0 white, 1 word, 2 other */
    for (size_t i = 0; i < n;) {
        uint32_t c;
        const size_t len = ul_utf8_get(s + i, &c);
        const int k = ul_is_word(c) ? 1 : ul_is_white(c) ? 0 : 2;
        if (k != kind && i > from) {
            UL_TRY(ul_push_span(w, from, i, kind != 0));
            from = i;
        }
        kind = k;
        i += len;
    }
    return n > from ? ul_push_span(w, from, n, kind != 0) : UL_OK;
}

static ul_status find_fixed(ul_work *w, const ul_part *part, const char *s, size_t n)
{
    for (size_t i = 0; i < n;) {
        const size_t from = i;
        uint32_t c;
        for (size_t k = 0; k < part->stop && i < n; k++) i += ul_utf8_get(s + i, &c);
        UL_TRY(ul_push_span(w, from, i, true));
    }
    return UL_OK;
}

static ul_status edit_leading_space(ul_work *w, const ul_part *part, size_t i, const char *s, size_t n, ul_piece *p)
{
    (void)part, (void)i, (void)p;
    if (n && s[0] != ' ') UL_TRY(ul_put(w, " ", 1));
    return ul_put(w, s, n);
}

enum { ALWAYS, FIRST, NEVER };

static ul_status edit_metaspace(ul_work *w, const ul_part *part, size_t i, const char *s, size_t n, ul_piece *p)
{
    (void)i;
    const ul_str r = part->text;
    const bool starts = n && (s[0] == ' ' || (n >= r.n && memcmp(s, r.p, r.n) == 0));
    if (n && !starts && (part->mode == ALWAYS || (part->mode == FIRST && p->origin))) UL_TRY(ul_put(w, r.p, r.n));
    size_t done = 0;
    for (size_t k = 0; k < n; k++) {
        if (s[k] != ' ') continue;
        UL_TRY(ul_put(w, s + done, k - done));
        UL_TRY(ul_put(w, r.p, r.n));
        done = k + 1;
    }
    return ul_put(w, s + done, n - done);
}

static ul_status read_behavior(ul_reader *r, const json_t *o, ul_presence need, ul_behavior *out)
{
    static const char *const names[] = {"Isolated", "Removed", "Contiguous", "MergedWithPrevious", "MergedWithNext"};
    ul_str s = {0};
    UL_TRY(ul_read_str(r, o, "behavior", need, &s));
    if (!s.p) return UL_OK;
    for (int k = 0; k < 5; k++)
        if (strcmp(s.p, names[k]) == 0) return *out = (ul_behavior)k, UL_OK;
    return ul_bad(
        r, "\"behavior\" is \"%s\"; it may be Isolated, Removed, Contiguous, MergedWithPrevious, MergedWithNext", s.p);
}

static ul_status add_class(ul_reader *r, ul_parts *out, bool (*is)(uint32_t), ul_behavior behavior)
{
    ul_part *part;
    UL_TRY(ul_add_part(r, out, &part));
    part->find = find_class;
    part->is = is;
    part->behavior = behavior;
    return UL_OK;
}

static ul_status read_byte_level(ul_reader *r, const json_t *o, int mode, ul_parts *out)
{
    static const char words[] =
        "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"; /* GPT-2, encoder.py */
    (void)mode;
    ul_part *part;
    bool space = true, regex = true;
    UL_TRY(ul_read_bool(r, o, "add_prefix_space", UL_REQUIRED, &space));
    UL_TRY(ul_read_bool(r, o, "use_regex", UL_OPTIONAL, &regex));
    if (space) {
        UL_TRY(ul_add_part(r, out, &part));
        part->edit = edit_leading_space;
    }
    if (regex) {
        UL_TRY(ul_add_part(r, out, &part));
        part->find = ul_find_pattern;
        UL_TRY(ul_regex_compile(r, words, sizeof words - 1, &part->re));
    }
    UL_TRY(ul_add_part(r, out, &part));
    part->edit = ul_edit_bytes;
    return UL_OK;
}

static ul_status read_split(ul_reader *r, const json_t *o, int mode, ul_parts *out)
{
    (void)mode;
    ul_part *part;
    UL_TRY(ul_add_part(r, out, &part));
    part->find = ul_find_pattern;
    UL_TRY(read_behavior(r, o, UL_REQUIRED, &part->behavior));
    UL_TRY(ul_read_bool(r, o, "invert", UL_REQUIRED, &part->invert));
    return ul_read_pattern(r, o, part);
}

static ul_status read_metaspace(ul_reader *r, const json_t *o, int mode, ul_parts *out)
{
    (void)mode;
    ul_part *part;
    ul_str scheme = {"always", 6};
    bool prefix = true, split = true;
    UL_TRY(ul_add_part(r, out, &part));
    part->edit = edit_metaspace;
    UL_TRY(ul_read_char(r, o, "replacement", &part->c));
    UL_TRY(ul_read_str(r, o, "replacement", UL_REQUIRED, &part->text));
    UL_TRY(ul_read_str(r, o, "prepend_scheme", UL_OPTIONAL, &scheme));
    UL_TRY(ul_read_bool(r, o, "add_prefix_space", UL_OPTIONAL, &prefix));
    UL_TRY(ul_read_bool(r, o, "split", UL_OPTIONAL, &split));
    part->mode = strcmp(scheme.p, "always") == 0 ? ALWAYS : strcmp(scheme.p, "first") == 0 ? FIRST : NEVER;
    if (part->mode == NEVER && strcmp(scheme.p, "never") != 0)
        return ul_bad(r, "\"prepend_scheme\" is \"%s\"; it may be always, first, never", scheme.p);
    if (!prefix && part->mode != NEVER)
        return ul_bad(r, "\"add_prefix_space\" false and \"prepend_scheme\" \"%s\" disagree", scheme.p);
    if (!split) return UL_OK;
    const uint32_t c = part->c;
    UL_TRY(add_class(r, out, NULL, UL_WITH_NEXT));
    out->at[out->n - 1].c = c;
    return UL_OK;
}

static ul_status read_whitespace(ul_reader *r, const json_t *o, int mode, ul_parts *out)
{
    (void)o, (void)mode;
    ul_part *part;
    UL_TRY(ul_add_part(r, out, &part));
    part->find = find_words;
    part->invert = true;
    part->behavior = UL_REMOVED;
    return UL_OK;
}

static ul_status read_whitespace_split(ul_reader *r, const json_t *o, int mode, ul_parts *out)
{
    (void)o, (void)mode;
    return add_class(r, out, ul_is_white, UL_REMOVED);
}

static ul_status read_digits(ul_reader *r, const json_t *o, int mode, ul_parts *out)
{
    (void)mode;
    bool each = false;
    UL_TRY(ul_read_bool(r, o, "individual_digits", UL_REQUIRED, &each));
    return add_class(r, out, ul_is_numeric, each ? UL_ISOLATED : UL_CONTIGUOUS);
}

static ul_status read_punctuation(ul_reader *r, const json_t *o, int mode, ul_parts *out)
{
    (void)mode;
    ul_behavior behavior = UL_ISOLATED;
    UL_TRY(read_behavior(r, o, UL_OPTIONAL, &behavior));
    return add_class(r, out, ul_is_punctuation, behavior);
}

static ul_status read_bert(ul_reader *r, const json_t *o, int mode, ul_parts *out)
{
    (void)o, (void)mode;
    UL_TRY(add_class(r, out, ul_is_white, UL_REMOVED));
    return add_class(r, out, ul_is_punctuation, UL_ISOLATED);
}

static ul_status read_delimiter(ul_reader *r, const json_t *o, int mode, ul_parts *out)
{
    (void)mode;
    UL_TRY(add_class(r, out, NULL, UL_REMOVED));
    return ul_read_char(r, o, "delimiter", &out->at[out->n - 1].c);
}

static ul_status read_fixed(ul_reader *r, const json_t *o, int mode, ul_parts *out)
{
    (void)mode;
    ul_part *part;
    UL_TRY(ul_add_part(r, out, &part));
    part->find = find_fixed;
    part->stop = 5;
    UL_TRY(ul_read_size(r, o, "length", UL_OPTIONAL, 1 << 30, &part->stop));
    return part->stop ? UL_OK : ul_bad(r, "\"length\" is 0");
}

const ul_part_type ul_pretokenizers[] = {{"ByteLevel", read_byte_level, 0},
                                         {"Split", read_split, 0},
                                         {"Metaspace", read_metaspace, 0},
                                         {"Whitespace", read_whitespace, 0},
                                         {"WhitespaceSplit", read_whitespace_split, 0},
                                         {"Digits", read_digits, 0},
                                         {"Punctuation", read_punctuation, 0},
                                         {"BertPreTokenizer", read_bert, 0},
                                         {"CharDelimiterSplit", read_delimiter, 0},
                                         {"FixedLength", read_fixed, 0},
                                         {NULL, NULL, 0}};
