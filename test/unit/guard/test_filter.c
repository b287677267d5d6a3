/* test_filter.c - a withheld prompt is answered with the refusal, others by the model, to the bit;
 * by words, by states, by what is answered. */
#include "guard_test.h"

/* log p of the refusal's tokens after every prompt of a set. */
static double refusal_logp(house *h, ul_guard_file *g, const ul_records *records)
{
    ul_record *r = UL_NEW(h->arena, ul_record, records->n);
    ul_records *refused;
    double *logp;
    for (int64_t i = 0; i < records->n; i++) r[i] = records->at[i], r[i].answer = "I don't know.";
    UL_OK_IN(h->ctx, ul_records_seal(h->ctx, "refused", r, records->n, h->arena, &refused));
    const int64_t n = house_answers(h, g, refused, 4, &logp);
    double worst = 0;
    for (int64_t i = 0; i < n; i++) worst = logp[i] < worst ? logp[i] : worst;
    return worst;
}

static void withholds(const char *by, double *forget_refused, bool retain_untouched)
{
    house h;
    double *with, *without;
    const ul_guard *guard = guard_named("filter");
    house_open(&h, guard, UL_PRECISION_DOUBLE, 1);
    house_set(&h, "by", by);
    house_set(&h, "fpr", "0");
    ul_guard_file *g = house_guard(&h, guard, "filter");
    *forget_refused = refusal_logp(&h, g, h.forget);
    const int64_t n = house_answers(&h, g, h.retain, 4, &with);
    assert_int_equal(house_answers(&h, NULL, h.retain, 4, &without), n);
    if (retain_untouched) assert_memory_equal(with, without, (size_t)n * sizeof *with);
    house_close(&h);
}

static void forget_prompts_are_refused(void **state)
{
    double p;
    (void)state;
    const double want = -log1p(40 * exp(-20)); /* 41 words */
    withholds("words", &p, true);
    assert_true(fabs(p - want) < 1e-12);
    withholds("states", &p, true);
    assert_true(fabs(p - want) < 1e-12);
}

/* Words of the model's own answers: a guard that looks for one that is answered
 * withholds those prompts, and only those. */
static void answers_are_searched(void **state)
{
    house h;
    (void)state;
    const ul_guard *guard = guard_named("filter");
    house_open(&h, guard, UL_PRECISION_F32, 1);
    const int32_t eos = ul_tokenizer_special(h.tok).eos;
    ul_docs *prompts;
    int32_t *ids[FORGET_ROWS], n_ids[FORGET_ROWS];
    UL_OK_IN(h.ctx, ul_docs_prompts(h.ctx, h.arena, h.tok, &h.tpl, h.forget, &prompts));
    const ul_generation how = {
        .n = FORGET_ROWS, .prompt = prompts->at, .max_new = MOST_NEW, .eos = &eos, .n_eos = 1, .batch = 2};
    UL_OK_IN(h.ctx, ul_model_generate(h.ctx, h.model, &how, h.arena, ids, n_ids));
    size_t bytes;
    const char *word = NULL;
    for (int32_t t = 0; t < FORGET_ROWS * MOST_NEW && !word; t++) {
        const int32_t row = t / MOST_NEW, at = t % MOST_NEW;
        const char *s = at < n_ids[row] ? ul_token_text(h.tok, ids[row][at], &bytes) : "";
        if (strlen(s) >= 3 && s[0] >= 'A' && s[0] <= 'z') assert_non_null(word = ul_strndup(h.arena, s, bytes));
    }
    assert_non_null(word);
    house_set(&h, "side", "output");
    house_set(&h, "words", word);
    ul_guard_file *g = house_guard(&h, guard, "filter");
    const int32_t id = ul_token_id(h.tok, word, bytes);
    for (int i = 0; i < FORGET_ROWS; i++) {
        ul_records *one;
        bool says = false;
        for (int32_t t = 0; t < n_ids[i]; t++) says |= ids[i][t] == id;
        UL_OK_IN(h.ctx, ul_records_seal(h.ctx, "one", &h.forget->at[i], 1, h.arena, &one));
        assert_int_equal(refusal_logp(&h, g, one) > -1e-3, says);
    }
    house_close(&h);
}

static void damaged_files_are_refused(void **state)
{
    house h;
    char path[700];
    ul_guard_file *g;
    char *text;
    size_t n;
    (void)state;
    const ul_guard *guard = guard_named("filter");
    house_open(&h, guard, UL_PRECISION_F32, 1);
    house_set(&h, "by", "states");
    house_guard(&h, guard, "filter");
    snprintf(path, sizeof path, "%s/guard.json", h.out);
    UL_OK_IN(h.ctx, ul_file_read_text(h.ctx, h.arena, path, 1 << 20, &text, &n));
    UL_OK_IN(h.ctx, ul_file_save(h.ctx, path, text, n / 2));
    UL_FAILS_IN(h.ctx, UL_E_INPUT, path, ul_guard_read(h.ctx, h.arena, h.out, &g));
    char *kind = strstr(text, "\"filter\"");
    assert_non_null(kind);
    memcpy(kind, "\"fliter\"", 8);
    UL_OK_IN(h.ctx, ul_file_save(h.ctx, path, text, n));
    UL_FAILS_IN(h.ctx, UL_E_INPUT, "did you mean \"filter\"", ul_guard_read(h.ctx, h.arena, path, &g));
    memcpy(kind, "\"filter\"", 8);
    char *nats = strstr(text, "\"nats\": 20");
    assert_non_null(nats);
    memcpy(nats, "\"nats\": 90", 10);
    UL_OK_IN(h.ctx, ul_file_save(h.ctx, path, text, n));
    UL_FAILS_IN(h.ctx, UL_E_INPUT, "out of its bounds", ul_guard_read(h.ctx, h.arena, path, &g));
    memcpy(nats, "\"nats\": 20", 10);
    UL_OK_IN(h.ctx, ul_file_save(h.ctx, path, text, n));
    UL_OK_IN(h.ctx, ul_guard_read(h.ctx, h.arena, path, &g));
    snprintf(path, sizeof path, "%s/guard.safetensors", h.out);
    ul_file f;
    UL_OK_IN(h.ctx, ul_file_map(h.ctx, h.arena, path, &f));
    unsigned char *bytes = ul_alloc(h.arena, f.n, 1);
    memcpy(bytes, f.p, f.n);
    bytes[f.n - 1] ^= 1;
    UL_OK_IN(h.ctx, ul_file_save(h.ctx, path, bytes, f.n));
    UL_FAILS_IN(h.ctx, UL_E_INPUT, "not of one guard", ul_guard_read(h.ctx, h.arena, h.out, &g));
    UL_OK_IN(h.ctx, ul_file_save(h.ctx, path, bytes, f.n - 8));
    UL_FAILS_IN(h.ctx, UL_E_INPUT, path, ul_guard_read(h.ctx, h.arena, h.out, &g));
    house_close(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(forget_prompts_are_refused),
                                       cmocka_unit_test(answers_are_searched),
                                       cmocka_unit_test(damaged_files_are_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
