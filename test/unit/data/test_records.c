/* Records from files: formats told by content, field names, entities, overlap, and bad input with its file and line. */
#include "data/data.h"
#include "ul_test.h"

static const char *put(const char *name, const char *text, size_t n)
{
    static char path[600];
    static const char *folder;
    if (!folder) folder = ul_test_folder("records");
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
    return path;
}
#define PUT(name, text) put(name, text, sizeof(text) - 1)

static ul_records *open_in(ul_ctx *ctx, const char *path, const char *fields, int32_t per_entity)
{
    ul_records *r;
    UL_OK_IN(ctx, ul_records_open(ctx, ul_ctx_arena(ctx), path, fields, per_entity, &r));
    return r;
}

static void is(const char *have, const char *want)
{
    if (!want)
        assert_null(have);
    else
        assert_string_equal(have ? have : "(null)", want);
}

static void check(const ul_records *r, int64_t i, int64_t line, const char *prompt, const char *answer)
{
    assert_true(i < r->n);
    assert_int_equal(r->at[i].line, line);
    is(r->at[i].prompt, prompt);
    is(r->at[i].answer, answer);
}

static void test_formats(void **state)
{
    (void)state;
    ul_ctx *ctx = ul_test_ctx();
    ul_records *r = open_in(
        ctx,
        PUT("a", "{\"question\": \"q1\", \"answer\": \"a1\"}\n\n {\"prompt\": \"q2\", \"completion\": \"\\u00e9\"}\n"),
        NULL, 0);
    assert_int_equal(r->n, 2);
    check(r, 0, 1, "q1", "a1");
    check(r, 1, 3, "q2", "\xc3\xa9");
    r = open_in(ctx, PUT("b", " [{\"instruction\": \"q\", \"output\": 7}, {\"text\": \"t\"}]"), NULL, 0);
    assert_int_equal(r->n, 2);
    check(r, 0, 1, "q", "7");
    check(r, 1, 2, NULL, "t");
    r = open_in(ctx, PUT("c", "question,answer\r\n\"a, \"\"b\"\"\nc\",d\r\nq,\"e\"\r\n"), NULL, 0);
    assert_int_equal(r->n, 2);
    check(r, 0, 2, "a, \"b\"\nc", "d");
    check(r, 1, 4, "q", "e");
    r = open_in(ctx, PUT("d", "\xef\xbb\xbfone\ntwo\n\n\n three, four \n"), NULL, 0);
    assert_int_equal(r->n, 2);
    check(r, 0, 1, NULL, "one\ntwo");
    check(r, 1, 5, NULL, " three, four ");
    ul_ctx_free(ctx);
}

static void test_fields(void **state)
{
    (void)state;
    ul_ctx *ctx = ul_test_ctx();
    const char *path =
        PUT("f", "{\"text\": \"q\", \"labels\": \"a\", \"who\": \"Ann\", \"alt\": [\"x\", \"a\", 3]}\n"
                 "{\"text\": \"q\", \"labels\": \"b\", \"who\": \"Bea\", \"paraphrased_answer\": \"p\"}\n"
                 "{\"text\": \"q\", \"labels\": \"c\", \"who\": \"Ann\"}\n");
    ul_records *r = open_in(ctx, path, "prompt=text,answer=labels,entity=who,wrong=alt", 0);
    check(r, 0, 1, "q", "a");
    assert_int_equal(r->at[0].n_wrong, 2); /* the answer itself is not wrong */
    is(r->at[0].wrong[1], "3");
    is(r->at[1].paraphrase, "p");
    assert_int_equal(r->at[0].entity, r->at[2].entity);
    assert_int_not_equal(r->at[0].entity, r->at[1].entity);
    r = open_in(ctx, path, NULL, 2); /* without names: plain texts, entities by twos */
    check(r, 0, 1, NULL, "q");
    assert_int_equal(r->at[0].entity, 0);
    assert_int_equal(r->at[1].entity, 0);
    assert_int_equal(r->at[2].entity, 1);
    r = open_in(ctx,
                PUT("g", "{\"question\": \"q\", \"choices\": [1961, 1958], \"answer\": 1}\n"
                         "{\"question\": \"q\", \"option1\": \"x\", \"option2\": \"y\", \"answer\": \"y\"}\n"),
                NULL, 0);
    check(r, 0, 1, "q", "1958");
    is(r->at[0].wrong[0], "1961");
    assert_int_equal(r->at[1].n_wrong, 1);
    is(r->at[1].wrong[0], "x");
    UL_FAILS_IN(ctx, UL_E_USAGE, "promt=text", ul_records_open(ctx, ul_ctx_arena(ctx), path, "promt=text", 0, &r));
    ul_ctx_free(ctx);
}

/* A cell with a list is its items: of TOFU's perturbed answers, and of WMDP's choices beside an index. */
static void test_lists_in_csv(void **state)
{
    (void)state;
    ul_ctx *ctx = ul_test_ctx();
    ul_records *r = open_in(ctx,
                            PUT("l.csv", "question,answer,perturbed_answer\n"
                                         "q,rome,\"['oslo, north', \"\"l'\u00e9t\u00e9\"\", 'rome']\"\n"
                                         "q,1,\"['x', 'y', 'z']\"\nq,3,\"['x', '3']\"\nq,a,[sic] b\n"),
                            NULL, 0);
    assert_int_equal(r->at[0].n_wrong, 2);
    is(r->at[0].wrong[0], "oslo, north");
    is(r->at[0].wrong[1], "l'\u00e9t\u00e9");
    check(r, 1, 3, "q", "y");
    assert_int_equal(r->at[1].n_wrong, 2);
    is(r->at[1].wrong[1], "z");
    check(r, 2, 4, "q", "3");
    is(r->at[2].wrong[0], "x");
    assert_int_equal(r->at[3].n_wrong, 1);
    is(r->at[3].wrong[0], "[sic] b");
    ul_ctx_free(ctx);
}

/* Text may begin with a bracket where the file says that it is text. */
static void test_text_with_brackets(void **state)
{
    (void)state;
    ul_ctx *ctx = ul_test_ctx();
    ul_records *r = open_in(ctx, PUT("t1.txt", "[Illustration]\nof a house\n\nmore\n"), NULL, 0);
    check(r, 0, 1, NULL, "[Illustration]\nof a house");
    r = open_in(ctx, PUT("t2.txt", "{curly} it begins\n"), NULL, 0);
    check(r, 0, 1, NULL, "{curly} it begins");
    r = open_in(ctx, PUT("t3.txt", "{\"question\": \"q\", \"answer\": \"a\"}\n"), NULL, 0);
    check(r, 0, 1, "q", "a");
    r = open_in(ctx, PUT("t4.txt", "\n[{\"question\": \"q\",\n \"answer\": \"a\"}]\n"), NULL, 0);
    check(r, 0, 1, "q", "a");
    ul_ctx_free(ctx);
}

#define BAD(name, text, part)                                                                                          \
    UL_FAILS_IN(ctx, UL_E_INPUT, part, ul_records_open(ctx, ul_ctx_arena(ctx), PUT(name, text), NULL, 0, &r))
static void test_bad_input(void **state)
{
    (void)state;
    ul_ctx *ctx = ul_test_ctx();
    ul_records *r;
    BAD("e1", "", "no rows");
    BAD("e2", "\n \n", "no rows");
    BAD("e3", "[]", "no rows");
    BAD("e4", "{\"question\": \"q\", \"answer\": \"a\"}\n{\"question\": \"q\", \"anser\": \"a\"}\n",
        "e4:2: the row has no field for the answer");
    BAD("e4", "{\"question\": \"q\", \"answer\": \"a\"}\n{\"question\": \"q\", \"anser\": \"a\"}\n", "question, anser");
    BAD("e5", "{\"question\": \"q\", \"answer\": \"a\"}\n{\"question\": \n", "e5:2:");
    BAD("e6", "{\"question\": \"q\", \"answer\": \"a\"}\n{\"question\": \"\xff\", \"answer\": \"a\"}\n",
        "e6:2: byte 15 of the line (0xff)");
    BAD("e7", "{\"question\": \"q\", \"answer\": [1]}\n", "e7:1: the answer is neither");
    BAD("e8", "question,answer\nq,a,b\n", "e8:2: the row has 3 cells, the header has 2");
    BAD("e9", "question,answer\nq,\"a\n", "e9:2: the quote that opens here never closes");
    BAD("e10", "{\"question\": \"a\\u0000b\", \"answer\": \"a\"}\n", "e10:1:");
    BAD("e11", "[3]", "e11:1: the row is not an object");
    BAD("e12", "{\"question\": \"q\", \"question\": \"r\", \"answer\": \"a\"}\n", "e12:1:");
    BAD("e13", "[{\"question\": \"q\", \"answer\": \"a\", \"answer\": \"b\"}]", "duplicate");
    BAD("e14", "question,answer,question\nq,a,r\n", "e14:1: columns 1 and 3 are both named \"question\"");
    BAD("e15", "{\"text\": \"a\"} {\"text\": \"b\"}\n", "something follows the row (one JSON object a line)");
    BAD("e16", "{\n\"text\": \"a\"}\n", "e16:1:1: the row does not end on its line");
    BAD("e17.parquet", "PAR1 and so on", "is a Parquet file");
    BAD("e18.jsonl", "\x1f\x8b\x08 and so on", "compressed by gzip");
    BAD("e19.tsv", "question\tanswer\nq\ta\n", "tabs");
    BAD("e20.jsonl", "[Illustration]\n", "e20.jsonl:1:");
    ul_ctx_free(ctx);
}

static void test_digest_and_overlap(void **state)
{
    (void)state;
    ul_ctx *ctx = ul_test_ctx();
    const ul_records *a = open_in(
        ctx, PUT("o1", "{\"question\": \"q1\", \"answer\": \"a\"}\n{\"question\": \"q2\", \"answer\": \"a\"}\n"), NULL,
        0);
    const ul_records *b = open_in(
        ctx, PUT("o2", "[{\"prompt\": \"q2\", \"completion\": \"a\"}, {\"prompt\": \"q1\", \"completion\": \"b\"}]"),
        NULL, 0);
    assert_int_equal(ul_records_overlap(ctx, a, b), 1);
    assert_int_equal(ul_records_overlap(ctx, a, a), 2);
    assert_string_not_equal(a->digest, b->digest);
    ul_records *s, *t;
    UL_OK_IN(ctx, ul_records_seal(ctx, "memory", a->at, a->n, ul_ctx_arena(ctx), &s));
    UL_OK_IN(ctx, ul_records_seal(ctx, "memory", a->at, 1, ul_ctx_arena(ctx), &t));
    assert_string_not_equal(s->digest, t->digest);
    const char *const *line;
    int64_t n;
    UL_OK_IN(ctx, ul_lines_open(ctx, ul_ctx_arena(ctx), PUT("l", " one \n\ntwo\r\n"), &line, &n));
    assert_int_equal(n, 2);
    is(line[0], "one");
    is(line[1], "two");
    ul_ctx_free(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_formats), cmocka_unit_test(test_fields),
                                       cmocka_unit_test(test_bad_input), cmocka_unit_test(test_lists_in_csv),
        cmocka_unit_test(test_text_with_brackets), cmocka_unit_test(test_digest_and_overlap)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
