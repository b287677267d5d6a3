/* file.c - files and folders: read-only maps, bounded reads, lists, paths (POSIX.1-2008). */
#include "io/io_fail.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

ul_status ul_io_fail(ul_ctx *ctx, const char *path, const char *doing, int error)
{
    char reason[128];
    if (strerror_r(error, reason, sizeof reason) != 0) reason[0] = 0;
    const bool machine = error == EIO || error == ENOMEM || error == EMFILE || error == ENFILE || error == ENOSPC ||
                         error == EDQUOT || error == EFBIG || error == EROFS;
    return ul_fail(ctx, machine ? UL_E_RESOURCE : UL_E_INPUT, "%s: %s: %s", path, doing, reason);
}

uint64_t ul_io_free_bytes(const char *folder)
{
    struct statvfs v;
    if (statvfs(folder, &v) != 0) return UINT64_MAX;
    return (uint64_t)v.f_bavail * (uint64_t)v.f_frsize;
}

char *ul_io_folder(ul_arena *arena, const char *path)
{
    const char *slash = strrchr(path, '/');
    if (!slash) return ul_strdup(arena, ".");
    return ul_strndup(arena, path, slash == path ? 1 : (size_t)(slash - path));
}

char *ul_path_join(ul_arena *arena, const char *dir, const char *name)
{
    const size_t n = strlen(dir);
    if (n == 0) return ul_strdup(arena, name);
    return ul_format(arena, dir[n - 1] == '/' ? "%s%s" : "%s/%s", dir, name);
}

const char *ul_path_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

bool ul_file_exists(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

bool ul_dir_exists(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

bool ul_path_same(const char *a, const char *b)
{
    struct stat x, y;
    return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

ul_status ul_dir_need_space(ul_ctx *ctx, const char *path, uint64_t bytes)
{
    const uint64_t left = ul_io_free_bytes(path);
    if (left >= bytes) return UL_OK;
    return ul_fail(ctx, UL_E_RESOURCE, "%s: no space left: %" PRIu64 " bytes will be wanted, %" PRIu64 " are free; "
                   "make room or choose another folder", path, bytes, left);
}

ul_status ul_path_remove(ul_ctx *ctx, const char *path)
{
    if (remove(path) == 0 || errno == ENOENT) return UL_OK;
    return ul_io_fail(ctx, path, "cannot remove", errno);
}

void ul_dir_remove_empty(const char *path)
{
    if (rmdir(path) != 0) return; /* it holds something, or is not ours: it stays */
}

/* ---- reading ---------------------------------------------------------------------------------------------------- */
/* Opened, a regular file, its size known. */
static ul_status open_read(ul_ctx *ctx, const char *path, int *fd, size_t *n)
{
    struct stat st;
    if (ul_fault_now(ctx, UL_FAULT_READ)) return ul_io_fail(ctx, path, "cannot read", EIO);
    *fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a named pipe without a writer is refused, not waited for */
    if (*fd < 0) return ul_io_fail(ctx, path, "cannot open", errno);
    if (fstat(*fd, &st) != 0) {
        const int error = errno;
        close(*fd);
        return ul_io_fail(ctx, path, "cannot read", error);
    }
    if (!S_ISREG(st.st_mode)) {
        close(*fd);
        return ul_fail(ctx, UL_E_INPUT, "%s: %s, a file is expected", path,
                       S_ISDIR(st.st_mode) ? "is a folder" : "is a pipe or a device");
    }
    *n = (size_t)st.st_size;
    return UL_OK;
}

typedef struct {
    void *p;
    size_t n;
} mapped;

static void unmap(void *object)
{
    const mapped *m = object;
    munmap(m->p, m->n);
}

ul_status ul_file_map(ul_ctx *ctx, ul_arena *arena, const char *path, ul_file *out)
{
    int fd;
    size_t n;
    *out = (ul_file){(const unsigned char *)"", 0};
    UL_TRY(open_read(ctx, path, &fd, &n));
    if (n == 0) { /* mmap refuses a length of 0 */
        close(fd);
        return UL_OK;
    }
    mapped *m = UL_NEW(arena, mapped, 1);
    void *p = m ? mmap(NULL, n, PROT_READ, MAP_PRIVATE, fd, 0) : MAP_FAILED;
    const int error = errno;
    close(fd);
    UL_NEED(m);
    if (p == MAP_FAILED) return ul_io_fail(ctx, path, "cannot map", error);
    *m = (mapped){p, n};
    UL_TRY(ul_arena_defer(arena, unmap, m));
    *out = (ul_file){p, n};
    return UL_OK;
}

ul_status ul_file_read_text(ul_ctx *ctx, ul_arena *arena, const char *path, size_t max, char **text, size_t *n)
{
    int fd;
    size_t size, got = 0;
    UL_TRY(open_read(ctx, path, &fd, &size));
    if (size > max) {
        close(fd);
        return ul_fail(ctx, UL_E_INPUT, "%s: has %zu bytes, at most %zu are expected (is it the right file?)", path,
                       size, max);
    }
    char *p = size < SIZE_MAX ? ul_alloc_raw(arena, size + 1, 1) : NULL;
    int error = 0;
    while (p && got < size) {
        const ssize_t r = read(fd, p + got, size - got);
        if (r < 0 && errno == EINTR) continue;
        if (r < 0) error = errno;
        if (r <= 0) break;
        got += (size_t)r;
    }
    close(fd);
    UL_NEED(p);
    if (error) return ul_io_fail(ctx, path, "cannot read", error);
    if (got < size)
        return ul_fail(ctx, UL_E_INPUT, "%s: had %zu bytes, %zu could be read: somebody is changing it", path, size,
                       got);
    p[size] = 0;
    *text = p;
    if (n) *n = size;
    return UL_OK;
}

/* ---- folders ---------------------------------------------------------------------------------------------------- */
static ul_status dir_make_one(ul_ctx *ctx, const char *path)
{
    if (ul_fault_now(ctx, UL_FAULT_WRITE)) return ul_io_fail_write(ctx, path, 0, ENOSPC);
    const int error = mkdir(path, 0777) == 0 ? 0 : errno; /* looking whether it is there sets errno anew */
    if (ul_dir_exists(path)) return UL_OK;                /* e.g. "/" on a read-only disk */
    if (!error || error == EEXIST || error == EISDIR)
        return ul_fail(ctx, UL_E_INPUT, "%s: a folder is wanted here, there is a file of this name; choose another",
                       path);
    return ul_io_fail(ctx, path, "cannot make the folder", error);
}

static ul_status dir_make(ul_ctx *ctx, ul_arena *tmp, const char *path)
{
    char *p = ul_strdup(tmp, path);
    UL_NEED(p);
    for (char *s = p + 1; p[0] && *s; s++) {
        if (*s != '/') continue;
        *s = 0;
        if (!ul_dir_exists(p)) UL_TRY(dir_make_one(ctx, p));
        *s = '/';
    }
    return ul_dir_exists(path) ? UL_OK : dir_make_one(ctx, path);
}

ul_status ul_dir_make(ul_ctx *ctx, const char *path)
{
    ul_arena *tmp;
    UL_TRY(ul_arena_new(ctx, "path", &tmp));
    const ul_status st = dir_make(ctx, tmp, path);
    ul_arena_free(tmp);
    return st;
}

static bool is_dots(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

static ul_status dir_open(ul_ctx *ctx, const char *path, DIR **out)
{
    if (ul_fault_now(ctx, UL_FAULT_READ)) return ul_io_fail(ctx, path, "cannot list the folder", EIO);
    *out = opendir(path);
    return *out ? UL_OK : ul_io_fail(ctx, path, "cannot list the folder", errno);
}

ul_status ul_dir_is_empty(ul_ctx *ctx, const char *path, bool *out)
{
    DIR *d;
    struct stat st;
    *out = true;
    if (stat(path, &st) != 0 && errno == ENOENT) return UL_OK;
    UL_TRY(dir_open(ctx, path, &d));
    for (const struct dirent *e; *out && (e = readdir(d));) *out = is_dots(e->d_name);
    closedir(d);
    return UL_OK;
}

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

ul_status ul_dir_list(ul_ctx *ctx, ul_arena *arena, const char *path, char ***names, int64_t *n)
{
    DIR *d;
    size_t count = 0, cap = 0;
    char **list = NULL;
    UL_TRY(dir_open(ctx, path, &d));
    ul_status st = UL_OK;
    for (const struct dirent *e; st == UL_OK && (e = readdir(d));) {
        if (is_dots(e->d_name)) continue;
        if (count == cap) {
            char **grown = UL_NEW(arena, char *, cap ? 2 * cap : 16);
            if (grown && count) memcpy(grown, list, count * sizeof *list);
            cap = cap ? 2 * cap : 16;
            list = grown;
        }
        if (list) list[count++] = ul_strdup(arena, e->d_name);
        if (!list || !list[count - 1]) st = UL_E_RESOURCE;
    }
    closedir(d);
    UL_TRY(st);
    if (count) qsort(list, count, sizeof *list, by_bytes);
    *names = list;
    *n = (int64_t)count;
    return UL_OK;
}

/* ---- UTF-8 (Unicode 15, table 3-7) ------------------------------------------------------------------------------ */
/* Length of the well-formed sequence at p, 0 when there is none. */
static size_t utf8_length(const unsigned char *p, size_t left)
{
    const unsigned char c = p[0];
    if (c < 0x80) return 1;
    const size_t n = c < 0xc2 ? 0 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : c < 0xf5 ? 4 : 0;
    if (n == 0 || n > left) return 0;
    const unsigned char lo = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80;
    const unsigned char hi = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;
    if (p[1] < lo || p[1] > hi) return 0;
    for (size_t i = 2; i < n; i++)
        if ((p[i] & 0xc0) != 0x80) return 0;
    return n;
}

int64_t ul_utf8_invalid(const void *bytes, size_t n)
{
    const unsigned char *p = bytes;
    size_t i = 0;
    while (i < n) {
        uint64_t word;
        if (n - i >= 8) { /* eight ASCII bytes at once: most of what we read */
            memcpy(&word, p + i, 8);
            if (!(word & UINT64_C(0x8080808080808080))) {
                i += 8;
                continue;
            }
        }
        const size_t len = utf8_length(p + i, n - i);
        if (len == 0) return (int64_t)i;
        i += len;
    }
    return -1;
}
