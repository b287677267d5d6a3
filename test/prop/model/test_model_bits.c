/* test_model_bits.c - what must not change a bit: the cut into micro-batches, threads, checkpointing,
 * the head's chunks, hidden adapters, the last block at scored rows alone; in f32 and in bf16.
 * And what a plan says is what a pass takes. */
#include "model_test.h"

enum { SAMPLES = 14 }; /* more rows than the reference's logits are computed for at once */
typedef struct {
    int threads, cut; /* samples a micro-batch */
    unsigned flags;
    int64_t head_rows;
} how;

/* One step: scores and gradients as one run of bytes. */
typedef struct {
    size_t n;
    unsigned char *p;
} bits;

static void take(ul_ctx *ctx, bits *b, const void *p, size_t n)
{
    b->p = ul_ctx_alloc(ctx, b->p, b->n + n);
    assert_non_null(b->p);
    memcpy(b->p + b->n, p, n);
    b->n += n;
}

static double coefficient(int32_t label, int what)
{
    return ul_rng_normal(8, UL_STREAM_TEST, (uint64_t)what, (uint64_t)label);
}

static bits step(ul_ctx *ctx, const char *type, ul_precision precision, bool tied, bool lora, how h)
{
    ul_backend *be;
    ul_model *m;
    ul_arena *a;
    bits out = {0};
    UL_OK_IN(ctx, ul_arena_new(ctx, "step", &a));
    UL_OK_IN(ctx, ul_backend_open(ctx, a, ul_env("UL_ISA"), precision, h.threads, &be));
    UL_OK_IN(ctx, ul_model_fresh(ctx, be, tiny_config(type, tied, "float32"), 3, 0.25, &m));
    shake(m, 0.1);
    const ul_lora l = {.r = 4, .alpha = 8, .targets = "all-linear", .seed = 1};
    if (lora) {
        UL_OK_IN(ctx, ul_lora_add(ctx, m, &l));
        for (int i = 0; i < m->n_trainable; i++)
            for (int64_t k = 0; k < m->trainable[i].n; k++)
                ul_real_set(be, m->trainable[i].p, k, 0.2 * ul_rng_normal(6, UL_STREAM_TEST, (uint64_t)i, (uint64_t)k));
    }
    UL_OK_IN(ctx, ul_model_select(ctx, m, lora ? "lora,norms" : "all"));
    m->head_rows = h.head_rows;
    ul_model_grad_zero(m);
    for (int s = 0; s < SAMPLES; s += h.cut) {
        const ul_batch *b = random_batch(a, s, s + h.cut < SAMPLES ? s + h.cut : SAMPLES, 23, true);
        assert_true(h.cut < SAMPLES || b->n_row > 256);
        double *logp = UL_NEW(a, double, b->n_row), *kl = UL_NEW(a, double, b->n_row),
               *coef = UL_NEW(a, double, b->n_row);
        double *kl_coef = UL_NEW(a, double, b->n_row);
        uint8_t *soft = UL_NEW(a, uint8_t, b->n_row);
        void *ref = ul_alloc(a, (size_t)b->n_row * 16, be->k->esize);
        assert_true(logp && kl && coef && kl_coef && soft && ref);
        ul_pass base = {.batch = b, .last = -1, .flags = UL_PASS_BASE, .row_hidden = ref};
        UL_OK_IN(ctx, ul_model_forward(ctx, m, &base));
        for (int64_t i = 0; i < b->n_row * 16; i++) ul_real_set(be, ref, i, 1.25 * ul_real_get(be, ref, i));
        for (int i = 0; i < b->n_row; i++) {
            coef[i] = coefficient(b->label[i], 0), soft[i] = b->label[i] % 2 == 0;
            kl_coef[i] = soft[i] ? coefficient(b->label[i], 1) : 0;
        }
        ul_pass pass = {.batch = b,
                        .flags = UL_PASS_GRAD | h.flags,
                        .last = -1,
                        .score = {.logp = logp, .kl = kl},
                        .ref_hidden = ref,
                        .soft = soft,
                        .coef = coef,
                        .kl_coef = kl_coef};
        UL_OK_IN(ctx, ul_model_forward(ctx, m, &pass));
        if (h.cut == SAMPLES)
            assert_int_equal(m->run.pick, precision == UL_PRECISION_F32 && !(h.flags & UL_PASS_STATES));
        take(ctx, &out, logp, (size_t)b->n_row * sizeof *logp);
        UL_OK_IN(ctx, ul_model_backward(ctx, m, &pass));
    }
    /* all scores first, whatever the cut */
    ul_model_grad_ready(m);
    for (int i = 0; i < m->n_trainable; i++)
        take(ctx, &out, m->trainable[i].g, (size_t)m->trainable[i].n * be->k->esize);
    ul_model_free(m);
    ul_arena_free(a);
    return out;
}

static void same(ul_ctx *ctx, bits a, bits b, const char *type, const char *what, ul_precision precision)
{
    assert_int_equal(a.n, b.n);
    for (size_t i = 0; i < a.n; i++)
        if (a.p[i] != b.p[i])
            fail_msg("%s, %s, precision %d: byte %zu of %zu differs", type, what, (int)precision, i, a.n);
    ul_ctx_alloc(ctx, b.p, 0);
}

static void bits_stay(void **state)
{
    static const struct { const char *what; how h; } ways[] = {
        {"micro-batches of 1", {1, 1, 0, 0}},
        {"micro-batches of 3", {1, 3, 0, 0}},
        {"two threads", {2, SAMPLES, 0, 0}},
        {"checkpointing", {1, SAMPLES, UL_PASS_CHECKPOINT, 0}},
        {"plain head", {1, SAMPLES, UL_PASS_PLAIN_HEAD, 0}},
        {"every token through the last block", {1, SAMPLES, UL_PASS_STATES, 0}},
        {"a head in chunks of 40 rows", {1, SAMPLES, 0, 40}},
        {"all of it", {2, 2, UL_PASS_CHECKPOINT, 33}}};
    (void)state;
    for (const char *const *f = ul_families(); *f; f++)
        for (int p = 0; p < 2; p++)
            for (int kind = 0; kind < 3; kind++) {
                ul_ctx *ctx = ul_test_ctx();
                const ul_precision precision = p ? UL_PRECISION_BF16 : UL_PRECISION_F32;
                const char *type = ul_family_types(*f)[0];
                const bits want = step(ctx, type, precision, kind == 0, kind == 2, (how){1, SAMPLES, 0, 0});
                for (size_t w = 0; w < sizeof ways / sizeof *ways; w++)
                    same(ctx, want, step(ctx, type, precision, kind == 0, kind == 2, ways[w].h), type, ways[w].what,
                         precision);
                ul_ctx_alloc(ctx, want.p, 0);
                ul_ctx_free(ctx);
            }
}

/* ---- the plan --------------------------------------------------------------------------------------------------- */
typedef struct {
    size_t now, peak;
} meter;

static void *counted(void *user, void *old, size_t bytes)
{
    meter *m = user;
    size_t *p = old;
    if (p) m->now -= p[-8];
    if (!bytes) {
        free(p ? p - 8 : NULL);
        return NULL;
    }
    p = realloc(p ? p - 8 : NULL, bytes + 64);
    if (!p) return NULL;
    p[0] = bytes;
    m->now += bytes;
    if (m->now > m->peak) m->peak = m->now;
    return p + 8;
}

static void plan_is_exact(void **state)
{
    static const unsigned flags[] = {0, UL_PASS_GRAD, UL_PASS_GRAD | UL_PASS_CHECKPOINT,
                                     UL_PASS_GRAD | UL_PASS_PLAIN_HEAD, UL_PASS_GRAD | UL_PASS_STATES};
    (void)state;
    for (const char *const *f = ul_families(); *f; f++) {
        meter memory = {0};
        size_t slots[sizeof flags / sizeof *flags];
        for (size_t k = 0; k < sizeof flags / sizeof *flags; k++) {
            ul_ctx *ctx;
            ul_bytes_plan plan, small;
            assert_int_equal(ul_ctx_new(&(ul_config){.user = &memory, .alloc = counted}, &ctx), UL_OK);
            ul_model *m = tiny_model(ctx, UL_PRECISION_F32, ul_family_types(*f)[0], false);
            const ul_batch *b = random_batch(ul_ctx_arena(ctx), 0, SAMPLES, 23, false),
                           *one = random_batch(ul_ctx_arena(ctx), 0, 1, 23, false);
            double *coef = UL_NEW(ul_ctx_arena(ctx), double, b->n_row);
            UL_OK_IN(ctx, ul_model_select(ctx, m, "all"));
            ul_pass pass = {.batch = b, .flags = flags[k], .last = -1, .score = {.logp = coef}, .coef = coef},
                    part = pass;
            part.batch = one;
            UL_OK_IN(ctx, ul_backend_reserve(m->be, 32, m->arch.s.D));
            if (m->arch.rope != UL_ROPE_NONE) UL_OK_IN(ctx, ul_rope_reserve(ctx, m, 32));
            UL_OK_IN(ctx, ul_model_plan(ctx, m, &part, &small));
            UL_OK_IN(ctx, ul_model_plan(ctx, m, &pass, &plan));
            const size_t before = memory.now;
            memory.peak = before;
            UL_OK_IN(ctx, ul_model_forward(ctx, m, &pass));
            if (k) UL_OK_IN(ctx, ul_model_backward(ctx, m, &pass));
            const size_t took = memory.peak - before, planned = plan.slots + plan.head;
            if (took < planned || took > planned + 256) /* an arena's block has a header */
                fail_msg("%s, flags %u: planned %zu bytes, took %zu", *f, flags[k], planned, took);
            assert_int_equal(memory.now, memory.peak);
            assert_true(small.slots + small.head < planned);
            slots[k] = plan.slots;
            ul_model_free(m);
            ul_ctx_free(ctx);
        }
        assert_true(slots[0] < slots[2] && slots[2] < slots[1]); /* no gradient < checkpointing < everything kept */
        assert_int_equal(memory.now, 0);
    }
}

/* An adapter whose B is 0 changes nothing, and UL_PASS_BASE is the model without one. */
static void adapter_off(void **state)
{
    (void)state;
    for (const char *const *f = ul_families(); *f; f++) {
        ul_ctx *ctx = ul_test_ctx();
        ul_model *m = tiny_model(ctx, UL_PRECISION_F32, ul_family_types(*f)[0], true);
        const ul_batch *b = random_batch(ul_ctx_arena(ctx), 0, 3, 23, false);
        const size_t n = (size_t)b->n_row * 16;
        float *bare = UL_NEW(ul_ctx_arena(ctx), float, n), *now = UL_NEW(ul_ctx_arena(ctx), float, n);
        ul_pass pass = {.batch = b, .last = -1, .row_hidden = bare};
        UL_OK_IN(ctx, ul_model_forward(ctx, m, &pass));
        const ul_lora l = {.r = 2, .alpha = 4, .rslora = true, .targets = "all-linear"};
        UL_OK_IN(ctx, ul_lora_add(ctx, m, &l));
        pass.row_hidden = now;
        UL_OK_IN(ctx, ul_model_forward(ctx, m, &pass));
        for (size_t i = 0; i < n; i++) assert_true(bare[i] == now[i]);
        for (int i = 0; i < m->n_trainable; i++)
            for (int64_t k = 0; k < m->trainable[i].n; k++) ((float *)m->trainable[i].p)[k] += 0.1f;
        UL_OK_IN(ctx, ul_model_forward(ctx, m, &pass));
        assert_memory_not_equal(bare, now, n * sizeof *bare);
        pass.flags = UL_PASS_BASE;
        UL_OK_IN(ctx, ul_model_forward(ctx, m, &pass));
        assert_memory_equal(bare, now, n * sizeof *bare);
        ul_model_free(m);
        ul_ctx_free(ctx);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(bits_stay), cmocka_unit_test(plan_is_exact),
                                       cmocka_unit_test(adapter_off)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
