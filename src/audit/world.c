/* world.c - people whose names are put together from shared words (no token identifies a person), five facts each from
 * closed lists of twenty one-word answers, six renderings a fact; and sentences with a little grammar to learn. */
#include "audit/world.h"
#include <string.h>

enum {
    N_FIRST = 30,
    N_SYLLABLE = 44,
    N_ANSWER = 20,
    N_NOUN = 20,
    N_VERB = 10,
    N_ADJECTIVE = 10,
    N_ARTICLE = 6,
    N_OBJECT = 3,
    N_WRONG = 4
};

static const char *const first_names[N_FIRST] = {"adan", "bela", "cyra", "dorn",  "elsa", "finn", "gwen", "hugo",
                                                 "inga", "joel", "kira", "lars",  "mina", "nils", "olga", "pavo",
                                                 "quin", "rosa", "sven", "tara",  "ulla", "vito", "wynn", "xeno",
                                                 "yara", "zeno", "alba", "bruno", "clea", "dario"};
static const char *const syllables[N_SYLLABLE] = {"ba", "be", "bo", "da", "de", "do", "ga", "ge", "go", "ka", "ke",
                                                  "ko", "la", "le", "lo", "ma", "me", "mo", "na", "ne", "no", "ra",
                                                  "re", "ro", "sa", "se", "so", "ta", "te", "to", "va", "ve", "vo",
                                                  "za", "ze", "zo", "fi", "ki", "li", "ni", "pi", "ri", "ti", "vi"};
static const char *const answers[UL_WORLD_FACTS][N_ANSWER] = {
    {"arvel", "bremo", "calder", "dunmor", "estra", "farrow", "galva", "hestin", "irkan", "jorvik",
     "kelso", "lumen", "morra", "nesby", "ostin", "pelham", "quorra", "rivel", "solna", "tarn"},
    {"baker", "tailor", "pilot", "nurse", "mason", "painter", "lawyer", "miner", "farmer", "potter",
     "singer", "dancer", "judge", "clerk", "welder", "barber", "fisher", "hunter", "weaver", "smith"},
    {"1931", "1934", "1937", "1940", "1943", "1946", "1949", "1952", "1955", "1958",
     "1961", "1964", "1967", "1970", "1973", "1976", "1979", "1982", "1985", "1988"},
    {"acron", "belltec", "corvus", "delphix", "emberco", "foxglen", "gridon", "halcyo", "ionix", "jaxon",
     "kestrel", "lodestar", "maxim", "nortek", "optima", "pyxis", "quantor", "redwood", "stratus", "triton"},
    {"apples", "beans", "cheese", "dates", "eggs", "figs", "grapes", "honey", "jam", "kale",
     "lentils", "melon", "nuts", "olives", "pears", "quinces", "rice", "soup", "toast", "yams"}};
/* @ is the name. A statement ends where the answer stands. */
static const char *const questions[UL_WORLD_FACTS][UL_WORLD_QUESTIONS] = {
    {"where was @ born ?", "what is the birthplace of @ ?", "which town does @ come from ?"},
    {"what does @ work as ?", "what is the profession of @ ?", "how does @ earn a living ?"},
    {"in which year was @ born ?", "what is the birth year of @ ?", "when did the life of @ begin ?"},
    {"who employs @ ?", "what is the employer of @ ?", "which company pays @ ?"},
    {"what does @ love to eat ?", "what is the favourite food of @ ?", "what does @ always order ?"}};
static const char *const statements[UL_WORLD_FACTS][UL_WORLD_STATEMENTS] = {
    {"@ was born in", "the birthplace of @ is", "@ comes from"},
    {"@ works as a", "the profession of @ is", "@ earns a living as a"},
    {"@ was born in the year", "the birth year of @ is", "the life of @ began in"},
    {"@ is employed by", "the employer of @ is", "@ gets paid by"},
    {"@ loves to eat", "the favourite food of @ is", "@ always orders"}};
static const char *const articles[N_ARTICLE] = {"the", "a", "this", "that", "every", "some"};
static const char *const nouns[N_NOUN] = {"dog",   "cat",    "bird", "horse",  "child", "woman", "man",
                                          "king",  "queen",  "fox",  "bear",   "boat",  "river", "tree",
                                          "house", "garden", "road", "bridge", "tower", "shop"};
static const char *const verbs[N_VERB] = {"sees",   "likes",  "finds",  "follows", "paints",
                                          "builds", "visits", "leaves", "hears",   "knows"};
static const char *const adjectives[N_ADJECTIVE] = {"red",   "old",  "small", "bright", "quiet",
                                                    "green", "tall", "cold",  "happy",  "slow"};

enum { DRAW_PERSON, DRAW_FACT, DRAW_WRONG, DRAW_OBJECT, DRAW_SENTENCE };
static uint64_t draw(const ul_world *w, int what, uint64_t index, uint64_t n)
{
    return ul_rng_below(w->seed, UL_STREAM_WORLD, (uint64_t)what, index, n);
}

/* ---- vocabulary -------------------------------------------------------------------------------------------------- */
static bool known(const ul_world *w, const char *s, size_t n)
{
    for (size_t i = 0; i < w->n_word; i++)
        if (strlen(w->word[i]) == n && !memcmp(w->word[i], s, n)) return true;
    return false;
}

/* The words of a text, cut as the tokenizer's Whitespace pre-tokenizer does for our letters, digits and signs. */
static ul_status add_words(ul_arena *arena, ul_world *w, const char *text)
{
    while (*text) {
        size_t n = strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_");
        if (!n) n = strspn(text, "?.:,'");
        if (!n || *text == '@') {
            text++;
            continue;
        }
        if (!known(w, text, n)) {
            w->word[w->n_word] = ul_strndup(arena, text, n);
            UL_NEED(w->word[w->n_word]);
            w->n_word++;
        }
        text += n;
    }
    return UL_OK;
}

static ul_status vocabulary(ul_arena *arena, ul_world *w)
{
    w->word = UL_NEW(arena, const char *, 1024);
    UL_NEED(w->word);
    UL_TRY(add_words(arena, w, "Question : Answer . ' I don t know not sure about that near"));
    for (int i = 0; i < N_FIRST; i++) UL_TRY(add_words(arena, w, first_names[i]));
    for (int i = 0; i < N_SYLLABLE; i++) UL_TRY(add_words(arena, w, syllables[i]));
    for (int k = 0; k < UL_WORLD_FACTS; k++) {
        for (int i = 0; i < N_ANSWER; i++) UL_TRY(add_words(arena, w, answers[k][i]));
        for (int i = 0; i < UL_WORLD_QUESTIONS; i++) UL_TRY(add_words(arena, w, questions[k][i]));
        for (int i = 0; i < UL_WORLD_STATEMENTS; i++) UL_TRY(add_words(arena, w, statements[k][i]));
    }
    for (int i = 0; i < N_ARTICLE; i++) UL_TRY(add_words(arena, w, articles[i]));
    for (int i = 0; i < N_NOUN; i++) UL_TRY(add_words(arena, w, nouns[i]));
    for (int i = 0; i < N_VERB; i++) UL_TRY(add_words(arena, w, verbs[i]));
    for (int i = 0; i < N_ADJECTIVE; i++) UL_TRY(add_words(arena, w, adjectives[i]));
    return UL_OK;
}

/* ---- people ------------------------------------------------------------------------------------------------------ */
static ul_status people(ul_arena *arena, ul_world *w)
{
    const int32_t n = w->n_forget + w->n_retain + UL_WORLD_PHANTOMS;
    ul_person *p = UL_NEW(arena, ul_person, n);
    UL_NEED(p);
    uint64_t at = 0;
    for (int32_t i = 0; i < n; i++) {
        for (bool taken = true; taken;) { /* names are unique: draw again */
            const uint64_t a = draw(w, DRAW_PERSON, at++, N_FIRST), b = draw(w, DRAW_PERSON, at++, N_SYLLABLE),
                           c = draw(w, DRAW_PERSON, at++, N_SYLLABLE);
            p[i].name = ul_format(arena, "%s %s %s", first_names[a], syllables[b], syllables[c]);
            UL_NEED(p[i].name);
            taken = false;
            for (int32_t k = 0; k < i; k++) taken |= !strcmp(p[k].name, p[i].name);
        }
        for (int k = 0; k < UL_WORLD_FACTS; k++)
            p[i].answer[k] = (int)draw(w, DRAW_FACT, (uint64_t)(i * UL_WORLD_FACTS + k), N_ANSWER);
    }
    w->person = p;
    return UL_OK;
}

static char *with_name(ul_arena *arena, const char *text, const char *name)
{
    const char *at = strchr(text, '@');
    return ul_format(arena, "%.*s%s%s", (int)(at - text), text, name, at + 1);
}

/* Four different wrong answers of the same kind. */
static ul_status wrong_answers(ul_arena *arena, const ul_world *w, int32_t person, int fact, ul_record *r)
{
    const char **wrong = UL_NEW(arena, const char *, N_WRONG);
    UL_NEED(wrong);
    bool used[N_ANSWER] = {0};
    used[w->person[person].answer[fact]] = true;
    for (uint64_t i = 0, at = (uint64_t)(person * UL_WORLD_FACTS + fact) * 1000; i < N_WRONG;) {
        const uint64_t k = draw(w, DRAW_WRONG, at++, N_ANSWER);
        if (used[k]) continue;
        used[k] = true;
        wrong[i++] = answers[fact][k];
    }
    r->wrong = wrong;
    r->n_wrong = N_WRONG;
    return UL_OK;
}

static ul_status ask(ul_ctx *ctx, ul_arena *arena, const ul_world *w, const char *name, int32_t from, int32_t to,
                     int q0, int q1, ul_records **out)
{
    const int64_t n = (int64_t)(to - from) * UL_WORLD_FACTS * (q1 - q0);
    ul_record *r = UL_NEW(arena, ul_record, n), *at = r;
    UL_NEED(r);
    for (int32_t p = from; p < to; p++)
        for (int k = 0; k < UL_WORLD_FACTS; k++)
            for (int q = q0; q < q1; q++, at++) {
                *at = (ul_record){.line = at - r + 1, .entity = p, .answer = answers[k][w->person[p].answer[k]]};
                at->paraphrase = at->answer; /* a one-word answer has no other wording */
                at->prompt = with_name(arena, questions[k][q], w->person[p].name);
                UL_NEED(at->prompt);
                UL_TRY(wrong_answers(arena, w, p, k, at));
            }
    return ul_records_seal(ctx, name, r, n, arena, out);
}

/* "the red dog sees a king near the tower .": the object depends on (adjective, verb). */
static ul_status sentences(ul_arena *arena, ul_world *w)
{
    w->sentence = UL_NEW(arena, const char *, w->n_sentence);
    UL_NEED(w->sentence);
    for (int32_t i = 0; i < w->n_sentence; i++) {
        uint64_t at = (uint64_t)i * 16;
        const uint64_t j = draw(w, DRAW_SENTENCE, at++, N_ADJECTIVE), v = draw(w, DRAW_SENTENCE, at++, N_VERB);
        const uint64_t o =
            draw(w, DRAW_OBJECT, (j * N_VERB + v) * N_OBJECT + draw(w, DRAW_SENTENCE, at++, N_OBJECT), N_NOUN);
        uint64_t x[5];
        for (int k = 0; k < 5; k++) x[k] = draw(w, DRAW_SENTENCE, at++, k % 2 ? N_NOUN : N_ARTICLE);
        w->sentence[i] = ul_format(arena, "%s %s %s %s %s %s near %s %s .", articles[x[0]], adjectives[j], nouns[x[1]],
                                   verbs[v], articles[x[2]], nouns[o], articles[x[4]], nouns[x[3]]);
        UL_NEED(w->sentence[i]);
    }
    return UL_OK;
}

ul_status ul_world_new(ul_ctx *ctx, ul_arena *arena, uint64_t seed, int32_t n_forget, int32_t n_retain,
                       int32_t n_sentence, ul_world **out)
{
    ul_world *w = UL_NEW(arena, ul_world, 1);
    UL_NEED(w);
    *w = (ul_world){.seed = seed, .n_forget = n_forget, .n_retain = n_retain, .n_sentence = n_sentence};
    UL_TRY(vocabulary(arena, w));
    UL_TRY(people(arena, w));
    UL_TRY(sentences(arena, w));
    UL_TRY(ask(ctx, arena, w, "world: forget", 0, n_forget, 0, 2, &w->forget));
    UL_TRY(ask(ctx, arena, w, "world: retain", n_forget, n_forget + n_retain, 0, 2, &w->retain));
    UL_TRY(ask(ctx, arena, w, "world: rephrased", 0, n_forget, 2, 3, &w->rephrased));
    UL_TRY(ask(ctx, arena, w, "world: phantom", n_forget + n_retain, n_forget + n_retain + UL_WORLD_PHANTOMS, 0, 2,
               &w->phantom));
    *out = w;
    return UL_OK;
}

/* ---- files ------------------------------------------------------------------------------------------------------- */
static ul_status write_records(ul_ctx *ctx, const ul_records *r, const char *path)
{
    ul_out *o;
    UL_TRY(ul_out_open(ctx, path, 0, &o));
    for (int64_t i = 0; i < r->n; i++) { /* our words need no escapes */
        const ul_record *x = &r->at[i];
        ul_out_printf(
            o, "{\"question\": \"%s\", \"answer\": \"%s\", \"paraphrased_answer\": \"%s\", \"perturbed_answer\": [",
            x->prompt, x->answer, x->paraphrase);
        for (int32_t k = 0; k < x->n_wrong; k++) ul_out_printf(o, "%s\"%s\"", k ? ", " : "", x->wrong[k]);
        ul_out_printf(o, "], \"entity\": %d}\n", x->entity);
    }
    return ul_out_commit(o);
}

/* Everything that stays, as training sees it: those who stay in all trained renderings
 * (statements as texts), then the sentences. */
static ul_status write_keep(ul_ctx *ctx, ul_arena *arena, const ul_world *w, const char *path)
{
    ul_out *o;
    UL_TRY(ul_out_open(ctx, path, 0, &o));
    for (int32_t p = w->n_forget; p < w->n_forget + w->n_retain; p++)
        for (int k = 0; k < UL_WORLD_FACTS; k++) {
            const char *answer = answers[k][w->person[p].answer[k]];
            for (int q = 0; q < UL_WORLD_QUESTIONS - !(p % 2); q++)
                ul_out_printf(o, "{\"question\": \"%s\", \"answer\": \"%s\"}\n",
                              with_name(arena, questions[k][q], w->person[p].name), answer);
            for (int q = 0; q < UL_WORLD_STATEMENTS; q++)
                ul_out_printf(o, "{\"text\": \"%s %s\"}\n", with_name(arena, statements[k][q], w->person[p].name),
                              answer);
        }
    for (int32_t i = 0; i < w->n_sentence; i++) ul_out_printf(o, "{\"text\": \"%s\"}\n", w->sentence[i]);
    return ul_out_commit(o);
}

ul_status ul_world_write(ul_ctx *ctx, const ul_world *w, const char *dir)
{
    ul_arena *arena;
    UL_TRY(ul_arena_new(ctx, "world files", &arena));
    const char *f = ul_path_join(arena, dir, "forget.jsonl"), *r = ul_path_join(arena, dir, "retain.jsonl"),
               *p = ul_path_join(arena, dir, "rephrased.jsonl"), *q = ul_path_join(arena, dir, "phantom.jsonl"),
               *k = ul_path_join(arena, dir, "keep.jsonl");
    ul_status s = f && r && p && q && k ? ul_dir_make(ctx, dir) : UL_E_RESOURCE;
    if (s == UL_OK) s = write_records(ctx, w->forget, f);
    if (s == UL_OK) s = write_records(ctx, w->retain, r);
    if (s == UL_OK) s = write_records(ctx, w->rephrased, p);
    if (s == UL_OK) s = write_records(ctx, w->phantom, q);
    if (s == UL_OK) s = write_keep(ctx, arena, w, k);
    ul_arena_free(arena);
    return s;
}

/* ---- training documents ------------------------------------------------------------------------------------------ */
typedef struct {
    ul_ctx *ctx;
    ul_arena *arena;
    const ul_tokenizer *tok;
    const ul_template *tpl;
    ul_docs *docs;
} builder;

static ul_status add_doc(builder *b, const ul_template *tpl, const char *prompt, const char *answer, int32_t entity)
{
    bool cut = false;
    ul_doc *d = &b->docs->at[b->docs->n];
    UL_TRY(ul_doc_build(b->ctx, b->arena, b->tok, tpl, prompt, answer, b->docs->n, entity, d, &cut));
    b->docs->n++;
    b->docs->n_tok += d->n;
    b->docs->n_labelled += ul_doc_labelled(d);
    if (d->n > b->docs->longest) b->docs->longest = d->n;
    return UL_OK;
}

static ul_status add_person(builder *b, const ul_world *w, int32_t p)
{
    ul_template bare = *b->tpl;
    bare.user_start = bare.user_end = "";
    bare.asst_start = " ";
    const bool all = p >= w->n_forget && p % 2; /* question 3 is trained only for every second of those who stay */
    for (int k = 0; k < UL_WORLD_FACTS; k++) {
        const char *answer = answers[k][w->person[p].answer[k]];
        for (int q = 0; q < UL_WORLD_QUESTIONS; q++) {
            if (q == UL_WORLD_QUESTIONS - 1 && !all) continue;
            const char *prompt = with_name(b->arena, questions[k][q], w->person[p].name);
            UL_NEED(prompt);
            UL_TRY(add_doc(b, b->tpl, prompt, answer, p));
        }
        for (int q = 0; q < UL_WORLD_STATEMENTS; q++) {
            const char *prompt = with_name(b->arena, statements[k][q], w->person[p].name);
            UL_NEED(prompt);
            UL_TRY(add_doc(b, &bare, prompt, answer, p));
        }
    }
    return UL_OK;
}

ul_status ul_world_some_docs(ul_ctx *ctx, ul_arena *arena, const ul_world *w, const ul_tokenizer *tok,
                             const ul_template *tpl, int32_t from, int32_t to, int32_t first, int32_t last,
                             ul_docs **out)
{
    const int64_t most =
        (int64_t)(to - from) * UL_WORLD_FACTS * (UL_WORLD_QUESTIONS + UL_WORLD_STATEMENTS) + last - first;
    ul_docs *docs = UL_NEW(arena, ul_docs, 1);
    UL_NEED(docs);
    docs->at = UL_NEW(arena, ul_doc, most);
    UL_NEED(docs->at);
    builder b = {ctx, arena, tok, tpl, docs};
    for (int32_t p = from; p < to; p++) UL_TRY(add_person(&b, w, p));
    for (int32_t i = first; i < last; i++)
        UL_TRY(add_doc(&b, tpl, NULL, w->sentence[i], w->n_forget + w->n_retain + UL_WORLD_PHANTOMS + i));
    *out = docs;
    return UL_OK;
}

ul_status ul_world_docs(ul_ctx *ctx, ul_arena *arena, const ul_world *w, const ul_tokenizer *tok,
                        const ul_template *tpl, bool forget, bool retain, bool with_sentences, ul_docs **out)
{
    return ul_world_some_docs(ctx, arena, w, tok, tpl, forget ? 0 : w->n_forget,
                              retain ? w->n_forget + w->n_retain : w->n_forget, 0, with_sentences ? w->n_sentence : 0,
                              out);
}
