/* regex.c - the library's regular expressions are Oniguruma's (Ruby syntax); here PCRE2 runs them.
 *
 * The pattern is rewritten where the two differ: \s \w \b \h \v and their complements, [:punct:], names of scripts and
 * categories, \uHHHH, (?m), {,n}, and + or ? after an interval (there a second repetition, not possessive or lazy).
 * Sources: Oniguruma doc/RE and regsyntax.c (OnigSyntaxRuby); a comparison over all code points. What PCRE2 cannot say
 * (nested classes, &&) is reported as not supported. */
#include "parts.h"
#include <string.h>

/* White_Space, and its complement for use inside a class. */
#define WHITE "\\x{9}-\\x{d} \\x{85}\\x{a0}\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}\\x{205f}\\x{3000}"
#define BLACK                                                                                                          \
    "\\x{0}-\\x{8}\\x{e}-\\x{1f}\\x{21}-\\x{84}\\x{86}-\\x{9f}\\x{a1}-\\x{167f}\\x{1681}-\\x{1fff}\\x{200b}-\\x{2027}" \
    "\\x{202a}-\\x{202e}\\x{2030}-\\x{205e}\\x{2060}-\\x{2fff}\\x{3001}-\\x{d7ff}\\x{e000}-\\x{10ffff}"
#define WORD     "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}"
#define WORD_OUT WORD "\\x{b2}\\x{b3}\\x{b9}\\x{bc}-\\x{be}" /* outside a class Oniguruma also takes these */
#define W        "[" WORD_OUT "]"
#define PUNCT    "\\p{P}\\p{S}"

typedef struct {
    ul_reader *r;
    const char *s;
    size_t n, i;
    char *out;
    size_t n_out, cap_out;
    size_t atom;       /* where the last atom starts in out */
    size_t group[200]; /* where the open groups start */
    size_t depth;
} translation;

static ul_status put(translation *x, const char *s, size_t n)
{
    UL_GROW(x->r->ctx, x->out, x->cap_out, x->n_out + n);
    memcpy(x->out + x->n_out, s, n);
    x->n_out += n;
    return UL_OK;
}

static ul_status puts_(translation *x, const char *s)
{
    return put(x, s, strlen(s));
}

/* PCRE2 takes the name of a script for Script_Extensions, Oniguruma for Script; other names are not scripts. */
static bool is_script(const char *name, size_t n)
{
    char pattern[80];
    int error;
    PCRE2_SIZE at;
    if (n < 3 || n > 60) return false;
    snprintf(pattern, sizeof pattern, "\\p{sc:%.*s}", (int)n, name);
    pcre2_code *code =
        pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED, PCRE2_UTF | PCRE2_UCP, &error, &at, NULL);
    if (code) pcre2_code_free(code);
    return code != NULL;
}

static ul_status property(translation *x) /* at \p{ or \P{ */
{
    static const char *const names[][2] = {{"Letter", "L"},
                                           {"Mark", "M"},
                                           {"Number", "N"},
                                           {"Punctuation", "P"},
                                           {"Symbol", "S"},
                                           {"Separator", "Z"},
                                           {"Other", "C"},
                                           {"Uppercase_Letter", "Lu"},
                                           {"Lowercase_Letter", "Ll"},
                                           {"Titlecase_Letter", "Lt"},
                                           {"Modifier_Letter", "Lm"},
                                           {"Other_Letter", "Lo"},
                                           {"Nonspacing_Mark", "Mn"},
                                           {"Spacing_Mark", "Mc"},
                                           {"Enclosing_Mark", "Me"},
                                           {"Decimal_Number", "Nd"},
                                           {"Letter_Number", "Nl"},
                                           {"Other_Number", "No"},
                                           {"Connector_Punctuation", "Pc"},
                                           {"Dash_Punctuation", "Pd"},
                                           {"Open_Punctuation", "Ps"},
                                           {"Close_Punctuation", "Pe"},
                                           {"Initial_Punctuation", "Pi"},
                                           {"Final_Punctuation", "Pf"},
                                           {"Other_Punctuation", "Po"},
                                           {"Math_Symbol", "Sm"},
                                           {"Currency_Symbol", "Sc"},
                                           {"Modifier_Symbol", "Sk"},
                                           {"Other_Symbol", "So"},
                                           {"Space_Separator", "Zs"},
                                           {"Line_Separator", "Zl"},
                                           {"Paragraph_Separator", "Zp"},
                                           {"Control", "Cc"},
                                           {"Format", "Cf"},
                                           {"Unassigned", "Cn"},
                                           {"Private_Use", "Co"},
                                           {"Surrogate", "Cs"},
                                           {"Punct", "P"},
                                           {"Alpha", "Alphabetic"},
                                           {"Upper", "Uppercase"},
                                           {"Lower", "Lowercase"},
                                           {"Digit", "Nd"},
                                           {"Space", "White_Space"}};
    const char *a = x->s + x->i + 3, *end = memchr(a, '}', x->n - x->i - 3);
    if (!end) return ul_bad(x->r, "regular expression \"%.*s\": \\p{ without }", (int)x->n, x->s);
    const bool not = a < end && *a == '^';
    const char *name = a + not ;
    size_t k = 0, len = (size_t)(end - name);
    UL_TRY(put(x, x->s + x->i, 3));
    if (not ) UL_TRY(puts_(x, "^"));
    while (k < sizeof names / sizeof *names && (strlen(names[k][0]) != len || memcmp(names[k][0], name, len) != 0)) k++;
    if (k < sizeof names / sizeof *names)
        UL_TRY(puts_(x, names[k][1]));
    else if (is_script(name, len))
        UL_TRY(puts_(x, "sc:"));
    if (k == sizeof names / sizeof *names) UL_TRY(put(x, name, len));
    x->i = (size_t)(end - x->s) + 1;
    return puts_(x, "}");
}

static bool is_hex(char c)
{
    return (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'f');
}

static ul_status escape(translation *x, bool in_class)
{
    static const struct {
        char c;
        const char *in, *out;
    } table[] = {{'s', WHITE, "[" WHITE "]"},
                 {'S', BLACK, "[^" WHITE "]"},
                 {'w', WORD, "[" WORD_OUT "]"},
                 {'W', NULL, "[^" WORD_OUT "]"},
                 {'h', "0-9a-fA-F", "[0-9a-fA-F]"},
                 {'H', NULL, "[^0-9a-fA-F]"},
                 {'v', "\\x{b}", "\\x{b}"},
                 {'b', "\\x{8}", "(?:(?<=" W ")(?!" W ")|(?<!" W ")(?=" W "))"},
                 {'B', NULL, "(?:(?<=" W ")(?=" W ")|(?<!" W ")(?!" W "))"}};
    if (x->i + 1 >= x->n) return ul_bad(x->r, "regular expression \"%.*s\" ends with \\", (int)x->n, x->s);
    const char c = x->s[x->i + 1];
    for (size_t k = 0; k < sizeof table / sizeof *table; k++) {
        if (table[k].c != c) continue;
        const char *text = in_class ? table[k].in : table[k].out;
        if (!text) return ul_unsupported(x->r, "\\W, \\H or \\B inside a class of a regular expression");
        x->i += 2;
        return puts_(x, text);
    }
    if ((c == 'p' || c == 'P') && x->i + 2 < x->n && x->s[x->i + 2] == '{') return property(x);
    if (c == 'u' && x->i + 5 < x->n) {
        const char *h = x->s + x->i + 2;
        if (is_hex(h[0]) && is_hex(h[1]) && is_hex(h[2]) && is_hex(h[3])) {
            UL_TRY(puts_(x, "\\x{"));
            UL_TRY(put(x, h, 4));
            x->i += 6;
            return puts_(x, "}");
        }
    }
    UL_TRY(put(x, x->s + x->i, 1)); /* the escaped character, whole if it is UTF-8 */
    x->i++;
    uint32_t skip;
    const size_t n = ul_utf8_get(x->s + x->i, &skip);
    UL_TRY(put(x, x->s + x->i, n));
    x->i += n;
    return UL_OK;
}

static ul_status class_(translation *x) /* at [ */
{
    size_t k = 1;
    if (x->i + k < x->n && x->s[x->i + k] == '^') k++;
    if (x->i + k < x->n && x->s[x->i + k] == ']') k++;
    UL_TRY(put(x, x->s + x->i, k));
    x->i += k;
    while (x->i < x->n && x->s[x->i] != ']') {
        const char c = x->s[x->i], d = x->i + 1 < x->n ? x->s[x->i + 1] : 0;
        if (c == '\\') {
            UL_TRY(escape(x, true));
            continue;
        }
        if (c == '&' && d == '&') return ul_unsupported(x->r, "&& inside a class of a regular expression");
        if (c == '[' && d != ':') return ul_unsupported(x->r, "a class inside a class of a regular expression");
        if (c == '[') {
            const char *end = strstr(x->s + x->i, ":]");
            if (!end) return ul_bad(x->r, "regular expression \"%.*s\": [: without :]", (int)x->n, x->s);
            const size_t n = (size_t)(end + 2 - (x->s + x->i));
            if (n == 9 && memcmp(x->s + x->i, "[:space:]", 9) == 0)
                UL_TRY(puts_(x, WHITE));
            else if (n == 8 && memcmp(x->s + x->i, "[:word:]", 8) == 0)
                UL_TRY(puts_(x, WORD));
            else if (n == 9 && memcmp(x->s + x->i, "[:punct:]", 9) == 0)
                UL_TRY(puts_(x, PUNCT));
            else
                UL_TRY(put(x, x->s + x->i, n));
            x->i += n;
            continue;
        }
        UL_TRY(put(x, &c, 1));
        x->i++;
    }
    if (x->i == x->n) return ul_bad(x->r, "regular expression \"%.*s\": [ without ]", (int)x->n, x->s);
    x->i++;
    return puts_(x, "]");
}

static ul_status group(translation *x) /* at ( */
{
    if (x->depth == sizeof x->group / sizeof *x->group)
        return ul_bad(x->r, "regular expression: more than %zu groups are open", x->depth);
    x->group[x->depth++] = x->n_out;
    UL_TRY(puts_(x, "("));
    x->i++;
    if (x->i >= x->n || x->s[x->i] != '?') return UL_OK;
    UL_TRY(puts_(x, "?"));
    x->i++;
    size_t k = x->i;
    while (k < x->n && strchr("imx-", x->s[k])) k++;
    if (k == x->i || k >= x->n || (x->s[k] != ')' && x->s[k] != ':')) return UL_OK;
    for (; x->i < k; x->i++) UL_TRY(put(x, x->s[x->i] == 'm' ? "s" : &x->s[x->i], 1)); /* Ruby's m: . takes newlines */
    return UL_OK;
}

/* Bytes of {n}, {n,}, {,m} or {n,m} at the place; 0 when it is no interval. */
static size_t interval(const translation *x, bool *exact, bool *open)
{
    size_t k = x->i + 1, digits = 0, more = 0;
    bool comma = false;
    for (; k < x->n && x->s[k] != '}'; k++) {
        if (x->s[k] == ',' && !comma)
            comma = true;
        else if (x->s[k] >= '0' && x->s[k] <= '9')
            comma ? more++ : digits++;
        else
            return 0;
    }
    if (k >= x->n || digits + more == 0) return 0;
    *exact = !comma;
    *open = digits == 0;
    return k + 1 - x->i;
}

static ul_status repeat_interval(translation *x, size_t n, bool exact, bool open)
{
    UL_TRY(puts_(x, open ? "{0" : "{"));
    UL_TRY(put(x, x->s + x->i + 1, n - 1));
    x->i += n;
    const char next = x->i < x->n ? x->s[x->i] : 0;
    if (next != '+' && !(next == '?' && exact)) return UL_OK;
    UL_TRY(puts_(x, "   ")); /* (?: in front of the atom, ) behind; the sign then repeats the whole */
    memmove(x->out + x->atom + 3, x->out + x->atom, x->n_out - 3 - x->atom);
    memcpy(x->out + x->atom, "(?:", 3);
    return puts_(x, ")");
}

static ul_status translate(translation *x)
{
    while (x->i < x->n) {
        const char c = x->s[x->i];
        bool exact, open;
        size_t n;
        if (c == ')') {
            if (x->depth) x->atom = x->group[--x->depth];
        } else if (c == '{' && (n = interval(x, &exact, &open)) > 0) {
            UL_TRY(repeat_interval(x, n, exact, open));
            continue;
        } else if (!strchr("*+?|", c)) {
            x->atom = x->n_out;
        }
        if (c == '\\') {
            UL_TRY(escape(x, false));
        } else if (c == '[') {
            UL_TRY(class_(x));
        } else if (c == '(') {
            UL_TRY(group(x));
        } else {
            uint32_t skip;
            n = ul_utf8_get(x->s + x->i, &skip);
            UL_TRY(put(x, x->s + x->i, n));
            x->i += n;
        }
    }
    return UL_OK;
}

static void free_code(void *code)
{
    pcre2_code_free(code);
}

static ul_status compile(ul_reader *r, const char *s, size_t n, const translation *x, pcre2_code **out)
{
    int error;
    PCRE2_SIZE at;
    pcre2_compile_context *how = pcre2_compile_context_create(NULL);
    if (!how) return ul_fail(r->ctx, UL_E_RESOURCE, "%s: no memory for a regular expression", r->path);
    pcre2_set_newline(how, PCRE2_NEWLINE_LF);
    pcre2_code *code =
        pcre2_compile((PCRE2_SPTR)(x->out ? x->out : ""), x->n_out,
                      PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C, &error, &at, how);
    pcre2_compile_context_free(how);
    if (!code) {
        char text[160] = "";
        pcre2_get_error_message(error, (PCRE2_UCHAR *)text, sizeof text);
        char what[700];
        snprintf(what, sizeof what, "the regular expression \"%.400s\" (%s near byte %zu)", s, text, at < n ? at : n);
        return ul_unsupported(r, what);
    }
    pcre2_jit_compile(code, PCRE2_JIT_COMPLETE); /* only speed: a refusal is fine */
    UL_TRY(ul_arena_defer(r->arena, free_code, code));
    *out = code;
    return UL_OK;
}

ul_status ul_regex_compile(ul_reader *r, const char *s, size_t n, pcre2_code **out)
{
    if (n > 100000) return ul_bad(r, "a regular expression of %zu bytes", n);
    if (memchr(s, 0, n)) return ul_bad(r, "a regular expression has a NUL byte in it: write \\x00");
    translation x = {.r = r, .s = s, .n = n};
    ul_status st = translate(&x);
    if (st == UL_OK) st = compile(r, s, n, &x, out);
    if (x.out) ul_ctx_alloc(r->ctx, x.out, 0);
    return st;
}

/* As onig's find_iter: an empty match right behind the last match is passed over. */
ul_status ul_regex_find(ul_work *w, const pcre2_code *re, const char *s, size_t n)
{
    if (!w->match) w->match = pcre2_match_data_create(1, NULL);
    if (!w->match) return ul_fail(w->ctx, UL_E_RESOURCE, "tokenizer: no memory for a match");
    size_t from = 0, last = 0;
    bool any = false;
    while (from <= n) {
        int k = pcre2_match(re, (PCRE2_SPTR)s, n, from, PCRE2_NO_UTF_CHECK, w->match, NULL);
        if (k == PCRE2_ERROR_JIT_STACKLIMIT)
            k = pcre2_match(re, (PCRE2_SPTR)s, n, from, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, w->match, NULL);
        if (k == PCRE2_ERROR_NOMATCH) break;
        if (k < 0)
            return ul_fail(w->ctx, UL_E_INPUT,
                           "tokenizer: a regular expression gave up at byte %zu of %zu (PCRE2 error %d)", from, n, k);
        const PCRE2_SIZE *o = pcre2_get_ovector_pointer(w->match);
        const size_t a = o[0], b = o[1];
        if (a >= b && any && b == last) {
            uint32_t skip;
            from += from < n ? ul_utf8_get(s + from, &skip) : 1;
            continue;
        }
        if (a > b)
            return ul_fail(w->ctx, UL_E_INPUT, "tokenizer: a match of a regular expression ends before it starts");
        const size_t done = any ? last : 0;
        if (done < a) UL_TRY(ul_push_span(w, done, a, false));
        UL_TRY(ul_push_span(w, a, b, true));
        from = last = b;
        any = true;
    }
    const size_t done = any ? last : 0;
    return done < n ? ul_push_span(w, done, n, false) : UL_OK;
}

ul_status ul_read_pattern(ul_reader *r, const json_t *o, ul_part *part)
{
    const json_t *pattern = json_object_get(o, "pattern");
    ul_str re = {0};
    if (!json_is_object(pattern)) return ul_bad(r, "\"pattern\" must be {\"String\": ...} or {\"Regex\": ...}");
    if (json_object_get(pattern, "String")) {
        UL_TRY(ul_read_str(r, pattern, "String", UL_REQUIRED, &part->text));
        return part->text.n ? UL_OK : ul_regex_compile(r, "", 0, &part->re);
    }
    UL_TRY(ul_read_str(r, pattern, "Regex", UL_REQUIRED, &re));
    return ul_regex_compile(r, re.p, re.n, &part->re);
}

ul_status ul_find_pattern(ul_work *w, const ul_part *part, const char *s, size_t n)
{
    if (part->re) return ul_regex_find(w, part->re, s, n);
    const size_t m = part->text.n;
    size_t done = 0, i = 0;
    while (i + m <= n) {
        const char *hit = memchr(s + i, part->text.p[0], n - m - i + 1);
        if (!hit) break;
        i = (size_t)(hit - s);
        if (memcmp(hit, part->text.p, m) != 0) {
            i++;
            continue;
        }
        if (done < i) UL_TRY(ul_push_span(w, done, i, false));
        UL_TRY(ul_push_span(w, i, i + m, true));
        done = i += m;
    }
    return done < n ? ul_push_span(w, done, n, false) : UL_OK;
}

ul_status ul_edit_replace(ul_work *w, const ul_part *part, size_t i, const char *s, size_t n, ul_piece *p)
{
    (void)i;
    w->n_span = 0;
    UL_TRY(ul_find_pattern(w, part, s, n));
    for (size_t k = 0; k < w->n_span; k++) {
        const ul_span x = w->span[k];
        if (!x.hit)
            UL_TRY(ul_put(w, s + x.a, x.b - x.a));
        else
            UL_TRY(ul_put(w, part->content.p, part->content.n));
    }
    /* a match of several characters at the head is aligned with its last one */
    if (w->n_span && w->span[0].hit) {
        uint32_t c;
        if (part->content.n == 0 || (w->span[0].b > 0 && w->span[0].b > ul_utf8_get(s, &c))) p->origin = false;
    }
    return UL_OK;
}
