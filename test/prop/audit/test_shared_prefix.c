/* test_shared_prefix.c - documents that share their beginnings give the bits that they give alone: every family, f32
 * and bf16, hidden tokens, any number of threads; grandparents, whole documents that are another's beginning, several
 * rows from one token. */
#include "data/data.h"
#include "model_test.h"

/* A forest: document k has the first `keep` tokens of document `of` and then its own; keep 0: a new one. */
static const struct {
    int of, keep, own, label_from;
} tree[] = {{-1, 0, 25, 10}, {0, 12, 13, 10}, {1, 20, 9, 10}, {0, 10, 18, 10}, {2, 22, 4, 10},
            {0, 25, 0, 10},  {-1, 0, 9, 3},   {6, 9, 20, 3},  {7, 20, 11, 3},  {-1, 0, 1, 1},
            {7, 28, 0, 3},   {0, 5, 20, 2},   {4, 24, 3, 10}};
enum { DOCS = sizeof tree / sizeof *tree };

typedef struct {
    int32_t token[DOCS][32];
    uint8_t labelled[DOCS][32], hidden[DOCS][32];
    ul_doc doc[DOCS];
    const ul_doc *list[DOCS];
} forest;

static void grow(forest *f, bool hidden)
{
    for (int k = 0; k < DOCS; k++) {
        const int of = tree[k].of, n = tree[k].keep + tree[k].own;
        for (int t = 0; t < n; t++) {
            f->token[k][t] = t < tree[k].keep ? f->token[of][t]
                                              : (int32_t)(ul_rng(3, UL_STREAM_TEST, (uint64_t)k, (uint64_t)t) % 23);
            f->labelled[k][t] = t >= tree[k].label_from;
            f->hidden[k][t] = f->token[k][t] % 5 == 0;
        }
        f->doc[k] = (ul_doc){
            .id = k, .n = n, .token = f->token[k], .labelled = f->labelled[k], .hidden = hidden ? f->hidden[k] : NULL};
        f->list[k] = &f->doc[k];
    }
}

typedef struct {
    double logp[DOCS * 32], mu[DOCS * 32], sigma2[DOCS * 32];
    int32_t argmax[DOCS * 32];
} scores;

static void run(ul_ctx *ctx, ul_model *m, const ul_batch *b, scores *s)
{
    memset(s, 0, sizeof *s);
    ul_pass pass = {
        .batch = b, .last = -1, .score = {.logp = s->logp, .mu = s->mu, .sigma2 = s->sigma2, .argmax = s->argmax}};
    UL_OK_IN(ctx, ul_model_forward(ctx, m, &pass));
}

/* Row r of the shared batch and row w of the plain one. */
static void same_row(const scores *a, int r, const scores *b, int w, const char *type, int k)
{
    if (memcmp(&a->logp[r], &b->logp[w], 8) || memcmp(&a->mu[r], &b->mu[w], 8) ||
        memcmp(&a->sigma2[r], &b->sigma2[w], 8) || a->argmax[r] != b->argmax[w])
        fail_msg("%s, document %d: %.17g shared, %.17g alone", type, k, a->logp[r], b->logp[w]);
}

static void one(const char *type, ul_precision precision, int threads, bool hidden)
{
    static forest f;
    static scores shared, plain;
    ul_ctx *ctx = ul_test_ctx();
    ul_arena *a = ul_ctx_arena(ctx);
    ul_backend *be;
    ul_model *m;
    ul_batch *with, *without;
    ul_share share[DOCS];
    grow(&f, hidden);
    UL_OK_IN(ctx, ul_backend_open(ctx, a, ul_env("UL_ISA"), precision, threads, &be));
    UL_OK_IN(ctx, ul_model_fresh(ctx, be, tiny_config(type, true, "float32"), 3, 0.3, &m));
    shake(m, 0.1);
    for (int k = 0; k < DOCS; k++) share[k] = ul_doc_share(f.list, share, k);
    UL_OK_IN(ctx, ul_pack_shared(ctx, a, f.list, share, DOCS, &with));
    UL_OK_IN(ctx, ul_pack_docs(ctx, a, f.list, DOCS, false, &without));
    assert_true(with->n_tok < without->n_tok * 2 / 3);
    run(ctx, m, with, &shared);
    run(ctx, m, without, &plain);
    int compared = 0;
    for (int k = 0; k < DOCS; k++) { /* the last rows of a document are its own */
        const int own = with->doc_row[k + 1] - with->doc_row[k], all = without->doc_row[k + 1] - without->doc_row[k];
        for (int r = 0; r < own; r++, compared++)
            same_row(&shared, with->doc_row[k] + r, &plain, without->doc_row[k] + all - own + r, type, k);
        int left = 0; /* what is not its own is labelled before share.prefix */
        for (int t = 1; t < share[k].prefix; t++) left += f.labelled[k][t];
        assert_int_equal(own + left, all);
    }
    assert_int_equal(compared, with->n_row);
    ul_pass grad = {.batch = with, .flags = UL_PASS_GRAD, .last = -1, .score = {.logp = shared.logp}};
    UL_FAILS_IN(ctx, UL_E_INTERNAL, "prefix", ul_model_forward(ctx, m, &grad));
    ul_model_free(m);
    ul_ctx_free(ctx);
}

static void bits_stay(void **state)
{
    (void)state;
    for (const char *const *t = ul_families(); *t; t++)
        for (int how = 0; how < 8; how++)
            one(ul_family_types(*t)[0], how & 1 ? UL_PRECISION_BF16 : UL_PRECISION_F32, how & 2 ? 3 : 1, how & 4);
}

/* The longest common beginning wins, parents are those who hold the tokens, labels count. */
static void who_shares(void **state)
{
    static forest f;
    ul_share share[DOCS];
    (void)state;
    grow(&f, false);
    for (int k = 0; k < DOCS; k++) share[k] = ul_doc_share(f.list, share, k);
    for (int k = 0; k < DOCS; k++) {
        if (tree[k].of < 0 || tree[k].keep < 8 || tree[k].label_from != tree[tree[k].of].label_from) continue;
        assert_true(share[k].prefix >= tree[k].keep);
        assert_true(share[share[k].parent].prefix < share[k].prefix);
    }
    assert_int_equal(share[11].parent, -1); /* other labels from the second token on */
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(bits_stay), cmocka_unit_test(who_shares)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
