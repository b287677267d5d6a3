/* charsmap.c - the normalizer "Precompiled": SentencePiece's rewriting rules, base64 of [u32 bytes of the trie][trie: a
 * double array of u32][texts, each ended by NUL]. The trie leads from a character sequence to the place of its text.
 * A grapheme of less than 6 bytes is looked up whole, then each character alone; the shortest rule that starts it
 * counts.
 * Sources: spm_precompiled src/lib.rs; tokenizers 0.22 normalizers/precompiled.rs; darts-clone (Yata). */
#include "parts.h"
#include <string.h>
#include <utf8proc.h>

static uint32_t unit(ul_str map, size_t i) /* of the trie; SIZE_MAX: the number of its bytes */
{
    const unsigned char *p = (const unsigned char *)map.p + 4 * (i + 1);
    return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static size_t offset(uint32_t u)
{
    return (size_t)(u >> 10) << ((u & 1u << 9) >> 6);
}

/* part->start: units of the trie; part->stop: where the texts begin. False when no rule starts s. */
static bool rule(const ul_part *part, const char *s, size_t n, ul_str *out)
{
    const ul_str map = part->text;
    size_t at = part->start ? offset(unit(map, 0)) : 0;
    for (size_t i = 0; i < n && s[i]; i++) {
        const uint8_t c = (uint8_t)s[i];
        at ^= c;
        if (at >= part->start) return false;
        const uint32_t u = unit(map, at);
        if ((u & (1u << 31 | 0xFF)) != c) return false;
        at ^= offset(u);
        if (!(u >> 8 & 1)) continue;
        if (at >= part->start) return false;
        const size_t from = part->stop + (unit(map, at) & 0x7FFFFFFF);
        if (from > map.n || (from < map.n && ((unsigned char)map.p[from] & 0xC0) == 0x80)) return false;
        const char *end = memchr(map.p + from, 0, map.n - from);
        *out = (ul_str){map.p + from, end ? (size_t)(end - map.p) - from : map.n - from};
        return true;
    }
    return false;
}

static ul_status rewrite(ul_work *w, const ul_part *part, const char *s, size_t n)
{
    ul_str to;
    uint32_t c;
    if (n < 6 && rule(part, s, n, &to)) return ul_put(w, to.p, to.n);
    for (size_t i = 0, len; i < n; i += len) {
        len = ul_utf8_get(s + i, &c);
        if (rule(part, s + i, len, &to))
            UL_TRY(ul_put(w, to.p, to.n));
        else
            UL_TRY(ul_put(w, s + i, len));
    }
    return UL_OK;
}

static ul_status edit_charsmap(ul_work *w, const ul_part *part, size_t i, const char *s, size_t n, ul_piece *p)
{
    (void)i, (void)p;
    utf8proc_int32_t state = 0;
    uint32_t last = 0, c;
    size_t from = 0;
    for (size_t at = 0, len; at < n; at += len, last = c) {
        len = ul_utf8_get(s + at, &c);
        if (at == 0 || !utf8proc_grapheme_break_stateful((utf8proc_int32_t)last, (utf8proc_int32_t)c, &state)) continue;
        UL_TRY(rewrite(w, part, s + from, at - from));
        from = at;
    }
    return rewrite(w, part, s + from, n - from);
}

static int digit(char c)
{
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

static ul_status decode_base64(ul_reader *r, ul_str *s)
{
    char *out = ul_alloc(r->arena, s->n / 4 * 3 + 4, 1);
    UL_NEED(out);
    size_t n = 0, digits = s->n;
    uint32_t bits = 0;
    while (digits && s->p[digits - 1] == '=') digits--;
    for (size_t i = 0; i < digits; i++) {
        const int d = digit(s->p[i]);
        if (d < 0) return ul_bad(r, "\"precompiled_charsmap\" is not base64 at byte %zu", i);
        bits = bits << 6 | (uint32_t)d;
        if (i % 4) out[n++] = (char)(bits >> (6 - 2 * (i % 4)));
    }
    *s = (ul_str){out, n};
    return UL_OK;
}

ul_status ul_read_charsmap(ul_reader *r, const json_t *o, int mode, ul_parts *out)
{
    (void)mode;
    ul_part *part;
    UL_TRY(ul_add_part(r, out, &part));
    part->edit = edit_charsmap;
    UL_TRY(ul_read_str(r, o, "precompiled_charsmap", UL_REQUIRED, &part->text));
    UL_TRY(decode_base64(r, &part->text));
    const ul_str map = part->text;
    const size_t bytes = map.n < 4 ? 0 : unit(map, SIZE_MAX);
    if (map.n < 4 || bytes > map.n - 4)
        return ul_bad(r, "\"precompiled_charsmap\" has %zu bytes, its trie needs %zu", map.n, bytes + 4);
    part->start = bytes / 4;
    part->stop = 4 + 4 * part->start;
    const int64_t bad = ul_utf8_invalid(map.p + part->stop, map.n - part->stop);
    if (bad >= 0) return ul_bad(r, "\"precompiled_charsmap\": its texts are not UTF-8 at byte %lld", (long long)bad);
    return UL_OK;
}
