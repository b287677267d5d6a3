/* fuzz.h - every parser of files from outside against damaged files.
 *
 * A row of a table names a file that is sound, what else lies beside it, and the function that reads it and uses a
 * little of what it was given. Each round damages the file anew and reads it in a context of its own. It must be taken
 * or refused: with a status that the row allows, a message that names the file, in time, within memory. What once was
 * found this way is in the row's `found` and is read again first.
 *
 *   UL_FUZZ_ROUNDS  rounds of a row, instead of 250 (shared out by `cost`)
 *   UL_FUZZ_SEED    another seed than 1
 *   UL_FUZZ_FIRST   begin with this round
 *   UL_FUZZ_ONLY    rows whose names have this in them
 *   UL_FUZZ_KEEP    an existing folder for the files that broke something */
#ifndef UL_FUZZ_H
#define UL_FUZZ_H
#include "fuzz/mutate.h"
#include "io/io.h"
#include <time.h>

typedef struct fuzz fuzz;
typedef struct {
    const char *text; /* the file; of safetensors the header; "+{...}": members laid over the sound file's */
    const char *says; /* a part of the message; NULL: it is taken */
} fuzz_found;
typedef struct {
    const char *name, *file; /* the file below the folder */
    fuzz_kind kind;
    const char *text;       /* the sound file; NULL: `make` writes it */
    void (*make)(fuzz *z);  /* what else there is in z->dir; NULL: nothing */
    ul_status (*read)(fuzz *z);
    int cost;               /* rounds are divided by it */
    int refused, taken;     /* at least so many of a hundred rounds */
    unsigned also;          /* 1 << status: allowed beside UL_E_INPUT */
    size_t most;            /* bytes at once that are given; 0: FUZZ_MOST, and nothing may ask for more */
    const fuzz_found *found; /* ends with {0} */
    void (*damage)(fuzz *z, fuzz_dice *d);    /* of z->path, instead of mutate.h's */
    void (*again)(fuzz *z, const char *text); /* what `found` does to z->path, instead of being the file */
} fuzz_case;
struct fuzz {
    const fuzz_case *c;
    ul_ctx *ctx; /* of this round, as is the arena */
    ul_arena *arena;
    char dir[600], path[900];
    fuzz_bytes seed, other;
    size_t most; /* bytes that the library asked for at once */
    uint64_t round;
};
static fuzz fuzz_at; /* so that a failed assertion can tell where */

static const char *fuzz_join(fuzz *z, const char *name)
{
    char *p = ul_path_join(z->arena, z->dir, name);
    assert_non_null(p);
    return p;
}

static void fuzz_put(const char *path, const void *bytes, size_t n)
{
    unlink(path); /* some file systems flush a file that is truncated and written again */
    FILE *f = fopen(path, "w");
    if (!f || fwrite(bytes, 1, n, f) != n || fclose(f)) fail_msg("cannot write %s", path);
}

static inline void fuzz_write(fuzz *z, const char *name, const char *text)
{
    fuzz_put(fuzz_join(z, name), text, strlen(text));
}

static fuzz_bytes fuzz_get(const char *path)
{
    FILE *f = fopen(path, "r");
    if (!f || fseek(f, 0, SEEK_END)) fail_msg("no %s", path);
    const long n = ftell(f);
    fuzz_bytes b = {calloc(1, (size_t)n + 1), (size_t)n};
    assert_non_null(b.p);
    rewind(f);
    assert_int_equal(fread(b.p, 1, b.n, f), b.n);
    fclose(f);
    return b;
}

static inline void fuzz_copy_file(const char *from, const char *to)
{
    fuzz_bytes b = fuzz_get(from);
    fuzz_put(to, b.p, b.n);
    free(b.p);
}

/* ---- a context a round, that counts ------------------------------------------------------------------------------ */
/* What is taken is written again every so many rounds: the fsync of a file takes longer than all else. */
enum { FUZZ_WRITES = 8 };
enum { FUZZ_MOST = 1 << 28 }; /* no file here is worth a quarter of a gigabyte at once */

static void *fuzz_alloc(void *user, void *old, size_t bytes)
{
    fuzz *z = user;
    if (bytes > z->most) z->most = bytes;
    if (!bytes) {
        free(old);
        return NULL;
    }
    return bytes > (z->c->most ? z->c->most : FUZZ_MOST) ? NULL : realloc(old, bytes);
}

static void fuzz_begin(fuzz *z)
{
    const ul_config config = {.user = z, .alloc = fuzz_alloc};
    z->most = 0;
    assert_int_equal(ul_ctx_new(&config, &z->ctx), UL_OK);
    z->arena = ul_ctx_arena(z->ctx);
}

/* Of the processor: a busy machine is nobody's fault. */
static double fuzz_now(void)
{
    return (double)clock() / CLOCKS_PER_SEC;
}

/* What is wrong with how the file was read; "": nothing. */
static void fuzz_judge(const fuzz *z, ul_status s, double seconds, char *out, size_t size)
{
    const char *text = ul_error_text(z->ctx), *file = strrchr(z->path, '/') + 1;
    out[0] = 0;
    if (seconds > 2)
        snprintf(out, size, "took %.1f s (status %d: %s)", seconds, (int)s, text);
    else if (z->most > FUZZ_MOST && !z->c->most)
        snprintf(out, size, "asks for %zu bytes at once (status %d: %s)", z->most, (int)s, text);
    else if (s == UL_OK)
        return;
    else if (s != UL_E_INPUT && !(z->c->also >> s & 1))
        snprintf(out, size, "status %d: %s", (int)s, text);
    else if (!text[0])
        snprintf(out, size, "status %d without a message", (int)s);
    else if (s != UL_E_RESOURCE && !strstr(text, z->dir) && !strstr(text, file))
        snprintf(out, size, "no file is named: %s", text);
}

static ul_status fuzz_read(fuzz *z, char *wrong, size_t size)
{
    fuzz_begin(z);
    const double start = fuzz_now();
    const ul_status s = z->c->read(z);
    fuzz_judge(z, s, fuzz_now() - start, wrong, size);
    return s;
}

/* ---- the loop ---------------------------------------------------------------------------------------------------- */
static uint64_t fuzz_env(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    int64_t x;
    return text && ul_parse_int(text, &x) && x > 0 ? (uint64_t)x : otherwise;
}

static void fuzz_keep(const fuzz *z)
{
    const char *keep = getenv("UL_FUZZ_KEEP");
    char path[1200];
    if (!keep) return;
    snprintf(path, sizeof path, "%s/%s-%llu", keep, z->c->name, (unsigned long long)z->round);
    for (char *p = path + strlen(keep) + 1; *p; p++)
        if (*p == '/' || *p == ' ') *p = '-';
    fuzz_copy_file(z->path, path);
}

static void fuzz_put_found(const fuzz *z, const char *text)
{
    fuzz_bytes b = fuzz_copy(text, strlen(text));
    if (z->c->kind == FUZZ_TENSORS) {
        fuzz_splice(&b, 0, b.n, z->seed.p, z->seed.n);
        fuzz_tensors_put(&b, text, strlen(text));
    } else if (text[0] == '+') {
        json_t *j = json_loadb((const char *)z->seed.p, z->seed.n, 0, NULL), *over = json_loads(text + 1, 0, NULL);
        assert_int_equal(json_object_update_recursive(j, over), 0);
        char *whole = json_dumps(j, JSON_REAL_PRECISION(17));
        fuzz_splice(&b, 0, b.n, whole, strlen(whole));
        free(whole);
        json_decref(j);
        json_decref(over);
    }
    fuzz_put(z->path, b.p, b.n);
    free(b.p);
}

static void fuzz_replay(fuzz *z)
{
    char wrong[2000];
    for (const fuzz_found *f = z->c->found; f && f->text; f++) {
        fuzz_put(z->path, z->seed.p, z->seed.n);
        if (z->c->again) z->c->again(z, f->text);
        else fuzz_put_found(z, f->text);
        const ul_status s = fuzz_read(z, wrong, sizeof wrong);
        if (wrong[0]) fail_msg("%s: %s: %s", z->c->name, f->text, wrong);
        if (f->says ? s == UL_OK || !strstr(ul_error_text(z->ctx), f->says) : s != UL_OK)
            fail_msg("%s: %s: status %d: %s, not \"%s\"", z->c->name, f->text, (int)s, ul_error_text(z->ctx),
                     f->says ? f->says : "taken");
        ul_ctx_free(z->ctx);
    }
}

static int fuzz_rounds(fuzz *z)
{
    const uint64_t n = fuzz_env("UL_FUZZ_ROUNDS", 250) / (uint64_t)(z->c->cost ? z->c->cost : 1) + 1;
    char wrong[2000], first[2000] = "";
    uint64_t taken = 0, refused = 0, bad = 0;
    const double start = fuzz_now();
    for (uint64_t i = fuzz_env("UL_FUZZ_FIRST", 0); i < n && bad < 20; i++) {
        z->round = i;
        fuzz_dice d = {fuzz_env("UL_FUZZ_SEED", 1), i, 0};
        if (z->c->damage) {
            fuzz_put(z->path, z->seed.p, z->seed.n);
            z->c->damage(z, &d);
        } else {
            fuzz_bytes b = fuzz_mutate(&d, z->c->kind, &z->seed, fuzz_draw(&d, 2) ? &z->seed : &z->other);
            fuzz_put(z->path, b.p, b.n);
            free(b.p);
        }
        const ul_status s = fuzz_read(z, wrong, sizeof wrong);
        *(s == UL_OK ? &taken : &refused) += 1;
        if (wrong[0]) {
            if (strcmp(first, wrong)) print_message("%s: round %llu: %s\n", z->c->name, (unsigned long long)i, wrong);
            snprintf(first, sizeof first, "%s", wrong);
            fuzz_keep(z);
            bad++;
        } else if (getenv("UL_FUZZ_TELL") && s != UL_OK)
            print_message("%s: round %llu: %s\n", z->c->name, (unsigned long long)i, ul_error_text(z->ctx));
        ul_ctx_free(z->ctx);
    }
    const uint64_t ran = taken + refused;
    print_message("%s: %llu rounds, %llu taken, %llu refused (%.1f s)\n", z->c->name, (unsigned long long)ran,
                  (unsigned long long)taken, (unsigned long long)refused, fuzz_now() - start);
    if (bad) return 1;
    if (100 * refused < ran * (uint64_t)z->c->refused || 100 * taken < ran * (uint64_t)z->c->taken) {
        print_message("%s: at least %d and %d of a hundred should be refused and taken\n", z->c->name, z->c->refused,
                      z->c->taken);
        return 1;
    }
    return 0;
}

/* One row: the folder, the sound file (which is taken), what was found before, the rounds. `other`: pieces come from
 * its text too; or NULL. */
static int fuzz_run(const fuzz_case *c, const fuzz_case *other)
{
    const char *only = getenv("UL_FUZZ_ONLY");
    fuzz *const z = &fuzz_at;
    char wrong[2000];
    if (only && !strstr(c->name, only)) return 0;
    *z = (fuzz){.c = c};
    snprintf(z->dir, sizeof z->dir, "%s", ul_test_folder("fuzz"));
    snprintf(z->path, sizeof z->path, "%s/%s", z->dir, c->file);
    fuzz_begin(z);
    if (c->make) c->make(z);
    if (c->text) fuzz_put(z->path, c->text, strlen(c->text));
    ul_ctx_free(z->ctx);
    z->seed = fuzz_get(z->path);
    z->other = other ? fuzz_copy(other->text, strlen(other->text)) : fuzz_copy(z->seed.p, z->seed.n);
    const ul_status s = fuzz_read(z, wrong, sizeof wrong);
    if (s != UL_OK || wrong[0])
        fail_msg("%s: the sound file: status %d: %s %s", c->name, (int)s, ul_error_text(z->ctx), wrong);
    ul_ctx_free(z->ctx);
    fuzz_replay(z);
    const int bad = fuzz_rounds(z);
    free(z->seed.p);
    free(z->other.p);
    return bad;
}

static int fuzz_table(const fuzz_case *table, size_t n)
{
    int bad = 0;
    for (size_t i = 0; i < n; i++) {
        const fuzz_case *other = NULL;
        for (size_t k = 1; k < n && !other; k++) {
            const fuzz_case *c = &table[(i + k) % n];
            if (c->kind == table[i].kind && c->text) other = c;
        }
        bad += fuzz_run(&table[i], other);
    }
    return bad;
}

#define FUZZ_MAIN(table)                                                                                               \
    static void every_row(void **state)                                                                                \
    {                                                                                                                  \
        (void)state;                                                                                                   \
        assert_int_equal(fuzz_table(table, sizeof(table) / sizeof *(table)), 0);                                       \
    }                                                                                                                  \
    int main(void)                                                                                                     \
    {                                                                                                                  \
        const struct CMUnitTest tests[] = {cmocka_unit_test(every_row)};                                               \
        ul_test_in_memory();                                                                                           \
        const int failed = cmocka_run_group_tests(tests, NULL, NULL);                                                  \
        if (failed) {                                                                                                  \
            print_message("last read: %s, round %llu\n", fuzz_at.c->name, (unsigned long long)fuzz_at.round);          \
            fuzz_keep(&fuzz_at);                                                                                       \
        }                                                                                                              \
        return failed;                                                                                                 \
    }
#endif
