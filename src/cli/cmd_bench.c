/* cmd_bench.c - `unlearn bench [CASE...]`: speed and memory on this machine, beside cblas_sgemm in the same run. */
#include "cli/bench.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const ul_param params[] = {
    {"cases", UL_TEXT, 0, 0, 0, NULL, "cases to run, joined with commas (or as words); without any: all", ""},
    {"seconds", UL_REAL, 3, 0.01, 3600, NULL, "rounds go on for so long, a case", NULL},
    {"repeat", UL_INT, 3, 1, UL_BENCH_ROUNDS, "rounds", "rounds at least", NULL},
    {"threads", UL_INT, 0, 0, 1024, NULL, "threads of ours and of cblas_sgemm; 0: OMP_NUM_THREADS, or all cores", NULL},
    {"precision", UL_TEXT, 0, 0, 0, "f32|bf16", "of our products; the yardstick stays sgemm in f32", "f32"},
    {"isa", UL_TEXT, 0, 0, 0, NULL, "portable, avx2, avx512 or amx; default: the best there is, or UL_ISA", ""},
    {"lengths", UL_TEXT, 0, 0, 0, NULL, "npo-tofu: two files of \"prompt answer\" token counts, forget,retain", ""},
    {"model", UL_TEXT, 0, 0, 0, NULL, "eval-tofu: a model directory", ""},
    {"tofu", UL_TEXT, 0, 0, 0, NULL, "eval-tofu: the directory with TOFU's files", ""},
    {0}};

static const ul_bench_case cases[] = {
    {"product", "the exact product and cblas_sgemm on the shapes of the three models", ul_bench_run_product},
    {"train-656k", "train step, TinyStories-656K, 16 x 256 tokens", ul_bench_run_train_656k},
    {"train-15m", "train step, 15M (dim 288, 6 layers, vocabulary 32000), 8 x 256 tokens", ul_bench_run_train_15m},
    {"train-124m", "train step, GPT-2 124M, 4 x 256 tokens", ul_bench_run_train_124m},
    {"npo-tofu", "NPO step, 15M, 8 + 8 documents of TOFU's lengths, reference cached", ul_bench_run_npo},
    {"rmu-124m", "RMU step at block 7 of 12, GPT-2 124M, 4 + 4 x 128 tokens, prefixes cached", ul_bench_run_rmu},
    {"methods", "npo, dpo, undial, ga_kl beside graddiff, 15M, 8 + 8 documents; repselect beside ga, 656K",
     ul_bench_run_methods},
    {"methods-memory", "memory of every method with a loss beside graddiff's, 15M, 13 + 13 documents",
     ul_bench_run_memory},
    {"generate-124m", "greedy decoding, GPT-2 124M, batch 1, 8, 64", ul_bench_run_generate},
    {"eval-tofu", "`unlearn eval --model DIR --tofu DIR`", ul_bench_run_eval},
    {"startup", "`unlearn --version`", ul_bench_run_startup}};
enum { N_CASE = sizeof cases / sizeof *cases };

/* ---- numbers ---------------------------------------------------------------------------------------------- */
static int rising(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

json_t *ul_bench_spread(const double *x, int n)
{
    double s[UL_BENCH_ROUNDS];
    memcpy(s, x, (size_t)n * sizeof *s);
    qsort(s, (size_t)n, sizeof *s, rising);
    return json_pack("{s:f, s:f, s:f}", "min", s[0], "median", ul_bench_median(x, n), "max", s[n - 1]);
}

double ul_bench_median(const double *x, int n)
{
    double s[UL_BENCH_ROUNDS];
    memcpy(s, x, (size_t)n * sizeof *s);
    qsort(s, (size_t)n, sizeof *s, rising);
    return n % 2 ? s[n / 2] : (s[n / 2 - 1] + s[n / 2]) / 2;
}

int64_t ul_bench_clock(const ul_bench *b)
{
    struct timespec t;
    if (b->be->threads > 1 || clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t)) return ul_now_ns();
    return t.tv_sec * 1000000000 + t.tv_nsec;
}

double ul_bench_since(const ul_bench *b, int64_t ns)
{
    return (double)(ul_bench_clock(b) - ns) * 1e-9;
}

bool ul_bench_more(const ul_bench *b, int rounds, int64_t start_ns)
{
    if (rounds == UL_BENCH_ROUNDS || (rounds && ul_interrupted(b->ctx))) return false;
    return rounds < b->repeat || (double)(ul_now_ns() - start_ns) * 1e-9 < b->seconds;
}

/* ---- /proc ------------------------------------------------------------------------------------------------ */
/* The rest of the first line of `path` that begins with `key`, behind its colon. */
static bool proc_line(const char *path, const char *key, char *out, size_t n)
{
    char line[256];
    FILE *f = fopen(path, "r");
    bool found = false;
    while (f && !found && fgets(line, sizeof line, f)) {
        if (strncmp(line, key, strlen(key))) continue;
        const char *p = strchr(line, ':');
        p = p ? p + 1 + strspn(p + 1, " \t") : line;
        snprintf(out, n, "%.*s", (int)strcspn(p, "\n"), p);
        found = true;
    }
    if (f) fclose(f);
    return found;
}

/* ---- output ----------------------------------------------------------------------------------------------- */
static double number(const json_t *line, const char *key, const char *of)
{
    const json_t *j = json_object_get(line, key);
    if (j && of) j = json_object_get(j, of);
    return j && json_is_number(j) ? json_number_value(j) : (double)NAN;
}

static void cell(double x, int width, int digits, double unit)
{
    if (isnan(x))
        printf(" %*s", width, "-");
    else
        printf(" %*.*f", width, digits, x / unit);
}

static void print_head(void)
{
    printf("%-22s %10s %19s %8s %8s %8s %13s %8s %8s\n", "case", "tokens/s", "least .. most", "GFLOP/s", "sgemm",
           "fraction", "least .. most", "plan MB", "peak MB");
}

static void print_row(const json_t *line)
{
    char range[48];
    printf("%-22s", json_string_value(json_object_get(line, "case")));
    const char *why = json_string_value(json_object_get(line, "skipped"));
    if (why) {
        printf(" skipped: %s\n", why);
        return;
    }
    const double speed = number(line, "tokens_per_s", "median"), share = number(line, "fraction", "median");
    cell(speed, 10, speed < 100 ? 2 : 0, 1);
    if (isnan(speed))
        snprintf(range, sizeof range, "-");
    else
        snprintf(range, sizeof range, "%.4g .. %.4g", number(line, "tokens_per_s", "min"),
                 number(line, "tokens_per_s", "max"));
    printf(" %19s", range);
    cell(number(line, "gflops", "median"), 8, 1, 1);
    cell(number(line, "sgemm_gflops", "median"), 8, 1, 1);
    cell(share, 8, 3, 1);
    if (isnan(share))
        snprintf(range, sizeof range, "-");
    else
        snprintf(range, sizeof range, "%.3f .. %.3f", number(line, "fraction", "min"), number(line, "fraction", "max"));
    printf(" %13s", range);
    cell(number(line, "planned_bytes", NULL), 8, 1, 1e6);
    cell(number(line, "peak_bytes", NULL), 8, 1, 1e6);
    const char *note = json_string_value(json_object_get(line, "note"));
    printf("%s%s\n", note ? "  " : "", note ? note : "");
}

static ul_status print_json_line(ul_bench *b, const json_t *line)
{
    if (json_dumpf(line, stdout, JSON_COMPACT | JSON_REAL_PRECISION(6)) || putchar('\n') == EOF || fflush(stdout))
        return ul_fail(b->ctx, UL_E_RESOURCE, "the result could not be written to standard output");
    return UL_OK;
}

ul_status ul_bench_emit(ul_bench *b, const char *name, json_t *line)
{
    ul_status s = UL_OK;
    if (!line || json_object_set_new(line, "case", json_string(name)))
        s = ul_fail(b->ctx, UL_E_RESOURCE, "no memory for the results of %s", name);
    else if (b->cli->json)
        s = print_json_line(b, line);
    else {
        ul_screen_clear();
        print_row(line);
        fflush(stdout);
    }
    json_decref(line);
    return s;
}

ul_status ul_bench_skip(ul_bench *b, const char *name, const char *why)
{
    return ul_bench_emit(b, name, json_pack("{s:s}", "skipped", why));
}

/* What the numbers were taken on. */
static ul_status machine(ul_bench *b)
{
    char cpu[128] = "unknown", load[64] = "unknown", now[21];
    proc_line("/proc/cpuinfo", "model name", cpu, sizeof cpu);
    proc_line("/proc/loadavg", "", load, sizeof load);
    ul_utc_text(now);
    const char *precision = ul_cli_text(b->cli, "precision"), *core = b->blas ? ul_blas_core(b->blas) : "absent";
    if (!b->cli->json) {
        printf("unlearn %s (%s), %s\n%s; %s, %s, %d thread%s; OpenBLAS %s; load %s\n\n", UL_VERSION, ul_build_id, now,
               cpu, b->be->k->name, precision, b->be->threads, b->be->threads == 1 ? "" : "s", core, load);
        if (!b->blas) puts("libopenblas.so.0 was not found: fractions of sgemm are left out (Debian: libopenblas0)\n");
        print_head();
        return UL_OK;
    }
    json_t *line = json_pack("{s:s, s:s, s:s, s:s, s:i, s:s, s:s, s:s, s:s}", "program", "unlearn " UL_VERSION, "build",
                             ul_build_id, "cpu", cpu, "isa", b->be->k->name, "threads", b->be->threads, "precision",
                             precision, "openblas", core, "load", load, "time", now);
    const ul_status s = line ? print_json_line(b, line) : ul_fail(b->ctx, UL_E_RESOURCE, "no memory for the results");
    json_decref(line);
    return s;
}

/* ---- which cases ------------------------------------------------------------------------------------------ */
static ul_status choose(ul_bench *b, const char *name, size_t n, bool *chosen)
{
    const char *names[N_CASE + 1] = {0};
    for (int i = 0; i < N_CASE; i++) {
        names[i] = cases[i].name;
        if (strlen(names[i]) == n && !memcmp(names[i], name, n)) {
            chosen[i] = true;
            return UL_OK;
        }
    }
    const char *word = ul_strndup(b->cli->arena, name, n);
    UL_NEED(word);
    const char *near = ul_nearest(word, names);
    return ul_fail(b->ctx, UL_E_USAGE, "there is no case \"%s\"%s%s%s (`unlearn bench --help` lists them)", word,
                   near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
}

static ul_status choose_all(ul_bench *b, bool *chosen)
{
    bool any = b->cli->n_word > 0;
    for (int i = 0; i < b->cli->n_word; i++) UL_TRY(choose(b, b->cli->word[i], strlen(b->cli->word[i]), chosen));
    for (const char *p = ul_cli_text(b->cli, "cases"); p && *p;) {
        const size_t n = strcspn(p, ",");
        any = true;
        UL_TRY(choose(b, p, n, chosen));
        p += n + (p[n] == ',');
    }
    for (int i = 0; i < N_CASE && !any; i++) chosen[i] = true;
    return UL_OK;
}

static ul_status run(ul_cli *cli)
{
    ul_bench b = {
        .cli = cli, .ctx = cli->ctx, .seconds = ul_cli_num(cli, "seconds"), .repeat = (int)ul_cli_int(cli, "repeat")};
    bool chosen[N_CASE] = {0};
    const char *isa = ul_cli_text(cli, "isa") ? ul_cli_text(cli, "isa") : ul_env("UL_ISA");
    const ul_precision p = strcmp(ul_cli_text(cli, "precision"), "bf16") ? UL_PRECISION_F32 : UL_PRECISION_BF16;
    UL_TRY(choose_all(&b, chosen));
    UL_TRY(ul_backend_open(cli->ctx, cli->arena, isa && *isa ? isa : NULL, p, (int)ul_cli_int(cli, "threads"), &b.be));
    UL_TRY(ul_blas_open(&b));
    UL_TRY(machine(&b));
    for (int i = 0; i < N_CASE; i++) {
        if (!chosen[i]) continue;
        if (ul_interrupted(cli->ctx)) return ul_fail(cli->ctx, UL_E_CRITERION, "interrupted before %s", cases[i].name);
        UL_TRY(ul_arena_new(cli->ctx, cases[i].name, &b.arena));
        ul_peak_reset();
        const ul_status s = cases[i].run(&b, cases[i].name);
        ul_arena_free(b.arena);
        UL_TRY(s);
    }
    return UL_OK;
}

const ul_cmd ul_cmd_bench = {.id = "bench",
                             .summary = "speed and memory on this machine, beside cblas_sgemm",
                             .usage = "[CASE...]",
                             .about = "Times the work that runs are made of, on fresh models made in memory: product, "
                                      "train-656k, train-15m, train-124m, npo-tofu "
                                      "(needs --lengths), rmu-124m, methods, methods-memory, "
                                      "generate-124m, eval-tofu (needs --model and --tofu), "
                                      "startup. In every round cblas_sgemm computes the "
                                      "same products at the same sizes right after us; `fraction` is our speed over "
                                      "its, a number that a busy machine moves "
                                      "little (generate-124m: bytes of weights read a second over the measured speed "
                                      "of reading memory). GFLOP/s counts what a "
                                      "step needs: 2 x weights x tokens forward, twice that backward, the head at "
                                      "scored rows only, causal attention. "
                                      "With one thread seconds are processor time, else wall clock. With --json the "
                                      "first line describes the machine, then each result is a "
                                      "line.",
                             .example = "unlearn bench train-656k product --seconds 1",
                             .params = params,
                             .max_words = N_CASE,
                             .run = run};
