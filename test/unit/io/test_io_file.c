/* Files, folders, UTF-8; outputs that are whole or absent; side files; the step log. */
#include "io_fixture.h"
#include <signal.h>
#include <sys/resource.h>

static void expect(const char *path, const void *bytes, size_t n)
{
    ul_file f;
    UL_OK_IN(ctx, ul_file_map(ctx, arena, path, &f));
    assert_int_equal(f.n, n);
    assert_memory_equal(f.p, bytes, n);
}

static void paths(void **state)
{
    (void)state;
    assert_string_equal(ul_path_join(arena, "a", "b"), "a/b");
    assert_string_equal(ul_path_join(arena, "a/", "b"), "a/b");
    assert_string_equal(ul_path_join(arena, "", "b"), "b");
    assert_string_equal(ul_path_name("a/b/c.json"), "c.json");
    assert_string_equal(ul_path_name("c.json"), "c.json");
}

static void reading(void **state)
{
    (void)state;
    char *text;
    size_t n;
    ul_file f;
    put(in("empty"), "", 0);
    UL_OK_IN(ctx, ul_file_map(ctx, arena, in("empty"), &f));
    assert_int_equal(f.n, 0);
    assert_non_null(f.p);
    put(in("five"), "ab\0de", 5);
    expect(in("five"), "ab\0de", 5);
    UL_OK_IN(ctx, ul_file_read_text(ctx, arena, in("five"), 5, &text, &n));
    assert_int_equal(n, 5);
    assert_memory_equal(text, "ab\0de", 6);
    UL_FAILS_IN(ctx, UL_E_INPUT, "has 5 bytes, at most 4", ul_file_read_text(ctx, arena, in("five"), 4, &text, &n));
    UL_FAILS_IN(ctx, UL_E_INPUT, "none: cannot open", ul_file_map(ctx, arena, in("none"), &f));
    UL_FAILS_IN(ctx, UL_E_INPUT, "is a folder", ul_file_map(ctx, arena, dir, &f));
    ul_fault_set(ctx, UL_FAULT_READ, 1);
    UL_FAILS_IN(ctx, UL_E_RESOURCE, "five", ul_file_map(ctx, arena, in("five"), &f));
}

static void folders(void **state)
{
    (void)state;
    char **names;
    int64_t n;
    bool empty;
    UL_OK_IN(ctx, ul_dir_is_empty(ctx, in("x"), &empty));
    assert_true(empty);
    UL_OK_IN(ctx, ul_dir_make(ctx, in("x/y//z/")));
    UL_OK_IN(ctx, ul_dir_make(ctx, in("x/y")));
    assert_true(ul_dir_exists(in("x/y/z")));
    assert_false(ul_file_exists(in("x/y/z")));
    UL_OK_IN(ctx, ul_dir_is_empty(ctx, in("x/y/z"), &empty));
    assert_true(empty);
    UL_OK_IN(ctx, ul_dir_is_empty(ctx, in("x"), &empty));
    assert_false(empty);
    for (int i = 39; i >= 0; i--) put(ul_format(arena, "%s/%02d", in("x/y/z"), i), "", 0);
    UL_OK_IN(ctx, ul_dir_list(ctx, arena, in("x/y/z"), &names, &n));
    assert_int_equal(n, 40);
    for (int i = 0; i < 40; i++) assert_int_equal(strtol(names[i], NULL, 10), i);
    put(in("file"), "", 0);
    UL_FAILS_IN(ctx, UL_E_INPUT, "there is a file of this name", ul_dir_make(ctx, in("file/below")));
    UL_FAILS_IN(ctx, UL_E_INPUT, "cannot list", ul_dir_list(ctx, arena, in("none"), &names, &n));
}

/* Against the definition: decode, then the code point must be a scalar value in its shortest form. */
static bool utf8_valid(const unsigned char *p, size_t n)
{
    for (size_t i = 0; i < n;) {
        const size_t k = p[i] < 0x80 ? 1 : p[i] >> 5 == 6 ? 2 : p[i] >> 4 == 14 ? 3 : p[i] >> 3 == 30 ? 4 : 0;
        if (k == 0 || i + k > n) return false;
        uint32_t c = k == 1 ? p[i] : p[i] & (0xffu >> (k + 1));
        for (size_t j = 1; j < k; j++) {
            if (p[i + j] >> 6 != 2) return false;
            c = c << 6 | (p[i + j] & 63);
        }
        const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
        if (c < least[k] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000)) return false;
        i += k;
    }
    return true;
}

static void utf8(void **state)
{
    (void)state;
    unsigned char b[24];
    for (uint32_t x = 0; x < 1 << 16; x++) { /* every pair of lead and second byte, complete otherwise */
        memset(b, 'a', sizeof b);
        b[9] = (unsigned char)(x >> 8);
        b[10] = (unsigned char)x;
        for (int tail = 0; tail < 3; tail++) {
            for (int i = 0; i < tail; i++) b[11 + i] = 0x9f;
            assert_int_equal(ul_utf8_invalid(b, sizeof b) < 0, utf8_valid(b, sizeof b));
        }
    }
    assert_int_equal(ul_utf8_invalid("0123456789\xc3", 11), 10);
    assert_int_equal(ul_utf8_invalid("0123456789\xc3\xa9\xff", 13), 12);
    assert_int_equal(ul_utf8_invalid("", 0), -1);
}

static void atomic(void **state)
{
    (void)state;
    ul_out *o, *other;
    put(in("out"), "old", 3);
    UL_OK_IN(ctx, ul_out_open(ctx, in("out"), 0, &o));
    UL_OK_IN(ctx, ul_out_write(o, "new", 3));
    UL_OK_IN(ctx, ul_out_printf(o, " %d%s", 7, "!"));
    expect(in("out"), "old", 3); /* nothing is seen before the commit */
    UL_FAILS_IN(ctx, UL_E_RESOURCE, "another run", ul_out_open(ctx, in("out"), 0, &other));
    UL_OK_IN(ctx, ul_out_commit(o));
    expect(in("out"), "new 7!", 6);
    UL_OK_IN(ctx, ul_out_open(ctx, in("out"), 0, &o));
    UL_OK_IN(ctx, ul_out_write(o, "third", 5));
    ul_out_discard(o);
    expect(in("out"), "new 7!", 6);
    assert_int_equal(entries(dir), 1);
    put(in(".out.partial"), "left behind by a killed run", 27);
    UL_OK_IN(ctx, ul_file_save(ctx, in("out"), "x", 1));
    expect(in("out"), "x", 1);
    assert_int_equal(entries(dir), 1);
    UL_FAILS_IN(ctx, UL_E_USAGE, "is a folder", ul_file_save(ctx, dir, "x", 1));
    UL_FAILS_IN(ctx, UL_E_INPUT, "cannot write", ul_file_save(ctx, in("none/x"), "x", 1));
    UL_FAILS_IN(ctx, UL_E_RESOURCE, "18446744073709551614 bytes wanted",
                ul_out_open(ctx, in("big"), UINT64_MAX - 1, &o));
    assert_int_equal(entries(dir), 1);
    UL_OK_IN(ctx, ul_out_open(ctx, in("late"), 0, &o)); /* the name is taken while we write */
    UL_OK_IN(ctx, ul_dir_make(ctx, in("late")));
    UL_FAILS_IN(ctx, UL_E_INPUT, "late: cannot write", ul_out_commit(o));
    assert_int_equal(entries(dir), 2);
    ul_out_discard(NULL);
}

/* Pieces around the size of the buffer come out in order. */
static void pieces(void **state)
{
    (void)state;
    const size_t n = 1 << 19;
    unsigned char *want = ul_alloc_raw(arena, n, 1);
    for (size_t i = 0; i < n; i++) want[i] = (unsigned char)ul_rng(1, UL_STREAM_TEST, 0, i);
    ul_out *o;
    UL_OK_IN(ctx, ul_out_open(ctx, in("out"), n, &o));
    for (size_t at = 0, k = 0, piece; at < n; at += piece, k++) {
        const size_t size[] = {1, 70000, 65535, 65536, 65537, 0, 30000};
        piece = size[k % 7] < n - at ? size[k % 7] : n - at;
        UL_OK_IN(ctx, ul_out_write(o, want + at, piece));
    }
    UL_OK_IN(ctx, ul_out_commit(o));
    expect(in("out"), want, n);
}

/* Every write of an output fails once: the status says so and neither the output nor a temporary is left. */
static void failing_writes(void **state)
{
    (void)state;
    static const char bytes[200000];
    int64_t k = 0;
    ul_status st;
    do {
        ul_fault_set(ctx, UL_FAULT_WRITE, ++k);
        ul_out *o;
        UL_OK_IN(ctx, ul_out_open(ctx, in("out"), 0, &o));
        for (int i = 0; i < 5; i++) ul_out_write(o, bytes, i % 2 ? 1000 : sizeof bytes);
        st = ul_out_commit(o);
        if (st != UL_OK) {
            assert_int_equal(st, UL_E_RESOURCE);
            assert_non_null(strstr(ul_error_text(ctx), "no space left"));
            assert_int_equal(entries(dir), 0);
        }
    } while (st != UL_OK);
    assert_true(k > 4); /* three large writes, the buffers, the sync */
    assert_int_equal(entries(dir), 1);
    const char *other = in("other");
    for (k = 1;; k++) {
        ul_fault_set(ctx, UL_FAULT_ALLOC, k);
        st = ul_file_save(ctx, other, bytes, sizeof bytes);
        ul_fault_set(ctx, UL_FAULT_ALLOC, 0);
        if (st == UL_OK) break;
        assert_int_equal(st, UL_E_RESOURCE);
        assert_int_equal(entries(dir), 1);
    }
    assert_true(k > 4);
}

/* A write that the system itself refuses: the limit on file sizes. */
static void refused_write(void **state)
{
    (void)state;
    static const char bytes[200000];
    struct rlimit old, small;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    small = old;
    small.rlim_cur = 100000;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    const ul_status st = ul_file_save(ctx, in("out"), bytes, sizeof bytes);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    UL_FAILS_IN(ctx, UL_E_RESOURCE, "out: cannot write: ", st);
    assert_int_equal(entries(dir), 0);
}

static void side_files(void **state)
{
    (void)state;
    const char *carried[] = {"config.json",         "tokenizer.json", "tokenizer.model",       "merges.txt",
                             "chat_template.jinja", "LICENSE",        "generation_config.json"};
    const char *left[] = {"model.safetensors", "model.safetensors.index.json",
                          "pytorch_model.bin", "log.jsonl",
                          "manifest.json",     ".hidden.json",
                          "README.md"};
    const char *const skipped[] = {"manifest.json", NULL};
    UL_OK_IN(ctx, ul_dir_make(ctx, in("from/folder.json")));
    UL_OK_IN(ctx, ul_dir_make(ctx, in("to")));
    for (int i = 0; i < 7; i++) {
        put(ul_path_join(arena, in("from"), carried[i]), carried[i], strlen(carried[i]));
        put(ul_path_join(arena, in("from"), left[i]), left[i], strlen(left[i]));
    }
    put(in("from/empty.txt"), "", 0);
    UL_OK_IN(ctx, ul_dir_carry(ctx, in("from"), in("to"), skipped));
    assert_int_equal(entries(in("to")), 8);
    for (int i = 0; i < 7; i++) expect(ul_path_join(arena, in("to"), carried[i]), carried[i], strlen(carried[i]));
    expect(in("to/empty.txt"), "", 0);
    UL_OK_IN(ctx, ul_dir_carry(ctx, in("from"), in("to"), NULL));
    assert_int_equal(entries(in("to")), 9);
}

static void add(ul_jsonl *log, const char *text)
{
    json_t *v = json_loads(text, 0, NULL);
    assert_non_null(v);
    UL_OK_IN(ctx, ul_jsonl_add(log, v));
    json_decref(v);
}

static const char LOG[] = "{\"run\":\"a\"}\n{\"step\":1,\"loss\":0.10000000000000001}\n{\"step\":2,\"loss\":3}\n"
                          "{\"note\":\"\xc3\xa9\"}\n{\"step\":3,\"loss\":-1e-300}\n";

static void write_log(void)
{
    ul_jsonl *log;
    ul_arena *a;
    UL_OK_IN(ctx, ul_arena_new(ctx, "log", &a));
    unlink(in("log.jsonl"));
    UL_OK_IN(ctx, ul_jsonl_open(ctx, a, in("log.jsonl"), &log));
    add(log, "{\"run\": \"a\"}");
    add(log, "{\"step\": 1, \"loss\": 0.1}");
    expect(in("log.jsonl"), LOG, (size_t)(strstr(LOG, "{\"step\":2") - LOG)); /* a line is on its way at once */
    ul_arena_free(a);
    UL_OK_IN(ctx, ul_arena_new(ctx, "log", &a));
    UL_OK_IN(ctx, ul_jsonl_open(ctx, a, in("log.jsonl"), &log));
    add(log, "{\"step\": 2, \"loss\": 3}");
    add(log, "{\"note\": \"\xc3\xa9\"}");
    add(log, "{\"step\": 3, \"loss\": -1e-300}");
    ul_arena_free(a);
}

static void log_lines(void **state)
{
    (void)state;
    ul_jsonl *log;
    const char *path = in("log.jsonl");
    const size_t whole = sizeof LOG - 1;
    write_log();
    expect(path, LOG, whole);
    put(path, LOG, whole - 5); /* killed inside the last line */
    UL_OK_IN(ctx, ul_jsonl_open(ctx, arena, path, &log));
    const size_t last = (size_t)(strstr(LOG, "{\"step\":3") - LOG);
    expect(path, LOG, last);
    ul_fault_set(ctx, UL_FAULT_WRITE, 1);
    json_t *v = json_pack("{s:i}", "step", 3);
    UL_FAILS_IN(ctx, UL_E_RESOURCE, "no space left", ul_jsonl_add(log, v));
    json_decref(v);
    expect(path, LOG, last);
}

static void log_cuts(void **state)
{
    (void)state;
    const char *path = in("log.jsonl");
    const size_t note = (size_t)(strstr(LOG, "{\"note") - LOG), one = (size_t)(strstr(LOG, "{\"step\":1") - LOG);
    UL_OK_IN(ctx, ul_jsonl_cut_step(ctx, in("none.jsonl"), 3));
    write_log();
    UL_OK_IN(ctx, ul_jsonl_cut_step(ctx, path, 3));
    expect(path, LOG, sizeof LOG - 1);
    UL_OK_IN(ctx, ul_jsonl_cut_step(ctx, path, 2));
    expect(path, LOG, note);
    UL_OK_IN(ctx, ul_jsonl_cut_step(ctx, path, 0));
    expect(path, LOG, one); /* what came before the first step stays */
    write_log();
    UL_OK_IN(ctx, ul_jsonl_cut_lines(ctx, path, 3));
    expect(path, LOG, note);
    UL_FAILS_IN(ctx, UL_E_INPUT, "has 3 whole lines, 4 are", ul_jsonl_cut_lines(ctx, path, 4));
    UL_OK_IN(ctx, ul_jsonl_cut_lines(ctx, path, 0));
    expect(path, LOG, 0);
    put(path, "{\"step\":1}\n{\"step\" 2}\n", 22);
    UL_FAILS_IN(ctx, UL_E_INPUT, "line 2:1:", ul_jsonl_cut_step(ctx, path, 1));
    expect(path, "{\"step\":1}\n{\"step\" 2}\n", 22);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {T(paths),      T(reading),   T(folders),        T(utf8),
                                       T(atomic),     T(pieces),    T(failing_writes), T(refused_write),
                                       T(side_files), T(log_lines), T(log_cuts)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
