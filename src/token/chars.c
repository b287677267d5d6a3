/* chars.c - UTF-8 and the classes of characters that tokenizers use. Categories: utf8proc. */
#include "parts.h"
#include <utf8proc.h>

size_t ul_utf8_get(const char *s, uint32_t *c)
{
    const unsigned char *u = (const unsigned char *)s;
    if (u[0] < 0x80) return *c = u[0], 1;
    if (u[0] < 0xE0) return *c = (uint32_t)(u[0] & 31) << 6 | (u[1] & 63u), 2;
    if (u[0] < 0xF0) return *c = (uint32_t)(u[0] & 15) << 12 | (u[1] & 63u) << 6 | (u[2] & 63u), 3;
    return *c = (uint32_t)(u[0] & 7) << 18 | (u[1] & 63u) << 12 | (u[2] & 63u) << 6 | (u[3] & 63u), 4;
}

size_t ul_utf8_set(uint32_t c, char out[4])
{
    if (c < 0x80) return out[0] = (char)c, 1;
    if (c < 0x800) {
        out[0] = (char)(0xC0 | c >> 6);
        out[1] = (char)(0x80 | (c & 63));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (char)(0xE0 | c >> 12);
        out[1] = (char)(0x80 | (c >> 6 & 63));
        out[2] = (char)(0x80 | (c & 63));
        return 3;
    }
    out[0] = (char)(0xF0 | c >> 18);
    out[1] = (char)(0x80 | (c >> 12 & 63));
    out[2] = (char)(0x80 | (c >> 6 & 63));
    out[3] = (char)(0x80 | (c & 63));
    return 4;
}

/* Unicode 15, table 3-7 (well-formed sequences), and section 3.9: one U+FFFD for each maximal subpart. */
size_t ul_utf8_step(const char *s, size_t n, size_t *bad)
{
    const unsigned char *u = (const unsigned char *)s;
    *bad = 1;
    if (u[0] < 0x80) return 1;
    if (u[0] < 0xC2 || u[0] > 0xF4) return 0;
    const size_t want = u[0] < 0xE0 ? 2 : u[0] < 0xF0 ? 3 : 4;
    unsigned lo = 0x80, hi = 0xBF;
    if (u[0] == 0xE0) lo = 0xA0;
    if (u[0] == 0xED) hi = 0x9F;
    if (u[0] == 0xF0) lo = 0x90;
    if (u[0] == 0xF4) hi = 0x8F;
    for (size_t k = 1; k < want; k++, lo = 0x80, hi = 0xBF) {
        *bad = k;
        if (k >= n || u[k] < lo || u[k] > hi) return 0;
    }
    return want;
}

static utf8proc_category_t category(uint32_t c)
{
    return utf8proc_category((utf8proc_int32_t)c);
}

bool ul_is_white(uint32_t c) /* the property White_Space */
{
    if (c < 0x80) return c == ' ' || (c >= 9 && c <= 13);
    return c == 0x85 || c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 ||
           c == 0x202F || c == 0x205F || c == 0x3000;
}

/* \w of Unicode Technical Standard 18: Alphabetic, marks, decimal digits, connectors, joiners. */
bool ul_is_word(uint32_t c)
{
    if (c < 0x80) return c == '_' || (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z');
    switch (category(c)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_PC:
        return true;
    default: /* signs that are Alphabetic: circled, squared and negative letters */
        return (c >= 0x24B6 && c <= 0x24E9) || (c >= 0x1F130 && c <= 0x1F149) || (c >= 0x1F150 && c <= 0x1F169) ||
               (c >= 0x1F170 && c <= 0x1F189) || c == 0x200C || c == 0x200D;
    }
}

bool ul_is_numeric(uint32_t c)
{
    if (c < 0x80) return c >= '0' && c <= '9';
    const utf8proc_category_t k = category(c);
    return k == UTF8PROC_CATEGORY_ND || k == UTF8PROC_CATEGORY_NL || k == UTF8PROC_CATEGORY_NO;
}

bool ul_is_punctuation(uint32_t c)
{
    if (c < 0x80) return c > 32 && c < 127 && !ul_is_numeric(c) && !((c | 32) >= 'a' && (c | 32) <= 'z');
    const utf8proc_category_t k = category(c);
    return k >= UTF8PROC_CATEGORY_PC && k <= UTF8PROC_CATEGORY_PO;
}

bool ul_is_mark(uint32_t c)
{
    const utf8proc_category_t k = c < 0x300 ? UTF8PROC_CATEGORY_CN : category(c);
    return k == UTF8PROC_CATEGORY_MN || k == UTF8PROC_CATEGORY_MC || k == UTF8PROC_CATEGORY_ME;
}

bool ul_is_mark_nonspacing(uint32_t c)
{
    return c >= 0x300 && category(c) == UTF8PROC_CATEGORY_MN;
}

bool ul_is_other(uint32_t c) /* unassigned ones are not among them in the crate that the library uses */
{
    const utf8proc_category_t k = category(c);
    return k == UTF8PROC_CATEGORY_CC || k == UTF8PROC_CATEGORY_CF || k == UTF8PROC_CATEGORY_CO;
}

/* GPT-2 (Radford et al. 2019, encoder.py, bytes_to_unicode): '!'..'~', 0xA1..0xAC and 0xAE..0xFF stay, the other 68
 * bytes are numbered from U+0100 in rising order: 0..32, 127..160, 173. */
uint32_t ul_byte_char(uint8_t b)
{
    if (b <= 32) return 0x100u + b;
    if (b >= 127 && b <= 160) return 0x100u + 33 + (b - 127u);
    if (b == 173) return 0x100u + 67;
    return b;
}

int ul_char_byte(uint32_t c)
{
    if (c >= 0x100) return c <= 0x120 ? (int)(c - 0x100) : c < 0x143 ? (int)(c - 0x121 + 127) : c == 0x143 ? 173 : -1;
    return ul_byte_char((uint8_t)c) == c ? (int)c : -1;
}
