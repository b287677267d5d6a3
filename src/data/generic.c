/* generic.c - generic relabelling: a text whose own terms are replaced by generic ones,
 * and which of its tokens stands where one of the original does.
 *
 * Eldan and Russinovich 2023, "Who's Harry Potter", arXiv:2310.02238, section 2.2 (anchored terms
 * and their translations). Traps they name: a translation may have another number of tokens, so only the first
 * token of a term has a counterpart; a term that comes again must not be learned as its translation, which the first
 * time has tied it to, so it has none. */
#include "data/data.h"
#include <string.h>

ul_status ul_terms_open(ul_ctx *ctx, ul_arena *arena, const char *path, ul_terms *out)
{
    json_t *j, *value;
    const char *key;
    UL_TRY(ul_json_load(ctx, arena, path, &j));
    if (!json_is_object(j) || !json_object_size(j))
        return ul_fail(ctx, UL_E_INPUT,
                       "%s: is not an object of terms and what stands for them: {\"Hogwarts\": \"the academy\"}", path);
    *out = (ul_terms){.term = UL_NEW(arena, const char *, json_object_size(j)),
                      .generic = UL_NEW(arena, const char *, json_object_size(j))};
    UL_NEED(out->term);
    UL_NEED(out->generic);
    json_object_foreach(j, key, value) {
        if (!key[0] || !json_is_string(value) || strlen(json_string_value(value)) != json_string_length(value))
            return ul_fail(ctx, UL_E_INPUT, "%s: \"%s\" has no text (without NUL) that stands for it", path, key);
        out->term[out->n] = key, out->generic[out->n++] = json_string_value(value);
    }
    return UL_OK;
}

/* The longest term that stands here as whole words; -1: none. */
static int64_t term_at(const ul_terms *t, const char *text, size_t i)
{
    int64_t best = -1;
    size_t longest = 0;
    if (i > 0 && ul_is_word_byte(text[i - 1]) && ul_is_word_byte(text[i])) return -1;
    for (int64_t k = 0; k < t->n; k++) {
        const size_t n = strlen(t->term[k]);
        if (n > longest && !strncmp(text + i, t->term[k], n) &&
            !(ul_is_word_byte(text[i + n - 1]) && ul_is_word_byte(text[i + n])))
            best = k, longest = n;
    }
    return best;
}

ul_status ul_text_generic(ul_arena *arena, const char *text, const ul_terms *terms, const char **out)
{
    size_t n = 0;
    char *to = NULL;
    for (int pass = 0; pass < 2; pass++) {
        if (pass) UL_NEED(to = UL_NEW(arena, char, n + 1));
        n = 0;
        for (size_t i = 0; text[i];) {
            const int64_t k = term_at(terms, text, i);
            const char *from = k < 0 ? text + i : terms->generic[k];
            const size_t length = k < 0 ? 1 : strlen(from);
            if (to) memcpy(to + n, from, length);
            n += length, i += k < 0 ? 1 : strlen(terms->term[k]);
        }
    }
    *out = to;
    return UL_OK;
}

ul_status ul_records_generic(ul_ctx *ctx, ul_arena *arena, const ul_records *records, const ul_terms *terms,
                             ul_records **out)
{
    ul_record *at = UL_NEW(arena, ul_record, records->n);
    UL_NEED(at);
    for (int64_t i = 0; i < records->n; i++) {
        at[i] = records->at[i];
        if (at[i].prompt) UL_TRY(ul_text_generic(arena, at[i].prompt, terms, &at[i].prompt));
        UL_TRY(ul_text_generic(arena, at[i].answer, terms, &at[i].answer));
    }
    return ul_records_seal(ctx, records->path, at, records->n, arena, out);
}

/* Tokens from .. to - 1 stood there before, as a whole gap. */
static bool came_before(const int32_t *token, const int32_t *gap, int32_t n_gap, int32_t from, int32_t to)
{
    for (int32_t k = 0; k < n_gap; k++)
        if (gap[2 * k + 1] - gap[2 * k] == to - from &&
            !memcmp(token + gap[2 * k], token + from, (size_t)(to - from) * sizeof *token))
            return true;
    return false;
}

ul_status ul_doc_align(ul_arena *scratch, const ul_doc *a, const ul_doc *b, int32_t *at)
{
    const int32_t n = a->n, m = b->n;
    const size_t w = (size_t)m + 1;
    int32_t *common = UL_NEW(scratch, int32_t, ((size_t)n + 1) * w); /* of the rests from i and j on */
    int32_t *gap = UL_NEW(scratch, int32_t, 2 * n + 2), n_gap = 0;
    UL_NEED(common);
    UL_NEED(gap);
    for (int32_t i = n; i-- > 0;)
        for (int32_t j = m; j-- > 0;) {
            const int32_t down = common[(size_t)(i + 1) * w + (size_t)j], right = common[(size_t)i * w + (size_t)j + 1];
            common[(size_t)i * w + (size_t)j] = a->token[i] == b->token[j]
                                                    ? common[(size_t)(i + 1) * w + (size_t)j + 1] + 1
                                                : down > right ? down
                                                               : right;
        }
    for (int32_t i = 0, j = 0; i < n;) {
        const int32_t from = i, to = j;
        while (i < n && j < m && a->token[i] != b->token[j]) {
            if (common[(size_t)(i + 1) * w + (size_t)j] >= common[(size_t)i * w + (size_t)j + 1]) at[i++] = -1;
            else j++;
        }
        while (j == m && i < n) at[i++] = -1;
        if (i > from && to < m && !came_before(a->token, gap, n_gap, from, i)) {
            at[from] = to;
            gap[2 * n_gap] = from, gap[2 * n_gap++ + 1] = i;
        }
        if (i < n) at[i++] = j++;
    }
    return UL_OK;
}
