/* perplexity.c - how surprised the model is by a text: exp of the mean negative log-probability of its tokens, over all
 * tokens of the data (`weight` token) or over rows' own means (`weight` row). The two differ: say which.
 * Jelinek et al. (1977). Of a model that was destroyed, more than 709 nats a token, it is the largest double: the other
 * metrics of that model are still to be had. */
#include "metric/metric_impl.h"
#include <float.h>
#include <math.h>
#include <string.h>

static const ul_param params[] = {
    {"weight", UL_TEXT, 0, 0, 0, "token|row", "what counts alike", "token"},
    {0},
};

static ul_status aggregate(ul_arena *a, const ul_args *args, const ul_input *in, int n_in, ul_result *out)
{
    (void)a, (void)n_in;
    const ul_columns *c = in[0].columns;
    const int64_t n = ul_columns_answers(c);
    const bool by_token = strcmp(ul_txt(args, "weight"), "token") == 0;
    const double nll = by_token ? -ul_mean(c->logp + c->token[0], c->token[n] - c->token[0]) : ul_mean(c->avg_loss, n);
    const double x = ul_exp(nll);
    out->agg_value = x > DBL_MAX ? DBL_MAX : x;
    return UL_OK;
}

const ul_metric ul_metric_perplexity = {
    .title = "perplexity",
    .paper = "doi.org/10.1121/1.2016299",
    .unit = "perplexity",
    .lo = 1,
    .hi = (double)INFINITY,
    .better = UL_BETTER_LOWER,
    .params = params,
    .needs = {{"data", UL_COL_LOGP | UL_COL_AVG_LOSS, false}},
    .aggregate = aggregate,
};
