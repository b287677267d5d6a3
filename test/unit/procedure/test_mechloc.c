/* test_mechloc.c - tracing: no noise, no effect, to the last bit; noise moves the answers and what a block restores
 * lies between. Training: the blocks that were not chosen keep every bit. */
#include "procedure_test.h"
#include "procedure/edit.h"

enum { N_LAYER = 2, N = 6 };

static void open_mechloc(tiny_work *w, ul_facts *f)
{
    tiny_work_open(w, procedure_named("mechloc"), &(tiny_how){.precision = UL_PRECISION_DOUBLE, .threads = 1});
    w->work.forget = w->text;
    UL_OK_IN(w->t.ctx, ul_facts_new(&w->work, 0, N, f));
}

static void noise_decides(void **state)
{
    tiny_work w;
    ul_facts f;
    double effect[N_LAYER], total[2], before;
    (void)state;
    open_mechloc(&w, &f);
    UL_OK_IN(w.t.ctx, ul_facts_trace(&w.work, &f, N, 0, effect, total));
    assert_true(total[0] > 0 && total[0] == total[1]);
    for (int l = 0; l < N_LAYER; l++) assert_true(effect[l] == 0);
    before = total[0];
    UL_OK_IN(w.t.ctx, ul_facts_trace(&w.work, &f, N, 3, effect, total));
    assert_true(total[0] == before && total[1] != before);
    assert_true(effect[0] != 0);
    tiny_work_close(&w);
}

/* After the last block's MLP a subject's state reaches no other token: what it restores there is nothing. */
static void the_last_block_restores_nothing_of_the_subject(void **state)
{
    tiny_work w;
    ul_facts f;
    double effect[N_LAYER], total[2];
    (void)state;
    open_mechloc(&w, &f);
    UL_OK_IN(w.t.ctx, ul_facts_trace(&w.work, &f, N, 3, effect, total));
    assert_true(effect[N_LAYER - 1] == 0);
    tiny_work_close(&w);
}

static void others_keep_their_bits(void **state)
{
    tiny_work w;
    ul_facts f;
    char digest[65];
    ul_weight *weight;
    (void)state;
    open_mechloc(&w, &f);
    const int n = ul_model_weights(w.t.model, &weight);
    double **before = UL_NEW(w.work.arena, double *, n);
    for (int i = 0; i < n; i++) {
        const size_t bytes = (size_t)(weight[i].rows * weight[i].cols) * sizeof(double);
        assert_non_null(before[i] = ul_alloc(w.work.arena, bytes, 1));
        memcpy(before[i], weight[i].p, bytes);
    }
    tiny_work_run(&w, procedure_named("mechloc"), digest);
    int moved = 0;
    for (int i = 0; i < n; i++) {
        const bool same = !memcmp(before[i], weight[i].p, (size_t)(weight[i].rows * weight[i].cols) * sizeof(double));
        if (!same && (weight[i].layer != 0 || !strstr(weight[i].name, "mlp"))) fail_msg("%s has moved", weight[i].name);
        moved += !same;
    }
    assert_int_equal(moved, 3); /* gate, up, down of the block that restores most */
    tiny_work_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(noise_decides),
                                       cmocka_unit_test(the_last_block_restores_nothing_of_the_subject),
                                       cmocka_unit_test(others_keep_their_bits)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
