/* _columns.c - columns by name, and the checks that keep a missing or broken number from becoming a result. */
#include "metric/metric_impl.h"
#include <math.h>
#include <string.h>

typedef enum { NUMBER, TEXT, FLAG } kind;
typedef struct {
    const char *name;
    unsigned bit;
    kind kind;
    bool per_token;
    size_t offset;
} column;

static const column columns[] = {
    {"logp", UL_COL_LOGP, NUMBER, true, offsetof(ul_columns, logp)},
    {"hit", UL_COL_HIT, FLAG, true, offsetof(ul_columns, hit)},
    {"mu", UL_COL_MOMENTS, NUMBER, true, offsetof(ul_columns, mu)},
    {"sigma2", UL_COL_MOMENTS, NUMBER, true, offsetof(ul_columns, sigma2)},
    {"kl", UL_COL_DIVERGENCE, NUMBER, true, offsetof(ul_columns, kl)},
    {"kl_reverse", UL_COL_DIVERGENCE, NUMBER, true, offsetof(ul_columns, kl_reverse)},
    {"js", UL_COL_DIVERGENCE, NUMBER, true, offsetof(ul_columns, js)},
    {"agree", UL_COL_DIVERGENCE, FLAG, true, offsetof(ul_columns, agree)},
    {"avg_loss", UL_COL_AVG_LOSS, NUMBER, false, offsetof(ul_columns, avg_loss)},
    {"prob", UL_COL_PROB, NUMBER, false, offsetof(ul_columns, prob)},
    {"ref_loss", UL_COL_REF_LOSS, NUMBER, false, offsetof(ul_columns, ref_loss)},
    {"grad_norm", UL_COL_GRAD_NORM, NUMBER, false, offsetof(ul_columns, grad_norm)},
    {"text", UL_COL_TEXT, TEXT, false, offsetof(ul_columns, text)},
    {"ground_truth", UL_COL_GROUND_TRUTH, TEXT, false, offsetof(ul_columns, ground_truth)},
    {"generation", UL_COL_GENERATION, TEXT, false, offsetof(ul_columns, generation)},
    {"score", UL_COL_SCORE, NUMBER, false, offsetof(ul_columns, score)},
    {"rouge1_recall", UL_COL_ROUGE, NUMBER, false, offsetof(ul_columns, rouge1_recall)},
    {"rougeL_f1", UL_COL_ROUGE, NUMBER, false, offsetof(ul_columns, rougeL_f1)},
    {"rougeL_recall", UL_COL_ROUGE, NUMBER, false, offsetof(ul_columns, rougeL_recall)},
};
enum { N_COLUMN = sizeof columns / sizeof *columns };

static void *place(ul_columns *c, const char *name, kind k)
{
    for (int i = 0; i < N_COLUMN; i++) {
        if (columns[i].kind == k && strcmp(columns[i].name, name) == 0) return (char *)c + columns[i].offset;
    }
    return NULL;
}

const double **ul_columns_number(ul_columns *c, const char *name)
{
    return place(c, name, NUMBER);
}

const char *const **ul_columns_text(ul_columns *c, const char *name)
{
    return place(c, name, TEXT);
}

int64_t ul_columns_answers(const ul_columns *c)
{
    return c->first ? c->first[c->n_row] : c->n_row;
}

int64_t ul_columns_index(const ul_columns *c, int64_t row)
{
    return c->index ? c->index[row] : row;
}

const char *ul_columns_lack(const ul_columns *c, unsigned want)
{
    for (int i = 0; i < N_COLUMN; i++) {
        const void *p;
        memcpy(&p, (const char *)c + columns[i].offset, sizeof p);
        const bool follows = (columns[i].bit == UL_COL_AVG_LOSS && c->logp) ||
                             (columns[i].bit == UL_COL_PROB && (c->avg_loss || c->logp));
        if (want & columns[i].bit && !p && !follows) return columns[i].name;
    }
    return NULL;
}

static const char *name_of(const ul_columns *c)
{
    return c->name ? c->name : "columns without a name";
}

double ul_row_mean(const ul_columns *c, const double *x, int64_t row)
{
    if (!c->first) return x[row];
    return ul_mean(x + c->first[row], c->first[row + 1] - c->first[row]);
}

static int64_t row_of(const ul_columns *c, int64_t answer)
{
    int64_t row = 0;
    while (c->first && c->first[row + 1] <= answer) row++;
    return ul_columns_index(c, c->first ? row : answer);
}

static ul_status check_number(ul_ctx *ctx, const ul_columns *c, const column *col, const double *x)
{
    const int64_t n_answer = ul_columns_answers(c);
    for (int64_t j = 0; j < n_answer; j++) {
        const int64_t lo = col->per_token ? c->token[j] : j, hi = col->per_token ? c->token[j + 1] : j + 1;
        for (int64_t i = lo; i < hi; i++) {
            if (isfinite(x[i])) continue;
            return ul_fail(ctx, UL_E_INPUT, "%s, row %lld: %s is %g%s; a metric is not computed from it", name_of(c),
                           (long long)row_of(c, j), col->name, x[i], col->per_token ? " at one of its tokens" : "");
        }
    }
    return UL_OK;
}

static ul_status check_column(ul_ctx *ctx, const ul_columns *c, const column *col)
{
    const void *p;
    memcpy(&p, (const char *)c + col->offset, sizeof p);
    if (!p) {
        return ul_fail(ctx, UL_E_INPUT, "%s: the column %s is missing", name_of(c), col->name);
    }
    if (col->per_token && !c->token) return ul_fail(ctx, UL_E_INPUT, "%s: the token offsets are missing", name_of(c));
    const int64_t n_answer = ul_columns_answers(c);
    for (int64_t j = 0; col->per_token && j < n_answer; j++) {
        if (c->token[j + 1] <= c->token[j]) {
            return ul_fail(ctx, UL_E_INPUT, "%s, row %lld: no labelled token (is the answer empty, or the prompt as "
                           "long as the context?)", name_of(c), (long long)row_of(c, j));
        }
    }
    if (col->kind == NUMBER) return check_number(ctx, c, col, p);
    for (int64_t j = 0; col->kind == TEXT && j < n_answer; j++) {
        if (!((const char *const *)p)[j]) {
            return ul_fail(ctx, UL_E_INPUT, "%s, row %lld: %s is missing", name_of(c), (long long)row_of(c, j),
                           col->name);
        }
    }
    return UL_OK;
}

/* avg_loss from logp, prob from avg_loss, where they are wanted and not there. */
static ul_status complete(ul_arena *a, ul_columns *c, unsigned want)
{
    const int64_t n = ul_columns_answers(c);
    const bool want_loss = want & (UL_COL_AVG_LOSS | UL_COL_PROB) && !c->avg_loss && c->logp;
    if (want_loss) {
        double *loss = UL_NEW(a, double, n);
        UL_NEED(loss);
        UL_TRY(check_column(ul_arena_ctx(a), c, &columns[0]));
        for (int64_t j = 0; j < n; j++) loss[j] = -ul_mean(c->logp + c->token[j], c->token[j + 1] - c->token[j]);
        c->avg_loss = loss;
    }
    if (want & UL_COL_PROB && !c->prob && c->avg_loss) {
        double *prob = UL_NEW(a, double, n);
        UL_NEED(prob);
        for (int64_t j = 0; j < n; j++) prob[j] = ul_exp(-c->avg_loss[j]);
        c->prob = prob;
    }
    return UL_OK;
}

ul_status ul_columns_check(ul_arena *a, ul_columns *c, unsigned want)
{
    ul_ctx *ctx = ul_arena_ctx(a);
    if (c->n_row <= 0) return ul_fail(ctx, UL_E_INPUT, "%s has no rows", name_of(c));
    for (int64_t i = 0; c->first && i < c->n_row; i++) {
        if (c->first[i + 1] <= c->first[i]) {
            return ul_fail(ctx, UL_E_INPUT, "%s, row %lld: no answers", name_of(c), (long long)ul_columns_index(c, i));
        }
    }
    UL_TRY(complete(a, c, want));
    for (int i = 0; i < N_COLUMN; i++) {
        if (want & columns[i].bit) UL_TRY(check_column(ctx, c, &columns[i]));
    }
    return UL_OK;
}

ul_status ul_chosen_score(ul_arena *a, const ul_args *args, const ul_columns *c, const double **out)
{
    ul_columns read;
    if (!c) return ul_fail(ul_arena_ctx(a), UL_E_INPUT, "the input has no columns");
    read = *c;
    const char *name = ul_txt(args, "score");
    UL_TRY(ul_columns_check(a, &read, strcmp(name, "score") == 0 ? UL_COL_SCORE : UL_COL_ROUGE));
    *out = *ul_columns_number(&read, name);
    return UL_OK;
}

ul_status ul_score_answers(ul_arena *a, const ul_args *args, const ul_input *in, ul_answers_score *score,
                           ul_result *out)
{
    const ul_columns *c = in[0].columns;
    const double *answer;
    UL_TRY(ul_chosen_score(a, args, c, &answer));
    double *of_row = UL_NEW(a, double, c->n_row);
    UL_NEED(of_row);
    for (int64_t i = 0; i < c->n_row; i++) {
        const ul_mark mark = ul_arena_mark(a);
        const int64_t first = c->first ? c->first[i] : i, n = (c->first ? c->first[i + 1] : i + 1) - first;
        double *x = ul_alloc_raw(a, (size_t)n, sizeof *x);
        UL_NEED(x);
        memcpy(x, answer + first, (size_t)n * sizeof *x);
        UL_TRY(score(a, args, c, i, x, n, &of_row[i]));
        ul_arena_rewind(a, mark);
    }
    ul_part_start(out, 0, "", c)->score = of_row;
    return UL_OK;
}

ul_columns *ul_part_start(ul_result *out, int k, const char *role, const ul_columns *in)
{
    if (out->n_part < k + 1) out->n_part = k + 1;
    out->part[k] = (ul_part){.role = role};
    ul_columns *rows = &out->part[k].rows;
    rows->name = in->name;
    rows->n_row = in->n_row;
    rows->index = in->index;
    rows->entity = in->entity;
    return rows;
}

ul_status ul_part_mean(ul_arena *a, ul_part *part, const char *name)
{
    ul_columns *c = &part->rows;
    for (int i = 0; i < N_COLUMN; i++) {
        if (strcmp(columns[i].name, name) == 0) UL_TRY(check_column(ul_arena_ctx(a), c, &columns[i]));
    }
    const double *x = *ul_columns_number(c, name);
    double *value = UL_NEW(a, double, c->n_row);
    UL_NEED(value);
    for (int64_t i = 0; i < c->n_row; i++) value[i] = ul_row_mean(c, x, i);
    part->value = value;
    part->agg_value = ul_mean(value, c->n_row);
    return UL_OK;
}

static ul_status mean_of(ul_arena *a, ul_result *out, const char *name)
{
    UL_TRY(ul_part_mean(a, &out->part[0], name));
    out->agg_value = out->part[0].agg_value;
    return UL_OK;
}

ul_status ul_mean_of_score(ul_arena *a, const ul_args *args, const ul_input *in, int n_in, ul_result *out)
{
    (void)args, (void)in, (void)n_in;
    return mean_of(a, out, "score");
}

ul_status ul_mean_of_prob(ul_arena *a, const ul_args *args, const ul_input *in, int n_in, ul_result *out)
{
    (void)args, (void)in, (void)n_in;
    return mean_of(a, out, "prob");
}

ul_status ul_same_rows(ul_arena *a, const ul_columns *x, const ul_columns *y)
{
    ul_ctx *ctx = ul_arena_ctx(a);
    if (x->n_row != y->n_row) {
        return ul_fail(ctx, UL_E_INPUT, "%s has %lld rows, %s has %lld: they must be the same rows", name_of(x),
                       (long long)x->n_row, name_of(y), (long long)y->n_row);
    }
    for (int64_t i = 0; i < x->n_row; i++) {
        const int64_t ix = ul_columns_index(x, i), iy = ul_columns_index(y, i);
        if (ix == iy) continue;
        return ul_fail(ctx, UL_E_INPUT, "%s and %s are not the same rows: place %lld has index %lld and index %lld",
                       name_of(x), name_of(y), (long long)i, (long long)ix, (long long)iy);
    }
    return UL_OK;
}

ul_status ul_scored_tokens(ul_arena *a, const ul_columns *c, int64_t row, const ul_args *args, int64_t *first,
                           int64_t *n)
{
    const bool always = strcmp(ul_txt(args, "match"), "open-unlearning") == 0;
    *first = c->token[row];
    *n = c->token[row + 1] - c->token[row] - (always || !c->eos_last || c->eos_last[row]);
    if (*n > 0) return UL_OK;
    return ul_fail(ul_arena_ctx(a), UL_E_INPUT, "%s, row %lld: no labelled token but the last one, which does not "
                   "count (is the answer empty?)", name_of(c), (long long)ul_columns_index(c, row));
}
