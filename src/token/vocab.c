/* vocab.c - text -> id by open addressing (FNV-1a, linear probing), and a trie for the longest match at a place. */
#include "parts.h"
#include <string.h>

static uint32_t hash_text(const char *p, size_t n)
{
    uint64_t h = 0xCBF29CE484222325u;
    for (size_t i = 0; i < n; i++) h = (h ^ (unsigned char)p[i]) * 0x100000001B3u;
    return (uint32_t)(h ^ h >> 32);
}

ul_status ul_vocab_init(ul_vocab *v, ul_arena *arena, size_t cap)
{
    size_t slots = 16;
    while (slots < 2 * cap) slots *= 2;
    v->word = UL_NEW(arena, ul_word, cap);
    v->slot = UL_NEW(arena, uint32_t, slots);
    UL_NEED(v->word && v->slot);
    v->n = 0;
    v->cap = cap;
    v->mask = slots - 1;
    return UL_OK;
}

/* The slot that holds the text, or the empty one where it belongs. */
static size_t seek(const ul_vocab *v, const char *p, size_t n, uint32_t h)
{
    size_t i = h & v->mask;
    for (; v->slot[i]; i = (i + 1) & v->mask) {
        const ul_word *w = &v->word[v->slot[i] - 1];
        if (w->hash == h && w->n == n && memcmp(w->p, p, n) == 0) break;
    }
    return i;
}

void ul_vocab_add(ul_vocab *v, const char *p, size_t n, int32_t id, bool *isnew)
{
    const uint32_t h = hash_text(p, n);
    const size_t i = seek(v, p, n, h);
    *isnew = v->slot[i] == 0;
    if (*isnew) {
        v->word[v->n] = (ul_word){p, (uint32_t)n, h, id};
        v->slot[i] = (uint32_t)++v->n;
    } else {
        v->word[v->slot[i] - 1].id = id;
    }
}

int32_t ul_vocab_find(const ul_vocab *v, const char *p, size_t n)
{
    if (!v->slot) return -1;
    const size_t i = seek(v, p, n, hash_text(p, n));
    return v->slot[i] ? v->word[v->slot[i] - 1].id : -1;
}

ul_status ul_trie_init(ul_trie *t, ul_arena *arena, size_t bytes)
{
    *t = (ul_trie){.cap = bytes + 1, .n = 1};
    t->node = UL_NEW(arena, struct ul_trie_node, t->cap);
    UL_NEED(t->node);
    t->node[0].value = -1;
    return UL_OK;
}

uint32_t ul_trie_next(const ul_trie *t, uint32_t node, uint8_t byte)
{
    if (node == 0) return t->first[byte];
    uint32_t k = t->node[node].child;
    while (k && t->node[k].byte != byte) k = t->node[k].sibling;
    return k;
}

void ul_trie_add(ul_trie *t, const char *p, size_t n, int32_t value)
{
    uint32_t at = 0;
    for (size_t i = 0; i < n; i++) {
        const uint8_t b = (uint8_t)p[i];
        uint32_t k = ul_trie_next(t, at, b);
        if (!k) {
            k = (uint32_t)t->n++;
            t->node[k] = (struct ul_trie_node){.sibling = at ? t->node[at].child : 0, .value = -1, .byte = b};
            if (at)
                t->node[at].child = k;
            else
                t->first[b] = k;
        }
        at = k;
    }
    if (at && t->node[at].value < 0) t->node[at].value = value;
}

size_t ul_trie_longest(const ul_trie *t, const char *p, size_t n, int32_t *value)
{
    uint32_t at = 0;
    size_t best = 0;
    for (size_t i = 0; i < n; i++) {
        at = ul_trie_next(t, at, (uint8_t)p[i]);
        if (!at) break;
        if (t->node[at].value < 0) continue;
        *value = t->node[at].value;
        best = i + 1;
    }
    return best;
}
