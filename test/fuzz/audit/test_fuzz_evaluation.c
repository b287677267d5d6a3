/* test_fuzz_evaluation.c - damaged logs and columns of evaluations, files of benchmarks, and parts of an audit that are
 * kept. */
#include "audit/benchmark.h"
#include "audit/kept.h"
#include "fuzz/job.h"
#include <sqlite3.h>

/* ---- logs -------------------------------------------------------------------------------------------------------- */
static void evaluate(fuzz *z, const char *name)
{
    open_home();
    const char *out = fuzz_join(z, "out");
    UL_OK_IN(z->ctx, JOB(z, "eval", "model", home.dir, "forget", of_home(z, "forget.jsonl"), "retain",
                         of_home(z, "retain.jsonl"), "holdout", of_home(z, "retain.jsonl"), "rows", "4", "max-new", "4",
                         "threads", "1", "out", out));
    snprintf(z->path, sizeof z->path, "%s/%s", out, name);
    fuzz_copy_file(z->path, fuzz_join(z, "sound.json"));
}

static void make_log(fuzz *z)
{
    evaluate(z, "TOFU_EVAL.json");
}

static ul_status read_log(fuzz *z)
{
    return JOB(z, "eval", "logs", z->path);
}

/* In the place of the control's log, and of the original's. */
static ul_status read_beside(fuzz *z)
{
    const char *sound = fuzz_join(z, "sound.json"), *control = z->round % 2 ? z->path : sound;
    return JOB(z, "eval", "logs", sound, "reference-logs", control, "original-logs", z->round % 2 ? sound : z->path);
}

static void make_benchmark_log(fuzz *z)
{
    open_home();
    const char *out = fuzz_join(z, "out");
    fuzz_write(z, "q_test.jsonl", "{\"question\": \"where does anna live ?\", \"choices\": [\"rome\", \"oslo\"], "
                                  "\"answer\": 0}\n{\"question\": \"who lives in oslo\", \"choices\": [\"anna\", "
                                  "\"bert\", \"cleo\"], \"answer\": 1}\n");
    UL_OK_IN(z->ctx, JOB(z, "eval", "model", home.dir, "choices", fuzz_join(z, "q_test.jsonl"), "threads", "1", "out",
                         out));
    snprintf(z->path, sizeof z->path, "%s/CHOICES_EVAL.json", out);
}

/* ---- columns ----------------------------------------------------------------------------------------------------- */
static void make_columns(fuzz *z)
{
    evaluate(z, "columns.sqlite");
}

static void make_benchmark_columns(fuzz *z)
{
    make_benchmark_log(z);
    snprintf(z->path, sizeof z->path, "%s", fuzz_join(z, z->c->file));
}

static ul_status read_columns(fuzz *z)
{
    return JOB(z, "eval", "columns", z->path);
}

static void run_sql(fuzz *z, const char *sql)
{
    sqlite3 *db;
    assert_int_equal(sqlite3_open(z->path, &db), SQLITE_OK);
    (void)sqlite3_exec(db, "PRAGMA synchronous = OFF", NULL, NULL, NULL);
    (void)sqlite3_exec(db, sql, NULL, NULL, NULL); /* some are refused: then the file is sound */
    sqlite3_close(db);
}

/* By SQL three times of four: what a file is that SQLite takes. */
static void damage_columns(fuzz *z, fuzz_dice *d)
{
    static const char *const value[] = {"NULL", "-1", "0", "9e999", "-9e999", "'text'", "x'00ff'", "1e308",
                                        "9223372036854775807", "2147483648", "0.5", "''", "x''", "char(255)",
                                        "zeroblob(100)", "'a' || char(0) || 'b'"};
    static const char *const cell[][2] = {
        {"about", "key"},      {"about", "value"},     {"pass", "pass"},    {"pass", "data"},
        {"pass", "field"},     {"pass", "lists"},      {"row", "row"},      {"row", "idx"},
        {"row", "entity"},     {"answer", "row"},      {"answer", "answer"}, {"answer", "eos_last"},
        {"answer", "avg_loss"}, {"answer", "prob"},    {"answer", "text"},  {"answer", "generation"},
        {"token", "row"},      {"token", "answer"},    {"token", "token"},  {"token", "logp"},
        {"token", "hit"},      {"token", "mu"},        {"token", "agree"},  {"answer", "ground_truth"}};
    char *sql;
    if (fuzz_draw(d, 4) == 0) {
        fuzz_bytes b = fuzz_mutate(d, FUZZ_BYTES, &z->seed, &z->other);
        fuzz_put(z->path, b.p, b.n);
        free(b.p);
        return;
    }
    const char *const *c = cell[fuzz_draw(d, sizeof cell / sizeof *cell)];
    const char *v = value[fuzz_draw(d, sizeof value / sizeof *value)];
    const unsigned long many = (unsigned long)fuzz_draw(d, 40);
    switch (fuzz_draw(d, 7)) {
    case 0: sql = sqlite3_mprintf("DELETE FROM %s WHERE rowid %% 40 = %lu", c[0], many); break;
    case 1: sql = sqlite3_mprintf("DROP TABLE %s", c[0]); break;
    case 2: sql = sqlite3_mprintf("ALTER TABLE %s DROP COLUMN %s", c[0], c[1]); break;
    case 3: sql = sqlite3_mprintf("UPDATE %s SET %s = %s", c[0], c[1], v); break;
    case 4: sql = sqlite3_mprintf("PRAGMA user_version = %lu; ALTER TABLE %s RENAME TO other; "
                                  "CREATE VIEW %s AS SELECT * FROM other", many, c[0], c[0]); break;
    case 5: sql = sqlite3_mprintf("UPDATE OR IGNORE %s SET %s = %s + 1", c[0], c[1], c[1]); break;
    default: sql = sqlite3_mprintf("UPDATE OR IGNORE %s SET %s = %s WHERE rowid %% 40 = %lu", c[0], c[1], v, many);
    }
    run_sql(z, sql);
    sqlite3_free(sql);
}

/* Found by mutation. Sums of such numbers are infinite: the message named no file. A pass that suddenly has lists. */
static const fuzz_found columns_found[] = {
    {"UPDATE token SET logp = 1e308", "the logarithm of a probability is above 0"},
    {"UPDATE token SET logp = -1e308", "columns.sqlite: forget_Q_A_Prob"},
    {"UPDATE pass SET lists = 1", "several answers a row"},
    {0}};

/* ---- benchmarks -------------------------------------------------------------------------------------------------- */
static void make_benchmark(fuzz *z)
{
    static const char *const file[][2] = {
        {"knowmem/forget_qa.json", "[{\"question\": \"where does anna live ?\", \"answer\": \"rome\"}]"},
        {"knowmem/forget_qa_icl.json", "[{\"question\": \"who lives in oslo ?\", \"answer\": \"bert\"}]"},
        {"verbmem/forget.json", "[{\"prompt\": \"anna lives\", \"gt\": \"in rome .\"}]"},
        {"privleak/forget.json", "[\"anna lives in rome .\", \"bert lives in oslo .\"]"},
        {"privleak/holdout.json", "[\"cleo lives in rome .\", \"dora lives in oslo .\"]"}};
    open_home();
    UL_OK_IN(z->ctx, ul_dir_make(z->ctx, fuzz_join(z, "knowmem")));
    UL_OK_IN(z->ctx, ul_dir_make(z->ctx, fuzz_join(z, "verbmem")));
    UL_OK_IN(z->ctx, ul_dir_make(z->ctx, fuzz_join(z, "privleak")));
    for (size_t i = 0; z->c->name[0] == 'M' && i < sizeof file / sizeof *file; i++)
        fuzz_write(z, file[i][0], file[i][1]);
}

static ul_status read_muse(fuzz *z)
{
    return JOB(z, "eval", "model", home.dir, "muse", z->dir, "threads", "1", "n-shot", "1", "max-new", "4");
}

static ul_status read_control(fuzz *z)
{
    return JOB(z, "eval", "model", home.dir, "muse", z->dir, "metrics", "privleak", "threads", "1", "reference-logs",
               z->path);
}

static ul_status read_rwku(fuzz *z)
{
    return JOB(z, "eval", "model", home.dir, "rwku", z->dir, "threads", "1", "max-new", "4");
}

static ul_status read_choices(fuzz *z)
{
    return JOB(z, "eval", "model", home.dir, "choices", z->path, "threads", "1");
}

/* ---- parts of an audit that are kept ----------------------------------------------------------------------------- */
enum { N = 5 };
typedef struct {
    double x, *column;
    int layers;
    bool ran;
    const char *const *said;
    json_t *curve;
} part;

static void fold(ul_fold *f, void *what)
{
    part *p = what;
    ul_fold_number(f, "x", &p->x);
    ul_fold_count(f, "layers", 64, &p->layers);
    ul_fold_flag(f, "ran", &p->ran);
    ul_fold_column(f, "column", N, &p->column);
    ul_fold_texts(f, "said", N, &p->said);
    ul_fold_json(f, "curve", &p->curve);
}

static ul_kept_parts kept_in(fuzz *z)
{
    ul_kept_parts k = {.dir = fuzz_join(z, "kept")};
    memset(k.key, 'a', 64);
    return k;
}

static void make_part(fuzz *z)
{
    static double column[N] = {0, 1, -1.0 / 3, 5e-324, 0.1};
    static const char *const said[N] = {"a", "", "\"quoted\"\n", "n\xc3\xa9", "e"};
    json_t *curve = json_pack("[[i, f]]", 0, 0.25);
    part p = {.x = 0.1, .layers = 7, .ran = true, .column = column, .said = said, .curve = curve};
    ul_kept_parts k = kept_in(z);
    char **name;
    int64_t n;
    UL_OK_IN(z->ctx, ul_json_own(z->arena, curve));
    UL_OK_IN(z->ctx, ul_kept_put(&k, z->arena, "part", fold, &p));
    UL_OK_IN(z->ctx, ul_dir_list(z->ctx, z->arena, k.dir, &name, &n));
    assert_int_equal(n, 1);
    snprintf(z->path, sizeof z->path, "%s/%s", k.dir, name[0]);
}

/* Three times of four under a digest that fits, so that what the part is made of is looked at. */
static void damage_part(fuzz *z, fuzz_dice *d)
{
    char hex[65];
    ul_digest h;
    fuzz_bytes b = fuzz_mutate(d, FUZZ_JSON, &z->seed, &z->other);
    json_t *j = fuzz_draw(d, 4) ? json_loadb((const char *)b.p, b.n, 0, NULL) : NULL;
    char *text = json_dumps(json_object_get(j, "value"), JSON_COMPACT | JSON_SORT_KEYS | JSON_REAL_PRECISION(17));
    if (text) {
        ul_digest_init(&h);
        ul_digest_add(&h, text, strlen(text));
        ul_digest_hex(&h, hex);
        json_object_set_new(j, "digest", json_string(hex));
        free(text);
        text = json_dumps(j, JSON_REAL_PRECISION(17));
        fuzz_splice(&b, 0, b.n, text, strlen(text));
    }
    free(text);
    json_decref(j);
    fuzz_put(z->path, b.p, b.n);
    free(b.p);
}

/* Damaged is not found; it is told by the status, so that both are counted. */
static ul_status read_part(fuzz *z)
{
    part p = {.x = 0};
    ul_kept_parts k = kept_in(z);
    bool found;
    UL_OK_IN(z->ctx, ul_kept_get(&k, z->arena, "part", fold, &p, &found));
    if (!found) return ul_fail(z->ctx, UL_E_INPUT, "%s: not found", z->path);
    assert_true(p.layers >= 0 && p.layers <= 64 && !isinf(p.x));
    for (int i = 0; i < N; i++) {
        assert_true(!p.column || isfinite(p.column[i]));
        assert_true(!p.said || !p.said[i] || ul_utf8_invalid(p.said[i], strlen(p.said[i])) < 0);
    }
    return UL_OK;
}

/* Found by mutation: a text of one token, whose message named no file. */
static const fuzz_found texts_found[] = {
    {"[\"anna lives in rome .\",\n \"\"]", "forget.json:2: "}, {0}};

static const fuzz_case parsers[] = {
    {.name = "log", .file = "out/TOFU_EVAL.json", .kind = FUZZ_JSON, .make = make_log, .read = read_log, .refused = 20,
     .taken = 10},
    {.name = "log, beside another", .file = "out/TOFU_EVAL.json", .kind = FUZZ_JSON, .make = make_log,
     .read = read_beside, .refused = 20, .taken = 10},
    {.name = "log of a benchmark", .file = "out/CHOICES_EVAL.json", .kind = FUZZ_JSON, .make = make_benchmark_log,
     .read = read_log, .refused = 20, .taken = 5},
    {.name = "columns", .file = "out/columns.sqlite", .kind = FUZZ_BYTES, .make = make_columns, .read = read_columns,
     .damage = damage_columns, .found = columns_found, .again = run_sql,
     .refused = 20, .taken = 5},
    {.name = "columns of a benchmark", .file = "out/columns.sqlite", .kind = FUZZ_BYTES,
     .make = make_benchmark_columns, .read = read_columns, .damage = damage_columns, .refused = 20, .taken = 5},
    {.name = "MUSE, questions", .file = "knowmem/forget_qa.json", .kind = FUZZ_JSON, .make = make_benchmark,
     .read = read_muse, .refused = 20, .taken = 5,
     .text = "[{\"question\": \"where does bert live ?\", \"answer\": \"in oslo\"},"
             " {\"question\": \"who ?\", \"answer\": \"I don't know .\"}]"},
    {.name = "MUSE, texts", .file = "privleak/forget.json", .kind = FUZZ_JSON, .make = make_benchmark,
     .read = read_muse, .refused = 20, .taken = 5, .found = texts_found,
     .text = "[\"anna lives in rome .\", \"bert lives in oslo .\"]"},
    {.name = "MUSE, the retrained model's log", .file = "control.json", .kind = FUZZ_JSON, .make = make_benchmark,
     .read = read_control, .refused = 20, .taken = 5, .text = "{\"mia_min_k\": {\"agg_value\": 0.75, \"n\": 2}}"},
    {.name = "RWKU", .file = "forget_level3.json", .kind = FUZZ_JSON, .make = make_benchmark, .read = read_rwku,
     .refused = 20, .taken = 5,
     .text = "[{\"query\": \"where does anna live ?\", \"answer\": \"rome\", \"type\": \"prefix injection\"},"
             " {\"query\": \"who ?\", \"answer\": \"NOANSWER\", \"type\": \"affirmative suffix\"}]"},
    {.name = "multiple choice", .file = "q_test.jsonl", .kind = FUZZ_LINES, .make = make_benchmark,
     .read = read_choices, .refused = 20, .taken = 5,
     .text = "{\"question\": \"where does anna live ?\", \"choices\": [\"rome\", \"oslo\"], \"answer\": 0}\n"
             "{\"question\": \"who ?\", \"choices\": \"['anna', 'bert']\", \"answer\": \"bert\"}\n"},
    {.name = "part of an audit", .file = "part.json", .kind = FUZZ_JSON, .make = make_part, .read = read_part,
     .damage = damage_part, .refused = 20, .taken = 10},
};
FUZZ_MAIN(parsers)
