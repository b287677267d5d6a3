/* The test vectors that go through documents and gradients: TV-21 and TV-27. */
#include "audit/audit.h"
#include "metric/metric_impl.h"
#include "unit/metric/vectors.h"

static void tv_21_gradient_norm(void **state)
{
    world *w = *state;
    float g1[2], g2[3];
    double v[16];
    const char *l = line(w, "### TV-21 ", "g1=[");
    assert_int_equal(numbers(strchr(l, '['), v, 16), 7); /* g1, g2, the mean of the norms, the norm of all */
    for (int i = 0; i < 2; i++) g1[i] = (float)v[i];
    for (int i = 0; i < 3; i++) g2[i] = (float)v[2 + i];
    const ul_trainable t[2] = {{.name = "g1", .n = 2, .cols = 2, .g = g1}, {.name = "g2", .n = 3, .cols = 3, .g = g2}};
    ul_backend *be;
    UL_OK_IN(w->ctx, ul_backend_open(w->ctx, w->a, ul_env("UL_ISA"), UL_PRECISION_F32, 1, &be));
    assert_true(ul_mean_norm(be, t, 2, 2) == v[5]);
    assert_true(fabs(ul_mean_norm(be, t, 2, 1) - (7 + 17) / 2.0) < 1e-12 &&
                ul_mean_norm(be, t, 2, INFINITY) == (4 + 12) / 2.0);
    float all[5] = {g1[0], g1[1], g2[0], g2[1], g2[2]};
    const ul_trainable one = {.name = "all", .n = 5, .cols = 5, .g = all};
    assert_true(fabs(ul_mean_norm(be, &one, 1, 2) - v[6]) < 1e-12);
}

static ul_model *tiny(world *w)
{
    const char *path = ul_format(w->a, "%s/config.json", ul_test_folder("vectors"));
    static const char config[] =
        "{\"model_type\": \"llama\", \"hidden_size\": 16, \"intermediate_size\": 20, \"num_hidden_layers\": 2,"
        " \"num_attention_heads\": 2, \"num_key_value_heads\": 2, \"vocab_size\": 23, \"max_position_embeddings\": 32,"
        " \"rms_norm_eps\": 1e-5, \"tie_word_embeddings\": true, \"torch_dtype\": \"float32\"}";
    ul_backend *be;
    ul_model *m;
    UL_OK_IN(w->ctx, ul_file_save(w->ctx, path, config, sizeof config - 1));
    UL_OK_IN(w->ctx, ul_backend_open(w->ctx, ul_ctx_arena(w->ctx), ul_env("UL_ISA"), UL_PRECISION_F32, 1, &be));
    UL_OK_IN(w->ctx, ul_model_fresh(w->ctx, be, path, 7, 0.3, &m));
    return m;
}

/* Logit rows that are scored, and those that ES, EM and Min-K see. */
static void rows_of(world *w, ul_model *m, const ul_tokenizer *tok, const ul_template *tpl, const ul_record *r,
                    const char *match, double *scored, int *n_scored, int *n_strict)
{
    ul_records *records;
    ul_docs *docs;
    ul_batch *b;
    ul_columns c;
    ul_args args;
    int64_t first, n;
    static const ul_param params[] = {UL_MATCH_PARAM, {0}};
    UL_OK_IN(w->ctx, ul_records_seal(w->ctx, "made up", r, 1, w->a, &records));
    UL_OK_IN(w->ctx, ul_docs_build(w->ctx, w->a, tok, tpl, records, UL_WHICH_ANSWER, &docs));
    const ul_doc *list = &docs->at[0];
    UL_OK_IN(w->ctx, ul_pack_docs(w->ctx, w->a, &list, 1, false, &b));
    *n_scored = b->n_row;
    for (int i = 0; i < b->n_row; i++) {
        scored[i] = b->row[i];
        assert_int_equal(b->label[i], list->token[b->row[i] + 1]);
    }
    const ul_eval_options o = {.model = m, .tok = (ul_tokenizer *)(uintptr_t)tok, .tpl = *tpl, .batch_tokens = 64};
    UL_OK_IN(w->ctx, ul_columns_score(w->ctx, w->a, &o, records, UL_WHICH_ANSWER, "made up", &c));
    assert_int_equal(c.token[1], b->n_row);
    ul_args_default(params, &args);
    UL_OK_IN(w->ctx, ul_args_set(w->a, &args, "test", "match", match));
    UL_OK_IN(w->ctx, ul_scored_tokens(w->a, &c, 0, &args, &first, &n));
    assert_int_equal(first, 0);
    *n_strict = (int)n;
}

static void tv_27_label_alignment(void **state)
{
    world *w = *state;
    static const char *const words[] = {"q1", "q2", "a1", "a2", "p1", "p2", "t1", "t2", "t3"};
    const char *folder = ul_test_folder("labels");
    ul_tokenizer *tok;
    ul_model *m = tiny(w);
    UL_OK_IN(w->ctx, ul_wordlevel_write(w->ctx, folder, words, sizeof words / sizeof *words));
    UL_OK_IN(w->ctx, ul_tokenizer_open(w->ctx, folder, &tok));
    ul_template t = {.user_start = "", .user_end = " ", .asst_start = "", .max_length = 30, .pad_id = -1};
    double v[64], rows[8];
    int n, strict;

    /* a chat row that ends with EOS */
    char l[1 << 14];
    snprintf(l, sizeof l, "%s", line(w, "### TV-27 ", "ids ['BOS'"));
    assert_int_equal(numbers(strstr(l, "loss: ["), v, 64), 3 + 2);
    const ul_record qa = {.line = 1, .prompt = "q1 q2", .answer = "a1 a2"};
    rows_of(w, m, tok, &t, &qa, "none", rows, &n, &strict);
    assert_int_equal(n, 3);
    assert_memory_equal(rows, v, sizeof *rows * 3);
    assert_int_equal(strict, 2);
    assert_memory_equal(rows, v + 3, sizeof *rows * 2);

    /* a completion without EOS: its real last token is lost with the published code only */
    snprintf(l, sizeof l, "%s", line(w, "### TV-27 ", "completion text"));
    assert_int_equal(numbers(strstr(l, "Prob rows ["), v, 64), 3 + 2);
    const ul_record text = {.line = 1, .prompt = "p1 p2", .answer = "t1 t2 t3"};
    t.no_eos = true;
    rows_of(w, m, tok, &t, &text, "open-unlearning", rows, &n, &strict);
    assert_int_equal(n, 3);
    assert_memory_equal(rows, v, sizeof *rows * 3);
    assert_int_equal(strict, 2);
    assert_memory_equal(rows, v + 3, sizeof *rows * 2);
    rows_of(w, m, tok, &t, &text, "none", rows, &n, &strict);
    assert_int_equal(strict, 3);

    /* an empty prefix: index 0 is never scored */
    const ul_record bare = {.line = 1, .answer = "t1 t2 t3"};
    rows_of(w, m, tok, &t, &bare, "none", rows, &n, &strict);
    assert_true(n == 3 && rows[0] == 0);
    ul_tokenizer_free(tok);
    ul_model_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(tv_21_gradient_norm), cmocka_unit_test(tv_27_label_alignment)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
