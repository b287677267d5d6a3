/* gu.c - geometric disentanglement: the forget gradient is made orthogonal to the span of several retain gradients.
 *
 *   R = [r_1 .. r_k], the retain parts of the last k steps;  g_f <- g_f - R a,  (R'R) a = R' g_f;  g = g_f + g_r
 *
 * To first order such a step leaves every retain loss of the span as it was. Zhou et al. 2025, arXiv:2511.17100. The
 * normal equations are solved in double by Cholesky; a direction that the others nearly hold is left out. Here the
 * inner product is Euclid's; the paper's later version measures it in Adam's second moments. k = 1 is PCGrad over all
 * tensors without the condition that there be a conflict. Memory: k more gradients, kept in checkpoints. */
#include "wrapper/wrapper.h"
#include <math.h>

enum { MOST = 16 };
static const ul_param params[] = {
    {"rank", UL_INT, 4, 1, MOST, NULL, "retain gradients, of the last steps, whose span is left alone", NULL}, {0}};

static ul_status begin(ul_wrap *w)
{
    static const char *const names[MOST] = {"0", "1", "2",  "3",  "4",  "5",  "6",  "7",
                                            "8", "9", "10", "11", "12", "13", "14", "15"};
    void ***r = UL_NEW(w->arena, void **, MOST);
    UL_NEED(r);
    for (int i = 0; i < (int)ul_num(w->args, "rank"); i++) UL_TRY(ul_wrap_arrays(w, names[i], &r[i]));
    w->state = r;
    return UL_OK;
}

/* a of (R'R) a = b, in place of b; columns whose pivot is 1e-10 of their square are left out, their a is 0. */
static void solve(int k, double g[MOST][MOST], double *b)
{
    bool out[MOST] = {false};
    for (int j = 0; j < k; j++) {
        double d = g[j][j];
        for (int i = 0; i < j; i++) d -= g[j][i] * g[j][i];
        out[j] = !(d > 1e-10 * g[j][j]);
        const double root = out[j] ? 1 : sqrt(d);
        for (int i = j + 1; i < k; i++) {
            double x = g[i][j];
            for (int l = 0; l < j; l++) x -= g[i][l] * g[j][l];
            g[i][j] = out[j] ? 0 : x / root;
        }
        for (int i = 0; out[j] && i < j; i++) g[j][i] = 0;
        g[j][j] = root;
        for (int i = 0; i < j; i++) b[j] -= g[j][i] * b[i];
        b[j] = out[j] ? 0 : b[j] / root;
    }
    for (int j = k; j-- > 0;) {
        for (int i = j + 1; i < k; i++) b[j] -= g[i][j] * b[i];
        b[j] = out[j] ? 0 : b[j] / g[j][j];
    }
}

static ul_status combine(ul_wrap *w)
{
    void ***r = w->state;
    const int rank = (int)ul_num(w->args, "rank"), k = w->step + 1 < rank ? (int)(w->step + 1) : rank;
    double gram[MOST][MOST], a[MOST];
    ul_wrap_copy(w, w->g, r[w->step % rank]);
    for (int i = 0; i < k; i++) {
        a[i] = ul_arrays_dot(w, r[i], w->forget);
        for (int j = 0; j <= i; j++) gram[i][j] = ul_arrays_dot(w, r[i], r[j]);
    }
    solve(k, gram, a);
    for (int i = 0; i < k; i++) ul_arrays_axpy(w, -a[i], r[i], w->forget);
    ul_arrays_axpy(w, 1, w->forget, w->g);
    return UL_OK;
}

const ul_wrapper ul_wrapper_gu = {
    .title = "Geometric disentanglement",
    .paper = "arXiv:2511.17100",
    .note =
        "Makes the forget gradient orthogonal to the retain gradients of the last steps. Memory grows with the rank.",
    .params = params,
    .begin = begin,
    .combine = combine,
};
