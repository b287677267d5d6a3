/* decode.c - ids to text: the decoders of tokenizer.json. Source: tokenizers 0.22, src/decoders/. */
#include "parts.h"
#include <string.h>

/* Pieces [first, end) become one piece of text that starts at `at` of the text being written. */
static ul_status push_from(ul_work *w, size_t at)
{
    return ul_push(w, (ul_piece){at, w->n_next - at, -1, false});
}

static ul_status whole_fuse(ul_work *w, const ul_part *part)
{
    (void)part;
    for (size_t i = 0; i < w->n_piece; i++) UL_TRY(ul_put(w, w->text + w->piece[i].at, w->piece[i].n));
    UL_TRY(push_from(w, 0));
    ul_work_turn(w, true);
    return UL_OK;
}

/* As Rust's String::from_utf8_lossy. */
static ul_status put_lossy(ul_work *w, const char *s, size_t n)
{
    for (size_t i = 0; i < n;) {
        size_t bad, good = i;
        size_t len = 0;
        while (good < n && (len = ul_utf8_step(s + good, n - good, &bad)) > 0) good += len;
        UL_TRY(ul_put(w, s + i, good - i));
        i = good;
        if (i >= n) break;
        UL_TRY(ul_put_char(w, 0xFFFD));
        i += bad;
    }
    return UL_OK;
}

static ul_status whole_bytes(ul_work *w, const ul_part *part)
{
    (void)part;
    size_t n = 0;
    for (size_t i = 0; i < w->n_piece; i++) {
        const char *s = w->text + w->piece[i].at;
        const size_t len = w->piece[i].n, back = n;
        UL_GROW(w->ctx, w->next_text, w->cap_next, n + len);
        bool all = true;
        for (size_t k = 0; k < len && all;) {
            uint32_t c;
            k += ul_utf8_get(s + k, &c);
            const int b = ul_char_byte(c);
            all = b >= 0;
            if (all) w->next_text[n++] = (char)b;
        }
        if (all) continue;
        memcpy(w->next_text + back, s, len); /* a token with other characters stands for itself */
        n = back + len;
    }
    w->n_next = n;
    UL_TRY(push_from(w, 0));
    ul_work_turn(w, true);
    UL_TRY(put_lossy(w, w->text, w->n_text));
    UL_TRY(push_from(w, 0));
    ul_work_turn(w, true);
    return UL_OK;
}

static int hex(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    const char d = (char)(c | 32);
    return d >= 'a' && d <= 'f' ? d - 'a' + 10 : -1;
}

/* A run of <0x..> tokens is one text if it is UTF-8, else as many U+FFFD as it has bytes. */
static ul_status end_run(ul_work *w, size_t at)
{
    const size_t n = w->n_next - at;
    if (n == 0) return UL_OK;
    if (ul_utf8_invalid(w->next_text + at, n) < 0) return push_from(w, at);
    w->n_next = at;
    for (size_t i = 0; i < n; i++) {
        at = w->n_next;
        UL_TRY(ul_put_char(w, 0xFFFD));
        UL_TRY(push_from(w, at));
    }
    return UL_OK;
}

static ul_status whole_byte_fallback(ul_work *w, const ul_part *part)
{
    (void)part;
    size_t run = 0;
    for (size_t i = 0; i < w->n_piece; i++) {
        const char *s = w->text + w->piece[i].at;
        if (w->piece[i].n == 6 && memcmp(s, "<0x", 3) == 0 && s[5] == '>' && hex(s[3]) >= 0 && hex(s[4]) >= 0) {
            const char b = (char)(hex(s[3]) << 4 | hex(s[4]));
            UL_TRY(ul_put(w, &b, 1));
            continue;
        }
        UL_TRY(end_run(w, run));
        const size_t at = w->n_next;
        UL_TRY(ul_put(w, s, w->piece[i].n));
        UL_TRY(push_from(w, at));
        run = w->n_next;
    }
    UL_TRY(end_run(w, run));
    ul_work_turn(w, true);
    return UL_OK;
}

static ul_status edit_strip(ul_work *w, const ul_part *part, size_t i, const char *s, size_t n, ul_piece *p)
{
    (void)i, (void)p;
    const ul_str c = part->text;
    size_t a = 0, b = n;
    for (size_t k = 0; k < part->start && b - a >= c.n && memcmp(s + a, c.p, c.n) == 0; k++) a += c.n;
    for (size_t k = 0; k < part->stop && b - a >= c.n && memcmp(s + b - c.n, c.p, c.n) == 0; k++) b -= c.n;
    return ul_put(w, s + a, b - a);
}

static ul_status edit_metaspace(ul_work *w, const ul_part *part, size_t i, const char *s, size_t n, ul_piece *p)
{
    (void)p;
    w->n_span = 0;
    UL_TRY(ul_find_pattern(w, part, s, n));
    for (size_t k = 0; k < w->n_span; k++) {
        if (!w->span[k].hit)
            UL_TRY(ul_put(w, s + w->span[k].a, w->span[k].b - w->span[k].a));
        else if (i > 0 || !part->left)
            UL_TRY(ul_put(w, " ", 1));
    }
    return UL_OK;
}

static ul_status edit_suffix(ul_work *w, const ul_part *part, size_t i, const char *s, size_t n, ul_piece *p)
{
    (void)p;
    w->n_span = 0;
    UL_TRY(ul_find_pattern(w, part, s, n));
    for (size_t k = 0; k < w->n_span; k++) {
        if (!w->span[k].hit)
            UL_TRY(ul_put(w, s + w->span[k].a, w->span[k].b - w->span[k].a));
        else if (i + 1 < w->n_piece)
            UL_TRY(ul_put(w, " ", 1));
    }
    return UL_OK;
}

/* Each rule runs over the whole text before the next one starts. */
static size_t clean(char *text, size_t n, const char (*rules)[2][8], size_t n_rules)
{
    for (size_t r = 0; r < n_rules; r++) {
        const char *from = rules[r][0], *to = rules[r][1];
        const size_t nf = strlen(from), nt = strlen(to);
        size_t out = 0;
        for (size_t i = 0; i < n;) {
            if (n - i >= nf && memcmp(text + i, from, nf) == 0) {
                memcpy(text + out, to, nt);
                out += nt;
                i += nf;
            } else {
                text[out++] = text[i++];
            }
        }
        n = out;
    }
    return n;
}

size_t ul_decode_clean(char *text, size_t n)
{
    static const char rules[][2][8] = {{" .", "."},     {" ?", "?"},   {" !", "!"},   {" ,", ","},     {" ' ", "'"},
                                       {" n't", "n't"}, {" 'm", "'m"}, {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"}};
    return clean(text, n, rules, sizeof rules / sizeof *rules);
}

static ul_status edit_wordpiece(ul_work *w, const ul_part *part, size_t i, const char *s, size_t n, ul_piece *p)
{
    static const char rules[][2][8] = {{" .", "."},   {" ?", "?"},     {" !", "!"},    {" ,", ","},
                                       {" ' ", "'"},  {" n't", "n't"}, {" 'm", "'m"},  {" do not", " don't"},
                                       {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"}};
    (void)p;
    const size_t at = w->n_next;
    if (i > 0 && n >= part->text.n && memcmp(s, part->text.p, part->text.n) == 0) {
        UL_TRY(ul_put(w, s + part->text.n, n - part->text.n));
    } else {
        if (i > 0) UL_TRY(ul_put(w, " ", 1));
        UL_TRY(ul_put(w, s, n));
    }
    if (part->left) w->n_next = at + clean(w->next_text + at, w->n_next - at, rules, sizeof rules / sizeof *rules);
    return UL_OK;
}

/* ---- reading ---------------------------------------------------------------------------------------------------- */
enum { FUSE, BYTES, BYTE_FALLBACK };

static ul_status read_whole(ul_reader *r, const json_t *o, int mode, ul_parts *out)
{
    (void)o;
    ul_part *part;
    UL_TRY(ul_add_part(r, out, &part));
    part->whole = mode == FUSE ? whole_fuse : mode == BYTES ? whole_bytes : whole_byte_fallback;
    return UL_OK;
}

static ul_status read_strip(ul_reader *r, const json_t *o, int mode, ul_parts *out)
{
    (void)mode;
    ul_part *part;
    UL_TRY(ul_add_part(r, out, &part));
    part->edit = edit_strip;
    UL_TRY(ul_read_char(r, o, "content", &part->c));
    UL_TRY(ul_read_str(r, o, "content", UL_REQUIRED, &part->text));
    UL_TRY(ul_read_size(r, o, "start", UL_REQUIRED, 1 << 30, &part->start));
    return ul_read_size(r, o, "stop", UL_REQUIRED, 1 << 30, &part->stop);
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

static ul_status read_metaspace(ul_reader *r, const json_t *o, int mode, ul_parts *out)
{
    (void)mode;
    ul_part *part;
    ul_str scheme = {"always", 6};
    bool prefix = true;
    UL_TRY(ul_add_part(r, out, &part));
    part->edit = edit_metaspace;
    UL_TRY(ul_read_char(r, o, "replacement", &part->c));
    UL_TRY(ul_read_str(r, o, "replacement", UL_REQUIRED, &part->text));
    UL_TRY(ul_read_str(r, o, "prepend_scheme", UL_OPTIONAL, &scheme));
    UL_TRY(ul_read_bool(r, o, "add_prefix_space", UL_OPTIONAL, &prefix));
    part->left = strcmp(scheme.p, "never") != 0;
    if (part->left && strcmp(scheme.p, "always") != 0 && strcmp(scheme.p, "first") != 0)
        return ul_bad(r, "\"prepend_scheme\" is \"%s\"; it may be always, first, never", scheme.p);
    return UL_OK;
}

static ul_status read_suffix(ul_reader *r, const json_t *o, int mode, ul_parts *out)
{
    (void)mode;
    ul_part *part;
    UL_TRY(ul_add_part(r, out, &part));
    part->edit = edit_suffix;
    UL_TRY(ul_read_str(r, o, "suffix", UL_REQUIRED, &part->text));
    return part->text.n ? UL_OK : ul_regex_compile(r, "", 0, &part->re);
}

static ul_status read_wordpiece(ul_reader *r, const json_t *o, int mode, ul_parts *out)
{
    (void)mode;
    ul_part *part;
    UL_TRY(ul_add_part(r, out, &part));
    part->edit = edit_wordpiece;
    UL_TRY(ul_read_str(r, o, "prefix", UL_REQUIRED, &part->text));
    return ul_read_bool(r, o, "cleanup", UL_REQUIRED, &part->left);
}

const ul_part_type ul_decoders[] = {{"ByteLevel", read_whole, BYTES},
                                    {"ByteFallback", read_whole, BYTE_FALLBACK},
                                    {"Fuse", read_whole, FUSE},
                                    {"Strip", read_strip, 0},
                                    {"Replace", read_replace, 0},
                                    {"Metaspace", read_metaspace, 0},
                                    {"BPEDecoder", read_suffix, 0},
                                    {"WordPiece", read_wordpiece, 0},
                                    {NULL, NULL, 0}};

ul_status ul_decode(ul_ctx *ctx, const ul_tokenizer *t, const int32_t *ids, size_t n, bool skip_special, ul_buf *out)
{
    ul_work w;
    ul_work_init(&w, ctx, t);
    ul_status st = UL_OK;
    for (size_t i = 0; i < n && st == UL_OK; i++) {
        if (ids[i] < 0 || ids[i] >= t->n_token) continue;
        const ul_token *k = &t->token[ids[i]];
        if (!k->known || (skip_special && k->special)) continue;
        const size_t at = w.n_next;
        st = ul_put(&w, k->p, k->n);
        if (st == UL_OK) st = push_from(&w, at);
    }
    ul_work_turn(&w, true);
    if (st == UL_OK) st = ul_work_run(&w, t->decoder.at, t->decoder.n);
    for (size_t i = 0; i < w.n_piece && st == UL_OK; i++) {
        if (i > 0 && !t->has_decoder) st = ul_buf_add(out, " ", 1);
        if (st == UL_OK) st = ul_buf_add(out, w.text + w.piece[i].at, w.piece[i].n);
    }
    ul_work_release(&w);
    return st;
}
