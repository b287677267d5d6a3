/* score.c - what the head's logits say about the labels, and the gradient of it.
 *
 *   e = exp(z - max) in real; sum: its 16-lane row sum
 *   logp   = (z[label] - max) - log(sum), in double from the sum on
 *   mu     = sum p d - log S,  sigma2 = sum p (d - sum p d)^2,  d = z - max   (min-k++: Zhang et al. 2024)
 *   kl     = sum r (z_ref - z) + ((max - max_ref) + (log S - log S_ref)),  r = softmax(z_ref)
 * where the sums of mu, sigma2 and kl (S too) run in 16 double lanes over the same e; products are rounded, not fused.
 *   ce     = log S + sum q (max - z),  q = softmax(source): a constant target
 *   gap    = max - mean z, the sum of the mean in 16 double lanes
 *   rival  = (z[v] - max) - log(sum), as logp;  v: the lowest of the largest entries but the label
 *   dz     = soft (p - q) - (logp + rival) p, + logp at the label, + rival at v;  p = e / sum, in real; then
 *            + mu p (log p - sum p log p) + gap (e_argmax - 1/V)
 * The source is z_ref, for a CE row shifted at one entry, or z itself so shifted (ul_soft); -inf takes the entry out. A
 * KL row may be cooler: s z and s z_ref in the place of z and z_ref, s = 1 / temperature, and its gradient s (p - q).
 * A NaN in a row makes its sum NaN, hence every score of it but the argmax. */
#include "backend/kernel/kernel.h"

static real row_max(const real *z, int64_t V)
{
    real l[LANES];
    for (int j = 0; j < LANES; j++) l[j] = -(real)__builtin_inf();
    lanes_max(V, z, l);
    for (int64_t i = V / LANES * LANES; i < V; i++) l[i % LANES] = FMAX(z[i], l[i % LANES]);
    for (int j = 1; j < LANES; j++) l[0] = FMAX(l[j], l[0]);
    return l[0];
}
static real row_sum(const real *z, real max, int64_t V)
{
    real l[LANES] = {0};
    FOR_LANES(i, j, V, l[j] += v_exp_down(z[i] - max));
    return lane_sum(l);
}

/* What a soft target is the softmax of. */
typedef struct {
    const real *z; /* NULL: the row has no target */
    int64_t at;    /* the shifted entry; -1: none */
    real shift;
} source;
static inline real source_at(source s, int64_t i) { return i == s.at ? s.z[i] + s.shift : s.z[i]; }
static source source_of(const ul_soft *t, int64_t i, int64_t V, const real *z, int32_t label)
{
    const int kind = !t ? UL_SOFT_NONE : t->kind ? t->kind[i] : UL_SOFT_KL;
    const int32_t at = t && t->at ? t->at[i] : label;
    if (kind == UL_SOFT_CE_OWN) return (source){z, at, (real)t->shift};
    if (kind == UL_SOFT_NONE || !t->z_ref) return (source){NULL, -1, 0};
    const real *ref = (const real *)t->z_ref + i * V;
    return kind == UL_SOFT_CE ? (source){ref, at, (real)t->shift} : (source){ref, -1, 0};
}
static real source_max(source s, int64_t V)
{
    real l[LANES];
    if (s.at < 0) return row_max(s.z, V);
    for (int j = 0; j < LANES; j++) l[j] = -(real)__builtin_inf();
    FOR_LANES(i, j, V, const real x = source_at(s, i); l[j] = FMAX(x, l[j]));
    for (int j = 1; j < LANES; j++) l[0] = FMAX(l[j], l[0]);
    return l[0];
}
static real source_sum(source s, real max, int64_t V)
{
    real l[LANES] = {0};
    if (s.at < 0) return row_sum(s.z, max, V);
    FOR_LANES(i, j, V, l[j] += v_exp_down(source_at(s, i) - max));
    return lane_sum(l);
}
/* The first entry but `skip` that is this large; -1: none, which takes a NaN. */
static int32_t first_equal(const real *z, real max, int64_t V, int64_t skip)
{
    enum { STEP = 256 };
    for (int64_t lo = 0; lo < V; lo += STEP) {
        const int64_t hi = least(lo + STEP, V);
        int any = 0;
        for (int64_t i = lo; i < hi; i++) any |= z[i] == max;
        for (int64_t i = lo; any && i < hi; i++)
            if (z[i] == max && i != skip) return (int32_t)i;
    }
    return -1;
}
/* The largest entry but the label; -1: none. */
static int32_t runner_up(const real *z, int64_t V, int32_t label)
{
    const source s = {z, label, -(real)__builtin_inf()};
    return first_equal(z, source_max(s, V), V, label);
}

/* lane_sum's tree in double */
static double tree(double *l)
{
    for (int h = LANES / 2; h; h /= 2)
        for (int j = 0; j < h; j++) l[j] += l[j + h];
    return l[0];
}
/* sigma2 NULL: not asked for */
static void moments(const real *z, real max, int64_t V, double *mu, double *sigma2)
{
    double s[LANES] = {0}, sd[LANES] = {0}, sq[LANES] = {0};
    FOR_LANES(i, j, V, const real d = z[i] - max; const double e = v_exp_down(d); s[j] += e; sd[j] += e * d);
    const double S = tree(s), mean = tree(sd) / S;
    *mu = mean - ul_log(S);
    if (!sigma2) return;
    FOR_LANES(i, j, V, const real d = z[i] - max; const double e = v_exp_down(d), t = d - mean; sq[j] += e * (t * t));
    *sigma2 = tree(sq) / S;
}
/* cool: of both rows; 1 changes no bit. */
static double divergence(const real *z, real max, const real *ref, int64_t V, real cool)
{
    const real max_ref = row_max(ref, V);
    double s[LANES] = {0}, sr[LANES] = {0}, srd[LANES] = {0};
    FOR_LANES(i, j, V, const double r = v_exp_down(cool * (ref[i] - max_ref)), d = (double)ref[i] - (double)z[i];
              s[j] += v_exp_down(cool * (z[i] - max)); sr[j] += r; srd[j] += r * d);
    const double S = tree(s), Sr = tree(sr), all = (double)cool;
    return all * (tree(srd) / Sr) + (all * ((double)max - (double)max_ref) + (ul_log(S) - ul_log(Sr)));
}
static double cross_entropy(const real *z, real max, source q, int64_t V)
{
    const real max_q = source_max(q, V);
    double s[LANES] = {0}, sq[LANES] = {0}, sqd[LANES] = {0};
    FOR_LANES(i, j, V, const double e = v_exp_down(source_at(q, i) - max_q), d = (double)max - (double)z[i];
              s[j] += v_exp_down(z[i] - max); sq[j] += e; sqd[j] += e * d);
    return ul_log(tree(s)) + tree(sqd) / tree(sq);
}
static double gap(const real *z, real max, int64_t V)
{
    double s[LANES] = {0};
    FOR_LANES(i, j, V, s[j] += (double)z[i]);
    return (double)max - tree(s) / (double)V;
}

static real cool_of(const ul_soft *t) { return t && t->cool > 0 ? (real)t->cool : 1; }

void KFN(score)(const ul_backend *be, int64_t n, int64_t V, const void *z_, const int32_t *label, const ul_soft *soft,
                const ul_score *out)
{
    PARALLEL_WORK(8 * n * V)
    for (int64_t i = 0; i < n; i++) {
        const real *z = (const real *)z_ + i * V, max = row_max(z, V);
        const bool likely = out->logp || out->rival;
        const double log_sum = likely ? ul_log((double)row_sum(z, max, V)) : 0;
        if (out->argmax) {
            const int32_t top = first_equal(z, max, V, -1);
            out->argmax[i] = top < 0 ? 0 : top; /* nothing but NaN */
        }
        if (out->logp) out->logp[i] = label[i] < 0 ? 0 : ((double)z[label[i]] - (double)max) - log_sum;
        if (out->rival || out->rival_at) {
            const int32_t at = runner_up(z, V, label[i]);
            if (out->rival_at) out->rival_at[i] = at;
            if (out->rival) out->rival[i] = ((at < 0 ? -__builtin_inf() : (double)z[at]) - (double)max) - log_sum;
        }
        if (out->mu || out->sigma2) {
            double mu, sigma2;
            moments(z, max, V, &mu, out->sigma2 ? &sigma2 : NULL);
            if (out->mu) out->mu[i] = mu;
            if (out->sigma2) out->sigma2[i] = sigma2;
        }
        const source q = source_of(soft, i, V, z, label[i]);
        const bool kl = q.z && (!soft->kind || soft->kind[i] == UL_SOFT_KL);
        if (out->kl) out->kl[i] = kl ? divergence(z, max, q.z, V, cool_of(soft)) : 0;
        if (out->ce) out->ce[i] = q.z && !kl ? cross_entropy(z, max, q, V) : 0;
        if (out->gap) out->gap[i] = gap(z, max, V);
    }
}

/* z <- k (p - q) - c p */
static void softmax_bwd(real *z, real max, int64_t V, real c, source q, real k)
{
    if (k == 0) {
        real l[LANES] = {0};
        FOR_LANES(i, j, V, z[i] = v_exp_down(z[i] - max); l[j] += z[i]);
        const real sum = lane_sum(l);
        for (int64_t j = 0; j < V; j++) z[j] = -c * (z[j] / sum);
        return;
    }
    const real sum = row_sum(z, max, V), max_q = source_max(q, V), sum_q = source_sum(q, max_q, V);
    const real p_at = q.at < 0 ? 0 : v_exp_down(z[q.at] - max) / sum;
    const real q_at = q.at < 0 ? 0 : v_exp_down(source_at(q, q.at) - max_q) / sum_q;
    if (q.z == z)
        for (int64_t j = 0; j < V; j++) {
            const real p = v_exp_down(z[j] - max) / sum, r = v_exp_down(z[j] - max_q) / sum_q;
            z[j] = k * (p - r) - c * p;
        }
    else
        for (int64_t j = 0; j < V; j++) {
            const real p = v_exp_down(z[j] - max) / sum, r = v_exp_down(q.z[j] - max_q) / sum_q;
            z[j] = k * (p - r) - c * p;
        }
    if (q.at >= 0) z[q.at] = k * (p_at - q_at) - c * p_at;
}

static real cool_sum(source s, real max, int64_t V, real cool)
{
    real l[LANES] = {0};
    FOR_LANES(i, j, V, l[j] += v_exp_down(cool * (source_at(s, i) - max)));
    return lane_sum(l);
}

/* The same with what few methods ask for: z <- k cool (p' - q') - c p + m p (log p - mu), p' and q' of the cooler
 * rows. */
static void whole_bwd(real *z, real max, int64_t V, real c, source q, real k, real cool, real m)
{
    const real sum = row_sum(z, max, V), log_sum = (real)ul_log((double)sum), max_q = k == 0 ? 0 : source_max(q, V);
    const real sum_q = k == 0 ? 1 : cool_sum(q, max_q, V, cool);
    const real sum_p = k == 0 ? 1 : cool_sum((source){z, -1, 0}, max, V, cool);
    double mu = 0;
    if (m != 0) moments(z, max, V, &mu, NULL);
    const real mean = (real)mu, of = k * cool;
    for (int64_t j = 0; j < V; j++) {
        const real d = z[j] - max, p = v_exp_down(d) / sum;
        real x = m * p * ((d - log_sum) - mean) - c * p;
        if (k != 0) x += of * (v_exp_down(cool * d) / sum_p - v_exp_down(cool * (source_at(q, j) - max_q)) / sum_q);
        z[j] = x;
    }
}

/* c, h: of the label and the runner-up; k: of the soft target; m: of mu; g: of the gap */
static void row_bwd(real *z, int64_t V, int32_t label, real c, real h, source q, real k, real cool, real m, real g)
{
    const real max = row_max(z, V);
    const int32_t top = g == 0 ? -1 : first_equal(z, max, V, -1), rival = h == 0 ? -1 : runner_up(z, V, label);
    if (rival < 0) h = 0;
    if (c + h == 0 && k == 0 && m == 0)
        for (int64_t j = 0; j < V; j++) z[j] = 0;
    else if (m == 0 && (k == 0 || cool == 1))
        softmax_bwd(z, max, V, c + h, q, k);
    else
        whole_bwd(z, max, V, c + h, q, k, cool, m);
    if (label >= 0) z[label] += c;
    if (rival >= 0) z[rival] += h;
    if (g == 0) return;
    const real each = g / (real)V;
    for (int64_t j = 0; j < V; j++) z[j] -= each;
    z[top < 0 ? 0 : top] += g;
}

void KFN(score_bwd)(const ul_backend *be, int64_t n, int64_t V, void *z_, const int32_t *label, const ul_dscore *d,
                    const ul_soft *soft)
{
    PARALLEL_WORK(8 * n * V)
    for (int64_t i = 0; i < n; i++) {
        real *z = (real *)z_ + i * V;
        const int32_t y = label ? label[i] : -1;
        const source q = d->soft ? source_of(soft, i, V, z, y) : (source){NULL, -1, 0};
        const real c = d->logp && y >= 0 ? (real)d->logp[i] : 0, k = q.z ? (real)d->soft[i] : 0;
        const real g = d->gap ? (real)d->gap[i] : 0, h = d->rival ? (real)d->rival[i] : 0;
        const real m = d->mu ? (real)d->mu[i] : 0;
        const bool kl = q.z && (!soft->kind || soft->kind[i] == UL_SOFT_KL);
        if (c == 0 && k == 0 && g == 0 && h == 0 && m == 0)
            for (int64_t j = 0; j < V; j++) z[j] = 0;
        else
            row_bwd(z, V, y, c, h, q, k, kl ? cool_of(soft) : 1, m, g);
    }
}

/* The k largest so far, falling; returns how many there are. */
static int64_t join(real *top, int64_t n, int64_t k, real x)
{
    if (n == k && !(x > top[k - 1])) return n;
    int64_t at = n < k ? n++ : k - 1;
    for (; at > 0 && x > top[at - 1]; at--) top[at] = top[at - 1];
    top[at] = x;
    return n;
}

void KFN(keep_top)(const ul_backend *be, int64_t n, int64_t V, int64_t k, const uint8_t *row, void *z_)
{
    enum { FAR = 1000000000 }; /* below any logit, and finite: 0 times it is 0 */
    if (k < 1 || k >= V) return;
    PARALLEL_WORK(2 * n * V)
    for (int64_t i = 0; i < n; i++) {
        real *z = (real *)z_ + i * V, top[UL_TOP];
        int64_t m = 0;
        if (row && !row[i]) continue;
        for (int64_t j = 0; j < V; j++) m = join(top, m, k < UL_TOP ? k : UL_TOP, z[j]);
        for (int64_t j = 0; j < V; j++)
            if (z[j] < top[m - 1]) z[j] = -(real)FAR;
    }
}
