/* jsonl.c - the step log: one JSON object a line, appended, cut back to a checkpoint for resume. A line is one write,
 * and a failed write is taken back: the file is whole lines unless the machine stops inside one. */
#include "io/io_fail.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

struct ul_jsonl {
    ul_ctx *ctx;
    const char *path;
    int fd;
    ul_buf line;
};

static void jsonl_close(void *object)
{
    ul_jsonl *log = object;
    if (log->fd >= 0) close(log->fd);
    ul_buf_release(&log->line);
}

static ul_status cut_file(ul_ctx *ctx, const char *path, size_t bytes)
{
    if (ul_fault_now(ctx, UL_FAULT_WRITE)) return ul_io_fail_write(ctx, path, 0, ENOSPC);
    const int fd = open(path, O_WRONLY | O_CLOEXEC);
    int error = fd < 0 || ftruncate(fd, (off_t)bytes) != 0 || fsync(fd) != 0 ? errno : 0;
    if (fd >= 0 && close(fd) != 0 && !error) error = errno;
    return error ? ul_io_fail(ctx, path, "cannot cut the log", error) : UL_OK;
}

/* Bytes up to and with the last newline. */
static size_t whole_lines(const ul_file *f)
{
    size_t n = f->n;
    while (n > 0 && f->p[n - 1] != '\n') n--;
    return n;
}

static ul_status drop_torn(ul_ctx *ctx, const char *path)
{
    ul_arena *tmp;
    ul_file f;
    UL_TRY(ul_arena_new(ctx, "log", &tmp));
    ul_status st = ul_file_map(ctx, tmp, path, &f);
    const size_t n = st == UL_OK ? f.n : 0, keep = st == UL_OK ? whole_lines(&f) : 0;
    ul_arena_free(tmp);
    if (st == UL_OK && keep < n) st = cut_file(ctx, path, keep);
    return st;
}

ul_status ul_jsonl_open(ul_ctx *ctx, ul_arena *arena, const char *path, ul_jsonl **out)
{
    *out = NULL;
    if (ul_file_exists(path)) UL_TRY(drop_torn(ctx, path));
    ul_jsonl *log = UL_NEW(arena, ul_jsonl, 1);
    UL_NEED(log);
    log->ctx = ctx;
    log->path = ul_strdup(arena, path);
    UL_NEED(log->path);
    ul_buf_init(&log->line, ctx, (size_t)1 << 30);
    log->fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
    if (log->fd < 0) return ul_io_fail_write(ctx, path, 0, errno);
    UL_TRY(ul_arena_defer(arena, jsonl_close, log));
    *out = log;
    return UL_OK;
}

ul_status ul_jsonl_add(ul_jsonl *log, const json_t *object)
{
    ul_buf *b = &log->line;
    ul_buf_reset(b);
    const int bad = json_dump_callback(object, ul_io_dump, b, JSON_COMPACT | JSON_REAL_PRECISION(17));
    UL_TRY(ul_buf_add(b, "\n", 1));
    if (bad) return ul_fail(log->ctx, UL_E_INTERNAL, "%s: jansson could not write the line", log->path);
    const off_t start = lseek(log->fd, 0, SEEK_END);
    for (size_t at = 0; at < b->n;) {
        ssize_t r = -1;
        if (ul_fault_now(log->ctx, UL_FAULT_WRITE))
            errno = ENOSPC;
        else
            r = write(log->fd, b->p + at, b->n - at);
        if (r < 0 && errno == EINTR) continue;
        if (r < 0) {
            const int error = errno;
            const bool torn = at > 0 && (start < 0 || ftruncate(log->fd, start) != 0);
            UL_TRY(ul_io_fail_write(log->ctx, log->path, b->n - at, torn ? EIO : error));
        }
        at += (size_t)r;
    }
    return UL_OK;
}

/* ---- cutting back ----------------------------------------------------------------------------------------------- */
static size_t line_end(const ul_file *f, size_t at)
{
    const unsigned char *nl = memchr(f->p + at, '\n', f->n - at);
    return nl ? (size_t)(nl - f->p) + 1 : f->n;
}

static ul_status keep_lines(ul_ctx *ctx, const char *path, const ul_file *f, int64_t n, size_t *keep)
{
    const size_t whole = whole_lines(f);
    int64_t have = 0;
    for (*keep = 0; have < n && *keep < whole; have++) *keep = line_end(f, *keep);
    if (have == n) return UL_OK;
    return ul_fail(ctx, UL_E_INPUT,
                   "%s: has %" PRId64 " whole lines, %" PRId64 " are to be kept: it is not the log of "
                   "this run",
                   path, have, n);
}

static ul_status keep_steps(ul_ctx *ctx, ul_arena *tmp, const char *path, const ul_file *f, int64_t k, size_t *keep)
{
    const size_t whole = whole_lines(f);
    bool before_steps = true;
    int64_t line = 1;
    *keep = 0;
    for (size_t at = 0, end; at < whole; at = end, line++) {
        end = line_end(f, at);
        const ul_mark m = ul_arena_mark(tmp);
        char *where = ul_format(tmp, "%s: line %" PRId64, path, line);
        UL_NEED(where);
        json_t *row;
        int64_t step = -1;
        UL_TRY(ul_json_parse(ctx, tmp, where, f->p + at, end - at, 0, &row));
        UL_TRY(ul_json_int(ctx, row, where, "step", UL_OPTIONAL, 0, INT64_MAX, &step));
        ul_arena_rewind(tmp, m);
        before_steps = before_steps && step < 0;
        if (before_steps || (step >= 0 && step <= k)) *keep = end;
    }
    return UL_OK;
}

static ul_status cut(ul_ctx *ctx, const char *path, int64_t n, bool by_step)
{
    ul_arena *tmp;
    ul_file f;
    size_t keep = 0;
    if (!ul_file_exists(path)) return UL_OK;
    UL_TRY(ul_arena_new(ctx, "log", &tmp));
    ul_status st = ul_file_map(ctx, tmp, path, &f);
    if (st == UL_OK) st = by_step ? keep_steps(ctx, tmp, path, &f, n, &keep) : keep_lines(ctx, path, &f, n, &keep);
    const bool shorter = st == UL_OK && keep < f.n;
    ul_arena_free(tmp);
    return shorter ? cut_file(ctx, path, keep) : st;
}

ul_status ul_jsonl_cut_lines(ul_ctx *ctx, const char *path, int64_t n)
{
    return cut(ctx, path, n, false);
}

ul_status ul_jsonl_cut_step(ul_ctx *ctx, const char *path, int64_t k)
{
    return cut(ctx, path, k, true);
}
