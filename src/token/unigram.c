/* unigram.c - the unigram language model (Kudo 2018): the path of tokens with the greatest sum of scores, by Viterbi
 * over the places between characters. An unknown character costs the least score minus 10; unknown neighbours become
 * one.
 * Source: tokenizers 0.22, models/unigram/model.rs, encode_optimized. */
#include "parts.h"
#include <string.h>

typedef struct {
    double score;
    size_t from; /* SIZE_MAX: not reached */
    int32_t id;
} lattice_node;

static void offer(lattice_node *to, double score, size_t from, int32_t id)
{
    if (to->from == SIZE_MAX || score > to->score) *to = (lattice_node){score, from, id};
}

static ul_status add_piece(ul_work *w, const char *s, size_t n, ul_ids *out)
{
    const ul_unigram *u = &w->t->unigram;
    const int32_t id = ul_vocab_find(&w->t->vocab, s, n);
    if (id >= 0) return ul_ids_add(out, id, 0);
    bool all = u->byte_fallback;
    for (size_t k = 0; k < n; k++) all = all && u->byte_id[(uint8_t)s[k]] >= 0;
    if (!all) return ul_ids_add(out, u->unk_id, 0);
    for (size_t k = 0; k < n; k++) UL_TRY(ul_ids_add(out, u->byte_id[(uint8_t)s[k]], 0));
    return UL_OK;
}

ul_status ul_unigram_tokenize(ul_work *w, const char *s, size_t n, ul_ids *out)
{
    const ul_unigram *u = &w->t->unigram;
    lattice_node *node = w->best;
    UL_GROW(w->ctx, node, w->cap_best, n + 1);
    w->best = node;
    node[0] = (lattice_node){0, 0, -1};
    for (size_t i = 1; i <= n; i++) node[i].from = SIZE_MAX;
    uint32_t c;
    for (size_t a = 0, len; a < n; a += len) {
        len = ul_utf8_get(s + a, &c);
        bool single = false;
        uint32_t at = 0;
        for (size_t i = a; i < n && (at = ul_trie_next(&u->trie, at, (uint8_t)s[i])) != 0; i++) {
            const int32_t id = u->trie.node[at].value;
            if (id < 0) continue;
            offer(&node[i + 1], node[a].score + u->score[id], a, id);
            single = single || i + 1 - a == len;
        }
        if (single) continue;
        if (u->unk_id < 0)
            return ul_fail(w->ctx, UL_E_INPUT,
                           "%s: model Unigram: the text has an unknown character, and \"unk_id\" is null", w->t->path);
        offer(&node[a + len], node[a].score + u->unk_score, a, u->unk_id);
    }
    /* back along the best path: node[i].from is turned round to point forward */
    size_t end = n, next = SIZE_MAX;
    while (end != SIZE_MAX) {
        const size_t from = end ? node[end].from : SIZE_MAX;
        node[end].from = next;
        next = end;
        end = from;
    }
    for (size_t a = 0; a < n;) {
        size_t b = node[a].from;
        if (node[b].id == u->unk_id)
            while (b < n && node[node[b].from].id == u->unk_id) b = node[b].from;
        UL_TRY(add_piece(w, s + a, b - a, out));
        a = b;
    }
    return UL_OK;
}

ul_status ul_unigram_read(ul_reader *r, const json_t *o, ul_tokenizer *t)
{
    ul_unigram *u = &t->unigram;
    const json_t *vocab = json_object_get(o, "vocab"), *unk = json_object_get(o, "unk_id");
    const size_t n = json_array_size(vocab);
    if (!json_is_array(vocab)) return ul_bad(r, "\"vocab\" must be an array of tokens and scores");
    if (n > INT32_MAX / 2) return ul_bad(r, "\"vocab\" has %zu tokens", n);
    int64_t id = -1;
    if (unk && !json_is_null(unk) && !ul_json_whole(unk, 0, (int64_t)n - 1, &id))
        return ul_bad(r, "\"unk_id\" must be from 0 to %zu, the last token", n ? n - 1 : 0);
    u->unk_id = (int32_t)id;
    UL_TRY(ul_read_bool(r, o, "byte_fallback", UL_OPTIONAL, &u->byte_fallback));
    UL_TRY(ul_vocab_init(&t->vocab, r->arena, n));
    double *score = UL_NEW(r->arena, double, n), least = 0;
    ul_str *texts = UL_NEW(r->arena, ul_str, n);
    UL_NEED(score && texts);
    size_t bytes = 0;
    for (size_t i = 0; i < n; i++) {
        const json_t *v = json_array_get(vocab, i), *text = json_array_get(v, 0), *value = json_array_get(v, 1);
        bool isnew;
        if (json_array_size(v) != 2 || !json_is_string(text) || !json_is_number(value))
            return ul_bad(r, "vocab %zu must be an array of a string and a number", i);
        UL_TRY(ul_copy_str(r, json_string_value(text), json_string_length(text), &texts[i]));
        score[i] = json_number_value(value);
        if (i == 0 || score[i] < least) least = score[i];
        ul_vocab_add(&t->vocab, texts[i].p, texts[i].n, (int32_t)i, &isnew);
        bytes += texts[i].n;
    }
    u->score = score;
    u->text = texts;
    t->n_model = (int64_t)n;
    u->unk_score = least - 10.0;
    UL_TRY(ul_trie_init(&u->trie, r->arena, bytes));
    for (size_t i = 0; i < t->vocab.n; i++)
        ul_trie_add(&u->trie, t->vocab.word[i].p, t->vocab.word[i].n, t->vocab.word[i].id);
    for (int k = 0; k < 256; k++) {
        char name[8];
        snprintf(name, sizeof name, "<0x%02X>", k);
        u->byte_id[k] = ul_vocab_find(&t->vocab, name, 6);
    }
    t->tokenize = ul_unigram_tokenize;
    return UL_OK;
}
