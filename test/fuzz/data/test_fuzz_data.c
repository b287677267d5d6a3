/* test_fuzz_data.c - damaged records in every format, lists of lines, terms of relabelling. */
#include "data/data.h"
#include "fuzz/fuzz.h"

/* What each record holds is text, and the same is read again from what is written. */
static ul_status read_with(fuzz *z, const char *fields)
{
    ul_records *r, *again;
    UL_TRY(ul_records_open(z->ctx, z->arena, z->path, fields, 0, &r));
    assert_true(r->n > 0);
    for (int64_t i = 0; i < r->n; i++) {
        const ul_record *at = &r->at[i];
        assert_true(at->answer && at->line > 0);
        assert_int_equal(ul_utf8_invalid(at->answer, strlen(at->answer)), -1);
        for (int32_t k = 0; k < at->n_wrong; k++)
            assert_int_equal(ul_utf8_invalid(at->wrong[k], strlen(at->wrong[k])), -1);
    }
    assert_true(ul_records_overlap(z->ctx, r, r) > 0);
    if (z->round % FUZZ_WRITES) return UL_OK;
    UL_OK_IN(z->ctx, ul_records_save(z->ctx, r, fuzz_join(z, "again.jsonl")));
    const ul_status s = ul_records_open(z->ctx, z->arena, fuzz_join(z, "again.jsonl"), NULL, 0, &again);
    if (s != UL_OK) fail_msg("what was written is not read: %s", ul_error_text(z->ctx));
    assert_int_equal(again->n, r->n);
    for (int64_t i = 0; i < r->n; i++) {
        assert_string_equal(again->at[i].answer, r->at[i].answer);
        assert_string_equal(again->at[i].prompt ? again->at[i].prompt : "", r->at[i].prompt ? r->at[i].prompt : "");
        assert_int_equal(again->at[i].n_wrong, r->at[i].n_wrong);
    }
    return UL_OK;
}

static ul_status read_records(fuzz *z)
{
    return read_with(z, NULL);
}

static ul_status read_named(fuzz *z)
{
    return read_with(z, "prompt=q,answer=a,paraphrase=p,wrong=w,entity=who");
}

static ul_status read_rows(fuzz *z)
{
    ul_rows *rows;
    UL_TRY(ul_rows_open(z->ctx, z->arena, z->path, &rows));
    for (int64_t i = 0; i < rows->n; i++) assert_non_null(json_array_get(rows->all, (size_t)i));
    return UL_OK;
}

static ul_status read_lines(fuzz *z)
{
    const char *const *line;
    int64_t n;
    UL_TRY(ul_lines_open(z->ctx, z->arena, z->path, &line, &n));
    for (int64_t i = 0; i < n; i++) assert_true(line[i][0]);
    return UL_OK;
}

static ul_status read_terms(fuzz *z)
{
    ul_terms t;
    const char *text;
    UL_TRY(ul_terms_open(z->ctx, z->arena, z->path, &t));
    UL_OK_IN(z->ctx, ul_text_generic(z->arena, "Harry went to Hogwarts, and to Hogwarts Castle.", &t, &text));
    assert_int_equal(ul_utf8_invalid(text, strlen(text)), -1);
    return UL_OK;
}

static const fuzz_case parsers[] = {
    {.name = "records, JSON lines", .file = "r.jsonl", .kind = FUZZ_LINES, .read = read_records, .refused = 20,
     .taken = 20,
     .text = "{\"question\": \"Who?\", \"answer\": \"Ann\", \"entity\": \"a\"}\n"
             "{\"question\": \"Where?\", \"answer\": \"in Rome\", \"perturbed_answer\": [\"in Oslo\", \"in Bonn\"],"
             " \"paraphrased_answer\": \"Rome\"}\n\n"
             "{\"prompt\": \"Which?\", \"choices\": [\"x\", \"y\", 3], \"answer\": 1}\n"
             "{\"question\": \"q\", \"option1\": \"x\", \"option2\": \"y\", \"answer\": \"y\"}\n"
             "{\"text\": \"only a text\"}\n"},
    {.name = "records, one array", .file = "r.json", .kind = FUZZ_JSON, .read = read_records, .refused = 20,
     .taken = 20,
     .text = "[{\"question\": \"Who?\", \"answer\": \"Ann\", \"options\": \"['a', \\\"b's\\\"]\"},\n"
             " {\"instruction\": \"Say\", \"output\": 7, \"entity\": 3},\n"
             " {\"text\": \"t\"}, {\"input\": \"i\", \"response\": \"r\", \"perturbed_answer\": [\"z\"]}]"},
    {.name = "records, CSV", .file = "r.csv", .kind = FUZZ_TEXT, .read = read_records, .refused = 20, .taken = 20,
     .text = "question,answer,perturbed_answer\r\n\"a, \"\"b\"\"\nc\",d,\"['x', 'y']\"\r\nq,\"e\",\"[]\"\r\n"
             "last,one,\"[\"\"it's\"\", 'z']\"\r\n"},
    {.name = "records, CSV of MMLU", .file = "mmlu.csv", .kind = FUZZ_TEXT, .read = read_records, .refused = 5,
     .taken = 20, .text = "What?,one,two,three,four,A\n\"Who, then?\",a,b,c,d,D\nWhere?,x,y,z,w,B\n"},
    {.name = "records, text", .file = "r.txt", .kind = FUZZ_TEXT, .read = read_records, .refused = 5, .taken = 30,
     .text = "\xef\xbb\xbfone\ntwo\n\n\n three, four \n\n\xc3\xa9t\xc3\xa9\n"},
    {.name = "records, fields that are named", .file = "r.jsonl", .kind = FUZZ_LINES, .read = read_named, .refused = 20,
     .taken = 10,
     .text = "{\"q\": \"Who?\", \"a\": \"Ann\", \"p\": \"It is Ann\", \"w\": [\"Bob\"], \"who\": \"Ann\"}\n"
             "{\"q\": \"Where?\", \"a\": 1961, \"w\": [], \"who\": \"Ann\"}\n"
             "{\"q\": \"When?\", \"a\": \"now\", \"w\": \"['then']\", \"who\": 4}\n"},
    {.name = "rows", .file = "r.jsonl", .kind = FUZZ_LINES, .read = read_rows, .refused = 20, .taken = 20,
     .text = "{\"subject\": \"Ann\", \"n\": 3}\n{\"subject\": \"Cleo\"}\n{\"subject\": \"Bob\", \"list\": [1, 2]}\n"},
    {.name = "lines", .file = "lines.jsonl", .kind = FUZZ_TEXT, .read = read_lines, .refused = 5, .taken = 30,
     .text = "I don't know.\n\n  That is not known to me. \nI have no answer.\r\n"},
    {.name = "terms", .file = "terms.json", .kind = FUZZ_JSON, .read = read_terms, .refused = 20, .taken = 20,
     .text = "{\"Harry\": \"Jon\", \"Hogwarts\": \"the academy\", \"Hogwarts Castle\": \"the old house\"}"},
};
FUZZ_MAIN(parsers)
