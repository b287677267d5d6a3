/* test_observer.c - what an observer sees are the factors of every linear layer: x W^T is what
 * the layer puts out, the products of x and dy over the tokens add up to its weight's gradient,
 * checkpointing and micro-batches show the same. */
#include "model_test.h"

enum { MOST_WEIGHTS = 64, MOST = 16 * 24 };
typedef struct {
    ul_weight *weight;
    int n_weight, forwards, backwards, columns;
    unsigned when;
    double g[MOST_WEIGHTS][MOST]; /* sum of dy^T x, naively, of each weight */
    double k[20]; /* column sums of the inputs of layer 1's down projection, forwards */
} seen;

static void look(void *user, const ul_weight *w, const ul_batch *b, const void *xx, const void *dd)
{
    seen *s = user;
    const double *x = xx, *dy = dd;
    const int at = (int)(w - s->weight);
    assert_in_range(at, 0, s->n_weight - 1);
    if (!dy) s->forwards++;
    else s->backwards++;
    for (int32_t t = 0; dy && t < b->n_tok; t++)
        for (int64_t i = 0; i < w->rows; i++)
            for (int64_t j = 0; j < w->cols; j++)
                s->g[at][i * w->cols + j] = fma(dy[t * w->rows + i], x[t * w->cols + j], s->g[at][i * w->cols + j]);
    for (int32_t t = 0; !dy && w->cols == 20 && w->layer == 1 && t < b->n_tok; t++, s->columns = 20)
        for (int j = 0; j < 20; j++) s->k[j] += x[t * 20 + j];
    if (dy && s->when & UL_OBSERVE_INSTEAD && w->g) ((double *)w->g)[0] += 1;
}

static void backward_of(ul_ctx *ctx, ul_model *m, const ul_batch *b, unsigned flags, const ul_observer *o)
{
    double coef[400];
    ul_pass pass = {.batch = b, .flags = UL_PASS_GRAD | flags, .last = -1, .coef = coef, .observer = o};
    for (int i = 0; i < b->n_row; i++) coef[i] = ul_rng_normal(9, UL_STREAM_TEST, 3, (uint64_t)b->token[b->row[i]]);
    UL_OK_IN(ctx, ul_model_forward(ctx, m, &pass));
    UL_OK_IN(ctx, ul_model_backward(ctx, m, &pass));
}

static bool is_linear(const ul_weight *w) { return !w->is_norm && !w->is_bias && !w->is_embedding && !w->is_head; }

static void factors_of_the_gradient(void **state)
{
    static seen s, cut;
    (void)state;
    for (const char *const *f = ul_families(); *f; f++)
        for (int flags = 0; flags <= UL_PASS_CHECKPOINT; flags += UL_PASS_CHECKPOINT) {
            ul_ctx *ctx = ul_test_ctx();
            ul_model *m = tiny_model(ctx, UL_PRECISION_DOUBLE, ul_family_types(*f)[0], true);
            int n_linear = 0;
            s = cut = (seen){.when = UL_OBSERVE_FORWARD | UL_OBSERVE_BACKWARD};
            s.n_weight = cut.n_weight = ul_model_weights(m, &s.weight), cut.weight = s.weight;
            assert_in_range(s.n_weight, 1, MOST_WEIGHTS);
            UL_OK_IN(ctx, ul_model_select(ctx, m, "all"));
            const ul_observer o = {look, &s, s.when}, oc = {look, &cut, cut.when};
            backward_of(ctx, m, random_batch(ul_ctx_arena(ctx), 0, 3, 23, false), (unsigned)flags, &o);
            for (int i = 0; i < s.n_weight; i++) {
                const ul_weight *w = &s.weight[i];
                if (!is_linear(w)) continue;
                n_linear++;
                assert_memory_equal(w->g, s.g[i], (size_t)(w->rows * w->cols) * sizeof(double));
            }
            assert_int_equal(s.forwards, n_linear);
            assert_int_equal(s.backwards, n_linear);
            assert_int_equal(s.columns, 20);
            for (int k = 0; k < 3; k++)
                backward_of(ctx, m, random_batch(ul_ctx_arena(ctx), k, k + 1, 23, false), (unsigned)flags, &oc);
            assert_memory_equal(s.g, cut.g, sizeof s.g);
            assert_memory_equal(s.k, cut.k, sizeof s.k);
            ul_model_free(m);
            ul_ctx_free(ctx);
        }
}

/* The gradient is left to the observer; what it does not watch, and other weights, get theirs as before. A layer whose
 * weight is frozen is seen all the same when a gradient passes through it. */
static void instead_and_frozen(void **state)
{
    static seen s;
    (void)state;
    ul_ctx *ctx = ul_test_ctx();
    ul_model *m = tiny_model(ctx, UL_PRECISION_DOUBLE, "llama", false);
    const ul_batch *b = random_batch(ul_ctx_arena(ctx), 0, 3, 23, false);
    s = (seen){.when = UL_OBSERVE_INSTEAD};
    s.n_weight = ul_model_weights(m, &s.weight);
    const ul_observer o = {look, &s, s.when};
    UL_OK_IN(ctx, ul_model_select(ctx, m, "layers 1 mlp,norms"));
    backward_of(ctx, m, b, 0, &o);
    int moved = 0, norms = 0;
    for (int i = 0; i < s.n_weight; i++) {
        const double *g = s.weight[i].g;
        if (!g) continue;
        if (s.weight[i].is_norm) norms += g[1] != 0;
        if (!is_linear(&s.weight[i])) continue;
        assert_true(g[0] == 1 && g[1] == 0);
        moved++;
    }
    assert_int_equal(moved, 3);
    assert_true(norms > 0);
    assert_int_equal(s.forwards, 0);
    assert_int_equal(s.backwards, 3 * 7); /* the first norm trains: the gradient passes through every layer */
    ul_model_free(m);
    ul_ctx_free(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(factors_of_the_gradient), cmocka_unit_test(instead_and_frozen)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
