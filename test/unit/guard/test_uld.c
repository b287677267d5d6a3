/* test_uld.c - guards that combine logits: what is scored is the paper's formula, recomputed from the logits
 * of the models apart; and the forget answers lose probability, the retain answers less. */
#include "guard_test.h"

/* Logits [rows, V] of documents under a model, one batch. */
static double *logits(house *h, ul_model *m, const ul_docs *docs, int64_t *n_row)
{
    const ul_doc *list[32];
    ul_batch *b;
    for (int64_t i = 0; i < docs->n; i++) list[i] = &docs->at[i];
    UL_OK_IN(h->ctx, ul_pack_docs(h->ctx, h->arena, list, (int32_t)docs->n, false, &b));
    double *z = UL_NEW(h->arena, double, (int64_t)b->n_row * ul_model_shape(m)->V);
    UL_OK_IN(h->ctx, ul_model_logits(h->ctx, m, b, z));
    *n_row = b->n_row;
    return z;
}

static ul_model *other(house *h, const ul_guard_file *g, int blocks, bool adapted)
{
    ul_model *m;
    UL_OK_IN(h->ctx, ul_model_open_first(h->ctx, h->be, h->dir, blocks, 0, &m));
    if (adapted) UL_OK_IN(h->ctx, ul_lora_open(h->ctx, m, g->adapter));
    return m;
}

/* The formula of each guard over one row: z of the model, a and b of the others. */
static void combine(const char *id, int32_t V, double *z, const double *a, const double *b)
{
    double most = z[0], mean = 0;
    for (int32_t v = 0; v < V; v++) most = z[v] > most ? z[v] : most, mean += a[v] / V;
    for (int32_t v = 0; v < V; v++)
        z[v] = !strcmp(id, "uld")      ? (exp(z[v] - most) >= 0.01 ? z[v] - 0.8 * (a[v] - mean) : z[v])
               : !strcmp(id, "offset") ? z[v] + (a[v] - b[v])
                                       : z[v] - fmax(0, a[v] - z[v]);
}

/* least: nats that forget answers lose at least, and more than retain answers do. */
static void formula(const char *id, int blocks, double least)
{
    house h;
    double *logp, *bare;
    const ul_guard *guard = guard_named(id);
    house_open(&h, guard, UL_PRECISION_DOUBLE, 1);
    h.recipe.steps = 40;
    const int32_t V = ul_model_shape(h.model)->V;
    ul_guard_file *g = house_guard(&h, guard, id);
    ul_model *a = other(&h, g, blocks, true), *b = other(&h, g, blocks, false);
    double lost[2];
    for (int s = 0; s < 2; s++) {
        int64_t n, rows;
        const ul_docs *docs = s ? h.retain_docs : h.forget_docs;
        n = house_answers(&h, g, s ? h.retain : h.forget, 3, &logp);
        assert_int_equal(house_answers(&h, NULL, s ? h.retain : h.forget, 3, &bare), n);
        double *z = logits(&h, h.model, docs, &rows), *za = logits(&h, a, docs, &rows),
               *zb = logits(&h, b, docs, &rows);
        assert_int_equal(rows, n);
        for (int64_t d = 0, r = 0; d < docs->n; d++)
            for (int32_t t = 1; t < docs->at[d].n; t++) {
                if (!docs->at[d].labelled[t]) continue;
                double *row = z + r * V, sum = 0;
                combine(id, V, row, za + r * V, zb + r * V);
                for (int32_t v = 0; v < V; v++) sum += exp(row[v] - row[docs->at[d].token[t]]);
                assert_true(fabs(logp[r] + log(sum)) < 1e-9);
                r++;
            }
        lost[s] = mean_of(bare, n) - mean_of(logp, n);
    }
    print_message("%s: forget answers lose %.3f nats a token, retain answers %.3f\n", id, lost[0], lost[1]);
    assert_true(lost[0] > least);
    assert_true(lost[0] > lost[1] + least);
    ul_model_free(a);
    ul_model_free(b);
    house_close(&h);
}

static void scores_are_the_formula(void **state)
{
    (void)state;
    formula("uld", 1, 0.5);
    formula("offset", 1, 0.5);
    formula("whp_infer", 0, 0.01); /* a model that is sure already has little that reading once more could raise */
}

/* At the start `new` is `old`: the first step of the small model sees the large one's log-probs. */
static void offset_starts_at_the_model(void **state)
{
    house h;
    double *bare, *with;
    (void)state;
    const ul_guard *guard = guard_named("offset");
    house_open(&h, guard, UL_PRECISION_F32, 1);
    h.recipe.lr = 1e-30; /* nothing moves */
    h.recipe.weight_decay = 0;
    ul_guard_file *g = house_guard(&h, guard, "offset");
    const int64_t n = house_answers(&h, g, h.forget, 4, &with);
    house_answers(&h, NULL, h.forget, 4, &bare);
    for (int64_t i = 0; i < n; i++) assert_true(fabs(with[i] - bare[i]) < 1e-5);
    house_close(&h);
}

/* A small model of its own: another shape, the same words; another file in its place is refused. */
static void own_small_model(void **state)
{
    house h;
    char config[700], small[600];
    double *with, *bare;
    ul_model *m;
    (void)state;
    const ul_guard *guard = guard_named("offset");
    house_open(&h, guard, UL_PRECISION_F32, 1);
    snprintf(small, sizeof small, "%s/small", h.dir);
    UL_OK_IN(h.ctx, ul_dir_make(h.ctx, small));
    snprintf(config, sizeof config, "%s/config.json", small);
    static const char text[] =
        "{\"model_type\": \"llama\", \"torch_dtype\": \"float32\", \"tie_word_embeddings\": true, \"vocab_size\": 41,\n"
        " \"num_hidden_layers\": 1, \"hidden_size\": 16, \"num_attention_heads\": 2, \"num_key_value_heads\": 2,\n"
        " \"intermediate_size\": 24, \"max_position_embeddings\": 160, \"rms_norm_eps\": 1e-5}\n";
    UL_OK_IN(h.ctx, ul_file_save(h.ctx, config, text, sizeof text - 1));
    UL_OK_IN(h.ctx, ul_model_fresh(h.ctx, h.be, config, 8, 0.25, &m));
    UL_OK_IN(h.ctx, ul_model_save(h.ctx, m, small));
    ul_model_free(m);
    house_set(&h, "small", small);
    ul_guard_file *g = house_guard(&h, guard, "offset");
    const int64_t n = house_answers(&h, g, h.forget, 4, &with);
    house_answers(&h, NULL, h.forget, 4, &bare);
    assert_true(mean_of(bare, n) - mean_of(with, n) > 0.5);
    UL_OK_IN(h.ctx, ul_model_fresh(h.ctx, h.be, config, 9, 0.25, &m));
    UL_OK_IN(h.ctx, ul_model_save(h.ctx, m, small));
    ul_model_free(m);
    UL_OK_IN(h.ctx, ul_guard_read(h.ctx, h.arena, h.out, &g));
    UL_FAILS_IN(h.ctx, UL_E_INPUT, "when the guard was made", ul_guard_around(g, h.model, h.tok, h.digest));
    house_close(&h);
}

static void needs_are_named(void **state)
{
    house h;
    (void)state;
    const ul_guard *guard = guard_named("offset");
    house_open(&h, guard, UL_PRECISION_F32, 1);
    house_set(&h, "loss", "dpo");
    ul_work w = {.ctx = h.ctx,
                 .arena = h.arena,
                 .id = "offset",
                 .args = &h.args,
                 .model = h.model,
                 .recipe = &h.recipe,
                 .out_dir = h.out,
                 .forget = h.forget_docs,
                 .retain = h.retain_docs,
                 .report = &h.report};
    ul_guard_fit f = {.work = &w, .model_digest = h.digest};
    UL_FAILS_IN(h.ctx, UL_E_USAGE, "needs alternate answers", ul_guard_make(&f, guard));
    house_set(&h, "loss", "npoo");
    UL_FAILS_IN(h.ctx, UL_E_USAGE, "did you mean npo", ul_guard_make(&f, guard));
    house_set(&h, "loss", "npo");
    house_set(&h, "blocks", "9");
    UL_FAILS_IN(h.ctx, UL_E_USAGE, "the model has 3", ul_guard_make(&f, guard));
    house_close(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(scores_are_the_formula),
                                       cmocka_unit_test(offset_starts_at_the_model), cmocka_unit_test(own_small_model),
                                       cmocka_unit_test(needs_are_named)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
