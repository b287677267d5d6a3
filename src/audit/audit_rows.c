/* audit_rows.c - rows of an audit, by the person or thing that they are about. Halves are made of whole entities,
 * so that no fact of a person who is taught is asked of the model. */
#include "audit/audit_data.h"

ul_status ul_records_subset(ul_arena *arena, const ul_records *in, const uint8_t *take, ul_records **out)
{
    ul_records *r = UL_NEW(arena, ul_records, 1);
    ul_record *rows = UL_NEW(arena, ul_record, in->n);
    UL_NEED(r);
    UL_NEED(rows);
    *r = *in;
    r->at = rows;
    r->n = 0;
    for (int64_t i = 0; i < in->n; i++)
        if (take[i]) rows[r->n++] = in->at[i];
    *out = r;
    return UL_OK;
}

ul_status ul_records_clusters(ul_arena *arena, const ul_records *r, ul_clusters *out)
{
    int64_t *entity = UL_NEW(arena, int64_t, r->n);
    UL_NEED(entity);
    for (int64_t i = 0; i < r->n; i++) entity[i] = r->at[i].entity;
    return ul_clusters_init(arena, entity, r->n, out);
}

ul_status ul_records_half(ul_ctx *ctx, ul_arena *arena, const ul_records *in, int half, ul_records **out, uint8_t *side)
{
    uint8_t *take = UL_NEW(arena, uint8_t, in->n);
    ul_clusters c;
    UL_NEED(take);
    UL_TRY(ul_records_clusters(arena, in, &c));
    if (c.n_cluster < 2)
        return ul_fail(
            ctx, UL_E_INPUT,
            "%s: its %lld rows are about %lld person or thing, two halves need 2 (field \"entity\" or --entity-rows)",
            in->path, (long long)in->n, (long long)c.n_cluster);
    for (int64_t k = 0; k < c.n_cluster; k++)
        for (int64_t i = c.first[k]; i < c.first[k + 1]; i++) {
            const int h = k >= c.n_cluster / 2;
            take[c.row[i]] = h == half;
            if (side) side[c.row[i]] = (uint8_t)h;
        }
    return ul_records_subset(arena, in, take, out);
}

ul_status ul_records_spread(ul_arena *arena, const ul_records *in, int64_t n, ul_records **out)
{
    uint8_t *take = UL_NEW(arena, uint8_t, in->n);
    UL_NEED(take);
    for (int64_t k = 0; k < n && k < in->n; k++) take[n < in->n ? k * in->n / n : k] = 1;
    return ul_records_subset(arena, in, take, out);
}

double ul_rows_chance(const ul_records *r)
{
    double sum = 0;
    for (int64_t i = 0; i < r->n; i++) sum += 1.0 / (1 + r->at[i].n_wrong);
    return r->n ? sum / (double)r->n : 0;
}
