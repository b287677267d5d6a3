/* bpe.c - byte pair encoding (Sennrich et al. 2016): while some neighbours have a merge, join those whose merge comes
 * first in the list, leftmost first. Unknown characters, byte fallback and affixes as in tokenizers 0.22, models/bpe.
 *
 * Short words are scanned for the least rank; long ones use a heap over a linked list, O(n log n). A text without
 * pre-tokenizer is one word: it is first cut between symbols that no merge has side by side inside, which changes
 * nothing (no merge can ever span such a place) and makes it many short words. */
#include "parts.h"
#include <string.h>

enum { SCAN = 24, CUT = 32 };
#define NO_RANK UINT32_MAX

static inline uint64_t pair_key(int32_t a, int32_t b)
{
    return (uint64_t)(uint32_t)a << 32 | (uint32_t)b;
}

static inline size_t pair_slot(const ul_pairs *p, uint64_t key)
{
    uint64_t h = key * 0x9E3779B97F4A7C15u;
    return (size_t)(h ^ h >> 32) & p->mask;
}

static inline const struct ul_pair *pair_find(const ul_pairs *p, int32_t a, int32_t b)
{
    const uint64_t key = pair_key(a, b);
    size_t i = pair_slot(p, key);
    while (p->at[i].key != key) {
        if (p->at[i].key == UINT64_MAX) return NULL;
        i = (i + 1) & p->mask;
    }
    return &p->at[i];
}

static void pair_set(ul_pairs *p, int32_t a, int32_t b, uint32_t rank, int32_t id)
{
    const uint64_t key = pair_key(a, b);
    size_t i = pair_slot(p, key);
    while (p->at[i].key != key && p->at[i].key != UINT64_MAX) i = (i + 1) & p->mask;
    p->at[i].key = key;
    p->at[i].rank = rank;
    p->at[i].id = id;
}

static ul_status pairs_init(ul_pairs *p, ul_arena *arena, size_t n)
{
    size_t slots = 16;
    while (slots < 2 * n) slots *= 2;
    p->at = UL_NEW(arena, struct ul_pair, slots);
    UL_NEED(p->at);
    for (size_t i = 0; i < slots; i++) p->at[i].key = UINT64_MAX;
    p->mask = slots - 1;
    return UL_OK;
}

/* ---- merging ---------------------------------------------------------------------------------------------------- */
static ul_status merge_short(const ul_bpe *b, const ul_symbol *s, size_t n, ul_ids *out)
{
    int32_t id[SCAN], joined[SCAN];
    uint32_t rank[SCAN];
    for (size_t i = 0; i < n; i++) id[i] = s[i].id;
#define RANK(i)                                                                                                        \
    do {                                                                                                               \
        const struct ul_pair *m_ = pair_find(&b->merges, id[i], id[(i) + 1]);                                          \
        rank[i] = m_ ? m_->rank : NO_RANK;                                                                             \
        joined[i] = m_ ? m_->id : -1;                                                                                  \
    } while (0)
    for (size_t i = 0; i + 1 < n; i++) RANK(i);
    while (n > 1) {
        size_t best = 0;
        for (size_t i = 1; i + 1 < n; i++)
            if (rank[i] < rank[best]) best = i;
        if (rank[best] == NO_RANK) break;
        id[best] = joined[best];
        n--;
        for (size_t i = best + 1; i < n; i++) id[i] = id[i + 1];
        for (size_t i = best + 1; i + 1 < n; i++) {
            rank[i] = rank[i + 1];
            joined[i] = joined[i + 1];
        }
        if (best > 0) RANK(best - 1);
        if (best + 1 < n) RANK(best);
    }
#undef RANK
    for (size_t i = 0; i < n; i++) UL_TRY(ul_ids_add(out, id[i], 0));
    return UL_OK;
}

static inline bool before(ul_merge a, ul_merge b)
{
    return a.rank != b.rank ? a.rank < b.rank : a.at < b.at;
}

static ul_status heap_add(ul_work *w, ul_merge m)
{
    UL_GROW(w->ctx, w->heap, w->cap_heap, w->n_heap + 1);
    size_t i = w->n_heap++;
    while (i > 0 && before(m, w->heap[(i - 1) / 2])) {
        w->heap[i] = w->heap[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    w->heap[i] = m;
    return UL_OK;
}

static ul_merge heap_take(ul_work *w)
{
    const ul_merge top = w->heap[0], last = w->heap[--w->n_heap];
    size_t i = 0;
    for (;;) {
        size_t k = 2 * i + 1;
        if (k >= w->n_heap) break;
        if (k + 1 < w->n_heap && before(w->heap[k + 1], w->heap[k])) k++;
        if (!before(w->heap[k], last)) break;
        w->heap[i] = w->heap[k];
        i = k;
    }
    w->heap[i] = last;
    return top;
}

static ul_status heap_pair(ul_work *w, const ul_symbol *s, int32_t left, int32_t right)
{
    const struct ul_pair *m = pair_find(&w->t->bpe.merges, s[left].id, s[right].id);
    return m ? heap_add(w, (ul_merge){m->rank, left, m->id}) : UL_OK;
}

static ul_status merge_long(ul_work *w, ul_symbol *s, size_t n, ul_ids *out)
{
    if (n > INT32_MAX) return ul_fail(w->ctx, UL_E_INPUT, "tokenizer: a word of %zu symbols", n);
    w->n_heap = 0;
    for (size_t i = 0; i < n; i++) {
        s[i].prev = (int32_t)i - 1;
        s[i].next = i + 1 < n ? (int32_t)i + 1 : -1;
        s[i].gone = false;
    }
    for (size_t i = 0; i + 1 < n; i++) UL_TRY(heap_pair(w, s, (int32_t)i, (int32_t)i + 1));
    while (w->n_heap) {
        const ul_merge top = heap_take(w);
        ul_symbol *left = &s[top.at];
        if (left->gone || left->next < 0) continue;
        ul_symbol *right = &s[left->next];
        const struct ul_pair *m = pair_find(&w->t->bpe.merges, left->id, right->id);
        if (!m || m->id != top.id) continue; /* one of the two has been joined meanwhile */
        left->id = top.id;
        right->gone = true;
        left->next = right->next;
        if (left->next >= 0) s[left->next].prev = top.at;
        if (left->prev >= 0) UL_TRY(heap_pair(w, s, left->prev, top.at));
        if (left->next >= 0) UL_TRY(heap_pair(w, s, top.at, left->next));
    }
    for (int32_t i = 0; i >= 0; i = s[i].next) UL_TRY(ul_ids_add(out, s[i].id, 0));
    return UL_OK;
}

static ul_status merge(ul_work *w, ul_ids *out)
{
    const ul_bpe *b = &w->t->bpe;
    ul_symbol *s = w->symbol;
    size_t from = 0;
    const size_t n = w->n_symbol;
    if (n == 0) return UL_OK;
    for (size_t i = 1; i <= n; i++) {
        if (i < n && (n <= CUT || !b->cut || pair_find(&b->touch, s[i - 1].id, s[i].id))) continue;
        const size_t len = i - from;
        if (len == 1)
            UL_TRY(ul_ids_add(out, s[from].id, 0));
        else if (len <= SCAN)
            UL_TRY(merge_short(b, s + from, len, out));
        else
            UL_TRY(merge_long(w, s + from, len, out));
        from = i;
    }
    return UL_OK;
}

/* ---- symbols ---------------------------------------------------------------------------------------------------- */
static ul_status add_symbol(ul_work *w, int32_t id)
{
    UL_GROW(w->ctx, w->symbol, w->cap_symbol, w->n_symbol + 1);
    w->symbol[w->n_symbol++].id = id;
    return UL_OK;
}

/* The character with what the affixes add to it, in w->next_text from `at` on. */
static ul_status affixed(ul_work *w, const char *s, size_t n, bool first, bool last, ul_str *out)
{
    const ul_bpe *b = &w->t->bpe;
    w->n_next = 0;
    if (!first) UL_TRY(ul_put(w, b->prefix.p, b->prefix.n));
    UL_TRY(ul_put(w, s, n));
    if (last) UL_TRY(ul_put(w, b->suffix.p, b->suffix.n));
    *out = (ul_str){w->next_text, w->n_next};
    return UL_OK;
}

ul_status ul_bpe_tokenize(ul_work *w, const char *s, size_t n, ul_ids *out)
{
    const ul_bpe *b = &w->t->bpe;
    int32_t id;
    if (b->ignore_merges && (id = ul_vocab_find(&w->t->vocab, s, n)) >= 0) return ul_ids_add(out, id, 0);
    bool unk = false; /* one is held back: with fuse_unk the next ones join it */
    w->n_symbol = 0;
    for (size_t i = 0; i < n;) {
        uint32_t c;
        const size_t len = ul_utf8_get(s + i, &c);
        ul_str x = {s + i, len};
        if (b->affixes) {
            UL_TRY(affixed(w, s + i, len, i == 0, i + len == n, &x));
            id = ul_vocab_find(&w->t->vocab, x.p, x.n);
        } else {
            id = c < b->n_char ? b->char_id[c] : ul_vocab_find(&w->t->vocab, x.p, x.n);
        }
        i += len;
        if (id >= 0) {
            if (unk) UL_TRY(add_symbol(w, b->unk_id));
            unk = false;
            UL_TRY(add_symbol(w, id));
            continue;
        }
        if (b->byte_fallback) {
            bool all = true;
            for (size_t k = 0; k < x.n; k++) all = all && b->byte_id[(uint8_t)x.p[k]] >= 0;
            if (all) {
                for (size_t k = 0; k < x.n; k++) UL_TRY(add_symbol(w, b->byte_id[(uint8_t)x.p[k]]));
                continue;
            }
        }
        if (!b->has_unk) continue; /* dropped, as in the library */
        if (b->unk_id < 0)
            return ul_fail(w->ctx, UL_E_INPUT,
                           "%s: model BPE: the text has a character that needs \"unk_token\" \"%s\", "
                           "which the vocabulary lacks",
                           w->t->path, b->unk.p);
        if (unk && !b->fuse_unk) UL_TRY(add_symbol(w, b->unk_id));
        unk = true;
    }
    if (unk) UL_TRY(add_symbol(w, b->unk_id));
    return merge(w, out);
}

/* ---- reading ---------------------------------------------------------------------------------------------------- */
static ul_status read_merge(ul_reader *r, const json_t *v, size_t rank, ul_str *left, ul_str *right)
{
    if (json_is_string(v)) {
        const char *p = json_string_value(v);
        const size_t n = json_string_length(v);
        const char *space = memchr(p, ' ', n);
        if (!space || memchr(space + 1, ' ', n - 1 - (size_t)(space - p)))
            return ul_bad(r, "merge %zu \"%.60s\" must be two tokens with one space between them", rank, p);
        *left = (ul_str){p, (size_t)(space - p)};
        *right = (ul_str){space + 1, n - 1 - left->n};
        return UL_OK;
    }
    const json_t *a = json_array_get(v, 0), *c = json_array_get(v, 1);
    if (json_array_size(v) != 2 || !json_is_string(a) || !json_is_string(c))
        return ul_bad(r, "merge %zu must be a string or an array of two strings", rank);
    *left = (ul_str){json_string_value(a), json_string_length(a)};
    *right = (ul_str){json_string_value(c), json_string_length(c)};
    return UL_OK;
}

/* The first and last characters of a merge's halves meet inside the new token. Bytes and unknowns are symbols of more
 * than one character: where a merge takes them, words are not cut. */
static void note_touch(ul_tokenizer *t, ul_str left, ul_str right, int32_t a, int32_t c, ul_pairs *touch)
{
    ul_bpe *b = &t->bpe;
    uint32_t skip;
    if (left.n == 0 || right.n == 0) {
        b->cut = false;
        return;
    }
    if (b->has_unk && (a == b->unk_id || c == b->unk_id)) b->cut = false;
    if (b->byte_fallback)
        for (int k = 0; k < 256; k++)
            if (a == b->byte_id[k] || c == b->byte_id[k]) b->cut = false;
    size_t at = left.n - 1;
    while (((unsigned char)left.p[at] & 0xC0) == 0x80) at--;
    const int32_t x = ul_vocab_find(&t->vocab, left.p + at, left.n - at);
    const int32_t y = ul_vocab_find(&t->vocab, right.p, ul_utf8_get(right.p, &skip));
    if (x >= 0 && y >= 0) pair_set(touch, x, y, 0, 0);
}

static ul_status add_merge(ul_reader *r, const json_t *v, size_t i, ul_tokenizer *t, ul_buf *joined, uint32_t *rank,
                           ul_pairs *touch)
{
    ul_bpe *b = &t->bpe;
    ul_str left = {0}, right = {0};
    if (json_is_string(v) && strncmp(json_string_value(v), "#version", 8) == 0) return UL_OK;
    UL_TRY(read_merge(r, v, i, &left, &right));
    const int32_t x = ul_vocab_find(&t->vocab, left.p, left.n), y = ul_vocab_find(&t->vocab, right.p, right.n);
    if (x < 0 || y < 0)
        return ul_bad(r, "merge %zu names \"%.*s\", which is not in the vocabulary", i, (int)(x < 0 ? left.n : right.n),
                      x < 0 ? left.p : right.p);
    if (right.n < b->prefix.n)
        return ul_bad(r, "merge %zu: \"%.*s\" is shorter than \"continuing_subword_prefix\"", i, (int)right.n, right.p);
    ul_buf_reset(joined);
    UL_TRY(ul_buf_add(joined, left.p, left.n));
    UL_TRY(ul_buf_add(joined, right.p + b->prefix.n, right.n - b->prefix.n));
    const int32_t z = ul_vocab_find(&t->vocab, joined->p, joined->n);
    if (z < 0) return ul_bad(r, "merge %zu makes \"%.60s\", which is not in the vocabulary", i, joined->p);
    pair_set(&b->merges, x, y, (*rank)++, z);
    if (b->cut) note_touch(t, left, right, x, y, touch);
    return UL_OK;
}

/* `touch`: as many slots as merges; its few different pairs then move to a small table of the tokenizer's own. */
static ul_status read_merges(ul_reader *r, const json_t *merges, ul_tokenizer *t, ul_pairs *touch)
{
    ul_bpe *b = &t->bpe;
    const size_t n = json_array_size(merges);
    UL_TRY(pairs_init(&b->merges, r->arena, n));
    ul_buf joined;
    ul_buf_init(&joined, r->ctx, 1u << 24);
    ul_status st = UL_OK;
    uint32_t rank = 0;
    b->cut = !b->affixes;
    for (size_t i = 0; i < n && st == UL_OK; i++) {
        const json_t *v = json_array_get(merges, i);
        st = i > 0 && json_typeof(v) != json_typeof(json_array_get(merges, 0))
                 ? ul_bad(r, "merge %zu is of another kind than merge 0", i)
                 : add_merge(r, v, i, t, &joined, &rank, touch);
    }
    ul_buf_release(&joined);
    if (st != UL_OK) return st;
    size_t used = 0;
    for (size_t i = 0; i <= touch->mask; i++) used += touch->at[i].key != UINT64_MAX;
    UL_TRY(pairs_init(&b->touch, r->arena, used));
    for (size_t i = 0; i <= touch->mask; i++) {
        const uint64_t key = touch->at[i].key;
        if (key != UINT64_MAX) pair_set(&b->touch, (int32_t)(key >> 32), (int32_t)(uint32_t)key, 0, 0);
    }
    return UL_OK;
}

/* Characters that are tokens, by code point: the first step of every word. */
static ul_status index_chars(ul_reader *r, ul_tokenizer *t)
{
    enum { TABLE = 0x10000 };
    ul_bpe *b = &t->bpe;
    b->char_id = ul_alloc_raw(r->arena, TABLE, sizeof *b->char_id);
    UL_NEED(b->char_id);
    b->n_char = TABLE;
    for (size_t i = 0; i < TABLE; i++) b->char_id[i] = -1;
    for (size_t i = 0; i < t->vocab.n; i++) {
        const ul_word *w = &t->vocab.word[i];
        uint32_t c;
        if (w->n && w->n <= 4 && ul_utf8_get(w->p, &c) == w->n && c < TABLE) b->char_id[c] = w->id;
    }
    return UL_OK;
}

ul_status ul_bpe_read(ul_reader *r, const json_t *o, ul_tokenizer *t)
{
    ul_bpe *b = &t->bpe;
    const json_t *merges = json_object_get(o, "merges");
    if (!json_is_array(merges)) return ul_bad(r, "\"merges\" must be an array");
    UL_TRY(ul_read_str(r, o, "unk_token", UL_OPTIONAL, &b->unk));
    UL_TRY(ul_read_str(r, o, "continuing_subword_prefix", UL_OPTIONAL, &b->prefix));
    UL_TRY(ul_read_str(r, o, "end_of_word_suffix", UL_OPTIONAL, &b->suffix));
    UL_TRY(ul_read_bool(r, o, "fuse_unk", UL_OPTIONAL, &b->fuse_unk));
    UL_TRY(ul_read_bool(r, o, "byte_fallback", UL_OPTIONAL, &b->byte_fallback));
    UL_TRY(ul_read_bool(r, o, "ignore_merges", UL_OPTIONAL, &b->ignore_merges));
    b->has_unk = b->unk.p != NULL;
    b->affixes = b->prefix.n + b->suffix.n > 0;
    b->unk_id = b->has_unk ? ul_vocab_find(&t->vocab, b->unk.p, b->unk.n) : -1;
    for (int k = 0; k < 256; k++) {
        char name[8];
        snprintf(name, sizeof name, "<0x%02X>", k);
        b->byte_id[k] = ul_vocab_find(&t->vocab, name, 6);
    }
    UL_TRY(index_chars(r, t));
    t->tokenize = ul_bpe_tokenize;
    ul_arena *scratch;
    ul_pairs touch;
    UL_TRY(ul_arena_new(r->ctx, "merges", &scratch));
    ul_status st = pairs_init(&touch, scratch, json_array_size(merges));
    if (st == UL_OK) st = read_merges(r, merges, t, &touch);
    ul_arena_free(scratch);
    return st;
}
