/* test_alternates.c - several alternates a sample: llmu's step against its formula over all of them, and its bits in
 * any micro-batch and on any number of threads. */
#include "method/method.h"
#include "train_test.h"

enum { LINES = 4, EACH = 3, MOST_ROWS = 24 };

/* A pairing of the tiny documents whose alternates stand in for every row and line. */
static void open(tiny *t, ul_pairing *p, const tiny_how *how, int32_t each)
{
    ul_arena *arena;
    int64_t *key;
    tiny_open(t, NULL, how, ul_method_find("llmu"), NULL);
    arena = ul_ctx_arena(t->ctx);
    t->docs[UL_ALT] = tiny_docs(t->ctx, TINY_FORGET * LINES, 2);
    tiny_references(t, NULL);
    UL_OK_IN(t->ctx, ul_pairing_init(t->ctx, arena, t->docs[UL_FORGET], t->docs[UL_RETAIN], 11, true, p));
    assert_non_null(key = UL_NEW(arena, int64_t, TINY_FORGET * LINES));
    for (int64_t i = 0; i < TINY_FORGET * LINES; i++) key[i] = i;
    p->alt = t->docs[UL_ALT], p->alt_key = key, p->n_line = LINES, p->n_alt = each;
    t->run.options.pairing = p;
}

static double mean_nll(tiny *t, const ul_doc *d)
{
    static double z[MOST_ROWS][TINY_V];
    ul_batch *b;
    double nll = 0;
    UL_OK_IN(t->ctx, ul_pack_docs(t->ctx, ul_ctx_arena(t->ctx), &d, 1, false, &b));
    assert_in_range(b->n_row, 1, MOST_ROWS);
    UL_OK_IN(t->ctx, ul_model_logits(t->ctx, t->model, b, z));
    for (int32_t i = 0; i < b->n_row; i++) {
        double sum = 0;
        for (int v = 0; v < TINY_V; v++) sum += exp(z[i][v]);
        nll += (log(sum) - z[i][b->label[i]]) / b->n_row;
    }
    return nll;
}

static void test_formula(void **state)
{
    (void)state;
    for (int32_t each = 1; each <= EACH; each += EACH - 1) {
        tiny t;
        ul_pairing p;
        ul_trainer *tr;
        ul_step_result r;
        double want = 0;
        open(&t, &p, &(tiny_how){.precision = UL_PRECISION_DOUBLE, .threads = 1, .micro = 4}, each);
        UL_OK_IN(t.ctx, ul_trainer_new(t.ctx, &t.run.options, 6, &tr));
        UL_OK_IN(t.ctx, ul_trainer_gradients(tr, 2, &r));
        int differ = 0;
        for (int32_t i = 0; i < t.recipe.batch; i++) {
            ul_sample s;
            const int64_t index = 2 * t.recipe.batch + i;
            UL_OK_IN(t.ctx, ul_pairing_sample(t.ctx, &p, index, &s));
            want -= 0.5 * mean_nll(&t, s.doc[UL_FORGET]) / t.recipe.batch;
            for (int32_t k = 0; k < each; k++) {
                const ul_doc *a;
                UL_OK_IN(t.ctx, ul_pairing_alternate(t.ctx, &p, index, k, &a));
                assert_true(k || a == s.doc[UL_ALT]);
                assert_int_equal(a->id / LINES, s.doc[UL_FORGET]->id); /* of its own row */
                differ += a != s.doc[UL_ALT];
                want += mean_nll(&t, a) / (t.recipe.batch * each);
            }
        }
        assert_true((differ > 0) == (each > 1));
        if (!(fabs(r.loss - want) <= 1e-11 * fabs(want)))
            fail_msg("%d answers: %.15g is not %.15g", (int)each, r.loss, want);
        ul_trainer_free(tr);
        tiny_close(&t);
    }
}

static void test_bits(void **state)
{
    static const tiny_how ways[] = {{.threads = 1, .micro = 1}, {.threads = 2, .micro = 8}, {.threads = 1, .micro = 5}};
    char first[65], digest[65];
    (void)state;
    for (int k = 0; k < 3; k++) {
        tiny t;
        ul_pairing p;
        ul_step_result last;
        int64_t done;
        open(&t, &p, &ways[k], EACH);
        t.run.save_every = -1;
        UL_OK_IN(t.ctx, ul_run_train(t.ctx, &t.run, &last, &done));
        UL_OK_IN(t.ctx, ul_model_digest(t.ctx, t.model, digest));
        if (k) assert_string_equal(digest, first);
        else memcpy(first, digest, sizeof first);
        tiny_close(&t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_formula), cmocka_unit_test(test_bits)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
