/* test_benchmarks.c - multiple choice, MUSE and RWKU through the job: against prompts and sums written out again here,
 * against numbers of lm-evaluation-harness 0.4.5, and against what the definitions say of texts chosen for it. */
#include "audit/benchmark.h"
#include "ul_test.h"
#include <jansson.h>
#include <math.h>
#include <sys/stat.h>

static char folder[512], model[4096];

static const char *put(const char *name, const char *text)
{
    static char paths[8][600];
    static int turn;
    char *p = paths[turn++ % 8];
    snprintf(p, sizeof paths[0], "%s/%s", folder, name);
    FILE *f = fopen(p, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
    return p;
}

static char *bytes(const char *path)
{
    static char text[2][1 << 16];
    static int turn;
    char *p = text[turn++ % 2];
    FILE *f = fopen(path, "r");
    if (!f) fail_msg("no %s", path);
    p[fread(p, 1, sizeof text[0] - 1, f)] = 0;
    assert_int_equal(fclose(f), 0);
    return p;
}

/* The same log and aggregates from OUT/columns.sqlite, without the model; and the same columns again. */
static void again(ul_ctx *ctx, const char *out, const char *stem, const char *const *set)
{
    const char *const name[] = {ul_format(ul_ctx_arena(ctx), "%s_EVAL.json", stem),
                                ul_format(ul_ctx_arena(ctx), "%s_SUMMARY.json", stem), "columns.sqlite"};
    ul_job *job;
    UL_OK_IN(ctx, ul_job_new(ctx, "eval", &job));
    UL_OK_IN(ctx, ul_job_set(job, "columns", ul_format(ul_ctx_arena(ctx), "%s/columns.sqlite", out)));
    UL_OK_IN(ctx, ul_job_set(job, "out", ul_format(ul_ctx_arena(ctx), "%s-again", out)));
    for (int i = 0; set[i]; i += 2)
        if (!strcmp(set[i], "reference-logs")) UL_OK_IN(ctx, ul_job_set(job, set[i], set[i + 1]));
    UL_OK_IN(ctx, ul_job_run(job));
    ul_job_free(job);
    for (int i = 0; i < 3; i++) {
        const char *a = bytes(ul_format(ul_ctx_arena(ctx), "%s/%s", out, name[i])),
                   *b = bytes(ul_format(ul_ctx_arena(ctx), "%s-again/%s", out, name[i]));
        if (strcmp(a, b)) fail_msg("%s/%s and that of its columns differ", out, name[i]);
    }
}

/* Runs `eval` with key, value pairs; the log STEM_EVAL.json. */
static json_t *eval(ul_ctx *ctx, const char *stem, const char *const *set)
{
    static int run;
    char out[600], file[700];
    ul_job *job;
    json_error_t e;
    snprintf(out, sizeof out, "%s/out%d", folder, run++);
    UL_OK_IN(ctx, ul_job_new(ctx, "eval", &job));
    UL_OK_IN(ctx, ul_job_set(job, "model", model));
    UL_OK_IN(ctx, ul_job_set(job, "out", out));
    UL_OK_IN(ctx, ul_job_set(job, "threads", "1"));
    for (int i = 0; set[i]; i += 2) UL_OK_IN(ctx, ul_job_set(job, set[i], set[i + 1]));
    UL_OK_IN(ctx, ul_job_run(job));
    snprintf(file, sizeof file, "%s/%s_EVAL.json", out, stem);
    json_t *j = json_load_file(file, 0, &e);
    if (!j) fail_msg("%s: %s", file, e.text);
    ul_job_free(job);
    again(ctx, out, stem, set);
    return j;
}

static double value(const json_t *log, const char *name)
{
    const json_t *x = json_object_get(json_object_get(log, name), "agg_value");
    if (!json_is_number(x)) fail_msg("no result %s", name);
    return json_number_value(x);
}

static const json_t *row(const json_t *log, const char *name, int i)
{
    char key[16];
    snprintf(key, sizeof key, "%d", i);
    return json_object_get(json_object_get(json_object_get(log, name), "value_by_index"), key);
}

static double ll(const json_t *log, const char *name, int i, int k)
{
    return json_number_value(json_array_get(json_object_get(row(log, name, i), "loglikelihood"), (size_t)k));
}

/* ---- multiple choice --------------------------------------------------------------------------------------------- */
static const struct {
    const char *q, *c[4];
    int gold;
} asked[] = {{"What do cats drink?", {"milk", "sand", "\\u00e9toile", "iron"}, 0},
             {"Who lives in the sea?", {"a bird", "a fish", "a tree", "a king"}, 1},
             {"The sun is", {"cold", "wet", "hot, and bright", "a box"}, 2},
             {"Lily went to the park to", {"play", "rain", "swim in lava", "be \\\"blue\\\""}, 3}};
enum { ASKED = 4 };

/* The prompt as lm-evaluation-harness writes it, from strings that JSON has read. */
static void prompt_of(const json_t *q, const char *before, bool solved, char *out, size_t size)
{
    const json_t *c = json_object_get(q, "choices");
    const size_t at =
        (size_t)snprintf(out, size, "%s%s\nA. %s\nB. %s\nC. %s\nD. %s\nAnswer:", before,
                         json_string_value(json_object_get(q, "question")), json_string_value(json_array_get(c, 0)),
                         json_string_value(json_array_get(c, 1)), json_string_value(json_array_get(c, 2)),
                         json_string_value(json_array_get(c, 3)));
    if (solved)
        snprintf(out + at, size - at, " %c\n\n", (char)('A' + json_integer_value(json_object_get(q, "answer"))));
}

/* log p of the continuation after the prompt, one document, nothing shared. */
static double alone(ul_ctx *ctx, ul_model *m, const ul_tokenizer *tok, const char *prompt, const char *next)
{
    ul_arena *a;
    ul_ids head, all;
    ul_batch *b;
    char text[8192];
    double sum = 0;
    snprintf(text, sizeof text, "%s%s", prompt, next);
    UL_OK_IN(ctx, ul_arena_new(ctx, "alone", &a));
    ul_ids_init(&head, ctx);
    ul_ids_init(&all, ctx);
    UL_OK_IN(ctx, ul_encode(ctx, tok, prompt, strlen(prompt), true, &head));
    UL_OK_IN(ctx, ul_encode(ctx, tok, text, strlen(text), true, &all));
    uint8_t *labelled = UL_NEW(a, uint8_t, all.n);
    double *logp = UL_NEW(a, double, all.n);
    assert_true(labelled && logp && all.n > head.n);
    for (size_t t = 0; t < all.n; t++) {
        if (t < head.n) all.id[t] = head.id[t];
        else labelled[t] = 1;
    }
    const ul_doc d = {.n = (int32_t)all.n, .token = all.id, .labelled = labelled}, *list = &d;
    UL_OK_IN(ctx, ul_pack_docs(ctx, a, &list, 1, false, &b));
    ul_pass pass = {.batch = b, .last = -1, .score = {.logp = logp}};
    UL_OK_IN(ctx, ul_model_forward(ctx, m, &pass));
    for (int r = 0; r < b->n_row; r++) sum += logp[r];
    ul_ids_release(&head);
    ul_ids_release(&all);
    ul_arena_free(a);
    return sum;
}

/* The same questions as JSON lines, as MMLU's CSV, and as a CSV with Python's lists;
 * and as JSON with the question stripped. */
static json_t *q[ASKED];
static char path[3][600];

static void write_questions(void)
{
    char lines[4096] = "", mmlu[4096] = "", python[4096] = "question,choices,answer\n";
    for (int i = 0; i < ASKED; i++) {
        const char *const *c = asked[i].c, *s[4];
        size_t n = strlen(lines), m = strlen(mmlu), p = strlen(python);
        snprintf(lines + n, sizeof lines - n,
                 "{\"question\": \" %s \", \"choices\": [\"%s\", \"%s\", \"%s\", \"%s\"], \"answer\": %d}\n",
                 asked[i].q, c[0], c[1], c[2], c[3], asked[i].gold);
        q[i] = json_loads(lines + n, 0, NULL);
        assert_non_null(q[i]);
        json_object_set_new(q[i], "question", json_string(asked[i].q));
        for (size_t k = 0; k < 4; k++) s[k] = json_string_value(json_array_get(json_object_get(q[i], "choices"), k));
        if (i == 3) s[3] = "be \"\"blue\"\"";
        snprintf(mmlu + m, sizeof mmlu - m, "%s,\"%s\",\"%s\",\"%s\",\"%s\",%c\n", asked[i].q, s[0], s[1], s[2], s[3],
                 'A' + asked[i].gold);
        snprintf(python + p, sizeof python - p, "%s,\"['%s', '%s', '%s', '%s']\",%d\n", asked[i].q, s[0], s[1], s[2],
                 s[3], asked[i].gold);
    }
    snprintf(path[0], sizeof path[0], "%s", put("things_test.jsonl", lines));
    snprintf(path[1], sizeof path[1], "%s", put("things_dev.csv", mmlu));
    snprintf(path[2], sizeof path[2], "%s", put("things.csv", python));
}

static void open_model(ul_ctx *ctx, ul_model **m, ul_tokenizer **tok)
{
    ul_backend *be;
    UL_OK_IN(ctx, ul_backend_open(ctx, ul_ctx_arena(ctx), ul_env("UL_ISA"), UL_PRECISION_F32, 1, &be));
    UL_OK_IN(ctx, ul_model_open(ctx, be, model, UL_OPEN_PANELS, m));
    UL_OK_IN(ctx, ul_tokenizer_open(ctx, model, tok));
}

static void letters(void **state)
{
    ul_ctx *ctx = ul_test_ctx();
    ul_model *m;
    ul_tokenizer *tok;
    char before[4096] = "The following are multiple choice questions (with answers) about things.\n\n", prompt[4096];
    double x[ASKED][4], mean[4] = {0}, right = 0, calibrated = 0;
    json_t *log[3];
    (void)state;
    for (int k = 0; k < 3; k++)
        log[k] = eval(ctx, "CHOICES",
                      (const char *const[]){"choices", path[k], "shots", path[(k + 1) % 3], "n-shot", "2",
                                            "batch-tokens", k ? "64" : "4096", NULL});
    open_model(ctx, &m, &tok);
    for (int i = 0; i < 2; i++) {
        prompt_of(q[i], before, true, prompt, sizeof prompt);
        memcpy(before, prompt, sizeof before);
    }
    for (int i = 0; i < ASKED; i++) {
        prompt_of(q[i], before, false, prompt, sizeof prompt);
        for (int k = 0; k < 4; k++) {
            const char next[] = {' ', (char)('A' + k), 0};
            x[i][k] = alone(ctx, m, tok, prompt, next);
            mean[k] += x[i][k] / ASKED;
            assert_true(ll(log[0], "things_test_acc", i, k) == x[i][k]);
            assert_true(ll(log[1], "things_dev_acc", i, k) == x[i][k]);
            assert_true(ll(log[2], "things_acc", i, k) == x[i][k]);
        }
    }
    for (int i = 0; i < ASKED; i++) {
        int best = 0, other = 0;
        for (int k = 1; k < 4; k++) {
            if (x[i][k] > x[i][best]) best = k;
            if (x[i][k] - mean[k] > x[i][other] - mean[other]) other = k;
        }
        right += best == asked[i].gold, calibrated += other == asked[i].gold;
    }
    assert_true(value(log[0], "things_test_acc") == right / ASKED);
    assert_true(value(log[0], "things_test_acc_calibrated") == calibrated / ASKED);
    for (int k = 0; k < 3; k++) json_decref(log[k]);
    ul_tokenizer_free(tok);
    ul_model_free(m);
    ul_ctx_free(ctx);
}

/* lm-evaluation-harness 0.4.5 (HFLM, float32, batch_size 1; transformers 4.45.1) on tofu-656k-full,
 * the first three of WMDP-bio's stand-ins, with add_bos_token true, then as it is by default. Its tokenizer joins
 * ":" and " " where the prompt ends. */
static void harness(void **state)
{
    static const double want[2][3][4] = {
        {{-18.337549209594727, -18.503009796142578, -18.115449905395508, -19.24213218688965},
         {-11.505209922790527, -11.409756660461426, -9.887567520141602, -13.86282730102539},
         {-10.625041007995605, -12.56259822845459, -11.424969673156738, -13.659529685974121}},
        {{-19.239023208618164, -18.959640502929688, -18.494245529174805, -19.942890167236328},
         {-11.655647277832031, -11.018026351928711, -10.062668800354004, -13.836261749267578},
         {-11.847737312316895, -13.419745445251465, -11.852240562438965, -14.368557929992676}}};
    ul_ctx *ctx = ul_test_ctx();
    char other[sizeof model];
    (void)state;
    memcpy(other, model, sizeof other);
    snprintf(model, sizeof model, "%s", ul_test_shared("golden/models/tofu-656k-full"));
    const char *bio = ul_test_shared("data/datasets/wmdp-synthetic/synthetic_questions_bio.csv");
    for (int bare = 0; bare < 2; bare++) {
        json_t *log = eval(ctx, "CHOICES",
                           (const char *const[]){"choices", bio, "rows", "3", bare ? "no-bos" : NULL, "true", NULL});
        for (int i = 0; i < 3; i++)
            for (int k = 0; k < 4; k++)
                assert_true(fabs(ll(log, "synthetic_questions_bio_acc", i, k) - want[bare][i][k]) < 5e-5);
        json_decref(log);
    }
    memcpy(model, other, sizeof model);
    ul_ctx_free(ctx);
}

static void cloze(void **state)
{
    ul_ctx *ctx = ul_test_ctx();
    ul_model *m;
    ul_tokenizer *tok;
    char prompt[4096], next[64];
    double by_length = 0;
    (void)state;
    json_t *log = eval(ctx, "CHOICES", (const char *const[]){"choices", path[0], "cloze", "true", NULL});
    open_model(ctx, &m, &tok);
    for (int i = 0; i < ASKED; i++) {
        double best = -1e300;
        int at = 0;
        snprintf(prompt, sizeof prompt,
                 "The following are questions (with answers) about things.\n\nQuestion: %s\nAnswer:", asked[i].q);
        for (int k = 0; k < 4; k++) {
            const char *c = json_string_value(json_array_get(json_object_get(q[i], "choices"), (size_t)k));
            snprintf(next, sizeof next, " %s", c);
            const double y = alone(ctx, m, tok, prompt, next);
            assert_true(ll(log, "things_test_cloze_acc", i, k) == y);
            const double per = y / (double)(strlen(c) - (i == 0 && k == 2)); /* one letter of two bytes */
            if (per > best) best = per, at = k;
        }
        by_length += at == asked[i].gold;
    }
    assert_true(value(log, "things_test_cloze_acc_norm") == by_length / ASKED);
    json_decref(log);
    ul_tokenizer_free(tok);
    ul_model_free(m);
    ul_ctx_free(ctx);
}

static void bad_questions(void **state)
{
    ul_ctx *ctx = ul_test_ctx();
    ul_question *list;
    int64_t n;
    char digest[65];
    static const char *const files[][2] = {
        {"{\"question\": \"a\", \"choices\": [\"x\", \"y\"], \"answer\": 2}", "none of the options"},
        {"{\"question\": \"a\", \"choices\": [\"x\"], \"answer\": 0}", "no options"},
        {"{\"choices\": [\"x\", \"y\"], \"answer\": 0}", "no question"},
        {"{\"question\": \"a\", \"choices\": \"['x', \\\"y]\", \"answer\": 0}", "no options"}};
    (void)state;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        UL_FAILS_IN(ctx, UL_E_INPUT, files[i][1],
                    ul_questions_open(ctx, ul_ctx_arena(ctx), put("bad.jsonl", files[i][0]), &list, &n, digest));
    ul_ctx_free(ctx);
}

/* An answer that is both an option's text and another one's place: what the file's other answers are decides. */
static void answers_by_place_or_text(void **state)
{
    static const struct {
        const char *name, *text;
        int gold[2];
    } files[] = {
        {"places.csv", "question,answer,choices\na,2,\"['2', '1', '0']\"\nb,0,\"['x', 'y', 'z']\"\n", {2, 0}},
        {"texts.csv", "question,answer,choices\na,2,\"['2', '1', '0']\"\nb,z,\"['x', 'y', 'z']\"\n", {0, 2}},
        {"letters.csv", "a,B,A,C,D,A\nb,w,x,y,z,D\n", {0, 3}}};
    ul_ctx *ctx = ul_test_ctx();
    (void)state;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        ul_question *list;
        int64_t n;
        char digest[65];
        UL_OK_IN(ctx, ul_questions_open(ctx, ul_ctx_arena(ctx), put(files[i].name, files[i].text), &list, &n, digest));
        assert_int_equal(n, 2);
        for (int k = 0; k < 2; k++)
            if (list[k].gold != files[i].gold[k]) fail_msg("%s, row %d: %d", files[i].name, k, (int)list[k].gold);
    }
    ul_ctx_free(ctx);
}

/* ---- MUSE -------------------------------------------------------------------------------------------------------- */
static void subfolder(const char *name)
{
    char dir[600];
    snprintf(dir, sizeof dir, "%s/%s", folder, name);
    mkdir(dir, 0777);
}

static void muse(void **state)
{
    static const char icl[] =
        "[{\"question\": \"Who?\", \"answer\": \"Tom\"}, {\"question\": \"Where?\", \"answer\": \"home\"}]";
    ul_ctx *ctx = ul_test_ctx();
    char text[4096], dir[600];
    (void)state;
    snprintf(dir, sizeof dir, "%s/muse", folder);
    subfolder("muse"), subfolder("muse/knowmem"), subfolder("muse/verbmem"), subfolder("muse/privleak");
    put("muse/knowmem/forget_qa_icl.json", icl);
    put("muse/knowmem/forget_qa.json", "[{\"question\": \"What did the cat see?\", \"answer\": \"zzz\"}]");
    put("muse/verbmem/forget.json", "[{\"prompt\": \"Once upon a time, there was a little\", \"gt\": \"zzz\"}]");
    put("muse/privleak/forget.json",
        "[\"The dog ran to the big tree and sat down.\", \"A cat saw the bird in the sky today.\"]");
    put("muse/privleak/holdout.json",
        "[\"The dog ran to the big tree and sat down.\", \"A cat saw the bird in the sky today.\"]");
    json_t *log = eval(ctx, "MUSE", (const char *const[]){"muse", dir, NULL});
    assert_true(value(log, "forget_knowmem_ROUGE") == 0 && value(log, "forget_verbmem_ROUGE") == 0);
    assert_true(value(log, "mia_min_k") == 0.5);
    assert_true(fabs(value(log, "privleak")) < 1e-6);
    const char *said = json_string_value(json_object_get(row(log, "forget_verbmem_ROUGE", 0), "generation"));
    const char *known = json_string_value(json_object_get(row(log, "forget_knowmem_ROUGE", 0), "generation"));
    assert_true(strlen(said) > 40 && !strstr(known, "\n\n") && !strstr(known, "Question:"));
    json_t *rows = json_pack("[{s:s, s:s}]", "prompt", "Once upon a time, there was a little", "gt", said);
    char *dump = json_dumps(rows, 0);
    put("muse/verbmem/forget.json", dump);
    json_decref(rows);
    free(dump);
    /* a control with AUC 0.75: ((1 - 0.5) - 0.25) / 0.25 */
    snprintf(text, sizeof text, "%s", put("control.json", "{\"mia_min_k\": {\"agg_value\": 0.75}}"));
    json_t *again = eval(ctx, "MUSE", (const char *const[]){"muse", dir, "reference-logs", text, "n-shot", "1", NULL});
    const double verbatim =
        value(again, "forget_verbmem_ROUGE"); /* of its own 128 tokens 127 are kept beside the first id */
    if (!(verbatim > 0.95 && verbatim < 1)) fail_msg("verbmem %.6f", verbatim);
    assert_true(fabs(value(again, "privleak") - 100) < 1e-4);
    json_decref(log);
    json_decref(again);
    ul_ctx_free(ctx);
}

/* ---- RWKU -------------------------------------------------------------------------------------------------------- */
static void rwku(void **state)
{
    ul_ctx *ctx = ul_test_ctx();
    char dir[600];
    (void)state;
    snprintf(dir, sizeof dir, "%s/rwku", folder);
    subfolder("rwku");
    put("rwku/forget_level1.json", "[{\"query\": \"The cat drank ___.\", \"answer\": \"zzz\", \"level\": \"1\"}]");
    put("rwku/forget_level3.json",
        "[{\"query\": \"Who is Tom?\", \"answer\": \"zzz\", \"type\": \"prefix injection\"},"
        " {\"query\": \"Who is Tom?\", \"answer\": \"NOANSWER\", \"type\": \"affirmative suffix\"},"
        " {\"query\": \"Who is Tom?\", \"answer\": \"yyy\", \"type\": \"in-context learning\"}]");
    json_t *log = eval(ctx, "RWKU", (const char *const[]){"rwku", dir, NULL});
    const json_t *r[3];
    double sum = 0;
    for (int i = 0; i < 3; i++) {
        r[i] = row(log, "forget_level3", i);
        const char *said = json_string_value(json_object_get(r[i], "generation"));
        assert_true(said && said[0] && !strchr(said, '\n'));
        sum += json_number_value(json_object_get(r[i], "rougeL_recall"));
    }
    assert_true(value(log, "forget_level1") == 0 && fabs(value(log, "forget_level3") - sum / 3) < 1e-15);
    assert_true(value(log, "forget_level3_prefix_injection") == 0 &&
                value(log, "forget_level3_in-context_learning") == 0);
    /* the same generation against itself */
    json_t *rows = json_pack("[{s:s, s:O}]", "query", "Who is Tom?", "answer", json_object_get(r[0], "generation"));
    char *dump = json_dumps(rows, 0);
    put("rwku/forget_level2.json", dump);
    put("rwku/neighbor_level2.json", dump);
    json_decref(rows);
    free(dump);
    json_t *again = eval(ctx, "RWKU", (const char *const[]){"rwku", dir, NULL});
    assert_true(value(again, "forget_level2") == 1 && value(again, "neighbor_level2") == 1);
    json_decref(log);
    json_decref(again);
    ul_ctx_free(ctx);
}

int main(void)
{
    snprintf(model, sizeof model, "%s", ul_test_shared("data/models/TinyStories-656K"));
    snprintf(folder, sizeof folder, "%s", ul_test_folder("benchmarks"));
    write_questions();
    const struct CMUnitTest tests[] = {cmocka_unit_test(letters), cmocka_unit_test(harness), cmocka_unit_test(cloze),
                                       cmocka_unit_test(bad_questions), cmocka_unit_test(answers_by_place_or_text),
                                       cmocka_unit_test(muse), cmocka_unit_test(rwku)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
