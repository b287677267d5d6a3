/* The context: messages, the log, progress lines, buffers, digest, time. */
#include "ul_test.h"

static void messages(void **state)
{
    (void)state;
    ul_ctx *ctx = ul_test_ctx();
    assert_string_equal(ul_error_text(ctx), "");
    assert_int_equal(ul_fail(ctx, UL_E_INPUT, "row %d has %d fields", 7, 3), UL_E_INPUT);
    assert_string_equal(ul_error_text(ctx), "row 7 has 3 fields");
    assert_int_equal(ul_fail_in(ctx, UL_E_INPUT, "%s", "a.jsonl"), UL_E_INPUT);
    assert_string_equal(ul_error_text(ctx), "a.jsonl: row 7 has 3 fields");
    ul_fail(ctx, UL_E_INPUT, "again: %s", ul_error_text(ctx)); /* its own message as an argument */
    assert_string_equal(ul_error_text(ctx), "again: a.jsonl: row 7 has 3 fields");
    char longer[5000];
    for (size_t i = 0; i + 2 < sizeof longer; i += 2) memcpy(longer + i, "\xc3\xa9", 3);
    ul_fail(ctx, UL_E_INPUT, "x%s", longer); /* cut between characters, not within one */
    assert_int_equal(strlen(ul_error_text(ctx)) % 2, 1);
    assert_int_equal(ul_fail(NULL, UL_E_USAGE, "nobody listens"), UL_E_USAGE);
    ul_ctx_free(ctx);
    ul_ctx_free(NULL);
}

typedef struct {
    char text[600];
    ul_log_level level;
    int count;
    ul_progress last;
    bool stop;
} listener;

static void on_log(void *user, ul_log_level level, const char *text)
{
    listener *l = user;
    l->level = level;
    snprintf(l->text, sizeof l->text, "%s", text);
}

static void on_progress(void *user, const ul_progress *p)
{
    listener *l = user;
    l->count++;
    l->last = *p;
    snprintf(l->text, sizeof l->text, "%s", p->text);
}

static bool on_interrupted(void *user)
{
    return ((listener *)user)->stop;
}

static ul_ctx *listened(listener *l)
{
    const ul_config config = {.user = l, .log = on_log, .progress = on_progress, .interrupted = on_interrupted};
    ul_ctx *ctx = NULL;
    assert_int_equal(ul_ctx_new(&config, &ctx), UL_OK);
    return ctx;
}

static void log_and_stop(void **state)
{
    (void)state;
    listener l = {0};
    ul_ctx *ctx = listened(&l), *deaf = ul_test_ctx();
    ul_note(ctx, UL_LOG_WARN, "%d rows were cut", 3);
    assert_string_equal(l.text, "3 rows were cut");
    assert_int_equal(l.level, UL_LOG_WARN);
    ul_note(deaf, UL_LOG_WARN, "%d rows were cut", 4);
    assert_string_equal(l.text, "3 rows were cut");
    assert_false(ul_interrupted(ctx));
    l.stop = true;
    assert_true(ul_interrupted(ctx));
    assert_false(ul_interrupted(deaf));
    ul_ctx_free(ctx);
    ul_ctx_free(deaf);
}

static void progress(void **state)
{
    (void)state;
    listener l = {0};
    ul_ctx *ctx = listened(&l);
    ul_meter m;
    ul_progress_begin(ctx, &m, "forget", "steps", 130);
    ul_progress_step(&m, 130, 0, NULL);
    assert_int_equal(l.count, 0);  /* a job that ends within a second is silent */
    m.start_ns -= 60 * INT64_C(1000000000); /* as if begun a minute ago */
    ul_progress_step(&m, 120, 138000, "loss 3.2");
    assert_string_equal(l.text, "forget  120/130 steps  92%  2.0/s  2.3k tok/s  ETA 5s  loss 3.2");
    assert_int_equal(l.last.done, 120);
    assert_true(l.last.per_second > 1.9 && l.last.per_second < 2.1);
    ul_progress_step(&m, 121, 0, NULL);
    assert_int_equal(l.count, 1); /* at most five times a second ... */
    ul_progress_step(&m, 130, 0, NULL);
    assert_int_equal(l.count, 2); /* ... and always at the end */
    assert_string_equal(l.text, "forget  130/130 steps  100%  2.2/s  in 1m00s");
    ul_progress_begin(ctx, &m, "read", "rows", 0); /* total unknown */
    m.start_ns -= 10 * INT64_C(1000000000);
    ul_progress_step(&m, 20000000, 0, NULL);
    assert_string_equal(l.text, "read  20000000 rows  2.0M/s");
    ul_progress_begin(ctx, &m, "train", "steps", 100000); /* resumed at step 1000: only new steps make the rate */
    m.skip = 1000;
    m.start_ns -= 10 * INT64_C(1000000000);
    ul_progress_step(&m, 1100, 0, NULL);
    assert_string_equal(l.text, "train  1100/100000 steps  1%  10.0/s  ETA 2h44m");
    ul_ctx_free(ctx);
}

static void buffers(void **state)
{
    (void)state;
    ul_ctx *ctx = ul_test_ctx();
    ul_buf b;
    ul_buf_init(&b, ctx, 1000);
    for (int i = 0; i < 100; i++) UL_OK_IN(ctx, ul_buf_printf(&b, "%03d", i));
    UL_OK_IN(ctx, ul_buf_puts(&b, "end"));
    UL_OK_IN(ctx, ul_buf_add(&b, "\0x", 2));
    assert_int_equal(b.n, 305);
    assert_memory_equal(b.p, "000001002", 9);
    assert_memory_equal(b.p + 297, "099end\0x", 9);
    char big[800] = {0};
    assert_int_equal(ul_buf_add(&b, big, 696), UL_E_INPUT); /* 305 + 696 > 1000 */
    assert_non_null(strstr(ul_error_text(ctx), "1000"));
    assert_int_equal(ul_buf_puts(&b, "x"), UL_E_INPUT); /* sticks */
    assert_int_equal(b.n, 305);
    ul_buf_reset(&b);
    UL_OK_IN(ctx, ul_buf_add(&b, big, 800));
    UL_OK_IN(ctx, ul_buf_add(&b, big, 200));
    ul_buf_release(&b);
    ul_fault_set(ctx, UL_FAULT_ALLOC, 1);
    assert_int_equal(ul_buf_puts(&b, "x"), UL_E_RESOURCE);
    ul_buf_release(&b);
    ul_ctx_free(ctx);
}

/* FIPS 180-2, appendix B: "abc" and the empty message. */
static void digest(void **state)
{
    (void)state;
    ul_digest d;
    char hex[65];
    ul_digest_init(&d);
    ul_digest_add(&d, "a", 1);
    ul_digest_add(&d, "bc", 2);
    ul_digest_hex(&d, hex);
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    ul_digest_init(&d);
    ul_digest_hex(&d, hex);
    assert_string_equal(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

static void clocks(void **state)
{
    (void)state;
    const int64_t t = ul_now_ns();
    usleep(2000);
    assert_true(ul_now_ns() - t >= 2000000);
    char text[21];
    int year, month, day, hour, minute, sec;
    ul_utc_text(text);
    assert_int_equal(strlen(text), 20);
    assert_int_equal(sscanf(text, "%4d-%2d-%2dT%2d:%2d:%2dZ", &year, &month, &day, &hour, &minute, &sec), 6);
    assert_true(year >= 2024);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages), cmocka_unit_test(log_and_stop), cmocka_unit_test(progress),
        cmocka_unit_test(buffers),  cmocka_unit_test(digest),       cmocka_unit_test(clocks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
