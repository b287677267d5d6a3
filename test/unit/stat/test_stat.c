/* Statistics against nltk, rouge_score, scipy and scikit-learn (test/data/stat_golden.h), and against their laws. */
#include "ul_test.h"
#include "stat/stat.h"
#include "data/stat_golden.h"
#include <math.h>

#define COUNT(a) (sizeof(a) / sizeof *(a))

static void near(double got, double want, double rel, const char *what, size_t i)
{
    if (!(fabs(got - want) <= rel * fabs(want))) fail_msg("%s %zu: %.17g instead of %.17g", what, i, got, want);
}

static ul_arena *arena(ul_ctx *ctx)
{
    ul_arena *a = NULL;
    UL_OK_IN(ctx, ul_arena_new(ctx, "test", &a));
    return a;
}

static void stems_as_nltk(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(golden_stem); i++) {
        char word[64];
        snprintf(word, sizeof word, "%s", golden_stem[i].word);
        word[ul_porter_stem(word, strlen(word))] = 0;
        assert_string_equal(word, golden_stem[i].stem);
    }
}

static void rouge_as_rouge_score(void **state)
{
    (void)state;
    ul_ctx *ctx = ul_test_ctx();
    ul_arena *a = arena(ctx);
    for (size_t i = 0; i < COUNT(golden_rouge); i++) {
        ul_rouge_scores s;
        UL_OK_IN(ctx, ul_rouge(a, golden_rouge[i].reference, golden_rouge[i].text, golden_rouge[i].stem != 0, &s));
        const ul_prf part[3] = {s.rouge1, s.rouge2, s.rougeL};
        for (int k = 0; k < 3; k++) {
            near(part[k].precision, golden_rouge[i].want[3 * k], 1e-15, "precision", i);
            near(part[k].recall, golden_rouge[i].want[3 * k + 1], 1e-15, "recall", i);
            near(part[k].f1, golden_rouge[i].want[3 * k + 2], 1e-15, "f1", i);
        }
    }
    ul_arena_free(a);
    ul_ctx_free(ctx);
}

static void two_samples_as_scipy(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(golden_samples); i++) {
        double x[400], y[400], scratch[401];
        const int n = golden_samples[i].n, m = golden_samples[i].m;
        memcpy(x, golden_samples[i].x, (size_t)n * sizeof *x);
        memcpy(y, golden_samples[i].y, (size_t)m * sizeof *y);
        near(ul_auc(y, m, x, n), golden_samples[i].auc, 1e-15, "auc", i);
        const ul_ks k = ul_ks_2samp(x, n, y, m, scratch);
        near(k.d, golden_samples[i].d, 1e-15, "D", i);
        near(k.p, golden_samples[i].p, 1e-13, "p", i);
        assert_true(k.exact);
        const ul_ks swapped = ul_ks_2samp(y, m, x, n, scratch);
        near(swapped.p, k.p, 1e-15, "p of (y, x)", i);
    }
}

static void two_large_samples_as_scipy(void **state)
{
    (void)state;
    double *x = malloc(30000 * sizeof *x), *y = malloc(30000 * sizeof *y), *scratch = malloc(30001 * sizeof *scratch);
    for (size_t i = 0; i < COUNT(golden_large); i++) {
        const int n = golden_large[i].n, m = golden_large[i].m;
        for (int j = 0; j < n; j++) x[j] = (double)j / n;
        for (int j = 0; j < m; j++) y[j] = (j + 0.5) / m + golden_large[i].shift;
        const ul_ks k = ul_ks_2samp(x, n, y, m, scratch);
        assert_false(k.exact);
        near(k.p, golden_large[i].p, 1e-2, "limit p", i);
    }
    free(x);
    free(y);
    free(scratch);
}

static void nan_is_never_a_number(void **state)
{
    (void)state;
    double x[3] = {1, NAN, 2}, y[3] = {0, 1, 2}, scratch[4];
    assert_true(isnan(ul_auc(x, 3, y, 3)) && isnan(ul_auc(y, 3, x, 3)));
    assert_true(isnan(ul_ks_2samp(x, 3, y, 3, scratch).p) && isnan(ul_ks_2samp(y, 3, x, 3, scratch).p));
    assert_true(isnan(ul_mean(x, 3)) && isnan(ul_mean(x, 0)) && isnan(ul_harmonic_mean(x, 3)));
    assert_true(isnan(ul_quantile(x, 3, 0.5))); /* sorted by now: NaN is last */
    assert_true(isnan(ul_harmonic_mean((double[]){1, -1}, 2)));
}

static void means_and_quantiles(void **state)
{
    (void)state;
    double v[COUNT(golden_values)];
    memcpy(v, golden_values, sizeof v);
    ul_sort(v, COUNT(v));
    for (size_t i = 0; i < COUNT(golden_quantile); i++) {
        near(ul_quantile(v, COUNT(v), golden_quantile[i][0]), golden_quantile[i][1], 1e-15, "quantile", i);
    }
    near(ul_harmonic_mean(golden_positive, COUNT(golden_positive)), golden_hmean, 1e-15, "hmean", 0);
    assert_true(ul_harmonic_mean((double[]){0.5, 0, 0.5}, 3) == 0);
    assert_true(ul_sum((double[]){1, 1e100, 1, -1e100}, 4) == 2); /* what a plain sum loses */
}

static void best_threshold(void **state)
{
    (void)state;
    const double negative[10] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, positive[4] = {0.5, 8.5, 9, 9.5};
    assert_true(ul_tpr_at_fpr(positive, 4, negative, 10, 0) == 0.25);
    assert_true(ul_tpr_at_fpr(positive, 4, negative, 10, 0.1) == 0.75);
    assert_true(ul_tpr_at_fpr(positive, 4, negative, 10, 1) == 1);
}

/* Clusters move together: with one value in a cluster, every replicate mean is a mean over drawn clusters. */
static void clusters_move_together(void **state)
{
    (void)state;
    ul_ctx *ctx = ul_test_ctx();
    ul_arena *a = arena(ctx);
    const int64_t entity[9] = {7, 7, -1, 30, 30, 30, -1, 7, 12};
    const double x[9] = {1, 1, 10, 100, 100, 100, 10, 1, 1000}, one[9] = {1, 1, 1, 1, 1, 1, 1, 1, 1};
    const double per_cluster[4] = {1, 10, 100, 1000};
    const int size[4] = {3, 2, 3, 1};
    ul_clusters c;
    UL_OK_IN(ctx, ul_clusters_init(a, entity, 9, &c));
    assert_int_equal(c.n_cluster, 4);
    enum { REPS = 200 };
    double *mean = UL_NEW(a, double, 2 * REPS);
    const double *const column[2] = {x, one};
    UL_OK_IN(ctx, ul_bootstrap_means(a, &c, column, 2, 42, 0, REPS, mean));
    int moved = 0;
    for (uint32_t rep = 0; rep < REPS; rep++) {
        int64_t draw[4];
        double sum = 0, n = 0;
        ul_resample(42, 0, rep, 4, draw);
        for (int i = 0; i < 4; i++) {
            assert_true(draw[i] >= 0 && draw[i] < 4);
            sum += per_cluster[draw[i]] * size[draw[i]];
            n += size[draw[i]];
        }
        near(mean[2 * rep], sum / n, 1e-14, "replicate", rep);
        near(mean[2 * rep + 1], 1, 0, "paired column", rep);
        int64_t other[4];
        ul_resample(42, 1, rep, 4, other);
        moved += memcmp(draw, other, sizeof draw) != 0;
    }
    assert_true(moved > REPS / 2); /* groups are drawn independently */
    ul_arena_free(a);
    ul_ctx_free(ctx);
}

/* Coverage: the 95 % interval of a mean of 100 uniform numbers contains 1/2 in about 95 % of 400 worlds; with the rows
 * of an entity copied, intervals that ignore the entities are too narrow and cover far less. */
static void intervals_cover(void **state)
{
    (void)state;
    ul_ctx *ctx = ul_test_ctx();
    ul_arena *a = arena(ctx);
    int covered = 0, covered_by_rows = 0;
    for (uint64_t world = 0; world < 400; world++) {
        double x[100], mean[300];
        int64_t entity[100];
        for (int i = 0; i < 100; i++) {
            entity[i] = i / 4;
            x[i] = ul_rng_uniform(9, UL_STREAM_TEST, world, (uint64_t)i / 4);
        }
        const double *const column[1] = {x};
        for (int by_entity = 0; by_entity < 2; by_entity++) {
            ul_clusters c;
            UL_OK_IN(ctx, ul_clusters_init(a, by_entity ? entity : NULL, 100, &c));
            UL_OK_IN(ctx, ul_bootstrap_means(a, &c, column, 1, world, 0, 300, mean));
            const ul_interval ci = ul_interval_percentile(mean, 300, 0.95);
            assert_int_equal(ci.n_used, 300);
            *(by_entity ? &covered : &covered_by_rows) += ci.lo <= 0.5 && 0.5 <= ci.hi;
        }
        ul_arena_reset(a);
    }
    if (covered < 360 || covered > 396) fail_msg("covered %d of 400", covered);
    if (covered_by_rows > 320) fail_msg("rows as units covered %d of 400", covered_by_rows);
    ul_arena_free(a);
    ul_ctx_free(ctx);
}

static void discarded_replicates_are_counted(void **state)
{
    (void)state;
    double r[5] = {3, NAN, 1, 2, NAN};
    const ul_interval ci = ul_interval_percentile(r, 5, 1);
    assert_int_equal(ci.n_used, 3);
    assert_int_equal(ci.n_discarded, 2);
    assert_true(ci.lo == 1 && ci.hi == 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stems_as_nltk),
        cmocka_unit_test(rouge_as_rouge_score),
        cmocka_unit_test(two_samples_as_scipy),
        cmocka_unit_test(two_large_samples_as_scipy),
        cmocka_unit_test(nan_is_never_a_number),
        cmocka_unit_test(means_and_quantiles),
        cmocka_unit_test(best_threshold),
        cmocka_unit_test(clusters_move_together),
        cmocka_unit_test(intervals_cover),
        cmocka_unit_test(discarded_replicates_are_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
