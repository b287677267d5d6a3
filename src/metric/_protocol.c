/* _protocol.c - numbers about numbers: how good is a metric itself, what does an attack prove beyond its sham,
 * what comes back over a sequence of requests. Pure arithmetic on aggregates. */
#include "metric/metric_impl.h"
#include <math.h>

double ul_meta_relearning(double retrained_before, double retrained_after, double unlearned_before,
                          double unlearned_after)
{
    const double r = (retrained_before - retrained_after) / (unlearned_before - unlearned_after);
    return r < 1 ? r : isnan(r) ? (double)NAN : 1;
}

double ul_meta_quantisation(double before, double after)
{
    const double q = before / after;
    return q < 1 ? q : isnan(q) ? (double)NAN : 1;
}

double ul_meta_similarity(double x, double y)
{
    const double size = fabs(x) + fabs(y);
    return size == 0 ? 1 : 1 - fabs(x - y) / size;
}

double ul_savings(double before, double after, double sham_before, double sham_after)
{
    return (after - before) - (sham_after - sham_before);
}

double ul_recovered(double attacked, double floor, double ceiling)
{
    return (attacked - floor) / (ceiling - floor);
}

double ul_depth_score(const double *control, const double *model, int n_layer, double tau)
{
    double weight = 0, sum = 0;
    for (int l = 0; l < n_layer; l++) {
        if (isnan(control[l]) || isnan(model[l])) return NAN;
        if (!(control[l] > tau)) continue;
        const double share = model[l] / control[l];
        weight += control[l];
        sum += control[l] * (share < 0 ? 0 : share > 1 ? 1 : share);
    }
    return weight > 0 ? sum / weight : NAN;
}

ul_sequence ul_sequence_of(const double *const *residual, int n)
{
    ul_sequence s = {.resurgence = NAN, .mean_resurgence = NAN};
    if (n < 1) return (ul_sequence){NAN, NAN, NAN, NAN};
    for (int j = 0; j < n; j++) {
        const double back = residual[n - 1][j] - residual[j][j];
        s.on_arrival += residual[j][j] / n;
        s.final += residual[n - 1][j] / n;
        if (j == n - 1) continue;
        s.resurgence = j == 0 || back > s.resurgence ? back : s.resurgence;
        s.mean_resurgence = (j == 0 ? 0 : s.mean_resurgence) + back / (n - 1);
    }
    return s;
}
