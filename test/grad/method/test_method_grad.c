/* Every method of the registry, at its defaults and at its parameters' other choices: dlogp and dkl against central
 * differences in double. A method added later is covered unasked. */
#include "method/method.h"
#include "ul_test.h"
#include <math.h>

enum { N = 3 }; /* samples: of different lengths, one without a retain document, one with an empty forget side */
static const int32_t length[N][UL_N_SIDE] = {{5, 3, 4}, {2, 6, 0}, {1, 2, 7}};

typedef struct {
    double logp[N][UL_N_SIDE][8], ref[N][UL_N_SIDE][8], kl[N][UL_N_SIDE][8];
    double dlogp[N][UL_N_SIDE][8], dkl[N][UL_N_SIDE][8];
} numbers;

static double draw(uint64_t k)
{
    return ul_rng_uniform(7, UL_STREAM_TEST, 0, k);
}

static void fill(numbers *x)
{
    uint64_t k = 0;
    for (int i = 0; i < N; i++)
        for (int s = 0; s < UL_N_SIDE; s++)
            for (int t = 0; t < 8; t++) {
                x->logp[i][s][t] = -4 * draw(k++);
                x->ref[i][s][t] = -4 * draw(k++);
                x->kl[i][s][t] = 2 * draw(k++);
            }
}

/* The step's loss as the trainer adds it up. */
static double loss(const ul_method *m, const ul_args *a, numbers *x)
{
    double n_tok[UL_N_SIDE] = {0}, n_seq[UL_N_SIDE] = {0}, sum = 0;
    for (int i = 0; i < N; i++)
        for (int s = 0; s < UL_N_SIDE; s++) {
            n_tok[s] += length[i][s];
            n_seq[s] += length[i][s] > 0;
        }
    memset(x->dlogp, 0, sizeof x->dlogp);
    memset(x->dkl, 0, sizeof x->dkl);
    for (int i = 0; i < N; i++) {
        ul_side side[UL_N_SIDE];
        for (int s = 0; s < UL_N_SIDE; s++)
            side[s] = (ul_side){length[i][s],   x->logp[i][s], x->ref[i][s], x->kl[i][s],
                                x->dlogp[i][s], x->dkl[i][s],  n_tok[s],     n_seq[s]};
        sum += m->loss(a, &side[UL_FORGET], &side[UL_ALT], &side[UL_RETAIN]);
    }
    return sum;
}

static void compare(const char *id, const ul_method *m, const ul_args *a, numbers *x, double *value, double got,
                    double *scale)
{
    const double h = 1e-5, keep = *value;
    *value = keep + h;
    const double up = loss(m, a, x);
    *value = keep - h;
    const double down = loss(m, a, x);
    *value = keep;
    const double want = (up - down) / (2 * h), size = fmax(fabs(want), fabs(got));
    if (fabs(want - got) > 1e-6 * size + 1e-9) fail_msg("%s: gradient %.12g, differences %.12g", id, got, want);
    *scale += size;
}

static void check(const char *id, const ul_method *m, const ul_args *a)
{
    numbers x;
    double moved = 0;
    fill(&x);
    (void)loss(m, a, &x);
    const numbers grad = x;
    for (int i = 0; i < N; i++)
        for (int s = 0; s < UL_N_SIDE; s++)
            for (int t = 0; t < length[i][s]; t++) {
                compare(id, m, a, &x, &x.logp[i][s][t], grad.dlogp[i][s][t], &moved);
                compare(id, m, a, &x, &x.kl[i][s][t], grad.dkl[i][s][t], &moved);
            }
    if (!(moved > 0)) fail_msg("%s: a method whose loss depends on nothing", id);
}

static void test_all(void **state)
{
    (void)state;
    int n;
    const ul_method_entry *e = ul_methods(&n);
    assert_true(n >= 7);
    for (int i = 0; i < n; i++) {
        ul_args a;
        if (!e[i].method->loss) continue;
        ul_args_default(e[i].method->params, &a);
        check(e[i].id, e[i].method, &a);
        for (int k = 0; e[i].method->params[k].key; k++) {
            const ul_param *p = &e[i].method->params[k];
            ul_args b = a;
            if (p->type == UL_TEXT) {
                b.text[k] = !strcmp(p->text, "nll") ? "kl" : "nll";
                check(e[i].id, e[i].method, &b);
            } else {
                b.num[k] = p->dflt * 1.7 + 0.3 < p->hi ? p->dflt * 1.7 + 0.3 : p->hi;
                check(e[i].id, e[i].method, &b);
            }
        }
    }
}

/* Every parameter does something: the loss or the needs change with it. */
static void test_parameters_matter(void **state)
{
    (void)state;
    int n;
    const ul_method_entry *e = ul_methods(&n);
    for (int i = 0; i < n; i++)
        for (int k = 0; e[i].method->loss && e[i].method->params[k].key; k++) {
            const ul_param *p = &e[i].method->params[k];
            numbers x;
            ul_args a;
            ul_args_default(e[i].method->params, &a);
            fill(&x);
            const double before = loss(e[i].method, &a, &x);
            a.num[k] = p->dflt + 0.5;
            if (p->type == UL_TEXT) a.text[k] = !strcmp(p->text, "nll") ? "kl" : "nll";
            const double after = loss(e[i].method, &a, &x);
            if (before == after) fail_msg("%s.%s changes nothing", e[i].id, p->key);
            if (p->type == UL_TEXT && e[i].method->needs_of) assert_true(e[i].method->needs_of(&a) & UL_NEED_RETAIN_KL);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_all), cmocka_unit_test(test_parameters_matter)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
