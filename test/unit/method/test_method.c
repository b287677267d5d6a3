/* What the methods must be at points where the answer is known without running them (methods.md, section Q), the
 * registry, and who leaves whose numbers alone. */
#include "method/method.h"
#include "ul_test.h"
#include <math.h>

enum { T = 6 };
typedef struct {
    double logp[T], ref[T], kl[T], ce[T], gap[T], dist[T], rival[T];
    double dlogp[T], dkl[T], dce[T], dgap[T], ddist[T], drival[T];
} doc;

static ul_side side(doc *d, int32_t n, double n_tok, double n_seq)
{
    memset(d->dlogp, 0, sizeof d->dlogp);
    memset(d->dkl, 0, sizeof d->dkl);
    memset(d->dce, 0, sizeof d->dce);
    memset(d->dgap, 0, sizeof d->dgap);
    memset(d->ddist, 0, sizeof d->ddist);
    memset(d->drival, 0, sizeof d->drival);
    return (ul_side){.n = n, .n_tok = n_tok, .n_seq = n_seq, .token_share = 1 / (n_seq * n), .dual = 1,
                     .logp = d->logp, .ref = d->ref, .kl = d->kl, .ce = d->ce, .gap = d->gap, .dist = d->dist,
                     .rival = d->rival, .dlogp = d->dlogp, .dkl = d->dkl, .dce = d->dce, .dgap = d->dgap,
                     .ddist = d->ddist, .drival = d->drival};
}

static doc some(uint64_t k)
{
    doc d = {0};
    for (int t = 0; t < T; t++) {
        d.logp[t] = -3 * ul_rng_uniform(1, UL_STREAM_TEST, k, (uint64_t)t);
        d.ref[t] = -3 * ul_rng_uniform(2, UL_STREAM_TEST, k, (uint64_t)t);
        d.kl[t] = ul_rng_uniform(3, UL_STREAM_TEST, k, (uint64_t)t);
        d.rival[t] = -3 * ul_rng_uniform(5, UL_STREAM_TEST, k, (uint64_t)t);
        d.ce[t] = 2 * ul_rng_uniform(4, UL_STREAM_TEST, k, (uint64_t)t);
    }
    return d;
}

static const ul_method *method(const char *id, ul_args *a)
{
    const ul_method *m = ul_method_find(id);
    if (!m) fail_msg("no method %s", id);
    ul_args_default(m->params, a);
    return m;
}

static void put(ul_args *a, const char *key, double x)
{
    for (int i = 0; a->params[i].key; i++)
        if (!strcmp(a->params[i].key, key)) {
            a->num[i] = x;
            return;
        }
    fail_msg("no parameter %s", key);
}

static double run(const ul_method *m, const ul_args *a, doc *f, doc *alt, doc *r, int32_t n)
{
    ul_side s[3] = {side(f, n, n, 1), side(alt, n, n, 1), side(r, n, n, 1)};
    return m->loss(a, &s[0], &s[1], &s[2]);
}

static void near(double got, double want, double eps)
{
    if (!(fabs(got - want) <= eps * fmax(1, fabs(want)))) fail_msg("%.15g is not %.15g", got, want);
}

/* Q1: at the reference NPO's loss is (2/beta) log 2 and its gradient that of ascent on the sequence sum. */
static void test_q1_npo_at_reference(void **state)
{
    (void)state;
    ul_args a;
    const ul_method *m = method("npo", &a);
    put(&a, "alpha", 0);
    doc f = some(0), alt = some(1), r = some(2);
    memcpy(f.ref, f.logp, sizeof f.ref);
    for (double beta = 0.05; beta < 2; beta *= 3) {
        put(&a, "beta", beta);
        near(run(m, &a, &f, &alt, &r, T), 2 / beta * ul_log(2), 1e-14);
        for (int t = 0; t < T; t++) assert_true(f.dlogp[t] == 1.0);
    }
}

/* Q1: NPO becomes ascent as beta goes to 0; the scale lies in (0, 2) and falls with the likelihood. */
static void test_q1_npo_limits(void **state)
{
    (void)state;
    ul_args a;
    const ul_method *m = method("npo", &a);
    put(&a, "alpha", 0);
    doc f = some(3), alt = some(1), r = some(2);
    put(&a, "beta", 1e-6);
    (void)run(m, &a, &f, &alt, &r, T);
    for (int t = 0; t < T; t++) near(f.dlogp[t], 1, 1e-4);
    put(&a, "beta", 1);
    /* Likelier than under the reference: above 1, below 2; less likely: below 1. */
    memcpy(f.logp, f.ref, sizeof f.logp);
    f.logp[0] += 0.5;
    (void)run(m, &a, &f, &alt, &r, T);
    for (int t = 0; t < T; t++) assert_true(f.dlogp[t] > 1 && f.dlogp[t] < 2);
    f.logp[0] -= 1;
    (void)run(m, &a, &f, &alt, &r, T);
    for (int t = 0; t < T; t++) assert_true(f.dlogp[t] > 0 && f.dlogp[t] < 1);
    double last = 2;
    for (double x = 0; x > -40; x -= 2) {
        f.logp[0] = x;
        (void)run(m, &a, &f, &alt, &r, T);
        assert_true(f.dlogp[0] > 0 && f.dlogp[0] < last);
        last = f.dlogp[0];
    }
    near(last, 0, 1e-12);
}

/* Q2: NPO against a reference of probability 1, with beta / |y|, is |y| times SimNPO with delta 0. */
static void test_q2_npo_is_simnpo(void **state)
{
    (void)state;
    ul_args a, b;
    const ul_method *npo = method("npo", &a), *sim = method("simnpo", &b);
    put(&a, "alpha", 0), put(&b, "alpha", 0), put(&b, "gamma", 1);
    put(&a, "beta", 4.5 / T), put(&b, "beta", 4.5);
    doc f = some(4), alt = some(1), r = some(2);
    memset(f.ref, 0, sizeof f.ref);
    near(run(npo, &a, &f, &alt, &r, T), T * run(sim, &b, &f, &alt, &r, T), 1e-13);
}

/* Q6: DPO of an answer against itself: (2/beta) log 2, and the two gradients cancel. */
static void test_q6_dpo_of_equals(void **state)
{
    (void)state;
    ul_args a;
    const ul_method *m = method("dpo", &a);
    put(&a, "alpha", 0);
    doc f = some(5), alt = f, r = some(2);
    near(run(m, &a, &f, &alt, &r, T), 2 / 0.1 * ul_log(2), 1e-14);
    for (int t = 0; t < T; t++) assert_true(f.dlogp[t] == 1 && alt.dlogp[t] == -1);
}

/* Two methods that must be the same arithmetic: forget and retain gradients and losses agree to eps. */
static void same(const ul_method *m, const ul_args *a, const ul_method *other, const ul_args *b, double eps)
{
    for (uint64_t k = 20; k < 24; k++) {
        doc x[3] = {some(k), some(k + 100), some(k + 200)}, y[3] = {x[0], x[1], x[2]};
        near(run(m, a, &x[0], &x[1], &x[2], T), run(other, b, &y[0], &y[1], &y[2], T), eps);
        for (int s = 0; s < 3; s++)
            for (int t = 0; t < T; t++) {
                near(x[s].dlogp[t], y[s].dlogp[t], eps);
                near(x[s].dkl[t], y[s].dkl[t], eps);
            }
    }
}

/* Q3: without their powers the weighted ascents are graddiff; with one of them they are each other. */
static void test_q3_weights_of_nothing(void **state)
{
    (void)state;
    ul_args g, w, s, n, wn;
    const ul_method *graddiff = method("graddiff", &g), *wga = method("wga", &w), *satimp = method("satimp", &s),
                    *tnpo = method("tnpo", &n), *wtnpo = method("wtnpo", &wn);
    put(&w, "beta", 0);
    same(wga, &w, graddiff, &g, 1e-15);
    put(&s, "gamma", 1), put(&s, "alpha", 1), put(&s, "beta1", 0), put(&s, "beta2", 0);
    same(satimp, &s, graddiff, &g, 1e-15);
    put(&n, "beta", 0);
    same(tnpo, &n, graddiff, &g, 1e-15);
    put(&w, "beta", 3), put(&s, "beta1", 3);
    same(satimp, &s, wga, &w, 1e-15);
    put(&wn, "beta", 0), put(&wn, "power", 3);
    same(wtnpo, &wn, wga, &w, 1e-15);
    put(&n, "beta", 4), put(&wn, "beta", 4), put(&wn, "power", 0);
    same(wtnpo, &wn, tnpo, &n, 1e-15);
}

/* The weights themselves, as the papers write them. */
static void test_weights(void **state)
{
    (void)state;
    static const char *const id[] = {"wga", "satimp", "tnpo", "wtnpo"};
    for (int i = 0; i < 4; i++) {
        ul_args a;
        const ul_method *m = method(id[i], &a);
        put(&a, "gamma", 1);
        if (i > 1) put(&a, "eps", 1e-5);
        doc f = some(13), alt = some(1), r = some(2);
        (void)run(m, &a, &f, &alt, &r, T);
        for (int t = 0; t < T; t++) {
            const double p = exp(f.logp[t]), q = exp(f.ref[t]), odds = pow(p, 4) + pow(q, 4) + 1e-5;
            const double w[4] = {p, pow(p, 5) * (1 - p), 2 * pow(p, 4) / odds, 2 * pow(p, 5.5) / odds};
            near(T * f.dlogp[t], w[i], 1e-13);
        }
    }
}

/* Q3: at the reference tnpo is ascent; a token that is certain or gone has finite numbers and the weight it should. */
static void test_q3_weights_at_ends(void **state)
{
    (void)state;
    ul_args a, b;
    const ul_method *tnpo = method("tnpo", &a), *satimp = method("satimp", &b);
    doc f = some(14), alt = some(1), r = some(2);
    memcpy(f.ref, f.logp, sizeof f.ref);
    (void)run(tnpo, &a, &f, &alt, &r, T);
    for (int t = 0; t < T; t++) near(T * f.dlogp[t], 1, 1e-15);
    put(&a, "eps", 1e-5);
    f.logp[0] = -1000, f.logp[1] = 0, f.ref[1] = -1000;
    assert_true(isfinite(run(tnpo, &a, &f, &alt, &r, T)));
    assert_true(f.dlogp[0] == 0);
    near(T * f.dlogp[1], 2, 1e-4);
    assert_true(isfinite(run(satimp, &b, &f, &alt, &r, T)));
    assert_true(f.dlogp[0] == 0 && f.dlogp[1] == 0);
}

/* While the alternates have not gained, KTO is NPO; once they have, its ascent rests. They never get a gradient. */
static void test_kto_reference_point(void **state)
{
    (void)state;
    ul_args a, b;
    const ul_method *kto = method("kto", &a), *npo = method("npo", &b);
    doc f = some(30), alt = some(31), r = some(32), g = f;
    memcpy(alt.ref, alt.logp, sizeof alt.ref);
    double last = 2;
    for (int gain = -3; gain < 8; gain++) {
        alt.logp[0] = alt.ref[0] + gain * 20;
        const double got = run(kto, &a, &f, &alt, &r, T), want = run(npo, &b, &g, &alt, &r, T);
        if (gain <= 0) {
            near(got, want, 1e-14);
            near(f.dlogp[0], g.dlogp[0], 1e-14);
        } else {
            assert_true(f.dlogp[0] < last);
        }
        last = f.dlogp[0];
        for (int t = 0; t < T; t++) assert_true(alt.dlogp[t] == 0);
    }
    near(last, 0, 1e-5);
}

/* FLAT against the paper's table of g and the conjugate f*, and both its signs, for each divergence. */
static void test_flat(void **state)
{
    (void)state;
    static const char *const name[] = {"tv", "kl", "pearson", "js"};
    for (int i = 0; i < 4; i++) {
        ul_args a;
        const ul_method *m = method("flat", &a);
        a.text[0] = name[i];
        doc f = some(40), alt = some(41), r = some(42);
        double p[2] = {0, 0}, g[2], u;
        for (int t = 0; t < T; t++) p[0] += exp(f.logp[t]) / T, p[1] += exp(alt.logp[t]) / T;
        for (int s = 0; s < 2; s++)
            g[s] = i == 0 ? tanh(p[s]) / 2 : i == 3 ? log(2 / (1 + exp(-p[s]))) : p[s];
        u = g[0];
        const double conjugate = i == 0 ? u : i == 1 ? exp(u - 1) : i == 2 ? u * u / 4 + u : -log(2 - exp(u));
        near(run(m, &a, &f, &alt, &r, T), conjugate - g[1], 1e-13);
        for (int t = 0; t < T; t++) assert_true(f.dlogp[t] > 0 && alt.dlogp[t] < 0 && r.dlogp[t] == 0);
    }
}

/* klmin is ga_kl, gundavarapu graddiff, altpo dpo; yao counts sequences: graddiff only where all are as long. */
static void test_recipes(void **state)
{
    (void)state;
    ul_args a, b, c;
    const ul_method *yao = method("yao", &c), *graddiff = method("graddiff", &b);
    for (int twice = 0; twice < 2; twice++) {
        const ul_method *klmin = method("klmin", &a), *ga_kl = method("ga_kl", &b);
        if (twice) put(&a, "gamma", 0.3), put(&b, "gamma", 0.3), put(&a, "alpha", 3), put(&b, "alpha", 3);
        same(klmin, &a, ga_kl, &b, 0);
        c.text[0] = "kl";
        put(&c, "gamma", ul_num(&b, "gamma")), put(&c, "alpha", ul_num(&b, "alpha"));
        same(yao, &c, ga_kl, &b, 1e-14);
        (void)method("graddiff", &b);
        c.text[0] = "gd";
        if (twice) put(&b, "gamma", 0.3), put(&b, "alpha", 3);
        same(yao, &c, graddiff, &b, 1e-14);
        const ul_method *gundavarapu = method("gundavarapu", &a);
        if (twice) put(&a, "gamma", 0.3), put(&a, "alpha", 3);
        same(gundavarapu, &a, graddiff, &b, 0);
        const ul_method *altpo = method("altpo", &a), *dpo = method("dpo", &b);
        same(altpo, &a, dpo, &b, 0);
        (void)method("ga", &b);
        c.text[0] = "ga";
        put(&c, "gamma", 1);
        same(yao, &c, ul_method_find("ga"), &b, 1e-14);
        assert_int_equal(yao->needs_of(&c, yao->needs), UL_NEED_FORGET);
        for (int rival = 0; rival < 2; rival++) { /* the same arithmetic on other labels */
            const ul_method *labels = method(rival ? "advsample" : "randlabel", &b);
            c.text[0] = rival ? "adversarial" : "random";
            if (twice) put(&b, "gamma", 0.3), put(&c, "gamma", 0.3);
            same(yao, &c, labels, &b, 1e-14);
            assert_int_equal(yao->needs_of(&c, yao->needs), labels->needs_of(&b, labels->needs));
        }
    }
    (void)method("yao", &c);
    doc f[2] = {some(50), some(51)}, none = {0};
    double sum = 0, want = 0;
    for (int i = 0; i < 2; i++) {
        const int32_t n = i ? 2 : T;
        ul_side s[3] = {side(&f[i], n, T + 2, 2), side(&none, 0, 0, 0), side(&none, 0, 0, 0)};
        sum += yao->loss(&c, &s[0], &s[1], &s[2]);
        for (int32_t t = 0; t < n; t++) want += f[i].logp[t] / n / 2;
    }
    near(sum, want, 1e-14);
}

/* One gradient step down each loss does what the method promises to the likelihoods. */
static void test_effect(void **state)
{
    (void)state;
    static const struct {
        const char *id;
        int forget, alt, retain; /* sign of the change of log p that descent brings */
    } want[] = {{"ga", -1, 0, 0},     {"graddiff", -1, 0, 1}, {"ga_kl", -1, 0, 0}, {"npo", -1, 0, 1},
                {"simnpo", -1, 0, 1}, {"idk", 0, 1, 1},       {"dpo", -1, 1, 1},
                {"wga", -1, 0, 1},    {"satimp", -1, 0, 1},   {"tnpo", -1, 0, 1},  {"wtnpo", -1, 0, 1},
                {"kto", -1, 0, 1},    {"flat", -1, 1, 0},     {"klmin", -1, 0, 0}, {"yao", -1, 0, 1},
                {"gundavarapu", -1, 0, 1}, {"altpo", -1, 1, 1},
                {"ga_fkl", -1, 0, 0}, {"llmu", -1, 1, 0}, {"loku", -1, 0, 1}, {"randlabel", 1, 0, 0},
                {"advsample", 1, 0, 0}, {"elm", 0, 1, 1}, {"duet", 0, 0, 0}};
    for (size_t i = 0; i < sizeof want / sizeof want[0]; i++) {
        ul_args a;
        const ul_method *m = method(want[i].id, &a);
        doc d[3] = {some(6), some(7), some(8)};
        (void)run(m, &a, &d[0], &d[1], &d[2], T);
        const int sign[3] = {want[i].forget, want[i].alt, want[i].retain};
        for (int s = 0; s < 3; s++) {
            const double change = -d[s].dlogp[0];
            if ((change > 0) - (change < 0) != sign[s])
                fail_msg("%s moves side %d by %g, promised sign %d", want[i].id, s, change, sign[s]);
        }
        const unsigned needs = m->needs_of ? m->needs_of(&a, m->needs) : m->needs;
        assert_true((d[0].dkl[0] > 0) == !!(needs & UL_NEED_FORGET_KL));
        assert_true((d[2].dkl[0] > 0) == !!(needs & UL_NEED_RETAIN_KL));
    }
}

/* SCRUB's epochs take turns; a token beyond the cap is left alone; after its rounds it only keeps. gamma weighs the one
 * term, alpha the other, and a divergence counts as much as the square of its temperature. */
static void test_scrub_turns(void **state)
{
    (void)state;
    ul_args a;
    const ul_method *m = method("scrub", &a);
    assert_true(m->temperature(&a) == 4);
    for (int warm = 0; warm < 2; warm++) {
        const double hot = warm ? 1.5 : 1, gamma = warm ? 0.7 : 1, alpha = warm ? 3 : 1, task = warm ? 0.2 : 1;
        put(&a, "cap", 0.9 * hot * hot), put(&a, "rounds", 2), put(&a, "temperature", hot);
        if (warm) put(&a, "gamma", gamma), put(&a, "alpha", alpha), put(&a, "likelihood", task);
        for (int epoch = 0; epoch < 9; epoch++) {
            doc f = some(60), r = some(61), none = {0};
            ul_side s[3] = {side(&f, T, T, 1), side(&none, 0, 0, 0), side(&r, T, T, 1)};
            f.kl[0] = 0.8, f.kl[1] = 5;
            for (int k = 0; k < 3; k++) s[k].epoch = epoch + 0.5;
            const double got = m->loss(&a, &s[0], &s[1], &s[2]);
            double want = 0;
            if (epoch == 1 || epoch == 3) {
                for (int t = 0; t < T; t++) want -= gamma * hot * hot * fmin(f.kl[t], 0.9) / T;
                near(f.dkl[0], -gamma * hot * hot / T, 1e-15);
                assert_true(f.dkl[1] == 0 && r.dkl[0] == 0 && r.dlogp[0] == 0);
            } else {
                for (int t = 0; t < T; t++) want += alpha * (0.5 * hot * hot * r.kl[t] - task * r.logp[t]) / T;
                near(r.dkl[0], alpha * 0.5 * hot * hot / T, 1e-15);
                near(r.dlogp[0], -alpha * task / T, 1e-15);
                assert_true(f.dkl[0] == 0);
            }
            near(got, want, 1e-14);
            for (int t = 0; t < T; t++) assert_true(f.dlogp[t] == 0);
        }
    }
}

/* Q7: the inverted hinge lies in [0, 2] for any two probabilities of one distribution, so that its clamp never acts;
 * the push on the label fades with it. */
static void test_q7_inverted_hinge(void **state)
{
    (void)state;
    ul_args a;
    const ul_method *m = method("loku", &a);
    put(&a, "alpha", 0);
    doc f = some(80), none = {0};
    for (int i = 0; i <= 40; i++)
        for (int k = 0; k <= 40 - i; k++) {
            const double p = i / 40.0, q = k / 40.0;
            ul_side s[3] = {side(&f, 1, 1, 1), side(&none, 0, 0, 0), side(&none, 0, 0, 0)};
            f.logp[0] = p > 0 ? log(p) : -INFINITY, f.rival[0] = q > 0 ? log(q) : -INFINITY;
            const double got = m->loss(&a, &s[0], &s[1], &s[2]);
            assert_true(got >= 0 && got <= 2);
            near(got, 1 + p - q, 1e-15);
            near(f.dlogp[0], p, 1e-15);
            near(f.drival[0], -q, 1e-15);
        }
}

/* Q13: PDU's multiplier is never negative, grows while the retain loss is above its bound, stays on it and in the
 * warm-up. */
static void test_q13_pdu_dual(void **state)
{
    (void)state;
    ul_args a;
    const ul_method *m = method("pdu", &a);
    const double eps = ul_num(&a, "eps"), warm = ul_num(&a, "dual_warmup");
    assert_true(m->dual(&a, 0, 0, -1) == ul_num(&a, "alpha"));
    for (double lambda = 0; lambda < 10; lambda += 0.7) {
        assert_true(m->dual(&a, lambda, eps, warm) == lambda);
        assert_true(m->dual(&a, lambda, 9, warm - 0.01) == lambda);
        for (double over = 1e-3; over < 10; over *= 3) {
            near(m->dual(&a, lambda, eps + over, warm + 1), lambda + ul_num(&a, "dual_step") * over, 1e-14);
            const double below = m->dual(&a, lambda, eps - over, warm + 1);
            assert_true(below >= 0 && (below < lambda || lambda == 0));
        }
    }
}

/* LLMU counts sequences, each of its three terms with its own weight. */
static void test_llmu_is_sequence_means(void **state)
{
    (void)state;
    ul_args a;
    const ul_method *m = method("llmu", &a);
    doc d[2][3];
    double sum = 0, want = 0;
    for (uint64_t i = 0; i < 2; i++) {
        const int32_t n = i ? 2 : T;
        for (uint64_t k = 0; k < 3; k++) d[i][k] = some(70 + 3 * i + k);
        ul_side s[3] = {side(&d[i][0], n, T + 2, 2), side(&d[i][1], n, T + 2, 2), side(&d[i][2], n, T + 2, 2)};
        sum += m->loss(&a, &s[0], &s[1], &s[2]);
        for (int32_t t = 0; t < n; t++) want += (0.5 * d[i][0].logp[t] - d[i][1].logp[t] + d[i][2].kl[t]) / n / 2;
    }
    near(sum, want, 1e-14);
}

/* Q14: the step's loss does not depend on how its samples are grouped: the sum over samples with the step's
 * denominators is the token mean over all of them. */
static void test_q14_token_mean_is_global(void **state)
{
    (void)state;
    ul_args a;
    const ul_method *m = method("graddiff", &a);
    doc f[2] = {some(9), some(10)}, r[2] = {some(11), some(12)}, none = {0};
    double sum = 0, want = 0;
    for (int i = 0; i < 2; i++) {
        const int32_t n = i ? 2 : T;
        ul_side s[3] = {side(&f[i], n, T + 2, 2), side(&none, 0, 0, 0), side(&r[i], n, T + 2, 2)};
        sum += m->loss(&a, &s[0], &s[1], &s[2]);
        for (int32_t t = 0; t < n; t++) want += (f[i].logp[t] - r[i].logp[t]) / (T + 2);
    }
    near(sum, want, 1e-14);
}

/* An absent or unscored document counts for nothing and gives no NaN. */
static void test_empty_sides(void **state)
{
    (void)state;
    int n;
    const ul_method_entry *e = ul_methods(&n);
    for (int i = 0; i < n; i++) {
        ul_args a;
        ul_args_default(e[i].method->params, &a);
        ul_side none[3] = {{0}};
        assert_true(e[i].method->loss(&a, &none[0], &none[1], &none[2]) == 0);
    }
}

/* rmu's block 7 of 32 (Li et al. 2024) in other depths, rr's 9 and 19; with the defaults of small models those of fewer
 * than 8 blocks have others, and so has the steering. Three-block models have no rr block as the paper counts. */
static void test_steered_block(void **state)
{
    (void)state;
    static const char *const id[] = {"rmu", "armu", "cosrmu", "rr"};
    static const int at[][7] = {/* blocks; large: rmu, rr's two; small: the same */
                                {2, 0, 0, 1, 1, 0, 1},  {3, 1, 0, 1, 2, 0, 1},  {4, 1, 0, 1, 3, 1, 2},
                                {7, 2, 1, 3, 6, 2, 4},  {8, 2, 1, 4, 2, 1, 4},  {12, 3, 2, 6, 3, 2, 6},
                                {32, 7, 9, 19, 7, 9, 19}};
    for (int k = 0; k < 4; k++)
        for (size_t i = 0; i < sizeof at / sizeof *at; i++)
            for (int small = 0; small < 2; small++) {
                ul_args a;
                const ul_method *m = ul_method_find(id[k]);
                const int *want = &at[i][1 + 3 * small], rr = k == 3;
                ul_method_args(m, small, &a);
                const ul_state s = m->state(&a, UL_FORGET, at[i][0]);
                if (s.first != want[rr] || s.last != want[2 * rr])
                    fail_msg("%s of %d blocks, small %d: %d and %d", id[k], at[i][0], small, s.first, s.last);
                const bool few = small && at[i][0] < 8;
                if (k == 0) assert_true(s.steer == (few ? 2 : 6.5) && s.by_norm == few);
                if (k == 1) assert_true(s.steer == (few ? 2 : 5));
                ul_side side = {
                    .n = 1, .n_layer = at[i][0], .dist = (double[]){1}, .ddist = (double[]){0}, .token_share = 1};
                if (k < 2) assert_true(m->loss(&a, &(ul_side){0}, &(ul_side){0}, &side) == (few ? 10 : 1200));
            }
}

static void test_registry(void **state)
{
    (void)state;
    int n;
    const ul_method_entry *e = ul_methods(&n);
    for (int i = 0; i < n; i++) {
        assert_ptr_equal(ul_method_find(e[i].id), e[i].method);
        assert_non_null(e[i].method->title);
        assert_non_null(e[i].method->paper);
        assert_non_null(e[i].method->note);
        assert_non_null(e[i].method->params);
        ul_args a;
        ul_args_default(e[i].method->params, &a);
        const unsigned needs = e[i].method->needs;
        if (e[i].method->needs_of) assert_int_equal(e[i].method->needs_of(&a, needs), needs);
    }
    assert_null(ul_method_find("nop"));
    assert_string_equal(ul_method_nearest("nop"), "npo");
    assert_string_equal(ul_method_nearest("simnop"), "simnpo");
    assert_null(ul_method_nearest("retraining"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_q1_npo_at_reference), cmocka_unit_test(test_q1_npo_limits),
        cmocka_unit_test(test_q2_npo_is_simnpo),    cmocka_unit_test(test_q6_dpo_of_equals),
        cmocka_unit_test(test_q3_weights_of_nothing), cmocka_unit_test(test_weights),
        cmocka_unit_test(test_q3_weights_at_ends),  cmocka_unit_test(test_kto_reference_point),
        cmocka_unit_test(test_flat),             cmocka_unit_test(test_recipes),
        cmocka_unit_test(test_effect),           cmocka_unit_test(test_q14_token_mean_is_global),
        cmocka_unit_test(test_empty_sides),
        cmocka_unit_test(test_scrub_turns),
        cmocka_unit_test(test_q7_inverted_hinge), cmocka_unit_test(test_q13_pdu_dual),
        cmocka_unit_test(test_llmu_is_sequence_means),      cmocka_unit_test(test_registry),
        cmocka_unit_test(test_steered_block)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
