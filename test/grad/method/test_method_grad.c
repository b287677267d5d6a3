/* Every method of the registry, at its defaults and at its parameters' other choices: its gradients against central
 * differences in double, but for what the method says it holds constant: weighted ascent is linear in what is left, and
 * a document held constant gets no gradient. A method added later is covered unasked. */
#include "method/method.h"
#include "ul_test.h"
#include <math.h>

enum { N = 3 }; /* samples: of different lengths, one without a retain document, one with an empty forget side */
static const int32_t length[N][UL_N_SIDE] = {{5, 3, 4}, {2, 6, 0}, {1, 2, 7}};

enum { LOGP, KL, CE, GAP, RIVAL, DIST, LENS, N_SCORE };
typedef double score[N][UL_N_SIDE][8];
typedef struct {
    score x[N_SCORE], d[N_SCORE], ref; /* what a method reads of the model, its gradient, log p of the reference */
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
                x->ref[i][s][t] = -4 * draw(k++);
                for (int q = 0; q < N_SCORE; q++) x->x[q][i][s][t] = (q == LOGP || q == RIVAL || q == LENS ? -4 : 2) * draw(k++);
            }
}

/* The loss of a step at this epoch as the trainer adds it up. */
static double loss_at(const ul_method *m, const ul_args *a, numbers *x, double epoch)
{
    double n_tok[UL_N_SIDE] = {0}, n_seq[UL_N_SIDE] = {0}, sum = 0;
    for (int i = 0; i < N; i++)
        for (int s = 0; s < UL_N_SIDE; s++) {
            n_tok[s] += length[i][s];
            n_seq[s] += length[i][s] > 0;
        }
    memset(x->d, 0, sizeof x->d);
    for (int i = 0; i < N; i++) {
        ul_side side[UL_N_SIDE];
        for (int s = 0; s < UL_N_SIDE; s++)
            side[s] = (ul_side){.n = length[i][s], .ref = x->ref[i][s], .n_tok = n_tok[s], .n_seq = n_seq[s],
                                .logp = x->x[LOGP][i][s], .dlogp = x->d[LOGP][i][s], .kl = x->x[KL][i][s],
                                .dkl = x->d[KL][i][s], .ce = x->x[CE][i][s], .dce = x->d[CE][i][s],
                                .gap = x->x[GAP][i][s], .dgap = x->d[GAP][i][s], .rival = x->x[RIVAL][i][s], .drival = x->d[RIVAL][i][s],
                                .dist = x->x[DIST][i][s], .ddist = x->d[DIST][i][s], .lens = x->x[LENS][i][s], .dlens = x->d[LENS][i][s],
                                .n_layer = 3, .dual = 0.7, .epoch = epoch, .progress = epoch / 10,
                                .n_place = length[i][s] + 4,
                                .token_share = length[i][s] ? 1 / (n_seq[s] * length[i][s]) : 0};
        sum += m->loss(a, &side[UL_FORGET], &side[UL_ALT], &side[UL_RETAIN]);
    }
    return sum;
}

/* Of two steps, an epoch apart: methods may take turns. */
static double loss(const ul_method *m, const ul_args *a, numbers *x)
{
    numbers first = *x;
    const double sum = loss_at(m, a, &first, 0.4);
    const double both = sum + loss_at(m, a, x, 1.4);
    for (int q = 0; q < N_SCORE; q++)
        for (int i = 0; i < N; i++)
            for (int s = 0; s < UL_N_SIDE; s++)
                for (int t = 0; t < 8; t++) x->d[q][i][s][t] += first.d[q][i][s][t];
    return both;
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

/* With its weights held, loss = sum of dlogp logp + dkl kl. */
static void check_linear(const char *id, const ul_method *m, const ul_args *a, numbers *x)
{
    const double got = loss(m, a, x);
    double want = 0, moved = 0;
    for (int i = 0; i < N; i++)
        for (int s = 0; s < UL_N_SIDE; s++)
            for (int t = 0; t < length[i][s]; t++)
                for (int q = 0; q < N_SCORE; q++) {
                    want += x->d[q][i][s][t] * x->x[q][i][s][t];
                    moved += fabs(x->d[q][i][s][t]);
                }
    if (!(fabs(want - got) <= 1e-13 * fmax(1, fabs(want)))) fail_msg("%s: loss %.15g, linear %.15g", id, got, want);
    if (!(moved > 0)) fail_msg("%s: a method that moves nothing", id);
}

static void check(const char *id, const ul_method *m, const ul_args *a)
{
    numbers x;
    double moved = 0;
    fill(&x);
    if (m->holds == UL_HOLDS_WEIGHTS) {
        check_linear(id, m, a, &x);
        return;
    }
    (void)loss(m, a, &x);
    const numbers grad = x;
    for (int i = 0; i < N; i++)
        for (int s = 0; s < UL_N_SIDE; s++)
            for (int t = 0; t < length[i][s]; t++) {
                if (s == UL_ALT && m->holds == UL_HOLDS_ALT) {
                    assert_true(grad.d[LOGP][i][s][t] == 0);
                    continue;
                }
                for (int q = 0; q < N_SCORE; q++)
                    compare(id, m, a, &x, &x.x[q][i][s][t], grad.d[q][i][s][t], &moved);
            }
    if (!(moved > 0)) fail_msg("%s: a method whose loss depends on nothing", id);
}

/* Choice c of "a|b|c"; false when there are fewer. */
static bool choice(const ul_param *p, int c, char out[16])
{
    const char *at = p->unit;
    for (; c > 0 && at; c--) at = strchr(at, '|') ? strchr(at, '|') + 1 : NULL;
    if (at) snprintf(out, 16, "%.*s", (int)strcspn(at, "|"), at);
    return at;
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
            char text[16];
            for (int c = 0; p->type == UL_TEXT && choice(p, c, text); c++) {
                b.text[k] = text;
                check(e[i].id, e[i].method, &b);
            }
            if (p->type != UL_TEXT) {
                b.num[k] = p->dflt * 1.7 + 0.3 < p->hi ? p->dflt * 1.7 + 0.3 : p->hi;
                check(e[i].id, e[i].method, &b);
            }
        }
    }
}

/* The loss, near the reference and far away, early and late, and what else a method says of its passes, as one
 * number. */
static double all_of(const ul_method *m, const ul_args *a, numbers *x)
{
    numbers far = *x;
    for (int i = 0; i < N; i++)
        for (int s = 0; s < UL_N_SIDE; s++)
            for (int t = 0; t < 8; t++) far.x[KL][i][s][t] *= 100;
    double sum = loss(m, a, x) + loss(m, a, &far) + loss_at(m, a, x, 7.2) + (m->shift && isfinite(m->shift(a)) ? m->shift(a) : 0);
    for (int s = 0; m->state && s < UL_N_SIDE; s++) {
        const ul_state look = m->state(a, (ul_side_id)s, 12);
        sum += look.first + look.last * 3 + look.steer;
        assert_true(look.first >= 0 && look.last < 12);
    }
    ul_reading read[UL_READINGS];
    for (int k = m->readings ? m->readings(a, read) : 0; k-- > 0;)
        sum += read[k].from * (k + 1) + read[k].to * (k + 2) + (read[k].behind ? (double)strlen(read[k].behind) : 0);
    sum += m->needs_of && m->needs_of(a) & (UL_NEED_INFORMED_START | UL_NEED_RIVALS_LATE);
    if (m->dual) sum += m->dual(a, 0, 0, -1) + m->dual(a, 3, 0.7, 5.2);
    return sum;
}

/* A margin counts only where it is not 0. */
static void with_margin(ul_args *a)
{
    for (int j = 0; a->params[j].key; j++)
        if (!strcmp(a->params[j].key, "delta")) a->num[j] = 0.5;
}

/* What a published program does is another loss: where --match sets parameters of the method's own. */
static void test_matches_matter(void **state)
{
    (void)state;
    int n, seen = 0;
    const ul_method_entry *e = ul_methods(&n);
    for (int i = 0; i < n; i++)
        for (const ul_match *m = e[i].method->matches; m && m->name; m++) {
            numbers x;
            ul_args a, b;
            bool own = false;
            for (const char *const *r = m->set; r && *r; r += 2) own |= r[0][0] == '.';
            if (!own) continue;
            ul_args_default(e[i].method->params, &a);
            with_margin(&a);
            b = a;
            ul_args_values(&b, m->set);
            fill(&x);
            if (all_of(e[i].method, &a, &x) == all_of(e[i].method, &b, &x))
                fail_msg("%s --match %s: the same", e[i].id, m->name);
            check(e[i].id, e[i].method, &b);
            seen++;
        }
    assert_true(seen >= 12);
}

/* Every parameter does something: the loss, the targets or the needs change with it. */
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
            for (int j = 0; !strcmp(p->key, "retain") && a.params[j].key; j++)
                if (!strcmp(a.params[j].key, "alpha")) a.num[j] = 1; /* of some methods no retain term is the default */
            if (!strcmp(p->key, "margin")) with_margin(&a);
            fill(&x);
            const double before = all_of(e[i].method, &a, &x);
            a.num[k] = p->type == UL_BOOL ? 1 - p->dflt
                                          : p->dflt + (p->type == UL_INT ? 1 : p->dflt < 0 ? 1.5 : 0.5); /* -1: by size */
            char text[16] = "something else";
            for (int c = 0; p->type == UL_TEXT && choice(p, c, text); c++)
                if (strcmp(text, p->text)) break;
            if (p->type == UL_TEXT) a.text[k] = text;
            const double after = all_of(e[i].method, &a, &x);
            if (before == after) fail_msg("%s.%s changes nothing", e[i].id, p->key);
            if (!strcmp(p->key, "retain"))
                assert_true(!!(e[i].method->needs_of(&a) & UL_NEED_RETAIN_KL) == !strcmp(ul_txt(&a, "retain"), "kl"));
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_all), cmocka_unit_test(test_parameters_matter),
                                       cmocka_unit_test(test_matches_matter)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
