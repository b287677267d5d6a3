/* test_greedy_published.c - real models speak as their authors published: stories260K's 464 bytes,
 * TinyStories-656K by an independent float64 computation, tiny-random-gpt2 by another program. In f32 and in double. */
#include "model_test.h"
#include <stdio.h>

typedef struct {
    ul_ctx *ctx;
    ul_arena *a;
    ul_model *m;
    json_t *json;
} model_and_truth;

static void open_both(model_and_truth *x, const char *model, const char *truth, ul_precision precision)
{
    ul_backend *be;
    x->ctx = ul_test_ctx();
    x->a = ul_ctx_arena(x->ctx);
    UL_OK_IN(x->ctx, ul_backend_open(x->ctx, x->a, ul_env("UL_ISA"), precision, 0, &be));
    UL_OK_IN(x->ctx, ul_model_open(x->ctx, be, ul_test_shared(model), UL_OPEN_PANELS, &x->m));
    UL_OK_IN(x->ctx, ul_json_load(x->ctx, x->a, ul_test_shared(truth), &x->json));
}

static void close_both(model_and_truth *x)
{
    ul_model_free(x->m);
    ul_ctx_free(x->ctx);
}

static int32_t *ints(const json_t *list, int32_t *n)
{
    static int32_t out[4][4096];
    static int turn;
    int32_t *p = out[turn++ % 4];
    *n = (int32_t)json_array_size(list);
    assert_true(*n > 0 && *n <= 4096);
    for (int32_t i = 0; i < *n; i++) p[i] = (int32_t)json_integer_value(json_array_get(list, (size_t)i));
    return p;
}

static int32_t *continuation(model_and_truth *x, const int32_t *prompt, int32_t n, int32_t max_new, int32_t *n_out)
{
    int32_t *out;
    const ul_doc d = {.n = n, .token = prompt};
    const ul_generation g = {.n = 1, .prompt = &d, .max_new = max_new, .batch = 1};
    UL_OK_IN(x->ctx, ul_model_generate(x->ctx, x->m, &g, x->a, &out, n_out));
    return out;
}

/* llama2.c's tokenizer file: u32 longest, then per token f32 score, u32 length, bytes. Decoded as its decode() does: a
 * leading space after BOS is dropped, "<0xHH>" is a byte. */
static void decode(const unsigned char *file, size_t size, const int32_t *id, int32_t n, char *out, size_t room)
{
    size_t len = 0;
    for (int32_t i = 0, before = 1; i < n; before = id[i++]) {
        size_t at = 4;
        uint32_t k = 0;
        for (int32_t t = 0; t <= id[i]; t++) {
            at += t ? 8 + k : 0;
            assert_true(at + 8 <= size);
            memcpy(&k, file + at + 4, 4);
        }
        const char *p = (const char *)file + at + 8;
        unsigned byte;
        if (before == 1 && *p == ' ') p++, k--;
        assert_true(len + k + 1 < room);
        if (k == 6 && sscanf(p, "<0x%2X>", &byte) == 1) out[len++] = (char)byte;
        else memcpy(out + len, p, k), len += k;
    }
    out[len] = 0;
}

static void stories(ul_precision precision)
{
    model_and_truth x;
    ul_file file;
    char text[4096];
    int32_t n;
    const int32_t bos = 1;
    open_both(&x, "data/models/stories260K-hf", "data/models/stories260K/reference/greedy_published.json", precision);
    const char *want = json_string_value(json_object_get(x.json, "text"));
    assert_int_equal(strlen(want), 464);
    UL_OK_IN(x.ctx, ul_file_map(x.ctx, x.a, ul_test_shared("data/models/stories260K/tok512.bin"), &file));
    int32_t *out = continuation(&x, &bos, 1, (int32_t)json_integer_value(json_object_get(x.json, "steps")), &n);
    decode(file.p, file.n, out, n, text, sizeof text);
    assert_string_equal(text, want);
    close_both(&x);
}

static void stories260K(void **state)
{
    (void)state;
    stories(UL_PRECISION_F32);
    stories(UL_PRECISION_DOUBLE);
}

static void tiny_stories(void **state)
{
    (void)state;
    for (int p = 0; p < 2; p++) {
        model_and_truth x;
        int32_t n_prompt, n_want, n;
        const bool oracle = p == 1;
        open_both(&x, "data/models/TinyStories-656K",
                  "data/models/TinyStories-656K/reference/greedy_computed_here.json",
                  oracle ? UL_PRECISION_DOUBLE : UL_PRECISION_F32);
        const int32_t *prompt = ints(json_object_get(x.json, "prompt_ids"), &n_prompt);
        const int32_t *want = ints(json_object_get(x.json, "greedy_ids"), &n_want);
        const int32_t *out = continuation(&x, prompt, n_prompt, n_want - n_prompt, &n);
        assert_int_equal(n, n_want - n_prompt);
        for (int32_t i = 0; i < n; i++) assert_int_equal(out[i], want[n_prompt + i]);
        /* the logits at the prompt's end */
        const json_t *z = json_object_get(x.json, "logits_last_prompt_pos_first16");
        const int32_t start[2] = {0, n_prompt}, rows[2] = {0, 1}, row = n_prompt - 1, none = -1, zero = 0;
        int32_t pos[64];
        for (int i = 0; i < n_prompt; i++) pos[i] = i;
        const ul_batch b = {.n_tok = n_prompt,
                            .n_doc = 1,
                            .n_sample = 1,
                            .n_row = 1,
                            .longest = n_prompt,
                            .token = prompt,
                            .pos = pos,
                            .doc_start = start,
                            .sample_start = start,
                            .row = &row,
                            .label = &none,
                            .doc_sample = &zero,
                            .doc_row = rows};
        void *logits = ul_alloc(x.a, (size_t)x.m->arch.s.V, 8);
        UL_OK_IN(x.ctx, ul_model_logits(x.ctx, x.m, &b, logits));
        assert_int_equal(json_array_size(z), 16);
        for (size_t i = 0; i < 16; i++) {
            const double have = ul_real_get(x.m->be, logits, (int64_t)i),
                         must = json_number_value(json_array_get(z, i));
            if (!(fabs(have - must) <= (oracle ? 1e-9 : 1e-4)))
                fail_msg("logit %zu is %.15g, published %.15g", i, have, must);
        }
        close_both(&x);
    }
}

static void tiny_random_gpt2(void **state)
{
    (void)state;
    model_and_truth x;
    size_t i;
    json_t *row;
    open_both(&x, "data/models/tiny-random-gpt2", "data/models/tiny-random-gpt2/reference/greedy_published.json",
              UL_PRECISION_F32);
    json_array_foreach(json_object_get(x.json, "greedy"), i, row) {
        int32_t n_prompt, n_want, n;
        const int32_t *prompt = ints(json_object_get(row, "prompt_ids"), &n_prompt),
                      *want = ints(json_object_get(row, "ids"), &n_want);
        const int32_t *out = continuation(&x, prompt, n_prompt, n_want - n_prompt, &n);
        assert_int_equal(n, n_want - n_prompt);
        for (int32_t k = 0; k < n; k++) assert_int_equal(out[k], want[n_prompt + k]);
    }
    close_both(&x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(stories260K), cmocka_unit_test(tiny_stories),
                                       cmocka_unit_test(tiny_random_gpt2)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
