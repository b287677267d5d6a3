/* ul_test.h - what every test needs: cmocka with its headers, a context, and the folder of shared data.
 * A test that needs shared data and does not find it says so and exits with 77, which CTest reports as skipped. */
#ifndef UL_TEST_H
#define UL_TEST_H
#include <fts.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/base.h"

/* The path of a file or folder of the shared data ("data/datasets/tofu/forget10.json"). It stays valid for the life of
 * the program (up to 64 paths, then the oldest is reused). */
static inline const char *ul_test_shared(const char *relative)
{
    static char path[64][4096];
    static unsigned turn;
    const char *root = getenv("UL_SHARED");
    char *p = path[turn++ % 64];
    if (!root || !root[0]) {
        printf("skipped: UL_SHARED is not set; the test needs %s\n", relative);
        exit(77);
    }
    snprintf(p, sizeof path[0], "%s/%s", root, relative);
    if (access(p, R_OK) != 0) {
        printf("skipped: %s is not there\n", p);
        exit(77);
    }
    return p;
}

static char ul_test_root[400]; /* holds all folders of this program, and goes with it; a crash leaves it to be read */
static pid_t ul_test_owner;

/* A file, or a folder with all that is in it, if it is there. */
static inline void ul_test_remove(const char *what)
{
    char *const path[] = {(char *)(uintptr_t)what, NULL};
    FTS *tree = fts_open(path, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
    for (FTSENT *e; tree && (e = fts_read(tree));)
        if (e->fts_info != FTS_D) (void)remove(e->fts_path); /* a folder after what is in it */
    if (tree) fts_close(tree);
}

static inline void ul_test_clear(void)
{
    if (getpid() == ul_test_owner) ul_test_remove(ul_test_root);
}

/* For tests that write thousands of files: into memory where it can be, since fsync costs nothing there. */
static inline void ul_test_in_memory(void)
{
    if (!access("/dev/shm", W_OK)) setenv("TMPDIR", "/dev/shm", 0);
}

/* A fresh folder of the test's own below $TMPDIR. */
static inline const char *ul_test_folder(const char *name)
{
    static char path[512];
    if (!ul_test_owner) {
        snprintf(ul_test_root, sizeof ul_test_root, "%s/ul-test-XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
        if (!mkdtemp(ul_test_root)) fail_msg("cannot make the folder %s", ul_test_root);
        ul_test_owner = getpid();
        atexit(ul_test_clear);
    }
    snprintf(path, sizeof path, "%s/%s-XXXXXX", ul_test_root, name);
    if (!mkdtemp(path)) fail_msg("cannot make the folder %s", path);
    return path;
}

static inline ul_ctx *ul_test_ctx(void)
{
    ul_ctx *ctx = NULL;
    if (ul_ctx_new(NULL, &ctx) != UL_OK) fail_msg("no context");
    return ctx;
}

/* The call succeeds; otherwise the context's message is what the reader needs. */
#define UL_OK_IN(ctx, call)                                                                                            \
    do {                                                                                                               \
        const ul_status ul_got_ = (call);                                                                              \
        if (ul_got_ != UL_OK) fail_msg("%s: status %d: %s", #call, (int)ul_got_, ul_error_text(ctx));                  \
    } while (0)
/* The call fails with this status, and the message has this in it. */
#define UL_FAILS_IN(ctx, want, part, call)                                                                             \
    do {                                                                                                               \
        const ul_status ul_got_ = (call);                                                                              \
        const char *const ul_text_ = ul_error_text(ctx);                                                               \
        if (ul_got_ != (want))                                                                                         \
            fail_msg("%s: status %d instead of %d: %s", #call, (int)ul_got_, (int)(want), ul_text_);                   \
        if (!strstr(ul_text_, (part))) fail_msg("%s: \"%s\" is not in \"%s\"", #call, (part), ul_text_);               \
    } while (0)
#endif
