/* test_ops.c - every backward op is the derivative of its forward: central differences in double, every element of
 * every input, <= 1e-6 of the largest entry of its gradient. The loss is sum(dy y).
 *
 * Stored gradients start as NaN, added ones as numbers: a kernel that does nothing, or adds where it should store,
 * fails. */
#include "unit/backend/product.h"

enum { MAX = 1024, MAX_IN = 4 };
typedef struct {
    ul_backend *be;
    int kind, n_in, add;
    int64_t n_x[MAX_IN], n_y;
    double x[MAX_IN][MAX], y[MAX], stat[MAX], dy[MAX], dx[MAX_IN][MAX];
} problem;
typedef struct {
    const char *name;
    int kinds;
    unsigned always_add; /* bit i: the gradient of input i is always added to (a weight) */
    void (*shape)(problem *p);
    void (*fwd)(problem *p);
    void (*bwd)(problem *p);
} op;
#define K(name, ...) p->be->k->name(p->be, __VA_ARGS__)

enum { N = 7, C = 19 };
static void norm_shape(problem *p)
{
    p->n_in = p->kind == UL_LAYERNORM ? 3 : 2;
    p->n_x[0] = p->n_y = N * C, p->n_x[1] = p->n_x[2] = C;
}
static void norm_fwd(problem *p)
{
    K(norm_fwd, (ul_norm_kind)p->kind, N, C, 1e-5, p->x[0], p->x[1], p->n_in == 3 ? p->x[2] : NULL, p->y, p->stat);
}
static void norm_bwd(problem *p)
{
    K(norm_bwd, (ul_norm_kind)p->kind, N, C, p->x[0], p->x[1], p->stat, p->dy, p->dx[0], p->add, p->dx[1],
      p->n_in == 3 ? p->dx[2] : NULL);
}

enum { HEADS = 3, D = 10, ROT = 6 };
static const int32_t positions[N] = {0, 1, 2, 3, 0, 1, 5};
static void rope_shape(problem *p) { p->n_in = 1, p->n_x[0] = p->n_y = N * HEADS * D; }
static void rope(problem *p, int sign, const double *x, double *y, bool add)
{
    double c[6 * ROT / 2], s[6 * ROT / 2];
    for (int i = 0; i < 6 * ROT / 2; i++) c[i] = cos(i * 0.7), s[i] = sin(i * 0.7);
    K(rope, N, HEADS, D, ROT, positions, c, s, sign, x, y, add);
}
static void rope_fwd(problem *p) { rope(p, 1, p->x[0], p->y, false); }
static void rope_bwd(problem *p) { rope(p, -1, p->dy, p->dx[0], p->add); }

static void act_shape(problem *p) { p->n_in = 1, p->n_x[0] = p->n_y = 200; }
static void act_fwd(problem *p) { K(act_fwd, (ul_act_kind)p->kind, 200, p->x[0], p->y); }
static void act_bwd(problem *p) { K(act_bwd, (ul_act_kind)p->kind, 200, p->x[0], p->dy, p->dx[0], p->add); }

static void glu_shape(problem *p) { p->n_in = 2, p->n_x[0] = p->n_x[1] = p->n_y = 200; }
static void glu_fwd(problem *p) { K(glu_fwd, (ul_act_kind)p->kind, 200, p->x[0], p->x[1], p->y); }
static void glu_bwd(problem *p)
{
    K(glu_bwd, (ul_act_kind)p->kind, 200, p->x[0], p->x[1], p->dy, p->dx[0], p->add, p->dx[1], p->add);
}

/* The embedding: x the table, y its rows; one word comes thrice. */
static const int32_t words[N] = {3, 0, 3, 1, 2, 3, 0};
static void gather_shape(problem *p) { p->n_in = 1, p->n_x[0] = 4 * C, p->n_y = N * C; }
static void gather_fwd(problem *p) { K(gather, N, C, words, p->x[0], p->y, false); }
static void gather_bwd(problem *p) { K(scatter, N, C, words, -1, p->dy, p->dx[0]); }

/* y = x W' + b, W [OUT, C] */
enum { OUT = 11 };
static void linear_shape(problem *p)
{
    p->n_in = 3, p->n_x[0] = N * C, p->n_x[1] = OUT * C, p->n_x[2] = OUT, p->n_y = N * OUT;
}
static void linear_fwd(problem *p)
{
    K(fill_rows, N, OUT, p->x[2], p->y);
    const ul_gemm g = {N, OUT, C, p->x[0], C, 1, p->x[1], 1, C, p->y, OUT, true, NULL, 0};
    K(gemm, &g);
}
static void linear_bwd(problem *p)
{
    const ul_gemm to_x = {N, C, OUT, p->dy, OUT, 1, p->x[1], C, 1, p->dx[0], C, p->add, NULL, 0};
    const ul_gemm to_w = {OUT, C, N, p->dy, 1, OUT, p->x[0], C, 1, p->dx[1], C, true, NULL, 0};
    K(gemm, &to_x);
    K(gemm, &to_w);
    K(col_sum, N, OUT, p->dy, p->dx[2]);
}

/* kind bit 0: tokens 1 and 5 are hidden; bit 1: one key head for each query head. Documents of 4, 1 and 6 tokens. */
enum { TOKENS = 11, HQ = 4, DH = 5 };
static const int32_t starts[] = {0, 4, 5, TOKENS};
static const uint8_t hidden[TOKENS] = {0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0};
static int key_heads(const problem *p) { return p->kind & 2 ? HQ : 2; }
static ul_attn attn_of(problem *p)
{
    return (ul_attn){.N = TOKENS, .H = HQ, .K = key_heads(p), .D = DH, .n_doc = 3, .longest = 6, .doc_start = starts,
                     .hidden = p->kind & 1 ? hidden : NULL, .scale = 0.4, .q = p->x[0], .k = p->x[1], .v = p->x[2],
                     .y = p->y, .stat = p->stat, .dy = p->dy, .dq = p->dx[0], .dk = p->dx[1], .dv = p->dx[2],
                     .add_q = p->add, .add_k = p->add, .add_v = p->add};
}
static void attn_shape(problem *p)
{
    p->n_in = 3, p->n_x[0] = p->n_y = TOKENS * HQ * DH, p->n_x[1] = p->n_x[2] = TOKENS * key_heads(p) * DH;
    assert_int_equal(ul_backend_reserve(p->be, 6, DH), UL_OK);
}
static void attn_fwd(problem *p)
{
    const ul_attn a = attn_of(p);
    K(attn_fwd, &a);
}
static void attn_bwd(problem *p)
{
    const ul_attn a = attn_of(p);
    K(attn_bwd, &a);
}

/* y = [logp, kl, ce, gap, rival, mu] of each row; kind 0: labels and their runner-ups, 1: targets, 2: both and the gap,
 * 3: both, labels out of their targets, 4: both and mu, KL of cooler rows.
 * A target made of z itself is held constant, so its forward reads a copy of the first z. The gradient replaces z. */
enum { V = 37 };
static const int32_t labels[N] = {0, 5, -1, 36, 7, 7, -1};
static const uint8_t soft[N] = {UL_SOFT_KL,     UL_SOFT_NONE, UL_SOFT_KL,    UL_SOFT_CE,
                                UL_SOFT_CE_OWN, UL_SOFT_CE,   UL_SOFT_CE_OWN};
static double first_z[N * V];
static void score_shape(problem *p) { p->n_in = 1, p->n_x[0] = N * V, p->n_y = 6 * N, p->add = 0, first_z[0] = NAN; }
static ul_soft score_target(const problem *p)
{
    return (ul_soft){p->x[1], soft, p->kind == 3 ? -INFINITY : -2.5, NULL, p->kind == 4 ? 0.4 : 0};
}
static void score_fwd(problem *p)
{
    double held[N * V];
    uint8_t kind[N];
    if (isnan(first_z[0])) memcpy(first_z, p->x[0], sizeof first_z);
    for (int i = 0; i < N * V; i++) {
        p->x[1][i] = sin(3.0 * i); /* the reference's logits */
        held[i] = soft[i / V] == UL_SOFT_CE_OWN ? first_z[i] : p->x[1][i];
    }
    for (int i = 0; i < N; i++) kind[i] = soft[i] == UL_SOFT_CE_OWN ? UL_SOFT_CE : soft[i];
    const ul_score out = {.logp = p->y, .kl = p->y + N, .ce = p->y + 2 * N, .gap = p->y + 3 * N, .rival = p->y + 4 * N,
                          .mu = p->y + 5 * N};
    ul_soft t = score_target(p);
    t.z_ref = held, t.kind = kind;
    K(score, N, V, p->x[0], labels, &t, &out);
    for (int i = 0; i < N; i++) {
        if (p->kind == 1) p->y[i] = 0;
        if (p->kind == 0) p->y[N + i] = p->y[2 * N + i] = 0;
        if (p->kind != 2) p->y[3 * N + i] = 0;
        if (p->kind == 1) p->y[4 * N + i] = 0;
        if (p->kind != 4) p->y[5 * N + i] = 0;
    }
}
static void score_bwd(problem *p)
{
    double coef[N];
    for (int i = 0; i < N; i++) coef[i] = p->dy[(soft[i] == UL_SOFT_KL ? 1 : 2) * N + i];
    const ul_soft t = score_target(p);
    const ul_dscore d = {p->kind == 1 ? NULL : p->dy, coef, p->kind == 2 ? p->dy + 3 * N : NULL,
                         p->kind == 1 ? NULL : p->dy + 4 * N, p->kind == 4 ? p->dy + 5 * N : NULL};
    memcpy(p->dx[0], p->x[0], sizeof p->dx[0]);
    K(score_bwd, N, V, p->dx[0], labels, &d, p->kind == 0 ? NULL : &t);
}

static const op ops[] = {{"norm", 2, 6, norm_shape, norm_fwd, norm_bwd},
                         {"rope", 1, 0, rope_shape, rope_fwd, rope_bwd},
                         {"act", 4, 0, act_shape, act_fwd, act_bwd},
                         {"glu", 4, 0, glu_shape, glu_fwd, glu_bwd},
                         {"gather", 1, 1, gather_shape, gather_fwd, gather_bwd},
                         {"linear", 1, 6, linear_shape, linear_fwd, linear_bwd},
                         {"attention", 4, 0, attn_shape, attn_fwd, attn_bwd},
                         {"score", 5, 0, score_shape, score_fwd, score_bwd}};

static double loss(const op *o, problem *p)
{
    double sum = 0;
    for (int64_t i = 0; i < p->n_y; i++) p->y[i] = NAN; /* what the forward leaves out is seen */
    o->fwd(p);
    for (int64_t i = 0; i < p->n_y; i++) sum += p->dy[i] * p->y[i];
    return sum;
}
static double base(int64_t i) { return 0.25 * (double)(i % 7) - 0.5; }

static void check(const op *o, problem *p)
{
    const double h = 1e-5;
    loss(o, p);
    for (int b = 0; b < p->n_in; b++)
        for (int64_t i = 0; i < p->n_x[b]; i++) p->dx[b][i] = p->add || o->always_add >> b & 1 ? base(i) : NAN;
    o->bwd(p);
    for (int b = 0; b < p->n_in; b++) {
        double worst = 0, largest = 0;
        for (int64_t i = 0; i < p->n_x[b]; i++) {
            const double x = p->x[b][i];
            p->x[b][i] = x + h;
            const double up = loss(o, p);
            p->x[b][i] = x - h;
            const double slope = (up - loss(o, p)) / (2 * h);
            p->x[b][i] = x;
            const double got = p->dx[b][i] - (p->add || o->always_add >> b & 1 ? base(i) : 0);
            const double e = fabs(got - slope);
            if (!(e <= worst)) worst = e;
            largest = fmax(largest, fabs(slope));
        }
        if (!(largest > 1e-3 && worst <= 1e-6 * largest))
            fail_msg("%s kind %d %s: gradient of input %d is off by %.3g, its largest entry is %.3g", o->name, p->kind,
                     p->add ? "adding" : "storing", b, worst, largest);
    }
}

static void derivatives(void **state)
{
    fixture *f = *state;
    ul_backend *be = open_backend(f, NULL, UL_PRECISION_DOUBLE, 2);
    static problem p;
    for (size_t k = 0; k < sizeof ops / sizeof *ops; k++)
        for (int kind = 0; kind < ops[k].kinds; kind++)
            for (int add = 0; add < 2; add++) {
                memset(&p, 0, sizeof p);
                p.be = be, p.kind = kind, p.add = add;
                ops[k].shape(&p);
                for (uint64_t i = 0; i < MAX; i++) {
                    p.dy[i] = ul_rng_normal(5, UL_STREAM_TEST, 0, i);
                    for (uint64_t b = 0; b < MAX_IN; b++) {
                        const double x = ul_rng_normal(5, UL_STREAM_TEST, 1 + b, i);
                        p.x[b][i] = fabs(x) < 1e-4 ? 0.5 : x; /* relu's kink is no derivative */
                    }
                }
                check(&ops[k], &p);
            }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test_setup_teardown(derivatives, begin, end)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
