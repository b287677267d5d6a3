/* test_procedure.c - every procedure of the registry: it says what it is, changes the model, and neither threads nor
 * micro-batches change a bit of what it leaves. */
#include "procedure_test.h"

static void digest_with(const ul_procedure *p, int threads, int micro, char digest[65])
{
    tiny_work w;
    tiny_work_open(&w, p, &(tiny_how){.threads = threads, .micro = micro});
    w.work.forget = w.text;
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

/* What --match names is another run. */
static void matches_matter(void **state)
{
    int n, seen = 0;
    (void)state;
    const ul_procedure_entry *e = ul_procedures(&n);
    for (int i = 0; i < n; i++)
        for (const ul_match *m = e[i].procedure->method.matches; m && m->name; m++, seen++) {
            char digest[2][65];
            for (int k = 0; k < 2; k++) {
                tiny_work w;
                tiny_work_open(&w, e[i].procedure, &(tiny_how){.threads = 1, .micro = 4});
                w.work.forget = w.text;
                if (k) ul_args_values(&w.args, m->set);
                tiny_work_run(&w, e[i].procedure, digest[k]);
                tiny_work_close(&w);
            }
            if (!strcmp(digest[0], digest[1])) fail_msg("%s --match %s: the same weights", e[i].id, m->name);
        }
    assert_true(seen >= 2);
}

/* Adapters as the moving weights: it works, or one line says that it wants whole weights. */
static void adapters_work_or_are_refused(void **state)
{
    int n, works = 0;
    (void)state;
    const ul_procedure_entry *e = ul_procedures(&n);
    for (int i = 0; i < n; i++) {
        tiny_work w;
        char digest[65];
        tiny_work_open(&w, e[i].procedure, &(tiny_how){.threads = 1});
        w.work.forget = w.text;
        UL_OK_IN(w.t.ctx, ul_lora_add(w.t.ctx, w.t.model,
                                      &(ul_lora){.r = 2, .alpha = 4, .targets = "up_proj,v_proj", .seed = 1}));
        UL_OK_IN(w.t.ctx, ul_model_digest(w.t.ctx, w.t.model, w.t.digest));
        const ul_status s = e[i].procedure->run(&w.work);
        if (s == UL_E_USAGE) {
            if (!strstr(ul_error_text(w.t.ctx), "lora")) fail_msg("%s: %s", e[i].id, ul_error_text(w.t.ctx));
        } else {
            if (s != UL_OK) fail_msg("%s: %s", e[i].id, ul_error_text(w.t.ctx));
            UL_OK_IN(w.t.ctx, ul_model_digest(w.t.ctx, w.t.model, digest));
            assert_string_not_equal(digest, w.t.digest);
            works++;
        }
        tiny_work_close(&w);
    }
    assert_true(works >= 3); /* tv, sku, tar */
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_procedure), cmocka_unit_test(matches_matter),
                                       cmocka_unit_test(adapters_work_or_are_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
