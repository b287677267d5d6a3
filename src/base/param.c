/* param.c - parameter tables: defaults, parsing, bounds, and the name a user probably meant. */
#include "base_impl.h"
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

bool ul_parse_real(const char *s, double *out)
{
    if (!s || !s[0] || s[strspn(s, "0123456789+-.eE")]) return false; /* no space, hexadecimal, "nan", "inf" */
    char *end;
    const double x = strtod(s, &end);
    if (end == s || *end || !isfinite(x)) return false;
    *out = x;
    return true;
}

bool ul_parse_int(const char *s, int64_t *out)
{
    if (!s || !s[0] || s[strspn(s, "0123456789+-")]) return false;
    char *end;
    errno = 0;
    const long long x = strtoll(s, &end, 10);
    if (end == s || *end || errno == ERANGE) return false;
    *out = x;
    return true;
}

void ul_args_default(const ul_param *params, ul_args *out)
{
    *out = (ul_args){.params = params};
    for (int i = 0; params && params[i].key && i < UL_MAX_PARAM; i++) {
        out->num[i] = params[i].dflt;
        out->text[i] = params[i].text;
    }
}

static int find(const ul_args *a, const char *key)
{
    for (int i = 0; a->params && a->params[i].key && i < UL_MAX_PARAM; i++)
        if (strcmp(a->params[i].key, key) == 0) return i;
    return -1;
}

double ul_num(const ul_args *a, const char *key)
{
    const int i = find(a, key);
    return i < 0 ? (double)NAN : a->num[i];
}

const char *ul_txt(const ul_args *a, const char *key)
{
    const int i = find(a, key);
    return i < 0 ? NULL : a->text[i];
}

/* Is `word` one of "a|b|c"? */
static bool is_choice(const char *word, const char *choices)
{
    const size_t n = strlen(word);
    for (const char *p = choices; p; p = strchr(p, '|') ? strchr(p, '|') + 1 : NULL)
        if (strcspn(p, "|") == n && memcmp(p, word, n) == 0) return true;
    return false;
}

static bool parse_bool(const char *s, double *out)
{
    *out = is_choice(s, "1|true|yes|on");
    return *out != 0.0 || is_choice(s, "0|false|no|off");
}

static ul_status unknown_key(ul_arena *arena, const ul_args *a, const char *owner, const char *key)
{
    const char *names[UL_MAX_PARAM + 1] = {0};
    for (int i = 0; a->params && a->params[i].key && i < UL_MAX_PARAM; i++) names[i] = a->params[i].key;
    const char *near = ul_nearest(key, names);
    ul_ctx *ctx = ul_arena_ctx(arena);
    if (!names[0]) return ul_fail(ctx, UL_E_USAGE, "%s takes no parameters, not \"%s\"", owner, key);
    ul_buf b;
    ul_buf_init(&b, ctx, 4096);
    for (int i = 0; names[i]; i++) ul_buf_printf(&b, "%s%s", i ? ", " : "", names[i]);
    const ul_status s = ul_fail(ctx, UL_E_USAGE, "%s has no parameter \"%s\"%s%s%s; it has %s", owner, key,
                                near ? " (did you mean \"" : "", near ? near : "", near ? "\"?)" : "",
                                b.p ? b.p : "others");
    ul_buf_release(&b);
    return s;
}

ul_status ul_args_set(ul_arena *arena, ul_args *a, const char *owner, const char *key, const char *value)
{
    ul_ctx *ctx = ul_arena_ctx(arena);
    const int i = find(a, key);
    if (i < 0) return unknown_key(arena, a, owner, key);
    const ul_param *p = &a->params[i];
    const char *dot = owner ? "." : "";
    const int digits = p->type == UL_INT ? 16 : 6; /* whole numbers in full */
    if (!owner) owner = "--";
    double x = 0;
    int64_t n = 0;
    switch (p->type) {
    case UL_TEXT:
        if (p->unit && !is_choice(value, p->unit))
            return ul_fail(ctx, UL_E_USAGE, "%s%s%s is one of %s, not \"%s\"", owner, dot, key, p->unit, value);
        a->text[i] = ul_strdup(arena, value);
        UL_NEED(a->text[i]);
        return UL_OK;
    case UL_BOOL:
        if (!parse_bool(value, &x))
            return ul_fail(ctx, UL_E_USAGE, "%s%s%s is true or false, not \"%s\"", owner, dot, key, value);
        break;
    case UL_INT:
        if (!ul_parse_int(value, &n))
            return ul_fail(ctx, UL_E_USAGE, "%s%s%s is a whole number, not \"%s\"", owner, dot, key, value);
        x = (double)n;
        break;
    default:
        if (!ul_parse_real(value, &x))
            return ul_fail(ctx, UL_E_USAGE, "%s%s%s is a number, not \"%s\"", owner, dot, key, value);
    }
    if (p->type != UL_BOOL && !(x >= p->lo && x <= p->hi))
        return ul_fail(ctx, UL_E_USAGE, "%s%s%s = %s is out of its bounds, %.*g to %.*g; its default%s is %g (%s)",
                       owner, dot, key, value, digits, p->lo, digits, p->hi,
                       *dot ? ", the paper's where there is one," : "", p->dflt, p->help);
    a->num[i] = x;
    return UL_OK;
}

void ul_args_values(ul_args *a, const char *const *list)
{
    for (const char *const *r = list; r && *r; r += 2) {
        const int i = r[0][0] == '.' ? find(a, r[0] + 1) : -1;
        if (i < 0) continue;
        if (a->params[i].type == UL_TEXT) a->text[i] = r[1];
        else if (a->params[i].type == UL_BOOL) (void)parse_bool(r[1], &a->num[i]);
        else (void)ul_parse_real(r[1], &a->num[i]);
    }
}

static int lower(char c)
{
    return c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c;
}

/* Damerau (1964) and Levenshtein (1966), restricted: insert, delete, replace, swap of neighbours, each counts 1; small
 * and capital letters are alike. */
static int distance(const char *a, const char *b)
{
    enum { MAX = 63 };
    const int n = (int)strlen(a), m = (int)strlen(b);
    int d[3][MAX + 1];
    if (n > MAX || m > MAX) return INT_MAX;
    for (int j = 0; j <= m; j++) d[0][j] = j;
    for (int i = 1; i <= n; i++) {
        int *row = d[i % 3], *up = d[(i + 2) % 3], *up2 = d[(i + 1) % 3];
        row[0] = i;
        for (int j = 1; j <= m; j++) {
            int best = up[j - 1] + (lower(a[i - 1]) != lower(b[j - 1]));
            if (up[j] + 1 < best) best = up[j] + 1;
            if (row[j - 1] + 1 < best) best = row[j - 1] + 1;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && up2[j - 2] + 1 < best)
                best = up2[j - 2] + 1;
            row[j] = best;
        }
    }
    return d[n % 3][m];
}

const char *ul_nearest(const char *word, const char *const *names)
{
    const char *best = NULL;
    int least = (int)(strlen(word) + 2) / 3; /* one slip in three letters is a slip, more is another word */
    for (int i = 0; names[i]; i++) {
        const int d = distance(word, names[i]);
        if (d <= least && (!best || d < least)) {
            best = names[i];
            least = d;
        }
    }
    return best;
}
