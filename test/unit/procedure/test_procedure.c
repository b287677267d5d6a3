/* test_procedure.c - every procedure of the registry: it says what it is, changes the model, and neither threads nor
 * micro-batches change a bit of what it leaves. */
#include "procedure_test.h"

static void digest_with(const ul_procedure *p, int threads, int micro, char digest[65])
{
    tiny_work w;
    tiny_work_open(&w, p, &(tiny_how){.threads = threads, .micro = micro});
    tiny_work_run(&w, p, digest);
    if (threads == 1) assert_string_not_equal(digest, w.t.digest); /* changed */
    tiny_work_close(&w);
}

static void every_procedure(void **state)
{
    int n;
    (void)state;
    const ul_procedure_entry *e = ul_procedures(&n);
    assert_true(n > 0);
    for (int i = 0; i < n; i++) {
        char one[65], two[65];
        print_message("%s\n", e[i].id);
        assert_non_null(e[i].procedure->method.title);
        assert_non_null(e[i].procedure->method.paper);
        assert_null(e[i].procedure->method.loss);
        digest_with(e[i].procedure, 1, 1, one);
        digest_with(e[i].procedure, 2, 8, two);
        assert_string_equal(one, two);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_procedure)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
