/* out.c - outputs that are whole or absent: a temporary in the same folder, fsync, rename, fsync of the folder
 * (POSIX rename is atomic; the folder must reach the disk too, or a power cut brings the old name back).
 *
 * The temporary has one name, ".NAME.partial", held by flock: what a killed run left behind is written over by the
 * next, and two runs writing the same output cannot mix. */
#include "io/io_fail.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BUFFER = 1 << 16, WRITE_MAX = 1 << 30 };

struct ul_out {
    ul_ctx *ctx;
    ul_arena *arena;
    const char *path, *temporary, *folder;
    int fd;
    ul_status status;
    uint64_t expected, written;
    size_t used;
    char *buffer;
};

ul_status ul_io_fail_write(ul_ctx *ctx, const char *path, uint64_t wanted, int error)
{
    if (error != ENOSPC && error != EDQUOT) return ul_io_fail(ctx, path, "cannot write", error);
    const char *slash = strrchr(path, '/');
    char folder[4096] = ".";
    const size_t n = slash ? (size_t)(slash - path) + 1 : 0;
    if (n > 0 && n < sizeof folder) {
        memcpy(folder, path, n);
        folder[n] = 0;
    }
    const uint64_t left = ul_io_free_bytes(folder);
    char text[32] = "?";
    if (left != UINT64_MAX) snprintf(text, sizeof text, "%" PRIu64, left);
    return ul_fail(ctx, UL_E_RESOURCE,
                   "%s: no space left: %" PRIu64 " bytes wanted, %s free (%s); make room or choose another folder",
                   path, wanted, text, error == ENOSPC ? "disk full" : "over your quota");
}

/* Open and lock the temporary. The other writer may have renamed it between our open and our lock; then the name is
 * gone or is another file, and we try again rather than write over a finished output. */
static ul_status open_locked(ul_out *o)
{
    for (;;) {
        struct stat mine, named;
        o->fd = open(o->temporary, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
        if (o->fd < 0) return ul_io_fail_write(o->ctx, o->path, o->expected, errno);
        if (flock(o->fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
            close(o->fd);
            o->fd = -1;
            return ul_fail(o->ctx, UL_E_RESOURCE,
                           "%s: is being written by another run; wait for it, or choose another "
                           "name",
                           o->path);
        }
        if (fstat(o->fd, &mine) == 0 && stat(o->temporary, &named) == 0 && mine.st_ino == named.st_ino) break;
        close(o->fd);
    }
    if (ftruncate(o->fd, 0) != 0) return ul_io_fail_write(o->ctx, o->path, o->expected, errno);
    return UL_OK;
}

static ul_status out_start(ul_out *o)
{
    if (ul_dir_exists(o->path))
        return ul_fail(o->ctx, UL_E_USAGE, "%s: is a folder, a file is to be written; give a file name", o->path);
    const uint64_t left = o->expected ? ul_io_free_bytes(o->folder) : UINT64_MAX;
    if (o->expected > left) return ul_io_fail_write(o->ctx, o->path, o->expected, ENOSPC);
    return open_locked(o);
}

ul_status ul_out_open(ul_ctx *ctx, const char *path, uint64_t bytes, ul_out **out)
{
    ul_arena *arena;
    *out = NULL;
    UL_TRY(ul_arena_new(ctx, "output", &arena));
    ul_out *o = UL_NEW(arena, ul_out, 1);
    if (o) {
        *o = (ul_out){.ctx = ctx, .arena = arena, .fd = -1, .expected = bytes};
        o->path = ul_strdup(arena, path);
        o->folder = ul_io_folder(arena, path);
        o->temporary = o->folder ? ul_format(arena, "%s/.%s.partial", o->folder, ul_path_name(path)) : NULL;
        o->buffer = ul_alloc_raw(arena, BUFFER, 1);
    }
    if (!o || !o->path || !o->temporary || !o->buffer) {
        ul_arena_free(arena);
        return UL_E_RESOURCE;
    }
    const ul_status st = out_start(o);
    if (st != UL_OK)
        ul_out_discard(o);
    else
        *out = o;
    return st;
}

static ul_status write_all(ul_out *o, const char *p, size_t n)
{
    while (n > 0 && o->status == UL_OK) {
        const size_t part = n < WRITE_MAX ? n : WRITE_MAX;
        ssize_t r = -1;
        if (ul_fault_now(o->ctx, UL_FAULT_WRITE))
            errno = ENOSPC;
        else
            r = write(o->fd, p, part);
        if (r < 0 && errno == EINTR) continue;
        if (r < 0) {
            const int error = errno;
            const uint64_t wanted = o->expected > o->written ? o->expected - o->written : n;
            o->status = ul_io_fail_write(o->ctx, o->path, wanted, error);
            break;
        }
        p += r;
        n -= (size_t)r;
        o->written += (uint64_t)r;
    }
    return o->status;
}

static ul_status flush(ul_out *o)
{
    const size_t n = o->used;
    o->used = 0;
    return write_all(o, o->buffer, n);
}

ul_status ul_out_write(ul_out *o, const void *bytes, size_t n)
{
    if (o->status != UL_OK || n == 0) return o->status;
    if (n > BUFFER - o->used) UL_TRY(flush(o));
    if (n >= BUFFER) return write_all(o, bytes, n);
    memcpy(o->buffer + o->used, bytes, n);
    o->used += n;
    return UL_OK;
}

ul_status ul_out_printf(ul_out *o, const char *fmt, ...)
{
    for (int attempt = 0; attempt < 2 && o->status == UL_OK; attempt++) {
        va_list args;
        va_start(args, fmt);
        const int n = vsnprintf(o->buffer + o->used, BUFFER - o->used, fmt, args);
        va_end(args);
        if (n >= 0 && (size_t)n < BUFFER - o->used) {
            o->used += (size_t)n;
            return UL_OK;
        }
        flush(o); /* an empty buffer takes up to BUFFER - 1 bytes */
    }
    if (o->status == UL_OK)
        o->status = ul_fail(o->ctx, UL_E_INTERNAL, "%s: one formatted piece of more than %d bytes", o->path, BUFFER);
    return o->status;
}

static ul_status sync_folder(ul_out *o)
{
    const int fd = open(o->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return UL_OK; /* a folder that we may write but not read: its entry is the system's affair */
    const int error = fsync(fd) != 0 && errno != EINVAL ? errno : 0;
    close(fd);
    return error ? ul_io_fail_write(o->ctx, o->path, 0, error) : UL_OK;
}

ul_status ul_out_commit(ul_out *o)
{
    ul_status st = flush(o);
    if (st == UL_OK && ul_fault_now(o->ctx, UL_FAULT_WRITE)) st = ul_io_fail_write(o->ctx, o->path, o->written, ENOSPC);
    if (st == UL_OK && fsync(o->fd) != 0) st = ul_io_fail_write(o->ctx, o->path, o->written, errno);
    /* Renamed while the lock is held: nobody else can be writing this temporary. */
    if (st == UL_OK && rename(o->temporary, o->path) != 0) st = ul_io_fail_write(o->ctx, o->path, o->written, errno);
    if (st != UL_OK) {
        ul_out_discard(o);
        return st;
    }
    const int error = close(o->fd) != 0 ? errno : 0;
    if (error) st = ul_io_fail_write(o->ctx, o->path, o->written, error);
    if (st == UL_OK) st = sync_folder(o);
    ul_arena_free(o->arena);
    return st;
}

void ul_out_discard(ul_out *o)
{
    if (!o) return;
    if (o->fd >= 0) {
        unlink(o->temporary);
        close(o->fd);
    }
    ul_arena_free(o->arena);
}

ul_status ul_file_save(ul_ctx *ctx, const char *path, const void *bytes, size_t n)
{
    ul_out *o;
    UL_TRY(ul_out_open(ctx, path, n, &o));
    ul_out_write(o, bytes, n);
    return ul_out_commit(o);
}

/* ---- side files of a model -------------------------------------------------------------------------------------- */
static bool ends_with(const char *s, const char *end)
{
    const size_t n = strlen(s), m = strlen(end);
    return n >= m && strcmp(s + n - m, end) == 0;
}

/* Configuration, tokenizer, templates, code and licence; weights and their indexes are not side files. */
static bool is_side_file(const char *name)
{
    static const char *const ends[] = {".json", ".txt", ".model", ".jinja", ".tiktoken", ".py"};
    if (name[0] == '.' || ends_with(name, ".index.json")) return false;
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        if (ends_with(name, ends[i])) return true;
    return strncmp(name, "LICENSE", 7) == 0 || strncmp(name, "NOTICE", 6) == 0;
}

static bool is_listed(const char *name, const char *const *list)
{
    for (; list && *list; list++)
        if (strcmp(name, *list) == 0) return true;
    return false;
}

/* bytes: what the copies will take, in whole blocks of 4096, is added there instead of copying. */
static ul_status carry(ul_ctx *ctx, ul_arena *tmp, const char *from, const char *to, const char *const *skip,
                       uint64_t *bytes)
{
    char **names;
    int64_t n;
    UL_TRY(ul_dir_list(ctx, tmp, from, &names, &n));
    for (int64_t i = 0; i < n; i++) {
        if (!is_side_file(names[i]) || is_listed(names[i], skip)) continue;
        const ul_mark m = ul_arena_mark(tmp);
        const char *source = ul_path_join(tmp, from, names[i]), *copy = ul_path_join(tmp, to, names[i]);
        ul_file f;
        if (!source || !copy) return UL_E_RESOURCE;
        if (ul_file_exists(source)) {
            UL_TRY(ul_file_map(ctx, tmp, source, &f));
            if (bytes) *bytes += (f.n + 4095) / 4096 * 4096;
            else UL_TRY(ul_file_save(ctx, copy, f.p, f.n));
        }
        ul_arena_rewind(tmp, m);
    }
    return UL_OK;
}

ul_status ul_dir_carry(ul_ctx *ctx, const char *from, const char *to, const char *const *skip)
{
    ul_arena *tmp;
    UL_TRY(ul_arena_new(ctx, "side files", &tmp));
    const ul_status st = carry(ctx, tmp, from, to, skip, NULL);
    ul_arena_free(tmp);
    return st;
}

ul_status ul_dir_carry_bytes(ul_ctx *ctx, const char *from, const char *const *skip, uint64_t *bytes)
{
    ul_arena *tmp;
    *bytes = 0;
    UL_TRY(ul_arena_new(ctx, "side files", &tmp));
    const ul_status st = carry(ctx, tmp, from, "", skip, bytes);
    ul_arena_free(tmp);
    return st;
}
