/* Every method of the registry, at its defaults and at its parameters' other choices: its gradients against central
 * differences in double (loss_test.h). A method added later is covered unasked. */
#include "loss_test.h"
#include "method/method.h"

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
        check_choices(e[i].id, e[i].method, &a);
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
    double sum = loss(m, a, x) + loss(m, a, &far) + loss_at(m, a, x, 7.2) +
                 (m->shift && isfinite(m->shift(a)) ? m->shift(a) : 0);
    for (int s = 0; m->state && s < UL_N_SIDE; s++) {
        const ul_state look = m->state(a, (ul_side_id)s, 12);
        sum += look.first + look.last * 3 + look.steer;
        assert_true(look.first >= 0 && look.last < 12);
    }
    ul_reading read[UL_READINGS];
    for (int k = m->readings ? m->readings(a, read) : 0; k-- > 0;)
        sum += read[k].from * (k + 1) + read[k].to * (k + 2) + (read[k].behind ? (double)strlen(read[k].behind) : 0);
    sum += m->needs_of && m->needs_of(a, m->needs) & (UL_NEED_INFORMED_START | UL_NEED_RIVALS_LATE);
    sum += (m->top ? m->top(a) : 0) + (m->temperature ? m->temperature(a) : 0) + (m->alternates ? m->alternates(a) : 0);
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
            a.num[k] = p->type == UL_BOOL ? 1 - p->dflt /* a default of -1: by size */
                                          : p->dflt + (p->type == UL_INT ? 1 : p->dflt < 0 ? 1.5 : 0.5);
            char text[16] = "something else";
            for (int c = 0; p->type == UL_TEXT && choice(p, c, text); c++)
                if (strcmp(text, p->text)) break;
            if (p->type == UL_TEXT) a.text[k] = text;
            const double after = all_of(e[i].method, &a, &x);
            if (before == after) fail_msg("%s.%s changes nothing", e[i].id, p->key);
            if (!strcmp(p->key, "retain"))
                assert_true(!!(e[i].method->needs_of(&a, e[i].method->needs) & UL_NEED_RETAIN_KL) ==
                            !strcmp(ul_txt(&a, "retain"), "kl"));
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_all), cmocka_unit_test(test_parameters_matter),
                                       cmocka_unit_test(test_matches_matter)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
