/* The numeric test vectors of reference/test-vectors.txt (metrics.md, section 18) that concern metrics and statistics:
 * TV-1 .. TV-13, TV-18, TV-23, TV-24, TV-28 (the others: test_protocol_vectors.c). Inputs and expected values are read
 * from the file; inputs that the file names only in words are written here. */
#include "unit/metric/vectors.h"
#include <float.h>

static void tv_1_stems(void **state)
{
    world *w = *state;
    char all[1 << 14];
    snprintf(all, sizeof all, "%s", line(w, "### TV-1 ", "flies->"));
    int n = 0;
    for (char *p = strtok(all, "; "); p; p = strtok(NULL, "; "), n++) {
        char *want = strstr(p, "->") + 2;
        p[ul_porter_stem(p, (size_t)(want - 2 - p))] = 0;
        assert_string_equal(p, want);
    }
    assert_true(n > 80);
}

/* A Python string literal: its text; returns what follows. */
static char *literal(char *p, char **text)
{
    const char quote = *p++;
    *text = p;
    p = strchr(p, quote);
    *p = 0;
    return p + 1;
}

static void tv_2_rouge(void **state)
{
    world *w = *state;
    char *section = strdup(strstr(w->text, "### TV-2 "));
    *strstr(section + 1, "### TV-") = 0;
    int n = 0;
    for (char *p = section, *next; (p = strstr(p, "\nref=")); p = next, n++) {
        next = p + 1 + strcspn(p + 1, "\n");
        char *ref, *hyp;
        p = literal(p + 5, &ref);
        p = literal(strstr(p, "hyp=") + 4, &hyp);
        const bool stem = strncmp(strstr(p, "stem=") + 5, "True", 4) == 0;
        const char *values = strstr(p, " P=");
        double want[4];
        *next = 0;
        assert_int_equal(numbers(values, want, 4), 4);
        *next = '\n';
        ul_rouge_scores s;
        UL_OK_IN(w->ctx, ul_rouge(w->a, ref, hyp, stem, &s));
        near(s.rougeL.precision, want[0], "P");
        near(s.rougeL.recall, want[1], "R");
        near(s.rougeL.f1, want[2], "F1");
        near(s.rouge1.recall, want[3], "rouge1 recall");
    }
    free(section);
    assert_int_equal(n, 14);
}

static void tv_3_probability(void **state)
{
    world *w = *state;
    double v[16];
    const int n = numbers(line(w, "### TV-3 ", "token logprobs"), v, 16);
    assert_int_equal(n, 8); /* four log-probabilities, sum, avg_loss, Prob, sum prob */
    const int64_t token[2] = {0, 4};
    const ul_columns c = {.n_row = 1, .token = token, .logp = v};
    const ul_result r = compute(w, "probability", NULL, &(ul_input){"data", &c, 0}, 1);
    near(r.part[0].rows.avg_loss[0], v[5], "avg_loss");
    near(r.agg_value, v[6], "Prob");
}

static void tv_4_truth_ratio(void **state)
{
    world *w = *state;
    double in[8], v[16];
    assert_int_equal(numbers(line(w, "### TV-4 ", "para loss"), in, 8), 6);
    const int64_t first[2] = {0, 5};
    const ul_columns right = {.n_row = 1, .avg_loss = in}, wrong = {.n_row = 1, .first = first, .avg_loss = in + 1};
    const ul_input input[2] = {{"wrong", &wrong, 0}, {"correct", &right, 0}}; /* any order */
    static const char *const how[2] = {"geometric", "arithmetic"};
    for (int k = 0; k < 2; k++) {
        char args[3][96];
        snprintf(args[0], sizeof args[0], "aggregator=closer_to_1_better wrong=%s", how[k]);
        snprintf(args[1], sizeof args[1], "aggregator=true_better wrong=%s", how[k]);
        snprintf(args[2], sizeof args[2], "aggregator=prob_mean wrong=%s", how[k]);
        const char *l = line(w, "### TV-4 ", k ? "arithmetic (paper" : "geometric (code)");
        assert_true(numbers(strchr(l, '='), v, 16) > 6);
        /* the file's R = w / c has no epsilon: 1e-10 / c of it */
        assert_true(fabs(compute(w, "truth_ratio", args[0], input, 2).agg_value - v[0]) < 1e-9);
        assert_true(fabs(compute(w, "truth_ratio", args[1], input, 2).agg_value - (1 - v[0])) < 1e-9);
        double last[16];
        const int n = numbers(strstr(l, "knowledge form"), last, 16);
        near(compute(w, "truth_ratio", args[2], input, 2).agg_value, last[n - 1], "knowledge form");
    }
    double over[16];
    ul_result r = {.n_part = 1};
    /* 4 scores, 1, mean, 0, 1, mean */
    assert_int_equal(numbers(line(w, "### TV-4 ", "aggregate over R="), over, 16), 9);
    r.part[0].rows = (ul_columns){.n_row = 4, .score = over};
    UL_OK_IN(w->ctx, ul_metric_aggregate(w->a, metric(w, "truth_ratio"), NULL, &r));
    near(r.agg_value, over[5], "mean of min(R, 1/R)");
    const ul_result_spec keep = {.name = "keep", .metric = "truth_ratio", .args = "aggregator=true_better"};
    ul_args args;
    UL_OK_IN(w->ctx, ul_result_args(w->a, &keep, &args));
    UL_OK_IN(w->ctx, ul_metric_aggregate(w->a, metric(w, "truth_ratio"), &args, &r));
    near(r.agg_value, over[8], "mean of max(0, 1 - R)");
}

static void tv_5_probability_w_options(void **state)
{
    world *w = *state;
    double v[8];
    assert_int_equal(numbers(line(w, "### TV-5 ", "p_true"), v, 8), 5);
    const int64_t first[2] = {0, 3};
    const ul_columns right = {.n_row = 1, .prob = v}, wrong = {.n_row = 1, .first = first, .prob = v + 1};
    const ul_input in[2] = {{"correct", &right, 0}, {"wrong", &wrong, 0}};
    near(compute(w, "probability_w_options", NULL, in, 2).agg_value, v[4], "share");
}

static void tv_6_model_utility(void **state)
{
    world *w = *state;
    double v[12];
    assert_int_equal(numbers(line(w, "### TV-6 ", "[0.85"), v, 12), 10);
    ul_input in[9];
    for (int i = 0; i < 9; i++) in[i] = (ul_input){"part", NULL, v[i]};
    near(compute(w, "hm_aggregate", NULL, in, 9).agg_value, v[9], "model utility");
    in[4].agg_value = 0;
    assert_true(compute(w, "hm_aggregate", NULL, in, 9).agg_value == 0);
}

static double ks(world *w, double *x, int n, double *y, int m, const char *report)
{
    const ul_columns a = {.n_row = n, .score = x}, b = {.n_row = m, .score = y};
    const ul_input in[2] = {{"forget", &a, 0}, {"retain", &b, 0}};
    return compute(w, "ks_test", report, in, 2).agg_value;
}

static void tv_7_kolmogorov_smirnov(void **state)
{
    world *w = *state;
    double v[32], x[400], y[400];
    assert_true(numbers(line(w, "### TV-7 ", "x [0.1"), v, 32) >= 18);
    near(ks(w, v, 8, v + 8, 8, "report=d"), v[16], "D");
    near(ks(w, v, 8, v + 8, 8, NULL), v[17], "p");
    assert_int_equal(numbers(line(w, "### TV-7 ", "[1,2,3] vs"), v, 32), 8);
    near(ks(w, v, 3, v + 3, 3, "report=d"), v[6], "D with a tie");
    near(ks(w, v, 3, v + 3, 3, NULL), v[7], "p with a tie");
    assert_true(numbers(strchr(line(w, "### TV-7 ", "unequal"), ':'), v, 32) >= 10);
    near(ks(w, v, 5, v + 5, 3, NULL), v[9], "p of unequal sizes");
    static const int size[3] = {20, 200, 400};
    static const char *const disjoint[3] = {
        "disjoint samples n=m=20:", "disjoint samples n=m=200:", "disjoint samples n=m=400:"};
    static const char *const fifth[3] = {"n=m=40 D=0.2", "n=m=200 D=0.2", "n=m=400 D=0.2"};
    for (int k = 0; k < 3; k++) {
        for (int i = 0; i < size[k]; i++) {
            x[i] = i;
            y[i] = 1000 + i;
        }
        const int n = numbers(strrchr(line(w, "### TV-7 ", disjoint[k]), ' '), v, 4);
        near(ks(w, x, size[k], y, size[k], NULL), v[n - 1], disjoint[k]);
        const int m = k ? size[k] : 40; /* y is x moved by m / 5 places */
        for (int i = 0; i < m; i++) {
            x[i] = i;
            y[i] = i + m / 5 - 0.5;
        }
        assert_int_equal(numbers(strrchr(line(w, "### TV-7 ", fifth[k]), ' '), v, 4), 1);
        assert_true(fabs(ks(w, x, m, y, m, "report=d") - 0.2) < 1e-15);
        near(ks(w, x, m, y, m, NULL), v[0], fifth[k]);
    }
}

static void tv_8_auc_and_privleak(void **state)
{
    world *w = *state;
    double v[16];
    assert_int_equal(numbers(strstr(line(w, "### TV-8 ", "loss forget"), "["), v, 16), 10);
    const ul_columns f = {.n_row = 4, .avg_loss = v}, h = {.n_row = 3, .avg_loss = v + 4};
    const ul_input in[2] = {{"forget", &f, 0}, {"holdout", &h, 0}};
    const ul_result r = compute(w, "mia_loss", NULL, in, 2);
    near(r.agg_value, v[8], "AUC");
    assert_int_equal(numbers(strstr(line(w, "### TV-8 ", "open-unlearning privleak"), "*100 ="), v, 16), 2);
    const ul_input leak[1] = {{"forget", NULL, r.agg_value}};
    near(compute(w, "privleak", NULL, leak, 1).agg_value, v[1], "privleak without a control");
    static const char *const muse[4] = {"MUSE form AUC_unl=0.0012", "MUSE form AUC_unl=0.4772", "MUSE form AUC_unl=0.9",
                                        "MUSE form AUC_unl=1.0"};
    for (int k = 0; k < 4; k++) { /* MUSE's AUC is the other way round, its formula has no epsilon */
        assert_int_equal(numbers(line(w, "### TV-8 ", muse[k]), v, 16), 3);
        const ul_input both[2] = {{"forget", NULL, 1 - v[0]}, {"retain", NULL, 1 - v[1]}};
        assert_true(fabs(compute(w, "privleak", NULL, both, 2).agg_value - v[2]) < 1e-7);
    }
    static const char *const closeness[3] = {"s_MIA AUC=0.999", "s_MIA AUC=0.45", "s_MIA AUC=0.05"};
    for (int k = 0; k < 3; k++) {
        assert_int_equal(numbers(line(w, "### TV-8 ", closeness[k]), v, 16), 3);
        const ul_input both[2] = {{"forget", NULL, v[0]}, {"retain", NULL, v[1]}};
        assert_true(fabs(compute(w, "s_mia", NULL, both, 2).agg_value - v[2]) < 1e-15);
    }
}

static void tv_9_min_k(void **state)
{
    world *w = *state;
    double logp[6], mu[6], sigma2[6], v[16];
    char section[4096];
    snprintf(section, sizeof section, "%s", strstr(w->text, "### TV-9 "));
    char *p = section;
    for (int i = 0; i < 5; i++) {
        p = strstr(p, "\nlogits") + 1;
        char one[512];
        snprintf(one, sizeof one, "%.*s", (int)strcspn(p, "\n"), p);
        assert_int_equal(numbers(strstr(one, " logp"), v, 16), 4);
        logp[i] = v[0];
        mu[i] = v[1];
        sigma2[i] = v[2];
    }
    logp[5] = -9; /* end of sequence: left out */
    mu[5] = -1;
    sigma2[5] = 1;
    const int64_t token[2] = {0, 6};
    const ul_columns c = {.n_row = 1, .token = token, .logp = logp, .mu = mu, .sigma2 = sigma2};
    const ul_input in[2] = {{"forget", &c, 0}, {"holdout", &c, 0}};
    static const char *const k[3] = {"k=0.2", "k=0.4", "k=0.6"};
    for (int i = 0; i < 3; i++) {
        const char *l = strstr(line(w, "### TV-9 ", k[i]), "MinK score");
        assert_int_equal(numbers(strchr(l, ')'), v, 16), 2);
        near(compute(w, "mia_min_k", k[i], in, 2).part[0].agg_value, v[0], k[i]);
        near(compute(w, "mia_min_k_plus_plus", k[i], in, 2).part[1].agg_value, v[1], k[i]);
    }
}

static void tv_10_zlib(void **state)
{
    world *w = *state;
    static const char *const text[5] = {"", "a", "Paris", "The author's full name is Hsiao Yun-Hwa.",
                                        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"};
    static const char *const has[5] = {"'' utf8", "'a' utf8", "'Paris' utf8", "Yun-Hwa.\" utf8", "aaa' utf8"};
    const double one[5] = {1, 1, 1, 1, 1};
    const ul_columns c = {.n_row = 5, .avg_loss = one, .text = text};
    const ul_input in[2] = {{"forget", &c, 0}, {"holdout", &c, 0}};
    const ul_result r = compute(w, "mia_zlib", NULL, in, 2);
    for (int i = 0; i < 5; i++) {
        double v[2];
        assert_int_equal(numbers(strstr(line(w, "### TV-10 ", has[i]), "bytes"), v, 2), 2);
        near(r.part[0].rows.score[i], 1 / v[1], has[i]);
    }
}

static void tv_11_memorization(void **state)
{
    world *w = *state;
    char *section = strdup(strstr(w->text, "### TV-11 "));
    *strstr(section + 1, "### TV-") = 0;
    int n = 0;
    for (char *p = section; (p = strstr(p, "\npred")); p++, n++) {
        double v[32];
        char one[512];
        snprintf(one, sizeof one, "%.*s", (int)strcspn(p + 1, "\n"), p + 1);
        assert_int_equal(numbers(one, v, 32), 13);
        uint8_t hit[6] = {0}; /* the sixth is end of sequence */
        for (int i = 0; i < 5; i++) hit[i] = v[i] == v[5 + i];
        const int64_t token[2] = {0, 6};
        const ul_columns c = {.n_row = 1, .token = token, .hit = hit};
        const ul_input in = {"data", &c, 0};
        near(compute(w, "exact_memorization", NULL, &in, 1).agg_value, v[10], "EM");
        near(compute(w, "extraction_strength", "match=open-unlearning", &in, 1).agg_value, v[11], "ES of the peer");
        near(compute(w, "extraction_strength", NULL, &in, 1).agg_value, v[12], "ES");
        /* without end of sequence the last token is a real one: it counts, unless the peer is matched */
        const uint8_t eos_last[1] = {0};
        const int64_t five[2] = {0, 5};
        const ul_columns plain = {.n_row = 1, .token = five, .hit = hit, .eos_last = eos_last};
        near(compute(w, "exact_memorization", NULL, &(ul_input){"data", &plain, 0}, 1).agg_value, v[10], "EM, no EOS");
        double four = 0;
        for (int i = 0; i < 4; i++) four += hit[i] / 4.0;
        near(compute(w, "exact_memorization", "match=open-unlearning", &(ul_input){"data", &plain, 0}, 1).agg_value,
             four, "EM of the peer, no EOS");
    }
    free(section);
    assert_int_equal(n, 6);
}

static void tv_12_leak_at_k(void **state)
{
    world *w = *state;
    char *section = strdup(strstr(w->text, "### TV-12 "));
    *strstr(section + 1, "### TV-") = 0;
    int n = 0;
    for (char *p = section; (p = strstr(p, "\nn=")); p++, n++) {
        double score[200] = {0};
        int samples, hits, k;
        double want;
        assert_int_equal(sscanf(p + 1, "n=%d c=%d k=%d -> %lf", &samples, &hits, &k, &want), 4);
        for (int i = 0; i < hits; i++) score[i * 3 % samples] = 1; /* anywhere */
        const int64_t first[2] = {0, samples};
        const ul_columns c = {.n_row = 1, .first = first, .score = score};
        char args[32];
        snprintf(args, sizeof args, "k=%d", k);
        near(compute(w, "leak_at_k", args, &(ul_input){"data", &c, 0}, 1).agg_value, want, "pass@k");
    }
    assert_int_equal(n, 7);
    n = 0;
    for (char *p = section; (p = strstr(p, "\ncontinuous")); p++, n++) {
        double v[8];
        int k;
        double want;
        char *end = p + 1 + strcspn(p + 1, "\n");
        *end = 0;
        assert_int_equal(sscanf(strstr(p, "of k="), "of k=%d] = %lf", &k, &want), 2);
        assert_true(numbers(p + 1, v, 8) >= 5);
        *end = '\n';
        near(ul_expected_max(v, 5, k), want, "E[max of k]");
    }
    free(section);
    assert_int_equal(n, 4);
    assert_true(isnan(ul_expected_max((double[]){1, 2}, 2, 3)));
}

static void tv_13_repetition_and_perplexity(void **state)
{
    world *w = *state;
    static const char *const text[4] = {"a b a b a b a b", "the cat sat on the mat", "x x x x", "x"};
    static const char *const has[4] = {"['a', 'b'", "['the', 'cat'", "['x', 'x'", "['x'] H2"};
    const ul_columns c = {.n_row = 4, .generation = text};
    const ul_input in = {"data", &c, 0};
    const ul_result h = compute(w, "ngram_entropy", NULL, &in, 1), d = compute(w, "distinct_n", "n=2", &in, 1);
    for (int i = 0; i < 4; i++) {
        const char *l = line(w, "### TV-13 ", has[i]);
        double v[2];
        assert_int_equal(sscanf(strstr(l, ")/2 ") + 4, "%lf distinct-2 %lf", &v[0], &v[1]), 2);
        near(h.part[0].rows.score[i], v[0], has[i]);
        near(d.part[0].rows.score[i], v[1], has[i]);
    }
    const char *l = line(w, "### TV-13 ", "ppl:");
    const double logp[4] = {-2, -1, -3, -1}; /* the documents of 3 tokens and of 1 */
    const int64_t token[3] = {0, 3, 4};
    const ul_columns docs = {.n_row = 2, .token = token, .logp = logp},
                     one = {.n_row = 1, .token = token, .logp = logp};
    double want[3];
    assert_int_equal(sscanf(strstr(l, "exp(mean)="), "exp(mean)= %lf", &want[0]), 1);
    assert_int_equal(sscanf(strstr(l, "token-weighted"), "token-weighted %lf doc-averaged %lf", &want[1], &want[2]), 2);
    near(compute(w, "perplexity", NULL, &(ul_input){"data", &one, 0}, 1).agg_value, want[0], "perplexity");
    near(compute(w, "perplexity", NULL, &(ul_input){"data", &docs, 0}, 1).agg_value, want[1], "token-weighted");
    near(compute(w, "perplexity", "weight=row", &(ul_input){"data", &docs, 0}, 1).agg_value, want[2], "row-weighted");
    const double destroyed[1] = {-8e4};
    const ul_columns beyond = {.n_row = 1, .token = (const int64_t[2]){0, 1}, .logp = destroyed};
    assert_true(compute(w, "perplexity", NULL, &(ul_input){"data", &beyond, 0}, 1).agg_value == DBL_MAX);
}

static void tv_28_contrastive_accuracy(void **state)
{
    world *w = *state;
    double v[16], right[4], wrong[8];
    const char *l = line(w, "### TV-28 ", "[(0.9");
    assert_true(numbers(l, v, 16) >= 14);
    for (int i = 0; i < 4; i++) {
        right[i] = v[3 * i];
        wrong[2 * i] = v[3 * i + 1];
        wrong[2 * i + 1] = v[3 * i + 2];
    }
    double want[2];
    assert_int_equal(sscanf(strstr(l, "(tie=wrong)"), "(tie=wrong) %lf tie=1/(1+ties) %lf", &want[0], &want[1]), 2);
    const int64_t first[5] = {0, 2, 4, 6, 8};
    const ul_columns a = {.n_row = 4, .avg_loss = right}, b = {.n_row = 4, .first = first, .avg_loss = wrong};
    const ul_input in[2] = {{"correct", &a, 0}, {"wrong", &b, 0}};
    near(compute(w, "contrastive_accuracy", NULL, in, 2).agg_value, want[0], "ties wrong");
    near(compute(w, "contrastive_accuracy", "ties=share", in, 2).agg_value, want[1], "ties shared");
}

static void tv_18_final_ranking(void **state)
{
    world *w = *state;
    double v[8];
    assert_int_equal(numbers(strchr(line(w, "### TV-18 ", "1-ES"), '['), v, 8), 5);
    ul_input in[4];
    for (int i = 0; i < 4; i++) in[i] = (ul_input){"part", NULL, 1 - v[i]};
    near(compute(w, "hm_aggregate", "complement=true", in, 4).agg_value, v[4], "memorization");
    assert_true(numbers(strstr(line(w, "### TV-18 ", "Agg(SimNPO row"), " row"), v, 8) >= 4);
    for (int i = 0; i < 3; i++) in[i].agg_value = v[i];
    near(compute(w, "hm_aggregate", NULL, in, 3).agg_value, v[3], "aggregate");
}

/* splitmix64 and below(n) as section 18 defines them: other draws than ours, the same resampling and quantiles */
static uint64_t below(uint64_t *s, uint64_t n)
{
    uint64_t z = *s += 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    z ^= z >> 31;
    const uint64_t hi = z >> 32, lo = z & 0xffffffffu; /* high word of z * n, n < 2^32 */
    return (hi * n + (lo * n >> 32)) >> 32;
}

static void tv_23_bootstrap(void **state)
{
    world *w = *state;
    double v[32], mean[1000], sum = 0;
    const char *l = line(w, "### TV-23 ", "values [");
    assert_true(numbers(l, v, 32) >= 15);
    double want[4];
    assert_int_equal(numbers(strstr(l, "mean CI95") + 9, want, 4), 3);
    ul_clusters c;
    UL_OK_IN(w->ctx, ul_clusters_init(w->a, NULL, 10, &c));
    const double *const column[1] = {v};
    uint64_t s = 42;
    for (int rep = 0; rep < 1000; rep++) {
        int64_t draw[10];
        for (int i = 0; i < 10; i++) draw[i] = (int64_t)below(&s, 10);
        ul_means_of_draw(&c, column, 1, draw, &mean[rep]);
        sum += mean[rep];
    }
    const ul_interval ci = ul_interval_percentile(mean, 1000, 0.95);
    near(ci.lo, want[0], "lo");
    near(ci.hi, want[1], "hi");
    near(sum / 1000, want[2], "mean of the replicates");
}

static void tv_24_paired_clusters(void **state)
{
    world *w = *state;
    /* test-vectors.py: O, R, U and the same attacked */
    static const double k[6][12] = {{.9, .8, .95, .85, .7, .9, .8, .9, .85, .95, .9, .75},
                                    {.1, .2, .15, .1, .05, .2, .1, .1, .2, .15, .1, .1},
                                    {.12, .2, .3, .1, .1, .25, .1, .15, .2, .3, .1, .1},
                                    {.92, .82, .96, .86, .75, .92, .84, .9, .88, .96, .92, .8},
                                    {.15, .25, .2, .12, .1, .22, .15, .12, .22, .2, .12, .15},
                                    {.5, .6, .7, .55, .4, .65, .5, .6, .55, .7, .5, .45}};
    const double *const column[6] = {k[0], k[1], k[2], k[3], k[4], k[5]};
    int64_t entity[12];
    for (int i = 0; i < 12; i++) entity[i] = i / 2;
    ul_clusters c;
    UL_OK_IN(w->ctx, ul_clusters_init(w->a, entity, 12, &c));
    enum { B = 2000 };
    static double s[B], rho[B];
    uint64_t seed = 7;
    for (int rep = 0; rep < B; rep++) {
        int64_t draw[6];
        double m[6];
        for (int i = 0; i < 6; i++) draw[i] = (int64_t)below(&seed, 6);
        ul_means_of_draw(&c, column, 6, draw, m);
        s[rep] = (m[0] - m[2]) / (m[0] - m[1]);
        rho[rep] = 1 - (m[3] - m[5]) / (m[3] - m[4]);
    }
    double want[6];
    assert_int_equal(numbers(strstr(line(w, "### TV-24 ", "cluster bootstrap B=2000"), ": s CI95") + 9, want, 6), 4);
    const ul_interval is = ul_interval_percentile(s, B, 0.95), ir = ul_interval_percentile(rho, B, 0.95);
    near(is.lo, want[0], "s lo");
    near(is.hi, want[1], "s hi");
    near(ir.lo, want[2], "rho lo");
    near(ir.hi, want[3], "rho hi");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tv_1_stems),
        cmocka_unit_test(tv_2_rouge),
        cmocka_unit_test(tv_3_probability),
        cmocka_unit_test(tv_4_truth_ratio),
        cmocka_unit_test(tv_5_probability_w_options),
        cmocka_unit_test(tv_6_model_utility),
        cmocka_unit_test(tv_7_kolmogorov_smirnov),
        cmocka_unit_test(tv_8_auc_and_privleak),
        cmocka_unit_test(tv_9_min_k),
        cmocka_unit_test(tv_10_zlib),
        cmocka_unit_test(tv_11_memorization),
        cmocka_unit_test(tv_12_leak_at_k),
        cmocka_unit_test(tv_13_repetition_and_perplexity),
        cmocka_unit_test(tv_18_final_ranking),
        cmocka_unit_test(tv_23_bootstrap),
        cmocka_unit_test(tv_24_paired_clusters),
        cmocka_unit_test(tv_28_contrastive_accuracy),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
