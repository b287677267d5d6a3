/* bench_program.c - the program as a whole: its start, and an evaluation of TOFU. */
#include "cli/bench.h"
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>

/* From the call to the exit of `unlearn --version`, in seconds; below 0: it could not be started. */
static double start_once(void)
{
    char verb[] = "unlearn", flag[] = "--version", *argv[] = {verb, flag, NULL}, *envp[] = {NULL};
    posix_spawn_file_actions_t to_null;
    pid_t child;
    int status = 1;
    if (posix_spawn_file_actions_init(&to_null)) return -1;
    const int64_t start = ul_now_ns();
    const bool bad = posix_spawn_file_actions_addopen(&to_null, 1, "/dev/null", O_WRONLY, 0) ||
                     posix_spawn(&child, "/proc/self/exe", &to_null, NULL, argv, envp) ||
                     waitpid(child, &status, 0) != child || status;
    const double seconds = (double)(ul_now_ns() - start) * 1e-9;
    posix_spawn_file_actions_destroy(&to_null);
    return bad ? -1 : seconds;
}

ul_status ul_bench_run_startup(ul_bench *b, const char *name)
{
    enum { TIMES = 21 };
    double ms[TIMES];
    start_once();
    for (int i = 0; i < TIMES; i++) {
        ms[i] = 1e3 * start_once();
        if (ms[i] < 0) return ul_bench_skip(b, name, "/proc/self/exe could not be started");
    }
    const char *note = ul_format(b->arena, "%.1f ms", ul_bench_median(ms, TIMES));
    UL_NEED(note);
    return ul_bench_emit(b, name,
                         json_pack("{s:o, s:i, s:s}", "ms", ul_bench_spread(ms, TIMES), "rounds", TIMES, "note", note));
}

/* Once: it is long, and its numbers of tokens are the evaluation's own affair. */
static ul_status evaluate(ul_bench *b, const char *model, const char *tofu, double *seconds)
{
    const char *threads = ul_format(b->arena, "%d", b->be->threads);
    const char *const set[][2] = {{"model", model},
                                  {"tofu", tofu},
                                  {"threads", threads},
                                  {"isa", b->be->k->name},
                                  {"precision", ul_cli_text(b->cli, "precision")}};
    ul_job *job;
    UL_NEED(threads);
    UL_TRY(ul_job_new(b->ctx, "eval", &job));
    ul_status s = UL_OK;
    for (size_t i = 0; s == UL_OK && i < sizeof set / sizeof *set; i++) s = ul_job_set(job, set[i][0], set[i][1]);
    const int64_t start = ul_now_ns();
    if (s == UL_OK) s = ul_job_run(job);
    *seconds = (double)(ul_now_ns() - start) * 1e-9;
    ul_job_free(job);
    return s;
}

ul_status ul_bench_run_eval(ul_bench *b, const char *name)
{
    const char *model = ul_cli_text(b->cli, "model"), *tofu = ul_cli_text(b->cli, "tofu");
    double seconds;
    if (!model || !tofu) return ul_bench_skip(b, name, "it needs --model DIR and --tofu DIR");
    UL_TRY(evaluate(b, model, tofu, &seconds));
    const char *note = ul_format(b->arena, "%.1f s", seconds);
    UL_NEED(note);
    return ul_bench_emit(b, name,
                         json_pack("{s:f, s:i, s:I, s:s}", "seconds", seconds, "rounds", 1, "peak_bytes",
                                   (json_int_t)ul_peak_bytes(), "note", note));
}
