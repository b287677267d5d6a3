/* test_generate.c - generated tokens do not depend on how many rows share a step, on panels, or on the cache:
 * they are those of a whole computation for every token. */
#include "model_test.h"

enum { PROMPTS = 9, NEW = 12, V = 23 };

typedef struct {
    ul_doc doc[PROMPTS];
    int32_t token[PROMPTS][32], pos[PROMPTS][32];
    uint8_t hidden[PROMPTS][32];
} prompts;

/* Lengths 1 to 27; odd ones have hidden tokens, positions count the visible ones. */
static void make_prompts(prompts *p, bool plain)
{
    for (int i = 0; i < PROMPTS; i++) {
        const int32_t n = 1 + (int32_t)(ul_rng(1, UL_STREAM_TEST, 7, (uint64_t)i) % 20) + (i == 4 ? 7 : 0);
        int32_t seen = 0;
        for (int32_t t = 0; t < n; t++) {
            p->token[i][t] = (int32_t)(ul_rng(2, UL_STREAM_TEST, (uint64_t)i, (uint64_t)t) % V);
            p->hidden[i][t] = !plain && i % 2 && t + 1 < n && t % 3 == 1;
            p->pos[i][t] = p->hidden[i][t] ? 1 : seen++;
        }
        p->doc[i] = (ul_doc){
            .n = n, .token = p->token[i], .hidden = plain ? NULL : p->hidden[i], .pos = plain ? NULL : p->pos[i]};
    }
}

static ul_model *model(ul_ctx *ctx, const char *type, ul_precision precision, int threads)
{
    ul_backend *be;
    ul_model *m;
    UL_OK_IN(ctx, ul_backend_open(ctx, ul_ctx_arena(ctx), ul_env("UL_ISA"), precision, threads, &be));
    UL_OK_IN(ctx, ul_model_fresh(ctx, be, tiny_config(type, true, "float32"), 5, 0.5, &m));
    shake(m, 0.2);
    return m;
}

typedef struct {
    int32_t *out[PROMPTS], n[PROMPTS];
} answer;

static void generate(ul_ctx *ctx, ul_model *m, const prompts *p, int32_t batch, double temperature, int32_t top_k,
                     answer *a)
{
    const int32_t eos = 3;
    const ul_generation g = {.n = PROMPTS, .prompt = p->doc, .max_new = NEW, .eos = &eos, .n_eos = 1, .batch = batch,
                             .temperature = temperature, .top_p = 0.9, .top_k = top_k, .seed = 4};
    UL_OK_IN(ctx, ul_model_generate(ctx, m, &g, ul_ctx_arena(ctx), a->out, a->n));
}

static void same(const answer *a, const answer *b, const char *type, const char *what)
{
    for (int i = 0; i < PROMPTS; i++) {
        if (a->n[i] != b->n[i]) fail_msg("%s, %s: row %d has %d tokens, not %d", type, what, i, b->n[i], a->n[i]);
        for (int32_t t = 0; t < a->n[i]; t++)
            if (a->out[i][t] != b->out[i][t]) fail_msg("%s, %s: row %d, token %d differs", type, what, i, t);
    }
}

/* The whole text again for every token. */
static void recompute(ul_ctx *ctx, ul_model *m, const prompts *p, answer *a)
{
    for (int i = 0; i < PROMPTS; i++) {
        int32_t token[64], pos[64], start[2] = {0, 0}, row, label = -1, zero = 0, at;
        uint8_t hidden[64] = {0};
        int32_t n = p->doc[i].n, next = 0;
        for (int32_t t = 0; t < n; t++) {
            token[t] = p->token[i][t], pos[t] = p->doc[i].pos ? p->pos[i][t] : t,
            hidden[t] = p->doc[i].hidden ? p->hidden[i][t] : 0;
            if (!hidden[t]) next = pos[t] + 1;
        }
        a->n[i] = 0;
        a->out[i] = UL_NEW(ul_ctx_arena(ctx), int32_t, NEW);
        while (a->n[i] < NEW && n < 32) {
            start[1] = n, row = n - 1;
            const int32_t rows[2] = {0, 1};
            const ul_batch b = {.n_tok = n,
                                .n_doc = 1,
                                .n_sample = 1,
                                .n_row = 1,
                                .longest = n,
                                .token = token,
                                .pos = pos,
                                .doc_start = start,
                                .sample_start = start,
                                .hidden = hidden,
                                .row = &row,
                                .label = &label,
                                .doc_sample = &zero,
                                .doc_row = rows};
            ul_pass pass = {.batch = &b, .last = -1, .score = {.argmax = &at}};
            UL_OK_IN(ctx, ul_model_forward(ctx, m, &pass));
            a->out[i][a->n[i]++] = at;
            token[n] = at, pos[n++] = next++;
            if (at == 3) break;
        }
    }
}

static void one_answer(void **state)
{
    static const ul_precision precisions[] = {UL_PRECISION_F32, UL_PRECISION_BF16, UL_PRECISION_DOUBLE};
    (void)state;
    for (const char *const *f = ul_families(); *f; f++)
        for (int k = 0; k < 6; k++) {
            ul_ctx *ctx = ul_test_ctx();
            const char *type = ul_family_types(*f)[0];
            ul_model *m = model(ctx, type, precisions[k / 2], 1);
            prompts p;
            answer whole, a;
            int64_t n = 0;
            make_prompts(&p, k % 2);
            recompute(ctx, m, &p, &whole);
            generate(ctx, m, &p, 1, 0, 0, &a), same(&whole, &a, type, "batch 1");
            generate(ctx, m, &p, 4, 0, 0, &a), same(&whole, &a, type, "batch 4");
            generate(ctx, m, &p, 64, 0, 0, &a), same(&whole, &a, type, "batch 64");
            UL_OK_IN(ctx, ul_model_pack(ctx, m, m->panel_arena));
            m->flags |= UL_OPEN_PANELS;
            generate(ctx, m, &p, 3, 0, 0, &a), same(&whole, &a, type, "panels");
            for (int i = 0; i < PROMPTS; i++) n += a.n[i];
            assert_true(n > 2 * PROMPTS);
            ul_model_free(m);
            ul_ctx_free(ctx);
        }
}

static void sampling(void **state)
{
    (void)state;
    ul_ctx *ctx = ul_test_ctx();
    ul_model *m = model(ctx, "llama", UL_PRECISION_F32, 1);
    prompts p;
    answer greedy, a, b;
    make_prompts(&p, false);
    generate(ctx, m, &p, 2, 0, 0, &greedy);
    generate(ctx, m, &p, 2, 0.7, 1, &a), same(&greedy, &a, "llama", "top_k 1");
    generate(ctx, m, &p, 1, 3, 0, &a), generate(ctx, m, &p, 5, 3, 0, &b), same(&a, &b, "llama", "sampling in batches");
    int differ = 0;
    for (int i = 0; i < PROMPTS; i++)
        differ += a.n[i] != greedy.n[i] || memcmp(a.out[i], greedy.out[i], (size_t)a.n[i] * 4) != 0;
    assert_true(differ > PROMPTS / 2);
    ul_model_free(m);
    ul_ctx_free(ctx);
}

/* Batch size 1, 4, 64; 1 and 2 threads; every kernel precision: the same draws,
 * which the limits of top_k and top_p do narrow. */
static void sampling_in_batches_and_threads(void **state)
{
    static const ul_precision precisions[] = {UL_PRECISION_F32, UL_PRECISION_BF16};
    (void)state;
    for (int k = 0; k < 2; k++) {
        ul_ctx *ctx = ul_test_ctx();
        prompts p;
        answer want, a, free_draws;
        int narrowed = 0;
        make_prompts(&p, true);
        for (int threads = 1; threads <= 2; threads++) {
            ul_model *m = model(ctx, "llama", precisions[k], threads);
            if (threads == 1) generate(ctx, m, &p, 1, 2, 5, &want), generate(ctx, m, &p, 1, 2, 0, &free_draws);
            static const int32_t batches[] = {1, 4, 64};
            for (int b = 0; b < 3; b++) generate(ctx, m, &p, batches[b], 2, 5, &a), same(&want, &a, "llama", "sampled");
            ul_model_free(m);
        }
        for (int i = 0; i < PROMPTS; i++)
            narrowed +=
                want.n[i] != free_draws.n[i] || memcmp(want.out[i], free_draws.out[i], (size_t)want.n[i] * 4) != 0;
        assert_true(narrowed > 0);
        ul_ctx_free(ctx);
    }
}

static void context_ends(void **state)
{
    (void)state;
    ul_ctx *ctx = ul_test_ctx();
    ul_model *m = model(ctx, "gpt2", UL_PRECISION_F32, 1);
    int32_t token[40] = {0}, n_out, *out;
    ul_doc d = {.n = 29, .token = token};
    ul_generation g = {.n = 1, .prompt = &d, .max_new = 50, .batch = 1};
    UL_OK_IN(ctx, ul_model_generate(ctx, m, &g, ul_ctx_arena(ctx), &out, &n_out));
    assert_int_equal(n_out, 3); /* 29 + 3 = n_positions */
    d.n = 32;
    UL_OK_IN(ctx, ul_model_generate(ctx, m, &g, ul_ctx_arena(ctx), &out, &n_out));
    assert_int_equal(n_out, 0);
    d.n = 33;
    UL_FAILS_IN(ctx, UL_E_INPUT, "33 tokens, the model was made for 32",
                ul_model_generate(ctx, m, &g, ul_ctx_arena(ctx), &out, &n_out));
    d.n = 0;
    UL_FAILS_IN(ctx, UL_E_INPUT, "prompt 0 is empty", ul_model_generate(ctx, m, &g, ul_ctx_arena(ctx), &out, &n_out));
    ul_model_free(m);
    ul_ctx_free(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(one_answer), cmocka_unit_test(sampling),
                                       cmocka_unit_test(sampling_in_batches_and_threads),
                                       cmocka_unit_test(context_ends)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
