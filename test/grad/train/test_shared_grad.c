/* test_shared_grad.c - documents that share a prefix get the gradients that they get written out, up to the order of
 * sums: every family, children of children, borders of tiles and blocks inside the prefix and behind it; alternates
 * packed behind the forget documents whose prompt they have. Threads and the cut between micro-batches do not change a
 * bit. */
#include "data/data.h"
#include "model_test.h"

enum { LONGEST = 300, DOCS = 9 };
/* The first `keep` tokens are those of document `of`. A block of the backward pass has 128 queries, one of bf16 32. */
static const struct {
    int of, keep, own;
} tree[DOCS] = {{-1, 0, 25},   {0, 12, 13}, {1, 20, 9},  {-1, 0, 9}, {3, 8, 150},
                {4, 140, 160}, {3, 8, 1},   {-1, 0, 40}, {7, 33, 30}};

typedef struct {
    int32_t token[DOCS][LONGEST], pos[LONGEST];
    uint8_t labelled[DOCS][LONGEST];
    ul_doc doc[DOCS];
    const ul_doc *list[DOCS];
    ul_share share[DOCS];
} forest;

/* No row lies in what a document lends or borrows. */
static void grow(forest *f)
{
    memset(f, 0, sizeof *f);
    for (int t = 0; t < LONGEST; t++) f->pos[t] = t % 32;
    for (int k = 0; k < DOCS; k++) {
        const int n = tree[k].keep + tree[k].own;
        int lends = tree[k].keep;
        for (int c = k + 1; c < DOCS; c++)
            if (tree[c].of == k && tree[c].keep > lends) lends = tree[c].keep;
        for (int t = 0; t < n; t++) {
            f->token[k][t] = t < tree[k].keep ? f->token[tree[k].of][t]
                                              : (int32_t)(ul_rng(3, UL_STREAM_TEST, (uint64_t)k, (uint64_t)t) % 23);
            f->labelled[k][t] = t > lends;
        }
        f->doc[k] = (ul_doc){.id = k, .n = n, .token = f->token[k], .labelled = f->labelled[k], .pos = f->pos};
        f->list[k] = &f->doc[k];
        f->share[k] = (ul_share){tree[k].of, tree[k].keep};
    }
}

static ul_model *tiny(ul_ctx *ctx, const char *type, ul_precision precision, int threads)
{
    ul_backend *be;
    ul_model *m;
    UL_OK_IN(ctx, ul_backend_open(ctx, ul_ctx_arena(ctx), ul_env("UL_ISA"), precision, threads, &be));
    UL_OK_IN(ctx, ul_model_fresh(ctx, be, tiny_config(type, true, "float32"), 7, 0.3, &m));
    shake(m, 0.1);
    UL_OK_IN(ctx, ul_model_select(ctx, m, "all"));
    ul_model_grad_zero(m);
    return m;
}

/* Adds the gradient of sum_i c(document, i) logp_i; the sum is returned. */
static double pass(ul_ctx *ctx, ul_model *m, const ul_batch *b)
{
    double *logp = UL_NEW(ul_ctx_arena(ctx), double, b->n_row), *coef = UL_NEW(ul_ctx_arena(ctx), double, b->n_row),
           sum = 0;
    assert_true(logp && coef);
    ul_pass p = {.batch = b, .flags = UL_PASS_GRAD, .last = -1, .score = {.logp = logp}, .coef = coef};
    UL_OK_IN(ctx, ul_model_forward(ctx, m, &p));
    for (int32_t d = 0; d < b->n_doc; d++)
        for (int32_t i = b->doc_row[d]; i < b->doc_row[d + 1]; i++) {
            coef[i] = ul_rng_normal(8, UL_STREAM_TEST, (uint64_t)b->doc_id[d], (uint64_t)(i - b->doc_row[d]));
            sum += coef[i] * logp[i];
        }
    UL_OK_IN(ctx, ul_model_backward(ctx, m, &p));
    return sum;
}

/* Largest difference of two gradients beside the tensor's largest entry. */
static double apart(ul_model *a, ul_model *b)
{
    ul_trainable *x, *y;
    const int n = ul_model_trainables(a, &x);
    double worst = 0;
    assert_int_equal(ul_model_trainables(b, &y), n);
    for (int i = 0; i < n; i++) {
        double top = 0, diff = 0;
        for (int64_t k = 0; k < x[i].n; k++) {
            const double u = ul_real_get(a->be, x[i].g, k), v = ul_real_get(b->be, y[i].g, k);
            top = fmax(top, fabs(v)), diff = fmax(diff, fabs(u - v));
        }
        assert_true(top > 0);
        worst = fmax(worst, diff / top);
    }
    return worst;
}

static const struct {
    ul_precision precision;
    double tolerance;
} kinds[] = {{UL_PRECISION_DOUBLE, 1e-12}, {UL_PRECISION_F32, 2e-5}, {UL_PRECISION_BF16, 3e-2}};

static void trees(void **state)
{
    static forest f;
    (void)state;
    grow(&f);
    for (const char *const *t = ul_families(); *t; t++)
        for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
            ul_ctx *ctx = ul_test_ctx();
            ul_batch *with, *without;
            const char *type = ul_family_types(*t)[0];
            UL_OK_IN(ctx, ul_pack_shared(ctx, ul_ctx_arena(ctx), f.list, f.share, DOCS, &with));
            UL_OK_IN(ctx, ul_pack_docs(ctx, ul_ctx_arena(ctx), f.list, DOCS, false, &without));
            assert_int_equal(with->n_row, without->n_row);
            ul_model *a = tiny(ctx, type, kinds[k].precision, 1), *b = tiny(ctx, type, kinds[k].precision, 1);
            assert_true(pass(ctx, a, with) == pass(ctx, b, without));
            ul_model_grad_ready(a), ul_model_grad_ready(b);
            const double worst = apart(a, b);
            if (!(worst <= kinds[k].tolerance))
                fail_msg("%s, precision %d: gradients are apart by %g", type, (int)kinds[k].precision, worst);
            assert_true(worst > 0); /* sums in another order: it was another way */
            ul_model_free(a), ul_model_free(b);
            ul_ctx_free(ctx);
        }
}

enum { SAMPLES = 5 };
typedef struct {
    int32_t token[SAMPLES][2][60];
    uint8_t labelled[SAMPLES][2][60];
    ul_doc doc[SAMPLES][2];
    ul_sample sample[SAMPLES];
} pairs;

/* A prompt, and two answers to it: of the first three samples long, of the fourth too short to be shared; the last has
 * no alternate. */
static void pair_up(pairs *p)
{
    static const int prompt[SAMPLES] = {20, 33, 9, 5, 12},
                     answer[SAMPLES][2] = {{9, 4}, {20, 1}, {1, 12}, {6, 6}, {8, 0}};
    memset(p, 0, sizeof *p);
    for (int s = 0; s < SAMPLES; s++)
        for (int i = 0; i < 2 && answer[s][i]; i++) {
            const int n = prompt[s] + answer[s][i];
            for (int t = 0; t < n; t++) {
                p->token[s][i][t] =
                    (int32_t)(ul_rng(4, UL_STREAM_TEST, (uint64_t)(s * 2 + (t < prompt[s] ? 0 : i)), (uint64_t)t) % 23);
                p->labelled[s][i][t] = t >= prompt[s];
            }
            p->doc[s][i] = (ul_doc){.id = s * 2 + i, .n = n, .token = p->token[s][i], .labelled = p->labelled[s][i]};
            p->sample[s].doc[i ? UL_ALT : UL_FORGET] = &p->doc[s][i];
        }
}

static void alternates(void **state)
{
    static pairs p;
    (void)state;
    pair_up(&p);
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        enum { SIDES = UL_SIDE_BIT_FORGET | UL_SIDE_BIT_ALT };
        ul_ctx *ctx = ul_test_ctx();
        ul_batch *with, *without;
        UL_OK_IN(ctx, ul_pack(ctx, ul_ctx_arena(ctx), p.sample, SAMPLES, SIDES | UL_SHARE_PROMPT, 0, &with));
        UL_OK_IN(ctx, ul_pack(ctx, ul_ctx_arena(ctx), p.sample, SAMPLES, SIDES, 0, &without));
        /* all of a prompt but its last token, whose output says the answer's first */
        assert_int_equal(without->n_tok - with->n_tok, 19 + 32 + 8);
        ul_model *m[4];
        for (int i = 0; i < 4; i++) m[i] = tiny(ctx, "qwen2", kinds[k].precision, i == 1 ? 3 : 1);
        const double sum = pass(ctx, m[0], with);
        assert_true(sum == pass(ctx, m[1], with));
        assert_true(sum == pass(ctx, m[2], without));
        for (int s = 0; s < SAMPLES; s++) {
            ul_batch *one;
            UL_OK_IN(ctx, ul_pack(ctx, ul_ctx_arena(ctx), p.sample + s, 1, SIDES | UL_SHARE_PROMPT, 0, &one));
            pass(ctx, m[3], one);
        }
        for (int i = 0; i < 4; i++) ul_model_grad_ready(m[i]);
        assert_true(apart(m[0], m[1]) == 0);
        assert_true(apart(m[0], m[3]) == 0);
        const double worst = apart(m[0], m[2]);
        if (!(worst <= kinds[k].tolerance))
            fail_msg("precision %d: gradients are apart by %g", (int)kinds[k].precision, worst);
        for (int i = 0; i < 4; i++) ul_model_free(m[i]);
        ul_ctx_free(ctx);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(trees), cmocka_unit_test(alternates)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
