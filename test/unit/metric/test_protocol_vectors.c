/* The test vectors that concern distances, protocols and multiple choice: TV-15, TV-16, TV-17, TV-19, TV-20, TV-22,
 * TV-25, TV-26, TV-29. Then the laws of what they use: bounds, curves, refusals. */
#include "unit/metric/vectors.h"

/* The number that follows `has` in a line. */
static double after(const char *line, const char *has)
{
    const char *p = strstr(line, has);
    double v[64];
    if (!p) fail_msg("no \"%s\" in \"%s\"", has, line);
    assert_true(numbers(p + strlen(has), v, 64) >= 1);
    return v[0];
}

static void tv_15_linear_cka(void **state)
{
    world *w = *state;
    char l[1 << 14];
    double v[32], cka;
    snprintf(l, sizeof l, "%s", line(w, "### TV-15 ", "X [["));
    assert_int_equal(numbers(l, v, 32),
                     8 + 2 + 8 + 1 + 1); /* X, the 2 of 2X and its CKA, Z and its, the rotated one's */
    double y[8], swapped[8], constant[8];
    for (int i = 0; i < 8; i++) y[i] = 2 * v[i], swapped[i] = v[i ^ 1], constant[i] = i % 2;
    UL_OK_IN(w->ctx, ul_linear_cka(w->a, v, 2, y, 2, 4, &cka));
    near(cka, v[9], "cka(X, 2X)");
    UL_OK_IN(w->ctx, ul_linear_cka(w->a, v, 2, v + 10, 2, 4, &cka));
    near(cka, v[18], "cka(X, Z)");
    UL_OK_IN(w->ctx, ul_linear_cka(w->a, v, 2, swapped, 2, 4, &cka));
    near(cka, v[19], "rotated");
    UL_OK_IN(w->ctx, ul_linear_cka(w->a, v, 2, constant, 2, 4, &cka));
    assert_true(isnan(cka));
    UL_OK_IN(w->ctx, ul_linear_cka(w->a, v, 2, v + 10, 4, 2, &cka));
    assert_true(cka >= 0 && cka <= 1 + 1e-12); /* other widths */
}

static void tv_16_depth_score(void **state)
{
    world *w = *state;
    double v[16];
    assert_true(numbers(line(w, "### TV-16 ", "[0.01"), v, 16) >= 9);
    const double none[4] = {0.01, 0.05, -1, 0};
    near(ul_depth_score(v, v + 4, 4, 0.05), v[8], "UDS");
    assert_true(isnan(ul_depth_score(none, v + 4, 4, 0.05)));
}

static void tv_17_meta_evaluation(void **state)
{
    world *w = *state;
    char l[1 << 14];
    double v[24];
    snprintf(l, sizeof l, "%s", line(w, "### TV-17 ", "before/after 0.10"));
    assert_true(numbers(l, v, 24) >= 4);
    near(ul_meta_relearning(v[0], v[1], v[2], v[3]), after(l, "R=min(r,1) "), "R");
    assert_true(ul_meta_relearning(0.1, 0.6, 0.1, 0.3) == 1);
    snprintf(l, sizeof l, "%s", line(w, "### TV-17 ", "before 0.20 after 0.25"));
    near(ul_meta_quantisation(0.20, 0.25), after(l, "q=before/after "), "Q");
    assert_true(ul_meta_quantisation(0.25, 0.20) == 1);
    snprintf(l, sizeof l, "%s", line(w, "### TV-17 ", "with du=.40"));
    const double r = ul_meta_similarity(0.4, 0.2), q = ul_meta_similarity(0.2, 0.25);
    near(r, after(l, "dr=.20 "), "symmetric R");
    near(q, after(l, "after .25 "), "symmetric Q");
    near(ul_harmonic_mean((double[]){r, q}, 2), after(l, "HM(R,Q) "), "robustness");
    assert_true(ul_meta_similarity(0, 0) == 1);
    static const struct {
        const char *name;
        double faithfulness, robustness;
    } overall[] = {
        {"ES", .92, .79}, {"EM", .90, .72}, {"TruthRatio", .95, .59}, {"ROUGE", .79, .64}}; /* metrics.md, 15.1 */
    for (int i = 0; i < 4; i++) {
        char has[64];
        snprintf(has, sizeof has, "robustness) %s ", overall[i].name);
        near(ul_harmonic_mean((double[]){overall[i].faithfulness, overall[i].robustness}, 2),
             after(line(w, "### TV-17 ", has), has), has);
    }
}

static void tv_19_multiple_choice(void **state)
{
    world *w = *state;
    double v[64], out[4];
    char l[1 << 14];
    assert_int_equal(numbers(line(w, "### TV-19 ", "[-1.2"), v, 8), 5);
    const int64_t one[2] = {0, 4};
    for (int gold = 0; gold < 4; gold++) {
        const double right = gold;
        const ul_columns c = {.n_row = 1, .first = one, .score = v}, g = {.n_row = 1, .score = &right};
        const ul_input in[2] = {{"choices", &c, 0}, {"gold", &g, 0}};
        assert_true(compute(w, "choice_accuracy", NULL, in, 2).agg_value == (gold == (int)v[4]));
    }
    /* groups weighted by size = the mean over all rows */
    snprintf(l, sizeof l, "%s", line(w, "### TV-19 ", "bio 0.50"));
    assert_int_equal(numbers(l, v, 8), 8);
    double *row = UL_NEW(w->a, double, (int64_t)(v[1] + v[3] + v[5])), size = 0;
    for (int k = 0; k < 3; k++) /* every row of a group with the group's accuracy */
        for (int i = 0; i < (int)v[2 * k + 1]; i++) row[(int)size++] = v[2 * k];
    near(ul_mean(row, (int64_t)size), v[6], "weighted by size");
    snprintf(l, sizeof l, "%s", line(w, "### TV-19 ", "letter logits"));
    assert_true(numbers(strchr(l, '['), v, 64) >= 16 + 4);
    const int64_t first[5] = {0, 4, 8, 12, 16};
    const ul_columns c = {.n_row = 4, .first = first, .score = v}, g = {.n_row = 4, .score = v + 16};
    const ul_input in[2] = {{"choices", &c, 0}, {"gold", &g, 0}};
    out[0] = compute(w, "choice_accuracy", NULL, in, 2).agg_value;
    out[1] = compute(w, "choice_accuracy", "calibrated=true", in, 2).agg_value;
    near(out[0], after(l, "raw acc "), "raw");
    near(out[1], after(l, "calibrated acc "), "calibrated");
    const double beyond[4] = {0, 1, 4, 0};
    const ul_columns bad = {.name = "gold", .n_row = 4, .score = beyond};
    const ul_input broken[2] = {{"choices", &c, 0}, {"gold", &bad, 0}};
    ul_result r;
    UL_FAILS_IN(w->ctx, UL_E_INPUT, "row 2: the right choice is number 4",
                ul_metric_compute(w->a, metric(w, "choice_accuracy"), NULL, broken, 2, &r));
}

static void tv_20_direction(void **state)
{
    world *w = *state;
    double v[8];
    assert_int_equal(numbers(line(w, "### TV-20 ", "[3.0, 4.0]"), v, 8), 6);
    const char *l = strstr(line(w, "### TV-20 ", "(h.u)u = "), "['");
    double want[2];
    assert_int_equal(sscanf(l, "['%lf', '%lf']", &want[0], &want[1]), 2);
    ul_remove_direction(v, v + 2, 2);
    for (int i = 0; i < 2; i++) assert_true(fabs(v[i] - want[i]) < 1e-14);
}

static void tv_22_distances(void **state)
{
    world *w = *state;
    const double p[3] = {.7, .2, .1}, q[3] = {.5, .25, .25};
    char l[1 << 14];
    snprintf(l, sizeof l, "%s", line(w, "### TV-22 ", "KL(p||q)"));
    near(ul_kl(p, q, 3), after(l, "KL(p||q) nats "), "KL(p||q)");
    near(ul_kl(q, p, 3), after(l, "KL(q||p) "), "KL(q||p)");
    near(ul_js(p, q, 3), after(l, "JSD nats "), "JS");
    near(ul_js(p, q, 3) / ul_log(2), after(l, "JSD/ln2 "), "JS / ln 2");
    near(ul_total_variation(p, q, 3), after(l, " TV "), "TV");
    double v[16];
    assert_int_equal(numbers(strchr(line(w, "### TV-22 ", "oracle margins"), '['), v, 16), 8);
    const double want = after(line(w, "### TV-22 ", "KL(N_unl||N_oracle) = "), "= ");
    assert_true(fabs(ul_gaussian_kl(v + 4, 4, v, 4) - want) < 1e-12 * want);
    const double sure[3] = {1, 0, 0}, never[3] = {0, .5, .5};
    assert_true(isinf(ul_kl(p, sure, 3)) && fabs(ul_js(sure, never, 3) - ul_log(2)) < 1e-15 &&
                fabs(ul_kl(sure, p, 3) + ul_log(.7)) < 1e-15);
    assert_true(isnan(ul_gaussian_kl(v, 1, v, 4)));
    /* the metrics read them token by token */
    const double kl[3] = {0.1, 0.3, 1}, back[3] = {0.2, 0.2, 2}, js[3] = {0.05, 0.15, 0.5};
    const uint8_t agree[3] = {1, 0, 0};
    const int64_t token[3] = {0, 2, 3};
    const ul_columns c = {.n_row = 2, .token = token, .kl = kl, .kl_reverse = back, .js = js, .agree = agree};
    const ul_input in = {"data", &c, 0};
    near(compute(w, "kl_divergence", NULL, &in, 1).agg_value, (0.2 + 1) / 2, "kl");
    near(compute(w, "kl_divergence", "direction=reverse", &in, 1).agg_value, (0.2 + 2) / 2, "kl reverse");
    near(compute(w, "js_divergence", NULL, &in, 1).agg_value, (0.1 + 0.5) / 2, "js");
    near(compute(w, "prediction_agreement", NULL, &in, 1).agg_value, 0.25, "agreement");
}

static void tv_25_savings(void **state)
{
    world *w = *state;
    char l[1 << 14];
    double v[16];
    snprintf(l, sizeof l, "%s", line(w, "### TV-25 ", "0.12->0.55"));
    for (char *p = l; (p = strstr(p, "->"));) p[0] = p[1] = ' ';
    assert_int_equal(numbers(l, v, 16), 12);
    assert_true(fabs(ul_savings(v[0], v[1], v[3], v[4]) - v[6]) < 1e-15);
    near(ul_recovered(v[7], v[8], v[9]), v[11], "rho");
}

static void tv_26_sequence(void **state)
{
    world *w = *state;
    char l[1 << 14];
    double v[16];
    snprintf(l, sizeof l, "%s", line(w, "### TV-26 ", "[[0.1]"));
    assert_true(numbers(l, v, 16) >= 6);
    const double *const rows[3] = {v, v + 1, v + 3};
    const ul_sequence s = ul_sequence_of(rows, 3), one = ul_sequence_of(rows, 1);
    near(s.on_arrival, after(l, "on-arrival mean "), "on arrival");
    near(s.final, after(l, "final mean "), "final");
    near(s.resurgence, after(l, "(A[T][j]-A[j][j]) "), "resurgence");
    assert_true(fabs(s.mean_resurgence - after(l, "over j<T ")) < 1e-15);
    assert_true(one.final == v[0] && isnan(one.resurgence));
}

static void tv_29_jeffreys(void **state)
{
    world *w = *state;
    char l[1 << 14];
    double v[16];
    snprintf(l, sizeof l, "%s", line(w, "### TV-29 ", "samples from U"));
    assert_int_equal(numbers(strchr(l, '['), v, 16), 11);
    near(ul_sampled_kl(v, v + 2, 2), v[8], "KL(U||R)");
    near(ul_sampled_kl(v + 4, v + 6, 2), v[9], "KL(R||U)");
    near(ul_sampled_kl(v, v + 2, 2) + ul_sampled_kl(v + 4, v + 6, 2), v[10], "Jeffreys");
}

/* P(X <= c) by the definition. */
static double naive_cdf(int c, int n, double p)
{
    double sum = 0;
    for (int i = 0; i <= c; i++)
        sum += exp(lgamma(n + 1) - lgamma(i + 1) - lgamma(n - i + 1)) * pow(p, i) * pow(1 - p, n - i);
    return sum;
}

static void bounds(void **state)
{
    world *w = *state;
    static const int cases[][2] = {{0, 1}, {0, 20}, {1, 20}, {3, 200}, {19, 20}, {100, 200}, {7, 1000}, {500, 1000}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int k = 0; k < 3; k++) {
            const double alpha = (const double[]){0.5, 0.05, 1e-6}[k],
                         p = ul_binomial_upper(cases[i][0], cases[i][1], alpha);
            const double got = naive_cdf(cases[i][0], cases[i][1], p);
            if (!(fabs(got - alpha) < 1e-8 * alpha + 1e-13))
                fail_msg("%d of %d: P = %g at %.17g, not %g", cases[i][0], cases[i][1], got, p, alpha);
        }
    assert_true(fabs(ul_binomial_upper(0, 200, 0.05) - (1 - pow(0.05, 1 / 200.0))) < 1e-12);
    assert_true(ul_binomial_upper(5, 5, 0.05) == 1 && isnan(ul_binomial_upper(6, 5, 0.05)));
    assert_true(ul_binomial_upper(40000, 100000, 0.05) > 0.4 && ul_binomial_upper(40000, 100000, 0.05) < 0.403);
    double x[100];
    for (int i = 0; i < 100; i++) x[i] = i < 90 ? 0 : 1;
    assert_true(fabs(ul_mean_upper(x, 100, 0.05) - (0.1 + sqrt(log(20) / 200))) < 1e-12);
    assert_true(ul_mean_upper(x, 1, 0.05) == 1 && isnan(ul_mean_upper((double[]){2}, 1, 0.05)));
    /* the metric: two rows of three samples */
    const double score[6] = {0, 0.2, 0.9, 0, 0, 0};
    const int64_t first[3] = {0, 3, 6};
    const ul_columns c = {.name = "samples",
                          .n_row = 2,
                          .first = first,
                          .score = score,
                          .rougeL_recall = score,
                          .rouge1_recall = score,
                          .rougeL_f1 = score};
    const ul_input in = {"data", &c, 0};
    const ul_result r = compute(w, "leak_bound", NULL, &in, 1);
    assert_true(fabs(r.part[0].rows.score[0] - ul_binomial_upper(1, 3, 0.05)) == 0 &&
                r.part[0].rows.score[1] == ul_binomial_upper(0, 3, 0.05));
    assert_true(compute(w, "leak_bound", "bound=mean alpha=0.9", &in, 1).part[0].rows.score[1] < 1);
    near(compute(w, "leak_at_k", "k=3 score=rougeL_recall", &in, 1).agg_value, 0.45, "leak@3 of ROUGE");
    /* 0, 0.2, 0.9 have the mean 11/30 and swing by sqrt(0.85/3 - (11/30)^2); the second row's do not */
    const double sigma = sqrt(0.85 / 3 - 121.0 / 900);
    near(compute(w, "leak_deviation", NULL, &in, 1).agg_value, sigma / 2, "deviation of samples");
    near(compute(w, "leak_deviation", "of=expectation_deviation weight=3 score=rougeL_recall", &in, 1).agg_value,
         (11.0 / 30 + 3 * sigma) / 2, "expectation and deviation of samples");
}

static void curve(void **state)
{
    (void)state;
    double x[50], y[40], fpr[91], tpr[91], area = 0;
    for (int i = 0; i < 50; i++)
        x[i] = floor(8 * ul_rng_uniform(1, UL_STREAM_TEST, 1, (uint64_t)i)) + 1; /* with ties */
    for (int i = 0; i < 40; i++) y[i] = floor(8 * ul_rng_uniform(1, UL_STREAM_TEST, 2, (uint64_t)i));
    const double auc = ul_auc(x, 50, y, 40);
    const int64_t k = ul_roc(x, 50, y, 40, fpr, tpr);
    for (int64_t i = 1; i < k; i++) {
        assert_true(fpr[i] >= fpr[i - 1] && tpr[i] >= tpr[i - 1]);
        area += (fpr[i] - fpr[i - 1]) * (tpr[i] + tpr[i - 1]) / 2;
    }
    assert_true(fpr[0] == 0 && tpr[0] == 0 && fpr[k - 1] == 1 && tpr[k - 1] == 1 && fabs(area - auc) < 1e-14);
    for (int64_t i = 0; i < k; i++) assert_true(ul_tpr_at_fpr(x, 50, y, 40, fpr[i] + 1e-12) >= tpr[i]);
}

static double refused(world *w, const char *path, bool answers, int64_t *n)
{
    FILE *f = fopen(ul_test_shared(path), "rb");
    static char l[1 << 14];
    double sum = 0;
    assert_non_null(f);
    for (*n = 0; fgets(l, sizeof l, f);) {
        const char *p = answers ? strstr(l, "\"answer\"") : l;
        if (!p || strlen(p) < 8) continue;
        const ul_columns c = {.n_row = 1, .generation = &p};
        sum += compute(w, "refusal_rate", NULL, &(ul_input){"data", &c, 0}, 1).agg_value;
        (*n)++;
    }
    fclose(f);
    return sum / (double)*n;
}

static void refusals(void **state)
{
    world *w = *state;
    int64_t n[4];
    const double idk = refused(w, "data/datasets/tofu/idontknow.jsonl", false, &n[0]);
    const double polite = refused(w, "data/datasets/refusals/polite_refusal_responses_tofu.csv", false, &n[1]);
    const double truth = refused(w, "data/datasets/tofu/full.json", true, &n[2]);
    const double facts = refused(w, "data/datasets/tofu/world_facts.json", true, &n[3]);
    printf("refusals found: %.3f of %d, %.3f of %d; true answers flagged: %.4f of %d, %.4f of %d\n", idk, (int)n[0],
           polite, (int)n[1], truth, (int)n[2], facts, (int)n[3]);
    assert_true(n[0] == 100 && n[1] > 20 && n[2] == 4000 && n[3] > 100);
    assert_true(idk >= 0.95 && polite >= 0.9 && truth <= 0.002 && facts <= 0.01);
    const char *curly = "I don\xe2\x80\x99t know, sorry";
    const ul_columns c = {.n_row = 1, .generation = &curly};
    assert_true(compute(w, "refusal_rate", NULL, &(ul_input){"data", &c, 0}, 1).agg_value == 1);
}

static void repeats(void **state)
{
    world *w = *state;
    static const char *const text[2] = {"a b a b a b a b", "x"}; /* TV-13 */
    const ul_columns c = {.n_row = 2, .generation = text};
    const ul_result r = compute(w, "repetition", "n=2", &(ul_input){"data", &c, 0}, 1);
    near(r.part[0].rows.score[0], after(line(w, "### TV-13 ", "['a', 'b'"), "rep-2=1-distinct-2 "), "rep-2");
    near(r.part[0].rows.score[1], after(line(w, "### TV-13 ", "['x'] H2"), "rep-2=1-distinct-2 "), "rep-2 of one word");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tv_15_linear_cka),
        cmocka_unit_test(tv_16_depth_score),
        cmocka_unit_test(tv_17_meta_evaluation),
        cmocka_unit_test(tv_19_multiple_choice),
        cmocka_unit_test(tv_20_direction),
        cmocka_unit_test(tv_22_distances),
        cmocka_unit_test(tv_25_savings),
        cmocka_unit_test(tv_26_sequence),
        cmocka_unit_test(tv_29_jeffreys),
        cmocka_unit_test(bounds),
        cmocka_unit_test(curve),
        cmocka_unit_test(refusals),
        cmocka_unit_test(repeats),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
