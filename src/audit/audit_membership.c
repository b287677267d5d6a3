/* audit_membership.c - can the forget rows be told from rows that nobody was taught (metrics.md 6, 17.2)?
 * The scores of LOSS, ZLib, Min-K and Min-K++ of every row, by the metrics of the same names; the AUC of each,
 * and AUC(U) - AUC(R) with bounds over entities.
 *
 *   AUC = P(score of an outsider > score of a member) + P(equal) / 2        0.5: nothing shows
 * A model that never saw the forget rows has the AUC of the control, which need not be 0.5;
 * on either side of it something shows. */
#include "audit/audit_data.h"
#include <math.h>
#include <string.h>

static const char *const metric_id[UL_N_MIA] = {"mia_loss", "mia_zlib", "mia_min_k", "mia_min_k_plus_plus"};
enum { FIRST_WITH_K = 2 };

const char *ul_mia_title(int i)
{
    static const char *const title[UL_N_MIA] = {"loss", "loss over compressed size", "Min-K%", "Min-K%++"};
    return title[i];
}

/* What a metric reads of a pass: avg_loss and prob follow from log p. */
static ul_status columns_of(const ul_audit *a, ul_arena *scratch, ul_model *m, ul_guard_file *guard,
                            const ul_records *rows, const char *name, ul_columns *out)
{
    ul_eval_options o = a->o;
    o.model = m;
    o.guard = guard;
    o.texts = o.moments = true;
    return ul_columns_score(a->ctx, scratch, &o, rows, UL_WHICH_ANSWER, name, out);
}

static ul_status scores(const ul_audit *a, ul_arena *scratch, ul_model *m, ul_guard_file *guard, ul_mia *out)
{
    ul_columns member, other;
    const char *k = ul_format(scratch, "%.17g", ul_num(a->attack, "mia-k"));
    UL_NEED(k);
    UL_TRY(columns_of(a, scratch, m, guard, a->forget, "members", &member));
    UL_TRY(columns_of(a, scratch, m, guard, a->outsiders, "outsiders", &other));
    const ul_input in[2] = {{.role = "forget", .columns = &member}, {.role = "holdout", .columns = &other}};
    for (int i = 0; i < UL_N_MIA; i++) {
        const ul_metric *metric;
        ul_result r;
        UL_TRY(ul_metric_find(a->ctx, metric_id[i], &metric));
        ul_args args;
        ul_args_default(metric->params, &args);
        if (i >= FIRST_WITH_K) UL_TRY(ul_args_set(scratch, &args, metric_id[i], "k", k));
        UL_TRY(ul_metric_compute(scratch, metric, &args, in, 2, &r));
        UL_NEED(out->member[i] = UL_NEW(a->arena, double, a->forget->n));
        UL_NEED(out->other[i] = UL_NEW(a->arena, double, a->outsiders->n));
        memcpy(out->member[i], r.part[0].rows.score, (size_t)a->forget->n * sizeof(double));
        memcpy(out->other[i], r.part[1].rows.score, (size_t)a->outsiders->n * sizeof(double));
    }
    out->ran = true;
    return UL_OK;
}

ul_status ul_mia_measure(const ul_audit *a, ul_model *m, ul_guard_file *guard, ul_mia *out)
{
    ul_arena *scratch;
    if (!a->outsiders) return UL_OK;
    UL_TRY(ul_arena_new(a->ctx, "membership", &scratch));
    const ul_status s = scores(a, scratch, m, guard, out);
    ul_arena_free(scratch);
    return s;
}

/* ---- AUC of weighted rows: one sweep over the scores in order ---------------------------------------------------- */
typedef struct {
    double score;
    int64_t row;
    bool member;
} entry;

static ul_status in_order(ul_arena *scratch, const double *member, int64_t n, const double *other, int64_t m,
                          entry **out)
{
    double *all = UL_NEW(scratch, double, n + m);
    int64_t *next = UL_NEW(scratch, int64_t, n + m);
    entry *e = UL_NEW(scratch, entry, n + m);
    UL_NEED(all);
    UL_NEED(next);
    UL_NEED(e);
    memcpy(all, member, (size_t)n * sizeof *all);
    memcpy(all + n, other, (size_t)m * sizeof *all);
    ul_sort(all, n + m);
    for (int64_t i = 0; i < n + m; i++) { /* each row to its place among the sorted; equal scores side by side */
        const double x = i < n ? member[i] : other[i - n];
        int64_t lo = 0, hi = n + m;
        while (lo < hi) {
            const int64_t mid = (lo + hi) / 2;
            if (all[mid] < x)
                lo = mid + 1;
            else
                hi = mid;
        }
        e[lo + next[lo]++] = (entry){x, i < n ? i : i - n, i < n};
    }
    *out = e;
    return UL_OK;
}

static double weighted_auc(const entry *e, int64_t n, const double *member, const double *other)
{
    double below = 0, wins = 0, all_members = 0, all_others = 0;
    for (int64_t i = 0, j; i < n; i = j) {
        double here_member = 0, here_other = 0;
        for (j = i; j < n && e[j].score == e[i].score; j++)
            *(e[j].member ? &here_member : &here_other) += (e[j].member ? member : other)[e[j].row];
        wins += here_other * (below + here_member / 2);
        below += here_member;
        all_others += here_other;
    }
    all_members = below;
    return all_members > 0 && all_others > 0 ? wins / (all_members * all_others) : NAN;
}

/* How often each row was drawn in a replicate. */
static void draw_rows(const ul_clusters *c, uint64_t seed, uint32_t group, uint32_t rep, int64_t *draw, double *weight)
{
    ul_resample(seed, group, rep, c->n_cluster, draw);
    memset(weight, 0, (size_t)c->n_row * sizeof *weight);
    for (int64_t k = 0; k < c->n_cluster; k++)
        for (int64_t i = c->first[draw[k]]; i < c->first[draw[k] + 1]; i++) weight[c->row[i]]++;
}

/* Sorts; NaN of nothing. */
static void interval(double *rep, int64_t n, double alpha, double *lo, double *hi)
{
    ul_sort(rep, n);
    *lo = ul_quantile(rep, n, alpha);
    *hi = ul_quantile(rep, n, 1 - alpha);
}

static ul_status compare(const ul_audit *a, ul_arena *scratch, const ul_mia *const b[3], int which, ul_membership *out)
{
    const int64_t n = a->forget->n, m = a->outsiders->n, n_rep = (int64_t)ul_num(a->rule, "replicates");
    const double alpha = ul_num(a->rule, "alpha");
    entry *e[3] = {0};
    ul_clusters c[2];
    UL_TRY(ul_records_clusters(scratch, a->forget, &c[0]));
    UL_TRY(ul_records_clusters(scratch, a->outsiders, &c[1]));
    double *w = UL_NEW(scratch, double, n), *v = UL_NEW(scratch, double, m), *apart = UL_NEW(scratch, double, n_rep);
    double *rep = UL_NEW(scratch, double, 3 * n_rep);
    int64_t *draw = UL_NEW(scratch, int64_t, n > m ? n : m);
    UL_NEED(w);
    UL_NEED(v);
    UL_NEED(rep);
    UL_NEED(apart);
    UL_NEED(draw);
    for (int64_t i = 0; i < n; i++) w[i] = 1;
    for (int64_t i = 0; i < m; i++) v[i] = 1;
    for (int k = 0; k < 3; k++) {
        out->auc[which][k] = NAN;
        if (!b[k]) continue;
        UL_TRY(in_order(scratch, b[k]->member[which], n, b[k]->other[which], m, &e[k]));
        out->auc[which][k] = weighted_auc(e[k], n + m, w, v);
    }
    for (int64_t i = 0; i < n_rep; i++) {
        draw_rows(&c[0], a->seed, UL_DRAW_FORGET, (uint32_t)i, draw, w); /* the forget set's draws, as everywhere */
        draw_rows(&c[1], a->seed, UL_DRAW_OUTSIDERS, (uint32_t)i, draw, v);
        for (int k = 0; k < 3; k++)
            if (b[k]) rep[k * n_rep + i] = weighted_auc(e[k], n + m, w, v);
        apart[i] = rep[i] - rep[2 * n_rep + i];
    }
    for (int k = 0; k < 3; k++)
        interval(rep + k * n_rep, b[k] ? n_rep : 0, alpha, &out->auc_lo[which][k], &out->auc_hi[which][k]);
    if (!b[2]) return UL_OK;
    double lo, hi;
    interval(apart, n_rep, alpha, &lo, &hi);
    out->beyond[which] = (ul_bound){out->auc[which][0] - out->auc[which][2], lo, hi, lo, hi};
    const double far = fabs(lo) > fabs(hi) ? fabs(lo) : fabs(hi);
    if (which == 0 || far > out->farthest) {
        out->farthest = far;
        out->worst = which;
    }
    out->compared = true;
    return UL_OK;
}

ul_status ul_mia_compare(const ul_audit *a, const ul_mia *u, const ul_mia *o, const ul_mia *r, ul_membership *out)
{
    const ul_mia *const b[3] = {u, o, r};
    ul_arena *scratch;
    *out = (ul_membership){.ran = u->ran && o->ran && (!r || r->ran)};
    if (!out->ran) return UL_OK;
    UL_TRY(ul_arena_new(a->ctx, "membership, resampled", &scratch));
    ul_status s = UL_OK;
    for (int i = 0; s == UL_OK && i < UL_N_MIA; i++) s = compare(a, scratch, b, i, out);
    ul_arena_free(scratch);
    return s;
}

/* ---- curves ------------------------------------------------------------------------------------------------------ */
json_t *ul_mia_roc(const ul_audit *a, const ul_mia *b, int which)
{
    enum { POINTS = 64 };
    json_t *curve = json_array();
    ul_arena *scratch;
    entry *e;
    const int64_t n = a->forget->n, m = a->outsiders->n;
    if (ul_arena_new(a->ctx, "ROC", &scratch) != UL_OK) return curve;
    if (in_order(scratch, b->member[which], n, b->other[which], m, &e) == UL_OK) {
        int64_t found = 0, alarms = 0, next = 0;
        for (int64_t i = 0, j; i < n + m; i = j) { /* members have the lower scores */
            for (j = i; j < n + m && e[j].score == e[i].score; j++) *(e[j].member ? &found : &alarms) += 1;
            if (i > 0 && j < n + m && j * POINTS / (n + m) < next) continue;
            if (i == 0) json_array_append_new(curve, json_pack("[f, f]", 0.0, 0.0));
            json_array_append_new(curve, json_pack("[f, f]", (double)alarms / (double)m, (double)found / (double)n));
            next = j * POINTS / (n + m) + 1;
        }
    }
    ul_arena_free(scratch);
    return curve;
}
