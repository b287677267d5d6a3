/* What a run has where nothing is said: of a large model the papers' values, by the section of methods.md that they
 * stand in; of a small one what was measured with it (small_defaults.txt). And what --match lays over either. */
#include "audit/training.h"
#include "ul_test.h"
#include <math.h>

enum { LARGE, SMALL, TEN, HUNDRED }; /* million, the last two */
static const int64_t parameters[] = {
    [LARGE] = 7000000000, [SMALL] = 656000, [TEN] = 10000000, [HUNDRED] = 100000000};

/* A job of a method or wrapper (around npo), with the defaults for this size. */
static ul_job *job_of(ul_ctx *ctx, const char *id, int size, const char *match, const char *key, const char *value)
{
    ul_job *job;
    ul_catalogue_entry e;
    ul_training t = {0};
    UL_OK_IN(ctx, ul_job_new(ctx, "forget", &job));
    const bool method = ul_catalogue_find(id, &e), soul = !strcmp(id, "soul");
    UL_OK_IN(ctx, ul_job_set(job, "method", method ? id : "npo"));
    if (soul) UL_OK_IN(ctx, ul_job_set(job, "optimizer", "sophia"));
    else if (!method) UL_OK_IN(ctx, ul_job_set(job, "wrap", id));
    if (match) UL_OK_IN(ctx, ul_job_set(job, "match", match));
    if (key) UL_OK_IN(ctx, ul_job_set(job, key, value));
    t.job = job;
    UL_OK_IN(ctx, ul_training_wrappers(&t));
    UL_OK_IN(ctx, ul_job_match_known(job));
    UL_OK_IN(ctx, ul_job_defaults(job, parameters[size]));
    return job;
}

/* The value of "key", of the run, or of ".key", of the method or wrapper; lr 0 is what it becomes. */
static const char *value_of(const ul_job *job, int size, const char *key, char text[64])
{
    const ul_args *a = job->n_wrap ? &job->wrap[0].args : &job->method_args;
    int t = 0, i = 0;
    if (key[0] != '.') {
        if (!ul_job_find(job, key, &t, &i)) fail_msg("no key %s", key);
        a = &job->args[t];
    } else {
        while (a->params[i].key && strcmp(a->params[i].key, key + 1)) i++;
        if (!a->params[i].key) fail_msg("no parameter %s", key + 1);
    }
    if (a->params[i].type == UL_TEXT) return a->text[i];
    double x = a->num[i];
    if (!strcmp(key, "lr") && x == 0) {
        const double scale = job->method->lr_scale;
        x = ul_recipe_lr_for(parameters[size]) * (size == SMALL && scale > 0 ? scale : 1); /* TEN: never 0 */
    }
    snprintf(text, 64, "%g", x);
    return text;
}

static void holds(const char *id, int size, const char *key, const char *want)
{
    ul_ctx *ctx = ul_test_ctx();
    ul_job *job = job_of(ctx, id, size, NULL, NULL, NULL);
    char text[64], number[64];
    const char *got = value_of(job, size, key, text);
    double x;
    if (ul_parse_real(want, &x)) snprintf(number, sizeof number, "%g", x), want = number;
    if (strcmp(got, want)) fail_msg("%s %s: %s, not %s", id, key, got, want);
    ul_job_free(job);
    ul_ctx_free(ctx);
}

/* ---- large models ------------------------------------------------------------------------------------------------ */
#define RMU_RUN "lr 5e-5, batch 4, schedule constant, warmup 0"
#define YAO_RUN "lr 2e-5, schedule cosine, warmup 0.03, epochs 1"
static const struct {
    const char *id, *section, *values;
} papers[] = {
    {"ga", "A1 0.6", "lr 1e-5, epochs 10, steps 0, batch 32, optimizer adamw, schedule linear, warmup 0.1"},
    {"ga", "0.6", "weight-decay 0.01"},
    {"graddiff", "A2", ".gamma 1, .alpha 1, lr 1e-5"},
    {"ga_kl", "A3", ".alpha 1, lr 1e-5"},
    {"klmin", "A3", ".alpha 1, lr 1e-5"},
    {"ga_fkl", "A4", ".alpha 1, lr 1e-5"},
    {"npo", "A5", ".beta 0.1, .gamma 1, .alpha 1, lr 1e-5, epochs 10"},
    {"kto", "A5", ".beta 0.1"},
    {"simnpo", "A6", ".beta 4.5, .delta 0, .gamma 0.125, .alpha 1, lr 1e-5, epochs 10"},
    {"wga", "A7", ".beta 1, lr 1e-5, epochs 5"},
    {"satimp", "A7", ".beta1 5, .beta2 1, .gamma 1, .alpha 0.1, epochs 5"},
    {"tnpo", "A7", ".beta 4"},
    {"wtnpo", "A7", ".beta 4, .power 1.5"},
    {"yao", "A8", YAO_RUN},
    {"randlabel", "A8 B9", YAO_RUN ", .alpha 0"},
    {"advsample", "A8 B10", YAO_RUN ", .alpha 0"},
    {"pdu", "A10", ".alpha 100, .dual_step 5, .eps 0.3, .dual_warmup 5, epochs 10"},
    {"llmu", "A11", ".gamma 0.5, .random 1, .alpha 1, .answers 5, lr 2e-6, steps 1000, batch 2"},
    {"idk", "B1 0.6", ".gamma 1, .alpha 1, lr 1e-5"},
    {"dpo", "B2", ".beta 0.1, .gamma 1, .alpha 1"},
    {"altpo", "B3", ".beta 0.1, .alpha 1, lr 1e-5, epochs 10"}, /* 2 epochs over 5 alternates a row */
    {"undial", "B4", ".beta 10, lr 1e-4, .alpha 0"},
    {"ceu", "B5", ".skip 1"},
    {"flat", "B6", "lr 2e-7"},
    {"loku", "B7", "epochs 5, .alpha 1, .gamma 1"},
    {"whp", "B11", ".strength 5"},
    {"elm", "B12", ".eta 1000, .temperature 1.2, lr 5e-5, batch 4, steps 750"}, /* 3000 samples */
    {"elm", "B12", ".top 50, .fluency 1, .retain hard"},
    {"elm", "B12", "train layers 1/8-1/4"},                                     /* 4 to 8 of 32  */
    {"sku", "B15", ".distort 0.5, .random 1, .diverge 1, lr 2e-5, steps 1000, batch 2, .scale 1, .kl 0"},
    {"rmu", "C1", RMU_RUN ", steps 80, .layer -1, .steer 6.5, .alpha 1200"},
    {"armu", "C2", RMU_RUN ", steps 500, .layer -1, .beta 5, .alpha 1200"},
    {"lunar", "C5", ".steer 2, lr 0.01, epochs 20, batch 64"},
    {"rr", "C6", ".alpha 10, .ramp 0.5, .share rising, lr 1e-4, steps 150"},
    {"tv", "D1", ".scale 5, epochs 10, lr 1e-5"},
    {"ssd", "D3", ".alpha 10, .lambda 1"},
    {"soul", "D5", "beta1 0.9, sophia-beta2 0.95, sophia-rho 0.04, sophia-batch 5120"},
    {"newton_diag", "J9", ".kl 0.01"}, /* where D4, D6 and E7 give no step: what J9 gives every method */
    {"fisher_noise", "J9", ".kl 0.01"},
    {"kfade", "J9", ".kl 0.01"},
    {"pcgu", "E7 J9", ".rows 10000, .kl 0.01"},
    {"rome", "E1", ".v_steps 20, .v_lr 0.5, .kl 0.0625, .v_decay 0.5, .clamp 4, .prefixes 20"},
    {"memit", "E2", ".v_steps 25, .v_decay 0.5, .kl 0.0625, .budget 0"},
    {"alphaedit", "E3", ".threshold 0.02, .absolute 1, .budget 0"},
    {"emmet", "E4", ".lambda 0.1, .budget 0"},
    {"depn", "E6", ".steps 20, .threshold 0.1, .votes 0.5, .neurons 500"},
    {"uld", "F1", ".weight 5, .r 16, .strength 0.8, .top 0.01, .centre 0, lr 1e-3, epochs 10"},
    {"offset", "F2", ".strength 1"},
    {"whp_infer", "F3", ".strength 1"},
    {"grun", "G6", ".r 4, lr 4e-3"},
    {"tar", "J1", ".inner 64, .every 4, .adversary adamw, .adversary_lr 2e-5"},
    {"tar", "J1", ".loss negentropy, .safeguard rmu"},
    {"tar", "J1", ".outer 750, .lambda 0.0625, .weight 4, lr 2e-5"},
    {"undo", "J3", ".alpha 0.25, .beta 0, .distil_steps 3000, lr 2e-5"},
    {"mudman", "J4", ".every 32, .adversary_lr 1e-3, .decay 0.9, .absolute 1, lr 0.1"},
    {"mudman", "J4", ".loss negentropy"},
    {"cir", "J8", ".loss mlp_confuse, .from own, .absolute 1, lr 0.2, schedule constant, epochs 15"},
    {"cir", "J8", ".components 23, .grad_components 35, .retain_rate 3e-4"}, /* filyp/unlearning, configs */
    {"mudman", "J4", ".retain 0.01"}, /* 1e-3 beside 0.1 */
    {"repnoise", "J6", ".beta 0.001"},
    {"repselect", "J9", ".n_pcs 512, .lora_r 8, .lora_lr 0.05, .collapse soft, .scale 0.05, .kl 0.01"},
    {"mrp", "C11", "epochs 2, .dims 2, .alpha 1.2"},
    {"lat", "J2", ".eps 2, .absolute 1, .steps 16"},
    {"rs", "J7", ".sigma 0.1, .absolute 1, .samples 3"},
    {"sam", "J7", ".rho 0.01"},
    {"budget", "J9", ".limit 0.01"},
    {"wagle", "E9", ".keep 0.8, .mu 1e-06"},
    {"sure", "K1", ".keep 0.1"}, /* the 90th percentile */
    {"sago", "L2", ".prefer_retain 0"},
};

/* Of these no number stands in methods.md: their files say whose the defaults are. */
static const char *const silent[] = {"gundavarapu", "scrub", "duet", "cosrmu", "perta", "mcu", "ilu", "mechloc",
                                     "prompt", "icul", "eco", "filter"};

static void large_models_have_the_papers(void **state)
{
    (void)state;
    for (size_t k = 0; k < sizeof papers / sizeof *papers; k++) {
        char list[400], *save = NULL;
        snprintf(list, sizeof list, "%s", papers[k].values);
        for (char *pair = strtok_r(list, ",", &save); pair; pair = strtok_r(NULL, ",", &save)) {
            pair += strspn(pair, " ");
            char *space = strchr(pair, ' ');
            assert_non_null(space);
            *space = 0;
            holds(papers[k].id, LARGE, pair, space + 1);
        }
    }
}

static void every_method_is_there(void **state)
{
    ul_catalogue_entry e;
    (void)state;
    for (int i = 0; ul_catalogue_at(i, &e); i++) {
        bool there = false;
        for (size_t k = 0; k < sizeof papers / sizeof *papers; k++) there |= !strcmp(papers[k].id, e.id);
        for (size_t k = 0; k < sizeof silent / sizeof *silent; k++) there |= !strcmp(silent[k], e.id);
        if (!there) fail_msg("%s: neither its paper's values nor that it gives none", e.id);
    }
}

/* Which blocks: 32 of them are what the papers count; rr looks behind 10 and 20. */
static void blocks_of_large_models(void **state)
{
    static const struct {
        const char *id;
        int first, last;
        double steer;
    } want[] = {{"rmu", 7, 7, 6.5}, {"armu", 7, 7, 5}, {"lunar", 22, 22, 2}, {"rr", 9, 19, 0.05}};
    (void)state;
    for (size_t k = 0; k < sizeof want / sizeof *want; k++) {
        ul_args a;
        const ul_method *m = ul_method_find(want[k].id);
        ul_method_args(m, false, &a);
        const ul_state s = m->state(&a, UL_FORGET, 32);
        if (s.first != want[k].first || s.last != want[k].last || s.steer != want[k].steer)
            fail_msg("%s: blocks %d and %d of 32, %g", want[k].id, s.first, s.last, s.steer);
    }
}

/* ---- small models ------------------------------------------------------------------------------------------------ */
enum { MOST_ROWS = 512 };
static struct {
    char id[32], key[32], value[32];
} measured[MOST_ROWS];

static int read_measured(void)
{
    int n = 0;
    FILE *f = fopen(UL_SOURCE "/test/unit/audit/small_defaults.txt", "r");
    assert_non_null(f);
    while (n < MOST_ROWS && fscanf(f, "%31s %31s %31s", measured[n].id, measured[n].key, measured[n].value) == 3) n++;
    fclose(f);
    assert_true(n > 350 && n < MOST_ROWS);
    return n;
}

static void small_models_have_what_was_measured(void **state)
{
    const int n = read_measured();
    (void)state;
    for (int i = 0; i < n; i++) holds(measured[i].id, SMALL, measured[i].key, measured[i].value);
}

/* What the file does not name of the run is the run's own. */
static void small_models_have_nothing_else(void **state)
{
    const int n = read_measured();
    ul_catalogue_entry e;
    ul_ctx *ctx = ul_test_ctx();
    (void)state;
    for (int i = 0; ul_catalogue_at(i, &e); i++) {
        ul_job *job = job_of(ctx, e.id, SMALL, NULL, NULL, NULL);
        for (const ul_param *p = ul_recipe_params; p->key; p++) {
            char text[64], usual[64];
            bool named = false;
            for (int k = 0; k < n; k++) named |= !strcmp(measured[k].id, e.id) && !strcmp(measured[k].key, p->key);
            if (named) continue;
            snprintf(usual, sizeof usual, "%g", strcmp(p->key, "lr") ? p->dflt : ul_recipe_lr_for(parameters[SMALL]));
            const char *got = value_of(job, SMALL, p->key, text);
            if (strcmp(got, p->type == UL_TEXT ? p->text : usual)) fail_msg("%s --%s: %s", e.id, p->key, got);
        }
        ul_job_free(job);
    }
    ul_ctx_free(ctx);
}

/* ---- between ----------------------------------------------------------------------------------------------------- */
static double rate_of(const char *id, int size, const char *key, const char *value)
{
    ul_ctx *ctx = ul_test_ctx();
    ul_job *job = job_of(ctx, id, size, NULL, key, value);
    char text[64];
    double x;
    if (!ul_parse_real(value_of(job, size, "lr", text), &x)) fail_msg("%s --lr: %s", id, text);
    ul_job_free(job);
    ul_ctx_free(ctx);
    return x;
}

/* A third of the way, and two: 2e-3 and 1e-5 are a factor of 200 apart. */
static void rates_go_from_ours_to_the_papers(void **state)
{
    ul_catalogue_entry e;
    int between = 0;
    (void)state;
    holds("npo", TEN, "lr", "3.4e-4"), holds("npo", HUNDRED, "lr", "5.8e-5");
    holds("ga", TEN, "lr", "6.1e-5"), holds("rmu", HUNDRED, "lr", "1.7e-4");
    holds("mudman", TEN, "lr", "2.4e-2"), holds("mudman", HUNDRED, "lr", "0.1"); /* shares of a norm; lengths */
    holds("cir", TEN, "lr", "4e-3"), holds("cir", HUNDRED, "lr", "0.2");
    for (int i = 0; ul_catalogue_at(i, &e); i++) {
        if (!e.method || e.method->own_rate) continue;
        const double small = rate_of(e.id, SMALL, NULL, NULL), paper = rate_of(e.id, LARGE, NULL, NULL);
        for (int size = TEN; size <= HUNDRED; size++) {
            const double x = rate_of(e.id, size, NULL, NULL),
                         want = small * pow(paper / small, size == TEN ? 1 / 3. : 2 / 3.);
            if (fabs(x - want) > 0.05 * want) fail_msg("%s, size %d: %g, not %g", e.id, size, x, want);
            assert_true(rate_of(e.id, size, "lr", "0.25") == 0.25);
        }
        between += small != paper;
    }
    assert_true(between > 40);
}

/* Three times as much in small models, ten in large ones; where no adapter is trained, or the paper's rate is one of
 * adapters, no more than else. */
static void adapters_learn_faster(void **state)
{
    static const struct {
        const char *id;
        double small, large;
    } want[] = {{"npo", 3, 10}, {"ga", 3, 10}, {"rmu", 3, 10}, {"pdu", 3, 10}, {"tv", 3, 10}, {"undial", 3, 1},
                {"rr", 3, 1}, {"elm", 3, 1}, {"llmu", 3, 1}, {"lunar", 3, 1}, {"sku", 3, 1}, {"memit", 1, 1},
                {"perta", 1, 1}, {"mudman", 1, 1}};
    (void)state;
    for (size_t k = 0; k < sizeof want / sizeof *want; k++)
        for (int size = LARGE; size <= SMALL; size++) {
            const double whole = rate_of(want[k].id, size, NULL, NULL),
                         adapter = rate_of(want[k].id, size, "lora", "all-linear"),
                         times = size == LARGE ? want[k].large : want[k].small;
            if (fabs(adapter - times * whole) > 1e-9 * adapter)
                fail_msg("%s, size %d: %g of adapters, %g of weights", want[k].id, size, adapter, whole);
        }
    assert_true(rate_of("ga_kl", SMALL, "lora", "all-linear") == 6.9e-4); /* as it would be typed */
    assert_true(rate_of("npo", TEN, "lora", "all-linear") == 1e-3);
    assert_true(rate_of("npo", HUNDRED, "lora", "all-linear") == 5.8e-4);
}

/* ---- the lists themselves ---------------------------------------------------------------------------------------- */
/* Each value is one that its table would take from a caller. */
static void fits(const char *id, const ul_param *own, const char *const *list)
{
    ul_ctx *ctx = ul_test_ctx();
    ul_job *job;
    ul_args a;
    int t, i;
    UL_OK_IN(ctx, ul_job_new(ctx, "forget", &job));
    ul_args_default(own, &a);
    for (const char *const *r = list; r && *r; r += 2)
        if (r[0][0] == '.') {
            UL_OK_IN(ctx, ul_args_set(ul_ctx_arena(ctx), &a, id, r[0] + 1, r[1]));
        } else {
            if (!ul_job_find(job, r[0], &t, &i)) fail_msg("%s: `forget` has no --%s", id, r[0]);
            UL_OK_IN(ctx, ul_job_set(job, r[0], r[1]));
        }
    ul_job_free(job);
    ul_ctx_free(ctx);
}

/* At one size at least a value is another one (or means are within micro-batches). */
static void changes(const char *id, const ul_match *m)
{
    bool changed = m->micro_means;
    assert_non_null(m->what);
    for (int size = LARGE; size <= SMALL; size++) {
        ul_ctx *ctx = ul_test_ctx();
        ul_job *plain = job_of(ctx, id, size, NULL, NULL, NULL), *matched = job_of(ctx, id, size, m->name, NULL, NULL);
        for (const char *const *r = m->set; r && *r; r += 2) {
            char a[64], b[64], want[64];
            double x;
            const char *now = value_of(matched, size, r[0], b);
            snprintf(want, sizeof want, "%s", r[1]);
            if (ul_parse_real(r[1], &x)) snprintf(want, sizeof want, "%g", x);
            if (!strcmp(r[1], "true") || !strcmp(r[1], "false")) snprintf(want, sizeof want, "%d", r[1][0] == 't');
            if (strcmp(now, want)) fail_msg("%s --match %s: %s is %s, not %s", id, m->name, r[0], now, want);
            changed |= strcmp(value_of(plain, size, r[0], a), now) != 0;
        }
        assert_true(matched->micro_means == m->micro_means && !plain->micro_means);
        ul_job_free(plain), ul_job_free(matched);
        ul_ctx_free(ctx);
    }
    if (!changed) fail_msg("%s --match %s changes nothing", id, m->name);
}

static void lists_fit_their_tables(void **state)
{
    ul_catalogue_entry e;
    int n, found = 0;
    const ul_wrapper_entry *w = ul_wrappers(&n);
    (void)state;
    for (int i = 0; ul_catalogue_at(i, &e); i++) {
        fits(e.id, e.method->params, e.method->recipe);
        fits(e.id, e.method->params, e.method->small);
        for (const ul_match *m = e.method->matches; m && m->name; m++, found++)
            fits(e.id, e.method->params, m->set), changes(e.id, m);
    }
    for (int i = 0; i < n; i++) {
        fits(w[i].id, w[i].wrapper->params, w[i].wrapper->small);
        for (const ul_match *m = w[i].wrapper->matches; m && m->name; m++, found++)
            fits(w[i].id, w[i].wrapper->params, m->set), changes(w[i].id, m);
    }
    for (const ul_match *m = ul_sophia_matches; m->name; m++, found++) changes("soul", m);
    assert_true(found >= 20);
}

/* ---- who wins ---------------------------------------------------------------------------------------------------- */
static void the_caller_wins(void **state)
{
    ul_ctx *ctx = ul_test_ctx();
    char text[64];
    (void)state;
    ul_job *job = job_of(ctx, "llmu", LARGE, NULL, "epochs", "3");
    assert_string_equal(value_of(job, LARGE, "steps", text), "0"); /* else they would decide */
    assert_string_equal(value_of(job, LARGE, "batch", text), "2");
    ul_job_free(job);
    job = job_of(ctx, "llmu", LARGE, NULL, "steps", "7");
    assert_string_equal(value_of(job, LARGE, "steps", text), "7");
    ul_job_free(job);
    job = job_of(ctx, "npo", LARGE, "soul", "npo.ratio", "sum");
    assert_string_equal(value_of(job, LARGE, ".ratio", text), "sum");
    ul_job_free(job);
    job = job_of(ctx, "rs", SMALL, NULL, "rs.sigma", "0.3");
    assert_string_equal(value_of(job, SMALL, ".sigma", text), "0.3");
    ul_job_free(job);
    ul_ctx_free(ctx);
}

static void unknown_programs(void **state)
{
    static const struct {
        const char *method, *match, *says;
    } bad[] = {{"npo", "soull", "did you mean soul?"},
               {"npo", "open-unlearnin", "did you mean open-unlearning?"},
               {"npo", "g-effect", "none, open-unlearning, soul"}, /* wga's */
               {"ga", "soul", "known with this run: none, open-unlearning"}};
    (void)state;
    for (size_t k = 0; k < sizeof bad / sizeof *bad; k++) {
        ul_ctx *ctx = ul_test_ctx();
        ul_job *job;
        UL_OK_IN(ctx, ul_job_new(ctx, "forget", &job));
        UL_OK_IN(ctx, ul_job_set(job, "method", bad[k].method));
        UL_OK_IN(ctx, ul_job_set(job, "match", bad[k].match));
        UL_FAILS_IN(ctx, UL_E_USAGE, bad[k].says, ul_job_match_known(job));
        ul_job_free(job);
        ul_ctx_free(ctx);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(large_models_have_the_papers), cmocka_unit_test(every_method_is_there),
        cmocka_unit_test(blocks_of_large_models),       cmocka_unit_test(small_models_have_what_was_measured),
        cmocka_unit_test(small_models_have_nothing_else), cmocka_unit_test(rates_go_from_ours_to_the_papers),
        cmocka_unit_test(adapters_learn_faster),        cmocka_unit_test(lists_fit_their_tables),
        cmocka_unit_test(the_caller_wins),              cmocka_unit_test(unknown_programs)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
