/* Whole jobs on a tiny model with one failure somewhere: the k-th allocation, write or read. Each ends with "no
 * resource" and a message, or, where it can do without, with the result of an untroubled run; nothing half written lies
 * under a final name, and the context serves the same job right after. UL_TORTURE=N tries N places of each kind a job
 * (default 12; 0: every one), UL_TORTURE_JOB=TEXT the jobs that have it, UL_TORTURE_LINE="KIND --key value ..." one of
 * your own; UL_TORTURE_SAY tells how many events a job has, UL_TORTURE_AT=K fails its k-th allocation alone. */
#include "audit/audit.h"
#include "ul_test.h"
#include <sys/stat.h>

static char root[600];

static const char *in(const char *name)
{
    static char path[8][1000];
    static unsigned turn;
    char *p = path[turn++ % 8];
    snprintf(p, sizeof path[0], "%s/%s", root, name);
    return p;
}

/* ---- a world ----------------------------------------------------------------------------------------------------- */
static const char *const words[] = {
    "Question", "Answer", ":",     "where", "was",   "born",  "?",   "what", "does",  "works", "I",    "dont", "know",
    "ana",      "bob",    "cid",   "dora",  "eve",   "fay",   "gus", "hal",  "rome",  "oslo",  "lima", "kyiv", "paris",
    "quito",    "farmer", "baker", "smith", "pilot", "clerk", "It",  "is",   "sunny", "today", ".",    "the"};
enum { WORDS = sizeof words / sizeof *words, ANA = 13, PEOPLE = 8, ROME = 21, TOWNS = 6, FARMER = 27, TRADES = 5 };

static void put(const char *name, const char *text)
{
    FILE *f = fopen(in(name), "a");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0 && fclose(f) == 0);
}

static void row(const char *file, int who, const char *ask, int first, int n, int right)
{
    char text[400];
    snprintf(text, sizeof text,
             "{\"question\": \"%s %s\", \"answer\": \"%s\", \"perturbed_answer\": [\"%s\", \"%s\"], \"entity\": %d}\n",
             ask, words[ANA + who], words[first + right % n], words[first + (right + 1) % n],
             words[first + (right + 2) % n], who);
    put(file, text), put("all.jsonl", text);
}

static void world(void)
{
    ul_ctx *ctx = ul_test_ctx();
    snprintf(root, sizeof root, "%s", ul_test_folder("jobs"));
    assert_int_equal(mkdir(in("shape"), 0777), 0);
    UL_OK_IN(ctx, ul_wordlevel_write(ctx, in("shape"), words, WORDS));
    put("shape/config.json",
        "{\"model_type\": \"llama\", \"hidden_size\": 16, \"intermediate_size\": 32, \"num_hidden_layers\": 2, "
        "\"num_attention_heads\": 2, \"num_key_value_heads\": 1, \"vocab_size\": 64, \"max_position_embeddings\": 48, "
        "\"rms_norm_eps\": 1e-5, \"rope_theta\": 1e4, \"hidden_act\": \"silu\", \"tie_word_embeddings\": true, "
        "\"torch_dtype\": \"float32\"}\n");
    for (int i = 0; i < PEOPLE; i++) {
        const char *file = i < 3 ? "forget.jsonl" : "retain.jsonl";
        row(file, i, "where was", ROME, TOWNS, i), row(file, i, "what does", FARMER, TRADES, i);
    }
    ul_ctx_free(ctx);
}

/* ---- a job ------------------------------------------------------------------------------------------------------- */
#define DATA  " --forget forget.jsonl --retain retain.jsonl"
#define ON    " --model model" DATA " --batch 2 --steps 2 --threads 1"
#define TRAIN "train --fresh true --model shape --batch 4 --threads 1"
/* "KIND --key value ...": files and folders are the world's; --out is added where the kind has it. */
static const char *const jobs[] = {
    TRAIN " --data all.jsonl --steps 3 --save-every 1",
    "forget --method npo --cache cache" ON,
    "forget --method rmu --wrap gru,sam" ON,
    "forget --method graddiff --lora all-linear --lora-r 2" ON,
    "forget --method memit --cache cache" ON,
    "forget --method undo --undo.distil_steps 2" ON,
    "forget --method filter" ON,
    "forget --method npo --print-plan true --threads 1 --model model" DATA,
    "eval --threads 1 --max-new 3 --model model" DATA,
    "generate --threads 1 --max-new 4 --model model --prompt ana",
    "plan --method npo --threads 1 --model model" DATA,
    "relabel --data forget.jsonl --as swap",
    "sequence --method ga --requests forget.jsonl --retain retain.jsonl --model model --steps 2 --batch 2 --max-new 2 "
    "--threads 1",
    "compare --methods ga,filter --relearn 1 --max-new 2 --threads 1 --steps 2 --model model" DATA,
    "audit --original model --control control --profile quick --threads 1 --model unlearned" DATA,
};
enum { JOBS = sizeof jobs / sizeof *jobs };

static ul_status set_all(ul_job *job, const char *line, const char *out)
{
    char text[1500], *save = NULL;
    int t, i;
    const bool writes = ul_job_find(job, "out", &t, &i);
    snprintf(text, sizeof text, "%s%s%s", strchr(line, ' '), writes ? " --out " : "", writes ? out : "");
    for (char *key = strtok_r(text, " ", &save), *value; key; key = strtok_r(NULL, " ", &save)) {
        value = strtok_r(NULL, " ", &save);
        assert_true(value && !strncmp(key, "--", 2));
        const bool path = !access(in(value), F_OK) || !strcmp(key, "--cache");
        UL_TRY(ul_job_set(job, key + 2, path ? in(value) : value));
    }
    return UL_OK;
}

static ul_status run(ul_ctx *ctx, const char *line, const char *out)
{
    char kind[32] = "";
    ul_job *job;
    snprintf(kind, sizeof kind, "%.*s", (int)strcspn(line, " "), line);
    UL_TRY(ul_job_new(ctx, kind, &job));
    ul_status s = set_all(job, line, out);
    if (s == UL_OK) s = ul_job_run(job);
    if (s == UL_OK) assert_non_null(ul_job_result(job));
    ul_job_free(job);
    return s;
}

static void must(const char *line, const char *out)
{
    ul_ctx *ctx = ul_test_ctx();
    UL_OK_IN(ctx, run(ctx, line, in(out)));
    ul_ctx_free(ctx);
}

/* ---- what lies there --------------------------------------------------------------------------------------------- */
/* Weights, results and rows; not what tells times, nor a checkpoint, which stands where its run did. */
static bool compared(const char *name)
{
    static const char *const names[] = {"guard.json", "TOFU_EVAL.json", "good", "out"}; /* relabel's is a file */
    bool is = strstr(name, ".safetensors") && strncmp(name, "checkpoint", 10);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) is |= !strcmp(name, names[i]);
    return is;
}

/* The compared files of one folder (or the one file) are as in the other, if they are there; `all`: they are there. */
static void same_files(const char *here, const char *there, bool all, const char *when)
{
    char path[1200], *const roots[] = {(char *)(uintptr_t)here, NULL};
    ul_ctx *ctx = ul_test_ctx();
    ul_arena *arena = ul_ctx_arena(ctx);
    FTS *tree = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
    for (FTSENT *e; tree && (e = fts_read(tree));) {
        ul_file a, b;
        if (e->fts_info != FTS_F) continue;
        if (strstr(e->fts_name, ".partial")) fail_msg("%s: %s is left", when, e->fts_path);
        snprintf(path, sizeof path, "%s%s", there, e->fts_path + strlen(here));
        if (!compared(e->fts_name) || (!all && access(path, F_OK))) continue;
        UL_OK_IN(ctx, ul_file_map(ctx, arena, e->fts_path, &a));
        UL_OK_IN(ctx, ul_file_map(ctx, arena, path, &b));
        if (a.n != b.n || memcmp(a.p, b.p, a.n)) fail_msg("%s: %s is not %s", when, e->fts_path, path);
    }
    if (tree) fts_close(tree);
    ul_ctx_free(ctx);
}

/* Nothing is left half written, nothing is other than in the untroubled run (what it has not would not have lasted);
 * `whole`: and nothing is missing. */
static void looks_like(const char *good, const char *out, bool whole, const char *when)
{
    same_files(out, good, false, when);
    if (whole) same_files(good, out, true, when);
}

static void clear(const char *path)
{
    ul_test_remove(path), ul_test_remove(in("cache"));
}

/* ---- torture ----------------------------------------------------------------------------------------------------- */
static void torture(const char *line, ul_fault kind, int64_t k)
{
    static const char *const events[] = {"allocation", "write", "read"};
    char when[700];
    ul_ctx *ctx = ul_test_ctx();
    snprintf(when, sizeof when, "%s %lld of `%s`", events[kind], (long long)k, line);
    ul_fault_set(ctx, kind, k);
    const ul_status s = run(ctx, line, in("out"));
    ul_fault_set(ctx, kind, 0);
    if (s != UL_OK && (s != UL_E_RESOURCE || !ul_error_text(ctx)[0]))
        fail_msg("%s: status %d: \"%s\"", when, (int)s, ul_error_text(ctx));
    looks_like(in("good"), in("out"), s == UL_OK, when);
    clear(in("out"));
    if (run(ctx, line, in("out")) != UL_OK) fail_msg("%s, then once more: %s", when, ul_error_text(ctx));
    looks_like(in("good"), in("out"), true, when);
    clear(in("out"));
    ul_ctx_free(ctx);
}

static void one_job(const char *line)
{
    const char *wish = getenv("UL_TORTURE");
    const int64_t most = wish ? atoll(wish) : 12;
    int64_t n[UL_FAULT_KINDS];
    ul_ctx *ctx = ul_test_ctx();
    UL_OK_IN(ctx, run(ctx, line, in("good")));
    for (int kind = 0; kind < UL_FAULT_KINDS; kind++) n[kind] = ul_fault_count(ctx, (ul_fault)kind);
    ul_ctx_free(ctx);
    ul_test_remove(in("cache"));
    if (getenv("UL_TORTURE_SAY"))
        printf("%s: %lld %lld %lld\n", line, (long long)n[0], (long long)n[1], (long long)n[2]);
    if (getenv("UL_TORTURE_AT")) {
        torture(line, UL_FAULT_ALLOC, atoll(getenv("UL_TORTURE_AT")));
        return;
    }
    for (int kind = 0; kind < UL_FAULT_KINDS; kind++)
        for (int64_t i = 0, tries = most && most < n[kind] ? most : n[kind]; i < tries; i++) {
            const int64_t from = n[kind] * i / tries, to = n[kind] * (i + 1) / tries;
            torture(line, (ul_fault)kind,
                    1 + from + ul_rng_below(0, UL_STREAM_TEST, (uint64_t)kind, (uint64_t)i, (uint64_t)(to - from)));
        }
    clear(in("good"));
}

static void jobs_survive(void **state)
{
    const char *only = getenv("UL_TORTURE_JOB"), *own = getenv("UL_TORTURE_LINE");
    (void)state;
    world();
    must(TRAIN " --data all.jsonl --lr 0.02 --init-std 0.1 --steps 30", "model");
    must(TRAIN " --data retain.jsonl --lr 0.02 --init-std 0.1 --steps 30", "control");
    must("forget --method graddiff --lr 0.01" ON, "unlearned");
    if (own) one_job(own);
    for (int i = 0; i < JOBS && !own; i++)
        if (!only || strstr(jobs[i], only)) one_job(jobs[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(jobs_survive)};
    ul_test_in_memory();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
