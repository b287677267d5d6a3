/* model_test.h - tiny models of every family, made on the spot, and a batch for them. */
#ifndef UL_MODEL_TEST_H
#define UL_MODEL_TEST_H
#include "model/block.h"
#include "ul_test.h"
#include <math.h>

/* Every family finds its own words in here. */
static inline const char *tiny_config(const char *type, bool tied, const char *dtype)
{
    static char path[600];
    snprintf(path, sizeof path, "%s/config.json", ul_test_folder("tiny"));
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fprintf(f, "{\"model_type\": \"%s\", \"dtype\": \"%s\", \"tie_word_embeddings\": %s, \"vocab_size\": 23,\n"
               " \"num_hidden_layers\": 3, \"hidden_size\": 16, "
               "\"num_attention_heads\": 4, \"num_key_value_heads\": 2,\n"
               " \"head_dim\": 6, \"intermediate_size\": 20, \"max_position_embeddings\": 32, \"rms_norm_eps\": 1e-5,\n"
               " \"attention_bias\": true, \"mlp_bias\": true, "
               "\"sliding_window\": null, \"use_sliding_window\": false,\n"
               " \"rope_scaling\": {\"type\": \"llama3\", \"factor\": 4.0, "
               "\"low_freq_factor\": 1.0, \"high_freq_factor\": 4.0,\n"
               "                  \"original_max_position_embeddings\": 16},\n"
               " \"n_layer\": 3, \"n_embd\": 16, \"n_head\": 4, \"n_positions\": 32, \"n_inner\": 20}\n",
            type, dtype, tied ? "true" : "false");
    assert_int_equal(fclose(f), 0);
    return path;
}

/* Biases and norms of a fresh model are constants: give them numbers, so that nothing hides. */
static inline void shake(ul_model *m, double size)
{
    for (int i = 0; i < m->n_matrix; i++) {
        ul_matrix *x = &m->matrix[i];
        if (!x->vector) continue;
        for (int64_t k = 0; k < x->cols; k++)
            ul_real_set(m->be, x->p, k,
                        ul_real_get(m->be, x->p, k) +
                            size * ul_rng_normal(5, UL_STREAM_TEST, (uint64_t)i, (uint64_t)k));
    }
}

static inline ul_model *tiny_model(ul_ctx *ctx, ul_precision precision, const char *type, bool tied)
{
    ul_backend *be;
    ul_model *m;
    UL_OK_IN(ctx, ul_backend_open(ctx, ul_ctx_arena(ctx), ul_env("UL_ISA"), precision, 1, &be));
    UL_OK_IN(ctx, ul_model_fresh(ctx, be, tiny_config(type, tied, "float32"), 7, 0.3, &m));
    shake(m, 0.1);
    return m;
}

/* Two samples, three documents, a hidden token; rows: all tokens with a successor but two. */
enum { TINY_TOK = 19, TINY_DOC = 4, TINY_SAMPLE = 3 };
typedef struct {
    int32_t token[TINY_TOK], pos[TINY_TOK], start[TINY_DOC + 1], sample_start[TINY_SAMPLE + 1], row[TINY_TOK],
        label[TINY_TOK];
    int32_t doc_sample[TINY_DOC], doc_row[TINY_DOC + 1];
    uint8_t hidden[TINY_TOK], side[TINY_DOC];
    ul_batch batch;
} tiny_batch;

static inline void tiny_fill(tiny_batch *b)
{
    static const int32_t len[TINY_DOC] = {5, 7, 3, 4}, sample[TINY_DOC] = {0, 0, 1, 2};
    int32_t k = 0, n_row = 0;
    memset(b, 0, sizeof *b);
    for (int d = 0; d < TINY_DOC; d++) {
        b->start[d] = k, b->doc_sample[d] = sample[d], b->doc_row[d] = n_row,
        b->side[d] = (uint8_t)(d == 1 ? UL_RETAIN : UL_FORGET);
        if (d == 0 || sample[d] != sample[d - 1]) b->sample_start[sample[d]] = k;
        for (int32_t t = 0; t < len[d]; t++, k++) {
            b->token[k] = (int32_t)(ul_rng(3, UL_STREAM_TEST, 0, (uint64_t)k) % 23), b->pos[k] = t,
            b->hidden[k] = k == 7;
            if (t + 1 < len[d] && k != 2)
                b->row[n_row] = k, b->label[n_row++] = (int32_t)(ul_rng(3, UL_STREAM_TEST, 0, (uint64_t)k + 1) % 23);
        }
    }
    b->start[TINY_DOC] = k, b->sample_start[TINY_SAMPLE] = k, b->doc_row[TINY_DOC] = n_row;
    b->batch = (ul_batch){.n_tok = k,
                          .n_doc = TINY_DOC,
                          .n_sample = TINY_SAMPLE,
                          .n_row = n_row,
                          .longest = 7,
                          .token = b->token,
                          .pos = b->pos,
                          .doc_start = b->start,
                          .sample_start = b->sample_start,
                          .hidden = b->hidden,
                          .row = b->row,
                          .label = b->label,
                          .doc_side = b->side,
                          .doc_sample = b->doc_sample,
                          .doc_row = b->doc_row};
}

/* Samples from .. to - 1 of an endless list: one to three documents of up to 30 tokens each, a function of the sample's
 * number, so that cuts of a batch are batches too. */
static inline ul_batch *random_batch(ul_arena *a, int from, int to, int32_t vocabulary, bool hidden)
{
    enum { MOST = 96 };
    const int n = to - from;
    int32_t *x[6];
    for (int i = 0; i < 6; i++) assert_non_null(x[i] = UL_NEW(a, int32_t, (n + 1) * MOST));
    int32_t *start = UL_NEW(a, int32_t, 3 * n + 1), *ss = UL_NEW(a, int32_t, n + 1),
            *ds = UL_NEW(a, int32_t, 3 * n + 1);
    uint8_t *hide = UL_NEW(a, uint8_t, n * MOST), *side = UL_NEW(a, uint8_t, 3 * n);
    ul_batch *b = UL_NEW(a, ul_batch, 1);
    assert_true(start && ss && ds && hide && side && b);
    int32_t k = 0, d = 0, r = 0;
    for (int s = from; s < to; s++) {
        ss[s - from] = k;
        for (int j = 0; j <= (int)(ul_rng(1, UL_STREAM_TEST, (uint64_t)s, 0) % 3); j++, d++) {
            const int32_t len = 2 + (int32_t)(ul_rng(2, UL_STREAM_TEST, (uint64_t)s, (uint64_t)j) % 29);
            start[d] = k, ds[d] = s - from, side[d] = (uint8_t)j, x[4][d] = r;
            for (int32_t t = 0; t < len; t++, k++) {
                const uint64_t at = (uint64_t)(j * 100 + t);
                x[0][k] = (int32_t)(ul_rng(3, UL_STREAM_TEST, (uint64_t)s, at) % (uint64_t)vocabulary), x[1][k] = t;
                hide[k] = hidden && ul_rng(4, UL_STREAM_TEST, (uint64_t)s, at) % 9 == 0;
                if (t + 1 == len || ul_rng(5, UL_STREAM_TEST, (uint64_t)s, at) % 5 == 0) continue;
                x[2][r] = k,
                x[3][r++] = (int32_t)(ul_rng(3, UL_STREAM_TEST, (uint64_t)s, at + 1) % (uint64_t)vocabulary);
            }
            if (len > b->longest) b->longest = len;
        }
    }
    start[d] = k, ss[n] = k, x[4][d] = r;
    b->n_tok = k, b->n_doc = d, b->n_sample = n, b->n_row = r, b->token = x[0], b->pos = x[1], b->row = x[2],
    b->label = x[3];
    b->doc_start = start, b->sample_start = ss, b->doc_sample = ds, b->doc_side = side, b->doc_row = x[4];
    b->hidden = hidden ? hide : NULL;
    return b;
}
#endif
