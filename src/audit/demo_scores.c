/* demo_scores.c - numbers of the demo with their intervals.
 *
 *   knows      share of questions whose true answer has a higher mean log-probability than each wrong one
 *   utility    harmonic mean of retain probability, ROUGE and truth ratio
 *   recovered  (knows(X) - knows(control)) / (knows(target) - knows(control)), paired: each replicate draws the same
 *              people for all three
 * Percentile intervals by the bootstrap over people, as `eval` has them; the p-value of forget quality has none,
 * nor has a recovery where target and control are too close in too many draws (metrics.md 16.5). */
#include "audit/demo.h"
#include <math.h>
#include <string.h>

enum { OF_FORGET, OF_RETAIN }; /* groups of draws */
static const double LEAST_GAP = 0.05, MOST_DISCARDED = 0.05;
static const ul_resampling how = {.seed = 0, .n_rep = 2000, .level = 0.95};

static const char *const names[UL_N_DEMO] = {
    [UL_DEMO_FORGET_PROB] = "forget_prob",        [UL_DEMO_RETAIN_PROB] = "retain_prob",
    [UL_DEMO_FORGET_ROUGE] = "forget_rouge",      [UL_DEMO_RETAIN_ROUGE] = "retain_rouge",
    [UL_DEMO_TRUTH_RATIO] = "forget_truth_ratio", [UL_DEMO_QUALITY] = "forget_quality",
    [UL_DEMO_UTILITY] = "utility",                [UL_DEMO_KNOWS_FORGET] = "knows_forget",
    [UL_DEMO_KNOWS_RETAIN] = "knows_retain"};

/* Results of the evaluation that are means over rows. */
static const struct {
    int to;
    const char *name;
    uint32_t group;
} means[] = {{UL_DEMO_FORGET_PROB, "forget_Q_A_Prob", OF_FORGET},
             {UL_DEMO_RETAIN_PROB, "retain_Q_A_Prob", OF_RETAIN},
             {UL_DEMO_FORGET_ROUGE, "forget_Q_A_ROUGE", OF_FORGET},
             {UL_DEMO_RETAIN_ROUGE, "retain_Q_A_ROUGE", OF_RETAIN},
             {UL_DEMO_TRUTH_RATIO, "forget_truth_ratio", OF_FORGET}};

static void put(ul_demo_scores *s, int which, double value, const ul_interval *iv)
{
    s->value[which] = value;
    s->lo[which] = iv ? iv->lo : (double)NAN;
    s->hi[which] = iv ? iv->hi : (double)NAN;
}

static ul_status utility(const ul_evaluation *e, ul_demo_scores *out)
{
    static const char *const parts[3] = {"retain_Q_A_Prob", "retain_Q_A_ROUGE", "retain_Truth_Ratio"};
    static const uint32_t group[3] = {OF_RETAIN, OF_RETAIN, OF_RETAIN};
    const ul_result *r[3];
    double x[3];
    ul_interval iv;
    put(out, UL_DEMO_UTILITY, 0, NULL);
    for (int i = 0; i < 3; i++) {
        if (!(r[i] = ul_evaluation_result(e, parts[i]))) return UL_OK;
        x[i] = r[i]->agg_value;
    }
    UL_TRY(ul_harmonic_interval(e->arena, r, group, 3, &how, &iv));
    put(out, UL_DEMO_UTILITY, ul_harmonic_mean(x, 3), &iv);
    return UL_OK;
}

static double mean_logp(const ul_columns *c, int64_t answer)
{
    double sum = 0;
    for (int64_t t = c->token[answer]; t < c->token[answer + 1]; t++) sum += c->logp[t];
    return sum / (double)(c->token[answer + 1] - c->token[answer]);
}

static ul_status knows(const ul_evaluation *e, const char *set, uint32_t group, int to, ul_demo_scores *out,
                       const double **column)
{
    const ul_columns *right = ul_evaluation_columns(e, set, "answer"),
                     *wrong = ul_evaluation_columns(e, set, "perturbed_answer");
    double *hit = UL_NEW(e->arena, double, right->n_row), sum = 0;
    UL_NEED(hit);
    for (int64_t i = 0; i < right->n_row; i++) {
        const double truth = mean_logp(right, i);
        hit[i] = 1;
        for (int64_t k = wrong->first[i]; k < wrong->first[i + 1]; k++)
            if (!(truth > mean_logp(wrong, k))) hit[i] = 0;
        sum += hit[i];
    }
    const ul_mark mark = ul_arena_mark(e->arena);
    double *rep = UL_NEW(e->arena, double, how.n_rep);
    ul_clusters people;
    UL_NEED(rep);
    UL_TRY(ul_clusters_init(e->arena, right->entity, right->n_row, &people));
    UL_TRY(ul_bootstrap_means(e->arena, &people, (const double *const[]){hit}, 1, how.seed, group, how.n_rep, rep));
    const ul_interval iv = ul_interval_percentile(rep, how.n_rep, how.level);
    ul_arena_rewind(e->arena, mark);
    put(out, to, sum / (double)right->n_row, &iv);
    if (column) *column = hit;
    return UL_OK;
}

ul_status ul_demo_measure(const ul_evaluation *e, ul_demo_scores *out)
{
    ul_interval iv;
    for (size_t i = 0; i < sizeof means / sizeof *means; i++) {
        const ul_result *r = ul_evaluation_result(e, means[i].name);
        put(out, means[i].to, 0, NULL);
        if (!r) continue;
        UL_TRY(ul_result_interval(e->arena, r, means[i].group, &how, &iv));
        put(out, means[i].to, r->agg_value, &iv);
    }
    const ul_result *quality = ul_evaluation_result(e, "forget_quality");
    put(out, UL_DEMO_QUALITY, quality ? quality->agg_value : 0, NULL);
    UL_TRY(utility(e, out));
    out->forget = ul_evaluation_columns(e, "forget", "answer");
    UL_TRY(knows(e, "forget", OF_FORGET, UL_DEMO_KNOWS_FORGET, out, &out->knows));
    return knows(e, "retain", OF_RETAIN, UL_DEMO_KNOWS_RETAIN, out, NULL);
}

static double share(double x, double control, double target, double least)
{
    return target - control > least ? (x - control) / (target - control) : (double)NAN;
}

ul_status ul_demo_recovered(ul_arena *arena, const ul_demo_scores *x, const ul_demo_scores *control,
                            const ul_demo_scores *target, double *value, ul_interval *interval)
{
    const ul_mark mark = ul_arena_mark(arena);
    const double *const column[3] = {x->knows, control->knows, target->knows};
    double *all = UL_NEW(arena, double, 3 * how.n_rep), *rep = UL_NEW(arena, double, how.n_rep);
    ul_clusters people;
    UL_NEED(all);
    UL_NEED(rep);
    UL_TRY(ul_clusters_init(arena, x->forget->entity, x->forget->n_row, &people));
    UL_TRY(ul_bootstrap_means(arena, &people, column, 3, how.seed, OF_FORGET, how.n_rep, all));
    for (uint32_t i = 0; i < how.n_rep; i++) rep[i] = share(all[3 * i], all[3 * i + 1], all[3 * i + 2], LEAST_GAP);
    *interval = ul_interval_percentile(rep, how.n_rep, how.level);
    if ((double)interval->n_discarded > MOST_DISCARDED * how.n_rep) interval->lo = interval->hi = NAN;
    ul_arena_rewind(arena, mark);
    const int k = UL_DEMO_KNOWS_FORGET;
    const double point = share(x->value[k], control->value[k], target->value[k], 0);
    *value = isnan(point) ? 0 : point;
    return UL_OK;
}

json_t *ul_demo_json(const ul_demo_scores *s)
{
    json_t *j = json_object(), *intervals = json_object();
    for (int i = 0; i < UL_N_DEMO; i++) {
        json_object_set_new(j, names[i], json_real(s->value[i]));
        if (isfinite(s->lo[i]) && isfinite(s->hi[i]))
            json_object_set_new(intervals, names[i], json_pack("[f, f]", s->lo[i], s->hi[i]));
    }
    if (json_object_set_new(j, "intervals", intervals)) {
        json_decref(j);
        return NULL;
    }
    return j;
}
