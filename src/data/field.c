/* field.c - which key of a row holds the prompt, the answer, ... (data.h, ul_records_open). */
#include "data/data_impl.h"
#include <string.h>

static const char *const part[UL_FIELDS] = {"prompt", "answer", "text", "paraphrase", "wrong", "entity"};
static const ul_fields known = {{{"question", "prompt", "instruction", "input", "query"},
                                 {"answer", "completion", "output", "response", "gt"},
                                 {"text"},
                                 {"paraphrased_answer", "paraphrase"},
                                 {"perturbed_answer", "options", "choices"},
                                 {"entity"}}};

ul_status ul_fields_parse(ul_ctx *ctx, ul_arena *arena, const char *spec, ul_fields *out)
{
    *out = known;
    for (const char *p = spec; p && *p;) {
        const size_t n = strcspn(p, ","), name = strcspn(p, "=");
        int f = 0;
        while (f < UL_FIELDS && (strlen(part[f]) != name || memcmp(part[f], p, name))) f++;
        if (name + 1 >= n || f == UL_FIELDS)
            return ul_fail(ctx, UL_E_USAGE,
                           "--fields: \"%.*s\" is not PART=KEY with PART one of prompt, answer, text, "
                           "paraphrase, wrong, entity",
                           (int)n, p);
        memset(out->key[f], 0, sizeof out->key[f]);
        out->key[f][0] = ul_strndup(arena, p + name + 1, n - name - 1);
        UL_NEED(out->key[f][0]);
        p += n + (p[n] == ',');
    }
    /* who names the parts of a pair does not mean a column that happens to be called "text", and the other way round */
    const bool pair = out->key[UL_FIELD_PROMPT][0] != known.key[UL_FIELD_PROMPT][0];
    const bool text = out->key[UL_FIELD_TEXT][0] != known.key[UL_FIELD_TEXT][0];
    if (pair && !text) out->key[UL_FIELD_TEXT][0] = NULL;
    if (text && !pair) out->key[UL_FIELD_PROMPT][0] = NULL;
    return UL_OK;
}

static const json_t *find(const ul_fields *f, int field, const json_t *row)
{
    for (int i = 0; i < UL_FIELD_KEYS && f->key[field][i]; i++) {
        const json_t *v = json_object_get(row, f->key[field][i]);
        if (v && !json_is_null(v)) return v;
    }
    return NULL;
}

/* A text, or a number as text; NULL for anything else (*bad) or no memory. */
static const char *text_of(ul_arena *arena, const json_t *v, bool *bad)
{
    *bad = false;
    if (json_is_string(v)) return ul_strndup(arena, json_string_value(v), json_string_length(v));
    if (json_is_integer(v)) return ul_format(arena, "%lld", (long long)json_integer_value(v));
    if (json_is_real(v)) return ul_format(arena, "%.17g", json_real_value(v));
    *bad = true;
    return NULL;
}

static ul_status wrong_kind(ul_ctx *ctx, const char *path, int64_t line, const char *what)
{
    return ul_fail(ctx, UL_E_INPUT, "%s:%lld: the %s is neither a text nor a number", path, (long long)line, what);
}

static ul_status missing(ul_ctx *ctx, const char *path, const ul_fields *f, const json_t *row, int64_t line,
                         bool prompt)
{
    ul_buf b;
    const char *key;
    json_t *v;
    int n = 0;
    ul_buf_init(&b, ctx, 1 << 12);
    json_object_foreach((json_t *)row, key, v)
    {
        if (n++ < 12) ul_buf_printf(&b, "%s%s", n > 1 ? ", " : "", key);
    }
    const char *want = f->key[prompt ? UL_FIELD_ANSWER : UL_FIELD_PROMPT][0];
    const ul_status s = ul_fail(ctx, UL_E_INPUT,
                                "%s:%lld: the row has no field for the %s (e.g. \"%s\"); its fields are: %s. Name them "
                                "with --fields prompt=KEY,answer=KEY or text=KEY",
                                path, (long long)line, prompt ? "answer" : "prompt or text",
                                want ? want : f->key[UL_FIELD_TEXT][0], b.n ? b.p : "none");
    ul_buf_release(&b);
    return s;
}

int ul_text_list(ul_arena *arena, const char *s, const char **out, int most)
{
    int n = 0;
    if (*s++ != '[') return -1;
    while (*s && *s != ']') {
        while (*s == ' ' || *s == ',' || *s == '\n') s++;
        const char quote = *s;
        if ((quote != '\'' && quote != '"') || n == most) return -1;
        char *text = ul_strdup(arena, ++s), *to = text;
        if (!text) return -1;
        for (; *s && *s != quote; s++) {
            if (*s == '\\' && s[1])
                *to++ = *++s == 'n' ? '\n' : *s == 't' ? '\t' : *s;
            else
                *to++ = *s;
        }
        if (*s++ != quote) return -1;
        *to = 0;
        out[n++] = text;
        while (*s == ' ') s++;
    }
    return *s == ']' && !s[1 + strspn(s + 1, " \t\r\n")] ? n : -1;
}

/* Beside a list in CSV an answer that is none of its items may be one's index ("2"), as data frames write it. */
static void answer_by_index(const char *const *text, int n, ul_record *out)
{
    int64_t k;
    for (int i = 0; i < n; i++)
        if (!strcmp(text[i], out->answer)) return;
    if (ul_parse_int(out->answer, &k) && k >= 0 && k < n) out->answer = text[k];
}

static ul_status keep_wrong(ul_arena *arena, const char *const *text, int n, ul_record *out)
{
    const char **wrong = UL_NEW(arena, const char *, n);
    UL_NEED(wrong);
    for (int i = 0; i < n; i++)
        if (!out->answer || strcmp(text[i], out->answer)) wrong[out->n_wrong++] = text[i];
    out->wrong = out->n_wrong ? wrong : NULL;
    return UL_OK;
}

/* The list of wrong answers: a list's items, or the keys option1, option2, ..., without the answer itself. */
static ul_status read_wrong(ul_ctx *ctx, ul_arena *arena, const char *path, const ul_fields *f, const json_t *row,
                            ul_record *out)
{
    const json_t *list = find(f, UL_FIELD_WRONG, row), *item[64];
    const char *text[64];
    const int64_t before = ul_alloc_failures(ctx);
    int n = json_is_string(list) ? ul_text_list(arena, json_string_value(list), text, 64) : 0;
    UL_TRY(ul_alloc_held(ctx, before)); /* not "no list" */
    bool bad;
    if (n > 0) {
        if (out->answer) answer_by_index(text, n, out);
        return keep_wrong(arena, text, n, out);
    }
    n = 0;
    if (json_is_array(list)) {
        if (json_array_size(list) > 64)
            return ul_fail(ctx, UL_E_INPUT, "%s:%lld: %zu wrong answers, at most 64 are read", path,
                           (long long)out->line, json_array_size(list));
        for (size_t i = 0; i < json_array_size(list); i++) item[n++] = json_array_get(list, i);
        const json_t *answer = find(f, UL_FIELD_ANSWER, row);
        const json_int_t k = json_integer_value(answer);
        if (json_is_integer(answer) && k >= 0 && k < n) { /* multiple choice: the answer is an index into the list */
            out->answer = text_of(arena, item[k], &bad);
            if (bad) return wrong_kind(ctx, path, out->line, "option that is the answer");
            UL_NEED(out->answer);
        }
    } else if (json_is_string(list)) {
        item[n++] = list;
    } else {
        char key[] = "option1";
        for (; key[6] <= '9'; key[6]++) {
            const json_t *v = json_object_get(row, key);
            if (v && !json_is_null(v)) item[n++] = v;
        }
    }
    for (int i = 0; i < n; i++) {
        text[i] = text_of(arena, item[i], &bad);
        if (bad) return wrong_kind(ctx, path, out->line, "wrong answer");
        UL_NEED(text[i]);
    }
    return keep_wrong(arena, text, n, out);
}

static ul_status read_text(ul_ctx *ctx, ul_arena *arena, const char *path, int64_t line, const json_t *v,
                           const char *what, const char **out)
{
    bool bad;
    if (!v) return UL_OK;
    *out = text_of(arena, v, &bad);
    if (bad) return wrong_kind(ctx, path, line, what);
    UL_NEED(*out);
    return UL_OK;
}

ul_status ul_record_read(ul_ctx *ctx, ul_arena *arena, const char *path, const ul_fields *f, const json_t *row,
                         int64_t line, ul_record *out, const char **entity)
{
    *out = (ul_record){.line = line};
    *entity = NULL;
    /* MUSE's privleak files are lists of texts */
    if (json_is_string(row)) return read_text(ctx, arena, path, line, row, "text", &out->answer);
    if (!json_is_object(row))
        return ul_fail(ctx, UL_E_INPUT, "%s:%lld: the row is not an object of fields", path, (long long)line);
    const json_t *prompt = find(f, UL_FIELD_PROMPT, row), *answer = find(f, UL_FIELD_ANSWER, row);
    const json_t *text = find(f, UL_FIELD_TEXT, row);
    if (prompt && answer) {
        UL_TRY(read_text(ctx, arena, path, line, prompt, "prompt", &out->prompt));
        UL_TRY(read_text(ctx, arena, path, line, answer, "answer", &out->answer));
    } else if (text) {
        UL_TRY(read_text(ctx, arena, path, line, text, "text", &out->answer));
    } else {
        return missing(ctx, path, f, row, line, prompt != NULL);
    }
    UL_TRY(
        read_text(ctx, arena, path, line, find(f, UL_FIELD_PARAPHRASE, row), "paraphrased answer", &out->paraphrase));
    UL_TRY(read_text(ctx, arena, path, line, find(f, UL_FIELD_ENTITY, row), "entity", entity));
    return read_wrong(ctx, arena, path, f, row, out);
}
