/* score.c - what the head's logits say about the labels, and the gradient of it.
 *
 *   e = exp(z - max) in real; sum: its 16-lane row sum
 *   logp   = (z[label] - max) - log(sum), in double from the sum on
 *   mu     = sum p d - log S,  sigma2 = sum p (d - sum p d)^2,  d = z - max   (min-k++: Zhang et al. 2024)
 *   kl     = sum r (z_ref - z) + ((max - max_ref) + (log S - log S_ref)),  r = softmax(z_ref)
 * where the sums of mu, sigma2 and kl (S too) run in 16 double lanes over the same e; products are rounded, not fused.
 *   dz     = kl_coef (p - r) - coef p, + coef at the label,  p = e / sum, in real
 * A NaN in a row makes its sum NaN, hence every score of it but the argmax. */
#include "backend/kernel/kernel.h"

static real row_max(const real *z, int64_t V)
{
    real l[LANES];
    for (int j = 0; j < LANES; j++) l[j] = -(real)__builtin_inf();
    FOR_LANES(i, j, V, l[j] = FMAX(z[i], l[j]));
    for (int j = 1; j < LANES; j++) l[0] = FMAX(l[j], l[0]);
    return l[0];
}
static real row_sum(const real *z, real max, int64_t V)
{
    real l[LANES] = {0};
    FOR_LANES(i, j, V, l[j] += v_exp(z[i] - max));
    return lane_sum(l);
}
static int32_t first_equal(const real *z, real max, int64_t V)
{
    enum { STEP = 256 };
    for (int64_t lo = 0; lo < V; lo += STEP) {
        const int64_t hi = least(lo + STEP, V);
        int any = 0;
        for (int64_t i = lo; i < hi; i++) any |= z[i] == max;
        for (int64_t i = lo; any && i < hi; i++)
            if (z[i] == max) return (int32_t)i;
    }
    return 0; /* nothing but NaN */
}

/* lane_sum's tree in double */
static double tree(double *l)
{
    for (int h = LANES / 2; h; h /= 2)
        for (int j = 0; j < h; j++) l[j] += l[j + h];
    return l[0];
}
static void moments(const real *z, real max, int64_t V, double *mu, double *sigma2)
{
    double s[LANES] = {0}, sd[LANES] = {0}, sq[LANES] = {0};
    FOR_LANES(i, j, V, const real d = z[i] - max; const double e = v_exp(d); s[j] += e; sd[j] += e * d);
    const double S = tree(s), mean = tree(sd) / S;
    *mu = mean - ul_log(S);
    FOR_LANES(i, j, V, const real d = z[i] - max; const double e = v_exp(d), t = d - mean; sq[j] += e * (t * t));
    *sigma2 = tree(sq) / S;
}
static double divergence(const real *z, real max, const real *ref, int64_t V)
{
    const real max_ref = row_max(ref, V);
    double s[LANES] = {0}, sr[LANES] = {0}, srd[LANES] = {0};
    FOR_LANES(i, j, V, const double r = v_exp(ref[i] - max_ref), d = (double)ref[i] - (double)z[i];
              s[j] += v_exp(z[i] - max); sr[j] += r; srd[j] += r * d);
    const double S = tree(s), Sr = tree(sr);
    return tree(srd) / Sr + (((double)max - (double)max_ref) + (ul_log(S) - ul_log(Sr)));
}

void KFN(score)(const ul_backend *be, int64_t n, int64_t V, const void *z_, const int32_t *label, const void *z_ref,
                const uint8_t *soft, const ul_score *out)
{
    PARALLEL_WORK(8 * n * V)
    for (int64_t i = 0; i < n; i++) {
        const real *z = (const real *)z_ + i * V, max = row_max(z, V);
        if (out->argmax) out->argmax[i] = first_equal(z, max, V);
        if (out->logp)
            out->logp[i] = label[i] < 0 ? 0
                                        : ((double)z[label[i]] - (double)max) - ul_log((double)row_sum(z, max, V));
        if (out->mu || out->sigma2) {
            double mu, sigma2;
            moments(z, max, V, &mu, &sigma2);
            if (out->mu) out->mu[i] = mu;
            if (out->sigma2) out->sigma2[i] = sigma2;
        }
        if (out->kl)
            out->kl[i] = z_ref && (!soft || soft[i]) ? divergence(z, max, (const real *)z_ref + i * V, V) : 0;
    }
}

static void row_bwd(real *z, int64_t V, int32_t label, real c, const real *ref, real k)
{
    const real max = row_max(z, V);
    real l[LANES] = {0};
    FOR_LANES(i, j, V, z[i] = v_exp(z[i] - max); l[j] += z[i]);
    const real sum = lane_sum(l);
    if (k == 0)
        for (int64_t j = 0; j < V; j++) z[j] = -c * (z[j] / sum);
    else {
        const real max_ref = row_max(ref, V), sum_ref = row_sum(ref, max_ref, V);
        for (int64_t j = 0; j < V; j++) {
            const real p = z[j] / sum, r = v_exp(ref[j] - max_ref) / sum_ref;
            z[j] = k * (p - r) - c * p;
        }
    }
    if (label >= 0) z[label] += c;
}

void KFN(score_bwd)(const ul_backend *be, int64_t n, int64_t V, void *z_, const int32_t *label, const double *coef,
                    const void *z_ref, const double *kl_coef)
{
    PARALLEL_WORK(8 * n * V)
    for (int64_t i = 0; i < n; i++) {
        real *z = (real *)z_ + i * V;
        const int32_t y = label ? label[i] : -1;
        const real c = coef && y >= 0 ? (real)coef[i] : 0, k = kl_coef && z_ref ? (real)kl_coef[i] : 0;
        if (c == 0 && k == 0)
            for (int64_t j = 0; j < V; j++) z[j] = 0;
        else
            row_bwd(z, V, y, c, z_ref ? (const real *)z_ref + i * V : NULL, k);
    }
}
