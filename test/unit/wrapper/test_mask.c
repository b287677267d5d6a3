/* wagle, saliency, sure: the mask is the one that sorting the scores gives; a whole run, with weight decay and
 * momentum, moves nothing outside it; what moves first moves as it would without a mask. */
#include "wrapper_test.h"

enum { BATCHES = 3, RUN = 6 };

static int falling(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x < y) - (x > y);
}
static double threshold(const double *score, int64_t n, double keep)
{
    double *s = malloc((size_t)n * sizeof *s);
    assert_non_null(s);
    memcpy(s, score, (size_t)n * sizeof *s);
    qsort(s, (size_t)n, sizeof *s, falling);
    const double t = s[(int64_t)ceil(keep * (double)n) - 1];
    free(s);
    return t;
}

/* The method's gradients with one coefficient off, summed over the first steps' samples. */
static double *summed(const char *off, ul_precision precision)
{
    const tiny_how how = {.precision = precision, .threads = 1, .micro = 7};
    wrapped w;
    ul_trainer *t;
    ul_step_result r;
    int64_t n;
    double *all = NULL;
    wrapped_open(&w, &how, "npo", NULL);
    set_number(&w.t.args, off, 0);
    tiny_references(&w.t, NULL);
    UL_OK_IN(w.t.ctx, ul_trainer_new(w.t.ctx, &w.t.run.options, RUN, &t));
    for (int s = 0; s < BATCHES; s++) {
        UL_OK_IN(w.t.ctx, ul_trainer_gradients(t, s, &r));
        double *g = flat(&w, true, &n);
        for (int64_t i = 0; all && i < n; i++) all[i] += g[i];
        if (all)
            free(g);
        else
            all = g;
    }
    ul_trainer_free(t);
    tiny_close(&w.t);
    return all;
}

/* Scores of every weight, as the wrapper's comment defines them; a row's for all its entries (sure). */
static double *scores(const char *id, const wrapped *w, ul_precision precision, int64_t n)
{
    double *f = summed("alpha", precision), *r = summed("gamma", precision), *p = flat(w, false, &n);
    ul_trainable *train;
    int64_t at = 0;
    const int count = ul_model_trainables(w->t.model, &train);
    for (int64_t i = 0; i < n; i++) f[i] = !strcmp(id, "wagle") ? fabs((p[i] - r[i] / 1e-6) * f[i]) : fabs(f[i]);
    for (int t = 0; t < count && !strcmp(id, "sure"); t++)
        for (int64_t row = 0; row < train[t].n / train[t].cols; row++, at += train[t].cols) {
            double s = 0;
            for (int64_t j = 0; j < train[t].cols; j++) s += f[at + j] * f[at + j];
            for (int64_t j = 0; j < train[t].cols; j++) f[at + j] = sqrt(s);
        }
    free(r), free(p);
    return f;
}

/* The share is of rows for sure: one score a row. */
static double least_of(const char *id, const wrapped *w, const double *score, int64_t n, double keep)
{
    ul_trainable *train;
    int64_t at = 0, rows = 0;
    const int count = ul_model_trainables(w->t.model, &train);
    if (strcmp(id, "sure")) return threshold(score, n, keep);
    double *one = malloc((size_t)n * sizeof *one);
    assert_non_null(one);
    for (int t = 0; t < count; t++)
        for (int64_t row = 0; row < train[t].n / train[t].cols; row++, at += train[t].cols) one[rows++] = score[at];
    const double least = threshold(one, rows, keep);
    free(one);
    return least;
}

static void masked_run(const char *id, double keep, ul_optim_kind optim)
{
    const tiny_how how = {.precision = UL_PRECISION_DOUBLE, .threads = 2, .micro = 2};
    wrapped w;
    ul_step_result last;
    int64_t n, steps, in = 0, moved = 0;
    wrapped_open(&w, &how, "npo", NULL);
    ul_args *a = wrap(&w, id);
    set_number(a, "keep", keep);
    set_number(a, "batches", BATCHES);
    w.t.recipe.optim = optim;
    w.t.recipe.momentum = 0.9, w.t.recipe.weight_decay = 0.2, w.t.recipe.warmup = 0;
    double *before = flat(&w, false, &n), *score = scores(id, &w, UL_PRECISION_DOUBLE, n);
    const double least = least_of(id, &w, score, n, keep);
    tiny_references(&w.t, NULL);
    UL_OK_IN(w.t.ctx, ul_run_train(w.t.ctx, &w.t.run, &last, &steps));
    double *after = flat(&w, false, &n);
    for (int64_t i = 0; i < n; i++) {
        if (fabs(score[i] - least) < 1e-9 * least) continue; /* rounding decides */
        if (score[i] < least && before[i] != after[i])
            fail_msg("%s: weight %lld moved, its score %g is below %g", id, (long long)i, score[i], least);
        in += score[i] > least;
        moved += score[i] > least && before[i] != after[i];
    }
    if (strcmp(id, "sure"))
        assert_true(fabs((double)in / (double)n - keep) < 0.01); /* the share that was asked for */
    else
        assert_true(in > 0 && in < n / 2);
    assert_true(moved > in * 9 / 10);
    free(before), free(after), free(score);
    tiny_close(&w.t);
}

static void test_only_masked_weights_move(void **state)
{
    (void)state;
    for (int optim = UL_ADAMW; optim <= UL_SOPHIA; optim++) {
        masked_run("saliency", 0.3, (ul_optim_kind)optim);
        masked_run("wagle", 0.4, (ul_optim_kind)optim);
        masked_run("sure", 0.1, (ul_optim_kind)optim);
    }
}

/* Two masks: what both agree on. In f32 and the first step without clipping, a weight that moves moves as without a
 * mask. */
static void test_masks_meet(void **state)
{
    double *after[4];
    int64_t n, both = 0, changed[4] = {0};
    (void)state;
    double *before = NULL;
    for (int k = 0; k < 4; k++) { /* none, saliency, wagle, both */
        const tiny_how how = {.precision = UL_PRECISION_F32, .threads = 1, .micro = 7};
        wrapped w;
        ul_step_result last;
        int64_t steps;
        wrapped_open(&w, &how, "npo", NULL);
        if (k & 1) set_number(wrap(&w, "saliency"), "keep", 0.4);
        if (k & 2) set_number(wrap(&w, "wagle"), "keep", 0.4);
        w.t.recipe.clip = 0, w.t.recipe.warmup = 0, w.t.recipe.weight_decay = 0.2;
        w.t.recipe.steps = 1;
        if (!before) before = flat(&w, false, &n);
        tiny_references(&w.t, NULL);
        UL_OK_IN(w.t.ctx, ul_run_train(w.t.ctx, &w.t.run, &last, &steps));
        after[k] = flat(&w, false, &n);
        tiny_close(&w.t);
    }
    for (int64_t i = 0; i < n; i++) {
        bool moved[4];
        for (int k = 0; k < 4; k++) {
            changed[k] += moved[k] = after[k][i] != before[i];
            assert_true(!moved[k] || after[k][i] == after[0][i]); /* the same bits as without */
        }
        assert_int_equal(moved[3], moved[1] && moved[2]);
        both += moved[3];
    }
    assert_true(both > 0 && both < changed[1] && both < changed[2] && changed[1] < changed[0]);
    for (int k = 0; k < 4; k++) free(after[k]);
    free(before);
}

/* What --match names of a wrapper is another run. */
static void test_matches_matter(void **state)
{
    int n_wrapper, seen = 0;
    const ul_wrapper_entry *e = ul_wrappers(&n_wrapper);
    (void)state;
    for (int k = 0; k < n_wrapper; k++)
        for (const ul_match *m = e[k].wrapper->matches; m && m->name; m++, seen++) {
            double *after[2];
            int64_t n;
            for (int matched = 0; matched < 2; matched++) {
                const tiny_how how = {.precision = UL_PRECISION_DOUBLE, .threads = 1, .micro = 7};
                wrapped w;
                ul_step_result last;
                int64_t steps;
                wrapped_open(&w, &how, "npo", NULL);
                ul_args *a = wrap(&w, e[k].id);
                set_number(a, "batches", BATCHES);
                if (matched) ul_args_values(a, m->set);
                tiny_references(&w.t, NULL);
                UL_OK_IN(w.t.ctx, ul_run_train(w.t.ctx, &w.t.run, &last, &steps));
                after[matched] = flat(&w, false, &n);
                tiny_close(&w.t);
            }
            if (!memcmp(after[0], after[1], (size_t)n * sizeof(double)))
                fail_msg("%s --match %s: the same", e[k].id, m->name);
            free(after[0]), free(after[1]);
        }
    assert_true(seen >= 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_only_masked_weights_move),
                                       cmocka_unit_test(test_matches_matter),
                                       cmocka_unit_test(test_masks_meet)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
