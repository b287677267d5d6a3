/* Laws of every metric in the registry: it computes, the order of rows does not matter, and a missing column, a row
 * without tokens or a number that is not finite is an error that names the place, never a number. */
#include "ul_test.h"
#include "metric/metric.h"
#include <math.h>

enum { ROWS = 12, TOKENS = 5 };

/* Two data sets with every column that a pass can leave. */
typedef struct {
    int64_t token[ROWS + 1], index[ROWS];
    double logp[ROWS * TOKENS], mu[ROWS * TOKENS], sigma2[ROWS * TOKENS];
    double kl[ROWS * TOKENS], js[ROWS * TOKENS];
    double ref_loss[ROWS], grad_norm[ROWS], score[ROWS];
    uint8_t hit[ROWS * TOKENS], agree[ROWS * TOKENS];
    const char *text[ROWS], *generation[ROWS];
    ul_columns columns;
} data;

typedef struct {
    ul_ctx *ctx;
    ul_arena *a;
} world;

static int set_up(void **state)
{
    static world w;
    w.ctx = ul_test_ctx();
    UL_OK_IN(w.ctx, ul_arena_new(w.ctx, "test", &w.a));
    *state = &w;
    return 0;
}

static int tear_down(void **state)
{
    world *w = *state;
    ul_arena_free(w->a);
    ul_ctx_free(w->ctx);
    return 0;
}

/* The same random rows, in order or backwards. */
static void fill(data *d, uint64_t seed, const char *name, bool backwards)
{
    static const char *const words[4] = {"born in Taipei", "a writer of novels", "her father was a painter", "Taipei"};
    for (int i = 0; i < ROWS; i++) {
        const int row = backwards ? ROWS - 1 - i : i;
        d->index[i] = row;
        d->token[i + 1] = (int64_t)(i + 1) * TOKENS;
        for (int t = 0; t < TOKENS; t++) {
            const uint64_t k = (uint64_t)(row * TOKENS + t);
            d->logp[i * TOKENS + t] = -4 * ul_rng_uniform(seed, UL_STREAM_TEST, 0, k);
            d->mu[i * TOKENS + t] = -3 * ul_rng_uniform(seed, UL_STREAM_TEST, 1, k);
            d->sigma2[i * TOKENS + t] = ul_rng_uniform(seed, UL_STREAM_TEST, 2, k);
            d->kl[i * TOKENS + t] = ul_rng_uniform(seed, UL_STREAM_TEST, 9, k);
            d->js[i * TOKENS + t] = ul_rng_uniform(seed, UL_STREAM_TEST, 10, k) / 2;
            d->agree[i * TOKENS + t] = ul_rng_below(seed, UL_STREAM_TEST, 11, k, 2) > 0;
            d->hit[i * TOKENS + t] = ul_rng_below(seed, UL_STREAM_TEST, 3, k, 3) > 0;
        }
        d->ref_loss[i] = ul_rng_uniform(seed, UL_STREAM_TEST, 4, (uint64_t)row);
        d->grad_norm[i] = ul_rng_uniform(seed, UL_STREAM_TEST, 5, (uint64_t)row);
        d->score[i] = ul_rng_uniform(seed, UL_STREAM_TEST, 6, (uint64_t)row);
        d->text[i] = words[ul_rng_below(seed, UL_STREAM_TEST, 7, (uint64_t)row, 4)];
        d->generation[i] = words[ul_rng_below(seed, UL_STREAM_TEST, 8, (uint64_t)row, 4)];
    }
    d->token[0] = 0;
    d->columns = (ul_columns){.name = name, .n_row = ROWS, .index = d->index, .token = d->token, .logp = d->logp,
                              .hit = d->hit, .mu = d->mu, .sigma2 = d->sigma2, .ref_loss = d->ref_loss,
                              .grad_norm = d->grad_norm, .text = d->text, .ground_truth = d->text,
                              .generation = d->generation, .score = d->score, .kl = d->kl, .kl_reverse = d->kl,
                              .js = d->js, .agree = d->agree};
}

static int inputs(const ul_metric *m, data d[2], ul_input *in)
{
    int n = 0;
    for (const ul_need *need = m->needs; need->role; need++, n++) {
        /* the number of a choice */
        for (int i = 0; i < ROWS && strcmp(need->role, "gold") == 0; i++) d[n].score[i] = floor(d[n].score[i]);
        in[n] = (ul_input){strcmp(need->role, "*") ? need->role : "any", &d[n].columns, 0.3 + 0.2 * n};
    }
    return n;
}

static void every_metric_computes_in_any_order(void **state)
{
    world *w = *state;
    static data d[2], back[2];
    for (int k = 0; k < 2; k++) {
        fill(&d[k], 5 + (uint64_t)k, "data", false);
        fill(&back[k], 5 + (uint64_t)k, "data", true);
    }
    assert_true(ul_metric_count() >= 16);
    for (int i = 0; i < ul_metric_count(); i++) {
        const ul_metric *m = ul_metric_at(i);
        ul_input in[3];
        ul_result r, s;
        UL_OK_IN(w->ctx, ul_metric_compute(w->a, m, NULL, in, inputs(m, d, in), &r));
        if (!(r.agg_value >= m->lo && r.agg_value <= m->hi)) fail_msg("%s: %g", ul_metric_id(m), r.agg_value);
        UL_OK_IN(w->ctx, ul_metric_compute(w->a, m, NULL, in, inputs(m, back, in), &s));
        if (!(fabs(r.agg_value - s.agg_value) < 1e-14))
            fail_msg("%s: %.17g and %.17g", ul_metric_id(m), r.agg_value, s.agg_value);
        assert_true((r.n_part > 0) == (m->rows != NULL) && (m->fields[0] != NULL) == (m->rows != NULL));
        for (int k = 0; k < r.n_part; k++) {
            double sum = 0;
            for (int64_t j = 0; j < ROWS; j++) {
                sum += r.part[k].value[j];
                assert_true(ul_columns_index(&s.part[k].rows, j) == ul_columns_index(&r.part[k].rows, ROWS - 1 - j));
                assert_true(s.part[k].value[j] == r.part[k].value[ROWS - 1 - j]);
            }
            assert_true(fabs(sum / ROWS - r.part[k].agg_value) < 1e-13);
            for (const char *const *f = m->fields; *f; f++) {
                assert_true((ul_columns_number(&r.part[k].rows, *f) && *ul_columns_number(&r.part[k].rows, *f)) ||
                            (ul_columns_text(&r.part[k].rows, *f) && *ul_columns_text(&r.part[k].rows, *f)));
            }
        }
    }
}

static void broken_numbers_are_errors(void **state)
{
    world *w = *state;
    static data d[2];
    static const double bad[2] = {NAN, -INFINITY};
    for (int i = 0; i < ul_metric_count(); i++) {
        const ul_metric *m = ul_metric_at(i);
        for (int b = 0; b < 2; b++) {
            for (int side = 0; side < 2 && m->needs[side].role; side++) {
                ul_input in[3];
                ul_result r;
                for (int k = 0; k < 2; k++) fill(&d[k], 5, "the data", false);
                const int n = inputs(m, d, in);
                const unsigned need = m->needs[side].columns;
                if (need & UL_COL_AGGREGATE) {
                    in[side].agg_value = bad[b];
                    if (m->needs[side].optional && b == 0) continue; /* NaN stands for "missing" there */
                    UL_FAILS_IN(w->ctx, UL_E_INPUT, ul_metric_id(m), ul_metric_compute(w->a, m, NULL, in, n, &r));
                    continue;
                }
                if (!need || need & UL_COL_SCORE) d[side].score[7] = bad[b];
                if (need & (UL_COL_LOGP | UL_COL_AVG_LOSS | UL_COL_PROB)) d[side].logp[7 * TOKENS + 1] = bad[b];
                if (need & UL_COL_DIVERGENCE) d[side].js[7 * TOKENS + 1] = d[side].kl[7 * TOKENS + 1] = bad[b];
                if (need & UL_COL_GRAD_NORM) d[side].grad_norm[7] = bad[b];
                if (need & (UL_COL_GENERATION | UL_COL_HIT)) continue;
                UL_FAILS_IN(w->ctx, UL_E_INPUT, "row 7", ul_metric_compute(w->a, m, NULL, in, n, &r));
                UL_FAILS_IN(w->ctx, UL_E_INPUT, ul_metric_id(m), ul_metric_compute(w->a, m, NULL, in, n, &r));
            }
        }
    }
}

static void missing_columns_are_errors(void **state)
{
    world *w = *state;
    static data d[2];
    for (int i = 0; i < ul_metric_count(); i++) {
        const ul_metric *m = ul_metric_at(i);
        ul_input in[3];
        ul_result r;
        for (int k = 0; k < 2; k++) {
            fill(&d[k], 5, "the data", false);
            d[k].columns = (ul_columns){.name = "the data", .n_row = ROWS};
        }
        const int n = inputs(m, d, in);
        if (m->needs[0].columns & UL_COL_AGGREGATE) continue;
        UL_FAILS_IN(w->ctx, UL_E_INPUT, "the data: the column", ul_metric_compute(w->a, m, NULL, in, n, &r));
        UL_FAILS_IN(w->ctx, UL_E_USAGE, "is missing", ul_metric_compute(w->a, m, NULL, in, 0, &r));
    }
}

static const ul_metric *metric(world *w, const char *id)
{
    const ul_metric *m = NULL;
    UL_OK_IN(w->ctx, ul_metric_find(w->ctx, id, &m));
    return m;
}

static void rows_must_make_sense(void **state)
{
    world *w = *state;
    static data d[2];
    ul_result r;
    for (int k = 0; k < 2; k++) fill(&d[k], 5, k ? "wrong answers" : "right answers", false);
    const ul_input pair[2] = {{"correct", &d[0].columns, 0}, {"wrong", &d[1].columns, 0}};
    d[1].columns.n_row = ROWS - 1;
    UL_FAILS_IN(w->ctx, UL_E_INPUT, "right answers has 12 rows, wrong answers has 11",
                ul_metric_compute(w->a, metric(w, "truth_ratio"), NULL, pair, 2, &r));
    d[1].columns.n_row = ROWS;
    d[1].index[3] = 99;
    UL_FAILS_IN(w->ctx, UL_E_INPUT, "index 3 and index 99",
                ul_metric_compute(w->a, metric(w, "probability_w_options"), NULL, pair, 2, &r));
    const ul_input one = {"data", &d[0].columns, 0};
    d[0].token[5] = d[0].token[4];
    UL_FAILS_IN(w->ctx, UL_E_INPUT, "row 4: no labelled token",
                ul_metric_compute(w->a, metric(w, "probability"), NULL, &one, 1, &r));
    d[0].token[5] = d[0].token[4] + 1; /* end of sequence only */
    UL_FAILS_IN(w->ctx, UL_E_INPUT, "row 4: no labelled token but the last",
                ul_metric_compute(w->a, metric(w, "exact_memorization"), NULL, &one, 1, &r));
    UL_OK_IN(w->ctx, ul_metric_compute(w->a, metric(w, "probability"), NULL, &one, 1, &r));
    d[0].columns.n_row = 0;
    UL_FAILS_IN(w->ctx, UL_E_INPUT, "no rows", ul_metric_compute(w->a, metric(w, "probability"), NULL, &one, 1, &r));
}

static void names_are_found(void **state)
{
    world *w = *state;
    const ul_metric *m;
    for (int i = 0; i < ul_metric_count(); i++) {
        assert_ptr_equal(metric(w, ul_metric_id(ul_metric_at(i))), ul_metric_at(i));
        if (i) assert_true(strcmp(ul_metric_id(ul_metric_at(i - 1)), ul_metric_id(ul_metric_at(i))) < 0);
        assert_true(ul_metric_at(i)->title && ul_metric_at(i)->paper && ul_metric_at(i)->unit);
    }
    UL_FAILS_IN(w->ctx, UL_E_USAGE, "did you mean \"truth_ratio\"", ul_metric_find(w->ctx, "truht_ratio", &m));
    UL_FAILS_IN(w->ctx, UL_E_USAGE, "unlearn metrics", ul_metric_find(w->ctx, "astrology", &m));
    ul_columns c = {0};
    assert_null(ul_columns_number(&c, "generation"));
    assert_null(ul_columns_text(&c, "prob"));
    assert_ptr_equal(ul_columns_number(&c, "rougeL_f1"), &c.rougeL_f1);
}

/* TOFU's table: every result names a metric that exists, sources that fit its needs, and comes after its sources. */
static void the_table_is_sound(void **state)
{
    world *w = *state;
    int n;
    const ul_result_spec *spec = ul_tofu_results(&n);
    for (int i = 0; i < n; i++) {
        ul_args args;
        UL_OK_IN(w->ctx, ul_result_args(w->a, &spec[i], &args));
        const ul_metric *m = metric(w, spec[i].metric);
        for (const ul_source *f = spec[i].from; f->role; f++) {
            assert_int_equal((f->data != NULL) + (f->result != NULL) + (f->reference != NULL) + (f->original != NULL),
                             1);
            bool fits = false;
            for (const ul_need *need = m->needs; need->role; need++) {
                fits = fits || strcmp(need->role, "*") == 0 || strcmp(need->role, f->role) == 0;
            }
            if (!fits) fail_msg("%s: the metric %s has no input \"%s\"", spec[i].name, spec[i].metric, f->role);
            if (f->result) assert_true(ul_tofu_result(f->result) < &spec[i]);
            if (f->reference) assert_non_null(ul_tofu_result(f->reference));
            if (f->original) assert_non_null(ul_tofu_result(f->original));
        }
    }
    assert_null(ul_tofu_result("forget_Q_A_Porb"));
}

/* Without a control: forget quality is absent and says why, so is what follows from it; a control whose log lacks the
 * result is no licence to take 0.5 in its place. */
static void without_a_control(void **state)
{
    world *w = *state;
    static data d;
    fill(&d, 5, "scores", false);
    ul_result score = {.n_part = 1}, auc = {.agg_value = 0.8, .n_part = 2}, absent, r;
    score.part[0].rows = d.columns;
    ul_named_result own[3] = {{"forget_truth_ratio", &score}, {"mia_min_k", &auc}, {"s_mia_loss", &absent}};
    const ul_named_result other = {"mia_loss", &auc};
    ul_known known = {.result = own, .n_result = 2};
    UL_OK_IN(w->ctx, ul_result_compute(w->a, ul_tofu_result("forget_quality"), &known, &r));
    assert_true(r.absent && strstr(r.why, "retrained control"));
    UL_OK_IN(w->ctx, ul_result_compute(w->a, ul_tofu_result("s_mia_min_k"), &known, &absent));
    assert_true(absent.absent);
    known.n_result = 3;
    UL_OK_IN(w->ctx, ul_result_compute(w->a, ul_tofu_result("privacy"), &known, &r));
    assert_true(r.absent && r.why);
    UL_OK_IN(w->ctx, ul_result_compute(w->a, ul_tofu_result("privleak"), &known, &r));
    assert_true(!r.absent && fabs(r.agg_value + 60) < 1e-6); /* (0.2 - 0.5) / 0.5 */
    known.reference = &other;
    known.n_reference = 1;
    UL_OK_IN(w->ctx, ul_result_compute(w->a, ul_tofu_result("privleak"), &known, &r));
    assert_true(r.absent && strstr(r.why, "mia_min_k"));
    UL_FAILS_IN(w->ctx, UL_E_INPUT, "exact_memorization: no columns of the data set \"forget\"",
                ul_result_compute(w->a, ul_tofu_result("exact_memorization"), &known, &r));
    UL_FAILS_IN(w->ctx, UL_E_INPUT, "model_utility: it is computed from retain_Q_A_Prob",
                ul_result_compute(w->a, ul_tofu_result("model_utility"), &known, &r));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_metric_computes_in_any_order),
        cmocka_unit_test(broken_numbers_are_errors),
        cmocka_unit_test(missing_columns_are_errors),
        cmocka_unit_test(rows_must_make_sense),
        cmocka_unit_test(names_are_found),
        cmocka_unit_test(the_table_is_sound),
        cmocka_unit_test(without_a_control),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
