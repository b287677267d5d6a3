/* model.c - the vocabulary of tokenizer.json and the models that only look words up: WordLevel, WordPiece.
 * Source: tokenizers 0.22, src/models/. */
#include "parts.h"
#include <string.h>

/* Ids index tables here and rows of the embedding: far beyond the number of tokens they are damage. */
static int64_t id_limit(size_t n)
{
    return 8 * (int64_t)n + 65536;
}

static ul_status read_vocab(ul_reader *r, json_t *vocab, ul_tokenizer *t)
{
    const size_t n = json_object_size(vocab);
    size_t bytes = 0, len;
    const char *key;
    json_t *v;
    json_object_keylen_foreach(vocab, key, len, v) bytes += len + 1;
    char *text = ul_alloc_raw(r->arena, bytes + 1, 1);
    UL_NEED(text);
    UL_TRY(ul_vocab_init(&t->vocab, r->arena, n));
    json_object_keylen_foreach(vocab, key, len, v)
    {
        int64_t id;
        bool isnew;
        if (!ul_json_whole(v, 0, id_limit(n), &id))
            return ul_bad(r, "token \"%.60s\" needs an id from 0 to %lld (there are %zu tokens)", key,
                          (long long)id_limit(n), n);
        memcpy(text, key, len);
        text[len] = 0;
        ul_vocab_add(&t->vocab, text, len, (int32_t)id, &isnew);
        text += len + 1;
    }
    t->n_model = (int64_t)t->vocab.n;
    return UL_OK;
}

static ul_status missing_unk(const ul_work *w)
{
    return ul_fail(w->ctx, UL_E_INPUT,
                   "%s: model: the text has a word that needs \"unk_token\" \"%s\", which the "
                   "vocabulary lacks",
                   w->t->path, w->t->words.unk.p);
}

static ul_status wordlevel_tokenize(ul_work *w, const char *s, size_t n, ul_ids *out)
{
    int32_t id = ul_vocab_find(&w->t->vocab, s, n);
    if (id < 0) id = w->t->words.unk_id;
    return id < 0 ? missing_unk(w) : ul_ids_add(out, id, 0);
}

/* The longest token first, from left to right; a word that cannot be covered is one unknown. */
static ul_status wordpiece_tokenize(ul_work *w, const char *s, size_t n, ul_ids *out)
{
    const ul_words *m = &w->t->words;
    const size_t back = out->n;
    size_t chars = 0, a = 0;
    for (size_t i = 0; i < n; i++) chars += ((unsigned char)s[i] & 0xC0) != 0x80;
    while (a < n && chars <= m->max_chars) {
        w->n_next = 0;
        if (a > 0) UL_TRY(ul_put(w, m->prefix.p, m->prefix.n));
        const size_t head = w->n_next;
        UL_TRY(ul_put(w, s + a, n - a));
        int32_t id = -1;
        size_t b = n;
        while (b > a && (id = ul_vocab_find(&w->t->vocab, w->next_text, head + b - a)) < 0) {
            b--;
            while (b > a && ((unsigned char)s[b] & 0xC0) == 0x80) b--;
        }
        if (id < 0) break;
        UL_TRY(ul_ids_add(out, id, 0));
        a = b;
    }
    if (a == n && chars <= m->max_chars) return UL_OK;
    out->n = back;
    return m->unk_id < 0 ? missing_unk(w) : ul_ids_add(out, m->unk_id, 0);
}

static ul_status read_words(ul_reader *r, const json_t *o, ul_tokenizer *t, bool pieces)
{
    ul_words *m = &t->words;
    UL_TRY(ul_read_str(r, o, "unk_token", UL_REQUIRED, &m->unk));
    m->unk_id = ul_vocab_find(&t->vocab, m->unk.p, m->unk.n);
    t->tokenize = pieces ? wordpiece_tokenize : wordlevel_tokenize;
    if (!pieces) return UL_OK;
    UL_TRY(ul_read_str(r, o, "continuing_subword_prefix", UL_REQUIRED, &m->prefix));
    return ul_read_size(r, o, "max_input_chars_per_word", UL_REQUIRED, 1 << 30, &m->max_chars);
}

ul_status ul_model_read(ul_reader *r, const json_t *o, ul_tokenizer *t)
{
    r->stage = "model";
    r->type = NULL;
    if (!json_is_object(o)) return ul_bad(r, "the file needs an object \"model\"");
    json_t *vocab = json_object_get(o, "vocab");
    const char *type; /* old files do not say it */
    if (json_object_get(o, "type"))
        UL_TRY(ul_read_type(r, o, &type));
    else if (json_object_get(o, "merges"))
        type = "BPE";
    else if (json_is_array(vocab))
        type = "Unigram";
    else
        type = json_object_get(o, "max_input_chars_per_word") ? "WordPiece" : "WordLevel";
    r->type = type;
    const bool bpe = strcmp(type, "BPE") == 0, pieces = strcmp(type, "WordPiece") == 0;
    if (strcmp(type, "Unigram") == 0) return ul_unigram_read(r, o, t);
    if (!bpe && !pieces && strcmp(type, "WordLevel") != 0) return ul_unsupported(r, "this type of model");
    if (!json_is_object(vocab)) return ul_bad(r, "\"vocab\" must be an object of tokens and ids");
    UL_TRY(read_vocab(r, vocab, t));
    return bpe ? ul_bpe_read(r, o, t) : read_words(r, o, t, pieces);
}
