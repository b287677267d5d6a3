/* Documents with their answer mask, pairs as a function of seed and index, packing. The tokenizer is a word list
 * written by the test, so that every id is known. */
#include "data/data.h"
#include "ul_test.h"

static const char *const words[] = {"Question", ":", "Answer", "who", "is", "Ann", "a", "baker", "cook"};
enum { PAD, BOS, EOS, UNK, QUESTION, COLON, ANSWER, WHO, IS, ANN, A, BAKER, COOK };

typedef struct {
    ul_ctx *ctx;
    ul_tokenizer *tok;
    ul_arena *arena;
} fixture;

static fixture begin(void)
{
    fixture f = {.ctx = ul_test_ctx()};
    const char *folder = ul_test_folder("documents");
    f.arena = ul_ctx_arena(f.ctx);
    UL_OK_IN(f.ctx, ul_wordlevel_write(f.ctx, folder, words, sizeof words / sizeof words[0]));
    UL_OK_IN(f.ctx, ul_tokenizer_open(f.ctx, folder, &f.tok));
    return f;
}

static void end(fixture *f)
{
    ul_tokenizer_free(f->tok);
    ul_ctx_free(f->ctx);
}

static void same(const ul_doc *d, int32_t n, const int32_t *token, int32_t first_labelled)
{
    assert_int_equal(d->n, n);
    for (int32_t t = 0; t < n; t++) {
        assert_int_equal(d->token[t], token[t]);
        assert_int_equal(d->labelled[t], t >= first_labelled);
    }
}

static void test_mask(void **state)
{
    (void)state;
    fixture f = begin();
    static const int32_t want[] = {BOS, QUESTION, COLON, WHO, IS, ANN, ANSWER, COLON, A, BAKER, EOS};
    ul_template t = ul_template_tofu;
    ul_doc d;
    bool cut;
    for (int apart = 0; apart < 2; apart++) {
        t.apart = apart;
        UL_OK_IN(f.ctx, ul_doc_build(f.ctx, f.arena, f.tok, &t, "who is Ann", "a baker", 5, 3, &d, &cut));
        same(&d, 11, want, 8);
        assert_true(d.id == 5 && d.entity == 3 && !cut && !d.hidden);
    }
    t.no_eos = true;
    UL_OK_IN(f.ctx, ul_doc_build(f.ctx, f.arena, f.tok, &t, "who is Ann", "a baker", 0, 0, &d, &cut));
    same(&d, 10, want, 8);
    UL_OK_IN(f.ctx, ul_doc_build(f.ctx, f.arena, f.tok, &t, NULL, "a baker", 0, 0, &d, &cut));
    same(&d, 3, (const int32_t[]){BOS, A, BAKER}, 1);
    end(&f);
}

static void test_length(void **state)
{
    (void)state;
    fixture f = begin();
    ul_template t = ul_template_tofu;
    ul_doc d;
    bool cut;
    t.max_length = 9;
    UL_OK_IN(f.ctx, ul_doc_build(f.ctx, f.arena, f.tok, &t, "who is Ann", "a baker", 0, 0, &d, &cut));
    same(&d, 10, (const int32_t[]){BOS, QUESTION, COLON, WHO, IS, ANN, ANSWER, COLON, A, EOS}, 8);
    assert_true(cut);
    t.max_length = 6; /* the prompt alone is longer: the EOS behind it is scored as the peer does, or not */
    UL_OK_IN(f.ctx, ul_doc_build(f.ctx, f.arena, f.tok, &t, "who is Ann", "a baker", 0, 0, &d, &cut));
    same(&d, 7, (const int32_t[]){BOS, QUESTION, COLON, WHO, IS, ANN, EOS}, 7);
    t.hide_pad = true;
    UL_OK_IN(f.ctx, ul_doc_build(f.ctx, f.arena, f.tok, &t, "who is Ann", "a baker", 0, 0, &d, &cut));
    same(&d, 7, (const int32_t[]){BOS, QUESTION, COLON, WHO, IS, ANN, EOS}, 6);
    t.hide_pad = false;
    t.max_length = 9;
    t.strict = true;
    UL_FAILS_IN(f.ctx, UL_E_INPUT, "has 10 tokens, the limit is 9",
                ul_doc_build(f.ctx, f.arena, f.tok, &t, "who is Ann", "a baker", 0, 0, &d, &cut));
    const ul_record row[2] = {{.line = 4, .prompt = "who", .answer = "Ann"},
                              {.line = 7, .prompt = "who is Ann", .answer = "a baker"}};
    ul_records *records;
    ul_docs *docs;
    UL_OK_IN(f.ctx, ul_records_seal(f.ctx, "rows", row, 2, f.arena, &records));
    UL_FAILS_IN(f.ctx, UL_E_INPUT, "rows:7", ul_docs_build(f.ctx, f.arena, f.tok, &t, records, UL_WHICH_ANSWER, &docs));
    t.strict = false;
    UL_OK_IN(f.ctx, ul_docs_build(f.ctx, f.arena, f.tok, &t, records, UL_WHICH_ANSWER, &docs));
    assert_int_equal(docs->n_truncated, 1);
    assert_int_equal(docs->longest, 10);
    UL_FAILS_IN(f.ctx, UL_E_INPUT, "rows:4",
                ul_docs_build(f.ctx, f.arena, f.tok, &t, records, UL_WHICH_PARAPHRASE, &docs));
    UL_OK_IN(f.ctx, ul_docs_prompts(f.ctx, f.arena, f.tok, &t, records, &docs));
    assert_int_equal(docs->at[0].n, 6);
    assert_int_equal(docs->n_labelled, 0);
    end(&f);
}

static void test_hidden(void **state)
{
    (void)state;
    fixture f = begin();
    ul_template t = ul_template_tofu;
    ul_doc d, p;
    bool cut;
    t.hide_pad = true;
    t.pad_id = UNK;
    UL_OK_IN(f.ctx, ul_doc_build(f.ctx, f.arena, f.tok, &t, "who is Bea", "a baker", 0, 0, &d, &cut));
    assert_non_null(d.hidden);
    for (int32_t i = 0; i < d.n; i++) assert_int_equal(d.hidden[i], d.token[i] == UNK);
    UL_OK_IN(f.ctx, ul_doc_pad(f.ctx, f.arena, &d, d.n + 3, PAD, &p));
    for (int32_t i = 0; i < p.n; i++) {
        assert_int_equal(p.hidden[i], i >= d.n || d.hidden[i]);
        assert_int_equal(p.labelled[i], i < d.n && d.labelled[i]);
        assert_int_equal(p.pos[i], i);
    }
    end(&f);
}

static void test_pack(void **state)
{
    (void)state;
    ul_ctx *ctx = ul_test_ctx();
    ul_arena *arena = ul_ctx_arena(ctx);
    const int32_t x[] = {5, 6, 7, 8}, y[] = {9, 10, 11};
    const uint8_t lx[] = {0, 0, 1, 1}, ly[] = {0, 1, 0}, hide[] = {0, 1, 0};
    const ul_doc a = {.n = 4, .token = x, .labelled = lx}, b = {.n = 3, .token = y, .labelled = ly, .hidden = hide};
    const ul_sample s[2] = {{{&a, NULL, &b}}, {{&b, NULL, &a}}};
    ul_batch *p;
    UL_OK_IN(ctx, ul_pack(ctx, arena, s, 2, UL_SIDE_BIT_FORGET | UL_SIDE_BIT_RETAIN, UL_SIDE_BIT_RETAIN, &p));
    const int32_t token[] = {5, 6, 7, 8, 9, 10, 11, 9, 10, 11, 5, 6, 7, 8},
                  pos[] = {0, 1, 2, 3, 0, 1, 2, 0, 1, 2, 0, 1, 2, 3};
    const int32_t row[] = {1, 2, 4, 5, 6, 7, 10, 11, 12, 13}, label[] = {7, 8, 10, -1, -1, 10, -1, 7, 8, -1};
    const int32_t start[] = {0, 4, 7, 10, 14}, doc_row[] = {0, 2, 5, 6, 10}, sample_start[] = {0, 7, 14},
                  sample[] = {0, 0, 1, 1};
    const uint8_t side[] = {UL_FORGET, UL_RETAIN, UL_FORGET, UL_RETAIN},
                  hidden[] = {0, 0, 0, 0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0};
    assert_int_equal(p->n_tok, 14);
    assert_int_equal(p->n_doc, 4);
    assert_int_equal(p->n_row, 10);
    assert_int_equal(p->longest, 4);
    assert_memory_equal(p->token, token, sizeof token);
    assert_memory_equal(p->pos, pos, sizeof pos);
    assert_memory_equal(p->row, row, sizeof row);
    assert_memory_equal(p->label, label, sizeof label);
    assert_memory_equal(p->doc_start, start, sizeof start);
    assert_memory_equal(p->doc_row, doc_row, sizeof doc_row);
    assert_memory_equal(p->sample_start, sample_start, sizeof sample_start);
    assert_memory_equal(p->doc_sample, sample, sizeof sample);
    assert_memory_equal(p->doc_side, side, sizeof side);
    assert_memory_equal(p->hidden, hidden, sizeof hidden);
    UL_OK_IN(ctx, ul_pack(ctx, arena, s, 2, UL_SIDE_BIT_FORGET, 0, &p));
    assert_int_equal(p->n_tok, 7);
    assert_int_equal(p->n_row, 3);
    ul_ctx_free(ctx);
}

enum { N = 7, R = 5, EPOCHS = 40 };
static void test_pairing(void **state)
{
    (void)state;
    fixture f = begin();
    ul_doc fd[N] = {{0}}, rd[R] = {{0}};
    const ul_docs forget = {.n = N, .at = fd}, retain = {.n = R, .at = rd};
    ul_record row[N];
    ul_records *records;
    for (int i = 0; i < N; i++) row[i] = (ul_record){.line = i + 1, .prompt = "who is Ann", .answer = "a baker"};
    UL_OK_IN(f.ctx, ul_records_seal(f.ctx, "rows", row, N, f.arena, &records));
    static const char *const lines[] = {"a cook", "who"};
    ul_pairing p, q;
    UL_OK_IN(f.ctx, ul_pairing_init(f.ctx, f.arena, &forget, &retain, 11, true, &p));
    UL_OK_IN(f.ctx, ul_pairing_alternates(f.ctx, f.arena, f.tok, &ul_template_tofu, records, lines, 2, N * EPOCHS, &p));
    UL_OK_IN(f.ctx, ul_pairing_init(f.ctx, f.arena, &forget, &retain, 12, true, &q));
    assert_int_equal(p.alt->n, 2 * N); /* every pair of row and line comes up, each is built once */
    int retained[R] = {0}, other = 0, moved = 0;
    for (int64_t e = 0; e < EPOCHS; e++) {
        int seen[N] = {0};
        for (int64_t i = 0; i < N; i++) {
            ul_sample s, t, u;
            UL_OK_IN(f.ctx, ul_pairing_sample(f.ctx, &p, e * N + i, &s));
            UL_OK_IN(f.ctx,
                     ul_pairing_sample(f.ctx, &p, (e * 13 + i) % (N * EPOCHS), &u)); /* out of order, then again */
            UL_OK_IN(f.ctx, ul_pairing_sample(f.ctx, &p, e * N + i, &t));
            assert_memory_equal(&s, &t, sizeof s);
            seen[s.doc[UL_FORGET] - fd]++;
            retained[s.doc[UL_RETAIN] - rd]++;
            moved += s.doc[UL_FORGET] != &fd[i];
            const int64_t key = p.alt_key[s.doc[UL_ALT]->id];
            assert_int_equal(key / 2, s.doc[UL_FORGET] - fd);
            assert_int_equal(s.doc[UL_ALT]->token[8], key % 2 ? WHO : A);
            UL_OK_IN(f.ctx, ul_pairing_sample(f.ctx, &q, e * N + i, &t));
            other += t.doc[UL_FORGET] != s.doc[UL_FORGET];
        }
        for (int i = 0; i < N; i++) assert_int_equal(seen[i], 1); /* an epoch is every forget row once */
    }
    for (int i = 0; i < R; i++) assert_in_range(retained[i], N * EPOCHS / R / 2, N * EPOCHS / R * 2);
    assert_true(moved > N * EPOCHS / 2 && other > N * EPOCHS / 2);
    static const char *const own[2 * N] = {"a", "a",   "who", "who", "a", "a", "who",
                                           "a", "who", "who", "a",   "a", "a", "who"};
    enum { SAMPLES = N * EPOCHS };
    const ul_template *tpl = &ul_template_tofu;
    q.alt_own = true;
    UL_FAILS_IN(f.ctx, UL_E_INPUT, "13 alternate answers",
                ul_pairing_alternates(f.ctx, f.arena, f.tok, tpl, records, own, 2 * N - 1, SAMPLES, &q));
    UL_OK_IN(f.ctx, ul_pairing_alternates(f.ctx, f.arena, f.tok, tpl, records, own, 2 * N, SAMPLES, &q));
    assert_int_equal(q.alt->n, 2 * N);
    for (int64_t i = 0; i < SAMPLES; i++) { /* each row meets its own two lines only */
        ul_sample s;
        UL_OK_IN(f.ctx, ul_pairing_sample(f.ctx, &q, i, &s));
        const int64_t key = q.alt_key[s.doc[UL_ALT]->id];
        assert_int_equal(key / 2, s.doc[UL_FORGET] - fd);
        assert_int_equal(s.doc[UL_ALT]->token[8], own[key][0] == 'w' ? WHO : A);
    }
    ul_sample s;
    UL_FAILS_IN(f.ctx, UL_E_INTERNAL, "beyond",
                ul_pairing_sample(f.ctx,
                                  &(ul_pairing){.forget = &forget, .order = p.order, .alt = &(ul_docs){0}, .n_line = 2},
                                  0, &s));
    end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_mask), cmocka_unit_test(test_length),
                                       cmocka_unit_test(test_hidden), cmocka_unit_test(test_pack),
                                       cmocka_unit_test(test_pairing)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
