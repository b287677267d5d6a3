/* loss_test.h - a loss on numbers alone: its gradients against central differences in double, but for what the method
 * says it holds constant: weighted ascent is linear in what is left, and a document held constant gets no gradient. */
#ifndef UL_LOSS_TEST_H
#define UL_LOSS_TEST_H
#include "ul_test.h"
#include "unlearn/method.h"
#include <math.h>

enum { N = 3 }; /* samples: of different lengths, one without a retain document, one with an empty forget side */
static const int32_t length[N][UL_N_SIDE] = {{5, 3, 4}, {2, 6, 0}, {1, 2, 7}};

enum { LOGP, KL, CE, GAP, RIVAL, DIST, LENS, MU, N_SCORE };
typedef double score[N][UL_N_SIDE][8];
typedef struct {
    score x[N_SCORE], d[N_SCORE], ref; /* what a method reads of the model, its gradient, log p of the reference */
} numbers;

static inline double draw(uint64_t k)
{
    return ul_rng_uniform(7, UL_STREAM_TEST, 0, k);
}

static inline void fill(numbers *x)
{
    uint64_t k = 0;
    for (int i = 0; i < N; i++)
        for (int s = 0; s < UL_N_SIDE; s++)
            for (int t = 0; t < 8; t++) {
                x->ref[i][s][t] = -4 * draw(k++);
                for (int q = 0; q < N_SCORE; q++)
                    x->x[q][i][s][t] = (q == LOGP || q == RIVAL || q == LENS ? -4 : 2) * draw(k++);
            }
}

/* The loss of a step at this epoch as the trainer adds it up. */
static inline double loss_at(const ul_method *m, const ul_args *a, numbers *x, double epoch)
{
    double n_tok[UL_N_SIDE] = {0}, n_seq[UL_N_SIDE] = {0}, sum = 0;
    for (int i = 0; i < N; i++)
        for (int s = 0; s < UL_N_SIDE; s++) {
            n_tok[s] += length[i][s];
            n_seq[s] += length[i][s] > 0;
        }
    memset(x->d, 0, sizeof x->d);
    for (int i = 0; i < N; i++) {
        ul_side side[UL_N_SIDE];
        for (int s = 0; s < UL_N_SIDE; s++)
            side[s] = (ul_side){.n = length[i][s], .ref = x->ref[i][s], .n_tok = n_tok[s], .n_seq = n_seq[s],
                                .logp = x->x[LOGP][i][s], .dlogp = x->d[LOGP][i][s], .kl = x->x[KL][i][s],
                                .dkl = x->d[KL][i][s], .ce = x->x[CE][i][s], .dce = x->d[CE][i][s],
                                .gap = x->x[GAP][i][s], .dgap = x->d[GAP][i][s], .rival = x->x[RIVAL][i][s],
                                .drival = x->d[RIVAL][i][s], .dist = x->x[DIST][i][s], .ddist = x->d[DIST][i][s],
                                .lens = x->x[LENS][i][s], .dlens = x->d[LENS][i][s],
                                .mu = x->x[MU][i][s], .dmu = x->d[MU][i][s],
                                .n_layer = 3, .dual = 0.7, .epoch = epoch, .progress = epoch / 10,
                                .n_place = length[i][s] + 4,
                                .token_share = length[i][s] ? 1 / (n_seq[s] * length[i][s]) : 0};
        sum += m->loss(a, &side[UL_FORGET], &side[UL_ALT], &side[UL_RETAIN]);
    }
    return sum;
}

/* Of two steps, an epoch apart: methods may take turns. */
static inline double loss(const ul_method *m, const ul_args *a, numbers *x)
{
    numbers first = *x;
    const double sum = loss_at(m, a, &first, 0.4);
    const double both = sum + loss_at(m, a, x, 1.4);
    for (int q = 0; q < N_SCORE; q++)
        for (int i = 0; i < N; i++)
            for (int s = 0; s < UL_N_SIDE; s++)
                for (int t = 0; t < 8; t++) x->d[q][i][s][t] += first.d[q][i][s][t];
    return both;
}

static inline void compare(const char *id, const ul_method *m, const ul_args *a, numbers *x, double *value, double got,
                    double *scale)
{
    const double h = 1e-5, keep = *value;
    *value = keep + h;
    const double up = loss(m, a, x);
    *value = keep - h;
    const double down = loss(m, a, x);
    *value = keep;
    const double want = (up - down) / (2 * h), size = fmax(fabs(want), fabs(got));
    if (fabs(want - got) > 1e-6 * size + 1e-9) fail_msg("%s: gradient %.12g, differences %.12g", id, got, want);
    *scale += size;
}

/* With its weights held, loss = sum of dlogp logp + dkl kl. */
static inline void check_linear(const char *id, const ul_method *m, const ul_args *a, numbers *x)
{
    const double got = loss(m, a, x);
    double want = 0, moved = 0;
    for (int i = 0; i < N; i++)
        for (int s = 0; s < UL_N_SIDE; s++)
            for (int t = 0; t < length[i][s]; t++)
                for (int q = 0; q < N_SCORE; q++) {
                    want += x->d[q][i][s][t] * x->x[q][i][s][t];
                    moved += fabs(x->d[q][i][s][t]);
                }
    if (!(fabs(want - got) <= 1e-13 * fmax(1, fabs(want)))) fail_msg("%s: loss %.15g, linear %.15g", id, got, want);
    if (!(moved > 0)) fail_msg("%s: a method that moves nothing", id);
}

static inline void check(const char *id, const ul_method *m, const ul_args *a)
{
    numbers x;
    double moved = 0;
    fill(&x);
    if (m->holds == UL_HOLDS_WEIGHTS) {
        check_linear(id, m, a, &x);
        return;
    }
    (void)loss(m, a, &x);
    const numbers grad = x;
    for (int i = 0; i < N; i++)
        for (int s = 0; s < UL_N_SIDE; s++)
            for (int t = 0; t < length[i][s]; t++) {
                if (s == UL_ALT && m->holds == UL_HOLDS_ALT) {
                    assert_true(grad.d[LOGP][i][s][t] == 0);
                    continue;
                }
                for (int q = 0; q < N_SCORE; q++)
                    compare(id, m, a, &x, &x.x[q][i][s][t], grad.d[q][i][s][t], &moved);
            }
    if (!(moved > 0)) fail_msg("%s: a method whose loss depends on nothing", id);
}

/* Choice c of "a|b|c"; false when there are fewer. */
static inline bool choice(const ul_param *p, int c, char out[16])
{
    const char *at = p->unit;
    for (; c > 0 && at; c--) at = strchr(at, '|') ? strchr(at, '|') + 1 : NULL;
    if (at) snprintf(out, 16, "%.*s", (int)strcspn(at, "|"), at);
    return at;
}

/* At these arguments, and with each in turn at another value. */
static inline void check_choices(const char *id, const ul_method *m, const ul_args *a)
{
    check(id, m, a);
    for (int k = 0; a->params[k].key; k++) {
        const ul_param *p = &a->params[k];
        ul_args b = *a;
        char text[16];
        for (int c = 0; p->type == UL_TEXT && choice(p, c, text); c++) {
            b.text[k] = text;
            check(id, m, &b);
        }
        if (p->type == UL_TEXT) continue;
        b.num[k] = p->dflt * 1.7 + 0.3 < p->hi ? p->dflt * 1.7 + 0.3 : p->hi;
        check(id, m, &b);
    }
}
#endif
