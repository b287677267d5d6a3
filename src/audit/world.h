/* world.h - a small invented world to learn, forget and audit: people with facts, and plain sentences. */
#ifndef UL_WORLD_H
#define UL_WORLD_H
#include "audit/audit.h"

enum { UL_WORLD_FACTS = 5, UL_WORLD_QUESTIONS = 3, UL_WORLD_STATEMENTS = 3, UL_WORLD_PHANTOMS = 80 };
typedef struct {
    const char *name;
    int answer[UL_WORLD_FACTS]; /* into the kind's 20 words */
} ul_person;
typedef struct {
    uint64_t seed;
    int32_t n_forget, n_retain, n_sentence;
    /* Forget people, then those who stay, then UL_WORLD_PHANTOMS whom no model is ever told about. */
    const ul_person *person;
    const char **word;       /* the vocabulary, special tokens left out */
    size_t n_word;
    /* one row a question: prompt, answer, 4 wrong answers of the same kind, entity = person */
    ul_records *forget, *retain; /* questions 1 and 2 of every fact                             */
    ul_records *rephrased;       /* question 3 about the forget people: never trained for them  */
    ul_records *phantom;         /* questions 1 and 2 about the phantoms                        */
    const char **sentence;       /* [n_sentence] plain text                                     */
} ul_world;
ul_status ul_world_new(ul_ctx *ctx, ul_arena *arena, uint64_t seed, int32_t n_forget, int32_t n_retain,
                       int32_t n_sentence, ul_world **out) UL_MUST;
/* dir/forget.jsonl, retain.jsonl, rephrased.jsonl, phantom.jsonl with the field names of TOFU; dir/keep.jsonl:
 * all that stays, as it was trained: questions, statements and sentences. */
ul_status ul_world_write(ul_ctx *ctx, const ul_world *w, const char *dir) UL_MUST;
/* Training documents: every trained rendering of the people's facts (the answer is scored), and, with `sentences`,
 * the plain sentences (every token is scored). */
ul_status ul_world_docs(ul_ctx *ctx, ul_arena *arena, const ul_world *w, const ul_tokenizer *tok,
                        const ul_template *tpl, bool forget, bool retain, bool sentences, ul_docs **out) UL_MUST;
/* The same for people from .. to - 1 and sentences first .. last - 1. */
ul_status ul_world_some_docs(ul_ctx *ctx, ul_arena *arena, const ul_world *w, const ul_tokenizer *tok,
                             const ul_template *tpl, int32_t from, int32_t to, int32_t first, int32_t last,
                             ul_docs **out) UL_MUST;

/* ---- models of a world ------------------------------------------------------------------------------------------- */
enum {
    UL_WORLD_FORGET = 40,
    UL_WORLD_RETAIN = 160,
    UL_WORLD_SENTENCES = 1500,
    UL_WORLD_HELD_OUT = 200,
    UL_WORLD_STEPS = 1400
};
#define UL_WORLD_LR 4e-3
#define UL_WORLD_ATTACK_LR "0.002" /* half of it */
/* dir/config.json and tokenizer: two blocks, a quarter of a million parameters.
 * `pieces`: tokens are pieces of words (BPE learned here), not words. */
ul_status ul_world_shape(ul_ctx *ctx, ul_arena *arena, const ul_world *w, bool pieces, const char *dir) UL_MUST;
typedef struct {
    ul_job *job; /* in: these five */
    ul_backend *be;
    uint64_t seed;
    const char *out;
    bool pieces;
    ul_world *world;
    ul_tokenizer *tok;
    ul_template tpl;
    const char *data, *shape_dir;
} ul_world_lab;
ul_status ul_lab_open(ul_world_lab *l) UL_MUST; /* OUT/data (with text.jsonl: the sentences held out), OUT/shape */
/* AdamW (0.9, 0.98), clip 1, no decay, ten steps of warm-up, then constant. */
void ul_lab_recipe(const ul_world_lab *l, double lr, int64_t steps, int32_t batch, ul_recipe *out);
ul_status ul_lab_fresh(const ul_world_lab *l, uint64_t seed, ul_model **out) UL_MUST;
/* People from `from` on and all sentences: the recipe of the world's notes. */
ul_status ul_lab_learn(const ul_world_lab *l, const char *what, int32_t from, uint64_t seed, int64_t steps,
                       ul_model *m) UL_MUST;
/* OUT/<id>, fresh and taught; what is there already is kept. */
ul_status ul_lab_model(const ul_world_lab *l, const char *id, int32_t from, uint64_t seed, int64_t steps,
                       const char **dir) UL_MUST;
#endif
