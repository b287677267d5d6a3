/* added.c - added tokens: found in the text before (normalized: false) or after normalisation, leftmost, longest, with
 * white space around them if they ask for it. Source: tokenizers 0.22, tokenizer/added_vocabulary.rs. */
#include "parts.h"
#include <string.h>

typedef struct {
    ul_str text, normal;
    bool special, normalized, single_word, lstrip, rstrip;
} added_token;

/* As the library: the id that the vocabulary has, else the next one after the vocabulary's size; the file's own number
 * does not count (a difference is told). */
static ul_status number(ul_reader *r, const json_t *o, ul_tokenizer *t, const added_token *k, int32_t *next)
{
    int32_t id = ul_vocab_find(&t->added, k->text.p, k->text.n);
    bool isnew;
    if (id < 0) id = ul_vocab_find(&t->vocab, k->text.p, k->text.n);
    if (id < 0) {
        id = (*next)++;
        t->n_with_added++;
    }
    ul_vocab_add(&t->added, k->text.p, k->text.n, id, &isnew);
    int64_t said;
    if (!ul_json_whole(json_object_get(o, "id"), 0, INT32_MAX, &said))
        return ul_bad(r, "token \"%.60s\" needs an \"id\" from 0 to %d", k->text.p, INT32_MAX);
    if (said != id)
        ul_note(r->ctx, UL_LOG_WARN, "%s: added token \"%.60s\" says id %lld, it is %d as in the tokenizers library",
                r->path, k->text.p, (long long)said, id);
    return UL_OK;
}

static ul_status read_token(ul_reader *r, const json_t *o, added_token *k)
{
    if (!json_is_object(o)) return ul_bad(r, "each must be an object");
    UL_TRY(ul_read_str(r, o, "content", UL_REQUIRED, &k->text));
    UL_TRY(ul_read_bool(r, o, "single_word", UL_REQUIRED, &k->single_word));
    UL_TRY(ul_read_bool(r, o, "lstrip", UL_REQUIRED, &k->lstrip));
    UL_TRY(ul_read_bool(r, o, "rstrip", UL_REQUIRED, &k->rstrip));
    UL_TRY(ul_read_bool(r, o, "normalized", UL_REQUIRED, &k->normalized));
    return ul_read_bool(r, o, "special", UL_REQUIRED, &k->special);
}

/* id -> text, of the model first, added tokens over it. */
static ul_status index_ids(ul_reader *r, ul_tokenizer *t, int32_t next)
{
    int64_t n = next;
    for (size_t i = 0; i < t->vocab.n; i++)
        if (t->vocab.word[i].id >= n) n = t->vocab.word[i].id + (int64_t)1;
    t->token = UL_NEW(r->arena, ul_token, n);
    UL_NEED(t->token);
    t->n_token = n;
    for (size_t i = 0; i < t->vocab.n; i++) {
        const ul_word *w = &t->vocab.word[i];
        t->token[w->id] = (ul_token){.p = w->p, .n = w->n, .known = true};
    }
    for (int64_t i = 0; t->unigram.text && i < t->n_model; i++) {
        const ul_str s = t->unigram.text[i];
        t->token[i] = (ul_token){.p = s.p, .n = (uint32_t)s.n, .known = true};
    }
    for (size_t i = 0; i < t->added.n; i++) {
        const ul_word *w = &t->added.word[i];
        t->token[w->id] = (ul_token){.p = w->p, .n = w->n, .known = true};
    }
    return UL_OK;
}

static ul_status normalise(ul_work *w, const ul_reader *r, added_token *k)
{
    UL_TRY(ul_work_set(w, k->text.p, k->text.n));
    UL_TRY(ul_work_run(w, w->t->normalizer.at, w->t->normalizer.n));
    return ul_copy_str(r, w->text + w->piece[0].at, w->piece[0].n, &k->normal);
}

/* Special tokens first: of equal texts the first one is found. A text that is special anywhere counts once, as the
 * first special entry has it. */
static ul_status build_tries(ul_reader *r, ul_tokenizer *t, added_token *k, size_t n)
{
    size_t raw = 0, normal = 0;
    for (size_t i = 0; i < n; i++) {
        raw += k[i].text.n;
        normal += k[i].normal.n;
    }
    UL_TRY(ul_trie_init(&t->raw, r->arena, raw));
    UL_TRY(ul_trie_init(&t->normal, r->arena, normal));
    ul_vocab seen = {0};
    UL_TRY(ul_vocab_init(&seen, r->arena, n));
    for (int special = 1; special >= 0; special--) {
        for (size_t i = 0; i < n; i++) {
            bool isnew;
            if (k[i].special != (bool)special || k[i].text.n == 0) continue;
            if (special)
                ul_vocab_add(&seen, k[i].text.p, k[i].text.n, 1, &isnew);
            else
                isnew = ul_vocab_find(&seen, k[i].text.p, k[i].text.n) < 0;
            if (!isnew) continue;
            const int32_t id = ul_vocab_find(&t->added, k[i].text.p, k[i].text.n);
            if (k[i].normalized)
                ul_trie_add(&t->normal, k[i].normal.p, k[i].normal.n, id);
            else
                ul_trie_add(&t->raw, k[i].text.p, k[i].text.n, id);
        }
    }
    for (int64_t id = 0; id < t->n_token; id++) /* also a token of the model that is spelt like a special one */
        if (t->token[id].known && ul_vocab_find(&seen, t->token[id].p, t->token[id].n) >= 0)
            t->token[id].special = true;
    return UL_OK;
}

ul_status ul_added_read(ul_reader *r, const json_t *o, ul_tokenizer *t)
{
    r->stage = "added_tokens";
    r->type = NULL;
    if (o && !json_is_null(o) && !json_is_array(o)) return ul_bad(r, "must be an array");
    const size_t n = json_array_size(o);
    int32_t next = (int32_t)t->n_model;
    t->n_with_added = (int64_t)t->vocab.n;
    added_token *k = UL_NEW(r->arena, added_token, n);
    UL_NEED(k);
    UL_TRY(ul_vocab_init(&t->added, r->arena, n));
    for (size_t i = 0; i < n; i++) {
        UL_TRY(read_token(r, json_array_get(o, i), &k[i]));
        if (k[i].text.n) UL_TRY(number(r, json_array_get(o, i), t, &k[i], &next));
    }
    UL_TRY(index_ids(r, t, next));
    ul_work w;
    ul_work_init(&w, r->ctx, t);
    ul_status st = UL_OK;
    for (size_t i = 0; i < n && st == UL_OK; i++) {
        if (k[i].text.n == 0) continue;
        ul_token *token = &t->token[ul_vocab_find(&t->added, k[i].text.p, k[i].text.n)];
        token->single_word = k[i].single_word;
        token->lstrip = k[i].lstrip;
        token->rstrip = k[i].rstrip;
        if (k[i].normalized) st = normalise(&w, r, &k[i]);
    }
    ul_work_release(&w);
    return st == UL_OK ? build_tries(r, t, k, n) : st;
}

/* ---- finding them ----------------------------------------------------------------------------------------------- */
static size_t char_before(const char *s, size_t i, uint32_t *c)
{
    size_t k = i - 1;
    while (((unsigned char)s[k] & 0xC0) == 0x80) k--;
    ul_utf8_get(s + k, c);
    return k;
}

static bool stands_alone(const char *s, size_t n, size_t a, size_t b)
{
    uint32_t c;
    if (a > 0 && (char_before(s, a, &c), ul_is_word(c))) return false;
    if (b < n && (ul_utf8_get(s + b, &c), ul_is_word(c))) return false;
    return true;
}

static ul_status cut_piece(ul_work *w, const ul_trie *trie, ul_piece p)
{
    const char *s = w->text + p.at;
    size_t done = 0;
    for (size_t i = 0; i < p.n;) {
        int32_t id = -1;
        size_t len = trie->first[(uint8_t)s[i]] ? ul_trie_longest(trie, s + i, p.n - i, &id) : 0;
        if (len == 0) {
            i++;
            continue;
        }
        const ul_token *k = &w->t->token[id];
        size_t a = i, b = i + len;
        i += len;
        if (k->single_word && !stands_alone(s, p.n, a, b)) continue;
        uint32_t c;
        for (size_t at; k->lstrip && a > 0 && (at = char_before(s, a, &c), ul_is_white(c));) a = at;
        if (k->lstrip && a < done) a = done;
        while (k->rstrip && b < p.n && (len = ul_utf8_get(s + b, &c), ul_is_white(c))) b += len;
        if (done < a) UL_TRY(ul_push(w, (ul_piece){p.at + done, a - done, -1, p.origin && done == 0}));
        if (a < b) UL_TRY(ul_push(w, (ul_piece){0, 0, id, false})); /* else white space that the last one took */
        done = b;
    }
    return done < p.n ? ul_push(w, (ul_piece){p.at + done, p.n - done, -1, p.origin && done == 0}) : UL_OK;
}

static ul_status cut(ul_work *w, const ul_trie *trie)
{
    w->n_fresh = 0;
    for (size_t i = 0; i < w->n_piece; i++) {
        if (w->piece[i].id >= 0)
            UL_TRY(ul_push(w, w->piece[i]));
        else
            UL_TRY(cut_piece(w, trie, w->piece[i]));
    }
    ul_work_turn(w, false);
    return UL_OK;
}

ul_status ul_added_extract(ul_work *w, const char *text, size_t n)
{
    UL_TRY(ul_work_set(w, text, n));
    UL_TRY(cut(w, &w->t->raw));
    UL_TRY(ul_work_run(w, w->t->normalizer.at, w->t->normalizer.n));
    return cut(w, &w->t->normal);
}
