/* audit_data.c - from files to what an audit asks and trains on. */
#include "audit/audit_data.h"

static ul_status docs(const ul_audit *a, const ul_records *r, const ul_docs **out)
{
    ul_docs *d;
    UL_TRY(ul_docs_build(a->ctx, a->arena, a->o.tok, &a->o.tpl, r, UL_WHICH_ANSWER, &d));
    *out = d;
    return UL_OK;
}

static ul_status asked(const ul_audit *a, const ul_records *in, bool all, const ul_records **out)
{
    ul_records *r, *q;
    const int64_t n = all ? in->n : (int64_t)ul_num(a->attack, "retain-rows");
    UL_TRY(ul_knowledge_options(a->ctx, a->arena, in, a->seed, (int32_t)ul_num(a->attack, "options"), &r));
    UL_TRY(ul_records_spread(a->arena, r, n, &q));
    *out = q;
    return UL_OK;
}

/* k rows that ask for the fact of one forget row in other words, or one that serves k consecutive forget rows. */
static ul_status reworded(ul_audit *a, const ul_audit_sets *in)
{
    const ul_records *file;
    UL_TRY(asked(a, in->rephrased, true, &file));
    const int64_t n = in->forget->n, k = file->n > n ? file->n / n : 1;
    if (file->n > n ? file->n % n || k > UL_MAX_WAYS : n % file->n)
        return ul_fail(
            a->ctx, UL_E_INPUT,
            "%s has %lld rows, the forget set %s has %lld: the same facts in other words are wanted, in order, 1 to %d "
            "for every row, or one for every k rows",
            file->path, (long long)file->n, in->forget->path, (long long)n, UL_MAX_WAYS);
    ul_records *r = UL_NEW(a->arena, ul_records, 1);
    ul_record *row = UL_NEW(a->arena, ul_record, n * k);
    UL_NEED(r);
    UL_NEED(row);
    for (int64_t i = 0; i < n * k; i++) row[i] = file->at[file->n > n ? i : i / (n / file->n)];
    *r = *file;
    r->at = row;
    r->n = n * k;
    a->rephrased = r;
    return UL_OK;
}

/* What is asked, from now on: the rows that are taken, with their halves and their other words. */
static ul_status only(ul_audit *a, const uint8_t *take, uint8_t *side)
{
    const int64_t n = a->forget->n, ways = a->rephrased ? a->rephrased->n / n : 0;
    int64_t k = 0;
    uint8_t *take_ways = UL_NEW(a->arena, uint8_t, n * (ways ? ways : 1));
    ul_records *few;
    UL_NEED(take_ways);
    for (int64_t i = 0; i < n; i++) {
        for (int64_t w = 0; w < ways; w++) take_ways[i * ways + w] = take[i];
        if (take[i]) side[k++] = side[i];
    }
    UL_TRY(ul_records_subset(a->arena, a->forget, take, &few));
    a->forget = few;
    if (!ways) return UL_OK;
    UL_TRY(ul_records_subset(a->arena, a->rephrased, take_ways, &few));
    a->rephrased = few;
    return UL_OK;
}

/* Without the rows that cannot show forgetting. */
static ul_status clean(ul_audit *a, const ul_records *retain, uint8_t *side)
{
    uint8_t *take = UL_NEW(a->arena, uint8_t, a->forget->n);
    UL_NEED(take);
    UL_TRY(ul_hygiene_look(a, retain, side));
    for (int64_t i = 0; i < a->forget->n; i++) take[i] = !a->hygiene->drop[i];
    return a->hygiene->left_out ? only(a, take, side) : UL_OK;
}

/* Whole people, spread evenly, until there are as many rows as "forget-rows" says. */
static ul_status fewer(ul_audit *a, uint8_t *side)
{
    const int64_t n = a->forget->n, most = (int64_t)ul_num(a->attack, "forget-rows");
    uint8_t *take = UL_NEW(a->arena, uint8_t, n);
    ul_clusters c;
    UL_NEED(take);
    if (most == 0 || most >= n) return UL_OK;
    UL_TRY(ul_records_clusters(a->arena, a->forget, &c));
    const int64_t people = most * c.n_cluster / n > 2 ? most * c.n_cluster / n : 2;
    for (int64_t p = 0; p < people; p++) {
        const int64_t x = p * c.n_cluster / people;
        for (int64_t i = c.first[x]; i < c.first[x + 1]; i++) take[c.row[i]] = 1;
    }
    return only(a, take, side);
}

/* Neighbours were to stay: none of them stands in the forget set. */
static ul_status apart(const ul_audit *a, const ul_audit_sets *in)
{
    const int64_t n = in->neighbours ? ul_records_overlap(a->ctx, in->neighbours, in->forget) : 0;
    UL_TRY(n < 0 ? UL_E_RESOURCE : UL_OK);
    if (n == 0) return UL_OK;
    return ul_fail(a->ctx, UL_E_INPUT,
                   "--neighbours %s: %lld of its %lld rows stand in --forget %s too; rows close to the forgotten ones "
                   "that were to stay are wanted",
                   in->neighbours->path, (long long)n, (long long)in->neighbours->n, in->forget->path);
}

/* Rows that no model may have been taught are neither of the rows that were. */
static ul_status untaught(const ul_audit *a, const char *key, const ul_records *rows, const ul_audit_sets *in)
{
    const ul_records *taught[2] = {in->forget, in->retain};
    for (int i = 0; rows && i < 2; i++) {
        const int64_t n = ul_records_overlap(a->ctx, rows, taught[i]);
        UL_TRY(n < 0 ? UL_E_RESOURCE : UL_OK);
        if (n > 0)
            return ul_fail(a->ctx, UL_E_INPUT,
                           "--%s %s: %lld of its %lld rows stand in --%s %s too; rows that no model was ever taught "
                           "are wanted",
                           key, rows->path, (long long)n, (long long)rows->n, i ? "retain" : "forget", taught[i]->path);
    }
    return UL_OK;
}

ul_status ul_audit_fill(ul_audit *a, const ul_audit_sets *in)
{
    uint8_t *side = UL_NEW(a->arena, uint8_t, in->forget->n);
    ul_records *half;
    UL_NEED(side);
    UL_TRY(ul_probes_resolve(a));
    UL_TRY(untaught(a, "phantom", in->phantom, in));
    UL_TRY(untaught(a, "holdout", in->holdout, in));
    UL_TRY(apart(a, in));
    a->fold = side;
    for (int h = 0; h < 2; h++) {
        UL_TRY(ul_records_half(a->ctx, a->arena, in->forget, h, &half, side));
        UL_TRY(docs(a, half, &a->fold_docs[h]));
    }
    UL_TRY(docs(a, in->retain, &a->retain_docs));
    UL_TRY(ul_wrong_tells(a, in->forget, &a->own_wrong));
    UL_TRY(asked(a, in->forget, true, &a->forget));
    UL_TRY(asked(a, in->retain, false, &a->retain));
    if (in->rephrased) UL_TRY(reworded(a, in));
    UL_TRY(clean(a, in->retain, side));
    UL_TRY(fewer(a, side));
    if (in->neighbours) UL_TRY(asked(a, in->neighbours, false, &a->neighbours));
    a->outsiders = in->holdout;
    a->outsiders_from = "holdout";
    if (!in->phantom) return UL_OK;
    UL_TRY(ul_records_half(a->ctx, a->arena, in->phantom, 0, &half, NULL));
    UL_TRY(docs(a, half, &a->phantom_docs));
    UL_TRY(asked(a, half, false, &a->spike));
    UL_TRY(ul_records_half(a->ctx, a->arena, in->phantom, 1, &half, NULL));
    UL_TRY(asked(a, half, false, &a->phantom));
    if (a->outsiders) return UL_OK;
    a->outsiders = a->phantom; /* of the same kind as the forget rows, and no model was taught them */
    a->outsiders_from = "phantoms";
    return UL_OK;
}
