/* Documents scored against other tokens, and documents read behind a text: who is concerned,
 * what stays, what a batch makes of it. */
#include "data/data.h"
#include "ul_test.h"

enum { N = 8, V = 50, BOS = 1, SPECIAL = 2 };
static const int32_t token[N] = {BOS, 7, 9, SPECIAL, 11, 13, 11, SPECIAL};
static const uint8_t labelled[N] = {0, 0, 1, 1, 1, 0, 1, 1};
static const ul_doc plain = {.id = 3, .n = N, .entity = 4, .token = token, .labelled = labelled};

static ul_batch *packed(ul_ctx *ctx, const ul_doc *d)
{
    ul_batch *b;
    UL_OK_IN(ctx, ul_pack_docs(ctx, ul_ctx_arena(ctx), &d, 1, false, &b));
    return b;
}

/* Scored ordinary tokens become each token of the pool about as often; the rest, the input included, stays. */
static void test_random(void **state)
{
    enum { DRAWS = 4000, POOL = 5 };
    static const int32_t pool[POOL] = {7, 9, 11, 13, 40};
    ul_ctx *ctx = ul_test_ctx();
    int count[V] = {0};
    (void)state;
    for (uint64_t draw = 0; draw < DRAWS; draw++) {
        ul_doc d, again;
        UL_OK_IN(ctx, ul_doc_random(ul_ctx_arena(ctx), &plain, pool, POOL, 5, draw, &d));
        UL_OK_IN(ctx, ul_doc_random(ul_ctx_arena(ctx), &plain, pool, POOL, 5, draw, &again));
        assert_memory_equal(d.target, again.target, sizeof token);
        assert_ptr_equal(d.token, token);
        for (int t = 0; t < N; t++)
            if (labelled[t] && token[t] != SPECIAL) count[d.target[t]]++;
            else assert_int_equal(d.target[t], token[t]);
    }
    for (int v = 0; v < V; v++) {
        bool in = false;
        for (int i = 0; i < POOL; i++) in |= pool[i] == v;
        /* three tokens take part; five deviations of a count are 5 sqrt(12000 / 5 * 0.8) */
        const int mean = 3 * DRAWS / POOL;
        if (in ? abs(count[v] - mean) > 220 : count[v] != 0) fail_msg("token %d came %d times", v, count[v]);
    }
    ul_ctx_free(ctx);
}

/* Given labels, one a scored token; packing, padding and the digest know them. */
static void test_as(void **state)
{
    static const double label[] = {20, 21, 22, 23, 24};
    static const int32_t pool[] = {7, 9, 11, 13};
    static const int32_t want[] = {20, SPECIAL, 22, 23, SPECIAL};
    ul_ctx *ctx = ul_test_ctx();
    ul_doc d, longer;
    char hex[2][65];
    (void)state;
    UL_OK_IN(ctx, ul_doc_as(ul_ctx_arena(ctx), &plain, pool, 4, label, &d));
    UL_OK_IN(ctx, ul_doc_pad(ctx, ul_ctx_arena(ctx), &d, N + 2, 0, &longer));
    const ul_batch *b[3] = {packed(ctx, &d), packed(ctx, &longer), packed(ctx, &plain)};
    for (int k = 0; k < 2; k++) {
        assert_int_equal(b[k]->n_row, 5);
        assert_memory_equal(b[k]->label, want, sizeof want);
        assert_memory_equal(b[k]->token, token, sizeof token);
    }
    assert_memory_equal(b[2]->row, b[0]->row, 5 * sizeof(int32_t));
    ul_docs_digest(&(ul_docs){.n = 1, .at = &d}, hex[0]);
    ul_docs_digest(&(ul_docs){.n = 1, .at = (ul_doc *)&plain}, hex[1]);
    assert_string_not_equal(hex[0], hex[1]);
    UL_OK_IN(ctx, ul_doc_as(ul_ctx_arena(ctx), &plain, NULL, V, label, &d)); /* no pool: all take part */
    for (int i = 0; i < 5; i++) assert_int_equal(packed(ctx, &d)->label[i], (int)label[i]);
    ul_ctx_free(ctx);
}

/* The text stands behind the first token where that is the bos; the scored tokens,
 * and what they are scored as, stay. */
static void test_behind(void **state)
{
    static const int32_t text[3] = {30, 31, 32};
    static const uint8_t hidden[N] = {0, 1, 0, 0, 0, 0, 0, 0};
    ul_doc at = plain;
    at.hidden = hidden;
    const ul_docs docs = {.n = 1, .at = &at, .n_tok = N, .n_labelled = 5, .longest = N};
    ul_ctx *ctx = ul_test_ctx();
    (void)state;
    for (int head = 0; head < 2; head++) {
        ul_docs *out;
        UL_OK_IN(ctx, ul_docs_behind(ul_ctx_arena(ctx), &docs, text, 3, head ? BOS : -1, &out));
        const ul_batch *b = packed(ctx, &out->at[0]), *was = packed(ctx, &at);
        assert_true(out->longest == N + 3 && out->n_tok == N + 3 && out->at[0].id == 3 && out->at[0].entity == 4);
        assert_int_equal(b->n_tok, N + 3);
        assert_memory_equal(b->token + head, text, sizeof text);
        assert_memory_equal(b->token + head + 3, token + head, sizeof token - (size_t)head * sizeof *token);
        if (head) assert_int_equal(b->token[0], BOS);
        assert_memory_equal(b->label, was->label, 5 * sizeof *b->label);
        assert_int_equal(b->n_row, was->n_row);
        for (int i = 0; i < b->n_row; i++) assert_int_equal(b->row[i], was->row[i] + 3);
        for (int t = 0; t < N + 3; t++) assert_true(b->pos[t] == t && b->hidden[t] == (t == 4));
    }
    ul_ctx_free(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_random), cmocka_unit_test(test_as),
                                       cmocka_unit_test(test_behind)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
