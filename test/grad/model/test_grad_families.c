/* test_grad_families.c - every family in every mode against finite differences, in double.
 *
 * The loss is a sum over scored rows of a_i log p_i + b_i KL_i, or of u . hidden state; along random directions
 * of the trainable tensors the central difference of fourth order must be the gradient's, within 1e-6 of its length.
 * Before the backward pass everything that it may not read is filled with NaN. */
#include "model_test.h"

typedef struct {
    const char *name, *select;
    bool lora, kl, each, own; /* own: the hook's function is not linear, and the loss reads what it is given */
    unsigned flags;
    int last, seed_layer;     /* seed_layer < 0: none */
    int n_hook;
    ul_slot slot[3];
    ul_hook_mode mode;
} mode;

static const mode modes[] = {
    {"full", "all", .each = true, .last = -1, .seed_layer = -1},
    {"full, plain head", "all", .flags = UL_PASS_PLAIN_HEAD, .last = -1, .seed_layer = -1},
    {"checkpoint", "all", .flags = UL_PASS_CHECKPOINT, .last = -1, .seed_layer = -1},
    {"kl", "all", .kl = true, .last = -1, .seed_layer = -1},
    {"lora", "lora", .lora = true, .each = true, .last = -1, .seed_layer = -1},
    {"lora, checkpoint", "lora", .lora = true, .flags = UL_PASS_CHECKPOINT, .last = -1, .seed_layer = -1},
    {"lora and norms", "lora,norms", .lora = true, .last = -1, .seed_layer = -1},
    {"lora and all", "lora,all", .lora = true, .kl = true, .last = -1, .seed_layer = -1},
    {"one block's mlp", "layers 1 mlp", .last = -1, .seed_layer = -1},
    {"attention of two blocks", "layers 0,2 attn", .last = -1, .seed_layer = -1},
    {"last block, checkpoint", "layers 2", .flags = UL_PASS_CHECKPOINT, .last = -1, .seed_layer = -1},
    {"norms", "norms", .last = -1, .seed_layer = -1},
    {"embedding", "embedding", .last = -1, .seed_layer = -1},
    {"head", "head", .last = -1, .seed_layer = -1},
    {"early exit", "all", .last = 2, .seed_layer = 2},
    {"early exit, frozen below", "layers 1", .last = 2, .seed_layer = 2},
    {"early exit, checkpoint, lora", "lora", .lora = true, .flags = UL_PASS_CHECKPOINT, .last = 2, .seed_layer = 2},
    {"exit at the embedding", "embedding", .last = 0, .seed_layer = 0},
    {"seed in the middle", "all", .last = -1, .seed_layer = 1},
    {"seed at the end", "all", .last = -1, .seed_layer = 3},
    {"hook adds", "all", .last = -1, .seed_layer = -1, .n_hook = 3, .slot = {UL_SLOT_ATTN, UL_SLOT_IN, UL_SLOT_OUT},
     .mode = UL_HOOK_ADD},
    {"hook adds, checkpoint", "all", .flags = UL_PASS_CHECKPOINT, .last = -1, .seed_layer = -1, .n_hook = 2,
     .slot = {UL_SLOT_MLP, UL_SLOT_IN}, .mode = UL_HOOK_ADD},
    {"hook replaces attention", "all", .last = -1, .seed_layer = -1, .n_hook = 1, .slot = {UL_SLOT_ATTN},
     .mode = UL_HOOK_REPLACE},
    {"hook replaces mlp", "all", .last = -1, .seed_layer = -1, .n_hook = 1, .slot = {UL_SLOT_MLP},
     .mode = UL_HOOK_REPLACE},
    {"hook replaces input", "all", .last = -1, .seed_layer = -1, .n_hook = 1, .slot = {UL_SLOT_IN},
     .mode = UL_HOOK_REPLACE},
    {"hook replaces output", "all", .last = -1, .seed_layer = -1, .n_hook = 1, .slot = {UL_SLOT_OUT},
     .mode = UL_HOOK_REPLACE},
    {"hook replaces output, seed below", "all", .flags = UL_PASS_CHECKPOINT, .last = -1, .seed_layer = 1, .n_hook = 1,
     .slot = {UL_SLOT_OUT}, .mode = UL_HOOK_REPLACE},
    {"hook with a gradient", "all", .own = true, .last = -1, .seed_layer = 1, .n_hook = 3,
     .slot = {UL_SLOT_MLP, UL_SLOT_IN, UL_SLOT_OUT}, .mode = UL_HOOK_ADD},
    {"hook with a gradient, checkpoint", "all", .own = true, .flags = UL_PASS_CHECKPOINT, .last = -1, .seed_layer = -1,
     .n_hook = 3, .slot = {UL_SLOT_ATTN, UL_SLOT_MLP, UL_SLOT_MLP}, .mode = UL_HOOK_ADD},
    {"hook with the only gradient", "all", .own = true, .last = 2, .seed_layer = -1, .n_hook = 1, .slot = {UL_SLOT_MLP},
     .mode = UL_HOOK_ADD},
    {"hook reads", "all", .last = -1, .seed_layer = -1, .n_hook = 2, .slot = {UL_SLOT_ATTN, UL_SLOT_OUT},
     .mode = UL_HOOK_READ}};

typedef struct {
    ul_ctx *ctx;
    ul_model *m;
    const mode *how;
    tiny_batch b;
    ul_hook hook[3];
    ul_seed seed;
    double logp[TINY_TOK], kl[TINY_TOK], coef[TINY_TOK], kl_coef[TINY_TOK], dx[TINY_TOK * 16], ref[TINY_TOK * 16],
        head[23 * 16];
    uint8_t soft[TINY_TOK];
    ul_pass pass;
    int calls;
    struct own {
        double x[TINY_TOK * 16], loss; /* what the hook was last given, and what the loss has of it */
        int k;
    } own[3];
} setting;

/* Adds, or puts, a pattern that depends on the place alone. */
static ul_status pattern(void *user, int layer, const ul_batch *batch, void *x)
{
    setting *s = user;
    s->calls++;
    for (int64_t i = 0; i < (int64_t)batch->n_tok * 16 && s->how->mode != UL_HOOK_READ; i++) {
        const double v = 0.5 * ul_rng_normal(9, UL_STREAM_TEST, (uint64_t)layer, (uint64_t)i);
        ((double *)x)[i] = s->how->mode == UL_HOOK_ADD ? ((double *)x)[i] + v : v;
    }
    return UL_OK;
}

/* y = x + v x^2, and the loss has w . x more. */
static double bend(const struct own *o, int what, int64_t i)
{
    return ul_rng_normal(9, UL_STREAM_TEST, (uint64_t)(20 + 2 * o->k + what), (uint64_t)i);
}

static ul_status bends(void *user, int layer, const ul_batch *batch, void *x)
{
    struct own *o = user;
    (void)layer;
    o->loss = 0;
    for (int64_t i = 0; i < (int64_t)batch->n_tok * 16; i++) {
        double *y = (double *)x + i;
        o->x[i] = *y;
        o->loss += bend(o, 0, i) * *y;
        *y += 0.3 * bend(o, 1, i) * *y * *y;
    }
    return UL_OK;
}

static void bends_back(void *user, int layer, const ul_batch *batch, void *dx)
{
    const struct own *o = user;
    (void)layer;
    for (int64_t i = 0; i < (int64_t)batch->n_tok * 16; i++) {
        double *d = (double *)dx + i;
        *d = *d * (1 + 0.6 * bend(o, 1, i) * o->x[i]) + bend(o, 0, i);
    }
}

static double normal(int what, int64_t i) { return ul_rng_normal(11, UL_STREAM_TEST, (uint64_t)what, (uint64_t)i); }

static void prepare(setting *s)
{
    const mode *h = s->how;
    tiny_fill(&s->b);
    for (int i = 0; i < TINY_TOK; i++) {
        s->coef[i] = normal(0, i), s->soft[i] = i % 3 != 0, s->kl_coef[i] = s->soft[i] ? normal(1, i) : 0;
        for (int c = 0; c < 16; c++)
            s->dx[i * 16 + c] = normal(2, i * 16 + c), s->ref[i * 16 + c] = normal(3, i * 16 + c);
    }
    for (int i = 0; i < 23 * 16; i++) s->head[i] = 0.3 * normal(4, i);
    s->pass = (ul_pass){.batch = &s->b.batch,
                        .flags = h->flags | UL_PASS_GRAD,
                        .last = h->last,
                        .hook = s->hook,
                        .n_hook = h->n_hook,
                        .score = {.logp = s->logp},
                        .coef = s->coef};
    for (int k = 0; k < h->n_hook; k++) {
        s->own[k].k = k;
        s->hook[k] = h->own ? (ul_hook){1, h->slot[k], h->mode, bends, &s->own[k], bends_back}
                            : (ul_hook){1, h->slot[k], h->mode, pattern, s, NULL};
    }
    if (h->seed_layer >= 0) {
        s->seed = (ul_seed){.layer = h->seed_layer, .dx = s->dx};
        s->pass.seed = &s->seed, s->pass.n_seed = 1;
    }
    if (!h->kl) return;
    s->pass.score.kl = s->kl, s->pass.ref_hidden = s->ref, s->pass.ref_head = s->head, s->pass.soft = s->soft,
    s->pass.kl_coef = s->kl_coef;
}

static double loss(setting *s)
{
    double sum = 0;
    UL_OK_IN(s->ctx, ul_model_forward(s->ctx, s->m, &s->pass));
    for (int i = 0; i < s->b.batch.n_row && s->m->run.head; i++)
        sum += s->coef[i] * s->logp[i] + (s->how->kl ? s->kl_coef[i] * s->kl[i] : 0);
    const double *x = s->how->seed_layer >= 0 ? ul_model_hidden(s->m, s->how->seed_layer) : NULL;
    for (int i = 0; x && i < s->b.batch.n_tok * 16; i++) sum += s->dx[i] * x[i];
    for (int k = 0; k < s->how->n_hook; k++) sum += s->own[k].loss;
    return sum;
}

static void poison(ul_model *m, size_t from, size_t to)
{
    for (size_t i = from / 8; i < to / 8; i++) ((double *)(void *)m->slab)[i] = NAN;
}

static void backward(setting *s)
{
    ul_run *r = &s->m->run;
    ul_model_grad_zero(s->m);
    loss(s);
    poison(s->m, 0, r->total);
    loss(s);
    poison(s->m, r->temp_at, r->head_at);
    if (r->head) poison(s->m, r->at_dnr, r->at_z);
    if (r->head) poison(s->m, r->has_logits ? r->at_zref : r->at_z, r->total); /* the first chunk's logits are kept */
    UL_OK_IN(s->ctx, ul_model_backward(s->ctx, s->m, &s->pass));
    ul_model_grad_ready(s->m);
}

/* Tensors t[0 .. n-1] moved by h along their directions. */
static void move(setting *s, ul_trainable *t, int n, int first, double h)
{
    for (int i = 0; i < n; i++)
        for (int64_t k = 0; k < t[i].n; k++) ((double *)t[i].p)[k] += h * normal(100 + first + i, k);
    (void)s;
}

/* dL along a random direction of n tensors against the gradient. */
static void compare(setting *s, ul_trainable *t, int n, int first)
{
    const double h = 1e-5;
    double at[5], want = 0, gg = 0, uu = 0;
    move(s, t, n, first, 2 * h);
    for (int k = 0; k < 5; k++) {
        at[k] = k == 2 ? 0 : loss(s);
        move(s, t, n, first, k < 4 ? -h : 2 * h);
    }
    for (int i = 0; i < n; i++)
        for (int64_t k = 0; k < t[i].n; k++) {
            const double g = ((double *)t[i].g)[k], u = normal(100 + first + i, k);
            want += g * u, gg += g * g, uu += u * u;
        }
    const double have = (8 * (at[1] - at[3]) - (at[0] - at[4])) / (12 * h);
    if (!(fabs(have - want) <= 1e-6 * (sqrt(gg * uu) + 1e-3 * fabs(at[0]))))
        fail_msg("%s, %s: the gradient of %d tensors from %s says %.12g, finite differences %.12g", s->m->arch.s.family,
                 s->how->name, n, t[0].name, want, have);
}

/* Every tensor alone where `each`, otherwise runs of eight. */
static double check_all(setting *s, bool each)
{
    ul_trainable *t;
    double total = 0;
    const int n = ul_model_trainables(s->m, &t), step = each ? 1 : 8;
    backward(s);
    for (int i = 0; i < n; i++)
        for (int64_t k = 0; k < t[i].n; k++) total += fabs(((double *)t[i].g)[k]);
    for (int i = 0; i < n; i += step) compare(s, t + i, n - i < step ? n - i : step, i);
    return total;
}

static void give_adapter(setting *s)
{
    const ul_lora l = {.r = 3, .alpha = 5, .targets = "all-linear", .seed = 2};
    UL_OK_IN(s->ctx, ul_lora_add(s->ctx, s->m, &l));
    ul_trainable *t;
    const int n = ul_model_trainables(s->m, &t);
    for (int i = 0; i < n; i++)
        for (int64_t k = 0; k < t[i].n; k++) ((double *)t[i].p)[k] = 0.3 * normal(50 + i, k);
}

/* Tables that no family has yet, of llama's weights: sums whose terms may share a gradient's memory,
 * and sums whose terms may not, because one is written after the other has been read into the sum. */
static const ul_step parallel[] = {NORM(S_N1, S_X, W_N1, UL_NO),
                                   NORM(S_N2, S_X, W_N2, UL_NO),
                                   LINEAR(S_Q, S_N1, W_Q, B_Q),
                                   LINEAR(S_K, S_N1, W_K, B_K),
                                   LINEAR(S_V, S_N1, W_V, B_V),
                                   ROPE(S_QR, S_Q),
                                   ROPE(S_KR, S_K),
                                   ATTN(S_A, S_QR, S_KR, S_V),
                                   LINEAR(S_O, S_A, W_O, B_O),
                                   LINEAR(S_G, S_N2, W_G, B_G),
                                   LINEAR(S_U, S_N2, W_U, B_U),
                                   GLU(S_H, S_G, S_U),
                                   LINEAR(S_D, S_H, W_D, B_D),
                                   ADD(S_X2, S_O, S_D),
                                   ADD(S_Y, S_X, S_X2),
                                   END};
static const ul_step crossed[] = { /* y = (x + n1) + d, d of n2(x + n1 + o): n1 is a term of a sum and read by others */
    NORM(S_N1, S_X, W_N1, UL_NO), ADD(S_KR, S_X, S_N1), LINEAR(S_Q, S_N1, W_Q, B_Q), LINEAR(S_K, S_N1, W_K, B_K),
    LINEAR(S_V, S_N1, W_V, B_V), ROPE(S_QR, S_Q), ATTN(S_A, S_QR, S_K, S_V), LINEAR(S_O, S_A, W_O, B_O),
    ADD(S_X2, S_KR, S_O), NORM(S_N2, S_X2, W_N2, UL_NO), LINEAR(S_G, S_N2, W_G, B_G), LINEAR(S_U, S_N2, W_U, B_U),
    GLU(S_H, S_G, S_U), LINEAR(S_D, S_H, W_D, B_D), ADD(S_Y, S_KR, S_D), END};
static const ul_step late[] = { /* x2 = n1 + o: k and v add into n1's gradient before o's has been read */
    NORM(S_N1, S_X, W_N1, UL_NO), LINEAR(S_Q, S_N1, W_Q, B_Q), LINEAR(S_O, S_Q, W_O, B_O), LINEAR(S_K, S_N1, W_K, B_K),
    LINEAR(S_V, S_N1, W_V, B_V), ADD(S_X2, S_N1, S_O), ROPE(S_QR, S_Q), ROPE(S_KR, S_K), ATTN(S_A, S_QR, S_KR, S_V),
    LINEAR(S_D, S_A, W_O, B_O), ADD(S_Y, S_X2, S_D), END};

static void check_mode(ul_ctx *ctx, const char *type, const ul_step *table, bool tied, const mode *h)
{
    static setting s;
    memset(&s, 0, sizeof s);
    s.ctx = ctx, s.how = h, s.m = tiny_model(ctx, UL_PRECISION_DOUBLE, type, tied);
    ul_family family = *s.m->family;
    if (table) family.block = table, s.m->family = &family;
    if (h->lora) give_adapter(&s);
    UL_OK_IN(ctx, ul_model_select(ctx, s.m, h->select));
    prepare(&s);
    const double total = check_all(&s, h->each);
    if (!(total > 0)) fail_msg("%s, %s: every gradient is 0", type, h->name);
    if (h->n_hook && !h->own) assert_true(s.calls > 0);
    if (h->mode == UL_HOOK_REPLACE && (h->slot[0] == UL_SLOT_OUT || h->slot[0] == UL_SLOT_IN) && h->seed_layer < 0) {
        /* everything below the cut stands still */
        const ul_weight *w = s.m->at[W_Q];
        for (int64_t k = 0; k < w->rows * w->cols; k++) assert_true(((double *)w->g)[k] == 0);
    }
    ul_model_free(s.m);
}

static void families(void **state)
{
    (void)state;
    for (const char *const *f = ul_families(); *f; f++)
        for (size_t k = 0; k < sizeof modes / sizeof *modes; k++)
            /* tied and not: both only for the first modes */
            for (int tied = k >= 4 && k % 2; tied < (k < 4 ? 2 : 1 + (int)(k % 2)); tied++) {
                ul_ctx *ctx = ul_test_ctx();
                check_mode(ctx, ul_family_types(*f)[0], NULL, tied, &modes[k]);
                ul_ctx_free(ctx);
            }
}

static void tables(void **state)
{
    const ul_step *const all[] = {parallel, crossed, late};
    (void)state;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        for (size_t k = 0; k < sizeof modes / sizeof *modes; k++) {
            ul_ctx *ctx = ul_test_ctx();
            if (modes[k].mode != UL_HOOK_REPLACE && strcmp(modes[k].name, "one block's mlp"))
                check_mode(ctx, "llama", all[i], false, &modes[k]);
            ul_ctx_free(ctx);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(families), cmocka_unit_test(tables)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
