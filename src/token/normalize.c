/* normalize.c - the normalizers of tokenizer.json. Source: tokenizers 0.22, src/normalizers/. */
#include "parts.h"
#include <string.h>
#include <utf8proc.h>

static bool is_ascii(const char *s, size_t n)
{
    unsigned char any = 0;
    for (size_t i = 0; i < n; i++) any |= (unsigned char)s[i];
    return any < 0x80;
}

/* NFC NFD NFKC NFKD; mode: utf8proc's options. */
static ul_status edit_form(ul_work *w, const ul_part *part, size_t i, const char *s, size_t n, ul_piece *p)
{
    (void)i, (void)p;
    if (is_ascii(s, n)) return ul_put(w, s, n);
    const utf8proc_option_t how = (utf8proc_option_t)part->mode;
    utf8proc_ssize_t m = (utf8proc_ssize_t)(2 * n);
    for (;;) { /* a character becomes 18 at most; mostly twice the bytes do */
        UL_GROW(w->ctx, w->cp, w->cap_cp, (size_t)m + 1);
        const utf8proc_ssize_t got =
            utf8proc_decompose((const utf8proc_uint8_t *)s, (utf8proc_ssize_t)n, w->cp, m, how);
        if (got < 0) return ul_fail(w->ctx, UL_E_INPUT, "tokenizer: %s", utf8proc_errmsg(got));
        const bool fits = got <= m;
        m = got;
        if (fits) break;
    }
    m = utf8proc_normalize_utf32(w->cp, m, how);
    if (m < 0) return ul_fail(w->ctx, UL_E_INPUT, "tokenizer: %s", utf8proc_errmsg(m));
    for (utf8proc_ssize_t k = 0; k < m; k++) UL_TRY(ul_put_char(w, (uint32_t)w->cp[k]));
    return UL_OK;
}

static ul_status edit_map(ul_work *w, const ul_part *part, size_t i, const char *s, size_t n, ul_piece *p)
{
    (void)i;
    uint32_t c, out[3];
    for (size_t at = 0; at < n;) {
        const size_t len = ul_utf8_get(s + at, &c);
        const int m = part->map(c, out);
        if (m == 0 && at == 0) p->origin = false;
        for (int k = 0; k < m; k++) UL_TRY(ul_put_char(w, out[k]));
        at += len;
    }
    return UL_OK;
}

static int map_lower(uint32_t c, uint32_t out[3])
{
    if (c < 0x80) return out[0] = c >= 'A' && c <= 'Z' ? c + 32 : c, 1;
    if (c == 0x130) return out[0] = 'i', out[1] = 0x307, 2; /* the only one that becomes two characters */
    return out[0] = (uint32_t)utf8proc_tolower((utf8proc_int32_t)c), 1;
}

static int map_strip_accents(uint32_t c, uint32_t out[3])
{
    return out[0] = c, !ul_is_mark(c);
}

static int map_bert_accents(uint32_t c, uint32_t out[3])
{
    return out[0] = c, !ul_is_mark_nonspacing(c);
}

static int map_bert_clean(uint32_t c, uint32_t out[3])
{
    const bool space = c == '\t' || c == '\n' || c == '\r';
    if (c == 0 || c == 0xFFFD || (!space && ul_is_other(c))) return 0;
    return out[0] = space || ul_is_white(c) ? ' ' : c, 1;
}

static int map_bert_chinese(uint32_t c, uint32_t out[3])
{
    const bool chinese = (c >= 0x4E00 && c <= 0x9FFF) || (c >= 0x3400 && c <= 0x4DBF) ||
                         (c >= 0x20000 && c <= 0x2A6DF) || (c >= 0x2A700 && c <= 0x2B73F) ||
                         (c >= 0x2B740 && c <= 0x2B81F) || (c >= 0x2B920 && c <= 0x2CEAF) ||
                         (c >= 0xF900 && c <= 0xFAFF) || (c >= 0x2F800 && c <= 0x2FA1F);
    if (!chinese) return out[0] = c, 1;
    return out[0] = ' ', out[1] = c, out[2] = ' ', 3;
}

static int map_nmt(uint32_t c, uint32_t out[3])
{
    if ((c >= 1 && c <= 8) || c == 0xB || (c >= 0xE && c <= 0x1F) || c == 0x7F || c == 0x8F || c == 0x9F) return 0;
    const bool space = c == 9 || c == 0xA || c == 0xC || c == 0xD || c == 0x1680 || (c >= 0x200B && c <= 0x200F) ||
                       c == 0x2028 || c == 0x2029 || c == 0x2581 || c == 0xFEFF || c == 0xFFFD;
    return out[0] = space ? ' ' : c, 1;
}

static ul_status edit_strip(ul_work *w, const ul_part *part, size_t i, const char *s, size_t n, ul_piece *p)
{
    (void)i;
    uint32_t c;
    size_t a = 0, b = n;
    while (part->left && a < n) {
        const size_t len = ul_utf8_get(s + a, &c);
        if (!ul_is_white(c)) break;
        a += len;
    }
    while (part->right && b > a) {
        size_t k = b - 1;
        while (((unsigned char)s[k] & 0xC0) == 0x80) k--;
        ul_utf8_get(s + k, &c);
        if (!ul_is_white(c)) break;
        b = k;
    }
    if (a) p->origin = false;
    return ul_put(w, s + a, b - a);
}

static ul_status edit_prepend(ul_work *w, const ul_part *part, size_t i, const char *s, size_t n, ul_piece *p)
{
    (void)i, (void)p;
    if (n) UL_TRY(ul_put(w, part->text.p, part->text.n));
    return ul_put(w, s, n);
}

ul_status ul_edit_bytes(ul_work *w, const ul_part *part, size_t i, const char *s, size_t n, ul_piece *p)
{
    (void)part, (void)i, (void)p;
    UL_GROW(w->ctx, w->next_text, w->cap_next, w->n_next + 2 * n); /* all below U+0800 */
    char *out = w->next_text + w->n_next;
    for (size_t k = 0; k < n; k++) out += ul_utf8_set(ul_byte_char((uint8_t)s[k]), out);
    w->n_next = (size_t)(out - w->next_text);
    return UL_OK;
}

static ul_status read_form(ul_reader *r, const json_t *o, int mode, ul_parts *out)
{
    (void)o;
    ul_part *part;
    UL_TRY(ul_add_part(r, out, &part));
    part->edit = edit_form;
    part->mode = mode;
    return UL_OK;
}

static ul_status add_map(ul_reader *r, ul_parts *out, int (*map)(uint32_t, uint32_t[3]))
{
    ul_part *part;
    UL_TRY(ul_add_part(r, out, &part));
    part->edit = edit_map;
    part->map = map;
    return UL_OK;
}

enum { NFC = UTF8PROC_STABLE | UTF8PROC_COMPOSE, NFD = UTF8PROC_STABLE | UTF8PROC_DECOMPOSE };
enum { LOWER, ACCENTS, NMT };

static ul_status read_map(ul_reader *r, const json_t *o, int mode, ul_parts *out)
{
    (void)o;
    return add_map(r, out, mode == LOWER ? map_lower : mode == ACCENTS ? map_strip_accents : map_nmt);
}

static ul_status read_bert(ul_reader *r, const json_t *o, int mode, ul_parts *out)
{
    bool clean = true, chinese = true, lower = true;
    UL_TRY(ul_read_bool(r, o, "clean_text", UL_REQUIRED, &clean));
    UL_TRY(ul_read_bool(r, o, "handle_chinese_chars", UL_REQUIRED, &chinese));
    UL_TRY(ul_read_bool(r, o, "lowercase", UL_REQUIRED, &lower));
    bool accents = lower;
    UL_TRY(ul_read_bool(r, o, "strip_accents", UL_OPTIONAL, &accents));
    (void)mode;
    if (clean) UL_TRY(add_map(r, out, map_bert_clean));
    if (chinese) UL_TRY(add_map(r, out, map_bert_chinese));
    if (accents) {
        UL_TRY(read_form(r, o, NFD, out));
        UL_TRY(add_map(r, out, map_bert_accents));
    }
    return lower ? add_map(r, out, map_lower) : UL_OK;
}

static ul_status read_strip(ul_reader *r, const json_t *o, int mode, ul_parts *out)
{
    (void)mode;
    ul_part *part;
    UL_TRY(ul_add_part(r, out, &part));
    part->edit = edit_strip;
    UL_TRY(ul_read_bool(r, o, "strip_left", UL_REQUIRED, &part->left));
    return ul_read_bool(r, o, "strip_right", UL_REQUIRED, &part->right);
}

static ul_status read_prepend(ul_reader *r, const json_t *o, int mode, ul_parts *out)
{
    (void)mode;
    ul_part *part;
    UL_TRY(ul_add_part(r, out, &part));
    part->edit = edit_prepend;
    return ul_read_str(r, o, "prepend", UL_REQUIRED, &part->text);
}

static ul_status read_replace(ul_reader *r, const json_t *o, int mode, ul_parts *out)
{
    (void)mode;
    ul_part *part;
    UL_TRY(ul_add_part(r, out, &part));
    part->edit = ul_edit_replace;
    UL_TRY(ul_read_str(r, o, "content", UL_REQUIRED, &part->content));
    return ul_read_pattern(r, o, part);
}

static ul_status read_bytes(ul_reader *r, const json_t *o, int mode, ul_parts *out)
{
    (void)o, (void)mode;
    ul_part *part;
    UL_TRY(ul_add_part(r, out, &part));
    part->edit = ul_edit_bytes;
    return UL_OK;
}

const ul_part_type ul_normalizers[] = {{"NFC", read_form, NFC},
                                       {"NFD", read_form, NFD},
                                       {"NFKC", read_form, NFC | UTF8PROC_COMPAT},
                                       {"NFKD", read_form, NFD | UTF8PROC_COMPAT},
                                       {"Lowercase", read_map, LOWER},
                                       {"StripAccents", read_map, ACCENTS},
                                       {"Nmt", read_map, NMT},
                                       {"BertNormalizer", read_bert, 0},
                                       {"Strip", read_strip, 0},
                                       {"Prepend", read_prepend, 0},
                                       {"Replace", read_replace, 0},
                                       {"ByteLevel", read_bytes, 0},
                                       {"Precompiled", ul_read_charsmap, 0},
                                       {NULL, NULL, 0}};
