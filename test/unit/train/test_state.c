/* Losses of hidden states: each method's loss against its formula on states of single documents;
 * rmu's invariants (no loss at the target, none of retain text before a step, padding does not count);
 * a cached prefix gives the same states. */
#include "method/method.h"
#include "train_test.h"

enum { C = 32, L = 2, MOST = 20 };

static void set(tiny *t, const char *key, double x)
{
    for (int i = 0; t->args.params[i].key; i++)
        if (!strcmp(t->args.params[i].key, key)) {
            t->args.num[i] = x;
            return;
        }
    fail_msg("no parameter %s", key);
}

static void open_method(tiny *t, const char *id)
{
    const tiny_how how = {.precision = UL_PRECISION_DOUBLE, .threads = 1, .micro = 2};
    tiny_open(t, NULL, &how, ul_method_find(id), NULL);
    t->recipe.batch = 3;
    tiny_references(t, NULL);
}

static void at_block_0(tiny *t)
{
    set(t, "layer", 0);
    tiny_references(t, NULL);
}

static double loss_of(tiny *t, int64_t step)
{
    ul_trainer *tr;
    ul_step_result r;
    UL_OK_IN(t->ctx, ul_trainer_new(t->ctx, &t->run.options, t->recipe.steps, &tr));
    UL_OK_IN(t->ctx, ul_trainer_gradients(tr, step, &r));
    ul_trainer_free(tr);
    return r.loss;
}

/* States of a document's scored tokens after each block. */
typedef struct {
    int n;
    double h[L][MOST][C];
} states;

static states states_of(tiny *t, const ul_doc *d)
{
    states s = {0};
    ul_arena *arena;
    ul_batch *b;
    UL_OK_IN(t->ctx, ul_arena_new(t->ctx, "states", &arena));
    UL_OK_IN(t->ctx, ul_pack_docs(t->ctx, arena, &d, 1, false, &b));
    ul_pass pass = {.batch = b, .flags = UL_PASS_NO_HEAD | UL_PASS_STATES, .last = L};
    UL_OK_IN(t->ctx, ul_model_forward(t->ctx, t->model, &pass));
    for (int32_t i = 0; i < d->n; i++) {
        if (!d->labelled[i]) continue;
        for (int l = 0; l < L; l++)
            memcpy(s.h[l][s.n], (const double *)ul_model_hidden(t->model, l + 1) + (size_t)i * C, sizeof s.h[l][0]);
        s.n++;
    }
    ul_arena_free(arena);
    return s;
}

static double square(const double *a, const double *b)
{
    double s = 0;
    for (int c = 0; c < C; c++) s += (a[c] - b[c]) * (a[c] - b[c]);
    return s;
}

static double cosine(const double *a, const double *b)
{
    double aa = 0, bb = 0, ab = 0;
    for (int c = 0; c < C; c++) aa += a[c] * a[c], bb += b[c] * b[c], ab += a[c] * b[c];
    return ab / sqrt(aa * bb);
}

static void control(const tiny *t, double length, double *u)
{
    double norm = 0;
    for (int c = 0; c < C; c++)
        u[c] = ul_rng_uniform(t->recipe.seed, UL_STREAM_CONTROL, 0, (uint64_t)c), norm += u[c] * u[c];
    for (int c = 0; c < C; c++) u[c] *= length / sqrt(norm);
}

/* Mean of the states of all documents of a side after block l; and of their lengths over the documents of step 0. */
static void mean_state(tiny *t, int side, int l, double *out)
{
    double n = 0;
    memset(out, 0, C * sizeof *out);
    for (int64_t d = 0; d < t->docs[side]->n; d++) {
        const states s = states_of(t, &t->docs[side]->at[d]);
        for (int i = 0; i < s.n; i++, n++)
            for (int c = 0; c < C; c++) out[c] += s.h[l][i][c];
    }
    for (int c = 0; c < C; c++) out[c] /= n;
}

static double first_length(tiny *t, int l)
{
    double sum = 0, n = 0;
    const double zero[C] = {0};
    for (int i = 0; i < t->recipe.batch; i++) {
        ul_sample x;
        assert_int_equal(tiny_sample(t, 0, i, NULL, &x), UL_OK);
        const states s = states_of(t, x.doc[UL_FORGET]);
        for (int k = 0; k < s.n; k++, n++) sum += sqrt(square(s.h[l][k], zero));
    }
    return sum / n;
}

/* One token's part of the loss, by the method's formula; s: step. */
static double part(const tiny *t, const char *id, int side, const states *now, const states *ref, int i,
                   const double *u, int64_t step)
{
    const bool forget = side == UL_FORGET, rising = !strcmp(id, "rr") && !strcmp(ul_txt(&t->args, "share"), "rising");
    const double tau = 0.5 * (double)step / (double)t->recipe.steps;
    if (!strcmp(id, "rmu") || !strcmp(id, "armu"))
        return forget ? square(now->h[0][i], u) / C : 1200 * square(now->h[0][i], ref->h[0][i]) / C;
    if (!strcmp(id, "cosrmu")) return 1 - cosine(now->h[0][i], forget ? u : ref->h[0][i]);
    if (!strcmp(id, "rr") && forget) {
        double y[L][C];
        const double zero[C] = {0};
        for (int l = 0; l < L; l++)
            for (int c = 0; c < C; c++) y[l][c] = ref->h[l][i][c] + 0.05 * sqrt(square(ref->h[l][i], zero)) * u[c];
        const double a = cosine(now->h[0][i], y[0]), b = cosine(now->h[1][i], y[1]);
        return 10 * (rising ? tau : 1 - tau) * (fmax(a, 0) + fmax(b, 0)) / 2;
    }
    if (!strcmp(id, "rr"))
        return 10 * (rising ? 1 - tau : tau) *
               (sqrt(square(now->h[0][i], ref->h[0][i])) + sqrt(square(now->h[1][i], ref->h[1][i]))) / 2;
    double target[C]; /* lunar; u: twice the difference of the means */
    for (int c = 0; c < C; c++) target[c] = ref->h[1][i][c] + (forget ? u[c] : 0);
    return square(now->h[1][i], target) / C;
}

static void falling(tiny *t)
{
    UL_OK_IN(t->ctx, ul_args_set(ul_ctx_arena(t->ctx), &t->args, "rr", "share", "falling"));
}

static void check_formula(const char *id, bool as_published)
{
    enum { STEP = 2 };
    tiny t;
    states ref[3][2];
    double u[C], alt[C];
    open_method(&t, id);
    const bool lunar = !strcmp(id, "lunar"), first = !strcmp(id, "rmu") || !strcmp(id, "armu") || !strcmp(id, "cosrmu");
    if (first) at_block_0(&t);
    if (!as_published) falling(&t);
    if (!strcmp(id, "rmu")) set(&t, "steer", 6.5), set(&t, "alpha", 1200);
    if (!strcmp(id, "armu")) set(&t, "beta", 5), set(&t, "alpha", 1200);
    if (!strcmp(id, "cosrmu")) set(&t, "alpha", 1);
    control(&t, !strcmp(id, "rmu") ? 6.5 : !strcmp(id, "armu") ? 5 * first_length(&t, 0) : 1, u);
    if (lunar) mean_state(&t, UL_FORGET, 1, u), mean_state(&t, UL_ALT, 1, alt);
    for (int c = 0; lunar && c < C; c++) u[c] = 2 * (alt[c] - u[c]);
    ul_sample x[3];
    for (int i = 0; i < 3; i++) {
        assert_int_equal(tiny_sample(&t, STEP, i, NULL, &x[i]), UL_OK);
        ref[i][0] = states_of(&t, x[i].doc[UL_FORGET]), ref[i][1] = states_of(&t, x[i].doc[UL_RETAIN]);
    }
    ul_trainer *tr;
    ul_step_result r;
    UL_OK_IN(t.ctx, ul_trainer_new(t.ctx, &t.run.options, t.recipe.steps, &tr)); /* measures before a weight moves */
    ul_trainable *w;
    for (int k = 0, n = ul_model_trainables(t.model, &w); k < n; k++)
        for (int64_t j = 0; j < w[k].n; j++)
            ((double *)w[k].p)[j] *= 1 + 0.1 * ul_rng_normal(4, UL_STREAM_TEST, (uint64_t)k, (uint64_t)j);
    UL_OK_IN(t.ctx, ul_trainer_gradients(tr, STEP, &r));
    double want = 0;
    for (int i = 0; i < 3; i++)
        for (int k = 0; k < 2; k++) {
            const int side = k ? UL_RETAIN : UL_FORGET;
            const states now = states_of(&t, x[i].doc[side]);
            for (int j = 0; j < now.n; j++) want += part(&t, id, side, &now, &ref[i][k], j, u, STEP) / now.n / 3;
        }
    if (!(fabs(want - r.loss) <= 1e-12 * fabs(want)) || !(want > 0))
        fail_msg("%s: loss %.15g, its formula %.15g", id, r.loss, want);
    ul_trainer_free(tr);
    tiny_close(&t);
}

static void test_formulas(void **state)
{
    (void)state;
    check_formula("rmu", true);
    check_formula("armu", true);
    check_formula("cosrmu", true);
    check_formula("rr", true);
    check_formula("rr", false);
    check_formula("lunar", true);
}

/* The forget term alone, after six steps: nearer to its target than before. */
static void check_effect(const char *id, const char *off)
{
    tiny t;
    ul_trainer *tr;
    ul_step_result before, after;
    open_method(&t, id);
    t.recipe.lr = 1e-3;
    if (!strcmp(id, "rr")) falling(&t);
    if (off) set(&t, off, 0);
    UL_OK_IN(t.ctx, ul_trainer_new(t.ctx, &t.run.options, t.recipe.steps, &tr));
    UL_OK_IN(t.ctx, ul_trainer_gradients(tr, 0, &before));
    for (int64_t s = 0; s < t.recipe.steps; s++) {
        UL_OK_IN(t.ctx, ul_trainer_gradients(tr, s, &after));
        UL_OK_IN(t.ctx, ul_trainer_update(tr, s, &after));
    }
    UL_OK_IN(t.ctx, ul_trainer_gradients(tr, 0, &after)); /* the same documents again */
    if (!(after.loss < before.loss - 1e-3 * fabs(before.loss)))
        fail_msg("%s: loss %g, then %g", id, before.loss, after.loss);
    ul_trainer_free(tr);
    tiny_close(&t);
}

static void test_effect(void **state)
{
    (void)state;
    check_effect("rmu", "alpha");
    check_effect("armu", "alpha");
    check_effect("cosrmu", "alpha");
    check_effect("rr", "ramp");
    check_effect("lunar", "alpha");
    check_effect("repnoise", "alpha");
}

/* exp(-|a-b|^2 / s), s = C/2 .. 8C */
static double kernel(const double *a, const double *b)
{
    double k = 0;
    for (int i = 0; i < 5; i++) k += exp(-square(a, b) / (C * 0.5 * (1 << i)));
    return k;
}

static void noise(const tiny *t, int64_t step, int64_t id, int l, int i, double *y)
{
    for (int c = 0; c < C; c++)
        y[c] = ul_rng_normal(t->recipe.seed, UL_STREAM_STATE, (uint64_t)step,
                             ((uint64_t)(id * 1024 + l) << 24) + (uint64_t)(i * C + c));
}

/* Mean over blocks of the biased MMD^2 of a document's states and noise. */
static double discrepancy(const tiny *t, int64_t step, int64_t id, const states *s)
{
    double sum = 0;
    for (int l = 0; l < L; l++)
        for (int i = 0; i < s->n; i++)
            for (int j = 0; j < s->n; j++) {
                double a[C], b[C];
                noise(t, step, id, l, i, a), noise(t, step, id, l, j, b);
                sum += (kernel(s->h[l][i], s->h[l][j]) + kernel(a, b) - kernel(s->h[l][i], b) - kernel(s->h[l][j], a)) /
                       L / s->n / s->n;
            }
    return sum;
}

/* repnoise, with and without its discrepancy: the difference is beta times the naive one. */
static void test_noise(void **state)
{
    (void)state;
    enum { STEP = 3 };
    tiny t;
    open_method(&t, "repnoise");
    double want = 0;
    for (int i = 0; i < 3; i++) {
        ul_sample x;
        assert_int_equal(tiny_sample(&t, STEP, i, NULL, &x), UL_OK);
        const states s = states_of(&t, x.doc[UL_FORGET]);
        want += discrepancy(&t, STEP, x.doc[UL_FORGET]->id, &s) / 3;
    }
    set(&t, "beta", 0);
    const double without = loss_of(&t, STEP);
    set(&t, "beta", 10);
    const double got = (loss_of(&t, STEP) - without) / 10;
    if (!(fabs(want - got) <= 1e-12) || !(want > 0.01)) fail_msg("discrepancy %.15g, by pairs %.15g", got, want);
    set(&t, "beta", 0); /* the rest needs no state: -log(1 + CE) */
    set(&t, "alpha", 0);
    set(&t, "gamma", 0);
    assert_true(loss_of(&t, STEP) == 0);
    tiny_close(&t);
}

/* Every sample: this forget document, and retain document 0. */
static ul_status one_document(void *user, int64_t step, int32_t i, ul_arena *arena, ul_sample *out)
{
    const tiny *t = ((void **)user)[0];
    (void)step, (void)i, (void)arena;
    out->doc[UL_FORGET] = ((void **)user)[1];
    out->doc[UL_ALT] = &t->docs[UL_ALT]->at[0];
    out->doc[UL_RETAIN] = &t->docs[UL_RETAIN]->at[0];
    return UL_OK;
}

/* Q8 of the catalogue of methods. */
static void test_rmu_at_its_target(void **state)
{
    (void)state;
    tiny t;
    open_method(&t, "rmu");
    int32_t token[] = {3, 9, 27, 1};
    uint8_t labelled[] = {0, 0, 1, 0};
    ul_doc d = {0, 4, 0, token, labelled, NULL, NULL, NULL};
    void *user[] = {&t, &d};
    t.run.options.sample = one_document;
    t.run.options.user = user;
    at_block_0(&t);
    set(&t, "gamma", 0);
    assert_true(loss_of(&t, 0) == 0); /* retain states are the reference's */
    set(&t, "gamma", 1);
    assert_true(loss_of(&t, 0) > 0);
    const states s = states_of(&t, &d);
    t.run.options.control = s.h[0][0];
    assert_true(loss_of(&t, 0) == 0); /* h = c u */
    const double off[C] = {1};
    t.run.options.control = off;
    const double before = loss_of(&t, 0);
    token[3] = 17; /* behind the scored token: padding */
    assert_true(loss_of(&t, 0) == before);
    token[1] = 17; /* before it: context */
    assert_true(loss_of(&t, 0) != before);
    tiny_close(&t);
}

/* The retain term by the head, as graddiff's: rmu without it and graddiff without ascent add up. */
static void test_rmu_retain_by_head(void **state)
{
    (void)state;
    static const char *const kind[] = {"nll", "kl"};
    for (int k = 0; k < 2; k++) {
        tiny t;
        open_method(&t, "graddiff");
        set(&t, "gamma", 0);
        UL_OK_IN(t.ctx, ul_args_set(ul_ctx_arena(t.ctx), &t.args, "graddiff", "retain", kind[k]));
        tiny_references(&t, NULL);
        const double retain = loss_of(&t, 1);
        tiny_close(&t);
        open_method(&t, "rmu");
        UL_OK_IN(t.ctx, ul_args_set(ul_ctx_arena(t.ctx), &t.args, "rmu", "retain", kind[k]));
        set(&t, "steer", 6.5);
        set(&t, "alpha", 0);
        at_block_0(&t);
        const double steered = loss_of(&t, 1);
        set(&t, "alpha", 3);
        const double both = loss_of(&t, 1);
        set(&t, "alpha", -1);
        const double at_default = loss_of(&t, 1);
        tiny_close(&t);
        assert_true(fabs(both - steered - 3 * retain) <= 1e-12 * both && steered > 0);
        assert_true(fabs(at_default - steered - retain) <= 1e-12 * both && (k || retain > 1));
    }
}

static uint64_t sum_of(const ul_trainable *w)
{
    uint64_t h = 0, bits;
    for (int64_t i = 0; i < w->n; i++) memcpy(&bits, (double *)w->p + i, 8), h = 31 * h + bits;
    return h;
}

/* Blocks that the loss does not reach keep every bit, decay or not; so does what is held still: it counts
 * in the norm. */
static void test_what_stays(void **state)
{
    (void)state;
    tiny t;
    ul_trainer *tr;
    ul_trainable *w;
    ul_step_result r, held;
    uint64_t before[64];
    open_method(&t, "rmu");
    at_block_0(&t);
    t.recipe.weight_decay = 0.1;
    UL_OK_IN(t.ctx, ul_model_select(t.ctx, t.model, "all"));
    const int n = ul_model_trainables(t.model, &w);
    assert_in_range(n, 4, 64);
    for (int k = 0; k < n; k++) before[k] = sum_of(&w[k]);
    UL_OK_IN(t.ctx, ul_trainer_new(t.ctx, &t.run.options, t.recipe.steps, &tr));
    UL_OK_IN(t.ctx, ul_trainer_gradients(tr, 0, &r));
    int still = -1;
    for (int k = 0; k < n && still < 0; k++)
        if (strstr(w[k].name, "layers.0.mlp.down_proj") || strstr(w[k].name, "h.0.mlp.c_proj.weight")) still = k;
    assert_true(still >= 0);
    w[still].still = true;
    UL_OK_IN(t.ctx, ul_trainer_gradients(tr, 0, &held));
    assert_true(held.grad_norm == r.grad_norm);
    UL_OK_IN(t.ctx, ul_trainer_update(tr, 3, &held));
    for (int k = 0; k < n; k++)
        assert_int_equal(sum_of(&w[k]) == before[k], k == still || w[k].layer > 0);
    ul_trainer_free(tr);
    tiny_close(&t);
}

/* A pass from a cached prefix holds the states of the whole pass, in memory and on disk. */
static void test_prefix(void **state)
{
    (void)state;
    for (int disk = 0; disk < 2; disk++) {
        const tiny_how how = {.precision = UL_PRECISION_F32, .threads = 1, .micro = 2};
        tiny t;
        tiny_open(&t, NULL, &how, ul_method_find("rmu"), NULL);
        set(&t, "layer", 1);
        UL_OK_IN(t.ctx, ul_model_select(t.ctx, t.model, "layers 1 mlp.down_proj"));
        assert_int_equal(ul_model_lowest(t.model), 1);
        tiny_references(&t, disk ? ul_test_folder("prefix") : NULL);
        const ul_reference *p = t.run.options.prefix[UL_RETAIN];
        assert_non_null(p);
        assert_non_null(t.run.options.prefix[UL_FORGET]);
        assert_null(t.run.options.prefix[UL_ALT]);
        for (int64_t d = 0; d < TINY_RETAIN; d++) {
            const ul_doc *doc = &t.docs[UL_RETAIN]->at[d];
            ul_arena *arena;
            ul_batch *b;
            UL_OK_IN(t.ctx, ul_arena_new(t.ctx, "states", &arena));
            UL_OK_IN(t.ctx, ul_pack_docs(t.ctx, arena, &doc, 1, false, &b));
            assert_int_equal(ul_reference_rows(p, d), doc->n);
            ul_pass whole = {.batch = b, .flags = UL_PASS_NO_HEAD, .last = 2};
            UL_OK_IN(t.ctx, ul_model_forward(t.ctx, t.model, &whole));
            float want[MOST * C];
            memcpy(want, ul_model_hidden(t.model, 2), (size_t)doc->n * C * sizeof *want);
            ul_pass half = {
                .batch = b, .flags = UL_PASS_NO_HEAD, .first = 1, .start = ul_reference_hidden(p, d), .last = 2};
            UL_OK_IN(t.ctx, ul_model_forward(t.ctx, t.model, &half));
            assert_memory_equal(ul_model_hidden(t.model, 2), want, (size_t)doc->n * C * sizeof *want);
            ul_arena_free(arena);
        }
        UL_OK_IN(t.ctx, ul_model_select(t.ctx, t.model, "all")); /* then a prefix would be wrong, and none is made */
        tiny_references(&t, NULL);
        assert_null(t.run.options.prefix[UL_RETAIN]);
        tiny_close(&t);
    }
}

/* Which weights move by default: rmu's three matrices, in a small model of few blocks all weights below the states. */
static void weights_that_move(void **state)
{
    static const struct {
        int blocks, words;
        const char *rmu, *rr;
    } want[] = {{4, 40, "embedding,layers 0-3", "embedding,layers 0-2"},
                {8, 40, "layers 0-2 mlp.down_proj", "layers 0-4"},
                {4, 640000, "layers 0-1 mlp.down_proj", "layers 0-1"}}; /* the last: 20.5 million weights */
    (void)state;
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        const tiny_how how = {.precision = UL_PRECISION_F32, .threads = 1};
        char path[600];
        tiny t;
        ul_model *m;
        ul_args args;
        tiny_open(&t, NULL, &how, NULL, NULL);
        snprintf(path, sizeof path, "%s/config.json", ul_test_folder("blocks"));
        FILE *f = fopen(path, "w");
        assert_non_null(f);
        fprintf(f, "{\"model_type\": \"llama\", \"tie_word_embeddings\": true, "
                   "\"vocab_size\": %d, \"hidden_size\": 32,\n"
                   " \"num_hidden_layers\": %d, \"num_attention_heads\": 2, \"intermediate_size\": 8}\n",
                want[i].words, want[i].blocks);
        assert_int_equal(fclose(f), 0);
        UL_OK_IN(t.ctx, ul_model_fresh(t.ctx, t.be, path, 5, 0.2, &m));
        const bool small = ul_recipe_small(ul_model_parameters(m));
        assert_int_equal(small, want[i].words == 40);
        for (int k = 0; k < 2; k++) {
            const ul_method *method = ul_method_find(k ? "rr" : "rmu");
            ul_method_args(method, small, &args);
            assert_string_equal(ul_method_train(ul_ctx_arena(t.ctx), method, &args, m), k ? want[i].rr : want[i].rmu);
        }
        ul_model_free(m);
        tiny_close(&t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_formulas), cmocka_unit_test(test_rmu_at_its_target),
                                       cmocka_unit_test(test_rmu_retain_by_head), cmocka_unit_test(test_what_stays),
                                       cmocka_unit_test(test_noise), cmocka_unit_test(test_effect),
                                       cmocka_unit_test(weights_that_move), cmocka_unit_test(test_prefix)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
