/* mia_zlib.c - membership by loss against compressed size: avg_loss / bytes of zlib's stream (level 6, its header
 * and checksum included) of the answer's text.
 * Carlini et al. (2021), arXiv 2012.07805; open-unlearning `mia_zlib`. */
#include "metric/metric_impl.h"
#include <string.h>
#include <zlib.h>

static ul_status score(ul_arena *a, const ul_args *args, const ul_columns *c, int64_t row, double *out)
{
    (void)args;
    const ul_mark mark = ul_arena_mark(a);
    const uLong n = (uLong)strlen(c->text[row]);
    uLong bytes = compressBound(n);
    Bytef *stream = ul_alloc_raw(a, bytes, 1);
    UL_NEED(stream);
    if (compress2(stream, &bytes, (const Bytef *)c->text[row], n, 6) != Z_OK) {
        return ul_fail(ul_arena_ctx(a), UL_E_RESOURCE, "zlib has no memory for %lu bytes", n);
    }
    *out = c->avg_loss[row] / (double)bytes;
    ul_arena_rewind(a, mark);
    return UL_OK;
}

static ul_status rows(ul_arena *a, const ul_args *args, const ul_input *in, int n_in, ul_result *out)
{
    return ul_score_rows(a, args, in, n_in, score, out);
}

const ul_metric ul_metric_mia_zlib = {
    .title = "membership inference by loss over compressed size",
    .paper = "arXiv 2012.07805",
    .unit = "AUC",
    .lo = 0,
    .hi = 1,
    .better = UL_BETTER_CLOSER,
    .ideal = 0.5,
    .needs = {{"forget", UL_COL_AVG_LOSS | UL_COL_TEXT, false}, {"holdout", UL_COL_AVG_LOSS | UL_COL_TEXT, false}},
    .fields = {"score"},
    .rows = rows,
    .aggregate = ul_mia_aggregate,
};
